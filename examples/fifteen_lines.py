"""The library in fifteen lines: watch a stream, be told each step as it is finished, ask about what was seen.

Type: python examples/fifteen_lines.py [SOURCE]      (SOURCE: world:7 or, with another model, a file or a folder)
"""

import sys

from streambridge import Answered, Session, load, open_source

model = load("backbones", "tiny")
session = Session(model, load("activation", "score_head", sight=model), max_len=1024)
list(session.ask("Tell me each step as it is finished.", t=0.0, when="watch"))
with open_source(sys.argv[1] if len(sys.argv) > 1 else "world:7", fps=1.0) as frames:
    for frame in frames:
        for event in session.see(frame):
            if isinstance(event, Answered):
                print(f"{event.t_fired:6.1f} s  {event.text}")
for event in session.ask("What does the sign say?", when="now"):
    if isinstance(event, Answered):
        print(f"{event.t_fired:6.1f} s  {event.text}")
