"""hostile.py ZIP GOOD: an archive of hostile Part 10 files around one good one, and prints their names.

Nested sequences, declared lengths, inflation, and files that merely end too early.
"""
import struct
import sys
import zipfile
import zlib

CT = b"1.2.840.10008.5.1.4.1.1.2\0"
BOMB = 512 << 20


def short(group, element, vr, value):
    return struct.pack("<HH", group, element) + vr + struct.pack("<H", len(value)) + value


def long(group, element, vr, length):
    return struct.pack("<HH", group, element) + vr + b"\0\0" + struct.pack("<I", length)


def head(number, syntax=b"1.2.840.10008.1.2.1\0"):
    uid = b"1.2.3.%d" % number
    uid += b"\0" * (len(uid) % 2)
    meta = long(2, 1, b"OB", 2) + b"\0\1" + short(2, 2, b"UI", CT) + short(2, 3, b"UI", uid)
    meta += short(2, 0x10, b"UI", syntax) + short(2, 0x12, b"UI", b"1.2.3\0")
    start = b"\0" * 128 + b"DICM" + short(2, 0, b"UL", struct.pack("<I", len(meta))) + meta
    return start, short(8, 0x16, b"UI", CT) + short(8, 0x18, b"UI", uid)


def whole(number, body):
    start, identity = head(number)
    return start + identity + body


NESTED = long(0x0040, 0xA730, b"SQ", 0xFFFFFFFF) + struct.pack("<HHI", 0xFFFE, 0xE000, 0xFFFFFFFF)


def deflated(number):
    start, identity = head(number, b"1.2.840.10008.1.2.1.99")
    deflate = zlib.compressobj(1, zlib.DEFLATED, -15)
    body = [deflate.compress(identity + long(0x7FE0, 0x10, b"OW", BOMB))]
    zeros = bytes(1 << 20)
    body += [deflate.compress(zeros) for _ in range(BOMB >> 20)]
    return start + b"".join(body) + deflate.flush()


FILES = {
    "NEST20T": whole(1, NESTED * 20_000),
    "NEST200T": whole(2, NESTED * 200_000),
    "PIX4G": whole(3, long(0x7FE0, 0x10, b"OW", 0xFFFFFFFE) + b"x" * 100),
    "UC3G": whole(4, long(0x0008, 0x0119, b"UC", 0xC0000000) + b"x" * 100),
    "PRIV3G": whole(5, short(9, 0x10, b"LO", b"ABCD") + long(9, 0x1001, b"OB", 0xC0000000) + b"x" * 100),
    "META4G": b"\0" * 128 + b"DICM" + struct.pack("<HH", 2, 0) + b"UL" + struct.pack("<HI", 4, 0xFFFFFFFF),
    "METAVAL": b"\0" * 128 + b"DICM" + struct.pack("<HH", 2, 0) + b"UL" + struct.pack("<HI", 4, 200)
    + long(2, 1, b"OB", 0xF0000000) + b"x" * 200,
    "CUT": whole(6, short(0x10, 0x10, b"PN", b"ABC^DEF ") + b"\x10\0\x20\0LO\x40"),
    "DEFLATE": deflated(7),
}


def main():
    target, good = sys.argv[1:]
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        archive.write(good, "GOOD")
        for name, content in FILES.items():
            archive.writestr(name, content)
        # Zeros that claim to be an image: the archive's own compression is the bomb.
        with archive.open("ZEROS", "w", force_zip64=True) as entry:
            entry.write(whole(8, long(0x7FE0, 0x10, b"OW", BOMB - 4096)))
            for _ in range(BOMB >> 20):
                entry.write(bytes(1 << 20))
    print(*FILES, "ZEROS")


main()
