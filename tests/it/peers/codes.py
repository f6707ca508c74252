"""Sheets with QR codes, as they are photographed, scanned and printed: `codes.py FOLDER [LINK]`.

Writes the files and `codes.tsv`: a name, and the text that the code holds, or nothing where there is none to be read.
Everything is made from one seed, so that every run has the same files. With a link only two sheets are made, which
show it: a photo and a PDF.
"""

import io
import random
import sys
from pathlib import Path

import qrcode
import segno
from PIL import Image, ImageDraw, ImageFilter, ImageOps
from reportlab.graphics import renderPDF
from reportlab.graphics.barcode import code128, qr
from reportlab.graphics.shapes import Drawing
from reportlab.lib.pagesizes import A4
from reportlab.lib.utils import ImageReader
from reportlab.pdfgen import canvas

FOLDER = Path(sys.argv[1])
CHANCE = random.Random(20)
WANTED = []


def link(name):
    token = "".join(CHANCE.choice("abcdefghjkmnpqrstuvwxyz23456789") for _ in range(24))
    return f"https://portal.example.org/view/{name}?token={token}"


def code(text, box=10, border=4, correction=qrcode.constants.ERROR_CORRECT_M):
    made = qrcode.QRCode(error_correction=correction, box_size=box, border=border)
    made.add_data(text)
    return made.make_image().get_image().convert("L")


def sheet(width, height, shade=245):
    """A letter: lines of something like writing."""
    page = Image.new("L", (width, height), shade)
    draw = ImageDraw.Draw(page)
    line = max(6, height // 70)
    for y in range(line * 4, height - line * 4, line * 2):
        x = width // 12
        while x < width * 11 // 12:
            word = CHANCE.randint(line, line * 6)
            draw.rectangle((x, y, min(x + word, width * 11 // 12), y + line // 2), fill=CHANCE.randint(20, 70))
            x += word + line // 2
    return page


def place(page, one, x, y):
    page.paste(one, (x, y))
    return page


def noise(picture, strength):
    flat = bytes(CHANCE.getrandbits(8) for _ in range(64 * 64))
    grain = Image.frombytes("L", (64, 64), flat)
    tiled = Image.new("L", picture.size)
    for y in range(0, picture.height, 64):
        for x in range(0, picture.width, 64):
            tiled.paste(grain.rotate(90 * CHANCE.randrange(4)), (x, y))
    return Image.blend(picture, tiled, strength)


def light(picture, dark=0.35):
    """Bright at one corner, in shade at the other."""
    # Turned while it is large, so that it has no corners of its own within the picture.
    ramp = Image.linear_gradient("L").resize((1024, 1024)).rotate(CHANCE.choice((20, 70, 110, 200)))
    ramp = ramp.crop((256, 256, 768, 768)).resize(picture.size)
    return Image.composite(picture, picture.point(lambda v: int(v * dark)), ramp)


def perspective(picture, amount):
    w, h = picture.size
    push = lambda: CHANCE.uniform(0, amount)
    quad = (
        -w * push(), -h * push(), -w * push(), h * (1 + push()), w * (1 + push()), h * (1 + push()), w * (1 + push()), -h * push(),
    )
    # The table it lies on shows around it.
    return picture.transform((w, h), Image.Transform.QUAD, quad, Image.Resampling.BICUBIC, fillcolor=90)


def photo(name, text, turn=0.0, blur=1.0, grain=0.08, quality=60, amount=0.12, size=(1500, 2000), box=9):
    page = sheet(*size)
    one = code(text, box)
    place(page, one, size[0] // 2 - one.width // 2, size[1] // 2 - one.height // 2)
    page = perspective(page, amount).rotate(turn, Image.Resampling.BICUBIC, expand=True, fillcolor=90)
    page = noise(light(page), grain).filter(ImageFilter.GaussianBlur(blur))
    warm = Image.merge("RGB", (page, page.point(lambda v: int(v * 0.95)), page.point(lambda v: int(v * 0.82))))
    keep(f"{name}.jpg", text, jpeg(warm, quality))


def jpeg(picture, quality=75, **options):
    out = io.BytesIO()
    picture.save(out, "JPEG", quality=quality, **options)
    return out.getvalue()


def saved(picture, kind, **options):
    out = io.BytesIO()
    picture.save(out, kind, **options)
    return out.getvalue()


def drawn(made, scale):
    """A code of segno as a picture."""
    out = io.BytesIO()
    made.save(out, kind="png", scale=scale)
    return Image.open(io.BytesIO(out.getvalue())).convert("L")


def keep(name, text, content):
    (FOLDER / name).write_bytes(content)
    WANTED.append((name, text))


def pdf(draw, **options):
    out = io.BytesIO()
    page = canvas.Canvas(out, pagesize=A4, invariant=1, **options)
    page.setFont("Helvetica", 11)
    for line in range(30):
        page.drawString(60, 780 - line * 16, "Ihre Aufnahmen stehen zum Abruf bereit. Bitte bringen Sie diesen Brief mit.")
    page.rect(50, 40, 490, 60)
    page.line(50, 120, 540, 120)
    draw(page)
    page.showPage()
    page.save()
    return out.getvalue()


def photos():
    for number in range(6):
        name = f"photo-{number}"
        photo(name, link(name), turn=CHANCE.uniform(-12, 12), blur=0.8 + number * 0.2, quality=75 - number * 6)
    for turn in (30, 45, 90, 137, 180, 250):
        name = f"turned-{turn}"
        photo(name, link(name), turn=turn, amount=0.05)
    text = link("telephone")
    photo("telephone", text, turn=4, size=(3000, 4000), box=12, quality=80)


def scans():
    text = link("low-contrast")
    grey = code(text).point(lambda v: 120 if v < 128 else 150)
    keep("low-contrast.png", text, saved(place(sheet(1200, 1600, 150), grey, 300, 500), "PNG"))
    text = link("faded")
    grey = noise(light(code(text, 8).point(lambda v: 170 if v < 128 else 225), 0.7), 0.03)
    keep("faded.jpg", text, jpeg(grey, 70))
    text = link("inverted")
    keep("inverted.png", text, saved(ImageOps.invert(code(text)), "PNG"))
    text = link("small-in-page")
    keep("small-in-page.png", text, saved(place(sheet(2480, 3508), code(text, 5), 1900, 200), "PNG"))
    text = link("small-in-scan")
    scan = place(sheet(2480, 3508), code(text, 5), 150, 3100).rotate(2.5, Image.Resampling.BICUBIC, fillcolor=245)
    keep("small-in-scan.jpg", text, jpeg(noise(scan, 0.05), 50))
    text = link("fax")
    keep("fax.tif", text, saved(place(sheet(1700, 2200), code(text, 6), 900, 300).convert("1"), "TIFF", compression="group4"))
    text = link("tiff")
    keep("tiff.tif", text, saved(place(sheet(1200, 1600), code(text, 6), 100, 900).convert("RGB"), "TIFF", compression="tiff_lzw"))
    text = link("tiny")
    keep("tiny.png", text, saved(code(text, 3), "PNG"))
    text = link("screenshot")
    shot = place(sheet(1080, 1920, 255), code(text, 7), 300, 700).convert("RGBA")
    keep("screenshot.png", text, saved(shot, "PNG"))
    text = link("palette")
    keep("palette.png", text, saved(code(text).convert("P"), "PNG"))
    text = link("progressive")
    keep("progressive.jpg", text, jpeg(place(sheet(1200, 1600), code(text, 8), 200, 300).convert("RGB"), 55, progressive=True))
    text = link("damaged")
    hurt = code(text, 10, correction=qrcode.constants.ERROR_CORRECT_H)
    x, y = hurt.width // 2, hurt.height // 2
    ImageDraw.Draw(hurt).ellipse((x - 55, y - 55, x + 55, y + 55), fill=200)
    keep("damaged.png", text, saved(hurt, "PNG"))
    text = "https://portal.example.org/ansicht/größe?name=Müller-Öztürk"
    keep("utf-8.png", text, saved(drawn(segno.make(text, encoding="utf-8", micro=False), 8), "PNG"))
    keep("bare.png", "4F7K-92MX-QQ31", saved(code("4F7K-92MX-QQ31"), "PNG"))


def documents():
    text = link("pdf-jpeg")
    keep("pdf-jpeg.pdf", text, saved(place(sheet(1240, 1754), code(text, 6), 700, 200), "PDF", resolution=150))
    text = link("pdf-fax")
    keep("pdf-fax.pdf", text, saved(place(sheet(1700, 2200), code(text, 6), 700, 200).convert("1"), "PDF", resolution=200))
    text = link("pdf-image")
    image = ImageReader(code(text, 4).convert("RGB"))
    keep("pdf-image.pdf", text, pdf(lambda page: page.drawImage(image, 400, 600, 80, 80)))

    def widget(text):
        def draw(page):
            made = qr.QrCodeWidget(text, barLevel="M", barWidth=70, barHeight=70)
            drawing = Drawing(70, 70)
            drawing.add(made)
            renderPDF.draw(drawing, page, 420, 640)
        return draw

    text = link("pdf-vector")
    keep("pdf-vector.pdf", text, pdf(widget(text)))
    text = link("pdf-vector-plain")
    keep("pdf-vector-plain.pdf", text, pdf(widget(text), pageCompression=0))
    for name, options in (("pdf-lines", {}), ("pdf-lines-colour", {"dark": "#003366", "light": "#f0f0f0"})):
        text = link(name)
        out = io.BytesIO()
        segno.make(text, error="q").save(out, kind="pdf", scale=3, **options)
        keep(f"{name}.pdf", text, out.getvalue())
    text = link("pdf-path")

    def path(page):
        made = qrcode.QRCode(border=0)
        made.add_data(text)
        drawn = page.beginPath()
        for y, row in enumerate(made.get_matrix()):
            for x, dark in enumerate(row):
                if dark:
                    drawn.rect(x * 2, -y * 2, 2.02, 2.02)
        page.translate(300, 700)
        page.rotate(8)
        page.drawPath(drawn, stroke=0, fill=1)

    keep("pdf-path.pdf", text, pdf(path))


def negatives():
    keep("nothing.png", "", saved(sheet(1240, 1754), "PNG"))
    keep("noise.png", "", saved(Image.frombytes("L", (400, 400), CHANCE.randbytes(160000)), "PNG"))
    keep("letter.pdf", "", pdf(lambda page: None))
    keep("barcode.pdf", "", pdf(lambda page: code128.Code128("PATIENT-4711-0815", barHeight=40).drawOn(page, 300, 650)))
    keep("micro.png", "", saved(drawn(segno.make_micro("4711-0815"), 10), "PNG"))
    text = link("unreadable")
    gone = code(text, 8, correction=qrcode.constants.ERROR_CORRECT_L)
    x, y = gone.width // 2, gone.height // 2
    ImageDraw.Draw(gone).rectangle((x - 90, y - 60, x + 100, y + 110), fill=255)
    keep("unreadable.png", "", saved(gone, "PNG"))
    keep("blurred.jpg", "", jpeg(code(link("blurred"), 4).filter(ImageFilter.GaussianBlur(9))))
    whole = saved(code(link("cut"), 8), "PNG")
    keep("cut.png", "", whole[:len(whole) // 3])
    keep("no-picture.pdf", "", b"%PDF-1.7\n1 0 obj <</Length 10>> stream\nBT (x) Tj\nendstream")
    chess = Image.new("L", (420, 420), 255)
    draw = ImageDraw.Draw(chess)
    for i in range(21):
        for j in range(21):
            if CHANCE.random() < 0.5:
                draw.rectangle((i * 20, j * 20, i * 20 + 19, j * 20 + 19), fill=0)
    keep("squares.png", "", saved(chess, "PNG"))


def several():
    """Two codes that lead to different places; not in the list, since there is no one text."""
    page = place(sheet(1600, 2200), code(link("first"), 6), 150, 300)
    (FOLDER / "several.png").write_bytes(saved(place(page, code(link("second"), 6), 900, 1300), "PNG"))


FOLDER.mkdir(parents=True, exist_ok=True)
if len(sys.argv) > 2:
    photo("photo", sys.argv[2], turn=6)
    sheet_pdf = io.BytesIO()
    segno.make(sys.argv[2], error="m").save(sheet_pdf, kind="pdf", scale=3)
    keep("letter.pdf", sys.argv[2], sheet_pdf.getvalue())
else:
    photos()
    scans()
    documents()
    negatives()
    several()
(FOLDER / "codes.tsv").write_text("".join(f"{name}\t{text}\n" for name, text in WANTED), encoding="utf-8")
