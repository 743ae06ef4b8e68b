//! The answer headers by which an application does more than reply.
//!
//! Names are comma-separated and percent-encoded, so that a group may hold a comma. An invalid value is ignored and
//! counted rather than failing the message: the answer itself was good, and the client can do nothing about it.

use http::HeaderMap;
use percent_encoding::percent_decode_str;

use crate::closing::{CloseCause, application_may_send};
use crate::connection::{CloseOrder, valid_name};

/// Where a reply goes instead of where the route says.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum ReplyOverride {
    Sender,
    None,
    All,
    Group(String),
    User(String),
}

/// What the headers of one answer ask for.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Effects {
    pub(crate) leave: Vec<String>,
    pub(crate) join: Vec<String>,
    /// An empty name takes the user away.
    pub(crate) user: Option<String>,
    pub(crate) state: Vec<(String, String)>,
    pub(crate) reply_to: Option<ReplyOverride>,
    pub(crate) close: Option<CloseOrder>,
    /// Names of headers whose value was not understood.
    pub(crate) ignored: Vec<&'static str>,
}

const LEAVE: &str = "moorline-leave";
const JOIN: &str = "moorline-join";
const USER: &str = "moorline-user";
const REPLY_TO: &str = "moorline-reply-to";
const CLOSE: &str = "moorline-close";
const STATE: &str = "moorline-state-";

impl Effects {
    /// Reads the headers. After anything but success only a close is honoured.
    pub(crate) fn read(headers: &HeaderMap, success: bool) -> Self {
        let mut effects = Self::default();
        for (name, value) in headers {
            let name = name.as_str();
            // One comparison for the many headers that are none of ours.
            if !name.starts_with("moorline-") || (!success && name != CLOSE) {
                continue;
            }
            let Ok(value) = std::str::from_utf8(value.as_bytes()) else {
                effects.ignored.push(label(name));
                continue;
            };
            if effects.read_one(name, value.trim()).is_none() {
                effects.ignored.push(label(name));
            }
        }
        effects
    }

    fn read_one(&mut self, name: &str, value: &str) -> Option<()> {
        match name {
            LEAVE => self.leave.extend(names(value)?),
            JOIN => self.join.extend(names(value)?),
            USER => {
                let user = decode(value)?;
                if !user.is_empty() && !valid_name(&user) {
                    return None;
                }
                self.user = Some(user);
            }
            REPLY_TO => self.reply_to = Some(reply_to(value)?),
            CLOSE => self.close = Some(close(value)?),
            _ => {
                let key = name.strip_prefix(STATE).filter(|key| !key.is_empty())?;
                // Returned as a header value on each later call, so it must be able to be one; the client of a
                // hostile application is no concern here, the application's own next call is.
                if value.chars().any(char::is_control) {
                    return None;
                }
                self.state.push((key.to_owned(), value.to_owned()));
            }
        }
        Some(())
    }
}

/// A bounded label: the fixed names, and one for all state headers.
fn label(name: &str) -> &'static str {
    match name {
        LEAVE => LEAVE,
        JOIN => JOIN,
        USER => USER,
        REPLY_TO => REPLY_TO,
        CLOSE => CLOSE,
        _ if name.starts_with(STATE) => STATE,
        _ => "unknown",
    }
}

fn decode(text: &str) -> Option<String> {
    percent_decode_str(text).decode_utf8().ok().map(std::borrow::Cow::into_owned)
}

fn name(text: &str) -> Option<String> {
    decode(text.trim()).filter(|name| valid_name(name))
}

/// All names or none: half a list is not what the application meant.
fn names(list: &str) -> Option<Vec<String>> {
    list.split(',').map(name).collect()
}

fn reply_to(value: &str) -> Option<ReplyOverride> {
    Some(match value {
        "sender" => ReplyOverride::Sender,
        "none" => ReplyOverride::None,
        "all" => ReplyOverride::All,
        _ => match value.split_once(':')? {
            ("group", group) => ReplyOverride::Group(name(group)?),
            ("user", user) => ReplyOverride::User(name(user)?),
            _ => return None,
        },
    })
}

/// `1000`, or `1000 reason`.
fn close(value: &str) -> Option<CloseOrder> {
    let (code, reason) = value.split_once(' ').unwrap_or((value, ""));
    let code = code.trim_end_matches(',').parse().ok().filter(|code| application_may_send(*code))?;
    Some(CloseCause::application(code, &decode(reason.trim())?))
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};

    use super::*;

    fn read(headers: &[(&str, &str)], success: bool) -> Effects {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(name.parse::<HeaderName>().unwrap(), HeaderValue::from_str(value).unwrap());
        }
        Effects::read(&map, success)
    }

    #[test]
    fn names_are_lists_of_percent_encoded_text() {
        let effects = read(&[("Moorline-Join", "a, b%2Cc"), ("Moorline-Join", "d"), ("Moorline-Leave", "e%20f")], true);
        assert_eq!(effects.join, ["a", "b,c", "d"]);
        assert_eq!(effects.leave, ["e f"]);
    }

    #[test]
    fn a_close_names_a_code_and_perhaps_a_reason() {
        let order = |value| read(&[("Moorline-Close", value)], true).close.map(|o| (o.code, o.reason.to_string()));
        assert_eq!(order("4001 see%20you later"), Some((4001, "see you later".to_owned())));
        assert_eq!(order("1000"), Some((1000, String::new())));
        for value in ["", "1002", "1006", "999", "x", "5000 no"] {
            assert_eq!(order(value), None, "{value}");
        }
    }

    #[test]
    fn after_a_failure_only_a_close_is_honoured() {
        let effects = read(&[("Moorline-Join", "a"), ("Moorline-Close", "1008"), ("Moorline-State-x", "1")], false);
        assert_eq!(effects.close.map(|order| order.code), Some(1008));
        assert!(effects.join.is_empty() && effects.state.is_empty() && effects.ignored.is_empty());
    }

    #[test]
    fn what_is_not_understood_is_ignored_and_named() {
        let effects = read(
            &[
                ("Moorline-Join", "a,,b"),
                ("Moorline-User", "%ff"),
                ("Moorline-Reply-To", "everyone"),
                ("Moorline-State-", "x"),
                ("Moorline-Nonsense", "x"),
            ],
            true,
        );
        let mut ignored = effects.ignored.clone();
        ignored.sort_unstable();
        assert_eq!(ignored, ["moorline-join", "moorline-reply-to", "moorline-state-", "moorline-user", "unknown"]);
        assert_eq!(effects, Effects { ignored: effects.ignored.clone(), ..Effects::default() });
    }

    #[test]
    fn replies_can_be_sent_elsewhere() {
        let to = |value| read(&[("Moorline-Reply-To", value)], true).reply_to;
        assert_eq!(to("sender"), Some(ReplyOverride::Sender));
        assert_eq!(to("none"), Some(ReplyOverride::None));
        assert_eq!(to("all"), Some(ReplyOverride::All));
        assert_eq!(to("group:a%3Ab"), Some(ReplyOverride::Group("a:b".to_owned())));
        assert_eq!(to("user:u"), Some(ReplyOverride::User("u".to_owned())));
        assert_eq!(to("group:"), None);
    }
}
