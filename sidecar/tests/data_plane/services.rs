//! Several Services in one process, as `moorline dev` serves them: nothing crosses from one to the other.

use moorline_crds::{ServiceId, compile};
use serde_json::json;

use crate::support::app::{Answer, App};
use crate::support::http::Request;
use crate::support::moorline::{Moorline, route_of, settings};

fn spec(path: &str) -> String {
    format!(
        "path: {path}\nroutes:\n- {{key: $connect, request: {{method: POST, path: /connect}}, join: [room]}}\n\
         - {{key: $default, request: {{method: POST, path: /messages}}, reply: {{to: All}}}}\n"
    )
}

async fn two() -> (App, App, Moorline) {
    let apps =
        (App::accepting(|_| Answer::json(r#""first""#)).await, App::accepting(|_| Answer::json(r#""second""#)).await);
    let document = |name: &str, app: &App| {
        let service = ServiceId { namespace: "default".into(), name: name.into() };
        let address = app.address;
        let compiled = compile(&service, &[route_of(name, name, &spec(&format!("/{name}")))], &|_| {
            Ok(moorline_crds::Backend::at(address.to_string()))
        });
        assert!(compiled.problems.is_empty(), "{:?}", compiled.problems);
        compiled.document
    };
    let documents = vec![document("first", &apps.0), document("second", &apps.1)];
    let moorline = Moorline::with(settings(), documents).await;
    (apps.0, apps.1, moorline)
}

#[tokio::test]
async fn each_service_is_told_a_callback_address_of_its_own() {
    let (mut first, mut second, moorline) = two().await;
    let _clients = (moorline.connect("/first").await, moorline.connect("/second").await);
    for (app, name) in [(&mut first, "first"), (&mut second, "second")] {
        let url = app.next_request().await.header("moorline-callback-url").unwrap().to_owned();
        assert_eq!(url, format!("http://{}/default/{name}", moorline.callback));
    }
}

#[tokio::test]
async fn groups_users_and_all_belong_to_one_service() {
    let (_first, _second, moorline) = two().await;
    let mut one = moorline.connect("/first").await;
    let mut two = moorline.connect("/second").await;
    for target in ["/@groups/room", "/@all"] {
        let answer = moorline.call("POST", &format!("/default/first{target}"), r#""only first""#).await;
        assert_eq!(answer.json(), json!({"reached": 1}));
        assert_eq!(one.expect_text().await, r#""only first""#);
    }
    two.text("{}").await;
    assert_eq!(two.expect_text().await, r#""second""#);
    one.text("{}").await;
    assert_eq!(one.expect_text().await, r#""first""#, "a reply to all crossed services");
}

#[tokio::test]
async fn an_id_of_another_service_is_gone() {
    let (mut first, _second, moorline) = two().await;
    let _client = moorline.connect("/first").await;
    let id = first.next_request().await.header("moorline-connection-id").unwrap().to_owned();
    for method in ["POST", "GET", "DELETE"] {
        assert_eq!(
            moorline.call(method, &format!("/default/second/@connections/{id}"), "x").await.status,
            410,
            "{method}"
        );
    }
    assert_eq!(moorline.call("PUT", &format!("/default/second/@groups/room/connections/{id}"), "").await.status, 410);
    assert_eq!(moorline.call("GET", &format!("/default/first/@connections/{id}"), "").await.status, 200);
}

#[tokio::test]
async fn a_service_that_is_not_named_is_not_guessed() {
    let (_first, _second, moorline) = two().await;
    for target in ["/@all", "/default/third/@all", "/first/@all"] {
        assert_eq!(moorline.call("GET", target, "").await.status, 404, "{target}");
    }
}

#[tokio::test]
async fn one_path_cannot_be_reached_through_the_other() {
    let (_first, _second, moorline) = two().await;
    for target in ["/first/../second", "/second/", "//second", "/SECOND", "/%73econd/x", "/second;x"] {
        let status = Request::upgrade(target).send(moorline.client).await.status;
        assert!([400, 404].contains(&status), "{target}: {status}");
    }
}
