//! Writes a JSON patch by making its changes.
//!
//! Each step is applied to a copy at once, so that the next one sees what is there: whether a list exists yet, or at
//! which index an element stands. Only `add` is used, and `replace` for the one number that may grow. The alternative, a
//! diff of the pod before and after, gives patches that replace elements of lists by their index whenever something was
//! put before them.

use json_patch::{AddOperation, Patch, PatchOperation, ReplaceOperation};
use jsonptr::PointerBuf;
use serde_json::{Value, json};
use thiserror::Error;

/// A place could not be written.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{path} is not what it is in a pod")]
pub(crate) struct EditError {
    /// Which.
    pub(crate) path: String,
}

/// A document and the changes made to it.
#[derive(Debug)]
pub(crate) struct Editor {
    document: Value,
    operations: Vec<PatchOperation>,
}

impl Editor {
    /// Starts without a change.
    pub(crate) fn new(document: &Value) -> Self {
        Self { document: document.clone(), operations: Vec::new() }
    }

    /// The document as it is by now.
    pub(crate) fn document(&self) -> &Value {
        &self.document
    }

    /// The changes.
    pub(crate) fn finish(self) -> Patch {
        Patch(self.operations)
    }

    /// Gives a member of an object its value. Nothing happens when it has it; objects on the way are made.
    pub(crate) fn set(&mut self, path: &[&str], value: Value) -> Result<(), EditError> {
        let found = self.at(path).filter(|found| !found.is_null());
        if found == Some(&value) {
            return Ok(());
        }
        let is_there = found.is_some();
        self.parents(path, json!({}))?;
        let path = pointer(path);
        self.apply(if is_there {
            PatchOperation::Replace(ReplaceOperation { path, value })
        } else {
            // An explicit `null` is overwritten by `add`, as an absent member is.
            PatchOperation::Add(AddOperation { path, value })
        })
    }

    /// Puts an element before all others of a list.
    pub(crate) fn insert_first(&mut self, list: &[&str], value: Value) -> Result<(), EditError> {
        self.insert(list, "0", value)
    }

    /// Puts an element after all others of a list.
    pub(crate) fn push(&mut self, list: &[&str], value: Value) -> Result<(), EditError> {
        self.insert(list, "-", value)
    }

    fn insert(&mut self, list: &[&str], index: &str, value: Value) -> Result<(), EditError> {
        let path = [list, &[index]].concat();
        self.parents(&path, json!([]))?;
        // In an object these places would be names of members.
        if !self.at(list).is_some_and(Value::is_array) {
            return Err(EditError { path: pointer(list).to_string() });
        }
        self.apply(PatchOperation::Add(AddOperation { path: pointer(&path), value }))
    }

    /// Makes what is missing above `path`: objects, and `last` right above it.
    fn parents(&mut self, path: &[&str], last: Value) -> Result<(), EditError> {
        let mut last = Some(last);
        for length in 1..path.len() {
            let parent = &path[..length];
            if self.at(parent).is_none_or(Value::is_null) {
                let value = if length + 1 == path.len() { last.take() } else { None };
                let value = value.unwrap_or_else(|| json!({}));
                self.apply(PatchOperation::Add(AddOperation { path: pointer(parent), value }))?;
            }
        }
        Ok(())
    }

    fn at(&self, path: &[&str]) -> Option<&Value> {
        path.iter().try_fold(&self.document, |value, token| match value {
            Value::Array(items) => items.get(token.parse::<usize>().ok()?),
            value => value.get(token),
        })
    }

    fn apply(&mut self, operation: PatchOperation) -> Result<(), EditError> {
        let path = operation.path().to_string();
        json_patch::patch(&mut self.document, std::slice::from_ref(&operation)).map_err(|_| EditError { path })?;
        self.operations.push(operation);
        Ok(())
    }
}

fn pointer(path: &[&str]) -> PointerBuf {
    PointerBuf::from_tokens(path.iter().copied())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parents_are_made_first_and_slashes_in_names_are_escaped() {
        let mut editor = Editor::new(&json!({"metadata": {"labels": null}}));
        editor.set(&["metadata", "labels", "moorline.dev/injected"], json!("true")).unwrap();
        editor.push(&["spec", "volumes"], json!({"name": "a"})).unwrap();
        let expected = json!([
            {"op": "add", "path": "/metadata/labels", "value": {}},
            {"op": "add", "path": "/metadata/labels/moorline.dev~1injected", "value": "true"},
            {"op": "add", "path": "/spec", "value": {}},
            {"op": "add", "path": "/spec/volumes", "value": []},
            {"op": "add", "path": "/spec/volumes/-", "value": {"name": "a"}},
        ]);
        assert_eq!(serde_json::to_value(editor.finish()).unwrap(), expected);
    }

    #[test]
    fn what_is_there_already_is_no_change() {
        let mut editor = Editor::new(&json!({"a": {"b": 1}}));
        editor.set(&["a", "b"], json!(1)).unwrap();
        assert!(editor.finish().0.is_empty());
    }

    #[test]
    fn the_first_place_of_a_list_is_before_what_is_in_it() {
        let mut editor = Editor::new(&json!({"list": ["x"]}));
        editor.insert_first(&["list"], json!("y")).unwrap();
        assert_eq!(editor.document(), &json!({"list": ["y", "x"]}));
    }

    #[test]
    fn a_place_that_is_not_what_it_should_be_is_named() {
        let mut editor = Editor::new(&json!({"spec": "text", "map": {}}));
        assert_eq!(editor.push(&["spec", "volumes"], json!({})).unwrap_err().path, "/spec/volumes");
        assert_eq!(editor.push(&["map"], json!({})).unwrap_err().path, "/map");
    }
}
