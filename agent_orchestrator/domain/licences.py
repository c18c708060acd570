"""What a base model's licence means for a fine-tune of it.

Read from what its page on the Hub says; nothing here is legal advice, and a note never replaces
reading the licence. The names are the Hub's (huggingface.co/docs/hub/repositories-licenses).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

_PERMISSIVE: Final = re.compile(
    r"apache-2\.0|mit|bsd(-.*)?|isc|zlib|unlicense|wtfpl|cc0-1\.0|cc-by-[234]\.\d|pddl|"
    r"afl-3\.0|artistic-2\.0|bsl-1\.0|ecl-2\.0|ncsa|postgresql|ms-pl|odc-by|cdla-permissive-.*"
)
_SHARE_ALIKE: Final = re.compile(
    r"(a|l)?gpl(-.*)?|cc-by-sa-.*|gfdl|odbl|eupl-.*|epl-.*|mpl-2\.0|osl-3\.0|cdla-sharing-.*|cc"
)
_NON_COMMERCIAL: Final = re.compile(r"cc-by-nc(-.*)?|.*(non-?commercial|research).*|fair-noncomm.*")
_NO_DERIVATIVES: Final = re.compile(r"cc-by-(nc-)?nd(-.*)?")


@dataclass(frozen=True, slots=True)
class Licence:
    """A model's licence, and what stands against fine-tuning it or sharing the result."""

    id: str | None
    """As the Hub has it: ``apache-2.0`` …; None when the page names none."""
    notes: tuple[str, ...] = ()
    """One sentence each; none for a permissive licence."""


def read_licence(
    license_id: str | None, name: str | None = None, link: str | None = None
) -> Licence:
    """Return what a card's ``license``, ``license_name`` and ``license_link`` mean."""
    if license_id is None:
        note = "It states no licence: its authors have not said that anybody may use or change it."
        return Licence(None, (note,))
    shown = name or license_id
    text = shown.lower()
    notes = []
    if _NON_COMMERCIAL.fullmatch(text) or _NON_COMMERCIAL.fullmatch(license_id):
        notes.append(f"{shown} allows no commercial use, of the model or of a fine-tune.")
    if _NO_DERIVATIVES.fullmatch(text):
        notes.append(f"{shown} forbids sharing changed versions, and a fine-tune is one.")
    if _SHARE_ALIKE.fullmatch(text):
        notes.append(f"{shown}: whoever shares a fine-tune owes its users the same terms.")
    if not notes and not _PERMISSIVE.fullmatch(text):
        where = f" ({link})" if link else ""
        notes.append(f"{shown} has terms of its own{where}: read them before using a fine-tune.")
    return Licence(license_id, tuple(notes))
