"""The C++ of provider/ as text: what files include, and which methods its classes have."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
PROVIDER = ROOT / "provider"


def files() -> list[Path]:
    return sorted(path for path in PROVIDER.rglob("*") if path.suffix in (".h", ".cc"))


def includes(path: Path) -> list[Path]:
    """Our own files that a file includes."""
    named = re.findall(r'^#include "(.+)"', path.read_text(), re.MULTILINE)
    return [next(found for found in (PROVIDER / name, path.parent / name) if found.exists()) for name in named]


def without_comments(text: str) -> str:
    """Without preprocessor lines and what stands in quotes, too."""
    text = re.sub(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|(?<!\w)\'(?:\\.|[^\'\\\n])\'', " ", text, flags=re.DOTALL)
    return re.sub(r"^[ \t]*#(?:\\\n|[^\n])*", "", text, flags=re.MULTILINE)


def end_of_braces(text: str, begin: int) -> int:
    """Past the brace that closes the one at `begin`."""
    depth = 0
    for place in range(begin, len(text)):
        depth += {"{": 1, "}": -1}.get(text[place], 0)
        if depth == 0:
            return place + 1
    raise ValueError("a brace is not closed")


def members(body: str) -> Iterator[str]:
    """The declarations of a class's body, each up to its own body or initializer."""
    declaration, place = "", 0
    while place < len(body):
        if body[place] == "{":
            place = end_of_braces(body, place)
            declaration += "{}"
            if body[place:].lstrip()[:1] not in (",", "{", ")"):  # an initializer before others, or before the body
                yield declaration
                declaration = ""
        else:
            if body[place] == ";":
                yield declaration
                declaration = ""
            else:
                declaration += body[place]
            place += 1


def method_name(declaration: str) -> str | None:
    """None: no function, or none that does anything."""
    text = re.sub(r"\b(public|private|protected)\s*:(?!:)", " ", declaration).strip()
    if re.match(r"(using|friend|typedef|static_assert|enum|class|struct|union)\b", text) or text.endswith("delete"):
        return None
    text = text.split("{")[0].replace("->", "")
    text = re.sub(r"\b(explicit|alignas|requires|decltype)\s*\([^()]*\)", "", text)
    while (shorter := re.sub(r"<[^<>]*>", "", text)) != text:
        text = shorter
    found = re.match(r"[^=(]*?(operator\s*\S+?|~?\w+)\s*\((?!\s*\*)", text)
    return found[1] if found else None


def classes(text: str) -> dict[str, list[str]]:
    """The methods of every class and struct with a body."""
    text = without_comments(text)
    result: dict[str, list[str]] = {}
    for match in re.finditer(
        r"\b(?:class|struct)\s+(?:alignas\([^)]*\)\s*)?(\w+)(?:<[^;{}()]*>)?\s*(?:final\s*)?(?::[^;{}()=]*)?\{", text
    ):
        begin = match.end() - 1
        body = text[begin + 1 : end_of_braces(text, begin) - 1]
        names = [name for declaration in members(body) if (name := method_name(declaration)) is not None]
        result.setdefault(match[1], []).extend(names)
    return result
