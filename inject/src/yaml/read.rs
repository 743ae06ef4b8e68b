//! Reads one document.
//!
//! From the parser's events, because they tell whether a scalar had quotes. Anchors and merges are written out, since
//! what they share may differ afterwards; how much they may write out is bounded, and so is the depth.

use std::collections::HashMap;

use saphyr_parser::{Event, Parser, ScalarStyle, Tag};
use serde_json::Value;
use thiserror::Error;

use super::Node;
use super::scalar::plain;

/// Deeper than any manifest, and far from the end of the stack.
const MAX_DEPTH: usize = 100;
/// Values after anchors were written out.
const MAX_NODES: usize = 1_000_000;

/// A document cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{message}")]
pub(crate) struct ReadError {
    /// The line, counted from 1.
    pub(crate) line: usize,
    /// What is wrong.
    pub(crate) message: String,
}

/// A list or map that is not at its end yet.
enum Open {
    List {
        anchor: usize,
        items: Vec<Node>,
    },
    Map {
        anchor: usize,
        members: Vec<(String, Node)>,
        /// Members of maps that are merged into this one; its own win.
        merged: Vec<(String, Node)>,
        /// The key that waits for its value.
        key: Option<Key>,
    },
}

enum Key {
    Name(String),
    /// `<<`
    Merge,
}

#[derive(Default)]
struct Reader {
    open: Vec<Open>,
    anchors: HashMap<usize, Node>,
    root: Option<Node>,
    nodes: usize,
}

/// Reads a text of at most one document; `None` when it has none.
pub(crate) fn read(text: &str) -> Result<Option<Node>, ReadError> {
    let mut reader = Reader::default();
    let mut parser = Parser::new_from_str(text);
    while let Some(event) = parser.next_event() {
        let (event, span) =
            event.map_err(|error| ReadError { line: error.marker().line(), message: error.info().to_owned() })?;
        reader.event(event).map_err(|message| ReadError { line: span.start.line(), message })?;
    }
    Ok(reader.root)
}

impl Reader {
    fn event(&mut self, event: Event<'_>) -> Result<(), String> {
        match event {
            Event::DocumentStart(_) if self.root.is_some() => Err("a second document begins without `---`".to_owned()),
            Event::Scalar(text, style, anchor, tag) => self.scalar(&text, style, anchor, tag.as_deref()),
            Event::SequenceStart(anchor, tag) => self.begin(Open::List { anchor, items: Vec::new() }, tag.as_deref()),
            Event::MappingStart(anchor, tag) => {
                let open = Open::Map { anchor, members: Vec::new(), merged: Vec::new(), key: None };
                self.begin(open, tag.as_deref())
            }
            Event::SequenceEnd | Event::MappingEnd => self.end(),
            Event::Alias(anchor) => {
                let node = self.anchors.get(&anchor).cloned().ok_or("an alias inside of its own anchor")?;
                self.charge(count(&node))?;
                self.place(node, 0)
            }
            _ => Ok(()),
        }
    }

    fn begin(&mut self, open: Open, tag: Option<&Tag>) -> Result<(), String> {
        if let Some(tag) = tag.filter(|tag| !tag.is_yaml_core_schema()) {
            return Err(foreign(tag));
        }
        if self.open.len() == MAX_DEPTH {
            return Err(format!("is nested deeper than {MAX_DEPTH} levels"));
        }
        if self.waits_for_key() {
            return Err(NO_KEY.to_owned());
        }
        self.charge(1)?;
        self.open.push(open);
        Ok(())
    }

    fn end(&mut self) -> Result<(), String> {
        match self.open.pop() {
            Some(Open::List { anchor, items }) => self.place(Node::List(items), anchor),
            Some(Open::Map { anchor, mut members, merged, .. }) => {
                add_missing(&mut members, merged);
                self.place(Node::Map(members), anchor)
            }
            None => Ok(()),
        }
    }

    fn scalar(&mut self, text: &str, style: ScalarStyle, anchor: usize, tag: Option<&Tag>) -> Result<(), String> {
        let is_plain = match tag {
            None => style == ScalarStyle::Plain,
            Some(tag) if !tag.is_yaml_core_schema() => return Err(foreign(tag)),
            Some(tag) => match tag.suffix.as_str() {
                "str" => false,
                "int" | "bool" | "null" | "float" => true,
                _ => return Err(foreign(tag)),
            },
        };
        self.charge(1)?;
        let value = if is_plain { plain(text) } else { Value::String(text.to_owned()) };
        if let Some(Open::Map { members, key: key @ None, .. }) = self.open.last_mut() {
            if is_plain && text == "<<" {
                *key = Some(Key::Merge);
                return Ok(());
            }
            let name = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            if members.iter().any(|(known, _)| *known == name) {
                return Err(format!("`{name}` is there twice"));
            }
            *key = Some(Key::Name(name));
            return Ok(());
        }
        self.place(Node::Scalar(value), anchor)
    }

    fn waits_for_key(&self) -> bool {
        matches!(self.open.last(), Some(Open::Map { key: None, .. }))
    }

    /// Puts a whole node to where it belongs.
    fn place(&mut self, node: Node, anchor: usize) -> Result<(), String> {
        if anchor > 0 {
            self.anchors.insert(anchor, node.clone());
        }
        match self.open.last_mut() {
            None => self.root = Some(node),
            Some(Open::List { items, .. }) => items.push(node),
            Some(Open::Map { members, merged, key, .. }) => match key.take() {
                Some(Key::Name(name)) => members.push((name, node)),
                Some(Key::Merge) => merge(merged, node)?,
                None => return Err(NO_KEY.to_owned()),
            },
        }
        Ok(())
    }

    fn charge(&mut self, nodes: usize) -> Result<(), String> {
        self.nodes += nodes;
        if self.nodes > MAX_NODES { Err(format!("has more than {MAX_NODES} values")) } else { Ok(()) }
    }
}

const NO_KEY: &str = "a key is not a text";

fn foreign(tag: &Tag) -> String {
    format!("the tag `{}{}` means nothing to Kubernetes", tag.handle, tag.suffix)
}

fn count(node: &Node) -> usize {
    match node {
        Node::Scalar(_) => 1,
        Node::List(items) => 1 + items.iter().map(count).sum::<usize>(),
        Node::Map(members) => 1 + members.iter().map(|(_, value)| count(value)).sum::<usize>(),
    }
}

/// What `<<` names: a map, or several of which the first wins.
fn merge(merged: &mut Vec<(String, Node)>, node: Node) -> Result<(), String> {
    match node {
        Node::Map(members) => add_missing(merged, members),
        Node::List(items) => {
            for item in items {
                let Node::Map(members) = item else { return Err(NO_MAP.to_owned()) };
                add_missing(merged, members);
            }
        }
        Node::Scalar(_) => return Err(NO_MAP.to_owned()),
    }
    Ok(())
}

const NO_MAP: &str = "`<<` merges maps only";

fn add_missing(members: &mut Vec<(String, Node)>, others: Vec<(String, Node)>) {
    for (key, value) in others {
        if members.iter().all(|(known, _)| *known != key) {
            members.push((key, value));
        }
    }
}
