//! Whether the engine takes operations, and whether it still can do anything with them.

use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::watch;

/// Open until a stop begins or a lane dies; then closed for good.
pub(super) struct Door {
    is_closed: AtomicBool,
    lane_died: watch::Sender<bool>,
}

impl Door {
    pub fn new() -> Self {
        Self { is_closed: AtomicBool::new(false), lane_died: watch::Sender::new(false) }
    }

    pub fn close(&self) {
        self.is_closed.store(true, Ordering::SeqCst);
    }

    pub fn is_closed(&self) -> bool {
        self.is_closed.load(Ordering::SeqCst)
    }

    /// A lane can commit nothing any more. The door closes first, so that nobody lets something in who knows of it.
    pub fn lane_died(&self) {
        self.close();
        self.lane_died.send_replace(true);
    }

    /// Waits until a lane dies.
    pub async fn until_a_lane_died(&self) {
        let mut died = self.lane_died.subscribe();
        // The sender lives as long as the door.
        died.wait_for(|died| *died).await.ok();
    }
}
