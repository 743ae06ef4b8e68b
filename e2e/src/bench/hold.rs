//! Connections that do nothing but be there.
//!
//! In a process of its own: a test that held both ends would reach the file limit at half the number, and
//! its memory would be counted as Moorline's.

use std::net::SocketAddr;

use anyhow::Result;
use tokio::io::AsyncReadExt as _;

use super::load::connect;

/// Opens so many connections, prints `held`, and keeps them until it is ended.
pub async fn run(address: SocketAddr, connections: usize) -> Result<()> {
    let mut held = Vec::with_capacity(connections);
    for _ in 0..connections {
        held.push(connect(address).await?);
    }
    println!("held");
    // Ended by whoever started it; reading what the server sends would be the next thing to measure.
    let mut first = held.remove(0);
    let mut byte = [0; 1];
    while first.read(&mut byte).await? > 0 {}
    Ok(())
}
