//! One conversation, knowing no transport, no task and no clock of its own.
