"""Changing values of a YAML text by splicing: every byte outside the changed lines stays.

Dumping a loaded document again keeps comments only in the styles the dumper knows. Here the text
itself is cut and filled, guided by where the parser saw each node, so any style survives. What
cannot be spliced is refused with ``NotInPlaceError``; a caller parses the result and compares it
with what it wanted before it believes it.

A top-level section that an edit had to make bears ``MARK`` and goes with its last entry; a section
that people wrote stays, empty. So adding an entry and deleting it gives the old bytes back.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from ruamel.yaml.nodes import ScalarNode
from ruamel.yaml.resolver import VersionedResolver

from agent_orchestrator.stores.yaml_tree import Node, Path, Tree, parse_tree

Plain = Mapping[str, Any] | Sequence[Any] | str | int | None
"""What JSON can say, without floats."""

MARK: Final = "  # kept by chef; goes with its last entry"
_DELETED: Final = object()
_BOM: Final = "\ufeff"
_SAFE = re.compile(r"[A-Za-z](?:[A-Za-z0-9_./:-]*[A-Za-z0-9_/-])?")
_YAML_1_1_WORDS = frozenset({"y", "n", "yes", "no", "on", "off"})


class NotInPlaceError(Exception):
    """The text is written in a way that a splice cannot change."""


def apply_changes(text: str, old: Plain, new: Plain) -> str:
    """Return ``text``, which says ``old``, changed so that it says ``new``.

    Only what differs between the two is touched; keys of the text that neither names stay.
    Raises NotInPlaceError.
    """
    if text.startswith(_BOM):
        return _BOM + apply_changes(text[1:], old, new)
    for path, value in _differences(old, new, ()):
        text = _changed(text, path, value, new)
    return text


def _changed(text: str, path: Path, value: Any, new: Plain) -> str:
    """Make one change; where that cannot be spliced, rewrite the next larger part that can."""
    while True:
        try:
            editor = _Editor(parse_tree(text))
            return editor.delete(path) if value is _DELETED else editor.set(path, value)
        except NotInPlaceError:
            path = path[:-1]
            if not path:
                raise
            value = _value_at(new, path)


def _differences(old: Any, new: Any, path: Path) -> Iterator[tuple[Path, Any]]:
    """Yield (path, new value or _DELETED) where the two differ; deletions come last."""
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        for key, value in new.items():
            if key in old:
                yield from _differences(old[key], value, (*path, key))
            else:
                yield (*path, key), value
        yield from (((*path, key), _DELETED) for key in old if key not in new)
    elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        for position, (before, after) in enumerate(zip(old, new, strict=True)):
            yield from _differences(before, after, (*path, position))
    elif old != new:
        yield path, new


def _value_at(data: Any, path: Path) -> Any:
    for step in path:
        data = data[step]
    return data


@dataclass(frozen=True, slots=True)
class _Style:
    """How the file is indented, learnt from its first nested mapping and sequence."""

    step: int
    """Columns from a mapping to a mapping in it."""
    offset: int
    """Columns from a key to the dashes of its sequence."""

    @classmethod
    def of(cls, root: Node) -> _Style:
        blocks = [
            (child.kind, child.column - node.column)
            for node in root.walk()
            if node.kind == "mapping" and not node.flow
            for _, child in node.entries
            if child.kind in {"mapping", "sequence"} and not child.flow
        ]
        steps = [columns for kind, columns in blocks if kind == "mapping" and columns > 0]
        offsets = [columns for kind, columns in blocks if kind == "sequence" and columns >= 0]
        step = steps[0] if steps else 2
        return cls(step, offsets[0] if offsets else step)


class _Editor:
    """One change of one text."""

    def __init__(self, tree: Tree) -> None:
        self._tree = tree
        self._text = tree.text
        self._newline = "\r\n" if "\r\n" in tree.text else "\n"
        self._style = _Style.of(tree.root)

    def set(self, path: Path, value: Any) -> str:
        """Give ``path`` its value, making what is missing on the way."""
        nodes = self._tree.find(path)
        missing = path[len(nodes) - 1 :]
        if not missing:
            return self._replace(nodes, path[-1], value)
        for step in reversed(missing[1:]):
            if isinstance(step, int):
                raise NotInPlaceError
            value = {step: value}
        return self._insert(nodes, path, str(missing[0]), value)

    def delete(self, path: Path) -> str:
        """Remove the entry at ``path``; do nothing when it is not there."""
        nodes = self._tree.find(path)
        if len(nodes) <= len(path):
            if nodes[-1].kind == "alias":
                raise NotInPlaceError
            return self._text
        parent = nodes[-2]
        position = parent.entry(str(path[-1])) or 0
        alone = len(parent.entries) == 1 and len(path) == 2  # noqa: PLR2004 - in a section
        if parent.flow:
            if alone and self._tree.root.flow:
                return self.delete(path[:-1])
            return self._delete_in_flow(parent, position)
        cuts = [self._lines(*parent.entries[position])]
        if alone:
            cuts += self._marked_line(str(path[0]))
        return self._cut(cuts)

    # -- replacing ------------------------------------------------------------------------------

    def _replace(self, nodes: tuple[Node, ...], step: str | int, value: Any) -> str:
        """Put ``value`` in the place of the last of ``nodes``."""
        node, parent = nodes[-1], nodes[-2]
        if not isinstance(value, Mapping | list):
            if node.kind in {"scalar", "alias"}:
                return self._replace_scalar(node, value)
        elif not (node.flow or parent.flow or parent.kind == "sequence"):
            key, old = parent.entries[parent.entry(str(step)) or 0]
            start, end = self._lines(key, old)
            return self._splice([(start, end, self._block(step, value, key.column))])
        return self._splice([(node.start, node.end, _flow(value))])

    def _replace_scalar(self, node: Node, value: Any) -> str:
        """Write ``value`` in the quotes of the old one; an anchor moves on to its first alias."""
        gap = " " if node.start == node.end else ""
        splices = [(node.start, node.end, gap + _scalar(value, node.quote))]
        if node.kind == "scalar" and node.anchor:
            after = (other for other in self._tree.root.walk() if other.start > node.start)
            alias = next((a for a in after if a.kind == "alias" and a.value == node.anchor), None)
            if alias is not None:
                splices.append((alias.start, alias.end, self._text[node.start : node.end]))
        return self._splice(splices)

    # -- inserting ------------------------------------------------------------------------------

    def _insert(self, nodes: tuple[Node, ...], path: Path, key: str, value: Any) -> str:
        """Add an entry to the last of ``nodes``, which is a mapping or nothing yet."""
        node = nodes[-1]
        if node.kind == "mapping" and node.flow:
            at = node.entries[-1][1].end if node.entries else node.start + self._opening(node)
            comma = ", " if node.entries else ""
            return self._splice([(at, at, f"{comma}{_scalar(key)}: {_flow(value)}")])
        if node.kind == "mapping":
            column = node.entries[0][0].column
            if len(nodes) > 1:
                return self._insert_lines(self._line_end(node.end), key, value, column)
            section = self._block(key, value, column, MARK)
            return self._splice([self._at_line(self._tree.end, self._newline + section)])
        if not node.is_null or node.anchor:
            raise NotInPlaceError
        parent = nodes[-2]
        if parent.flow:
            return self._splice([(node.start, node.end, f" {_flow({key: value})}")])
        name = parent.entries[parent.entry(str(path[len(nodes) - 2])) or 0][0]
        lines = self._block(key, value, name.column + self._style.step)
        below = self._at_line(self._line_end(node.end), lines)
        return self._splice([(node.start, node.end, ""), below])

    def _insert_lines(self, at: int, key: str, value: Any, column: int) -> str:
        return self._splice([self._at_line(at, self._block(key, value, column))])

    def _at_line(self, at: int, lines: str) -> tuple[int, int, str]:
        """Return the splice that puts whole ``lines`` at the line start ``at``.

        At the end of a text without a last line break, the new end has none either.
        """
        if at == len(self._text) and not self._text.endswith("\n"):
            lines = self._newline + lines.removesuffix(self._newline)
        return at, at, lines

    def _opening(self, node: Node) -> int:
        """Return the length of a flow mapping's text up to and including its brace."""
        return self._text.index("{", node.start, node.end) - node.start + 1

    def _block(self, key: str | int, value: Any, column: int, mark: str = "") -> str:
        lines = _block_lines(str(key), value, column, self._style)
        return "".join(
            line + (mark if number == 0 else "") + self._newline
            for number, line in enumerate(lines)
        )

    # -- deleting -------------------------------------------------------------------------------

    def _delete_in_flow(self, parent: Node, position: int) -> str:
        key, value = parent.entries[position]
        start, end = key.start, value.end
        if position + 1 < len(parent.entries):
            end = parent.entries[position + 1][0].start
        elif position > 0:
            start = parent.entries[position - 1][1].end
        elif comma := re.compile(r"\s*,").match(self._text, end):
            end = comma.end()
        return self._splice([(start, end, "")])

    def _marked_line(self, section: str) -> list[tuple[int, int]]:
        """Return the line that an edit made for ``section``, with the blank line before it."""
        key = self._tree.root.entries[self._tree.root.entry(section) or 0][0]
        start, end = self._line_start(key.start), self._line_end(key.end)
        if not self._text[key.end : end].rstrip("\r\n").endswith(MARK):
            return []
        before = self._line_start(max(start - 1, 0))
        blank = not self._text[before:start].strip()
        return [(before if blank else start, end)]

    def _cut(self, cuts: list[tuple[int, int]]) -> str:
        """Remove whole lines; a text without a last line break stays one."""
        result = self._splice([(start, end, "") for start, end in cuts])
        at_end = any(end == len(self._text) for _, end in cuts)
        if at_end and not self._text.endswith("\n"):
            return result.removesuffix("\n").removesuffix("\r")
        return result

    # -- places ---------------------------------------------------------------------------------

    def _lines(self, key: Node, value: Node) -> tuple[int, int]:
        """Return the span of an entry's whole lines; refuse one that shares its first line."""
        start = self._line_start(key.start)
        if self._text[start : key.start].strip():
            raise NotInPlaceError
        return start, self._line_end(value.end)

    def _line_start(self, at: int) -> int:
        return self._text.rfind("\n", 0, at) + 1

    def _line_end(self, at: int) -> int:
        return self._text.find("\n", at) + 1 or len(self._text)

    def _splice(self, splices: list[tuple[int, int, str]]) -> str:
        text = self._text
        for start, end, replacement in sorted(splices, reverse=True):
            text = text[:start] + replacement + text[end:]
        return text


def _block_lines(key: str, value: Any, column: int, style: _Style) -> list[str]:
    """Return the lines of an entry: lists of mappings go down a line each, leaves stay on one."""
    head = f"{' ' * column}{_scalar(key)}:"
    if _fits_a_line(value):
        return [f"{head} {_flow(value)}"]
    if isinstance(value, Mapping):
        inner = (_block_lines(k, v, column + style.step, style) for k, v in value.items())
        return [head, *(line for lines in inner for line in lines)]
    return [head, *(f"{' ' * (column + style.offset)}- {_flow(item)}" for item in value)]


def _fits_a_line(value: Any) -> bool:
    if isinstance(value, Mapping):
        return all(not isinstance(v, Mapping) and _fits_a_line(v) for v in value.values())
    if isinstance(value, list):
        return not any(isinstance(item, Mapping | list) for item in value)
    return True


def _flow(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_scalar(k)}: {_flow(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(_flow(item) for item in value) + "]"
    return _scalar(value)


def _scalar(value: Any, quote: str = "") -> str:
    """Return a scalar as YAML: in ``quote``, else plain where every reader takes it for text."""
    if not isinstance(value, str):
        return json.dumps(value)
    if quote == "'":
        return "'" + value.replace("'", "''") + "'"
    if quote != '"' and _SAFE.fullmatch(value) and _is_text(value):
        return value
    return json.dumps(value, ensure_ascii=False)


def _is_text(value: str) -> bool:
    tag = VersionedResolver().resolve(ScalarNode, value, (True, False))
    return str(tag).endswith(":str") and value.lower() not in _YAML_1_1_WORDS
