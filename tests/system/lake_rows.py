"""Rows of tables as plain values, and how two sets of them differ."""

from datetime import date, datetime, timedelta, timezone

import pandas as pd
import pyarrow as pa

EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
DAY = 86_400_000_000


def plain(value):
    """None, bool, int, float, str, list; times and days as microseconds since 1970."""
    if isinstance(value, (str, list)):
        return value
    if value is None or pd.isna(value):
        return None
    if isinstance(value, datetime):
        return (value - EPOCH) // timedelta(microseconds=1)
    if isinstance(value, date):
        return (value - EPOCH.date()).days * DAY
    return value.item() if hasattr(value, "item") else value


def pandas_values(series):
    if isinstance(series.dtype, pd.DatetimeTZDtype):
        numbers = series.astype("datetime64[us, UTC]").astype("int64").astype("object")
        return numbers.where(series.notna(), None).tolist()
    return [plain(value) for value in series.astype("object").tolist()]


def arrow_values(column):
    if pa.types.is_timestamp(column.type):
        return column.cast(pa.timestamp("us", "UTC")).cast(pa.int64()).to_pylist()
    if pa.types.is_date32(column.type):
        days = column.cast(pa.int32()).to_pylist()
        return [None if day is None else day * DAY for day in days]
    return column.to_pylist()


def rows_of(table):
    """A DataFrame or Arrow table as a list of tuples of plain values."""
    if isinstance(table, pd.DataFrame):
        return list(zip(*(pandas_values(table[name]) for name in table.columns)))
    return list(zip(*(arrow_values(column) for column in table.columns)))


def same(wanted, got):
    """Equal; reals to their last digits, all else exactly."""
    if isinstance(wanted, float) and isinstance(got, float):
        return abs(wanted - got) <= 1e-12 * max(abs(wanted), abs(got))
    return wanted == got


def difference(columns, keys, wanted, got):
    """What is wrong with the rows `got`, in words, or None."""
    places = [columns.index(key) for key in keys]
    index = [{tuple(row[place] for place in places): row for row in rows} for rows in (wanted, got)]
    for name, rows, by_key in zip(("wanted", "got"), (wanted, got), index):
        if len(rows) != len(by_key):
            return f"{len(rows) - len(by_key)} of the rows {name} have a key of another row"
    for name, a, b in (("missing", *index), ("too many", *index[::-1])):
        odd = [a[key] for key in a if key not in b]
        if odd:
            return f"{len(odd)} of {len(a)} rows {name}, such as {odd[0]}"
    wrong = {}
    for key, row in index[0].items():
        if row == index[1][key]:
            continue
        for column, x, y in zip(columns, row, index[1][key]):
            if not same(x, y):
                wrong.setdefault(column, []).append((key, x, y))
    return "; ".join(
        f"{column} in {len(cases)} rows, such as {cases[0][0]}: wanted {cases[0][1]!r}, "
        f"got {cases[0][2]!r}"
        for column, cases in wrong.items()
    ) or None
