#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Measures the language of comments, strings and documents per folder, and fails above the targets.

Three rates count: idioms per 10 000 words of comments and strings; comments that open with a pronoun, a relative or a
preposition; pronouns per 100 words of comment. Documents count for idioms alone."""

import re
from collections import defaultdict

import common
import source

IDIOMS = re.compile(r"\b(?:somebody|nobody|whoever|what\s+(?:is|was|has|had))\b", re.I)
PRONOUNS = frozenset(
    "it its itself this that these those they them their theirs themselves which who whom whose what he him his she her "
    "nothing something anything everything nobody somebody anybody everybody whoever whatever".split()
)
RELATIVES = frozenset("what which who whom whose whoever whatever how where why whether other others none".split())
PREPOSITIONS = frozenset(
    "of for with without from in on at by to as into about against between through during under over until since before "
    "after per like".split()
)
OPENINGS = PRONOUNS | RELATIVES | PREPOSITIONS
WORD = re.compile(r"[A-Za-z][A-Za-z'’]*")

# Rates must stay under these.
IDIOM_TARGET = 4  # idioms per 10 000 words
OPENING_TARGET = 5  # percent
PRONOUN_TARGET = 5  # pronouns per 100 words
# In a small folder, a single finding can push a rate above its target. So a folder needs more idioms or openings than these,
# or at least this number of words, before the rate counts.
ALLOWED_IDIOMS = 1
ALLOWED_OPENINGS = 2
MEASURED_WORDS = 200


class Folder:
    """The counts of a folder, and where they come from."""

    def __init__(self):
        self.words = self.comments = self.comment_words = self.pronouns = 0
        self.idioms, self.openings, self.dense = [], [], []

    def add(self, path, text):
        words = WORD.findall(text.text)
        if text.kind != "string" or " " in text.text.strip():
            self.words += len(words)
        for match in IDIOMS.finditer(text.text):
            place = place_of(path, text, match.start())
            self.idioms.append((*place, f'idiom "{" ".join(match.group().split())}": name the thing'))
        if text.kind != "comment":
            return
        self.comments += 1
        self.comment_words += len(words)
        if words[0].lower() in OPENINGS:
            place = place_of(path, text, WORD.search(text.text).start())
            self.openings.append((*place, f'comment opens with "{words[0]}"'))
        pronouns = [word for word in words if word.lower() in PRONOUNS]
        self.pronouns += len(pronouns)
        if len(pronouns) > 1 and len(pronouns) * 100 >= len(words) * PRONOUN_TARGET:
            complaint = f"comment has {len(pronouns)} pronouns in {len(words)} words ({', '.join(pronouns)})"
            self.dense.append((*place_of(path, text, 0), complaint))

    def merge(self, other):
        for name, value in vars(other).items():
            setattr(self, name, getattr(self, name) + value)

    @property
    def idiom_rate(self):
        return len(self.idioms) * 10000 / self.words if self.words else 0

    @property
    def opening_rate(self):
        return len(self.openings) * 100 / self.comments if self.comments else 0

    @property
    def pronoun_rate(self):
        return self.pronouns * 100 / self.comment_words if self.comment_words else 0

    def faults(self):
        """Yield each rate above the target, in words, and the places that count for the rate."""
        if len(self.idioms) > ALLOWED_IDIOMS and self.idiom_rate >= IDIOM_TARGET:
            yield f"{self.idiom_rate:.1f} idioms per 10 000 words, not under {IDIOM_TARGET}", self.idioms
        if len(self.openings) > ALLOWED_OPENINGS and self.opening_rate >= OPENING_TARGET:
            rate = f"{self.opening_rate:.1f} % of comments open with a pronoun, relative or preposition"
            yield f"{rate}, not under {OPENING_TARGET} %", self.openings
        if self.comment_words >= MEASURED_WORDS and self.pronoun_rate >= PRONOUN_TARGET:
            yield f"{self.pronoun_rate:.1f} pronouns per 100 words of comment, not under {PRONOUN_TARGET}", self.dense


def place_of(path, text, position):
    return path, text.line + text.text.count("\n", 0, position)


def folder_of(path):
    """The folder of a file in the table of rates; None for a file without measured English."""
    if path.parts[0] in source.PRODUCT and path.suffix in (".c", ".h", ".def", ".xml"):
        return str(path.parent)
    if path.parts[0] == "tests":
        return "/".join(path.parts[:2]) if len(path.parts) > 2 else "tests"
    if path.parts[0] in ("man", "examples", "systemd", "policy"):
        return path.parts[0]
    if len(path.parts) == 1 and (path.suffix == ".md" or path.name == "NEWS"):
        return "."
    return None


def measure(root):
    """The folders of a tree by name."""
    folders = defaultdict(Folder)
    for path in common.source_files(root):
        name = folder_of(path)
        if name is None or re.match(r"tests/.*(corpus|golden|fixtures|data)/", str(path)):
            continue
        try:
            text = (root / path).read_text()
        except UnicodeDecodeError:
            continue
        for found in source.texts(path, text):
            if found.kind != "string" or not name.startswith("tests"):
                folders[name].add(path, found)
    return folders


def total(folders, names):
    result = Folder()
    for name in names:
        result.merge(folders[name])
    return result


def main():
    flags = [
        ("--list", "list every place, also in folders that meet the targets, and succeed"),
        ("--rates", "print the rates of each folder, and succeed"),
    ]
    options = common.options(__doc__, flags=flags)
    folders = measure(options.root)
    complaints = []
    if options.rates:
        print(f"{'folder':32} {'words':>6} {'idioms':>7} {'openings':>9} {'pronouns':>9}")
        for name, folder in sorted(folders.items()):
            rates = f"{folder.idiom_rate:7.1f} {folder.opening_rate:7.1f} % {folder.pronoun_rate:9.1f}"
            print(f"{name:32} {folder.words:6} {rates}")
    elif options.list:
        for _, folder in sorted(folders.items()):
            for path, line, text in sorted(folder.idioms + folder.openings + folder.dense):
                print(f"{path}:{line}: {text}")
    else:
        for name, folder in sorted(folders.items()):
            for fault, places in folder.faults():
                complaints.append(f"{name}: {fault}")
                complaints += [f"{path}:{line}: {text}" for path, line, text in sorted(places)]
    common.finish(complaints)


if __name__ == "__main__":
    main()
