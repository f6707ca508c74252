"""decoded.py SOURCES RECEIVED SYNTAX: holds what arrived against what DCMTK and GDCM make of the sources.

Every source has to have arrived once, in transfer syntax SYNTAX, with the pixels that DCMTK (JPEG, JPEG-LS, RLE) or GDCM
(JPEG 2000) decode: the same ones if nothing was lost, and the same as those of the native source that they were
made of; else as close as two decoders are. Prints what was compared.
"""
import pathlib
import subprocess
import sys
import tempfile

import numpy
from pydicom import dcmread

DECODE = {
    "1.2.840.10008.1.2.5": ["dcmdrle"],
    "1.2.840.10008.1.2.4.50": ["dcmdjpeg"],
    "1.2.840.10008.1.2.4.51": ["dcmdjpeg"],
    "1.2.840.10008.1.2.4.57": ["dcmdjpeg"],
    "1.2.840.10008.1.2.4.70": ["dcmdjpeg"],
    "1.2.840.10008.1.2.4.80": ["dcmdjpls"],
    "1.2.840.10008.1.2.4.81": ["dcmdjpls"],
    "1.2.840.10008.1.2.4.90": ["gdcmconv", "--raw"],
    "1.2.840.10008.1.2.4.91": ["gdcmconv", "--raw"],
}
NATIVE = ("1.2.840.10008.1.2", "1.2.840.10008.1.2.1")
# Two decoders round the cosines otherwise (JPEG-LS has none), and smooth colours otherwise that were stored at half the size.
CLOSE = {
    "1.2.840.10008.1.2.4.50": 2, "1.2.840.10008.1.2.4.51": 1, "1.2.840.10008.1.2.4.81": 0, "1.2.840.10008.1.2.4.91": 1,
}
SMOOTHED = 4


def pixels(ds):
    assert ds.file_meta.TransferSyntaxUID in NATIVE, ds.file_meta.TransferSyntaxUID
    signs = "i" if ds.PixelRepresentation else "u"
    kind = f"<{signs}{ds.BitsAllocated // 8}"
    frames, samples = int(ds.get("NumberOfFrames", 1) or 1), ds.SamplesPerPixel
    data = ds.PixelData[: frames * ds.Rows * ds.Columns * samples * ds.BitsAllocated // 8]
    values = numpy.frombuffer(data, kind)
    if samples > 1 and ds.PlanarConfiguration == 1:
        return values.reshape(frames, samples, -1).swapaxes(1, 2).ravel()
    return values


def main():
    sources, received, syntax = sys.argv[1:]
    arrived = {}
    for path in pathlib.Path(received).rglob("*"):
        if path.is_file():
            ds = dcmread(path)
            assert ds.SOPInstanceUID not in arrived, "arrived twice"
            arrived[ds.SOPInstanceUID] = ds
    failed = []
    with tempfile.TemporaryDirectory() as work:
        for path in sorted(pathlib.Path(sources).iterdir()):
            source = dcmread(path)
            ds = arrived.pop(source.SOPInstanceUID, None)
            own = str(source.file_meta.TransferSyntaxUID)
            if ds is None:
                failed.append(f"{path.stem}: did not arrive")
                continue
            reference = path
            if own in DECODE:
                reference = pathlib.Path(work) / path.name
                subprocess.run([*DECODE[own], path, reference], check=True)
            want, got = pixels(dcmread(reference)).astype("i8"), pixels(ds).astype("i8")
            if len(want) != len(got):
                failed.append(f"{path.stem}: {len(got)} samples instead of {len(want)}")
                continue
            most = int(abs(want - got).max())
            allowed = CLOSE.get(own, 0)
            if own.endswith("4.50") and source.SamplesPerPixel == 3:
                allowed = SMOOTHED
            native = path.with_name(path.name.split(".")[0] + ".native.dcm")
            if own not in CLOSE and native.exists():
                first = pixels(dcmread(native)).astype("i8")
                if not (first == got).all():
                    failed.append(f"{path.stem}: not the pixels that were compressed")
            print(f"{path.stem}: {own}, {len(got)} samples, largest difference {most}")
            if most > allowed:
                failed.append(f"{path.stem}: differs by {most}, where {allowed} is allowed")
            if str(ds.file_meta.TransferSyntaxUID) != syntax:
                failed.append(f"{path.stem}: arrived in {ds.file_meta.TransferSyntaxUID}")
            if own in DECODE:
                if ds.PhotometricInterpretation not in ("MONOCHROME1", "MONOCHROME2", "RGB", "PALETTE COLOR"):
                    failed.append(f"{path.stem}: is {ds.PhotometricInterpretation} now")
                if ds.SamplesPerPixel > 1 and ds.PlanarConfiguration != 0:
                    failed.append(f"{path.stem}: Planar Configuration {ds.PlanarConfiguration}")
            if own in CLOSE and own != "1.2.840.10008.1.2.4.91" and ds.get("LossyImageCompression") != "01":
                failed.append(f"{path.stem}: does not tell that it was compressed with loss")
            for keyword in ("LossyImageCompressionRatio", "LossyImageCompressionMethod", "BitsStored", "HighBit",
                            "PixelRepresentation", "BitsAllocated"):
                if source.get(keyword) != ds.get(keyword):
                    failed.append(f"{path.stem}: {keyword} was {source.get(keyword)}, is {ds.get(keyword)}")
    failed += [f"{uid}: nobody sent it" for uid in arrived]
    for line in failed:
        print(line, file=sys.stderr)
    sys.exit(1 if failed else 0)


main()
