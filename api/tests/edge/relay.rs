//! The Relay specifications over the whole schema: object identification, connections and cursors.

use domain::catalog::{
    imports::{StartImport, run_import, start_import},
    sheet::Sheet,
};
use domain::platform::{access::CreatorScope, idempotency::IdempotencyKey};
use serde_json::{Value, json};
use testkit::{Kit, requests};

use crate::edge::{
    matrix::Schema,
    shop::{api, creator, open_drop, posted, send, system},
};

fn base(field: &async_graphql::parser::types::FieldDefinition) -> String {
    field.ty.node.to_string().replace(['!', '[', ']'], "")
}

#[test]
fn every_connection_has_the_specified_form() {
    let schema = Schema::read();
    let field = |of: &str, name: &str| {
        let fields = schema.fields(of);
        let found = fields.iter().find(|field| field.name.node == name);
        found.unwrap_or_else(|| panic!("{of} has no {name}")).ty.node.to_string()
    };
    let info: Vec<_> = schema
        .fields("PageInfo")
        .iter()
        .map(|field| format!("{}: {}", field.name.node, field.ty.node))
        .collect();
    for expected in
        ["hasNextPage: Boolean!", "hasPreviousPage: Boolean!", "startCursor: String", "endCursor: String"]
    {
        assert!(info.iter().any(|found| found == expected), "{expected}: {info:?}");
    }
    let mut connections = 0;
    for name in schema.objects() {
        if let Some(node) = name.strip_suffix("Connection") {
            connections += 1;
            assert_eq!(field(name, "pageInfo"), "PageInfo!", "{name}");
            let edge = field(name, "edges").replace(['!', '[', ']'], "");
            assert_eq!(edge, format!("{node}Edge"), "{name}");
            assert_eq!(field(&edge, "cursor"), "String!", "{edge}");
            let row = field(&edge, "node");
            assert_eq!(field(name, "nodes"), format!("[{row}]!"), "{name}");
        }
        for field in schema.fields(name).into_iter().filter(|field| base(field).ends_with("Connection")) {
            let argument = |wanted: &str| {
                field
                    .arguments
                    .iter()
                    .any(|known| format!("{}: {}", known.node.name.node, known.node.ty.node) == wanted)
            };
            for wanted in ["first: Int", "after: String", "last: Int", "before: String"] {
                assert!(argument(wanted), "{name}.{} has no {wanted}", field.name.node);
            }
        }
    }
    assert!(connections >= 10, "{connections}");
}

#[test]
fn every_object_with_an_id_is_a_node_unless_excepted() {
    let schema = Schema::read();
    // Objects that are listed but never loaded by id.
    let alone = ["ApiToken", "AuditEntry", "Guest", "Payment", "Refund", "Session", "ViewerToken"];
    for name in schema.objects() {
        let has_id = schema.fields(name).iter().any(|field| field.name.node == "id");
        let is_thing = has_id && !alone.contains(&name) && !name.ends_with("Payload");
        assert_eq!(is_thing, schema.implements(name, "Node"), "{name}");
    }
}

/// A list of the schema, with a token that sees most of it.
struct List {
    /// The fields around the list, with their arguments.
    around: Vec<String>,
    field: &'static str,
    /// Arguments besides those for paging.
    arguments: String,
    token: Option<String>,
}

async fn page(kit: &Kit, list: &List, arguments: &str) -> Value {
    let all = [list.arguments.as_str(), arguments]
        .into_iter()
        .filter(|text| !text.is_empty())
        .collect::<Vec<_>>()
        .join(", ");
    let all = if all.is_empty() { all } else { format!("({all})") };
    let query = format!(
        "{{ {} {}{all} {{ edges {{ cursor node {{ __typename }} }} \
         pageInfo {{ hasNextPage hasPreviousPage startCursor endCursor }} \
         totalCount }} {} }}",
        list.around.iter().map(|step| format!("{step} {{")).collect::<String>(),
        list.field,
        "}".repeat(list.around.len())
    );
    let mut request = posted(&query, json!({}));
    if let Some(token) = &list.token {
        request = request.insert_header(("authorization", format!("Bearer {token}")));
    }
    let answer = send(api(kit), request).await.json();
    if answer["errors"] != Value::Null {
        return answer["errors"][0]["extensions"]["code"].clone();
    }
    let mut at = &answer["data"];
    for step in &list.around {
        at = &at[step.split('(').next().unwrap()];
    }
    at[list.field].clone()
}

fn cursors(page: &Value) -> Vec<String> {
    page["edges"]
        .as_array()
        .unwrap_or_else(|| panic!("{page}"))
        .iter()
        .map(|edge| edge["cursor"].as_str().unwrap().to_owned())
        .collect()
}

async fn make_places(kit: &Kit, scope: &CreatorScope) {
    for name in ["Yard", "Loft", "Shed"] {
        kit.clock.advance(chrono::TimeDelta::seconds(1));
        let place = requests::pickup_place(name);
        domain::creators::pickup_places::create(&kit.db, scope, place).await.unwrap();
    }
}

/// Returns the lists of the schema as `Type.field`, each with at least three rows in the test's database.
async fn lists(kit: &Kit) -> Vec<(&'static str, List)> {
    use domain::accounts::{CreateAccount, Email, create_admin, open_session_for};
    let email = Email::new("root@example.org").unwrap();
    let request =
        CreateAccount { email, name: domain::platform::text::TextLine::new("Root").unwrap(), password: None };
    let root = create_admin(&kit.db, &system(), request).await.unwrap().id;
    let admin = async || {
        open_session_for(&kit.db, &system(), root).await.unwrap().unwrap().secret.expose().to_owned()
    };
    for name in ["ada", "eve", "tom"] {
        crate::edge::shop::person(kit, name).await;
    }
    let salt = domain::creators::create_for(&kit.db, &system(), Some(root), requests::creator("Salt Glaze"))
        .await
        .unwrap()
        .id;
    let scope = system().as_creator(salt);
    for name in ["Blue Loom", "Oak Turner"] {
        creator(kit, name).await;
    }
    for name in ["Mugs", "Bowls", "Plates"] {
        open_drop(kit, &scope, name).await;
    }
    make_places(kit, &scope).await;
    let mut import = None;
    for key in ["import-1", "import-2", "import-3"] {
        kit.clock.advance(chrono::TimeDelta::seconds(1));
        let sheet = Sheet::read(b"slug,title\na1,A\nb1,B\nc1,C\nd1,D\n").unwrap();
        let request = StartImport { sheet, dry_run: true, key: IdempotencyKey::new(key).unwrap() };
        import = Some(start_import(&kit.db, &scope, request).await.unwrap().0.id);
    }
    let import = import.unwrap();
    run_import(&kit.db, &system(), import).await.unwrap();
    let (root, again) = (admin().await, admin().await);
    admin().await;
    let own = |kind: &str| format!("creatorId: \"{salt}\"{kind}");
    for _ in 0..3 {
        let input = json!({ "creatorId": salt.to_string(), "kind": "PUBLISHABLE", "name": "Shop" });
        let made = posted(
            "mutation($input: ApiTokenCreateInput!) { apiTokenCreate(input: $input) { errors { code } } }",
            json!({ "input": input }),
        );
        let made =
            send(api(kit), made.insert_header(("authorization", format!("Bearer {root}")))).await.json();
        assert_eq!(made["data"]["apiTokenCreate"]["errors"], json!([]), "{made}");
    }
    let top = |field, arguments: &str, token: Option<&String>| List {
        around: Vec::new(),
        field,
        arguments: arguments.to_owned(),
        token: token.cloned(),
    };
    let within = |around: &[&str], field| {
        let around = around.iter().map(|step| (*step).to_owned()).collect();
        List { around, field, arguments: String::new(), token: Some(root.clone()) }
    };
    vec![
        ("Query.accounts", top("accounts", "", Some(&root))),
        ("Query.apiTokens", top("apiTokens", &own(""), Some(&root))),
        ("Query.auditLog", top("auditLog", "", Some(&root))),
        ("Query.creators", top("creators", "", None)),
        ("Query.drops", top("drops", "", None)),
        ("Query.products", top("products", "", None)),
        ("Query.tasks", top("tasks", "", Some(&root))),
        ("Account.sessions", within(&["viewer", "account"], "sessions")),
        ("Creator.pickupPlaces", within(&["creator(slug: \"salt-glaze\")"], "pickupPlaces")),
        ("Creator.productImports", within(&["creator(slug: \"salt-glaze\")"], "productImports")),
        ("ProductImport.rows", within(&[&format!("productImport(id: \"{import}\")")], "rows")),
        ("Query.checkouts", top("checkouts", "", Some(&again))),
        ("Query.deadLetters", top("deadLetters", "", Some(&root))),
        ("Query.reservations", top("reservations", &own(""), Some(&root))),
    ]
}

/// Lists whose rows need a complete sale. Only their refusals are tested.
const EMPTY_HERE: [&str; 3] = ["Query.checkouts", "Query.deadLetters", "Query.reservations"];

#[expect(clippy::too_many_lines, reason = "one table of cases")]
#[test]
fn every_list_is_paged_in_both_directions_and_refuses_invalid_cursors() {
    testkit::run(Kit::sqlite(), async |kit| {
        let lists = lists(&kit).await;
        let schema = Schema::read();
        let mut known: Vec<String> = Vec::new();
        for name in schema.objects() {
            let fields = schema.fields(name).into_iter().filter(|field| base(field).ends_with("Connection"));
            known.extend(fields.map(|field| format!("{name}.{}", field.name.node)));
        }
        known.sort();
        let mut looked_at: Vec<_> = lists.iter().map(|(name, _)| (*name).to_owned()).collect();
        looked_at.sort();
        assert_eq!(looked_at, known, "this test must cover every list of the schema");
        let mut foreign = String::from("7b7d");
        for (name, list) in &lists {
            let whole = cursors(&page(&kit, list, "first: 100").await);
            assert_eq!(whole.is_empty(), EMPTY_HERE.contains(name), "{name}");
            assert!(whole.is_empty() || whole.len() >= 3, "{name}: {whole:?}");
            for size in [1, 2] {
                let (mut forward, mut after) = (Vec::new(), String::new());
                loop {
                    let seen = page(&kit, list, &format!("first: {size}{after}")).await;
                    let part = cursors(&seen);
                    assert!(part.len() <= size, "{name}");
                    assert_eq!(
                        seen["pageInfo"]["startCursor"].as_str(),
                        part.first().map(String::as_str),
                        "{name}"
                    );
                    assert_eq!(
                        seen["pageInfo"]["endCursor"].as_str(),
                        part.last().map(String::as_str),
                        "{name}"
                    );
                    assert_eq!(seen["pageInfo"]["hasPreviousPage"], json!(!after.is_empty()), "{name}");
                    after = part.last().map(|last| format!(", after: \"{last}\"")).unwrap_or_default();
                    forward.extend(part);
                    if seen["pageInfo"]["hasNextPage"] == json!(false) {
                        break;
                    }
                }
                assert_eq!(forward, whole, "{name}");
                let (mut backward, mut before) = (Vec::new(), String::new());
                loop {
                    let seen = page(&kit, list, &format!("last: {size}{before}")).await;
                    let part = cursors(&seen);
                    assert_eq!(seen["pageInfo"]["hasNextPage"], json!(!before.is_empty()), "{name}");
                    before = part.first().map(|first| format!(", before: \"{first}\"")).unwrap_or_default();
                    backward = part.into_iter().chain(backward).collect();
                    if seen["pageInfo"]["hasPreviousPage"] == json!(false) {
                        break;
                    }
                }
                assert_eq!(backward, whole, "{name}");
            }
            for none in ["first: 0", "last: 0"] {
                let seen = page(&kit, list, none).await;
                let info = &seen["pageInfo"];
                let more = if none == "first: 0" { &info["hasNextPage"] } else { &info["hasPreviousPage"] };
                assert_eq!((cursors(&seen).len(), more), (0, &json!(!whole.is_empty())), "{name}({none})");
                assert_eq!(
                    (&info["startCursor"], &info["endCursor"]),
                    (&Value::Null, &Value::Null),
                    "{name}({none})"
                );
            }
            if let [first, .., last] = whole.as_slice() {
                let between =
                    page(&kit, list, &format!("first: 100, after: \"{first}\", before: \"{last}\"")).await;
                assert_eq!(cursors(&between), whole[1..whole.len() - 1], "{name}");
            }
            for bad in [
                "first: -1",
                "last: -1",
                "first: 101",
                "first: 1, last: 1",
                "after: \"\"",
                "before: \"nonsense\"",
                "after: \"00ff\"",
            ] {
                assert_eq!(page(&kit, list, bad).await, json!("BAD_USER_INPUT"), "{name}({bad})");
            }
            for place in ["after", "before"] {
                let code = page(&kit, list, &format!("{place}: \"{foreign}\"")).await;
                assert_eq!(code, json!("BAD_USER_INPUT"), "{name}: a cursor of another list");
            }
            foreign = whole.first().cloned().unwrap_or(foreign);
        }
    });
}
