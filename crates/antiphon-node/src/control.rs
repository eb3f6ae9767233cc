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
                let is_old =
                    self.audiences.held(&tenant).is_some_and(|held| held.audience.revision() < revision);
                if is_old {
                    self.tasks.spawn_until_end(async move {
                        if let Err(error) = node.audience_at(&tenant, revision).await {
                            tracing::warn!(%error, %tenant, "the change will be seen at the next tick");
                        }
                    });
                }
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
