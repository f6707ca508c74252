use std::path::Path;

use super::*;

const SHIPPED: &str = include_str!("../../../config/lotse.toml");

/// The shipped file with everything in it that is commented out, as somebody makes it who needs it all.
fn uncommented() -> String {
    let is_toml = |rest: &str| {
        let key = rest.split_once(" = ").map_or("", |(key, _)| key);
        rest.starts_with('[')
            || (!key.is_empty() && key.chars().all(|c| c.is_ascii_lowercase() || c == '-'))
    };
    let lines = SHIPPED.lines().map(|line| match line.strip_prefix("# ") {
        Some(rest) if is_toml(rest) => rest.to_owned(),
        _ => line.to_owned(),
    });
    lines.collect::<Vec<_>>().join("\n")
}

fn load(text: &str) -> Result<Config, Faults> {
    load_with(text, &[])
}

fn load_with(text: &str, environment: &[(&str, &str)]) -> Result<Config, Faults> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("lotse.toml");
    std::fs::write(&file, text).unwrap();
    let pairs = environment.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
    Config::load(Some(&file), &Environment(pairs.collect()))
}

#[test]
fn every_key_of_the_shipped_file_is_known_and_tells_the_truth_about_its_default() {
    let config = load(&uncommented()).unwrap();
    assert_eq!(config.data_dir, Path::new("/var/lib/lotse"));
    assert_eq!(config.gateway.institution, "Klinikum Beispiel");
    assert_eq!(config.portals["clinic-portal"].hosts, ["portal.example.org"]);
    assert_eq!(config.retry, RetrySection::default());
    assert_eq!(config.retention, RetentionSection::default());
    assert_eq!(config.matching.policy, MatchingSection::default().policy);
    // Where there is a proxy cannot be a default.
    assert!(config.fetch.proxy.is_some() && config.fetch.proxy_credentials_file.is_some());
    // Nor a folder of one's own.
    assert_eq!(config.fetch.recipes.as_deref(), Some(Path::new("/etc/lotse/portals")));
    let direct = FetchSection {
        proxy: None,
        proxy_credentials_file: None,
        recipes: None,
        ..config.fetch.clone()
    };
    assert_eq!(direct, FetchSection::default());
    assert_eq!(format!("{:?}", config.unpack), format!("{:?}", Limits::default()));
    let dicom = DicomSection::default();
    assert_eq!(
        (config.dicom.ae_title, config.dicom.quiet_time, config.dicom.longest_burst),
        (dicom.ae_title, dicom.quiet_time, dicom.longest_burst)
    );
    assert_eq!(config.http.listen, HttpSection::default().listen);
    let (worklist, standard) = (config.worklist, WorklistSection::default());
    assert_eq!(worklist.modalities, standard.modalities);
    assert_eq!(worklist.station_ae, standard.station_ae);
    assert_eq!(worklist.window, standard.window);
    assert_eq!(worklist.limit, standard.limit);
    assert_eq!(worklist.fallback_character_set, standard.fallback_character_set);
    let unsaid: DestinationSection = serde_json::from_str(r#"{"peer": "pacs"}"#).unwrap();
    assert_eq!(config.destinations["pacs"].associations(), unsaid.associations());
}

#[test]
fn a_stray_key_in_any_table_is_refused_by_name_and_line_all_at_once() {
    let mut text = String::new();
    let mut expected = vec![];
    for line in uncommented().lines() {
        text.push_str(line);
        text.push('\n');
        if let Some(header) = line.strip_prefix('[') {
            text.push_str("stray = 1\n");
            let table = header.trim_matches(['[', ']']).to_owned();
            expected.push((text.lines().count(), table));
        }
    }
    let faults = load(&text).unwrap_err();
    assert_eq!(expected.len(), 31, "{expected:?}");
    for (line, table) in expected {
        let told = faults.0.iter().any(|fault| {
            fault.line == Some(line)
                && fault.key.replace(".0.", ".").starts_with(&table)
                && fault.key.ends_with(".stray")
                && fault.sentence.starts_with("unknown key")
        });
        assert!(told, "[{table}], line {line}:\n{faults}");
    }
}

#[test]
fn a_misspelt_section_wrong_types_and_wrong_values_are_told_together() {
    let text = uncommented()
        .replace("[retention]", "[retension]")
        .replace("quiet-time = \"30s\"", "quiet-time = 30")
        .replace("entries = 100000", "entries = \"many\"")
        .replace("first = \"10s\"", "first = \"10\"")
        .replace("\"automatic-with-order\"", "\"always\"")
        .replace("peer = \"ris\"", "peer = \"rsi\"")
        .replace("version = 1", "version = 2");
    let told = load(&text).unwrap_err().to_string();
    for part in ["retention", "quiet-time", "entries", "first", "policy", "version"] {
        assert!(told.contains(part), "{part}:\n{told}");
    }
    let lines = told.lines().filter(|line| line.starts_with("line ")).count();
    assert!(lines >= 6, "every fault has its line:\n{told}");
}

#[test]
fn the_environment_overrides_and_a_stray_override_is_refused() {
    let config = load_with(
        &uncommented(),
        &[
            ("LOTSE__GATEWAY__DATA_DIR", "/srv/lotse"),
            ("LOTSE__RETRY__FIRST", "3s"),
            ("LOTSE__UNPACK__ENTRIES", "7"),
            ("LOTSE__PEERS__PACS__ADDRESS", "192.0.2.99:104"),
            ("LOTSE_LOG", "debug"),
        ],
    )
    .unwrap();
    assert_eq!(config.data_dir, Path::new("/srv/lotse"));
    assert_eq!((config.retry.first.as_secs(), config.unpack.entries), (3, 7));
    assert_eq!(config.peers["pacs"].address, "192.0.2.99:104");
    let faults = load_with(&uncommented(), &[("LOTSE__RETRY__FRIST", "3s")]).unwrap_err();
    let told = faults.to_string();
    assert!(told.contains("retry.frist") && told.contains("`first`"), "{told}");
    let number = load_with(&uncommented(), &[("LOTSE__GATEWAY__INSTITUTION", "\"4711\"")]);
    assert_eq!(number.unwrap().gateway.institution, "4711", "a name may be all digits");
}

#[test]
fn what_is_no_toml_and_what_refers_to_nothing_is_told() {
    let told = load("version = 1\n[gateway\n").unwrap_err().to_string();
    assert!(told.contains('2'), "the line is told: {told}");
    let told = load(&uncommented().replace("peer = \"ris\"", "peer = \"rsi\"")).unwrap_err();
    assert!(
        told.to_string().contains("there is no `[peers.rsi]`; known peers: pacs, ris"),
        "{told}"
    );
    let told = load("").unwrap_err().to_string();
    assert!(told.contains("version = 1"), "{told}");
}

#[test]
fn a_peer_that_is_the_gateway_itself_gets_nothing() {
    let text = uncommented();
    for (from, key) in
        [("peer = \"ris\"", "worklist.sources"), ("peer = \"pacs\"", "destinations.pacs")]
    {
        for (listener, address) in
            [("127.0.0.1:21112", "127.0.0.1:21112"), ("0.0.0.0:21112", "localhost:21112")]
        {
            let own = format!("[peers.own]\nae-title = \"OWN\"\naddress = \"{address}\"\n");
            let listeners = format!("[[dicom.listeners]]\naddress = \"{listener}\"\n");
            let text = text.replace(from, "peer = \"own\"") + "\n" + &own + &listeners;
            let told = load(&text).unwrap_err().to_string();
            assert!(told.contains(key) && told.contains("is the gateway itself"), "{told}");
        }
    }
}

#[test]
fn a_dicomweb_address_that_is_our_own_door_gets_nothing() {
    let own =
        [("LOTSE__HTTP__LISTEN", "127.0.0.1:8081"), ("LOTSE__HTTP__NAME", "lotse.example.org")];
    let load = |section: &str| load_with(&format!("{}\n{section}", uncommented()), &own);
    let sections = |url: &str| {
        let web = format!("[dicomweb.own]\nurl = \"{url}\"\n");
        let stow = format!("[destinations.own]\nstow-url = \"{url}/studies\"\nallow-http = true\n");
        [("dicomweb.own.url", web), ("destinations.own.stow-url", stow)]
    };
    for url in [
        "http://127.0.0.1:8081/dw",
        "http://localhost:8081",
        "https://lotse.example.org/dicom-web",
        "https://LOTSE.example.org:8443/dicom-web",
    ] {
        for (key, section) in sections(url) {
            let told = load(&section).unwrap_err().to_string();
            assert!(told.contains(key) && told.contains("is the gateway itself"), "{url}: {told}");
        }
    }
    for url in ["http://127.0.0.1:8042/dw", "http://127.0.0.2:8081/dw"] {
        for (_, section) in sections(url) {
            load(&section).unwrap_or_else(|told| panic!("{url}: {told}"));
        }
    }
}

#[test]
fn sources_are_checked_together() {
    let text = "version = 1\n[[dicom.listeners]]\naddress = \"127.0.0.1:11112\"\n\
                [peers.a]\nae-title = \"A\"\naddress = \"127.0.0.1:104\"\nretrieve = \"move\"\n\
                [peers.b]\nae-title = \"B\"\naddress = \"127.0.0.1:11112\"\nretrieve = \"get\"\n\
                [dicomweb.a]\nurl = \"https://x.example/dw\"\n\
                [dicomweb.c]\nurl = \"http://x.example/dw\"\nuser = \"u\"\n\
                [dicomweb.d]\nurl = \"https://u:p@x.example/dw\"\ntoken-file = \"/t\"\n";
    let told = load(text).unwrap_err().to_string();
    for words in [
        "this peer is the gateway itself",
        "a peer has this name too",
        "user and password-file go together",
        "credentials are not sent without TLS",
        "credentials do not belong here",
    ] {
        assert!(told.contains(words), "{words}: {told}");
    }
    assert!(!told.contains("a C-MOVE needs a place"), "{told}");
}
