"""Write stories with the quantized model (dequantized, in PyTorch).

    /usr/bin/python3 sample.py MODEL.gguf [--count 200] [--temperature 0.8] [--top-k 40]
                                [--top-p 0.9] [--seed 1] [--prompt TEXT]

The stories go to standard output with a line --- between them: what check_stories.py reads.
"""
import argparse

import torch

import gguf_file
import tokenizer
from model import Config, Model


def load(path):
    """The model and the tokenizer of a GGUF file."""
    file = gguf_file.Reader(path)
    value = file.metadata
    config = Config(vocab_size=value["llama.vocab_size"], context_length=value["llama.context_length"],
                    dim=value["llama.embedding_length"], n_layers=value["llama.block_count"],
                    n_heads=value["llama.attention.head_count"],
                    n_kv_heads=value["llama.attention.head_count_kv"],
                    feed_forward_dim=value["llama.feed_forward_length"],
                    norm_eps=value["llama.attention.layer_norm_rms_epsilon"],
                    rope_freq_base=value["llama.rope.freq_base"])
    model = Model(config)
    model.load_state_dict({name: torch.tensor(weights) for name, weights in file.tensors.items()})
    tokens = tokenizer.Tokenizer(value["tokenizer.ggml.tokens"], value["tokenizer.ggml.scores"],
                                 value["tokenizer.ggml.token_type"])
    return model, tokens


def choose(logits, options):
    """One token for each row of logits: top-k, top-p, then temperature (0 takes the best)."""
    if options.temperature == 0:
        return logits.argmax(-1)
    logits, ids = logits.sort(-1, descending=True)
    if options.top_k:
        logits, ids = logits[:, :options.top_k], ids[:, :options.top_k]
    probabilities = logits.softmax(-1)
    before = probabilities.cumsum(-1) - probabilities
    logits = logits.masked_fill(before >= options.top_p, float("-inf"))
    picked = torch.multinomial((logits / options.temperature).softmax(-1), 1)
    return ids.gather(-1, picked)[:, 0]


@torch.no_grad()
def sample(model, tokens, options):
    start = [tokenizer.BEGIN] + tokens.encode(options.prompt)
    rows = torch.tensor([start] * options.count)
    ended = torch.zeros(options.count, dtype=torch.bool)
    caches = [{} for _ in model.blk]
    position, step = 0, rows
    while rows.shape[1] < options.length and not ended.all():
        logits = model(step, caches, position)[:, -1]
        position += step.shape[1]
        step = choose(logits, options)[:, None]
        rows = torch.cat((rows, step), 1)
        ended |= step[:, 0] == tokenizer.END
    stories = []
    for row in rows.tolist():
        row = row[1:]
        stories.append(tokens.decode(row[:row.index(tokenizer.END)] if tokenizer.END in row else row))
    return stories


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("model")
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--length", type=int, default=500, help="most tokens of a story")
    parser.add_argument("--temperature", type=float, default=0.8)
    parser.add_argument("--top-k", type=int, default=0, help="0: all tokens")
    parser.add_argument("--top-p", type=float, default=1.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--prompt", default="")
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(options.seed)
    model, tokens = load(options.model)
    print("\n---\n".join(sample(model, tokens, options)))


if __name__ == "__main__":
    main()
