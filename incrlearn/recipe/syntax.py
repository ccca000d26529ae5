"""What is wrong with a text that is no YAML, in words about indentation, commas and colons."""

from __future__ import annotations

import re

import yaml

from incrlearn.recipe.wording import space_hint, spaced_out


def syntax_problem(error: yaml.MarkedYAMLError, text: str) -> tuple[int | None, str]:
    """The line, from 1, where a text cannot be parsed, and why.

    Args:
        error: PyYAML's.
        text: the whole.
    """
    marks = [mark.line for mark in (error.problem_mark, error.context_mark) if mark is not None]
    if not marks:
        return None, _message(error, "")
    lines = text.splitlines()
    # A colon without a space makes a text that runs on to the next line, where it is noticed.
    for number in range(max(0, min(marks) - 1), min(max(marks) + 1, len(lines))):
        words = lines[number].strip().removeprefix("- ")
        if spaced_out(words) is not None:
            return number + 1, f"not valid YAML: '{words}'{space_hint(words)}"
    return marks[0] + 1, _message(error, _hint(error, lines))


def _message(error: yaml.MarkedYAMLError, hint: str) -> str:
    if hint:
        return f"not valid YAML: {hint}"
    problem = error.problem or error.context or "it cannot be parsed"
    if error.problem and error.context:
        begun = f" (begun on line {error.context_mark.line + 1})" if error.context_mark is not None else ""
        problem = f"{error.context}{begun}: {error.problem}"
    return f"not valid YAML: {problem}"


def _hint(error: yaml.MarkedYAMLError, lines: list[str]) -> str:
    """The same in words of a person; empty where the parser's own do."""
    problem, mark = error.problem or "", error.problem_mark
    if "'\\t'" in problem:
        return "there is a tab; indent with spaces, not tabs"
    if "mapping values are not allowed" in problem:
        return "a second ': ' in one value; put text that holds ': ' in quotes, and check the indentation"
    if mark is not None and "expected <block end>" in problem and "block mapping start" in problem:
        above = next((line for line in reversed(lines[: mark.line]) if line.strip()), "")
        return (
            f"this line is indented by {_spaces(mark.column)}, the one above by {_spaces(_indent(above))}: rows of one "
            "mapping begin in one column"
        )
    bracket = re.match(r"expected ',' or '([]}])'", problem)
    if bracket is not None:
        begun = f" of line {error.context_mark.line + 1}" if error.context_mark is not None else ""
        return f"a comma is missing before this, or the '{bracket[1]}'{begun} that closes it"
    return ""


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip(" "))


def _spaces(count: int) -> str:
    return f"{count} space" if count == 1 else f"{count} spaces"
