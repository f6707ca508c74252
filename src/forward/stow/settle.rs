//! What follows from the answer to one request, by its HTTP status (PS3.18 table 10.5.3-1) and by instance.

use std::collections::BTreeSet;

use super::answer::{Answers, Said};
use super::{Item, Pause, refused};
use crate::dimse::{Status, StatusClass};
use crate::forward::verdict::{self, Verdict};
use crate::import::InstanceOutcome;

/// Failure Reason: the transfer syntax is not supported (PS3.18 table I.2-2).
const SYNTAX_NOT_SUPPORTED: Status = Status(0xC122);

#[derive(Default)]
pub(super) struct Next {
    pub(super) outcomes: Vec<(u32, InstanceOutcome)>,
    /// Requests to come.
    pub(super) again: Vec<Vec<Item>>,
    /// Those of which the answer does not tell what became.
    pub(super) unanswered: Vec<u32>,
    /// Why not all of it is done, and who waits.
    pub(super) fault: Option<(String, Pause)>,
}

impl Next {
    fn postpone(&mut self, sentence: String, pause: Pause) {
        let worse = self.fault.as_ref().is_none_or(|(_, now)| pause > *now);
        if worse {
            self.fault = Some((sentence, pause));
        }
    }
}

/// Reads `answers` by what was sent. `may_hold` are those that the server may have from us.
pub(super) fn settle(
    status: u16,
    answers: Option<&Answers>,
    sent: Vec<Item>,
    may_hold: &BTreeSet<u32>,
) -> Next {
    let mut next = Next::default();
    let tells_nothing = match status {
        200..=299 | 409 => answers.is_none(),
        400 | 401 | 403 | 404 | 405 | 406 | 413 | 415 | 422 | 429 | 501 => false,
        // A proxy that gave up waiting says so, too.
        _ => true,
    };
    if tells_nothing {
        next.unanswered = sent.iter().map(|item| item.number).collect();
    }
    let stop = |next: &mut Next, sentence: &str| {
        next.postpone(format!("{sentence} (HTTP {status})"), Pause::Destination);
    };
    match status {
        200..=299 | 409 => match answers {
            Some(answers) => named(answers, sent, may_hold, &mut next),
            None if status == 409 => apart(status, sent, &mut next),
            None => next.postpone(
                format!(
                    "its answer does not tell what it stored (HTTP {status}); check that `stow-url` is the \
                     studies resource of a DICOMweb server"
                ),
                Pause::Destination,
            ),
        },
        400 | 406 | 413 | 415 | 422 => apart(status, sent, &mut next),
        401 | 403 => stop(&mut next, "it does not let the gateway in; check token or password"),
        404 | 405 | 501 => stop(&mut next, "there is no STOW-RS at `stow-url`; check the address"),
        408 | 429 | 500..=599 => stop(&mut next, "it cannot take anything now"),
        _ => stop(&mut next, "it answers in a way that is not foreseen"),
    }
    next
}

fn named(answers: &Answers, sent: Vec<Item>, may_hold: &BTreeSet<u32>, next: &mut Next) {
    let mut natively = Vec::new();
    let mut unnamed = 0_usize;
    for item in sent {
        let outcome = match answers.get(&item.instance.sop_instance) {
            None => {
                unnamed = unnamed.saturating_add(1);
                next.unanswered.push(item.number);
                continue;
            }
            Some(Said::Stored(status)) => InstanceOutcome::Delivered { status: status.0 },
            Some(Said::Failed(SYNTAX_NOT_SUPPORTED)) if item.native.is_some() => {
                natively.extend(native(item));
                continue;
            }
            Some(Said::Failed(status)) => match failed(*status, item.number, may_hold) {
                Ok(outcome) => outcome,
                Err((sentence, pause)) => {
                    if pause == Pause::Study {
                        next.unanswered.push(item.number);
                    }
                    next.postpone(sentence, pause);
                    continue;
                }
            },
        };
        next.outcomes.push((item.number, outcome));
    }
    if unnamed > 0 {
        let sentence =
            format!("its answer does not name {unnamed} of the instances; they go again");
        next.postpone(sentence, Pause::Study);
    }
    next.again.push(natively);
}

fn failed(
    status: Status,
    number: u32,
    may_hold: &BTreeSet<u32>,
) -> Result<InstanceOutcome, (String, Pause)> {
    // A failure for a reason that means success is one without a reason.
    let status = match status.class() {
        StatusClass::Success | StatusClass::Warning => Status::PROCESSING_FAILURE,
        _ => status,
    };
    match verdict::of_status(status) {
        Verdict::Answered(outcome) => Ok(outcome),
        Verdict::Doubtful if may_hold.contains(&number) => {
            Ok(InstanceOutcome::Delivered { status: status.0 })
        }
        Verdict::Doubtful => Ok(InstanceOutcome::Refused {
            status: Some(status.0),
            sentence: "the destination says that it has this instance already; look there for which patient: remove \
                       it there and press retry, or reject the study here"
                .to_owned(),
        }),
        Verdict::Later(sentence) => Err((sentence, Pause::Study)),
        Verdict::Stop(sentence) => Err((sentence, Pause::Destination)),
    }
}

/// The request as a whole was refused: one object may have spoilt it, or there were too many.
fn apart(status: u16, sent: Vec<Item>, next: &mut Next) {
    if sent.len() > 1 {
        next.again.extend(sent.into_iter().map(|item| vec![item]));
        return;
    }
    for item in sent {
        let number = item.number;
        if matches!(status, 406 | 415)
            && let Some(item) = native(item)
        {
            next.again.push(vec![item]);
            continue;
        }
        let why = match status {
            413 => "is too large for it; raise the limit there",
            415 | 406 => "is of a kind or transfer syntax that it does not take; enable it there",
            _ => "is refused without a reason; look into its log",
        };
        let sentence =
            format!("the destination says that this object {why}, then retry (HTTP {status})");
        next.outcomes.push((number, refused(sentence)));
    }
}

/// The same object in the uncompressed syntax, if that is another.
fn native(item: Item) -> Option<Item> {
    let transfer_syntax = item.native?;
    Some(Item { transfer_syntax, native: None, ..item })
}
