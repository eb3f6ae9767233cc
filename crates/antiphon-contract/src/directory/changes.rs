//! Who is told as changed, that a state belongs to its revision, and that what was deleted stays deleted.

use std::collections::HashMap;

use antiphon_core::{Directory, MemberSettings, Settings, UserState};
use antiphon_protocol::{TenantId, UserId};

use crate::{
    Promises,
    names::{answered, project, revision, tenant, user, wants},
};

pub(super) async fn check(directory: &dyn Directory, promises: &mut Promises) {
    told(directory, promises).await;
    merged(directory, promises).await;
    gone(directory, promises).await;
    snapshots(directory, promises).await;
}

async fn changed(
    directory: &dyn Directory,
    tenant: &TenantId,
    since: u64,
    of: &[UserId],
) -> (u64, HashMap<UserId, UserState>) {
    let (revision, changed) = answered(directory.changed_users(tenant, of, since).await);
    (revision, changed.into_iter().collect())
}

async fn told(directory: &dyn Directory, promises: &mut Promises) {
    let acme = tenant("acme");
    let p = project("p");
    let (ann, bob, cleo, dan) = (user("ann"), user("bob"), user("cleo"), user("dan"));
    let all = [ann.clone(), bob.clone(), cleo.clone()];
    answered(
        directory.put_members(&acme, &p, &[wants("ann", None), wants("bob", None), wants("dan", None)]).await,
    );
    let (mut since, told) = changed(directory, &acme, 0, &all).await;
    promises.keep("new users are told as changed", told.contains_key(&ann) && told.contains_key(&bob));
    let (_, told) = changed(directory, &acme, since, &all).await;
    promises.keep("where nothing changed nobody is", told.is_empty());
    answered(directory.put_tenant(&acme).await);
    answered(directory.put_user(&acme, &ann).await);
    let quiet = MemberSettings { push: Some(false), ..wants("bob", None) };
    answered(directory.put_members(&acme, &p, &[quiet]).await);
    let (now, told) = changed(directory, &acme, since, &all).await;
    promises.keep(
        "a change of one setting tells of its user alone, with its new state",
        now > since
            && told.len() == 1
            && told.get(&bob).and_then(|bob| bob.projects.get(&p))
                == Some(&Settings { deliver: true, push: false }),
    );
    since = now;
    answered(directory.put_members(&acme, &project("q"), &[wants("dan", None)]).await);
    let (now, told) = changed(directory, &acme, since, &all).await;
    promises.keep(
        "nobody is told of that was not asked for",
        now > since && !told.contains_key(&dan) && told.is_empty(),
    );
    since = now;
    answered(directory.disconnect_user(&acme, &ann).await);
    let (now, told) = changed(directory, &acme, since, &all).await;
    promises.keep(
        "a disconnect is counted and told",
        now > since
            && told
                .get(&ann)
                .is_some_and(|ann| ann.disconnects == 1 && ann.exists && ann.projects.contains_key(&p)),
    );
    since = now;
    answered(directory.put_user(&acme, &cleo).await);
    answered(directory.delete_project(&acme, &p).await);
    let (now, told) = changed(directory, &acme, since, &all).await;
    promises.keep(
        "a deleted project tells of all its members, a new user of itself",
        now > since && told.len() == 3 && told.values().all(|state| state.projects.is_empty()),
    );
    let (same, states) =
        answered(directory.user_states(&acme, &[cleo.clone(), dan, cleo, user("nobody")]).await);
    promises.keep(
        "states come in the order asked for, the same user twice too",
        same == now
            && states.len() == 4
            && states[0] == states[2]
            && states[1].projects.len() == 1
            && !states[3].exists,
    );
}

async fn merged(directory: &dyn Directory, promises: &mut Promises) {
    let acme = tenant("acme");
    let p = project("p");
    let of = async |name: &str| answered(directory.member(&acme, &p, &user(name)).await);
    let both = MemberSettings { user: user("ann"), deliver: Some(false), push: Some(false) };
    answered(directory.put_members(&acme, &p, &[both]).await);
    answered(directory.put_members(&acme, &p, &[wants("ann", Some(true))]).await);
    promises.keep(
        "a setting changes without the other",
        of("ann").await == Some(Settings { deliver: true, push: false }),
    );
    let twice = [wants("eve", Some(false)), MemberSettings { push: Some(false), ..wants("eve", None) }];
    let made = answered(directory.put_members(&acme, &p, &twice).await);
    promises.keep(
        "a member that is named twice in one call is one, with what both say",
        made == 1 && of("eve").await == Some(Settings { deliver: false, push: false }),
    );
    answered(directory.delete_member(&acme, &p, &user("eve")).await);
    answered(directory.put_members(&acme, &p, &[wants("eve", None)]).await);
    promises.keep("who comes back as a member begins anew", of("eve").await == Some(Settings::default()));
    answered(directory.delete_project(&acme, &p).await);
    promises.keep(
        "a project that is made again has no members",
        answered(directory.put_project(&acme, &p).await) && of("ann").await.is_none(),
    );
    let (_, states) = answered(directory.user_states(&acme, &[user("ann")]).await);
    promises.keep("its members are still users", states[0].exists);
}

async fn gone(directory: &dyn Directory, promises: &mut Promises) {
    let acme = tenant("acme");
    let p = project("p");
    let ann = [user("ann")];
    let state = async || answered(directory.user_states(&acme, &ann).await);
    let mut last = 0;
    let (mut grows, mut rises) = (true, true);
    for round in 0..3 {
        answered(directory.put_members(&acme, &p, &[wants("ann", None)]).await);
        let (made, before) = state().await;
        if round % 2 == 0 {
            answered(directory.delete_user(&acme, &ann[0]).await);
        } else {
            answered(directory.delete_tenant(&acme).await);
        }
        let (deleted, after) = state().await;
        let known = answered(directory.revisions(std::slice::from_ref(&acme)).await)[0];
        grows &=
            after[0].revocations > before[0].revocations && !after[0].exists && after[0].projects.is_empty();
        rises &= last < made && made < deleted && known >= deleted;
        last = deleted;
    }
    promises.keep("revocations grow with each deletion, of the user or of its tenant", grows);
    promises.keep(
        "a revision never falls: a deleted tenant's goes on, so that whoever holds the older one looks",
        rises && directory.revision_now(&acme).is_none_or(|now| now >= last),
    );
    let (revision, told) = changed(directory, &acme, last - 1, &ann).await;
    promises.keep(
        "who was deleted is told with its last counts",
        revision >= last && told.get(&ann[0]).is_some_and(|ann| !ann.exists && ann.revocations >= 3),
    );
}

async fn snapshots(directory: &dyn Directory, promises: &mut Promises) {
    let acme = tenant("acme");
    let p = project("p");
    let users = [user("ann"), user("bob")];
    answered(directory.put_members(&acme, &p, &[wants("ann", Some(true)), wants("bob", Some(true))]).await);
    let write = async {
        let mut held = HashMap::from([(revision(directory, &acme).await, true)]);
        for round in 0..40 {
            let deliver = round % 2 == 1;
            let both = [wants("ann", Some(deliver)), wants("bob", Some(deliver))];
            answered(directory.put_members(&acme, &p, &both).await);
            held.insert(revision(directory, &acme).await, deliver);
        }
        held
    };
    let read = async {
        let mut seen = Vec::new();
        for round in 0..80 {
            if round % 2 == 0 {
                seen.push(answered(directory.user_states(&acme, &users).await));
            } else {
                let (revision, changed) = answered(directory.changed_users(&acme, &users, 0).await);
                seen.push((revision, changed.into_iter().map(|(_, state)| state).collect()));
            }
            tokio::task::yield_now().await;
        }
        seen
    };
    let (held, seen) = tokio::join!(write, read);
    let whole = seen.iter().all(|(revision, states)| {
        held.get(revision).is_some_and(|deliver| {
            states.len() == 2
                && states.iter().all(|state| state.projects.get(&p).map(|one| one.deliver) == Some(*deliver))
        })
    });
    promises
        .keep("beside a writer, the states are those of the revision they come with, and of it alone", whole);
    let put = async |name: &str| answered(directory.put_user(&acme, &user(name)).await);
    let made = tokio::join!(put("x"), put("y"), put("x"), put("x"));
    promises.keep(
        "of many who make the same at once one makes it",
        [made.0, made.2, made.3].into_iter().filter(|is_new| *is_new).count() == 1 && made.1,
    );
}
