"""tests/faults --soak MINUTES: a hospital's day in so many minutes, and afterwards nothing may be left of it.

Bursts of C-STORE from several peers, uploads and portal pulls follow the hours of a day; the PACS and the RIS are away
several times. Retention is a matter of minutes, so imports come and go all the time. Lost is what was acknowledged and
is not in the PACS in the end. Memory, descriptors, threads, journal and disk are read every few seconds: no growth
from the second quarter to the last, and nothing left of spool and keys when everything has expired. Before the day
there is an hour at full load: when all of that has expired too, the gateway has everything that it keeps for ever, and
after the whole day it may not have more.
"""

import http.server
import io
import json
import math
import os
import random
import statistics
import sys
import threading
import time
import zipfile
from pathlib import Path

import data
from load import Ledger
from pydicom import dcmread
from pynetdicom import AE, evt
from scene import Scene
from stand import free_port

LOOK = 5
# MiB that the memory after the day may be more than after the first hour: what lies about by chance.
SPARE = 8
# Seconds at rest in which memory that is free goes back to the system.
REST = 30
AWAY = (0.08, 0.35, 0.62)  # when of the day the PACS goes; the RIS a little later
# The load of an hour against the busiest one.
HOURS = (1, 1, 1, 1, 1, 2, 4, 8, 10, 10, 9, 8, 6, 8, 10, 9, 7, 5, 3, 3, 2, 2, 1, 1)


class Portal:
    """Links that are a ZIP each; the objects are made when they are fetched for the first time."""

    def __init__(self, made):
        self.made, self.files, self.lock = made, {}, threading.Lock()
        portal = self

        class Door(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                zipped = portal.files.get(self.path, (None, b""))[1]
                self.send_response(200 if zipped else 404)
                self.send_header("Content-Type", "application/zip")
                self.send_header("Content-Length", str(len(zipped)))
                self.end_headers()
                self.wfile.write(zipped)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Door)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def offer(self):
        """A new link and what is behind it."""
        batch, out = self.made.batch(10), io.BytesIO()
        with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
            for i, (_, file) in enumerate(batch):
                archive.writestr(f"DICOM/{i:08d}", file)
        uids = [uid for uid, _ in batch]
        path = f"/{uids[0]}.zip"
        self.files[path] = (uids, out.getvalue())
        return f"http://127.0.0.1:{self.server.server_port}{path}", uids


class Ris:
    """Answers every worklist query with the one order."""

    def __init__(self, folder):
        data.worklist(folder)
        self.order = dcmread(folder / "order.wl")
        self.port, self.server = free_port(), None

    def begin(self):
        entity = AE("RIS")
        entity.add_supported_context(data.WORKLIST)
        order = self.order

        def find(_event):
            yield 0xFF00, order

        self.server = entity.start_server(("127.0.0.1", self.port), block=False, evt_handlers=[(evt.EVT_C_FIND, find)])

    def end(self):
        self.server.shutdown()


def bytes_below(folder):
    found = 0
    # Folders go meanwhile, which walk() takes as it is.
    for path, _, names in os.walk(folder):
        for name in names:
            try:
                found += os.lstat(os.path.join(path, name)).st_blocks * 512
            except OSError:
                pass
    return found


def look(gateway):
    """What the gateway uses now."""
    pid = gateway.pid
    status = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines() if ":" in line)
    return {
        "memoryMiB": round(int(status["RssAnon"].split()[0]) / 1024, 1),
        "threads": int(status["Threads"]),
        "descriptors": len(os.listdir(f"/proc/{pid}/fd")),
        "journalMiB": round(bytes_below(gateway.data / "journal") / 2**20, 2),
        "spoolMiB": round(bytes_below(gateway.data / "spool") / 2**20, 2),
        "keys": len(list((gateway.data / "keys").glob("*.key"))),
    }


def soak(folder, options):
    seconds = options.soak * 60
    limit = max(120, int(seconds / 4))
    ris = Ris(folder_made(folder / "order"))
    ris.begin()
    extra = (
        f'[retention]\nlimit = "{limit}s"\nafter-delivery = "{max(5, limit // 10)}s"\n'
        '[portals.soak]\nhosts = ["127.0.0.1"]\nallow-private = true\nallow-http = true\n'
    )
    scene = Scene(folder / "run", options.seed, extra=extra, ris=ris.port)
    portal = Portal(scene.made)
    looks, counted = [], {"links": 0, "pacsAway": 0, "risAway": 0}
    busy = {"share": 1}
    ending = threading.Event()

    def pull(chance):
        while not ending.is_set():
            link, uids = portal.offer()
            body = json.dumps({"link": link, "accessionNumber": data.ACCESSION})
            try:
                status, _ = scene.gateway.call("POST", "/api/v1/imports", body)
            except OSError:
                status = 0
            if status == 202:
                counted["links"] += 1
                for uid in uids:
                    scene.load.acknowledge(uid, "link")
            ending.wait(chance.uniform(0.5, 1.5) * pause(busy, 2))

    # In busy hours shorter than the quiet time: a burst that does not end by itself.
    scene.load.wait = lambda: pause(busy, 0.9)
    try:
        idle = look(scene.gateway)
        chance = random.Random(options.seed)
        begin(scene, pull, chance)
        time.sleep(min(120, seconds / 8))
        end(scene, ending)
        scene.settle(limit)
        warm = expired(scene.gateway, limit)
        print(f"tests/faults: soak, idle {idle}, after the first hour {warm}", file=sys.stderr)
        ending.clear()
        begin(scene, pull, chance)
        away, begun = {}, time.monotonic()
        while (passed := time.monotonic() - begun) < seconds:
            day = passed / seconds
            busy["share"] = HOURS[min(23, math.floor(day * 24))] / max(HOURS)
            # Twenty minutes of a day: minutes of an hour's outage.
            for index, start in enumerate(AWAY):
                switch(away, f"pacs{index}", start <= day < start + 0.04, scene.sink.kill, scene.begin_sink, counted, "pacsAway")
                switch(away, f"ris{index}", start + 0.06 <= day < start + 0.1, ris.end, ris.begin, counted, "risAway")
            looks.append(look(scene.gateway))
            if len(looks) % 12 == 0:
                print(f"tests/faults: soak {passed / 60:.0f} min, {len(scene.load.acknowledged)} acknowledged, {looks[-1]}",
                      file=sys.stderr)
            time.sleep(LOOK)
        end(scene, ending)
        delivered = scene.settle(limit)
        left = expired(scene.gateway, limit)
        grown = growth(looks, warm, left)
        known = scene.gateway.call("GET", "/status")[1]
        ledger = Ledger(scene.folder / "sink.log")
        lost = scene.missing(ledger)
        return {
            "case": "soak", "minutes": options.soak, "acknowledged": len(scene.load.acknowledged),
            "refused": scene.load.refused, "lost": len(lost), "changed": 0,
            "repeated": sum(1 for count in ledger.requests.values() if count > 1), **counted,
            "idle": idle, "warm": warm, "peak": {key: max(one[key] for one in looks) for key in idle}, "left": left,
            "quarters": quarters(looks), "grown": grown, "alarms": known.get("alarms", []),
            "passed": delivered and not lost and not grown and bool(scene.load.acknowledged),
        }
    finally:
        ending.set()
        scene.close()
        ris.end()
        portal.server.shutdown()


def begin(scene, pull, chance):
    scene.load.ending.clear()
    scene.load.threads.clear()
    scene.load.start()
    threading.Thread(target=pull, args=(chance,), daemon=True).start()


def end(scene, ending):
    ending.set()
    scene.load.stop()


def expired(gateway, limit):
    """What it uses when everything has expired and nothing comes."""
    end = time.monotonic() + limit + 60
    while look(gateway)["keys"] and time.monotonic() < end:
        time.sleep(LOOK)
    time.sleep(REST)
    return look(gateway)


def folder_made(folder):
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def pause(busy, seconds):
    """Between two arrivals of one sender: ten times as long at night."""
    return seconds / busy["share"]


def switch(away, name, wanted, end, begin, counted, what):
    if wanted and not away.get(name):
        end()
        counted[what] += 1
    if not wanted and away.get(name):
        begin()
    away[name] = wanted


def quarters(looks):
    """The median of every figure, a quarter of the day each."""
    length = max(1, len(looks) // 4)
    parts = [looks[i * length:(i + 1) * length] for i in range(4)]
    return {key: [round(statistics.median(one[key] for one in part), 2) for part in parts if part] for key in looks[0]}


def growth(looks, warm, left):
    """What is more than it should be, each as a sentence."""
    found = []
    for key, spare in (("memoryMiB", 16), ("descriptors", 16), ("threads", 8), ("journalMiB", 8)):
        _, second, _, last = (quarters(looks)[key] + [0] * 4)[:4]
        if last > second * 1.2 + spare:
            found.append(f"{key} grew from {second} to {last}")
    for key, spare in (("memoryMiB", SPARE), ("descriptors", 4), ("journalMiB", 8)):
        if left[key] > warm[key] + spare:
            found.append(f"{key} is {left[key]} after the day, and was {warm[key]} after its first hour")
    if left["keys"] or left["spoolMiB"] > 1:
        found.append(f"{left['keys']} keys and {left['spoolMiB']} MiB of spool outlive their time")
    if left["journalMiB"] > 32:
        found.append(f"the journal keeps {left['journalMiB']} MiB of nothing")
    return found
