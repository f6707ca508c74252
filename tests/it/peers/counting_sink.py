"""A storage SCP that says every C-STORE request it got, one line each: `stored UID`.

Usage: counting_sink.py PACE. The file PACE holds the seconds that an answer takes; it is read for every
request. The first line is `listening PORT`.
"""

import sys
import threading
import time

from pynetdicom import AE, AllStoragePresentationContexts, evt
from pynetdicom.sop_class import Verification

say_one = threading.Lock()


def say(line):
    with say_one:
        sys.stdout.write(line + "\n")
        sys.stdout.flush()


def pace():
    try:
        with open(sys.argv[1]) as file:
            return float(file.read().strip() or 0)
    except OSError:
        return 0.0


def on_store(event):
    say(f"stored {event.request.AffectedSOPInstanceUID}")
    time.sleep(pace())
    return 0x0000


ae = AE(ae_title="PACS")
ae.maximum_associations = 32
ae.maximum_pdu_size = 131072
for context in AllStoragePresentationContexts:
    ae.add_supported_context(context.abstract_syntax)
ae.add_supported_context(Verification)
server = ae.start_server(("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_C_STORE, on_store)])
say(f"listening {server.socket.getsockname()[1]}")
threading.Event().wait()
