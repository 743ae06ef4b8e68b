#![allow(clippy::unwrap_used)] // tests fail by panicking
#![allow(clippy::too_many_lines)] // tables are read row by row

mod bounds;
mod conflicts;

use std::time::Duration;

use super::*;
use crate::document::{Action, ReplyTo};
use crate::template::{BodyPlan, BodyTemplate};
use crate::testing::{document, manifest, upstream};

/// The problems of a route, as users see them.
fn problems(spec: &str) -> Vec<String> {
    let manifest = manifest(spec);
    let compiled = compile(&service_of(&manifest), &[manifest], &upstream);
    assert_eq!(compiled.document.routes.is_empty(), !compiled.problems.is_empty());
    compiled.problems.iter().map(ToString::to_string).collect()
}

fn message(text: &str) -> String {
    format!("  path: /ws/{{tenant}}\n  routes:\n  - key: get\n{text}")
}

/// Each row: fields of an entry for messages, and the problems they give.
#[test]
fn entries_for_messages_are_checked() {
    let rows: &[(&str, &[&str])] = &[
        ("    request: {method: GET, path: '/a/${request.body.id}'}\n", &[]),
        (
            "    request: {method: GET, path: '/a/${request.path.room}'}\n",
            &[
                "spec.routes[0].request.path: \"/a/${request.path.room}\": spec.path does not capture `room`; it captures {tenant}",
            ],
        ),
        (
            "    request: {method: GET, path: '${request.body.id}'}\n",
            &["spec.routes[0].request.path: \"${request.body.id}\": starts with exactly one `/`"],
        ),
        (
            "    request: {method: GET, path: '/a/${response.status}'}\n",
            &[
                "spec.routes[0].request.path: \"/a/${response.status}\": `response.status` is possible only in reply, join, leave and user",
            ],
        ),
        (
            "    request: {method: GET, path: '/a', query: {q: '${context.disconnectReason}', '': x}}\n",
            &[
                "spec.routes[0].request.query: the name of a parameter is not empty",
                "spec.routes[0].request.query.q: \"${context.disconnectReason}\": `context.disconnectReason` is possible only in the $disconnect entry",
            ],
        ),
        (
            "    request: {method: GET, path: /a, headers: {Host: x, X_Forwarded_For: y, 'a b': z, x-a: '1', X_A: '2', x-n: \"a\\nb\"}}\n",
            &[
                "spec.routes[0].request.headers.Host: cannot be set: Moorline or the connection to the app sets it",
                "spec.routes[0].request.headers.X_Forwarded_For: cannot be set: Moorline or the connection to the app sets it",
                "spec.routes[0].request.headers.a b: is not a header name",
                "spec.routes[0].request.headers.x-a: is there twice (case does not matter, and `_` counts as `-`)",
                "spec.routes[0].request.headers.x-n: \"a\\nb\": holds no control characters",
            ],
        ),
        (
            "    request: {method: GET, path: /a, timeout: 0s}\n",
            &["spec.routes[0].request.timeout: \"0s\": is more than 0s"],
        ),
        (
            "    request: {method: GET, path: /a, timeout: 5 minutes}\n",
            &[
                "spec.routes[0].request.timeout: \"5 minutes\": is a duration of up to four whole numbers with units, as 30s, 500ms or 1h30m",
            ],
        ),
        (
            "    request: {method: POST, path: /a, body: '{\"id\": \"${request.body.id}\"}'}\n",
            &[
                "spec.routes[0].request.body: \"{\\\"id\\\": \\\"${request.body.id}\\\"}\": text with values in it is not sent as JSON; write a structure",
            ],
        ),
        (
            "    request: {method: POST, path: /a, headers: {content-type: application/vnd.x+json; v=1}, body: 'a ${request.body.id}'}\n",
            &[
                "spec.routes[0].request.body: \"a ${request.body.id}\": text with values in it is not sent as JSON; write a structure",
            ],
        ),
        (
            "    request: {method: POST, path: /a, headers: {Content-Type: '${request.header.a}'}, body: x}\n",
            &["spec.routes[0].request.headers.Content-Type: holds no values: the body is made to fit it"],
        ),
        (
            "    request: {method: POST, path: /a, body: {a: ['${context.status}', '${nope}'], b: '${context.authorizer.x}'}}\n",
            &[
                "spec.routes[0].request.body.a[1]: \"${nope}\": there is no `nope`",
                "spec.routes[0].request.body.b: \"${context.authorizer.x}\": `context.authorizer` comes with auth, which this version does not have",
            ],
        ),
        (
            "    request: {method: POST, path: /a, body: {a: ['${context.status}']}}\n",
            &[
                "spec.routes[0].request.body.a[0]: \"${context.status}\": `context.status` is possible only in errors.body",
            ],
        ),
        (
            "    join: ['a-${response.body.id}', '']\n    leave: ['${context.status}']\n    user: x\n",
            &[
                "spec.routes[0].join[0]: \"a-${response.body.id}\": `response.body.id` needs a request, and this entry makes none",
                "spec.routes[0].join[1]: \"\": is not empty",
                "spec.routes[0].leave[0]: \"${context.status}\": `context.status` is possible only in errors.body",
                "spec.routes[0].user: \"x\": is possible only on $connect",
            ],
        ),
        ("    reply: {to: Group, body: x}\n", &["spec.routes[0].reply.group: is needed when to is Group"]),
        ("    reply: {to: All, user: x, body: x}\n", &["spec.routes[0].reply.user: is possible only when to is User"]),
        ("    reply: {group: x, body: x}\n", &["spec.routes[0].reply.group: is possible only when to is Group"]),
        (
            "    reply: {to: All, envelope: true, body: x}\n",
            &["spec.routes[0].reply.envelope: is possible only when the reply goes to the sender"],
        ),
        ("    reply: {to: All}\n", &["spec.routes[0].reply.body: is needed, because this entry makes no call"]),
        ("    reply: {to: None, body: x}\n", &["spec.routes[0].reply.body: goes to nobody: to is None"]),
        ("    reply: {to: All, body: '${request.body}'}\n", &[]),
    ];
    for (entry, expected) in rows {
        assert_eq!(problems(&message(entry)), *expected, "{entry}");
    }
}

#[test]
fn the_special_entries_are_checked() {
    let rows: &[(&str, &[&str])] = &[
        (
            "{key: $connect, request: {method: POST, path: '/a/${request.body.id}', body: {m: '${context.messageId}'}}}",
            &[
                "spec.routes[0].request.path: \"/a/${request.body.id}\": `request.body.id` needs a message, and $connect has none",
                "spec.routes[0].request.body.m: \"${context.messageId}\": `context.messageId` needs a message, and $connect has none",
            ],
        ),
        (
            "{key: $connect, request: {method: POST, path: /a}, user: '${response.body.name}', join: [x], reply: {body: hello}}",
            &[],
        ),
        (
            "{key: $connect, request: {method: POST, path: /a}, reply: {envelope: true}}",
            &["spec.routes[0].reply.envelope: is possible only for messages"],
        ),
        (
            "{key: $disconnect, join: [a], leave: [b], user: c, reply: {body: x}}",
            &[
                "spec.routes[0].reply.to: is not Sender on $disconnect: the sender is gone",
                "spec.routes[0].join: is not possible on $disconnect: the connection has left every group",
                "spec.routes[0].leave: is not possible on $disconnect: the connection has left every group",
                "spec.routes[0].user: \"c\": is possible only on $connect",
            ],
        ),
        (
            "{key: $disconnect, reply: {to: All, body: {left: '${context.connectionId}', code: '${context.disconnectStatusCode}'}}}",
            &[],
        ),
        (
            "{key: $other}",
            &["spec.routes[0].key: \"$other\": starts with `$`, which only $connect, $disconnect and $default do"],
        ),
        ("{key: ''}", &["spec.routes[0].key: \"\": is not empty"]),
        ("{key: a}, {key: b}, {key: a}", &["spec.routes[2].key: \"a\": is the key of an entry above"]),
        ("", &["spec.routes: has at least one entry"]),
    ];
    for (entries, expected) in rows {
        assert_eq!(problems(&format!("  path: /ws\n  routes: [{entries}]\n")), *expected, "{entries}");
    }
}

#[test]
fn the_fields_of_the_route_are_checked() {
    let rows: &[(&str, &[&str])] = &[
        ("  path: ws\n", &["spec.path: \"ws\": starts with exactly one `/`"]),
        ("  path: /{a}/{a}\n", &["spec.path: \"/{a}/{a}\": captures `a` twice"]),
        (
            "  path: /ws\n  hosts: ['a:80', ok.example]\n  subprotocols: [a b, v1, v1]\n",
            &[
                "spec.hosts[0]: \"a:80\": is a host name as `shop.example.com` or `*.example.com`, without scheme, port or path",
                "spec.subprotocols[0]: \"a b\": is a token, without spaces and separators",
                "spec.subprotocols[2]: \"v1\": is there twice",
            ],
        ),
        (
            "  path: /ws\n  allowedOrigins: [shop.example.com]\n  trustedProxies: [10.0.0.0/33, 10.0.0.1]\n",
            &[
                "spec.allowedOrigins[0]: \"shop.example.com\": is `*`, `https://host`, `https://host:port` or `https://*.host`, without a path",
                "spec.trustedProxies[0]: \"10.0.0.0/33\": is an address or a network, as 10.0.0.7 or 10.0.0.0/8",
            ],
        ),
        (
            "  path: /ws\n  forwardHeaders: [Content-Type, Sec_WebSocket_Key, x y, X-Ok, Origin]\n",
            &[
                "spec.forwardHeaders[0]: \"Content-Type\": cannot be forwarded: it belongs to the client's connection or body, or Moorline sets it",
                "spec.forwardHeaders[1]: \"Sec_WebSocket_Key\": cannot be forwarded: it belongs to the client's connection or body, or Moorline sets it",
                "spec.forwardHeaders[2]: \"x y\": is not a header name",
            ],
        ),
        (
            "  path: /ws\n  headers: {content-type: a/b, X-A: '${request.path.x}', X-B: '${context.disconnectReason}'}\n",
            &[
                "spec.headers.X-A: \"${request.path.x}\": spec.path does not capture `x`; it captures nothing",
                "spec.headers.X-B: \"${context.disconnectReason}\": `context.disconnectReason` is possible only in the $disconnect entry",
                "spec.headers.content-type: belongs to a body: set it in the headers of a request",
            ],
        ),
        (
            "  path: /ws\n  routeSelectionExpression: '${request.bdy.action}'\n",
            &[
                "spec.routeSelectionExpression: \"${request.bdy.action}\": there is no `request.bdy`; did you mean `request.body`?",
            ],
        ),
        (
            "  path: /ws\n  routeSelectionExpression: $context.routeKey\n",
            &[
                "spec.routeSelectionExpression: \"$context.routeKey\": `context.routeKey` is what this expression selects",
            ],
        ),
        (
            "  path: /ws\n  limits: {messageBytes: 0, frameBytes: 9, messageBurst: 2, rateAction: Close, acceptBurst: 2, pingInterval: x, callTimeout: 0s, inFlight: 1001, maxAgeJitterPercent: -1}\n",
            &[
                "spec.limits.frameBytes: is at most messageBytes",
                "spec.limits.messageBurst: needs messagesPerSecond",
                "spec.limits.rateAction: needs messagesPerSecond",
                "spec.limits.acceptBurst: needs acceptsPerSecond",
                "spec.limits.pingInterval: \"x\": is a duration of up to four whole numbers with units, as 30s, 500ms or 1h30m",
                "spec.limits.callTimeout: \"0s\": is more than 0s",
                "spec.limits.inFlight: 1001: is between 1 and 1000",
                "spec.limits.maxAgeJitterPercent: -1: is between 0 and 100",
                "spec.limits.messageBytes: 0: is between 1 and 67108864",
            ],
        ),
        (
            "  path: /ws\n  errors: {action: Close, body: {m: '${context.error.message}', r: '${response.body}'}}\n",
            &[
                "spec.errors.body: goes to nobody: action is not Frame",
                "spec.errors.body.r: \"${response.body}\": `response.body` is possible only in reply, join, leave and user",
            ],
        ),
    ];
    for (spec, expected) in rows {
        assert_eq!(problems(&format!("{spec}  routes: [{{key: $default}}]\n")), *expected, "{spec}");
    }
}

#[test]
fn the_service_and_its_address_are_checked() {
    let mut route = manifest("  path: /ws\n  routes: [{key: $default}]\n");
    route.metadata.name = None;
    route.spec.service_ref.port = k8s_openapi::apimachinery::pkg::util::intstr::IntOrString::Int(0);
    let refuse = |_: &WebSocketRoute| Err("there is no port 0".to_owned());
    let compiled = compile(&service_of(&route), std::slice::from_ref(&route), &refuse);
    let found: Vec<_> = compiled.problems.iter().map(ToString::to_string).collect();
    assert_eq!(
        found,
        [
            "metadata.name: is needed",
            "spec.serviceRef.port: 0: is between 1 and 65535",
            "spec.serviceRef: there is no port 0"
        ]
    );
    let odd = |_: &WebSocketRoute| Ok(crate::compile::Backend::at("http://127.0.0.1:3000"));
    let compiled = compile(&service_of(&route), &[route], &odd);
    assert_eq!(
        compiled.problems.last().unwrap().to_string(),
        "spec.serviceRef: \"http://127.0.0.1:3000\": is not an address as 127.0.0.1:3000"
    );
}

#[test]
fn routes_of_other_services_are_not_looked_at() {
    let broken = manifest("  path: nope\n  routes: [{key: $default}]\n");
    let service = ServiceId { namespace: "default".into(), name: "other".into() };
    let compiled = compile(&service, &[broken], &upstream);
    assert!(compiled.problems.is_empty() && compiled.document.routes.is_empty());
}

fn action(spec: &str) -> Action {
    let route = document(&format!("  path: /ws\n  routes: [{spec}]\n")).routes.remove(0);
    route.actions().next().unwrap().clone()
}

#[test]
fn defaults_depend_on_the_event_and_the_method() {
    let body = |spec: &str| action(spec).request.unwrap().body;
    for (spec, expected) in [
        ("{key: a, request: {method: POST, path: /}}", BodyPlan::Message),
        ("{key: a, request: {method: PATCH, path: /}}", BodyPlan::Message),
        ("{key: a, request: {method: GET, path: /}}", BodyPlan::None),
        ("{key: a, request: {method: HEAD, path: /}}", BodyPlan::None),
        ("{key: a, request: {method: DELETE, path: /}}", BodyPlan::None),
        ("{key: $connect, request: {method: POST, path: /}}", BodyPlan::None),
        ("{key: $disconnect, request: {method: POST, path: /}}", BodyPlan::None),
    ] {
        assert_eq!(body(spec), expected, "{spec}");
    }
    assert!(matches!(body("{key: a, request: {method: GET, path: /, body: '${request.body.x}'}}"), BodyPlan::Json(_)));
    assert!(matches!(
        body("{key: a, request: {method: GET, path: /, body: 'x ${request.body.x}'}}"),
        BodyPlan::Text(_)
    ));
    assert!(matches!(body("{key: a, request: {method: GET, path: /, body: '{\"a\":1}'}}"), BodyPlan::Text(_)));
    assert!(matches!(
        body(
            "{key: a, request: {method: GET, path: /, headers: {content-type: text/plain}, body: '${request.body.x}'}}"
        ),
        BodyPlan::Text(_)
    ));
    let reply = |spec: &str| action(spec).reply.to;
    assert_eq!(reply("{key: a, request: {method: GET, path: /}}"), ReplyTo::Sender);
    assert_eq!(reply("{key: a}"), ReplyTo::None);
    assert_eq!(reply("{key: $connect, request: {method: GET, path: /}}"), ReplyTo::None);
    assert_eq!(reply("{key: $connect, reply: {body: hi}}"), ReplyTo::Sender);
    assert!(matches!(action("{key: a, reply: {body: '${request.body}'}}").reply.body, Some(BodyTemplate::Json(_))));
    let timeout = |spec: &str| action(spec).request.unwrap().timeout;
    assert_eq!(timeout("{key: a, request: {method: GET, path: /}}"), Duration::from_secs(29));
    assert_eq!(timeout("{key: $connect, request: {method: GET, path: /}}"), Duration::from_secs(10));
    assert_eq!(timeout("{key: a, request: {method: GET, path: /, timeout: 1m500ms}}"), Duration::from_millis(60_500));
}

#[test]
fn limits_have_their_documented_defaults() {
    let limits = |text: &str| {
        document(&format!("  path: /ws\n  limits: {text}\n  routes: [{{key: a}}]\n")).routes.remove(0).limits
    };
    let found = limits(
        "{messageBytes: 4096, messagesPerSecond: 5, acceptsPerSecond: 7, acceptBurst: 9, pingInterval: 0s, idleTimeout: 10m, rateAction: Close}",
    );
    assert_eq!((found.message_bytes, found.frame_bytes), (4096, 4096));
    assert_eq!((found.messages_per_second, found.message_burst), (Some(5), 5));
    assert_eq!((found.accepts_per_second, found.accept_burst), (Some(7), 9));
    assert_eq!((found.ping_interval, found.idle_timeout, found.max_age), (None, Some(Duration::from_mins(10)), None));
    assert_eq!(found.rate_action, crate::document::RateAction::Close);
}

#[test]
fn a_reference_without_braces_in_text_is_served_and_warned_of() {
    let warnings = |entry: &str| {
        let manifest = manifest(&message(entry));
        let compiled = compile(&service_of(&manifest), &[manifest], &upstream);
        assert_eq!((compiled.document.routes.len(), compiled.problems), (1, Vec::new()));
        compiled.warnings.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(
        warnings("    request: {method: POST, path: /a/$request.body.id, body: {a: ['x $context.user']}}\n"),
        [
            "spec.routes[0].request.path: \"/a/$request.body.id\": `$request.` is plain text here; write `${request.NAME}` for a value",
            "spec.routes[0].request.body.a[0]: \"x $context.user\": `$context.` is plain text here; write `${context.NAME}` for a value",
        ]
    );
    for entry in [
        "    request: {method: POST, path: '/a/${request.body.id}', body: $request.body.order}\n",
        "    request: {method: POST, path: '/a', body: 'costs \\$request.x and $5'}\n",
    ] {
        assert_eq!(warnings(entry), Vec::<String>::new());
    }
}
