"""commitment_report.py PORT CALLING TRANSACTION INSTANCE: reports that INSTANCE is committed; says the answer's status.

Says `rejected` if the association or the class is refused.
"""
import sys

from pydicom.dataset import Dataset
from pynetdicom import AE, build_role
from pynetdicom.sop_class import (
    CTImageStorage,
    StorageCommitmentPushModel,
    StorageCommitmentPushModelInstance,
)

port, calling, transaction, instance = int(sys.argv[1]), *sys.argv[2:5]
ae = AE(ae_title=calling)
ae.add_requested_context(StorageCommitmentPushModel)
role = build_role(StorageCommitmentPushModel, scp_role=True)
association = ae.associate("127.0.0.1", port, ae_title="LOTSE", ext_neg=[role])
if not association.is_established:
    print("rejected")
    sys.exit()
item, data = Dataset(), Dataset()
item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = CTImageStorage, instance
data.TransactionUID, data.ReferencedSOPSequence = transaction, [item]
status, _ = association.send_n_event_report(data, 1, StorageCommitmentPushModel, StorageCommitmentPushModelInstance)
print(f"{status.Status:04X}" if "Status" in status else "none")
association.release()
