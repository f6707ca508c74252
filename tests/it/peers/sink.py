"""sink.py PORT FOLDER STATUS TIMES: a storage SCP that answers STATUS (hexadecimal) so many times, then 0000.

Keeps what it answered with success in FOLDER and says each answer: `STATUS SOP-INSTANCE-UID`.
"""
import pathlib
import sys
import threading

from pynetdicom import AE, AllStoragePresentationContexts, evt
from pynetdicom.sop_class import Verification

port, folder, status, times = int(sys.argv[1]), pathlib.Path(sys.argv[2]), int(sys.argv[3], 16), int(sys.argv[4])
lock, left = threading.Lock(), times


def store(event):
    global left
    with lock:
        answer = status if left > 0 else 0x0000
        left -= 1
    if answer == 0x0000:
        (folder / event.request.AffectedSOPInstanceUID).write_bytes(event.encoded_dataset())
    print(f"{answer:04X} {event.request.AffectedSOPInstanceUID}", flush=True)
    return answer


folder.mkdir(parents=True, exist_ok=True)
ae = AE(ae_title="PACS")
ae.supported_contexts = AllStoragePresentationContexts
ae.add_supported_context(Verification)
ae.start_server(("127.0.0.1", port), evt_handlers=[(evt.EVT_C_STORE, store)])
