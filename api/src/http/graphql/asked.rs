//! What a request asks for, as it stands in a JSON body or in a query string.

use serde::Deserialize;

/// A request as GraphQL over HTTP has it.
#[derive(Deserialize)]
pub(in crate::http) struct Asked {
    pub(in crate::http) query: Option<String>,
    #[serde(rename = "operationName", default)]
    pub(in crate::http) operation_name: Option<String>,
    #[serde(default)]
    pub(in crate::http) variables: Option<serde_json::Map<String, serde_json::Value>>,
}

/// The same in a query string: the variables are JSON text.
#[derive(Deserialize)]
pub(in crate::http) struct AskedByUrl {
    pub(in crate::http) query: Option<String>,
    #[serde(rename = "operationName")]
    pub(in crate::http) operation_name: Option<String>,
    pub(in crate::http) variables: Option<String>,
}

impl AskedByUrl {
    /// What is asked for; the error says what cannot be read.
    pub(in crate::http) fn read(self) -> Result<Asked, &'static str> {
        let variables = self.variables.as_deref().filter(|text| !text.is_empty()).map(serde_json::from_str).transpose();
        let variables = variables.map_err(|_| "`variables` must be a JSON object")?;
        Ok(Asked { query: self.query, operation_name: self.operation_name, variables })
    }
}
