"""An ablation's table as files: Markdown and LaTeX for readers, CSV and JSON for machines."""

from __future__ import annotations

import csv
import io
import json
import re
import unicodedata
from dataclasses import asdict
from itertools import groupby
from math import isfinite
from pathlib import Path
from textwrap import wrap
from typing import Any

from incrlearn.ablation.cells import (
    MINUS,
    PERCENT,
    count_cell,
    difference_cell,
    footnotes,
    mean_cell,
    name_cell,
    one_line,
)
from incrlearn.ablation.table import CONFIDENCE, AblationTable, Column, Row
from incrlearn.engine.rundir import write_atomically
from incrlearn.errors import OutputError

FORMAT = 1
"""Of ``table.json``; another number where a reader of this one would misunderstand it."""

_MARKDOWN_SPECIAL = re.compile(r"([\\`*_{}\[\]<>|~$&#])")
_LATEX_HEADING_WIDTH = 14
_LATEX_SPECIAL = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}",
    "<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}", '"': "''", "`": r"\textasciigrave{}",
    "&": r"\&", "%": r"\%", "_": r"\_", "#": r"\#", "$": r"\$",
    "[": "{[}", "*": "{*}",  # at the beginning of a line they would belong to the \\ before it
    "±": r"$\pm$", MINUS: "$-$", "\N{MULTIPLICATION SIGN}": r"$\times$", "→": r"$\to$", "≤": r"$\leq$", "≥": r"$\geq$",
    "…": r"\ldots{}", "Δ": r"$\Delta$",
}  # fmt: skip
_GREEK = range(0x3B1, 0x3CA)  # alpha to omega


def write_all(table: AblationTable, folder: Path) -> list[Path]:
    """Write ``table.md``, ``table.csv``, ``table.tex`` and ``table.json``, each of them whole or not at all.

    Returns:
        The files, in that order.

    Raises:
        OutputError: the folder cannot be written.
    """
    texts = {
        "table.md": to_markdown(table),
        "table.csv": to_csv(table),
        "table.tex": to_latex(table),
        "table.json": to_json(table),
    }
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in texts.items():
            write_atomically(folder / name, text)
    except OSError as error:
        raise OutputError(
            f"{folder}: the table cannot be written ({error.strerror}); name another with --out"
        ) from error
    return [folder / name for name in texts]


def to_markdown(table: AblationTable) -> str:
    """A heading, the table, what each variant changes, and the footnotes."""
    headings = ["variant", "n"]
    for column in table.columns:
        headings += [column.label, *([f"difference to base [{PERCENT}]"] if column.is_accuracy else [])]
    lines = [headings, ["---", *["---:"] * (len(headings) - 1)]]
    for row in table.rows:
        cells = [_markdown_text(name_cell(table, row)), count_cell(table, row)]
        for column in table.columns:
            cells.append(mean_cell(table, row, column))
            if column.is_accuracy:
                cells.append(difference_cell(table, row, column))
        lines.append(cells)
    edits = [
        f"- {_markdown_text(row.name)}: {', '.join(map(_markdown_code, row.edits))}" for row in table.rows if row.edits
    ]
    notes = [f"- {_markdown_text(note)}" for note in footnotes(table)]
    parts = [[f"# {_markdown_text(table.title)}"], [f"| {' | '.join(line)} |" for line in lines]]
    parts += [["What each variant changes in the base:"], edits] if edits else []
    parts += [["Notes:"], notes]
    return "\n\n".join("\n".join(part) for part in parts) + "\n"


def to_csv(table: AblationTable) -> str:
    """A line a variant, with all digits, in the units of ``result.json``; a cell is empty where there is no number.

    Columns: ``variant``, ``n``, and for each metric ``<metric>_mean`` and ``<metric>_sd``, for accuracies also
    ``<metric>_difference``, ``<metric>_difference_low`` and ``<metric>_difference_high`` to the base, in points.
    """
    headings = ["variant", "n"]
    for column in table.columns:
        headings += [f"{column.metric}_mean", f"{column.metric}_sd"]
        if column.is_accuracy:
            headings += [f"{column.metric}_difference{end}" for end in ("", "_low", "_high")]
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(headings)
    for row in table.rows:
        cells: list[str | float | None] = [row.name, len(table.finished(row))]
        for column in table.columns:
            found = table.spread(row, column)
            cells += [found.mean, found.sd] if found is not None else [None] * 2
            if column.is_accuracy:
                change = table.difference(row, column)
                cells += [change.mean, change.low, change.high] if change is not None else [None] * 3
        writer.writerow(cells)
    return stream.getvalue()


def to_latex(table: AblationTable) -> str:
    r"""A ``tabular`` with its footnotes below, to be put between ``\begin{table}`` and ``\end{table}`` by ``\input``.

    Below a variant's means stands a line with its differences to the base. A table wider than the text is scaled down
    to it. Text is escaped; letters beyond Latin and the commonest Greek ones need LuaLaTeX or XeLaTeX.
    """
    headings = ["variant", "$n$", *(_latex_heading(column.label) for column in table.columns)]
    head = [one_line(table.title), r"Packages: \usepackage{booktabs,graphicx}"]
    head += [one_line(f"{row.name}: {', '.join(row.edits)}") for row in table.rows if row.edits]
    notes = [note if note.endswith(".") else f"{note}." for note in footnotes(table, below=True)]
    lines = [
        *(f"% {line}" for line in head),
        r"\begingroup\footnotesize\setlength{\tabcolsep}{3pt}%",
        r"\sbox0{%",
        rf"\begin{{tabular}}{{@{{}}l{'r' * (len(table.columns) + 1)}@{{}}}}",
        r"\toprule",
        f"{' & '.join(headings)} \\\\",
        r"\midrule",
        "\n\\addlinespace\n".join(_latex_row(table, row) for row in table.rows),
        r"\bottomrule",
        r"\end{tabular}}%",
        r"\ifdim\wd0>\linewidth\resizebox{\linewidth}{!}{\usebox0}\else\usebox0\fi",
        r"\par\smallskip\raggedright\noindent",
        *map(_latex_text, notes),
        r"\par\endgroup",
    ]
    return "\n".join(lines) + "\n"


def to_json(table: AblationTable) -> str:
    """Everything, with all digits, values in the units of ``result.json``; null where there is no number.

    A column's ``scale`` is what a value is divided by to be in the column's ``unit``. Keys of ``seeds`` are seeds;
    ``values`` there may hold metrics that the table does not show.
    """
    content = {
        "format": FORMAT,
        "title": table.title,
        "base": table.base,
        "seeds": list(table.seeds),
        "confidence": CONFIDENCE,
        "columns": [asdict(column) | {"scale": column.scale} for column in table.columns],
        "rows": [_json_row(table, row) for row in table.rows],
        "notes": list(table.notes),
    }
    return json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def _json_row(table: AblationTable, row: Row) -> dict[str, Any]:
    seeds = list(dict.fromkeys([*table.seeds, *row.states]))
    return {
        "name": row.name,
        "edits": list(row.edits),
        "seeds": {str(seed): {"state": row.state(seed), "values": _json_values(row, seed)} for seed in seeds},
        "summaries": {column.metric: _json_spread(table, row, column) for column in table.columns},
        "differences": {column.metric: _json_difference(table, row, column) for column in table.columns},
    }


def _json_spread(table: AblationTable, row: Row, column: Column) -> dict[str, Any]:
    found = table.spread(row, column)
    return asdict(found) if found is not None else {"n": 0, "mean": None, "sd": None}


def _json_values(row: Row, seed: int) -> dict[str, float | None]:
    """The values of a seed; null where one is not finite, which JSON does not know."""
    known = {metric: by_seed[seed] for metric, by_seed in row.values.items() if seed in by_seed}
    return {metric: value if isfinite(value) else None for metric, value in known.items()}


def _json_difference(table: AblationTable, row: Row, column: Column) -> dict[str, Any] | None:
    difference = table.difference(row, column)
    return asdict(difference) if difference is not None else None


def _markdown_text(text: str) -> str:
    """Text that reads as it is, on one line, in a cell as anywhere."""
    return _MARKDOWN_SPECIAL.sub(r"\\\1", one_line(text))


def _markdown_code(text: str) -> str:
    """A code span: its fence is longer than any run of backticks in the text."""
    line = one_line(text)
    fence = "`" * (1 + max((len(list(run)) for letter, run in groupby(line) if letter == "`"), default=0))
    pad = " " if "`" in line else ""
    return f"{fence}{pad}{line}{pad}{fence}"


def _latex_text(text: str) -> str:
    """Text that reads as it is."""
    escaped = "".join(map(_latex_letter, one_line(text)))
    return re.sub("-(?=-)", "-{}", escaped)  # two hyphens would become a dash


def _latex_letter(letter: str) -> str:
    if ord(letter) not in _GREEK or letter == "\N{GREEK SMALL LETTER OMICRON}":  # for which there is no command
        return _LATEX_SPECIAL.get(letter, letter)
    name = unicodedata.name(letter).split()[-1].lower()
    return rf"$\{name.replace('lamda', 'lambda')}$"


def _latex_heading(label: str) -> str:
    """A heading of few narrow lines."""
    return r"\shortstack[r]{" + r"\\".join(map(_latex_text, wrap(label, _LATEX_HEADING_WIDTH))) + "}"


def _latex_row(table: AblationTable, row: Row) -> str:
    """The line of the means and, where there are any, below it that of the differences."""
    means = [name_cell(table, row), count_cell(table, row), *(mean_cell(table, row, c) for c in table.columns)]
    changes = ["", "", *(difference_cell(table, row, column) for column in table.columns)]
    lines = [means, changes] if any(changes) else [means]
    return "\n".join(" & ".join(map(_latex_text, line)) + r" \\" for line in lines)
