//! The window: a fixed number of places for operations that are outstanding.

use std::fmt;
use std::str::FromStr;
use std::time::Instant;

/// A place and how often it was taken before: a late reply to an earlier operation in the same place is told apart by that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SlotId {
    place: usize,
    turn: u64,
}

impl fmt::Display for SlotId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}.{}", self.place, self.turn)
    }
}

impl FromStr for SlotId {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (place, turn) = text.split_once('.').ok_or(())?;
        Ok(Self { place: place.parse().map_err(|_| ())?, turn: turn.parse().map_err(|_| ())? })
    }
}

#[derive(Clone, Copy, Debug)]
struct Slot {
    turn: u64,
    started: Option<Instant>,
}

/// All places.
#[derive(Debug)]
pub struct Slots {
    slots: Vec<Slot>,
    free: Vec<usize>,
}

impl Slots {
    pub fn new(count: usize) -> Self {
        Self { slots: vec![Slot { turn: 0, started: None }; count], free: (0..count).rev().collect() }
    }

    pub fn outstanding(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    /// Takes up to `wanted` free places.
    pub fn take(&mut self, wanted: usize, now: Instant) -> Vec<SlotId> {
        let first = self.free.len().saturating_sub(wanted);
        let places = self.free.split_off(first);
        let take = |place: usize| {
            let slot = &mut self.slots[place];
            slot.turn += 1;
            slot.started = Some(now);
            SlotId { place, turn: slot.turn }
        };
        places.into_iter().map(take).collect()
    }

    /// Frees a place and says since when it was taken; `None` when that operation is not outstanding.
    pub fn free(&mut self, SlotId { place, turn }: SlotId) -> Option<Instant> {
        let slot = self.slots.get_mut(place).filter(|slot| slot.turn == turn)?;
        let started = slot.started.take()?;
        self.free.push(place);
        Some(started)
    }

    /// Frees every place; returns how many were taken.
    pub fn clear(&mut self) -> u64 {
        let outstanding = self.outstanding();
        for slot in &mut self.slots {
            slot.started = None;
        }
        self.free = (0..self.slots.len()).rev().collect();
        outstanding as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_freed_once_and_only_for_its_own_operation() {
        let mut slots = Slots::new(2);
        let now = Instant::now();
        let taken = slots.take(5, now);
        assert_eq!((taken.len(), slots.outstanding()), (2, 2));
        assert_eq!(slots.free(taken[0]), Some(now));
        assert_eq!(slots.free(taken[0]), None, "a second reply");
        let again = slots.take(5, now);
        assert_eq!(again.len(), 1);
        assert_eq!(slots.free(taken[0]), None, "a late reply must not free the next operation's place");
        assert_eq!(again[0].to_string().parse(), Ok(again[0]));
        assert_eq!(slots.clear(), 2);
        assert_eq!(slots.free(again[0]), None);
        assert_eq!(slots.outstanding(), 0);
    }
}
