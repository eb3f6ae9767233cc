//! The queue before the door: tokens that wait to be checked.

use std::sync::Arc;

use antiphon_core::{AuthError, Identity};
use tokio::sync::{mpsc, oneshot};

use crate::caller::Caller;

pub(crate) type Answer = Result<Arc<Caller>, AuthError>;

pub(crate) enum Proof {
    Token(String),
    Known(Identity),
}

pub(crate) struct Knock {
    pub proof: Proof,
    pub answer: oneshot::Sender<Answer>,
}

/// The queue before the door.
pub(crate) struct Doorkeeper(pub mpsc::Sender<Knock>);

impl Doorkeeper {
    pub fn new(bound: usize) -> (Self, mpsc::Receiver<Knock>) {
        let (to, from) = mpsc::channel(bound);
        (Self(to), from)
    }
}
