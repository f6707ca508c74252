"""bad_media.py FOLDER: bad archives and objects, each a file of its own that is imported by itself.

Made here byte by byte, the same every time. What becomes of each is in tests/golden/bad.tsv.
"""
import gzip
import io
import pathlib
import struct
import sys
import tarfile
import zipfile
import zlib

CT = b"1.2.840.10008.5.1.4.1.1.2\0"
EXPLICIT, IMPLICIT = b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.1.2\0"
BIG, DEFLATED = b"1.2.840.10008.1.2.2\0", b"1.2.840.10008.1.2.1.99"
JPEG = b"1.2.840.10008.1.2.4.50"
OPEN = 0xFFFFFFFF
FILES = {}


def bad(name, content):
    assert name not in FILES, name
    FILES[name] = content


def short(group, element, vr, value):
    value += (b"\0" if vr == b"UI" else b" ") * (len(value) % 2)
    return struct.pack("<HH", group, element) + vr + struct.pack("<H", len(value)) + value


def long(group, element, vr, length):
    return struct.pack("<HH", group, element) + vr + b"\0\0" + struct.pack("<I", length)


def tag(group, element, length):
    return struct.pack("<HHI", group, element, length)


def meta(syntax=EXPLICIT, sop_class=CT):
    return (long(2, 1, b"OB", 2) + b"\0\1" + short(2, 2, b"UI", sop_class) + short(2, 3, b"UI", b"1.2.3.9")
            + short(2, 0x10, b"UI", syntax) + short(2, 0x12, b"UI", b"1.2.3"))


def head(syntax=EXPLICIT):
    group = meta(syntax)
    return b"\0" * 128 + b"DICM" + short(2, 0, b"UL", struct.pack("<I", len(group))) + group


IDENTITY = (short(8, 0x16, b"UI", CT) + short(8, 0x18, b"UI", b"1.2.3.9") + short(0x10, 0x10, b"PN", b"PHANTOM^BAD")
            + short(0x10, 0x20, b"LO", b"BAD1") + short(0x20, 0xD, b"UI", b"1.2.3.4") + short(0x20, 0xE, b"UI", b"1.2.3.5"))
PIXELS = long(0x7FE0, 0x10, b"OW", 64) + b"\7" * 64
GOOD = head() + IDENTITY + PIXELS
OTHER = GOOD.replace(b"1.2.3.9", b"1.2.3.8")
SEQUENCE = long(0x40, 0xA730, b"SQ", OPEN)
ITEM = tag(0xFFFE, 0xE000, OPEN)
ITEM_END, SEQUENCE_END = tag(0xFFFE, 0xE00D, 0), tag(0xFFFE, 0xE0DD, 0)


def raw_deflate(data, level=9):
    deflate = zlib.compressobj(level, zlib.DEFLATED, -15)
    return deflate.compress(data) + deflate.flush()


def deflated_zeros(front, mebibytes):
    deflate = zlib.compressobj(1, zlib.DEFLATED, -15)
    parts = [deflate.compress(front)] + [deflate.compress(bytes(1 << 20)) for _ in range(mebibytes)]
    return b"".join(parts) + deflate.flush()


def objects():
    whole = head() + IDENTITY
    bad("nested-65", whole + (SEQUENCE + ITEM) * 65 + (ITEM_END + SEQUENCE_END) * 65)
    bad("nested-20000", whole + (SEQUENCE + ITEM) * 20_000)
    bad("nested-200000", whole + (SEQUENCE + ITEM) * 200_000)
    bad("nested-unknown", head(IMPLICIT) + (tag(9, 0x1001, OPEN) + ITEM) * 20_000)
    for name, element in {
        "pixels-4g": long(0x7FE0, 0x10, b"OW", 0xFFFFFFFE), "pixels-2g": long(0x7FE0, 0x10, b"OW", 0x7FFFFFFE),
        "text-3g": long(8, 0x119, b"UC", 0xC0000000), "private-3g": long(9, 0x1001, b"OB", 0xC0000000),
        "unknown-4g": long(9, 0x1001, b"UN", 0xFFFFFFFE), "sequence-4g": long(0x40, 0xA730, b"SQ", 0xFFFFFFF0),
        "text-open": long(0x40, 0xA160, b"UT", OPEN), "fragments-open": long(0x7FE0, 0x10, b"OB", OPEN),
    }.items():
        bad(name, whole + element + b"x" * 100)
    bad("fragment-open", head(JPEG) + IDENTITY + long(0x7FE0, 0x10, b"OB", OPEN) + tag(0xFFFE, 0xE000, OPEN))
    bad("fragment-4g", head(JPEG) + IDENTITY + long(0x7FE0, 0x10, b"OB", OPEN) + tag(0xFFFE, 0xE000, 0xFFFFFFF0))
    start = b"\0" * 128 + b"DICM"
    bad("meta-endless", start + short(2, 0, b"UL", b"\xff" * 4))
    bad("meta-value-4g", start + short(2, 0, b"UL", b"\xc8\0\0\0") + long(2, 1, b"OB", 0xF0000000) + b"x" * 200)
    bad("meta-open", start + long(2, 1, b"UN", OPEN) + b"x" * 50)
    bad("meta-repeated", start + short(2, 0x102, b"SH", b"x" * 10) * 100_000)
    bad("meta-only", head())
    bad("meta-cut", start + long(2, 1, b"OB", 2))
    bad("prefix-only", start)
    bad("prefix-and-zeros", start + b"\0" * 5_000)
    bad("cut-in-value", whole + short(0x20, 0x4000, b"LT", b"x" * 300)[:-200])
    bad("cut-in-tag", whole + b"\x10\0\x20")
    bad("cut-in-pixels", GOOD[:-10])
    bad("cut-in-sequence", whole + SEQUENCE + ITEM + short(8, 0x60, b"CS", b"CT"))
    bad("stray-item", whole + tag(0xFFFE, 0xE000, 0) + PIXELS)
    bad("stray-end", whole + SEQUENCE_END * 3 + PIXELS)
    bad("not-an-item", whole + SEQUENCE + short(0x10, 0x10, b"PN", b"A^B") + SEQUENCE_END)
    bad("item-too-long", whole + long(0x40, 0xA730, b"SQ", 16) + tag(0xFFFE, 0xE000, 500) + b"\0" * 8 + PIXELS)
    bad("vr-unknown", whole + b"\x28\0\x02\0??\2\0\1\0" + PIXELS)
    bad("group-2-inside", whole + short(2, 0x10, b"UI", EXPLICIT) + PIXELS)
    bad("identity-behind-pixels", head() + IDENTITY + PIXELS + short(0x10, 0x20, b"LO", b"OTHER"))
    bad("patient-twice", head() + IDENTITY + short(0x10, 0x20, b"LO", b"OTHER") + PIXELS)
    bad("no-class",
        b"\0" * 128 + b"DICM" + short(2, 0x10, b"UI", EXPLICIT) + short(0x10, 0x20, b"LO", b"X") + PIXELS)
    bad("no-study-no-patient", head() + short(8, 0x16, b"UI", CT) + short(8, 0x18, b"UI", b"1.2.3.9") + PIXELS)
    bad("syntax-unknown", head(b"1.2.3.4.5.6.7.8.9") + IDENTITY + PIXELS)
    bad("syntax-lies-big", head(BIG) + b"\xff" * 400)
    bad("many-elements", whole + long(0x40, 0xA730, b"SQ", OPEN) + tag(0xFFFE, 0xE000, 0) * 4_000_001 + SEQUENCE_END)
    bad("deflate-damaged", head(DEFLATED) + b"\xff" * 300)
    bad("deflate-cut", head(DEFLATED) + raw_deflate(IDENTITY + PIXELS)[:40])
    bad("deflate-header-bomb", head(DEFLATED) + deflated_zeros(IDENTITY + long(9, 0x1001, b"OB", 512 << 20), 512))
    bad("deflate-padding-bomb", head(DEFLATED) + deflated_zeros(IDENTITY, 512))
    bad("deflate-declared-only", head(DEFLATED) + raw_deflate(IDENTITY + long(0x7FE0, 0x10, b"OW", 1 << 30)))
    bad("big-endian-cut", head(BIG) + b"\0\x08\0\x16UI\0\x40" + CT)
    bad("random", bytes((i * 7919 >> 3) & 255 for i in range(40_000)))
    bad("empty", b"")


def zipped(entries, method=zipfile.ZIP_DEFLATED):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as archive:
        for name, content in entries:
            archive.writestr(zipfile.ZipInfo(name), content, method)
    return out.getvalue()


def patched(archive, find, offset, change, last=False):
    """The archive with bytes changed so far behind a signature."""
    at = (archive.rindex(find) if last else archive.index(find)) + offset
    return archive[:at] + change + archive[at + len(change):]


LOCAL, CENTRAL, END = b"PK\3\4", b"PK\1\2", b"PK\5\6"


def zips():
    whole = zipped([("A", GOOD), ("B", OTHER)])
    bad("zip-cut-half", whole[:len(whole) // 2])
    bad("zip-cut-end", whole[:-10])
    bad("zip-front-missing", whole[40:])
    bad("zip-signature-only", LOCAL + b" and nothing")
    bad("zip-empty", zipped([]))
    bad("zip-crc", patched(patched(whole, CENTRAL, 16, b"\1\2\3\4"), LOCAL, 14, b"\1\2\3\4"))
    bad("zip-data-flipped", patched(whole, LOCAL, 60, b"\xff\0\xff"))
    bad("zip-size-4g", patched(whole, CENTRAL, 24, b"\xfe\xff\xff\xff"))
    bad("zip-size-1", patched(whole, CENTRAL, 24, b"\1\0\0\0"))
    bad("zip-compressed-beyond", patched(whole, CENTRAL, 20, b"\0\0\0\x70"))
    bad("zip-offset-beyond", patched(whole, CENTRAL, 42, b"\0\0\0\x70"))
    bad("zip-offset-inside", patched(whole, CENTRAL, 42, b"\7\0\0\0"))
    bad("zip-overlapping", patched(whole, CENTRAL, 42, b"\0\0\0\0", last=True))
    bad("zip-more-counted", patched(patched(whole, END, 8, b"\x84\3"), END, 10, b"\x84\3"))
    bad("zip-fewer-counted", patched(patched(whole, END, 8, b"\1\0"), END, 10, b"\1\0"))
    bad("zip-contents-broken", patched(whole, CENTRAL, 0, b"XX", last=True))
    bad("zip-contents-elsewhere", patched(whole, END, 16, b"\xff\xff\0\0"))
    bad("zip-method-lzma", patched(patched(whole, CENTRAL, 10, b"\x0e\0"), LOCAL, 8, b"\x0e\0"))
    bad("zip-encrypted-flag", patched(patched(whole, CENTRAL, 8, b"\1\0"), LOCAL, 6, b"\1\0"))
    bad("zip-disk-2", patched(whole, END, 4, b"\2\0\2\0"))
    link = zipfile.ZipInfo("LINK")
    link.external_attr, link.create_system = 0o120777 << 16, 3
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr(link, b"/etc/passwd")
    bad("zip-link", out.getvalue())
    bad("zip-traversal", zipped([("../../../../etc/cron.d/x", b"x"), ("/etc/passwd", b"x"), ("C:\\Windows\\x.dll", b"x")]))
    bad("zip-names", zipped([("a\nb", b"x"), ("..", b"x"), ("%n%s", b"x"), ("x" * 60_000, b"x"), ("CON", b"x")]))
    bad("zip-three-deep", zipped([("a.zip", zipped([("b.zip", zipped([("C", GOOD)]))]))]))
    bad("zip-inner-cut", zipped([("a.zip", whole[:-30]), ("GOOD", GOOD)]))
    bad("zip-million", many(1_000_000 // 8))
    bad("zip-bomb", zipped([("ZEROS.PDF", b"%PDF-1.4\n" + bytes(300 << 20))]))
    one = zipped([("A.PDF", b"%PDF-1.4\n" + bytes(90 << 20))])
    bad("zip-bomb-nested", zipped([(f"{i}.zip", one) for i in range(20)]))
    bad("zip-bomb-shared", shared(b"%PDF-1.4\n" + bytes(40 << 20), 60))
    bad("zip-with-bad-object", zipped([("CUT", GOOD[:-10]), ("GOOD", GOOD)]))


def many(count):
    """So many empty files, more than the limit."""
    out, listed = io.BytesIO(), []
    for i in range(count):
        name = b"%06d" % i
        common = struct.pack("<HHHHHIIIHH", 20, 0, 0, 0, 0x21, 0, 0, 0, len(name), 0)
        listed.append(CENTRAL + b"\x14\0" + common + bytes(10) + struct.pack("<I", out.tell()) + name)
        out.write(LOCAL + common + name)
    at, contents = out.tell(), b"".join(listed)
    end64 = struct.pack("<4sQHHIIQQQQ", b"PK\6\6", 44, 45, 45, 0, 0, count, count, len(contents), at)
    locator = struct.pack("<4sIQI", b"PK\6\7", 0, at + len(contents), 1)
    out.write(contents + end64 + locator + struct.pack("<4sHHHHIIH", END, 0, 0, 0xFFFF, 0xFFFF, OPEN, OPEN, 0))
    return out.getvalue()


def shared(content, count):
    """Many entries that are all the same bytes."""
    small = raw_deflate(content)
    common = struct.pack("<HHHHHIIIHH", 20, 0, 8, 0, 0x21, zlib.crc32(content), len(small), len(content), 5, 0)
    front = LOCAL + common + b"A.PDF" + small
    contents = (CENTRAL + b"\x14\0" + common + bytes(10) + bytes(4) + b"A.PDF") * count
    return front + contents + struct.pack("<4sHHHHIIH", END, 0, 0, count, count, len(contents), len(front), 0)


def tarred(entries):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name, content, kind, link in entries:
            entry = tarfile.TarInfo(name)
            entry.type, entry.size, entry.linkname = kind, len(content), link
            archive.addfile(entry, io.BytesIO(content))
    return out.getvalue()


def others():
    plain = tarred([("A", GOOD, tarfile.REGTYPE, ""), ("B", OTHER, tarfile.REGTYPE, "")])
    bad("tar-cut", plain[:900])
    bad("tar-checksum", plain[:148] + b"0000000\0" + plain[156:])
    bad("tar-second-damaged", plain[:1536] + b"\xff" * 512 + plain[2048:])
    bad("tar-links", tarred([("a", b"", tarfile.SYMTYPE, "/etc/passwd"), ("b", b"", tarfile.LNKTYPE, "../../x"),
                             ("c", b"", tarfile.CHRTYPE, ""), ("d", b"", tarfile.FIFOTYPE, "")]))
    bad("tar-traversal", tarred([("../../etc/pass", b"x", tarfile.REGTYPE, ""), ("/etc/x", b"x", tarfile.REGTYPE, "")]))
    header = bytearray(plain[:512])
    header[124:136] = b"77777777777\0"
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    bad("tar-size-8g", bytes(header) + plain[512:])
    packed = gzip.compress(plain, mtime=0)
    bad("gz-cut", packed[:-20])
    bad("gz-crc", packed[:-8] + b"\0\0\0\0" + packed[-4:])
    bad("gz-garbage", packed[:12] + b"\xff" * 60)
    bad("gz-bomb", gzip.compress(bytes(300 << 20), 9, mtime=0))
    bad("gz-head-only", packed[:10])
    bad("gz-three", gzip.compress(gzip.compress(gzip.compress(GOOD, mtime=0), mtime=0), mtime=0))
    image = bytearray(40_960)
    image[32768:32775] = b"\1CD001\1"
    bad("iso-nothing", bytes(image))
    root = bytearray(34)
    root[0], root[2:6], root[10:14], root[25], root[32] = 34, struct.pack("<I", 18), struct.pack("<I", 2048), 2, 1
    image[32768 + 128:32768 + 130], image[32768 + 156:32768 + 190] = struct.pack("<H", 2048), root
    image[34816:34823] = b"\xffCD001\1"
    bad("iso-empty", bytes(image))
    looped = bytearray(image)
    looped[36864:36898] = root
    looped[36898:36932] = bytes(root[:32]) + b"\1B"
    bad("iso-loop", bytes(looped))
    far = bytearray(image)
    far[36864:36898] = bytes(root[:2]) + struct.pack("<I", 4_000_000) + bytes(root[6:10]) + struct.pack("<I", OPEN) + bytes(root[14:32]) + b"\1F"
    bad("iso-beyond", bytes(far))
    bad("iso-bad-record", bytes(image[:36864]) + b"\xc8\0\1\2\3" + bytes(4_000))
    bad("html-404.zip", b"<!DOCTYPE html><html><body>404 not found</body></html>")
    bad("json-error.zip", b'{"error": "link expired"}')
    bad("rar.zip", b"Rar!\x1a\7\1\0" + bytes(200))
    bad("7z.zip", b"7z\xbc\xaf\x27\x1c\0\4" + bytes(200))
    bad("udf.iso", bytes(32768) + b"\0BEA01\1" + bytes(2041) + b"\0NSR03\1" + bytes(2041) + b"\0TEA01\1" + bytes(40_000))
    bad("cut.jpg", b"\xff\xd8\xff\xe0\0\x10JFIF\0\1\1\0\0\1\0\1\0\0\xff\xdb\0C\0" + b"\x10" * 30)
    bad("huge.png", b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 0x7FFFFFFF, 0x7FFFFFFF, 16, 6, 0, 0, 0))
        + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b""))
    bad("loop.tif", b"II*\0\x08\0\0\0" + struct.pack("<HHHII", 1, 256, 4, 1, 100) + struct.pack("<I", 8))
    bad("broken.pdf", b"%PDF-1.4\nnothing follows")
    bad("laughs.xml", b'<?xml version="1.0"?><!DOCTYPE l [<!ENTITY a "aaaaaaaaaa">'
        + b"".join(b'<!ENTITY %c "%s">' % (98 + i, b"&%c;" % (97 + i) * 10) for i in range(12))
        + b']><ClinicalDocument xmlns="urn:hl7-org:v3"><title>&m;</title></ClinicalDocument>')
    bad("deep.xml", b'<?xml version="1.0"?><ClinicalDocument xmlns="urn:hl7-org:v3">' + b"<a>" * 100_000)
    bad("cut.mp4", b"\0\0\0\x18ftypisom\0\0\2\0isomavc1" + b"\xff\xff\xff\xffmoov")


def chunk(kind, content):
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def main():
    folder = pathlib.Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    objects()
    zips()
    others()
    for name, content in FILES.items():
        (folder / name).write_bytes(content)
    assert len(set(FILES.values())) == len(FILES)
    print(len(FILES))


main()
