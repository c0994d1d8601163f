"""The templates of the pages that are files: reports of searches, of cases, of accuracy."""

import jinja2

_environment = jinja2.Environment(
    loader=jinja2.PackageLoader("forensic"), autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True
)


def template(name: str) -> jinja2.Template:
    """A page's template: everything that goes into it is escaped, and what is lacking is an error."""
    return _environment.get_template(name)
