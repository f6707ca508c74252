"""compare.py ORIGINALS RECEIVED [--accession NUMBER] [--pdf N] [--no-validation] [--any-syntax] [--any-padding]

Holds what a PACS got against what was given: every instance is there once, filed under the local patient and
order, the foreign values in Original Attributes, UIDs and pixel data untouched, and nothing else changed.
dciodvfy may complain of nothing that it did not complain of before. Prints every difference; exit 1 if any.
"""
import argparse
import collections
import concurrent.futures
import pathlib
import subprocess
import sys
import tempfile

import pydicom
from pydicom.uid import ExplicitVRBigEndian

import patients

# The coercion table: what may differ from the original at the top level.
MAY_CHANGE = {
    "SpecificCharacterSet", "AccessionNumber", "IssuerOfAccessionNumberSequence", "ReferringPhysicianName",
    "PatientName", "PatientID", "IssuerOfPatientID", "IssuerOfPatientIDQualifiersSequence",
    "PatientBirthDate", "PatientSex", "OtherPatientIDsSequence", "StudyID",
    "RequestingPhysician", "RequestingService", "RequestedProcedureDescription",
    "RequestedProcedureCodeSequence", "RequestAttributesSequence", "AdmissionID",
    "OriginalAttributesSequence", "ContributingEquipmentSequence", "InstanceOriginStatus", "InstanceCoercionDateTime",
    "ReferencedStudySequence", "ReferencedPatientSequence", "OrderPlacerIdentifierSequence",
    "OrderFillerIdentifierSequence", "PlacerOrderNumberImagingServiceRequest",
    "FillerOrderNumberImagingServiceRequest", "ReasonForTheRequestedProcedure", "TimezoneOffsetFromUTC",
    "ReasonForRequestedProcedureCodeSequence", "RequestedProcedureID", "RequestedProcedurePriority",
    "IssuerOfAdmissionIDSequence", "OtherPatientIDs", "OtherPatientNames", "EthnicGroup",
}
PDF = "1.2.840.10008.5.1.4.1.1.104.1"

complaints = []
may_go = set()


def complain(uid, text):
    complaints.append(f"{uid}: {text}")


def read(folder):
    found = {}
    for path in sorted(pathlib.Path(folder).rglob("*")):
        if not path.is_file() or path.name in ("DICOMDIR", "lockfile"):
            continue
        ds = pydicom.dcmread(path)
        if ds.SOPInstanceUID in found:
            complain(ds.SOPInstanceUID, "is there twice")
        found[ds.SOPInstanceUID] = (path, ds)
    return found


def errors(path):
    with tempfile.NamedTemporaryFile() as inflated:
        # dciodvfy reads no deflated data sets.
        if pydicom.dcmread(path, stop_before_pixels=True).file_meta.TransferSyntaxUID.is_deflated:
            subprocess.run(["dcmconv", "+te", str(path), inflated.name], check=True)
            path = inflated.name
        said = subprocess.run(["dciodvfy", str(path)], capture_output=True).stderr.decode("latin-1")
    return collections.Counter(line for line in said.splitlines() if line.startswith("Error"))


def filed(uid, ds, accession):
    """Under the local patient and order."""
    expected = dict(patients.LOCAL, AccessionNumber=accession)
    for keyword, value in expected.items():
        if str(ds.get(keyword, "")) != value:
            complain(uid, f"{keyword} is not the local value")


def originals(uid, before, after):
    """(0400,0561) holds every identifying value as it was."""
    kept = {}
    for item in after.get("OriginalAttributesSequence", []):
        for keyword in ("AttributeModificationDateTime", "ModifyingSystem", "ReasonForTheAttributeModification"):
            if not item.get(keyword):
                complain(uid, f"Original Attributes without {keyword}")
        for inner in item.ModifiedAttributesSequence:
            for element in inner:
                kept.setdefault(element.keyword, element)
    for keyword in patients.FOREIGN:
        old, new = before.get(keyword, ""), after.get(keyword, "")
        if keyword not in kept:
            if old != new:
                complain(uid, f"the original {keyword} is not kept")
        elif str(kept[keyword].value or "") != str(old or ""):
            complain(uid, f"the kept {keyword} is not the original")
    if "PatientID" not in kept:
        complain(uid, "the original PatientID is not kept")


def pixels(ds):
    """Pixel Data as it is in little endian; OW swaps within words of 16 bits, however wide a pixel is
    (PS3.5 6.2), as DCMTK does it too."""
    value = ds.get("PixelData")
    if ds.file_meta.TransferSyntaxUID == ExplicitVRBigEndian and ds["PixelData"].VR == "OW":
        swapped = bytearray(value)
        swapped[0::2], swapped[1::2] = value[1::2], value[0::2]
        return bytes(swapped)
    return value


def same(uid, before, after):
    for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "SOPClassUID"):
        if before.get(keyword) != after.get(keyword):
            complain(uid, f"{keyword} has changed")
    if pixels(before) != pixels(after):
        complain(uid, "the pixel data has changed")
    tags = {e.tag for e in before} | {e.tag for e in after}
    for tag in sorted(tags):
        keyword = pydicom.datadict.keyword_for_tag(tag)
        if keyword in may_go or keyword in MAY_CHANGE or keyword == "PixelData" or tag.element == 0:
            continue
        old, new = before.get(tag), after.get(tag)
        if old is None or new is None or old.value != new.value:
            gone = "has come" if old is None else "is gone" if new is None else "has changed"
            complain(uid, f"{tag} {keyword} {gone}")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("originals")
    parser.add_argument("received")
    parser.add_argument("--accession", default=patients.LOCAL["AccessionNumber"])
    parser.add_argument("--pdf", type=int, default=0)
    parser.add_argument("--no-validation", action="store_true")
    parser.add_argument("--any-syntax", action="store_true")
    # DCMTK, and with it Orthanc, leaves it out when it sends.
    parser.add_argument("--any-padding", action="store_true")
    arguments = parser.parse_args()
    if arguments.any_padding:
        may_go.add("DataSetTrailingPadding")
    before, after = read(arguments.originals), read(arguments.received)
    created = [uid for uid in after if uid not in before]
    for uid in before:
        if uid not in after:
            complain(uid, "did not arrive")
    if len(created) != arguments.pdf:
        complain("created", f"{len(created)} objects, not {arguments.pdf}")
    for uid, (_, ds) in after.items():
        filed(uid, ds, arguments.accession)
        if uid not in before:
            if ds.SOPClassUID != PDF:
                complain(uid, "is neither received nor an encapsulated PDF")
            elif ds.EncapsulatedDocument[:5] != b"%PDF-":
                complain(uid, "encapsulates no PDF")
            continue
        original = before[uid][1]
        originals(uid, original, ds)
        same(uid, original, ds)
        was, now = original.file_meta.TransferSyntaxUID, ds.file_meta.TransferSyntaxUID
        if was != now and not arguments.any_syntax:
            complain(uid, f"the transfer syntax has changed from {was.name} to {now.name}")
    if not arguments.no_validation:
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            uids = list(after)
            new = pool.map(errors, [after[uid][0] for uid in uids])
            was = pool.map(errors, [before[uid][0] for uid in uids if uid in before])
            was = dict(zip([uid for uid in uids if uid in before], was))
            for uid, now in zip(uids, new):
                for line in now - was.get(uid, collections.Counter()):
                    complain(uid, f"dciodvfy: {line}")
    print(len(before), "given,", len(after), "received,", len(complaints), "complaints")
    # One of a kind is enough to read.
    kinds = collections.OrderedDict()
    for complaint in complaints:
        kinds.setdefault(complaint.split(": ", 1)[1], []).append(complaint)
    for kind, all_of in list(kinds.items())[:40]:
        print(f"{len(all_of)} x {kind} (first: {all_of[0].split(':')[0]})")
    sys.exit(1 if complaints else 0)


main()
