"""The published rule: worked examples, and a naive transcription of Appendix I's pseudo-code that ours must equal.

Knows `paper` and `repo` only. The statements are numbered as in the pseudo-code's reading: arXiv 2505.05467, App. I.
"""

import numpy as np
import pytest

from fakes_memory import filled, fit, flat_shapes, frame, frames_of, turns_of, words
from streambridge.errors import WrongUse
from streambridge.memory.paper import Paper
from streambridge.memory.repo import Repo
from streambridge.types import FrameTokens

streams = pytest.mark.parametrize("streams", [50, pytest.param(1000, marks=pytest.mark.slow)])


# ------------------------------------------------------------------------------- the pseudo-code, transcribed


def split_by_round(is_image):
    """Row numbers of image groups and text groups, in equal number, image first inside a round."""
    images, texts = [], []
    for row, image in enumerate(is_image):
        if image and (not images or texts[-1]):
            images.append([]), texts.append([])
        if not images:
            images.append([]), texts.append([])
        (images if image else texts)[-1].append(row)
    return images, texts


def naive(embeds, is_image, max_len, token_per_frame, margin=1):
    """Round-decayed compression as printed; embeds [L, dim] and the mask come back shorter."""
    if len(embeds) <= max_len:
        return embeds, is_image
    target = (len(embeds) - max_len) // token_per_frame + margin
    out, mask = [], []
    for image, text in zip(*split_by_round(is_image), strict=True):
        v = embeds[image].reshape(-1, token_per_frame, embeds.shape[-1])
        n = v.shape[0]
        if target > 0 and n >= 2:
            if n <= target + 1:
                v = v.mean(axis=0, keepdims=True)
                target -= n - 1
            else:
                v = np.concatenate([v[: target + 1].mean(axis=0, keepdims=True), v[target + 1 :]])
                target = 0
        out += [v.reshape(-1, embeds.shape[-1]), embeds[text]]
        mask += [True] * (v.shape[0] * token_per_frame) + [False] * len(text)
    return np.concatenate(out), mask


def rows(buffer):
    """The flat sequence of a buffer as the paper sees it: embeds [L, 2] and which rows are pictures."""
    out, mask = [np.zeros((0, 2))], []
    for item in buffer.items():
        image = isinstance(item, FrameTokens)
        out.append(item.bundle["embeds"] if image else np.full((item.tokens, 2), float(item.id[1:])))
        mask += [image] * item.tokens
    return np.concatenate(out), mask


def random_rounds(rng):
    """Rounds of frames and turns in any order: empty ones, without frames, without words, with leading text."""
    per_frame = int(rng.integers(1, 5))
    rounds, number = [], 0
    for _ in range(rng.integers(1, 7)):
        items = []
        for _ in range(rng.integers(0, 9)):
            number += 1
            turn = rng.random() < 0.25
            item = words(f"w{number}", int(rng.integers(1, 6))) if turn else _random_frame(rng, number, per_frame)
            items.append(item)
        rounds.append(items)
    return rounds, per_frame


def _random_frame(rng, number, per_frame):
    return FrameTokens({"embeds": rng.normal(size=(per_frame, 2)), "raw": (number,)}, per_frame, number, (number,) * 2)


@streams
@pytest.mark.parametrize("margin", [0, 1, 2])
def test_paper_equals_the_pseudo_code(streams, margin):
    rng = np.random.default_rng(11)
    shorter = 0
    for _ in range(streams):
        rounds, per_frame = random_rounds(rng)
        buffer = filled(rounds)
        embeds, mask = rows(buffer)
        limit = int(rng.integers(1, len(embeds) + 3))
        want, want_mask = naive(embeds, mask, limit, per_frame, margin)
        fit(buffer, Paper(margin=margin), limit)
        got, got_mask = rows(buffer)
        assert got_mask == want_mask and np.allclose(got, want, rtol=0, atol=1e-12)
        shorter += len(want) < len(embeds)
    assert shorter > streams // 4  # the comparison saw compression, not only short streams


@streams
def test_repo_equals_the_pseudo_code_written_back(streams):
    rng = np.random.default_rng(12)
    for _ in range(streams):
        rounds, per_frame = random_rounds(rng)
        limit = int(rng.integers(1, 60))
        buffer, state, mask = filled([[]]), np.zeros((0, 2)), []
        for items in rounds:
            for item in items:
                buffer.append(item)
            new, new_mask = rows(filled([items]))
            state, mask = naive(np.concatenate([state, new]), mask + new_mask, limit, per_frame, margin=2)
            fit(buffer, Repo(), limit)
            got, got_mask = rows(buffer)
            assert got_mask == mask and np.allclose(got, state, rtol=0, atol=1e-9)
            buffer.close()


# ------------------------------------------------------------------------------- worked examples


def example_a():
    """Tokens of a frame with value v are (v, v + 0.1); 27 tokens in three rounds."""
    values = ([1, 2, 3, 6], 2), ([10, 20, 30], 2), ([100, 200, 300], 3)
    return filled([[*(frame(v, tokens=2, step=0.1) for v in some), words("w0", text)] for some, text in values])


@pytest.mark.parametrize(
    ("policy", "limit", "after", "length"),
    [
        (Paper(), 20, [3, 15, 30, 100, 200, 300], 19),
        (Paper(), 18, [3, 20, 100, 200, 300], 17),
        (Paper(), 13, [3, 20, 200], 13),
        (Paper(), 11, [3, 20, 200], 13),  # the limit is broken, and says so by its tokens
        (Repo(), 20, [3, 20, 100, 200, 300], 17),
    ],
)
def test_example_a(policy, limit, after, length):
    buffer = example_a()
    fit(buffer, policy, limit)
    got = np.array([item.bundle["embeds"][:, 0] for item in frames_of(buffer)])
    assert np.allclose(got, np.array(after)[:, None] + [0.0, 0.1], rtol=0, atol=1e-6)
    assert buffer.tokens == length


TURNS = [[0, 0, 0, 0, 8, 8], [8, 8, 4], [4, 4, 4, 1], [1, 1, 1]]
LITERAL = [  # recompressed from the raw frames at each turn, length
    ([0, 0, 0, 0, 8, 8], 8),
    ([1.6, 8, 8, 8, 4], 9),
    ([8 / 3, 20 / 3, 3.25], 9),
    ([8 / 3, 20 / 3, 3.25, 1.0], 12),
]
WRITTEN_BACK = [LITERAL[0], LITERAL[1], ([4.8, 20 / 3, 3.25], 9), ([4.8, 20 / 3, 3.25, 1.0], 12)]


@pytest.mark.parametrize(
    ("policy", "expected"), [(Paper(), LITERAL), (Repo(margin=1), WRITTEN_BACK)], ids=["literal", "written back"]
)
def test_example_b(policy, expected):
    buffer = filled([[]])
    for values, (after, length) in zip(TURNS, expected, strict=True):
        for value in values:
            buffer.append(frame(value))
        buffer.append(words(tokens=2))
        buffer.close()
        read = buffer if policy.keeps else buffer.copy()
        fit(read, policy, 10)
        got = [float(item.bundle["embeds"][0, 0]) for item in frames_of(read)]
        assert got == pytest.approx(after, abs=1e-6) and read.tokens == length


# ------------------------------------------------------------------------------- what a faithful rule keeps


def test_at_the_limit_nothing_happens():
    buffer = example_a()
    assert fit(buffer, Paper(), 27) is None and fit(buffer, Repo(), 27) is None


def test_one_token_over_costs_exactly_one_frame_of_the_oldest_round_that_has_two():
    single = [frame(1, tokens=2), words("w0")]
    buffer = filled([single, [frame(2, tokens=2), frame(4, tokens=2), frame(9, tokens=2)]])
    before = frames_of(buffer)
    fit(buffer, Paper(), buffer.tokens - 1)
    after = frames_of(buffer)
    assert len(after) == 3 and after[0] is before[0] and after[2] is before[3]
    assert after[1].bundle["embeds"][0] == 3


@streams
def test_frames_removed_order_of_rounds_and_text_are_as_printed(streams):
    rng = np.random.default_rng(13)
    for _ in range(streams):
        rounds, per_frame = random_rounds(rng)
        buffer = filled(rounds)
        limit = int(rng.integers(1, buffer.tokens + 2))
        turns, frames, length = turns_of(buffer), frames_of(buffer), buffer.tokens
        runs = _runs(buffer)
        fit(buffer, Paper(), limit)
        left = _runs(buffer)
        removed = len(frames) - len(frames_of(buffer))
        wanted = (length - limit) // per_frame + 1 if length > limit else 0
        assert removed == min(wanted, sum(len(run) - 1 for run in runs))
        if length > limit and removed == wanted:
            assert limit - per_frame <= buffer.tokens < limit
        assert turns_of(buffer) == turns and len(left) == len(runs)
        assert [item for item in frames_of(buffer) if item.frames == 1] == [
            item for item in frames if any(item is kept for kept in frames_of(buffer))
        ]
        # No round is touched while an older one has frames to give; at most one is merged in part.
        touched = [len(after) < len(before) for before, after in zip(runs, left, strict=True)]
        spent = [len(after) == 1 for after in left]
        last = max([number for number, touch in enumerate(touched) if touch], default=0)
        assert all(spent[:last])


def _runs(buffer):
    runs, open_run = [], False
    for shape in flat_shapes(buffer):
        if shape.kind == "frame":
            runs.append([]) if not open_run else None
            runs[-1].append(shape)
        open_run = shape.kind == "frame"
    return runs


def test_the_raw_buffer_is_the_source_of_every_answer_in_paper_mode():
    buffer = example_a()
    first, second = buffer.copy(), buffer.copy()
    fit(first, Paper(), 13)
    fit(second, Paper(), 13)
    assert buffer.tokens == 27
    assert all(
        np.array_equal(a.bundle["embeds"], b.bundle["embeds"])
        for a, b in zip(frames_of(first), frames_of(second), strict=True)
    )


def test_frames_of_a_round_that_ended_without_words_belong_to_the_next_words():
    buffer = filled([[frame(1), frame(3)], [frame(5), words("w0")]])
    fit(buffer, Paper(), 2)
    assert [item.bundle["embeds"][0, 0] for item in frames_of(buffer)] == [3]
    assert [len(round_.items) for round_ in buffer.rounds] == [2]


def test_where_frames_differ_in_cost_the_first_one_counts():
    buffer = filled([[frame(0, tokens=3), words("w0")], [*(frame(v, tokens=2) for v in range(6)), words("w1")]])
    fit(buffer, Paper(), buffer.tokens - 6)
    assert len(frames_of(buffer)) == 7 - (6 // 3 + 1)  # with T = 2 it would be 7 - 4


def test_only_words_over_the_limit_change_nothing():
    buffer = filled([[words("w0", 5)], [words("w1", 5)]])
    assert fit(buffer, Paper(), 3) is None and buffer.tokens == 10


@pytest.mark.parametrize("policy", [Paper, Repo])
@pytest.mark.parametrize("margin", [-1, 1.0, True, None, "2"])
def test_a_margin_that_is_no_whole_number_is_refused(policy, margin):
    with pytest.raises(WrongUse, match="margin is a whole number, 0 or more; this one is"):
        policy(margin=margin)
