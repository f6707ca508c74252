"""pdq_server.py PORT [CERTIFICATE KEY CA]: a patient index on the package `hl7apy`: answers QBP^Q22 by ID, or by family
name and birth date, with RSP^K22. With files it does so by mutual TLS."""
import ssl
import sys

from hl7apy.consts import VALIDATION_LEVEL
from hl7apy.mllp import AbstractHandler, MLLPServer
from hl7apy.parser import parse_message

PEOPLE = [
    ("4711", "KLINIKUM", "Müller", "Änne", "19700305", "F"),
    ("4712", "KLINIKUM", "Müller", "Anna", "19810101", "F"),
]


class Query(AbstractHandler):
    def reply(self):
        # As it came: nothing of the question has to be what this package's tables say.
        rows = [row.split("|") for row in self.incoming_message.strip("\x0b\x1c\r").split("\r")]
        by_name = {row[0]: row for row in rows}
        # The package reads it too, or it is no HL7.
        parsed = parse_message(
            self.incoming_message.strip("\x0b\x1c\r"), validation_level=VALIDATION_LEVEL.TOLERANT, find_groups=False
        )
        assert parsed.msh.msh_9.to_er7().startswith("QBP^Q22"), parsed.msh.to_er7()
        keys = dict(part.split("^", 1) for part in by_name["QPD"][3].split("~"))

        def fits(one):
            told = {"@PID.3.1": one[0], "@PID.3.4.1": one[1], "@PID.5.1": one[2], "@PID.5.2": one[3], "@PID.7": one[4]}
            return all(told.get(key, value) == value for key, value in keys.items())

        found = [one for one in PEOPLE if fits(one)]
        tag = by_name["QPD"][2]
        lines = [
            "MSH|^~\\&|MPI||LOTSE||20260301||RSP^K22^RSP_K21|M1|P|2.5||||||UNICODE UTF-8",
            f"MSA|AA|{by_name['MSH'][9]}",
            f"QAK|{tag}|{'OK' if found else 'NF'}",
            "|".join(by_name["QPD"]),
        ]
        lines += [f"PID|1||{one[0]}^^^{one[1]}||{one[2]}^{one[3]}^^^^^L||{one[4]}|{one[5]}" for one in found]
        return "\x0b" + "\r".join(lines) + "\r\x1c\r"


server = MLLPServer("127.0.0.1", int(sys.argv[1]), {"QBP^Q22^QBP_Q21": (Query,)})
if sys.argv[2:]:
    certificate, key, ca = sys.argv[2:]
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=ca)
    tls.load_cert_chain(certificate, key)
    tls.verify_mode = ssl.CERT_REQUIRED
    server.socket = tls.wrap_socket(server.socket, server_side=True)
server.serve_forever()
