"""Enroll a folder of photos and search it with a sketch, in five lines.

python examples/first_match.py PHOTOS SKETCH GALLERY
"""

import sys

from forensic import Gallery, Identifier

photos, sketch, folder = sys.argv[1:4]

with Gallery(folder, create=True) as gallery:
    identifier = Identifier(gallery)
    identifier.enroll(photos)
    for candidate in identifier.identify(sketch, k=10):
        print(candidate.rank, candidate.person, round(candidate.score, 4))
