//! The kinds that are watched: with which selector, and where in the index their objects go.

use std::fmt::Debug;
use std::time::Instant;

use kube::Resource;
use kube::runtime::watcher;
use moorline_crds::document::RouteId;
use moorline_crds::names;
use moorline_crds::v1alpha1::WebSocketRoute;
use serde::de::DeserializeOwned;

use super::index::{Document, Index, Version};
use super::{appeared, objects};
use crate::api::WATCH_TIMEOUT_SECONDS;

/// Objects per page of a list: what a start holds in memory at a time.
const PAGE: u32 = 250;

/// A kind of object that is watched.
pub(super) trait Kind: Send + Sync + 'static {
    /// The object as it is decoded.
    type Object: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + 'static;
    /// An object, ready for the index.
    type Prepared: Send;

    /// The name of the resource.
    const RESOURCE: &'static str;
    /// Restricts the watch.
    fn labels() -> Option<String> {
        None
    }
    /// Does what takes time. None for an object that does not concern us.
    fn prepare(object: Self::Object) -> Option<Self::Prepared>;
    /// Puts it into the index. `is_change` is false for what a list brings.
    fn put(index: &mut Index, namespace: &str, name: &str, object: Self::Prepared, is_change: bool);
    /// Takes it out.
    fn remove(index: &mut Index, namespace: &str, name: &str, version: Version);
    /// What is in the index of a namespace, or of all, since before this time.
    fn names(index: &Index, namespace: Option<&str>, since: Instant) -> Vec<(String, String)>;
}

/// How a kind is watched.
pub(super) fn config<K: Kind>() -> watcher::Config {
    let config = watcher::Config::default().timeout(WATCH_TIMEOUT_SECONDS).page_size(PAGE);
    match K::labels() {
        Some(labels) => config.labels(&labels),
        None => config,
    }
}

fn managed() -> String {
    format!("{}={}", names::MANAGED_BY_LABEL, names::MANAGED_BY)
}

/// `WebSocketRoutes`.
pub(super) struct Routes;

impl Kind for Routes {
    type Object = WebSocketRoute;
    type Prepared = WebSocketRoute;
    const RESOURCE: &'static str = "websocketroutes";

    fn prepare(mut route: WebSocketRoute) -> Option<WebSocketRoute> {
        route.metadata.managed_fields = None;
        route.metadata.annotations = None;
        Some(route)
    }

    fn put(index: &mut Index, _: &str, _: &str, route: WebSocketRoute, is_change: bool) {
        index.put_route(route, appeared(is_change));
    }

    fn remove(index: &mut Index, namespace: &str, name: &str, version: Version) {
        index.remove_route(&RouteId { namespace: namespace.to_owned(), name: name.to_owned() }, version);
    }

    fn names(index: &Index, namespace: Option<&str>, _: Instant) -> Vec<(String, String)> {
        index.route_names(namespace).into_iter().map(|id| (id.namespace, id.name)).collect()
    }
}

/// Services.
pub(super) struct Services;

impl Kind for Services {
    type Object = objects::Service;
    type Prepared = objects::Service;
    const RESOURCE: &'static str = "services";

    fn prepare(service: objects::Service) -> Option<objects::Service> {
        Some(service)
    }

    fn put(index: &mut Index, namespace: &str, name: &str, service: objects::Service, _: bool) {
        index.put_service(namespace, name, service);
    }

    fn remove(index: &mut Index, namespace: &str, name: &str, version: Version) {
        index.remove_service(namespace, name, version);
    }

    fn names(index: &Index, namespace: Option<&str>, _: Instant) -> Vec<(String, String)> {
        index.service_names(namespace)
    }
}

/// `EndpointSlices`, but not those of our own Services, which would say the same again.
pub(super) struct Slices;

impl Kind for Slices {
    type Object = objects::EndpointSlice;
    type Prepared = objects::EndpointSlice;
    const RESOURCE: &'static str = "endpointslices";

    fn labels() -> Option<String> {
        // The labels of a Service are copied to its slices.
        Some(format!("{}!={}", names::MANAGED_BY_LABEL, names::MANAGED_BY))
    }

    fn prepare(slice: objects::EndpointSlice) -> Option<objects::EndpointSlice> {
        Some(slice)
    }

    fn put(index: &mut Index, namespace: &str, name: &str, slice: objects::EndpointSlice, _: bool) {
        index.put_slice(namespace, name, slice);
    }

    fn remove(index: &mut Index, namespace: &str, name: &str, version: Version) {
        index.remove_slice(namespace, name, version);
    }

    fn names(index: &Index, namespace: Option<&str>, _: Instant) -> Vec<(String, String)> {
        index.slice_names(namespace)
    }
}

/// Pods with a sidecar.
pub(super) struct Pods;

impl Kind for Pods {
    type Object = objects::Pod;
    type Prepared = objects::Pod;
    const RESOURCE: &'static str = "pods";

    fn labels() -> Option<String> {
        Some(format!("{}={}", names::INJECTED_LABEL, names::INJECTED))
    }

    fn prepare(pod: objects::Pod) -> Option<objects::Pod> {
        Some(pod)
    }

    fn put(index: &mut Index, namespace: &str, name: &str, pod: objects::Pod, _: bool) {
        index.put_pod(namespace, name, pod);
    }

    fn remove(index: &mut Index, namespace: &str, name: &str, version: Version) {
        index.remove_pod(namespace, name, version);
    }

    fn names(index: &Index, namespace: Option<&str>, _: Instant) -> Vec<(String, String)> {
        index.pod_names(namespace)
    }
}

/// ConfigMaps with documents.
pub(super) struct Documents;

impl Kind for Documents {
    type Object = objects::ConfigMap;
    type Prepared = Document;
    const RESOURCE: &'static str = "configmaps";

    fn labels() -> Option<String> {
        Some(managed())
    }

    fn prepare(map: objects::ConfigMap) -> Option<Document> {
        Document::read(&map)
    }

    fn put(index: &mut Index, namespace: &str, name: &str, document: Document, _: bool) {
        index.put_document(namespace, name, document, None);
    }

    fn remove(index: &mut Index, namespace: &str, name: &str, version: Version) {
        index.remove_document(namespace, name, version);
    }

    fn names(index: &Index, namespace: Option<&str>, since: Instant) -> Vec<(String, String)> {
        index.document_names(namespace, since)
    }
}
