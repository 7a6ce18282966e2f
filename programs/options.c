/* The table of options and what is driven by it: parsing with getopt_long, range checks, defaults, --help. */
#include "options.h"

#include "bench.h"
#include "program.h"
#include "server_flags.h"
#include "text_stream.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef enum option_group {
    IN_TEXT,
    IN_SAMPLING,
    IN_TEST,
    IN_SPEED,
    IN_MODEL,
    IN_SERVER,
    IN_OUTPUT,
    N_GROUPS
} option_group;

static const char *const group_names[N_GROUPS] = {"Text",  "Sampling", "Measurement", "Speed and memory",
                                                  "Model", "Server",   "Output"};

typedef enum option_kind {
    FLAG,     /* bool */
    TEXT,     /* const char *, any */
    CHOICE,   /* const char *, one of `value` */
    DEVICE,   /* const char *, one of the library's names */
    WHOLE,    /* uint64_t from `least` to `most` */
    WHOLE32,  /* uint32_t of the same; -1 is UINT32_MAX */
    COUNTS,   /* count_list of the same */
    NUMBER,   /* float in [lower, upper], or above `lower` where lower_is_out */
    OVERRIDE, /* one more of options.overrides: KEY=TYPE:VALUE */
    LORA,     /* one more of options.loras: FILE or FILE:SCALE */
    LIST_OF,  /* text_list: one more text */
    STEPS,    /* options.sampling.steps: names, separated by semicolons or commas */
    BIAS,     /* one more of options.sampling.logit_bias: ID+BIAS or ID-BIAS */
    BREAKER,  /* one more of options.sampling.dry_breakers: TEXT, or "none" */
} option_kind;

typedef struct option_row {
    option_group group;
    unsigned commands; /* bits of those that take it */
    char letter;       /* or 0 */
    const char *name;
    option_kind kind;
    size_t field;      /* its place in struct options */
    const char *value; /* the value's name in --help; for a CHOICE its values, separated by bars */
    uint64_t least, most;
    float lower, upper;
    bool lower_is_out;
    bool or_minus_one;    /* of a WHOLE: -1 is allowed too, and stands for UINT64_MAX */
    const char *initial;  /* the default as a user would write it, or NULL: the field is 0 */
    const char *computed; /* if `initial` is NULL: the default in words, or NULL */
    const char *help;
} option_row;

#define FIELD(name) offsetof(options, name)
#define WRITES      (GENERATE | CHAT)
#define SAMPLES     (WRITES | SERVE)
#define EMBEDS      (EMBED | RERANK)
#define RUNS        (SAMPLES | EVAL | BENCH | EMBEDS)
#define ALL         (RUNS | INSPECT | TOKENIZE | DETOKENIZE | TEMPLATE | GRAMMAR)
#define MOST_TOKENS (1 << 24)        /* of a measurement */
#define MOST_SEED   (UINT64_MAX - 1) /* UINT64_MAX stands for -1 */

static const option_row rows[] = {
    {IN_TEXT, CHAT, 'a', "attach", LIST_OF, FIELD(attached), "FILE",
     .help = "add a file's text to the question; repeat for more files"},
    {IN_TEXT, CHAT, 0, "system", TEXT, FIELD(system), "TEXT|@FILE",
     .help = "the system message: instructions to the model before the conversation"},
    {IN_TEXT, CHAT, 0, "reasoning", TEXT, FIELD(reasoning), "show|hide|off|N",
     .computed = "show on a terminal, else hide",
     .help = "show or hide the model's reasoning; off asks for none, N ends it after N tokens"},
    {IN_TEXT, CHAT, 0, "context", CHOICE, FIELD(context), "stop|shift", .initial = "stop",
     .help = "what happens when the context is full: stop the answer, or drop the oldest turns"},
    {IN_TEXT, CHAT, 0, "image", TEXT, FIELD(image), "FILE", .help = "not supported yet: models read only text"},
    {IN_TEXT, GENERATE | TOKENIZE, 'p', "prompt", TEXT, FIELD(prompt), "TEXT",
     .help = "the text, exactly as given; - reads standard input, with its last newline; you may also give it after "
             "the model without -p; without a text, a pipe or a file as standard input is read"},
    {IN_TEXT, CHAT, 'p', "prompt", TEXT, FIELD(prompt), "TEXT",
     .help = "the question; - reads standard input; you may also give it after the model without -p"},
    {IN_TEXT, EMBED, 'p', "prompt", TEXT, FIELD(prompt), "TEXT",
     .help = "the text; each of its lines gives a vector; you may also give it after the model without -p; without "
             "--prompt and --file, standard input is read"},
    {IN_TEXT, EMBED, 'f', "file", TEXT, FIELD(file), "FILE", .help = "read the texts from a file, one per line"},
    {IN_TEXT, EMBED, 0, "truncate", FLAG, FIELD(truncate),
     .help = "cut a text that is longer than the model's context, instead of refusing it"},
    {IN_TEXT, RERANK, 'p', "prompt", TEXT, FIELD(prompt), "QUERY",
     .help = "the question that the documents should answer"},
    {IN_TEXT, RERANK, 'f', "file", TEXT, FIELD(file), "FILE", .computed = "standard input",
     .help = "read the documents from a file, one per line"},
    {IN_TEXT, GENERATE | TOKENIZE, 'f', "file", TEXT, FIELD(file), "FILE",
     .help = "read the text from a file, exactly as it is"},
    {IN_TEXT, CHAT, 'n', "n-tokens", WHOLE, FIELD(n_tokens), "N", 1, INT32_MAX, .or_minus_one = true, .computed = "-1",
     .help = "most tokens of an answer; -1: until the model ends it or the context is full"},
    {IN_TEXT, GENERATE, 'n', "n-tokens", WHOLE, FIELD(n_tokens), "N", 0, INT32_MAX, .or_minus_one = true,
     .initial = "256", .help = "most tokens to generate; -1: until the model ends the text or the context is full"},
    {IN_TEXT, SERVE, 'n', "n-tokens", WHOLE, FIELD(n_tokens), "N", 1, INT32_MAX, .or_minus_one = true, .initial = "-1",
     .help = "most tokens of a text if its request sets no limit; -1: until the model ends it or the context is full"},
    {IN_TEXT, CHAT, 0, "load", TEXT, FIELD(load), "FILE",
     .help = "continue a conversation that /save or --save wrote as JSON"},
    {IN_TEXT, CHAT, 0, "save", TEXT, FIELD(save), "FILE",
     .help = "save the conversation at the end: JSON, or Markdown if the name ends in .md"},
    {IN_TEXT, GENERATE, 0, "save", TEXT, FIELD(save), "FILE",
     .help = "save the text with its keys and values, to continue it with --load"},
    {IN_TEXT, GENERATE, 0, "load", TEXT, FIELD(load), "FILE",
     .help = "continue a saved text without evaluating it again; a prompt is added after it"},
    {IN_TEXT, GENERATE, 0, "echo", FLAG, FIELD(echo), .help = "print the prompt too"},
    {IN_TEXT, GENERATE | TOKENIZE, 0, "no-special", FLAG, FIELD(no_special),
     .help = "treat special tokens in the text, such as </s>, as plain text"},
    {IN_TEXT, GENERATE, 0, "ignore-eos", FLAG, FIELD(ignore_eos), .help = "do not stop when the model ends its text"},
    {IN_TEXT, TOKENIZE, 0, "no-bos", FLAG, FIELD(no_bos), .help = "add no BOS and EOS tokens to the text"},
    {IN_TEXT, TEMPLATE, 'f', "file", TEXT, FIELD(file), "FILE",
     .help = "read the conversation, or the answer, from a file instead of standard input"},
    {IN_TEXT, TEMPLATE | CHAT | SERVE, 0, "chat-template", TEXT, FIELD(chat_template), "NAME|FILE",
     .computed = "the model's own",
     .help = "use a different template: the name of one in the model's file, such as tool_use, the name of a family's, "
             "such as chatml, or a file with one"},
    {IN_TEXT, TEMPLATE | CHAT | SERVE, 0, "chat-template-kwargs", TEXT, FIELD(chat_template_kwargs), "JSON",
     .help = "more variables for the template, as a JSON object; they take precedence over the conversation's "
             "(with serve, the variables of a request take precedence over them)"},
    {IN_TEXT, TEMPLATE, 0, "parse", FLAG, FIELD(parse),
     .help =
         "read a model's answer instead of a conversation, and print its reasoning, content and tool calls as JSON"},
    {IN_TEXT, TEMPLATE, 0, "tools", TEXT, FIELD(tools), "FILE",
     .help = "with --parse: a JSON list of tools, which says what types arguments have"},
    {IN_TEXT, TEMPLATE, 0, "now", WHOLE, FIELD(now), "UNIX_TIME", 0, INT32_MAX, .or_minus_one = true, .initial = "-1",
     .help = "the time for strftime_now, in seconds since 1970; -1: the current time"},
    {IN_TEXT, TEMPLATE, 0, "adapt", FLAG, FIELD(adapt),
     .help =
         "change messages into the form that the template accepts, as chat does; without it they are passed unchanged"},
    {IN_TEXT, GENERATE | CHAT | GRAMMAR, 0, "grammar", TEXT, FIELD(grammar), "FILE|TEXT",
     .help = "make the text follow a grammar in llama.cpp's GBNF, from a file or given as a text that has ::= in it"},
    {IN_TEXT, GENERATE | CHAT | GRAMMAR, 0, "json-schema", TEXT, FIELD(json_schema), "FILE|TEXT",
     .help = "make the text JSON that fits a JSON schema, from a file or given as {...}; when writing, objects "
             "have only the properties that are listed, unless the schema mentions others"},
    {IN_TEXT, GENERATE | CHAT | GRAMMAR, 0, "json-order", CHOICE, FIELD(json_order), "any|declared",
     .help = "with --json-schema: properties in any order, or in the order of the schema (default: declared when "
             "writing, any for the command grammar)"},
    {IN_TEXT, GENERATE | CHAT | GRAMMAR, 0, "regex", TEXT, FIELD(regex), "REGEX",
     .help = "make the whole text match a regular expression"},
    {IN_TEXT, GENERATE | CHAT | GRAMMAR, 0, "choice", TEXT, FIELD(choice), "FILE",
     .help = "make the text one of the lines of a file"},
    {IN_TEXT, EMBED, 0, "tokens", TEXT, FIELD(tokens), "IDS",
     .help = "the token ids of one text, such as 1,2,3, instead of a text"},
    {IN_TEXT, EVAL, 0, "tokens", TEXT, FIELD(tokens), "IDS",
     .help = "the ids to run, such as 1,2,3; - reads standard input"},
    {IN_TEXT, EVAL, 0, "text", TEXT, FIELD(text), "FILE",
     .help = "measure the perplexity of a text; - reads standard input"},

    {IN_SAMPLING, WRITES, 't', "temperature", NUMBER, FIELD(sampling.temperature), "F", .lower = 0, .upper = INFINITY,
     .initial = "0.8", .help = "0: always the likeliest token; higher: more varied"},
    {IN_SAMPLING, SERVE, 0, "temperature", NUMBER, FIELD(sampling.temperature), "F", .lower = 0, .upper = INFINITY,
     .initial = "0.8", .help = "0: always the likeliest token; higher: more varied"},
    {IN_SAMPLING, SAMPLES, 0, "top-k", WHOLE32, FIELD(sampling.top_k), "N", 0, INT32_MAX, .initial = "40",
     .help = "keep the N likeliest tokens; 0: off"},
    {IN_SAMPLING, SAMPLES, 0, "top-p", NUMBER, FIELD(sampling.top_p), "F", .lower = 0, .lower_is_out = true, .upper = 1,
     .initial = "0.9", .help = "keep the likeliest tokens, until their probabilities sum to F"},
    {IN_SAMPLING, SAMPLES, 0, "min-p", NUMBER, FIELD(sampling.min_p), "F", .lower = 0, .upper = 1, .initial = "0",
     .help = "keep tokens at least F times as likely as the likeliest one; 0: off"},
    {IN_SAMPLING, GENERATE, 0, "seed", WHOLE, FIELD(sampling.seed), "N", 0, MOST_SEED, .or_minus_one = true,
     .initial = "42", .help = "the same seed gives the same text; -1: a fresh one each time"},
    {IN_SAMPLING, CHAT, 0, "seed", WHOLE, FIELD(sampling.seed), "N", 0, MOST_SEED, .or_minus_one = true,
     .computed = "a fresh one each time",
     .help = "the same seed gives the same answers; /stats shows it; -1: a fresh one each time"},
    {IN_SAMPLING, SERVE, 0, "seed", WHOLE, FIELD(sampling.seed), "N", 0, INT64_MAX, .or_minus_one = true,
     .computed = "a fresh one for each request",
     .help = "the seed for requests that give none; -1: a fresh one each time"},
    {IN_SAMPLING, SAMPLES, 0, "typical-p", NUMBER, FIELD(sampling.typical_p), "F", .lower = 0, .lower_is_out = true,
     .upper = 1, .initial = "1",
     .help = "keep the tokens whose surprise is closest to the expected one, until their probabilities sum to F"},
    {IN_SAMPLING, SAMPLES, 0, "top-n-sigma", NUMBER, FIELD(sampling.top_n_sigma), "F", .lower = -1, .upper = INFINITY,
     .initial = "-1", .help = "keep logits within F standard deviations of the largest; -1 and 0: off"},
    {IN_SAMPLING, SAMPLES, 0, "xtc-probability", NUMBER, FIELD(sampling.xtc_probability), "F", .lower = 0, .upper = 1,
     .initial = "0",
     .help = "how often XTC removes all tokens that reach its threshold except the least likely of them"},
    {IN_SAMPLING, SAMPLES, 0, "xtc-threshold", NUMBER, FIELD(sampling.xtc_threshold), "F", .lower = 0, .upper = 1,
     .initial = "0.1", .help = "the probability that tokens must reach for XTC; above 0.5: off"},
    {IN_SAMPLING, SAMPLES, 0, "dynatemp-range", NUMBER, FIELD(sampling.dynatemp_range), "F", .lower = 0,
     .upper = INFINITY, .initial = "0",
     .help = "vary the temperature by up to F both ways: higher where many tokens are likely; 0: off"},
    {IN_SAMPLING, SAMPLES, 0, "dynatemp-exp", NUMBER, FIELD(sampling.dynatemp_exponent), "F", .lower = 0,
     .upper = INFINITY, .initial = "1",
     .help = "with --dynatemp-range: the temperature grows with (entropy / its maximum)^F"},
    {IN_SAMPLING, SAMPLES, 0, "repeat-penalty", NUMBER, FIELD(sampling.repeat_penalty), "F", .lower = 0,
     .lower_is_out = true, .upper = INFINITY, .initial = "1",
     .help = "make recent tokens less likely: divide positive logits by F, multiply negative ones; 1: off"},
    {IN_SAMPLING, SAMPLES, 0, "frequency-penalty", NUMBER, FIELD(sampling.frequency_penalty), "F", .lower = -INFINITY,
     .upper = INFINITY, .initial = "0", .help = "subtract F from a token's logit for each time it occurred recently"},
    {IN_SAMPLING, SAMPLES, 0, "presence-penalty", NUMBER, FIELD(sampling.presence_penalty), "F", .lower = -INFINITY,
     .upper = INFINITY, .initial = "0", .help = "subtract F from a token's logit once if it occurred recently"},
    {IN_SAMPLING, SAMPLES, 0, "repeat-last-n", WHOLE32, FIELD(sampling.penalty_last_n), "N", 0, INT32_MAX,
     .or_minus_one = true, .initial = "64",
     .help = "how many of the last tokens count as recent for these penalties; -1: all of prompt and text"},
    {IN_SAMPLING, SAMPLES, 0, "dry-multiplier", NUMBER, FIELD(sampling.dry_multiplier), "F", .lower = 0,
     .upper = INFINITY, .initial = "0",
     .help = "DRY: subtract F * base^(n - allowed length) from the logit of a token that would extend a repeated "
             "run of n tokens; 0: off"},
    {IN_SAMPLING, SAMPLES, 0, "dry-base", NUMBER, FIELD(sampling.dry_base), "F", .lower = 0, .upper = INFINITY,
     .initial = "1.75", .help = "the base in DRY's formula"},
    {IN_SAMPLING, SAMPLES, 0, "dry-allowed-length", WHOLE32, FIELD(sampling.dry_allowed_length), "N", 0, INT32_MAX,
     .initial = "2", .help = "the allowed length in DRY's formula: shorter runs have no penalty"},
    {IN_SAMPLING, SAMPLES, 0, "dry-penalty-last-n", WHOLE32, FIELD(sampling.dry_penalty_last_n), "N", 0, INT32_MAX,
     .or_minus_one = true, .initial = "64", .help = "DRY looks for runs in the last N tokens; -1: in all"},
    {IN_SAMPLING, SAMPLES, 0, "dry-sequence-breaker", BREAKER, 0, "TEXT", .computed = "newline : \" *",
     .help = "a text that ends DRY's runs; none: no such text; repeat the option for more"},
    {IN_SAMPLING, SAMPLES, 0, "mirostat", WHOLE32, FIELD(sampling.mirostat), "N", 0, 2, .initial = "0",
     .help = "keep the surprise of tokens constant, by mirostat version 1 or 2; of the other samplers only the "
             "temperature is used; 0: off"},
    {IN_SAMPLING, SAMPLES, 0, "mirostat-ent", NUMBER, FIELD(sampling.mirostat_tau), "F", .lower = 0, .upper = INFINITY,
     .initial = "5", .help = "mirostat's target for a token's surprise, in bits (tau)"},
    {IN_SAMPLING, SAMPLES, 0, "mirostat-lr", NUMBER, FIELD(sampling.mirostat_eta), "F", .lower = 0, .upper = INFINITY,
     .initial = "0.1", .help = "how fast mirostat moves towards the target (eta)"},
    {IN_SAMPLING, SAMPLES, 0, "adaptive-target", NUMBER, FIELD(sampling.adaptive_target), "F", .lower = -1, .upper = 1,
     .initial = "-1",
     .help = "prefer tokens with about this probability on average; needs adaptive_p in --samplers; -1: off"},
    {IN_SAMPLING, SAMPLES, 0, "adaptive-decay", NUMBER, FIELD(sampling.adaptive_decay), "F", .lower = 0, .upper = 0.99f,
     .initial = "0.9", .help = "how slowly the average of adaptive_p changes; higher: more slowly"},
    {IN_SAMPLING, SAMPLES, 0, "logit-bias", BIAS, 0, "ID+F|ID-F",
     .help = "add F to the logit of a token, or subtract it; ID-inf forbids the token; repeat for more"},
    {IN_SAMPLING, SAMPLES, 0, "samplers", STEPS, 0, "NAME;...",
     .computed = "penalties;dry;top_n_sigma;temperature;top_k;typ_p;top_p;min_p;xtc",
     .help = "the samplers to use, in this order; infill and adaptive_p also exist"},

    {IN_TEST, BENCH, 'p', "prompt", COUNTS, FIELD(prompts), "N,..", 0, MOST_TOKENS, .initial = "512",
     .help = "measure prompts of N tokens; 0: none"},
    {IN_TEST, BENCH, 'n', "n-tokens", COUNTS, FIELD(gens), "N,..", 0, MOST_TOKENS, .initial = "128",
     .help = "measure decoding N tokens one by one; 0: none"},
    {IN_TEST, BENCH, 0, "depth", COUNTS, FIELD(depths), "N,..", 0, MOST_TOKENS, .initial = "0",
     .help = "tokens in the context before the test; their evaluation is not timed"},
    {IN_TEST, BENCH, 0, "sequences", COUNTS, FIELD(sequences), "N,..", 1, BENCH_MOST_SEQUENCES,
     .help = "decode N sequences together; prints tok/s of all together and of each"},
    {IN_TEST, BENCH, 'r', "repetitions", WHOLE, FIELD(repetitions), "N", 1, BENCH_MOST_RUNS, .initial = "5",
     .help = "timed runs of each test, after a warm-up run"},
    {IN_TEST, BENCH, 0, "compare", TEXT, FIELD(compare), "COMMAND",
     .help = "another program to measure in turn with each test: a shell command in which {model} {threads} {prompt} "
             "{gen} {depth} {sequences} are replaced by their values; its last line must be 'ppN X tgN@D Y', or with "
             "--sequences 'btS@D Y'"},

    {IN_SPEED, WRITES | EVAL | EMBEDS, 0, "threads", WHOLE, FIELD(threads), "N", 1, 1024,
     .computed = "the cores this process may use", .help = "threads to compute with"},
    {IN_SPEED, SERVE, 't', "threads", WHOLE, FIELD(threads), "N", 1, 1024, .computed = "the cores this process may use",
     .help = "threads to compute with"},
    {IN_SPEED, BENCH, 0, "threads", COUNTS, FIELD(thread_counts), "N,..", 1, 1024,
     .computed = "the cores this process may use", .help = "threads to compute with"},
    {IN_SPEED, WRITES | INSPECT, 0, "ctx", WHOLE, FIELD(ctx), "N", 0, INT32_MAX, .initial = "0",
     .help = "context in tokens; 0: the model's, or what fits in memory"},
    {IN_SPEED, SERVE, 0, "ctx", WHOLE, FIELD(ctx), "N", 0, INT32_MAX, .initial = "0",
     .help = "context in tokens for all requests together; 0: the model's, or what fits in memory"},
    {IN_SPEED, SERVE, 0, "parallel", WHOLE, FIELD(parallel), "N", 1, 1024, .initial = "4",
     .help = "requests at a time; if given, each gets an equal share of --ctx"},
    {IN_SPEED, SERVE, 0, "kv-unified", FLAG, FIELD(kv_unified),
     .help = "with --parallel: one request may use all of --ctx"},
    {IN_SPEED, SERVE, 0, "cache-ram", WHOLE, FIELD(cache_ram), "MIB", 0, 1 << 24, .initial = "1024",
     .help = "memory for the prefix cache, in addition to that for requests; 0: no cache"},
    {IN_SPEED, SERVE, 0, "queue", WHOLE, FIELD(queue), "N", 0, 1 << 20, .initial = "256",
     .help = "most requests that wait; others are refused with status 503"},
    {IN_SPEED, SERVE, 0, "pooling", CHOICE, FIELD(pooling), "model|none|mean|cls|last|rank", .initial = "model",
     .help = "how to make an embedding from a text's tokens; model: as the file says, else last"},
    {IN_OUTPUT, EMBED, 0, "pooling", CHOICE, FIELD(pooling), "none|mean|cls|last|rank",
     .computed = "as the file says, else last",
     .help =
         "how to make a vector from a text's tokens; none: one vector for each token; rank: the classifier's scores"},
    {IN_OUTPUT, EMBED, 0, "no-normalize", FLAG, FIELD(no_normalize), .help = "do not scale vectors to length 1"},
    {IN_OUTPUT, EMBED, 0, "raw", FLAG, FIELD(raw), .help = "write float32 numbers, little-endian, and nothing else"},
    {IN_OUTPUT, EMBED, 0, "cosine", FLAG, FIELD(cosine),
     .help = "print the cosine of the angle between the vectors of two lines"},
    {IN_SPEED, EVAL, 0, "ctx", WHOLE, FIELD(ctx), "N", 0, INT32_MAX, .computed = "0, with --text 512",
     .help = "context in tokens, with --text the length of a chunk; 0: the model's own, with --tokens as much of it as "
             "fits in memory"},
    {IN_SPEED, SAMPLES | EVAL | EMBEDS, 0, "batch", WHOLE, FIELD(batch), "N", 1, 1 << 16, .initial = "512",
     .help = "most tokens in one forward pass"},
    {IN_SPEED, BENCH, 0, "batch", COUNTS, FIELD(batches), "N,..", 1, 1 << 16, .initial = "512",
     .help = "most tokens in one forward pass"},
    {IN_SPEED, RUNS, 0, "kv-type", CHOICE, FIELD(kv_type), "f16|f32|q8_0", .initial = "f16",
     .help = "how keys and values are stored"},
    {IN_SPEED, RUNS, 0, "cpu-isa", CHOICE, FIELD(cpu_isa), "scalar|avx2|avx512|neon|i8mm",
     .computed = "this CPU's best", .help = "use these CPU kernels"},
    {IN_SPEED, RUNS, 0, "device", DEVICE, FIELD(device), .initial = "cpu",
     .help = "where to compute; auto: the first GPU found, or the CPU if that GPU cannot run the model"},
    {IN_SPEED, RUNS, 0, "device-index", WHOLE, FIELD(device_index), "N", 0, UINT16_MAX, .initial = "0",
     .help = "which GPU, if there is more than one for --device"},
    {IN_SPEED, RUNS, 0, "gpu-layers", WHOLE, FIELD(gpu_layers), "N", 0, UINT16_MAX, .computed = "as many as fit",
     .help = "compute the last N layers on the GPU and the others on the CPU; 0: all on the CPU"},
    {IN_SPEED, RUNS, 0, "exact", FLAG, FIELD(exact),
     .help = "give the same bits for any --batch on a GPU too; prompts are slower"},
    {IN_SPEED, SAMPLES, 0, "draft", CHOICE, FIELD(draft), "none|lookup", .initial = "none",
     .help = "lookup: guess tokens from the text so far, and keep those that would be drawn anyway; the text is the "
             "same, but faster where it repeats itself; turns on --exact on a GPU"},
    {IN_SPEED, GENERATE, 0, "draft-model", TEXT, FIELD(draft_model), "FILE",
     .help = "guess tokens with a small model that has the same vocabulary, and keep those that would be drawn anyway"},
    {IN_SPEED, RUNS, 0, "no-mmap", FLAG, FIELD(no_mmap), .help = "read the model into memory instead of mapping it"},
    {IN_SPEED, RUNS, 0, "repack", FLAG, FIELD(repack),
     .help = "copy quantized weights into memory in an order that takes less work to unpack"},

    {IN_MODEL, ALL, 'm', "model", TEXT, FIELD(model), "FILE",
     .help = "the model: a file, hf:OWNER/NAME[:QUANT] or a pulled name; you may also give it as the first argument"},
    {IN_MODEL, RUNS, 0, "lora", LORA, 0, "FILE[:SCALE]",
     .help = "apply a LoRA adapter with SCALE times its trained strength (default 1); repeat for more adapters"},
    {IN_MODEL, RUNS, 0, "rope-scaling", CHOICE, FIELD(rope_scaling), "none|linear|yarn|longrope",
     .computed = "the model's", .help = "how to change RoPE's angles for a longer context"},
    {IN_MODEL, RUNS, 0, "rope-scale", NUMBER, FIELD(rope_scale), "N", .lower = 0, .lower_is_out = true,
     .upper = INFINITY, .computed = "the model's", .help = "how many times longer the context is than in training"},
    {IN_MODEL, RUNS, 0, "rope-freq-base", NUMBER, FIELD(rope_freq_base), "F", .lower = 1, .lower_is_out = true,
     .upper = INFINITY, .computed = "the model's", .help = "the base of RoPE's frequencies"},
    {IN_MODEL, RUNS | TOKENIZE | DETOKENIZE | GRAMMAR, 0, "pre", TEXT, FIELD(pre), "NAME", .computed = "the file's",
     .help = "how a byte-level BPE vocabulary cuts text into words, such as llama-bpe or qwen2"},
    {IN_MODEL, ALL, 0, "override", OVERRIDE, 0, "KEY=TYPE:VALUE",
     .help = "replace a key of the file's metadata, or add it; TYPE is int, float, bool or str; a KEY that begins with "
             "a dot gets the architecture's name in front; repeat for more keys"},

    {IN_SERVER, SERVE, 0, "host", LIST_OF, FIELD(host), "ADDRESS", .computed = "127.0.0.1 and ::1",
     .help = "where to listen; other machines need --api-key or --no-auth; repeat for more addresses"},
    {IN_SERVER, SERVE, 0, "port", WHOLE, FIELD(port), "N", 0, 65535, .initial = "8080",
     .help = "the port to listen on; 0: any free one, which is printed"},
    {IN_SERVER, SERVE, 0, "api-key", TEXT, FIELD(api_key), "KEY,..", .help = "a request must have one of these keys"},
    {IN_SERVER, SERVE, 0, "api-key-file", TEXT, FIELD(api_key_file), "FILE",
     .help = "read keys as for --api-key from a file, one per line"},
    {IN_SERVER, SERVE, 0, "no-auth", FLAG, FIELD(no_auth), .help = "accept requests without a key on any --host"},
    {IN_SERVER, SERVE, 0, "allow-host", LIST_OF, FIELD(allow_host), "NAME",
     .help = "accept requests whose Host header has this name; *: any; repeat for more"},
    {IN_SERVER, SERVE, 0, "cors", LIST_OF, FIELD(cors), "ORIGIN",
     .help = "accept requests from web pages of this origin, such as https://a.example or tauri://localhost; *: any; "
             "repeat for more"},
    {IN_SERVER, SERVE, 0, "api-prefix", TEXT, FIELD(api_prefix), "PATH", .help = "a prefix of all paths, such as /llm"},
    {IN_SERVER, SERVE, 'a', "alias", LIST_OF, FIELD(alias), "NAME",
     .help = "another name for the model; repeat for more"},
    {IN_SERVER, SERVE, 0, "strict-model", FLAG, FIELD(strict_model),
     .help = "refuse requests that name another model; without this, a server with one model answers them"},
    {IN_SERVER, SERVE, 0, "models-max", WHOLE, FIELD(models_max), "N", 0, 1024, .initial = "4",
     .help = "most models loaded at a time; 0: no limit"},
    {IN_SERVER, SERVE, 0, "sleep-idle-seconds", WHOLE, FIELD(sleep_idle_seconds), "N", 1, INT32_MAX,
     .or_minus_one = true, .initial = "-1", .help = "unload a model that was not used for N seconds; -1: never"},
    {IN_SERVER, SERVE, 0, "slot-save-path", TEXT, FIELD(slot_save_path), "FOLDER",
     .help = "where /slots/N?action=save writes files; without it such requests are refused"},
    {IN_SERVER, SERVE, 0, "no-slots", FLAG, FIELD(no_slots),
     .help = "refuse GET /slots, which shows what is being served"},
    {IN_SERVER, SERVE, 0, "spm-infill", FLAG, FIELD(spm_infill),
     .help = "infill: put the suffix before the prefix, as some models prefer"},
    {IN_SERVER, SERVE, 0, "no-webui", FLAG, FIELD(no_webui), .help = "serve no web page"},
    {IN_SERVER, SERVE, 0, "drain", WHOLE, FIELD(drain), "SECONDS", 0, 86400, .initial = "30",
     .help = "how long open requests may continue after SIGTERM or Ctrl-C; a second signal ends at once"},
    {IN_SERVER, SERVE, 0, "timeout", WHOLE, FIELD(timeout), "SECONDS", 1, 86400, .initial = "60",
     .help = "close a connection after this many seconds without data, or if its request takes longer to arrive"},
    {IN_SERVER, SERVE, 0, "max-body", WHOLE, FIELD(max_body), "BYTES", 1, UINT32_MAX, .initial = "33554432",
     .help = "largest body of a request, in bytes"},
    {IN_SERVER, SERVE, 0, "max-connections", WHOLE, FIELD(max_connections), "N", 1, 1 << 20, .initial = "2048",
     .help = "most open connections"},
    {IN_SERVER, SERVE, 0, "max-connections-per-address", WHOLE, FIELD(max_connections_per_address), "N", 1, 1 << 20,
     .initial = "1024", .help = "most open connections from one address"},
    {IN_SERVER, SERVE, 0, "log-format", CHOICE, FIELD(log_format), "text|json", .initial = "text",
     .help = "form of the access log on stderr"},
    {IN_SERVER, SERVE, 0, "log-prompts", FLAG, FIELD(log_prompts),
     .help = "log prompts too, the last 4000 bytes of each"},
    {IN_SERVER, SERVE, 0, "ssl-key-file", TEXT, FIELD(ssl_key_file), "FILE",
     .help = "not supported: put a proxy with TLS in front"},
    {IN_SERVER, SERVE, 0, "ssl-cert-file", TEXT, FIELD(ssl_cert_file), "FILE",
     .help = "not supported: put a proxy with TLS in front"},
    {IN_SERVER, SERVE, 0, "mmproj", TEXT, FIELD(mmproj), "FILE", .help = "not supported yet: models read only text"},

    {IN_OUTPUT, TOKENIZE, 0, "text", FLAG, FIELD(show_pieces),
     .help = "print a line for each token: id, tab, escaped piece"},
    {IN_OUTPUT, TEMPLATE, 0, "parts", FLAG, FIELD(show_parts),
     .help = "print the text in parts, as lines of JSON that say whether a part may become special tokens"},
    {IN_OUTPUT, EVAL, 0, "logits", TEXT, FIELD(logits), "FILE",
     .help = "with --tokens: write all logits, float32 rows, to FILE"},
    {IN_OUTPUT, INSPECT, 0, "tensors", FLAG, FIELD(show_tensors), .help = "list every tensor"},
    {IN_OUTPUT, INSPECT | TOKENIZE | BENCH | LIST | EMBEDS, 0, "json", FLAG, FIELD(json), .help = "print JSON"},
    {IN_TEXT, GRAMMAR, 0, "check", FLAG, FIELD(check),
     .help = "the arguments after --check are the FILEs to check; each byte counts, also a newline at the end"},
    {IN_OUTPUT, GRAMMAR, 0, "timings", FLAG, FIELD(timings),
     .help = "print the times as JSON instead, in microseconds: to compile the grammar, and to make a mask"},
    {IN_OUTPUT, BENCH, 0, "csv", FLAG, FIELD(csv),
     .help = "print CSV: a line of names, then a line for each combination"},
    {IN_OUTPUT, BENCH, 0, "md", FLAG, FIELD(markdown), .help = "print a Markdown table"},
    {IN_OUTPUT, PULL, 'q', "quiet", FLAG, FIELD(quiet), .help = "print only errors, and no progress bar"},
    {IN_OUTPUT, RUNS, 'q', "quiet", FLAG, FIELD(quiet),
     .help = "print only errors and the note that the context is full"},
    {IN_OUTPUT, RUNS, 'v', "verbose", FLAG, FIELD(verbose),
     .help = "print the model's shape, the memory plan and each stage"},
    {IN_OUTPUT, GENERATE, 0, "version", FLAG, FIELD(version), .help = "print the version"},
    {IN_OUTPUT, ~0u, 'h', "help", FLAG, FIELD(help), .help = "print this help"},
};

enum { N_ROWS = sizeof rows / sizeof rows[0], LONG_OPTION = 256 }; /* + row: the code of a long option */

/* Other spellings, those of llama.cpp's programs. */
static const struct {
    char letter;      /* or 0 */
    const char *name; /* or NULL */
    const char *meant;
} aliases[] = {
    {0, "temp", "temperature"},     {0, "n-predict", "n-tokens"},
    {0, "predict", "n-tokens"},     {'s', NULL, "seed"},
    {0, "typical", "typical-p"},    {0, "top-nsigma", "top-n-sigma"},
    {'l', NULL, "logit-bias"},      {'c', "ctx-size", "ctx"},
    {'b', "batch-size", "batch"},   {0, "n-gpu-layers", "gpu-layers"},
    {0, "grammar-file", "grammar"}, {'j', "json-schema-file", "json-schema"},
};

enum { N_ALIASES = sizeof aliases / sizeof aliases[0] };

/* -ngl is handled separately, because getopt reads it as -n with the value "gl". */
#define NGL "-ngl"

/* ------------------------------------------------------------------------------------------------ values */

typedef struct range_text {
    char text[64];
} range_text;

/* The values a row allows, as help and errors say it; "" if all. */
static range_text range_of(const option_row *row) {
    range_text range = {""};
    if (row->kind == WHOLE || row->kind == WHOLE32 || row->kind == COUNTS)
        snprintf(range.text, sizeof range.text, "from %" PRIu64 " to %" PRIu64 "%s", row->least, row->most,
                 row->or_minus_one ? ", or -1" : "");
    if (row->kind == NUMBER)
        snprintf(range.text, sizeof range.text, "in %c%g, %g%c", row->lower_is_out ? '(' : '[', (double)row->lower,
                 (double)row->upper, isinf(row->upper) ? ')' : ']');
    return range;
}

typedef struct value_text {
    char text[96];
} value_text;

/* What a row takes: its value's name, or the choices, separated by bars; "" for a flag. */
static value_text value_of(const option_row *row) {
    value_text value = {""};
    if (row->value) snprintf(value.text, sizeof value.text, "%s", row->value);
    if (row->kind != DEVICE) return value;
    size_t n = 0;
    for (const char *at = cllm_device_names(); *at && n + 1 < sizeof value.text; at++)
        if (*at != ' ') value.text[n++] = *at == ',' ? '|' : *at;
    return value;
}

static bool is_one_of(const char *text, const char *choices) {
    size_t length = strlen(text);
    for (const char *at = choices; at; at = strchr(at, '|') ? strchr(at, '|') + 1 : NULL)
        if (strcspn(at, "|") == length && strncmp(at, text, length) == 0) return true;
    return false;
}

static int set_whole(const option_row *row, const char *text, uint64_t *value) {
    char *end = NULL;
    errno = 0;
    *value = strtoull(text, &end, 10);
    /* strtoull alone would take a sign and spaces */
    bool digits = text[0] >= '0' && text[0] <= '9' && *end == '\0' && errno == 0;
    if (digits && *value >= row->least && *value <= row->most) return 0;
    if (row->or_minus_one && strcmp(text, "-1") == 0) {
        *value = UINT64_MAX;
        return 0;
    }
    return usage_error("--%s: '%s' is not a whole number %s", row->name, text, range_of(row).text);
}

static int set_whole32(const option_row *row, const char *text, uint32_t *value) {
    uint64_t wide;
    const int failed = set_whole(row, text, &wide);
    if (!failed) *value = wide == UINT64_MAX ? UINT32_MAX : (uint32_t)wide;
    return failed;
}

static int set_counts(const option_row *row, const char *text, count_list *list) {
    list->count = 0;
    for (const char *at = text; at; at = strchr(at, ',') ? strchr(at, ',') + 1 : NULL) {
        char word[32];
        int length = snprintf(word, sizeof word, "%.*s", (int)strcspn(at, ","), at);
        if (length >= (int)sizeof word) return usage_error("--%s: '%s...' is too long", row->name, word);
        if (list->count == MOST_COUNTS) return usage_error("--%s: more than %d numbers", row->name, MOST_COUNTS);
        int failed = set_whole(row, word, &list->values[list->count++]);
        if (failed) return failed;
    }
    return 0;
}

static int set_number(const option_row *row, const char *text, float *value) {
    char *end = NULL;
    *value = strtof(text, &end);
    /* no spaces or words in front; too large a number reads as infinite */
    bool number = text[0] && strchr("+-.0123456789", text[0]) && *end == '\0' && isfinite(*value);
    bool inside = row->lower_is_out ? *value > row->lower : *value >= row->lower;
    if (number && inside && *value <= row->upper) return 0;
    return usage_error("--%s: '%s' is not a number %s", row->name, text, range_of(row).text);
}

static int set_value(const option_row *row, const char *text, options *o) {
    void *field = (char *)o + row->field;
    switch (row->kind) {
    case FLAG: *(bool *)field = true; return 0;
    case WHOLE: return set_whole(row, text, field);
    case WHOLE32: return set_whole32(row, text, field);
    case COUNTS: return set_counts(row, text, field);
    case NUMBER: return set_number(row, text, field);
    case CHOICE:
    case DEVICE:
        if (!is_one_of(text, value_of(row).text))
            return usage_error("--%s: '%s' is not one of: %s", row->name, text, value_of(row).text);
        break;
    case TEXT:
    case OVERRIDE:
    case LORA:
    case LIST_OF:
    case STEPS:
    case BIAS:
    case BREAKER: break; /* these have functions of their own */
    }
    *(const char **)field = text;
    return 0;
}

/* --------------------------------------------------------------------------------------------- overrides */

static bool parse_integer(const char *text, cllm_value *value) {
    char *end = NULL;
    const bool negative = *text == '-';
    const bool digits = text[negative] >= '0' && text[negative] <= '9'; /* strtoll alone would take + and spaces */
    errno = 0;
    if (negative)
        *value = (cllm_value){.type = CLLM_INT64, .i = strtoll(text, &end, 10)};
    else
        *value = (cllm_value){.type = CLLM_UINT64, .u = strtoull(text, &end, 10)};
    return digits && *end == '\0' && errno == 0;
}

static bool parse_float(const char *text, cllm_value *value) {
    char *end = NULL;
    *value = (cllm_value){.type = CLLM_FLOAT64, .f = strtod(text, &end)};
    return *text && strchr("+-.0123456789", *text) && *end == '\0' && isfinite(value->f);
}

static bool parse_bool(const char *text, cllm_value *value) {
    *value = (cllm_value){.type = CLLM_BOOL, .b = strcmp(text, "true") == 0};
    return value->b || strcmp(text, "false") == 0;
}

static bool parse_string(const char *text, cllm_value *value) {
    *value = (cllm_value){.type = CLLM_STRING, .string = {text, strlen(text)}};
    return true;
}

static const struct {
    const char *name;
    bool (*parse)(const char *text, cllm_value *value);
    const char *values;
} override_types[] = {
    {"int", parse_integer, "a whole number from -9223372036854775808 to 18446744073709551615"},
    {"float", parse_float, "a finite number"},
    {"bool", parse_bool, "true or false"},
    {"str", parse_string, "a text"},
};

/* text: KEY=TYPE:VALUE; the = becomes the key's end. */
static int add_override(char *text, options *o) {
    char *type = strchr(text, '='), *value = type ? strchr(type, ':') : NULL;
    if (!value || type == text) return usage_error("--override: '%s' does not have the form KEY=TYPE:VALUE", text);
    *type++ = '\0';
    const size_t length = (size_t)(value++ - type);
    for (size_t i = 0; i < sizeof override_types / sizeof *override_types; i++) {
        const char *name = override_types[i].name;
        if (strlen(name) != length || strncmp(name, type, length) != 0) continue;
        cllm_metadata *override = &o->overrides[o->n_overrides++];
        override->key = text;
        if (override_types[i].parse(value, &override->value)) return 0;
        return usage_error("--override %s: '%s' is not %s", text, value, override_types[i].values);
    }
    return usage_error("--override %s: '%.*s' is not one of: int|float|bool|str", text, (int)length, type);
}

/* text: FILE or FILE:SCALE; the colon becomes the file's end. A colon before a / is part of a path, and so is every
 * colon of a file that exists. */
static int add_lora(char *text, options *o) {
    char *colon = strrchr(text, ':');
    cllm_value scale = {.f = 1};
    if (colon && (strchr(colon, '/') || access(text, F_OK) == 0)) colon = NULL;
    if (!*text || colon == text) return usage_error("--lora: '%s' does not name a file", text);
    if (colon && !(parse_float(colon + 1, &scale) && isfinite((float)scale.f)))
        return usage_error("--lora: '%s' in '%s' is not a finite number", colon + 1, text);
    if (colon) *colon = '\0';
    o->loras[o->n_loras++] = (cllm_lora){text, (float)scale.f};
    return 0;
}

/* ------------------------------------------------------------------------------------------------ sampling */

int parse_steps(const char *what, const char *text, cllm_sampler_step steps[CLLM_N_STEPS], size_t *n) {
    unsigned seen = 0;
    *n = 0;
    for (const char *at = text;; at++) {
        const size_t length = strcspn(at, ";,");
        const cllm_sampler_step step = cllm_sampler_step_named(at, length);
        if (step == CLLM_STEP_END && length > 0)
            return usage_error(
                "%s: '%.*s' is not one of: penalties;dry;top_n_sigma;temperature;top_k;typ_p;top_p;min_p;"
                "xtc;infill;adaptive_p",
                what, (int)length, at);
        if (seen >> step & 1 && length > 0) return usage_error("%s: '%.*s' is given twice", what, (int)length, at);
        seen |= 1u << step;
        if (length > 0) steps[(*n)++] = step;
        at += length;
        if (!*at) return 0;
    }
}

static int set_steps(const char *text, options *o) {
    o->sampling.steps = o->steps;
    return parse_steps("--samplers", text, o->steps, &o->sampling.n_steps);
}

static int add_bias(const char *text, options *o) {
    char *end = NULL;
    errno = 0;
    const unsigned long long token = strtoull(text, &end, 10);
    const bool signs = *text >= '0' && *text <= '9' && errno == 0 && (*end == '+' || *end == '-');
    const char *number = end;
    const float bias = signs ? strtof(number, &end) : 0;
    if (!signs || *end || end == number || token > INT32_MAX || isnan(bias) || bias == INFINITY)
        return usage_error("--logit-bias: '%s' does not have the form ID+NUMBER or ID-NUMBER, such as 15043-1", text);
    o->bias[o->sampling.n_logit_bias++] = (cllm_logit_bias){(int32_t)token, bias};
    return 0;
}

/* The first breaker that the user gives replaces the default ones. */
static int add_breaker(const char *text, options *o) {
    o->sampling.dry_breakers = o->breakers;
    if (strcmp(text, "none") == 0)
        o->sampling.n_dry_breakers = 0;
    else
        o->breakers[o->sampling.n_dry_breakers++] = (cllm_string){text, strlen(text)};
    return 0;
}

/* Add the overrides that --pre and the --rope options stand for. A key that begins with a dot is completed later: the
 * architecture comes before the dot, and only the file knows that. */
static int add_named_overrides(options *o) {
    const bool unscaled = o->rope_scaling && strcmp(o->rope_scaling, "none") == 0;
    if (unscaled && o->rope_scale > 0)
        return usage_error("--rope-scaling none and --rope-scale cannot be used together");
    cllm_metadata *next = o->overrides + o->n_overrides;
    if (o->pre) {
        if (!*o->pre) return usage_error("--pre: the name is empty");
        next->key = "tokenizer.ggml.pre";
        parse_string(o->pre, &next++->value);
    }
    if (o->rope_scaling) {
        next->key = ".rope.scaling.type";
        parse_string(o->rope_scaling, &next++->value);
    }
    if (o->rope_scale > 0)
        *next++ = (cllm_metadata){".rope.scaling.factor", {.type = CLLM_FLOAT32, .f = (double)o->rope_scale}};
    if (o->rope_freq_base > 0)
        *next++ = (cllm_metadata){".rope.freq_base", {.type = CLLM_FLOAT32, .f = (double)o->rope_freq_base}};
    o->n_overrides = (size_t)(next - o->overrides);
    return 0;
}

/* ----------------------------------------------------------------------------------------------- parsing */

static const option_row *row_named(unsigned bit, const char *name) {
    for (int i = 0; i < N_ROWS; i++)
        if ((rows[i].commands & bit) && strcmp(rows[i].name, name) == 0) return &rows[i];
    return NULL;
}

static const option_row *row_of(const command *c, int code) {
    if (code >= LONG_OPTION) return &rows[code - LONG_OPTION];
    for (int i = 0; code && i < N_ROWS; i++)
        if ((rows[i].commands & c->bit) && code == rows[i].letter) return &rows[i];
    for (int i = 0; code && i < N_ALIASES; i++)
        if (code == aliases[i].letter) return row_named(c->bit, aliases[i].meant);
    return NULL;
}

typedef struct getopt_tables {
    struct option longs[N_ROWS + N_ALIASES + 1];
    char letters[2 + 2 * (N_ROWS + N_ALIASES) + 3];
} getopt_tables;

/* The command's rows and their aliases in getopt_long's form. */
static void make_getopt_tables(const command *c, getopt_tables *tables) {
    struct option *longs = tables->longs;
    char *letters = tables->letters;
    *letters++ = '-'; /* arguments between the options come out in order */
    *letters++ = ':'; /* the result for a missing value is ':'; for an unknown option it is '?' */
    for (int i = 0; i < N_ROWS + N_ALIASES; i++) {
        const option_row *row = i < N_ROWS ? &rows[i] : row_named(c->bit, aliases[i - N_ROWS].meant);
        if (!row || !(row->commands & c->bit)) continue;
        const char *name = i < N_ROWS ? row->name : aliases[i - N_ROWS].name;
        const char letter = i < N_ROWS ? row->letter : aliases[i - N_ROWS].letter;
        const int value = row->kind == FLAG ? no_argument : required_argument;
        if (name) *longs++ = (struct option){name, value, NULL, LONG_OPTION + (int)(row - rows)};
        if (!letter) continue;
        *letters++ = letter;
        if (value == required_argument) *letters++ = ':';
    }
    if (row_named(c->bit, "gpu-layers")) { /* -ngl, even where there is no -n */
        *letters++ = NGL[1];
        *letters++ = ':';
    }
    *longs = (struct option){0};
    *letters = '\0';
}

#define BY_HUB       "give hf:OWNER/NAME[:QUANT] as the model"
#define BY_CHAT      "'mini-cllm chat MODEL' holds a conversation, without this option"
#define BY_QUESTION  "'mini-cllm chat MODEL QUESTION' answers one question and ends, without this option"
#define BY_TEXT      "only 'mini-cllm chat' holds a conversation: leave it out"
#define BY_SYSTEM    "it is --system of 'mini-cllm chat'"
#define BY_TYPE      "it is --kv-type, for keys and values"
#define BY_REASONING "it is --reasoning show, hide or off, of 'mini-cllm chat'"
#define BY_END       "a text ends where the model ends it, after --n-tokens, or where --regex or --grammar ends it"

#define ANY (~0u)

/* Options of llama.cpp and ollama, and what to use here instead. Others are in the table of server_flags.c. */
static const struct {
    unsigned commands; /* commands for which `instead` is the right advice */
    const char *word, *instead;
} foreign[] = {
    {ANY, "-hf", BY_HUB},
    {ANY, "-hfr", BY_HUB},
    {ANY, "--hf-repo", BY_HUB},
    {ANY, "-fa", "it has no effect here: leave it out"},
    {ANY, "-i", BY_CHAT},
    {ANY, "-ins", BY_CHAT},
    {ANY, "-cnv", BY_CHAT},
    {ANY, "--conversation", BY_CHAT},
    {ANY, "-no-cnv", BY_TEXT},
    {ANY, "--no-conversation", BY_TEXT},
    {ANY, "-st", BY_QUESTION},
    {ANY, "--single-turn", BY_QUESTION},
    {ANY, "-mli", "in 'mini-cllm chat' three double quotes begin and end a text of several lines"},
    {ANY, "-sys", BY_SYSTEM},
    {ANY, "--system-prompt", BY_SYSTEM},
    {ANY, "-sysf", "it is --system of 'mini-cllm chat', with the file's text"},
    {ANY, "-bf", "'mini-cllm MODEL --file FILE' reads any bytes"},
    {WRITES, "-r", BY_END},
    {WRITES, "--reverse-prompt", BY_END},
    {WRITES, "--stop", BY_END},
    {WRITES | GRAMMAR, "-jf", "it is --json-schema FILE"},
    {WRITES, "--format",
     "a model writes JSON with --json-schema; the schema {\"type\":\"object\"} stands for any object"},
    {GENERATE, "-md", "it is --draft-model"},
    {RUNS, "-ctk", BY_TYPE},
    {RUNS, "-ctv", BY_TYPE},
    {RUNS, "--cache-type-k", BY_TYPE},
    {RUNS, "--cache-type-v", BY_TYPE},
    {RUNS, "--rope-freq-scale", "it is --rope-scale, with 1 / its value"},
    {ANY, "-rea", BY_REASONING},
    {ANY, "--think", BY_REASONING},
    {ANY, "--reasoning-budget", "it is --reasoning N of 'mini-cllm chat'"},
    {ANY, "--hidethinking", BY_REASONING},
    {ANY, "-V", "it is --version"},
    {EVAL | BENCH | EMBEDS, "-t", "it is --threads"},
    {BENCH, "-o", "it is --csv or --json"},
    {BENCH, "-pg", "it is --prompt N --n-tokens N"},
    {CHAT, "-f", "it is --attach FILE"},
    {CHAT, "--file", "it is --attach FILE"},
    {GENERATE, "--prompt-cache", "it is --save FILE, and then --load FILE"},
    {EVAL, "-f", "it is --text FILE"},
    {EVAL, "--file", "it is --text FILE"},
    {ANY, "--keepalive", "a model stays in memory while the command runs; the server has --sleep-idle-seconds"},
};

/* Refuse an option of another program if one of the two tables says what it is here. Returns an exit status. */
static int refuse_foreign(const command *c, const char *word) {
    const size_t length = strcspn(word, "=");
    for (size_t i = 0; i < sizeof foreign / sizeof *foreign; i++)
        if (strlen(foreign[i].word) == length && strncmp(foreign[i].word, word, length) == 0 &&
            (foreign[i].commands & c->bit))
            return usage_error("unknown option '%s': %s", word, foreign[i].instead);
    const char *ours = word[2] ? server_flag_option(word) : NULL;
    if (!ours) return 0;
    if (row_named(c->bit, ours)) return usage_error("unknown option '%s': it is --%s", word, ours);
    const command *other = commands;
    while (other->bit && !row_named(other->bit, ours)) other++;
    if (!other->bit || !*other->name) return 0;
    return usage_error("unknown option '%s': it is --%s of 'mini-cllm %s'", word, ours, other->name);
}

/* Refuse a word with several letters after one dash if llama.cpp has such an option: getopt would take the first letter
 * for the option, and the others for its value or for more options. Words such as -host are refused too: getopt would
 * take them for -h, and the command would only print its help, with exit status 0. */
static int refuse_long_letters(const command *c, const char *word) {
    const char *space = *c->name ? " " : "";
    const bool is_ours = strcmp(word, NGL) == 0 && row_named(c->bit, "gpu-layers");
    if (is_ours || word[0] != '-' || !word[1] || word[1] == '-' || !word[2]) return 0;
    const int failed = refuse_foreign(c, word);
    if (failed || (!is_server_flag(word) && word[1] != 'h')) return failed;
    return usage_error("unknown option '%s'; see 'mini-cllm%s%s --help'", word, space, c->name);
}

/* The number of letters to add, drop or replace that makes one text of the other. If it is more than `most`, the result
 * is some number above `most`. */
static size_t distance(const char *a, size_t n_a, const char *b, size_t n_b, size_t most) {
    while (n_a > 0 && n_b > 0 && *a == *b) a++, b++, n_a--, n_b--;
    if (n_a == 0 || n_b == 0) return n_a + n_b;
    if (most == 0) return 1;
    const size_t added = distance(a, n_a, b + 1, n_b - 1, most - 1);
    const size_t dropped = distance(a + 1, n_a - 1, b, n_b, most - 1);
    const size_t replaced = distance(a + 1, n_a - 1, b + 1, n_b - 1, most - 1);
    const size_t least = added < dropped ? added : dropped;
    return 1 + (least < replaced ? least : replaced);
}

enum { MOST_SLIPS = 2 }; /* a word with more is not taken for a mistyped one */

/* The command that a mistyped word most likely means, or NULL. */
static const char *likely_command(const char *word) {
    const char *likely = NULL;
    size_t least = MOST_SLIPS + 1;
    for (const command *c = commands; c->bit; c++) {
        if (strlen(c->name) < 2 * MOST_SLIPS) continue;
        const size_t away = distance(word, strlen(word), c->name, strlen(c->name), MOST_SLIPS);
        if (away >= least) continue;
        least = away;
        likely = c->name;
    }
    return likely;
}

/* Refuse a first argument that is neither a command nor looks like a model. Returns an exit status. */
static int check_first(const command *c, const char *word) {
    if (c->bit != GENERATE || strpbrk(word, "./:") || access(word, F_OK) == 0) return 0;
    const char *likely = likely_command(word);
    if (likely) return usage_error("'%s' is not a command or a file; did you mean %s?", word, likely);
    return usage_error("'%s' is not a command or a file; see 'mini-cllm --help'", word);
}

/* The long option of a command that a mistyped word most likely means, or NULL. */
static const char *likely_option(const command *c, const char *word) {
    const char *likely = NULL;
    size_t least = MOST_SLIPS + 1;
    if (strncmp(word, "--", 2) != 0) return NULL;
    const size_t length = strcspn(word += 2, "=");
    for (int i = 0; i < N_ROWS + N_ALIASES; i++) {
        const option_row *row = i < N_ROWS ? &rows[i] : row_named(c->bit, aliases[i - N_ROWS].meant);
        const char *name = i < N_ROWS ? rows[i].name : aliases[i - N_ROWS].name;
        if (!row || !name || !(row->commands & c->bit) || strlen(name) < 2 * MOST_SLIPS) continue;
        const size_t away = distance(word, length, name, strlen(name), MOST_SLIPS);
        if (away >= least) continue;
        least = away;
        likely = name;
    }
    return likely;
}

/* Refuse an option. row: its row if only its value is missing; NULL: getopt refused the word. */
static int refuse_option(const command *c, const options *o, const option_row *row, const char *word) {
    if (!row) row = row_of(c, optopt);
    if (row && row->kind == FLAG) return usage_error("--%s takes no value", row->name);
    if (row)
        return usage_error("--%s needs a value, %s%s%s", row->name, value_of(row).text, *range_of(row).text ? " " : "",
                           range_of(row).text);
    char letter[] = {'-', (char)optopt, '\0'};
    const char *space = *c->name ? " " : "", *likely = optopt ? NULL : likely_option(c, word);
    /* it may be an option of a command that is mistyped */
    int failed = o->model || o->n_arguments == 0 ? 0 : check_first(c, o->arguments[0]);
    if (!failed) failed = refuse_foreign(c, optopt ? letter : word);
    if (failed) return failed;
    if (likely) return usage_error("unknown option '%s'; did you mean --%s?", word, likely);
    if (word[1] >= '0' && word[1] <= '9' && row_named(c->bit, "prompt"))
        return usage_error("unknown option '%s'; give a text that begins with - after -p", word);
    return usage_error("unknown option '%s'; see 'mini-cllm%s%s --help'", optopt ? letter : word, space, c->name);
}

/* Decide what the arguments are: the model, if --model did not give it, and others. */
static int place_arguments(const command *c, options *o) {
    const char *space = *c->name ? " " : "";
    const bool named = o->model;
    if (c->bit & (PULL | LIST | REMOVE)) return 0; /* all are names */
    if (!named && o->n_arguments > 0) {
        o->model = o->arguments[0];
        memmove(o->arguments, o->arguments + 1, --o->n_arguments * sizeof *o->arguments);
    }
    if (!o->model && ((c->bit == TEMPLATE && o->chat_template) || c->bit == SERVE)) return 0;
    if (!o->model && c->bit == TEMPLATE) return usage_error("template: give a model or --chat-template NAME|FILE");
    if (o->model && !*o->model) return usage_error("the model's name is empty");
    if (!o->model) return usage_error("no model given; see 'mini-cllm%s%s --help'", space, c->name);
    const int failed = named ? 0 : check_first(c, o->model);
    if (failed) return failed;
    if (o->n_arguments == 0 || (c->bit & (DETOKENIZE | BENCH | GRAMMAR | SERVE))) return 0;
    if (!(c->bit & (WRITES | TOKENIZE | EMBED)))
        return usage_error("unexpected argument '%s' after the model '%s'; see 'mini-cllm%s%s --help'", o->arguments[0],
                           o->model, space, c->name);
    if (named && text_ends_with(o->arguments[0], ".gguf") && !strpbrk(o->arguments[0], " \t\n"))
        return usage_error("the argument '%s' and --model %s are two models: give one", o->arguments[0], o->model);
    if (o->prompt || o->file)
        return usage_error("the argument '%s' and %s are two prompts: give one", o->arguments[0],
                           o->prompt ? "--prompt" : "--file");
    if (o->n_arguments > 1)
        return usage_error(
            c->bit == EMBED
                ? "unexpected argument '%s' after the text '%s': put several texts in a file, a line each, for --file"
                : "unexpected argument '%s' after the prompt '%s': put a prompt of several words in quotes",
            o->arguments[1], o->arguments[0]);
    o->prompt = o->arguments[0];
    return 0;
}

static int add_text(text_list *list, const char *text) {
    const char **more = realloc(list->items, (list->count + 1) * sizeof *more);
    if (!more) return fail("out of memory");
    list->items = more;
    list->items[list->count++] = text;
    return 0;
}

static int set_option(const option_row *row, char *text, options *o) {
    switch (row->kind) {
    case LIST_OF: return add_text((text_list *)(void *)((char *)o + row->field), text);
    case OVERRIDE: return add_override(text, o);
    case LORA: return add_lora(text, o);
    case STEPS: return set_steps(text, o);
    case BIAS: return add_bias(text, o);
    case BREAKER: return add_breaker(text, o);
    default: return set_value(row, text, o);
    }
}

static void mark_given(const option_row *row, options *o) {
    o->given[(row - rows) / 64] |= (uint64_t)1 << (row - rows) % 64;
}

int change_option(options *o, unsigned bit, const char *name, char *value) {
    const option_row *row = row_named(bit, name);
    options changed = *o;
    const int failed = set_option(row, value, &changed);
    if (failed) return failed;
    mark_given(row, &changed);
    *o = changed;
    return failed;
}

/* All options and arguments in turn, to the first that is wrong, or that asks for help. */
static int parse_words(const command *c, int argc, char **argv, options *o) {
    getopt_tables tables;
    make_getopt_tables(c, &tables);
    opterr = 0;
    int failed = 0, code, index;
    while (!failed && (code = getopt_long(argc, argv, tables.letters, tables.longs, &index)) != -1) {
        const option_row *row = row_of(c, code);
        const char *word = argv[optind - (optarg == argv[optind - 1] ? 2 : 1)]; /* the option, not its value */
        const bool goes_on =
            code < LONG_OPTION && code != 1 && !optarg && optind < argc; /* the word may have more letters */
        failed = code == 1 ? 0 : refuse_long_letters(c, goes_on ? argv[optind] : word);
        if (failed) return failed;
        if (code == NGL[1] && strcmp(word, NGL) == 0) {
            row = row_named(c->bit, "gpu-layers");
            optarg = optind < argc ? argv[optind++] : NULL;
        } else if (code == NGL[1] && !row) {
            optopt = 0;
        }
        if (code == 1)
            o->arguments[o->n_arguments++] = optarg;
        else if (row && code >= LONG_OPTION && strcspn(word + 2, "=") != strlen(tables.longs[index].name))
            /* getopt_long accepts any unique beginning of a name; we do not, because a new option could make it
             * ambiguous */
            failed = usage_error("unknown option '%s'; --%s must be written out", word, tables.longs[index].name);
        else if (row && row->kind != TEXT && code < LONG_OPTION && optarg && *optarg == '=' && optarg[1] &&
                 optarg != argv[optind - 1])
            failed = usage_error("unknown option '%s': write -%c %s", word, code, optarg + 1);
        else if (row && (optarg || row->kind == FLAG))
            failed = set_option(row, optarg, o);
        else
            failed = refuse_option(c, o, row, code == NGL[1] ? word : argv[optind - 1]);
        if (row && !failed) mark_given(row, o);
        if (row && row == row_named(c->bit, "temperature")) o->temperature_by_letter = code == row->letter;
        if (o->help || o->version) return failed;
    }
    for (; !failed && optind < argc; optind++) o->arguments[o->n_arguments++] = argv[optind]; /* those after "--" */
    return failed;
}

const char *option_named(unsigned bit, const char *word, bool *takes_next) {
    if (strncmp(word, "--", 2) == 0) {
        const size_t length = strcspn(word += 2, "=");
        for (int i = 0; i < N_ROWS + N_ALIASES; i++) {
            const char *name = i < N_ROWS ? rows[i].name : aliases[i - N_ROWS].name;
            const option_row *row = i < N_ROWS ? &rows[i] : row_named(bit, aliases[i - N_ROWS].meant);
            if (!row || !(row->commands & bit) || !name || strlen(name) != length || strncmp(name, word, length) != 0)
                continue;
            *takes_next = row->kind != FLAG && !word[length];
            return row->name;
        }
        return NULL;
    }
    const option_row *row = row_of(&(command){.bit = bit}, *++word);
    while (row && row->kind == FLAG && word[1]) row = row_of(&(command){.bit = bit}, *++word); /* -qv */
    *takes_next = row && row->kind != FLAG && !word[1];
    return row ? row->name : NULL;
}

static int parse_own_words(const command *c, int argc, char **argv, options *o) {
    enum { NAMED_OVERRIDES = 4 };
    const float hot = 2; /* unusual as a temperature, usual as a number of threads */
    *o = (options){.arguments = calloc((size_t)argc, sizeof *o->arguments),
                   .overrides = calloc((size_t)argc + NAMED_OVERRIDES, sizeof *o->overrides),
                   .loras = calloc((size_t)argc, sizeof *o->loras),
                   .steps = calloc(CLLM_N_STEPS, sizeof *o->steps),
                   .bias = calloc((size_t)argc, sizeof *o->bias),
                   .breakers = calloc((size_t)argc, sizeof *o->breakers)};
    if (!o->arguments || !o->overrides || !o->loras || !o->steps || !o->bias || !o->breakers)
        return fail("out of memory");
    o->sampling.logit_bias = o->bias;
    for (int own = 0; own < 2; own++) /* the command's own defaults come last: other commands use the same fields */
        for (int i = 0; i < N_ROWS; i++)
            if (rows[i].initial && (own == 0 || rows[i].commands & c->bit)) set_value(&rows[i], rows[i].initial, o);
    o->gpu_layers = AS_MANY_AS_FIT;

    int failed = parse_words(c, argc, argv, o);
    if (failed || o->help || o->version) return failed;
    failed = add_named_overrides(o);
    if (failed) return failed;
    failed = place_arguments(c, o);
    if (failed) return failed;
    o->verbose = o->verbose && !o->quiet;
    if (o->temperature_by_letter && o->sampling.temperature >= hot)
        note(o, "-t %g is the temperature; --threads sets the number of threads", (double)o->sampling.temperature);
    return 0;
}

int parse_options(const command *c, int argc, char **argv, options *o) {
    server_words words = {0};
    if (!(c->bit & (SAMPLES | EVAL | EMBEDS))) return parse_own_words(c, argc, argv, o);
    int failed = translate_server_words(c->bit, argc, argv, &words);
    *o = (options){0};
    if (!failed) failed = parse_own_words(c, words.count, words.items, o);
    for (size_t i = 0; !failed && !o->help && i < words.n_notes; i++) note(o, "%s", words.notes[i]);
    o->words = words.items;
    o->n_words = words.count;
    words.items = NULL;
    words.count = 0;
    server_words_free(&words);
    return failed;
}

void free_options(options *o) {
    for (int i = 0; i < o->n_words; i++) free(o->words[i]);
    free(o->words);
    free(o->arguments);
    free(o->overrides);
    free(o->loras);
    for (int i = 0; i < N_ROWS; i++)
        if (rows[i].kind == LIST_OF) free(((text_list *)(void *)((char *)o + rows[i].field))->items);
    free(o->names);
    free(o->steps);
    free(o->bias);
    free(o->breakers);
    while (o->n_found > 0) free(o->found[--o->n_found]);
    free(o->found);
}

bool is_given(const options *o, const char *name) {
    _Static_assert(N_ROWS <= 8 * sizeof o->given, "a bit for each row");
    for (int i = 0; i < N_ROWS; i++)
        if (strcmp(rows[i].name, name) == 0 && (o->given[i / 64] >> i % 64 & 1)) return true;
    return false;
}

/* -------------------------------------------------------------------------------------------------- help */

enum { HELP_INDENT = 39, HELP_WIDTH = 110 };

/* Print words in lines that all begin at the column `indent`, with a newline at the end. A word that does not fit into
 * a line, such as a long list of names, continues on the next line after a semicolon or a comma. */
static void print_wrapped(int indent, const char *words) {
    size_t column = (size_t)indent;
    for (const char *at = words; *at;) {
        const size_t space = strspn(at, " ");
        at += space;
        size_t length = strcspn(at, " ");
        if ((size_t)indent + length > HELP_WIDTH) length = strcspn(at, " ;,"), length += strspn(at + length, ";,");
        if (at > words && column + space + length > HELP_WIDTH) {
            printf("\n%*s", indent, "");
            column = (size_t)indent;
        } else {
            printf("%*s", (int)space, "");
            column += space;
        }
        printf("%.*s", (int)length, at);
        column += length;
        at += length;
    }
    putchar('\n');
}

static void print_row(const option_row *row) {
    char flags[128], letter[] = {'-', row->letter, ',', '\0'}, text[512];
    snprintf(flags, sizeof flags, "%3s --%s %s", row->letter ? letter : "", row->name, value_of(row).text);
    range_text range = range_of(row);
    const char *initial = row->initial ? row->initial : row->computed, *range_end = initial ? "; " : "";
    if (range.text[0] || initial)
        snprintf(text, sizeof text, "%s (%s%s%s%s)", row->help, range.text, range.text[0] ? range_end : "",
                 initial ? "default " : "", initial ? initial : "");
    else
        snprintf(text, sizeof text, "%s", row->help);
    if (strlen(flags) > HELP_INDENT - 3)
        printf("  %s\n%*s", flags, HELP_INDENT, "");
    else
        printf("  %-*s ", HELP_INDENT - 3, flags);
    print_wrapped(HELP_INDENT, text);
}

static void print_aliases(const command *c) {
    char text[512] = "";
    size_t n = 0;
    if (row_named(c->bit, "gpu-layers")) n += (size_t)snprintf(text, sizeof text, NGL " for --gpu-layers");
    for (int i = 0; i < N_ALIASES; i++) {
        const char letter[] = {'-', aliases[i].letter, '\0'}, *name = aliases[i].name;
        if (!row_named(c->bit, aliases[i].meant)) continue;
        n += (size_t)snprintf(text + n, sizeof text - n, "%s%s%s%s%s for --%s", n ? ", " : "", letter[1] ? letter : "",
                              letter[1] && name ? " and " : "", name ? "--" : "", name ? name : "", aliases[i].meant);
    }
    if (n == 0) return;
    printf("\nAlso understood, as llama.cpp spells them:\n  ");
    print_wrapped(2, text);
    if (!(c->bit & (SAMPLES | EVAL | EMBEDS))) return;
    printf("  ");
    print_wrapped(2, c->bit == SERVE
                         ? server_flags_help()
                         : "Flags of llama.cpp that have no effect here, such as --mlock, are accepted with a note.");
}

static void print_group(const command *c, option_group group) {
    bool named = false;
    for (int i = 0; i < N_ROWS; i++) {
        if (rows[i].group != group || !(rows[i].commands & c->bit)) continue;
        if (!named) printf("\n%s:\n", group_names[group]);
        named = true;
        print_row(&rows[i]);
    }
}

void print_help(const command *c) {
    printf("usage: mini-cllm %s%s%s\n\n%s\n", c->name, *c->name ? " " : "", c->synopsis, c->about);
    print_group(c, IN_SERVER);
    for (option_group group = 0; group < N_GROUPS; group++)
        if (group != IN_SERVER) print_group(c, group);
    print_aliases(c);
    if (c->bit != GENERATE) return;
    puts("\nOther commands, each with its own --help:");
    for (c++; c->bit; c++) printf("  mini-cllm %s %s\n", c->name, c->synopsis);
    puts("\nExit status: 0 done, 1 failed, 2 wrong usage, 3 grammar cannot be enforced, 130 Ctrl-C, 143 kill.");
}
