"""commitment_scp.py PORT FOLDER: an archive that stores and commits, or does not.

It is steered by files in FOLDER. `mode` holds one word:

all            commits everything, on the association of the request
later          the same, on an association of its own
partly         has lost every second instance (0112), and forgets them, until it is asked again
silent         takes the request and never reports
refuse         refuses the request (0110)
hold           reports nothing until there is a file `report`, then on an association of its own
none           offers no commitment (only from the start)

`gateway` holds the port of LOTSE. Says what happens, a line each: `stored UID`, `asked TRANSACTION NUMBER`,
`reported TRANSACTION STATUS`, `find`.
"""
import pathlib
import sys
import threading
import time

from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom import AE, AllStoragePresentationContexts, build_role, evt
from pynetdicom.sop_class import (
    StorageCommitmentPushModel,
    StorageCommitmentPushModelInstance,
    StudyRootQueryRetrieveInformationModelFind,
    Verification,
)

port, folder = int(sys.argv[1]), pathlib.Path(sys.argv[2])
lock, speaking, kept, held, lost_once = threading.Lock(), threading.Lock(), {}, [], set()


def mode():
    return (folder / "mode").read_text().strip()


def say(*words):
    # At once whole: there is a thread for each association.
    with speaking:
        sys.stdout.write(" ".join(str(word) for word in words) + "\n")
        sys.stdout.flush()


def store(event):
    request, data = event.request, event.dataset
    with lock:
        kept[str(request.AffectedSOPInstanceUID)] = (str(data.StudyInstanceUID), str(data.SeriesInstanceUID))
    say("stored", request.AffectedSOPInstanceUID)
    return 0x0000


def report_on(wanted):
    """The event type and the data set of a report."""
    done, failed = [], []
    for number, item in enumerate(wanted.ReferencedSOPSequence):
        uid = str(item.ReferencedSOPInstanceUID)
        entry = Dataset()
        entry.ReferencedSOPClassUID = item.ReferencedSOPClassUID
        entry.ReferencedSOPInstanceUID = item.ReferencedSOPInstanceUID
        with lock:
            if mode() == "partly" and number % 2 == 1 and uid not in lost_once:
                lost_once.add(uid)
                kept.pop(uid, None)
            there = uid in kept
        if there:
            done.append(entry)
        else:
            entry.FailureReason = 0x0112
            failed.append(entry)
    data = Dataset()
    data.TransactionUID = wanted.TransactionUID
    if done:
        data.ReferencedSOPSequence = done
    if failed:
        data.FailedSOPSequence = failed
    return (2 if failed else 1), data


def send(association, wanted):
    kind, data = report_on(wanted)
    status, _ = association.send_n_event_report(
        data, kind, StorageCommitmentPushModel, StorageCommitmentPushModelInstance
    )
    say("reported", wanted.TransactionUID, f"{status.Status:04X}" if "Status" in status else "none")


def call(wanted):
    ae = AE(ae_title="PACS")
    ae.add_requested_context(StorageCommitmentPushModel)
    role = build_role(StorageCommitmentPushModel, scp_role=True)
    for _ in range(300):
        try:
            association = ae.associate(
                "127.0.0.1", int((folder / "gateway").read_text()), ae_title="LOTSE", ext_neg=[role]
            )
        except (OSError, ValueError):
            association = None
        if association is not None and association.is_established:
            send(association, wanted)
            association.release()
            return
        time.sleep(0.2)
    say("unreported", wanted.TransactionUID)


def action(event):
    wanted = event.action_information
    say("asked", wanted.TransactionUID, len(wanted.ReferencedSOPSequence))
    if mode() == "refuse":
        return 0x0110, None
    if mode() in ("all", "partly"):
        # After the answer, on the association of the request.
        threading.Timer(0.3, send, (event.assoc, wanted)).start()
    elif mode() == "later":
        threading.Thread(target=call, args=(wanted,)).start()
    elif mode() == "hold":
        held.append(wanted)
    return 0x0000, None


def find(event):
    asked = event.identifier
    say("find")
    with lock:
        found = [uid for uid, (study, series) in kept.items()
                 if study == asked.StudyInstanceUID and series == asked.get("SeriesInstanceUID", series)]
    if asked.QueryRetrieveLevel != "IMAGE":
        return
    for uid in found:
        match = Dataset()
        match.QueryRetrieveLevel = "IMAGE"
        match.StudyInstanceUID = asked.StudyInstanceUID
        match.SeriesInstanceUID = asked.SeriesInstanceUID
        match.SOPInstanceUID = uid
        yield 0xFF00, match


ae = AE(ae_title="PACS")
ae.supported_contexts = AllStoragePresentationContexts
ae.add_supported_context(Verification)
ae.add_supported_context(StudyRootQueryRetrieveInformationModelFind)
if mode() != "none":
    ae.add_supported_context(StorageCommitmentPushModel, [ExplicitVRLittleEndian, ImplicitVRLittleEndian])
handlers = [(evt.EVT_C_STORE, store), (evt.EVT_N_ACTION, action), (evt.EVT_C_FIND, find)]
ae.start_server(("127.0.0.1", port), block=False, evt_handlers=handlers)
while True:
    time.sleep(0.1)
    if (folder / "report").exists():
        (folder / "report").unlink()
        for wanted in held:
            threading.Thread(target=call, args=(wanted,)).start()
        held.clear()
