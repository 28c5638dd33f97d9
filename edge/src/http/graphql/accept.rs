//! Content negotiation: the media types that a client accepts (RFC 9110, section 12.5.1), and the best of
//! ours.

use actix_web::{HttpRequest, http::header::ACCEPT};

/// The media types of a single answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum MediaType {
    Json,
    GraphqlResponse,
}

impl MediaType {
    /// In order of preference when the client has none. JSON comes first: a client that accepts anything may
    /// predate the other type (GraphQL over HTTP, section 6.1).
    const ALL: [Self; 2] = [Self::Json, Self::GraphqlResponse];

    /// Returns the content type. Answers are always in UTF-8.
    pub(super) fn content_type(self) -> &'static str {
        match self {
            Self::Json => "application/json; charset=utf-8",
            Self::GraphqlResponse => "application/graphql-response+json; charset=utf-8",
        }
    }

    fn essence(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::GraphqlResponse => "application/graphql-response+json",
        }
    }
}

/// The parsed `Accept` header of a request.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Accept(Vec<Range>);

#[derive(Debug, Clone, PartialEq)]
struct Range {
    /// In lower case: a type, `type/*` or `*/*`.
    essence: String,
    weight: f32,
}

/// How much a media type is wanted. It is ordered by weight, then by an exact name before a wildcard, then by
/// position.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub(super) struct Wanted {
    weight: f32,
    named: bool,
    /// Negative, so that an earlier position is greater.
    place: i32,
}

impl Accept {
    /// Parses the header of a request. Several header lines form one list; invalid media ranges are ignored.
    pub(super) fn of(request: &HttpRequest) -> Self {
        let lines = request.headers().get_all(ACCEPT).filter_map(|line| line.to_str().ok());
        Self(lines.flat_map(|line| line.split(',')).filter_map(Range::parse).collect())
    }

    /// Returns how much a media type is wanted; `None` when the client does not accept it.
    pub(super) fn wanted(&self, essence: &str) -> Option<Wanted> {
        let kind = essence.split('/').next().unwrap_or_default();
        let fits = |range: &Range| match range.essence.strip_suffix('*') {
            Some("*/") => Some(0_u8),
            Some(any) => (any.strip_suffix('/') == Some(kind)).then_some(1),
            None => (range.essence == essence).then_some(2),
        };
        let fitting =
            self.0.iter().zip(0_i32..).filter_map(|(range, place)| Some((fits(range)?, range.weight, place)));
        // The most specific range decides, and the first of equally specific ones.
        let decides = fitting.reduce(|best, next| if next.0 > best.0 { next } else { best });
        let (specificity, weight, place) = decides?;
        (weight > 0.0).then_some(Wanted { weight, named: specificity == 2, place: place.saturating_neg() })
    }

    /// Returns the media type of a single answer; `None` when the client accepts none of ours. Without an
    /// `Accept` header it is JSON.
    pub(super) fn choose(&self) -> Option<MediaType> {
        if self.0.is_empty() {
            return Some(MediaType::Json);
        }
        let wanted =
            MediaType::ALL.into_iter().filter_map(|media| Some((media, self.wanted(media.essence())?)));
        wanted.reduce(|best, next| if next.1 > best.1 { next } else { best }).map(|(media, _)| media)
    }
}

impl Range {
    fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split(';').map(str::trim);
        let mut essence = parts.next().filter(|essence| essence.contains('/'))?.to_ascii_lowercase();
        let mut weight = 1.0;
        for (name, value) in parts.filter_map(|part| part.split_once('=')) {
            let value = value.trim().trim_matches('"');
            match name.trim().to_ascii_lowercase().as_str() {
                "q" => {
                    weight = value.parse().ok().filter(|weight| (0.0..=1.0).contains(weight)).unwrap_or(0.0)
                }
                // A range with another character set never matches.
                "charset" if !super::params::is_utf8(value) => essence.push_str(" in another charset"),
                _ => {}
            }
        }
        Some(Self { essence, weight })
    }
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::{MediaType::*, *};

    #[test]
    fn the_media_type_the_client_prefers_is_chosen() {
        for (accept, chosen) in [
            ("", Some(Json)),
            ("*/*", Some(Json)),
            ("application/*", Some(Json)),
            ("application/json", Some(Json)),
            ("Application/JSON; charset=UTF-8", Some(Json)),
            ("application/graphql-response+json", Some(GraphqlResponse)),
            ("application/graphql-response+json, application/json;q=0.9", Some(GraphqlResponse)),
            (
                "application/graphql-response+json;charset=utf-8, application/json;charset=utf-8",
                Some(GraphqlResponse),
            ),
            ("application/json;q=0.1, application/graphql-response+json", Some(GraphqlResponse)),
            ("application/json, application/graphql-response+json", Some(Json)),
            ("application/graphql-response+json;q=0, application/json", Some(Json)),
            ("application/graphql-response+json;q=0, */*", Some(Json)),
            ("application/json;q=0, */*", Some(GraphqlResponse)),
            ("*/*, application/graphql-response+json", Some(GraphqlResponse)),
            ("application/graphql-response+json;q=0.5, */*", Some(Json)),
            ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", Some(Json)),
            ("text/html", None),
            ("application/json;charset=utf-16", None),
            ("application/json;q=0", None),
            ("application/json;q=nan", None),
            ("application/xml, text/*", None),
            // An invalid media range is ignored.
            ("nonsense", Some(Json)),
        ] {
            let mut request = TestRequest::default();
            if !accept.is_empty() {
                request = request.insert_header((ACCEPT, accept));
            }
            assert_eq!(Accept::of(&request.to_http_request()).choose(), chosen, "{accept}");
        }
    }

    #[test]
    fn several_lines_are_one_list() {
        let request = TestRequest::default()
            .append_header((ACCEPT, "text/html"))
            .append_header((ACCEPT, "application/json"));
        let accept = Accept::of(&request.to_http_request());
        assert_eq!(accept.choose(), Some(Json));
        assert!(
            accept.wanted("text/html") > accept.wanted("application/json")
                && accept.wanted("text/event-stream").is_none()
        );
    }
}
