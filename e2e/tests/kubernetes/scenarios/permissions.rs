//! The operator has what it needs and nothing more, as the API server's own audit log tells.
//!
//! `make e2e` runs this one last, after all others have had the operator do everything it can.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, Result, ensure};
use k8s_openapi::api::rbac::v1::{ClusterRole, PolicyRule, Role};
use kube::api::{Api, ListParams};
use serde_json::Value;

use crate::support::ground::alone_in_own_cluster;
use crate::support::install::NAMESPACE;

/// Rules that only parts of the tests' clusters can use, with the reason.
const UNUSED_HERE: [(&str, &str); 2] = [
    ("create services.", "a server-side apply that makes an object needs it, and is logged as a patch"),
    ("create configmaps.", "as above"),
];

/// What is denied to operators that end after `helm uninstall`, which deletes their roles first: a last look at their
/// Secret, and giving up the Lease. By verb and resource, with how often the scenarios can bring it about.
const AFTER_UNINSTALL: [(&str, &str, usize); 2] = [("get", "secrets", 2), ("update", "leases", 2)];

#[test]
#[ignore = "needs a cluster, and all other scenarios before: make e2e"]
fn zz_no_call_of_the_operator_is_denied_and_no_rule_is_never_used() {
    alone_in_own_cluster(async |ground, _control| -> Result<()> {
        let log = std::env::var("MOORLINE_E2E_STATE").context("the state of the cluster")? + "/audit.log";
        let (mut used, mut denied) = (BTreeSet::new(), BTreeMap::<String, usize>::new());
        for line in std::fs::read_to_string(&log).context(log)?.lines() {
            let Ok(event) = serde_json::from_str::<Value>(line) else { continue };
            let user = event["user"]["username"].as_str().unwrap_or_default();
            if !user.starts_with(&format!("system:serviceaccount:{NAMESPACE}:moorline")) {
                continue;
            }
            let text = |pointer: &str| event.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
            let resource = match text("/objectRef/subresource").as_str() {
                "" => text("/objectRef/resource"),
                subresource => format!("{}/{subresource}", text("/objectRef/resource")),
            };
            let call = (text("/verb"), text("/objectRef/apiGroup"), resource);
            // A namespace that is being deleted takes nothing new, whoever asks: no right is missing there.
            let too_late = text("/responseStatus/message").contains("because it is being terminated");
            if event.pointer("/responseStatus/code").and_then(Value::as_u64) == Some(403) && !too_late {
                *denied.entry(format!("{} {} {}", call.0, call.2, text("/requestURI"))).or_default() += 1;
            }
            used.insert(call);
        }
        for (verb, resource, times) in AFTER_UNINSTALL {
            denied.retain(|call, count| !(*count <= times && call.starts_with(&format!("{verb} {resource} "))));
        }
        ensure!(!used.is_empty(), "the audit log knows nothing of the operator");
        ensure!(denied.is_empty(), "denied: {denied:#?}");

        let mut unused = Vec::new();
        for rule in rules(&ground.client).await? {
            for verb in &rule.verbs {
                for group in rule.api_groups.iter().flatten() {
                    for resource in rule.resources.iter().flatten() {
                        let name = format!("{verb} {resource}.{group}");
                        let known = UNUSED_HERE.iter().any(|(known, _)| *known == name);
                        if !used.contains(&(verb.clone(), group.clone(), resource.clone())) && !known {
                            unused.push(name);
                        }
                    }
                }
            }
        }
        ensure!(unused.is_empty(), "granted and never used: {unused:#?}");
        Ok(())
    });
}

/// Every rule of the operator's own roles; not those for people.
async fn rules(client: &kube::Client) -> Result<Vec<PolicyRule>> {
    let selector = ListParams::default().labels("app.kubernetes.io/component=operator");
    let mut rules = Vec::new();
    for role in Api::<ClusterRole>::all(client.clone()).list(&selector).await? {
        rules.extend(role.rules.unwrap_or_default());
    }
    for role in Api::<Role>::namespaced(client.clone(), NAMESPACE).list(&selector).await? {
        rules.extend(role.rules.unwrap_or_default());
    }
    Ok(rules)
}
