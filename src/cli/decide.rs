//! `lotse decide`: a person's word on where a study belongs.

use clap::Args;
use serde_json::{Value, json};

use super::{BadInput, Code, out};
use crate::dicom::Uid;
use crate::import::ImportId;
use crate::web::control::Control;

#[derive(Debug, Args)]
pub(super) struct Decide {
    /// The import.
    id: ImportId,
    /// Study Instance UID of the study.
    study: Uid,
    /// The worklist item, as `lotse show` and `lotse worklist` name it; several of one patient if the study answers
    /// them together.
    #[arg(
        value_name = "ITEM",
        required_unless_present_any = ["reject", "no_order"],
        conflicts_with_all = ["reject", "no_order"]
    )]
    items: Vec<String>,
    /// The study is not to be filed at all.
    #[arg(long, conflicts_with = "no_order")]
    reject: bool,
    /// File under a patient without an order, read from standard input as JSON: patientId, issuer, name,
    /// birthDate, sex.
    #[arg(long)]
    no_order: bool,
    /// Decide nothing, but tell what speaks against it: if name, birth date or sex of a patient without an order differ
    /// from the study or the patient index, or for an item that is no candidate of the study.
    #[arg(long, conflicts_with = "reject")]
    look_again: bool,
    /// Why; kept with the decision.
    #[arg(long, value_name = "TEXT")]
    reason: String,
}

impl Decide {
    pub(super) async fn run(self, control: &Control) -> anyhow::Result<Code> {
        let Self { id, study, items, reject, no_order, look_again, reason } = self;
        let decision = if reject {
            json!({"reject": true, "reason": reason})
        } else if no_order {
            let patient: Value = serde_json::from_str(&out::input()?)
                .map_err(|error| BadInput(format!("the patient is no JSON: {error}")))?;
            json!({"noOrder": patient, "confirmed": !look_again, "reason": reason})
        } else if let [item] = items.as_slice() {
            json!({"item": item, "confirmed": !look_again, "reason": reason})
        } else {
            json!({"items": items, "confirmed": !look_again, "reason": reason})
        };
        let path = format!("/api/v1/imports/{id}/studies/{study}/decision");
        control.post_json::<_, Value>(&path, &decision).await?;
        Ok(Code::Done)
    }
}
