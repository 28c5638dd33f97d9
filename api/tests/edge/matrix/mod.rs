//! Who may do what: runs every query, mutation and subscription, with every id that it takes, as every kind
//! of viewer.
//!
//! The table is generated from the schema and committed as a snapshot, so that the permissions of a new field
//! are reviewed. A cell summarizes the answer (the first one of a subscription). A `=` follows when an
//! existing id and an unknown one got the same answer, in text and status. For strangers this is required
//! except where [`PUBLIC`] says otherwise.

mod schema;
mod world;

use std::{future::poll_fn, pin::pin};

use actix_web::{
    Error,
    body::MessageBody,
    dev::{Service, ServiceResponse},
    test::{TestRequest, call_service, read_body},
};
use serde_json::Value;
use testkit::{Kit, TestDb};

pub(crate) use self::schema::{Chosen, Schema};
use self::world::{VIEWERS, World};
use crate::edge::shop::{api, serve};

/// Returns the kinds of objects that an argument's ids may name, by the field and the last step of the
/// argument's path.
fn things(field: &str, path: &[String]) -> &'static [&'static str] {
    match path.last().map_or("", String::as_str) {
        "creatorId" => &["creator"],
        "productId" => &["product"],
        "variantId" => &["variant"],
        "dropId" if matches!(field, "stockChanged" | "dropStock") => {
            &["open drop", "draft", "withdrawn drop"]
        }
        "dropId" => &["draft"],
        "pickupPlaceId" => &["pickup place"],
        "pickupPlaceIds" => &["pickup place", "hidden pickup place"],
        "itemId" if field.starts_with("checkout") => &["item"],
        "checkoutId" => &["checkout"],
        "reservationId" => &["reservation"],
        "acceptedLegalTextIds" => &["legal text"],
        "id" | "ids" => match field {
            "node" | "nodes" => &[
                "account",
                "creator",
                "pickup place",
                "hidden pickup place",
                "product",
                "variant",
                "open drop",
                "draft",
                "withdrawn drop",
                "item",
                "item of a draft",
                "checkout",
                "reservation",
                "legal text",
                "dead letter",
                "import",
                "token",
                "session",
            ],
            "creatorUpdate" | "creatorShippingTariffsSet" => &["creator"],
            "pickupPlaceUpdate" | "pickupPlaceArchive" => &["pickup place", "hidden pickup place"],
            "productImport" => &["import"],
            "productUpdate" | "productArchive" | "productUnarchive" => &["product"],
            "variantUpdate" | "variantArchive" | "variantUnarchive" => &["variant"],
            "dropItemUpdate" | "dropItemRemove" => &["item of a draft"],
            "dropUpdate" | "dropPublish" | "dropWithdraw" | "dropCancel" => &["draft", "open drop"],
            "apiTokenRevoke" => &["token"],
            "sessionRevoke" => &["session"],
            "task" | "taskRequeue" | "taskDiscard" => &["dead letter"],
            // Watchable objects are never deleted. An object that is no longer public comes closest to a
            // deleted one.
            "dropChanged" => &["open drop", "draft", "withdrawn drop"],
            "reservationChanged" => &["reservation"],
            "checkout" | "checkoutChanged" => &["checkout"],
            _ => panic!("add the kinds of objects that the ids of {field} name"),
        },
        other => panic!("add the kinds of objects that {other} of {field} names"),
    }
}

/// The objects that everybody may see or name: field, path of the argument, and kinds of objects.
const PUBLIC: &[(&str, &str, &[&str])] = &[
    ("node", "id", &["creator", "pickup place", "product", "variant", "open drop", "item", "legal text"]),
    ("nodes", "ids", &["creator", "pickup place", "product", "variant", "open drop", "item", "legal text"]),
    ("products", "filter.creatorId", &["creator"]),
    ("drops", "filter.creatorId", &["creator"]),
    ("checkoutQuote", "input.lines.itemId", &["item"]),
    ("checkoutReserve", "input.lines.itemId", &["item"]),
    ("checkoutReserve", "input.acceptedLegalTextIds", &["legal text"]),
    ("dropChanged", "id", &["open drop"]),
    ("stockChanged", "dropId", &["open drop"]),
    ("dropStock", "dropId", &["open drop"]),
];

/// The viewers without rights to any of the objects. Administrators are not listed here, but they do not own
/// the objects of members and buyers either.
const STRANGERS: [&str; 4] = ["public", "other buyer", "other member", "token without the scope"];

/// Returns an id of the same kind that names nothing.
fn unknown(id: &str) -> String {
    let (prefix, _) = id.split_once('_').unwrap();
    format!("{prefix}_01h455vb4pex5vsknk084sn02q")
}

/// A server over a copy of the world, which mutations may change.
struct Server<S> {
    /// Keeps the database alive.
    _kit: Kit,
    service: S,
}

async fn copy(
    original: &TestDb,
) -> Server<impl Service<actix_http::Request, Response = ServiceResponse<impl MessageBody>, Error = Error>> {
    let kit = Kit::on(TestDb::sqlite_copy(original)).await;
    // The ids of the world were created at an earlier time.
    kit.clock.advance(chrono::TimeDelta::seconds(60));
    let service = serve!(api(&kit));
    Server { _kit: kit, service }
}

/// Sends a request and returns a summary of the answer, and the whole answer with the requested id masked.
async fn asked<S, B>(
    copy: &Server<S>,
    kind: &str,
    token: Option<&String>,
    body: &Value,
    id: &str,
) -> (String, String)
where
    S: Service<actix_http::Request, Response = ServiceResponse<B>, Error = Error>,
    B: MessageBody,
{
    let mut request = TestRequest::post().uri("/graphql").set_json(body);
    if kind == "subscription" {
        request = request.insert_header(("accept", "text/event-stream"));
    }
    if let Some(token) = token {
        request = request.insert_header(("authorization", format!("Bearer {token}")));
    }
    let response = call_service(&copy.service, request.to_request()).await;
    let status = response.status();
    let text = match kind {
        "subscription" => first_event(response.into_body()).await,
        _ => String::from_utf8(read_body(response).await.to_vec()).unwrap(),
    };
    let mut answer: Value = serde_json::from_str(&text).unwrap();
    // The remaining budget differs from answer to answer.
    answer.as_object_mut().unwrap().remove("extensions");
    let text = answer.to_string();
    let in_full = format!("{status} {}", if id.is_empty() { text } else { text.replace(id, "ID") });
    (word(&answer), in_full)
}

/// Returns the first event of a stream. The subscription is then dropped.
async fn first_event(stream: impl MessageBody) -> String {
    let (mut stream, mut text) = (pin!(stream), String::new());
    loop {
        if let Some((_, told)) = text.split_once("event: next\ndata: ")
            && let Some((first, _)) = told.split_once("\n\n")
        {
            return first.to_owned();
        }
        let bytes = poll_fn(|context| stream.as_mut().poll_next(context))
            .await
            .map(|bytes| bytes.map_err(Into::into));
        let bytes = bytes.unwrap_or_else(|| panic!("a stream without an event: {text}"));
        text.push_str(
            std::str::from_utf8(&bytes.unwrap_or_else(|why: Box<dyn std::error::Error>| panic!("{why}")))
                .unwrap(),
        );
    }
}

fn word(answer: &Value) -> String {
    if let Some(code) = answer["errors"][0]["extensions"]["code"].as_str() {
        return code.to_owned();
    }
    let Some((_, value)) = answer["data"].as_object().and_then(|fields| fields.iter().next()) else {
        panic!("{answer}")
    };
    match value {
        Value::Null => "null".to_owned(),
        Value::Array(items) if items.iter().all(Value::is_null) => "null".to_owned(),
        Value::Object(fields)
            if fields.get("errors").is_some_and(|errors| errors != &serde_json::json!([])) =>
        {
            let error = &value["errors"][0];
            let path: Vec<_> =
                error["path"].as_array().unwrap().iter().map(|step| step.as_str().unwrap()).collect();
            format!("{}@{}", error["code"].as_str().unwrap(), path.join("."))
        }
        Value::Object(fields) => {
            fields.get("totalCount").map_or_else(|| "yes".to_owned(), |count| format!("{count} rows"))
        }
        _ => "yes".to_owned(),
    }
}

/// Creates the world in a database that is not open.
async fn original() -> (TestDb, World) {
    let template = TestDb::sqlite().await;
    let kit = Kit::on(TestDb::sqlite_copy(&template)).await;
    let world = World::make(&kit).await;
    for connection in [kit.db.schema_connection(), kit.db.reader()] {
        connection.clone().close().await.unwrap();
    }
    (kit.store, world)
}

/// The root types whose fields are the rows of the table, with their kinds of operations.
const ROOTS: [(&str, &str); 3] =
    [("Query", "query"), ("Mutation", "mutation"), ("Subscription", "subscription")];

/// Returns the row of a field, or of one id that it takes, and the viewers for whom the answers to an
/// existing and an unknown id differ.
async fn row(
    original: &TestDb,
    world: &World,
    schema: &Schema,
    kind: &str,
    field: &str,
    id: Option<(&[String], &str)>,
) -> Row {
    let root = ROOTS.iter().find(|(_, known)| *known == kind).unwrap().0;
    let definition = schema.fields(root).into_iter().find(|known| known.name.node == field).unwrap();
    let ids = |path: &[String]| world.ids[things(field, path)[0]].clone();
    let (mut cells, mut told) = (Vec::new(), Vec::new());
    let mut server = copy(original).await;
    for viewer in VIEWERS {
        let token = world.tokens.get(viewer);
        let mut answers = Vec::new();
        let known = id.map(|(_, thing)| world.ids[thing].clone());
        let nothing = known.as_deref().map(unknown);
        for asked_for in std::iter::once(known).chain(nothing.map(Some)) {
            let chosen = id.zip(asked_for.as_deref()).map(|((path, _), id)| Chosen { path, id });
            let body = schema.ask(kind, definition, chosen, &ids);
            let answer = asked(&server, kind, token, &body, asked_for.as_deref().unwrap_or_default()).await;
            if kind == "mutation" && answer.0 == "yes" {
                server = copy(original).await;
            }
            answers.push(answer);
        }
        let alike = answers.get(1).is_some_and(|nothing| nothing.1 == answers[0].1);
        if id.is_some() && !alike {
            told.push(viewer);
        }
        cells.push(format!("{}{}", answers[0].0, if alike { " =" } else { "" }));
    }
    let name = match id {
        Some((path, thing)) => format!("{kind} {field}({}: {thing})", path.join(".")),
        None => format!("{kind} {field}"),
    };
    Row { name, cells, told }
}

struct Row {
    name: String,
    cells: Vec<String>,
    told: Vec<&'static str>,
}

#[test]
fn everybody_may_do_exactly_what_the_committed_table_says() {
    testkit::run(Kit::sqlite(), async |_| {
        let (original, world) = original().await;
        let schema = Schema::read();
        let mut rows = Vec::new();
        for (root, kind) in ROOTS {
            for field in schema.fields(root) {
                let name = field.name.node.as_str();
                let paths = schema.id_paths(field);
                if paths.is_empty() {
                    rows.push(row(&original, &world, &schema, kind, name, None).await);
                }
                for path in paths {
                    for thing in things(name, &path) {
                        let row =
                            row(&original, &world, &schema, kind, name, Some((path.as_slice(), *thing)))
                                .await;
                        let way = path.join(".");
                        let public = PUBLIC
                            .iter()
                            .any(|(field, path, of)| (*field, *path) == (name, &*way) && of.contains(thing));
                        for stranger in STRANGERS.into_iter().filter(|_| !public) {
                            assert!(
                                !row.told.contains(&stranger),
                                "{}: {stranger} is told that it exists",
                                row.name
                            );
                        }
                        rows.push(row);
                    }
                }
            }
        }
        insta::assert_snapshot!("authorisation", table(&rows));
    });
}

fn table(rows: &[Row]) -> String {
    let mut widths = vec![rows.iter().map(|row| row.name.len()).max().unwrap_or(0)];
    for (at, viewer) in VIEWERS.iter().enumerate() {
        widths.push(rows.iter().map(|row| row.cells[at].len()).max().unwrap_or(0).max(viewer.len()));
    }
    let line = |cells: Vec<&str>| {
        let padded: Vec<_> =
            cells.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        format!("{}\n", padded.join(" | ").trim_end())
    };
    let mut text = line(std::iter::once("").chain(VIEWERS).collect());
    for row in rows {
        text.push_str(&line(
            std::iter::once(row.name.as_str()).chain(row.cells.iter().map(String::as_str)).collect(),
        ));
    }
    text
}

/// Repeats requests with another viewer's id and with an unknown id: all answers must be alike. Prints the
/// median times. They are meaningful with `SMALLRUN_TEST_TRIES=200` in a release build on an idle machine.
#[test]
fn ids_of_others_are_always_answered_like_unknown_ones() {
    let tries = std::env::var("SMALLRUN_TEST_TRIES").map_or(10, |tries| tries.parse().unwrap());
    testkit::run(Kit::sqlite(), async |_| {
        let (original, world) = original().await;
        let schema = Schema::read();
        let server = copy(&original).await;
        for (kind, root, field, path, thing, viewer) in [
            ("query", "Query", "node", "id", "draft", "public"),
            ("query", "Query", "node", "id", "checkout", "other buyer"),
            ("query", "Query", "checkout", "id", "checkout", "other buyer"),
            ("query", "Query", "reservations", "creatorId", "creator", "other member"),
            ("query", "Query", "productImport", "id", "import", "other member"),
            ("query", "Query", "node", "id", "hidden pickup place", "other member"),
            ("mutation", "Mutation", "productUpdate", "input.id", "product", "other member"),
            ("mutation", "Mutation", "pickupPlaceUpdate", "input.id", "pickup place", "other member"),
            ("mutation", "Mutation", "dropPublish", "input.id", "draft", "other member"),
            ("mutation", "Mutation", "dropItemUpdate", "input.id", "item", "other member"),
            ("mutation", "Mutation", "checkoutPay", "input.checkoutId", "checkout", "other buyer"),
            (
                "mutation",
                "Mutation",
                "reservationCancel",
                "input.reservationId",
                "reservation",
                "other buyer",
            ),
            ("subscription", "Subscription", "dropChanged", "id", "draft", "public"),
            ("subscription", "Subscription", "reservationChanged", "id", "reservation", "other member"),
            ("subscription", "Subscription", "checkoutChanged", "id", "checkout", "other buyer"),
        ] {
            let definition = schema.fields(root).into_iter().find(|known| known.name.node == field).unwrap();
            let path: Vec<String> = path.split('.').map(str::to_owned).collect();
            let ids = |path: &[String]| world.ids[things(field, path)[0]].clone();
            let known = world.ids[thing].clone();
            let asked_for = [known.clone(), unknown(&known)];
            let bodies = asked_for
                .each_ref()
                .map(|id| schema.ask(kind, definition, Some(Chosen { path: &path, id }), &ids));
            let mut took = [Vec::new(), Vec::new()];
            for turn in 0..tries {
                let mut said = [None, None];
                // Alternate which of the two comes first.
                for at in [turn % 2, 1 - turn % 2] {
                    let began = std::time::Instant::now();
                    said[at] = Some(
                        asked(&server, kind, world.tokens.get(viewer), &bodies[at], &asked_for[at]).await,
                    );
                    took[at].push(began.elapsed());
                }
                assert_eq!(said[0], said[1], "{field}({thing}) by {viewer}");
            }
            took.iter_mut().for_each(|times| times.sort());
            let [theirs, nothing] = [0, 1].map(|at| took[at][tries / 2].as_secs_f64() * 1e6);
            println!(
                "{field}({thing}) by {viewer}: {theirs:.0} µs, of nothing {nothing:.0} µs ({:+.1} %)",
                (theirs / nothing - 1.0) * 100.0
            );
        }
    });
}
