//! Names of PS3.5 annexes H to K and what writers get wrong.

use proptest::prelude::*;

use super::CharacterSets;
use crate::dicom::VR;

fn sets(term: &str) -> CharacterSets {
    CharacterSets::parse(Some(term.as_bytes()))
}

/// Decodes, and encodes again to the same bytes.
#[track_caller]
fn both_ways(term: &str, bytes: &[u8], text: &str) {
    let sets = sets(term);
    assert_eq!(sets.decode(bytes, VR::PN), text);
    assert_eq!(sets.encode(text, VR::PN).as_deref(), Some(bytes));
    assert_eq!(sets.term(), term);
}

#[track_caller]
fn decodes(term: &str, bytes: &[u8], text: &str) {
    assert_eq!(sets(term).decode(bytes, VR::PN), text);
}

#[test]
fn single_byte_sets() {
    both_ways("ISO_IR 100", b"Buc^J\xE9r\xF4me", "Buc^Jérôme");
    both_ways("ISO_IR 100", b"\xC4neas^R\xFCdiger", "Äneas^Rüdiger");
    both_ways("ISO_IR 101", b"Wa\xB3\xEAsa", "Wałęsa");
    both_ways("ISO_IR 109", b"\xB1a\xFDlaq", "ħaŭlaq");
    both_ways("ISO_IR 110", b"K\xAAni\xF2\xB9", "KĒniōš");
    both_ways("ISO_IR 144", b"\xBB\xEE\xDAce\xDC\xD1y\xE0\xD3", "Люкceмбyрг");
    both_ways("ISO_IR 127", b"\xE2\xC8\xC7\xE6\xEA^\xE4\xE6\xD2\xC7\xD1", "قباني^لنزار");
    both_ways("ISO_IR 126", b"\xC4\xE9\xEF\xED\xF5\xF3\xE9\xEF\xF2", "Διονυσιος");
    both_ways("ISO_IR 138", b"\xF9\xF8\xE5\xEF^\xE3\xE1\xE5\xF8\xE4", "שרון^דבורה");
    both_ways("ISO_IR 148", b"\xDEahin^\xC7a\xF0la", "Şahin^Çağla");
    both_ways("ISO_IR 166", b"\xA1\xD2\xC3", "การ");
    both_ways("ISO_IR 203", b"10 \xA4^\xBCuvre", "10 €^Œuvre");
    both_ways("ISO_IR 13", b"\xD4\xCF\xC0\xDE^\xC0\xDB\xB3", "ﾔﾏﾀﾞ^ﾀﾛｳ");
    both_ways("", b"Doe^John", "Doe^John");
}

#[test]
fn japanese_of_annex_h() {
    both_ways(
        "\\ISO 2022 IR 87",
        b"Yamada^Tarou=\x1b$B;3ED\x1b(B^\x1b$BB@O:\x1b(B=\x1b$B$d$^$@\x1b(B^\x1b$B$?$m$&\x1b(B",
        "Yamada^Tarou=山田^太郎=やまだ^たろう",
    );
    both_ways(
        "ISO 2022 IR 13\\ISO 2022 IR 87",
        b"\xD4\xCF\xC0\xDE^\xC0\xDB\xB3=\x1b$B;3ED\x1b(J^\x1b$BB@O:\x1b(J=\x1b$B$d$^$@\x1b(J^\x1b$B$?$m$&\x1b(J",
        "ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎=やまだ^たろう",
    );
    // JIS X 0212, which only decodes.
    decodes("\\ISO 2022 IR 159", b"\x1b$(D\x30\x21\x1b(B", "丂");
    assert_eq!(sets("\\ISO 2022 IR 159").encode("丂", VR::PN), None);
}

#[test]
fn korean_of_annex_i() {
    both_ways(
        "\\ISO 2022 IR 149",
        b"Hong^Gildong=\x1b$)C\xFB\xF3^\x1b$)C\xD1\xCE\xD4\xD7=\x1b$)C\xC8\xAB^\x1b$)C\xB1\xE6\xB5\xBF",
        "Hong^Gildong=洪^吉洞=홍^길동",
    );
    let undesignated = b"\xC8\xAB^\xB1\xE6\xB5\xBF";
    decodes("\\ISO 2022 IR 149", undesignated, "홍^길동");
}

#[test]
fn chinese_of_annexes_j_and_k() {
    let utf8 = "Wang^XiaoDong=王^小東";
    both_ways("ISO_IR 192", utf8.as_bytes(), utf8);
    both_ways("GB18030", b"Wang^XiaoDong=\xCD\xF5^\xD0\xA1\xB6\xAB", "Wang^XiaoDong=王^小东");
    both_ways(
        "\\ISO 2022 IR 58",
        b"Zhang^XiaoDong=\x1b$)A\xD5\xC5^\x1b$)A\xD0\xA1\xB6\xAB",
        "Zhang^XiaoDong=张^小东",
    );
}

#[test]
fn second_bytes_are_no_delimiters() {
    for term in ["GBK", "GB18030"] {
        both_ways(term, b"Wang^\x81\x5CDong", "Wang^乗Dong");
        // 0x5E and 0x3D would also end a component or a group.
        let decoded = sets(term).decode(b"\x81\x5E^\x81\x7C\\\x81\x5C", VR::PN);
        assert_eq!(decoded.split('\\').count(), 2);
        assert_eq!(decoded.split('^').count(), 2);
    }
    let ambiguous = b"\x1b$B\x3D\x5C\x5E\x3D\x5C\x5C\x1b(B\\x";
    let text = sets("\\ISO 2022 IR 87").decode(ambiguous, VR::PN);
    assert_eq!(text.split('\\').count(), 2);
    assert_eq!(text.chars().count(), 5);
}

#[test]
fn switching_between_single_byte_sets() {
    both_ways(
        "ISO 2022 IR 100\\ISO 2022 IR 144\\ISO 2022 IR 126",
        b"J\xE9r\xF4me\\\x1b-L\xBB\xEE\x1b-A\\\x1b-F\xC4\xE9",
        "Jérôme\\Лю\\Δι",
    );
    both_ways("ISO 2022 IR 100", b"J\xE9", "Jé");
}

#[test]
fn delimiters_reset_and_prose_has_none() {
    let bytes = b"\x1b-L\xBB\\\xE9";
    assert_eq!(sets("ISO 2022 IR 100\\ISO 2022 IR 144").decode(bytes, VR::LO), "Л\\é");
    assert_eq!(sets("ISO 2022 IR 100\\ISO 2022 IR 144").decode(bytes, VR::UT), "Л\\щ");
    let lines = b"\x1b$)C\xC8\xAB\r\n\x1b$)C\xB1\xE6";
    assert_eq!(sets("\\ISO 2022 IR 149").decode(lines, VR::LT), "홍\r\n길");
}

#[test]
fn what_the_declared_set_can_not_hold() {
    decodes("", "Müller".as_bytes(), "Müller");
    decodes("", b"M\xFCller", "Müller");
    decodes("ISO_IR 192", b"M\xFCller", "Müller");
    decodes("GB18030", "Łé1".as_bytes(), "艁茅1");
    decodes("GB18030", "é".as_bytes(), "茅");
    for term in ["ISO_IR 100", "ISO_IR 101", "ISO 2022 IR 100\\ISO 2022 IR 126"] {
        decodes(term, "Kučera".as_bytes(), "Kučera");
    }
    decodes("ISO_IR 148", "Ğ".as_bytes(), "Ğ");
    decodes("ISO_IR 192", "\u{85}".as_bytes(), "\u{85}");
    // Neither is this.
    decodes("ISO_IR 100", b"Ku\x8Dera", "Ku\u{8D}era");
    decodes("ISO_IR 100", b"J\xE9r\xF4me\x8D", "Jérôme\u{8D}");
    decodes("ISO_IR 999", b"M\xFCller", "Müller");
    decodes("\\ISO 2022 IR 87", b"M\xFCller", "Müller");
    decodes("\\ISO 2022 IR 87", b"\x1b$B\x7E", "$B~");
    decodes("\\ISO 2022 IR 87", b"\x1b%G\xC3\xBC", "%Gü");
    decodes("ISO_IR 100", b"\x1b$B;3ED\x1b(B", "山田");
    assert_eq!(sets("ISO_IR 192").decode(b"J\xC3\xA9", VR::CS), "Jé");
}

#[test]
fn what_can_not_be_encoded() {
    for (term, text) in [
        ("", "Müller"),
        ("ISO_IR 100", "Şahin"),
        ("ISO_IR 100", "€"),
        ("ISO_IR 148", "山"),
        ("ISO_IR 13", "山"),
        ("ISO_IR 999", "ü"),
        ("GBK", "€"),
        ("GBK", "😀"),
        ("\\ISO 2022 IR 87", "ü"),
        ("\\ISO 2022 IR 87", "①"),
        ("\\ISO 2022 IR 149", "똠"),
    ] {
        assert_eq!(sets(term).encode(text, VR::PN), None, "{term} {text}");
    }
    assert!(sets("GB18030").encode("😀€", VR::PN).is_some());
    assert_eq!(sets("ISO_IR 192").encode("ü", VR::CS), None);
}

#[test]
fn controls_are_left_out() {
    let encoded = CharacterSets::utf8().encode("a\u{1b}$B\0b\r\n\u{85}", VR::LT);
    assert_eq!(encoded.as_deref(), Some(b"a$Bb\r\n".as_slice()));
}

#[test]
fn terms_as_they_are_misspelt() {
    for (written, term) in [
        ("ISO_IR 100 ", "ISO_IR 100"),
        ("ISO-IR 100", "ISO_IR 100"),
        ("ISO IR 192", "ISO_IR 192"),
        ("iso_ir_144\0", "ISO_IR 144"),
        ("UTF-8", "ISO_IR 192"),
        ("ISO_IR 6", ""),
        ("ISO 2022 IR 6\\ISO 2022 IR 87", "\\ISO 2022 IR 87"),
        ("ISO_IR 100\\ISO_IR 144", "ISO 2022 IR 100\\ISO 2022 IR 144"),
        ("ISO_IR 192\\ISO 2022 IR 87", "ISO_IR 192"),
        ("ISO 2022 IR 87\\ISO_IR 192", "ISO 2022 IR 87"),
        ("ISO_IR 87", "ISO 2022 IR 87"),
        ("\\", ""),
        ("Elvish", "Elvish"),
    ] {
        assert_eq!(sets(written).term(), term, "{written}");
    }
    assert_eq!(CharacterSets::parse(None), sets(""));
    assert_eq!(CharacterSets::utf8(), sets("ISO_IR 192"));
    let many = "ISO 2022 IR 87\\".repeat(10_000);
    assert_eq!(sets(&many).term(), "ISO 2022 IR 87");
}

proptest! {
    #[test]
    fn decoding_never_fails(term in 0..TERMS.len(), bytes: Vec<u8>) {
        for vr in [VR::PN, VR::LO, VR::UT, VR::CS] {
            sets(TERMS[term]).decode(&bytes, vr);
        }
    }

    #[test]
    fn what_was_encoded_decodes(term in 0..TERMS.len(), text in "[a-z^=éäßŞłжλשق山田洪길东\\\\ﾔ]{0,12}") {
        for vr in [VR::PN, VR::LO, VR::UT] {
            if let Some(bytes) = sets(TERMS[term]).encode(&text, vr) {
                prop_assert_eq!(sets(TERMS[term]).decode(&bytes, vr), text.as_str());
            }
        }
        prop_assert!(CharacterSets::utf8().encode(&text, VR::PN).is_some());
    }
}

const TERMS: [&str; 12] = [
    "",
    "ISO_IR 100",
    "ISO_IR 13",
    "ISO_IR 192",
    "GBK",
    "GB18030",
    "\\ISO 2022 IR 87\\ISO 2022 IR 159",
    "ISO 2022 IR 13\\ISO 2022 IR 87",
    "\\ISO 2022 IR 149",
    "\\ISO 2022 IR 58",
    "ISO 2022 IR 100\\ISO 2022 IR 144\\ISO 2022 IR 126\\ISO 2022 IR 138",
    "ISO 2022 IR 148\\ISO 2022 IR 87\\ISO 2022 IR 127\\ISO 2022 IR 149\\ISO 2022 IR 58",
];
