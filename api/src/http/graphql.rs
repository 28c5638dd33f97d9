//! GraphQL over HTTP: POST with a JSON body, GET for queries.
//!
//! A simple cross-site request can have no effect: POST needs a JSON content type, GET never mutates.

use std::time::Duration;

use actix_web::{
    HttpMessage, HttpRequest, HttpResponse,
    http::{
        StatusCode,
        header::{
            ACCEPT, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
            ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ALLOW, AUTHORIZATION, CACHE_CONTROL, CONTENT_LENGTH,
            CONTENT_TYPE, VARY, WWW_AUTHENTICATE,
        },
    },
    web,
};
use async_graphql::{Pos, Request, Response, ServerError, Value, Variables, parser::types::OperationType};
use domain::{
    accounts::{Viewer, viewer_of},
    platform::{entropy::Secret, trace::TraceParent},
};
use futures_util::StreamExt;
use serde::{Deserialize, Serialize};
use tracing::Instrument;

use super::{Edge, address, around::OperationName};
use crate::graphql::{
    RequestContext,
    errors::{Code, internal},
    execute::{self, is_request_error},
    guard::{Admitted, admit},
};

/// The longest body of a request, in bytes.
const BODY_MAX: usize = 100 * 1024;
/// The longest that a client may take to send a body: a hundred kilobytes over a bad phone line.
const BODY_WITHIN: Duration = Duration::from_secs(20);
/// How long a browser may remember that it is allowed to ask from another origin.
const PREFLIGHT_SECS: &str = "86400";
const GRAPHQL_RESPONSE: &str = "application/graphql-response+json";

/// A request as GraphQL over HTTP has it.
#[derive(Deserialize)]
struct Asked {
    query: Option<String>,
    #[serde(rename = "operationName", default)]
    operation_name: Option<String>,
    #[serde(default)]
    variables: Option<serde_json::Map<String, serde_json::Value>>,
}

/// The same in a query string: the variables are JSON text.
#[derive(Deserialize)]
struct AskedByUrl {
    query: Option<String>,
    #[serde(rename = "operationName")]
    operation_name: Option<String>,
    variables: Option<String>,
}

/// Reads a body, bounded in bytes and in time.
pub(super) async fn read_body(request: &HttpRequest, body: web::Payload, bytes_max: usize) -> Result<Vec<u8>, StatusCode> {
    let announced = request.headers().get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    if announced.is_some_and(|length| length > bytes_max) {
        return Err(StatusCode::PAYLOAD_TOO_LARGE);
    }
    let read = tokio::time::timeout(BODY_WITHIN, read_chunks(body, bytes_max)).await;
    read.unwrap_or(Err(StatusCode::REQUEST_TIMEOUT))
}

async fn read_chunks(mut body: web::Payload, bytes_max: usize) -> Result<Vec<u8>, StatusCode> {
    let mut read = Vec::new();
    while let Some(chunk) = body.next().await {
        let chunk = chunk.map_err(|_| StatusCode::BAD_REQUEST)?;
        if read.len().saturating_add(chunk.len()) > bytes_max {
            return Err(StatusCode::PAYLOAD_TOO_LARGE);
        }
        read.extend_from_slice(&chunk);
    }
    Ok(read)
}

/// `POST /graphql`.
pub(super) async fn post(request: HttpRequest, body: web::Payload, edge: web::Data<Edge>) -> HttpResponse {
    let media = Media::of(&request);
    let content_type = request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("");
    let essence = content_type.split(';').next().unwrap_or("").trim();
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
        .insert_header((ACCESS_CONTROL_ALLOW_HEADERS, "accept, authorization, content-type, traceparent"))
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

async fn answer(request: &HttpRequest, edge: &Edge, asked: Asked, media: Media, by_get: bool) -> HttpResponse {
    let arrived_at = edge.api.db.now();
    let Some(query) = asked.query else {
        return media.refuse(StatusCode::BAD_REQUEST, Code::BadRequest, "`query` is missing");
    };
    let viewer = match viewer(request, edge).await {
        Ok(Some(viewer)) => viewer,
        Ok(None) => {
            let why = "this token is unknown, revoked or expired: sign in again";
            return media.refuse(StatusCode::UNAUTHORIZED, Code::Unauthenticated, why);
        }
        Err(error) => {
            internal(&error);
            return media.refuse(StatusCode::SERVICE_UNAVAILABLE, Code::Internal, "internal error");
        }
    };
    let operation_name = asked.operation_name.filter(|name| !name.is_empty());
    let Admitted { document, name, operation } = match admit(&query, operation_name.as_deref()) {
        Ok(admitted) => admitted,
        Err(why) => return media.answer(&Response::from_errors(vec![why])),
    };
    if let Some(name) = name {
        request.extensions_mut().insert(OperationName(name.chars().take(64).collect()));
    }
    if by_get && operation != OperationType::Query {
        return media.refuse(StatusCode::METHOD_NOT_ALLOWED, Code::BadRequest, "GET is for queries: send anything else by POST");
    }
    let context = RequestContext { viewer, address: address::client(request, &edge.api.trusted_proxies), arrived_at };
    let mut work = Request::new("").variables(variables(asked.variables));
    work.operation_name = operation_name;
    work.set_parsed_query(document);
    media.answer(&execute(edge, work, context, operation).await)
}

fn variables(json: Option<serde_json::Map<String, serde_json::Value>>) -> Variables {
    Variables::from_json(serde_json::Value::Object(json.unwrap_or_default()))
}

/// A query ends with its client or its deadline; a mutation that began runs to its end on a task of its own.
async fn execute(edge: &Edge, work: Request, context: RequestContext, operation: OperationType) -> Response {
    let failed = |code: Code, message: &str| Response::from_errors(vec![code.server_error(message, None)]);
    let (schema, db) = (edge.schema.clone(), edge.api.db.clone());
    let run = async move { execute::execute(&schema, &db, operation, work, context).await }.in_current_span();
    let response = if operation == OperationType::Mutation {
        let task = match TraceParent::current() {
            Some(trace) => tokio::spawn(trace.scope(run)),
            None => tokio::spawn(run),
        };
        task.await.unwrap_or_else(|defect| Response::from_errors(vec![internal(&defect).into_server_error(Pos::default())]))
    } else {
        let done = tokio::time::timeout(edge.api.query_deadline, run).await;
        done.unwrap_or_else(|_| failed(Code::DeadlineExceeded, "the query took too long: ask for less"))
    };
    let kind = match operation {
        OperationType::Query => "query",
        OperationType::Mutation => "mutation",
        OperationType::Subscription => "subscription",
    };
    let outcome = match &response {
        response if response.is_ok() => "ok",
        response if is_request_error(response) => "refused",
        _ => "error",
    };
    metrics::counter!("smallrun_graphql_operations_total", "kind" => kind, "outcome" => outcome).increment(1);
    response
}

/// Who asks. `None`: a token was sent that is not good.
async fn viewer(request: &HttpRequest, edge: &Edge) -> Result<Option<Viewer>, sea_orm::DbErr> {
    let Some(header) = request.headers().get(AUTHORIZATION) else { return Ok(Some(Viewer::Public)) };
    let token = header.to_str().ok().and_then(|text| text.split_once(' '));
    let token = token.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer")).map(|(_, token)| token.trim());
    match token.and_then(Secret::presented) {
        Some(secret) => viewer_of(&edge.api.db, &secret).await,
        None => Ok(None),
    }
}

/// The media type that the client accepts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Media {
    GraphqlResponse,
    Json,
}

/// An answer: `data` is left out when nothing was run.
#[derive(Serialize)]
struct Answer<'a> {
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    errors: &'a [ServerError],
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<&'a Value>,
}

impl Media {
    /// The best of the two that `Accept` names; JSON for clients that say nothing or take anything (GraphQL over HTTP,
    /// section 6.1: clients from before the newer media type).
    fn of(request: &HttpRequest) -> Self {
        let accept = request.headers().get(ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or("");
        let ranges = accept.split(',').filter_map(|range| {
            let mut parts = range.split(';').map(str::trim);
            let media = match parts.next()?.to_ascii_lowercase().as_str() {
                GRAPHQL_RESPONSE => Self::GraphqlResponse,
                "application/json" => Self::Json,
                _ => return None,
            };
            // In thousandths, as RFC 9110, section 12.4.2, has them.
            let weight = parts.find_map(|part| part.strip_prefix("q=").or_else(|| part.strip_prefix("Q=")));
            let weight = weight.map_or(1.0, |weight| weight.parse::<f32>().unwrap_or(0.0));
            Some((media, weight))
        });
        // Of equal ones the first.
        let best = ranges.filter(|(_, weight)| *weight > 0.0).fold(None, |best: Option<(Self, f32)>, next| match best {
            Some(best) if best.1 >= next.1 => Some(best),
            _ => Some(next),
        });
        best.map_or(Self::Json, |(media, _)| media)
    }

    fn content_type(self) -> &'static str {
        match self {
            Self::GraphqlResponse => "application/graphql-response+json; charset=utf-8",
            Self::Json => "application/json; charset=utf-8",
        }
    }

    /// The answer of a request that was GraphQL. Only the newer media type may say by its status that nothing was run.
    fn answer(self, response: &Response) -> HttpResponse {
        let refused = is_request_error(response);
        let status = match response.errors.first().filter(|_| refused).and_then(code) {
            Some("INTERNAL") => StatusCode::INTERNAL_SERVER_ERROR,
            Some("DEADLINE_EXCEEDED") => StatusCode::SERVICE_UNAVAILABLE,
            _ if refused && self == Self::GraphqlResponse => StatusCode::BAD_REQUEST,
            _ => StatusCode::OK,
        };
        self.write(status, &Answer { errors: &response.errors, data: (!refused).then_some(&response.data) })
    }

    /// An answer to what is no GraphQL request, or nobody's.
    fn refuse(self, status: StatusCode, code: Code, message: &str) -> HttpResponse {
        self.write(status, &Answer { errors: &[code.server_error(message, None)], data: None })
    }

    fn write(self, status: StatusCode, answer: &Answer<'_>) -> HttpResponse {
        let Ok(body) = serde_json::to_vec(answer) else { return HttpResponse::InternalServerError().finish() };
        let mut response = HttpResponse::build(status);
        response
            .content_type(self.content_type())
            .insert_header((CACHE_CONTROL, "private, no-store"))
            .insert_header((VARY, "Accept, Authorization"))
            .insert_header((ACCESS_CONTROL_ALLOW_ORIGIN, "*"))
            .insert_header((ACCESS_CONTROL_EXPOSE_HEADERS, "traceparent, x-request-id"));
        match status {
            StatusCode::UNAUTHORIZED => drop(response.insert_header((WWW_AUTHENTICATE, "Bearer"))),
            StatusCode::METHOD_NOT_ALLOWED => drop(response.insert_header((ALLOW, "POST"))),
            // What was not read of the body would be taken for the next request.
            StatusCode::PAYLOAD_TOO_LARGE | StatusCode::REQUEST_TIMEOUT => drop(response.force_close()),
            _ => {}
        }
        response.body(body)
    }
}

fn code(error: &ServerError) -> Option<&str> {
    match error.extensions.as_ref()?.get("code")? {
        Value::String(code) => Some(code),
        _ => None,
    }
}
