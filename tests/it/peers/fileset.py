"""fileset.py FOLDER COUNT: holds a file-set against pydicom, DCMTK and dicom3tools.

pydicom reads the DICOMDIR and loads every object that it lists; DCMTK dumps every file; dcentvfy finds no entity
that contradicts itself, and dciodvfy no error in the DICOMDIR. Prints the number of objects.
"""
import pathlib
import subprocess
import sys

from pydicom.fileset import FileSet

folder, count = pathlib.Path(sys.argv[1]), int(sys.argv[2])
failed = []
files = FileSet(folder / "DICOMDIR")
for instance in files:
    ds = instance.load()
    if ds.SOPInstanceUID != instance.SOPInstanceUID or ds.PatientID != instance.PatientID:
        failed.append(f"{instance.path}: not what the DICOMDIR says")
if len(files) != count:
    failed.append(f"the DICOMDIR lists {len(files)} objects instead of {count}")
listed = {pathlib.Path(instance.path).resolve() for instance in files}
there = {path.resolve() for path in folder.rglob("*") if path.is_file()}
if there != listed | {(folder / "DICOMDIR").resolve()}:
    failed.append(f"{len(there)} files are there")
for path in there:
    dumped = subprocess.run(["dcmdump", "-q", "-M", path], capture_output=True)
    if dumped.returncode:
        failed.append(f"dcmdump: {dumped.stderr.decode(errors='replace')}")
studies = {}
for instance in files:
    ds = instance.load()
    studies.setdefault(ds.StudyInstanceUID, []).append((ds.get("SpecificCharacterSet"), instance.path))
# dcentvfy compares bytes, so that one name in two character sets is two names for it.
alike = [study for study in studies.values() if len({str(sets) for sets, _ in study}) == 1]
if not alike:
    failed.append("no study is in one character set")
for study in alike:
    paths = [path for _, path in study]
    checked = subprocess.run(["dcentvfy", *paths], capture_output=True, text=True, errors="replace")
    told = [line for line in (checked.stdout + checked.stderr).splitlines() if line.startswith("Error")]
    if checked.returncode or told:
        failed.append("dcentvfy: " + "\n".join(told[:20]))
checked = subprocess.run(["dciodvfy", folder / "DICOMDIR"], capture_output=True, text=True, errors="replace")
told = [line for line in (checked.stdout + checked.stderr).splitlines() if line.startswith("Error")]
if told:
    failed.append("dciodvfy: " + "\n".join(told[:20]))
print(len(files))
for line in failed:
    print(line, file=sys.stderr)
sys.exit(1 if failed else 0)
