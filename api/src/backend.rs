//! Connects the edge with the marketplace: identifies callers and runs their operations on the schema.

use std::{any::Any, collections::HashMap, sync::Arc};

use async_graphql::{Pos, Request, Response, parser::types::OperationType};
use async_trait::async_trait;
use chrono::{DateTime, Utc};
use domain::{
    accounts::{Viewers, viewers_of},
    catalog::Sight,
    platform::{
        access::{Denied, ReadSchema, TokenKind, TokenViewer, Viewer, authorize},
        entropy::Secret,
        trace::TraceParent,
    },
};
use edge::{AdmittedWork, Audience, BackendError, Charged, Fingerprint, trace::RequestTrace};
use futures_util::{
    StreamExt,
    future::BoxFuture,
    stream::{self, BoxStream},
};
use sea_orm::DbErr;
use tokio::runtime::Handle;

use crate::{
    Api, Schema,
    graphql::{
        context::ApiContext,
        errors::denied,
        loaders::{Loader, Loaders},
    },
    schema,
};

/// The backend of the edge.
pub(crate) struct ApiBackend {
    shared: Arc<ApiContext>,
    viewers: Viewers,
}

impl ApiBackend {
    /// Creates the backend. Tokens are looked up on the current runtime.
    pub(crate) fn new(api: &Api) -> Self {
        let shared = ApiContext {
            db: api.db.clone(),
            desk: api.desk.clone(),
            gateways: api.gateways.clone(),
            live: api.live.clone(),
        };
        Self { viewers: Viewers::new(&api.db, Handle::current()), shared: Arc::new(shared) }
    }

    /// Returns the bearer of a token; `None` when the token is not valid.
    pub(crate) async fn find(&self, token: &str) -> Result<Option<Viewer>, DbErr> {
        match Secret::presented(token) {
            Some(secret) => self.viewers.of(&secret).await,
            None => Ok(None),
        }
    }

    fn asking(&self, viewer: Viewer) -> Arc<dyn edge::EdgeViewer> {
        Arc::new(AskingViewer { viewer, shared: Arc::clone(&self.shared) })
    }
}

#[async_trait]
impl edge::Backend for ApiBackend {
    fn anonymous(&self) -> Arc<dyn edge::EdgeViewer> {
        self.asking(Viewer::Public)
    }

    fn fingerprint(&self, token: &str) -> Option<Fingerprint> {
        Secret::presented(token).map(|secret| secret.hash())
    }

    async fn viewer(&self, token: &str) -> Result<Option<Arc<dyn edge::EdgeViewer>>, BackendError> {
        Ok(self.find(token).await?.map(|viewer| self.asking(viewer)))
    }

    async fn viewers(
        &self,
        tokens: &[Fingerprint],
    ) -> Result<HashMap<Fingerprint, Arc<dyn edge::EdgeViewer>>, BackendError> {
        let found = viewers_of(&self.shared.db, tokens).await?;
        Ok(found.into_iter().map(|(token, viewer)| (token, self.asking(viewer))).collect())
    }

    fn arrival_now(&self) -> DateTime<Utc> {
        self.shared.db.arrival_now()
    }

    fn is_crowded(&self) -> bool {
        self.shared.desk.is_crowded()
    }

    fn start_trace(&self) -> RequestTrace {
        shown(&TraceParent::start(self.shared.db.entropy()))
    }
}

/// Converts a trace to the form that the edge shows.
pub(crate) fn shown(trace: &TraceParent) -> RequestTrace {
    RequestTrace::new(trace.trace_id().to_owned(), trace.header())
}

/// Returns the trace that the edge has carried into the current task.
fn carried() -> Option<TraceParent> {
    RequestTrace::current().and_then(|trace| TraceParent::parse(trace.traceparent()))
}

/// A viewer and the shared state that their requests use.
struct AskingViewer {
    viewer: Viewer,
    shared: Arc<ApiContext>,
}

/// A request prepared for async-graphql, for one viewer.
struct Prepared {
    schema: &'static Schema,
    request: Request,
    loader: Loader,
}

impl AskingViewer {
    fn prepare(&self, work: AdmittedWork) -> Result<Prepared, Denied> {
        let AdmittedWork { request, kind, shows_schema, context } = work;
        let sight = Sight::of_viewer(&self.viewer)?;
        let (db, live) = (self.shared.db.clone(), self.shared.live.clone());
        let loaders = Loaders { db, live, viewer: self.viewer.clone(), sight };
        let loader = Loader::new(loaders, kind != OperationType::Mutation);
        let request = request
            .data(Arc::clone(&self.shared))
            .data(self.viewer.clone())
            .data(context)
            .data(loader.clone());
        Ok(Prepared { schema: schema(shows_schema), request, loader })
    }
}

impl edge::EdgeViewer for AskingViewer {
    fn is_anonymous(&self) -> bool {
        self.viewer == Viewer::Public
    }

    /// Administrators are not charged: they are few, known, and needed when something goes wrong. Publishable
    /// tokens are charged by network: every visitor's browser has the same one, so a single visitor could use
    /// up the budget of all.
    fn charged(&self) -> Charged {
        match &self.viewer {
            Viewer::Account(account) if account.admin => Charged::Nobody,
            Viewer::Account(account) => Charged::Known { kind: "account", id: account.account.0.as_u128() },
            Viewer::Guest(guest) => Charged::Known { kind: "guest", id: guest.guest.0.as_u128() },
            Viewer::Token(token) if token.kind == TokenKind::Secret => {
                Charged::Known { kind: "token", id: token.token.0.as_u128() }
            }
            Viewer::Token(_) | Viewer::Public => Charged::Network,
        }
    }

    fn audience(&self) -> Option<Audience> {
        match &self.viewer {
            Viewer::Public => Some(Audience("public".to_owned())),
            // All permissions are part of the audience, because they can change while the token is in use.
            Viewer::Token(TokenViewer { token, kind, creator, permissions }) => {
                let permissions: Vec<_> = permissions.iter().map(|permission| permission.name()).collect();
                Some(Audience(format!("{token} {kind:?} {creator:?} {}", permissions.join(","))))
            }
            Viewer::Account(_) | Viewer::Guest(..) => None,
        }
    }

    fn may_read_schema(&self) -> bool {
        authorize(&self.viewer, ReadSchema).is_ok()
    }

    fn is_same(&self, other: &dyn edge::EdgeViewer) -> bool {
        let other: &dyn Any = other;
        other.downcast_ref::<Self>().is_some_and(|other| self.viewer == other.viewer)
    }

    fn execute(self: Arc<Self>, work: AdmittedWork) -> BoxFuture<'static, Response> {
        Box::pin(traced(async move {
            match self.prepare(work) {
                Ok(Prepared { schema, request, loader }) => loader.drive(schema.execute(request)).await,
                Err(why) => refused(why),
            }
        }))
    }

    fn subscribe(self: Arc<Self>, work: AdmittedWork) -> BoxStream<'static, Response> {
        let Prepared { schema, request, loader } = match self.prepare(work) {
            Ok(prepared) => prepared,
            Err(why) => return stream::once(async move { refused(why) }).boxed(),
        };
        let events = schema.execute_stream(request).boxed();
        let answers = stream::unfold((events, loader), async |(mut events, loader)| {
            let answer = traced(loader.drive(events.next())).await?;
            // The next answer must load current data.
            loader.forget();
            Some((answer, (events, loader)))
        });
        answers.boxed()
    }
}

/// Returns the answer to a viewer who may see nothing at all.
fn refused(why: Denied) -> Response {
    Response::from_errors(vec![denied(why).into_server_error(Pos::default())])
}

/// Runs a future in the trace that the edge has carried here.
async fn traced<F: Future>(work: F) -> F::Output {
    match carried() {
        Some(trace) => trace.scope(work).await,
        None => work.await,
    }
}
