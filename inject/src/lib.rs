//! What becomes of a pod that gets the sidecar.
//!
//! Pure: a manifest goes in, a JSON patch or the reason against one comes out. The webhook and `moorline inject` share
//! it, so that a pod made by a pipeline and one made in the cluster are the same. It works on the raw JSON and not on a
//! typed pod, because a type drops the fields it is too old to know, and a patch computed from it would take them away.
//!
//! Invariants: [`inject`] never fails, whatever it is given; it only adds, and never changes or removes what somebody
//! else wrote, the one exception being a `terminationGracePeriodSeconds` that is too short for a drain; a pod that was
//! injected comes out [`Outcome::Unchanged`].

mod advice;
mod annotations;
mod container;
mod editor;
mod inject;
mod manifest;
mod outcome;
mod pod;
mod ports;
mod presence;
mod quantity;
mod refuse;
mod request;
mod resources;
mod settings;
mod text;
mod volumes;
mod yaml;

pub use advice::annotation_warnings;
pub use inject::inject;
pub use manifest::{FindServices, ManifestRequest, Note, NoteKind, inject_manifest, manifest_patch};
pub use outcome::{Outcome, Skip};
pub use pod::labels;
pub use ports::target_port;
pub use request::{Asked, Request, RoutedService, selects};
pub use settings::{InjectSettings, PullPolicy, UnknownPullPolicy};
pub use text::{TextError, inject_text, read_text};
