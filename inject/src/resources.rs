//! What the sidecar asks of its node, so that the pod stays what it was.
//!
//! Three kinds of pods. Ordinary ones: requests always, since an autoscaler cannot compute the load of a pod with a
//! container that has none; a limit on memory only, since one on CPU adds latency when there is CPU to spare. Guaranteed
//! ones: limits equal to the requests, or the pod would lose its class. Pods with resources of their own as a whole:
//! nothing, because what containers request may not exceed what the pod requests, and the API server would refuse a pod
//! whose containers use it up.

use serde_json::{Map, Value, json};

use crate::annotations::{Amount, Share, Tuning};
use crate::pod;
use crate::quantity::Quantity;

const CPU_REQUEST: &str = "25m";
/// In a Guaranteed pod the request is the limit, and with a fortieth of a core a burst of messages would wait.
const GUARANTEED_CPU: &str = "100m";
const MEMORY_REQUEST: &str = "64Mi";
const MEMORY_LIMIT: &str = "256Mi";
const MEMORY_LIMIT_BYTES: u64 = 256 << 20;

/// The resources of the sidecar.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Resources {
    /// As in a container.
    pub(crate) value: Value,
    /// How many bytes the sidecar may hold for its clients: half of its memory, the rest is for the process itself.
    pub(crate) buffered_bytes: u64,
}

/// Decides the resources of a pod's sidecar.
pub(crate) fn resources(pod: &Value, tuning: &Tuning, warnings: &mut Vec<String>) -> Resources {
    let (cpu, memory) = (tuning.cpu.clone(), tuning.memory.clone());
    if has_pod_resources(pod) {
        Resources::of(capped("cpu", cpu, warnings), capped("memory", memory, warnings))
    } else if is_guaranteed(pod) {
        Resources::of(equal("cpu", cpu, GUARANTEED_CPU, warnings), equal("memory", memory, MEMORY_LIMIT, warnings))
    } else {
        let default = |request: &str, limit: Option<&str>| Share {
            request: Amount::parse(request),
            limit: limit.and_then(Amount::parse),
        };
        Resources::of(
            filled("cpu", cpu, default(CPU_REQUEST, None), warnings),
            filled("memory", memory, default(MEMORY_REQUEST, Some(MEMORY_LIMIT)), warnings),
        )
    }
}

impl Resources {
    fn of(cpu: Share, memory: Share) -> Self {
        let limit = memory.limit.as_ref().map_or(MEMORY_LIMIT_BYTES, |limit| limit.quantity.whole());
        let mut value = Map::new();
        for (kind, cpu, memory) in [("requests", cpu.request, memory.request), ("limits", cpu.limit, memory.limit)] {
            let amounts: Map<String, Value> = [("cpu", cpu), ("memory", memory)]
                .into_iter()
                .filter_map(|(name, amount)| Some((name.to_owned(), json!(amount?.text))))
                .collect();
            if !amounts.is_empty() {
                value.insert(kind.to_owned(), Value::Object(amounts));
            }
        }
        Self { value: Value::Object(value), buffered_bytes: limit / 2 }
    }
}

/// Fills in defaults. One that does not go with what the user set gives way to it.
fn filled(name: &str, wanted: Share, default: Share, warnings: &mut Vec<String>) -> Share {
    match wanted {
        Share { request: None, limit: None } => default,
        Share { request: Some(request), limit: None } => {
            let limit =
                default.limit.map(|limit| if request.quantity > limit.quantity { request.clone() } else { limit });
            Share { request: Some(request), limit }
        }
        Share { request: None, limit: Some(limit) } => {
            let lowered = |request: Amount| if request.quantity > limit.quantity { limit.clone() } else { request };
            Share { request: default.request.map(lowered), limit: Some(limit) }
        }
        both => capped(name, both, warnings),
    }
}

/// A request above its limit is lowered to it: the API server refuses such a container.
fn capped(name: &str, wanted: Share, warnings: &mut Vec<String>) -> Share {
    match (&wanted.request, &wanted.limit) {
        (Some(request), Some(limit)) if request.quantity > limit.quantity => {
            warnings.push(format!(
                "annotation moorline.dev/{name}-request: \"{}\": is at most moorline.dev/{name}-limit; using {}",
                request.text, limit.text
            ));
            Share { request: wanted.limit.clone(), limit: wanted.limit }
        }
        _ => wanted,
    }
}

/// Request and limit are one amount.
fn equal(name: &str, wanted: Share, default: &str, warnings: &mut Vec<String>) -> Share {
    if let (Some(request), Some(limit)) = (&wanted.request, &wanted.limit)
        && request.quantity != limit.quantity
    {
        warnings.push(format!(
            "annotation moorline.dev/{name}-request: \"{}\": is equal to moorline.dev/{name}-limit in a pod of class \
             Guaranteed; using {}",
            request.text, limit.text
        ));
    }
    let amount = wanted.limit.or(wanted.request).or_else(|| Amount::parse(default));
    Share { request: amount.clone(), limit: amount }
}

fn has_pod_resources(pod: &Value) -> bool {
    ["requests", "limits"]
        .iter()
        .any(|kind| pod["spec"]["resources"][kind].as_object().is_some_and(|map| !map.is_empty()))
}

/// Whether each container has limits of CPU and memory, and requests equal to them where it has any.
fn is_guaranteed(pod: &Value) -> bool {
    pod::all_containers(pod).all(|(_, container)| {
        ["cpu", "memory"].iter().all(|name| {
            let limit = Quantity::read(&container["resources"]["limits"][name]);
            let request = &container["resources"]["requests"][name];
            limit.is_some_and(|limit| limit > Quantity::units(0))
                && (request.is_null() || Quantity::read(request) == limit)
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decide(spec: &Value, annotations: &Value) -> (Value, u64, Vec<String>) {
        let pod = json!({"metadata": {"annotations": annotations}, "spec": spec});
        let mut warnings = Vec::new();
        let tuning = Tuning::read(&pod, &mut warnings);
        let resources = resources(&pod, &tuning, &mut warnings);
        (resources.value, resources.buffered_bytes, warnings)
    }

    fn ordinary() -> Value {
        json!({"containers": [{"name": "app"}]})
    }

    fn guaranteed() -> Value {
        json!({"containers": [{"name": "app", "resources": {
            "limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "1000m", "memory": "1024Mi"}}}]})
    }

    #[test]
    fn an_ordinary_pod_gets_requests_and_a_limit_on_memory() {
        let (value, bytes, warnings) = decide(&ordinary(), &json!({}));
        assert_eq!(value, json!({"requests": {"cpu": "25m", "memory": "64Mi"}, "limits": {"memory": "256Mi"}}));
        assert_eq!((bytes, warnings.len()), (128 << 20, 0));
    }

    #[test]
    fn a_default_gives_way_to_what_the_user_set() {
        let (value, ..) =
            decide(&ordinary(), &json!({"moorline.dev/memory-request": "1Gi", "moorline.dev/cpu-limit": "10m"}));
        let expected = json!({"requests": {"cpu": "10m", "memory": "1Gi"}, "limits": {"cpu": "10m", "memory": "1Gi"}});
        assert_eq!(value, expected);
    }

    #[test]
    fn a_request_above_its_limit_is_lowered_with_a_warning() {
        let annotations = json!({"moorline.dev/memory-request": "1Gi", "moorline.dev/memory-limit": "512Mi"});
        let (value, bytes, warnings) = decide(&ordinary(), &annotations);
        assert_eq!(value["requests"]["memory"], "512Mi");
        assert_eq!(bytes, 256 << 20);
        assert_eq!(
            warnings,
            ["annotation moorline.dev/memory-request: \"1Gi\": is at most moorline.dev/memory-limit; using 512Mi"]
        );
    }

    #[test]
    fn a_guaranteed_pod_stays_guaranteed() {
        let (value, ..) = decide(&guaranteed(), &json!({}));
        let amounts = json!({"cpu": "100m", "memory": "256Mi"});
        assert_eq!(value, json!({"requests": amounts, "limits": amounts}));
        let annotations = json!({"moorline.dev/cpu-request": "50m", "moorline.dev/cpu-limit": "200m"});
        let (value, _, warnings) = decide(&guaranteed(), &annotations);
        assert_eq!((&value["requests"]["cpu"], &value["limits"]["cpu"]), (&json!("200m"), &json!("200m")));
        assert_eq!(warnings.len(), 1);
    }

    #[test]
    fn a_pod_with_an_init_container_without_limits_is_not_guaranteed() {
        let mut spec = guaranteed();
        spec["initContainers"] = json!([{"name": "setup"}]);
        let (value, ..) = decide(&spec, &json!({}));
        assert_eq!(value["limits"], json!({"memory": "256Mi"}));
    }

    #[test]
    fn a_pod_with_resources_as_a_whole_shares_them_with_the_sidecar() {
        let mut spec = ordinary();
        spec["resources"] = json!({"requests": {"cpu": "100m"}});
        assert_eq!(decide(&spec, &json!({})).0, json!({}));
        let (value, ..) = decide(&spec, &json!({"moorline.dev/cpu-request": "10m"}));
        assert_eq!(value, json!({"requests": {"cpu": "10m"}}));
    }
}
