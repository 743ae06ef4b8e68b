//! How messages name things, and how long they may be.
//!
//! Messages are read by people and compared by the operator: the same world has to give the same words, so lists are
//! sorted and cut in one place.

/// How many names of a list are spelled out.
const NAMED: usize = 3;
/// What a message may have. Conditions hold 32 KiB and notes of Events 1 KiB; nobody reads more than this.
pub(super) const MAX_BYTES: usize = 1000;

/// `a, b, c and 4 more`; the names are sorted by the caller.
pub(super) fn list<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    let names: Vec<&str> = names.into_iter().collect();
    let shown = names.get(..NAMED).unwrap_or(&names).join(", ");
    match names.len().checked_sub(NAMED).filter(|more| *more > 0) {
        Some(more) => format!("{shown} and {more} more"),
        None => shown,
    }
}

/// `1 pod runs` or `3 pods run`, as the number wants it.
pub(super) fn plural<'a>(count: usize, one: &'a str, many: &'a str) -> &'a str {
    if count == 1 { one } else { many }
}

/// A message that is not too long.
pub(super) fn cut(mut message: String) -> String {
    if message.len() > MAX_BYTES {
        let end = (0..=MAX_BYTES - 3).rev().find(|at| message.is_char_boundary(*at)).unwrap_or(0);
        message.truncate(end);
        message.push_str("...");
    }
    message
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_lists_and_long_messages_are_cut() {
        assert_eq!(list(["a"]), "a");
        assert_eq!(list(["a", "b", "c"]), "a, b, c");
        assert_eq!(list(["a", "b", "c", "d", "e"]), "a, b, c and 2 more");
        assert_eq!(cut("short".to_owned()), "short");
        let long = cut("é".repeat(800));
        assert!(long.len() <= MAX_BYTES && long.ends_with("é..."), "{}", long.len());
    }
}
