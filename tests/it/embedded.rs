//! `lotse serve` without a configuration file: a newcomer sees it run before owning a RIS or a PACS.

use std::path::{Path, PathBuf};
use std::process::Command;

use lotse::dicom::{DataSet, Item, Syntax, Tag, scan};
use lotse::sim::sample::Sample;
use serde_json::json;

use crate::hospital::{files_below, until};
use crate::support::{Api, Process, program, run};

/// The binary in an empty home.
fn at_home(home: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lotse"));
    command.args(arguments).current_dir(home).env_clear();
    command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
    command.env("HOME", home).env("XDG_DATA_HOME", home.join("share"));
    // The default port may be somebody's here.
    command.env("LOTSE__HTTP__LISTEN", "127.0.0.1:0");
    command
}

/// One worklist entry as DCMTK's wlmscpfs reads it, made by DCMTK.
async fn worklist_entry(item: &Item, file: &Path) {
    let patient = &item.patient;
    let id = patient.id.as_ref().unwrap();
    let today = jiff::Zoned::now().strftime("%Y%m%d").to_string();
    let dump = format!(
        "(0008,0005) CS [ISO_IR 192]\n(0008,0050) SH [{accession}]\n(0010,0010) PN [{name}]\n\
         (0010,0020) LO [{id}]\n(0010,0021) LO [{issuer}]\n(0010,0030) DA [{birth_date}]\n\
         (0010,0040) CS [{sex}]\n(0020,000d) UI [{study}]\n(0032,1060) LO [{procedure}]\n\
         (0040,0100) SQ\n(fffe,e000) -\n(0008,0060) CS [CT]\n(0040,0001) AE [CT1]\n\
         (0040,0002) DA [{today}]\n(0040,0003) TM [101500]\n(0040,0007) LO [{procedure}]\n\
         (0040,0009) SH [S1]\n(fffe,e00d) -\n(fffe,e0dd) -\n(0040,1001) SH [{number}]\n",
        accession = item.accession_number.as_ref().unwrap().number,
        name = patient.name.as_ref().unwrap().as_str(),
        id = id.id,
        issuer = id.issuer.as_deref().unwrap_or(""),
        birth_date = patient.birth_date.unwrap().to_dicom(),
        sex = patient.sex.as_str(),
        study = item.study_uid.as_ref().unwrap(),
        procedure = item.requested_procedure_description.as_deref().unwrap(),
        number = item.requested_procedure_id.as_deref().unwrap(),
    );
    let source = file.with_extension("dump");
    std::fs::write(&source, dump).unwrap();
    let mut make = Command::new(program("dump2dcm"));
    run(make.arg(&source).arg(file), "").await.ok();
    std::fs::remove_file(source).unwrap();
}

/// Header of a Part 10 file.
fn header(file: &Path) -> DataSet {
    let bytes = std::fs::read(file).unwrap();
    let length = u64::try_from(bytes.len()).unwrap();
    let mut from = std::io::Cursor::new(bytes);
    let scan = scan::scan_file(&mut from, length, &scan::Limits::default()).unwrap();
    DataSet::read(&scan.header, Syntax::of(&scan.layout.transfer_syntax)).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_newcomer_sees_it_run() {
    const SLICES: u16 = 5;
    let home = tempfile::tempdir().unwrap();
    let data = home.path().join("share/lotse");
    let mut process = Process::start(&mut at_home(home.path(), &["serve"]));
    let line = process.says("no configuration file").await;
    // It says what stands in for RIS and PACS.
    assert!(line.contains(&data.join("worklist").display().to_string()), "{line}");
    assert!(line.contains(&data.join("delivered").display().to_string()), "{line}");
    let line = process.says("console open").await;
    let address: std::net::SocketAddr =
        line.split("address=").nth(1).unwrap().trim().parse().unwrap();
    assert!(address.ip().is_loopback());
    let token = std::fs::read_to_string(data.join("api.token")).unwrap();
    let api = Api::new(address, token.trim());
    for (file, mode) in [("master.key", 0o600), ("api.token", 0o600), ("", 0o700)] {
        use std::os::unix::fs::PermissionsExt as _;
        let found = std::fs::metadata(data.join(file)).unwrap().permissions().mode() & 0o777;
        assert_eq!(found, mode, "{file:?} has {found:o}");
    }

    let sample = Sample::new(SLICES);
    let item = sample.item();
    worklist_entry(&item, &data.join("worklist/erika.wl")).await;
    worklist_entry(&sample.worklist()[1], &data.join("worklist/erna.wl")).await;
    let list = api.get("/api/v1/worklist").await;
    assert_eq!(list["items"].as_array().unwrap().len(), 2, "{list}");

    let id = item.patient.id.clone().unwrap();
    let accession = item.accession_number.clone().unwrap().number;
    let request = json!({
        "patient": {"patientId": id.id, "issuer": id.issuer},
        "accessionNumber": accession,
    });
    let import = api.upload("cd.zip", sample.zip().unwrap(), &request).await;
    let import = api.until_state(&import, "Closed").await;
    assert_eq!(import["counts"]["delivered"], SLICES);
    assert_eq!(import["counts"]["createdDelivered"], 1);

    let delivered: Vec<PathBuf> = files_below(&data.join("delivered"));
    assert_eq!(delivered.len(), usize::from(SLICES) + 1, "{delivered:?}");
    for file in &delivered {
        let header = header(file);
        let text = |group, element| header.text(Tag(group, element)).unwrap_or_default();
        assert_eq!(text(0x0010, 0x0020), id.id);
        assert_eq!(text(0x0010, 0x0010), item.patient.name.as_ref().unwrap().as_str());
        assert_eq!(text(0x0008, 0x0050), accession);
        assert_eq!(text(0x0020, 0x000d), sample.study_uid().as_str());
    }
    let slice =
        delivered.iter().find(|file| file.ends_with(format!("{}.dcm", sample.instance_uid(0))));
    let header = header(slice.expect("the first slice under its UID"));
    let originals = header.items(Tag(0x0400, 0x0561));
    assert!(!originals.is_empty(), "the original values are in the object");

    // The command line finds the daemon without being told where.
    let listed = run(&mut at_home(home.path(), &["imports", "--json"]), "").await.ok();
    assert!(listed.contains("Closed"), "{listed}");
    // It did not come out of its folder.
    let inside = std::fs::read_dir(home.path()).unwrap().count();
    assert_eq!(inside, 1, "only `share` in the home folder");
    process.signal(nix::sys::signal::Signal::SIGTERM);
    assert!(process.ended().await.success());

    // And again, with the key and the token that it made.
    let mut process = Process::start(&mut at_home(home.path(), &["serve"]));
    let line = process.says("console open").await;
    let address = line.split("address=").nth(1).unwrap().trim().parse().unwrap();
    let api = Api::new(address, token.trim());
    until("the import of before", async || {
        let imports = api.imports().await;
        (imports.len() == 1 && imports[0]["state"] == "Closed").then_some(())
    })
    .await;
    process.signal(nix::sys::signal::Signal::SIGTERM);
    assert!(process.ended().await.success());
}
