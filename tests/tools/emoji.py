#!/usr/bin/env python3
"""Makes idx files of emoji out of npm's `emoji-datasource-google` 16.0.0 (MIT; the art is Apache-2.0): 64 x 64 x 3 samples, transparent
pixels on white. Split by a hash of the file's name: one in five for the test.

    npm pack emoji-datasource-google@16.0.0 && tar xzf emoji-datasource-google-16.0.0.tgz
    python3 -m venv DIR && DIR/bin/pip install imagecodecs
    DIR/bin/python tests/tools/emoji.py package/img/google/64 OUTPUT

writes OUTPUT/emoji-train-idx4-ubyte and OUTPUT/emoji-test-idx4-ubyte, and the files themselves to OUTPUT/emoji-test.
"""

import hashlib
import pathlib
import shutil
import struct
import sys

import imagecodecs
import numpy


def samples(path):
    """The picture on white, rounded half up."""
    picture = imagecodecs.png_decode(path.read_bytes()).astype(numpy.int32)
    if picture.shape[:2] != (64, 64) or picture.shape[2] not in (2, 4):
        raise SystemExit(f"{path}: {picture.shape}, not 64 x 64 with transparency")
    # Some are grey.
    colours, alpha = picture[..., :-1], picture[..., -1:]
    return ((colours * alpha + 255 * (255 - alpha) + 127) // 255).astype(numpy.uint8).repeat(3 // colours.shape[2], 2).tobytes()


def main(arguments):
    if len(arguments) != 2:
        raise SystemExit(__doc__)
    folder, output = map(pathlib.Path, arguments)
    parts = {"train": [], "test": []}
    for path in sorted(folder.glob("*.png")):
        number = int.from_bytes(hashlib.sha256(path.name.encode()).digest()[:4], "big")
        parts["test" if number % 5 == 0 else "train"].append(path)
    files = output / "emoji-test"
    files.mkdir(parents=True, exist_ok=True)
    for name, paths in parts.items():
        content = b"".join(map(samples, paths))
        header = struct.pack(">IIIII", 0x804, len(paths), 64, 64, 3)
        (output / f"emoji-{name}-idx4-ubyte").write_bytes(header + content)
        print(name, len(paths), "images,", len(content), "bytes")
    for path in parts["test"]:
        shutil.copy(path, files)
    total = sum(path.stat().st_size for path in parts["test"])
    print("the test's own files:", total, "bytes")


if __name__ == "__main__":
    main(sys.argv[1:])
