use super::*;
use crate::import::{Assurance, Commitment, Delivery, DestinationName, Stand};

fn delivery(outcomes: &[(u32, bool)]) -> Delivery {
    let outcome = |stored: bool| {
        if stored {
            InstanceOutcome::Delivered { status: 0 }
        } else {
            InstanceOutcome::Refused { status: Some(0xA900), sentence: "no".into() }
        }
    };
    let outcomes = outcomes.iter().map(|(n, stored)| (*n, outcome(*stored))).collect();
    let stand = Stand::Assured(Assurance::Answered);
    let commitment = Commitment { stand, ..Commitment::default() };
    Delivery { outcomes, commitment, ..Delivery::new(DestinationName("pacs".into())) }
}

#[test]
fn only_every_instance_at_every_destination_vouches() {
    let all = delivery(&[(0, true), (1, true)]);
    assert_eq!(vouched(&[all.clone(), all.clone()], &[0, 1]), Verdict::Vouched);
    let part = delivery(&[(0, true)]);
    assert_eq!(vouched(&[all.clone(), part], &[0, 1]), Verdict::Waiting { unanswered: 1 });
    let refused = delivery(&[(0, true), (1, false)]);
    assert_eq!(vouched(&[all.clone(), refused], &[0, 1]), Verdict::Refused { refused: 1 });
    assert_eq!(vouched(&[all], &[0, 1, 2]), Verdict::Waiting { unanswered: 1 });
}

#[test]
fn nothing_sent_is_not_vouched_for() {
    assert_eq!(vouched(&[], &[0]), Verdict::Waiting { unanswered: 1 });
    assert_eq!(vouched(&[delivery(&[])], &[]), Verdict::Waiting { unanswered: 0 });
}

#[test]
fn answers_alone_do_not_vouch_while_a_commitment_is_awaited() {
    let all = delivery(&[(0, true), (1, true)]);
    let mut open = all.clone();
    open.commitment.stand = Stand::Open;
    assert_eq!(
        vouched(&[all.clone(), open.clone()], &[0, 1]),
        Verdict::Unassured { destinations: 1 }
    );
    open.commitment.stand = Stand::Assured(Assurance::Committed);
    assert_eq!(vouched(&[all, open], &[0, 1]), Verdict::Vouched);
}
