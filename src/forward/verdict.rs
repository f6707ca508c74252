//! What an answer of a destination, or the lack of one, means for the instance and for what comes after it
//! (PS3.4 B.2.3, PS3.7 annex C).

use super::Ended;
use super::readings::{FEW, Failures, Reading, Readings};
use crate::dicom::Uid;
use crate::dimse::{self, Class, Remote, Status, StatusClass};
use crate::import::InstanceOutcome;

/// What follows from the status of one instance.
pub(super) enum Verdict {
    /// An outcome to be recorded.
    Answered(InstanceOutcome),
    /// An object of this UID is there already; whose, the peer has to be asked.
    Doubtful,
    /// Not now; it may be this object, so the others go on.
    Later(String),
    /// Not now, and not the others either.
    Stop(String),
}

/// What a destination's answers are read by.
#[derive(Debug, Default)]
pub(super) struct Judge {
    readings: Readings,
    failures: Failures,
}

impl Judge {
    pub(super) fn new(readings: Readings) -> Self {
        Self { readings, failures: Failures::default() }
    }

    /// What follows from the status of this instance: by the configuration, else by the standard.
    pub(super) fn of_status(&self, status: Status, instance: &Uid) -> Verdict {
        let delivered = Verdict::Answered(InstanceOutcome::Delivered { status: status.0 });
        let verdict = match self.readings.of(status) {
            Some(Reading::Delivered) => delivered,
            Some(Reading::Refused) => refused(status, status.sentence()),
            Some(Reading::Retry) => Verdict::Later(status.sentence()),
            None if status.class() == StatusClass::RetryFewTimes => {
                let times = self.failures.count(instance);
                if times < FEW {
                    return Verdict::Later(status.sentence());
                }
                refused(status, format!("{}; it was tried {times} times", status.sentence()))
            }
            None => of_status(status),
        };
        self.failures.forget(instance);
        verdict
    }
}

fn refused(status: Status, sentence: String) -> Verdict {
    Verdict::Answered(InstanceOutcome::Refused { status: Some(status.0), sentence })
}

/// Table 8: every class of statuses, and no way past it.
pub(super) fn of_status(status: Status) -> Verdict {
    match status.class() {
        StatusClass::Success | StatusClass::Warning => {
            Verdict::Answered(InstanceOutcome::Delivered { status: status.0 })
        }
        StatusClass::Duplicate => Verdict::Doubtful,
        StatusClass::Permanent => refused(status, status.sentence()),
        // Neither fits a C-STORE response, so nobody can say what became of the object.
        StatusClass::Pending | StatusClass::Cancelled | StatusClass::RetryFewTimes => {
            Verdict::Later(status.sentence())
        }
        StatusClass::Retry => Verdict::Stop(status.sentence()),
    }
}

/// When the association broke.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum When {
    /// It never stood: whatever it is, it concerns everything for this destination.
    Before,
    /// While it carried objects: it may be one of them.
    During,
}

/// What the run says of a broken association.
pub(super) fn of_error(error: &dimse::Error, name: &str, remote: &Remote, when: When) -> Ended {
    let pause_destination = when == When::Before || error.class() == Class::Configuration;
    let Remote { address, called, calling, .. } = remote;
    Ended::Postponed {
        sentence: format!("{name}: {error} (called {called} at {address} as {calling})"),
        pause_destination,
    }
}

/// Whether a new association may carry on with the other objects at once: the peer is there, it only ended
/// this one. A silent peer is not asked again within the run.
pub(super) fn may_reconnect(error: &dimse::Error) -> bool {
    matches!(
        error,
        dimse::Error::Aborted(_)
            | dimse::Error::Closed(_)
            | dimse::Error::Released(_)
            | dimse::Error::Io(_)
            | dimse::Error::Protocol { .. }
    )
}

#[cfg(test)]
mod tests;
