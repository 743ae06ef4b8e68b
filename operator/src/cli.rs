//! The command line: flags, their defaults, the environment, and what the commands do.
//!
//! Everything can be set by the environment too, because that is how a container is configured; the chart uses flags,
//! which show in `kubectl describe`.

// The docs here are what --help prints, where backticks would be noise.
#![allow(clippy::doc_markdown)]

mod logging;

use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum};
use moorline_crds::pattern::HostPattern;
use moorline_inject::PullPolicy;

pub use self::logging::LogFormat;

/// How long blocking work of the runtime may hold up the end.
const RUNTIME_END: Duration = Duration::from_millis(200);

/// The control plane of Moorline.
///
/// Turns WebSocketRoutes into documents for the sidecars, gives pods the sidecar, and says in the status of each route
/// how far that is. While it is down, traffic goes on and pods start.
#[derive(Debug, Parser)]
#[command(name = "moorline-operator", version, max_term_width = 100, arg_required_else_help = true)]
#[command(after_help = "Usually the Helm chart runs this:\n  helm install moorline charts/moorline -n moorline-system")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Run(Box<RunArgs>),
    /// Print the CustomResourceDefinition
    ///
    ///   moorline-operator crds | kubectl apply --server-side -f -
    #[command(verbatim_doc_comment)]
    Crds,
    /// Print the version, and the format of documents it writes
    Version,
}

/// Run the operator.
///
/// Every replica answers the webhook and knows the cluster; the one that holds the lease writes. SIGTERM hands the lease
/// over and answers the webhook for a few seconds more; a second SIGTERM exits at once.
#[derive(Debug, Clone, Args)]
pub struct RunArgs {
    /// The namespace of the operator
    #[arg(long, value_name = "NAME", env = "POD_NAMESPACE")]
    pub namespace: String,
    /// The name of its pod, for the lease and the Events
    #[arg(long, value_name = "NAME", env = "POD_NAME")]
    pub pod_name: String,
    /// The namespaces to serve, separated by commas [default: all]
    #[arg(long, value_name = "NAMES", env = "MOORLINE_OPERATOR_WATCH_NAMESPACES", value_delimiter = ',', action = ArgAction::Append)]
    pub watch_namespaces: Vec<String>,
    /// Where the API server reaches the webhook; without IPv6 the same port of 0.0.0.0
    #[arg(long, value_name = "ADDRESS", env = "MOORLINE_OPERATOR_WEBHOOK_LISTEN", default_value = "[::]:9443")]
    pub webhook_listen: SocketAddr,
    /// Health and metrics; without IPv6 the same port of 0.0.0.0
    #[arg(long, value_name = "ADDRESS", env = "MOORLINE_OPERATOR_HTTP_LISTEN", default_value = "[::]:8080")]
    pub http_listen: SocketAddr,
    /// The Service in front of the webhook, which the certificate is for
    #[arg(long, value_name = "NAME", env = "MOORLINE_OPERATOR_WEBHOOK_SERVICE", default_value = "moorline-webhook")]
    pub webhook_service: String,
    /// The MutatingWebhookConfiguration to put the CA into; empty for none
    #[arg(long, value_name = "NAME", env = "MOORLINE_OPERATOR_WEBHOOK_CONFIGURATION", default_value = "moorline")]
    pub webhook_configuration: String,
    /// Where the webhook's certificate comes from: `self`, or a directory with tls.crt and tls.key, followed as they change
    #[arg(long, value_name = "self|DIR", env = "MOORLINE_OPERATOR_CERTIFICATES", default_value = "self")]
    pub certificates: Certificates,
    /// The Secret that keeps the operator's own CA and certificate
    #[arg(
        long,
        value_name = "NAME",
        env = "MOORLINE_OPERATOR_CERTIFICATE_SECRET",
        default_value = "moorline-webhook-certificate"
    )]
    pub certificate_secret: String,
    /// The Lease that decides which replica writes
    #[arg(long, value_name = "NAME", env = "MOORLINE_OPERATOR_LEASE", default_value = "moorline-operator")]
    pub lease: String,
    /// The image of the sidecar
    #[arg(long, value_name = "IMAGE", env = "MOORLINE_OPERATOR_SIDECAR_IMAGE")]
    pub sidecar_image: String,
    /// When the image is pulled: Always, IfNotPresent or Never
    #[arg(long, value_name = "POLICY", env = "MOORLINE_OPERATOR_SIDECAR_PULL_POLICY", default_value = "IfNotPresent")]
    pub sidecar_pull_policy: PullPolicy,
    /// Secrets to pull the image with, separated by commas; in the namespace of each pod
    #[arg(long, value_name = "NAMES", env = "MOORLINE_OPERATOR_SIDECAR_PULL_SECRETS", value_delimiter = ',', action = ArgAction::Append)]
    pub sidecar_pull_secrets: Vec<String>,
    /// The user and group the sidecar runs as; `cluster` leaves it to the cluster, as OpenShift wants it
    #[arg(long, value_name = "UID|cluster", env = "MOORLINE_OPERATOR_SIDECAR_RUN_AS_USER", default_value = "65532")]
    pub sidecar_run_as_user: RunAsUser,
    /// Whether workloads may be restarted, and pods evicted, to bring the sidecar; `never` wins over every route
    #[arg(long, value_name = "WHEN", env = "MOORLINE_OPERATOR_ROLLOUT", default_value = "allowed")]
    pub rollout: Rollout,
    /// The most pods told of new documents per second
    #[arg(long, value_name = "N", env = "MOORLINE_OPERATOR_NUDGES_PER_SECOND", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub nudges_per_second: u32,
    /// The most sidecars asked at a time
    #[arg(long, value_name = "N", env = "MOORLINE_OPERATOR_POLL_CONCURRENCY", default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub poll_concurrency: u16,
    /// The hosts that routes may be exposed on, separated by commas, as `*.example.com` [default: none, and so no route is]
    #[arg(long, value_name = "HOSTS", env = "MOORLINE_OPERATOR_EXPOSE_HOSTS", value_delimiter = ',', action = ArgAction::Append, value_parser = host)]
    pub expose_hosts: Vec<HostPattern>,
    /// What to log, as `info` or `warn,moorline_operator=debug`
    #[arg(long, value_name = "FILTER", env = "MOORLINE_OPERATOR_LOG", default_value = "info")]
    pub log: String,
    /// The form of the log on standard error
    #[arg(long, value_name = "FORMAT", env = "MOORLINE_OPERATOR_LOG_FORMAT", value_enum, default_value_t = LogFormat::Text)]
    pub log_format: LogFormat,
}

/// Where the webhook's certificate comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Certificates {
    /// The operator makes and rotates it.
    OwnAuthority,
    /// Files, for instance of cert-manager.
    Directory(std::path::PathBuf),
}

impl std::str::FromStr for Certificates {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "" => Err("is `self` or a directory".to_owned()),
            "self" => Ok(Self::OwnAuthority),
            directory => Ok(Self::Directory(directory.into())),
        }
    }
}

/// The user a sidecar runs as; none when the cluster chooses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RunAsUser(pub Option<i64>);

impl std::str::FromStr for RunAsUser {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "cluster" {
            return Ok(Self(None));
        }
        let number = text.parse().ok().filter(|number| (1..=i64::from(i32::MAX)).contains(number));
        number
            .map(|number| Self(Some(number)))
            .ok_or_else(|| "is `cluster` or the number of a user other than root".to_owned())
    }
}

/// Whether workloads may be restarted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Rollout {
    /// As each route says.
    Allowed,
    /// Never, whatever a route says.
    Never,
}

fn host(text: &str) -> Result<HostPattern, String> {
    HostPattern::parse(text).map_err(|error| error.to_string())
}

/// The `moorline-operator` command: parses, runs, and gives the exit code.
pub fn main() -> ExitCode {
    // Exits by itself for help, and with 2 for what it cannot parse, naming the flag.
    let outcome = match Cli::parse().command {
        Command::Run(args) => run(*args),
        Command::Crds => moorline_crds::yaml::crd().map_err(|error| error.to_string()).and_then(|text| print(&text)),
        Command::Version => print(&format!(
            "moorline-operator {}\ndocument format {}\n",
            env!("CARGO_PKG_VERSION"),
            moorline_crds::document::FORMAT_VERSION
        )),
    };
    match outcome {
        Ok(code) => code,
        Err(error) => {
            // A closed standard error leaves nobody to tell.
            let _ = writeln!(io::stderr(), "moorline-operator: {error}");
            ExitCode::from(1)
        }
    }
}

fn run(args: RunArgs) -> Result<ExitCode, String> {
    if let Err(error) = logging::start(&args.log, args.log_format) {
        let _ = writeln!(io::stderr(), "moorline-operator: {error}");
        return Ok(ExitCode::from(2));
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| format!("the threads cannot be started: {error}"))?;
    let outcome = runtime.block_on(crate::run::run(args));
    runtime.shutdown_timeout(RUNTIME_END);
    match outcome {
        Ok(crate::run::Ended::Stopped) => Ok(ExitCode::SUCCESS),
        // 128 and SIGINT, as a shell reports it.
        Ok(crate::run::Ended::Interrupted) => Ok(ExitCode::from(130)),
        Err(error) => {
            tracing::error!(%error, reason = error.reason(), "the operator cannot run");
            Err(error.to_string())
        }
    }
}

/// Prints text. Unlike `print!`, does not panic when the reader has gone.
fn print(text: &str) -> Result<ExitCode, String> {
    let mut output = io::stdout().lock();
    match output.write_all(text.as_bytes()).and_then(|()| output.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(format!("standard output: {error}")),
        _ => Ok(ExitCode::SUCCESS),
    }
}

#[cfg(test)]
mod tests;
