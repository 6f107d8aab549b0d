"""Writes frames.json: frames of the exchange with what they say, other encodings of them, and frames that must be refused.

Run it here: `python3 frames.py`. An encoder of its own: it shares no code with what is generated from exchange.proto, and
knows of protobuf what https://protobuf.dev/programming-guides/encoding says. A vector that was once published is not
changed, new ones are added.

A message is written as a list of (field number, value), in the order in which it goes onto the wire. The value is bytes or
str (length-delimited), int (varint), a list of messages' fields (a message), Packed (numbers), or Signed (zigzag).
"""

import json
import pathlib

import make_vectors as change_sets

MIB = 1 << 20
TOP = 1 << 48
NUMBER = 1 << 53

GREETING, ROSTER, CHANGE_SET, VALUES, ACKNOWLEDGEMENT, ANNOUNCEMENT, THIRD, PING, PONG, ERROR, GOODBYE, JOIN, JOINED = range(1, 14)
STREAM_END, WHOLE_VECTOR = 15, 16
COMPARE, COMPARED = 17, 18
QUESTION, ANSWER = 19, 20
HEADS_QUESTION, HEADS, HISTORIES = 21, 22, 23


class Packed(list):
    """Numbers of a repeated field, in one piece."""


class Signed(int):
    """A number of an sint64 field."""


def varint(n):
    n &= (1 << 64) - 1
    out = bytearray()
    while n > 0x7F:
        out.append(n & 0x7F | 0x80)
        n >>= 7
    return bytes(out) + bytes([n])


def encode(fields):
    out = b""
    for number, value in fields:
        if isinstance(value, Signed):
            wire_type, payload = 0, varint((value << 1) ^ (value >> 63))
        elif isinstance(value, int):
            wire_type, payload = 0, varint(value)
        else:
            if isinstance(value, Packed):
                value = b"".join(varint(n) for n in value)
            elif isinstance(value, list):
                value = encode(value)
            elif isinstance(value, str):
                value = value.encode()
            wire_type, payload = 2, varint(len(value)) + value
        out += varint(number << 3 | wire_type) + payload
    return out


def said(*fields):
    """The fields that are not at their defaults: proto3 writes no others."""
    return [(n, v) for n, v in fields if not (isinstance(v, (int, str, bytes, Packed)) and not v)]


# What frames say, as frames.json has it: bytes in hexadecimal, numbers as decimal strings, nothing left out.

def origin(node, incarnation):
    return node.hex() + f"-{incarnation:016x}"


NODES = [bytes(16), b"\x00" * 15 + b"\x01", bytes(range(16)), b"\xff" * 16]
ORIGINS = [origin(NODES[0], 0), origin(NODES[0], 1), origin(NODES[2], 7), origin(NODES[3], (1 << 64) - 1)]


def vector_of(*sequences):
    """A vector over the first of ORIGINS."""
    return [{"origin": o, "sequence": str(s)} for o, s in zip(ORIGINS, sequences)]


def origin_bytes(text):
    return bytes.fromhex(text.replace("-", ""))


def wire_vector(entries):
    return said((1, b"".join(origin_bytes(e["origin"]) for e in entries)), (2, Packed(int(e["sequence"]) for e in entries)))


CAUSES = {"clock_ahead": 1, "unknown_table": 2, "waits_for_earlier": 3, "unknown_author": 4, "schema_differs": 5,
          "revoked": 6, "forked": 7}
CODES = {"other": 0, "protocol": 1, "workspace": 2, "refused": 3, "malformed": 4, "too_large": 5, "busy": 6, "internal": 7,
         "timeout": 8, "fork": 9, "rewound": 10}


def held(place, sequence, cause, detail="", release_at=None):
    return {"origin": ORIGINS[place], "sequence": str(sequence), "cause": cause, "detail": detail,
            "releaseAt": None if release_at is None else str(release_at)}


def wire_held(h):
    return said((1, origin_bytes(h["origin"])), (2, int(h["sequence"])), (3, CAUSES[h["cause"]]), (4, h["detail"]),
                (5, int(h["releaseAt"] or 0)))


def greeting(**more):
    return {"protocol": 1, "workspace": "aa" * 16, "node": NODES[2].hex(), "clock": "1700000000000", "base": None,
            "applied": [], "safeBelow": [], "rosterDigest": "", "schemaDigest": "", "mode": None, "backlog": None,
            "held": [], "software": "", "window": "0", "remembers": None, "baseUnknown": False, "histories": None,
            "asks": False} | more


def wire_greeting(g):
    mode, backlog = g["mode"], g["backlog"]
    fields = [
        (1, g["protocol"]), (2, bytes.fromhex(g["workspace"])), (3, bytes.fromhex(g["node"])), (4, Signed(int(g["clock"]))),
        (5, said((1, bytes.fromhex(g["base"] or ""))) + [(2, wire_vector(g["applied"]))])]
    if g["safeBelow"]:
        fields.append((6, wire_vector(g["safeBelow"])))
    fields += [(7, bytes.fromhex(g["rosterDigest"])), (8, bytes.fromhex(g["schemaDigest"]))]
    if mode is not None:
        fields.append((9, said(*[(n + 1, int(w in mode)) for n, w in enumerate(("receive", "send", "live"))])))
    if backlog is not None:
        fields.append((10, said(*[(n + 1, int(b)) for n, b in enumerate(backlog)])))
    fields += [(11, wire_held(h)) for h in g["held"]]
    return said(*fields, (12, g["software"]), (13, int(g["window"])), (14, bytes.fromhex(g["remembers"] or "")),
                (15, int(g["baseUnknown"])), (16, bytes.fromhex(g["histories"] or "")),
                (17, int(g["asks"])))


SECTIONS = {"ledger": 1, "origins": 2}
DETAILS = {"fingerprints": 0, "items": 1, "parts": 2}


def wire_tables(number, tables):
    return [(number, said((1, t["name"])) + [(2, said((1, f["name"])) + [(2, c) for c in f["columns"]]) for f in t["fields"]])
            for t in tables]


def wire_asked(r):
    return said((1, SECTIONS.get(r["section"], 0)), (2, r["table"] or ""), (3, bytes.fromhex(r["from"])),
                (4, bytes.fromhex(r["to"])), (5, DETAILS[r["detail"]])) + [
        (6 if r["detail"] == "fingerprints" else 7, bytes.fromhex(k)) for k in r["keys"]]


def wire_there(r):
    h = bytes.fromhex
    return ([(1, said((1, int(f["count"])), (2, h(f["fingerprint"])))) for f in r.get("fingerprints", [])]
            + [(2, said((1, h(i["key"])), (2, h(i["fingerprint"])))) for i in r.get("items", [])]
            + said((3, int(r.get("more", False))))
            + [(4, [(1, said((1, p["name"]), (2, h(p["value"])), (3, h(p["versions"])), (4, origin_bytes(p["origin"] or "")),
                             (5, int(p["sequence"] or 0)), (6, int(p["stamp"] or 0)))) for p in parts])
               for parts in r.get("parts", [])])


def wire(frame):
    """The fields of a frame's message, ascending, by what it says."""
    kind = frame["kind"]
    h = bytes.fromhex
    if kind == "greeting":
        return [(GREETING, wire_greeting(frame["greeting"]))]
    if kind == "wholeVector":
        return [(WHOLE_VECTOR, [(1, wire_vector(frame["applied"]))])]
    if kind == "streamEnd":
        return [(STREAM_END, [(1, wire_vector(frame["applied"]))])]
    if kind == "announcement":
        return [(ANNOUNCEMENT, [(1, wire_vector(frame["applied"]))])]
    if kind == "rosterRecords":
        return [(ROSTER, [(1, h(r)) for r in frame["records"]] + said((2, h(frame["digest"])), (3, int(frame["more"]))))]
    if kind == "changeSet":
        return [(CHANGE_SET, said((1, h(frame["body"])), (2, h(frame["signature"])), (3, frame["valueCount"]),
                                  (4, Packed(frame["absent"]))))]
    if kind == "values":
        return [(VALUES, [(1, h(v)) for v in frame["values"]] + said((2, int(frame["continues"]))))]
    if kind == "acknowledgement":
        return [(ACKNOWLEDGEMENT, [(1, wire_vector(frame["applied"])), (2, wire_vector(frame["safeBelow"]))]
                 + said((3, int(frame["received"]))) + [(4, wire_held(x)) for x in frame["held"]])]
    if kind == "thirdNodes":
        return [(THIRD, [(1, said((1, h(n["node"]))) + [(2, wire_vector(n["applied"]))] + said((3, int(n["asOf"]))))
                         for n in frame["nodes"]])]
    if kind == "ping":
        return [(PING, said((1, int(frame["number"])), (2, int(frame["clock"]))))]
    if kind == "pong":
        return [(PONG, said((1, int(frame["number"])), (2, int(frame["pingClock"])), (3, int(frame["clock"]))))]
    if kind == "error":
        return [(ERROR, said((1, CODES[frame["code"]]), (2, frame["message"]), (3, int(frame["retryAfter"] or 0))))]
    if kind == "goodbye":
        return [(GOODBYE, [])]
    if kind in ("question", "again"):
        asked = frame["asked"]
        return [(QUESTION, said((1, origin_bytes(asked["origin"])), (2, int(asked["sequence"])), (3, int(kind == "again")))
                 if asked else [])]
    if kind == "answer":
        return [(ANSWER, said((1, h(frame["body"] or "")), (2, h(frame["signature"] or "")),
                              (3, origin_bytes(frame["asked"]["origin"])), (4, int(frame["asked"]["sequence"]))))]
    if kind == "histories":
        return [(HISTORIES, said((1, h(frame["digest"]))))]
    if kind == "headsQuestion":
        return [(HEADS_QUESTION, [])]
    if kind == "heads":
        return [(HEADS, [(1, wire_vector(frame["applied"]))] + said((2, h("".join(frame["digests"])))))]
    if kind == "comparisonQuestion":
        return [(COMPARE, said((1, h(frame["vector"]))) + wire_tables(2, frame["scope"])
                 + said((3, int(frame["wantsDeclarations"]))) + [(4, wire_asked(r)) for r in frame["ranges"]])]
    if kind == "comparisonAnswer":
        if frame["state"] == "moved":
            return [(COMPARED, [(1, 1), (3, wire_vector(frame["applied"]))])]
        if frame["state"] == "catchingUp":
            return [(COMPARED, [(2, 1)])]
        return [(COMPARED, wire_tables(4, frame["declared"]) + [(5, wire_there(r)) for r in frame["there"]])]
    if kind == "joinRequest":
        return [(JOIN, said((1, h(frame["request"])), (2, h(frame["invitation"])), (3, h(frame["proof"]))))]
    assert kind == "joinResponse", kind
    return [(JOINED, said((1, h(frame["workspace"])), (2, frame["workspaceName"]), (3, h(frame["certificate"])),
                          (4, h(frame["authority"]))) + [(5, h(r)) for r in frame["records"]])]


def accepted(name, kind, /, **says):
    frame = {"kind": kind} | says
    return {"name": name, "bytes": encode(wire(frame)).hex(), "frame": frame}


def greetings():
    yield accepted("a greeting with nothing in it", "greeting", greeting=greeting(clock="0"))
    yield accepted("of the dialling side", "greeting", greeting=greeting(
        mode=["receive", "send"], applied=vector_of(1, 300), software="syncnode 0.1.0", rosterDigest="ab" * 32,
        schemaDigest="cd" * 32, window=str(8 * MIB), remembers="ef" * 16))
    yield accepted("of a side that stays, with all it may say", "greeting", greeting=greeting(
        clock=str(NUMBER), mode=["receive", "send", "live"], base="01" * 16, applied=vector_of(0, 1, TOP, TOP - 1),
        safeBelow=vector_of(0, 0, TOP), rosterDigest="00" * 32, schemaDigest="ff", software="é" * 512, window=str(NUMBER),
        remembers="00" * 15 + "01",
        held=[held(0, 1, "clock_ahead", "a day ahead", 1_700_000_000_000), held(1, TOP, "unknown_table", "d" * 1024),
              held(2, 2, "waits_for_earlier"), held(3, 9, "unknown_author"), held(3, 10, "schema_differs", "", -1)]))
    yield accepted("of the answering side", "greeting", greeting=greeting(
        clock=str(-NUMBER), applied=vector_of(TOP), backlog=["7", "70", str(NUMBER), "1700000000000"]))
    yield accepted("of the answering side, with nothing to send", "greeting", greeting=greeting(backlog=["0"] * 4))
    yield accepted("of the answering side, which does not know the base", "greeting",
                   greeting=greeting(applied=vector_of(5, 6), baseUnknown=True))
    yield accepted("of the answering side, which asks", "greeting", greeting=greeting(
        applied=vector_of(7, 6), safeBelow=vector_of(0), backlog=["0"] * 4, asks=True))
    yield accepted("of a side that asks for nothing", "greeting", greeting=greeting(mode=[]))
    yield accepted("of another protocol", "greeting", greeting=greeting(protocol=(1 << 32) - 1))


def others():
    vectors = change_sets.chain() + [change_sets.accepted("sample", change_sets.sample())]
    for kind in ("wholeVector", "streamEnd", "announcement"):
        yield accepted(f"{kind}, empty", kind, applied=[])
        yield accepted(f"{kind}, of four origins", kind, applied=vector_of(1, 127, 128, TOP))
    yield accepted("no roster records", "rosterRecords", records=[], digest="", more=False)
    yield accepted("roster records", "rosterRecords", records=["30", "73796e6372657631" * 2, ""], digest="0f" * 32, more=True)
    for vector in vectors:
        count = len([c for t in vector["changeSet"]["tables"] for r in t["rows"] for c in r["cells"]
                     if c and {"besideText", "besideBlob"} & set(c)])
        yield accepted(f"change set: {vector['name']}", "changeSet", body=vector["body"], signature=vector["signature"],
                       valueCount=count, absent=[])
    yield accepted("change set with absent values", "changeSet", body=vectors[-1]["body"], signature="5a" * 64,
                   valueCount=130_000, absent=[0, 1, 127, 128, 129_999])
    yield accepted("a value", "values", values=["61" * 257], continues=False)
    yield accepted("values, the last of which goes on", "values", values=["00", "ff" * 300, "62"], continues=True)
    yield accepted("nothing acknowledged", "acknowledgement", applied=[], safeBelow=[], received="0", held=[])
    yield accepted("an acknowledgement", "acknowledgement", applied=vector_of(3, TOP), safeBelow=vector_of(0, 7),
                   received=str(NUMBER), held=[held(2, 4, "schema_differs", "notes.due has other columns here")])
    yield accepted("no third nodes", "thirdNodes", nodes=[])
    yield accepted("third nodes", "thirdNodes", nodes=[
        {"node": NODES[1].hex(), "applied": vector_of(9), "asOf": "1700000000000"},
        {"node": NODES[3].hex(), "applied": [], "asOf": "0"},
        {"node": NODES[2].hex(), "applied": vector_of(1, 2, 3, 4), "asOf": str(-NUMBER)}])
    yield accepted("ping 0 at 0", "ping", number="0", clock="0")
    yield accepted("ping", "ping", number=str((1 << 64) - 1), clock=str(-NUMBER))
    yield accepted("pong 0 at 0", "pong", number="0", pingClock="0", clock="0")
    yield accepted("pong", "pong", number="1", pingClock="-1", clock=str(NUMBER))
    for code in CODES:
        yield accepted(f"error {code}", "error", code=code, message=f"because of {code}", retryAfter=None)
    yield accepted("error with a time", "error", code="busy", message="", retryAfter=str(NUMBER))
    yield accepted("error with the longest message", "error", code="internal", message="m" * 1024, retryAfter="1")
    yield accepted("goodbye", "goodbye")
    asked = vector_of(1, 300)[1]
    yield accepted("a question", "question", asked=asked)
    yield accepted("no more questions", "question", asked=None)
    yield accepted("a question for a change set again", "again", asked=vector_of(TOP)[0])
    yield accepted("an answer", "answer", asked=asked, body="53" * 300, signature="05" * 64)
    yield accepted("an answer of one that does not have it", "answer", asked=asked, body=None, signature=None)
    yield accepted("a greeting that says how its histories end", "greeting", greeting=greeting(
        applied=vector_of(1, 2), histories="9c" * 16))
    yield accepted("histories", "histories", digest="9c" * 16)
    yield accepted("a question for heads", "headsQuestion")
    yield accepted("no heads", "heads", applied=[], digests=[])
    yield accepted("heads", "heads", applied=vector_of(1, 300, TOP), digests=["01" * 16, "00" * 16, "ff" * 16])
    yield accepted("what is cut off is held", "acknowledgement", applied=[], safeBelow=[], received="1",
                   held=[held(0, 1, "revoked", "its author was revoked after 0"), held(2, 4, "forked")])
    yield from comparisons()
    yield accepted("join request", "joinRequest", request="30" * 500, invitation="11" * 16, proof="22" * 32)
    yield accepted("join request at its limits", "joinRequest", request="30" * 16384, invitation="11" * 64, proof="22" * 64)
    yield accepted("join response", "joinResponse", workspace="aa" * 16, workspaceName="desk", certificate="30" * 300,
                   authority="30" * 200, records=["3001", "3002"])


def comparisons():
    tables = [{"name": "notes", "fields": [{"name": "title", "columns": ["title"]},
                                           {"name": "due", "columns": ["due_on", "due_precision"]}]},
              {"name": "n" * 128, "fields": []}]

    def asked(detail, section="table", table="notes", start="", end="", keys=()):
        return {"section": section, "table": table if section == "table" else None, "from": start, "to": end,
                "detail": detail, "keys": list(keys)}

    def question(*ranges, scope=(), wants=False):
        return {"vector": "a5" * 16, "scope": list(scope), "wantsDeclarations": wants, "ranges": list(ranges)}

    yield accepted("a question for what is declared", "comparisonQuestion", **question(wants=True))
    yield accepted("a question for fingerprints", "comparisonQuestion", **question(
        asked("fingerprints"), asked("fingerprints", "ledger"), asked("fingerprints", "origins", keys=["00", "80" * 24]),
        scope=tables))
    yield accepted("a question for items and parts", "comparisonQuestion", **question(
        asked("items", start="61", end="62"), asked("items", start="62", end="ff" * 128), asked("parts", keys=["61", "6161"]),
        asked("parts", "ledger", keys=["01"])))
    fingerprint = "c3" * 16
    part = {"name": "title", "value": "11" * 16, "versions": "22" * 16, "origin": ORIGINS[3], "sequence": str(TOP),
            "stamp": str(1_700_000_000_000 << 16 | 5)}
    yield accepted("it has moved", "comparisonAnswer", state="moved", applied=vector_of(1, 2))
    yield accepted("it catches up", "comparisonAnswer", state="catchingUp")
    yield accepted("an answer of what is declared", "comparisonAnswer", state="ranges", declared=tables, there=[])
    yield accepted("an answer of each kind", "comparisonAnswer", state="ranges", declared=[], there=[
        {"fingerprints": [{"count": "0", "fingerprint": "00" * 16}, {"count": str(NUMBER), "fingerprint": fingerprint}]},
        {"items": [{"key": "61", "fingerprint": fingerprint}, {"key": "ff" * 128, "fingerprint": "00" * 16}], "more": True},
        {"items": [], "more": False},
        {"parts": [[part, part | {"name": "(row)", "origin": None, "sequence": None, "stamp": None}], []]}])


def alternatives():
    """Encodings that a writer of protobuf may choose and this one's does not: to be read alike, never to be written."""

    def other(name, message, kind, /, **says):
        return {"name": name, "bytes": (message if isinstance(message, bytes) else encode(message)).hex(),
                "frame": {"kind": kind} | says}

    ping = {"number": "7", "clock": "1"}
    yield other("fields in another order", [(PING, [(2, 1), (1, 7)])], "ping", **ping)
    yield other("a field twice: the last counts", [(PING, [(1, 6), (2, 1), (1, 7)])], "ping", **ping)
    yield other("a message in two pieces, which are merged", [(PING, [(1, 7)]), (PING, [(2, 1)])], "ping", **ping)
    yield other("two messages: the last counts", [(GOODBYE, []), (PING, [(1, 7), (2, 1)])], "ping", **ping)
    yield other("fields that are not known", [(PING, [(1, 7), (2, 1), (9, 5), (10, b"later"), (99, [(1, 1)])]), (77, b"x")],
                "ping", **ping)
    yield other("numbers longer than they need be", encode([(PING, b"\x08\x87\x80\x00\x10\x81\x00")]), "ping", **ping)
    yield other("a default that is written", [(PING, [(1, 0), (2, 0)])], "ping", number="0", clock="0")
    entries = vector_of(1, 2)
    origins = b"".join(origin_bytes(e["origin"]) for e in entries)
    yield other("numbers that are not packed", [(STREAM_END, [(1, [(1, origins), (2, 1), (2, 2)])])], "streamEnd", applied=entries)
    yield other("numbers packed in two pieces", [(STREAM_END, [(1, [(2, Packed([1])), (1, origins), (2, Packed([2]))])])],
                "streamEnd", applied=entries)
    yield other("no vector at all", [(STREAM_END, [])], "streamEnd", applied=[])
    yield other("a code that is not known", [(ERROR, [(1, 1000), (2, "later")])], "error", code="other", message="later",
                retryAfter=None)
    yield other("a cause that is not known still waits",
                [(ACKNOWLEDGEMENT, [(4, [(1, origin_bytes(ORIGINS[0])), (2, 1), (3, 1000)])])], "acknowledgement",
                applied=[], safeBelow=[], received="0", held=[held(0, 1, "waits_for_earlier")])


def malformed():
    def bad(name, rule, message):
        return {"name": name, "rule": rule, "bytes": (message if isinstance(message, bytes) else encode(message)).hex()}

    g = greeting()
    origins = b"".join(origin_bytes(o) for o in ORIGINS[:2])
    body = bytes.fromhex(change_sets.chain()[0]["body"])
    sign = b"\x5a" * 64

    def greets(**more):
        return [(GREETING, wire_greeting(g | more))]

    def vector(*fields):
        return [(ANNOUNCEMENT, [(1, list(fields))])]

    yield bad("empty", "malformed", b"")
    yield bad("of no known kind", "malformed", [(14, b""), (99, b"x")])
    yield bad("cut short", "malformed", encode([(PING, [(1, 7)])])[:-1])
    yield bad("a group that does not end", "malformed", encode([(PING, [(1, 7)])]) + b"\x0b")
    yield bad("field number 0", "malformed", b"\x00\x00")
    yield bad("a varint of 11 bytes", "malformed", encode([(PING, b"\x08" + b"\x80" * 10 + b"\x01")]))
    yield bad("a length past the end", "malformed", b"\x42\x7f\x08")
    yield bad("text that is not UTF-8", "malformed", [(ERROR, [(2, b"\xc3\x28")])])
    yield bad("a workspace of 15 bytes", "malformed", greets(workspace="aa" * 15))
    yield bad("a node of 17 bytes", "malformed", greets(node="aa" * 17))
    yield bad("a greeting of nobody", "malformed", [(GREETING, [])])
    yield bad("a base of 15 bytes", "malformed", greets(base="01" * 15))
    yield bad("a remembered digest of 17 bytes", "malformed", greets(remembers="01" * 17))
    yield bad("a zero in a whole vector", "malformed", greets(applied=vector_of(0)))
    yield bad("a roster digest of 33 bytes", "too_large", greets(rosterDigest="01" * 33))
    yield bad("a schema digest of 33 bytes", "too_large", greets(schemaDigest="01" * 33))
    yield bad("a clock past 2^53", "too_large", greets(clock=str(NUMBER + 1)))
    yield bad("a clock before -2^53", "too_large", greets(clock=str(-NUMBER - 1)))
    yield bad("a window past 2^53", "too_large", greets(window=str(NUMBER + 1)))
    yield bad("a backlog past 2^53", "too_large", greets(backlog=[str(NUMBER + 1), "0", "0", "0"]))
    yield bad("a software name of 1,025 bytes", "too_large", greets(software="s" * 1025))
    yield bad("a sequence past 2^48", "too_large", vector((1, origin_bytes(ORIGINS[0])), (2, Packed([TOP + 1]))))
    yield bad("origins that descend", "malformed", vector((1, origins[24:] + origins[:24]), (2, Packed([1, 1]))))
    yield bad("an origin twice", "malformed", vector((1, origins[:24] * 2), (2, Packed([1, 1]))))
    yield bad("fewer sequences than origins", "malformed", vector((1, origins), (2, Packed([1]))))
    yield bad("more sequences than origins", "malformed", vector((1, origins[:24]), (2, Packed([1, 1]))))
    yield bad("an origin of 23 bytes", "malformed", vector((1, origins[:23]), (2, Packed([1]))))
    yield bad("16,385 origins", "too_large", vector((2, Packed([1] * 16_385))))
    yield bad("201 roster records", "too_large", [(ROSTER, [(1, b"")] * 201)])
    yield bad("a roster record of 16,385 bytes", "too_large", [(ROSTER, [(1, bytes(16_385))])])
    yield bad("a signature of 63 bytes", "malformed", [(CHANGE_SET, [(1, body), (2, sign[1:])])])
    yield bad("no body", "malformed", [(CHANGE_SET, [(2, sign)])])
    yield bad("a body whose header cannot be read", "malformed", [(CHANGE_SET, [(1, body[:40]), (2, sign)])])
    yield bad("absent values that do not ascend", "malformed", [(CHANGE_SET, [(1, body), (2, sign), (3, 3), (4, Packed([1, 1]))])])
    yield bad("an absent value past the count", "malformed", [(CHANGE_SET, [(1, body), (2, sign), (3, 3), (4, Packed([3]))])])
    yield bad("no values", "malformed", [(VALUES, [])])
    yield bad("an empty value", "malformed", [(VALUES, [(1, b"x"), (1, b"")])])
    yield bad("received bytes past 2^53", "too_large", [(ACKNOWLEDGEMENT, [(3, NUMBER + 1)])])
    yield bad("held of an origin of 25 bytes", "malformed", [(ACKNOWLEDGEMENT, [(4, [(1, bytes(25)), (2, 1)])])])
    yield bad("a detail of 1,025 bytes", "too_large", [(ACKNOWLEDGEMENT, [(4, [(1, bytes(24)), (2, 1), (4, "d" * 1025)])])])
    yield bad("1,025 held", "too_large", [(ACKNOWLEDGEMENT, [(4, [])] * 1025)])
    yield bad("257 third nodes", "too_large", [(THIRD, [(1, [])] * 257)])
    yield bad("a third node of 15 bytes", "malformed", [(THIRD, [(1, [(1, bytes(15))])])])
    yield bad("a ping's clock past 2^53", "too_large", [(PING, [(2, NUMBER + 1)])])
    yield bad("a message of 1,025 bytes", "too_large", [(ERROR, [(2, "m" * 1025)])])
    yield bad("a time past 2^53", "too_large", [(ERROR, [(3, NUMBER + 1)])])
    yield bad("histories of 15 bytes", "malformed", greets(histories="01" * 15))
    yield bad("histories of 17 bytes", "malformed", [(HISTORIES, [(1, bytes(17))])])
    yield bad("histories that say nothing", "malformed", [(HISTORIES, [])])
    yield bad("fewer heads than origins", "malformed", [(HEADS, [(1, wire_vector(vector_of(1, 2))), (2, bytes(16))])])
    yield bad("heads of a number 0", "malformed", [(HEADS, [(1, wire_vector(vector_of(0))), (2, bytes(16))])])
    yield bad("a comparison at no vector", "malformed", [(COMPARE, [])])
    yield bad("ranges that overlap", "malformed", [(COMPARE, [(1, bytes(16)), (4, [(1, 1), (4, b"b")]), (4, [(1, 1), (3, b"a")])])])
    yield bad("a section that is not known", "malformed", [(COMPARE, [(1, bytes(16)), (4, [(1, 9)])])])
    yield bad("a detail that is not known", "malformed", [(COMPARE, [(1, bytes(16)), (4, [(1, 1), (5, 9)])])])
    yield bad("a table without a name", "malformed", [(COMPARE, [(1, bytes(16)), (4, [])])])
    yield bad("a table's name of 129 bytes", "malformed", [(COMPARE, [(1, bytes(16)), (2, [(1, "n" * 129)])])])
    yield bad("boundaries that do not ascend", "malformed", [(COMPARE, [(1, bytes(16)), (4, [(1, 1), (6, b"b"), (6, b"a")])])])
    yield bad("a fingerprint of 15 bytes", "malformed", [(COMPARED, [(5, [(1, [(1, 1), (2, bytes(15))])])])])
    yield bad("items that do not ascend", "malformed", [(COMPARED, [(5, [(2, [(1, b"b"), (2, bytes(16))]), (2, [(1, b"b"), (2, bytes(16))])])])])
    yield bad("more parts than were asked for", "too_large", [(COMPARED, [(5, [(4, [])] * 65)])])
    yield bad("a request of 16,385 bytes", "too_large", [(JOIN, [(1, bytes(16_385))])])
    yield bad("a proof of 65 bytes", "too_large", [(JOIN, [(3, bytes(65))])])
    yield bad("a response for a workspace of 15 bytes", "malformed", [(JOINED, [(1, bytes(15))])])
    yield bad("a certificate of 16,385 bytes", "too_large", [(JOINED, [(1, bytes(16)), (3, bytes(16_385))])])


def main():
    vectors = {
        "accepted": [*greetings(), *others()], "alternatives": list(alternatives()), "malformed": list(malformed())}
    lines = [f' "{k}": [\n' + ",\n".join("  " + json.dumps(v) for v in vs) + "\n ]" for k, vs in vectors.items()]
    pathlib.Path(__file__).with_name("frames.json").write_text("{\n" + ",\n".join(lines) + "\n}\n")
    print(", ".join(f"{len(vs)} {k}" for k, vs in vectors.items()))


if __name__ == "__main__":
    main()
