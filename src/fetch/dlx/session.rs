//! One login and what is asked under it.
//!
//! Invariant: a password is posted once, other answers again only to renew a session that has ended.

use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;
use url::Url;

use super::{Announce, shortfall};
use crate::fetch::recognise::wait;
use crate::fetch::store::{self, Source};
use crate::fetch::wire::{self, Asked, Item as Listed};
use crate::fetch::{Error, Halt, Pull, Pulled, answers};
use crate::import::{self, File, Link, Question};
use crate::spool::AsyncPack;
use crate::web::{self, Answer, Bearer, Limits, Validator};

/// Logins until a file is here, the first included: a short-lived session costs one per file in the worst case.
const MAX_LOGINS: u32 = 10;

/// A session token is below a kilobyte or two.
const MAX_LOGIN_ANSWER: u64 = 64 << 10;

/// A session that ends in less is renewed before a request, not after it failed.
const MARGIN: Duration = Duration::from_secs(5);

const REJECTED: &str = "the portal did not accept the answer, or does not know the link: check both, then answer again";

/// How to log in.
pub(super) struct Login<'a> {
    pub(super) url: Url,
    /// The answers, ready to be posted.
    pub(super) body: Bytes,
    pub(super) questions: &'a [Asked],
    pub(super) vendor: Option<&'a str>,
}

/// What becomes of a portal that is preparing.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Waits {
    /// It is asked again by a new pull, unless that would cost what is here already.
    ComesBack,
    /// It is waited for.
    Stays,
}

pub(super) struct Session<'a> {
    client: &'a web::Client,
    pub(super) pull: &'a Pull,
    pub(super) base: Url,
    pub(super) host: String,
    /// `None` for a session that was opened earlier.
    login: Option<Login<'a>>,
    /// Whether an answer is a password that may be good for one login only.
    pub(super) one_time: bool,
    bearer: Option<(Bearer, String)>,
    /// When the session ends, as far as its token tells.
    until: Option<Instant>,
    /// Since the last file that was stored.
    logins: u32,
    /// The login was repeated and nothing has succeeded since.
    renewed: bool,
    /// Bytes stored so far.
    kept: u64,
}

impl<'a> Session<'a> {
    pub(super) fn new(
        client: &'a web::Client,
        pull: &'a Pull,
        base: Url,
        one_time: bool,
        login: Option<Login<'a>>,
    ) -> Self {
        let host = base.host_str().unwrap_or("").to_owned();
        let (bearer, until, logins, renewed, kept) = (None, None, 0, false, 0);
        Self { client, pull, base, host, login, one_time, bearer, until, logins, renewed, kept }
    }

    /// Goes on with the token of an earlier login.
    pub(super) fn take_over(&mut self, token: &str) -> bool {
        self.bearer = Bearer::new(token).map(|bearer| (bearer, token.to_owned()));
        self.bearer.is_some()
    }

    /// What a later pull needs to go on.
    pub(super) fn handed_over(&self) -> Option<import::Session> {
        let (_, token) = self.bearer.as_ref()?;
        let base = Link::new(self.base.as_str())?;
        Some(import::Session { base, token: token.clone(), one_time: self.one_time })
    }

    /// Posts the answers once.
    pub(super) async fn login(&mut self) -> Result<(), Halt> {
        let host = || self.host.clone();
        let Some(login) = &self.login else {
            return Err(Error::SessionLost { host: host() }.into());
        };
        let one_time = self.one_time;
        let in_doubt = || {
            let error = Error::LoginInDoubt { host: host() };
            if one_time {
                Halt::Ended(super::again(login.questions, error.sentence()))
            } else {
                error.into()
            }
        };
        self.logins = self.logins.saturating_add(1);
        let sent = self
            .client
            .post_json(login.url.clone(), login.body.clone())
            .limits(self.pull.section.short())
            .send()
            .await;
        let mut answer = match sent {
            Ok(answer) => answer,
            Err(error) if error.is_unsent() || !error.is_passing() => return Err(error.into()),
            Err(_) => return Err(in_doubt()),
        };
        match answer.status() {
            200..=299 => {
                let body = answer.bytes(MAX_LOGIN_ANSWER).await.map_err(|_| in_doubt())?;
                let token = wire::session_token(&String::from_utf8_lossy(&body));
                let bearer = token.and_then(|token| Some((Bearer::new(&token)?, token)));
                let Some((bearer, token)) = bearer else {
                    let what = "the login brought no session token";
                    return Err(Error::Answer { host: host(), what }.into());
                };
                let lifetime = wire::lifetime(&token, answer.date());
                self.until = lifetime
                    .filter(|lifetime| *lifetime > MARGIN.saturating_mul(2))
                    .and_then(|lifetime| Instant::now().checked_add(lifetime));
                self.bearer = Some((bearer, token));
                Ok(())
            }
            // 401 tells neither link nor answer apart, by design; older servers say 400 or 404.
            400 | 401 | 404 | 422 if self.bearer.is_none() => Err(Halt::Ended(Pulled::Asked {
                questions: login.questions.iter().map(answers::shown).collect::<Vec<Question>>(),
                note: Some(REJECTED.to_owned()),
            })),
            400 | 401 | 404 | 422 => Err(Error::SessionLost { host: host() }.into()),
            403 => {
                // Foreign text is for people only: sentences are logged, remarks are not.
                if let Some(vendor) = login.vendor.filter(|vendor| !vendor.is_empty()) {
                    let note = format!("the portal says of itself: {vendor}");
                    self.pull.observer.noted(vec![note]);
                }
                Err(Error::Expired { host: host() }.into())
            }
            // The password may be used up by now.
            429 | 503 if self.one_time => Err(in_doubt()),
            429 | 503 => {
                let wait = wait(&mut answer).await;
                Err(Halt::Ended(Pulled::Preparing { wait, session: None }))
            }
            _ => Err(in_doubt()),
        }
    }

    /// A GET with the session's token. Logs in again once if the session has ended, and waits if the portal
    /// is preparing and going back would cost what is here already.
    pub(super) async fn get(
        &mut self,
        url: Url,
        limits: Limits,
        waits: Waits,
    ) -> Result<Answer, Halt> {
        self.request(url, limits, waits, None).await
    }

    async fn request(
        &mut self,
        url: Url,
        limits: Limits,
        waits: Waits,
        rest: Option<(u64, &Validator)>,
    ) -> Result<Answer, Halt> {
        self.renew_in_time().await?;
        loop {
            let lost = || Error::SessionLost { host: self.host.clone() };
            let (bearer, _) = self.bearer.as_ref().ok_or_else(lost)?;
            let mut request = self.client.get(url.clone()).bearer(bearer).limits(limits);
            if let Some((from, validator)) = rest {
                request = request.resume(from, validator);
            }
            let mut answer = request.send().await.map_err(store::too_large)?;
            // An empty success is how some servers refuse an expired session.
            let ended = answer.status() == 401
                || answer.is_success()
                    && answer.peek(1).await.map_err(store::too_large)?.is_empty();
            if ended {
                if self.renewed || !self.is_renewable() {
                    return Err(lost().into());
                }
                self.login().await?;
                self.renewed = true;
                continue;
            }
            self.renewed = false;
            if matches!(answer.status(), 429 | 503) {
                let wait = wait(&mut answer).await;
                if waits == Waits::ComesBack && self.kept == 0 && !self.one_time {
                    // The session goes along, so that the answers need not be posted for each look.
                    let session = self.handed_over();
                    return Err(Halt::Ended(Pulled::Preparing { wait, session }));
                }
                tokio::time::sleep(wait).await;
                continue;
            }
            return Ok(answer);
        }
    }

    fn is_renewable(&self) -> bool {
        self.login.is_some() && !self.one_time && self.logins < MAX_LOGINS
    }

    /// A token that says when it ends is renewed before: some portals answer with nothing afterwards.
    async fn renew_in_time(&mut self) -> Result<(), Halt> {
        let over = |until: Instant| until.saturating_duration_since(Instant::now()) < MARGIN;
        if self.until.is_some_and(over) && self.is_renewable() {
            self.login().await?;
        }
        Ok(())
    }

    /// Whether a file of it is stored.
    pub(super) fn has_files(&self) -> bool {
        self.kept > 0
    }

    pub(super) async fn file(
        &mut self,
        pack: &mut AsyncPack,
        url: Url,
        listed: Option<&Listed>,
        announce: Announce,
    ) -> Result<(File, Option<String>), Halt> {
        let observer = self.pull.observer.as_ref();
        let left = self.pull.section.max_download.saturating_sub(self.kept);
        let limits = self.pull.section.long(left);
        let mut answer = self.get(url.clone(), limits, Waits::ComesBack).await?;
        match answer.status() {
            200..=299 => {}
            status @ (400 | 404 | 405 | 410 | 501) => {
                return Err(Error::Missing { host: self.host.clone(), status }.into());
            }
            status => return Err(self.status(status).into()),
        }
        let is_of_images =
            listed.and_then(|item| item.media_type.as_deref()).is_none_or(holds_images);
        if is_of_images && store::is_sentence(&mut answer).await? {
            let what = "a text instead of a file";
            return Err(Error::Answer { host: self.host.clone(), what }.into());
        }
        if let Announce::LengthOf(files) = announce {
            observer.downloading(answer.content_length(), files);
        }
        let mut source = Item { session: self, url };
        let description = listed.and_then(|item| item.description.as_deref());
        let stored = store::file(answer, &mut source, pack, description, observer).await?;
        self.logins = 0;
        self.kept = self.kept.saturating_add(stored.file.blob.length);
        let note = shortfall(&stored.file.name, announce.files(), stored.entries);
        Ok((stored.file, note))
    }

    pub(super) fn status(&self, status: u16) -> Error {
        let host = self.host.clone();
        match status {
            500..=599 => Error::Unavailable { host, status },
            _ => Error::Refused { host, status },
        }
    }
}

fn holds_images(media_type: &str) -> bool {
    let media_type = media_type.to_ascii_lowercase();
    ["dicom", "zip"].iter().any(|kind| media_type.contains(kind))
}

/// A file of the session that can be asked for again.
struct Item<'s, 'a> {
    session: &'s mut Session<'a>,
    url: Url,
}

impl Source for Item<'_, '_> {
    async fn rest(&mut self, from: u64, validator: &Validator) -> Result<Answer, Halt> {
        let section = &self.session.pull.section;
        let left = section.max_download.saturating_sub(self.session.kept).saturating_sub(from);
        let limits = section.long(left);
        let rest = Some((from, validator));
        self.session.request(self.url.clone(), limits, Waits::Stays, rest).await
    }
}
