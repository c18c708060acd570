import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_orchestrator.domain.calibration import (
    Calibration,
    PastRun,
    base_family,
    calibrate,
    is_proven,
    similar,
)
from agent_orchestrator.domain.models import TrainingMethod

RATIOS = st.lists(st.floats(0.01, 100.0), min_size=1, max_size=40)


def run(
    ratio: float = 1.0,
    *,
    backend: str = "hf_jobs",
    method: TrainingMethod = "sft",
    hardware: str = "a10g-large",
    base_model: str = "Qwen/Qwen2.5-Coder-7B",
) -> PastRun:
    """Return a run that was estimated at ten minutes."""
    return PastRun(
        backend=backend,
        method=method,
        hardware=hardware,
        base_model=base_model,
        estimated_minutes=10.0,
        actual_minutes=10.0 * ratio,
    )


def test_without_a_run_an_estimate_may_be_off_by_two() -> None:
    """Nothing is known beside the sizes; so it is with a run that took no time."""
    assert calibrate([]) == Calibration(1.0, 0.5, 2.0, 0) == calibrate([run(0.0)])


def test_one_run_moves_the_estimate_and_leaves_the_range_as_wide() -> None:
    """Three times as long, once: the next may still be off by two either way."""
    found = calibrate([run(3.0)])
    assert (found.factor, found.low, found.high) == pytest.approx((3.0, 1.5, 6.0))
    assert found.jobs == 1


def test_one_run_on_a_busy_machine_does_not_move_the_factor() -> None:
    """A median, not a mean; the range says that such things happen."""
    found = calibrate([run(ratio) for ratio in (1.1, 1.2, 1.2, 1.3, 50.0)])
    assert found.factor == pytest.approx(1.2)
    assert found.high == 50.0


@given(RATIOS)
def test_the_factor_lies_among_the_ratios_and_within_its_range(ratios: list[float]) -> None:
    """So does the range lie around it, at least as wide as the number of runs leaves open."""
    found = calibrate([run(ratio) for ratio in ratios])
    least = 2.0 ** (1.0 / math.sqrt(len(ratios)))
    assert min(ratios) * (1 - 1e-9) <= found.factor <= max(ratios) * (1 + 1e-9)
    assert found.low <= found.factor / least * (1 + 1e-9)
    assert found.high >= found.factor * least * (1 - 1e-9)
    assert found.jobs == len(ratios)


@given(RATIOS, st.randoms(use_true_random=False), st.floats(0.1, 10.0))
def test_order_says_nothing_and_a_common_factor_carries_over(
    ratios: list[float], chance: object, factor: float
) -> None:
    """Runs that all took c times as long move factor and range by c."""
    shuffled = list(ratios)
    chance.shuffle(shuffled)  # type: ignore[attr-defined]
    found = calibrate([run(ratio) for ratio in ratios])
    assert calibrate([run(ratio) for ratio in shuffled]) == found
    scaled = calibrate([run(ratio * factor) for ratio in ratios])
    for name in ("factor", "low", "high"):
        assert getattr(scaled, name) == pytest.approx(factor * getattr(found, name))


def test_only_runs_of_the_same_kind_count() -> None:
    """Another backend, method or machine has errors of its own."""
    runs = [run(2.0), run(backend="hf_space"), run(method="dpo"), run(hardware="t4-small")]
    found = similar(runs, backend="hf_jobs", method="sft", hardware="a10g-large")
    assert found == [run(2.0)]


@pytest.mark.parametrize(
    ("model", "family"),
    [
        ("Qwen/Qwen2.5-Coder-7B", "qwen2.5-coder"),
        ("Qwen/Qwen2.5-Coder-0.5B-Instruct", "qwen2.5-coder"),
        ("codellama/CodeLlama-13b-hf", "codellama"),
        ("microsoft/Phi-3-mini-4k-instruct", "phi-3-mini-4k-instruct"),
        ("local/tiny-code", "tiny-code"),
        ("7b-x", "7b-x"),
    ],
)
def test_a_family_is_the_name_without_owner_and_size(model: str, family: str) -> None:
    """What is trained alike: sizes and tunings of one line of models."""
    assert base_family(model) == family


def test_a_pipeline_is_proven_by_backend_method_and_family() -> None:
    """A smaller model of the family proves it; another method or backend does not."""
    runs = [run(base_model="Qwen/Qwen2.5-Coder-0.5B", hardware="t4-small")]
    kind = {"backend": "hf_jobs", "method": "sft", "base_model": "Qwen/Qwen2.5-Coder-7B"}
    assert is_proven(runs, **kind)
    for other in ({"backend": "local"}, {"method": "dpo"}, {"base_model": "a/CodeLlama-7b"}):
        assert not is_proven(runs, **(kind | other))
