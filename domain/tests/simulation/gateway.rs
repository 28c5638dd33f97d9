//! A payment gateway in memory that is as unreliable as a real one. Its calls fail before or after their
//! effect. Its outcomes come late. Its events wait on the wire until the world delivers them, in any order,
//! twice, or never.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use async_trait::async_trait;
use chrono::TimeDelta;
use domain::{
    payments::gateway::{
        GatewayError, GatewayEvent, GatewayIdentity, Intent, IntentState, NewIntent, PaymentGateway,
        WebhookError,
    },
    platform::{Money, clock::ManualClock},
};

/// The methods of payment, named after their outcomes.
pub(crate) const METHODS: [&str; 4] = ["pm_pays", "pm_declined", "pm_asks", "pm_takes_its_time"];

/// How a call fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mishap {
    /// The call does not reach the gateway.
    Unheard,
    /// The gateway executes the call, but the answer is lost.
    Unanswered,
    /// The gateway executes the call and takes this many seconds to answer.
    Slow(u32),
    /// The buyer pays while the answer is on its way, so the answer is outdated when it arrives.
    Overtaken,
}

/// The stored answer for an idempotency key.
#[derive(Debug, Clone)]
enum Answer {
    Intent(Intent),
    Refund(String),
}

struct State {
    intents: Vec<Intent>,
    refunded: HashMap<String, i64>,
    keys: HashMap<String, Answer>,
    wire: Vec<GatewayEvent>,
    events: usize,
    mishap: Option<Mishap>,
    told: Vec<Intent>,
    clock: Arc<ManualClock>,
}

/// The simulated gateway.
pub(crate) struct Gateway {
    identity: GatewayIdentity,
    state: Mutex<State>,
}

impl Gateway {
    pub(crate) fn new(clock: Arc<ManualClock>) -> Self {
        let (intents, refunded, keys, wire, told) =
            (Vec::new(), HashMap::new(), HashMap::new(), Vec::new(), Vec::new());
        let state = Mutex::new(State { intents, refunded, keys, wire, events: 0, mishap: None, told, clock });
        Self { identity: GatewayIdentity::test_account("simulated"), state }
    }

    /// Sets how the next call fails.
    pub(crate) fn expect(&self, mishap: Option<Mishap>) {
        self.state.lock().unwrap().mishap = mishap;
    }

    /// Returns the intents in answers since the last call of this function.
    pub(crate) fn told(&self) -> Vec<Intent> {
        std::mem::take(&mut self.state.lock().unwrap().told)
    }

    /// Returns all intents in their current state.
    pub(crate) fn intents(&self) -> Vec<Intent> {
        self.state.lock().unwrap().intents.clone()
    }

    /// Returns the refunded amount of an intent.
    pub(crate) fn refunded(&self, intent: &str) -> i64 {
        self.state.lock().unwrap().refunded.get(intent).copied().unwrap_or(0)
    }

    /// Returns the number of events on the wire.
    pub(crate) fn waiting(&self) -> usize {
        self.state.lock().unwrap().wire.len()
    }

    /// Returns an event from the wire. The event stays there if `again` is set.
    pub(crate) fn event(&self, at: usize, again: bool) -> GatewayEvent {
        let wire = &mut self.state.lock().unwrap().wire;
        if again { wire[at].clone() } else { wire.remove(at) }
    }

    /// Puts an event that was not acknowledged back on the wire.
    pub(crate) fn put_back(&self, event: GatewayEvent) {
        self.state.lock().unwrap().wire.push(event);
    }

    /// Ends an intent: the buyer confirms or declines the action, or the processing ends.
    pub(crate) fn end(&self, id: &str, pays: bool) {
        let mut state = self.state.lock().unwrap();
        let intent = state.intents.iter_mut().find(|intent| intent.id == id).unwrap();
        assert!(matches!(intent.state, IntentState::RequiresAction | IntentState::Processing));
        set_state(intent, if pays { IntentState::Succeeded } else { IntentState::RequiresMethod });
        state.happened(id);
    }
}

fn set_state(intent: &mut Intent, next: IntentState) {
    intent.state = next;
    intent.captured.minor = if next == IntentState::Succeeded { intent.amount.minor } else { 0 };
    intent.decline_code = (next == IntentState::RequiresMethod).then(|| "declined".to_owned());
    intent.action_url = (next == IntentState::RequiresAction).then(|| "https://bank.example/".to_owned());
}

impl State {
    fn happened(&mut self, intent: &str) {
        self.events += 1;
        self.wire
            .push(GatewayEvent { id: format!("event_{}", self.events), intent: Some(intent.to_owned()) });
    }

    fn intent(&mut self, id: &str) -> Result<&mut Intent, GatewayError> {
        self.intents
            .iter_mut()
            .find(|intent| intent.id == id)
            .ok_or_else(|| GatewayError::Refused("no such intent".into()))
    }

    /// Lets the buyer pay now, if the intent waits for that.
    fn overtake(&mut self, id: &str) {
        let waits = |intent: &&mut Intent| {
            matches!(intent.state, IntentState::RequiresAction | IntentState::Processing)
        };
        if let Some(intent) = self.intents.iter_mut().filter(|intent| intent.id == id).find(waits) {
            set_state(intent, IntentState::Succeeded);
            self.happened(id);
        }
    }

    /// Executes one call, which may fail. It is executed once per key, and its answer is stored.
    fn call(
        &mut self,
        key: &str,
        work: impl FnOnce(&mut Self) -> Result<Answer, GatewayError>,
    ) -> Result<Answer, GatewayError> {
        let mishap = self.mishap.take();
        if mishap == Some(Mishap::Unheard) {
            return Err(GatewayError::Unavailable("not reached".into()));
        }
        let answer = match self.keys.get(key) {
            Some(known) => known.clone(),
            None => {
                let answer = work(self)?;
                // A processing intent cannot be cancelled now, but may be later, so this answer is not
                // stored.
                let open = matches!(
                    &answer,
                    Answer::Intent(intent)
                        if key.starts_with("cancel:") && intent.state == IntentState::Processing
                );
                if !open {
                    self.keys.insert(key.to_owned(), answer.clone());
                }
                answer
            }
        };
        if let Some(Mishap::Slow(secs)) = mishap {
            self.clock.advance(TimeDelta::seconds(secs.into()));
        }
        if let (Some(Mishap::Overtaken), Answer::Intent(intent)) = (mishap, &answer) {
            self.overtake(&intent.id);
        }
        if mishap == Some(Mishap::Unanswered) {
            return Err(GatewayError::Unavailable("answer lost".into()));
        }
        if let Answer::Intent(intent) = &answer {
            self.told.push(intent.clone());
        }
        Ok(answer)
    }
}

fn as_intent(answer: Answer) -> Intent {
    match answer {
        Answer::Intent(intent) => intent,
        Answer::Refund(_) => panic!("a key was used for two calls"),
    }
}

#[async_trait]
impl PaymentGateway for Gateway {
    fn identity(&self) -> &GatewayIdentity {
        &self.identity
    }

    fn signature_header(&self) -> &'static str {
        "Signature"
    }

    async fn create(&self, new: &NewIntent, key: &str) -> Result<Intent, GatewayError> {
        let mut state = self.state.lock().unwrap();
        let answer = state.call(key, |state| {
            assert!(
                state.intents.iter().all(|intent| intent.payment != new.payment),
                "a payment has a second intent"
            );
            let mut intent = Intent {
                id: format!("intent_{}", state.intents.len()),
                payment: new.payment,
                state: IntentState::RequiresMethod,
                amount: new.amount,
                captured: Money::zero(new.amount.currency),
                action_url: None,
                decline_code: None,
                fingerprint: None,
            };
            set_state(&mut intent, IntentState::RequiresMethod);
            intent.decline_code = None;
            state.intents.push(intent.clone());
            Ok(Answer::Intent(intent))
        });
        answer.map(as_intent)
    }

    async fn confirm(
        &self,
        intent: &str,
        method: &str,
        _return_url: Option<&str>,
        key: &str,
    ) -> Result<Intent, GatewayError> {
        let answer = self.state.lock().unwrap().call(key, |state| {
            let known = state.intent(intent)?;
            if !matches!(known.state, IntentState::RequiresMethod | IntentState::RequiresAction) {
                return Err(GatewayError::Refused("it is not waiting for a method".into()));
            }
            set_state(
                known,
                match method {
                    "pm_pays" => IntentState::Succeeded,
                    "pm_asks" => IntentState::RequiresAction,
                    "pm_takes_its_time" => IntentState::Processing,
                    _ => IntentState::RequiresMethod,
                },
            );
            let answer = known.clone();
            state.happened(intent);
            Ok(Answer::Intent(answer))
        });
        answer.map(as_intent)
    }

    async fn retrieve(&self, intent: &str) -> Result<Intent, GatewayError> {
        let mut state = self.state.lock().unwrap();
        let mishap = state.mishap.take();
        if matches!(mishap, Some(Mishap::Unheard | Mishap::Unanswered)) {
            return Err(GatewayError::Unavailable("no answer".into()));
        }
        let known = state.intent(intent)?.clone();
        match mishap {
            Some(Mishap::Slow(secs)) => state.clock.advance(TimeDelta::seconds(secs.into())),
            Some(Mishap::Overtaken) => state.overtake(intent),
            Some(Mishap::Unheard | Mishap::Unanswered) | None => {}
        }
        state.told.push(known.clone());
        Ok(known)
    }

    async fn cancel(&self, intent: &str, key: &str) -> Result<Intent, GatewayError> {
        let answer = self.state.lock().unwrap().call(key, |state| {
            let known = state.intent(intent)?;
            if matches!(known.state, IntentState::RequiresMethod | IntentState::RequiresAction) {
                set_state(known, IntentState::Cancelled);
                let answer = known.clone();
                state.happened(intent);
                return Ok(Answer::Intent(answer));
            }
            Ok(Answer::Intent(known.clone()))
        });
        answer.map(as_intent)
    }

    async fn refund(&self, intent: &str, amount: Money, key: &str) -> Result<String, GatewayError> {
        let answer = self.state.lock().unwrap().call(key, |state| {
            let captured = state.intent(intent)?.captured.minor;
            let refunded = state.refunded.entry(intent.to_owned()).or_default();
            if amount.minor <= 0 || *refunded + amount.minor > captured {
                return Err(GatewayError::Refused("more than was captured".into()));
            }
            *refunded += amount.minor;
            Ok(Answer::Refund(format!("refund_{}", state.keys.len())))
        })?;
        match answer {
            Answer::Refund(id) => Ok(id),
            Answer::Intent(_) => panic!("a key was used for two calls"),
        }
    }

    fn verify_webhook(&self, _signature: Option<&str>, _body: &[u8]) -> Result<GatewayEvent, WebhookError> {
        Err(WebhookError::BadSignature)
    }
}
