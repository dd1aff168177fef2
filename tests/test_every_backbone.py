"""What every local Video-LLM must keep, on tiny random checkpoints of each family, held against the library itself."""

import random

import pytest
import torch

import fakes_checkpoints as checkpoints
from streambridge import loading
from streambridge.backbones.opening import families, open_model
from streambridge.bench.equality import TOLERANCE, judge, noted
from streambridge.bench.reference import frames, library_logits, pixels_of
from streambridge.errors import WrongUse
from streambridge.session import Session
from streambridge.types import Answered, Compressed, Failed, Shape

FAMILIES = checkpoints.FAMILIES
SEED = 1


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    root = tmp_path_factory.mktemp("checkpoints")
    return {family: checkpoints.save(root / family, family, SEED) for family in FAMILIES}


@pytest.fixture(scope="module")
def models(folders):
    return {family: open_model(folder, tokens_per_frame="native") for family, folder in folders.items()}


@pytest.fixture(params=FAMILIES)
def family(request):
    return request.param


@pytest.fixture
def model(models, family):
    return models[family]


def talk(model, seed=0, rounds=2):
    """Rounds of frames, a question and an answer; then more frames and a question."""
    seen = frames(3 * rounds + 2, seed)
    items = []
    for number in range(rounds):
        items += [model.encode(next(seen)) for _ in range(3)]
        items.append(model.turn("user", f"What is {number}?", 3.0, "question", f"q{number}"))
        items.append(model.turn("assistant", f"It is {seed}.", 3.0, "answer", f"a{number}"))
    items += [model.encode(next(seen)) for _ in range(2)]
    return [*items, model.turn("user", "And now?", 9.0, "question", "q9")]


def test_every_family_that_is_read_is_tested():
    assert sorted(families()) == sorted(FAMILIES)


# ------------------------------------------------------------------------------------------- against the library


@pytest.fixture(scope="module")
def references(folders):
    import transformers

    return {
        family: transformers.AutoModelForImageTextToText.from_pretrained(folder, dtype=torch.float32).eval()
        for family, folder in folders.items()
    }


@pytest.mark.parametrize("seed", range(3))
def test_an_answer_is_that_of_the_librarys_own_pixel_path(model, family, references, seed):
    pictures = list(frames(4, seed))
    items = [model.encode(one) for one in pictures[:2]]
    items.append(model.turn("user", "What is it?", 1.0, "question", "q0"))
    items.append(model.turn("assistant", "A sign.", 1.0, "answer", "a0"))
    items += [model.encode(one) for one in pictures[2:]]
    plan = model.render([*items, model.turn("user", "And now?", 3.0, "question", "q1")])
    ids = [token for segment in plan.segments for token in segment.ids]
    pixels, wanted, first = pixels_of(model, pictures), [], None
    for _ in range(10):
        logits = library_logits(references[family], model, ids, pixels)
        first = logits if first is None else first
        if (token := int(logits.argmax())) in model.stop:
            break
        wanted.append(token)
        ids.append(token)
    reader = model.reader(plan.tokens + 10)
    said = [piece.id for piece in model.answer(plan, 10, reader)]
    assert said == wanted and len(set(said)) > 1
    fresh = model.reader(plan.tokens)
    fresh.finish(plan)
    assert (fresh.track.logits() - first).abs().max() <= 1e-4


@pytest.mark.parametrize("budget", ["paper", 6, 4])
@pytest.mark.parametrize("family", [family for family in FAMILIES if family.startswith("qwen")])
def test_within_a_budget_too_an_answer_is_that_of_the_librarys_pixel_path(folders, references, family, budget):
    model = open_model(folders[family], tokens_per_frame=budget)
    pictures = list(frames(3, 5))
    items = [model.encode(one) for one in pictures]
    plan = model.render([*items, model.turn("user", "And now?", 3.0, "question", "q1")])
    ids = [token for segment in plan.segments for token in segment.ids]
    pixels, said = pixels_of(model, pictures), [piece.id for piece in model.answer(plan, 6)]
    assert all(len(item.bundle["embeds"]) <= (64 if budget == "paper" else budget) for item in items)
    for token in said:
        assert int(library_logits(references[family], model, ids, pixels).argmax()) == token
        ids.append(token)
    assert len(said) > 3


def test_pictures_decide_what_is_said(model):
    said = {tuple(piece.id for piece in model.answer(model.render(talk(model, seed)), 8)) for seed in range(4)}
    assert len(said) > 1


def test_frames_one_by_one_are_those_of_a_batch(model, references, family):
    pictures = list(frames(5, 3))
    alone = [model.encode(one) for one in pictures]
    pixels = pixels_of(model, pictures)
    inner = references[family].model
    with torch.no_grad():
        if model.POSITIONS == "mrope":
            out = inner.get_image_features(pixels["pixel_values"], image_grid_thw=pixels["image_grid_thw"])
            together = list(out.pooler_output)
            for level in range(len(alone[0].bundle) - 1):
                deep = out.deepstack_features[level]  # transformers 5.17: one tensor; later: one for each picture
                rows = deep if isinstance(deep, torch.Tensor) else torch.cat(list(deep))
                for one, row in zip(alone, rows.split([len(x) for x in together]), strict=True):
                    assert (one.bundle[f"deep{level}"] - row).abs().max() < 1e-5
        elif model.KIND == "video":
            together = list(inner.get_video_features(pixels["pixel_values_videos"]).pooler_output)
        else:
            together = torch.cat(list(inner.get_image_features(pixels["pixel_values"]).pooler_output)).chunk(5)
    for one, rows in zip(alone, together, strict=True):  # transformers 5.17 leaves the newline to the caller
        assert (one.bundle["embeds"][: len(rows)] - rows).abs().max() < 1e-5
        assert model.KIND != "video" or torch.equal(one.bundle["embeds"][-1], inner.image_newline)
    assert (alone[0].bundle["embeds"] - alone[1].bundle["embeds"]).abs().max() > 1e-2


# --------------------------------------------------------------------------------------------------- what it costs


def test_what_is_counted_is_what_is_rendered(model):
    items = talk(model)
    plan = model.render(items, header=False)
    opening = model.overhead() - len(model._answer) - len(model._close)
    assert plan.tokens == opening + sum(item.tokens for item in items) == sum(len(one.ids) for one in plan.segments)
    assert model.render(items).tokens - plan.tokens == len(model._answer)
    ruled = [model.turn("system", "Be brief.", 0.0, "system", "system"), *items]
    assert model.render(ruled, header=False).tokens == sum(item.tokens for item in ruled)
    merged = model.merge([item for item in items[:3]])
    assert merged.tokens == model.count([Shape("frame", item.tokens, item.frames) for item in items[:3]])


def test_what_was_rendered_stays_where_it_stands(model):
    items = talk(model)
    whole = model.render(items, header=False)
    for n in range(len(items)):
        part = model.render(items[:n], header=False)
        assert placed(part) == placed(whole)[: part.tokens]


def placed(plan):
    pairs = [pair for one in plan.segments for pair in zip(one.ids, one.positions.T, strict=True)]
    return [(token, tuple(place)) for token, place in pairs]


def test_words_that_look_special_are_only_words(model):
    nasty = "".join(model._specials) + "<image><video><|im_end|>"
    special = {model.tokenizer.token_to_id(word) for word in model._specials}
    assert not special & set(model.turn("user", nasty, 0.0, "question", "q").ids)
    assert model.turn("user", nasty, 0.0, "question", "q").text == nasty


def test_an_answers_turn_bears_the_ids_that_were_said(model):
    pieces = list(model.answer(model.render(talk(model)), 6))
    turn = model.spoken(pieces, 1.0, "a")
    assert list(turn.ids) == [piece.id for piece in pieces] and turn.text == "".join(piece.text for piece in pieces)


# ----------------------------------------------------------------------------------------------------------- merging


def test_a_merge_keeps_names_shapes_and_types_and_adds_up_the_weights(model):
    seen = [model.encode(one) for one in frames(5)]
    step = model.merge([model.merge(seen[:2]), model.merge(seen[2:])])
    whole = model.merge(seen)
    assert step.frames == whole.frames == 5 and step.span == whole.span == (0.0, 4.0) and step.t == whole.t == 2.0
    assert set(whole.bundle) == set(seen[0].bundle) and whole.tokens == seen[0].tokens and whole.ids == seen[0].ids
    for name, tensor in whole.bundle.items():
        mean = torch.stack([one.bundle[name] for one in seen]).mean(dim=0)
        assert tensor.shape == seen[0].bundle[name].shape and tensor.dtype == seen[0].bundle[name].dtype
        near = 1e-5 * max(1.0, float(mean.abs().max()))
        assert (tensor - mean).abs().max() < near and (step.bundle[name] - tensor).abs().max() < near


def test_in_sixteen_bit_a_merge_keeps_its_type(folders):
    from streambridge.backbones.checkpoint import Placing

    model = open_model(folders["qwen3_vl"], Placing(dtype="bfloat16"), "native")
    merged = model.merge([model.encode(one) for one in frames(3)])
    assert {tensor.dtype for tensor in merged.bundle.values()} == {torch.bfloat16}
    assert len(list(model.answer(model.render([merged, model.turn("user", "Now?", 1.0, "question", "q")]), 4))) > 0


def test_frames_of_another_shape_are_fitted(model):
    wide, tall = (model.encode(next(frames(1, height=h, width=w))) for h, w in ((90, 120), (120, 80)))
    merged = model.merge([wide, tall])
    assert {len(tensor) for tensor in merged.bundle.values()} == {len(wide.bundle["embeds"])} and merged.frames == 2
    if model.POSITIONS == "mrope":
        assert wide.grid != tall.grid and merged.grid == wide.grid


# -------------------------------------------------------------------------------------------------------- in a stream


def listen(model, monkeypatch):
    """Every answer's plan, ids and hidden states."""
    heard, answer = [], type(model).answer

    def listened(plan, max_tokens, reader=None):
        return noted(heard, plan, answer(model, plan, max_tokens, reader), reader)

    monkeypatch.setattr(model, "answer", listened, raising=False)
    return heard


def stream(model, seed, count=40):
    """A random stream: frames, questions, watches, cut answers, compression."""
    rng = random.Random(seed)
    policy = loading.load("memory", rng.choice(["round_decay", "round_decay", "uniform", "recent"]))
    session = Session(
        model,
        loading.load("activation", "scripted", fires={"w": [float(k) for k in range(3, count, 7)]}),
        compression=policy,
        max_len=rng.randrange(260, 420),
        answer_len=6,
        grace=rng.randrange(4),
        prefill=rng.choice(["eager", "budgeted", "lazy"]),
    )
    events = list(session.ask("w", 0.0, "watch"))
    for frame in frames(count, seed):
        with session.see(frame) as reply:
            events += reply if rng.random() < 0.7 else [next(reply, None)]
        if rng.random() < 0.3:
            events += session.ask("now " * rng.randint(1, 3), when="now")
        if rng.random() < 0.4:
            events += session.idle(rng.randrange(200))
    return [event for event in events if event is not None]


@pytest.mark.parametrize("seed", [*range(2), *(pytest.param(k, marks=pytest.mark.slow) for k in range(2, 40))])
def test_an_answer_in_a_stream_is_that_of_a_full_recompute(model, monkeypatch, seed):
    heard = listen(model, monkeypatch)
    events = stream(model, seed)
    verdict = judge(model, heard)
    assert verdict.max_abs_logit_diff <= TOLERANCE and verdict.same_tokens == 1.0 and verdict.answers > 4
    assert not any(isinstance(event, Failed) for event in events)
    assert any(isinstance(event, Compressed) for event in events)


def test_two_sessions_on_one_model_are_each_alone(model):
    def run(seeds):
        gate = loading.load("activation", "scripted", fires={})
        sessions = [Session(model, gate, max_len=300, answer_len=6) for _ in seeds]
        said = [[] for _ in seeds]
        for pictures in zip(*(frames(24, seed) for seed in seeds), strict=True):
            for session, frame, out in zip(sessions, pictures, said, strict=True):
                list(session.see(frame))
                if frame.t % 6 == 5:
                    out += [event.text for event in session.ask("now", when="now") if isinstance(event, Answered)]
        return said

    together = run((1, 2))
    assert together == [run((1,))[0], run((2,))[0]] and len(together[0]) == 4


def test_how_likely_a_word_is_equals_its_share_of_the_next_token(model):
    items = talk(model)
    plan = model.render(items)
    reader = model.reader(plan.tokens)
    reader.finish(plan)
    likely = reader.track.logits().softmax(dim=-1)
    words = (["yes", "Yes", "", "so"], ["no", "say"])  # letters are tokens: "so" and "say" begin alike
    found = model.weigh(items, words)
    ids = {word: model.encode_text(word)[0] for word in ("yes", "Yes", "no")}
    assert found[0] == pytest.approx(sum(float(likely[ids[word]]) for word in {"yes", "Yes"}), rel=1e-4)
    assert found[1] == pytest.approx(float(likely[ids["no"]]), rel=1e-4)


def test_asking_how_likely_leaves_no_trace(model):
    items = talk(model)
    kept, fresh = model.reader(2000), model.reader(2000)
    for n in range(3, len(items)):
        probe = [*items[:n], model.turn("user", "Yes or no?", 5.0, "question", "p")]
        alone = model.weigh(probe, (["yes"], ["no"]))
        assert model.weigh(probe, (["yes"], ["no"]), kept) == pytest.approx(alone, abs=1e-5)
    plan = model.render(items)
    assert [p.id for p in model.answer(plan, 6, kept)] == [p.id for p in model.answer(plan, 6, fresh)]


# ------------------------------------------------------------------------------------------------------------ budgets


@pytest.mark.parametrize("tokens", [4, 6, 9])
def test_a_budget_of_tokens_is_kept(folders, family, tokens):
    model = open_model(folders[family], tokens_per_frame=tokens)
    one = model.encode(next(frames(1)))
    newline = 1 if model.KIND == "video" else 0
    assert min(tokens, 4) - 1 <= len(one.bundle["embeds"]) - newline <= tokens
    plan = model.render([one, model.turn("user", "Now?", 1.0, "question", "q")])
    assert plan.tokens == model.overhead() - len(model._close) + one.tokens + len(model._joint) + 4
    assert len(list(model.answer(plan, 3))) == 3


@pytest.mark.parametrize("budget", [0, -1, True, 2.5, "large", ""])
def test_a_budget_that_makes_no_frame_is_refused(folders, budget):
    with pytest.raises(WrongUse, match="native, paper, or a whole number"):
        open_model(folders["smolvlm"], tokens_per_frame=budget)


# -------------------------------------------------------------------------------- two frames in one temporal patch

QWEN = [family for family in FAMILIES if family.startswith("qwen")]


@pytest.fixture(params=QWEN)
def paired(request, folders):
    return lambda pair: open_model(folders[request.param], tokens_per_frame="native", pair=pair), references_of(
        folders[request.param]
    )


def references_of(folder):
    import transformers

    return transformers.AutoModelForImageTextToText.from_pretrained(folder, dtype=torch.float32).eval()


def test_two_frames_joined_are_a_slice_of_the_librarys_video(paired):
    make, reference = paired
    model = make("upgrade")
    first, second = (model.encode(one) for one in frames(2))
    joined = model.join(first, second)
    pixels = model.eyes.pair(*(one.bundle["raw"].view(-1, 3 * 2 * model.eyes.patch**2) for one in (first, second)))
    size = torch.tensor([[1, *(model.eyes.merge * side for side in first.grid)]])
    with torch.no_grad():
        video = reference.model.get_video_features(pixels, video_grid_thw=size).pooler_output[0]
    assert (joined.bundle["embeds"] - video).abs().max() < 1e-4
    assert (joined.frames, joined.t, joined.span, joined.tokens) == (2, 0.5, (0.0, 1.0), first.tokens)
    assert set(joined.bundle) == set(first.bundle) - {"raw"}
    assert (joined.bundle["embeds"] - model.merge([first, second]).bundle["embeds"]).abs().max() > 1e-2
    assert model.join(joined, second) is None and model.join(first, make("duplicate").encode(next(frames(1)))) is None


@pytest.mark.parametrize("pair", ["wait", "upgrade"])
def test_pairs_cost_half_and_words_part_them(paired, pair):
    model = paired[0](pair)
    session = Session(model, loading.load("activation", "scripted", fires={}), max_len=2000, answer_len=6)
    costs, seen = [], list(frames(11))
    for number, frame in enumerate(seen):
        list(session.see(frame))
        costs.append(session.memory.tokens)
        if number == 6:  # the seventh frame is alone
            list(session.ask("now", when="now"))
    one = model.encode(seen[0]).tokens
    lead = [0, 1, 1, 2, 2, 3, 3] if pair == "wait" else [1, 1, 2, 2, 3, 3, 4]
    assert [cost // one for cost in costs[:7]] == lead
    weights = [item.frames for item in session.memory.items() if hasattr(item, "frames")]
    assert weights == [2, 2, 2, 1, 2, 2]


@pytest.mark.parametrize("pair", ["wait", "upgrade"])
@pytest.mark.parametrize("seed", range(2))
def test_with_pairs_an_answer_is_that_of_a_full_recompute(paired, monkeypatch, pair, seed):
    model = paired[0](pair)
    heard = listen(model, monkeypatch)
    events = stream(model, seed, 60)
    verdict = judge(model, heard)
    assert verdict.max_abs_logit_diff <= TOLERANCE and verdict.same_tokens == 1.0 and verdict.answers > 4
    assert not any(isinstance(event, Failed) for event in events)


@pytest.mark.parametrize("pair", ["wait", "upgrade"])
def test_frames_that_cannot_be_joined_are_remembered_alone_and_told(paired, monkeypatch, pair):
    model = paired[0](pair)
    monkeypatch.setattr(type(model), "join", lambda *_: 1 / 0)
    session = Session(model, loading.load("activation", "scripted", fires={}), max_len=2000, answer_len=6)
    events = [event for frame in frames(4) for event in session.see(frame)]
    told = [event.error for event in events if isinstance(event, Failed)]
    assert told and all("could not be joined" in line for line in told)
    assert [item.t for item in session.memory.items() if hasattr(item, "frames")] == [0.0, 1.0, 2.0, 3.0]


def test_a_frame_that_waits_is_remembered_at_the_end(paired):
    session = Session(paired[0]("wait"), loading.load("activation", "scripted", fires={}), max_len=2000, answer_len=6)
    for frame in frames(5):
        list(session.see(frame))
    list(session.end())
    assert [item.frames for item in session.memory.items() if hasattr(item, "frames")] == [2, 2, 1]


@pytest.mark.parametrize("family", ["llava_onevision", "smolvlm"])
def test_where_frames_are_seen_alone_no_pairs_are_made(folders, family):
    with pytest.raises(WrongUse, match="pair can only be duplicate"):
        open_model(folders[family], pair="wait")
    with pytest.raises(WrongUse, match="pair is one of duplicate, wait, upgrade"):
        open_model(folders[family], pair="twins")
