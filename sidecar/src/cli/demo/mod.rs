//! `moorline demo`: a REST service, Moorline in front of it, and clients, all in this process and all over real sockets.
//!
//! It is the first thing a newcomer sees and a test of the whole at once: the script checks what it shows. Afterwards
//! everything stays up to be tried by hand, with every message and call printed as `moorline dev` does.
//!
//! Invariant: `--once` is a success only if every scene was as expected and everything could be stopped.

mod client;
pub(super) mod journal;
mod orders;
mod script;
mod transcript;

use std::future::pending;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use moorline_crds::document::Document;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::client::Client;
use self::script::{GROUP, PATH, Stage};
use self::transcript::Transcript;
use super::args::{ADMIN_PORT, CALLBACK_PORT, CLIENT_PORT, DemoArgs, loopback};
use super::outcome::{Done, Failure, Outcome};
use super::{logging, serving};
use crate::console::Console;
use crate::gateway::{Addresses, CallbackBind, DrainSettings, Gateway, Settings};
use crate::lines::{LineWriter, Lines};
use crate::observe::{Event, Observer};
use crate::source::manifests::{self, File};
use crate::style::{Ink, Style};

/// The manifest, so that the binary alone is enough.
const ROUTE: &str = include_str!("../../../../examples/orders/route.yaml");
/// Where it is in the repository.
const ROUTE_PATH: &str = "examples/orders/route.yaml";
/// The port its `serviceRef` names.
const APP_PORT: u16 = 3000;

/// Runs the command.
pub(super) async fn run(args: DemoArgs) -> Outcome {
    logging::start_quietly();
    let style = Style::of_stdout();
    if args.once {
        return once(args, io::stdout(), style).await;
    }
    let writer = LineWriter::start("console", io::stdout())
        .map_err(|error| Failure::Runtime(format!("the console: {error}")))?;
    let outcome = Box::pin(stay(args, writer.lines(), style)).await;
    writer.finish();
    outcome
}

/// The script alone.
async fn once<W: Write>(args: DemoArgs, output: W, style: Style) -> Outcome {
    let mut house = House::open(args, None).await?;
    let gateway = house.gateway.take().ok_or_else(House::taken)?;
    let handle = gateway.handle();
    let mut transcript = Transcript::new(output, style);
    let show = async {
        let shown = house.show(&mut transcript, style).await;
        // Whatever the script came to, everything has to stop.
        handle.shutdown().await;
        shown
    };
    let (shown, ()) = futures_util::future::join(show, gateway.run()).await;
    house.close().await;
    shown.map(|_| Done::Well)
}

/// The script, and then everything as it is until a signal.
async fn stay(args: DemoArgs, lines: Lines, style: Style) -> Outcome {
    let curtain = Arc::new(Curtain { console: Console::new(lines.clone(), style), up: AtomicBool::new(false) });
    let mut house = House::open(args, Some(Arc::clone(&curtain) as Arc<dyn Observer>)).await?;
    let gateway = house.gateway.take().ok_or_else(House::taken)?;
    let addresses = gateway.addresses().clone();
    let app = house.app;
    let show = async {
        let mut transcript = Transcript::new(io::stdout(), style);
        match house.show(&mut transcript, style).await {
            Ok(alice) => {
                if let Err(failure) = super::outcome::print(&by_hand(&addresses, app, style)) {
                    return failure;
                }
                curtain.up.store(true, Ordering::Relaxed);
                listen(alice, &lines, style).await;
                pending().await
            }
            Err(failure) => failure,
        }
    };
    let outcome = Box::pin(serving::until_signalled(gateway, show)).await;
    house.close().await;
    outcome
}

/// The service of orders and the gateway before it.
struct House {
    app: SocketAddr,
    journal: journal::Journal,
    /// Taken by whoever serves it.
    gateway: Option<Gateway>,
    addresses: Addresses,
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl House {
    async fn open(args: DemoArgs, observer: Option<Arc<dyn Observer>>) -> Result<Self, Failure> {
        let listener = listen_for_app(args.app).await?;
        let app = listener.local_addr().map_err(|error| Failure::Runtime(error.to_string()))?;
        let settings = Settings {
            client: args.listen.unwrap_or_else(|| free(CLIENT_PORT)),
            callback: CallbackBind {
                port: args.callback.map_or_else(|| free(CALLBACK_PORT).port(), |address| address.port()),
                explicit: args.callback,
            },
            admin: args.admin.unwrap_or_else(|| free(ADMIN_PORT)),
            loopback_hosts_only: true,
            drain: DrainSettings { grace: Duration::ZERO, window: Duration::ZERO },
            observer,
            ..Settings::default()
        };
        let gateway =
            Gateway::bind(settings, documents(app)?).await.map_err(|error| Failure::Runtime(error.to_string()))?;
        let addresses = gateway.addresses().clone();
        let (recorder, journal) = journal::journal();
        let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
        let service = orders::service(&orders::Store::with_orders());
        tasks.spawn(journal::serve(listener, service, recorder, stop.clone()));
        Ok(Self { app, journal, gateway: Some(gateway), addresses, tasks, stop })
    }

    /// Plays the script. Alice is still connected afterwards.
    async fn show<W: Write>(&mut self, transcript: &mut Transcript<W>, style: Style) -> Result<Client, Failure> {
        let began = Instant::now();
        let output = |error: io::Error| match error.kind() {
            io::ErrorKind::BrokenPipe => Failure::OutputClosed,
            _ => Failure::Runtime(format!("standard output: {error}")),
        };
        transcript.say(&opening(&self.addresses, self.app, style)).map_err(output)?;
        let callback = self.addresses.callback.first().copied().unwrap_or(loopback(CALLBACK_PORT));
        let mut stage = Stage { gateway: self.addresses.client, callback, journal: &mut self.journal, transcript };
        let alice = script::play(&mut stage).await.map_err(|error| match error {
            script::ScriptError::Output(error) => output(error),
            other => Failure::Runtime(format!("the demo is not as expected: {other}")),
        })?;
        let summary = format!(
            "\n     {}",
            style.ink(
                Ink::Green,
                format_args!(
                    "{} scenes, all as expected, in {:.0} ms",
                    transcript.scenes(),
                    began.elapsed().as_secs_f64() * 1000.0
                )
            )
        );
        transcript.say(&summary).map_err(output)?;
        Ok(alice)
    }

    async fn close(self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }

    fn taken() -> Failure {
        Failure::Runtime("the gateway is served twice".to_owned())
    }
}

/// Shows events once the script is over: during it the transcript tells more.
#[derive(Debug)]
struct Curtain {
    console: Console,
    up: AtomicBool,
}

impl Observer for Curtain {
    fn observe(&self, event: &Event<'_>) {
        if self.up.load(Ordering::Relaxed) {
            self.console.observe(event);
        }
    }
}

/// Prints what Alice gets, until her connection ends.
async fn listen(mut alice: Client, lines: &Lines, style: Style) {
    while let Ok(text) = alice.wait().await {
        lines.push(format!("{} ◀── {text}", style.ink(Ink::Cyan, "alice")));
    }
}

async fn listen_for_app(wanted: Option<SocketAddr>) -> Result<TcpListener, Failure> {
    match wanted {
        Some(address) => {
            TcpListener::bind(address).await.map_err(|error| Failure::Runtime(format!("--app: {address}: {error}")))
        }
        None => match TcpListener::bind(loopback(APP_PORT)).await {
            Ok(listener) => Ok(listener),
            Err(_) => TcpListener::bind(loopback(0))
                .await
                .map_err(|error| Failure::Runtime(format!("no port for the service: {error}"))),
        },
    }
}

/// The port on this machine if it can be had, else any. Somebody may take it before it is bound, which then is said.
fn free(port: u16) -> SocketAddr {
    let taken = |address: SocketAddr| {
        std::net::TcpListener::bind(address).is_err_and(|error| error.kind() == io::ErrorKind::AddrInUse)
    };
    // The callback listener wants it on both addresses, and a browser or a client may try either.
    let v6 = SocketAddr::from((std::net::Ipv6Addr::LOCALHOST, port));
    if taken(loopback(port)) || taken(v6) { loopback(0) } else { loopback(port) }
}

/// The documents of the example, with the app where it is.
fn documents(app: SocketAddr) -> Result<Vec<Document>, Failure> {
    let file = File { name: ROUTE_PATH.to_owned(), text: Ok(ROUTE.to_owned()) };
    let compiled = manifests::compile_all(&[file], &|_| Ok(app.to_string()));
    match compiled.problems.first() {
        Some(problem) => Err(Failure::Runtime(problem.to_string())),
        None => Ok(compiled.documents),
    }
}

fn opening(addresses: &Addresses, app: SocketAddr, style: Style) -> String {
    let callback = addresses.callback.first().map_or_else(String::new, ToString::to_string);
    let bold = |text: &str| style.ink(Ink::Bold, format!("{text:<11}")).to_string();
    let dim = |text: &str| style.ink(Ink::Dim, text.to_owned()).to_string();
    [
        String::new(),
        format!(" {}", style.ink(Ink::Bold, "A REST service becomes real-time, unchanged.")),
        String::new(),
        format!(
            "   {} http://{app:<22} {}",
            bold("the service"),
            dim("orders, in plain HTTP; it has never heard of WebSocket")
        ),
        format!(
            "   {} ws://{:<24} {}",
            bold("moorline"),
            format!("{}/ws/{{tenant}}", addresses.client),
            dim(ROUTE_PATH)
        ),
        format!("   {} http://{callback:<22} {}", bold("callback"), dim("where the service reaches its clients")),
    ]
    .join("\n")
}

fn by_hand(addresses: &Addresses, app: SocketAddr, style: Style) -> String {
    let client = addresses.client;
    let callback = addresses.callback.first().map_or_else(String::new, ToString::to_string);
    let head = |text: &str| format!("     {}", style.ink(Ink::Dim, text));
    let line = |text: String| format!("       {text}");
    [
        format!(
            "\n     {}",
            style.ink(Ink::Bold, "Everything stays up; now you. Alice is still connected. Ctrl-C ends it.")
        ),
        String::new(),
        head("connect, in another terminal (either of these):"),
        line(format!("websocat -H 'Authorization: Bearer carol' ws://{client}{PATH}")),
        line(format!("npx wscat -H 'Authorization: Bearer carol' -c ws://{client}{PATH}")),
        head("and type:"),
        line(r#"{"action":"list","state":"ready"}"#.to_owned()),
        line(r#"{"action":"create","order":{"item":"cake","quantity":1}}"#.to_owned()),
        head("push to everyone of the tenant, in a third one:"),
        line(format!("curl http://{callback}/@groups/{GROUP} --json '{{\"notice\":\"hello\"}}'")),
        head("or ask the service itself, which is as it was:"),
        line(format!("curl http://{app}/orders")),
        String::new(),
    ]
    .join("\n")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)] // tests fail by panicking
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_demo_is_as_expected_from_the_first_scene_to_the_last() {
        let any = Some(loopback(0));
        let args = DemoArgs { once: true, listen: any, callback: any, admin: any, app: any };
        let mut output = Vec::new();
        let outcome = once(args, &mut output, Style::PLAIN).await;
        let text = String::from_utf8(output).unwrap();
        assert!(matches!(outcome, Ok(Done::Well)), "{outcome:?}\n{text}");
        for shown in ["101 Switching Protocols", "401 ", "POST /@groups/tenant-acme", "DELETE /sessions/", "10 scenes"]
        {
            assert!(text.contains(shown), "{shown}\n{text}");
        }
    }
}
