"""Train the story model: grammar -> corpus -> tokenizer -> weights.

    /usr/bin/python3 train.py BUILD_DIR [--steps N] [--resume]

Writes BUILD_DIR/tokenizer.json and, every 200 steps and at the end,
BUILD_DIR/checkpoint.pt, from which --resume goes on.  The learning rate rises, stays the
same, and falls along a cosine in the last half of the steps.  As long as it has not begun
to fall, a run can be resumed with another number of steps: it is then like a run that had
that number from the start.
"""
import argparse
import dataclasses
import math
import os
import random
import sys
import time

import numpy
import torch
from torch.nn import functional

import grammar
import tokenizer
from model import Config, Model

VALIDATION_SEED = 7     # stories that the corpus does not hold, to measure the loss


def encode_stories(tokens, stories):
    return [numpy.array([tokenizer.BEGIN] + tokens.encode(story) + [tokenizer.END], dtype=numpy.int16)
            for story in stories]


def make_batches(rows, size, rng):
    """Shuffled batches of rows of similar length, so that little is padding."""
    order = list(range(len(rows)))
    rng.shuffle(order)
    batches = []
    for start in range(0, len(order), size * 50):
        group = sorted(order[start:start + size * 50], key=lambda i: len(rows[i]))
        batches += [group[i:i + size] for i in range(0, len(group), size)]
    rng.shuffle(batches)
    return batches


def pad(rows):
    """Rows as one matrix; -1 is padding."""
    matrix = numpy.full((len(rows), max(map(len, rows))), -1, dtype=numpy.int64)
    for i, row in enumerate(rows):
        matrix[i, :len(row)] = row
    return torch.from_numpy(matrix)


def loss_of(model, matrix, fast):
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=fast):
        logits = model(matrix[:, :-1].clamp(min=0))
    return functional.cross_entropy(logits.float().flatten(0, 1), matrix[:, 1:].flatten(), ignore_index=-1)


def learning_rate(step, steps, peak, warmup=200, fall=0.5):
    """Rises in the first `warmup` steps, and falls in the last half of all steps."""
    if step < warmup:
        return peak * (step + 1) / warmup
    progress = max(0.0, (step / steps - (1 - fall)) / fall)
    return peak * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * progress)))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("build_dir")
    parser.add_argument("--steps", type=int, default=6200, help="6000 batches of 8 are one pass over the corpus")
    parser.add_argument("--batch", type=int, default=8, help="stories in a batch")
    parser.add_argument("--peak", type=float, default=1.5e-3, help="highest learning rate")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--float32", action="store_true", help="do not use bfloat16 matrix products")
    parser.add_argument("--resume", action="store_true", help="go on from BUILD_DIR/checkpoint.pt")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(grammar.SEED)
    rng = random.Random(grammar.SEED)
    os.makedirs(options.build_dir, exist_ok=True)

    started = time.time()
    stories = list(grammar.Grammar().stories())
    config = Config()
    tokens = tokenizer.train(stories[:8000], config.vocab_size)
    tokens.save(os.path.join(options.build_dir, "tokenizer.json"))
    rows = encode_stories(tokens, stories)
    held_out = pad(encode_stories(tokens, grammar.Grammar().stories(100, VALIDATION_SEED)))
    mean = sum(map(len, rows)) / len(rows)
    print(f"{len(stories)} stories, {mean:.0f} tokens each, longest {max(map(len, rows))}, "
          f"{time.time() - started:.0f} s", flush=True)

    model = Model(config)
    # No decay for the embedding: names must stay apart for the model to tell who is who.
    decayed = [weight for name, weight in model.named_parameters() if name.startswith("blk") and weight.dim() == 2]
    others = [weight for name, weight in model.named_parameters() if not (name.startswith("blk") and weight.dim() == 2)]
    optimizer = torch.optim.AdamW([{"params": decayed, "weight_decay": 0.1},
                                   {"params": others, "weight_decay": 0.0}],
                                  betas=(0.9, 0.98), eps=1e-8)
    print(f"{sum(weight.numel() for weight in model.parameters())} parameters", flush=True)

    path = os.path.join(options.build_dir, "checkpoint.pt")

    def save(step, loss):
        torch.save({"config": dataclasses.asdict(config), "weights": model.state_dict(),
                    "optimizer": optimizer.state_dict(), "step": step, "validation_loss": loss}, path + ".new")
        os.replace(path + ".new", path)

    first_step = 0
    if options.resume:
        checkpoint = torch.load(path)
        model.load_state_dict(checkpoint["weights"])
        optimizer.load_state_dict(checkpoint["optimizer"])
        first_step = checkpoint["step"]

    started, seen, batches, recent = time.time(), 0, [], []
    for step in range(options.steps):
        if not batches:
            batches = make_batches(rows, options.batch, rng)
        batch = batches.pop()
        if step < first_step:
            continue
        matrix = pad([rows[i] for i in batch])
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(step, options.steps, options.peak)
        loss = loss_of(model, matrix, not options.float32)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        seen += int((matrix[:, 1:] >= 0).sum())
        recent.append(loss.item())
        if (step + 1) % 50 == 0:
            seconds = time.time() - started
            print(f"step {step + 1}/{options.steps}  loss {sum(recent) / len(recent):.4f}  "
                  f"{seen / seconds:.0f} tokens/s  {seconds / 60:.1f} min", flush=True)
            recent = []
        if (step + 1) % 200 == 0 or step + 1 == options.steps:
            with torch.no_grad():
                loss = loss_of(model, held_out, False).item()
            print(f"step {step + 1}  validation loss {loss:.4f}", flush=True)
            save(step + 1, loss)


if __name__ == "__main__":
    sys.exit(main())
