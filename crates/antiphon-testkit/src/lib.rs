//! Real servers for tests: Redis, PostgreSQL, haproxy, antiphon itself, as children on free ports.
