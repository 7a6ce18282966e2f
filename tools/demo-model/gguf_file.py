"""Writing and reading GGUF files (version 3, little-endian), as far as the demo model needs.

A file is a header, the metadata (key, type, value), the list of tensors and then, each
aligned to 32 bytes, the tensors' data.
"""
import struct

import numpy

from quantize import FORMATS, dequantize, quantize

ALIGNMENT = 32
UINT32, INT32, FLOAT32, BOOL, STRING, ARRAY, UINT64 = 4, 5, 6, 7, 8, 9, 10      # value types
PACKING = {UINT32: "<I", INT32: "<i", FLOAT32: "<f", BOOL: "<?", UINT64: "<Q"}


def pack_string(text):
    data = text.encode("utf-8")
    return struct.pack("<Q", len(data)) + data


def pack_value(kind, value):
    if kind == STRING:
        return pack_string(value)
    if kind == ARRAY:
        of, values = value
        return struct.pack("<IQ", of, len(values)) + b"".join(pack_value(of, one) for one in values)
    return struct.pack(PACKING[kind], value)


def padding(size):
    return b"\0" * (-size % ALIGNMENT)


def write(path, metadata, tensors):
    """metadata: list of (key, type, value); tensors: list of (name, float array, format)."""
    head = struct.pack("<4sIQQ", b"GGUF", 3, len(tensors), len(metadata))
    for key, kind, value in metadata:
        head += pack_string(key) + struct.pack("<I", kind) + pack_value(kind, value)
    body = b""
    for name, weights, form in tensors:
        shape = weights.shape[::-1]                     # GGUF names the row length first
        head += pack_string(name) + struct.pack("<I", len(shape))
        head += struct.pack(f"<{len(shape)}Q", *shape) + struct.pack("<IQ", FORMATS[form][0], len(body))
        data = quantize(weights, form)
        body += data + padding(len(data))
    with open(path, "wb") as file:
        file.write(head + padding(len(head)) + body)


class Reader:
    """The metadata (a dict) and the tensors (a dict of float32 arrays) of a file."""

    def __init__(self, path):
        with open(path, "rb") as file:
            self.data = file.read()
        self.at = 0
        magic, version, tensor_count, metadata_count = self.take("<4sIQQ")
        if magic != b"GGUF" or version != 3:
            raise ValueError(path + ": not a GGUF file of version 3")
        self.metadata = {}
        for _ in range(metadata_count):
            key = self.string()
            self.metadata[key] = self.value(self.take("<I")[0])
        infos = []
        for _ in range(tensor_count):
            name = self.string()
            shape = self.take(f"<{self.take('<I')[0]}Q")[::-1]
            infos.append((name, shape) + self.take("<IQ"))
        start = self.at + len(padding(self.at))
        names = {number: name for name, (number, _, _) in FORMATS.items()}
        self.tensors = {}
        for name, shape, number, offset in infos:
            _, block_weights, block_bytes = FORMATS[names[number]]
            size = int(numpy.prod(shape)) // block_weights * block_bytes
            data = self.data[start + offset:start + offset + size]
            self.tensors[name] = dequantize(data, names[number], shape)

    def take(self, packing):
        values = struct.unpack_from(packing, self.data, self.at)
        self.at += struct.calcsize(packing)
        return values

    def string(self):
        size, = self.take("<Q")
        self.at += size
        return self.data[self.at - size:self.at].decode("utf-8")

    def value(self, kind):
        if kind == STRING:
            return self.string()
        if kind == ARRAY:
            of, count = self.take("<IQ")
            return [self.value(of) for _ in range(count)]
        return self.take(PACKING[kind])[0]
