//! The engine: one actor per wallet keeps its operations in order, lanes commit what the actors have ready.
//!
//! ```text
//!  submit ──> WalletActor (one per wallet: a line of waiting operations, at most one group of them in a lane)
//!                  │ group
//!                  v
//!             Lane (one per connection: takes all groups that are ready, posts them as one batch)
//!                  │ outcomes, after the commit
//!                  v
//!             the caller
//! ```
//! There is no timer in it: while a batch commits, the next one gathers. It decides nothing about money, see [`crate::posting`].

mod door;
pub mod expiry;
mod lane;
mod processor;
mod registry;
mod responder;
mod retry;
mod settle;
mod wallet;

pub use processor::{Processor, Sequence, SubmitError};
