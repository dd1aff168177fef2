"""One tree of errors. Knows no room: every message says what came, what was expected, what to type.

StreamBridgeError
├── WrongUse          the caller's mistake: a flag, an argument, an order of calls     (exit code 2)
│   └── UnknownName   a name that no file of a room bears
├── BadInput          what came in cannot be read: a file, a frame, a line of JSON     (exit code 2)
└── RunFailed         the run itself broke: a device, a disk, a model                  (exit code 1)
    └── Missing       an extra that is not installed

Wrong use raises. Misfortune in a stream (a camera lost, an answer failed) is an event, not an error.
"""

import difflib
from collections.abc import Iterable


class StreamBridgeError(Exception):
    """The root of the tree; its text is one clear line for a person."""


class WrongUse(StreamBridgeError, ValueError):
    """The caller's mistake, raised at once."""


class UnknownName(WrongUse):
    """A name that no file of a room bears; the message lists the names and the nearest one."""

    def __init__(self, kind: str, name: str, known: Iterable[str]) -> None:
        names = sorted(known)
        nearest = difflib.get_close_matches(name, names, n=1)
        hint = f"; did you mean {nearest[0]!r}?" if nearest else "."
        super().__init__(f"no {kind} called {name!r}{hint} There are: {', '.join(names)}")


class BadInput(StreamBridgeError, ValueError):
    """Something that came in cannot be read as what it should be."""


class RunFailed(StreamBridgeError, RuntimeError):
    """The run broke for a reason outside the caller's words."""


class Missing(RunFailed):
    """An optional extra is needed and not installed."""

    def __init__(self, package: str, extra: str, what_for: str) -> None:
        super().__init__(f"{what_for} needs {package}; type: pip install 'streambridge[{extra}]'")


def one_line(what: str, err: BaseException) -> str:
    """What happened and why, on one line; the kind of error is told where its text was not written for a person."""
    why = " ".join(str(err).split())
    return f"{what}: {why}" if isinstance(err, StreamBridgeError) else f"{what}: {type(err).__name__}: {why}"
