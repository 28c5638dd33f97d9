//! The floor: the rate at which the broker confirms messages of a minimal publisher.

use std::time::{Duration, Instant};

use futures_util::{StreamExt, stream::FuturesUnordered};
use lapin::{
    BasicProperties, Connection, ConnectionProperties,
    options::{BasicPublishOptions, ConfirmSelectOptions, QueueDeclareOptions},
    types::{AMQPValue, FieldTable},
};

/// The maximum number of messages in flight: close to the broker's maximum throughput, as measured for this
/// project.
const WINDOW: usize = 512;
/// A queue name that the permissions of a deployment's user cover.
const FLOOR: &str = "smallrun.bench-floor";
/// About the size of a fact message.
const BODY: [u8; 200] = [b'x'; 200];
/// AMQP 0-9-1: persistent.
const PERSISTENT: u8 = 2;

/// Returns how many messages per second a quorum queue confirms, measured over `time`.
pub(crate) async fn confirmed_per_second(url: &str, time: Duration) -> lapin::Result<f64> {
    let connection = Connection::connect(url, ConnectionProperties::default()).await?;
    let channel = connection.create_channel().await?;
    channel.confirm_select(ConfirmSelectOptions::default()).await?;
    let mut arguments = FieldTable::default();
    arguments.insert("x-queue-type".into(), AMQPValue::LongString("quorum".into()));
    let options = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
    channel.queue_declare(FLOOR.into(), options, arguments).await?;
    let (began, mut confirmed) = (Instant::now(), 0_u32);
    let mut on_their_way = FuturesUnordered::new();
    while began.elapsed() < time {
        while on_their_way.len() < WINDOW {
            let properties = BasicProperties::default().with_delivery_mode(PERSISTENT);
            let sent = channel.basic_publish(
                "".into(),
                FLOOR.into(),
                BasicPublishOptions::default(),
                &BODY,
                properties,
            );
            on_their_way.push(sent.await?);
        }
        if let Some(confirm) = on_their_way.next().await {
            confirm?;
            confirmed = confirmed.saturating_add(1);
        }
    }
    let rate = f64::from(confirmed) / began.elapsed().as_secs_f64();
    while on_their_way.next().await.is_some() {}
    connection.close(200, "done".into()).await?;
    Ok(rate)
}
