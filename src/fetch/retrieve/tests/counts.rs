//! A list of instances that is shorter than the study's own number of them.

use super::evil::{Answers, STUDY, Script};
use super::hostile::{GET, get, two};

fn counted(count: u32) -> Answers {
    Answers { studies: vec![(STUDY.to_owned(), Some(count))], ..two() }
}

#[tokio::test]
async fn a_short_list_does_not_hide_what_failed() {
    let failed: Script = |wire| {
        Box::pin(async move {
            wire.good("1.2.3.4").await;
            wire.good("1.2.3.5").await;
            wire.answer(GET, 0xB000, [0, 2, 1, 0]).await;
        })
    };
    let outcome = get(counted(3), failed).await;
    let words = "holds 3 instances of what was asked for and handed over 2 of them";
    assert!(outcome.sentence().contains(words), "{}", outcome.sentence());
    // All that the study counts is here: what failed is nothing of it.
    assert_eq!(get(counted(2), failed).await.ended.unwrap().len(), 2);
    assert_eq!(get(counted(1), failed).await.ended.unwrap().len(), 2);
    // A number may be out of date: a peer that says it sent all is believed.
    let fine: Script = |wire| {
        Box::pin(async move {
            wire.good("1.2.3.4").await;
            wire.good("1.2.3.5").await;
            wire.answer(GET, 0, [0, 2, 0, 0]).await;
        })
    };
    assert_eq!(get(counted(3), fine).await.ended.unwrap().len(), 2);
}
