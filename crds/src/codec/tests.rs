#![allow(clippy::unwrap_used)] // tests fail by panicking

use super::*;
use crate::testing::document;

const FULL: &str = "  path: /ws/{tenant}
  hosts: [Shop.example.com, '*.example.org']
  subprotocols: [v2, v1]
  allowedOrigins: ['*', 'https://*.example.com:8443']
  forwardHeaders: [Authorization]
  trustedProxies: [10.0.0.0/8, '::1']
  headers: {Authorization: 'Bearer ${request.querystring.access_token}'}
  limits: {messagesPerSecond: 5, maxAge: 1h30m, pingInterval: 0s}
  errors: {body: {status: '${context.status}', factor: 0.1, big: 12345678901234567890}}
  routes:
  - key: $connect
    request: {method: POST, path: '/tenants/${request.path.tenant}/sessions', timeout: 500ms}
    user: '${response.body.user}'
    join: ['tenant-${request.path.tenant}']
  - key: create
    request: {method: POST, path: /orders, query: {v: '1'}, body: {order: '${request.body.order}', list: [1, x]}}
    reply: {to: Group, group: 'tenant-${request.path.tenant}', body: {new: '${response.body}'}}
  - key: $disconnect
    request: {method: DELETE, path: '/sessions/${context.connectionId}'}
";

#[test]
fn a_document_is_read_back_the_same_with_its_selectors() {
    let document = document(FULL);
    let text = encode(&document);
    let decoded = decode(text.as_bytes()).unwrap();
    assert_eq!(decoded, document);
    assert_eq!(encode(&decoded), text);
    assert_eq!(decoded.hash(), document.hash());
    assert!(document.hash().starts_with("sha256:") && document.hash().len() == 71);
}

#[test]
fn the_format_is_what_other_versions_rely_on() {
    let text = encode(&document("  path: /ws\n  routes: [{key: $default, request: {method: POST, path: /}}]\n"));
    let expected = concat!(
        r#"{"formatVersion":1,"service":{"namespace":"default","name":"app"},"routes":[{"id":{"namespace":"default","name":"test"},"#,
        r#""generation":0,"upstream":"127.0.0.1:3000","failover":null,"hosts":[],"path":"/ws","subprotocols":[],"origins":"sameOrigin","#,
        r#""forwardHeaders":["authorization","cookie","user-agent","accept-language"],"forwardHeadersExplicit":false,"#,
        r#""trustedProxies":[],"headers":[],"selection":"${request.body.action}","connect":null,"disconnect":null,"#,
        r#""default":{"key":"$default","request":{"method":"POST","path":"/","query":{},"headers":[],"body":"message","timeoutMs":29000},"#,
        r#""reply":{"to":"sender","envelope":false,"body":null},"join":[],"leave":[],"user":null},"keyed":{},"#,
        r#""limits":{"messageBytes":131072,"frameBytes":131072,"messagesPerSecond":null,"messageBurst":1,"rateAction":"Wait","#,
        r#""connections":10000,"acceptsPerSecond":null,"acceptBurst":1,"pingIntervalMs":30000,"idleTimeoutMs":null,"maxAgeMs":null,"#,
        r#""maxAgeJitterPercent":10,"inFlight":1,"callTimeoutMs":29000,"connectTimeoutMs":10000,"answerBytes":1048576,"#,
        r#""queueBytes":1048576,"appConnections":64},"errors":{"action":"Frame","body":null}}]}"#
    );
    assert_eq!(text, expected);
}

#[test]
fn a_document_that_cannot_be_served_is_refused() {
    let good = encode(&document(FULL));
    for (change, to, reason) in [
        ("\"formatVersion\":1", "\"formatVersion\":2", "format_version"),
        ("\"formatVersion\":1,", "", "unreadable"),
        ("\"upstream\":\"127.0.0.1:3000\"", "\"upstream\":\"127.0.0.1:3000/x\"", "upstream"),
        ("\"upstream\":\"127.0.0.1:3000\"", "\"upstream\":\"evil@127.0.0.1:3000\"", "upstream"),
        ("\"keyed\":{\"create\"", "\"keyed\":{\"$connect\"", "action_key"),
        ("\"key\":\"$disconnect\"", "\"key\":\"$default\"", "action_key"),
        ("\"path\":\"/orders\"", "\"path\":\"orders\"", "unreadable"),
        ("\"name\":\"authorization\"", "\"name\":\"host\"", "unreadable"),
        ("\"generation\":0", "\"generation\":0,\"unknown\":1", "unreadable"),
    ] {
        assert!(good.contains(change), "{change}");
        let error = decode(good.replacen(change, to, 1).as_bytes()).unwrap_err();
        assert_eq!(error.reason(), reason, "{to}: {error}");
    }
    assert_eq!(decode(b"\xff").unwrap_err().reason(), "unreadable");
    let text =
        decode(good.replacen("\"formatVersion\":1", "\"formatVersion\":2,\"new\":true", 1).as_bytes()).unwrap_err();
    assert_eq!(text.to_string(), "the document has format 2, this version reads format 1");
}
