"""A short mark for records that bear no id of their own. Knows no data set.

It is made of what a record says: neither its line nor its neighbours change it, nor how the JSON is spaced. Records
that say the same bear the same mark, so that the second one is found to be a duplicate.
"""

import hashlib
import json
from typing import Any, Final

DIGITS: Final = 12  # hexadecimal: in a million records two share a mark by chance in less than one run of 500


def mark(said: Any) -> str:
    """Twelve hexadecimal digits for anything that JSON can say."""
    text = json.dumps(said, sort_keys=True, ensure_ascii=True, separators=(",", ":"))
    return hashlib.sha256(text.encode("ascii")).hexdigest()[:DIGITS]
