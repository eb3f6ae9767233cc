//! The rules of delivery, each of which can be taken out of the world to see what it is there for.

/// A rule, with the place in the code that has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    /// What was delivered before is not delivered again (`Feed::offer`: seen).
    Seen,
    /// Nothing is delivered before what belongs before it (`Feed::offer`: early and gap).
    Gap,
    /// An entry is delivered only behind the one whose link it continues (`Feed::offer`: fork).
    Link,
    /// An entry waits for an audience as new as its stamp (`Feed::offer`: stale).
    Stale,
    /// A subscriber is not given what it has passed (`Batch::frames_for`).
    Skip,
    /// A subscriber ahead of its feed is not given what follows another entry than the one it has passed
    /// (`Batch::contradicts`).
    Ahead,
    /// Who stays ahead of its feed is held against the log (`Shard::doubt_who_is_ahead`).
    Doubt,
    /// A ring is gone on with only behind the position whose link its next entry continues (`Feed::start_after`).
    Start,
    /// Members that changed, and logs that did, are looked after before anything is written (`ChangesFirst`).
    ChangesFirst,
    /// Heads and revisions are compared, with or without a bell (`Node::tick`).
    Tick,
    /// What was delivered is compared with the log, and the feed begins anew where it is another one (`Node::verify`).
    Verify,
    /// A feed that begins anew tells its subscribers (`Feed::restart`).
    Told,
    /// Of these only who stood where the feed did is reset at once; of the others the log tells (`Shard::restarted`).
    Stood,
    /// A position is proved before a stream goes on from it (`Node::prove_position`).
    Position,
    /// A page of the log is given only behind the position whose link it continues (`Node::catch_up`).
    PageLink,
    /// A page waits for an audience as new as its entries' stamps (`Node::catch_up`).
    PageAudience,
    /// A page that was read after another position than the subscriber's is not given (`Shard::give_page`).
    PageAfter,
    /// The tenant's revision is read after a batch was taken and before it is appended (`Node::work`).
    Stamp,
    /// A key stands in a topic's log once (`Store::append`).
    Key,
    /// A publish is answered after its commit (`Node::work`).
    CommitFirst,
    /// A node that could read no revision for too long delivers nothing (`Node::is_verified`).
    Fence,
    /// A read of revisions counts from when it was asked (`Fence::verified`).
    FenceAsked,
    /// Where the directory is behind what is held, as after a restore, nothing that is held counts any more
    /// (`Node::start_anew_if_gone_back`).
    GoneBack,
    /// After a restore nobody is removed before each node has looked (the runbook; no code holds it).
    Waits,
    /// A batch whose revision was read before a restore is not appended after it (assumed; no code holds it).
    SameDirectory,
}

/// The rules that are kept in a world.
#[derive(Debug, Clone, Copy)]
pub struct Rules {
    removed: u32,
}

impl Rules {
    /// All of them.
    pub const ALL: Self = Self { removed: 0 };

    /// All but this one.
    pub fn without(rule: Rule) -> Self {
        Self { removed: 1 << rule as u32 }
    }

    /// Is it kept?
    pub fn keep(self, rule: Rule) -> bool {
        self.removed & (1 << rule as u32) == 0
    }
}
