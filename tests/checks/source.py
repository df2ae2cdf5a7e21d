# SPDX-License-Identifier: LGPL-2.1-or-later
"""Parsers that measure.py, prose.py and house.py share: C tokens and functions, and the English text of a file.

The C parser has no preprocessor: function names come from the form of the text, and GENERATORS names the macros that
define functions."""

import io
import re
import tokenize
from collections import namedtuple
from functools import lru_cache

PRODUCT = ("daemon", "dbus", "drivers-glue", "cli", "policy", "libvirt-hook")
# Macros that define functions: {} in the functions' names stands for the macro's first argument.
GENERATORS = {
    "DEFINE_STRING_TABLE": ("{}_to_string", "{}_from_string"),
    "DEFINE_STRING_TABLE_TO_STRING": ("{}_to_string",),
    "DEFINE_STRING_TABLE_FROM_STRING": ("{}_from_string",),
}

# kind: comment, string, char, name, number, mark; directive: part of a preprocessor line
Token = namedtuple("Token", "kind text line directive")
# A function's definition. line: of its name; first and last: lines of the two braces; head and body: token lists
Function = namedtuple("Function", "name line static first last head body")
# A prototype in a header
Prototype = namedtuple("Prototype", "name line head")
# kind: comment, string, document. The text keeps the newlines that the file has there, so that lines can be counted.
Text = namedtuple("Text", "line kind text")

TOKEN = re.compile(
    r"""(?P<comment>/\*.*?(?:\*/|\Z)|//(?:\\\n|[^\n])*)
      | (?P<string>(?:u8|[uUL])?"(?:\\.|[^"\\\n])*"?)
      | (?P<char>[uUL]?'(?:\\.|[^'\\\n])+')
      | (?P<name>[A-Za-z_]\w*)
      | (?P<number>\.?\d(?:[eEpP][+-]|[\w.])*)
      | (?P<newline>\n)
      | (?P<joined>\\\n)
      | (?P<blank>[^\S\n]+)
      | (?P<mark>->|\+\+|--|<<=|>>=|<<|>>|[-+*/%&|^=!<>]=|&&|\|\||\.\.\.|\#\#|.)""",
    re.X | re.S,
)


@lru_cache(maxsize=None)
def tokens(text):
    found = []
    line = 1
    directive = False
    fresh = True  # so far, the line has only blanks and comments
    for match in TOKEN.finditer(text):
        kind, word = match.lastgroup, match.group()
        if kind == "newline":
            directive, fresh = False, True
        elif kind not in ("blank", "joined"):
            if kind == "mark" and word == "#" and fresh:
                directive = True
            if kind != "comment":
                fresh = False
            found.append(Token(kind, word, line, directive))
        line += word.count("\n")
    return found


def is_attribute(name):
    """True if a name before a parenthesis is no function: _printf_, __attribute__, SD_BUS_ERROR_MAP, if."""
    return (name.startswith("_") and name.endswith("_")) or name.isupper() or name in ("if", "for", "while", "switch")


def declarator(statement):
    """The name of the function in a file-level statement, as a token, or None."""
    depth = 0
    for i, token in enumerate(statement):
        if token.text == "(":
            before = statement[i - 1] if i > 0 else None
            if depth == 0 and before and before.kind == "name" and not is_attribute(before.text):
                return before
            depth += 1
        elif token.text == ")":
            depth -= 1
        elif token.text == "=" and depth == 0:
            return None
    return None


def declarations(text):
    """The functions and the prototypes of a C file, in two lists."""
    functions, prototypes, statement, conditions = [], [], [], []
    depth = 0
    function = body = None
    code = [t for t in tokens(text) if t.kind != "comment"]
    for i, token in enumerate(code):
        if token.directive:
            if token.text == "#" and i + 1 < len(code):
                word = code[i + 1].text
                if word in ("if", "ifdef", "ifndef"):
                    conditions.append(depth)
                elif word in ("else", "elif") and conditions:
                    depth = conditions[-1]
                elif word == "endif" and conditions:
                    conditions.pop()
            continue
        if token.text == "{":
            if depth == 0:
                function = declarator(statement) if statement and statement[-1].text == ")" else None
                body = []
                start = token.line
            elif body is not None:
                body.append(token)
            depth += 1
        elif token.text == "}":
            depth = max(depth - 1, 0)
            if depth > 0:
                body.append(token)
            elif function:
                static = any(t.text == "static" for t in statement)
                functions.append(Function(function.text, function.line, static, start, token.line, statement, body))
                statement, function = [], None
            # else the braces are of an initialiser or a type: the statement goes on to its semicolon
        elif depth > 0:
            body.append(token)
        elif token.text == ";":
            words = {t.text for t in statement}
            name = None if words & {"typedef", "static"} else declarator(statement)
            if name:
                prototypes.append(Prototype(name.text, name.line, statement))
            statement = []
        else:
            statement.append(token)
    return functions, prototypes


def generated(text):
    """Names and lines of the functions that macros define."""
    code = [t for t in tokens(text) if t.kind != "comment" and not t.directive]
    for macro, mark, argument in zip(code, code[1:], code[2:]):
        if macro.text in GENERATORS and mark.text == "(":
            for form in GENERATORS[macro.text]:
                yield form.format(argument.text), macro.line


def parameters(head):
    """The parameters in a function's or prototype's head, each a list of tokens."""
    name = declarator(head)
    start = next(i for i, t in enumerate(head) if t is name) + 2
    depth, found = 1, [[]]
    for token in head[start:]:
        depth += {"(": 1, ")": -1}.get(token.text, 0)
        if depth == 0:
            break
        if token.text == "," and depth == 1:
            found.append([])
        else:
            found[-1].append(token)
    return found


def literals(text):
    """The string literals of C code, each a list of tokens: the parts and the macros (PRIu32) between parts."""
    group = []
    for token in tokens(text):
        between = token.kind == "name" and token.text.isupper() or token.text.startswith(("PRI", "SCN"))
        if token.kind == "string" or (group and between and token.kind == "name"):
            group.append(token)
        elif group and token.kind != "comment":
            yield from finished_literal(group)
            group = []
        # a comment between two parts does not end the literal: the compiler joins the parts
    yield from finished_literal(group)


def finished_literal(group):
    while group and group[-1].kind != "string":
        group.pop()
    if group:
        yield group


def broken_literals(text):
    """Lines where a string literal continues the literal of the line before.

    Two breaks do not count: after a part that ends with \\n, a whole line of a text such as a help page, and beside a
    macro (PRIu32), where clang-format breaks a long line."""
    for group in literals(text):
        for before, after in zip(group, group[1:]):
            parts = before.kind == after.kind == "string"
            if parts and after.line != before.line and not before.text.endswith('\\n"'):
                yield after.line


def blank_lines(text):
    """The blank lines and all lines within the function bodies of a C file."""
    lines = text.split("\n")
    bodies = [lines[f.first : f.last - 1] for f in declarations(text)[0]]
    return sum(not line.strip() for body in bodies for line in body), sum(map(len, bodies))


def product_files(root, files):
    """The C files of the product among the files of a tree, with their text."""
    for path in files:
        if path.parts[0] in PRODUCT and path.suffix in (".c", ".h", ".def"):
            yield path, (root / path).read_text(errors="replace")


# ---- English ----


def blanked(pattern, text, flags=0):
    """The text with each match of the pattern replaced by as many blanks; newlines stay."""
    return re.sub(pattern, lambda m: re.sub(r"[^\n]", " ", m.group()), text, flags=flags)


def is_section_mark(text):
    return re.fullmatch(r"\s*[-=*]{3,}.*[-=*]{3,}\s*", text, re.S) is not None


def c_texts(text):
    for token in tokens(text):
        if token.kind == "comment":
            body = blanked(r"\A/[*/]+|\*+/\Z|^[^\S\n]*\*+(?=\s|$)|^[^\S\n]*//", token.text, re.M)
            if "SPDX-License-Identifier" not in body and not is_section_mark(body):
                yield Text(token.line, "comment", body)
    includes = {t.line for t in tokens(text) if t.directive and t.text in ("include", "include_next")}
    for group in literals(text):
        if group[0].line in includes:
            continue
        words, line = "", group[0].line
        for token in group:
            words += "\n" * (token.line - line)
            line = token.line
            words += token.text[token.text.find('"') + 1 : -1] if token.kind == "string" else " "
        yield Text(group[0].line, "string", blanked(r"\\.|%[-+ #0-9.*]*(?:hh?|ll?|[zjt])?[a-zA-Z]?", words))


def python_texts(text):
    try:
        found = list(tokenize.generate_tokens(io.StringIO(text).readline))
    except (tokenize.TokenError, SyntaxError, IndentationError):
        return
    comment = None  # consecutive lines of the same column are one comment
    fresh = True  # true where a statement begins
    for i, token in enumerate(found):
        kind, word, (line, column) = token.type, token.string, token.start
        if kind == tokenize.COMMENT:
            own_line = token.line[:column].isspace() or column == 0
            body = blanked(r"\A#!.*|\A#+:?", word)
            if comment and own_line and comment[1:] == (line - 1, column):
                comment = (Text(comment[0].line, "comment", comment[0].text + "\n" + body), line, column)
            else:
                if comment:
                    yield comment[0]
                comment = (Text(line, "comment", body), line, column) if own_line else None
                if not own_line:
                    yield Text(line, "comment", body)
        elif kind == tokenize.STRING:
            docstring = fresh and i + 1 < len(found) and found[i + 1].type in (tokenize.NEWLINE, tokenize.ENDMARKER)
            body = blanked(r"\A[a-zA-Z]*('''|\"\"\"|'|\")|('''|\"\"\"|'|\")\Z|\\.", word)
            yield Text(line, "comment" if docstring else "string", body)
            fresh = False
        elif kind in (tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENCODING):
            fresh = True
        elif kind != tokenize.NL:
            fresh = False
    if comment:
        yield comment[0]


def xml_texts(text):
    for match in re.finditer(r"<!--(.*?)-->", text, re.S):
        yield Text(text.count("\n", 0, match.start(1)) + 1, "comment", match.group(1))


def document_texts(path, text):
    """The paragraphs of a document, without its blocks and words of code."""
    if path.suffix == ".md":
        text = blanked(r"^```.*?^```|`[^`\n]*`", text, re.S | re.M)
    elif path.suffix == ".rst":
        text = blanked(r"(?<=::\n)(?:\n|[ \t][^\n]*\n)+|``[^`]*``|^\.\. .*$", text, re.M)
    for match in re.finditer(r"(?:^.*\S.*\n?)+", text, re.M):
        yield Text(text.count("\n", 0, match.start()) + 1, "document", match.group())


def is_python(path, text):
    return path.suffix == ".py" or (not path.suffix and re.match(r"#!.*\bpython", text) is not None)


def texts(path, text):
    """The English of a file; an empty list for an unknown form of file."""
    if path.suffix in (".c", ".h", ".def"):
        found = c_texts(text)
    elif path.suffix == ".xml":
        found = xml_texts(text)
    elif path.suffix in (".md", ".rst", ".catalog") or path.name == "NEWS":
        found = document_texts(path, text)
    elif is_python(path, text):
        found = python_texts(text)
    else:
        return []
    return [t for t in found if re.search(r"[A-Za-z]", t.text) and "SPDX-License-Identifier" not in t.text]
