//! Tests and benchmarks of the built binary with real clients, services and peers.
