"""models.yaml files as people might write them, generated from the choices that people make."""

from dataclasses import dataclass

from hypothesis import strategies as st

from agent_orchestrator.domain.routing import Arm, Rollout

AGENTS = {"feature_dev": "qwen/coder", "code_review": "deepseek/chat:free", "cicd": "qwen/coder"}

ROLLOUT = Rollout(
    id="ro_20261120_7f3a",
    strategy="canary",
    arms=(
        Arm("stable", "qwen/coder", "v1.0.0", 80),
        Arm("candidate", "acme/feature-dev-v2", "v1.1.0", 20),
    ),
)


@dataclass(frozen=True)
class Hand:
    """One person's habits."""

    indent: int
    dash: int
    quote: str
    gap: str
    newline: str
    comments: tuple[str, ...]

    def comment(self, place: int) -> str:
        """Return what stands after a value, or between entries, at some place."""
        return self.comments[place % len(self.comments)] if self.comments else ""

    def text(self, value: str) -> str:
        """Return a string in this person's quotes."""
        return f"{self.quote}{value}{self.quote}"


_NOTE = st.text(st.sampled_from("abc é漢😀 :#{}[]&*!|>'\"%@`-,?\t"), min_size=0, max_size=12)
_HANDS = st.builds(
    Hand,
    indent=st.sampled_from([2, 2, 4, 3, 1]),
    dash=st.sampled_from([0, 2, 4]),
    quote=st.sampled_from(["", "", "'", '"']),
    gap=st.sampled_from([" ", "   "]),
    newline=st.sampled_from(["\n", "\n", "\r\n"]),
    comments=st.lists(_NOTE, max_size=3).map(tuple),
)


def _noise(draw: st.DrawFn, hand: Hand, column: int) -> list[str]:
    """Draw the blank and comment lines between two entries."""
    kinds = draw(st.lists(st.sampled_from(["blank", "spaces", "flush", "deep"]), max_size=2))
    notes = {
        "blank": "",
        "spaces": "   ",
        "flush": "#" + hand.comment(column),
        "deep": " " * column + "# " + hand.comment(column + 1),
    }
    return [notes[kind] for kind in kinds]


def _tail(draw: st.DrawFn, hand: Hand) -> str:
    """Draw what follows a value on its line."""
    return draw(st.sampled_from(["", "", " ", "  # " + hand.comment(3), " #"]))


def _agent_models(draw: st.DrawFn, hand: Hand) -> list[str]:
    step = hand.indent
    lines = [f"openrouter:{_tail(draw, hand)}", *_noise(draw, hand, step)]
    lines.append(f"{' ' * step}agent_models:{_tail(draw, hand)}")
    for agent, model in AGENTS.items():
        lines += _noise(draw, hand, 2 * step)
        entry = f"{' ' * 2 * step}{agent}:{hand.gap}{hand.text(model)}"
        lines.append(entry + _tail(draw, hand))
    return lines


def _models(draw: st.DrawFn, hand: Hand) -> list[str]:
    step = hand.indent
    style = draw(st.sampled_from(["absent", "nothing", "empty", "flow", "long", "block"]))
    endpoint = "https://host.example/v1"
    where = f"{{provider: huggingface, endpoints: [{endpoint}], api_key_env: TOKEN}}"
    if style == "block":
        dashed = " " * (2 * step + hand.dash) + f"- {endpoint}"
        inner = [f"{' ' * 2 * step}provider: self_hosted", f"{' ' * 2 * step}endpoints:", dashed]
        return [f"models:{_tail(draw, hand)}", f"{' ' * step}acme/other:", *inner]
    if style == "long":
        many = ", ".join(f"https://host{n}.example.org/a/long/path/v1" for n in range(6))
        place = f"{{provider: huggingface, endpoints: [{many}]}}"
        return ["models:", f"{' ' * step}acme/other: {place}{_tail(draw, hand)}"]
    texts = {
        "absent": [],
        "nothing": ["models:" + _tail(draw, hand)],
        "empty": ["models: {}" + _tail(draw, hand)],
        "flow": [f"models: {{acme/other: {where},", "   # inside", f"  acme/more: {where} }}"],
    }
    return texts[style]


def _fallbacks(draw: st.DrawFn, hand: Hand) -> list[str]:
    step = hand.indent
    style = draw(st.sampled_from(["absent", "flow", "block"]))
    first, second = hand.text("deepseek/chat"), hand.text("acme/x")
    dash = " " * (step + hand.dash) + "- "
    texts = {
        "absent": [],
        "flow": [f"fallbacks: {{ default: [{first}, {second}] }}"],
        "block": [
            "fallbacks:",
            f"{' ' * step}default:{_tail(draw, hand)}",
            dash + first,
            *_noise(draw, hand, step + hand.dash),
            dash + second + _tail(draw, hand),
        ],
    }
    return texts[style]


def _rollouts(draw: st.DrawFn, hand: Hand) -> list[str]:
    step = hand.indent
    style = draw(st.sampled_from(["absent", "absent", "nothing", "empty", "flow", "block"]))
    stable = "{name: stable, model: qwen/coder, weight: 50}"
    other = "{name: candidate, model: acme/y, weight: 50}"
    dash = " " * (2 * step + hand.dash) + "- "
    flow = f"{{id: ro_1, strategy: ab, arms: [{stable}, {other}]}}"
    texts = {
        "absent": [],
        "nothing": ["rollouts:" + _tail(draw, hand)],
        "empty": [draw(st.sampled_from(["rollouts: {}", "rollouts: {  }"])) + _tail(draw, hand)],
        "flow": [f"rollouts: {{cicd: {flow}}}" + _tail(draw, hand)],
        "block": [
            "rollouts:",
            f"{' ' * step}cicd:{_tail(draw, hand)}",
            f"{' ' * 2 * step}id: ro_1",
            f"{' ' * 2 * step}strategy: ab",
            f"{' ' * 2 * step}arms:{_tail(draw, hand)}",
            dash + stable,
            *_noise(draw, hand, 2 * step),
            dash + other + _tail(draw, hand),
        ],
    }
    return texts[style]


@st.composite
def models_yaml_texts(draw: st.DrawFn) -> str:
    """Draw the text of a valid models.yaml with the agents of ``AGENTS``."""
    hand = draw(_HANDS)
    parts = draw(st.permutations([_agent_models, _models, _fallbacks, _rollouts]))
    start = draw(
        st.sampled_from([[], [], ["---"], ["# head", "--- # start"], ["%YAML 1.2", "---"]])
    )
    lines = [*start, *_noise(draw, hand, 0)]
    for part in parts:
        lines += [*part(draw, hand), *_noise(draw, hand, 0)]
    lines += draw(st.sampled_from([[], [], ["..."], ["...", "# after"]]))
    text = hand.newline.join(lines) + draw(st.sampled_from([hand.newline, hand.newline, ""]))
    return draw(st.sampled_from(["", "", "\ufeff"])) + text
