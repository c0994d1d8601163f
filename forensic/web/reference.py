"""The OpenAPI document as a person reads it: operations by part, fields with their types and bounds."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from markupsafe import Markup, escape

from forensic.web.api.document import TOKEN, operations

Schema = Mapping[str, Any]
_BOUNDS = (("minimum", "maximum", "{}"), ("minLength", "maxLength", "{} characters"), ("minItems", "maxItems", "{}"))
"""Keys of a least and a most, and how both are told."""


class FieldShown(NamedTuple):
    """A parameter or a field.

    Attributes:
        name: As it is sent.
        place: Where a parameter stands; empty for a field.
        kind: Its type in words, with bounds.
        required: Whether it has to be there.
        text: What it is.
        links: Models that its type names.
    """

    name: str
    place: str
    kind: str
    required: bool
    text: str
    links: list[str]


class AnswerShown(NamedTuple):
    """One status that an operation may answer with.

    Attributes:
        status: Of the answer.
        text: When.
        types: Its media types.
        model: What it holds; empty where that is no model.
    """

    status: str
    text: str
    types: str
    model: str


class OperationShown(NamedTuple):
    """One operation.

    Attributes:
        id: Its name in the document.
        method: Of HTTP.
        path: With parameters in braces.
        summary: In a few words.
        text: More of it, by paragraphs.
        who: Who may call it.
        parameters: In path, query and headers.
        body: Fields of what is sent.
        body_type: Its media type.
        example: What may be sent, as JSON; empty where there is nothing to show.
        answers: By status.
    """

    id: str
    method: str
    path: str
    summary: str
    text: list[str]
    who: str
    parameters: list[FieldShown]
    body: list[FieldShown]
    body_type: str
    example: str
    answers: list[AnswerShown]


class PartShown(NamedTuple):
    """A part of the API, with its operations."""

    name: str
    text: str
    operations: list[OperationShown]


class ModelShown(NamedTuple):
    """What an answer holds."""

    name: str
    text: str
    fields: list[FieldShown]


def notes(document: Mapping[str, Any]) -> list[str]:
    """What has to be known of all operations, by paragraphs."""
    text = re.sub(r"\n(?!\n|- )", " ", document["info"]["description"])
    return [line.removeprefix("- ") for line in text.splitlines() if line]


def parts(document: dict[str, Any]) -> list[PartShown]:
    """The operations, by part."""
    shown = [
        (operation["tags"][0], _operation(document, path, method, operation))
        for path, method, operation in operations(document)
    ]
    return [
        PartShown(tag["name"], tag["description"], [one for name, one in shown if name == tag["name"]])
        for tag in document["tags"]
        if any(name == tag["name"] for name, _ in shown)
    ]


def models(document: Mapping[str, Any]) -> list[ModelShown]:
    """What requests and answers hold, by name; bodies of forms stand with their operations alone."""
    schemas = document["components"]["schemas"]
    return [
        ModelShown(name, _about(schema), _fields(schema))
        for name, schema in sorted(schemas.items())
        if not name.startswith("Body_")
    ]


def _about(schema: Schema) -> str:
    choices = f"One of {', '.join(schema['enum'])}." if "enum" in schema else ""
    return f"{schema.get('description', '')} {choices}".strip()


def _operation(document: Mapping[str, Any], path: str, method: str, operation: Schema) -> OperationShown:
    bodies: dict[str, Schema] = operation.get("requestBody", {}).get("content", {})
    kind = next(iter(bodies), "")
    schema = _resolved(document, bodies[kind]["schema"]) if kind else {}
    first, *rest = operation.get("description", "").split("\n\n")
    return OperationShown(
        id=operation["operationId"],
        method=method.upper(),
        path=path,
        summary=operation["summary"],
        text=[" ".join(paragraph.split()) for paragraph in (first, *rest) if paragraph],
        who=_who(operation),
        parameters=[_parameter(one) for one in operation.get("parameters", [])],
        body=_fields(schema),
        body_type=kind,
        example=_example(document, schema) if kind == "application/json" else "",
        answers=[_answer(status, one) for status, one in sorted(operation["responses"].items())],
    )


def _who(operation: Schema) -> str:
    if not operation["security"]:
        return "Anybody."
    scopes: list[str] = operation["security"][0][TOKEN]
    if not scopes:
        return "Everybody who is signed in; a token of any scope."
    return f"{', '.join(operation['x-roles'])}; a token with {' and '.join(scopes)}."


def _parameter(parameter: Schema) -> FieldShown:
    return _field(parameter["name"], parameter["schema"], parameter.get("required", False), parameter)._replace(
        place=parameter["in"]
    )


def _fields(schema: Schema) -> list[FieldShown]:
    required = schema.get("required", ())
    return [_field(name, one, name in required, one) for name, one in schema.get("properties", {}).items()]


def _field(name: str, schema: Schema, required: bool, about: Schema) -> FieldShown:
    default = f" Default: {json.dumps(schema['default'])}." if schema.get("default") not in (None, "", [], {}) else ""
    text = " ".join(about.get("description", schema.get("description", "")).split())
    links: list[str] = []
    return FieldShown(name, "", _kind(schema, links), required, f"{text}{default}".strip(), links)


def _kind(schema: Schema, links: list[str]) -> str:
    """A schema's type in words; the models that it names go to ``links``."""
    if "$ref" in schema:
        links.append(schema["$ref"].rpartition("/")[2])
        return links[-1]
    if "anyOf" in schema:
        return " or ".join(dict.fromkeys(_kind(one, links) for one in schema["anyOf"]))
    if "const" in schema:
        return json.dumps(schema["const"])
    if "enum" in schema:
        return " | ".join(schema["enum"])
    kind = schema.get("format") or schema.get("type", "anything")
    if kind == "array":
        kind = f"list of {_kind(schema.get('items', {}), links)}"
    elif kind == "object" and isinstance(schema.get("additionalProperties"), dict):
        kind = f"object of {_kind(schema['additionalProperties'], links)}"
    told = [
        text.format(between) for low, high, text in _BOUNDS if (between := _between(schema.get(low), schema.get(high)))
    ]
    return f"{kind} ({', '.join(told)})" if told else kind


def _between(low: float | None, high: float | None) -> str:
    """Bounds in words.

    >>> _between(1, 2000.0), _between(5, 5), _between(None, 3), _between(2, None)
    ('1 to 2,000', '5', 'at most 3', 'at least 2')
    """
    least, most = (None if bound is None else f"{bound:,.0f}" for bound in (low, high))
    if least is None or most is None:
        return f"at least {least}" if least else f"at most {most}" if most else ""
    return least if least == most else f"{least} to {most}"


def _answer(status: str, response: Schema) -> AnswerShown:
    content: dict[str, Schema] = response.get("content", {})
    schemas: list[Schema] = [one["schema"] for one in content.values()]
    links: list[str] = []
    if schemas:
        _kind(schemas[0], links)
    return AnswerShown(status, response["description"], ", ".join(content), links[0] if links else "")


def _resolved(document: Mapping[str, Any], schema: Schema) -> Schema:
    if "$ref" in schema:
        found: Schema = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
        return found
    return schema


def _example(document: Mapping[str, Any], schema: Schema) -> str:
    return json.dumps(_sample(document, schema), indent=2) if schema.get("properties") else ""


def _sample(document: Mapping[str, Any], schema: Schema) -> Any:
    """Something that fits a schema: its own example where it has one."""
    schema = _resolved(document, schema)
    if "examples" in schema:
        return schema["examples"][0]
    if "default" in schema:
        return schema["default"]
    if "enum" in schema:
        return schema["enum"][0]
    if "anyOf" in schema:
        return _sample(document, schema["anyOf"][0])
    if "properties" in schema:
        return {name: _sample(document, one) for name, one in schema["properties"].items()}
    if schema.get("type") == "array":
        return [_sample(document, schema.get("items", {}))]
    return {"integer": 1, "number": 1.0, "boolean": False, "object": {}}.get(schema.get("type", ""), "text")


def marked(text: str) -> Markup:
    """A sentence of the document as HTML: what stands between backticks is code, between two stars strong.

    >>> str(marked("`<a>` is **new**"))
    '<code>&lt;a&gt;</code> is <strong>new</strong>'
    """
    safe = str(escape(text))
    safe = re.sub(r"`([^`]+)`", r"<code>\1</code>", safe)
    return Markup(re.sub(r"\*\*([^*]+)\*\*", r"<strong>\1</strong>", safe))  # noqa: S704 - escaped above
