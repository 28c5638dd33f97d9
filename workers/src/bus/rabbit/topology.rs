//! The exchanges and queues on the broker. A name is never reused for other arguments.
//!
//! A broker refuses to declare a queue that exists with other arguments (406), so a change of the arguments
//! needs a new version in the name.

use domain::platform::tasks::Queue;
use lapin::{
    Channel, ExchangeKind,
    options::{ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions},
    types::{AMQPValue, FieldTable, ShortString},
};

/// The exchange that fans out facts to every process.
pub(super) const FACTS: &str = "smallrun.facts.v1";
/// The exchange that notifies every process of new work.
pub(super) const NEWS: &str = "smallrun.news.v1";

/// The maximum number of deliveries of a permit. After that many, its task probably crashes workers. The
/// task's row has the history, and polling claims it when its lease expires.
const DELIVERIES_MAX: i64 = 10;
/// The maximum number of permits in a queue. Workers that are further behind claim without waiting for
/// permits.
const PERMITS_MAX: i64 = 100_000;
/// The maximum number of fact messages that wait for a process. Older ones are dropped; the process detects
/// the gap and reads the table.
const FACTS_WAITING_MAX: i64 = 1_000;

/// Returns the name of a task queue.
pub(super) fn name_of(queue: Queue) -> String {
    format!("smallrun.tasks.{}.v1", queue.name())
}

/// Declares what all processes share: the exchanges and the task queues.
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

/// Declares the two queues of this process, for facts and for news. They are deleted with its connection.
pub(super) async fn declare_own(channel: &Channel) -> lapin::Result<(ShortString, ShortString)> {
    let facts = declare_own_queue(channel, FACTS, FACTS_WAITING_MAX).await?;
    // One notification is as good as many.
    Ok((facts, declare_own_queue(channel, NEWS, 1).await?))
}

async fn declare_own_queue(channel: &Channel, exchange: &str, length_max: i64) -> lapin::Result<ShortString> {
    let mut arguments = FieldTable::default();
    arguments.insert("x-max-length".into(), AMQPValue::LongLongInt(length_max));
    let options =
        QueueDeclareOptions { exclusive: true, auto_delete: true, ..QueueDeclareOptions::default() };
    // The broker generates the name. A name with a prefix of ours would need the same permissions and could
    // collide.
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
