//! Finds the wanted values of a JSON text in one pass, without building a tree.
//!
//! The paths a route reads are known when the route is compiled, so they become a trie; the text is walked
//! once along it and everything else is skipped. A `serde_json::Value` would allocate for each member of
//! every message, and would rewrite the client's numbers. A value that is wanted both whole and in parts
//! (`request.body` and `request.body.id`) is walked once more for its parts.
//!
//! Invariants: the whole text is checked to be JSON, also where nothing is wanted; of duplicate members the
//! last one counts, with everything below it; captured values keep the sender's spelling. A number too large for
//! a double counts as not JSON where an object or array was wanted, the one place it is looked at.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use crate::expression::{BodyPath, Step};

/// The paths wanted of one kind of body.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selector {
    root: Node,
    request_id: Option<usize>,
}

/// The values one text had for the paths of a [`Selector`].
#[derive(Debug, Clone)]
pub struct Selection<'a> {
    captures: Vec<Option<&'a RawValue>>,
    request_id: Option<usize>,
}

/// A place in the trie. Slots are numbered depth first, so a subtree's captures are one range.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Node {
    wanted: bool,
    first: usize,
    end: usize,
    names: Vec<(Box<str>, Node)>,
    indices: Vec<(u32, Node)>,
}

impl Selector {
    /// Builds the selector for all paths that `visit` shows it, and links each path to its slot.
    ///
    /// `visit` is called twice: the trie must be complete before the slots have numbers.
    pub(crate) fn link(request_id: bool, mut visit: impl FnMut(&mut dyn FnMut(&mut BodyPath))) -> Self {
        let mut root = Node::default();
        let request_id_steps = [Step::Name("requestId".to_owned())];
        if request_id {
            root.insert(&request_id_steps);
        }
        visit(&mut |path| root.insert(path.steps()));
        root.number(0);
        visit(&mut |path| {
            if let Some(slot) = root.slot(path.steps()).and_then(|slot| u32::try_from(slot).ok()) {
                path.link(slot);
            }
        });
        let request_id = if request_id { root.slot(&request_id_steps) } else { None };
        Self { root, request_id }
    }

    /// Whether no path is wanted.
    pub fn is_empty(&self) -> bool {
        self.root.end == 0
    }

    /// Walks `json`. `None` when it is not JSON.
    pub fn select<'a>(&self, json: &'a str) -> Option<Selection<'a>> {
        let mut captures = vec![None; self.root.end];
        if self.root.wanted {
            let whole: &'a RawValue = serde_json::from_str(json).ok()?;
            self.root.capture(whole, &mut captures)?;
        } else {
            let mut deserializer = serde_json::Deserializer::from_str(json);
            Walk { node: &self.root, captures: &mut captures }.deserialize(&mut deserializer).ok()?;
            deserializer.end().ok()?;
        }
        Some(Selection { captures, request_id: self.request_id })
    }
}

impl<'a> Selection<'a> {
    /// The value at `path`, which must have been linked to the selector that made this selection.
    pub fn get(&self, path: &BodyPath) -> Option<&'a RawValue> {
        path.slot().and_then(|slot| *self.captures.get(slot)?)
    }

    /// The client's own id: the member `requestId`.
    pub fn request_id(&self) -> Option<&'a RawValue> {
        self.request_id.and_then(|slot| *self.captures.get(slot)?)
    }
}

impl Node {
    fn insert(&mut self, steps: &[Step]) {
        let Some((step, rest)) = steps.split_first() else {
            self.wanted = true;
            return;
        };
        match step {
            Step::Name(name) => child(&mut self.names, name.as_str().into()).insert(rest),
            Step::Index(index) => child(&mut self.indices, *index).insert(rest),
        }
    }

    fn number(&mut self, next: usize) -> usize {
        let mut end = next + usize::from(self.wanted);
        for node in self.children_mut() {
            end = node.number(end);
        }
        (self.first, self.end) = (next, end);
        end
    }

    fn children_mut(&mut self) -> impl Iterator<Item = &mut Self> + use<'_> {
        self.names.iter_mut().map(|(_, node)| node).chain(self.indices.iter_mut().map(|(_, node)| node))
    }

    fn slot(&self, steps: &[Step]) -> Option<usize> {
        let Some((step, rest)) = steps.split_first() else {
            return self.wanted.then_some(self.first);
        };
        match step {
            Step::Name(name) => self.name(name)?.slot(rest),
            Step::Index(index) => self.index(*index)?.slot(rest),
        }
    }

    fn name(&self, name: &str) -> Option<&Self> {
        self.names.iter().find(|(known, _)| &**known == name).map(|(_, node)| node)
    }

    fn index(&self, index: u32) -> Option<&Self> {
        self.indices.iter().find(|(known, _)| *known == index).map(|(_, node)| node)
    }

    fn has_children(&self) -> bool {
        !self.names.is_empty() || !self.indices.is_empty()
    }

    /// Stores a value wanted whole, then looks into it for the parts that are wanted too.
    fn capture<'a>(&self, raw: &'a RawValue, captures: &mut [Option<&'a RawValue>]) -> Option<()> {
        if let Some(slot) = captures.get_mut(self.first) {
            *slot = Some(raw);
        }
        if self.has_children() && raw.get().starts_with(['{', '[']) {
            let mut deserializer = serde_json::Deserializer::from_str(raw.get());
            Walk { node: self, captures }.deserialize(&mut deserializer).ok()?;
        }
        Some(())
    }

    fn reset(&self, captures: &mut [Option<&RawValue>]) {
        if let Some(subtree) = captures.get_mut(self.first..self.end) {
            subtree.fill(None);
        }
    }
}

fn child<K: PartialEq>(children: &mut Vec<(K, Node)>, key: K) -> &mut Node {
    let at = children.iter().position(|(known, _)| *known == key).unwrap_or_else(|| {
        children.push((key, Node::default()));
        children.len() - 1
    });
    &mut children[at].1
}

/// Descends into one value for the children of a node.
struct Walk<'n, 'c, 'de> {
    node: &'n Node,
    captures: &'c mut [Option<&'de RawValue>],
}

impl<'de> Walk<'_, '_, 'de> {
    /// Reads the value of a matched member or element.
    fn matched<E: serde::de::Error>(
        &mut self,
        node: &Node,
        raw: impl FnOnce() -> Result<&'de RawValue, E>,
    ) -> Result<(), E> {
        node.capture(raw()?, self.captures).ok_or_else(|| E::custom("nested value"))
    }
}

impl<'de> DeserializeSeed<'de> for Walk<'_, '_, 'de> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        if self.node.has_children() {
            deserializer.deserialize_any(self)
        } else {
            deserializer.deserialize_ignored_any(IgnoredAny).map(drop)
        }
    }
}

impl<'de> Visitor<'de> for Walk<'_, '_, 'de> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON value")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
        while let Some(found) = map.next_key_seed(Key(self.node))? {
            let Some(node) = found else {
                map.next_value::<IgnoredAny>()?;
                continue;
            };
            node.reset(self.captures);
            if node.wanted {
                self.matched(node, || map.next_value())?;
            } else {
                map.next_value_seed(Walk { node, captures: self.captures })?;
            }
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut seq: A) -> Result<(), A::Error> {
        for index in 0_u32.. {
            let more = match self.node.index(index) {
                None => seq.next_element::<IgnoredAny>()?.is_some(),
                Some(node) if node.wanted => match seq.next_element::<&'de RawValue>()? {
                    Some(raw) => self.matched(node, || Ok(raw)).map(|()| true)?,
                    None => false,
                },
                Some(node) => seq.next_element_seed(Walk { node, captures: self.captures })?.is_some(),
            };
            if !more {
                break;
            }
        }
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }
}

/// Finds the child a member name leads to, without keeping the name.
struct Key<'n>(&'n Node);

impl<'n, 'de> DeserializeSeed<'de> for Key<'n> {
    type Value = Option<&'n Node>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'n> Visitor<'_> for Key<'n> {
    type Value = Option<&'n Node>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a member name")
    }

    fn visit_str<E>(self, name: &str) -> Result<Self::Value, E> {
        Ok(self.0.name(name))
    }
}

#[cfg(test)]
mod tests;
