"""The error of every tool: a mistake of its user, told in one sentence."""

from __future__ import annotations


class UserError(Exception):
    """One sentence that names what was found and what was expected. The command line ends with exit status 2."""


def first_line(error: BaseException) -> str:
    """An exception's text as one line, without ONNX Runtime's status prefix."""
    text = " ".join(str(error).split()) or type(error).__name__
    prefix, separator, rest = text.partition(" : ")
    if separator and prefix.startswith("[ONNXRuntimeError]"):
        parts = rest.split(" : ", 2)
        text = parts[-1]
    return text
