"""The approximate rivals: exact until they let go of something, bounded from then on, and truly what they claim."""

import pytest
import torch

from streambridge.bench.random_model import RandomModel
from streambridge.bench.rivals import RIVALS, PooledKV, ReRotate, SinkWindow, errors, measure, rotated, truth
from streambridge.engine.attention import run
from streambridge.engine.cache import KV
from streambridge.errors import UnknownName, WrongUse

MAX_LEN, P, WIDTH = 256, 8, 64
MODEL = RandomModel("1M", P)
BODY = MODEL.decoder.body
RATES = BODY.rotary_emb.inv_freq


def random_rows(n, seed):
    return torch.randn(n, WIDTH, generator=torch.Generator().manual_seed(seed))


def fed(name, seconds, max_len=MAX_LEN, every=10, **settings):
    """A rival that has seen so many frames and heard a question and an answer now and then."""
    rival = RIVALS[name](MODEL.decoder, max_len, **settings)
    for second in range(seconds):
        rival.see(random_rows(P, second))
        if second % every == every - 1:
            rival.ask(random_rows(6, 1000 + second))
            rival.say(random_rows(5, 2000))
    return rival


def asked(rival, seed=7):
    return errors(rival.ask(random_rows(6, seed)), truth(rival))


@torch.inference_mode()
def read_afresh(embeds, positions):
    """The cache of one pass over all, and its last hidden state."""
    kv = KV()
    return kv, run(BODY, embeds, positions, [(kv, len(embeds))])[-1]


def apart(one, other):
    return float((one - other).abs().max())


@pytest.mark.parametrize("name", RIVALS)
def test_until_something_is_let_go_of_a_rival_is_exact(name):
    rival = fed(name, 20)
    seen = asked(rival)
    assert not rival.touched and rival.kv.length == 20 * P + 2 * 11 + 6
    assert seen["max_abs_logit_diff"] <= 1e-4 and seen["top1"] == 1 and abs(seen["kl"]) < 1e-6


@pytest.mark.parametrize("name", RIVALS)
def test_after_that_it_is_approximate_indeed(name):
    rival = fed(name, 60)
    seen = [asked(rival, seed) for seed in range(5)]
    assert rival.touched
    assert all(one["max_abs_logit_diff"] > 1e-3 and one["relative_l2"] > 1e-3 and one["kl"] > 0 for one in seen)


@pytest.mark.parametrize("name", RIVALS)
def test_it_never_holds_more_than_it_may_and_claims_as_much_as_it_holds(name):
    rival, lengths = RIVALS[name](MODEL.decoder, MAX_LEN), []
    for second in range(300):
        newest = random_rows(P, second)
        rival.see(newest)
        if second % 7 == 0:
            newest = random_rows(1 + second % 40, second)
            rival.ask(newest)
        embeds, positions = rival.claimed()
        assert embeds.shape == (rival.kv.length, WIDTH) and positions.shape == (1, rival.kv.length)
        assert all(keys.shape[2] == rival.kv.length for keys, _ in rival.kv.layers())
        assert (positions.diff() > 0).all() and torch.equal(embeds[-len(newest) :], newest)
        lengths.append(rival.kv.length)
    room = 3 * 2 * 2 * 16 * 4 * MAX_LEN  # layers, keys and values, heads of keys, their width, fp32
    assert MAX_LEN - 2 * P < max(lengths) <= MAX_LEN and rival.kv.nbytes == room


@pytest.mark.parametrize("name", ["sink+window", "re-rotate"])
def test_an_evicted_cache_is_contiguous_with_keys_in_their_places_and_stale_values(name):
    rival = fed(name, 150)
    embeds, positions = rival.claimed()
    assert torch.equal(positions[0], torch.arange(rival.kv.length))
    fresh, _ = read_afresh(embeds, positions)
    (held, true), (_, deep) = zip(rival.kv.layers()[0], fresh.layers()[0], strict=True), rival.kv.layers()[-1]
    assert apart(*held) <= 1e-4 and apart(*true) <= 1e-5  # the first layer knows no context: nothing there is stale
    assert apart(deep, fresh.layers()[-1][1]) > 1e-2


@pytest.mark.parametrize(("make", "kept"), [(SinkWindow, 40), (ReRotate, MAX_LEN - 16 - MAX_LEN // 8)])
def test_the_first_and_the_newest_tokens_are_those_that_stay(make, kept):
    rival = make(MODEL.decoder, MAX_LEN, 16, **({"window": 40} if make is SinkWindow else {}))
    for second in range(MAX_LEN // P + 1):  # the last one does not fit
        rival.see(random_rows(P, second))
    line = torch.cat([random_rows(P, second) for second in range(MAX_LEN // P)])
    wanted = torch.cat([line[:16], line[len(line) - kept :], random_rows(P, MAX_LEN // P)])
    assert torch.equal(rival.claimed()[0], wanted)


def test_pooled_frames_are_the_mean_of_four_and_stand_between_them():
    rival = PooledKV(MODEL.decoder, MAX_LEN)
    frames = [random_rows(P, second) for second in range(MAX_LEN // P + 1)]
    for frame in frames:
        rival.see(frame)
    embeds, positions = rival.claimed()
    apiece, _ = read_afresh(torch.cat(frames[:8]), torch.arange(8 * P)[None])
    for number in range(2):  # an eighth of the cache is four frames: two times four become one
        mine, four = slice(number * P, number * P + P), slice(4 * number * P, 4 * number * P + 4 * P)
        assert apart(embeds[mine], torch.stack(frames[4 * number : 4 * number + 4]).mean(0)) < 1e-6
        assert torch.equal(positions[0, mine], torch.arange(P) + 4 * P * number + 3 * P // 2)
        for layer in (0, 2):
            for held, all_ in zip(rival.kv.layers()[layer], apiece.layers()[layer], strict=True):
                mean = all_[:, :, four].unflatten(2, (4, P)).mean(2)
                assert apart(held[:, :, mine], mean) < 1e-4
    assert torch.equal(embeds[2 * P :], torch.cat(frames[8:]))
    assert torch.equal(positions[0, 2 * P :], torch.arange(8 * P, len(frames) * P))


def test_the_oldest_frames_are_pooled_first_and_most_and_the_newest_quarter_not_at_all():
    rival, levels = PooledKV(MODEL.decoder, MAX_LEN), []
    for second in range(200):
        tokens, before = rival.kv.length, levels
        rival.see(random_rows(P, second))
        levels = [block.level for block in rival.blocks]
        assert levels == sorted(levels, reverse=True)
        old, newest = levels[: -1 - MAX_LEN // 4 // P], levels[-1 - MAX_LEN // 4 // P :]
        assert rival.kv.length > tokens or not any(newest)
        assert before.count(2) >= levels.count(2) or old.count(0) < 2  # twice only what nothing fresh could spare
    assert {1, 2} < set(levels)


def test_what_was_pooled_again_is_the_mean_of_all_frames_it_stands_for():
    rival, at = PooledKV(MODEL.decoder, MAX_LEN), 0
    frames = torch.stack([random_rows(P, second) for second in range(200)])
    for frame in frames:
        rival.see(frame)
    wanted = []
    for block in rival.blocks:
        wanted.append(frames[at : at + block.frames].mean(0))
        at += block.frames
    assert at == 200 and apart(rival.claimed()[0], torch.cat(wanted)) < 1e-6
    assert any(block.frames not in (1, 4, 16, 64) for block in rival.blocks)  # unequal weights came together


def test_a_pool_of_words_alone_lets_go_of_the_oldest():
    rival = PooledKV(MODEL.decoder, MAX_LEN)
    for number in range(60):
        rival.say(random_rows(20, number))
    embeds, positions = rival.claimed()
    kept = len(embeds) // 20
    assert torch.equal(embeds, torch.cat([random_rows(20, number) for number in range(60 - kept, 60)])) and kept >= 10
    assert int(positions[0, -1]) == 60 * 20 - 1


def test_the_truth_sees_across_gaps_between_positions():
    rival = fed("kv-pool", 100)
    logits = rival.ask(random_rows(6, 3))
    embeds, positions = rival.claimed()
    assert (positions.diff() > 1).any()
    _, hidden = read_afresh(embeds, positions)
    with torch.inference_mode():
        assert apart(MODEL.decoder.head(hidden), truth(rival)) <= 1e-4 < apart(logits, truth(rival))


def test_rotating_back_and_forth_gives_the_same_keys():
    keys = torch.randn(1, 2, 50, 16, generator=torch.Generator().manual_seed(0))
    for by in (1, 20, 777, 5000):
        assert apart(rotated(rotated(keys, -by, RATES), by, RATES), keys) <= 1e-5
        assert apart(rotated(keys, -by, RATES), keys) > 0.1


def test_a_rotated_key_is_the_one_made_at_that_position():
    rows, at = random_rows(30, 0), torch.arange(100, 130)[None]
    for by in (1, 32, 100):
        (made, _), (wanted, _) = read_afresh(rows, at)[0].layers()[0], read_afresh(rows, at - by)[0].layers()[0]
        assert apart(rotated(made, -by, RATES), wanted) <= 5e-5 * float(wanted.abs().max())


def test_in_sixteen_bit_keys_drift_with_every_rotation_and_hardly_in_single_precision():
    keys = torch.randn(1, 2, 200, 16, generator=torch.Generator().manual_seed(0))

    def drift(times, dtype):
        turned = keys.to(dtype)
        for _ in range(times):
            turned = rotated(turned, -20, RATES)
        assert turned.dtype == dtype
        return float((rotated(turned.float(), 20 * times, RATES) - keys).norm() / keys.norm())

    assert drift(100, torch.float32) < 1e-5
    assert drift(1, torch.bfloat16) < 5e-3 < 2e-2 < drift(100, torch.bfloat16)


def measured(seed=0, **settings):
    given = {"names": list(RIVALS), "minutes": 1.5, "max_len": MAX_LEN, "every_s": 10.0} | settings
    return measure(MODEL, **given, seed=seed)


def test_measuring_tells_speed_and_error_of_each_rival():
    ticks = []
    records = measured(tick=lambda: ticks.append(1))
    assert len(ticks) == 90 and [record["variant"] for record in records] == list(RIVALS)
    for record in records:
        assert record["scenario"] == "rivals" and record["answers"] == len(record["ttft_all_ms"]) == 9
        assert (record["size"], record["max_len"], record["minutes"]) == ("1M", MAX_LEN, 1.5)
        assert 0 < record["p50_ms"] <= record["p99_ms"] <= record["max_ms"]
        assert record["p50_ms"] < record["queued_p50_ms"] <= record["queued_p99_ms"]
        assert record["max_abs_logit_diff"] > 1e-3 and record["relative_l2"] > 1e-3 and record["kl"] > 0
        assert 0 <= record["top1"] <= 1 and record["checked"] == 3  # of nine: the third, the sixth, the last


def test_errors_are_those_of_a_seed_and_of_a_cache_that_was_touched():
    fields = ("max_abs_logit_diff", "relative_l2", "kl", "top1", "checked")
    once, again, other = measured(), measured(), measured(seed=1)
    assert [[r[f] for f in fields] for r in once] == [[r[f] for f in fields] for r in again]
    assert all(a["relative_l2"] != b["relative_l2"] for a, b in zip(once, other, strict=True))
    assert all(r["max_abs_logit_diff"] <= 1e-4 and r["checked"] == 3 for r in measured(max_len=2048))


def test_one_rival_alone_is_told_the_same_as_among_others():
    (alone,) = measured(names=["kv-pool"])
    assert alone["relative_l2"] == measured()[-1]["relative_l2"]


def test_errors_say_how_far_logits_are_apart():
    true = torch.tensor([3.0, 0.0, -4.0])
    assert errors(true, true) == {"max_abs_logit_diff": 0, "relative_l2": 0, "kl": 0, "top1": 1}
    seen = errors(torch.tensor([3.0, 5.0, -4.0]), true)
    assert seen["max_abs_logit_diff"] == 5 and seen["relative_l2"] == pytest.approx(1) and seen["top1"] == 0
    p, q = true.softmax(0), torch.tensor([3.0, 5.0, -4.0]).softmax(0)
    assert seen["kl"] == pytest.approx(float((p * (p / q).log()).sum()))


def test_what_cannot_be_is_told_in_one_line():
    with pytest.raises(UnknownName, match="no rival called 'kv-pol'; did you mean 'kv-pool'"):
        measured(names=["re-rotate", "kv-pol"])
    with pytest.raises(WrongUse, match="give at least 1 s, and time for one"):
        measured(minutes=0.1)
    with pytest.raises(WrongUse, match="leave no room in a cache of 64"):
        ReRotate(MODEL.decoder, 64)
    with pytest.raises(WrongUse, match="does not fit into 256"):
        SinkWindow(MODEL.decoder, MAX_LEN, window=250)
    with pytest.raises(WrongUse, match="200 tokens at once, and the cache has room for 192"):
        ReRotate(MODEL.decoder, MAX_LEN).ask(random_rows(200, 0))
