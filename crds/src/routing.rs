//! Finds the route of a handshake from its host and path.
//!
//! A tree of segments per host rather than a list of patterns tried in order: precedence (literal segments
//! beat captures, segment by segment) is then the order of descent, and does not depend on which route
//! was loaded first. Hosts are compared before paths, as the Gateway API does; when no path of the better
//! host matches, the next host is tried.
//!
//! Invariant: each node of a tree is visited at most once per lookup, so a path cannot make it slow.

use std::collections::HashMap;

use crate::document::Route;
use crate::pattern::{HostPattern, PatternSegment};
use crate::template::percent_decode;

/// All routes of a process, by host and path.
#[derive(Debug, Clone, Default)]
pub struct Router {
    exact: HashMap<String, Node>,
    /// By the name after `*.`.
    wildcard: HashMap<String, Node>,
    any: Node,
}

/// A route that matched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The token the route was added with.
    pub token: usize,
    /// Name and text of each capture, percent-decoded once.
    pub captures: Vec<(Box<str>, Box<str>)>,
}

#[derive(Debug, Clone, Default)]
struct Node {
    literals: HashMap<String, Node>,
    capture: Option<Box<Node>>,
    leaf: Option<Leaf>,
}

#[derive(Debug, Clone)]
struct Leaf {
    token: usize,
    /// Names of the captures in the order of the path; routes that share a node may name them differently.
    names: Vec<Box<str>>,
}

impl Router {
    /// A router for these routes. Of two routes for the same host and path the first one counts.
    pub fn new<'a>(routes: impl Iterator<Item = (usize, &'a Route)>) -> Self {
        let mut router = Self::default();
        for (token, route) in routes {
            if route.hosts.is_empty() {
                router.any.insert(route, token);
            }
            for host in &route.hosts {
                router.tree(host).insert(route, token);
            }
        }
        router
    }

    /// The route for a host (in lower case, without port) and a path (as sent, without query).
    pub fn find(&self, host: &str, path: &str) -> Option<Found> {
        let segments: Vec<_> = path.strip_prefix('/')?.split('/').map(percent_decode).collect::<Option<_>>()?;
        let below = host.match_indices('.').filter_map(|(dot, _)| self.wildcard.get(host.get(dot + 1..)?));
        let mut captured = Vec::new();
        let leaf =
            self.exact.get(host).into_iter().chain(below).chain(std::iter::once(&self.any)).find_map(|tree| {
                captured.clear();
                tree.find(&segments, &mut captured)
            })?;
        let captures = leaf.names.iter().cloned().zip(captured.iter().map(|text| Box::from(*text))).collect();
        Some(Found { token: leaf.token, captures })
    }

    fn tree(&mut self, host: &HostPattern) -> &mut Node {
        let trees = if host.is_wildcard() { &mut self.wildcard } else { &mut self.exact };
        trees.entry(host.name().to_owned()).or_default()
    }
}

impl Node {
    fn insert(&mut self, route: &Route, token: usize) {
        let mut node = self;
        for segment in route.path.segments() {
            node = match segment {
                PatternSegment::Literal(text) => node.literals.entry(text.clone()).or_default(),
                PatternSegment::Capture(_) => node.capture.get_or_insert_default(),
            };
        }
        node.leaf.get_or_insert_with(|| Leaf { token, names: route.path.captures().map(Box::from).collect() });
    }

    fn find<'n, 's>(
        &'n self,
        segments: &'s [std::borrow::Cow<'_, str>],
        captured: &mut Vec<&'s str>,
    ) -> Option<&'n Leaf> {
        let Some((segment, rest)) = segments.split_first() else {
            return self.leaf.as_ref();
        };
        if let Some(leaf) = self.literals.get(segment.as_ref()).and_then(|node| node.find(rest, captured)) {
            return Some(leaf);
        }
        let capture = self.capture.as_ref().filter(|_| !segment.is_empty())?;
        captured.push(segment);
        let leaf = capture.find(rest, captured);
        if leaf.is_none() {
            captured.pop();
        }
        leaf
    }
}

#[cfg(test)]
mod tests;
