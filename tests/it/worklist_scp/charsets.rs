//! Names as real askers get them: in the character set that they asked in.

use std::process::{Command, Stdio};

use serde_json::{Value, json};

use super::{entries, gateway};
use crate::support::{program, run, script, test_env};

#[tokio::test(flavor = "multi_thread")]
async fn pynetdicom_reads_every_name_in_its_own_character_set() {
    // What is asked in, the patient, the name that the asker reads, what the answer says that it is in.
    let japanese = "Yamada^Tarou=山田^太郎=やまだ^たろう";
    let kanji = "ISO 2022 IR 6\\ISO 2022 IR 87";
    let latin = "ISO 2022 IR 6\\ISO 2022 IR 100";
    let table = [
        (Some("ISO_IR 100"), "1001", "Müller^Änne", "ISO_IR 100"),
        (Some("ISO_IR 192"), "1001", "Müller^Änne", "ISO_IR 192"),
        (Some("ISO_IR 100"), "1002", "Müller^Hans^Peter^Dr.", "ISO_IR 100"),
        (Some(latin), "1001", "Müller^Änne", "ISO 2022 IR 100"),
        (Some(latin), "1011", "Käse^Köbi", "ISO 2022 IR 100"),
        (Some(kanji), "1004", japanese, "ISO 2022 IR 87"),
        (Some("ISO_IR 192"), "1004", japanese, "ISO_IR 192"),
        (Some("ISO_IR 144"), "1005", "Иванов^Иван", "ISO_IR 144"),
        (Some("ISO_IR 148"), "1006", "Yıldız^Şule", "ISO_IR 148"),
        (Some("ISO_IR 100"), "1005", "??????^????", "ISO_IR 100"),
        (Some("ISO_IR 100"), "1006", "Y?ld?z^?ule", "ISO_IR 100"),
        (Some("ISO_IR 6"), "1001", "M?ller^?nne", ""),
        (Some(""), "1001", "Müller^Änne", "ISO_IR 100"),
        (None, "42", "Groß^Jörg", "ISO_IR 100"),
        (None, "1005", "Иванов^Иван", "ISO_IR 192"),
        (None, "0042", "Beispiel^Otto", "~"),
    ];
    let folder = entries().await;
    let daemon = gateway(&folder).await;
    let case = |(number, row): (usize, &(Option<&str>, &str, &str, &str))| {
        let mut keys = json!({ "PatientID": row.1 });
        if let Some(charset) = row.0 {
            keys["SpecificCharacterSet"] = json!(charset);
        }
        json!({ "name": number.to_string(), "keys": keys, "step": {}, "code": {}, "fuzzy": false })
    };
    let cases: Vec<Value> = table.iter().enumerate().map(case).collect();
    let file = folder.path().join("charsets.json");
    std::fs::write(&file, serde_json::to_vec(&cases).unwrap()).unwrap();
    let mut command = Command::new(test_env("venv/bin/python"));
    command.arg(script("wl_ask.py")).arg(daemon.dicom.port().to_string()).arg("LOTSE").arg(&file);
    let text = run(&mut command, "").await.ok();
    let answers: Vec<Value> = text.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    assert_eq!(answers.len(), table.len());
    for (answer, (asked, id, name, told)) in answers.iter().zip(table) {
        assert_eq!(answer["names"], json!([name]), "{id} asked in {asked:?}");
        let charset = answer["charsets"][0].as_str().unwrap();
        let fits = if told.is_empty() {
            charset == told || charset == "None"
        } else {
            charset.contains(told)
        };
        assert!(fits, "{id} asked in {asked:?}: the answer is in {charset:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn findscu_gets_the_very_bytes() {
    let folder = entries().await;
    let daemon = gateway(&folder).await;
    let table: [(&str, &str, &[u8]); 5] = [
        ("ISO_IR 100", "1001", b"M\xFCller^\xC4nne"),
        ("ISO_IR 192", "1001", "Müller^Änne".as_bytes()),
        ("ISO_IR 100", "42", b"Gro\xDF^J\xF6rg"),
        ("\\ISO 2022 IR 87", "1004", b"\x1B$B;3ED\x1B(B"),
        ("", "1001", b"M\xFCller^\xC4nne"),
    ];
    for (charset, id, wanted) in table {
        let mut command = Command::new(program("findscu"));
        command.args(["-v", "-W", "-aet", "MODALITY", "-aec", "LOTSE", "127.0.0.1"]);
        command.arg(daemon.dicom.port().to_string());
        command.args(["-k", "PatientName", "-k", &format!("PatientID={id}")]);
        command.args(["-k", &format!("SpecificCharacterSet={charset}")]);
        let output = command.stdin(Stdio::null()).output().unwrap();
        let said = [output.stdout, output.stderr].concat();
        let found = said.windows(wanted.len()).any(|window| window == wanted);
        assert!(found, "{id} in {charset}: {}", String::from_utf8_lossy(&said));
    }
}
