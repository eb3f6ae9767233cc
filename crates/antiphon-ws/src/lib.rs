//! A WebSocket codec (RFC 6455) without I/O.
