//! Tests of the rate limit of a gateway, which all processes share.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use chrono::TimeDelta;
use domain::{
    payments::gateway::{GatewayIdentity, GatewayMode, PaymentGateway},
    platform::clock::SystemClock,
};
use payments::{Sandbox, SandboxSettings};
use sea_orm::{ConnectionTrait, Statement};
use testkit::{Kit, gateway::UnreachableGateway, on_both, requests};
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
        // Five calls run immediately, and the other twenty-five at one per 50 ms.
        assert!(began.elapsed() >= Duration::from_millis(1_200), "{:?}", began.elapsed());
    }

    async fn each_gateway_has_a_budget_of_its_own(kit: Kit) {
        let gold = |account| GatewayIdentity::new("gold", account, GatewayMode::Live).unwrap();
        for identity in [requests::gateway(), gold("acct_1"), gold("acct_2")] {
            let gateway = Budgeted::new(kit.db.clone(), Arc::new(UnreachableGateway(identity)), 1);
            // The clock stands still, so a budget that another gateway had spent would never be refilled.
            tokio::time::timeout(Duration::from_secs(30), gateway.retrieve("intent"))
                .await
                .unwrap()
                .unwrap_err();
        }
        let names = Statement::from_string(kit.db.backend(), "SELECT name FROM budgets ORDER BY name");
        let names = kit.db.reader().query_all_raw(names).await.unwrap();
        let names: Vec<String> = names.iter().map(|row| row.try_get_by_index(0).unwrap()).collect();
        assert_eq!(names, ["gateway:gold/acct_1/live", "gateway:gold/acct_2/live", "gateway:sandbox"]);
    }
}
