"""Experiment templates: YAML that says which models and modes answer which examples.

::

    name: reasoning-modes
    description: Does thinking aloud pay, and for whom?
    examples: riddles            # the riddles that come with us, a data set, or a JSONL file
    models: [acme/small, acme/large]
    modes:
      direct: {system: Answer at once.}
      step by step: {system: Think step by step., max_completion_tokens: 2048}
      high effort: {body: {reasoning: {effort: high}}}
    repetitions: 3
    temperature: 0.7
    budget_usd: 5

Every model answers in every mode. The baseline is the first model in the first mode unless it is
named. Models are those of models.yaml; what it does not list is on OpenRouter.
"""

from __future__ import annotations

from itertools import product
from pathlib import Path
from typing import Annotated, Any, Final, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from agent_orchestrator.agents.infrastructure.modelops.evaluation.evaluators import EVALUATORS
from agent_orchestrator.domain.experiments import PREFERRED, Arm
from agent_orchestrator.errors import InputError, NotFoundError
from agent_orchestrator.stores.defaults import load_document

JUDGED: Final = "judged"
"""The metric of a judge that grades answers one by one."""
RIDDLES: Final = "riddles"
_OURS: Final = ("messages", "model", "stream", "max_tokens", "temperature", "tools")


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class ModeTemplate(_Strict):
    """How a model is asked."""

    system: str = ""
    """A system message before the task."""
    body: dict[str, Any] = {}
    """Added to the request, e.g. ``reasoning``."""
    max_completion_tokens: Annotated[int, Field(ge=1)] | None = None

    @model_validator(mode="after")
    def _keeps_our_keys(self) -> Self:
        taken = [key for key in self.body if key in _OURS]
        if taken:
            raise ValueError(f"body: {taken[0]!r} is set by the experiment itself")
        return self


class JudgeTemplate(_Strict):
    """A model that judges answers."""

    model: str
    grade: bool = False
    """Whether it grades every answer (metric ``judged``)."""
    pairwise: bool = True
    """Whether it compares every answer with the baseline's, in both orders (``preferred``)."""

    @property
    def metrics(self) -> tuple[str, ...]:
        """What it measures."""
        return (*((JUDGED,) if self.grade else ()), *((PREFERRED,) if self.pairwise else ()))


class BaselineTemplate(_Strict):
    """Whom the others are compared with."""

    model: str
    mode: str


class ExperimentTemplate(_Strict):
    """One experiment."""

    name: Annotated[str, Field(min_length=1, pattern=r"^[\w][\w .-]*$")]
    description: str = ""
    agent: str = ""
    """Whose models these are; the data set's when left out, else nobody's."""
    examples: str = RIDDLES
    max_examples: Annotated[int, Field(ge=2)] | None = None
    models: Annotated[tuple[str, ...], Field(min_length=1)]
    modes: Annotated[dict[str, ModeTemplate], Field(min_length=1)] = {"plain": ModeTemplate()}
    baseline: BaselineTemplate | None = None
    metrics: tuple[str, ...] = ()
    """Those to measure, all that apply when empty."""
    compare: Annotated[tuple[str, ...], Field(min_length=1)] = ("accuracy",)
    """Those that arms are compared in; the fewer, the sharper the comparison."""
    repetitions: Annotated[int, Field(ge=1, le=100)] = 1
    temperature: Annotated[float, Field(ge=0, le=2)] = 0.0
    seed: Annotated[int, Field(ge=0)] = 0
    """Of the choice of examples, where only some are used."""
    judge: JudgeTemplate | None = None
    budget_usd: Annotated[float, Field(ge=0)] = 1.0
    """What it may cost at most, the judge included."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        for name in (*self.metrics, *self.compare):
            if name not in {*EVALUATORS, JUDGED, PREFERRED}:
                raise ValueError(f"unknown metric {name!r}; known: {', '.join(EVALUATORS)}")
        if len(set(self.models)) != len(self.models):
            raise ValueError("models: each may stand there once")
        if self.baseline and self.baseline_arm not in self.arms:
            raise ValueError(f"baseline: {self.baseline_arm.name!r} is none of the arms")
        return self

    @property
    def arms(self) -> list[Arm]:
        """Every model in every mode."""
        return [Arm(model, mode) for model, mode in product(self.models, self.modes)]

    @property
    def baseline_arm(self) -> Arm:
        """Whom the others are compared with."""
        if self.baseline is None:
            return self.arms[0]
        return Arm(self.baseline.model, self.baseline.mode)

    @property
    def compared(self) -> tuple[str, ...]:
        """The metrics of the comparison, those of a judge included."""
        extra = self.judge.metrics if self.judge else ()
        return tuple(dict.fromkeys((*self.compare, *extra)))


def find_template(name: str, folder: Path) -> Path:
    """Return the file of that path, else ``<folder>/<name>.yaml``.

    Raises NotFoundError that lists what is there.
    """
    for path in (Path(name), folder / f"{name}.yaml"):
        if path.is_file():
            return path
    there = ", ".join(sorted(path.stem for path in folder.glob("*.yaml"))) or "none"
    raise NotFoundError(
        f"There is no experiment template {name!r}.",
        remedy=f"Name a file, or one of {folder}: {there}.",
    )


def load_template(path: Path, models: tuple[str, ...] = ()) -> ExperimentTemplate:
    """Read a template; ``models`` take the place of its own.

    Raises SettingsError that names the file and the key, InputError for a baseline that is none of
    ``models``.
    """
    template = load_document(path, ExperimentTemplate)
    if not models:
        return template
    if template.baseline and template.baseline.model not in models:
        raise InputError(
            f"The baseline {template.baseline.model!r} of {path} is none of the given models.",
            remedy="Name it too, or leave `baseline` out of the template.",
        )
    return template.model_copy(update={"models": models})
