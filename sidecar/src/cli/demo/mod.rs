//! `moorline demo`: a REST service, Moorline in front of it, and clients, all in this process and all over real sockets.
//!
//! It is the first thing a newcomer sees and a test of the whole at once: the script checks what it shows. Afterwards
//! everything stays up to be tried by hand, with every message and call printed as `moorline dev` does.
//!
//! Invariant: `--once` is a success only if every scene was as expected and everything could be stopped.

mod client;
mod house;
pub(super) mod journal;
mod orders;
mod script;
mod transcript;
mod words;

use std::future::pending;
use std::io::{self, Write};
use std::sync::{Arc, OnceLock};
use std::time::{Instant, SystemTime};

use futures_util::future::join;

use self::client::Client;
use self::house::House;
use self::script::{Alice, ScriptError};
use self::transcript::Transcript;
use super::args::DemoArgs;
use super::outcome::{Done, Failure, Outcome};
use super::serving::Signals;
use super::{logging, serving};
use crate::console::Console;
use crate::lines::{LineWriter, Lines};
use crate::observe::{Event, Observer};
use crate::style::{Ink, Style};

/// Runs the command.
pub(super) async fn run(args: DemoArgs) -> Outcome {
    logging::start_quietly();
    let style = Style::of_stdout();
    if args.once {
        return once(args, io::stdout(), style).await;
    }
    let writer = LineWriter::start("console", io::stdout())
        .map_err(|error| Failure::Runtime(format!("the console: {error}")))?;
    let outcome = Box::pin(stay(args, writer.lines(), style)).await;
    writer.finish();
    outcome
}

/// The script alone, ended by a drain that is a scene of its own.
async fn once<W: Write>(args: DemoArgs, output: W, style: Style) -> Outcome {
    let (mut house, gateway) = House::open(args, None).await?;
    let handle = gateway.handle();
    let mut transcript = Transcript::new(output, style);
    let began = Instant::now();
    let show = async {
        let shown = match play(&mut house, &mut transcript, style).await {
            Ok(alice) => {
                let mut stage = house.stage(&mut transcript);
                let (told, ()) = join(script::drained(&mut stage, alice), handle.shutdown()).await;
                told.map_err(failure)
            }
            Err(failure) => Err(failure),
        };
        // Whatever the script came to, everything has to stop.
        handle.shutdown().await;
        shown
    };
    let (shown, ()) = join(show, gateway.run()).await;
    house.close().await;
    shown?;
    conclude(&mut transcript, began, style)?;
    Ok(Done::Well)
}

/// The script, and then everything as it is until a signal.
async fn stay(args: DemoArgs, lines: Lines, style: Style) -> Outcome {
    let signals = Signals::new()?;
    let curtain = Arc::new(Curtain { console: Console::new(lines.clone(), style), raised: OnceLock::new() });
    let (mut house, gateway) = House::open(args, Some(Arc::clone(&curtain) as Arc<dyn Observer>)).await?;
    let show = async {
        let mut transcript = Transcript::new(io::stdout(), style);
        let began = Instant::now();
        let alice = play(&mut house, &mut transcript, style).await?;
        conclude(&mut transcript, began, style)?;
        transcript.say(&words::by_hand(&house.addresses, house.app, style)).map_err(unwritten)?;
        curtain.raised.get_or_init(SystemTime::now);
        Ok(alice)
    };
    let companion = async {
        match show.await {
            Ok(alice) => {
                listen(alice.client, &lines, style).await;
                pending().await
            }
            Err(failure) => failure,
        }
    };
    let outcome = Box::pin(serving::until_signalled(gateway, signals, companion)).await;
    house.close().await;
    outcome
}

/// The opening and the script.
async fn play<W: Write>(house: &mut House, transcript: &mut Transcript<W>, style: Style) -> Result<Alice, Failure> {
    transcript.say(&words::opening(&house.addresses, house.app, style)).map_err(unwritten)?;
    script::play(&mut house.stage(transcript)).await.map_err(failure)
}

fn conclude<W: Write>(transcript: &mut Transcript<W>, began: Instant, style: Style) -> Result<(), Failure> {
    let (scenes, ms) = (transcript.scenes(), began.elapsed().as_millis());
    let text = format!("{scenes} scenes, all as expected, in {ms} ms");
    transcript.say(&format!("\n     {}", style.ink(Ink::Green, text))).map_err(unwritten)
}

fn failure(error: ScriptError) -> Failure {
    match error {
        ScriptError::Output(error) => unwritten(error),
        other => Failure::Runtime(format!("the demo is not as expected: {other}")),
    }
}

#[allow(clippy::needless_pass_by_value)] // the form that `map_err` wants
fn unwritten(error: io::Error) -> Failure {
    match error.kind() {
        io::ErrorKind::BrokenPipe => Failure::OutputClosed,
        _ => Failure::Runtime(format!("standard output: {error}")),
    }
}

/// Shows what begins after the script: during it the transcript tells more.
#[derive(Debug)]
struct Curtain {
    console: Console,
    raised: OnceLock<SystemTime>,
}

impl Observer for Curtain {
    fn observe(&self, event: &Event<'_>) {
        if self.raised.get().is_some_and(|raised| event.received_at >= *raised) {
            self.console.observe(event);
        }
    }
}

/// Prints what Alice gets, until her connection ends.
async fn listen(mut alice: Client, lines: &Lines, style: Style) {
    let name = style.ink(Ink::Cyan, "alice");
    let end = loop {
        match alice.wait().await {
            Ok(text) => lines.push(format!("{name} ◀── {text}")),
            Err(end) => break end,
        }
    };
    lines.push(format!("{name} ◀── {end}"));
}

#[cfg(test)]
#[allow(clippy::unwrap_used)] // tests fail by panicking
mod tests {
    use super::*;
    use crate::cli::args::loopback;

    #[tokio::test]
    async fn the_demo_is_as_expected_from_the_first_scene_to_the_last() {
        let any = Some(loopback(0));
        let args = DemoArgs { once: true, listen: any, callback: any, admin: any, app: any };
        let mut output = Vec::new();
        let outcome = once(args, &mut output, Style::PLAIN).await;
        let text = String::from_utf8(output).unwrap();
        assert!(matches!(outcome, Ok(Done::Well)), "{outcome:?}\n{text}");
        for shown in [
            "101 Switching Protocols",
            "401 ",
            "POST /@groups/tenant-acme",
            "DELETE /sessions/",
            "close 1012",
            "11 scenes",
        ] {
            assert!(text.contains(shown), "{shown}\n{text}");
        }
    }
}
