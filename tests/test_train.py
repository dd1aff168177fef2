"""Promises of training: sequences stand as they are served, losses fall, a killed run goes on. Knows no weights.

The live side is a backbone of its own: frames are rows of a unit matrix, merged by the product's mean, and answers
come from the world's truth, never from the teacher under test.
"""

import dataclasses
import itertools
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import fakes_pair
from streambridge import loading, recipe
from streambridge.activation.score_head import ScoreHead
from streambridge.activation.score_net import Reach
from streambridge.activation.scripted import Scripted
from streambridge.backbones.merging import mean_of
from streambridge.backbones.tiny import Tiny, Words
from streambridge.errors import BadInput
from streambridge.replay import replay
from streambridge.session import Session
from streambridge.train import embedded, gate, layout, loop, words
from streambridge.train.features import Seen
from streambridge.types import Compressed, Forgot, Frame, FrameTokens, Piece, Turn
from streambridge.world.script import World
from streambridge.world.truth import QUESTIONS, TAUGHT, WATCHES

GRID = (3, 3)
ROOT = Path(__file__).parent.parent
RECIPES = {"embedded_backbone": embedded.Recipe, "embedded_gate": gate.Recipe}  # a new recipe needs a line here


@pytest.fixture(scope="session")
def tokenizer():
    return fakes_pair.tokenizer()


class Recorder(Words):
    """Reads and says; notes what it read (plan, items, newest second) and what it said."""

    name = "recorder"

    def __init__(self, tokenizer, world):
        super().__init__(tokenizer, GRID, 1 << 30)
        self.world, self.rows = world, torch.eye(int(world.duration_s))
        self.noted, self._items = [], ()

    def encode(self, frame):
        return FrameTokens({"embeds": self.rows[int(frame.t)]}, len(self.frame_ids), frame.t, (frame.t, frame.t))

    def merge(self, parts):
        return mean_of(parts)

    def render(self, items, header=True):
        self._items = tuple(items)
        return super().render(items, header)

    def reader(self, room):
        return None

    def answer(self, plan, max_tokens, reader=None):
        items = self._items
        asked = [item for item in items if isinstance(item, Turn) and item.role == "user"][-1]
        second = max(item.span[1] for item in items if isinstance(item, FrameTokens))
        kind, arg = fakes_pair.named(asked.text)
        if kind in QUESTIONS:
            text = QUESTIONS[kind].answer(self.world, second, arg)
        else:
            text = [said for t, said in WATCHES[kind].happens(self.world, arg) if second - 1 < t <= second][-1]
        ids = self.encode_text(text)
        self.noted.append((plan, items, ids))
        yield from (Piece(token, "") for token in ids)


def listen(timeline, world, tokenizer, max_len):
    """The same timeline through a live Session: what its backbone read for each answer, and all events."""
    recorder = Recorder(tokenizer, world)
    fires = {}
    for question in timeline.questions:
        if question.when == "watch":
            happens = WATCHES[question.kind].happens(world, fakes_pair.named(question.text)[1])
            fires[question.text] = [t for t, _ in happens if question.t < t <= world.duration_s - 1]
    session = Session(recorder, Scripted(fires), compression=loading.load("memory", "round_decay"), max_len=max_len)
    frames = (Frame(np.zeros((1, 1, 3), np.uint8), float(t)) for t in range(int(world.duration_s)))
    return recorder.noted, list(replay(session, frames, timeline.questions))


def learned(sample):
    """Each answer that a sample teaches: (the place of its header's last token, its labels)."""
    picked = np.flatnonzero(sample.labels != -100)
    runs = np.split(picked, np.flatnonzero(np.diff(picked) > 1) + 1) if len(picked) else []
    return [(int(run[0]), sample.labels[run].tolist()) for run in runs]


def weights_of(sample, rows):
    """What `frames` says of each frame, as weights over seconds."""
    table = torch.zeros(len(sample.frames), rows)
    for k, seconds in enumerate(sample.frames):
        table[k, list(seconds)] = 1 / len(seconds)
    return table


def compare(tokenizer, seed):
    """One random dialogue both ways; how often memory was compacted, words were forgotten, cues were given."""
    rng = np.random.default_rng([17, seed])
    world = World(seed, float(rng.integers(20, 150)), "train")
    timeline = words.dialogue(world, rng, float(rng.uniform(1, 9)))
    max_len = int(rng.integers(300, 1000))
    samples = layout.lay_out(timeline, tokenizer, GRID, loading.load("memory", "round_decay"), max_len)
    noted, events = listen(timeline, world, tokenizer, max_len)
    taught = [(sample, at, labels) for sample in samples for at, labels in learned(sample)]
    assert len(taught) == len(noted) > 0
    stop = tokenizer.token_to_id("<|im_end|>")
    for (sample, at, labels), (plan, items, ids) in zip(taught, noted, strict=True):
        assert sample.ids[: at + 1].tolist() == [token for s in plan.segments for token in s.ids]
        served = np.concatenate([segment.positions for segment in plan.segments], axis=1)
        assert np.array_equal(sample.positions[:, : at + 1], served)
        assert labels == [*ids, stop] and sample.ids[at + 1 : at + 1 + len(labels)].tolist() == labels
        seen = [item for item in items if isinstance(item, FrameTokens)]
        places = [place for place in sample.places if place < at]
        assert len(places) == len(seen)
        torch.testing.assert_close(
            weights_of(sample, int(world.duration_s))[: len(seen)],
            torch.stack([item.bundle["embeds"] for item in seen]),
            atol=1e-6,
            rtol=0,
        )
        pads = [token == tokenizer.token_to_id("<|image_pad|>") for token in sample.ids[: at + 1].tolist()]
        assert [k for k, (a, b) in enumerate(itertools.pairwise([False, *pads])) if b and not a] == places
    cues = sum(isinstance(i, Turn) and i.kind == "cue" for _, items, _ in noted for i in items[-1:])
    return np.array([len(taught), sum(isinstance(e, Compressed) for e in events),
                     sum(isinstance(e, Forgot) for e in events), cues, len(samples)])  # fmt: skip


def compare_many(tokenizer, seeds):
    answers, compacted, forgot, cues, samples = sum(compare(tokenizer, seed) for seed in seeds)
    n = len(seeds)
    assert answers > 10 * n and compacted > n and forgot > 0 and cues > n and samples < answers


def test_training_sequences_are_what_a_live_session_reads_and_says(tokenizer):
    compare_many(tokenizer, range(10))


@pytest.mark.slow
def test_training_sequences_are_what_a_live_session_reads_and_says_200_times(tokenizer):
    compare_many(tokenizer, range(1000, 1200))


def lessons(tokenizer, seed, count=3, seconds=30, max_len=400):
    """Samples of random dialogues with random vision tokens."""
    rng, pairs = np.random.default_rng(seed), []
    for number in range(count):
        world = World(number, float(seconds), "train")
        tokens = torch.from_numpy(rng.standard_normal((seconds + 3, 9, 192), dtype=np.float32)).half()
        policy = loading.load("memory", "round_decay")
        timeline = words.dialogue(world, rng, 3.0)
        pairs += [(s, tokens) for s in layout.lay_out(timeline, tokenizer, GRID, policy, max_len)]
    return pairs


def test_every_second_stands_in_one_frame_of_a_sample_at_most_in_order(tokenizer):
    merged = 0
    for sample, _ in lessons(tokenizer, 5, count=6, seconds=60, max_len=300):
        rows = [row for frame in sample.frames for row in frame]
        assert rows == sorted(set(rows)) and all(frame for frame in sample.frames)
        assert len(sample.places) == len(sample.frames)
        assert len(sample.ids) == len(sample.labels) == sample.positions.shape[1]
        merged += sum(len(frame) > 1 for frame in sample.frames)
    assert merged > 10


def test_a_batch_holds_mean_features_in_their_places_and_words_elsewhere(tokenizer):
    batch = lessons(tokenizer, 6, seconds=40)
    embed = nn.Embedding(tokenizer.get_vocab_size(), 192)
    embeds, positions, labels = words.embed_batch(batch, embed)
    longest = max(len(sample.ids) for sample, _ in batch)
    assert embeds.shape == (len(batch), longest, 192) and positions.shape == (3, len(batch), longest)
    merged = 0
    for row, (sample, tokens) in enumerate(batch):
        n = len(sample.ids)
        expected = embed(torch.from_numpy(sample.ids).long()).detach().clone()
        for place, seconds in zip(sample.places, sample.frames, strict=True):
            expected[place : place + 9] = tokens[list(seconds)].float().mean(0)
            merged += len(seconds) > 1
        torch.testing.assert_close(embeds[row, :n].detach(), expected, atol=1e-5, rtol=1e-5)
        assert np.array_equal(positions[:, row, :n], sample.positions)
        assert np.array_equal(labels[row, :n], sample.labels) and (labels[row, n:] == -100).all()
    assert merged and any(len(sample.ids) < longest for sample, _ in batch)


def test_padding_changes_no_loss(tokenizer):
    model = fakes_pair.new_backbone(tokenizer, 1)
    short, *_, long = sorted(lessons(tokenizer, 7, seconds=20), key=lambda pair: len(pair[0].ids))
    assert len(short[0].ids) < len(long[0].ids)
    counts = [int((pair[0].labels != -100).sum()) for pair in (short, long)]
    with torch.inference_mode():
        alone = [float(words.loss_of(model, [pair])[0]) for pair in (short, long)]
        both = float(words.loss_of(model, [short, long])[0])
    assert both == pytest.approx(np.average(alone, weights=counts), rel=2e-2)  # bfloat16


def test_exact_counts_answers_that_are_wholly_right():
    picked = torch.tensor([[0, 1, 1, 0, 1, 0], [1, 1, 1, 0, 0, 1]], dtype=torch.bool)
    right = torch.tensor([True, True, False, True, False, True, True])
    assert words._exact(right, picked) == 2 / 4
    assert words._exact(torch.tensor([], dtype=torch.bool), torch.zeros(1, 4, dtype=torch.bool)) == 0


def steps_of(loss_of, parameters, lr, steps):
    """The losses of a few optimiser steps on one batch."""
    optimiser, losses = torch.optim.AdamW(parameters, lr=lr), []
    for _ in range(steps):
        loss, figures = loss_of()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    return losses, figures


def test_the_words_of_a_few_lessons_can_be_learned(tokenizer):
    model = fakes_pair.new_backbone(tokenizer, 1)
    batch = lessons(tokenizer, 8, count=1, seconds=8, max_len=900)[:1]
    losses, figures = steps_of(lambda: words.loss_of(model, batch), model.model.language_model.parameters(), 3e-3, 10)
    assert losses[-1] < 0.3 * losses[0] and losses[0] > 3 and 0 <= figures["exact"] <= 1


# ---------------------------------------------------------------------------------------------- the gate's windows


def numbered(seed, seconds):
    """A world whose vision tokens spell their second."""
    rows = torch.arange(seconds).float()[:, None, None].expand(seconds, 3, 12)
    return Seen(World(seed, float(seconds), "train"), rows.half())


def a_recipe(**changes):
    """The gate's own recipe, made small."""
    plan = recipe.read(ROOT / "recipes" / "embedded_gate.yaml", gate.Recipe)
    evenly = (1 / len(WATCHES),) * len(WATCHES)
    stages = {name: dataclasses.replace(getattr(plan, name), kinds=evenly) for name in ("pairs", "windows")}
    small = dict(threads=1, frames=6, answers=2, dev_worlds=1, dev_s=12, **stages)
    return dataclasses.replace(plan, **{**small, **changes})


def due(kind, arg, world, after, second):
    """What happened at the frame of this second, for a watch put at `after`."""
    return [text for t, text in WATCHES[kind].happens(world, arg) if t > after and second - 1 < t <= second]


def test_a_window_holds_what_a_live_watch_would_hold_and_is_positive_where_the_truth_says_so(tokenizer):
    kinds, positives, forgotten, told = set(), 0, 0, 0
    for number in range(200):
        rng = np.random.default_rng(number)
        one = numbered(number % 7, 60)
        window = gate.window(one, tokenizer, a_recipe(), rng)
        kind, arg = fakes_pair.named(tokenizer.decode(window.entries[0]).strip())
        kinds.add(kind)
        seconds = [int(entry[0, 0]) for entry in window.entries if isinstance(entry, torch.Tensor)]
        assert seconds == list(range(seconds[0], seconds[-1] + 1)) and 1 <= len(seconds) <= 6
        assert len(window.labels) == len(seconds)
        holds = WATCHES[kind].holds
        for second, label in zip(seconds, window.labels, strict=True):
            if label >= 0 and holds is None:
                assert label == bool(due(kind, arg, one.world, -1, second)) or second == seconds[0]
            elif label >= 0:
                assert label == holds(one.world, second, arg)
            else:
                assert second == seconds[0]  # only the first frame after a cut may go unjudged
            positives += label == 1
        place = next(k for k, entry in enumerate(window.entries) if isinstance(entry, torch.Tensor))
        assert place - 1 <= 2  # answers from before the frames held
        second = None
        for entry in window.entries[place:]:
            if isinstance(entry, torch.Tensor):
                second = int(entry[0, 0])
            else:
                told += 1
                assert tokenizer.decode(entry).strip() == due(kind, arg, one.world, -1, second)[-1]
        happened = sum(bool(due(kind, arg, one.world, -1, second)) for second in seconds)
        forgotten += happened - sum(not isinstance(entry, torch.Tensor) for entry in window.entries[place:])
    assert kinds == set(WATCHES) and positives > 50 and told > 50 and 0 < forgotten < told


def test_a_pair_is_two_neighbouring_frames_with_something_to_tell_in_about_half(tokenizer):
    kinds, positives = set(), 0
    for number in range(200):
        one = numbered(number % 7, 60)
        sample = gate.pair(one, tokenizer, a_recipe(), np.random.default_rng(number))
        question, before, now = sample.entries
        first, second = int(before[0, 0]), int(now[0, 0])
        kind, arg = fakes_pair.named(tokenizer.decode(question).strip())
        kinds.add(kind)
        holds = WATCHES[kind].holds
        assert second == first + 1 and sample.labels[1] == (
            bool(due(kind, arg, one.world, -1, second)) if holds is None else holds(one.world, second, arg)
        )
        assert sample.labels[0] == (-1 if holds is None else holds(one.world, first, arg))
        positives += sample.labels[1]
    assert kinds == set(WATCHES) and 80 < positives < 140


def test_the_gates_loss_of_a_batch_is_the_mean_over_its_judged_frames(tokenizer):
    net = fakes_pair.random_net(tokenizer.get_vocab_size(), Reach(6, 2))
    windows = [gate.window(numbered(3, 40), tokenizer, a_recipe(), np.random.default_rng(k)) for k in range(5)]
    judged = []
    for one in windows:
        one.entries[:] = [entry / 60 if isinstance(entry, torch.Tensor) else entry for entry in one.entries]
        with torch.inference_mode():
            judged += [pair for pair in zip(net.logits(one.entries).tolist(), one.labels, strict=True) if pair[1] >= 0]
    expected = np.mean([np.log1p(np.exp(-logit if label else logit)) for logit, label in judged])
    with torch.inference_mode():
        loss, _ = gate.loss_of(net, windows)
    assert float(loss) == pytest.approx(expected, rel=5e-2)  # bfloat16
    assert len(judged) < sum(len(one.labels) for one in windows)  # some are not judged
    assert len({len(one.entries) for one in windows}) > 1  # some are padded


def test_a_few_windows_can_be_learned(tokenizer):
    net = fakes_pair.random_net(tokenizer.get_vocab_size(), Reach(6, 2)).train()
    windows = [gate.window(numbered(k, 40), tokenizer, a_recipe(), np.random.default_rng(k)) for k in range(6)]
    for one in windows:
        one.entries[:] = [torch.sin(e + torch.arange(12)) if isinstance(e, torch.Tensor) else e for e in one.entries]
    assert any(1 in one.labels for one in windows)
    losses, figures = steps_of(lambda: gate.loss_of(net, windows), net.parameters(), 1e-2, 40)
    assert losses[-1] < 0.4 * losses[0]
    assert set(figures) == {"found", "right"} and figures["found"] > 0.5


# ---------------------------------------------------------------------------------------------- the loop


class Killed(BaseException):
    """As if the process were killed."""


def fit(path, steps=30, kill_at=None, seed=0, notes=None):
    """A small model on batches that are a function of the step; how many steps were made, and the weights."""
    torch.manual_seed(seed)
    model, made = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 1)), []

    def losses(first):
        for step in range(first, steps):
            if step == kill_at:
                raise Killed
            made.append(step)
            x = torch.from_numpy(np.random.default_rng(step).standard_normal((16, 4), dtype=np.float32))
            yield lambda x=x: (((model(x) - x.sum(1, keepdim=True)) ** 2).mean(), {"x": float(x[0, 0])})

    note = (lambda step, figures: notes.append((step, figures))) if notes is not None else (lambda step, figures: None)
    loop.fit(model, losses, loop.Pace(steps, 1e-2, warmup=5), path, "test", note)
    return made, torch.cat([p.detach().flatten() for p in model.parameters()])


def test_a_run_killed_and_started_again_ends_where_an_uninterrupted_one_ends(tmp_path, monkeypatch):
    _, whole = fit(tmp_path / "whole.pt")
    monkeypatch.setattr(loop, "SAVE_EVERY_S", 0.0)
    with pytest.raises(Killed):
        fit(tmp_path / "cut.pt", kill_at=17)
    made, again = fit(tmp_path / "cut.pt", seed=99)  # begins from other weights, which the checkpoint replaces
    assert made == list(range(17, 30))
    assert torch.equal(again, whole)
    saved = torch.load(tmp_path / "cut.pt", weights_only=True)
    assert saved["step"] == 30 and len(saved["optimiser"]["state"]) == 4


def test_a_kill_between_two_savings_goes_on_from_the_last_one(tmp_path, monkeypatch):
    monkeypatch.setattr(loop, "SAVE_EVERY_S", 0.0)
    with pytest.raises(Killed):
        fit(tmp_path / "cut.pt", kill_at=9)
    monkeypatch.undo()
    with pytest.raises(Killed):
        fit(tmp_path / "cut.pt", kill_at=20)  # nothing is saved in these steps
    assert fit(tmp_path / "cut.pt")[0] == list(range(9, 30))


def test_a_finished_run_does_nothing_more(tmp_path):
    _, weights = fit(tmp_path / "done.pt")
    made, again = fit(tmp_path / "done.pt", seed=7)
    assert made == [] and torch.equal(weights, again)


def test_a_kill_while_writing_leaves_the_old_checkpoint(tmp_path, monkeypatch):
    fit(tmp_path / "run.pt", steps=5)
    before = (tmp_path / "run.pt").read_bytes()

    def torn(what, path):
        Path(path).write_bytes(b"half")
        raise Killed

    monkeypatch.setattr(torch, "save", torn)
    with pytest.raises(Killed):
        fit(tmp_path / "run.pt", steps=8)
    assert (tmp_path / "run.pt").read_bytes() == before


@pytest.mark.parametrize("content", [b"", b"junk", b"PK\x03\x04junk", "other"])
def test_a_checkpoint_that_is_none_is_told_in_one_line(tmp_path, content):
    path = tmp_path / "run.pt"
    torch.save({"module": {}, "step": 3}, path) if content == "other" else path.write_bytes(content)
    with pytest.raises(BadInput, match="remove it to begin anew") as told:
        fit(path)
    assert "\n" not in str(told.value) and str(path) in str(told.value)


def test_figures_are_told_every_hundred_steps(tmp_path):
    notes = []
    fit(tmp_path / "run.pt", steps=250, notes=notes)
    assert [step for step, _ in notes] == [100, 200]
    assert all(set(figures) == {"x", "loss"} for _, figures in notes)


def test_the_pace_rises_then_falls_to_nothing():
    pace = loop.Pace(1000, 1.0, warmup=100)
    rates = [pace.rate(step) for step in range(1001)]
    assert rates[0] == 0.01 and max(rates) == rates[150] == 1.0 and rates[1000] == 0.0
    assert all(a <= b for a, b in itertools.pairwise(rates[:100]))
    assert all(a >= b for a, b in itertools.pairwise(rates[300:]))


# ---------------------------------------------------------------------------------------------- recipes


def test_every_recipe_has_its_class():
    assert {path.stem for path in (ROOT / "recipes").glob("*.y*ml")} == set(RECIPES)


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_fills_its_class(name):
    assert isinstance(recipe.read(ROOT / "recipes" / f"{name}.yaml", RECIPES[name]), RECIPES[name])


def test_the_curriculum_goes_on_to_the_last_step_and_worlds_are_long_enough_for_it():
    plan = recipe.read(ROOT / "recipes" / "embedded_backbone.yaml", embedded.Recipe)
    for taught in (plan.words, plan.quiet):
        until = [phase.until for phase in taught.phases]
        assert until == sorted(until) and until[-1] == 1.0
        assert max(phase.seconds[1] for phase in taught.phases) <= plan.worlds.long_s


def test_the_gates_shares_are_of_every_kind_of_watch():
    plan = recipe.read(ROOT / "recipes" / "embedded_gate.yaml", gate.Recipe)
    for stage in (plan.pairs, plan.windows):
        assert len(stage.kinds) == len(WATCHES) and sum(stage.kinds) == pytest.approx(1.0)


@dataclasses.dataclass(frozen=True)
class Part:
    until: float
    between: tuple[int, int]
    of: tuple[float, ...]


@dataclasses.dataclass(frozen=True)
class Whole:
    seed: int
    steps: int
    name: str
    parts: tuple[Part, ...]
    best: float | None = None


GOOD = """
seed: 1
steps: 10
name: a name
parts:
  - {until: 0.5, between: [3, 10], of: [1, 2.5]}
  - {until: 1, between: [3, 10], of: []}
"""


def test_a_recipe_fills_its_class_with_parts_pairs_and_defaults(tmp_path):
    (tmp_path / "good.yaml").write_text(GOOD)
    found = recipe.read(tmp_path / "good.yaml", Whole)
    assert found == Whole(1, 10, "a name", (Part(0.5, (3, 10), (1.0, 2.5)), Part(1.0, (3, 10), ())), None)
    assert isinstance(found.parts[1].until, float) and isinstance(found.parts[0].of[0], float)
    (tmp_path / "good.yaml").write_text(GOOD + "best: 3\n")
    assert recipe.read(tmp_path / "good.yaml", Whole).best == 3.0


CHANGED = {
    "an unknown key": (("steps:", "stepz:"), r"unknown key 'stepz'; did you mean 'steps'\? There are: best, name"),
    "a key like no other": (("steps:", "x:"), r"unknown key 'x'. There are: best, name, parts, seed, steps"),
    "a number as a key": (("steps:", "7:"), r"unknown key 7. There are"),
    "a missing key": (("steps: 10", ""), r"missing key 'steps'"),
    "a word for a number": (("steps: 10", "steps: many"), r"steps: expected int, got 'many'"),
    "a number for a word": (("name: a name", "name: 7"), r"name: expected str, got 7"),
    "a fraction for a count": (("steps: 10", "steps: 1.5"), r"steps: expected int, got 1\.5"),
    "a boolean for a count": (("steps: 10", "steps: true"), r"steps: expected int, got True"),
    "a boolean for a number": (("until: 0.5", "until: no"), r"parts\[0\]: until: expected float, got False"),
    "nothing for a number": (("until: 0.5", "until:"), r"parts\[0\]: until: expected float, got None"),
    "a number for a list": (("of: []", "of: 3"), r"parts\[1\]: of: expected a list, got 3"),
    "a word in a list": (("of: [1, 2.5]", "of: [1, x]"), r"parts\[0\]: of\[1\]: expected float, got 'x'"),
    "a list for keys": (("- {until: 1,", "- [1]\n  - {until: 1,"), r"parts\[1\]: expected keys and values, got \[1\]"),
    "an unknown key deep inside": (
        ("between: [3", "betwen: [3"),
        r"parts\[0\]: unknown key 'betwen'; did you mean 'betw",
    ),
    "too few in a pair": (("[3, 10]", "[3]"), r"parts\[0\]: between: expected 2 values, got \[3\]"),
}
NO_RECIPE = {
    "a list": (b"- 1\n- 2\n", r"expected keys and values, got \[1, 2\]"),
    "a word": (b"hello", r"expected keys and values, got 'hello'"),
    "nothing": (b"", r"is empty; expected keys and values"),
    "an open bracket": (b"seed: [1, 2", r"cannot be read as a recipe"),
    "a tab": (b"seed:\n\t- 1", r"cannot be read as a recipe"),
    "a tag": (b"seed: !!python/object/apply:os.getcwd []", r"cannot be read as a recipe"),
    "a date that is none": (b"seed: 2020-99-99", r"cannot be read as a recipe"),
    "many brackets": (b"[" * 2000, r"cannot be read as a recipe"),
    "no text": (b"\xff\xfe\x00\x9c", r"cannot be read as a recipe"),
    "a zero byte": (b"seed: \x00", r"cannot be read as a recipe"),
}


@pytest.mark.parametrize(("change", "told"), CHANGED.values(), ids=CHANGED)
def test_a_wrong_key_or_value_is_told_in_one_line(tmp_path, change, told):
    assert change[0] in GOOD
    expect_told(tmp_path / "broken.yaml", GOOD.replace(*change, 1).encode(), told)


@pytest.mark.parametrize(("content", "told"), NO_RECIPE.values(), ids=NO_RECIPE)
def test_what_is_no_recipe_is_told_in_one_line(tmp_path, content, told):
    expect_told(tmp_path / "broken.yaml", content, told)


def expect_told(path, content, told):
    path.write_bytes(content)
    with pytest.raises(BadInput, match=told) as err:
        recipe.read(path, Whole)
    assert str(err.value).startswith(str(path)) and "\n" not in str(err.value)


@pytest.mark.parametrize("place", ["nowhere.yaml", "", "x\0y"])
def test_a_recipe_that_is_not_there_is_told_in_one_line(tmp_path, place):
    with pytest.raises(BadInput, match="there is no file") as err:
        recipe.read(tmp_path / place, gate.Recipe)
    assert str(err.value).isprintable()


# ---------------------------------------------------------------------------------------------- all stages


def test_a_tiny_recipe_makes_a_pair_that_loads_and_is_not_made_twice(tmp_path, monkeypatch):
    draw = embedded.vision.draw_looks
    monkeypatch.setattr(embedded.vision, "draw_looks", lambda seed, n, split: draw(seed, min(n, 16), split))
    phase = words.Phase(1.0, (3, 5), (900, 1000), (1.0, 2.0), 120)
    quiet = dataclasses.replace(phase, quiet=0.5)
    taught = [embedded.Words(2, 1e-3, (one,)) for one in (phase, quiet)]
    plan = embedded.Recipe(1, 1, embedded.Eyes(16, 2, 4, 1e-3), embedded.Worlds(2, 6, 1, 8), *taught)
    lines = []
    made = embedded.train(plan, tmp_path, lines.append)
    tiny = Tiny(made)
    seen = [tiny.encode(frame) for frame in itertools.islice(fakes_pair.pictures(1), 2)]
    asked = tiny.turn("user", "Read the sign.", 1.0, "question", "q0")
    assert len(list(tiny.answer(tiny.render([*seen, asked]), 3))) <= 3
    weights = (made / "model.safetensors").read_bytes()

    tokenizer, model, worlds = embedded.trained(tmp_path)
    assert [one.world.duration_s for one in worlds] == [6, 6, 8]
    assert all(one.tokens.shape == (one.world.duration_s, 9, 192) for one in worlds)
    folder = gate.train(
        a_recipe(pairs=gate.Stage(2, 3, 1e-3, (0.3, 0.3, 0.4)), windows=gate.Stage(2, 2, 1e-3, (0.3, 0.3, 0.4))),
        model,
        tokenizer,
        worlds,
        tmp_path,
        lines.append,
    )
    head = ScoreHead(tiny, folder=folder)
    session = Session(tiny, head)
    session.ask("Read every new sign.", 0.0, "watch")
    scored = [
        e for frame in itertools.islice(fakes_pair.pictures(2), 3) for e in session.see(frame) if e.type == "scored"
    ]
    assert len(scored) == 3

    shutil.rmtree(made)
    lines.clear()
    assert (embedded.train(plan, tmp_path, lines.append) / "model.safetensors").read_bytes() == weights
    assert not any("drawing" in line or "watching" in line for line in lines)


def test_a_gate_without_a_trained_model_is_told_what_comes_first(tmp_path):
    with pytest.raises(BadInput, match=r"first: streambridge train backbone RECIPE --out"):
        embedded.trained(tmp_path / "nowhere")


def test_what_is_taught_is_asked_for_in_dialogues():
    kinds, together = set(), 0
    for seed in range(20):
        timeline = words.dialogue(World(seed, 60.0, "train"), np.random.default_rng(seed), 3.0)
        asked = [question for question in timeline.questions if question.when == "now"]
        kinds |= {question.kind for question in timeline.questions}
        together += len(asked) - len({question.t for question in asked})
        assert all(question.t < 60 for question in timeline.questions)
    assert kinds == {*TAUGHT, *WATCHES} and together > 20
