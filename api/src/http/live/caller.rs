//! Who is at the other end of a connection, and whether still.

use std::net::IpAddr;

use actix_web::{HttpRequest, web};
use domain::{accounts::viewer_of, platform::access::Viewer};
use serde_json::{Map, Value};

use crate::{
    http::{
        Edge, address,
        bearer::{Unknown, header_of, token_in},
    },
    live::{
        Live,
        passes::{Lost, Pass},
    },
};

/// Who is at the other end of a connection.
pub(super) struct Caller {
    pub(super) viewer: Viewer,
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
        let address = address::client(request, &edge.api.trusted_proxies);
        Self::find(edge.runs.live(), header_of(request)?, address).await
    }

    /// Finds out who it is; without a word, it is nobody in particular.
    pub(super) async fn find(live: &Live, authorization: Option<&str>, address: Option<IpAddr>) -> Result<Self, Unknown> {
        let mut caller = Self { viewer: Viewer::Public, address, pass: None };
        if let Some(authorization) = authorization {
            let secret = token_in(authorization)?;
            // Watched before it is looked up, so that a revocation cannot fall between.
            caller.pass = Some(live.passes().watch(secret.hash()));
            caller.viewer = viewer_of(live.db(), &secret).await.map_err(Unknown::Db)?.ok_or(Unknown::Token)?;
        }
        Ok(caller)
    }

    /// Waits until the token is not good any longer, or what its bearer may do has changed; then says so. It may be dropped
    /// while it waits.
    pub(super) async fn denied(&mut self) -> &'static str {
        match &mut self.pass {
            None => std::future::pending().await,
            Some(pass) => match pass.lost(&self.viewer).await {
                Lost::Token => "this token was revoked, or has expired: sign in again",
                Lost::Rights => "what you may do has changed: connect again",
            },
        }
    }
}
