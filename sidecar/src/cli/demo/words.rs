//! What the demo says before and after the script.

use std::fmt::Write as _;
use std::net::SocketAddr;

use super::house::ROUTE_PATH;
use super::script::{GROUP, PATH};
use crate::gateway::Addresses;
use crate::style::{Ink, Style};

/// Who is where.
pub(super) fn opening(addresses: &Addresses, app: SocketAddr, style: Style) -> String {
    let callback = addresses.callback.first().map_or_else(String::new, ToString::to_string);
    let parts = [
        ("the service", format!("http://{app}"), "orders; plain HTTP and nothing else"),
        ("moorline", format!("ws://{}/ws/{{tenant}}", addresses.client), ROUTE_PATH),
        ("callback API", format!("http://{callback}"), "to push from"),
    ];
    let width = parts.iter().map(|(_, url, _)| url.len()).max().unwrap_or(0);
    let mut text = format!("\n {}\n\n", style.ink(Ink::Bold, "A REST service becomes real-time, unchanged."));
    for (name, url, remark) in &parts {
        let _ = writeln!(text, "     {name:<12}  {url:<width$}  {}", style.ink(Ink::Dim, remark));
    }
    let legend = "──▶ ◀──  a client's frames      └──▶ ┌───  calls on the service";
    let _ = write!(text, "\n     {}", style.ink(Ink::Dim, legend));
    text
}

/// What to try.
pub(super) fn by_hand(addresses: &Addresses, app: SocketAddr, style: Style) -> String {
    let client = addresses.client;
    let callback = addresses.callback.first().map_or_else(String::new, ToString::to_string);
    let head = |text: &str| format!("     {}", style.ink(Ink::Dim, text));
    let line = |text: String| format!("       {text}");
    [
        format!(
            "\n     {}",
            style.ink(Ink::Bold, "Everything stays up; now you. Alice is still connected. Ctrl-C ends it.")
        ),
        String::new(),
        head("connect, in another terminal (either of these):"),
        line(format!("websocat -H 'Authorization: Bearer carol' ws://{client}{PATH}")),
        line(format!("npx wscat -H 'Authorization: Bearer carol' -c ws://{client}{PATH}")),
        head("and type:"),
        line(r#"{"action":"list","state":"ready"}"#.to_owned()),
        line(r#"{"action":"create","order":{"item":"cake","quantity":1}}"#.to_owned()),
        head("push to everyone of the tenant, in a third one:"),
        line(format!("curl http://{callback}/@groups/{GROUP} -d '{{\"notice\":\"hello\"}}'")),
        head("or ask the service itself, which is as it was:"),
        line(format!("curl http://{app}/orders")),
        String::new(),
    ]
    .join("\n")
}
