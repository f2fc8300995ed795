"""The names in `allowed_hosts` and `allowed_origins`: what is one, and its one spelling. Pure.

The manifest takes these and no others, and the log advises no others.
"""

import re
from typing import Final

_MAX_NAME: Final = 255
_NAME: Final = r"[a-z0-9_-](?:[a-z0-9._-]*[a-z0-9_-])?|\[[0-9a-f:.]+\]"
_HOST_NAME: Final = re.compile(_NAME)
# RFC 6454 section 6.2. Of other schemes than HTTP's the host may be empty, as in file://, or any opaque name.
_PORT: Final = r"(?::[0-9]{1,5})?"
_ORIGIN: Final = re.compile(
    rf"https?://(?:{_NAME}){_PORT}|(?!https?:)[a-z][a-z0-9+.-]*://(?:[a-z0-9._~%-]*|\[[0-9a-f:.]+\]){_PORT}"
)


def host_name(text: str) -> str | None:
    """Return how the host of a URL is written in `allowed_hosts`, None for what is none."""
    name = text.lower().removesuffix(".")
    return name if len(name) <= _MAX_NAME and _HOST_NAME.fullmatch(name) else None


def origin(text: str) -> str | None:
    """Return how an origin is written in `allowed_origins`, None for what is none.

    `null` is one: that of a page in a sandbox, or from a file in some browsers.
    """
    name = text.lower()
    if name == "null":
        return name
    return name if len(name) <= _MAX_NAME and _ORIGIN.fullmatch(name) else None
