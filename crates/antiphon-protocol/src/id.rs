//! Names: of tenants, users, projects, topics, keys and nodes.
//! A value of one of these types has passed its check, so nothing behind the door checks it again.

use std::{fmt, sync::Arc};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The post's fixed project id, carried by system frames and by plain copies without a project.
pub const SYSTEM_PROJECT: &str = "88888888-8888-8888-8888-888888888888";

const PROJECT_PREFIX: &str = "project:";
const USER_PREFIX: &str = "user:";

/// Why a name was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// It is empty or too long.
    #[error("{what} must have 1 to {max} characters, this one has {len}")]
    Length {
        /// Which kind of name.
        what: &'static str,
        /// The most characters it may have.
        max: usize,
        /// How many it has.
        len: usize,
    },
    /// A topic of one project's members or of one user, without an id that could be theirs.
    #[error("a topic that begins with `{prefix}` needs an id of 1 to 128 characters behind it")]
    Owner {
        /// How it begins.
        prefix: &'static str,
    },
    /// It has a character outside of its alphabet.
    #[error("{what} may only have printable ASCII characters without space")]
    Alphabet {
        /// Which kind of name.
        what: &'static str,
    },
}

fn check(what: &'static str, max: usize, text: &str) -> Result<(), IdError> {
    if text.is_empty() || text.len() > max {
        return Err(IdError::Length { what, max, len: text.len() });
    }
    if !text.bytes().all(|b| (0x21..=0x7e).contains(&b)) {
        return Err(IdError::Alphabet { what });
    }
    Ok(())
}

fn check_key(what: &'static str, max: usize, text: &str) -> Result<(), IdError> {
    if text.is_empty() || text.len() > max {
        return Err(IdError::Length { what, max, len: text.len() });
    }
    if text.chars().any(char::is_control) {
        return Err(IdError::Alphabet { what });
    }
    Ok(())
}

fn check_topic(what: &'static str, max: usize, text: &str) -> Result<(), IdError> {
    check(what, max, text)?;
    for prefix in [PROJECT_PREFIX, USER_PREFIX] {
        // Else it would be an ordinary topic, open to all users of the tenant.
        if text.strip_prefix(prefix).is_some_and(|id| ProjectId::parse(id).is_err()) {
            return Err(IdError::Owner { prefix });
        }
    }
    Ok(())
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $what:literal, $max:literal, $check:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(Arc<str>);

        impl $name {
            /// The most bytes that it may have.
            pub const MAX_BYTES: usize = $max;

            /// Checks the text and takes it.
            pub fn parse(text: &str) -> Result<Self, IdError> {
                $check($what, $max, text)?;
                Ok(Self(text.into()))
            }

            /// The text of it.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&self.0, f)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl std::str::FromStr for $name {
            type Err = IdError;
            fn from_str(text: &str) -> Result<Self, IdError> {
                Self::parse(text)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                to.serialize_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<str>::deserialize(from)?;
                Self::parse(&text).map_err(serde::de::Error::custom)
            }
        }
    };
}

name!(
    /// A tenant: the post's company.
    TenantId, "a tenant's id", 128, check
);
name!(
    /// A user of one tenant.
    UserId, "a user's id", 128, check
);
name!(
    /// A project of one tenant.
    ProjectId, "a project's id", 128, check
);
name!(
    /// A topic's name within its tenant.
    TopicName, "a topic's name", 255, check_topic
);
name!(
    /// An idempotency key, unique for its topic and author.
    Key, "a key", 255, check_key
);

impl TopicName {
    /// What a store kept: it was checked when it came, or is a tenant's id, which may be any.
    pub fn stored(text: &str) -> Self {
        Self(text.into())
    }
}

/// A node of the cluster: made anew at each start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct NodeId(pub u64);

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// What a topic's name says about who it is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TopicKind {
    /// The tenant's own topic: its name is the tenant's id.
    Tenant,
    /// `project:<id>`: for that project's members.
    Project(ProjectId),
    /// `user:<id>`: for that user.
    User(UserId),
    /// `$antiphon:...`: ours alone.
    Reserved,
    /// Any other name.
    Other,
}

/// A topic: exactly one tenant's, by its name there.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Topic {
    tenant: TenantId,
    name: TopicName,
}

impl Topic {
    /// The topic of that tenant with that name.
    pub fn new(tenant: TenantId, name: TopicName) -> Self {
        Self { tenant, name }
    }

    /// The tenant's own topic.
    pub fn of_tenant(tenant: &TenantId) -> Self {
        Self { tenant: tenant.clone(), name: TopicName(tenant.0.clone()) }
    }

    /// Whose it is.
    pub fn tenant(&self) -> &TenantId {
        &self.tenant
    }

    /// Its name within the tenant.
    pub fn name(&self) -> &TopicName {
        &self.name
    }

    /// What its name says about who it is for.
    pub fn kind(&self) -> TopicKind {
        let name = self.name.as_str();
        if name.starts_with("$antiphon:") {
            TopicKind::Reserved
        } else if name == self.tenant.as_str() {
            TopicKind::Tenant
        } else if let Some(Ok(project)) = name.strip_prefix(PROJECT_PREFIX).map(ProjectId::parse) {
            TopicKind::Project(project)
        } else if let Some(Ok(user)) = name.strip_prefix(USER_PREFIX).map(UserId::parse) {
            TopicKind::User(user)
        } else {
            TopicKind::Other
        }
    }
}

impl fmt::Debug for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.tenant, self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_takes_what_applications_use_and_nothing_else() {
        for good in ["1", "auth0|6a", "a@b.example", "88888888-8888-8888-8888-888888888888", &"x".repeat(128)]
        {
            assert!(TenantId::parse(good).is_ok(), "{good}");
        }
        for bad in ["", " ", "a b", "é", "a\n", "\u{7f}", &"x".repeat(129)] {
            assert!(TenantId::parse(bad).is_err(), "{bad:?}");
        }
        assert!(TopicName::parse(&"x".repeat(255)).is_ok());
        assert!(TopicName::parse(&"x".repeat(256)).is_err());
    }

    #[test]
    fn a_topic_of_nobodys_project_or_user_is_no_topic() {
        let long = "x".repeat(129);
        for bad in ["project:", "user:", &format!("project:{long}"), &format!("user:{long}")] {
            assert!(matches!(TopicName::parse(bad), Err(IdError::Owner { .. })), "{bad}");
        }
        for good in ["project:1", "user:a", "project", "projects:", &format!("user:{}", "x".repeat(128))] {
            assert!(TopicName::parse(good).is_ok(), "{good}");
        }
        // A tenant may have any id, and its own topic has the same name.
        let odd = TenantId::parse("user:").unwrap();
        assert_eq!(Topic::new(odd.clone(), TopicName::stored("user:")).kind(), TopicKind::Tenant);
    }

    #[test]
    fn a_topic_named_like_another_tenant_is_not_that_tenants_own() {
        let acme = TenantId::parse("acme").unwrap();
        assert_eq!(Topic::of_tenant(&acme).kind(), TopicKind::Tenant);
        let other = Topic::new(acme, TopicName::parse("globex").unwrap());
        assert_eq!(other.kind(), TopicKind::Other);
    }
}
