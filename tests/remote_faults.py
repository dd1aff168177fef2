"""What servers do wrong, and right in ways of their own: scripts for `remote_server`, and what shall come of each."""

import json
from dataclasses import dataclass
from typing import Any

from remote_server import (
    END,
    HANG,
    RESET,
    Endless,
    bytes_of,
    chunked,
    delta,
    event,
    head,
    refusal,
    stream,
    usage,
    whole,
    words,
)

KEY = "sk-test-0123456789abcdefghij"
TRIES = 3


@dataclass
class Case:
    """What a server does for one answer, and what shall come of it.

    Attributes:
        name: of the case.
        scripts: one a request.
        heard: the words that came.
        told: what the one line says; None when the answer is whole.
    """

    name: str
    scripts: list[Any]
    heard: str = "One two."
    told: str | None = None


def case(name: str, *steps: Any, **how: Any) -> Case:
    return Case(name, [list(steps)], **how)


def again(name: str, *first: Any, **how: Any) -> Case:
    """Faults that pass: each first step answers a request, and the next request goes well."""
    return Case(name, [*([step] if not isinstance(step, list) else step for step in first), [GOOD]], **how)


def fails(name: str, *steps: Any, told: str, heard: str = "", **how: Any) -> Case:
    return case(name, *steps, heard=heard, told=told, **how)


def tried(name: str, *steps: Any, told: str) -> Case:
    """Faults that might pass and do not: tried as often as patience has it."""
    return Case(name, [list(steps)] * TRIES, "", told + r".*\(tried 3 times\)")


GOOD = stream("One ", "two.")
BODY = words("One ", "two.") + END
UNTAKEN = "Unsupported parameter: '{}' is not supported with this model. Use '{}' instead."
SPLIT = b'data: {"choices": [{"delta":\nid: 7\n: so\ndata: {"content": "One "}}]}\n\n' + words("two.") + END

WHOLE = [
    case("a stream", GOOD),
    case("line ends as on Windows", head() + BODY.replace(b"\n", b"\r\n")),
    case(
        "comments that keep the connection alive",
        head() + b": ping\n\n: ping\n\n" + words("One ") + b":\n\n" + BODY[len(words("One ")) :],
    ),
    case("data over several lines", head() + SPLIT),
    case("byte by byte", head(), *bytes_of(words("One ", "two.") + END)),
    case("cut inside letters", head(), *bytes_of(words("Größe: ", "三二一。") + END), heard="Größe: 三二一。"),
    case(
        "chunks of HTTP that cut anywhere",
        head(Transfer_Encoding="chunked") + chunked(words("Grün ", "三。") + END, 7),
        heard="Grün 三。",
    ),
    case("no stream but one JSON", whole({"choices": [{"message": {"content": "One two."}, "finish_reason": "stop"}]})),
    case("one JSON over many lines", whole(json.dumps({"choices": [{"message": {"content": "One two."}}]}, indent=2))),
    case("a wrong content type", head(kind="text/plain") + BODY),
    case("the content type of JSON", head(kind="application/json") + BODY),
    case("no content type", head(kind=None) + BODY),
    case("a byte order mark", head() + b"\xef\xbb\xbf" + BODY),
    case("fields that nobody asked for", head() + b"event: x\nid: 7\nretry: 10\n" + BODY),
    case("no space behind the colon", head() + BODY.replace(b"data: ", b"data:")),
    case("no DONE", head() + words("One ", "two.") + delta("stop")),
    case("nothing but DONE says the end", head() + words("One ", "two.") + b"data: [DONE]\n\n"),
    case("no empty line at the end", head() + (words("One ", "two.") + delta("stop")).rstrip(b"\n")),
    case("the last words with the end", head() + words("One ") + delta("stop", content="two.")),
    case(
        "deltas without words",
        head() + delta(role="assistant", content=None) + delta() + event({"choices": [{"delta": None}]}) + BODY,
    ),
    case("no choices", head() + event({"choices": []}) + event({"choices": None}) + event({}) + BODY),
    case("choices that are none", head() + event({"choices": [7]}) + event({"choices": {"a": 1}}) + BODY),
    case(
        "thoughts, which are not said",
        head() + delta(reasoning_content="Hm. ") + delta(content=None, reasoning="So?") + BODY,
    ),
    case(
        "words in parts",
        head() + delta(content=[{"type": "text", "text": "One "}, {"type": "text", "text": "two."}, 3]) + END,
    ),
    case("words that are none", head() + delta(content=7) + delta(content={"a": 1}) + BODY),
    case(
        "a count of tokens that is none",
        head() + words("One ", "two.") + delta("stop") + usage("many") + b"data: [DONE]\n\n",
    ),
    case("silence behind the last word", head() + words("One ", "two.") + delta("stop"), HANG),
    case("rubbish behind the last word", head() + words("One ", "two.") + delta("stop") + event(b"{rubbish")),
    case("a broken connection behind the last word", head() + words("One ", "two.") + delta("stop"), 0.02, RESET),
    case("more behind DONE", head() + BODY, Endless(words("three"))),
    case("words that stop at the limit", head() + words("One ", "two.") + delta("length") + b"data: [DONE]\n\n"),
    case("words without end", head(), Endless(words("ab" * 32)), heard="ab" * 512),
    case("words without end in one piece", head() + words("ab" * 5000), HANG, heard="ab" * 512),
]
PASSING = [
    again("busy for a moment", refusal("429 Too Many Requests", Retry_After="0")),
    again("busy, and says no time", refusal("429 Too Many Requests")),
    again("busy until a date", refusal("429 Too Many Requests", Retry_After="Wed, 21 Oct 2015 07:28:00 GMT")),
    again("busy for an hour", refusal("429 Too Many Requests", Retry_After="3600")),
    again("busy until who knows when", refusal("503 Service Unavailable", Retry_After="soon")),
    again(
        "broken, then unreachable",
        refusal("500 Internal Server Error"),
        whole("<html>", "502 Bad Gateway", "text/html"),
    ),
    again("hung up without a word", b""),
    again("pulled out", RESET),
    again("an empty reply", head()),
    again("a stream that ends before its words", head() + delta(role="assistant", content="")),
    again("chunks of HTTP that end before the words", head(Transfer_Encoding="chunked") + b"40\r\ndata: "),
    again("an error that passes, in a stream", head() + event({"error": {"message": "overloaded", "code": 503}})),
    again("no counting of tokens", refusal("400 Bad Request", "stream_options: Extra inputs are not permitted")),
    again("no temperature", refusal("400 Bad Request", UNTAKEN.format("temperature", "x"))),
    again(
        "another name of max_tokens", refusal("400 Bad Request", UNTAKEN.format("max_tokens", "max_completion_tokens"))
    ),
]
BROKEN = [
    fails(
        "an error as a list",
        whole({"detail": [{"loc": ["body"], "msg": "field required"}, {"msg": "x"}]}, "422 Unprocessable Entity"),
        told="said 422 Unprocessable Entity: field required$",
    ),
    fails("an error of numbers", whole({"error": 7}, "400 Bad Request"), told="said 400 Bad Request$"),
    fails(
        "a key that is wrong",
        refusal("401 Unauthorized", f"Incorrect API key provided: {KEY}"),
        told=r"said 401.*does not accept the key in OPENAI_API_KEY.*provided: \[key\]",
    ),
    fails("a key with stars", refusal("401 Unauthorized", f"No: {KEY[:9]}****j."), told=r"No: \[key\]"),
    fails("a key that may not", refusal("403 Forbidden"), told="said 403.*OPENAI_API_KEY"),
    fails(
        "no such model",
        refusal("404 Not Found", "model `some-model` not found"),
        told="said 404.*no such model.*/v1.*`some-model`",
    ),
    fails(
        "another server altogether",
        whole("<html><body>Nothing</body></html>", "404 Not Found", "text/html"),
        told=r"said 404.*\(a web page\)",
    ),
    fails("too much of it", refusal("413 Payload Too Large"), told="said 413.*smaller max_len"),
    fails(
        "too long for it",
        refusal("400 Bad Request", "This model's maximum context length is 4096 tokens"),
        told="smaller max_len: This model",
    ),
    fails(
        "too many tokens asked for",
        refusal("400 Bad Request", "Invalid value for max_tokens: 64"),
        told="said 400 Bad Request: Invalid value for max_tokens",
    ),
    fails(
        "no money left", refusal("429 Too Many Requests", "You exceeded", "insufficient_quota"), told="no quota is left"
    ),
    fails(
        "words where none are known",
        refusal("422 Unprocessable Entity", "roles must alternate"),
        told="said 422 Unprocessable Entity: roles must",
    ),
    fails(
        "an error as fastapi tells it",
        whole({"detail": "Not\nhere \x1b[31m"}, "418 Teapot"),
        told=r"said 418 Teapot: Not here \[31m",
    ),
    fails(
        "an error in plain words",
        whole("all wrong", "400 Bad Request", "text/plain"),
        told="said 400 Bad Request: all wrong",
    ),
    fails("an error without words", head("400 Bad Request", Content_Length=0), told="said 400 Bad Request"),
    fails("an error without end", head("400 Bad Request"), Endless(b"no no no no\n"), told="said 400 Bad Request"),
    fails(
        "moved",
        head("302 Found", Location="https://u:secret@elsewhere/v1?key=secret", Content_Length=0),
        told="said 302.*https://elsewhere/v1$",
    ),
    fails("moved nowhere", head("307 Temporary Redirect", Content_Length=0), told="said 307.*not told"),
    fails("a web page", whole("<!doctype html><p>Hi", kind="text/html"), told="answered with a web page.*/v1"),
    fails("plain words", whole("Hello there", kind="text/plain"), told="no reply of a chat server: Hello there"),
    fails("no HTTP", b"SSH-2.0-OpenSSH_9.6\r\n", told="does not speak HTTP.*SSH"),
    fails("a head without end", b"HTTP/1.1 200 OK\r\n", Endless(b"X-A: b\r\n", 0), told="does not speak HTTP"),
    fails("a head line without end", b"HTTP/1.1 200 OK\r\nX: ", Endless(b"x" * 4096, 0), told="does not speak HTTP"),
    fails("rubbish for JSON", head() + event(b'{"choices": [{"del') + END, told="no JSON: {"),
    fails("JSON that is no object", head() + event([1, 2]), told="no JSON object"),
    fails("JSON as deep as the sea", head() + event(b"[" * 100_000), told="no JSON: "),
    fails("rubbish that bears the key", head() + event(f"no {KEY} {{".encode()), told=r"no JSON.*no \[key\]"),
    fails("one JSON, cut", whole({"choices": []})[:-5], told="no JSON"),
    fails("an error that says well done", whole({"error": {"message": f"bad key {KEY}"}}), told=r"bad key \[key\]"),
    fails(
        "an error of another kind",
        head() + event({"object": "error", "message": "no such image"}),
        told="no such image",
    ),
    fails("an error that is a word", head() + event({"error": "broken"}), told="broke off with an error: broken"),
    fails(
        "a line without end", head() + b"data: ", Endless(b"x" * 65536, 0), told="more than 1048576 bytes in one line"
    ),
    fails(
        "an event without end",
        head(),
        Endless(b"data: " + b"x" * 65536 + b"\n", 0),
        told="more than 1048576 bytes in one piece",
    ),
    fails(
        "one JSON without end", head(), Endless(b"{" * 65536 + b"\n", 0), told="more than 1048576 bytes in one piece"
    ),
    fails("silence", HANG, told="said nothing for 0.15 s"),
    fails("silence behind the head", head(), HANG, told="said nothing for 0.15 s"),
    fails("a head that drips", b"HTTP/1.1 200 OK\r\n", Endless(b"X", 0.05), told="took longer than 0.3 s"),
    fails("comments without end", head(), Endless(b": ping\n\n", 0.02), told="took longer than 0.3 s"),
    fails("thoughts without end", head(), Endless(delta(reasoning_content="hm"), 0.02), told="took longer than 0.3 s"),
    fails(
        "thoughts up to the limit",
        head() + delta("length", reasoning_content="hm") + b"data: [DONE]\n\n",
        told="64 tokens before the first word.*answer_len",
    ),
    fails("words that the filter took", head() + delta("content_filter") + b"data: [DONE]\n\n", told="filter"),
    tried("busy all day", refusal("429 Too Many Requests", "slow down"), told="said 429 Too Many Requests: slow down"),
    tried("broken all day", refusal("500 Internal Server Error"), told="said 500"),
    tried("hangs up all day", b"", told="broke the connection off"),
    tried("ends early all day", head(), told="ended its reply before the first word"),
]
HALF = [
    fails("cut", head() + words("One "), heard="One ", told="broke off in the middle"),
    fails(
        "cut inside an event", head() + words("One ") + words("two.")[:-9], heard="One ", told="broke off in the middle"
    ),
    fails(
        "cut in chunks of HTTP",
        head(Transfer_Encoding="chunked") + chunked(words("One "), 9)[:-5] + b"40\r\nda",
        heard="One ",
        told="broke",
    ),
    fails("pulled out midway", head() + words("One "), 0.02, RESET, heard="One ", told="broke the connection off"),
    fails("rubbish midway", head() + words("One ") + event(b"{rubbish") + BODY, heard="One ", told="no JSON"),
    fails(
        "an error midway",
        head() + words("One ") + event({"error": {"message": "out of memory", "code": 500}}),
        heard="One ",
        told="with an error: out of memory$",
    ),
    fails("silence midway", head() + words("One "), HANG, heard="One ", told="said nothing for"),
    fails(
        "a line without end midway",
        head() + words("One ") + b"data: ",
        Endless(b"x" * 65536, 0),
        heard="One ",
        told="one line",
    ),
    fails(
        "comments without end midway", head() + words("One "), Endless(b": ping\n\n", 0.02), heard="One ", told="longer"
    ),
    fails(
        "the filter midway",
        head() + words("One ") + delta("content_filter") + b"data: [DONE]\n\n",
        heard="One ",
        told="filter",
    ),
]
CASES = [*WHOLE, *PASSING, *BROKEN, *HALF]
