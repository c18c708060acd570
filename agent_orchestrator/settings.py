"""Environment and secrets, read once into one frozen ``Settings``.

This is the only module that looks at the environment. A variable beats ``config/env/.env``, which
beats the default. ``config/env/.env.template`` documents every variable; a test keeps the two in
step.
"""

from __future__ import annotations

import hashlib
import os
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from dotenv import dotenv_values
from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, SecretStr, ValidationError

from agent_orchestrator.errors import SettingsError

#: sockaddr_un holds 108 bytes with the closing zero.
_LONGEST_SOCKET_PATH = 107
_SECRET_ENDS = ("_KEY", "_TOKEN", "_SECRET", "_PASSWORD")


class Settings(BaseModel):
    """Everything a process needs to know about where it runs. Relative paths are made absolute."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)

    config_dir: Path = Field(default=Path("config"), alias="CHEF_CONFIG")
    """Configuration folder."""
    state_dir: Path = Field(default=Path(".chef"), alias="CHEF_STATE")
    """State folder: database, jobs, artifacts, data sets, reports."""
    database_url: SecretStr | None = Field(default=None, alias="CHEF_DATABASE_URL")
    """SQLAlchemy URL, which may hold a password; None for SQLite in the state folder."""
    workspace: Path | None = Field(default=None, alias="CHEF_WORKSPACE")
    """The folder that agents work on; None: they have no files."""
    outcome_retention_days: float = Field(default=90.0, ge=0, alias="CHEF_OUTCOME_RETENTION_DAYS")
    """How long outcomes and feedback are kept, days; 0 for ever."""
    thread_retention_days: float = Field(default=90.0, ge=0, alias="CHEF_THREAD_RETENTION_DAYS")
    """How long a conversation is kept in which nothing is said, days; 0 for ever."""
    thread_states: int = Field(default=100, ge=0, alias="CHEF_THREAD_STATES")
    """States of a conversation that are kept to look back at, the newest; 0 for all."""
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        default="INFO", alias="CHEF_LOG_LEVEL"
    )
    trainer_python: Path = Field(
        default=Path(".venv-trainer/bin/python"), alias="CHEF_TRAINER_PYTHON"
    )
    """Interpreter that has the TRL engine."""
    autotrain_python: Path = Field(
        default=Path(".venv-autotrain/bin/python"), alias="CHEF_AUTOTRAIN_PYTHON"
    )
    """Interpreter that has the AutoTrain engine."""
    llama_cpp: Path = Field(default=Path(".llama.cpp"), alias="CHEF_LLAMA_CPP")
    """Folder that ``make setup-gguf`` filled: llama.cpp's converter and library."""
    gateway_host: str = Field(default="127.0.0.1", alias="CHEF_GATEWAY_HOST")
    gateway_port: int = Field(default=8130, ge=0, le=65535, alias="CHEF_GATEWAY_PORT")
    gateways: int = Field(default=1, ge=1, le=64, alias="CHEF_GATEWAYS")
    """Gateway processes of ``chef serve``, on this port and the ones after it."""
    gateway_token: SecretStr | None = Field(default=None, alias="CHEF_GATEWAY_TOKEN")
    """Bearer token of the gateway's clients; None lets ``chef serve``, at a terminal, make one."""
    cache_mb: int = Field(default=0, ge=0, alias="CHEF_CACHE_MB")
    """Memory of each gateway's response cache, MiB; 0 for none."""
    cache_entries: int = Field(default=10_000, ge=1, alias="CHEF_CACHE_ENTRIES")
    """Most answers in the cache."""
    cache_seconds: float = Field(default=3600.0, gt=0, alias="CHEF_CACHE_SECONDS")
    """How long an answer is kept."""
    cache_sampled: bool = Field(default=False, alias="CHEF_CACHE_SAMPLED")
    """Whether answers to requests with a temperature above 0 (or none) are kept too."""
    gateway_keys: Path | None = Field(default=None, alias="CHEF_GATEWAY_KEYS_FILE")
    """Names and hashes of the clients' keys; None for ``gateway-keys.json`` in the state folder."""
    gateway_concurrent: int = Field(default=512, ge=1, alias="CHEF_GATEWAY_CONCURRENT")
    """Requests that one gateway works on at a time."""
    gateway_per_agent: int = Field(default=0, ge=0, alias="CHEF_GATEWAY_PER_AGENT")
    """Of those, for one agent; 0 for no limit."""
    gateway_queue: int = Field(default=128, ge=0, alias="CHEF_GATEWAY_QUEUE")
    """Requests that may wait for their turn, for a second at most."""
    api_host: str = Field(default="127.0.0.1", alias="CHEF_API_HOST")
    api_port: int = Field(default=8131, ge=0, le=65535, alias="CHEF_API_PORT")
    """Port of the HTTP API; the gateways leave it out."""
    api_tokens: Path | None = Field(default=None, alias="CHEF_API_TOKENS_FILE")
    """Names, hashes and roles; None for ``api-tokens.json`` in the state folder."""
    api_origins: str | None = Field(default=None, alias="CHEF_API_ORIGINS")
    """Origins of web pages that may read the API's answers, separated by commas; None for none."""
    api_rate: float = Field(default=20.0, gt=0, alias="CHEF_API_RATE")
    """Requests a second that one access token may make, on the average."""
    timer_seconds: float = Field(default=1.0, gt=0, alias="CHEF_TIMER_SECONDS")
    """Pause between two ticks of the rollout timer, seconds."""
    default_backend: Literal["local", "hf_space", "hf_jobs"] = Field(
        default="local", alias="CHEF_BACKEND"
    )
    requester_may_approve: bool = Field(default=True, alias="CHEF_REQUESTER_MAY_APPROVE")
    """Whether the person who asked may also approve (the embedded mode has one user)."""

    trackio_project: str | None = Field(default=None, alias="CHEF_TRACKIO_PROJECT")
    """Project of Trackio that shows the curves of trainings; None for none."""
    trackio_space: str | None = Field(default=None, alias="CHEF_TRACKIO_SPACE")
    """``owner/name`` of the Space that shows it; None keeps it in the job's folder."""

    huggingface_token: SecretStr | None = Field(default=None, alias="HUGGINGFACE_TOKEN")
    hub_endpoint: str | None = Field(default=None, alias="HF_ENDPOINT")
    """Base URL of the Hub; None for the public one."""
    huggingface_jobs_enabled: bool = Field(default=False, alias="HUGGINGFACE_JOBS_ENABLED")
    langsmith_api_key: SecretStr | None = Field(default=None, alias="LANGSMITH_API_KEY")
    langsmith_endpoint: str = Field(
        default="https://api.smith.langchain.com", alias="LANGSMITH_ENDPOINT"
    )
    langsmith_tracing: bool = Field(default=False, alias="LANGSMITH_TRACING")
    """Whether use cases, backend calls and model calls are traced to LangSmith; needs its key."""
    langsmith_project: str = Field(default="code-chef", alias="LANGSMITH_PROJECT")
    """Project of the traces."""
    langsmith_sample: float = Field(
        default=1.0, ge=0, le=1, alias="LANGSMITH_TRACING_SAMPLING_RATE"
    )
    """Share of the traces that are sent."""
    mlflow_tracking_uri: str | None = Field(default=None, alias="MLFLOW_TRACKING_URI")
    """MLflow server to mirror runs and versions to; None for none."""
    openrouter_api_key: SecretStr | None = Field(default=None, alias="OPENROUTER_API_KEY")
    openrouter_base_url: str = Field(
        default="https://openrouter.ai/api/v1", alias="OPENROUTER_BASE_URL"
    )
    hub_org: str = Field(default="local", alias="MODELOPS_HUB_ORG")
    """Owner part of the names of trained models."""
    default_base_model: str = Field(
        default="Qwen/Qwen2.5-Coder-7B", alias="MODELOPS_DEFAULT_BASE_MODEL"
    )
    space_url: str | None = Field(default=None, alias="MODELOPS_SPACE_URL")
    space_token: SecretStr | None = Field(default=None, alias="MODELOPS_SPACE_TOKEN")
    use_space: bool = Field(default=False, alias="MODELOPS_USE_SPACE")
    space_host: str = Field(default="127.0.0.1", alias="CHEF_SPACE_HOST")
    space_port: int = Field(default=7860, ge=0, le=65535, alias="CHEF_SPACE_PORT")
    space_upload_mb: int = Field(default=256, ge=1, alias="CHEF_SPACE_UPLOAD_MB")
    """Largest training request that the Space's app takes, MiB."""
    space_queue: int = Field(default=100, ge=1, alias="CHEF_SPACE_QUEUE")
    """Most jobs that may wait there."""

    _environment: Mapping[str, str] = PrivateAttr(default_factory=dict)

    @property
    def models_yaml(self) -> Path:
        """Which model serves which agent."""
        return self.config_dir / "agents" / "models.yaml"

    @property
    def registry_json(self) -> Path:
        """Which versions exist."""
        return self.config_dir / "models" / "registry.json"

    @property
    def database(self) -> str:
        """SQLAlchemy URL of the state database; it may hold a password."""
        if self.database_url is not None:
            return self.database_url.get_secret_value()
        return f"sqlite:///{self.state_dir / 'state.db'}"

    @property
    def checkpoints(self) -> Path:
        """SQLite file of the conversations' checkpoints."""
        return self.state_dir / "checkpoints.db"

    @property
    def artifacts_dir(self) -> Path:
        """Finished models, ``<owner>/<name>/``."""
        return self.state_dir / "artifacts"

    @property
    def datasets_dir(self) -> Path:
        """Built data sets, ``<dataset_id>/``."""
        return self.state_dir / "datasets"

    @property
    def jobs_dir(self) -> Path:
        """Working folders of jobs on this machine, ``<job_id>/``."""
        return self.state_dir / "jobs"

    @property
    def tensorboard_dir(self) -> Path:
        """TensorBoard files of jobs that run elsewhere, ``<job_id>/``."""
        return self.state_dir / "tensorboard"

    @property
    def space_dir(self) -> Path:
        """Jobs and artifacts of the Space's app, apart from those of this orchestrator."""
        return self.state_dir / "space"

    @property
    def reports_dir(self) -> Path:
        """Evaluation reports."""
        return self.state_dir / "reports"

    @property
    def run_dir(self) -> Path:
        """Locks, sockets and what else lives as long as a process."""
        return self.state_dir / "run"

    @property
    def gateways_dir(self) -> Path:
        """Where every running gateway says its address (``stores.gateways``)."""
        return self.run_dir / "gateways"

    @property
    def routers_dir(self) -> Path:
        """Where every process with a router but no gateway says its name (``stores.living``)."""
        return self.run_dir / "routers"

    @property
    def gateway_keys_file(self) -> Path:
        """Names and hashes of the clients' keys."""
        return self.gateway_keys or self.state_dir / "gateway-keys.json"

    @property
    def api_dir(self) -> Path:
        """Where the running API says its address, as the gateways do."""
        return self.run_dir / "api"

    @property
    def api_tokens_file(self) -> Path:
        """Names, hashes and roles of who may use the API."""
        return self.api_tokens or self.state_dir / "api-tokens.json"

    @property
    def api_origin_list(self) -> tuple[str, ...]:
        """The origins one by one."""
        found = (origin.strip() for origin in (self.api_origins or "").split(","))
        return tuple(origin for origin in found if origin)

    @property
    def model_socket(self) -> Path:
        """Unix socket of this machine's model server.

        Its path may have 107 bytes at most; a deep state folder gets one under the temporary folder
        instead, in a folder of this user's that is named after the state folder.
        """
        path = self.run_dir / "models.sock"
        if len(bytes(path)) <= _LONGEST_SOCKET_PATH:
            return path
        digest = hashlib.sha256(bytes(self.state_dir)).hexdigest()[:16]
        return Path(tempfile.gettempdir()) / f"chef-{os.getuid()}" / f"{digest}.sock"

    def secret(self, variable: str) -> str | None:
        """Return the value of an environment variable that holds a key, None when it is not set."""
        return self._environment.get(variable) or None

    def secrets(self) -> frozenset[str]:
        """Return every value that is a secret by its field or by its variable's name."""
        own = (getattr(self, name) for name in type(self).model_fields)
        fields = {value.get_secret_value() for value in own if isinstance(value, SecretStr)}
        variables = {v for k, v in self._environment.items() if k.upper().endswith(_SECRET_ENDS)}
        return frozenset(fields | variables) - {""}

    def child_environment(self, **extra: str) -> dict[str, str]:
        """Return the environment for a process of our own, with the same folders as this one."""
        return {
            **self._environment,
            "CHEF_CONFIG": str(self.config_dir),
            "CHEF_STATE": str(self.state_dir),
            "CHEF_LLAMA_CPP": str(self.llama_cpp),
            "CHEF_TRAINER_PYTHON": str(self.trainer_python),
            "CHEF_AUTOTRAIN_PYTHON": str(self.autotrain_python),
            **({"CHEF_GATEWAY_KEYS_FILE": str(self.gateway_keys)} if self.gateway_keys else {}),
            **({"CHEF_API_TOKENS_FILE": str(self.api_tokens)} if self.api_tokens else {}),
            **({"CHEF_WORKSPACE": str(self.workspace)} if self.workspace else {}),
            **extra,
        }


def load_settings(environment: Mapping[str, str] | None = None) -> Settings:
    """Read the environment (or ``environment``) into Settings.

    Raises SettingsError that names the variable and its value's fault.
    """
    given = dict(os.environ if environment is None else environment)
    config_dir = Path(given.get("CHEF_CONFIG") or "config")
    from_file = {k: v for k, v in dotenv_values(config_dir / "env" / ".env").items() if v}
    merged = from_file | given
    known = {f.alias for f in Settings.model_fields.values() if f.alias}
    values = {name: value for name, value in merged.items() if name in known and value != ""}
    try:
        settings = Settings.model_validate(values)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        raise SettingsError(
            f"Environment variable {first['loc'][0]}: {first['msg']}.",
            remedy="See config/env/.env.template.",
        ) from None
    absolute = {
        name: Path(os.path.abspath(getattr(settings, name)))  # noqa: PTH100 - keeps venv symlinks
        for name in (
            *("config_dir", "state_dir", "llama_cpp", "trainer_python", "autotrain_python"),
            *("gateway_keys", "api_tokens", "workspace"),
        )
        if getattr(settings, name) is not None
    }
    settings = settings.model_copy(update=absolute)
    settings._environment = merged  # noqa: SLF001 - set once, here
    return settings


def forbid_mlflow_telemetry() -> None:
    """Keep MLflow's client from reporting its use; it must be told before it is imported."""
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"


def own_python() -> str:
    """Return the interpreter for processes of our own."""
    return sys.executable
