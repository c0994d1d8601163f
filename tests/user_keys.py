"""Keys that a user of the tests has."""

from forensic.gallery.cipher.keys import UserKey

KEY = UserKey(bytes(range(32)), "The test's key")
OTHER = UserKey(bytes(range(1, 33)), "Another key")
