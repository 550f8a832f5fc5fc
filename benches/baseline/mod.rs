//! What Purser is compared with: the same work done the usual way, as well as it can be done that way.

pub mod echo;
pub mod row_lock;
