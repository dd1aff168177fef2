"""Layouts that the library has no path for, as plain numbers: for test_layouts.py and make_layouts.py."""

import torch

import fakes_checkpoints as checkpoints
from streambridge.backbones.opening import open_model
from streambridge.bench.reference import frames

LAYOUTS = {"paper": "paper", "four tokens": 4, "merged": "native", "merged twice": "native", "two shapes": "native"}
NAMES = [f"{family}, {layout}" for family in checkpoints.FAMILIES for layout in LAYOUTS]


def told(name, root):
    """One layout of one family: ids, positions, features, logits, answer."""
    family, layout = name.split(", ")
    folder = root / family
    if not folder.exists():
        checkpoints.save(folder, family, 1)
    model = open_model(folder, tokens_per_frame=LAYOUTS[layout])
    items = _items(model, layout)
    plan = model.render(items)
    reader = model.reader(plan.tokens)
    reader.finish(plan)
    logits, features = reader.track.logits(), items[0].bundle["embeds"]
    return {
        "ids": [token for segment in plan.segments for token in segment.ids],
        "positions": [[int(one) for segment in plan.segments for one in segment.positions[row]] for row in (0, -1)],
        "features": _some(features),
        "deep": [_some(items[0].bundle[key]) for key in sorted(items[0].bundle) if key.startswith("deep")],
        "logits": _some(logits[None]),
        "answer": [piece.id for piece in model.answer(plan, 8)],
    }


def _items(model, layout):
    seen = [model.encode(one) for one in frames(6)]
    if layout == "merged":
        seen = [model.merge(seen[:3]), *seen[3:]]
    elif layout == "merged twice":
        seen = [model.merge([model.merge(seen[:2]), model.merge(seen[2:5])]), seen[5]]
    elif layout == "two shapes":
        seen = [model.merge([seen[0], model.encode(next(frames(1, 9, 120, 80)))]), seen[1]]
    asked = model.turn("user", "What is there now?", 6.0, "question", "q0")
    return [*seen, model.turn("user", "And?", 5.0, "question", "q"), asked]


def _some(tensor):
    """Sixteen numbers of [n, D], spread over it, and its mean square."""
    flat = tensor.float().flatten()
    at = torch.linspace(0, len(flat) - 1, 16).long()
    return [round(float(one), 5) for one in (*flat[at], flat.square().mean())]
