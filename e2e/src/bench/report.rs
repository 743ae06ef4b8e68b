//! Runs the parts, each pinned to a core, and prints one figure a line.
//!
//! Medians of several runs, direct and through Moorline in turn, so that a machine that becomes slower
//! half way is seen by both.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use super::load::Protocol;
use crate::process::Process;

/// What is measured.
#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// The `moorline` to measure: a release build.
    #[arg(long)]
    pub moorline: PathBuf,
    /// Runs of each figure.
    #[arg(long, default_value_t = 5)]
    pub runs: usize,
    /// Seconds of each run.
    #[arg(long, default_value_t = 3)]
    pub seconds: u64,
    /// Connections held for the memory figure.
    #[arg(long, default_value_t = 9000)]
    pub idle: u32,
}

/// One route without a `$connect` call, whose connections are in a group each: what an idle connection has.
const ROUTE: &str = "apiVersion: moorline.dev/v1alpha1
kind: WebSocketRoute
metadata: {name: bench}
spec:
  serviceRef: {name: app, port: 3000}
  path: /ws
  routes:
  - {key: $connect, join: [everyone]}
  - {key: $default, request: {method: POST, path: /messages}}
";

struct Bench {
    options: Options,
    own: PathBuf,
    manifest: PathBuf,
}

/// Measures everything.
pub fn run(options: Options) -> Result<()> {
    let folder = std::env::temp_dir().join(format!("moorline-bench-{}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    let manifest = folder.join("route.yaml");
    std::fs::write(&manifest, ROUTE)?;
    let bench = Bench { options, own: std::env::current_exe()?, manifest };
    let result = bench.memory().and_then(|()| bench.throughput()).and_then(|()| bench.latency());
    std::fs::remove_dir_all(&folder)?;
    result
}

impl Bench {
    fn memory(&self) -> Result<()> {
        let (_app, app) = self.app("1")?;
        let (moorline, address) = self.moorline("0", app)?;
        // What the first connections cost once is not what each costs.
        self.load("1", Protocol::Ws, address, 8)?;
        let before = resident_kib(moorline.id())?;
        let mut holder = Process::start(
            "hold",
            pinned("1", &self.own)
                .args(["hold", "--address", &address.to_string()])
                .args(["--connections", &self.options.idle.to_string()]),
        )?;
        holder.wait_for("held", |line| (line == "held").then_some(()))?;
        let after = resident_kib(moorline.id())?;
        let each = (after - before) / f64::from(self.options.idle);
        println!(
            "rss_per_idle_connection_kib {each:.2}  (goal <= 4; {} connections, {:.1} MiB before, {:.1} MiB after)",
            self.options.idle,
            before / 1024.0,
            after / 1024.0
        );
        Ok(())
    }

    /// 64 connections: Moorline has a core, client and app share the other. Direct: client and app share one core.
    fn throughput(&self) -> Result<()> {
        let (direct, through) = self.compare("1", "0", 64, |result| result.per_second)?;
        println!(
            "throughput_64_connections_ratio {:.2}  (goal >= 0.75; {through:.0} against {direct:.0} messages a second)",
            through / direct
        );
        Ok(())
    }

    /// 1 connection, everything on one core: what a message costs, without the wake-ups of idle cores.
    fn latency(&self) -> Result<()> {
        let (direct, through) = self.compare("0", "0", 1, |result| result.p50_micros)?;
        println!(
            "p50_1_connection_ratio {:.2}  (goal <= 2.4; {through:.1} against {direct:.1} microseconds)",
            through / direct
        );
        Ok(())
    }

    /// Medians of direct calls and of messages through Moorline.
    fn compare(
        &self,
        others: &str,
        moorline: &str,
        connections: usize,
        figure: impl Fn(&LoadResult) -> f64,
    ) -> Result<(f64, f64)> {
        let (_app, app) = self.app(others)?;
        let (_moorline, address) = self.moorline(moorline, app)?;
        let (mut direct, mut through) = (Vec::new(), Vec::new());
        for _ in 0..self.options.runs {
            direct.push(figure(&self.load(others, Protocol::Http, app, connections)?));
            through.push(figure(&self.load(others, Protocol::Ws, address, connections)?));
        }
        Ok((median(&mut direct), median(&mut through)))
    }

    fn app(&self, core: &str) -> Result<(Process, SocketAddr)> {
        let mut process = Process::start("app", pinned(core, &self.own).arg("app"))?;
        let address = process.wait_for("listening", |line| line.strip_prefix("listening ")?.parse().ok())?;
        Ok((process, address))
    }

    fn moorline(&self, core: &str, app: SocketAddr) -> Result<(Process, SocketAddr)> {
        let mut command = pinned(core, &self.options.moorline);
        command.args(["dev", "--quiet", "--upstream", &format!("http://{app}"), "-f"]).arg(&self.manifest);
        for listener in ["--listen", "--callback", "--admin"] {
            command.args([listener, "127.0.0.1:0"]);
        }
        let mut process = Process::start("moorline", &mut command)?;
        let address = process.wait_for("ready", |line| {
            let url = line.strip_prefix("ready ws://")?;
            url.split('/').next()?.parse().ok()
        })?;
        Ok((process, address))
    }

    fn load(&self, core: &str, protocol: Protocol, address: SocketAddr, connections: usize) -> Result<LoadResult> {
        let protocol = match protocol {
            Protocol::Http => "http",
            Protocol::Ws => "ws",
        };
        let mut command = pinned(core, &self.own);
        command.args(["load", "--protocol", protocol, "--address", &address.to_string()]);
        command.args(["--connections", &connections.to_string(), "--seconds", &self.options.seconds.to_string()]);
        let mut process = Process::start("load", &mut command)?;
        let result = process.wait_for("result", LoadResult::parse)?;
        process.finish()?;
        Ok(result)
    }
}

struct LoadResult {
    per_second: f64,
    p50_micros: f64,
}

impl LoadResult {
    fn parse(line: &str) -> Option<Self> {
        let mut figures = line.strip_prefix("result ")?.split(' ').map(str::parse);
        Some(Self { per_second: figures.next()?.ok()?, p50_micros: figures.next()?.ok()? })
    }
}

fn pinned(core: &str, program: &Path) -> Command {
    let mut command = Command::new("taskset");
    command.args(["-c", core]).arg(program);
    command
}

fn median(figures: &mut [f64]) -> f64 {
    figures.sort_unstable_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied().unwrap_or_default()
}

/// `taskset` replaces itself, so the id is that of the program.
fn resident_kib(process: u32) -> Result<f64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("VmRSS in the status")?;
    match line.split_whitespace().next().map(str::parse) {
        Some(Ok(kib)) => Ok(kib),
        _ => bail!("not a size: {line}"),
    }
}
