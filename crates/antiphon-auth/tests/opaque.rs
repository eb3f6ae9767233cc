//! Opaque tokens and API keys.

mod support;

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use antiphon_auth::{KeyRing, OpaqueAuthenticator, issue};
use antiphon_core::{ApiKeys, AuthError, Authenticator, Scope, Tokens, find_key};
use antiphon_protocol::now_ms;
use support::{MemoryTokens, tenant, user};

#[tokio::test]
async fn a_batch_of_tokens_is_looked_up_in_one_query_and_answered_in_order() {
    let tokens = MemoryTokens::new();
    let (ann, ends) =
        issue(&*tokens, &tenant("acme"), &user("ann"), Some(Duration::from_secs(60))).await.unwrap();
    let (bob, never) = issue(&*tokens, &tenant("acme"), &user("bob"), None).await.unwrap();
    assert!(ends.unwrap() > now_ms() && never.is_none());
    let unknown = format!("ant_{}", "A".repeat(43));
    let before = tokens.queries.load(Ordering::SeqCst);
    let answers =
        OpaqueAuthenticator::new(tokens.clone()).authenticate(&[&bob, "junk", &unknown, &ann]).await;
    assert_eq!(tokens.queries.load(Ordering::SeqCst) - before, 1);
    let users: Vec<_> = answers.into_iter().map(|answer| answer.ok().map(|id| id.user)).collect();
    assert_eq!(users, [Some(user("bob")), None, None, Some(user("ann"))]);
}

#[tokio::test]
async fn a_token_is_kept_as_a_hash_alone_and_is_bad_once_expired_or_revoked() {
    let tokens = MemoryTokens::new();
    let (token, _) = issue(&*tokens, &tenant("acme"), &user("ann"), None).await.unwrap();
    assert!(!tokens.dump().contains(&token[4..]));
    let (expired, _) = issue(&*tokens, &tenant("acme"), &user("bob"), Some(Duration::ZERO)).await.unwrap();
    let authenticator = OpaqueAuthenticator::new(tokens.clone());
    let answers = authenticator.authenticate(&[&token, &expired]).await;
    assert!(answers[0].is_ok());
    assert!(matches!(answers[1], Err(AuthError::Invalid("expired"))));
    tokens.revoke_tokens(&tenant("acme"), &user("ann"), now_ms()).await.unwrap();
    assert!(matches!(authenticator.authenticate(&[&token]).await[0], Err(AuthError::Invalid(_))));
}

#[tokio::test]
async fn a_database_that_is_away_is_not_taken_for_a_bad_token() {
    let tokens = MemoryTokens::new();
    let (token, _) = issue(&*tokens, &tenant("acme"), &user("ann"), None).await.unwrap();
    tokens.away.store(true, Ordering::SeqCst);
    let answers = OpaqueAuthenticator::new(tokens).authenticate(&[&token, "junk"]).await;
    assert!(matches!(answers[0], Err(AuthError::Seam(_))));
    assert!(matches!(answers[1], Err(AuthError::Invalid(_))));
    for error in answers.into_iter().map(Result::unwrap_err) {
        assert!(!format!("{error:?} {error}").contains(&token[4..]));
    }
}

#[tokio::test]
async fn an_api_key_is_found_until_it_expires_or_is_revoked() {
    let tokens = MemoryTokens::new();
    let ring = KeyRing::new(tokens.clone() as Arc<dyn ApiKeys>);
    let (key, row) = ring.issue(&[], None, None).await.unwrap();
    assert!(key.starts_with("antkey_") && !tokens.dump().contains(&key[7..]));
    assert_eq!(find_key(&*tokens, &key).await.unwrap().unwrap().scopes, Scope::ALL);
    assert!(find_key(&*tokens, "antkey_").await.unwrap().is_none());
    assert!(find_key(&*tokens, &key.to_uppercase()).await.unwrap().is_none());

    let (old, _) = ring.issue(&[Scope::Metrics], None, Some(Duration::ZERO)).await.unwrap();
    assert!(find_key(&*tokens, &old).await.unwrap().is_none());
    assert_eq!(ring.list().await.unwrap().len(), 2);

    assert!(ring.revoke(&row.id).await.unwrap() && !ring.revoke(&row.id).await.unwrap());
    assert!(find_key(&*tokens, &key).await.unwrap().is_none());
}
