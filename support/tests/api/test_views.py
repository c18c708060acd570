"""What web pages and editors show beside the use cases: differences, logs, the gateway, prices."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.doubles.api_client import Api, listening
from tests.doubles.sse import following
from tests.modelops.test_report import call, evaluated

from agent_orchestrator.agents.infrastructure.modelops.evaluation.jobs import summarise
from agent_orchestrator.agents.infrastructure.modelops.evaluation.report import write_report
from agent_orchestrator.api.differences import PAGE_CHARACTERS
from agent_orchestrator.domain.evaluation import EvalReport
from agent_orchestrator.domain.jobs import Job
from agent_orchestrator.stores.gateways import announced

JOB = "job_2026-01-01_views"


@pytest.fixture
async def url(api: Api) -> AsyncIterator[str]:
    """Return where the API listens."""
    async with listening(api) as url:
        yield url


def keep_evaluation(api: Api, report: EvalReport) -> None:
    """Keep a completed evaluation with this report."""
    paths = write_report(report, api.workspace.folder / "report")
    found = summarise(report, {"json": str(paths.json)}).model_dump(mode="json")
    keep_job(api, "evaluation", {"evaluation": found, "version": "v1.1.0"})


def keep_job(api: Api, kind: Any, result: dict[str, Any] | None) -> Path:
    """Keep a local job; return its folder."""
    folder = api.workspace.settings().jobs_dir / JOB
    folder.mkdir(parents=True)
    job = Job(
        id=JOB,
        kind=kind,
        agent="code_review",
        status="completed" if result is not None else "running",
        backend="local",
        request={},
        requester="ada",
        created_at=1.0,
        updated_at=1.0,
        ref={"job_id": JOB, "folder": str(folder)},
        result=result,
    )
    api.services.embedded.jobs.create(job)
    return folder


async def get(api: Api, path: str, **params: Any) -> Any:
    """Ask as a viewer."""
    answer = await api["viewer"].get(path, params=params)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_the_examples_on_which_two_models_differ_come_page_by_page(api: Api):
    """With their whole texts, in order, counted by who was right; equal answers are left out."""
    baseline = [call(n, "clean") for n in range(9)]
    candidate = [call(n, "mutable_default" if n < 6 else "clean") for n in range(9)]
    keep_evaluation(api, evaluated(candidate, baseline))
    pages = [await get(api, f"/jobs/{JOB}/differences", limit=4)]
    pages.append(await get(api, f"/jobs/{JOB}/differences", limit=4, after=pages[0]["next"]))
    assert pages[1]["next"] is None
    examples = pages[0]["examples"] + pages[1]["examples"]
    assert [one["example_id"] for one in examples] == [f"ex-{n}" for n in range(6)]
    assert pages[0]["counts"] == {"lost": 2, "won": 2, "other": 2}
    assert (pages[0]["candidate"], pages[0]["baseline"]) == ("v1.1.0", "v1.0.0")
    first = examples[1]
    assert (first["kind"], first["expected"]) == ("lost", "clean")
    assert (first["baseline"]["answer"], first["candidate"]["answer"]) == (
        "clean",
        "mutable_default",
    )
    assert first["candidate"]["scores"]["accuracy"] == 0.0
    won = await get(api, f"/jobs/{JOB}/differences", kind="won")
    assert [one["kind"] for one in won["examples"]] == ["won", "won"]


async def test_a_page_of_big_texts_is_shorter_and_nothing_is_cut(api: Api):
    """Each answer is whole; the page ends where its texts are enough for one answer."""
    long = "x" * (PAGE_CHARACTERS // 2)
    baseline = [call(n, "clean") for n in range(4)]
    keep_evaluation(api, evaluated([call(n, long) for n in range(4)], baseline))
    page = await get(api, f"/jobs/{JOB}/differences")
    assert [one["candidate"]["answer"] == long for one in page["examples"]] == [True, True]
    rest = await get(api, f"/jobs/{JOB}/differences", after=page["next"])
    assert (len(rest["examples"]), rest["next"]) == (2, None)


async def test_a_candidate_alone_differs_from_nothing(api: Api):
    """And a job that does not evaluate says so."""
    keep_evaluation(api, evaluated([call(0, "clean"), call(1, None)], None))
    page = await get(api, f"/jobs/{JOB}/differences")
    assert (page["baseline"], page["examples"], page["next"]) == (None, [], None)


async def test_a_job_without_an_evaluation_has_no_differences(api: Api):
    """It is told apart from one that found none."""
    keep_job(api, "training", {"version": "v1.0.0"})
    answer = await api["viewer"].get(f"/jobs/{JOB}/differences")
    assert answer.status_code == 404
    assert "(training, completed) has no report" in answer.json()["detail"]


async def test_a_log_is_read_page_by_page_and_at_its_end(api: Api):
    """Every line once, whatever their number; the end of one page begins the next."""
    folder = keep_job(api, "training", None)
    written = [f"line {n} ÄÖ" for n in range(2500)]
    (folder / "worker.log").write_text("\n".join(written) + "\n", encoding="utf-8")
    read: list[str] = []
    after = 0
    while (page := await get(api, f"/jobs/{JOB}/log", after=after, tail=1000))["lines"]:
        read += page["lines"]
        after = page["end"]
    assert read == written
    end = await get(api, f"/jobs/{JOB}/log", tail=3)
    assert end == {"lines": written[-3:], "end": after}


async def test_a_log_is_followed_until_its_job_ends(api: Api, url: str):
    """And taken up where it was left: no line is missing, none comes twice."""
    folder = keep_job(api, "training", None)
    log = folder / "worker.log"
    log.write_text("first\nsecond\n")
    async with (
        httpx.AsyncClient(base_url=url, headers=api.headers("viewer"), timeout=60) as http,
        following(http, "GET", f"/jobs/{JOB}/log/events") as events,
    ):
        first = await anext(events)
    assert (first.event, first.data["lines"]) == ("lines", ["first", "second"])
    with log.open("a") as more:
        more.write("third\nlast")
    headers = {"Last-Event-ID": first.id}
    async with (
        httpx.AsyncClient(base_url=url, headers=api.headers("viewer"), timeout=60) as http,
        following(http, "GET", f"/jobs/{JOB}/log/events", headers=headers) as events,
    ):
        api.services.embedded.jobs.update(JOB, at=2.0, status="cancelled")
        rest = [line async for event in events for line in event.data["lines"]]
    assert rest == ["third", "last"]


async def test_the_gateway_says_where_it_is_and_what_it_offers(api: Api):
    """Its address and the agents as models; whether it asks for a key, but never one."""
    before = await get(api, "/gateway")
    assert (before["base_url"], before["base_urls"], before["key_needed"]) == (None, [], None)
    folder = api.services.settings.gateways_dir
    with announced(folder, "0.0.0.0", 8130), announced(folder, "::1", 8131):  # noqa: S104
        found = await get(api, "/gateway")
    assert found["base_url"] == "http://127.0.0.1:8130/v1"  # where the API was asked
    assert found["base_urls"] == [found["base_url"], "http://[::1]:8131/v1"]
    assert found["key_needed"] is True
    models = {model["agent"]: model for model in found["models"]}
    assert models["code_review"]["id"] == "agent/code_review"
    serving = (await get(api, "/overview"))["agents"]
    assert [(one["agent"], one["serves"]) for one in found["models"]] == [
        (one["agent"], one["model"]) for one in serving
    ]


async def test_prices_are_told_before_anything_starts(api: Api):
    """Of a demo and of a production run: money and minutes, typed, from dry runs."""
    api.workspace.build_dataset()
    asked = {"agent": "code_review", "dry_run": True}
    for mode in ("demo", "production"):
        answer = await api["viewer"].post(
            "/modelops/train_subagent_model", json={**asked, "mode": mode}
        )
        assert answer.status_code == 200, answer.text
        planned = answer.json()
        assert planned["estimated_minutes"] > 0
        assert planned["cost_is_per_hour"] is False
        assert planned["estimated_cost_usd"] >= 0
        assert ("demo run first" in (planned["objection"] or "")) == (mode == "production")
    refused = await api["operator"].post(
        "/modelops/train_subagent_model", json={"agent": "code_review", "mode": "production"}
    )
    assert refused.status_code == 422, refused.text


async def test_a_simulated_canary_is_returned_as_points(api: Api):
    """Shares that only grow, and evidence that ends where it rolls back."""
    answer = await api["viewer"].post(
        "/modelops/simulate_canary",
        json={"candidate_rate": 0.4, "runs": 60, "max_requests": 200, "curves": True},
    )
    found = answer.json()
    curves = found["curves"]
    assert curves["requests"][0] == 0
    for name in ("rolled_back", "promoted", "rolled_back_knowing"):
        assert len(curves[name]) == len(curves["requests"])
        assert curves[name] == sorted(curves[name])
        assert 0 <= curves[name][0] <= curves[name][-1] <= 1
    assert curves["rolled_back"][-1] <= found["rollback_rate"]
    for path in curves["paths"]:
        assert len(path["requests"]) == len(path["evidence"]) <= 300
        assert path["rolls_back"] == (path["evidence"][-1] >= curves["threshold"])
    plain = await api["viewer"].post("/modelops/simulate_canary", json={"runs": 5})
    assert plain.json()["curves"] is None
