"""What the forms of a page send without anybody typing."""

import html
import json
import re

from forensic.gallery.models import Photo


def forms(page: str, address: str = "") -> list[dict[str, str]]:
    """Hidden fields of the forms that a page sends to an address, without that which tells the form from a forged one.

    Without an address, of those that go to the page's own.
    """
    found = [form for form in re.findall(r"<form.*?</form>", page, re.S) if form_goes_to(form) == address]
    fields = (re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)">', form) for form in found)
    return [{name: html.unescape(value) for name, value in some if name != "csrf"} for some in fields]


def form_goes_to(form: str) -> str:
    action = re.search(r'action="([^"]*)"', form.partition(">")[0])
    return action[1] if action else ""


def pair(page: str, where: str, kept: Photo, other: Photo) -> dict[str, str]:
    """Hidden fields of the form that makes the first photo's person and the other's one, or keeps them apart."""
    people = [kept.person_id, other.person_id]
    shown = [form for form in forms(page, where) if [json.loads(form[name])[1] for name in ("kept", "other")] == people]
    return shown[0]
