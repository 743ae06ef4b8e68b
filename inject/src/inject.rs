//! From a pod to its patch.
//!
//! Each step makes sure of one thing and adds what is missing for it. So a second look at a pod finds nothing to do,
//! and one at a pod that changed in between (another webhook added a container, a Service got a route after `moorline
//! inject`) completes it. The sidecar itself is never touched again: it may be of another version, on purpose.

use std::collections::BTreeSet;

use moorline_crds::names::{CONFIG_VOLUME, INJECTED, INJECTED_LABEL, SERVICES_ANNOTATION, SIDECAR_VERSION_ANNOTATION};
use serde_json::{Value, json};

use crate::annotations::Tuning;
use crate::container;
use crate::editor::{EditError, Editor};
use crate::outcome::{Outcome, Skip};
use crate::pod;
use crate::ports;
use crate::presence::{Presence, presence};
use crate::refuse::refusal;
use crate::request::Request;
use crate::resources::resources;
use crate::settings::InjectSettings;
use crate::volumes;

/// Beyond the drain: for the app to end after it, and the sidecar after the app.
const END_SECONDS: u64 = 10;
/// What Kubernetes gives a pod that does not say.
const DEFAULT_GRACE_SECONDS: u64 = 30;

/// Decides what becomes of a pod.
pub fn inject(pod: &Value, request: &Request, settings: &InjectSettings) -> Outcome {
    let mut warnings = Vec::new();
    let tuning = Tuning::read(pod, &mut warnings);
    let presence = presence(pod, settings);
    if let Some((reason, message)) = refusal(pod, request, &presence) {
        return Outcome::Skipped { reason, message, warnings };
    }
    warnings.extend(ports::unknown_targets(pod, request));
    match edit(pod, request, settings, &tuning, &presence, &mut warnings) {
        Ok(editor) => {
            let patch = editor.finish();
            if patch.0.is_empty() { Outcome::Unchanged } else { Outcome::Injected { patch, warnings } }
        }
        Err(error) => Outcome::Skipped { reason: Skip::Malformed, message: error.to_string(), warnings },
    }
}

fn edit(
    pod: &Value,
    request: &Request,
    settings: &InjectSettings,
    tuning: &Tuning,
    presence: &Presence,
    warnings: &mut Vec<String>,
) -> Result<Editor, EditError> {
    let mut editor = Editor::new(pod);
    if *presence == Presence::Absent {
        add_sidecar(&mut editor, tuning, settings, warnings)?;
    }
    mount_services(&mut editor, request)?;
    keep_app_alive(&mut editor, tuning)?;
    give_time(&mut editor, tuning)?;
    Ok(editor)
}

fn add_sidecar(
    editor: &mut Editor,
    tuning: &Tuning,
    settings: &InjectSettings,
    warnings: &mut Vec<String>,
) -> Result<(), EditError> {
    let resources = resources(editor.document(), tuning, warnings);
    let container = container::sidecar(editor.document(), tuning, &resources, settings);
    editor.set(&["metadata", "labels", INJECTED_LABEL], json!(INJECTED))?;
    editor.set(&["metadata", "annotations", SIDECAR_VERSION_ANNOTATION], json!(settings.version))?;
    editor.push(&["spec", "volumes"], volumes::config())?;
    if !tuning.wants_token {
        editor.push(&["spec", "volumes"], volumes::no_token())?;
    }
    // First, so that it is there for init containers too, and stops last.
    editor.insert_first(&["spec", "initContainers"], container)?;
    for secret in &settings.pull_secrets {
        let is_there = pod::list(editor.document(), "imagePullSecrets").iter().any(|known| pod::name(known) == secret);
        if !is_there {
            editor.push(&["spec", "imagePullSecrets"], json!({"name": secret}))?;
        }
    }
    Ok(())
}

/// Names the documents of all Services in the volume. Those of an earlier injection stay, routes or not: the source is
/// optional, and taking it away would change a pod that works.
fn mount_services(editor: &mut Editor, request: &Request) -> Result<(), EditError> {
    let services: BTreeSet<&str> = request.services.iter().map(|service| service.name.as_str()).collect();
    let at = pod::list(editor.document(), "volumes").iter().position(|volume| pod::name(volume) == CONFIG_VOLUME);
    let Some(at) = at else { return Ok(()) };
    let index = at.to_string();
    for service in &services {
        for source in volumes::sources(service) {
            let is_there = volumes::has_source(&pod::list(editor.document(), "volumes")[at], &source);
            if !is_there {
                editor.push(&["spec", "volumes", &index, "projected", "sources"], source)?;
            }
        }
    }
    let noted =
        editor.document()["metadata"]["annotations"][SERVICES_ANNOTATION].as_str().unwrap_or_default().to_owned();
    let known = noted.split(',').filter(|service| !service.is_empty());
    let all: Vec<&str> = known.chain(services).collect::<BTreeSet<&str>>().into_iter().collect();
    editor.set(&["metadata", "annotations", SERVICES_ANNOTATION], json!(all.join(",")))
}

/// Gives containers of the app a hook, since they are told to stop at once and the sidecar still makes calls. A hook of
/// their own stays; it is there for a reason that is not ours to know.
fn keep_app_alive(editor: &mut Editor, tuning: &Tuning) -> Result<(), EditError> {
    let Some(hook) = container::app_pre_stop(tuning) else { return Ok(()) };
    for at in 0..pod::list(editor.document(), "containers").len() {
        if pod::list(editor.document(), "containers")[at]["lifecycle"]["preStop"].is_null() {
            editor.set(&["spec", "containers", &at.to_string(), "lifecycle", "preStop"], hook.clone())?;
        }
    }
    Ok(())
}

fn give_time(editor: &mut Editor, tuning: &Tuning) -> Result<(), EditError> {
    let wanted = tuning.drain_seconds() + END_SECONDS;
    let seconds = &editor.document()["spec"]["terminationGracePeriodSeconds"];
    let found = if seconds.is_null() { Some(DEFAULT_GRACE_SECONDS) } else { seconds.as_u64() };
    if found.is_some_and(|found| found < wanted) {
        editor.set(&["spec", "terminationGracePeriodSeconds"], json!(wanted))?;
    }
    Ok(())
}
