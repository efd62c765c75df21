"""Protobuf. The .proto files say which fields there are; a message becomes a dict of those that are set."""
import pathlib
import re

from refuse import Refused, must

PROTO = pathlib.Path(__file__).resolve().parent.parent.parent
BITS = {"bool": 1, "uint32": 32, "uint64": 64, "int32": 32, "int64": 64}


def read_protos():
    messages, enums = {}, {}
    for path in sorted(PROTO.glob("market/v1/*.proto")) + sorted(PROTO.glob("lease/v1/*.proto")):
        for kind, name, body in re.findall(r"^(message|enum) (\w+) \{(.*?)^\}", path.read_text(), re.M | re.S):
            body = re.sub(r"//.*", "", body)
            if kind == "enum":
                enums[name] = {int(n) for n in re.findall(r"= (\d+);", body)}
            else:
                fields = re.findall(r"(repeated )?([\w.]+) (\w+) = (\d+);", body)
                messages[name] = {int(n): (field, typ.split(".")[-1], rep != "") for rep, typ, field, n in fields}
    return messages, enums


MESSAGES, ENUMS = read_protos()


class Reader:
    """strict: as in a file, where no byte is free. extensible: what no .proto file has is passed over.
    unknown: what no .proto file has, and was not passed over."""

    def __init__(self, strict, extensible=False):
        self.strict, self.extensible, self.unknown = strict, extensible, []

    def miss(self, what):
        self.unknown += [] if self.extensible else [what]

    def form(self, ok):
        must(ok or not self.strict, "form")

    def varint(self, b, i):
        n = shift = 0
        while True:
            must(i < len(b) and shift < 70, "malformed")
            n |= (b[i] & 127) << shift
            i, shift = i + 1, shift + 7
            if b[i - 1] < 128:
                must(n < 1 << 64, "malformed")
                self.form(shift == 7 or b[i - 1] != 0)
                return n, i

    def number(self, typ, n):
        bits = BITS.get(typ, 32)
        v = int(n != 0) if typ == "bool" else n % (1 << bits)
        v -= (1 << bits) if not typ.startswith(("u", "b")) and v >> bits - 1 else 0
        self.form(v % (1 << 64) == n)
        if typ in ENUMS and v not in ENUMS[typ]:
            self.miss(typ)
        return v

    def message(self, name, b):
        m, parts, i, last = {}, {}, 0, 0
        while i < len(b):
            tag, i = self.varint(b, i)
            must(0 < tag >> 3 < 1 << 29 and tag & 7 in (0, 1, 2, 5), "malformed")
            n, raw = 0, b""
            if tag & 7 == 0:
                n, i = self.varint(b, i)
            else:
                size, i = self.varint(b, i) if tag & 7 == 2 else (8 if tag & 7 == 1 else 4, i)
                must(i + size <= len(b), "malformed")
                raw, i = b[i : i + size], i + size
            field, typ, repeated = MESSAGES[name].get(tag >> 3, ("", "", False))
            scalar = typ in BITS or typ in ENUMS
            if not typ or tag & 7 != (0 if scalar else 2) and not (scalar and repeated and tag & 7 == 2):
                self.miss(field)
                continue
            self.form(tag >> 3 > last or tag >> 3 == last and repeated and not scalar)
            self.form((raw if repeated else n) if scalar else raw or repeated or typ in MESSAGES)
            last = tag >> 3
            if typ in MESSAGES and not repeated:  # one that comes in parts is all of them together
                raw = parts[field] = parts.get(field, b"") + raw
            values = self.values(typ, n, raw, packed=tag & 7 == 2)
            if repeated:
                m[field] = m.get(field, []) + values
            elif values[0] or typ in MESSAGES:
                m[field] = values[0]
            else:  # what is zero or empty is as if it were not there
                m.pop(field, None)
        must(not self.strict or not self.unknown, "form")
        return m

    def values(self, typ, n, raw, packed):
        if typ in MESSAGES:
            return [self.message(typ, raw)]
        if typ not in BITS and typ not in ENUMS:
            try:
                return [raw.decode() if typ == "string" else raw]
            except UnicodeDecodeError:
                raise Refused("malformed") from None
        if not packed:
            return [self.number(typ, n)]
        numbers, i = [], 0
        while i < len(raw):
            n, i = self.varint(raw, i)
            numbers.append(self.number(typ, n))
        return numbers
