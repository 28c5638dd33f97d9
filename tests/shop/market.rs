//! A marketplace with one creator and one open drop, created only by requests.

use std::{
    fs,
    ops::Deref,
    sync::atomic::{AtomicU32, Ordering},
    time::{Duration, Instant},
};

use chrono::{DateTime, TimeDelta, Utc};
use domain::platform::clock::{Clock, SystemClock};
use sea_orm::{ConnectOptions, ConnectionTrait, Database, DatabaseBackend, DatabaseConnection};
use serde_json::{Value, json};

use crate::shop::harness::{Ended, SOON, Server, Setup};

/// The administrator of every marketplace here.
pub(crate) const ADMIN: &str = "admin@example.org";
/// A password that is long enough.
pub(crate) const PASSWORD: &str = "correct horse battery";

/// The price of a unit. A quarter of it is due at once. Shipping is free.
const PRICE: &str = "48.00";
/// The deposit of one unit.
pub(crate) const DEPOSIT: &str = "12.00";

/// The selected fields of a checkout.
pub(crate) const CHECKOUT: &str = "id status expiresAt version \
    payment { id status declineCode captured { amount } action { url } } reservations { id state units }";

/// The server, and the ids and tokens of its marketplace.
pub(crate) struct Market {
    server: Server,
    pub(crate) admin: String,
    /// The owner's token.
    pub(crate) owner: String,
    /// The tokens of the buyers `load-2@demo.example` and so on. Their addresses are confirmed.
    pub(crate) buyers: Vec<String>,
    pub(crate) creator: String,
    pub(crate) product: String,
    pub(crate) variant: String,
    pub(crate) drop: String,
    pub(crate) item: String,
    legal: Vec<Value>,
}

impl Deref for Market {
    type Target = Server;
    fn deref(&self) -> &Server {
        &self.server
    }
}

/// Returns the e-mail address of one of [`Market::buyers`].
pub(crate) fn address_of(buyer: usize) -> String {
    // The first account is the owner.
    format!("load-{}@demo.example", buyer + 2)
}

/// Returns a new idempotency key.
pub(crate) fn new_key() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("key-{:08}", NEXT.fetch_add(1, Ordering::Relaxed))
}

/// Returns the document of a mutation, as a storefront writes it.
pub(crate) fn mutation(name: &str, fields: &str) -> String {
    let input = match name {
        "dropPublish" | "dropCancel" | "dropWithdraw" => "DropIdInput".to_owned(),
        _ => format!("{}{}Input", name[..1].to_uppercase(), &name[1..]),
    };
    format!("mutation($input: {input}!) {{ {name}(input: $input) {{ {fields} errors {{ code path }} }} }}")
}

fn text_of(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(chrono::SecondsFormat::Secs, true)
}

/// Returns the input for a drop that is open now.
pub(crate) fn drop_input(creator: &str, title: &str) -> Value {
    let now = SystemClock.now();
    json!({
        "creatorId": creator, "title": title, "opensAt": text_of(now - TimeDelta::minutes(1)),
        "closesAt": text_of(now + TimeDelta::hours(24)), "deposit": { "percent": "25" },
        "balance": { "beforeShipping": true },
        "leadTimeDays": 30, "holdSeconds": 600,
    })
}

impl Market {
    /// Starts a server and creates a marketplace with this many units and buyers.
    pub(crate) async fn open(setup: Setup, units: usize, buyers: usize) -> Self {
        let server = Server::start(setup).await;
        let password = server.folder().join("password");
        fs::write(&password, PASSWORD).unwrap();
        let mut command = server.command(&["admin", "create", "--password-stdin", "--email", ADMIN]);
        let made = Ended::of(command.stdin(fs::File::open(password).unwrap()));
        assert_eq!(made.code, Some(0), "{made:#?}");
        let made = Ended::of(&mut server.command(&["demo", "--buyers", &(buyers + 1).to_string()]));
        assert_eq!(made.code, Some(0), "{made:#?}");
        let tokens = fs::read_to_string(server.folder().join("demo-buyers.json")).unwrap();
        let mut buyers: Vec<String> = serde_json::from_str(&tokens).unwrap();
        let owner = buyers.remove(0);
        let admin = server.sign_in(ADMIN, PASSWORD).await;
        let empty = String::new;
        let (creator, product, variant, drop, item) = (empty(), empty(), empty(), empty(), empty());
        let mut market =
            Self { server, admin, owner, buyers, creator, product, variant, drop, item, legal: Vec::new() };
        market.furnish(units).await;
        market
    }

    async fn furnish(&mut self, units: usize) {
        let rate = json!({ "country": "DE", "taxClass": "STANDARD", "rate": "19" });
        self.done(&self.admin, "taxRateSet", "taxRates { rate }", rate).await;
        for kind in ["TERMS", "PRIVACY", "WITHDRAWAL"] {
            let publish =
                "mutation($input: LegalTextPublishInput!) { legalTextPublish(input: $input) { id } }";
            let input = json!({ "input": { "kind": kind, "title": kind, "body": "Be fair." } });
            self.legal.push(
                self.graphql(Some(&self.admin), publish, input).await["legalTextPublish"]["id"].clone(),
            );
        }
        self.creator = self.new_creator(&self.owner, "Olaria do Vale").await;
        (self.product, self.variant) = self.new_variant(&self.owner, &self.creator, "JUG-1").await;
        (self.drop, self.item) =
            self.new_draft(&self.owner, &self.creator, &self.variant, "Jugs in June", units).await;
        self.done(&self.owner, "dropPublish", "drop { phase }", json!({ "id": self.drop })).await;
    }

    /// Sends a mutation, and returns its payload. Panics if it is refused.
    pub(crate) async fn done(&self, token: &str, name: &str, fields: &str, input: Value) -> Value {
        let payload = self.tried(token, name, fields, input).await;
        assert_eq!(payload["errors"], json!([]), "{name}: {payload:#}");
        payload
    }

    /// Sends a mutation that may be refused, and returns its payload.
    pub(crate) async fn tried(&self, token: &str, name: &str, fields: &str, input: Value) -> Value {
        self.graphql(Some(token), &mutation(name, fields), json!({ "input": input })).await[name].clone()
    }

    /// Creates a creator with this owner and with free shipping to Germany, and returns its id.
    pub(crate) async fn new_creator(&self, owner: &str, name: &str) -> String {
        let input = json!({ "name": name, "country": "DE", "timeZone": "Europe/Berlin", "currency": "EUR" });
        let creator = id(&self.done(owner, "creatorCreate", "creator { id }", input).await["creator"]);
        let free = json!({ "amount": "0.00", "currency": "EUR" });
        let tariffs = json!([{ "country": "DE", "weightGramsMax": 30_000, "price": free }]);
        let input = json!({ "creatorId": creator, "tariffs": tariffs });
        self.done(owner, "creatorShippingTariffsSet", "tariffs { country }", input).await;
        creator
    }

    /// Creates a product with one variant, and returns both ids.
    pub(crate) async fn new_variant(&self, owner: &str, creator: &str, sku: &str) -> (String, String) {
        let input = json!({ "creatorId": creator, "title": format!("Thing {sku}") });
        let product = id(&self.done(owner, "productCreate", "product { id }", input).await["product"]);
        let price = json!({ "amount": PRICE, "currency": "EUR" });
        let input =
            json!({ "productId": product, "sku": sku, "title": "Blue", "price": price, "weightGrams": 900 });
        let variant = id(&self.done(owner, "variantCreate", "variant { id }", input).await["variant"]);
        (product, variant)
    }

    /// Creates an unpublished drop with one item, and returns both ids.
    pub(crate) async fn new_draft(
        &self,
        owner: &str,
        creator: &str,
        variant: &str,
        title: &str,
        units: usize,
    ) -> (String, String) {
        let drop =
            id(&self.done(owner, "dropCreate", "drop { id }", drop_input(creator, title)).await["drop"]);
        let tiers = json!([{ "price": PRICE }]);
        let input = json!({
            "dropId": drop, "variantId": variant, "units": units, "perBuyerMax": units.min(2), "tiers": tiers,
        });
        let item = id(&self.done(owner, "dropItemAdd", "item { id }", input).await["item"]);
        (drop, item)
    }

    /// Returns the input that reserves one unit.
    pub(crate) fn reserving(&self, item: &str, key: &str) -> Value {
        json!({
            "lines": [{ "itemId": item, "units": 1 }],
            "expectedTotal": { "amount": PRICE, "currency": "EUR" },
            "address": {
                "name": "Ada", "line1": "Ring 1", "postalCode": "10115", "city": "Berlin", "country": "DE",
            },
            "acceptedLegalTextIds": self.legal, "idempotencyKey": key,
        })
    }

    /// Reserves one unit, and returns the id of the checkout.
    pub(crate) async fn reserve(&self, token: &str) -> String {
        let fields = format!("checkout {{ {CHECKOUT} }}");
        let payload =
            self.done(token, "checkoutReserve", &fields, self.reserving(&self.item, &new_key())).await;
        assert_eq!(payload["checkout"]["status"], "HELD", "{payload:#}");
        id(&payload["checkout"])
    }

    /// Pays a checkout with this method.
    pub(crate) async fn pay(&self, token: &str, checkout: &str, method: &str) {
        let input = paying(checkout, method, &new_key());
        self.done(token, "checkoutPay", "payment { status }", input).await;
    }

    /// Returns a checkout as its buyer sees it.
    pub(crate) async fn checkout(&self, token: &str, checkout: &str) -> Value {
        self.checkout_when(token, checkout, |_| true).await
    }

    /// Waits until a checkout satisfies the condition, and returns it.
    pub(crate) async fn checkout_when(
        &self,
        token: &str,
        checkout: &str,
        good: impl Fn(&Value) -> bool,
    ) -> Value {
        let query = format!("query($id: ID!) {{ checkout(id: $id) {{ {CHECKOUT} }} }}");
        let variables = json!({ "id": checkout });
        self.until(Some(token), &query, variables, |seen| good(&seen["checkout"])).await["checkout"].clone()
    }

    /// Returns the public stock of the open drop: free, held and confirmed units.
    pub(crate) async fn stock(&self) -> (usize, usize, usize) {
        let query = "query($id: ID!) { node(id: $id) { ... on DropItem { stock { free held confirmed } } } }";
        let stock = self.graphql(None, query, json!({ "id": self.item })).await["node"]["stock"].clone();
        let units = |name: &str| usize::try_from(stock[name].as_u64().unwrap()).unwrap();
        (units("free"), units("held"), units("confirmed"))
    }

    /// Opens a separate connection for a caller.
    pub(crate) async fn line(&self, token: &str) -> PhoneLine {
        let client = reqwest::Client::builder().timeout(SOON).build().unwrap();
        let line = PhoneLine { client, url: self.at("/graphql"), token: token.to_owned() };
        line.send("{ __typename }", json!({})).await.unwrap();
        line
    }

    /// Returns the code in the newest letter of this kind.
    pub(crate) async fn code_from(&self, to: &str, page: &str) -> String {
        code_of(&self.letter(to, page).await)
    }

    /// Kills the server, and starts it again on the stored data.
    pub(crate) async fn after_a_power_cut(self) -> Self {
        // Use the same address, because other workers send their webhooks there.
        let again = self.server.same_again().listening_at(self.server.address());
        self.server.kill();
        Self { server: Server::start(again).await, ..self }
    }

    /// Does the same while another connection holds the gates, which it releases after the kill.
    pub(crate) async fn after_a_power_cut_under(self, gates: DatabaseConnection) -> Self {
        let again = self.server.same_again().listening_at(self.server.address());
        self.server.kill();
        gates.close().await.unwrap();
        Self { server: Server::start(again).await, ..self }
    }

    /// Holds the gates of all drops, like another process that is slow. On SQLite, holds the write lock.
    pub(crate) async fn hold_the_gates(&self) -> DatabaseConnection {
        let mut options = ConnectOptions::new(self.database_url());
        options.max_connections(1).min_connections(1);
        let other = Database::connect(options).await.unwrap();
        let hold = match other.get_database_backend() {
            DatabaseBackend::Postgres => "BEGIN; UPDATE stock_gates SET version = version",
            _ => "BEGIN IMMEDIATE",
        };
        other.execute_unprepared(hold).await.unwrap();
        other
    }

    /// Returns one value of `/metrics`, or 0 if it is missing.
    pub(crate) async fn metric(&self, name: &str) -> f64 {
        let page = self.client().get(self.at("/metrics")).send().await.unwrap().text().await.unwrap();
        let line = page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.map_or(0.0, |number| number.trim().parse().unwrap())
    }

    /// Waits until a value of `/metrics` is as expected.
    pub(crate) async fn until_metric(&self, name: &str, expected: f64) {
        let patience = Instant::now();
        loop {
            let seen = self.metric(name).await;
            if (seen - expected).abs() < f64::EPSILON {
                return;
            }
            assert!(patience.elapsed() < SOON, "{name} is {seen}, not {expected}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Returns how many letters to an address contain a text.
    pub(crate) fn letters(&self, to: &str, holding: &str) -> usize {
        let letters = fs::read_dir(self.folder().join("mail")).unwrap().map(|file| file.unwrap().path());
        let letters = letters.filter(|path| path.extension().is_some_and(|extension| extension == "eml"));
        letters
            .map(|path| fs::read_to_string(path).unwrap())
            .filter(|text| text.contains(to) && text.contains(holding))
            .count()
    }
}

/// Returns the input that pays a checkout.
pub(crate) fn paying(checkout: &str, method: &str, key: &str) -> Value {
    json!({ "checkoutId": checkout, "paymentMethod": method, "returnUrl": RETURN_URL, "idempotencyKey": key })
}

/// The storefront's URL to which buyers return.
pub(crate) const RETURN_URL: &str = "https://shop.example/thanks?order=7";

/// Returns the id of an object.
pub(crate) fn id(thing: &Value) -> String {
    thing["id"].as_str().unwrap_or_else(|| panic!("no id: {thing:#}")).to_owned()
}

/// Returns the code in the link of a letter.
pub(crate) fn code_of(letter: &str) -> String {
    let (_, rest) = letter.split_once("?code=").unwrap_or_else(|| panic!("no link: {letter}"));
    rest.split_whitespace().next().unwrap().to_owned()
}

/// The connection of one caller.
#[derive(Debug, Clone)]
pub(crate) struct PhoneLine {
    client: reqwest::Client,
    url: String,
    token: String,
}

impl PhoneLine {
    /// Sends one operation. Returns an error if the connection broke.
    pub(crate) async fn send(&self, query: &str, variables: Value) -> Result<(u16, Value), reqwest::Error> {
        let request = self
            .client
            .post(&self.url)
            .bearer_auth(&self.token)
            .json(&json!({ "query": query, "variables": variables }));
        let answer = request.header("accept", "application/graphql-response+json").send().await?;
        Ok((answer.status().as_u16(), answer.json().await?))
    }
}
