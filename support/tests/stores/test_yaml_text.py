"""Reading YAML."""

import pytest
from ruamel.yaml.error import YAMLError

from agent_orchestrator.stores.yaml_text import load_yaml


def test_what_is_read_is_the_readers_own():
    """What one reader changes, the next one of the same text does not see."""
    text = "rates: [1, 2]\n"
    load_yaml(text)["rates"].append(3)
    assert load_yaml(text) == {"rates": [1, 2]}


def test_a_text_that_is_no_yaml_is_refused_each_time():
    """Also when it is read again."""
    for _ in range(2):
        with pytest.raises(YAMLError):
            load_yaml("a: [")
