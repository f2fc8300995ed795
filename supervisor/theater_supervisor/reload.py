"""What a reload would do: the actors that are served compared with those that the manifests describe now.

Pure: nothing is read, started or stopped here.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from theater_supervisor.components.compile import Compiled
from theater_supervisor.manifest.model import Manifest


@dataclass(frozen=True, slots=True)
class Configured:
    """An actor as it is configured: its manifest and what its component is compiled to.

    `secrets` tells the contents of the files with its tokens, keys and certificates from others.
    """

    manifest: Manifest
    compiled: Compiled
    secrets: bytes = b""


@dataclass(frozen=True, slots=True)
class Value:
    """One value that is not as before: its key in the manifest, with dots, and both in JSON's types."""

    key: str
    old: object
    new: object


@dataclass(frozen=True, slots=True)
class Changes:
    """Actors by what happens to them, each list in the order of names.

    `changed` says for each actor what is not as before: top-level keys of its manifest, or `component` and
    `secrets` when the files' contents are others. `values` has each single value that is, before and after;
    of secrets it has none.
    """

    added: tuple[str, ...]
    removed: tuple[str, ...]
    changed: Mapping[str, tuple[str, ...]]
    unchanged: tuple[str, ...]
    values: Mapping[str, tuple[Value, ...]] = field(default_factory=dict)

    @property
    def nothing(self) -> bool:
        """Whether all stays as it is."""
        return not (self.added or self.removed or self.changed)


def compare(before: Mapping[str, Configured], after: Mapping[str, Configured]) -> Changes:
    """Say what leads from one configuration to the other."""
    common = sorted(before.keys() & after.keys())
    differences = {name: _differences(before[name], after[name]) for name in common}
    return Changes(
        tuple(sorted(after.keys() - before.keys())),
        tuple(sorted(before.keys() - after.keys())),
        {name: keys for name, keys in differences.items() if keys},
        tuple(name for name, keys in differences.items() if not keys),
        {name: tuple(_values(before[name], after[name])) for name, keys in differences.items() if keys},
    )


def _differences(before: Configured, after: Configured) -> tuple[str, ...]:
    old, new = before.manifest.model_dump(), after.manifest.model_dump()
    component = ("component",) if before.compiled.component_sha256 != after.compiled.component_sha256 else ()
    secrets = ("secrets",) if before.secrets != after.secrets else ()
    return (*component, *(key for key in new if old[key] != new[key]), *secrets)


def _values(before: Configured, after: Configured) -> Iterator[Value]:
    old, new = before.compiled.component_sha256.hex(), after.compiled.component_sha256.hex()
    if old != new:
        yield Value("component", old, new or "to be built")
    yield from _unlike("", before.manifest.model_dump(mode="json"), after.manifest.model_dump(mode="json"))


def _unlike(key: str, old: object, new: object) -> Iterator[Value]:
    """Yield the innermost values that differ: tables by their keys, lists of one length by their places."""
    match old, new:
        case dict(), dict():
            for name in dict.fromkeys((*old, *new)):
                yield from _unlike(f"{key}.{name}" if key else name, old.get(name), new.get(name))
        case list(), list() if len(old) == len(new):
            for index, (one, other) in enumerate(zip(old, new, strict=True)):
                yield from _unlike(f"{key}[{index}]", one, other)
        case _ if old != new:
            yield Value(key, old, new)
