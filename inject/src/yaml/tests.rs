//! Both directions against each other, and against what `kubectl` takes texts for.

#![allow(clippy::unwrap_used, clippy::panic)] // tests fail by panicking

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

fn json_of(text: &str) -> Value {
    read(text).unwrap().unwrap().to_json()
}

#[test]
fn scalars_mean_what_kubectl_takes_them_for() {
    let text = "
mode: 0644
hex: 0x1F
yes: on
quoted: 'on'
no: ['no', no, n, Off]
text: [yess, 1.2.3, 12:30, 2026-01-01, 1_000, 0x, 64Mi, '1']
numbers: [1, -1, +1, 1.5, .5, 1e3, 089, 18446744073709551615]
nothing: [~, null, '']
empty:
block: |
  a: b
tagged: [!!str 1, !!int '2']
";
    let expected = json!({
        "mode": 420, "hex": 31, "true": true, "quoted": "on", "false": ["no", false, false, false],
        "text": ["yess", "1.2.3", "12:30", "2026-01-01", 1000, "0x", "64Mi", "1"],
        "numbers": [1, -1, 1, 1.5, 0.5, 1000.0, 89.0, u64::MAX],
        "nothing": [null, null, ""], "empty": null, "block": "a: b\n", "tagged": ["1", 2],
    });
    assert_eq!(json_of(text), expected);
}

#[test]
fn anchors_and_merges_are_written_out() {
    let text = "
base: &base {a: 1, b: 2}
other: &other {b: 3, c: 4}
one: {<<: *base, b: 5}
two: {<<: [*base, *other]}
again: *base
";
    let found = json_of(text);
    assert_eq!(found["one"], json!({"a": 1, "b": 5}));
    assert_eq!(found["two"], json!({"a": 1, "b": 2, "c": 4}));
    assert_eq!(found["again"], json!({"a": 1, "b": 2}));
}

#[test]
fn what_cannot_be_read_is_told_with_its_line() {
    let deep = "[".repeat(200);
    let bomb = (0..9).fold("a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n".to_owned(), |text, level| {
        let element = format!("*a{level}");
        format!("{text}a{}: &a{} [{}]\n", level + 1, level + 1, vec![element; 10].join(","))
    });
    for (text, line, message) in [
        ("a: 1\nb: {{ .Values.x }}\n", 2, ""),
        ("a: 1\na: 2\n", 2, "`a` is there twice"),
        ("a: 1\nb: !secret x\n", 2, "the tag `!secret` means nothing to Kubernetes"),
        ("? [a]\n: 1\n", 1, "a key is not a text"),
        ("<<: 1\n", 1, "`<<` merges maps only"),
        ("a: 1\n...\nb: 2\n", 3, "a second document begins without `---`"),
        (&deep, 1, "is nested deeper than 100 levels"),
        (&bomb, 6, "has more than 1000000 values"),
    ] {
        let error = read(text).unwrap_err();
        assert_eq!(error.line, line, "{text} {error}");
        assert!(message.is_empty() || error.message == message, "{error}");
    }
}

#[test]
fn a_document_is_printed_as_kubectl_does() {
    let text = r##"kind: Pod
metadata:
  annotations:
    moorline.dev/access-log: "on"
    moorline.dev/drain-window: 1h30m
    moorline.dev/services: orders,users
  labels: {}
spec:
  args:
  - - nested
    - list
  - "0644"
  - "2026-01-01"
  - "yes"
  - a sentence
  - "a: b"
  - "#"
  - ""
  - |
    set -e
    exec "$@"
  cpu: 25m
  image: registry.example:5000/orders:1
  volumes:
  - emptyDir: {}
    name: data
  - []
  - script: |-
      a

      b
    size: 1
"##;
    assert_eq!(print(&read(text).unwrap().unwrap()), text);
}

#[test]
fn the_order_of_keys_is_the_authors_and_new_ones_come_last() {
    let mut node = read("z: 1\na: {x: 1, b: [1]}\n").unwrap().unwrap();
    let patch: Patch = serde_json::from_value(json!([
        {"op": "add", "path": "/a/b/0", "value": "first"},
        {"op": "add", "path": "/a/b/-", "value": "last"},
        {"op": "add", "path": "/a/x~1w", "value": {"c": []}},
        {"op": "replace", "path": "/z", "value": 2},
    ]))
    .unwrap();
    node.patch(&patch).unwrap();
    assert_eq!(print(&node), "z: 2\na:\n  x: 1\n  b:\n  - first\n  - 1\n  - last\n  x/w:\n    c: []\n");
    let wrong: Patch = serde_json::from_value(json!([{"op": "add", "path": "/z/b", "value": 1}])).unwrap();
    assert_eq!(node.patch(&wrong), None);
}

fn texts() -> BoxedStrategy<String> {
    prop_oneof![
        "[a-z0-9:.#\\- _'\"]{0,12}",
        "[ \ta\n|>]{0,10}",
        "[0-9xobEe+.\\-_:]{1,6}",
        "\\PC{0,6}",
        any::<String>(),
        prop::sample::select(vec![
            "on", "off", "y", "N", "null", "~", "<<", "---", "true", "=", "0o7", "1e3", ".inf", ".NaN"
        ])
        .prop_map(str::to_owned),
    ]
    .boxed()
}

fn values() -> BoxedStrategy<Value> {
    let scalar = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        prop::num::f64::NORMAL.prop_map(Value::from),
        texts().prop_map(Value::from),
        texts().prop_map(Value::from),
    ];
    scalar
        .prop_recursive(5, 40, 5, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
                prop::collection::btree_map(texts(), inner, 0..5)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
        .boxed()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_printed_reads_as_what_was_printed(value in values()) {
        let text = print(&Node::from_json(&value));
        prop_assert_eq!(json_of(&text), value.clone(), "{}", text);
        // And to a reader of YAML 1.2.
        let other: Value = serde_yaml::from_str(&text).unwrap();
        prop_assert_eq!(other, value, "{}", text);
    }

    #[test]
    fn any_text_is_read_or_refused(text in "[a-c:\\-\\[\\]{}&*!<>|? \n'\"#,]{0,40}") {
        drop(read(&text));
    }
}
