"""The child process that decodes pictures: nothing in it but Pillow, a few open files and limits.

Spoken over one socket: it says first what confines it. Then comes a JSON request with the open files of the content and
(to decode) of the pixels, and a JSON answer.
"""

from __future__ import annotations

import codecs
import json
import os
import resource
import socket
import sys
import warnings
from dataclasses import asdict
from typing import IO, Any

from PIL import Image

from services.imaging import opening, pixels, profiles
from services.imaging.confinement import confine

_REQUEST_BYTES = 4096
# What texts within pictures are written in.
_CODECS = (
    "ascii",
    "latin-1",
    "cp1252",
    "utf-8-sig",
    "utf-16",
    "utf-16-le",
    "utf-16-be",
    "utf-32",
    "utf-32-le",
    "utf-32-be",
)


def main(memory_bytes: int) -> None:
    """Answers on standard input, a socket, until the other end closes."""
    restrict(memory_bytes)
    _quieten_libraries()
    warnings.simplefilter("ignore")
    load_everything()
    with socket.socket(fileno=sys.stdin.fileno()) as channel:
        channel.sendall(json.dumps({"confined": confine()}).encode())
        while True:
            message, files, _, _ = socket.recv_fds(channel, _REQUEST_BYTES, 2)
            if not message:
                return
            try:
                answer = handle(json.loads(message), files)
            finally:
                for file in files:
                    os.close(file)
            channel.sendall(json.dumps(answer).encode())


def restrict(memory_bytes: int) -> None:
    """A decoder that goes wrong gets no more memory, no core dump and no child of its own."""
    limits = {resource.RLIMIT_AS: memory_bytes, resource.RLIMIT_CORE: 0, resource.RLIMIT_NOFILE: 32}
    for kind, wanted in limits.items():
        _, most = resource.getrlimit(kind)
        limit = wanted if most == resource.RLIM_INFINITY else min(wanted, most)
        resource.setrlimit(kind, (limit, limit))


def load_everything() -> None:
    """What would be imported when first needed: a confined process opens no file."""
    Image.init()
    opening.learn_heif()
    for name in _CODECS:
        codecs.lookup(name)


def _quieten_libraries() -> None:
    """What they print about a stranger's file belongs in no log; what Python prints of a fault of ours still comes."""
    sys.stderr = os.fdopen(os.dup(2), "w")
    with open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), 2)


def handle(request: dict[str, Any], files: list[int]) -> dict[str, Any]:
    """{"facts": …}, {"colour": …} or {"reason": …, "message": …}."""
    try:
        with open(files[0], "rb", closefd=False) as content:
            content.seek(0)
            return _VERBS[request["verb"]](request, content, files)
    except pixels.UnusablePicture as error:
        return {"reason": error.reason, "message": str(error)}
    except MemoryError:
        message = "the picture needs more memory than allowed"
        return {"reason": "IMAGE_TOO_MANY_PIXELS", "message": message, "spent": True}


def _measure(request: dict[str, Any], content: IO[bytes], _: list[int]) -> dict[str, Any]:
    return {"facts": asdict(pixels.measure(content, max_pixels=request["max_pixels"]))}


def _verify(request: dict[str, Any], content: IO[bytes], _: list[int]) -> dict[str, Any]:
    return {"facts": asdict(pixels.decode(content, max_pixels=request["max_pixels"]).facts)}


def _decode(request: dict[str, Any], content: IO[bytes], files: list[int]) -> dict[str, Any]:
    return _written(pixels.decode(content, max_pixels=request["max_pixels"]), files[1])


def _decode_original(request: dict[str, Any], content: IO[bytes], files: list[int]) -> dict[str, Any]:
    found = pixels.decode_original(content, max_pixels=request["max_pixels"], grey=request["grey"])
    return _written(found, files[1])


def _written(found: pixels.Decoded, target: int) -> dict[str, Any]:
    """The file holds the pixels, then the profile, then the rights as JSON."""
    rights = json.dumps(asdict(found.rights)).encode()
    pixels.write(found.picture, target)
    pixels.write_bytes(found.profile, target)
    pixels.write_bytes(rights, target)
    told = {"facts": asdict(found.facts), "density": found.density, "notes": found.notes, "grey": found.grey}
    return {**told, "converted": found.converted, "profile": len(found.profile), "rights": len(rights)}


def _translate(request: dict[str, Any], content: IO[bytes], _: list[int]) -> dict[str, Any]:
    red, green, blue = request["colour"]
    return {"colour": profiles.in_profile((red, green, blue), content.read())}


_VERBS = {
    "measure": _measure,
    "verify": _verify,
    "decode": _decode,
    "decode_original": _decode_original,
    "translate": _translate,
}


if __name__ == "__main__":
    main(int(sys.argv[1]))
