//! The schema as a table of fields, with generated arguments.

use std::collections::HashMap;

use async_graphql::parser::{
    parse_schema,
    types::{
        BaseType, FieldDefinition, InputValueDefinition, Type, TypeDefinition, TypeKind, TypeSystemDefinition,
    },
};
use serde_json::{Map, Value, json};

/// The types of the schema, by name.
pub(crate) struct Schema(HashMap<String, TypeDefinition>);

/// An id, and the path of the argument or input field that receives it.
#[derive(Clone, Copy)]
pub(crate) struct Chosen<'a> {
    pub(crate) path: &'a [String],
    pub(crate) id: &'a str,
}

fn base(of: &Type) -> &str {
    match &of.base {
        BaseType::Named(name) => name.as_str(),
        BaseType::List(inner) => base(inner),
    }
}

impl Schema {
    pub(crate) fn read() -> Self {
        let document = parse_schema(api::sdl()).unwrap();
        let types = document.definitions.into_iter().filter_map(|definition| match definition {
            TypeSystemDefinition::Type(known) => Some((known.node.name.node.to_string(), known.node)),
            TypeSystemDefinition::Schema(_) | TypeSystemDefinition::Directive(_) => None,
        });
        Self(types.collect())
    }

    /// Returns the names of all object types.
    pub(crate) fn objects(&self) -> Vec<&str> {
        let mut names: Vec<_> =
            self.0.keys().map(String::as_str).filter(|name| !self.fields(name).is_empty()).collect();
        names.sort_unstable();
        names
    }

    /// Returns the fields of an object type, in the order of the schema.
    pub(crate) fn fields(&self, name: &str) -> Vec<&FieldDefinition> {
        match self.0.get(name).map(|known| &known.kind) {
            Some(TypeKind::Object(object)) => object.fields.iter().map(|field| &field.node).collect(),
            _ => Vec::new(),
        }
    }

    pub(crate) fn implements(&self, name: &str, interface: &str) -> bool {
        match self.0.get(name).map(|known| &known.kind) {
            Some(TypeKind::Object(object)) => object.implements.iter().any(|known| known.node == interface),
            _ => false,
        }
    }

    fn inputs(&self, name: &str) -> Vec<&InputValueDefinition> {
        match self.0.get(name).map(|known| &known.kind) {
            Some(TypeKind::InputObject(input)) => input.fields.iter().map(|field| &field.node).collect(),
            _ => Vec::new(),
        }
    }

    /// Returns the type of a field without lists and nullability.
    pub(crate) fn leads_to<'a>(&self, field: &'a FieldDefinition) -> &'a str {
        base(&field.ty.node)
    }

    /// Returns the paths to all ids that a field takes.
    pub(crate) fn id_paths(&self, field: &FieldDefinition) -> Vec<Vec<String>> {
        let mut paths = Vec::new();
        for argument in &field.arguments {
            self.ids_below(&argument.node, Vec::new(), &mut paths);
        }
        paths
    }

    fn ids_below(&self, input: &InputValueDefinition, mut path: Vec<String>, paths: &mut Vec<Vec<String>>) {
        path.push(input.name.node.to_string());
        match base(&input.ty.node) {
            "ID" => paths.push(path),
            other => {
                for field in self.inputs(other) {
                    self.ids_below(field, path.clone(), paths);
                }
            }
        }
    }

    /// Returns a request for one field with generated values for all required arguments. Ids come from `ids`.
    pub(crate) fn ask(
        &self,
        kind: &str,
        field: &FieldDefinition,
        chosen: Option<Chosen<'_>>,
        ids: &dyn Fn(&[String]) -> String,
    ) -> Value {
        let mut variables = Map::new();
        let (mut declared, mut given) = (Vec::new(), Vec::new());
        for argument in &field.arguments {
            let name = argument.node.name.node.as_str();
            if let Some(value) = self.value(&argument.node, &mut Vec::new(), chosen, ids) {
                variables.insert(name.to_owned(), value);
                declared.push(format!("${name}: {}", argument.node.ty.node));
                given.push(format!("{name}: ${name}"));
            }
        }
        let bracket = |words: &[String]| {
            if words.is_empty() { String::new() } else { format!("({})", words.join(", ")) }
        };
        let target = self.leads_to(field);
        let selection = match self.0.get(target).map(|known| &known.kind) {
            Some(TypeKind::Object(object))
                if object.fields.iter().any(|field| field.node.name.node == "errors") =>
            {
                " { errors { code path } }"
            }
            Some(TypeKind::Object(_)) if target.ends_with("Connection") => " { totalCount }",
            Some(TypeKind::Object(_) | TypeKind::Interface(_) | TypeKind::Union(_)) => " { __typename }",
            _ => "",
        };
        let query =
            format!("{kind}{} {{ {}{}{selection} }}", bracket(&declared), field.name.node, bracket(&given));
        json!({ "query": query, "variables": variables })
    }

    fn value(
        &self,
        input: &InputValueDefinition,
        path: &mut Vec<String>,
        chosen: Option<Chosen<'_>>,
        ids: &dyn Fn(&[String]) -> String,
    ) -> Option<Value> {
        path.push(input.name.node.to_string());
        let wanted = chosen.is_some_and(|chosen| chosen.path.starts_with(path.as_slice()));
        let required = !input.ty.node.nullable && input.default_value.is_none();
        let value = (required || wanted).then(|| {
            let one = self.one(base(&input.ty.node), path, chosen, ids);
            if matches!(input.ty.node.base, BaseType::List(_)) { json!([one]) } else { one }
        });
        path.pop();
        value
    }

    fn one(
        &self,
        name: &str,
        path: &mut Vec<String>,
        chosen: Option<Chosen<'_>>,
        ids: &dyn Fn(&[String]) -> String,
    ) -> Value {
        match (name, self.0.get(name).map(|known| &known.kind)) {
            // Exactly one field of these inputs must be set.
            ("DepositInput", _) => json!({ "percent": "25" }),
            ("BalanceInput", _) => json!({ "beforeShipping": true }),
            ("ID", _) => match chosen {
                Some(chosen) if chosen.path == path.as_slice() => json!(chosen.id),
                Some(_) | None => json!(ids(path)),
            },
            (_, Some(TypeKind::Enum(known))) => json!(known.values[0].node.value.node.as_str()),
            (_, Some(TypeKind::InputObject(_))) => {
                let fields = self.inputs(name).into_iter();
                fields
                    .filter_map(|field| {
                        Some((field.name.node.to_string(), self.value(field, path, chosen, ids)?))
                    })
                    .collect()
            }
            _ => scalar(name, path.last().map_or("", String::as_str)),
        }
    }
}

/// Returns a value that is valid enough to reach the permission check.
fn scalar(kind: &str, name: &str) -> Value {
    match (kind, name) {
        ("Int" | "Float", _) => json!(1),
        ("Boolean", _) => json!(true),
        ("Decimal", "rate" | "percent") => json!("19"),
        ("Decimal", _) => json!("100.00"),
        ("CurrencyCode", _) => json!("EUR"),
        ("DateTime", "closesAt") => json!("2026-03-05T10:00:00Z"),
        ("DateTime", _) => json!("2026-03-04T10:00:00Z"),
        ("NaiveDate", _) => json!("2026-03-04"),
        ("Upload", _) => json!("upload:0"),
        ("String", "email") => json!("new@example.org"),
        ("String", "creator") => json!("salt-glaze"),
        ("String", "slug") => json!("mugs"),
        ("String", "country") => json!("DE"),
        ("String", "timeZone") => json!("Europe/Berlin"),
        ("String", "kind") => json!("send_mail"),
        ("String", "sku") => json!("SKU-1"),
        ("String", "postalCode") => json!("10115"),
        ("String", "paymentMethod") => json!("pm_sandbox_success"),
        ("String", _) => json!("some-words-1"),
        other => panic!("make up a value for {other:?}"),
    }
}
