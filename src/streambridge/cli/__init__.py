"""The program `streambridge`: one file per verb, imported only when called. Knows no verb; a file's name is the verb.

A verb's file ends with `OFFER =` the function (or a `typer.Typer`, for a verb with verbs); the first sentence of its
docstring is its line in `--help`, read as text. What the function returns is the exit code: 0 or None done, 1 the run
failed, 2 wrong use, 130 Ctrl-C.
"""

import ast
import os
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

import typer

from streambridge import loading
from streambridge.errors import BadInput, StreamBridgeError, WrongUse

_HELP = "Watch a stream, answer questions about it, and speak up when what was asked for happens."


def program(verbs: Sequence[str] = ()) -> typer.Typer:
    """The program with these verbs opened; the others are there by name and first line only."""
    app = typer.Typer(name="streambridge", help=_HELP, add_completion=False, rich_markup_mode=None)
    app.callback()(_options)
    for verb in loading.names("cli"):
        _add(app, verb, loading.offer("cli", verb) if verb in verbs else _closed(verb))
    return app


def main(argv: Sequence[str] | None = None) -> int:
    """Run the program.

    Args:
        argv: the words after `streambridge`; default: those of the process.

    Returns:
        The exit code. Errors of the tree, and wrong options, are one line on stderr.
    """
    words = list(sys.argv[1:] if argv is None else argv) or ["--help"]
    try:
        return _run(words)
    except StreamBridgeError as err:
        _complain(str(err))
        return 2 if isinstance(err, WrongUse | BadInput) else 1
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # whoever read us has gone, and that is all right
        forget(sys.stdout)
        return 0
    except OSError as err:  # a full disk behind stdout, say
        forget(sys.stdout)
        _complain(f"the run failed: {err}")
        return 1


def forget(out: IO[str]) -> None:
    """Let what is still to be flushed fall into nothing, so that the interpreter's last flush does not complain."""
    with suppress(OSError, ValueError):  # it may be no file, or closed
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, out.fileno())
        os.close(null)


def _run(words: list[str]) -> int:
    app = program([word for word in words[:1] if word in loading.names("cli")])
    try:
        code = typer.main.get_command(app)(args=words, prog_name="streambridge", standalone_mode=False)
        sys.stdout.flush()  # a closed pipe shall be met here, where it is caught, and not at the very end
        return int(code or 0)
    except Exception as err:
        if not hasattr(err, "format_message"):  # typer's own errors of use; their class moved from click to typer
            raise
        return _misused(err, words)


def _misused(err: Any, words: list[str]) -> int:
    if type(err).__name__ == "NoArgsIsHelpError":
        err.show()
    else:
        verb = f" {words[0]}" if words[0] in loading.names("cli") else ""
        _complain(f"{err.format_message().rstrip('.')}. For what there is, type: streambridge{verb} --help")
    return 2


def _complain(text: str) -> None:
    print(f"streambridge: {' '.join(text.split())}", file=sys.stderr)


def _add(app: typer.Typer, verb: str, what: Callable[..., Any]) -> None:
    if isinstance(what, typer.Typer):
        app.add_typer(what, name=verb, help=_first_line(verb))
    else:
        app.command(verb, short_help=_first_line(verb))(what)


def _closed(verb: str) -> Callable[[], None]:
    def stub() -> None: ...

    stub.__doc__ = _first_line(verb)
    return stub


def _first_line(verb: str) -> str:
    text = (Path(__file__).parent / f"{verb}.py").read_text(encoding="utf-8")
    said = (ast.get_docstring(ast.parse(text)) or verb).splitlines()[0]
    first = said.removeprefix(f"`streambridge {verb}`").lstrip(":, ").split(". ")[0].rstrip(". ")
    return f"{first[:1].upper()}{first[1:]}."


def _version(asked: bool) -> None:
    if asked:
        from streambridge import __version__

        print(f"streambridge {__version__}")
        raise typer.Exit


def _options(
    version: bool = typer.Option(False, "--version", is_eager=True, callback=_version, help="Say the version."),
) -> None: ...


def __getattr__(name: str) -> Any:
    if name == "app":  # `make docs` asks for it: the program with every verb opened
        return program(loading.names("cli"))
    raise AttributeError(name)
