"""The groups of the bench. Each measures its subjects in turns and enters rows in the book."""

import collections
import json
import os
import shutil
import subprocess
import time
import urllib.request
import zipfile

import data
import download
import media
import pydicom
import receivers
from matching import matching
from stand import ENVIRONMENT, PEER, Gateway, Process, free_port, fresh, run, spent

GB = 1e9

# Takes an object, syncs it, syncs a record of it, answers.
SYNCED = "floor: each synced"


class Stage:
    """Where everything happens: one folder, so that all subjects write to the same file system."""

    def __init__(self, folder, small, runs, with_dicom_rs):
        self.folder, self.small, self.runs = folder, small, runs
        self.with_dicom_rs = with_dicom_rs
        self.clear()

    def clear(self):
        shutil.rmtree(self.folder, ignore_errors=True)

    def room(self):
        """An empty folder for one run, and nothing left to be written of the last."""
        fresh(self.folder / "run")
        os.sync()
        return self.folder / "run"

    def turns(self, subjects):
        """Subjects one after the other, so many times."""
        for _ in range(self.runs):
            yield from subjects


def senders(folders, port):
    """One storescu a folder, all at once; the seconds until the last has ended."""
    begun = time.perf_counter()
    running = [
        subprocess.Popen(
            ["storescu", "-aet", "BENCH", "-aec", "LOTSE", "+sd", "127.0.0.1", str(port), str(folder)],
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=ENVIRONMENT,
        )
        for folder in folders
    ]
    said = [sender.communicate()[1] for sender in running]
    seconds = time.perf_counter() - begun
    for sender, text in zip(running, said):
        if sender.returncode:
            raise RuntimeError(f"storescu failed: {text[-400:].decode(errors='replace')}")
    return seconds


def synced_write(files, into):
    """Seconds to write the same bytes in one row and sync them."""
    begun = time.perf_counter()
    with open(into, "wb") as out:
        for path in files:
            with open(path, "rb") as file:
                while block := file.read(1 << 20):
                    out.write(block)
        out.flush()
        os.fdatasync(out.fileno())
    return time.perf_counter() - begun


def receiving(stage, book, case, source, associations, subjects, unit, floors=()):
    """One case of C-STORE in. `floors`: beside the drain, who else does as little as one can."""
    folders = data.split(source, stage.folder / "split", associations)
    # With little data there are fewer objects than associations, and storescu sends nothing of an empty folder.
    folders = [folder for folder in folders if any(folder.iterdir())]
    files = [path for folder in folders for path in folder.glob("*.dcm")]
    count, bytes_in_all = len(files), sum(path.stat().st_size for path in files)
    work = bytes_in_all / 1e6 if unit == "MB/s" else count
    rates, costs, peaks = (collections.defaultdict(list) for _ in range(3))
    floor = []
    for name in stage.turns(["floor", *floors, *subjects]):
        room = stage.room()
        receiver = receivers.of(name, associations)(room)
        with receiver.process as process:
            process.watch()
            before = process.cpu()
            seconds = senders(folders, receiver.port)
            used, peak, got = process.cpu() - before, process.memory(), receiver.count()
        if got not in (None, count):
            raise RuntimeError(f"{name} has {got} of {count} objects")
        rates[name].append(work / seconds)
        if name == "floor":
            floor.append(work / (seconds + synced_write(files, room / "floor")))
            continue
        if name in floors:
            continue
        costs[name].append(used / (bytes_in_all / GB))
        peaks[name].append(peak)
    rates["floor: drain"] = rates.pop("floor")
    rates["floor: drain + synced write"] = floor
    book.enter(case, unit, rates, floor)
    # What of a wanted ratio this machine leaves to anybody who writes and syncs what he receives.
    others = [name for name in subjects if name != "lotse"]
    for least in (*floors, "floor: drain + synced write"):
        book.enter(case, unit, {name: rates[name] for name in (least, *others)}, subject=least)
    book.enter(case, "CPU s/GB", costs)
    book.enter(case, "peak MiB", peaks)


def receive(stage, book):
    source = data.get("ct", stage.small)
    subjects = ["lotse", "DCMTK storescp", "DCMTK storescp +B", "Orthanc"]
    if stage.with_dicom_rs:
        subjects.append("dicom-rs")
    for associations in (1, 4, 8):
        case = f"receive CT, {associations} association{'s' * (associations > 1)}"
        slow = ["pynetdicom"] if associations == 1 else []
        receiving(stage, book, case, source, associations, [*subjects, *slow], "MB/s", [SYNCED])
    subjects = ["lotse", "DCMTK storescp"]
    receiving(stage, book, "receive one multi-frame", data.get("big", stage.small), 1, subjects, "MB/s")


def small(stage, book):
    source = data.get("tiny", stage.small)
    subjects = ["lotse", "DCMTK storescp", "Orthanc"]
    if stage.with_dicom_rs:
        subjects.append("dicom-rs")
    for associations in (1, 8):
        case = f"receive 10 KB, {associations} association{'s' * (associations > 1)}"
        receiving(stage, book, case, source, associations, subjects, "instances/s", [SYNCED])


def sink(room):
    port = free_port()
    return Process(["storescp", "--fork", "--ignore", "--aetitle", "PACS", port], room / "sink.log", port), port


REQUEST = {"accessionNumber": data.ACCESSION}


def delivered(count):
    def done(seen):
        if any(study["state"] in ("Quarantined", "AwaitingDecision") for study in seen["studies"]):
            raise RuntimeError(f"a person is asked: {seen['studies'][0].get('nextStep')}")
        return seen["counts"]["delivered"] + seen["counts"]["createdDelivered"] >= count
    return done


def decide_all(gateway, seen):
    """A person decides every study for a patient without an order."""
    patient = {"patientId": data.PATIENT_ID, "name": "Müßig^Anna", "birthDate": "1968-11-07", "sex": "F"}
    body = json.dumps({"noOrder": patient, "confirmed": True, "reason": "bench"})
    for study in seen["studies"]:
        path = f"/api/v1/imports/{seen['id']}/studies/{study['studyInstanceUid']}/decision"
        status, answer = gateway.call("POST", path, body)
        if status >= 300:
            raise RuntimeError(f"decision refused: {answer}")


def waits_for_decision(count):
    return lambda seen: seen["counts"]["received"] >= count and seen["studies"] and all(
        study["state"] in ("AwaitingDecision", "Quarantined") for study in seen["studies"]
    )


def forward(stage, book):
    """One decided study to `storescp --fork --ignore`, straight and through a relay."""
    source, archive = data.get("ct", stage.small), data.get("zip", stage.small) / "ct.zip"
    files = sorted(source.glob("*.dcm"))
    megabytes = sum(path.stat().st_size for path in files) / 1e6
    for late in (0, 5):
        rates, costs, peaks = (collections.defaultdict(list) for _ in range(3))
        for name in stage.turns(["lotse", "DCMTK storescu"]):
            room = stage.room()
            process, port = sink(room)
            with process:
                target, relay = port, None
                if late:
                    target = free_port()
                    relay = Process([PEER, "relay", target, f"127.0.0.1:{port}", late], room / "relay.log", target)
                try:
                    if name == "lotse":
                        with Gateway(room / "lotse", target) as gateway:
                            made = gateway.upload(archive, {})
                            seen = gateway.wait(made, waits_for_decision(len(files)))
                            os.sync()
                            before, begun = gateway.cpu(), time.perf_counter()
                            decide_all(gateway, seen)
                            gateway.wait(made, delivered(len(files)))
                            seconds = time.perf_counter() - begun
                            used, peak = gateway.cpu() - before, gateway.memory()
                    else:
                        before, begun = spent(), time.perf_counter()
                        run(["storescu", "-aet", "BENCH", "-aec", "PACS", "+sd", "127.0.0.1", target, source], room / "log")
                        seconds, used, peak = time.perf_counter() - begun, spent() - before, None
                finally:
                    if relay:
                        relay.stop()
            rates[name].append(megabytes / seconds)
            costs[name].append(used / (megabytes / 1e3))
            if peak:
                peaks[name].append(peak)
        case = "forward CT" + (f", {late} ms each way" if late else "")
        book.enter(case, "MB/s", rates)
        book.enter(case, "CPU s/GB", costs)
        book.enter(case, "peak MiB", peaks)


CHANGES = {
    "PatientID": data.PATIENT_ID, "PatientName": "Müßig^Anna", "AccessionNumber": data.ACCESSION,
    "StudyID": "RP1", "InstitutionName": "Klinikum Beispiel",
}


def dcmodify(folder, log):
    """Rewrites a folder's files as the usual script does."""
    tags = {"PatientID": "0010,0020", "PatientName": "0010,0010", "AccessionNumber": "0008,0050",
            "StudyID": "0020,0010", "InstitutionName": "0008,0080"}
    changes = [part for key, value in CHANGES.items()
               for part in ("-i", f"({tags[key]})=".encode() + value.encode("latin-1"))]
    arguments = ["dcmodify", "--no-backup", *changes, *sorted(folder.iterdir())]
    with open(log, "ab") as out:
        subprocess.run(arguments, check=True, stdout=out, stderr=out, env=ENVIRONMENT)


def job_pipeline(stage, room, archive, port):
    """unzip + dcmodify + storescu."""
    before, begun = spent(), time.perf_counter()
    run(["unzip", "-q", archive, "-d", room / "unzipped"], room / "log")
    dcmodify(room / "unzipped/DICOM", room / "log")
    run(["storescu", "-aet", "BENCH", "-aec", "PACS", "+sd", "+r", "127.0.0.1", port, room / "unzipped"], room / "log")
    return time.perf_counter() - begun, spent() - before, None


def job_orthanc(stage, room, archive, port):
    """Upload, modify, store."""
    fresh(room / "orthanc")
    receiver = receivers.orthanc(room / "orthanc", port)

    def post(path, body):
        request = urllib.request.Request(receiver.web + path, body, method="POST")
        with urllib.request.urlopen(request, timeout=1800) as answer:
            return json.load(answer)

    with receiver.process as process:
        process.watch()
        before, begun = process.cpu(), time.perf_counter()
        stored = post("/instances", archive.read_bytes())
        patient = stored[0]["ParentPatient"]
        change = {"Replace": CHANGES, "Force": True}
        changed = post(f"/patients/{patient}/modify", json.dumps(change).encode())
        sent = post("/modalities/pacs/store", json.dumps({"Resources": [changed["ID"]], "Synchronous": True}).encode())
        seconds = time.perf_counter() - begun
        if sent["FailedInstancesCount"] or sent["InstancesCount"] != len(stored):
            raise RuntimeError(f"Orthanc stored {sent}")
        return seconds, process.cpu() - before, process.memory()


def job_lotse(stage, room, archive, port):
    with Gateway(room / "lotse", port) as gateway:
        data.worklist(room / "lotse/worklist")
        count = sum(1 for name in zip_names(archive) if not name.upper().endswith(("DICOMDIR", ".HTM", ".TXT")))
        before, begun = gateway.cpu(), time.perf_counter()
        made = gateway.upload(archive, REQUEST)
        gateway.wait(made, delivered(count))
        return time.perf_counter() - begun, gateway.cpu() - before, gateway.memory()


def zip_names(archive):
    with zipfile.ZipFile(archive) as opened:
        return [name for name in opened.namelist() if not name.endswith("/")]


def whole_jobs(stage, book, archives):
    """Each archive by each of its ways, until the study is in the PACS."""
    for case, (archive, subjects) in archives.items():
        with zipfile.ZipFile(archive) as opened:
            megabytes = sum(entry.file_size for entry in opened.infolist()) / 1e6
        rates, costs, peaks = (collections.defaultdict(list) for _ in range(3))
        for name in stage.turns(subjects):
            room = stage.room()
            process, port = sink(room)
            with process:
                seconds, used, peak = subjects[name](stage, room, archive, port)
            rates[name].append(megabytes / seconds)
            costs[name].append(used / (megabytes / 1e3))
            if peak:
                peaks[name].append(peak)
        book.enter(case, "MB/s", rates)
        book.enter(case, "CPU s/GB", costs)
        book.enter(case, "peak MiB", peaks)


def job(stage, book):
    """One ZIP, until the reconciled study is in the PACS."""
    ways = {"lotse": job_lotse, "unzip + dcmodify + storescu": job_pipeline, "Orthanc": job_orthanc}
    archives = {"job, CT as ZIP": (data.get("zip", stage.small) / "ct.zip", ways),
                "job, PDI as ZIP": (data.get("pdi", stage.small) / "pdi.zip", {"lotse": job_lotse, "Orthanc": job_orthanc})}
    whole_jobs(stage, book, archives)


def job_memory(stage, book):
    """The whole job with very many and with very long objects: what it holds in memory."""
    ways = {"lotse": job_lotse}
    whole_jobs(stage, book, {
        "job, 10,000 images as ZIP": (data.get("slices", stage.small) / "slices.zip", ways),
        "job, one multi-frame as ZIP": (data.get("film", stage.small) / "film.zip", ways),
    })


def coerce(stage, book):
    """Identity and order rewritten, from files to files; ours from the spool to a folder, synced."""
    source, archive = data.get("ct", stage.small), data.get("zip", stage.small) / "ct.zip"
    files = sorted(source.glob("*.dcm"))
    rates, costs = collections.defaultdict(list), collections.defaultdict(list)
    for name in stage.turns(["lotse", "dcmodify", "pydicom"]):
        room = stage.room()
        if name == "lotse":
            fresh(room / "out")
            extra = f'[destinations.files]\nfolder = "{room}/out"\n'
            with Gateway(room / "lotse", extra=extra) as gateway:
                made = gateway.upload(archive, {"destination": "files"})
                seen = gateway.wait(made, waits_for_decision(len(files)))
                os.sync()
                before, begun = gateway.cpu(), time.perf_counter()
                decide_all(gateway, seen)
                gateway.wait(made, delivered(len(files)))
                seconds, used = time.perf_counter() - begun, gateway.cpu() - before
        else:
            out = fresh(room / "out")
            for path in files:
                shutil.copy(path, out / path.name)
            os.sync()
            before, begun = spent() + time.process_time(), time.perf_counter()
            if name == "dcmodify":
                dcmodify(out, room / "log")
            else:
                for path in sorted(out.iterdir()):
                    read = pydicom.dcmread(path)
                    for key, value in CHANGES.items():
                        setattr(read, key, value)
                    read.save_as(path)
            seconds, used = time.perf_counter() - begun, spent() + time.process_time() - before
        rates[name].append(len(files) / seconds)
        costs[name].append(used / len(files) * 1e3)
    book.enter("coerce CT", "instances/s", rates)
    book.enter("coerce CT", "CPU ms/instance", costs)


def cost(stage, book):
    """How CPU and memory grow with instances and with associations."""
    most = data.get("many", stage.small)
    paths = sorted(most.glob("*.dcm"))
    for count in (100, 1000, len(paths)):
        part = fresh(stage.folder / "part")
        for path in paths[:count]:
            os.link(path, part / path.name)
        receiving(stage, book, f"{count} instances, 4 associations", part, 4, ["lotse", "DCMTK storescp"], "instances/s")
    source = data.get("ct", stage.small)
    for associations in (1, 16, 64):
        case = f"CT, {associations} associations"
        receiving(stage, book, case, source, associations, ["lotse", "DCMTK storescp"], "MB/s")


ALL = {"receive": receive, "small": small, "forward": forward, "job": job, "job-memory": job_memory,
       "coerce": coerce, "cost": cost, "media": media.media, "download": download.download, "matching": matching}
