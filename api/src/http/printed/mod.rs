//! Pages to print: [`packing_list()`] and [`address_labels()`]. Both are pure functions from plain values to
//! a [`PrintedPage`], whose texts are escaped. The pages have no scripts and load nothing.

mod labels;
mod packing_list;

use actix_web::{
    HttpResponse,
    http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, REFERRER_POLICY, VARY},
};
use domain::platform::entropy::Entropy;

pub use labels::{AddressLabel, LabelGrid, address_labels};
pub use packing_list::{PackedDelivery, PackedLine, PackedOrder, PackingList, packing_list};

use super::html::escaped;

/// A page to print.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PrintedPage {
    /// The title, as it was given: it is escaped when the page is written.
    title: String,
    /// The style sheet.
    style: String,
    /// HTML.
    body: String,
}

impl PrintedPage {
    /// Writes the document. Only its own style applies, by the nonce.
    pub fn html(&self, nonce: &str) -> String {
        let Self { title, style, body } = self;
        format!(
            "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
             <title>{}</title>\n<style nonce=\"{nonce}\">{style}</style>\n</head>\n<body>\n{body}</body>\n\
             </html>\n",
            escaped(title)
        )
    }

    /// Returns the response. The page may have the names and addresses of buyers, so nobody stores it.
    pub fn response(&self, entropy: &dyn Entropy) -> HttpResponse {
        let nonce = entropy.secret("style");
        let nonce = nonce.expose();
        let policy = format!(
            "default-src 'none'; style-src 'nonce-{nonce}'; base-uri 'none'; form-action 'none'; \
             frame-ancestors 'none'"
        );
        HttpResponse::Ok()
            .content_type("text/html; charset=utf-8")
            .insert_header((CONTENT_SECURITY_POLICY, policy))
            .insert_header((CACHE_CONTROL, "private, no-store"))
            .insert_header((VARY, "Authorization"))
            .insert_header((REFERRER_POLICY, "no-referrer"))
            .body(self.html(nonce))
    }
}

/// Returns a text of a person as HTML. It keeps its own direction and does not change that of its neighbours.
fn text(text: &str) -> String {
    format!("<bdi>{}</bdi>", escaped(text))
}
