#!/usr/bin/env python3
"""bench_gbdt: the tree evaluators beside lib_lightgbm's C API and lleaves, on one model.

    bench_gbdt.py [--model FILE --rows FILE] [--rounds N] [--no-inline] [--only PATH...]

Takes turns, N rounds, the best of each; microseconds of CPU a row, one thread, raw scores:

  one row     a call a row, rows changing: LightGBM's is LGBM_BoosterPredictForMatSingleRowFast, lleaves'
              its compiled function called directly
  256, 4096   rows a call: LGBM_BoosterPredictForMat, and the same function of lleaves
  cold        the median of single rows, each after 96 MiB of other memory were written

The model and its rows (features, then the raw score) are those of ../shared/models. Before anything is
timed each subject scores all rows: ours must have the bits of LightGBM. lleaves compiles for minutes once;
its object file stays in build/.

Fails where a floor is missed. Floors for a path that this CPU does not have are named, not measured.
"""

import argparse
import ctypes
import gzip
import hashlib
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
VENV = ROOT / ".deps/bench-venv"
BUILD = Path(os.environ.get("KOL_BIN", ROOT / "build/release/src/kol")).resolve().parents[1] / "bench"

# (path, rows a call) -> least ratio to LightGBM, least ratio to lleaves
FLOORS = {
    ("vbmi", 1): (10, 5),
    ("vbmi", 256): (25, 5),
    ("vbmi", 4096): (25, 5),
    ("blocks", 1): (8, None),
    ("blocks or avx2", 256): (10, 1.7),
    ("blocks or avx2", 4096): (10, 1.7),
}
SIZES = (1, 256, 4096)
COLD_ROWS = 60


class Subject(ctypes.Structure):
    """Same as struct subject in gbdt_loops.c."""

    _fields_ = [
        ("kind", ctypes.c_int32),
        ("width", ctypes.c_int32),
        ("handle", ctypes.c_void_p),
        ("config", ctypes.c_void_p),
        ("one_row", ctypes.c_void_p),
        ("rows", ctypes.c_void_p),
    ]


def into_venv():
    """Runs this script again in the venv that has the peers, which tools/venv.sh makes."""
    if Path(sys.prefix).resolve() != VENV.resolve():
        subprocess.run([ROOT / "tools/venv.sh", "bench"], check=True)
        os.execv(VENV / "bin/python", [str(VENV / "bin/python"), __file__, *sys.argv[1:]])


def open_loops():
    loops = ctypes.CDLL(str(BUILD / "libbench_gbdt_loops.so"))
    loops.loops_open.restype = ctypes.c_void_p
    loops.loops_open.argtypes = [ctypes.c_char_p, ctypes.c_char_p]
    loops.loops_time.restype = ctypes.c_double
    pointer = ctypes.c_void_p
    loops.loops_time.argtypes = [pointer, pointer, ctypes.c_size_t, ctypes.c_size_t, pointer]
    loops.loops_cold.argtypes = [pointer, pointer, ctypes.c_size_t, pointer, pointer]
    loops.loops_cold.restype = None
    return loops


def our_subjects(loops, model, width, only):
    names = (ctypes.c_char_p * 16)()
    loops.gbdt_paths.restype = ctypes.c_size_t
    loops.gbdt_paths.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
    count = loops.gbdt_paths(names, 16)
    subjects = {}
    for name in names[:count]:
        if only and name.decode() not in only:
            continue
        handle = loops.loops_open(str(model).encode(), name)
        if not handle:
            sys.exit(f"{name.decode()} does not take {model}")
        subjects[name.decode()] = Subject(kind=0, width=width, handle=handle)
    return subjects


def address(function):
    return ctypes.cast(function, ctypes.c_void_p).value


def lightgbm_subject(model, width, keep):
    import lightgbm
    from lightgbm.basic import _LIB

    booster = lightgbm.Booster(model_file=str(model))
    config = ctypes.c_void_p()
    words = b"num_threads=1"
    raw_score, double = 1, 1
    failed = _LIB.LGBM_BoosterPredictForMatSingleRowFastInit(
        booster._handle, raw_score, 0, -1, double, width, words, ctypes.byref(config)
    )
    if failed:
        sys.exit("LightGBM cannot make its call for single rows")
    keep.append(booster)
    return Subject(
        kind=1,
        width=width,
        handle=booster._handle,
        config=config,
        one_row=address(_LIB.LGBM_BoosterPredictForMatSingleRowFast),
        rows=address(_LIB.LGBM_BoosterPredictForMat),
    )


def lleaves_subject(model, width, inline, keep):
    import lleaves

    digest = hashlib.sha256(model.read_bytes()).hexdigest()[:12]
    cache = ROOT / f"build/lleaves-{digest}{'' if inline else '-no-inline'}.o"
    if not cache.exists():
        print("lleaves compiles the model, which takes minutes", file=sys.stderr)
    compiled = lleaves.Model(model_file=str(model))
    compiled.compile(cache=cache, raw_score=True, finline=inline)
    keep.append(compiled)
    return Subject(kind=2, width=width, one_row=address(compiled._c_entry_func))


def read_rows(path):
    import numpy

    with gzip.open(path, "rt") if path.suffix == ".gz" else open(path) as file:
        file.readline()
        table = numpy.genfromtxt(file, delimiter=",")
    if numpy.isnan(table[:, -2:]).any():
        sys.exit(f"{path} lacks raw scores")
    return numpy.ascontiguousarray(table[:, :-2]), numpy.ascontiguousarray(table[:, -2])


def check(loops, subjects, rows, wanted):
    """Ours and LightGBM to the bit; lleaves adds in another order."""
    import numpy

    for name, subject in subjects.items():
        for size in (1, 250):
            out = numpy.zeros(len(rows))
            loops.loops_time(ctypes.byref(subject), rows.ctypes.data, len(rows), size, out.ctypes.data)
            if name == "lleaves":
                if not (abs(out - wanted) < 1e-9).all():
                    sys.exit("lleaves gives other scores")
            elif out.tobytes() != wanted.tobytes():
                sys.exit(f"{name} gives other bits, {size} rows a call")


def measure(loops, subjects, rows, rounds):
    """(subject, rows a call) -> best microseconds a row; the same for cold ones."""
    import numpy

    out, best = numpy.zeros(len(rows)), {}
    for _ in range(rounds):
        for size in SIZES:
            for name, subject in subjects.items():
                if name == "portable" and size > 1:
                    continue
                taken = loops.loops_time(
                    ctypes.byref(subject), rows.ctypes.data, len(rows), size, out.ctypes.data
                )
                each = taken / (len(rows) // size * size) * 1e6
                best[name, size] = min(each, best.get((name, size), each))
    for name, subject in subjects.items():
        seconds = numpy.zeros(COLD_ROWS)
        loops.loops_cold(
            ctypes.byref(subject), rows.ctypes.data, COLD_ROWS, out.ctypes.data, seconds.ctypes.data
        )
        best[name, "cold"] = statistics.median(seconds) * 1e6
    return best


def print_table(subjects, best):
    """Microseconds a row, and how many times slower LightGBM and lleaves are."""
    sizes = (*SIZES, "cold")
    print(" " * 10 + "".join(f"{'cold' if size == 'cold' else f'{size} a call':>23}" for size in sizes))
    print(" " * 10 + f"{'us':>9}{'/LGBM':>7}{'/lleav':>7}" * len(sizes))
    for name in subjects:
        line = f"{name:10}"
        for size in sizes:
            mine = best.get((name, size))
            peers = [best[peer, size] / mine for peer in ("LightGBM", "lleaves")] if mine else []
            line += f"{mine:9.2f}" if mine else " " * 23
            line += "".join(f"{ratio:6.1f}x" for ratio in peers)
        print(line.rstrip())


def check_floors(best, paths):
    good = True
    for (path, size), (of_lightgbm, of_lleaves) in FLOORS.items():
        ours = [best[p, size] for p in path.split(" or ") if (p, size) in best]
        what = f"{path}, {size} a call: {of_lightgbm}x LightGBM" + (
            f", {of_lleaves}x lleaves" if of_lleaves else ""
        )
        if not ours:
            print(f"not measured: {what}: this CPU has {', '.join(paths)}")
            continue
        mine = min(ours)
        reached = best["LightGBM", size] >= of_lightgbm * mine
        reached = reached and (not of_lleaves or best["lleaves", size] >= of_lleaves * mine)
        print(f"{'reached' if reached else 'MISSED'}: {what}")
        good = good and reached
    return good


def main():
    models = Path(os.environ.get("KOL_SHARED_DATA", ROOT.parent / "shared/data")) / "../models"
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", type=Path, default=models / "trust_lgbm_494_trees.txt")
    parser.add_argument("--rows", type=Path, default=models / "trust_lgbm_494_golden.csv.gz")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--no-inline", action="store_true", help="lleaves compiles faster, runs slower")
    parser.add_argument("--only", nargs="+", metavar="PATH", help="these of our evaluators")
    options = parser.parse_args()
    if not options.model.exists():
        sys.exit(f"no model {options.model}: set KOL_SHARED_DATA, or give --model and --rows")
    into_venv()
    loops, keep = open_loops(), []
    rows, wanted = read_rows(options.rows)
    subjects = our_subjects(loops, options.model, rows.shape[1], options.only)
    paths = list(subjects)
    subjects["LightGBM"] = lightgbm_subject(options.model, rows.shape[1], keep)
    subjects["lleaves"] = lleaves_subject(options.model, rows.shape[1], not options.no_inline, keep)
    check(loops, subjects, rows, wanted)
    begun = time.strftime("%Y-%m-%d %H:%M")
    best = measure(loops, subjects, rows, options.rounds)
    load = os.getloadavg()[0]
    print(f"{len(rows)} rows of {rows.shape[1]}; best of {options.rounds}; {begun}, load {load:.0f}")
    print_table(subjects, best)
    sys.exit(0 if check_floors(best, paths) else 1)


if __name__ == "__main__":
    main()
