//! The GraphQL operations of the pages: sessions, whose steps follow from each other, and single ones.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::papers::{
    commands::assert_no_errors,
    harness::Server,
    pages::{Block, Page},
};

/// Pages whose operations are run one after the other, as a reader does.
pub(crate) const SESSIONS: [&str; 2] = ["README.md", "docs/tutorial.md"];

/// Runs the operations of a page in their order, fills their placeholders from earlier answers, and looks at
/// each answer.
pub(crate) async fn run_session(server: &Server, name: &str) {
    let mut session = Session { server, known: BTreeMap::new() };
    let blocks = Page::read(name).blocks();
    for block in blocks.iter().filter(|block| block.info == "graphql") {
        session.run(block).await;
    }
    assert!(session.known.contains_key("CHECKOUT"), "{name} reserves something");
}

struct Session<'a> {
    server: &'a Server,
    /// What placeholders stand for.
    known: BTreeMap<&'static str, Vec<String>>,
}

impl Session<'_> {
    async fn run(&mut self, block: &Block) {
        let token = block.role.as_ref().map(|role| self.server.demo_token(role));
        let query = self.filled(block);
        let (status, answer) = self.server.send(token.as_deref(), &query, json!({})).await;
        assert_eq!(status, 200, "{}: {answer:#}", block.place);
        assert_no_errors(&answer, &block.place);
        let data = &answer["data"];
        self.learn(data);
        let checkout = || self.known["CHECKOUT"][0].clone();
        if data["checkoutPay"].is_object() {
            // A worker asks the gateway in the background.
            let query = "query($id: ID!) { node(id: $id) { ... on Checkout { status } } }";
            let paid = |data: &Value| data["node"]["status"] == "CONFIRMED";
            self.server.until(token.as_deref(), query, json!({ "id": checkout() }), paid).await;
            self.server.letter("buyer@demo.example", "Your reservation is confirmed").await;
        }
        if let Some(checkouts) = data["checkouts"]["nodes"].as_array() {
            let mine = checkouts.iter().find(|node| node["id"] == checkout().as_str());
            let mine = mine.unwrap_or_else(|| panic!("{}: {answer:#}", block.place));
            assert_eq!(mine["status"], "CONFIRMED", "{}", block.place);
            assert_eq!(mine["payment"]["status"], "SUCCEEDED", "{}", block.place);
        }
        if let Some(reserved) = data["reservations"]["nodes"].as_array() {
            assert!(!reserved.is_empty(), "{}: the creator sees what was reserved", block.place);
        }
    }

    /// Remembers what later placeholders stand for.
    fn learn(&mut self, data: &Value) {
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        for drop in data["drops"]["nodes"].as_array().into_iter().flatten() {
            for item in drop["items"].as_array().into_iter().flatten() {
                let fits = item["price"]["currency"] == "EUR" && item["stock"]["free"].as_u64() > Some(0);
                if fits && !self.known.contains_key("ITEM") {
                    self.known.insert("ITEM", vec![text(&item["id"])]);
                    self.known.insert("DROP TITLE", vec![text(&drop["title"])]);
                }
            }
            if drop["creator"]["id"].is_string() && self.known["DROP TITLE"] == [text(&drop["title"])] {
                self.known.insert("CREATOR", vec![text(&drop["creator"]["id"])]);
            }
        }
        if let Some(texts) = data["legalTexts"].as_array() {
            self.known.insert("LEGAL", texts.iter().map(|legal| text(&legal["id"])).collect());
        }
        let total = &data["checkoutQuote"]["quote"]["total"]["amount"];
        if total.is_string() {
            self.known.insert("TOTAL", vec![text(total)]);
        }
        let checkout = &data["checkoutReserve"]["checkout"]["id"];
        if checkout.is_string() {
            self.known.insert("CHECKOUT", vec![text(checkout)]);
        }
    }

    /// The text of a block with a value in place of each `"PLACEHOLDER"`.
    fn filled(&self, block: &Block) -> String {
        let mut text = block.text.clone();
        for (name, values) in &self.known {
            for value in values.iter().cycle() {
                let placeholder = format!("\"{name}\"");
                if !text.contains(&placeholder) {
                    break;
                }
                text = text.replacen(&placeholder, &format!("{value:?}"), 1);
            }
        }
        let unfilled = text.split('"').skip(1).step_by(2).find(|inner| {
            inner.len() > 2 && inner.chars().all(|sign| sign.is_ascii_uppercase()) && *inner != "EUR"
        });
        assert!(unfilled.is_none(), "{}: nothing before says what {unfilled:?} is", block.place);
        text
    }
}

/// Asks for each operation of a block that stands alone. It must fit the schema; its placeholders lead
/// nowhere.
pub(crate) async fn validate(server: &Server, block: &Block) {
    let token = server.demo_token("admin");
    let names: Vec<Option<&str>> = block
        .text
        .lines()
        .filter_map(|line| {
            let rest = ["query", "mutation", "subscription"].iter().find_map(|kind| line.strip_prefix(kind));
            match rest {
                Some(rest) => Some(rest.trim_start().split(|sign: char| !sign.is_alphanumeric()).next()),
                None if line.starts_with('{') => Some(None),
                None => None,
            }
        })
        .collect();
    assert!(!names.is_empty(), "{} has no operation", block.place);
    for name in names {
        let body = json!({ "query": block.text, "operationName": name });
        let request = server.client().post(server.at("/graphql")).bearer_auth(&token).json(&body);
        let answer: Value = request.send().await.unwrap().json().await.unwrap();
        for error in answer["errors"].as_array().into_iter().flatten() {
            let code = error["extensions"]["code"].as_str().unwrap_or_default();
            assert!(
                !code.starts_with("GRAPHQL_") && code != "BAD_REQUEST",
                "{}, {name:?}: {answer:#}",
                block.place
            );
        }
    }
}

/// What the page about cost promises of its examples.
pub(crate) async fn assert_costs(server: &Server) {
    let page = Page::read("docs/api/cost.md");
    let block = |info: &str| {
        let mut blocks = page.blocks();
        let at = blocks.iter().position(|block| block.info == info).unwrap();
        blocks.swap_remove(at)
    };
    let (_, answer) = server.send(None, &block("graphql").text, json!({})).await;
    assert!(page.text.contains("costs 1 + 24 × 3 points"));
    assert_eq!(answer["extensions"]["cost"]["requested"], 1 + 24 * 3, "{answer:#}");
    let shown: Value = serde_json::from_str(&block("json").text).unwrap();
    let aliases: Vec<String> = (0..150).map(|number| format!("a{number}: __typename")).collect();
    let (_, refused) = server.send(None, &format!("{{ {} }}", aliases.join(" ")), json!({})).await;
    assert_eq!(refused["errors"], shown["errors"]);
}
