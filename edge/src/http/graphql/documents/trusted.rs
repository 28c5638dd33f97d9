//! The list of trusted documents, in the formats of common code generators.

use std::{collections::HashMap, sync::Arc};

use async_graphql::parser::parse_query;
use serde::Deserialize;
use sha2::{Digest, Sha256};

use super::{DocumentHash, read_hash};

/// The longest id, in bytes.
const ID_BYTES_MAX: usize = 256;

/// Trusted documents, by id and by hash.
#[derive(Debug, Default)]
pub struct TrustedDocuments {
    by_id: HashMap<String, Arc<str>>,
    by_hash: HashMap<DocumentHash, Arc<str>>,
}

/// Why a list of trusted documents is refused.
#[derive(Debug, thiserror::Error)]
pub enum TrustedDocumentsError {
    /// The list has none of the supported formats.
    #[error("the list is neither a JSON object of documents by id nor an Apollo manifest")]
    Form(#[source] serde_json::Error),
    /// An id is empty or too long.
    #[error("the id `{0}` is empty or too long")]
    Id(String),
    /// Two documents have the same id.
    #[error("the id `{0}` appears twice")]
    Twice(String),
    /// A document does not parse.
    #[error("the document `{0}` is not GraphQL: {1}")]
    Document(String, String),
}

/// The supported formats.
#[derive(Deserialize)]
#[serde(untagged)]
enum Written {
    /// Written by Apollo's `generate-persisted-query-manifest`.
    Manifest {
        #[serde(rename = "format")]
        _format: ApolloFormat,
        operations: Vec<TrustedOperation>,
    },
    /// Written by the client preset of graphql-codegen (`persistedDocuments`) and by Relay's compiler
    /// (`persistConfig`).
    Map(HashMap<String, String>),
}

#[derive(Deserialize)]
enum ApolloFormat {
    #[serde(rename = "apollo-persisted-query-manifest")]
    Manifest,
}

#[derive(Deserialize)]
struct TrustedOperation {
    id: String,
    body: String,
}

impl TrustedDocuments {
    /// Parses a list. Every document must be valid GraphQL syntax; whether it fits the schema is checked when
    /// it is requested.
    pub fn parse(json: &str) -> Result<Self, TrustedDocumentsError> {
        let written = serde_json::from_str(json).map_err(TrustedDocumentsError::Form)?;
        let listed: Vec<(String, String)> = match written {
            Written::Manifest { operations, .. } => {
                operations.into_iter().map(|TrustedOperation { id, body }| (id, body)).collect()
            }
            Written::Map(map) => map.into_iter().collect(),
        };
        let mut documents = Self::default();
        for (id, text) in listed {
            if id.is_empty() || id.len() > ID_BYTES_MAX {
                return Err(TrustedDocumentsError::Id(id));
            }
            if let Err(error) = parse_query(&text) {
                return Err(TrustedDocumentsError::Document(id, error.to_string()));
            }
            let text: Arc<str> = Arc::from(text);
            documents.by_hash.insert(Sha256::digest(text.as_bytes()).into(), Arc::clone(&text));
            if documents.by_id.insert(id.clone(), text).is_some() {
                return Err(TrustedDocumentsError::Twice(id));
            }
        }
        Ok(documents)
    }

    /// Returns the number of documents.
    pub fn len(&self) -> usize {
        self.by_id.len()
    }

    /// Returns whether there are no documents.
    pub fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }

    /// Finds a document by its id in the list or by the SHA-256 of its text, with or without the prefix
    /// `sha256:` of GraphQL over HTTP.
    pub(super) fn find(&self, id: &str) -> Option<Arc<str>> {
        let bare = Self::bare(id);
        let listed = self.by_id.get(id).or_else(|| self.by_id.get(bare));
        listed.or_else(|| self.by_hash.get(&read_hash(bare)?)).cloned()
    }

    /// Returns whether a text is a trusted document.
    pub(super) fn has(&self, text: &str) -> bool {
        self.by_hash.contains_key::<DocumentHash>(&Sha256::digest(text.as_bytes()).into())
    }

    /// Strips the prefix `sha256:` from an id.
    pub(super) fn bare(id: &str) -> &str {
        id.strip_prefix("sha256:").unwrap_or(id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_formats_of_a_list_are_parsed() {
        let map = r#"{ "a": "query A { __typename }", "b": "query B { __typename }" }"#;
        let manifest = r#"{ "format": "apollo-persisted-query-manifest", "version": 1, "operations": [
            { "id": "a", "name": "A", "type": "query", "body": "query A { __typename }" },
            { "id": "b", "name": "B", "type": "query", "body": "query B { __typename }" }
        ] }"#;
        for list in [map, manifest] {
            let documents = TrustedDocuments::parse(list).unwrap();
            assert_eq!(documents.len(), 2);
            assert_eq!(documents.find("b").as_deref(), Some("query B { __typename }"));
            assert!(documents.has("query A { __typename }") && !documents.has("query A {__typename}"));
        }
        assert!(TrustedDocuments::parse("{}").unwrap().is_empty());
    }

    #[test]
    fn malformed_lists_are_refused() {
        for (list, why) in [
            ("", "neither a JSON object"),
            ("[]", "neither a JSON object"),
            (r#"{ "a": 1 }"#, "neither a JSON object"),
            (r#"{ "format": "another", "operations": [] }"#, "neither a JSON object"),
            (r#"{ "": "{ a }" }"#, "is empty or too long"),
            (r#"{ "a": "{ a" }"#, "the document `a` is not GraphQL"),
            (
                r#"{ "format": "apollo-persisted-query-manifest",
                     "operations": [{ "id": "a", "body": "{a}" }, { "id": "a", "body": "{b}" }] }"#,
                "twice",
            ),
        ] {
            let error = TrustedDocuments::parse(list).unwrap_err().to_string();
            assert!(error.contains(why), "{error} for {list}");
        }
    }
}
