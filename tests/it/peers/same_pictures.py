"""same_pictures.py PICTURE OBJECT [PICTURE OBJECT…]: whether each object shows what the picture shows, page by page."""
import sys

import numpy
import pydicom
from PIL import Image

wrong = []
for picture, path in zip(sys.argv[1::2], sys.argv[2::2]):
    read = pydicom.dcmread(path)
    pixels = read.pixel_array
    if int(read.get("NumberOfFrames", 1)) == 1:
        pixels = pixels[numpy.newaxis]
    full = (1 << read.BitsStored) - 1
    with Image.open(picture) as image:
        if getattr(image, "n_frames", 1) != len(pixels):
            wrong.append(f"{picture}: {len(pixels)} pages")
            continue
        for number, page in enumerate(pixels):
            image.seek(number)
            wide = image.mode.startswith("I")
            shown = image if wide else image.convert("RGBA")
            if not wide:
                white = Image.new("RGBA", shown.size, "white")
                shown = Image.alpha_composite(white, shown).convert("RGB" if page.ndim == 3 else "L")
            expected = numpy.asarray(shown).astype(float) / (65535 if wide else 255)
            found = page.astype(float) / full
            if found.shape != expected.shape or abs(found - expected).mean() > 0.02:
                off = abs(found - expected).mean() if found.shape == expected.shape else found.shape
                wrong.append(f"{picture}, page {number + 1}: {off}")
                break
print("\n".join(wrong))
sys.exit(bool(wrong))
