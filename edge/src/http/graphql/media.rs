//! Writes answers: their media type, status, headers and caching.

use std::collections::BTreeMap;

use actix_web::{
    HttpRequest, HttpResponse, HttpResponseBuilder,
    http::{
        StatusCode,
        header::{
            ACCEPT_ENCODING, ALLOW, AUTHORIZATION, CACHE_CONTROL, ETAG, EntityTag, Header, IfNoneMatch,
            RETRY_AFTER, VARY, WWW_AUTHENTICATE,
        },
    },
};
use async_graphql::{Response, ServerError, Value};
use serde::Serialize;
use sha2::{Digest, Sha256};

use super::accept::{Accept, MediaType};
use crate::{
    errors::Code,
    execute::{is_request_error, retry_after_secs},
};

/// No cache may store it.
const PRIVATE: &str = "private, no-store";
/// Answers to an anonymous GET of a known document may be stored by shared caches. Nothing purges them, so
/// they expire after a second, the age that stock figures may have. Browsers revalidate each time and mostly
/// get a 304.
const SHARED: &str = "public, max-age=0, s-maxage=1";

/// How the answer to one request is written.
#[derive(Debug)]
pub(in crate::http) struct Media {
    kind: MediaType,
    sharing: Sharing,
}

/// Who may cache an answer.
#[derive(Debug)]
enum Sharing {
    /// No cache, not even the client's.
    Private,
    /// Shared caches, if the answer has no errors. It holds the entity tags that the client already has.
    Shared(Option<IfNoneMatch>),
}

/// A serialized answer. `data` is left out when nothing was run.
#[derive(Serialize)]
struct GraphqlResponse<'a> {
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    errors: &'a [ServerError],
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<&'a Value>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    extensions: &'a BTreeMap<String, Value>,
}

impl Media {
    /// Returns the media by the request's `Accept` header; the error is the answer to a client that accepts
    /// none of ours.
    pub(super) fn of(request: &HttpRequest) -> Result<Self, Box<HttpResponse>> {
        match Accept::of(request).choose() {
            Some(kind) => Ok(Self { kind, sharing: Sharing::Private }),
            None => {
                let why = "accept application/graphql-response+json or application/json, in UTF-8: \
                           no other media type is available";
                Err(Box::new(Self::json().refuse(StatusCode::NOT_ACCEPTABLE, Code::BadRequest, why)))
            }
        }
    }

    /// Returns the media of a JSON answer, for requests that expect a stream or a socket.
    pub(in crate::http) fn json() -> Self {
        Self { kind: MediaType::Json, sharing: Sharing::Private }
    }

    /// Lets shared caches store a good answer to an anonymous request.
    pub(super) fn shared(self, request: &HttpRequest) -> Self {
        if request.headers().contains_key(AUTHORIZATION) {
            return self;
        }
        let known = request
            .headers()
            .contains_key("if-none-match")
            .then(|| IfNoneMatch::parse(request).ok())
            .flatten();
        Self { sharing: Sharing::Shared(known), ..self }
    }

    /// Writes the answer to a GraphQL request. Only the newer media type may report by its status that
    /// nothing was run.
    pub(in crate::http) fn answer(&self, response: &Response) -> HttpResponse {
        let refused = is_request_error(response);
        // A mutation that was refused as `BUSY` has changed nothing, as if it had not run.
        let busy = response.data == Value::Null && response.errors.first().and_then(code) == Some("BUSY");
        let status = match response.errors.first().filter(|_| refused || busy).and_then(code) {
            Some("INTERNAL") => StatusCode::INTERNAL_SERVER_ERROR,
            Some("DEADLINE_EXCEEDED") => StatusCode::SERVICE_UNAVAILABLE,
            Some("RATE_LIMITED") => StatusCode::TOO_MANY_REQUESTS,
            Some("BUSY") => StatusCode::SERVICE_UNAVAILABLE,
            _ if refused && self.kind == MediaType::GraphqlResponse => StatusCode::BAD_REQUEST,
            _ => StatusCode::OK,
        };
        if let (Sharing::Shared(known), true) = (&self.sharing, response.is_ok()) {
            return self.share(response, known.as_ref());
        }
        let data = (!refused).then_some(&response.data);
        let mut answer = self.write(
            status,
            &GraphqlResponse { errors: &response.errors, data, extensions: &response.extensions },
        );
        if let Some(secs) = retry_after_secs(response) {
            answer.headers_mut().insert(RETRY_AFTER, secs.into());
        }
        answer
    }

    /// Writes the answer to something that is not a GraphQL request, or whose token was refused.
    pub(in crate::http) fn refuse(&self, status: StatusCode, code: Code, message: &str) -> HttpResponse {
        self.write(
            status,
            &GraphqlResponse {
                errors: &[code.server_error(message, None)],
                data: None,
                extensions: &BTreeMap::new(),
            },
        )
    }

    /// Writes the answer to a request whose document is refused.
    pub(super) fn refuse_document(&self, code: Code, message: &str) -> HttpResponse {
        self.answer(&Response::from_errors(vec![code.server_error(message, None)]))
    }

    fn write(&self, status: StatusCode, answer: &GraphqlResponse<'_>) -> HttpResponse {
        let Ok(body) = serde_json::to_vec(answer) else {
            return HttpResponse::InternalServerError().finish();
        };
        let mut response = self.head(status, PRIVATE);
        match status {
            StatusCode::UNAUTHORIZED => drop(response.insert_header((WWW_AUTHENTICATE, "Bearer"))),
            StatusCode::METHOD_NOT_ALLOWED => drop(response.insert_header((ALLOW, "POST"))),
            StatusCode::SERVICE_UNAVAILABLE => drop(response.insert_header((RETRY_AFTER, "1"))),
            StatusCode::UNSUPPORTED_MEDIA_TYPE => drop(response.insert_header((ACCEPT_ENCODING, "gzip"))),
            // Unread bytes of the body would be taken for the next request.
            StatusCode::PAYLOAD_TOO_LARGE | StatusCode::REQUEST_TIMEOUT => drop(response.force_close()),
            _ => {}
        }
        response.body(body)
    }

    /// Writes an answer that is the same for everybody. The extensions, such as the cost, concern a single
    /// request and are left out.
    fn share(&self, response: &Response, known: Option<&IfNoneMatch>) -> HttpResponse {
        let answer =
            GraphqlResponse { errors: &[], data: Some(&response.data), extensions: &BTreeMap::new() };
        let Ok(body) = serde_json::to_vec(&answer) else {
            return HttpResponse::InternalServerError().finish();
        };
        // The tag is weak, because the same answer may be sent compressed. 128 bits of the hash suffice to
        // avoid collisions.
        let hash = Sha256::digest(&body);
        let etag = EntityTag::new_weak(hex::encode(hash.get(..16).unwrap_or_default()));
        let is_known = match known {
            Some(IfNoneMatch::Any) => true,
            Some(IfNoneMatch::Items(known)) => known.iter().any(|known| known.weak_eq(&etag)),
            None => false,
        };
        let mut response =
            self.head(if is_known { StatusCode::NOT_MODIFIED } else { StatusCode::OK }, SHARED);
        response.insert_header((ETAG, etag.to_string()));
        if is_known { response.finish() } else { response.body(body) }
    }

    fn head(&self, status: StatusCode, kept: &'static str) -> HttpResponseBuilder {
        let mut response = HttpResponse::build(status);
        response
            .content_type(self.kind.content_type())
            .insert_header((CACHE_CONTROL, kept))
            .insert_header((VARY, "Accept, Authorization"));
        response
    }
}

fn code(error: &ServerError) -> Option<&str> {
    match error.extensions.as_ref()?.get("code")? {
        Value::String(code) => Some(code),
        _ => None,
    }
}
