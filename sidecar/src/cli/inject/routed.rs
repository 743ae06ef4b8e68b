//! Which Services have routes, out of the manifests at hand. Pure.
//!
//! The webhook knows it from the cluster. Here it is what the same files say; where they hold no route at all, every
//! Service in them counts, because routes may well be kept elsewhere and a source that never comes costs nothing: it is
//! optional.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use moorline_crds::v1alpha1::{GROUP, KIND};
use moorline_inject::{Asked, RoutedService, selects};
use serde_json::Value;

use super::args::NamedService;

/// The Services with routes, with what their selectors select.
#[derive(Debug, Default)]
pub(super) struct Routed {
    services: Vec<Found>,
    /// Services of the command line, which select everything.
    named: Vec<RoutedService>,
    /// What cannot be told from the manifests.
    pub(super) warnings: Vec<String>,
}

#[derive(Debug)]
struct Found {
    namespace: String,
    selector: BTreeMap<String, String>,
    service: RoutedService,
}

impl Routed {
    /// Reads it out of manifests. `namespace` is that of those that name none.
    pub(super) fn of<'a>(
        manifests: impl Iterator<Item = &'a Value>,
        namespace: &str,
        named: Vec<NamedService>,
    ) -> Self {
        let objects: Vec<&Value> = manifests.flat_map(items).collect();
        let place = |object: &Value| object["metadata"]["namespace"].as_str().unwrap_or(namespace).to_owned();
        let name = |object: &Value| object["metadata"]["name"].as_str().unwrap_or_default().to_owned();
        let is_route = |object: &&&Value| {
            let group = object["apiVersion"].as_str().and_then(|version| version.split('/').next());
            object["kind"] == KIND && group == Some(GROUP)
        };
        let routes: Vec<&Value> = objects.iter().filter(is_route).copied().collect();
        let mut routed = Self::default();
        let named = named.into_iter().map(|named| RoutedService { name: named.name, target_ports: named.ports });
        routed.named = named.collect();
        let mut told = Vec::new();
        for object in objects.iter().filter(|object| object["apiVersion"] == "v1" && object["kind"] == "Service") {
            let of_service = |route: &&&Value| {
                place(route) == place(object) && route["spec"]["serviceRef"]["name"] == object["metadata"]["name"]
            };
            let of_it: Vec<&Value> = routes.iter().filter(of_service).copied().collect();
            if of_it.is_empty() && !(routes.is_empty() && routed.named.is_empty()) {
                continue;
            }
            let ports = of_it.iter().filter_map(|route| target_port(object, &route["spec"]["serviceRef"]["port"]));
            routed.services.push(Found {
                namespace: place(object),
                selector: texts(&object["spec"]["selector"]),
                service: RoutedService { name: name(object), target_ports: ports.collect() },
            });
            told.push((place(object), name(object)));
        }
        for route in routes {
            let service = route["spec"]["serviceRef"]["name"].as_str().unwrap_or_default();
            let is_known = told.contains(&(place(route), service.to_owned()))
                || routed.named.iter().any(|named| named.name == service);
            if !is_known {
                routed.warnings.push(format!(
                    "the route {}/{} is for the Service {service}, which is in none of the files; add its manifest, or \
                     --service {service}",
                    place(route),
                    name(route)
                ));
            }
        }
        routed
    }

    /// Why pods are looked at: where no Service is known at all, whoever runs the command has chosen the workloads.
    pub(super) fn asked(&self) -> Asked {
        if self.services.is_empty() && self.named.is_empty() { Asked::Pod } else { Asked::Namespace }
    }

    /// The Services that select pods with these labels.
    pub(super) fn selecting(&self, namespace: &str, labels: &BTreeMap<String, String>) -> Vec<RoutedService> {
        let of_files = self.services.iter().filter(|found| found.namespace == namespace);
        let mut found: Vec<RoutedService> =
            of_files.filter(|found| selects(&found.selector, labels)).map(|found| found.service.clone()).collect();
        for named in &self.named {
            match found.iter_mut().find(|known| known.name == named.name) {
                Some(known) => known.target_ports.extend(named.target_ports.iter().cloned()),
                None => found.push(named.clone()),
            }
        }
        found
    }
}

/// A manifest, or those in a list.
fn items(manifest: &Value) -> Vec<&Value> {
    match manifest["items"].as_array() {
        Some(items) if manifest["kind"] == "List" => items.iter().collect(),
        _ => vec![manifest],
    }
}

/// Where a port of a Service, by number or name, leads to.
fn target_port(service: &Value, wanted: &Value) -> Option<IntOrString> {
    let ports = service["spec"]["ports"].as_array()?;
    let port = ports.iter().find(|port| port["port"] == *wanted || port["name"] == *wanted)?;
    let target = if port["targetPort"].is_null() { &port["port"] } else { &port["targetPort"] };
    serde_json::from_value(target.clone()).ok()
}

fn texts(value: &Value) -> BTreeMap<String, String> {
    let fields = value.as_object().into_iter().flatten();
    fields.filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned()))).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn service(name: &str, port: &Value) -> Value {
        json!({
            "apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": "shop"},
            "spec": {"selector": {"app": name}, "ports": [{"name": "web", "port": 80, "targetPort": port}, {"port": 81}]}
        })
    }

    fn route(service: &str, port: &Value) -> Value {
        json!({
            "apiVersion": "moorline.dev/v1alpha1", "kind": "WebSocketRoute",
            "metadata": {"name": "route", "namespace": "shop"}, "spec": {"serviceRef": {"name": service, "port": port}}
        })
    }

    fn labels(app: &str) -> BTreeMap<String, String> {
        [("app".to_owned(), app.to_owned())].into()
    }

    #[test]
    fn a_service_counts_when_a_route_names_it_with_the_ports_that_routes_use() {
        let list = json!({"kind": "List", "items": [service("orders", &json!("http")), service("users", &json!(1))]});
        let manifests =
            [list, route("orders", &json!(80)), route("orders", &json!("web")), route("orders", &json!(81))];
        let routed = Routed::of(manifests.iter(), "default", Vec::new());
        assert_eq!(routed.asked(), Asked::Namespace);
        let http = IntOrString::String("http".to_owned());
        let ports = vec![http.clone(), http, IntOrString::Int(81)];
        let orders = RoutedService { name: "orders".to_owned(), target_ports: ports };
        assert_eq!(routed.selecting("shop", &labels("orders")), [orders]);
        assert!(routed.selecting("shop", &labels("users")).is_empty());
        assert!(routed.selecting("default", &labels("orders")).is_empty());
        assert!(routed.warnings.is_empty());
    }

    #[test]
    fn a_route_whose_service_is_not_there_is_warned_of() {
        let routed = Routed::of([route("orders", &json!(80))].iter(), "default", Vec::new());
        assert_eq!(routed.warnings.len(), 1);
        assert!(routed.warnings[0].contains("--service orders"), "{:?}", routed.warnings);
    }

    #[test]
    fn without_any_route_every_service_counts() {
        let routed = Routed::of([service("orders", &json!("http"))].iter(), "default", Vec::new());
        let orders = RoutedService { name: "orders".to_owned(), target_ports: Vec::new() };
        assert_eq!(routed.selecting("shop", &labels("orders")), [orders]);
    }

    #[test]
    fn a_service_of_the_command_line_selects_everything() {
        let named = vec!["orders=http".parse().unwrap_or(NamedService { name: String::new(), ports: Vec::new() })];
        let routed = Routed::of([service("users", &json!(1))].iter(), "default", named);
        let found = routed.selecting("anywhere", &BTreeMap::new());
        assert_eq!((found.len(), found[0].name.as_str(), found[0].target_ports.len()), (1, "orders", 1));
        assert!(routed.selecting("shop", &labels("users")).iter().all(|service| service.name == "orders"));
    }

    #[test]
    fn without_any_service_the_workloads_were_chosen_by_hand() {
        assert_eq!(Routed::of([].iter(), "default", Vec::new()).asked(), Asked::Pod);
    }
}
