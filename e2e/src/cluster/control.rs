//! Stopping and starting the parts of a running cluster, from a test.
//!
//! A line each way over a socket in the cluster's folder: `stop kube-apiserver`, answered `ok` or `error WHY`. A socket
//! and not signals sent by the test itself, because only the supervisor can start a component again, with the same flags
//! and as its own child.

use std::fmt;
use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::str::FromStr;

use super::error::{ClusterError, Result};
use super::layout::Layout;
use super::ready::wait_for_api_server;

/// What can be done to a component.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Ask it to end, insist after 3 seconds, and wait for that.
    Stop,
    /// End it at once.
    Kill,
    /// Start it again. Does not wait until it serves.
    Start,
    /// Freeze it: its connections stay open and nobody answers.
    Pause,
    /// Let it go on.
    Resume,
}

const ACTIONS: [(&str, Action); 5] = [
    ("stop", Action::Stop),
    ("kill", Action::Kill),
    ("start", Action::Start),
    ("pause", Action::Pause),
    ("resume", Action::Resume),
];

impl FromStr for Action {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        let found = ACTIONS.iter().find(|(name, _)| *name == text);
        found.map(|(_, action)| *action).ok_or_else(|| format!("`{text}` is none of stop, kill, start, pause, resume"))
    }
}

impl fmt::Display for Action {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let found = ACTIONS.iter().find(|(_, action)| action == self);
        formatter.write_str(found.map_or("", |(name, _)| name))
    }
}

/// One line to the supervisor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Request {
    Status,
    Change(Action, String),
}

impl FromStr for Request {
    type Err = String;

    fn from_str(line: &str) -> std::result::Result<Self, String> {
        match line.split_once(' ') {
            None if line == "status" => Ok(Self::Status),
            None => Err(format!("`{line}` is not a request")),
            Some((action, component)) => Ok(Self::Change(action.parse()?, component.to_owned())),
        }
    }
}

impl fmt::Display for Request {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status => formatter.write_str("status"),
            Self::Change(action, component) => write!(formatter, "{action} {component}"),
        }
    }
}

/// The way to the supervisor of one cluster. Works inside and outside of its namespaces.
#[derive(Clone, Debug)]
pub struct Control {
    layout: Layout,
}

impl Control {
    /// For the cluster in this folder.
    pub fn new(layout: Layout) -> Self {
        Self { layout }
    }

    /// For the cluster that this process runs in, or `None` when that is not one of ours.
    pub fn from_env() -> Option<Self> {
        std::env::var_os("MOORLINE_E2E_STATE").map(|root| Self::new(Layout::new(root)))
    }

    /// Does something to a component.
    pub fn change(&self, action: Action, component: &str) -> Result<()> {
        self.ask(&Request::Change(action, component.to_owned())).map(drop)
    }

    /// Ends a component and waits for that.
    pub fn stop(&self, component: &str) -> Result<()> {
        self.change(Action::Stop, component)
    }

    /// Starts a component again, without waiting until it serves.
    pub fn start(&self, component: &str) -> Result<()> {
        self.change(Action::Start, component)
    }

    /// Waits until the API server serves, after it was started or resumed. Works inside only, and not in async code.
    pub fn wait_for_api_server(&self) -> Result<()> {
        wait_for_api_server(&self.layout)
    }

    /// A line for each component: name, state, process id inside.
    pub fn status(&self) -> Result<String> {
        self.ask(&Request::Status)
    }

    fn ask(&self, request: &Request) -> Result<String> {
        let failed = |why: String| ClusterError::AskSupervisor { request: request.to_string(), why };
        let exchange = || -> std::io::Result<String> {
            let mut stream = UnixStream::connect(self.layout.control())?;
            stream.write_all(format!("{request}\n").as_bytes())?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer)?;
            Ok(answer)
        };
        let answer = exchange().map_err(|error| failed(error.to_string()))?;
        match answer.strip_prefix("ok\n") {
            Some(rest) => Ok(rest.to_owned()),
            None => Err(failed(answer.trim_start_matches("error ").trim_end().to_owned())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_read_back_as_it_was_written() {
        for (_, action) in ACTIONS {
            let request = Request::Change(action, "kube-apiserver".to_owned());
            assert_eq!(request.to_string().parse(), Ok(request));
        }
        assert_eq!("status".parse(), Ok(Request::Status));
    }

    #[test]
    fn a_request_that_nobody_knows_names_those_that_exist() {
        let refused = "explode etcd".parse::<Request>();
        assert_eq!(refused, Err("`explode` is none of stop, kill, start, pause, resume".to_owned()));
    }
}
