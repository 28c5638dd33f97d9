//! From an admitted document to its answer: resolve, load, and give every error a code of ours.

use async_graphql::{Pos, Request, Response, ServerError, Value, parser::types::OperationType};
use domain::{catalog::Sight, platform::Db};

use super::{
    RequestContext,
    errors::{Code, denied, internal},
    introspection::Schemas,
    loaders::{Loader, Loaders},
};

/// The most errors that one answer shows: a document can be wrong in every place.
const ERRORS_MAX: usize = 20;

/// Runs an operation for whoever asks.
pub(crate) async fn execute(
    schemas: &Schemas,
    db: &Db,
    operation: OperationType,
    mut request: Request,
    context: RequestContext,
) -> Response {
    let schema = schemas.of(&context.viewer).clone();
    match request.parsed_query().map(|document| schemas.refusal(&context.viewer, document)) {
        Ok(None) => {}
        Ok(Some(refused)) | Err(refused) => return Response::from_errors(vec![refused]),
    }
    let sight = match Sight::of_viewer(&context.viewer) {
        Ok(sight) => sight,
        Err(why) => return Response::from_errors(vec![denied(why).into_server_error(Pos::default())]),
    };
    let loaders = Loaders { db: db.clone(), viewer: context.viewer.clone(), sight };
    let loader = Loader::new(loaders, operation == OperationType::Query);
    let request = request.data(context).data(loader.clone());
    let mut response = loader.drive(schema.execute(request)).await;
    response.errors.truncate(ERRORS_MAX);
    response.errors.iter_mut().for_each(settle);
    response
}

/// Whether nothing was run: then an answer has no `data` (GraphQL, October 2021, section 7.1).
pub(crate) fn is_request_error(response: &Response) -> bool {
    response.data == Value::Null && !response.errors.is_empty() && response.errors.iter().all(|error| error.path.is_empty())
}

/// Gives an error of the library a code of ours. What came from a resolver without one is a failure that nobody meant to show.
fn settle(error: &mut ServerError) {
    if error.extensions.as_ref().is_some_and(|extensions| extensions.get("code").is_some()) {
        return;
    }
    if error.source.is_some() {
        let shown = internal(&Unmarked(error.message.clone()));
        error.message = shown.message;
        error.extensions = shown.extensions;
        error.source = None;
    } else if !error.path.is_empty() {
        Code::BadUserInput.mark(error);
    } else if error.message.starts_with("Query is too complex") || error.message.starts_with("Query is nested too deep") {
        Code::TooCostly.mark(error);
    } else {
        Code::ValidationFailed.mark(error);
    }
}

/// A failure that reached the edge without `internal()`.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Unmarked(String);
