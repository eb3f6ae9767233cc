//! An application's own tokens over antiphon's own directory: a user is made there when its token is first seen.

use std::sync::Arc;

use antiphon_core::{AuthError, Authenticator, Identity, Tokens};
use async_trait::async_trait;

/// When the application issued a token, only it knows: none of them brings back who was deleted here.
const UNKNOWN: i64 = 0;

pub(crate) struct Admitting {
    pub inner: Arc<dyn Authenticator>,
    pub users: Arc<dyn Tokens>,
}

#[async_trait]
impl Authenticator for Admitting {
    async fn authenticate(&self, tokens: &[&str]) -> Vec<Result<Identity, AuthError>> {
        let mut checked = self.inner.authenticate(tokens).await;
        for answer in &mut checked {
            if let Ok(identity) = answer {
                match self.users.admit_user(&identity.tenant, &identity.user, UNKNOWN).await {
                    Ok((revocations, _)) => identity.revocations = revocations,
                    Err(error) => *answer = Err(error.into()),
                }
            }
        }
        checked
    }
}
