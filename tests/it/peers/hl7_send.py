"""hl7_send.py PORT [CERTIFICATE KEY CA]: sends what standard input holds, a JSON list of messages, with the package `hl7`, and prints
what the package `hl7apy` reads in the answers, a JSON list. With files it does so by mutual TLS."""
import json
import ssl
import sys

from hl7.client import MLLPClient
from hl7apy.consts import VALIDATION_LEVEL
from hl7apy.parser import parse_message


def read(answer):
    message = parse_message(
        answer.decode("utf-8").strip("\x0b\x1c\r").replace("\n", "\r"),
        validation_level=VALIDATION_LEVEL.TOLERANT,
        find_groups=False,
    )
    told = {
        "kind": message.msh.msh_9.to_er7(),
        "verdict": message.msa.msa_1.to_er7(),
        "answers": message.msa.msa_2.to_er7(),
        "sentence": message.msa.msa_3.to_er7(),
    }
    if message.err:
        told["place"] = message.err.err_2.to_er7() or message.err.err_1.to_er7()
    return told


def main():
    with MLLPClient("127.0.0.1", int(sys.argv[1])) as client:
        if sys.argv[2:]:
            certificate, key, ca = sys.argv[2:]
            tls = ssl.create_default_context(cafile=ca)
            tls.load_cert_chain(certificate, key)
            client.socket = tls.wrap_socket(client.socket, server_hostname="localhost")
        print(json.dumps([read(client.send_message(text)) for text in json.load(sys.stdin)]))


main()
