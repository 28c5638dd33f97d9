//! Answers a request: identifies the caller, admits the document and runs it.

use std::time::Instant;

use actix_web::{HttpMessage, HttpRequest, HttpResponse, http::StatusCode};
use async_graphql::parser::types::OperationType;
use tokio_util::sync::CancellationToken;

use super::{media::Media, params::GraphqlParams};
use crate::{
    backend::RequestContext,
    errors::Code,
    execute,
    http::{HttpEdge, address, around::OperationName, bearer},
    uploads::Uploads,
};

/// Answers a request.
pub(super) async fn answer(
    request: &HttpRequest,
    edge: &HttpEdge,
    asked: GraphqlParams,
    media: Media,
    by_get: bool,
) -> HttpResponse {
    let (came_at, arrived_at) = (Instant::now(), edge.backend.arrival_now());
    let Some(query) = asked.query else {
        return media.refuse(StatusCode::BAD_REQUEST, Code::BadRequest, "`query` is missing");
    };
    if let Some(busy) = edge.executor.overload(&query) {
        return media.answer(&busy);
    }
    let viewer = match bearer::viewer(request, edge).await {
        Ok(viewer) => viewer,
        Err(unknown) => return unknown.answer(&media),
    };
    let gone = CancellationToken::new();
    // Dropped together with this future when the client disconnects.
    let _here = gone.clone().drop_guard();
    let caller = RequestContext {
        viewer,
        address: address::client(request, &edge.settings.trusted_proxies),
        arrived_at,
        came_at,
        gone,
    };
    let asked = execute::ExecutionRequest {
        query,
        operation_name: asked.operation_name,
        variables: asked.variables.unwrap_or_default(),
        uploads: request.extensions_mut().remove::<Uploads>(),
    };
    let admitted = match edge.executor.admit(asked, &caller).await {
        Ok(admitted) => admitted,
        Err(refusal) => return media.answer(&refusal),
    };
    if let Some(name) = admitted.name() {
        request.extensions_mut().insert(OperationName(name.chars().take(64).collect()));
    }
    if by_get && admitted.kind() != OperationType::Query {
        return media.refuse(
            StatusCode::METHOD_NOT_ALLOWED,
            Code::BadRequest,
            "GET runs queries only: use POST",
        );
    }
    media.answer(&edge.executor.run(admitted, caller).await)
}
