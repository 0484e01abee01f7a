"""Typed rows out of JSON bytes, by the rules of the topology language, written a second time.

A value is Python's None, bool, int, float, Decimal, str, or an Instant for timestamptz; jsonb is
kept as parsed. A record that the source must refuse raises BadRow. What lies in fields that no
column names is parsed too, so a test should not hide malformed JSON there: an engine may skip it.
"""
import decimal
import json
import re
from datetime import datetime, timedelta, timezone
from decimal import Decimal, InvalidOperation, ROUND_HALF_UP

decimal.getcontext().prec = 100         # numeric(38, s) and its sums are exact, never rounded
DEPTH_MAX = 64
_INT64 = 1 << 63
_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?")
_TIME = re.compile(r"(\d{4})-(\d\d)-(\d\d)[T ](\d\d):(\d\d):(\d\d)(?:\.(\d{1,6}))?"
                   r"(Z|[+-]\d\d(?::?\d\d)?)?")


class BadRow(Exception):
    """A record that must not pass the source; the text says why."""


class Instant(int):
    """A timestamptz: microseconds since 1970 in UTC."""


def parse_time(text):
    found = _TIME.fullmatch(text)
    if not found:
        raise BadRow(f"{text!r} is not a time")
    zone = found[8] or "Z"
    shift = timedelta(0)
    if zone != "Z":
        digits = zone[1:].replace(":", "")
        shift = timedelta(hours=int(digits[:2]), minutes=int(digits[2:] or 0))
        shift = -shift if zone[0] == "-" else shift
    try:
        moment = datetime(*(int(found[i]) for i in range(1, 7)), tzinfo=timezone.utc) - shift
    except (ValueError, OverflowError) as error:
        raise BadRow(f"{text!r}: {error}") from None
    micros = int((found[7] or "").ljust(6, "0"))
    return Instant((moment - _EPOCH) // timedelta(microseconds=1) + micros)


def _no_constant(text):
    raise ValueError(f"{text} is not JSON")


_DECODER = json.JSONDecoder(parse_float=Decimal, parse_constant=_no_constant)


def parse_json(data):
    """The value of UTF-8 JSON bytes; numbers with a fraction or exponent become Decimal."""
    try:
        text = data.decode("utf-8")
        if data.count(b"{") + data.count(b"[") > DEPTH_MAX:
            _check_depth(text)
        return _DECODER.decode(text)
    except (ValueError, RecursionError) as error:
        raise BadRow(f"not JSON: {error}") from None


def _check_depth(text):
    depth, inside, skip = 0, False, False
    for char in text:
        if inside:
            if skip:
                skip = False
            elif char == "\\":
                skip = True
            elif char == '"':
                inside = False
        elif char == '"':
            inside = True
        elif char in "{[":
            depth += 1
            if depth > DEPTH_MAX:
                raise ValueError(f"nested deeper than {DEPTH_MAX}")
        elif char in "}]":
            depth -= 1


def _number(value, what):
    if isinstance(value, str) and _NUMBER.fullmatch(value):
        return Decimal(value)
    if isinstance(value, bool) or not isinstance(value, (int, Decimal)):
        raise BadRow(f"{what}: {type(value).__name__} is not a number")
    return value


def _bigint(value, what):
    number = _number(value, what)
    if number != int(number) or not -_INT64 <= number < _INT64:
        raise BadRow(f"{what}: {value} does not fit bigint")
    return int(number)


def _numeric(value, column):
    number = Decimal(_number(value, column.name))
    if number.is_zero():
        return Decimal(0)
    scaled = number.scaleb(column.scale)
    if scaled != scaled.to_integral_value() or number.adjusted() >= column.precision - column.scale:
        raise BadRow(f"{column.name}: {value} does not fit "
                     f"numeric({column.precision},{column.scale})")
    return number


def convert(column, value):
    """The column's value of a parsed JSON value; BadRow if it does not fit without loss."""
    if value is None:
        if column.required:
            raise BadRow(f"{column.name} is null")
        return None
    kind = column.type
    if kind == "text":
        if not isinstance(value, str) or "\0" in value:
            raise BadRow(f"{column.name}: not a text")
        try:
            value.encode()
        except UnicodeEncodeError:
            raise BadRow(f"{column.name}: not valid Unicode") from None
        return value
    if kind == "bigint":
        return _bigint(value, column.name)
    if kind == "numeric":
        return _numeric(value, column)
    if kind == "double precision":
        found = float(_number(value, column.name))
        if found in (float("inf"), float("-inf")):
            raise BadRow(f"{column.name}: {value} does not fit double precision")
        return found
    if kind == "boolean":
        if not isinstance(value, bool):
            raise BadRow(f"{column.name}: not a boolean")
        return value
    if kind == "timestamptz":
        if not isinstance(value, str):
            raise BadRow(f"{column.name}: not a time")
        return parse_time(value)
    return value


def decode(spec, record):
    """The row {column: value} of an input record; None if a tombstone is dropped."""
    value = record.value
    if value is None:
        if spec.tombstones == "drop":
            return None
        if spec.tombstones == "error":
            raise BadRow("a null value")
        return {name: None for name in spec.columns}
    if len(value) > spec.max_record:
        raise BadRow(f"{len(value)} bytes, max_record is {spec.max_record}")
    parsed = parse_json(value)
    if not isinstance(parsed, dict):
        raise BadRow("not a JSON object")
    row = {}
    for name, column in spec.columns.items():
        if column.source == "key":
            row[name] = convert(column, _from_key(column, record.key))
            continue
        found = parsed
        for part in column.path:
            found = found.get(part) if isinstance(found, dict) else None
        row[name] = convert(column, found)
    for name in spec.key:
        if row.get(name) is None:
            raise BadRow(f"key column {name} is null")
    return row


def _from_key(column, key):
    if key is None:
        return None
    try:
        text = key.decode("utf-8")
    except UnicodeDecodeError as error:
        raise BadRow(f"{column.name}: key is not UTF-8: {error}") from None
    return text if column.type in ("text", "timestamptz") else \
        {"true": True, "false": False}.get(text, text) if column.type == "boolean" else text


def passes(spec, row):
    """True if the row passes every term of the filter; NULL passes none but "is null"."""
    for term in spec.filter:
        value, op = row[term["column"]], term["op"]
        if op in ("is null", "is not null"):
            if (value is None) != (op == "is null"):
                return False
            continue
        if value is None or not _compare(op, value, term.get("value"), spec, term["column"]):
            return False
    return True


def _compare(op, value, wanted, spec, name):
    column = spec.columns[name]
    if op == "in":
        return value in [convert(column, item) for item in wanted]
    wanted = convert(column, Decimal(str(wanted)) if isinstance(wanted, float) else wanted)
    if isinstance(value, str):
        value, wanted = value.encode(), wanted.encode()
    return {"=": value == wanted, "<>": value != wanted, "<": value < wanted,
            "<=": value <= wanted, ">": value > wanted, ">=": value >= wanted}[op]


def evaluate(expr, row):
    """A small expression: a column's name, or [op, operand...]; NULL in gives NULL out."""
    if isinstance(expr, str):
        return row[expr]
    op = expr[0]
    if op == "lit":
        return Decimal(str(expr[1])) if isinstance(expr[1], float) else expr[1]
    args = [evaluate(part, row) for part in expr[1:]]
    if op == "coalesce":
        return next((a for a in args if a is not None), None)
    if any(a is None for a in args):
        return None
    if op in ("lower", "upper"):
        return args[0].lower() if op == "lower" else args[0].upper()
    first, second = args
    if op == "/":
        quotient = abs(first) // abs(second)
        return quotient if (first < 0) == (second < 0) else -quotient
    return {"+": lambda: first + second, "-": lambda: first - second,
            "*": lambda: first * second, "||": lambda: first + second}[op]()


def key_bytes(spec, row):
    """The record key of the row's identity in key format text; None if it is NULL."""
    values = [row[name] for name in spec.by]
    if len(values) == 1:
        return None if values[0] is None else text_of(values[0]).encode()
    return json.dumps(values, separators=(",", ":"), ensure_ascii=False, default=str).encode()


def text_of(value):
    """The text form x::text."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Instant):
        moment = _EPOCH + timedelta(microseconds=int(value))
        text = moment.strftime("%Y-%m-%dT%H:%M:%S")
        micros = moment.microsecond
        if micros:
            text += f".{micros // 1000:03d}" if micros % 1000 == 0 else f".{micros:06d}"
        return text + "Z"
    return str(value)


def rounded(value, scale):
    """Half away from zero, as numeric rounds."""
    try:
        return value.quantize(Decimal(1).scaleb(-scale), rounding=ROUND_HALF_UP)
    except InvalidOperation:
        raise BadRow(f"{value} does not fit numeric(38,{scale})") from None
