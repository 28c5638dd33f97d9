//! Detects from a server's metrics when it is idle.

use std::time::{Duration, Instant};

use crate::{
    Outcome, Trouble,
    client::{self, Connection},
    server::Server,
};

/// The interval of reading the metrics.
const POLL_EVERY: Duration = Duration::from_millis(100);
/// A server is idle when nothing waits and nothing was done for this time. It is longer than the time between
/// two measurements of the gauges.
const STILL_FOR: Duration = Duration::from_secs(6);
/// The timeout of waiting for a server to become idle.
const PATIENCE: Duration = Duration::from_secs(600);

/// Values of the metrics.
#[derive(Debug, Clone, Copy, Default)]
pub struct Reading {
    /// The number of timers that have fired.
    pub fired: f64,
    /// The number of attempts at tasks that have ended.
    pub done: f64,
    /// The number of waiting tasks, timers and facts, as of some seconds ago.
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
    /// Connects to a server.
    pub async fn open(server: &Server) -> Outcome<Self> {
        let address = server.address();
        Ok(Self { connection: Connection::open(address).await?, request: client::get(address, "/metrics") })
    }

    /// Reads the current values.
    pub async fn read(&mut self) -> Outcome<Reading> {
        let answer = self.connection.exchange(&self.request).await?;
        Ok(Reading::of(&String::from_utf8_lossy(answer.body)))
    }

    /// Waits until `reached` holds and the server is idle. Returns the time at which the last task was done.
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
                    "the server did not become idle in {} s",
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
             smallrun_tasks_total{queue=\"sandbox\"} 4\nsmallrun_timers_fired_total 2\n\
             smallrun_queue_depth{state=\"ready\"} 5\n",
        );
        assert_eq!((reading.done, reading.fired, reading.waiting), (7.0, 2.0, 5.0));
    }
}
