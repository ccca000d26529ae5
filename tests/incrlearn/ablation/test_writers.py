"""The table as files, read back as their readers read them."""

import csv
import io
import json
import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from incrlearn.ablation.table import AblationTable, column_names
from incrlearn.ablation.writers import to_csv, to_json, to_latex, to_markdown, write_all
from incrlearn.errors import OutputError

TableOf = Callable[..., AblationTable]
NAMES = st.text(st.characters(codec="utf-8"), min_size=1, max_size=12)
MINUS = "\N{MINUS SIGN}"
SPECIAL = "50 % & a_b #1 $x$ {y} ~ ^ \\ <z> | \"q\" `r` --set 'é' λ=0.5 →"
GREEK = [code for code in range(0x3B1, 0x3CA) if code != 0x3BF]  # without omicron
STARTS = ("[1] in brackets", "*starred")


def renamed(table: AblationTable, *names: str) -> AblationTable:
    """The table with copies of its second row under other names."""
    return replace(table, rows=(table.rows[0], *(replace(table.rows[1], name=name) for name in names)))


def markdown_rows(text: str) -> list[list[str]]:
    lines = [line for line in text.split("\n") if line.startswith("|")]
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]


def latex_rows(text: str) -> list[list[str]]:
    tabular = text.split(r"\midrule")[1].split(r"\bottomrule")[0]
    lines = [line for line in tabular.strip().split("\n") if line != r"\addlinespace"]
    assert all(line.endswith(r" \\") for line in lines)
    return [[cell.strip() for cell in re.split(r"(?<!\\)&", line.removesuffix(r" \\"))] for line in lines]


def assert_latex_is_balanced(text: str) -> None:
    """Each brace that is not escaped is closed; environments and groups too."""
    body = "\n".join(line for line in text.split("\n") if not line.startswith("% "))
    depth = 0
    for brace in re.findall(r"\\.|[{}]", body, flags=re.DOTALL):
        depth += {"{": 1, "}": -1}.get(brace, 0)
        assert depth >= 0
    assert depth == 0
    assert re.findall(r"\\begin{(\w+)}", body) == re.findall(r"\\end{(\w+)}", body) == ["tabular"]
    assert body.count(r"\begingroup") == body.count(r"\endgroup") == 1
    assert body.count("$") % 2 == body.count(r"\$") % 2


def test_markdown_tells_numbers_differences_base_and_edits(table_of: TableOf) -> None:
    text = to_markdown(table_of(columns=("average", "parameters_last")))
    assert text.startswith("# DER on CIFAR-100, 10 tasks (B0)\n")
    assert markdown_rows(text) == [
        ["variant", "n", "average top-1 (%)", "difference to base [95 %]", "parameters, last (M)"],
        ["---", "---:", "---:", "---:", "---:"],
        ["DER (base)", "3", "75.00 ± 1.00", "", "112.10"],
        ["without pruning", "3", "75.75 ± 1.15", "+0.75 [+0.13, +1.37]", "112.10"],
        ["no auxiliary", "2 of 3", "73.75 ± 1.06", f"{MINUS}1.75 [{MINUS}4.93, +1.43]", "112.10"],
    ]
    lines = text.split("\n")
    assert "- without pruning: `plugins.x=1`" in lines
    assert "- no auxiliary, seed 2: failed: task 3: the loss is not finite (nan); try a smaller lr" in lines


def test_markdown_escapes_names_and_fences_edits(table_of: TableOf) -> None:
    table = renamed(table_of(columns=("average",)), "a|b_c*")
    table = replace(table, rows=(table.rows[0], replace(table.rows[1], edits=("x=`y`", "plugins.a_b=null"))))
    text = to_markdown(table)
    assert markdown_rows(text)[3][0] == r"a\|b\_c\*"
    assert r"- a\|b\_c\*: `` x=`y` ``, `plugins.a_b=null`" in text


def test_a_table_of_the_base_alone_has_no_list_of_edits(table_of: TableOf) -> None:
    assert "changes" not in to_markdown(table_of({"base": (70.0,)}))


@given(name=NAMES, edit=NAMES)
def test_markdown_rows_have_as_many_cells_whatever_the_name(table_of: TableOf, name: str, edit: str) -> None:
    table = renamed(table_of(columns=("average", "seconds")), name + "x")
    table = replace(table, rows=(table.rows[0], replace(table.rows[1], edits=(edit,))), title=edit)
    rows = markdown_rows(to_markdown(table))
    assert [len(row) for row in rows] == [5] * 4


def test_csv_has_plain_numbers_with_all_digits(table_of: TableOf) -> None:
    table = table_of({"base": (70.0, 71.0), 'a, "b"': (1 / 3, 2 / 3), "failed": (None, None)}, ("average", "seconds"))
    rows = list(csv.DictReader(io.StringIO(to_csv(table))))
    assert list(rows[0]) == [
        "variant", "n", "average_mean", "average_sd", "average_difference", "average_difference_low",
        "average_difference_high", "seconds_mean", "seconds_sd",
    ]  # fmt: skip
    assert [row["variant"] for row in rows] == ["base", 'a, "b"', "failed"]
    assert [row["n"] for row in rows] == ["2", "2", "0"]
    assert float(rows[1]["average_mean"]) == 0.5
    difference = table.difference(table.rows[1], table.columns[0])
    assert difference is not None
    ends = [float(rows[1][f"average_difference{end}"]) for end in ("", "_low", "_high")]
    assert ends == [difference.mean, difference.low, difference.high]
    assert rows[0]["average_difference"] == ""
    assert set(rows[2].values()) == {"failed", "0", ""}


def test_csv_is_in_the_units_of_the_result_whatever_the_table_shows(table_of: TableOf) -> None:
    rows = list(csv.DictReader(io.StringIO(to_csv(table_of(columns=("flops_last",))))))
    assert float(rows[0]["flops_last_mean"]) == 11_160_000_000


def read_strictly(text: str) -> dict[str, Any]:
    def refuse(word: str) -> None:
        raise AssertionError(f"{word} is not JSON")

    read: dict[str, Any] = json.loads(text, parse_constant=refuse)
    return read


def test_json_holds_every_value_state_summary_and_difference(table_of: TableOf) -> None:
    table = table_of(columns=("average", "flops_last"))
    read = read_strictly(to_json(table))
    assert (read["base"], read["seeds"], read["confidence"]) == ("DER", [1, 2, 3], 0.95)
    assert read["columns"][1] == {"metric": "flops_last", "label": "FLOPs, last (G)", "unit": "G", "scale": 1e9}
    _, pruning, failed = read["rows"]
    assert pruning["edits"] == ["plugins.x=1"]
    assert pruning["seeds"]["3"]["state"] == "done"
    assert pruning["seeds"]["3"]["values"]["average"] == 77.0
    assert pruning["seeds"]["3"]["values"]["latency_last"] == 44.0  # which the table does not show
    assert pruning["summaries"]["flops_last"] == {"n": 3, "mean": 11_160_000_000.0, "sd": 0.0}
    assert pruning["differences"]["average"]["mean"] == pytest.approx(0.75)
    assert pruning["differences"]["flops_last"] is None
    assert failed["seeds"]["2"] == {
        "state": "failed: task 3: the loss is not finite (nan);\n  try a smaller lr",
        "values": {},
    }


def test_json_has_null_where_a_number_is_not_finite(table_of: TableOf) -> None:
    table = table_of({"base": (70.0, float("nan")), "other": (float("inf"), 1.0)}, ("average",))
    read = read_strictly(to_json(table))
    assert read["rows"][0]["seeds"]["2"]["values"]["average"] is None
    assert read["rows"][0]["summaries"]["average"] == {"n": 1, "mean": 70.0, "sd": None}
    assert read["rows"][1]["differences"]["average"] is None


def test_latex_has_a_line_of_means_and_one_of_differences(table_of: TableOf) -> None:
    text = to_latex(table_of(columns=("average", "seconds")))
    assert latex_rows(text) == [
        ["DER (base)", "3", r"75.00 $\pm$ 1.00", r"20,200 $\pm$ 100"],
        ["without pruning", "3", r"75.75 $\pm$ 1.15", r"20,200 $\pm$ 100"],
        ["", "", "+0.75 {[}+0.13, +1.37]", ""],
        ["no auxiliary", "2 of 3", r"73.75 $\pm$ 1.06", r"20,200 $\pm$ 141"],
        ["", "", "$-$1.75 {[}$-$4.93, +1.43]", ""],
    ]
    lines = text.split("\n")
    assert r"% Packages: \usepackage{booktabs,graphicx}" in lines
    assert "% without pruning: plugins.x=1" in lines
    assert "no auxiliary, seed 2: failed: task 3: the loss is not finite (nan); try a smaller lr." in lines
    assert_latex_is_balanced(text)


def test_latex_escapes_what_is_special(table_of: TableOf) -> None:
    table = renamed(table_of(columns=("average",)), r"a&b%c_d#e$f{g}h~i^j\k", *STARTS, "--x")
    names = [row[0] for row in latex_rows(to_latex(table)) if row[0]]
    assert names == [
        "DER (base)",
        r"a\&b\%c\_d\#e\$f\{g\}h\textasciitilde{}i\textasciicircum{}j\textbackslash{}k",
        "{[}1] in brackets",
        "{*}starred",
        "-{}-x",
    ]


@given(name=NAMES)
def test_latex_is_balanced_whatever_the_name(table_of: TableOf, name: str) -> None:
    table = replace(renamed(table_of(columns=("average", "seconds")), name + "x"), title=name, notes=(name,))
    text = to_latex(table)
    assert_latex_is_balanced(text)
    assert {len(row) for row in latex_rows(text)} == {4}


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="there is no pdflatex here")
@pytest.mark.parametrize("columns", [("average",), column_names()], ids=["narrow", "every column"])
def test_latex_compiles_into_the_width_of_the_text(table_of: TableOf, tmp_path: Path, columns: tuple[str, ...]) -> None:
    table = renamed(table_of(columns=columns), SPECIAL, *STARTS, "".join(map(chr, GREEK)))
    (tmp_path / "table.tex").write_text(to_latex(replace(table, notes=(SPECIAL,))), encoding="utf-8")
    (tmp_path / "paper.tex").write_text(
        r"\documentclass{article}\usepackage{booktabs,graphicx}\begin{document}"
        r"\begin{table}\centering\caption{Ablation.}\input{table}\end{table}\end{document}"
    )
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "paper.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, encoding="utf-8", errors="replace", timeout=120)
    assert done.returncode == 0, done.stdout
    assert "Overfull" not in done.stdout
    assert (tmp_path / "paper.pdf").stat().st_size > 0


def test_all_four_files_are_written_into_a_folder_that_need_not_be_there(table_of: TableOf, tmp_path: Path) -> None:
    table = table_of()
    folder = tmp_path / "out" / "ablation"
    files = write_all(table, folder)
    assert [path.name for path in files] == ["table.md", "table.csv", "table.tex", "table.json"]
    assert [path.read_text(encoding="utf-8") for path in files] == [
        to_markdown(table), to_csv(table), to_latex(table), to_json(table)
    ]  # fmt: skip
    assert sorted(folder.iterdir()) == sorted(files)
    assert write_all(table, folder) == files


def test_a_folder_that_cannot_be_written_is_an_error_for_the_user(table_of: TableOf, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot be written"):
        write_all(table_of(), tmp_path / "file")
