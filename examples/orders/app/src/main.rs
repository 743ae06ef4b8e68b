//! A REST service of orders, as you might have one: it knows nothing of WebSocket.
//!
//! [`api`] is what it answers, [`store`] what it keeps, and both would look the same if Moorline did not exist.
//! [`push`] is the one thing it has gained: an ordinary HTTP request, for when it wants to speak first.
//!
//! | Environment | Default | |
//! |---|---|---|
//! | `PORT` | 3000 | where it listens |
//! | `DEBUG_ENDPOINTS` | off | `1` adds `POST /debug/exit`, which ends it with exit code 1, as a crash does |

mod api;
mod push;
mod store;

use std::io;
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

#[tokio::main(flavor = "current_thread")]
async fn main() -> io::Result<()> {
    let port = std::env::var("PORT").ok().and_then(|port| port.parse().ok()).unwrap_or(3000);
    let debug = std::env::var("DEBUG_ENDPOINTS").is_ok_and(|value| value == "1");
    // As process 1 of a container it is sent signals that nobody else handles.
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let listener = TcpListener::bind((std::net::Ipv4Addr::UNSPECIFIED, port)).await?;
    println!("listening on port {port}");
    let service = api::service(&Arc::default(), debug);
    // It ends at once, whatever is in flight. Moorline's drain is what keeps that from hurting anyone.
    tokio::select! {
        () = warp::serve(service).incoming(listener).run() => {}
        _ = terminate.recv() => println!("terminated"),
        _ = interrupt.recv() => {}
    }
    Ok(())
}
