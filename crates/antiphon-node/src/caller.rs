//! Who acts: a user with a checked token, or the application with a key. Tokens that are shown at about the same time
//! are checked together.

use std::{collections::HashMap, sync::Arc};

use antiphon_core::{Access, Action, AuthError, Identity, Membership, SeamError};
use antiphon_hub::{Login, MemberState};
use antiphon_protocol::{ProjectId, Refusal, TenantId, Topic};
use tokio::sync::{mpsc, oneshot};

use crate::{Node, audiences::member_state};

/// A user with a checked token. While it lives, the user's memberships are held here.
#[derive(Debug)]
pub struct Caller {
    /// Who the token says it is.
    pub identity: Identity,
    /// Its place in the audience.
    pub login: Login,
    /// The user's count of disconnects when the token was checked.
    pub disconnects: u64,
}

impl Caller {
    /// The tenant.
    pub fn tenant(&self) -> &TenantId {
        &self.identity.tenant
    }

    /// True if the token counts no more: revoked, or its user deleted.
    pub fn is_revoked(&self) -> bool {
        let state = self.login.member().state();
        !state.exists || state.revocations > self.identity.revocations
    }
}

/// Who acts.
#[derive(Debug, Clone)]
pub enum By {
    /// A user.
    User(Arc<Caller>),
    /// The application, by an API key or from within.
    Key,
}

type Answer = Result<Arc<Caller>, AuthError>;

pub(crate) enum Proof {
    Token(String),
    Known(Identity),
}

pub(crate) struct Knock {
    proof: Proof,
    answer: oneshot::Sender<Answer>,
}

/// The queue before the door.
pub(crate) struct Doorkeeper(mpsc::Sender<Knock>);

impl Doorkeeper {
    pub fn new(bound: usize) -> (Self, mpsc::Receiver<Knock>) {
        let (to, from) = mpsc::channel(bound);
        (Self(to), from)
    }
}

/// How many tokens are checked together at most.
const KNOCKS_MAX: usize = 256;

struct Of<'a>(&'a MemberState);

impl Membership for Of<'_> {
    fn is_member(&self, project: &ProjectId) -> bool {
        self.0.projects.contains_key(project)
    }
}

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
        let read = self.engines.directory.user_states(tenant, &users);
        let read = match self.timed("the directory", read).await {
            Ok(read) if read.0 > held.audience.revision() && !held.audience.is_empty() => {
                self.read_changes(&held).await.map(|()| read)
            }
            read => read,
        };
        match read {
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
                    drop(answer.send(Ok(Arc::new(Caller { identity, login, disconnects }))));
                }
            }
        }
    }

    /// May it? Decided from memory, which the caller of this has made fresh.
    pub(crate) fn authorize(
        &self,
        by: &By,
        action: Action,
        topic: &Topic,
        project: Option<&ProjectId>,
    ) -> Result<(), Refusal> {
        let caller = match by {
            By::User(caller) => caller,
            By::Key if topic.kind() == antiphon_protocol::TopicKind::Reserved => {
                return Err(Refusal::forbidden());
            }
            By::Key => return Ok(()),
        };
        let state = caller.login.member().state();
        let membership = Of(&state);
        let access = Access { user: &caller.identity.user, action, topic, project, membership: &membership };
        let own = topic.tenant() == caller.tenant();
        if own && !caller.is_revoked() && self.engines.authorizer.allows(&access) {
            Ok(())
        } else {
            Err(Refusal::forbidden())
        }
    }

    /// May this caller still be subscribed to this topic? From memory.
    pub fn may_stay(&self, caller: &Arc<Caller>, topic: &Topic) -> bool {
        self.authorize(&By::User(caller.clone()), Action::Subscribe, topic, None).is_ok()
    }
}
