use super::*;

#[test]
fn what_is_needed_of_an_entry_is_read_in_every_form() {
    let list = r#"[
        {"0020000D":{"vr":"UI","Value":[" 1.2.3 ","4"]},"00080018":{"vr":"UI","Value":["1.2.3.4"]},
         "00100010":{"vr":"PN","Value":[{"Alphabetic":"Muster^Eva"}]},"00201208":{"vr":"IS","Value":[12]}},
        {"0020000D":{"vr":"UI"},"00080050":{"vr":"SH","Value":[null]},"00100020":{"vr":"LO","Value":["P-1"]}},
        {"0020000D":null,"00080018":{"Value":[]},"00201208":{"Value":["7"]},"00080050":{"Value":[{"a":[1]}]}},
        {}
    ]"#;
    let found = entries(list.as_bytes(), 4).ok().unwrap();
    assert_eq!((found[0].study(), found[0].instance()), (Some("1.2.3"), Some("1.2.3.4")));
    assert_eq!((found[0].instances(), found[2].instances()), (Some(12), Some(7)));
    assert_eq!((found[1].patient_id(), found[1].study()), (Some("P-1"), None));
    assert_eq!(found[1].accession_number().or(found[2].accession_number()), None);
    assert!(found[3].study().is_none());
}

#[test]
fn what_is_no_list_is_refused_where_it_shows() {
    let fault = |text: &str| entries(text.as_bytes(), 3).err();
    for bad in ["", "{}", "0", "[0,0,0]", "[\"a\"]", "[{}", "[{}] x", "[{\"0020000D\":5}]", "null"]
    {
        assert_eq!(fault(bad), Some(Unusable::NoList), "{bad}");
    }
    assert_eq!(fault("[]").or(fault("[{},{},{}]")), None);
    // What stands behind the last entry that is wanted is not even looked at.
    assert_eq!(fault("[{},{},{},{\"\":0},"), Some(Unusable::TooMany));
    let many = format!("[{}", "{\"\":0},".repeat(1_000_000));
    assert_eq!(fault(&many), Some(Unusable::TooMany));
    // Depth has an end, too.
    assert_eq!(fault(&format!("[{{\"a\":{}", "[".repeat(1 << 20))), Some(Unusable::NoList));
}
