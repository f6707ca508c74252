"""judges.py FOLDER...: what others say of every file below, a line each: PATH, a tab, their opinions.

`dcmdump` and `gdcminfo` read it or not; pydicom tells which of the identifying UIDs it holds, as letters: C for
the SOP Class, I for the instance, S for the series, T for the study, p for something about the patient. Small
letters `ci` are those of the file meta group.
"""
import concurrent.futures
import pathlib
import re
import subprocess
import sys
import warnings

import pydicom
import pydicom.config

warnings.simplefilter("ignore")
VALID = re.compile(r"(0|[1-9][0-9]*)(\.(0|[1-9][0-9]*))*")


def runs(program, *arguments):
    try:
        return subprocess.run([program, *arguments], capture_output=True, timeout=60, check=False).returncode == 0
    except subprocess.TimeoutExpired:
        return False


def is_uid(value):
    return isinstance(value, str) and len(value) <= 64 and bool(VALID.fullmatch(value))


def told(path):
    try:
        try:
            read = pydicom.dcmread(path, stop_before_pixels=False)
        except pydicom.errors.InvalidDicomError:
            read = pydicom.dcmread(path, force=True)
            if len(read) < 3:
                return "no"
        letters = ""
        for letter, name in zip("CIST", ["SOPClassUID", "SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID"]):
            letters += letter if is_uid(read.get(name)) else ""
        letters += "p" if any(read.get(name) for name in ("PatientID", "PatientName", "PatientBirthDate")) else ""
        meta = getattr(read, "file_meta", None) or {}
        letters += "c" if is_uid(meta.get("MediaStorageSOPClassUID")) else ""
        letters += "i" if is_uid(meta.get("MediaStorageSOPInstanceUID")) else ""
        if "DirectoryRecordSequence" in read:
            return "directory"
        return letters or "-"
    except Exception:  # whatever it stumbles over, it does not read it
        return "no"


def opinion(path):
    word = {True: "reads", False: "refuses"}
    return f"dcmdump {word[runs('dcmdump', '-q', path)]}, gdcminfo {word[runs('gdcminfo', path)]}"


def main():
    paths = [str(path) for folder in sys.argv[1:] for path in sorted(pathlib.Path(folder).rglob("*")) if path.is_file()]
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        for path, others in zip(paths, pool.map(opinion, paths)):
            print(f"{path}\t{others}, pydicom {told(path)}")


main()
