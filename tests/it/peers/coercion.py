"""coercion.py ORIGINALS DELIVERED DUMPS: what coercion made of each object, as text, and whether it may.

Writes for each object of ORIGINALS a file below DUMPS: its header with `-` before what it was and `+` before what
it is. Times and versions stand there as words. Prints what must not be: pixels or documents that changed, UIDs
that changed or refer to nothing any more, originals that cannot be rebuilt from what the object carries, and
everything that dciodvfy complains of anew. Exit 1 if there is any.
"""
import collections
import concurrent.futures
import difflib
import hashlib
import pathlib
import subprocess
import sys
import tempfile

import pydicom
from pydicom.datadict import keyword_for_tag
from pydicom.uid import ExplicitVRBigEndian

BULK = {"PixelData", "EncapsulatedDocument", "WaveformData"}
TRACE = "OriginalAttributesSequence"
# They hold UIDs of orders, and of what was before.
ORDERS = {"RequestAttributesSequence", "ReferencedRequestSequence", "ReferencedStudySequence", TRACE}

complaints = []


def read(folder):
    found = {}
    for path in sorted(pathlib.Path(folder).rglob("*")):
        if path.is_file():
            ds = pydicom.dcmread(path)
            if ds.SOPInstanceUID in found:
                complaints.append(f"{ds.SOPInstanceUID} is there twice")
            found[ds.SOPInstanceUID] = (path, ds)
    return found


def shown(element, words):
    value = element.value
    if isinstance(value, bytes):
        if len(value) > 16:
            return f"<{len(value)} bytes, sha256 {hashlib.sha256(value).hexdigest()[:16]}>"
        return value.hex(" ")
    if element.VM > 1:
        value = "\\".join(str(one) for one in value)
    return words.get(str(value), str(value)).replace("\n", "\\n").replace("\r", "\\r")


def lines(ds, words, depth=0):
    for element in ds:
        name = element.keyword or ("private" if element.tag.is_private else "")
        head = f"{'  ' * depth}({element.tag.group:04X},{element.tag.element:04X}) {element.VR} {name}"
        if element.VR == "SQ":
            yield f"{head}: {len(element.value)} item(s)"
            for number, item in enumerate(element.value, 1):
                yield f"{'  ' * depth}  item {number}"
                yield from lines(item, words, depth + 2)
        else:
            yield f"{head}: {shown(element, words)}".rstrip()


def dump(before, after):
    words = {str(after.get("InstanceCoercionDateTime")): "<time of coercion>"}
    for item in after.get("ContributingEquipmentSequence", []):
        if item.get("ManufacturerModelName") == "Lotse":
            words[str(item.SoftwareVersions)] = "<version>"
    diff = difflib.ndiff(list(lines(before, {})), list(lines(after, words)), linejunk=None)
    return "".join(f"{line.rstrip()}\n" for line in diff if not line.startswith("?"))


def bulk(ds, element):
    """As it is in little endian: OW swaps within words of 16 bits (PS3.5 6.2)."""
    if ds.file_meta.TransferSyntaxUID == ExplicitVRBigEndian and element.VR == "OW":
        swapped = bytearray(element.value)
        swapped[0::2], swapped[1::2] = element.value[1::2], element.value[0::2]
        return bytes(swapped)
    return element.value


def large(ds):
    found = []
    ds.walk(lambda _, element: found.append((element.tag, bulk(ds, element)))
            if element.keyword in BULK else None)
    return found


def uids(ds):
    found = []
    for element in ds:
        if element.keyword in ORDERS or element.keyword == "ReferencedPatientSequence":
            continue
        if element.VR == "SQ":
            for item in element.value:
                found += uids(item)
        elif element.VR == "UI":
            found.append((element.tag, str(element.value)))
    return found


def plain(element):
    """A value that compares; nothing, an empty value and an empty sequence are one."""
    if element is None:
        return None
    if element.VR == "SQ":
        return [{inner.tag: plain(inner) for inner in item if inner.keyword != "SpecificCharacterSet"}
                for item in element.value] or None
    if isinstance(element.value, bytes):
        return element.value or None
    return str(element.value) or None


def rebuilt(after):
    """What it was, by what the object tells of its last change (PS3.3 C.12.1.1.9)."""
    trace = max(after.OriginalAttributesSequence, key=lambda item: item.AttributeModificationDateTime)
    old = trace.ModifiedAttributesSequence[0]
    values = {element.tag: plain(element) for element in after}
    values.update({element.tag: plain(element) for element in old})
    others = [item for item in after.OriginalAttributesSequence if item is not trace]
    values[pydicom.tag.Tag(TRACE)] = [
        {inner.tag: plain(inner) for inner in item} for item in others] or None
    return values


def check(uid, name, before, after, known):
    def complain(text):
        complaints.append(f"{name}: {text}")

    if large(before) != large(after):
        complain("pixels, waveform or document have changed")
    if uids(before) != uids(after):
        complain("UIDs have changed")
    if [item for item in after.OriginalAttributesSequence
            if not item.get("ModifyingSystem") or not item.get("ReasonForTheAttributeModification")]:
        complain("Original Attributes without system or reason")
    originals = rebuilt(after)
    for tag in sorted({element.tag for element in before} | set(originals)):
        keyword = keyword_for_tag(tag)
        if keyword in BULK or keyword == "SpecificCharacterSet":
            continue
        if plain(before.get(tag)) != originals.get(tag):
            complain(f"the original {tag} {keyword} cannot be rebuilt")
    for _, uid in [one for one in uids(after) if keyword_for_tag(one[0]) == "ReferencedSOPInstanceUID"]:
        if uid not in known:
            complain("refers to what is not there")


def errors(path):
    with tempfile.NamedTemporaryFile() as inflated:
        # dciodvfy reads no deflated data sets.
        if pydicom.dcmread(path, stop_before_pixels=True).file_meta.TransferSyntaxUID.is_deflated:
            subprocess.run(["dcmconv", "+te", str(path), inflated.name], check=True)
            path = inflated.name
        said = subprocess.run(["dciodvfy", str(path)], capture_output=True).stderr.decode("latin-1")
    return collections.Counter(line for line in said.splitlines() if line.startswith("Error"))


def main():
    originals, delivered, dumps = map(pathlib.Path, sys.argv[1:4])
    before, after = read(originals), read(delivered)
    known = set(before) | {ds.StudyInstanceUID for _, ds in before.values()}
    pairs = []
    for uid, (path, ds) in before.items():
        name = path.relative_to(originals).with_suffix("")
        if uid not in after:
            complaints.append(f"{name}: did not arrive")
            continue
        check(uid, name, ds, after[uid][1], known)
        target = (dumps / name).with_suffix(".txt")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(dump(ds, after[uid][1]))
        pairs.append((name, path, after[uid][0]))
    for uid in set(after) - set(before):
        complaints.append(f"{uid} came from nowhere")
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        was = pool.map(errors, [path for _, path, _ in pairs])
        now = pool.map(errors, [path for _, _, path in pairs])
        for (name, _, _), was, now in zip(pairs, was, now):
            complaints.extend(f"{name}: dciodvfy: {line}" for line in now - was)
    print(len(before), "given,", len(after), "delivered,", len(complaints), "complaints")
    print("\n".join(complaints[:40]))
    sys.exit(1 if complaints else 0)


main()
