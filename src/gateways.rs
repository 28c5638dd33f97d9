//! The payment gateways of this deployment: the one for new payments, the rate limit of each, and the tasks,
//! tables and pages that a gateway adds.

use std::sync::Arc;

use actix_web::web::ServiceConfig;
use chrono::TimeDelta;
use domain::{
    payments::{gateway::PaymentGateway, gateways::Gateways},
    platform::{Db, sweep::Sweep, tasks::TaskKinds},
};
use payments::{Sandbox, SandboxSettings, sandbox::SandboxOutcome};
use workers::payments::Budgeted;

use crate::{
    config::{Config, Gateway, PublicUrl},
    data_folder::DataFolder,
    exit::{Exit, Failure, Outcome},
    sandbox_page,
};

/// The gateways, and the parts that they add: pages, tasks, and rows to clean up.
pub(crate) struct PaymentParts {
    pub(crate) gateways: Gateways,
    sandbox: Arc<Sandbox>,
}

impl PaymentParts {
    /// Creates the gateways named in the configuration. `public_url` is the URL at which buyers reach this
    /// deployment. `webhooks_to` is the URL of the server to which the sandbox sends its webhooks.
    pub(crate) fn new(
        config: &Config,
        folder: &DataFolder,
        db: &Db,
        public_url: &PublicUrl,
        webhooks_to: &PublicUrl,
    ) -> Outcome<Self> {
        let budgeted = |gateway: Arc<dyn PaymentGateway>, calls_per_second: u32| -> Arc<dyn PaymentGateway> {
            Arc::new(Budgeted::new(db.clone(), gateway, calls_per_second))
        };
        let sandbox = sandbox(config, folder, db, public_url, webhooks_to)?;
        let gateway = budgeted(sandbox.clone(), config.sandbox_calls_per_second.get());
        let gateways = match config.gateway {
            Gateway::Sandbox => Gateways::new(gateway, []),
        };
        let gateways = gateways.map_err(|twice| {
            Failure::new(Exit::BadSetting, twice.to_string(), "Configure each gateway only once")
        })?;
        Ok(Self { gateways, sandbox })
    }

    /// Returns the kinds of tasks that the gateways add.
    pub(crate) fn tasks(&self) -> TaskKinds {
        TaskKinds::default().with::<SandboxOutcome>(Arc::clone(&self.sandbox))
    }

    /// Returns the clean-up of the rows that gateways keep in the database.
    pub(crate) fn sweeps(&self) -> Vec<Arc<dyn Sweep>> {
        vec![self.sandbox.clone()]
    }

    /// Mounts the pages that the gateways add.
    pub(crate) fn pages(&self, routes: &mut ServiceConfig) {
        sandbox_page::configure(routes, Arc::clone(&self.sandbox));
    }
}

fn sandbox(
    config: &Config,
    folder: &DataFolder,
    db: &Db,
    public_url: &PublicUrl,
    webhooks_to: &PublicUrl,
) -> Outcome<Arc<Sandbox>> {
    let webhook_secret = match config.sandbox_webhook_secret.expose() {
        Some(secret) => secret.to_owned(),
        None => folder.sandbox_webhook_secret()?,
    };
    let settings = SandboxSettings {
        public_url: public_url.as_str().to_owned(),
        webhook_url: format!("{}/webhooks/sandbox", webhooks_to.as_str()),
        webhook_secret,
        late: TimeDelta::seconds(SandboxSettings::LATE_SECS),
    };
    Sandbox::shared(db.clone(), settings)
        .map_err(|cause| Failure::unexpected("start the sandbox gateway", &cause))
}
