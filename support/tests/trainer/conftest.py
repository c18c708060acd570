from pathlib import Path

import pytest
from tests.doubles import workshop


@pytest.fixture(scope="session")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a base model that trains in seconds."""
    return workshop.tiny_base(tmp_path_factory.getbasetemp().parent)
