"""The progress bar on a terminal."""

import os
import pty
import subprocess
import sys

PROGRAM = """
import sys, time
from forensic.progress import bar
with bar("Working", 3) as shown:
    sys.stderr.write("The password: ")
    time.sleep(0.3)  # three times as long as between two drawings
    sys.stderr.write("\\n")
    for done in (1, 2, 3):
        shown(done)
"""


def test_a_bar_is_not_drawn_over_a_question_that_is_asked_before_the_first_step() -> None:
    terminal, its_end = pty.openpty()
    subprocess.run([sys.executable, "-c", PROGRAM], stderr=its_end, stdout=subprocess.DEVNULL, check=True)
    os.close(its_end)
    drawn = os.read(terminal, 1 << 16)
    os.close(terminal)
    before, asked, after = drawn.partition(b"The password: \r\n")
    assert (before, bool(asked), b"Working" in after, b"3/3" in after) == (b"", True, True, True)
