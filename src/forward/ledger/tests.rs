use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use tokio::sync::Semaphore;

use super::*;

/// Records as many times as it is allowed to.
struct Slow {
    allowed: Semaphore,
    recorded: Mutex<Vec<u32>>,
    at_once: AtomicUsize,
}

#[async_trait]
impl Recorder for Slow {
    async fn record(&self, outcomes: Vec<(u32, InstanceOutcome)>) -> Result<(), Gone> {
        assert_eq!(self.at_once.fetch_add(1, Ordering::SeqCst), 0);
        self.allowed.acquire().await.unwrap().forget();
        self.recorded.lock().unwrap().extend(outcomes.into_iter().map(|(n, _)| n));
        self.at_once.fetch_sub(1, Ordering::SeqCst);
        Ok(())
    }

    fn sent_bytes(&self, _: u64) {}

    fn unanswered(&self, _: u32) {}
}

fn slow(allowed: usize) -> Arc<Slow> {
    Arc::new(Slow {
        allowed: Semaphore::new(allowed),
        recorded: Mutex::default(),
        at_once: AtomicUsize::new(0),
    })
}

const STORED: InstanceOutcome = InstanceOutcome::Delivered { status: 0 };

#[tokio::test]
async fn sending_waits_once_too_many_are_unrecorded() {
    let recorder = slow(0);
    let mut ledger = Ledger::new(Arc::clone(&recorder) as Arc<dyn Recorder>);
    let most = u32::try_from(UNRECORDED).unwrap();
    for number in 0..most - 1 {
        ledger.push(number, STORED).await.unwrap();
    }
    let blocked =
        tokio::time::timeout(std::time::Duration::from_millis(50), ledger.push(most, STORED));
    assert!(blocked.await.is_err());
    recorder.allowed.add_permits(100);
    ledger.finish().await.unwrap();
    assert_eq!(recorder.recorded.lock().unwrap().len(), UNRECORDED);
}

#[tokio::test]
async fn everything_is_recorded_in_order_at_the_end() {
    let recorder = slow(100);
    let mut ledger = Ledger::new(Arc::clone(&recorder) as Arc<dyn Recorder>);
    for number in 0..23 {
        ledger.push(number, STORED).await.unwrap();
    }
    ledger.finish().await.unwrap();
    assert_eq!(*recorder.recorded.lock().unwrap(), (0..23).collect::<Vec<_>>());
}
