//! Documents that a request names instead of sending their text: automatic persisted queries and trusted
//! documents.
//!
//! A request names a document by Apollo's `extensions.persistedQuery` or by `documentId`. The document is
//! looked up first among the trusted ones ([`trusted`]: a list written by a code generator and given to the
//! server by its operator). It is then looked up among those that clients have sent together with their hash.
//! The latter are cached, and the least recently used are evicted.

mod trusted;

use std::{fmt, sync::Arc};

use moka::{policy::EvictionPolicy, sync::Cache};
use serde::Deserialize;
use sha2::{Digest, Sha256};

pub use trusted::{TrustedDocuments, TrustedDocumentsError};

use super::params::GraphqlParams;
use crate::errors::Code;

/// The memory of a cached document besides its text, in bytes: its hash and the records of the cache.
const ENTRY_BYTES: usize = 256;

/// The SHA-256 of a document's text.
type DocumentHash = [u8; 32];

/// The documents that requests may name.
#[derive(Clone)]
pub struct Documents {
    trusted: Arc<TrustedDocuments>,
    trusted_only: bool,
    /// The cache of documents by hash; `None` when it is disabled.
    kept: Option<Cache<DocumentHash, Arc<str>>>,
}

impl fmt::Debug for Documents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Documents")
            .field("trusted", &self.trusted.len())
            .field("trusted_only", &self.trusted_only)
            .finish_non_exhaustive()
    }
}

impl Default for Documents {
    /// No trusted documents, and some memory for persisted queries.
    fn default() -> Self {
        Self::new(TrustedDocuments::default(), false, 16 * 1024 * 1024)
    }
}

impl Documents {
    /// Creates the store of trusted documents and of persisted queries, of which at most `kept_bytes_max`
    /// bytes are cached. With `trusted_only`, only trusted documents are answered.
    pub fn new(trusted: TrustedDocuments, trusted_only: bool, kept_bytes_max: u64) -> Self {
        let weight = |_: &DocumentHash, text: &Arc<str>| {
            u32::try_from(text.len().saturating_add(ENTRY_BYTES)).unwrap_or(u32::MAX)
        };
        let cache = || {
            Cache::builder()
                .max_capacity(kept_bytes_max)
                .weigher(weight)
                .eviction_policy(EvictionPolicy::lru())
                .build()
        };
        let kept = (kept_bytes_max > 0 && !trusted_only).then(cache);
        Self { trusted: Arc::new(trusted), trusted_only, kept }
    }

    /// Sets the request's `query` to the text of the document that it names. Caches a document that was sent
    /// with its hash. The error says why there is no document.
    pub(in crate::http) fn resolve(
        &self,
        asked: &mut GraphqlParams,
    ) -> Result<DocumentSource, DocumentRefusal> {
        let extension = Extension::of(asked)?;
        // Some clients send an empty text when they name the document.
        let text = asked
            .query
            .as_deref()
            .filter(|text| !(text.is_empty() && (extension.is_some() || asked.document_id.is_some())));
        match (text, asked.document_id.as_deref(), extension) {
            (Some(_), Some(_), _) => {
                Err(DocumentRefusal::malformed("send either `query` or `documentId`, not both"))
            }
            (None, Some(id), Some(Extension(hash))) if TrustedDocuments::bare(id) != hash => {
                Err(DocumentRefusal::malformed(
                    "`documentId` and `extensions.persistedQuery` name different documents",
                ))
            }
            (Some(text), None, extension) => {
                if let Some(Extension(hash)) = extension {
                    self.keep(&hash, text)?;
                }
                if self.trusted_only && !self.trusted.has(text) {
                    Err(DocumentRefusal::NotTrusted)
                } else {
                    Ok(DocumentSource::Text)
                }
            }
            (None, Some(id), _) => {
                let found = self.find(id).ok_or(if self.trusted_only {
                    DocumentRefusal::NotTrusted
                } else {
                    DocumentRefusal::UnknownId
                })?;
                asked.query = Some(found.to_string());
                Ok(DocumentSource::Name)
            }
            (None, None, Some(Extension(hash))) => {
                let found = self.find(&hash);
                metrics::counter!(
                    "smallrun_persisted_queries_total",
                    "found" => if found.is_some() { "yes" } else { "no" }
                )
                .increment(1);
                let found = found.ok_or(match &self.kept {
                    _ if self.trusted_only => DocumentRefusal::NotTrusted,
                    Some(_) => DocumentRefusal::NotFound,
                    None => DocumentRefusal::NotSupported,
                })?;
                asked.query = Some(found.to_string());
                Ok(DocumentSource::Name)
            }
            // The request has no document. The code that answers it reports that.
            (None, None, None) => Ok(DocumentSource::Text),
        }
    }

    fn find(&self, id: &str) -> Option<Arc<str>> {
        let kept = || self.kept.as_ref()?.get(&read_hash(TrustedDocuments::bare(id))?);
        self.trusted.find(id).or_else(kept)
    }

    /// Checks the hash of a text and caches it.
    fn keep(&self, hash: &str, text: &str) -> Result<(), DocumentRefusal> {
        let own = Sha256::digest(text.as_bytes()).into();
        if read_hash(hash) != Some(own) {
            return Err(DocumentRefusal::malformed(
                "provided sha does not match query: send the SHA-256 of the text in hexadecimal",
            ));
        }
        if let Some(kept) = &self.kept {
            kept.insert(own, Arc::from(text));
        }
        Ok(())
    }
}

/// How a request specified its document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::http) enum DocumentSource {
    /// By its text.
    Text,
    /// By the name of a known document.
    Name,
}

/// Why a request has no document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::http) enum DocumentRefusal {
    /// The parameters are invalid or contradict each other.
    Malformed(&'static str),
    /// The document is unknown: the client is to send its text.
    NotFound,
    /// No documents are cached: the client is to send the text every time.
    NotSupported,
    /// No document has this id.
    UnknownId,
    /// Only trusted documents are answered.
    NotTrusted,
}

impl DocumentRefusal {
    fn malformed(why: &'static str) -> Self {
        Self::Malformed(why)
    }

    /// Returns the code and the text of the error. Clients of Apollo's protocol match the texts of `NotFound`
    /// and `NotSupported` exactly.
    pub(in crate::http) fn words(&self) -> (Code, &'static str) {
        match self {
            Self::Malformed(why) => (Code::BadRequest, why),
            Self::NotFound => (Code::PersistedQueryNotFound, "PersistedQueryNotFound"),
            Self::NotSupported => (Code::PersistedQueryNotSupported, "PersistedQueryNotSupported"),
            Self::UnknownId => (Code::PersistedQueryNotFound, "no document is known by this `documentId`"),
            Self::NotTrusted => (
                Code::DocumentNotTrusted,
                "this server runs trusted documents only, and this document is not one of them",
            ),
        }
    }
}

/// The hash in `extensions.persistedQuery`. It is usually a SHA-256; code generators put ids of their own
/// there.
#[derive(Debug, PartialEq, Eq)]
struct Extension(String);

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PersistedQuery {
    version: u64,
    sha256_hash: String,
}

impl Extension {
    fn of(asked: &GraphqlParams) -> Result<Option<Self>, DocumentRefusal> {
        let Some(value) = asked.extensions.as_ref().and_then(|extensions| extensions.get("persistedQuery"))
        else {
            return Ok(None);
        };
        match Option::<PersistedQuery>::deserialize(value) {
            Ok(None) => Ok(None),
            Ok(Some(PersistedQuery { version: 1, sha256_hash })) => {
                Ok(Some(Self(sha256_hash.to_ascii_lowercase())))
            }
            Ok(Some(_)) => {
                Err(DocumentRefusal::malformed("Unsupported persisted query version: send version 1"))
            }
            Err(_) => Err(DocumentRefusal::malformed(
                "`extensions.persistedQuery` must have `version` 1 and `sha256Hash`",
            )),
        }
    }
}

fn read_hash(text: &str) -> Option<DocumentHash> {
    hex::decode(text).ok()?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const TEXT: &str = "{ __typename }";

    fn hash(text: &str) -> String {
        hex::encode(Sha256::digest(text))
    }

    fn asked(value: Value) -> GraphqlParams {
        serde_json::from_value(value).unwrap()
    }

    fn by_hash(hash: &str) -> Value {
        json!({ "extensions": { "persistedQuery": { "version": 1, "sha256Hash": hash } } })
    }

    fn with_text(text: &str) -> Value {
        let mut body = by_hash(&hash(text));
        body["query"] = json!(text);
        body
    }

    fn resolve(
        documents: &Documents,
        body: Value,
    ) -> Result<(DocumentSource, Option<String>), DocumentRefusal> {
        let mut asked = asked(body);
        documents.resolve(&mut asked).map(|sent| (sent, asked.query))
    }

    fn trusted() -> TrustedDocuments {
        TrustedDocuments::parse(&json!({ "5f3b": TEXT }).to_string()).unwrap()
    }

    #[test]
    fn a_document_sent_with_its_hash_is_found_by_it() {
        let documents = Documents::new(TrustedDocuments::default(), false, 1_000_000);
        assert_eq!(resolve(&documents, by_hash(&hash(TEXT))), Err(DocumentRefusal::NotFound));
        assert_eq!(resolve(&documents, with_text(TEXT)), Ok((DocumentSource::Text, Some(TEXT.to_owned()))));
        let found = Ok((DocumentSource::Name, Some(TEXT.to_owned())));
        assert_eq!(resolve(&documents, by_hash(&hash(TEXT))), found);
        assert_eq!(resolve(&documents, by_hash(&hash(TEXT).to_uppercase())), found);
        let mut empty = by_hash(&hash(TEXT));
        empty["query"] = json!("");
        assert_eq!(resolve(&documents, empty), found);
        assert_eq!(resolve(&documents, json!({ "documentId": format!("sha256:{}", hash(TEXT)) })), found);
        assert_eq!(resolve(&documents, json!({ "documentId": "5f3b" })), Err(DocumentRefusal::UnknownId));
    }

    #[test]
    fn contradictory_requests_are_refused_and_not_cached() {
        let documents = Documents::new(TrustedDocuments::default(), false, 1_000_000);
        let mut foreign = with_text(TEXT);
        foreign["query"] = json!("{ other }");
        let mut older = by_hash(&hash(TEXT));
        older["extensions"]["persistedQuery"]["version"] = json!(2);
        for body in [
            foreign,
            older,
            json!({
                "query": TEXT,
                "extensions": { "persistedQuery": { "version": 1, "sha256Hash": "5f3b" } },
            }),
            json!({ "extensions": { "persistedQuery": 7 } }),
            json!({ "extensions": { "persistedQuery": { "version": 1 } } }),
            json!({ "query": TEXT, "documentId": hash(TEXT) }),
            json!({
                "documentId": "x",
                "extensions": { "persistedQuery": { "version": 1, "sha256Hash": "y" } },
            }),
        ] {
            assert!(
                matches!(resolve(&documents, body.clone()), Err(DocumentRefusal::Malformed(_))),
                "{body}"
            );
        }
        assert_eq!(resolve(&documents, by_hash(&hash(TEXT))), Err(DocumentRefusal::NotFound));
        assert_eq!(
            resolve(&documents, json!({ "query": TEXT, "extensions": { "persistedQuery": null } }))
                .unwrap()
                .0,
            DocumentSource::Text
        );
    }

    #[test]
    fn the_cache_is_bounded_in_bytes_and_evicts_the_least_recently_used() {
        let documents = Documents::new(TrustedDocuments::default(), false, 100_000);
        let text = |n: usize| format!("{{ a{n}: __typename {} }}", " ".repeat(10_000));
        for n in 0..100 {
            resolve(&documents, with_text(&text(n))).unwrap();
            assert!(resolve(&documents, by_hash(&hash(&text(0)))).is_ok() || n > 0);
        }
        let kept = documents.kept.as_ref().unwrap();
        kept.run_pending_tasks();
        assert!(
            kept.weighted_size() <= 100_000 && kept.entry_count() >= 5,
            "{} {}",
            kept.weighted_size(),
            kept.entry_count()
        );
        assert!(resolve(&documents, by_hash(&hash(&text(99)))).is_ok());
        assert_eq!(resolve(&documents, by_hash(&hash(&text(50)))), Err(DocumentRefusal::NotFound));
    }

    #[test]
    fn without_a_cache_persisted_queries_are_not_supported() {
        let documents = Documents::new(trusted(), false, 0);
        assert!(resolve(&documents, with_text("{ other }")).is_ok());
        assert_eq!(resolve(&documents, by_hash(&hash("{ other }"))), Err(DocumentRefusal::NotSupported));
        assert_eq!(resolve(&documents, by_hash(&hash(TEXT))).unwrap().0, DocumentSource::Name);
    }

    #[test]
    fn trusted_documents_are_found_by_id_and_by_hash() {
        for documents in [Documents::new(trusted(), false, 1_000), Documents::new(trusted(), true, 1_000)] {
            for id in ["5f3b".to_owned(), hash(TEXT), format!("sha256:{}", hash(TEXT))] {
                assert_eq!(
                    resolve(&documents, json!({ "documentId": id })),
                    Ok((DocumentSource::Name, Some(TEXT.to_owned()))),
                    "{id}"
                );
            }
            assert_eq!(
                resolve(&documents, by_hash("5f3b")),
                Ok((DocumentSource::Name, Some(TEXT.to_owned())))
            );
        }
    }

    #[test]
    fn with_trusted_only_other_documents_are_refused() {
        let documents = Documents::new(trusted(), true, 1_000_000);
        assert_eq!(resolve(&documents, json!({ "query": TEXT })).unwrap().0, DocumentSource::Text);
        assert_eq!(resolve(&documents, with_text(TEXT)).unwrap().0, DocumentSource::Text);
        for body in [
            json!({ "query": "{ other }" }),
            json!({ "query": format!("{TEXT} ") }),
            with_text("{ other }"),
            by_hash(&hash("{ other }")),
            json!({ "documentId": "other" }),
        ] {
            assert_eq!(resolve(&documents, body.clone()), Err(DocumentRefusal::NotTrusted), "{body}");
        }
    }
}
