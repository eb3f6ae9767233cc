//! The doors from outside: the upgrade, the HTTP API, health, metrics, router(node).
