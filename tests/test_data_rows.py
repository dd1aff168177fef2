"""Records out of annotation files: every layout, every fault with its line, and going on from any record."""

import gzip
import json
import pickle
import random
import subprocess
import sys
import time
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


def record(n):
    return {"id": f"r{n}", "n": n, "parts": [{"at": [1, n]}, {"at": [2, n]}]}


def flat(n):
    return {"id": f"r{n}", "n": n, "words": f"a boy, {n}"}


def one_a_line(texts, brackets="[]"):
    return brackets[0] + ",\n".join(texts) + brackets[1]


def listed(make, count=30):
    return [json.dumps(make(n)) for n in range(count)]


def named(make, count=30):
    return [f'"k{n:03d}": {json.dumps(make(n))}' for n in range(count)]


def without(texts, at, what, by=""):
    """The texts, with the last `what` of one of them replaced."""
    head, found, tail = texts[at].rpartition(what)
    assert found
    return [*texts[:at], head + by + tail, *texts[at + 1 :]]


FORMS = {
    "list, lines": lambda make: (one_a_line(listed(make)), ""),
    "list, pretty": lambda make: (json.dumps([make(n) for n in range(30)], indent=2), ""),
    "list, one line": lambda make: (json.dumps([make(n) for n in range(30)]), ""),
    "mapping, lines": lambda make: (one_a_line(named(make), "{}"), ""),
    "mapping, pretty": lambda make: (json.dumps({f"k{n}": make(n) for n in range(30)}, indent=2), ""),
    "mapping, one line": lambda make: ("{" + ", ".join(named(make)) + "}", ""),
    "under a key": lambda make: ('{"v":1,"database":' + one_a_line(named(make), "{}") + ',"m":{"a":[1]}}', "database"),
    "one a line": lambda make: ("\n".join(listed(make)), ""),
}  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("make", [flat, record])
def test_one_bracket_quote_or_line_end_too_many_or_too_few_costs_few_records_and_reading_goes_on(tmp_path, form, make):
    text, under = FORMS[form](make)
    rng, good = random.Random(form), text.encode()
    whole = told(written(tmp_path, good), "json", under)
    assert len(whole) == 30 and all(len(one) == 3 for one in whole)
    want = {json.dumps(value) for _, _, value in whole}
    word = range(good.find(b"database"), good.find(b"database") + len(b"database") + 1) if under else ()
    marks = [at for at, byte in enumerate(good) if byte in b'{}[]"\n']
    for _ in range(60):
        at, mark = rng.choice([(rng.choice(marks), b""), (rng.randrange(len(good)), bytes([rng.choice(b'{}[]"\n')]))])
        if at in word:
            continue  # then there is no such key
        path = written(tmp_path, good[:at] + mark + good[at + (not mark) :])
        found = list(rows(path, "json", under))
        read = {json.dumps(row.value) for row in found if isinstance(row, Row)}
        assert len(want & read) >= 27, (at, mark)
        assert len(want & read) == 30 or len(read) < 30 or read - want or len(found) > 30, (at, mark)
        for k in range(0, len(found), 3):
            assert list(rows(path, "json", under, found[k].end)) == found[k + 1 :], (at, mark, k)


@pytest.mark.parametrize("make", [named, listed])
@pytest.mark.parametrize(("what", "by"), [("}", ""), ("]", ""), ('"', ""), ('"', "\n")])
@pytest.mark.parametrize("join", [",\n", ", "])
def test_a_missing_mark_costs_its_own_record_alone_and_is_told_at_its_line(tmp_path, make, what, by, join):
    texts, (first, last) = make(record), "{}" if make is named else "[]"
    broken = list(range(30))
    for at in (7, 20):
        texts = without(texts, at, what, by)
        broken.remove(at)
    found = told(written(tmp_path, first + join.join(texts) + last))
    assert [one[2]["n"] for one in found if len(one) == 3] == broken
    lines = [8, 21 + (by == "\n")] if join == ",\n" else [1, 1 + (by == "\n")]
    assert [one for one in found if len(one) == 2] == [(line, "not_json") for line in lines]


def test_a_missing_brace_in_a_pretty_file_costs_its_own_record_alone(tmp_path):
    text = json.dumps({f"k{n}": record(n) for n in range(9)}, indent=2).replace('  },\n  "k4"', '  ,\n  "k4"')
    found = told(written(tmp_path, text))
    assert [one[1] for one in found if len(one) == 3] == ["k0", "k1", "k2", "k4", "k5", "k6", "k7", "k8"]
    assert [one for one in found if len(one) == 2] == [(text[: text.index('"k3"')].count("\n") + 1, "not_json")]


@pytest.mark.parametrize(("text", "under", "expected"), [
    ('[{"a":1},\n{"a":2}]\n,{"a":3},\n{"a":4}]', "", [1, 2, (2, "not_json"), 3, 4]),
    ('[{"a":1},{"a":2}]\n[{"a":3},{"a":4}]', "", [1, 2, (1, "not_json"), 3, 4]),
    ('{"x":{"a":1},\n"y":{"a":2}}\n{"z":{"a":3}}', "", [1, 2, (2, "not_json"), 3]),
    ('[{"a":1},\n{"a":2}]\n hello world', "", [1, 2, (2, "not_json")]),
    ('[{"a":1},\n{"a":2}}', "", [1, 2, (2, "not_json")]),
    ('{"d":{"x":{"a":1},"y":{"a":2}},"d":{"z":{"a":3}}}', "d", [1, 2, (1, "not_json"), 3]),
    ('{"d":{"x":{"a":1},"y":{"a":2}}}\n{"d":{"z":{"a":3}}}', "d", [1, 2, (1, "not_json"), 3]),
    ('{"d":{"x":{"a":1}},"m":{"b":2}} hello', "d", [1, (1, "not_json")]),
    ('{"d":{"x":{"a":1}},"m":{"b":', "d", [1, (1, "cut_short")]),
    ('{"d":{"x":{"a":1}}', "d", [1, (1, "cut_short")]),
    ('{"v":["k":1,\n"d":{"x":{"a":1},"y":{"a":2}}}', "d", [(1, "not_json"), 1, 2]),
])  # fmt: skip
def test_what_follows_the_records_is_told_and_records_behind_it_are_read(tmp_path, text, under, expected):
    found = told(written(tmp_path, text), "json", under)
    assert [one[2]["a"] if len(one) == 3 else one for one in found] == expected


@pytest.mark.parametrize(("text", "under", "expected"), [
    ('{"w":{"a":1},\n"x":{"a":2,\n"y":{"a":3},\n"z":{"a":4}}}', "", [1, (2, "not_json"), 3, 4, (4, "not_json")]),
    ('[{"a":1}\n{"a":2}\n{"a":3}\n{"a":4}]', "", [1, 2, 3, 4]),
    ('[{"a":1},\n{"a":2},"b":{"c":1}},\n{"a":3}]', "", [1, (2, "not_json"), 3]),
    ('[\n{"a":1},\n{"a":2,"p":[{"a":8},{"a":9},\n', "", [1, (3, "cut_short")]),
    ('{"d":{"x":{"a":1}},\n"y":{"a":2},\n"z":{"a":', "d", [1, (1, "not_json"), 2, (3, "cut_short")]),
])  # fmt: skip
def test_a_fault_does_not_hide_its_neighbours_nor_make_records_of_parts(tmp_path, text, under, expected):
    found = told(written(tmp_path, text), "json", under)
    assert [one[2]["a"] if len(one) == 3 else one for one in found] == expected


def test_a_second_container_of_the_same_name_is_told_as_such(tmp_path):
    found = list(rows(written(tmp_path, '{"d":{"x":{"a":1}},"d":{"y":{"a":2}}}'), "json", "d"))
    assert found[1].got == "the key 'd' stands twice" and found[2].key == "y"


@pytest.mark.parametrize(("text", "count", "under"), [
    ('{"version":"1.3","d":{"x":{"a":1},"y":{"a":2}},"meta":{"by":"x","tax":{"a":1}}}', 2, "d"),
    ('{"d":{"x":{"a":1}},\n"taxonomy":[{"a":1},{"a":2}],"n":1,"t":"}","u":null}', 1, "d"),
    (json.dumps({"x": {"id": 1, "child": {"id": 2, "more": [{"id": 3}, {"id": 4}]}}, "y": {"id": 5}}), 2, ""),
    (json.dumps({f"k{n}": record(n) | {"in": {"id": 1}} for n in range(5)}, indent=0), 5, ""),
    (json.dumps([record(n) | {"in": [{"id": 1}, {"id": 2}]} for n in range(5)], indent=0), 5, ""),
    ('[\n  {"id": 1, "in": [\n  {"id": 2},\n  {"id": 3}\n  ]},\n  {"id": 4}\n]', 2, ""),
    ('[{"a":1}, {"b":1},\n {"a":[\n]}]', 3, ""),
    ('[{"a":1, "b":{"c" : {}, "d" :\n\n    [ ]}}]', 1, ""),
])  # fmt: skip
def test_a_valid_document_however_it_is_spaced_gives_all_its_records_and_no_reject(tmp_path, text, count, under):
    json.loads(text)
    found = told(written(tmp_path, text), "json", under)
    assert len(found) == count and all(len(one) == 3 for one in found)


NESTED = {"id": 1, "a": {}, "b": {}, "c": {}}


@pytest.mark.parametrize(
    "first", ["garbage", "null", "[1,2]", '{"id":1,"a":', '{"id":1} x', '{"id":"' + "x" * 10**7 + '"}']
)
@pytest.mark.parametrize("name", ["f.jsonl", "f.json", "f.NDJSON"])
def test_a_bad_first_or_second_line_of_json_lines_costs_itself(tmp_path, first, name):
    good = [json.dumps(NESTED | {"id": n}) for n in range(30)]
    for at in (0, 1):
        found = told(written(tmp_path, "\n".join([*good[:at], first, *good[at:]]) + "\n", name))
        assert [one[2]["id"] for one in found if len(one) == 3 and isinstance(one[2], dict)] == list(range(30))
        assert len(found) == 31 and found[at][0] == at + 1


def test_a_file_of_one_line_is_a_mapping_of_records_or_a_record_by_its_ending(tmp_path):
    text = json.dumps({"x": {"a": 1}, "y": {"a": 2}})
    assert [one[1] for one in told(written(tmp_path, text, "f.json"))] == ["x", "y"]
    assert told(written(tmp_path, text, "f.jsonl")) == [(1, "", json.loads(text))]
    assert told(written(tmp_path, json.dumps(NESTED) + "\n" + text, "f.jsonl"), under="x")[1] == (
        2,
        "",
        json.loads(text),
    )


@pytest.mark.parametrize("text", ['[{"a":1},\n{"a":2,"b":{"c":1,"c":2}},\n{"a":3}]', '{"a":1}\n{"a":2,"a":3}\n{"a":3}'])
def test_a_key_that_stands_twice_in_a_record_costs_it(tmp_path, text):
    one, broken, three = rows(written(tmp_path, text), "json")
    assert (one.value["a"], three.value["a"]) == (1, 3)
    assert (broken.line, broken.reason) == (2, "not_json") and "a key stands twice" in broken.got


def test_a_csv_header_that_names_a_column_twice_is_refused(tmp_path):
    with pytest.raises(BadInput, match="names the column 'words' twice"):
        list(rows(written(tmp_path, "id,words,words\n1,a,b\n", "t.csv"), "csv"))


@pytest.mark.parametrize(("head", "match"), [
    (gzip.compress(b"[]"), r"is packed \(gzip\); .*unpack it"), (b"PK\x03\x04...", r"is packed \(zip\); .*unpack it"),
    ("[]".encode("utf-16"), "is text in UTF-16; .*save it as UTF-8"),
    (b"\xfe\xff\x00[\x00]", "is text in UTF-16; .*save it as UTF-8"),
])  # fmt: skip
@pytest.mark.parametrize("layout", ["json", "document", "csv", "text"])
def test_what_is_packed_or_no_utf8_is_refused_with_what_to_do(tmp_path, head, match, layout):
    with pytest.raises(BadInput, match=match) as caught:
        list(rows(written(tmp_path, head), layout))
    assert "\n" not in str(caught.value)


def test_a_file_that_shrinks_while_it_is_read_is_told_and_does_not_end_the_process(tmp_path):
    path = written(tmp_path, one_a_line(listed(record, 3000)))
    code = (
        "import os, sys\nfrom pathlib import Path\nfrom streambridge.data.rows import rows\n"
        "path = Path(sys.argv[1])\nfound = rows(path, 'json')\nnext(found)\nos.truncate(path, 100)\nlist(found)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, timeout=60)
    assert done.returncode == 1 and "BadInput" in done.stderr and "became shorter while it was read" in done.stderr


def test_many_faults_do_not_make_reading_slow(tmp_path):
    for texts, (first, last) in ((listed(record, 4001), "[]"), (named(record, 4001), "{}")):
        broken = [text[:-1] if n % 2 else text for n, text in enumerate(texts)]
        began = time.process_time()
        found = told(written(tmp_path, first + ",\n".join(broken) + last))
        assert time.process_time() - began < 20  # it takes a second; with a scan of the rest for each, many minutes
        assert sum(len(one) == 3 for one in found) == 2001 and len(found) == 4001


TEXTS = {
    "json-list": ("json", "[" + ",\n".join(json.dumps({"n": n, "t": "é\n" * (n % 3)}) for n in range(40)) + "]"),
    "json-mapping": ("json", json.dumps({f"k{n}": {"n": n} for n in range(40)}, indent=1)),
    "json-lines": ("json", "\n".join(json.dumps({"n": n}) if n % 7 else "broken" for n in range(1, 41))),
    "json-stray": (
        "json",
        one_a_line([*listed(flat, 20), "]", *listed(flat, 20), "}"]) + "]\n[" + listed(flat, 1)[0] + "]",
    ),
    "json-missing-brace": ("json", one_a_line(without(without(named(record, 42), 5, "}"), 30, "]"), "{}")),
    "json-pretty-missing-brace": (
        "json",
        json.dumps([record(n) for n in range(42)], indent=1).replace("\n },", "\n ,", 1),
    ),
    "json-one-line": ("json", "{" + ", ".join(without(without(named(record, 44), 5, "}"), 30, '"')) + "}"),
    "json-unclosed": ("json", "[" + ",\n".join([*listed(flat, 40), '{"a":'])),
    "json-unclosed-one-line": ("json", "{" + ",".join([*named(flat, 40), '"k": {"a": [1'])),
    "json-unclosed-behind-a-record": ("json", "[" + ",\n".join(listed(flat, 41))),
    "json-rubbish-behind": ("json", one_a_line(listed(flat, 40)) + "\n hello"),
    "json-no-opener": ("json", one_a_line(listed(flat, 41))[1:]),
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


@pytest.mark.parametrize("kind", sorted(set(TEXTS) - {"json-unclosed-behind-a-record"}))
def test_nothing_is_told_again_at_the_end_of_the_file(tmp_path, kind):
    layout, text = TEXTS[kind]
    assert list(rows(written(tmp_path, text), layout, at=len(text.encode()))) == []


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
    good = json.dumps([{"n": n, "t": ["a", {"b": 'c\\"d'}]} for n in range(6)], indent=1).encode()
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
