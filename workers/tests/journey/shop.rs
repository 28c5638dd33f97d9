//! A marketplace with one open drop, its workers, and the world around them: a folder of letters and
//! the HTTP server that webhooks come to.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use ::payments::{Sandbox, SandboxSettings, sandbox::SIGNATURE_HEADER};
use async_trait::async_trait;
use chrono::TimeDelta;
use domain::{
    accounts::{self, CreateAccount, Email},
    catalog::{self, CreateVariant, TaxClass},
    creators,
    drops::{
        create::{CreateDrop, create},
        items::{self, NewItem},
        publish::publish,
        terms::Deposit,
    },
    payments::{
        self, Payment, Refund,
        gateway::PaymentGateway,
        pay::{PayRequest, PaymentMethod, pay},
        receive_webhook,
    },
    platform::{
        Db, Quantity,
        access::{Buyer, BuyerScope, SystemScope},
        idempotency::IdempotencyKey,
        ids::{CheckoutId, DropItemId, PaymentId},
        mail::{Mail, MailError, Mailer},
        tasks::{self, Queue},
        text::Line as TextLine,
    },
    reservations::{
        Reservation,
        lines::Line,
        queries::lines_of,
        quote::Delivery,
        reserve::{ReserveRequest, Reserved, reserve},
        tables::set_tax_rate,
    },
};
use testkit::{Kit, requests};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::oneshot,
};
use workers::{
    LinkBase, WorkerDeps, Workers, WorkersHandle,
    bus::{Bus, embedded::EmbeddedBus},
};

/// How long a hold lasts here.
pub(crate) const HOLD_SECS: u16 = 600;

/// Keeps letters.
#[derive(Default)]
pub(crate) struct Letters(Mutex<Vec<Mail>>);

#[async_trait]
impl Mailer for Letters {
    async fn send(&self, mail: &Mail) -> Result<(), MailError> {
        self.0.lock().unwrap().push(mail.clone());
        Ok(())
    }
}

/// The marketplace.
pub(crate) struct Shop {
    pub(crate) kit: Kit,
    pub(crate) sandbox: Arc<Sandbox>,
    pub(crate) letters: Arc<Letters>,
    pub(crate) item: DropItemId,
    handle: Mutex<Option<WorkersHandle>>,
    _receiver: oneshot::Sender<()>,
}

pub(crate) fn system() -> SystemScope {
    SystemScope::new("test")
}

fn line<const MAX: usize>(text: &str) -> TextLine<MAX> {
    TextLine::new(text).unwrap()
}

impl Shop {
    /// A shop without running workers. Late payments take so long.
    pub(crate) async fn closed(kit: Kit, late: TimeDelta, units: u32) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let settings = SandboxSettings {
            public_url: "http://shop.example".to_owned(),
            webhook_url: format!("http://{}/webhooks/sandbox", listener.local_addr().unwrap()),
            webhook_secret: "whsec_of_the_tests".to_owned(),
            late,
        };
        let sandbox = Sandbox::shared(kit.db.clone(), settings).unwrap();
        let (receiver, closed) = oneshot::channel();
        tokio::spawn(receive(listener, kit.db.clone(), Arc::clone(&sandbox), closed));
        let item = stock(&kit.db, units).await;
        Self { sandbox, letters: Arc::default(), item, handle: Mutex::default(), _receiver: receiver, kit }
    }

    /// A shop with running workers.
    pub(crate) async fn open(kit: Kit, late: TimeDelta, units: u32) -> Self {
        let shop = Self::closed(kit, late, units).await;
        shop.start();
        shop
    }

    /// Starts the workers.
    pub(crate) fn start(&self) {
        let deps = WorkerDeps {
            db: self.kit.db.clone(),
            mailer: self.letters.clone(),
            gateways: vec![self.sandbox.clone()],
            sandbox: Some(self.sandbox.clone()),
            links: LinkBase::new("https://shop.example/"),
            gateway_calls_per_second: 1_000,
            queues: Queue::ALL.into_iter().map(|queue| (queue, workers::concurrency(queue))).collect(),
        };
        let bus: Arc<dyn Bus> = Arc::new(EmbeddedBus::new(self.kit.db.clone()));
        *self.handle.lock().unwrap() = Some(Workers::start(&bus, deps));
    }

    /// Stops the workers, once nothing is left to do.
    pub(crate) async fn close(self) {
        self.peace().await;
        let handle = self.handle.lock().unwrap().take();
        handle.unwrap().stop(Duration::from_secs(5)).await;
    }

    /// Lets time go by.
    pub(crate) fn later(&self, by: TimeDelta) {
        self.kit.clock.advance(by);
        self.kit.db.wake();
    }

    pub(crate) async fn eventually(&self, what: &str, mut holds: impl AsyncFnMut() -> bool) {
        let waiting = async {
            while !holds().await {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        if tokio::time::timeout(Duration::from_secs(30), waiting).await.is_err() {
            panic!("not in time: {what}; left: {:?}", tasks::depths(&self.kit.db).await);
        }
    }

    /// No task waits, runs or is dead, and every fact is stamped.
    pub(crate) async fn peace(&self) {
        let db = &self.kit.db;
        let still = async || {
            domain::platform::outbox::unstamped_count(db).await.unwrap() == 0 && tasks::depths(db).await.unwrap().is_empty()
        };
        self.eventually("no task is left", still).await;
    }

    pub(crate) async fn buyer(&self, name: &str) -> BuyerScope {
        let email = Email::new(&format!("{name}@example.org")).unwrap();
        let request = CreateAccount { email, name: line(name), password: None };
        let account = accounts::create_account(&self.kit.db, &system(), request).await.unwrap();
        system().as_buyer(Buyer::Account(account.id))
    }

    pub(crate) async fn reserve(&self, buyer: &BuyerScope, key: &str) -> CheckoutId {
        let request = ReserveRequest {
            lines: vec![Line { item: self.item, units: Quantity::ONE, delivery: Delivery::Pickup }],
            address: requests::address(),
            expected_total: requests::euros(1_000_000),
            accepted: Vec::new(),
            arrived_at: self.kit.db.now(),
            key: IdempotencyKey::new(key).unwrap(),
        };
        match reserve(&self.kit.db, buyer, &request).await.unwrap() {
            Reserved::Made { checkout, replayed: false, .. } => checkout,
            other => panic!("not made: {other:?}"),
        }
    }

    pub(crate) async fn pay(&self, buyer: &BuyerScope, checkout: CheckoutId, method: &str, key: &str) -> PaymentId {
        let request = PayRequest {
            checkout,
            method: PaymentMethod::new(method).unwrap(),
            return_url: None,
            gateway: self.sandbox.name(),
            key: IdempotencyKey::new(key).unwrap(),
        };
        pay(&self.kit.db, buyer, &request).await.unwrap().0
    }

    pub(crate) async fn payment(&self, checkout: CheckoutId) -> Payment {
        payments::of_checkouts(&self.kit.db, &[checkout]).await.unwrap().remove(&checkout).unwrap()
    }

    pub(crate) async fn refunds(&self, payment: PaymentId) -> Vec<Refund> {
        payments::refunds_of(&self.kit.db, &[payment]).await.unwrap().remove(&payment).unwrap_or_default()
    }

    pub(crate) async fn line(&self, checkout: CheckoutId) -> Reservation {
        let mut lines = lines_of(&self.kit.db, &[checkout]).await.unwrap();
        lines.remove(&checkout).unwrap().pop().unwrap()
    }

    /// The subjects of the letters to somebody, in the order in which they went.
    pub(crate) fn subjects(&self, name: &str) -> Vec<String> {
        self.mails(name).into_iter().map(|mail| mail.subject).collect()
    }

    pub(crate) fn mails(&self, name: &str) -> Vec<Mail> {
        let to = format!("{name}@example.org");
        self.letters.0.lock().unwrap().iter().filter(|mail| mail.to == to).cloned().collect()
    }
}

/// A creator with one product in one drop that is open: 100 EUR, a tenth of it now.
async fn stock(db: &Db, units: u32) -> DropItemId {
    let system = system();
    let since = db.now() - TimeDelta::days(1);
    set_tax_rate(db, &system.as_admin(), "DE".parse().unwrap(), TaxClass::Standard, since, 1_900).await.unwrap();
    let owner = CreateAccount { email: Email::new("owner@example.org").unwrap(), name: line("Owner"), password: None };
    let owner = accounts::create_account(db, &system, owner).await.unwrap();
    let creator = creators::create_for(db, &system, Some(owner.id), requests::creator("Clay and Kiln")).await.unwrap();
    let scope = system.as_creator(creator.id);
    let product = catalog::create_product(db, &scope, requests::product("Water Jug")).await.unwrap();
    let variant = CreateVariant { title: line("Blue"), ..requests::variant(product.id, "JUG-BLUE", requests::euros(10_000)) };
    let variant = catalog::create_variant(db, &scope, variant).await.unwrap();
    let (now, title) = (db.now(), "Spring firing");
    let (closes_at, deposit) = (now + TimeDelta::days(2), Deposit::Percent(1_000));
    let drop = CreateDrop { closes_at, hold_secs: HOLD_SECS.into(), deposit, ..requests::drop(now, title) };
    let drop = create(db, &scope, drop).await.unwrap();
    let tiers = requests::tiers(&[(10_000, None)]);
    let item = NewItem { variant: variant.id, units, per_buyer_max: 1, tiers };
    let item = items::add(db, &scope, drop.id, item).await.unwrap();
    publish(db, &scope, drop.id).await.unwrap();
    item.id
}

/// Takes webhooks in as the HTTP surface does.
async fn receive(listener: TcpListener, db: Db, sandbox: Arc<Sandbox>, mut closed: oneshot::Receiver<()>) {
    loop {
        tokio::select! {
            _ = &mut closed => return,
            accepted = listener.accept() => {
                let (stream, _) = accepted.unwrap();
                let (db, sandbox) = (db.clone(), Arc::clone(&sandbox));
                tokio::spawn(async move { take_in(stream, &db, &sandbox).await });
            }
        }
    }
}

async fn take_in(mut stream: TcpStream, db: &Db, sandbox: &Sandbox) {
    let mut text = String::new();
    let (head, body) = loop {
        let mut part = [0; 4096];
        let count = stream.read(&mut part).await.unwrap();
        assert!(count > 0, "the request ended early");
        text.push_str(std::str::from_utf8(part.get(..count).unwrap()).unwrap());
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length = head.lines().find_map(|line| line.to_lowercase().strip_prefix("content-length: ")?.parse::<usize>().ok());
        if length == Some(body.len()) {
            break (head, body);
        }
    };
    let header = SIGNATURE_HEADER.to_lowercase() + ": ";
    let signature = head.lines().find_map(|line| line.strip_prefix(&header));
    let status = match sandbox.verify_webhook(signature, body.as_bytes()) {
        Ok(event) => {
            receive_webhook(db, &system(), sandbox.name(), &event, body).await.unwrap();
            "200 OK"
        }
        Err(_) => "400 Bad Request",
    };
    let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
    stream.write_all(answer.as_bytes()).await.unwrap();
}
