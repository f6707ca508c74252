"""Media as large as they come: what the gateway's memory does while they go through."""

import collections
import time
import zipfile

import data
from stand import Gateway, Process, free_port

# What the gateway may hold in memory at most, whatever the medium's size.
MOST_MIB = 150


def archive(folder, small):
    """A ZIP of more than 4 GiB (zip64), every fourth file deflated, as portals and viewers mix them."""
    count, study = (600 if small else 8600), data.uid(7, 0)
    pixels = [data.noise(seed, 512, 512).tobytes() for seed in range(8)]
    with zipfile.ZipFile(folder / "large.zip", "w", zipfile.ZIP_STORED) as opened:
        path = folder / "one.dcm"
        for number in range(count):
            made = data.dataset(data.CT, data.uid(7, 0, 1, number), study, study + ".1", number, 512, 512)
            data.save(made, path, pixels[number % 8])
            packed = zipfile.ZIP_DEFLATED if number % 4 == 0 else zipfile.ZIP_STORED
            opened.write(path, f"DICOM/IM{number:06d}", packed, 1)
        path.unlink()
    return count


MADE = {"large": archive}


def media(stage, book):
    """Uploads of 4 GiB and 1.5 GiB, delivered to a PACS that keeps nothing."""
    data.MAKERS.update(MADE)
    cases = {
        "medium, ZIP": data.get("large", stage.small) / "large.zip",
        "medium, one multi-frame": data.get("big", stage.small) / "big.dcm",
        "medium, one multi-frame in a ZIP": data.get("film", stage.small) / "film.zip",
    }
    for case, path in cases.items():
        count = 1
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as opened:
                count = len(opened.namelist())
        size = path.stat().st_size
        rates, costs, peaks, sizes = (collections.defaultdict(list) for _ in range(4))
        for name in stage.turns(["lotse"]):
            room = stage.room()
            port = free_port()
            sink = Process(["storescp", "--fork", "--ignore", "--aetitle", "PACS", port], room / "sink.log", port)
            with sink, Gateway(room / "lotse", port) as gateway:
                data.worklist(room / "lotse/worklist")
                before, begun = gateway.cpu(), time.perf_counter()
                made = gateway.upload(path, {"accessionNumber": data.ACCESSION})
                seen = gateway.wait(made, lambda seen: seen["state"] in ("Closed", "Failed"), 3600, 0.5)
                seconds, used, peak = time.perf_counter() - begun, gateway.cpu() - before, gateway.memory()
            if seen["counts"]["delivered"] != count:
                raise RuntimeError(f"{case}: {seen['counts']} of {count}, {seen['nextStep']}")
            rates[name].append(size / 1e6 / seconds)
            costs[name].append(used / (size / 1e9))
            peaks[name].append(peak)
            sizes[name].append(size / (1 << 20))
        book.enter(case, "size MiB", sizes)
        book.enter(case, "MB/s", rates)
        book.enter(case, "CPU s/GB", costs)
        book.enter(case, "peak MiB", peaks)
        if max(peaks["lotse"]) > MOST_MIB:
            raise RuntimeError(f"{case}: {max(peaks['lotse']):.0f} MiB of memory, more than {MOST_MIB}")
