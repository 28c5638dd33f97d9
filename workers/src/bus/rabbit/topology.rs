//! What is declared on the broker: names that are never renamed, and arguments that are never changed under a
//! name.
//!
//! A broker refuses a queue that exists with other arguments (406), so a change of them takes a new version
//! in the name.

use domain::platform::tasks::Queue;
use lapin::{
    Channel, ExchangeKind,
    options::{ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions},
    types::{AMQPValue, FieldTable, ShortString},
};

/// Every fact, to every process.
pub(super) const FACTS: &str = "smallrun.facts.v1";
/// That a transaction left work behind, to every process.
pub(super) const NEWS: &str = "smallrun.news.v1";

/// A permit that was handed out so often without an end has met a worker that dies of something: the row has
/// the history, and is claimed by a look when its lease is over.
const DELIVERIES_MAX: i64 = 10;
/// More permits than this help nobody: workers that are behind by so much claim without waiting for any.
const PERMITS_MAX: i64 = 100_000;
/// Facts that wait for a process which does not read are dropped beyond this number: it sees the gap, and
/// reads the table.
const FACTS_WAITING_MAX: i64 = 1_000;

/// The name of a task queue.
pub(super) fn name_of(queue: Queue) -> String {
    format!("smallrun.tasks.{}.v1", queue.name())
}

/// What all processes share: the exchanges and the task queues.
pub(super) async fn declare_shared(channel: &Channel) -> lapin::Result<()> {
    for exchange in [FACTS, NEWS] {
        let options = ExchangeDeclareOptions { durable: true, ..ExchangeDeclareOptions::default() };
        channel
            .exchange_declare(exchange.into(), ExchangeKind::Fanout, options, FieldTable::default())
            .await?;
    }
    for queue in Queue::ALL {
        let mut arguments = FieldTable::default();
        // Quorum queues are the replicated kind, and the only one that counts deliveries
        // (rabbitmq.com/docs/quorum-queues).
        arguments.insert("x-queue-type".into(), AMQPValue::LongString("quorum".into()));
        arguments.insert("x-delivery-limit".into(), AMQPValue::LongLongInt(DELIVERIES_MAX));
        arguments.insert("x-max-length".into(), AMQPValue::LongLongInt(PERMITS_MAX));
        let options = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
        channel.queue_declare(name_of(queue).into(), options, arguments).await?;
    }
    Ok(())
}

/// The two queues of this process alone, which go with its connection: facts, and news.
pub(super) async fn declare_own(channel: &Channel) -> lapin::Result<(ShortString, ShortString)> {
    let facts = declare_own_queue(channel, FACTS, FACTS_WAITING_MAX).await?;
    // One piece of news is as good as many.
    Ok((facts, declare_own_queue(channel, NEWS, 1).await?))
}

async fn declare_own_queue(channel: &Channel, exchange: &str, length_max: i64) -> lapin::Result<ShortString> {
    let mut arguments = FieldTable::default();
    arguments.insert("x-max-length".into(), AMQPValue::LongLongInt(length_max));
    let options =
        QueueDeclareOptions { exclusive: true, auto_delete: true, ..QueueDeclareOptions::default() };
    // The broker makes up the name; a prefix of ours would need the same rights and could collide.
    let queue = channel.queue_declare("".into(), options, arguments).await?;
    let name = queue.name().clone();
    channel
        .queue_bind(
            name.clone(),
            exchange.into(),
            "".into(),
            QueueBindOptions::default(),
            FieldTable::default(),
        )
        .await?;
    Ok(name)
}
