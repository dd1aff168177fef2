"""The progress bar of long work: drawn on a terminal, absent in a pipe, gone when the work is done. Knows no verb."""

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.progress import Progress, ProgressColumn


def bar(*columns: "ProgressColumn") -> "Progress":
    """A bar on stderr, not yet begun: enter it.

    Args:
        columns: what it shows; default: what rich shows.
    """
    from rich.console import Console
    from rich.progress import Progress

    return Progress(*columns, disable=not sys.stderr.isatty(), console=Console(stderr=True), transient=True)
