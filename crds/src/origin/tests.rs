#![allow(clippy::unwrap_used)] // tests fail by panicking

use super::*;

fn list(patterns: &[&str]) -> OriginPolicy {
    OriginPolicy::List(patterns.iter().map(|text| OriginPattern::parse(text).unwrap()).collect())
}

#[test]
fn without_a_list_only_the_same_origin_passes() {
    for (origin, host, passes) in [
        ("https://shop.example.com", "shop.example.com", true),
        ("https://shop.example.com", "SHOP.example.com", true),
        ("https://shop.example.com", "shop.example.com:443", true),
        ("https://shop.example.com:443", "shop.example.com", true),
        ("http://shop.example.com", "shop.example.com", true),
        ("http://shop.example.com", "shop.example.com:80", true),
        ("http://localhost:8800", "localhost:8800", true),
        ("http://[::1]:8800", "[::1]:8800", true),
        ("http://[0:0::1]:8800", "[::1]:8800", true),
        ("https://shop.example.com", "shop.example.com:80", false),
        ("https://shop.example.com:8443", "shop.example.com", false),
        ("https://evil.example", "shop.example.com", false),
        ("https://shop.example.com.evil.example", "shop.example.com", false),
        ("https://x.shop.example.com", "shop.example.com", false),
        ("null", "shop.example.com", false),
        ("null", "null", false),
        ("", "", false),
        ("https://shop.example.com/", "shop.example.com", false),
        ("https://user@shop.example.com", "shop.example.com", false),
        ("https://shop.example.com:x", "shop.example.com", false),
    ] {
        assert_eq!(OriginPolicy::SameOrigin.allows(Some(origin), host).is_ok(), passes, "{origin} {host}");
    }
    assert_eq!(OriginPolicy::SameOrigin.allows(Some("null"), "a").unwrap_err().reason(), "origin_not_same");
}

#[test]
fn a_client_that_is_no_browser_passes() {
    let allowed = Ok(Allowed { wildcard_only: false });
    assert_eq!(OriginPolicy::SameOrigin.allows(None, "a"), allowed);
    assert_eq!(list(&["https://a"]).allows(None, "a"), allowed);
    assert_eq!(list(&["*"]).allows(None, "a"), allowed);
}

#[test]
fn a_list_replaces_the_same_origin_rule() {
    let policy = list(&[
        "https://shop.example.com",
        "https://*.example.org",
        "http://localhost:3000",
        "https://*.example.net:8443",
        "capacitor://localhost",
    ]);
    for (origin, passes) in [
        ("https://shop.example.com", true),
        ("https://SHOP.example.com:443", true),
        ("http://shop.example.com", false),
        ("https://shop.example.com:8443", false),
        ("https://a.example.org", true),
        ("https://a.b.example.org", true),
        ("https://example.org", false),
        ("https://.example.org", false),
        ("https://evilexample.org", false),
        ("https://a.example.org.evil.example", false),
        ("https://a.example.org:444", false),
        ("https://a.example.net:8443", true),
        ("https://a.example.net", false),
        ("http://localhost:3000", true),
        ("http://localhost", false),
        ("capacitor://localhost", true),
        ("https://gateway.example", false),
        ("null", false),
    ] {
        let allowed = policy.allows(Some(origin), "gateway.example");
        assert_eq!(allowed.is_ok(), passes, "{origin}");
        assert!(allowed.is_ok_and(|allowed| !allowed.wildcard_only) == passes);
    }
}

#[test]
fn a_star_opens_it_and_says_when_nothing_else_matched() {
    let policy = list(&["*", "https://shop.example.com"]);
    let wildcard_only = |origin| policy.allows(Some(origin), "a").unwrap().wildcard_only;
    assert!(!wildcard_only("https://shop.example.com"));
    assert!(wildcard_only("https://evil.example"));
    assert!(wildcard_only("null"));
    assert!(wildcard_only("garbage"));
}

#[test]
fn patterns_are_read_back_the_same() {
    for text in ["*", "https://a.example", "https://*.a.example:8443", "http://[::1]:3000"] {
        assert_eq!(OriginPattern::parse(text).unwrap().to_string(), text);
    }
    for text in [
        "",
        "a.example",
        "https://",
        "https://a/",
        "https://*",
        "https://a.*.b",
        "null",
        "https://*.",
        "*.example.com",
        "https://a:99999",
    ] {
        assert!(OriginPattern::parse(text).is_err(), "{text}");
    }
}
