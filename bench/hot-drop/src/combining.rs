//! The cost of combining where there is nothing to combine: the same reservations over many drops, without
//! HTTP and within this process, alternately through the desk and with a transaction for each request.

use std::{sync::Arc, time::Instant};

use bench::{Outcome, Trouble, load::scattered, progress};
use domain::{
    platform::{Db, Quantity, access::BuyerScope, idempotency::IdempotencyKey, ids::DropItemId},
    reservations::{
        RequestedLine, ReserveRequest, Reserved,
        desk::{Desk, DeskSettings},
        quote::DeliveryMethod,
        reserve,
    },
};
use testkit::{
    Kit,
    market::{self, item_of},
    requests,
};
use tokio::{sync::Semaphore, task::JoinSet};

/// The number of measurements of each way. The median is reported.
const TURNS: u32 = 3;
/// The price of a unit in cents.
const PRICE: i64 = 5_000;
/// Enough units that no drop sells out.
const UNITS: u32 = 1_000_000;

/// Reservations per second.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Combining {
    /// Through the desk.
    pub(crate) desk: f64,
    /// Each in a transaction of its own.
    pub(crate) alone: f64,
}

impl Combining {
    /// Returns the rate of the desk as a multiple of the other.
    pub(crate) fn ratio(self) -> f64 {
        self.desk / self.alone
    }
}

/// A way to make reservations.
#[derive(Clone)]
enum Way {
    Desk(Desk),
    /// With the same number of concurrent transactions as the desk.
    Alone(Db, Arc<Semaphore>),
}

/// Creates a marketplace, on PostgreSQL if available, with `drops` drops, and measures `reservations`
/// reservations by as many concurrent buyers as there are connections.
pub(crate) async fn measure(drops: u32, connections: u32, reservations: u32) -> Outcome<Combining> {
    let is_postgres = std::env::var_os("SMALLRUN_TEST_POSTGRES_URL").is_some();
    let kit = if is_postgres { Kit::postgres().await } else { Kit::sqlite().await };
    progress(format_args!("Creating {drops} drops, for the rules alone"));
    let market = Arc::new(Market::open(&kit, drops, connections).await);
    // The server's default.
    let db = kit.connect(16).await;
    let at_once = Arc::new(Semaphore::new(DeskSettings::default().transactions_max));
    let ways = [Way::Desk(Desk::new(&db, DeskSettings::default())), Way::Alone(db, at_once)];
    let mut rates = [Vec::new(), Vec::new()];
    for turn in 0..TURNS {
        for (place, way) in ways.iter().enumerate() {
            progress(format_args!(
                "Measuring the rules alone, {}, turn {} of {TURNS}",
                way.name(),
                turn.saturating_add(1)
            ));
            let number = u64::from(turn).saturating_mul(2).saturating_add(u64::from(place == 1));
            let rate = market.press(way, number, reservations).await?;
            if let Some(rates) = rates.get_mut(place) {
                rates.push(rate);
            }
        }
    }
    let [desk, alone] = rates.map(|mut rates| {
        rates.sort_by(f64::total_cmp);
        rates.get(rates.len().div_euclid(2)).copied().unwrap_or(0.0)
    });
    Ok(Combining { desk, alone })
}

impl Way {
    fn name(&self) -> &'static str {
        match self {
            Self::Desk(_) => "through the desk",
            Self::Alone(..) => "a transaction each",
        }
    }

    async fn reserve(&self, buyer: &BuyerScope, request: ReserveRequest) -> Outcome<()> {
        let reserved = match self {
            Self::Desk(desk) => desk.reserve(buyer, request).await,
            Self::Alone(db, at_once) => {
                let _turn = at_once.acquire().await.map_err(Trouble::doing("wait for a free transaction"))?;
                reserve(db, buyer, &request).await
            }
        };
        match reserved.map_err(Trouble::doing("reserve"))? {
            Reserved::Made { replayed: false, .. } => Ok(()),
            other => Err(Trouble::new(format_args!("a reservation was not made: {other:?}"))),
        }
    }
}

struct Market {
    db: Db,
    buyers: Vec<BuyerScope>,
    items: Vec<DropItemId>,
}

impl Market {
    async fn open(kit: &Kit, drops: u32, buyers: u32) -> Self {
        let market = market::Market::new(kit).await;
        let creator = market.creator("Salt Glaze").await;
        let cup = market.variant(&creator, "CUP").await;
        let mut this = Self { db: kit.db.clone(), buyers: Vec::new(), items: Vec::new() };
        for number in 0..drops {
            let run =
                market.drop(&creator, &format!("Run {number}")).terms(|drop| drop.hold_secs = 3_600.into());
            let run = run.with(item_of(cup).units(UNITS).limit(10).prices(&[(PRICE, None)])).open().await;
            this.items.extend(run.items.iter().map(|item| item.id));
        }
        for number in 0..buyers {
            this.buyers.push(market.buyer(&format!("buyer-{number}")).await);
        }
        this
    }

    /// Lets each buyer reserve units of different drops, one after the other, starting at a random drop.
    /// Returns the reservations per second.
    async fn press(self: &Arc<Self>, way: &Way, turn: u64, reservations: u32) -> Outcome<f64> {
        let each =
            u64::from(reservations).div_euclid(u64::try_from(self.buyers.len()).unwrap_or(1).max(1)).max(1);
        let began = Instant::now();
        let mut pressing = JoinSet::new();
        for place in 0..self.buyers.len() {
            let (market, way) = (Arc::clone(self), way.clone());
            pressing.spawn(async move { market.buy(&way, place, turn.saturating_mul(each), each).await });
        }
        while let Some(done) = pressing.join_next().await {
            done.map_err(Trouble::doing("press"))??;
        }
        let made = each.saturating_mul(u64::try_from(self.buyers.len()).unwrap_or(u64::MAX));
        Ok(f64::from(u32::try_from(made).unwrap_or(u32::MAX)) / began.elapsed().as_secs_f64())
    }

    async fn buy(&self, way: &Way, place: usize, from: u64, each: u64) -> Outcome<()> {
        let (Some(buyer), drops) = (self.buyers.get(place), u64::try_from(self.items.len()).unwrap_or(1))
        else {
            return Ok(());
        };
        let begins = scattered(u64::try_from(place).unwrap_or(0), drops);
        for number in from..from.saturating_add(each) {
            let drop = begins.saturating_add(number).checked_rem(drops).unwrap_or(0);
            let Some(item) = usize::try_from(drop).ok().and_then(|drop| self.items.get(drop)) else {
                continue;
            };
            let key = IdempotencyKey::new(&format!("combining-{place}-{number}"))
                .ok_or_else(|| Trouble::new("no such key"))?;
            let request = ReserveRequest {
                lines: vec![RequestedLine {
                    item: *item,
                    units: Quantity::ONE,
                    delivery: DeliveryMethod::Pickup,
                    pickup_place: None,
                }],
                address: requests::address(),
                expected_total: requests::euros(PRICE),
                accepted: Vec::new(),
                arrived_at: self.db.arrival_now(),
                key,
            };
            way.reserve(buyer, request).await?;
        }
        Ok(())
    }
}
