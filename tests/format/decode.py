#!/usr/bin/env python3
"""Decodes what latentd writes to Kafka, from FORMAT.md alone and with nothing but the standard library.

    decode.py [--token TOKEN] FILE...

prints one line of JSON for each file, which is one record's value: {"content": HEX}, or {"records": [...]} for a block. TOKEN is
the record's `content-encoding`; without it the value says itself what it is (FORMAT.md, 2.2).

It is slow and plain on purpose: a second opinion, not a second implementation to use. zstd, brotli and LZ4 are not in the
standard library, so it does not decode them; columns.py decodes what needs a model.
"""

import bz2
import gzip
import json
import lzma
import sys
import zlib

M32 = (1 << 32) - 1
M64 = (1 << 64) - 1


class Corrupt(Exception):
    """The bytes are not what FORMAT.md describes."""


def check(condition, what):
    if not condition:
        raise Corrupt(what)


def i64(value):
    value &= M64
    return value - (1 << 64) if value >> 63 else value


class Reader:
    """Bytes from front to back (section 1)."""

    def __init__(self, data):
        self.data = data
        self.at = 0

    def take(self, count):
        check(count <= len(self.data) - self.at, "the bytes end early")
        self.at += count
        return self.data[self.at - count : self.at]

    def rest(self):
        return self.take(len(self.data) - self.at)

    def byte(self):
        return self.take(1)[0]

    def varint(self):
        value, shift = 0, 0
        while True:
            byte = self.byte()
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                check(byte != 0 or shift == 0, "a varint is not in its shortest form")
                check(value <= M64, "a varint has more than 64 bits")
                return value
            shift += 7


# --- XXH3-64 with seed 0 (the published algorithm; section 3.1 names it) --------------------------------------------

SECRET = bytes.fromhex(
    "b8fe6c3923a44bbe7c01812cf721ad1cded46de9839097db7240a4a4b7b3671fcb79e64eccc0e578825ad07dccff7221b8084674f743248ee03590e6813a264c"
    "3c2852bb91c300cb88d0658b1b532ea371644897a20df94e3819ef46a9deacd8a8fa763fe39c343ff9dcbbc7c70b4f1d8a51e04bcdb45931c89f7ec9d9787364"
    "eac5ac8334d3ebc3c581a0fffa1363eb170ddd51b7f0da49d316552629d4689e2b16be587d47a1fc8ff8b8d17ad031ce45cb3a8f95160428afd7fbcabb4b407e"
)
P32_1, P32_2, P32_3 = 0x9E3779B1, 0x85EBCA77, 0xC2B2AE3D
P64_1, P64_2, P64_3 = 0x9E3779B185EBCA87, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9
P64_4, P64_5 = 0x85EBCA77C2B2AE63, 0x27D4EB2F165667C5


def le32(data, at):
    return int.from_bytes(data[at : at + 4], "little")


def le64(data, at):
    return int.from_bytes(data[at : at + 8], "little")


def swap64(value):
    return int.from_bytes(value.to_bytes(8, "little"), "big")


def fold(a, b):
    product = a * b
    return (product & M64) ^ (product >> 64)


def xorshift(value, shift):
    return value ^ (value >> shift)


def avalanche(value):
    value = xorshift(value, 37) * 0x165667919E3779F9 & M64
    return xorshift(value, 32)


def avalanche_64(value):
    value = xorshift(value, 33) * P64_2 & M64
    value = xorshift(value, 29) * P64_3 & M64
    return xorshift(value, 32)


def mix16(data, at, secret_at):
    return fold(le64(data, at) ^ le64(SECRET, secret_at), le64(data, at + 8) ^ le64(SECRET, secret_at + 8))


def xxh3(data):
    size = len(data)
    if size == 0:
        return avalanche_64(le64(SECRET, 56) ^ le64(SECRET, 64))
    if size < 4:
        combined = data[0] << 16 | data[size >> 1] << 24 | data[size - 1] | size << 8
        return avalanche_64(combined ^ (le32(SECRET, 0) ^ le32(SECRET, 4)))
    if size <= 8:
        value = le32(data, size - 4) + (le32(data, 0) << 32) ^ (le64(SECRET, 8) ^ le64(SECRET, 16))
        value ^= ((value << 49 | value >> 15) ^ (value << 24 | value >> 40)) & M64
        value = value * 0x9FB21C651E98DF25 & M64
        value = (value ^ ((value >> 35) + size & M64)) * 0x9FB21C651E98DF25 & M64
        return xorshift(value, 28)
    if size <= 16:
        low = le64(data, 0) ^ (le64(SECRET, 24) ^ le64(SECRET, 32))
        high = le64(data, size - 8) ^ (le64(SECRET, 40) ^ le64(SECRET, 48))
        return avalanche(size + swap64(low) + high + fold(low, high) & M64)
    if size <= 128:
        total = size * P64_1
        for i in reversed(range((size - 1) // 32 + 1)):
            total += mix16(data, 16 * i, 32 * i) + mix16(data, size - 16 * (i + 1), 32 * i + 16)
        return avalanche(total & M64)
    if size <= 240:
        total = size * P64_1
        for i in range(8):
            total += mix16(data, 16 * i, 16 * i)
        total = avalanche(total & M64)
        for i in range(8, size // 16):
            total += mix16(data, 16 * i, 16 * (i - 8) + 3)
        return avalanche(total + mix16(data, size - 16, 136 - 17) & M64)
    return xxh3_long(data)


def xxh3_long(data):
    lanes = [P32_3, P64_1, P64_2, P64_3, P64_4, P32_2, P64_5, P32_1]

    def accumulate(at, secret_at):
        for i in range(8):
            value = le64(data, at + 8 * i)
            key = value ^ le64(SECRET, secret_at + 8 * i)
            lanes[i ^ 1] = lanes[i ^ 1] + value & M64
            lanes[i] = lanes[i] + (key & M32) * (key >> 32) & M64

    size, secret_end = len(data), len(SECRET) - 64
    stripes_per_block = secret_end // 8
    blocks = (size - 1) // (64 * stripes_per_block)
    for block in range(blocks):
        for stripe in range(stripes_per_block):
            accumulate(64 * (block * stripes_per_block + stripe), 8 * stripe)
        for i in range(8):
            key = le64(SECRET, secret_end + 8 * i)
            lanes[i] = (xorshift(lanes[i], 47) ^ key) * P32_1 & M64
    done = blocks * stripes_per_block
    for stripe in range((size - 1) // 64 - done):
        accumulate(64 * (done + stripe), 8 * stripe)
    accumulate(size - 64, secret_end - 7)
    total = size * P64_1
    for i in range(4):
        total += fold(lanes[2 * i] ^ le64(SECRET, 11 + 16 * i), lanes[2 * i + 1] ^ le64(SECRET, 11 + 16 * i + 8))
    return avalanche(total & M64)


def checksum(data):
    return xxh3(data) & M32


# --- the integer coder (section 6) --------------------------------------------------------------------------------


class Bit:
    def __init__(self):
        self.p, self.c = 32768, 0

    def learn(self, bit):
        rate = 131072 // (2 * self.c + 3)
        if bit:
            self.p += (65536 - self.p) * rate >> 16
        else:
            self.p -= self.p * rate >> 16
        self.c = min(self.c + 1, 127)


class Bits:
    """The arithmetic decoder (6.1)."""

    def __init__(self, data):
        self.low, self.high, self.code = 0, M32, 0
        self.input = iter(data)
        for _ in range(4):
            self.code = self.code << 8 | next(self.input, 0)

    def decode(self, p):
        mid = self.low + ((self.high - self.low) * p >> 16)
        bit = self.code <= mid
        if bit:
            self.high = mid
        else:
            self.low = mid + 1
        while self.low >> 24 == self.high >> 24:
            self.low = self.low << 8 & M32
            self.high = self.high << 8 & M32 | 0xFF
            self.code = self.code << 8 & M32 | next(self.input, 0)
        return int(bit)

    def model(self, model):
        bit = self.decode(model.p)
        model.learn(bit)
        return bit

    def raw(self):
        return self.decode(32768)


class Models:
    """A set of models and the class of the integer before (6.2)."""

    def __init__(self):
        self.known, self.klass = {}, 0

    def of(self, *name):
        return self.known.setdefault(name, Bit())

    def decode(self, bits):
        if not bits.model(self.of("zero", self.klass)):
            self.klass = 0
            return 0
        node = 1
        for _ in range(6):
            node = 2 * node + bits.model(self.of("length", self.klass, node))
        length = node - 64 + 1
        negative = bits.model(self.of("sign", length))
        magnitude, node = 1, 1
        for i in range(length - 1):
            if i < 6:
                bit = bits.model(self.of("mantissa", length, node))
                node = 2 * node + bit
            else:
                bit = bits.raw()
            magnitude = 2 * magnitude + bit
        self.klass = 1 if length <= 3 else 2
        return i64(-magnitude if negative else magnitude)


class Integers:
    """Scalars and columns (6.3). `seen` is what the block's checksum covers."""

    def __init__(self, data):
        self.bits = Bits(data)
        self.shapes, self.scalars = Models(), Models()
        self.seen = bytearray()

    def decode(self, models):
        value = models.decode(self.bits)
        self.seen += value.to_bytes(8, "little", signed=True)
        return value

    def scalar(self):
        return self.decode(self.scalars)

    def count(self):
        value = self.scalar()
        check(value >= 0, "a count is negative")
        return value

    def column(self, k):
        if k == 0:
            return []
        shape = self.decode(self.shapes)
        check(0 <= shape <= 4, "there is no such shape")
        a = self.scalar()
        residuals = Models()
        if shape == 0:
            return [a] * k
        if shape == 1:
            return [i64(a + self.decode(residuals)) for _ in range(k)]
        step = self.scalar()
        values = [a]
        for i in range(1, k):
            if shape == 3:
                values.append(i64(values[-1] + step + self.decode(residuals)))
                continue
            if shape == 4 and i > 1:
                step = i64(step + self.decode(residuals))
            values.append(i64(values[-1] + step))
        return values


# --- Huffman (section 7) and LZW (section 8) -----------------------------------------------------------------------


class BitReader:
    """Bits from the highest of a byte to the lowest."""

    def __init__(self, data):
        self.data, self.at = data, 0

    def bit(self):
        check(self.at < 8 * len(self.data), "the bits end early")
        bit = self.data[self.at // 8] >> (7 - self.at % 8) & 1
        self.at += 1
        return bit

    def take(self, count):
        value = 0
        for _ in range(count):
            value = 2 * value + self.bit()
        return value

    def zeros(self):
        count = 0
        while not self.bit():
            count += 1
        return count

    def finish(self):
        """The number of bytes read; the bits left in the last one are zero."""
        while self.at % 8:
            check(self.bit() == 0, "padding bits are not zero")
        return self.at // 8


def huffman(data):
    reader = Reader(data)
    first = reader.varint()
    size, mode = first >> 2, first & 3
    if mode == 0:
        content = reader.rest()
        check(len(content) == size, "a stored stream is of another size")
        return content
    if mode == 1:
        check(size > 0 and len(data) == reader.at + 1, "a run is no run")
        return bytes([reader.byte()]) * size
    bits = BitReader(data[reader.at :])
    count, longest = bits.take(8) + 1, bits.take(4)
    check(1 <= longest <= 11, "the longest code is too long")
    lengths, symbol = {}, -1
    for _ in range(count):
        zeros = bits.zeros()
        symbol += 1 << zeros | bits.take(zeros)
        check(symbol < 256, "a symbol is over 255")
        shorter = 2 * bits.zeros() + bits.bit()
        lengths[symbol] = longest - shorter
        check(lengths[symbol] > 0, "a code has no bits")
    reader.at += bits.finish()
    check(sum(2 ** (11 - length) for length in lengths.values()) == 2**11, "the code space is not full")
    codes, code, previous = {}, 0, 0
    for length, symbol in sorted((length, symbol) for symbol, length in lengths.items()):
        code <<= length - previous
        codes[length, code] = symbol
        code, previous = code + 1, length
    streams = 2 if mode == 2 else 4
    sizes = [reader.varint() for _ in range(streams - 1)]
    parts = [reader.take(part) for part in sizes] + [reader.rest()]
    content = bytearray()
    for i, part in enumerate(parts):
        bits = BitReader(part)
        for _ in range((i + 1) * size // streams - i * size // streams):
            code = length = 0
            while (length, code) not in codes:
                code, length = 2 * code + bits.bit(), length + 1
            content.append(codes[length, code])
        check(bits.finish() == len(part), "bytes follow the codes")
    return bytes(content)


def lzw(data):
    bits = BitReader(data)
    content = bytearray()
    check(bits.take(9) == 256, "the first code is not 256")
    entries, previous = {}, None
    while True:
        made = 257 + len(entries)
        code = bits.take(9 if made < 510 else 10 if made < 1022 else 11 if made < 2046 else 12)
        if code == 257:
            check(bits.finish() == len(data), "bytes follow code 257")
            return bytes(content)
        if code == 256:
            entries, previous = {}, None
            continue
        if code < 256:
            string = bytes([code])
        elif code in entries:
            string = entries[code]
        else:
            check(code == made + 1 and previous is not None, "a code has no string yet")
            string = previous + previous[:1]
        content += string
        if previous is not None and made < 4095:
            entries[made + 1] = previous + string[:1]
        previous = string


# --- streams, frames, blocks (sections 2 to 5) ---------------------------------------------------------------------


def inflate(data, window):
    decoder = zlib.decompressobj(window)
    content = decoder.decompress(data) + decoder.flush()
    check(decoder.eof and not decoder.unused_data, "the deflate stream does not end where its bytes do")
    return content


def absent(name):
    def decode(_):
        raise SystemExit(f"decode.py: {name} is not in Python's standard library")

    return decode


CODECS = {
    0: bytes,
    1: huffman,
    2: lzw,
    3: lambda data: inflate(data, 15),
    4: gzip.decompress,
    5: lambda data: inflate(data, -15),
    6: absent("brotli"),
    7: absent("zstd"),
    8: absent("LZ4"),
    9: lzma.decompress,
    10: bz2.decompress,
    11: absent("zstd"),
}
TOKENS = {
    "identity": 0,
    "x-huffman": 1,
    "x-lzw": 2,
    "deflate": 3,
    "gzip": 4,
    "x-deflate-raw": 5,
    "br": 6,
    "zstd": 7,
    "lz4": 8,
    "xz": 9,
    "bzip2": 10,
}
MAGICS = [
    ("914c", "latentd"),
    ("c1", "latentd"),
    ("fc", "latentd"),
    ("1f8b08", "gzip"),
    ("28b52ffd", "zstd"),
    ("04224d18", "lz4"),
    ("fd377a585a00", "xz"),
    ("425a68", "bzip2"),
]


def decode_value(value, token):
    if token is None:
        token = next((name for magic, name in MAGICS if value.startswith(bytes.fromhex(magic))), "identity")
    if token.lower() != "latentd":
        return {"content": CODECS[TOKENS[token.lower()]](value).hex()}
    return decode_frame(value)


def decode_frame(frame):
    reader = Reader(frame)
    check(reader.take(2) == b"\x91\x4c", "no magic")
    flags, codec = reader.byte(), reader.byte()
    check(flags >> 4 == 1, "another version")
    check(flags & 0b1100 == 0 and codec in CODECS, "a reserved flag or codec byte is set")
    check(flags & 2 == 0, "this program has no models")
    expected = le32(reader.take(4), 0)
    body = reader.rest()
    if flags & 1 == 0:
        content = CODECS[codec](body)
        check(checksum(content + frame[:4] + body) == expected, "the checksum is another")
        return {"content": content.hex()}
    covered, records = decode_block(body, CODECS[codec])
    check(checksum(covered + frame[:4] + body) == expected, "the checksum is another")
    return {"records": records}


def decode_block(body, codec, column_codec=None):
    """What a block's checksum covers beside its bytes, and its records. `column_codec(data, count)` gives values."""
    reader = Reader(body)
    n = reader.varint()
    methods = reader.byte()
    check(methods >> 6 == 0, "there are three byte columns")
    integers = Integers(reader.take(reader.varint()))
    offsets, timestamps, kinds = (integers.column(n) for _ in range(3))
    key_lengths, value_lengths = integers.column(n), integers.column(n)
    name_lengths = [integers.count() for _ in range(integers.count())]
    lists = [[integers.count() for _ in range(integers.count())] for _ in range(integers.count())]
    listed = integers.column(n)
    occurrences = [0] * len(name_lengths)
    for place in listed:
        check(place >= 0, "a list has no place")
        for name in lists[place]:
            occurrences[name] += 1
    header_lengths = [integers.column(count) for count in occurrences]

    def size(lengths):
        check(all(length >= -1 for length in lengths), "a length is negative")
        return sum(length for length in lengths if length > 0)

    def byte_column(method, expected, last=False):
        if method == 0:
            return reader.take(expected)
        check(method == 1, "this program has no codec that takes columns")
        content = codec(reader.rest() if last else reader.take(reader.varint()))
        check(len(content) == expected, "a column is of another size than its lengths")
        return content

    headers = byte_column(methods & 3, sum(name_lengths) + sum(map(size, header_lengths)))
    keys = byte_column(methods >> 2 & 3, size(key_lengths))
    ends = b""
    if methods >> 4 & 3 == 2 and column_codec:
        strings_of = column_codec(reader.rest(), sum(length != -1 for length in value_lengths))
        lengths = iter([len(value) for value in strings_of])
        check(all(length in (-1, 0) for length in value_lengths), "a length is not the codec's")
        value_lengths = [length if length < 0 else next(lengths) for length in value_lengths]
        values = b"".join(strings_of)
        ends = ends_of(strings_of)
    else:
        values = byte_column(methods >> 4 & 3, size(value_lengths), last=True)
    check(reader.at == len(body), "bytes follow the values")

    names_and_values = Reader(headers)
    names = [names_and_values.take(length).decode() for length in name_lengths]

    def strings(source, lengths):
        return iter([None if length < 0 else source.take(length).hex() for length in lengths])

    header_values = [strings(names_and_values, lengths) for lengths in header_lengths]
    key, value = strings(Reader(keys), key_lengths), strings(Reader(values), value_lengths)
    records = [
        {
            "offset": offsets[i],
            "timestamp": timestamps[i],
            "kind": ["create", "append"][kinds[i]],
            "key": next(key),
            "value": next(value),
            "headers": [[names[name], next(header_values[name])] for name in lists[listed[i]]],
        }
        for i in range(n)
    ]
    covered = n.to_bytes(8, "little") + bytes(integers.seen) + headers + keys + ends + values
    return covered, records


def ends_of(values):
    """Where each value ends, as a checksum takes it (5.3)."""
    end, ends = 0, b""
    for value in values:
        end += len(value)
        ends += end.to_bytes(8, "little")
    return ends


def main(arguments):
    token = None
    if arguments[:1] == ["--token"]:
        token, arguments = arguments[1], arguments[2:]
    for path in arguments:
        with open(path, "rb") as file:
            print(json.dumps(decode_value(file.read(), token)))


if __name__ == "__main__":
    main(sys.argv[1:])
