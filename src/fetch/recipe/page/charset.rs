//! What the text of an answer is written in (HTML, "determining the character encoding", as far as portals need it).

use encoding_rs::{Encoding, UTF_8, UTF_16BE, UTF_16LE, WINDOWS_1252};

/// Where a page may say so itself.
const BEGINNING: usize = 1024;

/// The text, and what it was written in: by its mark, its label, the page's own word, else UTF-8 if it is that, and
/// what browsers take in Western Europe if it is not. JSON is UTF-8, whatever its label says (RFC 8259 8.1).
pub(super) fn decoded(kind: &str, body: &[u8]) -> (String, &'static Encoding) {
    let told = match Encoding::for_bom(body) {
        Some((marked, _)) => Some(marked),
        None if is_json(kind) => Some(UTF_8),
        None => labelled(kind).or_else(|| in_page(body)),
    };
    let valid = || std::str::from_utf8(body).is_ok();
    let encoding = told.unwrap_or_else(|| if valid() { UTF_8 } else { WINDOWS_1252 });
    (encoding.decode_with_bom_removal(body).0.into_owned(), encoding)
}

fn is_json(kind: &str) -> bool {
    let kind = kind.split(';').next().unwrap_or("").trim().to_ascii_lowercase();
    kind.ends_with("/json") || kind.ends_with("+json")
}

/// `text/html; charset=iso-8859-1`
fn labelled(kind: &str) -> Option<&'static Encoding> {
    let parameters = kind.split(';').skip(1).filter_map(|part| part.split_once('='));
    let mut charsets = parameters.filter(|(name, _)| name.trim().eq_ignore_ascii_case("charset"));
    let (_, label) = charsets.next()?;
    Encoding::for_label(label.trim().trim_matches(['"', '\'']).as_bytes())
}

/// `<meta charset="…">`, or the content type that stands in one.
fn in_page(body: &[u8]) -> Option<&'static Encoding> {
    let head = body.get(..BEGINNING).unwrap_or(body);
    let head = String::from_utf8_lossy(head).to_ascii_lowercase();
    let metas = head.split("<meta").skip(1).map(|rest| rest.split('>').next().unwrap_or(rest));
    let label = metas.filter_map(|meta| {
        let (_, told) = meta.split_once("charset")?;
        let told = told.trim_start().strip_prefix('=')?.trim_start();
        let ends = |c: char| c.is_ascii_whitespace() || matches!(c, '"' | '\'' | ';' | '/');
        let told = told.trim_start_matches(['"', '\'']).split(ends).next()?;
        Encoding::for_label(told.as_bytes())
    });
    // Who could read the word in it does not have UTF-16 before them.
    label.map(|told| if told == UTF_16LE || told == UTF_16BE { UTF_8 } else { told }).next()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(kind: &str, body: &[u8]) -> (String, &'static str) {
        let (text, encoding) = decoded(kind, body);
        (text, encoding.name())
    }

    #[test]
    fn what_is_said_first_counts() {
        let latin = b"<meta charset=utf-8>M\xFCller";
        assert_eq!(read("text/html; charset=\"ISO-8859-1\"", latin).1, "windows-1252");
        assert!(read("text/html; Charset=iso-8859-1", latin).0.ends_with("M\u{fc}ller"));
        assert!(read("text/html", latin).0.ends_with("M\u{fffd}ller"));
        let named = b"<head><META http-equiv=x content='text/html; charset=iso-8859-2'>\xB9";
        assert!(read("text/html", named).0.ends_with('\u{161}'), "{:?}", read("text/html", named));
        assert_eq!(read("text/html; charset=nonsense", b"M\xFCller").0, "M\u{fc}ller");
        assert_eq!(read("", "M\u{fc}ller".as_bytes()).1, "UTF-8");
        assert_eq!(read("", b"\xEF\xBB\xBFa"), ("a".to_owned(), "UTF-8"));
        assert_eq!(read("text/plain", b"\xFF\xFEa\0").0, "a");
        assert_eq!(read("", b"<meta charset=utf-16>a").1, "UTF-8");
        let late = [vec![b' '; 1024], b"<meta charset=iso-8859-2>\xB9".to_vec()].concat();
        assert!(read("", &late).0.ends_with('\u{b9}'));
    }

    #[test]
    fn json_is_utf_8() {
        for kind in ["application/json; charset=iso-8859-1", "application/dicom+json"] {
            assert_eq!(read(kind, "\"\u{fc}\"".as_bytes()).0, "\"\u{fc}\"");
        }
    }
}
