from __future__ import annotations

import json
import re
import socket
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from dotenv import dotenv_values
from pydantic import ValidationError

from agent_orchestrator.errors import SettingsError
from agent_orchestrator.settings import Settings, load_settings

TEMPLATE = Path(__file__).parents[2] / "config/env/.env.template"
ALIASES = {str(field.alias): field for field in Settings.model_fields.values()}


def config_with_env_file(folder: Path, text: str) -> dict[str, str]:
    """Return an environment whose configuration folder has this ``env/.env``."""
    (folder / "env").mkdir(parents=True)
    (folder / "env" / ".env").write_text(text)
    return {"CHEF_CONFIG": str(folder)}


def test_the_template_documents_every_variable_and_no_other() -> None:
    """A variable that Settings reads stands in the template, once, and the template has no more."""
    documented = re.findall(r"^([A-Z_]+)=", TEMPLATE.read_text(), flags=re.MULTILINE)
    assert sorted(documented) == sorted(ALIASES)


def test_every_variable_of_the_template_is_explained() -> None:
    """A comment stands above each variable or above the group it belongs to."""
    for block in TEMPLATE.read_text().split("\n\n"):
        assert block.startswith("#"), f"no comment above: {block.splitlines()[0]}"


def test_the_templates_values_are_the_defaults(tmp_path: Path) -> None:
    """Copying the template to .env changes nothing, value by value."""
    environment = config_with_env_file(tmp_path / "config", TEMPLATE.read_text())
    with_template = load_settings(environment)
    (tmp_path / "config/env/.env").unlink()
    assert with_template.model_dump() == load_settings(environment).model_dump()
    for alias, field in ALIASES.items():
        if field.default is not None:
            assert dotenv_values(TEMPLATE)[alias], f"the template hides the default of {alias}"


def test_everything_has_a_default() -> None:
    """An empty environment gives settings for one machine, with no key and SQLite."""
    settings = load_settings({})
    assert settings.default_backend == "local"
    assert settings.models_yaml == Path.cwd() / "config/agents/models.yaml"
    assert settings.database == f"sqlite:///{Path.cwd()}/.chef/state.db"
    assert settings.openrouter_api_key is None


def test_the_environment_beats_the_file_and_the_file_beats_the_default(tmp_path: Path) -> None:
    """Precedence is environment, config/env/.env, default."""
    environment = config_with_env_file(tmp_path, "CHEF_GATEWAY_PORT=1111\nMODELOPS_HUB_ORG=acme\n")
    settings = load_settings(environment | {"CHEF_GATEWAY_PORT": "2222"})
    assert (settings.gateway_port, settings.hub_org) == (2222, "acme")
    assert settings.timer_seconds == Settings.model_fields["timer_seconds"].default


@pytest.mark.parametrize("alias", sorted(ALIASES))
def test_an_empty_variable_is_one_that_is_not_set(alias: str) -> None:
    """``VARIABLE=`` means the default for every variable, as it reads in the template."""
    assert load_settings({alias: ""}).model_dump() == load_settings({}).model_dump()


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("CHEF_GATEWAY_PORT", "65536"),
        ("CHEF_GATEWAY_PORT", "http"),
        ("CHEF_LOG_LEVEL", "chatty"),
        ("CHEF_TIMER_SECONDS", "0"),
        ("CHEF_BACKEND", "aws"),
        ("CHEF_REQUESTER_MAY_APPROVE", "maybe"),
        ("MODELOPS_USE_SPACE", "2"),
    ],
)
def test_a_bad_value_is_refused_by_the_variables_name(variable: str, value: str) -> None:
    """The message names the variable a person has to change, and where it is documented."""
    with pytest.raises(SettingsError, match=variable) as refused:
        load_settings({variable: value})
    assert refused.value.exit_code == 2
    assert ".env.template" in refused.value.remedy


def test_a_bad_value_in_the_file_is_refused_too(tmp_path: Path) -> None:
    """Values of config/env/.env are checked like those of the environment."""
    with pytest.raises(SettingsError, match="CHEF_GATEWAY_PORT"):
        load_settings(config_with_env_file(tmp_path, "CHEF_GATEWAY_PORT=-1\n"))


def test_relative_paths_are_made_absolute_and_keep_symbolic_links(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Paths mean the same after a chdir; the link to an interpreter is not followed."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "python").symlink_to(sys.executable)
    given = {
        "CHEF_STATE": "state",
        "CHEF_TRAINER_PYTHON": "./python",
        "CHEF_GATEWAY_KEYS_FILE": "keys.json",
    }
    settings = load_settings(given)
    assert settings.state_dir == tmp_path / "state"
    assert settings.trainer_python == tmp_path / "python"
    assert settings.gateway_keys_file == tmp_path / "keys.json"
    assert settings.child_environment()["CHEF_GATEWAY_KEYS_FILE"] == str(tmp_path / "keys.json")


def test_the_model_socket_lies_in_the_state_folder(tmp_path: Path) -> None:
    """Where nobody but the folder's user can reach it."""
    settings = load_settings({"CHEF_STATE": str(tmp_path)})
    assert settings.model_socket == tmp_path / "run" / "models.sock"


def test_a_deep_state_folder_gets_a_socket_that_can_be_bound(tmp_path: Path) -> None:
    """A socket's path has a limit that folders have not; each folder gets a socket of its own."""
    deep = [tmp_path / name / ("deep" * 30) for name in ("one", "two")]
    first, second = (load_settings({"CHEF_STATE": str(folder)}).model_socket for folder in deep)
    assert first != second
    first.parent.mkdir(exist_ok=True, mode=0o700)
    with closing(socket.socket(socket.AF_UNIX)) as bound:
        bound.bind(str(first))
        first.unlink()


def test_secrets_do_not_show() -> None:
    """Neither repr, dump nor JSON of the settings contains a key."""
    secrets = [a for a in ALIASES if a.endswith(("_TOKEN", "_API_KEY", "_DATABASE_URL"))]
    settings = load_settings(dict.fromkeys(secrets, "sk-secret"))
    shown = repr(settings) + str(settings.model_dump()) + settings.model_dump_json()
    assert len(secrets) == 6
    assert settings.database == "sk-secret"
    assert "sk-secret" not in shown


def test_settings_are_frozen() -> None:
    """Nothing changes the settings of a running process."""
    with pytest.raises(ValidationError, match="frozen"):
        load_settings({}).log_level = "DEBUG"


def test_a_secret_is_found_by_the_variable_that_models_yaml_names(tmp_path: Path) -> None:
    """``api_key_env`` may name any variable, of the environment or of the file."""
    environment = config_with_env_file(tmp_path, "FROM_FILE=one\nEMPTY=\n")
    settings = load_settings(environment | {"FROM_ENVIRONMENT": "two"})
    assert [settings.secret(v) for v in ("FROM_FILE", "FROM_ENVIRONMENT", "EMPTY", "NOWHERE")] == [
        "one",
        "two",
        None,
        None,
    ]


def test_a_child_process_sees_the_same_settings(tmp_path: Path) -> None:
    """A process of our own started elsewhere uses the same folders and variables as this one."""
    settings = load_settings({"CHEF_STATE": "state", "CHEF_GATEWAY_PORT": "0"})
    program = (
        "from agent_orchestrator.settings import load_settings\n"
        "print(load_settings().model_dump_json())"
    )
    printed = subprocess.run(
        [sys.executable, "-c", program],
        env=settings.child_environment(CHEF_LOG_LEVEL="DEBUG"),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    expected = settings.model_copy(update={"log_level": "DEBUG"})
    assert json.loads(printed) == json.loads(expected.model_dump_json())
