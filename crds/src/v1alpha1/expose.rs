//! How a route is reached from outside the cluster, as users write it.

use std::collections::BTreeMap;

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::schema;

/// Whether the operator may restart a workload whose pods lack the sidecar, or lack the volume of this route's Service.
/// Automatic, the default, restarts it once per pod template, as `kubectl rollout restart` does; Manual leaves it to you,
/// and the condition Programmed names the command. The admin of the cluster can switch restarts off altogether. A change
/// touches no connection; a restart drains the connections of each pod it replaces.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Rollout {
    /// Restart it, once per pod template.
    #[default]
    Automatic,
    /// Only say so.
    Manual,
}

/// How clients outside the cluster reach the route. Exactly one of `ingress` and `gateway` is set.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(validation = ("has(self.ingress) != has(self.gateway)", "exactly one of ingress and gateway is set"))]
pub struct Expose {
    /// An Ingress of the cluster's Ingress controller.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ingress: Option<ExposeIngress>,

    /// An HTTPRoute of the Gateway API.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gateway: Option<ExposeGateway>,
}

/// An Ingress for the hosts of the route.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ExposeIngress {
    /// The IngressClass. The default is the cluster's default class. A change moves the route to another controller,
    /// which may close open connections.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub class_name: Option<String>,

    /// The Secret with the certificate for the hosts. The default is none: clients connect with `ws://` unless the
    /// controller has a certificate of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub tls_secret_name: Option<String>,

    /// Annotations of the Ingress, for instance the controller's timeout for idle connections. The default is none.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "schema::headers")]
    pub annotations: BTreeMap<String, String>,
}

/// An HTTPRoute for the hosts of the route.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ExposeGateway {
    /// The name of the Gateway.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,

    /// Its namespace. The default is the namespace of the route; the Gateway itself says which others it admits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub namespace: Option<String>,

    /// One listener of the Gateway. The default is every listener that fits the hosts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub section_name: Option<String>,
}
