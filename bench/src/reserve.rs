//! The request to reserve one unit. All requests are alike except for the buyer, the item and the idempotency
//! key.

use std::{io::Write as _, net::SocketAddr};

use serde_json::{Value, json};

use crate::{Outcome, Trouble, desk::Desk, load::has_no_errors};

/// The destination country. All creators of the demo ship to it.
const COUNTRY: &str = "DE";

const RESERVE: &str = "mutation Reserve($input: CheckoutReserveInput!) { checkoutReserve(input: $input) { \
    checkout { id expiresAt dueNow { amount currency } payment { status } } errors { code message } } }";

/// Placeholders for the item and the key in the template.
const ITEM: &str = "ITEM-IN-ITS-PLACE";
const KEY: &str = "KEY-IN-ITS-PLACE";

/// A template of the request. The constant parts are rendered once.
#[derive(Debug, Clone)]
pub struct Form {
    head: String,
    before_item: String,
    before_key: String,
    after: String,
}

impl Form {
    /// Prepares a request for one unit at the item's current price, which accepts the current legal texts.
    pub async fn draw_up(desk: &mut Desk, item: &str) -> Outcome<Self> {
        let quote = desk
            .ask(
                None,
                "query($input: CheckoutQuoteInput!) { checkoutQuote(input: $input) { \
                 quote { total { amount currency } } errors { message path } } }",
                json!({ "input": { "lines": [{ "itemId": item, "units": 1 }], "country": COUNTRY } }),
            )
            .await?;
        let total = quote.pointer("/checkoutQuote/quote/total").filter(|total| total.is_object());
        let total = total.ok_or_else(|| Trouble::new(format_args!("no quote: {quote}")))?;
        let legal = desk.ask(None, "{ legalTexts { id } }", json!({})).await?;
        let legal = legal.get("legalTexts").and_then(Value::as_array);
        let legal_texts: Value =
            legal.into_iter().flatten().filter_map(|text| text.get("id").cloned()).collect();
        Self::with_gaps(desk.address(), total, &legal_texts)
    }

    fn with_gaps(address: SocketAddr, total: &Value, legal_texts: &Value) -> Outcome<Self> {
        let input = json!({
            "lines": [{ "itemId": ITEM, "units": 1, "delivery": "SHIPPING" }],
            "address": {
                "name": "Robin Example", "line1": "12 Sample Street", "postalCode": "10000",
                "city": "Exampleton", "country": COUNTRY,
            },
            "expectedTotal": total,
            "acceptedLegalTextIds": legal_texts,
            "idempotencyKey": KEY,
        });
        // Rendered by hand, so that the order of the placeholders does not depend on the order of a map.
        let member = |name: &str| format!("{}:{}", json!(name), input.get(name).cloned().unwrap_or_default());
        let members = ["lines", "address", "expectedTotal", "acceptedLegalTextIds", "idempotencyKey"]
            .map(member)
            .join(",");
        let body = format!("{{\"query\":{},\"variables\":{{\"input\":{{{members}}}}}}}", json!(RESERVE));
        let parts =
            body.split_once(ITEM).and_then(|(before_item, rest)| Some((before_item, rest.split_once(KEY)?)));
        let (before_item, (before_key, after)) =
            parts.ok_or_else(|| Trouble::new("a request template has no placeholders"))?;
        Ok(Self {
            head: head(address),
            before_item: before_item.to_owned(),
            before_key: before_key.to_owned(),
            after: after.to_owned(),
        })
    }

    /// Returns the template for another server of the deployment.
    pub fn at(&self, address: SocketAddr) -> Self {
        Self { head: head(address), ..self.clone() }
    }

    /// Renders a request into the buffer, replacing the last one.
    pub fn fill_in(&self, request: &mut Vec<u8>, token: &str, item: &str, key: &str) {
        let Self { head, before_item, before_key, after } = self;
        let body = [before_item.as_str(), item, before_key, key, after];
        let length: usize = body.iter().map(|part| part.len()).sum();
        request.clear();
        let _fits = write!(
            request,
            "{head}authorization: Bearer {token}\r\ncontent-length: {length}\r\n\r\n\
             {before_item}{item}{before_key}{key}{after}"
        );
    }
}

fn head(address: SocketAddr) -> String {
    format!(
        "POST /graphql HTTP/1.1\r\nhost: {address}\r\naccept: application/graphql-response+json\r\n\
         content-type: application/json\r\n"
    )
}

/// Returns whether the response contains a new checkout.
pub fn was_reserved(body: &[u8]) -> bool {
    const MADE: &[u8] = br#""checkout":{"id":"#;
    has_no_errors(body) && body.windows(MADE.len()).any(|part| part == MADE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rendered_request_has_the_right_length_and_values() {
        let address = "127.0.0.1:80".parse().unwrap();
        let form =
            Form::with_gaps(address, &json!({ "amount": "10.00", "currency": "EUR" }), &json!(["legal_1"]))
                .unwrap();
        let mut request = Vec::new();
        form.fill_in(&mut request, "token", "item_1", "key-0001");
        let request = String::from_utf8(request).unwrap();
        let (head, body) = request.split_once("\r\n\r\n").unwrap();
        assert!(head.contains("\r\nauthorization: Bearer token\r\n"), "{head}");
        assert!(head.ends_with(&format!("content-length: {}", body.len())), "{head}");
        let body: Value = serde_json::from_str(body).unwrap();
        let input = &body["variables"]["input"];
        assert_eq!(input["lines"][0]["itemId"], "item_1");
        assert_eq!(input["idempotencyKey"], "key-0001");
        assert_eq!(input["acceptedLegalTextIds"], json!(["legal_1"]));
    }

    #[test]
    fn a_refusal_is_not_a_reservation() {
        assert!(was_reserved(
            br#"{"data":{"checkoutReserve":{"checkout":{"id":"checkout_1"},"errors":[]}}}"#
        ));
        assert!(!was_reserved(
            br#"{"data":{"checkoutReserve":{"checkout":null,"errors":[{"code":"SOLD_OUT"}]}}}"#
        ));
    }
}
