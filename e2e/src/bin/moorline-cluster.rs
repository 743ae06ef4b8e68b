//! `moorline-cluster`: a real Kubernetes in the foreground, for `make e2e` and for developers.
//!
//! Thin: the work is in `moorline_e2e::cluster`. The hidden commands `init` and `supervise` are how a cluster gets its
//! process 1 and its supervisor from the one program that is certainly there.

use std::env;
use std::os::unix::process::ExitStatusExt as _;
use std::path::PathBuf;
use std::process::{Command, ExitCode, ExitStatus};
use std::thread::JoinHandle;

use anyhow::{Context as _, Result, bail};
use clap::{Args, Parser, Subcommand};
use moorline_e2e::cluster::{self, Action, Cluster, Config, Control, Inside, Layout};
use tokio::signal::unix::{SignalKind, signal};

/// Starts a Kubernetes of its own on this machine. Root is needed.
#[derive(Parser)]
#[command(name = "moorline-cluster")]
struct Cli {
    #[command(subcommand)]
    command: Subcommands,
}

#[derive(Subcommand)]
enum Subcommands {
    /// Start a cluster and stay until ctrl-c
    Up {
        #[command(flatten)]
        start: Start,
        /// End also when the standard input ends
        #[arg(long)]
        stdin: bool,
    },
    /// Start a cluster, run a command inside, end the cluster. With KUBECONFIG set: only run the command
    Run {
        #[command(flatten)]
        start: Start,
        #[arg(trailing_var_arg = true, required = true)]
        command: Vec<String>,
    },
    /// Run a command inside a running cluster
    Exec {
        #[command(flatten)]
        which: Which,
        #[arg(trailing_var_arg = true, required = true)]
        command: Vec<String>,
    },
    /// Load images from archives into a running cluster
    Load {
        #[command(flatten)]
        which: Which,
        #[arg(required = true)]
        archives: Vec<PathBuf>,
    },
    /// Look at, stop and start the components of a running cluster
    Ctl {
        #[command(flatten)]
        which: Which,
        /// status, stop, kill, start, pause or resume
        action: String,
        /// Such as kube-apiserver; not for status
        component: Option<String>,
    },
    /// Process 1 of a cluster
    #[command(hide = true)]
    Init {
        #[command(flatten)]
        inner: Inner,
    },
    /// The parent of the components
    #[command(hide = true)]
    Supervise {
        #[command(flatten)]
        inner: Inner,
    },
}

#[derive(Args)]
struct Start {
    /// An archive with an image to load; may be repeated
    #[arg(long, value_name = "FILE")]
    image: Vec<PathBuf>,
    /// Leave the logs when the cluster ends
    #[arg(long, env = "MOORLINE_E2E_KEEP", value_parser = clap::builder::FalseyValueParser::new())]
    keep: bool,
}

#[derive(Args)]
struct Which {
    /// The folder of the cluster; the only one that runs, if left out
    #[arg(long, env = "MOORLINE_E2E_STATE")]
    state: Option<PathBuf>,
}

#[derive(Args)]
struct Inner {
    #[arg(long)]
    state: PathBuf,
    #[arg(long)]
    image: Vec<PathBuf>,
}

fn main() -> ExitCode {
    // Not returned: that would print a stack where the environment asks for one, and the chain says more.
    dispatch(Cli::parse().command).unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        ExitCode::FAILURE
    })
}

fn dispatch(command: Subcommands) -> Result<ExitCode> {
    match command {
        Subcommands::Up { start, stdin } => up(start, stdin),
        Subcommands::Run { start, command } => run(start, &command),
        Subcommands::Exec { which, command } => exec(&which.inside()?, &command),
        Subcommands::Load { which, archives } => load(&which.inside()?, &archives),
        Subcommands::Ctl { which, action, component } => control(&which, &action, component.as_deref()),
        Subcommands::Init { inner } => init(&inner),
        Subcommands::Supervise { inner } => {
            // It has told its reason to whoever started the cluster, who prints it.
            let outcome = cluster::supervise(&Layout::new(inner.state), &inner.image);
            Ok(if outcome.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
        }
    }
}

fn start(start: Start) -> Result<Cluster> {
    let began = std::time::Instant::now();
    let config = Config { images: start.image, keep: start.keep, program: Some(env::current_exe()?) };
    let cluster = Cluster::start(&config, |line| eprintln!("==> cluster: {line}"))?;
    eprintln!(
        "==> cluster: ready after {:.1} s, in {}",
        began.elapsed().as_secs_f64(),
        cluster.inside().layout().root().display()
    );
    Ok(cluster)
}

fn up(options: Start, stdin: bool) -> Result<ExitCode> {
    let mut cluster = start(options)?;
    let end = cluster.end();
    let state = cluster.inside().layout().root().display();
    let this = env::current_exe()?;
    let this = this.display();
    println!("In another terminal:");
    println!("  {this} exec -- kubectl get nodes      any command, with KUBECONFIG set");
    println!("  {this} exec -- bash                   a shell inside");
    println!("  {this} load image.tar                 an image made by buildah");
    println!("  {this} ctl status                     also stop, kill, start, pause and resume COMPONENT");
    println!("  less {state}/logs/kubelet.log");
    println!("ready {state}");
    let ended = wait_for_the_end(stdin, end)?;
    eprintln!("==> cluster: ending");
    drop(cluster);
    if ended {
        bail!("the cluster ended by itself");
    }
    Ok(ExitCode::SUCCESS)
}

/// Says whether it was the cluster that ended.
fn wait_for_the_end(stdin: bool, end: Option<JoinHandle<()>>) -> Result<bool> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let ended = runtime.block_on(async {
        let mut terminate = signal(SignalKind::terminate())?;
        let ended = tokio::task::spawn_blocking(move || end.map(JoinHandle::join));
        let closed = async {
            if stdin {
                let (mut input, mut nowhere) = (tokio::io::stdin(), tokio::io::sink());
                tokio::io::copy(&mut input, &mut nowhere).await.map(drop)
            } else {
                std::future::pending().await
            }
        };
        tokio::select! {
            outcome = tokio::signal::ctrl_c() => outcome.map(|()| false),
            _ = terminate.recv() => Ok(false),
            outcome = closed => outcome.map(|()| false),
            _ = ended => Ok(true),
        }
    })?;
    // Threads that wait for the terminal or the cluster: nobody waits for them.
    runtime.shutdown_background();
    Ok(ended)
}

fn run(options: Start, command: &[String]) -> Result<ExitCode> {
    let (program, arguments) = command.split_first().context("no command")?;
    if env::var_os("KUBECONFIG").is_some_and(|path| !path.is_empty()) {
        let mut command = Command::new(program);
        return finish(command.args(arguments).env("MOORLINE_E2E_CLUSTER", "external"));
    }
    let cluster = start(options)?;
    finish(cluster.command(program).args(arguments))
}

fn exec(inside: &Inside, command: &[String]) -> Result<ExitCode> {
    let (program, arguments) = command.split_first().context("no command")?;
    finish(inside.command(program).args(arguments))
}

/// Waits for a command. Ctrl-c reaches it directly, and what it does then decides; a request to end is handed on.
fn finish(command: &mut Command) -> Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let status = runtime.block_on(async {
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        let command = std::mem::replace(command, Command::new("true"));
        let mut child = tokio::process::Command::from(command).kill_on_drop(true).spawn()?;
        loop {
            tokio::select! {
                status = child.wait() => return status,
                _ = interrupt.recv() => {}
                _ = terminate.recv() => child.start_kill()?,
            }
        }
    });
    Ok(exit_code(status.context("run the command")?))
}

/// As a shell has it: 128 and the signal for a command that was killed.
fn exit_code(status: ExitStatus) -> ExitCode {
    let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal));
    code.and_then(|code| u8::try_from(code).ok()).map_or(ExitCode::FAILURE, ExitCode::from)
}

fn load(inside: &Inside, archives: &[PathBuf]) -> Result<ExitCode> {
    for archive in archives {
        cluster::images::load(inside, archive)?;
        println!("loaded {}", archive.display());
    }
    Ok(ExitCode::SUCCESS)
}

fn control(which: &Which, action: &str, component: Option<&str>) -> Result<ExitCode> {
    let control = Control::new(which.layout()?);
    match (action, component) {
        ("status", None) => print!("{}", control.status()?),
        (action, Some(component)) => {
            let action: Action = action.parse().map_err(anyhow::Error::msg)?;
            control.change(action, component)?;
        }
        (_, None) => bail!("which component?"),
    }
    Ok(ExitCode::SUCCESS)
}

fn init(inner: &Inner) -> Result<ExitCode> {
    let mut supervisor = Command::new(env::current_exe()?);
    supervisor.arg("supervise").arg("--state").arg(&inner.state);
    for image in &inner.image {
        supervisor.arg("--image").arg(image);
    }
    Ok(cluster::init(&Layout::new(&inner.state), &mut supervisor)?)
}

impl Which {
    fn layout(&self) -> Result<Layout> {
        if let Some(state) = &self.state {
            return Ok(Layout::new(state));
        }
        let mut running = cluster::running_clusters();
        match (running.pop(), running.len()) {
            (Some(only), 0) => Ok(only),
            (None, _) => bail!("no cluster runs here: start one with `make cluster`"),
            (Some(_), others) => bail!("{} clusters run here: name one with --state", others + 1),
        }
    }

    fn inside(&self) -> Result<Inside> {
        Ok(Inside::of(self.layout()?)?)
    }
}
