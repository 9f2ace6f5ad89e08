#!/usr/bin/env python3
"""Writes C with the bytes of files, so that the program needs none of them beside it.

embed.py OUT.c SYMBOL ROOT [FILE...]        the table `SYMBOL` of base/embedded.h; a file's name there
                                            is its path below ROOT without the extension
embed.py --zstd OUT.c SYMBOL ROOT [FILE...] the same with the bytes packed, each file a zstd frame
                                            with its size, and with the extension in the name
"""
import ctypes
import ctypes.util
import pathlib
import sys

ZSTD_LEVEL = 19


def packed(data: bytes) -> bytes:
    """A zstd frame, by the library that the program is linked with: no Python package is needed."""
    zstd = ctypes.CDLL(ctypes.util.find_library("zstd") or "libzstd.so.1")
    zstd.ZSTD_compressBound.restype = zstd.ZSTD_compress.restype = ctypes.c_size_t
    room = zstd.ZSTD_compressBound(ctypes.c_size_t(len(data)))
    out = ctypes.create_string_buffer(room)
    size = zstd.ZSTD_compress(
        out, ctypes.c_size_t(room), data, ctypes.c_size_t(len(data)), ctypes.c_int(ZSTD_LEVEL)
    )
    if zstd.ZSTD_isError(ctypes.c_size_t(size)):
        sys.exit("embed.py: zstd cannot pack a file")
    return out.raw[:size]


def main() -> None:
    pack = sys.argv[1] == "--zstd"
    out, symbol, root, *files = sys.argv[1 + pack :]
    paths = [(pathlib.Path(file).relative_to(root), file) for file in files]
    named = sorted((str(path if pack else path.with_suffix("")), file) for path, file in paths)
    lines = ['#include "base/embedded.h"', ""]
    rows = []
    for number, (name, file) in enumerate(named):
        data = pathlib.Path(file).read_bytes()
        data = (packed(data) if pack else data) + b"\0"
        lines.append(f"static const unsigned char bytes_{number}[] = {{")
        lines += [",".join(map(str, data[at : at + 24])) + "," for at in range(0, len(data), 24)]
        lines.append("};")
        rows.append(f'    {{"{name}", bytes_{number}, sizeof bytes_{number} - 1}},')
    if not named:
        rows.append("    {0},")  # C has no empty array
    lines += ["", f"extern const struct embedded_file {symbol}[];",
              f"const struct embedded_file {symbol}[] = {{", *rows, "};",
              f"extern const size_t {symbol}_count;",
              f"const size_t {symbol}_count = {len(named)};"]
    pathlib.Path(out).write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
