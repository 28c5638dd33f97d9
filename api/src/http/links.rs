//! The pages that the links in letters open, for people whose storefront has no such pages.
//!
//! Programs that scan letters follow their links, so a GET has no effect: it shows a button, and the POST of
//! the button does the work. Codes that a storefront must redeem, because it receives a session for them, are
//! only displayed. The pages have no scripts, load nothing, and do not pass on the code in their address.

use std::{error::Error, future::Future};

use actix_web::{
    HttpRequest, HttpResponse, Route, guard,
    http::{
        StatusCode,
        header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HOST, ORIGIN, REFERRER_POLICY},
    },
    web,
};
use domain::{
    accounts::{Password, ResetPassword, confirm_email, reset_password},
    platform::{
        OpError,
        access::{Enter, EntryScope, Viewer, authorize},
        entropy::Secret,
        trace::TraceParent,
    },
};
use edge::{
    errors::internal,
    http::{
        address,
        body::{Bounds, read_body},
    },
};
use serde::Deserialize;

use super::html::escaped;
use crate::Api;

/// The longest body of a form, in bytes: a code and two passwords of the maximal length, with every byte
/// percent-encoded as three characters (3,072 in all).
const BODY_MAX: usize = 4 * 1024;

/// Adds the pages. The links in letters use these paths.
pub(super) fn configure(config: &mut web::ServiceConfig) {
    let confirm = web::resource("/confirm-email").route(read().to(show_confirm_email));
    config.service(confirm.route(web::post().to(do_confirm_email)));
    let reset = web::resource("/reset-password").route(read().to(show_reset_password));
    config.service(reset.route(web::post().to(do_reset_password)));
    config.service(web::resource("/confirm-guest").route(read().to(show_confirm_guest)));
    config.service(web::resource("/open-session").route(read().to(show_open_session)));
}

/// Matches GET and HEAD.
fn read() -> Route {
    web::route().guard(guard::Any(guard::Get()).or(guard::Head()))
}

/// The parameters of a link or a form. They contain secrets, hence no `Debug`.
#[derive(Deserialize, Default)]
#[serde(default)]
struct LinkForm {
    code: String,
    password: String,
    again: String,
}

impl LinkForm {
    /// Parses `name=value&…`. Other names, such as those that mailing programs add, are ignored.
    fn parse(text: &str) -> Option<Self> {
        web::Query::<Self>::from_query(text).ok().map(web::Query::into_inner)
    }

    /// Returns the code, if it is well-formed. Only letters, digits and `_` are accepted, so that no page can
    /// be made to show a stranger's text.
    fn code(&self) -> Option<Secret> {
        let formed = self.code.chars().all(|character| character.is_ascii_alphanumeric() || character == '_');
        Secret::presented(&self.code).filter(|_| formed)
    }
}

/// Returns the code in the address of a link.
fn code_of(request: &HttpRequest) -> Option<Secret> {
    LinkForm::parse(request.query_string())?.code()
}

/// `GET /confirm-email?code=…`
async fn show_confirm_email(request: HttpRequest, api: web::Data<Api>) -> HttpResponse {
    let Some(code) = code_of(&request) else { return incomplete(&api) };
    let main = format!(
        "<p>Confirm that the address this letter was sent to is yours.</p>\n\
         <form method=\"post\" action=\"confirm-email\">\n{}\n\
         <button>Confirm this address</button>\n</form>\n\
         <p>If you did not sign up, close this page: nothing will happen.</p>",
        hidden(&code)
    );
    page(&api, StatusCode::OK, "Confirm your e-mail address", &main)
}

/// `POST /confirm-email`
async fn do_confirm_email(request: HttpRequest, body: web::Payload, api: web::Data<Api>) -> HttpResponse {
    let sent = match take_form(&request, body, &api).await {
        Ok(sent) => sent,
        Err(refused) => return refused,
    };
    let Some(code) = sent.code() else { return incomplete(&api) };
    let (db, scope) = (api.db.clone(), at_the_door(&request, &api));
    let done = to_its_end(async move {
        let scope = scope?;
        Some(confirm_email(&db, &scope, &code).await)
    });
    match done.await {
        Some(Ok(_)) => {
            let main = "<p role=\"status\">Thank you, this address is confirmed. \
                 Go back to the shop and sign in.</p>";
            page(&api, StatusCode::OK, "Your address is confirmed", main)
        }
        Some(Err(OpError::Refused(_))) => over(
            &api,
            "If you have confirmed your address with it, there is nothing more to do. \
             If not, sign up again at the shop to get a new letter.",
        ),
        Some(Err(failure)) => failed(&api, &failure),
        None => unavailable(&api),
    }
}

/// `GET /reset-password?code=…`
async fn show_reset_password(request: HttpRequest, api: web::Data<Api>) -> HttpResponse {
    match code_of(&request) {
        Some(code) => password_form(&api, &code, None),
        None => incomplete(&api),
    }
}

/// `POST /reset-password`
async fn do_reset_password(request: HttpRequest, body: web::Payload, api: web::Data<Api>) -> HttpResponse {
    let sent = match take_form(&request, body, &api).await {
        Ok(sent) => sent,
        Err(refused) => return refused,
    };
    let Some(link) = sent.code() else { return incomplete(&api) };
    if sent.password != sent.again {
        return password_form(
            &api,
            &link,
            Some("The two passwords are not the same. Type the new one twice."),
        );
    }
    let password = match Password::new(&sent.password) {
        Ok(password) => password,
        Err(why) => return password_form(&api, &link, Some(&format!("The password {why}."))),
    };
    let (db, scope) = (api.db.clone(), at_the_door(&request, &api));
    let done = to_its_end(async move {
        let scope = scope?;
        Some(reset_password(&db, &scope, ResetPassword { link, password }).await)
    });
    match done.await {
        Some(Ok(_)) => {
            let main = "<p role=\"status\">Your new password is set, and you are signed out everywhere. \
                 Go back to the shop and sign in with it.</p>";
            page(&api, StatusCode::OK, "Your password is changed", main)
        }
        Some(Err(OpError::Refused(_))) => over(
            &api,
            "If you have set a new password with it, sign in. \
             If not, request a new letter where you sign in.",
        ),
        Some(Err(failure)) => failed(&api, &failure),
        None => unavailable(&api),
    }
}

/// Returns the form for a new password, with an error of the previous attempt.
fn password_form(api: &Api, code: &Secret, wrong: Option<&str>) -> HttpResponse {
    let (status, alert, invalid) = match wrong {
        None => (StatusCode::OK, String::new(), ""),
        Some(why) => {
            let alert = format!("<p role=\"alert\" id=\"wrong\">{}</p>\n", escaped(why));
            (StatusCode::BAD_REQUEST, alert, " aria-invalid=\"true\" aria-describedby=\"wrong\"")
        }
    };
    let field = |name: &str, label: &str, invalid: &str| {
        let attributes = format!(
            "type=\"password\" autocomplete=\"new-password\" minlength=\"{}\" required",
            Password::MIN
        );
        format!(
            "<label for=\"{name}\">{label}</label>\n\
             <input id=\"{name}\" name=\"{name}\" {attributes}{invalid}>\n"
        )
    };
    let main = format!(
        "{alert}<form method=\"post\" action=\"reset-password\">\n{}\n{}{}\
         <button>Set the new password</button>\n</form>\n\
         <p>You will be signed out everywhere. \
         If you did not ask for this, close this page: your password stays as it is.</p>",
        hidden(code),
        field("password", &format!("New password, at least {} characters", Password::MIN), invalid),
        field("again", "Repeat the new password", invalid),
    );
    page(api, status, "Choose a new password", &main)
}

/// `GET /confirm-guest?code=…`
async fn show_confirm_guest(request: HttpRequest, api: web::Data<Api>) -> HttpResponse {
    let Some(code) = code_of(&request) else { return incomplete(&api) };
    let mutation = "guestConfirm";
    let playground = api.playground.as_ref().map_or(String::new(), |_| {
        format!(
            "<p>In the <a href=\"playground\">playground</a>, run this; \
             the <code>token</code> in the answer is the guest's:</p>\n\
             <pre>mutation {{\n  {mutation}(input: {{ link: \"{}\" }}) {{\n    token\n    expiresAt\n    \
             errors {{ code message }}\n  }}\n}}</pre>\n",
            escaped(code.expose())
        )
    });
    let main = format!(
        "<p>The shop asks for this code before you reserve without an account. \
         Go back to the shop and enter:</p>\n{}\n\
         <p>The code can be used once. \
         If you did not ask for it, close this page: nothing will happen.</p>\n{playground}\
         <p class=\"small\">For shops: <code>{mutation}</code> takes the code as <code>link</code>.</p>",
        shown(&code)
    );
    page(&api, StatusCode::OK, "Your code", &main)
}

/// `GET /open-session?code=…`
async fn show_open_session(request: HttpRequest, api: web::Data<Api>) -> HttpResponse {
    let Some(code) = code_of(&request) else { return incomplete(&api) };
    let main = format!(
        "<p>The shop named in the letter asks for this code to sign you in. \
         Continue only if you were just there: go back to the shop and enter:</p>\n{}\n\
         <p>The code can be used once, by that shop only. \
         If you were not there, close this page: nobody will be signed in.</p>\n\
         <p class=\"small\">For shops: your server passes the code to <code>sessionOpen</code> \
         as <code>link</code>, with the secret token that requested the letter. \
         This works in the playground too, with that token.</p>",
        shown(&code)
    );
    page(&api, StatusCode::OK, "Your code", &main)
}

/// Reads a form of these pages; the error is the complete refusal.
async fn take_form(request: &HttpRequest, body: web::Payload, api: &Api) -> Result<LinkForm, HttpResponse> {
    if is_from_elsewhere(request) {
        let main = "<p role=\"alert\">Another site sent this form. \
             Open the link in the letter, and use the button there.</p>";
        return Err(unread(page(api, StatusCode::FORBIDDEN, "Nothing was done", main)));
    }
    let cannot_read = |status| {
        let main = "<p role=\"alert\">This form cannot be read. Open the link in the letter again.</p>";
        page(api, status, "Nothing was done", main)
    };
    let content_type =
        request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("");
    let essence = content_type.split(';').next().unwrap_or("").trim();
    if !essence.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
        return Err(unread(cannot_read(StatusCode::UNSUPPORTED_MEDIA_TYPE)));
    }
    let bounds = Bounds { bytes_max: BODY_MAX, within: api.edge.http.body_within };
    let body = read_body(request, body, bounds).await.map_err(|why| unread(cannot_read(why.status())))?;
    let sent = String::from_utf8(body).ok().and_then(|text| LinkForm::parse(&text));
    sent.ok_or_else(|| cannot_read(StatusCode::BAD_REQUEST))
}

/// Returns whether a header shows that the form is not from one of these pages. Browsers send `Origin: null`
/// from a page that sends no referrer, as these do (Fetch, "append a request `Origin` header"), so `null`
/// means nothing. `Sec-Fetch-Site`, which browsers send over TLS, is reliable.
fn is_from_elsewhere(request: &HttpRequest) -> bool {
    let header = |name: &str| request.headers().get(name).map(|value| value.to_str().unwrap_or("unreadable"));
    let other_site = header("sec-fetch-site").is_some_and(|site| !matches!(site, "same-origin" | "none"));
    let host =
        header(HOST.as_str()).or_else(|| request.uri().authority().map(|authority| authority.as_str()));
    let other_origin = header(ORIGIN.as_str()).filter(|origin| *origin != "null").is_some_and(|origin| {
        let authority = origin.split_once("://").map(|(_, authority)| authority);
        // The schemes may differ, because a proxy in front may terminate TLS.
        !authority.zip(host).is_some_and(|(authority, host)| authority.eq_ignore_ascii_case(host))
    });
    other_site || other_origin
}

/// Returns the scope of somebody with a letter. Nobody is signed in here.
fn at_the_door(request: &HttpRequest, api: &Api) -> Option<EntryScope> {
    let unknown = std::net::IpAddr::from([0, 0, 0, 0]);
    let address = address::client(request, &api.edge.trusted_proxies).unwrap_or(unknown);
    authorize(&Viewer::Public, Enter { address }).ok()
}

/// Runs work with effects on a task of its own, so that it continues when the client disconnects. Returns
/// `None` if the task panics, which is logged.
async fn to_its_end<T: Send + 'static>(work: impl Future<Output = Option<T>> + Send + 'static) -> Option<T> {
    let task = match TraceParent::current() {
        Some(trace) => tokio::spawn(trace.scope(work)),
        None => tokio::spawn(work),
    };
    task.await.unwrap_or_else(|defect| {
        internal(&defect);
        None
    })
}

/// Answers a link whose code is missing or was truncated by a program that broke the line.
fn incomplete(api: &Api) -> HttpResponse {
    let main = "<p role=\"alert\">This link is incomplete. \
         Open the link in the letter again, or copy all of it.</p>";
    page(api, StatusCode::BAD_REQUEST, "Something is missing", main)
}

/// Answers a link that was used, has expired or never existed.
fn over(api: &Api, next: &str) -> HttpResponse {
    let main =
        format!("<p role=\"alert\">This link has already been used, or it has expired.</p>\n<p>{next}</p>");
    page(api, StatusCode::GONE, "This link is not valid any more", &main)
}

fn failed(api: &Api, failure: &(dyn Error + 'static)) -> HttpResponse {
    internal(failure);
    unavailable(api)
}

fn unavailable(api: &Api) -> HttpResponse {
    let main = "<p role=\"alert\">Please open the link in the letter again in a moment.</p>";
    page(api, StatusCode::SERVICE_UNAVAILABLE, "Something went wrong", main)
}

/// Closes the connection after this answer: unread bytes of the body would be taken for the next request.
fn unread(mut response: HttpResponse) -> HttpResponse {
    response.head_mut().set_connection_type(actix_web::http::ConnectionType::Close);
    response
}

fn hidden(code: &Secret) -> String {
    format!("<input type=\"hidden\" name=\"code\" value=\"{}\">", escaped(code.expose()))
}

fn shown(code: &Secret) -> String {
    format!("<p><code class=\"code\">{}</code></p>", escaped(code.expose()))
}

/// Returns a page. Only its own style applies, by a nonce that nobody can guess.
fn page(api: &Api, status: StatusCode, title: &str, main: &str) -> HttpResponse {
    let nonce = api.db.entropy().secret("style");
    let nonce = nonce.expose();
    let policy = format!(
        "default-src 'none'; style-src 'nonce-{nonce}'; base-uri 'none'; form-action 'self'; \
         frame-ancestors 'none'"
    );
    HttpResponse::build(status)
        .content_type("text/html; charset=utf-8")
        .insert_header((CONTENT_SECURITY_POLICY, policy))
        .insert_header((CACHE_CONTROL, "no-store"))
        .insert_header((REFERRER_POLICY, "no-referrer"))
        .body(document(nonce, title, main))
}

fn document(nonce: &str, title: &str, main: &str) -> String {
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>{title} · Smallrun</title>\n\
         <style nonce=\"{nonce}\">{STYLE}</style>\n</head>\n<body>\n<main>\n<h1>{title}</h1>\n\
         {main}\n</main>\n</body>\n</html>\n"
    )
}

/// The style sheet, the same as on the sandbox's page.
const STYLE: &str = "\
:root{color-scheme:light dark;font:1.125rem/1.5 system-ui,sans-serif}\
main{max-width:32rem;margin:12vh auto;padding:0 1.5rem}\
label{display:block}\
input{font:inherit;box-sizing:border-box;width:100%;padding:.5rem;margin:.25rem 0 1rem;\
border:2px solid currentColor;border-radius:.5rem}\
button{font:inherit;padding:.6rem 1.4rem;border:2px solid #0b5d3b;border-radius:.5rem;\
background:#0b5d3b;color:#fff;cursor:pointer}\
.code,pre{display:block;padding:.75rem 1rem;border:2px solid currentColor;border-radius:.5rem;\
overflow-wrap:anywhere;white-space:pre-wrap}\
.code{user-select:all;-webkit-user-select:all}\
.small{font-size:.9rem}\
:focus-visible{outline:3px solid #e09b2d;outline-offset:2px}";

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    #[test]
    fn codes_are_escaped() {
        let hostile = Secret::presented("\"><script>'&'</script>").unwrap();
        let escaped = "&quot;&gt;&lt;script&gt;&#39;&amp;&#39;&lt;/script&gt;";
        assert_eq!(hidden(&hostile), format!("<input type=\"hidden\" name=\"code\" value=\"{escaped}\">"));
        assert_eq!(shown(&hostile), format!("<p><code class=\"code\">{escaped}</code></p>"));
    }

    #[test]
    fn a_code_consists_of_letters_digits_and_underscores() {
        let code = |query: &str| {
            LinkForm::parse(query).and_then(|sent| sent.code()).map(|code| code.expose().to_owned())
        };
        assert_eq!(code("utm_source=x&code=sr_link_0aZ").as_deref(), Some("sr_link_0aZ"));
        let long = format!("code={}", "a".repeat(201));
        for query in
            ["", "code=", "code=a%3Cb", "code=call+us", "code=a-b", "code=%FF", "code=a&code=b", &long]
        {
            assert_eq!(code(query), None, "{query}");
        }
    }

    #[test]
    fn a_form_of_another_site_is_recognized_by_its_headers() {
        let own = Some("https://shop.example");
        for (site, origin, elsewhere) in [
            (None, None, false),
            (Some("same-origin"), Some("null"), false),
            (Some("same-origin"), own, false),
            (Some("none"), None, false),
            (None, Some("null"), false),
            (None, own, false),
            (None, Some("http://SHOP.example"), false),
            (Some("cross-site"), Some("null"), true),
            (Some("cross-site"), own, true),
            (Some("same-site"), None, true),
            (Some("same-origin"), Some("https://evil.example"), true),
            (None, Some("https://shop.example:8443"), true),
            (None, Some("https://shop.example.evil.example"), true),
            (None, Some("shop.example"), true),
            (None, Some(""), true),
        ] {
            let mut request = TestRequest::post().insert_header(("host", "shop.example"));
            for (name, value) in [("sec-fetch-site", site), ("origin", origin)] {
                if let Some(value) = value {
                    request = request.insert_header((name, value));
                }
            }
            assert_eq!(is_from_elsewhere(&request.to_http_request()), elsewhere, "{site:?} {origin:?}");
        }
    }
}
