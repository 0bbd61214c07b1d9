#!/usr/bin/env python3
"""Decodes what the codec `columns` writes, from FORMAT.md (sections 5, 12 and 13) alone and with nothing but the standard
library and the program `zstd`.

    columns.py [--seen] --model ARTEFACT FILE...

prints one line of JSON for each file as decode.py does; with `--seen` one more, the parts of the format that it came by. It is
slow and plain on purpose: a second opinion, not a second implementation to use.
"""

import json
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True

from decode import M64, Reader, check, checksum, decode_block, ends_of, i64, le32  # noqa: E402
from entropy import Stream  # noqa: E402

P = 0x9E3779B97F4A7C15
LEAST = -(1 << 62)
M32 = (1 << 32) - 1

SEEN = set()


def seen(what):
    SEEN.add(what)


def unpack(frame, dictionary=None):
    """What one zstd frame holds."""
    command = ["zstd", "-d", "-c", "-q"]
    with tempfile.NamedTemporaryFile() as file:
        if dictionary is not None:
            file.write(dictionary)
            file.flush()
            command += ["-D", file.name]
        return subprocess.run(command, input=frame, stdout=subprocess.PIPE, check=True).stdout


def quotient(a, b):
    """Rounds towards zero."""
    return abs(a) // abs(b) * (1 if (a < 0) == (b < 0) else -1)


def remainder(a, b):
    return a - quotient(a, b) * b


# --- BLAKE3, which names models (the published algorithm; section 3 names it) ---------------------------------------

BLAKE3_START = [0x6A09E667, 0xBB67AE85, 0x3C6EF372, 0xA54FF53A, 0x510E527F, 0x9B05688C, 0x1F83D9AB, 0x5BE0CD19]
BLAKE3_ORDER = [2, 6, 3, 10, 7, 0, 4, 13, 1, 11, 12, 5, 9, 14, 15, 8]
CHUNK_START, CHUNK_END, PARENT, ROOT = 1, 2, 4, 8


def blake3_compress(chain, block, counter, length, flags):
    v = chain + BLAKE3_START[:4] + [counter & M32, counter >> 32, length, flags]

    def mix(a, b, c, d, x, y):
        for word, turns in ((x, (16, 12)), (y, (8, 7))):
            v[a] = v[a] + v[b] + word & M32
            v[d] = turn(v[d] ^ v[a], turns[0])
            v[c] = v[c] + v[d] & M32
            v[b] = turn(v[b] ^ v[c], turns[1])

    def turn(word, by):
        return (word >> by | word << 32 - by) & M32

    for _ in range(7):
        for i in range(4):
            mix(i, 4 + i, 8 + i, 12 + i, block[2 * i], block[2 * i + 1])
        for i in range(4):
            mix(i, 4 + (i + 1) % 4, 8 + (i + 2) % 4, 12 + (i + 3) % 4, block[8 + 2 * i], block[9 + 2 * i])
        block = [block[place] for place in BLAKE3_ORDER]
    return [v[i] ^ v[i + 8] for i in range(8)]


def blake3(data):
    """The hash of more than one chunk's bytes or fewer: the first 32 bytes."""

    def tree(data, first, root):
        chunks = max(1, (len(data) + 1023) // 1024)
        if chunks > 1:
            left = 1 << (chunks - 1).bit_length() - 1
            halves = tree(data[: 1024 * left], first, 0) + tree(data[1024 * left :], first + left, 0)
            return blake3_compress(BLAKE3_START, halves, 0, 64, PARENT | root)
        chain = BLAKE3_START
        blocks = [data[at : at + 64] for at in range(0, len(data), 64)] or [b""]
        for i, block in enumerate(blocks):
            words = block.ljust(64, b"\0")
            words = [le32(words, at) for at in range(0, 64, 4)]
            flags = (CHUNK_START if i == 0 else 0) | (CHUNK_END | root if i == len(blocks) - 1 else 0)
            chain = blake3_compress(chain, words, first, len(block), flags)
        return chain

    return b"".join(word.to_bytes(4, "little") for word in tree(data, 0, ROOT))


# --- the artefact (13.1) --------------------------------------------------------------------------------------------


def signed(reader):
    value = reader.varint()
    return value >> 1 ^ -(value & 1)


def string(reader):
    return reader.take(reader.varint())


def rising(reader, count, one):
    values, last = [], 0
    for _ in range(count):
        last += one(reader)
        values.append(last)
    return values


def lengths(reader):
    return [reader.varint() for _ in range(33)] if reader.byte() else [1] * 33


class Chain:
    def __init__(self, reader, levels, symbols):
        self.levels = []
        for _ in range(levels):
            count = reader.varint()
            level = {}
            if count:
                keys = rising(reader, count, Reader.varint)
                sizes = [reader.varint() for _ in keys]
                known = [rising(reader, size, Reader.varint) for size in sizes]
                counts = [[reader.varint() for _ in range(size)] for size in sizes]
                escapes = [int.from_bytes(reader.take(2), "little") for _ in range(60)]
                for key, some, theirs in zip(keys, known, counts):
                    level[key] = distribution(some, theirs, escapes)
            self.levels.append(level)
        self.last = flat([reader.varint() for _ in range(symbols)])

    def decode(self, stream, key):
        """`key` gives that of a level."""
        for number, level in enumerate(self.levels):
            found = level.get(key(number))
            if found is None:
                continue
            symbol = take(stream, found)
            if symbol is not None:
                return symbol
            seen("escape")
        return take(stream, self.last)


def take(stream, shares):
    symbols, frequencies = shares
    return symbols[stream.shared(16, frequencies, range(len(frequencies)))]


def distribution(symbols, counts, escapes):
    """The symbols and their frequencies; the escape is None (13.6)."""
    n, d = sum(counts), len(symbols)
    row = next((i for i, most in enumerate((1, 2, 3, 4, 6, 8, 12, 16, 32, 64, 256)) if n <= most), 11)
    place = next((i for i, most in enumerate((1, 2, 4, 8)) if d <= most), 4)
    escape = min(max(1, escapes[5 * row + place]), 65536 - d)
    weights = [2 * c - 1 for c in counts]
    frequencies = [1 + w * (65536 - escape - d) // sum(weights) for w in weights]
    frequencies[counts.index(max(counts))] += 65536 - escape - sum(frequencies)
    return symbols + [None], frequencies + [escape]


def flat(counts):
    """A distribution of one level (13.6)."""
    k = len(counts)
    total = sum(counts)
    frequencies = [1 + (c * (65536 - k) // total if total else (65536 - k) // k) for c in counts]
    frequencies[counts.index(max(counts))] += 65536 - sum(frequencies)
    return list(range(k)), frequencies


class Alphabet:
    def __init__(self, reader, echoes):
        self.kind = reader.byte()
        self.base = self.unit = None
        self.front = self.back = b""
        self.differences = []
        if self.kind == 2:
            self.scale, self.zeros = reader.byte(), reader.byte()
        elif self.kind == 3:
            self.date, self.between, self.clock, self.fraction, self.zulu = reader.take(5)
        elif self.kind == 5:
            self.width, self.front, self.back = reader.byte(), string(reader), string(reader)
        elif self.kind == 6:
            self.width, self.upper = reader.byte(), reader.byte()
        if self.kind:
            self.unit, self.offset = reader.varint(), signed(reader)
            base = reader.byte()
            self.base = base, [reader.varint() for _ in range((0, 1, 1, 2, 2, 2, 2, 2, 2, 1, 1, 7, 2, 1)[base])]
            self.differences = rising(reader, reader.varint(), signed)
        self.texts = [string(reader) for _ in range(reader.varint())]
        self.buckets = 129 if self.kind else 0
        self.symbols = len(self.differences) + len(self.texts) + self.buckets + 5
        self.case = self.echoed = None
        if echoes:
            case = reader.byte()
            if case:
                self.case, self.echoed = case - 1, reader.varint()
                self.symbols += 1

    def columns(self):
        """The columns that the base names."""
        if self.base is None:
            return []
        number, operands = self.base
        return operands[: {11: 4, 12: 1}.get(number, len(operands))]

    def written(self, number):
        """A number as its kind writes it."""
        seen(f"kind {self.kind}")
        if self.kind == 1:
            return b"%d" % number
        if self.kind == 2:
            digits = str(abs(number)).zfill(self.scale + 1)
            whole, part = digits[: len(digits) - self.scale], digits[len(digits) - self.scale :]
            seen(f"zeros {self.zeros}")
            if self.zeros:
                part = part.rstrip("0") or ("0" if self.zeros == 2 else "")
            return (("-" if number < 0 else "") + whole + ("." + part if part else "")).encode()
        if self.kind == 3:
            return time(self, number).encode()
        if self.kind == 4:
            return b".".join(b"%d" % (number >> shift & 255) for shift in (24, 16, 8, 0))
        if self.kind == 5:
            return self.front + str(number).zfill(self.width).encode() + self.back
        digits = f"{number:x}".zfill(self.width)
        return (digits.upper() if self.upper else digits).encode()

    def number(self, text):
        """The number that a text is, if it is one: what is written so, in few enough digits."""
        digits = sum(48 <= byte < 58 for byte in text[len(self.front) : len(text) - len(self.back)])
        if self.kind == 2:
            digits = len(text.lstrip(b"-").partition(b".")[0]) + self.scale
        if self.kind in (1, 2, 5) and digits > 18 or self.kind == 6 and len(text) > 12:
            return None
        candidates = []
        try:
            if self.kind == 1:
                candidates = [int(text)]
            elif self.kind == 2:
                whole, _, part = text.decode().partition(".")
                if len(part) <= self.scale:
                    candidates = [int(whole + part.ljust(self.scale, "0"))]
            elif self.kind == 3:
                candidates = [parsed_time(self, text.decode())]
            elif self.kind == 4:
                candidates = [int.from_bytes(bytes(map(int, text.split(b"."))), "big")]
            elif self.kind == 5 and text.startswith(self.front):
                candidates = [int(text[len(self.front) : len(text) - len(self.back)])]
                candidates = [number for number in candidates if number >= 0]
            elif self.kind == 6:
                candidates = [int(text, 16)]
        except (ValueError, IndexError):
            pass
        fitting = (number for number in candidates if i64(number) == number and self.written(number) == text)
        return next(fitting, None)


def days(year, month, day):
    """Days since 1970-01-01, in the Gregorian calendar."""
    year -= month <= 2
    era = year // 400
    of_era = year - 400 * era
    of_year = (153 * (month + (-3 if month > 2 else 9)) + 2) // 5 + day - 1
    return 146097 * era + 365 * of_era + of_era // 4 - of_era // 100 + of_year - 719468


def date_of(number):
    """Year, month and day of a day."""
    number += 719468
    era, of_era = divmod(number, 146097)
    year = (of_era - of_era // 1460 + of_era // 36524 - of_era // 146096) // 365
    of_year = of_era - (365 * year + year // 4 - year // 100)
    month = (5 * of_year + 2) // 153
    day = of_year - (153 * month + 2) // 5 + 1
    month += 3 if month < 10 else -9
    return year + 400 * era + (month <= 2), month, day


def time(kind, number):
    text = ""
    number, fraction = divmod(number, 10**kind.fraction) if kind.clock == 2 else (number, 0)
    if kind.date:
        a_day = (1, 1440, 86400)[kind.clock]
        day, number = divmod(number, a_day)
        text += "%04d-%02d-%02d" % date_of(day)
        if kind.clock:
            text += chr(kind.between)
    if kind.clock == 1:
        text += "%02d:%02d" % divmod(number, 60)
    if kind.clock == 2:
        text += "%02d:%02d:%02d" % (number // 3600, number // 60 % 60, number % 60)
    if kind.fraction:
        text += ".%0*d" % (kind.fraction, fraction)
    return text + ("Z" if kind.zulu else "")


def parsed_time(kind, text):
    day = 0
    if kind.date:
        day = days(int(text[:4]), int(text[5:7]), int(text[8:10]))
        text = text[11:] if kind.clock else text[10:]
    if not kind.clock:
        return day
    number = 60 * int(text[:2]) + int(text[3:5]) + 1440 * day
    if kind.clock == 1:
        return number
    number = (60 * number + int(text[6:8])) * 10**kind.fraction
    return number + (int(text[9 : 9 + kind.fraction]) if kind.fraction else 0)


class ColumnOf:
    """A column: its alphabet, if it is of values, its contexts and its chain."""

    def __init__(self, reader, symbols=None, echoes=False):
        self.alphabet = None
        if symbols is None:
            self.alphabet = Alphabet(reader, echoes)
            symbols = self.alphabet.symbols
            self.mantissas = {}
            for _ in range(reader.varint()):
                bucket = reader.byte()
                self.mantissas[bucket] = flat([reader.varint() for _ in range(1 << modelled(bucket))])
                seen("mantissas")
            self.lengths = flat(lengths(reader))
        self.contexts = []
        for _ in range(reader.byte()):
            features = []
            for _ in range(reader.byte()):
                what = reader.byte()
                features.append((what & 63, what >> 6, reader.varint()))
            self.contexts.append(features)
        self.chain = Chain(reader, len(self.contexts), symbols)

    def columns(self):
        """The columns that contexts and base name."""
        named = {column for features in self.contexts for _, _, column in features}
        return named | set(self.alphabet.columns() if self.alphabet else [])


def modelled(bucket):
    """How many bits of a bucket's differences its counts are of."""
    return min(6, max(0, (bucket + 1) // 2 - 1))


class Model:
    def __init__(self, artefact):
        self.prefix = blake3(artefact)[:4]
        outer = Reader(artefact)
        check(outer.take(4) == bytes.fromhex("914c434d"), "it is no artefact")
        version = outer.byte()
        check(version in (1, 2, 3, 4), "another version of the artefact")

        def section():
            size = outer.varint()
            content = unpack(string(outer))
            check(len(content) == size, "a section has another size")
            return content

        parts, texts = Reader(section()), section()
        self.dictionary = b"\0" + texts
        framing = Reader(section()) if version in (2, 4) else None
        check(outer.at == len(artefact), "bytes follow the artefact")

        self.slots = parts.varint()
        for _ in range(self.slots):
            string(parts)
            scan = parts.byte()
            if scan >= 4:
                parts.byte()
            if scan == 5:
                parts.byte()
        self.states = []
        for _ in range(self.slots + 1):
            self.states.append([(parts.varint() - 1, string(parts)) for _ in range(parts.varint())])
        self.alone = parts.byte() == 1
        self.regular = flat([parts.varint(), parts.varint()])
        self.foreign = flat(lengths(parts))
        self.key = parts.varint() - 1
        count = self.slots + len(self.states)
        self.now = [signed(parts) for _ in range(count)]
        self.before = [signed(parts) for _ in range(count)]
        self.columns = [ColumnOf(parts, echoes=version > 2) for _ in range(self.slots)]
        self.columns += [ColumnOf(parts, len(edges) + 1) for edges in self.states]
        self.tokens = [string(parts) for _ in range(parts.varint())] if version > 2 else None
        self.text = Chain(parts, 3, 256 if self.tokens is None else 257 + len(self.tokens))
        check(parts.at == len(parts.data), "bytes follow the parts")
        self.framing = Framing(framing) if framing else None


# --- the walk (13.4), values (13.5), distributions (13.6) -----------------------------------------------------------


class Registers:
    def __init__(self, now, before, key=-1):
        self.now, self.before, self.kept = list(now), list(before), list(now)
        self.key, self.records, self.current = key, {}, None
        self.recent = {}
        self.heard = {}

    def push(self, column, value):
        self.before[column], self.now[column] = self.now[column], value
        if column == self.key:
            self.current = value
            if value in self.records:
                self.kept = list(self.records[value])
                seen("a record of the same key")

    def end(self):
        if self.key < 0:
            return
        self.kept = list(self.now)
        key = self.now[self.key]
        if key in self.records or len(self.records) < min(4096, (1 << 20) // len(self.now)):
            self.records[key] = list(self.now)


def hashed(values):
    h = 0
    for value in values:
        t = (h ^ value & M64) * P & M64
        h = t ^ t >> 32
    return h & M32


def text_value(text):
    h = (0xCBF29CE484222325 ^ len(text)) * P & M64
    for at in range(0, len(text), 8):
        h = (h ^ int.from_bytes(text[at : at + 8], "little")) * P & M64
    return LEAST + (1 << 40) + ((h ^ h >> 32) & M32)


def feature(aspect, which, column, registers):
    seen(f"of {('now', 'before', 'kept')[which]}")
    value = (registers.now, registers.before, registers.kept)[which][column]
    if aspect == 0:
        return value
    if aspect in (1, 2):
        return remainder(value, (10, 100)[aspect - 1])
    if aspect in (3, 4):
        return quotient(value, (10, 100)[aspect - 3])
    if aspect == 5:
        return value.bit_length() * (-1 if value < 0 else 1)
    if aspect == 6:
        return int(value == registers.before[column])
    if aspect == 7:
        return i64(value - registers.before[column])
    check(aspect == 8, "there is no such aspect")
    return 0 if value > -(1 << 61) else min(i64(value - LEAST), 1 << 40)


def clock_minutes(value):
    """Minutes of a clock written HHMM, or None."""
    return value // 100 * 60 + value % 100 if 0 <= value <= 2400 and value % 100 < 60 else None


def expected(base, registers):
    number, operands = base

    def of(column, values=registers.now):
        value = values[column]
        return value if value > -(1 << 61) else 0

    def minutes(column):
        return clock_minutes(of(column)) or 0

    if number == 0:
        return 0
    a, b = (operands + [0])[:2]
    if number == 1:
        return of(a)
    if number == 2:
        return minutes(a)
    if number == 3:
        return i64(of(a) + of(b) - of(b, registers.before))
    if number in (4, 5):
        return i64(of(a) + (of(b) if number == 4 else -of(b)))
    if number in (6, 7):
        return i64(minutes(a) + (of(b) if number == 6 else -of(b))) % 1440
    if number == 8:
        a, b = clock_minutes(of(a)), clock_minutes(of(b))
        return 0 if a is None or b is None else (a - b + 720) % 1440 - 720
    if number == 9:
        return quotient(of(a), 100)
    if number == 10:
        return remainder(of(a), 100)
    if number == 11:
        year, month, day, hour = (of(column) for column in operands[:4])
        second, unit, offset = map(i64, operands[4:])
        if not (1 <= month <= 12 and 1 <= day <= 31 and 0 <= year <= 9999 and 0 <= hour <= 24):
            return 0
        hours = 24 * days(year, month, day) + hour
        return quotient(i64(3600 * second * hours - offset), unit)
    if number == 12:
        return i64(of(a) * i64(b))
    return of(a, registers.kept)


class Texts:
    """Texts among the symbols."""

    def __init__(self, chain):
        self.chain = chain

    def take(self, column, classes, stream):
        text = b""
        for _ in range(length(stream, classes)):

            def key(level):
                order = (4, 3, 2)[level]
                back = text[-order:].rjust(order, b"\0")
                x = int.from_bytes(back, "big") ^ order << 56
                return hashed([x, 0 if order == 2 else column])

            text += bytes([self.chain.decode(stream, key)])
        return text


class Tokens:
    """Texts among the symbols, in tokens."""

    def __init__(self, tokens, chain):
        self.tokens, self.chain = tokens, chain

    def take(self, column, _classes, stream):
        text, last, before = b"", 65535, 65535
        while True:

            def key(level):
                x = (last | before << 16, last, 0)[level] ^ level << 56
                return hashed([x, column])

            symbol = self.chain.decode(stream, key)
            if symbol == 256 + len(self.tokens):
                seen("the end of a text")
                return text
            seen("a byte" if symbol < 256 else "a token")
            text += bytes([symbol]) if symbol < 256 else self.tokens[symbol - 256]
            last, before = symbol, last


def texts_of(model):
    return Texts(model.text) if model.tokens is None else Tokens(model.tokens, model.text)


def in_case(case, text):
    """A text in other letters (13.5)."""
    seen(f"echo {case}")
    written = bytearray()
    for at, byte in enumerate(text):
        letters = bytes([byte])
        before = text[at - 1 : at] if at else b""
        starts = not before or before[0] < 128 and not before.isalnum() and before not in (b"'", b"`")
        if case == 1 or case == 3 and not starts:
            letters = letters.lower()
        elif case in (2, 3):
            letters = letters.upper()
        written += letters
    return bytes(written)


class Gathered:
    """Texts column by column."""

    def __init__(self, columns):
        self.columns = columns

    def take(self, column, classes, stream):
        size = length(stream, classes)
        return self.columns[column].take(size) if size else b""


def length(stream, classes):
    size = take(stream, classes)
    if size == 0:
        return 0
    return 1 << size - 1 | stream.raw(size - 1)


def value(column, number, registers, stream, texts):
    """The text of a value of column `number`, which becomes one of its register (13.5)."""
    alphabet = column.alphabet
    if alphabet.kind == 0:
        seen("kind 0")
    symbol = symbol_of(column, registers, stream)
    recent = registers.recent.setdefault(number, [])

    def remember(text):
        if 0 < len(text) <= 1024:
            recent[:] = [text] + [other for other in recent if other != text]
            del recent[4:]

    def numeric(difference):
        seen(f"base {alphabet.base[0]}")
        number_ = expected(alphabet.base, registers)
        if alphabet.base[0] in (2, 6, 7):
            minutes = (number_ + difference) % 1440
            number_ = minutes // 60 * 100 + minutes % 60
        else:
            number_ = i64(number_ + difference)
        registers.push(number, number_)
        return alphabet.written(i64(number_ * alphabet.unit + alphabet.offset))

    if symbol < len(alphabet.differences):
        seen("difference")
        return numeric(alphabet.differences[symbol])
    symbol -= len(alphabet.differences)
    if symbol < len(alphabet.texts):
        seen("text")
        registers.push(number, LEAST + symbol)
        return alphabet.texts[symbol]
    symbol -= len(alphabet.texts)
    if symbol < alphabet.buckets:
        seen("bucket")
        bits = (symbol + 1) // 2
        magnitude = 0
        if bits:
            m = modelled(symbol)
            magnitude = 1
            if symbol in column.mantissas:
                magnitude = magnitude << m | take(stream, column.mantissas[symbol])
            else:
                magnitude = magnitude << m | stream.raw(m)
            magnitude = magnitude << bits - 1 - m | stream.raw(bits - 1 - m)
        return numeric(magnitude if symbol % 2 else -magnitude)
    symbol -= alphabet.buckets
    if symbol < 4:
        seen("recent text")
        check(symbol < len(recent), "there is no such recent text")
        text = recent.pop(symbol)
    elif symbol == 4 and alphabet.case is not None:
        check(registers.heard.get(alphabet.echoed), "there is nothing to echo")
        text = in_case(alphabet.case, registers.heard[alphabet.echoed])
    else:
        seen("other text")
        text = texts.take(number, column.lengths, stream)
    remember(text)
    registers.push(number, text_value(text))
    return text


def symbol_of(column, registers, stream):
    def key(level):
        return hashed([feature(*what, registers) for what in column.contexts[level]])

    return column.chain.decode(stream, key)


def choice(column, number, registers, stream):
    symbol = symbol_of(column, registers, stream)
    registers.push(number, symbol)
    return symbol


def walk(model, registers, stream, texts):
    """A record, and the last text of each slot."""
    record, last = b"", {}
    regular = take(stream, model.regular)
    state = 0
    while True:
        edges = model.states[state]
        if regular and len(edges) == 1:
            edge = 0
        else:
            edge = choice(model.columns[model.slots + state], model.slots + state, registers, stream)
        if edge == len(edges):
            seen("foreign bytes")
            record += texts.take(len(model.columns), model.foreign, stream)
            slot = stream.raw(12) - 1
        else:
            slot, literal = edges[edge]
            record += literal
        if slot < 0:
            break
        last[slot] = value(model.columns[slot], slot, registers, stream, texts)
        registers.heard[slot] = last[slot]
        record += last[slot]
        state = slot + 1
    registers.end()
    return record, last


def decode_record(model, data):
    """A record on its own (13.2)."""
    if data.startswith(bytes.fromhex("28b52ffd")):
        seen("a record as a zstd frame")
        return unpack(data)
    stream = Stream(data, 1)
    record, _ = walk(model, Registers(model.now, model.before, model.key), stream, texts_of(model))
    stream.finish()
    return record


def decode_column(model, data, count):
    """The values of a column, and the last texts of each one's slots (13.3)."""
    reader = Reader(data)
    method = reader.byte()
    seen(f"column {method}")
    if method == 1:
        sizes = [reader.varint() for _ in range(count)]
        values = Reader(unpack(reader.rest()))
        split = [values.take(size) for size in sizes]
        check(values.at == len(values.data), "values are left")
        return split, [{} for _ in split]
    check(method in (0, 2), "the column is coded in no way that there is")
    texts = texts_of(model)
    if method == 0:
        sizes, next_column = {}, 0
        for _ in range(reader.varint()):
            column = next_column + reader.varint()
            sizes[column] = reader.varint()
            next_column = column + 1
        all_texts = Reader(unpack(b"\x28\xb5\x2f\xfd" + string(reader), model.dictionary) if sizes else b"")
        texts = Gathered({column: Reader(all_texts.take(size)) for column, size in sizes.items()})
        check(all_texts.at == len(all_texts.data), "texts are left")
    stream = Stream(reader.rest(), 2)
    registers = Registers(model.now, model.before, model.key)
    values, last = [], []
    for _ in range(count):
        if model.alone:
            registers = Registers(model.now, model.before, model.key)
        record, fields = walk(model, registers, stream, texts)
        values.append(record)
        last.append(fields)
    stream.finish()
    return values, last


# --- framing (13.7) -------------------------------------------------------------------------------------------------


class Field:
    def __init__(self, reader):
        self.form = reader.byte()
        seen(f"form {self.form}")
        self.formulas = []
        for _ in range(reader.byte()):
            parts = []
            for _ in range(reader.byte()):
                source = reader.varint()
                parts.append(string(reader) if source == 0 else source - 1)
            self.formulas.append(parts)
        self.counts = flat([reader.varint() for _ in range(256)]) if reader.byte() else None

    def bytes_of(self, text):
        if self.form == 0:
            return text
        return (int(text) & (1 << 32 * self.form) - 1).to_bytes(4 * self.form, "big")

    def text_of(self, data):
        if self.form == 0:
            return data
        return b"%d" % int.from_bytes(data, "big", signed=True) if len(data) == 4 * self.form else None


class Framing:
    def __init__(self, reader):
        self.imports = [(reader.varint(), reader.varint(), reader.varint()) for _ in range(reader.varint())]
        self.names = [string(reader).decode() for _ in range(reader.varint())]
        self.lists = [[reader.varint() for _ in range(reader.varint())] for _ in range(reader.varint())]
        self.fields = [Field(reader) for _ in range(len(self.names) + 2)]
        i, f = len(self.imports), len(self.fields)
        self.offset, self.timestamp, self.field, self.absent, self.list = i, i + 1, i + 2, i + f + 2, i + f + 3
        count = i + 2 * f + 4
        self.now = [signed(reader) for _ in range(count)]
        self.before = [signed(reader) for _ in range(count)]
        self.columns = {number: ColumnOf(reader) for number in range(i, i + f + 2)}
        self.columns[self.absent] = ColumnOf(reader, 2)
        self.columns[self.list] = ColumnOf(reader, len(self.lists) + 1)
        for number, field in enumerate(self.fields):
            self.columns[self.list + 1 + number] = ColumnOf(reader, 3 + len(field.formulas))
        self.text = Chain(reader, 3, 256)
        check(reader.at == len(reader.data), "bytes follow the framing")
        self.named = set().union(*(column.columns() for column in self.columns.values()))


class Counted:
    """Bytes of texts of a field that has counts of them."""

    def __init__(self, counts, chain):
        self.counts, self.chain = counts, chain

    def take(self, column, classes, stream):
        if self.counts is None:
            return Texts(self.chain).take(column, classes, stream)
        seen("counts of bytes")
        return bytes(take(stream, self.counts) for _ in range(length(stream, classes)))


def decode_framed(model, body):
    """What the checksum of a framed block covers beside its bytes, and its records (5.4)."""
    reader = Reader(body)
    n = reader.varint()
    reader.byte()
    head = Reader(string(reader))
    framing = model.framing
    flags = head.byte()
    check(flags < 4, "a flag is set that is none")
    nulls = head.varint() if flags & 2 else 0
    values, fields = decode_column(model, reader.rest(), n - nulls)
    covered_values = b"".join(values)
    rest = iter(zip(values, fields))
    registers = Registers(framing.now, framing.before)
    registers.now[framing.offset] = signed(head)
    alphabet = framing.columns[framing.timestamp].alphabet
    if framing.timestamp in alphabet.columns():
        registers.now[framing.timestamp] = signed(head)
    stream = Stream(head.rest(), 2)

    def column_value(number, texts=Texts(framing.text)):
        return value(framing.columns[number], number, registers, stream, texts)

    def field(number, sources):
        """Bytes and text of a field."""
        what = framing.fields[number]
        how = choice(framing.columns[framing.list + 1 + number], framing.list + 1 + number, registers, stream)
        seen(f"field {min(how, 3)}")
        if how == 0:
            return None, None
        if how > 2:
            parts = [sources[part] if isinstance(part, int) else part for part in what.formulas[how - 3]]
            check(all(part is not None for part in parts), "a source is missing")
            text = b"".join(parts)
            return what.bytes_of(text), text
        said = column_value(framing.field + number, Counted(what.counts, framing.text))
        return (what.bytes_of(said), said) if how == 1 else (said, what.text_of(said))

    records = []
    for _ in range(n):
        is_null = 0
        if flags & 2:
            is_null = choice(framing.columns[framing.absent], framing.absent, registers, stream)
        content, texts = (None, {}) if is_null else next(rest)
        sources = []
        for number, (slot, m, d) in enumerate(framing.imports):
            text = texts.get(slot)
            sources.append(text)
            if number in framing.named:
                imported = LEAST
                if text is not None:
                    parsed = model.columns[slot].alphabet.number(text)
                    imported = text_value(text) if parsed is None else i64(parsed * m) // d
                registers.push(number, imported)
        offset = int(column_value(framing.offset))
        timestamp = int(column_value(framing.timestamp))
        key, key_text = field(0, sources)
        sources.append(key_text)
        place = choice(framing.columns[framing.list], framing.list, registers, stream)
        headers = []
        if place < len(framing.lists):
            names = [framing.names[name] for name in framing.lists[place]]
            for name in names:
                headers.append([name, field(1 + framing.names.index(name), sources)[0]])
        else:
            seen("a list that is not known")
            for _ in range(stream.raw(32)):
                name = Texts(framing.text).take(framing.list, flat([1] * 33), stream).decode()
                known = name in framing.names
                number = 1 + framing.names.index(name) if known else len(framing.fields) - 1
                headers.append([name, field(number, sources)[0]])
        records.append((offset, timestamp, key, content, headers))
    stream.finish()
    check(next(rest, None) is None, "values are left")

    kind = flags & 1
    covered = covering(records, kind)
    spelled = lambda data: None if data is None else data.hex()
    return covered + covered_values, [
        {
            "offset": offset,
            "timestamp": timestamp,
            "kind": ["create", "append"][kind],
            "key": spelled(key),
            "value": spelled(content),
            "headers": [[name, spelled(data)] for name, data in headers],
        }
        for offset, timestamp, key, content, headers in records
    ]


def covering(records, kind):
    """What the checksum of a framed block covers, but for the values (5.4)."""
    names, lists, listed = [], [], []
    for *_, headers in records:
        for name, _ in headers:
            if name not in names:
                names.append(name)
        places = [names.index(name) for name, _ in headers]
        if places not in lists:
            lists.append(places)
        listed.append(lists.index(places))
    size = lambda data: -1 if data is None else len(data)
    by_name = [[data for *_, headers in records for other, data in headers if other == name] for name in names]
    integers = [len(records)]
    integers += [offset for offset, *_ in records]
    integers += [timestamp for _, timestamp, *_ in records]
    integers += [kind] * len(records)
    integers += [size(key) for _, _, key, *_ in records]
    integers += [size(content) for *_, content, _ in records]
    integers += [len(names)] + [len(name.encode()) for name in names]
    integers.append(len(lists))
    for places in lists:
        integers += [len(places)] + places
    integers += listed
    for some in by_name:
        integers += [size(data) for data in some]
    covered = b"".join(integer.to_bytes(8, "little", signed=True) for integer in integers)
    covered += "".join(names).encode() + b"".join(data or b"" for some in by_name for data in some)
    return covered + b"".join(key or b"" for _, _, key, *_ in records)


# --- frames (sections 3 to 5) ---------------------------------------------------------------------------------------


def decode_frame(model, frame):
    reader = Reader(frame)
    check(reader.take(2) == b"\x91\x4c", "no magic")
    flags, codec = reader.byte(), reader.byte()
    check(flags >> 1 == 0b1001 and codec == 12, "it is no frame of columns")
    check(reader.take(4) == model.prefix, "it was written with another model")
    if flags & 1 == 0:
        return {"content": decode_record(model, reader.rest()).hex()}
    expected_checksum = le32(reader.take(4), 0)
    body = reader.rest()
    methods = Reader(body)
    methods.varint()
    if methods.byte() & 0x40:
        seen("framed")
        covered, records = decode_framed(model, body)
    else:
        seen("not framed")
        covered, records = decode_block(
            body, lambda data: decode_record(model, data), lambda data, count: decode_column(model, data, count)[0]
        )
    check(checksum(covered + frame[:8] + body) == expected_checksum, "the checksum is another")
    return {"records": records}


def main(arguments):
    shows = arguments[:1] == ["--seen"]
    arguments = arguments[int(shows) :]
    check(arguments[:1] == ["--model"], "name a model")
    with open(arguments[1], "rb") as file:
        model = Model(file.read())
    for path in arguments[2:]:
        with open(path, "rb") as file:
            print(json.dumps(decode_frame(model, file.read())))
    if shows:
        print(json.dumps(sorted(SEEN)))


if __name__ == "__main__":
    main(sys.argv[1:])
