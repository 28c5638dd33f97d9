//! Documents that a request names instead of sending them: automatic persisted queries, and trusted
//! documents.
//!
//! A request names a document by Apollo's `extensions.persistedQuery`, or by `documentId`. It is looked for
//! among the trusted ones ([`trusted`]: a list that a code generator wrote and the operator gave to the
//! server), then among those that clients have sent before with their hash, of which the least recently used
//! are forgotten.

mod trusted;

use std::{fmt, sync::Arc};

use moka::{policy::EvictionPolicy, sync::Cache};
use serde::Deserialize;
use sha2::{Digest, Sha256};

pub use trusted::{TrustedDocuments, TrustedDocumentsError};

use super::params::GraphqlParams;
use crate::errors::Code;

/// What keeping one document costs besides its text, in bytes: its hash, and the cache's own records.
const ENTRY_BYTES: usize = 256;

/// The SHA-256 of a document's text.
type Hash = [u8; 32];

/// The documents that requests may name.
#[derive(Clone)]
pub struct Documents {
    trusted: Arc<TrustedDocuments>,
    trusted_only: bool,
    /// `None`: no document is kept for its hash.
    kept: Option<Cache<Hash, Arc<str>>>,
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
    /// No trusted ones, and some memory for what clients send.
    fn default() -> Self {
        Self::new(TrustedDocuments::default(), false, 16 * 1024 * 1024)
    }
}

impl Documents {
    /// These, and what clients send with its hash as long as it fits into so many bytes. With `trusted_only`
    /// nothing else than the trusted ones is answered.
    pub fn new(trusted: TrustedDocuments, trusted_only: bool, kept_bytes_max: u64) -> Self {
        let weight = |_: &Hash, text: &Arc<str>| {
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

    /// Puts the document that is named into the request's `query`, or says why there is none. Keeps one that
    /// comes with its hash.
    pub(in crate::http) fn resolve(&self, asked: &mut GraphqlParams) -> Result<Sent, DocumentRefusal> {
        let extension = Extension::of(asked)?;
        // An empty text beside a name is how some clients leave it out.
        let text = asked
            .query
            .as_deref()
            .filter(|text| !(text.is_empty() && (extension.is_some() || asked.document_id.is_some())));
        match (text, asked.document_id.as_deref(), extension) {
            (Some(_), Some(_), _) => {
                Err(DocumentRefusal::malformed("send `query` or `documentId`, not both"))
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
                    Ok(Sent::Text)
                }
            }
            (None, Some(id), _) => {
                let found = self.find(id).ok_or(if self.trusted_only {
                    DocumentRefusal::NotTrusted
                } else {
                    DocumentRefusal::UnknownId
                })?;
                asked.query = Some(found.to_string());
                Ok(Sent::Name)
            }
            (None, None, Some(Extension(hash))) => {
                let found = self.find(&hash);
                metrics::counter!("smallrun_persisted_queries_total", "found" => if found.is_some() { "yes" } else { "no" })
                    .increment(1);
                let found = found.ok_or(match &self.kept {
                    _ if self.trusted_only => DocumentRefusal::NotTrusted,
                    Some(_) => DocumentRefusal::NotFound,
                    None => DocumentRefusal::NotSupported,
                })?;
                asked.query = Some(found.to_string());
                Ok(Sent::Name)
            }
            // It has no document at all, which whoever answers it says.
            (None, None, None) => Ok(Sent::Text),
        }
    }

    fn find(&self, id: &str) -> Option<Arc<str>> {
        let kept = || self.kept.as_ref()?.get(&read_hash(TrustedDocuments::bare(id))?);
        self.trusted.find(id).or_else(kept)
    }

    /// Keeps a text that came with its hash.
    fn keep(&self, hash: &str, text: &str) -> Result<(), DocumentRefusal> {
        let own = Sha256::digest(text.as_bytes()).into();
        if read_hash(hash) != Some(own) {
            return Err(DocumentRefusal::malformed(
                "provided sha does not match query: send the SHA-256 of the text in hexadecimal digits",
            ));
        }
        if let Some(kept) = &self.kept {
            kept.insert(own, Arc::from(text));
        }
        Ok(())
    }
}

/// How a request came to its document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::http) enum Sent {
    /// It sent the text.
    Text,
    /// It named a known one.
    Name,
}

/// Why there is no document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::http) enum DocumentRefusal {
    /// The parameters make no sense, or contradict each other.
    Malformed(&'static str),
    /// Unknown: the client is to send the text along.
    NotFound,
    /// No texts are kept: the client is to send them always.
    NotSupported,
    /// No document has that id.
    UnknownId,
    /// Only trusted documents are answered.
    NotTrusted,
}

impl DocumentRefusal {
    fn malformed(why: &'static str) -> Self {
        Self::Malformed(why)
    }

    /// The code of the error and its text. Clients of Apollo's protocol compare the first two texts to the
    /// letter.
    pub(in crate::http) fn words(&self) -> (Code, &'static str) {
        match self {
            Self::Malformed(why) => (Code::BadRequest, why),
            Self::NotFound => (Code::PersistedQueryNotFound, "PersistedQueryNotFound"),
            Self::NotSupported => (Code::PersistedQueryNotSupported, "PersistedQueryNotSupported"),
            Self::UnknownId => (Code::PersistedQueryNotFound, "no document is known by that `documentId`"),
            Self::NotTrusted => (
                Code::DocumentNotTrusted,
                "this server answers the documents that it knows, and this is none of them",
            ),
        }
    }
}

/// The hash in `extensions.persistedQuery`: mostly a SHA-256; code generators put their own ids there.
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

fn read_hash(text: &str) -> Option<Hash> {
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

    fn resolve(documents: &Documents, body: Value) -> Result<(Sent, Option<String>), DocumentRefusal> {
        let mut asked = asked(body);
        documents.resolve(&mut asked).map(|sent| (sent, asked.query))
    }

    fn trusted() -> TrustedDocuments {
        TrustedDocuments::parse(&json!({ "5f3b": TEXT }).to_string()).unwrap()
    }

    #[test]
    fn what_came_with_its_hash_is_found_by_it() {
        let documents = Documents::new(TrustedDocuments::default(), false, 1_000_000);
        assert_eq!(resolve(&documents, by_hash(&hash(TEXT))), Err(DocumentRefusal::NotFound));
        assert_eq!(resolve(&documents, with_text(TEXT)), Ok((Sent::Text, Some(TEXT.to_owned()))));
        let found = Ok((Sent::Name, Some(TEXT.to_owned())));
        assert_eq!(resolve(&documents, by_hash(&hash(TEXT))), found);
        assert_eq!(resolve(&documents, by_hash(&hash(TEXT).to_uppercase())), found);
        let mut empty = by_hash(&hash(TEXT));
        empty["query"] = json!("");
        assert_eq!(resolve(&documents, empty), found);
        assert_eq!(resolve(&documents, json!({ "documentId": format!("sha256:{}", hash(TEXT)) })), found);
        assert_eq!(resolve(&documents, json!({ "documentId": "5f3b" })), Err(DocumentRefusal::UnknownId));
    }

    #[test]
    fn what_contradicts_itself_is_refused_and_not_kept() {
        let documents = Documents::new(TrustedDocuments::default(), false, 1_000_000);
        let mut foreign = with_text(TEXT);
        foreign["query"] = json!("{ other }");
        let mut older = by_hash(&hash(TEXT));
        older["extensions"]["persistedQuery"]["version"] = json!(2);
        for body in [
            foreign,
            older,
            json!({ "query": TEXT, "extensions": { "persistedQuery": { "version": 1, "sha256Hash": "5f3b" } } }),
            json!({ "extensions": { "persistedQuery": 7 } }),
            json!({ "extensions": { "persistedQuery": { "version": 1 } } }),
            json!({ "query": TEXT, "documentId": hash(TEXT) }),
            json!({ "documentId": "x", "extensions": { "persistedQuery": { "version": 1, "sha256Hash": "y" } } }),
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
            Sent::Text
        );
    }

    #[test]
    fn what_is_kept_is_bounded_by_its_bytes_and_the_least_used_goes_first() {
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
    fn without_memory_for_it_the_client_is_told_to_send_the_text_always() {
        let documents = Documents::new(trusted(), false, 0);
        assert!(resolve(&documents, with_text("{ other }")).is_ok());
        assert_eq!(resolve(&documents, by_hash(&hash("{ other }"))), Err(DocumentRefusal::NotSupported));
        assert_eq!(resolve(&documents, by_hash(&hash(TEXT))).unwrap().0, Sent::Name);
    }

    #[test]
    fn trusted_documents_are_found_by_any_of_their_names() {
        for documents in [Documents::new(trusted(), false, 1_000), Documents::new(trusted(), true, 1_000)] {
            for id in ["5f3b".to_owned(), hash(TEXT), format!("sha256:{}", hash(TEXT))] {
                assert_eq!(
                    resolve(&documents, json!({ "documentId": id })),
                    Ok((Sent::Name, Some(TEXT.to_owned()))),
                    "{id}"
                );
            }
            assert_eq!(resolve(&documents, by_hash("5f3b")), Ok((Sent::Name, Some(TEXT.to_owned()))));
        }
    }

    #[test]
    fn where_only_trusted_documents_are_answered_nothing_else_is() {
        let documents = Documents::new(trusted(), true, 1_000_000);
        assert_eq!(resolve(&documents, json!({ "query": TEXT })).unwrap().0, Sent::Text);
        assert_eq!(resolve(&documents, with_text(TEXT)).unwrap().0, Sent::Text);
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
