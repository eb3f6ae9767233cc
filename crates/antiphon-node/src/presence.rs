//! Who is there: each node knows its own and is asked for them.

use std::collections::BTreeMap;

use antiphon_core::Action;
use antiphon_protocol::{Control, PresentUser, Refusal, Topic, UserId};

use crate::{
    caller::By,
    node::{Node, refuse},
    state::asks::Answer,
};

impl Node {
    /// Those subscribed to a topic, on all nodes, in the order of their ids.
    pub async fn presence(&self, by: &By, topic: &Topic) -> Result<Vec<PresentUser>, Refusal> {
        self.guard()?;
        self.fresh(topic.tenant()).await.map_err(|error| refuse(&error))?;
        self.authorize(by, Action::Subscribe, topic, None)?;
        let (tenant, name) = (topic.tenant().clone(), topic.name().clone());
        let question = |ask| Control::PresenceAsk { ask, from: self.id, tenant, topic: name };
        let answers = self.ask_all(question).await;
        let mut users: BTreeMap<UserId, u32> = BTreeMap::new();
        let elsewhere = answers.into_iter().filter_map(|(_, answer)| match answer {
            Answer::Users(users) => Some(users),
            Answer::Connections(_) => None,
        });
        for user in elsewhere.flatten().chain(self.present_here(topic)) {
            *users.entry(user.id).or_default() += user.connections;
        }
        Ok(users.into_iter().map(|(id, connections)| PresentUser { id, connections }).collect())
    }

    pub(crate) fn present_here(&self, topic: &Topic) -> Vec<PresentUser> {
        let users = self.hub.feed(topic).map(|feed| feed.users()).unwrap_or_default();
        users.into_iter().map(|(id, connections)| PresentUser { id, connections }).collect()
    }

    /// Connections with an identity: of this node, and of all. A node that does not answer counts with what its lease says.
    pub async fn connections(&self) -> (u64, u64) {
        let answers = self.ask_all(|ask| Control::CountAsk { ask, from: self.id }).await;
        let here = self.metrics.identified.get();
        let elsewhere = self.leases.alive().into_iter().filter(|lease| lease.node != self.id).map(|lease| {
            let answered = answers.iter().find_map(|(node, answer)| match answer {
                Answer::Connections(count) if *node == lease.node => Some(*count),
                _ => None,
            });
            answered.unwrap_or(lease.connections)
        });
        (here, here + elsewhere.sum::<u64>())
    }
}
