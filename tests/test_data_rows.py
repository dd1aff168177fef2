"""Records out of annotation files: every layout, every fault with its line, and going on from any record."""

import json
import pickle
import random
from pathlib import Path

import pytest

from streambridge.data import rows as room
from streambridge.data.reasons import REASONS
from streambridge.data.rows import Broken, Row, rows
from streambridge.errors import BadInput

HOSTILE = "__import__('os').system('touch HACKED')"


def written(tmp_path: Path, text: str | bytes, name: str = "file.json") -> Path:
    path = tmp_path / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def told(path: Path, layout: str = "json", under: str = "") -> list[tuple]:
    """(line, key, value) of each record, (line, reason) of each broken one."""
    found = rows(path, layout, under)
    return [(row.line, row.key, row.value) if isinstance(row, Row) else (row.line, row.reason) for row in found]


@pytest.mark.parametrize(("text", "under", "expected"), [
    ('[{"a":1},\n {"a":2}]', "", [(1, "", {"a": 1}), (2, "", {"a": 2})]),
    ('{"x":{"a":1},\n\n"y":{"a":[{"b":"}]"}]}}', "", [(1, "x", {"a": 1}), (3, "y", {"a": [{"b": "}]"}]})]),
    ('{"v":1.5,"w":null,"u":"database","n":[1,{"database":2}],\n"database":{"x":{"a":1},"y":[]},"z":"t"}', "database",
     [(2, "x", {"a": 1}), (2, "y", [])]),
    ('{"a":1}\n\n{"a":2}\n', "", [(1, "", {"a": 1}), (3, "", {"a": 2})]),
    ('{"id":"one","annotations":[]}', "", [(1, "", {"id": "one", "annotations": []})]),
    ('\ufeff[{"a":"\\"{[\\\\"}]', "", [(1, "", {"a": '"{[\\'})]),
    ('\ufeff{"a":1}\n{"a":2}', "", [(1, "", {"a": 1}), (2, "", {"a": 2})]),
    ("[]", "", []), ("{}", "", []), ("", "", []), (" \n", "", []),
])  # fmt: skip
def test_records_are_cut_out_of_lists_mappings_and_lines(tmp_path, text, under, expected):
    assert told(written(tmp_path, text), "json", under) == expected


@pytest.mark.parametrize(("text", "expected"), [
    ('[{"a":1},\n{"a":NaN},\n{"a":3}]', [(1, {"a": 1}), (2, "not_json"), (3, {"a": 3})]),
    ('[{"a":1},\n{"a":Infinity}]', [(1, {"a": 1}), (2, "not_json")]),
    ('[{"a":1},\n7, "x", null,\n{"a":3}]', [(1, {"a": 1}), (2, "unknown_layout"), (2, "unknown_layout"),
                                           (2, "unknown_layout"), (3, {"a": 3})]),
    ('[{"a":1},\n{"a":2,\n{"a":3},\n{"a":4}]', [(1, {"a": 1}), (2, "not_json"), (3, {"a": 3}), (4, {"a": 4})]),
    ('[{"a":1},\n{"a":"2},\n{"a":3},\n{"a":4}]', [(1, {"a": 1}), (2, "not_json"), (3, {"a": 3}), (4, {"a": 4})]),
    ('[{"a":1}},\n{"a":3}]', [(1, {"a": 1}), (1, "not_json"), (2, {"a": 3})]),
    ('[{"a":1},\n{"a":', [(1, {"a": 1}), (2, "cut_short")]),
    ('[{"a":1},\n', [(1, {"a": 1}), (2, "cut_short")]),
    ('[{"a":1},\n{"a":"\\ud800"},\n{"a":3}]', [(1, {"a": 1}), (2, {"a": "\ud800"}), (3, {"a": 3})]),
    ('{"a":1}\n{"a":2\n{"a":3}\n', [(1, {"a": 1}), (2, "not_json"), (3, {"a": 3})]),
    ('{"a":1}\n{"a":nan}\nnothing\n{"a":3}', [(1, {"a": 1}), (2, "not_json"), (3, "not_json"), (4, {"a": 3})]),
    ('{"x":{"a":1},\n"y":5,\n"z":{"a":3}}', [(1, {"a": 1}), (2, "unknown_layout"), (3, {"a": 3})]),
    ('{"x":{"a":1}},\n"y":{"a":2}}', [(1, {"a": 1}), (1, "not_json"), (2, {"a": 2})]),
])  # fmt: skip
def test_a_broken_record_is_told_with_its_line_and_the_next_one_follows(tmp_path, text, expected):
    assert [(one[0], one[-1]) for one in told(written(tmp_path, text))] == expected


def test_an_extra_bracket_in_the_middle_of_a_database_does_not_end_it(tmp_path):
    path = written(tmp_path, '{"database":{"x":{"a":1}},\n"y":{"a":2}},"version":"1"}')
    assert [one[-1] for one in told(path, "json", "database")] == [{"a": 1}, "not_json", {"a": 2}]


def test_bytes_that_are_no_text_cost_their_record_alone(tmp_path):
    path = written(tmp_path, b'[{"a":"caf\xe9"},\n{"a":2}]')
    assert told(path) == [(1, "not_text"), (2, "", {"a": 2})]
    assert told(written(tmp_path, b'{"a":"\xff"}\n{"a":2}\n')) == [(1, "not_text"), (2, "", {"a": 2})]


@pytest.mark.parametrize("layout", ["json", "csv", "text"])
def test_a_line_of_ten_megabytes_is_rejected_with_its_number_and_the_rest_goes_on(tmp_path, layout):
    long = "x" * 10_000_000
    text = {"json": f'{{"a":1}}\n{{"a":"{long}"}}\n{{"a":3}}\n', "csv": f"a\n1\n{long}\n3\n", "text": f"1\n{long}\n3\n"}
    found = told(written(tmp_path, text[layout]), layout)
    assert [one[-1] for one in found if len(one) == 2] == ["too_long"]
    assert len(found) == 3 and len(found[0]) == len(found[2]) == 3
    assert found[1][0] == found[0][0] + 1 == found[2][0] - 1


def test_a_record_of_ten_megabytes_inside_a_document_costs_itself(tmp_path):
    text = '[{"a":1},\n{"a":"' + "x" * 10_000_000 + '"},\n{"a":3}]'
    assert [one[-1] for one in told(written(tmp_path, text))] == [{"a": 1}, "not_json", {"a": 3}]


def test_a_nesting_without_end_is_told_and_does_not_crash(tmp_path):
    path = written(tmp_path, '[{"a":1},\n{"a":' + "[" * 200_000 + "]" * 200_000 + '},\n{"a":3}]')
    assert [one[-1] for one in told(path)] == [{"a": 1}, "not_json", {"a": 3}]
    assert told(written(tmp_path, "[" * 2_000_000))[-1][-1] == "cut_short"


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@pytest.mark.parametrize("layout", ["json", "document", "csv", "text"])
def test_a_pickle_is_never_opened(tmp_path, protocol, layout):
    class Trap:
        def __reduce__(self):
            return Path.touch, (tmp_path / "HACKED",)

    path = written(tmp_path, pickle.dumps(Trap(), protocol))
    with pytest.raises(BadInput, match="is a pickle, which can run code when it is opened, so none is"):
        list(rows(path, layout))
    assert not (tmp_path / "HACKED").exists()


@pytest.mark.parametrize(("text", "layout", "match"), [
    ("hello", "json", "is no JSON: it begins with 'hello'"), ("", "csv", "has no header"),
    ('{"a":[{"x":1}]}', "json", "keeps its records under 'database'"),
])  # fmt: skip
def test_a_file_of_another_kind_is_told_in_one_line(tmp_path, text, layout, match):
    with pytest.raises(BadInput, match=match) as caught:
        list(rows(written(tmp_path, text), layout, "database"))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["nowhere.json", "."])
def test_what_is_no_file_is_told_in_one_line(tmp_path, name):
    with pytest.raises(BadInput, match="cannot read"):
        list(rows(tmp_path / name, "json"))


def test_csv_rows_keep_quotes_commas_and_line_ends(tmp_path):
    path = written(tmp_path, 'id,words\n1,"a, ""b""\nc"\r\n2,d\n\n3,é\n', "t.csv")
    values = [(line, value) for line, _, value in told(path, "csv")]
    assert values == [(2, {"id": "1", "words": 'a, "b"\nc'}), (4, {"id": "2", "words": "d"}),
                      (6, {"id": "3", "words": "é"})]  # fmt: skip


@pytest.mark.parametrize(("text", "expected"), [
    ('id,words\n1,"never closed\n2,b\n3,c\n', [(2, "open_quote"), (3, "2"), (4, "3")]),
    ("id,words\n1,a,surplus\n2,b\n", [(2, "unknown_layout"), (3, "2")]),
    ("id,words\n1\n2,b\n", [(2, "unknown_layout"), (3, "2")]),
    ('id,words\n1,a"b"c\n2,b\n', [(2, "1"), (3, "2")]),
    ('id,words\n1,"a"b"c"\n2,b\n', [(2, "not_json"), (3, "2")]),
    (f"id,words\n1,{HOSTILE}\n2,b\n", [(2, "1"), (3, "2")]),
])  # fmt: skip
def test_a_broken_csv_row_costs_itself(tmp_path, text, expected):
    found = rows(written(tmp_path, text, "t.csv"), "csv")
    assert [(one.line, one.value["id"] if isinstance(one, Row) else one.reason) for one in found] == expected


def test_a_cell_longer_than_the_csv_modules_own_limit_is_read(tmp_path):
    (row,) = rows(written(tmp_path, f'id,words\n1,"{"w" * 200_000}"\n', "t.csv"), "csv")
    assert isinstance(row, Row) and len(row.value["words"]) == 200_000


def test_two_quotes_never_closed_cost_two_lines_even_far_apart(tmp_path):
    lines = ["id,words", *(f"{n},w" for n in range(300))]
    lines[100], lines[200] = '99,"x', '199,"y'
    found = list(rows(written(tmp_path, "\n".join(lines), "t.csv"), "csv"))
    assert [one.line for one in found if isinstance(one, Broken)] == [101, 201]
    assert len(found) == 300 and [one.line for one in found] == list(range(2, 302))


TEXTS = {
    "json-list": ("json", "[" + ",\n".join(json.dumps({"n": n, "t": "é\n" * (n % 3)}) for n in range(40)) + "]"),
    "json-mapping": ("json", json.dumps({f"k{n}": {"n": n} for n in range(40)}, indent=1)),
    "json-lines": ("json", "\n".join(json.dumps({"n": n}) if n % 7 else "broken" for n in range(1, 41))),
    "csv": ("csv", "n,t\n" + "\n".join(f'{n},"a\nb"' if n % 5 else f'{n},"x' for n in range(1, 41))),
    "text": ("text", "\n".join(f"line {n}" for n in range(40))),
}


@pytest.mark.parametrize("kind", TEXTS)
def test_reading_goes_on_behind_any_record_as_if_it_had_never_stopped(tmp_path, kind):
    layout, text = TEXTS[kind]
    path = written(tmp_path, text)
    whole = list(rows(path, layout))
    assert len(whole) >= 40
    for k, row in enumerate(whole):
        assert list(rows(path, layout, at=row.end)) == whole[k + 1 :]


def test_parquet_gives_its_texts_and_goes_on_behind_any_row(tmp_path):
    pyarrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    texts = [json.dumps({"n": n}) if n != 3 else "{" for n in range(200)]
    table = pyarrow.table({"json": texts, "mp4": [b"video"] * 200})
    parquet.write_table(table, tmp_path / "t.parquet", row_group_size=70)
    whole = list(rows(tmp_path / "t.parquet", "parquet", "json"))
    numbers = [row.value["n"] if isinstance(row, Row) else row.reason for row in whole]
    assert numbers == [0, 1, 2, "not_json", *range(4, 200)]
    for at in (0, 1, 69, 70, 71, 139, 140, 199, 200):
        assert list(rows(tmp_path / "t.parquet", "parquet", "json", at)) == whole[at:]
    with pytest.raises(BadInput, match="has no column 'words'; there are: json, mp4"):
        list(rows(tmp_path / "t.parquet", "parquet", "words"))
    with pytest.raises(BadInput, match="cannot be read as Parquet"):
        list(rows(written(tmp_path, "PAR1 no", "broken.parquet"), "parquet", "json"))


def test_whatever_bytes_come_they_end_in_records_or_one_clear_line(tmp_path):
    good = json.dumps([{"n": n, "t": ["a", {"b": "c\\\"d"}]} for n in range(6)], indent=1).encode()
    rng, bits = random.Random(3), [b"{", b"}", b"[", b"]", b'"', b"\\", b"\n", b"\x00", b"\xff", b""]
    for _ in range(400):
        held = bytearray(good)
        for _ in range(rng.randint(1, 4)):
            at = rng.randrange(len(held))
            held[at : at + rng.randint(0, 3)] = rng.choice(bits)
        path = written(tmp_path, bytes(held))
        for layout in ("json", "document", "csv", "text"):
            try:
                found = list(rows(path, layout))
            except BadInput as err:
                assert "\n" not in str(err)
                continue
            assert all(isinstance(one, Row) or one.reason in REASONS for one in found)
            assert [one.end for one in found] == sorted(one.end for one in found)


def test_memory_of_one_record_is_bounded():
    assert room.MOST_BYTES <= 8 * 2**20
