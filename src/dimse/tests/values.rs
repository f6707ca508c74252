use super::command::{Payload, Remark};
use super::*;
use proptest::prelude::*;

#[test]
fn statuses_are_classed_as_the_table_says() {
    use StatusClass::*;
    let table = [
        (0x0000, Success),
        (0xB000, Warning),
        (0xB006, Warning),
        (0xB007, Warning),
        (0xA700, Retry),
        (0xA701, Retry),
        (0xA779, Permanent),
        (0xA900, Permanent),
        (0xA9FF, Permanent),
        (0xC000, Permanent),
        (0xCFFF, Permanent),
        (0x0110, RetryFewTimes),
        (0x0111, Duplicate),
        (0x0117, Permanent),
        (0x0122, Permanent),
        (0x0124, Permanent),
        (0x0211, Permanent),
        (0xA801, Permanent),
        (0xFE00, Cancelled),
        (0xFF00, Pending),
        (0xFF01, Pending),
        (0xFFFF, Permanent),
    ];
    for (code, class) in table {
        assert_eq!(Status(code).class(), class, "{code:04X}");
    }
    for code in 0..=u16::MAX {
        assert!(!Status(code).sentence().is_empty());
        assert_eq!(Status(code).class() == Success, code == 0);
    }
}

#[test]
fn commands_read_back_as_written() {
    let class = uid(CT);
    let instance = uid("1.2.3.4.5");
    let commands = [
        Command::EchoRq { message_id: 1 },
        Command::EchoRsp { responded: 1, status: Status::SUCCESS },
        Command::StoreRq {
            message_id: 65535,
            sop_class: class.clone(),
            sop_instance: instance.clone(),
            originator: Some(Originator { ae_title: title("LOTSE"), message_id: 9 }),
        },
        Command::StoreRsp {
            responded: 2,
            sop_class: Some(class.clone()),
            sop_instance: Some(instance),
            status: Status::OUT_OF_RESOURCES,
        },
        Command::FindRq { message_id: 3, sop_class: class.clone() },
        Command::FindRsp {
            responded: 3,
            sop_class: Some(class),
            status: Status::PENDING,
            payload: Payload::Follows,
            remark: None,
        },
        Command::FindRsp {
            responded: 4,
            sop_class: None,
            status: Status::DOES_NOT_MATCH_CLASS,
            payload: Payload::Absent,
            remark: Some(Remark { comment: "a day is YYYYMMDD".to_owned(), offending: None }),
        },
        Command::CancelRq { responded: 3 },
    ];
    for command in commands {
        let bytes = command.encode().unwrap();
        assert_eq!(bytes.len() % 2, 0);
        assert_eq!(Command::decode(&bytes).unwrap(), command);
    }
}

#[test]
fn nested_and_overlong_commands_are_refused() {
    let element = |group: u16, length: u32, content: &[u8]| {
        let mut bytes = group.to_le_bytes().to_vec();
        bytes.extend(0x0100_u16.to_le_bytes());
        bytes.extend(length.to_le_bytes());
        bytes.extend(content);
        bytes
    };
    for bytes in [
        element(0, u32::MAX, &[]),
        element(0, 4, &[0, 0]),
        element(8, 2, &[0, 0]),
        vec![0; 7],
        vec![],
    ] {
        assert!(Command::decode(&bytes).is_err(), "{bytes:?}");
    }
}

#[test]
fn requests_with_bad_uids_are_answered_not_aborted() {
    let good = store_rq(4).encode().unwrap();
    let at = good.windows(7).position(|window| window == b"1.2.3.4").unwrap();
    let mut bad = good;
    bad[at] = b'x';
    match Command::decode(&bad).unwrap() {
        Command::Refused { status, message_id, payload, .. } => {
            assert_eq!((status, message_id), (Status::INVALID_INSTANCE, 4));
            assert_eq!(payload, Payload::Follows);
        }
        other => panic!("{other:?}"),
    }
}

proptest! {
    #[test]
    fn any_bytes_decode_or_fail(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = Command::decode(&bytes);
    }

    #[test]
    fn a_command_with_one_byte_changed_decodes_or_fails(at in 0_usize..90, to in any::<u8>()) {
        let mut bytes = store_rq(1).encode().unwrap();
        if let Some(byte) = bytes.get_mut(at) {
            *byte = to;
        }
        let _ = Command::decode(&bytes);
    }

    #[test]
    fn any_association_items_tidy_or_fail(items in prop::collection::vec(any::<u8>(), 0..200)) {
        let mut pdu = vec![2_u8; 74];
        pdu.extend(items);
        if let Ok(tidied) = lenient::tidy(&pdu) {
            let declared = u32::from_be_bytes([tidied[2], tidied[3], tidied[4], tidied[5]]);
            prop_assert_eq!(declared as usize, tidied.len() - 6);
        }
    }
}

#[test]
fn a_peer_section_reads_as_promised() {
    let peer: PeerSection = toml::from_str(
        "ae-title = \"PACS\"\naddress = \"[::1]:11114\"\nmay = [\"echo\", \"store\"]",
    )
    .unwrap();
    assert!(peer.may(May::Store) && peer.may(May::Echo));
    assert_eq!(peer.host(), "::1");
    let default: PeerSection = toml::from_str("ae-title = \"RIS\"\naddress = \"ris:104\"").unwrap();
    assert!(default.may.is_empty());
    for wrong in [
        "ae-title = \"PACS\"\naddress = \"a:1\"\nretrieve = \"fly\"",
        "ae-title = \"PACS\"\naddress = \"a:1\"\nmay = [\"fly\"]",
        "ae-title = \"A TITLE THAT IS TOO LONG\"\naddress = \"a:1\"",
        "ae-title = \"PACS\"\naddress = \"a:1\"\nmai = []",
        "address = \"a:1\"",
    ] {
        assert!(toml::from_str::<PeerSection>(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn errors_say_what_to_do_and_have_a_class() {
    let errors = [
        (Error::Refused("a:1".to_owned()), Class::Retry),
        (Error::Rejected(Rejection::CallingUnknown), Class::Configuration),
        (Error::Rejected(Rejection::Congestion), Class::Retry),
        (Error::Rejected(Rejection::Other(2, 1, 9)), Class::Retry),
        (Error::Rejected(Rejection::Other(1, 1, 9)), Class::Configuration),
        (Error::ContextRefused { sop_class: uid(CT), transfer_syntax: None }, Class::Permanent),
        (Error::TimedOut("x"), Class::Retry),
        (Error::SourceEnded, Class::Local),
    ];
    for (error, class) in errors {
        assert_eq!(error.class(), class, "{error}");
        assert!(!error.to_string().ends_with('.'));
    }
}

#[test]
fn networks_hold_what_they_say() {
    let holds = |network: &str, address: &str| {
        network.parse::<Network>().unwrap().contains(address.parse().unwrap())
    };
    for (network, inside, outside) in [
        ("192.0.2.7", "192.0.2.7", "192.0.2.8"),
        ("192.0.2.0/24", "192.0.2.255", "192.0.3.0"),
        ("192.0.2.128/28", "192.0.2.143", "192.0.2.144"),
        ("10.0.0.0/8", "10.255.0.1", "11.0.0.0"),
        ("2001:db8::/32", "2001:db8:ffff::1", "2001:db9::"),
        ("::1", "::1", "::2"),
        ("0.0.0.0/0", "203.0.113.9", "::1"),
        ("192.0.2.0/24", "::ffff:192.0.2.9", "::ffff:192.0.3.9"),
    ] {
        assert!(holds(network, inside), "{network} {inside}");
        assert!(!holds(network, outside), "{network} {outside}");
    }
    assert!(holds("::/0", "2001:db8::1"));
    for wrong in
        ["", "pacs", "192.0.2.0/33", "192.0.2.0/", "2001:db8::/129", "192.0.2/24", "1.2.3.4/-1"]
    {
        assert!(wrong.parse::<Network>().is_err(), "{wrong}");
    }
}

#[test]
fn identities_say_one_thing() {
    let section = |text: &str| toml::from_str::<IdentitySection>(text).unwrap();
    assert!(section("user = \"a\"").check().is_ok());
    assert!(section("user = \"a\"\npassword-file = \"p\"").check().is_ok());
    assert!(section("token-file = \"t\"").check().is_ok());
    for wrong in [
        "",
        "user = \"\"",
        "password-file = \"p\"",
        "user = \"a\"\ntoken-file = \"t\"",
        "password-file = \"p\"\ntoken-file = \"t\"",
    ] {
        assert!(section(wrong).check().is_err(), "{wrong}");
    }
}
