//! The realtime tier for a backend that runs as more than one instance, as a library.
