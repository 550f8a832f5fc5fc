//! Which deliveries of a session are finished, and what one ack can cover.

use std::collections::VecDeque;

/// Delivery tags count from 1 without a gap, so their states fit a line.
#[derive(Debug)]
pub(super) struct AckWindow {
    /// The tag of the first slot: everything before it is settled.
    first: u64,
    slots: VecDeque<Slot>,
    /// Finished, not yet acknowledged.
    finished: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Slot {
    /// Not answered yet, or not even seen.
    Open,
    /// To be acknowledged.
    Finished,
    /// Acknowledged by itself.
    Settled,
}

impl AckWindow {
    pub(super) fn new() -> Self {
        Self { first: 1, slots: VecDeque::new(), finished: 0 }
    }

    /// The delivery is to be acknowledged.
    pub(super) fn finish(&mut self, tag: u64) {
        let position = tag.checked_sub(self.first).expect("a delivery is settled once");
        let position = usize::try_from(position).expect("the prefetch bounds the window");
        if position >= self.slots.len() {
            self.slots.resize(position + 1, Slot::Open);
        }
        let before = std::mem::replace(&mut self.slots[position], Slot::Finished);
        assert_eq!(before, Slot::Open, "a delivery is settled once");
        self.finished += 1;
    }

    /// Finished deliveries that wait for their ack.
    pub(super) fn finished(&self) -> usize {
        self.finished
    }

    /// The tag up to which everything is finished, for one ack of all of them; `None` if there is nothing new.
    ///
    /// It is itself the tag of an unacknowledged delivery: the broker closes the channel over any other.
    pub(super) fn take_prefix(&mut self) -> Option<u64> {
        let mut up_to = None;
        while let Some(slot) = self.slots.front().filter(|slot| **slot != Slot::Open) {
            if *slot == Slot::Finished {
                up_to = Some(self.first);
                self.finished -= 1;
            }
            self.slots.pop_front();
            self.first += 1;
        }
        up_to
    }

    /// The finished deliveries behind one that is not, for an ack each.
    pub(super) fn take_stragglers(&mut self) -> Vec<u64> {
        let mut tags = Vec::with_capacity(self.finished);
        for (tag, slot) in (self.first..).zip(&mut self.slots) {
            if *slot == Slot::Finished {
                *slot = Slot::Settled;
                tags.push(tag);
            }
        }
        self.finished -= tags.len();
        tags
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn window(finished: &[u64]) -> AckWindow {
        let mut window = AckWindow::new();
        for tag in finished {
            window.finish(*tag);
        }
        window
    }

    #[test]
    fn one_ack_covers_what_is_finished_without_a_gap() {
        for (finished, expected) in
            [(&[][..], None), (&[2, 3], None), (&[1], Some(1)), (&[2, 1, 4], Some(2)), (&[3, 1, 2], Some(3))]
        {
            assert_eq!(window(finished).take_prefix(), expected, "{finished:?}");
        }
    }

    #[test]
    fn an_ack_is_never_repeated() {
        let mut window = window(&[1, 2, 4]);
        assert_eq!((window.take_prefix(), window.take_prefix(), window.finished()), (Some(2), None, 1));
        window.finish(3);
        assert_eq!((window.take_prefix(), window.finished()), (Some(4), 0));
    }

    #[test]
    fn a_delivery_that_stays_open_is_never_acknowledged() {
        let mut window = window(&[1, 3, 5]);
        assert_eq!((window.take_prefix(), window.take_stragglers()), (Some(1), vec![3, 5]));
        window.finish(4);
        assert_eq!((window.take_prefix(), window.take_stragglers()), (None, vec![4]));
    }

    #[test]
    fn stragglers_are_acknowledged_by_themselves_and_once() {
        let mut window = window(&[1, 3, 5]);
        assert_eq!(window.take_prefix(), Some(1));
        assert_eq!((window.take_stragglers(), window.take_stragglers()), (vec![3, 5], vec![]));
        window.finish(2);
        window.finish(4);
        assert_eq!((window.take_prefix(), window.finished()), (Some(4), 0));
    }

    proptest! {
        #[test]
        fn every_finished_delivery_is_acknowledged_exactly_once(
            order in Just((1..=40_u64).collect::<Vec<_>>()).prop_shuffle(),
            steps in proptest::collection::vec(0..8_u8, 40),
        ) {
            let mut window = AckWindow::new();
            let mut unacked: std::collections::BTreeSet<u64> = (1..=40).collect();
            let mut finished = std::collections::BTreeSet::new();
            for (tag, step) in order.into_iter().zip(steps) {
                window.finish(tag);
                finished.insert(tag);
                if step % 3 == 0 && let Some(up_to) = window.take_prefix() {
                    prop_assert!(unacked.contains(&up_to));
                    let covered: Vec<u64> = unacked.range(..=up_to).copied().collect();
                    for tag in covered {
                        prop_assert!(finished.contains(&tag));
                        unacked.remove(&tag);
                    }
                }
                if step == 4 {
                    for tag in window.take_stragglers() {
                        prop_assert!(finished.contains(&tag) && unacked.remove(&tag));
                    }
                }
            }
            if let Some(up_to) = window.take_prefix() {
                unacked.retain(|tag| *tag > up_to);
            }
            prop_assert!(unacked.is_empty());
            prop_assert_eq!(window.finished(), 0);
        }
    }
}
