//! The connections that hold: the one to speak on, and beside it its predecessor, while something is expected from it.

use crate::line::Line;

/// Which line, of all that this client has had.
pub(crate) type LineId = u64;

#[derive(Default)]
pub(crate) struct Lines {
    pub(crate) current: Option<Line>,
    pub(crate) leaving: Option<Line>,
}

impl Lines {
    /// The line to speak on.
    pub(crate) fn current_id(&self) -> Option<LineId> {
        self.current.as_ref().map(|line| line.id)
    }

    /// How many frames wait to be written on the line to speak on.
    pub(crate) fn waiting(&self) -> usize {
        self.current.as_ref().map_or(0, Line::waiting)
    }

    /// Says a frame; one for a line that is gone is told as lost by its ledger.
    pub(crate) fn say(&mut self, id: LineId, frame: String) {
        let lines = [self.current.as_mut(), self.leaving.as_mut()];
        if let Some(line) = lines.into_iter().flatten().find(|line| line.id == id) {
            line.say(frame);
        }
    }
}
