#![allow(clippy::unwrap_used)] // tests fail by panicking
