"""wl_serve.py PORT FOLDER: pynetdicom as worklist server that ignores every key: all .wl files, as they are."""
import pathlib
import sys

from pydicom import dcmread
from pynetdicom import AE, evt


def main():
    port, folder = int(sys.argv[1]), pathlib.Path(sys.argv[2])
    entries = [dcmread(path) for path in sorted(folder.glob("*.wl"))]

    def find(event):
        for entry in entries:
            if event.is_cancelled:
                yield 0xFE00, None
                return
            yield 0xFF00, entry

    ae = AE(ae_title="RIS")
    ae.add_supported_context("1.2.840.10008.5.1.4.31")
    ae.add_supported_context("1.2.840.10008.1.1")
    ae.start_server(("127.0.0.1", port), block=True, evt_handlers=[(evt.EVT_C_FIND, find)])


main()
