//! What a page has, in names of its parts: for a recipe that looks in vain.

use super::select::Selector;
use super::{Page, ROOT};
use crate::fetch::recipe::told;

/// Fields that are told of one form.
const MOST_FIELDS: usize = 8;

impl Page {
    /// The forms with the names of their fields.
    pub(in crate::fetch::recipe) fn forms(&self) -> String {
        let forms = self.below(ROOT).into_iter().filter(|id| self.tag(*id) == "form");
        let forms = forms.map(|form| {
            let fields = self.controls(form).into_iter();
            let fields = fields.filter_map(|id| self.attribute(id, "name")).map(told::name);
            format!("{} (fields: {})", self.called(form), told::names(fields.take(MOST_FIELDS)))
        });
        match told::names(forms) {
            none if none.is_empty() => "the page has no form".to_owned(),
            forms => format!("the page has the forms {forms}"),
        }
    }

    /// What resembles that which a selector does not find.
    pub(in crate::fetch::recipe) fn near(&self, selector: &Selector) -> String {
        let all = self.below(ROOT);
        let Some(tag) = selector.tag() else {
            let marked = all.into_iter().filter(|id| {
                self.attribute(*id, "id").or_else(|| self.attribute(*id, "class")).is_some()
            });
            return match told::names(marked.map(|id| self.called(id))) {
                none if none.is_empty() => "nothing on the page has an id or a class".to_owned(),
                some => format!("the page has {some}"),
            };
        };
        let same: Vec<usize> = all.into_iter().filter(|id| self.tag(*id) == tag).collect();
        if same.is_empty() {
            return format!("the page has no `{tag}`");
        }
        let called = told::names(same.iter().map(|id| self.called(*id)));
        format!("the page has `{tag}` {} times: {called}", same.len())
    }

    /// The names of an element's attributes.
    pub(in crate::fetch::recipe) fn attributes(&self, id: usize) -> String {
        let attributes = self.node(id).map_or(&[][..], |node| node.attributes.as_slice());
        told::names(attributes.iter().map(|(name, _)| told::name(name)))
    }

    /// An element as a selector would name it.
    fn called(&self, id: usize) -> String {
        let mut text = self.tag(id).to_owned();
        let attribute = |name: &str| self.attribute(id, name).filter(|value| !value.is_empty());
        if let Some(id) = attribute("id") {
            text.push_str(&format!("#{}", told::name(id)));
        } else if let Some(name) = attribute("name") {
            text.push_str(&format!("[name={}]", told::name(name)));
        }
        for class in attribute("class").unwrap_or("").split_whitespace().take(3) {
            text.push_str(&format!(".{}", told::name(class)));
        }
        text
    }
}
