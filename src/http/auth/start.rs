//! A server that others can reach does not start with a door that nobody locked, or that nobody could open.

use std::net::SocketAddr;

use crate::settings;
use crate::store::keys;
use crate::store::{Store, StoreError};

/// Why it does not start.
#[derive(Debug, thiserror::Error)]
pub enum UnsafeStart {
    /// Everybody would be refused.
    #[error(
        "http.listen is {0}, which others can reach, so every request needs a key, and there is none yet: \
         make one with `purser keys create --name NAME --scope admin`, or listen on 127.0.0.1"
    )]
    NoKey(SocketAddr),
    /// The database does not say.
    #[error("the keys cannot be read; are the tables there (`purser migrate`)?")]
    Unreadable(#[source] StoreError),
}

/// Whether the doors may be opened. That authentication is not switched off by accident is the settings' own check.
///
/// # Errors
/// When others can reach it, and nobody could be let in.
pub async fn check_start(settings: &settings::Http, store: &Store) -> Result<(), UnsafeStart> {
    if !settings.is_auth_on() {
        if settings.is_public() {
            tracing::warn!(address = %settings.listen, "others can reach this, and authentication is off");
        }
        return Ok(());
    }
    // Whom the identity provider lets in, it does.
    if settings.jwt.is_on() || keys::is_any_in_use(store.key_pool()).await.map_err(UnsafeStart::Unreadable)? {
        return Ok(());
    }
    if settings.is_public() {
        return Err(UnsafeStart::NoKey(settings.listen));
    }
    tracing::warn!("every request needs a key, and there is none yet: `purser keys create` makes one");
    Ok(())
}
