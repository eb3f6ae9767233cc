//! The publish hook over HTTP: what is posted for a user's message, and what the answers mean.

use antiphon_core::{PublishHook, SeamError, Verdict};
use antiphon_protocol::{Content, ContentKind, Draft, Key, Position, ProjectId, TenantId, TopicName, UserId};
use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::{Answer, Endpoint};

const WHAT: &str = "the publish hook";

/// Asks an endpoint of the application.
pub struct HttpPublishHook(Endpoint);

/// What is posted.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Asked<'a> {
    r#type: &'static str,
    id: &'a str,
    tenant: &'a TenantId,
    user_id: &'a UserId,
    topic: &'a TopicName,
    #[serde(skip_serializing_if = "Option::is_none")]
    project_id: Option<ProjectId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    body: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<&'a Key>,
}

/// What a 200 says. Fields that are not known are ignored.
#[derive(Deserialize)]
struct Said {
    id: Option<Uuid>,
    position: Option<Position>,
    #[serde(default)]
    duplicate: bool,
}

/// A problem document, or something like it.
#[derive(Deserialize)]
struct Problem {
    detail: Option<String>,
    text: Option<String>,
}

impl HttpPublishHook {
    /// Asks this one.
    pub fn new(endpoint: Endpoint) -> Self {
        Self(endpoint)
    }
}

#[async_trait]
impl PublishHook for HttpPublishHook {
    async fn ask(&self, user: &UserId, draft: &Draft) -> Result<Verdict, SeamError> {
        let id = id_of(user, draft);
        let json = asked(&id, user, draft).map_err(|error| SeamError::broken(WHAT, error))?;
        let answer = self.0.post(&id, json).await.map_err(|error| SeamError::unavailable(WHAT, error))?;
        verdict(&answer).map_err(|why| SeamError::unavailable(WHAT, why))
    }
}

/// The call's id: of its own, or, where there is a key, the same for each repeat of the same with that key.
fn id_of(user: &UserId, draft: &Draft) -> String {
    let Some(key) = &draft.key else { return format!("msg_{}", Uuid::now_v7().simple()) };
    let project = draft.project();
    let mut hash = Sha256::new();
    for part in [
        draft.topic.tenant().as_str(),
        draft.topic.name().as_str(),
        user.as_str(),
        key.as_str(),
        project.as_ref().map_or("", ProjectId::as_str),
        draft.content.kind().field(),
        draft.content.json(),
    ] {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    let mut short = [0; 16];
    short.copy_from_slice(&hash.finalize()[..16]);
    format!("msg_{}", Uuid::from_bytes(short).simple())
}

fn asked(id: &str, user: &UserId, draft: &Draft) -> serde_json::Result<Vec<u8>> {
    let content: &RawValue = serde_json::from_str(Content::json(&draft.content))?;
    let (text, body) = match draft.content.kind() {
        ContentKind::Text => (Some(content), None),
        ContentKind::Body => (None, Some(content)),
    };
    serde_json::to_vec(&Asked {
        r#type: "publish",
        id,
        tenant: draft.topic.tenant(),
        user_id: user,
        topic: draft.topic.name(),
        project_id: draft.project(),
        text,
        body,
        key: draft.key.as_ref(),
    })
}

fn verdict(answer: &Answer) -> Result<Verdict, String> {
    match answer.status {
        200 => {
            let said = object(&answer.body)
                .ok_or("a 200 must have a JSON object: `{}`, or `id` and `position` of an entry")?;
            match (said.id, said.position) {
                (None, None) => Ok(Verdict::Publish),
                (Some(id), Some(position)) => {
                    Ok(Verdict::Published { id, position, duplicate: said.duplicate })
                }
                _ => Err("of `id` and `position` a 200 must have both or neither".to_owned()),
            }
        }
        403 => Ok(Verdict::Refuse(refusal(answer))),
        status => match answer.retry_after {
            Some(after) if matches!(status, 429 | 503) => Ok(Verdict::Later(after)),
            _ => Err(format!("it answered with status {status}")),
        },
    }
}

/// An array would do for a struct as well.
fn object(body: &[u8]) -> Option<Said> {
    let is_object = body.trim_ascii_start().starts_with(b"{");
    is_object.then(|| serde_json::from_slice(body).ok()).flatten()
}

/// The application's words. A page of HTML, perhaps of a proxy before it, is none.
fn refusal(answer: &Answer) -> String {
    if answer.media_type == "application/json" || answer.media_type.ends_with("+json") {
        let problem = serde_json::from_slice::<Problem>(&answer.body).ok();
        return problem.and_then(|problem| problem.detail.or(problem.text)).unwrap_or_default();
    }
    let is_text = matches!(answer.media_type.as_str(), "" | "text/plain");
    if is_text { String::from_utf8_lossy(&answer.body).into_owned() } else { String::new() }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use antiphon_protocol::Topic;

    use super::*;

    fn draft(key: Option<&str>, content: Content) -> Draft {
        let topic = Topic::new(TenantId::parse("acme").unwrap(), TopicName::parse("project:p1").unwrap());
        let key = key.map(|key| Key::parse(key).unwrap());
        Draft { topic, author: None, named_project: None, key, content }
    }

    #[test]
    fn a_repeat_with_the_same_key_has_the_same_id_and_whatever_else_another() {
        let id = |user: &str, key: Option<&str>, text: &str| {
            id_of(&UserId::parse(user).unwrap(), &draft(key, Content::text(text).unwrap()))
        };
        assert_eq!(id("ann", Some("k"), "a"), id("ann", Some("k"), "a"));
        let others = [id("ann", Some("k"), "b"), id("ann", Some("l"), "a"), id("bob", Some("k"), "a")];
        assert!(others.iter().all(|other| *other != id("ann", Some("k"), "a")));
        assert_ne!(id("ann", None, "a"), id("ann", None, "a"));
    }

    #[test]
    fn what_is_posted_has_the_fields_of_the_protocol() {
        let ann = UserId::parse("ann").unwrap();
        let of = |draft: &Draft| String::from_utf8(asked("msg_1", &ann, draft).unwrap()).unwrap();
        assert_eq!(
            of(&draft(Some("k"), Content::text("hé").unwrap())),
            r#"{"type":"publish","id":"msg_1","tenant":"acme","userId":"ann","topic":"project:p1","projectId":"p1","text":"hé","key":"k"}"#
        );
        let body = Content::from_json(ContentKind::Body, r#"{"n": 1.0}"#, 100).unwrap();
        assert!(of(&draft(None, body)).ends_with(r#""projectId":"p1","body":{"n": 1.0}}"#));
    }

    #[test]
    fn an_answer_that_is_not_understood_lets_nothing_through() {
        let of = |status: u16, body: &str| {
            let media_type = "application/json".into();
            verdict(&Answer { status, media_type, retry_after: None, body: body.into() })
        };
        let (id, position) = (Uuid::from_u128(7), "0000000000000001-2-0000000000000003");
        let published = |duplicate: bool| {
            let position = Position::parse(position).unwrap();
            Ok(Verdict::Published { id, position, duplicate })
        };
        assert_eq!(of(200, "{}"), Ok(Verdict::Publish));
        assert_eq!(of(200, r#"{"ok": false}"#), Ok(Verdict::Publish));
        assert_eq!(of(200, &format!(r#"{{"id":"{id}","position":"{position}"}}"#)), published(false));
        assert_eq!(
            of(200, &format!(r#"{{"position":"{position}","id":"{id}","duplicate":true}}"#)),
            published(true)
        );
        for bad in [
            "",
            "[]",
            "[null, null, false]",
            "null",
            "ok",
            "{} {}",
            &format!(r#"{{"id":"{id}"}}"#),
            &format!(r#"{{"position":"{position}"}}"#),
            &format!(r#"{{"id":7,"position":"{position}"}}"#),
            &format!(r#"{{"id":"{id}","position":"2"}}"#),
        ] {
            assert!(of(200, bad).is_err(), "{bad}");
        }
        for status in [201, 204, 301, 400, 401, 404, 429, 500, 503] {
            assert!(of(status, "{}").is_err(), "{status}");
        }
    }

    #[test]
    fn only_who_is_too_busy_is_believed_when_to_come_back() {
        let of = |status: u16| {
            let retry_after = Some(Duration::from_secs(7));
            verdict(&Answer { status, media_type: String::new(), retry_after, body: Vec::new() })
        };
        for status in [429, 503] {
            assert_eq!(of(status), Ok(Verdict::Later(Duration::from_secs(7))));
        }
        assert!(of(500).is_err() && of(301).is_err());
    }

    #[test]
    fn the_text_of_a_refusal_is_the_problems_or_the_plain_text() {
        let said = |media_type: &str, body: &str| {
            let media_type = media_type.into();
            refusal(&Answer { status: 403, media_type, retry_after: None, body: body.into() })
        };
        assert_eq!(
            said("application/problem+json", r#"{"title":"no","detail":"not at night"}"#),
            "not at night"
        );
        assert_eq!(said("application/json", r#"{"text":"not you"}"#), "not you");
        assert_eq!(said("text/plain", "not here"), "not here");
        assert_eq!(said("", "not here"), "not here");
        for (media_type, body) in
            [("text/html", "<p>no"), ("application/json", "no"), ("application/json", r#"{"detail":1}"#)]
        {
            assert_eq!(said(media_type, body), "");
        }
    }
}
