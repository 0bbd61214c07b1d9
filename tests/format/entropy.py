#!/usr/bin/env python3
"""Decodes entropy-coded streams, from FORMAT.md (section 12) alone and with nothing but the standard library.

    entropy.py FILE...

Each file is a golden file of tests/golden/entropy: tables, a stream, and what it holds. Prints a line for each that holds what it
says, and fails at the first that does not. It is slow and plain on purpose.
"""

import json
import sys

L = 1 << 31


class Corrupt(Exception):
    """The bytes are not what FORMAT.md describes."""


def check(condition, what):
    if not condition:
        raise Corrupt(what)


class Bits:
    """Bits from the highest of a byte to the lowest."""

    def __init__(self, data):
        self.bits = "".join(f"{byte:08b}" for byte in data)
        self.at = 0

    def take(self, count):
        check(self.at + count <= len(self.bits), "a table ends early")
        self.at += count
        return int("0" + self.bits[self.at - count : self.at], 2)

    def gamma(self):
        zeroes = 0
        while self.take(1) == 0:
            zeroes += 1
        return 1 << zeroes | self.take(zeroes)


def table(data):
    """Bits and frequencies of a table that takes all of `data` (12.1)."""
    bits, order = data[0] % 16 + 1, data[0] // 16
    at, symbols = 1, 0
    while True:
        symbols |= (data[at] & 127) << 7 * (at - 1)
        at += 1
        if data[at - 1] < 128:
            break
    numbers = Bits(data[at:])
    frequencies, left, less_one = [], 1 << bits, 0
    while left > 0:
        if len(frequencies) == symbols - 1:
            frequencies.append(left)
            break
        frequency = ((numbers.gamma() - 1) << order | numbers.take(order)) + less_one
        less_one = int(frequency == 0)
        frequencies += [frequency] if frequency else [0] * numbers.gamma()
        left -= frequency
        check(left >= 0 and len(frequencies) < symbols, "a table's frequencies do not fit")
    frequencies += [0] * (symbols - len(frequencies))
    check(at + (numbers.at + 7) // 8 == len(data), "a table has another length")
    check(int("0" + numbers.bits[numbers.at :], 2) == 0, "padding is not zero")
    return bits, frequencies


class Stream:
    """A stream of so many lanes (12.2 to 12.5)."""

    def __init__(self, data, lanes):
        length = len(data) if len(data) < 8 else 4 + len(data) % 4
        check(length == 0 or data[length - 1] != 0, "the state begins with a zero byte")
        self.states = [int.from_bytes(data[:length], "little")]
        self.words = [int.from_bytes(data[at : at + 4], "little") for at in range(length, len(data), 4)]
        self.turn = 0
        self.lanes = 1
        self.refill()
        if len(data) > 4 * lanes:
            others = []
            for _ in range(lanes - 1):
                below = 31 + self.raw(5)
                others.append(1 << below | self.raw(below))
            self.states += others
            self.lanes = lanes

    def refill(self):
        if self.states[self.turn] >= L:
            return
        if not self.words and self.lanes > 1:
            # The other lanes hold the words that are left; the next turn's comes first.
            order = [(self.turn + i) % self.lanes for i in range(1, self.lanes)]
            check(all(self.states[lane] >> 32 == 1 for lane in order), "a lane does not end as it begins")
            self.words = [self.states[lane] & 0xFFFFFFFF for lane in order]
            self.states, self.turn, self.lanes = [self.states[self.turn]], 0, 1
        if self.words:
            self.states[self.turn] = self.states[self.turn] << 32 | self.words.pop(0)

    def symbol(self, bits, frequencies):
        """The next symbol, with a table, which gives its likeliest symbol the first slots (12.1)."""
        likeliest = frequencies.index(max(frequencies))
        return self.shared(bits, frequencies, [likeliest] + [i for i in range(len(frequencies)) if i != likeliest])

    def shared(self, bits, frequencies, symbols):
        """The next symbol, where these have their slots in this order."""
        state = self.states[self.turn]
        size = 1 << bits
        slot = state % size
        if state < size:
            slot = order(bits)[state]
        start = 0
        for symbol in symbols:
            if slot < start + frequencies[symbol]:
                break
            start += frequencies[symbol]
        if state < size:
            mine = range(start, start + frequencies[symbol])
            state = sum(1 for other in order(bits)[:state] if other in mine)
        else:
            state = state // size * frequencies[symbol] + slot - start
        self.advance(state)
        return symbol

    def raw(self, bits):
        value = 0
        for at in range(0, bits, 16):
            piece = min(16, bits - at)
            state = self.states[self.turn]
            if state < 1 << piece:
                slot, state = order(piece)[state], 0
            else:
                slot, state = state % (1 << piece), state >> piece
            self.advance(state)
            value |= slot << at
        return value

    def advance(self, state):
        self.states[self.turn] = state
        self.refill()
        self.turn = (self.turn + 1) % self.lanes

    def finish(self):
        check(self.lanes == 1 and self.states == [0] and not self.words, "the stream does not end where its symbols do")


ORDERS = {}


def order(bits):
    """Slots by falling number of trailing zeros, then by place (12.3)."""
    if bits not in ORDERS:
        trailing = lambda slot: bits if slot == 0 else (slot & -slot).bit_length() - 1
        ORDERS[bits] = sorted(range(1 << bits), key=lambda slot: (-trailing(slot), slot))
    return ORDERS[bits]


def main():
    for name in sys.argv[1:]:
        with open(name, encoding="utf-8") as file:
            golden = json.load(file)
        tables = [table(bytes.fromhex(entry["bytes"])) for entry in golden["tables"]]
        for entry, read in zip(golden["tables"], tables):
            check((entry["bits"], entry["frequencies"]) == read, f"{name}: a table is another")
        stream = Stream(bytes.fromhex(golden["stream"]), golden["lanes"])
        for item in golden["items"]:
            if "raw" in item:
                check(stream.raw(item["bits"]) == item["raw"], f"{name}: raw bits are others")
            else:
                check(stream.symbol(*tables[item["table"]]) == item["symbol"], f"{name}: a symbol is another")
        stream.finish()
        print(f"{name}: {len(golden['items'])} items")


if __name__ == "__main__":
    main()
