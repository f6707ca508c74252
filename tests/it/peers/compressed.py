"""compressed.py FOLDER: objects in every compressed transfer syntax that is decoded, and their native sources.

`sources` gets one study of an invented patient: native images of several shapes, the same compressed by DCMTK
and GDCM, and what pydicom's own collection has. The file's name says what was done: `ct.native`, `ct.rle`.
Prints the number of files.
"""
import pathlib
import subprocess
import sys

import numpy
from pydicom import dcmread
from pydicom.data import get_testdata_file
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

import patients

STUDY = generate_uid(entropy_srcs=["lotse compressed", "study"])
# What is native in pydicom's collection, and what compresses it.
NATIVE = {
    "ct": "CT_small.dcm",
    "mr": "MR_small.dcm",
    "odd": "SC_rgb_small_odd.dcm",
    "dose": "rtdose.dcm",
}
ALL = ["rle", "sv1", "p14", "j2k", "jls"]
MADE = {
    "ct": ALL, "mr": ALL, "frames": ALL, "gray": [*ALL, "jpeg", "jls-near"],
    "rgb": [*ALL, "jpeg", "jls-samples", "jls-planes", "jls-near"], "odd": ["rle", "sv1", "jls"],
    "dose": ["rle"], "deep": ["jpeg12", "jls", "jls-near"], "lines": ["p14"], "tall": ALL,
}
COLLECTED = {
    "j2k-signed": "693_J2KI.dcm", "j2k-lossy": "JPEG2000.dcm", "j2k-mismatch": "J2K_pixelrep_mismatch.dcm",
    "j2k-colour": "GDCMJ2K_TextGBR.dcm", "jpeg12": "JPGExtended.dcm",
    "jpeg-rgb": "SC_rgb_dcmtk_+eb+cr.dcm", "jpeg-422": "SC_rgb_dcmtk_+eb+cy+s2.dcm",
    "jpeg-420": "SC_rgb_dcmtk_+eb+cy+s4.dcm", "jpeg-444": "SC_rgb_jpeg_dcmtk.dcm",
    "rle-frames": "SC_rgb_rle_2frame.dcm", "rle-deep": "SC_rgb_rle_16bit_2frame.dcm",
    "rle-32": "SC_rgb_rle_32bit_2frame.dcm", "mr-j2k": "MR_small_jp2klossless.dcm",
}
COMPRESS = {
    "rle": ["dcmcrle"],
    "sv1": ["dcmcjpeg", "+e1"],
    "p14": ["dcmcjpeg", "+el", "+sv", "6"],
    "jpeg": ["dcmcjpeg", "+eb", "+q", "95"],
    "jpeg12": ["dcmcjpeg", "+ee", "+q", "95"],
    "j2k": ["gdcmconv", "--j2k"],
    "jls": ["dcmcjpls"],
    "jls-samples": ["dcmcjpls", "+is"],
    "jls-planes": ["dcmcjpls", "+in"],
    "jls-near": ["dcmcjpls", "+en", "+md", "3"],
}


def noise(shape, high):
    return numpy.random.default_rng(7).integers(0, high, shape)


def shaped(name):
    """A native data set of this shape."""
    if name in NATIVE:
        return dcmread(get_testdata_file(NATIVE[name]))
    ds = dcmread(get_testdata_file("MR_small.dcm"))
    rows, columns = (61, 83) if name == "tall" else (64, 64)
    y, x = numpy.mgrid[0:rows, 0:columns]
    slope = (x * 3 + y * 5) % 200
    ds.Rows, ds.Columns = rows, columns
    ds.PixelRepresentation = 0
    ds.SmallestImagePixelValue = ds.LargestImagePixelValue = 0
    if name == "frames":
        frames = numpy.stack([slope * 16 + n * 31 + noise(slope.shape, 32) for n in range(5)])
        ds.NumberOfFrames = 5
        ds.BitsAllocated, ds.BitsStored, ds.HighBit = 16, 16, 15
    elif name in ("gray", "lines"):
        frames = slope + noise(slope.shape, 50)
        ds.BitsAllocated, ds.BitsStored, ds.HighBit = 8, 8, 7
    elif name == "rgb":
        frames = numpy.stack([slope, 255 - slope, (x + y) % 256], axis=-1)
        ds.BitsAllocated, ds.BitsStored, ds.HighBit = 8, 8, 7
        ds.SamplesPerPixel, ds.PlanarConfiguration, ds.PhotometricInterpretation = 3, 0, "RGB"
    else:
        frames = slope * 20 + noise(slope.shape, 16)
        ds.BitsAllocated, ds.BitsStored, ds.HighBit = 16, 12, 11
    ds.PixelData = frames.astype("u1" if ds.BitsAllocated == 8 else "<u2").tobytes()
    ds["PixelData"].VR = "OB" if ds.BitsAllocated == 8 else "OW"
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    return ds


def main():
    folder = pathlib.Path(sys.argv[1]) / "sources"
    folder.mkdir(parents=True)
    number = 0

    def give(path, name):
        nonlocal number
        number += 1
        ds = dcmread(path)
        patients.give(ds)
        ds.StudyInstanceUID = STUDY
        ds.SeriesInstanceUID = generate_uid(entropy_srcs=["lotse compressed", ds.SOPClassUID])
        ds.SOPInstanceUID = generate_uid(entropy_srcs=["lotse compressed", name])
        ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
        ds.save_as(folder / f"{name}.dcm")

    work = pathlib.Path(sys.argv[1]) / "work"
    work.mkdir()
    for name, kinds in MADE.items():
        native = work / f"{name}.dcm"
        ds = shaped(name)
        ds.save_as(native, enforce_file_format=True)
        give(native, f"{name}.native")
        for kind in kinds:
            made = work / f"{name}.{kind}.dcm"
            subprocess.run([*COMPRESS[kind], native, made], check=True)
            give(made, f"{name}.{kind}")
    for name, file in COLLECTED.items():
        give(get_testdata_file(file), f"{name}.collected")
    print(number)


main()
