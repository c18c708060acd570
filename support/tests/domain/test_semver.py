from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_orchestrator.domain.semver import Part, SemVer, next_version
from agent_orchestrator.errors import InputError

suffixes = st.from_regex(r"\A(0|[1-9][0-9]{0,3}|[a-z][a-z0-9]{0,5})(\.(0|[a-z]{1,4}))?\Z")
versions = st.builds(
    SemVer, st.integers(0, 50), st.integers(0, 50), st.integers(0, 50), st.just("") | suffixes
)


@given(versions)
def test_a_version_survives_being_written_and_read(version: SemVer) -> None:
    """Parsing what str() wrote gives the same version."""
    assert SemVer.parse(str(version)) == version


@pytest.mark.parametrize(
    "text",
    [
        "",
        "1.2.3",
        "v1.2",
        "v1.2.3.4",
        "V1.2.3",
        "v01.2.3",
        "v1.2.3-",
        "v1.2.3-rc..1",
        "v1.2.3-01",
        "v1.2.3+build",
        "v1.2.3 ",
        "v1.2.3\n",
        "v-1.2.3",
        "v1.2.٣",
        "v1.2.3-" + "x" * 64,
    ],
)
def test_other_texts_are_refused_by_name(text: str) -> None:
    """The message names the text, the remedy gives the form."""
    with pytest.raises(InputError, match="Not a version") as caught:
        SemVer.parse(text)
    assert repr(text) in caught.value.message
    assert "v1.2.0-rc.1" in caught.value.remedy


def test_precedence_is_that_of_semver_org() -> None:
    """Section 11: the specification's own example, then numbers by value."""
    texts = [
        "v1.0.0-2",
        "v1.0.0-10",
        "v1.0.0-alpha",
        "v1.0.0-alpha.1",
        "v1.0.0-alpha.beta",
        "v1.0.0-beta",
        "v1.0.0-beta.2",
        "v1.0.0-beta.11",
        "v1.0.0-rc.1",
        "v1.0.0",
        "v1.0.1",
        "v1.2.0",
        "v1.10.0",
        "v2.0.0-rc.1",
        "v2.0.0",
    ]
    parsed = [SemVer.parse(text) for text in texts]
    assert all(low < high and high > low for low, high in pairwise(parsed))
    assert sorted(set(parsed)) == parsed


@given(versions, versions)
def test_the_order_is_total(one: SemVer, other: SemVer) -> None:
    """Exactly one of <, == and > holds."""
    assert (one < other) + (one == other) + (one > other) == 1


def test_a_version_is_compared_with_versions_only() -> None:
    """Comparing with a text is a mistake that shows."""
    with pytest.raises(TypeError):
        assert SemVer(1, 0, 0) < "v1.0.0"


@pytest.mark.parametrize(
    ("existing", "part", "suffix", "expected"),
    [
        ([], "minor", "", "v1.0.0"),
        ([], "major", "demo", "v1.0.0-demo"),
        (["v1.0.0"], "minor", "", "v1.1.0"),
        (["v1.0.0", "v1.1.0"], "minor", "", "v1.2.0"),
        (["v1.9.3", "v1.10.0"], "minor", "", "v1.11.0"),
        (["v1.1.4"], "patch", "", "v1.1.5"),
        (["v1.1.4"], "major", "", "v2.0.0"),
        (["v1.1.4"], "minor", "rc.1", "v1.2.0-rc.1"),
        (["v1.1.0", "v1.2.0-rc.1"], "minor", "", "v1.3.0"),
    ],
)
def test_the_next_version_follows_the_highest(
    existing: list[str], part: Part, suffix: str, expected: str
) -> None:
    """The first is v1.0.0; the minor part rises unless another is asked for."""
    assert next_version(existing, part, suffix) == expected


@given(st.lists(versions), st.sampled_from(["major", "minor", "patch"]), st.just("") | suffixes)
def test_a_new_version_is_newer_than_all_before(
    existing: list[SemVer], part: Part, suffix: str
) -> None:
    """It is never one that was used before."""
    new = SemVer.parse(next_version(map(str, existing), part, suffix))
    assert all(new > version for version in existing)


@pytest.mark.parametrize(
    ("existing", "part", "suffix"),
    [(["1.0.0"], "minor", ""), (["v1.0.0"], "huge", ""), ([], "minor", "not a suffix")],
)
def test_bad_input_gives_no_version(existing: list[str], part: Part, suffix: str) -> None:
    """A bad version, part or suffix is refused with a remedy."""
    with pytest.raises(InputError) as caught:
        next_version(existing, part, suffix)
    assert caught.value.remedy
