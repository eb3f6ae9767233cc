//! How big a run is. The short form is what a debug build on two cores bears within three minutes; the long form is
//! asked for by the environment.

/// The size of a run.
#[derive(Debug, Clone)]
pub struct Plan {
    /// `TESTKIT_SEED`: who speaks when, what breaks when.
    pub seed: u64,
    /// `CHAOS_TENANTS`.
    pub tenants: usize,
    /// `CHAOS_USERS`: of each tenant; each has one client.
    pub users: usize,
    /// `CHAOS_ENTRIES`: at least so many are published. Each reaches about as many clients as its tenant has.
    pub entries: u64,
    /// `CHAOS_ROUNDS`: how often the round of faults is gone through.
    pub rounds: usize,
    /// `CHAOS_PACE_MS`: the time between two publishes of one client, on average.
    pub pace_ms: u64,
    /// `CHAOS_PUBLISHES`: of the test that sends each of them up to five times.
    pub publishes: u64,
}

impl Plan {
    pub fn from_environment() -> Self {
        let read = |name: &str, otherwise: u64| {
            std::env::var(name).ok().map_or(otherwise, |text| text.parse().expect("a number"))
        };
        let nanos = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .map_or(1, |since| u64::from(since.subsec_nanos()));
        Self {
            seed: read("TESTKIT_SEED", nanos),
            tenants: read("CHAOS_TENANTS", 10) as usize,
            users: read("CHAOS_USERS", 12) as usize,
            entries: read("CHAOS_ENTRIES", 6_000),
            rounds: read("CHAOS_ROUNDS", 1) as usize,
            pace_ms: read("CHAOS_PACE_MS", 1_500),
            publishes: read("CHAOS_PUBLISHES", 300),
        }
    }
}
