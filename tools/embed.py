#!/usr/bin/env python3
"""Writes C with the bytes of files, so that the program needs none of them beside it.

embed.py OUT.c SYMBOL ROOT [FILE...]        the table `SYMBOL` of base/embedded.h; a file's name there
                                            is its path below ROOT without the extension
embed.py --zstd DEPFILE OUT.c SYMBOL ROOT NAME...
                                            the same of all files called NAME one folder below ROOT,
                                            if there are any, packed: each a zstd frame with its
                                            size, with the extension in its name. DEPFILE tells
                                            ninja what to look at, so that new files are seen
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


def below(root: str, names: list[str], depfile: str, out: str) -> list[str]:
    """The files, and in `depfile` these and the folders in which others may appear."""
    folder = pathlib.Path(root)
    found = [path for name in names for path in folder.glob(f"*/{name}")]
    seen = [folder, *folder.glob("*/")] if folder.is_dir() else [folder.parent]
    pathlib.Path(depfile).write_text(f"{out}: {' '.join(map(str, [*seen, *found]))}\n")
    return [str(path) for path in found]


def main() -> None:
    pack = sys.argv[1] == "--zstd"
    if pack:
        depfile, out, symbol, root, *names = sys.argv[2:]
        files = below(root, names, depfile, out)
    else:
        out, symbol, root, *files = sys.argv[1:]
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
