//! Two instances on one database are asked at the same time for things that exclude each other, many times. However it goes, it goes one way for
//! both, and the books are right afterwards.

mod expiry;
mod holds;
mod instances;
mod keys;
mod references;
mod wallets;
