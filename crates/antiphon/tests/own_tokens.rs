//! What the guide promises to an application with tokens of its own.

#![allow(clippy::unwrap_used, missing_docs)]

use std::{collections::HashSet, sync::Arc};

use antiphon::{Antiphon, AuthError, Authenticator, Identity, TenantId, UserId, async_trait};
use antiphon_client::Raw;
use parking_lot::Mutex;
use serde_json::json;

#[derive(Clone, Default)]
struct Sessions(Arc<Mutex<HashSet<String>>>);

#[async_trait]
impl Authenticator for Sessions {
    async fn authenticate(&self, tokens: &[&str]) -> Vec<Result<Identity, AuthError>> {
        let sessions = self.0.lock();
        let check = |token: &&str| match sessions.contains(*token) {
            true => Ok(Identity {
                tenant: TenantId::parse("acme").unwrap(),
                user: UserId::parse(token).unwrap(),
                expires_at: None,
                revocations: 0,
            }),
            false => Err(AuthError::Invalid("unknown")),
        };
        tokens.iter().map(check).collect()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_disconnected_after_a_revocation_of_the_applications_own_does_not_come_back() {
    let folder = tempfile::tempdir().unwrap();
    let sessions = Sessions::default();
    sessions.0.lock().extend(["ann".to_owned(), "ben".to_owned()]);
    let antiphon = Antiphon::builder()
        .database(format!("sqlite:{}", folder.path().join("a.db").display()))
        .authenticator(sessions.clone())
        .start()
        .await
        .unwrap();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}/ws", listener.local_addr().unwrap());
    let router = antiphon::router(&antiphon);
    tokio::spawn(async move { axum::serve(listener, router).await });
    let connected = async |user: &str| {
        let mut socket = Raw::connect(&url).await.unwrap();
        socket.send_json(&json!({"type": "SUBSCRIBE", "token": user})).await.unwrap();
        socket
    };
    let (mut ann, mut ben) = (connected("ann").await, connected("ben").await);
    for socket in [&mut ann, &mut ben] {
        socket.frame_of("SUBSCRIPTION_SUCCESSFUL").await.unwrap();
    }

    sessions.0.lock().remove("ann");
    let (tenant, user) = (TenantId::parse("acme").unwrap(), UserId::parse("ann").unwrap());
    assert!(antiphon.directory().disconnect_user(&tenant, &user).await.unwrap());
    antiphon.tenant_changed(&tenant).await;

    assert_eq!(ann.closed().await.unwrap().1, Some(1012));
    let end = connected("ann").await.frame_of("TERMINATE_CONNECTION").await.unwrap();
    assert_eq!(end["text"], "INVALID_TOKEN");
    ben.send_json(&json!({"type": "PING"})).await.unwrap();
    ben.frame_of("PONG").await.unwrap();
}
