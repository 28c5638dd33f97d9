//! The client of a connection that stays open, and whether its token is still valid.

use std::{net::IpAddr, sync::Arc};

use actix_web::{HttpRequest, web};
use serde_json::{Map, Value};

use crate::{
    backend::EdgeViewer,
    http::{
        HttpEdge, address,
        bearer::{Unknown, header_of, token_in},
    },
    live::passes::{Lost, Pass},
};

/// The client of a connection.
pub(super) struct Caller {
    pub(super) viewer: Arc<dyn EdgeViewer>,
    pub(super) address: Option<IpAddr>,
    /// Watches the validity of its token, if it has one.
    pass: Option<Pass>,
}

/// Returns the authorization in the payload of `connection_init`: browsers cannot set headers on a handshake.
pub(super) fn authorization_in(params: &Map<String, Value>) -> Result<Option<String>, Unknown> {
    let named = params.iter().find(|(name, _)| name.eq_ignore_ascii_case("authorization"));
    match named.map(|(_, value)| value) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(value)) => Ok(Some(value.clone())),
        Some(_) => Err(Unknown::Token),
    }
}

impl Caller {
    /// Identifies the sender of a request or a handshake.
    pub(super) async fn of(request: &HttpRequest, edge: &web::Data<HttpEdge>) -> Result<Self, Unknown> {
        let address = address::client(request, &edge.settings.trusted_proxies);
        Self::find(edge, header_of(request)?, address).await
    }

    /// Identifies the bearer of an authorization; without one the caller is anonymous.
    pub(super) async fn find(
        edge: &HttpEdge,
        authorization: Option<&str>,
        address: Option<IpAddr>,
    ) -> Result<Self, Unknown> {
        let mut caller = Self { viewer: edge.backend.anonymous(), address, pass: None };
        if let Some(authorization) = authorization {
            let token = token_in(authorization)?;
            // Watched before the lookup, so that a revocation in between is noticed.
            caller.pass = Some(edge.passes.watch(edge.backend.fingerprint(token).ok_or(Unknown::Token)?));
            caller.viewer =
                edge.backend.viewer(token).await.map_err(Unknown::Failed)?.ok_or(Unknown::Token)?;
        }
        Ok(caller)
    }

    /// Waits until the token is no longer valid or its bearer's permissions have changed, and returns the
    /// reason. It is cancel safe.
    pub(super) async fn denied(&mut self) -> &'static str {
        match &mut self.pass {
            None => std::future::pending().await,
            Some(pass) => match pass.lost(&*self.viewer).await {
                Lost::Token => "this token was revoked or has expired: sign in again",
                Lost::Rights => "your permissions have changed: connect again",
            },
        }
    }
}
