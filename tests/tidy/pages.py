"""Checks of the documents, for test_style.py: what a page names must exist.

A page is a Markdown file. In it a word in backquotes that looks like a file or a folder of the project
must be one, a link must lead somewhere, and names of failures and diagnostics must be in their tables.
Comments of the code that send their reader to a numbered section of a page must find it there.
"""

import os
import pathlib
import re

from source import ENGINE, ROOT, Finding, c_files, every_file, line_of, read

CODE = re.compile(r"`([^`\n]+)`")
LINK = re.compile(r"\[[^\]\n]*\]\(([^)\s]+)\)")
FILE = re.compile(r"[\w.-]+(?:/[\w.-]+)*\.(?:c|h|cpp|py|md)")
FOLDERS = ("bench", "cli", "cmake", "demo", "docs", "engine", "include", "io", "operators", "tests",
           "tools", "topologies")
FOLDER = re.compile(rf"(?:{'|'.join(FOLDERS)})(?:/[\w.-]+)+/?")
FAILURE = re.compile(r"\bE_[A-Z]+(?:_[A-Z]+)*\b(?!_)")
DIAGNOSTIC = re.compile(r"\bM0\d{3}\b")
# "section 4 of docs/x.md", "docs/x.md, section 3.4", "docs/x.md (sections 8 and 9)"
NUMBERS = r"sections? (\d+(?:\.\d+)?)(?: and (\d+(?:\.\d+)?))?"
SECTION = re.compile(rf"{NUMBERS} (?:of|in) docs/([\w-]+\.md)|docs/([\w-]+\.md),? \(?{NUMBERS}")


def pages():
    return [path for path in every_file() if path.endswith(".md") and path != "CHANGELOG.md"]


def _outside_blocks(text):
    """The text with blocks between ``` lines blanked; line numbers stay."""
    return re.sub(r"^```.*?^```", lambda block: "\n" * block[0].count("\n"), text,
                  flags=re.M | re.S)


def _exists(word, page, names):
    """From the root, from the page's folder or one above, or as the bare name of some file."""
    folder = pathlib.PurePosixPath(page).parent
    places = [word, str(folder / word), str(folder.parent / word), f"include/{word}"]
    return any((ROOT / place).exists() for place in places) or "/" not in word and word in names


def page_paths():
    files = every_file()
    names = {os.path.basename(path) for path in files}
    for page in pages():
        text = _outside_blocks(read(page))
        for match in CODE.finditer(text):
            for word in match[1].split():
                word = word.strip("(),;:")
                if not (FILE.fullmatch(word) or FOLDER.fullmatch(word)):
                    continue
                if not _exists(word.rstrip("/"), page, names):
                    yield Finding("page-path", f"{page}:{word}", line_of(text, match.start()),
                                  f"there is no {word}")


def _anchors(path):
    """What a heading is called behind #."""
    for heading in re.findall(r"^#+ (.+)$", _outside_blocks(read(path)), re.M):
        yield re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def page_links():
    for page in pages():
        text = _outside_blocks(read(page))
        for match in LINK.finditer(text):
            path, _, anchor = match[1].partition("#")
            if path.startswith(("http:", "https:")):
                continue
            target = os.path.normpath(os.path.join(os.path.dirname(page), path)) if path else page
            if not (ROOT / target).exists():
                yield Finding("page-link", f"{page}:{match[1]}", line_of(text, match.start()),
                              f"the link leads nowhere: {match[1]}")
            elif anchor and anchor not in set(_anchors(target)):
                yield Finding("page-link", f"{page}:{match[1]}", line_of(text, match.start()),
                              f"{target} has no heading #{anchor}")


def page_names():
    """E_ names and M codes of pages are those of the tables."""
    failures = set(re.findall(r"^    \{\"(E_\w+)\"", read("engine/base/error_names.c"), re.M))
    codes = set(re.findall(r"^    \{(\d{3}),", read("engine/base/diag_codes.c"), re.M))
    assert len(failures) > 30 and len(codes) > 50
    for page in pages():
        text = read(page)
        for match in FAILURE.finditer(text):
            if match[0] not in failures:
                yield Finding("page-name", f"{page}:{match[0]}", line_of(text, match.start()),
                              f"engine/base/error_names.c has no {match[0]}")
        for match in DIAGNOSTIC.finditer(text):
            if match[0][2:] not in codes:
                yield Finding("page-name", f"{page}:{match[0]}", line_of(text, match.start()),
                              f"engine/base/diag_codes.c has no {match[0]}")


def page_sections():
    for path in c_files(*ENGINE):
        text = re.sub(r"\n[ ]\*", "  ", read(path))
        text = re.sub(r"[ ]{2,}", " ", text)
        for match in SECTION.finditer(text):
            page = f"docs/{match[3] or match[4]}"
            headings = re.findall(r"^#+ (\d+(?:\.\d+)?) ", read(page), re.M)
            for number in filter(None, (match[1], match[2], match[5], match[6])):
                if number not in headings:
                    yield Finding("page-section", f"{path}:{number}", 0,
                                  f"{page} has no section {number}")
