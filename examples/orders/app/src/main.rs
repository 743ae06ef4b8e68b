//! A REST service of orders, as you might have one: it knows nothing of WebSocket.
//!
//! [`api`] is what it answers, [`store`] what it keeps, and both would look the same if Moorline did not exist.
//! [`push`] is the one thing it has gained: an ordinary HTTP request, for when it wants to speak first.
//!
//! It listens on the port that `PORT` names, or 3000. With `--exit-after=2s` it ends by itself, as a Job does.

mod api;
mod push;
mod store;

use std::io;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::sleep;

#[tokio::main(flavor = "current_thread")]
async fn main() -> io::Result<()> {
    let port = std::env::var("PORT").ok().and_then(|port| port.parse().ok()).unwrap_or(3000);
    let seconds = std::env::args().find_map(|flag| flag.strip_prefix("--exit-after=")?.strip_suffix('s')?.parse().ok());
    // As process 1 of a container it is sent signals that nobody else handles.
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).await?;
    println!("listening on port {port}");
    let service = api::service(&Arc::default());
    // It ends at once, whatever is in flight. Moorline's drain is what keeps that from hurting anyone.
    tokio::select! {
        () = warp::serve(service).incoming(listener).run() => {}
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
        () = sleep(Duration::from_secs(seconds.unwrap_or(u64::MAX))) => {}
    }
    Ok(())
}
