//! The budget of calls to a gateway: one for all processes.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use chrono::TimeDelta;
use domain::{payments::gateway::PaymentGateway, platform::clock::SystemClock};
use payments::{Sandbox, SandboxSettings};
use testkit::{Kit, on_both};
use tokio::task::JoinSet;
use workers::payments::Budgeted;

on_both! {
    async fn two_processes_together_keep_within_the_budget(kit: Kit) {
        let settings = SandboxSettings {
            public_url: String::new(),
            webhook_url: String::new(),
            webhook_secret: "whsec_of_the_tests".to_owned(),
            late: TimeDelta::zero(),
        };
        let mut calls = JoinSet::new();
        let began = Instant::now();
        for db in [kit.db.clone(), kit.connect(4).await] {
            let db = db.with_clock(Arc::new(SystemClock));
            let sandbox = Sandbox::shared(db.clone(), settings.clone()).unwrap();
            let gateway = Arc::new(Budgeted::new(db, sandbox, 20));
            for _ in 0..15 {
                let gateway = Arc::clone(&gateway);
                calls.spawn(async move { gateway.retrieve("nothing").await.unwrap_err().to_string() });
            }
        }
        while let Some(answer) = calls.join_next().await {
            assert!(answer.unwrap().contains("no such intent"));
        }
        // Five at once, then twenty-five at one in 50 ms.
        assert!(began.elapsed() >= Duration::from_millis(1_200), "{:?}", began.elapsed());
    }
}
