//! Requests that are decided together: one transaction takes the gates, claims the keys of all who came until
//! then, loads what they need, decides each in its turn and writes what was decided, with as many statements
//! for a hundred requests as for one.
//!
//! The gates come before the keys here, and after them everywhere else. No two transactions wait for each
//! other all the same: keys of this operation are claimed by nobody who waits for a gate, and in ascending
//! order.

use std::{
    collections::{BTreeSet, HashSet},
    ops::Range,
    sync::LazyLock,
    time::{Duration, Instant},
};

use chrono::{DateTime, Utc};
use sea_orm::DbErr;

use super::{
    checkout_row::{self, NewCheckout},
    decide::{Decision, PersonKey, Request, decide},
    known::Known,
    lines, load,
    quote::Quote,
    reservation_row::{self, NewLines},
    reserve::{Made, OPERATION, ReserveRefusal, ReserveRequest, Reserved},
    tasks::HoldLapse,
};
use crate::{
    accounts,
    drops::{
        drop_row,
        gate::{self, Gates},
    },
    payments,
    platform::{
        Db, EntityId, OpError, Refused, StoreError, Tx,
        access::{Actor, Buyer, BuyerScope},
        audit, bulk,
        facts::Fact,
        faults::{self, Point},
        idempotency::{self, Claim, KeyAsked},
        ids::{CheckoutId, DropId},
        in_tx, is_passing, outbox, timers,
        trace::TraceParent,
    },
};

/// How long a decision is tried again whose database is not there, or whose commit was not answered.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long it waits before that, at first; each time twice as long.
const PAUSE: Duration = Duration::from_millis(50);

/// What one caller hears.
pub(super) type Answer = Result<Reserved, OpError<ReserveRefusal>>;

/// One request that is to be decided, and who asks.
pub(super) struct Asked {
    pub(super) request: ReserveRequest,
    pub(super) buyer: Buyer,
    person: Option<PersonKey>,
    pub(super) actor: Actor,
    /// The checkout to be. It tells what an earlier attempt made from what another request did.
    pub(super) checkout: CheckoutId,
    input_hash: Vec<u8>,
    trace: Option<TraceParent>,
}

impl Asked {
    pub(super) fn new(db: &Db, scope: &BuyerScope, request: ReserveRequest) -> Result<Self, DbErr> {
        let input_hash = idempotency::hash_of(&request)?;
        let (buyer, actor, trace) = (scope.buyer(), scope.actor(), TraceParent::current());
        let person = scope.person().map(PersonKey::from);
        Ok(Self { request, buyer, person, actor, checkout: db.new_id(), input_hash, trace })
    }

    fn key(&self) -> KeyAsked<'_> {
        let Self { request, actor, checkout, input_hash, .. } = self;
        KeyAsked {
            principal: *actor,
            operation: OPERATION,
            key: &request.key,
            input_hash,
            result: checkout.uuid(),
        }
    }

    /// Whether both are the same caller's and have the same key, so that one must wait for the other.
    pub(super) fn repeats(&self, other: &Self) -> bool {
        self.actor == other.actor && self.request.key == other.request.key
    }
}

/// Decides requests for the same drops in their order, and answers each. They are gathered when the gates are
/// taken: while other processes have them, whoever comes is decided as well.
///
/// Where the database failed, all of it is done again: the keys tell what a commit did whose answer was lost.
/// Where that is no remedy, one of the requests is at fault: the halves are decided on their own, until it
/// stands alone and has the failure for its answer.
///
/// `known` is what the last decision about the same drops has left behind, if there was one, and afterwards
/// what this one leaves.
pub(super) async fn decide_all<G>(
    db: &Db,
    drops: &BTreeSet<DropId>,
    gather: G,
    known: &mut Option<Known>,
) -> Vec<Answer>
where
    G: FnOnce() -> Vec<Asked> + Send,
{
    let asked = LazyLock::new(gather);
    let mut answers: Vec<Answer> = Vec::new();
    let mut parts = vec![Part::Whole];
    let mut trouble: Option<(Instant, Duration)> = None;
    while let Some(part) = parts.pop() {
        match run(db, drops, || part.of(&asked), known).await {
            Ok(of_part) => answers.extend(of_part),
            Err(error) => {
                let passing = matches!(&error, StoreError::Db(error) if is_passing(error));
                let (since, pause) = trouble.unwrap_or_else(|| (Instant::now(), PAUSE));
                if passing && since.elapsed() < PATIENCE {
                    tracing::warn!(%error, "a decision is tried again");
                    tokio::time::sleep(pause).await;
                    trouble = Some((since, pause.saturating_mul(2)));
                    parts.push(part);
                } else if let (false, Some((first, second))) = (passing, part.halves(asked.len())) {
                    tracing::warn!(%error, "decided in halves, because one request fails");
                    parts.extend([second, first]);
                } else {
                    answers.extend(part.of(&asked).iter().map(|_| Err(error.clone().into())));
                }
            }
        }
    }
    answers.iter().for_each(count);
    answers
}

/// Some of those who ask.
#[derive(Clone)]
enum Part {
    /// All of them, however many they will be.
    Whole,
    /// From one to before another.
    Some(Range<usize>),
}

impl Part {
    fn of<'a>(&self, asked: &'a [Asked]) -> &'a [Asked] {
        match self {
            Self::Whole => asked,
            Self::Some(places) => asked.get(places.clone()).unwrap_or_default(),
        }
    }

    /// Both halves, if there are two to part.
    fn halves(&self, of_all: usize) -> Option<(Self, Self)> {
        let Range { start, end } = match self {
            Self::Whole => 0..of_all,
            Self::Some(places) => places.clone(),
        };
        let middle = start.midpoint(end);
        (start < middle).then_some((Self::Some(start..middle), Self::Some(middle..end)))
    }
}

fn count(answer: &Answer) {
    let outcome = match answer {
        Ok(Reserved::Made { replayed: false, .. }) => "held",
        Ok(Reserved::Made { replayed: true, .. }) => "replayed",
        Ok(Reserved::Repriced(_)) => "repriced",
        Err(OpError::Refused(_)) => "refused",
        Err(OpError::Busy(_)) => "busy",
        Err(OpError::Db(_) | OpError::Inconsistent(_)) => "failed",
    };
    metrics::counter!("smallrun_reservations_total", "outcome" => outcome).increment(1);
}

/// Why a transaction was given up.
enum Abandon {
    /// Nothing was made: nothing is to be written.
    Answered(Vec<Answer>),
    Failed(StoreError),
}

impl<E: Into<StoreError>> From<E> for Abandon {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

async fn run<'a, A>(
    db: &Db,
    drops: &BTreeSet<DropId>,
    asked: A,
    known: &mut Option<Known>,
) -> Result<Vec<Answer>, StoreError>
where
    A: Fn() -> &'a [Asked] + Send + Sync,
{
    // After a failure nothing is known.
    let before = known.take();
    let mut left = None;
    let done = in_tx(db, Actor::System("reserve"), async |tx| {
        let gates = gate::take(tx, drops).await?;
        faults::point(Point::ReserveGated).await?;
        let (answers, after) = Batch { tx, asked: asked() }.decide(gates, before).await?;
        left = after;
        let made = answers.iter().any(|answer| matches!(answer, Ok(Reserved::Made { rows: Some(_), .. })));
        if made { Ok(answers) } else { Err(Abandon::Answered(answers)) }
    });
    match done.await {
        Ok(answers) => {
            faults::point(Point::ReserveCommitted).await?;
            *known = left;
            Ok(answers)
        }
        Err(Abandon::Answered(answers)) => {
            *known = left.map(Known::rolled_back);
            Ok(answers)
        }
        Err(Abandon::Failed(error)) => Err(error),
    }
}

/// One transaction.
struct Batch<'a> {
    tx: &'a Tx,
    asked: &'a [Asked],
}

/// A request whose key is new, with whom it is for.
struct Fresh<'a> {
    at: usize,
    asked: &'a Asked,
    person: PersonKey,
}

/// A request that gets its units.
struct Granted<'a> {
    at: usize,
    asked: &'a Asked,
    person: &'a PersonKey,
    quote: Quote,
    expires_at: DateTime<Utc>,
}

impl<'a> Batch<'a> {
    /// Answers also what is known of the drops afterwards, if they were looked at.
    async fn decide(
        &self,
        gates: Gates,
        known: Option<Known>,
    ) -> Result<(Vec<Answer>, Option<Known>), Abandon> {
        let mut answers: Vec<Option<Answer>> = self.asked.iter().map(|_| None).collect();
        let fresh = self.claim(&mut answers).await?;
        faults::point(Point::ReserveKeyed).await?;
        let mut left = None;
        if !fresh.is_empty() {
            let now = self.tx.decision_now().await?;
            let destinations = fresh.iter().map(|fresh| fresh.asked.request.address.country).collect();
            let mut known = Known::of(self.tx.conn(), gates, &destinations, now, known).await?;
            let granted = self.grant(&fresh, &known, now, &mut answers).await?;
            let rows = self.write(&granted, &known).await?;
            for (granted, rows) in granted.iter().zip(rows) {
                let made = Reserved::Made {
                    checkout: granted.asked.checkout,
                    replayed: false,
                    rows: Some(Box::new(rows)),
                };
                put(&mut answers, granted.at, Ok(made));
            }
            self.free_refused(&fresh, &granted).await?;
            known.given(granted.iter().map(|granted| (&granted.quote, granted.expires_at)), self.tx.now());
            left = Some(known);
        }
        faults::point(Point::ReserveWritten).await?;
        let missing = || Err(OpError::inconsistent("a request that was not decided"));
        Ok((answers.into_iter().map(|answer| answer.unwrap_or_else(missing)).collect(), left))
    }

    /// Claims the keys, and answers the requests whose keys were used before.
    async fn claim(&self, answers: &mut [Option<Answer>]) -> Result<Vec<Fresh<'a>>, DbErr> {
        let keys: Vec<KeyAsked<'_>> = self.asked.iter().map(Asked::key).collect();
        let claims = idempotency::claim_all(self.tx, &keys).await?;
        // Mostly the door has seen who they are.
        let unseen: Vec<Buyer> =
            self.asked.iter().filter(|asked| asked.person.is_none()).map(|asked| asked.buyer).collect();
        let unseen = accounts::person_keys(self.tx.conn(), &unseen).await?;
        let mut fresh: Vec<(usize, &'a Asked)> = Vec::with_capacity(self.asked.len());
        for ((at, asked), claim) in self.asked.iter().enumerate().zip(claims) {
            let answer = match claim {
                Claim::Fresh => {
                    fresh.push((at, asked));
                    continue;
                }
                Claim::Replay(made) => {
                    // What an earlier attempt at this very request made is no repetition by the caller.
                    let replayed = made != asked.checkout.uuid();
                    Ok(Reserved::Made { checkout: CheckoutId(made), replayed, rows: None })
                }
                Claim::Mismatch => Err(OpError::refuse_field(ReserveRefusal::KeyReused, "idempotencyKey")),
            };
            put(answers, at, answer);
        }
        let known = fresh.into_iter().filter_map(|(at, asked)| {
            let person =
                asked.person.clone().or_else(|| unseen.get(&asked.buyer).copied().map(PersonKey::from));
            if person.is_none() {
                put(answers, at, Err(OpError::inconsistent("a buyer without a confirmed address")));
            }
            Some(Fresh { at, asked, person: person? })
        });
        Ok(known.collect())
    }

    /// Decides, and answers those who get nothing.
    async fn grant<'f>(
        &self,
        fresh: &'f [Fresh<'a>],
        known: &Known,
        now: DateTime<Utc>,
        answers: &mut [Option<Answer>],
    ) -> Result<Vec<Granted<'f>>, DbErr> {
        let persons: HashSet<&PersonKey> = fresh.iter().map(|fresh| &fresh.person).collect();
        let persons: Vec<PersonKey> = persons.into_iter().cloned().collect();
        let mut stock = known.stock();
        load::add_persons(self.tx.conn(), &mut stock, &known.items().collect::<Vec<_>>(), &persons, now)
            .await?;
        let mut deciding = Vec::with_capacity(fresh.len());
        for fresh in fresh {
            if known.unguarded.accepted.iter().all(|text| fresh.asked.request.accepted.contains(text)) {
                deciding.push(fresh);
            } else {
                let refusal =
                    OpError::refuse_field(ReserveRefusal::LegalTextsNotAccepted, "acceptedLegalTextIds");
                put(answers, fresh.at, Err(refusal));
            }
        }
        let pricings: Vec<_> = deciding
            .iter()
            .map(|fresh| {
                let ReserveRequest { lines, address, .. } = &fresh.asked.request;
                let book = &known.book;
                move |taken: &[u32]| book.price(lines, address.country, taken, now)
            })
            .collect();
        let requests: Vec<Request<'_>> = deciding
            .iter()
            .zip(&pricings)
            .map(|(fresh, pricing)| Request::Reserve {
                checkout: fresh.asked.checkout,
                person: fresh.person.clone(),
                lines: lines::claims(&fresh.asked.request.lines),
                arrived_at: fresh.asked.request.arrived_at,
                pricing,
                expected_total: fresh.asked.request.expected_total,
            })
            .collect();
        let mut granted = Vec::new();
        for (fresh, decision) in deciding.iter().zip(decide(&stock, &requests, now)) {
            let answer = match decision {
                Decision::Reserved(quote, expires_at) => {
                    granted.push(Granted {
                        at: fresh.at,
                        asked: fresh.asked,
                        person: &fresh.person,
                        quote,
                        expires_at,
                    });
                    continue;
                }
                Decision::Refused(_, Some(quote)) => Ok(Reserved::Repriced(quote)),
                Decision::Refused(why, None) => {
                    let why = why
                        .into_iter()
                        .map(|refused| Refused { code: refused.code.into(), path: refused.path });
                    Err(OpError::Refused(why.collect()))
                }
                Decision::Confirmed | Decision::Done => {
                    Err(OpError::inconsistent("a reservation decided otherwise"))
                }
            };
            put(answers, fresh.at, answer);
        }
        Ok(granted)
    }

    /// Writes what was granted, by one statement on PostgreSQL. Answers what was written, in the same order.
    async fn write(&self, granted: &[Granted<'_>], known: &Known) -> Result<Vec<Made>, DbErr> {
        let tx = self.tx;
        if granted.is_empty() {
            return Ok(Vec::new());
        }
        let made = bulk::together(tx, async || self.insert(granted, known).await).await?;
        if !known.is_frozen() {
            drop_row::freeze(tx, &known.drops(), tx.now()).await?;
        }
        Ok(made)
    }

    async fn insert(&self, granted: &[Granted<'_>], known: &Known) -> Result<Vec<Made>, DbErr> {
        let tx = self.tx;
        let checkouts = granted.iter().map(|Granted { asked, quote, expires_at, .. }| NewCheckout {
            id: asked.checkout,
            buyer: asked.buyer,
            address: &asked.request.address,
            quote,
            expires_at: *expires_at,
            accepted: &known.unguarded.accepted,
        });
        let checkouts = checkout_row::insert_all(tx, &checkouts.collect::<Vec<_>>()).await?;
        let lines = granted.iter().map(|Granted { asked, person, quote, expires_at, .. }| NewLines {
            checkout: asked.checkout,
            person,
            quote,
            expires_at: *expires_at,
        });
        let lines = reservation_row::insert_held(tx, &lines.collect::<Vec<_>>()).await?;
        let due: Vec<_> =
            granted.iter().map(|granted| (granted.asked.checkout, granted.quote.due_now())).collect();
        let payments = payments::open_all(tx, &due).await?;
        let traced = |granted: &Granted<'_>| granted.asked.trace.clone();
        let timers = granted
            .iter()
            .map(|granted| (granted.asked.checkout.uuid(), granted.expires_at, traced(granted)));
        timers::set_all::<HoldLapse>(tx, timers.collect()).await?;
        let reserved = granted
            .iter()
            .map(|granted| (1, Fact::Reserved { checkout: granted.asked.checkout }, traced(granted)));
        let changed = known.stock_changes().map(|(version, fact)| (version, fact, None));
        outbox::publish_traced(tx, reserved.chain(changed).collect()).await?;
        let changes =
            granted.iter().map(|granted| (granted.asked.actor, traced(granted), granted.asked.checkout));
        audit::record_each(tx, "checkout.reserve", changes, &["lines", "address"]).await?;
        let rows = checkouts.into_iter().zip(lines).zip(payments);
        Ok(rows.map(|((checkout, lines), payment)| Made { checkout, lines, payment }).collect())
    }

    /// Refusals are not kept: their keys are free again.
    async fn free_refused(&self, fresh: &[Fresh<'_>], granted: &[Granted<'_>]) -> Result<(), DbErr> {
        if granted.is_empty() {
            // Nothing is committed.
            return Ok(());
        }
        let granted: HashSet<usize> = granted.iter().map(|granted| granted.at).collect();
        let refused =
            fresh.iter().filter(|fresh| !granted.contains(&fresh.at)).map(|fresh| fresh.asked.key());
        idempotency::free_all(self.tx, &refused.collect::<Vec<_>>()).await
    }
}

fn put(answers: &mut [Option<Answer>], at: usize, answer: Answer) {
    if let Some(place) = answers.get_mut(at) {
        *place = Some(answer);
    }
}
