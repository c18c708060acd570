"""The OpenAPI document, from which clients are generated."""

from __future__ import annotations

import warnings
from typing import Any

from fastapi import FastAPI
from pydantic.json_schema import models_json_schema
from pydantic.warnings import UnsupportedFieldAttributeWarning

from agent_orchestrator.api.problems import ProblemDetails


def write(app: FastAPI) -> dict[str, Any]:
    """Write the document once, and have the application serve it; return it.

    The requests' models are built when they are first used (``defer_build``), which is here.
    """
    with warnings.catch_warnings():
        # FastAPI silences it where it makes the field, too early for a model that is built later.
        warnings.simplefilter("ignore", UnsupportedFieldAttributeWarning)
        document = app.openapi()
    _, problem = models_json_schema(
        [(ProblemDetails, "serialization")], ref_template="#/components/schemas/{model}"
    )
    document["components"]["schemas"].update(problem["$defs"])
    return document
