//! The kinds that are watched: with which selector, and where in the index their objects go.

use std::fmt::Debug;

use kube::core::{DeserializeGuard, NamespaceResourceScope};
use kube::runtime::watcher;
use kube::{Api, Client, Resource};
use moorline_crds::document::RouteId;
use moorline_crds::names;
use moorline_crds::v1alpha1::WebSocketRoute;
use serde::de::DeserializeOwned;
use tokio::time::Instant;

use super::index::{Document, Index, Version, child_of};
use super::scope::api;
use super::{appeared, objects};
use crate::api::WATCH_TIMEOUT_SECONDS;
use crate::view::{ChildKind, ChildRef};

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
    /// Where it is watched.
    fn api(client: Client, namespace: Option<&str>) -> Api<DeserializeGuard<Self::Object>>;
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

    fn api(client: Client, namespace: Option<&str>) -> Api<DeserializeGuard<Self::Object>> {
        api(client, namespace)
    }

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

    fn api(client: Client, namespace: Option<&str>) -> Api<DeserializeGuard<Self::Object>> {
        api(client, namespace)
    }

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

    fn api(client: Client, namespace: Option<&str>) -> Api<DeserializeGuard<Self::Object>> {
        api(client, namespace)
    }

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

    fn api(client: Client, namespace: Option<&str>) -> Api<DeserializeGuard<Self::Object>> {
        api(client, namespace)
    }

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

    fn api(client: Client, namespace: Option<&str>) -> Api<DeserializeGuard<Self::Object>> {
        api(client, namespace)
    }

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

/// Namespaces, of which only one label is read.
pub(super) struct Namespaces;

impl Kind for Namespaces {
    type Object = objects::Namespace;
    type Prepared = bool;
    const RESOURCE: &'static str = "namespaces";

    fn api(client: Client, _: Option<&str>) -> Api<DeserializeGuard<Self::Object>> {
        Api::all(client)
    }

    fn prepare(namespace: objects::Namespace) -> Option<bool> {
        let labels = namespace.metadata.labels.as_ref();
        Some(labels.and_then(|labels| labels.get(names::INJECT_LABEL)).map(String::as_str) == Some(names::ENABLED))
    }

    fn put(index: &mut Index, _: &str, name: &str, is_enabled: bool, _: bool) {
        index.put_namespace(name, is_enabled);
    }

    fn remove(index: &mut Index, _: &str, name: &str, _: Version) {
        index.remove_namespace(name);
    }

    fn names(index: &Index, _: Option<&str>, _: Instant) -> Vec<(String, String)> {
        index.namespace_names().into_iter().map(|name| (String::new(), name)).collect()
    }
}

/// What puts a route of ours in front of the cluster.
pub(super) struct Exposing<K>(std::marker::PhantomData<fn() -> K>);

/// An object that exposes a route.
pub(super) trait Exposes: Resource<DynamicType = (), Scope = NamespaceResourceScope> {
    /// Its kind.
    const KIND: ChildKind;
    /// The name of its resource.
    const PLURAL: &'static str;
}

impl Exposes for objects::Ingress {
    const KIND: ChildKind = ChildKind::Ingress;
    const PLURAL: &'static str = "ingresses";
}

impl Exposes for objects::HttpRoute {
    const KIND: ChildKind = ChildKind::HttpRoute;
    const PLURAL: &'static str = "httproutes";
}

impl<K> Kind for Exposing<K>
where
    K: Exposes + Clone + Debug + DeserializeOwned + Send + 'static,
{
    type Object = K;
    type Prepared = ((String, Option<String>), Version);
    const RESOURCE: &'static str = K::PLURAL;

    fn api(client: Client, namespace: Option<&str>) -> Api<DeserializeGuard<Self::Object>> {
        api(client, namespace)
    }

    fn labels() -> Option<String> {
        Some(managed())
    }

    fn prepare(object: K) -> Option<Self::Prepared> {
        let version = Version::parse(object.meta().resource_version.as_deref());
        Some((child_of(object.meta())?, version))
    }

    fn put(index: &mut Index, namespace: &str, name: &str, (owner, version): Self::Prepared, _: bool) {
        index.put_owned(namespace, &ChildRef { kind: K::KIND, name: name.to_owned() }, owner, version);
    }

    fn remove(index: &mut Index, namespace: &str, name: &str, _: Version) {
        index.remove_owned(namespace, &ChildRef { kind: K::KIND, name: name.to_owned() });
    }

    fn names(index: &Index, namespace: Option<&str>, _: Instant) -> Vec<(String, String)> {
        index.owned_names(namespace, K::KIND)
    }
}
