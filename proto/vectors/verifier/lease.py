"""Terms, pairs of beat and ack, receipts, equivocations: SPEC.md, "Terms", "Fields", "Receipt", "Equivocation"."""
import datetime
import re

from refuse import must
from statement import H, Hp, hashes, opened, root_by
from wire import Reader

HOUR, DAY = 3_600_000, 86_400_000  # ms


class Terms:
    """Both signatures under the terms, and the terms' own rules."""

    def __init__(self, m):
        self.by = m.get("terms_worker_signature", b""), m.get("terms_requester_signature", b"")
        for signer, signature in zip(("worker", "requester"), self.by):
            t = opened("terms", {"type": "terms", "payload": m.get("terms", b""), "signature": signature}, signer)
        self.m, self.worker, self.requester = t, t["worker"], t["requester"]
        self.tags, self.witnesses = t.get("gpu_tags", []), t.get("witnesses", [])
        self.id = Hp("lease", m["terms"])
        self.head0 = H("head0", self.id, *self.by)
        self.price, self.most, self.longest = t.get("price", 0), t.get("max_amount", 0), t.get("max_duration_ms", 0)
        self.suite, self.seal_t = t.get("seal_suite", 0), t.get("seal_t", 0)
        self.check(lambda field: t.get(field, 0))

    def check(self, n):
        t, interval = self.m, n("interval_ms")
        for field, shape in (("network", r"[a-z0-9]+(-[a-z0-9]+)*"), ("platform", r"[a-z0-9]+(/[a-z0-9]+){1,2}")):
            must(re.fullmatch(shape, t.get(field, "")) and len(t[field]) <= 32, "terms")
        must(re.fullmatch("sha256:[0-9a-f]{64}", t.get("image_digest", "")), "terms")
        for field, size in (("worker_nonce", 16), ("requester_nonce", 16), ("job_id", 16), ("spec_digest", 32)):
            must(len(t.get(field, b"")) == size, "terms")
        for entries, least, most in ((self.tags, 1, 64), (self.witnesses, 0, 16)):
            must(least <= len(entries) <= most and len(set(entries)) == len(entries), "terms")
            must(all(len(entry) == 32 for entry in entries), "terms")
        must(not {self.worker, self.requester} & set(self.witnesses), "terms")
        must(n("witness_quorum") <= len(self.witnesses), "terms")
        must(bool(n("self_dealt")) == (self.worker == self.requester), "terms")
        must(self.price <= 10**12 and 100 <= interval <= HOUR, "terms")
        must(n("first_interval_ms") == 0 or 100 <= n("first_interval_ms") <= interval, "terms")
        must(0 <= n("grace_ms") <= interval <= n("absent_grace_ms") <= DAY, "terms")
        must(2 <= n("max_unpaid") <= 100 and 0 <= n("yield_notice_ms") <= HOUR, "terms")
        must(0 < n("created_ms") < n("start_by_ms") <= n("created_ms") + DAY, "terms")
        must(1000 <= self.longest <= 90 * DAY, "terms")
        sealed = self.suite == n("seal_modulus") == 1 and 1 << 10 <= self.seal_t <= min(1 << 24, 100 * interval)
        must(sealed or self.suite == self.seal_t == n("seal_modulus") == 0, "terms")

    def check_money(self, m):
        credit, amount = m.get("credit_ms", 0), m.get("amount", 0)
        must(amount == credit * self.price * len(self.tags) // HOUR, "amount")
        must(credit <= self.longest and amount <= self.most, "amount")


class Pair:
    """A beat and its ack."""

    def __init__(self, t, beat, ack):
        b = self.beat = opened("beat", beat, t.worker)
        a = self.ack = opened("ack", ack, t.requester)
        self.seq, self.interval, self.credit = (b.get(f, 0) for f in ("seq", "interval", "credit_ms"))
        self.hash = Hp("beat", beat["payload"])
        self.check(t, b, a)
        must(b["lease_id"] == a["lease_id"] == t.id, "lease")
        must(a["beat_hash"] == self.hash, "ack")
        must(all(a.get(f, 0) == b.get(f, 0) for f in ("seq", "interval", "credit_ms")), "ack")
        t.check_money(b)
        t.check_money(a)
        must(self.seq > 0 or b["prev_head"] == t.head0, "head")
        self.head = H("head", self.hash, beat["signature"], Hp("ack", ack["payload"]), ack["signature"])

    def check(self, t, b, a):
        hashes(b, "lease_id prev_head challenge_hash tree_root", "witness_root prev_seal")
        must("witness_root" not in b or t.witnesses, "field")
        must("prev_seal" not in b or t.suite and self.seq, "field")
        must("evidence" in b and "evidence_flags" not in b and self.interval >= self.seq, "field")
        must(b.get("worker_ms", 0) >= 0 and a.get("requester_ms", 0) >= 0, "field")
        check_evidence(b["evidence"])
        hashes(a, "lease_id beat_hash")
        wrong = a.get("mismatches", [])
        must(wrong == sorted(set(wrong) - {0}) and a.get("verdict") == (2 if wrong else 1), "field")


class Receipt:
    def __init__(self, m):
        must(m.get("version") == 1, "version")
        t = self.terms = Terms(m)
        self.pair = self.close = None
        if "last_beat" in m or "last_ack" in m:
            self.pair = Pair(t, m.get("last_beat", {}), m.get("last_ack", {}))
        self.head, self.beats = (self.pair.head, self.pair.seq + 1) if self.pair else (t.head0, 0)
        self.level, counts = "last-ack", self.pair.ack if self.pair else {}
        if any(f in m for f in ("close", "close_worker_signature", "close_requester_signature")):
            self.take_close(m)
            self.level = "both" if "close_requester_signature" in m else "worker"
            counts = self.close if self.level == "both" else counts
        must(self.pair or self.close, "empty")
        self.credit, self.amount = counts.get("credit_ms", 0), counts.get("amount", 0)
        self.take_attests(m.get("witnessed", []), m.get("hashes", []))

    def take_close(self, m):
        t = self.terms
        for signer, field in ((t.worker, "close_worker_signature"), (t.requester, "close_requester_signature")):
            if field in m or field == "close_worker_signature":
                signed = {"type": "close", "payload": m.get("close", b""), "signature": m.get(field, b"")}
                c = self.close = opened("close", signed, signer)
        hashes(c, "lease_id prev_head tree_root", "outputs_digest last_seal")
        e = c.get("exit", {})
        must("exit" in c and 0 <= e.get("code", 0) <= 255 and 0 <= e.get("signal", 0) <= 64, "field")
        must(min(c.get("closed_ms", 0), e.get("started_ms", 0), e.get("ended_ms", 0)) >= 0, "field")
        must("reason" in c and len(e.get("error", "").encode()) <= 200, "field")
        must("last_seal" not in c or t.suite and self.beats, "field")
        check_evidence(c.get("evidence", {}))
        must(c["lease_id"] == t.id, "lease")
        must(c.get("beats", 0) == self.beats and c["prev_head"] == self.head, "head")
        must(c.get("credit_ms", 0) >= (self.pair.credit if self.pair else 0), "credit")
        t.check_money(c)

    def take_attests(self, witnessed, nodes):
        self.attests, used = [], set()
        must(self.pair or not witnessed, "attest")
        for w in witnessed:
            a = opened_attest(self.terms, {"type": "attest", "payload": w.get("attest", b""), "signature": w.get("signature", b"")})
            hashes(a, "lease_id head tree_root", "previous")
            must(("previous" in a) == ("attested" in a), "field")
            must(0 <= a.get("first_ms", 0) <= a.get("asked_ms", 0) <= a.get("attested_ms", 0), "field")
            seq, path = a.get("seq", 0), w.get("path", [])
            must(seq <= self.pair.seq and a.get("credit_ms", 0) <= self.pair.credit, "attest")
            must(all(place < len(nodes) for place in path), "path")
            used |= set(path)
            if seq == self.pair.seq:
                must(a["head"] == self.head and not path, "head")
            else:
                made = root_by([nodes[place] for place in path], a["head"], seq + 1, self.pair.seq + 1)
                must(made == self.pair.beat["tree_root"], "path")
            self.attests.append(a)
        order = [(a.get("seq", 0), a.get("witness", 0)) for a in self.attests]
        must(order == sorted(set(order)), "order")
        must(len(used) == len(set(nodes)) == len(nodes) and all(len(n) == 32 for n in nodes), "hashes")

    def witnesses(self):
        """What all witnesses that the terms name say, by the quorum of the terms."""
        last, q = {a.get("witness", 0): a for a in self.attests}, self.terms.m.get("witness_quorum", 0)
        named = len(self.terms.witnesses)
        says = {"named": named, "counting": named, "attested": len(last), "quorum": q, "credit_ms": 0}
        if 0 < q <= len(last):
            first, asked, credit = (sorted(a.get(f, 0) for a in last.values()) for f in ("first_ms", "asked_ms", "credit_ms"))
            says.update(credit_ms=credit[-q], **{"from": moment(first[q - 1]), "to": moment(asked[-q])})
        return says

    def says(self):
        t = self.terms
        return {"lease": t.id.hex(), "network": t.m["network"], "worker": peer(t.worker), "requester": peer(t.requester),
                "job": t.m["job_id"].hex(), "image": t.m["image_digest"], "gpus": [tag.hex() for tag in t.tags],
                "level": self.level, "price": t.price, "credit_ms": self.credit, "amount": self.amount, "beats": self.beats,
                "simulated": bool(t.m.get("simulated")), "self_dealt": bool(t.m.get("self_dealt")), "witnesses": self.witnesses()}


def opened_attest(t, signed):
    place = Reader(strict=False).message("Attest", signed.get("payload", b"")).get("witness", 0)
    must(place < len(t.witnesses), "witness")
    a = opened("attest", signed, t.witnesses[place])
    must(a.get("lease_id") == t.id, "lease")
    return a


def moment(ms):
    """Unix time as RFC 3339, which ends with the year 9999."""
    ms = min(ms, 253_402_300_799_999)
    at = datetime.datetime.fromtimestamp(ms // 1000, datetime.timezone.utc)
    return at.strftime("%Y-%m-%dT%H:%M:%S") + f".{ms % 1000:03}".rstrip("0").rstrip(".") + "Z"


def peer(key):
    """The libp2p peer id of a key, in base 58."""
    n, text = int.from_bytes(b"\0\x24\x08\1\x12\x20" + key, "big"), ""
    while n:
        n, digit = divmod(n, 58)
        text = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"[digit] + text
    return "1" + text


def check_evidence(e):
    d, root = e.get("devices", {}), e.get("samples_root", b"")
    texts = [e.get("task_id", ""), e.get("image_digest", ""), d.get("driver", "")]
    must(all(len(text.encode()) <= 200 for text in texts), "field")
    must(len(root) == (32 if e.get("samples") else 0), "field")
    must(e.get("first_sample", 0) <= 1 << 40 and e.get("samples", 0) <= 1 << 40, "field")
    hashes(d, "", "devices_hash")
    must(len(d.get("foreign_hash", b"")) == (32 if d.get("foreign") else 0), "field")
    busy = [d.get(f"utilization_{f}", 0) for f in ("min", "mean", "max")] + [100]
    must(busy == sorted(busy), "field")


class Equivocation:
    def __init__(self, m):
        must(m.get("version") == 1, "version")
        t = self.terms = Terms(m)
        first, second, typ = m.get("first", {}), m.get("second", {}), m.get("first", {}).get("type")
        must(typ in ("beat", "ack", "attest"), "type")
        if typ == "attest":
            a, b = opened_attest(t, first), opened_attest(t, second)
            must(a.get("head") != b.get("head"), "one")
            self.key, slot = t.witnesses[a.get("witness", 0)], ("seq", "witness")
        else:
            self.key, slot = (t.worker, ("interval",)) if typ == "beat" else (t.requester, ("seq",))
            a, b = opened(typ, first, self.key), opened(typ, second, self.key)
            must(a.get("lease_id") == b.get("lease_id") == t.id, "lease")
            must(first["payload"] != second["payload"], "one")
        must(all(a.get(f, 0) == b.get(f, 0) for f in slot), "slot")
        self.type = typ

    def says(self):
        return {"lease": self.terms.id.hex(), "network": self.terms.m["network"], "signer": peer(self.key), "type": self.type}
