//! HTTPS: the certificate and its key, read from files, and read anew when they were renewed.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rustls::ServerConfig;
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use sha2::{Digest, Sha256};

use crate::settings::Tls;

/// How often the files are looked at while connections come: a certificate is renewed weeks before it ends.
const LOOK_EVERY: Duration = Duration::from_secs(10);

/// Why HTTPS cannot be served. None of them shows what is in the files.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The setting, the file.
    #[error("{0}: {1} cannot be read")]
    File(&'static str, PathBuf, #[source] std::io::Error),
    /// The setting, the file.
    #[error("{0}: {1} holds nothing that can be read as PEM")]
    Pem(&'static str, PathBuf, #[source] pem::Error),
    /// The two do not fit, or are not of a kind that is served.
    #[error("http.tls.certificate_file and http.tls.key_file cannot be used together")]
    Pair(#[source] rustls::Error),
    /// The cryptography has no version of TLS to offer.
    #[error("TLS cannot be served")]
    Versions(#[source] rustls::Error),
}

/// What the settings say about HTTPS; `None` where they say nothing.
pub(super) fn server_config(settings: &Tls) -> Result<Option<ServerConfig>, TlsError> {
    if !settings.is_on() {
        return Ok(None);
    }
    // Named, so that no other package's choice of a provider changes this one.
    let provider = Arc::new(ring::default_provider());
    let pair = Renewable::read(settings, Arc::clone(&provider), LOOK_EVERY)?;
    let builder = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    Ok(Some(builder.map_err(TlsError::Versions)?.with_no_client_auth().with_cert_resolver(Arc::new(pair))))
}

/// A certificate and its key that may be replaced while Purser runs.
#[derive(Debug)]
struct Renewable {
    settings: Tls,
    provider: Arc<CryptoProvider>,
    look_every: Duration,
    current: Mutex<Current>,
}

#[derive(Debug)]
struct Current {
    pair: Arc<CertifiedKey>,
    /// Of the files as they were looked at last, whether or not they could be used: what is wrong is told once.
    seen: [u8; 32],
    looked_at: Instant,
}

impl Renewable {
    fn read(settings: &Tls, provider: Arc<CryptoProvider>, look_every: Duration) -> Result<Self, TlsError> {
        let files = Files::read(settings)?;
        let current = Current { pair: files.pair(settings, &provider)?, seen: files.hash(), looked_at: Instant::now() };
        Ok(Self { settings: settings.clone(), provider, look_every, current: Mutex::new(current) })
    }

    /// The newest pair that could be used: halfway through a renewal the two files do not fit.
    fn newest(&self) -> Arc<CertifiedKey> {
        let mut current = self.current.lock().expect("nothing panics while it holds this lock");
        if current.looked_at.elapsed() >= self.look_every {
            current.looked_at = Instant::now();
            if let Ok(files) = Files::read(&self.settings)
                && files.hash() != current.seen
            {
                current.seen = files.hash();
                match files.pair(&self.settings, &self.provider) {
                    Ok(pair) => {
                        current.pair = pair;
                        tracing::info!("the certificate for HTTPS is renewed");
                    }
                    Err(error) => {
                        tracing::warn!(error = %error, "the new certificate for HTTPS cannot be used; the old one still is");
                    }
                }
            }
        }
        Arc::clone(&current.pair)
    }
}

impl ResolvesServerCert for Renewable {
    fn resolve(&self, _client: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.newest())
    }
}

/// What is in the two files.
struct Files {
    certificate: Vec<u8>,
    key: Vec<u8>,
}

impl Files {
    fn read(settings: &Tls) -> Result<Self, TlsError> {
        let read = |setting, file: &String| {
            std::fs::read(file).map_err(|error| TlsError::File(setting, PathBuf::from(file), error))
        };
        Ok(Self {
            certificate: read(CERTIFICATE_FILE, &settings.certificate_file)?,
            key: read(KEY_FILE, &settings.key_file)?,
        })
    }

    fn hash(&self) -> [u8; 32] {
        Sha256::new().chain_update(&self.certificate).chain_update([0]).chain_update(&self.key).finalize().into()
    }

    fn pair(&self, settings: &Tls, provider: &CryptoProvider) -> Result<Arc<CertifiedKey>, TlsError> {
        let unreadable = |setting, file: &str| {
            let file = Path::new(file).to_owned();
            move |error| TlsError::Pem(setting, file, error)
        };
        let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&self.certificate).collect();
        let certificates =
            certificates.and_then(|all| if all.is_empty() { Err(pem::Error::NoItemsFound) } else { Ok(all) });
        let certificates = certificates.map_err(unreadable(CERTIFICATE_FILE, &settings.certificate_file))?;
        let key = PrivateKeyDer::from_pem_slice(&self.key).map_err(unreadable(KEY_FILE, &settings.key_file))?;
        CertifiedKey::from_der(certificates, key, provider).map(Arc::new).map_err(TlsError::Pair)
    }
}

const CERTIFICATE_FILE: &str = "http.tls.certificate_file";
const KEY_FILE: &str = "http.tls.key_file";

#[cfg(test)]
mod tests {
    use rcgen::{CertifiedKey, generate_simple_self_signed};

    use super::*;

    #[test]
    fn a_renewed_certificate_is_served_once_it_is_whole() {
        let file = |kind: &str| std::env::temp_dir().join(format!("purser-{}.{kind}.pem", uuid::Uuid::now_v7()));
        let (certificate_file, key_file) = (file("certificate"), file("key"));
        let make = || {
            let CertifiedKey { cert, signing_key } = generate_simple_self_signed(["localhost".to_owned()]).unwrap();
            (cert.der().clone(), cert.pem(), signing_key.serialize_pem())
        };
        let (first, certificate, key) = make();
        std::fs::write(&certificate_file, certificate).unwrap();
        std::fs::write(&key_file, key).unwrap();
        let text = |file: &Path| file.to_str().unwrap().to_owned();
        let settings = Tls { certificate_file: text(&certificate_file), key_file: text(&key_file) };
        let pair = Renewable::read(&settings, Arc::new(ring::default_provider()), Duration::ZERO).unwrap();
        assert_eq!(pair.newest().cert[0], first);

        let (second, certificate, key) = make();
        std::fs::write(&certificate_file, certificate).unwrap();
        assert_eq!(pair.newest().cert[0], first, "its key is not there yet");
        std::fs::write(&key_file, key).unwrap();
        assert_eq!(pair.newest().cert[0], second);

        std::fs::write(&certificate_file, "no certificate").unwrap();
        assert_eq!(pair.newest().cert[0], second);
        std::fs::remove_file(&certificate_file).unwrap();
        assert_eq!(pair.newest().cert[0], second);
        std::fs::remove_file(&key_file).unwrap();
    }
}
