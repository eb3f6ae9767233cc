//! One of a user's devices: it hears everything in its company's topic, and can speak.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use antiphon_client::{Accepted, Client, Draft, Event};
use anyhow::{Context, Result};
use tokio::{sync::watch, task::JoinHandle, time};

/// More than anything here takes, less than a person waits.
pub const PATIENCE: Duration = Duration::from_secs(30);
/// Between two things that somebody says.
const BREATH: Duration = Duration::from_millis(10);

/// An entry, as far as it matters here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    pub offset: u64,
    pub id: String,
    pub text: String,
}

impl From<antiphon_client::Message> for Entry {
    fn from(message: antiphon_client::Message) -> Self {
        let text = message.content.as_text().unwrap_or_default().to_owned();
        Self { offset: message.offset, id: message.entry.id, text }
    }
}

/// What a device has been through.
#[derive(Debug, Clone, Default)]
pub struct Heard {
    pub entries: Vec<Entry>,
    /// How often its connection was lost, and how often it came back.
    pub losses: usize,
    pub returns: usize,
    /// What must not happen.
    pub faults: Vec<String>,
}

/// A device.
#[derive(Debug)]
pub struct Device {
    pub name: &'static str,
    pub client: Client,
    heard: watch::Receiver<Heard>,
}

impl Device {
    /// Comes through the balancer and subscribes to the company's own topic.
    pub async fn come(name: &'static str, url: &str, token: &str) -> Result<Self> {
        let client = Client::builder(url).token(token).connect().await.context(name)?;
        let mut topic = client.subscribe(Vec::<String>::new()).await.context(name)?;
        let (hears, heard) = watch::channel(Heard::default());
        tokio::spawn(async move {
            while let Some(event) = topic.next().await {
                hears.send_modify(|heard| heard.take(event));
            }
        });
        Ok(Self { name, client, heard })
    }

    /// What it has been through so far.
    pub fn heard(&self) -> Heard {
        self.heard.borrow().clone()
    }

    /// Waits until it has been through this.
    pub async fn until(&self, what: &str, holds: impl FnMut(&Heard) -> bool) -> Result<()> {
        let mut heard = self.heard.clone();
        let waiting = time::timeout(PATIENCE, heard.wait_for(holds));
        waiting.await.with_context(|| format!("{}: never {what}", self.name))??;
        Ok(())
    }

    /// Says one thing; it is committed when this returns.
    pub async fn say(&self, text: String) -> Result<Accepted> {
        self.client.publish(Draft::text(&text)).await.with_context(|| format!("{}: {text}", self.name))
    }

    /// Speaks until it is told that this is enough, each time after the commit of the last.
    pub fn speak(&self, about: &'static str, enough: &Arc<AtomicBool>) -> JoinHandle<Result<Vec<Entry>>> {
        let (name, client, enough) = (self.name, self.client.clone(), Arc::clone(enough));
        tokio::spawn(async move {
            let mut said = Vec::new();
            let mut breath = time::interval(BREATH);
            breath.set_missed_tick_behavior(time::MissedTickBehavior::Delay);
            while !enough.load(Ordering::Relaxed) {
                breath.tick().await;
                let text = format!("{name}, {about}, {}", said.len() + 1);
                let accepted = client.publish(Draft::text(&text)).await.with_context(|| text.clone())?;
                said.push(Entry { offset: accepted.offset, id: accepted.id, text });
            }
            Ok(said)
        })
    }
}

impl Heard {
    fn take(&mut self, event: Event) {
        match event {
            Event::Message(message) => self.entries.push(message.into()),
            Event::Disconnected { .. } => self.losses += 1,
            Event::Reconnected { .. } => self.returns += 1,
            Event::Position { .. } => {}
            other => self.faults.push(format!("{other:?}")),
        }
    }
}
