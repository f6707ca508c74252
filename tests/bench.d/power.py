"""Power loss: what the gateway did to its data folder is recorded call by call (preload.c), and folders are made of it
as a machine might find them that lost its power at some instant: everything that was synced by then, and of what was
not, a seeded part: dropped, torn at sectors, in another order.

The model is as strict as POSIX lets a file system be. A file's bytes and length are safe by an fsync or fdatasync of
that file that began behind the write; a name only by an fsync of its folder. `sync_file_range` saves nothing. Of what
is not safe, each sector of 512 bytes has the state of any moment since the last sync, on its own.
"""

import os
import random
import re
import shutil
import stat
import struct
from pathlib import Path

SECTOR = 512
HEAD = struct.Struct("=5Q")
WAYS = ("nothing", "torn", "torn", "torn", "prefix", "all")


class File:
    def __init__(self, name):
        self.name = name
        self.safe, self.live = bytearray(), bytearray()
        self.pending = []  # (end of its record, kind, place, bytes or length)

    def do(self, end, kind, at, what):
        self.pending.append((end, kind, at, what))
        apply(self.live, kind, at, what)

    def sync(self, covered):
        done = [one for one in self.pending if one[0] <= covered]
        for _, kind, at, what in done:
            apply(self.safe, kind, at, what)
        self.pending = self.pending[len(done):]

    def found(self, way, chance, until):
        """The bytes that a start finds."""
        if way == "nothing" or not self.pending:
            return bytes(self.safe)
        if way in ("all", "prefix"):
            found = bytearray(self.safe)
            for end, kind, at, what in self.pending:
                if end <= until:
                    apply(found, kind, at, what)
            return bytes(found)
        # Lengths are one after the other, so those that came through are the first ones.
        found, rest = bytearray(self.safe), self.pending
        lengths = [i for i, one in enumerate(rest) if one[1] != "W"]
        if lengths and (cut := chance.choice([None, *lengths])) is not None:
            for _, kind, at, what in rest[:cut + 1]:
                apply(found, kind, at, what)
            rest = rest[cut + 1:]
        parts, whole = {}, bytearray(found)
        sizes = [len(found)]
        for _, kind, at, what in rest:
            if kind != "W":
                continue
            apply(whole, kind, at, what)
            sizes.append(len(whole))
            for sector in range(at // SECTOR, (at + len(what) - 1) // SECTOR + 1):
                first, last = max(at, sector * SECTOR), min(at + len(what), (sector + 1) * SECTOR)
                parts.setdefault(sector, []).append((first, what[first - at:last - at]))
        size = chance.choice(sizes)
        for sector in sorted(parts):
            for at, what in parts[sector][:chance.randint(0, len(parts[sector]))]:
                apply(found, "W", at, what)
        apply(found, "T", size, None)
        return bytes(found)


class Folder:
    def __init__(self):
        self.safe, self.live = {}, {}
        self.pending = []  # (end of its record, {name: file, folder or None})

    def do(self, end, names):
        self.pending.append((end, names))
        name_all(self.live, names)

    def sync(self, covered):
        done = [one for one in self.pending if one[0] <= covered]
        for _, names in done:
            name_all(self.safe, names)
        self.pending = self.pending[len(done):]

    def found(self, way, chance, until):
        names = dict(self.safe)
        for end, changed in self.pending:
            keep = {"nothing": False, "all": True, "prefix": end <= until}.get(way)
            if chance.random() < 0.5 if keep is None else keep:
                name_all(names, changed)
        return names


def apply(content, kind, at, what):
    if kind == "T":
        if at <= len(content):
            del content[at:]
            return
    if kind in "TG":
        content.extend(bytes(max(0, at - len(content))))
        return
    content.extend(bytes(max(0, at - len(content))))
    content[at:at + len(what)] = what


def name_all(names, changed):
    for name, what in changed.items():
        if what is None:
            names.pop(name, None)
        else:
            names[name] = what


def found(root):
    """What lies in a folder before it is recorded, and is safe: (inode, path, bytes or None)."""
    below = sorted(path for path in root.rglob("*") if not path.is_socket())
    return [(path.stat().st_ino, path, None if path.is_dir() else path.read_bytes()) for path in below]


class Recording:
    """A log of preload.c, followed to one instant after the other."""

    def __init__(self, log, root, blind=None, before=None):
        """`blind` names files whose syncs do not count; `before` is what was there at first, from `found`."""
        self.blind = blind
        self.before_syncs = []
        self.bytes = log.read_bytes()
        self.root_path = str(root)
        self.at = 0
        self.root = Folder()
        self.open = {os.stat(root).st_ino: self.root}
        self.heard = []  # (place, bytes sent)
        # Of the journal that is made small: where the new one begins, and where it takes the old one's place.
        self.made_new, self.exchanges = 0, []
        for inode, path, content in before or []:
            folder, name = self.place(str(path).encode())
            thing = self.open[inode] = Folder() if content is None else File(name)
            folder.safe[name] = folder.live[name] = thing
            if content is not None:
                thing.safe, thing.live = bytearray(content), bytearray(content)
        self.calls = 0

    def ends(self):
        """Where each record ends."""
        found, at = [], 0
        while at + HEAD.size <= len(self.bytes):
            at += HEAD.size + HEAD.unpack_from(self.bytes, at)[4]
            if at <= len(self.bytes):
                found.append(at)
        return found

    def follow(self, until):
        while self.at + HEAD.size <= len(self.bytes):
            kind, a, b, _, length = HEAD.unpack_from(self.bytes, self.at)
            end = self.at + HEAD.size + length
            if end > min(until, len(self.bytes)):
                return
            self.take(chr(kind), a, b, self.bytes[self.at + HEAD.size:end], end)
            self.at = end
            self.calls += 1

    def take(self, kind, a, b, what, end):
        if kind == "S":
            self.heard.append((end, what))
        elif kind == "Y":
            thing = self.open.get(a)
            if thing and not (self.blind and isinstance(thing, File) and thing.name.endswith(self.blind)):
                self.before_syncs.append(self.at)
                thing.sync(b)
        elif kind == "W":
            self.file(a).do(end, "W", b, what)
        elif kind in "TG":
            self.file(a).do(end, kind, b, None)
        elif kind in "CD":
            folder, name = self.place(what)
            if name == "journal.new":
                self.made_new = self.made_new or end
            made = self.open[a] = File(name) if kind == "C" else Folder()
            folder.do(end, {name: made})
        elif kind == "U":
            folder, name = self.place(what)
            folder.do(end, {name: None})
        elif kind == "R":
            (old, old_name), (new, new_name) = (self.place(path) for path in what.split(b"\0"))
            moved = old.live[old_name]
            if old is new:
                old.do(end, {old_name: None, new_name: moved})
            else:
                new.do(end, {new_name: moved})
                old.do(end, {old_name: None})
        elif kind == "X":
            (one, one_name), (other, other_name) = (self.place(path) for path in what.split(b"\0"))
            if one is not other:
                raise RuntimeError("names of two folders are exchanged")
            one.do(end, {one_name: one.live[other_name], other_name: one.live[one_name]})
            self.exchanges.append(end)
        else:
            raise RuntimeError(f"a record of kind {kind!r}")

    def file(self, inode):
        return self.open[inode]

    def place(self, path):
        """The folder and the name in it."""
        steps = path.decode().removeprefix(self.root_path).strip("/").split("/")
        folder = self.root
        for step in steps[:-1]:
            folder = folder.live[step]
        return folder, steps[-1]

    def make(self, into, way, seed):
        """The folder as it would be found."""
        chance = random.Random(seed)
        pending = sorted({one[0] for thing in self.open.values() for one in thing.pending})
        until = {"all": self.at, "nothing": 0}.get(way)
        if until is None:
            until = chance.choice([0, *pending])
        shutil.rmtree(into, ignore_errors=True)

        def write(folder, path):
            path.mkdir(mode=0o700)
            for name, thing in sorted(folder.found(way, chance, until).items()):
                if isinstance(thing, Folder):
                    write(thing, path / name)
                else:
                    (path / name).write_bytes(thing.found(way, chance, until))
                    (path / name).chmod(0o600)

        write(self.root, into)

    def differs(self, folder):
        """The self-check: with nothing lost, the replay is what the gateway left. The first thing that differs."""
        def look(thing, path):
            there = {one.name for one in path.iterdir() if not stat.S_ISSOCK(one.lstat().st_mode)}
            there -= {"control.sock"}
            named = set(thing.live) - {"control.sock"}
            if there != named:
                return f"{path}: {sorted(there ^ named)[:3]}"
            for name in sorted(named):
                one = thing.live[name]
                if isinstance(one, Folder):
                    if found := look(one, path / name):
                        return found
                elif bytes(one.live) != (path / name).read_bytes():
                    return str(path / name)
            return None
        return look(self.root, folder)


SUCCESS = re.compile(rb"\x00\x00\x00\x09\x02\x00\x00\x00\x00\x00")
RESPONSE = re.compile(rb"\x00\x00\x00\x01\x02\x00\x00\x00\x01\x80")
UID = re.compile(rb"\x00\x00\x00\x10(.)\x00\x00\x00(?=[0-2]\.)", re.S)
ACCEPTED = re.compile(rb"HTTP/1\.1 202 .*?ocation: /api/v1/imports/([0-9a-f-]{32,36})", re.S)


def acknowledged(heard, uploads):
    """(place, UIDs) of every success that was sent: C-STORE responses (PS3.7 9.3.1.2) and HTTP 202."""
    found = []
    for place, what in heard:
        if RESPONSE.search(what) and SUCCESS.search(what):
            uid = UID.search(what)
            if uid is None:
                raise RuntimeError("a C-STORE response without its instance")
            found.append((place, [what[uid.end():uid.end() + uid[1][0]].rstrip(b"\0").decode()]))
        elif answer := ACCEPTED.search(what):
            # An upload whose sender was cut off before it knew is not in the books.
            found.append((place, uploads.get(answer[1].decode(), [])))
    return found
