"""From a matplotlib figure to an SVG that lives in a page.

The figure is drawn in stand-in colours that are then replaced by CSS variables of the page
(``--ink``, ``--candidate`` …), so that a plot follows the reader's light or dark scheme. Text stays
text: it takes the page's font, can be selected and read aloud. The same data give the same bytes.

Importing this module loads matplotlib.
"""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from html import escape
from typing import Any, Final

import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.typing import RcKeyType

from agent_orchestrator.agents.infrastructure.modelops.reports.wording import visible

#: Stand-in colour → the page's variable, with a fall-back for an SVG that stands alone.
_COLOURS: Final = {
    "#010101": "var(--ink, #1c2024)",
    "#020202": "var(--muted, #60646c)",
    "#030303": "var(--line, #d9d9e0)",
    "#040404": "var(--candidate, #5753c6)",
    "#050505": "var(--baseline, #80838d)",
    "#060606": "var(--good, #218358)",
    "#070707": "var(--bad, #ce2c31)",
    "#080808": "var(--unsure, #ab6400)",
    "#090909": "var(--card, #ffffff)",
}
INK, MUTED, LINE, CANDIDATE, BASELINE, GOOD, BAD, UNSURE, CARD = _COLOURS
_TEXT: Final = 9.75
"""Points: 13 px on the page."""


@dataclass
class Plot:
    """A plot in the making."""

    figure: Figure
    svg: str = ""
    """There when the block of ``drawn`` is left."""


@contextmanager
def drawn(title: str, width: float, height: float) -> Iterator[Plot]:
    """Draw in our style, ``width`` × ``height`` inches; the SVG is there when the block is left."""
    with mpl.rc_context(_STYLE | {"svg.hashsalt": title}), warnings.catch_warnings():
        warnings.filterwarnings("ignore", r"Glyph .* missing")  # the reader's fonts have it
        plot = Plot(Figure(figsize=(width, height), layout="constrained"))
        yield plot
        stream = io.StringIO()
        plot.figure.savefig(stream, format="svg", transparent=True, metadata={"Date": None})
    plot.svg = _inline(stream.getvalue(), title, width, height)


def standalone(svg: str) -> str:
    """Return an SVG of ``drawn`` as a file of its own, on the card's background."""
    return svg.replace(' style="', ' style="background: var(--card, #ffffff); ', 1) + "\n"


def _inline(document: str, title: str, width: float, height: float) -> str:
    """Return the SVG element of a document, fit to stand with others in a page."""
    svg = document[document.index("<svg") :]
    svg = re.sub(
        r"<metadata>.*?</metadata>|<style[^>]*>.*?</style>|<!--.*?-->", "", svg, flags=re.DOTALL
    )
    used = set(re.findall(r"[(\"]#([^)\"]+)", svg))
    svg = re.sub(r' id="([^"]*)"', lambda m: m[0] if m[1] in used else "", svg)
    svg = re.sub(r"\n\s*", "\n", svg)
    svg = re.sub(r"(?<=(?:fill|roke): )#[0-9a-f]{6}", lambda m: _COLOURS.get(m[0], m[0]), svg)
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
        f'viewBox="0 0 {width * 72:g} {height * 72:g}" style="max-width: {width * 96:g}px" '
        f'role="img" aria-label="{escape(visible(title))}" stroke-linejoin="round">'
    )
    return head + svg[svg.index(">") + 1 :].strip()


_STYLE: Final[dict[RcKeyType, Any]] = {
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],  # for the measures; the page sets its own
    "font.size": _TEXT,
    "text.parse_math": False,
    "text.color": INK,
    "axes.edgecolor": LINE,
    "axes.labelcolor": MUTED,
    "axes.labelsize": _TEXT,
    "axes.titlesize": _TEXT,
    "axes.titlecolor": MUTED,
    "axes.titlelocation": "left",
    "axes.titlepad": 9.0,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.spines.left": False,
    "axes.spines.bottom": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": LINE,
    "grid.linewidth": 0.8,
    "xtick.color": LINE,
    "xtick.labelcolor": MUTED,
    "ytick.color": LINE,
    "ytick.labelcolor": MUTED,
    "xtick.major.size": 0.0,
    "ytick.major.size": 0.0,
    "xtick.minor.size": 0.0,
    "ytick.minor.size": 0.0,
    "xtick.major.pad": 5.0,
    "ytick.major.pad": 7.0,
    "legend.frameon": False,
    "legend.fontsize": _TEXT,
    "legend.labelcolor": INK,
    "lines.solid_capstyle": "round",
    "lines.dash_capstyle": "round",
}
