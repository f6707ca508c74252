//! What a person is asked: at the beginning, and in between.

use super::{Ending, Run};
use crate::fetch::Halt;
use crate::fetch::recipe::input::Told;
use crate::import::Question;

impl Run<'_> {
    /// What has to be known at the beginning; `None` if it is.
    pub(super) fn inputs(&mut self) -> Option<Ending> {
        let paused: Vec<&String> = self
            .recipe
            .file
            .steps
            .iter()
            .filter_map(|step| step.get_ref().ask.as_ref())
            .flatten()
            .collect();
        let first = self.recipe.file.inputs.iter().map(toml::Spanned::get_ref);
        let names: Vec<String> =
            first.map(|input| input.name.clone()).filter(|name| !paused.contains(&name)).collect();
        self.told(&names)
    }

    /// Takes these inputs into the values, or asks for those that are missing.
    fn told(&mut self, names: &[String]) -> Option<Ending> {
        let (mut questions, mut note) = (Vec::new(), None);
        for input in self.recipe.file.inputs.iter().map(toml::Spanned::get_ref) {
            if !names.contains(&input.name) {
                continue;
            }
            match input.told(self.answers) {
                Told::Value(value) => {
                    self.state.values.insert(input.name.clone(), value);
                }
                told => {
                    if let Told::Wrong(why) = told {
                        note = Some(why.to_owned());
                    }
                    questions.push(input.question(&self.section.languages));
                }
            }
        }
        (!questions.is_empty()).then_some(Ending::Asked { questions, note })
    }

    pub(super) async fn ask(&mut self, names: &[String]) -> Result<Option<Ending>, Halt> {
        if self.state.paused && self.state.answered {
            // The answers are those to the question that was asked here.
            if let Some(asked) = self.told(names) {
                return Ok(Some(asked));
            }
            self.state.paused = false;
            self.state.asked_at = Some(self.state.next);
            return Ok(None);
        }
        Ok(Some(self.pause(names, None).await?))
    }

    pub(super) async fn pause(
        &mut self,
        names: &[String],
        note: Option<String>,
    ) -> Result<Ending, Halt> {
        self.state.paused = true;
        self.state.spent = true;
        self.keep().await?;
        self.say("the portal wants something that a person has to answer now");
        Ok(Ending::Asked { questions: self.questions(&|name| names.contains(name)), note })
    }

    pub(super) fn questions(&self, wanted: &dyn Fn(&String) -> bool) -> Vec<Question> {
        let inputs = self.recipe.file.inputs.iter().map(toml::Spanned::get_ref);
        let wanted = inputs.filter(|input| wanted(&input.name));
        wanted.map(|input| input.question(&self.section.languages)).collect()
    }
}
