"""The OpenAPI document, from which clients are generated."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any

from fastapi import FastAPI
from pydantic.json_schema import models_json_schema
from pydantic.warnings import UnsupportedFieldAttributeWarning

from agent_orchestrator.api.problems import ProblemDetails

_SCHEMAS = "#/components/schemas/"


def write(app: FastAPI) -> dict[str, Any]:
    """Write the document once, and have the application serve it; return it.

    The requests' models are built when they are first used (``defer_build``), which is here.
    """
    with warnings.catch_warnings():
        # FastAPI silences it where it makes the field, too early for a model that is built later.
        warnings.simplefilter("ignore", UnsupportedFieldAttributeWarning)
        document = app.openapi()
    _, problem = models_json_schema(
        [(ProblemDetails, "serialization")], ref_template=_SCHEMAS + "{model}"
    )
    document["components"]["schemas"].update(problem["$defs"])
    _require_what_is_always_sent(document)
    return document


def _require_what_is_always_sent(document: dict[str, Any]) -> None:
    """Mark every field of what is only ever answered as required: answers leave nothing out.

    Pydantic marks those without a default, which holds for what is received; a generated client
    would ask its users to handle fields that are missing, which never happens.
    """
    operations = [operation for path in document["paths"].values() for operation in path.values()]
    schemas = document["components"]["schemas"]
    received = _reachable([one.get("requestBody") for one in operations], schemas)
    answered = _reachable([one["responses"] for one in operations], schemas)
    for name in answered - received:
        if properties := schemas[name].get("properties"):
            schemas[name]["required"] = list(properties)


def _reachable(roots: Any, schemas: dict[str, Any]) -> set[str]:
    """Return the names of the schemas that these parts of the document lead to."""
    found: set[str] = set()
    waiting = list(_references(roots))
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting += _references(schemas[name])
    return found


def _references(part: Any) -> Iterator[str]:
    if isinstance(part, dict):
        reference = part.get("$ref")
        if isinstance(reference, str):
            yield reference.removeprefix(_SCHEMAS)
        for value in part.values():
            yield from _references(value)
    elif isinstance(part, list):
        for value in part:
            yield from _references(value)
