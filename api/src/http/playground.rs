//! The playground: GraphiQL and its examples, served from memory, so that it works without access to other
//! servers.
//!
//! `api/playground/vendor/README.md` lists the vendored files and the reasons for their versions.
//! `api/playground/examples/README.md` explains how to write an example.

use std::{
    collections::BTreeMap,
    fmt,
    hash::{DefaultHasher, Hash, Hasher},
    sync::LazyLock,
};

use actix_web::{
    HttpRequest, HttpResponse, HttpResponseBuilder, Route, guard,
    http::{
        StatusCode,
        header::{self, EntityTag, Header, IfNoneMatch},
    },
    web,
};
use serde::Serialize;
use serde_json::json;

/// Scripts and everything else come from this server only. GraphiQL sets style attributes (hence
/// `unsafe-inline` for styles alone), embeds its fonts in its style sheet, and may start workers.
const CONTENT_SECURITY_POLICY: &str = "default-src 'self'; style-src 'self' 'unsafe-inline'; \
     img-src 'self' data:; font-src 'self' data:; worker-src 'self' blob:; object-src 'none'; \
     base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// The browser may store the file, but revalidates it each time; most answers are `304`.
const REVALIDATE: &str = "no-cache";
/// For addresses that contain the hash of the content: changed content has another address.
const IMMUTABLE: &str = "public, max-age=31536000, immutable";

const JS: &str = "text/javascript; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const HTML: &str = "text/html; charset=utf-8";
const SVG: &str = "image/svg+xml";
const JSON: &str = "application/json";

const FAVICON: &str = "favicon.svg";

/// The page. `{{file}}` stands for a file's name with its version.
const PAGE: &str = include_str!("../../playground/index.html");

/// The name, content type and content of the page's files.
const FILES: &[(&str, &str, &[u8])] = &[
    ("start.js", JS, include_bytes!("../../playground/start.js")),
    ("style.css", CSS, include_bytes!("../../playground/style.css")),
    (FAVICON, SVG, include_bytes!("../../playground/favicon.svg")),
    ("graphiql.min.js", JS, include_bytes!("../../playground/vendor/graphiql.min.js")),
    ("graphiql.min.css", CSS, include_bytes!("../../playground/vendor/graphiql.min.css")),
    ("react.production.min.js", JS, include_bytes!("../../playground/vendor/react.production.min.js")),
    (
        "react-dom.production.min.js",
        JS,
        include_bytes!("../../playground/vendor/react-dom.production.min.js"),
    ),
];

/// One entry of [`EXAMPLE_FILES`].
macro_rules! example {
    ($name:literal) => {
        ($name, include_str!(concat!("../../playground/examples/", $name, ".graphql")))
    };
}

/// The names and texts of the examples, in the order of the playground's list.
const EXAMPLE_FILES: &[(&str, &str)] = &[
    example!("10-storefront-drops"),
    example!("11-storefront-closing-soon"),
    example!("12-storefront-drop"),
    example!("13-storefront-creators"),
    example!("14-storefront-products"),
    example!("15-storefront-product"),
    example!("16-storefront-quote"),
    example!("17-storefront-legal-texts"),
    example!("18-storefront-node"),
    example!("19-storefront-guest"),
    example!("20-storefront-live-stock"),
    example!("30-buyer-viewer"),
    example!("31-buyer-reserve"),
    example!("32-buyer-pay"),
    example!("33-buyer-checkout"),
    example!("34-buyer-checkouts"),
    example!("35-buyer-cancel"),
    example!("36-buyer-live-checkout"),
    example!("50-creator-product"),
    example!("51-creator-variant"),
    example!("52-creator-drop"),
    example!("53-creator-drop-item"),
    example!("54-creator-publish"),
    example!("55-creator-drop-update"),
    example!("56-creator-reservations"),
    example!("57-creator-profile"),
    example!("58-creator-shipping"),
    example!("59-creator-api-token"),
    example!("70-admin-accounts"),
    example!("71-admin-audit-log"),
    example!("72-admin-dead-letters"),
    example!("73-admin-tax-rates"),
    example!("74-admin-tax-rate"),
    example!("75-admin-tasks"),
    example!("76-admin-task"),
    example!("77-admin-requeue"),
    example!("78-admin-requeue-all"),
    example!("79-admin-discard"),
];

/// The bearer tokens of the demo accounts by role (`buyer`, `creator`, `admin`), or `None` without a demo.
///
/// Give them to the application as `web::Data<DemoTokens>`. In demo mode everyone who reaches the playground
/// gets them, so they must never be valid for anything but a demo.
#[derive(Clone, Default)]
pub struct DemoTokens(pub Option<BTreeMap<String, String>>);

impl fmt::Debug for DemoTokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let roles: Option<Vec<_>> = self.0.as_ref().map(|tokens| tokens.keys().collect());
        f.debug_tuple("DemoTokens").field(&roles).finish()
    }
}

/// The role an example is written for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ExampleRole {
    /// An anonymous visitor of a storefront.
    Storefront,
    /// A person who reserves.
    Buyer,
    /// A member of a creator.
    Creator,
    /// An administrator of the marketplace.
    Admin,
}

impl ExampleRole {
    fn parse(text: &str) -> Option<Self> {
        match text {
            "storefront" => Some(Self::Storefront),
            "buyer" => Some(Self::Buyer),
            "creator" => Some(Self::Creator),
            "admin" => Some(Self::Admin),
            _ => None,
        }
    }
}

/// An example operation of the playground.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Example {
    /// The name of its file without `.graphql`; unique.
    pub name: String,
    /// The role it is written for, with whose token a demo runs it.
    pub role: ExampleRole,
    /// Its title in the list of examples.
    pub title: String,
    /// The GraphQL document, without the comment lines that hold the other fields.
    pub query: String,
    /// Queries that the playground runs in sequence when it opens the example, with the example's role. They
    /// provide the values of its placeholders. A query may contain placeholders that an earlier one fills.
    pub prepare: Vec<String>,
    /// Its variables: the text of a JSON object, which preserves the order of its fields. The strings in it
    /// may contain placeholders: `{{uuid}}`, `{{UUID}}`, `{{in:2d}}`, and `{{path.to.value}}` in the answers
    /// to `prepare`.
    pub variables: Option<String>,
    /// Whether it is shown on the first visit.
    pub default: bool,
}

/// Why the file of an example is malformed.
#[derive(Debug, thiserror::Error)]
enum ExampleError {
    #[error("has no `# {0}: …` line")]
    Missing(&'static str),
    #[error("has more than one `# {0}: …` line")]
    Twice(&'static str),
    #[error("has the unknown role `{0}`")]
    Role(String),
    #[error("has variables that are not a JSON object")]
    Variables(#[source] serde_json::Error),
    #[error("says `# default: {0}`, which is neither true nor false")]
    Default(String),
}

impl Example {
    /// Parses the file of an example. The comment lines at its top hold the keys. A value may continue on the
    /// following comment lines, up to the next key or an empty comment. Only `prepare` may occur more than
    /// once.
    fn parse(name: &str, text: &str) -> Result<Self, ExampleError> {
        const KEYS: [&str; 5] = ["title", "role", "prepare", "variables", "default"];
        let mut values: Vec<(&str, String)> = Vec::new();
        let mut query = String::new();
        let mut is_open = false;
        let mut at_top = true;
        for line in text.lines() {
            let comment = if at_top { line.strip_prefix('#').map(str::trim) } else { None };
            let Some(comment) = comment else {
                at_top = false;
                query.push_str(line);
                query.push('\n');
                continue;
            };
            let key_and_value = comment
                .split_once(':')
                .and_then(|(key, value)| Some((*KEYS.iter().find(|k| **k == key)?, value)));
            if let Some((key, value)) = key_and_value {
                values.push((key, value.trim().to_owned()));
                is_open = true;
            } else if let Some((_, value)) = values.last_mut().filter(|_| is_open && !comment.is_empty()) {
                value.push(' ');
                value.push_str(comment);
            } else if comment.is_empty() && is_open {
                is_open = false;
            } else {
                query.push_str(line);
                query.push('\n');
            }
        }
        let mut prepare = Vec::new();
        let mut single = BTreeMap::new();
        for (key, value) in values {
            if key == "prepare" {
                prepare.push(value);
            } else if single.insert(key, value).is_some() {
                return Err(ExampleError::Twice(key));
            }
        }
        let mut required =
            |key| single.remove(key).filter(|value| !value.is_empty()).ok_or(ExampleError::Missing(key));
        let title = required("title")?;
        let role = required("role")?;
        let role = ExampleRole::parse(&role).ok_or(ExampleError::Role(role))?;
        let variables = single.remove("variables");
        if let Some(json) = &variables {
            serde_json::from_str::<BTreeMap<String, serde::de::IgnoredAny>>(json)
                .map_err(ExampleError::Variables)?;
        }
        let default = match single.remove("default").as_deref() {
            None | Some("false") => false,
            Some("true") => true,
            Some(other) => return Err(ExampleError::Default(other.to_owned())),
        };
        let query = format!("{}\n", query.trim());
        Ok(Self { name: name.to_owned(), role, title, query, prepare, variables, default })
    }
}

/// Returns the examples, in the order of the list.
pub fn examples() -> Vec<Example> {
    EXAMPLE_FILES
        .iter()
        .filter_map(|(name, text)| match Example::parse(name, text) {
            Ok(example) => Some(example),
            // A test parses every file. A build that skipped the tests has one example less, and logs the
            // reason.
            Err(error) => {
                tracing::error!(example = name, %error, "playground example skipped");
                None
            }
        })
        .collect()
}

/// Adds `/playground`, its files, and `/favicon.ico`.
///
/// In demo mode the application must also hold `web::Data<DemoTokens>`. Answers are not compressed here; the
/// application's middleware does that.
pub fn configure(cfg: &mut web::ServiceConfig) {
    cfg.service(web::resource("/playground").route(read().to(page)))
        .service(web::resource("/playground/").route(read().to(without_slash)))
        .service(web::resource("/playground/examples.json").route(read().to(examples_json)))
        .service(web::resource("/playground/demo.json").route(read().to(demo_json)))
        .service(web::resource("/playground/{file}").route(read().to(file)))
        .service(web::resource("/favicon.ico").route(read().to(favicon)));
}

/// Matches GET and HEAD.
fn read() -> Route {
    web::route().guard(guard::Any(guard::Get()).or(guard::Head()))
}

/// A file served from memory.
struct Asset {
    name: &'static str,
    content_type: &'static str,
    content: web::Bytes,
    /// The hash of the content, in hexadecimal.
    version: String,
}

impl Asset {
    fn new(name: &'static str, content_type: &'static str, content: web::Bytes) -> Self {
        // Nobody gains from a collision, so 64 bits of a fast hash suffice. Its keys are fixed, so that all
        // processes of one build agree.
        let mut hasher = DefaultHasher::new();
        content.hash(&mut hasher);
        let version = format!("{:016x}", hasher.finish());
        Self { name, content_type, content, version }
    }

    /// The tag is weak, because the middleware may send the same content compressed.
    fn etag(&self) -> EntityTag {
        EntityTag::new_weak(self.version.clone())
    }

    fn answer(&self, request: &HttpRequest) -> HttpResponse {
        let is_versioned = request.query_string().strip_prefix("v=") == Some(self.version.as_str());
        let etag = self.etag();
        let is_known = match IfNoneMatch::parse(request) {
            Ok(IfNoneMatch::Any) => true,
            Ok(IfNoneMatch::Items(known)) => known.iter().any(|known| known.weak_eq(&etag)),
            Err(_) => false,
        };
        let mut response = guarded(if is_known { StatusCode::NOT_MODIFIED } else { StatusCode::OK });
        response
            .insert_header(header::ETag(etag))
            .insert_header((header::CACHE_CONTROL, if is_versioned { IMMUTABLE } else { REVALIDATE }));
        if is_known {
            return response.finish();
        }
        response.content_type(self.content_type).body(self.content.clone())
    }
}

/// All files, hashed once.
struct Site {
    page: Asset,
    files: Vec<Asset>,
    examples: Asset,
}

static SITE: LazyLock<Site> = LazyLock::new(|| {
    let files: Vec<_> = FILES
        .iter()
        .map(|(name, content_type, content)| Asset::new(name, content_type, web::Bytes::from_static(content)))
        .collect();
    let page = files.iter().fold(PAGE.to_owned(), |page, file| {
        page.replace(&format!("{{{{{}}}}}", file.name), &format!("{}?v={}", file.name, file.version))
    });
    let examples = json!(examples()).to_string();
    Site {
        page: Asset::new("index.html", HTML, page.into()),
        files,
        examples: Asset::new("examples.json", JSON, examples.into()),
    }
});

/// Returns an answer with the headers that isolate the page and the tokens typed into it from other sites.
fn guarded(status: StatusCode) -> HttpResponseBuilder {
    let mut response = HttpResponse::build(status);
    response
        .insert_header((header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY))
        .insert_header((header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .insert_header((header::REFERRER_POLICY, "no-referrer"))
        .insert_header((header::CROSS_ORIGIN_RESOURCE_POLICY, "same-origin"));
    response
}

async fn page(request: HttpRequest) -> HttpResponse {
    SITE.page.answer(&request)
}

/// The page refers to its files relative to `/playground`. The relative redirect keeps the prefix of a proxy.
async fn without_slash() -> HttpResponse {
    guarded(StatusCode::PERMANENT_REDIRECT).insert_header((header::LOCATION, "../playground")).finish()
}

async fn file(request: HttpRequest, name: web::Path<String>) -> HttpResponse {
    match SITE.files.iter().find(|file| file.name == name.as_str()) {
        Some(file) => file.answer(&request),
        None => not_found(),
    }
}

async fn favicon(request: HttpRequest) -> HttpResponse {
    match SITE.files.iter().find(|file| file.name == FAVICON) {
        Some(file) => file.answer(&request),
        None => not_found(),
    }
}

async fn examples_json(request: HttpRequest) -> HttpResponse {
    SITE.examples.answer(&request)
}

async fn demo_json(tokens: Option<web::Data<DemoTokens>>) -> HttpResponse {
    let answer = match tokens.as_ref().and_then(|tokens| tokens.0.as_ref()) {
        Some(tokens) => json!({ "demo": true, "tokens": tokens }),
        None => json!({ "demo": false }),
    };
    guarded(StatusCode::OK)
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .content_type(JSON)
        .body(answer.to_string())
}

fn not_found() -> HttpResponse {
    guarded(StatusCode::NOT_FOUND)
        .content_type("text/plain; charset=utf-8")
        .body("No such file in the playground.\n")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use actix_web::{
        App,
        dev::ServiceResponse,
        http::Method,
        test::{self as http, TestRequest},
    };
    use async_graphql::parser::{parse_query, types::OperationType};

    use super::*;

    async fn ask(demo: Option<DemoTokens>, request: TestRequest) -> ServiceResponse {
        let mut app = App::new().configure(configure);
        if let Some(demo) = demo {
            app = app.app_data(web::Data::new(demo));
        }
        http::call_service(&http::init_service(app).await, request.to_request()).await
    }

    async fn get(path: &str) -> ServiceResponse {
        ask(None, TestRequest::get().uri(path)).await
    }

    fn header_of(response: &ServiceResponse, name: header::HeaderName) -> &str {
        response.headers().get(name).map(|value| value.to_str().unwrap()).unwrap_or_default()
    }

    #[actix_web::test]
    async fn every_route_answers_with_its_content_type_and_security_headers() {
        let mut routes = vec![
            ("/playground".to_owned(), HTML),
            ("/playground/examples.json".to_owned(), JSON),
            ("/playground/demo.json".to_owned(), JSON),
            ("/favicon.ico".to_owned(), SVG),
        ];
        routes.extend(
            FILES.iter().map(|(name, content_type, _)| (format!("/playground/{name}"), *content_type)),
        );
        for (path, content_type) in routes {
            let response = get(&path).await;
            assert_eq!(response.status(), StatusCode::OK, "{path}");
            assert_eq!(header_of(&response, header::CONTENT_TYPE), content_type, "{path}");
            assert_eq!(header_of(&response, header::X_CONTENT_TYPE_OPTIONS), "nosniff", "{path}");
            assert_eq!(header_of(&response, header::REFERRER_POLICY), "no-referrer", "{path}");
            assert!(
                header_of(&response, header::CONTENT_SECURITY_POLICY).contains("frame-ancestors 'none'"),
                "{path}"
            );
            assert!(!http::read_body(response).await.is_empty(), "{path}");
        }
    }

    #[actix_web::test]
    async fn an_unknown_file_is_not_found_and_a_post_is_refused() {
        assert_eq!(get("/playground/nothing.js").await.status(), StatusCode::NOT_FOUND);
        assert_eq!(get("/playground/..%2Fstart.js").await.status(), StatusCode::NOT_FOUND);
        let post = ask(None, TestRequest::post().uri("/playground")).await;
        assert_eq!(post.status(), StatusCode::METHOD_NOT_ALLOWED);
        let head = ask(None, TestRequest::default().method(Method::HEAD).uri("/playground")).await;
        assert_eq!(head.status(), StatusCode::OK);
    }

    #[actix_web::test]
    async fn a_trailing_slash_is_redirected_to_the_page() {
        let response = get("/playground/").await;
        assert_eq!(response.status(), StatusCode::PERMANENT_REDIRECT);
        assert_eq!(header_of(&response, header::LOCATION), "../playground");
    }

    #[actix_web::test]
    async fn the_page_refers_to_its_files_by_version_and_these_are_immutable() {
        let page = String::from_utf8(http::read_body(get("/playground").await).await.to_vec()).unwrap();
        assert!(!page.contains("{{"), "a placeholder does not name a file: {page}");
        assert!(!page.contains("://"), "the page loads nothing from elsewhere");
        for file in &SITE.files {
            let address = format!("playground/{}?v={}", file.name, file.version);
            assert!(page.contains(&format!("\"{address}\"")), "{address}");
            let versioned = get(&format!("/{address}")).await;
            assert_eq!(header_of(&versioned, header::CACHE_CONTROL), IMMUTABLE);
            let stale = get(&format!("/playground/{}?v=0", file.name)).await;
            assert_eq!(header_of(&stale, header::CACHE_CONTROL), REVALIDATE);
        }
    }

    #[actix_web::test]
    async fn a_cached_version_is_not_sent_again() {
        let first = get("/playground").await;
        assert_eq!(header_of(&first, header::CACHE_CONTROL), REVALIDATE);
        let etag = header_of(&first, header::ETAG).to_owned();
        for (sent, status) in [
            (etag.clone(), StatusCode::NOT_MODIFIED),
            (format!("\"other\", {etag}"), StatusCode::NOT_MODIFIED),
            (etag.replace("W/", ""), StatusCode::NOT_MODIFIED),
            ("\"other\"".to_owned(), StatusCode::OK),
        ] {
            let again = ask(
                None,
                TestRequest::get().uri("/playground").insert_header((header::IF_NONE_MATCH, sent.clone())),
            )
            .await;
            assert_eq!(again.status(), status, "{sent}");
            assert_eq!(header_of(&again, header::ETAG), etag, "{sent}");
        }
    }

    #[actix_web::test]
    async fn demo_tokens_are_served_in_demo_mode_only() {
        let tokens = BTreeMap::from([("buyer".to_owned(), "t-buyer".to_owned())]);
        let cases = [
            (None, json!({ "demo": false })),
            (Some(DemoTokens(None)), json!({ "demo": false })),
            (Some(DemoTokens(Some(tokens))), json!({ "demo": true, "tokens": { "buyer": "t-buyer" } })),
        ];
        for (demo, expected) in cases {
            let response = ask(demo, TestRequest::get().uri("/playground/demo.json")).await;
            assert_eq!(header_of(&response, header::CACHE_CONTROL), "no-store");
            let body: serde_json::Value = http::read_body_json(response).await;
            assert_eq!(body, expected);
        }
    }

    #[test]
    fn debug_output_does_not_contain_demo_tokens() {
        let tokens = DemoTokens(Some(BTreeMap::from([("admin".to_owned(), "s3cret".to_owned())])));
        assert_eq!(format!("{tokens:?}"), r#"DemoTokens(Some(["admin"]))"#);
    }

    #[actix_web::test]
    async fn the_served_list_of_examples_equals_the_public_one() {
        let body: serde_json::Value = http::read_body_json(get("/playground/examples.json").await).await;
        assert_eq!(body, json!(examples()));
    }

    #[test]
    fn every_example_file_is_listed_and_valid() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/playground/examples");
        let on_disk: BTreeSet<String> = std::fs::read_dir(folder)
            .unwrap()
            .filter_map(|entry| {
                entry.unwrap().file_name().into_string().unwrap().strip_suffix(".graphql").map(str::to_owned)
            })
            .collect();
        let listed: BTreeSet<String> = EXAMPLE_FILES.iter().map(|(name, _)| (*name).to_owned()).collect();
        assert_eq!(listed, on_disk, "EXAMPLE_FILES and api/playground/examples differ");

        let mut titles = BTreeSet::new();
        let mut defaults = 0;
        for (name, text) in EXAMPLE_FILES {
            let example = Example::parse(name, text).unwrap_or_else(|error| panic!("{name} {error}"));
            assert!(parse_query(&example.query).is_ok(), "{name} is not valid GraphQL");
            assert!(!example.query.contains("{{"), "{name} has a placeholder outside its variables");
            let widest = example.query.lines().map(|line| line.chars().count()).max();
            assert!(widest <= Some(51), "{name} is wider than its half of a laptop's screen");
            for query in &example.prepare {
                let document =
                    parse_query(query).unwrap_or_else(|error| panic!("{name} prepares by {query}: {error}"));
                let changes = document
                    .operations
                    .iter()
                    .any(|(_, operation)| operation.node.ty != OperationType::Query);
                assert!(!changes, "opening {name} would change data");
            }
            assert!(
                name.contains(&format!("-{}-", json!(example.role).as_str().unwrap())),
                "{name} does not name its role"
            );
            assert!(titles.insert(example.title), "{name} has the title of another");
            assert!(!example.default || example.prepare.is_empty(), "{name} delays the first visit");
            defaults += usize::from(example.default);
        }
        assert!(defaults <= 1, "the first visit shows one example");
        assert_eq!(examples().len(), EXAMPLE_FILES.len());
    }

    #[test]
    fn an_example_is_described_by_its_first_comments() {
        let text = "# title: Reserve: one cup\n# role: buyer\n# prepare: {\n#   cups { id }\n# }\n\
                    # prepare: { saucers }\n\
                    # variables: {\n#   \"key\": \"{{uuid}}\"\n# }\n# default: true\n#\n# Pays later.\n\
                    mutation Reserve($key: String!) {\n  # role: inside\n  reserve(key: $key)\n}\n";
        let example = Example::parse("10-buyer-reserve", text).unwrap();
        assert_eq!(example.title, "Reserve: one cup");
        assert_eq!(example.role, ExampleRole::Buyer);
        assert_eq!(example.prepare, ["{ cups { id } }", "{ saucers }"]);
        assert_eq!(example.variables.as_deref(), Some(r#"{ "key": "{{uuid}}" }"#));
        assert!(example.default);
        assert_eq!(
            example.query,
            "# Pays later.\nmutation Reserve($key: String!) {\n  # role: inside\n  reserve(key: $key)\n}\n"
        );
    }

    #[test]
    fn an_example_with_malformed_comments_is_refused() {
        for (text, complaint) in [
            ("# role: buyer\n{ a }", "has no `# title: …` line"),
            ("# title: A\n{ a }", "has no `# role: …` line"),
            ("# title: A\n# role: nobody\n{ a }", "has the unknown role `nobody`"),
            ("# title: A\n# role: buyer\n# title: B\n{ a }", "has more than one `# title: …` line"),
            (
                "# title: A\n# role: buyer\n# variables: [1]\n{ a }",
                "has variables that are not a JSON object",
            ),
            (
                "# title: A\n# role: buyer\n# default: yes\n{ a }",
                "says `# default: yes`, which is neither true nor false",
            ),
        ] {
            assert_eq!(Example::parse("x", text).unwrap_err().to_string(), complaint);
        }
    }
}
