//! Virtual hosts of a RabbitMQ broker, each for one test and as long as it: to what is on it, a broker of its own.

use reqwest::{Client, Method};

/// The variable that names a broker: `amqp://USER:PASSWORD@HOST:PORT`, without a virtual host.
pub const RABBITMQ_VARIABLE: &str = "SMALLRUN_TEST_RABBITMQ_URL";
/// The variable that names the same broker's management API, as a user who may make virtual hosts.
pub const MANAGEMENT_VARIABLE: &str = "SMALLRUN_TEST_RABBITMQ_MANAGEMENT_URL";

/// A virtual host; it is removed when this is dropped.
#[derive(Debug)]
pub struct TestBroker {
    url: String,
    management: String,
    vhost: String,
}

impl TestBroker {
    /// A new virtual host on the broker of [`RABBITMQ_VARIABLE`].
    pub async fn new() -> Self {
        let (Ok(server), Ok(management)) = (std::env::var(RABBITMQ_VARIABLE), std::env::var(MANAGEMENT_VARIABLE)) else {
            panic!("no RabbitMQ to test on: run scripts/test, or set {RABBITMQ_VARIABLE} and {MANAGEMENT_VARIABLE}");
        };
        let vhost = crate::store::unique("smallrun_test");
        let broker = Self { url: format!("{server}/{vhost}"), management, vhost };
        broker.manage(Method::PUT, "vhosts", "").await;
        broker
    }

    /// Where it is.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Closes all connections to it from the broker's side, as a broker that restarts does; answers how many.
    pub async fn cut_connections(&self) -> usize {
        let list = self.manage(Method::GET, "vhosts", "/connections").await;
        let connections: Vec<serde_json::Value> = serde_json::from_str(&list).expect("a list of connections");
        let names = connections.iter().filter_map(|connection| connection.get("name")?.as_str());
        let names: Vec<String> = names.map(|name| name.replace(' ', "%20").replace('>', "%3E")).collect();
        for name in &names {
            self.call(Method::DELETE, &format!("/api/connections/{name}")).await;
        }
        names.len()
    }

    async fn manage(&self, method: Method, what: &str, rest: &str) -> String {
        self.call(method, &format!("/api/{what}/{}{rest}", self.vhost)).await
    }

    async fn call(&self, method: Method, path: &str) -> String {
        send(&self.management, method, path).await.unwrap_or_else(|error| panic!("the broker's management API failed: {error}"))
    }
}

async fn send(management: &str, method: Method, path: &str) -> reqwest::Result<String> {
    let request = Client::new().request(method, format!("{}{path}", management.trim_end_matches('/')));
    let answer = request.header("content-type", "application/json").header("content-length", "0").send().await?;
    answer.error_for_status()?.text().await
}

impl Drop for TestBroker {
    fn drop(&mut self) {
        // A drop cannot wait for a future, and the runtime of the test may be ending: a thread with its own can.
        let (management, path) = (self.management.clone(), format!("/api/vhosts/{}", self.vhost));
        let removed = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            drop(runtime.block_on(send(&management, Method::DELETE, &path)));
            std::io::Result::Ok(())
        });
        drop(removed.join());
    }
}
