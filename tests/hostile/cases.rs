//! The hostile requests, each with the expected response.

use serde_json::{Value, json};

/// The expected response.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Expected {
    /// The status 400 with the code `DOCUMENT_TOO_COSTLY` and exactly this message.
    Limit(&'static str),
    /// This status and this code, with a message that contains this text.
    Error(u16, &'static str, &'static str),
    /// Data without errors: the request is not too costly.
    Answer,
}

pub(crate) struct Case {
    pub(crate) what: &'static str,
    pub(crate) content_type: &'static str,
    pub(crate) body: Vec<u8>,
    pub(crate) expected: Expected,
}

use Expected::{Answer, Error, Limit};

/// A case with a document.
fn query(what: &'static str, query: &str, expected: Expected) -> Case {
    with(what, query, json!({}), expected)
}

/// A case with a document and variables.
fn with(what: &'static str, query: &str, variables: Value, expected: Expected) -> Case {
    body(what, json!({ "query": query, "variables": variables }).to_string(), expected)
}

fn body(what: &'static str, body: impl Into<Vec<u8>>, expected: Expected) -> Case {
    Case { what, content_type: "application/json", body: body.into(), expected }
}

fn times(count: usize, part: impl Fn(usize) -> String) -> String {
    (0..count).map(part).collect()
}

fn same(count: usize, part: &str) -> String {
    part.repeat(count)
}

/// Returns a document with `depth` fragments, each of which spreads the next one twice.
pub(crate) fn bomb(depth: usize) -> String {
    let levels =
        times(depth, |level| format!("fragment F{level} on Query {{ ...F{0} ...F{0} }} ", level + 1));
    format!("query {{ ...F0 }} {levels} fragment F{depth} on Query {{ __typename }}")
}

/// Returns a document of the maximum length in which every field is invalid.
pub(crate) fn wrong_everywhere() -> String {
    format!("{{ viewer {{ {} }} }}", times(3_900, |n| format!("kin{n} ")))
}

/// Returns the introspection query of graphql-js.
pub(crate) fn introspection() -> String {
    let wrapped = "ofType { name kind ".repeat(9) + &" }".repeat(9);
    format!(
        "query IntrospectionQuery {{ __schema {{ queryType {{ name kind }} mutationType {{ name kind }}
         subscriptionType {{ name kind }} types {{ ...FullType }}
         directives {{ name description locations args {{ ...InputValue }} }} }} }}
         fragment FullType on __Type {{ kind name description
         fields(includeDeprecated: true) {{ name description args {{ ...InputValue }} type {{ ...TypeRef }}
         isDeprecated deprecationReason }} inputFields {{ ...InputValue }} interfaces {{ ...TypeRef }}
         enumValues(includeDeprecated: true) {{ name description isDeprecated deprecationReason }}
         possibleTypes {{ ...TypeRef }} }}
         fragment InputValue on __InputValue {{ name description type {{ ...TypeRef }} defaultValue }}
         fragment TypeRef on __Type {{ kind name {wrapped} }}"
    )
}

const INVALID: &str = "GRAPHQL_VALIDATION_FAILED";
const UNREADABLE: &str = "GRAPHQL_PARSE_FAILED";
const NO_REQUEST: &str = "BAD_REQUEST";

pub(crate) fn all() -> Vec<Case> {
    [documents(), fragments(), schema_questions(), variables(), odd_bodies()].into_iter().flatten().collect()
}

#[expect(clippy::too_many_lines, reason = "this is a table of cases")]
fn documents() -> Vec<Case> {
    let slug = "query($s: String!) { creator(slug: $s) { name } }";
    vec![
        query(
            "10,000 aliases",
            &format!("{{ {} }}", times(10_000, |n| format!("a{n}:a "))),
            Limit("tokens: 30002, at most 4000"),
        ),
        query(
            "1,300 aliases",
            &format!("{{ {} }}", times(1_300, |n| format!("a{n}:a "))),
            Limit("aliases: 1300, at most 100"),
        ),
        query(
            "one field 50,000 times",
            &format!("{{ {} }}", same(50_000, "a ")),
            Limit("tokens: 50002, at most 4000"),
        ),
        query(
            "one field 3,900 times",
            &format!("{{ {} }}", same(3_900, "__typename ")),
            Limit("root fields: 3900, at most 50"),
        ),
        query(
            "one field 3,900 times, inside",
            &format!("{{ viewer {{ {} }} }}", same(3_900, "kind ")),
            Answer,
        ),
        query(
            "5,000 directives",
            &format!("{{ a {} }}", same(5_000, "@a ")),
            Limit("tokens: 10003, at most 4000"),
        ),
        query(
            "1,900 directives",
            &format!("{{ a {} }}", same(1_900, "@a ")),
            Limit("directives: 1900, at most 100"),
        ),
        query("100 directives", &format!("{{ __typename {} }}", same(100, "@skip(if:true)")), Answer),
        query(
            "100 kB of tokens",
            &format!("{{ {} }}", same(25_000, "a{} ")),
            Limit("tokens: 75002, at most 4000"),
        ),
        query("100 kB of commas", &format!("{{ __typename {} }}", same(100_000, ",")), Answer),
        query("100 kB of comments", &format!("{{ __typename \n{} }}", same(16_000, "#{[(\n")), Answer),
        query(
            "100 kB in one text",
            &format!("{{ creator(slug: \"{}\") {{ name }} }}", same(100_000, "x")),
            Answer,
        ),
        query("40,000 brackets", &same(40_000, "{"), Limit("tokens: 40000, at most 4000")),
        query("3,000 brackets", &same(3_000, "[{("), Limit("tokens: 9000, at most 4000")),
        query(
            "lists 1,000 deep",
            &format!("{{ a(b: {}{}) }}", same(1_000, "["), same(1_000, "]")),
            Limit("nesting: 1002, at most 50"),
        ),
        query(
            "lists 40 deep",
            &format!("{{ node(id: {}{}) {{ id }} }}", same(40, "["), same(40, "]")),
            Error(400, INVALID, ""),
        ),
        query(
            "objects 1,000 deep",
            &format!("{{ a(b: {}1{}) }}", same(900, "{a:"), same(900, "}")),
            Limit("nesting: 902, at most 50"),
        ),
        query(
            "fields 600 deep",
            &format!("{}{}", same(600, "{a"), same(600, "}")),
            Limit("nesting: 600, at most 50"),
        ),
        query(
            "fields 16 deep",
            &format!("{}{}", same(16, "{a"), same(16, "}")),
            Limit("depth: 16, at most 15"),
        ),
        query(
            "inline fragments 49 deep",
            &format!("{}__typename{}", same(49, "{...on Query"), same(49, "}")),
            Error(400, UNREADABLE, ""),
        ),
        query(
            "inline fragments 40 deep, around fields that conflict",
            &format!(
                "{{ viewer {} {{ {} }} {} }}",
                same(40, "{...on Viewer "),
                times(600, |n| format!("kind(a:{n}) ")),
                same(40, "}")
            ),
            Error(400, INVALID, ""),
        ),
        query("a page of pages", DEAR, Limit("complexity: 123201, at most 20000")),
        query(
            "2,000 ids",
            &format!("{{ nodes(ids: [{}]) {{ id }} }}", same(2_000, "\"a\"")),
            Error(200, "BAD_USER_INPUT", "100"),
        ),
        query(
            "a name of 90 kB",
            &format!("{{ {} }}", same(90_000, "a")),
            Limit("name bytes: 90000, at most 200"),
        ),
        query("unknown fields, 3,900", &wrong_everywhere(), Error(400, INVALID, "")),
        query(
            "unknown fields with long names",
            &format!(
                "{{ viewer {{ {} }} }}",
                times(490, |n| format!("{}{n:03} ", same(195, "kind").get(..195).unwrap()))
            ),
            Error(400, INVALID, ""),
        ),
        query(
            "unknown arguments",
            &format!("{{ viewer({}) {{ kind }} }}", times(1_200, |n| format!("a{n}:1 "))),
            Error(400, INVALID, ""),
        ),
        query(
            "700 operations",
            &times(700, |n| format!("query A{n}{{a}}")),
            Error(400, NO_REQUEST, "operationName"),
        ),
        query(
            "a number of 90,000 digits",
            &format!("{{ drops(first: {}) {{ totalCount }} }}", same(90_000, "9")),
            Error(400, UNREADABLE, "number"),
        ),
        query(
            "a number beyond all bounds",
            "{ drops(first: 1e999) { totalCount } }",
            Error(400, UNREADABLE, "number"),
        ),
        query(
            "a large number",
            "{ drops(first: 99999999999999999999) { totalCount } }",
            Error(400, INVALID, ""),
        ),
        query(
            "a negative size",
            "{ drops(first: -9223372036854775808) { totalCount } }",
            Error(200, "BAD_USER_INPUT", ""),
        ),
        query("NUL and friends", "{ \u{0}\u{1}\u{202e} }", Error(400, UNREADABLE, "")),
        query("an open text", &format!("{{ a(b: \"{} }}", same(20_000, "\\\"")), Error(400, UNREADABLE, "")),
        query("nothing", "", Error(400, UNREADABLE, "")),
        with("a text of 90 kB as a slug", slug, json!({ "s": same(90_000, "x") }), Answer),
        with(
            "another's name in every script",
            slug,
            json!({ "s": "\u{202e}\u{0}é🏺".repeat(5_000) }),
            Answer,
        ),
    ]
}

/// A document with many nested lists.
const DEAR: &str = "{ drops(first: 100) { nodes { items { variant { product { variants { \
     product { variants { sku } } } } } } } } }";

fn fragments() -> Vec<Case> {
    let chain = times(490, |n| format!("fragment F{n} on Query {{ ...F{} }} ", n + 1));
    vec![
        query("1 kB of doubling fragments", &bomb(30), Limit("selections: 3221225471, at most 5000")),
        query("300 doubling fragments", &bomb(300), Limit("selections: 18446744073709551615, at most 5000")),
        query(
            "fragments in a circle",
            "{ ...A } fragment A on Query { ...B } fragment B on Query { ...A }",
            Error(400, INVALID, "contains itself"),
        ),
        query(
            "a chain of 490 fragments",
            &format!("{{ ...F0 }} {chain} fragment F490 on Query {{ a }}"),
            Limit("nesting: 492, at most 50"),
        ),
        query(
            "480 unused fragments",
            &format!("{{ a }} {}", times(480, |n| format!("fragment F{n} on Query {{ a }} "))),
            Error(400, INVALID, ""),
        ),
        query(
            "1,900 unknown fragments",
            &format!("{{ {} }}", times(1_900, |n| format!("...F{n} "))),
            Error(400, INVALID, ""),
        ),
        query(
            "4,900 fields by way of fragments",
            &format!(
                "{{ viewer {{ {} }} }} fragment F on Viewer {{ {} }}",
                same(70, "...F "),
                same(69, "kind ")
            ),
            Answer,
        ),
    ]
}

fn schema_questions() -> Vec<Case> {
    let circle = |times: usize| {
        format!(
            "{{ __schema {{ types {{ {} name {} }} }} }}",
            same(times, "fields { type {"),
            same(times, "} }")
        )
    };
    let many = times(99, |n| format!("a{n}: types {{ fields {{ args {{ name }} }} }} "));
    vec![
        query("the schema as graphql-js asks", &introspection(), Answer),
        query("types and fields in circles", &circle(5), Limit("introspection lists: 5, at most 2")),
        query(
            "types within types",
            &format!("{{__schema{{types{{{} name {}}}}}}}", same(30, "ofType{"), same(30, "}")),
            Limit("introspection depth: 33, at most 20"),
        ),
        query(
            "all fields 99 times",
            &format!("{{ __schema {{ {many} }} }}"),
            Limit("introspection complexity: 2197900, at most 2000000"),
        ),
        query(
            "50 schemas",
            &format!("{{ {} }}", times(51, |n| format!("a{n}: __schema {{ description }} "))),
            Limit("root fields: 51, at most 50"),
        ),
    ]
}

fn variables() -> Vec<Case> {
    let declared =
        |count: usize| format!("query({}) {{ __typename }}", times(count, |n| format!("$a{n}:Int ")));
    let deep = |levels: usize| format!("{}1{}", same(levels, "["), same(levels, "]"));
    let page = "query($n: Int) { drops(first: $n) { nodes { items { id stock { free } } } } }";
    let filter = "query($f: DropFilter) { drops(filter: $f) { nodes { id } } }";
    vec![
        query("900 variables", &declared(900), Limit("variables: 900, at most 100")),
        query("100 unused variables", &declared(100), Error(400, INVALID, "")),
        query(
            "1,900 undeclared variables",
            &format!("{{ nodes(ids: [{}]) {{ id }} }}", times(1_900, |n| format!("$a{n} "))),
            Error(400, INVALID, ""),
        ),
        with(
            "5,000 unknown variables",
            "{ __typename }",
            (0..5_000).map(|n| (format!("a{n}"), json!(n))).collect(),
            Limit("variables: 5000, at most 100"),
        ),
        with(
            "a list of 40,000",
            "{ __typename }",
            json!({ "a": vec![1; 40_000] }),
            Limit("values: 40001, at most 10000"),
        ),
        body(
            "lists 60 deep",
            format!("{{\"query\":\"{{ __typename }}\",\"variables\":{{\"a\":{}}}}}", deep(60)),
            Limit("nesting of values: 60, at most 20"),
        ),
        body(
            "lists 40,000 deep",
            format!("{{\"query\":\"{{ __typename }}\",\"variables\":{{\"a\":{}}}}}", deep(40_000)),
            Error(400, NO_REQUEST, ""),
        ),
        body(
            "a number beyond all bounds, sent",
            "{\"query\":\"{ __typename }\",\"variables\":{\"a\":1e999}}",
            Error(400, NO_REQUEST, ""),
        ),
        with(
            "a page of a billion",
            page,
            json!({ "n": 1_000_000_000 }),
            Error(200, "BAD_USER_INPUT", "first"),
        ),
        with("a size that is a list", page, json!({ "n": [1, 2] }), Error(400, INVALID, "")),
        with(
            "a filter of the wrong shape",
            filter,
            json!({ "f": [[[{ "phases": 7 }]]] }),
            Error(200, "BAD_USER_INPUT", ""),
        ),
        with(
            "5,000 fields of an input",
            filter,
            json!({ "f": (0..5_000).map(|n| (format!("a{n}"), json!(n))).collect::<Value>() }),
            Error(400, INVALID, ""),
        ),
        with(
            "9,000 phases",
            filter,
            json!({ "f": { "phases": vec!["OPEN"; 9_000] } }),
            Error(200, "BAD_USER_INPUT", "9000"),
        ),
    ]
}

fn odd_bodies() -> Vec<Case> {
    let typename = "{\"query\":\"{ __typename }\"}";
    let of_type = |what, content_type, expected| Case { content_type, ..body(what, typename, expected) };
    vec![
        body(
            "more than 100 kB",
            json!({ "query": "#".repeat(110_000) }).to_string(),
            Error(413, NO_REQUEST, ""),
        ),
        body("nothing at all", "", Error(400, NO_REQUEST, "")),
        body("null", "null", Error(400, NO_REQUEST, "")),
        body("a number", "7", Error(400, NO_REQUEST, "")),
        body("a text", "\"{ __typename }\"", Error(400, NO_REQUEST, "")),
        body("an empty object", "{}", Error(400, NO_REQUEST, "query")),
        body("a batch", format!("[{typename},{typename}]"), Error(400, NO_REQUEST, "")),
        body(
            "a batch of thousands",
            format!("[{}]", vec![typename; 3_000].join(",")),
            Error(400, NO_REQUEST, ""),
        ),
        body("a query that is a number", "{\"query\":7}", Error(400, NO_REQUEST, "")),
        body("half a body", "{\"query\":\"{ __type", Error(400, NO_REQUEST, "")),
        body("bad UTF-8", b"{\"query\":\"{ \xff\xfe\xc0\x80 }\"}".to_vec(), Error(400, NO_REQUEST, "")),
        body("half a pair of surrogates", "{\"query\":\"{ \\ud800 }\"}", Error(400, NO_REQUEST, "")),
        body("brackets without end", same(90_000, "["), Error(400, NO_REQUEST, "")),
        body("objects without end", same(18_000, "{\"a\":"), Error(400, NO_REQUEST, "")),
        body(
            "one name twice",
            "{\"query\":\"{ a }\",\"query\":\"{ __typename }\"}",
            Error(400, NO_REQUEST, ""),
        ),
        of_type("a form", "application/x-www-form-urlencoded", Error(415, NO_REQUEST, "")),
        of_type("plain text", "text/plain", Error(415, NO_REQUEST, "")),
        of_type("no type", "", Error(415, NO_REQUEST, "")),
        of_type("a type of nothing", ";;;=", Error(415, NO_REQUEST, "")),
    ]
}
