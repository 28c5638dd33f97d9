//! The results: lines for people, and JSON for scripts.

use bench::Outcome;
use serde_json::{Value, json};

use crate::{market::RAISED, options::Scenario};

/// All measurements of a run.
pub(crate) struct Report {
    pub(crate) database: &'static str,
    /// Whether RabbitMQ connects the processes.
    pub(crate) broker: bool,
    pub(crate) sections: Vec<(Scenario, Outcome<Section>)>,
}

/// The results of a scenario.
pub(crate) struct Section {
    pub(crate) title: String,
    pub(crate) lines: Vec<String>,
    pub(crate) goals: Vec<Goal>,
    pub(crate) json: Value,
}

/// A goal and whether it was met.
pub(crate) struct Goal {
    /// A sentence with the measured value.
    pub(crate) text: String,
    pub(crate) met: bool,
    /// Whether the result is wrong if the goal is missed, rather than slow.
    pub(crate) binding: bool,
}

impl Goal {
    /// A goal of speed.
    pub(crate) fn speed(met: bool, text: String) -> Self {
        Self { text, met, binding: false }
    }

    /// A goal of correctness.
    pub(crate) fn right(met: bool, text: String) -> Self {
        Self { text, met, binding: true }
    }
}

impl Report {
    /// Returns whether everything was measured and no result is wrong.
    pub(crate) fn is_good(&self) -> bool {
        let good = |section: &Section| section.goals.iter().all(|goal| goal.met || !goal.binding);
        self.sections.iter().all(|(_, section)| section.as_ref().is_ok_and(good))
    }

    fn place(&self) -> String {
        let bus = if self.broker { ", RabbitMQ" } else { "" };
        format!("{}{bus}", self.database)
    }

    /// Renders the results as text.
    pub(crate) fn table(&self) -> String {
        let mut lines = vec![String::new(), self.place()];
        for (scenario, section) in &self.sections {
            lines.push(String::new());
            match section {
                Ok(Section { title, lines: some, goals, .. }) => {
                    lines.push(format!("{}: {title}", scenario.name()));
                    lines.extend(some.iter().cloned());
                    lines.extend(
                        goals.iter().map(|goal| {
                            format!("  {}: {}", if goal.met { "met" } else { "MISSED" }, goal.text)
                        }),
                    );
                }
                Err(trouble) => lines.push(format!("{}: failed: {trouble}", scenario.name())),
            }
        }
        lines.push(String::new());
        lines.push(
            "The floor is one raw transaction per request: lock the row, update it, insert one, commit."
                .to_owned(),
        );
        lines.push("The load generator runs on the same processors, for the floors too.".to_owned());
        let raised: Vec<String> = RAISED.iter().map(|(name, value)| format!("{name}={value}")).collect();
        lines.push(format!("Raised, because all buyers have one network address: {}.", raised.join(", ")));
        lines.push(String::new());
        lines.join("\n")
    }

    /// Renders the results as JSON: rates per second, times in milliseconds.
    pub(crate) fn json(&self) -> String {
        let sections = self.sections.iter().map(|(scenario, section)| match section {
            Ok(Section { goals, json, .. }) => {
                let goals = goals.iter().map(|goal| json!({ "goal": goal.text, "met": goal.met }));
                json!({ "name": scenario.name(), "goals": goals.collect::<Vec<Value>>(), "measured": json })
            }
            Err(trouble) => json!({ "name": scenario.name(), "error": trouble.to_string() }),
        });
        let report = json!({
            "database": self.database,
            "broker": self.broker,
            "processors": std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
            "raised": RAISED.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>(),
            "scenarios": sections.collect::<Vec<Value>>(),
        });
        format!("{report:#}\n")
    }
}
