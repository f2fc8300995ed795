"""Protocol errors, in two blame classes: ours and theirs.

Nothing here knows what is done about an error; the side that catches it decides.
"""


class ProtocolError(Exception):
    """A rule of the protocol was broken; which side broke it is in the subclass."""


class LocalProtocolError(ProtocolError):
    """This side asked for something the protocol does not allow: a bug here."""


class RemoteProtocolError(ProtocolError):
    """The bytes from the other side break the rules: trust nothing more from it."""
