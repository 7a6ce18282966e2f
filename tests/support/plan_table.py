"""The table of chapter 6 that says how much memory TinyLlama needs, compared with what `mini-cllm inspect` plans for a
file of that shape. The file's weights are a hole, which takes no room on the disk."""
import json
import os
import re
import struct
import subprocess
import tempfile

F32, Q4_0, Q6_K = 0, 2, 14
U32, FLOAT, STRING, ARRAY, I32 = 4, 6, 8, 9, 5  # types of metadata
LAYER = {"attn_q": (2048, 2048), "attn_k": (2048, 256), "attn_v": (2048, 256), "attn_output": (2048, 2048),
         "ffn_gate": (2048, 5632), "ffn_up": (2048, 5632), "ffn_down": (5632, 2048)}
NUMBERS = {"block_count": 22, "context_length": 2048, "embedding_length": 2048, "feed_forward_length": 5632,
           "attention.head_count": 32, "attention.head_count_kv": 4, "rope.dimension_count": 64}


def text(s):
    return struct.pack("<Q", len(s)) + s.encode()


def write_tinyllama(path):
    def array(key, kind, items):
        return text(key) + struct.pack("<IIQ", ARRAY, kind, len(items)) + b"".join(items)

    tensors = [("token_embd", Q4_0, 2048, 32000), ("output_norm", F32, 2048), ("output", Q6_K, 2048, 32000)]
    for i in range(22):
        tensors += [(f"blk.{i}.{name}", F32, 2048) for name in ("attn_norm", "ffn_norm")]
        tensors += [(f"blk.{i}.{name}", Q4_0, *shape) for name, shape in LAYER.items()]
    fields = [text("general.architecture") + struct.pack("<I", STRING) + text("llama")]
    fields += [text("llama." + key) + struct.pack("<II", U32, n) for key, n in NUMBERS.items()]
    fields += [text("llama.attention.layer_norm_rms_epsilon") + struct.pack("<If", FLOAT, 1e-5),
               text("tokenizer.ggml.model") + struct.pack("<I", STRING) + text("llama"),
               array("tokenizer.ggml.tokens", STRING, [text(f"<0x{i:02X}>" if i < 256 else f"t{i}") for i in range(32000)]),
               array("tokenizer.ggml.scores", FLOAT, [struct.pack("<f", -i) for i in range(32000)]),
               array("tokenizer.ggml.token_type", I32, [struct.pack("<i", 6 if i < 256 else 1) for i in range(32000)])]
    infos, at = [], 0
    for name, kind, *shape in tensors:
        infos.append(text(name + ".weight") + struct.pack(f"<I{len(shape)}QIQ", len(shape), *shape, kind, at))
        n = shape[0] * (shape[1] if len(shape) > 1 else 1)
        at += {F32: 4 * n, Q4_0: n // 32 * 18, Q6_K: n // 256 * 210}[kind]
    head = b"GGUF" + struct.pack("<IQQ", 3, len(infos), len(fields)) + b"".join(fields + infos)
    with open(path, "wb") as file:
        file.write(head)
        file.truncate((len(head) + 31) // 32 * 32 + at)


def number(s):
    return int(s.replace(",", ""))


def has_avx512():
    """The table is for these kernels."""
    try:
        with open("/proc/cpuinfo") as file:
            return "avx512_vnni" in file.read()
    except OSError:
        return False


def wrong_plan(build, chapter):
    """What is wrong with the table, or "". The table is for four threads, the program plans for this machine's."""
    rows = {}
    for name, how, n_bytes, mib in re.findall(r"^\| ([\w: *]+) \| ?(.*) \| ([\d,*]+) \| ?([\d.*]*) \|$", chapter, re.M):
        rows[name.strip("*")] = (how, number(n_bytes.strip("*")), mib.strip("*"))
    with tempfile.TemporaryDirectory() as room:
        path = os.path.join(room, "tinyllama.gguf")
        write_tinyllama(path)
        plan = json.loads(subprocess.run([f"{build}/mini-cllm", "inspect", path, "--ctx", "2048", "--json"], capture_output=True, check=True).stdout)["memory"]
    each = number(re.match(r"4 \* ([\d,]+)$", rows["scratch: threads"][0])[1])
    n_tokens, of = re.match(r"(\d+) tokens of ([\d,]+) bytes$", rows["scratch: batch"][0]).groups()
    wrong = []
    for what, said, true in (
            ("weights", rows["weights"][1], plan["weights"]), ("KV cache", rows["KV cache"][1], plan["kv_cache"]),
            ("scratch: threads", rows["scratch: threads"][1], 4 * each), ("scratch: batch", rows["scratch: batch"][1], int(n_tokens) * number(of)),
            ("scratch", rows["scratch"][1], sum(n for name, (_, n, _) in rows.items() if name.startswith("scratch: "))),
            ("together", rows["together"][1], sum(rows[name][1] for name in ("weights", "KV cache", "scratch")))):
        if said != true: wrong.append(f"{what}: {said}, not {true}")
    n_threads, rest = divmod(plan["scratch"] - rows["scratch"][1] + 4 * each, each)
    if has_avx512() and (rest != 0 or not 1 <= n_threads <= os.cpu_count()):
        wrong.append(f"scratch: {rows['scratch'][1]}, and the plan has {plan['scratch']}: they do not differ by whole threads of {each}")
    for name, (_, n, mib) in rows.items():
        if mib and f"{n / 2**20:.1f}" != mib: wrong.append(f"{name}: {n} bytes are not {mib} MiB")
    return "\n".join(wrong)
