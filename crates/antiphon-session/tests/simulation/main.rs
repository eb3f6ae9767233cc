//! The same node, hub and session as in production, in worlds whose bell loses, doubles, delays and overtakes, whose database is slow,
//! fails before and after it commits, and whose nodes die; in a time of their own, decided by a seed.
//!
//! `SIMULATION_WORLDS` says how many worlds are lived through, `TESTKIT_SEED` which is the first. A seed decides the faults, their times
//! and what the clients do; what is ready at the same moment goes in the runtime's order, so a seed that failed may have to be
//! lived through some times (`SIMULATION_SAME_SEED=1`) to fail again.

#![allow(missing_docs)]

mod bus;
mod client;
mod database;
mod dice;
mod history;
mod instance;
mod sabotage;
mod time;
mod world;

use crate::{sabotage::Plant, world::live};

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().and_then(|number| number.parse().ok())
}

fn seed() -> u64 {
    let seed = number("TESTKIT_SEED").unwrap_or_else(|| antiphon_protocol::now_ms().unsigned_abs());
    println!("TESTKIT_SEED={seed}");
    seed
}

#[test]
fn in_every_world_each_entry_reaches_each_who_may_see_it_once_and_in_order() {
    let first = seed();
    let worlds = number("SIMULATION_WORLDS").unwrap_or(100);
    let (mut entries, mut given) = (0, 0);
    let step = u64::from(number("SIMULATION_SAME_SEED").is_none());
    for seed in (0..worlds).map(|world| first + world * step) {
        let outcome = live(seed, Plant::Nothing);
        assert!(
            outcome.violations.is_empty(),
            "TESTKIT_SEED={seed} SIMULATION_WORLDS=1 ({}):\n{}",
            outcome.faults,
            outcome.violations.join("\n")
        );
        if std::env::var_os("SIMULATION_LOUD").is_some() {
            println!("{seed}");
        }
        entries += outcome.entries;
        given += outcome.given;
    }
    assert!(entries > 0 && given > entries, "{entries} entries, {given} given");
    println!("{worlds} worlds, {entries} entries, {given} given to clients");
}

#[test]
fn a_loss_a_double_a_swap_and_a_leak_that_are_planted_are_found() {
    let first = seed();
    for plant in [Plant::Loss, Plant::Double, Plant::Swap, Plant::OldMembers] {
        let found = (first..first + 20).any(|seed| !live(seed, plant).violations.is_empty());
        assert!(found, "{plant:?} was found in none of 20 worlds");
    }
}
