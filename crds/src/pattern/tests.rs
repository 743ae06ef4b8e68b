#![allow(clippy::unwrap_used)] // tests fail by panicking

use super::*;

#[test]
fn host_patterns_are_names_in_lower_case() {
    for (text, expected) in [
        ("Shop.Example.COM", "shop.example.com"),
        ("*.example.com", "*.example.com"),
        ("localhost", "localhost"),
        ("127.0.0.1", "127.0.0.1"),
        ("[::1]", "[::1]"),
    ] {
        assert_eq!(HostPattern::parse(text).unwrap().to_string(), expected);
    }
    for text in [
        "",
        "*",
        "a:80",
        "http://a",
        "a/b",
        "a b",
        "*.*.a",
        "a.*.b",
        "-a",
        "a-.b",
        "a..b",
        "a.",
        "é.example",
        "[::1",
        "*.[::1]",
    ] {
        assert!(HostPattern::parse(text).is_err(), "{text}");
    }
}

#[test]
fn path_patterns_say_what_is_wrong() {
    for (text, message) in [
        ("ws", "starts with exactly one `/`"),
        ("//ws", "starts with exactly one `/`"),
        ("/ws?x", "holds no `?` or `#`"),
        ("/a//b", "has no empty segment"),
        ("/a/../b", "has no `.` or `..` segment"),
        ("/a/%2e", "has no `.` or `..` segment"),
        ("/a/%2f", "holds only characters of a path"),
        ("/a b", "holds only characters of a path"),
        ("/{}", "a capture is a whole segment, as `/{tenant}/`, with a name of letters, digits and `_`"),
        ("/a{b}", "a capture is a whole segment, as `/{tenant}/`, with a name of letters, digits and `_`"),
        ("/{a-b}", "a capture is a whole segment, as `/{tenant}/`, with a name of letters, digits and `_`"),
        ("/{1a}", "a capture is a whole segment, as `/{tenant}/`, with a name of letters, digits and `_`"),
        ("/{a}/{a}", "captures `a` twice"),
        ("/${request.body.a}", "holds no expressions; write `{name}` to capture a segment"),
    ] {
        assert_eq!(PathPattern::parse(text).unwrap_err().to_string(), message, "{text}");
    }
}

#[test]
fn a_path_pattern_is_read_back_the_same() {
    for text in ["/", "/ws", "/ws/", "/ws/{tenant}/x%20y/{_a1}", "/a:b@c", "/%25"] {
        let pattern = PathPattern::parse(text).unwrap();
        assert_eq!(PathPattern::parse(&pattern.to_string()).unwrap(), pattern, "{text}");
    }
    let pattern = PathPattern::parse("/ws/{tenant}/{room}").unwrap();
    assert_eq!(pattern.captures().collect::<Vec<_>>(), ["tenant", "room"]);
}

#[test]
fn paths_are_the_same_when_only_capture_names_differ() {
    let same = |a: &str, b: &str| PathPattern::parse(a).unwrap().same_as(&PathPattern::parse(b).unwrap());
    assert!(same("/ws/{a}", "/ws/{b}"));
    assert!(same("/w%73", "/ws"));
    assert!(!same("/ws/{a}", "/ws/a"));
    assert!(!same("/ws", "/ws/"));
    assert!(!same("/ws/{a}", "/ws/{a}/{b}"));
}
