//! Pauses before something is tried again.

use std::time::Duration;

/// Between half of a pause and all of it, so that many who met, or lost the same server, do not come back at once.
pub fn jittered(pause: Duration) -> Duration {
    let half = pause / 2;
    let half_ns = u64::try_from(half.as_nanos()).unwrap_or(u64::MAX);
    half + Duration::from_nanos(rand::random_range(0..=half_ns))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_jittered_pause_is_between_half_of_it_and_all_of_it() {
        for pause in [Duration::ZERO, Duration::from_nanos(1), Duration::from_millis(5), Duration::from_secs(3600)] {
            for _ in 0..100 {
                assert!((pause / 2..=pause).contains(&jittered(pause)), "{pause:?}");
            }
        }
    }
}
