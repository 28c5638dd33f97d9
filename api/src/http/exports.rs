//! `GET /creators/{id}/products.csv`: a creator's catalogue as a CSV file that can be imported again, for the
//! creator's members and tokens. The file is streamed: a few products are read at a time.

use actix_web::{HttpRequest, HttpResponse, middleware::from_fn, web};
use domain::{catalog::export::export_part, platform::access::Permission};
use edge::http::cors;

use super::downloads;
use crate::{Api, backend::ApiBackend};

/// Adds the route.
pub(super) fn configure(config: &mut web::ServiceConfig) {
    let file = downloads::resource("/creators/{creator}/products.csv").route(web::get().to(products));
    config.service(file.wrap(from_fn(cors::cors)));
}

async fn products(
    request: HttpRequest,
    creator: web::Path<String>,
    api: web::Data<Api>,
    backend: web::Data<ApiBackend>,
) -> HttpResponse {
    let scope = match downloads::scope_of(&request, &backend, &creator, Permission::CatalogRead).await {
        Ok(scope) => scope,
        Err(refused) => return refused,
    };
    let db = api.db.clone();
    let rows = downloads::parts(move |after| {
        let db = db.clone();
        async move { export_part(&db, &scope, after).await }
    });
    downloads::csv("products.csv", rows)
}
