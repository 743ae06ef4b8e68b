#![allow(clippy::unwrap_used)] // tests fail by panicking

use crate::document::Route;
use crate::testing::{BodyScope, document};

fn chosen(route: &Route, message: &str) -> Option<String> {
    let selection = route.selector().select(message)?;
    route.choose(&BodyScope(selection)).map(|(key, action)| {
        assert_eq!(key, action.key);
        key.to_owned()
    })
}

#[test]
fn a_message_selects_its_action_and_never_a_special_one() {
    let routes = "  routes: [{key: $connect}, {key: $disconnect}, {key: $default}, {key: get}, {key: '7'}]\n";
    let route = document(&format!("  path: /ws\n{routes}")).routes.remove(0);
    for (message, expected) in [
        (r#"{"action":"get"}"#, "get"),
        (r#"{"action":7}"#, "7"),
        (r#"{"action":"$connect"}"#, "$default"),
        (r#"{"action":"$disconnect"}"#, "$default"),
        (r#"{"action":"$default"}"#, "$default"),
        (r#"{"action":"nope"}"#, "$default"),
        (r#"{"action":""}"#, "$default"),
        (r#"{"action":null}"#, "$default"),
        (r#"{"action":{"a":1}}"#, "$default"),
        ("[]", "$default"),
    ] {
        assert_eq!(chosen(&route, message).as_deref(), Some(expected), "{message}");
    }
    let without = document("  path: /ws\n  routes: [{key: get}, {key: $connect}]\n").routes.remove(0);
    assert_eq!(chosen(&without, r#"{"action":"get"}"#).as_deref(), Some("get"));
    assert_eq!(chosen(&without, r#"{"action":"$connect"}"#), None);
}

#[test]
fn only_actions_that_read_the_answer_have_a_selector_for_it() {
    let spec = "  path: /ws\n  routes:\n  - key: a\n    request: {method: GET, path: /}\n    join: ['${response.body.group}']\n  - key: b\n    request: {method: GET, path: /}\n    join: ['${response.status}']\n";
    let route = document(spec).routes.remove(0);
    let selects = |key: &str| route.keyed.get(key).unwrap().response_selector().is_some();
    assert!(selects("a"));
    assert!(!selects("b"));
}
