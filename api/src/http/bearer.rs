//! The bearer token of a request, or of what stands for its header: whose it is, or why its sender is turned away.

use actix_web::{
    HttpRequest, HttpResponse,
    http::{StatusCode, header::AUTHORIZATION},
};
use domain::platform::{access::Viewer, entropy::Secret};
use sea_orm::DbErr;

use super::{Edge, graphql::media::Media};
use crate::graphql::errors::{Code, internal};

/// Why a sender is turned away.
pub(super) enum Unknown {
    /// What was sent is no token, or none that is good.
    Token,
    /// The database failed.
    Db(DbErr),
}

/// What is said of [`Unknown::Token`].
pub(super) const UNKNOWN_TOKEN: &str = "this token is unknown, revoked or expired: sign in again";

impl Unknown {
    /// The answer to a request.
    pub(super) fn answer(&self, media: &Media) -> HttpResponse {
        match self {
            Self::Token => media.refuse(StatusCode::UNAUTHORIZED, Code::Unauthenticated, UNKNOWN_TOKEN),
            Self::Db(error) => {
                internal(error);
                media.refuse(StatusCode::SERVICE_UNAVAILABLE, Code::Internal, "internal error")
            }
        }
    }
}

/// The header of a request, if there is one.
pub(super) fn header_of(request: &HttpRequest) -> Result<Option<&str>, Unknown> {
    request.headers().get(AUTHORIZATION).map(|header| header.to_str().map_err(|_| Unknown::Token)).transpose()
}

/// The token in a header, or in a parameter that is like one.
pub(super) fn token_in(header: &str) -> Result<Secret, Unknown> {
    let token = header.split_once(' ').filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
    token.and_then(|(_, token)| Secret::presented(token.trim())).ok_or(Unknown::Token)
}

/// Who sent a request; without a token, nobody in particular.
pub(super) async fn viewer(request: &HttpRequest, edge: &Edge) -> Result<Viewer, Unknown> {
    let Some(header) = header_of(request)? else { return Ok(Viewer::Public) };
    edge.viewers.of(&token_in(header)?).await.map_err(Unknown::Db)?.ok_or(Unknown::Token)
}
