//! Where the app of a route listens on a laptop, where there is no Service to ask.
//!
//! A route names its Service and a port. A numbered port is taken as the app's own on this machine, which it usually
//! is; a named port says nothing here, so the developer has to.

use std::str::FromStr;

use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use moorline_crds::compile::{Backend, service_of};
use moorline_crds::document::ServiceId;
use moorline_crds::v1alpha1::WebSocketRoute;

/// One `--upstream`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upstream {
    /// The Service it is for, by name or by `namespace/name`; none for every Service.
    pub service: Option<String>,
    /// Its address, as `127.0.0.1:3000`.
    pub authority: String,
}

/// Why a text is not an upstream.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UpstreamError {
    /// Not of the form.
    #[error("is [NAME=]http://HOST:PORT, where NAME is a Service")]
    Form,
    /// Encrypted.
    #[error("is plain http: the app is called on this machine, or in its own pod")]
    Scheme,
    /// More than an address.
    #[error("has no path: paths are made by the route")]
    Path,
}

impl FromStr for Upstream {
    type Err = UpstreamError;

    fn from_str(text: &str) -> Result<Self, UpstreamError> {
        let (service, url) = match text.split_once('=') {
            Some((service, url)) if !service.contains(':') => (Some(service.to_owned()), url),
            _ => (None, text),
        };
        if service.as_deref().is_some_and(|service| service.is_empty() || service.matches('/').count() > 1) {
            return Err(UpstreamError::Form);
        }
        let (scheme, rest) = url.split_once("://").ok_or(UpstreamError::Form)?;
        if !scheme.eq_ignore_ascii_case("http") {
            return Err(if scheme.eq_ignore_ascii_case("https") { UpstreamError::Scheme } else { UpstreamError::Form });
        }
        let authority = rest.strip_suffix('/').unwrap_or(rest);
        if authority.contains(['/', '?', '#']) {
            return Err(UpstreamError::Path);
        }
        let authority: http::uri::Authority = authority.parse().map_err(|_| UpstreamError::Form)?;
        if authority.as_str().contains('@') || authority.host().is_empty() {
            return Err(UpstreamError::Form);
        }
        let port = match authority.port() {
            Some(port) => port.as_u16(),
            None if authority.as_str().contains(':') && !authority.as_str().ends_with(']') => {
                return Err(UpstreamError::Form);
            }
            None => 80,
        };
        if port == 0 {
            return Err(UpstreamError::Form);
        }
        Ok(Self { service, authority: format!("{}:{port}", authority.host()) })
    }
}

/// All of `--upstream`.
#[derive(Debug, Clone, Default)]
pub struct Upstreams(Vec<Upstream>);

impl Upstreams {
    /// The given ones.
    pub fn new(given: Vec<Upstream>) -> Self {
        Self(given)
    }

    /// How a route's app is reached, or why it is not.
    pub fn resolve(&self, route: &WebSocketRoute) -> Result<Backend, String> {
        let service = service_of(route);
        // The most exact one wins, whatever the order on the command line.
        for exact in [Some(service.to_string()), Some(service.name.clone()), None] {
            if let Some(found) = self.0.iter().find(|upstream| upstream.service == exact) {
                return Ok(Backend::at(found.authority.clone()));
            }
        }
        match &route.spec.service_ref.port {
            IntOrString::Int(port) => Ok(Backend::at(format!("127.0.0.1:{port}"))),
            IntOrString::String(port) => Err(format!(
                "the port {port:?} has no number here: say where the app listens, --upstream {}=http://127.0.0.1:PORT",
                service.name
            )),
        }
    }

    /// The first that names none of these Services: a slip that would otherwise show only as a refused connection.
    pub fn unused(&self, services: &[ServiceId]) -> Option<&str> {
        self.0
            .iter()
            .filter_map(|upstream| upstream.service.as_deref())
            .find(|name| !services.iter().any(|service| service.name == **name || service.to_string() == **name))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)] // tests fail by panicking
mod tests {
    use super::*;
    use crate::source::manifests::tests::route;

    #[test]
    fn an_upstream_is_an_address_with_or_without_a_service() {
        for (text, service, authority) in [
            ("http://127.0.0.1:3000", None, "127.0.0.1:3000"),
            ("http://localhost:3000/", None, "localhost:3000"),
            ("HTTP://[::1]:3000", None, "[::1]:3000"),
            ("http://app", None, "app:80"),
            ("orders=http://127.0.0.1:3000", Some("orders"), "127.0.0.1:3000"),
            ("shop/orders=http://127.0.0.1:3000", Some("shop/orders"), "127.0.0.1:3000"),
        ] {
            let expected = Upstream { service: service.map(str::to_owned), authority: authority.to_owned() };
            assert_eq!(text.parse(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn anything_else_is_refused_with_the_rule() {
        for (text, error) in [
            ("127.0.0.1:3000", UpstreamError::Form),
            ("=http://127.0.0.1:3000", UpstreamError::Form),
            ("a/b/c=http://127.0.0.1:3000", UpstreamError::Form),
            ("http://", UpstreamError::Form),
            ("http://127.0.0.1:0", UpstreamError::Form),
            ("http://127.0.0.1:70000", UpstreamError::Form),
            ("http://user@127.0.0.1:3000", UpstreamError::Form),
            ("ftp://127.0.0.1", UpstreamError::Form),
            ("https://127.0.0.1:3000", UpstreamError::Scheme),
            ("http://127.0.0.1:3000/api", UpstreamError::Path),
            ("http://127.0.0.1:3000?a=b", UpstreamError::Path),
        ] {
            assert_eq!(text.parse::<Upstream>(), Err(error), "{text}");
        }
    }

    #[test]
    fn the_most_exact_upstream_wins_and_a_numbered_port_is_the_default() {
        let given = |texts: &[&str]| Upstreams::new(texts.iter().map(|text| text.parse().unwrap()).collect());
        let numbered = route("shop", "orders", "3000");
        let named = route("shop", "orders", "http");
        assert_eq!(given(&[]).resolve(&numbered), Ok(Backend::at("127.0.0.1:3000")));
        assert!(given(&[]).resolve(&named).unwrap_err().contains("--upstream orders=http://127.0.0.1:PORT"));
        let all = ["http://a:1", "orders=http://b:2", "shop/orders=http://c:3"];
        assert_eq!(given(&all[..1]).resolve(&named), Ok(Backend::at("a:1")));
        assert_eq!(given(&all[..2]).resolve(&named), Ok(Backend::at("b:2")));
        assert_eq!(given(&all).resolve(&numbered), Ok(Backend::at("c:3")));
    }

    #[test]
    fn an_upstream_for_a_service_that_no_route_names_is_found() {
        let services = [service_of(&route("shop", "orders", "1"))];
        let given = |text: &str| Upstreams::new(vec![text.parse().unwrap()]);
        assert_eq!(given("orders=http://a:1").unused(&services), None);
        assert_eq!(given("shop/orders=http://a:1").unused(&services), None);
        assert_eq!(given("http://a:1").unused(&services), None);
        assert_eq!(given("order=http://a:1").unused(&services), Some("order"));
        assert_eq!(given("stage/orders=http://a:1").unused(&services), Some("stage/orders"));
    }
}
