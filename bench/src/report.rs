//! The results: a table for people, and JSON for scripts.

use std::{fmt::Write as _, time::Duration};

use bench::{
    Outcome,
    load::{Plan, Summary},
};
use serde_json::{Value, json};

use crate::options::Subject;

/// All measurements of a run.
pub(crate) struct Report {
    pub(crate) database: &'static str,
    pub(crate) plan: Plan,
    pub(crate) rows: Vec<Row>,
}

/// One measurement.
pub(crate) struct Row {
    pub(crate) subject: Subject,
    /// The product, its floor, and the size of a response in bytes if all responses are alike.
    pub(crate) measured: Outcome<(Summary, Summary, Option<usize>)>,
    /// A sentence about further results.
    pub(crate) note: Option<String>,
}

impl Report {
    /// Renders the results as a table.
    pub(crate) fn table(&self) -> String {
        let mut text = format!(
            "\n{}, {} connections, {} s each after {} s of warm-up\n\n{:<20}{:>11}{:>10}{:>10}{:>14}{:>9}\n",
            self.database,
            self.plan.connections,
            self.plan.time.as_secs_f64(),
            self.plan.warm_up.as_secs_f64(),
            "",
            "requests/s",
            "p50 ms",
            "p99 ms",
            "floor req/s",
            "ratio"
        );
        for Row { subject, measured, .. } in &self.rows {
            let title = subject.title();
            let _fits = match measured {
                Ok((product, floor, _)) => writeln!(
                    text,
                    "{title:<20}{:>11.0}{:>10.2}{:>10.2}{:>14.0}{:>9.3}",
                    product.per_second,
                    millis(product.median),
                    millis(product.p99),
                    floor.per_second,
                    product.per_second / floor.per_second
                ),
                Err(trouble) => writeln!(text, "{title:<20} failed: {trouble}"),
            };
        }
        text.push_str("\nFloors:\n");
        for Row { subject, measured, .. } in &self.rows {
            let size = match measured {
                Ok((_, _, Some(bytes))) => format!(" ({bytes} bytes)"),
                _ => String::new(),
            };
            let _fits = writeln!(text, "- {}: {}{size}", subject.title(), subject.floor_title());
        }
        for note in self.rows.iter().filter_map(|row| row.note.as_ref()) {
            let _fits = writeln!(text, "{note}.");
        }
        text.push_str("The load generator runs on the same processors, for the floors too.\n");
        text
    }

    /// Renders the results as JSON: rates per second, times in milliseconds.
    pub(crate) fn json(&self) -> String {
        let rows: Vec<Value> = self.rows.iter().map(row).collect();
        let report = json!({
            "database": self.database,
            "connections": self.plan.connections,
            "seconds": self.plan.time.as_secs(),
            "processors": std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
            "measurements": rows,
        });
        format!("{report:#}\n")
    }
}

fn row(row: &Row) -> Value {
    let name = row.subject.name();
    match &row.measured {
        Ok((product, floor, bytes)) => json!({
            "name": name,
            "product": summary(product),
            "floor": summary(floor),
            "ratio": product.per_second / floor.per_second,
            "answerBytes": bytes,
            "note": row.note,
        }),
        Err(trouble) => json!({ "name": name, "error": trouble.to_string() }),
    }
}

fn summary(summary: &Summary) -> Value {
    json!({
        "requestsPerSecond": summary.per_second,
        "p50Ms": millis(summary.median),
        "p99Ms": millis(summary.p99),
    })
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1_000.0
}
