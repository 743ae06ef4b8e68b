//! From the parser's events to a tree.
//!
//! Aliases become copies of what they name and merge keys the fields they bring in, since a place that is shared cannot
//! be changed alone.

use std::collections::HashMap;

use saphyr_parser::{Event, Parser, ScalarStyle, Tag};

use super::{Node, Scalar, Style, TreeError};

/// Nodes of a document. Manifests have thousands; aliases of aliases make millions of a few lines.
const MAX_NODES: usize = 100_000;
/// Depth of a document.
const MAX_DEPTH: usize = 100;

/// A collection that is being read.
struct Open {
    anchor: usize,
    node: Node,
    /// The key that waits for its value.
    key: Option<Scalar>,
}

#[derive(Default)]
struct Builder {
    open: Vec<Open>,
    anchors: HashMap<usize, Node>,
    nodes: usize,
    root: Option<Node>,
}

/// The root of a document; none when there is nothing.
pub(super) fn build(text: &str) -> Result<Option<Node>, TreeError> {
    let mut builder = Builder::default();
    let mut documents = 0;
    let mut parser = Parser::new_from_str(text);
    while let Some(event) = parser.next_event() {
        let (event, span) = event.map_err(|error| TreeError {
            line: error.marker().line(),
            message: format!("cannot be read as YAML: {}", error.info()),
        })?;
        if matches!(event, Event::DocumentStart(_)) {
            documents += 1;
            if documents > 1 {
                return Err(TreeError { line: span.start.line(), message: "a second document".to_owned() });
            }
        }
        builder.event(event).map_err(|message| TreeError { line: span.start.line(), message: message.to_owned() })?;
    }
    // A document of comments alone is an empty scalar to some parsers.
    let empty = Node::Scalar(Scalar { text: String::new(), style: Style::Plain });
    Ok(builder.root.filter(|root| *root != empty))
}

impl Builder {
    fn event(&mut self, event: Event<'_>) -> Result<(), &'static str> {
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let style = match style {
                    ScalarStyle::Plain if is_text(tag.as_deref())? => Style::Quoted,
                    ScalarStyle::Plain => Style::Plain,
                    ScalarStyle::SingleQuoted | ScalarStyle::DoubleQuoted => Style::Quoted,
                    ScalarStyle::Literal | ScalarStyle::Folded => Style::Block,
                };
                self.finish(anchor, Node::Scalar(Scalar { text: text.into_owned(), style }))
            }
            Event::Alias(anchor) => {
                let node = self.anchors.get(&anchor).cloned().ok_or("an alias of something that contains it")?;
                self.nodes += node.size();
                self.finish(0, node)
            }
            Event::SequenceStart(anchor, _) => self.begin(anchor, Node::Sequence(Vec::new())),
            Event::MappingStart(anchor, _) => self.begin(anchor, Node::Mapping(Vec::new())),
            Event::SequenceEnd | Event::MappingEnd => match self.open.pop() {
                Some(Open { anchor, mut node, .. }) => {
                    node.merge();
                    self.finish(anchor, node)
                }
                None => Ok(()),
            },
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentStart(_) | Event::DocumentEnd => {
                Ok(())
            }
        }
    }

    fn begin(&mut self, anchor: usize, node: Node) -> Result<(), &'static str> {
        if self.open.len() >= MAX_DEPTH {
            return Err("is nested too deeply");
        }
        self.open.push(Open { anchor, node, key: None });
        Ok(())
    }

    fn finish(&mut self, anchor: usize, node: Node) -> Result<(), &'static str> {
        self.nodes += 1;
        if self.nodes > MAX_NODES {
            return Err("is larger than any manifest");
        }
        if anchor > 0 {
            self.anchors.insert(anchor, node.clone());
        }
        let Some(Open { node: parent, key, .. }) = self.open.last_mut() else {
            self.root = Some(node);
            return Ok(());
        };
        match (parent, key.take(), node) {
            (Node::Mapping(fields), Some(key), value) => fields.push((key, value)),
            (Node::Mapping(_), None, Node::Scalar(name)) => *key = Some(name),
            (Node::Mapping(_), None, _) => return Err("a key that is no text"),
            (Node::Sequence(items), _, item) => items.push(item),
            (Node::Scalar(_), ..) => {}
        }
        Ok(())
    }
}

/// Whether a tag makes text of a plain scalar.
fn is_text(tag: Option<&Tag>) -> Result<bool, &'static str> {
    match tag {
        None => Ok(false),
        Some(tag) if tag.is_yaml_core_schema() => Ok(tag.suffix == "str"),
        Some(_) => Err("a tag of its own"),
    }
}

impl Node {
    fn size(&self) -> usize {
        1 + match self {
            Self::Scalar(_) => 0,
            Self::Sequence(items) => items.iter().map(Self::size).sum(),
            Self::Mapping(fields) => fields.iter().map(|(_, value)| value.size()).sum(),
        }
    }

    /// Puts the fields of a merge key (`<<`) beside the others, which win.
    fn merge(&mut self) {
        let Self::Mapping(fields) = self else { return };
        let is_merge = |(key, _): &(Scalar, Self)| key.text == "<<" && key.style == Style::Plain;
        let Some(at) = fields.iter().position(is_merge) else { return };
        let (_, merged) = fields.remove(at);
        let sources = match merged {
            Self::Sequence(sources) => sources,
            one => vec![one],
        };
        for source in sources {
            let Self::Mapping(brought) = source else { continue };
            for (key, value) in brought {
                if !fields.iter().any(|(known, _)| known.text == key.text) {
                    fields.push((key, value));
                }
            }
        }
    }
}
