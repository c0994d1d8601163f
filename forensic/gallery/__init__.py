"""The gallery: people, their photos, the originals' bytes and the templates made of them.

`Gallery` is the door to people, photos and templates; what else is done with a gallery are functions that take one:

- what is stored: `models` (tables), `records` (what goes in and out), `objects` (originals) and `buckets`; `originals`
  says where these lie
- how, so that nothing is lost: `storage` (transactions), `journal`, `locks`, `database`, `postgresql`, `address`,
  `migrations`
- people: `store`, `enrolling`, `expunging`, `merging`, `curating`, `people`, `photos`, `filtering`, `browsing`,
  `templates`, `cohorts`; in and out: `exchange`, `nist`
- who may do what: `users`, `rights`
- beside it: `engines` (that search in its place), `serving` (a server's own state), `reports` (of accuracy)

and five packages: `casework`, `log` (who did what), `checks` (is it whole, is somebody gone), `cipher` (encryption at
rest) and `backup`.
"""

from forensic.gallery.filtering import Filter, Matching
from forensic.gallery.records import Enrollment, Outcome, Problem, Size, Space, Templates
from forensic.gallery.store import Gallery

__all__ = ["Gallery", "Filter", "Matching", "Enrollment", "Outcome", "Space", "Templates", "Problem", "Size"]
