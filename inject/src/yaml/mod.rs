//! Manifests as text: read as `kubectl` reads them, changed, and printed so that it reads the same again.
//!
//! Not by `serde_yaml`, which speaks YAML 1.2. `kubectl` speaks 1.1: to it `defaultMode: 0644` is 420 and `hostNetwork:
//! yes` is true, which the other takes for texts; and of `"on"` the other leaves out the quotes, after which it is a
//! boolean to `kubectl`. A manifest that went through it would come out as another one. What is kept is the order of
//! keys; comments are not, so that documents that do not change are not printed anew at all.
//!
//! Invariant: what is printed reads as what was printed, by the rules of 1.1 and of 1.2.

mod print;
mod read;
mod scalar;
#[cfg(test)]
mod tests;

use json_patch::{Patch, PatchOperation};
use jsonptr::Pointer;
use serde_json::{Map, Value};

pub(crate) use print::print;
pub(crate) use read::read;

/// A document that remembers the order of its keys.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Node {
    /// Neither a list nor a map.
    Scalar(Value),
    /// Elements.
    List(Vec<Node>),
    /// Members, each key once.
    Map(Vec<(String, Node)>),
}

impl Node {
    /// Without the order.
    pub(crate) fn to_json(&self) -> Value {
        match self {
            Self::Scalar(value) => value.clone(),
            Self::List(items) => items.iter().map(Self::to_json).collect(),
            Self::Map(members) => {
                let members = members.iter().map(|(key, value)| (key.clone(), value.to_json()));
                Value::Object(members.collect::<Map<_, _>>())
            }
        }
    }

    /// In the order of the alphabet.
    pub(crate) fn from_json(value: &Value) -> Self {
        match value {
            Value::Array(items) => Self::List(items.iter().map(Self::from_json).collect()),
            Value::Object(members) => {
                Self::Map(members.iter().map(|(key, value)| (key.clone(), Self::from_json(value))).collect())
            }
            scalar => Self::Scalar(scalar.clone()),
        }
    }

    /// Makes the changes of a patch of ours: additions and replacements. `None` when one does not apply.
    pub(crate) fn patch(&mut self, patch: &Patch) -> Option<()> {
        patch.0.iter().try_for_each(|operation| match operation {
            PatchOperation::Add(add) => self.put(&add.path, Self::from_json(&add.value), true),
            PatchOperation::Replace(replace) => self.put(&replace.path, Self::from_json(&replace.value), false),
            _ => None,
        })
    }

    fn put(&mut self, path: &Pointer, node: Self, adds: bool) -> Option<()> {
        let (parent, last) = path.split_back()?;
        let parent = parent.tokens().try_fold(self, |node, token| node.child(&token.decoded()))?;
        let name = last.decoded();
        match parent {
            Self::Map(members) => {
                match members.iter_mut().find(|(key, _)| *key == name) {
                    Some((_, value)) => *value = node,
                    None => members.push((name.into_owned(), node)),
                }
                Some(())
            }
            Self::List(items) if adds => {
                let at = if name == "-" { items.len() } else { name.parse().ok()? };
                (at <= items.len()).then(|| items.insert(at, node))
            }
            _ => None,
        }
    }

    fn child(&mut self, name: &str) -> Option<&mut Self> {
        match self {
            Self::Map(members) => members.iter_mut().find(|(key, _)| key == name).map(|(_, value)| value),
            Self::List(items) => items.get_mut(name.parse::<usize>().ok()?),
            Self::Scalar(_) => None,
        }
    }
}
