"""tests/faults: nothing that was acknowledged is lost, whatever happens.

Several peers send, the gateway is killed at random instants and started on the same folder, the disk fills, fails
or goes away, the PACS dies. In the end every object that was acknowledged has to be in the PACS, byte by byte what
was sent but for what is rewritten on purpose. The PACS is a sink that logs every C-STORE request.

Not covered here: power loss below the kernel (writes after the last sync dropped or reordered), and clock jumps.
"""

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
import time
from pathlib import Path

import data
from load import Ledger, Load, Made
from stand import PEER, TARGET, Gateway, Process, free_port, fresh

PEERS = ("BENCH0", "BENCH1", "BENCH2", "BENCH3")
# What is in flight when the sender stops has to be in the PACS after this many seconds.
DRAINING = 60


class Scene:
    """A gateway, a PACS that logs, and what was sent."""

    def __init__(self, folder, seed, sink=(), data_dir=None, extra=""):
        self.folder = fresh(folder)
        self.kept = fresh(folder / "kept")
        self.port = free_port()
        self.options = sink
        self.sink = None
        self.begin_sink(*sink)
        self.made = Made(seed)
        (folder / "lotse/worklist").mkdir(parents=True)
        data.worklist(folder / "lotse/worklist")
        self.gateway = Gateway(
            folder / "lotse", self.port, policy="automatic", quiet="1s", peers=PEERS, data=data_dir, extra=extra,
        )
        self.load = Load(self.gateway, self.made, folder)

    def begin_sink(self, *options):
        if self.sink:
            self.sink.kill()
        log = self.folder / "sink.log"
        self.sink = Process(
            [PEER, "drain", self.port, f"log={log}", f"keep={self.kept}", *options], self.folder / "sink.out", self.port,
        )

    def kill(self):
        self.gateway.kill()

    def start(self):
        self.gateway.begin()

    def settle(self, patience=DRAINING):
        """Waits until everything acknowledged is in the PACS; true if it is."""
        end = time.monotonic() + patience
        while time.monotonic() < end:
            if self.missing(Ledger(self.folder / "sink.log")) == set():
                return True
            time.sleep(0.5)
        return False

    def missing(self, ledger):
        return {uid for uid in self.load.acknowledged if uid not in ledger.stored}

    def judge(self, case, **more):
        """The result of the case."""
        ledger = Ledger(self.folder / "sink.log")
        lost = self.missing(ledger)
        changed = {}
        for uid in self.load.acknowledged.keys() - lost:
            if what := self.made.differs(uid, (self.kept / uid).read_bytes()):
                changed[uid] = what
        repeated = sum(1 for count in ledger.requests.values() if count > 1)
        result = {
            "case": case, "acknowledged": len(self.load.acknowledged), "refused": self.load.refused,
            "lost": len(lost), "changed": len(changed), "repeated": repeated,
            "mostRequests": max(ledger.requests.values(), default=0), **more,
        }
        if lost:
            result["lostWays"] = sorted({self.load.acknowledged[uid] for uid in lost})
            result["nextSteps"] = self.unfinished()
        if changed:
            result["changedWhat"] = sorted(set(changed.values()))
        result["passed"] = not lost and not changed and bool(self.load.acknowledged) and more.get("passed", True)
        return result

    def unfinished(self):
        try:
            listed = self.gateway.call("GET", "/api/v1/imports")[1]["imports"]
        except OSError:
            return ["the gateway does not answer"]
        return sorted({f"{one['state']}: {one['nextStep']}" for one in listed if one["counts"]["inFlight"]})[:8]

    def close(self):
        self.load.ending.set()
        self.gateway.kill()
        self.sink.kill()


def kills(folder, options):
    """kill -9 at random instants under load."""
    chance = random.Random(options.seed)
    scene = Scene(folder, options.seed)
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
        result = scene.judge("kill -9", kills=done, slowestStart=round(max(starts), 2))
        # In flight at a kill means twice at most for each kill that hit it.
        return result
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


class Small:
    """A small file system of its own."""

    def __init__(self, folder, mebibytes):
        self.folder = folder
        # Left mounted by a run that was broken off.
        while folder.is_mount():
            self.close()
        folder.mkdir(parents=True, exist_ok=True)
        self.mount("-t", "tmpfs", "-o", f"size={mebibytes}m,mode=0700", "lotse-faults", folder)

    def mount(self, *arguments):
        subprocess.run(["mount", *map(str, arguments)], check=True)

    def remount(self, options):
        self.mount("-o", f"remount,{options}", self.folder)

    def close(self):
        subprocess.run(["umount", "-l", self.folder], check=False)


def disk_full(folder, options):
    """A small disk fills under load; nothing is acknowledged that is not kept; with room it goes on."""
    fresh(folder)
    disk = Small(folder.with_name(folder.name + "-disk"), 96)
    scene = None
    try:
        scene = Scene(folder, options.seed + 3, data_dir=disk.folder / "data")
        scene.sink.kill()  # nothing leaves, so nothing is freed
        scene.load.start()
        end = time.monotonic() + 60
        while scene.load.refused < 20 and time.monotonic() < end:
            time.sleep(0.2)
        full = scene.load.refused >= 20
        answers = scene.gateway.call("GET", "/healthz")[0] == 200
        scene.kill()
        scene.load.stop()
        disk.remount("size=512m")
        scene.start()
        scene.begin_sink()
        scene.settle()
        return scene.judge("disk full (ENOSPC)", passed=full and answers, wasFull=full, answeredWhenFull=answers)
    finally:
        if scene:
            scene.close()
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


def ends_with_message(scene):
    """What the gateway says when it will not start; nothing if it starts and is ready."""
    log = scene.gateway.home / "lotse.log"
    before = log.stat().st_size
    try:
        scene.start()
    except SystemExit:
        said = log.read_bytes()[before:].decode(errors="replace").strip().splitlines()
        return said[-1][-200:] if said else ""
    try:
        status, ready = scene.gateway.call("GET", "/readyz")
        alarms = scene.gateway.call("GET", "/status")[1].get("alarms", [])
    finally:
        scene.kill()
    return "; ".join(ready.get("failing", []) + alarms)[:200] if status == 503 or alarms else ""


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


SHORT = [kills, pacs_dies, disk_full, read_only, io_errors("fdatasync")]
ALL = [*SHORT, io_errors("pwrite64"), removed("spool"), removed("journal"), pacs_late]


def main():
    parser = argparse.ArgumentParser(prog="tests/faults", description=__doc__)
    parser.add_argument("--kills", type=int, help="kill -9 so often; default 300, or 20 with --short")
    parser.add_argument("--seed", type=int, default=int.from_bytes(os.urandom(3)), help="repeats a run's choices")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the results as JSON too")
    parser.add_argument("--short", action="store_true", help="20 kills and the quick cases, as tests/run does")
    parser.add_argument("--only", metavar="CASE", help="one case: " + ", ".join(case.__name__ for case in ALL))
    options = parser.parse_args()
    options.kills = options.kills or (20 if options.short else 300)
    if os.geteuid() != 0:
        sys.exit("tests/faults: needs root, because it mounts small file systems")
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
