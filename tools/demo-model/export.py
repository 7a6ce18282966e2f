"""Write the trained model as a quantized GGUF file.

    /usr/bin/python3 export.py BUILD_DIR OUT.gguf

The embedding (which is the output matrix too) becomes Q8_0, the other matrices Q6_K, and
the norms stay float32.  The bytes depend on nothing but the checkpoint.
"""
import os
import sys

import torch

import gguf_file
import tokenizer
from gguf_file import ARRAY, BOOL, FLOAT32, INT32, STRING, UINT32
from model import Config

EMBEDDING_FORMAT, MATRIX_FORMAT = "Q8_0", "Q6_K"
MOSTLY_Q6_K = 18                # general.file_type


def export(build_dir, path):
    checkpoint = torch.load(os.path.join(build_dir, "checkpoint.pt"))
    tokens = tokenizer.Tokenizer.load(os.path.join(build_dir, "tokenizer.json"))
    config = Config(**checkpoint["config"])
    metadata = [
        ("general.architecture", STRING, "llama"),
        ("general.name", STRING, "mini-cllm demo stories"),
        ("general.description", STRING, "A small model that tells children's stories, trained on "
                                        "stories which mini-cllm's own grammar makes."),
        ("general.license", STRING, "MIT"),
        ("general.file_type", UINT32, MOSTLY_Q6_K),
        ("general.quantization_version", UINT32, 2),
        ("llama.context_length", UINT32, config.context_length),
        ("llama.embedding_length", UINT32, config.dim),
        ("llama.block_count", UINT32, config.n_layers),
        ("llama.feed_forward_length", UINT32, config.feed_forward_dim),
        ("llama.attention.head_count", UINT32, config.n_heads),
        ("llama.attention.head_count_kv", UINT32, config.n_kv_heads),
        ("llama.rope.dimension_count", UINT32, config.head_dim),
        ("llama.attention.layer_norm_rms_epsilon", FLOAT32, config.norm_eps),
        ("llama.rope.freq_base", FLOAT32, config.rope_freq_base),
        ("llama.vocab_size", UINT32, config.vocab_size),
        ("tokenizer.ggml.model", STRING, "llama"),
        ("tokenizer.ggml.tokens", ARRAY, (STRING, tokens.tokens)),
        ("tokenizer.ggml.scores", ARRAY, (FLOAT32, tokens.scores)),
        ("tokenizer.ggml.token_type", ARRAY, (INT32, tokens.types)),
        ("tokenizer.ggml.bos_token_id", UINT32, tokenizer.BEGIN),
        ("tokenizer.ggml.eos_token_id", UINT32, tokenizer.END),
        ("tokenizer.ggml.unknown_token_id", UINT32, tokenizer.UNKNOWN),
        ("tokenizer.ggml.add_bos_token", BOOL, True),
        ("tokenizer.ggml.add_eos_token", BOOL, False),
        ("tokenizer.ggml.add_space_prefix", BOOL, True),
    ]
    tensors = []
    for name, weights in checkpoint["weights"].items():
        form = "F32" if weights.dim() == 1 else EMBEDDING_FORMAT if name.startswith("token_embd") else MATRIX_FORMAT
        tensors.append((name, weights.numpy(), form))
    gguf_file.write(path, metadata, tensors)
    print(f"{path}: {os.path.getsize(path)} bytes, step {checkpoint['step']}, "
          f"validation loss before quantization {checkpoint['validation_loss']:.4f}")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__.strip())
    export(*sys.argv[1:])
