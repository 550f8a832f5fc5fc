//! A load balancer: hands every new connection to the next of several servers.

use std::net::SocketAddr;

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};

/// Serves until the runtime ends.
#[derive(Clone, Copy, Debug)]
pub struct RoundRobin {
    /// The one address of all of them.
    pub address: SocketAddr,
}

impl RoundRobin {
    /// In front of these servers, the first connection to the first one.
    pub async fn start(servers: Vec<SocketAddr>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let address = listener.local_addr().expect("it is bound");
        tokio::spawn(async move {
            for server in servers.into_iter().cycle() {
                let Ok((client, _)) = listener.accept().await else { return };
                // How a connection ends is up to its two ends.
                tokio::spawn(async move { pass(client, server).await.ok() });
            }
        });
        Self { address }
    }

    /// The address of a path.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }
}

async fn pass(mut client: TcpStream, server: SocketAddr) -> std::io::Result<()> {
    let mut server = TcpStream::connect(server).await?;
    copy_bidirectional(&mut client, &mut server).await?;
    Ok(())
}
