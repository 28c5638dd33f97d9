//! The media type of an answer, its status, its headers.

use std::collections::BTreeMap;

use actix_web::{
    HttpRequest, HttpResponse,
    http::{
        StatusCode,
        header::{
            ACCEPT, ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ALLOW, CACHE_CONTROL, RETRY_AFTER, VARY,
            WWW_AUTHENTICATE,
        },
    },
};
use async_graphql::{Response, ServerError, Value};
use serde::Serialize;

use crate::graphql::{
    errors::Code,
    execute::{is_request_error, retry_after_secs},
};

const GRAPHQL_RESPONSE: &str = "application/graphql-response+json";

/// The media type that the client accepts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::http) enum Media {
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
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    extensions: &'a BTreeMap<String, Value>,
}

impl Media {
    /// The best of the two that `Accept` names; JSON for clients that say nothing or take anything (GraphQL over HTTP,
    /// section 6.1: clients from before the newer media type).
    pub(super) fn of(request: &HttpRequest) -> Self {
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
    pub(super) fn answer(self, response: &Response) -> HttpResponse {
        let refused = is_request_error(response);
        let status = match response.errors.first().filter(|_| refused).and_then(code) {
            Some("INTERNAL") => StatusCode::INTERNAL_SERVER_ERROR,
            Some("DEADLINE_EXCEEDED") => StatusCode::SERVICE_UNAVAILABLE,
            Some("RATE_LIMITED") => StatusCode::TOO_MANY_REQUESTS,
            _ if refused && self == Self::GraphqlResponse => StatusCode::BAD_REQUEST,
            _ => StatusCode::OK,
        };
        let data = (!refused).then_some(&response.data);
        let mut answer = self.write(status, &Answer { errors: &response.errors, data, extensions: &response.extensions });
        if let Some(secs) = retry_after_secs(response) {
            answer.headers_mut().insert(RETRY_AFTER, secs.into());
        }
        answer
    }

    /// An answer to what is no GraphQL request, or nobody's.
    pub(in crate::http) fn refuse(self, status: StatusCode, code: Code, message: &str) -> HttpResponse {
        let errors = [code.server_error(message, None)];
        self.write(status, &Answer { errors: &errors, data: None, extensions: &BTreeMap::new() })
    }

    fn write(self, status: StatusCode, answer: &Answer<'_>) -> HttpResponse {
        let Ok(body) = serde_json::to_vec(answer) else { return HttpResponse::InternalServerError().finish() };
        let mut response = HttpResponse::build(status);
        response
            .content_type(self.content_type())
            .insert_header((CACHE_CONTROL, "private, no-store"))
            .insert_header((VARY, "Accept, Authorization"))
            .insert_header((ACCESS_CONTROL_ALLOW_ORIGIN, "*"))
            .insert_header((ACCESS_CONTROL_EXPOSE_HEADERS, "traceparent, x-request-id, retry-after"));
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
