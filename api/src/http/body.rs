//! Reading the body of a request, bounded in bytes and in time.

use std::time::Duration;

use actix_web::{
    HttpRequest,
    http::{StatusCode, header::CONTENT_LENGTH},
    web,
};
use futures_util::StreamExt;

/// The longest that a client may take to send a body: a hundred kilobytes over a bad phone line.
const BODY_WITHIN: Duration = Duration::from_secs(20);

/// Reads a body, bounded in bytes and in time.
pub(super) async fn read_body(request: &HttpRequest, body: web::Payload, bytes_max: usize) -> Result<Vec<u8>, StatusCode> {
    let announced = request.headers().get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    if announced.is_some_and(|length| length > bytes_max) {
        return Err(StatusCode::PAYLOAD_TOO_LARGE);
    }
    let read = tokio::time::timeout(BODY_WITHIN, read_chunks(body, bytes_max)).await;
    read.unwrap_or(Err(StatusCode::REQUEST_TIMEOUT))
}

async fn read_chunks(mut body: web::Payload, bytes_max: usize) -> Result<Vec<u8>, StatusCode> {
    let mut read = Vec::new();
    while let Some(chunk) = body.next().await {
        let chunk = chunk.map_err(|_| StatusCode::BAD_REQUEST)?;
        if read.len().saturating_add(chunk.len()) > bytes_max {
            return Err(StatusCode::PAYLOAD_TOO_LARGE);
        }
        read.extend_from_slice(&chunk);
    }
    Ok(read)
}
