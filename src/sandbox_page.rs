//! The page on which a buyer approves or declines a payment of the sandbox gateway.
//!
//! It stands for a bank's page: the storefront sends the buyer here, and the page sends the buyer back
//! afterwards. The URL ends in a secret; whoever knows it can see the page and choose.

use std::sync::Arc;

use actix_web::{
    HttpResponse,
    http::header,
    web::{self, Data, Form, Path, ServiceConfig},
};
use api::http::html::escaped;
use payments::sandbox::{PageView, Sandbox, SandboxState, SettleError};
use serde::Deserialize;

/// Mounts the page.
pub(crate) fn configure(config: &mut ServiceConfig, sandbox: Arc<Sandbox>) {
    let page =
        web::resource("/sandbox/confirm/{secret}").route(web::get().to(show)).route(web::post().to(choose));
    config.app_data(Data::from(sandbox)).service(page);
}

/// The buyer's choice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Confirmation {
    Approve,
    Decline,
}

#[derive(Debug, Deserialize)]
struct ConfirmationForm {
    decision: Confirmation,
}

async fn show(sandbox: Data<Sandbox>, secret: Path<String>) -> HttpResponse {
    match sandbox.page(&secret).await {
        Ok(Some(view)) => answer(HttpResponse::Ok(), &page(&view)),
        Ok(None) => unknown(),
        Err(error) => failed(&error),
    }
}

async fn choose(
    sandbox: Data<Sandbox>,
    secret: Path<String>,
    choice: Form<ConfirmationForm>,
) -> HttpResponse {
    match sandbox.settle(&secret, choice.decision == Confirmation::Approve).await {
        // With 303, the browser fetches the next page by GET, so a reload does not repeat the choice.
        Ok(Some(url)) => HttpResponse::SeeOther().insert_header((header::LOCATION, url)).finish(),
        Ok(None) => show(sandbox, secret).await,
        Err(SettleError::Unknown) => unknown(),
        Err(error @ SettleError::Db(_)) => failed(&error),
    }
}

fn unknown() -> HttpResponse {
    answer(
        HttpResponse::NotFound(),
        &document(
            "Not found",
            "<p role=\"alert\">There is no such payment. Go back to the shop and pay again.</p>",
        ),
    )
}

fn failed(error: &dyn std::error::Error) -> HttpResponse {
    tracing::error!(%error, "could not show the sandbox's confirmation page");
    answer(
        HttpResponse::InternalServerError(),
        &document("Something went wrong", "<p role=\"alert\">Please try again in a moment.</p>"),
    )
}

fn answer(mut builder: actix_web::HttpResponseBuilder, html: &str) -> HttpResponse {
    // No `form-action`: browsers apply it to the redirect as well, which leads to the storefront.
    let policy = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; frame-ancestors 'none'";
    builder
        .content_type("text/html; charset=utf-8")
        .insert_header((header::CONTENT_SECURITY_POLICY, policy))
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .insert_header((header::REFERRER_POLICY, "no-referrer"))
        .insert_header((header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .body(html.to_owned())
}

fn page(view: &PageView) -> String {
    let amount = escaped(&view.amount.to_string());
    let main = match view.state {
        SandboxState::RequiresAction => format!(
            "<p>A shop asks you to pay <strong>{amount}</strong>. This is a sandbox: no money moves.</p>\n\
             <form method=\"post\">\n\
             <button name=\"decision\" value=\"approve\">Approve</button>\n\
             <button name=\"decision\" value=\"decline\" class=\"quiet\">Decline</button>\n\
             </form>"
        ),
        SandboxState::Succeeded => {
            format!(
                "<p role=\"status\">The payment of <strong>{amount}</strong> is approved. \
                 You can close this page.</p>"
            )
        }
        SandboxState::RequiresMethod | SandboxState::Processing | SandboxState::Cancelled => {
            format!(
                "<p role=\"status\">There is nothing to confirm for the payment of \
                 <strong>{amount}</strong>.</p>"
            )
        }
    };
    document("Confirm your payment", &main)
}

fn document(title: &str, main: &str) -> String {
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>{title} · Smallrun sandbox</title>\n\
         <style>{STYLE}</style>\n</head>\n<body>\n<main>\n<h1>{title}</h1>\n{main}\n</main>\n\
         </body>\n</html>\n"
    )
}

const STYLE: &str = "\
:root{color-scheme:light dark;font:1.125rem/1.5 system-ui,sans-serif}\
main{max-width:32rem;margin:12vh auto;padding:0 1.5rem}\
button{font:inherit;padding:.6rem 1.4rem;margin:0 .5rem .5rem 0;border:2px solid #0b5d3b;\
border-radius:.5rem;background:#0b5d3b;color:#fff;cursor:pointer}\
button.quiet{background:transparent;color:inherit;border-color:currentColor}\
button:focus-visible{outline:3px solid #e09b2d;outline-offset:2px}";

#[cfg(test)]
mod tests {
    use domain::platform::{Currency, Money};

    use super::*;

    fn shown(state: SandboxState) -> String {
        page(&PageView { amount: Money::new(1250, Currency::from_code("EUR").unwrap()), state })
    }

    #[test]
    fn buttons_are_shown_only_while_there_is_something_to_confirm() {
        assert!(shown(SandboxState::RequiresAction).contains("value=\"approve\""));
        assert!(shown(SandboxState::RequiresAction).contains("12.50 EUR"));
        for state in [
            SandboxState::RequiresMethod,
            SandboxState::Processing,
            SandboxState::Succeeded,
            SandboxState::Cancelled,
        ] {
            assert!(!shown(state).contains("<button"), "{state:?}");
        }
    }
}
