use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};

use super::*;
use crate::dicom::CharacterSets;

fn latin1() -> CharacterSets {
    CharacterSets::parse(Some(b"ISO_IR 100"))
}

fn read(text: &str) -> Message {
    Message::parse(text.as_bytes(), &latin1()).unwrap()
}

fn patience() -> Patience {
    Patience { idle: Duration::from_secs(5), frame: Duration::from_millis(600) }
}

/// What a link makes of these bytes, written in pieces, the connection closed behind them.
async fn frames(pieces: &[&[u8]]) -> Vec<Result<Option<Frame>, Error>> {
    let (ours, mut theirs) = duplex(64 << 10);
    let pieces: Vec<Vec<u8>> = pieces.iter().map(|piece| piece.to_vec()).collect();
    let writer = tokio::spawn(async move {
        for piece in pieces {
            if theirs.write_all(&piece).await.is_err() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    });
    let mut link = Link::new(ours, patience());
    let mut found = Vec::new();
    loop {
        let next = link.next().await;
        let go_on = matches!(next, Ok(Some(Frame::Whole(_))));
        found.push(next);
        if !go_on {
            writer.abort();
            return found;
        }
    }
}

fn whole(frame: &Result<Option<Frame>, Error>) -> &[u8] {
    match frame {
        Ok(Some(Frame::Whole(bytes))) => bytes,
        other => panic!("no whole frame: {other:?}"),
    }
}

#[tokio::test]
async fn frames_are_found_however_they_come() {
    let found = frames(&[b"\x0bMSH|1\x1c\r\x0bMSH|2\x1c\r"]).await;
    assert_eq!((whole(&found[0]), whole(&found[1])), (&b"MSH|1"[..], &b"MSH|2"[..]));
    assert!(matches!(found[2], Ok(None)));
    let bytewise: Vec<&[u8]> = b"\x0bMSH|1\x1c\r".chunks(1).collect();
    assert_eq!(whole(&frames(&bytewise).await[0]), b"MSH|1");
    // Without the carriage return, and with line ends between frames.
    assert_eq!(whole(&frames(&[b"\x0bMSH|1\x1c", b"\x0bMSH|2\x1c"]).await[1]), b"MSH|2");
    assert_eq!(whole(&frames(&[b"\r\n\x0bMSH|1\x1c\r\n\n"]).await[0]), b"MSH|1");
    // A frame that was given up and begun anew.
    assert_eq!(whole(&frames(&[b"\x0bMSH|cut", b"\x0bMSH|whole\x1c\r"]).await[0]), b"MSH|whole");
}

#[tokio::test]
async fn a_vertical_tab_within_a_text_begins_nothing() {
    let text = b"\x0bMSH|1|a\x0bb\x0b\x1c\r";
    assert_eq!(whole(&frames(&[text]).await[0]), b"MSH|1|a\x0bb\x0b");
    let bytewise: Vec<&[u8]> = text.chunks(1).collect();
    assert_eq!(whole(&frames(&bytewise).await[0]), b"MSH|1|a\x0bb\x0b");
    // What begins anew is told by its first word, however late that comes.
    let bytewise: Vec<&[u8]> = b"\x0bMSH|a\x0bM\x0b\xEF\xBB\xBFMSH|2\x1c\r".chunks(1).collect();
    assert_eq!(whole(&frames(&bytewise).await[0]), b"\xEF\xBB\xBFMSH|2");
    assert!(matches!(frames(&[b"\x0bMSH|a\x0bMS"]).await[0], Err(Error::Cut)));
}

#[tokio::test]
async fn what_is_no_frame_ends_the_connection() {
    assert!(matches!(frames(&[b"GET / HTTP/1.1\r\n"]).await[0], Err(Error::NoFrame)));
    assert!(matches!(frames(&[b"\x16\x03\x01"]).await[0], Err(Error::NoFrame)));
    assert!(matches!(frames(&[b"\x0bMSH|cut"]).await[0], Err(Error::Cut)));
    assert!(matches!(frames(&[b""]).await[0], Ok(None)));
    assert!(matches!(frames(&[&[b'\n'; 100]]).await[0], Err(Error::NoFrame)));
    // An end byte in the middle would cut the message there.
    assert!(matches!(frames(&[b"\x0bMSH|1\x1cmore\x1c\r"]).await[0], Err(Error::NoFrame)));
    let large = [&[0x0b][..], &vec![b'x'; FRAME_LIMIT + 10], b"\x1c\r"].concat();
    match &frames(&[&large]).await[0] {
        Ok(Some(Frame::TooLarge(head))) => assert_eq!(head.len(), FRAME_LIMIT),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_message_that_does_not_end_is_not_waited_for_for_ever() {
    let (ours, mut theirs) = duplex(1024);
    theirs.write_all(b"\x0bMSH|").await.unwrap();
    let mut link = Link::new(ours, patience());
    assert!(matches!(link.next().await, Err(Error::TimedOut("one message"))));
    // Nobody reads: what is sent does not fit the pipe.
    let (ours, _theirs) = duplex(16);
    let mut link = Link::new(ours, patience());
    assert!(matches!(link.send(&[b'x'; 100]).await, Err(Error::TimedOut("sending"))));
}

#[tokio::test]
async fn what_is_sent_is_framed() {
    let (ours, mut theirs) = duplex(1024);
    let mut link = Link::new(ours, patience());
    link.send(b"MSH|").await.unwrap();
    link.close().await;
    let mut bytes = Vec::new();
    theirs.read_to_end(&mut bytes).await.unwrap();
    assert_eq!(bytes, b"\x0bMSH|\x1c\r");
}

#[test]
fn a_message_is_taken_apart() {
    let message = read(
        "MSH|^~\\&|KIS|HAUS|LOTSE||20260301||ORM^O01^ORM_O01|7|P|2.5\rPID|1||42^^^KH&1.2&ISO^PI~9\r\
         OBR|1\r\nZDS|1.2^A\r\r",
    );
    assert_eq!(message.kind(), ("ORM".to_owned(), "O01".to_owned()));
    assert_eq!(message.segments().count(), 4);
    assert_eq!(message.header().field(1).text(1), None, "the separator is no value");
    assert_eq!(message.header().field(3).text(1).unwrap(), "KIS");
    let id = message.segment("PID").unwrap().field(3);
    assert_eq!(id.repetitions().count(), 2);
    assert_eq!((id.text(1).unwrap(), id.part(4, 2).unwrap()), ("42".into(), "1.2".into()));
    assert_eq!(id.repetitions().nth(1).unwrap().text(1).unwrap(), "9");
    assert_eq!(id.text(9), None);
    assert!(message.segment("PID").unwrap().field(99).is_empty());
    assert_eq!(format!("{message:?}"), "Message(redacted)");
    // Other delimiters, and the truncation sign of 2.7.
    let other = read("MSH!@#$%!KIS!!!!!!ORM@O01!7!P!2.5\rPID!1!!42@@@KH%1.2%ISO#9");
    assert_eq!(other.segment("PID").unwrap().field(3).part(4, 2).unwrap(), "1.2");
    assert_eq!(
        read("MSH|^~\\&#|KIS||||||ADT^A08|7|P|2.7").header().field(3).text(1).unwrap(),
        "KIS"
    );
    // The event of version 2.2 is in EVN.
    assert_eq!(read("MSH|^~\\&|K||||||ADT|7|P|2.2\rEVN|A08").kind().1, "A08");
}

#[test]
fn a_line_feed_within_a_text_ends_no_segment() {
    let names = |text: &str| {
        let message = read(text);
        message.segments().map(|segment| segment.name().to_owned()).collect::<Vec<_>>()
    };
    let note = "MSH|^~\\&|K\rNTE|1||x\ny\rPID|1||42\r";
    assert_eq!(names(note), ["MSH", "NTE", "PID"]);
    assert_eq!(read(note).segment("NTE").unwrap().field(3).text(1).unwrap(), "x y");
    assert_eq!(names("MSH|^~\\&|K\r\nPID|1\r\n\r\nZDS|1\r\n"), ["MSH", "PID", "ZDS"]);
    // Senders that write nothing else, or end a message otherwise than its segments.
    assert_eq!(names("MSH|^~\\&|K\nPID|1\nZDS|1\n"), ["MSH", "PID", "ZDS"]);
    assert_eq!(names("MSH|^~\\&|K\nPID|1\nZDS|1\r"), ["MSH", "PID", "ZDS"]);
    assert_eq!(names("MSH|^~\\&|K\rPID|1\nMRG|2\rZDS|1\r"), ["MSH", "PID", "MRG", "ZDS"]);
    let many = format!("MSH|^~\\&|K\rNTE|1||x{}\rPID|1\r", "\n".repeat(900_000));
    assert_eq!(names(&many), ["MSH", "NTE", "PID"]);
}

#[test]
fn nothing_and_delete_it_are_told_apart() {
    let message = read("MSH|^~\\&|K\rPID|||42||Muster||\"\"");
    let pid = message.segment("PID").unwrap();
    assert!(matches!(pid.field(7).value(1), Value::Null));
    assert!(matches!(pid.field(8).value(1), Value::Absent));
    assert!(matches!(pid.field(5).value(1), Value::Text(text) if text == "Muster"));
    assert_eq!(pid.field(7).text(1), None);
}

#[test]
fn escape_sequences_are_resolved() {
    let name = |written: &str| {
        let text = format!("MSH|^~\\&|K|||||||||||||||UNICODE UTF-8\rPID|||42||{written}");
        read(&text).segment("PID").unwrap().field(5).text(1).unwrap_or_default()
    };
    assert_eq!(name("a\\F\\b\\S\\c\\T\\d\\R\\e\\E\\f"), "a|b^c&d~e\\f");
    assert_eq!(name("M\\XC3\\\\XBC\\ller"), "Müller", "one character in two sequences");
    assert_eq!(name("M\\XC3BC\\ller"), "Müller");
    assert_eq!(name("\\H\\bold\\N\\"), "bold");
    assert_eq!(name("a\\.br\\b"), "a b");
    // What is no sequence stays: C:\x, an odd digit, one that does not end.
    for kept in ["C:\\temp", "a\\X4\\b", "a\\Xzz\\b", "tail\\", "\\Q\\", "a\\\\b"] {
        assert_eq!(name(kept), kept);
    }
    assert_eq!(name("a\\X0D\\b\\X00\\c"), "a b c", "no control characters");
}

#[test]
fn character_sets_are_those_of_the_message() {
    let bytes = |declared: &str, name: &[u8]| {
        let head = format!("MSH|^~\\&|K||||||ADT^A08|7|P|2.5||||||{declared}\rPID|||42||");
        [head.as_bytes(), name].concat()
    };
    let name = |bytes: Vec<u8>| {
        let message = Message::parse(&bytes, &latin1())?;
        Ok::<_, Fault>(message.segment("PID").unwrap().field(5).text(1).unwrap())
    };
    assert_eq!(name(bytes("8859/1", b"M\xfcller")).unwrap(), "Müller");
    assert_eq!(name(bytes("8859/9", b"Y\xfdld\xfdz")).unwrap(), "Yıldız");
    assert_eq!(name(bytes("8859/5", b"\xb8\xd2\xd0\xdd\xde\xd2")).unwrap(), "Иванов");
    assert_eq!(name(bytes("UNICODE UTF-8", "Müller".as_bytes())).unwrap(), "Müller");
    assert_eq!(name(bytes("", "Müller".as_bytes())).unwrap(), "Müller");
    assert_eq!(name(bytes("", b"M\xfcller")).unwrap(), "Müller", "the site's own set");
    assert_eq!(name(bytes("ASCII", b"M\xfcller")).unwrap(), "Müller");
    assert_eq!(name(bytes("8859/1", b"M\\XFC\\ller")).unwrap(), "Müller");
    assert_eq!(name(bytes("unicode utf-8", b"M\xfcller")).unwrap_err().field, Some(18));
    for declared in ["EBCDIC", "8859/1~UNICODE UTF-8"] {
        let fault = name(bytes(declared, b"x")).unwrap_err();
        assert_eq!((fault.segment, fault.field), ("MSH", Some(18)), "{declared}");
    }
    let marked = [b"\xef\xbb\xbf", &bytes("", "Ü".as_bytes())[..]].concat();
    assert_eq!(name(marked).unwrap(), "Ü");
}

#[test]
fn bad_messages_are_refused_with_a_place() {
    let many = format!("MSH|^~\\&|K\r{}", "NTE|1\r".repeat(3000));
    let table: &[&[u8]] = &[
        b"",
        b"\r\r\r",
        b"PID|1||42",
        b"MSH",
        b"MSH|",
        b"MSH|^~\\",
        b"MSH|^^\\&|K",
        b"MSH|||||",
        b"MSH ^~\\&|K",
        b"MSHA^~\\&AK",
        b"MSH|^~\\&|K\rno segment",
        b"MSH|^~\\&|K\rpid|1",
        b"MSH|^~\\&|K\rPI",
        b"MSH|^~\\&|K\rPIDX|1",
        b"MSH|^~\\&|K\rMSH|^~\\&|K",
        b"\xff\xfe\x00",
        many.as_bytes(),
    ];
    for bytes in table {
        let fault = Message::parse(bytes, &latin1()).map(drop).unwrap_err();
        assert_eq!(fault.segment, "MSH", "{bytes:?}");
        let answer = reply(&Head::peek(bytes), Some(&fault), "20260301120000+0100");
        let answer = Message::parse_answer(&answer).unwrap();
        let verdict = acknowledged(&answer).map(|ack| ack.verdict);
        assert!(verdict.is_none_or(|verdict| verdict != Verdict::Accept), "{bytes:?}");
    }
}

/// No byte of a message makes the reader panic, whatever stands there.
#[test]
fn mutated_messages_are_read_or_refused() {
    let good = "MSH|^~\\&|KIS|H|LOTSE|R|20260301||ORM^O01|7|P|2.5||||||8859/1\rPID|1||42^^^KH&1.2&ISO\r\
                ORC|NW|1|2\rOBR|1|1|2|A^B\\X41\\^C\rZDS|1.2.3\r";
    for at in 0..good.len() {
        for with in [0, b'|', b'\\', b'^', b'\r', b'A', 0xC3, 0xFF] {
            let mut bad = good.as_bytes().to_vec();
            bad[at] = with;
            let head = Head::peek(&bad);
            match Message::parse(&bad, &latin1()) {
                Ok(message) => {
                    for segment in message.segments() {
                        for field in (0..30).map(|n| segment.field(n)) {
                            let _ = (field.text(1), field.part(4, 2), field.repetitions().count());
                        }
                    }
                }
                Err(fault) => {
                    let answer = reply(&head, Some(&fault), "");
                    assert!(
                        Message::parse_answer(&answer).is_ok(),
                        "{:?}",
                        String::from_utf8(answer)
                    );
                }
            }
        }
        let _ = Message::parse(&good.as_bytes()[..at], &latin1());
    }
}

#[test]
fn an_answer_names_message_field_and_reason() {
    let bytes = b"MSH|^~\\&|KIS|HAUS|LOTSE|RAD|20260301||ORM^O01^ORM_O01|ID-7|P|2.5.1\rPID|";
    let head = Head::peek(bytes);
    let answer = reply(&head, None, "20260301120000+0100");
    let text = String::from_utf8(answer.clone()).unwrap();
    assert!(
        text.starts_with("MSH|^~\\&|LOTSE|RAD|KIS|HAUS|20260301120000+0100||ACK^O01^ACK|"),
        "{text}"
    );
    assert!(text.contains("|P|2.5.1||||||UNICODE UTF-8\rMSA|AA|ID-7\r"), "{text}");
    let answer = Message::parse_answer(&answer).unwrap();
    let ack = acknowledged(&answer).unwrap();
    assert_eq!((ack.verdict, ack.control_id.as_str()), (Verdict::Accept, "ID-7"));

    let fault = Fault::field(Code::RequiredFieldMissing, "PID", 3, "there is none").at(2);
    let text = String::from_utf8(reply(&head, Some(&fault), "")).unwrap();
    let err = "ERR||PID^2^3|101^Required field missing^HL70357|E||||there is none\r";
    assert!(text.contains("MSA|AE|ID-7|PID-3: there is none\r") && text.ends_with(err), "{text}");
    let old = Head { version: "2.3.1".into(), ..head };
    let text = String::from_utf8(reply(&old, Some(&fault), "")).unwrap();
    assert!(text.ends_with("ERR|PID^2^3^101\r"), "{text}");
    // Nothing of a hostile header gets a meaning in the answer.
    let hostile = Head::peek(b"MSH!^~$&!K|I\\S!!!!!!ORM^O|1!a|b\\F\\~c!P|!2.5");
    let text = String::from_utf8(reply(&hostile, None, "")).unwrap();
    assert_eq!(text.matches('\r').count(), 2, "{text}");
    assert!(text.contains("MSA|AA|abF"), "{text}");
}

#[test]
fn what_we_write_can_be_read() {
    let line = Line::new("PID").skip(2).parts(&["4|2", "^", "~\\&"]).text("Größe").end();
    let message = read(&format!("MSH|^~\\&|K\r{line}"));
    let pid = message.segment("PID").unwrap();
    assert_eq!(pid.field(3).text(1).unwrap(), "4|2");
    assert_eq!(pid.field(3).text(2).unwrap(), "^");
    assert_eq!(pid.field(3).text(3).unwrap(), "~\\&");
    assert_eq!(pid.field(4).text(1).unwrap(), "Größe");
    assert_eq!(control_id().len(), 20);
    assert_ne!(control_id(), control_id());
}
