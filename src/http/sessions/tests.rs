use super::*;

const PLAIN: Channel = Channel::Plain;

fn begin(sessions: &Sessions, now: Moment) -> String {
    let set = sessions.begin(now, PLAIN).unwrap();
    assert!(set.contains("HttpOnly") && set.contains("SameSite=Strict") && set.contains("Path=/"));
    set.split(';').next().unwrap().to_owned()
}

#[test]
fn a_session_lives_twelve_hours() {
    let sessions = Sessions::default();
    let start = Moment::default();
    let cookie = begin(&sessions, start);
    assert!(sessions.is_alive(&cookie, start, PLAIN));
    assert!(sessions.is_alive(&format!("other=1; {cookie}; x"), start.after(LIFETIME / 2), PLAIN));
    assert!(!sessions.is_alive(&cookie, start.after(LIFETIME), PLAIN));
}

#[test]
fn logging_out_ends_it() {
    let sessions = Sessions::default();
    let cookie = begin(&sessions, Moment::default());
    assert!(sessions.end(&cookie, PLAIN).contains("Max-Age=0"));
    assert!(!sessions.is_alive(&cookie, Moment::default(), PLAIN));
}

#[test]
fn strange_cookies_are_no_session() {
    let sessions = Sessions::default();
    begin(&sessions, Moment::default());
    for cookie in ["", ";;;", "lotse-session", "lotse-session=", "lotse-session=0", "=", "a=b=c"] {
        assert!(!sessions.is_alive(cookie, Moment::default(), PLAIN), "{cookie}");
    }
    let guess = format!("lotse-session={}", "0".repeat(64));
    assert!(!sessions.is_alive(&guess, Moment::default(), PLAIN));
}

#[test]
fn the_oldest_gives_way() {
    let sessions = Sessions::default();
    let first = begin(&sessions, Moment::default());
    let mut now = Moment::default();
    let mut last = String::new();
    for _ in 0..LIMIT {
        now = now.after(Duration::from_secs(1));
        last = begin(&sessions, now);
    }
    assert!(!sessions.is_alive(&first, now, PLAIN) && sessions.is_alive(&last, now, PLAIN));
    assert_eq!(sessions.0.lock().unwrap().len(), LIMIT);
}

#[test]
fn behind_tls_the_cookie_never_travels_without_and_none_from_without_is_taken() {
    let sessions = Sessions::default();
    let now = Moment::default();
    let set = sessions.begin(now, Channel::Tls).unwrap();
    assert!(set.starts_with("__Host-lotse-session=") && set.ends_with("; Secure"), "a cookie");
    assert!(!set.contains("Domain"));
    let cookie = set.split(';').next().unwrap();
    assert!(sessions.is_alive(cookie, now, Channel::Tls));
    assert!(!sessions.is_alive(cookie, now, PLAIN));
    let plain = begin(&sessions, now);
    assert!(sessions.is_alive(&plain, now, PLAIN));
    assert!(!sessions.is_alive(&plain, now, Channel::Tls));
    assert!(sessions.end(cookie, Channel::Tls).ends_with("Max-Age=0; Secure"));
    assert!(!sessions.is_alive(cookie, now, Channel::Tls));
}
