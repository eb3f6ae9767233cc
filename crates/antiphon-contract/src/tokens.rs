//! What Tokens and ApiKeys owe.

use antiphon_core::{ApiKey, ApiKeys, Directory, NewToken, Scope, Tokens};
use antiphon_protocol::now_ms;

use crate::{
    Promises,
    names::{answered, tenant, user},
};

fn hash() -> [u8; 32] {
    let mut hash = [0; 32];
    hash[..16].copy_from_slice(uuid::Uuid::new_v4().as_bytes());
    hash[16..].copy_from_slice(uuid::Uuid::new_v4().as_bytes());
    hash
}

/// Runs the suite; how many promises were kept.
pub async fn suite<E: Tokens + ApiKeys + Directory>(engine: &E) -> usize {
    let mut promises = Promises::default();
    tokens(engine, &mut promises).await;
    admission(engine, &mut promises).await;
    keys(engine, &mut promises).await;
    promises.count()
}

async fn tokens<E: Tokens + Directory>(engine: &E, promises: &mut Promises) {
    let acme = tenant("acme");
    let ends = Some(now_ms() + 60_000);
    let make = async |name: &str, expires_at| {
        let token = NewToken { tenant: acme.clone(), user: user(name), hash: hash(), expires_at };
        answered(engine.add_token(&token).await);
        token.hash
    };
    let (ann, bob) = (make("ann", ends).await, make("bob", None).await);
    let found = answered(engine.find_tokens(&[bob, hash(), ann]).await);
    promises.keep(
        "tokens are found in the order asked for, unknown ones are not",
        found[1].is_none()
            && found[0].as_ref().is_some_and(|token| token.user == user("bob") && token.expires_at.is_none())
            && found[2].as_ref().is_some_and(|token| token.tenant == acme && token.expires_at == ends),
    );
    let (_, states) = answered(engine.user_states(&acme, &[user("ann")]).await);
    promises.keep("tenant and user are made with a token", states[0].exists);
    let before = answered(engine.revisions(std::slice::from_ref(&acme)).await)[0];
    promises.keep(
        "a user's tokens are revoked",
        answered(engine.revoke_tokens(&acme, &user("ann"), now_ms()).await),
    );
    promises.keep("a revoked token is not found", answered(engine.find_tokens(&[ann]).await)[0].is_none());
    let (now, states) = answered(engine.user_states(&acme, &[user("ann")]).await);
    promises
        .keep("a revocation counts up and raises the revision", states[0].revocations > 0 && now > before);
    let fresh = make("ann", None).await;
    let found = answered(engine.find_tokens(&[fresh]).await).remove(0);
    promises.keep(
        "a token that is issued afterwards is good at once",
        found.is_some_and(|token| token.revocations == states[0].revocations),
    );
    promises.keep(
        "there is nothing to revoke of nobody",
        !answered(engine.revoke_tokens(&acme, &user("nobody"), 0).await),
    );
    answered(engine.delete_user(&acme, &user("bob")).await);
    promises
        .keep("a deleted user's token is not found", answered(engine.find_tokens(&[bob]).await)[0].is_none());
    let old = make("cleo", Some(now_ms() - 1000)).await;
    promises.keep("ended tokens are swept", answered(engine.sweep_tokens(now_ms()).await) > 0);
    promises.keep("and no others", answered(engine.find_tokens(&[old, fresh]).await)[1].is_some());
}

async fn admission<E: Tokens + Directory>(engine: &E, promises: &mut Promises) {
    let acme = tenant("acme");
    let first = answered(engine.admit_user(&acme, &user("jo")).await);
    let (_, states) = answered(engine.user_states(&acme, &[user("jo")]).await);
    promises.keep("tenant and user are made on first sight", first == (0, None) && states[0].exists);
    answered(engine.revoke_tokens(&acme, &user("jo"), 5000).await);
    let after = answered(engine.admit_user(&acme, &user("jo")).await);
    promises.keep("it is told before when tokens are revoked", after.0 == 1 && after.1 == Some(5000));
}

async fn keys<E: ApiKeys>(engine: &E, promises: &mut Promises) {
    let acme = tenant("acme");
    let id = format!("k{}", uuid::Uuid::new_v4().simple());
    let key = ApiKey {
        id: id.clone(),
        hash: hash(),
        scopes: vec![Scope::Publish, Scope::Metrics],
        tenant: Some(acme.clone()),
        expires_at: Some(5),
        created_at: now_ms(),
    };
    answered(engine.add_key(&key).await);
    let found = answered(engine.find_key(&key.hash).await);
    promises.keep(
        "a key is found by its hash as it was made",
        found.is_some_and(|found| {
            found.id == id
                && found.scopes == key.scopes
                && found.tenant == key.tenant
                && found.expires_at == Some(5)
        }),
    );
    promises.keep("an unknown key is not", answered(engine.find_key(&hash()).await).is_none());
    promises.keep("keys are listed", answered(engine.list_keys().await).iter().any(|listed| listed.id == id));
    promises.keep(
        "a key is revoked once",
        answered(engine.revoke_key(&id).await) && !answered(engine.revoke_key(&id).await),
    );
    promises.keep("a revoked key is not found", answered(engine.find_key(&key.hash).await).is_none());
}
