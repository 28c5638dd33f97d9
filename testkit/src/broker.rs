//! Virtual hosts of a RabbitMQ broker, each for one test and as long as it: to what is on it, a broker of its
//! own.

use std::path::PathBuf;

use reqwest::{Client, Method};
use serde_json::{Value, json};

/// The variable that names a broker: `amqp://USER:PASSWORD@HOST:PORT`, without a virtual host.
pub const RABBITMQ_VARIABLE: &str = "SMALLRUN_TEST_RABBITMQ_URL";
/// The variable that names the same broker's management API, as a user who may make virtual hosts.
pub const MANAGEMENT_VARIABLE: &str = "SMALLRUN_TEST_RABBITMQ_MANAGEMENT_URL";
/// The variable that names the same broker's encrypted door: `amqps://USER:PASSWORD@HOST:PORT`.
pub const RABBITMQ_TLS_VARIABLE: &str = "SMALLRUN_TEST_RABBITMQ_TLS_URL";
/// The variable that names the file (PEM) of the authority that the broker's certificate is of.
pub const RABBITMQ_CA_VARIABLE: &str = "SMALLRUN_TEST_RABBITMQ_CA_FILE";

/// What the user of a deployment may do, as the README tells operators: every test proves that it is enough.
const MAY: [(&str, &str); 3] = [
    ("configure", r"^(smallrun\..*|amq\.gen.*)$"),
    ("write", r"^(smallrun\..*|amq\.gen.*|amq\.default)$"),
    ("read", r"^(smallrun\..*|amq\.gen.*)$"),
];
const PASSWORD: &str = "hunter-two";

/// A virtual host with a user of its own; both are removed when this is dropped.
#[derive(Debug)]
pub struct TestBroker {
    url: String,
    management: String,
    vhost: String,
}

impl TestBroker {
    /// A new virtual host on the broker of [`RABBITMQ_VARIABLE`].
    pub async fn new() -> Self {
        let (Ok(server), Ok(management)) =
            (std::env::var(RABBITMQ_VARIABLE), std::env::var(MANAGEMENT_VARIABLE))
        else {
            panic!(
                "no RabbitMQ to test on: run scripts/test, or set {RABBITMQ_VARIABLE} and {MANAGEMENT_VARIABLE}"
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

    /// Where it is.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Where its encrypted door is, and the file of the authority to trust there.
    pub fn encrypted(&self) -> (String, PathBuf) {
        let (Ok(server), Ok(authority)) =
            (std::env::var(RABBITMQ_TLS_VARIABLE), std::env::var(RABBITMQ_CA_VARIABLE))
        else {
            panic!(
                "no encrypted RabbitMQ to test on: run scripts/test, or set {RABBITMQ_TLS_VARIABLE} and {RABBITMQ_CA_VARIABLE}"
            );
        };
        let host = server.rsplit_once('@').map_or(server.as_str(), |(_, host)| host);
        let vhost = &self.vhost;
        (format!("amqps://{vhost}:{PASSWORD}@{host}/{vhost}"), PathBuf::from(authority))
    }

    /// Closes all connections to it from the broker's side, as a broker that restarts does; answers how many.
    pub async fn cut_connections(&self) -> usize {
        let list = self.call(Method::GET, &format!("/api/vhosts/{}/connections", self.vhost), None).await;
        let connections: Vec<Value> = serde_json::from_str(&list).expect("a list of connections");
        let names = connections.iter().filter_map(|connection| connection.get("name")?.as_str());
        let names: Vec<String> = names.map(|name| name.replace(' ', "%20").replace('>', "%3E")).collect();
        for name in &names {
            // One that has gone meanwhile is as good as cut.
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
        // A drop cannot wait for a future, and the runtime of the test may be ending: a thread with its own
        // can.
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
