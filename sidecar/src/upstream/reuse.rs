//! When a kept-alive connection may carry another request, and when a request may be sent again.
//!
//! These are rules of HTTP without any I/O, so they stand alone and are tested alone. Both serve one
//! aim: a message must never be acted on twice, and it should rarely fail because the app closed an
//! idle connection at the moment it was taken.

use std::time::Duration;

use http::{HeaderMap, HeaderName, Method};

const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");

/// Taken off the time the app names in `Keep-Alive`, as the app counts from when it wrote the answer
/// and its close needs time to reach us. Half a second covers a pause of the scheduler on a busy node;
/// a tenth of a long time-out covers apps that sweep their idle connections with a coarse timer.
const MARGIN: Duration = Duration::from_millis(500);

/// Longest idle time taken from the app's header. An app that promises an hour gains nothing from it:
/// opening a connection within a pod costs tens of microseconds, an idle one a descriptor on each side.
const LONGEST_IDLE: Duration = Duration::from_mins(1);

/// How long a connection may be idle and still be used, if the answer's `Keep-Alive` header says so.
///
/// The header has no standard beyond RFC 2068 and common practice (`timeout=5, max=100`). `max` is not
/// used: apps that count requests say `Connection: close` with the last one.
pub(super) fn idle_limit(headers: &HeaderMap) -> Option<Duration> {
    // One look in the map is all that an app without the header costs.
    let value = headers.get(KEEP_ALIVE)?.to_str().ok()?;
    let seconds = value.split(',').find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        if !name.trim().eq_ignore_ascii_case("timeout") {
            return None;
        }
        value.trim().trim_matches('"').parse::<u32>().ok()
    })?;
    let promised = Duration::from_secs(seconds.into());
    let margin = MARGIN.max(promised / 10);
    Some(promised.saturating_sub(margin).min(LONGEST_IDLE))
}

/// Whether sending the request twice has the effect of sending it once (RFC 9110, 9.2.2).
///
/// TRACE is idempotent too, but no route may use it.
pub(super) fn is_idempotent(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD | Method::PUT | Method::DELETE | Method::OPTIONS)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // tests fail by panicking

    use http::HeaderValue;

    use super::*;

    fn limit_of(value: &str) -> Option<Duration> {
        let mut headers = HeaderMap::new();
        headers.insert(KEEP_ALIVE, HeaderValue::from_str(value).unwrap());
        idle_limit(&headers)
    }

    #[test]
    fn an_answer_without_keep_alive_says_nothing() {
        assert_eq!(idle_limit(&HeaderMap::new()), None);
    }

    #[test]
    fn the_time_of_the_app_counts_less_a_margin() {
        let ms = |n| Some(Duration::from_millis(n));
        assert_eq!(limit_of("timeout=5"), ms(4_500));
        assert_eq!(limit_of("timeout=1"), ms(500));
        assert_eq!(limit_of("timeout=0"), ms(0));
        assert_eq!(limit_of("timeout=20"), ms(18_000));
        assert_eq!(limit_of("Timeout = \"5\" , max=100"), ms(4_500));
        assert_eq!(limit_of("max=100, timeout=5"), ms(4_500));
        assert_eq!(limit_of("timeout=86400"), ms(60_000));
    }

    #[test]
    fn a_value_that_cannot_be_read_says_nothing() {
        for value in ["", "timeout", "timeout=", "timeout=-1", "timeout=1.5", "max=3"] {
            assert_eq!(limit_of(value), None, "{value:?}");
        }
    }

    #[test]
    fn posts_and_patches_are_not_idempotent() {
        assert!(!is_idempotent(&Method::POST));
        assert!(!is_idempotent(&Method::PATCH));
        assert!(!is_idempotent(&Method::CONNECT));
        for method in [Method::GET, Method::HEAD, Method::PUT, Method::DELETE, Method::OPTIONS] {
            assert!(is_idempotent(&method), "{method}");
        }
    }
}
