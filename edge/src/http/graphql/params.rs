//! The parameters of a GraphQL request, from a JSON body or a query string.
//!
//! Parameters unknown to GraphQL over HTTP are ignored, as it requires. Known ones must have the right type.

use actix_web::{HttpRequest, http::header::CONTENT_TYPE, web};
use serde::Deserialize;
use serde_json::{Map, Value};

/// The parameters of a request, as in GraphQL over HTTP.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::http) struct GraphqlParams {
    pub(in crate::http) query: Option<String>,
    pub(in crate::http) operation_name: Option<String>,
    pub(in crate::http) variables: Option<Map<String, Value>>,
    pub(in crate::http) extensions: Option<Map<String, Value>>,
    /// The id of a known document, in place of `query`.
    pub(in crate::http) document_id: Option<String>,
}

/// The parameters in a query string, where objects are JSON text.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ParamsByUrl {
    query: Option<String>,
    operation_name: Option<String>,
    variables: Option<String>,
    extensions: Option<String>,
    document_id: Option<String>,
}

/// The content of a POST body, by its `BodyKind-Type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BodyKind {
    /// A single request.
    Json,
    /// A request with files. It needs a header that no form can send ([`multipart`](super::multipart)).
    Multipart,
}

impl BodyKind {
    /// Parses the header; the error is a sentence. Only content types that browsers send to another origin
    /// after a preflight are accepted, so neither those of forms nor a missing one.
    pub(super) fn of(request: &HttpRequest) -> Result<Self, &'static str> {
        const SEND_JSON: &str = "send `Content-Type: application/json`";
        let mut lines = request.headers().get_all(CONTENT_TYPE);
        let (Some(line), None) = (lines.next(), lines.next()) else { return Err(SEND_JSON) };
        let mut parts = line.to_str().map_err(|_| SEND_JSON)?.split(';').map(str::trim);
        let essence = parts.next().unwrap_or_default();
        let mut charsets = parts
            .filter_map(|part| part.split_once('='))
            .filter(|(name, _)| name.trim().eq_ignore_ascii_case("charset"));
        if essence.eq_ignore_ascii_case("multipart/form-data") {
            Ok(Self::Multipart)
        } else if !essence.eq_ignore_ascii_case("application/json") {
            Err(SEND_JSON)
        } else if charsets.all(|(_, charset)| is_utf8(charset)) {
            Ok(Self::Json)
        } else {
            Err("no other charset is supported: send the body in UTF-8")
        }
    }
}

/// Returns whether this is UTF-8, in one of its common spellings.
pub(super) fn is_utf8(charset: &str) -> bool {
    let charset = charset.trim().trim_matches('"');
    charset.eq_ignore_ascii_case("utf-8") || charset.eq_ignore_ascii_case("utf8")
}

impl GraphqlParams {
    /// Parses a JSON body; the error is a sentence.
    pub(super) fn from_json(body: &[u8]) -> Result<Self, String> {
        if body.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'[') {
            return Err("batches are not supported: send one operation per request".to_owned());
        }
        serde_json::from_slice(body).map_err(|_| complaint(body))
    }

    /// Parses a query string; the error is a sentence.
    pub(in crate::http) fn from_url(query_string: &str) -> Result<Self, String> {
        let asked = web::Query::<ParamsByUrl>::from_query(query_string);
        let asked = asked.map_err(|_| "the query string is malformed or repeats a parameter")?.into_inner();
        Ok(Self {
            query: asked.query,
            operation_name: asked.operation_name,
            variables: object("variables", asked.variables.as_deref())?,
            extensions: object("extensions", asked.extensions.as_deref())?,
            document_id: asked.document_id,
        })
    }
}

fn object(name: &str, text: Option<&str>) -> Result<Option<Map<String, Value>>, String> {
    let Some(text) = text.filter(|text| !text.is_empty()) else { return Ok(None) };
    serde_json::from_str(text).map_err(|_| format!("`{name}` must be a JSON object"))
}

/// Returns why a body is not a request.
fn complaint(body: &[u8]) -> String {
    let Ok(text) = std::str::from_utf8(body) else { return "the body is not UTF-8".to_owned() };
    let body = match serde_json::from_str::<Value>(text) {
        Ok(Value::Object(body)) => body,
        Ok(_) => {
            return "the body must be a JSON object with `query`, and optionally `operationName` and \
                    `variables`"
                .to_owned();
        }
        Err(error) => {
            return format!("the body is not JSON: line {}, column {}", error.line(), error.column());
        }
    };
    for (name, is_text) in [
        ("query", true),
        ("documentId", true),
        ("operationName", true),
        ("variables", false),
        ("extensions", false),
    ] {
        match body.get(name) {
            None | Some(Value::Null) => {}
            Some(value) if is_text && !value.is_string() => return format!("`{name}` must be a string"),
            Some(value) if !is_text && !value.is_object() => return format!("`{name}` must be an object"),
            Some(_) => {}
        }
    }
    "a parameter appears twice".to_owned()
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    #[test]
    fn only_content_types_that_no_form_can_send_are_accepted() {
        for (line, good) in [
            ("application/json", true),
            ("Application/JSON; Charset=\"UTF-8\"", true),
            ("application/json;charset=utf8", true),
            ("application/json;", true),
            ("application/json; profile=x", true),
            ("application/json; charset=iso-8859-1", false),
            ("application/json; charset=utf-8; charset=utf-16", false),
            ("application/json; charset=", false),
            ("text/plain", false),
            ("text/plain; application/json", false),
            ("application/graphql", false),
            ("application/x-www-form-urlencoded", false),
            ("application/json, text/plain", false),
            ("", false),
        ] {
            let request = TestRequest::post().insert_header((CONTENT_TYPE, line)).to_http_request();
            assert_eq!(BodyKind::of(&request).is_ok(), good, "{line}");
        }
        let files = TestRequest::post().insert_header((CONTENT_TYPE, "multipart/form-data; boundary=x"));
        assert_eq!(BodyKind::of(&files.to_http_request()), Ok(BodyKind::Multipart));
        let twice = TestRequest::post()
            .append_header((CONTENT_TYPE, "application/json"))
            .append_header((CONTENT_TYPE, "text/plain"));
        assert!(BodyKind::of(&twice.to_http_request()).is_err());
        assert!(BodyKind::of(&TestRequest::post().to_http_request()).is_err());
    }

    #[test]
    fn a_malformed_body_is_refused_with_the_reason() {
        for (body, words) in [
            (&b"{"[..], "not JSON: line 1, column 1"),
            (b"", "not JSON"),
            (b"7", "JSON object"),
            (b" \n[]", "batches"),
            (b"{\"query\":\"\xff\"}", "not UTF-8"),
            (b"{\"query\":{}}", "`query` must be a string"),
            (b"{\"query\":\"{a}\",\"operationName\":0}", "`operationName` must be a string"),
            (b"{\"query\":\"{a}\",\"variables\":\"{}\"}", "`variables` must be an object"),
            (b"{\"query\":\"{a}\",\"extensions\":false}", "`extensions` must be an object"),
            (b"{\"documentId\":1}", "`documentId` must be a string"),
            (b"{\"query\":\"{a}\",\"query\":\"{b}\"}", "twice"),
            (b"{\"query\":\"{a}\",\"variables\":{\"n\":1e999}}", "not JSON"),
        ] {
            let complaint = GraphqlParams::from_json(body).unwrap_err();
            assert!(complaint.contains(words), "{complaint} for {}", String::from_utf8_lossy(body));
        }
        let deep = format!(
            "{{\"query\":\"{{a}}\",\"variables\":{}{}}}",
            "{\"a\":".repeat(10_000),
            "}".repeat(10_000)
        );
        assert!(GraphqlParams::from_json(deep.as_bytes()).is_err());
    }

    #[test]
    fn null_and_unknown_parameters_are_ignored() {
        let asked = GraphqlParams::from_json(
            b"{\"query\":\"{a}\",\"variables\":null,\"extensions\":null,\"operationName\":null,\"more\":[1]}",
        );
        let asked = asked.unwrap();
        assert!(asked.variables.is_none() && asked.extensions.is_none() && asked.operation_name.is_none());
        let asked = GraphqlParams::from_url("query=%7Ba%7D&variables=&extensions=null&utm_source=x").unwrap();
        assert_eq!(asked.query.as_deref(), Some("{a}"));
        assert!(asked.variables.is_none() && asked.extensions.is_none());
        for wrong in ["query=a&query=b", "query=a&variables=7", "query=a&extensions=%5B%5D"] {
            assert!(GraphqlParams::from_url(wrong).is_err(), "{wrong}");
        }
    }
}
