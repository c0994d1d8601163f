"""The gallery: people, their photos, the originals' bytes and the templates made of them.

`Gallery` is the door to people, photos and templates; what else is done with a gallery are functions that take one:

- what is stored: `models`, `casework_models` (tables), `records` (what goes in and out), `objects` (originals) and
  `buckets`; `originals` says where these lie
- how, so that nothing is lost: `storage` (transactions), `locks`, `database`, `postgresql`, `address`, `migrations`
- people: `store`, `enrolling`, `expunging`, `merging`, `curating`, `people`, `filtering`, `browsing`,
  `templates`, `cohorts`; in and out: `exchange`, `nist`
- casework: `cases`, `examinations` (second ones that are due), `listing` (a page at a time), `disclosing` (for exports
  and reports), `statements` (what the log holds hashes of), `reports`
- beside a server: `serving`
- who did what: `audit`, `trail`, `anchoring`, `users`, `rights`
- is it whole, and is somebody gone: `verifying`, `repairing`, `proving` with `pages` and `traces`
- encryption at rest: `encryption` (the key's envelope, sealed files), `keys` (the user's), `encrypting` (the act)
- backups: `backups`, `restoring`, with `snapshots`, `destination`, `rows`, `sealing`, `keyfiles` (the backups' keys)
"""

from forensic.gallery.filtering import Filter, Matching
from forensic.gallery.records import Enrollment, Outcome, Problem, Size, Space, Templates
from forensic.gallery.store import Gallery

__all__ = ["Gallery", "Filter", "Matching", "Enrollment", "Outcome", "Space", "Templates", "Problem", "Size"]
