//! New values that are made of the old ones.

/// A description has 64 characters at most (LO, PS3.5 6.2); what is cut off stays in Original Attributes.
const LONGEST_DESCRIPTION: usize = 64;

/// `before` with another value behind it; `None` if it is among them.
pub(super) fn appended(before: Option<&str>, new: &str) -> Option<String> {
    let Some(before) = before else {
        return Some(new.to_owned());
    };
    let known = before.split('\\').any(|value| value.trim() == new.trim());
    (!known).then(|| format!("{before}\\{new}"))
}

/// `before` with `prefix` before it; `None` if it begins so.
pub(super) fn prefixed(before: &str, prefix: &str) -> Option<String> {
    let longer = || format!("{prefix}{before}").chars().take(LONGEST_DESCRIPTION).collect();
    (!before.starts_with(prefix.trim_end())).then(longer)
}
