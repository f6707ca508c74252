"""mwl_scp.py PORT MANNER: a worklist SCP on pynetdicom that misbehaves.

utf8      proper, ISO_IR 192                      latin1    ISO_IR 100, declared
silent    Latin-1 bytes, no (0008,0005)           japanese  ISO 2022 IR 6\\ISO 2022 IR 87
endless   answers for ever, deaf to C-CANCEL      cap       50 of 60 answers, then success
fail      5 answers, then A700                    ignore    ignores every key
warn      FF01 for each match                     zone      adjusts times if it is negotiated
refuse    A900 at once                            empty     success without a match
"""
import sys

from pydicom.dataset import Dataset
from pynetdicom import AE, evt
from pynetdicom.pdu_primitives import SOPClassExtendedNegotiation
from pynetdicom.sop_class import ModalityWorklistInformationFind

MANNER = sys.argv[2]
SETS = {"latin1": "ISO_IR 100", "silent": "ISO_IR 100", "japanese": ["ISO 2022 IR 6", "ISO 2022 IR 87"]}
NAMES = {"japanese": "Yamada^Tarou=山田^太郎"}
asked_zone = []


def entry(number):
    ds = Dataset()
    ds.SpecificCharacterSet = SETS.get(MANNER, "ISO_IR 192")
    ds.AccessionNumber = f"A{number}"
    ds.PatientName = NAMES.get(MANNER, "Müßig^Jürgen")
    ds.PatientID = f"47{number}"
    ds.PatientBirthDate = "19561105"
    ds.PatientSex = "M"
    ds.RequestedProcedureID = f"RP{number}"
    ds.RequestedProcedureDescription = "Fremdaufnahmen"
    step = Dataset()
    step.Modality = "OT" if number % 2 else "CT"
    step.ScheduledStationAETitle = "IMPORT" if number % 2 else "CT1"
    step.ScheduledProcedureStepStartDate = "20240310"
    step.ScheduledProcedureStepID = f"S{number}"
    ds.ScheduledProcedureStepSequence = [step]
    if MANNER == "silent":
        # pydicom encodes by the declared set, so it is declared until the bytes are made.
        import io

        from pydicom import dcmread
        from pydicom.filewriter import dcmwrite

        ds.is_little_endian, ds.is_implicit_VR = True, False
        out = io.BytesIO()
        dcmwrite(out, ds, implicit_vr=False, little_endian=True, enforce_file_format=False)
        out.seek(0)
        ds = dcmread(out, force=True)
        del ds.SpecificCharacterSet
    return ds


def fits(ds, keys):
    step, wanted = ds.ScheduledProcedureStepSequence[0], keys.ScheduledProcedureStepSequence[0]

    def same(found, asked):
        return not asked or str(found) == str(asked)

    day, span = step.ScheduledProcedureStepStartDate, str(wanted.get("ScheduledProcedureStepStartDate") or "")
    low, _, high = span.partition("-")
    return (
        same(ds.AccessionNumber, keys.get("AccessionNumber"))
        and same(ds.PatientID, keys.get("PatientID"))
        and same(step.Modality, wanted.get("Modality"))
        and same(step.ScheduledStationAETitle, wanted.get("ScheduledStationAETitle"))
        and (not span or (low or "0") <= day <= (high or "9"))
    )


def find(event):
    keys = event.identifier
    if MANNER == "refuse":
        yield 0xA900, None
        return
    if MANNER == "zone" and "TimezoneOffsetFromUTC" not in keys:
        yield 0xA900, None
        return
    entries = [entry(number) for number in range(60)]
    entries = [ds for ds in entries if MANNER == "ignore" or fits(ds, keys)]
    if MANNER == "endless":
        while True:
            for ds in entries:
                yield 0xFF00, ds
    for count, ds in enumerate(entries):
        if MANNER == "empty" or (MANNER == "cap" and count == 50):
            return
        if MANNER == "fail" and count == 5:
            yield 0xA700, None
            return
        yield (0xFF01 if MANNER == "warn" else 0xFF00), ds


def extended(event):
    return event.app_info


ae = AE(ae_title="RIS")
ae.add_supported_context(ModalityWorklistInformationFind)
ae.start_server(
    ("127.0.0.1", int(sys.argv[1])), evt_handlers=[(evt.EVT_C_FIND, find), (evt.EVT_SOP_EXTENDED, extended)]
)
