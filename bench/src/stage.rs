//! What is asked for, and what must exist before: a page full of drops, and a drop with units for everybody.

use std::{
    fmt::Write as _,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use serde_json::{Value, json};

use crate::{
    Outcome, Trouble,
    client::{self, Connection},
    load::{Calls, has_no_errors},
    server::Server,
};

/// The drops of the measured page.
pub(crate) const PAGE: usize = 24;
/// More units than are ever reserved here: as many as an item may have.
pub(crate) const UNITS: u32 = 1_000_000;
/// All creators of the demo ship there.
const COUNTRY: &str = "DE";

const PAGE_QUERY: &str = "query Page { drops(first: 24) { nodes { id slug title summary tags phase closingSoon soldOut opensAt closesAt \
    priceMin { amount currency } creator { id slug name place } items { id units perBuyerMax price { amount currency } \
    tiers { price { amount currency } upToUnits until } variant { id sku title } stock { units held confirmed free } } } \
    pageInfo { hasNextPage endCursor } } }";

const SLUG_QUERY: &str = "query BySlug($creator: String!, $slug: String!) { drop(creator: $creator, slug: $slug) { id slug title summary \
    descriptionHtml tags phase closingSoon soldOut opensAt closesAt leadTimeDays pickup shipping deposit { kind percent } \
    priceMin { amount currency } creator { id slug name place tagline } items { id units perBuyerMax price { amount currency } \
    tiers { price { amount currency } upToUnits until } variant { id sku title } stock { units held confirmed free } } } }";

const RESERVE: &str = "mutation Reserve($input: CheckoutReserveInput!) { checkoutReserve(input: $input) { checkout { id expiresAt \
    dueNow { amount currency } payment { status } } errors { code message } } }";

/// The server with everything in place.
pub(crate) struct Stage {
    address: SocketAddr,
    creator_slug: String,
    drop_slug: String,
    item: String,
    total: Value,
    legal_texts: Value,
    buyers: Arc<Vec<String>>,
    turn: Arc<AtomicUsize>,
}

impl Stage {
    /// Fills the page and announces a drop that does not sell out.
    pub(crate) async fn set(server: &Server, buyers: Vec<String>) -> Outcome<Self> {
        let creator = server.creator_token()?;
        let mut desk = Desk { address: server.address(), connection: Connection::open(server.address()).await? };
        let model = Model::find(&mut desk).await?;
        let known = desk.ask(None, "{ drops(first: 100) { nodes { id } } }", json!({})).await?;
        let known = known.pointer("/drops/nodes").and_then(Value::as_array).map_or(0, Vec::len);
        let mut made = Vec::new();
        for number in 1..=PAGE.saturating_sub(known).max(1) {
            made.push(model.announce(&mut desk, &creator, number).await?);
        }
        let Some(Announced { slug, item }) = made.into_iter().next() else { return Err(Trouble::new("no drop was announced")) };
        let quote = desk
            .ask(
                None,
                "query($input: CheckoutQuoteInput!) { checkoutQuote(input: $input) { quote { total { amount currency } } \
                 errors { message path } } }",
                json!({ "input": { "lines": [{ "itemId": item, "units": 1 }], "country": COUNTRY } }),
            )
            .await?;
        let total = quote.pointer("/checkoutQuote/quote/total").filter(|total| total.is_object());
        let total = total.ok_or_else(|| Trouble::new(format_args!("no quote: {quote}")))?.clone();
        let legal = desk.ask(None, "{ legalTexts { id } }", json!({})).await?;
        let legal = legal.get("legalTexts").and_then(Value::as_array);
        let legal_texts = legal.into_iter().flatten().filter_map(|text| text.get("id").cloned()).collect();
        Ok(Self {
            address: server.address(),
            creator_slug: model.creator_slug,
            drop_slug: slug,
            item,
            total,
            legal_texts,
            buyers: Arc::new(buyers),
            turn: Arc::new(AtomicUsize::new(0)),
        })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// The request for the page.
    pub(crate) fn page_request(&self) -> Vec<u8> {
        client::graphql(self.address, None, PAGE_QUERY, &json!({}))
    }

    /// The request for one drop.
    pub(crate) fn slug_request(&self) -> Vec<u8> {
        let variables = json!({ "creator": self.creator_slug, "slug": self.drop_slug });
        client::graphql(self.address, None, SLUG_QUERY, &variables)
    }

    /// The answer to a query, as it is now; an empty one would be quick, and mean nothing.
    pub(crate) async fn answer_to(&self, request: &[u8]) -> Outcome<Vec<u8>> {
        let mut connection = Connection::open(self.address).await?;
        let answer = connection.exchange(request).await?;
        let body: Value = serde_json::from_slice(answer.body).unwrap_or_default();
        let drops = body.pointer("/data/drops/nodes").and_then(Value::as_array);
        let is_full = drops.map_or(body.pointer("/data/drop/id").is_some(), |drops| drops.len() == PAGE);
        if answer.status == 200 && has_no_errors(answer.body) && is_full {
            return Ok(answer.body.to_vec());
        }
        Err(Trouble::new(format_args!("the server answered {} {body}", answer.status)))
    }

    /// Reservations of one unit: buyers take turns, and no key is used twice.
    pub(crate) fn reserving(&self, _connection: u32) -> Calls {
        let (address, buyers, turn) = (self.address, Arc::clone(&self.buyers), Arc::clone(&self.turn));
        // The body is the same but for the key, so it is made once.
        let key = "KEY-IN-ITS-PLACE";
        let input = json!({
            "lines": [{ "itemId": self.item, "units": 1, "delivery": "SHIPPING" }],
            "address": {
                "name": "Robin Example", "line1": "12 Sample Street", "postalCode": "10000", "city": "Exampleton", "country": COUNTRY,
            },
            "expectedTotal": self.total,
            "acceptedLegalTextIds": self.legal_texts,
            "idempotencyKey": key,
        });
        let body = json!({ "query": RESERVE, "variables": { "input": input } }).to_string();
        let (before, after) = body.split_once(key).unwrap_or((&body, ""));
        let (before, after) = (before.to_owned(), after.to_owned());
        let next = move |request: &mut Vec<u8>| {
            let number = turn.fetch_add(1, Ordering::Relaxed);
            let buyer = number.checked_rem(buyers.len()).and_then(|at| buyers.get(at)).map_or("", String::as_str);
            let key = format!("bench-{number:010}");
            let length = before.len().saturating_add(key.len()).saturating_add(after.len());
            let mut text = String::with_capacity(2_048);
            let _fits = write!(
                text,
                "POST /graphql HTTP/1.1\r\nhost: {address}\r\naccept: application/graphql-response+json\r\n\
                 content-type: application/json\r\nauthorization: Bearer {buyer}\r\ncontent-length: {length}\r\n\r\n{before}{key}{after}"
            );
            *request = text.into_bytes();
        };
        Calls::changing(address, next, was_reserved)
    }
}

/// Whether a checkout was made.
fn was_reserved(body: &[u8]) -> bool {
    const MADE: &[u8] = br#""checkout":{"id":"#;
    has_no_errors(body) && body.windows(MADE.len()).any(|part| part == MADE)
}

/// A drop that was announced.
struct Announced {
    slug: String,
    item: String,
}

/// An open drop of the demo: its creator and its window serve for ours.
struct Model {
    creator_id: String,
    creator_slug: String,
    variant: String,
    price: String,
    opens_at: String,
    closes_at: String,
}

impl Model {
    async fn find(desk: &mut Desk) -> Outcome<Self> {
        let query = "{ drops(first: 1, filter: { phases: [OPEN] }, sort: NEWEST) { nodes { opensAt closesAt creator { id slug } \
            items { variant { id price { amount } } } } } }";
        let found = desk.ask(None, query, json!({})).await?;
        let text = |path: &str| {
            let value = found.pointer(&format!("/drops/nodes/0{path}")).and_then(Value::as_str);
            value.map(str::to_owned).ok_or_else(|| Trouble::new(format_args!("no open drop with {path} in {found}")))
        };
        Ok(Self {
            creator_id: text("/creator/id")?,
            creator_slug: text("/creator/slug")?,
            variant: text("/items/0/variant/id")?,
            price: text("/items/0/variant/price/amount")?,
            opens_at: text("/opensAt")?,
            closes_at: text("/closesAt")?,
        })
    }

    /// Makes a drop with one item and announces it.
    async fn announce(&self, desk: &mut Desk, token: &str, number: usize) -> Outcome<Announced> {
        let slug = format!("bench-{number}");
        let drop = json!({
            "creatorId": self.creator_id, "slug": slug, "title": format!("Bench {number}"), "summary": "Units for everybody.",
            "description": "## Units for everybody\n\nThis drop does not sell out.", "tags": [], "opensAt": self.opens_at,
            "closesAt": self.closes_at, "holdSeconds": 600, "deposit": { "percent": "30" }, "balance": { "beforeShipping": true },
            "leadTimeDays": 30, "pickup": false, "shipping": true,
        });
        let made = desk.change(token, "dropCreate", "DropCreateInput", "drop { id slug }", drop).await?;
        let id = text_at(&made, "/drop/id")?;
        let item = json!({
            "dropId": id, "variantId": self.variant, "units": UNITS, "perBuyerMax": UNITS, "tiers": [{ "price": self.price }],
        });
        let added = desk.change(token, "dropItemAdd", "DropItemAddInput", "item { id }", item).await?;
        desk.change(token, "dropPublish", "DropIdInput", "drop { id }", json!({ "id": id })).await?;
        Ok(Announced { slug: text_at(&made, "/drop/slug")?, item: text_at(&added, "/item/id")? })
    }
}

fn text_at(value: &Value, path: &str) -> Outcome<String> {
    let text = value.pointer(path).and_then(Value::as_str).map(str::to_owned);
    text.ok_or_else(|| Trouble::new(format_args!("no {path} in {value}")))
}

/// For single questions, outside of the measured time.
struct Desk {
    address: SocketAddr,
    connection: Connection,
}

impl Desk {
    /// Asks, and answers `data`.
    async fn ask(&mut self, token: Option<&str>, query: &str, variables: Value) -> Outcome<Value> {
        let request = client::graphql(self.address, token, query, &variables);
        let answer = self.connection.exchange(&request).await?;
        let body: Value = serde_json::from_slice(answer.body).map_err(Trouble::doing("understand an answer"))?;
        match body.get("data") {
            Some(data) if answer.status == 200 && body.get("errors").is_none() => Ok(data.clone()),
            _ => Err(Trouble::new(format_args!("the server answered {} {body} to {query}", answer.status))),
        }
    }

    /// Changes something, and answers the payload of the mutation.
    async fn change(&mut self, token: &str, name: &str, kind: &str, selection: &str, input: Value) -> Outcome<Value> {
        let query = format!("mutation($input: {kind}!) {{ {name}(input: $input) {{ {selection} errors {{ message path }} }} }}");
        let data = self.ask(Some(token), &query, json!({ "input": input })).await?;
        match data.get(name) {
            Some(payload) if payload.get("errors").and_then(Value::as_array).is_some_and(Vec::is_empty) => Ok(payload.clone()),
            _ => Err(Trouble::new(format_args!("{name} was refused: {data}"))),
        }
    }
}
