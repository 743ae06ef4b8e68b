//! Scopes for tests: the two kinds of value without a data plane around them.
//!
//! One place for them, because every module of templates is tested against the same two.

use std::borrow::Cow;

use crate::expression::{BodyPath, Source};
use crate::scope::{Scope, Value};
use crate::select::{Selection, Selector};

/// Every source has this text, or none.
pub(crate) struct TextScope<'a>(pub(crate) Option<&'a str>);

impl Scope for TextScope<'_> {
    fn lookup(&self, _: &Source) -> Option<Value<'_>> {
        self.0.map(|text| Value::Text(Cow::Borrowed(text)))
    }
}

/// Only the message's body has values.
pub(crate) struct BodyScope<'a>(pub(crate) Selection<'a>);

impl Scope for BodyScope<'_> {
    fn lookup(&self, source: &Source) -> Option<Value<'_>> {
        match source {
            Source::Body(path) => self.0.get(path).map(Value::Json),
            _ => None,
        }
    }
}

/// Links the body paths among some sources.
pub(crate) fn link<'s>(sources: impl Iterator<Item = &'s mut Source>) -> Selector {
    let mut sources: Vec<&mut Source> = sources.collect();
    Selector::link(true, |link: &mut dyn FnMut(&mut BodyPath)| {
        for source in &mut sources {
            if let Source::Body(path) = source {
                link(path);
            }
        }
    })
}
