"""Writes fold_table.c for fold.c: what each character folds to, out of Python's Unicode data.

A character folds to the lower case of its compatibility decomposition without accents; the letters
below, which Unicode does not take apart, go the way a person without their key would write them.
Vowel signs of Indic and Thai scripts are letters to their readers and stay.
"""

import sys
import unicodedata

BY_HAND = {
    "đ": "d", "ð": "d", "ħ": "h", "ı": "i", "ł": "l", "ø": "o", "ŧ": "t", "æ": "ae", "œ": "oe",
    "þ": "th", "ß": "ss", "ŋ": "n", "ƀ": "b", "ɖ": "d", "ɗ": "d", "ɨ": "i", "ʉ": "u", "ƶ": "z",
    "‘": "'", "’": "'", "“": '"', "”": '"',
}  # fmt: skip

# Accents and points that are left out; joiners and variation selectors, which are not seen at all.
DROPPED = [
    (0x00AD, 0x00AD), (0x0300, 0x036F), (0x0483, 0x0487), (0x0591, 0x05BD), (0x0610, 0x061A),
    (0x064B, 0x065F), (0x0670, 0x0670), (0x1AB0, 0x1AFF), (0x1DC0, 0x1DFF), (0x200B, 0x200F),
    (0x2060, 0x2064), (0x20D0, 0x20FF), (0xFE00, 0xFE0F), (0xFE20, 0xFE2F), (0xFEFF, 0xFEFF),
]  # fmt: skip

HANGUL = range(0xAC00, 0xD7A4)  # taken apart by arithmetic in fold.c


def dropped(char):
    return any(low <= ord(char) <= high for low, high in DROPPED)


def fold(text):
    for _ in range(3):  # a decomposition may have capitals, a lower case letter accents
        text = unicodedata.normalize("NFKD", text).casefold()
        text = "".join(BY_HAND.get(char, char) for char in text if not dropped(char))
    return text


def main(path):
    points, places, pool = [], [], b""
    for point in range(0x80, 0x110000):
        if 0xD800 <= point < 0xE000 or point in HANGUL:
            continue
        folded = fold(chr(point))
        if folded == chr(point):
            continue
        text = folded.encode()
        at = pool.find(text)
        if at < 0:
            at, pool = len(pool), pool + text
        points.append(point)
        places.append(at << 8 | len(text))
    with open(path, "w", encoding="ascii") as out:
        out.write('/* Made by fold_table.py. */\n#include "base/fold_table.h"\n')
        out.write(f"const size_t fold_count = {len(points)};\n")
        for kind, name, values in (
            ("uint32_t", "fold_points", points),
            ("uint32_t", "fold_places", places),
            ("unsigned char", "fold_pool", pool),
        ):
            out.write(f"const {kind} {name}[] = {{{','.join(map(str, values))}}};\n")


main(sys.argv[1])
