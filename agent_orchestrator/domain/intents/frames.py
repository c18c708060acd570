"""Which use case a request means: its verb together with the class of its object.

A verb alone decides nothing. "Deploy", "roll back" or "evaluate" are a coder's everyday words, and
become ModelOps only with an object of ours: an agent, a model, a version, a canary, a job.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from agent_orchestrator.domain.intents import verbs
from agent_orchestrator.domain.intents.manners import WH
from agent_orchestrator.domain.intents.phrases import FOREIGN, certain
from agent_orchestrator.domain.intents.scene import BACKING, Scene
from agent_orchestrator.domain.intents.tokens import Kind
from agent_orchestrator.domain.intents.vocabulary import words
from agent_orchestrator.domain.use_cases import UseCase

Check = Callable[[Scene], bool]


@dataclass(frozen=True, slots=True)
class Rule:
    """``use_case`` is meant when one of ``verbs`` has one of ``objects``, and ``check`` holds."""

    use_case: UseCase
    verbs: frozenset[str]
    objects: frozenset[str]
    check: Check = lambda _: True


_MODELISH: Final = words("model models version repo modelname")
_AGENT: Final = words("agent agentnoun")
_ANY: Final = frozenset({"it", ""})
_PERSONS: Final = ("supervisor", "reviewer", "orchestrator", "developer", "documenter")


def _bare_agent(scene: Scene) -> bool:
    """An everyday name counts when nothing makes it an ordinary noun: "retrain docs".

    With an article only persons do: "train the reviewer", but not "fine-tune the docs".
    """
    obj = scene.objects[0]
    if obj.kind != "agent" or not obj.determined:
        return True
    name = obj.content[-1]
    return certain(name) or name.text.lower().endswith(_PERSONS)


def _promotable(scene: Scene) -> bool:
    return _bare_agent(scene) and not scene.aims_elsewhere("to")


def _backed_agent(scene: Scene) -> bool:
    """An everyday name counts only beside something of ours: "deploy docs v1.2.0"."""
    obj = scene.objects[0]
    sure = obj.kind != "agent" or any(map(certain, obj.agents))
    return sure or (scene.evidence and _bare_agent(scene))


def _deployable(scene: Scene) -> bool:
    if scene.verb in {"release", "ship"} and not scene.identified:
        return False  # software has releases, too
    return _backed_agent(scene) and not scene.aims_elsewhere("to", "on", "onto", "into", "in")


def _named_model(scene: Scene) -> bool:
    """A model or version, and an agent to carry it."""
    if scene.has_word("base_model") or not scene.has("version", "repo", "modelname"):
        return False
    if not any(p.agents for p in scene.phrases) or scene.elsewhere:
        return False
    everyday = scene.objects[0].kind == "agent" and not scene.sure_agent
    return not everyday or (scene.verb in _EXCHANGING and _bare_agent(scene))


#: Verbs of SWITCH that a coder seldom uses of docs or infrastructure.
_EXCHANGING: Final = words("switch point serve give")


def _shares(scene: Scene) -> bool:
    return scene.has_token(Kind.PERCENT) or scene.has_word("step", "fully", "more")


def _made_stable(scene: Scene) -> bool:
    return scene.has_word("stable", "permanent", "default") and not scene.has_token(Kind.VERSION)


def _raised(scene: Scene) -> bool:
    """``the canary to 50%``."""
    return any(p.role == "to" and p.kind == "traffic" for p in scene.phrases)


def _widened(scene: Scene) -> bool:
    return _shares(scene) and not scene.has("version") and _bare_agent(scene)


def _sent_to_model(scene: Scene) -> bool:
    return _shares(scene) and scene.has("version", "repo", "modelname")


def _sent_to_candidate(scene: Scene) -> bool:
    return _shares(scene) and scene.has("canary", "model")


def _identified_dataset(scene: Scene) -> bool:
    return scene.identified and scene.has_word("dataset", "datasets")


def _into_dataset(scene: Scene) -> bool:
    return any(p.role in {"into", "to"} and p.kind == "dataset" for p in scene.phrases)


def _worth_building(scene: Scene) -> bool:
    """``a data set``, ``examples for docs``; "create data" and "create examples" are a coder's."""
    heads = [p.content[-1].text.lower() for p in scene.objects if p.kind == "dataset"]
    shown = scene.verb == "give" and scene.has_word("me", "us")
    return (
        "data" not in heads
        and not shown
        and (scene.identified or scene.has_word("dataset", "datasets"))
    )


def _with_training(scene: Scene) -> bool:
    return scene.has("training") or (scene.has("dataset") and scene.sure_agent)


def _taught(scene: Scene) -> bool:
    obj = scene.objects[0]
    return obj.kind == "it" or bool(obj.surely)


def _undone(scene: Scene) -> bool:
    ours = scene.has(*BACKING, "deployment", "promotion")
    return ours and _bare_agent(scene) and any(p.agents for p in scene.phrases)


def _compared(scene: Scene) -> bool:
    versions = sum(token.kind is Kind.VERSION for token in scene.tokens)
    if versions > 1 and any(p.agents for p in scene.phrases):
        return True
    return scene.has("baseline") or (scene.sure_agent and scene.has("version", "model", "models"))


def _gguf(scene: Scene) -> bool:
    """GGUF is said, or a quantization; other conversions are a coder's."""
    said = scene.has_word("gguf") or scene.has_token(Kind.QUANT)
    return (said or scene.verb.startswith("quanti")) and _bare_agent(scene)


def _job_known(scene: Scene) -> bool:
    return bool(scene.known & {"job_id", "training", "job", "evaluation", "conversion"})


def _deployment_of_ours(scene: Scene) -> bool:
    """Not everybody's "run the deployment"."""
    return scene.sure_agent or (scene.identified and scene.has(*BACKING))


def _run_as(scene: Scene) -> bool:
    """``run v1.2.0 as a shadow``, ``in a canary``, ``as challenger``."""
    arm = {"challenger", "candidate", "champion"}
    return any(
        p.role in {"as", "in"}
        and (
            p.kind in {"deployment", "canary", "strategy"} or any(t.norm in arm for t in p.content)
        )
        for p in scene.phrases
    )


def _for_me(scene: Scene) -> bool:
    """``give me …`` asks to see something, ``give docs …`` does not."""
    return scene.verb != "give" or scene.has_word("me", "us")


def _started_on_agent(scene: Scene) -> bool:
    return any(p.kind == "training" and p.role in {"through", "on"} for p in scene.phrases)


def _resumable(scene: Scene) -> bool:
    """A training; "restart the job" is also said of others' jobs."""
    if scene.verb == "pick" and not scene.has_word("up"):
        return False
    if scene.objects[0].kind == "it":
        return bool(scene.known & {"training", "job_id"})
    return scene.has("training", "job_id") or (scene.verb == "resume" and scene.has_word("job"))


def _searchable(scene: Scene) -> bool:
    return not scene.elsewhere


def _ours_only(scene: Scene) -> bool:
    """Nothing in it is about something else."""
    return all(p.kind != FOREIGN and p.plain for p in scene.phrases)


def _of_endpoint(scene: Scene) -> bool:
    """Other things sleep, too: an endpoint is spoken of, and it is no part of somebody's API."""
    it = scene.objects[0].kind == "it" and "endpoint" in scene.known
    return it or any(p.plain and "endpoint" in p.topics for p in scene.phrases)


def _woken(scene: Scene) -> bool:
    """``bring … up``, ``get … running``; a coder starts endpoints, too, but not by their name."""
    if not _of_endpoint(scene):
        return False
    up = scene.verb == "start" or scene.has_word("up", "running")
    return scene.verb == "wake" or (up and scene.has_token(Kind.NAME))


def _slept(scene: Scene) -> bool:
    if not _of_endpoint(scene):
        return False
    if scene.verb == "suspend":
        return scene.has_token(Kind.NAME)
    return scene.has_word("zero" if scene.verb == "scale" else "sleep")


def _of_an_agent(scene: Scene) -> bool:
    """``check the data set x for docs``: somebody's data, in a form that data come in."""
    files = [t.norm for t in scene.tokens if t.kind is Kind.PATH]
    data = all(name.endswith(_DATA_FILES) for name in files)
    own = scene.identified or (scene.has_word("dataset") and _ours_only(scene))
    return data and own and not scene.elsewhere


def _tried(scene: Scene) -> bool:
    """``run the experiment x``; a file is one only where it is said to be."""
    return scene.has("experiment") and not scene.elsewhere


_DATA_FILES: Final = (".jsonl", ".csv", ".tsv", ".parquet")


def _one_dataset(scene: Scene) -> bool:
    return _ours_only(scene) and scene.has_token(Kind.NAME, Kind.REPO)


def _report_of_one(scene: Scene) -> bool:
    return scene.has("dataset") and _one_dataset(scene)


def _datasets(scene: Scene) -> bool:
    return _ours_only(scene) and scene.has_word("datasets") and _for_me(scene)


_WORK: Final = words("training job job_id evaluation conversion")
_MEASURED: Final = _MODELISH | _AGENT | words("baseline")
_PROMOTED: Final = _MODELISH | _ANY | _AGENT | words("canary")
_RUNNING: Final = words("canary deployment promotion")

RULES: Final = (
    Rule("cancel_training_job", verbs.CANCEL, _WORK),
    Rule("cancel_training_job", verbs.CANCEL, _AGENT | words("model"), lambda s: s.has("training")),
    Rule("cancel_training_job", verbs.CANCEL, words("it"), _job_known),
    Rule("rollback_deployment", verbs.CANCEL, words("canary")),
    Rule("rollback_deployment", verbs.CANCEL, words("deployment"), lambda s: s.identified),
    Rule("rollback_deployment", verbs.DISCARD, words("canary"), lambda s: s.identified),
    Rule("reset_breaker", verbs.RESET, words("breaker")),
    Rule("reset_breaker", verbs.RESET, words("arm"), lambda s: s.has("breaker") or s.identified),
    Rule("reset_breaker", verbs.LIGHT, words("reset"), lambda s: s.has("breaker")),
    Rule("reset_breaker", verbs.RESET, words("it"), lambda s: "breaker" in s.known),
    Rule("simulate_canary", verbs.SIMULATE, words("canary traffic strategy")),
    Rule("simulate_canary", verbs.LIGHT, words("simulation"), lambda s: s.has("canary", "traffic")),
    Rule("convert_model_to_gguf", verbs.MAKE, words("conversion"), _gguf),
    Rule("convert_model_to_gguf", verbs.CONVERT, _MODELISH | _ANY | _AGENT | words("name"), _gguf),
    Rule("convert_model_to_gguf", words("need"), _MODELISH | _AGENT, _gguf),
    Rule("build_dataset", verbs.BUILD | verbs.LIGHT, words("dataset"), _worth_building),
    Rule("build_dataset", words("get fetch pull sample"), words("dataset"), _identified_dataset),
    Rule("build_dataset", words("turn convert"), words("dataset"), _into_dataset),
    Rule("rollback_deployment", words("rollback"), _MODELISH | _ANY | words("canary promotion")),
    Rule("rollback_deployment", words("rollback"), _AGENT | words("deployment"), _bare_agent),
    Rule("rollback_deployment", verbs.ROLLBACK, _MODELISH | _ANY | _AGENT | _RUNNING, _undone),
    Rule("rollback_deployment", verbs.ROLLBACK, words("canary")),
    Rule("rollback_deployment", verbs.LIGHT, words("rollback")),
    Rule("rollback_deployment", words("rollback"), words("job"), lambda s: s.has_word("drill")),
    Rule("evaluate_model_vs_baseline", verbs.JUDGE, _MODELISH | _ANY | _AGENT, _backed_agent),
    Rule("evaluate_model_vs_baseline", verbs.EVALUATE, _MEASURED, _compared),
    Rule("evaluate_model_vs_baseline", verbs.EVALUATE, words("metric status"), _compared),
    Rule("evaluate_model_vs_baseline", verbs.LIGHT, words("evaluation")),
    Rule("promote_canary", words("make"), words("canary model"), _made_stable),
    Rule("promote_canary", verbs.PROMOTE, _PROMOTED, _promotable),
    Rule("promote_canary", verbs.RAMP, words("canary traffic model") | _AGENT, _widened),
    Rule("promote_canary", verbs.LIGHT, words("promotion")),
    Rule("promote_canary", words("need"), words("canary"), _raised),
    Rule("deploy_model_to_agent", verbs.SEND, words("traffic model version"), _sent_to_model),
    Rule("promote_canary", verbs.SEND, words("traffic model canary"), _sent_to_candidate),
    Rule("deploy_model_to_agent", verbs.DEPLOY, _PROMOTED, _deployable),
    Rule("deploy_model_to_agent", verbs.DEPLOY, words("name"), lambda s: s.sure_agent),
    Rule("deploy_model_to_agent", verbs.LIGHT, words("canary strategy")),
    Rule("deploy_model_to_agent", verbs.LIGHT, words("deployment"), _deployment_of_ours),
    Rule("deploy_model_to_agent", verbs.LIGHT, _MODELISH, _run_as),
    Rule("deploy_model_to_agent", verbs.SWITCH, _MODELISH | _AGENT, _named_model),
    Rule("train_subagent_model", verbs.TRAIN, _MODELISH | _ANY | _AGENT, _bare_agent),
    Rule("train_subagent_model", verbs.COACH, _AGENT | words("it"), _taught),
    Rule("train_subagent_model", verbs.LIGHT, words("training")),
    Rule("train_subagent_model", verbs.LIGHT, _AGENT, _started_on_agent),
    Rule("train_subagent_model", verbs.BETTER, _AGENT | words("model it"), _with_training),
    Rule("resume_training_job", verbs.RESUME, words("training job job_id it"), _resumable),
    Rule("search_hyperparameters", verbs.EXPLORE, words("hyperparameters"), _searchable),
    Rule("search_hyperparameters", verbs.LIGHT, words("search"), _searchable),
    Rule("run_experiment", verbs.LIGHT | verbs.REPEAT, words("experiment path"), _tried),
    Rule("wake_endpoint", verbs.WAKE, words("endpoint name it"), _woken),
    Rule("sleep_endpoint", verbs.SLEEP, words("endpoint it"), _slept),
    Rule("check_dataset", verbs.CHECK, words("dataset path"), _of_an_agent),
    Rule("monitor_training_job", verbs.READ, _WORK, _for_me),
    Rule("rollout_status", verbs.READ, words("canary arm breaker"), _for_me),
    Rule("list_agent_models", verbs.READ, words("models"), _for_me),
    Rule("show_dataset", verbs.READ, words("dataset"), _one_dataset),
    Rule("list_datasets", verbs.READ, words("dataset"), _datasets),
    Rule("endpoint_status", verbs.READ, words("endpoint"), lambda s: s.has_token(Kind.NAME)),
    Rule("list_endpoints", verbs.READ, words("endpoint"), _ours_only),
    Rule("space_status", verbs.READ, words("space"), _ours_only),
    Rule("show_dataset", verbs.READ, words("status"), _report_of_one),
    Rule("list_costs", verbs.READ, words("cost"), _ours_only),
    Rule("list_costs", verbs.READ, words("status"), lambda s: s.has("cost") and _ours_only(s)),
)  # fmt: skip


def use_case_of(scene: Scene) -> UseCase | None:
    """Return the use case that the request means, None when it is about something else."""
    if any(p.tokens and p.tokens[0].norm == "no" for p in scene.objects):
        return None
    if scene.owned_elsewhere:
        return None  # "version 2 of our API"
    if scene.tokens[:1] and scene.tokens[0].is_word(WH | {"if", "whether"}):
        return None  # "evaluate whether we should …"
    for rule in RULES:
        if scene.verb in rule.verbs and _fits(rule, scene) and rule.check(scene):
            return rule.use_case
    return None


def _fits(rule: Rule, scene: Scene) -> bool:
    fitting = (p for k, p in zip(scene.kinds, scene.objects, strict=True) if k in rule.objects)
    first = scene.objects[0]
    light = scene.verb in verbs.LIGHT  # "give docs a training run": the second object decides
    return any(p.plain and (light or p is first) for p in fitting)
