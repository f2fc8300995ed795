"""Manifests: what is read, and the exact line for everything that can be wrong."""

from pathlib import Path

import pytest

from tests.special_files import place_special
from theater_supervisor.errors import ManifestError
from theater_supervisor.manifest.model import Manifest, load_directory, read_directory
from theater_supervisor.manifest.tables import Limits
from theater_supervisor.manifest.websocket import JwtAuth, WebSocketConfig

HANDLER = """
[[handlers]]
type = "websocket-server"
config = { port = 8081 }
"""
CHAT = 'name = "chat"\ncomponent_path = "chat.wasm"\n' + HANDLER


@pytest.fixture
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty directory `m`, named relative to the current one, with a component beside the manifests."""
    monkeypatch.chdir(tmp_path)
    manifests = Path("m")
    manifests.mkdir()
    for name in ("chat.wasm", "chat.py", "chat.json"):
        (manifests / name).touch()
    return manifests


def problems(directory: Path, **texts: str) -> list[str]:
    """The lines for manifests of these names and texts."""
    for name, text in texts.items():
        (directory / f"{name}.toml").write_text(text)
    return [str(problem) for problem in read_directory(directory)[1]]


def test_a_small_manifest_gets_the_documented_defaults(directory: Path) -> None:
    """Only name, component and port are needed; everything else has the default that the reference shows."""
    (directory / "chat.toml").write_text(CHAT)
    (manifest,) = load_directory(directory)
    assert manifest.file == Path("m/chat.toml")
    assert manifest.component_path == Path("m/chat.wasm")
    assert (manifest.init_state, manifest.build, manifest.description) == (None, None, "")
    assert manifest.limits == Limits(call_timeout_s=5.0, memory_mib=256)
    assert manifest.handlers[0].config == WebSocketConfig(
        port=8081, host="127.0.0.1", path="/", max_connections=1024
    )


def test_every_key_is_read(directory: Path) -> None:
    """A manifest that uses every key means what it says."""
    (directory / "chat.toml").write_text("""
        name = "chat"
        component_path = "/nowhere/chat.wasm"
        init_state = "chat.json"
        description = "A room."
        [build]
        python = "chat.py"
        world = "websocket-actor-with-init"
        [limits]
        call_timeout_s = 2
        memory_mib = 64
        [[handlers]]
        type = "websocket-server"
        config = { port = 0, host = "::1", path = "/rooms/chat/", max_connections = 3 }
        [[handlers]]
        type = "websocket-server"
        config = { port = 65535 }
    """)
    (manifest,) = load_directory(directory)
    assert manifest.component_path == Path("/nowhere/chat.wasm")
    assert manifest.init_state == Path("m/chat.json")
    assert manifest.build is not None
    assert (manifest.build.python, manifest.build.world) == (Path("m/chat.py"), "websocket-actor-with-init")
    assert manifest.limits == Limits(call_timeout_s=2.0, memory_mib=64)
    assert [handler.config for handler in manifest.handlers] == [
        WebSocketConfig(port=0, host="::1", path="/rooms/chat", max_connections=3),
        WebSocketConfig(port=65535),
    ]


@pytest.mark.parametrize(
    ("written", "path"),
    [("/", "/"), ("/a/", "/a"), ("/a/b", "/a/b"), ("/%63hat", "/chat"), ("/a%2Fb", "/a%2Fb"), ("/é", None)],
)
def test_a_path_has_one_spelling(directory: Path, written: str, path: str | None) -> None:
    """Paths that lead to the same place are read as the same, so that they can be compared."""
    (directory / "chat.toml").write_text(CHAT.replace("8081", f'8081, path = "{written}"'))
    manifests, _ = read_directory(directory)
    assert [manifest.handlers[0].config.path for manifest in manifests] == ([path] if path else [])


def test_only_toml_files_are_manifests(directory: Path) -> None:
    """Other files, hidden files and directories below are left alone."""
    for name in ("notes.txt", ".chat.toml", "chat.toml~"):
        (directory / name).write_text("no manifest")
    (directory / "below").mkdir()
    (directory / "below" / "other.toml").write_text("no manifest")
    (directory / "chat.toml").write_text(CHAT)
    assert [manifest.name for manifest in load_directory(directory)] == ["chat"]


def test_the_shipped_manifests_are_fine() -> None:
    """The examples that come with the project have no problem."""
    shipped: list[Manifest] = load_directory(Path(__file__).parents[3] / "manifests")
    assert [(manifest.name, manifest.handlers[0].config.port) for manifest in shipped] == [
        ("chat", 8081),
        ("echo", 8080),
    ]


KEYS_AT_THE_TOP = ", ".join(Manifest.model_fields)

# What is replaced in CHAT, by what, and the line that this gives.
ONE_KEY_WRONG = {
    "unknown key, near": (
        HANDLER,
        'descripton = "x"' + HANDLER,
        'descripton: unknown key (did you mean "description"?)',
    ),
    "unknown key, far": (HANDLER, "zzz = 1" + HANDLER, f"zzz: unknown key (known here: {KEYS_AT_THE_TOP})"),
    "unknown key, of another table": (
        HANDLER,
        "memory_mib = 64" + HANDLER,
        "memory_mib: unknown key (it belongs in limits)",
    ),
    "unknown key, nested": (
        "port = 8081",
        "port = 8081, max_conections = 3",
        'handlers[0].config.max_conections: unknown key (did you mean "max_connections"?)',
    ),
    "unknown key, quoted": (
        HANDLER,
        '"\\u001b[2J" = 1' + HANDLER,
        f'"\\u001b[2J": unknown key (known here: {KEYS_AT_THE_TOP})',
    ),
    "name missing": ('name = "chat"', "", "name: is required"),
    "name no text": ('"chat"', "7", "name: must be text, not 7"),
    "name empty": (
        '"chat"',
        '""',
        'name: "" is not an actor\'s name (1 to 64 of a-z, 0-9 and -, the first not -)',
    ),
    "name upper case": (
        '"chat"',
        '"Chat"',
        'name: "Chat" is not an actor\'s name (1 to 64 of a-z, 0-9 and -, the first not -)',
    ),
    "name too long": (
        '"chat"',
        f'"{"x" * 65}"',
        f"name: \"{'x' * 38}… is not an actor's name (1 to 64 of a-z, 0-9 and -, the first not -)",
    ),
    "name reserved": (
        '"chat"',
        '"supervisor"',
        'name: "supervisor" is reserved (supervisor.log is the supervisor\'s own log)',
    ),
    "component_path missing": ('component_path = "chat.wasm"', "", "component_path: is required"),
    "component_path no text": ('"chat.wasm"', "true", "component_path: must be text, not the boolean true"),
    "component_path empty": (
        '"chat.wasm"',
        '""',
        'component_path: "" is not a path (relative to this manifest, or absolute)',
    ),
    "component_path with NUL": (
        '"chat.wasm"',
        '"a\\u0000b"',
        'component_path: "a\\u0000b" is not a path (relative to this manifest, or absolute)',
    ),
    "component_path nowhere": (
        '"chat.wasm"',
        '"other.wasm"',
        "component_path: m/other.wasm doesn't exist (build it, or say how in [build])",
    ),
    "component_path a directory": ('"chat.wasm"', '"."', "component_path: m is a directory, not a file"),
    "component_path unreadable": (
        '"chat.wasm"',
        '"loop"',
        "component_path: m/loop can't be read: Too many levels of symbolic links",
    ),
    "init_state nowhere": (HANDLER, 'init_state = "x"' + HANDLER, "init_state: m/x doesn't exist"),
    "description no text": (
        HANDLER,
        "description = 1979-05-27" + HANDLER,
        "description: must be text, not the date or time 1979-05-27",
    ),
    "build no table": (
        HANDLER,
        'build = "chat.py"' + HANDLER,
        'build: must be a table, not the text "chat.py"',
    ),
    "build.python missing": (HANDLER, "[build]" + HANDLER, "build.python: is required"),
    "build.python nowhere": (
        HANDLER,
        '[build]\npython = "x.py"' + HANDLER,
        "build.python: m/x.py doesn't exist",
    ),
    "build.python no module": (
        HANDLER,
        '[build]\npython = "my-chat.py"' + HANDLER,
        'build.python: "my-chat.py" is not a Python module\'s file (such as chat.py)',
    ),
    "build.world unknown": (
        HANDLER,
        '[build]\npython = "chat.py"\nworld = "x"' + HANDLER,
        'build.world: must be "websocket-actor" or "websocket-actor-with-init", not the text "x"',
    ),
    "handlers missing": (HANDLER, "", "handlers: is required"),
    "handlers empty": (HANDLER, "handlers = []", "handlers: an array without an entry (write [[handlers]])"),
    "handlers a table": (
        "[[handlers]]",
        "[handlers]",
        "handlers: must be an array of tables, not a table (write [[handlers]])",
    ),
    "handler no table": (HANDLER, "handlers = [5]", "handlers[0]: must be a table, not 5"),
    "type unknown": (
        '"websocket-server"',
        '"http-server"',
        'handlers[0].type: must be "websocket-server", not the text "http-server"',
    ),
    "type missing": ('type = "websocket-server"', "", "handlers[0].type: is required"),
    "config missing": ("config = { port = 8081 }", "", "handlers[0].config: is required"),
    "config an array": ("{ port = 8081 }", "[8081]", "handlers[0].config: must be a table, not an array"),
    "port missing": ("port = 8081", "", "handlers[0].config.port: is required"),
    "port text": ("8081", '"8081"', 'handlers[0].config.port: must be an integer, not the text "8081"'),
    "port a fraction": ("8081", "80.5", "handlers[0].config.port: must be an integer, not 80.5"),
    "port a boolean": ("8081", "true", "handlers[0].config.port: must be an integer, not the boolean true"),
    "port negative": ("8081", "-1", "handlers[0].config.port: must be at least 0, not -1"),
    "port too large": ("8081", "65536", "handlers[0].config.port: must be at most 65535, not 65536"),
    "host a name": (
        "8081",
        '1, host = "localhost"',
        'handlers[0].config.host: "localhost" is not an IP address (such as 127.0.0.1, ::1 or 0.0.0.0)',
    ),
    "path relative": (
        "8081",
        '1, path = "chat"',
        'handlers[0].config.path: "chat" is not a URL path (such as "/" or "/rooms/chat")',
    ),
    "path empty": (
        "8081",
        '1, path = ""',
        'handlers[0].config.path: "" is not a URL path (such as "/" or "/rooms/chat")',
    ),
    "path with a query": (
        "8081",
        '1, path = "/a?b"',
        'handlers[0].config.path: "/a?b" is not a URL path (such as "/" or "/rooms/chat")',
    ),
    "max_connections zero": (
        "8081",
        "1, max_connections = 0",
        "handlers[0].config.max_connections: must be at least 1, not 0",
    ),
    "call_timeout_s zero": (
        HANDLER,
        HANDLER + "[limits]\ncall_timeout_s = 0",
        "limits.call_timeout_s: must be more than 0, not 0",
    ),
    "call_timeout_s text": (
        HANDLER,
        HANDLER + '[limits]\ncall_timeout_s = "5s"',
        'limits.call_timeout_s: must be a number, not the text "5s"',
    ),
    "call_timeout_s infinite": (
        HANDLER,
        HANDLER + "[limits]\ncall_timeout_s = inf",
        "limits.call_timeout_s: must be a number, not inf",
    ),
    "call_timeout_s too long": (
        HANDLER,
        HANDLER + "[limits]\ncall_timeout_s = 3601",
        "limits.call_timeout_s: must be at most 3600, not 3601",
    ),
    "durability unknown": (
        HANDLER,
        HANDLER + '[journal]\ndurability = "none"',
        'journal.durability: must be "power-loss" or "process-crash", not the text "none"',
    ),
    "keep_events zero": (
        HANDLER,
        HANDLER + "[journal]\nkeep_events = 0",
        "journal.keep_events: must be at least 1, not 0",
    ),
    "keep_days zero": (
        HANDLER,
        HANDLER + "[journal]\nkeep_days = 0",
        "journal.keep_days: must be more than 0, not 0",
    ),
    "memory_mib too large": (
        HANDLER,
        HANDLER + "[limits]\nmemory_mib = 4097",
        "limits.memory_mib: must be at most 4096, not 4097",
    ),
    "max_state_bytes too large": (
        HANDLER,
        HANDLER + "[limits]\nmax_state_bytes = 33554433",
        "limits.max_state_bytes: must be at most 33554432, not 33554433",
    ),
    "a sandbox level that is none": (
        HANDLER,
        HANDLER + "[sandbox]\nrequire = 3",
        "sandbox.require: must be 0, 1 or 2, not 3",
    ),
    "a SHA-256 too short": (
        HANDLER,
        'sha256 = "abc"' + HANDLER,
        'sha256: "abc" is not a SHA-256 (64 hex digits, as sha256sum prints them)',
    ),
    "no TOML": (
        HANDLER,
        "\nhandlers",
        "line 4: is not TOML: Expected '=' after a key in a key/value pair",
    ),
    "a key twice": (
        HANDLER,
        'name = "b"' + HANDLER,
        "line 3, column 11: is not TOML: Cannot overwrite a value",
    ),
}


@pytest.mark.parametrize(("old", "new", "line"), ONE_KEY_WRONG.values(), ids=ONE_KEY_WRONG.keys())
def test_a_wrong_key_is_named_with_what_is_wrong(directory: Path, old: str, new: str, line: str) -> None:
    """Each mistake gives one line: file, key, what is wrong, and where there is one, a hint."""
    (directory / "loop").symlink_to("loop")
    assert old in CHAT
    assert problems(directory, chat=CHAT.replace(old, new)) == [f"m/chat.toml: {line}"]


def other(name: str = "other", config: str = "port = 9999") -> str:
    """A second manifest, that has no quarrel with CHAT unless told so."""
    return CHAT.replace('"chat"', f'"{name}"').replace("port = 8081", config)


BUILT = '[build]\npython = "{}"\n'

BETWEEN_FILES = {
    "name": (CHAT, other(name="chat"), 'name: "chat" is already used by m/a.toml'),
    "port and path": (
        CHAT,
        other(config="port = 8081"),
        'handlers[0].config.path: port 8081 with path "/" is already used by m/a.toml '
        "(give one of them another port or path)",
    ),
    "path but for the last slash": (
        CHAT.replace("8081", '8081, path = "/a"'),
        other(config='port = 8081, path = "/a/"'),
        'handlers[0].config.path: port 8081 with path "/a" is already used by m/a.toml '
        "(give one of them another port or path)",
    ),
    "every interface and one": (
        CHAT,
        other(config='port = 8081, host = "0.0.0.0", auth = "none", path = "/b"'),
        "handlers[0].config.host: 0.0.0.0 and 127.0.0.1 (m/a.toml) can't both be bound on port 8081 "
        "(use the same host, or another port)",
    ),
    "component": (
        CHAT + BUILT.format("chat.py"),
        other() + BUILT.format("other.py"),
        "component_path: m/chat.wasm is already built from another source by m/a.toml",
    ),
}


@pytest.mark.parametrize(("first", "second", "line"), BETWEEN_FILES.values(), ids=BETWEEN_FILES.keys())
def test_a_clash_names_both_files(directory: Path, first: str, second: str, line: str) -> None:
    """What two manifests can't both have is reported for the second and names the first."""
    (directory / "other.py").touch()
    assert problems(directory, a=first, b=second) == [f"m/b.toml: {line}"]


NO_CLASH = {
    "another path": other(config='port = 8081, path = "/b"'),
    "another loopback address": other(config='port = 8081, host = "127.0.0.2"'),
    "another address family": other(config='port = 8081, host = "::", auth = "none"'),
    "the same component": other(),
}


@pytest.mark.parametrize("second", NO_CLASH.values(), ids=NO_CLASH.keys())
def test_what_can_be_shared_is_no_clash(directory: Path, second: str) -> None:
    """Actors may share a port, a component, or an address, as long as clients can tell them apart."""
    assert problems(directory, a=CHAT, b=second) == []


def test_all_problems_of_all_files_come_at_once(directory: Path) -> None:
    """A file's own mistakes do not hide the others', nor its clashes with other files."""
    broken = CHAT.replace("8081", '8081, host = "x"') + "[limits]\nmemory_mib = 0\n"
    (directory / "d.toml").write_bytes(b"name = 1\n\nname = '\xff'")
    assert problems(directory, a=CHAT, b=broken, c="name = ") == [
        'm/b.toml: handlers[0].config.host: "x" is not an IP address (such as 127.0.0.1, ::1 or 0.0.0.0)',
        "m/b.toml: limits.memory_mib: must be at least 1, not 0",
        'm/b.toml: name: "chat" is already used by m/a.toml',
        "m/c.toml: line 1: is not TOML: Invalid value",
        "m/d.toml: line 3: is not UTF-8 text",
    ]
    with pytest.raises(ManifestError) as caught:
        load_directory(directory)
    assert len(caught.value.problems) == 5
    assert caught.value.exit_status == 78


def test_a_manifest_that_is_no_file_is_a_problem(directory: Path) -> None:
    """Directories, dangling links and links in a circle are named; TOML without end does no harm."""
    (directory / "a.toml").mkdir()
    (directory / "b.toml").symlink_to("nowhere")
    (directory / "c.toml").symlink_to("c.toml")
    assert problems(directory, d="a = " + "[" * 100_000, e="a = " + "1" * 5_000) == [
        "m/a.toml: is a directory, not a file",
        "m/b.toml: doesn't exist",
        "m/c.toml: can't be read: Too many levels of symbolic links",
        "m/d.toml: is nested too deeply",
        "m/e.toml: has a number that is too long",
    ]


@pytest.mark.parametrize(
    ("directory_name", "line"),
    [
        ("nowhere", "nowhere: there is no such directory"),
        ("m", "m: has no manifest (a manifest is a file named *.toml)"),
        ("m/chat.wasm", "m/chat.wasm: is a file, not a directory of manifests"),
        ("chat.toml", "chat.toml: is a file, not a directory of manifests (give the directory it is in: .)"),
        ("loop", "loop: can't be read: Too many levels of symbolic links"),
    ],
)
def test_what_is_no_directory_of_manifests_is_refused(
    directory: Path, directory_name: str, line: str
) -> None:
    """There must be a directory, and at least one manifest in it."""
    Path("chat.toml").write_text(CHAT)
    Path("loop").symlink_to("loop")
    assert [str(problem) for problem in read_directory(Path(directory_name))[1]] == [line]


JWT = '{type = "jwt", key = "chat.json", algorithms = ["ES256"], audience = "chat", issuer = "https://id"}'
DOCUMENTED_GATEWAY = f"""
    port = 8443, host = "0.0.0.0", auth = {JWT}, tls = {{cert = "chat.json", key = "chat.json"}},
    max_connections_per_address = 8, max_message_size = 16777216, compression = true,
    reply_limit = {{count = 10, bytes = 1000}},
    rate_limit = {{messages_per_s = 5, burst = 10, patience_s = 3}},
    ping_interval_s = 0, ping_timeout_s = 2.5, allowed_hosts = ["chat.example.org"],
    allowed_origins = ["https://chat.example.org", "null"], trusted_proxies = ["10.0.0.0/8", "::1"],
    subprotocols = ["chat.v2", "chat.v1"]
"""


def test_every_key_of_the_gateway_is_read(directory: Path) -> None:
    """What the reference has for a handler, all at once."""
    config = " ".join(DOCUMENTED_GATEWAY.split())
    (directory / "chat.toml").write_text(CHAT.replace("port = 8081", config))
    (manifest,) = load_directory(directory)
    read = manifest.handlers[0].config
    assert isinstance(read.auth, JwtAuth)
    assert (read.auth.key, read.auth.algorithms) == (Path("m/chat.json"), ("ES256",))
    assert read.allowed_origins == ("https://chat.example.org", "null")
    assert read.trusted_proxies == ("10.0.0.0/8", "::1/128")
    assert read.subprotocols == ("chat.v2", "chat.v1")
    assert (read.ping_interval_s, read.ping_timeout_s) == (0.0, 2.5)


# What stands after the port, and the line that it gives.
GATEWAY_WRONG = {
    "beyond loopback without auth": (
        'host = "192.0.2.1"',
        'auth: is required on 192.0.2.1, which other machines can reach (auth = "none" lets everybody in, '
        '{type = "token", file = …} who has a token)',
    ),
    "auth unknown": ('auth = "basic"', 'auth: must be "none", not the text "basic"'),
    "auth type unknown": (
        'auth = {type = "basic", file = "chat.json"}',
        'auth.type: must be "token" or "jwt", not the text "basic"',
    ),
    "auth key unknown": (
        'auth = {type = "token", file = "chat.json", fiel = "x"}',
        'auth.fiel: unknown key (did you mean "file"?)',
    ),
    "auth without source": (
        'auth = {type = "token"}',
        "auth: a table must have one of file and env (the tokens themselves don't belong here)",
    ),
    "auth with both sources": (
        'auth = {type = "token", file = "chat.json", env = "TOKEN"}',
        "auth: a table must have one of file and env (the tokens themselves don't belong here)",
    ),
    "jwt with a symmetric algorithm": (
        f"auth = {JWT.replace('ES256', 'HS256')}",
        'auth.algorithms[0]: must be "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", '
        '"ES512" or "EdDSA", not the text "HS256"',
    ),
    "jwt without algorithms": (
        f"auth = {JWT.replace(chr(34) + 'ES256' + chr(34), '')}",
        "auth.algorithms: an array without an entry (name at least one)",
    ),
    "tls without key": ('tls = {cert = "chat.json"}', "tls.key: is required"),
    "origin with a path": (
        'allowed_origins = ["https://chat.example.org/"]',
        'allowed_origins[0]: "https://chat.example.org/" is not an origin '
        '(such as "https://chat.example.org", in lower case, no path)',
    ),
    "any origin": (
        'allowed_origins = ["*"]',
        'allowed_origins[0]: "*" is not an origin '
        '(such as "https://chat.example.org", in lower case, no path)',
    ),
    "host with a port": (
        'allowed_hosts = ["a:1"]',
        'allowed_hosts[0]: "a:1" is not a host name '
        '(such as "chat.example.org", in lower case, without a port)',
    ),
    "proxy by name": (
        'trusted_proxies = ["nginx"]',
        'trusted_proxies[0]: "nginx" is not an IP address or network (such as 127.0.0.1 or 10.0.0.0/8)',
    ),
    "subprotocol of logins": (
        'subprotocols = ["bearer.x"]',
        'subprotocols[0]: "bearer.x" is not a subprotocol\'s name '
        '(such as "chat.v1"; "bearer" is for logins)',
    ),
    "message size over the bound": (
        "max_message_size = 16777217",
        "max_message_size: must be at most 16777216, not 16777217",
    ),
    "rate of nothing": (
        "rate_limit = {messages_per_s = 0, burst = 1}",
        "rate_limit.messages_per_s: must be more than 0, not 0",
    ),
}


@pytest.mark.parametrize(("config", "line"), GATEWAY_WRONG.values(), ids=GATEWAY_WRONG.keys())
def test_a_wrong_key_of_the_gateway_is_named_with_its_rule(directory: Path, config: str, line: str) -> None:
    """One line, that says what to write instead."""
    text = CHAT.replace("port = 8081", f"port = 8081, {config}")
    assert problems(directory, chat=text) == [f"m/chat.toml: handlers[0].config.{line}"]


def test_handlers_on_one_port_share_their_tls(directory: Path) -> None:
    """A listener has one certificate; the second handler is told so."""
    tls = 'port = 8081, path = "/b", tls = {cert = "chat.json", key = "chat.json"}'
    other = CHAT.replace('"chat"', '"other"').replace("port = 8081", tls)
    assert problems(directory, a=CHAT, b=other) == [
        "m/b.toml: handlers[0].config.tls: is not as for the same port in m/a.toml "
        "(handlers on one port share cert and key)"
    ]


@pytest.mark.parametrize("kind", ["pipe", "socket", "device"])
def test_what_is_no_file_is_named_and_not_waited_for(directory: Path, kind: str) -> None:
    """Neither where a manifest is expected, nor a component, nor a first state."""
    place_special(directory / "a.toml", kind)
    [problem] = problems(directory)
    assert problem == f"m/a.toml: is a {kind}, not a file"


@pytest.mark.parametrize("name", ["A.TOML", "a.Toml"])
def test_a_suffix_and_a_byte_order_mark_do_not_matter(directory: Path, name: str) -> None:
    """As some editors and file systems write them."""
    (directory / name).write_bytes(b"\xef\xbb\xbf" + b"surprise = 1\n")
    assert any(f"m/{name}: surprise" in problem for problem in problems(directory))
