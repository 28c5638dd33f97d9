//! The tables of settings, metrics, exit codes and other codes, beside the binary or its sources.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
};

use crate::papers::{
    harness::run,
    pages::{Page, bare, files, relative, root},
};

#[track_caller]
fn assert_same(page: &Page, shown: &BTreeSet<String>, known: &BTreeSet<String>) {
    let missing: Vec<_> = known.difference(shown).collect();
    let gone: Vec<_> = shown.difference(known).collect();
    assert!(
        missing.is_empty() && gone.is_empty(),
        "{}: the table lacks {missing:?}, and has {gone:?}, which the program does not have",
        page.name
    );
}

/// The first cells of a table.
fn names(page: &Page, title: &str) -> BTreeSet<String> {
    page.rows(title).iter().map(|row| bare(&row[0]).to_owned()).collect()
}

#[test]
fn every_setting_is_on_its_page_with_its_variable_and_its_default() {
    let printed = run(["config"]);
    assert_eq!(printed.code, Some(0), "{printed:#?}");
    // `key = value  # source`, or `# key =  # source` where there is no value.
    let mut defaults = BTreeMap::new();
    for line in printed.stdout.lines().filter_map(|line| line.strip_suffix("  # default")) {
        let (key, value) = match line.strip_prefix("# ") {
            Some(unset) => (unset.strip_suffix(" =").unwrap(), None),
            None => line.split_once(" = ").map(|(key, value)| (key, Some(value))).unwrap(),
        };
        let value = value.filter(|value| *value != "[]").map(|value| value.trim_matches('"').to_owned());
        defaults.insert(key.to_owned(), value);
    }
    let page = Page::read("docs/operate/configuration.md");
    let rows = page.rows("key");
    assert_same(&page, &names(&page, "key"), &defaults.keys().cloned().collect());
    for row in &rows {
        let [key, variable, default, about] = row.as_slice() else { panic!("{row:?} has four cells") };
        let key = bare(key);
        assert_eq!(bare(variable), format!("SMALLRUN_{}", key.to_uppercase()));
        assert!(about.ends_with('.'), "{key}: {about}");
        let of = |key: &str| defaults[key].clone().unwrap();
        let shown = match bare(default) {
            "none" | "made at the first start" => None,
            other if defaults.contains_key(other) => Some(of(other)),
            text => Some(text.replace("DATA", &of("data")).replace("LISTEN", &of("listen"))),
        };
        assert_eq!(shown, defaults[key], "the default of {key}");
    }
    assert_eq!(rows.len(), defaults.len(), "each setting has one row");
}

#[test]
fn every_exit_code_is_on_its_page_as_the_help_shows_it() {
    let help = run(["--help"]).stdout;
    let (_, table) = help.split_once("Exit codes:\n").expect("the help ends with the exit codes");
    let known: Vec<(&str, &str)> = table
        .lines()
        .filter_map(|line| line.trim().split_once(' '))
        .map(|(code, meaning)| (code, meaning.trim()))
        .collect();
    let rows = Page::read("docs/operate/exit-codes.md").rows("code");
    let shown: Vec<(&str, &str)> = rows.iter().map(|row| (row[0].as_str(), row[1].as_str())).collect();
    assert_eq!(shown, known);
}

#[test]
fn every_code_of_errors_is_on_the_page_about_requests() {
    let source = fs::read_to_string(root().join("edge/src/errors.rs")).unwrap();
    let known = source.lines().filter_map(|line| line.trim().strip_prefix("Self::")?.split_once(" => \""));
    let known = known.map(|(_, code)| code.trim_end_matches("\",").to_owned()).collect();
    let page = Page::read("docs/api/requests.md");
    assert_same(&page, &names(&page, "code"), &known);
}

#[test]
fn every_code_that_closes_a_socket_is_on_the_page_about_live_updates() {
    let source = fs::read_to_string(root().join("edge/src/http/live/message.rs")).unwrap();
    let known = source.split("Self::new(").skip(1).filter_map(|rest| rest.split(',').next());
    let known = known.map(str::to_owned).filter(|code| code.parse::<u16>().is_ok()).collect();
    let page = Page::read("docs/api/live-updates.md");
    assert_same(&page, &names(&page, "code"), &known);
}

#[test]
fn every_payment_method_of_the_sandbox_is_in_the_tutorial() {
    let source = fs::read_to_string(root().join("payments/src/sandbox/methods.rs")).unwrap();
    let known = source.split("= \"").skip(1).filter_map(|rest| rest.split('"').next());
    let known = known.filter(|name| name.starts_with("pm_")).map(str::to_owned).collect();
    let page = Page::read("docs/tutorial.md");
    assert_same(&page, &names(&page, "method"), &known);
}

/// The permissions that the tests of the broker give their user.
#[test]
fn the_user_of_the_broker_has_the_permissions_that_the_tests_have() {
    let page = Page::read("docs/operate/production.md");
    let command = page.text.lines().find(|line| line.starts_with("rabbitmqctl set_permissions")).unwrap();
    let shown: Vec<&str> = command.split('\'').skip(1).step_by(2).collect();
    let source = fs::read_to_string(root().join("testkit/src/broker.rs")).unwrap();
    let (_, list) = source.split_once("const MAY: ").unwrap();
    let known: Vec<&str> =
        list.split("r\"").skip(1).take(3).filter_map(|rest| rest.split('"').next()).collect();
    assert_eq!(shown, known);
}

/// The table of the binary, which describes metrics, lies between: it has what the crates record, and the
/// page has what it has.
#[test]
fn every_metric_is_described_and_on_its_page() {
    const TABLE: &str = "src/telemetry/metrics_table.rs";
    // The role of tenants, and what a test renders.
    const NO_METRICS: [&str; 2] = ["smallrun_tenant", "smallrun_up"];
    let (mut recorded, mut described) = (BTreeSet::new(), BTreeSet::new());
    for path in files() {
        let name = relative(&path);
        let in_product = ["api/src/", "domain/src/", "edge/src/", "payments/src/", "workers/src/", "src/"]
            .iter()
            .any(|folder| name.starts_with(folder));
        if !in_product || !name.ends_with(".rs") {
            continue;
        }
        let text = fs::read_to_string(&path).unwrap();
        let found = if name == TABLE { &mut described } else { &mut recorded };
        let whole = |name: &&str| name.chars().all(|sign| sign.is_ascii_lowercase() || sign == '_');
        for rest in text.split("\"smallrun_").skip(1) {
            let name = rest.split('"').next().filter(whole).map(|rest| format!("smallrun_{rest}"));
            found.extend(name.filter(|name| !NO_METRICS.contains(&name.as_str())));
        }
    }
    let undescribed: Vec<_> = recorded.difference(&described).collect();
    let unused: Vec<_> = described.difference(&recorded).collect();
    assert!(undescribed.is_empty() && unused.is_empty(), "{TABLE}: add {undescribed:?}, remove {unused:?}");
    let page = Page::read("docs/operate/metrics.md");
    assert_same(&page, &names(&page, "metric"), &described);
}
