#!/usr/bin/env python3
"""Writes C with the bytes of files, so that the program needs none of them beside it.

embed.py OUT.c SYMBOL ROOT FILE...   the table `SYMBOL` of base/embedded.h; a file's name there is
                                     its path below ROOT without the extension
"""
import pathlib
import sys


def main() -> None:
    out, symbol, root, *files = sys.argv[1:]
    named = sorted((str(pathlib.Path(file).relative_to(root).with_suffix("")), file) for file in files)
    lines = ['#include "base/embedded.h"', ""]
    rows = []
    for number, (name, file) in enumerate(named):
        data = pathlib.Path(file).read_bytes() + b"\0"
        lines.append(f"static const unsigned char bytes_{number}[] = {{")
        lines += [",".join(map(str, data[at : at + 24])) + "," for at in range(0, len(data), 24)]
        lines.append("};")
        rows.append(f'    {{"{name}", bytes_{number}, sizeof bytes_{number} - 1}},')
    lines += ["", f"extern const struct embedded_file {symbol}[];",
              f"const struct embedded_file {symbol}[] = {{", *rows, "};",
              f"extern const size_t {symbol}_count;",
              f"const size_t {symbol}_count = {len(named)};"]
    pathlib.Path(out).write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
