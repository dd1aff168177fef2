"""Worked cases of the source sets that ask questions: whole samples reckoned by hand. Knows no file of a data set."""

import json
from dataclasses import replace

import pytest

from streambridge.data import augment, converting, invariants, prompts, source_set
from streambridge.data.policy import Policy
from streambridge.data.rows import Row
from streambridge.data.source_set import Given, Reject, Tally
from streambridge.errors import BadInput, WrongUse
from streambridge.types import Media, Question, Reference


def given_for(name, lengths=None, options=None, policy=None):
    source = source_set.find(name)
    columns = source.inputs[-1].columns[1:]
    tables = {"durations": {key: dict.fromkeys(columns, str(s)) for key, s in (lengths or {}).items()}}
    seen = set()

    def first(kind, word):
        new = (kind, word) not in seen
        seen.add((kind, word))
        return new

    return Given(source, policy or Policy(), source.options(**(options or {})), tables, "train", Tally(), first)


def made(given, value):
    """The samples of one record, each of them good."""
    if given.source.group is not None:
        value = [("", part) for part in value]
    found = list(given.source.convert(Row(1, 0, "", value, b"raw"), given))
    for sample in found:
        assert invariants.check(sample) == []
    return found


def at(samples):
    """When each answer of the only sample comes, and what it says."""
    (sample,) = samples
    return [(turn.t, turn.text) for turn in sample.references]


# ---------------------------------------------------------------------------------------------- MovieChat


def film(points=(), overall=(), fps=25.0, frames=1010):
    return {
        "info": {"video_path": "5.mp4", "fps": fps, "num_frame": frames},
        "global": [{"question": q, "answer": a} for q, a in overall],
        "breakpoint": [{"time": frame, "question": q, "answer": a} for frame, q, a in points],
    }


def test_a_breakpoint_is_asked_and_answered_at_the_first_tick_not_before_its_frame_and_a_global_question_at_the_end():
    given = given_for("moviechat")
    value = film([(310, "Who knocks?", "A maid."), (300, "Is it dark?", "No.")], [("Where is this?", "In a castle.")])
    (sample,) = made(given, value)
    assert sample.id == "moviechat/train/5#0"
    assert sample.media == (Media("moviechat:5", 0.0, 40.4),)
    assert sample.turns == (
        Question("q0", 12.0, "Is it dark?", "now", "question"),
        Reference("a0", 12.0, "No.", "q0"),
        Question("q1", 13.0, "Who knocks?", "now", "question"),
        Reference("a1", 13.0, "A maid.", "q1"),
        Question("q2", 40.4, "Where is this?", "now", "question"),
        Reference("a2", 40.4, "In a castle.", "q2"),
    )
    assert (sample.meta["order"], sample.meta["task"]) == ("multi_turn", "grounded_qa")
    assert sample.meta["quirks"] == ["unplaced", "unsorted"]
    assert given.tally.read == {"videos": 1, "global_qa": 1, "breakpoint_qa": 2}


def test_several_questions_at_one_instant_are_turns_of_their_own_in_the_order_they_came():
    points = [(300, "Who?", "B."), (300, "Where?", "A."), (1010, "When?", "D.")]
    (sample,) = made(given_for("moviechat"), film(points, [("Why?", "C.")]))
    assert at([sample]) == [(12.0, "B."), (12.0, "A."), (40.4, "D."), (40.4, "C.")]
    assert sample.meta["quirks"] == ["unplaced"]


def test_a_breakpoint_at_the_very_first_frame_is_answered_when_that_has_been_seen():
    assert at(made(given_for("moviechat"), film([(0, "Who?", "A king.")]))) == [(1.0, "A king.")]


@pytest.mark.parametrize(("clamp_ms", "kept"), [(2000, 2), (1999, 1)])
def test_a_breakpoint_past_the_last_frame_is_clamped_as_the_policy_says_and_dropped_beyond(clamp_ms, kept):
    given = given_for("moviechat", policy=Policy(clamp_ms=clamp_ms))
    told = at(made(given, film([(25, "Who?", "A king."), (1060, "Where?", "At sea."), (1061, "When?", "Now.")])))
    assert told == [(1.0, "A king."), (40.4, "At sea.")][:kept]
    assert given.tally.dropped == {"beyond_duration": 3 - kept}


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [
        ("fps", 0, "missing_fps"), ("fps", "25", "missing_fps"), ("fps", None, "missing_fps"),
        ("fps", 1e-300, "missing_duration"), ("num_frame", None, "missing_duration"),
        ("num_frame", True, "missing_duration"), ("num_frame", 10**400, "missing_duration"),
        ("video_path", None, "missing_id"), ("video_path", "/a.mp4", "bad_id"), ("video_path", ["a"], "bad_id"),
    ],
)  # fmt: skip
def test_a_film_without_name_rate_or_length_is_rejected_and_counted_all_the_same(field, value, reason):
    given = given_for("moviechat")
    record = film([(25, "Who?", "A king.")])
    record["info"][field] = value
    with pytest.raises(Reject) as caught:
        made(given, record)
    assert caught.value.reason == reason
    assert given.tally.read["breakpoint_qa"] == 1


# ---------------------------------------------------------------------------------------------- QAEgo4D


def memory(**other):
    said = {"video_id": "c", "sample_id": "u_3", "question": "Where are the keys?", "answer": "on the hook"}
    return said | {"moment_start_frame": 1266.0, "moment_end_frame": 1593.0} | other


def test_a_question_of_memory_is_asked_at_the_start_and_answered_at_the_first_tick_after_its_window():
    (sample,) = made(given_for("qaego4d", {"c": 480}), memory())
    asked, told = sample.turns
    assert sample.id == "qaego4d/train/u_3#0" and sample.media == (Media("ego4d:c", 0.0, 480.0),)
    assert asked == Question("q0", 0.0, asked.text, "watch", "instruction")
    assert asked.text in [pool.replace("{words}", "Where are the keys?") for pool in prompts.PROMPTS["grounded_qa"]]
    assert told == Reference("a0", 54.0, "on the hook", "q0", ((42.2, 53.1),))
    assert sample.meta["order"] == "proactive" and sample.meta["quirks"] == []


@pytest.mark.parametrize(("delay_s", "length", "t"), [(0.0, 480, 54.0), (5.0, 480, 59.0), (30.0, 60.5, 60.5)])
def test_in_multi_turn_it_is_asked_and_answered_after_the_delay_and_never_moved_before(delay_s, length, t):
    options = {"order": "multi_turn", "delay_s": delay_s}
    (sample,) = made(given_for("qaego4d", {"c": length}, options), memory())
    assert sample.turns == (
        Question("q0", t, "Where are the keys?", "now", "question"),
        Reference("a0", t, "on the hook", "q0", ((42.2, 53.1),)),
    )
    assert augment.shift(sample, p=1.0) is sample


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("qaego4d", {"order": "sideways"}), ("qaego4d", {"delay_s": -1.0}), ("qaego4d", {"delay_s": float("nan")}),
        ("egotimeqa", {"per": "video"}), ("finevideo", {"what": "all"}),
    ],
)  # fmt: skip
def test_an_option_that_is_none_is_told_with_what_it_may_be(name, options):
    with pytest.raises(WrongUse, match=rf"^{name}: \w+ (is one of|lies between) .*; it is "):
        source_set.find(name).options(**options)


def test_a_wrong_option_of_a_set_stops_the_conversion_before_it_starts(tmp_path):
    (tmp_path / "a.json").write_text("[]")
    inputs = {"annotations": (tmp_path / "a.json",)}
    job = converting.Job(source_set.find("finevideo"), inputs, tmp_path / "out", Policy(options={"grond": True}))
    with pytest.raises(BadInput, match="unknown key 'grond'; did you mean 'ground'"):
        converting.run(job)


# ---------------------------------------------------------------------------------------------- EgoTimeQA


def row(question="What did l pick up?", answer="a ladle", start=41.2, end=45.9, **other):
    said = {"video_id": "c", "sample_id": None, "question": question, "answer": answer}
    frames = {"moment_start_frame": 1290.0, "moment_end_frame": 1320.0}
    return said | ({} if start is None else {"start_sec": start, "end_sec": end}) | frames | other


def test_the_questions_of_a_clip_stand_in_one_sample_each_at_the_end_of_its_window():
    given = given_for("egotimeqa", {"c": 480})
    leek, al = row("What did l cut?", "a leek", 3.0, 7.5), row("Who did l see?", "Al", 44.0, 45.2)
    (sample,) = made(given, [row(), leek, al])
    assert sample.id == "egotimeqa/train/c#0" and sample.media == (Media("ego4d:c", 0.0, 480.0),)
    assert [(turn.t, turn.text) for turn in sample.questions][0] == (8.0, "What did I cut?")
    assert sorted((turn.t, turn.text, turn.evidence) for turn in sample.references) == [
        (8.0, "a leek", ((3.0, 7.5),)), (46.0, "Al", ((44.0, 45.2),)), (46.0, "a ladle", ((41.2, 45.9),)),
    ]  # fmt: skip
    assert sample.meta["quirks"] == ["letter_l"]
    assert given.tally.read == {
        "rows": 3, "clips": 1, "rows_with_seconds": 3, "raw_windows": 3, "raw_ms": 4700 + 4500 + 1200,
    }  # fmt: skip


def test_the_order_of_the_rows_changes_nothing_of_a_clip():
    rows = [row(f"What is {k}?", "it", 1.0, 2.0 + k % 2) for k in range(6)]
    for per in ("clip", "question"):
        given = given_for("egotimeqa", {"c": 480}, {"per": per})
        assert made(given, rows) == made(given, rows[::-1])


def test_only_without_seconds_are_the_frames_taken_and_that_is_owned_up_to():
    (whole,) = made(given_for("egotimeqa", {"c": 480}), [row()])
    (framed,) = made(given_for("egotimeqa", {"c": 480}), [row(start=None)])
    assert whole.references[0].evidence == ((41.2, 45.9),) and "frames_only" not in whole.meta["quirks"]
    assert framed.references[0].evidence == ((43.0, 44.0),) and "frames_only" in framed.meta["quirks"]


@pytest.mark.parametrize(
    ("said", "spelled"),
    [
        ("What did l do with l?", "What did I do with I?"), ("Where l'm standing?", "Where I'm standing?"),
        ("Did l pour 2 l of oil?", "Did I pour 2 l of oil?"), ("Is all well?", "Is all well?"),
        ("Is it a size-l box?", "Is it a size-l box?"),
    ],
)  # fmt: skip
def test_a_lone_l_becomes_an_i_and_no_other_l_does(said, spelled):
    (sample,) = made(given_for("egotimeqa", {"c": 480}), [row(said)])
    assert sample.questions[0].text == spelled
    assert ("letter_l" in sample.meta["quirks"]) == (said != spelled)


def test_the_options_are_the_answer_among_the_wrong_ones_in_an_order_that_only_their_words_decide():
    wrong, places = ["a cup", "a pan", "a lid"], set()
    for k in range(40):
        (sample,) = made(given_for("egotimeqa", {"c": 480}), [row(f"What is {k}?", wrong_answers=wrong)])
        extras = sample.meta["turns"]["a0"]
        assert sorted(extras["options"]) == ["a cup", "a ladle", "a lid", "a pan"]
        assert extras["options"][extras["answer_index"]] == "a ladle"
        (again,) = made(given_for("egotimeqa", {"c": 480}), [row(f"What is {k}?", wrong_answers=wrong[::-1])])
        assert again.meta["turns"]["a0"] == extras
        places.add(extras["answer_index"])
    assert places == {0, 1, 2, 3}


@pytest.mark.parametrize(
    ("wrong", "options", "dropped"),
    [
        (["a ladle", "a cup"], {"a ladle", "a cup"}, {"duplicate": 1}),
        (["A ladle.", "a cup"], {"a ladle", "a cup"}, {"duplicate": 1}),
        (["a ladle"], None, {"duplicate": 1, "bad_options": 1}),
        ([], None, {"bad_options": 1}),
        (None, None, {}),
        ("a cup", None, {"bad_options": 1}),
        ([None, "a cup", "nan"], {"a ladle", "a cup"}, {"empty_text": 2}),
        (list("bcdefg"), None, {"bad_options": 1}),
    ],
)
def test_an_answer_among_its_wrong_answers_goes_and_what_are_no_options_is_left_out(wrong, options, dropped):
    given = given_for("egotimeqa", {"c": 480})
    (sample,) = made(given, [row(wrong_answers=wrong)])
    extras = sample.meta["turns"]["a0"]
    assert (set(extras["options"]) if "options" in extras else None) == options
    assert given.tally.dropped == dropped


def test_per_question_each_is_a_sample_asked_at_the_start_and_answered_at_the_end_of_its_window():
    given = given_for("egotimeqa", {"c": 480}, {"per": "question"})
    leek = row("What did l cut?", "a leek", 3.0, 7.5)
    found = made(given, [row(wrong_answers=["a cup"]), row(answer="", start=1.0), leek])
    assert {sample.id.partition("#")[0] for sample in found} == {"egotimeqa/train/c"}
    assert len(found) == len({sample.id for sample in found}) == 2
    assert sorted(at([sample]) for sample in found) == [[(8.0, "a leek")], [(46.0, "a ladle")]]
    for sample in found:
        (asked,) = sample.questions
        assert (asked.t, asked.when, asked.kind) == (0.0, "watch", "instruction") and "did I " in asked.text
    (ladle,) = [sample for sample in found if sample.references[0].text == "a ladle"]
    assert sorted(ladle.meta["turns"]["a0"]["options"]) == ["a cup", "a ladle"]
    assert given.tally.dropped == {"empty_text": 1}


def test_a_question_that_was_put_before_is_dropped_in_either_shape():
    for per in ("clip", "question"):
        given = given_for("egotimeqa", {"c": 480}, {"per": per})
        found = made(given, [row(), row()])
        assert len(found) == 1 and len(found[0].references) == 1
        assert given.tally.dropped == {"duplicate": 1}


@pytest.mark.parametrize("per", ["clip", "question"])
def test_a_clip_of_which_nothing_is_left_is_rejected(per):
    with pytest.raises(Reject, match="no_segment"):
        made(given_for("egotimeqa", {"c": 480}, {"per": per}), [row(answer="")])


# ---------------------------------------------------------------------------------------------- FineVideo


def video(activities=(), asked=(), length=60.0, **other):
    told = [
        {"description": text, "timestamp": {"start_timestamp": start, "end_timestamp": end}}
        for start, end, text in activities
    ]
    content = {"scenes": [{"activities": told}], "qAndA": [{"question": q, "answer": a} for q, a in asked]}
    return {"original_video_filename": "v.mp4", "duration_seconds": length, "content_metadata": content} | other


STORY = [
    ("00:00:02.500", "00:07.000", "A potter shapes a tall vase on the wheel."),
    ("00:00:09.000", "00:00:20.400", "She fires the bowl in a small kiln."),
]


def test_activities_are_told_as_they_end_and_questions_stand_at_the_end_in_a_sample_of_their_own():
    asked = [("What is fired?", "A bowl."), ("Who works?", "A potter.")]
    story, last = made(given_for("finevideo"), video(STORY, asked))
    assert (story.id, last.id) == ("finevideo/train/v#0", "finevideo/train/v#1")
    assert story.media == last.media == (Media("finevideo:v", 0.0, 60.0),)
    assert (story.meta["task"], story.meta["order"]) == ("dense_caption", "proactive")
    assert story.questions[0].text in prompts.PROMPTS["dense_caption"]
    assert story.references == (
        Reference("a0", 7.0, STORY[0][2], "q0", ((2.5, 7.0),)),
        Reference("a1", 21.0, STORY[1][2], "q0", ((9.0, 20.4),)),
    )
    assert (last.meta["task"], last.meta["order"], last.meta["quirks"]) == ("offline_qa", "multi_turn", ["unplaced"])
    assert last.turns == (
        Question("q0", 60.0, "What is fired?", "now", "question"), Reference("a0", 60.0, "A bowl.", "q0"),
        Question("q1", 60.0, "Who works?", "now", "question"), Reference("a1", 60.0, "A potter.", "q1"),
    )  # fmt: skip


@pytest.mark.parametrize(("what", "ids"), [("activities", ["#0"]), ("questions", ["#1"]), ("both", ["#0", "#1"])])
def test_a_sample_bears_the_same_id_whichever_are_asked_for(what, ids):
    found = made(given_for("finevideo", options={"what": what}), video(STORY, [("What is fired?", "A bowl.")]))
    assert [sample.id[-2:] for sample in found] == ids


@pytest.mark.parametrize("what", ["questions", "both"])
def test_on_request_a_question_is_grounded_where_one_activity_alone_has_its_words(what):
    asked = [("What does she fire in the kiln?", " A small bowl."), ("What is the mood?", "Calm and quiet.")]
    given = given_for("finevideo", options={"what": what, "ground": True})
    *_, last, grounded = made(given, video(STORY, asked))
    assert [turn.text for turn in last.references] == ["Calm and quiet."]
    assert grounded.id == "finevideo/train/v#2" and grounded.meta["task"] == "grounded_qa"
    assert grounded.references == (Reference("a0", 21.0, "A small bowl.", "q0", ((9.0, 20.4),)),)
    assert grounded.meta["turns"] == {"a0": {"gen": {"grounded": "by words", "score": 1.0}}}
    assert (grounded.meta["quirks"], last.meta["quirks"]) == (["text_trimmed"], ["text_trimmed", "unplaced"])


def test_a_question_that_fits_two_activities_or_has_too_few_words_of_one_stays_at_the_end():
    again = ("00:00:30.000", "00:00:33.000", "She fires the bowl in the kiln again, a small one.")
    given = given_for("finevideo", options={"what": "questions", "ground": True})
    asked = [("What does she fire in the kiln?", "A small bowl.")]
    (last,) = made(given, video([*STORY, again], asked))
    assert at([last]) == [(60.0, "A small bowl.")]
    for question, answer in [("What is it?", "A vase."), ("What does she fire in the yard?", "A bowl, then a plate.")]:
        (last,) = made(given, video(STORY, [(question, answer)]))
        assert at([last]) == [(60.0, answer)]


def test_a_video_without_questions_or_without_activities_still_gives_the_other_half():
    (story,) = made(given_for("finevideo"), video(STORY))
    (last,) = made(given_for("finevideo"), video((), [("Who works?", "A potter.")]))
    assert story.id.endswith("#0") and last.id.endswith("#1")
    with pytest.raises(Reject, match="no_segment"):
        made(given_for("finevideo"), video())


@pytest.mark.parametrize(
    ("licence", "told"),
    [("CC BY 4.0", "CC BY 4.0"), ("/home/x", None), (7, None), ("x" * 301, None), ("", None)],
)
def test_a_video_licence_is_passed_on_where_the_record_tells_one(licence, told):
    found = made(given_for("finevideo"), video(STORY, [("Who works?", "A potter.")], youtube_license=licence))
    assert [sample.meta["source"].get("video_licence") for sample in found] == [told, told]


def test_the_parquet_column_gives_the_same_bytes_as_json_lines(tmp_path):
    pa = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    texts = [json.dumps(video(STORY, original_video_filename=f"v{k}.mp4")) for k in range(3)]
    (tmp_path / "rows.jsonl").write_text("\n".join(texts) + "\n")
    parquet.write_table(pa.table({"mp4": [b"pixels"] * 3, "json": texts}), tmp_path / "rows.parquet")
    written = []
    for ending in ("jsonl", "parquet"):
        inputs = {"annotations": (tmp_path / f"rows.{ending}",)}
        converting.run(converting.Job(source_set.find("finevideo"), inputs, tmp_path / ending))
        written.append((tmp_path / ending / "finevideo.train.jsonl").read_bytes())
    assert written[0] == written[1] and written[0].count(b"\n") == 3


# ---------------------------------------------------------------------------------------------- MultiHop-EgoQA


def hop(**other):
    told = {"Q": "When did I knock?", "A": "You did <T1>first</T1> and <T2>again</T2>.", "T": [[47, 52], [133, 137]]}
    return told | {"Evidence": {"T1": [47, 52], "T2": [133, 137]}} | other


def single(**other):
    return hop(A="At <T1>noon</T1>.", Evidence={"T1": [5, 6]}) | other


def test_an_answer_comes_after_the_last_window_and_both_ends_of_a_window_count():
    (sample,) = made(given_for("multihop_egoqa"), {"segment_id": "c-1_180_360", "annotated_QA": [hop()]})
    asked, told = sample.turns
    assert sample.id == "multihop_egoqa/train/c-1_180_360#0"
    assert sample.media == (Media("ego4d:c-1", 180.0, 360.0),) and sample.duration_s == 180.0
    assert asked == Question("q0", 0.0, asked.text, "watch", "instruction") and "When did I knock?" in asked.text
    assert told == Reference("a0", 138.0, "You did first and again.", "q0", ((47.0, 53.0), (133.0, 138.0)))
    assert sample.meta["quirks"] == ["tags_stripped"]


@pytest.mark.parametrize(
    ("windows", "evidence", "t"),
    [
        ([54, 59], ((54.0, 60.0),), 60.0),
        ([[54, 59]], ((54.0, 60.0),), 60.0),
        ([30, 30], ((30.0, 31.0),), 31.0),
        ([[170, 180]], ((170.0, 180.0),), 180.0),
        ([[170, 179]], ((170.0, 180.0),), 180.0),
        ([[90, 95], [10, 12]], ((10.0, 13.0), (90.0, 96.0)), 96.0),
        ([[10, 12], [10, 12]], ((10.0, 13.0),), 13.0),
    ],
)
def test_a_window_lasts_through_its_last_second_and_never_past_the_segment(windows, evidence, t):
    value = {"segment_id": "c_0_180", "annotated_QA": [single(T=windows)]}
    (sample,) = made(given_for("multihop_egoqa"), value)
    assert (sample.references[0].evidence, sample.references[0].t) == (evidence, t)
    assert "end_clamped" not in sample.meta["quirks"]


@pytest.mark.parametrize(
    ("broken", "reason"),
    [
        ({"T": []}, "no_segment"),
        ({"A": "You did <T1>first</T1> and <T2>again."}, "bad_text"),
        ({"A": "You did </T1>first<T1> and <T2>again</T2>."}, "bad_text"),
        ({"A": "You did <T1>first</T2> and <T2>again</T1>."}, "bad_text"),
        ({"A": "<T0>x</T0>" * 6, "Evidence": dict.fromkeys("abcdef", 1)}, "length_mismatch"),
        ({"Evidence": {"T1": [47, 52]}}, "length_mismatch"),
        ({"A": "You did."}, "length_mismatch"),
        ({"T": [[47, 52], [137, 133]]}, "reversed"),
        ({"T": [[47, 52], [137, 136]]}, "reversed"),
        ({"T": [[47, 52], [133.5, 137]]}, "bad_time"),
        ({"T": [[47, 52], None]}, "bad_time"),
        ({"T": [[47, 52], [190, 192]]}, "beyond_duration"),
        ({"T": "47-52"}, "unknown_layout"),
        ({"A": None}, "empty_text"),
    ],
)
def test_what_the_official_loader_drops_and_what_is_broken_costs_its_question_alone(broken, reason):
    given = given_for("multihop_egoqa")
    parts = [hop(), hop(Q="When did I ring?") | broken, hop(Q="When did I leave?")]
    found = made(given, {"segment_id": "c_0_180", "annotated_QA": parts})
    assert [sample.id[-2:] for sample in found] == ["#0", "#2"]
    assert given.tally.dropped == {reason: 1}
    assert given.tally.read == {"segments": 1, "qa": 3}


def test_five_tags_are_not_too_many():
    answer = " ".join(f"<T{k}>x{k}</T{k}>" for k in range(5))
    value = {"segment_id": "c_0_180", "annotated_QA": [hop(A=answer, Evidence=dict.fromkeys("abcde", 1))]}
    assert at(made(given_for("multihop_egoqa"), value)) == [(138.0, "x0 x1 x2 x3 x4")]


def test_a_flat_row_belongs_to_the_test_split_and_is_named_by_its_own_id():
    flat = {"sample_id": 17, "category": "when", "segment_id": "c_0_180", "Q": "When?", "A": "At noon.", "T": [3, 4]}
    (sample,) = made(given_for("multihop_egoqa"), flat)
    assert (sample.id, sample.meta["split"]) == ("multihop_egoqa/test/17#0", "test")
    assert at([sample]) == [(5.0, "At noon.")]


@pytest.mark.parametrize("segment", ["c_0", "c_180_0", "c_0_0", "_0_180x", "../c_0_180", 5])
def test_a_segment_that_names_no_stretch_of_a_clip_is_rejected(segment):
    with pytest.raises(Reject, match="bad_id"):
        made(given_for("multihop_egoqa"), {"segment_id": segment, "annotated_QA": [hop()]})


# ---------------------------------------------------------------------------------------------- StreamingQA, released


COLUMNS = ("video_ids", "video_files", "captions", "questions", "options", "answers", "types")
LENGTHS = {"a/1.mp4": 12.4, "2": 8, "a/3": 0.9, "a/4.mp4": 5.999}


def clip(number, question="What is there?", answer="A cow.", options=None, kind="OP"):
    return (str(number), f"a/{number}.mp4", "A caption.", question, options, answer, kind)


def window(*clips):
    return {name: [one[k] for one in clips] for k, name in enumerate(COLUMNS)}


def test_clips_lie_end_to_end_in_whole_ticks_and_each_question_stands_where_its_clip_ends():
    given = given_for("streamingqa_release", LENGTHS)
    first = clip(1, "What colour is the cow?", "B", ["A. black", "B. brown"])
    (sample,) = made(given, window(first, clip(2, None), clip(3), clip(4, kind="Action Recognition")))
    assert sample.media == (
        Media("streamingqa:a/1", 0.0, 12.0, 0.0),
        Media("streamingqa:a/2", 0.0, 8.0, 12.0),
        Media("streamingqa:a/4", 0.0, 5.0, 20.0),
    )
    assert sample.duration_s == 25.0
    assert sample.turns == (
        Question("q0", 12.0, "What colour is the cow?", "now", "question"),
        Reference("a0", 12.0, "brown", "q0", ((0.0, 12.0),)),
        Question("q1", 25.0, "What is there?", "now", "question"),
        Reference("a1", 25.0, "A cow.", "q1", ((20.0, 25.0),)),
    )
    assert sample.meta["turns"] == {
        "a0": {"qa_type": "OP", "options": ["black", "brown"], "answer_index": 1},
        "a1": {"qa_type": "AR"},
    }
    assert (sample.meta["task"], sample.meta["order"]) == ("realtime_qa", "multi_turn")
    assert sample.meta["quirks"] == ["dropped_zero_length", "trimmed_to_tick"]
    assert given.tally.read == {"rows": 1, "clips": 4, "questions": 3, "captions": 4}


def test_with_finer_ticks_more_of_a_clip_is_shown():
    given = given_for("streamingqa_release", LENGTHS, policy=Policy(tick_ms=400))
    (sample,) = made(given, window(clip(1), clip(3)))
    assert [media.end_s for media in sample.media] == [12.4, 0.8]
    assert [turn.t for turn in sample.references] == [12.4, 13.2]


def test_a_window_is_named_by_its_clips_and_by_nothing_else():
    given = given_for("streamingqa_release", LENGTHS)
    (one,) = made(given, window(clip(1), clip(2)))
    (same,) = made(given, window(clip(1, "Who?", "A cat."), clip(2)))
    (other,) = made(given, window(clip(2), clip(1)))
    assert one.id == same.id != other.id


@pytest.mark.parametrize(
    ("options", "answer", "text", "index"),
    [
        (["A. red", "B. blue"], "B", "blue", 1), (["A. red", "B. blue"], "B.", "blue", 1),
        (["A. red", "B. blue"], "(B)", "blue", 1), (["A. red", "B. blue"], "B. blue", "blue", 1),
        (["A. red", "B. blue"], "blue", "blue", 1), (["(A) red", "(B) blue"], "A) red", "red", 0),
        (["red", "blue"], "B", "blue", 1), (["red", "blue"], "B: Blue", "blue", 1), (["B", "A"], "A", "A", 1),
        (["red", "Blue"], "blue", "Blue", 1), (["B. red", "A. blue"], "A. blue", "A. blue", 1),
    ],
)  # fmt: skip
def test_the_answer_becomes_the_words_of_its_option(options, answer, text, index):
    given = given_for("streamingqa_release", LENGTHS)
    (sample,) = made(given, window(clip(1, "What colour?", answer, options)))
    assert sample.references[0].text == text
    assert sample.meta["turns"]["a0"]["answer_index"] == index
    assert not given.tally.dropped


@pytest.mark.parametrize(
    ("options", "answer", "text"),
    [
        (["red", "blue"], "green", "green"), (["A. red", "B. blue"], "B. red", "red"), (["red"], "red", "red"),
        (["red", "Red"], "red", "red"), (list("abcdefg"), "g", "g"), ([1, 2], "red", "red"), ("red", "red", "red"),
        (["A. red", "B. blue"], "C. green", "green"),
    ],
)  # fmt: skip
def test_options_that_are_none_or_lack_the_answer_go_and_its_words_stay(options, answer, text):
    given = given_for("streamingqa_release", LENGTHS)
    (sample,) = made(given, window(clip(1, "What colour?", answer, options)))
    assert sample.references[0].text == text and "options" not in sample.meta["turns"]["a0"]
    assert given.tally.dropped == {"bad_options": 1}


@pytest.mark.parametrize("options", [["red", "blue"], ["red"], [None, "blue"], "red"])
def test_a_letter_without_its_option_answers_nothing_so_its_question_goes(options):
    given = given_for("streamingqa_release", LENGTHS)
    (sample,) = made(given, window(clip(1, "What colour?", "D", options), clip(2)))
    assert at([sample]) == [(20.0, "A cow.")]
    assert given.tally.dropped == {"bad_options": 1}


@pytest.mark.parametrize(
    ("told", "code"),
    [
        ("OP", "OP"), ("ocr", "OCR"), ("Object Perception", "OP"), ("action recognition", "AR"),
        ("Spatial-Awareness", "SA"), ("sequential_relationship", "SR"), ("Causal Reasoning", "CR"),
        ("Text Reading", "OCR"), ("Unexpected Event Handling", "UEH"), (" Event  Understanding ", "EU"),
    ],
)  # fmt: skip
def test_a_type_is_known_by_its_code_and_by_its_name(told, code):
    (sample,) = made(given_for("streamingqa_release", LENGTHS), window(clip(1, kind=told)))
    assert sample.meta["turns"]["a0"] == {"qa_type": code}


@pytest.mark.parametrize("told", [None, 3, "", "Guessing", ["OP"]])
def test_a_type_that_is_not_known_is_left_out_and_the_question_stays(told):
    given = given_for("streamingqa_release", LENGTHS)
    (sample,) = made(given, window(clip(1, kind=told)))
    assert "turns" not in sample.meta and len(sample.references) == 1
    assert "type_unknown" in sample.meta["quirks"] and not given.tally.dropped


@pytest.mark.parametrize(
    ("question", "looks_back"),
    [
        ("What did the man just do?", True), ("What happened before the fall?", True), ("Who was at the door?", True),
        ("What is the man doing?", False), ("Does he adjust the lamp?", False),
    ],
)  # fmt: skip
def test_a_question_that_looks_back_is_never_moved_before_its_clip(question, looks_back):
    (sample,) = made(given_for("streamingqa_release", LENGTHS), window(clip(2), clip(1, question)))
    moved = augment.shift(sample, p=1.0)
    assert invariants.check(moved) == []
    assert [turn.t for turn in moved.questions] == ([0.0, 20.0] if looks_back else [0.0, 8.0])


def test_what_is_varied_of_a_window_keeps_the_rules():
    (sample,) = made(given_for("streamingqa_release", LENGTHS), window(*(clip(k) for k in (1, 2, 4))))
    assert invariants.check(augment.drop(augment.shift(sample, p=0.5), p=0.5)) == []
    broken = replace(sample, turns=(*sample.turns[:-1], replace(sample.turns[-1], t=24.0)))
    assert invariants.check(broken), "the rules see an answer before its clip has ended"


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (window(clip(9)), "missing_duration"), (window(clip(3)), "zero_length"), (window(), "no_segment"),
        ({}, "unknown_layout"), ([], "unknown_layout"), (window(clip(1)) | {"answers": "A cow."}, "unknown_layout"),
        (window(clip(1, None)), "no_segment"), (window(clip(1)) | {"types": []}, "length_mismatch"),
        (window((None, None, "", "Who?", None, "A cow.", "OP")), "missing_id"),
        (window(("1", "../1.mp4", "", "Who?", None, "A cow.", "OP")), "bad_id"),
    ],
)  # fmt: skip
def test_a_window_that_is_none_is_rejected_with_its_reason(value, reason):
    given = given_for("streamingqa_release", LENGTHS)
    with pytest.raises(Reject) as caught:
        made(given, value)
    assert caught.value.reason == reason
