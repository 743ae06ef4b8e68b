//! Who has which host and path, and what the document says of each route.
//!
//! One pass in the order of age over the routes of the Service and of those it shares pods with: what an older route
//! holds, a younger one cannot have. A route whose newest spec is refused, for whatever reason, falls back to its entry
//! in the stored document, so a mistake in an edit costs nobody a connection. Both Services of a conflict make the same
//! pass over the same routes and so agree without asking each other.
//!
//! Invariant: no two placed entries have the same host and path.

use std::collections::BTreeSet;

use moorline_crds::compile::Problem;
use moorline_crds::document::{Route, RouteId, ServiceId};

use super::candidate::Candidate;
use crate::view::ChildRef;

/// Whether the newest spec of a route is taken.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Verdict {
    Accepted,
    Invalid(Vec<Problem>),
    /// An older route has its host and path.
    Conflict(RouteId),
    /// An object that is not ours has the name of a child.
    NameTaken(ChildRef),
    /// With it the document would be too large.
    TooLarge,
}

/// What became of a route of the Service.
#[derive(Debug)]
pub(super) struct Placed<'c, 'v> {
    pub(super) candidate: &'c Candidate<'v>,
    pub(super) verdict: Verdict,
    /// What the document has of it.
    pub(super) entry: Option<&'c Route>,
    /// Whether that is the newest spec, and not an older one that is kept.
    pub(super) is_newest: bool,
}

/// What holds routes back beside their own content.
#[derive(Debug, Default)]
pub(super) struct Held {
    /// A foreign object under the name of a child of the Service.
    pub(super) taken: Option<ChildRef>,
    /// Routes whose change makes the document too large.
    pub(super) too_large: BTreeSet<RouteId>,
}

/// Places all candidates and returns those of `service`.
pub(super) fn place<'c, 'v>(candidates: &'c [Candidate<'v>], service: &ServiceId, held: &Held) -> Vec<Placed<'c, 'v>> {
    let mut index = Index::default();
    let mut placed = Vec::new();
    for candidate in candidates {
        let is_own = candidate.is_of(service);
        let (verdict, newest) = judge(candidate, is_own.then_some(held), &index);
        let entry = newest.or(candidate.last.filter(|last| index.winner(last).is_none()));
        if let Some(entry) = entry {
            index.add(entry);
        }
        if is_own {
            placed.push(Placed { candidate, verdict, entry, is_newest: newest.is_some() });
        }
    }
    placed
}

/// The verdict, and the compiled route when it takes its place.
fn judge<'c>(candidate: &'c Candidate<'_>, held: Option<&Held>, index: &Index<'_>) -> (Verdict, Option<&'c Route>) {
    let route = match &candidate.compiled {
        Ok(route) => route,
        Err(problems) => return (Verdict::Invalid(problems.clone()), None),
    };
    if let Some(winner) = index.winner(route) {
        return (Verdict::Conflict(winner.clone()), None);
    }
    if let Some(child) = held.and_then(|held| held.taken.clone()) {
        return (Verdict::NameTaken(child), None);
    }
    if candidate.resolved.is_err() {
        return (Verdict::Accepted, None);
    }
    if held.is_some_and(|held| held.too_large.contains(&candidate.id)) {
        return (Verdict::TooLarge, None);
    }
    (Verdict::Accepted, Some(route))
}

/// The entries so far. By path with its captures made equal, because a Service may have a thousand routes, and each
/// compared with all before it is a million comparisons per plan.
#[derive(Debug, Default)]
struct Index<'a> {
    by_path: std::collections::HashMap<String, Vec<&'a Route>>,
}

impl<'a> Index<'a> {
    fn add(&mut self, route: &'a Route) {
        self.by_path.entry(shape(route)).or_default().push(route);
    }

    /// The older route that serves a host and path of this one.
    fn winner(&self, route: &Route) -> Option<&RouteId> {
        let same_host = |other: &&&Route| {
            (other.hosts.is_empty() && route.hosts.is_empty())
                || route.hosts.iter().any(|host| other.hosts.contains(host))
        };
        self.by_path.get(&shape(route))?.iter().find(same_host).map(|winner| &winner.id)
    }
}

/// The path without the names of its captures: equal where `PathPattern::same_as` says so.
fn shape(route: &Route) -> String {
    use moorline_crds::pattern::PatternSegment;

    route.path.segments().iter().fold(String::new(), |mut shape, segment| {
        shape.push('/');
        match segment {
            // No literal holds a slash or starts with one, so the capture's sign is its own.
            PatternSegment::Capture(_) => shape.push('/'),
            PatternSegment::Literal(text) => shape.push_str(text),
        }
        shape
    })
}
