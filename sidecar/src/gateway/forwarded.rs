//! Who the client is, behind the proxies that may say so. Pure.
//!
//! `X-Forwarded-*` is believed only from the peers a route trusts. From anyone else it is replaced, since a client
//! could otherwise choose the address the application sees.

use std::net::{IpAddr, SocketAddr};

use http::HeaderMap;
use ipnet::IpNet;

/// Where a request came from.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Origin {
    /// The client's address.
    pub(super) source_ip: IpAddr,
    /// `X-Forwarded-For` for the application.
    pub(super) chain: String,
    /// `X-Forwarded-Proto` for the application.
    pub(super) proto: String,
    /// `X-Forwarded-Host` for the application; what an `Origin` is compared with.
    pub(super) host: String,
    /// Whether the peer is a trusted proxy.
    pub(super) trusted: bool,
}

/// Works out where a request came from.
pub(super) fn origin(peer: IpAddr, host: &str, headers: &HeaderMap, trusted: &[IpNet]) -> Origin {
    let peer = peer.to_canonical();
    let trusts = |ip: IpAddr| trusted.iter().any(|net| net.contains(&ip));
    if !trusts(peer) {
        return Origin {
            source_ip: peer,
            chain: peer.to_string(),
            proto: "http".to_owned(),
            host: host.to_owned(),
            trusted: false,
        };
    }
    let said: Vec<&str> = headers
        .get_all("x-forwarded-for")
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .filter(|item| !item.is_empty())
        .collect();
    // The client is the last address that no trusted proxy has: what stands before it, anyone could have written.
    let mut source_ip = peer;
    for item in said.iter().rev() {
        let Some(ip) = address(item) else { break };
        source_ip = ip.to_canonical();
        if !trusts(source_ip) {
            break;
        }
    }
    let mut chain = said.join(", ");
    if !chain.is_empty() {
        chain.push_str(", ");
    }
    chain.push_str(&peer.to_string());
    let proto = first(headers, "x-forwarded-proto").filter(|proto| is_token(proto)).unwrap_or("http").to_owned();
    let host = first(headers, "x-forwarded-host").filter(|host| is_host(host)).unwrap_or(host).to_owned();
    Origin { source_ip, chain, proto, host, trusted: true }
}

/// An item of `X-Forwarded-For`: an address, which some proxies write with its port.
fn address(item: &str) -> Option<IpAddr> {
    item.parse::<IpAddr>().ok().or_else(|| item.parse::<SocketAddr>().ok().map(|address| address.ip()))
}

fn first<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()?.split(',').next().map(str::trim)
}

fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric())
}

fn is_host(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b".-_:[]".contains(&b))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn headers(values: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in values {
            map.append(*name, HeaderValue::from_static(value));
        }
        map
    }

    #[test]
    fn what_an_untrusted_peer_says_is_replaced() {
        let said = headers(&[("x-forwarded-for", "10.0.0.1"), ("x-forwarded-proto", "https")]);
        let origin = origin("192.0.2.9".parse().unwrap(), "a.test", &said, &[]);
        assert_eq!((origin.chain.as_str(), origin.proto.as_str()), ("192.0.2.9", "http"));
        assert_eq!(origin.source_ip.to_string(), "192.0.2.9");
    }

    #[test]
    fn a_trusted_proxy_is_believed_and_appended() {
        let said = headers(&[
            ("x-forwarded-for", "203.0.113.7, 198.51.100.2"),
            ("x-forwarded-for", "10.1.1.1"),
            ("x-forwarded-proto", "https"),
            ("x-forwarded-host", "shop.test"),
        ]);
        let trusted = ["10.0.0.0/8".parse().unwrap()];
        let origin = origin("10.2.2.2".parse().unwrap(), "inside", &said, &trusted);
        assert_eq!(origin.chain, "203.0.113.7, 198.51.100.2, 10.1.1.1, 10.2.2.2");
        // 198.51.100.2 is the last that is not ours; 203.0.113.7 may be made up.
        assert_eq!(origin.source_ip.to_string(), "198.51.100.2");
        assert_eq!((origin.proto.as_str(), origin.host.as_str()), ("https", "shop.test"));
    }

    #[test]
    fn an_address_with_a_port_is_an_address() {
        let said = headers(&[("x-forwarded-for", "203.0.113.9:4711")]);
        let trusted = ["10.0.0.0/8".parse().unwrap()];
        assert_eq!(origin("10.0.0.1".parse().unwrap(), "h", &said, &trusted).source_ip.to_string(), "203.0.113.9");
    }

    #[test]
    fn an_ipv4_peer_on_a_dual_stack_socket_is_an_ipv4_address() {
        let trusted = ["127.0.0.0/8".parse().unwrap()];
        let origin = origin("::ffff:127.0.0.1".parse().unwrap(), "h", &HeaderMap::new(), &trusted);
        assert!(origin.trusted);
        assert_eq!(origin.chain, "127.0.0.1");
    }
}
