//! The harness: the real binary on free ports of loopback, its API and command line, and real peers.
//!
//! Everything is found by its own words (log lines, files, the API), waited for with a deadline, and ended
//! when it is dropped. A missing peer fails a test with a sentence; nothing is skipped.

pub mod api;
pub mod ca;
pub mod daemon;
pub mod peers;
pub mod process;
pub mod site;

use std::future::Future;
use std::path::PathBuf;
use std::time::{Duration, Instant};

pub use api::Api;
pub use daemon::Daemon;
pub use process::{Ended, Process, run};
pub use site::{Setup, Site};

/// What a step may take at most, on a slow machine with two cores and other tests beside it.
pub const PATIENCE: Duration = Duration::from_secs(90);

/// Between two looks.
const LOOK: Duration = Duration::from_millis(25);

/// Looks again and again until there is something to see; fails with `what` when patience ends.
pub async fn eventually<T, F, Fut>(what: &str, mut look: F) -> T
where
    F: FnMut() -> Fut,
    Fut: Future<Output = Option<T>>,
{
    let begun = Instant::now();
    loop {
        if let Some(seen) = look().await {
            return seen;
        }
        assert!(begun.elapsed() < PATIENCE, "waited {PATIENCE:?} in vain for: {what}");
        tokio::time::sleep(LOOK).await;
    }
}

/// A port that was free a moment ago, for peers that cannot tell which one they got.
pub fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// The package's folder.
pub fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// What `tests/env` made: `venv/bin/python`, `node/node_modules`.
pub fn test_env(what: &str) -> PathBuf {
    let target =
        std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from);
    let path = root().join(target).join("test-env").join(what);
    assert!(path.exists(), "{} is missing: run tests/env", path.display());
    path
}

/// A program of the system, as `tests/env` installs it.
pub fn program(name: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut dirs: Vec<_> = std::env::split_paths(&path).collect();
    dirs.push("/usr/sbin".into());
    let found = dirs.into_iter().map(|dir| dir.join(name)).find(|path| path.is_file());
    found.unwrap_or_else(|| panic!("{name} is missing: run tests/env"))
}

/// A script of `tests/it/peers`.
pub fn script(name: &str) -> PathBuf {
    root().join("tests/it/peers").join(name)
}
