#![allow(clippy::unwrap_used)] // tests fail by panicking

use proptest::prelude::*;
use std::borrow::Cow;

use super::*;
use crate::expression::Expression;
use crate::scope::Value;
use crate::testing::{BodyScope, TextScope, link};

fn path(text: &str, value: Option<&str>) -> Result<String, String> {
    PathTemplate::parse(text).unwrap().render(&TextScope(value)).map_err(|error| error.to_string())
}

#[test]
fn a_value_is_one_encoded_segment() {
    for (value, expected) in [
        ("7", "/a/7"),
        ("a b", "/a/a%20b"),
        ("a?b=c#d", "/a/a%3Fb%3Dc%23d"),
        ("a;b,c:d@e&f+g", "/a/a%3Bb%2Cc%3Ad%40e%26f%2Bg"),
        ("é", "/a/%C3%A9"),
        ("-._~", "/a/-._~"),
        ("...", "/a/..."),
        ("50%", "/a/50%25"),
        ("%41", "/a/%2541"),
        ("http:", "/a/http%3A"),
    ] {
        assert_eq!(path("/a/${request.header.x}", Some(value)).as_deref(), Ok(expected), "{value}");
    }
}

#[test]
fn a_value_that_would_move_the_path_is_refused() {
    let values = [
        "", "/", "a/b", "..", ".", "../x", "\\", "..\\x", "a\0", "a\r\nb", "\u{7f}", "\u{85}", "%2f", "%2F..", "a%5cb",
        "%2e%2e", "%2e", ".%2e", "%00", "%0d%0a", "%c0%af", "%ff",
    ];
    for value in values {
        for template in ["/a/${request.header.x}", "/a/${request.header.x}/b", "/${request.header.x}"] {
            let error = path(template, Some(value)).unwrap_err();
            assert!(error.starts_with("request.path: ${request.header.x} "), "{value:?}: {error}");
            assert!(
                value.is_empty() || value == "." || value == ".." || !error.contains(value),
                "{error} shows the value"
            );
        }
    }
    assert_eq!(path("/${request.header.x}", None).unwrap_err(), "request.path: ${request.header.x} is missing");
}

#[test]
fn text_and_values_together_make_no_bad_segment() {
    let dots = "request.path: segment 1 is `.` or `..`";
    let encoded = "request.path: segment 1 holds percent-encoded text that would change the path";
    assert_eq!(
        path("/.${request.header.x}", Some(".")).unwrap_err(),
        "request.path: ${request.header.x} is `.` or `..`"
    );
    assert_eq!(path("/%25${request.header.x}", Some("2f")).unwrap_err(), encoded);
    assert_eq!(path("/${request.header.x}2f", Some("%")).unwrap_err(), encoded);
    assert_eq!(
        path("/%2E${request.header.x}", Some("%2e")).unwrap_err(),
        "request.path: ${request.header.x} holds percent-encoded text that would change the path"
    );
    assert_eq!(path("/.${request.header.x}", Some("a")).as_deref(), Ok("/.a"));
    assert_eq!(path("/v.${request.header.x}", Some("1")).as_deref(), Ok("/v.1"));
    assert_eq!(RenderError::PathSegment { number: 1, rule: ValueRule::Dots }.to_string(), dots);
}

#[test]
fn json_values_in_a_path_follow_the_rules() {
    let render = |json: &str| {
        let mut template = PathTemplate::parse("/a/${request.body.v}").unwrap();
        let selector = link(template.sources_mut());
        let selection = selector.select(json).unwrap();
        template.render(&BodyScope(selection)).map_err(|error| (error.reason(), error.to_string()))
    };
    let refused = |reason, rule: &str| Err((reason, format!("request.path: ${{request.body.v}} {rule}")));
    assert_eq!(render(r#"{"v":"x y"}"#), Ok("/a/x%20y".to_owned()));
    assert_eq!(render(r#"{"v":12345678901234567890.50}"#), Ok("/a/12345678901234567890.50".to_owned()));
    assert_eq!(render(r#"{"v":true}"#), Ok("/a/true".to_owned()));
    assert_eq!(render(r#"{"v":null}"#), refused("path_value_missing", "is null"));
    assert_eq!(render(r"{}"), refused("path_value_missing", "is missing"));
    assert_eq!(render(r#"{"v":""}"#), refused("path_value_missing", "is empty"));
    assert_eq!(render(r#"{"v":{}}"#), refused("path_value_refused", "is an object or an array"));
    assert_eq!(render(r#"{"v":["a"]}"#), refused("path_value_refused", "is an object or an array"));
    assert_eq!(render(r#"{"v":"\u002e\u002e"}"#), refused("path_value_refused", "is `.` or `..`"));
    assert_eq!(render(r#"{"v":"\ud800"}"#), refused("path_value_missing", "is missing"));
}

#[test]
fn path_templates_are_checked_when_made() {
    for (text, message) in [
        ("", "starts with exactly one `/`"),
        ("a", "starts with exactly one `/`"),
        ("//a", "starts with exactly one `/`"),
        ("${request.body.path}", "starts with exactly one `/`"),
        ("http://x/", "starts with exactly one `/`"),
        ("/a?b=1", "holds no `?` or `#`; write parameters under query"),
        ("/a#b", "holds no `?` or `#`; write parameters under query"),
        ("/a//b", "has no empty segment"),
        ("/a/../b", "has no `.` or `..` segment"),
        ("/.", "has no `.` or `..` segment"),
        ("/%2e%2E/a", "has no `.` or `..` segment"),
        ("/a b", "cannot hold ` ` in a path; percent-encode it"),
        ("/a\\b", "cannot hold `\\\\` in a path; percent-encode it"),
        ("/a\nb", "cannot hold `\\n` in a path; percent-encode it"),
        ("/é", "cannot hold `\\u{e9}` in a path; percent-encode it"),
        ("/{id}", "cannot hold `{` in a path; percent-encode it"),
        ("/%2f", "has a `%` that is not followed by the two digits of a harmless character"),
        ("/%zz", "has a `%` that is not followed by the two digits of a harmless character"),
        ("/%2", "has a `%` that is not followed by the two digits of a harmless character"),
        ("/%252f", "has a `%` that is not followed by the two digits of a harmless character"),
        ("/%2${request.body.x}", "has a `%` that is not followed by the two digits of a harmless character"),
        ("/${nope}", "there is no `nope`"),
    ] {
        assert_eq!(PathTemplate::parse(text).unwrap_err().to_string(), message, "{text}");
    }
    for text in ["/", "/a", "/a/", "/a/$count", "/a(b)/c:d@e", "/x%20y", "/${request.path.a}-${request.body.b}/c"] {
        let template = PathTemplate::parse(text).unwrap();
        assert_eq!(PathTemplate::parse(&template.to_string()).unwrap(), template, "{text}");
    }
}

#[test]
fn a_parameter_with_a_missing_value_is_left_out() {
    let render = |parameters: &[(&str, &str)], value: Option<&str>| {
        let parameters =
            parameters.iter().map(|(name, text)| ((*name).to_owned(), Expression::parse(text).unwrap())).collect();
        let mut target = "/a".to_owned();
        QueryTemplate { parameters }.render(&TextScope(value), &mut target);
        target
    };
    let parameters = [("b", "${request.header.x}"), ("a", "1"), ("c d", "x${request.header.x}")];
    assert_eq!(render(&parameters, Some("y&z=1#")), "/a?a=1&b=y%26z%3D1%23&c%20d=xy%26z%3D1%23");
    assert_eq!(render(&parameters, Some("")), "/a?a=1&b=&c%20d=x");
    assert_eq!(render(&parameters, None), "/a?a=1");
    assert_eq!(render(&[("b", "${request.header.x}")], None), "/a");
}

#[test]
fn a_header_is_left_out_or_refused_by_its_rule() {
    let render = |text: &str, required, value: Option<&str>| {
        let template = HeaderTemplate::new("X-A", Expression::parse(text).unwrap(), required).unwrap();
        assert_eq!(template.name, "x-a");
        template.render(&TextScope(value)).map_err(|error| error.to_string())
    };
    let some = |text: &str| Ok(Some(text.to_owned()));
    assert_eq!(render("Bearer ${request.header.t}", true, Some("x")), some("Bearer x"));
    assert_eq!(render("Bearer ${request.header.t}", true, None), Ok(None));
    assert_eq!(render("Bearer ${request.header.t}", true, Some("")), Ok(None));
    assert_eq!(render("Bearer ${request.header.t}", false, None), some("Bearer "));
    assert_eq!(render("${request.header.t}", false, None), Ok(None));
    assert_eq!(render("${request.header.t}", false, Some("")), some(""));
    for value in ["a\r\nHost: b", "a\nb", "a\0", "\u{7f}", "a\tb", "\u{85}"] {
        assert_eq!(
            render("${request.header.t}", false, Some(value)),
            Err("request.headers.x-a: holds a control character".to_owned())
        );
    }
}

#[test]
fn headers_of_the_connection_and_ours_cannot_be_set() {
    for name in [
        "Host",
        "connection",
        "Content-Length",
        "Transfer-Encoding",
        "TE",
        "Trailer",
        "Upgrade",
        "Expect",
        "Proxy-Authorization",
        "Sec-WebSocket-Key",
        "Moorline-User",
        "moorline_user",
        "X-Forwarded-For",
        "X_Forwarded_For",
        "X-Real-IP",
        "Forwarded",
        "X-Request-Id",
        "traceparent",
        "tracestate",
        "Keep-Alive",
        "Accept-Encoding",
    ] {
        let error = HeaderTemplate::new(name, Expression::default(), false).unwrap_err();
        assert_eq!(error, HeaderNameError::Reserved, "{name}");
    }
    for name in ["", "a b", "a:", "é", "a\n"] {
        assert_eq!(
            HeaderTemplate::new(name, Expression::default(), false).unwrap_err(),
            HeaderNameError::Token,
            "{name:?}"
        );
    }
    for name in ["Authorization", "Content-Type", "X-Tenant", "If-Match", "Accept"] {
        assert!(HeaderTemplate::new(name, Expression::default(), false).is_ok(), "{name}");
    }
    assert!(serde_json::from_str::<HeaderTemplate>(r#"{"name":"host","value":"x"}"#).is_err());
}

#[test]
fn a_structure_inserts_json_and_leaves_out_what_is_missing() {
    let structure = serde_json::json!({
        "whole": "${request.body.order}",
        "text": "no ${request.body.n}!",
        "gone": "${request.body.nope}",
        "null": "${request.body.nothing}",
        "list": ["${request.body.nope}", "${request.body.n}", 1.5, true, null, "\\$x", "${request.body.nope}"],
        "empty": {"gone": "${request.body.nope}"},
        "user": "${context.user}",
        "lossy": "<${request.body.nope}>",
    });
    let mut template = JsonTemplate::parse(&structure).unwrap();
    let mut sources = Vec::new();
    template.visit_mut(&mut |source| sources.push(source.clone()));
    let selector = crate::select::Selector::link(false, |link| {
        template.visit_mut(&mut |source| {
            if let crate::expression::Source::Body(path) = source {
                link(path);
            }
        });
    });
    let json = r#"{"order":{"b":1.50,"a":[ ]},"n":"7\"","nothing":null}"#;
    let mut out = Vec::new();
    assert!(template.render(&BodyScope(selector.select(json).unwrap()), &mut out));
    let expected = r#"{"empty":{},"list":["7\"",1.5,true,null,"$x"],"lossy":"<>","null":null,"text":"no 7\"!","whole":{"b":1.50,"a":[ ]}}"#;
    assert_eq!(String::from_utf8(out).unwrap(), expected);
    let back: JsonTemplate = serde_json::from_str(&serde_json::to_string(&template).unwrap()).unwrap();
    assert_eq!(back, template);
}

#[test]
fn a_lone_value_that_is_missing_makes_no_body() {
    let template = JsonTemplate::parse(&serde_json::json!("${request.body.a}")).unwrap();
    let mut out = Vec::new();
    assert!(!template.render(&TextScope(None), &mut out));
    assert!(out.is_empty());
    assert!(template.render(&TextScope(Some("a\"b")), &mut out));
    assert_eq!(out, br#""a\"b""#);
}

#[test]
fn every_error_of_a_structure_is_reported_with_its_place() {
    let structure = serde_json::json!({"a": ["${x}", {"b": "${y}"}], "c${z}": 1});
    let errors = JsonTemplate::parse(&structure).unwrap_err();
    let found: Vec<_> = errors.iter().map(|error| (error.at(), error.to_string())).collect();
    assert_eq!(
        found,
        [
            (".a[0]", r#""${x}": there is no `x`"#.to_owned()),
            (".a[1].b", r#""${y}": there is no `y`"#.to_owned()),
            ("", r#""c${z}": the name of a member cannot hold a value"#.to_owned()),
        ]
    );
}

/// Values that try to be more than a value.
fn hostile() -> impl Strategy<Value = String> {
    let token = prop_oneof![
        Just("/"),
        Just("\\"),
        Just("."),
        Just(".."),
        Just("%2f"),
        Just("%2F"),
        Just("%5c"),
        Just("%2e"),
        Just("%"),
        Just("25"),
        Just("2f"),
        Just("?"),
        Just("#"),
        Just("&"),
        Just("="),
        Just(";"),
        Just("\r\n"),
        Just("\0"),
        Just("//evil.example"),
        Just("@evil.example"),
        Just(":"),
        Just("é"),
        Just("a"),
        Just("%c0%af"),
        Just(" "),
        Just("\u{2028}"),
        Just("Host: x"),
    ];
    prop_oneof![prop::collection::vec(token, 0..6).prop_map(|tokens| tokens.concat()), any::<String>(),]
}

fn path_templates() -> impl Strategy<Value = String> {
    let part = prop_oneof![
        Just("${request.header.x}"),
        Just("a"),
        Just("."),
        Just("/"),
        Just("%25"),
        Just("2f"),
        Just("%2E"),
        Just("-"),
    ];
    prop::collection::vec(part, 0..8).prop_map(|parts| format!("/{}", parts.concat()))
}

/// A lenient server: decodes everything, also what is not UTF-8.
fn decode(path: &[u8]) -> Vec<u8> {
    let mut decoded = Vec::new();
    let mut rest = path;
    while let Some((&byte, after)) = rest.split_first() {
        let digits = after.get(..2).and_then(|pair| std::str::from_utf8(pair).ok());
        match digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(value) if byte == b'%' => {
                decoded.push(value);
                rest = &after[2..];
            }
            _ => {
                decoded.push(byte);
                rest = after;
            }
        }
    }
    decoded
}

proptest! {
    #[test]
    fn no_value_can_change_the_shape_of_a_target(template in path_templates(), value in hostile()) {
        let Ok(path) = PathTemplate::parse(&template) else { return Ok(()) };
        let query = QueryTemplate { parameters: [("q".to_owned(), Expression::parse("${request.header.x}").unwrap())].into() };
        let plan = RequestPlan {
            method: Method::Get, path, query, headers: Vec::new(), body: BodyPlan::None, timeout: Duration::from_secs(1),
        };
        let Ok(target) = plan.target(&TextScope(Some(&value))) else { return Ok(()) };
        prop_assert!(target.is_ascii() && !target.contains(|c: char| c.is_ascii_control() || c == ' ' || c == '#' || c == '\\'));
        prop_assert_eq!(target.matches('?').count(), 1);
        prop_assert_eq!(target.matches('&').count(), 0);
        let (path, _) = target.split_once('?').unwrap();
        let segments = template.matches('/').count();
        // As sent, decoded by the app, and decoded once more by whatever is behind it.
        let mut seen = path.as_bytes().to_vec();
        for _ in 0..3 {
            prop_assert!(seen.starts_with(b"/") && !seen.starts_with(b"//"), "{:?}", seen);
            prop_assert!(!seen.iter().any(|byte| *byte == b'\\' || byte.is_ascii_control()));
            let parts: Vec<&[u8]> = seen.split(|byte| *byte == b'/').skip(1).collect();
            prop_assert_eq!(parts.len(), segments, "{:?}", seen);
            prop_assert!(!parts.iter().any(|part| *part == b"." || *part == b".."), "{:?}", seen);
            seen = decode(&seen);
        }
    }

    #[test]
    fn no_value_can_add_a_header_line(value in hostile(), required in any::<bool>()) {
        let template = HeaderTemplate::new("x-a", Expression::parse("a ${request.header.x}").unwrap(), required).unwrap();
        if let Ok(Some(text)) = template.render(&TextScope(Some(&value))) {
            prop_assert!(!text.bytes().any(|byte| byte < b' ' || byte == 0x7f));
        }
    }

    #[test]
    fn what_a_structure_renders_is_one_json_value_with_its_members(value in hostile()) {
        let template = JsonTemplate::parse(&serde_json::json!({"a": "${request.header.x}", "b": "<${request.header.x}>", "c": [1]})).unwrap();
        let mut out = Vec::new();
        template.render(&TextScope(Some(&value)), &mut out);
        let json: serde_json::Value = serde_json::from_slice(&out).unwrap();
        prop_assert_eq!(json, serde_json::json!({"a": value.clone(), "b": format!("<{value}>"), "c": [1]}));
    }

    #[test]
    fn decoding_is_the_inverse_of_encoding(text in any::<String>()) {
        let mut encoded = String::new();
        percent_encode_into(&text, &mut encoded);
        prop_assert_eq!(percent_decode(&encoded), Some(Cow::Borrowed(text.as_str())));
        let _ = Value::Text(Cow::Borrowed(text.as_str())).into_text();
    }
}
