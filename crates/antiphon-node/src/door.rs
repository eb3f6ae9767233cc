//! The door: tokens that are shown at about the same time are checked together.

use std::{collections::HashMap, sync::Arc};

use antiphon_core::{AuthError, Identity, SeamError, UserState};
use antiphon_protocol::{TenantId, UserId};
use tokio::sync::{mpsc, oneshot};

use crate::{
    caller::Caller,
    node::Node,
    state::{
        audiences::{Held, member_state},
        door::{Answer, Knock, Proof},
    },
};

/// How many tokens are checked together at most.
const KNOCKS_MAX: usize = 256;

impl Node {
    /// Checks a token.
    pub async fn authenticate(&self, token: &str) -> Answer {
        self.knock(Proof::Token(token.to_owned())).await
    }

    /// Admits an identity that an embedding application has checked itself.
    pub async fn admit(&self, identity: Identity) -> Answer {
        self.knock(Proof::Known(identity)).await
    }

    async fn knock(&self, proof: Proof) -> Answer {
        if !self.is_verified() {
            return Err(SeamError::unavailable("the fence", "nothing could be verified for too long").into());
        }
        let (answer, wait) = oneshot::channel();
        let unavailable = || SeamError::unavailable("the authenticator", "too many tokens at once");
        self.doorkeeper.0.try_send(Knock { proof, answer }).map_err(|_| unavailable())?;
        wait.await.unwrap_or_else(|_| Err(unavailable().into()))
    }

    pub(crate) async fn keep_door(self: Arc<Self>, mut knocks: mpsc::Receiver<Knock>) {
        let mut batch = Vec::new();
        while knocks.recv_many(&mut batch, KNOCKS_MAX).await > 0 {
            self.open_door(std::mem::take(&mut batch)).await;
        }
    }

    async fn open_door(&self, batch: Vec<Knock>) {
        let (mut known, mut asked) = (Vec::new(), Vec::new());
        for Knock { proof, answer } in batch {
            match proof {
                Proof::Known(identity) => known.push((identity, answer)),
                Proof::Token(token) => asked.push((token, answer)),
            }
        }
        let tokens: Vec<&str> = asked.iter().map(|(token, _)| token.as_str()).collect();
        if !tokens.is_empty() {
            let check = self.engines.authenticator.authenticate(&tokens);
            let checked = tokio::time::timeout(self.limits.engine_timeout, check).await;
            let mut checked = checked.unwrap_or_default().into_iter();
            for (_, answer) in asked {
                match checked.next() {
                    Some(Ok(identity)) => known.push((identity, answer)),
                    Some(Err(error)) => drop(answer.send(Err(error))),
                    None => {
                        let error = SeamError::unavailable("the authenticator", "no answer in time");
                        drop(answer.send(Err(error.into())));
                    }
                }
            }
        }
        let mut tenants: HashMap<TenantId, Vec<(Identity, oneshot::Sender<Answer>)>> = HashMap::new();
        for (identity, answer) in known {
            tenants.entry(identity.tenant.clone()).or_default().push((identity, answer));
        }
        for (tenant, logins) in tenants {
            self.log_in(&tenant, logins).await;
        }
    }

    async fn log_in(&self, tenant: &TenantId, logins: Vec<(Identity, oneshot::Sender<Answer>)>) {
        let held = self.audiences.hold(tenant);
        let _reading = held.reading.lock().await;
        let users: Vec<_> = logins.iter().map(|(identity, _)| identity.user.clone()).collect();
        match self.states_for(&held, &users).await {
            Err(error) => {
                let cause = error.to_string();
                for (_, answer) in logins {
                    drop(answer.send(Err(SeamError::unavailable("the directory", &cause).into())));
                }
            }
            Ok((revision, states)) => {
                for ((identity, answer), state) in logins.into_iter().zip(states) {
                    let known = state.exists && state.revocations <= identity.revocations;
                    if !known {
                        drop(answer.send(Err(AuthError::Invalid("its user is gone or it was revoked"))));
                        continue;
                    }
                    let disconnects = state.disconnects;
                    let state = member_state(state);
                    let login = held.audience.login(&identity.user, revision, state);
                    // The names that are held already: thousands of connections share them.
                    let (tenant, user) = (held.audience.tenant().clone(), login.member().user().clone());
                    let identity = Identity { tenant, user, ..identity };
                    drop(answer.send(Ok(Arc::new(Caller { identity, login, disconnects }))));
                }
            }
        }
    }

    /// The states of users who log in, as new as what is held of the others; the caller holds `held.reading`.
    async fn states_for(&self, held: &Held, users: &[UserId]) -> Result<(u64, Vec<UserState>), SeamError> {
        let read = async || {
            let states = self.engines.directory.user_states(held.audience.tenant(), users);
            self.timed("the directory", states).await
        };
        let first = read().await?;
        if held.audience.is_empty() || first.0 <= held.audience.revision() {
            return Ok(first);
        }
        self.read_changes(held).await?;
        // A change between the two readings would be missing from the first.
        if held.audience.revision() > first.0 { read().await } else { Ok(first) }
    }
}
