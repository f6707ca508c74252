//! A virus scanner that takes a file and does not answer, so that its import stays where it is.

use tokio::io::AsyncReadExt;
use tokio::net::{UnixListener, UnixStream};

use crate::support::PATIENCE;

pub struct SlowScanner {
    listener: UnixListener,
    folder: tempfile::TempDir,
}

impl SlowScanner {
    pub fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(folder.path().join("clamd.ctl")).unwrap();
        Self { listener, folder }
    }

    /// For the configuration.
    pub fn table(&self) -> String {
        format!("[scan]\nclamd-socket = {:?}", self.folder.path().join("clamd.ctl"))
    }

    /// Takes one file to its end, after clamd's `INSTREAM`. Its import goes on when what is returned is dropped.
    pub async fn takes_one(&self) -> UnixStream {
        let taken = tokio::time::timeout(PATIENCE, async {
            let (mut caller, _) = self.listener.accept().await?;
            let mut command = [0; b"zINSTREAM\0".len()];
            caller.read_exact(&mut command).await?;
            let mut chunk = Vec::new();
            loop {
                let length = caller.read_u32().await?;
                if length == 0 {
                    return std::io::Result::Ok(caller);
                }
                chunk.resize(usize::try_from(length).unwrap(), 0);
                caller.read_exact(&mut chunk).await?;
            }
        });
        taken.await.expect("nothing came to be scanned").unwrap()
    }
}
