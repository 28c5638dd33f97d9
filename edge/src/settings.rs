//! The settings of an edge.

use std::{net::IpAddr, time::Duration};

use crate::{
    budget::BudgetSettings,
    guard::Limits,
    http::{cors::Cors, documents::Documents},
    introspection::SchemaAudience,
    live::LiveBounds,
    uploads::UploadRules,
};

/// The settings of an edge.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Who may use introspection.
    pub introspection: SchemaAudience,
    /// The documents that a request may name instead of sending their text.
    pub documents: Documents,
    /// The HTTP settings.
    pub http: HttpSettings,
    /// The proxies whose `Forwarded` and `X-Forwarded-For` headers are trusted.
    pub trusted_proxies: Vec<IpAddr>,
    /// The longest time a query may run. A mutation that has begun always runs to its end.
    pub query_deadline: Duration,
    /// The limits of every request.
    pub limits: Limits,
    /// The budget of each caller; `None` means unlimited.
    pub budget: Option<BudgetSettings>,
    /// The waiting time from which on load is shed; zero disables shedding.
    pub shed_from: Duration,
    /// Where uploaded files are stored while their request runs, and how large they may be.
    pub uploads: UploadRules,
    /// How many connections may stay open, and how many operations each may run.
    pub live: LiveBounds,
}

impl Default for Settings {
    /// Settings for trying an edge out, as tests do: everything is open, with the usual limits.
    fn default() -> Self {
        const FILE_BYTES_MAX: usize = 1024 * 1024;
        Self {
            introspection: SchemaAudience::Everybody,
            documents: Documents::default(),
            http: HttpSettings::default(),
            trusted_proxies: Vec::new(),
            query_deadline: Duration::from_secs(10),
            limits: Limits::default(),
            budget: Some(BudgetSettings::default()),
            shed_from: Duration::ZERO,
            uploads: UploadRules::new(std::env::temp_dir(), FILE_BYTES_MAX, 1, Duration::from_secs(5), 4),
            live: LiveBounds::default(),
        }
    }
}

/// The HTTP settings of an edge.
#[derive(Debug, Clone)]
pub struct HttpSettings {
    /// The origins whose pages may read answers.
    pub cors: Cors,
    /// Whether clients reach the server over HTTPS. Browsers are then told to use HTTPS only.
    pub https: bool,
    /// The longest time a client may take to send a body.
    pub body_within: Duration,
}

impl Default for HttpSettings {
    /// Settings for trying a server out.
    fn default() -> Self {
        Self { cors: Cors::Any, https: false, body_within: Duration::from_secs(20) }
    }
}
