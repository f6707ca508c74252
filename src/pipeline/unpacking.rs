//! One attempt to unpack what an import received, and what follows if it does not succeed.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::delivering::seed;
use super::stages::{Stages, failed};
use super::{Backoff, Settings};
use crate::clock::Moment;
use crate::import::{Event, Import, ImportId, Question, QuestionKind, Request, Stage, State};
use crate::journal::Entry;
use crate::unpack::{self, Class};

const TOO_MANY: &str =
    "there are more instances in it than one import can hold; import its studies one by one";

impl Stages {
    pub(super) async fn unpack(
        &self,
        import: &Import,
        settings: &Settings,
        cancel: &CancellationToken,
    ) -> Option<Event> {
        let State::Received { files, waits, fails_since, .. } = &import.state else {
            return None;
        };
        let _permit = self.permits.unpacks.acquire().await.ok()?;
        self.begin(import.id, Stage::Unpack, None, None).await?;
        let shared = &self.pipeline.shared;
        let counters = shared.counters(import.id);
        counters.reset();
        let (id, files, limits) = (import.id, files.clone(), settings.limits);
        let (spool, stopped, cancel) = (shared.spool.clone(), cancel, cancel.clone());
        let (scan, password) = (settings.scan.clone(), import.request.password.clone());
        let unpacked = tokio::task::spawn_blocking(move || {
            let spool = spool.import(id).map_err(unpack::Error::from)?;
            let (limits, scan, password) = (&limits, &scan, password.as_deref());
            let terms = unpack::Terms { limits, scan, password };
            let found = unpack::unpack(&spool, &files, &terms, &cancel, &counters.instances)?;
            let unpack::Unpacked { instances, documents, set_aside } = found;
            let event = Event::Unpacked { instances, documents, set_aside };
            let fits = Entry::takes(&event);
            Ok(fits.then_some(event))
        });
        let unpacked: Result<_, unpack::Error> = match unpacked.await {
            Ok(unpacked) => unpacked,
            Err(panicked) => std::panic::resume_unwind(panicked.into_panic()),
        };
        Some(match unpacked {
            Ok(Some(event)) => event,
            Ok(None) => failed(Stage::Unpack, None, TOO_MANY.to_owned()),
            // Stopped, not failed: the next start unpacks it anew.
            Err(_) if stopped.is_cancelled() => return None,
            Err(error) => {
                let denied = Denied { import: id, waits: *waits, since: *fails_since };
                denied.event(&error, settings.times.limit, &settings.backoff, shared.clock.now())
            }
        })
    }
}

/// An attempt that did not succeed, and those before it.
struct Denied {
    import: ImportId,
    waits: u32,
    since: Option<Moment>,
}

impl Denied {
    /// What passes is waited out as long as half the time is over that anything is kept (`limit`): a disk may break on
    /// a Friday evening, and a person needs the other half to mend what did not pass.
    fn event(
        &self,
        error: &unpack::Error,
        limit: Duration,
        backoff: &Backoff,
        now: Moment,
    ) -> Event {
        let sentence = error.sentence();
        match error.class() {
            Class::Ask => {
                Event::Asked { questions: vec![archive_password()], note: Some(sentence) }
            }
            Class::Useless => Event::Unreadable { sentence },
            Class::Quarantine => failed(Stage::Unpack, None, sentence),
            Class::Retry => {
                let (patience, since) = (limit / 2, self.since.unwrap_or(now));
                let tried = now.since(since);
                if tried >= patience {
                    let tried = humantime::format_duration(Duration::from_secs(tried.as_secs()));
                    let sentence = format!("tried for {tried} in vain: {sentence}");
                    return failed(Stage::Unpack, None, sentence);
                }
                let wait = backoff.jittered(self.waits.saturating_add(1), seed(self.import));
                // The last time at the end, not after it.
                let due = now.after(wait).earlier(since.after(patience));
                Event::Postponed { stage: Stage::Unpack, study: None, due, sentence }
            }
        }
    }
}

fn archive_password() -> Question {
    Question {
        key: Request::ARCHIVE_PASSWORD.to_owned(),
        kind: QuestionKind::Password,
        text: "Password of the archive".to_owned(),
        format: "STRING".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;
    use crate::spool;

    const DAY: Duration = Duration::from_secs(24 * 3600);
    const LIMIT: Duration = Duration::from_secs(168 * 3600);

    fn event(error: &unpack::Error, waits: u32, since: Option<Moment>, now: Moment) -> Event {
        let backoff = Backoff::new(Duration::from_secs(10), Duration::from_secs(900));
        Denied { import: ImportId::new(), waits, since }.event(error, LIMIT, &backoff, now)
    }

    fn full() -> unpack::Error {
        spool::Error::Full.into()
    }

    #[test]
    fn what_the_spool_denies_is_tried_again_with_growing_waits() {
        let io = |kind: io::ErrorKind| unpack::Error::Read(kind.into());
        let absent = spool::Error::Absent { step: "/var/lib/lotse/spool".into() };
        let passing =
            [full(), absent.into(), io(io::ErrorKind::Other), io(io::ErrorKind::NotFound)];
        for error in passing {
            let mut longest = Duration::ZERO;
            for (waits, least, most) in [(0, 8, 10), (3, 64, 80), (500, 720, 900)] {
                let now = Moment::default().after(DAY);
                let Event::Postponed { stage: Stage::Unpack, due, sentence, .. } =
                    event(&error, waits, (waits > 0).then_some(Moment::default()), now)
                else {
                    panic!("{error} is not tried again");
                };
                let wait = due.since(now);
                let bounds = Duration::from_secs(least)..=Duration::from_secs(most);
                assert!(bounds.contains(&wait), "{wait:?}");
                assert!(wait > longest && !sentence.contains("retry"), "{sentence}");
                longest = wait;
            }
        }
    }

    #[test]
    fn a_weekend_is_waited_out_and_then_a_person_is_asked_while_there_is_time() {
        let since = Moment::default();
        let monday = since.after(DAY * 3);
        assert!(matches!(event(&full(), 300, Some(since), monday), Event::Postponed { .. }));
        let nearly = since.after(LIMIT / 2 - Duration::from_secs(5));
        let Event::Postponed { due, .. } = event(&full(), 330, Some(since), nearly) else {
            panic!("given up too early");
        };
        assert_eq!(due, since.after(LIMIT / 2));
        let Event::Failed { stage: Stage::Unpack, sentence, .. } =
            event(&full(), 331, Some(since), due)
        else {
            panic!("never given up");
        };
        assert!(
            sentence.starts_with("tried for 3days 12h in vain: the disk is full"),
            "{sentence}"
        );
    }

    #[test]
    fn damage_is_not_tried_again() {
        let damaged = || spool::Error::Damaged("its digest is another one");
        for error in [damaged().into(), unpack::Error::Read(damaged().into())] {
            let event = event(&error, 0, None, Moment::default());
            assert!(matches!(event, Event::Failed { stage: Stage::Unpack, .. }), "{error}");
        }
        let gone = crate::seal::Error::Unknown(ImportId::new());
        let event = event(&spool::Error::from(gone).into(), 0, None, Moment::default());
        assert!(matches!(event, Event::Failed { .. }), "its key is gone");
    }
}
