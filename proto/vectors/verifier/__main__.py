"""Verifies receipts, whole leases and proofs of equivocation of rigmesh, offline.

Written from SPEC.md, the .proto files and the standard library alone, to be read
beside SPEC.md and held against the other implementations.

    python3 proto/vectors/verifier FILE...      what each file says, as JSON; ends with 1 when one does not verify
    python3 proto/vectors/verifier --vectors    holds every vector against it
"""
import json
import pathlib
import sys

from lease import Equivocation, Receipt
from refuse import Refused, must
from seal import N, VECTORS, check_proof, one, puzzle
from statement import LIMITS, H, Hp, opened, root_of, sha
from whole import Whole
from wire import Reader

KINDS = {1: (Receipt, 16 << 10), 2: (Whole, 256 << 20), 3: (Equivocation, 16 << 10)}


def verify(file):
    """What a file says."""
    must(file[:7] == b"rigmesh" and len(file) > 7 and file[7] in KINDS, "magic")
    kind, most = KINDS[file[7]]
    must(len(file) <= most, "size")
    must(len(file) >= 40 and sha(file[:-32]) == file[-32:], "sum")
    return kind(Reader(strict=True).message(kind.__name__, file[8:-32])).says()


# The vectors.


def outcome(check, *args):
    try:
        return check(*args) and "good"
    except Refused as r:
        return r.args[0]


def hold(name, got, want):
    if got != want:
        sys.exit(f"{name}: {got}, not {want}")


def hold_statement(v):
    signed = {"type": v["type"], "payload": bytes.fromhex(v["payload"]), "signature": bytes.fromhex(v["signature"])}
    return opened(v["expected"], signed, bytes.fromhex(v["public_key"]))


def hold_seal(v):
    seal = {"y": bytes.fromhex(v["y"]), "pi": bytes.fromhex(v["pi"]), "prime_counter": v["prime_counter"]}
    check_proof(puzzle(bytes.fromhex(v["beat"])), v["t"], seal)
    return True


def hold_lease(v):
    """The worked lease: each statement, what it names of those before, heads and roots."""
    keys, last, heads, roots = {}, {}, [], []
    for s in v["statements"]:
        signed = {"type": s["type"], "payload": bytes.fromhex(s["payload"]), "signature": bytes.fromhex(s["signature"])}
        m = opened(s["type"], signed, s["signer"] if s["type"] == "terms" else keys[s["signer"]])
        hash_ = Hp(s["type"], signed["payload"])
        if s["type"] == "terms":
            keys[s["signer"]] = m[s["signer"]]
            last[s["signer"]] = signed["signature"]
            if s["signer"] == "requester":
                heads = [H("head0", Hp("lease", signed["payload"]), last["worker"], last["requester"])]
        elif s["type"] == "ack":
            hold("beat_hash", m["beat_hash"], Hp("beat", last["beat"]["payload"]))
            heads.append(H("head", m["beat_hash"], last["beat"]["signature"], hash_, signed["signature"]))
        else:
            hold("prev_head", m["prev_head"], heads[-1])
            hold("challenge_hash", m.get("challenge_hash"), last["challenge hash"] if s["type"] == "beat" else None)
            hold("tree_root", m.get("tree_root"), None if s["type"] == "challenge" else root_of(heads))
        if s["type"] == "challenge":
            hold("last_ack", m.get("last_ack"), last.get("ack"))
            roots.append(root_of(heads).hex())
        last[s["type"]], last[s["type"] + " hash"] = signed, hash_
    hold("heads", ([h.hex() for h in heads], roots + [root_of(heads).hex()]), (v["heads"], v["tree_roots"]))
    says = verify(bytes.fromhex(v["receipt"]))
    hold("receipt", says, {f: v["summary"].get(f) for f in says})


def hold_vectors():
    count = 0
    seals = [(v, hold_seal) for v in json.loads((VECTORS / "seal.json").read_text())["seals"]]
    statements = [({**json.loads((VECTORS / f"{typ}.json").read_text()), "expected": typ}, hold_statement) for typ in LIMITS]
    for v, check in statements + seals:
        for other in [{}] + v.get("same", []) + v["bad"]:
            hold(f"{v.get('type', 'seal')}, {other.get('why', 'good')}", outcome(check, {**v, **other}), other.get("refusal", "good"))
            count += 1
    for v, _ in statements:
        hold("hash", Hp("lease" if v["type"] == "terms" else v["type"], bytes.fromhex(v["payload"])).hex(), v["hash"])
    for v, _ in seals:
        hold("x", puzzle(bytes.fromhex(v["beat"])), int(v["x"], 16))
        if v["t"] < 1 << 17:  # the answer itself, squared out
            hold("y", one(pow(int(v["x"], 16), 1 << v["t"], N)), int(v["y"], 16))
    hold_lease(json.loads((VECTORS / "lease.json").read_text()))
    files = json.loads((VECTORS / "files.json").read_text())
    for good in files["good"]:
        says = verify(bytes.fromhex(good["file"]))
        hold(good["name"], says, {f: good["says"].get(f) for f in says})
    for bad in files["bad"]:
        if outcome(verify, bytes.fromhex(bad["file"])) == "good":
            sys.exit(f"{bad['name']}, {bad['why']}: it verifies")
    files = len(files["good"]) + len(files["bad"])
    print(f"{count} statements and seals, the worked lease, and {files} files are as their vectors say")


def main(paths):
    if paths == ["--vectors"]:
        return hold_vectors()
    failed = False
    for path in paths:
        try:
            print(json.dumps(verify(pathlib.Path(path).read_bytes()), indent=1))
        except (Refused, OSError) as e:
            print(f"{path}: refused: {e.args[0]}" if isinstance(e, Refused) else e, file=sys.stderr)
            failed = True
    return int(failed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]) if sys.argv[1:] else __doc__)
