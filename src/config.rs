//! The configuration: one typed struct with defaults. It is read from a TOML file, then from `SMALLRUN_…`
//! variables, then from the command line; later sources override earlier ones. An unknown setting or a bad
//! value ends the program with an error message.
//!
//! [`values`] defines the types of the settings; [`layers`] reads them from the three sources.

mod layers;
mod values;

use std::{collections::BTreeMap, fmt, path::PathBuf};

pub(crate) use layers::{Flags, load};
pub(crate) use values::{
    BusUrl, DatabaseSetting, Flag, Gateway, IntrospectionSetting, ListenAddress, LogFilter, LogFormat,
    MailUrl, MailboxText, MediaUrl, Number, OptionalPath, Origins, ProxyList, PublicUrl, SecretText, Switch,
};
use values::{RawValue, Setting};

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Source {
    /// The built-in default.
    Default,
    /// The configuration file.
    File,
    /// The environment variable with this name.
    Variable(String),
    /// The command-line option with this name.
    Option(&'static str),
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File => f.write_str("configuration file"),
            Self::Variable(name) => f.write_str(name),
            Self::Option(name) => f.write_str(name),
        }
    }
}

/// Generates the configuration struct, the list of its keys, and the code that reads and shows each setting.
macro_rules! settings {
    ($( $(#[doc = $about:literal])+ $key:ident: $kind:ty = $default:expr; )*) => {
        /// All settings.
        #[derive(Debug, Clone)]
        pub(crate) struct Config {
            $( $(#[doc = $about])+ pub(crate) $key: $kind, )*
            sources: BTreeMap<&'static str, Source>,
        }

        /// The keys, in the order of the struct.
        const KEYS: &[&str] = &[$(stringify!($key)),*];

        /// The settings read so far.
        #[derive(Default)]
        struct Partial {
            $( $key: Option<($kind, Source)>, )*
        }

        impl Partial {
            /// Sets one key. An error text continues a sentence that begins with the key.
            fn set(&mut self, key: &str, raw: &RawValue<'_>, source: Source) -> Result<(), String> {
                match key {
                    $( stringify!($key) => self.$key = Some((<$kind as Setting>::read(raw)?, source)), )*
                    _ => return Err("is not a setting".to_owned()),
                }
                Ok(())
            }

            /// Fills in the defaults. Some of them depend on settings that come before them.
            fn complete(self) -> Config {
                let mut sources = BTreeMap::new();
                $(
                    let ($key, source): ($kind, Source) =
                        self.$key.unwrap_or_else(|| ($default, Source::Default));
                    sources.insert(stringify!($key), source);
                )*
                Config { $($key,)* sources }
            }
        }

        impl Config {
            /// Returns the key, the value as TOML with secrets masked, the source, and the description of
            /// each setting.
            pub(crate) fn describe(&self) -> Vec<(&'static str, Option<String>, &Source, &'static str)> {
                vec![$( (
                    stringify!($key),
                    self.$key.show(),
                    self.source(stringify!($key)),
                    concat!($($about),+).trim(),
                ), )*]
            }
        }
    };
}

settings! {
    /// The address that the API listens on.
    listen: ListenAddress = ListenAddress::default();
    /// The folder for the data of this deployment: the database, e-mails, media and secrets.
    data: PathBuf = PathBuf::from("./data");
    /// The database: sqlite://PATH or postgres://USER:PASSWORD@HOST/NAME. Default:
    /// sqlite://DATA/smallrun.sqlite.
    database_url: DatabaseSetting = DatabaseSetting::in_folder(&data);
    /// The maximum number of connections to the database.
    database_pool_max: Number<2, 200> = Number::of(16);
    /// The maximum number of buyers that wait at once to reserve units of one drop, in one process. Further
    /// requests are refused with BUSY.
    reserve_queue_max: Number<1, 1_000_000> = Number::of(2_000);
    /// The longest time that a request to reserve may wait, in milliseconds. A request that would wait longer
    /// is refused at once with BUSY.
    reserve_wait_ms_max: Number<10, 60_000> = Number::of(2_000);
    /// Load shedding: when requests wait this many milliseconds before they run, a growing share of queries
    /// is refused. From four times this wait on, reservations are refused too; payments never are. 0 turns it
    /// off.
    shed_wait_ms_min: Number<0, 60_000> = Number::of(200);
    /// The message bus between processes: embedded:// for a single process,
    /// amqp://USER:PASSWORD@HOST:5672/VHOST or amqps:// for RabbitMQ.
    bus_url: BusUrl = BusUrl::Embedded;
    /// A file with certificates (PEM) to trust for amqps://, in addition to the usual authorities.
    bus_ca_file: OptionalPath = OptionalPath::absent();
    /// The folder for pictures and files: file://FOLDER. Default: file://DATA/media.
    media_url: MediaUrl = MediaUrl::in_folder(&data);
    /// The URL at which people reach this deployment, for links in e-mails. Default: http://LISTEN.
    public_url: PublicUrl = PublicUrl::of(&listen);
    /// How e-mails are delivered: file://FOLDER writes them to a folder, smtp://USER:PASSWORD@HOST:587 and
    /// smtps:// send them. Default: file://DATA/mail.
    mail_url: MailUrl = MailUrl::in_folder(&data);
    /// The sender of all e-mails.
    mail_from: MailboxText = MailboxText::default();
    /// Which events are logged, such as `info` or `info,domain=debug`.
    log: LogFilter = LogFilter::default();
    /// The log format: pretty, json, or auto, which is pretty on a terminal and json elsewhere.
    log_format: LogFormat = LogFormat::Auto;
    /// Who can introspect the schema: on is everybody, permitted is administrators and tokens with
    /// schema:read, off is nobody, and auto is on in a demo or on the local machine and permitted elsewhere.
    introspection: IntrospectionSetting = IntrospectionSetting::Auto;
    /// Whether /playground is served: on, off, or auto, which is on in a demo or on the local machine.
    playground: Switch = Switch::Auto;
    /// A file with trusted documents and their ids, as written by graphql-codegen, the Relay compiler and
    /// Apollo. Clients can send only the id of such a document.
    trusted_documents_file: OptionalPath = OptionalPath::absent();
    /// Whether to refuse all documents that are not in trusted_documents_file.
    trusted_documents_only: Flag = Flag(false);
    /// The memory for automatic persisted queries, in MiB; 0 turns them off.
    persisted_queries_mib_max: Number<0, 1024> = Number::of(16);
    /// The origins whose pages can read the responses of the API (CORS): any, or a list such as
    /// `["https://shop.example"]`.
    cors_origins: Origins = Origins::Any;
    /// The maximum number of open connections; further ones are refused.
    connections_max: Number<16, 100_000> = Number::of(10_000);
    /// The maximum number of open connections from one address; those from trusted_proxies are not counted.
    connections_per_address_max: Number<1, 100_000> = Number::of(500);
    /// The longest time that a client may take to send the head of a request, in seconds; then its connection
    /// is closed.
    request_head_secs_max: Number<1, 60> = Number::of(5);
    /// The longest time that a client may take to send the body of a request, in seconds; then the request is
    /// refused.
    request_body_secs_max: Number<1, 300> = Number::of(20);
    /// The longest time that a connection may stay open without a request, in seconds.
    idle_secs_max: Number<1, 300> = Number::of(15);
    /// The longest time in which a client may read less than 16 KiB of its response, in seconds; then its
    /// connection is closed.
    answer_stall_secs_max: Number<1, 300> = Number::of(20);
    /// The longest time that a query may run, in seconds; mutations that have begun are not interrupted.
    query_secs_max: Number<1, 300> = Number::of(10);
    /// The maximum size of a request to /graphql, document and variables together, in bytes.
    query_bytes_max: Number<1_000, 10_000_000> = Number::of(102_400);
    /// The maximum number of tokens in a document.
    query_tokens_max: Number<100, 1_000_000> = Number::of(4_000);
    /// The maximum length of a name in a document, in bytes.
    query_name_bytes_max: Number<20, 10_000> = Number::of(200);
    /// The maximum nesting of brackets and of selections in a document.
    query_nesting_max: Number<10, 100> = Number::of(50);
    /// The maximum number of directives in a document.
    query_directives_max: Number<0, 100_000> = Number::of(100);
    /// The maximum number of aliases in a document.
    query_aliases_max: Number<0, 100_000> = Number::of(100);
    /// The maximum number of root fields of an operation.
    query_root_fields_max: Number<1, 100_000> = Number::of(50);
    /// The maximum number of variables of an operation.
    query_variables_max: Number<0, 100_000> = Number::of(100);
    /// The maximum number of values in all variables of a request.
    query_values_max: Number<0, 1_000_000> = Number::of(10_000);
    /// The maximum nesting of lists and objects in a variable.
    query_values_nesting_max: Number<1, 100> = Number::of(20);
    /// The maximum number of fields and fragments in a document after its fragments are expanded.
    query_selections_max: Number<10, 1_000_000> = Number::of(5_000);
    /// The maximum nesting of fields in a document.
    query_depth_max: Number<1, 100> = Number::of(15);
    /// The maximum cost of an operation: a field costs one, a list costs its size times the cost of a row.
    query_complexity_max: Number<10, 100_000_000> = Number::of(20_000);
    /// The maximum nesting of fields in an introspection query.
    introspection_depth_max: Number<1, 100> = Number::of(20);
    /// The maximum nesting of lists of fields or of types in an introspection query.
    introspection_lists_max: Number<1, 10> = Number::of(2);
    /// The maximum cost of an introspection query.
    introspection_complexity_max: Number<100, 1_000_000_000> = Number::of(2_000_000);
    /// Whether callers have a rate limit, counted in points: one point for each value in a response.
    budget: Flag = Flag(true);
    /// The maximum number of points that a caller can have.
    budget_points_max: Number<1, 4_000_000_000> = Number::of(50_000_000);
    /// The number of points that a caller regains each second.
    budget_points_per_second: Number<1, 4_000_000_000> = Number::of(500_000);
    /// The number of callers whose points are kept in memory.
    budget_callers_max: Number<10, 10_000_000> = Number::of(100_000);
    /// The maximum number of live connections to /graphql: WebSockets and event streams together.
    live_connections_max: Number<0, 1_000_000> = Number::of(10_000);
    /// The maximum number of live connections from one address.
    live_connections_per_address_max: Number<0, 1_000_000> = Number::of(100);
    /// The maximum number of simultaneous operations on one WebSocket.
    live_operations_max: Number<1, 10_000> = Number::of(50);
    /// The maximum size of a client's message on a WebSocket, in bytes.
    live_message_bytes_max: Number<1_000, 10_000_000> = Number::of(102_400);
    /// The longest time to wait for `connection_init` on a WebSocket, in seconds; then it is closed.
    live_init_secs: Number<1, 600> = Number::of(10);
    /// The interval of keep-alive messages on live connections, in seconds.
    live_keep_alive_secs: Number<1, 600> = Number::of(20);
    /// The maximum size of an uploaded file, in bytes.
    upload_bytes_max: Number<1_024, 104_857_600> = Number::of(10_485_760);
    /// The longest time that a client may take to send a request with a file, in seconds.
    upload_secs_max: Number<1, 3_600> = Number::of(60);
    /// The payment gateway for new payments.
    gateway: Gateway = Gateway::Sandbox;
    /// The secret that signs the sandbox gateway's webhooks. Default: generated at the first start and stored
    /// in DATA/secrets.
    sandbox_webhook_secret: SecretText = SecretText::absent();
    /// The maximum number of calls per second to a payment gateway, from all processes together.
    gateway_calls_per_second: Number<1, 10_000> = Number::of(80);
    /// The same limit for the sandbox gateway alone. Default: gateway_calls_per_second.
    sandbox_calls_per_second: Number<1, 10_000> = gateway_calls_per_second;
    /// The addresses of proxies in front of this server; their Forwarded and X-Forwarded-For headers are
    /// trusted.
    trusted_proxies: ProxyList = ProxyList::default();
    /// The longest time that a shutdown waits for requests and tasks in progress, in seconds.
    shutdown_secs: Number<1, 600> = Number::of(10);
}

impl Config {
    /// Returns the source of a key's value.
    pub(crate) fn source(&self, key: &str) -> &Source {
        self.sources.get(key).unwrap_or(&Source::Default)
    }
}

/// Returns the name of the environment variable for a key.
fn variable_of(key: &str) -> String {
    format!("SMALLRUN_{}", key.to_ascii_uppercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(file: Option<&str>, variables: &[(&str, &str)], flags: Flags) -> Result<Config, String> {
        let variables = variables.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
        let file = file.map(|text| ("smallrun.toml".to_owned(), text.to_owned()));
        layers::merge(file, variables, flags).map_err(|failure| failure.to_string())
    }

    fn complaint(file: Option<&str>, variables: &[(&str, &str)]) -> String {
        read(file, variables, Flags::default()).err().unwrap_or_else(|| "accepted".to_owned())
    }

    #[test]
    fn the_command_line_wins_over_variables_over_the_file_over_defaults() {
        let file = "listen = \"127.0.0.1:1\"\ndata = \"/one\"\nshutdown_secs = 5\n";
        let variables = [("SMALLRUN_LISTEN", "127.0.0.1:2"), ("SMALLRUN_DATA", "/two")];
        let flags = Flags { data: Some("/three".into()), ..Flags::default() };
        let config = read(Some(file), &variables, flags).unwrap();
        assert_eq!(config.listen.to_string(), "127.0.0.1:2");
        assert_eq!(config.data, PathBuf::from("/three"));
        assert_eq!(config.shutdown_secs.get(), 5);
        assert_eq!(config.database_url.show().as_deref(), Some("\"sqlite:///three/smallrun.sqlite\""));
        let source = |key| config.source(key).to_string();
        assert_eq!(source("listen"), "SMALLRUN_LISTEN");
        assert_eq!(source("data"), "--data");
        assert_eq!(source("shutdown_secs"), "configuration file");
        assert_eq!(source("log"), "default");
    }

    #[test]
    fn every_setting_has_a_variable() {
        for key in KEYS {
            let complaint = complaint(None, &[(&variable_of(key), "\u{1}")]);
            assert!(!complaint.contains("unknown"), "{key}: {complaint}");
        }
    }

    #[test]
    fn an_unknown_setting_is_reported_with_the_nearest_known_one() {
        let file = complaint(Some("\nlisten = \"127.0.0.1:1\"\npublick_url = \"x\"\n"), &[]);
        assert_eq!(
            file,
            "smallrun.toml, line 3: unknown setting `publick_url`. Did you mean `public_url`? Run \
             `smallrun config` to list all settings."
        );
        let variable = complaint(None, &[("SMALLRUN_LISTN", "x")]);
        assert!(
            variable.starts_with("unknown variable SMALLRUN_LISTN. Did you mean SMALLRUN_LISTEN?"),
            "{variable}"
        );
    }

    #[test]
    fn variables_for_tests_and_fault_points_are_ignored() {
        let variables = [
            ("SMALLRUN_FAULT", "x"),
            ("SMALLRUN_TEST_POSTGRES_URL", "x"),
            ("SMALLRUN_CONFIG", "x"),
            ("HOME", "x"),
        ];
        assert!(read(None, &variables, Flags::default()).is_ok());
    }

    #[test]
    fn a_bad_value_is_reported_with_the_values_that_are_allowed() {
        for (file, expected) in [
            ("listen = 8080", "line 1: `listen` must be a string in quotes"),
            (
                "listen = \"nowhere\"",
                "line 1: `listen` must be an address and a port, such as 127.0.0.1:8080",
            ),
            ("\nshutdown_secs = 0", "line 2: `shutdown_secs` must be a whole number from 1 to 600"),
            (
                "upload_bytes_max = 12",
                "line 1: `upload_bytes_max` must be a whole number from 1024 to 104857600",
            ),
            ("query_depth_max = 0", "line 1: `query_depth_max` must be a whole number from 1 to 100"),
            (
                "query_aliases_max = \"many\"",
                "line 1: `query_aliases_max` must be a whole number from 0 to 100000",
            ),
            ("budget = 1", "line 1: `budget` must be true or false"),
            ("introspection = \"yes\"", "line 1: `introspection` must be auto, on, permitted or off"),
            ("introspection = true", "line 1: `introspection` must be a string in quotes"),
            ("playground = \"yes\"", "line 1: `playground` must be auto, on or off"),
            ("trusted_documents_file = \"\"", "`trusted_documents_file` must be a path"),
            ("trusted_documents_only = \"yes\"", "`trusted_documents_only` must be true or false"),
            (
                "persisted_queries_mib_max = 1025",
                "`persisted_queries_mib_max` must be a whole number from 0 to 1024",
            ),
            ("cors_origins = [\"shop.example\"]", "`cors_origins` must be any, or a list of origins"),
            ("connections_max = 15", "`connections_max` must be a whole number from 16 to 100000"),
            (
                "connections_per_address_max = 0",
                "`connections_per_address_max` must be a whole number from 1 to 100000",
            ),
            ("request_head_secs_max = 0", "`request_head_secs_max` must be a whole number from 1 to 60"),
            ("request_body_secs_max = 0", "`request_body_secs_max` must be a whole number from 1 to 300"),
            ("idle_secs_max = 0", "`idle_secs_max` must be a whole number from 1 to 300"),
            ("answer_stall_secs_max = 0", "`answer_stall_secs_max` must be a whole number from 1 to 300"),
            (
                "database_url = \"mysql://x\"",
                "`database_url` cannot be used: a database URL begins with `sqlite://`",
            ),
            ("bus_url = \"kafka://localhost\"", "`bus_url` must be embedded://, amqp:// or amqps://"),
            ("bus_url = \"amqp://user@host:port/\"", "`bus_url` must have the form amqp://"),
            ("media_url = \"s3://bucket\"", "`media_url` must begin with file://"),
            ("public_url = \"shop.example\"", "`public_url` must begin with http:// or https://"),
            ("mail_url = \"imap://x\"", "`mail_url` must begin with file://, smtp:// or smtps://"),
            ("log_format = \"loud\"", "`log_format` must be auto, pretty or json"),
            (
                "live_connections_max = 1_000_001",
                "`live_connections_max` must be a whole number from 0 to 1000000",
            ),
            (
                "live_connections_per_address_max = -1",
                "`live_connections_per_address_max` must be a whole number from 0 to 1000000",
            ),
            ("live_operations_max = 0", "`live_operations_max` must be a whole number from 1 to 10000"),
            (
                "live_message_bytes_max = 1",
                "`live_message_bytes_max` must be a whole number from 1000 to 10000000",
            ),
            ("live_init_secs = 0", "`live_init_secs` must be a whole number from 1 to 600"),
            ("live_keep_alive_secs = 0", "`live_keep_alive_secs` must be a whole number from 1 to 600"),
            ("gateway = \"gold\"", "`gateway` must be sandbox"),
            ("trusted_proxies = [\"10.0.0.1\", \"ten\"]", "`trusted_proxies` must be a list of addresses"),
            ("sandbox_webhook_secret = \"short\"", "`sandbox_webhook_secret` must have 16 to 200 characters"),
            ("listen = ", "line 1"),
            ("[listen]\nport = 1", "line 1: `listen` must be a string in quotes"),
        ] {
            let complaint = complaint(Some(file), &[]);
            assert!(complaint.contains(expected), "{file}: {complaint}");
        }
        let variable = complaint(None, &[("SMALLRUN_TRUSTED_DOCUMENTS_ONLY", "perhaps")]);
        assert!(variable.starts_with("SMALLRUN_TRUSTED_DOCUMENTS_ONLY must be true or false"), "{variable}");
    }

    #[test]
    fn secrets_are_not_shown() {
        let variables = [
            ("SMALLRUN_DATABASE_URL", "postgres://smallrun:hunter-two@db/smallrun?password=hunter-two"),
            ("SMALLRUN_BUS_URL", "amqp://smallrun:hunter-two@broker:5672/shop"),
            ("SMALLRUN_MAIL_URL", "smtp://post:hunter-two@mail.example:587"),
            ("SMALLRUN_SANDBOX_WEBHOOK_SECRET", "hunter-two-hunter-two"),
        ];
        let config = read(None, &variables, Flags::default()).unwrap();
        let shown = format!("{:?} {config:?}", config.describe());
        assert!(!shown.contains("hunter"), "{shown}");
        assert!(shown.contains("postgres://smallrun:***@db/smallrun?password=***"), "{shown}");
    }
}
