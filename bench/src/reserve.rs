//! The request for a reservation of one unit: all of them are alike but for the buyer, the item and the key.

use std::{io::Write as _, net::SocketAddr};

use serde_json::{Value, json};

use crate::{Outcome, Trouble, desk::Desk, load::has_no_errors};

/// All creators of the demo ship there.
const COUNTRY: &str = "DE";

const RESERVE: &str = "mutation Reserve($input: CheckoutReserveInput!) { checkoutReserve(input: $input) { checkout { id expiresAt \
    dueNow { amount currency } payment { status } } errors { code message } } }";

/// What stands in the form where the item and the key will.
const ITEM: &str = "ITEM-IN-ITS-PLACE";
const KEY: &str = "KEY-IN-ITS-PLACE";

/// A request with gaps: what is the same in all is made once.
#[derive(Debug, Clone)]
pub struct Form {
    head: String,
    before_item: String,
    before_key: String,
    after: String,
}

impl Form {
    /// For one unit at the price of this item, under the legal texts of now.
    pub async fn draw_up(desk: &mut Desk, item: &str) -> Outcome<Self> {
        let quote = desk
            .ask(
                None,
                "query($input: CheckoutQuoteInput!) { checkoutQuote(input: $input) { quote { total { amount currency } } \
                 errors { message path } } }",
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
                "name": "Robin Example", "line1": "12 Sample Street", "postalCode": "10000", "city": "Exampleton", "country": COUNTRY,
            },
            "expectedTotal": total,
            "acceptedLegalTextIds": legal_texts,
            "idempotencyKey": KEY,
        });
        // Written by hand in this order, so that the order of the gaps does not depend on how a map is kept.
        let member = |name: &str| format!("{}:{}", json!(name), input.get(name).cloned().unwrap_or_default());
        let members = ["lines", "address", "expectedTotal", "acceptedLegalTextIds", "idempotencyKey"]
            .map(member)
            .join(",");
        let body = format!("{{\"query\":{},\"variables\":{{\"input\":{{{members}}}}}}}", json!(RESERVE));
        let parts =
            body.split_once(ITEM).and_then(|(before_item, rest)| Some((before_item, rest.split_once(KEY)?)));
        let (before_item, (before_key, after)) =
            parts.ok_or_else(|| Trouble::new("a request has no gaps"))?;
        Ok(Self {
            head: head(address),
            before_item: before_item.to_owned(),
            before_key: before_key.to_owned(),
            after: after.to_owned(),
        })
    }

    /// The same for another server of the deployment.
    pub fn at(&self, address: SocketAddr) -> Self {
        Self { head: head(address), ..self.clone() }
    }

    /// Fills it in, in the place of the last request.
    pub fn fill_in(&self, request: &mut Vec<u8>, token: &str, item: &str, key: &str) {
        let Self { head, before_item, before_key, after } = self;
        let body = [before_item.as_str(), item, before_key, key, after];
        let length: usize = body.iter().map(|part| part.len()).sum();
        request.clear();
        let _fits = write!(
            request,
            "{head}authorization: Bearer {token}\r\ncontent-length: {length}\r\n\r\n{before_item}{item}{before_key}{key}{after}"
        );
    }
}

fn head(address: SocketAddr) -> String {
    format!(
        "POST /graphql HTTP/1.1\r\nhost: {address}\r\naccept: application/graphql-response+json\r\ncontent-type: application/json\r\n"
    )
}

/// Whether a checkout was made.
pub fn was_reserved(body: &[u8]) -> bool {
    const MADE: &[u8] = br#""checkout":{"id":"#;
    has_no_errors(body) && body.windows(MADE.len()).any(|part| part == MADE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_is_filled_in_to_the_byte() {
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
    fn a_refusal_is_no_reservation() {
        assert!(was_reserved(
            br#"{"data":{"checkoutReserve":{"checkout":{"id":"checkout_1"},"errors":[]}}}"#
        ));
        assert!(!was_reserved(
            br#"{"data":{"checkoutReserve":{"checkout":null,"errors":[{"code":"SOLD_OUT"}]}}}"#
        ));
    }
}
