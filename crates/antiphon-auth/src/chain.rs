//! Which authenticator a token is for: its form says so, and each form's tokens are checked in one batch.

use antiphon_core::{AuthError, Authenticator, Identity, TOKEN_PREFIX};
use async_trait::async_trait;

use crate::{JwtAuthenticator, MAX_TOKEN_BYTES, OpaqueAuthenticator};

/// Opaque tokens, JWTs, or both.
#[derive(Default)]
pub struct Authenticators {
    opaque: Option<OpaqueAuthenticator>,
    jwt: Option<JwtAuthenticator>,
}

#[derive(Clone, Copy, PartialEq)]
enum Form {
    Opaque,
    Jwt,
    Other,
}

impl Authenticators {
    /// None yet: every token is refused.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes opaque tokens too.
    #[must_use]
    pub fn with_opaque(mut self, opaque: OpaqueAuthenticator) -> Self {
        self.opaque = Some(opaque);
        self
    }

    /// Takes JWTs too.
    #[must_use]
    pub fn with_jwt(mut self, jwt: JwtAuthenticator) -> Self {
        self.jwt = Some(jwt);
        self
    }

    fn form(&self, token: &str) -> Form {
        if token.len() > MAX_TOKEN_BYTES {
            Form::Other
        } else if token.starts_with(TOKEN_PREFIX) && !token.contains('.') {
            if self.opaque.is_some() { Form::Opaque } else { Form::Other }
        } else if self.jwt.is_some() && token.split('.').take(4).count() == 3 {
            Form::Jwt
        } else {
            Form::Other
        }
    }
}

async fn ask<A: Authenticator>(
    of: Option<&A>,
    tokens: &[&str],
) -> std::vec::IntoIter<Result<Identity, AuthError>> {
    match of {
        Some(authenticator) if !tokens.is_empty() => authenticator.authenticate(tokens).await.into_iter(),
        _ => Vec::new().into_iter(),
    }
}

#[async_trait]
impl Authenticator for Authenticators {
    async fn authenticate(&self, tokens: &[&str]) -> Vec<Result<Identity, AuthError>> {
        let forms: Vec<Form> = tokens.iter().map(|token| self.form(token)).collect();
        let of = |form: Form| -> Vec<&str> {
            tokens.iter().zip(&forms).filter(|(_, is)| **is == form).map(|(token, _)| *token).collect()
        };
        let (opaque, jwt) = (of(Form::Opaque), of(Form::Jwt));
        let (mut opaque, mut jwt) =
            tokio::join!(ask(self.opaque.as_ref(), &opaque), ask(self.jwt.as_ref(), &jwt));
        let unknown = || Err(AuthError::Invalid("not of the form of a token"));
        forms
            .iter()
            .map(|form| {
                let answer = match form {
                    Form::Opaque => opaque.next(),
                    Form::Jwt => jwt.next(),
                    Form::Other => None,
                };
                answer.unwrap_or_else(unknown)
            })
            .collect()
    }
}
