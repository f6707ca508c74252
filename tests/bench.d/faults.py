"""tests/faults: nothing that was acknowledged is lost, whatever happens.

Several peers send, the gateway is killed at random instants and started on the same folder, the disk fills, fails
or goes away, the PACS dies. In the end every object that was acknowledged has to be in the PACS, byte by byte what
was sent but for what is rewritten on purpose. The PACS is a sink that logs every C-STORE request.

The full form takes about half an hour, most of it the kills. `--soak` is another test: see `soak.py`.
"""

import argparse
import contextlib
import http.client
import json
import os
import random
import shutil
import sys
import threading
import time
import zipfile
from pathlib import Path

import machine
import soak
from load import Made
from scene import Scene, Small, ends_with_message
from stand import TARGET, Gateway, Process, fresh


# MiB that the gateway may take, whatever waits.
MEMORY = 150

# Arrivals leave the journal so many bytes to finish with what was accepted.
JOURNAL_ROOM = 12 << 20


def kills(folder, options):
    """kill -9 at random instants under load."""
    chance = random.Random(options.seed)
    scene = Scene(folder, options.seed)
    # So that the gateway is met at everything it does, not only at receiving.
    scene.load.pause = 0.2
    try:
        scene.load.start()
        done, starts = 0, []
        while done < options.kills:
            time.sleep(chance.choice((chance.uniform(0, 0.3), chance.uniform(0.3, 2))))
            scene.kill()
            done += 1
            begun = time.monotonic()
            scene.start()
            starts.append(time.monotonic() - begun)
            if done % 10 == 0:
                print(f"tests/faults: {done} kills, {len(scene.load.acknowledged)} acknowledged", file=sys.stderr)
        time.sleep(1)
        scene.load.stop()
        scene.settle()
        # Once more at most for each kill that an object was on the wire at, so three times if two kills hit it.
        return scene.judge("kill -9", kills=done, slowestStart=round(max(starts), 2))
    finally:
        scene.close()


def pacs_dies(folder, options):
    """The PACS drops the connection in the middle of every 7th object, then is gone, then back."""
    scene = Scene(folder, options.seed + 1, sink=("abort-each=7",))
    try:
        scene.load.start()
        time.sleep(5)
        scene.sink.kill()
        time.sleep(3)
        scene.begin_sink()
        scene.load.stop()
        scene.settle()
        return scene.judge("PACS dies within objects")
    finally:
        scene.close()


def pacs_late(folder, options):
    """The PACS answers every 5th object after our timeout of 120 s: sent again, never taken for sent."""
    scene = Scene(folder, options.seed + 2, sink=("late-each=5", "late-ms=130000"))
    try:
        scene.load.start(("upload",))
        time.sleep(1)
        scene.load.stop()
        time.sleep(150)
        scene.begin_sink()
        scene.settle(300)
        return scene.judge("PACS answers after our timeout")
    finally:
        scene.close()


def pacs_slow(folder, options):
    """The PACS takes a fifth of a second for each object while everybody sends: it waits on the disk, not in memory."""
    scene = Scene(folder, options.seed + 11, sink=("late-each=1", "late-ms=200"))
    try:
        scene.gateway.watch()
        scene.load.start()
        time.sleep(20)
        scene.load.stop()
        scene.begin_sink()
        # And while what waited leaves, all at once.
        scene.settle()
        peak = scene.gateway.memory()
        return scene.judge("PACS slow", passed=peak < MEMORY, peakMiB=round(peak, 1))
    finally:
        scene.close()


def disk_full(folder, options):
    """A small disk fills under load; nothing is acknowledged that is not kept; with room it goes on."""
    fresh(folder)
    disk = Small(folder.with_name(folder.name + "-disk"), 96)
    scene = None
    try:
        scene = Scene(folder, options.seed + 3, data_dir=disk.folder / "data")
        scene.sink.kill()  # nothing leaves, so nothing is freed
        # Not a byte of it has to be sent to hear that there is no room.
        announced = scene.gateway.announce(96 << 20)
        scene.load.start()
        end = time.monotonic() + 60
        least = 1 << 60
        while (scene.load.refused < 20 or not scene.load.statuses) and time.monotonic() < end:
            space = os.statvfs(disk.folder)
            least = min(least, space.f_bavail * space.f_frsize)
            time.sleep(0.05)
        full = scene.load.refused >= 20
        answers = scene.gateway.call("GET", "/healthz")[0] == 200
        said = dict(scene.load.statuses)
        scene.kill()
        scene.load.stop()
        disk.remount("size=512m")
        scene.start()
        scene.begin_sink()
        scene.settle()
        return scene.judge("disk full (ENOSPC)", passed=full and answers and least > JOURNAL_ROOM and announced == 507 and set(said) == {507},
                           wasFull=full, answeredWhenFull=answers, leastFreeMiB=least >> 20, announced=announced, uploadsRefused=said)
    finally:
        if scene:
            scene.close()
        disk.close()


def stays_full(folder, options):
    """A disk is full and stays so: what has to die dies, what a person erases is gone at once, and a start succeeds."""
    fresh(folder)
    disk = Small(folder.with_name(folder.name + "-disk"), 64)
    gateway = None
    limit = 20
    try:
        extra = f'[retention]\nlimit = "{limit}s"\nafter-delivery = "{limit}s"\n'
        gateway = Gateway(folder / "lotse", extra=extra, data=disk.folder / "data")
        made = Made(options.seed + 16)
        archive = folder / "made.zip"

        def upload():
            with zipfile.ZipFile(archive, "w") as out:
                for number, (_, file) in enumerate(made.batch(10)):
                    out.writestr(f"DICOM/{number:08d}", file)
            return gateway.upload(archive, {})

        ids = [upload() for _ in range(3)]
        for one in ids:
            seen = gateway.wait(one, lambda seen: any(s["state"] == "AwaitingDecision" for s in seen["studies"]), 30)
        filler = disk.folder / "filler"
        free = os.statvfs(disk.folder)
        with open(filler, "wb") as file:
            file.write(bytes(free.f_bavail * free.f_frsize - (6 << 20)))

        # Something has to be kept, and waits.
        study = seen["studies"][0]["studyInstanceUid"]
        patient = {"patientId": "L-1", "name": "Muster^Erika", "birthDate": "1970-01-01", "sex": "F"}
        body = json.dumps({"noOrder": patient, "confirmed": True, "reason": "bench"})
        path = f"/api/v1/imports/{ids[2]}/studies/{study}/decision"

        def decide():
            # Still waiting when the gateway is killed.
            with contextlib.suppress(OSError, http.client.HTTPException):
                gateway.call("POST", path, body)

        person = threading.Thread(target=decide, daemon=True)
        person.start()
        time.sleep(2)
        waits = person.is_alive()
        alarm = any("before there is space" in one for one in gateway.call("GET", "/status")[1]["alarms"])
        begun = time.monotonic()
        erased = gateway.call("DELETE", f"/api/v1/imports/{ids[0]}", timeout=30)[0]
        took = time.monotonic() - begun
        keys = gateway.data / "keys"

        def alive():
            return [one for one in ids if (keys / f"{one}.key").exists()]

        gone = ids[0] not in alive()
        end = time.monotonic() + limit + 20
        while alive() and time.monotonic() < end:
            time.sleep(0.2)
        died = not alive()
        gateway.kill()
        # Less than what a running gateway leaves alone.
        free = os.statvfs(disk.folder)
        with open(filler, "ab") as file:
            file.write(bytes(max(0, free.f_bavail * free.f_frsize - (6 << 20))))
        gateway.begin()
        states = {one: gateway.show(one)["state"] for one in ids}
        told = gateway.call("GET", "/status")[1]["alarms"]
        filler.unlink()
        again = upload()
        gateway.wait(again, lambda seen: any(s["state"] == "AwaitingDecision" for s in seen["studies"]), 30)
        expected = {ids[0]: "Erased", ids[1]: "Expired", ids[2]: "Expired"}
        passed = waits and alarm and erased < 300 and took < 10 and gone and died and states == expected
        return {"case": "disk stays full", "passed": passed and not any("keys" in one for one in told),
                "waits": waits, "alarm": alarm, "erased": erased, "took": round(took, 1), "died": died,
                "states": list(states.values()), "told": told}
    finally:
        if gateway:
            gateway.kill()
        disk.close()


def read_only(folder, options):
    """The disk comes back read-only after a kill: the start says so and changes nothing."""
    fresh(folder)
    disk = Small(folder.with_name(folder.name + "-disk"), 256)
    scene = None
    try:
        scene = Scene(folder, options.seed + 4, data_dir=disk.folder / "data")
        scene.load.start()
        time.sleep(3)
        scene.kill()
        scene.load.stop()
        disk.remount("ro")
        refused = ends_with_message(scene)
        disk.remount("rw")
        scene.start()
        scene.settle()
        return scene.judge("disk read-only", passed=bool(refused), said=refused)
    finally:
        if scene:
            scene.close()
        disk.close()


def io_errors(call):
    """Every 7th call of this kind fails with EIO for a while (strace injects it), under load."""
    def case(folder, options):
        if not shutil.which("strace"):
            raise RuntimeError("strace is missing; tests/env installs it")
        scene = Scene(folder, options.seed + 5)
        try:
            scene.load.start()
            time.sleep(1)
            tracer = Process(
                ["strace", "-f", "-o", folder / "strace.out", "-p", scene.gateway.pid, "-e", f"trace={call}",
                 "-e", f"inject={call}:error=EIO:when=7+7"], folder / "strace.err",
            )
            time.sleep(4)
            injected = (folder / "strace.out").read_text().count("EIO")
            scene.kill()
            tracer.stop()
            scene.start()
            time.sleep(1)
            scene.load.stop()
            scene.settle()
            return scene.judge(f"EIO from {call}", passed=injected > 0, injected=injected)
        finally:
            scene.close()
    case.__name__ = f"eio_{call}"
    return case


def removed(which):
    """A folder of the gateway's is gone at the start: it says so, aloud."""
    def case(folder, options):
        scene = Scene(folder, options.seed + 6)
        try:
            scene.sink.kill()
            scene.load.start()
            time.sleep(3)
            scene.kill()
            scene.load.stop()
            found = [path for path in scene.gateway.data.iterdir() if path.is_dir() and path.name == which]
            for path in found:
                path.rename(folder / "taken")
            said = ends_with_message(scene) if found else "there is no such folder"
            passed = bool(found) and bool(said)
            # Put back, nothing is lost.
            if found:
                shutil.rmtree(scene.gateway.data / which, ignore_errors=True)
                (folder / "taken").rename(scene.gateway.data / which)
            scene.start()
            scene.begin_sink()
            scene.settle(60)
            return scene.judge(f"{which} folder removed", passed=passed, said=said)
        finally:
            scene.close()
    case.__name__ = f"{which}_removed"
    return case


SHORT = [
    kills, pacs_dies, disk_full, stays_full, read_only, io_errors("fdatasync"), machine.power_loss, machine.power_compaction,
]
ALL = [
    *SHORT, machine.blind, machine.clock_jumps, machine.short_writes, machine.slow_disk, io_errors("pwrite64"), removed("spool"),
    removed("journal"), removed("keys"), pacs_slow, pacs_late,
]


def main():
    parser = argparse.ArgumentParser(prog="tests/faults", description=__doc__)
    parser.add_argument("--kills", type=int, help="kill -9 so often; default 300, or 20 with --short")
    parser.add_argument("--seed", type=int, default=int.from_bytes(os.urandom(3)), help="repeats a run's choices")
    parser.add_argument("--instants", type=int, default=60, metavar="N", help="lose the power so often; default 60")
    parser.add_argument("--blind", metavar="SUFFIX", help="power loss: syncs of such files do not count, so it has to fail")
    parser.add_argument("--soak", type=float, metavar="MINUTES", help="a hospital's day in so many minutes instead")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the results as JSON too")
    parser.add_argument("--short", action="store_true", help="20 kills and the quick cases, as tests/run does")
    parser.add_argument("--only", metavar="CASE", help="one case: " + ", ".join(case.__name__ for case in ALL))
    options = parser.parse_args()
    options.kills = options.kills or (20 if options.short else 300)
    if os.geteuid() != 0:
        sys.exit("tests/faults: needs root, because it mounts small file systems")
    if options.soak:
        ALL.append(soak.soak)
        options.only = "soak"
    cases = [case for case in (SHORT if options.short else ALL) if options.only in (None, case.__name__)]
    if options.only and not cases:
        cases = [case for case in ALL if case.__name__ == options.only] or parser.error("there is no such case")
    print(f"tests/faults: seed {options.seed}", file=sys.stderr)
    results = []
    root = TARGET / "test-env/faults"
    for case in cases:
        begun = time.monotonic()
        folder = root / case.__name__
        try:
            result = case(folder, options)
        except (Exception, SystemExit) as error:  # the other cases are still worth running
            result = {"case": case.__name__, "passed": False, "error": str(error)}
        result["seconds"] = round(time.monotonic() - begun)
        results.append(result)
        print(json.dumps(result, ensure_ascii=False), flush=True)
        if result["passed"]:
            shutil.rmtree(folder, ignore_errors=True)
        if options.json:
            options.json.write_text(json.dumps({"seed": options.seed, "cases": results}, indent=1, ensure_ascii=False) + "\n")
    total = {key: sum(result.get(key, 0) for result in results) for key in ("kills", "acknowledged", "lost", "repeated")}
    print(json.dumps({"seed": options.seed, **total, "passed": all(result["passed"] for result in results)}))
    return 0 if all(result["passed"] for result in results) else 1


if __name__ == "__main__":
    sys.exit(main())
