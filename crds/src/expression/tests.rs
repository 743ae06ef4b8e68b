#![allow(clippy::unwrap_used)] // tests fail by panicking
#![allow(clippy::too_many_lines)] // tables are read row by row

use proptest::prelude::*;

use super::*;
use crate::select::Selector;
use crate::testing::{BodyScope, TextScope, link};

fn render(expression: &str, json: &str) -> (Option<String>, String) {
    let mut expression = Expression::parse(expression).unwrap();
    let selector = link(expression.sources_mut());
    let scope = BodyScope(selector.select(json).unwrap());
    (expression.render_all(&scope).map(Cow::into_owned), expression.render_lossy(&scope).into_owned())
}

#[test]
fn the_vectors_of_aws_hold() {
    let json = r#"{"service":"chat","action":"join","data":{"room":"r1"},"n":7}"#;
    for (expression, expected) in [
        ("$request.body.action", "join"),
        ("${request.body.action}", "join"),
        ("${request.body.service}/${request.body.action}", "chat/join"),
        ("${request.body.action}-${request.body.nope}", "join-"),
        ("$request.body.data.room", "r1"),
        ("action", "action"),
        ("\\$default", "$default"),
        ("$request.body.n", "7"),
        ("$request.body", json),
    ] {
        assert_eq!(render(expression, json).1, expected, "{expression}");
    }
}

#[test]
fn a_dollar_that_starts_no_reference_is_text() {
    for text in
        ["$", "$5", "a$b", "cost: $request.body.a", "$a b", "$$", "$request.body.a/$request.body.b", "\\", "a\\b", "$-"]
    {
        assert_eq!(Expression::parse(text).unwrap().literal(), Some(text), "{text}");
    }
    assert_eq!(Expression::parse("\\${request.body.a}").unwrap().literal(), Some("${request.body.a}"));
    assert_eq!(Expression::parse("\\$request.body.a").unwrap().literal(), Some("$request.body.a"));
    assert_eq!(Expression::parse("").unwrap().literal(), Some(""));
}

#[test]
fn both_forms_of_a_reference_are_the_same() {
    for reference in [
        "request.body",
        "request.body.a-b.c_d",
        "request.body['first name'][0].x",
        r"request.body['it\'s \\ here']",
        "request.header.x-api-key",
        "request.querystring.access_token",
        "request.querystring['filter[a]']",
        "request.path.tenant",
        "response.status",
        "response.header.location",
        "response.body[12].id",
        "context.identity.sourceIp",
        "context.error.responseType",
    ] {
        let bare = Expression::parse(&format!("${reference}")).unwrap();
        let braced = Expression::parse(&format!("${{{reference}}}")).unwrap();
        assert_eq!(bare, braced);
        assert_eq!(braced.to_string(), format!("${{{reference}}}"));
        assert!(braced.lone().is_some());
    }
    let quoted = Expression::parse(r#"${request.body["a"]['b']}"#).unwrap();
    assert_eq!(quoted.to_string(), "${request.body.a.b}");
    let header = Expression::parse("${request.header.X-Api-Key}").unwrap();
    assert_eq!(header.lone(), Some(&Source::Header("x-api-key".to_owned())));
}

#[test]
fn every_context_name_is_read_back() {
    for variable in ContextVar::ALL {
        let text = format!("${{context.{}}}", variable.name());
        assert_eq!(Expression::parse(&text).unwrap().lone(), Some(&Source::Context(*variable)));
    }
}

#[test]
fn errors_name_what_was_meant() {
    for (text, reason, message) in [
        ("${request.body.a", "unclosed", "`${` has no closing `}`"),
        ("${}", "empty", "`${}` names no value; write for instance ${request.body.id}"),
        ("${requst.body.a}", "unknown_source", "there is no `requst.body`; did you mean `request.body`?"),
        ("${request.query.a}", "unknown_source", "there is no `request.query`; did you mean `request.querystring`?"),
        ("${request.headers.a}", "unknown_source", "there is no `request.headers`; did you mean `request.header`?"),
        ("${ request.body}", "unknown_source", "there is no ` `"),
        ("$default", "unknown_source", "there is no `default`; for the text itself write `\\$default`"),
        (
            "$request.bdy.a",
            "unknown_source",
            "there is no `request.bdy.a`; for the text itself write `\\$request.bdy.a`; did you mean `request.body`?",
        ),
        (
            "${context.conectionId}",
            "unknown_context",
            "there is no `context.conectionId`; did you mean `context.connectionId`?",
        ),
        ("${context.apiId}", "unknown_context", "there is no `context.apiId`"),
        ("${context}", "no_name", "`context` needs a name, as context.NAME"),
        (
            "${context.authorizer.principalId}",
            "no_authorizer",
            "`context.authorizer` comes with auth, which this version does not have",
        ),
        ("${request.header}", "no_name", "`request.header` needs a name, as request.header.NAME"),
        ("${request.path.}", "no_name", "`request.path` needs a name, as request.path.NAME"),
        (
            "${request.body.*}",
            "many_values",
            "`*` in a JSON path may find many values; only names, [number] and ['name'] are possible",
        ),
        (
            "$request.body..a",
            "many_values",
            "`..` in a JSON path may find many values; only names, [number] and ['name'] are possible",
        ),
        (
            "${request.body[?(@.a)]}",
            "many_values",
            "`[?]` in a JSON path may find many values; only names, [number] and ['name'] are possible",
        ),
        (
            "${request.body[1:2]}",
            "many_values",
            "`[:]` in a JSON path may find many values; only names, [number] and ['name'] are possible",
        ),
        (
            "${request.body[-1]}",
            "bad_json_path",
            "`[` in a JSON path is followed by a number or a quoted name and `]`, as [0] or ['first name']",
        ),
        (
            "${request.body.}",
            "bad_json_path",
            "`.` in a JSON path is followed by a name; quote others, as ['first name']",
        ),
        ("${request.body.a b}", "trailing", "` ` cannot follow `request.body.a`"),
        ("${response.status.x}", "trailing", "`.` cannot follow `response.status`"),
    ] {
        let error = Expression::parse(text).unwrap_err();
        assert_eq!((error.reason(), error.to_string().as_str()), (reason, message), "{text}");
    }
}

#[test]
fn missing_values_do_what_each_place_wants() {
    let json = r#"{"a":"x","empty":"","nothing":null}"#;
    assert_eq!(render("t-${request.body.a}", json), (Some("t-x".into()), "t-x".into()));
    for path in ["nope", "empty", "nothing", "a.b"] {
        assert_eq!(render(&format!("t-${{request.body.{path}}}"), json), (None, "t-".into()), "{path}");
    }
    let present = |text: &str, value: Option<&str>| {
        Expression::parse(text).unwrap().render_present(&TextScope(value)).map(Cow::into_owned)
    };
    assert_eq!(present("${request.header.a}", Some("")), Some(String::new()));
    assert_eq!(present("x${request.header.a}", None), None);
}

#[test]
fn serde_uses_the_text() {
    let expression: Expression = serde_json::from_str(r#""a/${request.body.b}""#).unwrap();
    assert_eq!(serde_json::to_string(&expression).unwrap(), r#""a/${request.body.b}""#);
    assert!(serde_json::from_str::<Expression>(r#""${nope}""#).is_err());
}

/// Texts that look enough like expressions to reach every branch of the parser.
fn texts() -> impl Strategy<Value = String> {
    let token = prop_oneof![
        Just("$"),
        Just("${"),
        Just("}"),
        Just("\\"),
        Just("\\$"),
        Just("request"),
        Just("response"),
        Just("context"),
        Just(".body"),
        Just(".header"),
        Just(".querystring"),
        Just(".path"),
        Just(".status"),
        Just(".connectionId"),
        Just("."),
        Just("["),
        Just("]"),
        Just("'"),
        Just("\""),
        Just("0"),
        Just("42"),
        Just("*"),
        Just("name"),
        Just("é"),
        Just(" "),
        Just("/"),
        Just("x-y"),
    ];
    prop_oneof![prop::collection::vec(token, 0..12).prop_map(|tokens| tokens.concat()), any::<String>(),]
}

fn sources() -> impl Strategy<Value = Source> {
    let step = prop_oneof![
        any::<String>().prop_map(Step::Name),
        "[a-z]{1,5}".prop_map(Step::Name),
        any::<u32>().prop_map(Step::Index)
    ];
    let path = prop::collection::vec(step, 0..4).prop_map(BodyPath::new);
    prop_oneof![
        path.clone().prop_map(Source::Body),
        path.prop_map(Source::ResponseBody),
        "[a-z-]{1,8}".prop_map(Source::Header),
        any::<String>().prop_map(Source::Query),
        "[a-z_]{1,8}".prop_map(Source::Path),
        prop::sample::select(ContextVar::ALL).prop_map(Source::Context),
        Just(Source::ResponseStatus),
    ]
}

proptest! {
    #[test]
    fn the_parser_never_panics_and_what_it_accepts_round_trips(text in texts()) {
        if let Ok(expression) = Expression::parse(&text) {
            prop_assert_eq!(Expression::parse(&expression.to_string()), Ok(expression));
        }
    }

    #[test]
    fn every_source_round_trips(source in sources(), before in "[a-z$./{}]{0,6}") {
        let text = format!("{}${{{source}}}", before.replace('$', "\\$"));
        let expression = Expression::parse(&text).unwrap();
        prop_assert_eq!(expression.sources().collect::<Vec<_>>(), vec![&source]);
        prop_assert_eq!(Expression::parse(&expression.to_string()).unwrap(), expression);
    }

    #[test]
    fn text_without_dollar_or_backslash_is_itself(text in "[^$\\\\]*") {
        let expression = Expression::parse(&text).unwrap();
        prop_assert_eq!(expression.literal(), Some(text.as_str()));
    }
}

#[test]
fn an_unlinked_path_finds_nothing() {
    let selector = Selector::default();
    let selection = selector.select("{\"a\":1}").unwrap();
    assert!(selection.get(&BodyPath::new(vec![Step::Name("a".into())])).is_none());
}
