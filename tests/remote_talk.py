"""What tests of a model on a server share: patience, small pictures, a short conversation. Knows no fault."""

import itertools
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from remote_faults import TRIES
from remote_server import Server, stream
from streambridge.activation.immediately import Immediately
from streambridge.backbones.connection import Patience
from streambridge.backbones.remote import Remote
from streambridge.session import Session
from streambridge.types import Backbone, Event, Frame, Turn

CALM = Patience(connect_s=5, silence_s=5, whole_s=10, linger_s=0.1, tries=TRIES, wait_s=0.004, longest_wait_s=0.01)
NO_SILENCE = replace(CALM, silence_s=0.15)
NO_TIME = replace(CALM, whole_s=0.3)
FINE = [stream("Fine.")]


def at(server: Server, model: str = "some-model", patience: Patience = CALM, **how: Any) -> Remote:
    return Remote(model, server.url, patience=patience, **how)


def picture(number: int, height: int = 36, width: int = 64) -> Frame:
    rng = np.random.default_rng(number)
    return Frame(rng.integers(0, 256, (height, width, 3), dtype=np.uint8), float(number))


def of(kind: type, events: Sequence[Event]) -> list[Any]:
    return [event for event in events if isinstance(event, kind)]


def conversation(backbone: Backbone, *questions: str) -> tuple[Session, list[Event]]:
    """Two frames before each question; every event."""
    session, numbers = Session(backbone, Immediately()), itertools.count()
    events: list[Event] = []
    for question in questions:
        for number in itertools.islice(numbers, 2):
            events += session.see(picture(number))
        events += session.ask(question, when="now")
    return session, events


def said(session: Session) -> list[str]:
    return [item.text for item in session.memory.items() if isinstance(item, Turn) and item.role == "assistant"]
