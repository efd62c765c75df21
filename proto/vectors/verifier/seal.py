"""Seals of suite 1: SPEC.md, "Seals"."""
import json
import pathlib

from refuse import must
from statement import H

VECTORS = pathlib.Path(__file__).resolve().parent.parent
N = int(json.loads((VECTORS / "seal.json").read_text())["n"], 16)


def one(n):
    """x and N - x are one element, the smaller of the two."""
    return min(n % N, -n % N)


def element(b):
    n = int.from_bytes(b, "big")
    must(len(b) == 256 and 2 <= n <= (N - 1) // 2, "form")
    return n


def puzzle(beat_hash):
    seed = H("seal-seed", beat_hash)
    return one(int.from_bytes(b"".join(H("seal-x", seed, bytes([i])) for i in range(9)), "big"))


def prime(x, y, t, counter):
    must(counter < 1 << 16, "prime")
    transcript = H("seal-proof", (1).to_bytes(4, "big"), t.to_bytes(8, "big"), x.to_bytes(256, "big"), y.to_bytes(256, "big"))
    n = int.from_bytes(H("seal-prime", transcript, counter.to_bytes(4, "big")), "big") | 1 << 255 | 1
    twos = ((n - 1) & (1 - n)).bit_length() - 1
    for base in (2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37):  # Miller and Rabin: of a hash that is enough
        b = pow(base, n - 1 >> twos, n)
        for _ in range(twos):
            if b in (1, n - 1):
                break
            b = b * b % n
        must(b == n - 1 or pow(base, n - 1 >> twos, n) == 1, "prime")
    return n


def check_proof(x, t, seal):
    """That the y of a seal is x^(2^t)."""
    y, pi = element(seal.get("y", b"")), element(seal.get("pi", b""))
    prime_ = prime(x, y, t, seal.get("prime_counter", 0))
    must(one(pow(pi, prime_, N) * pow(x, pow(2, t, prime_), N)) == y, "proof")


def check_fold(sealed, t, fold):
    must(sealed and not fold.keys() & {"lease_id", "seq"}, "fold")
    every = H("seal-fold", (1).to_bytes(4, "big"), t.to_bytes(8, "big"))
    for beat_hash, seal in sealed:
        element(seal.get("y", b""))
        must(not seal.keys() & {"pi", "prime_counter"}, "fold")
        every = H("seal-fold", every, beat_hash, seal["y"])
    x = y = 1
    for i, (beat_hash, seal) in enumerate(sealed):
        w = int.from_bytes(H("seal-weight", every, i.to_bytes(8, "big"))[:16], "big")
        x, y = x * pow(puzzle(beat_hash), w, N) % N, y * pow(element(seal["y"]), w, N) % N
    must(fold.get("y", b"") == one(y).to_bytes(256, "big"), "fold")
    check_proof(one(x), t, fold)
