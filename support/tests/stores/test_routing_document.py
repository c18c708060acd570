"""What models.yaml may say, and what each mistake is answered."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent_orchestrator.domain.routing import Arm, Endpoint, Rollout
from agent_orchestrator.errors import ModelsYamlError
from agent_orchestrator.stores.routing_document import parse_routing_table, to_plain

GOOD = """\
openrouter:
  agent_models:
    feature_dev: qwen/coder
    cicd: deepseek/chat:free
models:
  acme/v2: {provider: huggingface, endpoints: [https://host/v1], api_key_env: HUGGINGFACE_TOKEN}
fallbacks: {default: [deepseek/chat]}
rollouts:
  feature_dev:
    id: ro_1
    strategy: canary
    arms:
      - {name: stable, version: v1.0.0, model: qwen/coder, weight: 80}
      - {name: candidate, model: acme/v2, weight: 20, mirror: 5}
"""


def test_a_good_file_is_read_whole() -> None:
    """Every section of the file arrives in the table."""
    table = parse_routing_table(GOOD, "models.yaml")
    assert table.agent_models == {"feature_dev": "qwen/coder", "cicd": "deepseek/chat:free"}
    assert table.models == {
        "acme/v2": Endpoint("acme/v2", "huggingface", ("https://host/v1",), "HUGGINGFACE_TOKEN")
    }
    assert table.fallback_models("cicd") == ("deepseek/chat",)
    stable, candidate = (
        Arm("stable", "qwen/coder", "v1.0.0", 80),
        Arm("candidate", "acme/v2", None, 20, 5),
    )
    assert table.rollouts == {"feature_dev": Rollout("ro_1", "canary", (stable, candidate))}


def test_the_shipped_file_is_good() -> None:
    """The configuration that comes with the project is valid."""
    path = Path(__file__).parents[3] / "config" / "agents" / "models.yaml"
    table = parse_routing_table(path.read_text(), "models.yaml")
    assert "infrastructure" in table.agent_models
    assert not table.rollouts


def test_plain_data_says_the_same() -> None:
    """The table's plain form leaves out what is default and nothing else."""
    plain = to_plain(parse_routing_table(GOOD, "x"))
    assert plain["rollouts"]["feature_dev"]["arms"][1] == {
        "name": "candidate",
        "model": "acme/v2",
        "weight": 20,
        "mirror": 5,
    }
    assert plain["models"]["acme/v2"]["api_key_env"] == "HUGGINGFACE_TOKEN"


def test_a_guarded_rollout_serves_its_promoted_arm() -> None:
    """After a promotion the last arm is the agent's model and has all traffic."""
    text = (
        GOOD.replace("feature_dev: qwen/coder", "feature_dev: acme/v2")
        .replace("strategy: canary", "strategy: canary\n    phase: guard")
        .replace("weight: 80", "weight: 0")
        .replace("weight: 20", "weight: 100")
    )
    assert parse_routing_table(text, "x").rollouts["feature_dev"].phase == "guard"


def test_a_promoted_arm_has_all_traffic() -> None:
    """In the guard phase a split is an error."""
    text = GOOD.replace("feature_dev: qwen/coder", "feature_dev: acme/v2").replace(
        "strategy: canary", "strategy: canary\n    phase: guard"
    )
    with pytest.raises(ModelsYamlError, match=r"arms\[1\]\.weight is 20; in phase 'guard'"):
        parse_routing_table(text, "x")


ARM = "{name: candidate, model: acme/v2, weight: 20, mirror: 5}"


@pytest.mark.parametrize(
    ("old", "new", "line", "says"),
    [
        ("weight: 20", "weight: 140", 14, r"rollouts\.feature_dev\.arms\[1\]\.weight is 140"),
        ("weight: 20", "weight: '20'", 14, r"arms\[1\]\.weight is '20'"),
        ("weight: 20", "weight: 20.5", 14, r"arms\[1\]\.weight is 20\.5"),
        ("weight: 20", "weight: true", 14, r"arms\[1\]\.weight is True"),
        ("weight: 20", "weight: 30", 12, r"have weights 80 \+ 30 = 110\. Make them sum to 100"),
        (", weight: 20", "", 14, r"arms\[1\]\.weight is missing"),
        ("mirror: 5", "mirror: -1", 14, r"arms\[1\]\.mirror is -1"),
        ("mirror: 5", "miror: 5", 14, r"miror is an unknown key\. Known here: name, version"),
        ("name: stable", "name: old", 13, r"arms\[0\]\.name is 'old'; .* stable arm first"),
        ("name: candidate", "name: stable", 14, r"arms\[1\]\.name is 'stable'"),
        ("name: candidate", "name: a b", 14, r"arms\[1\]\.name is 'a b'"),
        (f"      - {ARM}\n", "", 12, r"arms is \[\{.*\.\.\.; wanted: "),
        ("model: qwen/coder", "model: qwen/other", 13, "must be the agent's model .* 'qwen/coder'"),
        ("model: acme/v2", "model: ../../etc/passwd", 14, "not a model id"),
        ("version: v1.0.0", "version: 1.0", 13, r"arms\[0\]\.version is 1\.0"),
        ("version: v1.0.0", "version: one", 13, r"arms\[0\]\.version is 'one'"),
        ("strategy: canary", "strategy: canari", 11, "strategy is 'canari'; wanted: 'immediate'"),
        ("strategy: canary", "strategy: canary\n    phase: guard", 15, "phase 'guard'"),
        ("strategy: canary", "strategy: canary\n    step: 1", 12, "step is an unknown key"),
        ("id: ro_1", "id: ro 1", 10, r"rollouts\.feature_dev\.id is 'ro 1'"),
        ("  feature_dev:\n", "  nobody:\n", 9, "Known agents: feature_dev, cicd"),
        ("default: [", "nobody: [", 7, r"fallbacks\.nobody is for 'nobody'"),
        ("[deepseek/chat]", "[deepseek/../chat]", 7, r"fallbacks\.default\[0\] .* not a model id"),
        ("[deepseek/chat]", "deepseek/chat", 7, r"fallbacks\.default is 'deepseek/chat'"),
        ("provider: huggingface", "provider: aws", 6, "provider is 'aws'; wanted: 'openrouter'"),
        ("provider: huggingface", "provider: local", 6, "given for provider 'local'"),
        ("endpoints: [https://host/v1], ", "", 6, "'huggingface' but no endpoints"),
        ("https://host/v1", "ftp://host/v1", 6, r"endpoints\[0\] is not an http"),
        ("https://host/v1", "https://me:pw@host/v1", 6, "without credentials"),
        ("https://host/v1", "https://host:x/v1", 6, "not an http"),
        ("feature_dev: qwen/coder", "Feature: qwen/coder", 3, "is not an agent's name"),
        ("qwen/coder\n", "/qwen\n", 3, r"agent_models\.feature_dev is '/qwen', not a model id"),
        ("openrouter:", "openrooter:", 1, "openrooter is an unknown key. Known here: openrouter"),
        ("openrouter:\n", "openrouter:\n  base: x\n", 2, r"openrouter\.base is an unknown key"),
        (
            "fallbacks:",
            "modells: {}\nfallbacks:",
            7,
            "modells is an unknown key. Known here: openr",
        ),
    ],
)
def test_a_mistake_is_named_with_its_line(old: str, new: str, line: int, says: str) -> None:
    """Every mistake is one error that names file, line, key path and value."""
    assert old in GOOD
    with pytest.raises(ModelsYamlError, match=says) as caught:
        parse_routing_table(GOOD.replace(old, new, 1), "models.yaml")
    assert str(caught.value).startswith(f"models.yaml, line {line}: ")
    assert caught.value.remedy
    assert "\n" not in str(caught.value)


def test_a_key_in_the_place_of_its_name_is_not_repeated() -> None:
    """A pasted secret does not travel into messages and logs."""
    for secret in ("hf_AbCdEf", "[hf_AbCdEf]"):
        with pytest.raises(ModelsYamlError, match="not a variable's name") as caught:
            parse_routing_table(GOOD.replace("HUGGINGFACE_TOKEN", secret), "x")
        assert "hf_" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("openrouter:\n\tagent_models: {}\n", "line 2: .*tabs"),
        ("openrouter:\n  agent_models:\n    a: x\n    a: y\n", "line 4: .*every key once"),
        ("openrouter: [\n", "not YAML"),
        ("a: 2024-99-99\n", "not YAML"),
        ("[" * 600, "not YAML"),
        ("---\na: 1\n---\nb: 1\n", "not YAML"),
        ("- a\n- b\n", r"line 1: the file is \['a', 'b'\]"),
        ("", "models.yaml is empty"),
        ("# nothing\n", "models.yaml is empty"),
        ("plain", "the file is 'plain'"),
        ("openrouter: {agent_models: {}}", "agent_models is {}"),
        ("models: {}", "openrouter is missing"),
        ("openrouter: {agent_models: {1: x}}", r"agent_models\[1\] is 1; wanted"),
    ],
)
def test_what_is_no_such_document_is_refused(text: str, says: str) -> None:
    """Text that is not YAML, or not a mapping, is an error too."""
    with pytest.raises(ModelsYamlError, match=says):
        parse_routing_table(text, "models.yaml")


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_a_damaged_file_is_read_or_refused(data: st.DataObject) -> None:
    """Cut or overwritten anywhere, a file gives a table or ModelsYamlError, and nothing else."""
    at = data.draw(st.integers(0, len(GOOD)))
    length = data.draw(st.integers(0, 40))
    junk = data.draw(st.text(st.sampled_from("{}[]:,#&*!|>'\"%@`- \n\tab1"), max_size=5))
    try:
        parse_routing_table(GOOD[:at] + junk + GOOD[at + length :], "x")
    except ModelsYamlError as error:
        assert error.remedy  # noqa: PT017 - both outcomes are right


def test_a_key_with_a_line_break_is_still_one_line() -> None:
    """A key that holds control characters cannot break the message."""
    with pytest.raises(ModelsYamlError, match=r"a\\nb is an unknown key") as caught:
        parse_routing_table(GOOD + '"a\\nb": 1\n', "x")
    assert "\n" not in str(caught.value)
