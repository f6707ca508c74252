"""hold.py PORT CALLED [CALLING CERTIFICATE KEY CA]: keeps one association open; says `held`.

On SIGUSR1 it asks one C-ECHO on it, and says the status.
"""
import signal
import ssl
import sys
import threading

from pynetdicom import AE
from pynetdicom.sop_class import Verification

port, called, *more = sys.argv[1:]
tls = None
if more:
    calling, certificate, key, ca = more
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    tls.load_cert_chain(certificate, key)
    tls.load_verify_locations(ca)
ae = AE(ae_title=more[0] if more else "HOLDER")
ae.add_requested_context(Verification)
ae.network_timeout = None
association = ae.associate(
    "127.0.0.1", int(port), ae_title=called, tls_args=(tls, "localhost") if tls else None
)
asked = threading.Event()
signal.signal(signal.SIGUSR1, lambda *_: asked.set())
print("held" if association.is_established else "refused", flush=True)
while True:
    if asked.wait(0.2):
        asked.clear()
        answer = association.send_c_echo()
        print(f"{answer.Status:04X}" if answer else "no answer", flush=True)
