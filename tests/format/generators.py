#!/usr/bin/env python3
"""Draws what generators draw, from FORMAT.md (section 15) alone and with nothing but the standard library and the program `zstd`.

    generators.py ARTEFACT SEED FIRST COUNT [FIELD=VALUE]...

prints COUNT records from number FIRST on, a line each; samples of images in hexadecimal. It is slow and plain on purpose: a second
opinion, not a second implementation to use.
"""

import json
import math
import struct
import sys

sys.dont_write_bytecode = True

from columns import Alphabet, days, signed, string, unpack  # noqa: E402
from decode import M64, Reader, check, i64  # noqa: E402

M32 = (1 << 32) - 1


def f32(number):
    """Rounded: of a sum, product or quotient of two f32 that f64 holds, this is what f32 would have given."""
    if number != number or abs(number) == math.inf:
        return number
    return struct.unpack("<f", struct.pack("<f", number))[0]


# --- chance (15.1) ----------------------------------------------------------------------------------------------------


def rotated(word, by):
    return (word << by | word >> (32 - by)) & M32


class Chance:
    def __init__(self, seed, number):
        state, self.key = seed, []
        for _ in range(8):
            state = (state * 0x5851F42D4C957F2D + 0xA17654E46FBE17F3) & M64
            word, by = ((state >> 18 ^ state) >> 27) & M32, state >> 59
            self.key.append((word >> by | word << (32 - by)) & M32)
        self.number, self.block, self.left = number, 0, []

    def word(self):
        if not self.left:
            start = [0x61707865, 0x3320646E, 0x79622D32, 0x6B206574, *self.key]
            start += [self.block & M32, self.block >> 32, self.number & M32, self.number >> 32]
            v = list(start)

            def quarter(a, b, c, d):
                for x, y, z, by in ((a, b, d, 16), (c, d, b, 12), (a, b, d, 8), (c, d, b, 7)):
                    v[x] = (v[x] + v[y]) & M32
                    v[z] = rotated(v[z] ^ v[x], by)

            for _ in range(4):
                for column in range(4):
                    quarter(column, 4 + column, 8 + column, 12 + column)
                for column in range(4):
                    quarter(column, 4 + (column + 1) % 4, 8 + (column + 2) % 4, 12 + (column + 3) % 4)
            self.left = [(a + b) & M32 for a, b in zip(v, start)]
            self.block += 1
        return self.left.pop(0)

    def double_word(self):
        low = self.word()
        return low | self.word() << 32

    def below(self, limit):
        return self.double_word() * limit >> 64

    def unit(self):
        return (self.word() >> 8) / (1 << 24)

    def normals(self):
        while True:
            x, y = ((self.double_word() >> 11) / (1 << 52) - 1 for _ in range(2))
            square = x * x + y * y
            if 0 < square < 1:
                length = math.sqrt(-2.0 * ln(square) / square)
                return [f32(x * length), f32(y * length)]

    def several(self, count):
        numbers = []
        while len(numbers) < count:
            numbers += self.normals()
        return numbers[:count]


def ln(x):
    m, k = math.frexp(x)
    m, k = m * 2, k - 1
    if m > math.sqrt(2):
        m, k = m / 2, k + 1
    s = (m - 1) / (m + 1)
    total = 0.0
    for power in range(19, 0, -2):
        total = total * (s * s) + 1.0 / power
    return k * math.log(2) + 2 * s * total


def exp(x):
    if x != x:
        x = 0.0
    if x < -87:
        return 0.0
    rounding = 12582912.0
    k = f32(f32(f32(x * f32(math.log2(math.e))) + rounding) - rounding)
    r = f32(f32(x - f32(k * f32(0.6933594))) - f32(k * f32(-0.00021219444)))
    total = f32(1 / 5040)
    for coefficient in (1 / 720, 1 / 120, 1 / 24, 1 / 6, 0.5, 1, 1):
        total = f32(f32(total * r) + f32(coefficient))
    return f32(total * 2.0**k)


def chosen(number, weights):
    """Which weight a number falls on, and what is left of it there; the number of weights if on none."""
    for place, weight in enumerate(weights):
        if number < weight:
            return place
        number -= weight
    return len(weights)


# --- tensors and layers (15.1, 15.2) ------------------------------------------------------------------------------------


def read(artefact):
    length = int.from_bytes(artefact[:8], "little")
    header, data = json.loads(artefact[8 : 8 + length]), artefact[8 + length :]
    outline = json.loads(header.pop("__metadata__")["latentd"])
    check(outline["version"] == 1, "it has another version")
    tensors = {}
    for name, entry in header.items():
        begin, end = entry["data_offsets"]
        content = data[begin:end]
        if entry["dtype"] != "U8":
            letter = {"F32": "f", "U32": "I"}[entry["dtype"]]
            content = struct.unpack(f"<{len(content) // 4}{letter}", content)
        tensors[name] = entry["shape"], content
    return outline, tensors


def products(sums, inputs, weights):
    """Adds, for each input in turn, its products."""
    sums = list(sums)
    for number, row in zip(inputs, weights):
        for output, weight in enumerate(row):
            sums[output] = f32(sums[output] + f32(number * weight))
    return sums


def rows(tensor):
    (count, width), values = tensor
    return [values[row * width : (row + 1) * width] for row in range(count)]


def relu(values):
    return [value if value > 0 else 0.0 for value in values]


def layers(tensors, prefix):
    number = 0
    while f"{prefix}.{number}.weight" in tensors:
        yield rows(tensors[f"{prefix}.{number}.weight"]), tensors[f"{prefix}.{number}.bias"][1]
        number += 1


def through(stack, values):
    for number, (weights, bias) in enumerate(stack):
        values = products(bias, values if number == 0 else relu(values), weights)
    return values


class Mixture:
    def __init__(self, weights, means, factors):
        self.weights, self.means, self.factors = weights, means, factors

    def draw(self, chance):
        gaussian = chosen(chance.below(sum(self.weights)), self.weights)
        mean, factors = self.means[gaussian], self.factors[gaussian]
        normals = chance.several(len(mean))
        result = []
        for i, total in enumerate(mean):
            for j in range(i + 1):
                total = f32(total + f32(factors[i * (i + 1) // 2 + j] * normals[j]))
            result.append(total)
        return result


# --- rows (15.2 to 15.5) ------------------------------------------------------------------------------------------------


class Kind:
    """How numbers are written (13.1); `written` is that of columns.py, which asks for nothing else."""

    def __init__(self, reader):
        self.front = self.back = b""
        self.kind = reader.byte()
        if self.kind == 2:
            self.scale, self.zeros = reader.byte(), reader.byte()
        elif self.kind == 3:
            self.date, self.between, self.clock, self.fraction, self.zulu = reader.take(5)
        elif self.kind == 5:
            self.width, self.front, self.back = reader.byte(), string(reader), string(reader)
        elif self.kind == 6:
            self.width, self.upper = reader.byte(), reader.byte()

    def of_parts(self, parts):
        year, month, day, hour, minute, second, fraction = parts
        number = days(year, month, day) if self.date else 0
        if self.clock:
            number = number * 1440 + hour * 60 + minute
        if self.clock == 2:
            number = (number * 60 + second) * 10**self.fraction + fraction
        return number


def read_code(reader):
    tag = reader.byte()
    slot = reader.varint() if 1 <= tag <= 6 else None
    more = None
    if tag == 2:
        more = string(reader)
    elif tag == 3:
        more = [(string(reader), reader.varint()) for _ in range(reader.varint())]
    elif tag == 4:
        signed(reader)
        atoms = [(signed(reader), reader.varint()) for _ in range(reader.varint())]
        others = reader.varint()
        more = atoms, others, [signed(reader) for _ in range(reader.varint())]
    elif tag == 5:
        more = signed(reader), signed(reader)
    elif tag == 7:
        more = signed(reader)
    elif tag == 8:
        more = reader.varint()
    return tag, slot, more


class Book:
    def __init__(self, data):
        reader = Reader(data)
        self.slots, names = [], []
        for _ in range(reader.varint()):
            name, scan = string(reader), reader.byte()
            reader.take((0, 0, 0, 0, 1, 2)[scan])
            names += [name] if name not in names else []
            self.slots.append((names.index(name), scan))
        self.states = [
            [(reader.varint(), string(reader)) for _ in range(reader.varint())] for _ in range(len(self.slots) + 1)
        ]
        self.variables = []
        for _ in range(reader.varint()):
            name = string(reader).decode()
            self.variables.append((name, [read_code(reader) for _ in range(reader.varint())]))
        self.fields = []
        for _ in range(reader.varint()):
            column, place, variable = reader.varint(), reader.varint(), reader.varint()
            kind = Kind(reader)
            self.fields.append((column, place, variable, kind, [reader.varint() for _ in range(7)]))
        self.forks = {}
        for _ in range(reader.varint()):
            origin, target = reader.varint(), reader.varint()
            self.forks[origin, target] = reader.varint()
        self.order = [reader.varint() for _ in self.variables]
        check(not reader.rest(), "bytes behind the codebook")
        self.first = [0]
        for _, codes in self.variables:
            self.first.append(self.first[-1] + len(codes))

    def fixed(self, conditions):
        codes, values = {}, {}
        for name, text in conditions.items():
            place = next(at for at, field in enumerate(self.fields) if self.variables[field[2]][0] == name)
            _, _, variable, kind, parts = self.fields[place]
            check(not any(parts), "conditions on times are left to others")
            for code, (tag, _, more) in enumerate(self.variables[variable][1]):
                if tag == 2 and more.decode() == text or tag == 4 and self.holds(kind, more, text):
                    codes[variable], values[place] = code, text.encode()
                    break
            check(variable in codes, "there is no such value")
        return codes, values

    def holds(self, kind, more, text):
        check(kind.kind == 1, "conditions on numbers that are no integers are left to others")
        atoms, _, edges = more
        number = int(text)
        return any(number == atom for atom, _ in atoms) or bool(edges) and edges[0] <= number <= edges[-1]


def of_bin(more, chance):
    atoms, others, edges = more
    if len(atoms) == 1 and not edges:
        return atoms[0][0]
    counts = [count for _, count in atoms]
    place = chosen(chance.below(sum(counts) + others), counts)
    if place < len(atoms):
        return atoms[place][0]
    segment = chance.below(len(edges) - 1)
    return edges[segment] + chance.below(edges[segment + 1] - edges[segment] + 1)


class Rows:
    def __init__(self, family, tensors):
        self.family, self.tensors = family, tensors
        self.book = Book(unpack(tensors["codebook"][1]))
        zeros, codes = unpack(tensors["zeros"][1]), self.book.first[-1]
        width = (codes + 63) // 64 * 8
        self.zeros = [int.from_bytes(zeros[row * width : (row + 1) * width], "little") for row in range(codes)]
        flat = [code for _, codes in self.book.variables for code in codes]
        self.never = sum(1 << number for number, code in enumerate(flat) if code[0] == 9)
        if family == "autoregressive":
            self.embedding, self.output = rows(tensors["embedding"]), rows(tensors["output"])
            self.blocks, number = [], 0
            while f"block.{number}.down" in tensors:
                down, up = (rows(tensors[f"block.{number}.{name}"]) for name in ("down", "up"))
                self.blocks.append((down, tensors[f"block.{number}.bias"][1], up))
                number += 1
        else:
            self.layers = list(layers(tensors, "layer"))
        if family == "vae":
            self.mixture = Mixture(tensors["weights"][1], rows(tensors["means"]), rows(tensors["factors"]))

    def draw(self, seed, number, conditions):
        book, chance = self.book, Chance(seed, number)
        fixed, values = book.fixed(conditions)
        for _ in range(16):
            codes = self.codes(fixed, chance)
            record = self.record(number, codes, values, chance)
            if record is not None:
                return record.decode()
        raise ValueError("no whole record")

    def pick(self, variable, logits, excluded, chance):
        first = self.book.first[variable]
        mask = (1 << len(logits)) - 1
        if excluded >> first & mask == mask:
            excluded = self.never
        logits = [-math.inf if excluded >> (first + at) & 1 else logit for at, logit in enumerate(logits)]
        most = max(logits)
        weights = [exp(f32(logit - most)) for logit in logits]
        total = 0.0
        for weight in weights:
            total = f32(total + weight)
        wanted, sum_, last = f32(chance.unit() * total), 0.0, 0
        for place, weight in enumerate(weights):
            if weight > 0:
                sum_, last = f32(sum_ + weight), place
                if sum_ > wanted:
                    break
        return last

    def codes(self, fixed, chance):
        book = self.book
        codes = [fixed.get(variable, 0) for variable in range(len(book.variables))]
        sizes = [len(variable[1]) for variable in book.variables]
        excluded = self.never
        for variable, size in enumerate(sizes):
            if variable in fixed or size == 1:
                excluded |= self.zeros[book.first[variable] + codes[variable]]
        if self.family == "autoregressive":
            sums = list(self.tensors["bias"][1])

            def tell(variable):
                row = self.embedding[book.first[variable] + codes[variable]]
                sums[:] = [f32(a + b) for a, b in zip(sums, row)]

            for variable in sorted(fixed):
                tell(variable)
        else:
            count = len(self.layers[0][0])
            logits = through(self.layers, self.mixture.draw(chance) if self.family == "vae" else chance.several(count))
        for variable in book.order:
            if variable in fixed:
                continue
            first, end = book.first[variable], book.first[variable + 1]
            if sizes[variable] > 1:
                if self.family == "autoregressive":
                    hidden = relu(sums)
                    for down, bias, up in self.blocks:
                        hidden = products(hidden, relu(products(bias, hidden, down)), up)
                    own = []
                    for code in range(first, end):
                        total = self.tensors["output.bias"][1][code]
                        for number, weight in zip(hidden, self.output[code]):
                            total = f32(total + f32(number * weight))
                        own.append(total)
                else:
                    own = logits[first:end]
                codes[variable] = self.pick(variable, own, excluded, chance)
                excluded |= self.zeros[first + codes[variable]]
            if self.family == "autoregressive":
                tell(variable)
        return codes

    def value(self, field, code, number, codes, chance):
        _, _, _, kind, parts = field
        tag, slot, more = code
        if tag in (0, 7, 8, 9):
            return b""
        if tag == 1:
            return b"null" if self.book.slots[slot][1] == 1 else b""
        if tag == 2:
            return more
        if tag == 3:
            counts = [count for _, count in more]
            return more[chosen(chance.below(sum(counts)), counts)][0]
        if tag == 4:
            return Alphabet.written(kind, i64(of_bin(more, chance)))
        if tag == 5:
            return Alphabet.written(kind, i64(more[0] + more[1] * (number + 1)))
        of = [0, 1, 1, 0, 0, 0, 0]
        for part, variable in enumerate(parts):
            if variable:
                of[part] = self.book.variables[variable - 1][1][codes[variable - 1]][2]
            elif part == 6:
                of[part] = chance.below(10**kind.fraction)
        return Alphabet.written(kind, kind.of_parts(of))

    def record(self, number, codes, values, chance):
        book = self.book
        of = lambda variable: book.variables[variable][1][codes[variable]]  # noqa: E731
        texts, slots = [], []
        for place, field in enumerate(book.fields):
            code = of(field[2])
            texts.append(values[place] if place in values else self.value(field, code, number, codes, chance))
            slots.append(code[1])
        columns = {}
        for place, field in sorted(enumerate(book.fields), key=lambda item: item[1][1]):
            if slots[place] is not None:
                columns.setdefault(field[0], []).append(place)
        wanted = sum(slot is not None for slot in slots)
        rank = {}
        for place, field in enumerate(book.fields):
            rank.setdefault(field[0], place)

        def ways(state):
            targets = {}
            for edge, (target, _) in enumerate(book.states[state]):
                targets.setdefault(target, []).append(edge)
            key = lambda target: (1, 0) if target == 0 else (0, rank.get(book.slots[target - 1][0], 1 << 60))  # noqa: E731
            return [(target, targets[target]) for target in sorted(targets, key=key)]

        trail, passed, state, way = [], {}, 0, 0
        for _ in range(16 * (wanted + 2)):
            here = ways(state)
            if way == len(here):
                if not trail:
                    return None
                state, way, place = trail.pop()
                passed[book.fields[place][0]] -= 1
                way += 1
                continue
            target = here[way][0]
            if target == 0:
                if len(trail) == wanted:
                    trail.append((state, way, None))
                    return self.written(trail, ways, codes, texts)
                way += 1
                continue
            column = book.slots[target - 1][0]
            filled, at = columns.get(column, []), passed.get(column, 0)
            if at < len(filled) and slots[filled[at]] == target - 1:
                passed[column] = at + 1
                trail.append((state, way, filled[at]))
                state, way = target, 0
            else:
                way += 1
        return None

    def written(self, trail, ways, codes, texts):
        record = b""
        for state, way, place in trail:
            target, edges = ways(state)[way]
            edge = edges[0]
            fork = self.book.forks.get((state, target)) if len(edges) > 1 else None
            if fork is not None:
                tag, _, literal = self.book.variables[fork][1][codes[fork]]
                if tag == 8 and literal < len(edges):
                    edge = edges[literal]
            record += self.book.states[state][edge][1]
            if place is not None:
                record += texts[place]
        return record


# --- images (15.6) ------------------------------------------------------------------------------------------------------


class Images:
    def __init__(self, outline, tensors):
        self.family = outline["family"]
        self.height, self.width, self.channels = (outline[side] for side in ("height", "width", "channels"))
        self.classes = [(listed.get("label"), listed["images"]) for listed in outline["classes"]]
        if self.family == "gan":
            self.layers = list(layers(tensors, "dense"))
            self.ups = list(layers(tensors, "up"))
            self.output = rows(tensors["output.weight"]), tensors["output.bias"][1]
            return
        self.layers = list(layers(tensors, "decoder"))
        self.mixtures, at = [], 0
        means, factors = rows(tensors["means"]), rows(tensors["factors"])
        for listed in outline["classes"]:
            end = at + listed["components"]
            self.mixtures.append(Mixture(tensors["weights"][1][at:end], means[at:end], factors[at:end]))
            at = end

    def draw(self, seed, number, conditions):
        chance = Chance(seed, number)
        places = [at for at, one in enumerate(self.classes) if conditions.get("label", one[0]) == one[0]]
        images = [self.classes[at][1] for at in places]
        place = places[chosen(chance.below(sum(images)), images)]
        logits = self.grown(chance, place) if self.family == "gan" else through(self.layers, self.mixtures[place].draw(chance))
        samples = bytearray()
        plane = self.height * self.width
        for at in range(plane * self.channels):
            logit = logits[at % self.channels * plane + at // self.channels]
            small = exp(-abs(logit))
            share = f32((small if logit < 0 else 1.0) / f32(1 + small))
            samples.append(int(f32(f32(share * 255) + 0.5)))
        return samples.hex()

    def grown(self, chance, place):
        noise = chance.several(len(self.layers[0][0]) - len(self.classes))
        values = relu(through(self.layers, noise + [float(at == place) for at in range(len(self.classes))]))
        height, width = (-(-side >> len(self.ups)) for side in (self.height, self.width))
        channels = len(values) // (height * width)
        grid = {}
        for at in range(height * width):
            grid[divmod(at, width)] = values[at * channels : (at + 1) * channels]
        for weights, bias in self.ups:
            nothing, larger = [0.0] * channels, {}
            for row in range(2 * height):
                for column in range(2 * width):
                    own = (row % 2 * 2 + column % 2) * 4 * channels
                    near = [(row // 2 - 1 + row % 2 + a, column // 2 - 1 + column % 2 + b) for a in (0, 1) for b in (0, 1)]
                    inputs = [value for at in near for value in grid.get(at, nothing)]
                    larger[row, column] = relu(products(bias, inputs, weights[own : own + 4 * channels]))
            grid, height, width, channels = larger, 2 * height, 2 * width, len(bias)
        weights, bias = self.output
        logits, nothing = [], [0.0] * channels
        for plane in range(self.channels):
            for row in range(self.height):
                for column in range(self.width):
                    near = [grid.get((row + a, column + b), nothing) for a in (-1, 0, 1) for b in (-1, 0, 1)]
                    logit = bias[plane]
                    for channel in range(channels):
                        total = 0.0
                        for at, values in enumerate(near):
                            total = f32(total + f32(values[channel] * weights[at * channels + channel][plane]))
                        logit = f32(logit + total)
                    logits.append(logit)
        return logits


def main(arguments):
    path, seed, first, count, *conditions = arguments
    with open(path, "rb") as file:
        outline, tensors = read(file.read())
    conditions = dict(condition.split("=", 1) for condition in conditions)
    if outline["family"] == "autoregressive" or outline.get("payload") == "rows":
        model = Rows(outline["family"], tensors)
    else:
        model = Images(outline, tensors)
    for number in range(int(first), int(first) + int(count)):
        print(model.draw(int(seed), number, conditions))


if __name__ == "__main__":
    main(sys.argv[1:])
