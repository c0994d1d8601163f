"""Search one gallery along several routes and set their lists side by side.

python examples/several_routes.py GALLERY SKETCH

Scores of different routes do not compare; ranks do.
"""

import sys

from forensic import Gallery, Identifier

folder, sketch = sys.argv[1:3]

with Gallery(folder) as gallery:
    for route in ("direct", "sketch-to-photo:pix2pix", "photo-to-sketch:pencil"):
        identifier = Identifier(gallery, route)
        identifier.reindex()  # makes the templates that this route lacks, if any
        print(route, [candidate.person for candidate in identifier.identify(sketch, k=5)])
