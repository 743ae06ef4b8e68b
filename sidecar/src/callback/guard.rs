//! Turns away browsers.
//!
//! The listener is on loopback and trusts its callers, but a page in a browser on the same machine can call loopback
//! too. Such a call betrays itself: browsers add `Origin` or `Sec-Fetch-Site`, and a page that had its own name
//! re-resolved to 127.0.0.1 (DNS rebinding) still sends that name as `Host`. No application of ours sends any of these,
//! so they are refused outright rather than compared with anything. The peer's address and forwarded headers say
//! nothing here: a proxy on the machine makes every caller local.

use std::net::Ipv4Addr;

use http::{HeaderMap, header};

/// Why a request is not served.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refusal {
    #[error("the callback API is not for browsers: the request has an Origin or Sec-Fetch-Site header")]
    Browser,
    #[error("the callback API is served to loopback only: the Host header must be localhost, 127.0.0.1 or [::1]")]
    Host,
}

impl Refusal {
    pub(super) fn reason(self) -> &'static str {
        match self {
            Self::Browser => "browser_refused",
            Self::Host => "host_refused",
        }
    }
}

/// Refuses what a browser may have sent.
pub(super) fn check(headers: &HeaderMap) -> Result<(), Refusal> {
    if headers.contains_key(header::ORIGIN) || headers.contains_key("sec-fetch-site") {
        return Err(Refusal::Browser);
    }
    let mut hosts = headers.get_all(header::HOST).iter();
    match (hosts.next().map(http::HeaderValue::to_str), hosts.next()) {
        (Some(Ok(host)), None) if is_loopback(host) => Ok(()),
        _ => Err(Refusal::Host),
    }
}

/// Whether a `Host` names this machine, with any port.
fn is_loopback(authority: &str) -> bool {
    if let Some(rest) = authority.strip_prefix("[::1]") {
        return rest.is_empty() || rest.strip_prefix(':').is_some_and(is_port);
    }
    let host = match authority.split_once(':') {
        Some((host, port)) if is_port(port) => host,
        Some(_) => return false,
        None => authority,
    };
    // Only the four-part form: `127.1` and other shorthands are never what a client library sends.
    host.eq_ignore_ascii_case("localhost") || host.parse::<Ipv4Addr>().is_ok_and(|address| address.is_loopback())
}

fn is_port(text: &str) -> bool {
    text.parse::<u16>().is_ok() && text.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // tests fail by panicking
    use http::{HeaderName, HeaderValue};
    use proptest::prelude::*;

    use super::*;

    fn headers(list: &[(&str, &str)]) -> HeaderMap {
        list.iter()
            .map(|(name, value)| (name.parse::<HeaderName>().unwrap(), HeaderValue::from_str(value).unwrap()))
            .fold(HeaderMap::new(), |mut map, (name, value)| {
                map.append(name, value);
                map
            })
    }

    #[test]
    fn loopback_hosts_are_served_with_any_port() {
        for host in
            ["localhost", "LocalHost:8801", "127.0.0.1", "127.0.0.1:1", "127.9.8.7:65535", "[::1]", "[::1]:8801"]
        {
            assert_eq!(check(&headers(&[("host", host)])), Ok(()), "{host}");
        }
    }

    #[test]
    fn any_other_host_is_refused() {
        for host in [
            "",
            "example.com",
            "example.com:8801",
            "localhost.example.com",
            "evil-localhost",
            "localhost.",
            "localhost:",
            "localhost:x",
            "localhost:+80",
            "localhost:65536",
            "127.0.0.1.nip.io",
            "127.1",
            "0.0.0.0",
            "10.0.0.1",
            "::1",
            "[::]",
            "[::1",
            "[::1]x",
            "[::1]:",
            "[::ffff:127.0.0.1]",
            "user@localhost",
            "localhost, localhost",
            " localhost",
        ] {
            assert_eq!(check(&headers(&[("host", host)])), Err(Refusal::Host), "{host:?}");
        }
        assert_eq!(check(&HeaderMap::new()), Err(Refusal::Host));
        assert_eq!(check(&headers(&[("host", "localhost"), ("host", "localhost")])), Err(Refusal::Host));
    }

    #[test]
    fn what_a_browser_adds_is_refused_whatever_it_says() {
        for (name, value) in [
            ("origin", "null"),
            ("origin", ""),
            ("origin", "http://localhost:8801"),
            ("sec-fetch-site", "none"),
            ("sec-fetch-site", "same-origin"),
        ] {
            assert_eq!(
                check(&headers(&[("host", "localhost"), (name, value)])),
                Err(Refusal::Browser),
                "{name}: {value}"
            );
        }
    }

    #[test]
    fn forwarded_headers_change_nothing() {
        let claims =
            [("x-forwarded-host", "localhost"), ("x-forwarded-for", "127.0.0.1"), ("forwarded", "host=localhost")];
        let with = |host| headers(&[&[("host", host)], &claims[..]].concat());
        assert_eq!(check(&with("example.com")), Err(Refusal::Host));
        assert_eq!(check(&with("localhost")), Ok(()));
    }

    proptest! {
        #[test]
        fn a_name_with_a_dot_and_a_letter_is_never_loopback(host in "[a-z0-9.-]{0,10}\\.[a-z][a-z0-9.-]{0,10}(:[0-9]{1,5})?") {
            prop_assert!(!is_loopback(&host));
        }
    }
}
