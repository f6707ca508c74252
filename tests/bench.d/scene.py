"""What every fault test has: a gateway, senders, a PACS that logs, and the question what became of it all."""

import http.client
import subprocess
import time
from pathlib import Path

import data
from load import Ledger, Load, Made
from stand import PEER, TARGET, Gateway, Process, free_port, fresh, run

PEERS = ("BENCH0", "BENCH1", "BENCH2", "BENCH3")
# What is in flight when the sender stops has to be in the PACS after this many seconds.
DRAINING = 60
# The API lists fifty imports at a time.
PAGES = 20


class Scene:
    """A gateway, a PACS that logs, and what was sent."""

    def __init__(self, folder, seed, sink=(), data_dir=None, extra="", environment=None, keep=False, ris=None, burst="30s"):
        self.folder = folder if keep else fresh(folder)
        self.kept = fresh(folder / "kept")
        self.port = free_port()
        self.options = sink
        # Imports that a person had to press retry for.
        self.held = 0
        self.sink = None
        self.begin_sink(*sink)
        self.made = Made(seed)
        (folder / "lotse/worklist").mkdir(parents=True)
        data.worklist(folder / "lotse/worklist")
        self.gateway = Gateway(
            folder / "lotse", self.port, policy="automatic", quiet="1s", peers=PEERS, data=data_dir, extra=extra,
            environment=environment, ris=ris, burst=burst,
        )
        self.load = Load(self.gateway, self.made, folder)

    def begin_sink(self, *options):
        if self.sink:
            self.sink.kill()
        log = self.folder / "sink.log"
        self.end_era()
        self.sink = Process(
            [PEER, "drain", self.port, f"log={log}", f"keep={self.kept}", *options], self.folder / "sink.out", self.port,
        )

    def kill(self):
        self.gateway.kill()
        # What had left by then is written down before the next start sends anything.
        end = time.monotonic() + 30
        while self.sink.process.poll() is None and Ledger(self.folder / "sink.log").open and time.monotonic() < end:
            time.sleep(0.01)
        self.end_era()

    def end_era(self):
        with open(self.folder / "sink.log", "a") as log:
            log.write("era\n")

    def start(self):
        self.gateway.begin()

    def retry_held(self):
        """Presses retry where the gateway asks a person to: it was cut off too often at a study, or the disk failed."""
        try:
            for state in ("Quarantined", "Failed"):
                for _ in range(PAGES):
                    held = self.gateway.call("GET", f"/api/v1/imports?state={state}")[1]["imports"]
                    ours = [one["id"] for one in held if "retry" in one["nextStep"]]
                    for import_id in ours:
                        self.gateway.call("POST", f"/api/v1/imports/{import_id}/retry", "")
                    self.held += len(ours)
                    if not ours:
                        break
        except (OSError, http.client.HTTPException):
            pass  # it is not there; the next look tries again

    def settle(self, patience=DRAINING):
        """Waits until everything acknowledged is in the PACS; true if it is. Goes on as long as more arrives."""
        end, stored = time.monotonic() + patience, -1
        while time.monotonic() < end:
            begun = time.monotonic()
            self.retry_held()
            if (now := len(Ledger(self.folder / "sink.log").stored)) > stored:
                end, stored = begun + patience, now
            if self.missing(Ledger(self.folder / "sink.log")) == set():
                return True
            # Long books take long to read, and the gateway needs the machine.
            time.sleep(max(0.5, 4 * (time.monotonic() - begun)))
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
        by_one_cut, wrong = ledger.repeats()
        # A PACS that drops or delays what it was sent has itself to blame.
        wrong = [] if self.options else wrong
        result = {
            "case": case, "acknowledged": len(self.load.acknowledged), "refused": self.load.refused,
            "lost": len(lost), "changed": len(changed), "repeated": repeated,
            "held": self.held, "mostRequests": max(ledger.requests.values(), default=0),
            "cuts": len(ledger.eras) - 1, "mostRepeatedByOneCut": by_one_cut, "repeatedWrongly": len(wrong), **more,
        }
        if lost:
            result["lostWays"] = sorted({self.load.acknowledged[uid] for uid in lost})
            result["nextSteps"] = self.unfinished()
        if wrong:
            result["wrong"] = wrong[:5]
        if changed:
            result["changedWhat"] = sorted(set(changed.values()))
        result["passed"] = not lost and not changed and not wrong and bool(self.load.acknowledged) and more.get("passed", True)
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


def preload(**settings):
    """The environment in which the gateway meets the faults of `preload.c`, built by the way."""
    source, library = Path(__file__).with_name("preload.c"), TARGET / "test-env/preload.so"
    if not library.exists() or library.stat().st_mtime < source.stat().st_mtime:
        part = library.with_suffix(".part")
        run(["gcc", "-shared", "-fPIC", "-O2", "-Wall", "-Wextra", "-Werror", "-o", part, source], TARGET / "test-env/gcc.log")
        part.rename(library)
    return {"LD_PRELOAD": str(library), **{f"FAULTS_{key.upper()}": str(value) for key, value in settings.items()}}
