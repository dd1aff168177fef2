"""One sample drawn on a time line as SVG: its videos, its evidence, who says what when. Knows no file and no page."""

from __future__ import annotations

from html import escape
from typing import Final

from streambridge.types import Question, Reference, Timeline

WIDTH: Final = 1000  # units of the drawing, whatever its width on the page
MOST_TURNS: Final = 120  # drawn of one sample; more would be one grey bar
MOST_LANES: Final = 10  # of evidence that overlaps
COLOURS: Final = 8  # classes c0..c7 of the page's style: an answer has the colour of its evidence

_STEPS: Final = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1800, 3600, 7200, 21_600, 86_400)  # seconds between marks
_MARKS: Final = 12  # at most, on the axis
_MEDIA_Y, _EVIDENCE_Y, _LANE, _BAR = 22, 50, 11, 8


def clock(t: float) -> str:
    """Seconds as `m:ss`, with tenths where there are some."""
    minutes, seconds = divmod(round(t, 1), 60)
    return f"{int(minutes)}:{seconds:04.1f}".removesuffix(".0") if seconds % 1 else f"{int(minutes)}:{int(seconds):02d}"


def draw(timeline: Timeline) -> str:
    """The drawing, as one SVG element whose parts show their words when pointed at."""
    scale = WIDTH / timeline.duration_s
    bars, lanes = _evidence(timeline, scale)
    floor = _EVIDENCE_Y + _LANE * max(1, lanes)
    parts = [
        *_axis(timeline.duration_s, scale, floor),
        *_media(timeline, scale),
        *bars,
        *_turns(timeline, scale, floor),
    ]
    label = escape(f"Time line of {timeline.id}")
    return f'<svg viewBox="-8 0 {WIDTH + 16} {floor + 34}" role="img" aria-label="{label}">{"".join(parts)}</svg>'


def drawn(timeline: Timeline) -> list[Question | Reference]:
    """The turns that are drawn and told."""
    return list(timeline.turns[:MOST_TURNS])


def colours(timeline: Timeline) -> dict[str, int]:
    """The class number of each answer."""
    return {answer.id: k % COLOURS for k, answer in enumerate(timeline.references)}


def _axis(duration: float, scale: float, floor: int) -> list[str]:
    step = next((step for step in _STEPS if duration / step <= _MARKS), duration / _MARKS)
    parts = []
    for k in range(int(duration / step + 1e-9) + 1):
        x = k * step * scale
        parts.append(f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="16" y2="{floor + 22}"/>')
        side = "end" if x > WIDTH - 20 else "start" if x < 20 else "middle"
        parts.append(f'<text class="mark" x="{x:.1f}" y="12" text-anchor="{side}">{clock(k * step)}</text>')
    return parts


def _media(timeline: Timeline, scale: float) -> list[str]:
    parts = []
    for k, media in enumerate(timeline.media[:MOST_TURNS]):
        x, width = media.at_s * scale, max(1.0, (media.end_s - media.start_s) * scale - 1)
        told = escape(f"{media.uri}  {clock(media.start_s)} - {clock(media.end_s)}")
        shown = f'<text class="uri" x="{x + 5:.1f}" y="{_MEDIA_Y + 13}">{escape(_cut(media.uri, width / 6.5))}</text>'
        block = f'<rect x="{x:.1f}" y="{_MEDIA_Y}" width="{width:.1f}" height="19" rx="3"/>{shown}'
        parts.append(f'<g class="media m{k % 2}"><title>{told}</title>{block}</g>')
    return parts


def _evidence(timeline: Timeline, scale: float) -> tuple[list[str], int]:
    """Bars in as few lanes as keep them apart; the last lane takes what finds no place."""
    ends: list[float] = []
    parts = []
    of = colours(timeline)
    answers = [turn for turn in drawn(timeline) if isinstance(turn, Reference)]
    spans = [(start, end, answer) for answer in answers for start, end in answer.evidence[:MOST_TURNS]]
    for start, end, answer in sorted(spans, key=lambda span: span[:2]):
        free = next((i for i, newest in enumerate(ends) if newest <= start), len(ends))
        lane = min(free, MOST_LANES - 1)
        ends[lane : lane + 1] = [max(end, start + 2 / scale)]
        told = escape(f"{answer.id}: {clock(start)} - {clock(end)}  {_cut(answer.text, 300)}")
        box = f'x="{start * scale:.1f}" y="{_EVIDENCE_Y + _LANE * lane}" width="{max(2.0, (end - start) * scale):.1f}"'
        rect = f'<rect {box} height="{_BAR}" rx="3"/>'
        parts.append(
            f'<g class="span c{of[answer.id]}" data-turn="{escape(answer.id)}"><title>{told}</title>{rect}</g>'
        )
    return parts, len(ends)


def _turns(timeline: Timeline, scale: float, floor: int) -> list[str]:
    parts, of = [], colours(timeline)
    for turn in drawn(timeline):
        x, told = turn.t * scale, escape(f"{turn.id} at {clock(turn.t)}: {_cut(turn.text, 300)}")
        if isinstance(turn, Question):
            mark = f'<path d="M{x:.1f} {floor + 16}l-5 10h10z"/>'
            kind = "ask"
        else:
            mark = f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{_EVIDENCE_Y - 4}" y2="{floor + 6}"/>'
            mark += f'<circle cx="{x:.1f}" cy="{floor + 8}" r="5"/>'
            kind = f"say c{of[turn.id]}" + ("" if turn.learn else " mute")
        parts.append(f'<g class="{kind}" data-turn="{escape(turn.id)}"><title>{told}</title>{mark}</g>')
    return parts


def _cut(text: str, most: float) -> str:
    return text if len(text) <= most else text[: max(0, int(most) - 1)] + "\u2026"
