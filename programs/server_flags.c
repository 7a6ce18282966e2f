/* The table of llama-server's flags (https://github.com/ggml-org/llama.cpp/blob/master/tools/server/README.md). Each
 * flag becomes one of our options, has no effect, or is refused, because otherwise answers or safety would differ from
 * what the user asked for. */
#include "server_flags.h"

#include "program.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef enum flag_kind {
    SAME,     /* takes a value, which our option gets */
    EACH,     /* the same, but the value is a list, separated by commas */
    TURNS_ON, /* takes no value; sets our option, to `value` if that is not NULL */
    IDLE,     /* takes no value, has no effect */
    IDLE_VALUE,
    IDLE_CHOICE, /* may take a value such as on, off or auto; has no effect */
    REFUSED,
    REFUSED_VALUE,
    SPECIAL, /* takes a value; `special` turns it into words */
} flag_kind;

typedef struct translation translation;

typedef struct flag {
    const char *names[4]; /* with dashes */
    flag_kind kind;
    const char *ours;     /* the name of our option */
    const char *variable; /* in the environment, or NULL */
    const char *value;    /* for TURNS_ON: see there; for other kinds: values that change nothing, separated by bars */
    bool negative;        /* the variable has the opposite meaning: 0 sets the flag */
    const char *why;      /* for a refused flag: what to do instead; for one without effect: more about it; or NULL */
    int (*special)(translation *t, const struct flag *f, const char *value);
} flag;

struct translation {
    unsigned bit; /* of the command */
    server_words *words;
    const char *seen[64]; /* our options that are on the command line */
    size_t n_seen;
    const char *kv_type, *micro_batch, *repository, *file, *layers; /* values that depend on other flags */
    int n_taken;                                                    /* words up to "--" */
    bool out_of_memory;
};

/* ------------------------------------------------------------------------------------------------ words */

static char *joined(const char *one, const char *two, const char *three, const char *four) {
    const size_t size = strlen(one) + strlen(two) + strlen(three) + strlen(four) + 1;
    char *text = malloc(size);
    if (text) snprintf(text, size, "%s%s%s%s", one, two, three, four);
    return text;
}

/* text: owned from then on. */
static void add_word(translation *t, char *text) {
    server_words *w = t->words;
    char **more = text ? realloc(w->items, ((size_t)w->count + 2) * sizeof *more) : NULL;
    if (!more) {
        free(text);
        t->out_of_memory = true;
        return;
    }
    w->items = more;
    w->items[w->count++] = text;
    w->items[w->count] = NULL;
}

static void add_option(translation *t, const char *name, const char *value) {
    add_word(t, value ? joined("--", name, "=", value) : joined("--", name, "", ""));
}

static void add_list(translation *t, const char *ours, const char *value) {
    if (access(value, F_OK) == 0) return add_option(t, ours, value); /* a file whose name has commas */
    for (const char *at = value; *at; at += strspn(at, ",")) {
        const size_t length = strcspn(at, ",");
        char *one = strndup(at, length);
        if (one && length > 0) add_option(t, ours, one);
        if (!one) t->out_of_memory = true;
        free(one);
        at += length;
    }
}

static void add_note(translation *t, const char *flag_name, const char *why) {
    server_words *w = t->words;
    char *text = joined(flag_name, " has no effect here", why ? ": " : "", why ? why : "");
    char **more = text ? realloc(w->notes, (w->n_notes + 1) * sizeof *more) : NULL;
    if (!more) {
        free(text);
        t->out_of_memory = true;
        return;
    }
    w->notes = more;
    w->notes[w->n_notes++] = text;
}

static void mark_seen(translation *t, const char *name) {
    if (t->n_seen < sizeof t->seen / sizeof *t->seen) t->seen[t->n_seen++] = name;
}

static bool was_seen(const translation *t, const char *name) {
    for (size_t i = 0; i < t->n_seen; i++)
        if (strcmp(t->seen[i], name) == 0) return true;
    return false;
}

static bool is_one_of(const char *text, const char *choices) {
    const size_t length = strlen(text);
    for (const char *at = choices; at; at = strchr(at, '|') ? strchr(at, '|') + 1 : NULL)
        if (strcspn(at, "|") == length && strncmp(at, text, length) == 0) return true;
    return false;
}

/* -------------------------------------------------------------------------------------- special values */

/* The values in f->value mean the same as no flag. */
static int unless_auto(translation *t, const flag *f, const char *value) {
    if (!is_one_of(value, f->value)) add_option(t, f->ours, value);
    return 0;
}

static int predict(translation *t, const flag *f, const char *value) {
    add_option(t, f->ours, strcmp(value, "-2") == 0 ? "-1" : value); /* both mean: until the context is full */
    return 0;
}

/* Keys and values have the same type here. */
static int cache_type(translation *t, const flag *f, const char *value) {
    if (t->kv_type && strcmp(t->kv_type, value) != 0)
        return usage_error("--cache-type-k %s and --cache-type-v %s: keys and values have the same type here",
                           t->kv_type, value);
    if (!t->kv_type) add_option(t, f->ours, value);
    t->kv_type = value;
    return 0;
}

static int micro_batch(translation *t, const flag *f, const char *value) {
    (void)f;
    t->micro_batch = value;
    return 0;
}

static int repository(translation *t, const flag *f, const char *value) {
    (void)f;
    t->repository = value;
    return 0;
}

static int file_of_repository(translation *t, const flag *f, const char *value) {
    (void)f;
    t->file = value;
    return 0;
}

static int token_of_hub(translation *t, const flag *f, const char *value) {
    (void)f;
    if (setenv("HF_TOKEN", value, 1) != 0) t->out_of_memory = true;
    return 0;
}

static int layers(translation *t, const flag *f, const char *value) {
    const bool all = strcmp(value, "all") == 0 || strcmp(value, "-1") == 0;
    t->layers = value;
    if (strcmp(value, "auto") != 0) add_option(t, f->ours, all ? "65535" : value);
    return 0;
}

/* value: a device as llama.cpp names it, such as none, CUDA0, MTL0, Metal or GPUOpenCL. */
static int device(translation *t, const flag *f, const char *value) {
    static const char *const known[][2] = {
        {"CUDA", "cuda"}, {"MTL", "metal"}, {"Metal", "metal"}, {"GPUOpenCL", "opencl"}};
    if (strcmp(value, "none") == 0) value = "cpu";
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        const size_t length = strlen(known[i][0]);
        if (strncmp(value, known[i][0], length) != 0) continue;
        if (strchr(value, ',')) return usage_error("--device: '%s' names several devices; a model runs on one", value);
        if (value[length]) add_option(t, "device-index", value + length);
        value = known[i][1];
    }
    add_option(t, f->ours, value);
    return 0;
}

static int origins(translation *t, const flag *f, const char *value) {
    if (strcmp(value, "localhost") == 0)
        return usage_error(
            "--cors-origins: 'localhost' is not an origin; give each one, such as http://localhost:3000");
    add_list(t, f->ours, value);
    return 0;
}

/* --rope-freq-scale F is --rope-scale with 1 / F. */
static int rope_freq_scale(translation *t, const flag *f, const char *value) {
    char *end, text[32];
    const double scale = strtod(value, &end);
    if (*end || !(scale > 0)) return usage_error("--rope-freq-scale: '%s' is not a number above 0", value);
    snprintf(text, sizeof text, "%.9g", 1 / scale);
    add_option(t, f->ours, text);
    return 0;
}

static int verbosity(translation *t, const flag *f, const char *value) {
    (void)f;
    if (is_one_of(value, "0|1")) add_option(t, "quiet", NULL);
    if (is_one_of(value, "4|5")) add_option(t, "verbose", NULL);
    return 0;
}

/* ------------------------------------------------------------------------------------------------ table */

#define TEXT_ALONE "models read only text"
#define ONE_TYPE   "a request sets this: grammar, json_schema or response_format"
#define BY_KWARGS  "give --chat-template-kwargs, such as {\"enable_thinking\":false}"
#define ONE_MODEL  "the server has no draft model; --draft lookup guesses tokens from the text so far"
#define ONE_DEVICE "a model runs on one device"
#define BY_THREADS "give the number of threads with --threads"

static const flag flags[] = {
    /* the model */
    {{"-m", "--model"}, .kind = SAME, .ours = "model", .variable = "LLAMA_ARG_MODEL"},
    {{"-mu", "--model-url"}, .kind = SAME, .ours = "model", .variable = "LLAMA_ARG_MODEL_URL"},
    {{"-hf", "-hfr", "--hf-repo"},
     .kind = SPECIAL,
     .ours = "model",
     .variable = "LLAMA_ARG_HF_REPO",
     .special = repository},
    {{"-hff", "--hf-file"},
     .kind = SPECIAL,
     .ours = "hf-file",
     .variable = "LLAMA_ARG_HF_FILE",
     .special = file_of_repository},
    {{"-hft", "--hf-token"}, .kind = SPECIAL, .ours = "hf-token", .special = token_of_hub},
    {{"-dr", "--docker-repo"},
     .kind = REFUSED_VALUE,
     .variable = "LLAMA_ARG_DOCKER_REPO",
     .why = "pull the model from Hugging Face"},
    {{"-a", "--alias"}, .kind = EACH, .ours = "alias", .variable = "LLAMA_ARG_ALIAS"},
    {{"--tags"}, .kind = IDLE_VALUE, .variable = "LLAMA_ARG_TAGS"},
    {{"--lora"}, .kind = EACH, .ours = "lora"},
    {{"--lora-scaled"}, .kind = EACH, .ours = "lora"},
    {{"--lora-init-without-apply"}, .kind = REFUSED, .why = "give --lora FILE:0"},
    {{"--control-vector", "--control-vector-scaled"}, .kind = REFUSED_VALUE},
    {{"--control-vector-layer-range"}, .kind = REFUSED_VALUE},
    {{"--override-kv"}, .kind = EACH, .ours = "override"},
    {{"--models-dir"},
     .kind = REFUSED_VALUE,
     .variable = "LLAMA_ARG_MODELS_DIR",
     .why = "name the models, or pull them"},
    {{"--models-preset"}, .kind = REFUSED_VALUE, .variable = "LLAMA_ARG_MODELS_PRESET", .why = "name the models"},
    {{"--models-max"}, .kind = SAME, .ours = "models-max", .variable = "LLAMA_ARG_MODELS_MAX"},
    {{"--models-autoload"}, .kind = IDLE, .variable = "LLAMA_ARG_MODELS_AUTOLOAD"},
    {{"--no-models-autoload"},
     .kind = REFUSED,
     .variable = "LLAMA_ARG_MODELS_AUTOLOAD",
     .negative = true,
     .why = "a model is loaded when a request names it"},
    {{"-cl", "--cache-list"}, .kind = REFUSED, .why = "'mini-cllm list' lists the models"},
    {{"--list-devices"}, .kind = REFUSED, .why = "'mini-cllm serve --help' lists the devices"},

    /* speed and memory */
    {{"-t", "--threads"},
     .kind = SPECIAL,
     .ours = "threads",
     .variable = "LLAMA_ARG_THREADS",
     .value = "-1|0",
     .special = unless_auto},
    {{"-tb", "--threads-batch"}, .kind = IDLE_VALUE, .why = BY_THREADS},
    {{"--threads-http"}, .kind = IDLE_VALUE, .variable = "LLAMA_ARG_THREADS_HTTP"},
    {{"-C", "--cpu-mask"}, .kind = IDLE_VALUE, .why = BY_THREADS},
    {{"-Cr", "--cpu-range"}, .kind = IDLE_VALUE, .why = BY_THREADS},
    {{"-Cb", "--cpu-mask-batch"}, .kind = IDLE_VALUE, .why = BY_THREADS},
    {{"-Crb", "--cpu-range-batch"}, .kind = IDLE_VALUE, .why = BY_THREADS},
    {{"--cpu-strict", "--cpu-strict-batch", "--poll", "--poll-batch"}, .kind = IDLE_VALUE},
    {{"--prio", "--prio-batch"}, .kind = IDLE_VALUE},
    {{"-c", "--ctx-size"}, .kind = SAME, .ours = "ctx", .variable = "LLAMA_ARG_CTX_SIZE"},
    {{"-np", "--parallel"},
     .kind = SPECIAL,
     .ours = "parallel",
     .variable = "LLAMA_ARG_N_PARALLEL",
     .value = "-1",
     .special = unless_auto},
    {{"-kvu", "--kv-unified"}, .kind = TURNS_ON, .ours = "kv-unified", .variable = "LLAMA_ARG_KV_UNIFIED"},
    {{"-no-kvu", "--no-kv-unified"},
     .kind = IDLE,
     .variable = "LLAMA_ARG_KV_UNIFIED",
     .negative = true,
     .why = "with --parallel each request gets an equal share of --ctx"},
    {{"--kv-unified-per-slot"},
     .kind = REFUSED_VALUE,
     .variable = "LLAMA_ARG_KV_UNIFIED_PER_SLOT",
     .why = "give --ctx and --parallel"},
    {{"-b", "--batch-size"}, .kind = SAME, .ours = "batch", .variable = "LLAMA_ARG_BATCH"},
    {{"-ub", "--ubatch-size"},
     .kind = SPECIAL,
     .ours = "batch",
     .variable = "LLAMA_ARG_UBATCH",
     .special = micro_batch},
    {{"-ctk", "--cache-type-k"},
     .kind = SPECIAL,
     .ours = "kv-type",
     .variable = "LLAMA_ARG_CACHE_TYPE_K",
     .special = cache_type},
    {{"-ctv", "--cache-type-v"},
     .kind = SPECIAL,
     .ours = "kv-type",
     .variable = "LLAMA_ARG_CACHE_TYPE_V",
     .special = cache_type},
    {{"-ngl", "--gpu-layers", "--n-gpu-layers"},
     .kind = SPECIAL,
     .ours = "gpu-layers",
     .variable = "LLAMA_ARG_N_GPU_LAYERS",
     .special = layers},
    {{"-dev", "--device"}, .kind = SPECIAL, .ours = "device", .variable = "LLAMA_ARG_DEVICE", .special = device},
    {{"-mg", "--main-gpu"}, .kind = SAME, .ours = "device-index", .variable = "LLAMA_ARG_MAIN_GPU"},
    {{"-sm", "--split-mode"},
     .kind = IDLE_VALUE,
     .variable = "LLAMA_ARG_SPLIT_MODE",
     .value = "none",
     .why = ONE_DEVICE},
    {{"-ts", "--tensor-split"}, .kind = IDLE_VALUE, .variable = "LLAMA_ARG_TENSOR_SPLIT", .why = ONE_DEVICE},
    {{"-ot", "--override-tensor"}, .kind = IDLE_VALUE, .variable = "LLAMA_ARG_OVERRIDE_TENSOR"},
    {{"-cmoe", "--cpu-moe"}, .kind = IDLE, .variable = "LLAMA_ARG_CPU_MOE"},
    {{"-ncmoe", "--n-cpu-moe"}, .kind = IDLE_VALUE, .variable = "LLAMA_ARG_N_CPU_MOE"},
    {{"-ncffn", "--n-cpu-ffn"}, .kind = IDLE_VALUE, .variable = "LLAMA_ARG_N_CPU_FFN"},
    {{"--moe-cache-mib"}, .kind = IDLE_VALUE, .variable = "LLAMA_ARG_MOE_CACHE_MIB"},
    {{"-fit", "--fit"}, .kind = IDLE_CHOICE, .variable = "LLAMA_ARG_FIT"},
    {{"-fitt", "--fit-target"}, .kind = IDLE_VALUE, .variable = "LLAMA_ARG_FIT_TARGET"},
    {{"-fitc", "--fit-ctx"}, .kind = IDLE_VALUE, .variable = "LLAMA_ARG_FIT_CTX"},
    {{"-fa", "--flash-attn"}, .kind = IDLE_CHOICE, .variable = "LLAMA_ARG_FLASH_ATTN"},
    {{"-cb", "--cont-batching"}, .kind = IDLE, .variable = "LLAMA_ARG_CONT_BATCHING"},
    {{"-nocb", "--no-cont-batching"}, .kind = IDLE, .variable = "LLAMA_ARG_CONT_BATCHING", .negative = true},
    {{"-kvo", "--kv-offload"}, .kind = IDLE, .variable = "LLAMA_ARG_KV_OFFLOAD"},
    {{"-nkvo", "--no-kv-offload"}, .kind = IDLE, .variable = "LLAMA_ARG_KV_OFFLOAD", .negative = true},
    {{"--op-offload", "--no-op-offload", "--no-host"}, .kind = IDLE},
    {{"--repack"}, .kind = TURNS_ON, .ours = "repack"},
    {{"-nr", "--no-repack"}, .kind = IDLE},
    {{"--mlock"}, .kind = IDLE, .variable = "LLAMA_ARG_MLOCK"},
    {{"--mmap"}, .kind = IDLE, .variable = "LLAMA_ARG_MMAP"},
    {{"--no-mmap"}, .kind = TURNS_ON, .ours = "no-mmap", .variable = "LLAMA_ARG_MMAP", .negative = true},
    {{"-dio", "--direct-io", "-ndio", "--no-direct-io"}, .kind = IDLE, .variable = "LLAMA_ARG_DIO"},
    {{"-lm", "--load-mode"}, .kind = IDLE_VALUE, .variable = "LLAMA_ARG_LOAD_MODE", .value = "auto|mmap"},
    {{"-lzm", "--lazy-mode"}, .kind = IDLE_VALUE, .variable = "LLAMA_ARG_LAZY_MODE"},
    {{"--numa"}, .kind = IDLE_VALUE, .variable = "LLAMA_ARG_NUMA"},
    {{"--swa-full"}, .kind = IDLE, .variable = "LLAMA_ARG_SWA_FULL"},
    {{"--warmup", "--no-warmup", "--perf", "--no-perf"}, .kind = IDLE},
    {{"--check-tensors"}, .kind = IDLE},
    {{"-dt", "--defrag-thold"}, .kind = IDLE_VALUE, .variable = "LLAMA_ARG_DEFRAG_THOLD"},
    {{"--rpc"}, .kind = REFUSED_VALUE, .variable = "LLAMA_ARG_RPC"},
    {{"-cram", "--cache-ram"}, .kind = SAME, .ours = "cache-ram", .variable = "LLAMA_ARG_CACHE_RAM"},
    {{"--cache-prompt"}, .kind = IDLE, .variable = "LLAMA_ARG_CACHE_PROMPT"},
    {{"--no-cache-prompt"},
     .kind = TURNS_ON,
     .ours = "cache-ram",
     .variable = "LLAMA_ARG_CACHE_PROMPT",
     .value = "0",
     .negative = true},
    {{"--cache-reuse"},
     .kind = IDLE_VALUE,
     .variable = "LLAMA_ARG_CACHE_REUSE",
     .value = "0",
     .why = "cached prefixes are always used, exact to the token"},
    {{"--cache-idle-slots", "--no-cache-idle-slots"}, .kind = IDLE, .variable = "LLAMA_ARG_CACHE_IDLE_SLOTS"},
    {{"-ctxcp", "--ctx-checkpoints", "--swa-checkpoints"}, .kind = IDLE_VALUE, .variable = "LLAMA_ARG_CTX_CHECKPOINTS"},
    {{"-cms", "--checkpoint-min-step"}, .kind = IDLE_VALUE, .variable = "LLAMA_ARG_CHECKPOINT_MIN_SPACING_NT"},
    {{"-sps", "--slot-prompt-similarity"}, .kind = IDLE_VALUE, .why = "the cache belongs to all slots"},
    {{"--keep"}, .kind = IDLE_VALUE, .value = "0", .why = "a full context ends the text"},
    {{"--context-shift"},
     .kind = REFUSED,
     .variable = "LLAMA_ARG_CONTEXT_SHIFT",
     .why = "a full context ends the text"},
    {{"--no-context-shift"}, .kind = IDLE, .variable = "LLAMA_ARG_CONTEXT_SHIFT", .negative = true},

    /* angles */
    {{"--rope-scaling"}, .kind = SAME, .ours = "rope-scaling", .variable = "LLAMA_ARG_ROPE_SCALING_TYPE"},
    {{"--rope-scale"}, .kind = SAME, .ours = "rope-scale", .variable = "LLAMA_ARG_ROPE_SCALE"},
    {{"--rope-freq-base"}, .kind = SAME, .ours = "rope-freq-base", .variable = "LLAMA_ARG_ROPE_FREQ_BASE"},
    {{"--rope-freq-scale"},
     .kind = SPECIAL,
     .ours = "rope-scale",
     .variable = "LLAMA_ARG_ROPE_FREQ_SCALE",
     .special = rope_freq_scale},
    {{"--yarn-orig-ctx"},
     .kind = REFUSED_VALUE,
     .variable = "LLAMA_ARG_YARN_ORIG_CTX",
     .value = "0",
     .why = "give --override .rope.scaling.original_context_length=int:N"},
    {{"--yarn-ext-factor"}, .kind = REFUSED_VALUE, .variable = "LLAMA_ARG_YARN_EXT_FACTOR", .value = "-1|-1.0|-1.00"},
    {{"--yarn-attn-factor"}, .kind = REFUSED_VALUE, .variable = "LLAMA_ARG_YARN_ATTN_FACTOR", .value = "-1|-1.0|-1.00"},
    {{"--yarn-beta-slow"}, .kind = REFUSED_VALUE, .variable = "LLAMA_ARG_YARN_BETA_SLOW", .value = "-1|-1.0|-1.00"},
    {{"--yarn-beta-fast"}, .kind = REFUSED_VALUE, .variable = "LLAMA_ARG_YARN_BETA_FAST", .value = "-1|-1.0|-1.00"},

    /* texts */
    {{"-n", "--predict", "--n-predict"},
     .kind = SPECIAL,
     .ours = "n-tokens",
     .variable = "LLAMA_ARG_N_PREDICT",
     .special = predict},
    {{"--temp", "--temperature"}, .kind = SAME, .ours = "temperature", .variable = "LLAMA_ARG_TEMPERATURE"},
    {{"--top-k"}, .kind = SAME, .ours = "top-k", .variable = "LLAMA_ARG_TOP_K"},
    {{"--top-p"}, .kind = SAME, .ours = "top-p", .variable = "LLAMA_ARG_TOP_P"},
    {{"--min-p"}, .kind = SAME, .ours = "min-p", .variable = "LLAMA_ARG_MIN_P"},
    {{"--top-nsigma", "--top-n-sigma"}, .kind = SAME, .ours = "top-n-sigma"},
    {{"--repeat-penalty"}, .kind = SAME, .ours = "repeat-penalty", .variable = "LLAMA_ARG_REPEAT_PENALTY"},
    {{"--presence-penalty"}, .kind = SAME, .ours = "presence-penalty", .variable = "LLAMA_ARG_PRESENCE_PENALTY"},
    {{"--frequency-penalty"}, .kind = SAME, .ours = "frequency-penalty", .variable = "LLAMA_ARG_FREQUENCY_PENALTY"},
    {{"--sampler-seq", "--sampling-seq"}, .kind = REFUSED_VALUE, .why = "give --samplers"},
    {{"--ignore-eos"}, .kind = REFUSED, .why = "a request sets this: ignore_eos"},
    {{"--grammar", "--grammar-file"}, .kind = REFUSED_VALUE, .why = ONE_TYPE},
    {{"-j", "--json-schema", "-jf", "--json-schema-file"}, .kind = REFUSED_VALUE, .why = ONE_TYPE},
    {{"-bs", "--backend-sampling"}, .kind = IDLE, .variable = "LLAMA_ARG_BACKEND_SAMPLING"},
    {{"-r", "--reverse-prompt"}, .kind = REFUSED_VALUE, .why = "a request sets this: stop"},
    {{"-sp", "--special"}, .kind = REFUSED, .why = "special tokens are not part of a text"},
    {{"-e", "--escape"}, .kind = IDLE, .why = "backslashes in a text stay as they are"},
    {{"--no-escape"}, .kind = IDLE},
    {{"--no-display-prompt", "--simple-io"}, .kind = IDLE},
    {{"-co", "--color"}, .kind = IDLE_CHOICE},
    {{"--jinja", "--no-jinja"}, .kind = IDLE, .variable = "LLAMA_ARG_JINJA"},
    {{"--chat-template"}, .kind = SAME, .ours = "chat-template", .variable = "LLAMA_ARG_CHAT_TEMPLATE"},
    {{"--chat-template-file"}, .kind = SAME, .ours = "chat-template", .variable = "LLAMA_ARG_CHAT_TEMPLATE_FILE"},
    {{"--chat-template-kwargs"},
     .kind = SAME,
     .ours = "chat-template-kwargs",
     .variable = "LLAMA_ARG_CHAT_TEMPLATE_KWARGS"},
    {{"--skip-chat-parsing"},
     .kind = REFUSED,
     .variable = "LLAMA_ARG_SKIP_CHAT_PARSING",
     .why = "use /completion for text without a template"},
    {{"--no-skip-chat-parsing"}, .kind = IDLE, .variable = "LLAMA_ARG_SKIP_CHAT_PARSING", .negative = true},
    {{"--prefill-assistant", "--no-prefill-assistant"},
     .kind = IDLE,
     .variable = "LLAMA_ARG_PREFILL_ASSISTANT",
     .why = "a request sets this: continue_final_message"},
    {{"--reasoning-format"},
     .kind = REFUSED_VALUE,
     .variable = "LLAMA_ARG_THINK",
     .value = "auto|deepseek",
     .why = "the reasoning is in reasoning_content"},
    {{"-rea", "--reasoning"},
     .kind = REFUSED_VALUE,
     .variable = "LLAMA_ARG_REASONING",
     .value = "auto|on",
     .why = BY_KWARGS},
    {{"--reasoning-effort"},
     .kind = REFUSED_VALUE,
     .variable = "LLAMA_ARG_REASONING_EFFORT",
     .value = "default",
     .why = BY_KWARGS},
    {{"--reasoning-budget"},
     .kind = REFUSED_VALUE,
     .variable = "LLAMA_ARG_THINK_BUDGET",
     .value = "-1",
     .why = BY_KWARGS},
    {{"--reasoning-budget-message"}, .kind = IDLE_VALUE, .variable = "LLAMA_ARG_THINK_BUDGET_MESSAGE"},
    {{"--reasoning-preserve", "--no-reasoning-preserve"}, .kind = IDLE, .variable = "LLAMA_ARG_REASONING_PRESERVE"},
    {{"--spm-infill"}, .kind = TURNS_ON, .ours = "spm-infill"},
    {{"--pooling"}, .kind = SAME, .ours = "pooling", .variable = "LLAMA_ARG_POOLING"},
    {{"--embd-normalize"}, .kind = REFUSED_VALUE, .value = "2", .why = "a request sets this: embd_normalize"},
    {{"--embedding", "--embeddings"},
     .kind = IDLE,
     .variable = "LLAMA_ARG_EMBEDDINGS",
     .why = "embeddings are always on"},
    {{"--rerank", "--reranking"},
     .kind = IDLE,
     .variable = "LLAMA_ARG_RERANKING",
     .why = "reranking is always on, for models that support it"},

    /* images */
    {{"-mm", "--mmproj"}, .kind = SAME, .ours = "mmproj", .variable = "LLAMA_ARG_MMPROJ"},
    {{"-mmu", "--mmproj-url"}, .kind = REFUSED_VALUE, .variable = "LLAMA_ARG_MMPROJ_URL", .why = TEXT_ALONE},
    {{"--mmproj-auto", "--no-mmproj", "--no-mmproj-auto"}, .kind = IDLE, .variable = "LLAMA_ARG_MMPROJ_AUTO"},
    {{"--mmproj-offload", "--no-mmproj-offload"}, .kind = IDLE, .variable = "LLAMA_ARG_MMPROJ_OFFLOAD"},
    {{"-mmdev", "--mmproj-device"}, .kind = IDLE_VALUE, .why = TEXT_ALONE},
    {{"--image-min-tokens", "--image-max-tokens", "--mtmd-batch-max-tokens"}, .kind = IDLE_VALUE, .why = TEXT_ALONE},
    {{"--video-fps", "--video-timestamp-interval", "--video-ffmpeg-dir"}, .kind = IDLE_VALUE, .why = TEXT_ALONE},
    {{"--media-path"}, .kind = IDLE_VALUE, .why = TEXT_ALONE},

    /* the server */
    {{"--host"}, .kind = EACH, .ours = "host", .variable = "LLAMA_ARG_HOST"},
    {{"--port"}, .kind = SAME, .ours = "port", .variable = "LLAMA_ARG_PORT"},
    {{"--reuse-port"}, .kind = IDLE, .variable = "LLAMA_ARG_REUSE_PORT"},
    {{"--path"},
     .kind = REFUSED_VALUE,
     .variable = "LLAMA_ARG_STATIC_PATH",
     .why = "no files are served; put a proxy in front"},
    {{"--api-prefix"}, .kind = SAME, .ours = "api-prefix", .variable = "LLAMA_ARG_API_PREFIX"},
    {{"--api-key"}, .kind = SAME, .ours = "api-key", .variable = "LLAMA_API_KEY"},
    {{"--api-key-file"}, .kind = SAME, .ours = "api-key-file", .variable = "LLAMA_ARG_API_KEY_FILE"},
    {{"--ssl-key-file"}, .kind = SAME, .ours = "ssl-key-file", .variable = "LLAMA_ARG_SSL_KEY_FILE"},
    {{"--ssl-cert-file"}, .kind = SAME, .ours = "ssl-cert-file", .variable = "LLAMA_ARG_SSL_CERT_FILE"},
    {{"--cors-origins"}, .kind = SPECIAL, .ours = "cors", .variable = "LLAMA_ARG_CORS_ORIGINS", .special = origins},
    {{"--cors-methods"}, .kind = IDLE_VALUE, .variable = "LLAMA_ARG_CORS_METHODS"},
    {{"--cors-headers"}, .kind = IDLE_VALUE, .variable = "LLAMA_ARG_CORS_HEADERS"},
    {{"--cors-credentials", "--no-cors-credentials"}, .kind = IDLE, .variable = "LLAMA_ARG_CORS_CREDENTIALS"},
    {{"-to", "--timeout"}, .kind = SAME, .ours = "timeout", .variable = "LLAMA_ARG_TIMEOUT"},
    {{"--sse-ping-interval"},
     .kind = IDLE_VALUE,
     .variable = "LLAMA_ARG_SSE_PING_INTERVAL",
     .why = "a silent stream sends a sign of life every 15 s"},
    {{"--metrics"}, .kind = IDLE, .variable = "LLAMA_ARG_ENDPOINT_METRICS", .why = "/metrics is always on"},
    {{"--props"}, .kind = IDLE, .variable = "LLAMA_ARG_ENDPOINT_PROPS", .why = "properties cannot be changed"},
    {{"--slots"},
     .kind = IDLE,
     .variable = "LLAMA_ARG_ENDPOINT_SLOTS",
     .why = "/slots is on unless --no-slots is given"},
    {{"--no-slots"}, .kind = TURNS_ON, .ours = "no-slots", .variable = "LLAMA_ARG_ENDPOINT_SLOTS", .negative = true},
    {{"--slot-save-path"}, .kind = SAME, .ours = "slot-save-path", .variable = "LLAMA_ARG_SLOT_SAVE_PATH"},
    {{"--ui", "--webui"}, .kind = IDLE, .variable = "LLAMA_ARG_UI"},
    {{"--no-ui", "--no-webui"}, .kind = TURNS_ON, .ours = "no-webui", .variable = "LLAMA_ARG_UI", .negative = true},
    {{"--ui-config", "--webui-config", "--ui-config-file", "--webui-config-file"},
     .kind = IDLE_VALUE,
     .variable = "LLAMA_ARG_UI_CONFIG"},
    {{"--ui-mcp-proxy", "--webui-mcp-proxy"}, .kind = REFUSED, .variable = "LLAMA_ARG_UI_MCP_PROXY"},
    {{"--no-ui-mcp-proxy", "--no-webui-mcp-proxy"}, .kind = IDLE},
    {{"--tools", "--tools-runtime"},
     .kind = REFUSED_VALUE,
     .variable = "LLAMA_ARG_TOOLS",
     .why = "the server runs no tools; clients do"},
    {{"--mcp-servers-config", "--mcp-servers-json"},
     .kind = REFUSED_VALUE,
     .why = "the server runs no tools; clients do"},
    {{"-ag", "--agent"}, .kind = REFUSED, .variable = "LLAMA_ARG_AGENT", .why = "the server runs no tools; clients do"},
    {{"-no-ag", "--no-agent"}, .kind = IDLE},
    {{"--sleep-idle-seconds"}, .kind = SAME, .ours = "sleep-idle-seconds"},

    /* messages */
    {{"-v", "--verbose", "--log-verbose"}, .kind = TURNS_ON, .ours = "verbose"},
    {{"-lv", "--verbosity", "--log-verbosity"},
     .kind = SPECIAL,
     .ours = "verbose",
     .variable = "LLAMA_ARG_LOG_VERBOSITY",
     .special = verbosity},
    {{"--log-disable"}, .kind = TURNS_ON, .ours = "quiet"},
    {{"--log-jsonl"}, .kind = TURNS_ON, .ours = "log-format", .variable = "LLAMA_ARG_LOG_JSONL", .value = "json"},
    {{"--no-log-jsonl"}, .kind = IDLE},
    {{"--log-file"}, .kind = IDLE_VALUE, .variable = "LLAMA_ARG_LOG_FILE", .why = "the log is on standard error"},
    {{"--log-colors"}, .kind = IDLE_CHOICE, .variable = "LLAMA_ARG_LOG_COLORS"},
    {{"--log-prefix", "--no-log-prefix"}, .kind = IDLE, .variable = "LLAMA_ARG_LOG_PREFIX"},
    {{"--log-timestamps", "--no-log-timestamps"}, .kind = IDLE, .variable = "LLAMA_ARG_LOG_TIMESTAMPS"},
    {{"--log-prompts-dir"}, .kind = IDLE_VALUE, .why = "--log-prompts logs them"},

    /* drafts, which do not change the text */
    {{"-md", "--model-draft", "--spec-draft-model"},
     .kind = IDLE_VALUE,
     .variable = "LLAMA_ARG_SPEC_DRAFT_MODEL",
     .why = ONE_MODEL},
    {{"-hfd", "-hfrd", "--hf-repo-draft", "--spec-draft-hf"},
     .kind = IDLE_VALUE,
     .variable = "LLAMA_ARG_SPEC_DRAFT_HF_REPO",
     .why = ONE_MODEL},
    {{"-ngld", "--gpu-layers-draft", "--n-gpu-layers-draft", "--spec-draft-ngl"}, .kind = IDLE_VALUE, .why = ONE_MODEL},
    {{"-devd", "--device-draft", "--spec-draft-device"}, .kind = IDLE_VALUE, .why = ONE_MODEL},
    {{"-ctkd", "--cache-type-k-draft", "--spec-draft-type-k"}, .kind = IDLE_VALUE, .why = ONE_MODEL},
    {{"-ctvd", "--cache-type-v-draft", "--spec-draft-type-v"}, .kind = IDLE_VALUE, .why = ONE_MODEL},
    {{"-td", "--threads-draft", "--spec-draft-threads"}, .kind = IDLE_VALUE, .why = ONE_MODEL},
    {{"-tbd", "--threads-batch-draft", "--spec-draft-threads-batch"}, .kind = IDLE_VALUE, .why = ONE_MODEL},
    {{"-cd", "--ctx-size-draft"}, .kind = IDLE_VALUE, .why = ONE_MODEL},
    {{"--draft-max", "--draft-n", "--draft-min", "--draft-n-min"},
     .kind = IDLE_VALUE,
     .variable = "LLAMA_ARG_DRAFT_MAX",
     .why = ONE_MODEL},
    {{"--draft-p-min", "--draft-p-split", "--spec-draft-p-min", "--spec-draft-p-split"},
     .kind = IDLE_VALUE,
     .why = ONE_MODEL},
    {{"--spec-draft-n-max", "--spec-draft-n-min", "--spec-draft-sampling"}, .kind = IDLE_VALUE, .why = ONE_MODEL},
    {{"--spec-type"}, .kind = IDLE_VALUE, .variable = "LLAMA_ARG_SPEC_TYPE", .value = "none", .why = ONE_MODEL},
    {{"--spec-default"}, .kind = IDLE, .why = ONE_MODEL},
    {{"-lcs", "--lookup-cache-static"}, .kind = IDLE_VALUE, .why = ONE_MODEL},
    {{"-lcd", "--lookup-cache-dynamic"}, .kind = IDLE_VALUE, .why = ONE_MODEL},
};

enum { N_FLAGS = sizeof flags / sizeof *flags };

/* ------------------------------------------------------------------------------------------ translating */

/* Find the flag that a word names, before "=" if there is one. name: out, as in the table. */
static const flag *find_flag(const char *word, const char **name) {
    const size_t length = strncmp(word, "--", 2) == 0 ? strcspn(word, "=") : strlen(word);
    for (size_t i = 0; i < N_FLAGS; i++)
        for (size_t k = 0; k < 4 && (*name = flags[i].names[k]); k++)
            if (strlen(*name) == length && strncmp(*name, word, length) == 0) return &flags[i];
    return NULL;
}

static bool takes_value(const flag *f) {
    return f->kind == SAME || f->kind == EACH || f->kind == IDLE_VALUE || f->kind == REFUSED_VALUE ||
           f->kind == SPECIAL;
}

/* True if a word has no effect in a command that is not the server. */
static bool is_idle_in(unsigned bit, const flag *f, const char *word) {
    bool takes_next;
    const bool idle = f->kind == IDLE || f->kind == IDLE_VALUE || f->kind == IDLE_CHOICE;
    const bool several_letters = word[1] != '-' && word[2]; /* getopt would take the first for an option */
    return idle && !(f->why && strcmp(f->why, ONE_MODEL) == 0) &&
           (several_letters || !option_named(bit, word, &takes_next));
}

/* name: as the user wrote it, or the name of the variable. */
static int apply(translation *t, const flag *f, const char *name, const char *value) {
    const bool usual = value && f->value && is_one_of(value, f->value);
    switch (f->kind) {
    case SAME: add_option(t, f->ours, value); return 0;
    case EACH: add_list(t, f->ours, value); return 0;
    case TURNS_ON: add_option(t, f->ours, f->value); return 0;
    case SPECIAL: return f->special(t, f, value);
    case IDLE:
    case IDLE_CHOICE: add_note(t, name, f->why); return 0;
    case IDLE_VALUE:
        if (!usual) add_note(t, name, f->why);
        return 0;
    case REFUSED:
    case REFUSED_VALUE: break;
    }
    if (usual) return 0;
    return usage_error("%s%s%s is not supported%s%s", name, value ? " " : "", value ? value : "", f->why ? ": " : "",
                       f->why ? f->why : "");
}

/* Handle a flag of the command line. i: index of its word, out: of its value if that is the next word. */
static int take_flag(translation *t, const flag *f, const char *name, int argc, char **argv, int *i) {
    const char *equals = strncmp(argv[*i], "--", 2) == 0 ? strchr(argv[*i], '=') : NULL;
    const char *value = equals ? equals + 1 : NULL;
    if (f->kind == IDLE_CHOICE && !value && *i + 1 < argc && is_one_of(argv[*i + 1], "on|off|auto|0|1|true|false"))
        ++*i;
    if (takes_value(f) && !value) {
        if (*i + 1 >= argc) return usage_error("%s needs a value", name);
        value = argv[++*i];
    } else if (!takes_value(f) && f->kind != IDLE_CHOICE && value) {
        return usage_error("%s takes no value", name);
    }
    if (f->ours) mark_seen(t, f->ours);
    return apply(t, f, name, value);
}

static int take_words(translation *t, int argc, char **argv) {
    int failed = 0, i = 1;
    for (; !failed && i < argc && strcmp(argv[i], "--") != 0; i++) {
        const char *word = argv[i], *name, *ours;
        bool takes_next = false;
        const bool is_option = word[0] == '-' && word[1];
        const flag *f = is_option ? find_flag(word, &name) : NULL;
        if (f && (t->bit == SERVE || is_idle_in(t->bit, f, word))) {
            failed = take_flag(t, f, name, argc, argv, &i);
            continue;
        }
        ours = is_option ? option_named(t->bit, word, &takes_next) : "model";
        if (ours) mark_seen(t, ours);
        add_word(t, strdup(word));
        if (takes_next && i + 1 < argc) add_word(t, strdup(argv[++i]));
    }
    if (i < argc) mark_seen(t, "model"); /* after "--" there are only models */
    t->n_taken = i;
    return failed;
}

/* Read the variable of a flag that takes no value. Returns 1 if it sets the flag, 0 if it unsets it, -1 if it says
 * nothing. value: out, the variable's text, or NULL. */
static int said_by(const flag *f, const char **value) {
    char name[80];
    *value = getenv(f->variable);
    if (*value && is_one_of(*value, "1|on|true|enabled")) return !f->negative;
    if (*value && is_one_of(*value, "0|off|false|disabled")) return f->negative;
    if (strncmp(f->variable, "LLAMA_ARG_", 10) != 0) return -1;
    snprintf(name, sizeof name, "LLAMA_ARG_NO_%s", f->variable + 10); /* any value counts */
    return getenv(name) ? f->negative : -1;
}

static int take_variables(translation *t) {
    int failed = 0;
    for (size_t i = 0; !failed && i < N_FLAGS; i++) {
        const flag *f = &flags[i];
        const char *value = f->variable ? getenv(f->variable) : NULL;
        if (!f->variable) continue;
        if (f->ours && was_seen(t, f->ours)) continue;
        if (takes_value(f)) {
            if (value && *value) failed = apply(t, f, f->variable, value);
        } else if (f->kind == IDLE_CHOICE ? value != NULL : said_by(f, &value) == 1) {
            failed = apply(t, f, f->variable, NULL);
        }
    }
    return failed;
}

/* Add the options that depend on several flags. */
static int add_rest(translation *t) {
    if (t->micro_batch) add_option(t, "batch", t->micro_batch); /* after --batch-size, so this one counts */
    if (t->layers && strcmp(t->layers, "0") != 0 && !was_seen(t, "device") && !getenv("LLAMA_ARG_DEVICE"))
        add_option(t, "device", "auto");
    if (!t->repository && t->file) return usage_error("--hf-file: give its repository with --hf-repo");
    if (!t->repository) return 0;
    const char *scheme = strncmp(t->repository, "hf:", 3) == 0 ? "" : "hf:";
    const size_t n_scheme = *scheme ? 0 : 3;
    /* with --hf-file, :QUANT does not count */
    const size_t length = n_scheme + strcspn(t->repository + n_scheme, t->file ? ":" : "");
    char *name = strndup(t->repository, length),
         *whole = name ? joined(scheme, name, t->file ? "/" : "", t->file ? t->file : "") : NULL;
    if (whole)
        add_option(t, "model", whole);
    else
        t->out_of_memory = true;
    free(name);
    free(whole);
    return 0;
}

int translate_server_words(unsigned bit, int argc, char **argv, server_words *words) {
    translation t = {.bit = bit, .words = words};
    add_word(&t, strdup(argv[0]));
    int failed = take_words(&t, argc, argv);
    if (!failed && bit == SERVE) failed = take_variables(&t);
    if (!failed && bit == SERVE) failed = add_rest(&t);
    for (int i = t.n_taken; !failed && i < argc; i++) add_word(&t, strdup(argv[i]));
    return !failed && t.out_of_memory ? fail("out of memory") : failed;
}

void server_words_free(server_words *words) {
    for (int i = 0; i < words->count; i++) free(words->items[i]);
    for (size_t i = 0; i < words->n_notes; i++) free(words->notes[i]);
    free(words->items);
    free(words->notes);
    *words = (server_words){0};
}

bool is_server_flag(const char *word) {
    const char *name;
    return find_flag(word, &name);
}

const char *server_flag_option(const char *word) {
    const char *name;
    const flag *f = find_flag(word, &name);
    return f && !(f->kind == TURNS_ON && f->value) ? f->ours : NULL;
}

const char *server_flags_help(void) {
    return "Also understood: llama-server's flags, short and long, such as -np, -ngl, -ub, -ctk and --hf-repo, and the "
           "environment variables LLAMA_ARG_* and LLAMA_API_KEY, which a flag overrides. A note names each flag that "
           "has no effect here. Flags that would change answers or safety are refused.";
}
