//! Binds the listeners.
//!
//! Pods have IPv4, IPv6 or both, and nothing tells a process which before it tries. So the default is one socket for
//! both families, with IPv4 alone where the machine has no IPv6; and loopback is bound at each of its two addresses,
//! because apps call `localhost` and resolve it either way.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use rustix::net::sockopt::set_ipv6_v6only;
use tokio::net::{TcpListener, TcpSocket};

/// How often port 0 is tried again when the port the system picked is taken on the other loopback address.
const PORT_ATTEMPTS: usize = 8;
/// Connections that wait to be accepted, as in the standard library.
const BACKLOG: u32 = 1024;

/// Every address of the machine.
pub const fn everywhere(port: u16) -> SocketAddr {
    SocketAddr::new(IpAddr::V6(Ipv6Addr::UNSPECIFIED), port)
}

/// Binds an address. `[::]` takes IPv4 too, and means only that where there is no IPv6.
pub async fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    if address.ip() != IpAddr::V6(Ipv6Addr::UNSPECIFIED) {
        return TcpListener::bind(address).await;
    }
    match bind_both_families(address) {
        Err(error) if has_no_ipv6(&error) => {
            tracing::info!("this machine has no IPv6: listening on IPv4 alone");
            TcpListener::bind(SocketAddr::from((Ipv4Addr::UNSPECIFIED, address.port()))).await
        }
        bound => bound,
    }
}

fn bind_both_families(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = TcpSocket::new_v6()?;
    // Said and not assumed: what a socket does by itself is a setting of the machine (`net.ipv6.bindv6only`).
    set_ipv6_v6only(&socket, false)?;
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Binds the port on both loopback addresses. With port 0 the second takes the port the first was given. A machine
/// without IPv6 gets one listener.
pub async fn bind_loopback(port: u16) -> io::Result<Vec<TcpListener>> {
    let mut attempts = if port == 0 { PORT_ATTEMPTS } else { 1 };
    loop {
        let v4 = TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, port))).await?;
        let same = SocketAddr::from((Ipv6Addr::LOCALHOST, v4.local_addr()?.port()));
        attempts -= 1;
        match TcpListener::bind(same).await {
            Ok(v6) => return Ok(vec![v4, v6]),
            Err(error) if has_no_ipv6(&error) => return Ok(vec![v4]),
            Err(error) if error.kind() == io::ErrorKind::AddrInUse && attempts > 0 => {}
            Err(error) => return Err(error),
        }
    }
}

fn has_no_ipv6(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::AddrNotAvailable | io::ErrorKind::Unsupported)
        || error.raw_os_error() == Some(rustix::io::Errno::AFNOSUPPORT.raw_os_error())
}

/// An address at which this machine reaches what is bound to `address`.
pub fn reachable(mut address: SocketAddr) -> SocketAddr {
    match address.ip() {
        // What is bound to all of IPv6 takes IPv4 too, which every pod has on loopback.
        ip if ip.is_unspecified() => address.set_ip(Ipv4Addr::LOCALHOST.into()),
        _ => {}
    }
    address
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // tests fail by panicking
    use tokio::net::TcpStream;

    use super::*;

    #[tokio::test]
    async fn both_loopback_addresses_get_the_same_port() {
        let listeners = bind_loopback(0).await.unwrap();
        let addresses: Vec<_> = listeners.iter().map(|listener| listener.local_addr().unwrap()).collect();
        assert!(addresses.iter().all(|address| address.ip().is_loopback() && address.port() == addresses[0].port()));
        assert!(addresses[0].is_ipv4());
    }

    #[tokio::test]
    async fn everywhere_is_both_families() {
        let listener = bind(everywhere(0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.unwrap();
        if TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).await.is_ok() {
            TcpStream::connect((Ipv6Addr::LOCALHOST, port)).await.unwrap();
        }
    }

    #[test]
    fn what_is_bound_everywhere_is_reached_on_loopback() {
        assert_eq!(reachable(everywhere(80)).to_string(), "127.0.0.1:80");
        assert_eq!(reachable(([0, 0, 0, 0], 80).into()).to_string(), "127.0.0.1:80");
        assert_eq!(reachable(([10, 0, 0, 1], 80).into()).to_string(), "10.0.0.1:80");
    }
}
