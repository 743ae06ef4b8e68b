//! The command line.

mod args;
mod check;
mod demo;
mod http;
mod outcome;
