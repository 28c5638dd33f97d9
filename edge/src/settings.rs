//! How an edge is set.

use std::{net::IpAddr, time::Duration};

use crate::{
    budget::BudgetSettings,
    guard::Limits,
    http::{cors::Cors, documents::Documents},
    introspection::SchemaAudience,
    live::LiveBounds,
    uploads::UploadRules,
};

/// How an edge is set.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Who may ask about the schema.
    pub introspection: SchemaAudience,
    /// The documents that a request may name instead of sending them.
    pub documents: Documents,
    /// How the edge speaks HTTP.
    pub http: HttpSettings,
    /// The proxies whose `Forwarded` and `X-Forwarded-For` are believed.
    pub trusted_proxies: Vec<IpAddr>,
    /// A query that takes longer is given up; a mutation that began runs to its end.
    pub query_deadline: Duration,
    /// The limits of every request.
    pub limits: Limits,
    /// What each caller may spend; `None` is without end.
    pub budget: Option<BudgetSettings>,
    /// When requests wait so long until they are run, some are not begun; zero is never.
    pub shed_from: Duration,
    /// Where the files of requests are kept while these run, and how large they may be.
    pub uploads: UploadRules,
    /// How many connections may stay open, and what may be asked on one.
    pub live: LiveBounds,
}

impl Default for Settings {
    /// Of an edge that is tried out, by a test say: everything is open, with the usual bounds.
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

/// How the edge speaks HTTP.
#[derive(Debug, Clone)]
pub struct HttpSettings {
    /// The origins whose pages may read answers.
    pub cors: Cors,
    /// Whether people reach it by HTTPS: then browsers are told to use nothing else.
    pub https: bool,
    /// The longest that a client may take to send a body.
    pub body_within: Duration,
}

impl Default for HttpSettings {
    /// Of a server that is tried out.
    fn default() -> Self {
        Self { cors: Cors::Any, https: false, body_within: Duration::from_secs(20) }
    }
}
