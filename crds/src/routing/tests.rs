#![allow(clippy::unwrap_used)] // tests fail by panicking

use super::*;
use crate::testing::document;

/// A router for routes given as `host path` (host `-` for none), and what it finds as `token a=b`.
fn find(routes: &[&str], host: &str, path: &str) -> Option<String> {
    let compiled: Vec<_> = routes
        .iter()
        .map(|route| {
            let (hosts, path) = route.split_once(' ').unwrap();
            let hosts = if hosts == "-" { String::new() } else { format!("\"{hosts}\"") };
            document(&format!("  path: \"{path}\"\n  hosts: [{hosts}]\n  routes: [{{key: $default}}]\n"))
                .routes
                .remove(0)
        })
        .collect();
    let found = Router::new(compiled.iter().enumerate()).find(host, path)?;
    let captures = found.captures.iter().map(|(name, text)| format!(" {name}={text}"));
    Some(std::iter::once(found.token.to_string()).chain(captures).collect())
}

#[test]
fn literal_segments_beat_captures_segment_by_segment() {
    let routes = ["- /{a}/x", "- /ws/{b}", "- /ws/x", "- /{a}/{b}/{c}"];
    for (path, expected) in [
        ("/ws/x", Some("2")),
        ("/ws/y", Some("1 b=y")),
        ("/other/x", Some("0 a=other")),
        ("/other/y", None),
        ("/ws/y/z", Some("3 a=ws b=y c=z")),
        ("/ws", None),
        ("/ws/", None),
        ("/ws/x/", None),
        ("ws/x", None),
        ("", None),
        ("//x", None),
    ] {
        assert_eq!(find(&routes, "h", path).as_deref(), expected, "{path}");
    }
}

#[test]
fn a_capture_is_tried_again_when_the_literal_leads_nowhere() {
    let routes = ["- /a/{x}/c", "- /{y}/b/d"];
    assert_eq!(find(&routes, "h", "/a/b/d").as_deref(), Some("1 y=a"));
    assert_eq!(find(&routes, "h", "/a/b/c").as_deref(), Some("0 x=b"));
}

#[test]
fn captures_and_literals_are_decoded_once() {
    let routes = ["- /ws/{t}"];
    assert_eq!(find(&routes, "h", "/w%73/a%20b%2Fc%2541").as_deref(), Some("0 t=a b/c%41"));
    assert_eq!(find(&routes, "h", "/ws/%ff"), None);
    assert_eq!(find(&routes, "h", "/ws%2Fx"), None);
    assert_eq!(find(&["- /a%20b"], "h", "/a b").as_deref(), Some("0"));
}

#[test]
fn the_most_specific_host_with_a_matching_path_wins() {
    let routes =
        ["- /ws", "*.example.com /ws", "*.shop.example.com /ws", "a.shop.example.com /ws", "a.shop.example.com /only"];
    for (host, path, expected) in [
        ("a.shop.example.com", "/ws", Some("3")),
        ("b.shop.example.com", "/ws", Some("2")),
        ("b.c.shop.example.com", "/ws", Some("2")),
        ("shop.example.com", "/ws", Some("1")),
        ("example.com", "/ws", Some("0")),
        ("other.org", "/ws", Some("0")),
        ("a.shop.example.com", "/only", Some("4")),
        ("b.shop.example.com", "/only", None),
    ] {
        assert_eq!(find(&routes, host, path).as_deref(), expected, "{host} {path}");
    }
    assert_eq!(find(&["- /only", "a.b /ws"], "a.b", "/only").as_deref(), Some("0"));
}

#[test]
fn of_the_same_host_and_path_the_first_counts() {
    assert_eq!(find(&["- /{a}", "- /{b}"], "h", "/x").as_deref(), Some("0 a=x"));
}
