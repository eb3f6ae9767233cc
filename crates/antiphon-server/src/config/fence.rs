//! What becomes of a node's clients while it can verify nothing.

use antiphon_core::FenceAction;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a node does with its clients once it could verify nothing for too long.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Fence {
    /// It lets them go, and they come back at another node.
    Close,
    /// It keeps them and delivers nothing.
    Hold,
}

impl From<Fence> for FenceAction {
    fn from(fence: Fence) -> Self {
        match fence {
            Fence::Close => Self::Close,
            Fence::Hold => Self::Hold,
        }
    }
}
