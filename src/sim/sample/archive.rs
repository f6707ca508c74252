//! The sample on a medium: a ZIP as portals give it, laid out as IHE PDI says, with a viewer nobody needs.

use std::io::{self, Cursor, Seek, Write};

use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

use super::Sample;

const README: &[u8] = b"Diese CD enthaelt kuenstliche Bilder eines Phantoms.\r\n";
const INDEX: &[u8] =
    b"<!DOCTYPE html><html><body><a href=\"VIEWER.EXE\">Viewer</a></body></html>\r\n";
const AUTORUN: &[u8] = b"[autorun]\r\nopen=VIEWER.EXE\r\n";

/// Looks like a program for MS-DOS and does nothing.
const VIEWER: &[u8] = b"MZ\x90\0\x03\0\0\0\x04\0\0\0\xff\xff\0\0This program cannot be run.\r\n";

impl Sample {
    /// The files that a gateway sets aside.
    pub const SET_ASIDE: usize = 4;

    /// Writes the medium.
    ///
    /// # Errors
    /// Those of `to`.
    pub fn write_zip<W: Write + Seek>(&self, to: W) -> io::Result<W> {
        let mut zip = ZipWriter::new(to);
        // The fastest level: noise does not compress better at a slower one.
        let options = SimpleFileOptions::default()
            .compression_method(CompressionMethod::Deflated)
            .compression_level(Some(1));
        let mut add = |name: &str, bytes: &[u8]| {
            zip.start_file(name, options)?;
            zip.write_all(bytes)
        };
        add("DICOMDIR", &self.directory())?;
        add("README.TXT", README)?;
        add("INDEX.HTM", INDEX)?;
        add("AUTORUN.INF", AUTORUN)?;
        add("VIEWER.EXE", VIEWER)?;
        add("BEFUND.PDF", &self.pdf())?;
        for slice in 0..self.slices() {
            add(&Self::file_id(slice).replace('\\', "/"), &self.instance(slice))?;
        }
        Ok(zip.finish()?)
    }

    /// The medium in memory.
    ///
    /// # Errors
    /// Those of the ZIP writer.
    pub fn zip(&self) -> io::Result<Vec<u8>> {
        Ok(self.write_zip(Cursor::new(Vec::new()))?.into_inner())
    }
}
