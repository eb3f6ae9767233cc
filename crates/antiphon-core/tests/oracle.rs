//! A million questions of who may do what with which topic, against a model written from the rules' words alone.

#![allow(clippy::unwrap_used)]

use std::collections::HashSet;

use antiphon_core::{Access, AccessRule, Action, Authorizer, Membership, TopicRule, TopicRules};
use antiphon_protocol::{ProjectId, TenantId, Topic, TopicName, UserId};

const QUESTIONS: usize = 1_000_000;
const TENANTS: [&str; 3] = ["acme", "project:p", "user:ann"];
const USERS: [&str; 3] = ["ann", "ben", "p"];
const PROJECTS: [&str; 3] = ["p", "q", "ann"];
const NAMES: [&str; 14] = [
    "acme",
    "news",
    "project:p",
    "project:q",
    "project:ann",
    "user:ann",
    "user:ben",
    "user:p",
    "$antiphon:control",
    "room-1",
    "room-",
    "room-ann",
    "team/p/chat",
    "team/q/chat",
];
const PATTERNS: [&str; 9] =
    ["room-*", "*", "team/*/chat", "news", "user:*", "project:*", "acme", "*-1", "$antiphon:*"];
const RULES: [AccessRule; 5] =
    [AccessRule::Users, AccessRule::Members, AccessRule::Own, AccessRule::Key, AccessRule::None];

struct Random(u64);

impl Random {
    fn below(&mut self, count: usize) -> usize {
        // splitmix64
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) % count as u64) as usize
    }

    fn of<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.below(all.len())]
    }
}

struct Of<'a>(&'a HashSet<&'a str>);

impl Membership for Of<'_> {
    fn is_member(&self, project: &ProjectId) -> bool {
        self.0.contains(project.as_str())
    }
}

struct Question<'a> {
    user: &'a str,
    tenant: &'a str,
    name: &'a str,
    publishes: bool,
    project: Option<&'a str>,
    memberships: &'a HashSet<&'a str>,
}

type Rule = (&'static str, AccessRule, AccessRule);

/// What a pattern's star stands for in this name.
fn star<'a>(pattern: &str, name: &'a str) -> Option<&'a str> {
    let Some(at) = pattern.find('*') else { return (pattern == name).then_some("") };
    let (head, tail) = (&pattern[..at], &pattern[at + 1..]);
    let fits = name.len() >= head.len() + tail.len() && name.starts_with(head) && name.ends_with(tail);
    fits.then(|| &name[head.len()..name.len() - tail.len()])
}

/// The rules in words: nobody writes or reads what is reserved; only members write to a project; the first configured rule
/// that fits decides; else a project's topic is its members', a user's topic is read by the user and written by keys alone, and
/// all else is all users'.
fn may(question: &Question<'_>, rules: &[Rule]) -> bool {
    let Question { user, tenant, name, publishes, project, memberships } = *question;
    if name.starts_with("$antiphon:") || publishes && project.is_some_and(|of| !memberships.contains(of)) {
        return false;
    }
    for (pattern, subscribe, publish) in rules {
        if let Some(star) = star(pattern, name) {
            return match if publishes { publish } else { subscribe } {
                AccessRule::Users => true,
                AccessRule::Members => memberships.contains(star),
                AccessRule::Own => star == user,
                AccessRule::Key | AccessRule::None => false,
            };
        }
    }
    if name == tenant {
        return true;
    }
    match name.split_once(':') {
        Some(("project", project)) => memberships.contains(project),
        Some(("user", owner)) => !publishes && owner == user,
        _ => true,
    }
}

#[test]
fn a_million_questions_of_who_may_do_what_are_answered_as_the_rules_say() {
    let given = std::env::var("TESTKIT_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = given.unwrap_or_else(|| uuid::Uuid::now_v7().as_u64_pair().0);
    println!("TESTKIT_SEED={seed}");
    let mut random = Random(seed);
    let (mut asked, mut allowed) = (0, 0);
    while asked < QUESTIONS {
        let rules: Vec<Rule> = (0..random.below(4))
            .map(|_| (random.of(&PATTERNS), random.of(&RULES), random.of(&RULES)))
            .collect();
        let rule = |&(pattern, subscribe, publish): &Rule| TopicRule {
            r#match: pattern.to_owned(),
            subscribe,
            publish,
        };
        let configured = TopicRules(rules.iter().map(rule).collect());
        let memberships: HashSet<&str> = PROJECTS.into_iter().filter(|_| random.below(2) == 0).collect();
        for _ in 0..500 {
            let (tenant, name, user) = (random.of(&TENANTS), random.of(&NAMES), random.of(&USERS));
            let publishes = random.below(2) == 0;
            let topic = Topic::new(TenantId::parse(tenant).unwrap(), TopicName::parse(name).unwrap());
            // An entry on a project's topic belongs to that project, whatever is named.
            let named = (random.below(3) == 0).then(|| random.of(&PROJECTS));
            let project = if name == tenant { named } else { name.strip_prefix("project:").or(named) };
            let question = Question { user, tenant, name, publishes, project, memberships: &memberships };
            let project_id = project.map(|project| ProjectId::parse(project).unwrap());
            let access = Access {
                user: &UserId::parse(user).unwrap(),
                action: if publishes { Action::Publish } else { Action::Subscribe },
                topic: &topic,
                project: project_id.as_ref(),
                membership: &Of(&memberships),
            };
            let answer = configured.allows(&access);
            assert_eq!(
                answer,
                may(&question, &rules),
                "{user} {tenant}/{name} publishes: {publishes} project: {project:?} of {memberships:?} by {rules:?}"
            );
            asked += 1;
            allowed += usize::from(answer);
        }
    }
    println!("{asked} questions, {allowed} allowed");
    assert!(allowed > asked / 10 && allowed < asked * 9 / 10);
}
