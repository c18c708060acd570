"""The clients' keys: kept as hashes, changed under a lock, followed by gateways."""

import json
from pathlib import Path

import pytest

from agent_orchestrator.errors import ConflictError, InputError, NotFoundError, SettingsError
from agent_orchestrator.stores.gateway_keys import GatewayKeys
from agent_orchestrator.stores.key_files import KeySource, fingerprint


def test_a_key_is_given_once_and_kept_as_a_hash(tmp_path: Path):
    """Whoever reads the file learns no key."""
    keys = GatewayKeys(tmp_path / "keys.json")
    assert keys.read() == ()
    key = keys.add("ci", "chat", 7.0)
    [kept] = keys.read()
    assert (kept.name, kept.sha256, kept.scope) == ("ci", fingerprint(key), "chat")
    assert key not in keys.path.read_text()
    assert keys.add("prometheus", "metrics", 8.0) != key
    keys.revoke("ci")
    assert [known.name for known in keys.read()] == ["prometheus"]


@pytest.mark.parametrize("name", ["", "CI", "a b", "token", "anonymous", "x" * 41, "-x"])
def test_a_name_is_short_and_plain(tmp_path: Path, name: str):
    """It becomes a label and stands in logs."""
    with pytest.raises(InputError, match="cannot be named"):
        GatewayKeys(tmp_path / "keys.json").add(name, "chat", 0.0)


def test_a_name_has_one_key(tmp_path: Path):
    """A second one, and revoking what is not there, are errors."""
    keys = GatewayKeys(tmp_path / "keys.json")
    keys.add("ci", "chat", 0.0)
    with pytest.raises(ConflictError, match="'ci'"):
        keys.add("ci", "metrics", 0.0)
    with pytest.raises(NotFoundError, match="'cd'"):
        keys.revoke("cd")


@pytest.mark.parametrize("text", ["{", "[]", '{"schema_version": 2, "keys": []}'])
def test_a_broken_file_is_named(tmp_path: Path, text: str):
    """Nobody is let in by a file that cannot be read."""
    path = tmp_path / "keys.json"
    path.write_text(text)
    with pytest.raises(SettingsError, match=r"keys\.json"):
        KeySource(GatewayKeys(path))


async def test_keys_are_followed(tmp_path: Path):
    """New and revoked keys count at once; a broken file changes nothing; a lost one revokes all."""
    file = GatewayKeys(tmp_path / "keys.json")
    source = KeySource(file)

    def names() -> set[str]:
        source.reload(source._signature())
        return {key.name for key in source.current.values()}

    assert names() == set()
    file.add("ci", "chat", 0.0)
    assert names() == {"ci"}
    good = file.path.read_text()
    file.path.write_text(good[:-9])
    assert names() == {"ci"}
    assert source.last_error is not None
    file.path.write_text(json.dumps({"schema_version": 1, "keys": []}))
    assert names() == set()
    assert source.last_error is None
    file.path.write_text(good)
    assert names() == {"ci"}
    file.path.unlink()
    assert names() == set()
