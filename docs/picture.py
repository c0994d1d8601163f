"""Draw the picture of the README: a sketch, and the first five of its list, in the gallery that the demo made.

forensic demo && python docs/picture.py demo docs/first-match.jpg

Everybody in it was drawn by the program and exists nowhere.
"""

import sys
from io import BytesIO
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from forensic import Gallery, Identifier

SKETCH, CANDIDATES = "0076.jpg", 5
WIDE, HIGH, GAP, LINE = 160, 200, 14, 26
INK, FAINT, PAPER = (30, 30, 30), (110, 110, 110), (255, 255, 255)

folder, out = Path(sys.argv[1]), Path(sys.argv[2])
sketch = folder / "people" / "sketches" / SKETCH
with Gallery(folder / "gallery") as gallery:
    listed = Identifier(gallery).identify(str(sketch), k=CANDIDATES)
    photos = [next(photo for photo in gallery.photos(one.person) if photo.sha256 == one.photo_sha256) for one in listed]
    faces = [Image.open(BytesIO(gallery.photo_bytes(photo))).convert("RGB") for photo in photos]

page = Image.new("RGB", (GAP + (CANDIDATES + 1) * (WIDE + GAP) + 3 * GAP, HIGH + 2 * LINE + 2 * GAP), PAPER)
draw, font = ImageDraw.Draw(page), ImageFont.load_default(16)


def put(face: Image.Image, left: int, title: str, words: str) -> None:
    """One picture with two lines below it."""
    page.paste(face.resize((WIDE, HIGH), Image.Resampling.LANCZOS), (left, GAP))
    draw.text((left + WIDE // 2, GAP + HIGH + 4), title, INK, font, anchor="ma")
    draw.text((left + WIDE // 2, GAP + HIGH + LINE), words, FAINT, font, anchor="ma")


put(Image.open(sketch).convert("RGB"), GAP, "sketch", "")
middle, tip = GAP + HIGH // 2, 4 * GAP + WIDE - 10
draw.line([(2 * GAP + WIDE - 4, middle), (tip, middle)], INK, 3)
draw.polygon([(tip + 8, middle), (tip - 4, middle - 7), (tip - 4, middle + 7)], INK)
for place, (face, one) in enumerate(zip(faces, listed, strict=True)):
    put(face, 4 * GAP + WIDE + GAP + place * (WIDE + GAP), f"rank {one.rank}", one.person)
page.save(out, quality=88)
