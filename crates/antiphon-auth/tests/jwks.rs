//! JWTs whose keys are fetched from the issuer.

mod support;

use std::{sync::Arc, time::Duration};

use antiphon_auth::{Jwks, JwksError, JwksSource, JwtAuthenticator, JwtRules};
use antiphon_core::{AuthError, Authenticator, Identity};
use serde_json::json;
use support::{
    MemoryTokens,
    issuer::{Behaviour, Issuer},
    signer::{Signer, claims},
};

const LONG: Duration = Duration::from_secs(3600);

fn set(keys: &[serde_json::Value]) -> Behaviour {
    Behaviour::Answers(200, json!({ "keys": keys }).to_string())
}

fn by(jwks: Jwks) -> Arc<JwtAuthenticator> {
    Arc::new(JwtAuthenticator::new(MemoryTokens::new(), JwtRules::default(), vec![], Some(jwks)))
}

async fn one(of: &JwtAuthenticator, token: &str) -> Result<Identity, AuthError> {
    of.authenticate(&[token]).await.remove(0)
}

fn signed(signer: &Signer, kid: &str) -> String {
    signer.sign_with(&json!({"alg": signer.name, "kid": kid}), &claims())
}

#[tokio::test]
async fn fetched_keys_of_every_kind_prove_tokens_with_one_fetch() {
    let signers = [Signer::rs256(), Signer::es256(), Signer::eddsa()];
    let keys: Vec<_> = signers.iter().map(|signer| signer.jwk(signer.name)).collect();
    let issuer = Issuer::start(set(&keys)).await;
    let authenticator = by(issuer.jwks(LONG));
    for signer in &signers {
        assert!(one(&authenticator, &signed(signer, signer.name)).await.is_ok(), "{}", signer.name);
    }
    assert_eq!(issuer.asked(), 1);
}

#[test]
fn a_proxy_of_the_environment_gets_none_of_it() {
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let proxy = format!("http://{}", nobody.local_addr().unwrap());
    drop(nobody);
    let mut again = std::process::Command::new(std::env::current_exe().unwrap());
    again.args(["--exact", "fetched_keys_of_every_kind_prove_tokens_with_one_fetch"]);
    for variable in ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"] {
        again.env(variable, &proxy);
    }
    let output = again.env_remove("NO_PROXY").env_remove("no_proxy").output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
}

#[tokio::test]
async fn a_new_key_of_the_issuer_is_fetched_when_a_token_names_it() {
    let (old, new) = (Signer::es256(), Signer::es256());
    let issuer = Issuer::start(set(&[old.jwk("old")])).await;
    let authenticator = by(issuer.jwks(Duration::ZERO));
    assert!(one(&authenticator, &signed(&old, "old")).await.is_ok());
    issuer.now(set(&[new.jwk("new")]));
    assert!(one(&authenticator, &signed(&new, "new")).await.is_ok());
    assert!(matches!(one(&authenticator, &signed(&old, "old")).await, Err(AuthError::Invalid(_))));
}

#[tokio::test]
async fn tokens_with_made_up_kids_cost_the_issuer_nothing() {
    let signer = Signer::es256();
    let issuer = Issuer::start(set(&[signer.jwk("a")])).await;
    let authenticator = by(issuer.jwks(LONG));
    for n in 0..50 {
        let answer = one(&authenticator, &signed(&signer, &format!("made-up-{n}"))).await;
        assert!(matches!(answer, Err(AuthError::Invalid(_))), "{answer:?}");
    }
    assert_eq!(issuer.asked(), 1);
}

#[tokio::test]
async fn an_issuer_that_can_not_be_read_makes_a_token_unproved_but_not_wrong() {
    let signer = Signer::es256();
    let good = json!({"keys": [signer.jwk("a")]}).to_string();
    let elsewhere = Issuer::start(Behaviour::Answers(200, good.clone())).await;
    let issuer = Issuer::start(Behaviour::Silent).await;
    for (what, behaviour) in [
        ("silent", Behaviour::Silent),
        ("endless", Behaviour::Endless),
        ("an error", Behaviour::Answers(500, good.clone())),
        ("a redirect", Behaviour::Redirects(elsewhere.url.clone())),
        ("garbage", Behaviour::Answers(200, "<html>".into())),
        ("no keys", Behaviour::Answers(200, r#"{"keys":[]}"#.into())),
        ("deep", Behaviour::Answers(200, "[".repeat(10_000))),
        ("large", Behaviour::Answers(200, format!("{good}{}", " ".repeat(16 * 1024)))),
    ] {
        issuer.now(behaviour);
        let authenticator = by(issuer.jwks(Duration::ZERO));
        let answer = one(&authenticator, &signed(&signer, "a")).await;
        assert!(matches!(answer, Err(AuthError::Seam(_))), "{what}: {answer:?}");
    }
    assert_eq!(elsewhere.asked(), 0);
}

#[tokio::test]
async fn keys_that_were_fetched_outlive_the_issuers_absence() {
    let signer = Signer::es256();
    let issuer = Issuer::start(set(&[signer.jwk("a")])).await;
    let mut source = JwksSource::new(issuer.url.parse().unwrap());
    source.max_age = Duration::ZERO;
    source.min_interval = Duration::ZERO;
    source.timeout = Duration::from_millis(300);
    let authenticator = by(Jwks::new(source).unwrap());
    assert!(one(&authenticator, &signed(&signer, "a")).await.is_ok());
    issuer.now(Behaviour::Answers(503, String::new()));
    assert!(one(&authenticator, &signed(&signer, "a")).await.is_ok());
    assert!(issuer.asked() >= 2);
}

#[tokio::test]
async fn a_crowd_of_tokens_waits_for_one_fetch() {
    let signer = Signer::es256();
    let issuer = Issuer::start(set(&[signer.jwk("a")])).await;
    let authenticator = by(issuer.jwks(LONG));
    let token = signed(&signer, "a");
    let crowd: Vec<&str> = vec![&token; 100];
    assert!(authenticator.authenticate(&crowd).await.iter().all(Result::is_ok));
    assert_eq!(issuer.asked(), 1);
}

#[tokio::test]
async fn only_http_addresses_are_fetched_and_errors_do_not_show_them() {
    let file = Jwks::new(JwksSource::new("file:///etc/passwd".parse().unwrap()));
    assert!(matches!(file.err(), Some(JwksError::Url)));
    let issuer = Issuer::start(Behaviour::Answers(404, String::new())).await;
    let with_password = issuer.url.replace("127.0.0.1", "user:canary@127.0.0.1");
    let jwks = Jwks::new(JwksSource::new(with_password.parse().unwrap())).unwrap();
    let error = jwks.refresh().await.unwrap_err();
    assert!(!format!("{error} {error:?}").contains("canary"));
    assert!(error.to_string().contains("404"));
}
