"""A YAML text as nodes that know their place in it.

Built from ruamel.yaml's parser events, because composed documents forget where an alias stood.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from ruamel.yaml import YAML
from ruamel.yaml.events import (
    AliasEvent,
    DocumentEndEvent,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
)

Path = tuple[str | int, ...]
"""Keys and list positions from the root."""

_NULLS = frozenset({"", "~", "null", "Null", "NULL"})
_COLON = re.compile(r"\s*:")


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """One node and the span ``text[start:end]`` it was written in, properties included.

    A block collection ends where its last content ends; comments after it are outside.
    """

    kind: Literal["scalar", "mapping", "sequence", "alias"]
    start: int
    end: int
    line: int
    """Counted from 1."""
    column: int
    value: str = ""
    """A scalar's text, an alias's anchor."""
    quote: str = ""
    """``'``, ``"``, ``|``, ``>`` or empty for a plain scalar."""
    anchor: str | None = None
    flow: bool = False
    entries: tuple[tuple[Node, Node], ...] = ()
    """A mapping's keys and values."""
    items: tuple[Node, ...] = ()

    @property
    def is_null(self) -> bool:
        """Whether this is a plain null or nothing at all."""
        return self.kind == "scalar" and not self.quote and self.value in _NULLS

    def entry(self, key: str) -> int | None:
        """Return the position of ``key`` among the entries."""
        for position, (name, _) in enumerate(self.entries):
            if name.kind == "scalar" and name.value == key:
                return position
        return None

    def walk(self) -> Iterator[Node]:
        """Yield this node and all below it, in the order of the text."""
        yield self
        for key, value in self.entries:
            yield from key.walk()
            yield from value.walk()
        for item in self.items:
            yield from item.walk()


@dataclass(frozen=True, slots=True)
class Tree:
    """The one document of a text."""

    root: Node
    end: int
    """Where the document ends: the end of the text or an explicit ``...``."""
    text: str = field(repr=False)

    def find(self, path: Sequence[str | int]) -> tuple[Node, ...]:
        """Return the nodes along ``path``, root first; shorter when the path ends before."""
        found = [self.root]
        for step in path:
            node = found[-1]
            if isinstance(step, int):
                if not 0 <= step < len(node.items):
                    break
                found.append(node.items[step])
            else:
                position = node.entry(step)
                if position is None:
                    break
                found.append(node.entries[position][1])
        return tuple(found)

    def line_of(self, path: Sequence[str | int]) -> int:
        """Return the line (from 1) of the last key or item of ``path`` that exists."""
        nodes = self.find(path)
        if len(nodes) == 1:
            return self.root.line
        step = path[len(nodes) - 2]
        if isinstance(step, int):
            return nodes[-1].line
        position = nodes[-2].entry(step)
        return nodes[-2].entries[position or 0][0].line


def parse_tree(text: str) -> Tree:
    """Return the tree of a text whose single document has content.

    Raises ruamel's YAMLError for text that is not YAML.
    """
    events = YAML(typ="safe", pure=True).parse(text)
    next(events)  # stream start
    next(events)  # document start
    root = _node(next(events), events, text)
    end = next(events)
    explicit = isinstance(end, DocumentEndEvent) and end.explicit
    return Tree(root, end.start_mark.index if explicit else len(text), text)


def _node(event: Any, events: Iterator[Any], text: str) -> Node:
    """Read the node that ``event`` begins."""
    mark = event.start_mark
    place = {"start": mark.index, "line": mark.line + 1, "column": mark.column}
    if isinstance(event, AliasEvent):
        return Node(kind="alias", end=event.end_mark.index, value=str(event.anchor), **place)
    if isinstance(event, ScalarEvent):
        end = mark.index + len(text[mark.index : event.end_mark.index].rstrip())
        quote = event.style or ""
        return Node(
            kind="scalar", end=end, value=event.value, quote=quote, anchor=event.anchor, **place
        )
    if isinstance(event, MappingStartEvent):
        return _mapping(event, events, text, place)
    items = []
    while not isinstance(following := next(events), SequenceEndEvent):
        items.append(_node(following, events, text))
    end = following.end_mark.index if event.flow_style else items[-1].end
    flow, anchor = bool(event.flow_style), event.anchor
    return Node(kind="sequence", end=end, items=tuple(items), flow=flow, anchor=anchor, **place)


def _mapping(event: Any, events: Iterator[Any], text: str, place: dict[str, Any]) -> Node:
    entries = []
    while not isinstance(following := next(events), MappingEndEvent):
        key = _node(following, events, text)
        value = _node(next(events), events, text)
        entries.append((key, _placed(value, key, text)))
    end = following.end_mark.index if event.flow_style else entries[-1][1].end
    flow, anchor = bool(event.flow_style), event.anchor
    return Node(kind="mapping", end=end, entries=tuple(entries), flow=flow, anchor=anchor, **place)


def _placed(value: Node, key: Node, text: str) -> Node:
    """Return ``value``; one that was left out stands right after its key (ruamel: at the next)."""
    if value.kind != "scalar" or value.start != value.end:
        return value
    colon = _COLON.match(text, key.end)
    at = colon.end() if colon else key.end
    return Node(kind="scalar", start=at, end=at, line=key.line, column=key.column)
