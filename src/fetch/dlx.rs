//! A DLX session: login, list, downloads (consumer calls of interface version 1).

use bytes::Bytes;
use url::Url;

use super::answers::{self, Prepared};
use super::recognise::wait;
use super::wire::{self, Asked, Item, Questions};
use super::{Error, Halt, Pull, Pulled, locate, store};
use crate::import::{Question, QuestionKind};
use crate::spool::AsyncPack;
use crate::web::{self, Answer, Bearer};

/// Logins of one pull, the first included: a short-lived session costs one per file in the worst case.
const MAX_LOGINS: u32 = 10;

/// A session token is below a kilobyte or two.
const MAX_LOGIN_ANSWER: u64 = 64 << 10;

const REJECTED: &str = "the portal did not accept the answer, or does not know the link: check both, then answer again";

/// Logs in and downloads everything. `answered` is the URL that gave the questions.
pub(super) async fn pull(
    client: &web::Client,
    pull: &Pull,
    answered: &Url,
    questions: Questions,
) -> Result<Pulled, Halt> {
    let link = pull.link.url();
    let base = locate::base(client, questions.base.as_deref(), answered, link)?;
    let host = base.host_str().unwrap_or("").to_owned();
    let token = locate::token(answered, link)
        .ok_or(Error::Answer { host: host.clone(), what: "the link holds no token" })?;
    let body = match answers::prepare(&questions.questions, &pull.answers) {
        Prepared::Ready(body) => Bytes::from(body),
        Prepared::Missing { questions, note } => return Ok(Pulled::Asked { questions, note }),
    };
    let mut session = Session {
        client,
        pull,
        login: locate::call(&base, &["tokentfa", &token]),
        base,
        host,
        one_time: questions
            .questions
            .iter()
            .any(|asked| answers::kind(asked) == QuestionKind::Password),
        questions: &questions.questions,
        body,
        bearer: None,
        logins: 0,
        renewed: false,
        kept: 0,
    };
    session.login().await?;
    match session.download().await {
        Err(Halt::Fault(cause)) if session.one_time && !matches!(cause, Error::Cancelled) => {
            Err(Error::OneTime { host: session.host, cause: Box::new(cause) }.into())
        }
        other => other,
    }
}

struct Session<'a> {
    client: &'a web::Client,
    pull: &'a Pull,
    base: Url,
    login: Url,
    host: String,
    questions: &'a [Asked],
    /// The answers, ready to be posted.
    body: Bytes,
    /// Whether an answer is a password that may be good for one login only.
    one_time: bool,
    bearer: Option<Bearer>,
    logins: u32,
    /// The login was repeated and nothing has succeeded since.
    renewed: bool,
    /// Bytes stored so far.
    kept: u64,
}

impl Session<'_> {
    /// Posts the answers once.
    async fn login(&mut self) -> Result<(), Halt> {
        let host = || self.host.clone();
        let in_doubt = || Error::LoginInDoubt { host: host() };
        self.logins = self.logins.saturating_add(1);
        let sent = self
            .client
            .post_json(self.login.clone(), self.body.clone())
            .limits(self.pull.section.short())
            .send()
            .await;
        let mut answer = match sent {
            Ok(answer) => answer,
            Err(error) if error.is_unsent() || !error.is_passing() => return Err(error.into()),
            Err(_) => return Err(in_doubt().into()),
        };
        match answer.status() {
            200..=299 => {
                let body = answer.bytes(MAX_LOGIN_ANSWER).await.map_err(|_| in_doubt())?;
                let token = wire::session_token(&String::from_utf8_lossy(&body));
                self.bearer = token.and_then(|token| Bearer::new(&token));
                if self.bearer.is_none() {
                    let what = "the login brought no session token";
                    return Err(Error::Answer { host: host(), what }.into());
                }
                Ok(())
            }
            // 401 tells neither link nor answer apart, by design; older servers say 400 or 404.
            400 | 401 | 404 | 422 if self.logins == 1 => Err(Halt::Ended(Pulled::Asked {
                questions: self.questions.iter().map(answers::shown).collect::<Vec<Question>>(),
                note: Some(REJECTED.to_owned()),
            })),
            400 | 401 | 404 | 422 => Err(Error::SessionLost { host: host() }.into()),
            403 => Err(Error::Expired { host: host() }.into()),
            // The password may be used up by now.
            429 | 503 if self.one_time => Err(in_doubt().into()),
            429 | 503 => Err(Halt::Ended(Pulled::Preparing { wait: wait(&mut answer).await })),
            _ => Err(in_doubt().into()),
        }
    }

    async fn download(&mut self) -> Result<Pulled, Halt> {
        let observer = self.pull.observer.as_ref();
        let items = self.list().await?;
        let mut pack = store::pack(&self.pull.spool).await?;
        let mut files = Vec::new();
        if items.is_empty() {
            observer.downloading(None, None);
            let url = locate::call(&self.base, &["downloadall"]);
            match self.file(&mut pack, url, None, Announce::Length).await {
                Err(Halt::Fault(Error::Missing { host, .. })) => {
                    return Err(Error::Nothing { host }.into());
                }
                other => files.push(other?),
            }
        } else {
            let total_files =
                items.iter().try_fold(0_u64, |sum, item| sum.checked_add(item.files.unwrap_or(1)));
            observer.downloading(None, total_files);
            let announce = match items.as_slice() {
                [only] => Announce::LengthOf(only.files),
                _ => Announce::Nothing,
            };
            for item in &items {
                let url = locate::call(&self.base, &["download", &item.id]);
                let description = item.description.as_deref();
                files.push(self.file(&mut pack, url, description, announce).await?);
            }
        }
        pack.sync().await?;
        Ok(Pulled::Done { files, portal: wire::common_patient(&items) })
    }

    /// The list; empty if the portal has none, which leaves `/downloadall`.
    async fn list(&mut self) -> Result<Vec<Item>, Halt> {
        let url = locate::call(&self.base, &["list"]);
        let mut answer = self.get(url, self.pull.section.short()).await?;
        match answer.status() {
            200..=299 => {
                let document = answer.json::<serde_json::Value>().await?;
                let what = "its list has no usable form";
                Ok(wire::items(&document).ok_or(Error::Answer { host: self.host.clone(), what })?)
            }
            404 | 405 | 501 => Ok(Vec::new()),
            status => Err(self.status(status).into()),
        }
    }

    async fn file(
        &mut self,
        pack: &mut AsyncPack,
        url: Url,
        description: Option<&str>,
        announce: Announce,
    ) -> Result<crate::import::File, Halt> {
        let observer = self.pull.observer.as_ref();
        let left = self.pull.section.max_download.saturating_sub(self.kept);
        let mut answer = self.get(url, self.pull.section.long(left)).await?;
        match answer.status() {
            200..=299 => {}
            status @ (400 | 404 | 410) => {
                return Err(Error::Missing { host: self.host.clone(), status }.into());
            }
            status => return Err(self.status(status).into()),
        }
        match announce {
            Announce::Nothing => {}
            Announce::Length => observer.downloading(answer.content_length(), None),
            Announce::LengthOf(files) => observer.downloading(answer.content_length(), files),
        }
        let file = store::file(&mut answer, pack, description, observer).await?;
        self.kept = self.kept.saturating_add(file.blob.length);
        Ok(file)
    }

    /// A GET with the session's token. Logs in again once if the session has ended, and waits if the portal
    /// is preparing and going back would cost what is here already.
    async fn get(&mut self, url: Url, limits: web::Limits) -> Result<Answer, Halt> {
        loop {
            let lost = || Error::SessionLost { host: self.host.clone() };
            let bearer = self.bearer.as_ref().ok_or_else(lost)?;
            let mut answer = self
                .client
                .get(url.clone())
                .bearer(bearer)
                .limits(limits)
                .send()
                .await
                .map_err(store::too_large)?;
            // An empty success is how some servers refuse an expired session.
            let ended = answer.status() == 401
                || answer.is_success()
                    && answer.peek(1).await.map_err(store::too_large)?.is_empty();
            if ended {
                if self.renewed || self.one_time || self.logins >= MAX_LOGINS {
                    return Err(lost().into());
                }
                self.login().await?;
                self.renewed = true;
                continue;
            }
            self.renewed = false;
            if matches!(answer.status(), 429 | 503) {
                let wait = wait(&mut answer).await;
                if self.kept == 0 && !self.one_time {
                    return Err(Halt::Ended(Pulled::Preparing { wait }));
                }
                tokio::time::sleep(wait).await;
                continue;
            }
            return Ok(answer);
        }
    }

    fn status(&self, status: u16) -> Error {
        let host = self.host.clone();
        match status {
            500..=599 => Error::Unavailable { host, status },
            _ => Error::Refused { host, status },
        }
    }
}

/// What an observer is told when a file begins.
#[derive(Clone, Copy)]
enum Announce {
    /// Its length is not that of the whole.
    Nothing,
    Length,
    /// With the number of files in it.
    LengthOf(Option<u64>),
}
