"""secure.py scp|scu [options]: pynetdicom over TLS, with user identity, AE titles that are checked, and a limit.

scp: says `listening PORT`, then one line a request: `echoed`, `stored UID`.
scu: C-ECHO, or C-STORE of FILEs, to --port; says one line an answer. Exit 0 if all are a success, 2 if the association
is refused (`rejected: ...`), 3 if it is aborted or never came about.
"""
import argparse
import ssl
import sys
import threading

import pydicom
from pynetdicom import AE, AllStoragePresentationContexts, evt
from pynetdicom.pdu_primitives import UserIdentityNegotiation
from pynetdicom.sop_class import Verification

from turned_away import Rejection

options = argparse.ArgumentParser()
options.add_argument("role", choices=["scp", "scu"])
options.add_argument("--port", type=int, default=0)
options.add_argument("--ae", default="PACS")
options.add_argument("--tls", nargs=2, metavar=("CERTIFICATE", "KEY"))
options.add_argument("--ca")
options.add_argument("--called", default="LOTSE")
options.add_argument("--check-called", action="store_true")
options.add_argument("--calling", action="append")
options.add_argument("--limit", type=int, default=20)
options.add_argument("--no-echo", action="store_true")
options.add_argument("--user")
options.add_argument("--password")
options.add_argument("--token")
options.add_argument("files", nargs="*")
given = options.parse_args()

say_one = threading.Lock()


def say(line):
    with say_one:
        print(line, flush=True)


def context():
    if not given.tls and not given.ca:
        return None
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER if given.role == "scp" else ssl.PROTOCOL_TLS_CLIENT)
    if given.tls:
        made.load_cert_chain(*given.tls)
    if given.ca:
        made.load_verify_locations(given.ca)
        made.verify_mode = ssl.CERT_REQUIRED
    return made


def on_user(event):
    if event.user_id_type == 5:
        return event.primary_field.decode() == given.token, None
    known = event.primary_field.decode() == given.user
    if given.password is not None:
        known = known and event.secondary_field.decode() == given.password
    return known, None


def on_echo(event):
    say("echoed")
    return 0x0000


def on_store(event):
    say(f"stored {event.request.AffectedSOPInstanceUID}")
    return 0x0000


def scp():
    ae = AE(ae_title=given.ae)
    ae.maximum_associations = given.limit
    ae.require_called_aet = given.check_called
    ae.require_calling_aet = given.calling or []
    for one in AllStoragePresentationContexts:
        ae.add_supported_context(one.abstract_syntax)
    if not given.no_echo:
        ae.add_supported_context(Verification)
    handlers = [(evt.EVT_C_ECHO, on_echo), (evt.EVT_C_STORE, on_store)]
    if given.user or given.token:
        handlers.append((evt.EVT_USER_ID, on_user))
    server = ae.start_server(("127.0.0.1", given.port), block=False, evt_handlers=handlers, ssl_context=context())
    say(f"listening {server.socket.getsockname()[1]}")
    threading.Event().wait()


def identity():
    if given.token is None and given.user is None:
        return []
    item = UserIdentityNegotiation()
    item.positive_response_requested = True
    if given.token is not None:
        item.user_identity_type, item.primary_field = 5, given.token.encode()
    elif given.password is not None:
        item.user_identity_type, item.primary_field = 2, given.user.encode()
        item.secondary_field = given.password.encode()
    else:
        item.user_identity_type, item.primary_field = 1, given.user.encode()
    return [item]


def scu():
    ae = AE(ae_title=given.ae)
    data_sets = [pydicom.dcmread(path) for path in given.files]
    for sop_class, syntax in sorted({(ds.SOPClassUID, ds.file_meta.TransferSyntaxUID) for ds in data_sets}):
        ae.add_requested_context(sop_class, syntax)
    ae.add_requested_context(Verification)
    tls, rejection = context(), Rejection()
    association = ae.associate(
        "127.0.0.1", given.port, ae_title=given.called, ext_neg=identity(),
        tls_args=(tls, "localhost") if tls else None, evt_handlers=rejection.handlers,
    )
    if rejection:
        say(str(rejection))
        return 2
    if not association.is_established:
        say("not established")
        return 3
    answers = [association.send_c_store(ds) for ds in data_sets] or [association.send_c_echo()]
    for answer in answers:
        say(f"{answer.Status:04X}" if answer else "no answer")
    if association.acceptor.user_identity is not None:
        say("identity answered")
    association.release()
    return 0 if all(answer and answer.Status == 0 for answer in answers) else 1


sys.exit(scp() if given.role == "scp" else scu())
