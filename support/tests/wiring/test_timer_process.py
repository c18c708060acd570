"""The timer's process: one at a time, and hard to bring down."""

import logging
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import anyio
import pytest
from tests.doubles.splits import pair
from tests.doubles.workspace import Workspace, eventually

from agent_orchestrator.agents.infrastructure.modelops.authorisation import Caller
from agent_orchestrator.agents.infrastructure.modelops.usecases.rollouts import (
    RolloutReport,
    RolloutStatusRequest,
)
from agent_orchestrator.domain.rollout import RolloutPolicy, RolloutState
from agent_orchestrator.settings import own_python
from agent_orchestrator.stores.database import Database
from agent_orchestrator.stores.rollouts import RolloutStore
from agent_orchestrator.wiring import timer_process
from agent_orchestrator.wiring.embedded import compose
from agent_orchestrator.wiring.processes import TIMER_LEASE

AGENT = "code_review"
COMMAND = (own_python(), "-m", "agent_orchestrator.wiring.timer_process")

Running = Callable[[], AbstractContextManager[None]]


@pytest.fixture
def running(workspace: Workspace) -> Running:
    """Return what runs the timer in a thread for as long as a block takes."""
    workspace.variables["CHEF_TIMER_SECONDS"] = "0.02"

    @contextmanager
    def run() -> Iterator[None]:
        stop = threading.Event()
        thread = threading.Thread(target=timer_process.run, args=(workspace.settings(), stop))
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join(30)
            assert not thread.is_alive()

    return run


@pytest.fixture
def rollouts(workspace: Workspace) -> Iterator[RolloutStore]:
    """Return the rollouts' table with one that runs, though models.yaml does not know it."""
    database = Database(workspace.settings().database)
    store = RolloutStore(database)
    store.save(
        RolloutState(
            id="ro_1",
            agent=AGENT,
            strategy="canary",
            policy=RolloutPolicy(),
            arms=pair(stable=("deepseek/deepseek-chat", None), candidate=("acme/new", None)),
            started_at=1.0,
            step_started_at=1.0,
        ),
        1.0,
    )
    yield store
    database.close()


async def ended(rollouts: RolloutStore) -> None:
    """Wait until the timer has taken the missing entry over."""
    await eventually(lambda: rollouts.get("ro_1").phase == "rolled_back")


async def test_the_lease_is_waited_for(
    workspace: Workspace, rollouts: RolloutStore, running: Running
) -> None:
    """While another process holds it nothing is touched; then the waiting one takes over."""
    other = Database(workspace.settings().database)
    with other.exclusive(TIMER_LEASE, 0), running():
        await anyio.sleep(0.3)
        assert rollouts.get("ro_1").phase == "running"
    with running():
        await ended(rollouts)


async def test_a_broken_file_is_told_and_outlived(
    workspace: Workspace,
    rollouts: RolloutStore,
    running: Running,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Each trouble is one line in the log, however often it ticks; mended, it goes on."""
    whole = workspace.models_yaml.read_text()
    workspace.models_yaml.write_text(whole.replace("  agent_models:", "\tagent_models:"))
    with caplog.at_level(logging.INFO), running():
        await eventually(lambda: caplog.text.count("not YAML") >= 2)
        await anyio.sleep(0.3)
        assert caplog.text.count("not YAML") == 2  # the rollout's, and the file's
        assert rollouts.get("ro_1").phase == "running"
        workspace.models_yaml.write_text(whole)
        await ended(rollouts)


async def test_a_bug_in_a_tick_is_logged_and_outlived(
    workspace: Workspace,
    rollouts: RolloutStore,
    running: Running,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Somebody has to watch the rollouts: the next tick tries again."""
    database = Database(workspace.settings().database)
    with database.write() as connection:
        connection.exec_driver_sql(
            "INSERT INTO rollouts (id, agent, open, started_at, updated_at, state)"
            " VALUES ('ro_0', 'cicd', 1, 0, 0, '{}')"
        )
    with caplog.at_level(logging.INFO), running():
        await eventually(lambda: "A tick broke off" in caplog.text)
        with database.write() as connection:
            connection.exec_driver_sql("DELETE FROM rollouts WHERE id = 'ro_0'")
        await ended(rollouts)
    database.close()


async def test_what_the_timer_decides_shows_everywhere(
    workspace: Workspace, rollouts: RolloutStore, running: Running
) -> None:
    """Another process finds the end of the rollout and who wrote it down."""
    with running():
        await ended(rollouts)
    coordinator = compose(workspace.settings()).coordinator
    request = RolloutStatusRequest(agent=AGENT)
    report = await coordinator.run("rollout_status", request, Caller("ada", "cli", "admin"))
    assert isinstance(report, RolloutReport)
    assert report.phase == "rolled_back"
    assert [decision.actor for decision in report.decisions] == ["models.yaml"]


def test_a_wrong_configuration_ends_it_with_one_line(workspace: Workspace) -> None:
    """Exit code 2 and what to mend; no trace of the program's insides."""
    policy = workspace.config / "modelops" / "rollout_defaults.yaml"
    policy.write_text(policy.read_text().replace("alpha: 0.05", "alpha: often"))
    done = subprocess.run(
        COMMAND, env=workspace.variables, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "rollout_defaults.yaml: alpha" in done.stderr
    assert "Traceback" not in done.stderr


def test_sigterm_ends_it_in_good_order(workspace: Workspace, rollouts: RolloutStore) -> None:
    """It finishes its tick, gives the lease back and returns 0."""
    workspace.variables["CHEF_TIMER_SECONDS"] = "0.02"
    with subprocess.Popen(
        COMMAND, env=workspace.variables, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        assert "ticks every 0.02 s" in process.stderr.readline()
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
    database = Database(workspace.settings().database)
    with database.exclusive(TIMER_LEASE, 0):
        database.close()
