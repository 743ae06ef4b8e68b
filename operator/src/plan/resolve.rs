//! From the Service and port that a route names to the addresses of the app.
//!
//! The sidecar stands beside the app, so what it needs of a Service port is the port of the pod behind it. A named
//! target is handed on by name: two pods of one Service may have different numbers for it, and the injector knows each.
//! Resolved here and not in `compile`, which has to do with a laptop too, where there are no Services.

use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use moorline_crds::compile::Backend;
use moorline_crds::document::{Failover, ServiceId};
use moorline_crds::v1alpha1::ServiceRef;
use thiserror::Error;

use crate::reasons::resolved_refs;
use crate::view::{PortFacts, ServiceFacts};

/// Why a reference does not lead to an app.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub(super) enum ResolveError {
    #[error("there is no Service {name} in namespace {namespace}")]
    ServiceNotFound { namespace: String, name: String },
    #[error(
        "Service {0} is of type ExternalName, so it has no pods that a sidecar could run in; name the Service of the app"
    )]
    External(ServiceId),
    #[error(
        "Service {0} has no selector, so it has no pods that a sidecar could run in; name a Service that selects the app"
    )]
    NoSelector(ServiceId),
    #[error("Service {id} has no port {wanted}; it has {known}")]
    PortNotFound { id: ServiceId, wanted: String, known: String },
    #[error("port {wanted} of Service {id} is not TCP, and the app is called over HTTP")]
    PortUnsupported { id: ServiceId, wanted: String },
}

impl ResolveError {
    /// The reason of the condition.
    pub(super) fn reason(&self) -> &'static str {
        match self {
            Self::ServiceNotFound { .. } => resolved_refs::SERVICE_NOT_FOUND,
            Self::External(_) | Self::NoSelector(_) => resolved_refs::SERVICE_UNSUPPORTED,
            Self::PortNotFound { .. } => resolved_refs::PORT_NOT_FOUND,
            Self::PortUnsupported { .. } => resolved_refs::PORT_UNSUPPORTED,
        }
    }
}

/// How the app behind `reference` is reached.
pub(super) fn resolve(
    id: &ServiceId,
    service: Option<&ServiceFacts>,
    reference: &ServiceRef,
) -> Result<Backend, ResolveError> {
    let service = service
        .ok_or_else(|| ResolveError::ServiceNotFound { namespace: id.namespace.clone(), name: id.name.clone() })?;
    if service.is_external {
        return Err(ResolveError::External(id.clone()));
    }
    if service.selector.is_empty() {
        return Err(ResolveError::NoSelector(id.clone()));
    }
    let port = port(id, service, &reference.port)?;
    Ok(Backend { upstream: upstream(&port.target), failover: failover(id, service, port) })
}

/// Whether the Service has pods of which one could run a sidecar.
pub(super) fn has_pods(service: &ServiceFacts) -> bool {
    !service.is_external && !service.selector.is_empty()
}

fn port<'a>(id: &ServiceId, service: &'a ServiceFacts, wanted: &IntOrString) -> Result<&'a PortFacts, ResolveError> {
    let matches = |port: &&PortFacts| match wanted {
        IntOrString::Int(number) => i32::from(port.port) == *number,
        IntOrString::String(name) => port.name.as_deref() == Some(name),
    };
    // DNS has one number twice, as TCP and as UDP: the one that can be used counts.
    let mut found: Vec<&PortFacts> = service.ports.iter().filter(matches).collect();
    found.sort_by_key(|port| (!port.is_tcp, port.port, port.name.clone()));
    match found.first() {
        Some(port) if port.is_tcp => Ok(port),
        Some(_) => Err(ResolveError::PortUnsupported { id: id.clone(), wanted: text(wanted) }),
        None => Err(ResolveError::PortNotFound { id: id.clone(), wanted: text(wanted), known: known(service) }),
    }
}

fn upstream(target: &IntOrString) -> String {
    format!("127.0.0.1:{}", text(target))
}

fn failover(id: &ServiceId, service: &ServiceFacts, port: &PortFacts) -> Option<Failover> {
    let host = format!("{}.{}.svc", id.name, id.namespace);
    if !service.is_headless {
        return Some(Failover::Address(format!("{host}:{}", port.port)));
    }
    // The name of a headless Service stands for the addresses of its pods, where its own port number means nothing.
    match (&port.target, &port.name) {
        (IntOrString::Int(number), _) => Some(Failover::Address(format!("{host}:{number}"))),
        (IntOrString::String(_), Some(name)) => Some(Failover::Srv(format!("_{name}._tcp.{host}"))),
        // DNS has no SRV record for a port without a name.
        (IntOrString::String(_), None) => None,
    }
}

fn known(service: &ServiceFacts) -> String {
    let mut ports: Vec<(u16, String)> = service
        .ports
        .iter()
        .map(|port| match &port.name {
            Some(name) => (port.port, format!("{} ({name})", port.port)),
            None => (port.port, port.port.to_string()),
        })
        .collect();
    ports.sort();
    if ports.is_empty() {
        return "none".to_owned();
    }
    ports.into_iter().map(|(_, text)| text).collect::<Vec<_>>().join(", ")
}

fn text(port: &IntOrString) -> String {
    match port {
        IntOrString::Int(number) => number.to_string(),
        IntOrString::String(name) => name.clone(),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)] // tests fail by panicking
mod tests {
    use super::*;
    use crate::plan::testing::{port, service};

    fn id() -> ServiceId {
        ServiceId { namespace: "shop".to_owned(), name: "orders".to_owned() }
    }

    fn named(name: &str) -> ServiceRef {
        ServiceRef { name: "orders".to_owned(), port: IntOrString::String(name.to_owned()) }
    }

    fn numbered(number: i32) -> ServiceRef {
        ServiceRef { name: "orders".to_owned(), port: IntOrString::Int(number) }
    }

    /// Each row: the port, whether the Service is headless, and what comes of it.
    #[test]
    fn the_port_of_a_service_leads_to_the_port_of_the_pod_and_back_to_the_service() {
        let by_number = port(Some("http"), 80, IntOrString::Int(3000));
        let by_name = port(Some("http"), 80, IntOrString::String("web".to_owned()));
        let unnamed = port(None, 80, IntOrString::String("web".to_owned()));
        let address = |text: &str| Some(Failover::Address(text.to_owned()));
        for (port, is_headless, upstream, failover) in [
            (&by_number, false, "127.0.0.1:3000", address("orders.shop.svc:80")),
            (&by_name, false, "127.0.0.1:web", address("orders.shop.svc:80")),
            (&by_number, true, "127.0.0.1:3000", address("orders.shop.svc:3000")),
            (&by_name, true, "127.0.0.1:web", Some(Failover::Srv("_http._tcp.orders.shop.svc".to_owned()))),
            (&unnamed, true, "127.0.0.1:web", None),
        ] {
            let service = ServiceFacts { is_headless, ports: vec![port.clone()], ..service() };
            let found = resolve(&id(), Some(&service), &numbered(80)).unwrap();
            assert_eq!((found.upstream.as_str(), &found.failover), (upstream, &failover));
            if port.name.is_some() {
                assert_eq!(resolve(&id(), Some(&service), &named("http")).unwrap(), found);
            }
        }
    }

    /// Each row: what is wrong, its reason and its words.
    #[test]
    fn a_reference_that_leads_nowhere_says_why_and_what_there_is() {
        let metrics = port(Some("metrics"), 9090, IntOrString::Int(9090));
        let http = port(Some("http"), 80, IntOrString::Int(3000));
        let udp = PortFacts { is_tcp: false, ..port(Some("dns"), 53, IntOrString::Int(53)) };
        let two = ServiceFacts { ports: vec![metrics, http, udp], ..service() };
        let rows = [
            (None, named("http"), "ServiceNotFound", "there is no Service orders in namespace shop"),
            (
                Some(ServiceFacts { is_external: true, ..two.clone() }),
                named("http"),
                "ServiceUnsupported",
                "Service shop/orders is of type ExternalName, so it has no pods that a sidecar could run in; name the Service of the app",
            ),
            (
                Some(ServiceFacts { selector: [].into(), ..two.clone() }),
                named("http"),
                "ServiceUnsupported",
                "Service shop/orders has no selector, so it has no pods that a sidecar could run in; name a Service that selects the app",
            ),
            (
                Some(two.clone()),
                named("web"),
                "PortNotFound",
                "Service shop/orders has no port web; it has 53 (dns), 80 (http), 9090 (metrics)",
            ),
            (
                Some(two.clone()),
                numbered(53),
                "PortUnsupported",
                "port 53 of Service shop/orders is not TCP, and the app is called over HTTP",
            ),
            (
                Some(ServiceFacts { ports: vec![], ..two }),
                numbered(53),
                "PortNotFound",
                "Service shop/orders has no port 53; it has none",
            ),
        ];
        for (service, reference, reason, message) in rows {
            let error = resolve(&id(), service.as_ref(), &reference).unwrap_err();
            assert_eq!((error.reason(), error.to_string().as_str()), (reason, message));
        }
    }

    #[test]
    fn of_one_number_over_two_protocols_the_one_over_tcp_is_taken() {
        let tcp = port(Some("dns-tcp"), 53, IntOrString::Int(5353));
        let udp = PortFacts { is_tcp: false, ..port(Some("dns"), 53, IntOrString::Int(53)) };
        for ports in [vec![tcp.clone(), udp.clone()], vec![udp, tcp]] {
            let service = ServiceFacts { ports, ..service() };
            assert_eq!(resolve(&id(), Some(&service), &numbered(53)).unwrap().upstream, "127.0.0.1:5353");
        }
    }
}
