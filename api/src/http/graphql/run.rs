//! From what is asked to its answer: who asks, whether the document is admitted, and running it.

use actix_web::{
    HttpMessage, HttpRequest, HttpResponse,
    http::{StatusCode, header::AUTHORIZATION},
};
use async_graphql::{Pos, Request, Response, Variables, parser::types::OperationType};
use domain::{
    accounts::{Viewer, viewer_of},
    platform::{entropy::Secret, trace::TraceParent},
};
use tracing::Instrument;

use super::{asked::Asked, media::Media};
use crate::{
    graphql::{
        RequestContext,
        errors::{Code, internal},
        execute::{self, is_request_error},
        guard::{Admitted, admit},
        uploads::Uploads,
    },
    http::{Edge, address, around::OperationName},
};

/// Answers a request: who asks, what the document may cost, then its execution.
pub(super) async fn answer(request: &HttpRequest, edge: &Edge, asked: Asked, media: Media, by_get: bool) -> HttpResponse {
    let arrived_at = edge.api.db.now();
    let Some(query) = asked.query else {
        return media.refuse(StatusCode::BAD_REQUEST, Code::BadRequest, "`query` is missing");
    };
    let viewer = match viewer(request, edge).await {
        Ok(Some(viewer)) => viewer,
        Ok(None) => {
            let why = "this token is unknown, revoked or expired: sign in again";
            return media.refuse(StatusCode::UNAUTHORIZED, Code::Unauthenticated, why);
        }
        Err(error) => {
            internal(&error);
            return media.refuse(StatusCode::SERVICE_UNAVAILABLE, Code::Internal, "internal error");
        }
    };
    let operation_name = asked.operation_name.filter(|name| !name.is_empty());
    let Admitted { document, name, operation } = match admit(&query, operation_name.as_deref()) {
        Ok(admitted) => admitted,
        Err(why) => return media.answer(&Response::from_errors(vec![why])),
    };
    if let Some(name) = name {
        request.extensions_mut().insert(OperationName(name.chars().take(64).collect()));
    }
    if by_get && operation != OperationType::Query {
        return media.refuse(StatusCode::METHOD_NOT_ALLOWED, Code::BadRequest, "GET is for queries: send anything else by POST");
    }
    let context = RequestContext { viewer, address: address::client(request, &edge.api.trusted_proxies), arrived_at };
    let mut work = Request::new("").variables(variables(asked.variables));
    work.operation_name = operation_name;
    work.set_parsed_query(document);
    if let Some(uploads) = request.extensions_mut().remove::<Uploads>() {
        work = work.data(uploads);
    }
    media.answer(&execute(edge, work, context, operation).await)
}

fn variables(json: Option<serde_json::Map<String, serde_json::Value>>) -> Variables {
    Variables::from_json(serde_json::Value::Object(json.unwrap_or_default()))
}

/// A query ends with its client or its deadline; a mutation that began runs to its end on a task of its own.
async fn execute(edge: &Edge, work: Request, context: RequestContext, operation: OperationType) -> Response {
    let failed = |code: Code, message: &str| Response::from_errors(vec![code.server_error(message, None)]);
    let (schema, db) = (edge.schema.clone(), edge.api.db.clone());
    let run = async move { execute::execute(&schema, &db, operation, work, context).await }.in_current_span();
    let response = if operation == OperationType::Mutation {
        let task = match TraceParent::current() {
            Some(trace) => tokio::spawn(trace.scope(run)),
            None => tokio::spawn(run),
        };
        task.await.unwrap_or_else(|defect| Response::from_errors(vec![internal(&defect).into_server_error(Pos::default())]))
    } else {
        let done = tokio::time::timeout(edge.api.query_deadline, run).await;
        done.unwrap_or_else(|_| failed(Code::DeadlineExceeded, "the query took too long: ask for less"))
    };
    let kind = match operation {
        OperationType::Query => "query",
        OperationType::Mutation => "mutation",
        OperationType::Subscription => "subscription",
    };
    let outcome = match &response {
        response if response.is_ok() => "ok",
        response if is_request_error(response) => "refused",
        _ => "error",
    };
    metrics::counter!("smallrun_graphql_operations_total", "kind" => kind, "outcome" => outcome).increment(1);
    response
}

/// Who asks. `None`: a token was sent that is not good.
pub(in crate::http) async fn viewer(request: &HttpRequest, edge: &Edge) -> Result<Option<Viewer>, sea_orm::DbErr> {
    let Some(header) = request.headers().get(AUTHORIZATION) else { return Ok(Some(Viewer::Public)) };
    let token = header.to_str().ok().and_then(|text| text.split_once(' '));
    let token = token.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer")).map(|(_, token)| token.trim());
    match token.and_then(Secret::presented) {
        Some(secret) => viewer_of(&edge.api.db, &secret).await,
        None => Ok(None),
    }
}
