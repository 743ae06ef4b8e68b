//! The script of the demo: scenes, each of which checks what it shows.
//!
//! The demo is also a test of the whole, so nothing is shown that was not compared with what it should be, and the first
//! difference ends it. Only waiting for silence is left out, because it takes time: a frame somebody should not have got
//! shows as the wrong one in the next scene, or at the end.

use std::fmt;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::time::Instant;

use bytes::Bytes;
use http::{HeaderMap, Method};
use serde_json::{Value, json};

use super::client::{Client, ClientError, connect_signed_out};
use super::journal::{Journal, Seen};
use super::transcript::{Line, Transcript, What};
use crate::cli::http::{Answer, Call, url};

/// Where clients connect.
pub(super) const PATH: &str = "/ws/acme";
/// The group that `examples/orders/route.yaml` puts them into.
pub(super) const GROUP: &str = "tenant-acme";
const DISCONNECT_CODE: &str = "moorline-disconnect-code";
const DISCONNECT_REASON: &str = "moorline-disconnect-reason";

/// Why the demo is not as it should be.
#[derive(Debug, thiserror::Error)]
pub(super) enum ScriptError {
    /// A client could not do its part.
    #[error("{scene}: {who}: {source}")]
    Client { scene: &'static str, who: &'static str, source: ClientError },
    /// Something else came than should have.
    #[error("{scene}: {what} was {found}, and should have been {wanted}")]
    Differs { scene: &'static str, what: String, found: String, wanted: String },
    /// The transcript could not be written.
    #[error("standard output: {0}")]
    Output(#[from] io::Error),
}

/// What the script plays on.
pub(super) struct Stage<'a, W> {
    pub(super) gateway: SocketAddr,
    pub(super) callback: SocketAddr,
    pub(super) journal: &'a mut Journal,
    pub(super) transcript: &'a mut Transcript<W>,
}

/// Who is still connected after the script.
pub(super) struct Alice {
    pub(super) client: Client,
    id: String,
}

/// Plays it.
pub(super) async fn play<W: Write>(stage: &mut Stage<'_, W>) -> Result<Alice, ScriptError> {
    refused(stage).await?;
    let (mut alice, alice_id) = connected(
        stage,
        "alice",
        "Alice connects",
        "It says 201: the connection is accepted, and joins the group tenant-acme.",
    )
    .await?;
    let (mut bob, bob_id) =
        connected(stage, "bob", "Bob connects", "He is of the same tenant, and so in the same group.").await?;
    asked(stage, &mut alice).await?;
    created(stage, &mut alice, &mut bob).await?;
    changed(stage, &mut alice, &mut bob).await?;
    failed(stage, &mut bob).await?;
    pushed_to_all(stage, &mut alice, &mut bob).await?;
    pushed_to_one(stage, &mut alice, &alice_id).await?;
    left(stage, bob, &bob_id).await?;
    Ok(Alice { client: alice, id: alice_id })
}

async fn refused<W: Write>(stage: &mut Stage<'_, W>) -> Result<(), ScriptError> {
    let mut scene = Scene::new("No credentials, no connection");
    scene.sent("mallory", format!("connect {PATH}"));
    let answer = connect_signed_out(stage.gateway, PATH).await.map_err(|source| scene.failed("mallory", source))?;
    let seen = scene.call(stage.journal, "POST /tenants/acme/sessions", 401).await?;
    let text = scene.got_answer("mallory", &answer);
    scene.same("the status", &answer.status.as_u16(), &401)?;
    scene.same("the body", &text, &seen.answer)?;
    scene.same("WWW-Authenticate", header(&answer.headers, "www-authenticate"), "Bearer")?;
    scene.show(stage, "A handshake is a request first. The service says 401, so the client gets that 401.")
}

async fn connected<W: Write>(
    stage: &mut Stage<'_, W>,
    who: &'static str,
    title: &'static str,
    remark: &str,
) -> Result<(Client, String), ScriptError> {
    let mut scene = Scene::new(title);
    scene.sent(who, format!("connect {PATH}  Authorization: Bearer {who}"));
    let client = Client::connect(who, stage.gateway, PATH).await.map_err(|source| scene.failed(who, source))?;
    scene.note(Instant::now(), What::Got { who, status: Some(101), text: "Switching Protocols".to_owned() });
    let seen = scene.call(stage.journal, "POST /tenants/acme/sessions", 201).await?;
    let id = header(&seen.headers, "moorline-connection-id").to_owned();
    scene.same("the body of the call", &parse(&seen.body), &json!({"session": id}))?;
    scene.same("Authorization", header(&seen.headers, "authorization"), format!("Bearer {who}").as_str())?;
    scene.same(
        "Moorline-Callback-Url",
        header(&seen.headers, "moorline-callback-url"),
        url(stage.callback, "").as_str(),
    )?;
    scene.show(stage, remark)?;
    Ok((client, id))
}

async fn asked<W: Write>(stage: &mut Stage<'_, W>, alice: &mut Client) -> Result<(), ScriptError> {
    let mut scene = Scene::new("A message becomes a request");
    scene.says(alice, r#"{"action":"get","requestId":1,"id":1}"#).await?;
    let frame = scene.hears(alice).await?;
    let seen = scene
        .call_with(
            stage.journal,
            "GET /orders/1",
            200,
            &["authorization", "moorline-route-key", "moorline-connection-id"],
        )
        .await?;
    scene.same("the envelope", &frame, &json!({"id": 1, "status": 200, "body": parse(&seen.answer)}))?;
    scene.show(stage, "The answer goes back to her, in an envelope with the id of her message and the status.")
}

async fn created<W: Write>(stage: &mut Stage<'_, W>, alice: &mut Client, bob: &mut Client) -> Result<(), ScriptError> {
    let mut scene = Scene::new("An answer can go to everyone");
    scene.says(alice, r#"{"action":"create","order":{"item":"tea","quantity":2}}"#).await?;
    let seen = scene.call(stage.journal, "POST /orders", 201).await?;
    scene.same("the body of the call", &parse(&seen.body), &json!({"item": "tea", "quantity": 2}))?;
    scene.both(alice, bob, &seen.answer).await?;
    scene.show(stage, "The entry `create` replies to the group of the tenant: Bob sees what Alice ordered.")
}

async fn changed<W: Write>(stage: &mut Stage<'_, W>, alice: &mut Client, bob: &mut Client) -> Result<(), ScriptError> {
    let mut scene = Scene::new("And so can a change");
    scene.says(bob, r#"{"action":"patch","id":3,"change":{"state":"ready"}}"#).await?;
    let seen = scene.call(stage.journal, "PATCH /orders/3", 200).await?;
    let order = json!({"id": 3, "item": "tea", "quantity": 2, "state": "ready", "by": "alice"});
    scene.same("the order", &parse(&seen.answer), &order)?;
    scene.both(alice, bob, &seen.answer).await?;
    scene.show(stage, "Bob changes the order; Alice does not have to ask for it.")
}

async fn failed<W: Write>(stage: &mut Stage<'_, W>, bob: &mut Client) -> Result<(), ScriptError> {
    let mut scene = Scene::new("What fails is said, to the one who asked");
    scene.says(bob, r#"{"action":"patch","requestId":2,"id":99,"change":{"state":"ready"}}"#).await?;
    let seen = scene.call(stage.journal, "PATCH /orders/99", 404).await?;
    let frame = scene.hears(bob).await?;
    scene.same("the id", &frame["id"], &json!(2))?;
    scene.same("the status", &frame["status"], &json!(404))?;
    scene.same("the body", &frame["body"], &parse(&seen.answer))?;
    for key in ["message", "connectionId", "requestId", "reason"] {
        scene.same(key, &frame[key].is_string(), &true)?;
    }
    scene.show(stage, "An error frame with the status and the service's own words. The group hears nothing.")
}

async fn pushed_to_all<W: Write>(
    stage: &mut Stage<'_, W>,
    alice: &mut Client,
    bob: &mut Client,
) -> Result<(), ScriptError> {
    let mut scene = Scene::new("The app speaks first: to a group");
    let notice = r#"{"notice":"the kitchen closes at nine"}"#;
    let path = format!("/@groups/{GROUP}");
    let (answer, text) = scene.push(stage.callback, &path, notice).await?;
    scene.same("the status", &answer.status.as_u16(), &200)?;
    scene.same("the answer", &parse(&text), &json!({"reached": 2}))?;
    scene.both(alice, bob, notice).await?;
    scene.show(stage, "An ordinary POST on the callback API, from whatever part of the app has something to say.")
}

async fn pushed_to_one<W: Write>(stage: &mut Stage<'_, W>, alice: &mut Client, id: &str) -> Result<(), ScriptError> {
    let mut scene = Scene::new("And to one connection");
    let notice = r#"{"notice":"alice, your tea is on the table"}"#;
    let (answer, text) = scene.push(stage.callback, &format!("/@connections/{id}"), notice).await?;
    scene.same("the status", &answer.status.as_u16(), &200)?;
    scene.same("the answer", text.as_str(), "")?;
    let frame = scene.hears(alice).await?;
    scene.same("the frame", &frame, &parse(notice))?;
    scene.show(stage, "The same call as on AWS API Gateway; the id came with every request of hers.")
}

async fn left<W: Write>(stage: &mut Stage<'_, W>, bob: Client, id: &str) -> Result<(), ScriptError> {
    let mut scene = Scene::new("Bob leaves, and the service is told");
    scene.sent("bob", "close 1000 bye".to_owned());
    bob.close(1000, "bye").await.map_err(|source| scene.failed("bob", source))?;
    let line = format!("DELETE /sessions/{id}");
    let seen = scene.call_with(stage.journal, &line, 204, &[DISCONNECT_CODE, DISCONNECT_REASON]).await?;
    scene.same("the code", header(&seen.headers, DISCONNECT_CODE), "1000")?;
    scene.same("the reason", header(&seen.headers, DISCONNECT_REASON), "bye")?;
    if let Some(surplus) = stage.journal.surplus() {
        scene.same("the number of calls", surplus.line.as_str(), "complete")?;
    }
    scene.show(stage, "The entry `$disconnect`, with the close code and the reason.")
}

/// The last scene, while the gateway is being drained.
pub(super) async fn drained<W: Write>(stage: &mut Stage<'_, W>, alice: Alice) -> Result<(), ScriptError> {
    let Alice { mut client, id } = alice;
    let mut scene = Scene::new("Moorline stops, and everybody is told");
    let (code, reason) = client.closed().await.map_err(|source| scene.failed("alice", source))?;
    scene.note(Instant::now(), What::Got { who: "alice", status: None, text: format!("close {code} {reason}") });
    // Moorline waits for the client to let go of the socket, and the service is told after that.
    drop(client);
    scene.same("the close code", &code, &1012)?;
    let seen = scene.call_with(stage.journal, &format!("DELETE /sessions/{id}"), 204, &[DISCONNECT_CODE]).await?;
    scene.same("the code", header(&seen.headers, DISCONNECT_CODE), "1012")?;
    scene.show(stage, "1012 means: come back, and another replica will have you. The service hears of it as well.")
}

/// A scene while it is played.
struct Scene {
    title: &'static str,
    began: Instant,
    lines: Vec<Line>,
}

impl Scene {
    fn new(title: &'static str) -> Self {
        Self { title, began: Instant::now(), lines: Vec::with_capacity(8) }
    }

    fn note(&mut self, at: Instant, what: What) {
        self.lines.push(Line { at, what });
    }

    fn sent(&mut self, who: &'static str, text: String) {
        self.note(self.began, What::Sent { who, text });
    }

    fn got_answer(&mut self, who: &'static str, answer: &Answer) -> String {
        let text = String::from_utf8_lossy(&answer.body).into_owned();
        self.note(Instant::now(), What::Got { who, status: Some(answer.status.as_u16()), text: text.clone() });
        text
    }

    async fn says(&mut self, client: &mut Client, text: &str) -> Result<(), ScriptError> {
        self.sent(client.name, text.to_owned());
        client.send(text).await.map_err(|source| self.failed(client.name, source))
    }

    async fn hears(&mut self, client: &mut Client) -> Result<Value, ScriptError> {
        let (at, text) = client.receive().await.map_err(|source| self.failed(client.name, source))?;
        let frame = parse(&text);
        self.note(at, What::Got { who: client.name, status: None, text });
        Ok(frame)
    }

    /// Both hear the same.
    async fn both(&mut self, alice: &mut Client, bob: &mut Client, wanted: &str) -> Result<(), ScriptError> {
        // At the same time, so that neither's time is that of the other.
        let (first, second) = futures_util::future::join(alice.receive(), bob.receive()).await;
        for (client, received) in [(&*alice, first), (&*bob, second)] {
            let (at, text) = received.map_err(|source| self.failed(client.name, source))?;
            self.same(&format!("the frame of {}", client.name), &parse(&text), &parse(wanted))?;
            self.note(at, What::Got { who: client.name, status: None, text });
        }
        Ok(())
    }

    /// A call of the app on the callback API.
    async fn push(&mut self, callback: SocketAddr, path: &str, body: &str) -> Result<(Answer, String), ScriptError> {
        self.sent("app", format!("POST {path}  {body}"));
        let failed = |source| ScriptError::Client { scene: self.title, who: "app", source };
        let uri = url(callback, path)
            .parse()
            .map_err(|error: http::uri::InvalidUri| failed(ClientError::NotText(error.to_string())))?;
        let mut call = Call::new(Method::POST, uri);
        call.body = Bytes::copy_from_slice(body.as_bytes());
        call.headers.insert(http::header::CONTENT_TYPE, http::HeaderValue::from_static("application/json"));
        let answer = call.send().await.map_err(|error| failed(error.into()))?;
        let text = self.got_answer("app", &answer);
        Ok((answer, text))
    }

    /// The next call on the service is this one.
    async fn call(&mut self, journal: &mut Journal, line: &str, status: u16) -> Result<Seen, ScriptError> {
        self.call_with(journal, line, status, &[]).await
    }

    /// As [`Self::call`], showing some of its headers.
    async fn call_with(
        &mut self,
        journal: &mut Journal,
        line: &str,
        status: u16,
        headers: &[&str],
    ) -> Result<Seen, ScriptError> {
        let Some(seen) = journal.next().await else {
            self.same("the call on the service", "missing", line)?;
            return Err(self.failed("app", ClientError::Silence));
        };
        self.same("the call on the service", seen.line.as_str(), line)?;
        self.same("its status", &seen.status, &status)?;
        self.note(seen.at, What::Called { text: format!("{}  {}", seen.line, seen.body).trim_end().to_owned() });
        for name in headers {
            let text = format!("{}: {}", title_case(name), header(&seen.headers, name));
            self.note(seen.at, What::Header { text });
        }
        self.note(seen.answered_at, What::Answered { status, text: seen.answer.clone() });
        Ok(seen)
    }

    fn same<T, U>(&self, what: &str, found: &T, wanted: &U) -> Result<(), ScriptError>
    where
        T: PartialEq<U> + fmt::Display + ?Sized,
        U: fmt::Display + ?Sized,
    {
        if found == wanted {
            return Ok(());
        }
        let (found, wanted) = (found.to_string(), wanted.to_string());
        Err(ScriptError::Differs { scene: self.title, what: what.to_owned(), found, wanted })
    }

    fn failed(&self, who: &'static str, source: ClientError) -> ScriptError {
        ScriptError::Client { scene: self.title, who, source }
    }

    fn show<W: Write>(self, stage: &mut Stage<'_, W>, remark: &str) -> Result<(), ScriptError> {
        Ok(stage.transcript.scene(self.title, remark, self.began, self.lines)?)
    }
}

fn header<'h>(headers: &'h HeaderMap, name: &str) -> &'h str {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

/// `moorline-route-key` as people write it.
fn title_case(name: &str) -> String {
    let mut start = true;
    name.chars()
        .map(|c| {
            let shown = if start { c.to_ascii_uppercase() } else { c };
            start = c == '-';
            shown
        })
        .collect()
}

/// Text that is not JSON stands for itself.
fn parse(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.to_owned()))
}
