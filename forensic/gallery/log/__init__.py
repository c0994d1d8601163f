"""Who did what: `audit` writes and checks the log, `trail` reads it, `anchoring` has its end time-stamped by others.

`statements` says what the log holds hashes of.
"""
