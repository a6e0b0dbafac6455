"""Reading one YAML text into plain values, with the line of each and without YAML's surprises.

The text is only ever composed into nodes; no constructor runs, so no tag can create an object.
What is left of YAML is what an editor's YAML 1.2 core schema shows as well:

1. the bytes must be UTF-8, the text one document, its root a mapping with distinct text keys;
2. a plain scalar is null, true/false, a decimal integer, a float, or else text: ``yes``, ``1:30``
   and ``2024-01-02`` are text, and the model decides whether such a text is a date;
3. tags, anchors and aliases are refused: settings need none, an alias can hide a bomb.

Every failure is a ``Problem`` with its line. The parser's own words are quoted only where they
name a single character, because they could contain a secret.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from yaml.composer import Composer
from yaml.error import MarkedYAMLError, YAMLError
from yaml.events import AliasEvent, NodeEvent
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode
from yaml.parser import Parser
from yaml.reader import Reader, ReaderError
from yaml.resolver import BaseResolver
from yaml.scanner import Scanner

from quant_platform.settings.problems import KeyPath, Place, Problem, dotted
from quant_platform.settings.wording import plain

DEEPEST = 20

_CONSTANTS: dict[str, bool | float | None] = (
    dict.fromkeys(("", "~", "null", "Null", "NULL"))
    | dict.fromkeys(("true", "True", "TRUE"), True)
    | dict.fromkeys(("false", "False", "FALSE"), False)
    | {".inf": math.inf, "+.inf": math.inf, "-.inf": -math.inf, ".nan": math.nan}
)

_END_OF_COMMENT = re.compile("[\0\r\n\x85\u2028\u2029]")
_INTEGER = re.compile(r"[-+]?[0-9]{1,100}")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")


@dataclass
class Document:
    """What a text holds: its value, the line each path was given at, and what is wrong with it."""

    value: Any = None
    places: dict[KeyPath, Place] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)


class _Refused(Exception):  # noqa: N818 - never leaves this module
    def __init__(self, line: int, found: str, expected: str) -> None:
        self.line, self.found, self.expected = line, found, expected


class _ConfigComposer(Reader, Scanner, Parser, Composer, BaseResolver):
    """PyYAML's pipeline up to nodes, without implicit types, tags, anchors and deep nesting."""

    def __init__(self, text: str) -> None:
        Reader.__init__(self, text)
        Scanner.__init__(self)
        Parser.__init__(self)
        Composer.__init__(self)
        BaseResolver.__init__(self)
        self._depth = 0

    def scan_to_next_token(self) -> None:
        """Skip spaces, line breaks and comments, a comment in one step.

        PyYAML skips it character by character, which takes half of the time of a file that
        explains its numbers.
        """
        if self.index == 0 and self.peek() == "\ufeff":
            self.forward()
        while True:
            while self.peek() == " ":
                self.forward()
            if self.peek() == "#":
                end = _END_OF_COMMENT.search(self.buffer, self.pointer)
                length = end.start() - self.pointer if end else 0
                self.pointer += length
                self.index += length
                self.column += length
            # The stubs of PyYAML give its scanner and parser no types, here and below.
            if not self.scan_line_break():  # type: ignore[no-untyped-call]
                return
            if not self.flow_level:
                self.allow_simple_key = True

    def compose_node(self, parent: Node | None, index: Any) -> Node | None:
        event = self.peek_event()  # type: ignore[no-untyped-call]
        line = event.start_mark.line + 1
        if isinstance(event, AliasEvent) or (
            isinstance(event, NodeEvent) and event.anchor is not None
        ):
            raise _Refused(line, "an anchor or alias (& or *)", "the value written out, or quoted")
        if getattr(event, "tag", None) is not None:
            raise _Refused(line, "a tag (a word that begins with !)", "a plain or quoted value")
        if self._depth >= DEEPEST:
            raise _Refused(line, f"more than {DEEPEST} levels of nesting", "a few levels")
        self._depth += 1
        node = super().compose_node(parent, index)
        self._depth -= 1
        return node


def read_document(data: bytes, place: Place) -> Document:
    """Read the bytes of a settings file.

    Parameters
    ----------
    data
        The content of the file.
    place
        The file, for the places of its values.
    """
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        return _failed(place, line, "bytes that are not UTF-8", "a file saved as UTF-8")
    document = read_value(text, place)
    if document.problems:
        return document
    if document.value is None and not document.places:
        return _failed(place, 1, "the file is empty", "keys and values", "write its keys")
    if not isinstance(document.value, dict):
        kind = "a list" if isinstance(document.value, list) else "one value"
        line = document.places[()].line
        return _failed(place, line, f"{kind} instead of keys", "lines such as key: value")
    return document


def read_value(text: str, place: Place) -> Document:
    """Read a YAML text of any kind: a file's mapping, or the scalar of an environment variable."""
    document = Document()
    try:
        node = _composed(text)
        if node is not None:
            document.value = _Builder(place, document).build(node, ())
    except _Refused as refused:
        return _failed(place, refused.line, f"found {refused.found}", refused.expected)
    except MarkedYAMLError as error:
        return _syntax(text, place, error)
    except ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        return _failed(place, line, "a control character", "printable text")
    except (YAMLError, ValueError, OverflowError):
        # PyYAML converts escapes such as "\UFFFFFFFF" and version directives unguarded.
        return _failed(place, 1, "an escape or directive that is not YAML", "valid YAML")
    return document


@lru_cache(maxsize=256)
def _composed(text: str) -> Node | None:
    """Nodes of a text, which nobody changes: nine tenths of loading settings is composing them."""
    node: Node | None = _ConfigComposer(text).get_single_node()
    return node


def _failed(place: Place, line: int, found: str, expected: str, mend: str = "") -> Document:
    return Document(problems=[Problem(_at(place, line), found, expected, mend)])


def _at(place: Place, line: int) -> Place:
    return Place(place.layer, place.source, line if place.line else 0)


def _syntax(text: str, place: Place, error: MarkedYAMLError) -> Document:
    mark = error.problem_mark or error.context_mark
    line = mark.line + 1 if mark else 1
    at_mark = text[mark.index : mark.index + 1] if mark else ""
    if at_mark == "\t":
        return _failed(
            place,
            line,
            "a tab",
            "spaces, because YAML does not indent with tabs",
            "replace the tab",
        )
    if error.problem and "single document" in (error.context or ""):
        return _failed(place, line, "a second document (---)", "one document in a file")
    return _failed(
        place,
        line,
        "this is not valid YAML",
        "lines such as key: value, indented with spaces",
        "look at this line and the one before it for a missing colon, quote or bracket",
    )


class _Builder:
    """Turns nodes into values, and notes the place of each path."""

    def __init__(self, place: Place, document: Document) -> None:
        self._place = place
        self._document = document

    def build(self, node: Node, path: KeyPath) -> Any:
        line = node.start_mark.line + 1
        self._document.places.setdefault(path, _at(self._place, line))
        if isinstance(node, MappingNode):
            return self._mapping(node, path)
        if isinstance(node, SequenceNode):
            return [self.build(item, (*path, index)) for index, item in enumerate(node.value)]
        return _scalar(node) if isinstance(node, ScalarNode) else None

    def _mapping(self, node: MappingNode, path: KeyPath) -> dict[str, Any]:
        result: dict[str, Any] = {}
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            place = _at(self._place, line)
            if not isinstance(key_node, ScalarNode):
                raise _Refused(line, "a list or mapping as a key", "a name as the key")
            key = str(key_node.value)
            below = (*path, key)
            if key in result:
                first = self._document.places[below]
                where = f"first given in line {first.line}" if first.line else "given before"
                self._document.problems.append(
                    Problem(
                        place,
                        f"key {plain(dotted(below))!r} is given twice ({where})",
                        expected="each key once",
                        mend="remove one of the two",
                    )
                )
                continue
            # The key's line, not the value's: that is the line a reader looks for.
            self._document.places[below] = place
            result[key] = self.build(value_node, below)
        return result


def _scalar(node: ScalarNode) -> Any:
    text = str(node.value)
    if node.style is not None:
        return text
    if text in _CONSTANTS:
        return _CONSTANTS[text]
    if _INTEGER.fullmatch(text):
        return int(text)
    return float(text) if _FLOAT.fullmatch(text) else text
