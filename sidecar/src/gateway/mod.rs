//! The gateway: listeners, handshakes, the route table, reload and drain.

/// One route as connections hold it.
#[derive(Debug)]
pub struct RouteCell;

/// Splits `host:port`, leaving IPv6 brackets on the host.
pub fn split_port(authority: &str) -> (&str, Option<u16>) {
    match authority.rsplit_once(':') {
        Some((host, port)) if !host.contains(':') || host.ends_with(']') => match port.parse() {
            Ok(port) => (host, Some(port)),
            Err(_) => (authority, None),
        },
        _ => (authority, None),
    }
}
