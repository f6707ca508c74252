//! C-GET: the peer sends on our own association (PS3.4 C.4.3).
//!
//! The query has told what classes there are, so each is proposed with every syntax that it may be stored in, each
//! in a context of its own: nothing has to be converted for us. A study of too many classes for the 128 contexts of
//! an association is fetched series by series.

use std::collections::BTreeSet;

use dicom_dictionary_std::{tags, uids};
use tokio::time::Instant;

use super::super::source::{Asked, Durable, Kept, MOST_INSTANCES, Sink, front};
use super::query::{Holding, identifier};
use super::{Errand, Error, SourceError, Stop, known, plain};
use crate::dicom::{DataSet, Uid, VR};
use crate::dimse::{self, Arriving, Client, Proposed, Status, Told, is_storage};

/// What objects are stored in, the commonest first.
pub(super) const SYNTAXES: [&str; 20] = [
    uids::EXPLICIT_VR_LITTLE_ENDIAN,
    uids::IMPLICIT_VR_LITTLE_ENDIAN,
    uids::DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN,
    // Explicit VR Big Endian, retired.
    "1.2.840.10008.1.2.2",
    uids::JPEG_LOSSLESS_SV1,
    uids::JPEG2000_LOSSLESS,
    uids::JPEG2000,
    uids::JPEG_BASELINE8_BIT,
    uids::JPEG_EXTENDED12_BIT,
    uids::JPEG_LOSSLESS,
    uids::JPEGLS_LOSSLESS,
    uids::JPEGLS_NEAR_LOSSLESS,
    uids::RLE_LOSSLESS,
    uids::MPEG2MPML,
    uids::MPEG2MPHL,
    uids::MPEG4HP41,
    uids::MPEG4HP41BD,
    uids::HTJ2K_LOSSLESS,
    uids::HTJ2K_LOSSLESS_RPCL,
    uids::HTJ2K,
];

/// So many of them are for any data set.
const PLAIN: usize = 4;

/// Proposed of a peer that does not tell the classes of a study. What is missing here shows as incomplete.
pub(super) const CLASSES: [&str; 40] = [
    uids::CT_IMAGE_STORAGE,
    uids::ENHANCED_CT_IMAGE_STORAGE,
    uids::MR_IMAGE_STORAGE,
    uids::ENHANCED_MR_IMAGE_STORAGE,
    uids::MR_SPECTROSCOPY_STORAGE,
    uids::COMPUTED_RADIOGRAPHY_IMAGE_STORAGE,
    uids::DIGITAL_X_RAY_IMAGE_STORAGE_FOR_PRESENTATION,
    uids::DIGITAL_X_RAY_IMAGE_STORAGE_FOR_PROCESSING,
    uids::DIGITAL_MAMMOGRAPHY_X_RAY_IMAGE_STORAGE_FOR_PRESENTATION,
    uids::DIGITAL_MAMMOGRAPHY_X_RAY_IMAGE_STORAGE_FOR_PROCESSING,
    uids::DIGITAL_INTRA_ORAL_X_RAY_IMAGE_STORAGE_FOR_PRESENTATION,
    uids::BREAST_TOMOSYNTHESIS_IMAGE_STORAGE,
    uids::X_RAY_ANGIOGRAPHIC_IMAGE_STORAGE,
    uids::ENHANCED_XA_IMAGE_STORAGE,
    uids::X_RAY_RADIOFLUOROSCOPIC_IMAGE_STORAGE,
    uids::ENHANCED_XRF_IMAGE_STORAGE,
    uids::X_RAY3_D_ANGIOGRAPHIC_IMAGE_STORAGE,
    uids::ULTRASOUND_IMAGE_STORAGE,
    uids::ULTRASOUND_MULTI_FRAME_IMAGE_STORAGE,
    uids::NUCLEAR_MEDICINE_IMAGE_STORAGE,
    uids::POSITRON_EMISSION_TOMOGRAPHY_IMAGE_STORAGE,
    uids::ENHANCED_PET_IMAGE_STORAGE,
    uids::SECONDARY_CAPTURE_IMAGE_STORAGE,
    uids::MULTI_FRAME_GRAYSCALE_BYTE_SECONDARY_CAPTURE_IMAGE_STORAGE,
    uids::MULTI_FRAME_TRUE_COLOR_SECONDARY_CAPTURE_IMAGE_STORAGE,
    uids::GRAYSCALE_SOFTCOPY_PRESENTATION_STATE_STORAGE,
    uids::COLOR_SOFTCOPY_PRESENTATION_STATE_STORAGE,
    uids::KEY_OBJECT_SELECTION_DOCUMENT_STORAGE,
    uids::BASIC_TEXT_SR_STORAGE,
    uids::ENHANCED_SR_STORAGE,
    uids::COMPREHENSIVE_SR_STORAGE,
    uids::X_RAY_RADIATION_DOSE_SR_STORAGE,
    uids::SEGMENTATION_STORAGE,
    uids::ENCAPSULATED_PDF_STORAGE,
    uids::RT_IMAGE_STORAGE,
    uids::RT_DOSE_STORAGE,
    uids::RT_STRUCTURE_SET_STORAGE,
    uids::RT_PLAN_STORAGE,
    uids::VL_PHOTOGRAPHIC_IMAGE_STORAGE,
    uids::VL_ENDOSCOPIC_IMAGE_STORAGE,
];

/// An association has 128 contexts, one of which is for the request itself.
const ROOM: usize = 127;

/// What is asked for on one association.
struct Wanted<'a> {
    holding: &'a Holding,
    /// One series, if the study does not fit an association.
    series: Option<&'a Uid>,
    classes: BTreeSet<Uid>,
}

impl Wanted<'_> {
    fn contexts(&self) -> Vec<Proposed> {
        let of = |class: &Uid| Proposed {
            sop_class: class.clone(),
            transfer_syntaxes: syntaxes(class).iter().copied().map(known).collect(),
        };
        self.classes.iter().map(of).collect()
    }

    fn identifier(&self) -> DataSet {
        let study = self.holding.study.as_str();
        match self.series {
            None => identifier("STUDY", &[(tags::STUDY_INSTANCE_UID, VR::UI, study)]),
            Some(series) => {
                let series = (tags::SERIES_INSTANCE_UID, VR::UI, series.as_str());
                identifier("SERIES", &[(tags::STUDY_INSTANCE_UID, VR::UI, study), series])
            }
        }
    }
}

/// What a class may be stored in: documents and parameters have no pixels to compress.
fn syntaxes(class: &Uid) -> &'static [&'static str] {
    /// Reports and key objects, presentation states, waveforms, documents, radiotherapy without images.
    const WITHOUT_PIXELS: [&str; 6] = ["88.", "11.", "9.", "104.", "481.", "67"];
    let storage = class.as_str().strip_prefix("1.2.840.10008.5.1.4.1.1.").unwrap_or_default();
    let has_pixels = matches!(storage, "481.1" | "481.2")
        || !WITHOUT_PIXELS.iter().any(|branch| storage.starts_with(branch));
    if has_pixels { &SYNTAXES } else { SYNTAXES.get(..PLAIN).unwrap_or_default() }
}

/// Classes of a study as told, those that can be stored; the usual ones if none is told.
fn told<'a>(classes: impl Iterator<Item = &'a Uid>) -> BTreeSet<Uid> {
    let told: BTreeSet<Uid> = classes.filter(|uid| is_storage(uid.as_str())).cloned().collect();
    if told.is_empty() { CLASSES.map(known).into() } else { told.into_iter().take(ROOM).collect() }
}

/// The associations that a study needs, so that every pair of class and syntax has a context of its own: one, or
/// one a series.
fn wanted(holding: &Holding) -> Vec<Wanted<'_>> {
    let classes = told(holding.series.values().flatten());
    let whole = Wanted { holding, series: None, classes };
    let pairs: usize = whole.classes.iter().map(|class| syntaxes(class).len()).sum();
    if pairs <= ROOM || holding.series.len() < 2 {
        return vec![whole];
    }
    let series = holding.series.iter();
    let of = series.map(|(series, classes)| {
        let classes = told(classes.iter());
        Wanted { holding, series: Some(series), classes }
    });
    of.collect()
}

/// Fetches all studies.
pub(super) async fn all(
    errand: &Errand<'_>,
    holdings: &[Holding],
    sink: &mut Sink<'_>,
) -> Result<(), Stop> {
    let class = known(uids::STUDY_ROOT_QUERY_RETRIEVE_INFORMATION_MODEL_GET);
    for holding in holdings {
        let before = sink.count();
        let mut ended = (Status::SUCCESS, 0_u64);
        for wanted in wanted(holding) {
            let contexts = [vec![plain(&class)], wanted.contexts()].concat();
            let classes: Vec<Uid> = wanted.classes.iter().cloned().collect();
            let work = async |client: &mut Client| one(errand, client, &class, &wanted, sink).await;
            let called = dimse::call_as_scp(errand.remote, &contexts, &classes, work);
            let (status, counted) = Box::pin(called).await?;
            // The first refusal is the one that a person reads.
            let kept = if ended.0 == Status::SUCCESS { status } else { ended.0 };
            ended = (kept, ended.1.saturating_add(counted));
        }
        errand.judge(holding, sink, before, ended)?;
    }
    Ok(())
}

/// One request to its final status, with what the peer counted.
async fn one(
    errand: &Errand<'_>,
    client: &mut Client,
    class: &Uid,
    wanted: &Wanted<'_>,
    sink: &mut Sink<'_>,
) -> Result<(Status, u64), Stop> {
    let patience = errand.retrieval.sources.patience;
    let cancel = &errand.retrieval.cancel;
    let retrieving = client.get(class, &wanted.identifier()).await?;
    let mut last = Instant::now();
    loop {
        let step = tokio::select! {
            biased;
            () = cancel.cancelled() => Err(Error::Cancelled),
            () = tokio::time::sleep_until(last + patience.object) => {
                Err(SourceError::NoProgress { name: errand.name.to_owned() }.into())
            }
            told = client.told(&retrieving) => Ok(told?),
        };
        let told = match step {
            Ok(told) => told,
            Err(stop) => {
                client.cancel(&retrieving, patience.cancel).await;
                return Err(stop.into());
            }
        };
        match told {
            Told::Pending(_) => {}
            Told::Object(arriving) => {
                let taken = tokio::select! {
                    biased;
                    () = cancel.cancelled() => Err(Stop::Fault(Error::Cancelled)),
                    taken = take(errand, client, &arriving, wanted.holding, sink) => taken,
                };
                let status = match taken {
                    Ok(status) => status,
                    Err(stop) => {
                        // Said to a peer that still hears; the association may be over by now.
                        sink.abandon().await?;
                        client.cancel(&retrieving, patience.cancel).await;
                        return Err(stop);
                    }
                };
                client.respond_object(&arriving, status).await?;
                if status == Status::SUCCESS {
                    last = Instant::now();
                }
            }
            Told::Final { status, counts } => {
                let counted = [counts.completed, counts.failed, counts.warning];
                let counted = counted.into_iter().flatten().map(u64::from).sum();
                return Ok((status, counted));
            }
        }
    }
}

/// Takes one object; gives the status to answer.
async fn take(
    errand: &Errand<'_>,
    client: &mut Client,
    arriving: &Arriving,
    holding: &Holding,
    sink: &mut Sink<'_>,
) -> Result<Status, Stop> {
    if sink.count() >= MOST_INSTANCES {
        let (name, limit) = (errand.name.to_owned(), MOST_INSTANCES);
        return Err(SourceError::TooManyInstances { name, limit }.into());
    }
    sink.begin().await?;
    let (class, instance) = (&arriving.sop_class, &arriving.sop_instance);
    sink.write(front(class, instance, &arriving.transfer_syntax).into()).await?;
    while let Some(bytes) = client.object_chunk().await? {
        sink.write(bytes).await?;
    }
    let asked = Asked { study: &holding.study, instance: Some(instance) };
    Ok(match sink.keep(asked, Durable::Now).await? {
        Kept::Instance => Status::SUCCESS,
        Kept::Foreign => Status::NOT_AUTHORISED,
        Kept::Mislabelled => Status::DOES_NOT_MATCH_CLASS,
        Kept::Unreadable => Status::CANNOT_UNDERSTAND,
    })
}
