//! From a raw request path to what it names.
//!
//! Done by hand and on the raw path, because every router in the way breaks one client or another: AWS's SDKs send
//! `//@connections` for an endpoint with a trailing slash, some encode the `@`, ids and names hold encoded slashes, and
//! a `+` means a plus. So the path is split first, each segment is decoded exactly once after that, and no decoded
//! value is ever split again.
//!
//! Whatever precedes the first segment that starts an API path is a prefix: the stage of an AWS endpoint, or the name
//! of a Service. Which of the two is decided by who knows the Services.

use std::borrow::Cow;

use http::Method;
use percent_encoding::percent_decode_str;

use crate::connection::{ConnectionId, valid_name};

/// A path of the API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Path {
    /// The segments before the API path, decoded.
    pub(super) prefix: Vec<String>,
    /// What is named.
    pub(super) resource: Resource,
}

/// What a path names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Resource {
    Connections,
    Connection(Id),
    Group(String),
    GroupConnections(String),
    GroupConnection(String, Id),
    User(String),
    UserConnections(String),
    All,
    Drain,
}

/// A connection id as it was written. One that is not well-formed is no error of its own: to the caller it is a
/// connection that is not here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Id {
    pub(super) text: String,
    pub(super) id: Option<ConnectionId>,
}

/// Why a path names nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum PathError {
    #[error("no such path in the callback API")]
    Unknown,
    #[error("the name of a group or user is 1 to 128 bytes of UTF-8 without control characters")]
    Name,
}

/// A call the API offers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operation {
    Send,
    Status,
    Close,
    SendMany,
    Publish,
    Join,
    Leave,
    List,
    Drain,
}

impl Path {
    pub(super) fn parse(raw: &str) -> Result<Self, PathError> {
        let segments: Vec<&str> = raw.split('/').filter(|segment| !segment.is_empty()).collect();
        let start = segments.iter().position(|segment| is_start(segment)).ok_or(PathError::Unknown)?;
        let prefix = segments[..start].iter().map(|segment| lossy(segment).into_owned()).collect();
        let resource = Resource::parse(&segments[start..])?;
        Ok(Self { prefix, resource })
    }
}

impl Resource {
    fn parse(segments: &[&str]) -> Result<Self, PathError> {
        let is_connections = |segment: &str| lossy(segment) == "connections";
        match (&*lossy(segments[0]), &segments[1..]) {
            ("@connections", []) => Ok(Self::Connections),
            ("@connections", [id]) => Ok(Self::Connection(Id::parse(id))),
            ("@groups", [group]) => name(group).map(Self::Group),
            ("@groups", [group, part]) if is_connections(part) => name(group).map(Self::GroupConnections),
            ("@groups", [group, part, id]) if is_connections(part) => {
                Ok(Self::GroupConnection(name(group)?, Id::parse(id)))
            }
            ("@users", [user]) => name(user).map(Self::User),
            ("@users", [user, part]) if is_connections(part) => name(user).map(Self::UserConnections),
            ("@all", []) => Ok(Self::All),
            ("@drain", []) => Ok(Self::Drain),
            _ => Err(PathError::Unknown),
        }
    }

    /// The call that this method makes here.
    pub(super) fn operation(&self, method: &Method) -> Option<Operation> {
        self.operations().iter().find(|(known, _)| known == method).map(|(_, operation)| *operation)
    }

    /// The methods allowed here, as `Allow` lists them.
    pub(super) fn allow(&self) -> String {
        let methods: Vec<&str> = self.operations().iter().map(|(method, _)| method.as_str()).collect();
        methods.join(", ")
    }

    fn operations(&self) -> &'static [(Method, Operation)] {
        match self {
            Self::Connections => &[(Method::POST, Operation::SendMany)],
            Self::Connection(_) => {
                &[(Method::POST, Operation::Send), (Method::GET, Operation::Status), (Method::DELETE, Operation::Close)]
            }
            Self::Group(_) | Self::User(_) => &[(Method::POST, Operation::Publish)],
            Self::All => &[(Method::POST, Operation::Publish), (Method::GET, Operation::List)],
            Self::GroupConnections(_) | Self::UserConnections(_) => &[(Method::GET, Operation::List)],
            Self::GroupConnection(..) => &[(Method::PUT, Operation::Join), (Method::DELETE, Operation::Leave)],
            Self::Drain => &[(Method::POST, Operation::Drain)],
        }
    }

    /// The connection, group or user that is named.
    pub(super) fn target(&self) -> &str {
        match self {
            Self::Connection(id) => &id.text,
            Self::Group(name)
            | Self::GroupConnections(name)
            | Self::GroupConnection(name, _)
            | Self::User(name)
            | Self::UserConnections(name) => name,
            Self::Connections | Self::All | Self::Drain => "",
        }
    }

    /// The name of a call on this resource in metrics and logs.
    pub(super) fn label(&self, operation: Operation) -> &'static str {
        match (operation, self) {
            (Operation::Send, _) => "send",
            (Operation::Status, _) => "status",
            (Operation::Close, _) => "close",
            (Operation::SendMany, _) => "send_many",
            (Operation::Join, _) => "join",
            (Operation::Leave, _) => "leave",
            (Operation::Drain, _) => "drain",
            (Operation::Publish, Self::Group(_)) => "publish_group",
            (Operation::Publish, Self::User(_)) => "publish_user",
            (Operation::Publish, _) => "publish_all",
            (Operation::List, Self::GroupConnections(_)) => "list_group",
            (Operation::List, Self::UserConnections(_)) => "list_user",
            (Operation::List, _) => "list_all",
        }
    }
}

impl Id {
    fn parse(segment: &str) -> Self {
        let text = lossy(segment).into_owned();
        let id = text.parse().ok();
        Self { text, id }
    }
}

fn is_start(segment: &str) -> bool {
    matches!(&*lossy(segment), "@connections" | "@groups" | "@users" | "@all" | "@drain")
}

fn lossy(segment: &str) -> Cow<'_, str> {
    percent_decode_str(segment).decode_utf8_lossy()
}

fn name(segment: &str) -> Result<String, PathError> {
    let name = percent_decode_str(segment).decode_utf8().map_err(|_| PathError::Name)?;
    if valid_name(&name) { Ok(name.into_owned()) } else { Err(PathError::Name) }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)] // tests fail by panicking
    use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
    use proptest::prelude::*;

    use super::*;

    fn id(text: &str) -> Id {
        Id { text: text.to_owned(), id: text.parse().ok() }
    }

    #[test]
    fn every_form_that_clients_send_finds_its_resource() {
        let known = ConnectionId::random().to_string();
        let connection = || Resource::Connection(id(&known));
        for (raw, prefix, resource) in [
            (format!("/@connections/{known}"), vec![], connection()),
            (format!("/prod/@connections/{known}"), vec!["prod"], connection()),
            (format!("/prod//@connections/{known}"), vec!["prod"], connection()),
            (format!("//@connections//{known}/"), vec![], connection()),
            (format!("/%40connections/{known}"), vec![], connection()),
            (format!("/prod/%40connections/{known}///"), vec!["prod"], connection()),
            (format!("/shop/orders/@connections/{known}"), vec!["shop", "orders"], connection()),
            (format!("/shop/orders/prod/@connections/{known}"), vec!["shop", "orders", "prod"], connection()),
            ("/@connections/a%2Fb%2Bc%20d%40".into(), vec![], Resource::Connection(id("a/b+c d@"))),
            ("/@connections".into(), vec![], Resource::Connections),
            ("/@connections/".into(), vec![], Resource::Connections),
            ("/@groups/a+b".into(), vec![], Resource::Group("a+b".into())),
            ("/@groups/a%2Bb".into(), vec![], Resource::Group("a+b".into())),
            ("/@groups/a%252Fb".into(), vec![], Resource::Group("a%2Fb".into())),
            ("/@groups/a%2Fb%2Fconnections".into(), vec![], Resource::Group("a/b/connections".into())),
            ("/@groups/connections".into(), vec![], Resource::Group("connections".into())),
            ("/@groups/@all/connections".into(), vec![], Resource::GroupConnections("@all".into())),
            ("/@groups/g/connections/x".into(), vec![], Resource::GroupConnection("g".into(), id("x"))),
            ("/@users/%C3%A4".into(), vec![], Resource::User("ä".into())),
            ("/@users/u/connections".into(), vec![], Resource::UserConnections("u".into())),
            ("/@all".into(), vec![], Resource::All),
            ("/%40all/".into(), vec![], Resource::All),
            ("/@drain".into(), vec![], Resource::Drain),
        ] {
            let prefix = prefix.into_iter().map(str::to_owned).collect();
            assert_eq!(Path::parse(&raw), Ok(Path { prefix, resource }), "{raw}");
        }
    }

    #[test]
    fn other_paths_name_nothing() {
        for raw in [
            "",
            "/",
            "*",
            "/connections/x",
            "/@connection/x",
            "/@Connections/x",
            "/@connections/a/b",
            "/@groups",
            "/@groups/g/members",
            "/@groups/g/connections/x/y",
            "/@users",
            "/@users/u/connections/x",
            "/@all/x",
            "/@drain/now",
            "/%2540connections/x",
            "/prod%2F@connections/x",
        ] {
            assert_eq!(Path::parse(raw), Err(PathError::Unknown), "{raw}");
        }
    }

    #[test]
    fn names_that_cannot_be_used_are_told_from_unknown_paths() {
        for raw in
            ["/@groups/%00", "/@users/%ff", "/@groups/a%0Ab/connections", &format!("/@users/{}", "x".repeat(129))]
        {
            assert_eq!(Path::parse(raw), Err(PathError::Name), "{raw}");
        }
    }

    #[test]
    fn an_id_that_is_not_well_formed_is_still_an_id() {
        for raw in ["/@connections/%ff", "/@connections/..", "/@connections/%zz", "/@connections/Lj0_fcN1oAMCJpg="] {
            let Resource::Connection(id) = Path::parse(raw).unwrap().resource else { panic!("{raw}") };
            assert_eq!(id.id, None, "{raw}");
        }
    }

    #[test]
    fn each_resource_has_the_methods_of_its_calls_and_no_others() {
        for (raw, allow) in [
            ("/@connections", "POST"),
            ("/@connections/x", "POST, GET, DELETE"),
            ("/@groups/g", "POST"),
            ("/@users/u", "POST"),
            ("/@all", "POST, GET"),
            ("/@groups/g/connections", "GET"),
            ("/@users/u/connections", "GET"),
            ("/@groups/g/connections/x", "PUT, DELETE"),
            ("/@drain", "POST"),
        ] {
            let resource = Path::parse(raw).unwrap().resource;
            assert_eq!(resource.allow(), allow, "{raw}");
            for method in [Method::POST, Method::GET, Method::DELETE, Method::PUT, Method::HEAD, Method::PATCH] {
                let is_allowed = allow.split(", ").any(|known| known == method.as_str());
                assert_eq!(resource.operation(&method).is_some(), is_allowed, "{method} {raw}");
            }
        }
    }

    proptest! {
        #[test]
        fn no_path_makes_the_parser_panic(raw in "[/@%a-z0-9+.]{0,40}|\\PC{0,40}") {
            let _ = Path::parse(&raw);
        }

        #[test]
        fn any_name_comes_back_as_it_was_encoded(name in "[^\\pC]{1,30}", stage in "[a-z]{0,5}") {
            prop_assume!(valid_name(&name));
            let encoded = utf8_percent_encode(&name, NON_ALPHANUMERIC);
            let path = Path::parse(&format!("/{stage}/@groups/{encoded}/connections")).unwrap();
            prop_assert_eq!(path.resource, Resource::GroupConnections(name));
        }

        #[test]
        fn no_encoded_value_reaches_another_resource(value in "\\PC{1,30}") {
            let encoded = utf8_percent_encode(&value, NON_ALPHANUMERIC);
            let path = Path::parse(&format!("/@connections/{encoded}")).unwrap();
            prop_assert!(matches!(path.resource, Resource::Connection(id) if id.text == value));
        }
    }
}
