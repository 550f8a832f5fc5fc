//! A wire to PostgreSQL that breaks at the worst moment: after a commit has happened, before its answer has arrived.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// Passes everything on, but of every so many commits it swallows the answer and hangs up.
#[derive(Clone, Debug)]
pub struct LossyProxy {
    target: String,
    lose_every: u64,
    commits: Arc<AtomicU64>,
    lost: Arc<AtomicU64>,
}

impl LossyProxy {
    /// Serves until the runtime ends. Gives the address through it, too.
    pub async fn start(database_url: &str, lose_every: u64) -> (Self, String) {
        let mut url = url::Url::parse(database_url).expect("the address is a URL");
        let target = format!("{}:{}", url.host_str().expect("a host"), url.port().unwrap_or(5432));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let address: SocketAddr = listener.local_addr().expect("it is bound");
        url.set_ip_host(address.ip()).expect("the URL has a host");
        url.set_port(Some(address.port())).expect("the URL has a host");
        let proxy = Self { target, lose_every, commits: Arc::default(), lost: Arc::default() };
        let serving = proxy.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let serving = serving.clone();
                // How a connection ends is up to its two ends.
                tokio::spawn(async move { serving.pass(client).await.ok() });
            }
        });
        (proxy, url.into())
    }

    /// Answers swallowed so far.
    pub fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    async fn pass(&self, mut client: TcpStream) -> std::io::Result<()> {
        let mut server = TcpStream::connect(&self.target).await?;
        let (mut from_client, mut from_server) = (vec![0; 65_536], vec![0; 65_536]);
        loop {
            tokio::select! {
                read = client.read(&mut from_client) => {
                    let sent = &from_client[..read?];
                    if sent.is_empty() {
                        return Ok(());
                    }
                    server.write_all(sent).await?;
                    // A statement of its own: it comes in one piece.
                    let is_commit = sent.ends_with(b"COMMIT\0");
                    if is_commit && (self.commits.fetch_add(1, Ordering::Relaxed) + 1).is_multiple_of(self.lose_every) {
                        // Once the server answers, it is done.
                        let answer_bytes = server.read(&mut from_server).await?;
                        self.lost.fetch_add(u64::from(answer_bytes > 0), Ordering::Relaxed);
                        return Ok(());
                    }
                }
                read = server.read(&mut from_server) => {
                    let said = &from_server[..read?];
                    if said.is_empty() {
                        return Ok(());
                    }
                    client.write_all(said).await?;
                }
            }
        }
    }
}
