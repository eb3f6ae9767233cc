//! What a node holds, each in a room of its own. Nothing here knows the node.

pub(crate) mod aside;
pub(crate) mod asking;
pub(crate) mod asks;
pub(crate) mod audiences;
pub(crate) mod door;
pub(crate) mod existing;
pub(crate) mod fence;
pub(crate) mod health;
pub(crate) mod lane;
pub(crate) mod leases;
pub(crate) mod pages;
pub(crate) mod parked;
pub(crate) mod repairs;
pub(crate) mod replays;
pub(crate) mod shares;
pub(crate) mod turns;
