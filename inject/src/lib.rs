//! What becomes of a pod that gets the sidecar.
//!
//! Pure: a manifest goes in, a JSON patch or the reason against one comes out. The webhook and `moorline inject` share
//! it, so that a pod made by a pipeline and one made in the cluster are the same.
