//! Requests with files, by the GraphQL multipart request specification, and the import and export of products
//! as CSV files.

use std::{path::PathBuf, time::Duration};

use actix_web::test::TestRequest;
use api::Api;
use domain::{
    accounts::{CreateToken, TokenName, create_token},
    catalog::imports::{Progress, run_import},
    platform::{
        access::{CreatorScope, Permission, SystemScope, TokenKind},
        ids::{CreatorId, ImportId},
    },
};
use edge::{Settings, uploads::UploadRules};
use serde_json::{Value, json};
use testkit::{DatabaseState, Kit, on_both};

use crate::edge::shop::{Answer, api, creator, data, person, posted, send, system};

const IMPORT: &str = "mutation($input: ProductImportInput!) { productImport(input: $input) {
    replayed productImport { id state rowCount rowsDone dryRun } errors { code path message } } }";
const FILE: &str =
    "slug,title,description,sku,variant_title,price\nbowl,Bowl,=1+1,BOWL-S,Small,12.50\n,Cup,,cup,One,1\n";

/// The parts of a form: name, whether it is a file, content.
type Parts<'a> = Vec<(&'a str, bool, Vec<u8>)>;

fn form(parts: &Parts<'_>) -> Vec<u8> {
    let mut body = Vec::new();
    for (name, is_file, content) in parts {
        let file = if *is_file { "; filename=\"products.csv\"\r\nContent-Type: text/csv" } else { "" };
        body.extend(
            format!("--x-boundary\r\nContent-Disposition: form-data; name=\"{name}\"{file}\r\n\r\n").bytes(),
        );
        body.extend(content);
        body.extend(b"\r\n");
    }
    body.extend(b"--x-boundary--\r\n");
    body
}

fn import_of(creator: CreatorId, key: &str) -> Value {
    let input = json!({ "creatorId": creator.to_string(), "file": null, "idempotencyKey": key });
    json!({ "query": IMPORT, "variables": { "input": input } })
}

fn parts(operations: &Value, file: &[u8]) -> Parts<'static> {
    let map = json!({ "file-1": ["variables.input.file"] });
    vec![
        ("operations", false, operations.to_string().into_bytes()),
        ("map", false, map.to_string().into_bytes()),
        ("file-1", true, file.to_vec()),
    ]
}

fn upload(token: Option<&str>, body: Vec<u8>) -> TestRequest {
    let request = TestRequest::post()
        .uri("/graphql")
        .insert_header(("content-type", "multipart/form-data; boundary=x-boundary"));
    let request = request.insert_header(("apollo-require-preflight", "true")).set_payload(body);
    match token {
        Some(token) => request.insert_header(("authorization", format!("Bearer {token}"))),
        None => request,
    }
}

async fn token(kit: &Kit, creator: CreatorId, permissions: &[Permission]) -> String {
    let name = TokenName::new("shop").unwrap();
    let request =
        CreateToken { name, kind: TokenKind::Secret, permissions: permissions.to_vec(), expires_at: None };
    create_token(&kit.db, &system().as_tokens(Some(creator)), request)
        .await
        .unwrap()
        .secret
        .expose()
        .to_owned()
}

/// Creates a creator, with a token that may read and write its catalogue.
async fn workshop(kit: &Kit, name: &str) -> (CreatorId, CreatorScope, String) {
    let (id, scope) = creator(kit, name).await;
    (id, scope, token(kit, id, &[Permission::CatalogRead, Permission::CatalogWrite]).await)
}

async fn asked(kit: &Kit, token: &str, query: &str, variables: Value) -> Value {
    let answer =
        send(api(kit), posted(query, variables).insert_header(("authorization", format!("Bearer {token}"))))
            .await
            .json();
    assert_eq!(answer["errors"], Value::Null, "{answer}");
    answer["data"].clone()
}

async fn run(kit: &Kit, import: &str) {
    let import: ImportId = import.parse().unwrap();
    while run_import(&kit.db, &SystemScope::new("test"), import).await.unwrap() == Progress::More {}
}

/// Returns an API with a spool folder of its own.
fn spooling(kit: &Kit, bytes_max: usize) -> (Api, PathBuf) {
    let folder = std::env::temp_dir().join(format!("smallrun-spool-{}-{bytes_max}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let uploads = UploadRules::new(folder.clone(), bytes_max, 1, Duration::from_secs(5), 1);
    (Api { edge: Settings { uploads, ..Settings::default() }, ..api(kit) }, folder)
}

/// Returns the state after the use of a token was recorded. That happens in the background and only now and
/// then.
async fn state_after_use(kit: &Kit, token: &str, creator: CreatorId) -> DatabaseState {
    drop(exported(kit, Some(token), &creator.to_string()).await);
    loop {
        let state = kit.state().await;
        if !format!("{state:?}").contains("last_used_at=NULL") {
            return state;
        }
    }
}

async fn exported(kit: &Kit, token: Option<&str>, creator: &str) -> Answer {
    let mut request = TestRequest::get().uri(&format!("/creators/{creator}/products.csv"));
    if let Some(token) = token {
        request = request.insert_header(("authorization", format!("Bearer {token}")));
    }
    send(api(kit), request).await
}

on_both! {
    async fn a_file_of_products_is_imported_and_reported_row_by_row(kit: Kit) {
        let (salt, _, shop) = workshop(&kit, "Salt Glaze").await;
        let (_, _, other) = workshop(&kit, "Blue Loom").await;
        let answer = send(
            api(&kit),
            upload(Some(&shop), form(&parts(&import_of(salt, "first-key"), FILE.as_bytes()))),
        )
        .await
        .json();
        let payload = &answer["data"]["productImport"];
        let id = payload["productImport"]["id"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned();
        let waiting = json!({ "id": id, "state": "WAITING", "rowCount": 2, "rowsDone": 0, "dryRun": false });
        assert_eq!(*payload, json!({ "replayed": false, "productImport": waiting, "errors": [] }));
        let again = send(
            api(&kit),
            upload(Some(&shop), form(&parts(&import_of(salt, "first-key"), FILE.as_bytes()))),
        )
        .await
        .json();
        assert_eq!(again["data"]["productImport"]["replayed"], json!(true));
        run(&kit, &id).await;

        let query = "query($id: ID!) {
            productImport(id: $id) {
                state rowsDone rowsRefused productsCreated variantsCreated creator { name }
                rows { totalCount nodes {
                    number productOutcome variantOutcome product { slug } variant { sku }
                    complaints { code column } } }
                refused: rows(refused: true) { totalCount nodes { number } }
            }
            node(id: $id) { __typename id }
        }";
        let seen = asked(&kit, &shop, query, json!({ "id": id })).await;
        assert_eq!(seen["node"], json!({ "__typename": "ProductImport", "id": id }));
        let import = &seen["productImport"];
        assert_eq!(
            (&import["state"], &import["rowsDone"], &import["rowsRefused"]),
            (&json!("FINISHED"), &json!(2), &json!(1))
        );
        assert_eq!((&import["productsCreated"], &import["variantsCreated"]), (&json!(2), &json!(1)));
        assert_eq!(
            import["rows"]["nodes"],
            json!([
                { "number": 2, "productOutcome": "CREATED", "variantOutcome": "CREATED",
                  "product": { "slug": "bowl" },
                  "variant": { "sku": "BOWL-S" }, "complaints": [] },
                { "number": 3, "productOutcome": "CREATED", "variantOutcome": "REFUSED",
                  "product": { "slug": "cup" }, "variant": null,
                  "complaints": [{ "code": "INVALID", "column": "sku" }] },
            ])
        );
        assert_eq!(import["refused"], json!({ "totalCount": 1, "nodes": [{ "number": 3 }] }));
        let own =
            "query($slug: String!) { creator(slug: $slug) { productImports { totalCount nodes { id } } } }";
        let listed = asked(&kit, &shop, own, json!({ "slug": "salt-glaze" })).await;
        assert_eq!(listed["creator"]["productImports"], json!({ "totalCount": 1, "nodes": [{ "id": id }] }));

        // Everybody else sees nothing.
        let nothing = json!({ "productImport": null, "node": null });
        assert_eq!(asked(&kit, &other, query, json!({ "id": id })).await, nothing);
        assert_eq!(data(&kit, query, json!({ "id": id })).await, nothing);
        let listed = data(&kit, own, json!({ "slug": "salt-glaze" })).await;
        assert_eq!(listed["creator"]["productImports"], Value::Null);
        let foreign = send(
            api(&kit),
            upload(Some(&other), form(&parts(&import_of(salt, "other-key"), FILE.as_bytes()))),
        )
        .await
        .json();
        let errors = &foreign["data"]["productImport"]["errors"];
        assert_eq!((&errors[0]["code"], &errors[0]["path"]), (&json!("NOT_FOUND"), &json!(["creatorId"])));
    }

    async fn an_exported_catalogue_contains_no_formulas(kit: Kit) {
        let (salt, _, shop) = workshop(&kit, "Salt Glaze").await;
        let (_, _, other) = workshop(&kit, "Blue Loom").await;
        let file = "slug,title,summary,description\na1,=1+1,+1,-A\na2,@x,'=2,\"\t=3\"\na3,'@y,''+4,plain\n";
        let answer = send(
            api(&kit),
            upload(Some(&shop), form(&parts(&import_of(salt, "first-key"), file.as_bytes()))),
        )
        .await
        .json();
        run(&kit, answer["data"]["productImport"]["productImport"]["id"].as_str().unwrap()).await;
        let titles = asked(&kit, &shop, "{ products(sort: TITLE) { nodes { title } } }", json!({})).await;
        assert_eq!(
            titles["products"]["nodes"],
            json!([{ "title": "=1+1" }, { "title": "@x" }, { "title": "@y" }])
        );

        let sheet = exported(&kit, Some(&shop), &salt.to_string()).await;
        assert_eq!(sheet.header("content-type"), "text/csv; charset=utf-8; header=present");
        assert_eq!(sheet.header("content-disposition"), "attachment; filename=\"products.csv\"");
        assert_eq!((sheet.status.as_u16(), sheet.header("cache-control")), (200, "private, no-store"));
        let records: Vec<_> =
            csv::Reader::from_reader(sheet.text.as_bytes()).into_records().map(Result::unwrap).collect();
        let cells = |at: usize| records[at].iter().take(4).collect::<Vec<_>>();
        assert_eq!(cells(0), ["a1", "'=1+1", "'+1", "'-A"]);
        assert_eq!(cells(1), ["a2", "'@x", "'=2", "'\t=3"]);
        assert_eq!(cells(2), ["a3", "'@y", "''+4", "plain"]);
        for cell in records.iter().flatten() {
            assert!(!cell.starts_with(['=', '+', '-', '@', '\t', '\r']), "{cell}");
        }

        let unscoped = token(&kit, salt, &[Permission::CatalogWrite]).await;
        let person = person(&kit, "eve").await;
        let unknown = "creator_01h455vb4pex5vsknk084sn02q";
        for (token, status) in [
            (None, 401),
            (Some("sr_sec_x"), 401),
            (Some(&*unscoped), 403),
            (Some(&*other), 404),
            (Some(&*person), 404),
        ] {
            let refused = exported(&kit, token, &salt.to_string()).await;
            assert_eq!(refused.status.as_u16(), status, "{}", refused.text);
            for nobody in [unknown, "drop_01h455vb4pex5vsknk084sn02q", "nonsense"] {
                let missing = exported(&kit, token, nobody).await;
                assert_eq!(
                    (missing.status, &missing.text),
                    (refused.status, &refused.text),
                    "another's is as one that is not"
                );
            }
        }
    }
}

#[expect(clippy::too_many_lines, reason = "one table of cases")]
#[test]
fn malformed_uploads_are_refused_and_leave_no_files() {
    testkit::run(Kit::sqlite(), async |kit| {
        let (salt, _, shop) = workshop(&kit, "Salt Glaze").await;
        let (api, folder) = spooling(&kit, 1_000);
        let good = parts(&import_of(salt, "some-key"), FILE.as_bytes());
        let with = |at: usize, name: &'static str, content: &str| {
            let mut parts = good.clone();
            parts[at] = (name, false, content.as_bytes().to_vec());
            form(&parts)
        };
        let but = |change: &dyn Fn(&mut Parts<'static>)| {
            let mut parts = good.clone();
            change(&mut parts);
            form(&parts)
        };
        let endless = format!("--x-boundary\r\nX: {}", "y".repeat(60_000));
        let before = state_after_use(&kit, &shop, salt).await;
        for (body, status, word) in [
            (but(&|parts| parts.swap(0, 1)), 400, "in this order"),
            (but(&|parts| parts.swap(1, 2)), 400, "in this order"),
            (but(&|parts| drop(parts.remove(2))), 400, "was not sent"),
            (but(&|parts| parts.push(parts[2].clone())), 400, "twice"),
            (but(&|parts| parts[2].0 = "file-2"), 400, "not named in `map`"),
            (with(0, "operations", "[]"), 400, "batch"),
            (with(0, "operations", "{"), 400, "`operations`: the body is not JSON"),
            (with(0, "operations", &"x".repeat(103_000)), 413, "`operations` is larger"),
            (with(1, "map", "[]"), 400, "`map` must be"),
            (with(1, "map", &"x".repeat(11_000)), 413, "`map` is larger"),
            (with(1, "map", "{\"file-1\":[]}"), 400, "1 to 10 paths"),
            (with(1, "map", "{\"file-1\":[\"variables.input.creatorId\"]}"), 400, "is null"),
            (with(1, "map", "{\"file-1\":[\"variables.nothing\"]}"), 400, "is null"),
            (with(1, "map", "{\"file-1\":[\"variables\"]}"), 400, "is null"),
            (with(1, "map", "{\"file-1\":[\"query\"]}"), 400, "is null"),
            (
                with(1, "map", "{\"a\":[\"variables.input.file\"],\"b\":[\"variables.input.file\"]}"),
                400,
                "at most 1 file",
            ),
            (but(&|parts| parts[2].2 = vec![b'x'; 1_001]), 413, "a file is larger than 1000 bytes"),
            (but(&|parts| parts[2].2 = vec![b'x'; 400_000]), 413, "the request is larger"),
            (form(&good)[..200].to_vec(), 400, "multipart/form-data"),
            (endless.into_bytes(), 400, "multipart/form-data"),
            (b"nonsense".to_vec(), 400, "multipart/form-data"),
        ] {
            let answer = send(api.clone(), upload(Some(&shop), body)).await;
            assert_eq!(
                (answer.status.as_u16(), answer.code().as_str()),
                (status, "BAD_REQUEST"),
                "{word}: {}",
                answer.text
            );
            assert!(answer.text.contains(word), "{word}: {}", answer.text);
        }
        // Without the header that a form cannot send, without a token, and with an invalid token.
        let request =
            || TestRequest::post().uri("/graphql").insert_header(("authorization", format!("Bearer {shop}")));
        let typed = request().insert_header(("content-type", "multipart/form-data; boundary=x-boundary"));
        let answer = send(api.clone(), typed.set_payload(form(&good))).await;
        assert_eq!(
            (answer.status.as_u16(), answer.text.contains("apollo-require-preflight")),
            (400, true),
            "{}",
            answer.text
        );
        let unbounded = request()
            .insert_header(("content-type", "multipart/form-data"))
            .insert_header(("graphql-preflight", "1"));
        assert_eq!(send(api.clone(), unbounded.set_payload(form(&good))).await.status.as_u16(), 400);
        for nobody in [None, Some("sr_sec_nobody")] {
            let answer = send(api.clone(), upload(nobody, form(&good))).await;
            assert_eq!((answer.status.as_u16(), answer.code().as_str()), (401, "UNAUTHENTICATED"));
        }
        // Values that look like a received file.
        for forged in ["upload:0", "upload:99", "#__graphql_file__:0", "x"] {
            let mut operations = import_of(salt, "some-key");
            operations["variables"]["input"]["file"] = json!(forged);
            let request = posted(IMPORT, operations["variables"].take())
                .insert_header(("authorization", format!("Bearer {shop}")));
            let answer = send(api.clone(), request).await;
            assert!(
                ["BAD_USER_INPUT", "GRAPHQL_VALIDATION_FAILED"].contains(&answer.code().as_str()),
                "{forged}: {}",
                answer.text
            );
        }
        assert_eq!(kit.state().await, before);
        assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 0);
        assert_eq!(
            send(api, upload(Some(&shop), form(&good))).await.json()["data"]["productImport"]["errors"],
            json!([])
        );
        assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 0);
        std::fs::remove_dir(folder).unwrap();
    });
}

#[test]
fn an_invalid_csv_file_is_refused_with_a_code() {
    testkit::run(Kit::sqlite(), async |kit| {
        let (salt, _, shop) = workshop(&kit, "Salt Glaze").await;
        let long = format!("slug\n{}", "bowl\n".repeat(10_001));
        let before = state_after_use(&kit, &shop, salt).await;
        for (file, code) in [
            (&b"\xFF\xFE"[..], "NOT_CSV"),
            (b"slug,sku\nbowl\n", "NOT_CSV"),
            (b"slug,colour\nbowl,red\n", "BAD_HEADER"),
            (b"sku\nA\n", "BAD_HEADER"),
            (b"", "NO_ROWS"),
            (b"slug\n", "NO_ROWS"),
            (long.as_bytes(), "TOO_MANY_ROWS"),
        ] {
            let answer =
                send(api(&kit), upload(Some(&shop), form(&parts(&import_of(salt, "some-key"), file))))
                    .await
                    .json();
            let error = &answer["data"]["productImport"]["errors"][0];
            assert_eq!((&error["code"], &error["path"]), (&json!(code), &json!(["file"])), "{answer}");
        }
        assert_eq!(kit.state().await, before);
    });
}
