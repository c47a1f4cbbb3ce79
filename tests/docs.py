"""Write what is generated of the documentation, or tell whether it is up to date.

python -m tests.docs            exit 1 when a page differs from what it is made of
python -m tests.docs --write    write the pages

docs/variables.md is made of the argument specifications; the tables of README.md and docs/fault_tolerance.md, and
docs/fault_tolerance.html, of the results of the chaos suite.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import yaml

from tests.baseline import result as baseline
from tests.chaos import report, result

ROOT = Path(__file__).resolve().parents[1]
VARIABLES = "docs/variables.md"
INTRODUCTION = """\
# Variables

Generated from the argument specifications of the roles (`make docs`); do not edit.

Set these in `group_vars` of your inventory. Names that begin like those of a role and that no role knows are refused by
`preflight`, and so are names that look like a misspelt one of these. For settings of a component that have no variable,
each role that renders a configuration has one `<role>_config_overrides` dictionary, merged last.

Facts about other hosts (members, back ends, seeds) are not here: playbooks compute them from the inventory.
"""


def text(value: object) -> str:
    """Return a description as one line of Markdown."""
    lines = value if isinstance(value, list) else [value]
    return " ".join(" ".join(str(line).split()) for line in lines).replace("|", "\\|")


def shown(option: dict) -> str:
    """Return the default of ``option`` as a cell."""
    if "default" not in option:
        return "**required**" if option.get("required") else ""
    default = option["default"]
    if isinstance(default, str):
        return f"`{default}`" if default else "empty"
    rendered = json.dumps(default)
    return f"`{rendered}`".replace("|", "\\|") if len(rendered) <= 70 else "see the role's `defaults/main.yml`"


def kind(option: dict) -> str:
    """Return the type of ``option`` with its choices."""
    name = option.get("type", "str")
    if name == "list":
        name = f"list of {option.get('elements', 'any')}"
    choices = option.get("choices")
    return f"{name}: {', '.join(map(str, choices))}" if choices else name


def rows(options: dict[str, dict], prefix: str = "") -> list[str]:
    """Return the table rows of ``options`` with their suboptions below them."""
    result = []
    for name, option in options.items():
        result.append(
            f"| `{prefix}{name}` | {kind(option)} | {shown(option)} | {text(option.get('description', ''))} |"
        )
        result.extend(rows(option.get("options") or {}, f"{prefix}{name}."))
    return result


def section(role: str, specification: dict) -> str:
    """Return the chapter of one role: its entry points and all options once."""
    entry_points = specification["argument_specs"]
    options: dict[str, dict] = {}
    for entry_point in entry_points.values():
        for name, option in (entry_point.get("options") or {}).items():
            options.setdefault(name, option)
    lines = [f"## {role}", "", "| entry point | promise |", "|---|---|"]
    lines += [f"| `{name}` | {text(point['short_description'])} |" for name, point in entry_points.items()]
    if options:
        lines += ["", "| variable | type | default | meaning |", "|---|---|---|---|", *rows(options)]
    return "\n".join(lines)


def variables() -> str:
    """Return the page on variables."""
    specifications = sorted(
        (ROOT / "roles").glob("*/meta/argument_specs.yml"), key=lambda path: (path.parts[-3] != "common", path)
    )
    chapters = [section(path.parts[-3], yaml.safe_load(path.read_text(encoding="utf-8"))) for path in specifications]
    return "\n\n".join([INTRODUCTION.rstrip(), *chapters]) + "\n"


def present(path: str, root: Path = ROOT) -> str:
    """Return the text of a page as it is, empty when there is none."""
    file = root / path
    return file.read_text(encoding="utf-8") if file.exists() else ""


def pages(root: Path = ROOT, results: Path = result.DIRECTORY, before: Path = baseline.DIRECTORY) -> dict[str, str]:
    """Return what each page must be, by its path."""
    runs, outcomes = result.read_all(results), baseline.read_all(before)
    measured = {path: make(present(path, root), runs, outcomes) for path, make in report.PAGES.items()}
    return {VARIABLES: variables(), **measured}


def outdated(root: Path = ROOT, results: Path = result.DIRECTORY, before: Path = baseline.DIRECTORY) -> list[str]:
    """Return the paths of the pages that are not what they must be."""
    return [path for path, text in pages(root, results, before).items() if present(path, root) != text]


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true")
    if parser.parse_args().write:
        for path, text in pages().items():
            (ROOT / path).write_text(text, encoding="utf-8")
        return 0
    found = outdated()
    if found:
        print(f"{', '.join(found)}: not what it is generated from; run `make docs`", file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
