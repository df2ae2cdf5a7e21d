#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Tests assert codes, states, ids and facts, never wording: a message can be rephrased without a change of a test.

A run is a sequence of words that only blanks separate. The check complains about a literal of a test if a string literal
of the product has a whole run of it, or four words in a row of a run. A single word does not count, and neither do the
texts of the test itself (OWN_TEXTS), golden files, and words that no literal of the product has."""

import ast
import os
import re

import common
import prose
import source

# Files whose literals assert nothing about the words of vgpud.
EXEMPT = {
    "tests/bench.d/": "measures",
    "tests/checks/": "is about the words of the checks",
    "tests/fuzz/": "asserts no messages",
    "tests/simhost/": "asserts what the kernel, vendors' drivers and vendors' programs say",
    "tests/integration/client-": "is a client that a test runs",
    "tests/runner.py": "runs the tests",
    "tests/cli/mock_": "says what the daemon could say",
    "tests/cli/schema.py": "checks JSON, and complains in words",
    "tests/vm/image.py": "builds the guest",
    "tests/vm/states.py": "builds the guest",
    "tests/vm/suite.py": "runs the cases",
}
FAKES = re.compile(r"(.*-)?fake(-.*)?\.[ch]|fixture\.[ch]")  # feed the tests, and assert nothing
# Words that belong to an interface or to a document, or that are data.
ALLOWED = {
    "Intel GVT-g": "names an interface of the kernel",
    "Invalid Parameters": "an answer of gim",
    "The VF is still in use": "an answer of gim",
    "partition cannot be satisfied": "an answer of gim",
    "different on parts of the GPU": "the value of an attribute",
    "vGPU Name": "a line of NVIDIA's driver",
    "wait job": "a verb of vgpuctl",
    "show job": "a verb of vgpuctl",
    "vgpud-nvml query": "a call of a program",
    "Options of single verbs": "a heading of the manual",
    "virtual display": "a description by mdpy",
    "video memory": "a description by a driver",
}
# Functions of Python whose arguments are texts of the test itself: the condition it waits for, and its messages.
OWN_TEXTS = {"wait", "wait_for", "subTest", "skipTest", "fail", "print", "AssertionError", "Timeout", "RuntimeError", "complain"}
# The position of the test's own message among the arguments of an assertion.
MESSAGE_OF_ASSERTION = {"assertTrue": 1, "assertFalse": 1, "assertIsNone": 1, "assertIsNotNone": 1}
# Macros and functions of C whose arguments are texts of the test itself, and a field with the name of a row.
OWN_TEXTS_C = {"FAIL", "SKIP", "printf", "fprintf", "g_test_add_func", "g_test_message", "g_test_skip"}
OWN_FIELDS_C = {"what"}

# A run of these words alone does not count.
FUNCTION_WORDS = prose.PRONOUNS | prose.PREPOSITIONS | {"a", "an", "the", "and", "or", "is", "are", "not", "no"}
MIN_WORDS = 2  # length of a whole run that counts
ROW = 4  # length of a part of a run that counts
# These texts for an errno are words of the C library, not of the product.
ERRNO_TEXTS = sorted({os.strerror(number) for number in range(1, 134)}, key=len, reverse=True)
NO_WORDS = re.compile(
    "|".join(map(re.escape, ERRNO_TEXTS))
    + r"""|<[^>]*(>|$)                     # XML
        |[^<]*='[^>]*(>|$)                 # the rest of an element
        |(?:vgpuctl|systemctl|modprobe|nvidia-smi|xl)(?:\ +[a-z-]+)*  # a command
        |[\w./:=-]*\w[_=.:/]\w[\w./:=-]*  # a name, a path, an assignment
        |[\w-]*\d[\w-]*
        |%[-+\ \#0-9.*]*(?:hh?|ll?|[zjt])?[a-zA-Z%]
        |\\.""",
    re.X,
)


def runs(text):
    """The runs of words in a text: words that only blanks separate."""
    for run in re.split(r"[^A-Za-z' -]+|-(?![A-Za-z])", NO_WORDS.sub("|", text)):
        words = run.split()
        if len(words) >= MIN_WORDS and not FUNCTION_WORDS.issuperset(map(str.lower, words)):
            yield " ".join(words)


def c_literals(text, skip=()):
    """Line and text of each literal of C, except those in calls of `skip` and of the fields of OWN_FIELDS_C."""
    skipped, code = set(), [t for t in source.tokens(text) if t.kind != "comment"]
    for i, token in enumerate(code):
        if token.text in skip and i + 1 < len(code) and code[i + 1].text == "(":
            depth = 0
            for inner in code[i + 1 :]:
                depth += {"(": 1, ")": -1}.get(inner.text, 0)
                skipped.add(id(inner))
                if depth == 0:
                    break
        if skip and token.text in OWN_FIELDS_C and i >= 1 and code[i - 1].text == "." and i + 2 < len(code):
            skipped.add(id(code[i + 2]))
    includes = {t.line for t in code if t.directive and t.text in ("include", "include_next")}
    for group in source.literals(text):
        if group[0].line not in includes and id(group[0]) not in skipped:
            yield group[0].line, "".join(t.text[t.text.find('"') + 1 : -1] if t.kind == "string" else "|" for t in group)


def own_texts(tree):
    """The nodes of Python that are texts of the test itself, as ids."""
    for node in ast.walk(tree):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)) and ast.get_docstring(node, clean=False):
            yield id(node.body[0].value)
        if not isinstance(node, ast.Call):
            continue
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        texts = [keyword.value for keyword in node.keywords if keyword.arg == "msg"]
        if name in OWN_TEXTS:
            texts += node.args
        elif re.match(r"assert[A-Z]", name):
            texts += node.args[MESSAGE_OF_ASSERTION.get(name, 2) :]
        for text in texts:
            yield from (id(inner) for inner in ast.walk(text))


def python_literals(text):
    tree = ast.parse(text)
    own = set(own_texts(tree))
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, (str, bytes)) and id(node) not in own:
            yield node.lineno, node.value if isinstance(node.value, str) else node.value.decode("latin-1")


def product_words(files):
    """All runs of words of the product, each in a line of its own."""
    found = set()
    for _, text in files:
        for _, literal in c_literals(text):
            found.update(runs(literal))
    return "".join(f"\n {run} \n" for run in sorted(found))


def check_file(path, text, words):
    if path.suffix in (".c", ".h"):
        literals = c_literals(text, OWN_TEXTS_C)
    elif source.is_python(path, text):
        literals = python_literals(text)
    else:
        return
    for line, literal in literals:
        for allowed in ALLOWED:
            literal = literal.replace(allowed, "|")
        for run in runs(literal):
            parts = run.split()
            rows = {run, *(" ".join(parts[i : i + ROW]) for i in range(len(parts) - ROW + 1))}
            if any(f" {row} " in words for row in rows):
                yield f'{path}:{line}: repeats the words "{run}" of the product: assert a code, a state, an id or a fact'


def main():
    root = common.options(__doc__).root
    paths = common.source_files(root)
    words = product_words(source.product_files(root, paths))
    complaints = [] if words else [f"{root}: the product has no texts"]
    for path in paths:
        if path.parts[0] == "tests" and not str(path).startswith(tuple(EXEMPT)) and not FAKES.fullmatch(path.name):
            try:
                text = (root / path).read_text()
            except UnicodeDecodeError:  # a binary file
                continue
            complaints += check_file(path, text, words)
    common.finish(complaints)


if __name__ == "__main__":
    main()
