//! The Moorline data plane: holds WebSocket connections and turns their messages into HTTP calls.
