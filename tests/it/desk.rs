//! The simulated hospital in the test's own process (portal, RIS, PACS), and the real daemon between them.

use std::io::{Cursor, Write as _};
use std::sync::Arc;

use lotse::sim::sample::Sample;
use lotse::sim::world::World;

use super::hospital::{files_below, keys_of};
use super::support::{Daemon, Setup};

/// Few slices: what is tested here is what people and programs are told, not throughput.
const SLICES: u16 = 3;

/// Markup where a name is expected; a page that trusts it opens a dialog.
pub const SCRIPT: &str = "<script>alert(1)</script>";

pub struct Hospital {
    pub world: World,
    pub daemon: Daemon,
}

impl Hospital {
    pub async fn open() -> Self {
        Self::with(|setup| setup).await
    }

    /// With more configuration.
    pub async fn with(more: impl FnOnce(Setup) -> Setup) -> Self {
        lotse::tls::install_provider();
        let world = World::start(SLICES).await.unwrap();
        let setup = Setup::new()
            .peer("ris", "RIS", world.ris.address().port(), &[])
            .peer("pacs", "PACS", world.pacs.address().port(), &["echo", "store"])
            .worklist_peer("ris")
            .destination_peer("pacs")
            .portals_on_loopback();
        let daemon = more(setup).start().await;
        Self { world, daemon }
    }

    /// Key files of living imports.
    pub fn keys(&self) -> usize {
        keys_of(&self.daemon.site().data_dir()).len()
    }

    /// Files in the spool.
    pub fn spooled(&self) -> usize {
        let files = files_below(&self.daemon.site().data_dir().join("spool"));
        // The lock of the folder stays.
        files.iter().filter(|file| !file.ends_with("lock")).count()
    }

    pub async fn close(self) {
        let Self { world, daemon } = self;
        let (code, site) = daemon.stop().await;
        assert_eq!(code, 0, "the daemon ends cleanly");
        drop::<Arc<_>>(site);
        world.stop().await;
    }
}

/// A Part 10 file with another value in a top-level element of a short VR.
pub fn with_value(file: &[u8], tag: (u16, u16), vr: &str, value: &str) -> Vec<u8> {
    let mut header = Vec::new();
    header.extend(tag.0.to_le_bytes());
    header.extend(tag.1.to_le_bytes());
    header.extend(vr.bytes());
    let at = file.windows(header.len()).position(|w| w == header).expect("the element is there");
    let length_at = at + header.len();
    let old = usize::from(u16::from_le_bytes([file[length_at], file[length_at + 1]]));
    let mut value = value.as_bytes().to_vec();
    if value.len() % 2 == 1 {
        value.push(b' ');
    }
    let mut out = file[..length_at].to_vec();
    out.extend(u16::try_from(value.len()).unwrap().to_le_bytes());
    out.extend(value);
    out.extend(&file[length_at + 2 + old..]);
    out
}

/// One image of the sample whose texts, in UTF-8, are hostile.
pub fn hostile_image(sample: &Sample) -> Vec<u8> {
    let file = with_value(&sample.instance(0), (0x0008, 0x0005), "CS", "ISO_IR 192");
    let name = format!("{SCRIPT}^\u{202e}nruB\u{202c}");
    let file = with_value(&file, (0x0010, 0x0010), "PN", &name);
    let file = with_value(&file, (0x0010, 0x0020), "LO", "\"><img src=x onerror=alert(2)>");
    with_value(&file, (0x0008, 0x0050), "SH", "'onclick=x'")
}

/// A ZIP archive of these files.
pub fn zip(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut archive = zip::ZipWriter::new(Cursor::new(Vec::new()));
    let options =
        zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    for (name, bytes) in files {
        archive.start_file(*name, options).unwrap();
        archive.write_all(bytes).unwrap();
    }
    archive.finish().unwrap().into_inner()
}
