"""Fault cases of the machine: power loss, clocks that jump, writes cut short, a slow disk."""

import random
import struct
import sys
import time

from load import Ledger
from power import WAYS, Recording, acknowledged
from scene import Scene, preload
from stand import fresh


def power_loss(folder, options):
    """The power goes at random instants, and what was not synced is dropped, torn and reordered."""
    chance = random.Random(options.seed + 7)
    fresh(folder)
    (folder / "lotse/data").mkdir(parents=True, mode=0o700)
    log, root = folder / "calls.log", folder / "lotse/data"
    scene = Scene(folder, options.seed + 7, environment=preload(log=log, root=root), keep=True)
    total = {"instants": 0, "calls": 0, "dropped": 0, "lost": 0, "changed": 0, "acknowledged": 0}
    said = []
    try:
        # Nothing leaves while it is recorded, so that everything acknowledged has to be in the folder.
        scene.sink.kill()
        scene.load.pause = 0.3
        scene.load.start()
        time.sleep(4 if options.short else 8)
        scene.kill()
        scene.load.stop()
        recording = Recording(log, root, options.blind)
        ends = recording.ends()
        whole = Recording(log, root, options.blind)
        whole.follow(ends[-1])
        if differs := whole.differs(root):
            raise RuntimeError(f"the recording is not what was done: {differs}")
        total["calls"] = whole.calls
        heard = acknowledged(whole.heard, scene.load.uploads)
        known = set(scene.load.acknowledged)
        if missed := known - {uid for _, uids in heard for uid in uids}:
            raise RuntimeError(f"{len(missed)} acknowledgments were not seen leaving")
        root.rename(folder / "recorded")
        scene.gateway.environment = None
        # Right behind an acknowledgment, where a loss would show; right before a sync, where most is unsafe; anywhere.
        places = [[place for place, _ in heard], whole.before_syncs, ends]
        count = 8 if options.short else options.instants
        instants = sorted(chance.choice(places[i % 3]) for i in range(count))
        for number, instant in enumerate(instants):
            recording.follow(instant)
            way, seed = WAYS[number % len(WAYS)], options.seed + number
            recording.make(root, way, seed)
            expected = {uid for place, uids in heard if place <= instant for uid in uids}
            total["dropped"] += sum(len(thing.pending) for thing in recording.open.values())
            lost, changed, alarms = found_again(scene, expected)
            total["instants"] += 1
            total["acknowledged"] += len(expected)
            total["lost"] += len(lost)
            total["changed"] += len(changed)
            if lost or changed or alarms:
                said.append(f"instant {instant}, {way}, seed {seed}: {len(lost)} lost, {len(changed)} changed; {alarms}"[:300])
                # As it was found, to be looked at.
                recording.make(folder / f"bad-{instant}", way, seed)
            if (number + 1) % 10 == 0:
                print(f"tests/faults: power lost {number + 1} times, {total['lost']} lost", file=sys.stderr)
        passed = not total["lost"] and not total["changed"] and total["acknowledged"] > 0 and total["dropped"] > 0
        return {"case": "power loss", **total, "repeated": 0, "said": said[:5], "passed": passed and not said}
    finally:
        scene.close()


def found_again(scene, expected, patience=30):
    """Starts the gateway on its folder and waits for what was acknowledged: what is lost, changed, and alarms."""
    (scene.folder / "sink.log").unlink(missing_ok=True)
    fresh(scene.kept)
    scene.begin_sink()
    try:
        scene.start()
    except SystemExit as error:
        return expected, set(), str(error)
    try:
        end = time.monotonic() + patience
        while True:
            stored = Ledger(scene.folder / "sink.log").stored
            lost = expected - stored.keys()
            if not lost or time.monotonic() > end:
                break
            time.sleep(0.1)
        alarms = scene.gateway.call("GET", "/status")[1].get("alarms", [])
        changed = {uid for uid in expected - lost if scene.made.differs(uid, (scene.kept / uid).read_bytes())}
        return lost, changed, "; ".join(alarms)
    finally:
        scene.kill()


def clock_jumps(folder, options):
    """The wall clock jumps by hours, forwards and back, while it runs and between two runs."""
    fresh(folder)
    clock = folder / "clock"
    clock.write_bytes(struct.pack("=q", 0))

    def jump(hours):
        with open(clock, "r+b") as file:
            file.write(struct.pack("=q", hours * 3600))

    scene = Scene(folder, options.seed + 8, environment=preload(clock=clock), keep=True)
    try:
        scene.sink.kill()  # so that everything lives through the jumps
        scene.load.pause = 0.2
        scene.load.start()
        alarms = set()
        for hours in (5, -9, 12, -20, 0):
            time.sleep(1.5)
            jump(hours)
            time.sleep(1)
            alarms.update(alarm for alarm in scene.gateway.call("GET", "/status")[1]["alarms"] if "jumped" in alarm)
            # Back, and half of the way again while it does not run.
            if hours < 0:
                scene.kill()
                jump(hours // 2)
                scene.start()
        scene.load.stop()
        scene.begin_sink()
        scene.settle()
        return scene.judge("clock jumps", passed=len(alarms) >= 4, alarms=len(alarms))
    finally:
        scene.close()


def short_writes(folder, options):
    """Every third write takes half of its bytes."""
    fresh(folder)
    (folder / "lotse/data").mkdir(parents=True, mode=0o700)
    scene = Scene(folder, options.seed + 9, environment=preload(root=folder / "lotse/data", short=3), keep=True)
    try:
        scene.load.start()
        for _ in range(5):
            time.sleep(1)
            scene.kill()
            scene.start()
        time.sleep(1)
        scene.load.stop()
        scene.settle()
        return scene.judge("short writes")
    finally:
        scene.close()


def slow_disk(folder, options):
    """Every sync takes three seconds: slow, and it says so, but nothing fails and nothing is lost."""
    fresh(folder)
    (folder / "lotse/data").mkdir(parents=True, mode=0o700)
    scene = Scene(
        folder, options.seed + 10, environment=preload(root=folder / "lotse/data", slow_ms=3000), keep=True,
    )
    try:
        scene.load.start()
        time.sleep(25)
        alarms = [one for one in scene.gateway.call("GET", "/status")[1]["alarms"] if "slow" in one]
        alive = scene.gateway.call("GET", "/healthz")[0] == 200
        refused = scene.load.refused
        scene.kill()
        scene.gateway.environment = None
        scene.start()
        scene.load.stop()
        scene.settle()
        said = alarms[0] if alarms else ""
        return scene.judge("slow disk", passed=bool(said) and alive and not refused, said=said)
    finally:
        scene.close()
