//! CSS selectors, the part of them that finds things on a page.
//!
//! Tags, `*`, `#id`, `.class`, `[attribute]` with `=`, `~=`, `^=`, `$=`, `*=`, the combinators ` ` and `>`,
//! and lists. Matching walks the page once, whatever the selector.

use serde::Deserialize;

use super::{Child, Page, ROOT};

/// Longer selectors are no selectors; also the width of the set of prefixes.
const MOST_PARTS: usize = 30;

#[derive(Clone, Debug, PartialEq, Eq)]
enum Test {
    Tag(String),
    Class(String),
    Has(String),
    Is(String, String),
    Word(String, String),
    Starts(String, String),
    Ends(String, String),
    Holds(String, String),
}

/// How a part stands to the one before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Joint {
    Below,
    Child,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Part {
    joint: Joint,
    tests: Vec<Test>,
}

/// A list of selectors.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(in crate::fetch::recipe) struct Selector {
    list: Vec<Vec<Part>>,
    /// As written: it holds no secret.
    text: String,
}

impl TryFrom<String> for Selector {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let mut reader = Reader { rest: text.trim() };
        let mut list = Vec::new();
        loop {
            list.push(reader.parts()?);
            reader.space();
            if reader.rest.is_empty() {
                break;
            }
            if !reader.eat(',') {
                return Err(reader.wrong());
            }
            reader.space();
        }
        Ok(Self { list, text })
    }
}

impl Selector {
    /// As written in the recipe.
    pub(in crate::fetch::recipe) fn as_str(&self) -> &str {
        &self.text
    }

    /// The tag of what is looked for, if the selector names one.
    pub(super) fn tag(&self) -> Option<&str> {
        self.list.first()?.last()?.tests.iter().find_map(|test| match test {
            Test::Tag(tag) => Some(tag.as_str()),
            _ => None,
        })
    }
}

struct Reader<'a> {
    rest: &'a str,
}

impl Reader<'_> {
    fn wrong(&self) -> String {
        let at: String = self.rest.chars().take(12).collect();
        format!(
            "this selector cannot be read at `{at}`; it may have tags, #id, .class, [name=value], ` `, `>` \
             and `,`"
        )
    }

    fn space(&mut self) -> bool {
        let before = self.rest.len();
        self.rest = self.rest.trim_start();
        self.rest.len() != before
    }

    fn eat(&mut self, c: char) -> bool {
        let rest = self.rest.strip_prefix(c);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    fn word(&mut self) -> Result<String, String> {
        let end = self
            .rest
            .find(|c: char| !(c.is_alphanumeric() || matches!(c, '-' | '_')))
            .unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at_checked(end).unwrap_or((self.rest, ""));
        if word.is_empty() {
            return Err(self.wrong());
        }
        let word = word.to_owned();
        self.rest = rest;
        Ok(word)
    }

    fn parts(&mut self) -> Result<Vec<Part>, String> {
        let mut parts = vec![Part { joint: Joint::Below, tests: self.tests()? }];
        loop {
            let spaced = self.space();
            if self.rest.is_empty() || self.rest.starts_with(',') {
                return Ok(parts);
            }
            let joint = if self.eat('>') {
                self.space();
                Joint::Child
            } else if spaced {
                Joint::Below
            } else {
                return Err(self.wrong());
            };
            parts.push(Part { joint, tests: self.tests()? });
            if parts.len() > MOST_PARTS {
                return Err(format!("a selector has at most {MOST_PARTS} parts"));
            }
        }
    }

    fn tests(&mut self) -> Result<Vec<Test>, String> {
        let mut tests = Vec::new();
        let any = self.eat('*');
        if !any && self.rest.starts_with(char::is_alphanumeric) {
            tests.push(Test::Tag(self.word()?.to_ascii_lowercase()));
        }
        loop {
            if self.eat('#') {
                tests.push(Test::Is("id".to_owned(), self.word()?));
            } else if self.eat('.') {
                tests.push(Test::Class(self.word()?));
            } else if self.eat('[') {
                tests.push(self.attribute()?);
            } else if tests.is_empty() && !any {
                return Err(self.wrong());
            } else {
                return Ok(tests);
            }
        }
    }

    fn attribute(&mut self) -> Result<Test, String> {
        self.space();
        let name = self.word()?.to_ascii_lowercase();
        self.space();
        if self.eat(']') {
            return Ok(Test::Has(name));
        }
        let kind = ['~', '^', '$', '*'].into_iter().find(|c| self.eat(*c));
        if !self.eat('=') {
            return Err(self.wrong());
        }
        self.space();
        let quote = ['"', '\''].into_iter().find(|c| self.eat(*c));
        let end = match quote {
            Some(quote) => self.rest.find(quote),
            None => self.rest.find([']', ' ']),
        };
        let (value, rest) =
            end.and_then(|end| self.rest.split_at_checked(end)).ok_or_else(|| self.wrong())?;
        let value = value.to_owned();
        self.rest = rest;
        if let Some(quote) = quote {
            self.eat(quote);
        }
        self.space();
        if !self.eat(']') {
            return Err(self.wrong());
        }
        Ok(match kind {
            None => Test::Is(name, value),
            Some('~') => Test::Word(name, value),
            Some('^') => Test::Starts(name, value),
            Some('$') => Test::Ends(name, value),
            Some(_) => Test::Holds(name, value),
        })
    }
}

impl Page {
    /// The elements that a selector finds, in the order of the page.
    pub(in crate::fetch::recipe) fn select(&self, selector: &Selector) -> Vec<usize> {
        let mut found: Vec<(usize, usize)> = Vec::new();
        for parts in &selector.list {
            self.select_one(parts, &mut found);
        }
        found.sort_unstable();
        found.dedup();
        found.into_iter().map(|(_, id)| id).collect()
    }

    /// Carries down which prefixes of the selector are matched by some element above, and by the parent.
    fn select_one(&self, parts: &[Part], found: &mut Vec<(usize, usize)>) {
        let last = 1_u64.checked_shl(u32::try_from(parts.len()).unwrap_or(0)).unwrap_or(0) >> 1;
        // Bit n: the first n + 1 parts are matched.
        let mut open = vec![(ROOT, 0_u64, 0_u64)];
        let mut order = 0_usize;
        while let Some((id, above, parent)) = open.pop() {
            order = order.saturating_add(1);
            if order > self.nodes.len() {
                return;
            }
            let mut own = 0_u64;
            for (n, part) in parts.iter().enumerate() {
                let bit = 1_u64.checked_shl(u32::try_from(n).unwrap_or(0)).unwrap_or(0);
                let reached = n == 0
                    || match part.joint {
                        Joint::Below => above & (bit >> 1) != 0,
                        Joint::Child => parent & (bit >> 1) != 0,
                    };
                if reached && id != ROOT && part.tests.iter().all(|test| self.passes(id, test)) {
                    own |= bit;
                }
            }
            if own & last != 0 {
                found.push((order, id));
            }
            let children = self.node(id).map_or(&[][..], |node| node.children.as_slice());
            for child in children.iter().rev() {
                if let Child::Node(child) = child {
                    open.push((*child, above | own, own));
                }
            }
        }
    }

    fn passes(&self, id: usize, test: &Test) -> bool {
        let has =
            |name: &str, holds: &dyn Fn(&str) -> bool| self.attribute(id, name).is_some_and(holds);
        match test {
            Test::Tag(tag) => self.tag(id) == tag,
            Test::Class(class) => {
                has("class", &|value| value.split_whitespace().any(|word| word == class))
            }
            Test::Has(name) => has(name, &|_| true),
            Test::Is(name, wanted) => has(name, &|value| value == wanted),
            Test::Word(name, wanted) => {
                has(name, &|value| value.split_whitespace().any(|word| word == wanted))
            }
            Test::Starts(name, wanted) => has(name, &|value| value.starts_with(wanted.as_str())),
            Test::Ends(name, wanted) => has(name, &|value| value.ends_with(wanted.as_str())),
            Test::Holds(name, wanted) => has(name, &|value| value.contains(wanted.as_str())),
        }
    }
}
