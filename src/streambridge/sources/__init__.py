"""Where frames come from: each file yields Frames whose times never go back. Knows no model, no memory, no session."""

from streambridge.sources.opening import open_source
from streambridge.sources.source import Source

__all__ = ["Source", "open_source"]
