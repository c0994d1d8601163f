"""A server of `forensic serve` as its commands and Python programs use it: ``forensic ... --server URL``.

`Remote` offers the calls that the commands make on a gallery's folder, with the same results and errors.

- the way there: `address` (https, or this machine), `connection` (requests, trying again), `problems` (errors)
- who asks: `credentials` (a token, in the key ring or the environment), `signing_in`
- what is asked: `cases`, `searching`, `people`, `enrolling`, `records` (log and reports), `users`; `jobs` waits
- what is answered: `reading` makes the gallery's own objects of it
"""

from forensic.client.remote import Remote

__all__ = ["Remote"]
