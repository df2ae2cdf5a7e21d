#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Rules of the tree that a program can check: sizes, headers, section marks, names, and one writer of each state."""

import re
from collections import Counter

import common
import measure
import source

MAX_LINES = 700  # a .c file
MAX_FILES = 12  # .c files of a folder
LARGE_FOLDERS = {"cli/verbs"}  # one file per verb

# The only writer of OWNED_FIELDS.
QUEUE = "daemon/work/queue.c"
OWNED_FIELDS = {("Gpu", "current"), ("Gpu", "waiting"), ("Instance", "job"), ("Model", "jobs")}
ASSIGNMENTS = {"=", "+=", "-=", "|=", "&=", "^=", "++", "--"}
READERS = re.compile(r"g_queue_(is_empty|get_length|peek_\w+|find\w*|index|copy)")
TABLE_WRITERS = re.compile(
    r"g_hash_table_(add|insert|replace|remove\w*|steal\w*|foreach_(remove|steal)|unref|destroy)|g_clear_pointer|g_steal_pointer"
)
# These calls on a table count as writes, too. The function that frees the owning object may make them, but no other write.
TABLE_FREERS = re.compile(r"g_hash_table_(unref|destroy)")
OBJECT_FREERS = {("daemon/model/model.c", "model_free")}

NEUTRAL_FOLDERS = ("drivers-glue/vf", "drivers-glue/vfio")
VENDOR_WORDS = {
    "nvidia", "nvml", "amd", "gim", "intel", "i915", "xe", "xengt", "gvt", "0x10de", "0x1002", "0x8086",
}  # fmt: skip
# Words for the platform's IOMMU, which name no GPU.
PLATFORM = r"intel_iommu=\w+( on Intel)?|amd_iommu=\w+|AMD-Vi"

ERROR_NAMES = {"error", "err", "ret_error", "ret_err", "ret", "e"}
BUS_ERROR_NAMES = {"reterr", "ret_error"}
# In these files a VgpudError is the object of a function, not its last parameter.
ERROR_FILES = ("daemon/base/error.c", "daemon/base/error.h")


def check_size(files):
    counts = Counter()
    for path, text in files:
        if path.suffix == ".c":
            counts[str(path.parent)] += 1
            lines = text.count("\n")
            if lines > MAX_LINES:
                yield f"{path}: {lines} lines, more than {MAX_LINES}"
    for folder, count in sorted(counts.items()):
        if count > MAX_FILES and folder not in LARGE_FOLDERS:
            yield f"{folder}: {count} .c files, more than {MAX_FILES}"


def check_headers(files):
    headers = measure.declaring_headers(files)
    for path, name, line in measure.extern_functions(files):
        own = path.with_suffix(".h")
        others = sorted(str(h) for h in headers[name] if h != own)
        if not headers[name]:
            yield f"{path}:{line}: {name}() is neither static nor declared in a header"
        elif others:
            yield f"{path}:{line}: {name}() is declared in {', '.join(others)}, not only in {own}"
    for path, _ in files:
        if path.suffix == ".h" and re.search(r"-(private|internal)$", path.stem):
            yield f"{path}: a second header of a module: declare each function in the header of its own .c file"


def check_section_marks(path, text):
    for token in source.tokens(text):
        if token.kind != "comment" or not source.is_section_mark(re.sub(r"\A/[*/]+|\*+/\Z", "", token.text)):
            continue
        if not re.fullmatch(r"/\* ---- [^-\s](.*[^-\s.])? ---- \*/", token.text):
            yield f"{path}:{token.line}: a section mark has the form '/* ---- name ---- */'"


def check_literals(path, text):
    for line in source.broken_literals(text):
        yield f"{path}:{line}: a string literal broken over lines: write it as one"


def check_error_names(path, text):
    if str(path) in ERROR_FILES:
        return
    functions, prototypes = source.declarations(text)
    for declared in functions + prototypes:
        for parameter in source.parameters(declared.head):
            words = [t.text for t in parameter]
            if "*" not in words or "const" in words:
                continue
            if "VgpudError" in words and words[-1] in ERROR_NAMES:
                yield f"{path}:{parameter[-1].line}: {declared.name}(): call the error parameter reterr, not {words[-1]}"
            if "sd_bus_error" in words and words[-1] not in BUS_ERROR_NAMES:
                yield f"{path}:{parameter[-1].line}: {declared.name}(): call the error parameter ret_error, not {words[-1]}"


def check_owned_fields(files):
    """Yields a fault for each of OWNED_FIELDS that its struct does not have."""
    members = set()
    for _, text in files:
        code = re.sub(r"/\*.*?\*/", "", text, flags=re.S)
        for kind, body in re.findall(r"^(?:typedef )?struct (\w+) \{(.*?)^\}", code, re.M | re.S):
            members |= {(kind, name) for name in re.findall(r"\b(\w+)(?:\[\w*\])?\s*[;,]", body)}
    for kind, name in sorted(OWNED_FIELDS - members):
        yield f"house.py: the struct {kind} has no field {name}"


def pointers(files):
    """Maps each file to pairs (owner of OWNED_FIELDS, name): the variables and members that point to this owner, in the
    file and in all headers."""
    pattern = re.compile(rf"\b({'|'.join(sorted({t for t, _ in OWNED_FIELDS}))})\s*\*+\s*(?:const\s+)?(\w+)")
    found = {path: set(pattern.findall(text)) for path, text in files}
    shared = {pair for path, pairs in found.items() if path.suffix == ".h" for pair in pairs}
    return {path: pairs | shared for path, pairs in found.items()}


def writer(code, i):
    """code[i] is the last token of an access to a member. Returns the assignment or the modifying function that writes the
    member, None if the code only reads the member."""
    if code[i + 1].text in ASSIGNMENTS:
        return code[i + 1].text
    start = i
    while start >= 2 and code[start - 1].text in ("->", ".") and code[start - 2].kind == "name":
        start -= 2
    before = code[start - 1].text if start else ""
    if before in ("++", "--"):
        return before
    address = before == "&"
    if address:
        start -= 1
    opening = code[start - 1].text if start else ""
    called = code[start - 2].text if start >= 2 and opening == "(" else ""
    if address:
        return None if READERS.fullmatch(called) else "&"
    return called if TABLE_WRITERS.fullmatch(called) else None


def frees_object(path, functions, line, written_by):
    name = next((f.name for f in functions if f.first <= line <= f.last), None)
    return TABLE_FREERS.fullmatch(written_by) is not None and (str(path), name) in OBJECT_FREERS


def check_owner(path, text, names):
    code = [t for t in source.tokens(text) if t.kind != "comment"]
    functions = source.declarations(text)[0]
    for i in range(2, len(code) - 1):
        if code[i - 1].text not in ("->", ".") or code[i].kind != "name" or code[i - 2].kind != "name":
            continue
        owners = {kind for kind, name in names if name == code[i - 2].text}
        for kind in sorted(owners):
            written_by = writer(code, i) if (kind, code[i].text) in OWNED_FIELDS else None
            if written_by and not frees_object(path, functions, code[i].line, written_by):
                yield f"{path}:{code[i].line}: writes {kind}.{code[i].text}, which only {QUEUE} may write"
                break


def check_vendors(path, text):
    text = source.blanked(PLATFORM, text, re.I)
    for number, line in enumerate(text.split("\n"), 1):
        for word in sorted(set(re.findall(r"0x[0-9a-f]+|[a-z0-9]+", line.lower())) & VENDOR_WORDS):
            yield f"{path}:{number}: the vendor name '{word}' in {path.parent}, which serves all vendors"


def main():
    root = common.options(__doc__).root
    files = list(source.product_files(root, common.source_files(root)))
    complaints = [] if files else [f"{root}: there are no sources"]
    complaints += check_size(files)
    complaints += check_headers(files)
    complaints += check_owned_fields(files)
    names = pointers(files)
    for path, text in files:
        complaints += check_section_marks(path, text)
        complaints += check_literals(path, text)
        complaints += check_error_names(path, text)
        if path.parts[0] == "daemon" and str(path) != QUEUE:
            complaints += check_owner(path, text, names[path])
        if str(path.parent) in NEUTRAL_FOLDERS:
            complaints += check_vendors(path, text)
    common.finish(complaints)


if __name__ == "__main__":
    main()
