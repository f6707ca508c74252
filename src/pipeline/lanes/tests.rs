use super::*;

fn clock() -> Clock {
    Clock::simulated(Moment { wall_ms: 0, running_ms: 1_000_000 })
}

async fn turn(lane: &Arc<Lane>, rank: Rank, clock: &Clock) -> Option<Turn> {
    let cancel = CancellationToken::new();
    let patience = Duration::from_millis(600);
    tokio::time::timeout(patience, lane.turn(rank, clock, |_| true, &cancel)).await.ok().flatten()
}

#[tokio::test]
async fn a_person_goes_before_bursts_that_came_earlier() {
    let (lane, clock) = (Lanes::default().of(&DestinationName("pacs".into())), clock());
    let mut turns = vec![];
    for _ in 0..RUNS {
        turns.push(turn(&lane, Rank::Burst, &clock).await.unwrap());
    }
    let order = Arc::new(Mutex::new(vec![]));
    let mut waiting = vec![];
    for rank in [Rank::Burst, Rank::Burst, Rank::Person] {
        let other = Arc::clone(&lane);
        let (lane, inner, order) = (Arc::clone(&lane), clock.clone(), Arc::clone(&order));
        waiting.push(tokio::spawn(async move {
            let cancel = CancellationToken::new();
            let turn = lane.turn(rank, &inner, |_| true, &cancel).await;
            order.lock().unwrap().push(rank);
            drop(turn);
        }));
        while other.waiting() < waiting.len() {
            tokio::task::yield_now().await;
        }
    }
    turns.pop();
    for task in waiting {
        task.await.unwrap();
    }
    assert_eq!(*order.lock().unwrap(), [Rank::Person, Rank::Burst, Rank::Burst]);
}

#[tokio::test]
async fn a_lane_that_rests_lets_one_try_and_then_all() {
    let (lane, clock) = (Lanes::default().of(&DestinationName("pacs".into())), clock());
    let minute = Backoff::new(Duration::from_secs(60), Duration::from_secs(60));
    let until = lane.rest(clock.now(), &minute);
    assert_eq!(lane.rest(clock.now(), &minute), until, "failures at once count once");
    let began = clock.now();
    assert_eq!(lane.fails_since(), Some(began));
    assert!(turn(&lane, Rank::Person, &clock).await.is_none(), "it rests");
    assert_eq!(lane.waiting(), 0, "who gives up leaves no place behind");
    clock.advance(Duration::from_secs(60));
    let probe = turn(&lane, Rank::Person, &clock).await;
    assert!(probe.is_some());
    lane.rest(clock.now(), &minute);
    assert_eq!(lane.fails_since(), Some(began), "the first failure counts");
    clock.advance(Duration::from_secs(60));
    assert!(turn(&lane, Rank::Person, &clock).await.is_none(), "one at a time");
    lane.wake();
    assert_eq!(lane.fails_since(), None);
    assert!(turn(&lane, Rank::Person, &clock).await.is_some());
    lane.rest(clock.now(), &minute);
    lane.pause(Paused::Yes);
    assert_eq!(lane.fails_since(), None, "what is not tried does not fail");
}

#[tokio::test]
async fn a_paused_lane_lets_nobody_in_and_another_is_free() {
    let (lanes, clock) = (Lanes::default(), clock());
    let (one, other) =
        (lanes.of(&DestinationName("one".into())), lanes.of(&DestinationName("other".into())));
    assert!(one.pause(Paused::Yes));
    assert!(!one.pause(Paused::Yes), "it was paused already");
    assert!(turn(&one, Rank::Person, &clock).await.is_none());
    assert!(turn(&other, Rank::Burst, &clock).await.is_some());
    one.pause(Paused::No);
    assert!(turn(&one, Rank::Burst, &clock).await.is_some());
}

#[test]
fn the_time_that_somebody_was_kept_out_is_added_up() {
    let lane = Lanes::default().of(&DestinationName("pacs".into()));
    let at = |second: u64| Moment { wall_ms: 0, running_ms: second * 1000 };
    // Two who wait, and a look that comes late.
    for (from, now) in [(100, 100), (100, 101), (101, 101), (101, 190), (190, 200), (300, 310)] {
        lane.keep_out(at(from), at(now));
    }
    for (since, seconds) in [(0, 110), (150, 60), (250, 10), (305, 5), (400, 0)] {
        assert_eq!(lane.kept_out_since(at(since)), Duration::from_secs(seconds), "{since}");
    }
    (1..1000).for_each(|night| lane.keep_out(at(1000 * night), at(1000 * night)));
    assert_eq!(lane.state().closed.len(), CLOSED_KEPT);
}
