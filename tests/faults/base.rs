//! The start of every test case: a marketplace that is created once and copied.

use std::fs;

use rustix::process::Signal;
use sea_orm::{ConnectionTrait, Database};
use serde_json::Value;

use crate::faults::{
    harness::{Folder, SOON, Server, Setup},
    market::{Market, address_of},
};

/// The number of units for sale.
pub(crate) const UNITS: usize = 5;

/// A marketplace whose server has been killed.
pub(crate) struct Base {
    market: Market,
    setup: Setup,
}

impl Base {
    /// Creates a marketplace with one buyer, and with a clock that can be set forward.
    pub(crate) async fn make(setup: Setup) -> Self {
        let market = Market::open(setup, UNITS, 1).await;
        let connection = Database::connect(market.database_url()).await.unwrap();
        // Mark the deployment as a demo, as `serve --demo` does, but without the demo's eight creators.
        connection
            .execute_unprepared("INSERT INTO demo_clock (id, offset_micros) VALUES (1, 0)")
            .await
            .unwrap();
        crate::faults::books::peace(&connection).await;
        connection.close().await.unwrap();
        // Committed data is in the database file and its write-ahead log, so a kill loses nothing.
        market.signal(Signal::KILL);
        let gone = async {
            while market.client().get(market.at("/livez")).send().await.is_ok() {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(SOON, gone).await.expect("a killed server ends");
        let setup = market.same_again();
        Self { market, setup }
    }

    /// Starts a server with a fault on a copy of the marketplace.
    pub(crate) async fn start(&self, fault: &str) -> Server {
        let folder = Folder::new();
        for entry in fs::read_dir(self.market.folder().path()).unwrap().map(Result::unwrap) {
            // Leave out the log and the letters of the server that created it.
            if entry.file_type().unwrap().is_file() && entry.file_name() != "stderr.log" {
                fs::copy(entry.path(), folder.join(entry.file_name())).unwrap();
            }
        }
        let mut setup = Setup::empty().in_folder(&folder).with("SMALLRUN_FAULT", fault);
        if let Some(database) = self.setup.database() {
            setup = setup.on_copy_of(database).await;
        }
        if self.setup.has_broker() {
            setup = setup.on_new_broker().await;
        }
        Server::start(setup).await
    }

    /// Returns the buyer's token and e-mail address.
    pub(crate) fn buyer(&self) -> (&str, String) {
        (&self.market.buyers[0], address_of(0))
    }

    /// Returns the input that reserves one unit.
    pub(crate) fn reserving(&self) -> Value {
        self.market.reserving(&self.market.item, "this-is-the-key")
    }

    /// Returns the id of the item that is for sale.
    pub(crate) fn item(&self) -> &str {
        &self.market.item
    }
}
