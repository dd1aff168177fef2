"""Writes layouts.json: what plans, features and answers of layouts that the library has no path for were when checked.

    python tests/golden/make_layouts.py        # in the project's environment, from its root

Presets, pooled and merged frames: positions, ids, some features, some logits and the answer, of tiny random ones.
`tests/test_layouts.py` makes them anew by the same functions and holds them against the file. Look at what changed
before writing it again: a change here is a change of what every model reads.
"""

import json
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

import layouts  # noqa: E402  # beside this folder

if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as root:
        found = {name: layouts.told(name, Path(root)) for name in layouts.NAMES}
    (HERE / "layouts.json").write_text(json.dumps(found, indent=0) + "\n", encoding="utf-8")
    print(f"{len(found)} layouts in {HERE / 'layouts.json'}")
