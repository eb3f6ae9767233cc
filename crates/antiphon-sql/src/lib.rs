//! Store, Directory, tokens, keys and leases on SQLite and PostgreSQL.
