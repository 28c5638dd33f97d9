//! `GET /creators/{id}/products.csv`: a creator's catalogue as a CSV file that can be imported again, for the
//! creator's members and tokens.
//!
//! The file is streamed: a few products are read whenever the client can take more. A failure cuts the
//! connection, so that an incomplete file is not taken for a complete one.

use actix_web::{
    HttpRequest, HttpResponse,
    http::{
        Method, StatusCode,
        header::{CACHE_CONTROL, CONTENT_DISPOSITION, VARY, WWW_AUTHENTICATE},
    },
    middleware::from_fn,
    web::{self, Bytes},
};
use domain::{
    catalog::export::{ExportError, export_part},
    platform::{
        Db,
        access::{CreatorScope, Denied, Manage, Permission, Viewer, authorize},
        ids::{CreatorId, ProductId},
    },
};
use edge::{
    errors::internal,
    http::{bearer::token_of, cors},
};
use futures_util::{Stream, stream};

use crate::{Api, backend::ApiBackend};

/// Adds the route.
pub(super) fn configure(config: &mut web::ServiceConfig) {
    let products = web::resource("/creators/{creator}/products.csv").route(web::get().to(products));
    let products = products.route(web::method(Method::OPTIONS).to(cors::preflight));
    config.service(products.wrap(from_fn(cors::cors)));
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

async fn products(
    request: HttpRequest,
    creator: web::Path<String>,
    api: web::Data<Api>,
    backend: web::Data<ApiBackend>,
) -> HttpResponse {
    let found = match token_of(&request) {
        Ok(None) => Ok(Some(Viewer::Public)),
        Ok(Some(token)) => backend.find(token).await,
        Err(_) => Ok(None),
    };
    let viewer = match found {
        Ok(Some(viewer)) => viewer,
        Ok(None) => return text(StatusCode::UNAUTHORIZED, "this token is unknown, revoked or expired\n"),
        Err(error) => {
            internal(&error);
            return text(StatusCode::SERVICE_UNAVAILABLE, "try again later\n");
        }
    };
    // A malformed id is answered like an unknown creator.
    let creator = creator.parse::<CreatorId>().unwrap_or(CreatorId(uuid::Uuid::nil()));
    let scope = match authorize(&viewer, Manage { creator, permission: Permission::CatalogRead }) {
        Ok(scope) => scope,
        Err(Denied::Unauthenticated) => {
            return text(StatusCode::UNAUTHORIZED, "send `Authorization: Bearer` with a token\n");
        }
        Err(Denied::NotFound) => return text(StatusCode::NOT_FOUND, "not found\n"),
        Err(Denied::Forbidden | Denied::Unconfirmed) => {
            return text(StatusCode::FORBIDDEN, "you are not allowed to do this\n");
        }
    };
    let mut response = HttpResponse::Ok();
    response.content_type("text/csv; charset=utf-8; header=present");
    response.insert_header((CONTENT_DISPOSITION, "attachment; filename=\"products.csv\""));
    response.insert_header((CACHE_CONTROL, "private, no-store")).insert_header((VARY, "Authorization"));
    response.streaming(sheet(api.db.clone(), scope))
}

/// How far the catalogue has been read.
enum ExportPosition {
    Start,
    After(ProductId),
    End,
}

fn sheet(db: Db, scope: CreatorScope) -> impl Stream<Item = Result<Bytes, ExportError>> {
    stream::try_unfold(ExportPosition::Start, move |place| {
        let db = db.clone();
        async move {
            let after = match place {
                ExportPosition::Start => None,
                ExportPosition::After(product) => Some(product),
                ExportPosition::End => return Ok(None),
            };
            let part = export_part(&db, &scope, after).await.inspect_err(|error| drop(internal(error)))?;
            Ok(Some((Bytes::from(part.bytes), part.after.map_or(ExportPosition::End, ExportPosition::After))))
        }
    })
}
