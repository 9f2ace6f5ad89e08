"""Fills bronze.profiles with made-up KOLs, an event each, for benchmarks of what comes behind.

By DuckDB and PyIceberg, which is quicker than a log.
"""

import sys

import duckdb
from bench_import import ROOT
from bench_scale import kol

sys.path.insert(0, str(ROOT / "tests/system"))


def fill(data, kols, events, prelude=None):
    """`events`: a SELECT of the columns that are not null, with {begin} and {end} for the range of KOLs."""
    import pyarrow as pa
    from engines import catalog_of

    kol("etl", "gold.kol_scores", "--data", data)  # makes the lake
    with catalog_of(data) as catalog, duckdb.connect() as db:
        table = catalog.load_table("bronze.profiles")
        schema = table.schema().as_arrow()
        if prelude:
            db.execute(prelude)
        for begin in range(0, kols, 250_000):
            made = db.execute(events.format(begin=begin, end=min(kols, begin + 250_000))).to_arrow_table()
            columns = [
                made[field.name].cast(field.type)
                if field.name in made.column_names
                else pa.nulls(made.num_rows, field.type)
                for field in schema
            ]
            table.append(pa.Table.from_arrays(columns, schema=schema))
