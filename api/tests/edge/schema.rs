//! The schema as a whole: committed, described, and of one shape.

use std::{fs, path::Path};

use serde_json::{Value, json};
use testkit::Kit;

use crate::shop::{api, data, posted, send};

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
            "schema.graphql differs from line {line} on: run `cargo run -- schema > schema.graphql` (or take {})",
            fresh.display()
        );
    }
}

async fn types(kit: &Kit) -> Vec<Value> {
    let query = "{ __schema { types {
        kind name description
        fields(includeDeprecated: true) { name description args { name description } type { kind ofType { kind name ofType { kind } } } }
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
                    // The one argument of an operation is described by its type.
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
fn errors_that_a_user_can_mend_share_an_interface() {
    testkit::run(Kit::sqlite(), async |kit| {
        let types = types(&kit).await;
        let errors: Vec<_> =
            types.iter().filter(|known| known["kind"] == "OBJECT" && known["name"].as_str().unwrap().ends_with("Error")).collect();
        assert!(errors.len() > 20);
        for error in errors {
            assert_eq!(error["interfaces"], json!([{ "name": "UserError" }]), "{}", error["name"]);
        }
    });
}

#[test]
fn the_schema_can_be_kept_to_oneself() {
    testkit::run(Kit::sqlite(), async |kit| {
        let mut api = api(&kit);
        api.introspection = false;
        let answer = send(api.clone(), posted("{ __schema { types { name } } }", json!({}))).await;
        assert_eq!(answer.json()["data"]["__schema"], Value::Null, "{}", answer.text);
        let answer = send(api, posted("{ __typename dops { nodes { id } } }", json!({}))).await;
        assert_eq!(answer.code(), "GRAPHQL_VALIDATION_FAILED");
        assert!(!answer.text.contains("Did you mean"), "{}", answer.text);
    });
}
