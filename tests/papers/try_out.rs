//! One demo for all that the pages promise of a running server.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;

use crate::papers::{
    commands::{Workshop, that_run},
    harness::{Server, Setup},
    operations::{SESSIONS, assert_costs, run_session, validate},
    pages::{Page, bare},
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_sessions_operations_and_commands_of_the_pages_run_on_a_demo() {
    let server = Server::start(Setup::demo()).await;
    for page in SESSIONS {
        run_session(&server, page).await;
    }
    for page in Page::all().iter().filter(|page| !SESSIONS.contains(&page.name.as_str())) {
        for block in page.blocks().iter().filter(|block| block.info == "graphql") {
            validate(&server, block).await;
        }
    }
    assert_costs(&server).await;

    let query = "{ drops(first: 1, filter: { phases: [OPEN] }) { nodes { slug creator { id slug } } } }";
    let data = server.graphql(None, query, json!({})).await;
    let drop = &data["drops"]["nodes"][0];
    let text = |value: &'_ serde_json::Value| value.as_str().unwrap().to_owned();
    let (id, slug) = (text(&drop["creator"]["id"]), text(&drop["creator"]["slug"]));
    let workshop = Workshop::new(&server, [&id, &slug], &text(&drop["slug"]));
    let blocks = that_run();
    assert!(blocks.len() > 5, "{blocks:#?}");
    for block in &blocks {
        workshop.run(block);
    }
    assert!(workshop.file("smallrun.toml").contains("shutdown_secs = 10"));
    assert!(workshop.file("schema.graphql").contains("type Query"));
    assert!(workshop.file("data/demo-buyers.json").starts_with('['));

    assert_metrics(&server).await;
}

/// Every metric that the server shows has a description, and the labels that its page names.
async fn assert_metrics(server: &Server) {
    let text = server.client().get(server.at("/metrics")).send().await.unwrap().text().await.unwrap();
    let rows = Page::read("docs/operate/metrics.md").rows("metric");
    let labels_of: BTreeMap<&str, BTreeSet<&str>> = rows
        .iter()
        .map(|row| (bare(&row[0]), row[1].split(", ").map(bare).filter(|label| !label.is_empty()).collect()))
        .collect();
    let mut seen = 0;
    for name in text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()) {
        assert!(text.contains(&format!("# HELP {name} ")), "{name} has no description");
        let expected = labels_of.get(name).unwrap_or_else(|| panic!("{name} is not on the page"));
        let samples = text.lines().filter_map(|line| {
            let rest = line.strip_prefix(name)?;
            let rest =
                ["_bucket", "_sum", "_count"].iter().find_map(|end| rest.strip_prefix(end)).unwrap_or(rest);
            rest.strip_prefix('{')?.rsplit_once("} ").map(|(labels, _)| labels)
        });
        for labels in samples {
            let labels: BTreeSet<&str> = labels
                .split("\",")
                .filter_map(|label| label.split_once("=\""))
                .map(|(label, _)| label)
                .filter(|label| *label != "le")
                .collect();
            assert_eq!(&labels, expected, "the labels of {name}");
        }
        seen += 1;
    }
    assert!(seen > 20, "{text}");
}
