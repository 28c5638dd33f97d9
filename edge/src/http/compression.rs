//! Compresses answers of medium size. Small answers gain nothing, large ones would occupy a processor for
//! long, and streams are sent as they are produced.
//!
//! BREACH, an attack that learns secrets from the length of compressed answers, requires that an attacker can
//! make a browser send requests with the victim's credentials. There are no cookies here, so only the holder
//! of a token can send requests with it.

use std::io::Write;

use actix_web::{
    body::{BodySize, BoxBody, MessageBody},
    dev::ServiceResponse,
    http::{
        Method, StatusCode,
        header::{ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderValue, VARY},
    },
    web,
};
use flate2::{Compression, write::GzEncoder};

/// Below this size the headers outweigh the savings.
const BYTES_MIN: u64 = 1_024;
/// Above this size nothing is compressed. The largest file of the playground is smaller.
const BYTES_MAX: u64 = 8 * 1024 * 1024;
/// Up to this size compression takes a fraction of a millisecond, less than a switch to another thread and
/// back under load.
const AT_ONCE_MAX: u64 = 32 * 1024;

/// Compresses the answer if that is worthwhile and the client accepts it.
pub(super) async fn compressed(response: ServiceResponse<BoxBody>) -> ServiceResponse<BoxBody> {
    let BodySize::Sized(length) = response.response().body().size() else { return response };
    if !(BYTES_MIN..=BYTES_MAX).contains(&length) || !may_be_compressed(response.status(), response.headers())
    {
        return response;
    }
    let wanted = takes_gzip(response.request().headers()) && response.request().method() != Method::HEAD;
    let (request, response) = response.into_parts();
    let (mut response, body) = response.into_parts();
    response.headers_mut().append(VARY, HeaderValue::from_static("accept-encoding"));
    let body = match body.try_into_bytes() {
        Ok(plain) if wanted => {
            let zipped = if length <= AT_ONCE_MAX {
                gzip(&plain)
            } else {
                let plain = plain.clone();
                web::block(move || gzip(&plain)).await.ok().flatten()
            };
            match zipped {
                Some(zipped) => {
                    response.headers_mut().insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
                    BoxBody::new(zipped)
                }
                None => BoxBody::new(plain),
            }
        }
        Ok(plain) => BoxBody::new(plain),
        Err(stream) => stream,
    };
    ServiceResponse::new(request, response.set_body(body))
}

fn gzip(plain: &[u8]) -> Option<Vec<u8>> {
    // The fast level reduces JSON to a sixth. The best level reduces it to an eighth and takes five times as
    // long.
    let mut encoder = GzEncoder::new(Vec::with_capacity(plain.len().div_ceil(4)), Compression::fast());
    encoder.write_all(plain).ok()?;
    encoder.finish().ok()
}

fn may_be_compressed(status: StatusCode, headers: &HeaderMap) -> bool {
    let whole =
        !matches!(status, StatusCode::PARTIAL_CONTENT | StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
    let media = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = media.split(';').next().unwrap_or_default().trim();
    let shrinks = essence.starts_with("text/")
        || essence.ends_with("+json")
        || essence.ends_with("+xml")
        || matches!(essence, "application/json" | "application/javascript");
    whole && shrinks && !headers.contains_key(CONTENT_ENCODING)
}

/// Returns whether `Accept-Encoding` contains gzip, by name or by `*`, with a weight above zero.
fn takes_gzip(headers: &HeaderMap) -> bool {
    let lines = headers.get_all(ACCEPT_ENCODING).filter_map(|line| line.to_str().ok());
    let (mut by_name, mut by_star) = (None, None);
    for coding in lines.flat_map(|line| line.split(',')) {
        let (name, weight) = coding.split_once(';').unwrap_or((coding, "q=1"));
        let weight =
            weight.trim().trim_start_matches(['q', 'Q']).trim_start_matches('=').trim().parse::<f32>();
        let wanted = weight.is_ok_and(|weight| weight > 0.0);
        match name.trim().to_ascii_lowercase().as_str() {
            "gzip" | "x-gzip" => by_name = Some(wanted),
            "*" => by_star = Some(wanted),
            _ => {}
        }
    }
    by_name.or(by_star).unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::HeaderName;

    use super::*;

    fn with(name: HeaderName, value: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(name, HeaderValue::from_str(value).unwrap());
        headers
    }

    #[test]
    fn gzip_is_sent_to_clients_that_accept_it() {
        for (accept, takes) in [
            ("gzip", true),
            ("gzip, deflate, br", true),
            ("br;q=1.0, GZIP;q=0.8, *;q=0.1", true),
            ("*", true),
            ("deflate", false),
            ("gzip;q=0", false),
            ("gzip;q=0, *", false),
            ("*;q=0", false),
            ("identity", false),
            ("", false),
        ] {
            assert_eq!(takes_gzip(&with(ACCEPT_ENCODING, accept)), takes, "{accept}");
        }
        assert!(!takes_gzip(&HeaderMap::new()));
    }

    #[test]
    fn only_texts_are_compressed() {
        for (media, shrinks) in [
            ("application/json; charset=utf-8", true),
            ("application/graphql-response+json; charset=utf-8", true),
            ("text/html; charset=utf-8", true),
            ("image/svg+xml", true),
            ("image/avif", false),
            ("application/zip", false),
            ("", false),
        ] {
            assert_eq!(may_be_compressed(StatusCode::OK, &with(CONTENT_TYPE, media)), shrinks, "{media}");
        }
        assert!(!may_be_compressed(StatusCode::NOT_MODIFIED, &with(CONTENT_TYPE, "text/html")));
    }
}
