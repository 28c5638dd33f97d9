//! What a request asks for, as it stands in a JSON body or in a query string.

use serde::Deserialize;

/// A request as GraphQL over HTTP has it.
#[derive(Deserialize)]
pub(super) struct Asked {
    pub(super) query: Option<String>,
    #[serde(rename = "operationName", default)]
    pub(super) operation_name: Option<String>,
    #[serde(default)]
    pub(super) variables: Option<serde_json::Map<String, serde_json::Value>>,
}

/// The same in a query string: the variables are JSON text.
#[derive(Deserialize)]
pub(super) struct AskedByUrl {
    pub(super) query: Option<String>,
    #[serde(rename = "operationName")]
    pub(super) operation_name: Option<String>,
    pub(super) variables: Option<String>,
}
