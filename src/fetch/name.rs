//! Names of downloaded files, as a person sees them. They are text for display and never a path.

use super::content::Content;

/// Longer names say nothing more.
const LONGEST: usize = 200;

/// The name from a `Content-Disposition` header (RFC 6266), else the portal's description, made safe.
pub(super) fn display(
    disposition: Option<&str>,
    description: Option<&str>,
    content: Content,
) -> String {
    let told = disposition.and_then(file_name).map(|name| clean(&name, LONGEST));
    if let Some(name) = told.filter(|name| !name.is_empty()) {
        return name;
    }
    let suffix = content.suffix();
    let name = clean(description.unwrap_or(""), LONGEST.saturating_sub(suffix.len()));
    let name = if name.is_empty() { "download".to_owned() } else { name };
    if name.to_ascii_lowercase().ends_with(suffix) { name } else { format!("{name}{suffix}") }
}

/// Without control characters, line breaks and marks that turn the direction of text; cut.
pub(super) fn clean(text: &str, longest: usize) -> String {
    let turns = |c| matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}');
    let text: String =
        text.chars().filter(|c| !c.is_control() && !turns(*c)).take(longest).collect();
    text.trim().to_owned()
}

fn file_name(disposition: &str) -> Option<String> {
    let mut plain = None;
    for parameter in parameters(disposition).into_iter().skip(1) {
        let Some((key, value)) = parameter.split_once('=') else {
            continue;
        };
        match key.trim().to_ascii_lowercase().as_str() {
            "filename*" => {
                let mut parts = value.trim().splitn(3, '\'');
                let charset = parts.next()?;
                if let (true, Some(text)) = (charset.eq_ignore_ascii_case("utf-8"), parts.nth(1)) {
                    return Some(super::locate::percent_decoded(text));
                }
            }
            "filename" => plain = Some(unquoted(value.trim())),
            _ => {}
        }
    }
    plain
}

/// Splits at semicolons outside of quotes.
pub(super) fn parameters(text: &str) -> Vec<String> {
    let (mut all, mut part, mut quoted, mut escaped) = (Vec::new(), String::new(), false, false);
    for c in text.chars() {
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            ';' if !quoted => {
                all.push(std::mem::take(&mut part));
                continue;
            }
            _ => {}
        }
        part.push(c);
    }
    all.push(part);
    all
}

pub(super) fn unquoted(text: &str) -> String {
    let Some(inner) = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')) else {
        return text.to_owned();
    };
    let mut plain = String::new();
    let mut escaped = false;
    for c in inner.chars() {
        if c == '\\' && !escaped {
            escaped = true;
        } else {
            plain.push(c);
            escaped = false;
        }
    }
    plain
}
