//! What a Directory owes.

mod changes;
mod walls;

use antiphon_core::{Directory, MemberSettings, Page, Settings};
use antiphon_protocol::{ProjectId, UserId};

use crate::{
    Promises,
    names::{answered, project, revision, tenant, user, wants},
};

/// Runs the suite; how many promises were kept.
pub async fn suite(directory: &dyn Directory) -> usize {
    let mut promises = Promises::default();
    revisions(directory, &mut promises).await;
    members(directory, &mut promises).await;
    settings(directory, &mut promises).await;
    deletions(directory, &mut promises).await;
    lists(directory, &mut promises).await;
    walls::check(directory, &mut promises).await;
    changes::check(directory, &mut promises).await;
    promises.count()
}

async fn revisions(directory: &dyn Directory, promises: &mut Promises) {
    let (acme, ghost) = (tenant("acme"), tenant("ghost"));
    promises.keep("a tenant that does not exist is at revision 0", revision(directory, &acme).await == 0);
    promises.keep("a new tenant is new", answered(directory.put_tenant(&acme).await));
    promises.keep("a PUT may be repeated", !answered(directory.put_tenant(&acme).await));
    let mut seen = vec![revision(directory, &acme).await];
    answered(directory.put_user(&acme, &user("ann")).await);
    seen.push(revision(directory, &acme).await);
    answered(directory.put_members(&acme, &project("p"), &[wants("ann", None)]).await);
    seen.push(revision(directory, &acme).await);
    answered(directory.put_members(&acme, &project("p"), &[wants("ann", Some(false))]).await);
    seen.push(revision(directory, &acme).await);
    answered(directory.disconnect_user(&acme, &user("ann")).await);
    seen.push(revision(directory, &acme).await);
    answered(directory.delete_member(&acme, &project("p"), &user("ann")).await);
    seen.push(revision(directory, &acme).await);
    answered(directory.delete_user(&acme, &user("ann")).await);
    seen.push(revision(directory, &acme).await);
    promises.keep(
        "each change raises the revision",
        seen.windows(2).all(|pair| pair[0] < pair[1]) && seen[0] > 0,
    );
    promises.keep(
        "the revision that is known without asking is the one that is read",
        directory.revision_now(&acme).is_none_or(|known| known == seen[seen.len() - 1]),
    );
    let both = answered(directory.revisions(&[ghost.clone(), acme.clone()]).await);
    promises.keep("revisions come in the order asked for", both == [0, seen[seen.len() - 1]]);
    let (_, states) = answered(directory.user_states(&ghost, &[user("ann")]).await);
    promises
        .keep("of what does not exist nothing is known", !states[0].exists && states[0].projects.is_empty());
}

async fn members(directory: &dyn Directory, promises: &mut Promises) {
    let acme = tenant("acme");
    let p = project("p");
    let made =
        answered(directory.put_members(&acme, &p, &[wants("ann", Some(false)), wants("bob", None)]).await);
    promises.keep(
        "members are made with their missing parents",
        made == 2 && answered(directory.tenant_exists(&acme).await),
    );
    let since = revision(directory, &acme).await;
    let of = async |name: &str| answered(directory.member(&acme, &p, &user(name)).await);
    promises.keep(
        "a setting that is not named is true for a new member",
        of("ann").await == Some(Settings { deliver: false, push: true })
            && of("bob").await == Some(Settings::default()),
    );
    let more = [wants("ann", None), wants("cleo", None)];
    let made = answered(directory.put_members(&acme, &p, &more).await);
    promises.keep(
        "a setting that is not named stays",
        made == 1 && of("ann").await.is_some_and(|ann| !ann.deliver),
    );
    let all = [user("ann"), user("bob"), user("cleo"), user("nobody")];
    let (now, changed) = answered(directory.changed_users(&acme, &all, since).await);
    let named: Vec<&UserId> = changed.iter().map(|(user, _)| user).collect();
    promises.keep(
        "of the given users those that changed are told, with the revision they belong to",
        named.contains(&&all[2]) && !named.contains(&&all[1]) && now == revision(directory, &acme).await,
    );
    let (at, states) = answered(directory.user_states(&acme, &all).await);
    promises.keep(
        "states come in the order asked for, as of one revision",
        at == now && states.iter().map(|state| state.exists).collect::<Vec<_>>() == [true, true, true, false],
    );
    promises.keep(
        "a state has the projects and the settings",
        states[0].projects.get(&p).is_some_and(|ann| !ann.deliver),
    );
    let many: Vec<MemberSettings> = (0..3000).map(|number| wants(&format!("u{number:05}"), None)).collect();
    promises
        .keep("thousands are made at once", answered(directory.put_members(&acme, &p, &many).await) == 3000);
}

async fn settings(directory: &dyn Directory, promises: &mut Promises) {
    let (acme, p) = (tenant("acme"), project("p"));
    answered(directory.put_members(&acme, &p, &[wants("ann", None), wants("bob", None)]).await);
    answered(directory.put_user(&acme, &user("cleo")).await);
    let since = revision(directory, &acme).await;
    let change = async |name: &str, of: &ProjectId, deliver| {
        answered(directory.change_settings(&acme, of, &wants(name, deliver)).await)
    };
    let off = Some(Settings { deliver: false, push: true });
    let told = change("ann", &p, Some(false)).await;
    let kept = answered(directory.member(&acme, &p, &user("ann")).await);
    let all = [user("ann"), user("bob"), user("cleo")];
    let (now, changed) = answered(directory.changed_users(&acme, &all, since).await);
    promises.keep(
        "a member's settings are changed, told, kept, and seen as its change alone",
        told == off && kept == off && now > since && changed.len() == 1 && changed[0].0 == all[0],
    );
    let same = (change("ann", &p, Some(false)).await, change("ann", &p, None).await);
    promises.keep(
        "what changes nothing raises nothing",
        same == (off, off) && revision(directory, &acme).await == now,
    );
    let nobody = [change("cleo", &p, Some(false)).await, change("nobody", &p, None).await];
    let nowhere = [change("ann", &project("q"), Some(false)).await];
    let stranger = answered(directory.change_settings(&tenant("zeta"), &p, &wants("ann", None)).await);
    promises.keep(
        "who is no member is made none",
        nobody == [None, None]
            && nowhere == [None]
            && stranger.is_none()
            && answered(directory.member(&acme, &p, &user("cleo")).await).is_none()
            && !answered(directory.project_exists(&acme, &project("q")).await)
            && revision(directory, &acme).await == now,
    );
}

async fn deletions(directory: &dyn Directory, promises: &mut Promises) {
    let acme = tenant("acme");
    let p = project("p");
    answered(directory.put_members(&acme, &p, &[wants("ann", None), wants("bob", None)]).await);
    let state = async |name: &str| answered(directory.user_states(&acme, &[user(name)]).await).1.remove(0);
    let since = revision(directory, &acme).await;
    promises.keep("a membership ends once", answered(directory.delete_member(&acme, &p, &user("ann")).await));
    promises.keep("and not twice", !answered(directory.delete_member(&acme, &p, &user("ann")).await));
    promises
        .keep("without it the project is gone from the state", !state("ann").await.projects.contains_key(&p));
    let before = state("bob").await.revocations;
    promises.keep("a user is deleted once", answered(directory.delete_user(&acme, &user("bob")).await));
    let (_, changed) = answered(directory.changed_users(&acme, &[user("ann"), user("bob")], since).await);
    let bob = changed.iter().find(|(name, _)| *name == user("bob")).map(|(_, state)| state.exists);
    promises.keep("a deleted user is told as changed", bob == Some(false) && changed.len() == 2);
    answered(directory.put_user(&acme, &user("bob")).await);
    let after = state("bob").await;
    promises.keep(
        "made again it has grown revocations and no old membership",
        after.exists && after.revocations > before && after.projects.is_empty(),
    );
    answered(directory.put_members(&acme, &p, &[wants("bob", None)]).await);
    promises.keep(
        "a project is deleted with its memberships",
        answered(directory.delete_project(&acme, &p).await),
    );
    promises.keep("nobody is a member of it any more", state("bob").await.projects.is_empty());
    let held = revision(directory, &acme).await;
    promises.keep("a tenant is deleted with its users", answered(directory.delete_tenant(&acme).await));
    promises.keep(
        "they exist no more",
        !state("bob").await.exists && !answered(directory.tenant_exists(&acme).await),
    );
    let (now, changed) = answered(directory.changed_users(&acme, &[user("bob")], held).await);
    promises.keep(
        "and are told as changed",
        now > held && changed.first().is_some_and(|(_, state)| !state.exists),
    );
    answered(directory.put_user(&acme, &user("bob")).await);
    promises.keep(
        "a tenant that is made again goes on behind its old revision",
        revision(directory, &acme).await > held,
    );
}

async fn lists(directory: &dyn Directory, promises: &mut Promises) {
    let (acme, globex) = (tenant("acme"), tenant("globex"));
    for name in ["c", "a", "b"] {
        answered(directory.put_user(&acme, &user(name)).await);
        answered(directory.put_project(&acme, &project(name)).await);
    }
    answered(directory.put_user(&globex, &user("z")).await);
    let page = |after: Option<&str>| Page { limit: 2, after: after.map(str::to_owned) };
    let first = answered(directory.list_users(&acme, &page(None)).await);
    let second = answered(directory.list_users(&acme, &page(Some("b"))).await);
    promises.keep(
        "a list is in the order of ids, page by page",
        first.items == [user("a"), user("b")] && first.more,
    );
    promises.keep("its last page says so", second.items == [user("c")] && !second.more);
    let projects = answered(directory.list_projects(&acme, &Page { limit: 10, after: None }).await);
    promises.keep("projects are listed", projects.items == [project("a"), project("b"), project("c")]);
    promises.keep(
        "a project is there or not",
        answered(directory.project_exists(&acme, &project("a")).await)
            && !answered(directory.project_exists(&globex, &project("a")).await),
    );
    answered(directory.put_members(&acme, &project("a"), &[wants("b", None), wants("a", Some(false))]).await);
    let members = answered(directory.list_members(&acme, &project("a"), &page(None)).await);
    promises.keep(
        "members are listed with their settings",
        members.items.len() == 2 && !members.items[0].1.deliver,
    );
    let foreign = answered(directory.list_members(&globex, &project("a"), &page(None)).await);
    promises.keep("another tenant's project looks like none", foreign.items.is_empty());
    let tenants =
        answered(directory.list_tenants(&Page { limit: 1000, after: Some(acme.to_string()) }).await);
    promises.keep("tenants are listed", tenants.items.contains(&globex) && !tenants.items.contains(&acme));
}
