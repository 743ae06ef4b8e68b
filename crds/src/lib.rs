//! The `WebSocketRoute` resource, its expression language, and the compiler from routes to a sidecar document.
