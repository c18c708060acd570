import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_orchestrator.domain.calibration import Calibration
from agent_orchestrator.domain.cost import (
    THIS_MACHINE,
    Estimate,
    HardwareTier,
    ModeGuess,
    check_limits,
    choose_hardware,
    estimate,
    first_guess,
)
from agent_orchestrator.domain.models import TrainingMethod
from agent_orchestrator.errors import InputError

T4_SMALL = HardwareTier(
    name="t4-small",
    max_parameters=1e9,
    usd_per_hour=0.75,
    lora_required=False,
    effective_flops=1.6e13,
)
T4_MEDIUM = HardwareTier(
    name="t4-medium",
    max_parameters=3e9,
    usd_per_hour=1.0,
    lora_required=False,
    effective_flops=1.6e13,
)
A10G = HardwareTier(
    name="a10g-large",
    max_parameters=7e9,
    usd_per_hour=2.2,
    lora_required=True,
    effective_flops=4e13,
)
TIERS = (T4_SMALL, T4_MEDIUM, A10G)


def price(
    method: TrainingMethod = "sft",
    *,
    lora: bool = True,
    hardware: HardwareTier | None = A10G,
    epochs: float = 3,
    startup_minutes: float = 0.0,
) -> Estimate:
    """Estimate the training of 7 B weights on a million tokens."""
    return estimate(
        parameters=7e9,
        tokens_per_epoch=1_000_000,
        epochs=epochs,
        method=method,
        lora=lora,
        hardware=hardware,
        this_machine_flops=1e10,
        startup_minutes=startup_minutes,
    )


@pytest.mark.parametrize(
    ("parameters", "tier"),
    [
        (1e6, T4_SMALL),
        (999_999_999, T4_SMALL),
        (1e9, T4_MEDIUM),
        (2.9e9, T4_MEDIUM),
        (3e9, A10G),
        (6.7e9, A10G),
        (7e9, A10G),
    ],
)
def test_the_smallest_tier_that_holds_the_model_is_taken(
    parameters: float, tier: HardwareTier
) -> None:
    """Below 1 B, 1 to 3 B, 3 to 7 B; in whatever order the table stands."""
    assert choose_hardware(parameters, TIERS) is tier
    assert choose_hardware(parameters, TIERS[::-1]) is tier


@pytest.mark.parametrize("tiers", [TIERS, ()])
def test_a_model_above_the_table_is_refused_with_the_way_out(
    tiers: tuple[HardwareTier, ...],
) -> None:
    """The message names the size, the remedy a backend of one's own."""
    with pytest.raises(InputError, match="13 B") as caught:
        choose_hardware(13e9, tiers)
    assert "backend of your own" in caught.value.remedy


def test_lora_on_a_rented_card_by_hand() -> None:
    """4 · 7e9 · 3e6 = 8.4e16 operations at 4e13 a second: 35 minutes, $1.28."""
    found = price()
    assert found.minutes == pytest.approx(35.0)
    assert found.cost_usd == pytest.approx(35 / 60 * 2.2)
    assert found.minutes_range == pytest.approx((17.5, 70.0))
    assert found.cost_range_usd == pytest.approx((found.cost_usd / 2, found.cost_usd * 2))
    assert found.hardware == "a10g-large"
    assert found.notes == (
        "4 · 7 B weights · 3,000,000 tokens, 4e+13 FLOP/s",
        "No run of this kind has been completed yet: sizes and a table of speeds only.",
    )


def test_past_runs_correct_the_estimate_and_its_range() -> None:
    """What they took beside theirs is a factor; what the sizes alone said is kept for the next."""
    found = estimate(
        parameters=7e9,
        tokens_per_epoch=1_000_000,
        epochs=3,
        method="sft",
        lora=True,
        hardware=A10G,
        this_machine_flops=1e10,
        calibration=Calibration(factor=2.0, low=1.5, high=3.0, jobs=4),
    )
    assert found.minutes == pytest.approx(70.0)
    assert found.minutes_range == pytest.approx((52.5, 105.0))
    assert found.cost_usd == pytest.approx(70 / 60 * 2.2)
    assert found.uncalibrated_minutes == pytest.approx(35.0)
    assert found.jobs == 4
    assert found.notes[-1] == "Times 2.00, as 4 past runs of this kind took."


def test_this_machine_costs_nothing_but_time() -> None:
    """6 · 7e9 · 3e6 operations at 1e10 a second: 210,000 minutes, no dollars."""
    found = price(lora=False, hardware=None)
    assert found.minutes == pytest.approx(210_000.0)
    assert (found.cost_usd, found.cost_range_usd) == (0.0, (0.0, 0.0))
    assert found.hardware == THIS_MACHINE


@pytest.mark.parametrize(("method", "factor"), [("sft", 1), ("orpo", 2), ("dpo", 3), ("grpo", 3)])
def test_preference_methods_do_more_work_an_example(method: TrainingMethod, factor: float) -> None:
    """Two answers an example, a reference model, generated answers."""
    assert price(method).minutes == pytest.approx(factor * price().minutes)


def test_the_start_of_a_rented_machine_is_charged() -> None:
    """Five minutes of image and download cost as much as five minutes of training."""
    assert price(startup_minutes=5).minutes == pytest.approx(40.0)
    assert price(startup_minutes=5).cost_usd == pytest.approx(40 / 60 * 2.2)


def test_full_fine_tuning_is_refused_where_it_does_not_fit() -> None:
    """The largest tier needs LoRA."""
    with pytest.raises(InputError, match="a10g-large") as caught:
        price(lora=False)
    assert "LoRA" in caught.value.remedy


@pytest.mark.parametrize("epochs", [0, -1, float("nan")])
def test_a_job_without_work_is_not_priced(epochs: float) -> None:
    """The message names the key and the value."""
    with pytest.raises(InputError, match=f"epochs {epochs!r}"):
        price(epochs=epochs)


@given(st.floats(0.1, 100), st.floats(1.01, 10))
def test_more_epochs_cost_more(epochs: float, factor: float) -> None:
    """Price and time grow with the work."""
    little, much = price(epochs=epochs), price(epochs=epochs * factor)
    assert little.cost_usd < much.cost_usd
    assert little.minutes < much.minutes


def test_the_first_guess_comes_from_the_mode() -> None:
    """Time and price of the configuration; on this machine only the time."""
    guess = ModeGuess(minutes=90, cost_usd=15)
    rented, here = first_guess(guess, A10G), first_guess(guess, None)
    assert (rented.minutes, rented.cost_usd, rented.hardware) == (90, 15, "a10g-large")
    assert (here.minutes, here.cost_usd, here.hardware) == (90, 0, THIS_MACHINE)
    assert "first guess" in rented.notes[0]


def test_a_job_at_the_limits_may_run() -> None:
    """$50 and 6 hours are allowed, a cent or a minute more is not."""
    at_limit = first_guess(ModeGuess(minutes=360, cost_usd=50), A10G)
    check_limits(at_limit, max_cost_usd=50, max_hours=6)
    with pytest.raises(InputError, match=r"\$50\.00, above the limit of \$49\.99"):
        check_limits(at_limit, max_cost_usd=49.99, max_hours=6)
    with pytest.raises(InputError, match=r"6 hours, above the limit of 5\.9"):
        check_limits(at_limit, max_cost_usd=50, max_hours=5.9)
