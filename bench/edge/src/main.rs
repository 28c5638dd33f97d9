//! Measures the cost of a request before it is executed: reading a document, computing its complexity, and
//! validating it, for the examples of the playground. The floor is the library's parser with the same
//! documents in the same run.
//!
//! Run it with `cargo run --profile dist -p bench-edge`. It uses one thread and no other part of the server.
//! Times are medians.

#![expect(clippy::expect_used, reason = "a failed measurement ends the program")]

use std::{
    hint::black_box,
    process::ExitCode,
    time::{Duration, Instant},
};

use api::{
    graphql::work::profile,
    http::playground::{ExampleRole, examples},
};
use async_graphql::{
    Name, Pos, Positioned, Request, Variables,
    parser::{
        parse_query,
        types::{Directive, DocumentOperations, ExecutableDocument, OperationDefinition},
    },
};
use async_graphql_value::Value;
use edge::guard::{Document, Guard, Limits};
use futures_util::FutureExt as _;

/// The goal for guard and validation together, for an ordinary operation of a storefront.
const GOAL: Duration = Duration::from_micros(100);
/// The duration of each measurement.
const TIME: Duration = Duration::from_millis(150);
/// The number of repetitions between two readings of the clock.
const BATCH: u32 = 20;

/// The costs of one document.
struct Row {
    name: String,
    bytes: usize,
    is_storefront: bool,
    /// The library's parser alone.
    floor: Duration,
    /// Size, text, parser and shape: the first time that a document is seen.
    read: Duration,
    /// Complexity, and a copy of the cached document: each time.
    choose: Duration,
    /// The library's validation.
    validate: Duration,
    /// Whether the variables are valid although their placeholders are not filled in.
    fits: bool,
}

impl Row {
    fn first(&self) -> Duration {
        self.read.saturating_add(self.choose).saturating_add(self.validate)
    }

    fn again(&self) -> Duration {
        self.choose.saturating_add(self.validate)
    }
}

fn main() -> ExitCode {
    if cfg!(debug_assertions) {
        eprintln!(
            "error: a debug build gives meaningless results; run `cargo run --profile dist -p bench-edge`."
        );
        return ExitCode::FAILURE;
    }
    let rows = measure();
    print(&rows);
    let within = rows.iter().filter(|row| row.is_storefront).all(|row| row.again() <= GOAL);
    if within { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn measure() -> Vec<Row> {
    let (schema, guard) = (api::schema(true), Guard::new(Limits::default(), profile()));
    let rows = examples().into_iter().map(|example| {
        let text = example.query.as_str();
        let variables = variables(example.variables.as_deref());
        let size = variables.as_object().cloned().unwrap_or_default();
        let variables = Variables::from_json(variables);
        let document = guard.read(text).expect("an example is admitted");
        let skipped = skipped(&document);
        let mut fits = true;
        Row {
            name: example.name.clone(),
            bytes: text.len(),
            is_storefront: example.role == ExampleRole::Storefront,
            floor: median(|| drop(black_box(parse_query(black_box(text))))),
            read: median(|| {
                guard.check_size(black_box(text), &size).expect("an example is admitted");
                drop(black_box(guard.read(black_box(text))));
            }),
            choose: median(|| {
                drop(black_box(guard.choose(&document, None, &variables)));
                drop(black_box(document.parsed().clone()));
            }),
            validate: median(|| {
                let mut request = Request::new("").variables(variables.clone());
                request.set_parsed_query(skipped.clone());
                let response = schema.execute(request).now_or_never();
                fits = black_box(response.expect("nothing is awaited if nothing is resolved")).is_ok();
            }),
            fits,
        }
    });
    rows.collect()
}

/// Parses the variables, including their placeholders.
fn variables(text: Option<&str>) -> serde_json::Value {
    text.map_or_else(|| serde_json::json!({}), |text| serde_json::from_str(text).expect("variables are JSON"))
}

/// Returns the same document with every field skipped: it is validated as a whole, and nothing is resolved.
fn skipped(document: &Document) -> ExecutableDocument {
    let mut document = document.parsed().clone();
    let skip = || {
        let argument = (at(Name::new("if")), at(Value::Boolean(true)));
        at(Directive { name: at(Name::new("skip")), arguments: vec![argument] })
    };
    let operations: Vec<&mut Positioned<OperationDefinition>> = match &mut document.operations {
        DocumentOperations::Single(operation) => vec![operation],
        DocumentOperations::Multiple(operations) => operations.values_mut().collect(),
    };
    for operation in operations {
        operation
            .node
            .selection_set
            .node
            .items
            .iter_mut()
            .for_each(|item| item.node.directives_mut().push(skip()));
    }
    document
}

fn at<T>(node: T) -> Positioned<T> {
    Positioned::new(node, Pos::default())
}

/// Returns the median of many batches.
fn median(mut work: impl FnMut()) -> Duration {
    let (mut batches, began) = (Vec::new(), Instant::now());
    while began.elapsed() < TIME {
        let batch = Instant::now();
        (0..BATCH).for_each(|_| work());
        batches.push(batch.elapsed() / BATCH);
    }
    batches.sort_unstable();
    batches.get(batches.len() / 2).copied().unwrap_or_default()
}

fn print(rows: &[Row]) {
    println!("Microseconds per request, before it is executed; one thread\n");
    println!(
        "{:<32} {:>6} {:>8} {:>8} {:>8} {:>9} {:>11} {:>11} {:>7}",
        "example", "bytes", "floor", "read", "choose", "validate", "first time", "cached", "ratio"
    );
    for row in rows {
        let micros = |time: Duration| time.as_secs_f64() * 1e6;
        println!(
            "{:<32} {:>6} {:>8.1} {:>8.1} {:>8.1} {:>9.1} {:>11.1} {:>11.1} {:>7.2}{}",
            if row.fits { row.name.clone() } else { format!("{} *", row.name) },
            row.bytes,
            micros(row.floor),
            micros(row.read),
            micros(row.choose),
            micros(row.validate),
            micros(row.first()),
            micros(row.again()),
            row.again().as_secs_f64() / row.floor.as_secs_f64(),
            if row.is_storefront && row.again() > GOAL { "  over the goal" } else { "" }
        );
    }
    println!(
        "\nfloor: the library's parser alone. read: size, text, parser and shape, the first time that a \
         document is seen.\nchoose: complexity, and a copy of the cached document. \
         Goal: choose and validate under {GOAL:?}\nfor each example of the storefront."
    );
}
