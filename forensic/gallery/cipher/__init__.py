"""Encryption at rest: `encryption` (the key's envelope, sealed files), `keys` (the user's), `encrypting` (the act).

`sealing` seals bytes under a key, for galleries and backups.
"""
