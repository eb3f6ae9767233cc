//! What nodes tell and ask each other besides entries.

use antiphon_core::Channel;
use antiphon_protocol::{Control, Parcel, TenantId, Topic};

use crate::{node::Node, state::asks::Answer};

impl Node {
    pub(crate) fn tell_tenant_changed(&self, tenant: &TenantId, revision: u64) {
        let told = Control::TenantChanged { tenant: tenant.clone(), revision };
        self.post(&Channel::Nodes, Parcel::Control(told));
    }

    pub(crate) fn control(&self, control: Control) {
        match control {
            Control::TenantChanged { tenant, revision } => {
                let Some(node) = self.me.upgrade() else { return };
                let Some(held) = self.audiences.held(&tenant) else { return };
                let held = held.audience.revision();
                if held == revision {
                    return;
                }
                self.tasks.spawn_until_end(async move {
                    // Less than is held was told late, or the directory went back: only itself can tell.
                    let read = match held < revision {
                        true => node.audience_at(&tenant, revision).await,
                        false => node.fresh(&tenant).await.map(drop),
                    };
                    if let Err(error) = read {
                        tracing::warn!(%error, %tenant, "the change will be seen at the next tick");
                    }
                });
            }
            Control::PresenceAsk { ask, from, tenant, topic } => {
                let users = self.present_here(&Topic::new(tenant, topic));
                let answer = Control::PresenceAnswer { ask, to: from, from: self.id, users };
                self.post(&Channel::Nodes, Parcel::Control(answer));
            }
            Control::CountAsk { ask, from } => {
                let connections = self.metrics.identified.get();
                let answer = Control::CountAnswer { ask, to: from, from: self.id, connections };
                self.post(&Channel::Nodes, Parcel::Control(answer));
            }
            Control::PresenceAnswer { ask, to, from, users } if to == self.id => {
                self.asks.answered(ask, from, Answer::Users(users));
            }
            Control::CountAnswer { ask, to, from, connections } if to == self.id => {
                self.asks.answered(ask, from, Answer::Connections(connections));
            }
            Control::PresenceAnswer { .. } | Control::CountAnswer { .. } => {}
            // For the bells, which are below.
            Control::Deaf => {}
        }
    }
}
