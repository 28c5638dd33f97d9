//! Which pages in a browser may read what the API answers (Fetch, section 3.2), and what a page can never
//! make a browser do.
//!
//! There are no cookies here: what a page may do depends on the token that it has, not on its origin, and
//! answers never allow credentials. A page of another origin can still send *simple* requests without asking:
//! those have no effect, because a body is taken only in a type that no form can send, and GET changes
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

use super::Edge;

/// How long a browser may remember that it is allowed to ask from another origin, in seconds. Browsers cut it
/// to two hours or a day.
const REMEMBERED_SECS: &str = "86400";
/// The headers that a page may add: the usual ones, those with which clients make sure that the browser asks
/// first, Apollo's names.
const HEADERS: &str = "accept, authorization, content-encoding, content-type, traceparent, graphql-require-preflight, graphql-preflight, \
     apollo-require-preflight, x-apollo-operation-name, x-apollo-operation-id, apollographql-client-name, apollographql-client-version";
/// The headers that a page may read.
const EXPOSED: &str = "etag, retry-after, traceparent, x-request-id";

/// The origins whose pages may read answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cors {
    /// Any.
    Any,
    /// These, as a browser sends them.
    These(Vec<String>),
}

impl Cors {
    /// Whether a page of that origin may ask; whoever says none is no page in a browser.
    pub(super) fn takes(&self, origin: Option<&HeaderValue>) -> bool {
        match (self, origin) {
            (Self::Any, _) | (_, None) => true,
            (Self::These(origins), Some(origin)) => {
                origins.iter().any(|known| known.as_bytes() == origin.as_bytes())
            }
        }
    }

    /// Says on an answer whether the page that asked may read it.
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

/// Middleware for what pages of other origins may ask.
pub async fn cors(
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let edge = request.app_data::<web::Data<Edge>>().cloned();
    let origin = request.headers().get(ORIGIN).cloned();
    let mut response = next.call(request).await?;
    if let Some(edge) = edge {
        edge.settings.http.cors.say(origin.as_ref(), response.headers_mut());
    }
    Ok(response)
}

/// `OPTIONS`: what a browser asks before it lets a page ask. Whether the page's origin may, [`cors`] adds.
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
    fn an_origin_is_let_in_by_the_letter() {
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
