//! JWTs with configured keys.

mod support;

use std::{sync::Arc, time::Duration};

use antiphon_auth::{
    Authenticators, JwtAuthenticator, JwtRules, OpaqueAuthenticator, Secret, VerifyKey, issue,
};
use antiphon_core::{AuthError, Authenticator, Identity, Tokens};
use antiphon_protocol::now_ms;
use serde_json::{Value, json};
use support::{
    MemoryTokens,
    signer::{SECRET, Signer, claims, seconds, unsigned},
    tenant, user,
};

fn authenticator(tokens: &Arc<MemoryTokens>, keys: Vec<VerifyKey>) -> JwtAuthenticator {
    JwtAuthenticator::new(tokens.clone(), JwtRules::default(), keys, None)
}

async fn one(of: &impl Authenticator, token: &str) -> Result<Identity, AuthError> {
    of.authenticate(&[token]).await.remove(0)
}

async fn refused(of: &impl Authenticator, token: &str) {
    let answer = one(of, token).await;
    assert!(matches!(answer, Err(AuthError::Invalid(_))), "{answer:?}");
}

#[tokio::test]
async fn a_token_of_every_algorithm_is_proved_by_its_key_and_by_no_other() {
    let tokens = MemoryTokens::new();
    let (signers, others) = (Signer::all(), Signer::all());
    let all = authenticator(&tokens, signers.iter().map(Signer::verify_key).collect());
    for (signer, other) in signers.iter().zip(&others) {
        let claims = claims();
        let identity = one(&all, &signer.sign(&claims)).await.unwrap();
        assert_eq!((identity.tenant, identity.user), (tenant("acme"), user("ann")));
        assert_eq!(identity.expires_at, claims["exp"].as_i64().map(|exp| exp * 1000));
        assert_eq!(identity.revocations, 3);
        if signer.name != "HS256" {
            refused(&all, &other.sign(&claims)).await;
        }
    }
    refused(&all, &Signer::hs256("another secret of thirty-two bytes or more").sign(&claims())).await;
    assert_eq!(tokens.admitted.lock().unwrap().len(), 4);
}

#[tokio::test]
async fn a_public_key_is_never_taken_for_a_shared_secret() {
    let signer = Signer::rs256();
    let authenticator = authenticator(&MemoryTokens::new(), vec![signer.verify_key()]);
    let forger = Signer::hs256(signer.public_pem());
    refused(&authenticator, &forger.sign(&claims())).await;
    refused(&authenticator, &forger.sign_with(&json!({"alg": "RS256"}), &claims())).await;
    assert!(VerifyKey::secret(&Secret::new(signer.public_pem())).is_err());
}

#[tokio::test]
async fn a_token_without_a_signature_or_of_another_algorithm_is_refused() {
    let signer = Signer::hs256(SECRET);
    let authenticator = authenticator(&MemoryTokens::new(), vec![signer.verify_key()]);
    for alg in ["none", "None", "NONE", "HS384", "HS512", "hs256", ""] {
        let header = json!({ "alg": alg });
        refused(&authenticator, &format!("{}.", unsigned(&header, &claims()))).await;
        refused(&authenticator, &signer.sign_with(&header, &claims())).await;
    }
    let whole = signer.sign(&claims());
    let (message, _) = whole.rsplit_once('.').unwrap();
    refused(&authenticator, &format!("{message}.")).await;
    for junk in ["", "a.b", "..", "a.b.c", "a.b.c.d", &format!("{whole}.x"), &format!("{whole}=")] {
        refused(&authenticator, junk).await;
    }
}

#[tokio::test]
async fn a_key_with_a_kid_proves_only_tokens_that_name_it() {
    let signer = Signer::es256();
    let key = VerifyKey::jwk_file(&signer.jwk("first").to_string()).unwrap();
    let authenticator = authenticator(&MemoryTokens::new(), key);
    let with = |kid: Value| signer.sign_with(&json!({"alg": "ES256", "kid": kid}), &claims());
    assert!(one(&authenticator, &with(json!("first"))).await.is_ok());
    for kid in [json!("second"), json!("firs"), json!("First"), json!(1), json!("")] {
        refused(&authenticator, &with(kid)).await;
    }
}

#[tokio::test]
async fn keys_and_addresses_inside_a_token_are_not_looked_at() {
    let (ours, forger) = (Signer::es256(), Signer::es256());
    let authenticator = authenticator(&MemoryTokens::new(), vec![ours.verify_key()]);
    let header = json!({
        "alg": "ES256",
        "jwk": forger.jwk("x"),
        "jku": "http://127.0.0.1:1/jwks.json",
        "x5u": "http://127.0.0.1:1/cert.pem",
        "x5c": ["AAAA"],
    });
    refused(&authenticator, &forger.sign_with(&header, &claims())).await;
    assert!(one(&authenticator, &ours.sign_with(&header, &claims())).await.is_ok());
    let critical = json!({"alg": "ES256", "crit": ["exp"]});
    refused(&authenticator, &ours.sign_with(&critical, &claims())).await;
}

#[tokio::test]
async fn a_token_is_taken_within_the_leeway_and_not_after_it() {
    let signer = Signer::hs256(SECRET);
    let authenticator = authenticator(&MemoryTokens::new(), vec![signer.verify_key()]);
    let at = |exp: i64| signer.sign(&json!({"sub": "ann", "tenant": "acme", "exp": exp}));
    let late = one(&authenticator, &at(seconds(-1))).await.unwrap();
    assert!(late.expires_at.unwrap() > now_ms());
    refused(&authenticator, &at(seconds(-6))).await;
}

#[tokio::test]
async fn a_huge_token_is_refused_before_it_is_read() {
    let signer = Signer::hs256(SECRET);
    let tokens = MemoryTokens::new();
    let authenticator = authenticator(&tokens, vec![signer.verify_key()]);
    let mut claims = claims();
    claims["more"] = json!("x".repeat(8 * 1024));
    refused(&authenticator, &signer.sign(&claims)).await;
    assert!(tokens.admitted.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_revocation_ends_tokens_issued_before_it_and_no_later_one() {
    let signer = Signer::hs256(SECRET);
    let tokens = MemoryTokens::new();
    let authenticator = authenticator(&tokens, vec![signer.verify_key()]);
    let issued = |iat: Option<f64>| {
        let mut claims = claims();
        if let Some(iat) = iat {
            claims["iat"] = json!(iat);
        }
        signer.sign(&claims)
    };
    assert!(one(&authenticator, &issued(None)).await.is_ok());
    let revoked_at = 1_700_000_000_500;
    tokens.revoke_tokens(&tenant("acme"), &user("ann"), revoked_at).await.unwrap();
    refused(&authenticator, &issued(None)).await;
    refused(&authenticator, &issued(Some(1_700_000_000.499))).await;
    assert!(one(&authenticator, &issued(Some(1_700_000_000.5))).await.is_ok());
    assert!(one(&authenticator, &issued(Some(1_700_000_001.0))).await.is_ok());
}

#[tokio::test]
async fn tokens_of_all_forms_in_one_batch_find_their_way() {
    let signer = Signer::hs256(SECRET);
    let tokens = MemoryTokens::new();
    let chain = Authenticators::new()
        .with_opaque(OpaqueAuthenticator::new(tokens.clone()))
        .with_jwt(authenticator(&tokens, vec![signer.verify_key()]));
    let (opaque, _) =
        issue(&*tokens, &tenant("acme"), &user("bob"), Some(Duration::from_secs(9))).await.unwrap();
    let jwt = signer.sign(&claims());
    let answers = chain.authenticate(&[&jwt, "", &opaque, "a.b", &jwt, "ant_x"]).await;
    let users: Vec<_> = answers.into_iter().map(|answer| answer.ok().map(|id| id.user.to_string())).collect();
    let some = |name: &str| Some(name.to_owned());
    assert_eq!(users, [some("ann"), None, some("bob"), None, some("ann"), None]);
    let opaque_alone = Authenticators::new().with_opaque(OpaqueAuthenticator::new(tokens));
    refused(&opaque_alone, &jwt).await;
}

#[tokio::test]
async fn no_error_shows_anything_of_a_token() {
    let signer = Signer::hs256(SECRET);
    let authenticator = authenticator(&MemoryTokens::new(), vec![signer.verify_key()]);
    let canary = "CANARY0123456789";
    let mut shown = Vec::new();
    for (field, value) in [
        ("sub", json!(format!("{canary} {canary}"))),
        ("tenant", json!({ canary: 1 })),
        ("exp", json!(canary)),
        ("aud", json!({ canary: 1 })),
    ] {
        let mut claims = claims();
        claims[field] = value;
        shown.push(signer.sign(&claims));
    }
    shown.push(signer.sign_with(&json!({"alg": canary, "kid": canary}), &claims()));
    shown.push(format!("{canary}.{canary}.{canary}"));
    for token in shown {
        let error = one(&authenticator, &token).await.unwrap_err();
        let text = format!("{error} {error:?}");
        assert!(!text.contains(canary) && !text.contains(&token), "{text}");
    }
}
