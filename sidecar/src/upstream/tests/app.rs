//! An app made of a socket and a script, so that a test decides every byte and every close.
//!
//! A real HTTP server would repair or refuse most of what these tests send.

use std::{
    collections::VecDeque,
    future::Future,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::watch,
    time::timeout,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// How long a test waits for what must happen.
pub(super) const PATIENCE: Duration = Duration::from_secs(20);

/// A running app; it ends when dropped.
pub(super) struct App {
    pub(super) address: SocketAddr,
    pub(super) seen: Arc<Seen>,
    stop: CancellationToken,
}

/// What the app counted.
#[derive(Default)]
pub(super) struct Seen {
    accepted: AtomicUsize,
    open: AtomicUsize,
    most_open: AtomicUsize,
    requests: AtomicUsize,
    changed: watch::Sender<()>,
}

/// One connection, as the script sees it.
pub(super) struct Peer {
    pub(super) stream: TcpStream,
    /// 0 for the first connection.
    pub(super) number: usize,
    seen: Arc<Seen>,
    unread: VecDeque<u8>,
}

// === impl App ===

impl App {
    /// Runs the script for each connection.
    pub(super) async fn start<F, S>(script: S) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
        S: Fn(Peer) -> F + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Seen::default());
        let stop = CancellationToken::new();
        let tasks = TaskTracker::new();
        tasks.spawn({
            let (tasks, seen, stop) = (tasks.clone(), Arc::clone(&seen), stop.clone());
            async move {
                while let Some(Ok((stream, _))) = stop.run_until_cancelled(listener.accept()).await {
                    stream.set_nodelay(true).unwrap();
                    let number = seen.accepted.fetch_add(1, Ordering::SeqCst);
                    let open = seen.open.fetch_add(1, Ordering::SeqCst) + 1;
                    seen.most_open.fetch_max(open, Ordering::SeqCst);
                    seen.changed.send_replace(());
                    let peer = Peer { stream, number, seen: Arc::clone(&seen), unread: VecDeque::new() };
                    let script = script(peer);
                    let stop = stop.clone();
                    tasks.spawn(async move {
                        stop.run_until_cancelled(script).await;
                    });
                }
            }
        });
        Self { address, seen, stop }
    }

    /// An app that answers every request with these bytes.
    pub(super) async fn answering(answer: &'static str) -> Self {
        Self::start(move |mut peer| async move {
            while peer.request().await.is_some() {
                peer.send(answer).await;
            }
        })
        .await
    }
}

impl Drop for App {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

// === impl Seen ===

impl Seen {
    pub(super) fn accepted(&self) -> usize {
        self.accepted.load(Ordering::SeqCst)
    }

    pub(super) fn open(&self) -> usize {
        self.open.load(Ordering::SeqCst)
    }

    pub(super) fn most_open(&self) -> usize {
        self.most_open.load(Ordering::SeqCst)
    }

    pub(super) fn requests(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }

    /// Waits until the counts are as they should be.
    pub(super) async fn until(&self, mut holds: impl FnMut(&Self) -> bool) {
        let mut changes = self.changed.subscribe();
        let wait = async {
            while !holds(self) {
                changes.changed().await.unwrap();
            }
        };
        assert!(
            timeout(PATIENCE, wait).await.is_ok(),
            "accepted {}, open {}, requests {}",
            self.accepted(),
            self.open(),
            self.requests()
        );
    }
}

// === impl Peer ===

impl Peer {
    /// The next request as text, head and body; `None` when the connection ended.
    pub(super) async fn request(&mut self) -> Option<String> {
        loop {
            let bytes = self.unread.make_contiguous();
            if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
                let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
                let length = head
                    .lines()
                    .find_map(|line| line.strip_prefix("content-length: "))
                    .map_or(0, |length| length.parse().unwrap());
                let whole = end + 4 + length;
                if bytes.len() >= whole {
                    let request = self.unread.drain(..whole).collect();
                    self.seen.requests.fetch_add(1, Ordering::SeqCst);
                    self.seen.changed.send_replace(());
                    return Some(String::from_utf8(request).unwrap());
                }
            }
            let mut buffer = [0; 4096];
            match self.stream.read(&mut buffer).await {
                Ok(count @ 1..) => self.unread.extend(&buffer[..count]),
                _ => return None,
            }
        }
    }

    /// Sends bytes; that the other side has gone is no error here.
    pub(super) async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        let _ = self.stream.write_all(bytes.as_ref()).await;
    }

    /// Waits until the other side ends the connection.
    pub(super) async fn ended(&mut self) {
        let mut buffer = [0; 4096];
        while let Ok(1..) = self.stream.read(&mut buffer).await {}
    }

    /// Ends the connection with a reset.
    pub(super) fn reset(self) {
        self.stream.set_zero_linger().unwrap();
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.seen.open.fetch_sub(1, Ordering::SeqCst);
        self.seen.changed.send_replace(());
    }
}
