//! Tests that no two kinds in the registry share a name.

use std::{collections::BTreeSet, sync::Arc};

use async_trait::async_trait;
use chrono::TimeDelta;
use domain::{
    payments::gateways::Gateways,
    platform::{
        facts::Fact,
        mail::{LinkBase, Mail, MailError, Mailer},
        tasks::TaskKinds,
    },
    registry::{self, Ports},
};
use payments::{Sandbox, SandboxSettings, sandbox::SandboxOutcome};
use testkit::Kit;

struct Postman;

#[async_trait]
impl Mailer for Postman {
    async fn send(&self, _mail: &Mail) -> Result<(), MailError> {
        Ok(())
    }
}

fn assert_distinct(what: &str, names: &[&str]) {
    let distinct: BTreeSet<_> = names.iter().collect();
    assert_eq!(distinct.len(), names.len(), "two {what} share a name: {names:?}");
}

#[test]
fn no_two_kinds_share_a_name() {
    testkit::run(Kit::sqlite(), async |kit| {
        let settings = SandboxSettings {
            public_url: "http://shop.example".to_owned(),
            webhook_url: "http://127.0.0.1:9/webhooks/sandbox".to_owned(),
            webhook_secret: "whsec_of_the_tests".to_owned(),
            late: TimeDelta::zero(),
        };
        let sandbox = Sandbox::shared(kit.db.clone(), settings).unwrap();
        let links = LinkBase::new("https://shop.example");
        let ports = Ports { gateways: Gateways::default(), mailer: Arc::new(Postman), links };
        let gateways = TaskKinds::default().with::<SandboxOutcome>(sandbox);
        assert_distinct("tasks", &registry::tasks(ports).and(gateways).names());
    });
    assert_distinct("letters", &registry::letters().names());
    assert_distinct("timers", &registry::timers().names());
    assert_distinct("facts", &Fact::KINDS);
}
