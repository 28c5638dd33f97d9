//! Who is at the other end of a connection, and whether still.

use std::net::IpAddr;

use actix_web::{HttpRequest, web};
use domain::{
    accounts::{Viewer, viewer_of},
    platform::entropy::Secret,
};
use serde_json::{Map, Value};

use crate::{
    http::{
        Edge, address,
        bearer::{Unknown, header_of, token_in},
    },
    live::{
        Live,
        passes::Pass,
        topics::{Ear, Topic},
    },
};

/// Who is at the other end of a connection.
pub(super) struct Caller {
    pub(super) viewer: Viewer,
    pub(super) address: Option<IpAddr>,
    live: Live,
    token: Option<Token>,
}

struct Token {
    secret: Secret,
    pass: Pass,
    /// Hears of changes of the account that the token is of.
    ear: Option<Ear>,
    /// Whether there was one that was not looked into yet.
    account_changed: bool,
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
        let mut caller = Self { viewer: Viewer::Public, address, live: live.clone(), token: None };
        if let Some(authorization) = authorization {
            let secret = token_in(authorization)?;
            // Watched before it is looked up, so that a revocation cannot fall between.
            let pass = live.passes().watch(secret.hash());
            caller.viewer = viewer_of(live.db(), &secret).await.map_err(Unknown::Db)?.ok_or(Unknown::Token)?;
            let ear = match &caller.viewer {
                Viewer::Account(account) => Some(live.topics().listen(Topic::Account(account.account))),
                Viewer::Public | Viewer::Guest(..) | Viewer::Token(_) => None,
            };
            caller.token = Some(Token { secret, pass, ear, account_changed: false });
        }
        Ok(caller)
    }

    /// Waits until the token is not good any longer, or what its bearer may do has changed; then says so. It may be dropped
    /// while it waits.
    pub(super) async fn denied(&mut self) -> &'static str {
        let Some(Token { secret, pass, ear, account_changed }) = &mut self.token else { return std::future::pending().await };
        loop {
            if *account_changed {
                match viewer_of(self.live.db(), secret).await {
                    Ok(Some(viewer)) if viewer == self.viewer => {}
                    Ok(_) => return "what you may do has changed: connect again",
                    // The periodic look finds a revocation all the same.
                    Err(error) => tracing::warn!(%error, "the bearer of a token could not be looked up"),
                }
                *account_changed = false;
            }
            let change = async {
                match ear {
                    Some(ear) => ear.changed().await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = pass.revoked() => return "this token was revoked, or has expired: sign in again",
                () = change => *account_changed = true,
            }
        }
    }
}
