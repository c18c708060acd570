"""The arithmetic of the benchmark of 7 B on a GPU; ``make bench`` runs it with a tiny shape."""

import pytest
from gpu_training import peak_of, production_runs, steady_rate

from agent_orchestrator.domain.cost import HardwareTier

TIERS = [
    HardwareTier(
        name=name, max_parameters=most, usd_per_hour=2.0, lora_required=True, effective_flops=4e13
    )
    for name, most in (("t4-small", 1e9), ("a10g-large", 7.9e9))
]


def test_a_production_run_takes_its_operations_over_the_speed():
    """On each tier that holds the model, by the configured speed and by the measured share."""
    runs = production_runs(7e9, 1e7, 0.4, TIERS)
    assert [(run.hardware, run.basis) for run in runs] == [
        ("a10g-large", "training_defaults.yaml"),
        ("a10g-large", "measured MFU of its peak"),
    ]
    assert runs[0].hours == pytest.approx(4 * 7e9 * 1e7 / 4e13 / 3600)
    assert runs[1].hours == pytest.approx(4 * 7e9 * 1e7 / (0.4 * 70e12) / 3600)
    assert runs[0].usd == pytest.approx(2 * runs[0].hours)
    assert runs[0].within_goal
    assert not production_runs(7e9, 1e8, None, TIERS)[0].within_goal


def test_the_rate_is_that_of_the_steady_part():
    """The first step, which compiles and allocates, does not count."""
    events = [
        {"event": "started", "at": 0.0},
        {"event": "step", "at": 60.0, "step": 1},
        {"event": "step", "at": 61.0, "step": 2},
        {"event": "step", "at": 64.0, "step": 8},
    ]
    assert steady_rate(events, 1000.0) == pytest.approx(2000.0)


@pytest.mark.parametrize(
    ("device", "peak"),
    [
        ("NVIDIA H100 80GB HBM3", 989e12),
        ("NVIDIA L40S", 362e12),
        ("NVIDIA L4", 121e12),
        ("Tesla T4", 65e12),
        ("CPU (x86_64)", None),
    ],
)
def test_a_device_is_known_by_its_name(device: str, peak: float | None):
    """The longest name that fits decides."""
    assert peak_of(device) == peak
