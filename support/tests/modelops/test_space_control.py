"""A Space on the Hub: deployed, looked at, paused, restarted, through the Hub's own client."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from tests.doubles.hub import ORG, READ, WRITE, HubDouble

from agent_orchestrator.agents.infrastructure.modelops.authorisation import Caller
from agent_orchestrator.agents.infrastructure.modelops.backends.space_protocol import Health
from agent_orchestrator.agents.infrastructure.modelops.plans import Plan
from agent_orchestrator.agents.infrastructure.modelops.spaces.control import (
    SpaceAccess,
    SpaceControl,
    app_url,
)
from agent_orchestrator.agents.infrastructure.modelops.spaces.hub import SpaceHub
from agent_orchestrator.agents.infrastructure.modelops.usecases.spaces import (
    DeploySpace,
    PauseSpace,
    RestartSpace,
    SpaceReport,
    SpaceStatus,
)
from agent_orchestrator.errors import (
    ChefError,
    ConfigurationError,
    ConflictError,
    InputError,
    NotFoundError,
    UnavailableError,
)
from agent_orchestrator.stores.audit import AuditLog
from agent_orchestrator.stores.database import Database

CALLER = Caller("ada", "cli", "admin")
SPACE = f"{ORG}/modelops-trainer"
URL = "https://acme-org-modelops-trainer.hf.space"


@dataclass
class Desk:
    """The use cases against a Hub on loopback."""

    hub: HubDouble
    folder: Path
    healths: dict[str, Health | ChefError] = field(default_factory=dict)
    """What the apps say, by URL."""

    def control(self, hub_token: str | None = WRITE, **access: Any) -> SpaceControl:
        """Return the use cases as one installation has them."""
        given = {"owner": ORG, "url": None, "token": "space-secret", "hub_token": hub_token}
        return SpaceControl(
            SpaceAccess(
                hub=lambda: SpaceHub(hub_token, self.hub.url) if hub_token else None,
                health=self._health,
                **{**given, **access},
            ),
            AuditLog(Database(f"sqlite:///{self.folder / 'state.db'}")),
            longest_job_hours=6.0,
            clock=lambda: 1000.0,
        )

    def _health(self, url: str) -> Health:
        found = self.healths.get(url, UnavailableError("It is asleep."))
        if isinstance(found, ChefError):
            raise found
        return found

    def audit(self) -> Sequence[Any]:
        """Return what was written down."""
        return AuditLog(Database(f"sqlite:///{self.folder / 'state.db'}")).tail(10)

    def running(self) -> None:
        """Let the Space's start be over."""
        space = self.hub.spaces.get(SPACE)
        space.booting, space.stage = [], "RUNNING"


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    """Return a desk."""
    with HubDouble() as hub:
        yield Desk(hub, tmp_path)


async def done(plan: Plan) -> SpaceReport:
    """Carry a plan out."""
    report = await plan.act(None)
    assert isinstance(report, SpaceReport)
    return report


async def test_a_deployment_makes_the_space_with_all_it_needs(desk: Desk):
    """Private, with the app and the package's source, its secrets, its machine, its sleep."""
    plan = desk.control().plan_deploy(DeploySpace(), CALLER)
    assert (plan.cost_usd, plan.changes_serving) == (0.40, True)
    assert "private Space acme-org/modelops-trainer on t4-small: $0.40 an hour" in plan.summary
    assert "space-secret" not in plan.summary + repr(plan.details) + repr(plan.resolved)
    assert not desk.hub.repos.ids("space")
    report = await done(plan)
    assert (report.space, report.url, report.hardware) == (SPACE, URL, "t4-small")
    assert (report.usd_per_hour, report.sleep_minutes) == (0.40, 420)
    space, repo = desk.hub.spaces.get(SPACE), desk.hub.repos.get("space", SPACE)
    assert space.secrets == {"MODELOPS_SPACE_TOKEN": "space-secret", "HUGGINGFACE_TOKEN": WRITE}
    assert repo.private
    files = repo.at("main").files
    assert {"Dockerfile", "README.md", "app.py", "requirements.txt"} <= set(files)
    assert "package/agent_orchestrator/training_space/app.py" in files
    assert "package/pyproject.toml" in files
    odd = [f for f in files if "__pycache__" in f or ".env" in f or f.startswith("package/config")]
    assert not odd
    assert [entry.action for entry in desk.audit()] == ["space_deployed"]


async def test_deploying_again_brings_it_up_to_date(desk: Desk):
    """What is not part of the app any more goes; the machine is asked for only when it changes."""
    desk.healths[URL] = Health(status="ok")
    await done(desk.control().plan_deploy(DeploySpace(hardware="cpu-basic"), CALLER))
    repo = desk.hub.repos.get("space", SPACE)
    first = set(repo.at("main").files)
    assert not desk.hub.seen("POST", "/hardware$")
    await done(desk.control().plan_deploy(DeploySpace(hardware="cpu-basic"), CALLER))
    assert set(repo.at("main").files) == first
    await done(desk.control().plan_deploy(DeploySpace(sleep_minutes=30), CALLER))
    await done(desk.control().plan_deploy(DeploySpace(sleep_minutes=30), CALLER))
    assert len(desk.hub.seen("POST", "/hardware$")) == 1
    assert desk.hub.spaces.get(SPACE).sleep_seconds == 1800


def test_the_free_machine_needs_no_approval(desk: Desk):
    """Nothing is spent."""
    plan = desk.control().plan_deploy(DeploySpace(hardware="cpu-basic"), CALLER)
    assert (plan.cost_usd, plan.changes_serving) == (0.0, False)


@pytest.mark.parametrize(
    ("request_", "access", "kind", "match"),
    [
        (DeploySpace(), {"token": None}, ConfigurationError, "MODELOPS_SPACE_TOKEN is not set"),
        (DeploySpace(hardware="abacus"), {}, InputError, "'abacus'.*t4-small"),
        (DeploySpace(space="x"), {}, InputError, "owner/name"),
        (DeploySpace(), {"url": "https://other.hf.space"}, InputError, "Which Space"),
    ],
)
def test_what_is_missing_or_wrong_is_named(
    desk: Desk, request_: DeploySpace, access: dict[str, Any], kind: type[ChefError], match: str
):
    """Before anything is made."""
    with pytest.raises(kind, match=match):
        desk.control(**access).plan_deploy(request_, CALLER)
    assert not desk.hub.repos.ids("space")


def test_without_a_hub_token_nothing_is_deployed(desk: Desk):
    """The message names the variable."""
    with pytest.raises(ConfigurationError, match="HUGGINGFACE_TOKEN is not set"):
        desk.control(hub_token=None).plan_deploy(DeploySpace(), CALLER)


async def test_a_token_that_may_not_write_is_refused(desk: Desk):
    """By the Hub, in our words."""
    plan = desk.control(hub_token=READ).plan_deploy(DeploySpace(), CALLER)
    with pytest.raises(ConfigurationError, match="HUGGINGFACE_TOKEN"):
        await done(plan)


async def test_a_space_with_work_is_left_alone(desk: Desk):
    """Unless one insists; one whose app does not say is not trusted to be idle."""
    await done(desk.control().plan_deploy(DeploySpace(), CALLER))
    desk.running()
    desk.healths[URL] = Health(status="ok", running=["job_1"], waiting=["job_2"])
    for plan, request in (
        (desk.control().plan_deploy, DeploySpace),
        (desk.control().plan_pause, PauseSpace),
        (desk.control().plan_restart, RestartSpace),
    ):
        with pytest.raises(ConflictError, match="job_1, job_2"):
            plan(request(), CALLER)  # type: ignore[operator]
    desk.healths[URL] = ConfigurationError("The token was refused.")
    with pytest.raises(ConflictError, match="not known"):
        desk.control().plan_pause(PauseSpace(), CALLER)
    report = await done(desk.control().plan_pause(PauseSpace(force=True), CALLER))
    assert report.stage == "PAUSED"


async def test_a_paused_space_is_restarted(desk: Desk):
    """With its price, for which a person decides."""
    await done(desk.control().plan_deploy(DeploySpace(), CALLER))
    paused = await done(desk.control().plan_pause(PauseSpace(), CALLER))
    assert paused.stage == "PAUSED"
    plan = desk.control().plan_restart(RestartSpace(), CALLER)
    assert (plan.cost_usd, plan.changes_serving) == (0.40, True)
    assert (await done(plan)).stage == "BUILDING"
    actions = [entry.action for entry in desk.audit()]
    assert actions == ["space_deployed", "space_paused", "space_restarted"]


async def test_the_status_is_the_hubs_and_the_apps(desk: Desk):
    """The stage from the Hub; health, GPUs, disk and jobs from the app when it answers."""
    await done(desk.control().plan_deploy(DeploySpace(), CALLER))
    building = desk.control().status(SpaceStatus())
    assert (building.stage, building.health, building.reasons) == (
        "APP_STARTING",
        None,
        ["It is asleep."],
    )
    desk.running()
    desk.healths[URL] = Health(
        status="ok",
        engine={"trl": "1.0"},
        gpus=[{"name": "T4", "memory_bytes": 1}],
        disk_free_bytes=40_000_000_000,
        running=["job_1"],
    )
    report = desk.control().status(SpaceStatus(space=SPACE))
    assert (report.stage, report.health, report.gpus) == ("RUNNING", "ok", ["T4"])
    assert (report.disk_free_gb, report.running, report.waiting) == (40.0, ["job_1"], [])


def test_an_app_that_runs_elsewhere_has_a_status_too(desk: Desk):
    """Without the Hub, and without a token of it."""
    desk.healths["http://127.0.0.1:7860"] = Health(status="ok")
    report = desk.control(hub_token=None, url="http://127.0.0.1:7860").status(SpaceStatus())
    assert (report.space, report.stage, report.health) == (None, None, "ok")


def test_a_space_that_is_not_there_is_not_found(desk: Desk):
    """With how to make it."""
    with pytest.raises(NotFoundError, match="chef space deploy"):
        desk.control().status(SpaceStatus(space="acme-org/nothing"))


@pytest.mark.parametrize(
    ("space", "url"),
    [
        ("acme/trainer", "https://acme-trainer.hf.space"),
        ("Acme/My_Trainer.v2", "https://acme-my-trainer-v2.hf.space"),
    ],
)
def test_where_a_space_answers(space: str, url: str):
    """The Hub makes a host name of owner and name."""
    assert app_url(space) == url
