//! Scopes for tests: the two kinds of value without a data plane around them.
//!
//! One place for them, because every module of templates is tested against the same two.

#![allow(clippy::panic)] // tests fail by panicking

use std::borrow::Cow;

use crate::compile::{compile, service_of};
use crate::document::Document;
use crate::expression::{BodyPath, Source};
use crate::scope::{Scope, Value};
use crate::select::{Selection, Selector};
use crate::v1alpha1::WebSocketRoute;

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

/// A route named `test` of the Service `app`, from the fields of its spec (indented by two) as YAML.
pub(crate) fn manifest(spec: &str) -> WebSocketRoute {
    let text = format!(
        "apiVersion: moorline.dev/v1alpha1\nkind: WebSocketRoute\nmetadata: {{name: test}}\nspec:\n  serviceRef: {{name: app, port: 80}}\n{spec}"
    );
    serde_yaml::from_str(&text).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

/// The document of one route without problems.
pub(crate) fn document(spec: &str) -> Document {
    let manifest = manifest(spec);
    let compiled = compile(&service_of(&manifest), &[manifest], &upstream);
    assert_eq!(compiled.problems, []);
    compiled.document
}

/// The app of every test.
#[allow(clippy::unnecessary_wraps)] // the signature is that of `compile`'s resolver
pub(crate) fn upstream(_: &WebSocketRoute) -> Result<crate::compile::Backend, String> {
    Ok(crate::compile::Backend::at("127.0.0.1:3000"))
}
