//! Starts the operations requested on a connection that stays open: queries and mutations run as over HTTP,
//! and subscriptions join the running ones.

use std::{collections::BTreeSet, sync::Arc, time::Instant};

use actix_web::{rt, web::Bytes};
use async_graphql::{
    Response, ServerError,
    parser::types::{ExecutableDocument, OperationType, Selection, SelectionSet},
};
use tokio_util::{
    sync::{CancellationToken, DropGuard},
    task::AbortOnDropHandle,
};

use super::caller::Caller;
use crate::{
    backend::RequestContext,
    errors::Code,
    execute::{self, Admitted, is_request_error},
    http::{HttpEdge, graphql::params::GraphqlParams},
    live::runs::{self, Joined, SubscriptionEnd, SubscriptionMessage, written},
};

/// An operation that was admitted.
pub(super) struct AdmittedOperation {
    admitted: Admitted,
    caller: RequestContext,
    /// Held for as long as the client waits for the answer.
    here: DropGuard,
    query: String,
    operation_name: Option<String>,
    variables: String,
}

impl AdmittedOperation {
    /// Admits a request of a caller; the error is the answer that refuses it.
    pub(super) async fn admit(
        edge: &HttpEdge,
        caller: &Caller,
        mut asked: GraphqlParams,
    ) -> Result<Self, Response> {
        let refused = |error| Response::from_errors(vec![error]);
        edge.settings.documents.resolve(&mut asked).map_err(|why| {
            let (code, why) = why.words();
            refused(code.server_error(why, None))
        })?;
        let Some(query) = asked.query else {
            return Err(refused(Code::BadRequest.server_error("`query` is missing", None)));
        };
        let gone = CancellationToken::new();
        let here = gone.clone().drop_guard();
        let (came_at, arrived_at) = (Instant::now(), edge.backend.arrival_now());
        let caller = RequestContext {
            viewer: Arc::clone(&caller.viewer),
            address: caller.address,
            arrived_at,
            came_at,
            gone,
        };
        let (operation_name, variables) = (asked.operation_name, asked.variables.unwrap_or_default());
        let text = serde_json::Value::Object(variables.clone()).to_string();
        let asked = execute::ExecutionRequest {
            query: query.clone(),
            operation_name: operation_name.clone(),
            variables,
            uploads: None,
        };
        let admitted = edge.executor.admit(asked, &caller).await?;
        if admitted.kind() == OperationType::Subscription {
            one_field(admitted.document(), admitted.name()).map_err(refused)?;
        }
        Ok(Self { admitted, caller, here, query, operation_name, variables: text })
    }

    /// Returns whether it is a mutation.
    pub(super) fn is_mutation(&self) -> bool {
        self.admitted.kind() == OperationType::Mutation
    }

    /// Starts the operation.
    pub(super) fn begin(self, edge: &HttpEdge) -> OpenOperation {
        let Self { admitted, caller, here, query, operation_name, variables } = self;
        if admitted.kind() == OperationType::Subscription {
            here.disarm();
            return OpenOperation::Watched(edge.runs.join(runs::SubscriptionRequest {
                query,
                operation_name,
                variables,
                admitted,
                caller,
            }));
        }
        let executor = edge.executor.clone();
        // Started at once, not only when the client reads.
        OpenOperation::Once(AbortOnDropHandle::new(rt::spawn(async move {
            let _here = here;
            told(&executor.run(admitted, caller).await)
        })))
    }
}

/// A running operation. Dropping it ends the operation, except for a mutation that has begun.
pub(super) enum OpenOperation {
    Watched(Joined),
    Once(AbortOnDropHandle<SubscriptionMessage>),
}

impl OpenOperation {
    /// Returns whether it has exactly one answer.
    pub(super) fn is_once(&self) -> bool {
        matches!(self, Self::Once(_))
    }

    /// Returns the next answer. It is cancel safe.
    pub(super) async fn next(&mut self) -> SubscriptionMessage {
        match self {
            Self::Watched(joined) => joined.next().await,
            Self::Once(running) => match running.await {
                Ok(told) => told,
                Err(defect) => {
                    tracing::error!(%defect, "operation panicked");
                    told(&Response::from_errors(vec![Code::Internal.server_error("internal error", None)]))
                }
            },
        }
    }
}

/// Returns the only answer of an operation.
pub(super) fn told(response: &Response) -> SubscriptionMessage {
    let end = if is_request_error(response) { SubscriptionEnd::Refused } else { SubscriptionEnd::Over };
    SubscriptionMessage { answer: Some(written(response)), end: Some(end) }
}

/// Checks that a subscription has exactly one root field (GraphQL, October 2021, section 5.2.3.1).
fn one_field(document: &ExecutableDocument, operation_name: Option<&str>) -> Result<(), ServerError> {
    let mut operations = document.operations.iter();
    let chosen = operations
        .find(|(name, _)| operation_name.is_none() || name.map(|name| name.as_str()) == operation_name);
    let Some((_, operation)) = chosen else { return Ok(()) };
    let mut keys = BTreeSet::new();
    collect(document, &operation.node.selection_set.node, &mut keys);
    if keys.len() == 1 && !keys.iter().any(|(_, name)| name.starts_with("__")) {
        return Ok(());
    }
    let why = "a subscription must have exactly one field, other than `__typename`: \
               send several subscriptions instead";
    Err(Code::ValidationFailed.server_error(why, Some(operation.pos)))
}

/// Collects the response keys and names of the root fields of a selection, also those in fragments. Cyclic
/// fragments were refused before.
fn collect<'a>(
    document: &'a ExecutableDocument,
    selection: &'a SelectionSet,
    keys: &mut BTreeSet<(&'a str, &'a str)>,
) {
    for selection in &selection.items {
        match &selection.node {
            Selection::Field(field) => {
                keys.insert((field.node.response_key().node.as_str(), field.node.name.node.as_str()));
            }
            Selection::FragmentSpread(spread) => {
                if let Some(fragment) = document.fragments.get(&spread.node.fragment_name.node) {
                    collect(document, &fragment.node.selection_set.node, keys);
                }
            }
            Selection::InlineFragment(fragment) => collect(document, &fragment.node.selection_set.node, keys),
        }
    }
}

/// Returns the serialized errors of a refused operation.
pub(super) fn refused(code: Code, message: &str) -> Bytes {
    written(&Response::from_errors(vec![code.server_error(message, None)]))
}

#[cfg(test)]
mod tests {
    use async_graphql::parser::parse_query;

    use super::*;

    #[test]
    fn a_subscription_has_one_field() {
        let complaint =
            |query: &str| one_field(&parse_query(query).unwrap(), None).err().map(|error| error.message);
        for good in [
            "subscription { stockChanged(dropId: \"x\") { soldOut } }",
            "subscription { a: stockChanged(dropId: \"x\") { soldOut } \
             ... on Subscription { a: stockChanged(dropId: \"x\") { asOf } } }",
            "subscription { ...F } fragment F on Subscription { stockChanged(dropId: \"x\") { soldOut } }",
        ] {
            assert_eq!(complaint(good), None, "{good}");
        }
        for bad in [
            "subscription { __typename }",
            "subscription { stockChanged(dropId: \"x\") { soldOut } dropChanged(id: \"x\") { id } }",
            "subscription { a: stockChanged(dropId: \"x\") { soldOut } \
             b: stockChanged(dropId: \"x\") { soldOut } }",
            "subscription { ...F stockChanged(dropId: \"x\") { soldOut } } \
             fragment F on Subscription { dropChanged(id: \"x\") { id } }",
        ] {
            assert!(complaint(bad).is_some_and(|complaint| complaint.contains("exactly one field")), "{bad}");
        }
    }
}
