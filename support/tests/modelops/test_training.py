"""From a training request to a priced plan, from a finished job to a registered version."""

import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from tests.doubles.planted_models import example
from tests.doubles.safetensors_file import write_weights

from agent_orchestrator.agents.infrastructure.modelops.authorisation import Caller
from agent_orchestrator.agents.infrastructure.modelops.backends.fake import FakeBackend, Scenario
from agent_orchestrator.agents.infrastructure.modelops.catalogue import Catalogue
from agent_orchestrator.agents.infrastructure.modelops.datasets.sources import Source
from agent_orchestrator.agents.infrastructure.modelops.datasets.store import (
    DatasetStore,
    training_rows,
)
from agent_orchestrator.agents.infrastructure.modelops.jobs.desk import Jobs
from agent_orchestrator.agents.infrastructure.modelops.plans import Plan
from agent_orchestrator.agents.infrastructure.modelops.registry import ModelRegistry
from agent_orchestrator.agents.infrastructure.modelops.training.base_models import (
    BaseModels,
)
from agent_orchestrator.agents.infrastructure.modelops.training.preparation import Preparation
from agent_orchestrator.agents.infrastructure.modelops.training.pricing import Pricing
from agent_orchestrator.agents.infrastructure.modelops.training.training import Training
from agent_orchestrator.agents.infrastructure.modelops.usecases.jobs import MonitorTrainingJob
from agent_orchestrator.agents.infrastructure.modelops.usecases.training import (
    TrainingStarted,
    TrainSubagentModel,
)
from agent_orchestrator.domain.base_facts import BaseFacts
from agent_orchestrator.domain.licences import Licence, read_licence
from agent_orchestrator.domain.models import TrainingEngine
from agent_orchestrator.errors import (
    ConfigurationError,
    DatasetError,
    InputError,
    ModelIdError,
    NotAvailable,
    UnavailableError,
    UnknownAgentError,
    VersionNotFoundError,
)
from agent_orchestrator.stores.audit import AuditLog
from agent_orchestrator.stores.database import Database
from agent_orchestrator.stores.defaults import TrainingDefaults, load_training_defaults
from agent_orchestrator.stores.jobs import JobStore
from agent_orchestrator.stores.models_yaml import ModelsYaml

CONFIG = Path(__file__).resolve().parents[3] / "config"
ADA = Caller("ada", "cli", "admin")
EXAMPLES = tuple(example(n) for n in range(200))


@dataclass
class School:
    """Training with everything around it."""

    folder: Path
    hub: float | Exception = 7.0e9
    """What the Hub says of a size."""
    licence: Licence | None = None
    """What it says of a licence."""

    def __post_init__(self) -> None:
        shutil.copytree(CONFIG, self.folder / "config")
        database = Database(f"sqlite:///{self.folder / 'state.db'}")
        self.registry = ModelRegistry(self.folder / "config" / "models" / "registry.json")
        self.artifacts = self.folder / "artifacts"
        self.catalogue = Catalogue(
            ModelsYaml(self.folder / "config" / "agents" / "models.yaml"),
            self.registry,
            self.artifacts,
        )
        self.datasets = DatasetStore(self.folder / "datasets")
        self.defaults = load_training_defaults(self.folder / "config")
        self.backend = FakeBackend(Scenario(seconds=0.0))
        settlers: dict[Any, Any] = {}
        self.jobs = Jobs(JobStore(database), {"fake": self.backend}, settlers, AuditLog(database))
        self.asked_hub: list[str] = []
        self.training = self.make({"fake": self.backend})
        settlers["training"] = self.training.register

    def bases(self, defaults: TrainingDefaults) -> BaseModels:
        """Return what knows the base models."""
        return BaseModels(
            catalogue=self.catalogue,
            registry=self.registry,
            defaults=defaults,
            default="Qwen/Qwen2.5-Coder-7B",
            hub_facts=self._hub_facts,
        )

    def preparation(
        self,
        backends: Mapping[str, Any],
        *,
        jobs: Jobs | None = None,
        defaults: TrainingDefaults | None = None,
        default_backend: str = "fake",
    ) -> Preparation:
        """Return what prepares trainings for these backends."""
        wanted = defaults or self.defaults
        return Preparation(
            pricing=Pricing(wanted, jobs or self.jobs),
            backends=backends,
            catalogue=self.catalogue,
            base_models=self.bases(wanted),
            datasets=self.datasets,
            defaults=wanted,
            default_backend=default_backend,
            owner="acme",
        )

    def make(
        self,
        backends: Mapping[str, Any],
        preparation: Preparation | None = None,
        *,
        jobs: Jobs | None = None,
        clock: Callable[[], float] = time.time,
    ) -> Training:
        """Return a training of these backends."""
        return Training(
            preparation=preparation or self.preparation(backends, jobs=jobs),
            jobs=jobs or self.jobs,
            backends=backends,
            registry=self.registry,
            owner="acme",
            clock=clock,
        )

    def _hub_facts(self, model: str) -> BaseFacts:
        self.asked_hub.append(model)
        if isinstance(self.hub, Exception):
            raise self.hub
        return BaseFacts(parameters=self.hub, licence=self.licence)

    def build(self, agent: str = "code_review", name: str = "reviews") -> str:
        """Build a data set of 160 training examples; return its id."""
        return self.datasets.build(agent, Source(name, "made", EXAMPLES), name=name).id

    def plan(self, **request: Any) -> Plan:
        """Plan a training of code_review from the tiny base."""
        given = {"agent": "code_review", "base_model": "local/tiny-code", **request}
        return self.training.plan(TrainSubagentModel(**given), ADA)

    def artifact(self, model: str, shapes: Mapping[str, list[int]]) -> Path:
        """Make a local model."""
        folder = self.artifacts / model
        write_weights(folder / "model.safetensors", shapes)
        (folder / "config.json").write_text("{}")
        return folder


@pytest.fixture
def school(tmp_path: Path) -> School:
    """Return a school with one data set."""
    school = School(tmp_path)
    school.build()
    return school


def hyperparameters(plan: Plan) -> Mapping[str, Any]:
    """Return the plan's resolved hyperparameters."""
    found: Mapping[str, Any] = plan.details["hyperparameters"]
    return found


# -- what a request means -------------------------------------------------------------------------


def test_a_plan_changes_nothing_and_says_everything(school: School):
    """Summary, price and every resolved choice; no job, no audit entry."""
    plan = school.plan()
    dataset = school.datasets.get("reviews")
    assert plan.summary.startswith(
        f"Train local/tiny-code for code_review by sft on {dataset.counts['train']} examples of "
        f"{dataset.id} (demo run, this machine): about "
    )
    assert plan.cost_usd == 0.0
    assert not plan.changes_serving
    assert plan.details["base_model"] == "local/tiny-code"
    low, high = plan.details["minutes_range"]
    assert low < plan.details["estimated_minutes"] < high
    assert plan.resolved["dataset_hash"] == dataset.hash
    with pytest.raises(InputError):
        school.jobs.find(None, "code_review")


def test_the_newest_data_set_of_the_agent_is_taken(school: School):
    """Left out, it is the agent's own newest; another agent's is never taken."""
    time.sleep(0.01)
    newest = school.build(name="newer")
    time.sleep(0.01)
    school.build("cicd", "foreign")
    assert school.plan().details["dataset"] == newest
    with pytest.raises(DatasetError, match="belongs to cicd, not to code_review") as error:
        school.plan(dataset="foreign")
    assert "chef build-dataset code_review" in error.value.remedy


def test_without_a_data_set_building_one_is_offered(school: School):
    """The remedy is the command."""
    with pytest.raises(DatasetError, match="no data set for feature_dev") as error:
        school.plan(agent="feature_dev")
    assert "chef build-dataset feature_dev" in error.value.remedy


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("tiny-code", "local/tiny-code"),
        ("phi-3-mini", "microsoft/Phi-3-mini-4k-instruct"),
        ("somebody/model", "somebody/model"),
    ],
)
def test_a_base_model_is_a_preset_or_an_id(school: School, name: str, meant: str):
    """A preset's short name stands for its model id."""
    school.hub = 1e6
    big = school.make({"fake": school.backend, "hf_jobs": school.backend})
    request = TrainSubagentModel(agent="code_review", base_model=name, backend="hf_jobs")
    assert big.plan(request, ADA).details["base_model"] == meant


def test_a_version_is_a_base_model_too(school: School):
    """``v1.0.0`` is the model that the registry has under it; a wrong one is named."""
    school.registry.add_model_version("code_review", model_id="acme/first")
    school.artifact("acme/first", {"w": [10, 10]})
    assert school.plan(base_model="v1.0.0").details["base_model"] == "acme/first"
    with pytest.raises(VersionNotFoundError, match=r"v9\.0\.0"):
        school.plan(base_model="v9.0.0")
    with pytest.raises(ModelIdError):
        school.plan(base_model="../../etc/passwd")


def test_left_out_the_base_is_what_serves_if_it_was_trained_here(school: School):
    """Else the configured default."""
    assert school.plan(base_model=None).details["base_model"] == "Qwen/Qwen2.5-Coder-7B"
    school.hub = 1e6
    school.registry.add_model_version("code_review", model_id="deepseek/deepseek-chat")
    assert school.plan(base_model=None).details["base_model"] == "deepseek/deepseek-chat"


# -- hyperparameters, mode and size ---------------------------------------------------------------


def test_the_preset_of_the_lines_root_fits_its_descendants(school: School):
    """A model trained from tiny-code's child is trained as tiny-code is."""
    config = {"base_model": "local/tiny-code", "training_method": "sft"}
    school.registry.add_model_version("code_review", model_id="acme/a", training_config=config)
    config = {"base_model": "acme/a", "training_method": "sft"}
    school.registry.add_model_version("code_review", model_id="acme/b", training_config=config)
    school.artifact("acme/b", {"w": [100, 100]})
    chosen = hyperparameters(school.plan(base_model="acme/b"))
    assert chosen == hyperparameters(school.plan(base_model="local/tiny-code"))
    assert chosen["lora"] is None
    assert chosen["batch_size"] == 32


def test_a_circle_of_base_models_has_an_end(school: School):
    """Somebody's registry may say that a model descends from itself."""
    config = {"base_model": "acme/a", "training_method": "sft"}
    school.registry.add_model_version("code_review", model_id="acme/a", training_config=config)
    school.artifact("acme/a", {"w": [10]})
    assert hyperparameters(school.plan(base_model="acme/a"))["batch_size"] == 4


def test_overrides_come_last(school: School):
    """They beat the preset, which beats the defaults; a wrong one is bad input."""
    chosen = hyperparameters(school.plan(overrides={"num_epochs": 2, "lora_rank": 4}))
    assert (chosen["num_epochs"], chosen["learning_rate"]) == (2, 4e-3)
    assert chosen["lora"]["rank"] == 4
    with pytest.raises(InputError, match="Did you mean 'learning_rate'"):
        school.plan(overrides={"learning_rat": 1})


def test_a_demo_run_takes_the_modes_number_of_examples(school: School):
    """100 for most models, all for the tiny one, what the request says in any case."""
    school.artifact("acme/other", {"w": [10]})
    rows = len(training_rows(school.datasets.get("reviews")))
    assert f"on {rows} examples" in school.plan().summary
    assert "on 100 examples" in school.plan(base_model="acme/other").summary
    whole = school.plan(base_model="acme/other", mode="production", override_reason="a test")
    assert f"on {rows} examples" in whole.summary
    assert "production run" in whole.summary
    assert "on 7 examples" in school.plan(max_examples=7).summary


def test_a_number_of_steps_sets_the_time(school: School):
    """``max_steps`` beats the epochs in the estimate as it does in the worker."""
    long = school.plan(overrides={"num_epochs": 1000}).details["estimated_minutes"]
    short = school.plan(overrides={"num_epochs": 1000, "max_steps": 1})
    assert short.details["estimated_minutes"] < long / 10


def test_the_size_comes_from_preset_artifact_or_hub(school: School):
    """The Hub is asked last, and only for what nobody here knows."""
    school.artifact("acme/other", {"a": [200, 300], "b": [300]})
    bases = school.bases(school.defaults)
    assert bases.facts("local/tiny-code").parameters == 3.2e5
    assert bases.facts("acme/other").parameters == 60_300
    assert school.asked_hub == []
    assert bases.facts("somebody/model").parameters == 7.0e9
    assert school.asked_hub == ["somebody/model"]


def test_an_unknown_size_is_said_with_the_way_out(school: School):
    """A Hub that does not answer stops the plan: no size is guessed."""
    school.hub = UnavailableError("The Hub does not answer.", remedy="Name a preset.")
    with pytest.raises(UnavailableError, match="Name a preset"):
        school.plan(base_model="somebody/model")


# -- limits and prices ----------------------------------------------------------------------------


def test_a_job_above_the_limits_is_refused(school: School):
    """Too long for this machine: the message has the estimate and the limit."""
    with pytest.raises(InputError, match=r"hours, above the limit of 6") as error:
        school.plan(base_model="qwen2.5-coder-7b", overrides={"num_epochs": 500})
    assert "smaller base" in error.value.remedy


def test_rented_hardware_has_a_price(school: School):
    """The tier follows the size; above the largest a job is refused with the way out."""
    training = school.make({"hf_jobs": school.backend})

    def plan(model: str, **changes: Any) -> Plan:
        request = TrainSubagentModel(
            agent="code_review", base_model=model, backend="hf_jobs", **changes
        )
        return training.plan(request, ADA)

    small = plan("tiny-code")
    assert "t4-small" in small.summary
    assert small.cost_usd > 0
    low, high = small.details["cost_range_usd"]
    assert low <= small.cost_usd <= high
    assert "a10g-large" in plan("phi-3-mini").summary
    with pytest.raises(InputError, match="No hardware holds a model of 13 B") as error:
        plan("codellama-13b")
    assert "backend of your own" in error.value.remedy
    with pytest.raises(InputError, match="Train with LoRA"):
        plan("phi-3-mini", overrides={"lora": None})


def test_a_job_elsewhere_asks_the_hub_for_the_base_and_shows_its_licence(school: School):
    """A preset's size needs no Hub, but where the job takes its base from there, it is asked."""
    school.licence = read_licence("cc-by-nc-4.0")
    training = school.make({"hf_jobs": school.backend})
    request = TrainSubagentModel(
        agent="code_review", base_model="phi-3-mini", backend="hf_jobs", max_examples=10
    )
    plan = training.plan(request, ADA)
    assert school.asked_hub == ["microsoft/Phi-3-mini-4k-instruct"]
    assert plan.details["licence"] == "cc-by-nc-4.0"
    assert "allows no commercial use" in plan.summary
    school.hub = InputError("It is gated.")
    with pytest.raises(InputError, match="gated"):
        training.plan(request, ADA)


class _Unready(FakeBackend):
    """A backend that nobody may use."""

    def check(self, owner: str, engine: TrainingEngine) -> None:
        """See ``ChecksFirst``."""
        raise ConfigurationError(f"No right to write for {owner}.")


def test_a_backend_that_could_not_publish_says_so_before_anything_is_priced(school: School):
    """The refusal names the owner; nothing was looked up or started."""
    training = school.make({"hf_jobs": _Unready()})
    request = TrainSubagentModel(agent="code_review", base_model="x/y", backend="hf_jobs")
    with pytest.raises(ConfigurationError, match="write for acme"):
        training.plan(request, ADA)
    assert not school.asked_hub


@pytest.mark.parametrize(
    ("request_", "said"),
    [
        ({"backend": "hf_jobs"}, "backend 'hf_jobs' is not available here. Set HUGGINGFACE_JOBS"),
        ({"backend": "hf_space"}, "'hf_space' is not available here. Set MODELOPS"),
    ],
)
def test_what_is_not_built_says_so(school: School, request_: dict[str, Any], said: str):
    """With what there is instead."""
    with pytest.raises(NotAvailable) as error:
        school.plan(**request_)
    assert said in str(error.value)


@pytest.mark.parametrize(
    ("request_", "said"),
    [
        ({"method": "grpo", "engine": "autotrain"}, "engine='autotrain' has no method 'grpo'"),
        ({"method": "orpo", "engine": "trl"}, "engine='trl' has no method 'orpo'"),
    ],
)
def test_an_engine_is_not_asked_for_what_it_lacks(
    school: School, request_: dict[str, Any], said: str
):
    """Before anything is priced; the remedy names the engine that has it."""
    with pytest.raises(InputError) as error:
        school.plan(**request_)
    assert said in error.value.message
    assert error.value.remedy.startswith("Use engine ")


def test_an_unknown_agent_is_refused_first(school: School):
    """Before anything else is looked at."""
    with pytest.raises(UnknownAgentError, match="nobody"):
        school.plan(agent="nobody")


def test_an_artifact_without_weights_is_named(school: School):
    """A folder with a config alone has no size."""
    (school.artifacts / "acme" / "empty").mkdir(parents=True)
    (school.artifacts / "acme" / "empty" / "config.json").write_text("{}")
    with pytest.raises(InputError, match="holds no safetensors weights"):
        school.plan(base_model="acme/empty")


# -- carrying it out ------------------------------------------------------------------------------


async def test_a_started_training_is_a_job_and_then_a_version(school: School):
    """The job has the request; the version its lineage, its data's hash and its weights'."""
    config = {"base_model": "local/tiny-code", "training_method": "sft"}
    school.registry.add_model_version("code_review", model_id="acme/v1", training_config=config)
    school.artifact("acme/v1", {"w": [100, 100]})
    result = await school.plan(base_model="v1.0.0", max_examples=9).act(None)
    assert isinstance(result, TrainingStarted)
    assert result.hub_repo == f"acme/code-chef-code-review-{result.job_id[4:]}"
    assert (result.approval, result.status_url) == ("none needed", f"job:{result.job_id}")
    report = school.jobs.report(MonitorTrainingJob(job_id=result.job_id))
    assert (report.status, report.version) == ("completed", "v1.1.0")
    version = school.registry.get_version("code_review", "v1.1.0")
    assert version.parent_version == "v1.0.0"
    assert version.model_id == version.hub_repo == result.hub_repo
    assert version.dataset_hash == school.datasets.get("reviews").hash
    assert version.trained_by == "ada"
    assert version.weights_sha256
    assert version.training_config.base_model == "acme/v1"
    assert version.training_config.extra == {"engine": "trl", "examples": 9}


async def test_the_worker_gets_the_resolved_request(school: School):
    """Rows, hyperparameters, limit; nothing is pushed from this machine."""
    result = await school.plan(max_examples=9, overrides={"seed": 3}).act("ap_1")
    assert isinstance(result, TrainingStarted)
    assert result.approval == "ap_1"
    spec = school.backend._jobs[result.job_id].spec
    assert len(spec.rows) == 9
    assert spec.rows[0]["messages"][-1]["role"] == "assistant"
    assert spec.hyperparameters["seed"] == 3
    assert spec.max_seconds == 6 * 3600
    assert spec.push_to_hub is False


async def test_a_job_registers_one_version_however_often_it_is_settled(school: School):
    """Registering is idempotent by the job."""
    result = await school.plan().act(None)
    assert isinstance(result, TrainingStarted)
    job, progress = school.jobs.refresh(result.job_id)
    for _ in range(3):
        again = school.training.register(replace(job, status="running"), progress.result)
        assert again["version"] == "v1.0.0"
    assert len(school.registry.list_versions("code_review")) == 1


# -- a demo first, and what past runs teach -------------------------------------------------------


async def complete(school: School, **request: Any) -> None:
    """Train to the end."""
    started = await school.plan(**request).act(None)
    assert isinstance(started, TrainingStarted)
    assert school.jobs.refresh(started.job_id)[0].status == "completed"


async def test_a_production_run_is_not_the_first_of_its_kind(school: School):
    """A demo of the same backend, method and family of models comes first, or a reason."""
    planned = school.plan(mode="production")
    assert "production run" in planned.summary  # with its price
    assert isinstance(planned.objection, InputError)
    assert "by sft of a tiny-code model on fake" in planned.objection.message
    assert "chef train code_review --mode demo" in planned.objection.remedy
    reason = "the pipeline is known from elsewhere"
    forced = school.plan(mode="production", override_reason=reason)
    assert (reason in forced.summary, forced.objection) == (True, None)
    await complete(school)
    assert school.plan(mode="production").objection is None
    assert school.plan(mode="production", method="grpo").objection is not None


async def test_the_reason_for_no_demo_is_kept_with_the_job(school: School):
    """Whoever looks at the job later reads it."""
    started: Any = await school.plan(mode="production", override_reason="known").act(None)
    job = school.jobs.find(started.job_id, None)
    assert job.request["request"]["override_reason"] == "known"


async def test_an_estimate_learns_from_the_runs_before(tmp_path: Path):
    """The fake's runs take a minute each: the median of what they took beside their estimates."""
    school = School(tmp_path)
    school.build()
    clock = [0.0]
    school.backend = FakeBackend(Scenario(seconds=60.0), clock=lambda: clock[0])
    jobs = Jobs(
        JobStore(Database(f"sqlite:///{tmp_path / 'more.db'}")),
        {"fake": school.backend},
        {"training": school.training.register},
        AuditLog(Database(f"sqlite:///{tmp_path / 'more.db'}")),
    )
    school.jobs, school.training = jobs, school.make({"fake": school.backend}, jobs=jobs)
    before = school.plan()
    assert before.details["past_runs"] == 0
    for _ in range(4):
        started: Any = await school.plan().act(None)
        clock[0] += 60.0
        assert jobs.refresh(started.job_id)[0].status == "completed"
    after = school.plan()
    assert after.details["past_runs"] == 4
    assert after.details["estimated_minutes"] == pytest.approx(1.0)
    low, high = after.details["minutes_range"]
    assert (low, high) == pytest.approx((0.71, 1.41))
    assert "as 4 past runs of this kind took" in after.details["rests_on"]


async def test_a_rented_machine_is_given_back_when_it_has_cost_the_limit(school: School):
    """The job's own time limit is that of dollars when it is the shorter one."""
    limits = school.defaults.limits.model_copy(update={"max_cost_usd": 1.5, "max_hours": 6.0})
    defaults = school.defaults.model_copy(update={"limits": limits})
    backends = {"hf_jobs": school.backend, "fake": school.backend}
    preparation = school.preparation(backends, defaults=defaults)
    for backend, seconds in (("hf_jobs", 2 * 3600.0), ("fake", 6 * 3600.0)):
        request = TrainSubagentModel(agent="code_review", base_model="local/tiny-code")
        prepared = preparation.prepare(request.model_copy(update={"backend": backend}))
        assert prepared.max_seconds == seconds
