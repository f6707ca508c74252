use super::*;

fn begin(sessions: &Sessions, now: Moment) -> String {
    let set = sessions.begin(now).unwrap();
    assert!(set.contains("HttpOnly") && set.contains("SameSite=Strict") && set.contains("Path=/"));
    set.split(';').next().unwrap().to_owned()
}

#[test]
fn a_session_lives_twelve_hours() {
    let sessions = Sessions::default();
    let start = Moment::default();
    let cookie = begin(&sessions, start);
    assert!(sessions.is_alive(&cookie, start));
    assert!(sessions.is_alive(&format!("other=1; {cookie}; x"), start.after(LIFETIME / 2)));
    assert!(!sessions.is_alive(&cookie, start.after(LIFETIME)));
}

#[test]
fn logging_out_ends_it() {
    let sessions = Sessions::default();
    let cookie = begin(&sessions, Moment::default());
    assert!(sessions.end(&cookie).contains("Max-Age=0"));
    assert!(!sessions.is_alive(&cookie, Moment::default()));
}

#[test]
fn strange_cookies_are_no_session() {
    let sessions = Sessions::default();
    begin(&sessions, Moment::default());
    for cookie in ["", ";;;", "lotse-session", "lotse-session=", "lotse-session=0", "=", "a=b=c"] {
        assert!(!sessions.is_alive(cookie, Moment::default()), "{cookie}");
    }
    let guess = format!("lotse-session={}", "0".repeat(64));
    assert!(!sessions.is_alive(&guess, Moment::default()));
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
    assert!(!sessions.is_alive(&first, now) && sessions.is_alive(&last, now));
    assert_eq!(sessions.0.lock().unwrap().len(), LIMIT);
}
