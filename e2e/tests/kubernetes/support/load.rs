//! Many clients with steady traffic, counted: every message is answered, or its client was told that it is not.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_tungstenite::tungstenite::Message;

use futures_util::{SinkExt as _, StreamExt as _};

use super::client::Client;

/// What happened to the messages.
#[derive(Default, Debug)]
pub(crate) struct Tally {
    /// Messages sent.
    pub(crate) sent: AtomicU64,
    /// Answered with 200.
    pub(crate) answered: AtomicU64,
    /// Answered with an error frame: the client knows.
    pub(crate) errors: AtomicU64,
    /// In flight when the connection was closed with a code: the client knows.
    pub(crate) told_by_close: AtomicU64,
    /// Handshakes that were refused with a status and tried again.
    pub(crate) refused: AtomicU64,
    /// Closes by code with the time since the start of the load.
    pub(crate) closes: Mutex<Vec<(u16, Duration)>>,
    /// Connections that ended without a close frame, and messages in flight then.
    pub(crate) broken: Mutex<Vec<String>>,
    /// Messages without an answer on a connection that stayed open.
    pub(crate) lost: AtomicU64,
    /// The longest an answer took, in milliseconds.
    pub(crate) slowest_ms: AtomicU64,
    /// Connections made, the first ones included.
    pub(crate) connected: AtomicU64,
}

impl Tally {
    /// Closes by code.
    pub(crate) fn codes(&self) -> BTreeMap<u16, usize> {
        let mut codes = BTreeMap::new();
        for (code, _) in self.closes.lock().iter() {
            *codes.entry(*code).or_default() += 1;
        }
        codes
    }
}

/// Clients that run until they are stopped.
pub(crate) struct Load {
    pub(crate) tally: Arc<Tally>,
    stop: Arc<AtomicBool>,
    tasks: JoinSet<Result<()>>,
}

impl Load {
    /// Starts `clients`, each with a message every `period`, and waits until all are connected. Clients reconnect after
    /// a close, a moment later, as the guide for clients says.
    pub(crate) async fn start(address: &str, path: &str, clients: usize, period: Duration) -> Result<Self> {
        let (tally, stop, start) = (Arc::<Tally>::default(), Arc::<AtomicBool>::default(), Instant::now());
        let mut tasks = JoinSet::new();
        for number in 0..clients {
            let (tally, stop, address, path) =
                (Arc::clone(&tally), Arc::clone(&stop), address.to_owned(), path.to_owned());
            tasks.spawn(async move {
                // Spread, so that the messages of all clients are too.
                sleep(period.mul_f64(number as f64 / clients as f64)).await;
                while !stop.load(Ordering::Relaxed) {
                    one_connection(&tally, &stop, &address, &path, period, start).await?;
                }
                Ok(())
            });
        }
        let load = Self { tally, stop, tasks };
        super::wait::until(
            "all clients connected",
            || async { Ok(load.tally.connected.load(Ordering::Relaxed)) },
            |connected| *connected >= clients as u64,
        )
        .await?;
        Ok(load)
    }

    /// Stops the traffic, waits for the last answers, and gives the tally.
    pub(crate) async fn stop(mut self) -> Result<Arc<Tally>> {
        self.stop.store(true, Ordering::Relaxed);
        while let Some(done) = self.tasks.join_next().await {
            done??;
        }
        Ok(self.tally)
    }
}

/// One connection until it ends or the load does.
async fn one_connection(
    tally: &Tally,
    stop: &AtomicBool,
    address: &str,
    path: &str,
    period: Duration,
    start: Instant,
) -> Result<()> {
    let Ok(client) = Client::connect(address, path).await else {
        tally.refused.fetch_add(1, Ordering::Relaxed);
        sleep(Duration::from_millis(50 + u64::from(rand::random::<u8>()))).await;
        return Ok(());
    };
    tally.connected.fetch_add(1, Ordering::Relaxed);
    let mut socket = client.socket;
    let mut id = 0u64;
    loop {
        if stop.load(Ordering::Relaxed) {
            let _ = socket.close(None).await;
            return Ok(());
        }
        id += 1;
        let asked = Instant::now();
        let message = json!({"action": "get", "requestId": id, "id": 7}).to_string();
        // Counted before it is tried: half a message on the wire is in flight too.
        tally.sent.fetch_add(1, Ordering::Relaxed);
        let sent = socket.send(Message::text(message)).await;
        // What the server said last is still to be read when a write fails.
        let ended = loop {
            match timeout(Duration::from_mins(1), socket.next()).await {
                Err(_) => {
                    tally.lost.fetch_add(1, Ordering::Relaxed);
                    bail!("message {id} was not answered within a minute; sent: {sent:?}");
                }
                Ok(Some(Ok(Message::Text(text)))) => {
                    let answer: Value = serde_json::from_str(text.as_str())?;
                    if answer["id"] == json!(id) && answer["status"] == json!(200) {
                        tally.answered.fetch_add(1, Ordering::Relaxed);
                    } else {
                        tally.errors.fetch_add(1, Ordering::Relaxed);
                    }
                    break None;
                }
                Ok(Some(Ok(Message::Close(frame)))) => break Some(Ok(frame.map_or(1005, |frame| frame.code.into()))),
                Ok(Some(Ok(_))) => {}
                Ok(Some(Err(error))) => break Some(Err(error.to_string())),
                Ok(None) => break Some(Err("the stream ended".to_owned())),
            }
        };
        match ended {
            None => {
                let took = u64::try_from(asked.elapsed().as_millis()).unwrap_or(u64::MAX);
                tally.slowest_ms.fetch_max(took, Ordering::Relaxed);
            }
            Some(Ok(code)) => {
                tally.told_by_close.fetch_add(1, Ordering::Relaxed);
                tally.closes.lock().push((code, start.elapsed()));
                let _ = socket.close(None).await;
                return Ok(());
            }
            Some(Err(error)) => {
                tally.broken.lock().push(error);
                return Ok(());
            }
        }
        // Between two messages the connection is listened to: a close now concerns no message.
        let ended = match timeout(period, socket.next()).await {
            Ok(Some(Ok(Message::Close(frame)))) => Ok(frame.map_or(1005, |frame| frame.code.into())),
            Err(_) | Ok(Some(Ok(_))) => continue,
            Ok(Some(Err(error))) => Err(error.to_string()),
            Ok(None) => Err("the stream ended".to_owned()),
        };
        match ended {
            Ok(code) => {
                tally.closes.lock().push((code, start.elapsed()));
                let _ = socket.close(None).await;
            }
            Err(error) => tally.broken.lock().push(error),
        }
        return Ok(());
    }
}
