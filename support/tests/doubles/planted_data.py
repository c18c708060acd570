"""A source with one of every fault that a data report is to find, and how many of each."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

CLEAN = 60
AWS_KEY = "AKIA" + "Z7QJ4XW2M5PL9TRB"  # in two, lest a scanner take this file for a leak
GITHUB_TOKEN = "ghp_" + "a1B2c3D4e5F6g7H8i9J0" + "k1L2m3N4o5P6q7R8"
PRIVATE_KEY = "-----BEGIN RSA PRIVATE " + "KEY-----\nMIIEow\nIBAAK\n-----END RSA PRIVATE KEY-----"
#: What must not be found in a cleaned data set.
SENSITIVE = (
    AWS_KEY,
    GITHUB_TOKEN,
    "MIIEow",
    "ada.lovelace@analytical.engine",
    "+44 20 7946 0018",
    "4111 1111 1111 1111",
    "GB29 NWBK 6016 1331 9268 19",
    "8.8.4.4",
)
WORDS = ("alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta", "iota", "kappa",
         "lambda", "mu", "nu", "xi", "omicron")  # fmt: skip


def task(number: int) -> str:
    """Return a task that is like no other."""
    return " ".join(f"{WORDS[(number * k + k * k) % 15]}{number * 31 + k}" for k in range(1, 21))


def clean_row(number: int) -> dict[str, Any]:
    """Return a row without a fault."""
    return {
        "id": f"ok-{number}",
        "prompt": f"Explain: {task(number)}",
        "completion": f"It means {task(number + 1000)}",
    }


def planted_rows() -> list[Any]:
    """Return the clean rows and the faults; texts are lines that are no JSON."""
    secrets = [
        f"The key is {AWS_KEY}.",
        f"git clone https://{GITHUB_TOKEN}@github.com/acme/shop",
        PRIVATE_KEY,
    ]
    personal = [
        "Write to ada.lovelace@analytical.engine.",
        "Call +44 20 7946 0018 now.",
        "Pay with 4111 1111 1111 1111.",
        "Transfer to GB29 NWBK 6016 1331 9268 19.",
        "It runs on 8.8.4.4 today.",
    ]
    return [
        *(clean_row(number) for number in range(CLEAN)),
        clean_row(0) | {"id": "copy"},  # duplicate
        clean_row(1) | {"id": "case", "prompt": clean_row(1)["prompt"].upper()},  # normalised
        clean_row(2) | {"id": "near", "prompt": f"{clean_row(2)['prompt']} please"},
        clean_row(3) | {"id": "other", "completion": "Something else."},  # contradiction with ok-3
        clean_row(4) | {"prompt": f"Explain: {task(400)}"},  # an id that is taken
        {"id": "mute", "prompt": f"Explain: {task(500)}", "completion": ""},
        {"id": "empty", "prompt": "  ", "completion": "x"},
        {"id": "renamed", "question": "x", "completion": "y"},
        {"id": "number", "prompt": 3, "completion": "y"},
        "{not json",
        *(
            clean_row(600 + number) | {"id": f"secret-{number}", "completion": text}
            for number, text in enumerate(secrets)
        ),
        *(
            clean_row(700 + number) | {"id": f"personal-{number}", "completion": text}
            for number, text in enumerate(personal)
        ),
        clean_row(800) | {"id": "long", "completion": f"{task(801)} " * 400},
    ]


#: Kind of finding → examples concerned, whatever the split.
FOUND = {
    "bad_row": 3,
    "empty_row": 1,
    "duplicate_id": 1,
    "contradiction": 2,
    "missing_answer": 1,
    "secret": 3,
    "personal_data": 5,
    "too_long": 1,
}


def write_planted(path: Path) -> Path:
    """Write the planted rows as JSON lines."""
    lines = (row if isinstance(row, str) else json.dumps(row) for row in planted_rows())
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return path
