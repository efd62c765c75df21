"""Ed25519 as in RFC 8032. A point is (X, Y, Z, T) with x = X/Z, y = Y/Z, xy = T/Z."""
import functools
import hashlib

from refuse import must

P = 2**255 - 19
ORDER = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, -1, P) % P
NEUTRAL = (0, 1, 1, 0)


def add(p, q):
    a, b = (p[1] - p[0]) * (q[1] - q[0]), (p[1] + p[0]) * (q[1] + q[0])
    c, d = 2 * p[3] * q[3] * D, 2 * p[2] * q[2]
    e, f, g, h = b - a, d - c, d + c, b + a
    return e * f % P, g * h % P, f * g % P, e * h % P


def sum_of(n, p, m, q):
    """n times p and m times q, together."""
    table, total = (NEUTRAL, p, q, add(p, q)), NEUTRAL
    for i in reversed(range(256)):
        total = add(total, total)
        which = (n >> i & 1) + 2 * (m >> i & 1)
        total = add(total, table[which]) if which else total
    return total


def written(p):
    x, y = (c * pow(p[2], -1, P) % P for c in p[:2])
    return (y | (x & 1) << 255).to_bytes(32, "little")


def point(b):
    """The point that 32 bytes stand for, or None."""
    n = int.from_bytes(b, "little")
    sign, y = n >> 255, (n & (1 << 255) - 1) % P
    xx = (y * y - 1) * pow(D * y * y + 1, -1, P) % P
    x = pow(xx, (P + 3) // 8, P)
    x = x if x * x % P == xx else x * pow(2, (P - 1) // 4, P) % P
    if x * x % P != xx:
        return None
    x = x if x & 1 == sign else P - x
    return x, y, 1, x * y % P


BASE = point((4 * pow(5, -1, P) % P).to_bytes(32, "little"))


@functools.lru_cache(1 << 12)
def check_key(key):
    must(len(key) == 32, "key")
    p = point(key)
    must(p is None or sum_of(8, p, 0, p)[0] != 0, "key")  # eight times a point of small order is neutral
    must(int.from_bytes(key, "little") & (1 << 255) - 1 < P, "key")


@functools.lru_cache(1 << 14)
def verifies(key, message, signature):
    p, s = point(key), int.from_bytes(signature[32:], "little")
    if p is None or s >= ORDER:
        return False
    k = int.from_bytes(hashlib.sha512(signature[:32] + key + message).digest(), "little") % ORDER
    return written(sum_of(s, BASE, k, (P - p[0], p[1], 1, P - p[3]))) == signature[:32]
