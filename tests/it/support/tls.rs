//! Certificates made on the spot, and a door in front of RabbitMQ or PostgreSQL that speaks TLS.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use super::unique;

/// The certificate of a server, its key, and that of the authority that vouches for it, in files that vanish with this.
#[derive(Debug)]
pub struct Certificate {
    /// The server's.
    pub certificate: PathBuf,
    /// The server's private key.
    pub key: PathBuf,
    /// The authority's: who trusts it trusts the server.
    pub authority: PathBuf,
}

impl Certificate {
    /// For a server of this name or address, by an authority of its own.
    pub fn of(name: &str) -> Self {
        let key_pair = || KeyPair::generate().expect("a key is made");
        let mut authority_parameters = CertificateParams::default();
        authority_parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority_key = key_pair();
        let authority = authority_parameters.self_signed(&authority_key).expect("a certificate is made");
        let issuer = Issuer::new(authority_parameters, authority_key);
        let key = key_pair();
        let parameters = CertificateParams::new([name.to_owned()]).expect("it is a name");
        let certificate = parameters.signed_by(&key, &issuer).expect("a certificate is made");

        let write = |kind: &str, pem: String| {
            let file = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{}.{kind}.pem", unique("tls")));
            std::fs::write(&file, pem).expect("it can be written");
            file
        };
        Self {
            certificate: write("certificate", certificate.pem()),
            key: write("key", key.serialize_pem()),
            authority: write("authority", authority.pem()),
        }
    }

    /// One of its files, as a setting holds it.
    pub fn path(file: &Path) -> &str {
        file.to_str().expect("the target folder's name is text")
    }

    fn server_config(&self) -> ServerConfig {
        let certificates = CertificateDer::pem_file_iter(&self.certificate).and_then(Iterator::collect);
        let key = PrivateKeyDer::from_pem_file(&self.key).expect("it was just written");
        ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("the provider has them")
            .with_no_client_auth()
            .with_single_cert(certificates.expect("it was just written"), key)
            .expect("they fit")
    }
}

impl Drop for Certificate {
    fn drop(&mut self) {
        for file in [&self.certificate, &self.key, &self.authority] {
            std::fs::remove_file(file).ok();
        }
    }
}

/// Takes TLS and passes on what was in it.
#[derive(Clone, Debug)]
pub struct TlsDoor {
    refused: Arc<AtomicU64>,
}

impl TlsDoor {
    /// Serves until the runtime ends. Gives the server's address through it, too, at 127.0.0.1.
    pub async fn start(certificate: &Certificate, server_url: &str) -> (Self, String) {
        Self::start_with(Some(certificate), server_url).await
    }

    /// One to PostgreSQL that says that it has no TLS.
    pub async fn start_without_tls(server_url: &str) -> (Self, String) {
        Self::start_with(None, server_url).await
    }

    async fn start_with(certificate: Option<&Certificate>, server_url: &str) -> (Self, String) {
        let mut url = url::Url::parse(&server_url.replacen("amqp://", "amqps://", 1)).expect("the address is a URL");
        let is_postgres = url.scheme().starts_with("postgres");
        let port = url.port().unwrap_or(if is_postgres { 5432 } else { 5672 });
        let target = format!("{}:{port}", url.host_str().expect("a host"));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let address: SocketAddr = listener.local_addr().expect("it is bound");
        url.set_host(Some("127.0.0.1")).expect("the URL has a host");
        url.set_port(Some(address.port())).expect("the URL has a host");
        let acceptor = certificate.map(|certificate| TlsAcceptor::from(Arc::new(certificate.server_config())));
        let door = Self { refused: Arc::default() };
        let serving = door.clone();
        tokio::spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                let (serving, acceptor, target) = (serving.clone(), acceptor.clone(), target.clone());
                tokio::spawn(async move {
                    if is_postgres {
                        // Its clients ask first whether there is TLS: length 8, code 80877103.
                        let mut question = [0; 8];
                        client.read_exact(&mut question).await?;
                        assert_eq!(question, [0, 0, 0, 8, 4, 210, 22, 47], "it asks for TLS before it says anything");
                        client.write_all(if acceptor.is_some() { b"S" } else { b"N" }).await?;
                    }
                    // How a connection ends is up to its two ends.
                    let Some(acceptor) = acceptor else {
                        let mut server = TcpStream::connect(target).await?;
                        return tokio::io::copy_bidirectional(&mut client, &mut server).await.map(drop);
                    };
                    match acceptor.accept(client).await {
                        Ok(mut client) => {
                            let mut server = TcpStream::connect(target).await?;
                            tokio::io::copy_bidirectional(&mut client, &mut server).await.map(drop)
                        }
                        Err(_) => {
                            serving.refused.fetch_add(1, Ordering::Relaxed);
                            Ok(())
                        }
                    }
                });
            }
        });
        (door, url.into())
    }

    /// How many did not come to terms.
    pub fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }
}
