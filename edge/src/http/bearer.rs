//! The bearer token of a request or of `connection_init`: finds its bearer or the reason to refuse it.

use std::sync::Arc;

use actix_web::{
    HttpRequest, HttpResponse,
    http::{StatusCode, header::AUTHORIZATION},
};

use super::{HttpEdge, graphql::media::Media};
use crate::{
    backend::{BackendError, EdgeViewer},
    errors::{Code, internal},
};

/// Why a token is refused.
pub enum Unknown {
    /// The header holds no token, or the token is not valid.
    Token,
    /// The token could not be looked up.
    Failed(BackendError),
}

/// The error text of [`Unknown::Token`].
pub(super) const UNKNOWN_TOKEN: &str = "this token is unknown, revoked or expired: sign in again";

impl Unknown {
    /// Returns the answer to a request.
    pub(super) fn answer(&self, media: &Media) -> HttpResponse {
        match self {
            Self::Token => media.refuse(StatusCode::UNAUTHORIZED, Code::Unauthenticated, UNKNOWN_TOKEN),
            Self::Failed(failure) => {
                internal(&**failure);
                media.refuse(StatusCode::SERVICE_UNAVAILABLE, Code::Internal, "internal error")
            }
        }
    }
}

/// Returns the token of a request, if it has one.
///
/// # Errors
///
/// When the header `Authorization` holds no bearer token.
pub fn token_of(request: &HttpRequest) -> Result<Option<&str>, Unknown> {
    header_of(request)?.map(token_in).transpose()
}

/// Returns the `Authorization` header of a request, if there is one.
pub(super) fn header_of(request: &HttpRequest) -> Result<Option<&str>, Unknown> {
    request.headers().get(AUTHORIZATION).map(|header| header.to_str().map_err(|_| Unknown::Token)).transpose()
}

/// Returns the token in the header, or in a parameter with the same syntax.
pub(super) fn token_in(header: &str) -> Result<&str, Unknown> {
    let token = header.split_once(' ').filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
    token.map(|(_, token)| token.trim()).ok_or(Unknown::Token)
}

/// Returns the viewer of a request: the bearer of its token, or the anonymous viewer.
pub(super) async fn viewer(request: &HttpRequest, edge: &HttpEdge) -> Result<Arc<dyn EdgeViewer>, Unknown> {
    let Some(token) = token_of(request)? else { return Ok(edge.backend.anonymous()) };
    edge.backend.viewer(token).await.map_err(Unknown::Failed)?.ok_or(Unknown::Token)
}
