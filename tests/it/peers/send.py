"""send.py PORT CALLING CALLED [FILE]...: sends files by C-STORE in one association; without files C-ECHO.

Prints one line an answer. Exit 0 if every answer is a success, 1 if one is not, 2 if the association is refused,
3 if it is aborted.
"""
import sys

import pydicom
from pynetdicom import AE
from pynetdicom.sop_class import Verification

from turned_away import Rejection


def main():
    port, calling, called, *files = sys.argv[1:]
    ae = AE(ae_title=calling)
    data_sets = [pydicom.dcmread(path) for path in files]
    contexts = {(ds.SOPClassUID, ds.file_meta.TransferSyntaxUID) for ds in data_sets}
    for sop_class, syntax in sorted(contexts):
        ae.add_requested_context(sop_class, syntax)
    ae.add_requested_context(Verification)
    rejection = Rejection()
    association = ae.associate("127.0.0.1", int(port), ae_title=called, evt_handlers=rejection.handlers)
    if rejection:
        print(rejection)
        print(rejection.primitive.reason_str)
        return 2
    if not association.is_established:
        print("aborted")
        return 3
    answers = [association.send_c_store(ds) for ds in data_sets] or [association.send_c_echo()]
    for answer in answers:
        print(f"{answer.Status:04X}" if answer else "no answer")
    association.release()
    return 0 if all(answer and answer.Status == 0 for answer in answers) else 1


sys.exit(main())
