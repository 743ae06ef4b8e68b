//! The `moorline` command as a process: what it prints, what it follows, how it ends.
//!
//! Only what needs a process is here (signals, exit codes, standard output, files that change under it); everything else
//! is tested where it is.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // tests fail by panicking

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

const DEADLINE: Duration = Duration::from_secs(20);
/// Ports of the machine's choice.
const ANY: [&str; 6] = ["--listen", "127.0.0.1:0", "--callback", "127.0.0.1:0", "--admin", "127.0.0.1:0"];

fn moorline(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_moorline"));
    command.args(args).stdin(Stdio::null()).env_remove("MOORLINE_LOG");
    command
}

fn output(args: &[&str]) -> Output {
    moorline(args).output().unwrap()
}

/// A running command; killed when the test is over, however that ends.
struct Running {
    child: Child,
    stdout: Receiver<String>,
    stderr: Receiver<String>,
}

impl Running {
    fn start(args: &[&str]) -> Self {
        let mut child = moorline(args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let stdout = lines(child.stdout.take().unwrap());
        let stderr = lines(child.stderr.take().unwrap());
        Self { child, stdout, stderr }
    }

    fn prints(&self, wanted: &str) -> String {
        until(&self.stdout, wanted)
    }

    fn complains(&self, wanted: &str) -> String {
        until(&self.stderr, wanted)
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    fn ends(&mut self) -> Option<i32> {
        let deadline = Instant::now() + DEADLINE;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code();
            }
            assert!(Instant::now() < deadline, "it does not end");
            std::thread::yield_now();
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It has ended already, if all went well.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn lines(output: impl std::io::Read + Send + 'static) -> Receiver<String> {
    let (sender, receiver) = sync_channel(1024);
    std::thread::spawn(move || {
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    receiver
}

/// The next line that starts with `wanted`, or holds it after a timestamp.
fn until(lines: &Receiver<String>, wanted: &str) -> String {
    let mut seen = Vec::new();
    loop {
        match lines.recv_timeout(DEADLINE) {
            Ok(line) if line.contains(wanted) => return line,
            Ok(line) => seen.push(line),
            Err(error) => panic!("{error}: no {wanted:?} in {seen:#?}"),
        }
    }
}

/// The answer to a GET, head and all.
fn get(authority: &str, path: &str) -> String {
    let mut stream = TcpStream::connect(authority).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {authority}\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

/// The status of a handshake.
fn handshake(authority: &str, path: &str) -> u16 {
    let mut stream = TcpStream::connect(authority).unwrap();
    let upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: bW9vcmxpbmUgdGVzdHMhIQ==\r\n\r\n";
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {authority}\r\n{upgrade}").unwrap();
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line).unwrap();
    line.split(' ').nth(1).unwrap().parse().unwrap()
}

fn manifest(service: &str, path: &str) -> String {
    format!(
        "apiVersion: moorline.dev/v1alpha1\nkind: WebSocketRoute\nmetadata: {{name: {service}, namespace: shop}}\n\
         spec:\n  serviceRef: {{name: {service}, port: 3000}}\n  path: {path}\n  routes:\n  - key: get\n    \
         request: {{method: GET, path: /x}}\n"
    )
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn dev_follows_its_manifest_and_keeps_what_it_served_when_that_is_bad() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("route.yaml");
    fs::write(&file, manifest("orders", "/one")).unwrap();
    let mut dev = Running::start(&[&["dev", "-f", text(&file)], &ANY[..]].concat());
    let ready = dev.prints("ready ");
    let (url, rest) = ready.strip_prefix("ready ").unwrap().split_once("  -> ").unwrap();
    assert_eq!(rest, "http://127.0.0.1:3000  (shop/orders)");
    let client = url.strip_prefix("ws://").unwrap().strip_suffix("/one").unwrap().to_owned();
    dev.prints("callback http://127.0.0.1:");
    dev.prints("admin http://127.0.0.1:");
    assert_eq!(handshake(&client, "/one"), 101);

    fs::write(&file, manifest("orders", "/two")).unwrap();
    dev.prints("reloaded: ");
    assert_eq!(dev.prints("ready "), format!("ready ws://{client}/two  -> {rest}"));
    assert_eq!(handshake(&client, "/one"), 404);

    fs::write(&file, manifest("orders", "three")).unwrap();
    dev.prints("not reloaded");
    let problem = dev.complains("spec.path: ");
    assert!(problem.starts_with(&format!("{}:6: spec.path: ", file.display())), "{problem}");
    assert_eq!(handshake(&client, "/two"), 101);

    dev.signal(Signal::TERM);
    assert_eq!(dev.ends(), Some(0));
}

#[test]
fn dev_of_two_services_names_the_callback_url_of_each() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("a.yaml"), manifest("orders", "/orders")).unwrap();
    fs::write(directory.path().join("b.yaml"), manifest("users", "/users")).unwrap();
    let upstream = ["--upstream", "users=http://127.0.0.1:4000"];
    let mut dev = Running::start(&[&["dev", "-f", text(directory.path())], &ANY[..], &upstream].concat());
    assert!(dev.prints("ready ").ends_with("/orders  -> http://127.0.0.1:3000  (shop/orders)"));
    assert!(dev.prints("ready ").ends_with("/users  -> http://127.0.0.1:4000  (shop/users)"));
    assert!(dev.prints("callback ").ends_with("/shop/orders  (shop/orders)"));
    assert!(dev.prints("callback ").ends_with("/shop/users  (shop/users)"));
    dev.signal(Signal::INT);
    assert_eq!(dev.ends(), Some(0));
}

#[test]
fn run_starts_without_a_document_follows_it_and_is_drained() {
    let directory = tempfile::tempdir().unwrap();
    let (config, file) = (directory.path().join("later"), directory.path().join("route.yaml"));
    fs::write(&file, manifest("orders", "/one")).unwrap();
    let ports = ["--listen", "127.0.0.1:0", "--callback-port", "0", "--admin", "127.0.0.1:0"];
    let drain = ["--drain-grace", "0s", "--drain-window", "0s", "--log-format", "json"];
    let mut run = Running::start(&[&["run", "--config", text(&config)], &ports[..], &drain].concat());
    let listening: serde_json::Value = serde_json::from_str(&run.complains("listening")).unwrap();
    let admin = listening["admin"].as_str().unwrap();
    run.complains("no document yet");
    assert!(get(admin, "/readyz").starts_with("HTTP/1.1 200"));

    let compiled = output(&["compile", "-f", text(&file), "-o", text(&config)]);
    assert!(compiled.status.success(), "{compiled:?}");
    let printed = String::from_utf8(compiled.stdout).unwrap();
    let hash = printed.trim().rsplit_once(' ').unwrap().1;
    assert!(run.complains("serving").contains(hash));
    assert_eq!(handshake(listening["clients"].as_str().unwrap(), "/one"), 101);

    fs::write(config.join("document.json"), "{").unwrap();
    run.complains("the document is refused");
    assert!(get(admin, "/config/hash").contains(hash));

    let callback = listening["callback"].as_str().unwrap();
    let port: String = callback.split(':').nth(1).unwrap().chars().take_while(char::is_ascii_digit).collect();
    let drained = output(&["drain", "--callback-port", &port]);
    assert!(drained.status.success(), "{drained:?}");
    assert!(get(admin, "/lb").starts_with("HTTP/1.1 503"));
    assert!(get(admin, "/readyz").starts_with("HTTP/1.1 200"));

    run.signal(Signal::TERM);
    assert_eq!(run.ends(), Some(0));
}

#[test]
fn run_serves_the_documents_of_all_services_in_a_volume_and_follows_each_by_itself() {
    use std::os::unix::fs::symlink;

    let directory = tempfile::tempdir().unwrap();
    let (config, file) = (directory.path().join("etc"), directory.path().join("route.yaml"));
    fs::create_dir(&config).unwrap();
    // As the kubelet writes a volume: a new directory of versions, then one link that is swapped.
    let publish = |version: &str, documents: &[(&str, &str)]| {
        let data = config.join(format!("..{version}"));
        for (service, path) in documents {
            fs::create_dir_all(data.join(service)).unwrap();
            fs::write(&file, manifest(service, path)).unwrap();
            if *path == "bad" {
                fs::write(data.join(service).join("document.json"), "{").unwrap();
            } else {
                let compiled = output(&["compile", "-f", text(&file), "-o", text(&data.join(service))]);
                assert!(compiled.status.success(), "{compiled:?}");
            }
        }
        symlink(format!("..{version}"), config.join("..data_tmp")).unwrap();
        fs::rename(config.join("..data_tmp"), config.join("..data")).unwrap();
        for (service, _) in documents {
            let _ = symlink(format!("..data/{service}"), config.join(service));
        }
    };
    publish("1", &[("orders", "/orders")]);
    let ports = ["--listen", "127.0.0.1:0", "--callback-port", "0", "--admin", "127.0.0.1:0"];
    let mut run = Running::start(&[&["run", "--config", text(&config), "--log-format", "json"], &ports[..]].concat());
    let listening: serde_json::Value = serde_json::from_str(&run.complains("listening")).unwrap();
    let (clients, admin) = (listening["clients"].as_str().unwrap(), listening["admin"].as_str().unwrap());
    assert!(run.complains("serving").contains("shop/orders"));
    assert_eq!(handshake(clients, "/orders"), 101);

    publish("2", &[("orders", "bad"), ("users", "/users")]);
    run.complains("the document is refused");
    assert!(run.complains("serving").contains("shop/orders,shop/users"));
    assert_eq!((handshake(clients, "/orders"), handshake(clients, "/users")), (101, 101));

    let status = output(&["status", "--admin", admin]);
    assert!(status.status.success(), "{status:?}");
    let shown = String::from_utf8(status.stdout).unwrap();
    assert!(shown.contains("shop/orders") && shown.contains("refused, unreadable: "), "{shown}");
    let status = output(&["status", "--admin", admin, "-o", "json"]);
    let report: serde_json::Value = serde_json::from_slice(&status.stdout).unwrap();
    assert_eq!(report["services"][0]["refused"]["reason"], "unreadable");
    assert_eq!(report["services"][1]["name"], "users");

    publish("3", &[("users", "/people")]);
    // Two messages of one change, in the order they are told.
    run.complains("orders/document.json");
    run.complains("serving");
    assert_eq!((handshake(clients, "/orders"), handshake(clients, "/people")), (101, 101));
    run.signal(Signal::TERM);
    run.signal(Signal::TERM);
    run.ends();
}

#[test]
fn after_a_drain_one_signal_ends_at_once() {
    let directory = tempfile::tempdir().unwrap();
    let ports = ["--listen", "127.0.0.1:0", "--callback-port", "0", "--admin", "127.0.0.1:0"];
    let drain = ["--drain-grace", "0s", "--drain-window", "24h", "--log-format", "json"];
    let mut run = Running::start(&[&["run", "--config", text(directory.path())], &ports[..], &drain].concat());
    let listening: serde_json::Value = serde_json::from_str(&run.complains("listening")).unwrap();
    let callback = listening["callback"].as_str().unwrap();
    let port: String = callback.split(':').nth(1).unwrap().chars().take_while(char::is_ascii_digit).collect();
    assert!(output(&["drain", "--callback-port", &port]).status.success());
    assert!(get(listening["admin"].as_str().unwrap(), "/drained").starts_with("HTTP/1.1 200"));
    run.signal(Signal::TERM);
    assert_eq!(run.ends(), Some(0));
    let gone = output(&["drain", "--callback-port", &port]);
    assert_eq!(gone.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&gone.stderr).contains("no sidecar listens there"), "{gone:?}");
}

#[test]
fn a_second_signal_ends_at_once() {
    let directory = tempfile::tempdir().unwrap();
    let ports = ["--listen", "127.0.0.1:0", "--callback-port", "0", "--admin", "127.0.0.1:0"];
    let drain = ["--drain-grace", "24h"];
    let mut run = Running::start(&[&["run", "--config", text(directory.path())], &ports[..], &drain].concat());
    run.complains("no document yet");
    run.signal(Signal::TERM);
    run.complains("again to exit at once");
    run.signal(Signal::TERM);
    assert_eq!(run.ends(), Some(130));
}

#[test]
fn what_is_wrong_exits_with_2_and_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("route.yaml");
    fs::write(&file, manifest("orders", "bad")).unwrap();
    for (args, named) in [
        (vec!["dev", "-f", text(&file)], format!("{}:6: spec.path: ", file.display())),
        (vec!["dev", "-f", text(&file), "--callback", "192.0.2.1:1"], "--callback: ".to_owned()),
        (vec!["dev", "-f", "-"], "--file: -: ".to_owned()),
        (vec!["run", "--config", "x", "--listen", "nowhere"], "--listen".to_owned()),
        (vec!["run", "--config", "x", "--log", "=,"], "--log: ".to_owned()),
    ] {
        let ended = output(&args);
        let said = String::from_utf8_lossy(&ended.stderr);
        assert_eq!(ended.status.code(), Some(2), "{args:?}: {said}");
        assert!(said.contains(&named), "{args:?}: {said}");
    }
}

#[test]
fn check_exits_with_1_for_problems_and_reads_standard_input() {
    for (text, code) in [(manifest("orders", "/a"), 0), (manifest("orders", "a"), 1)] {
        let mut check = moorline(&["check", "-f", "-"]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        check.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
        let output = check.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(code), "{output:?}");
        assert!(!output.stdout.contains(&0x1b), "colour on a pipe");
    }
}

#[test]
fn the_demo_is_a_success() {
    let any =
        ["--listen", "127.0.0.1:0", "--callback", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--app", "127.0.0.1:0"];
    let demo = output(&[&["demo", "--once"], &any[..]].concat());
    assert!(demo.status.success(), "{demo:?}");
    assert!(String::from_utf8(demo.stdout).unwrap().contains("all as expected"));
}
