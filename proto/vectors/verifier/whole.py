"""Whole leases, and the samples behind evidence: SPEC.md, "Whole leases", "Evidence"."""
from lease import Pair, Receipt
from refuse import must
from seal import check_fold, check_proof, puzzle
from statement import H, opened, root_of, sha
from wire import Reader


class Whole:
    def __init__(self, m):
        must(m.get("version") == 1, "version")
        self.receipt, chain = Receipt(m.get("receipt", {})), m.get("chain", {})
        self.close = self.receipt.close or {}
        self.take_pairs(chain.get("links", []))
        self.take_seals(chain)
        if "bid" in m:
            b, t = opened("bid", m["bid"], "worker"), self.receipt.terms
            must(b["worker"] == t.worker and b.get("nonce") == t.m["worker_nonce"], "bid")
            must(set(t.tags) <= {d.get("tag") for d in b.get("devices", [])}, "bid")
        self.take_samples(m.get("opened", []))
        must(all(a.get("credit_ms", 0) == self.pairs[a.get("seq", 0)].credit for a in self.receipt.attests), "attest")

    def take_pairs(self, links):
        heads, self.pairs = [self.receipt.terms.head0], []
        for link in links:
            p, before = Pair(self.receipt.terms, link.get("beat", {}), link.get("ack", {})), self.pairs[-1:]
            must(p.seq == len(self.pairs) and p.beat["prev_head"] == heads[-1], "chain")
            must(p.beat["tree_root"] == root_of(heads), "tree")
            must(not before or p.interval > before[0].interval and p.credit >= before[0].credit, "chain")
            heads.append(p.head)
            self.pairs.append(p)
        must(heads[-1] == self.receipt.head, "chain")
        must(not self.close or self.close["tree_root"] == root_of(heads), "tree")

    def take_seals(self, chain):
        t, links, sealed = self.receipt.terms, chain.get("links", []), []
        names = [p.beat.get("prev_seal") for p in self.pairs[1:]] + [self.close.get("last_seal")]
        for pair, name, link in zip(self.pairs, names, links):
            if "seal" in link:
                s = link["seal"]
                must(s.get("lease_id") == t.id and s.get("seq", 0) == pair.seq, "seal")
                must(len(s.get("y", b"")) == 256 and H("seal", s["y"]) == name, "seal")
                sealed.append((pair.hash, s))
        if "fold" in chain:
            check_fold(sealed, t.seal_t, chain["fold"])
        else:
            for beat_hash, s in sealed:
                check_proof(puzzle(beat_hash), t.seal_t, s)
        named = sum(name is not None for name in names[: len(self.pairs)])
        self.seals = {"beats": len(self.pairs), "named": named, "sealed": len(sealed),
                      "squarings": t.seal_t, "folded": "fold" in chain}

    def take_samples(self, opened_samples):
        evidence = [p.beat["evidence"] for p in self.pairs]
        evidence.append(completed(self.close.get("evidence", {}), evidence[-1] if evidence else {}))
        order = [o.get("beat", 0) for o in opened_samples]
        must(order == sorted(set(order)) and all(place < len(evidence) for place in order), "samples")
        for o, e in zip(opened_samples, (evidence[place] for place in order)):
            samples = o.get("samples", [])
            must(len(samples) == e.get("samples", 0) and root_of(samples) == e.get("samples_root", b""), "samples")
            must(not samples or {**e, **summary(samples)} == e == {**summary(samples), **about(e)}, "summary")

    def says(self):
        return {**self.receipt.says(), "seals": self.seals}


def about(e):
    """What evidence says that no sample does."""
    return {f: e[f] for f in ("task_id", "image_digest", "first_sample", "samples", "samples_root") if f in e}


def completed(e, last):
    """The evidence of a close with what it leaves out."""
    e, before = {**{f: last[f] for f in ("task_id", "image_digest") if f in last}, **e}, last.get("devices", {})
    if "devices" in e:
        e["devices"] = {**{f: before[f] for f in ("devices_hash", "driver") if f in before}, **e["devices"]}
    return e


def summary(samples):
    """What evidence says of samples."""
    seen = []
    for b in samples:
        reader = Reader(strict=False)
        if b:  # without bytes: it was lost
            seen.append(reader.message("Sample", b))
        must(not reader.unknown and len(b) <= 16 << 10, "sample")
    e = {f: seen[-1].get(f, 0) for f in ("running", "freezes", "cpu_ms")} if seen else {}
    e["memory_bytes"] = max([s.get("memory_bytes", 0) for s in seen], default=0)
    read = [s for s in seen if s.get("devices")]
    e["devices"] = devices(read) if read else {}
    return {f: v for f, v in e.items() if v}


def devices(read):
    """What evidence says of the devices in samples with devices."""
    def each(s, f, zero=0):
        return [device.get(f, zero) for device in s["devices"]]

    def every(f):
        return [reading for s in read for reading in each(s, f)]

    must(all(len(tag) == 32 for s in read for tag in each(s, "tag", b"")), "sample")
    last, most, busy = read[-1], max(read, key=lambda s: sum(each(s, "foreign"))), every("utilization")
    d = {f: last.get(f, 0) for f in ("driver", "energy_mj", "busy_ms", "xid_errors", "ecc_errors")}
    d["devices_hash"] = H("devices", sha(*each(last, "tag")))
    d["power_limit_mw"] = sum(each(last, "power_limit_mw"))
    d["memory_bytes"] = max(sum(each(s, "memory_bytes")) for s in read)
    d["temperature_max"] = max(every("temperature"))
    d["utilization_min"], d["utilization_mean"], d["utilization_max"] = min(busy), sum(busy) // len(busy), max(busy)
    d["foreign"] = sum(each(most, "foreign"))
    if d["foreign"]:
        d["foreign_hash"] = H("foreign", sha(*each(most, "foreign_hash", b"")))
    return {f: v for f, v in d.items() if v}
