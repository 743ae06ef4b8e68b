//! Which of two states of an object is the newer one.
//!
//! The answer to an apply is put into the index at once, so that the next plan sees it, and the watch may still bring
//! what was before. The versions of the API server are numbers that grow, which Kubernetes promises since 1.35 and keeps
//! since ever; one that is no number is taken as it comes.

/// The version of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Version(u64);

impl Version {
    /// Of the text in the metadata.
    pub(crate) fn parse(text: Option<&str>) -> Self {
        Self(text.and_then(|text| text.parse().ok()).unwrap_or(0))
    }

    /// Whether an object of this version replaces one of that version. The same version is nothing new.
    pub(crate) fn replaces(self, other: Self) -> bool {
        self.0 == 0 || other.0 == 0 || self.0 > other.0
    }

    /// Whether a deletion seen at this version is of that object, and not of one that had its name before.
    pub(crate) fn deletes(self, other: Self) -> bool {
        self.0 == 0 || other.0 == 0 || self.0 >= other.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_newer_version_replaces_an_older_one_and_not_the_other_way_round() {
        let (old, new) = (Version::parse(Some("9")), Version::parse(Some("10")));
        assert!(new.replaces(old));
        assert!(!old.replaces(new));
        assert!(!new.replaces(new));
    }

    #[test]
    fn a_version_that_is_no_number_is_taken_as_it_comes() {
        let (odd, number) = (Version::parse(Some("a-7")), Version::parse(Some("7")));
        assert!(odd.replaces(number) && number.replaces(odd) && odd.deletes(number));
        assert!(Version::parse(None).replaces(number));
    }
}
