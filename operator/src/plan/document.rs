//! What becomes of the ConfigMap with the document.
//!
//! A document without routes is written, not deleted: sidecars keep the last good document when a file goes missing,
//! which may be a mistake, so the end has to be said. Once every sidecar has read it, the ConfigMap goes.

use moorline_crds::bundle::{self, Packed};
use moorline_crds::codec;
use moorline_crds::names::{self, Child};
use serde_json::{Value, json};

use super::children::{self, Family, Freshness};
use super::fit::Fitted;
use super::wait::Clock;
use super::{DocumentPlan, DocumentWrite};
use crate::view::{ChildFacts, ChildKind, ChildRef, PodFacts, ServiceView};

/// The ConfigMap of a Service.
pub(super) fn child(service: &str) -> ChildRef {
    ChildRef { kind: ChildKind::ConfigMap, name: Child::Document.name(service) }
}

/// Whether the document that should be stored is stored.
pub(super) fn is_stored(view: &ServiceView, fitted: &Fitted<'_, '_>) -> bool {
    view.live.as_ref().is_some_and(|live| live.document.is_some() && live.hash == fitted.hash)
}

/// What becomes of it.
pub(super) fn plan(view: &ServiceView, fitted: &Fitted<'_, '_>, clock: &mut Clock) -> DocumentPlan {
    let child = child(&view.id.name);
    let facts = view.children.get(&child);
    // Without the Service there is nothing to own it, and what is there goes with the Service.
    let Some(family) = Family::of(view).filter(|_| facts != Some(&ChildFacts::Foreign)) else {
        return DocumentPlan::Keep;
    };
    let is_empty = fitted.document.routes.is_empty();
    match &view.live {
        None if is_empty => return DocumentPlan::Keep,
        // What sidecars have is better than nothing, as long as a route may come right.
        Some(live) if is_empty && live.document.is_none() && !view.routes.is_empty() => return DocumentPlan::Keep,
        Some(_) if is_empty && is_stored(view, fitted) => {
            return if is_read_by_all(view, &fitted.hash) { DocumentPlan::Delete(child) } else { DocumentPlan::Keep };
        }
        _ => {}
    }
    let object = metadata(&family, &child, &fitted.hash);
    if is_stored(view, fitted) && children::freshness(&object, facts, clock) == Freshness::Fresh {
        return DocumentPlan::Keep;
    }
    let packed = fitted.packed.clone().or_else(|| bundle::pack(codec::encode(&fitted.document)).ok());
    match packed {
        Some(packed) => {
            let object = with_payload(object, packed);
            DocumentPlan::Write(Box::new(DocumentWrite { child, object, hash: fitted.hash.clone() }))
        }
        None => DocumentPlan::Keep,
    }
}

/// Whether this sidecar mounts the document of the Service.
pub(super) fn has_source(view: &ServiceView, pod: &PodFacts) -> bool {
    pod.services.contains(&view.id.name)
}

/// Whether no sidecar serves anything but this document any more.
fn is_read_by_all(view: &ServiceView, hash: &str) -> bool {
    let mut live = view.pods.iter().filter(|pod| !pod.is_terminating && has_source(view, pod));
    live.all(|pod| {
        let report = pod.report.as_ref().and_then(|reported| reported.report.as_deref());
        let served =
            report.map(|report| super::sidecars::served(report, &view.id).and_then(|service| service.hash.as_deref()));
        // `Some(None)`: it answered, and serves no document of this Service.
        served.is_some_and(|served| served.is_none_or(|served| served == hash))
    })
}

fn metadata(family: &Family<'_>, child: &ChildRef, hash: &str) -> Value {
    let mut object = family.object(child);
    object["metadata"]["annotations"] = json!({ names::HASH_ANNOTATION: hash });
    children::stamp(&mut object);
    object
}

/// The digest is over what stands here without the payload, which has a hash of its own.
fn with_payload(mut object: Value, packed: Packed) -> Value {
    let file = packed.file();
    match packed {
        Packed::Plain(json) => object["data"] = json!({ file: json }),
        Packed::Compressed(bytes) => object["binaryData"] = json!({ file: k8s_openapi::ByteString(bytes) }),
    }
    object
}
