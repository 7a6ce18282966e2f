"""Reads a GGUF file, as far as the scripts beside this one need. Layout of the file: docs/01-gguf.md."""
import struct

F32, F16 = 0, 1  # tensor types
FLOAT32, STRING, ARRAY = 6, 8, 9  # types of metadata
SIZES = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
ALIGNMENT = 32


def aligned(n):
    return (n + ALIGNMENT - 1) // ALIGNMENT * ALIGNMENT


class Reader:
    def __init__(self, path):
        self.data = open(path, "rb").read()
        self.position = 8
        self.n_tensors, self.n_pairs = self.take("QQ")

    def take(self, layout):
        values = struct.unpack_from("<" + layout, self.data, self.position)
        self.position += struct.calcsize("<" + layout)
        return values if len(values) > 1 else values[0]

    def take_text(self):
        length = self.take("Q")
        self.position += length
        return self.data[self.position - length : self.position]

    def take_value(self, kind):
        """The value if it is a text; other values are skipped."""
        if kind == STRING:
            return self.take_text()
        if kind == ARRAY:
            kind, count = self.take("IQ")
            for _ in range(count):
                self.take_value(kind)
        else:
            self.position += SIZES[kind]

    def take_tensor(self):
        """name, shape, type, offset"""
        name = self.take_text()
        shape = [self.take("Q") for _ in range(self.take("I"))]
        return name, shape, *self.take("IQ")


def text(value):
    return struct.pack("<Q", len(value)) + value
