//! The dialects that there are, one line each.
//!
//! The product, its integration tests and the tidy test all declare from this list: here a dialect is its file, below `tests/golden` its folder.

/// Hands the names of all dialects to the macro `declare`.
macro_rules! with_dialects {
    ($declare:ident) => {
        $declare! {
            balance,
            transaction_system,
            transactional_system,
            wallet,
            wallet_test,
        }
    };
}
