//! Many times that something took.

use serde_json::{Value, json};

/// In microseconds.
#[derive(Clone, Default)]
pub struct Latencies(Vec<u64>);

impl Latencies {
    pub fn new(mut us: Vec<u64>) -> Self {
        us.sort_unstable();
        Self(us)
    }

    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// In milliseconds.
    pub fn percentile(&self, percent: f64) -> f64 {
        let place = (self.0.len() as f64 * percent / 100.0) as usize;
        self.0.get(place).or(self.0.last()).copied().unwrap_or(0) as f64 / 1000.0
    }

    pub fn p99(&self) -> f64 {
        self.percentile(99.0)
    }

    pub fn json(&self) -> Value {
        let of = |percent| self.percentile(percent);
        json!({"count": self.count(), "p50Ms": of(50.0), "p99Ms": of(99.0), "maxMs": of(100.0)})
    }
}

impl std::fmt::Display for Latencies {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let of = |percent| self.percentile(percent);
        write!(f, "p50 {:.1} ms, p99 {:.1} ms, most {:.1} ms", of(50.0), of(99.0), of(100.0))
    }
}

impl FromIterator<u64> for Latencies {
    fn from_iter<T: IntoIterator<Item = u64>>(us: T) -> Self {
        Self::new(us.into_iter().collect())
    }
}
