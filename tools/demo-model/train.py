"""Train the story model: grammar -> corpus -> tokenizer -> weights.

    /usr/bin/python3 train.py BUILD_DIR [--resume]

Writes BUILD_DIR/tokenizer.json and, every 200 steps and at the end,
BUILD_DIR/checkpoint.pt, from which --resume goes on.

PHASES is the plan.  First the model learns sentences.  What a story has settled earlier (who
the friend is, where they went) it is slow to pick up, since few words of a story depend
on it; so the second phase gives more weight to rare words that a story repeats.  In the
last phase all words count alike again and the learning rate falls.
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

@dataclasses.dataclass
class Phase:
    steps: int
    batch: int                  # stories in a batch
    repeat_weight: float        # how much a repeated rare word counts in the loss
    rate: float                 # learning rate at the start ...
    last_rate: float            # ... and at the end
    weight_decay: float = 0.0
    spread: bool = False        # begin by moving apart embeddings that lie close together


PHASES = [Phase(1400, 16, 1.0, 2e-3, 2e-3, weight_decay=0.1),
          Phase(600, 8, 5.0, 1.5e-3, 1.5e-3, weight_decay=0.1),
          Phase(700, 8, 5.0, 1.5e-3, 1.5e-3, spread=True),
          Phase(900, 8, 1.0, 1.5e-3, 1.5e-5)]
WARMUP = 200            # steps
RARE = 0.003            # a token is rare when its share of the corpus is less
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


def repeat_weights(matrix, rare, weight):
    """For each token of the matrix: weight where it is rare and its row has it earlier, else 1."""
    weights = torch.ones(matrix.shape)
    for row, row_weights in zip(matrix.tolist(), weights):
        seen = set()
        for i, token in enumerate(row):
            if token in seen:
                row_weights[i] = weight
            elif token in rare:
                seen.add(token)
    return weights


def losses_of(model, matrix, fast):
    """The loss at each token but the first, and which of them are not padding."""
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=fast):
        logits = model(matrix[:, :-1].clamp(min=0))
    targets = matrix[:, 1:]
    losses = functional.cross_entropy(logits.float().transpose(1, 2), targets, ignore_index=-1, reduction="none")
    return losses, targets >= 0


def spread_embedding(embedding, used, near=0.9, std=0.06):
    """Add noise to the used rows whose nearest neighbour is near.

    Words that fill the same places, such as the names of friends, drift towards the same
    embedding; the model can only learn to repeat the right one when they differ.
    """
    with torch.no_grad():
        distance = torch.cdist(embedding, embedding).fill_diagonal_(math.inf).min(1).values
        moved = (distance < near) & used
        noise = torch.randn(embedding.shape, generator=torch.Generator().manual_seed(grammar.SEED)) * std
        embedding += noise * moved[:, None]
        return int(moved.sum())


def find_phase(step):
    """The phase of a step, and how far into it the step is (0 to 1)."""
    for phase in PHASES:
        if step < phase.steps:
            return phase, step / phase.steps
        step -= phase.steps
    raise ValueError("after the last phase")


def learning_rate(step):
    """Rises for the first steps, later follows the phase: constant or falling along a cosine."""
    phase, done = find_phase(step)
    rate = phase.last_rate + (phase.rate - phase.last_rate) * 0.5 * (1 + math.cos(math.pi * done))
    return rate * min(1.0, (step + 1) / WARMUP)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("build_dir")
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
    counts = numpy.bincount(numpy.concatenate(rows), minlength=config.vocab_size)
    rare = {token for token in range(config.vocab_size) if counts[token] < RARE * counts.sum()}
    mean = sum(map(len, rows)) / len(rows)
    print(f"{len(stories)} stories, {mean:.0f} tokens each, longest {max(map(len, rows))}, "
          f"{time.time() - started:.0f} s", flush=True)

    model = Model(config)
    decayed = [weight for weight in model.parameters() if weight.dim() == 2]
    others = [weight for weight in model.parameters() if weight.dim() != 2]
    optimizer = torch.optim.AdamW([{"params": decayed}, {"params": others}], betas=(0.9, 0.98), eps=1e-8)
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

    steps = sum(phase.steps for phase in PHASES)
    started, seen, batches, recent, phase = time.time(), 0, [], [], None
    for step in range(steps):
        last_phase, phase = phase, find_phase(step)[0]
        if not batches or phase.batch != last_phase.batch:
            batches = make_batches(rows, phase.batch, rng)
        batch = batches.pop()
        if step < first_step:
            continue
        if phase.spread and phase is not last_phase:
            moved = spread_embedding(model.token_embd.weight, torch.from_numpy(counts > 0))
            print(f"{moved} embeddings moved apart", flush=True)
        matrix = pad([rows[i] for i in batch])
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(step)
            group["weight_decay"] = phase.weight_decay if group is optimizer.param_groups[0] else 0.0
        losses, real = losses_of(model, matrix, not options.float32)
        weights = repeat_weights(matrix, rare, phase.repeat_weight)[:, 1:] * real
        loss = (losses * weights).sum() / weights.sum()
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        seen += int(real.sum())
        recent.append((losses.detach().sum() / real.sum()).item())
        if (step + 1) % 50 == 0:
            seconds = time.time() - started
            print(f"step {step + 1}/{steps}  loss {sum(recent) / len(recent):.4f}  "
                  f"{seen / seconds:.0f} tokens/s  {seconds / 60:.1f} min", flush=True)
            recent = []
        if (step + 1) % 200 == 0 or step + 1 == steps:
            with torch.no_grad():
                losses, real = losses_of(model, held_out, False)
            loss = (losses.sum() / real.sum()).item()
            print(f"step {step + 1}  validation loss {loss:.4f}", flush=True)
            save(step + 1, loss)


if __name__ == "__main__":
    sys.exit(main())
