"""Downloads as large as they come: what the gateway's memory does, and whether it tells the truth about progress."""

import time
import zipfile

import data
from portal import Portal
from stand import Gateway

# What the gateway may hold in memory at most, whatever the size of the download.
MOST_MIB = 150
GIB = 1 << 30


class Holes:
    """A file that skips what is zero: 4 GiB of it cost no disk."""

    def __init__(self, path):
        self.file = open(path, "wb")

    def write(self, piece):
        if len(piece) >= 1 << 16 and not any(piece):
            self.file.seek(len(piece), 1)
        else:
            self.file.write(piece)
        return len(piece)

    def __getattr__(self, name):
        return getattr(self.file, name)


def archive(path, size):
    """A ZIP of about this size: one object, and a filler that is no DICOM."""
    if path.exists():
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    made = data.dataset(data.CT, data.uid(9, 0, 1), data.uid(9, 0), data.uid(9, 0, 2), 1, 64, 64)
    data.save(made, path.with_suffix(".dcm"), bytes(64 * 64 * 2))
    holes = Holes(path.with_suffix(".part"))
    with zipfile.ZipFile(holes, "w", zipfile.ZIP_STORED) as opened:
        opened.write(path.with_suffix(".dcm"), "DICOM/IM000001")
        zeros = bytes(1 << 20)
        with opened.open("FILLER.BIN", "w", force_zip64=True) as entry:
            for _ in range(size // len(zeros)):
                entry.write(zeros)
    holes.close()
    path.with_suffix(".part").rename(path)
    return path


def fetch(stage, path, **habits):
    """One download; what it cost, what was told of it, and how much memory it took."""
    room = stage.room()
    allow = '[portals.bench]\nhosts = ["127.0.0.1"]\nallow-private = true\nallow-http = true\n'
    with Portal(path, **habits) as portal, Gateway(room / "lotse", extra=allow) as gateway:
        data.worklist(room / "lotse/worklist")
        before, begun = gateway.cpu(), time.perf_counter()
        request = f'{{"link": "{portal.link}", "answers": {{"PAT_BIRTH_DATE": "1970-01-31"}}}}'
        status, made = gateway.call("POST", "/api/v1/imports", request)
        if status != 202:
            raise RuntimeError(f"refused with {status}: {made}")
        told, last = [], 0
        while (seen := gateway.show(made["id"]))["state"] in ("Requested", "Downloading"):
            progress, now = seen["progress"], time.perf_counter() - begun
            if progress["stage"] == "Downloading":
                if progress["bytes"] < last or progress.get("totalBytes", path.stat().st_size) != path.stat().st_size:
                    raise RuntimeError(f"progress went back, or its total is wrong: {progress}")
                last = progress["bytes"]
                told.append((now, last, progress.get("bytesPerSecond"), progress.get("secondsLeft")))
            time.sleep(0.25)
        seconds, used, peak = time.perf_counter() - begun, gateway.cpu() - before, gateway.memory()
        if seen["state"] in ("Failed", "Asking") and "DICOM" not in seen["nextStep"]:
            raise RuntimeError(f"{seen['state']}: {seen['nextStep']}")
        return portal, seconds, used, peak, told


def honest(told, seconds):
    """The largest error of the time left as told in the middle half, as a share of what was left indeed."""
    wrong = [
        abs(left - (seconds - at)) / (seconds - at)
        for at, _, rate, left in told
        if left is not None and rate and 0.25 * seconds < at < 0.75 * seconds
    ]
    return max(wrong) if wrong else None


def download(stage, book):
    """4 GiB at full speed, cut in the middle twice and resumed, and at 1 MB/s with stalls: the last takes 75 minutes."""
    size = GIB // 8 if stage.small else 4 * GIB
    large = archive(data.CACHE / f"download-{size >> 20}.zip", size)
    slow = archive(data.CACHE / "download-24.zip", 24 << 20) if stage.small else large
    whole = large.stat().st_size
    cases = {
        "download, full speed": (large, {}),
        "download, cut and resumed": (large, {"cuts": (whole // 3, whole // 2)}),
        "download, 1 MB/s with stalls": (slow, {"rate": 1e6, "stall": 8, "stall_every": slow.stat().st_size // 16}),
    }
    for case, (path, habits) in cases.items():
        portal, seconds, used, peak, told = fetch(stage, path, **habits)
        length = path.stat().st_size
        cuts = len(habits.get("cuts", ()))
        if (portal.downloads, portal.ranges) != (1 + cuts, cuts):
            raise RuntimeError(f"{case}: {portal.downloads} downloads, {portal.ranges} of them from the middle")
        book.enter(case, "size MiB", {"lotse": [length / (1 << 20)]})
        book.enter(case, "MB/s", {"lotse": [length / 1e6 / seconds]})
        book.enter(case, "CPU s/GB", {"lotse": [used / (length / 1e9)]})
        book.enter(case, "peak MiB", {"lotse": [peak]})
        if (error := honest(told, seconds)) is not None:
            book.enter(case, "largest error of time left", {"lotse": [error]})
        if peak > MOST_MIB:
            raise RuntimeError(f"{case}: {peak:.0f} MiB of memory, more than {MOST_MIB}")
