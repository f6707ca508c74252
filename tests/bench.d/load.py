"""Load for the fault tests: peers that send objects of their own and remember what was acknowledged.

Every object is sent once, so whatever the sink sees twice was repeated by the gateway.
"""

import collections
import http.client
import io
import random
import re
import subprocess
import threading
import zipfile

import data
from pydicom import dcmread
from pydicom.dataset import Dataset
from pynetdicom import AE
from stand import ENVIRONMENT, Refused

ROWS, COLUMNS = 64, 70
PIXELS = ROWS * COLUMNS * 2


class Made:
    """Objects from one template: unique in UIDs and pixels, and known afterwards by their number."""

    def __init__(self, seed):
        # UIDs of the seed's own, of fixed length, so that they can be put in place as bytes.
        self.root = f"{data.ROOT}.7.{1_000_000 + seed % 1_000_000}"
        out = io.BytesIO()
        made = data.dataset(data.CT, self.uid(0), self.study(0), self.study(0) + ".1", 0, ROWS, COLUMNS)
        data.save(made, out, bytes(PIXELS))
        self.template = out.getvalue()[:-PIXELS]
        self.number = 0
        self.studies = 0
        self.lock = threading.Lock()

    def uid(self, number):
        return f"{self.root}.1.{10_000_000 + number}"

    def study(self, number):
        return f"{self.root}.2.{10_000_000 + number}"

    def batch(self, count):
        """Objects of one new study, as UID and file."""
        with self.lock:
            self.studies += 1
            first, study = self.number + 1, self.studies
            self.number += count
        template = self.template.replace(self.study(0).encode(), self.study(study).encode())
        return [(self.uid(n), self.file(template, n)) for n in range(first, first + count)]

    def file(self, template, number):
        return template.replace(self.uid(0).encode(), self.uid(number).encode()) + self.pixels(number)

    def pixels(self, number):
        return random.Random(number).randbytes(PIXELS)

    # What is rewritten on purpose; everything else is compared.
    CHANGED = {
        "SpecificCharacterSet", "PatientName", "PatientID", "IssuerOfPatientID", "PatientBirthDate", "PatientSex",
        "AccessionNumber", "StudyID", "StudyDescription", "ReferringPhysicianName", "InstitutionName",
    }

    def differs(self, uid, bytes_):
        """What of an object that arrived is not as it was sent."""
        number = int(uid.rsplit(".", 1)[1]) - 10_000_000
        if not bytes_.endswith(self.pixels(number)):
            return "pixel data"
        sent = dcmread(io.BytesIO(self.template + bytes(PIXELS)), stop_before_pixels=True)
        came = dcmread(io.BytesIO(bytes_), stop_before_pixels=True, force=True)
        for element in sent:
            if element.keyword in self.CHANGED or element.VR == "UI":
                continue
            if came.get(element.tag) != element:
                return element.keyword
        return None if came.SOPInstanceUID == uid else "SOPInstanceUID"


class Load:
    """Senders that go on until they are stopped, whatever happens to the gateway."""

    def __init__(self, gateway, made, folder, pause=0.0):
        self.gateway, self.made, self.folder, self.pause = gateway, made, folder, pause
        self.acknowledged = {}
        self.refused = 0
        # Of refused uploads, how often.
        self.statuses = {}
        # What each acknowledged upload held, by import.
        self.uploads = {}
        self.lock = threading.Lock()
        self.ending = threading.Event()
        self.threads = []

    def start(self, ways=("storescu", "storescu", "pynetdicom", "upload")):
        for number, way in enumerate(ways):
            sender = threading.Thread(target=self.go_on, args=(getattr(self, way), number), daemon=True)
            sender.start()
            self.threads.append(sender)
        return self

    def wait(self):
        """Seconds between two arrivals of one sender."""
        return self.pause

    def stop(self):
        self.ending.set()
        for sender in self.threads:
            sender.join()

    def go_on(self, way, number):
        while not self.ending.wait(self.wait()):
            try:
                way(number)
            except (OSError, RuntimeError, ValueError, http.client.HTTPException, subprocess.SubprocessError):
                # The gateway is down. What was not acknowledged is the sender's business.
                self.ending.wait(0.05)

    def acknowledge(self, uid, way):
        with self.lock:
            self.acknowledged[uid] = way

    def refuse(self):
        with self.lock:
            self.refused += 1

    def storescu(self, number):
        batch = self.made.batch(20)
        folder = self.folder / f"send-{number}"
        folder.mkdir(exist_ok=True)
        paths = {}
        for i, (uid, file) in enumerate(batch):
            path = folder / f"{i}.dcm"
            path.write_bytes(file)
            paths[str(path)] = uid
        said = subprocess.run(
            ["storescu", "-v", "-to", "20", "-ta", "20", "-td", "20", "-aet", f"BENCH{number}", "-aec", "LOTSE",
             "127.0.0.1", str(self.gateway.port), *paths],
            capture_output=True, text=True, timeout=120, env=ENVIRONMENT, check=False,
        )
        current = None
        for line in (said.stdout + said.stderr).splitlines():
            if found := re.search(r"Sending file: (\S+)", line):
                current = paths.get(found[1])
            elif "Received Store Response" in line and current:
                if "(Success)" in line:
                    self.acknowledge(current, "storescu")
                else:
                    self.refuse()
                current = None

    def pynetdicom(self, number):
        entity = AE(f"BENCH{number}")
        entity.acse_timeout = entity.dimse_timeout = entity.network_timeout = 20
        entity.add_requested_context(data.CT, data.ExplicitVRLittleEndian)
        association = entity.associate("127.0.0.1", self.gateway.port, ae_title="LOTSE")
        if not association.is_established:
            raise RuntimeError("no association")
        try:
            for uid, file in self.made.batch(20):
                answer: Dataset = association.send_c_store(dcmread(io.BytesIO(file)))
                if "Status" not in answer:
                    return
                if answer.Status == 0:
                    self.acknowledge(uid, "pynetdicom")
                else:
                    self.refuse()
        finally:
            association.release() if association.is_established else association.abort()

    def upload(self, number):
        batch = self.made.batch(10)
        path = self.folder / f"upload-{number}.zip"
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for i, (_, file) in enumerate(batch):
                archive.writestr(f"DICOM/{i:08d}", file)
        try:
            made = self.gateway.upload(path, {"accessionNumber": data.ACCESSION})
        except Refused as refused:
            self.refuse()
            self.statuses[refused.status] = self.statuses.get(refused.status, 0) + 1
            return
        self.uploads[made] = [uid for uid, _ in batch]
        for uid, _ in batch:
            self.acknowledge(uid, "upload")


# What a cut may repeat: outcomes that an association has not recorded, on so many associations to a destination.
UNRECORDED, ASSOCIATIONS = 4, 4


class Ledger:
    """What the sink logged. An era ends with every kill of the gateway or of the sink: what was on the wire then may
    come again, and nothing else."""

    def __init__(self, log):
        self.requests, self.stored = {}, {}
        # Of each era the requests of each association, in order.
        self.eras, self.open = [{}], set()
        for line in log.read_text().splitlines() if log.exists() else []:
            kind, *rest = line.split(" ")
            if kind == "request":
                uid, association = rest
                self.requests[uid] = self.requests.get(uid, 0) + 1
                self.eras[-1].setdefault(association, []).append(uid)
            elif kind == "stored":
                self.stored[rest[0]] = int(rest[1])
            elif kind == "open":
                self.open.add(rest[0])
            elif kind == "close":
                self.open.discard(rest[0])
            elif kind == "era":
                self.eras.append({})
                self.open.clear()

    def repeats(self):
        """How many objects one cut repeated at most, and what was repeated that should not have been."""
        wrong, last, cut = [], {}, [0] * len(self.eras)
        for number, era in enumerate(self.eras):
            flying = {uid for uids in era.values() for uid in uids[-UNRECORDED:]}
            here = collections.Counter(uid for uids in era.values() for uid in uids)
            for uid, times in here.items():
                if times > 1:
                    wrong.append(f"{uid} {times} times without a cut")
                if uid in last:
                    before, was_flying = last[uid]
                    cut[before] += 1
                    if not was_flying:
                        wrong.append(f"{uid} again, which was answered long before the cut")
                last[uid] = (number, uid in flying)
        if max(cut) > UNRECORDED * ASSOCIATIONS:
            wrong.append(f"{max(cut)} by one cut")
        return max(cut), wrong
