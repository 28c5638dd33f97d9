//! The buyers of the demo's runs. They reserve units and pay through the sandbox like any buyer, so that some
//! runs are sold out and others partly sold.

use chrono::TimeDelta;
use domain::{
    drops::DropItem,
    payments::{advance, gateway::PaymentGateway, method::PaymentMethod},
    platform::{
        Country, Db, OpError, Quantity,
        access::{Browse, Buyer, SystemScope, Viewer, authorize},
        idempotency::IdempotencyKey,
        ids::{AccountId, LegalTextId, PickupPlaceId},
        text::{TextError, TextLine},
    },
    reservations::{
        PayRefusal, PayRequest, RequestedLine, ReserveRequest, Reserved, address::Address, ask, legal, pay,
        quote::DeliveryMethod, reserve,
    },
};
use payments::{Sandbox, SandboxSettings, sandbox::methods};

use super::load::LoadError;

/// The maximum number of retries of a purchase.
const TRIES_MAX: u32 = 20;

/// How many units of a run are bought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Demand {
    /// None.
    None,
    /// One or two units of each item, by each of this many buyers.
    Some(usize),
    /// All units.
    All,
}

/// The buyers, and the values that they need for a purchase.
pub(super) struct Buyers {
    system: SystemScope,
    accounts: Vec<AccountId>,
    accepted: Vec<LegalTextId>,
    method: PaymentMethod,
}

impl Buyers {
    pub(super) async fn new(
        db: &Db,
        system: &SystemScope,
        accounts: Vec<AccountId>,
    ) -> Result<Self, LoadError> {
        let accepted = legal::current(db.reader()).await?.into_iter().map(|text| text.id).collect();
        let method =
            PaymentMethod::new(methods::SUCCESS).ok_or_else(|| LoadError::new("not a method of payment"))?;
        Ok(Self { system: *system, accounts, accepted, method })
    }

    /// Buys units of one run, one buyer after the other. Some of them come to the run's pickup places. `then`
    /// is the database with the clock set to the time of the purchases.
    pub(super) async fn buy(
        &self,
        then: &Db,
        run: &str,
        items: &[DropItem],
        home: Country,
        places: &[PickupPlaceId],
        demand: Demand,
    ) -> Result<(), LoadError> {
        let mut left: Vec<(&DropItem, u32)> = items.iter().map(|item| (item, item.units.get())).collect();
        for (turn, account) in self.accounts.iter().enumerate() {
            // Every third buyer comes, each to another of the places.
            let pickup_place = places.iter().cycle().nth(turn / 3).copied().filter(|_| turn % 3 == 2);
            let delivery = pickup_place.map_or(DeliveryMethod::Shipping, |_| DeliveryMethod::Pickup);
            let wanted = |item: &DropItem| match demand {
                Demand::None => 0,
                Demand::Some(buyers) if turn < buyers => 1 + u32::from(turn % 2 == 1),
                Demand::Some(_) => 0,
                Demand::All => item.per_buyer_max.get(),
            };
            let mut lines = Vec::new();
            for (item, left) in &mut left {
                let units = wanted(item).min(*left).min(item.per_buyer_max.get());
                *left = left.saturating_sub(units);
                if let Ok(units) = Quantity::try_from(units) {
                    lines.push(RequestedLine { item: item.id, units, delivery, pickup_place });
                }
            }
            if lines.is_empty() {
                break;
            }
            self.buy_lines(then, *account, &format!("{run}.{turn}"), lines, home).await?;
        }
        Ok(())
    }

    /// Buys at the time of `then`. A server that runs at the same time sees an expired hold and may end it
    /// before it is paid. The same lines are then reserved again.
    async fn buy_lines(
        &self,
        then: &Db,
        account: AccountId,
        name: &str,
        lines: Vec<RequestedLine>,
        home: Country,
    ) -> Result<(), LoadError> {
        let mut tried = 0;
        loop {
            let name = if tried == 0 { name.to_owned() } else { format!("{name}.{tried}") };
            match self.try_to_buy(then, account, &name, lines.clone(), home).await? {
                Bought::Paid => return Ok(()),
                Bought::Lapsed if tried < TRIES_MAX => tried += 1,
                Bought::Lapsed => {
                    return Err(LoadError::new("a running server ended every hold before it was paid"));
                }
            }
        }
    }

    async fn try_to_buy(
        &self,
        then: &Db,
        account: AccountId,
        name: &str,
        lines: Vec<RequestedLine>,
        home: Country,
    ) -> Result<Bought, LoadError> {
        let public = authorize(&Viewer::Public, Browse).map_err(LoadError::new)?;
        let buyer = self.system.as_buyer(Buyer::Account(account));
        let expected_total = ask(then, &public, &lines, home).await?.total();
        let request = ReserveRequest {
            lines,
            address: address(home).map_err(LoadError::new)?,
            expected_total,
            accepted: self.accepted.clone(),
            arrived_at: then.now(),
            key: key("demo.reserve", name)?,
        };
        let Reserved::Made { checkout, .. } = reserve(then, &buyer, &request).await? else {
            return Err(LoadError::new("the price rose between the quote and the reservation"));
        };
        let sandbox = sandbox(then)?;
        let key = key("demo.pay", name)?;
        let (method, gateway) = (self.method.clone(), sandbox.identity().clone());
        let request = PayRequest { checkout, method, return_url: None, gateway, key };
        let payment = match pay(then, &buyer, &request).await {
            Ok((payment, _)) => payment,
            Err(OpError::Refused(why)) if why.iter().any(|refused| refused.code == PayRefusal::HoldOver) => {
                return Ok(Bought::Lapsed);
            }
            Err(error) => return Err(error.into()),
        };
        // The task that `pay` queued will find the payment already advanced.
        advance(then, &self.system, &domain::registry::payables(), &sandbox, payment)
            .await
            .map_err(|error| LoadError::new(crate::exit::chain(&error)))?;
        Ok(Bought::Paid)
    }
}

/// The outcome of a purchase.
enum Bought {
    Paid,
    Lapsed,
}

/// Creates the sandbox gateway with the clock of `then`. It sends no webhooks itself: the workers deliver
/// them later.
fn sandbox(then: &Db) -> Result<Sandbox, LoadError> {
    let settings = SandboxSettings {
        public_url: String::new(),
        webhook_url: String::new(),
        webhook_secret: String::new(),
        late: TimeDelta::seconds(SandboxSettings::LATE_SECS),
    };
    Sandbox::new(then.clone(), settings).map_err(LoadError::new)
}

fn key(what: &str, name: &str) -> Result<IdempotencyKey, LoadError> {
    // The names of runs can be longer than an idempotency key, so only the end is used.
    let short: String = name.chars().rev().take(40).collect::<Vec<_>>().into_iter().rev().collect();
    IdempotencyKey::new(&format!("{what}.{short}"))
        .ok_or_else(|| LoadError::new(format_args!("{name} is not a valid idempotency key")))
}

fn address(country: Country) -> Result<Address, TextError> {
    Ok(Address {
        name: TextLine::new("Robin Example")?,
        line1: TextLine::new("12 Sample Street")?,
        line2: None,
        postal_code: TextLine::new("10000")?,
        city: TextLine::new("Exampleton")?,
        country,
        phone: None,
    })
}
