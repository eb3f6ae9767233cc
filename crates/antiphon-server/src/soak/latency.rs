//! How long things took: counts in buckets of at most 1/32 of their time, so that a long run needs no more room than a
//! short one.

/// Buckets of each power of two.
const STEPS: u64 = 32;
const STEP_BITS: u32 = STEPS.trailing_zeros();
/// Longer than 2^36 us, nineteen hours, is as long as that.
const POWERS: u32 = 36;

/// Times in microseconds.
#[derive(Debug, Clone, Default)]
pub struct Histogram {
    /// Made when the first one comes.
    buckets: Vec<u64>,
    count: u64,
    max: u64,
}

impl Histogram {
    /// Takes one.
    pub fn add(&mut self, micros: u64) {
        if self.buckets.is_empty() {
            self.buckets = vec![0; bucket(u64::MAX) + 1];
        }
        self.buckets[bucket(micros)] += 1;
        self.count += 1;
        self.max = self.max.max(micros);
    }

    /// How many it has.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The longest.
    pub fn max(&self) -> u64 {
        self.max
    }

    /// So many of a thousand took at most this; it may be named too long by 1/32.
    pub fn per_mille(&self, share: u64) -> u64 {
        let wanted = (self.count * share).div_ceil(1000).max(1);
        let mut seen = 0;
        for (index, count) in self.buckets.iter().enumerate() {
            seen += count;
            if seen >= wanted {
                return upper(index).min(self.max);
            }
        }
        self.max
    }
}

fn bucket(micros: u64) -> usize {
    let micros = micros.min((1 << POWERS) - 1);
    if micros < STEPS {
        return micros as usize;
    }
    let power = micros.ilog2() - STEP_BITS;
    (u64::from(power) * STEPS + (micros >> power)) as usize
}

/// The longest time of a bucket.
fn upper(index: usize) -> u64 {
    let index = index as u64;
    if index < 2 * STEPS {
        return index;
    }
    let power = index / STEPS - 1;
    ((index - power * STEPS + 1) << power) - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_time_is_in_a_bucket_that_ends_at_most_a_thirty_second_later() {
        let times =
            (0..2000).chain((0..36).flat_map(|power| [(1 << power) - 1, 1 << power, (1 << power) + 1]));
        for micros in times {
            let end = upper(bucket(micros));
            assert!(end >= micros && end - micros <= micros / STEPS, "{micros} in {end}");
        }
        assert_eq!(bucket(u64::MAX), bucket((1 << POWERS) - 1));
    }

    #[test]
    fn the_middle_the_end_and_the_longest_are_told() {
        let mut times = Histogram::default();
        assert_eq!((times.count(), times.per_mille(990), times.max()), (0, 0, 0));
        (1..=1000).for_each(|micros| times.add(micros * 1000));
        let near = |told: u64, is: u64| told >= is && told <= is + is / STEPS;
        assert!(near(times.per_mille(500), 500_000) && near(times.per_mille(990), 990_000));
        assert_eq!((times.count(), times.max(), times.per_mille(1000)), (1000, 1_000_000, 1_000_000));
    }
}
