/* Implements sampling.h. The keys are those that llama.cpp's converter writes from a model's generation_config.json. */
#include "sampling.h"

#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define KEYS        "general.sampling."
#define FIELD(name) offsetof(cllm_sampler_options, name)

typedef enum number_kind { FLOAT, COUNT } number_kind;

static const struct {
    const char *key, *option;
    number_kind kind;
    size_t field;
    double least, most; /* both are allowed */
} recommendations[] = {
    {"temp", "temperature", FLOAT, FIELD(temperature), 0, 1e6},
    {"top_k", "top-k", COUNT, FIELD(top_k), 0, INT32_MAX},
    {"top_p", "top-p", FLOAT, FIELD(top_p), 0, 1},
    {"min_p", "min-p", FLOAT, FIELD(min_p), 0, 1},
    {"xtc_probability", "xtc-probability", FLOAT, FIELD(xtc_probability), 0, 1},
    {"xtc_threshold", "xtc-threshold", FLOAT, FIELD(xtc_threshold), 0, 1},
    {"penalty_last_n", "repeat-last-n", COUNT, FIELD(penalty_last_n), -1, INT32_MAX},
    {"penalty_repeat", "repeat-penalty", FLOAT, FIELD(repeat_penalty), 0, 1e6},
    {"mirostat", "mirostat", COUNT, FIELD(mirostat), 0, 2},
    {"mirostat_tau", "mirostat-ent", FLOAT, FIELD(mirostat_tau), 0, 1e6},
    {"mirostat_eta", "mirostat-lr", FLOAT, FIELD(mirostat_eta), 0, 1e6},
};

enum { N_RECOMMENDATIONS = sizeof recommendations / sizeof *recommendations };

static const cllm_value *find(const cllm_gguf *gguf, const char *name) {
    char key[64];
    snprintf(key, sizeof key, KEYS "%s", name);
    return cllm_gguf_find(gguf, key);
}

/* NaN if the value is not a number. */
static double number_of(const cllm_value *v) {
    switch (v->type) {
    case CLLM_FLOAT32:
    case CLLM_FLOAT64: return v->f;
    case CLLM_UINT8:
    case CLLM_UINT16:
    case CLLM_UINT32:
    case CLLM_UINT64: return (double)v->u;
    case CLLM_INT8:
    case CLLM_INT16:
    case CLLM_INT32:
    case CLLM_INT64: return (double)v->i;
    default: return (double)NAN;
    }
}

void take_recommended(const options *o, const cllm_gguf *gguf, cllm_sampler_options *sampling,
                      cllm_sampler_step *steps) {
    for (size_t i = 0; i < N_RECOMMENDATIONS; i++) {
        const cllm_value *v = find(gguf, recommendations[i].key);
        if (!v || is_given(o, recommendations[i].option)) continue;
        const double number = number_of(v);
        void *field = (char *)sampling + recommendations[i].field;
        const bool fits = number >= recommendations[i].least && number <= recommendations[i].most;
        if (!fits)
            note(o, KEYS "%s: %g is out of range and ignored", recommendations[i].key, number);
        else if (recommendations[i].kind == FLOAT)
            *(float *)field = (float)number;
        else
            *(uint32_t *)field = number < 0 ? UINT32_MAX : (uint32_t)number;
    }
    const cllm_value *sequence = find(gguf, "sequence");
    if (!sequence || sequence->type != CLLM_STRING || is_given(o, "samplers")) return;
    char *text = strndup(sequence->string.data, sequence->string.length);
    size_t n = 0;
    if (text && parse_steps(KEYS "sequence", text, steps, &n) == EXIT_SUCCESS && n > 0) {
        sampling->steps = steps;
        sampling->n_steps = n;
    }
    free(text);
}

void note_recommended(const options *o, const cllm_gguf *gguf) {
    char line[512] = "";
    size_t n = 0;
    for (size_t i = 0; i < N_RECOMMENDATIONS; i++) {
        const cllm_value *v = find(gguf, recommendations[i].key);
        if (v && n + 1 < sizeof line)
            n += (size_t)snprintf(line + n, sizeof line - n, "%s %s %g", n > 0 ? "," : "", recommendations[i].option,
                                  number_of(v));
    }
    const cllm_value *sequence = find(gguf, "sequence");
    if (sequence && sequence->type == CLLM_STRING && n + 1 < sizeof line)
        snprintf(line + n, sizeof line - n, "%s samplers %.*s", n > 0 ? "," : "", (int)sequence->string.length,
                 sequence->string.data);
    if (*line) note(o, "the file recommends%s", line);
}

uint64_t fresh_seed(void) {
    uint64_t seed;
    FILE *random = fopen("/dev/urandom", "rb");
    if (!random || fread(&seed, sizeof seed, 1, random) != 1)
        seed = (uint64_t)time(NULL) * 0x9E3779B97F4A7C15u + (uint64_t)getpid();
    if (random) fclose(random);
    return seed % 1000000000;
}

cllm_sampler_options sampling_for(const run *r, const cllm_sampler_options *wanted) {
    const uint32_t n_ctx = cllm_engine_plan(r->engine)->n_ctx;
    cllm_sampler_options sampling = *wanted;
    sampling.tokenizer = cllm_model_tokenizer(r->model);
    if (sampling.penalty_last_n > n_ctx) sampling.penalty_last_n = n_ctx;
    if (sampling.dry_penalty_last_n > n_ctx) sampling.dry_penalty_last_n = n_ctx;
    return sampling;
}
