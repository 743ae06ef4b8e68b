//! An app at its worst. The client always gets an answer, and the next message works.

use crate::support::app::{Answer, App};
use crate::support::eventually;
use crate::support::http::Request;
use crate::support::moorline::Moorline;

const SPEC: &str = "
path: /ws
routes:
- {key: $connect, request: {method: POST, path: /connect}}
- {key: get, request: {method: GET, path: /get}}
- {key: $default, request: {method: POST, path: /messages}}
";

/// Sends a message to an app that misbehaves on it, expects this error frame, and then a good answer.
async fn assert_error(answer: Answer, limits: &str, status: u64, reason: &str) {
    let app = App::accepting(move |request| {
        if request.text() == "bad" {
            answer.clone()
        } else {
            Answer::status(200).header("Content-Type", "text/plain").body("fine")
        }
    })
    .await;
    let moorline = Moorline::start(&app, &format!("{SPEC}limits: {{{limits}}}")).await;
    let mut client = moorline.connect("/ws").await;
    client.text("bad").await;
    assert_eq!(client.expect_error().await, (status, reason.to_owned()));
    client.text("good").await;
    assert_eq!(client.expect_text().await, "fine");
}

#[tokio::test]
async fn an_app_that_never_answers_is_504() {
    assert_error(Answer::Never, "callTimeout: 200ms", 504, "app_timeout").await;
}

#[tokio::test]
async fn an_app_that_stops_in_the_middle_of_its_answer_is_504() {
    let half = Answer::Raw(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf".to_vec());
    assert_error(half, "callTimeout: 200ms", 504, "app_timeout").await;
}

#[tokio::test]
async fn an_app_that_answers_500_is_500() {
    assert_error(Answer::status(500), "", 500, "app_server_error").await;
}

#[tokio::test]
async fn an_app_that_resets_is_502() {
    assert_error(Answer::Reset, "", 502, "app_connection_lost").await;
}

#[tokio::test]
async fn an_app_that_closes_before_or_within_its_answer_is_502() {
    for bytes in [&b""[..], b"HTTP/1.1 200 OK\r\nContent-Len", b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf"] {
        assert_error(Answer::RawThenClose(bytes.to_vec()), "", 502, "app_connection_lost").await;
    }
}

#[tokio::test]
async fn an_app_that_sends_a_gigabyte_is_502_and_cut_off() {
    let app = App::accepting(|_| Answer::Flood(1 << 30)).await;
    let moorline = Moorline::start(&app, SPEC).await;
    let mut client = moorline.connect("/ws").await;
    client.text("{}").await;
    assert_eq!(client.expect_error().await, (502, "answer_too_large".to_owned()));
    eventually("the app's connections to end", || app.ended() >= 1).await;
    assert!(app.flooded_bytes() < 64 << 20, "{} bytes were taken from the app", app.flooded_bytes());
}

#[tokio::test]
async fn an_answer_that_announces_too_much_is_502_before_it_is_read() {
    let answer = Answer::Raw(b"HTTP/1.1 200 OK\r\nContent-Length: 1073741824\r\n\r\n".to_vec());
    assert_error(answer, "", 502, "answer_too_large").await;
}

#[tokio::test]
async fn an_answer_of_exactly_the_limit_passes() {
    let app = App::accepting(|_| Answer::status(200).body(vec![b'x'; 1024])).await;
    let moorline = Moorline::start(&app, &format!("{SPEC}limits: {{answerBytes: 1024}}")).await;
    let mut client = moorline.connect("/ws").await;
    client.text("{}").await;
    assert_eq!(client.expect_binary().await.len(), 1024);
}

#[tokio::test]
async fn headers_with_bare_cr_lf_or_nul_reach_nobody() {
    for head in [
        "HTTP/1.1 200 OK\r\nX-Evil: a\rSet-Cookie: b\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nX-Evil: a\0b\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nBroken header\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 2000 OK\r\n\r\n",
        "NOT HTTP AT ALL\r\n\r\n",
    ] {
        assert_error(Answer::RawThenClose(head.into()), "", 502, "answer_invalid").await;
    }
}

#[tokio::test]
async fn effects_with_encoded_line_breaks_cannot_split_anything() {
    let mut app = App::accepting(|_| {
        Answer::json("{}").header("Moorline-User", "a%0D%0AX-Evil: 1").header("Moorline-Close", "4000 a%0D%0Ab")
    })
    .await;
    let spec = format!("{SPEC}- {{key: $disconnect, request: {{method: POST, path: /gone}}}}\n");
    let moorline = Moorline::start(&app, &spec).await;
    let mut client = moorline.connect("/ws").await;
    client.text("{}").await;
    assert_eq!(client.expect_close().await.0, 4000);
    app.next_call().await;
    let gone = app.next_call().await;
    assert_eq!((gone.target.as_str(), gone.header("x-evil"), gone.header("moorline-user")), ("/gone", None, None));
    assert!(gone.header("moorline-disconnect-reason").unwrap().contains("%0D%0A"));
}

#[tokio::test]
async fn a_connect_answer_with_evil_headers_does_not_reach_the_client() {
    let app = App::start(|_| {
        Answer::RawThenClose(b"HTTP/1.1 200 OK\r\nSet-Cookie: a\rX-Evil: b\r\nContent-Length: 0\r\n\r\n".to_vec())
    })
    .await;
    let moorline = Moorline::start(&app, SPEC).await;
    assert_eq!(moorline.refused(&Request::upgrade("/ws")).await.status, 502);
}

#[tokio::test]
async fn a_refusal_larger_than_what_passes_is_cut_off() {
    let app = App::start(|_| Answer::status(403).body(vec![b'x'; 70 * 1024])).await;
    let moorline = Moorline::start(&app, SPEC).await;
    let answer = moorline.refused(&Request::upgrade("/ws")).await;
    assert!([403, 502].contains(&answer.status));
    assert!(answer.body.len() <= 64 * 1024, "{}", answer.body.len());
}

#[tokio::test]
async fn an_app_that_switches_protocols_is_502() {
    let answer =
        Answer::RawThenClose(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n".to_vec());
    assert_error(answer, "", 502, "answer_invalid").await;
}

#[tokio::test]
async fn interim_answers_are_passed_over() {
    let app = App::accepting(|_| {
        Answer::Raw(
            b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nok"
                .to_vec(),
        )
    })
    .await;
    let moorline = Moorline::start(&app, SPEC).await;
    let mut client = moorline.connect("/ws").await;
    client.text("{}").await;
    assert_eq!(client.expect_text().await, "ok");
}

#[tokio::test]
async fn an_app_that_is_gone_is_502_and_served_again_when_it_is_back() {
    let app = App::accepting(|_| Answer::json("{}")).await;
    let address = app.address;
    let moorline = Moorline::start(&app, SPEC).await;
    let mut client = moorline.connect("/ws").await;
    drop(app);
    client.text("{}").await;
    let (status, reason) = client.expect_error().await;
    assert_eq!(status, 502, "{reason}");
    let mut back = App::at(address, |_| Answer::json(r#"{"back":1}"#)).await;
    client.text("{}").await;
    assert_eq!(client.expect_text().await, r#"{"back":1}"#);
    back.next_request().await;
}

#[tokio::test]
async fn a_kept_alive_connection_that_ended_costs_no_message() {
    // Every connection serves one answer and then ends without saying so.
    let app = App::start(|_| {
        Answer::RawThenClose(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nok".to_vec())
    })
    .await;
    let mut app = app;
    let moorline = Moorline::start(&app, SPEC).await;
    let mut client = moorline.connect("/ws").await;
    app.next_request().await;
    for round in 1..50 {
        eventually("the app's connection to end", || app.ended() >= round).await;
        client.text(r#"{"action":"get"}"#).await;
        assert_eq!(client.expect_text().await, "ok");
        app.next_request().await;
    }
}

#[tokio::test]
async fn a_post_that_reached_the_app_is_never_repeated() {
    let mut app =
        App::accepting(|request| if request.text() == "bad" { Answer::Reset } else { Answer::status(204) }).await;
    let moorline = Moorline::start(&app, SPEC).await;
    let mut client = moorline.connect("/ws").await;
    client.text("warm up").await;
    app.next_call().await;
    client.text("bad").await;
    assert_eq!(client.expect_error().await.0, 502);
    client.text("good").await;
    assert_eq!(app.next_call().await.text(), "bad");
    assert_eq!(app.next_call().await.text(), "good");
}

#[tokio::test]
async fn pipelined_garbage_behind_an_answer_reaches_no_other_client() {
    let app = App::accepting(|request| {
        if request.text() == "bad" {
            Answer::Raw(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 1\r\n\r\naHTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 4\r\n\r\nevil".to_vec())
        } else {
            Answer::status(200).header("Content-Type", "text/plain").body("fine")
        }
    })
    .await;
    let moorline = Moorline::start(&app, SPEC).await;
    let mut attacker = moorline.connect("/ws").await;
    let mut victim = moorline.connect("/ws").await;
    attacker.text("bad").await;
    assert_eq!(attacker.expect_text().await, "a");
    for _ in 0..5 {
        victim.text("good").await;
        assert_eq!(victim.expect_text().await, "fine");
    }
}
