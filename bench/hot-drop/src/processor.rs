//! The use of the processors, from `/proc`: the load generator shares them with the measured servers.

use std::{
    collections::HashMap,
    fs,
    time::{Duration, Instant},
};

use rustix::param::clock_ticks_per_second;
use serde_json::{Value, json};

/// The processor time of all processes by process id.
type Times = HashMap<u32, Duration>;

/// An observed span of time.
pub(crate) struct Watch {
    servers: Vec<u32>,
    began: Instant,
    before: Times,
}

/// Shares of all processors.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shares {
    /// This program.
    pub(crate) generator: f64,
    /// The measured servers.
    pub(crate) servers: f64,
    /// All other processes: the database, the broker, and unrelated ones.
    pub(crate) others: f64,
}

impl Watch {
    /// Starts to observe. `servers` are the process ids of the servers.
    pub(crate) fn begin(servers: Vec<u32>) -> Self {
        Self { servers, before: times(), began: Instant::now() }
    }

    /// Stops observing and returns the shares.
    pub(crate) fn end(self) -> Shares {
        let processors =
            u32::try_from(std::thread::available_parallelism().map_or(1, usize::from)).unwrap_or(1);
        let whole = self.began.elapsed().saturating_mul(processors).as_secs_f64();
        let (mut generator, mut servers, mut others) = (Duration::ZERO, Duration::ZERO, Duration::ZERO);
        for (process, time) in times() {
            let used = time.saturating_sub(self.before.get(&process).copied().unwrap_or_default());
            let whose = match process {
                this if this == std::process::id() => &mut generator,
                server if self.servers.contains(&server) => &mut servers,
                _ => &mut others,
            };
            *whose = whose.saturating_add(used);
        }
        let share = |time: Duration| time.as_secs_f64() / whole;
        Shares { generator: share(generator), servers: share(servers), others: share(others) }
    }
}

impl Shares {
    /// Renders the shares as text.
    pub(crate) fn text(self) -> String {
        let [generator, servers, others] =
            [self.generator, self.servers, self.others].map(|share| share * 100.0);
        format!(
            "processors: load generator {generator:.0} %, smallrun {servers:.0} %, all others {others:.0} %"
        )
    }

    /// Renders the shares as JSON.
    pub(crate) fn json(self) -> Value {
        json!({ "generator": self.generator, "servers": self.servers, "others": self.others })
    }
}

/// Reads the times of all processes. A process that cannot be read has ended.
fn times() -> Times {
    let folders = fs::read_dir("/proc").into_iter().flatten().flatten();
    let processes = folders.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    processes
        .filter_map(|process| {
            Some((process, time_of(&fs::read_to_string(format!("/proc/{process}/stat")).ok()?)?))
        })
        .collect()
}

/// Parses user and system time, fields 14 and 15 of proc_pid_stat(5). The second field is a name in
/// parentheses, which may contain anything.
fn time_of(stat: &str) -> Option<Duration> {
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    let milliseconds =
        user.saturating_add(system).saturating_mul(1_000).checked_div(clock_ticks_per_second())?;
    Some(Duration::from_millis(milliseconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_parentheses_and_blanks_is_one_field() {
        let line = "42 (a) b (c) S 1 42 42 0 -1 4194304 100 0 0 0 250 50 0 0 20 0 1 0 100 1000 10";
        let ticks =
            Duration::from_secs_f64(300.0 / f64::from(u32::try_from(clock_ticks_per_second()).unwrap()));
        assert_eq!(time_of(line), Some(ticks));
    }
}
