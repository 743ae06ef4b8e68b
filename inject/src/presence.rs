//! Whether a pod carries the sidecar already, and who put it there.
//!
//! The label alone says nothing, people copy labels; the container alone does not tell an injected one from one that was
//! written by hand, whose ports and volumes may be anything. Only both together, with the parts that injection gives,
//! are ours to complete.

use moorline_crds::names::{CONFIG_VOLUME, CONTAINER, INJECTED, INJECTED_LABEL};
use serde_json::Value;

use crate::pod;
use crate::settings::{DEFAULT_REPOSITORY, InjectSettings, repository};

/// What there is of a sidecar.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Presence {
    /// Nothing.
    Absent,
    /// All that injection gives.
    Injected,
    /// What injection gave, and then somebody changed.
    Altered,
    /// Something that injection did not make; how a message calls the container.
    ByHand(String),
}

/// Looks for the sidecar.
pub(crate) fn presence(pod: &Value, settings: &InjectSettings) -> Presence {
    let Some((field, container)) = pod::all_containers(pod).find(|(_, container)| is_sidecar(container, settings))
    else {
        return Presence::Absent;
    };
    if pod::label(pod, INJECTED_LABEL) != Some(INJECTED) || pod::name(container) != CONTAINER {
        return Presence::ByHand(pod::describe(field, container));
    }
    let mounts = container["volumeMounts"].as_array().into_iter().flatten();
    let is_whole = field == "initContainers"
        && pod::is_sidecar(container)
        && mounts.into_iter().any(|mount| pod::name(mount) == CONFIG_VOLUME)
        && pod::list(pod, "volumes").iter().any(|volume| pod::name(volume) == CONFIG_VOLUME && is_projected(volume));
    if is_whole { Presence::Injected } else { Presence::Altered }
}

fn is_projected(volume: &Value) -> bool {
    // The API server makes `null` of an empty list of sources.
    volume["projected"].is_object()
        && (volume["projected"]["sources"].is_null() || volume["projected"]["sources"].is_array())
}

fn is_sidecar(container: &Value, settings: &InjectSettings) -> bool {
    let image = repository(container["image"].as_str().unwrap_or_default());
    pod::name(container) == CONTAINER || image == DEFAULT_REPOSITORY || image == repository(&settings.image)
}
