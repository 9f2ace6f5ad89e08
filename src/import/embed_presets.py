#!/usr/bin/env python3
"""Writes C with the bytes of files, so that the program needs none of them: OUT.c FILE.json..."""
import pathlib
import sys


def main() -> None:
    out, files = sys.argv[1], sorted(sys.argv[2:], key=lambda file: pathlib.Path(file).stem)
    lines = ['#include "import/embedded.h"', ""]
    rows = []
    for number, file in enumerate(files):
        data = pathlib.Path(file).read_bytes()
        lines.append(f"static const unsigned char bytes_{number}[] = {{")
        lines += [",".join(map(str, data[at : at + 24])) + "," for at in range(0, len(data), 24)]
        lines.append("};")
        rows.append(f'    {{"{pathlib.Path(file).stem}", bytes_{number}, sizeof bytes_{number}}},')
    lines += ["", "const struct embedded_preset embedded_presets[] = {", *rows, "};"]
    lines.append(f"const size_t embedded_preset_count = {len(files)};")
    pathlib.Path(out).write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
