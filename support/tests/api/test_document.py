"""The OpenAPI document and the reference made from it."""

import json
from typing import Any

import api_reference
import pytest
from tests.cli.conftest import Chef, chef, workspace  # noqa: F401 - fixtures
from tests.doubles.api_client import usual_app


@pytest.fixture(scope="module")
def document() -> Any:
    """Return the document."""
    return usual_app().openapi()


def test_the_reference_is_current(document: Any):
    """`python support/scripts/api_reference.py` writes it."""
    text = api_reference.PAGE.read_text(encoding="utf-8")
    assert api_reference.page(text, document) == text


def test_every_operation_has_a_name_of_its_own_and_says_what_it_does(document: Any):
    """Names become the functions of generated clients."""
    operations = [one for path in document["paths"].values() for one in path.values()]
    names = [operation["operationId"] for operation in operations]
    assert len(names) == len(set(names))
    assert all(name.replace("_", "").isalnum() and name.islower() for name in names)
    assert all(operation["description"] for operation in operations)
    assert all("default" in operation["responses"] for operation in operations)
    tags = {tag for operation in operations for tag in operation["tags"]}
    assert tags == set(api_reference._TITLES)


def test_every_reference_in_the_document_leads_somewhere(document: Any):
    """A generator would stumble over one that does not."""
    schemas = document["components"]["schemas"]
    text = json.dumps(document)
    named = {part.split('"')[0] for part in text.split("#/components/schemas/")[1:]}
    assert named <= set(schemas)
    assert not [name for name in schemas if "__" in name], "two models have one name"


def test_the_document_is_printed_without_a_server(chef: Chef, document: Any):  # noqa: F811
    """For those who generate clients from it."""
    assert chef("api", "openapi").json == document
