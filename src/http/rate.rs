//! How often someone may ask. Each is told apart, and none can make this grow without bound.

use std::hash::Hash;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use governor::clock::{Clock, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};

/// As many are told apart; those beyond are counted together. An entry has some 50 bytes.
const TOLD_APART_MAX: usize = 20_000;
/// How often those who have been quiet are forgotten when it gets full.
const FORGET_EVERY: Duration = Duration::from_secs(1);

/// So many requests a second for each `K`, and as many at once.
#[derive(Debug)]
pub(super) struct Rate<K: Hash + Eq + Clone> {
    /// `None` stands for everyone beyond [`TOLD_APART_MAX`].
    limiter: DefaultKeyedRateLimiter<Option<K>>,
    clock: DefaultClock,
    told_apart_max: usize,
    forgot_at: Mutex<Option<Instant>>,
}

impl<K: Hash + Eq + Clone> Rate<K> {
    /// `None` where `per_second` is 0: no limit.
    pub fn new(per_second: u32) -> Option<Self> {
        let quota = Quota::per_second(NonZeroU32::new(per_second)?);
        Some(Self {
            limiter: RateLimiter::dashmap(quota),
            clock: DefaultClock::default(),
            told_apart_max: TOLD_APART_MAX,
            forgot_at: Mutex::default(),
        })
    }

    /// Counts one request; when it is one too many, how long to wait.
    pub fn count(&self, who: &K) -> Result<(), Duration> {
        let who = (!self.is_full()).then(|| who.clone());
        self.limiter.check_key(&who).map_err(|early| early.wait_time_from(self.clock.now()))
    }

    fn is_full(&self) -> bool {
        if self.limiter.len() < self.told_apart_max {
            return false;
        }
        let mut forgot_at = self.forgot_at.lock().expect("nothing panics while it holds this lock");
        if forgot_at.is_none_or(|at| at.elapsed() >= FORGET_EVERY) {
            *forgot_at = Some(Instant::now());
            self.limiter.retain_recent();
            self.limiter.shrink_to_fit();
        }
        self.limiter.len() >= self.told_apart_max
    }
}

/// Whom an address stands for: in IPv6 one household or host has a whole /64.
pub(super) fn neighbourhood(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => IpAddr::V6((address.to_bits() & !u128::from(u64::MAX)).into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_has_its_own_count() {
        // So slow that nothing comes back while the test runs.
        let quota = Quota::with_period(Duration::from_secs(3_600)).unwrap().allow_burst(NonZeroU32::new(3).unwrap());
        let rate = Rate { limiter: RateLimiter::dashmap(quota), ..Rate::new(1).unwrap() };
        for who in ["a", "b"] {
            assert!((0..3).all(|_| rate.count(&who).is_ok()), "{who}");
            let wait = rate.count(&who).unwrap_err();
            assert!(wait > Duration::from_secs(3_000) && wait <= Duration::from_secs(3_600), "{who} {wait:?}");
        }
    }

    #[test]
    fn no_limit_is_none() {
        assert!(Rate::<i64>::new(0).is_none());
    }

    #[test]
    fn however_many_ask_the_memory_is_bounded() {
        let quota = Quota::with_period(Duration::from_secs(3_600)).unwrap();
        let rate = Rate { limiter: RateLimiter::dashmap(quota), told_apart_max: 100, ..Rate::new(1).unwrap() };
        let let_in = (0..10_000).filter(|who| rate.count(who).is_ok()).count();
        // Those who are told apart, and the first of the others.
        assert_eq!((let_in, rate.limiter.len()), (101, 101));
    }

    #[test]
    fn the_quiet_are_forgotten_to_make_room() {
        let rate = Rate { told_apart_max: 10, ..Rate::new(1_000_000).unwrap() };
        for who in 0..10 {
            rate.count(&who).unwrap();
        }
        // A millionth of a second later they are as good as new.
        std::thread::yield_now();
        assert!(!rate.is_full());
    }

    #[test]
    fn an_address_stands_for_its_neighbourhood() {
        let check = |address: &str, expected: &str| {
            assert_eq!(neighbourhood(address.parse().unwrap()).to_string(), expected);
        };
        check("192.0.2.1", "192.0.2.1");
        check("::ffff:192.0.2.1", "192.0.2.1");
        check("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::");
    }
}
