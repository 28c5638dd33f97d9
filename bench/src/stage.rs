//! The measured requests and their data: a page full of drops, and a drop with units for everybody.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use bench::{
    Outcome, Trouble,
    client::{self, Connection},
    desk::Desk,
    drops::{Model, Offer, PAGE, PAGE_QUERY, UNITS_MAX},
    load::{Calls, has_no_errors},
    reserve::{Form, was_reserved},
    server::Server,
};
use serde_json::{Value, json};

/// The usual duration of a hold.
const HOLD_SECS: u32 = 600;

const SLUG_QUERY: &str = "query BySlug($creator: String!, $slug: String!) { \
    drop(creator: $creator, slug: $slug) { \
    id slug title summary descriptionHtml tags phase closingSoon soldOut opensAt closesAt leadTimeDays \
    pickup shipping deposit { kind percent } priceMin { amount currency } \
    creator { id slug name place tagline } items { id units perBuyerMax price { amount currency } \
    tiers { price { amount currency } upToUnits until } variant { id sku title } \
    stock { units held confirmed free } } } }";

/// A server with the benchmark's data.
pub(crate) struct Stage {
    address: SocketAddr,
    creator_slug: String,
    drop_slug: String,
    item: String,
    form: Form,
    buyers: Arc<Vec<String>>,
    turn: Arc<AtomicUsize>,
}

impl Stage {
    /// Fills the page with drops, one of which does not sell out.
    pub(crate) async fn set(server: &Server, buyers: Vec<String>) -> Outcome<Self> {
        let creator = server.creator_token()?;
        let mut desk = Desk::open(server.address()).await?;
        let model = Model::find(&mut desk).await?;
        let known = desk.ask(None, "{ drops(first: 100) { nodes { id } } }", json!({})).await?;
        let known = known.pointer("/drops/nodes").and_then(Value::as_array).map_or(0, Vec::len);
        let mut made = Vec::new();
        for number in 1..=PAGE.saturating_sub(known).max(1) {
            let (slug, title) = (format!("bench-{number}"), format!("Bench {number}"));
            let offer = Offer {
                slug: &slug,
                title: &title,
                units: UNITS_MAX,
                per_buyer_max: UNITS_MAX,
                hold_secs: HOLD_SECS,
            };
            made.push(model.announce(&mut desk, &creator, offer).await?);
        }
        let Some(first) = made.into_iter().next() else { return Err(Trouble::new("no drop was created")) };
        let form = Form::draw_up(&mut desk, &first.item).await?;
        Ok(Self {
            address: server.address(),
            creator_slug: model.creator_slug,
            drop_slug: first.slug,
            item: first.item,
            form,
            buyers: Arc::new(buyers),
            turn: Arc::new(AtomicUsize::new(0)),
        })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns the request for the page.
    pub(crate) fn page_request(&self) -> Vec<u8> {
        client::graphql(self.address, None, PAGE_QUERY, &json!({}))
    }

    /// Registers the page's query, and returns the request for it by its hash.
    pub(crate) async fn hash_request(&self) -> Outcome<Vec<u8>> {
        let (known, request) = client::persisted(self.address, PAGE_QUERY);
        self.answer_to(&known).await?;
        Ok(request)
    }

    /// Returns the request for one drop.
    pub(crate) fn slug_request(&self) -> Vec<u8> {
        let variables = json!({ "creator": self.creator_slug, "slug": self.drop_slug });
        client::graphql(self.address, None, SLUG_QUERY, &variables)
    }

    /// Returns the current response to a query. Fails if it is empty, because measuring that would be
    /// meaningless.
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

    /// Returns calls that reserve one unit. Buyers take turns, and every call has a new idempotency key.
    pub(crate) fn reserving(&self, _connection: u32) -> Calls {
        let (form, item) = (self.form.clone(), self.item.clone());
        let (buyers, turn) = (Arc::clone(&self.buyers), Arc::clone(&self.turn));
        let next = move |request: &mut Vec<u8>| {
            let number = turn.fetch_add(1, Ordering::Relaxed);
            let buyer =
                number.checked_rem(buyers.len()).and_then(|at| buyers.get(at)).map_or("", String::as_str);
            form.fill_in(request, buyer, &item, &format!("bench-{number:010}"));
        };
        Calls::changing(self.address, next, was_reserved)
    }
}
