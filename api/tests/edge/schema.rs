//! The schema as a whole: committed, described, and consistent.

use std::{fs, path::Path};

use api::Api;
use domain::{
    accounts::{
        AccountName, CreateAccount, CreateToken, Email, Password, TokenName, create_admin, create_token,
    },
    platform::access::{Permission, TokenKind},
};
use edge::{Settings, introspection::SchemaAudience};
use serde_json::{Value, json};
use testkit::Kit;

use crate::edge::shop::{api, creator, data, person, posted, send, system};

#[test]
fn the_committed_schema_is_what_the_binary_prints() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../schema.graphql");
    let committed = fs::read_to_string(&file).unwrap_or_default();
    let printed = api::sdl();
    if committed != printed {
        let fresh = Path::new(env!("CARGO_TARGET_TMPDIR")).join("schema.graphql");
        fs::write(&fresh, &printed).unwrap();
        let differs = committed.lines().zip(printed.lines()).position(|(old, new)| old != new);
        let line = differs.unwrap_or_else(|| committed.lines().count().min(printed.lines().count())) + 1;
        panic!(
            "schema.graphql differs from line {line} on: \
             run `cargo run -- schema > schema.graphql` (or copy {})",
            fresh.display()
        );
    }
}

async fn types(kit: &Kit) -> Vec<Value> {
    let query = "{ __schema { types {
        kind name description
        fields(includeDeprecated: true) {
            name description args { name description } type { kind ofType { kind name ofType { kind } } }
        }
        inputFields { name description }
        enumValues(includeDeprecated: true) { name description }
        interfaces { name }
    } } }";
    let types = data(kit, query, json!({})).await["__schema"]["types"].as_array().unwrap().clone();
    types.into_iter().filter(|known| !known["name"].as_str().unwrap().starts_with("__")).collect()
}

fn list<'a>(value: &'a Value, name: &str) -> &'a [Value] {
    value[name].as_array().map(Vec::as_slice).unwrap_or_default()
}

#[test]
fn everything_in_the_schema_is_described() {
    testkit::run(Kit::sqlite(), async |kit| {
        let mut silent = Vec::new();
        let mut look = |path: String, value: &Value| {
            if value["description"].as_str().is_none_or(|text| text.trim().is_empty()) {
                silent.push(path);
            }
        };
        for known in types(&kit).await {
            let name = known["name"].as_str().unwrap();
            if ["Int", "Float", "String", "Boolean", "ID"].contains(&name) {
                continue;
            }
            look(name.to_owned(), &known);
            for field in list(&known, "fields") {
                let path = format!("{name}.{}", field["name"].as_str().unwrap());
                for argument in list(field, "args") {
                    // The single argument of an operation is described by its type.
                    if argument["name"] != "input" {
                        look(format!("{path}({})", argument["name"].as_str().unwrap()), argument);
                    }
                }
                look(path, field);
            }
            for part in list(&known, "inputFields").iter().chain(list(&known, "enumValues")) {
                look(format!("{name}.{}", part["name"].as_str().unwrap()), part);
            }
        }
        assert!(silent.is_empty(), "without a description: {silent:#?}");
    });
}

#[test]
fn user_errors_share_an_interface() {
    testkit::run(Kit::sqlite(), async |kit| {
        let types = types(&kit).await;
        let errors: Vec<_> = types
            .iter()
            .filter(|known| known["kind"] == "OBJECT" && known["name"].as_str().unwrap().ends_with("Error"))
            .collect();
        assert!(errors.len() > 20);
        for error in errors {
            assert_eq!(error["interfaces"], json!([{ "name": "UserError" }]), "{}", error["name"]);
        }
    });
}

/// Sends an introspection query, and a query with a misspelled field. Returns the code of the former's error,
/// and whether the latter's error suggests a name.
async fn curious(api: &Api, token: Option<&str>) -> (String, bool) {
    let ask = async |query: &str| {
        let mut request = posted(query, json!({}));
        if let Some(token) = token {
            request = request.insert_header(("authorization", format!("Bearer {token}")));
        }
        send(api.clone(), request).await
    };
    let missed = ask("{ __typename dops { nodes { id } } }").await;
    assert_eq!(missed.code(), "GRAPHQL_VALIDATION_FAILED");
    let asked = ask("query Q { ...F } fragment F on Query { __schema { types { name } } }").await;
    let refused = asked.json().get("data").is_none();
    assert_eq!(refused, !asked.code().is_empty(), "{}", asked.text);
    (asked.code(), missed.text.contains("Did you mean"))
}

#[test]
fn introspection_is_open_to_the_configured_audience() {
    testkit::run(Kit::sqlite(), async |kit| {
        let person = person(&kit, "ada").await;
        let (id, _) = creator(&kit, "Salt Glaze").await;
        let secret = async |permissions: &[Permission]| {
            let name = TokenName::new("codegen").unwrap();
            let request = CreateToken {
                name,
                kind: TokenKind::Secret,
                permissions: permissions.to_vec(),
                expires_at: None,
            };
            create_token(&kit.db, &system().as_tokens(Some(id)), request)
                .await
                .unwrap()
                .secret
                .expose()
                .to_owned()
        };
        let reader = secret(&[Permission::SchemaRead]).await;
        let writer = secret(&[Permission::CatalogWrite]).await;
        let email = Email::new("root@example.org").unwrap();
        let request = CreateAccount {
            email,
            name: AccountName::new("root").unwrap(),
            password: Some(Password::new("a long enough one").unwrap()),
        };
        create_admin(&kit.db, &system(), request).await.unwrap();
        let (told, hidden) = ((String::new(), true), ("INTROSPECTION_DISABLED".to_owned(), false));
        let admin = json!({ "input": { "email": "root@example.org", "password": "a long enough one" } });
        let admin = data(
            &kit,
            "mutation($input: SessionSignInInput!) { sessionSignIn(input: $input) { token } }",
            admin,
        )
        .await;
        let admin = admin["sessionSignIn"]["token"].as_str().unwrap();
        for (audience, who, token, expected) in [
            (SchemaAudience::Everybody, "public", None, &told),
            (SchemaAudience::Permitted, "public", None, &hidden),
            (SchemaAudience::Permitted, "a person", Some(person.as_str()), &hidden),
            (SchemaAudience::Permitted, "a token without the permission", Some(writer.as_str()), &hidden),
            (SchemaAudience::Permitted, "a token with it", Some(reader.as_str()), &told),
            (SchemaAudience::Permitted, "an administrator", Some(admin), &told),
            (SchemaAudience::Nobody, "an administrator", Some(admin), &hidden),
        ] {
            let api = Api { edge: Settings { introspection: audience, ..Settings::default() }, ..api(&kit) };
            assert_eq!(&curious(&api, token).await, expected, "{audience:?} {who}");
        }
    });
}
