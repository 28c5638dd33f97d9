//! What files and printable pages of a creator have in common: who may download them, their headers, and the
//! streaming of their parts.

use std::future::Future;

use actix_web::{
    HttpRequest, HttpResponse, Resource,
    http::{
        Method, StatusCode,
        header::{CACHE_CONTROL, CONTENT_DISPOSITION, VARY, WWW_AUTHENTICATE},
    },
    web::{self, Bytes},
};
use domain::platform::{
    access::{CreatorScope, Denied, Manage, Permission, Viewer, authorize},
    export::{ExportError, ExportPart},
    ids::CreatorId,
};
use edge::{
    errors::internal,
    http::{bearer::token_of, cors},
};
use futures_util::{Stream, stream};

use crate::backend::ApiBackend;

/// Returns a resource whose preflight requests are answered. Add the route, and wrap it in
/// [`cors::cors`].
pub(super) fn resource(path: &str) -> Resource {
    web::resource(path).route(web::method(Method::OPTIONS).to(cors::preflight))
}

/// Returns the scope in which the bearer of the request's token acts for a creator, or the refusal. `creator`
/// is the id from the path.
pub(super) async fn scope_of(
    request: &HttpRequest,
    backend: &ApiBackend,
    creator: &str,
    permission: Permission,
) -> Result<CreatorScope, HttpResponse> {
    let found = match token_of(request) {
        Ok(None) => Ok(Some(Viewer::Public)),
        Ok(Some(token)) => backend.find(token).await,
        Err(_) => Ok(None),
    };
    let viewer = match found {
        Ok(Some(viewer)) => viewer,
        Ok(None) => {
            return Err(text(StatusCode::UNAUTHORIZED, "this token is unknown, revoked or expired\n"));
        }
        Err(error) => {
            internal(&error);
            return Err(text(StatusCode::SERVICE_UNAVAILABLE, "try again later\n"));
        }
    };
    // A malformed id is answered like an unknown creator.
    let creator = creator.parse::<CreatorId>().unwrap_or(CreatorId(uuid::Uuid::nil()));
    authorize(&viewer, Manage { creator, permission }).map_err(|why| match why {
        Denied::Unauthenticated => {
            text(StatusCode::UNAUTHORIZED, "send `Authorization: Bearer` with a token\n")
        }
        Denied::NotFound => text(StatusCode::NOT_FOUND, "not found\n"),
        Denied::Forbidden | Denied::Unconfirmed => {
            text(StatusCode::FORBIDDEN, "you are not allowed to do this\n")
        }
    })
}

fn text(status: StatusCode, text: &'static str) -> HttpResponse {
    let mut response = HttpResponse::build(status);
    response.content_type("text/plain; charset=utf-8").insert_header((CACHE_CONTROL, "private, no-store"));
    response.insert_header((VARY, "Authorization"));
    if status == StatusCode::UNAUTHORIZED {
        response.insert_header((WWW_AUTHENTICATE, "Bearer"));
    }
    response.body(text)
}

/// Returns the response of a CSV file. A failure cuts the connection, so that an incomplete file is not taken
/// for a complete one.
pub(super) fn csv(
    name: &'static str,
    rows: impl Stream<Item = Result<Bytes, ExportError>> + 'static,
) -> HttpResponse {
    let mut response = HttpResponse::Ok();
    response.content_type("text/csv; charset=utf-8; header=present");
    response.insert_header((CONTENT_DISPOSITION, format!("attachment; filename=\"{name}\"")));
    response.insert_header((CACHE_CONTROL, "private, no-store")).insert_header((VARY, "Authorization"));
    response.streaming(rows)
}

/// How far an export has been read.
enum ExportPosition<K> {
    Start,
    After(K),
    End,
}

/// Streams the parts of an export. `part` reads the part after a key; it is called whenever the client can
/// take more.
pub(super) fn parts<K, R>(part: impl Fn(Option<K>) -> R) -> impl Stream<Item = Result<Bytes, ExportError>>
where
    R: Future<Output = Result<ExportPart<K>, ExportError>>,
{
    stream::try_unfold(ExportPosition::Start, move |place| {
        let next = match place {
            ExportPosition::Start => Some(part(None)),
            ExportPosition::After(key) => Some(part(Some(key))),
            ExportPosition::End => None,
        };
        async move {
            let Some(next) = next else { return Ok(None) };
            let part = next.await.inspect_err(|error| drop(internal(error)))?;
            let place = part.after.map_or(ExportPosition::End, ExportPosition::After);
            Ok(Some((Bytes::from(part.bytes), place)))
        }
    })
}
