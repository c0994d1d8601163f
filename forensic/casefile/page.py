"""A report as one HTML page that fetches nothing and runs nothing."""

from __future__ import annotations

import base64
import hashlib
import re

from forensic.casefile.shown import Report
from forensic.report import data_uri
from forensic.templating import template

_STYLE = re.compile(r"<style>(.*?)</style>", re.DOTALL)


def render(report: Report) -> bytes:
    """The page; the same report gives the same bytes."""
    return template("case.html").render(report=report, data_uri=data_uri).encode()


def policy(page: bytes) -> str:
    """The content security policy under which a server may show a page: its own style by its hash, and no script."""
    styles = _STYLE.findall(page.decode())
    hashes = [base64.b64encode(hashlib.sha256(style.encode()).digest()).decode() for style in styles]
    allowed = " ".join(f"'sha256-{digest}'" for digest in hashes)
    rest = "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; sandbox"
    return f"default-src 'none'; style-src {allowed}; img-src data:; {rest}"
