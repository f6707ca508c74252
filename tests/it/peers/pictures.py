"""pictures.py FOLDER: TIFF and PNG files of every kind, made by libtiff and Pillow."""
import pathlib
import struct
import subprocess
import sys
import zlib

from PIL import Image, ImageDraw

folder = pathlib.Path(sys.argv[1])
folder.mkdir(parents=True, exist_ok=True)
color = Image.radial_gradient("L").resize((201, 151))
color = Image.merge("RGB", [color, color.transpose(Image.Transpose.FLIP_LEFT_RIGHT), color.point(lambda v: 255 - v)])
gray = color.convert("L")


def page(number, size=(201, 151)):
    """White paper with a black bar that wanders."""
    made = Image.new("1", size, 1)
    ImageDraw.Draw(made).rectangle((10, 10 + number, size[0] // 2, 30 + number), fill=0)
    return made


for name, image, options in [
    ("raw", color, {}), ("lzw", color, {"compression": "tiff_lzw"}), ("packbits", color, {"compression": "packbits"}),
    ("deflate", color, {"compression": "tiff_adobe_deflate"}), ("jpeg", color, {"compression": "jpeg"}),
    ("gray-lzw", gray, {"compression": "tiff_lzw"}), ("gray-16", gray.convert("I;16"), {}),
    ("palette", color.quantize(64), {"compression": "tiff_lzw"}), ("alpha", color.convert("RGBA"), {}),
    ("cmyk", color.convert("CMYK"), {}), ("bilevel", page(0), {}), ("fax-g3", page(0), {"compression": "group3"}),
    ("fax-g4", page(0), {"compression": "group4"}),
]:
    image.save(folder / f"{name}.tif", **options)
pages = [page(number) for number in range(5)]
pages[0].save(folder / "fax-pages.tif", compression="group4", save_all=True, append_images=pages[1:])
# A4 at 300 dpi.
pages = [page(number * 20, (2480, 3508)) for number in range(int(sys.argv[2]))]
pages[0].save(folder / "fax-long.tif", compression="group4", save_all=True, append_images=pages[1:])
for name, options in {"tiled": ["-t", "-w", "64", "-l", "64"], "tiled-lzw": ["-t", "-c", "lzw:2"], "strips": ["-r", "7"],
                      "big-endian": ["-B"], "bigtiff": ["-8"]}.items():
    subprocess.run(["tiffcp", *options, folder / "raw.tif", folder / f"{name}.tif"], check=True)


def interlaced(image):
    """PNG in seven passes (PNG 8.2), which Pillow does not write."""
    width, height = image.size
    rows = b""
    for x0, y0, dx, dy in [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]:
        for y in range(y0, height, dy):
            line = b"".join(bytes(image.getpixel((x, y))) for x in range(x0, width, dx))
            rows += b"\0" + line if line else b""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 1)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


(folder / "interlaced.png").write_bytes(interlaced(color))
page(0).save(folder / "bilevel.png")
color.quantize(16).save(folder / "sixteen.png")
gray.convert("LA").save(folder / "gray-alpha.png")
