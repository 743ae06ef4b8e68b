//! The names of the app's ports in this pod.
//!
//! A Service may name its target port, and two pods behind it may give that name different numbers. Only the pod knows,
//! so whoever makes the container says it: `http=3000,admin=9000`.

use std::collections::BTreeMap;
use std::str::FromStr;

/// Numbers by name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AppPorts(pub BTreeMap<String, u16>);

/// Why a text is no list of ports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AppPortsError {
    /// An item is not a name and a number.
    #[error("is a list of NAME=PORT, as http=3000,admin=9000")]
    Item,
    /// Two items have one name.
    #[error("names each port once")]
    Twice,
}

impl AppPortsError {
    /// A fixed name for the kind of error.
    pub fn reason(self) -> &'static str {
        match self {
            Self::Item => "item",
            Self::Twice => "twice",
        }
    }
}

impl FromStr for AppPorts {
    type Err = AppPortsError;

    fn from_str(text: &str) -> Result<Self, AppPortsError> {
        let mut ports = BTreeMap::new();
        for item in text.split(',').map(str::trim).filter(|item| !item.is_empty()) {
            let (name, number) = item.split_once('=').ok_or(AppPortsError::Item)?;
            let number = number.parse().ok().filter(|number| *number > 0).ok_or(AppPortsError::Item)?;
            if name.is_empty() {
                return Err(AppPortsError::Item);
            }
            if ports.insert(name.to_owned(), number).is_some() {
                return Err(AppPortsError::Twice);
            }
        }
        Ok(Self(ports))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers_are_read_and_nothing_else() {
        let ports: Result<AppPorts, _> = "http=3000, admin=9000,".parse();
        assert_eq!(ports, Ok(AppPorts([("admin".to_owned(), 9000), ("http".to_owned(), 3000)].into())));
        assert_eq!("".parse(), Ok(AppPorts::default()));
        for (text, error) in [
            ("http", AppPortsError::Item),
            ("=1", AppPortsError::Item),
            ("http=0", AppPortsError::Item),
            ("http=70000", AppPortsError::Item),
            ("http=1,http=2", AppPortsError::Twice),
        ] {
            assert_eq!(text.parse::<AppPorts>(), Err(error), "{text}");
        }
    }
}
