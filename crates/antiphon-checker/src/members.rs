//! Who was a member when, as far as it can be known from outside: a change takes effect somewhere between its question
//! and its answer, and one without an answer at any time after it, or never.

use std::collections::HashMap;

use crate::event::Change;

/// Tenant, project, user.
type Membership<'a> = (&'a str, &'a str, &'a str);

/// Every membership that was ever touched.
#[derive(Debug, Default)]
pub(crate) struct Members<'a> {
    changes: HashMap<Membership<'a>, Vec<Asked>>,
}

#[derive(Debug, Clone, Copy)]
struct Asked {
    change: Change,
    asked: u64,
    answered: u64,
}

/// What a user may be, seen from outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    /// Certainly a member for all of the time.
    Member,
    /// It can't be told.
    Open,
    /// Certainly removed for all of the time.
    Removed,
    /// Nobody ever asked for it.
    Stranger,
}

impl<'a> Members<'a> {
    pub(crate) fn push(
        &mut self,
        membership: Membership<'a>,
        change: Change,
        asked: u64,
        answered: Option<u64>,
    ) {
        let asked = Asked { change, asked, answered: answered.unwrap_or(u64::MAX) };
        self.changes.entry(membership).or_default().push(asked);
    }

    /// What the user was from `since` to `until`.
    pub(crate) fn standing(&self, membership: Membership<'_>, since: u64, until: u64) -> Standing {
        let none = Vec::new();
        let changes = self.changes.get(&membership).unwrap_or(&none);
        let begun =
            |wanted| changes.iter().filter(move |asked| asked.change == wanted && asked.asked <= until);
        // The last one that had certainly taken effect, and none against it that may have come later.
        let lasts = |wanted, against| {
            let last = begun(wanted).filter(|asked| asked.answered <= since).max_by_key(|asked| asked.asked);
            last.is_some_and(|last| begun(against).all(|other| other.answered < last.asked))
        };
        if begun(Change::Added).next().is_none() {
            Standing::Stranger
        } else if lasts(Change::Added, Change::Removed) {
            Standing::Member
        } else if lasts(Change::Removed, Change::Added) {
            Standing::Removed
        } else {
            Standing::Open
        }
    }

    /// Whether a removal had been asked for by then.
    pub(crate) fn removal_begun(&self, membership: Membership<'_>, until: u64) -> bool {
        self.changes.get(&membership).is_some_and(|changes| {
            changes.iter().any(|asked| asked.change == Change::Removed && asked.asked <= until)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANN: Membership<'_> = ("acme", "apollo", "ann");

    #[test]
    fn a_standing_is_certain_only_outside_of_a_change_that_is_under_way() {
        let mut members = Members::default();
        assert_eq!(members.standing(ANN, 0, 100), Standing::Stranger);
        members.push(ANN, Change::Added, 10, Some(20));
        members.push(ANN, Change::Removed, 50, Some(60));
        assert_eq!(members.standing(ANN, 5, 9), Standing::Stranger);
        assert_eq!(members.standing(ANN, 15, 15), Standing::Open);
        assert_eq!(members.standing(ANN, 20, 49), Standing::Member);
        assert_eq!(members.standing(ANN, 20, 50), Standing::Open);
        assert_eq!(members.standing(ANN, 60, 99), Standing::Removed);
        members.push(ANN, Change::Added, 80, None);
        assert_eq!(members.standing(ANN, 60, 79), Standing::Removed);
        assert_eq!(members.standing(ANN, 60, 80), Standing::Open);
        assert_eq!(members.standing(ANN, 99, 99), Standing::Open, "an answer that never came proves nothing");
        assert!(members.removal_begun(ANN, 50) && !members.removal_begun(ANN, 49));
    }
}
