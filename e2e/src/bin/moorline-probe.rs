//! A program for the cluster's own tests: serves its host's name over HTTP, or fetches one.
//!
//! Only the standard library, so that `rustc` alone makes the static program of a `scratch` image, in a second. It is a
//! binary of this crate all the same: formatted, linted and compiled with the rest.

use std::env;
use std::fs;
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::ExitCode;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(2);

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let outcome = match arguments[..] {
        ["serve", port] => serve(port),
        ["get", address] => get(address).map(|body| println!("{body}")),
        _ => Err(io::Error::other("usage: moorline-probe serve PORT | get HOST:PORT")),
    };
    if let Err(error) = outcome {
        eprintln!("{error}");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

/// One connection at a time: there is one test.
fn serve(port: &str) -> io::Result<()> {
    let name = fs::read_to_string("/etc/hostname").unwrap_or_default();
    let listener = TcpListener::bind(format!("0.0.0.0:{port}"))?;
    println!("listening {port}");
    for stream in listener.incoming() {
        // A client that goes away is no reason to end.
        let _ = stream.and_then(|stream| answer(&stream, name.trim()));
    }
    Ok(())
}

fn answer(mut stream: &TcpStream, name: &str) -> io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut lines = BufReader::new(stream).lines();
    while lines.next().transpose()?.is_some_and(|line| !line.is_empty()) {}
    let length = name.len();
    write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{name}")
}

fn get(address: &str) -> io::Result<String> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    write!(stream, "GET / HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n")?;
    let mut response = String::new();
    stream.read_to_string(&mut response)?;
    match response.split_once("\r\n\r\n") {
        Some((head, body)) if head.starts_with("HTTP/1.1 200 ") => Ok(body.to_owned()),
        _ => Err(io::Error::other(format!("not a success: {response}"))),
    }
}
