"""House rules that no other tool checks, over every tracked text file.

One program, because each rule is a few lines and a rule nobody runs is no rule. It names file and
line, reports everything at once, and exits 1 if there was anything.
"""

import pathlib
import re
import subprocess
import sys

MAX_LINES = 500
# Made by tools, or a text that is not ours.
GENERATED = re.compile(
    r"(^|/)(Cargo\.lock|package-lock\.json|go\.sum|LICENSE)$|^(crds|charts/moorline/files)/websocketroutes\.")
BINARY = {".png", ".svg", ".ico"}
THIS = "hack/check-files.py"

WORDS = [
    (re.compile(r"\b(TODO|FIXME|XXX)\b"), "open work belongs in an issue, not in a file"),
    (re.compile(r"(?<![\w/.$~}])/(root|home|work)/\w"), "a path of one machine"),
    (re.compile(r"registry\.npmjs|static\.crates\.io|index\.crates\.io|files\.pythonhosted|pypi\.org/simple"), "a registry's host"),
    (re.compile("[\U0001F300-\U0001FAFF\u2600-\u27BF]"), "an emoji"),
    (re.compile(r"[ \t]+$"), "white space at the end of the line"),
]
LINK = re.compile(r"\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#+\s+(.*)$")


def tracked():
    out = subprocess.run(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
                         check=True, capture_output=True, text=True)
    return [name for name in out.stdout.split("\0") if name and pathlib.Path(name).is_file()]


def anchor(heading):
    """The fragment that a Markdown renderer makes of a heading."""
    return re.sub(r"[^\w\- ]", "", heading.replace("`", "").lower()).strip().replace(" ", "-")


def broken_links(name, lines):
    """Relative links of a Markdown file whose file or heading does not exist."""
    in_code = False
    for number, line in enumerate(lines, 1):
        if line.lstrip().startswith("```"):
            in_code = not in_code
        if in_code:
            continue
        for target in LINK.findall(re.sub(r"`[^`]*`", "", line)):
            if re.match(r"[a-z]+:", target):
                continue
            path, _, fragment = target.partition("#")
            file = (pathlib.Path(name).parent / path) if path else pathlib.Path(name)
            if not file.exists():
                yield number, f"a link to {target}, which does not exist"
            elif fragment and file.suffix == ".md":
                headings = {anchor(m.group(1)) for m in map(HEADING.match, file.read_text().splitlines()) if m}
                if fragment not in headings:
                    yield number, f"a link to {target}, and {file} has no such heading"


def problems(name):
    path = pathlib.Path(name)
    if path.suffix in BINARY or GENERATED.search(name):
        return
    try:
        text = path.read_text()
    except UnicodeDecodeError:
        yield 1, "not UTF-8"
        return
    lines = text.splitlines()
    if len(lines) > MAX_LINES:
        yield len(lines), f"{len(lines)} lines, {MAX_LINES} allowed: split it"
    if text and not text.endswith("\n"):
        yield len(lines), "no newline at the end"
    if name != THIS:
        for number, line in enumerate(lines, 1):
            for pattern, why in WORDS:
                if pattern.search(line):
                    yield number, why
    if path.suffix == ".rs" and not text.startswith(("//!", "#!")):
        yield 1, "a Rust module without a `//!` that says what it is"
    if path.suffix == ".md":
        yield from broken_links(name, lines)


def missing_in_images():
    """Folders of the workspace that a build by the Dockerfile would not see."""
    members = re.search(r"^members = \[(.*?)\]", pathlib.Path("Cargo.toml").read_text(), re.MULTILINE | re.DOTALL)
    seen = pathlib.Path(".dockerignore").read_text().splitlines()
    for folder in sorted({name.split("/")[0] for name in re.findall(r'"([^"]+)"', members.group(1))}):
        if f"!{folder}" not in seen:
            yield f".dockerignore:1: without !{folder}, a member of the workspace"


def main():
    found = [f"{name}:{line}: {what}" for name in tracked() for line, what in problems(name)]
    found += missing_in_images()
    print("\n".join(found), end="\n" if found else "")
    sys.exit(1 if found else 0)


main()
