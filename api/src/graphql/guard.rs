//! What a document may cost, decided before it is parsed, and again before it is validated.
//!
//! A parser recurses, and validation walks fragments wherever they are spread: `fragment F0 { ...F1 ...F1 }`, thirty times over,
//! is a kilobyte that would be walked for hours. So the text is first read as mere tokens, with bounds on their number and
//! nesting, and the parsed document is then weighed with each fragment weighed once. Both take time linear in the text.

use std::collections::HashMap;

use async_graphql::{
    Name, Pos, Positioned, ServerError,
    parser::{
        parse_query,
        types::{Directive, ExecutableDocument, FragmentDefinition, OperationType, Selection, SelectionSet},
    },
};

use super::errors::Code;

/// Bounds on a document.
#[derive(Debug, Clone, Copy)]
pub(crate) struct DocumentLimits {
    /// The most bytes of the text; long values belong into variables.
    pub(crate) bytes_max: usize,
    /// The most tokens.
    pub(crate) tokens_max: usize,
    /// The deepest nesting of brackets of all kinds: the parser recurses as deep.
    pub(crate) nesting_max: usize,
    /// The most aliases: with them one field is asked for many times.
    pub(crate) aliases_max: usize,
    /// The most directives.
    pub(crate) directives_max: usize,
    /// The most variables of one operation.
    pub(crate) variables_max: usize,
    /// The most fields and spreads once all fragments are in their places.
    pub(crate) selections_max: usize,
    /// The deepest nesting of fields. GraphiQL's introspection needs 15.
    pub(crate) depth_max: usize,
    /// The most that the fields may cost together; a list costs its size times its rows. A page of 24 drops with creator,
    /// items, variants, prices and stock fits.
    pub(crate) complexity_max: usize,
}

/// The bounds of every request.
pub(crate) const LIMITS: DocumentLimits = DocumentLimits {
    bytes_max: 64 * 1024,
    tokens_max: 4_000,
    nesting_max: 50,
    aliases_max: 100,
    directives_max: 100,
    variables_max: 100,
    selections_max: 5_000,
    depth_max: 15,
    complexity_max: 20_000,
};

/// A document that may be validated.
#[derive(Debug)]
pub(crate) struct Admitted {
    pub(crate) document: ExecutableDocument,
    /// The name of the operation that is to be run, if it has one.
    pub(crate) name: Option<String>,
    /// What kind of operation is to be run.
    pub(crate) operation: OperationType,
}

/// Reads a document and weighs it; `operation_name` says which of its operations is to be run.
pub(crate) fn admit(text: &str, operation_name: Option<&str>) -> Result<Admitted, ServerError> {
    let limits = &LIMITS;
    check_text(text, limits).map_err(|complaint| Code::TooCostly.server_error(complaint, None))?;
    let document = parse_query(text).map_err(|error| {
        let mut error = ServerError::from(error);
        Code::ParseFailed.mark(&mut error);
        error
    })?;
    check_document(&document, limits).map_err(|Complaint { message, at }| Code::TooCostly.server_error(message, at))?;
    let (name, operation) = chosen(&document, operation_name)?;
    Ok(Admitted { document, name, operation })
}

/// Which operation is meant (GraphQL, October 2021, section 6.1).
fn chosen(document: &ExecutableDocument, wanted: Option<&str>) -> Result<(Option<String>, OperationType), ServerError> {
    let mut operations = document.operations.iter();
    let found = match (wanted, operations.next(), operations.next()) {
        (None, only, None) => only,
        (None, _, Some(_)) => return Err(Code::BadRequest.server_error("several operations: say which by `operationName`", None)),
        (Some(wanted), _, _) => document.operations.iter().find(|(name, _)| name.is_some_and(|name| name.as_str() == wanted)),
    };
    let unknown = || Code::BadRequest.server_error("the document has no operation of that `operationName`", None);
    let (name, operation) = found.ok_or_else(unknown)?;
    Ok((name.map(ToString::to_string), operation.node.ty))
}

/// Bounds that need no parser. Whatever the parser would not take either is left to it.
fn check_text(text: &str, limits: &DocumentLimits) -> Result<(), String> {
    if text.len() > limits.bytes_max {
        return Err(format!("the document is longer than {} bytes: move values into variables", limits.bytes_max));
    }
    let (mut tokens, mut nesting) = (0_usize, 0_usize);
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        rest = match byte {
            b' ' | b'\t' | b'\r' | b'\n' | b',' => {
                rest = after;
                continue;
            }
            b'#' => {
                rest = skip_while(after, |byte| !matches!(byte, b'\n' | b'\r'));
                continue;
            }
            b'"' => skip_string(after),
            b'_' | b'a'..=b'z' | b'A'..=b'Z' => skip_while(after, |byte| byte == b'_' || byte.is_ascii_alphanumeric()),
            b'-' | b'0'..=b'9' => skip_while(after, |byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'+' | b'-')),
            b'.' => skip_while(after, |byte| byte == b'.'),
            b'{' | b'[' | b'(' => {
                nesting = nesting.saturating_add(1);
                after
            }
            b'}' | b']' | b')' => {
                nesting = nesting.saturating_sub(1);
                after
            }
            _ => after,
        };
        tokens = tokens.saturating_add(1);
        if tokens > limits.tokens_max {
            return Err(format!("the document has more than {} tokens", limits.tokens_max));
        }
        if nesting > limits.nesting_max {
            return Err(format!("the document's brackets are nested more than {} deep", limits.nesting_max));
        }
    }
    Ok(())
}

fn skip_while(bytes: &[u8], matches: impl Fn(u8) -> bool) -> &[u8] {
    let end = bytes.iter().position(|byte| !matches(*byte)).unwrap_or(bytes.len());
    bytes.get(end..).unwrap_or_default()
}

/// Skips the rest of a string whose first quote is read. One that does not end on its line is no string.
fn skip_string(bytes: &[u8]) -> &[u8] {
    if let Some(mut rest) = bytes.strip_prefix(b"\"\"") {
        while let Some((_, after)) = rest.split_first() {
            if let Some(after) = rest.strip_prefix(b"\"\"\"") {
                return after;
            }
            rest = rest.strip_prefix(b"\\\"\"\"").unwrap_or(after);
        }
        return rest;
    }
    let mut rest = bytes;
    while let Some((byte, after)) = rest.split_first() {
        match byte {
            b'"' => return after,
            b'\n' | b'\r' => return rest,
            // An escaped line end is none.
            b'\\' if !matches!(after.first(), Some(b'\n' | b'\r')) => rest = after.get(1..).unwrap_or_default(),
            _ => rest = after,
        }
    }
    rest
}

struct Complaint {
    message: String,
    at: Option<Pos>,
}

impl Complaint {
    fn at(at: Pos, message: impl Into<String>) -> Self {
        Self { message: message.into(), at: Some(at) }
    }
}

fn check_document(document: &ExecutableDocument, limits: &DocumentLimits) -> Result<(), Complaint> {
    let mut scales = Scales { document, limits, fragments: HashMap::new(), aliases: 0, directives: 0 };
    let mut selections = 0_usize;
    for (_, operation) in document.operations.iter() {
        if operation.node.variable_definitions.len() > limits.variables_max {
            return Err(Complaint::at(operation.pos, format!("an operation has more than {} variables", limits.variables_max)));
        }
        scales.count_directives(&operation.node.directives, operation.pos)?;
        for variable in &operation.node.variable_definitions {
            scales.count_directives(&variable.node.directives, variable.pos)?;
        }
        selections = selections.saturating_add(scales.weigh(&operation.node.selection_set)?);
        scales.check_weight(selections, operation.pos)?;
    }
    // Unused ones too: validation walks them.
    for (name, fragment) in &document.fragments {
        let weight = scales.weigh_fragment(name, fragment)?;
        scales.check_weight(weight, fragment.pos)?;
    }
    Ok(())
}

/// What is known of a fragment while the document is weighed.
#[derive(Clone, Copy)]
enum Fragment {
    /// Being weighed: meeting it again is a circle.
    Open,
    /// So many selections, its own fragments in place.
    Weighed(usize),
}

struct Scales<'a> {
    document: &'a ExecutableDocument,
    limits: &'a DocumentLimits,
    fragments: HashMap<&'a Name, Fragment>,
    aliases: usize,
    directives: usize,
}

impl<'a> Scales<'a> {
    /// The selections of a set, with all fragments in their places. Recurses as deep as brackets and fragments are nested,
    /// which the bounds on the text keep shallow.
    fn weigh(&mut self, set: &'a Positioned<SelectionSet>) -> Result<usize, Complaint> {
        let mut weight = 0_usize;
        for selection in &set.node.items {
            self.count_directives(selection.node.directives(), selection.pos)?;
            let inside = match &selection.node {
                Selection::Field(field) => {
                    if field.node.alias.is_some() {
                        self.aliases = self.aliases.saturating_add(1);
                        if self.aliases > self.limits.aliases_max {
                            return Err(Complaint::at(
                                field.pos,
                                format!("the document has more than {} aliases", self.limits.aliases_max),
                            ));
                        }
                    }
                    self.weigh(&field.node.selection_set)?
                }
                Selection::InlineFragment(fragment) => self.weigh(&fragment.node.selection_set)?,
                Selection::FragmentSpread(spread) => match self.document.fragments.get_key_value(&spread.node.fragment_name.node) {
                    Some((name, fragment)) => self.weigh_fragment(name, fragment)?,
                    // Validation says that it is unknown.
                    None => 0,
                },
            };
            weight = weight.saturating_add(1).saturating_add(inside);
        }
        Ok(weight)
    }

    fn weigh_fragment(&mut self, name: &'a Name, fragment: &'a Positioned<FragmentDefinition>) -> Result<usize, Complaint> {
        match self.fragments.get(name) {
            Some(Fragment::Weighed(weight)) => return Ok(*weight),
            Some(Fragment::Open) => return Err(Complaint::at(fragment.pos, format!("the fragment `{name}` contains itself"))),
            None => {}
        }
        self.fragments.insert(name, Fragment::Open);
        self.count_directives(&fragment.node.directives, fragment.pos)?;
        let weight = self.weigh(&fragment.node.selection_set)?;
        self.fragments.insert(name, Fragment::Weighed(weight));
        Ok(weight)
    }

    fn check_weight(&self, weight: usize, at: Pos) -> Result<(), Complaint> {
        if weight <= self.limits.selections_max {
            return Ok(());
        }
        let message =
            format!("the document selects more than {} fields, counting fragments where they are used", self.limits.selections_max);
        Err(Complaint::at(at, message))
    }

    fn count_directives(&mut self, directives: &[Positioned<Directive>], at: Pos) -> Result<(), Complaint> {
        self.directives = self.directives.saturating_add(directives.len());
        if self.directives <= self.limits.directives_max {
            return Ok(());
        }
        Err(Complaint::at(at, format!("the document has more than {} directives", self.limits.directives_max)))
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    /// `depth` fragments, each of which spreads the next one twice.
    fn bomb(depth: usize) -> String {
        let mut text = "query { ...F0 }".to_owned();
        for level in 0..depth {
            let next = level + 1;
            text.push_str(&format!(" fragment F{level} on Query {{ ...F{next} ...F{next} }}"));
        }
        text + &format!(" fragment F{depth} on Query {{ __typename }}")
    }

    fn code(text: &str) -> Option<String> {
        let error = admit(text, None).err()?;
        let code = error.extensions.as_ref().and_then(|extensions| extensions.get("code").cloned());
        Some(code.map(|code| code.to_string()).unwrap_or_default())
    }

    #[test]
    fn doubling_fragments_are_refused_at_once() {
        let started = Instant::now();
        for depth in [13, 20, 30, 60, 300] {
            assert_eq!(code(&bomb(depth)).as_deref(), Some("\"DOCUMENT_TOO_COSTLY\""), "{depth}");
        }
        assert!(started.elapsed() < Duration::from_secs(1), "{:?}", started.elapsed());
        assert_eq!(code(&bomb(8)), None);
    }

    #[test]
    fn circles_of_fragments_are_refused() {
        for text in [
            "{ ...A } fragment A on Query { ...A }",
            "{ __typename } fragment A on Query { a { ...B } } fragment B on Query { ...A }",
        ] {
            assert_eq!(code(text).as_deref(), Some("\"DOCUMENT_TOO_COSTLY\""), "{text}");
        }
    }

    #[test]
    fn every_bound_holds() {
        let costly = Some("\"DOCUMENT_TOO_COSTLY\"");
        for (text, what) in [
            (format!("{{ {} }}", "a ".repeat(4_000)), "tokens"),
            (format!("{}{}", "{ a ".repeat(60), "}".repeat(60)), "nested selections"),
            (format!("{{ a(b: {}{}) }}", "[".repeat(60), "]".repeat(60)), "nested values"),
            (format!("{{ a(b: {}", "{c:".repeat(60)), "values that do not end"),
            ("#".repeat(70_000), "bytes"),
            (format!("{{ {} }}", (0..101).map(|n| format!("a{n}: b ")).collect::<String>()), "aliases"),
            (format!("{{ a {} }}", "@skip(if: false) ".repeat(101)), "directives"),
            (format!("query({}) {{ a }}", (0..101).map(|n| format!("$a{n}: Int ")).collect::<String>()), "variables"),
            (format!("{{ {} }} fragment F on Query {{ {} }}", "...F ".repeat(100), "a ".repeat(60)), "selections"),
        ] {
            assert_eq!(code(&text).as_deref(), costly, "{what}");
        }
        assert_eq!(code("{ a ").as_deref(), Some("\"GRAPHQL_PARSE_FAILED\""));
        assert_eq!(code("query A { a } query B { b }").as_deref(), Some("\"BAD_REQUEST\""));
    }

    #[test]
    fn what_stands_in_strings_and_comments_is_no_token() {
        let brackets = "[".repeat(100);
        for text in [
            format!("{{ a(b: \"{brackets} \\\" {brackets}\") }}"),
            format!("{{ a(b: \"\"\"{brackets} \\\"\"\" \" \n {brackets}\"\"\") }}"),
            format!("{{ a # {brackets}\n }}"),
        ] {
            assert_eq!(code(&text), None, "{text}");
        }
        // A string that does not end on its line hides nothing.
        assert!(code(&format!("{{ a(b: \"\n{brackets}\") }}")).is_some());
        assert_eq!(code(&format!("{{ a(b: \"\\\n{brackets}\") }}")).as_deref(), Some("\"DOCUMENT_TOO_COSTLY\""));
    }

    #[test]
    fn the_operation_is_the_one_that_is_named() {
        let document = "query A { a } mutation B { b }";
        let kind = |name| admit(document, name).map(|admitted| admitted.operation).ok();
        assert_eq!(kind(Some("A")), Some(OperationType::Query));
        assert_eq!(kind(Some("B")), Some(OperationType::Mutation));
        assert_eq!(kind(Some("C")), None);
        assert_eq!(kind(None), None);
    }
}
