//! Elements of a plan, from text of the worklist.

use dicom_dictionary_std::tags;

use crate::dicom::{Code, Tag};
use crate::reconcile::{NewElement, NewValue};

/// Worklist text without control characters: an escape character would switch the character set of what
/// follows (PS3.5 6.1.3), a line break ends a value in some readers. `None` if nothing is left.
pub(super) fn clean(value: &str) -> Option<String> {
    let value: String = value.chars().filter(|c| !c.is_control()).collect();
    let value = value.trim();
    (!value.is_empty()).then(|| value.to_owned())
}

/// A defined term of the worklist, if it may stand in a CS element.
pub(super) fn code_string(value: &str) -> Option<&str> {
    let allowed = |b: u8| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_' || b == b' ';
    value.bytes().all(allowed).then_some(value)
}

pub(super) fn text(tag: Tag, vr: &str, value: &str) -> Option<NewElement> {
    let value = NewValue::Text(clean(value)?);
    Some(NewElement { tag: (tag.0, tag.1), vr: vr.to_owned(), value })
}

pub(super) fn empty(tag: Tag, vr: &str) -> NewElement {
    NewElement { tag: (tag.0, tag.1), vr: vr.to_owned(), value: NewValue::Empty }
}

pub(super) fn items(tag: Tag, items: Vec<Vec<NewElement>>) -> NewElement {
    NewElement { tag: (tag.0, tag.1), vr: "SQ".to_owned(), value: NewValue::Items(items) }
}

/// A code sequence (PS3.3 8.8); codes that lack a value, scheme or meaning are left out.
pub(super) fn codes(tag: Tag, codes: &[Code]) -> Option<NewElement> {
    let item = |code: &Code| {
        let mut item = vec![
            text(tags::CODE_VALUE, "SH", &code.value)?,
            text(tags::CODING_SCHEME_DESIGNATOR, "SH", &code.scheme)?,
        ];
        let version = code.version.as_deref();
        item.extend(version.and_then(|v| text(tags::CODING_SCHEME_VERSION, "SH", v)));
        item.push(text(tags::CODE_MEANING, "LO", &code.meaning)?);
        Some(item)
    };
    let all: Vec<_> = codes.iter().filter_map(item).collect();
    (!all.is_empty()).then(|| items(tag, all))
}
