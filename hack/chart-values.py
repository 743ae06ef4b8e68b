"""Writes the table of values into the README of the chart, from the comments in its values.yaml.

A comment that begins with `# --` documents the key below it. Read by line and not as YAML: the comments are what is wanted,
and a parser drops them. With --check nothing is written, and a README that would change is an error.
"""

import pathlib
import re
import sys

CHART = pathlib.Path("charts/moorline")
BEGIN, END = "<!-- values: made by hack/chart-values.py -->\n", "<!-- end of values -->\n"
KEY = re.compile(r"^( *)([A-Za-z]+):(?: (.*))?$")


def rows(text):
    """Key, default and description of each documented value, in order."""
    path, doc = [], None
    lines = text.splitlines()
    for number, line in enumerate(lines):
        stripped = line.strip()
        if stripped.startswith("# -- "):
            doc = stripped.removeprefix("# -- ")
            continue
        match = KEY.match(line)
        if not match:
            continue
        depth = len(match[1]) // 2
        path[depth:] = [match[2]]
        if doc is None:
            continue
        default = match[3] or block(lines[number + 1:], depth)
        yield ".".join(path), default, doc
        doc = None


def block(lines, depth):
    """A default of several lines, on one."""
    inner = []
    for line in lines:
        if not line.startswith("  " * (depth + 1)):
            break
        inner.append(line.strip())
    return "{" + ", ".join(inner) + "}"


def undocumented(text, documented):
    """Leaves that no comment explains."""
    path = []
    for line in text.splitlines():
        match = KEY.match(line)
        if match:
            depth = len(match[1]) // 2
            path[depth:] = [match[2]]
            key = ".".join(path)
            if match[3] and not any(key == known or key.startswith(known + ".") for known in documented):
                yield key


def main():
    values = (CHART / "values.yaml").read_text()
    found = list(rows(values))
    missing = list(undocumented(values, [key for key, _, _ in found]))
    if missing:
        sys.exit("values.yaml: without a `# --` comment: " + ", ".join(missing))
    table = ["| Value | Default | |", "|---|---|---|"]
    table += [f"| `{key}` | `{default}` | {doc} |" for key, default, doc in found]
    readme = CHART / "README.md"
    text = readme.read_text()
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    made = before + BEGIN + "\n".join(table) + "\n" + END + after
    if made == text:
        return
    if "--check" in sys.argv:
        sys.exit(f"{readme} is not what values.yaml says: run 'make chart' and commit")
    readme.write_text(made)


main()
