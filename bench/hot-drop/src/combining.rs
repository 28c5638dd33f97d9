//! What combining costs where there is nothing to combine: the same reservations over many drops, by the
//! rules alone and within this process, once over the desk and once by a transaction for each request, in
//! turn.

use std::{sync::Arc, time::Instant};

use bench::{Outcome, Trouble, load::scattered, progress};
use domain::{
    platform::{Db, Quantity, access::BuyerScope, idempotency::IdempotencyKey, ids::DropItemId},
    reservations::{
        desk::{Desk, DeskSettings},
        lines::Line,
        quote::Delivery,
        reserve::{ReserveRequest, Reserved, reserve},
    },
};
use testkit::{
    Kit,
    market::{self, item_of},
    requests,
};
use tokio::{sync::Semaphore, task::JoinSet};

/// Each way is measured so often; the middle one is told.
const TURNS: u32 = 3;
/// The price of a unit, in cents.
const PRICE: i64 = 5_000;
/// None of the drops sells out.
const UNITS: u32 = 1_000_000;

/// Reservations a second.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Combining {
    /// Over the desk.
    pub(crate) desk: f64,
    /// Each by a transaction of its own.
    pub(crate) alone: f64,
}

impl Combining {
    /// How many times as fast the desk is.
    pub(crate) fn ratio(self) -> f64 {
        self.desk / self.alone
    }
}

/// How a reservation is made.
#[derive(Clone)]
enum Way {
    Desk(Desk),
    /// As many at once as the desk's.
    Alone(Db, Arc<Semaphore>),
}

/// Makes a marketplace of its own, on PostgreSQL where there is one, with so many drops; measures that many
/// reservations by as many buyers at once as there are connections.
pub(crate) async fn measure(drops: u32, connections: u32, reservations: u32) -> Outcome<Combining> {
    let is_postgres = std::env::var_os("SMALLRUN_TEST_POSTGRES_URL").is_some();
    let kit = if is_postgres { Kit::postgres().await } else { Kit::sqlite().await };
    progress(format_args!("Announcing {drops} drops, for the rules alone"));
    let market = Arc::new(Market::open(&kit, drops, connections).await);
    // As the server has it by default.
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
            Self::Desk(_) => "over the desk",
            Self::Alone(..) => "a transaction each",
        }
    }

    async fn reserve(&self, buyer: &BuyerScope, request: ReserveRequest) -> Outcome<()> {
        let reserved = match self {
            Self::Desk(desk) => desk.reserve(buyer, request).await,
            Self::Alone(db, at_once) => {
                let _turn = at_once.acquire().await.map_err(Trouble::doing("wait for a turn"))?;
                reserve(db, buyer, &request).await
            }
        };
        match reserved.map_err(Trouble::doing("reserve"))? {
            Reserved::Made { replayed: false, .. } => Ok(()),
            other => Err(Trouble::new(format_args!("a reservation ended otherwise: {other:?}"))),
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

    /// Each buyer reserves one after the other, of drops by chance, but of none twice. Answers reservations a
    /// second.
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
                lines: vec![Line { item: *item, units: Quantity::ONE, delivery: Delivery::Pickup }],
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
