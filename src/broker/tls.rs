//! TLS to the broker: an address that begins with `amqps://`.

use std::io::{Error, ErrorKind};

use lapin::tcp::OwnedTLSConfig;
use lapin::uri::AMQPUri;
use lapin::{Connection, ConnectionProperties};

/// Connects, by TLS if the address says so.
pub async fn connect(address: AMQPUri, name: &str, trusted: OwnedTLSConfig) -> lapin::Result<Connection> {
    let properties = ConnectionProperties::default().with_connection_name(name.into());
    Connection::connect_uri_with_config(address, properties, trusted, lapin::runtime::default_runtime()?).await
}

/// Whom to trust beside the public authorities: the certificates in `ca_file`, a PEM file; an empty name is none.
///
/// # Errors
/// When the file cannot be read, or holds no certificate.
pub fn trust(ca_file: &str) -> std::io::Result<OwnedTLSConfig> {
    if ca_file.is_empty() {
        return Ok(OwnedTLSConfig::default());
    }
    let certificates = std::fs::read_to_string(ca_file)
        .map_err(|error| Error::new(error.kind(), format!("broker.tls_ca_file: {ca_file} cannot be read: {error}")))?;
    // One that is passed over in silence would be found out by a refused connection only.
    if !certificates.contains("-----BEGIN CERTIFICATE-----") {
        return Err(Error::new(ErrorKind::InvalidData, format!("broker.tls_ca_file: {ca_file} holds no certificate")));
    }
    Ok(OwnedTLSConfig { identity: None, cert_chain: Some(certificates) })
}
