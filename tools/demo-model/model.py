"""A LLaMA-style transformer in PyTorch, with the tensor names that GGUF uses.

Pre-norm blocks (RMS norm), rotary position embedding on interleaved pairs, grouped-query
attention, a SwiGLU feed-forward network, and the token embedding reused as the output.
"""
import dataclasses
import math

import torch
from torch import nn
from torch.nn import functional


@dataclasses.dataclass
class Config:
    vocab_size: int = 1536
    context_length: int = 512
    dim: int = 256
    n_layers: int = 4
    n_heads: int = 8
    n_kv_heads: int = 4
    feed_forward_dim: int = 512
    norm_eps: float = 1e-5
    rope_freq_base: float = 10000.0

    @property
    def head_dim(self):
        return self.dim // self.n_heads


class RMSNorm(nn.Module):
    def __init__(self, dim, eps):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(dim))
        self.eps = eps

    def forward(self, x):
        x = x.float()
        return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + self.eps) * self.weight


def rope_table(config):
    """cos and sin of position * base^(-2j / head_dim), each [context_length, head_dim / 2]."""
    j = torch.arange(0, config.head_dim, 2, dtype=torch.float64)
    frequency = config.rope_freq_base ** (-j / config.head_dim)
    angle = torch.arange(config.context_length, dtype=torch.float64)[:, None] * frequency
    return angle.cos().float(), angle.sin().float()


def rotate(x, cos, sin):
    """Turn each pair (x[2j], x[2j+1]) of x [batch, length, heads, head_dim] by its angle."""
    even, odd = x.float().unflatten(-1, (-1, 2)).unbind(-1)
    cos, sin = cos[:, None, :], sin[:, None, :]
    return torch.stack((even * cos - odd * sin, even * sin + odd * cos), -1).flatten(-2)


class Block(nn.Module):
    def __init__(self, config):
        super().__init__()
        dim, kv_dim = config.dim, config.n_kv_heads * config.head_dim
        self.config = config
        self.attn_norm = RMSNorm(dim, config.norm_eps)
        self.attn_q = nn.Linear(dim, dim, bias=False)
        self.attn_k = nn.Linear(dim, kv_dim, bias=False)
        self.attn_v = nn.Linear(dim, kv_dim, bias=False)
        self.attn_output = nn.Linear(dim, dim, bias=False)
        self.ffn_norm = RMSNorm(dim, config.norm_eps)
        self.ffn_gate = nn.Linear(dim, config.feed_forward_dim, bias=False)
        self.ffn_up = nn.Linear(dim, config.feed_forward_dim, bias=False)
        self.ffn_down = nn.Linear(config.feed_forward_dim, dim, bias=False)

    def attention(self, x, cos, sin, mask, cache):
        config, (batch, length, _) = self.config, x.shape
        q = self.attn_q(x).view(batch, length, config.n_heads, config.head_dim)
        k = self.attn_k(x).view(batch, length, config.n_kv_heads, config.head_dim)
        v = self.attn_v(x).view(batch, length, config.n_kv_heads, config.head_dim)
        q, k = rotate(q, cos, sin).to(v.dtype), rotate(k, cos, sin).to(v.dtype)
        if cache is not None:
            if "k" in cache:
                k, v = torch.cat((cache["k"], k), 1), torch.cat((cache["v"], v), 1)
            cache["k"], cache["v"] = k, v
        # Query heads that share a key/value head become one longer row of queries.
        group = config.n_heads // config.n_kv_heads
        q = q.view(batch, length, config.n_kv_heads, group, config.head_dim)
        q = q.permute(0, 2, 3, 1, 4).reshape(batch, config.n_kv_heads, group * length, config.head_dim)
        k, v = k.permute(0, 2, 3, 1), v.transpose(1, 2)
        scores = (q * config.head_dim ** -0.5) @ k
        # Softmax is computed in float32 even if the products are bfloat16. Its gradient is a small difference
        # of larger numbers. In bfloat16 it would be lost, and the heads could not learn where to look.
        scores = scores.float().view(batch, config.n_kv_heads, group, length, -1) + mask
        weights = scores.softmax(-1).view(batch, config.n_kv_heads, group * length, -1)
        out = (weights.to(v.dtype) @ v).view(batch, config.n_heads, length, config.head_dim)
        return self.attn_output(out.transpose(1, 2).reshape(batch, length, -1))

    def forward(self, x, cos, sin, mask, cache):
        x = x + self.attention(self.attn_norm(x), cos, sin, mask, cache)
        y = self.ffn_norm(x)
        return x + self.ffn_down(functional.silu(self.ffn_gate(y)) * self.ffn_up(y))


class Model(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.config = config
        self.token_embd = nn.Embedding(config.vocab_size, config.dim)
        self.blk = nn.ModuleList(Block(config) for _ in range(config.n_layers))
        self.output_norm = RMSNorm(config.dim, config.norm_eps)
        for name, weight in self.named_parameters():
            if weight.dim() == 2:
                # The matrices that write to the residual stream start smaller.
                writes = name.endswith(("attn_output.weight", "ffn_down.weight"))
                nn.init.normal_(weight, std=0.04 / math.sqrt(2 * config.n_layers) if writes else 0.04)
        self.cos, self.sin = rope_table(config)

    def forward(self, tokens, caches=None, position=0):
        """Logits [batch, length, vocab_size]; caches (one dict per block) hold earlier keys and values."""
        length = tokens.shape[1]
        cos, sin = self.cos[position:position + length], self.sin[position:position + length]
        mask = torch.full((length, position + length), float("-inf")).triu(position + 1)
        x = self.token_embd(tokens)
        for i, block in enumerate(self.blk):
            x = block(x, cos, sin, mask, caches[i] if caches is not None else None)
        return functional.linear(self.output_norm(x), self.token_embd.weight)
