"""qr_ask.py PORT FOLDER: asks LOTSE as ASKER for everything that is held, level by level, and fetches it by C-GET.

Prints one JSON object: what was found at each level, the statuses, and how many objects came.
"""
import json
import pathlib
import sys

from pydicom.dataset import Dataset
from pynetdicom import AE, evt, build_role
from pynetdicom.sop_class import (
    PatientRootQueryRetrieveInformationModelFind as PatientFind,
    StudyRootQueryRetrieveInformationModelFind as Find,
    StudyRootQueryRetrieveInformationModelGet as Get,
)

port, folder = int(sys.argv[1]), pathlib.Path(sys.argv[2])
folder.mkdir(parents=True, exist_ok=True)
ae = AE("ASKER")
ae.add_requested_context(Find)
ae.add_requested_context(PatientFind)
assoc = ae.associate("127.0.0.1", port, ae_title="LOTSE")
assert assoc.is_established


def ask(level, model=Find, **keys):
    query = Dataset()
    query.QueryRetrieveLevel = level
    for keyword, value in keys.items():
        setattr(query, keyword, value)
    found, status = [], None
    for status, answer in assoc.send_c_find(query, model):
        if answer is not None:
            found.append(answer)
    return found, status.Status


told = {}
patients, told["patientStatus"] = ask("PATIENT", PatientFind, PatientID="", PatientName="")
told["patients"] = [str(p.PatientID) for p in patients]
studies, told["studyStatus"] = ask(
    "STUDY", StudyInstanceUID="", PatientID="", PatientName="", AccessionNumber="", ModalitiesInStudy="",
    NumberOfStudyRelatedInstances="", NumberOfStudyRelatedSeries="")
told["studies"] = [
    {"uid": s.StudyInstanceUID, "patient": str(s.PatientID), "accession": str(s.AccessionNumber),
     "instances": int(s.NumberOfStudyRelatedInstances), "series": int(s.NumberOfStudyRelatedSeries)}
    for s in studies]
none, told["foreignStatus"] = ask("STUDY", StudyInstanceUID="", PatientID="X77-123")
told["foreign"] = len(none)
series_of, images, classes = {}, 0, set()
for study in studies:
    series, status = ask("SERIES", StudyInstanceUID=study.StudyInstanceUID, SeriesInstanceUID="", Modality="",
                         NumberOfSeriesRelatedInstances="")
    series_of[study.StudyInstanceUID] = len(series)
    for one in series:
        found, status = ask("IMAGE", StudyInstanceUID=study.StudyInstanceUID,
                            SeriesInstanceUID=one.SeriesInstanceUID, SOPInstanceUID="", SOPClassUID="")
        assert len(found) == int(one.NumberOfSeriesRelatedInstances), (len(found), one)
        images += len(found)
        classes |= {f.SOPClassUID for f in found}
told["seriesOf"], told["images"] = series_of, images
_, told["withoutStudy"] = ask("SERIES", SeriesInstanceUID="")
_, told["wrongLevel"] = ask("FRAME", StudyInstanceUID="")
assoc.release()

got = []


def store(event):
    ds = event.dataset
    ds.file_meta = event.file_meta
    ds.save_as(folder / f"{len(got):04}.dcm", enforce_file_format=True)
    got.append(ds.SOPInstanceUID)
    return 0


ae = AE("ASKER")
ae.add_requested_context(Get)
roles = []
syntaxes = ["1.2.840.10008.1.2.1", "1.2.840.10008.1.2"]
for uid in classes:
    for syntax in syntaxes:
        ae.add_requested_context(uid, syntax)
    roles.append(build_role(uid, scp_role=True))
assoc = ae.associate("127.0.0.1", port, ae_title="LOTSE", ext_neg=roles, evt_handlers=[(evt.EVT_C_STORE, store)])
assert assoc.is_established
statuses = []
for study in studies:
    query = Dataset()
    query.QueryRetrieveLevel = "STUDY"
    query.StudyInstanceUID = study.StudyInstanceUID
    for status, _ in assoc.send_c_get(query, Get):
        last = status.Status
    statuses.append(last)
query = Dataset()
query.QueryRetrieveLevel = "STUDY"
for status, _ in assoc.send_c_get(query, Get):
    told["getWithoutStudy"] = status.Status
assoc.release()
told["getStatuses"], told["got"] = statuses, len(got)
print(json.dumps(told))
