//! The `[[topics]]` rules: who may subscribe and publish where.

use antiphon_core::{AccessRule, TopicRule};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use toml::Table;

use super::error::{did_you_mean, nearest};

/// Who a rule lets in.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Who {
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

impl Who {
    fn rule(self) -> AccessRule {
        match self {
            Self::Users => AccessRule::Users,
            Self::Members => AccessRule::Members,
            Self::Own => AccessRule::Own,
            Self::Key => AccessRule::Key,
            Self::None => AccessRule::None,
        }
    }
}

/// One rule: the first whose `match` fits decides.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TopicSection {
    /// A topic's name, of which one `*` stands for any characters.
    pub r#match: String,
    /// Who may subscribe.
    pub subscribe: Who,
    /// Who may publish.
    pub publish: Who,
}

const KEYS: [&str; 3] = ["match", "subscribe", "publish"];

/// Why a table can't be read as a rule.
pub(super) fn unreadable(table: &Table) -> Option<String> {
    if let Some(unknown) = table.keys().find(|key| !KEYS.contains(&key.as_str())) {
        let nearest = nearest(unknown, KEYS.into_iter());
        return Some(format!("unknown key `{unknown}`{}", did_you_mean(nearest.as_deref())));
    }
    KEYS.into_iter().find_map(|key| match table.get(key) {
        None => Some(format!("`{key}` is missing")),
        Some(value) if !value.is_str() => Some(format!("`{key}`: expected a text in quotes")),
        Some(value) if key != "match" && Who::deserialize(value.clone()).is_err() => {
            let shown = value.as_str().unwrap_or_default();
            Some(format!(
                "`{key}`: there is no `{shown}`; expected `users`, `members`, `self`, `key` or `none`"
            ))
        }
        Some(_) => None,
    })
}

impl TopicSection {
    /// The rule that it is.
    pub fn rule(&self) -> TopicRule {
        TopicRule {
            r#match: self.r#match.clone(),
            subscribe: self.subscribe.rule(),
            publish: self.publish.rule(),
        }
    }

    /// What is wrong with it.
    pub fn fault(&self) -> Option<&'static str> {
        let stars = self.r#match.matches('*').count();
        let needs_star = |who| matches!(who, Who::Members | Who::Own);
        if self.r#match.is_empty() {
            Some("it is empty")
        } else if self.r#match.starts_with("$antiphon:") {
            Some("topics that begin with `$antiphon:` are reserved")
        } else if stars > 1 {
            Some("only one `*` may stand in it")
        } else if stars == 0 && (needs_star(self.subscribe) || needs_star(self.publish)) {
            Some("`members` and `self` need a `*` that says of which project or user")
        } else {
            None
        }
    }
}
