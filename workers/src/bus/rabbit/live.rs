//! Facts and news, fanned out to every process.

use std::{sync::Arc, time::Duration};

use domain::platform::{facts::Fact, ids::FactId, outbox::Stamped, trace::TraceParent};
use futures_util::StreamExt;
use lapin::{options::BasicConsumeOptions, types::FieldTable};
use serde::{Deserialize, Serialize};
use tokio::sync::{broadcast, watch};

use super::{
    link::{ConnectionWatch, Up},
    topology,
};

/// The delay before a channel is opened again.
const OPEN_AGAIN: Duration = Duration::from_millis(500);

/// The wire format of a fact.
#[derive(Serialize, Deserialize)]
struct Wire {
    id: FactId,
    position: i64,
    version: i64,
    fact: Fact,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    traceparent: Option<String>,
}

/// Serializes facts as the body of one message.
pub(super) fn written(facts: &[Stamped]) -> Result<Vec<u8>, serde_json::Error> {
    let wire = |stamped: &Stamped| Wire {
        id: stamped.id,
        position: stamped.position,
        version: stamped.version,
        fact: stamped.fact.clone(),
        traceparent: stamped.trace.as_ref().map(TraceParent::header),
    };
    serde_json::to_vec(&facts.iter().map(wire).collect::<Vec<_>>())
}

fn read(body: &[u8]) -> Result<Vec<Stamped>, serde_json::Error> {
    let facts: Vec<Wire> = serde_json::from_slice(body)?;
    let stamped = |wire: Wire| Stamped {
        id: wire.id,
        position: wire.position,
        version: wire.version,
        fact: wire.fact,
        trace: wire.traceparent.as_deref().and_then(TraceParent::parse),
    };
    Ok(facts.into_iter().map(stamped).collect())
}

/// Receives facts and news until it is aborted, reconnecting as needed. Every reconnect counts as news.
pub(super) async fn receive(
    mut line: ConnectionWatch,
    me: String,
    facts: broadcast::Sender<Arc<Stamped>>,
    news: watch::Sender<u64>,
) {
    loop {
        let up = line.borrow_and_update().clone();
        if let Some(up) = up {
            if let Err(error) = receive_on(&up, &mut line, &me, &facts, &news).await {
                tracing::warn!(%error, "receiving facts failed; retrying");
            }
            tokio::time::sleep(OPEN_AGAIN).await;
        } else if line.changed().await.is_err() {
            return;
        }
    }
}

async fn receive_on(
    up: &Up,
    line: &mut ConnectionWatch,
    me: &str,
    facts: &broadcast::Sender<Arc<Stamped>>,
    news: &watch::Sender<u64>,
) -> lapin::Result<()> {
    let channel = up.0.create_channel().await?;
    let (facts_queue, news_queue) = topology::declare_own(&channel).await?;
    // Facts that are lost are read from the table, so messages need no acknowledgement.
    let options = BasicConsumeOptions { no_ack: true, ..BasicConsumeOptions::default() };
    let mut of_facts = channel.basic_consume(facts_queue, "".into(), options, FieldTable::default()).await?;
    let mut of_news = channel.basic_consume(news_queue, "".into(), options, FieldTable::default()).await?;
    news.send_modify(|count| *count = count.wrapping_add(1));
    loop {
        tokio::select! {
            message = of_facts.next() => {
                let Some(message) = message.transpose()? else { return Ok(()) };
                match read(&message.data) {
                    Ok(read) => for stamped in read {
                        let _receivers = facts.send(Arc::new(stamped));
                    },
                    // A newer version sent them during a rolling deployment. Readers treat them as any other
                    // gap.
                    Err(error) => tracing::debug!(%error, "facts of an unknown format were skipped"),
                }
            }
            message = of_news.next() => {
                let Some(message) = message.transpose()? else { return Ok(()) };
                let own = message.properties.app_id().as_ref().is_some_and(|sender| sender.as_str() == me);
                if !own {
                    news.send_modify(|count| *count = count.wrapping_add(1));
                }
            }
            changed = line.changed() => if changed.is_err() || line.borrow().is_none() {
                return Ok(());
            }
        }
    }
}
