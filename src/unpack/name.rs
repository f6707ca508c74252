//! Names of files inside archives: text that people read, and nothing else.

/// Longer names are cut in front, so that the file's own name stays to be seen.
const SHOWN: usize = 200;

/// A path longer than this is not compared with a DICOMDIR, whose file IDs end at 71 characters.
const COMPARED: usize = 400;

/// Words in a file's or folder's name that say: this PDF belongs to the medium, not to the patient.
/// A word counts if a part of the name (split at everything but letters and digits) begins or ends with it.
const LEAFLET_WORDS: [&str; 11] = [
    "viewer",
    "manual",
    "license",
    "licence",
    "lizenz",
    "readme",
    "liesmich",
    "handbuch",
    "anleitung",
    "autorun",
    "userguide",
];

/// The same, but names of people begin with these, so that a part has to be the word itself.
const LEAFLET_WHOLE: [&str; 2] = ["help", "eula"];

/// The same for pictures: what decorates pages and viewers, and previews of the images themselves.
const DECORATION_WORDS: [&str; 12] = [
    "icon",
    "logo",
    "thumb",
    "thumbnail",
    "preview",
    "button",
    "splash",
    "background",
    "banner",
    "toolbar",
    "pdi",
    "web",
];

/// The same for texts: lists that programs write.
const LISTING_WORDS: [&str; 7] =
    ["version", "changelog", "index", "filelist", "log", "contents", "checksum"];

/// The name of a file as somebody else chose it.
pub(super) struct Name {
    shown: String,
    compared: String,
}

impl Name {
    pub(super) fn new(text: &str) -> Self {
        let clean: Vec<char> =
            text.chars().map(|c| if c == '\\' { '/' } else { printable(c) }).collect();
        let shown = match clean.len().checked_sub(SHOWN) {
            None | Some(0) => clean.iter().collect(),
            Some(over) => {
                std::iter::once(&'…').chain(clean.iter().skip(over.saturating_add(1))).collect()
            }
        };
        let shown =
            if clean.iter().all(|c| c.is_whitespace()) { "(no name)".to_owned() } else { shown };
        let compared: String = clean.iter().take(COMPARED).collect::<String>().to_uppercase();
        let compared = compared.trim_start_matches(['/', '.']).split(';').next().unwrap_or("");
        Self { shown, compared: compared.trim_end_matches('.').to_owned() }
    }

    /// Printable, at most 200 characters.
    pub(super) fn shown(&self) -> &str {
        &self.shown
    }

    /// Upper case, `/` between folders, without the version that ISO 9660 adds: to compare with a DICOMDIR.
    pub(super) fn compared(&self) -> &str {
        &self.compared
    }

    /// The file's own name, without folders.
    pub(super) fn last(&self) -> &str {
        self.shown.rsplit('/').next().unwrap_or("")
    }

    /// The folder part of [`Name::compared`], with its slash; empty at the root.
    pub(super) fn folder(&self) -> &str {
        self.compared.rfind('/').and_then(|at| self.compared.get(..=at)).unwrap_or("")
    }

    /// The file's own name without its extension: what a document is called.
    pub(super) fn title(&self) -> String {
        let last = self.last();
        let title = match last.rsplit_once('.') {
            Some((stem, extension)) if !stem.is_empty() && extension.len() <= 5 => stem,
            _ => last,
        };
        title.trim().to_owned()
    }

    /// The extension in lower case, empty if there is none.
    pub(super) fn extension(&self) -> String {
        self.last().rsplit_once('.').map(|(_, end)| end.to_lowercase()).unwrap_or_default()
    }

    /// Whether a PDF of this name comes with the viewer or the medium.
    pub(super) fn is_leaflet(&self) -> bool {
        let lower = self.shown.to_lowercase();
        lower.split(|c: char| !c.is_alphanumeric()).any(|part| {
            let whole = part.trim_end_matches(|c: char| c.is_ascii_digit());
            LEAFLET_WHOLE.contains(&whole)
                || LEAFLET_WORDS.iter().any(|word| part.starts_with(word) || part.ends_with(word))
        })
    }

    /// Whether a picture of this name belongs to a viewer or a page.
    pub(super) fn is_decoration(&self) -> bool {
        let lower = self.shown.to_lowercase();
        let mut parts = lower.split(|c: char| !c.is_alphabetic());
        parts.any(|part| {
            DECORATION_WORDS.iter().any(|word| part.strip_suffix('s').unwrap_or(part) == *word)
        })
    }

    /// Whether a text of this name was written by a program.
    pub(super) fn is_listing(&self) -> bool {
        let lower = self.last().to_lowercase();
        let mut parts = lower.split(|c: char| !c.is_alphabetic());
        parts.any(|part| LISTING_WORDS.contains(&part))
    }

    /// Whether operating systems leave such files behind.
    pub(super) fn is_litter(&self) -> bool {
        let lower = self.shown.to_lowercase();
        let last = lower.rsplit('/').next().unwrap_or("");
        matches!(last, ".ds_store" | "thumbs.db" | "desktop.ini")
            || last.starts_with("._")
            || lower.split('/').any(|folder| folder == "__macosx")
    }
}

/// Control characters break log lines and terminals, and direction marks make a name read as another.
fn printable(c: char) -> char {
    let direction = matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
        | '\u{61c}' | '\u{feff}' | '\u{e0000}'..='\u{e007f}');
    if c.is_control() || direction { '\u{fffd}' } else { c }
}
