//! Strings that would be SQL if anybody let them, through every field.

mod support;

use antiphon_core::{ApiKey, Lease, MemberSettings, NewToken, Page, Scope};
use antiphon_protocol::{Content, Draft, Key, NodeId, ProjectId, TenantId, Topic, TopicName, UserId};
use support::{append, draft, each, member, project, tenant, topic, user};

const IDS: &[&str] = &[
    "'",
    "''",
    "\"",
    "\\",
    "%",
    "_",
    "$1",
    "?1",
    ":a",
    "';drop/**/table/**/entries;--",
    "');delete/**/from/**/antiphon.tenants;--",
    "'/**/or/**/1=1--",
    "{acme,globex}",
    "[\"acme\"]",
    "\",\"acme",
    "$$",
    "NULL",
    "acme'||'x",
    "0x61",
    "@@version",
];

const TEXTS: &[&str] =
    &["', 'x'); --", "\u{1F600} é \u{202e}", "{\"a\":1}", "\\u0000", "%s%n", "NULL", "a\u{fffd}b"];

#[tokio::test]
async fn what_looks_like_sql_is_a_name_like_any_other() {
    for fresh in each("what_looks_like_sql").await {
        let e = &fresh.engines;
        // Somebody whom nothing of this may touch.
        e.directory.put_members(&tenant("acme"), &project("p"), &[member("ann")]).await.unwrap();
        append(&*e.store, vec![draft("news", "kept")]).await;
        for (n, id) in IDS.iter().enumerate() {
            let (of, who, what) =
                (TenantId::parse(id).unwrap(), UserId::parse(id).unwrap(), ProjectId::parse(id).unwrap());
            let place = Topic::new(of.clone(), TopicName::parse(id).unwrap());
            assert!(!e.directory.tenant_exists(&of).await.unwrap());
            let settings = MemberSettings { user: who.clone(), deliver: Some(false), push: None };
            assert_eq!(e.directory.put_members(&of, &what, &[settings]).await.unwrap(), 1);
            assert!(
                !e.directory.put_user(&of, &who).await.unwrap()
                    && !e.directory.put_project(&of, &what).await.unwrap()
            );
            assert_eq!(e.directory.revisions(std::slice::from_ref(&of)).await.unwrap(), [1]);
            let (_, states) = e.directory.user_states(&of, std::slice::from_ref(&who)).await.unwrap();
            assert!(states[0].exists && !states[0].projects[&what].deliver && states[0].projects[&what].push);
            let before = Page { limit: 10, after: Some("\u{1}".to_owned() + id) };
            assert_eq!(e.directory.list_users(&of, &before).await.unwrap().items, std::slice::from_ref(&who));
            assert_eq!(e.directory.list_members(&of, &what, &before).await.unwrap().items.len(), 1);
            assert!(
                e.directory
                    .list_projects(&of, &Page { limit: 10, after: Some((*id).into()) })
                    .await
                    .unwrap()
                    .items
                    .is_empty()
            );

            let hash = [u8::try_from(n).unwrap(); 32];
            let token = NewToken { tenant: of.clone(), user: who.clone(), hash, expires_at: Some(9) };
            e.tokens.add_token(&token).await.unwrap();
            let found = e.tokens.find_tokens(&[hash]).await.unwrap().remove(0).unwrap();
            assert_eq!((found.tenant, found.user, found.expires_at), (of.clone(), who.clone(), Some(9)));
            let key = ApiKey {
                id: (*id).into(),
                hash,
                scopes: Scope::ALL.to_vec(),
                tenant: Some(of.clone()),
                expires_at: None,
                created_at: 1,
            };
            e.keys.add_key(&key).await.unwrap();
            assert_eq!(e.keys.find_key(&hash).await.unwrap().unwrap().scopes, Scope::ALL);

            let drafts: Vec<Draft> = TEXTS
                .iter()
                .map(|text| Draft {
                    topic: place.clone(),
                    author: Some(who.clone()),
                    named_project: Some(what.clone()),
                    key: Some(Key::parse(&format!("{id}{text}")).unwrap()),
                    content: Content::text(text).unwrap(),
                })
                .collect();
            let appended = append(&*e.store, drafts.clone()).await;
            assert!(append(&*e.store, drafts.clone()).await.iter().all(|again| again.duplicate));
            let read = e.store.read(&place, 0, 100, 1 << 20).await.unwrap();
            assert_eq!(read.len(), TEXTS.len());
            for ((read, draft), appended) in read.iter().zip(&drafts).zip(&appended) {
                assert_eq!(
                    (&read.content, &read.key, &read.author),
                    (&draft.content, &draft.key, &draft.author)
                );
                assert_eq!((read.id, read.project.as_ref()), (appended.entry.id, Some(&what)));
                assert!(e.store.entry(&topic("news"), read.id).await.unwrap().is_none(), "another tenant's");
                assert!(e.store.entry(&place, read.id).await.unwrap().is_some());
            }
            assert_eq!(
                e.store.heads(std::slice::from_ref(&place)).await.unwrap(),
                [read[read.len() - 1].position]
            );

            assert!(e.directory.disconnect_user(&of, &who).await.unwrap());
            assert!(e.tokens.revoke_tokens(&of, &who, 5).await.unwrap());
            assert_eq!(e.tokens.admit_user(&of, &who, 0).await.unwrap(), (1, Some(5)));
            assert!(e.directory.delete_member(&of, &what, &who).await.unwrap());
            assert!(e.directory.delete_project(&of, &what).await.unwrap());
            assert!(e.directory.delete_user(&of, &who).await.unwrap());
            assert!(e.keys.revoke_key(id).await.unwrap() && !e.keys.revoke_key(id).await.unwrap());
            assert!(e.directory.delete_tenant(&of).await.unwrap());
        }
        let all = Page { limit: 100, after: None };
        assert_eq!(e.directory.list_tenants(&all).await.unwrap().items, [tenant("acme")]);
        assert!(e.directory.member(&tenant("acme"), &project("p"), &user("ann")).await.unwrap().is_some());
        assert_eq!(e.store.read(&topic("news"), 0, 10, 1000).await.unwrap().len(), 1);
    }
}

#[tokio::test]
async fn keys_are_listed_as_they_were_made_and_leases_end_by_the_engines_clock() {
    for fresh in each("keys_are_listed").await {
        let e = &fresh.engines;
        for (n, id) in ["z", "a", "m"].into_iter().enumerate() {
            let hash = [u8::try_from(n).unwrap(); 32];
            let scopes = vec![Scope::Publish];
            let key =
                ApiKey { id: id.into(), hash, scopes, tenant: None, expires_at: Some(3), created_at: 2 };
            e.keys.add_key(&key).await.unwrap();
        }
        let listed = e.keys.list_keys().await.unwrap();
        assert_eq!(listed.iter().map(|key| &*key.id).collect::<Vec<_>>(), ["z", "a", "m"]);
        assert_eq!(
            (listed[0].expires_at, listed[0].created_at, listed[0].tenant.is_none()),
            (Some(3), 2, true)
        );

        let lease = |node, connections| Lease { node: NodeId(node), connections };
        e.presence.renew(lease(u64::MAX, 1), 60_000).await.unwrap();
        // A time to live of nothing has ended when the next asks.
        e.presence.renew(lease(3, 1), 0).await.unwrap();
        let alive = e.presence.renew(lease(u64::MAX, 2), u64::MAX).await.unwrap();
        assert_eq!(alive, [lease(u64::MAX, 2)]);
        e.presence.renew(lease(4, 9), 60_000).await.unwrap();
        e.presence.release(NodeId(u64::MAX)).await.unwrap();
        assert_eq!(e.presence.renew(lease(4, 8), 60_000).await.unwrap(), [lease(4, 8)]);
    }
}
