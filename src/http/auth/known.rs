//! The keys in use, in memory: a request costs no query, whatever it brings.

use std::collections::HashMap;
use std::sync::{Arc, RwLock};
use std::time::{Duration, Instant};

use subtle::ConstantTimeEq;
use tokio::sync::Mutex;

use crate::store::StoreError;
use crate::store::keys::{KeyInUse, Scope};

/// How old the copy may be for a key that is not in it: a new one is good after this time. Not zero, so that made-up keys cannot make
/// every request read the table.
const AGE_MAX_WHEN_LACKING: Duration = Duration::from_millis(500);
/// How long a failed reading is not tried again: while the database is away, those who wait must not queue up to find out one by one.
const FAILURE_FRESH: Duration = Duration::from_millis(500);

/// All keys in use, read anew when they are asked for and the copy is old. Bounded by [`crate::store::keys::IN_USE_MAX`]; bad keys are
/// never kept.
#[derive(Debug)]
pub(super) struct KnownKeys {
    age_max: Duration,
    copy: RwLock<Option<Arc<Copied>>>,
    /// Held while the table is read: one reading is under way at most. Holds when one failed last.
    reading: Mutex<Option<Instant>>,
}

#[derive(Debug)]
struct Copied {
    keys: HashMap<i64, KeyInUse>,
    read_at: Instant,
}

/// The keys cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Unreadable;

impl KnownKeys {
    /// A copy is used for `age_max`: a revoked key stops working within it.
    pub fn new(age_max: Duration) -> Self {
        Self { age_max, copy: RwLock::default(), reading: Mutex::default() }
    }

    /// What the key of this number and hash allows; `None` when it is not in use. `read` reads the table.
    pub async fn find<R>(&self, id: i64, hash: &[u8; 32], read: impl Fn() -> R) -> Result<Option<Scope>, Unreadable>
    where
        R: Future<Output = Result<Vec<KeyInUse>, StoreError>>,
    {
        let mut copied = self.younger_than(self.age_max, &read).await?;
        if !copied.keys.contains_key(&id) {
            copied = self.younger_than(AGE_MAX_WHEN_LACKING.min(self.age_max), &read).await?;
        }
        Ok(copied.scope(id, hash))
    }

    async fn younger_than<R>(&self, age_max: Duration, read: &impl Fn() -> R) -> Result<Arc<Copied>, Unreadable>
    where
        R: Future<Output = Result<Vec<KeyInUse>, StoreError>>,
    {
        if let Some(copied) = self.copied(age_max) {
            return Ok(copied);
        }
        let mut failed_at = self.reading.lock().await;
        // Whoever read while this one waited has read for it, too.
        if let Some(copied) = self.copied(age_max) {
            return Ok(copied);
        }
        if failed_at.is_some_and(|at| at.elapsed() < FAILURE_FRESH) {
            return Err(Unreadable);
        }
        // Before it is read: what is read may be as old as this.
        let read_at = Instant::now();
        match read().await {
            Ok(keys) => {
                let keys = keys.into_iter().map(|key| (key.id, key)).collect();
                let copied = Arc::new(Copied { keys, read_at });
                *self.copy.write().expect("nothing panics while it holds this lock") = Some(Arc::clone(&copied));
                *failed_at = None;
                Ok(copied)
            }
            Err(error) => {
                tracing::warn!(error = %error, "the keys cannot be read: nobody is let in until they can");
                *failed_at = Some(Instant::now());
                Err(Unreadable)
            }
        }
    }

    fn copied(&self, age_max: Duration) -> Option<Arc<Copied>> {
        let copied = self.copy.read().expect("nothing panics while it holds this lock").clone();
        copied.filter(|copied| copied.read_at.elapsed() < age_max)
    }
}

impl Copied {
    fn scope(&self, id: i64, hash: &[u8; 32]) -> Option<Scope> {
        let key = self.keys.get(&id)?;
        // In constant time: how long it takes must not tell how much of it is right.
        let is_right = bool::from(key.hash.ct_eq(hash));
        let is_in_time = key.time_left.is_none_or(|left| self.read_at.elapsed() < left);
        (is_right && is_in_time).then_some(key.scope)
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    const HASH: [u8; 32] = [7; 32];
    const FOR_EVER: Duration = Duration::from_secs(3_600);

    fn key(id: i64, time_left: Option<Duration>) -> KeyInUse {
        KeyInUse { id, hash: HASH, scope: Scope::Write, time_left }
    }

    #[actix_web::test]
    async fn a_key_is_good_with_its_own_hash_and_in_its_time() {
        let known = KnownKeys::new(FOR_EVER);
        let read = || async { Ok(vec![key(1, None), key(2, Some(Duration::ZERO)), key(3, Some(FOR_EVER))]) };
        let check = async |id, hash: [u8; 32], expected| {
            assert_eq!(known.find(id, &hash, read).await, Ok(expected), "{id}");
        };
        check(1, HASH, Some(Scope::Write)).await;
        check(1, [8; 32], None).await;
        check(2, HASH, None).await;
        check(3, HASH, Some(Scope::Write)).await;
        check(4, HASH, None).await;
    }

    #[actix_web::test]
    async fn however_many_bad_keys_come_the_table_is_read_once_in_a_while() {
        let known = KnownKeys::new(FOR_EVER);
        let readings = Cell::new(0);
        let read = || async {
            readings.set(readings.get() + 1);
            tokio::task::yield_now().await;
            Ok(vec![key(1, None)])
        };
        let began = Instant::now();
        futures::future::join_all((0..1_000).map(|id| known.find(2 + id, &HASH, read))).await;
        futures::future::join_all((0..1_000).map(|_| known.find(1, &[8; 32], read))).await;
        let periods = began.elapsed().as_millis() / AGE_MAX_WHEN_LACKING.as_millis();
        assert!(readings.get() <= 1 + periods, "{} readings in {periods} periods", readings.get());
        assert_eq!(known.copied(FOR_EVER).unwrap().keys.len(), 1, "bad keys are not kept");
    }

    #[actix_web::test]
    async fn an_old_copy_is_read_anew_and_a_revoked_key_is_gone() {
        let known = KnownKeys::new(Duration::ZERO);
        assert_eq!(known.find(1, &HASH, || async { Ok(vec![key(1, None)]) }).await, Ok(Some(Scope::Write)));
        assert_eq!(known.find(1, &HASH, || async { Ok(vec![]) }).await, Ok(None));
    }

    #[actix_web::test]
    async fn while_they_cannot_be_read_nobody_is_let_in_and_one_asks_for_all() {
        let known = KnownKeys::new(Duration::ZERO);
        let readings = Cell::new(0);
        known.find(1, &HASH, || async { Ok(vec![key(1, None)]) }).await.unwrap();
        let fail = || async {
            readings.set(readings.get() + 1);
            Err(StoreError::silence())
        };
        let began = Instant::now();
        let found = futures::future::join_all((0..100).map(|_| known.find(1, &HASH, fail))).await;
        assert!(found.iter().all(|found| *found == Err(Unreadable)));
        let periods = began.elapsed().as_millis() / FAILURE_FRESH.as_millis();
        assert!(readings.get() <= 1 + periods);
    }
}
