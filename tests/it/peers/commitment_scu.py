"""commitment_scu.py GATEWAY-PORT LISTEN-PORT WAIT TRANSACTION INSTANCE...: a modality that asks the gateway to commit.

Waits WAIT seconds for a report on the association of the request, then releases it and listens on LISTEN-PORT for
reports until it is ended. Says `asked STATUS`, and of each report
`report same|new TYPE COMMITTED FAILED REASONS`.
"""
import sys
import threading
import time

from pydicom.dataset import Dataset
from pynetdicom import AE, build_role, evt
from pynetdicom.sop_class import (
    CTImageStorage,
    StorageCommitmentPushModel,
    StorageCommitmentPushModelInstance,
    Verification,
)


def say(line):
    # In one piece: the report comes in a thread of its own.
    sys.stdout.write(line + "\n")
    sys.stdout.flush()

gateway, listen, wait, transaction = int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]), sys.argv[4]
heard = threading.Event()


def handler(where):
    def report(event):
        data = event.event_information
        done = data.get("ReferencedSOPSequence", [])
        failed = data.get("FailedSOPSequence", [])
        reasons = ",".join(sorted({f"{item.FailureReason:04X}" for item in failed})) or "-"
        right = "" if data.TransactionUID == transaction else " of-another-transaction"
        say(f"report {where} {event.event_type} {len(done)} {len(failed)} {reasons}{right}")
        heard.set()
        return 0x0000, None

    return [(evt.EVT_N_EVENT_REPORT, report)]


server = AE(ae_title="CT1")
server.add_supported_context(Verification)
server.add_supported_context(StorageCommitmentPushModel, scu_role=True, scp_role=True)
server.start_server(("127.0.0.1", listen), block=False, evt_handlers=handler("new"))

wanted = Dataset()
wanted.TransactionUID = transaction
wanted.ReferencedSOPSequence = []
for uid in sys.argv[5:]:
    item = Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = CTImageStorage, uid
    wanted.ReferencedSOPSequence.append(item)

ae = AE(ae_title="CT1")
ae.add_requested_context(StorageCommitmentPushModel)
association = ae.associate("127.0.0.1", gateway, ae_title="LOTSE", evt_handlers=handler("same"))
if not association.is_established:
    say("asked rejected")
    sys.exit()
status, _ = association.send_n_action(
    wanted, 1, StorageCommitmentPushModel, StorageCommitmentPushModelInstance
)
say(f"asked {status.Status:04X}" if "Status" in status else "asked none")
heard.wait(wait)
# The answer to a report leaves before the release.
time.sleep(0.3)
association.release()
while True:
    time.sleep(1)
