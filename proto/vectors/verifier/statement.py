"""Statements and hashes: SPEC.md, "Bytes"; and the trees of RFC 6962."""
import hashlib

from ed25519 import check_key, verifies
from refuse import must
from wire import Reader

LIMITS = {"offer": 8192, "announcement": 2048, "withdrawal": 256, "bid": 8192, "terms": 4096,
          "challenge": 1024, "beat": 2048, "ack": 512, "close": 2048, "attest": 512}
EXTENSIBLE = {"offer", "announcement", "withdrawal", "bid"}


def sha(*parts):
    return hashlib.sha256(b"".join(parts)).digest()


def H(tag, *parts):
    return sha(b"rigmesh/1/", tag.encode(), b"\0", *parts)


def Hp(tag, payload):
    return H(tag, sha(payload))


def opened(typ, signed, signer):
    """The message of a statement. signer is the key, or the name of the field that has it."""
    payload, signature, reader = signed.get("payload", b""), signed.get("signature", b""), Reader(strict=False, extensible=typ in EXTENSIBLE)
    must(signed.get("type") == typ, "type")
    must(1 <= len(payload) <= LIMITS[typ], "size")
    must(len(signature) == 64, "signature")
    m = reader.message(typ.capitalize(), payload)
    must(m.get("version") == 1, "version")
    must(not reader.unknown, "unknown-field")
    key = m.get(signer, b"") if isinstance(signer, str) else signer
    check_key(key)
    must(verifies(key, H(typ, payload), signature), "signature")
    return m


def hashes(m, must_be, may_be=""):
    must(all(len(m.get(f, b"")) == 32 for f in must_be.split()), "field")
    must(all(len(m.get(f, b"")) in (0, 32) for f in may_be.split()), "field")


def root_of(leaves):
    def merge(level):
        if len(level) == 1:
            return level[0]
        k = 1 << (len(level) - 1).bit_length() - 1
        return sha(b"\1", merge(level[:k]), merge(level[k:]))

    return merge([sha(b"\0", leaf) for leaf in leaves]) if leaves else b""


def root_by(path, leaf, index, size):
    """The root that an inclusion path leads to."""
    if size == 1:
        must(not path, "path")
        return sha(b"\0", leaf)
    must(path, "path")
    k = 1 << (size - 1).bit_length() - 1
    if index < k:
        return sha(b"\1", root_by(path[:-1], leaf, index, k), path[-1])
    return sha(b"\1", path[-1], root_by(path[:-1], leaf, index - k, size - k))
