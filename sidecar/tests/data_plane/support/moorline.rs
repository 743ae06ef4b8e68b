//! A gateway of its own for one test: from the fields of a route's spec to listening sockets.
//!
//! It goes the whole way of a manifest (YAML, compile, document), so that no test can use a document
//! that no manifest could produce. Ports are chosen by the system; dropping it ends every task.

use std::net::SocketAddr;
use std::time::Duration;

use moorline_crds::{Document, WebSocketRoute, compile, service_of};
use moorline_sidecar::gateway::{Gateway, Handle, Settings};
use tokio::task::JoinSet;

use super::app::App;
use super::client::Client;
use super::http::{HttpAnswer, Request};
use super::within;

/// A route of the Service `app` in `default` from the fields of its spec.
pub(crate) fn route(name: &str, spec: &str) -> WebSocketRoute {
    route_of("app", name, spec)
}

/// A route of a Service in `default`.
pub(crate) fn route_of(service: &str, name: &str, spec: &str) -> WebSocketRoute {
    let indented = spec.lines().fold(String::new(), |text, line| text + "  " + line + "\n");
    let text = format!(
        "apiVersion: moorline.dev/v1alpha1\nkind: WebSocketRoute\nmetadata: {{name: {name}, namespace: default}}\n\
         spec:\n  serviceRef: {{name: {service}, port: 80}}\n{indented}"
    );
    moorline_crds::yaml::parse_manifests(&text)
        .into_iter()
        .map(|manifest| manifest.unwrap_or_else(|error| panic!("{error}\n{text}")).route)
        .next()
        .expect("one manifest")
}

/// The document of these routes in front of an app. Fails on any problem.
pub(crate) fn document_of(routes: &[WebSocketRoute], app: SocketAddr) -> Document {
    let compiled = compile(&service_of(&routes[0]), routes, &|_| Ok(moorline_crds::Backend::at(app.to_string())));
    assert!(compiled.problems.is_empty(), "{:?}", compiled.problems);
    compiled.document
}

/// The document of one route named `test`.
pub(crate) fn document(spec: &str, app: SocketAddr) -> Document {
    document_of(&[route("test", spec)], app)
}

/// What tests use unless they test it: the system's choice of ports, no grace.
pub(crate) fn settings() -> Settings {
    let mut settings = Settings {
        client: SocketAddr::from(([127, 0, 0, 1], 0)),
        admin: SocketAddr::from(([127, 0, 0, 1], 0)),
        ..Settings::default()
    };
    settings.callback.port = 0;
    settings.drain.grace = Duration::ZERO;
    settings.drain.window = Duration::ZERO;
    settings
}

/// A running gateway.
#[derive(Debug)]
pub(crate) struct Moorline {
    pub(crate) client: SocketAddr,
    pub(crate) callback: SocketAddr,
    pub(crate) admin: SocketAddr,
    pub(crate) handle: Handle,
    tasks: JoinSet<()>,
}

impl Moorline {
    /// In front of an app, with one route of these fields.
    pub(crate) async fn start(app: &App, spec: &str) -> Self {
        Self::with(settings(), vec![document(spec, app.address)]).await
    }

    pub(crate) async fn with(settings: Settings, documents: Vec<Document>) -> Self {
        let gateway = Gateway::bind(settings, documents).await.expect("the gateway binds");
        let addresses = gateway.addresses().clone();
        let handle = gateway.handle();
        let mut tasks = JoinSet::new();
        tasks.spawn(gateway.run());
        Self { client: addresses.client, callback: addresses.callback[0], admin: addresses.admin, handle, tasks }
    }

    pub(crate) async fn connect(&self, target: &str) -> Client {
        Client::connect(self.client, target).await
    }

    pub(crate) async fn handshake(&self, request: &Request) -> Client {
        Client::handshake(self.client, request).await
    }

    /// A handshake that is answered with anything but 101.
    pub(crate) async fn refused(&self, request: &Request) -> HttpAnswer {
        let answer = request.send(self.client).await;
        assert_ne!(answer.status, 101, "the handshake was accepted");
        answer
    }

    /// A call of the callback API.
    pub(crate) async fn call(&self, method: &str, target: &str, body: &str) -> HttpAnswer {
        let request = Request::new(method, target).header("Content-Type", "application/json").body(body);
        request.send(self.callback).await
    }

    /// The metrics, as text.
    pub(crate) async fn metrics(&self) -> String {
        Request::new("GET", "/metrics").send(self.admin).await.text()
    }

    /// Waits until no client is connected and the last `$disconnect` is through.
    pub(crate) async fn shut_down(mut self) {
        within("the gateway to shut down", async {
            self.handle.shutdown().await;
            while self.tasks.join_next().await.is_some() {}
        })
        .await;
    }
}
