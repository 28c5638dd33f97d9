//! Tests with introspection queries: those of common tools pass, and cyclic ones are refused.

use async_graphql::Variables;

use super::*;

/// A tool and the parts in which its introspection query differs from those of other tools.
struct Tool {
    name: &'static str,
    /// Selected inside of `__schema {`, besides the common fields.
    schema: &'static str,
    /// Selected on directives.
    directive: &'static str,
    /// Selected on types, after the name and description.
    full_type: &'static str,
    /// The argument of `args` and `inputFields`.
    deprecated: &'static str,
    /// Selected on input values, after the default.
    input: &'static str,
    /// How many levels of `ofType` it selects.
    types_deep: usize,
}

const TOOLS: [Tool; 7] = [
    // getIntrospectionQuery(), which get-graphql-schema and the code generators of Relay and Apollo send too.
    Tool {
        name: "graphql-js 16",
        schema: "",
        directive: "",
        full_type: "",
        deprecated: "",
        input: "",
        types_deep: 9,
    },
    Tool {
        name: "graphql-js 14",
        schema: "",
        directive: "",
        full_type: "",
        deprecated: "",
        input: "",
        types_deep: 7,
    },
    Tool {
        name: "graphql-js 16 with all options",
        schema: "description",
        directive: "isRepeatable",
        full_type: "specifiedByURL isOneOf",
        deprecated: "(includeDeprecated: true)",
        input: "isDeprecated deprecationReason",
        types_deep: 9,
    },
    Tool {
        name: "graphql-js 17, deeper",
        schema: "description",
        directive: "isRepeatable",
        full_type: "specifiedByURL isOneOf",
        deprecated: "(includeDeprecated: true)",
        input: "isDeprecated deprecationReason",
        types_deep: 12,
    },
    Tool {
        name: "GraphiQL",
        schema: "description",
        directive: "isRepeatable",
        full_type: "specifiedByURL",
        deprecated: "(includeDeprecated: true)",
        input: "isDeprecated deprecationReason",
        types_deep: 9,
    },
    Tool {
        name: "rover",
        schema: "",
        directive: "",
        full_type: "",
        deprecated: "(includeDeprecated: true)",
        input: "isDeprecated deprecationReason",
        types_deep: 7,
    },
    Tool {
        name: "graphql-codegen",
        schema: "description",
        directive: "isRepeatable",
        full_type: "specifiedByURL",
        deprecated: "(includeDeprecated: true)",
        input: "isDeprecated deprecationReason",
        types_deep: 9,
    },
];

impl Tool {
    fn query(&self) -> String {
        let Self { schema, directive, full_type, deprecated, input, types_deep, .. } = self;
        let wrapped = "ofType { name kind ".repeat(*types_deep) + &" }".repeat(*types_deep);
        format!(
            "query IntrospectionQuery {{
               __schema {{
                 {schema} queryType {{ name kind }}
                 mutationType {{ name kind }} subscriptionType {{ name kind }}
                 types {{ ...FullType }}
                 directives {{ name description {directive} locations args{deprecated} {{ ...InputValue }} }}
               }}
             }}
             fragment FullType on __Type {{
               kind name description {full_type}
               fields(includeDeprecated: true) {{
                 name description args{deprecated} {{ ...InputValue }}
                 type {{ ...TypeRef }} isDeprecated deprecationReason
               }}
               inputFields{deprecated} {{ ...InputValue }}
               interfaces {{ ...TypeRef }}
               enumValues(includeDeprecated: true) {{ name description isDeprecated deprecationReason }}
               possibleTypes {{ ...TypeRef }}
             }}
             fragment InputValue on __InputValue {{
               name description type {{ ...TypeRef }} defaultValue {input}
             }}
             fragment TypeRef on __Type {{ kind name {wrapped} }}"
        )
    }
}

fn said(text: &str) -> Option<String> {
    let guard = Guard::new(Limits::default(), &market::MARKET);
    let chosen = guard.read(text).and_then(|document| guard.choose(&document, None, &Variables::default()));
    chosen.err().map(|refused| refused.error().message)
}

#[test]
fn introspection_queries_of_common_tools_are_admitted() {
    for tool in TOOLS {
        assert_eq!(said(&tool.query()), None, "{}", tool.name);
    }
    // Code generators ask this to find out which features a server supports.
    let features = "query Features {
        type: __type(name: \"__Type\") { fields { name } }
        directive: __type(name: \"__Directive\") { fields { name } }
        input: __type(name: \"__InputValue\") { fields { name } }
        field: __type(name: \"__Field\") { args: fields { args { name } } }
    }";
    assert_eq!(said(features), None);
    assert_eq!(
        said(
            "{ __type(name: \"Drop\") { kind fields { name type { name fields { name type { name } } } } } }"
        ),
        None
    );
}

#[test]
fn cyclic_introspection_is_refused() {
    let circle = |step: &str, times: usize, leaf: &str| {
        format!(
            "{{ __schema {{ types {{ {}{leaf}{} }} }} }}",
            step.repeat(times),
            "}".repeat(step.matches('{').count() * times)
        )
    };
    for (text, expected) in [
        (circle("fields { type { ", 3, "name"), "introspection lists: 3, at most 2"),
        (circle("possibleTypes { ", 3, "name"), "introspection lists: 3, at most 2"),
        (circle("interfaces { possibleTypes { ", 2, "name"), "introspection lists: 4, at most 2"),
        (circle("ofType { ", 30, "name"), "introspection depth: 33, at most 20"),
        (
            format!(
                "{{ __schema {{ {} }} }}",
                (0..99)
                    .map(|n| format!("a{n}: types {{ fields {{ args {{ name }} }} }} "))
                    .collect::<String>()
            ),
            "introspection complexity: 2197900, at most 2000000",
        ),
    ] {
        assert_eq!(said(&text).as_deref(), Some(expected), "{text}");
    }
}

#[test]
fn introspection_does_not_count_towards_depth_and_complexity() {
    let guard = Guard::new(Limits { depth_max: 2, complexity_max: 5, ..Limits::default() }, &market::MARKET);
    let document = guard.read(&TOOLS[0].query()).unwrap();
    let chosen = guard.choose(&document, None, &Variables::default()).unwrap();
    assert!(
        chosen.cost > 1_000 && document.is_long(),
        "introspection has a cost of its own: {}",
        chosen.cost
    );
}
