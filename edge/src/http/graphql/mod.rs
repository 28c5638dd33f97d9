//! GraphQL over HTTP: POST with a JSON body, GET for queries.
//!
//! A simple cross-site request can have no effect: POST needs a content type that no form can send, or a
//! header that none can, GET never mutates. [`params`] what is asked for, and in which content it comes;
//! [`multipart`] the same with files; [`documents`] what is asked for by its hash; [`run`] how it is
//! answered; [`accept`] in which media type; [`media`] with which status and headers.

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
    documents::{DocumentRefusal, Sent},
    media::Media,
    params::{Content, GraphqlParams},
    run::answer,
};
use super::{
    Edge,
    body::{Bounds, Unread, read_body_inflated},
};
use crate::errors::Code;

/// Reads what a POST asks for; else answers with which status it is refused, and why.
pub(super) async fn read_post(
    request: &HttpRequest,
    body: web::Payload,
    edge: &Edge,
) -> Result<GraphqlParams, (StatusCode, String)> {
    match Content::of(request) {
        Ok(Content::Json) => {}
        Ok(Content::Multipart) => {
            return Err((StatusCode::UNSUPPORTED_MEDIA_TYPE, "files are not received here".to_owned()));
        }
        Err(why) => return Err((StatusCode::UNSUPPORTED_MEDIA_TYPE, why.to_owned())),
    }
    let bytes_max = usize::try_from(edge.settings.limits.bytes_max).unwrap_or(usize::MAX);
    let bounds = Bounds { bytes_max, within: edge.settings.http.body_within };
    let body = read_body_inflated(request, body, bounds).await.map_err(|unread| {
        let why = match unread {
            Unread::TooLong => format!("the request is larger than {bytes_max} bytes"),
            Unread::TooSlow => format!("the body did not come within {} s", bounds.within.as_secs()),
            Unread::Broken => "the body could not be read".to_owned(),
            Unread::Encoded => "compress the body by gzip, once, or not at all".to_owned(),
        };
        (unread.status(), why)
    })?;
    GraphqlParams::from_json(&body).map_err(|why| (StatusCode::BAD_REQUEST, why))
}

/// `POST /graphql`.
pub(super) async fn post(request: HttpRequest, body: web::Payload, edge: web::Data<Edge>) -> HttpResponse {
    let media = match Media::of(&request) {
        Ok(media) => media,
        Err(refused) => return *refused,
    };
    if Content::of(&request) == Ok(Content::Multipart) {
        return multipart::post(&request, body, &edge, media).await;
    }
    match read_post(&request, body, &edge).await {
        Ok(asked) => with_document(&request, &edge, asked, media, false).await,
        Err((status, why)) => media.refuse(status, Code::BadRequest, &why),
    }
}

/// `GET /graphql?query=…`: queries only.
pub(super) async fn get(request: HttpRequest, edge: web::Data<Edge>) -> HttpResponse {
    let media = match Media::of(&request) {
        Ok(media) => media,
        Err(refused) => return *refused,
    };
    match GraphqlParams::from_url(request.query_string()) {
        Ok(asked) => with_document(&request, &edge, asked, media, true).await,
        Err(why) => media.refuse(StatusCode::BAD_REQUEST, Code::BadRequest, &why),
    }
}

/// Any other method.
pub(super) async fn other(request: HttpRequest) -> HttpResponse {
    let media = match Media::of(&request) {
        Ok(media) => media,
        Err(refused) => return *refused,
    };
    let mut refused =
        media.refuse(StatusCode::METHOD_NOT_ALLOWED, Code::BadRequest, "send a POST, or a query by GET");
    refused.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD, POST, OPTIONS"));
    refused
}

/// Finds the document, if the request names it, and answers. Only what is asked by GET for a known document
/// may be shared: its address is short and says all of it.
async fn with_document(
    request: &HttpRequest,
    edge: &Edge,
    mut asked: GraphqlParams,
    media: Media,
    by_get: bool,
) -> HttpResponse {
    match edge.settings.documents.resolve(&mut asked) {
        Ok(Sent::Name) if by_get => answer(request, edge, asked, media.shared(request), by_get).await,
        Ok(Sent::Name | Sent::Text) => answer(request, edge, asked, media, by_get).await,
        Err(refused) => {
            let (code, why) = refused.words();
            match refused {
                DocumentRefusal::Malformed(_) => media.refuse(StatusCode::BAD_REQUEST, code, why),
                // Apollo's protocol has 200 for its two, whatever the media type: its clients go on from
                // there.
                DocumentRefusal::NotFound | DocumentRefusal::NotSupported => {
                    media.refuse(StatusCode::OK, code, why)
                }
                DocumentRefusal::UnknownId | DocumentRefusal::NotTrusted => media.refuse_document(code, why),
            }
        }
    }
}
