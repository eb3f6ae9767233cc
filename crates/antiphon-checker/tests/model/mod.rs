//! A world of two topics, two nodes and two clients, small enough to go through all that can happen in it.

pub mod actions;
mod feed;
pub mod properties;
mod publisher;
pub mod rules;
pub mod state;
mod step;
mod subscriber;
mod tick;
pub mod world;
