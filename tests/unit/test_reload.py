"""What a reload finds: added, removed, changed in what, unchanged."""

from pathlib import Path

from theater_supervisor.components.compile import Compiled
from theater_supervisor.manifest.model import Manifest
from theater_supervisor.reload import Changes, Configured, compare


def configured(
    name: str, component: bytes = b"1", file: str = "a.toml", secrets: bytes = b"", **keys: object
) -> Configured:
    """An actor with this manifest, component and secrets."""
    handler = {"type": "websocket-server", "config": {"port": 8080}}
    table = {"name": name, "component_path": "a.wasm", "handlers": [handler], **keys}
    manifest = Manifest.model_validate(table, context=Path("manifests") / file)
    return Configured(manifest, Compiled(Path("cache") / component.hex(), component.ljust(32)), secrets)


def test_the_same_is_unchanged() -> None:
    """Nothing changes when manifests and components are as before, or only the manifest's file has moved."""
    before = {"a": configured("a"), "b": configured("b")}
    after = {"b": configured("b"), "a": configured("a", file="renamed.toml")}
    changes = compare(before, after)
    assert changes == Changes((), (), {}, ("a", "b"))
    assert changes.nothing


def test_names_come_and_go_in_order() -> None:
    """An actor with another name is another actor."""
    before = {name: configured(name) for name in ("z", "m", "a")}
    after = {name: configured(name) for name in ("m", "y", "b")}
    changes = compare(before, after)
    assert changes == Changes(("b", "y"), ("a", "z"), {}, ("m",))
    assert not changes.nothing


def test_what_changed_is_named() -> None:
    """Top-level keys of the manifest; the component and the secrets by their contents."""
    other_port = [{"type": "websocket-server", "config": {"port": 8081}}]
    before = {name: configured(name) for name in ("a", "b", "c", "d", "e")}
    after = {
        "a": configured("a", component=b"2"),
        "b": configured("b", limits={"memory_mib": 64}, restart={"intensity": 1}),
        "c": configured("c", component=b"2", handlers=other_port),
        "d": configured("d", description="other words"),
        "e": configured("e", secrets=b"new"),
    }
    assert compare(before, after).changed == {
        "a": ("component",),
        "b": ("limits", "restart"),
        "c": ("component", "handlers"),
        "d": ("description",),
        "e": ("secrets",),
    }


def test_every_value_is_told_before_and_after() -> None:
    """By its key, down to the innermost; of secrets nothing but that they are others."""
    before = configured("a", limits={"memory_mib": 64}, description="old words", secrets=b"one")
    other_port = [
        {"type": "websocket-server", "config": {"port": 8081, "allowed_origins": ["https://a.example"]}}
    ]
    after = configured("a", component=b"2", handlers=other_port, limits={"memory_mib": 32}, secrets=b"two")
    changes = compare({"a": before, "b": before}, {"a": after, "b": before})
    assert changes.changed["a"] == ("component", "description", "handlers", "limits", "secrets")
    assert [(one.key, one.old, one.new) for one in changes.values["a"]] == [
        ("component", b"1".ljust(32).hex(), b"2".ljust(32).hex()),
        ("description", "old words", ""),
        ("handlers[0].config.port", 8080, 8081),
        ("handlers[0].config.allowed_origins", [], ["https://a.example"]),
        ("limits.memory_mib", 64, 32),
    ]
    assert changes.values.keys() == {"a"}
