//! GraphQL over HTTP: POST with a JSON body, and GET for queries.
//!
//! A simple cross-site request has no effect: POST requires a content type that no form can send, or a header
//! that no form can set, and GET never mutates.
//!
//! - [`params`] parses the parameters of a request.
//! - [`multipart`] parses requests with files.
//! - [`documents`] finds documents that are named instead of sent.
//! - [`run`] answers requests.
//! - [`accept`] negotiates the media type, and [`media`] writes answers.

mod accept;
pub mod documents;
pub(super) mod media;
mod multipart;
pub(super) mod params;
mod run;

use actix_web::{
    HttpRequest, HttpResponse,
    http::{
        StatusCode,
        header::{ALLOW, HeaderValue},
    },
    web,
};

use self::{
    documents::{DocumentRefusal, DocumentSource},
    media::Media,
    params::{BodyKind, GraphqlParams},
    run::answer,
};
use super::{
    HttpEdge,
    body::{Bounds, Unread, read_body_inflated},
};
use crate::errors::Code;

/// Reads the parameters of a POST; the error is the status and the reason of the refusal.
pub(super) async fn read_post(
    request: &HttpRequest,
    body: web::Payload,
    edge: &HttpEdge,
) -> Result<GraphqlParams, (StatusCode, String)> {
    match BodyKind::of(request) {
        Ok(BodyKind::Json) => {}
        Ok(BodyKind::Multipart) => {
            return Err((
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "files cannot be uploaded over this transport".to_owned(),
            ));
        }
        Err(why) => return Err((StatusCode::UNSUPPORTED_MEDIA_TYPE, why.to_owned())),
    }
    let bytes_max = usize::try_from(edge.settings.limits.bytes_max).unwrap_or(usize::MAX);
    let bounds = Bounds { bytes_max, within: edge.settings.http.body_within };
    let body = read_body_inflated(request, body, bounds).await.map_err(|unread| {
        let why = match unread {
            Unread::TooLong => format!("the request is larger than {bytes_max} bytes"),
            Unread::TooSlow => format!("the body did not arrive within {} s", bounds.within.as_secs()),
            Unread::Broken => "the body could not be read".to_owned(),
            Unread::Encoded => "send the body uncompressed, or compressed once with gzip".to_owned(),
        };
        (unread.status(), why)
    })?;
    GraphqlParams::from_json(&body).map_err(|why| (StatusCode::BAD_REQUEST, why))
}

/// `POST /graphql`.
pub(super) async fn post(
    request: HttpRequest,
    body: web::Payload,
    edge: web::Data<HttpEdge>,
) -> HttpResponse {
    let media = match Media::of(&request) {
        Ok(media) => media,
        Err(refused) => return *refused,
    };
    if BodyKind::of(&request) == Ok(BodyKind::Multipart) {
        return multipart::post(&request, body, &edge, media).await;
    }
    match read_post(&request, body, &edge).await {
        Ok(asked) => with_document(&request, &edge, asked, media, false).await,
        Err((status, why)) => media.refuse(status, Code::BadRequest, &why),
    }
}

/// `GET /graphql?query=…`, for queries only.
pub(super) async fn get(request: HttpRequest, edge: web::Data<HttpEdge>) -> HttpResponse {
    let media = match Media::of(&request) {
        Ok(media) => media,
        Err(refused) => return *refused,
    };
    match GraphqlParams::from_url(request.query_string()) {
        Ok(asked) => with_document(&request, &edge, asked, media, true).await,
        Err(why) => media.refuse(StatusCode::BAD_REQUEST, Code::BadRequest, &why),
    }
}

/// Refuses any other method.
pub(super) async fn other(request: HttpRequest) -> HttpResponse {
    let media = match Media::of(&request) {
        Ok(media) => media,
        Err(refused) => return *refused,
    };
    let mut refused =
        media.refuse(StatusCode::METHOD_NOT_ALLOWED, Code::BadRequest, "use POST, or GET for queries");
    refused.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD, POST, OPTIONS"));
    refused
}

/// Resolves the document if the request names it, and answers. Only an answer to a GET of a known document
/// may be shared: its address is short and contains the whole request.
async fn with_document(
    request: &HttpRequest,
    edge: &HttpEdge,
    mut asked: GraphqlParams,
    media: Media,
    by_get: bool,
) -> HttpResponse {
    match edge.settings.documents.resolve(&mut asked) {
        Ok(DocumentSource::Name) if by_get => {
            answer(request, edge, asked, media.shared(request), by_get).await
        }
        Ok(DocumentSource::Name | DocumentSource::Text) => answer(request, edge, asked, media, by_get).await,
        Err(refused) => {
            let (code, why) = refused.words();
            match refused {
                DocumentRefusal::Malformed(_) => media.refuse(StatusCode::BAD_REQUEST, code, why),
                // Apollo's protocol answers these two with status 200 for any media type, and its clients
                // rely on it.
                DocumentRefusal::NotFound | DocumentRefusal::NotSupported => {
                    media.refuse(StatusCode::OK, code, why)
                }
                DocumentRefusal::UnknownId | DocumentRefusal::NotTrusted => media.refuse_document(code, why),
            }
        }
    }
}
