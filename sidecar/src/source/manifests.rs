//! Manifests: files of `WebSocketRoute`s, and what `compile` makes of them, with problems located in the files.
//!
//! Reading is apart from compiling so that a watcher can compare what it read, and so that everything but [`read`] is
//! pure. Problems carry file, line and field because the reader is about to open that file.
//!
//! Invariant: every problem of every file is reported, whatever else is wrong.

use std::collections::BTreeSet;
use std::fmt;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use moorline_crds::compile::{self, Backend, Problem, compile, service_of};
use moorline_crds::document::{Document, ServiceId};
use moorline_crds::v1alpha1::WebSocketRoute;
use moorline_crds::yaml::{Manifest, Outline, parse_manifests};

/// The largest file that is read, so that a mistaken path does not fill memory.
const MAX_BYTES: u64 = 16 * 1024 * 1024;
/// What a directory's manifests end with.
const EXTENSIONS: [&str; 3] = ["yaml", "yml", "json"];

/// A file, or why it could not be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    /// Its name, as given or below the directory given.
    pub name: String,
    /// Its text.
    pub text: Result<String, String>,
}

/// A problem and where it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Located {
    /// The file.
    pub file: String,
    /// The line, counted from 1; none when it is the file as a whole.
    pub line: Option<usize>,
    /// Field, what was found, and the rule.
    pub message: String,
}

impl fmt::Display for Located {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "{}:{line}: {}", self.file, self.message),
            None => write!(f, "{}: {}", self.file, self.message),
        }
    }
}

/// What all files together say.
#[derive(Debug, Default)]
pub struct Compilation {
    /// One document for each Service that has a route without a problem.
    pub documents: Vec<Document>,
    /// Each manifest that could be read as one, with its file's name.
    pub manifests: Vec<(String, WebSocketRoute)>,
    /// Everything that is wrong, in the order of files and lines.
    pub problems: Vec<Located>,
    /// What is allowed and probably not meant, likewise.
    pub warnings: Vec<Located>,
}

/// Reads files, the manifests of directories, and standard input for `-`. Blocks.
pub fn read(paths: &[PathBuf]) -> Vec<File> {
    let mut files = Vec::new();
    for path in paths {
        if path.as_os_str() == "-" {
            files.push(file("standard input".to_owned(), text_of(io::stdin().lock())));
        } else if path.is_dir() {
            match manifests_in(path) {
                Ok(found) if found.is_empty() => {
                    files.push(file(name_of(path), Err("no *.yaml, *.yml or *.json in this directory".to_owned())));
                }
                Ok(found) => files.extend(found.iter().map(|path| read_file(path))),
                Err(error) => files.push(file(name_of(path), Err(error.to_string()))),
            }
        } else {
            files.push(read_file(path));
        }
    }
    files
}

/// The directories whose changes may change what [`read`] gives.
pub fn directories(paths: &[PathBuf]) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = paths
        .iter()
        .map(|path| match path.parent() {
            _ if path.is_dir() => path.clone(),
            Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
            _ => PathBuf::from("."),
        })
        .collect();
    found.sort();
    found.dedup();
    found
}

/// Compiles the routes of all files, by Service. `resolve` says how a route's app is reached.
pub fn compile_all(files: &[File], resolve: &dyn Fn(&WebSocketRoute) -> Result<Backend, String>) -> Compilation {
    let mut result = Compilation::default();
    let mut found: Vec<Found> = Vec::new();
    for (order, file) in files.iter().enumerate() {
        let before = found.len() + result.problems.len();
        let whole = |message: &str| Located { file: file.name.clone(), line: None, message: message.to_owned() };
        let text = match &file.text {
            Ok(text) => text,
            Err(reason) => {
                result.problems.push(whole(reason));
                continue;
            }
        };
        let outline = Outline::of(text);
        for parsed in parse_manifests(text) {
            match parsed {
                Ok(manifest) => found.push(Found { order, outline: outline.clone(), manifest }),
                Err(error) => result.problems.push(Located {
                    file: file.name.clone(),
                    line: Some(error.line),
                    message: error.to_string(),
                }),
            }
        }
        if found.len() + result.problems.len() == before {
            result.problems.push(whole("holds no WebSocketRoute"));
        }
    }
    let routes: Vec<WebSocketRoute> = found.iter().map(|found| found.manifest.route.clone()).collect();
    let services: BTreeSet<ServiceId> = routes.iter().map(service_of).collect();
    for service in &services {
        let compiled = compile(service, &routes, resolve);
        result.problems.extend(compiled.problems.iter().map(|problem| locate(problem, service, &found, files)));
        result.warnings.extend(compiled.warnings.iter().map(|warning| locate(warning, service, &found, files)));
        result.documents.push(compiled.document);
    }
    for (service, problem) in compile::settle_services(&mut result.documents, &routes) {
        result.problems.push(locate(&problem, &service, &found, files));
    }
    result.documents.retain(|document| !document.routes.is_empty());
    let order = |located: &Located| (files.iter().position(|file| file.name == located.file), located.line);
    // Stable: several problems of one line stay in the order of their fields.
    result.problems.sort_by_key(order);
    result.warnings.sort_by_key(order);
    result.manifests = found.into_iter().map(|found| (files[found.order].name.clone(), found.manifest.route)).collect();
    result
}

/// A manifest, and what is needed to find its fields again.
struct Found {
    order: usize,
    outline: Outline,
    manifest: Manifest,
}

fn locate(problem: &Problem, service: &ServiceId, found: &[Found], files: &[File]) -> Located {
    let of_route = |found: &&Found| {
        compile::route_id(&found.manifest.route) == problem.route && service_of(&found.manifest.route) == *service
    };
    // Of two routes with one name the later one is the one to change.
    let Some(found) = found.iter().rfind(of_route) else {
        return Located { file: problem.route.to_string(), line: None, message: problem.to_string() };
    };
    let manifest = &found.manifest;
    Located {
        file: files[found.order].name.clone(),
        line: Some(found.outline.line(manifest.index, &problem.field).unwrap_or(manifest.line)),
        message: problem.to_string(),
    }
}

fn file(name: String, text: Result<String, String>) -> File {
    File { name, text }
}

fn read_file(path: &Path) -> File {
    let text = std::fs::File::open(path).map_err(|error| describe(&error)).and_then(text_of);
    file(name_of(path), text)
}

fn text_of(reader: impl io::Read) -> Result<String, String> {
    let mut bytes = Vec::new();
    reader.take(MAX_BYTES + 1).read_to_end(&mut bytes).map_err(|error| describe(&error))?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(format!("is larger than {MAX_BYTES} bytes"));
    }
    String::from_utf8(bytes).map_err(|_| "is not UTF-8".to_owned())
}

fn describe(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "there is no such file".to_owned(),
        kind => format!("cannot be read: {kind}"),
    }
}

fn name_of(path: &Path) -> String {
    path.display().to_string()
}

fn manifests_in(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found: Vec<PathBuf> = std::fs::read_dir(directory)?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<io::Result<Vec<_>>>()?
        .into_iter()
        .filter(|path| {
            let extension = path.extension().and_then(|extension| extension.to_str());
            // Hidden files are what editors and volumes keep beside the real ones.
            let hidden = path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
            !hidden && extension.is_some_and(|extension| EXTENSIONS.contains(&extension)) && path.is_file()
        })
        .collect();
    found.sort();
    Ok(found)
}

#[cfg(test)]
pub(crate) mod tests;
