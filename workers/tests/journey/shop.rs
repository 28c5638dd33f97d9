//! A shop with one open drop, its workers, and the systems around it: a mailer, and the HTTP server that
//! receives webhooks.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use ::payments::{
    Sandbox, SandboxSettings,
    sandbox::{SIGNATURE_HEADER, SandboxOutcome},
};
use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use domain::{
    drops::{DropItem, terms::Deposit},
    payments::{
        self, Payment, Refund, gateway::PaymentGateway, gateways::Gateways, method::PaymentMethod,
        receive_webhook,
    },
    platform::{
        Db,
        access::BuyerScope,
        ids::{CheckoutId, PaymentId},
        mail::{LinkBase, Mail, MailError, Mailer},
        outbox,
        tasks::{self, Queue, TaskKinds, TaskState},
    },
    registry::{self, Ports},
    reservations::{DeskActivity, PayRequest, Reservation, pay, queries::lines_of},
};
pub(crate) use testkit::market::system;
use testkit::{
    Kit,
    market::{Market, item},
    requests,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::oneshot,
};
use workers::{
    WorkerDeps, Workers, WorkersHandle,
    bus::{Bus, embedded::EmbeddedBus},
    payments::Budgeted,
};

/// The duration of a hold in seconds.
pub(crate) const HOLD_SECS: u16 = 600;

/// Keeps all letters in memory.
#[derive(Default)]
pub(crate) struct Letters(Mutex<Vec<Mail>>);

#[async_trait]
impl Mailer for Letters {
    async fn send(&self, mail: &Mail) -> Result<(), MailError> {
        self.0.lock().unwrap().push(mail.clone());
        Ok(())
    }
}

/// A shop.
pub(crate) struct Shop {
    pub(crate) kit: Kit,
    market: Market,
    pub(crate) sandbox: Arc<Sandbox>,
    pub(crate) letters: Arc<Letters>,
    pub(crate) item: DropItem,
    handle: Mutex<Option<WorkersHandle>>,
    _receiver: oneshot::Sender<()>,
}

impl Shop {
    /// Creates a shop without running workers. Late payments settle after `late`.
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
        let market = Market::new(&kit).await;
        let item = stock(&market, kit.db.now(), units).await;
        Self {
            market,
            sandbox,
            letters: Arc::default(),
            item,
            handle: Mutex::default(),
            _receiver: receiver,
            kit,
        }
    }

    /// Creates a shop with running workers.
    pub(crate) async fn open(kit: Kit, late: TimeDelta, units: u32) -> Self {
        let shop = Self::closed(kit, late, units).await;
        shop.start();
        shop
    }

    pub(crate) fn start(&self) {
        let gateway = Budgeted::new(self.kit.db.clone(), self.sandbox.clone(), 1_000);
        let deps = WorkerDeps {
            db: self.kit.db.clone(),
            desk: DeskActivity::default(),
            mailer: self.letters.clone(),
            gateways: Gateways::new(Arc::new(gateway), []).unwrap(),
            sweeps: Vec::new(),
            links: LinkBase::new("https://shop.example/"),
            tasks: self.own_kinds(),
            queues: Queue::ALL.into_iter().map(|queue| (queue, queue.concurrency())).collect(),
        };
        let bus: Arc<dyn Bus> = Arc::new(EmbeddedBus::new(self.kit.db.clone()));
        *self.handle.lock().unwrap() = Some(Workers::start(&bus, deps));
    }

    /// Returns the task kinds of the gateway.
    fn own_kinds(&self) -> TaskKinds {
        TaskKinds::default().with::<SandboxOutcome>(self.sandbox.clone())
    }

    /// Returns all task kinds of a process with workers.
    pub(crate) fn kinds(&self) -> TaskKinds {
        let gateway: Arc<dyn PaymentGateway> = self.sandbox.clone();
        let gateways = Gateways::new(gateway, []).unwrap();
        let links = LinkBase::new("https://shop.example/");
        registry::tasks(Ports { gateways, mailer: self.letters.clone(), links }).and(self.own_kinds())
    }

    /// Waits until there is no work left, and stops the workers.
    pub(crate) async fn close(self) {
        self.peace().await;
        let handle = self.handle.lock().unwrap().take();
        handle.unwrap().stop(Duration::from_secs(5)).await;
    }

    /// Waits until nothing is due, and advances the clock. A webhook that is in flight while the clock jumps
    /// would be rejected as too old.
    pub(crate) async fn later(&self, by: TimeDelta) {
        let db = &self.kit.db;
        let idle = async || {
            let due = |load: &tasks::QueueLoad| match load.state {
                TaskState::Ready => load.due_at <= db.now(),
                TaskState::Running => true,
                TaskState::Dead => false,
            };
            all_stamped(db).await && !tasks::loads(db).await.unwrap().iter().any(due)
        };
        self.eventually("no task is due", idle).await;
        self.kit.clock.advance(by);
        db.wake();
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

    /// Waits until all facts are stamped and there are no tasks, dead letters included.
    pub(crate) async fn peace(&self) {
        let db = &self.kit.db;
        let still = async || all_stamped(db).await && tasks::depths(db).await.unwrap().is_empty();
        self.eventually("no task is left", still).await;
    }

    pub(crate) async fn buyer(&self, name: &str) -> BuyerScope {
        self.market.buyer(name).await
    }

    pub(crate) async fn reserve(&self, buyer: &BuyerScope, key: &str) -> CheckoutId {
        self.market.hold(buyer, &[(&self.item, 1)], key).await
    }

    pub(crate) async fn pay(
        &self,
        buyer: &BuyerScope,
        checkout: CheckoutId,
        method: &str,
        key: &str,
    ) -> PaymentId {
        let method = PaymentMethod::new(method).unwrap();
        let request = PayRequest { method, ..requests::pay(checkout, key) };
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

    /// Returns the subjects of the letters to a buyer, in the order in which they were sent.
    pub(crate) fn subjects(&self, name: &str) -> Vec<String> {
        self.mails(name).into_iter().map(|mail| mail.subject).collect()
    }

    pub(crate) fn mails(&self, name: &str) -> Vec<Mail> {
        let to = format!("{name}@example.org");
        self.letters.0.lock().unwrap().iter().filter(|mail| mail.to == to).cloned().collect()
    }
}

/// Returns whether every fact has a position, so that the tasks that follow from it are queued.
async fn all_stamped(db: &Db) -> bool {
    outbox::unstamped_count(db).await.unwrap() == 0
}

/// Creates a creator with one product in an open drop: 100 EUR, with a deposit of 10 %.
async fn stock(market: &Market, now: DateTime<Utc>, units: u32) -> DropItem {
    let creator = market.creator_of(Some(market.account("owner").await), "Clay and Kiln").await;
    let plan = market.drop(&creator, "Spring firing").terms(|drop| {
        (drop.closes_at, drop.hold_secs, drop.deposit) =
            (now + TimeDelta::days(2), HOLD_SECS.into(), Deposit::Percent(1_000));
    });
    let jug =
        item("JUG-BLUE").product("Water Jug").title("Blue").units(units).limit(1).prices(&[(10_000, None)]);
    plan.with(jug).open().await.items.remove(0)
}

/// Receives webhooks like the HTTP API.
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
        let length = head
            .lines()
            .find_map(|line| line.to_lowercase().strip_prefix("content-length: ")?.parse::<usize>().ok());
        if length == Some(body.len()) {
            break (head, body);
        }
    };
    let header = SIGNATURE_HEADER.to_lowercase() + ": ";
    let signature = head.lines().find_map(|line| line.strip_prefix(&header));
    let status = match sandbox.verify_webhook(signature, body.as_bytes()) {
        Ok(event) => {
            receive_webhook(db, &system(), sandbox.identity(), &event, body).await.unwrap();
            "200 OK"
        }
        Err(_) => "400 Bad Request",
    };
    let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
    stream.write_all(answer.as_bytes()).await.unwrap();
}
