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
    reach(engine, &mut promises).await;
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
    let issued_before = now_ms() - 1;
    let first = answered(engine.admit_user(&acme, &user("jo"), issued_before).await);
    let (_, states) = answered(engine.user_states(&acme, &[user("jo")]).await);
    promises.keep("tenant and user are made on first sight", first == (0, None) && states[0].exists);
    answered(engine.revoke_tokens(&acme, &user("jo"), 5000).await);
    let after = answered(engine.admit_user(&acme, &user("jo"), issued_before).await);
    promises.keep("it is told before when tokens are revoked", after.0 == 1 && after.1 == Some(5000));
    let again = answered(engine.admit_user(&acme, &user("jo"), issued_before).await);
    promises.keep("admitting again changes nothing", again == after);
    answered(engine.delete_user(&acme, &user("jo")).await);
    let (_, revoked_before) = answered(engine.admit_user(&acme, &user("jo"), issued_before).await);
    let (_, states) = answered(engine.user_states(&acme, &[user("jo")]).await);
    promises.keep(
        "a deleted user is not made again, and no token of before its deletion is good",
        !states[0].exists && revoked_before.is_some_and(|before| before >= issued_before),
    );
    let later = now_ms() + 1;
    let (revocations, revoked_before) = answered(engine.admit_user(&acme, &user("jo"), later).await);
    let (_, states) = answered(engine.user_states(&acme, &[user("jo")]).await);
    promises.keep(
        "a token of after its deletion makes a user again, without what it was before",
        states[0].exists
            && states[0].projects.is_empty()
            && states[0].revocations == revocations
            && revoked_before.is_some_and(|before| before > issued_before - 1 && before <= later),
    );
    answered(engine.delete_tenant(&acme).await);
    answered(engine.admit_user(&acme, &user("other"), i64::MAX - 1).await);
    answered(engine.admit_user(&acme, &user("jo"), i64::MAX - 1).await);
    promises.keep("a deleted tenant is made again by no token", !answered(engine.tenant_exists(&acme).await));
    answered(engine.put_user(&acme, &user("jo")).await);
    let (revocations, revoked_before) = answered(engine.admit_user(&acme, &user("jo"), issued_before).await);
    let (_, states) = answered(engine.user_states(&acme, &[user("jo")]).await);
    promises.keep(
        "once the application made the user again, tokens of before its deletion are still revoked",
        states[0].exists
            && revocations == states[0].revocations
            && revoked_before.is_some_and(|before| before >= issued_before && before < now_ms() + 60_000),
    );
}

/// Revoking and deleting reach exactly whom they name.
async fn reach<E: Tokens + Directory>(engine: &E, promises: &mut Promises) {
    let (acme, globex) = (tenant("acme"), tenant("globex"));
    let make = async |of: &antiphon_protocol::TenantId, name: &str, expires_at| {
        let token = NewToken { tenant: of.clone(), user: user(name), hash: hash(), expires_at };
        answered(engine.add_token(&token).await);
        token.hash
    };
    let found = async |hash| answered(engine.find_tokens(&[hash]).await).remove(0).is_some();
    let (one, two) = (make(&acme, "ann", None).await, make(&acme, "ann", None).await);
    let (beside, namesake) = (make(&acme, "bob", None).await, make(&globex, "ann", None).await);
    let since = answered(engine.revisions(std::slice::from_ref(&acme)).await)[0];
    answered(engine.revoke_tokens(&acme, &user("ann"), now_ms()).await);
    promises.keep("revoking takes all of a user's tokens", !found(one).await && !found(two).await);
    promises.keep("and nobody else's, in no tenant", found(beside).await && found(namesake).await);
    let both = [user("ann"), user("bob")];
    let (now, changed) = answered(engine.changed_users(&acme, &both, since).await);
    promises.keep(
        "a revocation is told as a change of its user",
        now > since && changed.len() == 1 && changed[0].0 == both[0] && changed[0].1.revocations == 1,
    );
    answered(engine.delete_user(&acme, &user("bob")).await);
    answered(engine.put_user(&acme, &user("bob")).await);
    promises.keep("a user that is made again has none of its old tokens", !found(beside).await);
    answered(engine.delete_tenant(&globex).await);
    promises.keep("a deleted tenant's tokens are not found", !found(namesake).await);
    answered(engine.put_user(&globex, &user("ann")).await);
    promises.keep("nor when it is made again", !found(namesake).await);
    let missing = !answered(engine.revoke_tokens(&acme, &user("nobody"), 0).await)
        && !answered(engine.revoke_tokens(&tenant("ghost"), &user("ann"), 0).await);
    let (_, states) = answered(engine.user_states(&acme, &[user("nobody")]).await);
    promises.keep("revoking makes nobody", missing && !states[0].exists);
    let at = now_ms() - 100_000;
    let (ended, ends, never) = (
        make(&acme, "cleo", Some(at - 1)).await,
        make(&acme, "cleo", Some(at)).await,
        make(&acme, "cleo", None).await,
    );
    while answered(engine.sweep_tokens(at).await) > 0 {}
    promises.keep(
        "sweeping takes what ended before the line and nothing else",
        !found(ended).await && found(ends).await && found(never).await,
    );
    let many: Vec<[u8; 32]> = (0..300).map(|at| if at % 3 == 0 { never } else { hash() }).collect();
    let all = answered(engine.find_tokens(&many).await);
    promises.keep(
        "hundreds are looked up in one call, the same one again and again too",
        all.len() == 300 && all.iter().enumerate().all(|(at, token)| token.is_some() == (at % 3 == 0)),
    );
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
    let mut made = Vec::new();
    for name in ["z", "a", "m"] {
        let id = format!("{name}{}", uuid::Uuid::new_v4().simple());
        let all = ApiKey {
            id,
            hash: hash(),
            scopes: Scope::ALL.to_vec(),
            tenant: None,
            expires_at: None,
            ..key.clone()
        };
        answered(engine.add_key(&all).await);
        made.push(all);
    }
    let listed = answered(engine.list_keys().await);
    let listed: Vec<&ApiKey> = listed.iter().filter(|key| made.iter().any(|one| one.id == key.id)).collect();
    promises.keep(
        "keys are listed in the order of their making, whole",
        listed.len() == 3
            && listed.iter().zip(&made).all(|(one, other)| {
                one.id == other.id
                    && one.hash == other.hash
                    && one.scopes == other.scopes
                    && one.tenant.is_none()
                    && one.expires_at.is_none()
                    && one.created_at == other.created_at
            }),
    );
    answered(engine.revoke_key(&made[1].id).await);
    promises.keep(
        "revoking one leaves the others",
        answered(engine.find_key(&made[0].hash).await).is_some()
            && answered(engine.find_key(&made[2].hash).await).is_some(),
    );
    for key in [&made[0], &made[2]] {
        answered(engine.revoke_key(&key.id).await);
    }
}
