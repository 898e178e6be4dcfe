"""What the commands print with: a console of at most 100 columns, tables, numbers, progress bars, JSON."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from onnxruntime_ep_sparsecpu.tools.errors import UserError

_MAX_COLUMNS = 100


class Column(NamedTuple):
    """heading; numeric: right-aligned; width: in characters, None for what is left."""

    heading: str
    numeric: bool = False
    width: int | None = None


def _width(stderr: bool = False) -> int:
    """At most 100 columns, and exactly that where it is not a terminal."""
    is_terminal = (sys.stderr if stderr else sys.stdout).isatty()
    columns = shutil.get_terminal_size((_MAX_COLUMNS, 25)).columns if is_terminal else _MAX_COLUMNS
    return min(columns, _MAX_COLUMNS)


def console(stderr: bool = False) -> Console:
    """Standard output (or error), at most 100 columns wide."""
    return Console(width=_width(stderr), highlight=False, stderr=stderr)


def table(columns: Sequence[Column], title: str | None = None) -> Table:
    """A table without lines, whose cells are cut rather than wrapped. A single column without a width gets the rest."""
    taken = sum(1 + (column.width or 0) for column in columns)
    if [column.width for column in columns].count(None) == 1:
        columns = [column._replace(width=column.width or max(_width() - taken, 8)) for column in columns]
    result = Table(title=title, title_justify="left", box=None, padding=(0, 1, 0, 0), header_style="bold")
    for heading, numeric, width in columns:
        result.add_column(
            heading, justify="right" if numeric else "left", width=width, no_wrap=True, overflow="ellipsis"
        )
    return result


def shortened(text: str, width: int, before: str = "") -> str:
    """`before` and the text; one that is too long loses its beginning: names of nodes differ at the end."""
    room = max(width - len(before), 1)
    return before + (text if len(text) <= room else "…" + text[len(text) - room + 1 :])


def add_row(rows: Table, *cells: str | Text, style: str = "") -> None:
    """Adds cells without markup. A str that is too long loses its beginning, a Text its end."""
    fitted = [
        Text(shortened(cell, column.width)) if isinstance(cell, str) and column.width is not None else cell
        for cell, column in zip(cells, rows.columns, strict=True)
    ]
    rows.add_row(*(Text(cell) if isinstance(cell, str) else cell for cell in fitted), style=style)


def progress() -> Progress:
    """A bar on standard error that vanishes when it is done, and shows nothing where that is not a terminal."""
    columns = (TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn())
    return Progress(*columns, console=console(stderr=True), transient=True, disable=not sys.stderr.isatty())


def print_json(content: Any) -> None:
    print(json.dumps(content, indent=2))


def print_result(result: Any, as_json: bool, show: Callable[[Any, Console], None]) -> None:
    """What a tool returned: as JSON, or as `show` prints it on a console."""
    if as_json:
        print_json(result)
    else:
        show(result, console())


def write(path: str, text: str) -> None:
    """Raises UserError for a file that cannot be written."""
    try:
        Path(path).write_text(text, encoding="utf-8")
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror}") from error


def size(value: float) -> str:
    """Bytes as KiB or MiB, in at most six characters; nothing for none."""
    if value <= 0:
        return ""
    kib = value / 1024
    return f"{kib:.1f}K" if kib < 100 else f"{kib:.0f}K" if kib < 1000 else f"{kib / 1024:.1f}M"


def microseconds(value: float) -> str:
    """Nothing for none."""
    return "" if value <= 0 else f"{value:.1f}" if value < 100 else f"{value:.0f}"
