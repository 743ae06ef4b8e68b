//! `make bench`: measures Moorline against calling the app directly. Also the parts, each as a process.

use std::net::SocketAddr;

use anyhow::Result;
use clap::{Parser, Subcommand};
use moorline_e2e::bench::{app, hold, load, report};

/// Measures Moorline against calling the app directly, and prints one figure a line.
#[derive(Debug, Parser)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
struct Cli {
    #[command(subcommand)]
    part: Option<Part>,
    #[command(flatten)]
    options: Option<report::Options>,
}

#[derive(Debug, Subcommand)]
enum Part {
    /// The app that is called
    App,
    /// The closed loop that calls it
    Load(load::Load),
    /// Connections that do nothing
    Hold {
        #[arg(long)]
        address: SocketAddr,
        #[arg(long)]
        connections: usize,
    },
}

fn main() -> Result<()> {
    let cli = Cli::parse();
    // One thread each: a part has one core.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    match (cli.part, cli.options) {
        (Some(Part::App), _) => runtime.block_on(app::serve()),
        (Some(Part::Load(load)), _) => runtime.block_on(load::run(load)),
        (Some(Part::Hold { address, connections }), _) => runtime.block_on(hold::run(address, connections)),
        (None, Some(options)) => report::run(options),
        (None, None) => anyhow::bail!("--moorline PATH names the program to measure"),
    }
}
