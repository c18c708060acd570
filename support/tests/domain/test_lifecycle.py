"""The life cycle of versions: transitions as literals, and what holds after any of them."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent_orchestrator.domain import lifecycle
from agent_orchestrator.domain.models import EvalScores, ModelVersion, TrainingConfig
from agent_orchestrator.domain.registry import (
    AgentRecord,
    FieldChange,
    Registry,
    ScoreChange,
    Served,
    check_agent_name,
    check_registry,
    compare_versions,
)
from agent_orchestrator.errors import (
    ConflictError,
    InputError,
    ModelIdError,
    RegistryError,
    VersionNotFoundError,
)

V1, V2, V3 = "v1.0.0", "v1.1.0", "v1.2.0"
NAMES = (V1, V2, V3, "v2.0.0")


def version(name: str, **fields: object) -> ModelVersion:
    """Return a version with the least it needs."""
    return ModelVersion(version=name, content_id="c", model_id=f"acme/{name}", **fields)


def record(*names: str) -> AgentRecord:
    """Return an agent's record with those versions."""
    made = AgentRecord(agent_name="feature_dev")
    for name in names:
        made = lifecycle.add_version(made, version(name))
    return made


def registry(agent: AgentRecord, key: str = "feature_dev") -> Registry:
    """Return a registry of one agent."""
    return Registry(schema_version=2, created_at="", updated_at="", agents={key: agent})


def statuses(agent: AgentRecord) -> dict[str, str]:
    """Return each version's status."""
    return {known.version: known.deployment_status for known in agent.history}


def test_a_canary_is_promoted_and_the_former_version_archived() -> None:
    """The usual way up: current, canary in steps, promotion."""
    agent = lifecycle.make_current(record(V1, V2), V1, "t1")
    agent = lifecycle.make_canary(agent, V2, 20, "t2")
    assert statuses(agent) == {V1: "deployed", V2: "canary_20pct"}
    assert (agent.current, agent.canary) == (V1, V2)
    agent = lifecycle.make_canary(agent, V2, 50, "t3")
    assert agent.version(V2).deployed_at == "t2"
    agent = lifecycle.promote_canary(agent, "t4")
    assert statuses(agent) == {V1: "archived", V2: "deployed"}
    assert (agent.current, agent.canary) == (V2, None)
    assert agent.version(V2).deployed_at == "t4"
    assert agent.served == (
        Served(version=V1, role="current", percent=100, since="t1", until="t2"),
        Served(version=V1, role="current", percent=80, since="t2", until="t3"),
        Served(version=V2, role="canary", percent=20, since="t2", until="t3"),
        Served(version=V1, role="current", percent=50, since="t3", until="t4"),
        Served(version=V2, role="canary", percent=50, since="t3", until="t4"),
        Served(version=V2, role="current", percent=100, since="t4"),
    )


def test_rolling_back_a_canary_leaves_the_current_version() -> None:
    """A canary that failed is archived; what served goes on."""
    agent = lifecycle.make_canary(lifecycle.make_current(record(V1, V2), V1, "a"), V2, 20, "b")
    agent = lifecycle.roll_back(agent, None, "c")
    assert statuses(agent) == {V1: "deployed", V2: "archived"}
    assert agent.served[-1] == Served(version=V1, role="current", percent=100, since="c")


def test_rolling_back_returns_to_what_served_before_and_never_to_the_bad_one() -> None:
    """Each rollback goes one version further back, until there is none."""
    agent = record(V1, V2, V3)
    for name in (V1, V2, V3):
        agent = lifecycle.make_current(agent, name, name)
    for expected in (V2, V1):
        agent = lifecycle.roll_back(agent, None, "x" + expected)
        assert agent.current == expected
    with pytest.raises(ConflictError, match=r"No version served 'feature_dev' before 'v1\.0\.0'"):
        lifecycle.roll_back(agent, None, "y")


def test_a_named_rollback_may_be_repeated() -> None:
    """Returning to a named version twice changes nothing the second time."""
    agent = lifecycle.make_current(record(V1, V2), V1, "a")
    agent = lifecycle.make_canary(lifecycle.make_current(agent, V2, "b"), V1, 5, "c")
    agent = lifecycle.roll_back(agent, V2, "d")
    assert (agent.current, agent.canary) == (V2, None)
    assert lifecycle.roll_back(agent, V2, "e") == agent
    canary = lifecycle.make_canary(agent, V1, 5, "f")
    assert lifecycle.roll_back(canary, V1, "g").current == V1


def test_serving_is_said_absolutely() -> None:
    """Whatever served before, the record then says what was asked, however often it is asked."""
    agent = lifecycle.make_current(record(V1, V2, V3), V1, "a")
    agent = lifecycle.serve(agent, V1, V2, 20, "b")
    assert lifecycle.serve(agent, V1, V2, 20, "c") == agent
    promoted = lifecycle.serve(agent, V2, None, 0, "d")
    assert statuses(promoted) == {V1: "archived", V2: "deployed", V3: "not_deployed"}
    undone = lifecycle.serve(agent, V1, None, 0, "d")
    assert statuses(undone) == {V1: "deployed", V2: "archived", V3: "not_deployed"}
    other = lifecycle.serve(agent, V3, V1, 10, "d")
    assert statuses(other) == {V1: "canary_10pct", V2: "archived", V3: "deployed"}
    outside = lifecycle.serve(agent, None, None, 0, "d")
    assert (outside.current, outside.previous()) == (None, V1)
    assert lifecycle.serve(outside, None, V3, 0, "e").canary == V3
    with pytest.raises(ConflictError, match="already serves"):
        lifecycle.serve(agent, V1, V1, 20, "d")


def test_nothing_served_before_the_first() -> None:
    """An agent without a served version has nothing to return to."""
    assert record(V1).previous() is None
    assert replace(record(V1), current=V1).previous() is None


def test_challengers_come_and_go() -> None:
    """A challenger is listed while it has that status, and ceases to be one when it serves."""
    agent = lifecycle.set_status(record(V1, V2, V3), V2, "challenger")
    agent = lifecycle.set_status(agent, V3, "challenger")
    assert agent.challengers == (V2, V3)
    with pytest.raises(ConflictError, match="is a challenger"):
        lifecycle.retire(agent, V2)
    agent = lifecycle.set_status(agent, V2, "shadow")
    assert agent.challengers == (V3,)
    assert lifecycle.make_canary(agent, V3, 5, "t").challengers == ()
    assert lifecycle.retire(agent, V2).version(V2).deployment_status == "archived"


def test_what_serves_is_neither_retired_nor_relabelled() -> None:
    """Current and canary change their status by serving only."""
    agent = lifecycle.make_canary(lifecycle.make_current(record(V1, V2), V1, "a"), V2, 20, "b")
    for name in (V1, V2):
        with pytest.raises(ConflictError, match="Roll it back first"):
            lifecycle.retire(agent, name)
    for status in ("deployed", "canary_20pct"):
        with pytest.raises(InputError, match="follows from serving"):
            lifecycle.set_status(agent, V1, status)
    with pytest.raises(InputError, match="Not a deployment status: 'gone'"):
        lifecycle.set_status(agent, V1, "gone")


@pytest.mark.parametrize("percent", [140, -1, 20.0, True, "20"])
def test_a_share_is_a_whole_percentage(percent: object) -> None:
    """A canary's share is a whole number from 0 to 100."""
    with pytest.raises(InputError, match="Not a canary's share"):
        lifecycle.make_canary(record(V1), V1, percent, "t")


def test_one_canary_at_a_time() -> None:
    """A second canary waits until the first is promoted or rolled back."""
    agent = lifecycle.make_canary(record(V1, V2), V1, 20, "t")
    with pytest.raises(ConflictError, match=r"'v1\.0\.0' is already the canary"):
        lifecycle.make_canary(agent, V2, 20, "t")
    with pytest.raises(ConflictError, match="no canary to promote"):
        lifecycle.promote_canary(lifecycle.clear_canary(agent, "not_deployed", "t"), "t")
    assert lifecycle.clear_canary(record(V1), "archived", "t") == record(V1)


def test_adding_checks_number_model_and_parent() -> None:
    """A version has a number of its own, a model id and a known parent."""
    agent = record(V1)
    with pytest.raises(InputError, match=r"already has a version 'v1\.0\.0'"):
        lifecycle.add_version(agent, version(V1))
    with pytest.raises(InputError, match="Not a version"):
        lifecycle.add_version(agent, replace(version(V2), version="new"))
    with pytest.raises(ModelIdError):
        lifecycle.add_version(agent, replace(version(V2), model_id="../../etc/passwd"))
    with pytest.raises(VersionNotFoundError, match=r"newest first: v1\.0\.0"):
        lifecycle.add_version(agent, version(V2, parent_version="v0.9.0"))


def test_the_line_of_parents() -> None:
    """A version's lineage begins with itself and ends with the one that has no parent."""
    agent = lifecycle.add_version(record(V1), version(V2, parent_version=V1))
    agent = lifecycle.add_version(agent, version(V3, parent_version=V2))
    assert [known.version for known in agent.lineage(V3)] == [V3, V2, V1]
    with pytest.raises(VersionNotFoundError, match="none yet"):
        record().lineage(V1)
    for parent, says in ((V3, "closes a circle"), ("v9.0.0", "is not in the history")):
        with pytest.raises(RegistryError, match=says):
            lifecycle.change_version(agent, V1, parent_version=parent).lineage(V2)


@pytest.mark.parametrize(
    ("broken", "says"),
    [
        (replace(record(V1), current=V2), "feature_dev.current refers to 'v1.1.0'"),
        (replace(record(V1), canary=V2), "feature_dev.canary refers to 'v1.1.0'"),
        (replace(record(V1), challengers=(V2,)), "feature_dev.challengers refers to 'v1.1.0'"),
        (replace(record(V1), current=V1), "'not_deployed', which disagrees"),
        (lifecycle.change_version(record(V1), V1, deployment_status="deployed"), "disagrees"),
        (lifecycle.change_version(record(V1), V1, deployment_status="canary_5pct"), "disagrees"),
        (lifecycle.change_version(record(V1), V1, deployment_status="gone"), "Not a deployment"),
        (lifecycle.change_version(record(V1), V1, model_id="a b"), "Not a model id: 'a b'"),
        (replace(record(), history=(version("x"),)), "Not a version: 'x'"),
        (lifecycle.change_version(record(V1), V1, parent_version=V1), "closes a circle"),
        (lifecycle.change_version(record(V1), V1, parent_version=V2), "is not in the history"),
        (replace(record(V1), history=(version(V1), version(V1))), "'v1.0.0' 2 times"),
        (replace(record(V1), agent_name="cicd"), "agent_name is 'cicd'"),
        (
            replace(record(), served=(Served(version=V1, role="current", percent=1, since=""),)),
            "feature_dev.served refers to 'v1.0.0'",
        ),
    ],
)
def test_a_registry_that_contradicts_itself_is_refused(broken: AgentRecord, says: str) -> None:
    """References, statuses, parents and names must agree; what does not is named."""
    with pytest.raises(RegistryError, match=says):
        check_registry(registry(broken))
    assert check_registry(registry(record(V1))).agent("cicd") == AgentRecord(agent_name="cicd")


def test_an_agents_name_is_an_identifier() -> None:
    """A name that could not be an agent's is bad input wherever it comes in."""
    assert check_agent_name("feature_dev") == "feature_dev"
    for name in ("", "../x", "A", "a b", "x" * 65):
        with pytest.raises(InputError, match="Not an agent's name"):
            check_agent_name(name)
    with pytest.raises(RegistryError, match="Not an agent's name"):
        check_registry(registry(replace(record(), agent_name="A"), "A"))


def test_comparing_two_versions_names_what_differs() -> None:
    """Configurations are compared field by field, scores as numbers with their difference."""
    agent = record()
    for name, rate, scores in (
        (V1, 1e-5, EvalScores(accuracy=0.5, avg_latency_ms=10.0, recommendation="reject")),
        (V2, 2e-5, EvalScores(accuracy=0.75)),
    ):
        config = TrainingConfig(base_model="b", learning_rate=rate)
        agent = lifecycle.add_version(
            agent, version(name, training_config=config, eval_scores=scores)
        )
    diff = compare_versions(agent, V1, V2)
    assert diff.config == (FieldChange("learning_rate", 1e-5, 2e-5),)
    assert diff.scores == (
        ScoreChange("accuracy", 0.5, 0.75),
        ScoreChange("avg_latency_ms", 10.0, None),
    )
    assert [score.difference for score in diff.scores] == [0.25, None]
    bare = lifecycle.add_version(agent, version(V3))
    assert compare_versions(bare, V2, V3).scores == (ScoreChange("accuracy", 0.75, None),)


OPERATIONS = st.one_of(
    st.tuples(st.just("current"), st.sampled_from(NAMES)),
    st.tuples(st.just("canary"), st.sampled_from(NAMES), st.integers(-1, 101)),
    st.tuples(st.just("promote")),
    st.tuples(st.just("back"), st.sampled_from((None, *NAMES))),
    st.tuples(st.just("status"), st.sampled_from(NAMES), st.sampled_from(["shadow", "challenger"])),
    st.tuples(st.just("retire"), st.sampled_from(NAMES)),
    st.tuples(
        st.just("serve"),
        st.sampled_from((None, *NAMES)),
        st.sampled_from((None, *NAMES)),
        st.integers(0, 100),
    ),
)


def applied(agent: AgentRecord, operation: tuple[Any, ...], now: str) -> AgentRecord:
    """Apply one drawn operation."""
    transitions: dict[str, Callable[..., AgentRecord]] = {
        "current": partial(lifecycle.make_current, now=now),
        "canary": partial(lifecycle.make_canary, now=now),
        "promote": partial(lifecycle.promote_canary, now=now),
        "back": partial(lifecycle.roll_back, now=now),
        "serve": partial(lifecycle.serve, now=now),
        "status": lifecycle.set_status,
        "retire": lifecycle.retire,
    }
    return transitions[operation[0]](agent, *operation[1:])


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(OPERATIONS, st.booleans()), max_size=25))
def test_whatever_happens_the_record_agrees_with_itself(
    operations: list[tuple[tuple[Any, ...], bool]],
) -> None:
    """After any transitions, refused ones included, all invariants hold and the log is true."""
    agent, time = record(*NAMES), 0
    for operation, passes in operations:
        time += passes  # some happen within the same millisecond
        try:
            agent = applied(agent, operation, f"{time:04d}")
        except (InputError, ConflictError):
            continue
        check_registry(registry(agent))
        running = {(e.version, e.role): e.percent for e in agent.served if e.until is None}
        roles = {(agent.current, "current"), (agent.canary, "canary")}
        assert set(running) == {(name, role) for name, role in roles if name is not None}
        assert sum(running.values()) == 100 or None in {agent.current, agent.canary}
        assert all(entry.since < (entry.until or "9") for entry in agent.served)
