"""`streambridge bench latency`: how soon the first word comes, for how much work, and whether it is the right one.

Runs the scenarios, the check against the oracle first, and sums up. Knows no page and no plot.
"""

from __future__ import annotations

import multiprocessing
import platform
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from streambridge.bench import big_machine, equality, first_token, gate_steps, rivals, roofline, streams
from streambridge.bench.extent import IN_PLACE, OURS, PAPER, QUICK, Extent, Record, Tick


def verdicts(extent: Extent, device: str) -> Iterator[Record]:
    """First of all: is each variant exact?"""
    for variant in roofline.VARIANTS:
        yield equality.check(variant, extent.streams)
        yield equality.check(variant, max(1, extent.streams // 10), torch.bfloat16)
