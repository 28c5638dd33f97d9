//! Virtual hosts of a RabbitMQ broker, one per test. Nothing is shared between virtual hosts, so each test
//! has a broker to itself.

use std::path::PathBuf;

use reqwest::{Client, Method};
use serde_json::{Value, json};

/// The environment variable with the broker's URL: `amqp://USER:PASSWORD@HOST:PORT`, without a virtual host.
pub const RABBITMQ_VARIABLE: &str = "SMALLRUN_TEST_RABBITMQ_URL";
/// The environment variable with the URL of the broker's management API. Its user must be allowed to create
/// virtual hosts.
pub const MANAGEMENT_VARIABLE: &str = "SMALLRUN_TEST_RABBITMQ_MANAGEMENT_URL";
/// The environment variable with the broker's TLS URL: `amqps://USER:PASSWORD@HOST:PORT`.
pub const RABBITMQ_TLS_VARIABLE: &str = "SMALLRUN_TEST_RABBITMQ_TLS_URL";
/// The environment variable with the path of the CA certificate (PEM) that signed the broker's certificate.
pub const RABBITMQ_CA_VARIABLE: &str = "SMALLRUN_TEST_RABBITMQ_CA_FILE";

/// The permissions of a deployment's user, as docs/operate/production.md gives them. Every test on a broker
/// shows that they suffice.
const MAY: [(&str, &str); 3] = [
    ("configure", r"^(smallrun\..*|amq\.gen.*)$"),
    ("write", r"^(smallrun\..*|amq\.gen.*|amq\.default)$"),
    ("read", r"^(smallrun\..*|amq\.gen.*)$"),
];
const PASSWORD: &str = "hunter-two";

/// A virtual host with a user of its own. Both are deleted on drop.
#[derive(Debug)]
pub struct TestBroker {
    url: String,
    management: String,
    vhost: String,
}

impl TestBroker {
    /// Creates a virtual host on the broker of [`RABBITMQ_VARIABLE`].
    pub async fn new() -> Self {
        let (Ok(server), Ok(management)) =
            (std::env::var(RABBITMQ_VARIABLE), std::env::var(MANAGEMENT_VARIABLE))
        else {
            panic!(
                "no RabbitMQ to test on: run scripts/test, or set {RABBITMQ_VARIABLE} and \
                 {MANAGEMENT_VARIABLE}"
            );
        };
        let vhost = crate::store::unique("smallrun_test");
        let host = server.rsplit_once('@').map_or(server.as_str(), |(_, host)| host);
        let broker = Self {
            url: format!("amqp://{vhost}:{PASSWORD}@{host}/{vhost}"),
            management,
            vhost: vhost.clone(),
        };
        let may: Value = MAY
            .iter()
            .map(|(what, names)| ((*what).to_owned(), Value::from(*names)))
            .collect::<serde_json::Map<_, _>>()
            .into();
        for (path, body) in [
            (format!("/api/vhosts/{vhost}"), json!({})),
            (format!("/api/users/{vhost}"), json!({ "password": PASSWORD, "tags": "" })),
            (format!("/api/permissions/{vhost}/{vhost}"), may),
        ] {
            broker.call(Method::PUT, &path, Some(&body)).await;
        }
        broker
    }

    /// Returns the URL of the virtual host.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Returns the TLS URL of the virtual host, and the CA certificate to trust.
    pub fn encrypted(&self) -> (String, PathBuf) {
        let (Ok(server), Ok(authority)) =
            (std::env::var(RABBITMQ_TLS_VARIABLE), std::env::var(RABBITMQ_CA_VARIABLE))
        else {
            panic!(
                "no RabbitMQ with TLS to test on: run scripts/test, or set {RABBITMQ_TLS_VARIABLE} and \
                 {RABBITMQ_CA_VARIABLE}"
            );
        };
        let host = server.rsplit_once('@').map_or(server.as_str(), |(_, host)| host);
        let vhost = &self.vhost;
        (format!("amqps://{vhost}:{PASSWORD}@{host}/{vhost}"), PathBuf::from(authority))
    }

    /// Closes all connections to the virtual host from the broker's side, as a restart of the broker does.
    /// Returns their number.
    pub async fn cut_connections(&self) -> usize {
        let list = self.call(Method::GET, &format!("/api/vhosts/{}/connections", self.vhost), None).await;
        let connections: Vec<Value> = serde_json::from_str(&list).expect("a list of connections");
        let names = connections.iter().filter_map(|connection| connection.get("name")?.as_str());
        let names: Vec<String> = names.map(|name| name.replace(' ', "%20").replace('>', "%3E")).collect();
        for name in &names {
            // The connection may have ended meanwhile.
            let _gone =
                send(&self.management, Method::DELETE, &format!("/api/connections/{name}"), None).await;
        }
        names.len()
    }

    async fn call(&self, method: Method, path: &str, body: Option<&Value>) -> String {
        let answer = send(&self.management, method, path, body).await;
        answer.unwrap_or_else(|error| panic!("the broker's management API failed: {error}"))
    }
}

async fn send(management: &str, method: Method, path: &str, body: Option<&Value>) -> reqwest::Result<String> {
    let request = Client::new().request(method, format!("{}{path}", management.trim_end_matches('/')));
    let body = body.map(Value::to_string).unwrap_or_default();
    let answer = request
        .header("content-type", "application/json")
        .header("content-length", body.len())
        .body(body)
        .send()
        .await?;
    answer.error_for_status()?.text().await
}

impl Drop for TestBroker {
    fn drop(&mut self) {
        // `drop` cannot await a future, and the runtime of the test may be shutting down. A thread with a
        // runtime of its own does the work.
        let management = self.management.clone();
        let paths = [format!("/api/vhosts/{}", self.vhost), format!("/api/users/{}", self.vhost)];
        let removed = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            for path in &paths {
                drop(runtime.block_on(send(&management, Method::DELETE, path, None)));
            }
            std::io::Result::Ok(())
        });
        drop(removed.join());
    }
}
