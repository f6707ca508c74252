//! What stands before a data set in a file (PS3.10 7.1).

use dicom_object::FileMetaTableBuilder;

use super::object::Fault;
use crate::dicom::Uid;
use crate::import::Instance;

/// Preamble and file meta group.
pub(super) fn head(
    instance: &Instance,
    transfer_syntax: &Uid,
    ae_title: &str,
) -> Result<Vec<u8>, Fault> {
    let meta = FileMetaTableBuilder::new()
        .media_storage_sop_class_uid(instance.sop_class.as_str())
        .media_storage_sop_instance_uid(instance.sop_instance.as_str())
        .transfer_syntax(transfer_syntax.as_str())
        .source_application_entity_title(ae_title)
        .build();
    let mut head = vec![0; 128];
    head.extend_from_slice(b"DICM");
    meta.ok().and_then(|meta| meta.write(&mut head).ok()).ok_or_else(|| {
        Fault::Object(
            "the object's file meta group cannot be written; check it at its source".into(),
        )
    })?;
    Ok(head)
}
