//! Tests with hostile documents: each runs into its limit or yields a short error.

use std::time::{Duration, Instant};

use async_graphql::Variables;

use super::*;

fn guard(limits: Limits) -> Guard {
    Guard::new(limits, &market::MARKET)
}

/// Returns the error message of a document, or `None` when it is admitted.
fn said(guard: &Guard, text: &str) -> Option<String> {
    let admitted = guard.check_size(text, &Map::new()).and_then(|()| guard.read(text));
    let admitted = admitted.and_then(|document| guard.choose(&document, None, &Variables::default()));
    admitted.err().map(|refused| refused.error().message)
}

fn repeated(count: usize, part: impl Fn(usize) -> String) -> String {
    (0..count).map(part).collect()
}

/// Returns `depth` fragments, each of which spreads the next one twice.
fn bomb(depth: usize) -> String {
    let levels =
        repeated(depth, |level| format!("fragment F{level} on Query {{ ...F{0} ...F{0} }} ", level + 1));
    format!("query {{ ...F0 }} {levels} fragment F{depth} on Query {{ __typename }}")
}

#[test]
fn every_limit_is_reported_with_the_count_and_the_maximum() {
    let guard = guard(Limits::default());
    for (text, expected) in [
        (format!("{{ __typename }}{}", " ".repeat(110_000)), "bytes: 110014, at most 102400"),
        (format!("{{ {} }}", "a ".repeat(5_000)), "tokens: 5002, at most 4000"),
        (format!("{{ {} }}", "a".repeat(1_000)), "name bytes: 1000, at most 200"),
        (format!("{}{}", "{ a ".repeat(60), "}".repeat(60)), "nesting: 60, at most 50"),
        (format!("{{ a(b: {}{}) }}", "[".repeat(1_000), "]".repeat(1_000)), "nesting: 1002, at most 50"),
        (format!("{{ a(b: {}", "{c:".repeat(60)), "nesting: 62, at most 50"),
        (format!("{{ {} }}", repeated(990, |n| format!("a{n}:__typename "))), "aliases: 990, at most 100"),
        (format!("{{ __typename {} }}", "@skip(if: false) ".repeat(400)), "directives: 400, at most 100"),
        (format!("query @a {} {{ __typename }}", "@a ".repeat(100)), "directives: 101, at most 100"),
        (format!("query($a: Int {}) {{ __typename }}", "@a ".repeat(101)), "directives: 101, at most 100"),
        (
            format!("{{ __typename }} fragment F on Query {} {{ a }}", "@a ".repeat(101)),
            "directives: 101, at most 100",
        ),
        (
            format!("query({}) {{ __typename }}", repeated(900, |n| format!("$a{n}: Int "))),
            "variables: 900, at most 100",
        ),
        (format!("{{ {} }}", "__typename ".repeat(3_900)), "root fields: 3900, at most 50"),
        (
            format!("{{ ...F ...F }} fragment F on Query {{ {} }}", "a ".repeat(40)),
            "root fields: 80, at most 50",
        ),
        (
            format!("{{ {} }} fragment F on Query {{ {} }}", "...F ".repeat(100), "a ".repeat(60)),
            "selections: 6100, at most 5000",
        ),
        (format!("{}{}", "{ a ".repeat(16), "}".repeat(16)), "depth: 16, at most 15"),
        (
            "{ drops(first: 100) { nodes { items { variant { product { variants { product { \
             variants { sku } } } } } } } } }"
                .to_owned(),
            "complexity: 123201, at most 20000",
        ),
        (bomb(13), "selections: 24575, at most 5000"),
        (bomb(30), "selections: 3221225471, at most 5000"),
        (bomb(300), "selections: 18446744073709551615, at most 5000"),
        (
            "{ __typename } ".to_owned() + &bomb(30).replace("query { ...F0 }", ""),
            "selections: 3221225470, at most 5000",
        ),
    ] {
        let said = said(&guard, &text).unwrap_or_default();
        let shown: String = text.chars().take(120).collect();
        assert_eq!(said, expected, "{shown}");
    }
}

#[test]
fn a_chain_of_fragments_is_as_deep_as_what_it_nests() {
    let guard = guard(Limits::default());
    let chain = |length: usize| {
        let links = repeated(length, |n| format!("fragment F{n} on Query {{ ...F{} }} ", n + 1));
        format!("{{ ...F0 }} {links} fragment F{length} on Query {{ __typename }}")
    };
    assert_eq!(said(&guard, &chain(20)), None);
    // As long as the token limit allows, and deeper than recursion could handle.
    assert_eq!(said(&guard, &chain(490)).as_deref(), Some("nesting: 492, at most 50"));
}

#[test]
fn a_fragment_that_contains_itself_is_invalid() {
    let guard = guard(Limits::default());
    for text in [
        "{ ...A } fragment A on Query { ...A }",
        "{ __typename } fragment A on Query { a { ...B } } fragment B on Query { ...A }",
        "{ ...A } fragment A on Query { ...B ...B } fragment B on Query { ...C } \
         fragment C on Query { ...B }",
    ] {
        let said = said(&guard, text).unwrap_or_default();
        assert!(said.starts_with("the fragment `") && said.ends_with("` contains itself"), "{text}: {said}");
    }
    let twice = "{ ...A ...B } fragment A on Query { ...B } fragment B on Query { __typename }";
    assert_eq!(said(&guard, twice), None, "spreading a fragment twice is no cycle");
}

#[test]
fn an_unreadable_document_yields_one_short_line() {
    let guard = guard(Limits::default());
    for text in [
        "",
        "{",
        "{ a ",
        "query A { a } query A { b }",
        "{ a } { b }",
        "fragment F on Query { a }",
        "\u{0}",
        "{ a(b: \"\n\") }",
    ] {
        let said = said(&guard, text).unwrap_or_default();
        assert!(!said.is_empty() && !said.contains('\n') && said.len() < 300, "{text}: {said}");
    }
    let long = format!("{{ a(b: \"{}\" }}", "x".repeat(90_000));
    assert!(said(&guard, &long).is_some_and(|said| said.len() < 300));
}

#[test]
fn hostile_documents_are_refused_quickly() {
    let guard = guard(Limits::default());
    let began = Instant::now();
    for text in [
        bomb(30),
        bomb(300),
        "{".repeat(100_000),
        "a ".repeat(50_000),
        "\"".repeat(100_000),
        "[".repeat(100_000),
    ] {
        assert!(said(&guard, &text).is_some());
    }
    // The bound allows for a debug build and for other tests running at the same time.
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
}

#[test]
fn lists_cost_their_size_times_their_rows() {
    let guard = guard(Limits::default());
    let cost = |text: &str, variables: serde_json::Value| {
        let document = guard.read(text).unwrap();
        guard.choose(&document, None, &Variables::from_json(variables)).unwrap().cost
    };
    let none = || serde_json::json!({});
    for (text, variables, expected) in [
        ("{ __typename }", none(), 1),
        ("{ viewer { kind } }", none(), 2),
        ("{ drops { nodes { id } } }", none(), 1 + 20 * 2),
        ("{ drops(first: 24) { nodes { id slug } } }", none(), 1 + 24 * 3),
        ("{ drops(last: 7) { nodes { id slug } } }", none(), 1 + 7 * 3),
        ("{ drops(first: 1000) { nodes { id } } }", none(), 1 + 100 * 2),
        ("{ drops(first: -1) { nodes { id } } }", none(), 1 + 2),
        ("{ drops(first: 3) { totalCount pageInfo { hasNextPage } } }", none(), 1 + 3 * (5 + 2)),
        ("query($n: Int) { drops(first: $n) { nodes { id } } }", serde_json::json!({ "n": 50 }), 1 + 50 * 2),
        ("query($n: Int = 30) { drops(first: $n) { nodes { id } } }", none(), 1 + 30 * 2),
        ("query($n: Int) { drops(first: $n) { nodes { id } } }", none(), 1 + 20 * 2),
        ("{ nodes(ids: [\"a\", \"b\", \"c\"]) { id } }", none(), 1 + 3),
        ("query($i: [ID!]!) { nodes(ids: $i) { id } }", serde_json::json!({ "i": ["a", "b"] }), 1 + 2),
        ("{ drops(first: 2) { nodes { items { id } } } }", none(), 1 + 2 * (1 + (1 + 10))),
        (
            "{ drops(first: 2) { ...P } } fragment P on DropConnection { nodes { items { id } } }",
            none(),
            1 + 2 * (1 + (1 + 10)),
        ),
        ("{ node(id: \"x\") { ... on Drop { items { id } } } }", none(), 1 + (1 + 10)),
        ("{ nothing { at { all } } }", none(), 3),
    ] {
        assert_eq!(cost(text, variables), expected, "{text}");
    }
}

#[test]
fn the_operation_is_the_one_that_is_named() {
    let guard = guard(Limits::default());
    let document = guard
        .read("query A { drops { nodes { id } } } mutation B { sessionSignOut { errors { code } } }")
        .unwrap();
    let chosen = |name| {
        guard.choose(&document, name, &Variables::default()).map(|chosen| (chosen.kind, chosen.cost)).ok()
    };
    assert_eq!(chosen(Some("A")), Some((OperationType::Query, 41)));
    assert_eq!(chosen(Some("B")), Some((OperationType::Mutation, 12)));
    assert_eq!(chosen(Some("C")), None);
    assert_eq!(chosen(None), None);
}
