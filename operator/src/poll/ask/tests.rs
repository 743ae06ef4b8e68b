#![allow(clippy::unwrap_used)] // tests fail by panicking

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::*;

/// A machine under load is no reason for a test to fail.
const PATIENT: Duration = Duration::from_secs(30);

/// Reads the head of a request.
async fn head(stream: &mut TcpStream) -> String {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).await.unwrap();
        request.push(byte[0]);
    }
    String::from_utf8(request).unwrap()
}

/// Answers one connection with these bytes, and gives what was asked.
async fn asked(answer: &'static [u8]) -> (Result<Report, AskError>, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let serve = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        let request = head(&mut stream).await;
        // A reader that gave up is part of some tests.
        let _ = stream.write_all(answer).await;
        request
    };
    tokio::join!(ask("127.0.0.1", port, PATIENT), serve)
}

#[tokio::test]
async fn a_report_is_read_with_fields_of_a_newer_sidecar_in_it() {
    let (report, request) = asked(
        b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\na8\r\n\
        {\"version\":\"9.0.0\",\"formats\":[1,2],\"new\":{},\"connections\":3,\"services\":[{\"namespace\":\"shop\",\
        \"name\":\"orders\",\"hash\":\"sha256:ab\",\"routes\":[{\"name\":\"r\",\"generation\":2}]}]}\r\n0\r\n\r\n",
    )
    .await;
    let report = report.unwrap();
    assert!(request.starts_with("GET /config HTTP/1.1\r\n"), "{request}");
    assert_eq!((report.version.as_str(), report.connections), ("9.0.0", 3));
    assert_eq!(report.services[0].hash.as_deref(), Some("sha256:ab"));
    assert_eq!(report.services[0].routes[0].generation, 2);
}

#[tokio::test]
async fn an_answer_that_is_none_is_told_by_its_kind() {
    for (answer, reason) in [
        (&b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n"[..], "status"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n[]", "decode"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 200\r\n\r\n{", "body"),
        (b"SSH-2.0-OpenSSH\r\n\r\n", "http"),
        (b"", "http"),
    ] {
        let (report, _) = asked(answer).await;
        assert_eq!(report.unwrap_err().reason(), reason, "{}", String::from_utf8_lossy(answer));
    }
}

#[tokio::test]
async fn an_answer_without_end_is_cut_off() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let flood = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        head(&mut stream).await;
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").await;
        let chunk = [&b"1000\r\n"[..], &[b' '; 0x1000], b"\r\n"].concat();
        while stream.write_all(&chunk).await.is_ok() {}
    };
    let (report, ()) = tokio::join!(ask("127.0.0.1", port, PATIENT), flood);
    let error = report.unwrap_err();
    assert_eq!(error.reason(), "body", "{error:?}");
}

#[tokio::test]
async fn nobody_there_and_no_address_are_errors() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    assert_eq!(ask("127.0.0.1", port, PATIENT).await.unwrap_err().reason(), "connect");
    assert_eq!(ask("orders", 1, PATIENT).await.unwrap_err().reason(), "address");
}

#[tokio::test]
async fn a_sidecar_that_says_nothing_is_given_up() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    assert_eq!(ask("127.0.0.1", port, Duration::from_millis(50)).await.unwrap_err().reason(), "timeout");
}
