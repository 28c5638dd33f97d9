//! GraphQL over HTTP: POST with a JSON body, GET for queries.
//!
//! A simple cross-site request can have no effect: POST needs a JSON content type, GET never mutates. [`asked`] what is asked for;
//! [`multipart`] the same with files; [`run`] how it is answered; [`media`] in which media type and with which status.

mod asked;
mod media;
mod multipart;
mod run;

use actix_web::{
    HttpRequest, HttpResponse,
    http::{
        StatusCode,
        header::{
            ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_MAX_AGE,
            CONTENT_TYPE,
        },
    },
    web,
};

pub(super) use self::run::viewer;
use self::{
    asked::{Asked, AskedByUrl},
    media::Media,
    run::answer,
};
use super::{Edge, body::read_body};
use crate::graphql::errors::Code;

/// The longest body of a request, in bytes.
const BODY_MAX: usize = 100 * 1024;
/// How long a browser may remember that it is allowed to ask from another origin.
const PREFLIGHT_SECS: &str = "86400";

/// `POST /graphql`.
pub(super) async fn post(request: HttpRequest, body: web::Payload, edge: web::Data<Edge>) -> HttpResponse {
    let media = Media::of(&request);
    let content_type = request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("");
    let essence = content_type.split(';').next().unwrap_or("").trim();
    if essence.eq_ignore_ascii_case("multipart/form-data") {
        return multipart::post(&request, body, &edge, media).await;
    }
    if !essence.eq_ignore_ascii_case("application/json") {
        return media.refuse(StatusCode::UNSUPPORTED_MEDIA_TYPE, Code::BadRequest, "send `Content-Type: application/json`");
    }
    let body = match read_body(&request, body, BODY_MAX).await {
        Ok(body) => body,
        Err(StatusCode::PAYLOAD_TOO_LARGE) => {
            let most = format!("the request is larger than {BODY_MAX} bytes");
            return media.refuse(StatusCode::PAYLOAD_TOO_LARGE, Code::BadRequest, &most);
        }
        Err(status) => return media.refuse(status, Code::BadRequest, "the body could not be read"),
    };
    if body.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'[') {
        let why = "a request holds one operation: send several requests instead of a batch";
        return media.refuse(StatusCode::BAD_REQUEST, Code::BadRequest, why);
    }
    match serde_json::from_slice::<Asked>(&body) {
        Ok(asked) => answer(&request, &edge, asked, media, false).await,
        Err(_) => {
            let why = "the body must be a JSON object with `query`, and optionally `operationName` and `variables`";
            media.refuse(StatusCode::BAD_REQUEST, Code::BadRequest, why)
        }
    }
}

/// `OPTIONS /graphql`: a storefront in a browser may ask from any origin. There are no cookies here, so its origin gives a page no
/// right that its token does not.
pub(super) async fn preflight() -> HttpResponse {
    HttpResponse::NoContent()
        .insert_header((ACCESS_CONTROL_ALLOW_ORIGIN, "*"))
        .insert_header((ACCESS_CONTROL_ALLOW_METHODS, "GET, POST"))
        .insert_header((
            ACCESS_CONTROL_ALLOW_HEADERS,
            "accept, authorization, content-type, traceparent, apollo-require-preflight, x-apollo-operation-name, \
             graphql-require-preflight, graphql-preflight",
        ))
        .insert_header((ACCESS_CONTROL_MAX_AGE, PREFLIGHT_SECS))
        .finish()
}

/// `GET /graphql?query=…`: queries only.
pub(super) async fn get(request: HttpRequest, edge: web::Data<Edge>) -> HttpResponse {
    let media = Media::of(&request);
    let asked = web::Query::<AskedByUrl>::from_query(request.query_string()).map_err(|_| "the query string cannot be read");
    let asked = asked.and_then(|asked| {
        let asked = asked.into_inner();
        let variables = asked.variables.as_deref().filter(|text| !text.is_empty()).map(serde_json::from_str).transpose();
        let variables = variables.map_err(|_| "`variables` must be a JSON object")?;
        Ok(Asked { query: asked.query, operation_name: asked.operation_name, variables })
    });
    match asked {
        Ok(asked) => answer(&request, &edge, asked, media, true).await,
        Err(why) => media.refuse(StatusCode::BAD_REQUEST, Code::BadRequest, why),
    }
}
