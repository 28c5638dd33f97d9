//! Reads request bodies, bounded in size and in time.

use std::{io::Read, time::Duration};

use actix_web::{
    HttpRequest,
    http::{
        StatusCode,
        header::{CONTENT_ENCODING, CONTENT_LENGTH},
    },
    web,
};
use flate2::read::MultiGzDecoder;
use futures_util::StreamExt;

/// The bounds on a body.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// The largest size in bytes, also after decompression.
    pub bytes_max: usize,
    /// The longest time a client may take to send it.
    pub within: Duration,
}

/// Why a body could not be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unread {
    /// It is too long, as received or after decompression.
    TooLong,
    /// It did not arrive in time.
    TooSlow,
    /// The connection broke off, or the body is not what its headers say.
    Broken,
    /// Its content encoding is not supported.
    Encoded,
}

impl Unread {
    /// Returns the HTTP status of the refusal.
    pub fn status(self) -> StatusCode {
        match self {
            Self::TooLong => StatusCode::PAYLOAD_TOO_LARGE,
            Self::TooSlow => StatusCode::REQUEST_TIMEOUT,
            Self::Broken => StatusCode::BAD_REQUEST,
            Self::Encoded => StatusCode::UNSUPPORTED_MEDIA_TYPE,
        }
    }
}

/// Reads an uncompressed body.
///
/// # Errors
///
/// Returns the reason when the body could not be read.
pub async fn read_body(request: &HttpRequest, body: web::Payload, bounds: Bounds) -> Result<Vec<u8>, Unread> {
    match encoding(request)? {
        Encoding::Plain => read(request, body, bounds).await,
        Encoding::Gzip => Err(Unread::Encoded),
    }
}

/// Reads a body that may be compressed.
pub(super) async fn read_body_inflated(
    request: &HttpRequest,
    body: web::Payload,
    bounds: Bounds,
) -> Result<Vec<u8>, Unread> {
    let encoding = encoding(request)?;
    let body = read(request, body, bounds).await?;
    match encoding {
        Encoding::Plain => Ok(body),
        Encoding::Gzip => inflate(&body, bounds.bytes_max),
    }
}

enum Encoding {
    Plain,
    Gzip,
}

fn encoding(request: &HttpRequest) -> Result<Encoding, Unread> {
    let mut lines = request.headers().get_all(CONTENT_ENCODING);
    match (lines.next().map(|line| line.to_str().unwrap_or_default().trim()), lines.next()) {
        (None, _) => Ok(Encoding::Plain),
        (Some(one), None) if one.eq_ignore_ascii_case("identity") => Ok(Encoding::Plain),
        (Some(one), None) if one.eq_ignore_ascii_case("gzip") || one.eq_ignore_ascii_case("x-gzip") => {
            Ok(Encoding::Gzip)
        }
        // Several encodings on top of each other are refused: only decompression bombs use them.
        (Some(_), _) => Err(Unread::Encoded),
    }
}

/// Decompresses a body. The memory it takes is bounded by `bytes_max`, and so is the time: a hundred
/// kilobytes take less than a millisecond.
fn inflate(body: &[u8], bytes_max: usize) -> Result<Vec<u8>, Unread> {
    let mut inside = Vec::new();
    let one_more = u64::try_from(bytes_max).unwrap_or(u64::MAX).saturating_add(1);
    MultiGzDecoder::new(body).take(one_more).read_to_end(&mut inside).map_err(|_| Unread::Broken)?;
    if inside.len() > bytes_max { Err(Unread::TooLong) } else { Ok(inside) }
}

async fn read(request: &HttpRequest, body: web::Payload, bounds: Bounds) -> Result<Vec<u8>, Unread> {
    let announced =
        request.headers().get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    if announced.is_some_and(|length| length > bounds.bytes_max) {
        return Err(Unread::TooLong);
    }
    let read = tokio::time::timeout(bounds.within, read_chunks(body, bounds.bytes_max)).await;
    read.unwrap_or(Err(Unread::TooSlow))
}

async fn read_chunks(mut body: web::Payload, bytes_max: usize) -> Result<Vec<u8>, Unread> {
    let mut read = Vec::new();
    while let Some(chunk) = body.next().await {
        let chunk = chunk.map_err(|_| Unread::Broken)?;
        if read.len().saturating_add(chunk.len()) > bytes_max {
            return Err(Unread::TooLong);
        }
        read.extend_from_slice(&chunk);
    }
    Ok(read)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::{Compression, write::GzEncoder};

    use super::*;

    fn deflate(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn decompressed_bodies_are_bounded_too() {
        assert_eq!(inflate(&deflate(b"{}"), 2).unwrap(), b"{}");
        assert_eq!(inflate(&deflate(b"{ }"), 2), Err(Unread::TooLong));
        let bomb = deflate(&vec![b' '; 20_000_000]);
        assert!(bomb.len() < 100_000, "{}", bomb.len());
        assert_eq!(inflate(&bomb, 100_000), Err(Unread::TooLong));
        let many: Vec<u8> = (0..4_000).flat_map(|_| deflate(b"")).collect();
        assert_eq!(inflate(&many, 100_000).unwrap(), b"");
    }

    #[test]
    fn invalid_or_truncated_gzip_is_broken() {
        let good = deflate(b"{\"query\":\"{ __typename }\"}");
        for (bad, what) in [
            (&b"{}"[..], "plain"),
            (&good[..good.len() - 1], "cut"),
            (&[&good[..], b"more"].concat(), "followed by something"),
            (&[], "empty"),
        ] {
            assert_eq!(inflate(bad, 1_000), Err(Unread::Broken), "{what}");
        }
    }
}
