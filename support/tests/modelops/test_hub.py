"""What is asked of the Hub before a job is priced, by its own client against the double."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from huggingface_hub import close_session, get_session
from tests.doubles.hub import FINE_GRAINED, ORG, READ, USER, WRITE, Account, HubDouble

from agent_orchestrator.agents.infrastructure.modelops.hub.client import Hub, hub_failures
from agent_orchestrator.errors import ConfigurationError, InputError, UnavailableError


@pytest.fixture
def double() -> Iterator[HubDouble]:
    """Return a running Hub."""
    with HubDouble() as double:
        yield double


def hub(double: HubDouble, token: str | None = WRITE) -> Hub:
    """Return the Hub as a token sees it."""
    return Hub(token, double.url)


def test_size_and_licence_come_from_the_models_page(double: HubDouble):
    """One request, with our token, for what is needed only."""
    card = {"license": "other", "license_name": "qwen-research", "license_link": "https://x/y"}
    double.repos.add_model("acme/model", parameters=7_615_616_512, card=card)
    facts = hub(double).base_model("acme/model")
    assert facts.parameters == 7_615_616_512
    assert facts.licence is not None
    assert facts.licence.id == "other"
    assert "qwen-research allows no commercial use" in facts.licence.notes[0]
    (request,) = double.requests
    assert (request.path, request.token) == ("/api/models/acme/model", WRITE)


def test_a_model_that_cannot_be_trained_from_is_bad_input(double: HubDouble):
    """Unknown, hidden, impossible, or without safetensors: each is said."""
    double.repos.add_model("other/secret", private=True)
    double.repos.add_model("acme/no-weights")
    for name in ("acme/absent", "other/secret", "a--b/c"):
        with pytest.raises(InputError, match=r"no model .* that you may read"):
            hub(double).base_model(name)
    with pytest.raises(InputError, match="no safetensors weights; pickles are never loaded"):
        hub(double).base_model("acme/no-weights")


def test_a_gated_model_is_explained(double: HubDouble):
    """Where to accept the terms, with which account; who was let in may use it."""
    double.repos.add_model("meta/gated", parameters=8_000_000_000, gated="manual")
    with pytest.raises(InputError, match=r"gated: .* your token has no access") as error:
        hub(double).base_model("meta/gated")
    assert f"Open {double.url}/meta/gated, accept the terms" in error.value.remedy
    with pytest.raises(InputError, match="there is no token") as error:
        hub(double, None).base_model("meta/gated")
    assert "set HUGGINGFACE_TOKEN" in error.value.remedy
    double.accounts["hf_granted"] = Account(granted=frozenset({"meta/gated"}))
    assert hub(double, "hf_granted").base_model("meta/gated").parameters == 8e9


def test_a_model_is_deleted_once(double: HubDouble):
    """One that is not there is gone already; a token that may not is said."""
    double.repos.add_model("acme/loser", parameters=1)
    with pytest.raises(ConfigurationError, match="asked to delete acme/loser, refused the token"):
        hub(double, READ).remove("acme/loser")
    hub(double).remove("acme/loser")
    hub(double).remove("acme/loser")
    with pytest.raises(InputError, match="no model"):
        hub(double).base_model("acme/loser")


@pytest.mark.parametrize("status", [429, 500, 503, None])
def test_a_hub_that_does_not_answer_is_unavailable(double: HubDouble, status: int | None):
    """Too many requests, faults and broken connections pass; nothing is guessed meanwhile."""
    double.repos.add_model("acme/model", parameters=1)
    double.fail(status, path="/api/models")
    with pytest.raises(UnavailableError, match="asked for 'acme/model', does not answer"):
        hub(double).base_model("acme/model")
    assert hub(double).base_model("acme/model").parameters == 1


def test_a_hub_that_cannot_be_reached_is_unavailable():
    """Nobody listens there."""
    with pytest.raises(UnavailableError, match="ConnectError"):
        Hub(None, "http://127.0.0.1:9").base_model("acme/model")


def test_a_session_that_another_thread_has_closed_is_unavailable(double: HubDouble):
    """The Hub's client closes the one that all threads share when a call of one has failed."""
    session = get_session()
    close_session()
    with pytest.raises(UnavailableError, match="Try again"), hub_failures("The Hub"):
        session.get(double.url)


def test_a_token_that_may_write_passes(double: HubDouble):
    """For its user and for organisations where the user writes."""
    assert hub(double).check_push(USER, jobs=True).user == USER
    assert hub(double).check_push(ORG).namespace == ORG
    assert hub(double, FINE_GRAINED).check_push(USER, jobs=True).namespace == USER


@pytest.mark.parametrize(
    ("token", "namespace", "said", "remedy"),
    [
        (None, USER, "HUGGINGFACE_TOKEN is not set", "Set HUGGINGFACE_TOKEN"),
        ("hf_wrong", USER, "refused the token: Invalid credentials", "settings/tokens"),
        (WRITE, "local", "MODELOPS_HUB_ORG='local' is neither 'acme'", "one of: acme, acme-org"),
        (READ, USER, "may only read", "one that may write"),
        ("hf_guest", ORG, "may only read in acme-org", "the role write"),
        (FINE_GRAINED, ORG, "neither 'acme' nor", "one of: acme"),
        ("hf_narrow", USER, "lacks job.write and repo.write for acme", "to start and manage Jobs"),
    ],
)
def test_what_a_token_lacks_is_said_before_a_job_starts(
    double: HubDouble, token: str | None, namespace: str, said: str, remedy: str
):
    """Nothing was written to find it out."""
    double.accounts["hf_guest"] = Account(orgs={ORG: "read"})
    double.accounts["hf_narrow"] = Account(role="fineGrained", scopes={ORG: ("repo.write",)})
    with pytest.raises(ConfigurationError, match=said) as error:
        hub(double, token).check_push(namespace, jobs=True)
    assert remedy in error.value.remedy
    assert {request.method for request in double.requests} <= {"GET"}


def test_no_token_is_shown(double: HubDouble):
    """Neither in a message nor in a remedy."""
    errors: list[Any] = []
    for token in (WRITE, READ, "hf_wrong"):
        with pytest.raises(ConfigurationError) as error:
            hub(double, token).check_push("stranger")
        errors.append(str(error.value))
    assert "hf_" not in " ".join(errors)
