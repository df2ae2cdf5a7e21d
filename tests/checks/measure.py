#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Measures the style of the product's code: for each rule the figure before the rules were agreed, the figure now and
the target."""

import math
import re
import statistics
import subprocess
from collections import defaultdict

import common
import prose
import source

BASE = "1211ca2"  # the column "before" holds the figures of this commit
ASSERTION = re.compile(r"(g_)?assert(_\w+)?|g_return_(val_)?if_fail")
# g_assert(x) right before x is dereferenced shows nothing, so it does not count.
REDUNDANT_ASSERTION = re.compile(r"\b(?:g_)?assert(?:_se)?\((\w+)(?: != NULL)?\);\n+[^;]*?(?:\b\1->|\*\1\b)")


class Measures:
    """The figures of a tree. ROWS says what each one counts."""

    def __init__(self, root):
        files = list(source.product_files(root, common.source_files(root)))
        lines = sum(text.count("\n") for _, text in files) or 1
        folders = prose.measure(root)
        self.prose = prose.total(folders, [f for f in folders if f.split("/")[0] in source.PRODUCT])
        self.assertions = 1000 * sum(count_assertions(text) for _, text in files) / lines
        self.broken = 1000 * sum(1 for _, text in files for _ in source.broken_literals(text)) / lines
        blank, body = map(sum, zip(*(source.blank_lines(text) for _, text in files)))
        self.blank = 100 * blank / (body or 1)
        self.misplaced = misplaced_functions(files)
        named = static_names(files)
        self.shared = sorted(name for name, paths in named.items() if len(paths) > 1)
        self.one_word = sorted(name for name in named if "_" not in name)
        self.subjects = subjects(root)


def count_assertions(text):
    found = sum(1 for t in source.tokens(text) if t.kind == "name" and not t.directive and ASSERTION.fullmatch(t.text))
    return found - len(REDUNDANT_ASSERTION.findall(text))


def extern_functions(files):
    """Yields path, name and line of each function that other files can call."""
    for path, text in files:
        if path.suffix == ".c":
            for function in source.declarations(text)[0]:
                if not function.static and function.name != "main":
                    yield path, function.name, function.line
            for name, line in source.generated(text):
                yield path, name, line


def declaring_headers(files):
    headers = defaultdict(set)
    for path, text in files:
        if path.suffix == ".h":
            for prototype in source.declarations(text)[1]:
                headers[prototype.name].add(path)
    return headers


def misplaced_functions(files):
    """Percent of the extern functions that only another file's header declares."""
    headers = declaring_headers(files)
    functions = [(path, name) for path, name, _ in extern_functions(files) if name in headers]
    misplaced = [name for path, name in functions if path.with_suffix(".h") not in headers[name]]
    return 100 * len(misplaced) / (len(functions) or 1)


def static_names(files):
    names = defaultdict(set)
    for path, text in files:
        if path.suffix == ".c":
            for function in source.declarations(text)[0]:
                if function.static:
                    names[function.name].add(path)
    return names


def subjects(root):
    """Median and 90th percentile of the lengths of the commit subjects since BASE; None without git or new commits.

    A clone without BASE has infinite figures, so that the check fails."""
    if not (root / ".git").exists():
        return None
    command = ["git", "-C", str(root), "log", "--no-merges", "--format=%s", f"{BASE}..HEAD"]
    result = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    lengths = sorted(len(line) for line in result.stdout.splitlines())
    if result.returncode != 0:
        return math.inf, math.inf
    if not lengths:
        return None
    return statistics.median(lengths), lengths[min(len(lengths) * 9 // 10, len(lengths) - 1)]


# Each row: name, figure before, value now, target, test of a value against the target.
ROWS = [
    ("idioms (listed in tests/checks/prose.py) per 10 000 words of comments and strings", "84.6",
     lambda m: m.prose.idiom_rate, "under 4", lambda v: v < 4),
    ("comments that open with a pronoun, relative or preposition, %", "24.0",
     lambda m: m.prose.opening_rate, "under 5", lambda v: v < 5),
    ("pronouns per 100 words of comment", "10.4", lambda m: m.prose.pronoun_rate, "under 5", lambda v: v < 5),
    ("assertions per 1 000 lines", "0.7", lambda m: m.assertions, "10 or more", lambda v: v >= 10),
    ("blank lines per 100 lines of function bodies", "6.8", lambda m: m.blank, "15 or more", lambda v: v >= 15),
    ("extern functions declared in another file's header, %", "26.9", lambda m: m.misplaced, "under 2", lambda v: v < 2),
    ("static functions' names that occur in several files", "64", lambda m: len(m.shared), "under 10", lambda v: v < 10),
    ("static functions' names of one word", "58", lambda m: len(m.one_word), "under 8", lambda v: v < 8),
    ("string literals broken over lines, per 1 000 lines", "9.8", lambda m: m.broken, "0", lambda v: v == 0),
    ("commit subjects, median / p90 characters", "65 / 91",
     lambda m: m.subjects, "under 50 / 72", lambda v: v[0] < 50 and v[1] < 72),
]  # fmt: skip


def document_faults(root, rows):
    """A complaint if the table in HACKING.md is missing, or if its rows, its figures "before" or its targets differ from ROWS."""
    path = root / "HACKING.md"
    match = re.search(r"<!-- measure.py: begin -->\n(.*)<!-- measure.py: end -->", path.read_text(), re.S) if path.exists() else None
    if not match:
        return ["HACKING.md has no table of measures"] if path.exists() else []
    written = [tuple(cell.strip() for cell in line.strip("| \n").split("|")) for line in match[1].splitlines()[2:]]
    promised = [(row[0], row[1], row[3]) for row in rows]
    return [] if [(w[0], w[1], w[-1]) for w in written] == promised else ["HACKING.md: the table differs from --markdown in a row or in a column other than \"now\""]


def shown(value):
    if value is None:
        return "-"
    if isinstance(value, tuple):
        return " / ".join(f"{part:.0f}" for part in value)
    return str(value) if isinstance(value, int) else f"{value:.1f}"


def main():
    flags = [
        ("--markdown", "print a table for HACKING.md"),
        ("--check", "fail if a target is not met"),
        ("--names", "list the static names that two of the rows count"),
    ]
    options = common.options(__doc__, flags=flags)
    measures = Measures(options.root)
    if options.names:
        print("in several files:", *measures.shared)
        print("of one word:", *measures.one_word)
        return
    values = [row[2](measures) for row in ROWS]
    table = [("measure", "before", "now", "target")]
    table += [(row[0], row[1], shown(value), row[3]) for row, value in zip(ROWS, values)]
    missed = [row[0] for row, value in zip(ROWS, values) if value is not None and not row[4](value)]
    if options.markdown:
        table.insert(1, ("---",) * 4)
        print("\n".join(f"| {' | '.join(row)} |" for row in table))
    elif not options.check:
        print("\n".join(f"{row[0]:92} {row[1]:>9} {row[2]:>9}  {row[3]}" for row in table))
    complaints = [f"the target is not met: {name}" for name in missed]
    common.finish(complaints + document_faults(options.root, ROWS) if options.check else [])


if __name__ == "__main__":
    main()
