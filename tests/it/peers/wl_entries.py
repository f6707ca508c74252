"""wl_entries.py TABLE FOLDER TODAY: the entries of tests/it/worklist_scp/entries.txt as .wl files."""
import datetime
import pathlib
import re
import sys

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid


def day(text, today):
    return re.sub(
        r"D([+-]\d+)",
        lambda m: (today + datetime.timedelta(days=int(m.group(1)))).strftime("%Y%m%d"),
        text,
    )


def put(ds, keyword, value):
    if value != "~":
        setattr(ds, keyword, value.split("\\") if "\\" in value else value)


def entry(line, today):
    (step_id, charset, name, patient_id, issuer, birth, sex, accession, station, date, time, modality, physician,
     description, procedure, study, weight, code) = line.split("|")
    ds = Dataset()
    put(ds, "SpecificCharacterSet", charset)
    put(ds, "AccessionNumber", accession)
    ds.ReferringPhysicianName = "Zuweiser^Zoe"
    put(ds, "PatientName", name)
    put(ds, "PatientID", patient_id)
    put(ds, "IssuerOfPatientID", issuer)
    put(ds, "PatientBirthDate", birth)
    put(ds, "PatientSex", sex)
    put(ds, "PatientWeight", weight or "~")
    put(ds, "StudyInstanceUID", study)
    ds.RequestedProcedureDescription = description
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = code, "99KIS", description
    ds.RequestedProcedureCodeSequence = [item]
    put(ds, "RequestedProcedureID", procedure)
    step = Dataset()
    step.Modality = modality
    put(step, "ScheduledStationAETitle", station)
    step.ScheduledProcedureStepStartDate = day(date, today)
    step.ScheduledProcedureStepStartTime = time
    step.ScheduledPerformingPhysicianName = physician
    step.ScheduledProcedureStepDescription = description
    step.ScheduledProcedureStepID = step_id
    ds.ScheduledProcedureStepSequence = [step]
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = "1.2.276.0.7230010.3.1.0.1"
    meta.MediaStorageSOPInstanceUID = generate_uid(entropy_srcs=["worklist", step_id])
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.file_meta = meta
    return step_id, ds


def main():
    table, folder = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
    today = datetime.datetime.strptime(sys.argv[3], "%Y%m%d").date()
    folder.mkdir(parents=True, exist_ok=True)
    for line in table.read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            step_id, ds = entry(line, today)
            ds.save_as(folder / f"{step_id}.wl", enforce_file_format=True)
    (folder / "lockfile").touch()


main()
