//! Clients and services that share no code with Moorline, against the built `moorline dev`.

// Tests fail by panicking.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::net::TcpListener;
use std::process::Command;

use moorline_e2e::process::{Process, moorline, node, python, repository};

/// `moorline dev` with a manifest of the repository in front of an app.
fn dev(manifest: &str, app: &str) -> (Process, String) {
    let mut command = Command::new(moorline().unwrap());
    command.current_dir(repository()).args(["dev", "-f", manifest, "--upstream", app]);
    for listener in ["--listen", "--callback", "--admin"] {
        command.args([listener, "127.0.0.1:0"]);
    }
    let mut process = Process::start("moorline dev", &mut command).unwrap();
    let url = process
        .wait_for("ready", |line| line.strip_prefix("ready ")?.split_whitespace().next().map(str::to_owned))
        .unwrap();
    // `ready ws://127.0.0.1:8800/ws/{room}`: up to the capture.
    (process, url.split("/{").next().unwrap().to_owned())
}

/// e2e/node/app.mjs, and its address.
fn app() -> (Process, String) {
    let mut process = Process::start("app.mjs", &mut node("app.mjs", &[]).unwrap()).unwrap();
    let port = process.wait_for("listening", |line| line.strip_prefix("listening ").map(str::to_owned)).unwrap();
    (process, format!("http://127.0.0.1:{port}"))
}

/// A port nobody listens on. json-server cannot say which port the system gave it.
fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn json_server() -> (Process, String, tempfile::TempDir) {
    let data = tempfile::tempdir().unwrap();
    let file = data.path().join("db.json");
    std::fs::copy(repository().join("examples/json-server/db.json"), &file).unwrap();
    let port = free_port().to_string();
    let script = "node_modules/json-server/lib/cli/bin.js";
    let mut command = node(script, &["--host", "127.0.0.1", "--port", &port, file.to_str().unwrap()]).unwrap();
    let mut process = Process::start("json-server", &mut command).unwrap();
    process.wait_for("Home", |line| line.contains("Home").then_some(())).unwrap();
    (process, format!("http://127.0.0.1:{port}"), data)
}

#[test]
fn the_ws_package_of_node_is_served() {
    let (_app, app) = app();
    let (_moorline, url) = dev("e2e/routes/app.yaml", &app);
    Process::start("client.mjs", &mut node("client.mjs", &[&url, &app]).unwrap()).unwrap().finish().unwrap();
}

#[test]
fn the_websockets_package_of_python_is_served() {
    let (_app, app) = app();
    let (_moorline, url) = dev("e2e/routes/app.yaml", &app);
    Process::start("client.py", &mut python("client.py", &[&url, &app]).unwrap()).unwrap().finish().unwrap();
}

#[test]
fn json_server_as_it_comes_is_made_real_time_by_one_manifest() {
    let (_json_server, upstream, _data) = json_server();
    let (_moorline, url) = dev("examples/json-server/route.yaml", &upstream);
    let url = format!("{url}/posts");
    Process::start("json-server.mjs", &mut node("json-server.mjs", &[&url]).unwrap()).unwrap().finish().unwrap();
}
