//! The import and export of a catalogue as a file, over real connections and across a power cut.

use std::{
    io::{Read, Write},
    net::TcpStream,
    time::Duration,
};

use serde_json::{Value, json};

use crate::shop::{harness::SOON, market::Market};

const PROGRESS: &str = "query($id: ID!) { productImport(id: $id) {
    state rowCount rowsDone rowsRefused productsCreated productsUpdated variantsCreated variantsUpdated } }";
const IMPORT: &str = "mutation($input: ProductImportInput!) { productImport(input: $input) {
    productImport { id } replayed errors { code path message } } }";

/// Returns the body of a GraphQL multipart request, written by hand according to its specification.
fn form(creator: &str, key: &str, file: &str) -> String {
    let input = json!({ "creatorId": creator, "file": null, "idempotencyKey": key });
    let operations = json!({ "query": IMPORT, "variables": { "input": input } });
    let part = |name: &str, content: &str| {
        format!("--b\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{content}\r\n")
    };
    let map = "{\"0\":[\"variables.input.file\"]}";
    let file = format!(
        "--b\r\nContent-Disposition: form-data; name=\"0\"; filename=\"a.csv\"\r\n\
         Content-Type: text/csv\r\n\r\n{file}\r\n"
    );
    format!("{}{}{file}--b--\r\n", part("operations", &operations.to_string()), part("map", map))
}

async fn upload(market: &Market, token: &str, body: String) -> (u16, Value) {
    let request =
        market.client().post(market.at("/graphql")).bearer_auth(token).header("graphql-preflight", "1");
    let answer =
        request.header("content-type", "multipart/form-data; boundary=b").body(body).send().await.unwrap();
    (answer.status().as_u16(), answer.json().await.unwrap())
}

async fn exported(market: &Market, token: &str, creator: &str) -> (u16, String) {
    let url = market.at(&format!("/creators/{creator}/products.csv"));
    let answer = market.client().get(url).bearer_auth(token).send().await.unwrap();
    (answer.status().as_u16(), answer.text().await.unwrap())
}

/// Returns a sheet with this many products, with two variants each.
fn sheet(products: usize) -> String {
    let rows = (0..products)
        .map(|n| format!("item-{n},Item {n},=SUM(A{n}),ITEM-{n}-A,A,1.00\n,,,ITEM-{n}-B,B,2.00\n"));
    std::iter::once("slug,title,description,sku,variant_title,price\n".to_owned()).chain(rows).collect()
}

fn spool_is_empty(market: &Market) -> bool {
    std::fs::read_dir(market.folder().join("spool")).unwrap().next().is_none()
}

on_both! {
    async fn an_import_survives_a_power_cut_with_each_row_once_and_the_export_equals_it(setup: Setup) {
        let market = Market::open(setup, 1, 1).await;
        let creator = market.new_creator(&market.owner, "Print Room").await;
        let (status, answer) =
            upload(&market, &market.owner, form(&creator, "spring-2026", &sheet(300))).await;
        let payload = &answer["data"]["productImport"];
        assert_eq!(
            (status, &payload["errors"], &payload["replayed"]),
            (200, &json!([]), &json!(false)),
            "{answer:#}"
        );
        assert!(spool_is_empty(&market));
        let id = json!({ "id": payload["productImport"]["id"] });
        let done = |data: &Value| data["productImport"]["rowsDone"].as_i64().unwrap();
        let owner = market.owner.clone();
        market.until(Some(&owner), PROGRESS, id.clone(), |data| done(data) > 0).await;
        let market = market.after_a_power_cut().await;
        let began = std::time::Instant::now();
        loop {
            let seen = market.graphql(Some(&owner), PROGRESS, id.clone()).await;
            if seen["productImport"]["state"] == "FINISHED" {
                assert_eq!(
                    seen["productImport"],
                    json!({
                        "state": "FINISHED", "rowCount": 600, "rowsDone": 600, "rowsRefused": 0,
                        "productsCreated": 300,
                        "productsUpdated": 0, "variantsCreated": 600, "variantsUpdated": 0,
                    })
                );
                break;
            }
            assert!(began.elapsed() < 6 * SOON, "the import is too slow: {seen}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        let (status, first) = exported(&market, &owner, &creator).await;
        assert_eq!((status, first.lines().count()), (200, 601));
        let records = csv_cells(&first);
        assert!(records.iter().all(|cell| !cell.starts_with(['=', '+', '-', '@', '\t', '\r'])));
        assert!(records.iter().any(|cell| cell == "'=SUM(A7)"));

        // Importing the exported file changes nothing.
        let (_, answer) = upload(&market, &owner, form(&creator, "spring-again", &first)).await;
        let id = json!({ "id": answer["data"]["productImport"]["productImport"]["id"] });
        let began = std::time::Instant::now();
        loop {
            let seen = market.graphql(Some(&owner), PROGRESS, id.clone()).await;
            let import = &seen["productImport"];
            if import["state"] == "FINISHED" {
                let changed = [
                    "rowsRefused",
                    "productsCreated",
                    "productsUpdated",
                    "variantsCreated",
                    "variantsUpdated",
                ];
                assert!(changed.iter().all(|name| import[name] == json!(0)), "{seen}");
                break;
            }
            assert!(began.elapsed() < 6 * SOON, "the import is too slow: {seen}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        assert_eq!(exported(&market, &owner, &creator).await.1, first);
        assert_eq!(exported(&market, &market.buyers[0], &creator).await, (404, "not found\n".to_owned()));
    }
}

/// Returns the cells of a sheet that has no line breaks in its cells.
fn csv_cells(sheet: &str) -> Vec<String> {
    sheet.lines().flat_map(|line| line.split(',')).map(|cell| cell.trim_matches('"').to_owned()).collect()
}

#[tokio::test]
async fn an_upload_that_takes_too_long_or_is_too_large_is_refused() {
    let setup = crate::shop::harness::Setup::empty()
        .with("SMALLRUN_UPLOAD_SECS_MAX", "1")
        .with("SMALLRUN_UPLOAD_BYTES_MAX", "2048");
    let market = Market::open(setup, 1, 1).await;
    let (status, answer) =
        upload(&market, &market.owner, form(&market.creator, "too-large", &sheet(100))).await;
    assert_eq!(
        (status, &answer["errors"][0]["extensions"]["code"]),
        (413, &json!("BAD_REQUEST")),
        "{answer}"
    );
    let body = form(&market.creator, "too-slow", &sheet(3));
    let mut socket = TcpStream::connect(market.address()).unwrap();
    socket.set_read_timeout(Some(SOON)).unwrap();
    let head = format!(
        "POST /graphql HTTP/1.1\r\nHost: shop\r\nAuthorization: Bearer {}\r\nGraphQL-Preflight: 1\r\n\
         Content-Type: multipart/form-data; boundary=b\r\nContent-Length: {}\r\n\r\n",
        market.owner,
        body.len()
    );
    let most = &body[..body.len() - 20];
    socket.write_all([head.as_str(), most].concat().as_bytes()).unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 408 ") && answer.contains("took too long"), "{answer}");
    assert!(spool_is_empty(&market));
}
