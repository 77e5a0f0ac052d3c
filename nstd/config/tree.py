"""A YAML node tree to plain values: keys, anchors and merges, with the place of everything."""

from pathlib import Path
from typing import Final

from yaml import MappingNode, Node, ScalarNode, SequenceNode

from nstd.config.document import Document, Place
from nstd.config.problems import Position, Problem, SettingPath, report, shorten
from nstd.config.scalars import is_supported, is_text, read_scalar
from nstd.config.syntax import MAX_DEPTH, compose, position_of

MAX_VALUES: Final = 50_000
_MERGE: Final = "tag:yaml.org,2002:merge"
_COLLECTIONS: Final = {"tag:yaml.org,2002:map", "tag:yaml.org,2002:seq"}
_SHOWN_ITEMS: Final = 8

Entries = dict[str, tuple[ScalarNode, Node]]


def read_document(data: bytes, file: Path) -> Document:
    """Read the values of a config file.

    Args:
        data: the file's bytes.
        file: its name in messages.

    Returns:
        The values that could be read, and the problems of the rest.

    Raises:
        ConfigError: the bytes are no YAML, hold no mapping, or grow too large or too deep.
    """
    root = compose(data, file)
    if root is None:
        raise report(file, [Problem(Position(1, 1), (), "is empty; `nstd init` writes an example")])
    document = Document(file)
    value = _Reader(document).read(root)
    if not isinstance(value, dict):
        message = f"must hold settings such as 'presets:' (got {document.places[()].shown})"
        raise report(file, [document.problem((), message)])
    document.value = value
    return document


class _Reader:
    """Walks the node tree, following aliases, and fills the document's places and problems."""

    def __init__(self, document: Document) -> None:
        self._document = document
        self._visits = 0

    def read(self, node: Node, path: SettingPath = (), key: Position | None = None) -> object:
        self._visit(node, depth=len(path))
        self._document.places[path] = Place(key, position_of(node.start_mark), _show(node))
        if not (is_supported(node) if isinstance(node, ScalarNode) else node.tag in _COLLECTIONS):
            self._note(node, path, f"the tag {node.tag!r} is not supported")
        if isinstance(node, ScalarNode):
            return read_scalar(node).value
        if isinstance(node, MappingNode):
            return {
                name: self.read(value, (*path, name), position_of(key_node.start_mark))
                for name, (key_node, value) in self._entries(node, path, len(path)).items()
            }
        return [self.read(item, (*path, index)) for index, item in enumerate(node.value)]

    def _visit(self, node: Node, depth: int) -> None:
        self._visits += 1
        if depth > MAX_DEPTH:
            message = f"is nested more than {MAX_DEPTH} deep; does an anchor hold itself?"
        elif self._visits > MAX_VALUES:
            message = f"has more than {MAX_VALUES} values, with those that aliases repeat"
        else:
            return
        raise report(self._document.file, [Problem(position_of(node.start_mark), (), message)])

    def _note(self, node: Node, path: SettingPath, message: str) -> None:
        self._document.problems.append(Problem(position_of(node.start_mark), path, message))

    def _entries(self, node: MappingNode, path: SettingPath, depth: int) -> Entries:
        """Return a mapping's entries, its own before those merged into it by `<<`."""
        self._visit(node, depth)
        entries: Entries = {}
        sources: list[MappingNode] = []
        for name, (key, value) in self._unique(node, path).items():
            if key.tag == _MERGE:
                sources = self._merge_sources(value, path)
            else:
                entries[name] = key, value
        for source in sources:
            entries = self._entries(source, path, depth + 1) | entries
        return entries

    def _unique(self, node: MappingNode, path: SettingPath) -> Entries:
        """Return what stands in the mapping itself; of keys that occur twice the first."""
        entries: Entries = {}
        for key, value in node.value:
            self._visit(key, depth=0)
            if not isinstance(key, ScalarNode):
                self._note(key, path, "a name must be text, not a list or a mapping")
            elif key.value in entries:
                line = position_of(entries[key.value][0].start_mark).line
                self._note(key, (*path, key.value), f"duplicate key {shorten(key.value)!r} (first on line {line})")
            else:
                entries[key.value] = key, value
                if not is_text(key) and key.tag != _MERGE:
                    message = f"a name must be text; put quotes around it (got {read_scalar(key).shown})"
                    self._note(key, (*path, key.value), message)
        return entries

    def _merge_sources(self, node: Node, path: SettingPath) -> list[MappingNode]:
        sources = node.value if isinstance(node, SequenceNode) else [node]
        if all(isinstance(source, MappingNode) for source in sources):
            return list(sources)
        self._note(node, (*path, "<<"), f"must be a mapping or a list of them (got {_show(node)})")
        return []


def _show(node: Node) -> str:
    if isinstance(node, ScalarNode):
        return read_scalar(node).shown
    if isinstance(node, SequenceNode):
        few = len(node.value) <= _SHOWN_ITEMS and all(isinstance(item, ScalarNode) for item in node.value)
        return f"[{', '.join(map(_show, node.value))}]" if few else "a list"
    return "a mapping" if node.value else "{}"
