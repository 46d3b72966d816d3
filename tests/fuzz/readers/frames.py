"""Reads documents from stdin, and prints each sample as a line.

A document is preceded by a line with its format and its length in bytes. Its samples are followed by the line `end`.
"""

import struct
import sys


def number(value):
    """Returns the bits of a number. All NaN are equal, and so are 0 and -0."""
    value = float(value) + 0.0
    return "nan" if value != value else struct.pack(">d", value).hex()


def pairs(labels):
    """Returns the labels, sorted by name."""
    bound = lambda name, value: "#" + number(value) if name in ("le", "quantile") else value.encode().hex()
    return ",".join(sorted(f"{name}={bound(name, value)}" for name, value in labels.items()))


def serve(samples):
    """Calls `samples` with the format and the bytes of each document."""
    while header := sys.stdin.buffer.readline():
        form, length = header.decode().split()
        document = sys.stdin.buffer.read(int(length))
        try:
            lines = list(samples(form, document))
        except Exception as error:
            lines = ["error " + repr(error)]
        sys.stdout.write("".join(line + "\n" for line in [*lines, "end"]))
        sys.stdout.flush()
