"""worklist.py FOLDER [ACCESSION MODALITY]...: .wl files of the invented patient and of strangers.

Without orders, the patient has his one CT order. Files are as wlmscpfs and folder sources read them.
"""
import datetime
import pathlib
import sys

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

import patients

STRANGERS = [("Beispiel^Anna", "4711001", "19800229", "F"), ("Muster^Hans", "4711002", "19440607", "M")]


def code(value, meaning):
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, "99KIS", meaning
    return item


def order(number, patient_name, patient_id, birth_date, sex, accession, modality):
    ds = Dataset()
    ds.SpecificCharacterSet = "ISO_IR 192"
    ds.AccessionNumber = accession
    ds.ReferringPhysicianName = "Überweis^Ute"
    ds.PatientName = patient_name
    ds.PatientID = patient_id
    ds.PatientBirthDate = birth_date
    ds.PatientSex = sex
    ds.StudyInstanceUID = generate_uid(entropy_srcs=["order", accession])
    ds.RequestingPhysician = "Station^Stefan"
    ds.RequestedProcedureDescription = "Fremdaufnahmen einlesen"
    ds.RequestedProcedureCodeSequence = [code("FREMD", "Fremdaufnahmen")]
    ds.RequestedProcedureID = f"RP{number}"
    ds.RequestedProcedurePriority = "ROUTINE"
    if accession == patients.SECOND_ORDER:
        reference = Dataset()
        reference.ReferencedSOPClassUID = "1.2.840.10008.3.1.2.3.1"
        reference.ReferencedSOPInstanceUID = ds.StudyInstanceUID
        ds.ReferencedStudySequence = [reference]
    step = Dataset()
    step.Modality = modality
    step.ScheduledStationAETitle = "IMPORT"
    step.ScheduledProcedureStepStartDate = datetime.date.today().strftime("%Y%m%d")
    step.ScheduledProcedureStepStartTime = "080000"
    step.ScheduledPerformingPhysicianName = "Anders^Ada"
    step.ScheduledProcedureStepDescription = "Einlesen"
    step.ScheduledProcedureStepID = f"SPS{number}"
    ds.ScheduledProcedureStepSequence = [step]
    meta = FileMetaDataset()
    # The UID that DCMTK's own worklist files use has no instances, so a private one names the file.
    meta.MediaStorageSOPClassUID = "1.2.276.0.7230010.3.1.0.1"
    meta.MediaStorageSOPInstanceUID = generate_uid(entropy_srcs=["file", accession])
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.file_meta = meta
    return ds


def main():
    folder = pathlib.Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    local = patients.LOCAL
    orders = list(zip(sys.argv[2::2], sys.argv[3::2])) or [(local["AccessionNumber"], "CT")]
    ours = (local["PatientName"], local["PatientID"], local["PatientBirthDate"], local["PatientSex"])
    entries = [(*ours, *one) for one in orders]
    entries += [(*one, f"A2026-9{number}", "CT") for number, one in enumerate(STRANGERS)]
    for number, entry in enumerate(entries, 1):
        order(number, *entry).save_as(folder / f"order{number}.wl", enforce_file_format=True)
    (folder / "lockfile").touch()


main()
