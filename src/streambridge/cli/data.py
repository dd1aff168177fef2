"""`streambridge data`: make, check, vary and describe Stream-IT training data. Knows files and options, no data set."""

import typer

from streambridge.cli.checking import card, leakage, stats, validate
from streambridge.cli.converting import convert
from streambridge.cli.varying import augment, labels, probe, world

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)


@app.callback()
def data() -> None:
    """Make, check, vary and describe Stream-IT training data: streams of frames with questions and answers in time.

    convert turns a data set's own annotation files into streamit/1; validate, stats and card tell what came of it;
    leakage looks for videos of a benchmark among them; augment drops and moves questions as the paper does; labels
    are what a gate should say at each frame; probe writes the tables of lengths and frame rates that some sets need.
    """


for verb in (convert, validate, stats, card, leakage, augment, labels, world, probe):
    app.command(verb.__name__)(verb)

OFFER = app
