//! Many things at once. Nothing is mixed up, nothing is lost, nothing is left.

use tokio::task::JoinSet;

use crate::support::app::{Answer, App};
use crate::support::client::Client;
use crate::support::eventually;
use crate::support::frame::{CLOSE, Frame, PING, PONG, TEXT};
use crate::support::http::Request;
use crate::support::moorline::{Moorline, document};

const SPEC: &str = "
path: /ws
routes:
- {key: $connect, request: {method: POST, path: /connect}, join: [everyone]}
- {key: $default, request: {method: POST, path: /messages}}
- {key: $disconnect, request: {method: POST, path: /gone}}
";

async fn start(limits: &str) -> (App, Moorline) {
    let app = App::start(|request| {
        if request.target == "/messages" {
            Answer::status(200).header("Content-Type", "text/plain").body(&request.body)
        } else {
            Answer::status(204)
        }
    })
    .await;
    let moorline = Moorline::start(&app, &format!("{SPEC}limits: {{{limits}}}")).await;
    (app, moorline)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replies_pushes_and_pongs_never_cut_into_each_other() {
    let (_app, moorline) = start("inFlight: 4, queueBytes: 16777216").await;
    let mut client = moorline.connect("/ws").await;
    let mut pushers = JoinSet::new();
    for pusher in 0..4 {
        let callback = moorline.callback;
        pushers.spawn(async move {
            for number in 0..50 {
                let body = format!("push {pusher} {number} {}", "p".repeat(number * 100));
                let request = Request::new("POST", "/@groups/everyone").header("Content-Type", "text/plain").body(body);
                assert_eq!(request.send(callback).await.text(), r#"{"reached":1}"#);
            }
        });
    }
    for number in 0..100 {
        client.text(&format!("reply {number} {}", "r".repeat(number * 50))).await;
        client.frame(&Frame::new(PING, format!("{number}"))).await;
    }
    let (mut replies, mut pushes, mut pongs) = (0, [0; 4], 0);
    while replies < 100 || pushes != [50; 4] || pongs < 100 {
        let frame = client.next_frame().await.expect("the connection stays");
        assert!(frame.fin && frame.reserved == 0 && !frame.masked);
        match frame.opcode {
            PONG => pongs += 1,
            TEXT => {
                let text = String::from_utf8(frame.payload).expect("UTF-8");
                let words: Vec<&str> = text.split(' ').collect();
                let number = |at: usize| words[at].parse::<usize>().unwrap();
                if words[0] == "reply" {
                    assert_eq!(words[2].len(), number(1) * 50);
                    replies += 1;
                } else {
                    let (pusher, count) = (number(1), number(2));
                    assert_eq!((count, words[3].len()), (pushes[pusher], count * 100), "pushes of one caller in order");
                    pushes[pusher] += 1;
                }
            }
            other => panic!("opcode {other}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_of_many_kinds_get_only_their_own_answers() {
    let (_app, moorline) = start("appConnections: 8").await;
    let mut clients = JoinSet::new();
    for number in 0..60 {
        let address = moorline.client;
        clients.spawn(async move {
            let mut client = Client::connect(address, "/ws").await;
            for round in 0..20 {
                let message = format!("{number}/{round}");
                client.text(&message).await;
                assert_eq!(client.expect_text().await, message);
            }
            match number % 3 {
                0 => client.reset(),
                1 => {
                    client.close(1000, "").await;
                    client.expect_close().await;
                }
                _ => drop(client),
            }
        });
    }
    while let Some(client) = clients.join_next().await {
        client.expect("a client that got its answers");
    }
    eventually("every connection to be forgotten", || moorline.handle.connections() == 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connects_reloads_and_removals_at_once_leave_every_client_closed_or_served() {
    let (app, moorline) = start("").await;
    let mut clients = JoinSet::new();
    for _ in 0..100 {
        let address = moorline.client;
        clients.spawn(async move {
            // 404 while the route is away, 101 while it is there; never anything else.
            let answer = Request::upgrade("/ws").send(address).await;
            assert!([101, 404].contains(&answer.status), "{}", answer.status);
        });
    }
    for round in 0..20 {
        let documents = if round % 2 == 0 { Vec::new() } else { vec![document(SPEC, app.address)] };
        moorline.handle.reload(documents);
        tokio::task::yield_now().await;
    }
    while let Some(client) = clients.join_next().await {
        client.expect("a client that was answered");
    }
    eventually("every connection to be forgotten", || moorline.handle.connections() == 0).await;
    let mut client = moorline.connect("/ws").await;
    client.text("after all").await;
    assert_eq!(client.expect_text().await, "after all");
}

#[tokio::test]
async fn a_route_removed_during_a_connect_closes_the_client_it_lets_in_or_refuses_it() {
    let gate = crate::support::app::Gate::new();
    let held = gate.clone();
    let mut app =
        App::start(
            move |request| {
                if request.target == "/connect" { Answer::status(204).after(&held) } else { Answer::status(204) }
            },
        )
        .await;
    let moorline = Moorline::start(&app, SPEC).await;
    let removing = async {
        app.next_request().await;
        moorline.handle.reload(Vec::new());
        gate.open();
    };
    let request = Request::upgrade("/ws");
    let (answer, ()) = tokio::join!(request.send(moorline.client), removing);
    assert!([101, 404, 503].contains(&answer.status), "{}", answer.status);
    // Let in or not, the app had said yes and hears the end of it.
    assert_eq!(app.next_request().await.target, "/gone");
    eventually("the connection to be forgotten", || moorline.handle.connections() == 0).await;
}

#[tokio::test]
async fn a_drain_that_begins_during_a_connect_ends() {
    let gate = crate::support::app::Gate::new();
    let held = gate.clone();
    let mut app =
        App::start(
            move |request| {
                if request.target == "/connect" { Answer::status(204).after(&held) } else { Answer::status(204) }
            },
        )
        .await;
    let moorline = Moorline::start(&app, SPEC).await;
    let request = Request::upgrade("/ws");
    let draining = async {
        app.next_request().await;
        tokio::join!(moorline.handle.drain(), async { gate.open() });
    };
    let (answer, ()) =
        crate::support::within("the drain", async { tokio::join!(request.send(moorline.client), draining) }).await;
    assert!([101, 503].contains(&answer.status), "{}", answer.status);
    assert_eq!(app.next_request().await.target, "/gone");
    assert_eq!(moorline.handle.connections(), 0);
}

#[tokio::test]
async fn closing_from_both_sides_at_once_is_one_end() {
    let (mut app, moorline) = start("").await;
    for _ in 0..20 {
        let mut client = moorline.connect("/ws").await;
        let id = app.next_request().await.header("moorline-connection-id").unwrap().to_owned();
        let target = format!("/@connections/{id}");
        let (answer, ()) = tokio::join!(moorline.call("DELETE", &target, ""), client.close(1000, "bye"));
        assert!([204, 410].contains(&answer.status));
        let mut closes = 0;
        while let Some(frame) = client.next_frame().await {
            closes += usize::from(frame.opcode == CLOSE);
        }
        assert_eq!(closes, 1);
        drop(client);
        assert_eq!(app.next_request().await.target, "/gone");
    }
    assert!(app.try_request().is_none());
}
