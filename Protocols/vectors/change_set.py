"""The body of a change set, read and written from change-set.md alone.

A second implementation, for the vectors: plain rather than fast, and sharing nothing with the first. A change set is
the dictionary that stands in change-sets.json.
"""

import struct
import unicodedata

MAGIC = b"SNC\x01"
KINDS = {"insert": 1, "update": 2, "delete": 3, "undelete": 4}
LISTS_FIELDS = ("insert", "update")
INT63 = (1 << 63) - 1
MIB = 1 << 20


class Refused(Exception):
    """A body breaks a rule; the first argument is the rule's name."""


def varint(value):
    out = bytearray()
    while True:
        low, value = value & 0x7F, value >> 7
        out.append(low | (0x80 if value else 0))
        if not value:
            return bytes(out)


def origin_bytes(text):
    node, incarnation = text.split("-")
    return bytes.fromhex(node) + bytes.fromhex(incarnation)


def name_bytes(text):
    raw = text.encode("utf-8")
    return varint(len(raw)) + raw


def mask_of(field_set):
    return sum(1 << index for index in field_set)


def cell_bytes(cell):
    if cell is None:
        return b"\x00"
    ((kind, value),) = cell.items()
    if kind == "integer":
        number = int(value)
        return b"\x01" + varint(2 * number if number >= 0 else -2 * number - 1)
    if kind == "real":
        return b"\x02" + bytes.fromhex(value)
    if kind in ("besideText", "besideBlob"):
        tag = b"\x05" if kind == "besideText" else b"\x06"
        return tag + bytes.fromhex(value["digest"]) + varint(value["bytes"])
    raw = bytes.fromhex(value)
    if len(raw) < 64:
        return bytes([(0x40 if kind == "text" else 0x80) + len(raw)]) + raw
    return bytes([3 if kind == "text" else 4, len(raw) - 64]) + raw


def parts(change_set):
    """The body as an ordered dictionary of labelled pieces, so that a test can spoil one of them."""
    out = {}
    out["magic"] = MAGIC
    out["origin"] = origin_bytes(change_set["origin"])
    out["sequence"] = varint(int(change_set["sequence"]))
    out["previous"] = bytes.fromhex(change_set["previous"])
    out["context"] = varint(len(change_set["context"]))
    for n, entry in enumerate(change_set["context"]):
        out[f"context{n}.origin"] = origin_bytes(entry["origin"])
        out[f"context{n}.sequence"] = varint(int(entry["sequence"]))
    first, last = int(change_set["firstStamp"]), int(change_set["lastStamp"])
    out["first"] = varint(first)
    out["range"] = varint(last - first)
    out["totals.changes"] = varint(int(change_set["totalsBefore"]["changes"]))
    out["totals.bytes"] = varint(int(change_set["totalsBefore"]["bytes"]))
    out["changes"] = varint(int(change_set["changes"]))
    out["beside"] = varint(int(change_set["besideBytes"]))
    out["tables"] = varint(len(change_set["tables"]))
    for t, table in enumerate(change_set["tables"]):
        table_parts(out, f"t{t}", table, first)
    return out


def table_parts(out, at, table, first):
    out[f"{at}.name"] = name_bytes(table["table"])
    out[f"{at}.fields"] = varint(len(table["fields"]))
    for f, field in enumerate(table["fields"]):
        out[f"{at}.f{f}.name"] = name_bytes(field["name"])
        out[f"{at}.f{f}.columns"] = varint(len(field["columns"]))
        for c, column in enumerate(field["columns"]):
            out[f"{at}.f{f}.c{c}"] = name_bytes(column)
    out[f"{at}.sets"] = varint(len(table["fieldSets"]))
    for s, field_set in enumerate(table["fieldSets"]):
        out[f"{at}.s{s}"] = varint(mask_of(field_set))
    out[f"{at}.rows"] = varint(len(table["rows"]))
    stamp = first
    for r, row in enumerate(table["rows"]):
        raw = bytes.fromhex(row["id"])
        out[f"{at}.r{r}.kind"] = bytes([KINDS[row["kind"]]])
        out[f"{at}.r{r}.id"] = bytes([len(raw)]) + raw
        out[f"{at}.r{r}.step"] = varint(int(row["stamp"]) - stamp)
        stamp = int(row["stamp"])
        if row["kind"] in LISTS_FIELDS:
            out[f"{at}.r{r}.set"] = varint(row["fieldSet"])
            for c, cell in enumerate(row["cells"]):
                out[f"{at}.r{r}.k{c}"] = cell_bytes(cell)


def encode(change_set):
    return b"".join(parts(change_set).values())


class Reader:
    def __init__(self, body):
        self.body, self.at = body, 0

    def take(self, count):
        if self.at + count > len(self.body):
            raise Refused("truncated")
        self.at += count
        return self.body[self.at - count : self.at]

    def u8(self):
        return self.take(1)[0]

    def varint(self):
        value, shift = 0, 0
        while True:
            byte = self.u8()
            if shift == 63 and byte > 1:
                raise Refused("varint")
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                if byte == 0 and shift:
                    raise Refused("varint")
                return value
            shift += 7

    def natural(self):
        value = self.varint()
        if value > INT63:
            raise Refused("varint")
        return value

    def between(self, least, most):
        value = self.varint()
        if not least <= value <= most:
            raise Refused("limit")
        return value

    def count(self, least, most, least_bytes=1):
        value = self.between(least, most)
        if value * least_bytes > len(self.body) - self.at:
            raise Refused("truncated")
        return value

    def origin(self):
        raw = self.take(24).hex()
        return raw[:32] + "-" + raw[32:]

    def name(self):
        length = self.varint()
        if length == 0:
            raise Refused("name")
        if length > 128:
            raise Refused("limit")
        raw = self.take(length)
        try:
            text = raw.decode("utf-8")
        except UnicodeDecodeError:
            raise Refused("name")
        if any(byte < 0x20 or byte == 0x7F for byte in raw):
            raise Refused("name")
        return text

    def cell(self):
        tag = self.u8()
        if tag == 0:
            return None
        if tag == 1:
            raw = self.varint()
            return {"integer": str(raw >> 1 if raw & 1 == 0 else -(raw >> 1) - 1)}
        if tag == 2:
            raw = self.take(8)
            if struct.unpack(">d", raw)[0] != struct.unpack(">d", raw)[0]:
                raise Refused("cell")
            return {"real": raw.hex()}
        if tag in (3, 4):
            length = 64 + self.u8()
            if length > 256:
                raise Refused("limit")
            return {"text" if tag == 3 else "blob": self.take(length).hex()}
        if tag in (5, 6):
            digest = self.take(32).hex()
            return {"besideText" if tag == 5 else "besideBlob": {"digest": digest, "bytes": self.between(257, 8 * MIB)}}
        if 0x40 <= tag < 0xC0:
            return {"text" if tag < 0x80 else "blob": self.take(tag & 0x3F).hex()}
        raise Refused("cell")


def unique(names):
    if len({unicodedata.normalize("NFC", name) for name in names}) != len(names):
        raise Refused("name")


def ascending(values):
    if any(not a < b for a, b in zip(values, values[1:])):
        raise Refused("order")


def require(condition, rule):
    if not condition:
        raise Refused(rule)


def decode_header(r):
    require(r.take(4) == MAGIC, "format")
    out = {"origin": r.origin()}
    sequence = r.natural()
    previous = r.take(32)
    require(sequence >= 1 and (previous == bytes(32)) == (sequence == 1), "chain")
    out |= {"sequence": str(sequence), "previous": previous.hex(), "context": []}
    for _ in range(r.count(0, 16_384, 25)):
        entry = {"origin": r.origin()}
        require(entry["origin"] != out["origin"], "chain")
        entry["sequence"] = str(r.natural())
        require(entry["sequence"] != "0", "limit")
        out["context"].append(entry)
    ascending([origin_bytes(entry["origin"]) for entry in out["context"]])
    first, span = r.natural(), r.natural()
    require(first >= 1 and first + span <= INT63, "limit")
    out |= {"firstStamp": str(first), "lastStamp": str(first + span)}
    changes_before, bytes_before = r.natural(), r.natural()
    require(sequence > 1 or (changes_before == 0 and bytes_before == 0), "chain")
    changes, beside = r.between(1, 640_000), r.between(0, 32 * MIB)
    require(changes_before + changes <= INT63 and bytes_before + len(r.body) + beside <= INT63, "chain")
    out["totalsBefore"] = {"changes": str(changes_before), "bytes": str(bytes_before)}
    return out | {"changes": changes, "besideBytes": beside}


def decode_table(r, first, last, rows_left):
    table = {"table": r.name(), "fields": [], "fieldSets": [], "rows": []}
    for _ in range(r.count(0, 63)):
        field = {"name": r.name()}
        field["columns"] = [r.name() for _ in range(r.count(1, 63))]
        table["fields"].append(field)
    columns = [column for field in table["fields"] for column in field["columns"]]
    require(len(columns) <= 63, "limit")
    require("id" not in columns, "name")
    unique(columns)
    unique([field["name"] for field in table["fields"]])
    masks = [r.natural() for _ in range(r.count(0, rows_left))]
    require(all(mask >> len(table["fields"]) == 0 for mask in masks), "fields")
    ascending(masks)
    table["fieldSets"] = [[n for n in range(63) if mask >> n & 1] for mask in masks]
    held = {n for field_set in table["fieldSets"] for n in field_set}
    require(len(held) == len(table["fields"]), "fields")
    stamp, used, written = first, set(), set()
    for _ in range(r.count(1, rows_left, 4)):
        row, registers = decode_row(r, table, stamp, last)
        stamp = int(row["stamp"])
        used.add(row["fieldSet"] if row["kind"] in LISTS_FIELDS else None)
        require(not registers & written, "register")
        written |= registers
        table["rows"].append(row)
    require(used - {None} == set(range(len(masks))), "fields")
    return table, len(written)


def decode_row(r, table, stamp, last):
    kinds = {number: kind for kind, number in KINDS.items()}
    kind = kinds.get(r.u8())
    require(kind, "kind")
    length = r.u8()
    require(length > 0, "limit")
    row = {"kind": kind, "id": r.take(length).hex()}
    stamp += r.varint()
    require(stamp <= last, "header")
    row |= {"stamp": str(stamp), "fieldSet": 0, "cells": []}
    registers = set() if kind == "update" else {(row["id"], "existence")}
    if kind in LISTS_FIELDS:
        row["fieldSet"] = r.varint()
        require(row["fieldSet"] < len(table["fieldSets"]), "fields")
        field_set = table["fieldSets"][row["fieldSet"]]
        require(kind == "insert" or field_set, "kind")
        for index in field_set:
            registers.add((row["id"], index))
            row["cells"] += [r.cell() for _ in table["fields"][index]["columns"]]
        require(sum(map(value_length, row["cells"])) <= 16 * MIB, "limit")
    return row, registers


def beside_length(cell):
    value = next(iter(cell.values())) if cell else None
    return value["bytes"] if isinstance(value, dict) else 0


def value_length(cell):
    text = (cell or {}).get("text", (cell or {}).get("blob", ""))
    return beside_length(cell) + len(text) // 2


def decode(body):
    require(len(body) <= 2 * MIB, "limit")
    r = Reader(body)
    out = decode_header(r)
    first, last = int(out["firstStamp"]), int(out["lastStamp"])
    out["tables"], changes, rows_left = [], 0, 10_000
    for _ in range(r.count(1, 256)):
        table, written = decode_table(r, first, last, rows_left)
        out["tables"].append(table)
        changes += written
        rows_left -= len(table["rows"])
    names = [table["table"] for table in out["tables"]]
    ascending([name.encode("utf-8") for name in names])
    unique(names)
    require(r.at == len(body), "trailing")
    rows = [row for table in out["tables"] for row in table["rows"]]
    beside = sum(beside_length(cell) for row in rows for cell in row["cells"])
    require(beside <= 32 * MIB, "limit")
    stamps = [int(row["stamp"]) for row in rows]
    require((changes, beside) == (out["changes"], out["besideBytes"]), "header")
    require((min(stamps), max(stamps)) == (first, last), "header")
    return out
