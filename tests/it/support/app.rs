//! Purser in-process, as `purser serve` would run it, on a free port with a database and broker names of its own.

use std::net::SocketAddr;
use std::thread::JoinHandle;

use purser::app::App;
use purser::settings::{Secret, Settings};
use serde_json::Value;
use tokio::sync::oneshot;

use super::amqp::OwnedNames;
use super::{Amqp, Message, Names, PATIENCE, TestDatabase, amqp_url, poll_until};

/// A running Purser. It is stopped when it goes out of scope, before its database and its queues are removed.
#[derive(Debug)]
pub struct TestApp {
    /// Where it serves HTTP.
    pub address: SocketAddr,
    client: reqwest::Client,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<anyhow::Result<()>>>,
    /// What it is called on the broker.
    pub names: Names,
    _owned_names: OwnedNames,
    /// Its books.
    pub database: TestDatabase,
}

/// An HTTP answer, read to its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The content type, if it names one.
    pub content_type: String,
    /// The body.
    pub body: String,
}

impl Answer {
    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error} in {self:?}"))
    }
}

impl TestApp {
    /// With the default settings and the wallets 1 to 9.
    pub async fn start() -> Self {
        Self::start_with(|_| {}).await
    }

    /// With settings changed by `adjust`.
    pub async fn start_with(adjust: impl FnOnce(&mut Settings)) -> Self {
        Self::start_on(TestDatabase::create().await, adjust).await
    }

    /// On a database that is there already. Waits until it is ready.
    ///
    /// Not only for convenience: a queue that is deleted while it is being declared can bring RabbitMQ to end its supervisor of
    /// dead-letter workers for good, and from then on no quorum queue that dead-letters at least once gets a leader on that node.
    pub async fn start_on(database: TestDatabase, adjust: impl FnOnce(&mut Settings)) -> Self {
        let app = Self::start_unready_on(database, adjust).await;
        poll_until(PATIENCE, "readiness", async || app.get("/readyz").await.status == 200).await;
        app
    }

    /// The same for what is never to get ready, or what a test wants to see getting ready.
    pub async fn start_unready_on(database: TestDatabase, adjust: impl FnOnce(&mut Settings)) -> Self {
        let names = Names::new();
        let mut settings = database.settings();
        settings.broker.url = Secret::new(amqp_url());
        settings.http.listen = SocketAddr::from(([127, 0, 0, 1], 0));
        names.set(&mut settings);
        adjust(&mut settings);

        let (stop, stopped) = oneshot::channel();
        let (started, start) = oneshot::channel();
        let thread = std::thread::spawn(move || {
            actix::System::new().block_on(async move {
                let app = App::start(settings).await?;
                started.send(app.http_addr()).ok();
                stopped.await.ok();
                app.stop().await;
                Ok(())
            })
        });
        let mut app = Self {
            address: SocketAddr::from(([0, 0, 0, 0], 0)),
            client: reqwest::Client::new(),
            stop: Some(stop),
            thread: Some(thread),
            _owned_names: OwnedNames(names.clone()),
            names,
            database,
        };
        match start.await {
            Ok(address) => app.address = address,
            Err(_) => {
                let result = app.thread.take().expect("it was just put there").join();
                panic!("the app did not start: {:?}", result.expect("App::start does not panic"));
            }
        }
        app
    }

    /// Sends a JSON body to a path.
    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        self.post_bytes(path, "application/json", body.to_string()).await
    }

    /// Sends any bytes to a path.
    pub async fn post_bytes(&self, path: &str, content_type: &str, body: impl Into<reqwest::Body>) -> Answer {
        let request = self.client.post(self.url(path)).header("content-type", content_type).body(body);
        answer(request).await
    }

    /// Reads a path.
    pub async fn get(&self, path: &str) -> Answer {
        answer(self.client.get(self.url(path))).await
    }

    /// Sends a JSON body to a path by any method; `null` sends none.
    pub async fn send(&self, method: &str, path: &str, body: &Value) -> Answer {
        let method = method.parse().expect("the test names a method");
        let request = self.client.request(method, self.url(path));
        answer(if body.is_null() { request } else { request.json(body) }).await
    }

    /// Reads a path as CSV.
    pub async fn get_csv(&self, path: &str) -> Answer {
        answer(self.client.get(self.url(path)).header("accept", "text/csv")).await
    }

    /// Reads a list page by page to its end and gives one field of every item.
    pub async fn get_all(&self, path: &str, field: &str) -> Vec<String> {
        let (mut found, mut cursor) = (Vec::new(), String::new());
        loop {
            let page = self.get(&format!("{path}{cursor}")).await;
            assert_eq!(page.status, 200, "{page:?}");
            let page = page.json();
            let items = page["items"].as_array().expect("a page has items");
            found.extend(items.iter().map(|item| item[field].to_string().trim_matches('"').to_owned()));
            match page["next_cursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return found,
            }
        }
    }

    /// The address of a path.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// A metric's value by its whole line without the value: `purser_replies_total{result="sent"}`; 0 if it is not there.
    pub async fn metric(&self, line: &str) -> i64 {
        metric_in(&self.get("/metrics").await.body, line)
    }

    /// A client of its broker.
    pub async fn amqp(&self) -> Amqp {
        Amqp::connect(&amqp_url()).await.expect("the broker is there")
    }

    /// Publishes an operation and waits for the reply.
    pub async fn call(&self, client: &Amqp, operation: &str, body: &Value) -> Value {
        let message = Message::new(&self.names.operations, operation, body.to_string());
        client.call(message).await.json()
    }

    /// Stops it in good order and waits until it has stopped.
    pub async fn stop(&mut self) {
        self.stop.take();
        if let Some(thread) = self.thread.take() {
            let joined = tokio::task::spawn_blocking(move || thread.join()).await.expect("the join is not cancelled");
            joined.expect("the app does not panic").expect("the app stops in good order");
        }
    }
}

impl Drop for TestApp {
    fn drop(&mut self) {
        self.stop.take();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
            && !std::thread::panicking()
        {
            panic!("the app panicked");
        }
    }
}

/// The value on the metric line that starts with `line`; 0 if there is none.
pub fn metric_in(text: &str, line: &str) -> i64 {
    let value = text.lines().find_map(|candidate| candidate.strip_prefix(line)?.strip_prefix(' '));
    value.map_or(0, |value| value.trim().parse().expect("counters of tests are whole numbers"))
}

async fn answer(request: reqwest::RequestBuilder) -> Answer {
    let response = request.send().await.expect("the server answers");
    let status = response.status().as_u16();
    let content_type = response.headers().get("content-type").and_then(|value| value.to_str().ok());
    let content_type = content_type.unwrap_or_default().to_owned();
    Answer { status, content_type, body: response.text().await.expect("the body is text") }
}
