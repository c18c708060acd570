"""What a licence means for a fine-tune."""

import pytest

from agent_orchestrator.domain.licences import read_licence


@pytest.mark.parametrize(
    "license_id", ["apache-2.0", "mit", "bsd-3-clause", "cc0-1.0", "cc-by-4.0", "unlicense"]
)
def test_a_permissive_licence_needs_no_note(license_id: str):
    """Nothing stands against using and sharing a fine-tune."""
    assert read_licence(license_id).notes == ()


@pytest.mark.parametrize(
    ("license_id", "name", "said"),
    [
        ("cc-by-nc-4.0", None, ["cc-by-nc-4.0 allows no commercial use"]),
        ("cc-by-nc-sa-4.0", None, ["no commercial use"]),
        ("cc-by-nd-4.0", None, ["forbids sharing changed versions"]),
        ("cc-by-nc-nd-4.0", None, ["no commercial use", "forbids sharing"]),
        ("other", "qwen-research", ["qwen-research allows no commercial use"]),
        ("agpl-3.0", None, ["owes its users the same terms"]),
        ("cc-by-sa-4.0", None, ["the same terms"]),
        ("llama3.1", None, ["llama3.1 has terms of its own"]),
        ("gemma", None, ["terms of its own"]),
        ("other", None, ["other has terms of its own"]),
        ("apache-2.0, llama2", None, ["terms of its own"]),
        (None, None, ["states no licence"]),
    ],
)
def test_what_stands_against_a_fine_tune_is_said(
    license_id: str | None, name: str | None, said: list[str]
):
    """Each restriction has its sentence; an unknown licence is to be read."""
    notes = read_licence(license_id, name).notes
    assert len(notes) == len(said)
    for note, words in zip(notes, said, strict=True):
        assert words in note


def test_where_a_licence_is_to_be_read_is_told():
    """A card that links its own terms has them in the note."""
    (note,) = read_licence("other", "acme-1", "https://acme.example/terms").notes
    assert "acme-1 has terms of its own (https://acme.example/terms)" in note
