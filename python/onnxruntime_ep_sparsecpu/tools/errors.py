"""The error of every tool: a mistake of its user, told in one sentence."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator


class UserError(Exception):
    """One sentence that names what was found and what was expected. The command line ends with exit status 2."""


class RunError(UserError):
    """ONNX Runtime does not run a model on the inputs that it is given."""


@contextlib.contextmanager
def reading(what: str) -> Iterator[None]:
    """Around work on what a model file says of `what`: files may say anything, so any exception becomes a UserError."""
    try:
        yield
    except UserError:
        raise
    except MemoryError as error:
        raise UserError(f"{what} does not fit into memory: {first_line(error)}") from error
    except Exception as error:
        raise UserError(f"{what} is not as it should be: {first_line(error)}") from error


def first_line(error: BaseException) -> str:
    """An exception's text as one line, without ONNX Runtime's status prefix."""
    text = " ".join(str(error).split()) or type(error).__name__
    prefix, separator, rest = text.partition(" : ")
    if separator and prefix.startswith("[ONNXRuntimeError]"):
        parts = rest.split(" : ", 2)
        text = parts[-1]
    return text
