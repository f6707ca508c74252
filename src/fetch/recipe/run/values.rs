//! What a step sends: addresses, headers and bodies with their values.

use std::collections::BTreeMap;

use bytes::Bytes;
use url::Url;

use super::Run;
use crate::fetch::Error;
use crate::fetch::recipe::file::Step;
use crate::fetch::recipe::html::form::{Encoding, Method, Missing};
use crate::fetch::recipe::html::select::Selector;
use crate::fetch::recipe::outcome::Outcome;
use crate::fetch::recipe::page::Entry;
use crate::fetch::recipe::template::{Template, Unfilled};
use crate::web::{Call, Load};

impl Run<'_> {
    pub(super) fn call(&self, step: &Step) -> Result<Call, Error> {
        let (url, load) = if let Some(selector) = &step.submit {
            self.form(step, selector)?
        } else if let Some(template) = &step.post {
            (self.url(template)?, self.body(step)?)
        } else {
            let missing = || self.changed("the step has no address");
            (self.url(step.get.as_ref().ok_or_else(missing)?)?, Load::Nothing)
        };
        Ok(Call { url, load, headers: self.headers(step)?, limits: self.section.short() })
    }

    pub(super) fn headers(&self, step: &Step) -> Result<Vec<(String, String)>, Error> {
        let render = |(name, template): (&String, &Template)| {
            Ok((name.to_ascii_lowercase(), self.plain(template, None)?))
        };
        step.headers.iter().map(render).collect()
    }

    fn body(&self, step: &Step) -> Result<Load, Error> {
        if let Some(form) = &step.form {
            let mut body = url::form_urlencoded::Serializer::new(String::new());
            for (name, template) in form {
                body.append_pair(name, &self.plain(template, None)?);
            }
            return Ok(urlencoded(body.finish()));
        }
        let value = |name: &str| self.value(name, None);
        Ok(match &step.json {
            Some(shape) => Load::Post {
                kind: "application/json".to_owned(),
                bytes: Bytes::from(shape.fill(&value).map_err(|e| self.unfilled(e))?.to_string()),
            },
            None => urlencoded(String::new()),
        })
    }

    fn form(&self, step: &Step, selector: &Selector) -> Result<(Url, Load), Error> {
        let fields = step.fields.iter();
        let fields = fields.map(|(name, text)| Ok((name.clone(), self.plain(text, None)?)));
        let fields = fields.collect::<Result<BTreeMap<_, _>, Error>>()?;
        let page = self.state.page.as_ref().ok_or_else(|| self.changed("there is no page"))?;
        let html = page.html().map_err(|_| self.changed("the page is too large to look at"))?;
        let form = html.fill(selector, &fields, step.button.as_ref()).map_err(|missing| {
            let what = match missing {
                Missing::Form => format!("the page has no form {}", selector.as_str()),
                Missing::Field(name) => {
                    format!("the form {} has no field `{name}`", selector.as_str())
                }
                Missing::Button => {
                    let button = step.button.as_ref().map_or("", Selector::as_str);
                    format!("the form {} has no button {button}", selector.as_str())
                }
                Missing::TooMany => "the form has too many fields".to_owned(),
            };
            self.differs(&what, &format!("{}; {}", page.kind(), html.forms()))
        })?;
        let mut url = match form.action.as_str() {
            "" => page.url.clone(),
            action => page.join(action).ok_or_else(|| self.changed("the form leads nowhere"))?,
        };
        Ok(match (form.method, form.encoding) {
            (Method::Get, _) => {
                url.set_query(Some(&form.urlencoded(page.charset())));
                (url, Load::Nothing)
            }
            (Method::Post, Encoding::Urlencoded) => {
                (url, urlencoded(form.urlencoded(page.charset())))
            }
            (Method::Post, Encoding::Multipart) => {
                let (kind, body) = form.multipart(page.charset());
                (url, Load::Post { kind, bytes: Bytes::from(body) })
            }
        })
    }

    pub(super) fn is_input(&self, name: &str) -> bool {
        self.recipe.file.inputs.iter().any(|input| input.get_ref().name == name)
    }

    pub(super) fn value(&self, name: &str, item: Option<&Entry>) -> Option<String> {
        let link = self.link.url();
        if let Some(field) = name.strip_prefix("item.") {
            return item?.get(field).cloned();
        }
        if let Some(key) = name.strip_prefix("link.query.") {
            let mut pairs = link.query_pairs();
            return pairs.find(|(known, _)| known == key).map(|(_, value)| value.into_owned());
        }
        match name {
            "link" => Some(link.to_string()),
            "link.origin" => Some(link.origin().ascii_serialization()),
            "link.host" => link.host_str().map(str::to_owned),
            _ => self.state.values.get(name).cloned(),
        }
    }

    fn unfilled(&self, unfilled: Unfilled) -> Error {
        match unfilled {
            Unfilled::Value(name) if name.starts_with("link.") => {
                let (host, told) = (self.host(), None);
                Error::Portal { host, outcome: Outcome::Unknown, told }
            }
            Unfilled::Value(name) => self.changed(&format!("`{{{name}}}` has no value")),
            Unfilled::TooLong => self.changed("a value is too long"),
        }
    }

    pub(super) fn plain(&self, template: &Template, item: Option<&Entry>) -> Result<String, Error> {
        template.plain(&|name| self.value(name, item)).map_err(|error| self.unfilled(error))
    }

    fn url(&self, template: &Template) -> Result<Url, Error> {
        self.url_of(template, None)
    }

    /// An address, relative to the last page if it is no whole one.
    pub(super) fn url_of(&self, template: &Template, item: Option<&Entry>) -> Result<Url, Error> {
        let text =
            template.url(&|name| self.value(name, item)).map_err(|error| self.unfilled(error))?;
        let base = self.state.page.as_ref().map_or(self.link.url(), |page| &page.url);
        let url = base.join(&text).ok();
        url.filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
            .ok_or_else(|| self.changed("an address is none"))
    }
}

fn urlencoded(body: String) -> Load {
    let kind = "application/x-www-form-urlencoded".to_owned();
    Load::Post { kind, bytes: Bytes::from(body) }
}
