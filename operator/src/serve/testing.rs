//! A client that speaks TLS, as an API server does, for the tests of the listener and of the webhook.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use warp::filters::BoxedFilter;

use super::tls::{TlsLimits, serve};
use crate::certs::Served;
use crate::certs::testing::{NAME, client_config};

pub(crate) const WITHIN: Duration = Duration::from_secs(30);

/// The limits of the operator, except that it does not wait for endpoints.
pub(crate) fn limits() -> TlsLimits {
    TlsLimits { linger: Duration::ZERO, ..TlsLimits::default() }
}

/// A listener that serves a filter.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) shutdown: CancellationToken,
    pub(crate) tasks: TaskTracker,
}

impl Server {
    pub(crate) async fn start(
        served: &Arc<Served>,
        filter: BoxedFilter<(warp::reply::Response,)>,
        limits: TlsLimits,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (shutdown, tasks) = (CancellationToken::new(), TaskTracker::new());
        tasks.spawn(serve(listener, served.server_config().unwrap(), filter, limits, shutdown.clone()));
        tasks.close();
        Self { address, shutdown, tasks }
    }

    /// Stops it, and waits until it has.
    pub(crate) async fn stop(&self) {
        self.shutdown.cancel();
        timeout(WITHIN, self.tasks.wait()).await.unwrap();
    }
}

/// One connection of a client.
pub(crate) struct Client {
    sender: SendRequest<Full<Bytes>>,
    tasks: TaskTracker,
}

impl Client {
    /// Connects, trusting `bundle`.
    pub(crate) async fn connect(address: SocketAddr, bundle: &str) -> std::io::Result<Self> {
        timeout(WITHIN, Box::pin(Self::shake_hands(address, bundle))).await.unwrap()
    }

    async fn shake_hands(address: SocketAddr, bundle: &str) -> std::io::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        let connector = TlsConnector::from(client_config(bundle));
        let stream = connector.connect(ServerName::try_from(NAME).unwrap(), stream).await?;
        let (sender, connection) = handshake(TokioIo::new(stream)).await.map_err(std::io::Error::other)?;
        let tasks = TaskTracker::new();
        tasks.spawn(connection);
        tasks.close();
        Ok(Self { sender, tasks })
    }

    pub(crate) async fn send(&mut self, method: Method, path: &str, body: Bytes) -> hyper::Result<(u16, Bytes)> {
        let request = Request::builder().method(method).uri(path).header("host", NAME);
        self.sender.ready().await?;
        collect(self.sender.send_request(request.body(Full::new(body)).unwrap()).await?).await
    }

    pub(crate) async fn get(&mut self) -> hyper::Result<(u16, Bytes)> {
        self.send(Method::GET, "/", Bytes::new()).await
    }

    /// Waits until the connection has ended.
    pub(crate) async fn ended(self) {
        timeout(WITHIN, self.tasks.wait()).await.unwrap();
    }
}

async fn collect(response: Response<Incoming>) -> hyper::Result<(u16, Bytes)> {
    let status = response.status().as_u16();
    Ok((status, response.into_body().collect().await?.to_bytes()))
}
