//! A path into a JSON body: `.a.b[0]['x y']`.
//!
//! Only exact steps exist. Wildcards and filters give lists, and a list has no place in a path segment or
//! a group name; leaving them out is also what makes one pass over the text enough.
//!
//! Invariant: the slot is an index into the captures of the selector the path was linked to. It takes no
//! part in equality, so a linked path equals the same path as written.

use std::fmt;
use std::hash::{Hash, Hasher};

/// The slot of a path that no selector knows yet.
const UNLINKED: u32 = u32::MAX;

/// A path into a JSON body; without steps it is the whole body.
#[derive(Debug, Clone)]
pub struct BodyPath {
    steps: Vec<Step>,
    slot: u32,
}

/// One step of a [`BodyPath`].
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Step {
    /// A member of an object.
    Name(String),
    /// An element of an array, counted from 0.
    Index(u32),
}

impl BodyPath {
    /// A path of these steps, not linked to a selector.
    pub fn new(steps: Vec<Step>) -> Self {
        Self { steps, slot: UNLINKED }
    }

    /// The steps from the top of the body.
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    pub(crate) fn link(&mut self, slot: u32) {
        self.slot = slot;
    }

    pub(crate) fn slot(&self) -> Option<usize> {
        (self.slot != UNLINKED).then_some(self.slot as usize)
    }
}

/// Whether a member name may contain `c` without quotes.
pub(super) fn is_name_char(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '_' | '-' | '@' | ':')
}

impl PartialEq for BodyPath {
    fn eq(&self, other: &Self) -> bool {
        self.steps == other.steps
    }
}

impl Eq for BodyPath {}

impl Hash for BodyPath {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.steps.hash(state);
    }
}

impl fmt::Display for BodyPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for step in &self.steps {
            match step {
                Step::Index(index) => write!(f, "[{index}]")?,
                Step::Name(name) if !name.is_empty() && name.chars().all(is_name_char) => {
                    write!(f, ".{name}")?;
                }
                Step::Name(name) => write_quoted(f, name)?,
            }
        }
        Ok(())
    }
}

/// Writes `['name']` with quote and backslash escaped.
pub(super) fn write_quoted(f: &mut fmt::Formatter<'_>, name: &str) -> fmt::Result {
    write!(f, "['{}']", name.replace('\\', "\\\\").replace('\'', "\\'"))
}
