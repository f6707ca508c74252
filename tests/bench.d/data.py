"""The data of the bench: made once, cached, only synthetic patients."""

import io
import os
import shutil
import time
import zipfile
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.fileset import FileSet
from pydicom.uid import ExplicitVRLittleEndian

CT = "1.2.840.10008.5.1.4.1.1.2"
MULTI_FRAME_WORD = "1.2.840.10008.5.1.4.1.1.7.3"
WORKLIST = "1.2.840.10008.5.1.4.31"
ROOT = "1.2.826.0.1.3680043.8.498.42"
ACCESSION = "LOC000001"
PATIENT_ID = "K4711"
# Raised when what is made changes, so that a cache of before is not used.
VERSION = "2"


def uid(*parts):
    return ".".join([ROOT, *map(str, parts)])


def dataset(sop_class, instance, study, series, number, rows, columns):
    """Identity and image attributes as a scanner writes them; without pixels."""
    made = Dataset()
    meta = FileMetaDataset()
    made.file_meta = meta
    meta.MediaStorageSOPClassUID = sop_class
    meta.MediaStorageSOPInstanceUID = instance
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.ImplementationClassUID = uid(0)
    made.SpecificCharacterSet = "ISO_IR 100"
    made.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    made.SOPClassUID, made.SOPInstanceUID = sop_class, instance
    made.StudyDate = made.SeriesDate = made.ContentDate = "20260101"
    made.StudyTime = made.ContentTime = "101010"
    made.AccessionNumber, made.Modality = "FOREIGN1", "CT"
    made.Manufacturer, made.InstitutionName = "BENCH", "Praxis Süd"
    made.ReferringPhysicianName = "Müller^Jörg"
    made.StudyDescription, made.SeriesDescription = "CT Schädel", "axial 1.0"
    made.PatientName, made.PatientID = "Müßig^Anna", "F0815"
    made.PatientBirthDate, made.PatientSex = "19681107", "F"
    made.StudyInstanceUID, made.SeriesInstanceUID = study, series
    made.StudyID, made.SeriesNumber, made.InstanceNumber = "1", 1, number + 1
    made.FrameOfReferenceUID, made.PositionReferenceIndicator = study + ".9", ""
    made.ImagePositionPatient = [0, 0, float(number)]
    made.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    made.PixelSpacing, made.SliceThickness = [0.5, 0.5], 1
    made.KVP, made.AcquisitionNumber = 120, 1
    made.SamplesPerPixel, made.PhotometricInterpretation = 1, "MONOCHROME2"
    made.Rows, made.Columns = rows, columns
    made.BitsAllocated, made.BitsStored, made.HighBit, made.PixelRepresentation = 16, 12, 11, 0
    made.RescaleIntercept, made.RescaleSlope = -1024, 1
    return made


def save(made, path, pixels):
    made.PixelData = pixels
    made["PixelData"].VR = "OW"
    made.save_as(path, enforce_file_format=True)


def noise(seed, rows, columns):
    return np.random.default_rng(seed).integers(0, 4096, (rows, columns), np.uint16).astype("<u2")


def series_of(folder, kind, count, rows, columns, per_study=None):
    for i in range(count):
        number = i // per_study if per_study else 0
        study = uid(kind, number)
        made = dataset(CT, uid(kind, number, 1, i), study, study + ".1", i, rows, columns)
        save(made, folder / f"{i:05d}.dcm", noise(i, rows, columns).tobytes())


def ct(folder, small):
    series_of(folder, 1, 60 if small else 500, 512, 512)


def tiny(folder, small):
    series_of(folder, 2, 500 if small else 5000, 64, 70, per_study=100)


def many(folder, small):
    series_of(folder, 5, 1500 if small else 10_000, 64, 70, per_study=100)


def big(folder, small):
    """One multi-frame object of 1.5 GiB, written frame by frame."""
    frames = 128 if small else 3072
    made = dataset(MULTI_FRAME_WORD, uid(3, 0, 1, 0), uid(3, 0), uid(3, 0, 1), 0, 512, 512)
    made.NumberOfFrames = frames
    path = folder / "big.dcm"
    made.save_as(path, enforce_file_format=True)
    base = noise(3, 512, 512)
    with open(path, "ab") as file:
        file.write(b"\xe0\x7f\x10\x00OW\0\0" + (frames * base.nbytes).to_bytes(4, "little"))
        for frame in range(frames):
            file.write(np.roll(base, frame).tobytes())


def zipped(folder, small):
    """The CT study as one ZIP, as a portal hands it out."""
    with zipfile.ZipFile(folder / "ct.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(get("ct", small).glob("*.dcm")):
            archive.write(path, f"DICOM/{path.name[:-4]}")


def slices(folder, small):
    """A study of very many small images as one ZIP."""
    with zipfile.ZipFile(folder / "slices.zip", "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for i in range(1000 if small else 10_000):
            made = dataset(CT, uid(6, 0, 1, i), uid(6, 0), uid(6, 0, 1), i, 64, 70)
            file = io.BytesIO()
            save(made, file, noise(i, 64, 70).tobytes())
            archive.writestr(f"DICOM/{i:05d}", file.getvalue())


def film(folder, small):
    """The multi-frame object as one ZIP."""
    with zipfile.ZipFile(folder / "film.zip", "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        archive.write(get("big", small) / "big.dcm", "DICOM/FILM")


def pdi(folder, small):
    """A medium after PDI: DICOMDIR, names of eight characters, a viewer's leavings."""
    files, medium = folder / "files", folder / "medium"
    files.mkdir()
    series_of(files, 4, 200 if small else 2000, 256, 256)
    found = FileSet()
    for path in sorted(files.glob("*.dcm")):
        found.add(path)
    found.write(medium)
    (medium / "INDEX.HTM").write_text("<html>viewer</html>")
    (medium / "README.TXT").write_text("Dieser Datenträger enthält Bilder.\n")
    with zipfile.ZipFile(folder / "pdi.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(medium.rglob("*")):
            if path.is_file():
                archive.write(path, path.relative_to(medium))
    shutil.rmtree(files)
    shutil.rmtree(medium)


def worklist(folder, small=False):
    """The order that the bench's study belongs to, as a .wl file."""
    made, step = Dataset(), Dataset()
    meta = FileMetaDataset()
    made.file_meta = meta
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = WORKLIST, uid(9, 1)
    meta.TransferSyntaxUID, meta.ImplementationClassUID = ExplicitVRLittleEndian, uid(0)
    made.SpecificCharacterSet = "ISO_IR 192"
    made.AccessionNumber, made.ReferringPhysicianName = ACCESSION, "Haus^Ärztin"
    made.PatientName, made.PatientID = "Müßig^Anna", PATIENT_ID
    made.PatientBirthDate, made.PatientSex = "19681107", "F"
    made.StudyInstanceUID = uid(9, 2)
    made.RequestedProcedureID, made.RequestedProcedureDescription = "RP1", "Fremdaufnahmen"
    step.Modality, step.ScheduledStationAETitle = "CT", "IMPORT"
    step.ScheduledProcedureStepStartDate = time.strftime("%Y%m%d")
    step.ScheduledProcedureStepStartTime = "080000"
    step.ScheduledProcedureStepID, step.ScheduledProcedureStepDescription = "S1", "Import"
    made.ScheduledProcedureStepSequence = [step]
    made.save_as(folder / "order.wl", enforce_file_format=True)


CACHE = Path()

# What makes each kind of data; other files of the bench add theirs.
MAKERS = {"ct": ct, "tiny": tiny, "many": many, "big": big, "zip": zipped, "pdi": pdi, "slices": slices, "film": film}


def get(name, small):
    """The folder with this kind of data."""
    folder = CACHE / f"{name}-{'small' if small else 'full'}-{VERSION}"
    if not folder.exists():
        part = folder.with_suffix(".part")
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True)
        MAKERS[name](part, small)
        part.rename(folder)
    return folder


def split(folder, into, parts):
    """The files of a folder dealt out to so many folders, as hard links."""
    shutil.rmtree(into, ignore_errors=True)
    folders = [into / str(i) for i in range(parts)]
    for target in folders:
        target.mkdir(parents=True)
    for i, path in enumerate(sorted(folder.glob("*.dcm"))):
        os.link(path, folders[i % parts] / path.name)
    return folders


def size(folder):
    files = [path for path in folder.rglob("*") if path.is_file()]
    return len(files), sum(path.stat().st_size for path in files)
