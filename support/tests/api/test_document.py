"""The OpenAPI document and the reference made from it."""

import json
from pathlib import Path
from typing import Any

import api_reference
import pytest
from tests.cli.conftest import Chef, chef, workspace  # noqa: F401 - fixtures
from tests.doubles.api_client import usual_app

_EXTENSION = Path(__file__).parents[3] / "extensions" / "vscode-codechef" / "package.json"


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


def test_fields_that_every_answer_has_are_required_there_and_optional_where_they_are_received(
    document: Any,
):
    """A generated client need not handle missing fields of answers, nor send what has a default."""
    schemas = document["components"]["schemas"]
    assert set(schemas["JobReport"]["required"]) == set(schemas["JobReport"]["properties"])
    assert schemas["TrainSubagentModel"]["required"] == ["agent"]


def test_the_editors_tools_are_current(document: Any):
    """`make client` writes them: every use case with its fields, and what carries out."""
    tools = json.loads(_EXTENSION.read_text(encoding="utf-8"))["contributes"]["languageModelTools"]
    offered = {tool["name"].removeprefix("codechef_"): tool for tool in tools}
    use_cases = {
        path.removeprefix("/modelops/"): methods["post"]
        for path, methods in document["paths"].items()
        if path.startswith("/modelops/")
    }
    assert offered.keys() - use_cases.keys() == {"carry_out_approved"}
    for name, operation in use_cases.items():
        assert ("changes" in offered[name]["tags"]) == ("202" in operation["responses"])
        reference = operation["requestBody"]["content"]["application/json"]["schema"]["$ref"]
        taken = document["components"]["schemas"][reference.rpartition("/")[2]]
        shown = offered[name]["inputSchema"]
        assert _said(shown["properties"]) == _said(taken["properties"])
        assert shown.get("required") == taken.get("required")


def _said(properties: Any) -> dict[str, str | None]:
    """Return what each field's description says."""
    return {name: field.get("description") for name, field in properties.items()}
