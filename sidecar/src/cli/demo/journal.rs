//! What the service of the demo was asked and what it answered, as it saw it.
//!
//! Recorded around the service and not by it, because it is to know of nothing; and not by the gateway, because the
//! claim to be shown is that ordinary requests arrive.

use std::convert::Infallible;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use warp::filters::BoxedFilter;

/// More than the script causes; what comes later is for nobody.
const CAPACITY: usize = 64;
/// How long a request may take to show up. It is there already, unless something is broken.
const DEADLINE: Duration = Duration::from_secs(5);

/// One request and its answer.
#[derive(Debug, Clone)]
pub(super) struct Seen {
    pub(super) at: Instant,
    pub(super) answered_at: Instant,
    /// `GET /orders/1`.
    pub(super) line: String,
    pub(super) headers: HeaderMap,
    pub(super) body: String,
    pub(super) status: u16,
    pub(super) answer: String,
}

/// Reads what was recorded.
#[derive(Debug)]
pub(in crate::cli) struct Journal(mpsc::Receiver<Seen>);

/// Records.
#[derive(Debug, Clone)]
pub(in crate::cli) struct Recorder(mpsc::Sender<Seen>);

/// A journal and who writes it.
pub(in crate::cli) fn journal() -> (Recorder, Journal) {
    let (sender, receiver) = mpsc::channel(CAPACITY);
    (Recorder(sender), Journal(receiver))
}

impl Journal {
    /// The next request; none when none comes.
    pub(super) async fn next(&mut self) -> Option<Seen> {
        tokio::time::timeout(DEADLINE, self.0.recv()).await.ok().flatten()
    }

    /// A request nobody has waited for.
    pub(super) fn surplus(&mut self) -> Option<Seen> {
        self.0.try_recv().ok()
    }
}

/// Serves the app until `stop`, recording. Connections still open then are dropped: the gateway is gone before.
pub(in crate::cli) async fn serve(
    listener: TcpListener,
    app: BoxedFilter<(warp::reply::Response,)>,
    recorder: Recorder,
    stop: CancellationToken,
) {
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => return,
            Some(_) = connections.join_next() => continue,
            accepted = listener.accept() => accepted,
        };
        // A client that is gone already; there is nothing else to run out of in a demo.
        let Ok((stream, _)) = accepted else { continue };
        let (app, recorder) = (app.clone(), recorder.clone());
        connections.spawn(async move {
            // Measured in tenths of a millisecond, where delayed segments would show.
            let _ = stream.set_nodelay(true);
            let service = service_fn(move |request| {
                let (app, recorder) = (app.clone(), recorder.clone());
                async move { Ok::<_, Infallible>(recorder.call(app, request).await) }
            });
            // The error of a connection is the gateway's to report.
            let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

impl Recorder {
    async fn call(
        &self,
        app: BoxedFilter<(warp::reply::Response,)>,
        request: Request<Incoming>,
    ) -> Response<Full<Bytes>> {
        let at = Instant::now();
        let (parts, body) = request.into_parts();
        // A body that breaks off is an empty one here; the service says what it thinks of it.
        let body = body.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
        let target = parts.uri.path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
        let mut seen = Seen {
            at,
            answered_at: at,
            line: format!("{} {target}", parts.method),
            headers: parts.headers.clone(),
            body: text(&body),
            status: 0,
            answer: String::new(),
        };
        let service = TowerToHyperService::new(warp::service(app));
        let Ok(response) = service.call(Request::from_parts(parts, Full::new(body))).await;
        let (parts, body) = response.into_parts();
        let answer = body.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
        seen.answered_at = Instant::now();
        seen.status = parts.status.as_u16();
        seen.answer = text(&answer);
        // Full or forgotten: the script is over.
        let _ = self.0.try_send(seen);
        Response::from_parts(parts, Full::new(answer))
    }
}

fn text(bytes: &Bytes) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
