//! The settings that open and close the edge, tested with the real binary.

use std::fs;

use serde_json::{Value, json};

use crate::edge::harness::{Ended, Folder, Server, Setup, smallrun};

/// Returns the error code of an introspection query, and the status of the playground.
async fn openness(server: &Server, token: Option<&str>) -> (Value, u16) {
    let (_, body) = server.send(token, "{ __schema { queryType { name } } }", json!({})).await;
    let playground = server.client().get(server.at("/playground")).send().await.unwrap();
    (body["errors"][0]["extensions"]["code"].clone(), playground.status().as_u16())
}

#[tokio::test]
async fn a_server_is_open_while_it_is_tried_out_and_closed_when_others_can_reach_it() {
    let public = ("SMALLRUN_PUBLIC_URL", "https://shop.example");
    let hidden = json!("INTROSPECTION_DISABLED");
    let tried_out = Server::start(Setup::empty()).await;
    assert_eq!(openness(&tried_out, None).await, (Value::Null, 200));
    assert!(tried_out.greeting().contains("/playground"));
    let production = Server::start(Setup::empty().with(public.0, public.1)).await;
    assert_eq!(openness(&production, None).await, (hidden.clone(), 404));
    assert!(!production.greeting().contains("/playground"));
    let transport = production.client().get(production.at("/livez")).send().await.unwrap();
    assert_eq!(transport.headers()["strict-transport-security"], "max-age=31536000");
    let demo = Server::start(Setup::demo().with(public.0, public.1)).await;
    assert_eq!(openness(&demo, None).await, (Value::Null, 200));
    // Reuse the demo, so that it is loaded only once.
    let permitted =
        demo.same_again().with("SMALLRUN_INTROSPECTION", "permitted").with("SMALLRUN_PLAYGROUND", "off");
    assert!(demo.stop().await.0.success());
    let permitted = Server::start(permitted).await;
    assert_eq!(openness(&permitted, None).await, (hidden.clone(), 404));
    assert_eq!(openness(&permitted, Some(&permitted.demo_token("buyer"))).await.0, hidden);
    assert_eq!(openness(&permitted, Some(&permitted.demo_token("admin"))).await.0, Value::Null);
}

#[tokio::test]
async fn trusted_documents_are_read_from_the_file_that_a_code_generator_wrote() {
    let folder = Folder::new();
    let file = folder.join("persisted-documents.json");
    fs::write(&file, json!({ "5f3b4f7a": "query Kind { viewer { kind } }" }).to_string()).unwrap();
    let setup = Setup::empty().with("SMALLRUN_TRUSTED_DOCUMENTS_FILE", file.to_str().unwrap());
    let server = Server::start(setup.with("SMALLRUN_TRUSTED_DOCUMENTS_ONLY", "true")).await;
    let ask = async |body: Value| -> Value {
        server.client().post(server.at("/graphql")).json(&body).send().await.unwrap().json().await.unwrap()
    };
    assert_eq!(
        ask(json!({ "documentId": "5f3b4f7a" })).await["data"],
        json!({ "viewer": { "kind": "PUBLIC" } })
    );
    assert_eq!(
        ask(json!({ "query": "{ __typename }" })).await["errors"][0]["extensions"]["code"],
        "DOCUMENT_NOT_TRUSTED"
    );
}

#[test]
fn documents_that_cannot_be_used_stop_the_start_with_78() {
    let folder = Folder::new();
    let file = folder.join("documents.json");
    fs::write(&file, "{ \"a\": \"{ a\" }").unwrap();
    let missing = folder.join("missing.json");
    for (variables, what) in [
        (
            vec![("TRUSTED_DOCUMENTS_FILE", file.to_str().unwrap())],
            "cannot be used: the document `a` is not GraphQL",
        ),
        (vec![("TRUSTED_DOCUMENTS_FILE", missing.to_str().unwrap())], "cannot be read"),
        (vec![("TRUSTED_DOCUMENTS_ONLY", "true")], "all requests would be refused"),
    ] {
        let mut command = smallrun();
        command.args(["serve", "--listen", "127.0.0.1:0", "--data"]).arg(folder.join("data"));
        command.envs(variables.iter().map(|(name, value)| (format!("SMALLRUN_{name}"), value)));
        let ended = Ended::of(&mut command);
        assert!(ended.code == Some(78) && ended.stderr.contains(what), "{ended:#?}");
    }
}
