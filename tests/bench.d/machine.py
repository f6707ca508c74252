"""Fault cases of the machine: power loss, clocks that jump, writes cut short, a slow disk."""

import os
import random
import shutil
import struct
import sys
import time

from load import Ledger
from power import WAYS, Recording, acknowledged, found
from scene import Scene, preload
from stand import fresh, run

# Objects whose records fill the journal: so many come to more than the eight megabytes below which it is left alone.
OUTWORN = 6000


def power_loss(folder, options):
    """The power goes at random instants, and what was not synced is dropped, torn and reordered."""
    return lose_power(folder, options, "power loss", 8 if options.short else options.instants, options.blind)


def blind(folder, options):
    """The same with a disk that forgets what was synced of the journal: it has to be found out, and told."""
    result = lose_power(folder, options, "power loss, syncs of the journal do not count", 9, "ahead")
    told = [one for one in result["said"] if not one.endswith("; ")]
    return {**result, "lost": 0, "lostAsItHasTo": result["lost"], "passed": result["lost"] > 0 and bool(told)}


def lose_power(folder, options, case, count, blind_to):
    chance = random.Random(options.seed + 7)
    fresh(folder)
    (folder / "lotse/data").mkdir(parents=True, mode=0o700)
    log, root = folder / "calls.log", folder / "lotse/data"
    halt = folder / "halt"
    halt.write_bytes(bytes(1))
    scene = Scene(folder, options.seed + 7, environment=preload(log=log, root=root, halt=halt), keep=True)
    try:
        # Nothing leaves while it is recorded, so that everything acknowledged has to be in the folder.
        scene.sink.kill()
        scene.load.pause = 0.3
        scene.load.start()
        time.sleep(4 if options.short else 8)
        end_recording(halt)
        scene.kill()
        scene.load.stop()
        whole = replay(log, root)
        heard = acknowledged(whole.heard, scene.load.uploads)
        # Right behind an acknowledgment, where a loss would show; right before a sync, where most is unsafe; anywhere.
        places = [[place for place, _ in heard], whole.before_syncs, whole.ends()]
        instants = sorted(chance.choice(places[i % 3]) for i in range(count))
        return judge_instants(scene, options, case, whole, Recording(log, root, blind_to), instants, set())
    finally:
        scene.close()


def power_compaction(folder, options):
    """The power goes while the journal is made small and changes places with the old one."""
    chance = random.Random(options.seed + 12)
    log, root = folder / "calls.log", folder / "lotse/data"
    scene = Scene(folder, options.seed + 12)
    try:
        scene.sink.kill()
        # Records of what is erased at once, until most of the journal is dead.
        outworn(scene, folder / "outworn")
        scene.load.pause = 0.3
        scene.load.start()
        time.sleep(2)
        scene.kill()
        scene.load.stop()
        safe, before = set(scene.load.acknowledged), found(root)
        # It is made small at this start, and goes on receiving.
        halt = folder / "halt"
        halt.write_bytes(bytes(1))
        scene.gateway.environment = preload(log=log, root=root, halt=halt)
        scene.start()
        scene.load.ending.clear()
        scene.load.start()
        time.sleep(2)
        end_recording(halt)
        scene.kill()
        scene.load.stop()
        whole = replay(log, root, before)
        if len(whole.exchanges) != 1:
            raise RuntimeError(f"the journal was made small {len(whole.exchanges)} times")
        # Around the exchange of the names, and anywhere from the first byte of the new journal to the last of the old.
        ends = whole.ends()
        swap = ends.index(whole.exchanges[0])
        window = ends[ends.index(whole.made_new):swap + 400]
        syncs = [place for place in whole.before_syncs if window[0] <= place <= window[-1]]
        places = [ends[max(0, swap - 12):swap + 40], syncs, window]
        count = 8 if options.short else max(30, options.instants // 2)
        instants = sorted(chance.choice(places[i % 3]) for i in range(count))
        recording = Recording(log, root, options.blind, before)
        return judge_instants(scene, options, "power loss in compaction", whole, recording, instants, safe)
    finally:
        scene.close()


def outworn(scene, folder):
    """Imports that leave megabytes of records in the journal and are erased."""
    folder.mkdir()
    for i, (_, file) in enumerate(scene.made.batch(OUTWORN)):
        (folder / f"{i}.dcm").write_bytes(file)
    run(["storescu", "-nh", "+sd", "-aet", "BENCH0", "-aec", "LOTSE", "127.0.0.1", scene.gateway.port, folder],
        scene.folder / "outworn.log", 300)
    shutil.rmtree(folder)
    end = time.monotonic() + 120
    # What was erased stays in the list.
    while ids := [key.stem for key in (scene.gateway.data / "keys").glob("*.key")]:
        for one in ids:
            scene.gateway.call("DELETE", f"/api/v1/imports/{one}")
        if time.monotonic() > end:
            raise RuntimeError(f"{len(ids)} imports cannot be erased")


def end_recording(halt, patience=30):
    """Under load, between two calls: what a call does that is killed would not be in the log."""
    with open(halt, "r+b", buffering=0) as file:
        file.write(b"\1")
        end = time.monotonic() + patience
        while os.pread(file.fileno(), 1, 0) != b"\2":
            if time.monotonic() > end:
                raise RuntimeError("the gateway changes nothing although it is under load")
            time.sleep(0.01)


def replay(log, root, before=None):
    """The whole recording, held against what it made."""
    whole = Recording(log, root, before=before)
    whole.follow(whole.ends()[-1])
    if differs := whole.differs(root):
        raise RuntimeError(f"the recording is not what was done: {differs}")
    return whole


def judge_instants(scene, options, case, whole, recording, instants, safe):
    """Loses the power at each of these instants; `safe` was acknowledged before the recording."""
    total = {"instants": 0, "calls": whole.calls, "dropped": 0, "lost": 0, "changed": 0, "acknowledged": 0}
    said, root = [], scene.gateway.data
    heard = acknowledged(whole.heard, scene.load.uploads)
    if missed := set(scene.load.acknowledged) - safe - {uid for _, uids in heard for uid in uids}:
        raise RuntimeError(f"{len(missed)} acknowledgments were not seen leaving")
    root.rename(scene.folder / "recorded")
    scene.gateway.environment = None
    for number, instant in enumerate(instants):
        recording.follow(instant)
        way, seed = WAYS[number % len(WAYS)], options.seed + number
        recording.make(root, way, seed)
        expected = safe | {uid for place, uids in heard if place <= instant for uid in uids}
        total["dropped"] += sum(len(thing.pending) for thing in recording.open.values())
        lost, changed, alarms = found_again(scene, expected)
        total["instants"] += 1
        total["acknowledged"] += len(expected)
        total["lost"] += len(lost)
        total["changed"] += len(changed)
        if lost or changed or alarms:
            said.append(f"instant {instant}, {way}, seed {seed}: {len(lost)} lost, {len(changed)} changed; {alarms}"[:300])
            # As it was found, to be looked at.
            recording.make(scene.folder / f"bad-{instant}", way, seed)
        if (number + 1) % 10 == 0:
            print(f"tests/faults: power lost {number + 1} times, {total['lost']} lost", file=sys.stderr)
    passed = not total["lost"] and not total["changed"] and total["acknowledged"] > 0 and total["dropped"] > 0
    return {"case": case, **total, "repeated": 0, "said": said[:5], "passed": passed and not said}


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
