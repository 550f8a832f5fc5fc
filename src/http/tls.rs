//! HTTPS: the certificate and its key, read from files.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::settings::Tls;

/// Why HTTPS cannot be served. None of them shows what is in the files.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The setting, the file.
    #[error("{0}: {1} holds nothing that can be read as PEM")]
    File(&'static str, PathBuf, #[source] rustls::pki_types::pem::Error),
    /// The two do not fit, or are not of a kind that is served.
    #[error("http.tls.certificate_file and http.tls.key_file cannot be used together")]
    Pair(#[source] rustls::Error),
}

/// What the settings say about HTTPS; `None` where they say nothing.
pub(super) fn server_config(settings: &Tls) -> Result<Option<ServerConfig>, TlsError> {
    if !settings.is_on() {
        return Ok(None);
    }
    let (certificate_file, key_file) = (Path::new(&settings.certificate_file), Path::new(&settings.key_file));
    let unreadable = |error| TlsError::File("http.tls.certificate_file", certificate_file.to_owned(), error);
    let certificates: Vec<_> = CertificateDer::pem_file_iter(certificate_file)
        .and_then(Iterator::collect)
        .and_then(|certificates: Vec<_>| match certificates.is_empty() {
            true => Err(rustls::pki_types::pem::Error::NoItemsFound),
            false => Ok(certificates),
        })
        .map_err(unreadable)?;
    let key = PrivateKeyDer::from_pem_file(key_file)
        .map_err(|error| TlsError::File("http.tls.key_file", key_file.to_owned(), error))?;
    // Named, so that no other package's choice of a provider changes this one.
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(certificates, key));
    config.map(Some).map_err(TlsError::Pair)
}
