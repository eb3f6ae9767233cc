//! Engines that live in one process's memory.
