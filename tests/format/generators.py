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

from columns import Alphabet, date_of, days, signed, string, unpack  # noqa: E402
from decode import M64, Reader, check, i64  # noqa: E402
from latent import png  # noqa: E402

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
    check(outline["version"] in (1, 2), "it has another version")
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


# --- rows (15.2 to 15.6) ------------------------------------------------------------------------------------------------


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

    def calendar(self, epoch):
        """What shows the parts of its numbers, if they are times."""
        if self.kind != 3 and epoch:
            times = Kind.__new__(Kind)
            times.date, times.clock, times.fraction = 1, 2, epoch - 1
            return times
        return self if self.kind == 3 else None

    def a_day(self):
        return (1, 1440, 86400 * 10**self.fraction)[self.clock]

    def parts(self, number):
        day, of_day = divmod(number, self.a_day())
        hour = minute = second = fraction = 0
        if self.clock == 1:
            hour, minute = divmod(of_day, 60)
        elif self.clock == 2:
            seconds, fraction = divmod(of_day, 10**self.fraction)
            hour, minute, second = seconds // 3600, seconds // 60 % 60, seconds % 60
        return [*date_of(day), hour, minute, second, fraction, (day + 3) % 7]

    def of_parts(self, parts):
        year, month, day, hour, minute, second, fraction = parts[:7]
        number = days(year, month, day) if self.date else 0
        if self.clock:
            number = number * 1440 + hour * 60 + minute
        if self.clock == 2:
            number = (number * 60 + second) * 10**self.fraction + fraction
        return number


def read_code(reader):
    tag = reader.byte()
    slot = reader.varint() if 1 <= tag <= 6 or tag == 10 else None
    more = None
    if tag == 2:
        more = string(reader)
    elif tag == 3:
        more = [(string(reader), reader.varint()) for _ in range(reader.varint())]
    elif tag == 4:
        more = read_bin(reader)
    elif tag == 5:
        more = signed(reader), signed(reader)
    elif tag in (7, 10):
        more = signed(reader)
    elif tag == 8:
        more = reader.varint()
    return tag, slot, more


def read_bin(reader):
    last = signed(reader)
    atoms = [(signed(reader), reader.varint()) for _ in range(reader.varint())]
    others = reader.varint()
    return atoms, others, [signed(reader) for _ in range(reader.varint())], last


class Walk:
    """A time that goes on (15.6)."""

    def __init__(self, reader):
        self.field, self.unit, self.origin = reader.varint(), reader.varint(), signed(reader)
        self.starts = read_bin(reader)
        self.week = [reader.varint() for _ in range(168)] if reader.byte() else []
        self.gaps = [read_bin(reader) for _ in range(reader.varint())]
        self.counts = [[reader.varint() for _ in self.gaps] for _ in range(24)]

    def time(self, kind, seed, number):
        chance = Chance(seed ^ 0x72756E73206F6E2E, number // 256)
        atoms, _, edges, _ = self.starts
        first, last = (edges[0], edges[-1]) if edges else (atoms[0][0], atoms[-1][0])
        step = of_bin(self.starts, chance)
        for _ in range(64 if self.week else 0):
            if chance.below(max(self.week)) < self.week[self.hour(kind, step)]:
                break
            step = of_bin(self.starts, chance)
        for _ in range(number % 256):
            counts = self.counts[self.hour(kind, step) % 24]
            step += of_bin(self.gaps[chosen(chance.below(sum(counts)), counts)], chance)
            step = first if step > last else max(step, first)
        return i64(step * self.unit + self.origin)

    def hour(self, kind, step):
        """Of the week, from Monday on."""
        day, of_day = divmod(i64(step * self.unit + self.origin), kind.a_day())
        return (day + 3) % 7 * 24 + of_day * 24 // kind.a_day()


def minutes(clock):
    return clock // 100 * 60 + clock % 100 if 0 <= clock <= 2400 and clock % 100 < 60 else None


def clock(number):
    number %= 1440
    return number // 60 * 100 + number % 60


def made(relation, a, b, off):
    """What two numbers make, and so much more; None where it is nothing."""
    if relation >= 5 and minutes(a) is None or relation == 7 and minutes(b) is None:
        return None
    number = (
        lambda: a,
        lambda: a + b,
        lambda: a - b,
        lambda: a * b,
        lambda: 100 * a + b,
        lambda: clock(minutes(a) + b + off),
        lambda: clock(minutes(a) - b + off),
        lambda: (minutes(a) - minutes(b) + 720) % 1440 - 720,
    )[relation]()
    return number if relation in (5, 6) else number + off


def solved(relation, number, a, b, second):
    """One of two numbers, if they are to make another one; None where it is nothing."""
    clocks = {5: (number, a)[: 1 + second], 6: (number, a)[: 1 + second], 7: ((b, a)[second],)}.get(relation, ())
    if any(minutes(one) is None for one in clocks):
        return None
    nearest = lambda wanted: b + (wanted - b + 720) % 1440 - 720  # noqa: E731
    divided = lambda dividend, by: dividend // by if by and dividend % by == 0 else None  # noqa: E731
    first_or_second = (
        (lambda: number, lambda: number),
        (lambda: number - b, lambda: number - a),
        (lambda: number + b, lambda: a - number),
        (lambda: divided(number, b), lambda: divided(number, a)),
        (lambda: divided(number - b, 100), lambda: number - 100 * a),
        (lambda: clock(minutes(number) - b), lambda: nearest(minutes(number) - minutes(a))),
        (lambda: clock(minutes(number) + b), lambda: nearest(minutes(a) - minutes(number))),
        (lambda: clock(minutes(b) + number), lambda: clock(minutes(a) - number)),
    )
    one = first_or_second[relation][second]()
    of = (one, one) if relation == 0 else (a, one) if second else (one, b)
    return one if one is not None and made(relation, *of, 0) == number else None


class Book:
    def __init__(self, data, version):
        reader = Reader(data)
        self.slots, names = [], []
        for _ in range(reader.varint()):
            name, scan = string(reader), reader.byte()
            reader.take((0, 0, 0, 0, 1, 2, 1)[scan])
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
            epoch = reader.varint() if version > 1 else 0
            parts = [reader.varint() for _ in range(8 if version > 1 else 7)]
            self.fields.append((column, place, variable, kind, parts, kind.calendar(epoch)))
        self.forks = {}
        for _ in range(reader.varint()):
            origin, target = reader.varint(), reader.varint()
            self.forks[origin, target] = reader.varint()
        self.links = []
        if version > 1:
            self.links = [[reader.varint() for _ in range(5)] for _ in range(reader.varint())]
        self.walk = Walk(reader) if version > 1 and reader.byte() else None
        # By variable: the one that must have its last code for this one to be drawn.
        self.guards = {self.fields[link[0]][2]: link[4] for link in self.links}
        self.order = [reader.varint() for _ in self.variables]
        check(not reader.rest(), "bytes behind the codebook")
        self.first = [0]
        for _, codes in self.variables:
            self.first.append(self.first[-1] + len(codes))

    def fixed(self, conditions):
        codes, values, idle = {}, {}, set()
        for name, text in conditions.items():
            place = next(at for at, field in enumerate(self.fields) if self.variables[field[2]][0] == name)
            _, _, variable, kind, parts, _ = self.fields[place]
            check(not any(parts), "conditions on times are left to others")
            for code, (tag, _, more) in enumerate(self.variables[variable][1]):
                if tag == 2 and more.decode() == text or tag == 4 and self.holds(kind, more, text):
                    codes[variable], values[place] = code, text.encode()
                    break
            check(variable in codes, "there is no such value")
            if variable in self.guards:
                idle.add(self.guards[variable])
        return codes, values, idle

    def last(self, variable):
        return len(self.variables[variable][1]) - 1

    def leading(self, time):
        """What a time that goes on says: codes by variable, those that there are."""
        _, _, own, _, parts, calendar = self.fields[self.walk.field]
        said = {own: next(at for at, code in enumerate(self.variables[own][1]) if code[0] == 6)}
        for variable, value in zip(parts, calendar.parts(time)):
            codes = self.variables[variable - 1][1] if variable else []
            at = [at for at, code in enumerate(codes) if code[0] == 7 and code[2] == value]
            at += [at for at, code in enumerate(codes) if code[0] == 9]
            if at:
                said[variable - 1] = at[0]
        return said

    def holds(self, kind, more, text):
        check(kind.kind == 1, "conditions on numbers that are no integers are left to others")
        return holds(more, int(text))


def holds(more, number):
    atoms, _, edges, _ = more
    return any(number == atom for atom, _ in atoms) or bool(edges) and edges[0] <= number <= edges[-1]


def of_bin(more, chance):
    atoms, others, edges, _ = more
    if len(atoms) == 1 and not edges:
        return atoms[0][0]
    counts = [count for _, count in atoms]
    place = chosen(chance.below(sum(counts) + others), counts)
    if place < len(atoms):
        return atoms[place][0]
    segment = chance.below(len(edges) - 1)
    return edges[segment] + chance.below(edges[segment + 1] - edges[segment] + 1)


def parsed(kind, text):
    digits = text.removeprefix(b"-")
    return int(text) if kind.kind == 1 and digits.isdigit() else None


class Rows:
    def __init__(self, family, version, tensors):
        self.family, self.tensors = family, tensors
        self.book = Book(unpack(tensors["codebook"][1]), version)
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
        fixed, values, idle = book.fixed(conditions)
        time, said = None, {}
        if book.walk and not values and self.family == "autoregressive":
            time = book.walk.time(book.fields[book.walk.field][5], seed, number)
            said = book.leading(time)
        for _ in range(16):
            codes = self.codes(fixed, idle, said, chance)
            record = self.record((number, time), codes, values, chance)
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

    def codes(self, fixed, idle, said, chance):
        book = self.book
        codes = [fixed.get(variable, 0) for variable in range(len(book.variables))]
        for variable in idle:
            codes[variable] = book.last(variable)
        for variable, code in said.items():
            codes[variable] = code
        sizes = [len(variable[1]) for variable in book.variables]
        excluded = self.never
        for variable, size in enumerate(sizes):
            if variable in fixed or variable in said or size == 1:
                excluded |= self.zeros[book.first[variable] + codes[variable]]
        if self.family == "autoregressive":
            sums = list(self.tensors["bias"][1])

            def tell(variable):
                row = self.embedding[book.first[variable] + codes[variable]]
                sums[:] = [f32(a + b) for a, b in zip(sums, row)]

            for variable in sorted(fixed):
                tell(variable)
            # The field's own variable, then its parts.
            for variable in said:
                tell(variable)
        else:
            count = len(self.layers[0][0])
            logits = through(self.layers, self.mixture.draw(chance) if self.family == "vae" else chance.several(count))
        for variable in book.order:
            if variable in fixed or variable in idle or variable in said:
                continue
            guard = book.guards.get(variable)
            if guard is not None and codes[guard] != book.last(guard):
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
            if self.family == "autoregressive" and guard is None:
                tell(variable)
        return codes

    def value(self, field, code, place, codes, chance):
        """Its text, and its number if it is one."""
        _, _, _, kind, parts, calendar = field
        tag, slot, more = code
        if tag in (0, 7, 8, 9, 10, 11):
            return b"", None
        if tag == 1:
            return b"null" if self.book.slots[slot][1] == 1 else b"", None
        if tag == 2:
            return more, None
        if tag == 3:
            counts = [count for _, count in more]
            return more[chosen(chance.below(sum(counts)), counts)][0], None
        if tag == 4:
            number = i64(of_bin(more, chance))
        elif tag == 5:
            number = i64(more[0] + more[1] * (place[0] + 1))
        elif place[1] is not None and field is self.book.fields[self.book.walk.field]:
            number = place[1]
        else:
            number = calendar.of_parts(self.parts(parts, calendar, codes, chance))
        return Alphabet.written(kind, number), number

    def parts(self, parts, kind, codes, chance):
        of = [0, 1, 1, 0, 0, 0, 0, 0]
        for part, variable in enumerate(parts):
            if variable:
                of[part] = self.book.variables[variable - 1][1][codes[variable - 1]][2]
            elif part == 6:
                of[part] = chance.below(10**kind.fraction)
        return of

    def record(self, number, codes, values, chance):
        book = self.book
        of = lambda variable: book.variables[variable][1][codes[variable]]  # noqa: E731
        texts, slots, numbers = {}, {}, {}
        is_made = lambda link: link[0] not in values and codes[link[4]] != book.last(link[4])  # noqa: E731
        for place, field in enumerate(book.fields):
            if not any(place == link[0] and is_made(link) for link in book.links):
                code = of(field[2])
                slots[place] = code[1]
                if place in values:
                    texts[place], numbers[place] = values[place], parsed(field[3], values[place])
                else:
                    texts[place], numbers[place] = self.value(field, code, number, codes, chance)
        for link in book.links:
            place, a, b, relation, variable = link
            if not is_made(link):
                self.solve(link, values, texts, numbers, chance)
                continue
            _, slots[place], off = of(variable)
            number = None
            if numbers[a] is not None and numbers[b] is not None:
                number = made(relation, numbers[a], numbers[b], off)
            if number is None:
                return None
            texts[place], numbers[place] = Alphabet.written(book.fields[place][3], number), number
        columns = {}
        for place, field in sorted(enumerate(book.fields), key=lambda item: item[1][1]):
            if slots[place] is not None:
                columns.setdefault(field[0], []).append(place)
        wanted = sum(slot is not None for slot in slots.values())
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

    def solve(self, link, values, texts, numbers, chance):
        """What is fixed is made of others."""
        place, *of, relation, variable = link
        if place not in values or None in (numbers[place], numbers[of[0]], numbers[of[1]]):
            return
        number, pair = numbers[place], [numbers[one] for one in of]
        offs = [code[2] for code in self.book.variables[variable][1] if code[0] == 10]
        if any(made(relation, *pair, off) == number for off in offs):
            return
        bins = [
            [code[2] for code in self.book.variables[self.book.fields[one][2]][1] if code[0] == 4] for one in of
        ]

        def one_of(first, second, which):
            for off in offs:
                if relation in (5, 6) and minutes(number) is None:
                    continue
                wanted = clock(minutes(number) - off) if relation in (5, 6) else number - off
                one = solved(relation, wanted, first, second, which)
                if one is not None and any(holds(more, one) for more in bins[which]):
                    return one
            return None

        def put(which, one):
            field = of[which]
            texts[field], numbers[field] = Alphabet.written(self.book.fields[field][3], one), one

        makes = lambda one: sum(one in other[1:3] for other in self.book.links)  # noqa: E731
        free = [
            which
            for which in (1, 0)
            if of[which] not in values
            and makes(of[which]) == 1
            and self.book.fields[of[which]][2] not in self.book.guards
        ]
        for which in free:
            one = one_of(*pair, which)
            if one is not None:
                return put(which, one)
        if len(free) == 2 and of[0] != of[1]:
            firsts = [of_bin(more, chance) for more in bins[0]]
            both = [(first, one_of(first, pair[1], 1)) for first in firsts]
            both = [(first, second) for first, second in both if second is not None]
            number_of = chance.below(len(both))
            if both:
                put(0, both[number_of][0])
                put(1, both[number_of][1])

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


# --- classical rows (15.8) ----------------------------------------------------------------------------------------------


class ClassicalRows(Rows):
    def __init__(self, outline, tensors):
        super().__init__("classical", outline["version"], tensors)
        self.operations, self.count = outline["operations"], outline["neighbours"]
        data, variables = unpack(tensors["bases"][1]), self.book.variables
        flat = struct.unpack(f"<{len(data) // 2}H", data)
        rows_ = len(flat) // len(variables)
        self.bases = [tuple(flat[variable * rows_ + row] for variable in range(len(variables))) for row in range(rows_)]
        self.places, self.by_place, variances = {}, [], []
        for variable, (_, codes) in enumerate(variables):
            counts = [sum(row[variable] == code for row in self.bases) for code in range(len(codes))]
            numbers = sorted((more[3], code) for code, (tag, _, more) in enumerate(codes) if tag == 4 and counts[code])
            total, before, listed = sum(counts[code] for _, code in numbers), 0, []
            for _, code in numbers:
                place = 512 * (2 * before + counts[code]) // (2 * total)
                before += counts[code]
                self.places[variable, code] = place
                listed.append((place, code))
            if len(listed) > 1:
                first = sum(counts[code] * place for place, code in listed)
                second = sum(counts[code] * place * place for place, code in listed)
                variances.append((total * second - first * first) // (total * total))
            self.by_place.append(listed)
        self.penalty = max(sorted(variances)[(len(variances) - 1) // 2], 1) if variances else 1
        self.groups = [[field[2]] + [part - 1 for part in field[4] if part] for field in self.book.fields]
        self.groups += [[variable] for variable in self.book.forks.values()]

    def draw(self, seed, number, conditions):
        chance = Chance(seed, number)
        fixed, values, _ = self.book.fixed(conditions)
        operation = self.operations[chance.below(len(self.operations))]
        members = [row for row in self.bases if all(row[variable] == code for variable, code in fixed.items())]
        groups = [group for group in self.groups if not any(variable in fixed for variable in group)]
        for _ in range(16):
            member = chance.below(len(members))
            codes = list(members[member])
            if operation == "smote-nc":
                self.smote(member, members, groups, codes, chance)
            else:
                self.jitter(groups, codes, chance)
            record = self.record((number, None), codes, values, chance)
            if record is not None:
                return record.decode()
        raise ValueError("no whole record")

    def apart(self, one, other):
        total = 0
        for variable, (a, b) in enumerate(zip(one, other)):
            places = self.places.get((variable, a)), self.places.get((variable, b))
            if None not in places:
                total += (places[0] - places[1]) ** 2
            else:
                total += 0 if a == b else self.penalty
        return total

    def smote(self, member, members, groups, codes, chance):
        others = [(self.apart(members[member], row), at) for at, row in enumerate(members) if at != member]
        near = [members[at] for _, at in sorted(others)[: self.count]]
        other = near[chance.below(len(near))]
        for group in groups:
            variable = group[0]
            if any(tag == 4 for tag, _, _ in self.book.variables[variable][1]):
                places = [self.places.get((variable, row[variable])) for row in (codes, other)]
                if None not in places:
                    low, high = sorted(places)
                    self.set_number(variable, low + chance.below(high - low + 1), codes)
                continue
            votes = [[row[variable] for variable in group] for row in near]
            most = max(votes, key=votes.count)
            if all(self.may_stand(variable, code, group, codes) for variable, code in zip(group, most)):
                for variable, code in zip(group, most):
                    codes[variable] = code

    def jitter(self, groups, codes, chance):
        normals = []
        for variable, *_ in groups:
            place = self.places.get((variable, codes[variable]))
            if place is not None:
                normals = normals or chance.normals()
                self.set_number(variable, place + int(f32(normals.pop(0) * 16)), codes)

    def set_number(self, variable, place, codes):
        listed = self.by_place[variable]
        above = sum(known < place for known, _ in listed)
        near = listed[max(above - 1, 0) :][:2]
        if near:
            code = min(near, key=lambda known: abs(known[0] - place))[1]
            if self.may_stand(variable, code, [variable], codes):
                codes[variable] = code

    def may_stand(self, variable, code, group, codes):
        own = self.zeros[self.book.first[variable] + code]
        return code == codes[variable] or not any(
            own >> (self.book.first[other] + known) & 1 for other, known in enumerate(codes) if other not in group
        )


# --- images (15.7) ------------------------------------------------------------------------------------------------------


class Images:
    def __init__(self, outline, tensors):
        self.family = outline["family"]
        self.height, self.width, self.channels = (outline[side] for side in ("height", "width", "channels"))
        self.classes = [(listed.get("label"), listed["images"]) for listed in outline["classes"]]
        self.plane, self.form = self.height * self.width, "raw"
        if "wrapping" in tensors:
            self.form = json.loads(tensors["wrapping"][1])
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
        if self.form == "raw":
            return samples.hex()
        if "pnm" in self.form:
            return (self.form["pnm"].encode("latin-1") + samples).hex()
        lines = [bytes(samples[at : at + self.width * self.channels]) for at in range(0, len(samples), self.width * self.channels)]
        filters = [self.form["png"].get("filter") or 0] * len(lines)
        return png(self.form["png"], filters, lines, self.channels).hex()

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


# --- classical images (15.9) --------------------------------------------------------------------------------------------


class ClassicalImages:
    def __init__(self, outline, tensors):
        self.height, self.width, self.channels = (outline[side] for side in ("height", "width", "channels"))
        self.operations, self.classes = outline["operations"], outline["classes"]
        (count, length), data = tensors["bases"]
        self.bases = [data[image * length : (image + 1) * length] for image in range(count)]

    def draw(self, seed, number, conditions):
        chance = Chance(seed, number)
        operation = self.operations[chance.below(len(self.operations))]
        starts = [sum(one["images"] for one in self.classes[:place]) for place in range(len(self.classes))]
        classes = [
            (start, one["images"])
            for start, one in zip(starts, self.classes)
            if conditions.get("label", one.get("label")) == one.get("label")
        ]
        images = [count for _, count in classes]
        start, count = classes[chosen(chance.below(sum(images)), images)]
        one = chance.below(count)
        planes = self.planes(self.bases[start + one])
        if operation == "mixup":
            other = chance.below(count - 1)
            other = self.bases[start + other + (other >= one)]
            share = chance.below(255) + 1
            samples = [(a * share + b * (256 - share) + 128) >> 8 for a, b in zip(self.bases[start + one], other)]
        elif operation == "noise":
            base, normals = self.bases[start + one], []
            for _ in range(0, len(base), 2):
                normals += chance.normals()
            moved = [f32(f32(a + f32(normal * 8)) + 0.5) for a, normal in zip(base, normals)]
            samples = [min(max(int(sample), 0), 255) for sample in moved]
        elif operation == "jitter":
            brightness, contrast = (205 + chance.below(103) for _ in range(2))
            base = self.bases[start + one]
            mean = (sum(base) + len(base) // 2) // len(base)
            values = [brightness * (256 * mean + contrast * (sample - mean)) for sample in base]
            samples = [min(max((value + 32768) >> 16, 0), 255) for value in values]
        elif operation == "flip":
            samples = [sample for plane in planes for row in plane for sample in reversed(row)]
        elif operation == "shift":
            samples = self.shifted(planes, chance)
        else:
            samples = self.cropped(planes, chance)
        plane = self.height * self.width
        return bytes(samples[channel * plane + at] for at in range(plane) for channel in range(self.channels)).hex()

    def planes(self, base):
        width, rows_ = self.width, range(self.height * self.channels)
        lines = [list(base[row * width : (row + 1) * width]) for row in rows_]
        return [lines[channel * self.height : (channel + 1) * self.height] for channel in range(self.channels)]

    def shifted(self, planes, chance):
        down, right = self.height // 8, self.width // 8
        across = 2 * right + 1
        ways = (2 * down + 1) * across - 1
        way = chance.below(ways)
        way += way >= ways // 2
        rows_, columns = way // across - down, way % across - right
        near = lambda at, side: min(max(at, 0), side - 1)  # noqa: E731
        return [
            plane[near(row + rows_, self.height)][near(column + columns, self.width)]
            for plane in planes
            for row in range(self.height)
            for column in range(self.width)
        ]

    def cropped(self, planes, chance):
        def part(side):
            length = side - 1 - chance.below(side // 5)
            return chance.below(side - length + 1), length

        def between(at, side, length):
            place = min(max((2 * at + 1) * length * 32768 // side - 32768, 0), (length - 1) * 65536)
            first, share = divmod(place, 65536)
            return first, min(first + 1, length - 1), share

        (top, height), (left, width) = part(self.height), part(self.width)
        samples = []
        for plane in planes:
            for row in range(self.height):
                above, below, down = between(row, self.height, height)
                for column in range(self.width):
                    before, behind, right = between(column, self.width, width)
                    line = lambda y: (  # noqa: E731
                        plane[top + y][left + before] * (65536 - right) + plane[top + y][left + behind] * right
                    )
                    total = line(above) * (65536 - down) + line(below) * down
                    samples.append((total + 2**31) // 2**32)
        return samples



def main(arguments):
    path, seed, first, count, *conditions = arguments
    with open(path, "rb") as file:
        outline, tensors = read(file.read())
    conditions = dict(condition.split("=", 1) for condition in conditions)
    if outline["family"] == "classical":
        model = (ClassicalRows if outline["payload"] == "rows" else ClassicalImages)(outline, tensors)
    elif outline["family"] == "autoregressive" or outline.get("payload") == "rows":
        model = Rows(outline["family"], outline["version"], tensors)
    else:
        model = Images(outline, tensors)
    for number in range(int(first), int(first) + int(count)):
        print(model.draw(int(seed), number, conditions))


if __name__ == "__main__":
    main(sys.argv[1:])
