"""``python -m forensic`` is ``forensic``."""

from forensic.cli import main

main()
