//! One fault point with one action. Each case has its own server, a buyer who retries, and an operator who
//! restarts the server when it has ended.

use std::time::{Duration, Instant};

use domain::platform::faults::Point;
use sea_orm::{Database, DatabaseConnection};
use serde_json::{Value, json};

use crate::faults::{
    base::Base,
    books,
    harness::{Ended, SOON, Server},
    market::mutation,
    story,
};

/// How often a condition is checked. A debug build needs some milliseconds for each response.
pub(crate) const POLL_EVERY: Duration = Duration::from_millis(40);

/// Runs the story that reaches the fault point.
pub(crate) async fn run(base: &Base, point: Point, action: &'static str) {
    let server = base.start(&format!("{}={action}", point.name())).await;
    let database = Database::connect(server.database_url()).await.unwrap();
    let mut cell = Cell { base, point, action, server: Some(server), database, log: String::new() };
    story::of(point).tell(&mut cell).await;
    books::check_at_last(&cell.database).await;
    cell.keep_log();
    let happened = format!("\"{}\"", point.name());
    assert!(
        cell.log.contains("a fault happens") && cell.log.contains(&happened),
        "{point:?} was not reached: {}",
        cell.log
    );
    cell.database.clone().close().await.unwrap();
}

pub(crate) struct Cell<'a> {
    pub(crate) base: &'a Base,
    point: Point,
    action: &'static str,
    server: Option<Server>,
    pub(crate) database: DatabaseConnection,
    log: String,
}

impl Drop for Cell<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.keep_log();
            eprintln!("{}={}, the log:\n{}", self.point.name(), self.action, self.log);
        }
    }
}

impl Cell<'_> {
    pub(crate) fn server(&self) -> &Server {
        self.server.as_ref().unwrap()
    }

    fn keep_log(&mut self) {
        if let Some(server) = &self.server {
            self.log = server.log();
        }
    }

    /// Sends a mutation of the buyer, retries it with the same key until it is answered, and returns its
    /// payload.
    pub(crate) async fn done(&mut self, name: &str, fields: &str, input: Value) -> Value {
        let payload = self.ask(&mutation(name, fields), json!({ "input": input })).await[name].clone();
        assert_eq!(payload["errors"], json!([]), "{name}: {payload:#}");
        payload
    }

    /// Sends an operation of the buyer, retries it until it is answered, and returns its data.
    pub(crate) async fn ask(&mut self, query: &str, variables: Value) -> Value {
        let patience = Instant::now();
        loop {
            let token = self.base.buyer().0.to_owned();
            let request =
                self.server().client().post(self.server().at("/graphql")).bearer_auth(token).timeout(SOON);
            let request = request.json(&json!({ "query": query, "variables": variables }));
            match request.header("accept", "application/graphql-response+json").send().await {
                Ok(answer) => {
                    let body: Value = match answer.json().await {
                        Ok(body) => body,
                        Err(_) => continue,
                    };
                    if body.get("errors").is_none() {
                        return body["data"].clone();
                    }
                    assert_eq!(body["errors"][0]["extensions"]["code"], "INTERNAL", "{body:#}");
                    books::check(&self.database).await;
                }
                Err(error) if error.is_connect() => self.start_again().await,
                // The server ended during the response.
                Err(_) => {}
            }
            assert!(patience.elapsed() < SOON, "no answer to {query}");
            tokio::time::sleep(POLL_EVERY).await;
        }
    }

    /// Starts the server again if it has ended.
    pub(crate) async fn keep_alive(&mut self) {
        let answer = self.server().client().get(self.server().at("/livez")).timeout(SOON).send().await;
        if answer.is_err_and(|error| error.is_connect()) {
            self.start_again().await;
        }
    }

    /// Checks the invariants after the server has ended, and starts it again without the fault.
    async fn start_again(&mut self) {
        assert_eq!(self.action, "abort", "the server ended although the action is not `abort`");
        books::check(&self.database).await;
        let server = self.server.take().unwrap();
        let again = server.same_again().without("SMALLRUN_FAULT");
        server.kill();
        self.server = Some(Server::start(again).await);
    }

    /// Repeats an operation until its data satisfy the condition.
    pub(crate) async fn until(&mut self, query: &str, variables: Value, good: impl Fn(&Value) -> bool) {
        let patience = Instant::now();
        loop {
            let data = self.ask(query, variables.clone()).await;
            if good(&data) {
                return;
            }
            self.help_on().await;
            assert!(patience.elapsed() < SOON, "the condition was not met: {data:#}");
            tokio::time::sleep(POLL_EVERY).await;
        }
    }

    /// Sets the clock forward if the response to a claim was lost. The worker does not know that it holds the
    /// task, so the task waits until the lease expires.
    async fn help_on(&mut self) {
        let lost = self.point == Point::ConsumeClaimed
            && self.action == "error"
            && !self.log.contains("a fault happens");
        if lost {
            self.keep_log();
            if self.log.contains("a fault happens") {
                self.travel("61s");
            }
        }
    }

    /// Waits for a letter with this subject, and restarts the server if it ends.
    pub(crate) async fn letter(&mut self, subject: &str) {
        let patience = Instant::now();
        while self.letters(subject) == 0 {
            self.keep_alive().await;
            self.help_on().await;
            assert!(patience.elapsed() < SOON, "no letter: {subject}");
            tokio::time::sleep(POLL_EVERY).await;
        }
    }

    /// Waits until no work is left, and restarts the server if it ends.
    pub(crate) async fn peace(&mut self) {
        let patience = Instant::now();
        while !books::is_still(&self.database).await {
            self.keep_alive().await;
            self.help_on().await;
            assert!(patience.elapsed() < SOON, "work is left");
            tokio::time::sleep(POLL_EVERY).await;
        }
    }

    /// Returns how many letters with this subject the buyer has received.
    pub(crate) fn letters(&self, subject: &str) -> usize {
        let Ok(folder) = std::fs::read_dir(self.server().folder().join("mail")) else { return 0 };
        let letters = folder
            .map(|file| file.unwrap().path())
            .filter(|path| path.extension().is_some_and(|ext| ext == "eml"));
        let texts = letters.map(|path| std::fs::read_to_string(path).unwrap());
        texts
            .filter(|text| {
                text.contains(&self.base.buyer().1) && text.contains(&format!("Subject: {subject}"))
            })
            .count()
    }

    /// Sets the clock forward.
    pub(crate) fn travel(&self, by: &str) {
        let ended = Ended::of(&mut self.server().command(&["demo", "travel", by]));
        assert_eq!(ended.code, Some(0), "{ended:#?}");
    }
}
