"""Who takes C-STORE in the bench, each as its own documentation starts it."""

import json
import sys
import urllib.request

from stand import PEER, TARGET, Gateway, Process, free_port

# Installed by `tests/bench --with-dicom-rs`.
DICOM_RS = TARGET / "test-env/dicom-rs/bin/dicom-storescp"


class Receiver:
    """A receiver that has started: where it listens, and how many objects it has."""

    def __init__(self, process, port, count):
        self.process, self.port, self.count = process, port, count


def files_in(folder):
    return lambda: sum(1 for path in folder.rglob("*") if path.is_file())


def storescp(folder, *options):
    port, out = free_port(), folder / "out"
    out.mkdir()
    process = Process(["storescp", "--aetitle", "LOTSE", *options, "-od", out, port], folder / "log", port)
    return Receiver(process, port, files_in(out))


def orthanc(folder, pacs_port=1):
    port, web = free_port(), free_port()
    settings = {
        "Name": "bench", "StorageDirectory": str(folder / "db"), "IndexDirectory": str(folder / "db"),
        "HttpPort": web, "DicomPort": port, "DicomAet": "LOTSE", "RemoteAccessAllowed": False,
        "AuthenticationEnabled": False, "DicomCheckCalledAet": False, "DicomAlwaysAllowStore": True,
        "Plugins": [], "SaveJobs": False, "DicomModalities": {"pacs": ["PACS", "127.0.0.1", pacs_port]},
    }
    (folder / "db").mkdir()
    (folder / "orthanc.json").write_text(json.dumps(settings))
    process = Process(["/usr/sbin/Orthanc", folder / "orthanc.json"], folder / "log", port, 60)
    process.wait_for(web, 60)

    def count():
        with urllib.request.urlopen(f"http://127.0.0.1:{web}/statistics") as answer:
            return json.load(answer)["CountInstances"]

    receiver = Receiver(process, port, count)
    receiver.web = f"http://127.0.0.1:{web}"
    return receiver


def pynetdicom(folder):
    port, out = free_port(), folder / "out"
    out.mkdir()
    arguments = [sys.executable, "-m", "pynetdicom", "storescp", port, "-od", out, "-aet", "LOTSE", "-q"]
    return Receiver(Process(arguments, folder / "log", port), port, files_in(out))


def dicom_rs(folder):
    port, out = free_port(), folder / "out"
    out.mkdir()
    arguments = [DICOM_RS, "-p", port, "--calling-ae-title", "LOTSE", "-o", out, "--non-blocking"]
    return Receiver(Process(arguments, folder / "log", port), port, files_in(out))


def durable(folder):
    out = folder / "out"
    out.mkdir()
    return drain(folder, f"durable={out}")


def drain(folder, *options):
    port = free_port()
    return Receiver(Process([PEER, "drain", port, *options], folder / "log", port), port, lambda: None)


def lotse(folder):
    gateway = Gateway(folder)

    def count():
        return gateway.call("GET", "/status")[1]["counts"]["received"]

    return Receiver(gateway, gateway.port, count)


def of(name, associations):
    """How the subject of this name is started."""
    fork = ["--fork"] if associations > 1 else []
    return {
        "lotse": lotse,
        "DCMTK storescp": lambda folder: storescp(folder, *fork),
        "DCMTK storescp +B": lambda folder: storescp(folder, *fork, "+B"),
        "Orthanc": orthanc,
        "pynetdicom": pynetdicom,
        "dicom-rs": dicom_rs,
        "floor": drain,
        "floor: each synced": durable,
    }[name]
