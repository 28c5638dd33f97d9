//! Whether a server has anything left to do, from its metrics.

use std::time::{Duration, Instant};

use crate::{
    Outcome, Trouble,
    client::{self, Connection},
    server::Server,
};

/// How often it is asked how far it is.
const POLL_EVERY: Duration = Duration::from_millis(100);
/// When nothing has been done for so long, and nothing waits, all is done: longer than the time between two
/// readings of the gauges.
const STILL_FOR: Duration = Duration::from_secs(6);
/// It is given up after this time.
const PATIENCE: Duration = Duration::from_secs(600);

/// What the metrics say.
#[derive(Debug, Clone, Copy, Default)]
pub struct Reading {
    /// Timers that have fired.
    pub fired: f64,
    /// Attempts at tasks that have ended.
    pub done: f64,
    /// Tasks, timers and facts that wait, as they were some seconds ago.
    pub waiting: f64,
}

impl Reading {
    fn of(metrics: &str) -> Self {
        let mut reading = Self::default();
        for line in metrics.lines().filter(|line| !line.starts_with('#')) {
            let Some((name, value)) = line.rsplit_once(' ') else { continue };
            let value: f64 = value.parse().unwrap_or(0.0);
            match name.split('{').next().unwrap_or(name) {
                "smallrun_timers_fired_total" => reading.fired += value,
                "smallrun_tasks_total" => reading.done += value,
                "smallrun_queue_depth" | "smallrun_timers_due" | "smallrun_facts_unstamped" => {
                    reading.waiting += value
                }
                _ => {}
            }
        }
        reading
    }
}

/// Reads the metrics of a server.
pub struct Meter {
    connection: Connection,
    request: Vec<u8>,
}

impl Meter {
    /// Connects.
    pub async fn open(server: &Server) -> Outcome<Self> {
        let address = server.address();
        Ok(Self { connection: Connection::open(address).await?, request: client::get(address, "/metrics") })
    }

    /// What they say now.
    pub async fn read(&mut self) -> Outcome<Reading> {
        let answer = self.connection.exchange(&self.request).await?;
        Ok(Reading::of(&String::from_utf8_lossy(answer.body)))
    }

    /// Waits until nothing is left to do, and answers when the last task was done.
    pub async fn until_still(&mut self, reached: impl Fn(&Reading) -> bool) -> Outcome<Instant> {
        let began = Instant::now();
        let (mut last, mut done) = (began, -1.0);
        loop {
            let now = self.read().await?;
            if now.done > done {
                (last, done) = (Instant::now(), now.done);
            } else if reached(&now) && now.waiting == 0.0 && last.elapsed() > STILL_FOR {
                return Ok(last);
            }
            if began.elapsed() > PATIENCE {
                return Err(Trouble::new(format_args!(
                    "it did not come to rest in {} s",
                    PATIENCE.as_secs()
                )));
            }
            tokio::time::sleep(POLL_EVERY).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_are_summed_over_their_labels() {
        let reading = Reading::of(
            "# HELP smallrun_tasks_total x\nsmallrun_tasks_total{queue=\"mail\",outcome=\"done\"} 3\n\
             smallrun_tasks_total{queue=\"sandbox\"} 4\nsmallrun_timers_fired_total 2\nsmallrun_queue_depth{state=\"ready\"} 5\n",
        );
        assert_eq!((reading.done, reading.fired, reading.waiting), (7.0, 2.0, 5.0));
    }
}
