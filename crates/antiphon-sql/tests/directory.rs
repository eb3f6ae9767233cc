//! What the directory of each engine does beyond the contract suite.

mod support;

use antiphon_core::{MemberSettings, NewToken, Page, Settings};
use support::{draft, each, keyed, member, project, tenant, topic, user};

#[tokio::test]
async fn a_change_raises_the_revision_and_names_whom_it_touches() {
    for fresh in each("a_change_raises_the_revision").await {
        let directory = &fresh.engines.directory;
        let acme = tenant("acme");
        let all = [user("ann"), user("bob"), user("eve")];
        assert_eq!(directory.revisions(std::slice::from_ref(&acme)).await.unwrap(), [0]);
        assert_eq!(
            directory.put_members(&acme, &project("p"), &[member("ann"), member("bob")]).await.unwrap(),
            2
        );
        let (first, states) = directory.user_states(&acme, &all).await.unwrap();
        assert!(first > 0 && states[0].projects.contains_key(&project("p")) && !states[2].exists);
        // The same again changes nothing.
        assert_eq!(
            directory.put_members(&acme, &project("p"), &[member("bob"), member("ann")]).await.unwrap(),
            0
        );
        assert_eq!(directory.revisions(std::slice::from_ref(&acme)).await.unwrap(), [first]);
        let quiet = MemberSettings { deliver: Some(false), ..member("bob") };
        assert_eq!(directory.put_members(&acme, &project("p"), &[quiet]).await.unwrap(), 0);
        let (second, changed) = directory.changed_users(&acme, &all, first).await.unwrap();
        assert!(second > first && changed.len() == 1 && changed[0].0 == user("bob"));
        assert_eq!(changed[0].1.projects[&project("p")], Settings { deliver: false, push: true });
        let still = MemberSettings { push: Some(false), ..member("bob") };
        directory.put_members(&acme, &project("p"), std::slice::from_ref(&still)).await.unwrap();
        let third = directory.revisions(std::slice::from_ref(&acme)).await.unwrap()[0];
        assert!(third > second);
        directory.put_members(&acme, &project("p"), &[still]).await.unwrap();
        assert_eq!(directory.revisions(std::slice::from_ref(&acme)).await.unwrap(), [third]);
        let settings = directory.member(&acme, &project("p"), &user("bob")).await.unwrap();
        assert_eq!(settings, Some(Settings { deliver: false, push: false }));
        assert!(directory.revision_now(&acme).is_none_or(|known| known == third));
        assert!(directory.delete_project(&acme, &project("p")).await.unwrap());
        let (last, changed) = directory.changed_users(&acme, &all, third).await.unwrap();
        assert!(
            last > third && changed.len() == 2 && changed.iter().all(|(_, state)| state.projects.is_empty())
        );
    }
}

#[tokio::test]
async fn what_is_deleted_leaves_nothing_but_numbers_that_go_on_growing() {
    for fresh in each("what_is_deleted").await {
        let (directory, tokens) = (&fresh.engines.directory, &fresh.engines.tokens);
        let (acme, ann) = (tenant("acme"), user("ann"));
        directory.put_members(&acme, &project("p"), &[member("ann")]).await.unwrap();
        let token = NewToken { tenant: acme.clone(), user: ann.clone(), hash: [1; 32], expires_at: None };
        tokens.add_token(&token).await.unwrap();
        assert!(tokens.find_tokens(&[[2; 32], [1; 32]]).await.unwrap()[1].is_some());
        let (before, _) = directory.user_states(&acme, &[]).await.unwrap();
        assert!(
            directory.delete_tenant(&acme).await.unwrap() && !directory.delete_tenant(&acme).await.unwrap()
        );
        assert!(!directory.tenant_exists(&acme).await.unwrap());
        let (after, changed) =
            directory.changed_users(&acme, std::slice::from_ref(&ann), before).await.unwrap();
        assert!(
            after > before && changed.len() == 1 && !changed[0].1.exists && changed[0].1.revocations == 1
        );
        assert_eq!(tokens.find_tokens(&[[1; 32]]).await.unwrap(), [None]);
        // No token brings back whose tenant was deleted; the application does.
        assert_eq!(tokens.admit_user(&acme, &ann, i64::MAX - 1).await.unwrap(), (1, Some(i64::MAX)));
        assert!(directory.put_user(&acme, &ann).await.unwrap());
        let (revived, states) = directory.user_states(&acme, std::slice::from_ref(&ann)).await.unwrap();
        assert!(
            revived > after
                && states[0].exists
                && states[0].revocations == 1
                && states[0].projects.is_empty()
        );
        let (revocations, before) = tokens.admit_user(&acme, &ann, i64::MAX - 1).await.unwrap();
        assert!(revocations == 1 && before.is_some_and(|before| before < i64::MAX));
    }
}

#[tokio::test]
async fn ten_thousand_members_are_put_in_one_call_and_listed_in_order() {
    for fresh in each("ten_thousand_members").await {
        let directory = &fresh.engines.directory;
        let members: Vec<_> = (0..10_000).map(|n| member(&format!("u{n:05}"))).collect();
        assert_eq!(directory.put_members(&tenant("acme"), &project("p"), &members).await.unwrap(), 10_000);
        let page = Page { limit: 3, after: Some("u00041".into()) };
        let listed = directory.list_members(&tenant("acme"), &project("p"), &page).await.unwrap();
        assert!(listed.more);
        assert_eq!(
            listed.items.iter().map(|(user, _)| user.as_str()).collect::<Vec<_>>(),
            ["u00042", "u00043", "u00044"]
        );
    }
}

#[tokio::test]
async fn what_is_not_there_is_neither_deleted_nor_changed_nor_raised() {
    for fresh in each("what_is_not_there").await {
        let (directory, tokens) = (&fresh.engines.directory, &fresh.engines.tokens);
        let (acme, ann, p) = (tenant("acme"), user("ann"), project("p"));
        for there in [false, true] {
            if there {
                assert!(directory.put_user(&acme, &ann).await.unwrap());
                assert!(directory.delete_user(&acme, &ann).await.unwrap());
            }
            let before = directory.revisions(std::slice::from_ref(&acme)).await.unwrap();
            assert!(!directory.delete_user(&acme, &ann).await.unwrap());
            assert!(!directory.disconnect_user(&acme, &ann).await.unwrap());
            assert!(!directory.delete_project(&acme, &p).await.unwrap());
            assert!(!directory.delete_member(&acme, &p, &ann).await.unwrap());
            assert!(!tokens.revoke_tokens(&acme, &ann, 1).await.unwrap());
            assert_eq!(directory.revisions(std::slice::from_ref(&acme)).await.unwrap(), before);
        }
        assert_eq!(tokens.admit_user(&acme, &user("new"), 0).await.unwrap(), (0, None));
        let before = directory.revisions(std::slice::from_ref(&acme)).await.unwrap();
        assert_eq!(tokens.admit_user(&acme, &user("new"), 0).await.unwrap(), (0, None));
        let token = NewToken { tenant: acme.clone(), user: user("new"), hash: [1; 32], expires_at: Some(5) };
        tokens.add_token(&token).await.unwrap();
        assert_eq!(directory.revisions(std::slice::from_ref(&acme)).await.unwrap(), before);
        assert_eq!((tokens.sweep_tokens(5).await.unwrap(), tokens.sweep_tokens(6).await.unwrap()), (0, 1));
        assert_eq!(tokens.find_tokens(&[[1; 32]]).await.unwrap(), [None]);
    }
}

#[tokio::test]
async fn a_tenant_that_is_made_again_sees_nothing_of_the_former_one() {
    for fresh in each("a_tenant_that_is_made_again").await {
        let (directory, store) = (&fresh.engines.directory, &fresh.engines.store);
        let (acme, news) = (tenant("acme"), topic("news"));
        let append = async |drafts| {
            let revision = directory.revisions(std::slice::from_ref(&acme)).await.unwrap()[0];
            store.append(&[(revision, drafts)]).await.unwrap().remove(0).unwrap()
        };
        // Twice, since the second deletion must not meet what the first has left.
        for _ in 0..2 {
            directory.put_tenant(&acme).await.unwrap();
            assert!(store.read_before(&news, None, 10).await.unwrap().entries.is_empty());
            let old = append(vec![keyed("news", None, "k", "x"), draft("news", "y")]).await;
            assert!(!old[0].duplicate, "a key of the former tenant is free");
            assert_eq!(old[1].entry.position.offset, 2);
            assert!(directory.delete_tenant(&acme).await.unwrap());

            let (first, last) = (&old[0].entry, &old[1].entry);
            assert!(store.read(&news, 0, 10, 1 << 20).await.unwrap().is_empty());
            assert!(store.entry(&news, first.id).await.unwrap().is_none());
            let located = store.locate(&news, Some(2)).await.unwrap();
            assert_eq!((located.head.position.offset, located.link), (0, None));
            assert_eq!(store.heads(std::slice::from_ref(&news)).await.unwrap()[0].offset, 0);
            // A position of the former log proves nothing in the new one.
            directory.put_tenant(&acme).await.unwrap();
            let new = append(vec![draft("news", "a"), draft("news", "b")]).await;
            let located = store.locate(&news, Some(2)).await.unwrap();
            assert_eq!(located.link, Some(new[1].entry.position.link));
            assert_ne!(located.link, Some(last.position.link));
            directory.delete_tenant(&acme).await.unwrap();
        }
        // Retention finds what nobody can name.
        assert_eq!(support::trim_before(&**store, i64::MAX).await, 8);
    }
}
