//! The configuration: one TOML file, overridden by the environment, checked as a whole.
//!
//! Gathers the sections that the modules declare; reports every fault at once. Invariant: a [`Config`] that
//! exists refers to nothing that is missing from it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use config::FileFormat;
use serde::Deserialize;
use serde_json::Value;

use super::faults::{Faults, join, unknown_key};
use crate::clock;
use crate::dimse::PeerSection;
use crate::expire::RetentionSection;
use crate::fetch::{DicomwebSection, FetchSection};
use crate::forward::DestinationSection;
use crate::http::HttpSection;
use crate::import::routes::RouteSection;
use crate::matching::MatchingSection;
use crate::mllp::Hl7Section;
use crate::reconcile::CoercionSection;
use crate::scp::DicomSection;
use crate::spool::SpoolSection;
use crate::unpack::{Limits, ScanSection};
use crate::web::PortalSection;
use crate::worklist::WorklistSection;

/// The prefix of overrides: `LOTSE__GATEWAY__DATA_DIR` is `gateway.data-dir`.
const PREFIX: &str = "LOTSE__";

/// A configuration file is text that a person wrote; more than this is something else.
const LARGEST_FILE: u64 = 1 << 20;

/// `[gateway]`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct GatewaySection {
    /// Written into Contributing Equipment and Original Attributes as the modifying institution.
    pub institution: String,
    pub data_dir: Option<PathBuf>,
    /// IANA name; the system's zone if absent.
    pub timezone: Option<String>,
    /// HL7 namespace of the local patient IDs, if worklist items do not carry one.
    pub issuer_of_patient_id: Option<String>,
    /// HL7 namespace of the local accession numbers, if worklist items do not carry one.
    pub issuer_of_accession_number: Option<String>,
}

/// `[retry]`: how long passing faults are waited out, doubling from the first to the longest wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct RetrySection {
    #[serde(deserialize_with = "clock::duration")]
    pub first: Duration,
    #[serde(deserialize_with = "clock::duration")]
    pub longest: Duration,
}

impl Default for RetrySection {
    fn default() -> Self {
        Self { first: Duration::from_secs(10), longest: Duration::from_secs(900) }
    }
}

/// Everything that is configured, checked.
#[derive(Clone, Debug)]
pub struct Config {
    /// The file it came from; `None` is the embedded default.
    pub file: Option<PathBuf>,
    pub data_dir: PathBuf,
    pub zone: jiff::tz::TimeZone,
    pub gateway: GatewaySection,
    pub master_key: MasterKey,
    pub spool: SpoolSection,
    pub dicom: DicomSection,
    pub peers: BTreeMap<String, PeerSection>,
    pub worklist: WorklistSection,
    pub destinations: BTreeMap<String, DestinationSection>,
    pub routes: Vec<RouteSection>,
    pub portals: BTreeMap<String, PortalSection>,
    pub dicomweb: BTreeMap<String, DicomwebSection>,
    pub matching: MatchingSection,
    pub coercion: CoercionSection,
    pub retention: RetentionSection,
    pub retry: RetrySection,
    pub unpack: Limits,
    pub scan: ScanSection,
    pub fetch: FetchSection,
    pub http: HttpSection,
    pub hl7: Hl7Section,
}

/// Where the master key is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MasterKey {
    /// It has to be there.
    File(PathBuf),
    /// Made at the first start.
    Created(PathBuf),
}

/// The data folder of a configuration, for a client that needs nothing else of it; faults elsewhere do not
/// keep it from its daemon.
pub fn data_dir(file: Option<&Path>, environment: &Environment) -> Result<PathBuf, Faults> {
    let text = file.map(read).transpose()?.unwrap_or_default();
    let mut faults = Faults::default();
    let tree = merge(&text, environment, &mut faults).ok_or(faults)?;
    let dir = tree.pointer("/gateway/data-dir").and_then(Value::as_str).map(PathBuf::from);
    Ok(dir.unwrap_or_else(|| environment.data_dir()))
}

/// The parts of the process environment that configuration may read.
#[derive(Clone, Debug, Default)]
pub struct Environment(pub Vec<(String, String)>);

impl Environment {
    /// The environment of this process; variables that are not Unicode are none of ours.
    pub fn of_process() -> Self {
        let text = |(key, value): (std::ffi::OsString, std::ffi::OsString)| {
            Some((key.into_string().ok()?, value.into_string().ok()?))
        };
        Self(std::env::vars_os().filter_map(text).collect())
    }

    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// Where data lie if nothing is configured: systemd's state directory, else the user's data folder.
    fn data_dir(&self) -> PathBuf {
        if let Some(dir) = self.get("STATE_DIRECTORY").filter(|dir| !dir.is_empty()) {
            return PathBuf::from(dir.split(':').next().unwrap_or(dir));
        }
        if let Some(dir) = self.get("XDG_DATA_HOME").filter(|dir| dir.starts_with('/')) {
            return PathBuf::from(dir).join("lotse");
        }
        match self.get("HOME").filter(|home| !home.is_empty()) {
            Some(home) => PathBuf::from(home).join(".local/share/lotse"),
            None => PathBuf::from("/var/lib/lotse"),
        }
    }
}

impl Config {
    /// Reads `file`, or takes the embedded default, applies overrides and checks everything.
    ///
    /// # Errors
    /// All faults together.
    pub fn load(file: Option<&Path>, environment: &Environment) -> Result<Self, Faults> {
        let text = match file {
            Some(file) => read(file)?,
            None => String::new(),
        };
        let mut faults = Faults::default();
        let checked = merge(&text, environment, &mut faults)
            .and_then(|tree| check(file, tree, environment, &mut faults));
        faults.locate(&text);
        match checked {
            Some(config) if faults.0.is_empty() => Ok(config),
            _ => Err(faults),
        }
    }

    /// The folder that files are worked with below the data folder.
    pub fn below(&self, name: &str) -> PathBuf {
        self.data_dir.join(name)
    }
}

fn read(file: &Path) -> Result<String, Faults> {
    let refuse = |sentence: String| {
        let mut faults = Faults::default();
        faults.add("", sentence);
        faults
    };
    let length = std::fs::metadata(file).map_err(|error| {
        refuse(format!("the configuration {} cannot be read: {error}", file.display()))
    })?;
    if length.len() > LARGEST_FILE {
        return Err(refuse(format!("{} is too large for a configuration", file.display())));
    }
    std::fs::read_to_string(file).map_err(|error| {
        refuse(format!("the configuration {} cannot be read: {error}", file.display()))
    })
}

/// File and environment in one tree.
fn merge(text: &str, environment: &Environment, faults: &mut Faults) -> Option<Value> {
    let mut builder =
        config::Config::builder().add_source(config::File::from_str(text, FileFormat::Toml));
    for (name, value) in &environment.0 {
        let Some(name) = name.strip_prefix(PREFIX) else {
            continue;
        };
        let path = name.split("__").map(|part| part.to_lowercase().replace('_', "-"));
        let path = path.collect::<Vec<_>>().join(".");
        builder = match builder.set_override(&path, scalar(value)) {
            Ok(builder) => builder,
            Err(_) => {
                faults.add(path, "this override names no key");
                return None;
            }
        };
    }
    let built = builder.build().and_then(config::Config::try_deserialize::<Value>);
    built.map_err(|error| faults.add("", error.to_string())).ok()
}

/// Text from the environment as the TOML value it looks like; in quotes it is text whatever it looks like.
fn scalar(text: &str) -> config::Value {
    if let Some(quoted) = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')) {
        return config::Value::new(None, quoted);
    }
    if let Ok(number) = text.parse::<i64>() {
        return config::Value::new(None, number);
    }
    match text {
        "true" => config::Value::new(None, true),
        "false" => config::Value::new(None, false),
        _ => config::Value::new(None, text),
    }
}

const SECTIONS: [&str; 19] = [
    "version",
    "gateway",
    "spool",
    "dicom",
    "peers",
    "worklist",
    "destinations",
    "routes",
    "portals",
    "dicomweb",
    "matching",
    "coercion",
    "retention",
    "retry",
    "unpack",
    "scan",
    "fetch",
    "http",
    "hl7",
];

fn check(
    file: Option<&Path>,
    tree: Value,
    environment: &Environment,
    faults: &mut Faults,
) -> Option<Config> {
    let Value::Object(mut tree) = tree else {
        return None;
    };
    let known: Vec<_> = SECTIONS.iter().map(|&name| name.to_owned()).collect();
    for key in tree.keys().filter(|key| !SECTIONS.contains(&key.as_str())) {
        faults.add(key, unknown_key(&known, key));
    }
    match tree.remove("version") {
        Some(version) if version == 1 => {}
        None if file.is_none() => {}
        Some(_) => faults.add("version", "this release reads version 1"),
        None => faults.add("version", "write `version = 1` at the top of the file"),
    }
    let routes = tree.remove("routes").unwrap_or_else(|| Value::Array(vec![]));
    let routes = faults.section::<Vec<RouteSection>>("routes", routes);
    let mut take =
        |key: &str| tree.remove(key).unwrap_or_else(|| Value::Object(Default::default()));
    let gateway = faults.section::<GatewaySection>("gateway", take("gateway"));
    let spool = faults.section::<SpoolSection>("spool", take("spool"));
    let dicom = faults.section::<DicomSection>("dicom", take("dicom"));
    let worklist = faults.section::<WorklistSection>("worklist", take("worklist"));
    let matching = faults.section::<MatchingSection>("matching", take("matching"));
    let coercion = faults.section::<CoercionSection>("coercion", take("coercion"));
    let retention = faults.section::<RetentionSection>("retention", take("retention"));
    let retry = faults.section::<RetrySection>("retry", take("retry"));
    let unpack = faults.section::<Limits>("unpack", take("unpack"));
    let scan = faults.section::<ScanSection>("scan", take("scan"));
    let fetch = faults.section::<FetchSection>("fetch", take("fetch"));
    let http = faults.section::<HttpSection>("http", take("http"));
    let hl7 = faults.section::<Hl7Section>("hl7", take("hl7"));
    let peers = named::<PeerSection>("peers", take("peers"), faults);
    let destinations = named::<DestinationSection>("destinations", take("destinations"), faults);
    let portals = named::<PortalSection>("portals", take("portals"), faults);
    let dicomweb = named::<DicomwebSection>("dicomweb", take("dicomweb"), faults);
    let (gateway, spool) = (gateway?, spool?);
    let data_dir = gateway.data_dir.clone().unwrap_or_else(|| environment.data_dir());
    // What is missing here is told already; it stands in for itself so that the rest is looked at too.
    let zone = zone(&gateway, faults).unwrap_or(jiff::tz::TimeZone::UTC);
    let master_key = master_key(file, &spool, &data_dir, environment, faults)
        .unwrap_or_else(|| MasterKey::File(PathBuf::new()));
    let mut config = Config {
        file: file.map(Path::to_owned),
        zone,
        master_key,
        spool,
        dicom: dicom?,
        peers: peers?,
        worklist: worklist?,
        destinations: destinations?,
        routes: routes?,
        portals: portals?,
        dicomweb: dicomweb?,
        matching: matching?,
        coercion: coercion?,
        retention: retention?,
        retry: retry?,
        unpack: unpack?,
        scan: scan?,
        fetch: fetch?,
        http: http?,
        hl7: hl7?,
        gateway,
        data_dir,
    };
    super::check::complete(&mut config);
    super::check::check(&config, faults);
    Some(config)
}

/// A table of named sections.
fn named<T: serde::de::DeserializeOwned>(
    path: &str,
    value: Value,
    faults: &mut Faults,
) -> Option<BTreeMap<String, T>> {
    let Value::Object(map) = value else {
        faults.add(path, format!("this is a table of names, as in `[{path}.name]`"));
        return None;
    };
    let mut sections = BTreeMap::new();
    let mut whole = true;
    for (name, value) in map {
        let at = join(path, &name);
        match faults.section::<T>(&at, value) {
            Some(section) => drop(sections.insert(name, section)),
            None => whole = false,
        }
    }
    whole.then_some(sections)
}

fn zone(gateway: &GatewaySection, faults: &mut Faults) -> Option<jiff::tz::TimeZone> {
    let Some(name) = &gateway.timezone else {
        return Some(jiff::tz::TimeZone::system());
    };
    let zone = jiff::tz::TimeZone::get(name);
    if zone.is_err() {
        faults.add(
            "gateway.timezone",
            "there is no such time zone; write a name such as `Europe/Berlin`",
        );
    }
    zone.ok()
}

fn master_key(
    file: Option<&Path>,
    spool: &SpoolSection,
    data_dir: &Path,
    environment: &Environment,
    faults: &mut Faults,
) -> Option<MasterKey> {
    if let Some(path) = &spool.master_key_file {
        return Some(MasterKey::File(path.clone()));
    }
    let credential = environment
        .get("CREDENTIALS_DIRECTORY")
        .map(|dir| Path::new(dir).join("lotse-master-key"))
        .filter(|path| path.exists());
    if let Some(path) = credential {
        return Some(MasterKey::File(path));
    }
    if file.is_none() {
        return Some(MasterKey::Created(data_dir.join("master.key")));
    }
    faults.add(
        "spool.master-key-file",
        "name a file with the master key (`head -c 32 /dev/urandom > FILE && chmod 0600 FILE`), or give the \
         systemd credential lotse-master-key",
    );
    None
}

#[cfg(test)]
mod tests;
