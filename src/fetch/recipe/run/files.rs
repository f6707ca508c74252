//! Files that a step downloads.

use std::time::Duration;

use url::Url;

use super::{DOWNLOADS, Ending, Pace, REST, Run};
use crate::fetch::content::{self, Content};
use crate::fetch::recipe::file::Step;
use crate::fetch::recipe::page::Entry;
use crate::fetch::recipe::template::Template;
use crate::fetch::{Error, Halt, recognise, store};
use crate::web::{Call, Load};

impl Run<'_> {
    pub(super) fn entries(&self, step: &Step) -> Vec<Option<Entry>> {
        match &step.each {
            Some(list) => {
                self.state.lists.get(list).into_iter().flatten().cloned().map(Some).collect()
            }
            None => vec![None],
        }
    }

    pub(super) async fn downloads(
        &mut self,
        step: &Step,
        template: &Template,
    ) -> Result<Option<Ending>, Halt> {
        for item in self.entries(step) {
            let url = self.url_of(template, item.as_ref())?;
            let called = step.called.as_ref();
            let called = called.map(|text| self.plain(text, item.as_ref())).transpose()?;
            let mut tries = 0;
            loop {
                tries += 1;
                let tried = self.download(step, url.clone(), called.as_deref()).await;
                match tried {
                    Ok(None) => break,
                    Ok(Some(ending)) => return Ok(Some(ending)),
                    Err(Halt::Fault(error)) if tries < DOWNLOADS && is_cut(&error) => {
                        self.say("cut, begun anew");
                        self.rest(REST).await;
                    }
                    Err(fault) => return Err(fault),
                }
            }
        }
        Ok(None)
    }

    pub(super) async fn rest(&self, wait: Duration) {
        if self.pace == Pace::Real {
            tokio::time::sleep(wait).await;
        }
    }

    /// One file; an ending if the portal wants to be asked later.
    async fn download(
        &mut self,
        step: &Step,
        url: Url,
        called: Option<&str>,
    ) -> Result<Option<Ending>, Halt> {
        let limits = self.section.long(self.left());
        let headers = self.headers(step)?;
        let mut answer = self.send(Call { url, load: Load::Nothing, headers, limits }).await?;
        let head = answer.peek(content::HEAD).await.map_err(store::too_large)?;
        let is_file =
            !matches!(content::judge(head), Content::Page | Content::Json | Content::Empty);
        if answer.status() == 200 && is_file {
            self.announce(answer.content_length());
            self.shelf.take(answer, called, self.observer).await?;
            return Ok(None);
        }
        let page = self.read(answer).await?;
        if let Some(ending) = self.judge(step, &page).await? {
            return Ok(Some(ending));
        }
        if matches!(page.status, 202 | 429 | 503) {
            let wait = recognise::wait_told(page.header("retry-after").as_deref());
            if self.shelf.is_empty() {
                return Ok(Some(self.prepare(wait).await?));
            }
            self.rest(wait).await;
            return Err(Error::Cut { host: self.host() }.into());
        }
        self.usual(&page)?;
        self.trace.instead(&page.kind());
        Err(Error::Page { host: self.host() }.into())
    }

    pub(super) fn announce(&mut self, length: Option<u64>) {
        if !self.announced {
            self.announced = true;
            self.observer.downloading(length, None);
        }
    }

    /// Bytes that may still come.
    pub(super) fn left(&self) -> u64 {
        let most = self.recipe.file.limits.size.unwrap_or(u64::MAX).min(self.section.max_download);
        most.saturating_sub(self.shelf.length())
    }
}

/// A transfer that may go through if it is begun anew.
pub(super) fn is_cut(error: &Error) -> bool {
    match error {
        Error::Cut { .. } => true,
        Error::Web(error) => error.is_passing(),
        _ => false,
    }
}
