//! Cross-origin access from pages in a browser (Fetch, section 3.2).
//!
//! There are no cookies: what a page may do depends on its token and not on its origin, and answers never
//! allow credentials. A page of another origin can still send *simple* requests without a preflight. These
//! have no effect: bodies are accepted only with a content type that no form can send, and GET changes
//! nothing.

use actix_web::{
    Error, HttpResponse,
    body::MessageBody,
    dev::{ServiceRequest, ServiceResponse},
    http::header::{
        ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
        ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, HeaderMap, HeaderValue, ORIGIN, VARY,
    },
    middleware::Next,
    web,
};

use super::HttpEdge;

/// How long a browser may cache a preflight answer, in seconds. Browsers cap it at two hours or a day.
const REMEMBERED_SECS: &str = "86400";
/// The request headers that a page may set: the usual ones, those by which clients force a preflight, and
/// Apollo's.
const HEADERS: &str = "accept, authorization, content-encoding, content-type, traceparent, \
     graphql-require-preflight, graphql-preflight, apollo-require-preflight, x-apollo-operation-name, \
     x-apollo-operation-id, apollographql-client-name, apollographql-client-version";
/// The response headers that a page may read.
const EXPOSED: &str = "etag, retry-after, traceparent, x-request-id";

/// The origins whose pages may read answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cors {
    /// Any origin.
    Any,
    /// These origins, spelled as browsers send them.
    These(Vec<String>),
}

impl Cors {
    /// Returns whether a page of this origin may connect. Clients that are not browsers send no origin and
    /// are let in.
    pub(super) fn takes(&self, origin: Option<&HeaderValue>) -> bool {
        match (self, origin) {
            (Self::Any, _) | (_, None) => true,
            (Self::These(origins), Some(origin)) => {
                origins.iter().any(|known| known.as_bytes() == origin.as_bytes())
            }
        }
    }

    /// Sets the headers that allow the requesting page to read the answer.
    fn say(&self, origin: Option<&HeaderValue>, headers: &mut HeaderMap) {
        match self {
            Self::Any => headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*")),
            Self::These(origins) => {
                headers.append(VARY, HeaderValue::from_static("origin"));
                let known =
                    origin.filter(|origin| origins.iter().any(|known| known.as_bytes() == origin.as_bytes()));
                let Some(known) = known else { return };
                headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, known.clone())
            }
        };
        headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(EXPOSED));
    }
}

/// Middleware that adds the CORS headers to every answer.
pub async fn cors(
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let edge = request.app_data::<web::Data<HttpEdge>>().cloned();
    let origin = request.headers().get(ORIGIN).cloned();
    let mut response = next.call(request).await?;
    if let Some(edge) = edge {
        edge.settings.http.cors.say(origin.as_ref(), response.headers_mut());
    }
    Ok(response)
}

/// Answers a preflight request (`OPTIONS`). The middleware [`cors`] adds whether the origin is allowed.
pub async fn preflight() -> HttpResponse {
    HttpResponse::NoContent()
        .insert_header((ACCESS_CONTROL_ALLOW_METHODS, "GET, POST"))
        .insert_header((ACCESS_CONTROL_ALLOW_HEADERS, HEADERS))
        .insert_header((ACCESS_CONTROL_MAX_AGE, REMEMBERED_SECS))
        .finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_are_compared_exactly() {
        let these = Cors::These(vec!["https://shop.example".to_owned()]);
        for (cors, origin, allowed) in [
            (&Cors::Any, None, "*"),
            (&Cors::Any, Some("https://evil.example"), "*"),
            (&these, Some("https://shop.example"), "https://shop.example"),
            (&these, Some("https://shop.example.evil.example"), ""),
            (&these, Some("http://shop.example"), ""),
            (&these, Some("null"), ""),
            (&these, None, ""),
        ] {
            let mut headers = HeaderMap::new();
            cors.say(origin.map(HeaderValue::from_static).as_ref(), &mut headers);
            let said = |name| headers.get(name).map_or("", |value: &HeaderValue| value.to_str().unwrap());
            assert_eq!(said(ACCESS_CONTROL_ALLOW_ORIGIN), allowed, "{origin:?}");
            assert_eq!(said(ACCESS_CONTROL_EXPOSE_HEADERS).is_empty(), allowed.is_empty(), "{origin:?}");
            assert_eq!(said(VARY), if *cors == Cors::Any { "" } else { "origin" }, "{origin:?}");
        }
    }
}
