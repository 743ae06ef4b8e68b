//! `moorline dev`: the data plane from manifests, on the machine of a developer.
//!
//! What is printed first is for programs as well as people: a `ready` line per route, then the URLs of the other
//! listeners, in a form that stays (`docs/` shows how to wait for it). After that come the lines of the console.
//!
//! Invariant: a start with a problem in any manifest fails with all problems printed; later a problem keeps what is
//! served.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use moorline_crds::document::Document;

use super::args::{CALLBACK_PORT, DevArgs};
use super::outcome::{Failure, Outcome};
use super::serving::Signals;
use super::{check, logging, serving};
use crate::console::Console;
use crate::gateway::{Addresses, CallbackBind, DrainSettings, Handle, Settings};
use crate::lines::{LineWriter, Lines};
use crate::listen::reachable;
use crate::observe::Observer;
use crate::source::manifests::{self, Compilation, File};
use crate::source::upstreams::Upstreams;
use crate::source::watch::Watch;
use crate::style::{Ink, Style};

/// How late a change is seen where there are no file events.
const POLL: Duration = Duration::from_secs(1);

/// Runs the command.
pub(super) async fn run(args: DevArgs) -> Outcome {
    logging::start_quietly();
    let signals = Signals::new()?;
    if args.files.iter().any(|path| path.as_os_str() == "-") {
        return Err(Failure::config("--file", "-: standard input cannot be watched for changes; give a file"));
    }
    let callback = match args.callback {
        None => CallbackBind { port: CALLBACK_PORT, explicit: None },
        Some(address) if address.ip().is_loopback() => CallbackBind { port: address.port(), explicit: Some(address) },
        Some(address) => {
            let rule = format!("{address}: is a loopback address: who can reach it can push to every client");
            return Err(Failure::config("--callback", rule));
        }
    };
    let upstreams = Upstreams::new(args.upstreams);
    let files = manifests::read(&args.files);
    let compiled = compile(&files, &upstreams);
    if !compiled.problems.is_empty() {
        print_problems(&compiled);
        let what =
            if compiled.problems.len() == 1 { "the manifests have a problem" } else { "the manifests have problems" };
        return Err(Failure::config("--file", what));
    }
    print_problems(&compiled);
    let services: Vec<_> = compiled.documents.iter().map(|document| document.service.clone()).collect();
    if let Some(name) = upstreams.unused(&services) {
        let known: Vec<String> = services.iter().map(ToString::to_string).collect();
        let rule = format!("{name}: no manifest is for this Service; they are for {}", known.join(", "));
        return Err(Failure::config("--upstream", rule));
    }
    let style = Style::of_stdout();
    let writer = LineWriter::start("console", std::io::stdout())
        .map_err(|error| Failure::Runtime(format!("the console: {error}")))?;
    let lines = writer.lines();
    let console: Arc<dyn Observer> = Arc::new(Console::new(writer.lines(), style));
    let settings = Settings {
        client: args.listen,
        callback,
        admin: args.admin,
        max_connections: None,
        max_push_bytes: args.max_push_bytes,
        app_idle: args.app_idle_timeout,
        loopback_hosts_only: args.listen.ip().is_loopback(),
        // Who presses Ctrl-C does not want to wait; the clients still get their 1012 and the app its calls.
        drain: DrainSettings { grace: Duration::ZERO, window: Duration::ZERO },
        observer: (!args.quiet).then_some(console),
        ..Settings::default()
    };
    let gateway = serving::bind(settings, compiled.documents.clone()).await?;
    let board = Board { lines, style, addresses: gateway.addresses().clone() };
    let shown = board.show_all(&gateway.handle(), &compiled.documents);
    let following = follow(gateway.handle(), args.files, files, upstreams, board, shown);
    let outcome = serving::until_signalled(gateway, signals, following).await;
    writer.finish();
    outcome
}

/// Serves what the manifests say, from now on.
async fn follow(
    handle: Handle,
    paths: Vec<PathBuf>,
    start: Vec<File>,
    upstreams: Upstreams,
    board: Board,
    mut shown: BTreeSet<String>,
) -> Failure {
    let directories = manifests::directories(&paths);
    let mut watch = Watch::new(start, directories, POLL, move || manifests::read(&paths));
    loop {
        let files = watch.changed().await;
        let compiled = compile(&files, &upstreams);
        print_problems(&compiled);
        if !compiled.problems.is_empty() {
            handle.reload_refused("manifest");
            board.say(Ink::Yellow, "not reloaded: what was served before stays");
            continue;
        }
        let reloaded = handle.reload(compiled.documents.clone());
        board.say(
            Ink::Green,
            &format!(
                "reloaded: {} added, {} changed, {} removed, {} unchanged",
                reloaded.added, reloaded.changed, reloaded.removed, reloaded.unchanged
            ),
        );
        shown = board.show_new(&handle, &compiled.documents, &shown);
    }
}

fn compile(files: &[File], upstreams: &Upstreams) -> Compilation {
    manifests::compile_all(files, &|route| upstreams.resolve(route))
}

/// Problems and warnings, on standard error, where they stay when the output is piped.
fn print_problems(compiled: &Compilation) {
    let style = Style::of_stderr();
    let mut error = std::io::stderr().lock();
    for problem in &compiled.problems {
        // Nobody is left to tell when this fails.
        let _ = writeln!(error, "{}", check::located(problem, Ink::Red, style));
    }
    for warning in &compiled.warnings {
        let _ = writeln!(error, "{} (warning)", check::located(warning, Ink::Yellow, style));
    }
}

/// The lines that are not of the console.
struct Board {
    lines: Lines,
    style: Style,
    addresses: Addresses,
}

impl Board {
    fn say(&self, ink: Ink, text: &str) {
        self.lines.push(self.style.ink(ink, text).to_string());
    }

    fn show_all(&self, handle: &Handle, documents: &[Document]) -> BTreeSet<String> {
        let shown = self.show_new(handle, documents, &BTreeSet::new());
        self.lines.push(format!("admin http://{}/metrics", reachable(self.addresses.admin)));
        shown
    }

    /// Prints the lines that were not there before, and gives those that are there now.
    fn show_new(&self, handle: &Handle, documents: &[Document], before: &BTreeSet<String>) -> BTreeSet<String> {
        let mut all = BTreeSet::new();
        for line in ready_lines(documents, &self.addresses).into_iter().chain(callback_lines(handle)) {
            if !before.contains(&line) {
                self.lines.push(self.highlighted(&line));
            }
            all.insert(line);
        }
        all
    }

    /// The first word in colour; a program sees no colour.
    fn highlighted(&self, line: &str) -> String {
        match line.split_once(' ') {
            Some((word, rest)) => format!("{} {rest}", self.style.ink(Ink::Green, word)),
            None => line.to_owned(),
        }
    }
}

/// `ready ws://127.0.0.1:8800/ws/{tenant}  -> http://127.0.0.1:3000  (shop/orders)`.
fn ready_lines(documents: &[Document], addresses: &Addresses) -> Vec<String> {
    let client = reachable(addresses.client);
    let routes = documents.iter().flat_map(|document| &document.routes);
    routes
        .map(|route| {
            let mut line = format!("ready ws://{client}{}  -> http://{}  ({})", route.path, route.upstream, route.id);
            if !route.hosts.is_empty() {
                let hosts: Vec<String> = route.hosts.iter().map(ToString::to_string).collect();
                line = format!("{line}  hosts {}", hosts.join(", "));
            }
            line
        })
        .collect()
}

/// `callback http://127.0.0.1:8801`, one per Service.
fn callback_lines(handle: &Handle) -> Vec<String> {
    let urls = handle.service_urls();
    let several = urls.len() > 1;
    urls.iter()
        .map(|(service, url)| if several { format!("callback {url}  ({service})") } else { format!("callback {url}") })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::manifests::tests::manifest;

    #[test]
    fn a_ready_line_can_be_parsed_and_used() {
        let file = File { name: "a.yaml".to_owned(), text: Ok(manifest("shop", "orders", "3000", "/orders")) };
        let compiled = compile(&[file], &Upstreams::default());
        let addresses = Addresses {
            client: ([0, 0, 0, 0], 8800).into(),
            callback: Vec::new(),
            admin: ([127, 0, 0, 1], 8802).into(),
        };
        assert_eq!(
            ready_lines(&compiled.documents, &addresses),
            ["ready ws://127.0.0.1:8800/orders  -> http://127.0.0.1:3000  (shop/orders)"]
        );
    }
}
