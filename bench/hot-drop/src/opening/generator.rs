//! An open loop: requests are sent when they are due, not when the last ones are answered, as a crowd does.
//! Each request uses a free connection. If there is none, another is opened, up to a limit. Beyond that,
//! unsent requests are counted.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bench::{Outcome, Trouble, client, drops::PAGE_QUERY, reserve::Form};
use serde_json::json;
use tokio::{sync::mpsc, task::JoinSet};

use super::{
    buyers::Buyers,
    phase::{Phase, Wish},
};
use crate::{
    line::Line,
    said::{Said, shown},
};

/// The timer of the runtime has this resolution.
const TICK: Duration = Duration::from_millis(1);
/// One request in this number asks for the page; the others ask for a unit.
pub(super) const PAGE_EVERY: u64 = 5;
/// All requests are answered, or have failed, within this time.
const DRAIN_WITHIN: Duration = Duration::from_secs(40);

/// The parameters of a load.
pub(super) struct Load<'a> {
    /// The item to reserve.
    pub(super) item: &'a Arc<str>,
    pub(super) buyers: &'a Arc<Buyers>,
    /// Requests per second.
    pub(super) rate: u32,
    pub(super) time: Duration,
    /// Whether some requests ask for the page.
    pub(super) pages: bool,
}

/// The connections, each with a task that waits for requests to send.
pub(super) struct Generator {
    shared: Arc<Shared>,
    connections: JoinSet<()>,
    connections_max: usize,
}

struct Shared {
    address: SocketAddr,
    form: Form,
    page: Vec<u8>,
    /// The last used connection is used next. At a low rate few connections are in use, and the server closes
    /// the others.
    free: Mutex<Vec<mpsc::Sender<Ticket>>>,
    number: AtomicU64,
}

/// A request.
struct Ticket {
    phase: Arc<Phase>,
    /// The time at which the request is due, relative to the beginning of the phase.
    due: Duration,
    item: Arc<str>,
    buyers: Arc<Buyers>,
    /// The buyer of a unit, or `None` for a request for the page.
    buyer: Option<usize>,
}

impl Ticket {
    fn wish(&self) -> Wish {
        if self.buyer.is_some() { Wish::Unit } else { Wish::Page }
    }
}

impl Generator {
    pub(super) fn new(address: SocketAddr, form: Form, connections_max: u32) -> Self {
        let page = client::graphql(address, None, PAGE_QUERY, &json!({}));
        let shared = Shared { address, form, page, free: Mutex::default(), number: AtomicU64::new(0) };
        let connections_max = usize::try_from(connections_max).unwrap_or(usize::MAX);
        Self { shared: Arc::new(shared), connections: JoinSet::new(), connections_max }
    }

    /// Sends requests, and returns when the time is over. Some responses may still be pending.
    pub(super) async fn send(&mut self, load: Load<'_>) -> Arc<Phase> {
        let phase = Arc::new(Phase::begin(load.time));
        let mut sent = 0_u64;
        loop {
            let elapsed = phase.began.elapsed().min(load.time);
            let due =
                elapsed.as_nanos().saturating_mul(load.rate.into()).checked_div(1_000_000_000).unwrap_or(0);
            while u128::from(sent) < due {
                let at = u64::from(load.rate);
                let at =
                    Duration::from_nanos(sent.saturating_mul(1_000_000_000).checked_div(at).unwrap_or(0));
                let wants_page = load.pages && sent.checked_rem(PAGE_EVERY) == Some(0);
                let buyer = if wants_page { None } else { load.buyers.next() };
                if buyer.is_none() && !wants_page {
                    phase.ran_out_of_buyers();
                    return phase;
                }
                let (item, buyers) = (Arc::clone(load.item), Arc::clone(load.buyers));
                self.hand_out(Ticket { phase: Arc::clone(&phase), due: at, item, buyers, buyer });
                sent = sent.saturating_add(1);
            }
            if elapsed >= load.time {
                return phase;
            }
            tokio::time::sleep(TICK).await;
        }
    }

    fn hand_out(&mut self, ticket: Ticket) {
        let free = self.shared.free().pop();
        let unsent = match free {
            // A free connection has an empty channel, so this does not fail.
            Some(connection) => connection.try_send(ticket).err().map(mpsc::error::TrySendError::into_inner),
            None if self.connections.len() < self.connections_max => {
                let (give, take) = mpsc::channel(1);
                self.connections.spawn(Arc::clone(&self.shared).serve(give.clone(), take));
                give.try_send(ticket).err().map(mpsc::error::TrySendError::into_inner)
            }
            None => Some(ticket),
        };
        if let Some(ticket) = unsent {
            ticket.phase.could_not_send(ticket.wish());
            if let Some(buyer) = ticket.buyer {
                ticket.buyers.got_nothing(buyer);
            }
        }
    }

    /// Waits until all requests have been answered.
    pub(super) async fn drain(&self) -> Outcome<()> {
        let draining = async {
            while self.shared.free().len() < self.connections.len() {
                tokio::time::sleep(TICK).await;
            }
        };
        tokio::time::timeout(DRAIN_WITHIN, draining)
            .await
            .map_err(|_| Trouble::new("not all requests were answered"))
    }

    /// Returns the number of opened connections.
    pub(super) fn connections(&self) -> usize {
        self.connections.len()
    }
}

impl Shared {
    fn free(&self) -> std::sync::MutexGuard<'_, Vec<mpsc::Sender<Ticket>>> {
        self.free.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Serves one connection: sends a request, and returns the connection to the free ones.
    async fn serve(self: Arc<Self>, itself: mpsc::Sender<Ticket>, mut tickets: mpsc::Receiver<Ticket>) {
        let (mut line, mut request) = (Line::to(self.address), Vec::new());
        while let Some(ticket) = tickets.recv().await {
            let said = self.ask(&mut line, &mut request, &ticket).await;
            ticket.phase.answered(ticket.wish(), ticket.due, said);
            if let (Some(buyer), false) = (ticket.buyer, said == Some(Said::Accepted)) {
                ticket.buyers.got_nothing(buyer);
            }
            self.free().push(itself.clone());
        }
    }

    async fn ask(&self, line: &mut Line, request: &mut Vec<u8>, ticket: &Ticket) -> Option<Said> {
        let answer = match ticket.buyer {
            None => line.ask(&self.page, |answer| read(Said::of_page(answer), answer)).await,
            Some(buyer) => {
                let number = self.number.fetch_add(1, Ordering::Relaxed);
                self.form.fill_in(
                    request,
                    ticket.buyers.token(buyer),
                    &ticket.item,
                    &format!("opening-{number:08}"),
                );
                line.ask(request, |answer| read(Said::of_reservation(answer), answer)).await
            }
        };
        match answer {
            Ok((said, oddity)) => {
                if let Some(text) = oddity {
                    ticket.phase.odd(text);
                }
                Some(said)
            }
            Err(trouble) => {
                ticket.phase.odd(trouble.to_string());
                None
            }
        }
    }
}

/// Also returns the text of an unexpected response.
fn read(said: Said, answer: &client::Answer<'_>) -> (Said, Option<String>) {
    let oddity = matches!(said, Said::Odd | Said::Refused).then(|| shown(answer));
    (said, oddity)
}
