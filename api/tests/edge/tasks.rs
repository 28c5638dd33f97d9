//! The lists of background work for administrators, and their operations on dead letters.

use chrono::TimeDelta;
use domain::{
    accounts::{CreateAccount, Email, create_admin, open_session_for},
    payments::tasks::{AdvancePayment, CancelPayment},
    platform::{
        access::Actor,
        ids::{CheckoutId, PaymentId, TaskId},
        in_tx,
        mail::SendMail,
        tasks::{self, AttemptFailure, AttemptOutcome, Claimed, NewTask, Queue, Task, TaskFilter},
        text::TextLine,
    },
    reservations::{letters::HeldLetter, tasks::LapseCheckout},
};
use sea_orm::DbErr;
use serde_json::{Value, json};
use testkit::{Kit, audit_actions, on_both};
use uuid::Uuid;

use crate::edge::shop::{Answer, api, person, posted, send, system};

const ACTOR: Actor = Actor::System("test");

/// The kinds of tasks that these tests claim.
const KINDS: [&str; 3] = [SendMail::KIND, AdvancePayment::KIND, CancelPayment::KIND];

async fn admin(kit: &Kit) -> String {
    let request = CreateAccount {
        email: Email::new("root@example.org").unwrap(),
        name: TextLine::new("Root").unwrap(),
        password: None,
    };
    let account = create_admin(&kit.db, &system(), request).await.unwrap();
    open_session_for(&kit.db, &system(), account.id).await.unwrap().unwrap().secret.expose().to_owned()
}

async fn asked(kit: &Kit, token: Option<&str>, query: &str, variables: Value) -> Answer {
    let mut request = posted(query, variables);
    if let Some(token) = token {
        request = request.insert_header(("authorization", format!("Bearer {token}")));
    }
    send(api(kit), request).await
}

async fn read(kit: &Kit, token: &str, query: &str, variables: Value) -> Value {
    let answer = asked(kit, Some(token), query, variables).await.json();
    assert_eq!(answer["errors"], Value::Null, "{answer}");
    answer["data"].clone()
}

fn requeue(fields: &str) -> String {
    format!(
        "mutation($input: TaskRequeueInput!) {{
            taskRequeue(input: $input) {{ {fields} errors {{ code path }} }}
        }}"
    )
}

const REQUEUE_ALL: &str = "mutation($input: TaskRequeueAllInput!) {
    taskRequeueAll(input: $input) { count more errors { code path } }
}";
const DISCARD: &str =
    "mutation($input: TaskDiscardInput!) { taskDiscard(input: $input) { id errors { code path message } } }";

fn refused(code: &str) -> Value {
    json!([{ "code": code, "path": ["id"] }])
}

fn checkout() -> CheckoutId {
    CheckoutId(Uuid::from_u128(7))
}

fn payment() -> PaymentId {
    PaymentId(Uuid::from_u128(8))
}

async fn queue(kit: &Kit, tasks: Vec<NewTask>) {
    in_tx(&kit.db, ACTOR, async |tx| tasks::enqueue_all(tx, tasks).await).await.unwrap();
}

async fn claim(kit: &Kit, queue: Queue) -> Vec<Claimed> {
    in_tx(&kit.db, ACTOR, async |tx| tasks::claim(tx, queue, &KINDS, 1_000).await).await.unwrap()
}

/// Turns all waiting letters into dead letters.
async fn bury_letters(kit: &Kit) -> Vec<TaskId> {
    let claimed = claim(kit, Queue::Mail).await;
    in_tx(&kit.db, ACTOR, async |tx| {
        for task in &claimed {
            assert!(
                tasks::bury(tx, task, &AttemptFailure::new(AttemptOutcome::Discard, "the postman is ill"))
                    .await?
            );
        }
        Ok::<_, DbErr>(())
    })
    .await
    .unwrap();
    claimed.iter().map(|task| task.id).collect()
}

/// Creates a dead letter, a payment in its second attempt, and a lapse that waits.
async fn some_of_each(kit: &Kit) -> TaskId {
    queue(kit, vec![SendMail::new(&HeldLetter { checkout: checkout() }).unwrap().into()]).await;
    let dead = bury_letters(kit).await.remove(0);
    kit.clock.advance(TimeDelta::seconds(1));
    queue(kit, vec![NewTask::from(AdvancePayment { payment: payment() }).ranked(3, kit.db.now())]).await;
    let first = claim(kit, Queue::Payments).await.remove(0);
    let failure = AttemptFailure::new(AttemptOutcome::Retry, "the gateway is away");
    in_tx(&kit.db, ACTOR, async |tx| tasks::retry(tx, &first, tx.now(), &failure).await).await.unwrap();
    claim(kit, Queue::Payments).await;
    kit.clock.advance(TimeDelta::seconds(1));
    let later = kit.db.now() + TimeDelta::hours(1);
    queue(kit, vec![NewTask::from(LapseCheckout { checkout: checkout() }).at(later)]).await;
    dead
}

on_both! {
    async fn tasks_are_filtered_and_sorted(kit: Kit) {
        some_of_each(&kit).await;
        let root = admin(&kit).await;
        let query = "query($filter: TaskFilter, $sort: TaskSort!, $first: Int) {
            tasks(filter: $filter, sort: $sort, first: $first) {
                totalCount nodes { kind } pageInfo { hasNextPage endCursor }
            }
        }";
        let (mail, pay, lapse) = ("send_mail", "advance_payment", "lapse_checkout");
        for (filter, sort, kinds) in [
            (json!(null), "NEWEST", vec![lapse, pay, mail]),
            (json!({}), "OLDEST", vec![mail, pay, lapse]),
            (json!(null), "DUE_SOONEST", vec![mail, pay, lapse]),
            (json!({ "state": "DEAD" }), "NEWEST", vec![mail]),
            (json!({ "state": "RUNNING" }), "NEWEST", vec![pay]),
            (json!({ "state": "READY" }), "DUE_SOONEST", vec![lapse]),
            (json!({ "queue": "RESERVATIONS" }), "NEWEST", vec![lapse]),
            (json!({ "kind": "send_mail" }), "NEWEST", vec![mail]),
            (json!({ "subject": checkout().to_string() }), "NEWEST", vec![lapse, mail]),
            (json!({ "subject": checkout().to_string(), "state": "DEAD" }), "NEWEST", vec![mail]),
            (json!({ "queue": "MAIL", "state": "READY" }), "NEWEST", vec![]),
        ] {
            let seen = read(&kit, &root, query, json!({ "filter": filter, "sort": sort })).await;
            let nodes: Vec<_> = kinds.iter().map(|kind| json!({ "kind": kind })).collect();
            assert_eq!(seen["tasks"]["nodes"], json!(nodes), "{filter} {sort}");
            assert_eq!(seen["tasks"]["totalCount"], json!(kinds.len()), "{filter} {sort}");
        }
        let page = read(&kit, &root, query, json!({ "sort": "NEWEST", "first": 2 })).await;
        let cursor = page["tasks"]["pageInfo"]["endCursor"].as_str().unwrap();
        let next =
            format!("{{ tasks(after: \"{cursor}\") {{ nodes {{ kind }} pageInfo {{ hasNextPage }} }} }}");
        let rest = json!({ "nodes": [{ "kind": mail }], "pageInfo": { "hasNextPage": false } });
        assert_eq!(read(&kit, &root, &next, json!({})).await["tasks"], rest);
    }

    async fn a_task_is_read_with_its_history(kit: Kit) {
        let dead = some_of_each(&kit).await;
        let root = admin(&kit).await;
        let fields = "id kind queue state subject payload
            attempts attemptsMax runAt leaseUntil urgency lastError createdAt
            failures { attempt outcome error failedAt }";
        let query = format!(
            "query($id: ID!) {{ task(id: $id) {{ {fields} }}
                node(id: $id) {{ id ... on Task {{ state failures {{ attempt }} }} }}
                deadLetters {{ totalCount nodes {{ id failures {{ error }} }} }} }}"
        );
        let seen = read(&kit, &root, &query, json!({ "id": dead.to_string() })).await;
        let at = "2026-03-02T10:00:00+00:00";
        let error = "the postman is ill";
        let expected = json!({
            "id": dead.to_string(), "kind": "send_mail", "queue": "MAIL", "state": "DEAD",
            "subject": checkout().to_string(),
            "payload": { "task": "send_mail", "letter": { "letter": "held", "checkout": checkout().0 } },
            "attempts": 1, "attemptsMax": 12, "runAt": at, "leaseUntil": null, "urgency": 0,
            "lastError": error, "createdAt": at,
            "failures": [{ "attempt": 1, "outcome": "DISCARD", "error": error, "failedAt": at }],
        });
        assert_eq!(seen["task"], expected);
        assert_eq!(
            seen["node"],
            json!({ "id": dead.to_string(), "state": "DEAD", "failures": [{ "attempt": 1 }] })
        );
        let letters = json!({
            "totalCount": 1, "nodes": [{ "id": dead.to_string(), "failures": [{ "error": error }] }],
        });
        assert_eq!(seen["deadLetters"], letters);
        let running = "{ tasks(filter: { state: RUNNING }) {
            nodes { attempts urgency leaseUntil failures { attempt outcome } }
        } }";
        let node = json!({
            "attempts": 2, "urgency": 3, "leaseUntil": "2026-03-02T10:00:11+00:00",
            "failures": [{ "attempt": 1, "outcome": "RETRY" }],
        });
        assert_eq!(read(&kit, &root, running, json!({})).await["tasks"]["nodes"], json!([node]));
        for (id, code) in
            [("nonsense", "BAD_USER_INPUT"), ("drop_00000000000000000000000000", "BAD_USER_INPUT")]
        {
            assert_eq!(
                asked(&kit, Some(&root), "query($id: ID!) { task(id: $id) { id } }", json!({ "id": id }))
                    .await
                    .code(),
                code
            );
        }
        let gone =
            read(&kit, &root, "{ task(id: \"task_00000000000000000000000000\") { id } }", json!({})).await;
        assert_eq!(gone, json!({ "task": null }));
    }

    async fn the_histories_of_a_page_take_one_statement(kit: Kit) {
        let root = admin(&kit).await;
        let query = "{ deadLetters { nodes { failures { error } } } }";
        let mut costs = Vec::new();
        for count in [1, 20] {
            let letter = |number| {
                SendMail::new(&HeldLetter { checkout: CheckoutId(Uuid::from_u128(number)) }).unwrap().into()
            };
            queue(&kit, (0..count).map(letter).collect()).await;
            bury_letters(&kit).await;
            let before = kit.db.statements();
            read(&kit, &root, query, json!({})).await;
            costs.push(kit.db.statements() - before);
        }
        assert_eq!(costs[0], costs[1]);
    }

    async fn background_work_is_visible_to_administrators_only(kit: Kit) {
        let dead = some_of_each(&kit).await;
        let buyer = person(&kit, "ben").await;
        let id = json!({ "id": dead.to_string() });
        let (one, all, gone) = (
            json!({ "input": id }),
            json!({ "input": { "kind": "send_mail" } }),
            json!({
                "input": { "id": dead.to_string(), "reason": "no longer needed" },
            }),
        );
        let before = kit.state().await;
        for (query, variables) in [
            ("{ tasks { totalCount } }", json!({})),
            ("{ deadLetters { totalCount } }", json!({})),
            ("query($id: ID!) { task(id: $id) { id } }", id),
            (requeue("id").as_str(), one),
            (REQUEUE_ALL, all),
            (DISCARD, gone),
        ] {
            assert_eq!(
                asked(&kit, Some(&buyer), query, variables.clone()).await.code(),
                "FORBIDDEN",
                "{query}"
            );
            assert_eq!(asked(&kit, None, query, variables).await.code(), "UNAUTHENTICATED", "{query}");
        }
        let query = "query($id: ID!) { node(id: $id) { id } }";
        assert_eq!(
            read(&kit, &buyer, query, json!({ "id": dead.to_string() })).await,
            json!({ "node": null })
        );
        assert_eq!(kit.state().await, before);
    }

    async fn a_dead_letter_is_requeued_once(kit: Kit) {
        let dead = some_of_each(&kit).await;
        let root = admin(&kit).await;
        let input = json!({ "input": { "id": dead.to_string() } });
        let payload =
            read(&kit, &root, &requeue("id task { state attempts attemptsMax }"), input.clone()).await;
        let task = json!({ "state": "READY", "attempts": 1, "attemptsMax": 13 });
        assert_eq!(payload["taskRequeue"], json!({ "id": dead.to_string(), "task": task, "errors": [] }));
        let before = kit.state().await;
        let again = read(&kit, &root, &requeue("id"), input).await;
        assert_eq!(again["taskRequeue"], json!({ "id": null, "errors": refused("NOT_DEAD") }));
        for (id, code) in [("task_00000000000000000000000000", "NOT_FOUND"), ("nonsense", "INVALID")] {
            let payload = read(&kit, &root, &requeue("id"), json!({ "input": { "id": id } })).await;
            assert_eq!(payload["taskRequeue"], json!({ "id": null, "errors": refused(code) }), "{id}");
        }
        assert_eq!(kit.state().await, before);
        let query =
            "query($subject: String!) { auditLog(subject: $subject) { nodes { action fields reason } } }";
        let log = read(&kit, &root, query, json!({ "subject": dead.to_string() })).await;
        let row = json!({ "action": "task.requeue", "fields": ["state"], "reason": null });
        assert_eq!(log["auditLog"]["nodes"], json!([row]));
    }

    async fn all_dead_letters_of_a_kind_are_requeued_in_batches(kit: Kit) {
        const COUNT: u128 = 450;
        let letter = |number| {
            SendMail::new(&HeldLetter { checkout: CheckoutId(Uuid::from_u128(number)) }).unwrap().into()
        };
        queue(&kit, (0..COUNT).map(letter).collect()).await;
        bury_letters(&kit).await;
        queue(&kit, vec![CancelPayment { payment: payment() }.into()]).await;
        let other = claim(&kit, Queue::Payments).await.remove(0);
        let failure = AttemptFailure::new(AttemptOutcome::Discard, "the gateway refuses");
        in_tx(&kit.db, ACTOR, async |tx| tasks::bury(tx, &other, &failure).await).await.unwrap();
        let root = admin(&kit).await;
        for count in [COUNT, 0] {
            let payload = read(&kit, &root, REQUEUE_ALL, json!({ "input": { "kind": "send_mail" } })).await;
            assert_eq!(payload["taskRequeueAll"], json!({ "count": count, "more": false, "errors": [] }));
        }
        let dead = TaskFilter { state: Some(tasks::TaskState::Dead), ..TaskFilter::default() };
        assert_eq!(
            tasks::count(&kit.db, &system().as_admin(), &dead).await.unwrap(),
            1,
            "the other kind stays"
        );
        assert_eq!(audit_actions(&kit).await.iter().filter(|action| *action == "task.requeue").count(), 450);
        for kind in ["", "Send Mail", "a'b"] {
            let payload = read(&kit, &root, REQUEUE_ALL, json!({ "input": { "kind": kind } })).await;
            let errors = json!([{ "code": "INVALID", "path": ["kind"] }]);
            assert_eq!(
                payload["taskRequeueAll"],
                json!({ "count": null, "more": null, "errors": errors }),
                "{kind}"
            );
        }
    }

    async fn a_dead_letter_is_discarded_with_a_reason(kit: Kit) {
        let dead = some_of_each(&kit).await;
        let root = admin(&kit).await;
        let running =
            read(&kit, &root, "{ tasks(filter: { state: RUNNING }) { nodes { id } } }", json!({})).await;
        let running = running["tasks"]["nodes"][0]["id"].as_str().unwrap().to_owned();
        let dead = dead.to_string();
        let (good, long) = ("the shop is closed, nobody waits for it", "x".repeat(501));
        let before = kit.state().await;
        for (id, reason, code, path) in [
            (dead.as_str(), "no", "INVALID", "reason"),
            (&dead, "  a  ", "INVALID", "reason"),
            (&dead, &long, "INVALID", "reason"),
            (&dead, "two\nlines", "INVALID", "reason"),
            ("nonsense", good, "INVALID", "id"),
            (&running, good, "NOT_DEAD", "id"),
            ("task_00000000000000000000000000", good, "NOT_FOUND", "id"),
        ] {
            let payload =
                read(&kit, &root, DISCARD, json!({ "input": { "id": id, "reason": reason } })).await;
            let error = &payload["taskDiscard"]["errors"][0];
            assert_eq!((&error["code"], &error["path"]), (&json!(code), &json!([path])), "{id} {reason}");
            assert_eq!(payload["taskDiscard"]["id"], Value::Null, "{id} {reason}");
        }
        assert_eq!(kit.state().await, before);
        let payload = read(&kit, &root, DISCARD, json!({ "input": { "id": dead, "reason": good } })).await;
        assert_eq!(payload["taskDiscard"], json!({ "id": dead, "errors": [] }));
        let query = "query($id: ID!, $subject: String!) {
            task(id: $id) { id } auditLog(subject: $subject) { nodes { action reason } }
        }";
        let seen = read(&kit, &root, query, json!({ "id": dead, "subject": dead })).await;
        let row = json!({ "action": "task.discard", "reason": good });
        assert_eq!(seen, json!({ "task": null, "auditLog": { "nodes": [row] } }));
        assert_eq!(kit.state().await.count("task_failures"), 1, "that of the payment");
        let again = read(&kit, &root, DISCARD, json!({ "input": { "id": dead, "reason": good } })).await;
        assert_eq!(again["taskDiscard"]["errors"][0]["code"], json!("NOT_FOUND"));
    }
}
