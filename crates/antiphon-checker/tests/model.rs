//! The rules of delivery, gone through exhaustively: with all of them no promise is broken in any state that can come about, and
//! each that is taken out lets one be.

#[path = "model/mod.rs"]
mod model;

use std::{collections::BTreeSet, time::Instant};

use model::{
    properties::{DOUBLE, DURABLE, FENCE, HEALS, LEAK, LOSS, ONCE, PROOF, RESET, SPLICE},
    rules::Rule,
    world::{QUIET, World},
};
use stateright::{Checker, HasDiscoveries, Model};

/// One client in one topic; both in one; one in both and the other in one, whose project it may be removed from; the same alone.
const ONE: [[bool; 2]; 2] = [[true, false], [false, false]];
const BOTH: [[bool; 2]; 2] = [[true, false], [true, false]];
const MOST: [[bool; 2]; 2] = [[true, false], [true, true]];
const ALL: [[bool; 2]; 2] = [[true, true], [true, true]];
const REMOVED: [[bool; 2]; 2] = [[false, false], [true, true]];
const MEMBER: [[bool; 2]; 2] = [[false, false], [false, true]];

/// Two entries come to two clients at two nodes.
const LIVE: World = World { keys: [2, 0], wants: BOTH, ..QUIET };
/// One entry is heard, two come, and the log is restored at any time.
const FORK: World = World { heard: 1, at_once: 1, restores: 1, ..LIVE };
/// The same with one that leaves and comes back, at either node.
const MOVE: World = World { wants: ONE, moves: 1, ..FORK };
/// The same with both.
const MOVES: World = World { wants: BOTH, ..MOVE };
/// A client leaves, comes back and is restored to, in two topics.
const FORKS: World =
    World { keys: [1, 1], at_once: 1, wants: [[true, true], [false; 2]], restores: 1, moves: 1, ..QUIET };
/// A client is removed.
const REMOVAL: World = World { keys: [1, 1], wants: REMOVED, removals: 1, ..QUIET };
/// The same where time passes.
const TIME: World = World { time: 1, ..REMOVAL };
/// The same, and it comes back.
const RETURN: World = World { keys: [0, 2], at_once: 1, wants: MEMBER, moves: 1, pages_age: true, ..REMOVAL };
/// Publishes are repeated, answers lost, and a node is killed.
const RETRY: World = World { keys: [1, 1], wants: BOTH, retries: 1, unanswered: 1, crashes: 1, ..QUIET };
/// The whole database goes back.
const BACKUP: World =
    World { keys: [0, 1], at_once: 1, wants: MEMBER, changes: 1, directories: 1, ..REMOVAL };
/// Two topics, two nodes, two clients, a removal, and time.
const HOUSE: World = World { at_once: 1, wants: MOST, ..TIME };

/// No promise is broken in any state of this world, of which there are at least so many.
#[track_caller]
fn keeps_all(world: World, at_least: usize) {
    let began = Instant::now();
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let broken = HasDiscoveries::AnyFailures;
    let checker = world.checker().threads(threads).finish_when(broken).spawn_bfs().join();
    let (states, steps, depth) = (checker.unique_state_count(), checker.state_count(), checker.max_depth());
    println!("{states} states, {steps} steps, {depth} deep, {:.1?}", began.elapsed());
    if let Some((property, path)) = checker.discoveries().into_iter().next() {
        panic!("not so: {property}: {:#?}", path.into_actions());
    }
    assert!(checker.is_done() && states >= at_least, "only {states} states");
}

/// Without this rule this promise is broken.
#[track_caller]
fn needs(rule: Rule, property: &'static str, world: World) {
    let began = Instant::now();
    let found = HasDiscoveries::AnyOf(BTreeSet::from([property]));
    let checker = world.without(rule).checker().finish_when(found).spawn_bfs().join();
    let states = checker.unique_state_count();
    let Some(path) = checker.discovery(property) else {
        panic!("without {rule:?} it is still so in {states} states: {property}");
    };
    println!("{states} states, {:.1?}; not so: {property}: {:?}", began.elapsed(), path.into_actions());
}

#[test]
fn a_restored_log_breaks_no_promise_to_one_who_comes_back() {
    keeps_all(MOVE, 400_000);
}

#[test]
fn a_restore_breaks_no_promise_in_two_topics() {
    keeps_all(FORKS, 500_000);
}

#[test]
fn a_removal_breaks_no_promise_while_time_passes() {
    keeps_all(HOUSE, 1_000_000);
}

#[test]
fn a_removal_breaks_no_promise_to_one_who_comes_back() {
    keeps_all(RETURN, 50_000);
}

#[test]
fn a_killed_node_and_repeated_publishes_break_no_promise() {
    keeps_all(RETRY, 400_000);
}

#[test]
fn a_restored_database_breaks_no_promise() {
    keeps_all(BACKUP, 100_000);
}

/// Wider worlds: `cargo test -p antiphon-checker --test model -- --ignored --nocapture --test-threads=1`.
#[test]
#[ignore = "a minute of one core"]
fn no_promise_is_broken_in_wider_worlds() {
    keeps_all(World { wants: MOST, removals: 1, moves: 0, ..FORKS }, 1_000_000);
    keeps_all(World { wants: ALL, moves: 0, ..FORKS }, 1_000_000);
    keeps_all(FORK, 1_000_000);
}

#[test]
fn a_restore_breaks_no_promise_to_two_who_leave() {
    keeps_all(World { keys: [1, 0], ..MOVES }, 100_000);
}

#[test]
fn what_was_delivered_has_to_be_known() {
    needs(Rule::Seen, DOUBLE, LIVE);
}

#[test]
fn what_comes_too_early_has_to_wait() {
    needs(Rule::Gap, LOSS, LIVE);
}

#[test]
fn an_entry_has_to_continue_the_link() {
    needs(Rule::Link, SPLICE, FORK);
}

#[test]
fn an_entry_has_to_wait_for_the_audience() {
    needs(Rule::Stale, LEAK, REMOVAL);
}

#[test]
fn a_subscriber_has_to_skip_what_it_has() {
    needs(Rule::Skip, DOUBLE, MOVES);
}

#[test]
fn a_subscriber_ahead_has_to_be_held_against_the_entry_at_its_offset() {
    needs(Rule::Ahead, SPLICE, MOVE);
}

#[test]
fn who_stays_ahead_has_to_be_doubted() {
    needs(Rule::Doubt, HEALS, MOVES);
}

#[test]
fn a_ring_has_to_continue_the_link() {
    needs(Rule::Start, SPLICE, MOVE);
}

#[test]
fn changes_have_to_come_first() {
    needs(Rule::ChangesFirst, LEAK, REMOVAL);
}

#[test]
fn there_has_to_be_a_tick() {
    needs(Rule::Tick, HEALS, LIVE);
}

#[test]
fn a_feed_has_to_be_compared_with_the_log() {
    needs(Rule::Verify, HEALS, FORK);
}

#[test]
fn a_new_beginning_has_to_be_told() {
    needs(Rule::Told, HEALS, FORK);
}

#[test]
fn only_who_stood_where_the_feed_did_may_be_reset_at_once() {
    needs(Rule::Stood, RESET, FORK);
}

#[test]
fn a_position_has_to_be_proved() {
    needs(Rule::Position, PROOF, MOVE);
}

#[test]
fn a_page_has_to_continue_the_link() {
    needs(Rule::PageLink, SPLICE, MOVE);
}

#[test]
fn a_page_has_to_wait_for_the_audience() {
    needs(Rule::PageAudience, LEAK, RETURN);
}

#[test]
fn a_page_has_to_be_of_the_subscribers_position() {
    needs(Rule::PageAfter, LOSS, World { wants: ONE, restores: 2, ..FORK });
}

#[test]
fn the_revision_has_to_be_read_between_taking_and_appending() {
    needs(Rule::Stamp, LEAK, REMOVAL);
}

#[test]
fn a_key_has_to_be_known() {
    needs(Rule::Key, ONCE, RETRY);
}

#[test]
fn the_commit_has_to_come_before_the_answer() {
    needs(Rule::CommitFirst, DURABLE, RETRY);
}

#[test]
fn there_has_to_be_a_fence() {
    needs(Rule::Fence, FENCE, TIME);
}

#[test]
fn a_look_has_to_count_from_when_it_was_asked() {
    needs(Rule::FenceAsked, FENCE, TIME);
}

#[test]
fn a_directory_that_went_back_has_to_be_noticed() {
    needs(Rule::GoneBack, LEAK, BACKUP);
}

#[test]
fn a_removal_has_to_wait_until_each_node_has_looked_after_a_restore() {
    needs(Rule::Waits, LEAK, BACKUP);
}

#[test]
fn a_batch_has_to_be_appended_to_the_database_that_stamped_it() {
    needs(Rule::SameDirectory, HEALS, BACKUP);
}
