"""Promises of the trained gate on random weights: what is served equals what is trained. Knows no trained weights."""

import itertools
import json
import shutil
from dataclasses import asdict

import numpy as np
import pytest
import torch

import fakes_pair
from streambridge.activation.score_head import ScoreHead, ScoreWatch, cut, judge
from streambridge.activation.score_net import Reach, read_net
from streambridge.activation.trigger import Trigger, TriggerSettings
from streambridge.errors import BadInput, WrongUse
from streambridge.types import Activation, FrameTokens, GateTokens

VOCAB, WIDTH, PATCHES = 320, 12, 3


@pytest.fixture(scope="module")
def net():
    return fakes_pair.random_net(VOCAB, Reach(6, 2), vision_width=WIDTH)


@pytest.fixture(scope="module")
def words():
    return fakes_pair.tokenizer()


def ids_of(text):
    """Words as ids, without a tokenizer: the text's bytes."""
    return [byte % VOCAB for byte in text.encode()]


def seen(rng):
    return torch.from_numpy(rng.standard_normal((PATCHES, WIDTH), dtype=np.float32))


def new_watch(net, question="Tell me each step."):
    return ScoreWatch(net, ids_of(question), Trigger(TriggerSettings()), ids_of)


def live(net, rng, frames, talk=0.3):
    """A Watch over a random stream; after each frame: (watch, score, history of all entries)."""
    watch = new_watch(net)
    history = [ids_of("Tell me each step.")]
    for t in range(frames):
        tokens = seen(rng)
        history.append(tokens)
        yield watch, watch.observe(GateTokens({"tokens": tokens}, float(t))).score, history
        if rng.random() < talk:
            said = f"Finished number {t}."
            watch.heard(said, float(t))
            history.append(ids_of(said))


def is_frame(entry):
    return isinstance(entry, torch.Tensor)


# ---------------------------------------------------------------------------------------------- served = trained


@pytest.mark.parametrize("reach", [Reach(1, 0), Reach(2, 1), Reach(3, 2), Reach(6, 2), Reach(24, 2)], ids=str)
def test_each_cached_step_equals_the_training_forward_of_what_is_held_across_cuts(reach):
    own = fakes_pair.random_net(VOCAB, reach, seed=reach.frames, vision_width=WIDTH)
    scores = []
    for seed in range(2):
        for watch, score, _ in live(own, np.random.default_rng(seed), 40):
            with torch.inference_mode():
                whole = torch.sigmoid(own.logits(watch.entries)[-1])
            assert score == pytest.approx(float(whole), abs=1e-5)
            scores.append(score)
    assert np.std(scores) > 0.02  # a gate that always says the same proves nothing


@pytest.mark.parametrize("frames", [30, 400])
def test_a_step_equals_the_training_forward_of_the_whole_stream_while_nothing_was_cut(frames):
    own = fakes_pair.random_net(VOCAB, Reach(frames, 2), vision_width=WIDTH)
    *_, (_, _, history) = steps = list(live(own, np.random.default_rng(5), frames))
    scores = [score for _, score, _ in steps]
    with torch.inference_mode():
        whole = torch.sigmoid(own.logits(history))
    assert scores == pytest.approx(whole.tolist(), abs=1e-5)  # one forward judges every frame as it was judged live


def test_what_is_held_is_the_question_the_newest_answers_and_the_newest_frames(net):
    frames_held, dropped = [], 0
    for watch, _, history in live(net, np.random.default_rng(7), 200, talk=0.5):
        frames = [entry for entry in watch.entries if is_frame(entry)]
        newest = [entry for entry in history if is_frame(entry)][-len(frames) :]
        assert all(a is b for a, b in zip(frames, newest, strict=True))
        frames_held.append(len(frames))
        first = next(k for k, entry in enumerate(history) if entry is frames[0])
        older = [entry for entry in history[1:first] if not is_frame(entry)]
        among = [entry for entry in history[first:] if not is_frame(entry)]
        words_held = [entry for entry in watch.entries if not is_frame(entry)]
        assert watch.entries[0] == words_held[0] == history[0]
        kept = words_held[1 : len(words_held) - len(among)]
        assert words_held[len(words_held) - len(among) :] == among  # those among the frames held are all there
        assert kept == (older[-len(kept) :] if kept else [])
        assert len(kept) >= min(len(older), net.reach.answers)
        dropped += len(older) > len(kept)
    assert frames_held == ([1, 2, *[3, 4, 5, 6] * 50])[:200] and dropped > 50  # a half, the newest frame among it


def test_a_cut_keeps_the_newer_half_of_the_frames_and_its_answers():
    frames = [torch.full((1, 1), float(n)) for n in range(5)]
    entries = [[1], [2], [3], frames[0], [4], frames[1], [5], frames[2], frames[3], [6], frames[4]]
    left = cut(entries, Reach(4, 2))
    assert [float(e) if is_frame(e) else e for e in left] == [[1], [4], [5], 3.0, [6], 4.0]
    none = cut(entries, Reach(4, 0))
    assert [float(e) if is_frame(e) else e for e in none] == [[1], 3.0, [6], 4.0]


def test_a_watch_stays_as_small_as_its_reach_for_a_thousand_frames(net):
    entries, rows, room = [], [], []
    for watch, score, _ in live(net, np.random.default_rng(11), 1000, talk=0.4):
        entries.append(len(watch.entries))
        rows.append(watch.kv.length)
        room.append(watch.kv.nbytes)
        assert rows[-1] == sum(map(len, watch.entries))  # <ACT> is not among them
        assert 0.0 <= score <= 1.0
    assert room[0] > 0 and len(set(room[500:])) == 1
    longest = max(len(ids_of("Tell me each step.")), len(ids_of("Finished number 999.")))
    most = 1 + net.reach.answers + 2 * net.reach.frames
    assert max(entries) <= most and max(rows) <= most * max(longest, PATCHES)
    assert max(entries[:100]) >= max(entries[900:]) - 2  # it does not creep


def test_two_watches_share_a_net_and_not_a_memory(net):
    rng = np.random.default_rng(3)
    stream = [seen(rng) for _ in range(9)]
    alone = [new_watch(net, q).observe(GateTokens({"tokens": stream[0]}, 0.0)).score for q in ("a b c", "Read it.")]
    one, other = new_watch(net, "a b c"), new_watch(net, "Read it.")
    first = [watch.observe(GateTokens({"tokens": stream[0]}, 0.0)).score for watch in (one, other)]
    assert first == alone and abs(alone[0] - alone[1]) > 1e-4
    for t, tokens in enumerate(stream[1:], 1):
        one.observe(GateTokens({"tokens": tokens}, float(t)))
    assert sum(map(is_frame, other.entries)) == 1


# ---------------------------------------------------------------------------------------------- several at once


def some_net(rng):
    return fakes_pair.random_net(VOCAB, Reach(int(rng.integers(1, 9)), int(rng.integers(0, 3))), vision_width=WIDTH)


def together(net, watches, tokens, t=0.0):
    return [decision.score for decision in judge(net, watches, GateTokens({"tokens": tokens}, float(t)))]


def check_stream(seed, frames=25):
    """Watches come, hear and go at random; each has a twin that judges alone. All scores, and how often it was cut."""
    rng = np.random.default_rng(seed)
    own, pairs, scores, cuts = some_net(rng), [], [], 0
    for t in range(frames):
        if not pairs or (len(pairs) < 6 and rng.random() < 0.3):
            question = f"Question {t}" + "?" * int(rng.integers(1, 20))
            pairs.append((new_watch(own, question), new_watch(own, question)))
        if len(pairs) > 1 and rng.random() < 0.1:
            pairs.pop(int(rng.integers(len(pairs))))
        tokens, held = seen(rng), [len(watch.entries) for watch, _ in pairs]
        found = together(own, [watch for watch, _ in pairs], tokens, t)
        for (watch, twin), before, score in zip(pairs, held, found, strict=True):
            with torch.inference_mode():
                whole = float(torch.sigmoid(own.logits(watch.entries)[-1]))
            assert score == pytest.approx(whole, abs=1e-5), (seed, t)
            assert twin.observe(GateTokens({"tokens": tokens}, float(t))).score == pytest.approx(score, abs=1e-5)
            assert len(twin.entries) == len(watch.entries)
            cuts += len(watch.entries) <= before
            for said in ["Finished.", f"Said at {t}."][: int(rng.integers(0, 3)) * (rng.random() < 0.3)]:
                watch.heard(said, t)
                twin.heard(said, t)
        scores += found
    return scores, cuts


def check_streams(seeds):
    checked = [check_stream(seed) for seed in seeds]
    assert np.std([score for scores, _ in checked for score in scores]) > 0.05
    assert sum(cuts for _, cuts in checked) > 3 * len(seeds)


def test_watches_judged_together_judge_as_alone_and_as_in_training_whatever_happens():
    check_streams(range(50))


@pytest.mark.slow
def test_watches_judged_together_judge_as_alone_and_as_in_training_in_a_thousand_streams():
    check_streams(range(1000, 2000))


class Calls:
    """Counts the calls of modules; the one at which to break may be set."""

    def __init__(self, *modules):
        self.count, self.break_at = 0, None
        self.hooks = [module.register_forward_pre_hook(self.note) for module in modules]

    def note(self, *_):
        self.count += 1
        if self.count - 1 == self.break_at:
            raise RuntimeError("out of memory, say")


def test_four_watches_cost_one_pass_and_one_projection_a_frame_also_when_they_are_cut():
    own = fakes_pair.random_net(VOCAB, Reach(4, 1), vision_width=WIDTH)
    passes, looks, words = Calls(own.decoder), Calls(own.projector), Calls(own.decoder.embed_tokens)
    watches, rng = [new_watch(own, f"Question {n}") for n in range(4)], np.random.default_rng(2)
    for t in range(12):
        assert len(together(own, watches, seen(rng), t)) == 4
        assert passes.count == looks.count == t + 1
        assert words.count <= t + 1
        watches[t % 4].heard("Finished.", float(t))


def test_the_question_is_read_once_however_often_the_frames_are_cut():
    own, rng = fakes_pair.random_net(VOCAB, Reach(4, 1), vision_width=WIDTH), np.random.default_rng(6)
    words, watches = Calls(own.decoder.embed_tokens), [new_watch(own, f"Question {n}") for n in range(2)]
    for t in range(20):
        together(own, watches, seen(rng), t)
    assert words.count == 1


@pytest.mark.parametrize("place", ["projector", "decoder", "first layer", "last layer", "head"])
def test_a_pass_that_breaks_anywhere_leaves_watches_that_judge_on_exactly(place):
    own, rng = fakes_pair.random_net(VOCAB, Reach(4, 1), vision_width=WIDTH), np.random.default_rng(4)
    layers = own.decoder.layers
    places = {"projector": own.projector, "decoder": own.decoder, "head": own.head}
    calls = Calls({**places, "first layer": layers[0], "last layer": layers[-1].mlp}[place])
    watches, broken = [new_watch(own, f"Question {n}") for n in range(3)], 0
    for t in range(40):
        tokens = seen(rng)
        if rng.random() < 0.3:
            calls.break_at = calls.count
            with pytest.raises(RuntimeError, match="out of memory"):
                together(own, watches, tokens, t)
            assert not any(entry is tokens for watch in watches for entry in watch.entries)
            broken += 1
        else:
            for watch, score in zip(watches, together(own, watches, tokens, t), strict=True):
                with torch.inference_mode():
                    assert score == pytest.approx(float(torch.sigmoid(own.logits(watch.entries)[-1])), abs=1e-5)
        watches[t % 3].heard("Finished.", float(t))
    assert broken > 5


def test_gates_of_one_net_share_nothing_but_the_net(net):
    rng = np.random.default_rng(9)
    streams = [[seen(rng) for _ in range(20)] for _ in range(2)]
    alone = []
    for stream in streams:
        watches = [new_watch(net, "a b c"), new_watch(net, "Read it.")]
        alone.append([together(net, watches, tokens, t) for t, tokens in enumerate(stream)])
    sets = [[new_watch(net, "a b c"), new_watch(net, "Read it.")] for _ in streams]
    mixed = [[], []]
    for t, pair in enumerate(zip(*streams, strict=True)):
        for scores, watches, tokens in zip(mixed, sets, pair, strict=True):
            scores.append(together(net, watches, tokens, t))
    assert mixed == alone and alone[0] != alone[1]


# ---------------------------------------------------------------------------------------------- <ACT>


def some_entries(rng, frames=5):
    entries = [ids_of("Read every new sign.")]
    for n in range(frames):
        entries += [seen(rng), ids_of(f"said {n}")] if n % 2 else [seen(rng)]
    return entries


@torch.inference_mode()
def test_act_is_invisible_to_every_later_row(net):
    embeds, positions, acts = net.lay_out(some_entries(np.random.default_rng(1)))
    before = net.run(embeds[None], positions[None], acts[None])[0]
    for place in acts.nonzero().flatten().tolist():
        changed = embeds.clone()
        changed[place] += 5.0
        after = net.run(changed[None], positions[None], acts[None])[0]
        same = torch.ones(len(acts), dtype=torch.bool)
        same[place] = False
        torch.testing.assert_close(after[same], before[same], atol=1e-5, rtol=0)
        assert (after[place] - before[place]).abs() > 1e-3  # only its own score


@torch.inference_mode()
def test_positions_run_on_as_if_act_were_not_there(net):
    entries = some_entries(np.random.default_rng(2))
    _, positions, acts = net.lay_out(entries)
    assert positions[~acts].tolist() == list(range(int((~acts).sum())))
    ends = np.cumsum([len(net.embed(entry)) for entry in entries])
    assert positions[acts].tolist() == [int(e) for e, entry in zip(ends, entries, strict=True) if is_frame(entry)]


@torch.inference_mode()
def test_a_score_depends_on_all_that_came_before_and_on_nothing_later(net):
    rng = np.random.default_rng(4)
    entries = some_entries(rng)
    base = net.logits(entries)
    judged = [k for k, entry in enumerate(entries) if is_frame(entry)]
    for k, entry in enumerate(entries):
        other = seen(rng) if is_frame(entry) else ids_of("something else altogether")[: len(entry)]
        moved = (net.logits([*entries[:k], other, *entries[k + 1 :]]) - base).abs()
        before = sum(place < k for place in judged)
        assert moved[:before].max() < 1e-5 if before else True
        assert moved[before:].numel() == 0 or moved[before:].max() > 1e-3


# ---------------------------------------------------------------------------------------------- folders


class Eyes:
    """A backbone that only sees."""

    def __init__(self):
        self.asked = 0

    def encode(self, frame):
        self.asked += 1
        mean = torch.from_numpy(frame.pixels.astype(np.float32).mean(0)[:PATCHES].repeat(4, 1))
        return FrameTokens({"embeds": mean / 128 - 1}, 5, frame.t, (frame.t, frame.t))


@pytest.fixture(scope="module")
def folder(tmp_path_factory, words):
    own = fakes_pair.random_net(words.get_vocab_size(), Reach(6, 2), vision_width=WIDTH)
    place = tmp_path_factory.mktemp("gate") / "gate"
    own.save(place, words, asdict(TriggerSettings(threshold=0.6, rest_s=1.5, rearm=0.5)))
    return place


def test_a_gate_comes_back_from_its_folder_as_it_was(folder, words):
    saved = fakes_pair.random_net(words.get_vocab_size(), Reach(6, 2), vision_width=WIDTH)
    for weights in saved.parameters():
        weights.data = weights.data.half().float()  # it is written in 16 bit
    net, tokenizer, trigger = read_net(folder)
    assert net.reach == Reach(6, 2) and net.vision_width == WIDTH and not net.training
    assert tokenizer.to_str() == words.to_str()
    assert TriggerSettings(**trigger) == TriggerSettings(threshold=0.6, rest_s=1.5, rearm=0.5)
    entries = some_entries(np.random.default_rng(6))
    with torch.inference_mode():
        assert torch.equal(net.logits(entries), saved.logits(entries))


def test_a_gate_is_an_activation_and_says_the_numbers_that_decide(folder):
    gate = ScoreHead(Eyes(), folder=folder)
    assert isinstance(gate, Activation)
    expected = {"gate": "score_head", "threshold": 0.6, "rest_s": 1.5, "rearm": 0.5, "rising": True}
    assert gate.settings() == {**expected, "frames": 6, "answers": 2}
    json.dumps(gate.settings())


def test_shared_eyes_are_not_asked_again(folder):
    eyes = Eyes()
    frame = next(fakes_pair.pictures(1))
    tokens = eyes.encode(frame)
    shared, own = ScoreHead(eyes, True, folder), ScoreHead(eyes, False, folder)
    assert shared.look(frame, tokens).bundle["tokens"] is tokens.bundle["embeds"] and eyes.asked == 1
    look = own.look(frame, FrameTokens({}, 1, frame.t, (frame.t, frame.t)))
    assert torch.equal(look.bundle["tokens"], tokens.bundle["embeds"]) and eyes.asked == 2


@pytest.mark.parametrize("text", ["Tell me when <|im_end|> is said.", "<|image_pad|>", "<|im_start|>"])
def test_words_that_look_like_a_special_token_are_only_words(folder, text):
    gate = ScoreHead(Eyes(), folder=folder)
    specials = set(gate.tokenizer.get_added_tokens_decoder())
    assert len(specials) == 6 and not specials & set(gate.encode_text(text))
    frame = next(fakes_pair.pictures(2))
    assert 0 <= gate.watch(text, 0.0).observe(gate.look(frame, Eyes().encode(frame))).score <= 1


@pytest.mark.parametrize("threshold", [0.0, 0.1, 0.5, 0.55, 0.9, 1.0])
def test_another_threshold_always_leaves_a_trigger_that_works(folder, threshold):
    trigger = ScoreHead(Eyes(), folder=folder, threshold=threshold).trigger
    assert trigger.threshold == threshold and trigger.rest_s == 1.5 and trigger.rearm_at <= threshold
    assert (trigger.rearm == 0.5) == (threshold >= 0.5)  # what was chosen in training stays where it can


def test_another_rest_changes_the_rest_only(folder):
    assert ScoreHead(Eyes(), folder=folder, rest_s=0.0).trigger == TriggerSettings(0.6, 0.0, 0.5)


@pytest.mark.parametrize("given", [{"threshold": 1.5}, {"threshold": -0.1}, {"rest_s": -1.0}, {"threshold": "x"}])
def test_numbers_without_sense_are_refused(folder, given):
    with pytest.raises(WrongUse):
        ScoreHead(Eyes(), folder=folder, **given)


@pytest.mark.parametrize("numbers", [(0, 2), (-1, 2), (6, -1), (6.5, 2), ("6", 2), (True, 1), (6, None)])
def test_a_reach_that_reaches_nothing_is_refused(numbers):
    with pytest.raises(WrongUse, match="a gate's reach"):
        Reach(*numbers)


def test_a_threshold_decides_what_fires(folder):
    frames = list(itertools.islice(fakes_pair.pictures(3), 30))
    fires = {}
    for threshold in (0.0, 1.0):
        gate = ScoreHead(Eyes(), folder=folder, threshold=threshold, rest_s=0.0)
        watch = gate.watch("Read every new sign.", 0.0)
        fires[threshold] = [watch.observe(gate.look(frame, Eyes().encode(frame))).fire for frame in frames]
    assert fires[0.0][0] and not any(fires[1.0])


def set_config(**changes):
    def damage(folder):
        config = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps({**config, **changes}))

    return damage


def write(file, content):
    return lambda folder: (folder / file).write_bytes(content)


FILES = ("config.json", "model.safetensors", "tokenizer.json")
DAMAGE = {
    **{f"no {file}": (lambda folder, file=file: (folder / file).unlink()) for file in FILES},
    **{f"junk in {file}": write(file, b"\xff{junk") for file in FILES},
    **{f"empty {file}": write(file, b"") for file in FILES},
    **{f"a list in {file}": write(file, b"[1]") for file in FILES},
    **{f"nothing said in {file}": write(file, b"{}") for file in FILES},
    "weights cut short": lambda folder: write("model.safetensors", (folder / "model.safetensors").read_bytes()[:999])(
        folder
    ),
    "another width": set_config(vision_width=7),
    "a decoder without sizes": set_config(decoder={}),
    "no reach": set_config(reach={"frames": 0, "answers": 2}),
    "a reach of unknown things": set_config(reach={"seconds": 3}),
    "a threshold of 7": set_config(trigger={"threshold": 7}),
    "a trigger of unknown things": set_config(trigger={"loudness": 7}),
    "no trigger": set_config(trigger=None),
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_a_damaged_gate_is_told_in_one_line(folder, tmp_path, damage):
    broken = tmp_path / "broken"
    shutil.copytree(folder, broken)
    damage(broken)
    with pytest.raises(BadInput) as told:
        ScoreHead(Eyes(), folder=broken)
    assert str(broken) in str(told.value) and "\n" not in str(told.value) and len(str(told.value)) < 600


def test_a_place_without_a_gate_is_told_in_one_line(tmp_path):
    with pytest.raises(BadInput, match=r"holds no config\.json; expected the folder of a gate"):
        ScoreHead(Eyes(), folder=tmp_path / "nowhere")
