//! The types of the settings. Each can be read from TOML or from text, and shown without secrets.
//!
//! [`edge`] holds the types for the HTTP edge.

mod edge;

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    path::{Path, PathBuf},
    str::FromStr,
};

use domain::platform::connect;
use toml::de::DeValue;
use tracing_subscriber::EnvFilter;
use workers::bus::rabbit::RabbitUrl;

pub(crate) use edge::{IntrospectionSetting, Origins, Switch};

/// A value as it was written in the configuration.
pub(super) enum RawValue<'a> {
    /// A text from the environment or the command line.
    Text(&'a str),
    /// A value from a TOML file.
    Toml(&'a DeValue<'a>),
}

impl RawValue<'_> {
    fn text(&self) -> Result<&str, String> {
        match self {
            Self::Text(text) => Ok(text),
            Self::Toml(value) => value.as_str().ok_or_else(|| "must be a string in quotes".to_owned()),
        }
    }
}

/// A type of setting.
pub(super) trait Setting: Sized {
    /// Reads the value. An error text continues a sentence, such as "must be true or false".
    fn read(raw: &RawValue<'_>) -> Result<Self, String>;
    /// Returns the value as TOML, with secrets masked, or `None` if it is not set.
    fn show(&self) -> Option<String>;
}

fn quoted(text: impl fmt::Display) -> String {
    toml::Value::String(text.to_string()).to_string()
}

/// An address with a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ListenAddress(pub(crate) SocketAddr);

impl Default for ListenAddress {
    fn default() -> Self {
        Self(SocketAddr::from((Ipv4Addr::LOCALHOST, 8080)))
    }
}

impl FromStr for ListenAddress {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        text.parse().map(Self).map_err(|_| "must be an address and a port, such as 127.0.0.1:8080".to_owned())
    }
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Setting for ListenAddress {
    fn read(raw: &RawValue<'_>) -> Result<Self, String> {
        raw.text()?.parse()
    }
    fn show(&self) -> Option<String> {
        Some(quoted(self))
    }
}

impl Setting for PathBuf {
    fn read(raw: &RawValue<'_>) -> Result<Self, String> {
        let text = raw.text()?;
        if text.is_empty() || text.contains('\0') {
            Err("must be a path".to_owned())
        } else {
            Ok(Self::from(text))
        }
    }
    fn show(&self) -> Option<String> {
        Some(quoted(self.display()))
    }
}

/// The URL of the database.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct DatabaseSetting {
    parsed: connect::DatabaseUrl,
    written: String,
}

impl DatabaseSetting {
    pub(super) fn in_folder(data: &Path) -> Self {
        let file = data.join("smallrun.sqlite");
        Self { written: format!("sqlite://{}", file.display()), parsed: connect::DatabaseUrl::sqlite(file) }
    }

    /// Returns the parsed URL, as `connect` takes it.
    pub(crate) fn parsed(&self) -> &connect::DatabaseUrl {
        &self.parsed
    }

    /// Returns the URL as it was written, including its password.
    pub(crate) fn expose(&self) -> &str {
        &self.written
    }

    /// Returns the database file if the database is SQLite.
    pub(crate) fn sqlite_file(&self) -> Option<&Path> {
        self.parsed.sqlite_file()
    }
}

impl fmt::Display for DatabaseSetting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&without_passwords(&self.written))
    }
}

impl fmt::Debug for DatabaseSetting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Setting for DatabaseSetting {
    fn read(raw: &RawValue<'_>) -> Result<Self, String> {
        let text = raw.text()?;
        let parsed =
            text.parse().map_err(|error: connect::DatabaseUrlError| format!("cannot be used: {error}"))?;
        Ok(Self { parsed, written: text.to_owned() })
    }
    fn show(&self) -> Option<String> {
        Some(quoted(self))
    }
}

/// The message bus between processes.
#[derive(Clone)]
pub(crate) enum BusUrl {
    /// A bus inside this process, on top of the database tables.
    Embedded,
    /// RabbitMQ, with the URL as it was written.
    Rabbit(RabbitUrl, String),
}

impl fmt::Debug for BusUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for BusUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Embedded => f.write_str("embedded://"),
            Self::Rabbit(_, written) => f.write_str(&without_passwords(written)),
        }
    }
}

impl Setting for BusUrl {
    fn read(raw: &RawValue<'_>) -> Result<Self, String> {
        let text = raw.text()?;
        if text == "embedded://" {
            Ok(Self::Embedded)
        } else if text.starts_with("amqp://") || text.starts_with("amqps://") {
            let url = text
                .parse()
                .map_err(|_| "must have the form amqp://USER:PASSWORD@HOST:5672/VHOST".to_owned())?;
            Ok(Self::Rabbit(url, text.to_owned()))
        } else {
            Err("must be embedded://, amqp:// or amqps://".to_owned())
        }
    }
    fn show(&self) -> Option<String> {
        Some(quoted(self))
    }
}

/// An optional path to a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OptionalPath(Option<PathBuf>);

impl OptionalPath {
    pub(super) fn absent() -> Self {
        Self(None)
    }

    /// Returns the path, if it is set.
    pub(crate) fn path(&self) -> Option<&Path> {
        self.0.as_deref()
    }
}

impl Setting for OptionalPath {
    fn read(raw: &RawValue<'_>) -> Result<Self, String> {
        PathBuf::read(raw).map(|path| Self(Some(path)))
    }
    fn show(&self) -> Option<String> {
        self.0.as_ref().map(|path| quoted(path.display()))
    }
}

/// The location of media files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MediaUrl(PathBuf);

impl MediaUrl {
    pub(super) fn in_folder(data: &Path) -> Self {
        Self(data.join("media"))
    }
}

impl Setting for MediaUrl {
    fn read(raw: &RawValue<'_>) -> Result<Self, String> {
        folder(raw.text()?).map(Self).ok_or_else(|| "must begin with file:// and name a folder".to_owned())
    }
    fn show(&self) -> Option<String> {
        Some(quoted(format_args!("file://{}", self.0.display())))
    }
}

fn folder(url: &str) -> Option<PathBuf> {
    url.strip_prefix("file://").filter(|path| !path.is_empty()).map(PathBuf::from)
}

/// The URL at which people reach this deployment, without a trailing slash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PublicUrl(String);

impl PublicUrl {
    /// Returns the URL of a server that listens on this address, as seen from the same machine.
    pub(crate) fn of(listen: &ListenAddress) -> Self {
        let mut address = listen.0;
        if address.ip().is_unspecified() {
            address.set_ip(if address.is_ipv4() {
                Ipv4Addr::LOCALHOST.into()
            } else {
                Ipv6Addr::LOCALHOST.into()
            });
        }
        Self(format!("http://{address}"))
    }

    /// Returns the URL as text.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns whether only this machine can reach the URL.
    pub(crate) fn is_of_this_machine(&self) -> bool {
        edge::is_of_this_machine(&self.0)
    }
}

impl Setting for PublicUrl {
    fn read(raw: &RawValue<'_>) -> Result<Self, String> {
        let text = raw.text()?.trim_end_matches('/');
        let rest = text.strip_prefix("http://").or_else(|| text.strip_prefix("https://"));
        match rest {
            Some(rest) if !rest.is_empty() && !rest.contains(['?', '#', '@', ' ', '"', '<', '>']) => {
                Ok(Self(text.to_owned()))
            }
            Some(_) => Err("must be a plain URL, such as https://shop.example".to_owned()),
            None => Err("must begin with http:// or https://".to_owned()),
        }
    }
    fn show(&self) -> Option<String> {
        Some(quoted(&self.0))
    }
}

/// How e-mails are delivered.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum MailUrl {
    /// Written to this folder.
    Folder(PathBuf),
    /// Sent through the SMTP server with this URL.
    Smtp(String),
}

impl MailUrl {
    pub(super) fn in_folder(data: &Path) -> Self {
        Self::Folder(data.join("mail"))
    }
}

impl fmt::Debug for MailUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Folder(path) => write!(f, "file://{}", path.display()),
            Self::Smtp(url) => f.write_str(&without_passwords(url)),
        }
    }
}

impl Setting for MailUrl {
    fn read(raw: &RawValue<'_>) -> Result<Self, String> {
        let text = raw.text()?;
        if let Some(path) = folder(text) {
            return Ok(Self::Folder(path));
        }
        let server = text.strip_prefix("smtp://").or_else(|| text.strip_prefix("smtps://"));
        match server {
            Some(server) if !server.is_empty() => Ok(Self::Smtp(text.to_owned())),
            _ => Err("must begin with file://, smtp:// or smtps://".to_owned()),
        }
    }
    fn show(&self) -> Option<String> {
        Some(quoted(format_args!("{self:?}")))
    }
}

/// A sender, such as `Smallrun <post@shop.example>`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MailboxText(String);

impl MailboxText {
    /// Returns the sender as text.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for MailboxText {
    fn default() -> Self {
        // RFC 2606 reserves the domain `.example`, so replies reach nobody.
        Self("Smallrun <post@smallrun.example>".to_owned())
    }
}

impl Setting for MailboxText {
    fn read(raw: &RawValue<'_>) -> Result<Self, String> {
        let text = raw.text()?;
        let address = match text.split_once('<') {
            Some((_, rest)) => rest.strip_suffix('>').unwrap_or(""),
            None => text,
        };
        let good = address
            .split_once('@')
            .is_some_and(|(name, host)| !name.is_empty() && !host.is_empty() && !host.contains('@'));
        let plain = !text.contains(char::is_control) && !address.contains(char::is_whitespace);
        if good && plain {
            Ok(Self(text.to_owned()))
        } else {
            Err("must be a sender, such as Shop <post@shop.example>".to_owned())
        }
    }
    fn show(&self) -> Option<String> {
        Some(quoted(&self.0))
    }
}

/// Which events are logged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LogFilter(String);

impl LogFilter {
    /// Returns the filter directives as they were written.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for LogFilter {
    fn default() -> Self {
        Self("info".to_owned())
    }
}

impl Setting for LogFilter {
    fn read(raw: &RawValue<'_>) -> Result<Self, String> {
        let text = raw.text()?;
        match EnvFilter::try_new(text) {
            Ok(_) if !text.contains(char::is_control) => Ok(Self(text.to_owned())),
            Ok(_) | Err(_) => Err("must be a filter, such as `info` or `info,domain=debug`".to_owned()),
        }
    }
    fn show(&self) -> Option<String> {
        Some(quoted(&self.0))
    }
}

/// The format of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LogFormat {
    /// Pretty on a terminal, JSON elsewhere.
    Auto,
    /// For people to read.
    Pretty,
    /// For programs to read: one JSON object per line.
    Json,
}

impl Setting for LogFormat {
    fn read(raw: &RawValue<'_>) -> Result<Self, String> {
        match raw.text()? {
            "auto" => Ok(Self::Auto),
            "pretty" => Ok(Self::Pretty),
            "json" => Ok(Self::Json),
            _ => Err("must be auto, pretty or json".to_owned()),
        }
    }
    fn show(&self) -> Option<String> {
        Some(quoted(match self {
            Self::Auto => "auto",
            Self::Pretty => "pretty",
            Self::Json => "json",
        }))
    }
}

/// A boolean setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Flag(pub(crate) bool);

impl Setting for Flag {
    fn read(raw: &RawValue<'_>) -> Result<Self, String> {
        let value = match raw {
            RawValue::Text("true") => Some(true),
            RawValue::Text("false") => Some(false),
            RawValue::Text(_) => None,
            RawValue::Toml(value) => value.as_bool(),
        };
        value.map(Self).ok_or_else(|| "must be true or false".to_owned())
    }
    fn show(&self) -> Option<String> {
        Some(self.0.to_string())
    }
}

/// A whole number within bounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Number<const MIN: u32, const MAX: u32>(u32);

impl<const MIN: u32, const MAX: u32> Number<MIN, MAX> {
    /// Returns the number, clamped to the bounds.
    pub(super) fn of(number: u32) -> Self {
        Self(number.clamp(MIN, MAX))
    }

    /// Returns the number.
    pub(crate) fn get(self) -> u32 {
        self.0
    }
}

impl<const MIN: u32, const MAX: u32> Setting for Number<MIN, MAX> {
    fn read(raw: &RawValue<'_>) -> Result<Self, String> {
        let number: Option<u32> = match raw {
            RawValue::Text(text) => text.parse().ok(),
            RawValue::Toml(value) => value
                .as_integer()
                .and_then(|integer| u32::from_str_radix(integer.as_str(), integer.radix()).ok()),
        };
        let within = number.filter(|number| (MIN..=MAX).contains(number));
        within.map(Self).ok_or_else(|| format!("must be a whole number from {MIN} to {MAX}"))
    }
    fn show(&self) -> Option<String> {
        Some(self.0.to_string())
    }
}

/// A payment gateway.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Gateway {
    /// The built-in sandbox gateway, for trying things out: it moves no money.
    Sandbox,
}

impl Setting for Gateway {
    fn read(raw: &RawValue<'_>) -> Result<Self, String> {
        match raw.text()? {
            "sandbox" => Ok(Self::Sandbox),
            _ => Err("must be sandbox".to_owned()),
        }
    }
    fn show(&self) -> Option<String> {
        match self {
            Self::Sandbox => Some(quoted("sandbox")),
        }
    }
}

/// An optional secret.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct SecretText(Option<String>);

impl SecretText {
    pub(super) fn absent() -> Self {
        Self(None)
    }

    /// Returns the secret in plain text, if it is set.
    pub(crate) fn expose(&self) -> Option<&str> {
        self.0.as_deref()
    }
}

impl fmt::Debug for SecretText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "***" } else { "none" })
    }
}

impl Setting for SecretText {
    fn read(raw: &RawValue<'_>) -> Result<Self, String> {
        let text = raw.text()?;
        let fits = (16..=200).contains(&text.len());
        if fits { Ok(Self(Some(text.to_owned()))) } else { Err("must have 16 to 200 characters".to_owned()) }
    }
    fn show(&self) -> Option<String> {
        self.0.as_ref().map(|_| quoted("***"))
    }
}

/// The addresses of trusted proxies.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct ProxyList(Vec<IpAddr>);

impl ProxyList {
    /// Returns the addresses.
    pub(crate) fn addresses(&self) -> &[IpAddr] {
        &self.0
    }
}

impl Setting for ProxyList {
    fn read(raw: &RawValue<'_>) -> Result<Self, String> {
        let texts: Option<Vec<&str>> = match raw {
            RawValue::Text(text) => {
                Some(text.split(',').map(str::trim).filter(|text| !text.is_empty()).collect())
            }
            RawValue::Toml(value) => value
                .as_array()
                .and_then(|values| values.iter().map(|value| value.get_ref().as_str()).collect()),
        };
        let addresses = texts.and_then(|texts| texts.iter().map(|text| text.parse().ok()).collect());
        addresses.map(Self).ok_or_else(|| "must be a list of addresses, such as [\"10.0.0.1\"]".to_owned())
    }
    fn show(&self) -> Option<String> {
        let texts: Vec<_> = self.0.iter().map(quoted).collect();
        Some(format!("[{}]", texts.join(", ")))
    }
}

/// Returns the URL with `***` in place of the passwords in its user part and in its query.
fn without_passwords(url: &str) -> String {
    let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
    let (front, query) = rest.split_once('?').map_or((rest, None), |(front, query)| (front, Some(query)));
    // A password may contain an unescaped `@` or `/`. The last `@` ends the password.
    let front = match front.rsplit_once('@') {
        Some((user, host)) => match user.split_once(':') {
            Some((name, _)) => format!("{name}:***@{host}"),
            None => front.to_owned(),
        },
        None => front.to_owned(),
    };
    let query = query.map_or(String::new(), |query| {
        let pairs = query.split('&').map(|pair| match pair.split_once('=') {
            Some((name, _)) if name.contains("pass") || name.contains("secret") => format!("{name}=***"),
            _ => pair.to_owned(),
        });
        format!("?{}", pairs.collect::<Vec<_>>().join("&"))
    });
    format!("{scheme}://{front}{query}")
}
