//! Proof: whether a position is of a log's history, from what the log has at its offset.

use antiphon_protocol::{Head, Link, Position, ResetReason};

/// Why a stream can't go on from this position; none: it can.
pub(crate) fn judge(position: Position, head: Head, link: Option<Link>) -> Option<ResetReason> {
    if link == Some(position.link) {
        return None;
    }
    if position.epoch != head.position.epoch {
        return Some(ResetReason::Epoch);
    }
    if position.offset > head.position.offset {
        Some(ResetReason::Ahead)
    } else if position.offset < head.trimmed {
        Some(ResetReason::Retention)
    } else {
        Some(ResetReason::Fork)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use antiphon_protocol::Epoch;

    #[test]
    fn a_position_is_reset_for_the_reason_that_is_true() {
        let at = |epoch, offset, link| Position { epoch: Epoch(epoch), offset, link: Link(link) };
        let head = Head { position: at(1, 10, 100), trimmed: 3 };
        assert_eq!(judge(at(1, 5, 50), head, Some(Link(50))), None);
        assert_eq!(judge(at(1, 5, 51), head, Some(Link(50))), Some(ResetReason::Fork));
        assert_eq!(judge(at(1, 11, 110), head, None), Some(ResetReason::Ahead));
        assert_eq!(judge(at(1, 2, 20), head, None), Some(ResetReason::Retention));
        assert_eq!(judge(at(2, 5, 51), head, Some(Link(50))), Some(ResetReason::Epoch));
        assert_eq!(
            judge(at(2, 5, 50), head, Some(Link(50))),
            None,
            "where the link agrees, the history is the same"
        );
    }
}
