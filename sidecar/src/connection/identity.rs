//! Who a connection is: its user, its groups and the state its application keeps with it.
//!
//! One lock holds all three together with the fact that the connection has gone, so that a join that races with the
//! end of the connection can never leave a stale membership behind.

use std::sync::Arc;

/// The most groups one connection may be in.
pub const MAX_GROUPS: usize = 100;
/// The longest name of a group or user, in bytes.
pub const MAX_NAME_BYTES: usize = 128;
/// The most state an application may keep with one connection: names and values together, in bytes. It travels with
/// every call, so it is sized as a large header, not as storage.
pub const MAX_STATE_BYTES: usize = 4096;

/// Why a change of identity was refused.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum IdentityError {
    /// The name is empty, too long or holds a control character.
    #[error("a name is 1 to {MAX_NAME_BYTES} bytes of UTF-8 without control characters")]
    InvalidName,
    /// The connection is in as many groups as it may be.
    #[error("a connection is in at most {MAX_GROUPS} groups")]
    TooManyGroups,
    /// The state would be larger than a connection may keep.
    #[error("the state of a connection is at most {MAX_STATE_BYTES} bytes")]
    StateTooLarge,
    /// The connection has ended.
    #[error("the connection is gone")]
    Gone,
}

/// User, groups and state of one connection.
#[derive(Debug, Default)]
pub struct Identity {
    user: Option<Arc<str>>,
    groups: Vec<Arc<str>>,
    /// `(name, value)`.
    state: Vec<(Box<str>, Box<str>)>,
    gone: bool,
}

impl Identity {
    /// The user.
    pub fn user(&self) -> Option<&Arc<str>> {
        self.user.as_ref()
    }

    /// The groups, in the order they were joined.
    pub fn groups(&self) -> &[Arc<str>] {
        &self.groups
    }

    /// The application's state.
    pub fn state(&self) -> impl Iterator<Item = (&str, &str)> {
        self.state.iter().map(|(name, value)| (&**name, &**value))
    }

    /// Whether the connection has ended.
    pub fn is_gone(&self) -> bool {
        self.gone
    }

    /// Names the user, or takes the name away. Returns the one before.
    pub(crate) fn set_user(&mut self, user: Option<Arc<str>>) -> Option<Arc<str>> {
        std::mem::replace(&mut self.user, user)
    }

    /// Adds a group; `false` if it was there.
    pub(crate) fn add_group(&mut self, group: &Arc<str>) -> Result<bool, IdentityError> {
        if self.gone {
            return Err(IdentityError::Gone);
        }
        if self.groups.iter().any(|known| known == group) {
            return Ok(false);
        }
        if self.groups.len() >= MAX_GROUPS {
            return Err(IdentityError::TooManyGroups);
        }
        self.groups.push(Arc::clone(group));
        Ok(true)
    }

    /// Removes a group; `false` if it was not there.
    pub(crate) fn remove_group(&mut self, group: &str) -> bool {
        let before = self.groups.len();
        self.groups.retain(|known| &**known != group);
        self.groups.len() != before
    }

    /// Sets one value of the state; an empty value removes it.
    pub(crate) fn set_state(&mut self, name: &str, value: &str) -> Result<(), IdentityError> {
        let entries = &mut self.state;
        let others: usize = entries.iter().filter(|(known, _)| &**known != name).map(|(n, v)| n.len() + v.len()).sum();
        if !value.is_empty() && others + name.len() + value.len() > MAX_STATE_BYTES {
            return Err(IdentityError::StateTooLarge);
        }
        entries.retain(|(known, _)| &**known != name);
        if !value.is_empty() {
            entries.push((name.into(), value.into()));
        }
        Ok(())
    }

    /// Marks the connection as ended and hands out what the indexes must forget.
    pub(crate) fn end(&mut self) -> (Option<Arc<str>>, Vec<Arc<str>>) {
        self.gone = true;
        // The user stays readable: `$disconnect` still names it.
        (self.user.clone(), std::mem::take(&mut self.groups))
    }
}

/// Whether the text may name a group or a user.
pub fn valid_name(name: &str) -> bool {
    !name.is_empty() && name.len() <= MAX_NAME_BYTES && !name.chars().any(char::is_control)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_1_to_128_bytes_without_controls() {
        assert!(valid_name("tenant-a") && valid_name("日本") && valid_name(&"x".repeat(128)));
        for name in ["", "a\nb", "a\u{7f}", "a\u{85}", &"x".repeat(129)] {
            assert!(!valid_name(name), "{name:?}");
        }
    }

    #[test]
    fn state_is_bounded_and_an_empty_value_removes_it() {
        let mut identity = Identity::default();
        assert_eq!(identity.set_state("a", &"x".repeat(4095)), Ok(()));
        assert_eq!(identity.set_state("b", "y"), Err(IdentityError::StateTooLarge));
        assert_eq!(identity.set_state("a", "z"), Ok(()));
        assert_eq!(identity.set_state("b", "y"), Ok(()));
        assert_eq!(identity.set_state("a", ""), Ok(()));
        assert_eq!(identity.state().collect::<Vec<_>>(), [("b", "y")]);
    }

    #[test]
    fn an_ended_connection_joins_nothing() {
        let mut identity = Identity::default();
        identity.end();
        assert_eq!(identity.add_group(&"g".into()), Err(IdentityError::Gone));
    }

    #[test]
    fn the_hundred_and_first_group_is_refused() {
        let mut identity = Identity::default();
        for n in 0..MAX_GROUPS {
            assert_eq!(identity.add_group(&n.to_string().into()), Ok(true));
        }
        assert_eq!(identity.add_group(&"0".into()), Ok(false));
        assert_eq!(identity.add_group(&"one more".into()), Err(IdentityError::TooManyGroups));
    }
}
