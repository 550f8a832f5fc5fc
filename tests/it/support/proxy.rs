//! Wires to the servers that break: on demand, or at the worst moment, after a commit has happened and before its answer has arrived.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

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
        let (listener, target, url) = listen_for(database_url, 5432).await;
        let proxy = Self { target, lose_every, commits: Arc::default(), lost: Arc::default() };
        let serving = proxy.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let serving = serving.clone();
                // How a connection ends is up to its two ends.
                tokio::spawn(async move { serving.pass(client).await.ok() });
            }
        });
        (proxy, url)
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

/// Passes everything on until it is told otherwise.
#[derive(Clone, Debug)]
pub struct Proxy {
    /// The address through it.
    pub url: String,
    target: String,
    connections: Arc<AtomicU64>,
    cut: watch::Sender<()>,
    silence: watch::Sender<()>,
    is_stalled: watch::Sender<bool>,
}

impl Proxy {
    /// Serves until the runtime ends. `url` is of PostgreSQL or RabbitMQ.
    pub async fn start(url: &str) -> Self {
        let usual_port = if url.starts_with("amqp") { 5672 } else { 5432 };
        let (listener, target, url) = listen_for(url, usual_port).await;
        let (cut, silence) = (watch::Sender::new(()), watch::Sender::new(()));
        let proxy =
            Self { url, target, connections: Arc::default(), cut, silence, is_stalled: watch::Sender::new(false) };
        let serving = proxy.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                serving.connections.fetch_add(1, Ordering::Relaxed);
                let (passing, mut cut) = (serving.clone(), serving.cut.subscribe());
                tokio::spawn(async move {
                    tokio::select! {
                        // How a connection ends is up to its two ends.
                        _ = passing.pass(client) => {}
                        _ = cut.changed() => {}
                    }
                });
            }
        });
        proxy
    }

    /// Connections made through it so far.
    pub fn connections(&self) -> u64 {
        self.connections.load(Ordering::Relaxed)
    }

    /// Closes every connection there is.
    pub fn cut(&self) {
        self.cut.send_replace(());
    }

    /// Passes nothing more on, on the connections there are and on new ones, and takes nothing either: what is sent piles up.
    pub fn stall(&self) {
        self.is_stalled.send_replace(true);
    }

    /// From now on swallows what either end of the connections there are says, the goodbye included: to both, the other is silently gone.
    /// New connections are as they should be.
    pub fn silence(&self) {
        self.silence.send_replace(());
    }

    async fn pass(&self, mut client: TcpStream) -> std::io::Result<()> {
        let (mut silenced, mut stall) = (self.silence.subscribe(), self.is_stalled.subscribe());
        let mut server = TcpStream::connect(&self.target).await?;
        let stalled = async { drop(stall.wait_for(|is_stalled| *is_stalled).await) };
        let is_silenced = tokio::select! {
            _ = tokio::io::copy_bidirectional(&mut client, &mut server) => return Ok(()),
            () = stalled => false,
            _ = silenced.changed() => true,
        };
        if is_silenced {
            let (mut from_client, mut from_server) = (tokio::io::sink(), tokio::io::sink());
            let swallowing = tokio::io::copy(&mut client, &mut from_client);
            let (swallowed, _) = tokio::join!(swallowing, tokio::io::copy(&mut server, &mut from_server));
            swallowed?;
        }
        std::future::pending().await
    }
}

/// A door of its own for a server: where it listens, the server behind it, and its address in the place of the server's.
async fn listen_for(url: &str, usual_port: u16) -> (TcpListener, String, String) {
    let mut url = url::Url::parse(url).expect("the address is a URL");
    let target = format!("{}:{}", url.host_str().expect("a host"), url.port().unwrap_or(usual_port));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
    let port = listener.local_addr().expect("it is bound").port();
    url.set_host(Some("127.0.0.1")).expect("the URL has a host");
    url.set_port(Some(port)).expect("the URL has a host");
    (listener, target, url.into())
}
