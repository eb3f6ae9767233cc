//! What all who take part have in common.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering},
    },
    time::Duration,
};

use parking_lot::Mutex;
use rustls::ClientConfig;
use tokio::time::Instant;

use super::{
    api::Api,
    draft::{KINDS, projects},
    journal::Journal,
    options::Plan,
};

/// What is going on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Phase {
    /// Everybody publishes, comes and goes.
    Work,
    /// Nothing new is begun; what is under way comes to its end.
    Rest,
    /// All go home.
    Over,
}

/// Shared by all.
#[derive(Debug)]
pub struct Company {
    /// What shall be done.
    pub plan: Plan,
    /// The nodes.
    pub api: Api,
    /// How nodes behind TLS are trusted.
    pub tls: Arc<ClientConfig>,
    /// What happens.
    pub journal: Journal,
    phase: AtomicU8,
    /// The operator wants an end.
    interrupted: AtomicBool,
    /// Both tenants are there, or one, or may be.
    pub has_tenants: AtomicBool,
    /// A member is removed at this time.
    pub is_churning: AtomicBool,
    /// How many of each tenant are subscribed to the signals, by kind of user.
    ears: [[AtomicU64; KINDS]; 2],
}

/// A user with its token.
#[derive(Debug)]
pub struct Account {
    /// Its number among all clients.
    pub index: usize,
    /// 0 or 1: of which tenant it is.
    pub side: usize,
    /// Its name in the history.
    pub name: String,
    /// Its tenant.
    pub tenant: String,
    /// Its id.
    pub user: String,
    /// The projects of which it may be a member.
    pub projects: &'static [&'static str],
    /// The token of the moment.
    pub token: Mutex<Token>,
    /// It is connected, and all its streams are where they were.
    pub is_settled: AtomicBool,
}

/// A token, and when it was made.
#[derive(Debug, Clone)]
pub struct Token {
    /// The token.
    pub text: String,
    /// In microseconds of the run, before it was asked for.
    pub issued: u64,
    /// When it was got.
    pub since: Instant,
}

impl Company {
    /// Before it begins.
    pub fn new(plan: Plan, api: Api, tls: Arc<ClientConfig>) -> Self {
        let journal = Journal::new(api.len());
        Self {
            plan,
            api,
            tls,
            journal,
            phase: AtomicU8::new(Phase::Rest as u8),
            interrupted: AtomicBool::new(false),
            has_tenants: AtomicBool::new(false),
            is_churning: AtomicBool::new(false),
            ears: Default::default(),
        }
    }

    /// What is going on.
    pub fn phase(&self) -> Phase {
        match self.phase.load(Ordering::SeqCst) {
            0 => Phase::Work,
            1 => Phase::Rest,
            _ => Phase::Over,
        }
    }

    /// From now on this goes on.
    pub fn enter(&self, phase: Phase) {
        self.phase.store(phase as u8, Ordering::SeqCst);
    }

    /// Whether something new may be begun.
    pub fn works(&self) -> bool {
        self.phase() == Phase::Work
    }

    /// Whether all go home.
    pub fn is_over(&self) -> bool {
        self.phase() == Phase::Over
    }

    /// The operator wants an end.
    pub fn interrupt(&self) {
        self.interrupted.store(true, Ordering::SeqCst);
    }

    /// Somebody begins or ends to hear signals.
    pub fn listens(&self, account: &Account, is_on: bool) {
        let ears = &self.ears[account.side][account.index / 2 % KINDS];
        if is_on {
            ears.fetch_add(1, Ordering::Relaxed);
        } else {
            ears.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// How many of a tenant hear a signal for these members, or for all.
    pub fn ears(&self, side: usize, audience: Option<&str>) -> u64 {
        let may = |kind: usize| audience.is_none_or(|audience| projects(kind).contains(&audience));
        let kinds = self.ears[side].iter().enumerate().filter(|(kind, _)| may(*kind));
        kinds.map(|(_, ears)| ears.load(Ordering::Relaxed)).sum()
    }

    /// Whether the operator wants an end.
    pub fn is_interrupted(&self) -> bool {
        self.interrupted.load(Ordering::SeqCst)
    }
}

impl Account {
    /// The `index`th of all: every other one is of the second tenant.
    pub fn new(index: usize, plan: &Plan, token: Token) -> Self {
        let (side, number) = (index % 2, index / 2);
        let user = user(number);
        Self {
            index,
            side,
            name: format!("{}-{user}", SIDES[side]),
            tenant: plan.tenants[side].clone(),
            user,
            projects: projects(number),
            token: Mutex::new(token),
            is_settled: AtomicBool::new(false),
        }
    }

    /// The token of the moment.
    pub fn token(&self) -> Token {
        self.token.lock().clone()
    }
}

/// What names in the history begin with.
pub const SIDES: [&str; 2] = ["a", "b"];

/// The id of a tenant's `number`th user.
pub fn user(number: usize) -> String {
    format!("user{number}")
}

/// A pace. Nothing is waited for with it.
pub async fn pause(time: Duration) {
    tokio::time::sleep(time).await;
}
