"""Makes text from clients safe to display."""

from __future__ import annotations

import re
import unicodedata

# Cc and Cs are control characters and lone surrogates. Cf contains bidirectional marks and invisible characters, which
# make one text look like another (CVE-2021-42574). Zl and Zp are line and paragraph separators.
_REMOVED_CATEGORIES = {"Cc", "Cf", "Cs", "Zl", "Zp"}
# Emoji and several scripts need the two joiners. Flags such as that of Wales consist of a black flag and tag characters
# (Unicode Technical Standard 51, emoji tag sequences).
_KEPT = re.compile("[\u200c\u200d]|\U0001f3f4[\U000e0020-\U000e007e]+\U000e007f")
_LINE_BREAKS = re.compile("\r\n|[\r\u2028\u2029]")


def clean_line(text: str) -> str:
    """Return the text in NFC on one line, without control, bidirectional and invisible characters."""
    return _clean(text, allowed="")


def clean_text(text: str) -> str:
    """Return the text like `clean_line`, but with its tabs and line breaks, which become line feeds."""
    return _clean(_LINE_BREAKS.sub("\n", text), allowed="\n\t")


def _clean(text: str, *, allowed: str) -> str:
    def is_kept(character: str) -> bool:
        return character in allowed or unicodedata.category(character) not in _REMOVED_CATEGORIES

    cleaned, position = [], 0
    for kept in _KEPT.finditer(text):
        cleaned += [*filter(is_kept, text[position : kept.start()]), kept[0]]
        position = kept.end()
    cleaned += filter(is_kept, text[position:])
    return unicodedata.normalize("NFC", "".join(cleaned)).strip()
