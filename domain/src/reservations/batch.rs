//! Decides a batch of requests together. One transaction takes the gates, claims the idempotency keys of all
//! requests that have arrived by then, loads what they need, decides the requests in order, and writes the
//! results. The number of statements does not depend on the number of requests.
//!
//! Here the gates are taken before the keys; everywhere else the keys come first. This cannot deadlock: a
//! transaction that waits for a gate never holds a key of this operation, and keys are claimed in ascending
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
    decide::{Decision, Request, StoredPersonKey, decide},
    known::DecisionCache,
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
        in_tx, is_transient, outbox, timers,
        trace::TraceParent,
    },
};

/// How long a decision is retried when the database is unreachable or a commit was not acknowledged.
const PATIENCE: Duration = Duration::from_secs(5);
/// The pause before the first retry. It doubles with each further retry.
const PAUSE: Duration = Duration::from_millis(50);

/// The answer to one caller.
pub(super) type ReserveResult = Result<Reserved, OpError<ReserveRefusal>>;

/// A request to decide, with its caller.
pub(super) struct ReserveJob {
    pub(super) request: ReserveRequest,
    pub(super) buyer: Buyer,
    person: Option<StoredPersonKey>,
    pub(super) actor: Actor,
    /// The id of the checkout to create. It distinguishes what an earlier attempt at this request made from
    /// what another request made.
    pub(super) checkout: CheckoutId,
    input_hash: Vec<u8>,
    trace: Option<TraceParent>,
}

impl ReserveJob {
    pub(super) fn new(db: &Db, scope: &BuyerScope, request: ReserveRequest) -> Result<Self, DbErr> {
        let input_hash = idempotency::hash_of(&request)?;
        let (buyer, actor, trace) = (scope.buyer(), scope.actor(), TraceParent::current());
        let person = scope.person().map(StoredPersonKey::from);
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

    /// Whether both requests come from the same caller with the same key, so that one must wait for the
    /// other.
    pub(super) fn repeats(&self, other: &Self) -> bool {
        self.actor == other.actor && self.request.key == other.request.key
    }
}

/// Decides requests for the same drops in order, and returns the answer to each. `gather` is called once the
/// gates are held, so that requests that arrive while other processes hold the gates join the batch.
///
/// If the database fails temporarily, the batch is retried. The keys reveal whether a commit succeeded whose
/// acknowledgement was lost. If the failure is permanent, one of the requests causes it: the batch is split
/// in halves until that request is alone and gets the failure as its answer.
///
/// `known` is the state that the last decision about the same drops left, if any. Afterwards it is the state
/// that this decision leaves.
pub(super) async fn decide_all<G>(
    db: &Db,
    drops: &BTreeSet<DropId>,
    gather: G,
    known: &mut Option<DecisionCache>,
) -> Vec<ReserveResult>
where
    G: FnOnce() -> Vec<ReserveJob> + Send,
{
    let asked = LazyLock::new(gather);
    let mut answers: Vec<ReserveResult> = Vec::new();
    let mut parts = vec![Part::Whole];
    let mut trouble: Option<(Instant, Duration)> = None;
    while let Some(part) = parts.pop() {
        match run(db, drops, || part.of(&asked), known).await {
            Ok(of_part) => answers.extend(of_part),
            Err(error) => {
                let passing = matches!(&error, StoreError::Db(error) if is_transient(error));
                let (since, pause) = trouble.unwrap_or_else(|| (Instant::now(), PAUSE));
                if passing && since.elapsed() < PATIENCE {
                    tracing::warn!(%error, "reservations could not be decided; retrying");
                    tokio::time::sleep(pause).await;
                    trouble = Some((since, pause.saturating_mul(2)));
                    parts.push(part);
                } else if let (false, Some((first, second))) = (passing, part.halves(asked.len())) {
                    tracing::warn!(%error, "a batch of reservations failed; deciding its halves");
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

/// A part of the batch.
#[derive(Clone)]
enum Part {
    /// The whole batch, whose size is not known yet.
    Whole,
    /// A range of requests.
    Some(Range<usize>),
}

impl Part {
    fn of<'a>(&self, asked: &'a [ReserveJob]) -> &'a [ReserveJob] {
        match self {
            Self::Whole => asked,
            Self::Some(places) => asked.get(places.clone()).unwrap_or_default(),
        }
    }

    /// Returns both halves, or `None` if the part has only one request.
    fn halves(&self, of_all: usize) -> Option<(Self, Self)> {
        let Range { start, end } = match self {
            Self::Whole => 0..of_all,
            Self::Some(places) => places.clone(),
        };
        let middle = start.midpoint(end);
        (start < middle).then_some((Self::Some(start..middle), Self::Some(middle..end)))
    }
}

fn count(answer: &ReserveResult) {
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

/// Why a transaction is rolled back.
enum Abandon {
    /// No request was granted, so there is nothing to write.
    Answered(Vec<ReserveResult>),
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
    known: &mut Option<DecisionCache>,
) -> Result<Vec<ReserveResult>, StoreError>
where
    A: Fn() -> &'a [ReserveJob] + Send + Sync,
{
    // If the transaction fails, the cached state is lost.
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
            *known = left.map(DecisionCache::rolled_back);
            Ok(answers)
        }
        Err(Abandon::Failed(error)) => Err(error),
    }
}

/// The batch within its transaction.
struct Batch<'a> {
    tx: &'a Tx,
    asked: &'a [ReserveJob],
}

/// A request whose key is new, with the person that it is for.
struct Fresh<'a> {
    at: usize,
    asked: &'a ReserveJob,
    person: StoredPersonKey,
}

/// A request that is granted.
struct Granted<'a> {
    at: usize,
    asked: &'a ReserveJob,
    person: &'a StoredPersonKey,
    quote: Quote,
    expires_at: DateTime<Utc>,
}

impl<'a> Batch<'a> {
    /// Decides the batch. Returns the answers, and the state of the drops afterwards if it was loaded.
    async fn decide(
        &self,
        gates: Gates,
        known: Option<DecisionCache>,
    ) -> Result<(Vec<ReserveResult>, Option<DecisionCache>), Abandon> {
        let mut answers: Vec<Option<ReserveResult>> = self.asked.iter().map(|_| None).collect();
        let fresh = self.claim(&mut answers).await?;
        faults::point(Point::ReserveKeyed).await?;
        let mut left = None;
        if !fresh.is_empty() {
            let now = self.tx.decision_now().await?;
            let destinations = fresh.iter().map(|fresh| fresh.asked.request.address.country).collect();
            let mut known = DecisionCache::of(self.tx.conn(), gates, &destinations, now, known).await?;
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
        let missing = || Err(OpError::inconsistent("a request was not decided"));
        Ok((answers.into_iter().map(|answer| answer.unwrap_or_else(missing)).collect(), left))
    }

    /// Claims the keys, and answers the requests whose keys were used before.
    async fn claim(&self, answers: &mut [Option<ReserveResult>]) -> Result<Vec<Fresh<'a>>, DbErr> {
        let keys: Vec<KeyAsked<'_>> = self.asked.iter().map(ReserveJob::key).collect();
        let claims = idempotency::claim_all(self.tx, &keys).await?;
        // Authentication has usually determined the person already.
        let unseen: Vec<Buyer> =
            self.asked.iter().filter(|asked| asked.person.is_none()).map(|asked| asked.buyer).collect();
        let unseen = accounts::person_keys(self.tx.conn(), &unseen).await?;
        let mut fresh: Vec<(usize, &'a ReserveJob)> = Vec::with_capacity(self.asked.len());
        for ((at, asked), claim) in self.asked.iter().enumerate().zip(claims) {
            let answer = match claim {
                Claim::Fresh => {
                    fresh.push((at, asked));
                    continue;
                }
                Claim::Replay(made) => {
                    // A checkout made by an earlier attempt at this very request is not a repetition by the
                    // caller.
                    let replayed = made != asked.checkout.uuid();
                    Ok(Reserved::Made { checkout: CheckoutId(made), replayed, rows: None })
                }
                Claim::Mismatch => Err(OpError::refuse_field(ReserveRefusal::KeyReused, "idempotencyKey")),
            };
            put(answers, at, answer);
        }
        let known = fresh.into_iter().filter_map(|(at, asked)| {
            let person =
                asked.person.clone().or_else(|| unseen.get(&asked.buyer).copied().map(StoredPersonKey::from));
            if person.is_none() {
                put(answers, at, Err(OpError::inconsistent("a buyer has no confirmed e-mail address")));
            }
            Some(Fresh { at, asked, person: person? })
        });
        Ok(known.collect())
    }

    /// Decides the requests, and answers those that are not granted.
    async fn grant<'f>(
        &self,
        fresh: &'f [Fresh<'a>],
        known: &DecisionCache,
        now: DateTime<Utc>,
        answers: &mut [Option<ReserveResult>],
    ) -> Result<Vec<Granted<'f>>, DbErr> {
        let persons: HashSet<&StoredPersonKey> = fresh.iter().map(|fresh| &fresh.person).collect();
        let persons: Vec<StoredPersonKey> = persons.into_iter().cloned().collect();
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
                    Err(OpError::inconsistent("a reserve request got another kind of decision"))
                }
            };
            put(answers, fresh.at, answer);
        }
        Ok(granted)
    }

    /// Writes what was granted, in one statement on PostgreSQL. Returns the written rows in the same order.
    async fn write(&self, granted: &[Granted<'_>], known: &DecisionCache) -> Result<Vec<Made>, DbErr> {
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

    async fn insert(&self, granted: &[Granted<'_>], known: &DecisionCache) -> Result<Vec<Made>, DbErr> {
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

    /// Frees the keys of refused requests, because refusals are not stored.
    async fn free_refused(&self, fresh: &[Fresh<'_>], granted: &[Granted<'_>]) -> Result<(), DbErr> {
        if granted.is_empty() {
            // The transaction is rolled back, which frees all keys.
            return Ok(());
        }
        let granted: HashSet<usize> = granted.iter().map(|granted| granted.at).collect();
        let refused =
            fresh.iter().filter(|fresh| !granted.contains(&fresh.at)).map(|fresh| fresh.asked.key());
        idempotency::free_all(self.tx, &refused.collect::<Vec<_>>()).await
    }
}

fn put(answers: &mut [Option<ReserveResult>], at: usize, answer: ReserveResult) {
    if let Some(place) = answers.get_mut(at) {
        *place = Some(answer);
    }
}
