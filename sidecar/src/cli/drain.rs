//! `moorline drain`: asks a running sidecar to let go of its connections, and waits until it has.
//!
//! Over the callback listener, because what changes state is reached from the pod alone. There is no timeout here: how
//! long a drain may take is the sidecar's setting and the kubelet's grace period, and a third knob could only disagree.

use http::{Method, Uri};

use super::args::DrainArgs;
use super::http::{Call, CallError};
use super::outcome::{Done, Failure, Outcome};

/// Where a sidecar is drained.
const PATH: &str = "/@drain";

/// Runs the command.
pub(super) async fn run(args: DrainArgs) -> Outcome {
    drain(&args).await?;
    super::outcome::print("drained: no connection is left\n")?;
    Ok(Done::Well)
}

async fn drain(args: &DrainArgs) -> Result<(), Failure> {
    let base = match &args.callback {
        Some(url) => url.to_string(),
        None => format!("http://127.0.0.1:{}", args.callback_port),
    };
    let uri: Uri = format!("{}{PATH}", base.trim_end_matches('/'))
        .parse()
        .map_err(|_| Failure::config("--callback", format!("{base}: is a URL, as http://127.0.0.1:8801")))?;
    if uri.scheme() != Some(&http::uri::Scheme::HTTP) {
        return Err(Failure::config("--callback", format!("{base}: is an http:// URL")));
    }
    let answer = Call::new(Method::POST, uri).send().await.map_err(|error| match error {
        // Both are told at once: a `preStop` that waits for nobody only holds up the pod.
        CallError::Connect { address, source } => {
            Failure::Runtime(format!("{address}: no sidecar listens there, so there is nothing to drain ({source})"))
        }
        CallError::Exchange { address, source } => {
            Failure::Runtime(format!("{address}: the sidecar ended before its drain did ({source})"))
        }
        other => Failure::Runtime(other.to_string()),
    })?;
    if answer.status.is_success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&answer.body);
    Err(Failure::Runtime(format!("{base}: answered {} {}", answer.status.as_u16(), said.trim())))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)] // tests fail by panicking
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::net::TcpListener;
    use tokio_util::sync::CancellationToken;
    use tokio_util::task::TaskTracker;
    use warp::{Filter as _, Reply as _};

    use super::*;
    use crate::cli::demo::journal::{journal, serve};

    async fn drained(status: u16) -> (Result<(), Failure>, usize) {
        let calls = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&calls);
        let app = warp::post()
            .and(warp::path!("@drain"))
            .map(move || {
                counted.fetch_add(1, Ordering::Relaxed);
                let status = http::StatusCode::from_u16(status).unwrap();
                warp::reply::with_status("the reason", status).into_response()
            })
            .boxed();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
        let (recorder, _journal) = journal();
        tasks.spawn(serve(listener, app, recorder, stop.clone()));
        let outcome = drain(&DrainArgs { callback_port: port, callback: None }).await;
        stop.cancel();
        tasks.close();
        tasks.wait().await;
        (outcome, calls.load(Ordering::Relaxed))
    }

    #[tokio::test]
    async fn a_drained_sidecar_is_success_and_any_other_answer_is_not() {
        for status in [200, 204] {
            let (outcome, calls) = drained(status).await;
            assert!(outcome.is_ok() && calls == 1, "{status}: {outcome:?}");
        }
        let (outcome, _) = drained(403).await;
        assert!(outcome.unwrap_err().to_string().ends_with("answered 403 the reason"));
    }

    #[tokio::test]
    async fn a_sidecar_that_is_not_there_is_a_failure_that_names_its_address() {
        let port = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
        let failure = drain(&DrainArgs { callback_port: port, callback: None }).await.unwrap_err();
        let start = format!("127.0.0.1:{port}: no sidecar listens there, so there is nothing to drain");
        assert!(failure.to_string().starts_with(&start), "{failure}");
    }

    #[tokio::test]
    async fn a_sidecar_that_ends_before_its_drain_is_a_failure() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let callback_port = listener.local_addr().unwrap().port();
        let args = DrainArgs { callback_port, callback: None };
        let (outcome, accepted) = tokio::join!(drain(&args), async { listener.accept().await.map(drop) });
        accepted.unwrap();
        assert!(outcome.unwrap_err().to_string().contains("ended before its drain did"));
    }

    #[tokio::test]
    async fn a_url_of_another_scheme_names_the_flag() {
        let callback = Some(Uri::from_static("https://127.0.0.1:8801"));
        let failure = drain(&DrainArgs { callback_port: 0, callback }).await.unwrap_err();
        assert!(matches!(failure, Failure::Config(ref text) if text.starts_with("--callback: ")), "{failure}");
    }
}
