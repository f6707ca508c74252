"""turned_away.py: why we were turned away, read from the A-ASSOCIATE-RJ itself.

`Association.is_rejected` does not always tell: in pynetdicom 3.0.4 the thread that asks for an association waits for the
connection and then looks whether it stands (`ACSE._negotiate_as_requestor`, `socket._is_connected`). By then the thread
that reads may have taken the rejection and closed (`AE_4`), as it should; the first takes that for a connection that
never came about, and calls itself aborted. Whoever answered has no part in it: it happens too if the acceptor leaves
the connection open.
"""
from pynetdicom import evt
from pynetdicom.pdu import A_ASSOCIATE_RJ


class Rejection:
    """The rejection of one association, once it came; `handlers` go to `associate`."""

    def __init__(self):
        self.primitive = None
        self.handlers = [(evt.EVT_PDU_RECV, self._received)]

    def _received(self, event):
        if isinstance(event.pdu, A_ASSOCIATE_RJ):
            self.primitive = event.pdu.to_primitive()

    def __bool__(self):
        return self.primitive is not None

    def __str__(self):
        answer = self.primitive
        return f"rejected: result {answer.result} source {answer.result_source} reason {answer.diagnostic}"
