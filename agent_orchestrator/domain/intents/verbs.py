"""Verbs with their inflections, grouped by what they can ask for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, Literal

from agent_orchestrator.domain.intents.vocabulary import typos, words

Form = Literal["base", "s", "past", "ing"]


@dataclass(frozen=True, slots=True)
class Verb:
    """What an inflected word may be."""

    lemma: str
    forms: frozenset[Form]


TRAIN: Final = words("train retrain finetune")
COACH: Final = words("coach upskill tune teach")
BETTER: Final = words("optimize optimise enhance boost improve make")
DEPLOY: Final = words("activate deploy redeploy rollout ship release canary shadow")
SWITCH: Final = words(
    "replace launch enable apply assign introduce load adopt try switch point move upgrade put "
    "push set use swap bring serve install make give"
)
SEND: Final = words("expose send route shift direct give divert allocate move open put")
PROMOTE: Final = words("promote graduate advance")
RAMP: Final = words(
    "increase raise bump ramp widen expand grow scale dial crank step move take bring push set"
)
ROLLBACK: Final = words("reset reverse rewind rollback revert restore return undo")
JUDGE: Final = words("evaluate eval benchmark assess")
EVALUATE: Final = JUDGE | words("validate pit compare score measure test rate check")
CANCEL: Final = words(
    "scrap ditch discontinue pull cancel stop abort kill terminate halt end interrupt"
)
RESET: Final = words("reset close clear untrip rearm")
CONVERT: Final = words("convert quantize quantise export package turn compress")
BUILD: Final = words(
    "sample build create make assemble collect gather generate prepare curate compile extract "
    "export harvest produce mine construct need"
)
SIMULATE: Final = words("simulate forecast estimate")
RESUME: Final = words("resume continue restart pick")
EXPLORE: Final = words("search tune find explore sweep optimize optimise")
REPEAT: Final = words("repeat rerun")
CHECK: Final = words("check validate verify inspect examine")
WAKE: Final = words("wake start bring get")
SLEEP: Final = words("put send scale suspend let")
DISCARD: Final = words("remove disable discard withdraw abandon drop")
LIGHT: Final = words(
    "try handle start run launch begin do trigger schedule queue initiate perform execute submit "
    "conduct make give create order open put need have setup"
)
READ: Final = words(
    "tail query examine show check monitor watch track follow get give tell see report display "
    "view inspect list print enumerate look fetch poll let know"
)
#: Verbs that a question may follow, and the "need" of "the status of job_1, please".
LOOK: Final = READ | {"need"}
#: Imperatives that go with a request and say how to carry it out.
DIRECT: Final = words(
    "use keep set take pick choose go try call name tag save store upload publish limit cap stick "
    "include leave put push do make start begin"
)
#: Those of them that never are somebody's task of their own.
ADJUNCT: Final = words("use keep limit cap stick include")
#: Other imperatives: ordinary work of a coding agent.
CODING: Final = words(
    "write add fix implement refactor review rename update remove delete document explain "
    "describe draft design debug merge commit change edit replace configure optimize optimise "
    "translate summarize summarise find search read log lint format mock scaffold prototype "
    "investigate analyze analyse plan teach code extend split migrate parse handle wrap patch "
    "clean simplify cover verify validate git bump cherry-pick rebase clone define declare render "
    "style import remind ask"
)
_IRREGULAR: Final[Mapping[str, tuple[str, ...]]] = {
    # lemma: (past, past participle, -ing); the rest follows the rules
    "put": ("put", "put", "putting"),
    "set": ("set", "set", "setting"),
    "run": ("ran", "run", "running"),
    "begin": ("began", "begun", "beginning"),
    "do": ("did", "done", "doing"),
    "make": ("made", "made", "making"),
    "give": ("gave", "given", "giving"),
    "get": ("got", "gotten", "getting"),
    "send": ("sent", "sent", "sending"),
    "bring": ("brought", "brought", "bringing"),
    "take": ("took", "taken", "taking"),
    "build": ("built", "built", "building"),
    "teach": ("taught", "taught", "teaching"),
    "undo": ("undid", "undone", "undoing"),
    "write": ("wrote", "written", "writing"),
    "stop": ("stopped", "stopped", "stopping"),
    "ship": ("shipped", "shipped", "shipping"),
    "swap": ("swapped", "swapped", "swapping"),
    "step": ("stepped", "stepped", "stepping"),
    "go": ("went", "gone", "going"),
    "show": ("showed", "shown", "showing"),
    "see": ("saw", "seen", "seeing"),
    "tell": ("told", "told", "telling"),
    "know": ("knew", "known", "knowing"),
    "have": ("had", "had", "having"),
    "cancel": ("canceled", "cancelled", "cancelling"),
    "let": ("let", "let", "letting"),
    "reset": ("reset", "reset", "resetting"),
    "grow": ("grew", "grown", "growing"),
    "rollback": ("rollbacked", "rollbacked", "rollbacking"),
    "wake": ("woke", "woken", "waking"),
    "rerun": ("reran", "rerun", "rerunning"),
    "find": ("found", "found", "finding"),
}


def _inflect(lemma: str) -> dict[str, set[Form]]:
    stem = lemma.removesuffix("e")
    past = f"{lemma[:-1]}ied" if lemma.endswith("fy") else f"{stem}ed"
    pasts: tuple[str, ...] = (past, past, f"{stem}ing")
    first, second, ing = _IRREGULAR.get(lemma, pasts)
    plural = f"{lemma}es" if lemma.endswith(("s", "sh", "ch", "x")) else f"{lemma}s"
    table: dict[str, set[Form]] = {lemma: {"base"}}
    for form, word in (("s", plural), ("past", first), ("past", second), ("ing", ing)):
        table.setdefault(word, set()).add(form)  # type: ignore[arg-type]
    return table


def _verb_table(lemmas: Iterable[str]) -> dict[str, Verb]:
    table: dict[str, Verb] = {}
    for lemma in sorted(lemmas):
        for word, forms in _inflect(lemma).items():
            table[word] = Verb(lemma, frozenset(forms))
    return table


#: Verbs that can ask for a use case, and the imperatives beside them.
MAKE: Final = CONVERT | BUILD | LIGHT
ACTING: Final = (
    TRAIN | COACH | BETTER | DEPLOY | SWITCH | SEND | PROMOTE | RAMP | ROLLBACK | EVALUATE | CANCEL
)
OPERATING: Final = RESUME | EXPLORE | REPEAT | CHECK | WAKE | SLEEP
ASKING: Final = ACTING | OPERATING | RESET | DISCARD | CONVERT | BUILD | SIMULATE | LIGHT | READ
#: Verbs of this length are also known with a letter dropped or doubled …
_LONG: Final = 7
#: … unless that is a word of its own.
_REAL_WORDS: Final = words("retain covert export expert packages roll-back rollback advance")
VERB_FORMS: Final[dict[str, Verb]] = _verb_table(ASKING | DIRECT | CODING | {"roll"})
for _lemma in TRAIN | DEPLOY | PROMOTE | ROLLBACK | CONVERT | {"evaluate", "cancel", "simulate"}:
    for _typo in typos(_lemma, swaps_only=len(_lemma) < _LONG) - _REAL_WORDS:
        VERB_FORMS.setdefault(_typo, Verb(_lemma, frozenset({"base"})))
