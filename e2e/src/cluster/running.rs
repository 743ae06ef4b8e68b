//! The running components: started, stopped, paused and waited for, one at a time.
//!
//! One thread and `poll` over a descriptor per process, so that a request on the control socket and the end of a
//! component are told apart from each other without a lock. A component that ends by itself is not started again: a
//! test that did not ask for that should see it.

use std::fs::{File, OpenOptions};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use super::control::{Action, Request};
use super::error::{ClusterError, Result};
use super::layout::Layout;
use super::programs::Program;
use super::ready::wait_until;

/// How long a component may take to end by itself when it is stopped. The API server would wait a minute for watches.
const STOP_WITHIN: Timespec = Timespec { tv_sec: 3, tv_nsec: 0 };
/// How long a client may take to send its line, since nobody else is served meanwhile.
const REQUEST_WITHIN: Duration = Duration::from_secs(2);
/// A request is a word or two.
const REQUEST_BYTES: u64 = 256;

enum State {
    Running { child: Child, handle: OwnedFd, paused: bool },
    Ended(ExitStatus),
    NotStarted,
}

/// Every component of one cluster.
pub(super) struct Running {
    layout: Layout,
    components: Vec<(Program, State)>,
}

impl Running {
    pub(super) fn new(layout: Layout, programs: Vec<Program>) -> Self {
        Self { layout, components: programs.into_iter().map(|program| (program, State::NotStarted)).collect() }
    }

    /// Starts those that are not running.
    pub(super) fn start_all(&mut self, which: impl Fn(&Program) -> bool) -> Result<()> {
        for (program, state) in &mut self.components {
            if which(program) {
                *state = start(&self.layout, program)?;
            }
        }
        Ok(())
    }

    /// Waits until a component does what `check` asks about. Fails with the end of a log: of the component that ended
    /// meanwhile, or of this one when it takes too long.
    pub(super) fn wait_for(&mut self, component: &str, check: impl FnMut() -> bool) -> Result<()> {
        let layout = self.layout.clone();
        let waited = wait_until(component, check, || self.ended());
        waited.map_err(|error| match error {
            ClusterError::BecomeReady { what, why } if !why.contains('\n') => {
                ClusterError::BecomeReady { what, why: format!("{why}\n{}", last_lines(&layout, component)) }
            }
            other => other,
        })
    }

    /// The first component that ended, with how it did and the end of its log.
    fn ended(&mut self) -> Option<String> {
        for (program, state) in &mut self.components {
            if let Some(status) = reap(state) {
                let log = last_lines(&self.layout, program.name);
                return Some(format!("{} ended: {status}\n{log}", program.name));
            }
        }
        None
    }

    /// Serves the control socket. Returns only when that fails.
    pub(super) fn serve(&mut self, listener: &UnixListener, mut say: impl FnMut(&str)) -> Result<()> {
        let failed =
            |why: std::io::Error| ClusterError::AskSupervisor { request: "listen".to_owned(), why: why.to_string() };
        loop {
            let handles = self.components.iter().filter_map(|(_, state)| match state {
                State::Running { handle, .. } => Some(PollFd::new(handle, PollFlags::IN)),
                State::Ended(_) | State::NotStarted => None,
            });
            let mut ready: Vec<_> = std::iter::once(PollFd::new(listener, PollFlags::IN)).chain(handles).collect();
            match poll(&mut ready, None) {
                Err(rustix::io::Errno::INTR) => continue,
                polled => polled.map_err(|error| failed(error.into()))?,
            };
            let asked = !ready[0].revents().is_empty();
            for (program, state) in &mut self.components {
                if let Some(status) = reap(state) {
                    say(&format!("{} ended: {status}", program.name));
                }
            }
            if asked {
                let (stream, _) = listener.accept().map_err(failed)?;
                // A client that went away meanwhile is its own business.
                let _ = self.answer(&stream);
            }
        }
    }

    fn answer(&mut self, stream: &UnixStream) -> std::io::Result<()> {
        stream.set_read_timeout(Some(REQUEST_WITHIN))?;
        stream.set_write_timeout(Some(REQUEST_WITHIN))?;
        let mut line = String::new();
        BufReader::new(stream.take(REQUEST_BYTES)).read_line(&mut line)?;
        let answer = match line.trim().parse::<Request>() {
            Ok(Request::Status) => self.status(),
            Ok(Request::Change(action, component)) => match self.change(action, &component) {
                Ok(()) => "ok\n".to_owned(),
                Err(why) => format!("error {why}\n"),
            },
            Err(why) => format!("error {why}\n"),
        };
        (&*stream).write_all(answer.as_bytes())
    }

    fn status(&self) -> String {
        let line = |(program, state): &(Program, State)| {
            let state = match state {
                State::Running { child, paused: false, .. } => format!("running {}", child.id()),
                State::Running { child, paused: true, .. } => format!("paused {}", child.id()),
                State::Ended(status) => format!("ended {status}"),
                State::NotStarted => "not started".to_owned(),
            };
            format!("{} {state}\n", program.name)
        };
        let lines: Vec<String> = self.components.iter().map(line).collect();
        format!("ok\n{}", lines.concat())
    }

    fn change(&mut self, action: Action, component: &str) -> std::result::Result<(), String> {
        let found = self.components.iter_mut().find(|(program, _)| program.name == component);
        let (program, state) = found.ok_or_else(|| format!("no component is called {component}"))?;
        match (action, &mut *state) {
            (Action::Start, State::Running { .. }) => Err(format!("{component} is running")),
            (Action::Start, _) => {
                *state = start(&self.layout, program).map_err(|error| error.to_string())?;
                Ok(())
            }
            (_, State::Ended(_) | State::NotStarted) => Err(format!("{component} is not running")),
            (Action::Pause, State::Running { handle, paused, .. }) => {
                *paused = true;
                signal(handle, Signal::STOP)
            }
            (Action::Resume, State::Running { handle, paused, .. }) => {
                *paused = false;
                signal(handle, Signal::CONT)
            }
            (Action::Stop, State::Running { child, handle, .. }) => {
                signal(handle, Signal::TERM)?;
                signal(handle, Signal::CONT)?;
                let ended = poll(&mut [PollFd::new(handle, PollFlags::IN)], Some(&STOP_WITHIN));
                if ended != Ok(1) {
                    signal(handle, Signal::KILL)?;
                }
                *state = State::Ended(child.wait().map_err(|error| error.to_string())?);
                Ok(())
            }
            (Action::Kill, State::Running { child, handle, .. }) => {
                signal(handle, Signal::KILL)?;
                *state = State::Ended(child.wait().map_err(|error| error.to_string())?);
                Ok(())
            }
        }
    }
}

fn start(layout: &Layout, program: &Program) -> Result<State> {
    let failed = |source| ClusterError::StartComponent { component: program.name.to_owned(), source };
    let log = OpenOptions::new().create(true).append(true).open(layout.log(program.name)).map_err(failed)?;
    let child = Command::new(program.name)
        .args(&program.arguments)
        .stdin(Stdio::null())
        .stdout(log.try_clone().map_err(failed)?)
        .stderr(log)
        .spawn()
        .map_err(failed)?;
    let handle = pidfd_open(Pid::from_child(&child), PidfdFlags::empty()).map_err(|error| failed(error.into()))?;
    Ok(State::Running { child, handle, paused: false })
}

/// Notes the end of a component, and says it once.
fn reap(state: &mut State) -> Option<ExitStatus> {
    let State::Running { child, .. } = state else { return None };
    let status = child.try_wait().ok().flatten()?;
    *state = State::Ended(status);
    Some(status)
}

fn signal(handle: &OwnedFd, signal: Signal) -> std::result::Result<(), String> {
    pidfd_send_signal(handle, signal).map_err(|error| error.to_string())
}

/// The end of a component's log, for the message of a failure.
fn last_lines(layout: &Layout, component: &str) -> String {
    const KEPT: usize = 15;
    let Ok(log) = File::open(layout.log(component)) else { return String::new() };
    let mut lines = std::collections::VecDeque::with_capacity(KEPT);
    for line in BufReader::new(log).lines().map_while(std::result::Result::ok) {
        if lines.len() == KEPT {
            lines.pop_front();
        }
        lines.push_back(format!("  {line}\n"));
    }
    lines.into_iter().collect()
}
