//! Who may do what with a topic: rules that decide from memory.

use antiphon_protocol::{ProjectId, Topic, TopicKind, UserId};
use serde::{Deserialize, Serialize};

/// What is to be done with a topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Subscribe, read its history, ask who is there.
    Subscribe,
    /// Publish an entry or a signal.
    Publish,
}

/// What a decision may ask about the user.
pub trait Membership {
    /// Is the user a member of this project now?
    fn is_member(&self, project: &ProjectId) -> bool;
}

/// Who asks.
pub struct Access<'a> {
    /// The user.
    pub user: &'a UserId,
    /// What it wants.
    pub action: Action,
    /// Of which topic: always one of its own tenant.
    pub topic: &'a Topic,
    /// For a publish: the project that the entry belongs to.
    pub project: Option<&'a ProjectId>,
    /// Its memberships.
    pub membership: &'a dyn Membership,
}

/// Decides who may; an application that embeds antiphon can bring its own. Must not block.
pub trait Authorizer: Send + Sync {
    /// May it?
    fn allows(&self, access: &Access<'_>) -> bool;
}

/// Who a topic rule lets in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AccessRule {
    /// All users of the tenant.
    Users,
    /// Members of the project that the match's `*` stands for.
    Members,
    /// The user that the match's `*` stands for.
    #[serde(rename = "self")]
    Own,
    /// Only an API key.
    Key,
    /// Nobody.
    None,
}

/// One rule of the configuration: the first whose `match` fits decides.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TopicRule {
    /// A topic's name, of which one `*` stands for any characters.
    pub r#match: String,
    /// Who may subscribe.
    pub subscribe: AccessRule,
    /// Who may publish.
    pub publish: AccessRule,
}

impl TopicRule {
    /// What the `*` stands for in this name (empty without a `*`); none: it does not fit.
    fn captured<'a>(&self, name: &'a str) -> Option<&'a str> {
        match self.r#match.split_once('*') {
            None => (self.r#match == name).then_some(""),
            Some((head, tail)) => name.strip_prefix(head)?.strip_suffix(tail),
        }
    }
}

/// The configured rules before the built-in ones.
#[derive(Debug, Clone, Default)]
pub struct TopicRules(pub Vec<TopicRule>);

impl Authorizer for TopicRules {
    fn allows(&self, access: &Access<'_>) -> bool {
        let kind = access.topic.kind();
        if kind == TopicKind::Reserved {
            return false;
        }
        // Only a member may write to a project, whatever a rule says of the topic.
        let writes_to = access.project.filter(|_| access.action == Action::Publish);
        if writes_to.is_some_and(|project| !access.membership.is_member(project)) {
            return false;
        }
        let name = access.topic.name().as_str();
        let configured = self.0.iter().find_map(|rule| {
            let captured = rule.captured(name)?;
            Some((
                if access.action == Action::Publish { rule.publish } else { rule.subscribe },
                captured.to_owned(),
            ))
        });
        let (rule, captured) = configured.unwrap_or_else(|| match &kind {
            TopicKind::Project(project) => (AccessRule::Members, project.to_string()),
            TopicKind::User(_) if access.action == Action::Publish => (AccessRule::Key, String::new()),
            TopicKind::User(user) => (AccessRule::Own, user.to_string()),
            _ => (AccessRule::Users, String::new()),
        });
        match rule {
            AccessRule::Users => true,
            AccessRule::Members => {
                ProjectId::parse(&captured).is_ok_and(|project| access.membership.is_member(&project))
            }
            AccessRule::Own => captured == access.user.as_str(),
            AccessRule::Key | AccessRule::None => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use antiphon_protocol::{TenantId, TopicName};

    struct MemberOf(&'static str);
    impl Membership for MemberOf {
        fn is_member(&self, project: &ProjectId) -> bool {
            project.as_str() == self.0
        }
    }

    fn may(rules: &TopicRules, action: Action, name: &str, project: Option<&str>) -> bool {
        let topic = Topic::new(TenantId::parse("acme").unwrap(), TopicName::parse(name).unwrap());
        let project = project.map(|id| ProjectId::parse(id).unwrap());
        let user = UserId::parse("ann").unwrap();
        let access = Access {
            user: &user,
            action,
            topic: &topic,
            project: project.as_ref(),
            membership: &MemberOf("p1"),
        };
        rules.allows(&access)
    }

    #[test]
    fn the_built_in_rules_are_those_of_the_specification() {
        let none = TopicRules::default();
        assert!(may(&none, Action::Subscribe, "acme", None) && may(&none, Action::Publish, "news", None));
        assert!(
            may(&none, Action::Subscribe, "project:p1", None)
                && !may(&none, Action::Subscribe, "project:p2", None)
        );
        assert!(
            may(&none, Action::Subscribe, "user:ann", None)
                && !may(&none, Action::Subscribe, "user:bob", None)
        );
        assert!(!may(&none, Action::Publish, "user:ann", None));
        assert!(!may(&none, Action::Subscribe, "$antiphon:control", None));
        assert!(
            may(&none, Action::Publish, "acme", Some("p1"))
                && !may(&none, Action::Publish, "acme", Some("p2"))
        );
    }

    #[test]
    fn the_first_rule_that_fits_decides() {
        let rule = |m: &str, subscribe, publish| TopicRule { r#match: m.into(), subscribe, publish };
        let rules = TopicRules(vec![
            rule("news", AccessRule::Users, AccessRule::Key),
            rule("room:*", AccessRule::Members, AccessRule::Members),
            rule("*", AccessRule::None, AccessRule::None),
        ]);
        assert!(may(&rules, Action::Subscribe, "news", None) && !may(&rules, Action::Publish, "news", None));
        assert!(
            may(&rules, Action::Publish, "room:p1", None) && !may(&rules, Action::Publish, "room:p2", None)
        );
        assert!(!may(&rules, Action::Subscribe, "acme", None));
    }
}
