"""tests/bench: Lotse and its peers side by side, in one run.

Every figure is the median of as many runs, the subjects of a case taking turns, so that a busy moment of the
machine meets all of them. `ratio` is value / peerValue: more is better for rates, less for CPU and memory.
The floor is what this machine can do at all: the same senders into a bare PDU drain, and then the same bytes
written in one row and synced. `floorRatio` is our rate against that. A second floor is a receiver that syncs each
object and a record of it before it answers, and does nothing else.
"""

import argparse
import json
import os
import signal
import statistics
import subprocess
import sys
import time
from pathlib import Path

import data
import groups
from stand import TARGET


class Book:
    """The figures of one bench."""

    def __init__(self, runs):
        self.runs = runs
        self.rows = []

    def enter(self, case, unit, values, floor=None, subject="lotse"):
        """`values` by subject; a row for each peer of the subject."""
        middle = {name: statistics.median(found) for name, found in values.items() if found}
        ours = middle.pop(subject)
        low = statistics.median(floor) if floor else None
        for peer, value in middle.items() or [(None, None)]:
            self.rows.append({
                "case": case, "subject": subject, "peer": peer, "unit": unit, "value": short(ours),
                "peerValue": short(value), "ratio": short(ours / value if value else None),
                "floorRatio": short(ours / low if low else None), "runs": len(values[subject]),
            })
            print(line(self.rows[-1]), flush=True)


COLUMNS = ["case", "subject", "peer", "unit", "value", "peerValue", "ratio", "floorRatio", "runs"]


def short(value):
    return value if value is None or isinstance(value, int) else float(f"{value:.4g}")


def line(row):
    return "| " + " | ".join("" if row[key] is None else str(row[key]) for key in COLUMNS) + " |"


def main():
    parser = argparse.ArgumentParser(prog="tests/bench", description=__doc__)
    parser.add_argument("groups", nargs="*", metavar="GROUP", help=f"of {', '.join(groups.ALL)}; default: all")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the rows as JSON too")
    parser.add_argument("--runs", type=int, default=5, help="runs of each subject; default 5")
    parser.add_argument("--small", action="store_true", help="a tenth of the data, for a look")
    parser.add_argument("--with-dicom-rs", action="store_true", help="build and measure dicom-storescp (takes minutes)")
    options = parser.parse_args()
    unknown = [name for name in options.groups if name not in groups.ALL]
    if unknown or options.runs < 1:
        parser.error(f"there is no group {unknown[0]}" if unknown else "at least one run")
    if options.with_dicom_rs:
        subprocess.run(
            ["cargo", "install", "--quiet", "--locked", "dicom-storescp", "--version", "0.10.1",
             "--root", str(TARGET / "test-env/dicom-rs")], check=True,
        )
    # So that the programs of a bench that is told to end are ended too.
    for told in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(told, lambda number, _: sys.exit(128 + number))
    data.CACHE = TARGET / "test-env/bench-data"
    stage = groups.Stage(TARGET / "test-env/bench-run", options.small, options.runs, options.with_dicom_rs)
    book = Book(options.runs)
    print(line({key: key for key in COLUMNS}))
    print("|" + " --- |" * len(COLUMNS), flush=True)
    failed = False
    for name in options.groups or groups.ALL:
        begun = time.monotonic()
        try:
            groups.ALL[name](stage, book)
        except Exception as error:  # one group that fails takes no figures of the others with it
            failed = True
            print(f"tests/bench: {name} failed: {error}", file=sys.stderr)
            if os.environ.get("BENCH_DEBUG"):
                raise
        print(f"tests/bench: {name} took {time.monotonic() - begun:.0f} s", file=sys.stderr)
        if options.json:
            options.json.write_text(json.dumps(book.rows, indent=1, ensure_ascii=False) + "\n")
    stage.clear()
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
