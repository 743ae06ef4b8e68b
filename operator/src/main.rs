//! The `moorline-operator` binary.

fn main() {}
