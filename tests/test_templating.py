"""Pages that are files."""

import jinja2
import pytest

from forensic.templating import template


def test_what_a_page_lacks_is_an_error_and_not_a_blank() -> None:
    with pytest.raises(jinja2.UndefinedError):
        template("accuracy.html").render()
