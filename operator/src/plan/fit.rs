//! Which changes still fit into the document.
//!
//! All of them, nearly always. When they do not, every changed route goes back to its stored entry (which fits, because
//! it is stored) and the changes are let in again, the oldest route's first, in halves: a change that is too large by
//! itself is found in a few tries, and the changes beside it go through. What was refused before stays refused without a
//! try while nothing else changed, or a Service at its limit would be compressed again with each event of its pods.

use std::cell::Cell;
use std::collections::BTreeSet;

use moorline_crds::bundle::{self, Packed};
use moorline_crds::codec;
use moorline_crds::document::{Document, FORMAT_VERSION, RouteId, ServiceId};
use moorline_crds::names;

use super::candidate::Candidate;
use super::place::{Held, Placed, place};
use crate::reasons::accepted;
use crate::view::{ChildRef, LiveDocument};

/// Tries per plan. Each packs a document of some megabytes; what is left over is refused until the next change.
const TRIES: usize = 48;

/// The document that should be stored.
#[derive(Debug)]
pub(super) struct Fitted<'c, 'v> {
    pub(super) placed: Vec<Placed<'c, 'v>>,
    pub(super) document: Document,
    pub(super) hash: String,
    /// Packed, unless it is what is stored already.
    pub(super) packed: Option<Packed>,
}

impl Fitted<'_, '_> {
    /// Whether there is nothing to write: it is what is stored, or nothing where nothing is.
    fn is_stored(&self, live: Option<&LiveDocument>) -> bool {
        self.packed.is_none() || (live.is_none() && self.document.routes.is_empty())
    }
}

/// Places the routes so that the packed document has no more than `max_bytes`.
pub(super) fn fit<'c, 'v>(
    candidates: &'c [Candidate<'v>],
    service: &ServiceId,
    live: Option<&LiveDocument>,
    taken: Option<&ChildRef>,
    max_bytes: usize,
) -> Option<Fitted<'c, 'v>> {
    let search = Search { candidates, service, live, taken, max_bytes, tries: Cell::new(0) };
    let refused = refused_before(candidates, service);
    if !refused.is_empty()
        && let Some(same) = search.attempt(&refused).filter(|fitted| fitted.is_stored(live))
    {
        return Some(same);
    }
    if let Some(all) = search.attempt(&BTreeSet::new()) {
        return Some(all);
    }
    let changed: Vec<RouteId> = place(candidates, service, &search.held(&BTreeSet::new()))
        .into_iter()
        .filter(|placed| placed.is_newest && placed.entry != placed.candidate.last)
        .map(|placed| placed.candidate.id.clone())
        .collect();
    let mut held: BTreeSet<RouteId> = changed.iter().cloned().collect();
    search.let_in(&changed, &mut held);
    search.attempt(&held)
}

#[derive(Debug)]
struct Search<'c, 'v, 's> {
    candidates: &'c [Candidate<'v>],
    service: &'s ServiceId,
    live: Option<&'s LiveDocument>,
    taken: Option<&'s ChildRef>,
    max_bytes: usize,
    tries: Cell<usize>,
}

impl<'c, 'v> Search<'c, 'v, '_> {
    fn held(&self, too_large: &BTreeSet<RouteId>) -> Held {
        Held { taken: self.taken.cloned(), too_large: too_large.clone() }
    }

    /// The document with these routes held back, when it fits.
    fn attempt(&self, too_large: &BTreeSet<RouteId>) -> Option<Fitted<'c, 'v>> {
        let placed = place(self.candidates, self.service, &self.held(too_large));
        let mut routes: Vec<_> = placed.iter().filter_map(|placed| placed.entry.cloned()).collect();
        routes.sort_by(|a, b| a.id.cmp(&b.id));
        let document = Document { format_version: FORMAT_VERSION, service: self.service.clone(), routes };
        let json = codec::encode(&document);
        // `Document::hash` without serialising again.
        let hash = format!("sha256:{}", names::hex(json.as_bytes()));
        if self.live.is_some_and(|live| live.document.is_some() && live.hash == hash) {
            return Some(Fitted { placed, document, hash, packed: None });
        }
        self.tries.set(self.tries.get() + 1);
        let packed = bundle::pack(json).ok().filter(|packed| size(packed) <= self.max_bytes)?;
        Some(Fitted { placed, document, hash, packed: Some(packed) })
    }

    /// Takes out of `held` what fits of `changed`, the first ones first.
    fn let_in(&self, changed: &[RouteId], held: &mut BTreeSet<RouteId>) {
        if changed.is_empty() || self.tries.get() >= TRIES {
            return;
        }
        let tried: BTreeSet<RouteId> = held.iter().filter(|id| !changed.contains(id)).cloned().collect();
        if self.attempt(&tried).is_some() {
            *held = tried;
        } else if changed.len() > 1 {
            let (older, younger) = changed.split_at(changed.len() / 2);
            self.let_in(older, held);
            self.let_in(younger, held);
        }
    }
}

fn size(packed: &Packed) -> usize {
    match packed {
        Packed::Plain(json) => json.len(),
        Packed::Compressed(bytes) => bytes.len(),
    }
}

/// Routes whose status says that this very generation was too large.
fn refused_before(candidates: &[Candidate<'_>], service: &ServiceId) -> BTreeSet<RouteId> {
    let was_refused = |candidate: &&Candidate<'_>| {
        let conditions = candidate.manifest.status.iter().flat_map(|status| &status.conditions);
        conditions.into_iter().any(|condition| {
            condition.type_ == super::conditions::ACCEPTED
                && condition.reason == accepted::DOCUMENT_TOO_LARGE
                && condition.observed_generation == candidate.manifest.metadata.generation
        })
    };
    candidates
        .iter()
        .filter(|candidate| candidate.is_of(service))
        .filter(was_refused)
        .map(|candidate| candidate.id.clone())
        .collect()
}
