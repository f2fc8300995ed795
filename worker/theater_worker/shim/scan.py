"""Finding, in a component's binary, the core function behind an exported function.

One pass over the outermost component, which counts every index space, because what is appended to a component
is referred to by index. Only shapes in which the export is certainly that function pass, which covers what
wit-component makes; everything else is Unsupported. Source: the Component Model's Binary.md.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from theater_worker.shim.binary import HEADER, SORTS, Reader, Unsupported

_TYPE_BOUND: Final = 3
_CORE_MODULE: Final = 0x11
_CUSTOM, _ALIAS, _TYPES, _IMPORTS, _EXPORTS = 0, 6, 7, 10, 11


@dataclass(frozen=True, slots=True)
class Lift:
    """How a component function is made of a core function: indices of core functions and of a memory."""

    core_function: int
    memory: int
    realloc: int
    post_return: int | None


@dataclass(frozen=True, slots=True)
class Found:
    """The lift behind the exported function, and for each sort the index that its next definition gets."""

    lift: Lift
    next_index: dict[str, int]


def find_lift(component: bytes, interface: str) -> Found:
    """Find the only function of the instance that is exported as `interface` (any version).

    Raises Unsupported.
    """
    if not component.startswith(HEADER):
        raise Unsupported("it is no component")
    scan = _Scan()
    sections = Reader(component, len(HEADER), len(component))
    while not sections.is_at_end:
        scan.section(*sections.section())
    exported = scan.exported.get(interface)
    if exported is None:
        raise Unsupported(f"its export {interface} is not a plain instance with one function")
    return Found(scan.lift(exported), dict(scan.count))


class _Scan:
    """What is known of a component up to one of its sections."""

    def __init__(self) -> None:
        self.count: Counter[str] = Counter()
        # Of exported instances' only functions, by interface without version.
        self.exported: dict[str, int | None] = {}
        # Index spaces, but only what can lead from an exported instance to a lift; None for all else.
        self._lifts: dict[int, tuple[int, dict[int, int]]] = {}
        self._only_function: dict[int, int | None] = {}
        self._passing: set[int] = set()
        self._items: dict[int, tuple[str, Callable[[Reader], None]]] = {
            5: ("instance", self._instance),
            _ALIAS: ("alias", self._alias),
            8: ("canonical definition", self._canon),
            _IMPORTS: ("import", self._import),
            _EXPORTS: ("export", self._export),
        }

    def section(self, section_id: int, contents: Reader) -> None:
        """Take the next section."""
        match section_id:
            case 0:
                return
            case 1:
                self.count["core module"] += 1
            case 2 | 3 | 7:
                sort = {2: "core instance", 3: "core type", 7: "type"}[section_id]
                self.count[sort] += contents.u32()
            case 4:
                if _only_passes(contents):
                    self._passing.add(self.count["component"])
                self.count["component"] += 1
            case _ if section_id in self._items:
                what, take = self._items[section_id]
                for _ in range(contents.u32()):
                    take(contents)
                if not contents.is_at_end:
                    raise Unsupported(f"bytes follow the last {what} of a section")
            case _:
                raise Unsupported(f"a section with id {section_id}")

    def lift(self, function: int) -> Lift:
        """Give what a function index was lifted from. Raises Unsupported."""
        if function not in self._lifts:
            raise Unsupported("its handle-message is not lifted from a core function of its own")
        core_function, options = self._lifts[function]
        if options.keys() - {0, 3, 4, 5} or not {3, 4} <= options.keys():
            raise Unsupported(f"its handle-message is lifted with the options {sorted(options)}")
        return Lift(core_function, options[3], options[4], options.get(5))

    def _instance(self, contents: Reader) -> None:
        match contents.byte():
            case 0:
                passes = contents.u32() in self._passing
                functions = _functions(contents, contents.name)
            case 1:
                passes = True
                functions = _functions(contents, contents.external_name)
            case kind:
                raise Unsupported(f"an instance of kind {kind}")
        self._only_function[self.count["instance"]] = functions[0] if passes and len(functions) == 1 else None
        self.count["instance"] += 1

    def _alias(self, contents: Reader) -> None:
        self.count[_read_alias(contents)] += 1

    def _canon(self, contents: Reader) -> None:
        match contents.byte():
            case 0:
                _expect_zero(contents, "lift")
                core_function, options = contents.u32(), _options(contents)
                contents.u32()
                self._lifts[self.count["function"]] = core_function, options
                self.count["function"] += 1
            case 1:
                _expect_zero(contents, "lower")
                contents.u32()
                _options(contents)
                self.count["core function"] += 1
            case 2 | 3 | 4:  # resource.new, resource.drop, resource.rep
                contents.u32()
                self.count["core function"] += 1
            case kind:
                raise Unsupported(f"a canonical definition of kind {kind:#x}")

    def _import(self, contents: Reader) -> None:
        contents.external_name()
        self.count[_described_sort(contents)] += 1

    def _export(self, contents: Reader) -> None:
        name = contents.external_name()
        sort, index = contents.sort(), contents.u32()
        if contents.byte():
            _described_sort(contents)
        # An export is a definition too: the same thing under a new index.
        new = self.count[sort]
        if sort == "instance":
            self._only_function[new] = self._only_function.get(index)
            self.exported[name.partition("@")[0]] = self._only_function[new]
        elif sort == "function" and index in self._lifts:
            self._lifts[new] = self._lifts[index]
        self.count[sort] += 1


def _only_passes(component: Reader) -> bool:
    """Tell whether a nested component can only export what it is given, having no code of its own."""
    for expected in HEADER:
        if component.byte() != expected:
            raise Unsupported("a nested component without header")
    while not component.is_at_end:
        section_id, contents = component.section()
        if section_id == _ALIAS:
            if any(_read_alias(contents) != "type" for _ in range(contents.u32())):
                return False
        elif section_id not in (_CUSTOM, _TYPES, _IMPORTS, _EXPORTS):
            return False
    return True


def _functions(contents: Reader, read_name: Callable[[], str]) -> list[int]:
    """Read named definitions and return the indices of the functions among them."""
    functions = []
    for _ in range(contents.u32()):
        read_name()
        sort, index = contents.sort(), contents.u32()
        if sort == "function":
            functions.append(index)
    return functions


def _read_alias(contents: Reader) -> str:
    """Read an alias and return its sort."""
    sort = contents.sort()
    match contents.byte():
        case 0 | 1:  # an export of an instance, of a core instance
            contents.u32()
            contents.name()
        case 2:  # something of an outer component
            contents.u32()
            contents.u32()
        case kind:
            raise Unsupported(f"an alias of kind {kind}")
    return sort


def _options(contents: Reader) -> dict[int, int]:
    """Read canonical options: UTF-8 is 0, memory 3, realloc 4, post-return 5; the encodings have no index."""
    options = {}
    for _ in range(contents.u32()):
        option = contents.byte()
        if option > 5:
            raise Unsupported(f"the canonical option {option}")
        options[option] = contents.u32() if option > 2 else 0
    return options


def _described_sort(contents: Reader) -> str:
    """Read what an import or export is described as, and return its sort."""
    kind = contents.byte()
    if kind == 0:
        if contents.byte() != _CORE_MODULE:
            raise Unsupported("a core definition that is no module")
        contents.u32()
        return "core module"
    if kind == _TYPE_BOUND:
        if contents.byte() == 0:
            contents.u32()
        return "type"
    if kind not in SORTS or kind == 2:
        raise Unsupported(f"something described by {kind}")
    contents.u32()
    return SORTS[kind]


def _expect_zero(contents: Reader, what: str) -> None:
    if contents.byte() != 0:
        raise Unsupported(f"a {what} of another kind")
