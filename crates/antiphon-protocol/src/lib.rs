//! All that crosses a process boundary: ids, positions, entries, frames, envelopes and their codes.
