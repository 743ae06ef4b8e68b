//! The service, called without a socket; and its push, with a real one.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::*;

async fn call(service: &BoxedFilter<(Response,)>, method: &str, path: &str, body: &str) -> (u16, String) {
    let mut request = warp::test::request().method(method).path(path).header("authorization", "Bearer alice");
    if !body.is_empty() {
        request = request.body(body);
    }
    let response = request.reply(service).await;
    (response.status().as_u16(), String::from_utf8(response.body().to_vec()).unwrap())
}

#[tokio::test]
async fn orders_are_created_read_listed_and_changed() {
    let service = service(&Arc::default());
    let order = r#"{"id":8,"item":"cake","quantity":2,"state":"open","by":"alice"}"#;
    for (method, path, body, status, expected) in [
        ("POST", "/orders", r#"{"item":"cake","quantity":2}"#, 201, order),
        ("GET", "/orders/8", "", 200, order),
        ("PATCH", "/orders/8", r#"{"state":"ready"}"#, 200, &order.replace("open", "ready")),
        ("GET", "/orders?state=ready", "", 200, &format!("[{}]", order.replace("open", "ready"))),
    ] {
        assert_eq!(call(&service, method, path, body).await, (status, expected.to_owned()), "{method} {path}");
    }
}

#[tokio::test]
async fn what_makes_no_sense_is_refused_as_json() {
    let service = service(&Arc::default());
    for (method, path, body, status, expected) in [
        ("GET", "/orders/99", "", 404, "there is no order 99"),
        ("POST", "/orders", r#"{"item":"tea","quantity":0}"#, 400, "quantity: is between 1 and 99"),
        ("PATCH", "/orders/1", r#"{"status":"ready"}"#, 400, "unknown field `status`"),
        ("GET", "/orders?state=eaten", "", 400, "bad request"),
        ("DELETE", "/orders", "", 405, "method not allowed"),
        ("GET", "/nothing", "", 404, "not found"),
    ] {
        let (found, answer) = call(&service, method, path, body).await;
        assert!(found == status && answer.contains(expected), "{method} {path}: {found} {answer}");
    }
}

#[tokio::test]
async fn sessions_are_counted_and_need_credentials() {
    let service = service(&Arc::default());
    let path = "/tenants/acme/sessions";
    let refused = warp::test::request().method("POST").path(path).body(r#"{"session":"s"}"#).reply(&service).await;
    assert_eq!(refused.status(), StatusCode::UNAUTHORIZED);
    let signed_in = r#"{"user":"alice","tenant":"acme"}"#.to_owned();
    assert_eq!(call(&service, "POST", path, r#"{"session":"s"}"#).await, (201, signed_in));
    assert_eq!(call(&service, "GET", "/sessions", "").await.1, r#"{"open":1,"opened":1,"closed":0}"#);
    assert_eq!(call(&service, "DELETE", "/sessions/s", "").await, (204, String::new()));
    assert_eq!(call(&service, "GET", "/sessions", "").await.1, r#"{"open":0,"opened":1,"closed":1}"#);
}

#[tokio::test]
async fn a_notice_goes_to_the_group_at_the_address_that_came_with_a_call() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let callback = format!("http://{}/shop/orders", listener.local_addr().unwrap());
    let service = service(&Arc::default());
    let signed_in = warp::test::request()
        .method("POST")
        .path("/tenants/acme/sessions")
        .header("authorization", "Bearer alice")
        .header("moorline-callback-url", callback)
        .body(r#"{"session":"s"}"#)
        .reply(&service)
        .await;
    assert_eq!(signed_in.status(), StatusCode::CREATED);

    let sidecar = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut request = Vec::new();
        while !request.ends_with(b"{\"notice\":\"nine\"}") {
            request.push(stream.read_u8().await.unwrap());
        }
        let answer = "HTTP/1.1 200 OK\r\nContent-Length: 13\r\n\r\n{\"reached\":2}";
        stream.write_all(answer.as_bytes()).await.unwrap();
        String::from_utf8(request).unwrap()
    };
    let notice = call(&service, "POST", "/tenants/acme/announce?text=nine", "");
    let (answer, request) = tokio::join!(notice, sidecar);
    assert!(request.starts_with("POST /shop/orders/@groups/tenant-acme HTTP/1.1\r\n"), "{request}");
    assert_eq!(answer, (200, r#"{"reached":2}"#.to_owned()));
}

#[tokio::test]
async fn a_notice_that_reaches_nobody_is_the_callers_to_know() {
    let app = Arc::new(App::default());
    app.callback.is("http://127.0.0.1:1".to_owned());
    let (status, answer) = call(&service(&app), "POST", "/tenants/acme/announce?text=nine", "").await;
    assert!(status == 502 && answer.contains("refused"), "{status} {answer}");
}
