//! The line of every field in a YAML file.
//!
//! A flat list of paths instead of a tree: it is filled in one walk over the parser's events, and a path
//! that is not there (a default, a field of another spelling) falls back to its nearest parent.

use saphyr_parser::{Event, Parser};

/// The lines of a file's fields.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outline {
    documents: Vec<Document>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Document {
    start: usize,
    /// Paths as `spec.routes[2].key`, each with the line its key or element starts on.
    fields: Vec<(String, usize)>,
}

/// A mapping or sequence the walk is inside of.
enum Frame {
    Mapping {
        path: String,
        key: Option<String>,
    },
    Sequence {
        path: String,
        next: usize,
    },
    /// A mapping or sequence used as a key; nothing in it has a path.
    Key,
}

impl Outline {
    /// Reads the lines of a file, as far as it is YAML.
    pub fn of(text: &str) -> Self {
        let mut outline = Self::default();
        let mut frames = Vec::new();
        let mut parser = Parser::new_from_str(text);
        while let Some(Ok((event, span))) = parser.next_event() {
            let line = span.start.line();
            match event {
                Event::DocumentStart(_) => {
                    frames.clear();
                    outline.documents.push(Document { start: line, fields: Vec::new() });
                }
                Event::Scalar(text, ..) => outline.node(&mut frames, line, Some(&text)).map_or((), drop),
                Event::Alias(_) => outline.node(&mut frames, line, None).map_or((), drop),
                Event::MappingStart(..) => {
                    let frame = outline.node(&mut frames, line, None);
                    frames.push(frame.map_or(Frame::Key, |path| Frame::Mapping { path, key: None }));
                }
                Event::SequenceStart(..) => {
                    let frame = outline.node(&mut frames, line, None);
                    frames.push(frame.map_or(Frame::Key, |path| Frame::Sequence { path, next: 0 }));
                }
                Event::MappingEnd | Event::SequenceEnd => {
                    if let (Some(Frame::Key), Some(Frame::Mapping { key, .. })) = (frames.pop(), frames.last_mut()) {
                        *key = Some(String::new());
                    }
                }
                Event::DocumentEnd | Event::Nothing | Event::StreamStart | Event::StreamEnd => {}
            }
        }
        outline
    }

    /// How many documents there are, up to the first syntax error.
    pub fn documents(&self) -> usize {
        self.documents.len()
    }

    /// The line a document starts on, counted from 1.
    pub fn start(&self, document: usize) -> usize {
        self.documents.get(document).map_or(1, |document| document.start)
    }

    /// The line of a field of a document, or of its nearest parent that is there.
    pub fn line(&self, document: usize, field: &str) -> Option<usize> {
        let mut field = field;
        loop {
            if let Some(line) = self.exact_line(document, field) {
                return Some(line);
            }
            field = field.get(..field.rfind(['.', '['])?)?;
        }
    }

    /// The line of a field of a document, if it is there.
    pub fn exact_line(&self, document: usize, field: &str) -> Option<usize> {
        let fields = &self.documents.get(document)?.fields;
        fields.iter().find(|(path, _)| path == field).map(|(_, line)| *line)
    }

    /// Notes one node and gives its path; `None` when it is a key.
    fn node(&mut self, frames: &mut [Frame], line: usize, scalar: Option<&str>) -> Option<String> {
        let document = self.documents.last_mut()?;
        match frames.last_mut() {
            None => {
                document.start = line;
                Some(String::new())
            }
            Some(Frame::Key) => None,
            Some(Frame::Sequence { path, next }) => {
                let path = format!("{path}[{next}]");
                *next += 1;
                document.fields.push((path.clone(), line));
                Some(path)
            }
            Some(Frame::Mapping { path, key }) => match key.take() {
                None => {
                    let name = scalar?;
                    let path = join(path, name);
                    document.fields.push((path, line));
                    *key = Some(name.to_owned());
                    None
                }
                Some(name) => Some(join(path, &name)),
            },
        }
    }
}

fn join(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}
