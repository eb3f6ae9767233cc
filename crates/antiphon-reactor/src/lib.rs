//! Shards: threads with a poll, raw sockets, buffers and a timing wheel, driving sessions and the hub's pass.
