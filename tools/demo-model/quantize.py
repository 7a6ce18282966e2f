"""The two block formats of the demo model, in numpy: Q8_0 and Q6_K, both directions.

A row of weights is cut into blocks; a block stores small integers and their scale.

Q8_0: 32 weights in 34 bytes.    weight = d * q
      float16 d, int8 q[32]
Q6_K: 256 weights in 210 bytes.  weight = d * scale[i / 16] * (q - 32), q of 6 bits
      the low 4 bits of q [128], the high 2 bits of q [64], int8 scale[16], float16 d
"""
import numpy

# name: (GGUF type number, weights per block, bytes per block)
FORMATS = {"F32": (0, 1, 4), "Q8_0": (8, 32, 34), "Q6_K": (14, 256, 210)}


def as_bytes(values):
    """An array [blocks, n] as the bytes of each block."""
    return numpy.ascontiguousarray(values).view(numpy.uint8).reshape(len(values), -1)


def quantize_q8_0(weights):
    x = weights.reshape(-1, 32).astype(numpy.float32)
    d = (numpy.abs(x).max(1, keepdims=True) / 127).astype(numpy.float16)
    step = d.astype(numpy.float32)
    q = numpy.rint(numpy.divide(x, step, out=numpy.zeros_like(x), where=step > 0))
    q = q.clip(-127, 127).astype(numpy.int8)
    return numpy.concatenate((as_bytes(d), as_bytes(q)), 1)


def dequantize_q8_0(blocks):
    d = blocks[:, :2].copy().view(numpy.float16).astype(numpy.float32)
    return d * blocks[:, 2:].view(numpy.int8).astype(numpy.float32)


def best_scale(x):
    """For each group of 16 (last axis): the scale whose 6-bit grid fits it best."""
    # The reach says where on the grid the weight of largest magnitude lies: with 32 it becomes -32, the
    # end. So the scale has the opposite sign of that weight. Smaller and larger reaches are tried, too.
    largest = numpy.take_along_axis(x, numpy.abs(x).argmax(-1)[..., None], -1)
    best = numpy.zeros_like(largest)
    best_error = numpy.full_like(largest, numpy.inf)
    for reach in numpy.arange(28.0, 36.0, 0.25, dtype=numpy.float32):
        scale = -largest / reach
        q = numpy.divide(x, scale, out=numpy.zeros_like(x), where=scale != 0)
        q = numpy.rint(q).clip(-32, 31)
        # Given these integers, the scale of the least squared error:
        squares = (q * q).sum(-1, keepdims=True)
        scale = (q * x).sum(-1, keepdims=True) / numpy.maximum(squares, 1)
        error = ((scale * q - x) ** 2).sum(-1, keepdims=True)
        better = error < best_error
        best, best_error = numpy.where(better, scale, best), numpy.where(better, error, best_error)
    return best


def quantize_q6_k(weights):
    x = weights.reshape(-1, 16, 16).astype(numpy.float32)
    scales = best_scale(x)                                              # [blocks, 16, 1]
    d = (numpy.abs(scales).max(1, keepdims=True) / 127).astype(numpy.float16)
    step = d.astype(numpy.float32)
    scale = numpy.divide(scales, step, out=numpy.zeros_like(scales), where=step > 0)
    scale = numpy.rint(scale).clip(-128, 127)
    step = step * scale
    q = numpy.divide(x, step, out=numpy.zeros_like(x), where=step != 0)
    q = (numpy.rint(q).clip(-32, 31) + 32).astype(numpy.uint8)
    # Each half of a block, 128 weights, has four quarters of 32. Quarters 0 and 2 share bytes
    # for their low bits, and so do 1 and 3. All four share bytes for their high bits.
    q = q.reshape(-1, 2, 4, 32)
    low, high = q & 15, q >> 4
    low = low[:, :, :2] | low[:, :, 2:] << 4                            # [blocks, 2, 2, 32]
    high = high[:, :, 0] | high[:, :, 1] << 2 | high[:, :, 2] << 4 | high[:, :, 3] << 6
    return numpy.concatenate((low.reshape(-1, 128), high.reshape(-1, 64),
                              as_bytes(scale.astype(numpy.int8)), as_bytes(d.reshape(-1, 1))), 1)


def dequantize_q6_k(blocks):
    low = blocks[:, :128].reshape(-1, 2, 2, 32)
    high = blocks[:, 128:192].reshape(-1, 2, 1, 32)
    scale = blocks[:, 192:208].view(numpy.int8).astype(numpy.float32)
    d = blocks[:, 208:].copy().view(numpy.float16).astype(numpy.float32)
    low = numpy.concatenate((low & 15, low >> 4), 2)                    # quarters 0 1 2 3
    high = high >> numpy.array([0, 2, 4, 6], numpy.uint8)[:, None] & 3
    q = (low | high << 4).astype(numpy.float32).reshape(-1, 16, 16) - 32
    return ((d * scale)[:, :, None] * q).reshape(-1, 256)


def quantize(weights, name):
    """The bytes of a matrix in a format."""
    if name == "F32":
        return weights.astype("<f4").tobytes()
    return {"Q8_0": quantize_q8_0, "Q6_K": quantize_q6_k}[name](weights).tobytes()


def dequantize(data, name, shape):
    """The float32 matrix that the bytes in a format stand for."""
    if name == "F32":
        return numpy.frombuffer(data, "<f4").reshape(shape)
    blocks = numpy.frombuffer(data, numpy.uint8).reshape(-1, FORMATS[name][2])
    return {"Q8_0": dequantize_q8_0, "Q6_K": dequantize_q6_k}[name](blocks).reshape(shape)
