//! What came back of a load, and how long it took.

use std::borrow::Cow;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use serde::Deserialize;

/// Latencies are told apart from a microsecond to an hour, to three digits.
const LATENCY_US_MAX: u64 = 3_600_000_000;
const LATENCY_DIGITS: u8 = 3;

/// What was measured.
#[derive(Clone, Debug)]
pub struct Report {
    /// Operations published.
    pub sent: u64,
    /// Replies that said yes.
    pub succeeded: u64,
    /// Replies that said no: what is asked, or who asks, is at fault.
    pub refused: u64,
    /// Replies that said that the server could not: 500 and above.
    pub failed: u64,
    /// Operations without a reply.
    pub missing: u64,
    /// Replies that belong to nothing outstanding: late ones, second ones.
    pub unexpected: u64,
    /// Whether it was stopped from outside.
    pub is_interrupted: bool,
    /// What the first refusal or failure said.
    pub first_refusal: Option<String>,
    /// From the first publishing to the last reply.
    pub elapsed: Duration,
    /// From publishing to reply. Microseconds.
    pub latency_us: Histogram<u64>,
}

impl Report {
    /// Replies of every kind.
    pub fn answered(&self) -> u64 {
        self.succeeded + self.refused + self.failed
    }

    /// Replies a second, rounded down.
    pub fn operations_per_second(&self) -> u64 {
        let microseconds = self.elapsed.as_micros().max(1);
        u64::try_from(u128::from(self.answered()) * 1_000_000 / microseconds).unwrap_or(u64::MAX)
    }
}

/// What has come back.
#[derive(Debug)]
pub struct Tally {
    succeeded: u64,
    refused: u64,
    failed: u64,
    unexpected: u64,
    first_refusal: Option<String>,
    latency_us: Histogram<u64>,
    last: Instant,
}

impl Tally {
    pub fn new() -> anyhow::Result<Self> {
        Ok(Self {
            succeeded: 0,
            refused: 0,
            failed: 0,
            unexpected: 0,
            first_refusal: None,
            latency_us: Histogram::new_with_bounds(1, LATENCY_US_MAX, LATENCY_DIGITS)?,
            last: Instant::now(),
        })
    }

    pub fn answered(&self) -> u64 {
        self.succeeded + self.refused + self.failed
    }

    pub fn first_refusal(&self) -> Option<&str> {
        self.first_refusal.as_deref()
    }

    /// Counts a reply over AMQP; without a latency it belongs to nothing outstanding.
    pub fn count_reply(&mut self, reply: &[u8], latency: Option<Duration>) {
        let Some(latency) = latency else {
            self.unexpected += 1;
            return;
        };
        match serde_json::from_slice::<Reply<'_>>(reply) {
            Ok(Reply { code, reason }) => {
                self.count(code, || reason.as_deref().unwrap_or("without a reason").to_owned(), latency);
            }
            Err(_) => {
                self.time(latency);
                self.failed += 1;
                self.first_refusal.get_or_insert_with(|| "a reply that cannot be read".to_owned());
            }
        }
    }

    /// Counts an answer by its status.
    pub fn count(&mut self, status: u16, reason: impl FnOnce() -> String, latency: Duration) {
        self.time(latency);
        match status {
            200..300 => self.succeeded += 1,
            500.. => self.failed += 1,
            _ => self.refused += 1,
        }
        if !(200..300).contains(&status) {
            self.first_refusal.get_or_insert_with(|| format!("{status} {}", reason()));
        }
    }

    fn time(&mut self, latency: Duration) {
        self.last = Instant::now();
        self.latency_us.saturating_record(u64::try_from(latency.as_micros()).unwrap_or(u64::MAX).max(1));
    }

    pub fn report(self, sent: u64, missing: u64, is_interrupted: bool, began: Instant) -> Report {
        Report {
            sent,
            succeeded: self.succeeded,
            refused: self.refused,
            failed: self.failed,
            missing,
            unexpected: self.unexpected,
            is_interrupted,
            first_refusal: self.first_refusal,
            elapsed: self.last.saturating_duration_since(began),
            latency_us: self.latency_us,
        }
    }
}

#[derive(Deserialize)]
struct Reply<'a> {
    code: u16,
    #[serde(borrow)]
    reason: Option<Cow<'a, str>>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies_are_counted_by_what_they_say_and_timed() {
        let mut tally = Tally::new().unwrap();
        let began = Instant::now();
        for milliseconds in 1..=98 {
            tally.count_reply(br#"{"operation":"invoice","code":200}"#, Some(Duration::from_millis(milliseconds)));
        }
        tally.count_reply(
            br#"{"operation":"withdraw","code":422,"reason":"too \"low\""}"#,
            Some(Duration::from_millis(99)),
        );
        tally.count_reply(b"nonsense", Some(Duration::from_millis(100)));
        tally.count_reply(br#"{"operation":"invoice","code":200}"#, None);
        let mut report = tally.report(103, 3, false, began);
        assert_eq!((report.succeeded, report.refused, report.failed, report.answered()), (98, 1, 1, 100));
        assert_eq!((report.missing, report.unexpected), (3, 1));
        assert_eq!(report.first_refusal.as_deref(), Some("422 too \"low\""));
        let close = |quantile: f64, milliseconds: u64| {
            let latency = report.latency_us.value_at_quantile(quantile);
            assert!(latency.abs_diff(milliseconds * 1000) <= milliseconds, "{quantile}: {latency}");
        };
        close(0.5, 50);
        close(0.95, 95);
        close(0.99, 99);
        close(1.0, 100);
        report.elapsed = Duration::from_millis(1500);
        assert_eq!(report.operations_per_second(), 66);
    }
}
