#!/usr/bin/env python3
"""Decodes what the codec `latent` writes, from FORMAT.md (sections 5, 12 and 14) alone and with nothing but the standard
library, whose zlib is zlib itself, and the program `zstd`.

    latent.py --model ARTEFACT FILE...

prints one line of JSON for each file as decode.py does. It is slow and plain on purpose: a second opinion, not a second
implementation to use.
"""

import json
import subprocess
import sys
import zlib

sys.dont_write_bytecode = True

from decode import Reader, check, checksum, decode_block, le32  # noqa: E402
from entropy import Stream  # noqa: E402


def unpack(frame):
    """What one zstd frame holds."""
    return subprocess.run(["zstd", "-d", "-c", "-q"], input=frame, stdout=subprocess.PIPE, check=True).stdout


def clamp(number, least, most):
    return max(least, min(most, number))


# --- the artefact (14.1) ----------------------------------------------------------------------------------------------


class Layer:
    """A dense layer (14.2)."""

    def __init__(self, tensors, name):
        (outputs, self.inputs), weights = tensors[name + ".weight"]
        self.rows = [weights[row * self.inputs : (row + 1) * self.inputs] for row in range(outputs)]
        self.bias, self.exponent = tensors[name + ".bias"][1], tensors[name + ".exponent"][1]

    def outputs(self, inputs):
        check(len(inputs) == self.inputs, "a layer has another number of inputs")
        result = []
        for row, bias, exponent in zip(self.rows, self.bias, self.exponent):
            total = bias + sum(weight * number for weight, number in zip(row, inputs))
            result.append((total + ((1 << exponent) >> 1)) >> exponent)
        return result

    def relu(self, inputs):
        return [clamp(number, 0, 255) for number in self.outputs(inputs)]


class Model:
    def __init__(self, artefact):
        length = int.from_bytes(artefact[:8], "little")
        header, data = json.loads(artefact[8 : 8 + length]), artefact[8 + length :]
        outline = json.loads(header.pop("__metadata__")["latentd"])
        check(outline["version"] in (2, 3), "it has another version")
        tensors = {}
        for name, entry in header.items():
            begin, end = entry["data_offsets"]
            size, signed = {"U8": (1, False), "I8": (1, True), "I16": (2, True), "U16": (2, False), "I32": (4, True)}[entry["dtype"]]
            numbers = [
                int.from_bytes(data[at : at + size], "little", signed=signed) for at in range(begin, end, size)
            ]
            tensors[name] = entry["shape"], numbers
        self.height, self.width, self.channels = outline["height"], outline["width"], outline["channels"]
        self.samples = self.height * self.width * self.channels
        self.limit, self.features = outline.get("limit"), 0
        if self.limit is not None:
            self.generator = [Layer(tensors, f"generator.{number}") for number in range(2)]
            self.features = len(self.generator[1].rows) // self.samples
            (latents, levels), numbers = tensors["latents"]
            self.latents = [numbers[at * levels : (at + 1) * levels] for at in range(latents)]
        self.nets = []
        for channel in range(self.channels):
            (count, _), near = tensors[f"net.{channel}.neighbours"]
            near = [near[3 * at : 3 * at + 3] for at in range(count)]
            layers = [Layer(tensors, f"net.{channel}.{name}") for name in ("hidden", "output")]
            self.nets.append((near, *layers))
        self.positions, self.scales = outline["positions"], outline["scales"]
        packed = unpack(bytes(tensors["tables"][1]))
        numbers = [int.from_bytes(packed[at : at + 2], "little") for at in range(0, len(packed), 2)]
        self.tables = [numbers[at : at + 255] for at in range(0, len(numbers), 255)]
        self.zeroes = tensors["zeroes"][1]
        self.peaks = outline.get("peaks")
        if self.peaks:
            packed, values = unpack(bytes(tensors["peaks"][1])), 256 - self.peaks["threshold"]
            numbers = [int.from_bytes(packed[at : at + 2], "little") for at in range(0, len(packed), 2)]
            self.peak_tables = [numbers[at : at + values] for at in range(0, len(numbers), values)]
        self.wrappings = outline["wrappings"]

    def order(self, channel):
        """Rows and columns in the order of coding (14.4)."""
        skew = 0
        for back, row, column in self.nets[channel][0]:
            if back == 0 and row < 0 and column >= 0:
                skew = max(skew, column // -row + 1)
        places = [(row, column) for row in range(self.height) for column in range(self.width)]
        return sorted(places, key=lambda place: (place[1] + skew * place[0], place[0]))


# --- images (14.3) ----------------------------------------------------------------------------------------------------


PEAK_NEIGHBOURS = [(0, -1), (-1, 0), (-1, 1), (-1, -1), (0, -2), (-2, 0)]


def symbol(stream, frequencies):
    """A symbol of a distribution whose slots are shared out by rising symbol."""
    return stream.shared(16, frequencies, range(len(frequencies)))


def decode_image(model, stream):
    bits = (len(model.wrappings) - 1).bit_length()
    wrapping = stream.raw(bits)
    check(wrapping < len(model.wrappings), "there is no such wrapping")
    wrapping = model.wrappings[wrapping]
    is_png = "png" in wrapping
    filters = [wrapping["png"].get("filter")] * model.height if is_png else []
    if is_png and filters[0] is None:
        filters = [stream.raw(3) for _ in range(model.height)]
    features = []
    if model.limit is not None:
        raised = [stream.symbol(16, table) - model.limit + 128 for table in model.latents]
        features = model.generator[1].relu(model.generator[0].relu(raised))
    image = [[[0] * model.width for _ in range(model.height)] for _ in range(model.channels)]

    def sample(channel, row, column):
        inside = 0 <= row < model.height and 0 <= column < model.width
        return image[channel][row][column] if inside else 0

    for channel, (neighbours, hidden, output) in enumerate(model.nets):
        for row, column in model.order(channel):
            inputs = [sample(channel + back, row + up, column + left) for back, up, left in neighbours]
            first = ((channel * model.height + row) * model.width + column) * model.features
            inputs += features[first : first + model.features]
            position, scale, zero = output.outputs(hidden.relu(inputs))
            position, scale = clamp(position, 0, model.positions - 1), clamp(scale, 0, model.scales - 1)
            zero = model.zeroes[clamp(zero, 0, 255)]
            if symbol(stream, [zero, 65536 - zero]):
                table = model.tables[position * model.scales + scale]
                if not model.peaks:
                    image[channel][row][column] = 1 + symbol(stream, table)
                    continue
                threshold, context = model.peaks["threshold"], 0
                value = 1 + symbol(stream, table[: threshold - 1] + [sum(table[threshold - 1 :])])
                if value == threshold:
                    for up, left in PEAK_NEIGHBOURS[: model.peaks["near"]]:
                        digit = max(sample(channel, row + up, column + left) - threshold + 1, 0)
                        context = context * (257 - threshold) + digit
                    value += symbol(stream, model.peak_tables[context])
                image[channel][row][column] = value
    rows = [
        bytes(plane[row][column] for column in range(model.width) for plane in image) for row in range(model.height)
    ]
    if is_png:
        return png(wrapping["png"], filters, rows, model.channels)
    return (b"" if wrapping == "raw" else wrapping["pnm"].encode("latin-1")) + b"".join(rows)


def png(form, filters, rows, step):
    """A PNG file (14.6)."""
    filtered, above = bytearray(), bytes(len(rows[0]))
    for number, row in zip(filters, rows):
        check(number <= 4, "there is no such filter")
        filtered.append(number)
        for at, sample in enumerate(row):
            left, corner = (row[at - step], above[at - step]) if at >= step else (0, 0)
            up = above[at]
            paeth = min((left, up, corner), key=lambda near: abs(left + up - corner - near))
            filtered.append((sample - (0, left, up, (left + up) // 2, paeth)[number]) % 256)
        above = row
    strategy = zlib.Z_FILTERED if form["filtered"] else zlib.Z_DEFAULT_STRATEGY
    writer = zlib.compressobj(form["level"], zlib.DEFLATED, -15, form["memory"], strategy)
    data = bytes(form["zlib"]) + writer.compress(bytes(filtered)) + writer.flush()
    data += zlib.adler32(bytes(filtered)).to_bytes(4, "big")
    chunk = b"IDAT" + data
    file = form["head"].encode("latin-1") + len(data).to_bytes(4, "big") + chunk
    return file + zlib.crc32(chunk).to_bytes(4, "big") + form["tail"].encode("latin-1")


def decode_record(model, data):
    if data[:4] == bytes.fromhex("28b52ffd"):
        return unpack(data)
    stream = Stream(data, 1)
    value = decode_image(model, stream)
    stream.finish()
    return value


def decode_column(model, data, count):
    reader = Reader(data)
    method = reader.byte()
    if method == 1:
        lengths = [reader.varint() for _ in range(count)]
        content = unpack(reader.rest())
        check(len(content) == sum(lengths), "values have other lengths")
        return [content[sum(lengths[:at]) : sum(lengths[: at + 1])] for at in range(count)]
    check(method == 0, "a column is coded in no way that there is")
    exceptions, number = {}, -1
    for _ in range(reader.varint()):
        number += 1 + reader.varint()
        exceptions[number] = reader.varint()
    others = unpack(reader.take(reader.varint())) if exceptions else b""
    stream = Stream(reader.rest(), 2)
    values = []
    for number in range(count):
        if number in exceptions:
            values.append(others[: exceptions[number]])
            others = others[exceptions[number] :]
        else:
            values.append(decode_image(model, stream))
    check(not others, "there are more exceptions than places")
    stream.finish()
    return values


# --- frames (sections 3 to 5) -----------------------------------------------------------------------------------------


def decode_frame(model, frame):
    reader = Reader(frame)
    if frame[:1] in (b"\xc1", b"\xfc"):
        reader.take(4 if frame[:1] == b"\xc1" else 3)
        return {"content": decode_record(model, reader.rest()).hex()}
    check(reader.take(2) == b"\x91\x4c", "no magic")
    flags, codec = reader.byte(), reader.byte()
    check(flags >> 1 == 0b1001 and codec == 13, "it is no frame of latent")
    reader.take(4)
    if flags & 1 == 0:
        return {"content": decode_record(model, reader.rest()).hex()}
    expected = le32(reader.take(4), 0)
    body = reader.rest()
    covered, records = decode_block(
        body, lambda data: decode_record(model, data), lambda data, count: decode_column(model, data, count)
    )
    check(checksum(covered + frame[:8] + body) == expected, "the checksum is another")
    return {"records": records}


def main(arguments):
    check(arguments[:1] == ["--model"], "name a model")
    with open(arguments[1], "rb") as file:
        model = Model(file.read())
    for path in arguments[2:]:
        with open(path, "rb") as file:
            print(json.dumps(decode_frame(model, file.read())))


if __name__ == "__main__":
    main(sys.argv[1:])
