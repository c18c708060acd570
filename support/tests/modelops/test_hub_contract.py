"""What we rely on in the Hub, by its own client: repositories, Spaces, Jobs, refusals."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from huggingface_hub import CommitOperationAdd, HfApi
from huggingface_hub.errors import (
    EntryNotFoundError,
    GatedRepoError,
    HfHubHTTPError,
    RepositoryNotFoundError,
)
from huggingface_hub.hf_api import RepoFile
from tests.doubles.hub import FINE_GRAINED, ORG, READ, USER, WRITE, Account, HubDouble

WEIGHTS = bytes(range(256)) * 40


@pytest.fixture
def hub() -> Iterator[HubDouble]:
    """Return a running Hub."""
    with HubDouble() as double:
        yield double


@pytest.fixture
def api(hub: HubDouble) -> HfApi:
    """Return a client that may write."""
    return HfApi(endpoint=hub.url, token=WRITE)


def status(error: pytest.ExceptionInfo[HfHubHTTPError]) -> int:
    """Return the refusal's HTTP status."""
    return error.value.response.status_code


def test_a_token_says_whose_it_is_and_what_it_may(hub: HubDouble, api: HfApi):
    """Name, organisations and role are told; an unknown token is refused with 401."""
    told = api.whoami()
    assert (told["name"], [org["name"] for org in told["orgs"]]) == (USER, [ORG])
    assert told["auth"]["accessToken"]["role"] == "write"
    fine = HfApi(endpoint=hub.url, token=FINE_GRAINED).whoami()
    (scope,) = fine["auth"]["accessToken"]["fineGrained"]["scoped"]
    assert scope["entity"]["name"] == USER
    assert "job.write" in scope["permissions"]
    with pytest.raises(HfHubHTTPError) as refused:
        HfApi(endpoint=hub.url, token="hf_unknown").whoami()
    assert status(refused) == 401


def test_a_models_page_tells_size_licence_and_gate(hub: HubDouble, api: HfApi):
    """model_info gives them with and without ``expand``; an unknown model is not found."""
    card = {"license": "other", "license_name": "llama3"}
    hub.repos.add_model("meta/gated", parameters=8_000_000_000, card=card, gated="manual")
    whole = api.model_info("meta/gated")
    assert whole.safetensors is not None
    assert whole.safetensors.total == 8_000_000_000
    assert whole.card_data is not None
    assert whole.card_data["license_name"] == "llama3"
    part = api.model_info("meta/gated", expand=["gated", "safetensors"])
    assert (part.gated, part.siblings) == ("manual", None)
    with pytest.raises(RepositoryNotFoundError):
        api.model_info("meta/absent")


@pytest.mark.parametrize("kind", ["model", "dataset", "space"])
def test_files_go_up_and_come_back(hub: HubDouble, api: HfApi, tmp_path: Path, kind: str):
    """Small files in the commit, large ones by LFS; listing and snapshot agree."""
    repo_id = f"{USER}/thing"
    sdk = "docker" if kind == "space" else None
    url = api.create_repo(repo_id, repo_type=kind, private=True, space_sdk=sdk)
    assert url.repo_id == repo_id
    api.create_repo(repo_id, repo_type=kind, exist_ok=True, space_sdk=sdk)
    operations = [
        CommitOperationAdd("model.safetensors", WEIGHTS),
        CommitOperationAdd("deep/er/config.json", b"{}"),
    ]
    made = api.create_commit(repo_id, operations, commit_message="put", repo_type=kind)
    names = set(api.list_repo_files(repo_id, repo_type=kind))
    assert names == {".gitattributes", "model.safetensors", "deep/er/config.json"}
    (large,) = api.get_paths_info(repo_id, ["model.safetensors"], repo_type=kind)
    assert isinstance(large, RepoFile)
    assert large.lfs is not None
    assert large.lfs.sha256 == hashlib.sha256(WEIGHTS).hexdigest()
    tree = list(api.list_repo_tree(repo_id, repo_type=kind, recursive=True))
    assert {entry.path for entry in tree} == names | {"deep", "deep/er"}
    folder = Path(
        api.snapshot_download(repo_id, repo_type=kind, local_dir=tmp_path, revision=made.oid)
    )
    assert (folder / "model.safetensors").read_bytes() == WEIGHTS
    assert (folder / "deep" / "er" / "config.json").read_text() == "{}"
    api.delete_file("model.safetensors", repo_id, repo_type=kind)
    assert not api.file_exists(repo_id, "model.safetensors", repo_type=kind)
    assert api.file_exists(repo_id, "model.safetensors", repo_type=kind, revision=made.oid)
    api.delete_repo(repo_id, repo_type=kind)
    assert not api.repo_exists(repo_id, repo_type=kind)


def test_a_large_file_may_go_up_in_parts(hub: HubDouble, api: HfApi):
    """The service may ask for a multipart upload."""
    hub.repos.lfs_part_bytes = 4096
    api.create_repo(f"{USER}/parts")
    api.upload_file(
        path_or_fileobj=WEIGHTS, path_in_repo="model.safetensors", repo_id=f"{USER}/parts"
    )
    assert hub.repos.get("model", f"{USER}/parts").files["model.safetensors"].content == WEIGHTS
    assert len(hub.seen("PUT", "^/_lfs/")) == 3


def test_an_interrupted_download_goes_on_where_it_stopped(
    hub: HubDouble, api: HfApi, tmp_path: Path
):
    """The rest of a file is asked for by its range."""
    hub.repos.add("model", f"{USER}/m", {"model.safetensors": WEIGHTS})
    etag = hub.repos.get("model", f"{USER}/m").files["model.safetensors"].sha256
    partial = tmp_path / "models--acme--m" / "blobs" / f"{etag}.incomplete"
    partial.parent.mkdir(parents=True)
    partial.write_bytes(WEIGHTS[:5000])
    path = api.hf_hub_download(f"{USER}/m", "model.safetensors", cache_dir=tmp_path)
    assert Path(path).read_bytes() == WEIGHTS


def test_what_one_may_not_do_is_refused(hub: HubDouble, api: HfApi):
    """Foreign namespaces, read tokens, private and gated repositories, each in the Hub's words."""
    hub.repos.add("model", "other/secret", {"config.json": "{}"}, private=True)
    hub.repos.add("model", "meta/gated", {"config.json": "{}"}, gated="manual")
    with pytest.raises(RepositoryNotFoundError):
        api.model_info("other/secret")
    with pytest.raises(GatedRepoError):
        api.auth_check("meta/gated")
    with pytest.raises(GatedRepoError):
        api.hf_hub_download("meta/gated", "config.json")
    hub.accounts["hf_granted"] = Account(granted=frozenset({"meta/gated"}))
    HfApi(endpoint=hub.url, token="hf_granted").auth_check("meta/gated")
    for token, repo_id in ((WRITE, "other/new"), (READ, f"{USER}/new"), (FINE_GRAINED, "x/new")):
        with pytest.raises(HfHubHTTPError) as refused:
            HfApi(endpoint=hub.url, token=token).create_repo(repo_id)
        assert status(refused) == 403
    with pytest.raises(EntryNotFoundError):
        api.hf_hub_download("meta/gated", "absent.json", token="hf_granted")


def test_faults_come_on_demand(hub: HubDouble, api: HfApi):
    """A status, an error code or a broken connection, so many times; then it works again."""
    hub.repos.add_model("a/b")
    hub.fail(429, path="/api/models/a/b", message="Too many requests")
    with pytest.raises(HfHubHTTPError) as refused:
        api.model_info("a/b")
    assert status(refused) == 429
    hub.fail(503, path="/api/models")
    with pytest.raises(HfHubHTTPError):
        api.model_info("a/b")
    assert api.model_info("a/b").id == "a/b"
    assert [str(r) for r in hub.requests] == ["GET /api/models/a/b"] * 3
    assert {r.token for r in hub.requests} == {WRITE}


def test_a_space_is_built_run_and_paused(hub: HubDouble, api: HfApi):
    """Secrets are write-only; hardware, pause and restart show; logs are streamed."""
    repo_id = f"{USER}/trainer"
    api.create_repo(repo_id, repo_type="space", space_sdk="docker", private=True)
    api.add_space_secret(repo_id, "TOKEN", "s3cret")
    api.add_space_variable(repo_id, "MODE", "demo")
    assert "s3cret" not in repr(api.get_space_secrets(repo_id))
    assert api.get_space_variables(repo_id)["MODE"].value == "demo"
    assert hub.spaces.get(repo_id).secrets == {"TOKEN": "s3cret"}
    assert api.request_space_hardware(repo_id, "t4-small", sleep_time=300).stage == "BUILDING"
    runtime = api.wait_for_space(repo_id, poll_interval=0.01)
    assert (runtime.stage, runtime.hardware, runtime.sleep_time) == ("RUNNING", "t4-small", 300)
    hub.spaces.get(repo_id).run_log += ["hello"]
    assert list(api.fetch_space_logs(repo_id)) == ["hello\n"]
    assert api.pause_space(repo_id).stage == "PAUSED"
    api.restart_space(repo_id)
    assert hub.spaces.get(repo_id).restarts == 2


def test_a_job_is_listed_followed_and_ends(hub: HubDouble, api: HfApi):
    """Labels find it again, its log comes as a stream, and its stage says how it ended."""
    started = api.run_job(
        image="python:3.12",
        command=["python", "-c", "pass"],
        env={"A": "1"},
        secrets={"HF_TOKEN": "s3cret"},
        flavor="t4-small",
        timeout="2h",
        labels={"chef-job": "job_1"},
        namespace=USER,
    )
    job = hub.jobs.get(started.id)
    assert job.payload["timeoutSeconds"] == 7200
    assert job.payload["secrets"] == {"HF_TOKEN": "s3cret"}
    found = list(api.list_jobs(namespace=USER, labels={"chef-job": "job_1"}))
    assert [one.id for one in found] == [started.id]
    assert "s3cret" not in repr(found)
    assert not list(api.list_jobs(namespace=USER, labels={"chef-job": "job_2"}))
    job.move("RUNNING")
    job.metrics = {"cpu_usage_pct": 12, "gpus": {}}
    (now,) = api.fetch_job_metrics(job_id=job.id, namespace=USER)
    assert now["cpu_usage_pct"] == 12
    job.log("===== Job started at … =====")
    for number in range(5):
        job.log(f"line {number}")
    job.move("COMPLETED")
    lines = list(api.fetch_job_logs(job_id=job.id, namespace=USER, follow=True))
    assert lines == [f"line {number}" for number in range(5)]
    assert list(api.fetch_job_logs(job_id=job.id, namespace=USER, tail=2)) == lines[-2:]
    assert api.inspect_job(job_id=job.id, namespace=USER).status.stage == "COMPLETED"
    flavours = {machine.name: machine for machine in api.list_jobs_hardware()}
    assert flavours["t4-small"].unit_cost_usd == pytest.approx(0.40 / 60)


def test_a_log_whose_stream_breaks_goes_on_without_gap_or_repetition(hub: HubDouble, api: HfApi):
    """The client reconnects, and skips what it has seen."""
    job = hub.jobs.get(api.run_job(image="x", command=["y"], namespace=USER).id)
    job.move("RUNNING")
    for number in range(6):
        job.log(f"line {number}")
    hub.jobs.break_logs_after = 3
    lines = []
    for line in api.fetch_job_logs(job_id=job.id, namespace=USER, follow=True):
        lines.append(line)
        if len(lines) == 6:  # once a job has ended, the client does not reconnect
            job.move("COMPLETED")
    assert lines == [f"line {number}" for number in range(6)]


def test_a_job_really_runs(hub: HubDouble, api: HfApi):
    """Its command sees its environment and secrets and nothing else; its status is its stage."""
    hub.jobs.path = "/usr/bin:/bin"

    def run(script: str, **more: object):
        started = api.run_job(image="x", command=["sh", "-c", script], namespace=USER, **more)
        ended = api.wait_for_job(started.id, poll_interval=0.02, namespace=USER)
        return ended.status, hub.jobs.get(started.id).lines[1:]

    how, lines = run("echo $A $S; env | wc -l", env={"A": "1"}, secrets={"S": "2"})
    assert (how.stage, lines[0]) == ("COMPLETED", "1 2")
    assert int(lines[1]) < 10
    assert run("exit 3")[0].message == "Job failed with exit code: 3"
    how, _ = run("sleep 60", timeout=1)
    assert (how.stage, how.message) == ("ERROR", "Job timeout")


def test_a_running_job_is_asked_to_stop_when_cancelled(hub: HubDouble, api: HfApi):
    """It gets a SIGTERM, may say good-bye, and ends as cancelled."""
    hub.jobs.path = "/usr/bin:/bin"
    script = "trap 'echo bye; exit 0' TERM; echo up; while :; do sleep 0.05; done"
    started = api.run_job(image="x", command=["sh", "-c", script], namespace=USER)
    for line in api.fetch_job_logs(job_id=started.id, namespace=USER, follow=True):
        if line == "up":
            api.cancel_job(job_id=started.id, namespace=USER)
    assert api.wait_for_job(started.id, namespace=USER).status.stage == "CANCELED"
    assert hub.jobs.get(started.id).lines[-1] == "bye"


def test_who_may_not_run_jobs_is_told(hub: HubDouble):
    """A read token cannot start one; a foreign namespace shows nothing."""
    api = HfApi(endpoint=hub.url, token=READ)
    with pytest.raises(HfHubHTTPError) as refused:
        api.run_job(image="x", command=["y"], namespace=USER)
    assert status(refused) == 403
    with pytest.raises(HfHubHTTPError) as hidden:
        list(api.list_jobs(namespace="stranger"))
    assert status(hidden) == 403
