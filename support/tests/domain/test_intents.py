"""The intent parser: a labelled set, and properties that hold for any text."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_orchestrator.domain.intents import AGENTS, CHANGING, Intent, UseCase, parse
from agent_orchestrator.domain.intents.requests import base_verb
from agent_orchestrator.domain.intents.tokens import tokenize
from agent_orchestrator.domain.intents.verbs import VERB_FORMS

NEGATIVE = frozenset({"negation", "question", "hypothetical", "coding", "report"})


@dataclass(frozen=True)
class Utterance:
    """One labelled sentence; ``held_out`` ones were written after the parser knew the others."""

    text: str
    use_case: UseCase | None
    slots: dict[str, Any]
    clarify: bool
    kind: str
    split: str

    def matches(self, intent: Intent) -> bool:
        """Return whether ``intent`` is what the label says, slots included."""
        if self.clarify:
            return intent.use_case is None and intent.clarify is not None
        expected = (self.use_case, self.slots, None)
        return (intent.use_case, dict(intent.slots), intent.clarify) == expected


def _load() -> list[Utterance]:
    path = Path(__file__).parents[1] / "data" / "intents.jsonl"
    return [Utterance(**json.loads(line)) for line in path.read_text().splitlines()]


UTTERANCES = _load()
FIRING = [u for u in UTTERANCES if u.use_case is not None]
ACTING = [u for u in FIRING if u.use_case in CHANGING]
#: One clause that starts with its verb, so that a frame around it covers all of it.
SIMPLE = [
    u
    for u in ACTING
    if not re.search(
        r"[.,:;!?–—-](\s|$)|\"| and | so |n't|\bnot\b|\bplease\b", u.text, re.IGNORECASE
    )
    and re.match(r"(@chef )?[a-zA-Z]+", u.text)
    and base_verb(tokenize(u.text.removeprefix("@chef ")))
]


def test_the_labelled_set_covers_every_use_case_and_kind():
    """Every use case has at least five firing sentences, every kind of sentence at least ten."""
    use_cases = Counter(u.use_case for u in FIRING)
    kinds = Counter(u.kind for u in UTTERANCES)
    assert len(UTTERANCES) >= 260
    assert {u.split for u in UTTERANCES} == {"dev", "held_out"}
    assert min(use_cases[name] for name in get_args(UseCase)) >= 5
    assert min(kinds[kind] for kind in NEGATIVE | {"positive", "polite", "hard_slots"}) >= 10


@pytest.mark.parametrize("split", ["dev", "held_out"])
def test_use_case_and_slots_are_right_for_97_of_100_sentences(split: str):
    """At least 97 % of each half of the labelled set give exactly the labelled intent."""
    chosen = [u for u in UTTERANCES if u.split == split]
    wrong = [(u.text, intent) for u in chosen if not u.matches(intent := parse(u.text))]
    assert len(wrong) <= 0.03 * len(chosen), wrong


def test_no_negative_fires_a_changing_use_case():
    """A sentence that asks for nothing never fires a use case that changes something."""
    negatives = [u for u in UTTERANCES if u.use_case is None]
    fired = {u.text: parse(u.text) for u in negatives if parse(u.text).use_case in CHANGING}
    assert not fired


@pytest.mark.parametrize("utterance", [u for u in UTTERANCES if u.clarify], ids=lambda u: u.text)
def test_what_is_missing_is_asked_for_with_one_question(utterance: Utterance):
    """A request that lacks something required gives no use case and exactly one question."""
    intent = parse(utterance.text)
    assert intent.use_case is None
    assert intent.clarify is not None
    assert intent.clarify.count("?") == 1


def test_the_use_cases_that_only_read_are_not_changing():
    """Everything but those that look something up counts as changing."""
    reading = {
        *("monitor_training_job", "rollout_status", "simulate_canary", "list_agent_models"),
        *("list_costs", "check_dataset", "show_dataset", "list_datasets", "list_endpoints"),
        *("endpoint_status", "space_status"),
    }
    assert frozenset(get_args(UseCase)) - reading == CHANGING


# --- properties ------------------------------------------------------------------------------


@given(st.text())
def test_any_text_is_parsed(text: str):
    """No text makes the parser raise."""
    assert isinstance(parse(text), Intent)


_FRAGMENTS = sorted(
    {token for u in UTTERANCES for token in u.text.split()}
    | set(VERB_FORMS)
    | set(".,:;!?-()\"'`/@\n")
    | {"don't", "if", "and", "or", "please", "not", "would you mind", "...", "```"}
)


#: Use cases that need no name.
_OF_EVERYBODY = {"list_costs", "list_datasets", "list_endpoints", "space_status"}
_NAMES = {"dataset", "template", "endpoint"}


@given(st.lists(st.sampled_from(_FRAGMENTS), max_size=40))
def test_any_mixture_of_known_words_is_parsed(fragments: list[str]):
    """No order of the parser's own words makes it raise, and what fires is complete."""
    intent = parse(" ".join(fragments))
    if intent.use_case not in {None, "simulate_canary", *_OF_EVERYBODY}:
        assert {"agent", "job_id", "model", *_NAMES} & set(intent.slots)
    assert intent.use_case is None or intent.clarify is None


@given(st.sampled_from(UTTERANCES), st.text(" \t\n", max_size=5), st.text(" \t\n", max_size=5))
def test_surrounding_space_and_the_mention_change_nothing(
    utterance: Utterance, before: str, after: str
):
    """Space around a sentence and a leading @chef do not matter."""
    plain = utterance.text.removeprefix("@chef ")
    assert parse(before + plain + after) == parse(plain)
    assert parse(f"{before}@chef {plain}{after}") == parse(plain)


_NEGATIONS = (
    *("don't {}", "do not {}", "Please don't {} yet", "never {}", "DON'T {}", "let's not {}"),
    *("you should not {}", "I don't want you to {}", "there is no need to {}", "I can't {}"),
    *("under no circumstances {}", "Do not, whatever happens, {}", "be careful not to {}"),
    *("I'd rather not {}", "we decided not to {}", "stop trying to {}", "nobody should {}"),
    *("{}? no", "{} - no wait, scratch that", "{}. Just kidding.", "{}... actually, never mind"),
)
_QUESTIONS = (
    *("should I {}?", "did you {}?", "why did you {}?", "do we have to {}?", "how do I {}?"),
    *("can you explain how to {}?", "is it safe to {}?", "when should I {}?", "who can {}?"),
    *("what happens if I {}?", "what if we {}?", "which command should I use to {}?"),
)
_SUPPOSITIONS = (
    *("if we {}, what happens?", "suppose you {}, then what?", "let's say we {}", "imagine we {}"),
    *("Hypothetically, {}", "Suppose I told you: {}", "if the tests pass, {}", "{} tomorrow"),
    *("{} if the evaluation passes", "once the job is done, {}", "unless I object, {}"),
)
_REPORTS = (
    *("I tried to {}", "Bob told me to {}", "the README says: {}", "I'm going to {}"),
    *("the plan is to {} next week", "every night we {}", "users can {}", "commit message: {}"),
    *('the button says "{}"', "`{}` fails with exit code 1", "```\n{}\n```", "TODO: {}"),
)
_CODING = (
    *("write a script to {}", 'add a test for "{}"', "implement an endpoint to {}", "fix: {}"),
    *("have feature_dev write code to {}", "document how to {}", "create a ticket to {}"),
)


@pytest.mark.parametrize(
    "frame", [*_NEGATIONS, *_QUESTIONS, *_SUPPOSITIONS, *_REPORTS, *_CODING], ids=repr
)
def test_a_request_inside_something_else_never_fires(frame: str):
    """A request that is negated, asked about, supposed, reported or coded changes nothing."""
    texts = [frame.format(u.text.removeprefix("@chef ").replace("`", "")) for u in SIMPLE]
    assert not [text for text in texts if parse(text).use_case in CHANGING]


CODERS_VERBS = (
    *(
        "deploy",
        "roll back",
        "roll out",
        "revert",
        "promote",
        "evaluate",
        "compare",
        "test",
        "cancel",
    ),
    *(
        "stop",
        "kill",
        "convert",
        "export",
        "quantize",
        "build",
        "create",
        "train",
        "fine-tune",
        "tune",
    ),
    *(
        "improve",
        "release",
        "ship",
        "launch",
        "run",
        "start",
        "reset",
        "switch",
        "move",
        "make",
        "give",
    ),
    *(
        "put",
        "replace",
        "increase",
        "remove",
        "send",
        "use",
        "try",
        "list",
        "show",
        "monitor",
        "let",
    ),
)
OPERATORS_VERBS = (
    *("resume", "restart", "continue", "continue with", "pick up", "rerun", "repeat", "search"),
    *("search for", "find", "tune", "optimize", "wake", "wake up", "suspend", "scale", "bring up"),
)
OPERATORS_THINGS = (
    *("the upload", "the download", "the session", "the CI job", "the build job", "the worker"),
    *("the endpoint handler", "the API endpoint", "the endpoints of our API", "the users endpoint"),
    *("the endpoint tests", "the experiment script", "the A/B experiment component"),
    *("the training videos page", "the job queue", "the search index", "the learning rate slider"),
    *(
        "the hyperparameters panel",
        "the disk space",
        "the thread",
        "the database",
    ),
)
OPERATORS_PLACES = ("", " to sleep", " to zero", " for feature_dev", ", docs", " in CI/CD", " up")
CODERS_THINGS = (
    *("our Express app", "the docs site", "the docs", "the documentation", "the infrastructure"),
    *("the CI/CD pipeline", "the infrastructure changes", "the code review comments", "the data"),
    *(
        "the feature_dev branch",
        "feature_dev's pull request",
        "the user model",
        "the Django models",
    ),
    *(
        "the data model",
        "the model class",
        "the last migration",
        "the training loop",
        "the test data",
    ),
    *("the evaluation script", "the canary branch", "the rollback command", "the breaker class"),
    *(
        "the job queue",
        "the build job",
        "the dataset loader",
        "version 2 of the API",
        "the release",
    ),
    *("v2.0.0 of the SDK", "the user to admin", "the image to PNG", "the A/B test component"),
)
CODERS_PLACES = (
    "",
    " to staging",
    " with CI/CD",
    " for the docs site",
    ", feature_dev",
    " to v1.2.0",
)


@pytest.mark.parametrize("verb", CODERS_VERBS)
def test_work_on_code_never_fires(verb: str):
    """Our verbs on a coder's things change nothing, wherever they go and whoever is asked."""
    texts = [f"{verb} {thing}{place}" for thing in CODERS_THINGS for place in CODERS_PLACES]
    assert not [text for text in texts if parse(text).use_case in CHANGING]


@pytest.mark.parametrize(
    "text",
    [
        *("start my-app", "bring my-service up", "get my-thing running", "wake it", "suspend it"),
        *("put it to sleep", "scale it to zero", "scale web-2 to zero", "run experiments/x.yaml"),
        *("run it", "resume it", "restart it", "continue", "start endpoint-tests", "search it"),
    ],
)
def test_what_may_be_anybodys_is_not_taken_for_ours(text: str):
    """Without a word of ours, a name or an "it" starts, stops and resumes nothing."""
    assert parse(text).use_case is None


@pytest.mark.parametrize("verb", OPERATORS_VERBS)
def test_operating_what_is_not_ours_never_fires(verb: str):
    """What else can be resumed, searched, woken or scaled is none of our jobs and endpoints."""
    texts = [f"{verb} {thing}{place}" for thing in OPERATORS_THINGS for place in OPERATORS_PLACES]
    assert not [text for text in texts if parse(text).use_case in CHANGING]


_ID = st.from_regex(r"[a-z0-9]{2,6}(?:[-_][a-z0-9]{2,6}){0,2}", fullmatch=True)
_JOBS = st.builds("job_{}-{}".format, st.dates().map(str), _ID)
_VERSIONS = st.builds(
    "v{}.{}.{}{}".format, *[st.integers(0, 99)] * 3, st.sampled_from(["", "-rc1"])
)
_REPOS = st.builds(
    "{}/{}".format,
    st.sampled_from(["Qwen", "acme-org", "meta-llama", "x1"]),
    st.from_regex(r"[A-Z][a-z]{2,6}[0-9](?:\.[0-9])?-[A-Z][a-z]{2,8}-[0-9]{1,2}B", fullmatch=True),
)


@given(_JOBS)
def test_job_ids_are_taken_literally(job: str):
    """A job id reaches its slot letter by letter, whatever stands in it."""
    assert parse(f"cancel {job}") == Intent("cancel_training_job", {"job_id": job})
    assert parse(f"how is {job} doing?") == Intent("monitor_training_job", {"job_id": job})


@given(_VERSIONS, st.sampled_from(AGENTS), st.integers(1, 99))
def test_versions_and_percentages_are_taken_literally(version: str, agent: str, share: int):
    """A version keeps its text, gets the v it lacks, and a share names the canary."""
    expected = {"agent": agent, "version": version, "strategy": f"canary_{share}pct"}
    for written in (version, version[1:]):
        intent = parse(f"deploy {written} to the {agent} agent with a {share}% canary")
        assert intent == Intent("deploy_model_to_agent", expected)


@given(_REPOS, _REPOS.filter(lambda name: "B" in name))
def test_repositories_are_taken_literally(model: str, output: str):
    """Model ids with dots, dashes and capitals reach their slots as they are."""
    expected = {"model": model, "quantization": "Q4_K_M", "output_repo": f"{output}-GGUF"}
    intent = parse(f"convert {model} to GGUF as q4_k_m and push it to {output}-GGUF")
    assert intent == Intent("convert_model_to_gguf", expected)


@pytest.mark.parametrize(
    ("name", "agent"),
    [
        ("CI/CD", "cicd"),
        ("ci cd", "cicd"),
        ("ci-cd", "cicd"),
        ("the pipeline agent", "cicd"),
        ("featuredev", "feature_dev"),
        ("feature dev", "feature_dev"),
        ("Feature-Dev", "feature_dev"),
        ("code review", "code_review"),
        ("the code-reviewer", "code_review"),
        ("the reviewer", "code_review"),
        ("docs", "documentation"),
        ("the doc agent", "documentation"),
        ("the documentaion agent", "documentation"),
        ("infra", "infrastructure"),
        ("the infrastrucutre agent", "infrastructure"),
        ("the supervisor", "supervisor"),
    ],
)
def test_everyday_names_mean_the_agents(name: str, agent: str):
    """Agents are known by their everyday names and their commonest misspellings."""
    assert parse(f"retrain {name}") == Intent("train_subagent_model", {"agent": agent})


@pytest.mark.parametrize("pair", ["and/or", "train/test", "input/output", "client/server"])
def test_joined_words_are_no_repositories(pair: str):
    """A slash between two ordinary words makes no repository."""
    assert parse(f"train docs with {pair} splits") == Intent(
        "train_subagent_model", {"agent": "documentation"}
    )


@pytest.mark.untraced
@pytest.mark.parametrize(
    "piece",
    [
        *('"', "' ", "@", "../", "```", "1,111", "if ", "please ", "5% ", "use x to "),
        *("train docs, ", "don't train docs. ", "deploy v1 to docs if ", "please train "),
        *("why deploy v1 to docs, ", "run job, ", "docs should ", "@docs ", "train docs, no "),
    ],
)
def test_long_hostile_text_is_parsed(piece: str):
    """Repeating what is hardest to parse costs time in proportion to its length only."""
    assert isinstance(parse(piece * 5_000), Intent)


def test_importing_the_parser_loads_no_third_party_module():
    """The parser's import stays light: the standard library and our own domain alone."""
    code = (
        "import sys; before = set(sys.modules); import agent_orchestrator.domain.intents; "
        "print(*{name.partition('.')[0] for name in set(sys.modules) - before})"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(run.stdout.split()) - set(sys.stdlib_module_names)
    assert loaded == {"agent_orchestrator"}
