//! The portals of pages and forms: a direct link, a birth date, a code, a code by SMS.

use std::collections::HashMap;

use axum::body::Body;
use axum::extract::{Form, Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{Html, IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use axum::{Router, extract::Query};
use bytes::Bytes;

use super::{CODES, SHARE, Shared, Twist};

type Fields = HashMap<String, String>;

pub(super) fn routes(shared: Shared) -> Router {
    Router::new()
        .route("/zip/{token}", get(zip))
        .route("/s/{share}", get(share))
        .route("/s/{share}/login", post(login))
        .route("/s/{share}/files", get(files))
        .route("/dl/{number}", get(download))
        .route("/entry", get(entry).post(code))
        .route("/share", get(birth_date).post(born))
        .route("/slip", get(slip))
        .route("/slip/who", post(who))
        .route("/slip/sms", post(sms))
        .with_state(shared)
}

fn page(body: &str) -> Response {
    Html(format!("<!DOCTYPE html><html><body><h1>Portal</h1>{body}</body></html>")).into_response()
}

/// What every route does before its own business.
fn odd(shared: &Shared) -> Option<Response> {
    Some(match shared.twist() {
        Twist::LoginPage => page("<form><input name=user><input type=password name=pass></form>"),
        Twist::Locked => page("<p class=locked>gesperrt</p>"),
        Twist::Expired => {
            let mut answer = page("<p class=expired>abgelaufen</p>");
            *answer.status_mut() = StatusCode::GONE;
            answer
        }
        Twist::Down => StatusCode::BAD_GATEWAY.into_response(),
        _ => return None,
    })
}

/// What happens to credentials instead of being looked at.
pub(super) fn passed_on(shared: &Shared) -> Option<Response> {
    match shared.twist() {
        Twist::Away(to) => Some(Redirect::temporary(&to).into_response()),
        Twist::Cut => {
            shared.login(false);
            Some(broken(Bytes::new()))
        }
        _ => None,
    }
}

/// A body that ends early.
fn broken(front: Bytes) -> Response {
    let pieces = [Ok(front), Err(std::io::Error::from(std::io::ErrorKind::ConnectionAborted))];
    let body = Body::from_stream(futures_util::stream::iter(pieces));
    let length = [(header::CONTENT_LENGTH, "100000000")];
    (length, body).into_response()
}

pub(super) fn archive(shared: &Shared) -> Response {
    let config = shared.config();
    let turn = |next: Twist| {
        shared.config.lock().unwrap_or_else(std::sync::PoisonError::into_inner).twist = next;
    };
    match config.twist {
        Twist::CutDownloads(left) if left > 0 => {
            turn(Twist::CutDownloads(left.saturating_sub(1)));
            return broken(config.zip.slice(..config.zip.len() / 2));
        }
        Twist::Packing(left) if left > 0 => {
            turn(Twist::Packing(left.saturating_sub(1)));
            return (StatusCode::ACCEPTED, [(header::RETRY_AFTER, "1")]).into_response();
        }
        _ => {}
    }
    ([(header::CONTENT_TYPE, "application/zip")], config.zip).into_response()
}

async fn zip(State(shared): State<Shared>) -> Response {
    odd(&shared).unwrap_or_else(|| archive(&shared))
}

fn cookie(headers: &HeaderMap) -> String {
    let all = headers.get(header::COOKIE).and_then(|value| value.to_str().ok()).unwrap_or("");
    let found = all.split("; ").find_map(|pair| pair.strip_prefix("sid="));
    found.unwrap_or("").to_owned()
}

/// A new session with its cookie.
fn begun(shared: &Shared) -> String {
    let sid = uuid::Uuid::now_v7().simple().to_string();
    shared.book().sessions.push((sid.clone(), false));
    sid
}

fn is_open(shared: &Shared, headers: &HeaderMap) -> bool {
    let sid = cookie(headers);
    shared.book().sessions.iter().any(|(known, open)| *known == sid && *open)
}

fn open(shared: &Shared, headers: &HeaderMap) {
    let sid = cookie(headers);
    let mut book = shared.book();
    for (_, open) in book.sessions.iter_mut().filter(|(known, _)| *known == sid) {
        *open = true;
    }
}

fn with_cookie(sid: &str, mut answer: Response) -> Response {
    let value = format!("sid={sid}; Path=/; HttpOnly");
    if let Ok(value) = value.parse() {
        answer.headers_mut().append(header::SET_COOKIE, value);
    }
    answer
}

/// The form with its CSRF token, which belongs to the session.
fn form(shared: &Shared, sid: &str, error: &str) -> String {
    let action = match shared.twist() {
        Twist::FormTo(to) => to,
        _ => format!("/s/{SHARE}/login"),
    };
    let field = if shared.twist() == Twist::Changed { "dob" } else { "birthdate" };
    format!(
        "<form id=login method=post action='{action}'>{error}<input type=hidden name=csrf value='c&amp;{sid}'>\
         <input name={field}><button name=go>Weiter</button></form>"
    )
}

async fn share(State(shared): State<Shared>, Path(share): Path<String>) -> Response {
    if let Some(odd) = odd(&shared) {
        return odd;
    }
    if share != SHARE {
        return StatusCode::NOT_FOUND.into_response();
    }
    let sid = begun(&shared);
    let form = form(&shared, &sid, "");
    with_cookie(&sid, page(&form))
}

async fn login(
    State(shared): State<Shared>,
    headers: HeaderMap,
    Form(fields): Form<Fields>,
) -> Response {
    if let Some(answer) = passed_on(&shared) {
        return answer;
    }
    let sid = cookie(&headers);
    if sid.is_empty() || fields.get("csrf") != Some(&format!("c&{sid}")) {
        return StatusCode::FORBIDDEN.into_response();
    }
    let wanted = shared.config().birth_date;
    let wanted: Vec<&str> = wanted.split('-').rev().collect();
    let right = fields.get("birthdate") == Some(&wanted.join("."));
    if shared.login(right) {
        open(&shared, &headers);
        return Redirect::to(&format!("/s/{SHARE}/files")).into_response();
    }
    if shared.book().wrong >= 3 {
        return page("<p class=locked>gesperrt</p>");
    }
    page(&form(&shared, &sid, "<p class=error>Das Geburtsdatum ist falsch.</p>"))
}

async fn files(State(shared): State<Shared>, headers: HeaderMap) -> Response {
    if !is_open(&shared, &headers) {
        return StatusCode::FORBIDDEN.into_response();
    }
    let who = match shared.twist() {
        Twist::Shows(name) => format!("<p id=who>{name}</p>"),
        _ => String::new(),
    };
    page(&format!(
        "{who}<table><tr><td><a class='big download' href='../../dl/1'>CT Abdomen</a></table>"
    ))
}

async fn download(State(shared): State<Shared>, headers: HeaderMap) -> Response {
    if !is_open(&shared, &headers) {
        return StatusCode::FORBIDDEN.into_response();
    }
    archive(&shared)
}

// --- a code, then the birth date

async fn entry(State(shared): State<Shared>) -> Response {
    let form = "<form id=entry method=post action=/entry><input name=code></form>";
    odd(&shared).unwrap_or_else(|| page(form))
}

async fn code(State(shared): State<Shared>, Form(fields): Form<Fields>) -> Response {
    if fields.get("code").map(String::as_str) != Some(SHARE) {
        return page(
            "<form id=entry method=post action=/entry><b class=error>unbekannt</b></form>",
        );
    }
    let sid = begun(&shared);
    with_cookie(&sid, Redirect::to("/share").into_response())
}

async fn birth_date(State(shared): State<Shared>) -> Response {
    let name = if shared.twist() == Twist::Changed { "born" } else { "birthdate" };
    page(&format!("<form id={name} method=post action=/share><input name=date></form>"))
}

async fn born(
    State(shared): State<Shared>,
    headers: HeaderMap,
    Form(fields): Form<Fields>,
) -> Response {
    if let Some(answer) = passed_on(&shared) {
        return answer;
    }
    if shared.login(fields.get("date") == Some(&shared.config().birth_date)) {
        open(&shared, &headers);
        return page("<a id=archive href=/dl/9>ZIP</a>");
    }
    page(
        "<form id=birthdate method=post action=/share><p class=error>falsch</p><input name=date></form>",
    )
}

// --- a user name from a slip, the year of birth, then a code by SMS

async fn slip(State(shared): State<Shared>, Query(query): Query<Fields>) -> Response {
    if let Some(odd) = odd(&shared) {
        return odd;
    }
    let sid = begun(&shared);
    let user = query.get("user").cloned().unwrap_or_default();
    let user: String = user.chars().filter(char::is_ascii_alphanumeric).collect();
    with_cookie(
        &sid,
        page(&format!(
            "<form name=who method=post action=/slip/who enctype=multipart/form-data>\
             <input type=hidden name=user value={user}><input name=year></form>"
        )),
    )
}

async fn who(State(shared): State<Shared>, headers: HeaderMap, body: String) -> Response {
    let year = shared.config().birth_date.chars().take(4).collect::<String>();
    let says = |name: &str, value: &str| {
        body.contains(&format!("name=\"{name}\"\r\n\r\n{value}\r\n"))
            && !cookie(&headers).is_empty()
    };
    if !shared.login(says("year", &year) && says("user", SHARE)) {
        return page("<p class=failed>Falsche Angaben</p>");
    }
    let mut book = shared.book();
    book.codes = book.codes.saturating_add(1);
    drop(book);
    page("<form name=sms method=post action=/slip/sms><input name=tan></form>")
}

async fn sms(
    State(shared): State<Shared>,
    headers: HeaderMap,
    Form(fields): Form<Fields>,
) -> Response {
    let sent = shared.book().codes.saturating_sub(1);
    let wanted = CODES.get(sent).copied().unwrap_or("");
    let known = shared.book().sessions.iter().any(|(sid, _)| *sid == cookie(&headers));
    if shared.login(known && fields.get("tan").map(String::as_str) == Some(wanted)) {
        open(&shared, &headers);
        return page("<ul><li><a href='/dl/1'>Bilder</a></li></ul>");
    }
    page("<form name=sms method=post action=/slip/sms><i>TAN falsch</i><input name=tan></form>")
}
