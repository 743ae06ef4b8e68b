#![allow(clippy::unwrap_used, clippy::panic)] // tests fail by panicking

use super::*;

fn checked(name: &str, text: &str) -> (String, bool) {
    report(&[File { name: name.to_owned(), text: Ok(text.to_owned()) }], false, Style::PLAIN)
}

fn route(rest: &str) -> String {
    format!(
        "apiVersion: moorline.dev/v1alpha1
kind: WebSocketRoute
metadata: {{name: a}}
spec:
  serviceRef: {{name: a, port: http}}
  path: /a
{rest}"
    )
}

#[test]
fn the_example_is_described_call_by_call() {
    let (text, good) = checked("route.yaml", include_str!("../../../../examples/orders/route.yaml"));
    let expected = "\
shop/orders  ws /ws/{tenant}  ->  Service orders port 3000
route.yaml
  $connect     POST   /tenants/${request.path.tenant}/sessions
                   body: {\"session\":\"${context.connectionId}\"}
                   2xx: connected; anything else is the answer to the handshake
                   joins tenant-${request.path.tenant}
                   becomes user ${response.body.user}
  create       POST   /orders
                   body: ${request.body.order}, as JSON
                   the answer goes to the group tenant-${request.path.tenant}
  get          GET    /orders/${request.body.id}
                   the answer goes to the sender, enveloped
  list         GET    /orders?state=${request.body.state}
                   the answer goes to the sender, enveloped
  patch        PATCH  /orders/${request.body.id}
                   body: ${request.body.change}, as JSON
                   the answer goes to the group tenant-${request.path.tenant}
  $disconnect  DELETE /sessions/${context.connectionId}
  (any other)  no call; an error frame, status 404

no problems in 1 route
";
    assert_eq!(text, expected);
    assert!(good);
}

#[test]
fn every_problem_is_there_at_once_with_file_line_and_field() {
    let text = route(
        "  hosts: [\"a b\"]
  routes:
  - key: $connnect
  - key: get
    request: {method: GET, path: \"orders/${request.body.id}\"}
    join: [\"${request.boddy.x}\"]
",
    );
    let (text, good) = checked("dir/a.yaml", &text);
    let lines: Vec<&str> = text.lines().collect();
    let starts = [
        "dir/a.yaml:7: spec.hosts[0]: ",
        "dir/a.yaml:9: spec.routes[0].key: ",
        "dir/a.yaml:11: spec.routes[1].request.path: ",
        "dir/a.yaml:12: spec.routes[1].join[0]: ",
        "4 problems",
    ];
    assert_eq!(lines.len(), starts.len(), "{text}");
    for (line, start) in lines.iter().zip(starts) {
        assert!(line.starts_with(start), "{line}\n{start}");
    }
    assert!(!good);
}

#[test]
fn what_differs_from_the_defaults_is_said() {
    let text = route(
        "  hosts: [shop.example.com]
  subprotocols: [json.v1]
  allowedOrigins: [\"https://*.example.com\"]
  forwardHeaders: []
  trustedProxies: [10.0.0.0/8]
  headers: {Authorization: \"Bearer ${request.querystring.token}\"}
  routeSelectionExpression: ${request.body.type}
  limits: {messagesPerSecond: 10, idleTimeout: 5m}
  errors: {action: Close}
  routes:
  - key: $connect
    join: [everyone]
  - key: ping
    reply: {body: {pong: true}}
  - key: quiet
    request: {method: PUT, path: /q, timeout: 1500ms, headers: {x-a: b}}
    reply: {to: None}
  - key: $default
    request: {method: POST, path: /m}
    reply: {to: All}
",
    );
    let (text, good) = checked("a.yaml", &text);
    let expected = "\
default/a  ws /a  ->  Service a port http
a.yaml
  hosts: shop.example.com
  pages that may connect: https://*.example.com
  subprotocols: json.v1
  headers of the handshake on every call: none
  trusted proxies: 10.0.0.0/8
  every call: with authorization: Bearer ${request.querystring.token}
  messages choose their key by ${request.body.type}
  errors: close with 1011
  limits: idleTimeout 5m, messagesPerSecond 10
  $connect     no call: every handshake is accepted
                   joins everyone
  ping         no call
                   {\"pong\":true} goes to the sender
  quiet        PUT    /q
                   with x-a: b
                   body: the message as it is
                   within 1s500ms
                   nothing goes back
  $default     POST   /m
                   body: the message as it is
                   the answer goes to all of the Service

no problems in 1 route
";
    assert_eq!(text, expected);
    assert!(good, "{text}");
}

#[test]
fn quiet_says_nothing_of_what_is_well() {
    let file = File { name: "a.yaml".to_owned(), text: Ok(route("  routes: [{key: a, reply: {body: b}}]\n")) };
    assert_eq!(report(&[file], true, Style::PLAIN), (String::new(), true));
}
