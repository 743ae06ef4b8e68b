//! What keeps a served route from working in this pod. Pure.
//!
//! None of it is a reason to refuse the document: the other routes work, and so does the rest of this one. It is told
//! instead, in the log and in the report, where the operator turns it into a condition.

use std::collections::{BTreeMap, HashMap};

use moorline_crds::pattern::{HostPattern, PatternSegment};
use moorline_crds::{Route, ServiceId};

/// Why a route does not work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct RouteProblem {
    /// A fixed word.
    pub(super) reason: &'static str,
    /// Words for a person.
    pub(super) message: String,
}

impl RouteProblem {
    /// As it is reported.
    pub(super) fn report(&self) -> crate::report::ReportedProblem {
        crate::report::ReportedProblem { reason: self.reason.to_owned(), message: self.message.clone() }
    }
}

/// The routes that get no connections because an earlier one has their host and path, each with that one.
pub(super) fn overlaps<'a>(routes: impl Iterator<Item = &'a Route>) -> Vec<(usize, usize)> {
    let mut taken: HashMap<(Option<&HostPattern>, Vec<Option<&str>>), usize> = HashMap::new();
    let mut found = Vec::new();
    for (token, route) in routes.enumerate() {
        let shape = || -> Vec<Option<&str>> {
            let segments = route.path.segments().iter();
            segments
                .map(|segment| match segment {
                    PatternSegment::Literal(text) => Some(text.as_str()),
                    PatternSegment::Capture(_) => None,
                })
                .collect()
        };
        let all_hosts = route.hosts.is_empty().then_some(None);
        let mut first = None;
        for host in route.hosts.iter().map(Some).chain(all_hosts) {
            let taker = *taken.entry((host, shape())).or_insert(token);
            if taker != token {
                first = first.or(Some(taker));
            }
        }
        found.extend(first.map(|first| (token, first)));
    }
    found
}

/// The route lost its host and path to another one.
pub(super) fn path_taken(route: &Route, by: &Route, of: &ServiceId) -> RouteProblem {
    let message =
        format!("{:?}: the route {} of the Service {of} serves this host and path", route.path.to_string(), by.id);
    RouteProblem { reason: "path_taken", message }
}

/// The address of a route's app with the port in digits, or why there is none.
pub(super) fn upstream(upstream: &str, ports: &BTreeMap<String, u16>) -> Result<String, RouteProblem> {
    let Some((host, port)) = upstream.rsplit_once(':') else { return Ok(upstream.to_owned()) };
    if port.parse::<u16>().is_ok() {
        return Ok(upstream.to_owned());
    }
    if let Some(number) = ports.get(port) {
        return Ok(format!("{host}:{number}"));
    }
    let known: Vec<&str> = ports.keys().map(String::as_str).collect();
    let known = if known.is_empty() { "none has a name".to_owned() } else { known.join(", ") };
    let message = format!("no port of this pod is named {port:?}; known: {known}");
    Err(RouteProblem { reason: "port_unknown", message })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)] // tests fail by panicking
mod tests {
    use super::*;

    fn ports() -> BTreeMap<String, u16> {
        [("admin".to_owned(), 9000), ("http".to_owned(), 3000)].into()
    }

    #[test]
    fn the_name_of_a_port_becomes_its_number() {
        assert_eq!(upstream("127.0.0.1:http", &ports()).unwrap(), "127.0.0.1:3000");
        assert_eq!(upstream("127.0.0.1:8080", &ports()).unwrap(), "127.0.0.1:8080");
        assert_eq!(upstream("[::1]:8080", &ports()).unwrap(), "[::1]:8080");
    }

    #[test]
    fn a_name_that_no_port_has_is_told_with_those_there_are() {
        let problem = upstream("127.0.0.1:web", &ports()).unwrap_err();
        assert_eq!(problem.reason, "port_unknown");
        assert_eq!(problem.message, "no port of this pod is named \"web\"; known: admin, http");
        let none = upstream("127.0.0.1:web", &BTreeMap::new()).unwrap_err();
        assert!(none.message.ends_with("none has a name"), "{}", none.message);
    }
}
