//! The bearer token of a request, or of what stands for its header: whose it is, or why its sender is turned
//! away.

use std::sync::Arc;

use actix_web::{
    HttpRequest, HttpResponse,
    http::{StatusCode, header::AUTHORIZATION},
};

use super::{Edge, graphql::media::Media};
use crate::{
    backend::{Failure, Viewer},
    errors::{Code, internal},
};

/// Why a sender is turned away.
pub enum Unknown {
    /// What was sent is no token, or none that is good.
    Token,
    /// It could not be found out whose it is.
    Failed(Failure),
}

/// What is said of [`Unknown::Token`].
pub(super) const UNKNOWN_TOKEN: &str = "this token is unknown, revoked or expired: sign in again";

impl Unknown {
    /// The answer to a request.
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

/// The token that a request was sent with, if any.
///
/// # Errors
///
/// When its header `Authorization` holds no bearer token.
pub fn token_of(request: &HttpRequest) -> Result<Option<&str>, Unknown> {
    header_of(request)?.map(token_in).transpose()
}

/// The header of a request, if there is one.
pub(super) fn header_of(request: &HttpRequest) -> Result<Option<&str>, Unknown> {
    request.headers().get(AUTHORIZATION).map(|header| header.to_str().map_err(|_| Unknown::Token)).transpose()
}

/// The token in a header, or in a parameter that is like one.
pub(super) fn token_in(header: &str) -> Result<&str, Unknown> {
    let token = header.split_once(' ').filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
    token.map(|(_, token)| token.trim()).ok_or(Unknown::Token)
}

/// Who sent a request; without a token, nobody in particular.
pub(super) async fn viewer(request: &HttpRequest, edge: &Edge) -> Result<Arc<dyn Viewer>, Unknown> {
    let Some(token) = token_of(request)? else { return Ok(edge.backend.anonymous()) };
    edge.backend.viewer(token).await.map_err(Unknown::Failed)?.ok_or(Unknown::Token)
}
