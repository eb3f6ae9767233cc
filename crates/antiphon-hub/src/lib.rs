//! Local fan-out: feeds, rings, audiences and the pass that writes to every subscriber.
