#![allow(clippy::unwrap_used)] // tests fail by panicking

use proptest::prelude::*;
use serde_json::Value as Json;

use super::*;
use crate::expression::Source;
use crate::testing::link;

fn path(text: &str) -> BodyPath {
    let text = format!("${{request.body{text}}}");
    match crate::expression::Expression::parse(&text).unwrap().lone().unwrap() {
        Source::Body(path) => path.clone(),
        other => unreachable!("{other} is not a body path"),
    }
}

/// What each path finds in `json`; `None` when that is not JSON.
fn select<'a>(paths: &[&str], json: &'a str) -> Option<Vec<Option<&'a str>>> {
    let mut sources: Vec<Source> = paths.iter().map(|text| Source::Body(path(text))).collect();
    let selector = link(sources.iter_mut());
    let selection = selector.select(json)?;
    let get = |source: &Source| match source {
        Source::Body(path) => selection.get(path).map(RawValue::get),
        _ => None,
    };
    Some(sources.iter().map(get).collect())
}

#[test]
fn values_keep_the_senders_spelling() {
    let json = r#" {"a": 1.50, "b": {"c": [1, {"d": "x\u0041"}]}, "e": null} "#;
    let found =
        select(&[".a", ".b.c[0]", ".b.c[1].d", ".b.c", ".e", ".nope", ".a.b", ".b[0]", ".b.c.d"], json).unwrap();
    let expected = [
        Some("1.50"),
        Some("1"),
        Some(r#""x\u0041""#),
        Some(r#"[1, {"d": "x\u0041"}]"#),
        Some("null"),
        None,
        None,
        None,
        None,
    ];
    assert_eq!(found, expected);
}

#[test]
fn the_whole_body_is_the_whole_text() {
    assert_eq!(select(&[""], " [1,2] ").unwrap(), [Some("[1,2]")]);
    assert_eq!(select(&["", "[1]", ".a"], "[1,2]").unwrap(), [Some("[1,2]"), Some("2"), None]);
    assert_eq!(select(&[""], "7").unwrap(), [Some("7")]);
}

#[test]
fn the_last_duplicate_counts_with_everything_below_it() {
    assert_eq!(select(&[".a"], r#"{"a":1,"a":2}"#).unwrap(), [Some("2")]);
    assert_eq!(select(&[".a.b", ".a.c"], r#"{"a":{"b":1,"c":2},"a":{"b":3}}"#).unwrap(), [Some("3"), None]);
    assert_eq!(select(&[".a", ".a.b"], r#"{"a":{"b":1},"a":7}"#).unwrap(), [Some("7"), None]);
}

#[test]
fn member_names_are_compared_decoded() {
    assert_eq!(
        select(&[".ab", "['x y']", "['']"], r#"{"\u0061b":1,"x y":2,"":3}"#).unwrap(),
        [Some("1"), Some("2"), Some("3")]
    );
}

#[test]
fn what_is_not_json_selects_nothing() {
    for text in [
        "",
        " ",
        "{",
        "{}x",
        "{} {}",
        "hello",
        "{'a':1}",
        "[1,]",
        "01",
        "nul",
        "\u{feff}{}",
        r#"{"a":"\x"}"#,
        "{\"a\":\"\n\"}",
    ] {
        for paths in [&[][..], &[""], &[".a"], &["[0]"]] {
            assert_eq!(select(paths, text), None, "{text:?} {paths:?}");
        }
    }
}

#[test]
fn deep_nesting_is_no_danger() {
    let deep = format!("{}1{}", "[".repeat(100_000), "]".repeat(100_000));
    assert_eq!(select(&[".a"], &deep).unwrap(), [None]);
    let below = format!(r#"{{"a":{deep},"b":1}}"#);
    assert_eq!(select(&[".b", ".a"], &below).unwrap()[0], Some("1"));
}

#[test]
fn the_request_id_is_always_there() {
    let selector = Selector::link(true, |_| {});
    assert_eq!(selector.select(r#"{"requestId":"x"}"#).unwrap().request_id().map(RawValue::get), Some("\"x\""));
    assert!(selector.select(r#"{"a":"x"}"#).unwrap().request_id().is_none());
    assert!(Selector::link(false, |_| {}).is_empty());
}

fn json() -> impl Strategy<Value = Json> {
    let leaf = prop_oneof![
        Just(Json::Null),
        any::<bool>().prop_map(Json::from),
        any::<i32>().prop_map(Json::from),
        "[a-c\"\\\\é\n]{0,4}".prop_map(Json::from),
    ];
    leaf.prop_recursive(4, 32, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Json::from),
            prop::collection::btree_map("[a-c]{1}|x y|requestId", inner, 0..4)
                .prop_map(|members| Json::Object(members.into_iter().collect())),
        ]
    })
}

fn paths() -> impl Strategy<Value = Vec<BodyPath>> {
    let step = prop_oneof!["[a-c]{1}|x y|requestId".prop_map(Step::Name), (0_u32..4).prop_map(Step::Index),];
    prop::collection::vec(prop::collection::vec(step, 0..4).prop_map(BodyPath::new), 0..6)
}

fn lookup<'a>(json: &'a Json, path: &BodyPath) -> Option<&'a Json> {
    path.steps().iter().try_fold(json, |value, step| match step {
        Step::Name(name) => value.as_object()?.get(name),
        Step::Index(index) => value.as_array()?.get(*index as usize),
    })
}

proptest! {
    #[test]
    fn the_selector_agrees_with_a_tree(json in json(), paths in paths(), pretty in any::<bool>()) {
        let text = if pretty { serde_json::to_string_pretty(&json).unwrap() } else { json.to_string() };
        let mut sources: Vec<Source> = paths.iter().cloned().map(Source::Body).collect();
        let selector = link(sources.iter_mut());
        let selection = selector.select(&text).unwrap();
        for source in &sources {
            let Source::Body(path) = source else { continue };
            let found = selection.get(path).map(|raw| serde_json::from_str::<Json>(raw.get()).unwrap());
            prop_assert_eq!(found.as_ref(), lookup(&json, path), "{}", source);
        }
        let id = selection.request_id().map(|raw| serde_json::from_str::<Json>(raw.get()).unwrap());
        prop_assert_eq!(id.as_ref(), json.get("requestId"));
    }

    #[test]
    fn any_text_is_json_to_the_selector_exactly_when_it_is(text in "[\\[\\]{}:,\"a0-9. truefalsn-]{0,16}", paths in paths()) {
        let mut sources: Vec<Source> = paths.into_iter().map(Source::Body).collect();
        let selector = link(sources.iter_mut());
        prop_assert_eq!(selector.select(&text).is_some(), serde_json::from_str::<&RawValue>(&text).is_ok());
    }
}
