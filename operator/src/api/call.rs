//! What a request to the API server asks for, told from its method, path and content type.
//!
//! For the labels of a metric: words from a fixed list, so that a name in a path can never become a time series.

use http::Method;
use http::Uri;

/// What is asked of what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Call {
    pub(super) verb: &'static str,
    pub(super) resource: &'static str,
}

/// The resources the operator knows, with their subresources.
const RESOURCES: [&str; 19] = [
    "configmaps",
    "daemonsets",
    "deployments",
    "endpointslices",
    "events",
    "httproutes",
    "ingresses",
    "leases",
    "mutatingwebhookconfigurations",
    "namespaces",
    "pods",
    "pods/eviction",
    "pods/status",
    "replicasets",
    "secrets",
    "services",
    "statefulsets",
    "websocketroutes",
    "websocketroutes/status",
];

impl Call {
    /// Of a request.
    pub(super) fn of(method: &Method, uri: &Uri, content_type: Option<&str>) -> Self {
        let path = uri.path();
        let mut parts = path.split('/').filter(|part| !part.is_empty());
        // `api/v1` or `apis/GROUP/VERSION`.
        let skip = if parts.next() == Some("api") { 1 } else { 2 };
        let mut rest: Vec<&str> = parts.skip(skip).collect();
        if rest.len() > 2 && rest[0] == "namespaces" {
            rest.drain(..2);
        }
        let resource = match rest.as_slice() {
            [] => "discovery",
            [resource] | [resource, _] => known(resource, None),
            [resource, _, subresource, ..] => known(resource, Some(subresource)),
        };
        let is_named = rest.len() > 1;
        let is_watch = uri.query().is_some_and(|query| query.split('&').any(|part| part == "watch=true"));
        let verb = match *method {
            Method::GET if is_watch => "watch",
            Method::GET if is_named || rest.is_empty() => "get",
            Method::GET => "list",
            Method::POST => "create",
            Method::PUT => "update",
            Method::PATCH if content_type.is_some_and(|text| text.contains("apply-patch")) => "apply",
            Method::PATCH => "patch",
            Method::DELETE => "delete",
            _ => "other",
        };
        Self { verb, resource }
    }
}

fn known(resource: &str, subresource: Option<&str>) -> &'static str {
    let is_it = |known: &&&'static str| match subresource {
        None => **known == resource,
        Some(subresource) => {
            known.strip_prefix(resource).and_then(|rest| rest.strip_prefix('/')).is_some_and(|rest| rest == subresource)
        }
    };
    RESOURCES.iter().find(is_it).copied().unwrap_or("other")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)] // tests fail by panicking
mod tests {
    use super::*;

    #[test]
    fn a_request_is_told_by_its_path_and_method() {
        for (method, uri, content_type, verb, resource) in [
            (Method::GET, "/api/v1/pods?watch=true&timeoutSeconds=55", None, "watch", "pods"),
            (Method::GET, "/api/v1/pods?&limit=250", None, "list", "pods"),
            (Method::GET, "/api/v1/namespaces/shop", None, "get", "namespaces"),
            (Method::GET, "/api/v1/namespaces?limit=1", None, "list", "namespaces"),
            (Method::GET, "/api/v1/namespaces/shop/configmaps/a", None, "get", "configmaps"),
            (
                Method::PATCH,
                "/api/v1/namespaces/shop/pods/a/status",
                Some("application/merge-patch+json"),
                "patch",
                "pods/status",
            ),
            (
                Method::PATCH,
                "/apis/moorline.dev/v1alpha1/namespaces/shop/websocketroutes/a/status?force=true",
                Some("application/apply-patch+yaml"),
                "apply",
                "websocketroutes/status",
            ),
            (Method::POST, "/api/v1/namespaces/shop/pods/a/eviction", None, "create", "pods/eviction"),
            (Method::PUT, "/apis/coordination.k8s.io/v1/namespaces/m/leases/l", None, "update", "leases"),
            (Method::GET, "/apis/networking.k8s.io/v1", None, "get", "discovery"),
            (Method::GET, "/apis/a/v1/namespaces/shop/things/name", None, "get", "other"),
        ] {
            let call = Call::of(&method, &uri.parse().unwrap(), content_type);
            assert_eq!((call.verb, call.resource), (verb, resource), "{method} {uri}");
        }
    }
}
