//! Classifies a server's responses by searching their bytes. They are not parsed as JSON, because the
//! benchmark shares its processors with the server.

use bench::{client::Answer, load::has_no_errors, reserve::was_reserved};

/// The meaning of a response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Said {
    /// The unit was reserved.
    Accepted,
    /// The drop is sold out.
    SoldOut,
    /// Another rule refused the request. This is as final as [`Self::SoldOut`].
    Refused,
    /// A query was answered without errors.
    Page,
    /// The server is busy; retry after this number of seconds, if given.
    Busy(Option<u32>),
    /// Any other response.
    Odd,
}

impl Said {
    /// Classifies the response to a reservation.
    pub(crate) fn of_reservation(answer: &Answer<'_>) -> Self {
        let body = answer.body;
        match answer.status {
            200 if was_reserved(body) => Self::Accepted,
            200 if has_no_errors(body) && contains(body, b"\"code\":\"SOLD_OUT\"") => Self::SoldOut,
            200 if has_no_errors(body) && contains(body, b"\"code\":\"") => Self::Refused,
            _ => Self::of_failure(answer),
        }
    }

    /// Classifies the response to a query.
    pub(crate) fn of_page(answer: &Answer<'_>) -> Self {
        if answer.status == 200 && has_no_errors(answer.body) { Self::Page } else { Self::of_failure(answer) }
    }

    fn of_failure(answer: &Answer<'_>) -> Self {
        let busy = answer.status == 503 && contains(answer.body, b"\"code\":\"BUSY\"");
        if busy { Self::Busy(retry_after(answer.body)) } else { Self::Odd }
    }

    /// Returns whether the server decided about the reservation: it accepted or refused it.
    pub(crate) fn is_decision(self) -> bool {
        matches!(self, Self::Accepted | Self::SoldOut | Self::Refused)
    }
}

fn contains(body: &[u8], part: &[u8]) -> bool {
    body.windows(part.len()).any(|bytes| bytes == part)
}

fn retry_after(body: &[u8]) -> Option<u32> {
    let text = std::str::from_utf8(body).ok()?;
    let (_, rest) = text.split_once("\"retryAfterSecs\":")?;
    rest.split(|letter: char| !letter.is_ascii_digit()).next()?.parse().ok()
}

/// Returns the status and the beginning of a response as text for messages.
pub(crate) fn shown(answer: &Answer<'_>) -> String {
    let text: String = String::from_utf8_lossy(answer.body).chars().take(400).collect();
    format!("{} {text}", answer.status)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn responses_are_classified() {
        let refused = |code: &str| {
            format!(r#"{{"data":{{"checkoutReserve":{{"checkout":null,"errors":[{{"code":"{code}"}}]}}}}}}"#)
        };
        let failed = |code: &str| {
            format!(
                r#"{{"data":null,"errors":[{{"message":"x","extensions":{{
                    "code":"{code}","retryAfterSecs":2}}}}]}}"#
            )
        };
        let made = r#"{"data":{"checkoutReserve":{"checkout":{"id":"checkout_1"},"errors":[]}}}"#.to_owned();
        for (status, body, expected) in [
            (200, made, Said::Accepted),
            (200, refused("SOLD_OUT"), Said::SoldOut),
            (200, refused("LIMIT_EXCEEDED"), Said::Refused),
            (503, failed("BUSY"), Said::Busy(Some(2))),
            (429, failed("RATE_LIMITED"), Said::Odd),
            (503, "full".to_owned(), Said::Odd),
        ] {
            assert_eq!(
                Said::of_reservation(&Answer { status, body: body.as_bytes() }),
                expected,
                "{status} {body}"
            );
        }
        assert_eq!(
            Said::of_page(&Answer { status: 200, body: br#"{"data":{"drops":{"nodes":[]}}}"# }),
            Said::Page
        );
    }
}
