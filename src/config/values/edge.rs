//! The types of the settings for the HTTP edge.

use std::net::IpAddr;

use super::{RawValue, Setting, quoted};

/// Who can introspect the schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum IntrospectionSetting {
    /// Everybody while the server is being tried out, otherwise as `Permitted`.
    Auto,
    /// Everybody.
    On,
    /// Administrators, and tokens with the permission to read the schema.
    Permitted,
    /// Nobody.
    Off,
}

impl IntrospectionSetting {
    /// Resolves the setting for a server that is (or is not) being tried out.
    pub(crate) fn audience(self, tried_out: bool) -> edge::introspection::SchemaAudience {
        match self {
            Self::Auto if tried_out => edge::introspection::SchemaAudience::Everybody,
            Self::On => edge::introspection::SchemaAudience::Everybody,
            Self::Auto | Self::Permitted => edge::introspection::SchemaAudience::Permitted,
            Self::Off => edge::introspection::SchemaAudience::Nobody,
        }
    }
}

impl Setting for IntrospectionSetting {
    fn read(raw: &RawValue<'_>) -> Result<Self, String> {
        match raw.text()? {
            "auto" => Ok(Self::Auto),
            "on" => Ok(Self::On),
            "permitted" => Ok(Self::Permitted),
            "off" => Ok(Self::Off),
            _ => Err("must be auto, on, permitted or off".to_owned()),
        }
    }
    fn show(&self) -> Option<String> {
        Some(quoted(match self {
            Self::Auto => "auto",
            Self::On => "on",
            Self::Permitted => "permitted",
            Self::Off => "off",
        }))
    }
}

/// Whether a feature for trying out the server is on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Switch {
    /// Only while the server is being tried out.
    Auto,
    /// Always.
    On,
    /// Never.
    Off,
}

impl Switch {
    /// Resolves the setting for a server that is (or is not) being tried out.
    pub(crate) fn is_on(self, tried_out: bool) -> bool {
        match self {
            Self::Auto => tried_out,
            Self::On => true,
            Self::Off => false,
        }
    }
}

impl Setting for Switch {
    fn read(raw: &RawValue<'_>) -> Result<Self, String> {
        match raw.text()? {
            "auto" => Ok(Self::Auto),
            "on" => Ok(Self::On),
            "off" => Ok(Self::Off),
            _ => Err("must be auto, on or off".to_owned()),
        }
    }
    fn show(&self) -> Option<String> {
        Some(quoted(match self {
            Self::Auto => "auto",
            Self::On => "on",
            Self::Off => "off",
        }))
    }
}

/// The origins whose pages can read the responses of the API (CORS).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Origins {
    /// Any origin.
    Any,
    /// Only these origins, as a browser sends them: `https://shop.example`.
    These(Vec<String>),
}

impl Origins {
    /// Converts the setting to the type that the edge takes.
    pub(crate) fn cors(&self) -> edge::http::cors::Cors {
        match self {
            Self::Any => edge::http::cors::Cors::Any,
            Self::These(origins) => edge::http::cors::Cors::These(origins.clone()),
        }
    }
}

/// Returns whether the text is a scheme and a host with nothing after it. Browsers send an `Origin` of this
/// form, and compare it exactly.
fn is_origin(text: &str) -> bool {
    let host = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    host.is_some_and(|host| {
        let plain = |letter: char| {
            letter.is_ascii_lowercase()
                || letter.is_ascii_digit()
                || matches!(letter, '.' | '-' | ':' | '[' | ']')
        };
        !host.is_empty() && host.chars().all(plain)
    })
}

impl Setting for Origins {
    fn read(raw: &RawValue<'_>) -> Result<Self, String> {
        let texts: Option<Vec<&str>> = match raw {
            RawValue::Text("any") => return Ok(Self::Any),
            RawValue::Text(text) => {
                Some(text.split(',').map(str::trim).filter(|text| !text.is_empty()).collect())
            }
            RawValue::Toml(value) if value.as_str() == Some("any") => return Ok(Self::Any),
            RawValue::Toml(value) => value
                .as_array()
                .and_then(|values| values.iter().map(|value| value.get_ref().as_str()).collect()),
        };
        let these = texts.filter(|texts| texts.iter().all(|text| is_origin(text)));
        let these = these.map(|texts| texts.into_iter().map(str::to_owned).collect());
        these
            .map(Self::These)
            .ok_or_else(|| "must be any, or a list of origins, such as [\"https://shop.example\"]".to_owned())
    }
    fn show(&self) -> Option<String> {
        match self {
            Self::Any => Some(quoted("any")),
            Self::These(origins) => {
                Some(format!("[{}]", origins.iter().map(quoted).collect::<Vec<_>>().join(", ")))
            }
        }
    }
}

/// Returns whether the host of a URL is `localhost` or a loopback address, which only this machine can use.
pub(super) fn is_of_this_machine(url: &str) -> bool {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = rest.split('/').next().unwrap_or_default();
    let host = match authority.strip_prefix('[') {
        Some(v6) => v6.split(']').next().unwrap_or_default(),
        None => authority.rsplit_once(':').map_or(authority, |(host, _)| host),
    };
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_default_only_a_server_that_is_being_tried_out_is_open() {
        use edge::introspection::SchemaAudience as Audience;
        for (setting, tried_out, audience) in [
            (IntrospectionSetting::Auto, true, Audience::Everybody),
            (IntrospectionSetting::Auto, false, Audience::Permitted),
            (IntrospectionSetting::On, false, Audience::Everybody),
            (IntrospectionSetting::Permitted, true, Audience::Permitted),
            (IntrospectionSetting::Off, true, Audience::Nobody),
        ] {
            assert_eq!(setting.audience(tried_out), audience, "{setting:?} {tried_out}");
        }
        let on =
            [Switch::Auto, Switch::On, Switch::Off].map(|switch| (switch.is_on(true), switch.is_on(false)));
        assert_eq!(on, [(true, false), (true, true), (false, false)]);
    }

    #[test]
    fn loopback_names_are_recognised_as_this_machine() {
        for url in
            ["http://127.0.0.1:8080", "http://localhost", "http://[::1]:8080/shop", "http://127.3.2.1/x"]
        {
            assert!(is_of_this_machine(url), "{url}");
        }
        for url in [
            "https://shop.example",
            "http://localhost.example",
            "http://10.0.0.1:8080",
            "http://[2001:db8::1]",
            "http://",
        ] {
            assert!(!is_of_this_machine(url), "{url}");
        }
    }

    #[test]
    fn an_origin_has_nothing_after_its_host() {
        for text in ["https://shop.example", "http://localhost:3000", "http://[::1]:3000"] {
            assert!(is_origin(text), "{text}");
        }
        for text in [
            "shop.example",
            "https://",
            "https://shop.example/",
            "https://Shop.example",
            "https://*.shop.example",
            "null",
        ] {
            assert!(!is_origin(text), "{text}");
        }
    }
}
