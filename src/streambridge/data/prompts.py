"""What a user may say for each task: five wordings each, drawn per sample. Ours, in the sense of arXiv 2505.05467.

The paper prints no wording that could be taken over; its tasks (Appendix A) and what each asks for are kept.
"""

from __future__ import annotations

from typing import Final

from streambridge.data.draws import pick

PROMPTS: Final[dict[str, tuple[str, ...]]] = {
    "dense_caption": (
        "Tell me what happens as it happens.",
        "Describe each event as soon as it is over.",
        "Watch this and say what is going on, event by event.",
        "Whenever something has happened, describe it in a sentence.",
        "Find the events of this video and describe each one when it ends.",
    ),
    "step": (
        "Tell me each step as it is finished.",
        "Break this down into its steps and name each one when it is done.",
        "Watch the procedure and say every step once it is completed.",
        "Note the key steps, each with a short description, as they are finished.",
        "Follow along and tell me which step has just been done.",
    ),
    "action_detect": (
        'When "{words}" occurs, say "{words}".',
        'Say "{words}" each time you have seen it.',
        'Watch for "{words}" and answer with those words whenever it has happened.',
        'Every time "{words}" takes place, tell me "{words}".',
        'As soon as "{words}" has been seen, say so in these words: "{words}".',
    ),
    "grounded_qa": (
        "{words} Answer only once you have seen enough to know.",
        "{words} Wait until the video shows it, then answer.",
        "{words} Speak up as soon as there is enough to tell.",
        "{words} Say nothing before the answer can be seen.",
        "{words} Answer at the moment it becomes clear.",
    ),
    "grounding": (
        'Find the moment of this: "{words}"',
        'Tell me when you have seen this: "{words}"',
        'Watch for "{words}" and say when it has happened.',
        'Which part shows this: "{words}"? Tell me when it is over.',
        'Locate "{words}" and speak up once it has been shown.',
    ),
    "now": (
        "What is happening right now?",
        "What has just happened?",
        "Describe what is going on at the moment.",
        "What do you see now?",
        "What is taking place at this point?",
    ),
}


def worded(task: str, seed: int, sample: str, number: int = 0, words: str = "") -> str:
    """A wording for a task.

    Args:
        task: a key of PROMPTS.
        seed: of the conversion.
        sample: the sample's id.
        number: of the question within its sample.
        words: what is asked about, put where the wording has a place for it.
    """
    pool = PROMPTS[task]
    return pool[pick(len(pool), seed, sample, "prompt", number)].replace("{words}", words)
