//! The command line of `moorline inject`.

// The docs here are what --help prints, where backticks would be noise.
#![allow(clippy::doc_markdown)]

use std::path::PathBuf;
use std::str::FromStr;

use clap::{ArgAction, Args};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use moorline_inject::{InjectSettings, PullPolicy};

/// Put the sidecar into manifests, as the webhook does when pods are made.
///
/// Prints all manifests that were given, with the sidecar in the pods of workloads that a Service with a WebSocketRoute
/// selects. Give it the Services and routes too, or name the Service with --service. Manifests without a change are
/// printed as they are; changed ones keep the order of their fields. Doing it twice changes nothing.
#[derive(Debug, Args)]
#[command(after_long_help = "Examples:\n  \
    moorline inject -f service.yaml -f route.yaml -f deployment.yaml > injected.yaml\n  \
    moorline inject -f deployment.yaml --service orders=http | kubectl apply -f -\n  \
    kustomize build . | moorline inject -f -")]
pub(in crate::cli) struct InjectArgs {
    /// A manifest, a directory of them, or - for standard input; can be given several times
    #[arg(short, long = "file", value_name = "FILE", required = true, action = ArgAction::Append)]
    pub(super) files: Vec<PathBuf>,
    /// The namespace of manifests that name none
    #[arg(short, long, value_name = "NAMESPACE", default_value = "default")]
    pub(super) namespace: String,
    /// A Service with routes that no manifest here shows; it is taken to select every workload here. With the target
    /// ports that its routes use, if those are names; can be given several times
    #[arg(long = "service", value_name = "NAME[=PORT,...]", action = ArgAction::Append)]
    pub(super) services: Vec<NamedService>,
    /// The image of the sidecar [default: that of this version]
    #[arg(long, value_name = "IMAGE", env = "MOORLINE_IMAGE")]
    pub(super) image: Option<String>,
    /// When the image is pulled: Always, IfNotPresent or Never
    #[arg(long, value_name = "POLICY", default_value = "IfNotPresent")]
    pub(super) pull_policy: PullPolicy,
    /// A Secret to pull the image with; can be given several times
    #[arg(long = "pull-secret", value_name = "NAME", action = ArgAction::Append)]
    pub(super) pull_secrets: Vec<String>,
    /// The user the sidecar runs as, or `cluster` to leave it to the cluster, as OpenShift wants it
    #[arg(long, value_name = "UID", default_value = "65532")]
    pub(super) run_as_user: RunAs,
}

/// One `--service`.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::cli) struct NamedService {
    pub(super) name: String,
    pub(super) ports: Vec<IntOrString>,
}

/// `--run-as-user`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::cli) struct RunAs(Option<i64>);

impl InjectArgs {
    /// How the sidecar is run.
    pub(super) fn settings(&self) -> InjectSettings {
        let default = InjectSettings::default();
        InjectSettings {
            image: self.image.clone().unwrap_or(default.image),
            pull_policy: self.pull_policy,
            pull_secrets: self.pull_secrets.clone(),
            version: default.version,
            run_as_user: self.run_as_user.0,
        }
    }
}

impl FromStr for NamedService {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const RULE: &str = "is the name of a Service, or NAME=PORT,... with the names or numbers of target ports";
        let (name, ports) = text.split_once('=').unwrap_or((text, ""));
        let is_name = |text: &str| !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
        let ports: Vec<&str> = ports.split(',').filter(|port| !port.is_empty()).collect();
        if !is_name(name) || !ports.iter().all(|port| is_name(port)) {
            return Err(RULE);
        }
        let port = |text: &str| text.parse().map_or_else(|_| IntOrString::String(text.to_owned()), IntOrString::Int);
        Ok(Self { name: name.to_owned(), ports: ports.into_iter().map(port).collect() })
    }
}

impl FromStr for RunAs {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "cluster" {
            return Ok(Self(None));
        }
        let id = text.parse().ok().filter(|id| *id > 0).ok_or("is a number over 0, or cluster")?;
        Ok(Self(Some(id)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_is_a_name_with_or_without_ports() {
        let service = |name: &str, ports| NamedService { name: name.to_owned(), ports };
        assert_eq!("orders".parse(), Ok(service("orders", Vec::new())));
        let ports = vec![IntOrString::String("http".to_owned()), IntOrString::Int(9000)];
        assert_eq!("orders=http,9000".parse(), Ok(service("orders", ports)));
        for wrong in ["", "=http", "shop/orders", "orders=a b"] {
            assert!(wrong.parse::<NamedService>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_user_is_a_number_or_the_clusters_choice() {
        assert_eq!("1000".parse(), Ok(RunAs(Some(1000))));
        assert_eq!("cluster".parse(), Ok(RunAs(None)));
        assert!("0".parse::<RunAs>().is_err() && "root".parse::<RunAs>().is_err());
    }
}
