//! What a proved JWT says, and the rules it has to meet.

use std::time::Duration;

use antiphon_core::AuthError;
use antiphon_protocol::{TenantId, UserId};
use serde::Deserialize;
use serde_json::Value;

/// What is asked of a JWT's claims.
#[derive(Debug, Clone)]
pub struct JwtRules {
    /// The claim that names the tenant: a name, or a JSON pointer that begins with `/`.
    pub tenant_claim: String,
    /// If not empty, `iss` must be one of these.
    pub issuers: Vec<String>,
    /// If not empty, `aud` must name one of these.
    pub audiences: Vec<String>,
    /// A token without `exp` is refused.
    pub require_exp: bool,
    /// By how much the issuer's clock and ours may differ.
    pub leeway: Duration,
}

impl Default for JwtRules {
    fn default() -> Self {
        Self {
            tenant_claim: "tenant".into(),
            issuers: Vec::new(),
            audiences: Vec::new(),
            require_exp: true,
            leeway: Duration::from_secs(5),
        }
    }
}

/// Who a JWT is about, from claims that met the rules.
#[derive(Debug)]
pub(crate) struct Subject {
    pub(crate) tenant: TenantId,
    pub(crate) user: UserId,
    pub(crate) expires_at: Option<i64>,
    pub(crate) issued_at: i64,
}

#[derive(Deserialize)]
struct Claims {
    sub: Option<Value>,
    exp: Option<f64>,
    nbf: Option<f64>,
    iat: Option<f64>,
    iss: Option<String>,
    aud: Option<Audience>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Many(Vec<String>),
}

impl JwtRules {
    /// Checks the claims, as of this time (ms).
    pub(crate) fn check(&self, json: &[u8], now: i64) -> Result<Subject, AuthError> {
        let all: Value = serde_json::from_slice(json).map_err(|_| AuthError::Invalid("claims no JSON"))?;
        let claims =
            Claims::deserialize(&all).map_err(|_| AuthError::Invalid("a claim of the wrong type"))?;
        let leeway = i64::try_from(self.leeway.as_millis()).unwrap_or(i64::MAX);

        let exp = claims.exp.map(to_ms).transpose()?;
        if exp.is_none() && self.require_exp {
            return Err(AuthError::Invalid("no exp"));
        }
        if exp.is_some_and(|exp| exp.saturating_add(leeway) <= now) {
            return Err(AuthError::Invalid("expired"));
        }
        if claims.nbf.map(to_ms).transpose()?.is_some_and(|nbf| nbf.saturating_sub(leeway) > now) {
            return Err(AuthError::Invalid("not valid yet"));
        }
        if !self.issuers.is_empty() && !claims.iss.is_some_and(|iss| self.issuers.contains(&iss)) {
            return Err(AuthError::Invalid("from another issuer"));
        }
        let named = match claims.aud {
            None => Vec::new(),
            Some(Audience::One(one)) => vec![one],
            Some(Audience::Many(many)) => many,
        };
        if !self.audiences.is_empty() && !named.iter().any(|aud| self.audiences.contains(aud)) {
            return Err(AuthError::Invalid("for another audience"));
        }

        let user = claims.sub.as_ref().and_then(as_id).ok_or(AuthError::Invalid("no sub"))?;
        let tenant = if self.tenant_claim.starts_with('/') {
            all.pointer(&self.tenant_claim)
        } else {
            all.get(&self.tenant_claim)
        };
        let tenant = tenant.and_then(as_id).ok_or(AuthError::Invalid("no tenant claim"))?;
        Ok(Subject {
            tenant: TenantId::parse(&tenant).map_err(|_| AuthError::Invalid("a tenant that is no id"))?,
            user: UserId::parse(&user).map_err(|_| AuthError::Invalid("a sub that is no id"))?,
            // A token that was shown within the leeway ends with it; any other where it says itself.
            expires_at: exp.map(|exp| if exp <= now { exp.saturating_add(leeway) } else { exp }),
            issued_at: claims.iat.map(to_ms).transpose()?.unwrap_or(0),
        })
    }
}

/// An application's id: text, or its database's integer.
fn as_id(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) if number.is_i64() || number.is_u64() => Some(number.to_string()),
        _ => None,
    }
}

/// Seconds, maybe with a fraction, in milliseconds.
fn to_ms(seconds: f64) -> Result<i64, AuthError> {
    if !seconds.is_finite() {
        return Err(AuthError::Invalid("a time that is none"));
    }
    // Casts of floats saturate.
    Ok((seconds * 1000.0).round() as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_000_000_000;

    fn check(rules: &JwtRules, json: &str) -> Result<Subject, String> {
        rules.check(json.as_bytes(), NOW).map_err(|error| error.to_string())
    }

    #[test]
    fn a_token_is_taken_within_five_seconds_after_its_end_and_not_later() {
        let rules = JwtRules::default();
        let at = |exp: f64| check(&rules, &format!(r#"{{"sub":"u","tenant":"t","exp":{exp}}}"#));
        assert_eq!(at(1_000_060.0).unwrap().expires_at, Some(1_000_060_000));
        assert_eq!(at(999_996.0).unwrap().expires_at, Some(1_000_001_000));
        assert_eq!(at(999_995.5).unwrap().expires_at, Some(1_000_000_500));
        assert!(at(999_995.0).unwrap_err().contains("expired"));
        assert!(at(-1e300).unwrap_err().contains("expired"));
    }

    #[test]
    fn a_token_without_end_is_taken_only_where_the_operator_says_so() {
        let json = r#"{"sub":"u","tenant":"t"}"#;
        assert!(check(&JwtRules::default(), json).unwrap_err().contains("no exp"));
        let rules = JwtRules { require_exp: false, ..JwtRules::default() };
        assert_eq!(check(&rules, json).unwrap().expires_at, None);
    }

    #[test]
    fn a_token_of_the_future_another_issuer_or_another_audience_is_refused() {
        let rules = JwtRules { issuers: vec!["us".into()], audiences: vec!["here".into()], ..exp_less() };
        let with = |more: &str| check(&rules, &format!(r#"{{"sub":"u","tenant":"t"{more}}}"#));
        assert!(with(r#","iss":"us","aud":"here""#).is_ok());
        assert!(with(r#","iss":"us","aud":["there","here"],"nbf":1000004"#).is_ok());
        for bad in [
            r#","iss":"us","aud":"here","nbf":1000006"#,
            r#","iss":"them","aud":"here""#,
            r#","aud":"here""#,
            r#","iss":"us","aud":"there""#,
            r#","iss":"us""#,
            r#","iss":7,"aud":"here""#,
            r#","iss":"us","aud":"here","exp":"tomorrow""#,
        ] {
            assert!(with(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_tenant_comes_from_the_configured_claim_alone() {
        let json = r#"{"sub":7,"tenant":"wrong","org":"acme","app":{"company":12}}"#;
        let of = |claim: &str| {
            check(&JwtRules { tenant_claim: claim.into(), ..exp_less() }, json)
                .map(|subject| (subject.tenant.to_string(), subject.user.to_string()))
        };
        assert_eq!(of("org").unwrap(), ("acme".into(), "7".into()));
        assert_eq!(of("/app/company").unwrap(), ("12".into(), "7".into()));
        assert!(of("app").is_err());
        assert!(of("company").is_err());
    }

    fn exp_less() -> JwtRules {
        JwtRules { require_exp: false, ..JwtRules::default() }
    }
}
