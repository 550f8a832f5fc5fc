//! The older systems' interfaces: dictionaries only, one file each. Words in, words out; no rule of their own.

pub mod transactional_system;
