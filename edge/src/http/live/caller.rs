//! Who is at the other end of a connection, and whether still.

use std::{net::IpAddr, sync::Arc};

use actix_web::{HttpRequest, web};
use serde_json::{Map, Value};

use crate::{
    backend::Viewer,
    http::{
        Edge, address,
        bearer::{Unknown, header_of, token_in},
    },
    live::passes::{Lost, Pass},
};

/// Who is at the other end of a connection.
pub(super) struct Caller {
    pub(super) viewer: Arc<dyn Viewer>,
    pub(super) address: Option<IpAddr>,
    /// Of its token, if it has one.
    pass: Option<Pass>,
}

/// What `connection_init` says of its sender: browsers cannot send headers with a handshake.
pub(super) fn authorization_in(params: &Map<String, Value>) -> Result<Option<String>, Unknown> {
    let named = params.iter().find(|(name, _)| name.eq_ignore_ascii_case("authorization"));
    match named.map(|(_, value)| value) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(value)) => Ok(Some(value.clone())),
        Some(_) => Err(Unknown::Token),
    }
}

impl Caller {
    /// Who sent a request or a handshake.
    pub(super) async fn of(request: &HttpRequest, edge: &web::Data<Edge>) -> Result<Self, Unknown> {
        let address = address::client(request, &edge.settings.trusted_proxies);
        Self::find(edge, header_of(request)?, address).await
    }

    /// Finds out who it is; without a word, it is nobody in particular.
    pub(super) async fn find(
        edge: &Edge,
        authorization: Option<&str>,
        address: Option<IpAddr>,
    ) -> Result<Self, Unknown> {
        let mut caller = Self { viewer: edge.backend.anonymous(), address, pass: None };
        if let Some(authorization) = authorization {
            let token = token_in(authorization)?;
            // Watched before it is looked up, so that a revocation cannot fall between.
            caller.pass = Some(edge.passes.watch(edge.backend.fingerprint(token).ok_or(Unknown::Token)?));
            caller.viewer =
                edge.backend.viewer(token).await.map_err(Unknown::Failed)?.ok_or(Unknown::Token)?;
        }
        Ok(caller)
    }

    /// Waits until the token is not good any longer, or what its bearer may do has changed; then says so. It
    /// may be dropped while it waits.
    pub(super) async fn denied(&mut self) -> &'static str {
        match &mut self.pass {
            None => std::future::pending().await,
            Some(pass) => match pass.lost(&*self.viewer).await {
                Lost::Token => "this token was revoked, or has expired: sign in again",
                Lost::Rights => "what you may do has changed: connect again",
            },
        }
    }
}
