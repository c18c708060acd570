"""Splicing changes into YAML that people wrote, in any style."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.stores.yaml_texts import AGENTS, ROLLOUT, models_yaml_texts

from agent_orchestrator.domain.routing import Arm, Endpoint, Rollout, RoutingTable
from agent_orchestrator.errors import ModelsYamlError
from agent_orchestrator.stores.models_yaml import (
    Change,
    ModelsYaml,
    with_endpoint,
    with_model,
    with_rollout,
    without_endpoint,
    without_rollout,
)
from agent_orchestrator.stores.routing_document import parse_routing_table, to_plain
from agent_orchestrator.stores.yaml_edit import apply_changes

thorough = settings(max_examples=50, deadline=None, suppress_health_check=list(HealthCheck))


def changed(text: str, change: Change) -> str:
    """Return ``text`` after ``change``, having checked that it says what was meant."""
    before = parse_routing_table(text, "before")
    after = change(before)
    result = apply_changes(text, to_plain(before), to_plain(after))
    assert parse_routing_table(result, "after") == after
    return result


def start(table: RoutingTable) -> RoutingTable:
    """Start the rollout of the generated files."""
    return with_rollout(table, "feature_dev", ROLLOUT)


def stop(table: RoutingTable) -> RoutingTable:
    """End it."""
    return without_rollout(table, "feature_dev")


def weighted(weight: int) -> Rollout:
    """Return the rollout with another split."""
    stable, candidate = ROLLOUT.arms
    arms = (replace(stable, weight=100 - weight), replace(candidate, weight=weight))
    return replace(ROLLOUT, arms=arms)


@thorough
@given(models_yaml_texts())
def test_starting_and_ending_a_rollout_gives_the_old_bytes_back(text: str) -> None:
    """Whatever style a file has, a rollout that came and went left no trace."""
    running = changed(text, start)
    assert changed(running, stop) == text


@thorough
@given(models_yaml_texts(), st.integers(0, 100))
def test_a_new_split_changes_the_lines_of_the_two_arms_only(text: str, weight: int) -> None:
    """Raising the weight rewrites two numbers and keeps every other byte."""
    running = changed(text, start)
    moved = changed(running, lambda table: with_rollout(table, "feature_dev", weighted(weight)))
    wanted = {"weight: 80}": f"weight: {100 - weight}}}", "weight: 20}": f"weight: {weight}}}"}
    assert moved == re.sub(r"weight: [82]0\}", lambda match: wanted[match[0]], running)


@thorough
@given(models_yaml_texts(), st.sampled_from(sorted(AGENTS)))
def test_a_new_model_changes_one_line(text: str, agent: str) -> None:
    """Another stable model touches its own line and nothing else, and keeps its quotes."""
    after = changed(stopped(text), lambda table: with_model(table, agent, "new-owner/new-model"))
    pairs = list(zip(stopped(text).splitlines(), after.splitlines(), strict=True))
    different = [(old, new) for old, new in pairs if old != new]
    assert len(different) == 1
    old, new = different[0]
    assert old.replace(AGENTS[agent], "new-owner/new-model") == new


def stopped(text: str) -> str:
    """Return the text without the rollout that some generated files have."""
    return changed(text, lambda table: without_rollout(table, "cicd"))


@thorough
@given(models_yaml_texts())
def test_a_listed_model_comes_and_goes_without_a_trace(text: str) -> None:
    """Adding a model to the catalogue and removing it gives the old bytes back."""
    place = Endpoint("new/model:tag", "self_hosted", ("http://127.0.0.1:8131/v1",), "SOME_KEY")
    listed = changed(text, lambda table: with_endpoint(table, place))
    assert changed(listed, lambda table: without_endpoint(table, "new/model:tag")) == text


@thorough
@given(models_yaml_texts())
def test_a_promotion_is_one_edit(text: str) -> None:
    """The agent's model and the rollout's phase change together."""

    def promote(table: RoutingTable) -> RoutingTable:
        stable, candidate = ROLLOUT.arms
        arms = (replace(stable, weight=0), replace(candidate, weight=100))
        guarded = replace(ROLLOUT, phase="guard", arms=arms)
        return with_model(with_rollout(table, "feature_dev", guarded), "feature_dev", arms[1].model)

    promoted = changed(changed(text, start), promote)
    assert "phase: guard" in promoted


BASE = """\
openrouter:
  agent_models:
    feature_dev: qwen/coder
"""


def rolled(text: str) -> str:
    """Return the text with a rollout started."""
    return changed(text, start)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        pytest.param(
            BASE,
            BASE
            + "\nrollouts:  # kept by chef; goes with its last entry\n  feature_dev:\n    id: ",
            id="the section is made when it is not there",
        ),
        pytest.param(
            BASE + "rollouts:\n",
            BASE + "rollouts:\n  feature_dev:\n    id: ",
            id="an empty section is filled",
        ),
        pytest.param(
            BASE + "rollouts: {}  # none\n",
            BASE + "rollouts: {feature_dev: {id: ",
            id="braces stay braces",
        ),
    ],
)
def test_the_form_of_a_new_rollout_follows_the_file(before: str, after: str) -> None:
    """A rollout is written in the style that its section has."""
    assert rolled(before).startswith(after)
    assert changed(rolled(before), stop) == before


def test_a_hand_written_rollout_keeps_its_comments() -> None:
    """Changing the split of a rollout in another style replaces the numbers alone."""
    text = BASE + (
        "rollouts:\n"
        "    feature_dev:   # careful\n"
        "        strategy: 'canary'   # quoted\n"
        "        id: ro_20261120_7f3a\n"
        "        # the arms\n"
        "        arms:\n"
        "        - name: stable\n"
        '          version: "v1.0.0"\n'
        "          model: qwen/coder\n"
        "          weight:  80   # was 100\n"
        "        # the new one\n"
        "        - version: v1.1.0\n"
        "          name: candidate\n"
        "          model: acme/feature-dev-v2\n"
        "          weight: 20\n"
        "          mirror: 0\n"
    )
    moved = changed(text, lambda table: with_rollout(table, "feature_dev", weighted(50)))
    assert moved == text.replace("weight:  80", "weight:  50").replace("weight: 20", "weight: 50")


def test_an_arm_that_changes_its_keys_is_changed_in_place_where_possible() -> None:
    """A key comes and goes inside an arm; one that leads its item makes the item be rewritten."""
    block = BASE + (
        "rollouts:\n"
        "  feature_dev:\n"
        "    id: ro_20261120_7f3a\n"
        "    strategy: canary\n"
        "    arms:\n"
        "      - name: stable\n"
        "        version: v1.0.0\n"
        "        model: qwen/coder\n"
        "        weight: 80\n"
        "      - version: v1.1.0\n"
        "        name: candidate\n"
        "        model: acme/feature-dev-v2\n"
        "        weight: 20\n"
    )
    arms = tuple(replace(arm, version=None, mirror=arm.weight) for arm in ROLLOUT.arms)
    unnamed = replace(ROLLOUT, arms=arms)
    result = changed(block, lambda table: with_rollout(table, "feature_dev", unnamed))
    assert "      - name: stable\n        model: qwen/coder\n        weight: 80\n" in result
    assert "        mirror: 80\n" in result
    assert "      - {name: candidate, model: acme/feature-dev-v2, weight: 20, mirror: 20}" in result


def test_more_arms_replace_the_list() -> None:
    """A list of another length is written anew, in the form it had."""
    three = replace(ROLLOUT, arms=(*weighted(10).arms[:1], *_two("acme/a", "acme/b")))
    block = changed(rolled(BASE), lambda table: with_rollout(table, "feature_dev", three))
    assert block.count("\n      - {name: ") == 3
    flow = changed(
        rolled(BASE + "rollouts: {}\n"), lambda table: with_rollout(table, "feature_dev", three)
    )
    assert flow.count("\n") == BASE.count("\n") + 1


def _two(first: str, second: str) -> tuple[Arm, Arm]:
    return Arm("first", first, None, 5), Arm("second", second, None, 5)


@pytest.mark.parametrize("nothing", ["null", "~"])
def test_an_explicit_null_section_is_filled(nothing: str) -> None:
    """A section that says null takes entries; emptied again it says nothing, which reads alike."""
    text = BASE + f"rollouts: {nothing}  # none\n"
    assert changed(rolled(text), stop) == BASE + "rollouts:   # none\n"


def test_a_file_in_json_style_stays_so() -> None:
    """A file that is one flow mapping gets and loses its rollout inside the braces."""
    text = '{"openrouter": {"agent_models": {"feature_dev": "qwen/coder"}}}\n'
    running = rolled(text)
    assert running.count("\n") == 1
    assert changed(running, stop) == text


def test_only_entry_before_a_trailing_comma() -> None:
    """Removing the one entry of a flow mapping takes its trailing comma along."""
    text = BASE + "models: {acme/x: {provider: local},}\n"
    assert changed(text, lambda table: without_endpoint(table, "acme/x")) == BASE + "models: {}\n"
    text = BASE + "models: {acme/x: {provider: local}, acme/y: {provider: local}}\n"
    removed = changed(text, lambda table: without_endpoint(table, "acme/x"))
    assert removed == BASE + "models: {acme/y: {provider: local}}\n"


def test_an_anchor_moves_on_to_its_first_alias() -> None:
    """Changing one of several agents that share a model leaves the others as they were."""
    text = (
        "openrouter:\n  agent_models:\n    a: &big qwen/coder  # shared\n    b: *big\n    c: *big\n"
    )
    first = changed(text, lambda table: with_model(table, "a", "acme/x"))
    assert first == text.replace("a: &big qwen/coder", "a: acme/x").replace(
        "b: *big", "b: &big qwen/coder"
    )
    second = changed(text, lambda table: with_model(table, "b", "acme/x"))
    assert second == text.replace("b: *big", "b: acme/x")


def test_merged_agents_are_overridden() -> None:
    """An agent whose model comes from a merge key gets an entry of its own."""
    text = (
        "openrouter:\n  agent_models:\n    <<: {a: qwen/coder, b: qwen/coder}\n    c: qwen/coder\n"
    )
    assert changed(text, lambda table: with_model(table, "a", "acme/x")) == text + "    a: acme/x\n"


def test_text_that_yaml_would_misread_is_quoted() -> None:
    """A model whose name looks like another type is written in quotes."""
    result = changed(BASE, lambda table: with_model(table, "feature_dev", "1e5"))
    assert 'feature_dev: "1e5"' in result
    assert 'feature_dev: "no"' in changed(
        BASE, lambda table: with_model(table, "feature_dev", "no")
    )


def test_a_text_that_cannot_be_spliced_is_refused_and_untouched(tmp_path: Path) -> None:
    """When aliases would change more than was asked, nothing is written and the way out is said."""
    text = (
        "openrouter: {agent_models: {a: acme/x, b: acme/x}}\n"
        "models:\n"
        "  acme/x: &place {provider: local}\n"
        "  acme/y: *place\n"
    )
    path = tmp_path / "models.yaml"
    path.write_text(text)
    place = Endpoint("acme/x", "openrouter")
    with pytest.raises(ModelsYamlError, match="plain block style"):
        ModelsYaml(path).update(lambda table: with_endpoint(table, place))
    assert path.read_text() == text
    place = replace(place, model="acme/y")
    ModelsYaml(path).update(lambda table: with_endpoint(table, place))
    assert path.read_text() == text.replace("*place", "{provider: openrouter}")


def test_a_rollout_that_repeats_another_by_alias_is_written_out() -> None:
    """Changing one of two rollouts that share their text leaves the other as it was."""
    rollouts = (
        "rollouts:\n"
        "  cicd: &split\n"
        "    id: ro_20261120_7f3a\n"
        "    strategy: canary\n"
        "    arms:\n"
        "      - {name: stable, version: v1.0.0, model: qwen/coder, weight: 80}\n"
        "      - &new {name: candidate, version: v1.1.0, model: acme/feature-dev-v2, weight: 20}\n"
        "  feature_dev: *split\n"
    )
    text = BASE + "    cicd: qwen/coder\n" + rollouts
    unnamed = tuple(replace(arm, version=None) for arm in ROLLOUT.arms)
    result = changed(
        text,
        lambda table: with_rollout(table, "feature_dev", replace(ROLLOUT, arms=unnamed)),
    )
    assert "  cicd: &split\n" in result
    assert "*split" not in result


def test_keys_in_the_long_form_are_refused_where_they_cannot_be_spliced(tmp_path: Path) -> None:
    """A file with ``? key`` lines is read; what cannot be changed in it is left alone."""
    text = BASE + (
        "? rollouts\n"
        ": feature_dev:\n"
        "    id: ro_20261120_7f3a\n"
        "    strategy: canary\n"
        "    arms:\n"
        "      - {name: stable, version: v1.0.0, model: qwen/coder, weight: 80}\n"
        "      - {name: candidate, version: v1.1.0, model: acme/feature-dev-v2, weight: 20}\n"
    )
    path = tmp_path / "models.yaml"
    path.write_text(text)
    file = ModelsYaml(path)
    file.set_rollout("feature_dev", weighted(50))
    assert path.read_text() == text.replace("80}", "50}").replace("20}", "50}")
    with pytest.raises(ModelsYamlError, match="plain block style"):
        file.clear_rollout("feature_dev")


def test_a_byte_order_mark_stays() -> None:
    """An editor's byte order mark is neither lost nor doubled."""
    marked = "\ufeff" + BASE
    assert rolled(marked) == "\ufeff" + rolled(BASE)
