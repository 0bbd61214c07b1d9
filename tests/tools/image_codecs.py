#!/usr/bin/env python3
"""What image formats make of an idx file of images, grey or RGB: bits a raw byte, beside `cargo bench --bench latent`.

    python3 -m venv DIR && DIR/bin/pip install imagecodecs && DIR/bin/python tests/tools/image_codecs.py t10k-images-idx3-ubyte

Each image alone, and tiled to sheets of 16 by 16. Every file is decoded and compared. Times are CPU times of the process.
"""

import struct
import sys
import time

import imagecodecs
import numpy

SIDE = 16  # images of a sheet in each direction


def images_of(path):
    with open(path, "rb") as file:
        content = file.read()
    shape = struct.unpack(f">{content[3]}I", content[4 : 4 + 4 * content[3]])
    return numpy.frombuffer(content, numpy.uint8, offset=4 + 4 * content[3]).reshape(shape)


def sheets_of(images):
    """Sheets of images side by side; the last is filled up with black."""
    count, height, width, *channels = images.shape
    black = numpy.zeros((-count % SIDE**2, height, width, *channels), numpy.uint8)
    whole = numpy.concatenate([images, black]).reshape(-1, SIDE, SIDE, height, width, *channels)
    return whole.swapaxes(2, 3).reshape(-1, SIDE * height, SIDE * width, *channels)


def codecs():
    yield "WebP lossless", lambda image: imagecodecs.webp_encode(image, lossless=True, method=6), imagecodecs.webp_decode
    # One thread: CPU time is compared.
    yield (
        "JPEG XL -e9",
        lambda image: imagecodecs.jpegxl_encode(image, lossless=True, effort=9, numthreads=1, usecontainer=False),
        lambda coded: imagecodecs.jpegxl_decode(coded, numthreads=1),
    )
    yield "PNG -9", lambda image: imagecodecs.png_encode(image, level=9), imagecodecs.png_decode


def same(decoded, image):
    # WebP knows no grey: all channels are alike.
    return numpy.array_equal(decoded if decoded.ndim == image.ndim else decoded[..., 0], image)


def measure(name, raw, images, encode, decode):
    begun = time.process_time()
    coded = [encode(image) for image in images]
    encoded = time.process_time()
    for image, bytes_of_it in zip(images, coded):
        if not same(decode(bytes_of_it), image):
            raise SystemExit(f"{name}: an image came back as another")
    decoded = time.process_time()
    bits = 8 * sum(map(len, coded)) / raw
    speeds = [raw / 1e6 / seconds for seconds in (encoded - begun, decoded - encoded)]
    print(f"| {name} | {bits:.4f} | {speeds[0]:.1f} | {speeds[1]:.1f} |", flush=True)


def main(arguments):
    if len(arguments) != 1:
        raise SystemExit(__doc__)
    images = images_of(arguments[0])
    print("| | bits a raw byte | encode MB/s | decode MB/s |\n|---|---|---|---|")
    for name, encode, decode in codecs():
        grey = images.ndim == 3 and name.startswith("WebP")
        colours = (lambda image: numpy.repeat(image[..., None], 3, 2)) if grey else (lambda image: image)
        for form, pictures in (("records", images), ("sheets of 256", sheets_of(images))):
            measure(f"{name}, {form}", images.size, pictures, lambda image: encode(colours(image)), decode)


if __name__ == "__main__":
    main(sys.argv[1:])
