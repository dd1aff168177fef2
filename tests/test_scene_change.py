"""What the gate that sees change fires at and what it lets pass, on made pictures. Knows no session and no model."""

import math
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from streambridge.activation.scene_change import GAIN, GRID, SceneChange, difference, thumbnail
from streambridge.errors import WrongUse
from streambridge.types import Frame, FrameTokens
from streambridge.world.draw import Painter
from streambridge.world.script import World

SIZE = 256
DEFAULT = 0.1


def picture(seed=0, height=SIZE, width=SIZE):
    """Coarse patches of colour, soft at their edges: float32 [H, W, 3], 40 to 200."""
    patches = np.random.default_rng(seed).uniform(40, 200, (9, 9, 3)).astype(np.uint8)
    return np.asarray(Image.fromarray(patches).resize((width, height), Image.Resampling.BICUBIC), dtype=np.float32)


def whole(pixels):
    return np.clip(np.round(pixels), 0, 255).astype(np.uint8)


def judged(pictures, gate=None, times=None):
    """The Decisions of one Watch about these pictures, one a second."""
    gate = SceneChange(rest_s=0.0) if gate is None else gate
    watch = gate.watch("Tell me when something happens.", 0.0)
    times = range(len(pictures)) if times is None else times
    frames = [Frame(whole(pixels), float(t)) for pixels, t in zip(pictures, times, strict=True)]
    return [watch.observe(gate.look(frame, FrameTokens({}, 1, frame.t, (frame.t, frame.t)))) for frame in frames]


def fires(pictures, gate=None, times=None):
    return [number for number, decision in enumerate(judged(pictures, gate, times)) if decision.fire]


def scores(pictures, gate=None):
    return [decision.score for decision in judged(pictures, gate)]


def apart(one, other):
    return difference(thumbnail(whole(one)), thumbnail(whole(other)))


# ---------------------------------------------------------------------------------------------- what counts


def test_the_first_frame_after_opening_is_no_change_whatever_it_shows():
    for seed in range(3):
        (decision,) = judged([picture(seed)])
        assert decision.score == 0.0 and not decision.fire


def test_the_same_picture_is_no_change():
    assert scores([picture()] * 3) == [0.0] * 3


def test_a_cut_fires_at_once_and_once_and_again_when_it_cuts_back():
    stream = [picture(1)] * 3 + [picture(2)] * 3 + [picture(1)] * 3
    assert fires(stream) == [3, 6]
    assert min(scores(stream)[3], scores(stream)[6]) > 0.5
    assert scores(stream)[4] == 0.0  # it counts from the new picture


def test_cuts_at_every_frame_fire_at_every_frame_unless_there_is_a_rest():
    stream = [picture(seed) for seed in range(9)]
    assert fires(stream) == [1, 2, 3, 4, 5, 6, 7, 8]
    assert fires(stream, SceneChange(rest_s=3.0)) == [1, 4, 7]


def test_after_busy_frames_a_calm_one_that_differs_is_not_lost():
    """With hysteresis the score would stay above the lower threshold for ever, and nothing would fire again."""
    assert fires([picture(0), picture(1), *[picture(2)] * 4, *[picture(3)] * 3]) == [1, 2, 6]


def test_the_score_is_the_share_of_the_picture_that_changed():
    quarter = SIZE // 4
    for count, share in ((1, 1 / 16), (2, 1 / 8), (4, 1 / 4)):
        other = np.full((SIZE, SIZE, 3), 90.0)
        other[quarter : 2 * quarter, : quarter * count] += 100
        assert apart(other, np.full((SIZE, SIZE, 3), 90.0)) == pytest.approx(share, rel=0.35)


def test_more_of_it_changed_never_scores_less():
    found = []
    for width in range(0, SIZE // 2 + 1, 8):
        other = picture()
        other[:, SIZE // 2 - width : SIZE // 2] = 250 - other[:, SIZE // 2 - width : SIZE // 2]
        found.append(apart(picture(), other))
    assert found == sorted(found) and found[0] == 0.0 and found[-1] > 0.3


def test_a_64th_of_the_picture_scores_about_a_64th_and_fires_only_below_that_threshold():
    other, side = picture(), SIZE // 8
    other[3 * side : 4 * side, 3 * side : 4 * side] = (250, 20, 20)
    stream = [picture()] * 2 + [other] * 2
    assert scores(stream)[2] == pytest.approx(1 / 64, rel=0.5)
    assert fires(stream) == [] and fires(stream, SceneChange(threshold=0.008)) == [2]


@pytest.mark.parametrize("channel", range(3))
def test_a_cell_counts_by_its_most_changed_colour_from_quiet_to_loud(channel):
    """12 grey levels are nothing, 24 half a change, 36 and more a whole one."""
    one = np.full((SIZE, SIZE, 3), 100.0)
    for levels, part in ((11, 0.0), (24, 0.5), (37, 1.0), (90, 1.0)):
        other = one.copy()
        other[:, SIZE // 2 : 3 * SIZE // 4, channel] += levels
        assert apart(other, one) == pytest.approx(part * 2 / 7, abs=0.03)  # of the picture without its margin


def test_a_change_of_colour_counts_where_the_brightness_is_the_same():
    one, other = np.full((SIZE, SIZE, 3), 100.0), np.full((SIZE, SIZE, 3), 100.0)
    one[:, : SIZE // 4], other[:, : SIZE // 4] = (160, 70, 70), (70, 115, 70)
    assert abs(one.mean() - other.mean()) < 4 and apart(one, other) > 0.15


def test_a_slow_pan_fires_again_and_again_though_each_step_is_small():
    wide = picture(4, SIZE, 3 * SIZE)
    stream = [wide[:, 4 * step : 4 * step + SIZE] for step in range(100)]
    steps = [apart(a, b) for a, b in zip(stream, stream[1:], strict=False)]
    assert max(steps) < DEFAULT / 2
    found = fires(stream)
    assert 2 <= len(found) <= 12 and all(b - a > 4 for a, b in zip(found, found[1:], strict=False))


def test_a_slow_fade_fires_though_each_step_is_small():
    stream = [picture(1) + (picture(2) - picture(1)) * step / 60 for step in range(61)] + [picture(2)] * 10
    assert max(apart(a, b) for a, b in zip(stream, stream[1:], strict=False)) < 0.01
    found = fires(stream)
    assert 1 <= len(found) <= 6 and found[-1] <= 61


def test_what_comes_and_goes_within_the_rest_is_not_told():
    stream = [picture(0), picture(1), picture(2), picture(1), picture(1)]
    assert fires(stream, SceneChange(rest_s=2.0)) == [1]
    stays = [picture(0), picture(1), picture(2), picture(2), picture(2)]
    assert fires(stays, SceneChange(rest_s=2.0)) == [1, 3]


def test_each_watch_counts_from_its_own_opening():
    gate = SceneChange()
    frames = [Frame(whole(picture(seed)), float(t)) for t, seed in enumerate([1, 2, 2])]
    seen = [gate.look(frame, FrameTokens({}, 1, frame.t, (frame.t, frame.t))) for frame in frames]
    early, late = gate.watch("a", 0.0), gate.watch("a", 1.0)
    assert [early.observe(tokens).fire for tokens in seen] == [False, True, False]
    assert [late.observe(tokens).fire for tokens in seen[1:]] == [False, False]


# ---------------------------------------------------------------------------------------------- what is forgiven


def test_grain_is_forgiven():
    rng = np.random.default_rng(0)
    stream = [picture() + rng.normal(0, 12, (SIZE, SIZE, 3)) for _ in range(20)]
    assert max(scores(stream)) < 0.005
    heavy = [picture() + rng.normal(0, 25, (SIZE, SIZE, 3)) for _ in range(20)]
    assert max(scores(heavy)) < DEFAULT / 2 and fires(heavy) == []


def test_exposure_that_flickers_is_forgiven_and_lights_that_go_off_are_not():
    rng = np.random.default_rng(1)
    stream = [picture() * gain for gain in rng.uniform(0.85, 1.12, 30)]
    assert max(scores(stream)) < 0.02
    assert fires([picture()] * 2 + [picture() * 0.3] * 2) == [2]
    assert fires([picture() * 0.3] * 2 + [picture()] * 2) == [2]


def test_flicker_does_not_hide_a_change():
    other = picture()
    other[:, : SIZE // 4] = picture(7)[:, : SIZE // 4]
    plain = apart(picture(), other)
    assert plain > DEFAULT
    for gain in (0.8, 1.2):
        assert apart(picture(), other * gain) == pytest.approx(plain, rel=0.25)


def test_beyond_its_bounds_a_change_of_exposure_counts():
    grey = np.full((SIZE, SIZE, 3), 80.0)
    assert apart(grey, grey * GAIN * 0.98) == 0.0
    assert apart(grey, grey * GAIN * 1.5) > 0.5


def test_a_camera_that_shakes_by_a_16th_is_forgiven_and_one_that_moves_on_is_not():
    wide = picture(5, 2 * SIZE, 2 * SIZE)
    rng, middle, reach = np.random.default_rng(2), SIZE // 2, SIZE // 16
    places = [middle + rng.integers(-reach // 2, reach // 2 + 1, 2) for _ in range(30)]
    stream = [wide[y : y + SIZE, x : x + SIZE] for y, x in places]
    assert fires(stream) == [] and max(scores(stream)) < 0.02
    for down, right in ((1, 0), (0, 1), (-1, 0), (0, -1)):
        y, x = middle + 3 * reach * down, middle + 3 * reach * right
        assert fires([wide[middle : middle + SIZE, middle : middle + SIZE], wide[y : y + SIZE, x : x + SIZE]]) == [1]


@pytest.mark.parametrize("down", [-1, 1])
@pytest.mark.parametrize("right", [-1, 1])
def test_a_shake_is_forgiven_in_every_direction(down, right):
    wide = picture(6, 2 * SIZE, 2 * SIZE)
    still, step = wide[128 : 128 + SIZE, 128 : 128 + SIZE], SIZE // GRID
    y, x = 128 + 4 * step * down, 128 + 3 * step * right
    assert apart(still, wide[y : y + SIZE, x : x + SIZE]) < 0.01 < apart(still, np.roll(still, SIZE // 3, 1))


def test_one_picture_in_another_size_is_no_change():
    sizes = [(256, 256), (480, 640), (100, 100), (1080, 1920), (64, 64), (251, 333)]
    stream = [picture(3, *size) for size in sizes]
    assert fires(stream) == [] and max(scores(stream)) < 0.03


# ---------------------------------------------------------------------------------------------- all that may come


@pytest.mark.parametrize("size", [(1, 1), (1, 4000), (3000, 1), (2, 2), (63, 65), (255, 257), (511, 513)])
def test_a_picture_of_any_size_is_seen_whole_and_in_its_colour(size):
    thumb = thumbnail(np.full((*size, 3), (10, 200, 90), np.uint8))
    assert thumb.shape == (3, GRID, GRID) and thumb.dtype == np.float32
    assert np.allclose(thumb.mean(axis=(1, 2)), (10, 200, 90), atol=0.01) and thumb.std(axis=(1, 2)).max() < 0.01


def test_a_thumbnail_is_the_mean_of_each_part_the_right_way_round():
    pixels = np.arange(128 * 192 * 3, dtype=np.uint32).reshape(128, 192, 3) % 251
    expected = pixels.reshape(64, 2, 64, 3, 3).mean(axis=(1, 3)).transpose(2, 0, 1)
    assert np.allclose(thumbnail(pixels.astype(np.uint8)), expected, atol=1e-3)


def test_the_score_is_the_same_whichever_came_first_and_in_0_1():
    extremes = [np.zeros((8, 8, 3)), np.full((8, 8, 3), 255.0), picture(1), picture(2), picture(1) * 0.01]
    for one in extremes:
        for other in extremes:
            assert 0.0 <= apart(one, other) <= 1.0
            assert apart(one, other) == pytest.approx(apart(other, one), abs=0.02)
    assert apart(extremes[0], extremes[1]) > 0.99


def test_a_look_keeps_a_thumbnail_and_not_the_frame():
    look = SceneChange().look(Frame(whole(picture(0, 1080, 1920)), 3.0), FrameTokens({}, 1, 3.0, (3.0, 3.0)))
    assert look.t == 3.0 and set(look.bundle) == {"thumb"} and look.bundle["thumb"].nbytes < 50_000
    assert look.bundle["thumb"].base is None or look.bundle["thumb"].base.nbytes < 50_000


def test_the_made_up_worlds_shake_light_and_grain_score_below_what_happens_in_it():
    """Its shapes tremble too, which is movement: so the noise of a world is not zero, only less than its events."""
    calm, eventful = [], []
    for seed in range(4):
        world = World(seed, 40.0, "dev")
        painter = Painter(world, 168)
        thumbs = [thumbnail(painter.paint(float(t))) for t in range(40)]
        for t in range(1, 40):
            same = world.state(float(t)) == world.state(float(t - 1))
            (calm if same else eventful).append(difference(thumbs[t], thumbs[t - 1]))
    assert len(calm) > 10 and np.mean(calm) < 0.7 * np.mean(eventful) and np.median(calm) < DEFAULT


@pytest.mark.parametrize("given", [{"threshold": 1.5}, {"threshold": -0.1}, {"threshold": math.nan}, {"rest_s": -1.0}])
def test_numbers_that_make_no_sense_are_refused_in_one_line(given):
    with pytest.raises(WrongUse, match=next(iter(given))) as told:
        SceneChange(**given)
    assert "\n" not in str(told.value)


def test_its_settings_tell_every_number_that_decides():
    told = SceneChange(threshold=0.3, rest_s=5.0).settings()
    assert told["threshold"] == 0.3 and told["rest_s"] == 5.0 and told["rising"] is False
    assert {"quiet", "loud", "gain", "shake"} <= set(told)


def test_it_needs_no_torch():
    code = "import sys, streambridge.activation.scene_change; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
