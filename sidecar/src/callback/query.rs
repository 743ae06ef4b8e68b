//! The query parameters of the API.
//!
//! Parameters the API does not know are ignored, because signed requests may carry their signature there; a known one
//! that is given twice or makes no sense is refused. A `+` is a space here, unlike in a path: that is how form encoders,
//! which build most queries, write one.

use std::borrow::Cow;

use percent_encoding::percent_decode;

use crate::closing::{CloseCause, application_may_send};
use crate::connection::{CloseOrder, ConnectionId};
use crate::hub::Page;

const DEFAULT_LIMIT: usize = 100;
const MAX_LIMIT: usize = 1000;

/// Which parameter was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum QueryError {
    #[error("`limit` is a number from 0 to {MAX_LIMIT}")]
    Limit,
    #[error("`after` is a connection id, as `next` of the page before")]
    After,
    #[error("`code` is one of 1000, 1001, 1003, 1007-1009, 1011-1013 and 3000-4999")]
    Code,
    #[error("`reason` is UTF-8")]
    Reason,
    #[error("a query parameter is given twice")]
    Twice,
}

/// The page that `limit` and `after` ask for. A limit of 0 asks for the count alone.
pub(super) fn page(query: &str) -> Result<Page, QueryError> {
    let limit = match value(query, "limit")? {
        None => DEFAULT_LIMIT,
        Some(bytes) => number(&bytes).filter(|limit| *limit <= MAX_LIMIT).ok_or(QueryError::Limit)?,
    };
    let after = match value(query, "after")? {
        None => None,
        Some(bytes) => {
            let text = std::str::from_utf8(&bytes).map_err(|_| QueryError::After)?;
            Some(text.parse::<ConnectionId>().map_err(|_| QueryError::After)?)
        }
    };
    Ok(Page { limit, after })
}

/// The close that `code` and `reason` ask for.
pub(super) fn close(query: &str) -> Result<CloseOrder, QueryError> {
    let code = match value(query, "code")? {
        None => None,
        Some(bytes) => Some(number(&bytes).filter(|code| application_may_send(*code)).ok_or(QueryError::Code)?),
    };
    let reason = match value(query, "reason")? {
        None => None,
        Some(bytes) => Some(String::from_utf8(bytes.into_owned()).map_err(|_| QueryError::Reason)?),
    };
    if code.is_none() && reason.is_none() {
        return Ok(CloseCause::Application.order());
    }
    let code = code.unwrap_or_else(|| CloseCause::Application.code());
    Ok(CloseCause::application(code, reason.as_deref().unwrap_or_default()))
}

fn number<T: std::str::FromStr>(bytes: &[u8]) -> Option<T> {
    if !bytes.iter().all(u8::is_ascii_digit) {
        return None; // `parse` would take a sign
    }
    std::str::from_utf8(bytes).ok()?.parse().ok()
}

fn value<'a>(query: &'a str, name: &str) -> Result<Option<Cow<'a, [u8]>>, QueryError> {
    let mut values = query.split('&').filter_map(|pair| {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        (*decode(key) == *name.as_bytes()).then(|| decode(value))
    });
    match (values.next(), values.next()) {
        (_, Some(_)) => Err(QueryError::Twice),
        (first, None) => Ok(first),
    }
}

fn decode(text: &str) -> Cow<'_, [u8]> {
    if text.contains('+') {
        Cow::Owned(percent_decode(text.replace('+', " ").as_bytes()).collect())
    } else {
        percent_decode(text.as_bytes()).into()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // tests fail by panicking
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn pages_have_a_default_and_a_largest_size() {
        for (query, limit) in [("", 100), ("limit=1000", 1000), ("limit=0", 0), ("x=y&limit=5&X-Amz-Date=z", 5)] {
            assert_eq!(page(query).unwrap().limit, limit, "{query}");
        }
        for query in
            ["limit=1001", "limit=-1", "limit=%2B1", "limit=", "limit", "limit=x", "limit=99999999999999999999"]
        {
            assert_eq!(page(query).err(), Some(QueryError::Limit), "{query}");
        }
        assert_eq!(page("limit=1&limit=1").err(), Some(QueryError::Twice));
    }

    #[test]
    fn a_page_starts_after_a_connection() {
        let id = ConnectionId::random();
        assert_eq!(page(&format!("after={id}")).unwrap().after, Some(id));
        assert_eq!(page("after=nobody").err(), Some(QueryError::After));
        assert_eq!(page("after=%ff").err(), Some(QueryError::After));
    }

    #[test]
    fn a_close_has_the_code_and_reason_that_were_asked_for() {
        for (query, code, reason) in [
            ("", 1000, "closed by the application"),
            ("code=4001", 4001, ""),
            ("reason=bye", 1000, "bye"),
            ("code=1012&reason=over+there%2B%26", 1012, "over there+&"),
            ("reason=", 1000, ""),
        ] {
            let order = close(query).unwrap();
            assert_eq!((order.code, &*order.reason), (code, reason), "{query}");
        }
        assert_eq!(close(&format!("reason={}", "x".repeat(200))).unwrap().reason.len(), 123);
    }

    #[test]
    fn codes_that_no_application_may_send_are_refused() {
        for query in ["code=1005", "code=1006", "code=1015", "code=999", "code=5000", "code=", "code=abc", "code=66536"]
        {
            assert_eq!(close(query).err(), Some(QueryError::Code), "{query}");
        }
        assert_eq!(close("reason=%ff").err(), Some(QueryError::Reason));
        assert_eq!(close("code=1000&code=1001").err(), Some(QueryError::Twice));
    }

    proptest! {
        #[test]
        fn no_query_makes_the_parser_panic(query in "[ -~]{0,60}") {
            let _ = page(&query);
            let _ = close(&query);
        }
    }
}
