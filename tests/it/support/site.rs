//! One installation: a folder with configuration, master key and data, in which the daemon may be started
//! again and again.

use std::fmt::Write as _;
use std::io::Read as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use super::{Daemon, Ended, run};

/// The configuration under construction. Everything is on loopback and on free ports.
pub struct Setup {
    folder: tempfile::TempDir,
    tables: String,
    dicom: String,
    gateway: String,
    retry: (String, String),
    quiet: String,
    worklist: bool,
    destination: bool,
    port: u16,
}

impl Setup {
    pub fn new() -> Self {
        Self {
            folder: tempfile::Builder::new().prefix("lotse-it-").tempdir().unwrap(),
            tables: String::new(),
            dicom: String::new(),
            gateway: String::new(),
            retry: ("200ms".to_owned(), "1s".to_owned()),
            quiet: "1s".to_owned(),
            worklist: false,
            destination: false,
            port: 0,
        }
    }

    /// The folder of the installation; the data folder is `data` in it.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// A peer at `127.0.0.1:port`; `may` as in `"echo", "store"`.
    pub fn peer(mut self, name: &str, ae_title: &str, port: u16, may: &[&str]) -> Self {
        writeln!(
            self.tables,
            "[peers.{name}]\nae-title = \"{ae_title}\"\naddress = \"127.0.0.1:{port}\"\nmay = {may:?}"
        )
        .unwrap();
        self
    }

    /// The peer of this name answers worklist queries.
    pub fn worklist_peer(mut self, name: &str) -> Self {
        self.worklist = true;
        writeln!(self.tables, "[[worklist.sources]]\npeer = \"{name}\"").unwrap();
        self
    }

    /// The worklist is a folder of `.wl` files; without any source it is `worklist` in the site's folder.
    pub fn worklist_folder(mut self, folder: &Path) -> Self {
        self.worklist = true;
        writeln!(self.tables, "[[worklist.sources]]\nfolder = {folder:?}").unwrap();
        self
    }

    /// The peer of this name is the destination, called by that name too. It is not asked to commit: archives that
    /// do not know where to report take the request and say nothing.
    pub fn destination_peer(self, name: &str) -> Self {
        self.destination_peer_with(name, "commitment = \"off\"")
    }

    /// The same with these lines.
    pub fn destination_peer_with(mut self, name: &str, lines: &str) -> Self {
        self.destination = true;
        writeln!(self.tables, "[destinations.{name}]\npeer = \"{name}\"\n{lines}").unwrap();
        self
    }

    /// On a port that somebody has to know beforehand; a free one if not said.
    pub fn listen(mut self, port: u16) -> Self {
        self.port = port;
        self
    }

    /// Destinations are in a table of the test.
    pub fn no_folder(mut self) -> Self {
        self.destination = true;
        self
    }

    /// `200ms` and `1s` if not said.
    pub fn retry(mut self, first: &str, longest: &str) -> Self {
        self.retry = (first.to_owned(), longest.to_owned());
        self
    }

    /// `1s` if not said.
    pub fn quiet(mut self, time: &str) -> Self {
        time.clone_into(&mut self.quiet);
        self
    }

    /// Portals on loopback are allowed.
    pub fn portals_on_loopback(self) -> Self {
        self.table(
            "[portals.simulated]\nhosts = [\"127.0.0.1\"]\nallow-private = true\nallow-http = true",
        )
    }

    /// More lines for `[gateway]`.
    pub fn gateway(mut self, lines: &str) -> Self {
        writeln!(self.gateway, "{lines}").unwrap();
        self
    }

    /// More lines for `[dicom]`.
    pub fn dicom(mut self, lines: &str) -> Self {
        writeln!(self.dicom, "{lines}").unwrap();
        self
    }

    /// More tables.
    pub fn table(mut self, tables: &str) -> Self {
        writeln!(self.tables, "{tables}").unwrap();
        self
    }

    /// Writes configuration and master key. A worklist folder `worklist` and a destination folder
    /// `delivered` stand in for what was not configured.
    pub fn write(self) -> Arc<Site> {
        let folder = self.folder.path();
        let mut tables = self.tables;
        if !self.worklist {
            let folder = folder.join("worklist");
            std::fs::create_dir_all(&folder).unwrap();
            writeln!(tables, "[[worklist.sources]]\nfolder = {folder:?}").unwrap();
        }
        if !self.destination {
            let folder = folder.join("delivered");
            std::fs::create_dir_all(&folder).unwrap();
            writeln!(tables, "[destinations.folder]\nfolder = {folder:?}").unwrap();
        }
        let mut key = [0; 32];
        std::fs::File::open("/dev/urandom").unwrap().read_exact(&mut key).unwrap();
        let key_file = folder.join("master.key");
        let mut options = std::fs::OpenOptions::new();
        let mut file = options.write(true).create_new(true).mode(0o600).open(&key_file).unwrap();
        std::io::Write::write_all(&mut file, &key).unwrap();
        let text = format!(
            "version = 1\n\n[gateway]\ninstitution = \"Klinikum Beispiel\"\ndata-dir = {data:?}\n\
             timezone = \"Europe/Berlin\"\n{gateway}\n[spool]\nmaster-key-file = {key_file:?}\n\n\
             [dicom]\nae-title = \"LOTSE\"\nquiet-time = \"{quiet}\"\n{dicom}\n\
             [[dicom.listeners]]\naddress = \"127.0.0.1:{port}\"\n\n\
             [retry]\nfirst = \"{first}\"\nlongest = \"{longest}\"\n\n\
             [http]\nlisten = \"127.0.0.1:0\"\n\n{tables}",
            data = folder.join("data"),
            gateway = self.gateway,
            quiet = self.quiet,
            dicom = self.dicom,
            port = self.port,
            first = self.retry.0,
            longest = self.retry.1,
        );
        std::fs::write(folder.join("lotse.toml"), text).unwrap();
        Arc::new(Site { folder: self.folder })
    }

    /// Writes everything and starts the daemon.
    pub async fn start(self) -> Daemon {
        self.write().start().await
    }
}

/// An installation; its folder is gone when the last owner is.
pub struct Site {
    folder: tempfile::TempDir,
}

impl Site {
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub fn config(&self) -> PathBuf {
        self.folder().join("lotse.toml")
    }

    pub fn data_dir(&self) -> PathBuf {
        self.folder().join("data")
    }

    pub fn master_key(&self) -> PathBuf {
        self.folder().join("master.key")
    }

    /// Changes the text of the configuration.
    pub fn edit(&self, change: impl FnOnce(String) -> String) {
        let text = std::fs::read_to_string(self.config()).unwrap();
        std::fs::write(self.config(), change(text)).unwrap();
    }

    /// The binary with this configuration; nothing of the caller's environment changes what it does.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_lotse"));
        command.arg("--config").arg(self.config()).args(arguments);
        for name in
            ["LOTSE_LOG", "LOTSE_SOCKET", "NOTIFY_SOCKET", "STATE_DIRECTORY", "JOURNAL_STREAM"]
        {
            command.env_remove(name);
        }
        command
    }

    /// Runs a command of the command line to its end, as `&["imports", "--json"]`.
    pub async fn cli(&self, arguments: &[&str]) -> Ended {
        run(&mut self.command(arguments), "").await
    }

    /// The same with something on standard input.
    pub async fn cli_with(&self, arguments: &[&str], input: &str) -> Ended {
        run(&mut self.command(arguments), input).await
    }

    /// Starts the daemon and waits until it is ready.
    pub async fn start(self: &Arc<Self>) -> Daemon {
        Daemon::start(Arc::clone(self), self.command(&["serve"])).await
    }
}
