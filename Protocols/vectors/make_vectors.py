"""Writes change-sets.json: change sets with their bodies and signatures, and bodies that must be refused.

Run it here: `python3 make_vectors.py`. It needs the `cryptography` package. The output depends on nothing but this
file and change_set.py; a vector that was once published is not changed, new ones are added.
"""

import copy
import hashlib
import json
import pathlib

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

import change_set as codec

SEED = hashlib.sha256(b"syncnode test vectors: not a secret").digest()
KEY = Ed25519PrivateKey.from_private_bytes(SEED)
PUBLIC = KEY.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
NODE = hashlib.sha256(PUBLIC).digest()[:16].hex()
CONTEXT = b"syncnode change set v1\x00"

ORIGIN = f"{NODE}-0123456789abcdef"
OTHERS = [f"{'00' * 16}-{'00' * 8}", f"{'00' * 16}-{'00' * 7}01", f"{'ff' * 16}-{'ff' * 8}"]
STAMP = 1_700_000_000_000 << 16


def text(value):
    return {"text": (value.encode() if isinstance(value, str) else value).hex()}


def beside(kind, value):
    return {kind: {"digest": hashlib.sha256(value).hexdigest(), "bytes": len(value)}}


def integer(value):
    return {"integer": str(value)}


def real(bits):
    return {"real": f"{bits:016x}"}


def row(kind, name, step, cells=(), field_set=0):
    name = name.encode() if isinstance(name, str) else name
    return {"kind": kind, "id": name.hex(), "stamp": str(STAMP + step), "fieldSet": field_set, "cells": list(cells)}


def table(name, fields, field_sets, rows):
    fields = [{"name": f, "columns": [f]} if isinstance(f, str) else {"name": f[0], "columns": f[1]} for f in fields]
    return {"table": name, "fields": fields, "fieldSets": field_sets, "rows": rows}


def change_set(tables, sequence=1, previous=bytes(32), before=(0, 0), context=(), **more):
    rows = [(t, r) for t in tables for r in t["rows"]]
    writes = sum(
        (len(t["fieldSets"][r["fieldSet"]]) if r["kind"] in codec.LISTS_FIELDS else 0) + (r["kind"] != "update")
        for t, r in rows)
    stamps = [int(r["stamp"]) for _, r in rows]
    return {
        "origin": ORIGIN, "sequence": str(sequence), "previous": previous.hex(),
        "context": [{"origin": o, "sequence": str(s)} for o, s in context],
        "firstStamp": str(min(stamps)), "lastStamp": str(max(stamps)),
        "totalsBefore": {"changes": str(before[0]), "bytes": str(before[1])},
        "changes": writes, "besideBytes": sum(codec.beside_length(c) for _, r in rows for c in r["cells"]),
        "tables": tables,
    } | more


def accepted(name, value):
    body = codec.encode(value)
    assert codec.decode(body) == value, name
    digest = hashlib.sha256(body).digest()
    before = value["totalsBefore"]
    return {
        "name": name, "body": body.hex(), "digest": digest.hex(), "signature": KEY.sign(CONTEXT + digest).hex(),
        "totalsAfter": {
            "changes": str(int(before["changes"]) + value["changes"]),
            "bytes": str(int(before["bytes"]) + len(body) + value["besideBytes"]),
        },
        "changeSet": value,
    }


def next_in_chain(name, last, tables, **more):
    after = last["totalsAfter"]
    return accepted(name, change_set(
        tables, sequence=int(last["changeSet"]["sequence"]) + 1, previous=bytes.fromhex(last["digest"]),
        before=(int(after["changes"]), int(after["bytes"])), **more))


def chain():
    body = "Rain, again. ".encode() * 40
    article = ["headline", ("due", ["due_on", "due_precision"]), "body"]
    first = accepted("first of its origin", change_set([table("article", article, [[0, 1, 2]], [
        row("insert", "018f0000-0000-7000-8000-000000000001", 0,
            [text("Rain"), text("2024-05-01"), text("day"), beside("besideText", body)])])]))
    second = next_in_chain("second, with a context", first, [
        table("article", ["headline", "body"], [[0], [1], [0, 1]], [
            row("update", "018f0000-0000-7000-8000-000000000001", 100, [text("Rain, again")], 0),
            row("update", "b", 101, [text("")], 1),
            row("update", "a", 101, [text("x"), text("y")], 2)]),
        table("link", [], [], [row("delete", "gone", 90), row("undelete", "back", 91)]),
    ], context=[(OTHERS[0], 1), (OTHERS[1], 300), (OTHERS[2], codec.INT63)])
    third = next_in_chain("third, every kind of row change", second, [table(
        "a", ["x", "y"], [[], [0], [1]], [
            row("insert", "bare", 1000), row("update", "bare", 1000, [None], 1),
            row("delete", "other", 70_000), row("update", "other", 70_000, [None], 2),
            row("update", "bare", 1 << 40, [integer(1)], 2)])])
    return [first, second, third]


def every_cell():
    cells = [None]
    cells += [integer(n) for n in (0, 1, -1, 63, 64, -64, -65, 8191, 8192, (1 << 63) - 1, -(1 << 63))]
    cells += [real(b) for b in (0, 1 << 63, 0x3FF0 << 48, 0x7FF0 << 48, 0xFFF0 << 48, 1, 0x400921FB54442D18)]
    for kind in ("text", "blob"):
        cells += [{kind: (b"\x00\xff" * 128)[:n].hex()} for n in (0, 1, 63, 64, 65, 255, 256)]
    cells += [beside("besideText", b"t" * 257), beside("besideBlob", b"b" * 16384),
              {"besideText": {"digest": "ab" * 32, "bytes": 8 << 20}}]
    columns = [f"c{n}" for n in range(len(cells))]
    return accepted("every kind of cell, at the bounds of each", change_set(
        [table("cells", columns, [list(range(len(cells)))], [row("insert", "r", 0, cells)])]))


def extremes():
    columns = [f"c{n:02}" for n in range(63)]
    wide = table("wide", columns, [[0], [62], list(range(63))], [
        row("update", "p", 0, [None], 0), row("update", "p", 0, [None], 1), row("insert", "q", 0, [None] * 63, 2)])
    ids = [bytes([n]) for n in (5, 4, 3, 0, 255)] + [b"\x05\x00", b"z" * 255]
    top = change_set([table("t", [], [], [row("delete", b"x", 0)])])
    top["firstStamp"] = top["lastStamp"] = top["tables"][0]["rows"][0]["stamp"] = str(codec.INT63)
    yield accepted("63 columns", change_set([wide]))
    yield accepted("ids in no order", change_set([table("t", [], [], [row("delete", i, 0) for i in ids])]))
    yield accepted("one group of 63 columns", change_set(
        [table("t", [("g", columns)], [[0]], [row("insert", "r", 0, [integer(n) for n in range(63)])])]))
    yield accepted("the greatest stamp", top)
    yield accepted("names", change_set([
        table(n, [n], [[0]], [row("insert", "r", 0, [None])]) for n in sorted(
            ["Z", "a", "é", "e", "статья", "name with spaces", "n" * 128, "\U0001f4f0"], key=str.encode)]))
    yield accepted("the greatest totals and sequence", change_set(
        [table("t", [], [], [row("delete", "r", 0)])], sequence=codec.INT63, previous=b"\x01" * 32,
        before=(codec.INT63 - 1, codec.INT63 - 200)))
    yield accepted("32 MiB beside", change_set([table("t", ["a", "b"], [[0, 1]], [
        row("insert", n, 0, [{"besideBlob": {"digest": "cd" * 32, "bytes": 8 << 20}}] * 2) for n in "ab"])]))


def spoil(name, rule, value, **pieces):
    """A body of which some labelled pieces are replaced; `_` in a label stands for `.`, None removes the piece."""
    labelled = codec.parts(value)
    for label, piece in pieces.items():
        label = label.replace("_", ".")
        assert label in labelled, label
        labelled[label] = b"" if piece is None else piece
    return refused(name, rule, b"".join(labelled.values()))


def refused(name, rule, body):
    try:
        codec.decode(body)
    except codec.Refused as refusal:
        assert refusal.args[0] == rule, (name, refusal.args[0])
        return {"name": name, "rule": rule, "body": body.hex()}
    raise AssertionError(f"{name} is accepted")


def sample():
    return change_set(
        [table("a", ["x", ("g", ["y", "z"])], [[0], [0, 1]], [
            row("insert", "p", 0, [text("one"), integer(5), real(0x3FF0 << 48)], 1),
            row("update", "q", 5, [beside("besideText", b"t" * 300)], 0)]),
         table("b", [], [], [row("delete", "r", 3)])],
        sequence=2, previous=b"\x07" * 32, before=(10, 1000), context=[(OTHERS[0], 4), (OTHERS[2], 5)])


def malformed_header(s):
    first = sample() | {"sequence": "1", "previous": "00" * 32, "totalsBefore": {"changes": "0", "bytes": "0"}}
    v = codec.varint
    origin = codec.origin_bytes
    yield refused("empty", "truncated", b"")
    yield refused("the magic alone", "truncated", codec.MAGIC)
    yield refused("cut before the last byte", "truncated", codec.encode(s)[:-1])
    yield refused("one byte more", "trailing", codec.encode(s) + b"\x00")
    yield refused("longer than 2 MiB", "limit", codec.encode(s) + bytes(2 << 20))
    yield spoil("another version", "format", s, magic=b"SNC\x02")
    yield spoil("sequence 0", "chain", s, sequence=v(0))
    yield spoil("sequence of 64 bits", "varint", s, sequence=v(1 << 63))
    yield spoil("sequence of 65 bits", "varint", s, sequence=b"\xff" * 9 + b"\x02")
    yield spoil("a varint without end", "varint", s, sequence=b"\x80" * 11)
    yield spoil("sequence longer than it need be", "varint", s, sequence=b"\x82\x00")
    yield spoil("previous of the first", "chain", first, previous=b"\x01" * 32)
    yield spoil("no previous of the second", "chain", s, previous=bytes(32))
    yield spoil("totals before the first", "chain", first, totals_changes=v(1))
    yield spoil("total of bytes before the first", "chain", first, totals_bytes=v(1))
    yield spoil("context out of order", "order", s, context0_origin=origin(OTHERS[2]), context1_origin=origin(OTHERS[0]))
    yield spoil("context names an origin twice", "order", s, context1_origin=origin(OTHERS[0]))
    yield spoil("context names its own origin", "chain", s, context0_origin=origin(ORIGIN))
    yield spoil("context entry at 0", "limit", s, context0_sequence=v(0))
    yield spoil("context entry of 64 bits", "varint", s, context0_sequence=v(1 << 63))
    yield spoil("more context entries than allowed", "limit", s, context=v(16_385))
    yield spoil("more context entries than bytes", "truncated", s, context=v(16_384))
    yield spoil("stamp 0", "limit", s, first=v(0))
    yield spoil("last stamp of 64 bits", "limit", s, first=v(codec.INT63), range=v(codec.INT63))
    yield spoil("first stamp of 64 bits", "varint", s, first=v(1 << 63))
    yield spoil("total of changes overflows", "chain", s, totals_changes=v(codec.INT63))
    yield spoil("total of bytes overflows", "chain", s, totals_bytes=v(codec.INT63))
    yield spoil("no field writes", "limit", s, changes=v(0))
    yield spoil("too many field writes", "limit", s, changes=v(640_001))
    yield spoil("too many bytes beside, told", "limit", s, beside=v((32 << 20) + 1))
    yield spoil("fewer field writes than told", "header", s, changes=v(s["changes"] + 1))
    yield spoil("more field writes than told", "header", s, changes=v(s["changes"] - 1))
    yield spoil("fewer bytes beside than told", "header", s, beside=v(301))
    yield spoil("no row change has the first stamp", "header", s, t0_r0_step=v(1), t0_r1_step=v(4))
    yield spoil("no row change has the last stamp", "header", s, range=v(6))
    yield spoil("a stamp past the last", "header", s, t0_r1_step=v(6))
    yield spoil("a step that overflows", "header", s, t0_r1_step=v((1 << 64) - 1))


def malformed_tables(s):
    v, name = codec.varint, codec.name_bytes
    yield spoil("no table", "limit", s, tables=v(0))
    yield spoil("more tables than allowed", "limit", s, tables=v(257))
    yield spoil("more tables than there are", "truncated", s, tables=v(3))
    yield spoil("fewer tables than there are", "trailing", s | {"changes": 6}, tables=v(1))
    yield spoil("tables out of order", "order", s, t0_name=name("c"))
    yield spoil("a table twice", "order", s, t0_name=name("b"))
    yield spoil("equivalent tables", "name", s, t0_name=name("e\u0301"), t1_name=name("é"))
    yield spoil("an empty table name", "name", s, t0_name=v(0))
    yield spoil("a table name too long", "limit", s, t0_name=name("a" * 129))
    yield spoil("a table name that is not UTF-8", "name", s, t0_name=b"\x02\xc3\x28")
    yield spoil("a surrogate in a name", "name", s, t0_name=b"\x03\xed\xa0\x80")
    yield spoil("an overlong form in a name", "name", s, t0_name=b"\x02\xc1\x81")
    yield spoil("a control character in a name", "name", s, t0_f0_name=name("x\x1b"))
    yield spoil("a NUL in a name", "name", s, t0_f0_c0=name("\x00"))
    yield spoil("a name longer than the body", "truncated", s, t1_name=v(100))
    yield spoil("a field twice", "name", s, t0_f1_name=name("x"))
    yield spoil("equivalent fields", "name", s, t0_f0_name=name("é"), t0_f1_name=name("e\u0301"))
    yield spoil("a column twice in a field", "name", s, t0_f1_c1=name("y"))
    yield spoil("a column in two fields", "name", s, t0_f1_c1=name("x"))
    yield spoil("a column `id`", "name", s, t0_f0_c0=name("id"))
    yield spoil("a field without columns", "limit", s, t0_f0_columns=v(0))
    yield spoil("64 fields", "limit", s, t0_fields=v(64))
    yield spoil("64 columns in a field", "limit", s, t0_f0_columns=v(64))
    yield spoil("64 columns in two fields", "limit", s, t0_f0_columns=v(2), t0_f0_c0=name("v") + name("w"),
                t0_f1_columns=v(62), t0_f1_c0=b"".join(name(f"c{n}") for n in range(62)), t0_f1_c1=None)
    yield spoil("a field set names no field", "fields", s, t0_s1=v(7))
    yield spoil("field sets out of order", "order", s, t0_s0=v(3), t0_s1=v(1))
    yield spoil("a field set twice", "order", s, t0_s0=v(3))
    yield spoil("a field in no field set", "fields", s, t0_s0=v(0), t0_s1=v(1))
    yield spoil("a field set that nothing uses", "fields", s, t0_sets=v(3), t0_s0=v(1) + v(2), t0_r0_set=v(2))
    yield spoil("more field sets than row changes allowed", "limit", s, t0_sets=v(10_001))
    yield spoil("a table without row changes", "limit", s, t1_rows=v(0))
    yield spoil("more row changes than allowed", "limit", s, t0_rows=v(10_001))
    yield spoil("more row changes than bytes", "truncated", s, t1_rows=v(10_000 - 2))
    yield spoil("a count longer than it need be", "varint", s, t0_fields=b"\x82\x00")


def malformed_rows(s):
    v = codec.varint
    twice = copy.deepcopy(s)
    twice["tables"][1]["rows"] *= 2
    twice["changes"] += 1
    touched = table("t", ["x", "y"], [[0], [0, 1]], [
        row("update", "p", 0, [None, None], 1), row("update", "o", 0, [None]), row("update", "p", 1, [None])])
    revived = table("t", ["x"], [[0]], [row("delete", "p", 0), row("insert", "p", 1, [None])])
    apart = table("t", [], [], [row("delete", n, 0) for n in ("b", "c", "a", "d", "c")])
    huge = {"besideBlob": {"digest": "cd" * 32, "bytes": 8 << 20}}
    wide = table("t", ["a", "b", "c"], [[0, 1, 2]], [row("insert", "a", 0, [huge, huge, text("x")])])
    many = table("t", ["a", "b"], [[0], [0, 1]], [
        row("insert", "a", 0, [huge, huge], 1), row("insert", "b", 0, [huge, huge], 1),
        row("insert", "c", 0, [beside("besideBlob", b"b" * 257)])])
    full = table("t", [], [], [row("delete", n.to_bytes(2, "big"), 0) for n in range(1, 10_001)])
    over = table("u", [], [], [row("delete", "x", 0)])
    yield spoil("a row change of kind 0", "kind", s, t0_r0_kind=b"\x00")
    yield spoil("a row change of kind 5", "kind", s, t1_r0_kind=b"\x05")
    yield spoil("an empty id", "limit", s, t0_r0_id=b"\x00")
    yield spoil("a field set that is not listed", "fields", s, t0_r0_set=v(2))
    yield spoil("an update of no field", "kind", s, t0_sets=v(3), t0_s0=v(0) + v(1), t0_r0_set=v(2), t0_r1_set=v(0))
    yield refused("a row deleted twice", "register", codec.encode(twice))
    yield refused("a field written twice", "register", codec.encode(change_set([touched])))
    yield refused("a row deleted and inserted", "register", codec.encode(change_set([revived])))
    yield refused("a row deleted twice, ids in no order", "register", codec.encode(change_set([apart])))
    yield spoil("an unknown tag, 07", "cell", s, t0_r0_k0=b"\x07")
    yield spoil("an unknown tag, 3F", "cell", s, t0_r0_k0=b"\x3f")
    yield spoil("an unknown tag, C0", "cell", s, t0_r0_k0=b"\xc0")
    yield spoil("an integer longer than it need be", "varint", s, t0_r0_k1=b"\x01\x80\x00")
    yield spoil("an integer of 65 bits", "varint", s, t0_r0_k1=b"\x01" + b"\xff" * 9 + b"\x03")
    yield spoil("a quiet NaN", "cell", s, t0_r0_k2=b"\x02\x7f\xf8" + bytes(6))
    yield spoil("a signalling NaN", "cell", s, t0_r0_k2=b"\x02\xff\xf0" + bytes(5) + b"\x01")
    yield spoil("a text of 257 bytes in the body", "limit", s, t0_r0_k0=b"\x03\xc1" + b"t" * 257)
    yield spoil("a blob of 319 bytes in the body", "limit", s, t0_r0_k0=b"\x04\xff" + b"t" * 319)
    yield spoil("a text of 256 bytes beside the body", "limit", s, t0_r1_k0=b"\x05" + bytes(32) + v(256))
    yield spoil("a value past 8 MiB", "limit", s, t0_r1_k0=b"\x05" + bytes(32) + v((8 << 20) + 1))
    yield spoil("a value of 2^64 - 1 bytes", "limit", s, t0_r1_k0=b"\x05" + bytes(32) + v((1 << 64) - 1))
    yield refused("a row change past 16 MiB", "limit", codec.encode(change_set([wide])))
    yield refused("more than 32 MiB beside", "limit", codec.encode(change_set([many], besideBytes=32 << 20)))
    yield refused("more than 10,000 row changes in two tables", "limit", codec.encode(change_set([full, over])))


def main():
    s = sample()
    vectors = {
        "key": {"seed": SEED.hex(), "public": PUBLIC.hex(), "node": NODE},
        "accepted": [*chain(), accepted("a little of everything", s), every_cell(), *extremes()],
        # The longest are checked here, but would fill the file with megabytes.
        "malformed": [m for m in [*malformed_header(s), *malformed_tables(s), *malformed_rows(s)] if len(m["body"]) < 20_000],
    }
    lines = []
    for key, value in vectors.items():
        if isinstance(value, dict):
            lines.append(f' "{key}": {json.dumps(value)}')
        else:
            lines.append(f' "{key}": [\n' + ",\n".join("  " + json.dumps(item) for item in value) + "\n ]")
    text = "{\n" + ",\n".join(lines) + "\n}\n"
    pathlib.Path(__file__).with_name("change-sets.json").write_text(text)
    print(len(vectors["accepted"]), "accepted,", len(vectors["malformed"]), "malformed")


if __name__ == "__main__":
    main()
