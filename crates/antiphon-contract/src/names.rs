//! Names for the suites: fresh ones, so that an engine with a past can run them again.

use antiphon_core::{Directory, MemberSettings, SeamError};
use antiphon_protocol::{Content, Draft, Key, ProjectId, TenantId, Topic, TopicName, UserId};

pub(crate) fn tenant(name: &str) -> TenantId {
    TenantId::parse(&format!("{name}-{}", uuid::Uuid::new_v4())).expect("a suite's names are valid")
}

pub(crate) fn user(name: &str) -> UserId {
    UserId::parse(name).expect("a suite's names are valid")
}

pub(crate) fn project(name: &str) -> ProjectId {
    ProjectId::parse(name).expect("a suite's names are valid")
}

pub(crate) fn topic(tenant: &TenantId, name: &str) -> Topic {
    Topic::new(tenant.clone(), TopicName::parse(name).expect("a suite's names are valid"))
}

pub(crate) fn draft(topic: &Topic, author: Option<&str>, key: Option<&str>, text: &str) -> Draft {
    Draft {
        topic: topic.clone(),
        author: author.map(user),
        named_project: None,
        key: key.map(|key| Key::parse(key).expect("a suite's names are valid")),
        content: Content::text(text).expect("a suite's texts are short"),
    }
}

/// What an engine that is there answers.
#[track_caller]
pub(crate) fn answered<T>(result: Result<T, SeamError>) -> T {
    match result {
        Ok(value) => value,
        Err(error) => panic!("an engine that is there answers: {error}"),
    }
}

/// A member with what it says of `deliver`.
pub(crate) fn wants(name: &str, deliver: Option<bool>) -> MemberSettings {
    MemberSettings { user: user(name), deliver, push: None }
}

/// The tenant's revision now.
pub(crate) async fn revision(directory: &dyn Directory, tenant: &TenantId) -> u64 {
    answered(directory.revisions(std::slice::from_ref(tenant)).await)[0]
}
