//! SQLite under load (fault F35): no request fails because the database is busy, and the write-ahead log
//! stays bounded.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
};

use serde_json::json;
use tokio::task::JoinSet;

use crate::shop::{
    harness::Setup,
    market::{Market, mutation},
};

/// The number of concurrent writers.
const WRITERS: usize = 64;
/// The number of writes of each writer.
const WRITES: usize = 10;
/// The number of clients that read all the time, so that there is always a reader.
const READERS: usize = 8;
/// The maximum size of the write-ahead log. SQLite merges it into the file at 4 MB; a long read can make it
/// larger. The test writes several times this size.
const LOG_BYTES_MAX: u64 = 16 << 20;

fn length(file: &Path) -> u64 {
    std::fs::metadata(file).map_or(0, |metadata| metadata.len())
}

#[tokio::test]
async fn sixty_four_writers_never_fail_as_busy_and_the_write_ahead_log_stays_short() {
    let market = Market::open(Setup::empty(), 10, WRITERS).await;
    let log = market.folder().join("smallrun.sqlite-wal");
    let reading = Arc::new(AtomicBool::new(true));
    let pages = Arc::new(AtomicU32::new(0));
    let mut readers = JoinSet::new();
    for reader in 0..READERS {
        let (line, reading, pages) =
            (market.line(&market.buyers[reader]).await, Arc::clone(&reading), Arc::clone(&pages));
        readers.spawn(async move {
            while reading.load(Ordering::Relaxed) {
                let page = "{ drops { nodes { title creator { name } items { stock { free } } } } }";
                let (status, body) = line.send(page, json!({})).await.unwrap();
                assert!(status == 200 && body.get("errors").is_none(), "{status} {body:#}");
                pages.fetch_add(1, Ordering::Relaxed);
            }
        });
    }
    let mut writers = JoinSet::new();
    for token in &market.buyers {
        let (line, log) = (market.line(token).await, log.clone());
        let rename = mutation("accountUpdate", "account { name }");
        writers.spawn(async move {
            let mut longest = 0;
            for number in 0..WRITES {
                let (status, body) = line
                    .send(&rename, json!({ "input": { "name": format!("Ada the {number}th") } }))
                    .await
                    .unwrap();
                assert!(
                    status == 200 && body["data"]["accountUpdate"]["errors"] == json!([]),
                    "{status} {body:#}"
                );
                longest = longest.max(length(&log));
            }
            longest
        });
    }
    let longest = writers.join_all().await.into_iter().max().unwrap();
    reading.store(false, Ordering::Relaxed);
    readers.join_all().await;
    eprintln!("longest log: {longest} bytes, while {} pages were read", pages.load(Ordering::Relaxed));
    assert!(longest <= LOG_BYTES_MAX, "{longest} bytes");
    let log = market.log();
    assert!(!log.contains("database is locked") && !log.contains("SQLITE_BUSY"), "{log}");
}
