//! One handshake: admit it, ask `$connect`, answer it, hand the socket to a session.
//!
//! The application is asked in a task of its own: hyper drops its handler when a client leaves, and an application
//! that has said yes must hear of the end. The session then runs in a fresh, small task, so that an idle connection
//! does not keep what the handshake needed.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use http::header::{
    CONNECTION, HeaderValue, ORIGIN, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_PROTOCOL, SET_COOKIE, UPGRADE,
};
use http::request::Parts;
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::time::Instant;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use super::forwarded::{self, Origin};
use super::handshake::{self, Offer};
use super::record;
use super::refusal::Refusal;
use super::route::{RouteCell, RoutePermit};
use super::shared::{ProcessPermit, Shared};
use super::split_port;
use super::task::{ConnectionTask, Registered};
use crate::closing::{CloseCause, Ended};
use crate::connection::{Connection, ConnectionId, Outbox};
use crate::exchange::{self, ConnectAnswer, Connected, RefusedByApp};
use crate::observe::{Event as Seen, EventKind};
use crate::session::Session;

/// How long a client is asked to wait when a route is full: about the time a rollout takes to add capacity.
const FULL_RETRY_AFTER: Duration = Duration::from_secs(5);
/// The longest request id taken from a trusted proxy.
const MAX_REQUEST_ID_BYTES: usize = 128;

/// A handshake that may ask the application.
struct Admitted {
    offer: Offer,
    connection: Arc<Connection>,
    permit: RoutePermit,
    request_id: Option<Box<str>>,
}

/// Answers one request on the clients' port.
pub(super) async fn handle(
    shared: Arc<Shared>,
    permit: Arc<ProcessPermit>,
    peer: IpAddr,
    mut request: Request<Incoming>,
) -> Response<Full<Bytes>> {
    // Held from before the look at `refusing`, so that a drain cannot miss a handshake that passed it.
    let _token = shared.sessions.token();
    let upgrade = hyper::upgrade::on(&mut request);
    let (parts, _) = request.into_parts();
    let admitted = match admit(&shared, peer, &parts) {
        Ok(admitted) => admitted,
        Err(refusal) => return refusal.into_response(),
    };
    let (answer, answered) = oneshot::channel();
    shared.sessions.spawn(open(Arc::clone(&shared), admitted, upgrade, permit, answer));
    // The task always answers unless it panicked.
    answered.await.unwrap_or_else(|_| {
        Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "the handshake could not be handled")
            .into_response()
    })
}

fn admit(shared: &Arc<Shared>, peer: IpAddr, parts: &Parts) -> Result<Admitted, Refusal> {
    let refused = |refusal: Refusal| {
        shared.metrics.unrouted().handshakes.inc(refusal.reason);
        observe_refusal(shared, None, peer, &refusal);
        refusal
    };
    if shared.refusing.load(Ordering::Acquire) {
        return Err(refused(Refusal::draining()));
    }
    let offer = handshake::check(parts).map_err(refused)?;
    let host = split_port(&offer.host).0.to_ascii_lowercase();
    let table = shared.table.load();
    let Some((cell, captures)) = table.find(&host, parts.uri.path()) else {
        return Err(refused(Refusal::no_route()));
    };
    admit_to_route(shared, peer, parts, offer, &host, cell, &captures).inspect_err(|refusal| {
        cell.current().metrics.handshakes.inc(refusal.reason);
        observe_refusal(shared, Some(cell), peer, refusal);
    })
}

fn admit_to_route(
    shared: &Arc<Shared>,
    peer: IpAddr,
    parts: &Parts,
    offer: Offer,
    host: &str,
    cell: &Arc<RouteCell>,
    captures: &[(Box<str>, Box<str>)],
) -> Result<Admitted, Refusal> {
    let runtime = cell.current();
    let route = &runtime.route;
    if shared.loopback_hosts_only && route.hosts.is_empty() && !is_loopback(host) {
        return Err(Refusal::new(
            StatusCode::FORBIDDEN,
            "host_not_loopback",
            "Host: only loopback names are served here; spec.hosts names others",
        ));
    }
    let origin = forwarded::origin(peer, &offer.host, &parts.headers, &route.trusted_proxies);
    let cookie_withheld = check_origin(route, parts, &origin)?;
    if let Err(wait) = cell.admit(Instant::now()) {
        let refusal =
            Refusal::new(StatusCode::TOO_MANY_REQUESTS, "accept_rate", "too many new connections; try again later");
        return Err(refusal.retry_after(wait));
    }
    let permit = cell.permit().ok_or_else(|| {
        Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "route_full", "this route has all the connections it may have")
            .retry_after(FULL_RETRY_AFTER)
    })?;
    let record = record::record(&parts.headers, parts.uri.query(), captures, &origin, cookie_withheld);
    let connection = Arc::new(Connection::new(
        ConnectionId::random(),
        Arc::clone(cell),
        record,
        origin.source_ip,
        Outbox::new(route.limits.queue_bytes, Arc::clone(&shared.budget)),
    ));
    let request_id = origin.trusted.then(|| request_id(parts)).flatten();
    Ok(Admitted { offer, connection, permit, request_id })
}

/// Checks the `Origin`; says whether cookies must be withheld.
fn check_origin(route: &moorline_crds::Route, parts: &Parts, origin: &Origin) -> Result<bool, Refusal> {
    let mut values = parts.headers.get_all(ORIGIN).iter();
    let text = match (values.next(), values.next()) {
        (None, _) => None,
        // Text that is not ASCII, or two of them, matches nothing but `*`.
        (Some(value), None) => Some(value.to_str().unwrap_or("null")),
        (Some(_), Some(_)) => Some("null"),
    };
    match route.origins.allows(text, &origin.host) {
        Ok(allowed) => Ok(allowed.wildcard_only),
        Err(refused) => Err(Refusal::new(
            StatusCode::FORBIDDEN,
            refused.reason(),
            match refused {
                moorline_crds::OriginRefused::NotSame => {
                    "Origin: is not this host; spec.allowedOrigins names other origins"
                }
                moorline_crds::OriginRefused::NotListed => "Origin: is not in spec.allowedOrigins",
            },
        )),
    }
}

fn request_id(parts: &Parts) -> Option<Box<str>> {
    let id = parts.headers.get("x-request-id")?.to_str().ok()?;
    (!id.is_empty() && id.len() <= MAX_REQUEST_ID_BYTES).then(|| id.into())
}

fn is_loopback(host: &str) -> bool {
    host == "localhost"
        || host.ends_with(".localhost")
        || host.trim_matches(['[', ']']).parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

fn observe_refusal(shared: &Shared, cell: Option<&Arc<RouteCell>>, peer: IpAddr, refusal: &Refusal) {
    if let Some(observer) = &shared.observer {
        observer.observe(&Seen {
            route: cell.map(|cell| &cell.id),
            source_ip: Some(peer),
            status: refusal.status.as_u16(),
            error: Some(refusal.reason),
            ..Seen::new(EventKind::Refused)
        });
    }
}

/// Asks the application and answers the client.
async fn open(
    shared: Arc<Shared>,
    admitted: Admitted,
    upgrade: OnUpgrade,
    process_permit: Arc<ProcessPermit>,
    answer: oneshot::Sender<Response<Full<Bytes>>>,
) {
    let Admitted { offer, connection, permit, request_id } = admitted;
    // Registered before the call, so that the application can push and join from inside it; frames wait for the 101.
    connection.route.service.hub.insert(Arc::clone(&connection));
    let registered = Registered(Arc::clone(&connection));
    if connection.route.is_removed() {
        connection.outbox.close(CloseCause::RouteRemoved.order());
    }
    let handshakes = &connection.route.current().metrics.handshakes;
    let connected = match exchange::connect(&shared, &connection, &offer.subprotocols, request_id).await {
        ConnectAnswer::Accepted(connected) => connected,
        ConnectAnswer::Refused(refused) => {
            handshakes.inc(refused.reason);
            let unknown = refused.unknown;
            // A client that has left does not hear of its refusal.
            let _ = answer.send(refusal_response(refused));
            drop((registered, permit, process_permit));
            if unknown {
                exchange::disconnect(&shared, &connection, &Ended::lost("handshake refused")).await;
            }
            return;
        }
    };
    let outcome = connected.outcome_and_response(&offer);
    let (reply, close, response) = outcome;
    if let Some(frame) = reply {
        // One frame always fits an empty queue; pushes made during the call stand before it.
        let _ = connection.outbox.push_or_close(frame);
    }
    if let Some(order) = close {
        connection.outbox.close(order);
    }
    let socket = match answer.send(response) {
        Ok(()) => upgraded(upgrade).await,
        Err(_) => None,
    };
    let Some((tcp, ahead)) = socket else {
        handshakes.inc("client_left");
        drop((registered, permit, process_permit));
        exchange::disconnect(&shared, &connection, &Ended::lost("client left during the handshake")).await;
        return;
    };
    handshakes.inc("accepted");
    let session = Session::new(Arc::clone(&shared), Arc::clone(&connection), tcp, ahead).await;
    let sessions = shared.sessions.clone();
    sessions.spawn(ConnectionTask::new(shared, connection, session, (registered, permit, process_permit)));
}

async fn upgraded(upgrade: OnUpgrade) -> Option<(TcpStream, Bytes)> {
    let parts = upgrade.await.ok()?.downcast::<TokioIo<TcpStream>>().ok()?;
    // Copied, since a slice would keep hyper's 8 KiB buffer for as long as the connection lives.
    Some((parts.io.into_inner(), Bytes::copy_from_slice(&parts.read_buf)))
}

fn refusal_response(refused: RefusedByApp) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(refused.body));
    *response.status_mut() = refused.status;
    *response.headers_mut() = refused.headers;
    // A socket that was refused must not keep its place in the process-wide limit.
    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    response
}

impl Connected {
    /// The 101, and what follows it.
    fn outcome_and_response(
        self,
        offer: &Offer,
    ) -> (Option<crate::frame::Frame>, Option<crate::connection::CloseOrder>, Response<Full<Bytes>>) {
        let mut response = Response::new(Full::default());
        *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        let headers = response.headers_mut();
        headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
        headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
        if let Ok(accept) = HeaderValue::try_from(derive_accept_key(offer.key.as_bytes())) {
            headers.insert(SEC_WEBSOCKET_ACCEPT, accept);
        }
        if let Some(subprotocol) = self.subprotocol {
            headers.insert(SEC_WEBSOCKET_PROTOCOL, subprotocol);
        }
        for cookie in self.cookies {
            headers.append(SET_COOKIE, cookie);
        }
        (self.outcome.reply, self.outcome.close, response)
    }
}
