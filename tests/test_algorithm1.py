"""Algorithm 1 of arXiv 2505.05467, transcribed naively (lists, all recomputed), against Session. Knows no weights."""

import numpy as np
import pytest

from fakes import FRAME_TOKENS, FakeBackbone, make_frame, what
from streambridge.activation.scripted import Scripted
from streambridge.loading import load
from streambridge.replay import replay
from streambridge.session import Session
from streambridge.types import Answered, FrameTokens, OverBudget, Question

ANSWER_LEN = 8
TEXTS = ("what is this", "tell me when the light goes green", "read it", "is it over yet")


def length(items):
    return sum(item.tokens for item in items)


def compress(items, max_len, margin):
    """Appendix I: (image run, text run) pairs, oldest first; the plain mean of the first target + 1 frames."""
    rounds = [[[], []]]
    for item in items:
        frame = isinstance(item, FrameTokens)
        if frame and rounds[-1][1]:
            rounds.append([[], []])
        rounds[-1][0 if frame else 1].append(item)
    target = (length(items) - max_len) // FRAME_TOKENS + margin
    out = []
    for images, texts in rounds:
        n = len(images)
        if target > 0 and n >= 2:
            cut = n if n <= target + 1 else target + 1
            target = target - (n - 1) if cut == n else 0
            images = [mean(images[:cut])] + images[cut:]
        out += images + texts
    return out


def mean(frames):
    embeds = np.mean([frame.bundle["embeds"] for frame in frames], axis=0)
    count = sum(frame.frames for frame in frames)
    numbers = tuple(number for frame in frames for number in frame.bundle["seen"])
    t = sum(frame.t * frame.frames for frame in frames) / count
    span = (frames[0].span[0], frames[-1].span[1])
    return FrameTokens({"embeds": embeds, "seen": numbers}, FRAME_TOKENS, t, span, count)


def algorithm_1(frames, queries, fires, max_len, write_back, margin):
    """Lines 1 to 18, as printed."""
    model = FakeBackbone()
    mb, t_q, q, plans, answers = [], None, None, [], []
    for t, frame in enumerate(frames):
        mb.append(model.encode(frame))  # line 4
        if t in queries:
            mb.append(model.turn("user", queries[t], float(t), "question", f"q{sorted(queries).index(t)}"))  # line 6
            t_q, q = t, queries[t]  # line 7
        d = t in fires[q] if t_q is not None else False  # lines 8 to 11
        if d:
            embeds = list(mb)  # line 13
            if length(embeds) > max_len:  # line 14
                embeds = compress(embeds, max_len, margin)  # line 15
                mb = list(embeds) if write_back else mb
            plans.append(embeds)
            r = list(model.answer(model.render(embeds), ANSWER_LEN))  # line 16
            answers.append("".join(piece.text for piece in r))
            mb.append(model.spoken(r, float(t), f"a{len(answers) - 1}"))  # line 17
    return plans, answers


def random_stream(seed):
    rng = np.random.default_rng(seed)
    n = int(rng.integers(1, 60))
    at = rng.choice(n, size=min(n, int(rng.integers(0, 5))), replace=False)
    queries = {int(t): text for t, text in zip(sorted(at), TEXTS, strict=False)}
    fires = {text: sorted(int(t) for t in rng.choice(n, size=int(rng.integers(0, n)))) for text in TEXTS}
    for t in queries:  # see test_a_frame_is_judged_for_the_old_question_before_the_new_one_comes
        fires = {text: [at for at in times if at != t or queries[t] == text] for text, times in fires.items()}
    return n, queries, fires, int(rng.integers(48, 250))


def values(item):
    """Plain values, the mean rounded: numpy sums in another order."""
    return tuple(tuple(np.round(v, 9)) if isinstance(v, tuple) and v and isinstance(v[0], float) else v for v in item)


def compare(seed, policy):
    n, queries, fires, max_len = random_stream(seed)
    backbone = FakeBackbone()
    gate = Scripted({text: [float(t) for t in times] for text, times in fires.items()})
    session = Session(
        backbone, gate, compression=load("memory", policy), max_len=max_len, answer_len=ANSWER_LEN, cue=False
    )
    asked = [Question(f"x{t}", float(t), text, "auto") for t, text in queries.items()]
    events = list(replay(session, [make_frame(t) for t in range(n)], asked))
    margin = 2 if policy == "repo" else 1
    plans, answers = algorithm_1([make_frame(t) for t in range(n)], queries, fires, max_len, policy == "repo", margin)
    assert [[values(item) for item in plan] for plan in backbone.plans] == [
        [values(what(item)) for item in plan] for plan in plans
    ]
    assert [event.text for event in events if isinstance(event, Answered)] == answers
    over = sum(isinstance(event, OverBudget) for event in events)
    assert over == sum(length(plan) > max_len for plan in plans)  # what the original passes over in silence is told
    merged = sum(any(isinstance(i, FrameTokens) and i.frames > 1 for i in plan) for plan in plans)
    return len(answers), merged, over


def compare_many(policy, count):
    found = [compare(seed, policy) for seed in range(count)]
    answers, merged, over = (sum(column) for column in zip(*found, strict=True))
    assert answers > count and merged > count / 4 and over > 0  # the streams say something about all three


@pytest.mark.parametrize("policy", ["paper", "repo"])
def test_algorithm_1_transcribed_naively_reads_and_says_the_same(policy):
    compare_many(policy, 50)


@pytest.mark.slow
@pytest.mark.parametrize("policy", ["paper", "repo"])
def test_algorithm_1_transcribed_naively_reads_and_says_the_same_on_1000_streams(policy):
    compare_many(policy, 1000)


def test_a_frame_is_judged_for_the_old_question_before_the_new_one_comes():
    # Where we differ: Algorithm 1 waits for the query of a step before it judges the step's frame (lines 5 to 9), which
    # only a script can know. Live, the frame is there first, and the old question may fire on it.
    gate = Scripted({TEXTS[0]: [3.0], TEXTS[1]: [3.0]})
    session = Session(FakeBackbone(), gate, compression=load("memory", "paper"), cue=False)
    asked = [Question("x", 1.0, TEXTS[0], "auto"), Question("y", 3.0, TEXTS[1], "auto")]
    events = list(replay(session, [make_frame(t) for t in range(6)], asked))
    assert [(e.asked, e.t_fired) for e in events if isinstance(e, Answered)] == [("q0", 3.0), ("q1", 3.0)]
