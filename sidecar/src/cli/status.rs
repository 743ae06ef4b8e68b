//! `moorline status`: what a running sidecar serves, for a person or as JSON.
//!
//! It asks the admin listener for the report that the operator polls too, so that what a person sees in a pod is what
//! the route's conditions are made of. The table leaves out what is well and says in a last column what is not.

use std::net::SocketAddr;
use std::time::Duration;

use http::{Method, StatusCode};

use super::args::{StatusArgs, StatusForm};
use super::http::{Call, CallError, url};
use super::outcome::{self, Done, Failure, Outcome};
use crate::listen::reachable;
use crate::report::{Report, ReportedProblem, ServiceReport};

/// Where the report is.
const PATH: &str = "/config";
/// How long an answer may take: it comes from a thread that has nothing else to do.
const PATIENCE: Duration = Duration::from_secs(10);
/// As many digits of a hash as the operator writes on a pod.
const HASH_DIGITS: usize = 16;
/// The heads of the columns.
const HEAD: [&str; 6] = ["SERVICE", "CONNECTIONS", "DOCUMENT", "ROUTE", "GENERATION", "PROBLEM"];

/// Runs the command.
pub(super) async fn run(args: StatusArgs) -> Outcome {
    let body = ask(reachable(args.admin)).await?;
    let not_ours = |error: serde_json::Error| Failure::Runtime(format!("{}: is no report: {error}", args.admin));
    let text = match args.output {
        // As it came: a newer sidecar may say more than this command knows.
        StatusForm::Json => {
            let report: serde_json::Value = serde_json::from_slice(&body).map_err(not_ours)?;
            format!("{report:#}\n")
        }
        StatusForm::Table => table(&serde_json::from_slice(&body).map_err(not_ours)?),
    };
    outcome::print(&text)?;
    Ok(Done::Well)
}

async fn ask(address: SocketAddr) -> Result<bytes::Bytes, Failure> {
    let uri = url(address, PATH).parse().map_err(|_| Failure::config("--admin", "is an address"))?;
    let answer = tokio::time::timeout(PATIENCE, Call::new(Method::GET, uri).send())
        .await
        .map_err(|_| Failure::Runtime(format!("{address}: no answer within {} s", PATIENCE.as_secs())))?
        .map_err(|error| match error {
            CallError::Connect { address, source } => {
                Failure::Runtime(format!("{address}: no sidecar listens there ({source})"))
            }
            other => Failure::Runtime(other.to_string()),
        })?;
    match answer.status {
        StatusCode::OK => Ok(answer.body),
        StatusCode::NOT_FOUND => Err(Failure::Runtime(format!("{address}: this sidecar is too old to report"))),
        status => Err(Failure::Runtime(format!("{address}: answered {}", status.as_u16()))),
    }
}

fn table(report: &Report) -> String {
    let state = if report.draining { "draining" } else { "serving" };
    let plural = if report.connections == 1 { "" } else { "s" };
    let mut text = format!("moorline {}, {state}, {} connection{plural}\n", report.version, report.connections);
    if report.services.is_empty() {
        text.push_str("no document yet: no routes are served\n");
        return text;
    }
    let rows: Vec<[String; 6]> =
        std::iter::once(HEAD.map(str::to_owned)).chain(report.services.iter().flat_map(rows)).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..HEAD.len()).map(width).collect();
    text.push('\n');
    for row in &rows {
        let cells: Vec<String> = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        text.push_str(cells.join("  ").trim_end());
        text.push('\n');
    }
    text
}

/// The Service with its first route, then a row for each other route.
fn rows(service: &ServiceReport) -> Vec<[String; 6]> {
    let told = |problem: &ReportedProblem| format!("{}: {}", problem.reason, problem.message);
    let of_document = match (&service.refused, service.gone) {
        (Some(problem), _) => format!("refused, {}", told(problem)),
        (None, true) => "gone: the document is no longer there; the last one is served".to_owned(),
        (None, false) => String::new(),
    };
    let name = if service.namespace.is_empty() {
        service.name.clone()
    } else {
        format!("{}/{}", service.namespace, service.name)
    };
    let hash = service.hash.as_deref().map_or("none", |hash| {
        let digits = hash.rsplit(':').next().unwrap_or(hash);
        digits.get(..HASH_DIGITS).unwrap_or(digits)
    });
    let mut rows =
        vec![[name, service.connections.to_string(), hash.to_owned(), String::new(), String::new(), of_document]];
    for (at, route) in service.routes.iter().enumerate() {
        if at > 0 {
            rows.push(Default::default());
        }
        let row = rows.len() - 1;
        rows[row][3].clone_from(&route.name);
        rows[row][4] = route.generation.to_string();
        if let Some(problem) = &route.problem {
            let before = if rows[row][5].is_empty() { "" } else { "; " };
            let told = format!("{before}{}", told(problem));
            rows[row][5].push_str(&told);
        }
    }
    rows
}

#[cfg(test)]
#[allow(clippy::unwrap_used)] // tests fail by panicking
mod tests {
    use super::*;
    use crate::report::RouteReport;

    fn problem(reason: &str, message: &str) -> ReportedProblem {
        ReportedProblem { reason: reason.to_owned(), message: message.to_owned() }
    }

    fn report() -> Report {
        let route = |name: &str, generation, problem| RouteReport { name: name.to_owned(), generation, problem };
        let mut report = Report::new(false, 12);
        "9.9.9".clone_into(&mut report.version);
        report.services = vec![
            ServiceReport {
                hash: Some("sha256:a10b2d6f591596d43eac91df491f001b".to_owned()),
                connections: 12,
                routes: vec![
                    route("orders", 3, None),
                    route("admin", 11, Some(problem("port_unknown", "no port of this pod is named \"web\""))),
                ],
                ..ServiceReport::unserved("shop", "orders")
            },
            ServiceReport {
                refused: Some(problem("unreadable", "/etc/moorline/users/document.json: eof")),
                ..ServiceReport::unserved("", "users")
            },
        ];
        report
    }

    #[test]
    fn the_table_says_what_is_served_and_what_is_not() {
        assert_eq!(
            table(&report()),
            "moorline 9.9.9, serving, 12 connections\n\n\
             SERVICE      CONNECTIONS  DOCUMENT          ROUTE   GENERATION  PROBLEM\n\
             shop/orders  12           a10b2d6f591596d4  orders  3\n\
             \x20                                           admin   11          port_unknown: no port of this pod is named \"web\"\n\
             users        0            none                                  refused, unreadable: /etc/moorline/users/document.json: eof\n"
        );
    }

    #[test]
    fn a_sidecar_without_documents_says_so() {
        let text = table(&Report::new(true, 1));
        assert!(text.ends_with(", draining, 1 connection\nno document yet: no routes are served\n"), "{text}");
    }

    #[test]
    fn a_newer_report_can_be_read() {
        let text = r#"{"version":"9","formats":[1,2],"draining":false,"connections":0,"new":1,"services":[
            {"namespace":"a","name":"b","hash":null,"connections":0,"routes":[{"name":"r","generation":1,"new":2}],"new":3}]}"#;
        let report: Report = serde_json::from_str(text).unwrap();
        assert_eq!(report.services[0].routes[0].generation, 1);
    }

    #[tokio::test]
    async fn a_sidecar_that_is_not_there_is_a_failure_that_names_its_address() {
        let gone = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        let failure = run(StatusArgs { admin: gone, output: StatusForm::Table }).await.unwrap_err().to_string();
        assert!(failure.starts_with(&format!("{gone}: no sidecar listens there")), "{failure}");
    }
}
