"""medium.py FOLDER [--studies N] [--pdf] [--identity-removed] [--syntaxes]: a PDI medium, zipped.

pydicom's `dicomdirtests` files are given one invented patient, renamed to 8.3, and made a file-set by
dcmmkdir. With --syntaxes it is one study of pydicom's other files, in every transfer syntax there is, without a
DICOMDIR. FOLDER/set is the medium, FOLDER/medium.zip the archive, FOLDER/originals the images alone.
"""
import argparse
import os
import pathlib
import shutil
import subprocess
import zipfile

import pydicom
import pydicom.data
from pydicom.uid import generate_uid

import patients

PDF_TEXT = b"BT /F1 18 Tf 72 720 Td (Befund) Tj ET"


def pdf():
    """The smallest honest PDF."""
    objects = [
        b"<</Type/Catalog/Pages 2 0 R>>",
        b"<</Type/Pages/Kids[3 0 R]/Count 1>>",
        b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]/Contents 4 0 R"
        b"/Resources<</Font<</F1 5 0 R>>>>>>",
        b"<</Length %d>>stream\n%s\nendstream" % (len(PDF_TEXT), PDF_TEXT),
        b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>",
    ]
    out, offsets = b"%PDF-1.4\n", []
    for number, body in enumerate(objects, 1):
        offsets.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    start = len(out)
    out += b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    out += b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    out += b"trailer<</Size %d/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF\n" % (len(objects) + 1, start)
    return out


def images():
    """The images of `dicomdirtests`, in a fixed order."""
    root = pathlib.Path(pydicom.data.__file__).parent / "test_files" / "dicomdirtests"
    for path in sorted(root.rglob("*")):
        if path.is_file() and not path.name.startswith(("DICOMDIR", "README")):
            yield pydicom.dcmread(path)


# Broken on purpose; what becomes of such files is another test's business.
BROKEN = {"rtplan_truncated.dcm", "no_meta.dcm", "no_ts.dcm", "nested_priv_SQ.dcm", "priv_SQ.dcm"}


def every_syntax():
    """Files of all transfer syntaxes, small ones, made one study."""
    root = pathlib.Path(pydicom.data.__file__).parent / "test_files"
    for path in sorted(root.glob("*.dcm")):
        if path.name in BROKEN or path.stat().st_size > 1 << 20:
            continue
        try:
            ds = pydicom.dcmread(path)
            if "PixelData" not in ds or not ds.get("SOPInstanceUID") or not ds.file_meta.TransferSyntaxUID:
                continue
            if ds.SOPClassUID == "1.2.840.10008.1.3.10" or not ds.get("SeriesInstanceUID"):
                continue
            ds.walk(lambda *_: None)
        except Exception:
            continue
        ds.StudyInstanceUID = "1.2.826.0.1.3680043.8.498.1"
        # The same image lies there in several syntaxes.
        ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = generate_uid(entropy_srcs=[path.name])
        yield ds


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--studies", type=int, default=1000)
    parser.add_argument("--pdf", action="store_true")
    parser.add_argument("--identity-removed", action="store_true")
    parser.add_argument("--syntaxes", action="store_true")
    arguments = parser.parse_args()
    medium, originals = arguments.folder / "set", arguments.folder / "originals"
    (medium / "IMAGES").mkdir(parents=True)
    originals.mkdir()
    studies, seen = [], set()
    for ds in every_syntax() if arguments.syntaxes else images():
        # The tree holds some objects twice.
        if ds.SOPInstanceUID in seen:
            continue
        if ds.StudyInstanceUID not in studies:
            studies.append(ds.StudyInstanceUID)
        if studies.index(ds.StudyInstanceUID) >= arguments.studies:
            continue
        seen.add(ds.SOPInstanceUID)
        patients.give(ds, arguments.identity_removed)
        path = medium / "IMAGES" / f"IM{len(seen):06}"
        try:
            ds.save_as(path, enforce_file_format=True)
        except Exception:
            if not arguments.syntaxes:
                raise
            path.unlink(missing_ok=True)
            seen.discard(ds.SOPInstanceUID)
            continue
        shutil.copy(path, originals / path.name)
    if not arguments.syntaxes:
        subprocess.run(
            ["dcmmkdir", "--quiet", "+r", "+id", ".", "+D", "DICOMDIR", "-Pgp", "+I", "-Nrc", "IMAGES"],
            cwd=medium,
            check=True,
        )
    # What discs carry beside the images.
    (medium / "AUTORUN.INF").write_bytes(b"[autorun]\r\nopen=VIEWER.EXE\r\n")
    (medium / "VIEWER.EXE").write_bytes(b"MZ" + bytes(510))
    if arguments.pdf:
        (medium / "BEFUND.PDF").write_bytes(pdf())
    with zipfile.ZipFile(arguments.folder / "medium.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for root, _, names in os.walk(medium):
            for name in names:
                path = pathlib.Path(root) / name
                archive.write(path, path.relative_to(medium))
    print(len(seen), len([study for study in studies if studies.index(study) < arguments.studies]))


main()
