//! The command line as it is written: flags, their defaults, the environment, and help that teaches.
//!
//! Only shapes and texts are here; what they mean is with each command. Everything a pod sets can be set by the
//! environment too, because that is how a container is configured.

// The docs here are what --help prints, where backticks would be noise.
#![allow(clippy::doc_markdown)]

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum};
use moorline_crds::names::APP_PORTS_VARIABLE;
pub(super) use moorline_crds::names::{ADMIN_PORT, CALLBACK_PORT, CLIENT_PORT};
use moorline_crds::v1alpha1::DurationText;

use crate::listen::everywhere;
use crate::source::ports::AppPorts;
use crate::source::upstreams::Upstream;

/// WebSockets for the stateless REST services you already run.
///
/// Moorline holds the clients' connections, turns each message into an ordinary HTTP call on your service, and gives
/// the service an HTTP address for every connection, user and group. The service is not changed.
#[derive(Debug, Parser)]
#[command(name = "moorline", version, max_term_width = 100, arg_required_else_help = true)]
#[command(
    after_help = "Start here:\n  moorline demo                     see it work, with a service and two clients\n  \
    moorline check -f route.yaml      see what a route will do\n  \
    moorline dev -f route.yaml        put it in front of your own service"
)]
pub(super) struct Cli {
    #[command(subcommand)]
    pub(super) command: Command,
}

/// The commands, the ones a newcomer wants first; their help is with their arguments.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    Demo(DemoArgs),
    Dev(DevArgs),
    Check(CheckArgs),
    Compile(CompileArgs),
    Inject(super::inject::InjectArgs),
    Run(RunArgs),
    Drain(DrainArgs),
    Probe(ProbeArgs),
    Status(StatusArgs),
    /// Print the CustomResourceDefinition
    ///
    ///   moorline crd | kubectl apply --server-side -f -
    #[command(verbatim_doc_comment)]
    Crd,
    /// Print the version, and the format of documents it reads
    Version,
}

/// Show a REST service become real-time, here and now.
///
/// Starts a small service of orders that knows nothing of WebSocket, Moorline in front of it with the manifest
/// examples/orders/route.yaml, and two clients. Each step is shown as it happened and checked, then everything stays up
/// for you to try by hand.
#[derive(Debug, Args)]
pub(super) struct DemoArgs {
    /// Leave after the script: 0 when all was as expected, 1 when not
    #[arg(long)]
    pub(super) once: bool,
    /// Where clients connect [default: 127.0.0.1:8800, or any port when that is taken]
    #[arg(long, value_name = "ADDRESS")]
    pub(super) listen: Option<SocketAddr>,
    /// Where the app pushes [default: 127.0.0.1:8801, or any port when that is taken]
    #[arg(long, value_name = "ADDRESS")]
    pub(super) callback: Option<SocketAddr>,
    /// Health and metrics [default: 127.0.0.1:8802, or any port when that is taken]
    #[arg(long, value_name = "ADDRESS")]
    pub(super) admin: Option<SocketAddr>,
    /// Where the service of orders listens [default: 127.0.0.1:3000, or any port when that is taken]
    #[arg(long, value_name = "ADDRESS")]
    pub(super) app: Option<SocketAddr>,
}

/// Serve manifests on this machine, reloading when they change.
///
/// The same data plane as in a pod. Prints `ready URL -> APP` for every route, then each message and call as one line.
/// A changed file takes effect at once, also on open connections; a file with a mistake is reported, and what was
/// served before stays.
#[derive(Debug, Args)]
#[command(after_long_help = "Examples:\n  \
    moorline dev -f route.yaml\n      The app is on the port that the manifest's serviceRef names.\n  \
    moorline dev -f route.yaml --upstream http://127.0.0.1:5000\n      It is somewhere else.\n  \
    moorline dev -f orders.yaml -f users.yaml --upstream users=http://127.0.0.1:3001\n      Two services.\n\n\
    Then, in another terminal:\n  \
    npx wscat -c ws://127.0.0.1:8800/...\n  \
    curl http://127.0.0.1:8801/@all -d 'hello, everyone'")]
pub(super) struct DevArgs {
    /// A manifest, or a directory of them; can be given several times
    #[arg(short, long = "file", value_name = "FILE", required = true, action = ArgAction::Append)]
    pub(super) files: Vec<PathBuf>,
    /// Where the app listens, for one Service or for all; can be given several times [default: the port of serviceRef,
    /// on 127.0.0.1]
    #[arg(long = "upstream", value_name = "[NAME=]URL", action = ArgAction::Append)]
    pub(super) upstreams: Vec<Upstream>,
    /// Where clients connect; port 0 takes any
    #[arg(long, value_name = "ADDRESS", default_value_t = loopback(CLIENT_PORT))]
    pub(super) listen: SocketAddr,
    /// Where the app pushes: a loopback address; port 0 takes any [default: port 8801 on 127.0.0.1 and ::1]
    #[arg(long, value_name = "ADDRESS")]
    pub(super) callback: Option<SocketAddr>,
    /// Health and metrics; port 0 takes any
    #[arg(long, value_name = "ADDRESS", default_value_t = loopback(ADMIN_PORT))]
    pub(super) admin: SocketAddr,
    /// How long a connection to the app may be idle and still be used, unless the app's Keep-Alive says otherwise
    #[arg(long, value_name = "DURATION", env = "MOORLINE_APP_IDLE_TIMEOUT", default_value = "1500ms", value_parser = duration)]
    pub(super) app_idle_timeout: Duration,
    /// The largest message the app may push, in bytes or as 1MiB
    #[arg(long, value_name = "SIZE", env = "MOORLINE_MAX_PUSH_BYTES", default_value = "1MiB", value_parser = size)]
    pub(super) max_push_bytes: usize,
    /// Print only the ready lines, problems and reloads
    #[arg(long)]
    pub(super) quiet: bool,
}

/// Check manifests, and say what they will do.
///
/// Every problem of every file is printed as `FILE:LINE: FIELD: RULE`, and the exit code is 1 if there is one. Without a
/// problem, says for each key of each route which call it makes and what becomes of the answer.
#[derive(Debug, Args)]
#[command(after_long_help = "Examples:\n  \
    moorline check -f route.yaml\n  \
    moorline check -f manifests/ --quiet          in a pipeline\n  \
    kubectl get wsr -o yaml orders | moorline check -f -")]
pub(super) struct CheckArgs {
    /// A manifest, a directory of them, or - for standard input; can be given several times
    #[arg(short, long = "file", value_name = "FILE", required = true, action = ArgAction::Append)]
    pub(super) files: Vec<PathBuf>,
    /// Print problems and warnings only
    #[arg(short, long)]
    pub(super) quiet: bool,
}

/// Compile manifests to the document that `run` reads.
///
/// What the operator does in a cluster, by hand. All manifests belong to one Service, as a document does.
#[derive(Debug, Args)]
#[command(after_long_help = "Example:\n  \
    moorline compile -f route.yaml --upstream http://127.0.0.1:3000 -o /tmp/config\n  \
    moorline run --config /tmp/config")]
pub(super) struct CompileArgs {
    /// A manifest, a directory of them, or - for standard input; can be given several times
    #[arg(short, long = "file", value_name = "FILE", required = true, action = ArgAction::Append)]
    pub(super) files: Vec<PathBuf>,
    /// Where the app listens [default: the port of serviceRef, on 127.0.0.1]
    #[arg(long = "upstream", value_name = "[NAME=]URL", action = ArgAction::Append)]
    pub(super) upstreams: Vec<Upstream>,
    /// The directory to write document.json to; made if it is not there [default: print it]
    #[arg(short, long, value_name = "DIR")]
    pub(super) output: Option<PathBuf>,
}

/// Serve documents, as the sidecar of a pod.
///
/// Serves DIR/SERVICE/document.json of each Service (or document.json.gz, or one right in DIR) and follows their
/// changes; while there is none, serves no routes. SIGTERM drains: new
/// handshakes are accepted for --drain-grace, then connections are closed over --drain-window, each after its call in
/// flight. A second SIGTERM exits at once.
#[derive(Debug, Args)]
pub(super) struct RunArgs {
    /// The directory of the documents
    #[arg(long, value_name = "DIR", env = "MOORLINE_CONFIG")]
    pub(super) config: PathBuf,
    /// Where clients connect; [::] is every address, of IPv4 too
    #[arg(long, value_name = "ADDRESS", env = "MOORLINE_LISTEN", default_value_t = everywhere(CLIENT_PORT))]
    pub(super) listen: SocketAddr,
    /// The port where the app pushes, on 127.0.0.1 and ::1
    #[arg(long, value_name = "PORT", env = "MOORLINE_CALLBACK_PORT", default_value_t = CALLBACK_PORT)]
    pub(super) callback_port: u16,
    /// Health, report and metrics
    #[arg(long, value_name = "ADDRESS", env = "MOORLINE_ADMIN", default_value_t = everywhere(ADMIN_PORT))]
    pub(super) admin: SocketAddr,
    /// The numbers of the app's ports that routes name, as http=3000,admin=9000
    #[arg(long, value_name = "NAME=PORT,...", env = APP_PORTS_VARIABLE, default_value = "", hide_default_value = true)]
    pub(super) app_ports: AppPorts,
    /// The pod's own addresses, to which no call fails over
    #[arg(long, value_name = "IP,...", env = "POD_IP", value_delimiter = ',')]
    pub(super) pod_ip: Vec<IpAddr>,
    /// Connections of the whole process [default: 90 % of the limit on open files]
    #[arg(long, value_name = "N", env = "MOORLINE_MAX_CONNECTIONS", value_parser = positive)]
    pub(super) max_connections: Option<usize>,
    /// What messages and answers in transit may hold in memory, in bytes or as 256MiB
    #[arg(long, value_name = "SIZE", env = "MOORLINE_MAX_BUFFERED_BYTES", default_value = "256MiB", value_parser = size)]
    pub(super) max_buffered_bytes: usize,
    /// How long a connection to the app may be idle and still be used, unless the app's Keep-Alive says otherwise
    #[arg(long, value_name = "DURATION", env = "MOORLINE_APP_IDLE_TIMEOUT", default_value = "1500ms", value_parser = duration)]
    pub(super) app_idle_timeout: Duration,
    /// The largest message the app may push, in bytes or as 1MiB
    #[arg(long, value_name = "SIZE", env = "MOORLINE_MAX_PUSH_BYTES", default_value = "1MiB", value_parser = size)]
    pub(super) max_push_bytes: usize,
    /// How long a drain still accepts connections, while load balancers notice
    #[arg(long, value_name = "DURATION", env = "MOORLINE_DRAIN_GRACE", default_value = "5s", value_parser = duration)]
    pub(super) drain_grace: Duration,
    /// Over how long a drain spreads the closing, so that clients do not come back all at once
    #[arg(long, value_name = "DURATION", env = "MOORLINE_DRAIN_WINDOW", default_value = "20s", value_parser = duration)]
    pub(super) drain_window: Duration,
    /// Write one line of JSON per event to standard output
    #[arg(
        long, env = "MOORLINE_ACCESS_LOG", value_enum, default_value_t = Switch::Off,
        num_args = 0..=1, require_equals = true, default_missing_value = "on"
    )]
    pub(super) access_log: Switch,
    /// The form of the log on standard error
    #[arg(long, value_name = "FORMAT", env = "MOORLINE_LOG_FORMAT", value_enum, default_value_t = LogFormat::Text)]
    pub(super) log_format: LogFormat,
    /// What to log, as `info` or `warn,moorline_sidecar=debug`
    #[arg(long, value_name = "FILTER", env = "MOORLINE_LOG", default_value = "info")]
    pub(super) log: String,
}

/// Have a running sidecar let go of its connections, and wait until it has.
///
/// What a pod runs before it stops. The sidecar goes on running and refuses handshakes with 503; end it with SIGTERM.
/// Exits 0 when no connection is left, and 1 when the sidecar cannot be reached or ends before.
#[derive(Debug, Args)]
pub(super) struct DrainArgs {
    /// The port of the sidecar's callback listener, on this machine
    #[arg(long, value_name = "PORT", env = "MOORLINE_CALLBACK_PORT", default_value_t = CALLBACK_PORT)]
    pub(super) callback_port: u16,
    /// The URL of that listener, instead of its port
    #[arg(long, value_name = "URL", conflicts_with = "callback_port")]
    pub(super) callback: Option<http::Uri>,
}

/// Open a WebSocket, and say what comes of it.
///
/// Connects, sends a message if there is one, waits for the answer and leaves. What was received is printed; exits 1,
/// saying what went wrong, when it could not connect or nothing came. This is what `helm test` runs.
#[derive(Debug, Args)]
#[command(after_long_help = "Examples:\n  \
    moorline probe ws://127.0.0.1:8800/ws/acme\n  \
    moorline probe ws://orders-ws.shop.svc/ws/acme -H 'Authorization: Bearer alice' --send '{\"action\":\"list\"}'\n  \
    moorline probe ws://orders-ws.shop.svc/ws/acme --expect ready --retry-for 1m")]
pub(super) struct ProbeArgs {
    /// Where to connect, as ws://127.0.0.1:8800/ws/acme
    #[arg(value_name = "URL")]
    pub(super) url: http::Uri,
    /// A header of the handshake; can be given several times
    #[arg(short = 'H', long = "header", value_name = "NAME: VALUE", action = ArgAction::Append)]
    pub(super) headers: Vec<Header>,
    /// A text message to send once connected; then a frame is waited for
    #[arg(long, value_name = "TEXT")]
    pub(super) send: Option<String>,
    /// Wait for a frame with this in it, passing over others
    #[arg(long, value_name = "TEXT")]
    pub(super) expect: Option<String>,
    /// How long each of connecting, sending and receiving may take
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = duration)]
    pub(super) timeout: Duration,
    /// Try again until it works, for this long
    #[arg(long, value_name = "DURATION", default_value = "0s", value_parser = duration)]
    pub(super) retry_for: Duration,
}

/// A header, as `Authorization: Bearer alice`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) name: http::HeaderName,
    pub(super) value: http::HeaderValue,
}

impl std::str::FromStr for Header {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (name, value) =
            text.split_once(':').ok_or("is a name, a colon and a value, as `Authorization: Bearer alice`")?;
        Ok(Self {
            name: name.trim().parse().map_err(|_| "has a name that no header can have")?,
            value: value.trim().parse().map_err(|_| "has a value that no header can have")?,
        })
    }
}

/// Show what a running sidecar serves.
///
/// Its Services with the hash of the document in use, routes with their generation, connections, and what is wrong.
/// Exits 1 when the sidecar cannot be reached.
#[derive(Debug, Args)]
#[command(after_long_help = "In a pod:\n  \
    kubectl exec POD -c moorline -- moorline status")]
pub(super) struct StatusArgs {
    /// The sidecar's admin listener, as it was told to `run`
    #[arg(long, value_name = "ADDRESS", env = "MOORLINE_ADMIN", default_value_t = loopback(ADMIN_PORT))]
    pub(super) admin: SocketAddr,
    /// The form of the output
    #[arg(short, long, value_name = "FORM", value_enum, default_value_t = StatusForm::Table)]
    pub(super) output: StatusForm,
}

/// The form of a status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum StatusForm {
    Table,
    Json,
}

/// On or off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Switch {
    On,
    Off,
}

/// The form of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum LogFormat {
    Text,
    Json,
}

/// A port of this machine alone.
pub(super) fn loopback(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}

fn duration(text: &str) -> Result<Duration, String> {
    DurationText(text.to_owned()).parse().map_err(|error| error.to_string())
}

fn positive(text: &str) -> Result<usize, String> {
    text.parse().ok().filter(|number| *number > 0).ok_or_else(|| "is a whole number over 0".to_owned())
}

fn size(text: &str) -> Result<usize, String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let factor: Option<usize> = match &text[digits.len()..] {
        "" | "B" => Some(1),
        "KiB" => Some(1 << 10),
        "MiB" => Some(1 << 20),
        "GiB" => Some(1 << 30),
        _ => None,
    };
    let number: Option<usize> = digits.parse().ok();
    number
        .zip(factor)
        .and_then(|(number, factor)| number.checked_mul(factor))
        .filter(|bytes| *bytes > 0)
        .ok_or_else(|| "is a number of bytes over 0, as 1048576 or 1MiB".to_owned())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)] // tests fail by panicking
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    fn parse(line: &str) -> Result<Command, String> {
        Cli::try_parse_from(line.split_whitespace()).map(|cli| cli.command).map_err(|error| error.to_string())
    }

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn run_has_the_defaults_of_a_pod() {
        let Ok(Command::Run(args)) = parse("moorline run --config /c") else { panic!() };
        assert_eq!(args.listen.to_string(), "[::]:8800");
        assert_eq!(args.callback_port, 8801);
        assert_eq!(args.admin.to_string(), "[::]:8802");
        assert_eq!(args.max_connections, None);
        assert!(args.app_ports.0.is_empty());
        assert_eq!(args.max_buffered_bytes, 256 * 1024 * 1024);
        assert_eq!((args.app_idle_timeout, args.max_push_bytes), of_the_data_plane());
        assert_eq!((args.drain_grace, args.drain_window), (Duration::from_secs(5), Duration::from_secs(20)));
        assert_eq!((args.access_log, args.log_format), (Switch::Off, LogFormat::Text));
    }

    fn of_the_data_plane() -> (Duration, usize) {
        let settings = crate::gateway::Settings::default();
        (settings.app_idle, settings.max_push_bytes)
    }

    #[test]
    fn run_and_dev_take_the_bounds_of_the_app_side() {
        let Ok(Command::Dev(args)) = parse("moorline dev -f a") else { panic!() };
        assert_eq!((args.app_idle_timeout, args.max_push_bytes), of_the_data_plane());
        let flags = "--app-idle-timeout 4s --max-push-bytes 64KiB";
        let Ok(Command::Dev(args)) = parse(&format!("moorline dev -f a {flags}")) else { panic!() };
        assert_eq!((args.app_idle_timeout, args.max_push_bytes), (Duration::from_secs(4), 65_536));
        let Ok(Command::Run(args)) = parse(&format!("moorline run --config /c {flags}")) else { panic!() };
        assert_eq!((args.app_idle_timeout, args.max_push_bytes), (Duration::from_secs(4), 65_536));
    }

    #[test]
    fn the_access_log_is_a_switch_that_can_be_set_either_way() {
        for (flag, expected) in
            [("--access-log", Switch::On), ("--access-log=on", Switch::On), ("--access-log=off", Switch::Off)]
        {
            let Ok(Command::Run(args)) = parse(&format!("moorline run --config /c {flag}")) else { panic!("{flag}") };
            assert_eq!(args.access_log, expected, "{flag}");
        }
    }

    #[test]
    fn files_and_upstreams_can_be_given_several_times() {
        let line = "moorline dev -f a.yaml --file b.yaml --upstream http://127.0.0.1:1 --upstream b=http://127.0.0.1:2 --listen 127.0.0.1:0";
        let Ok(Command::Dev(args)) = parse(line) else { panic!() };
        assert_eq!(args.files, [PathBuf::from("a.yaml"), PathBuf::from("b.yaml")]);
        assert_eq!(args.upstreams.len(), 2);
        assert_eq!((args.listen, args.callback), (loopback(0), None));
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (line, named) in [
            ("moorline run", "--config"),
            ("moorline run --config /c --listen nowhere", "--listen"),
            ("moorline run --config /c --drain-window 20", "--drain-window"),
            ("moorline run --config /c --max-connections 0", "--max-connections"),
            ("moorline run --config /c --max-buffered-bytes 1MB", "--max-buffered-bytes"),
            ("moorline run --config /c --max-push-bytes 0", "--max-push-bytes"),
            ("moorline run --config /c --app-idle-timeout 1.5s", "--app-idle-timeout"),
            ("moorline run --config /c --access-log=maybe", "--access-log"),
            ("moorline dev", "--file"),
            ("moorline dev -f a --upstream https://app", "--upstream"),
            ("moorline check", "--file"),
            ("moorline drain --callback http://a --callback-port 1", "--callback"),
            ("moorline probe", "URL"),
            ("moorline probe ws://a -H nothing", "--header"),
            ("moorline runn", "runn"),
        ] {
            let error = parse(line).unwrap_err();
            assert!(error.contains(named), "{line}: {error}");
        }
    }

    #[test]
    fn sizes_have_binary_units() {
        for (text, expected) in [
            ("1", Some(1)),
            ("2KiB", Some(2048)),
            ("1MiB", Some(1 << 20)),
            ("1GiB", Some(1 << 30)),
            ("0", None),
            ("1kb", None),
            ("MiB", None),
            ("99999999999GiB", None),
        ] {
            assert_eq!(size(text).ok(), expected, "{text}");
        }
    }
}
