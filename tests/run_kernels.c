/* Runs every kernel by OpenCL on tensor types of one kind, in the smallest shapes with incomplete tiles, and prints
 * the names of the kernels that were launched. The results are not checked: it is meant to run under a tool that
 * watches the device's memory. Before: the GPU's forward pass. After: tests/support/races.sh.
 *
 *   run_kernels floats | blocks | k_quants | ternary    the types
 *   run_kernels embeddings                              the tables of every type
 *   run_kernels briefly                                 each kind of kernel on few types */
#include "gpu/forward_gpu.h"
#include "gpu/kernel_args.h"
#include "gpu/program.h"
#include "support/check.h"
#include "support/random_blocks.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static uint64_t random_state = 1;

static void must(cllm_status status, const cllm_error *err) {
    if (status == CLLM_OK) return;
    fprintf(stderr, "%s\n", err->message);
    exit(1);
}

/* Memory that lives until the program ends, and ends where a page ends. A device that maps whole pages of the host's
 * memory then sees nothing after the last row. */
static void *memory(size_t n_bytes) {
    const size_t page = (size_t)sysconf(_SC_PAGESIZE), whole_pages = (n_bytes + page - 1) / page * page;
    unsigned char *bytes = aligned_alloc(page, whole_pages);
    if (!bytes) exit(1);
    return memset(bytes + whole_pages - n_bytes, 0, n_bytes);
}

static matrix random_matrix(quant_type type, uint32_t n_rows, uint32_t n_columns) {
    const quant_layout *layout = quant_type_layout(type);
    const size_t row_bytes = n_columns / layout->block_elements * layout->block_bytes;
    void *data = memory(n_rows * row_bytes);
    random_blocks(type, data, n_rows * row_bytes / layout->block_bytes, &random_state);
    return (matrix){.data = data, .type = type, .n_rows = n_rows, .n_columns = n_columns, .row_bytes = row_bytes};
}

static const float *random_vector(uint32_t n) {
    float *values = memory(n * sizeof *values);
    for (uint32_t i = 0; i < n; i++) values[i] = random_float(&random_state);
    return values;
}

static void print_launch(void *user, const char *kernel, double seconds, uint64_t bytes) {
    (void)user, (void)seconds, (void)bytes;
    puts(kernel);
}

/* Together with llama's, these traits cover everything that the GPU supports. */
static const model_traits parallel_and_centred = {
    .norm = NORM_LAYER, .rope = ROPE_NONE, .position_embd = true, .activation = GELU, .qk_norm = QK_NORM_EACH};
static const model_traits normed_behind = {.rope = ROPE_HALVES, .activation = GEGLU, .qk_norm = QK_NORM_ROW};

/* A model of one layer, described by the types of its matrices. */
typedef struct small_model {
    const char *kind; /* the kind of its types */
    model_config config;
    layer_config layer;
    const model_traits *traits;           /* NULL: llama's */
    quant_type q, k, v, gate, up, output; /* matrices of n_embd columns */
    quant_type attn_output, down;         /* matrices of n_heads * value_length and of n_ff columns */
    cllm_kv_type kv_type;
    bool biases;
} small_model;

static void bind_weights(const small_model *m, layer_weights *layer, model_weights *weights) {
    const model_config *c = &m->config;
    const uint32_t queries = c->n_heads * c->key_length, keys = c->n_kv_heads * c->key_length;
    const uint32_t values = c->n_kv_heads * c->value_length;
    *layer = (layer_weights){.attn_norm.weight = random_vector(c->n_embd),
                             .attn_q.w = random_matrix(m->q, queries, c->n_embd),
                             .attn_k.w = random_matrix(m->k, keys, c->n_embd),
                             .attn_v.w = random_matrix(m->v, values, c->n_embd),
                             .attn_output.w = random_matrix(m->attn_output, c->n_embd, c->n_heads * c->value_length),
                             .ffn_norm.weight = random_vector(c->n_embd),
                             .ffn_gate.w = random_matrix(m->gate, c->n_ff, c->n_embd),
                             .ffn_up.w = random_matrix(m->up, c->n_ff, c->n_embd),
                             .ffn_down.w = random_matrix(m->down, c->n_embd, c->n_ff)};
    if (m->traits) {
        const uint32_t n = m->traits->qk_norm == QK_NORM_HEAD ? c->key_length : queries;
        layer->attn_q_norm.weight = random_vector(n);
        layer->attn_k_norm.weight = random_vector(n);
    }
    if (m->traits == &parallel_and_centred) {
        layer->attn_norm.bias = random_vector(c->n_embd);
        layer->ffn_gate.w.data = NULL;
        layer->ffn_norm.weight = NULL;
        layer->ffn_up.bias = random_vector(c->n_ff);
    }
    if (m->traits == &normed_behind)
        layer->post_attention_norm.weight = layer->post_ffw_norm.weight = random_vector(c->n_embd);
    if (m->biases) {
        layer->attn_q.bias = random_vector(queries);
        layer->attn_v.bias = random_vector(values);
        layer->attn_output.bias = random_vector(c->n_embd);
    }
    *weights = (model_weights){.layers = layer,
                               .output_norm.weight = random_vector(c->n_embd),
                               .output.w = random_matrix(m->output, c->n_vocab, c->n_embd)};
    weights->token_embd = weights->output.w; /* tied */
    if (m->traits && m->traits->position_embd)
        weights->position_embd = random_matrix(m->output, c->n_ctx_train, c->n_embd);
}

enum { BATCH = 9, N_CTX = 512, N_SEQUENCES = 2, MOST_CHUNKS = N_CTX / KV_CHUNK };

/* The rows of the next batch, by sequence. Each sequence has the pages of all its positions from the start. */
static void run_spans(forward_gpu *f, const forward_span *spans, uint32_t n_spans) {
    static const int32_t tokens[BATCH] = {1, 2, 3, 4, 5, 6, 7, 8, 9};
    cllm_error err;
    must(forward_gpu_layers(f, spans, n_spans, tokens, NULL, NULL, NULL, &err), &err);
}

/* Batches as engines make them: one that uses tiles, one of few tokens, and single tokens, also deep in the context.
 * They have one sequence or two. */
static void run_model(const small_model *m, bool briefly) {
    static uint32_t numbers[N_SEQUENCES][MOST_CHUNKS] = {{2, 0}, {1, 3}};
    kv_table tables[N_SEQUENCES];
    for (int s = 0; s < N_SEQUENCES; s++)
        for (int pool = 0; pool < KV_POOLS; pool++)
            tables[s].of[pool].pages = numbers[s], tables[s].of[pool].first = 0, tables[s].of[pool].end = MOST_CHUNKS;
    layer_weights layer;
    model_weights weights;
    bind_weights(m, &layer, &weights);
    const gpu_settings settings = {
        .n_layers = 1,
        .size = {.n_ctx = N_CTX, .n_batch = BATCH, .n_sequences = N_SEQUENCES, .n_positions = N_SEQUENCES * N_CTX},
        .n_logits = BATCH,
        .kv_type = m->kv_type};
    float *logits = memory(BATCH * m->config.n_vocab * sizeof *logits);
    gpu g = {0};
    forward_gpu *f = NULL;
    cllm_error err;
    int32_t next[2];

    must(gpu_open("opencl", 0, &g, &err), &err);
    must(forward_gpu_create(&g, &m->config, &weights, &settings, NULL, NULL, &f, &err), &err);
    must(forward_gpu_measure(f, 0, print_launch, NULL, &err), &err);
    run_spans(f, &(forward_span){.table = &tables[0], .n_rows = BATCH, .n_kept = briefly ? 1 : BATCH}, 1);
    if (!briefly) {
        must(forward_gpu_output(f, 0, BATCH, logits, &err), &err);
        run_spans(f, &(forward_span){.table = &tables[0], .first_position = 9, .n_rows = 5, .n_kept = 1}, 1);
        run_spans(f, &(forward_span){.table = &tables[0], .first_position = 254, .n_rows = 3, .n_kept = 3}, 1);
        must(forward_gpu_output(f, 1, 2, logits, &err), &err);
    }
    run_spans(f,
              (const forward_span[]){{.table = &tables[0], .first_position = 300, .n_rows = 1, .n_kept = 1},
                                     {.table = &tables[1], .first_position = 258, .n_rows = 4, .n_kept = 2}},
              2);
    must(forward_gpu_next(f, 1, 2, next, &err), &err);
    run_spans(f, &(forward_span){.table = &tables[0], .first_position = 301, .n_rows = 1, .n_kept = 1}, 1);
    must(forward_gpu_next(f, 0, 1, next, &err), &err);
    forward_gpu_destroy(f);
    gpu_close(&g);
}

/* Reads two tokens' rows of an embedding table of each type. */
static void run_embeddings(void) {
    enum { N_ROWS = 3, N_TOKENS = 2, WIDTH = 256 };
    static const int32_t tokens[N_TOKENS] = {2, 0};
    gpu g = {0};
    gpu_program program = {0};
    uint32_t places[QUANT_TYPE_LIMIT], offset;
    cllm_error err;
    gpu_buffer *table, *ids, *out;

    must(gpu_open("opencl", 0, &g, &err), &err);
#define X(name, number, elements, bytes)                                                                       \
    must(program_add(&program, &(kernel_variant){.kind = MATRIX_EMBED, .types = {QUANT_##name}, .n_types = 1}, \
                     &places[QUANT_##name], &err),                                                             \
         &err);
    GPU_TYPES(X)
#undef X
    must(program_compile(&program, g.driver, g.device, &g.properties, CLLM_KV_F16, &err), &err);
    must(g.driver->allocate(g.device, sizeof tokens, &ids, &err), &err);
    must(g.driver->write(g.device, ids, tokens, sizeof tokens, &err), &err);
    must(g.driver->allocate(g.device, N_TOKENS * WIDTH * sizeof(float), &out, &err), &err);
    for (uint32_t type = 0; type < QUANT_TYPE_LIMIT; type++) {
        const quant_layout *layout = quant_type_layout(type);
        if (!layout || !layout->on_gpu) continue;
        const uint32_t n = layout->block_elements == 1 ? 40 : WIDTH; /* 40: the last unit is not a whole one */
        const matrix w = random_matrix((quant_type)type, N_ROWS, n);
        must(g.driver->wrap(g.device, w.data, N_ROWS * w.row_bytes, &table, &offset, &err), &err);
        const embed_args args = {
            .row_bytes = (int)w.row_bytes, .offset = (int)offset, .n = (int)n, .out_stride = WIDTH, .scale = 1};
        const program_kernel *kernel = &program.kernels[places[type]];
        g.driver->launch(g.device, kernel->kernel, (const uint32_t[]){1, N_TOKENS, 1},
                         (gpu_buffer *const[]){table, ids, out}, 3, &args, sizeof args);
        must(g.driver->sync(g.device, &err), &err);
        puts(kernel->name);
        g.driver->release(g.device, table);
    }
    g.driver->release(g.device, ids);
    g.driver->release(g.device, out);
    program_free(&program);
    gpu_close(&g);
}

int main(int argc, char **argv) {
    const char *kind = argc == 2 ? argv[1] : "";
    const bool briefly = strcmp(kind, "briefly") == 0;
    bool found = false;
    static const small_model models[] = {
        {.kind = "k_quants",
         .config = {.n_embd = 256, .n_heads = 2, .n_kv_heads = 1, .key_length = 14, .value_length = 16, .n_ff = 32},
         .q = QUANT_Q2_K,
         .k = QUANT_Q3_K,
         .v = QUANT_Q4_K,
         .gate = QUANT_Q5_K,
         .up = QUANT_Q6_K,
         .output = QUANT_IQ4_XS,
         .attn_output = QUANT_Q8_0,
         .down = QUANT_IQ4_NL,
         .kv_type = CLLM_KV_F16},
        {.kind = "floats",
         .config = {.n_embd = 40, .n_heads = 3, .n_kv_heads = 1, .key_length = 10, .value_length = 12, .n_ff = 50},
         .q = QUANT_F32,
         .k = QUANT_F16,
         .v = QUANT_BF16,
         .gate = QUANT_BF16,
         .up = QUANT_F16,
         .output = QUANT_F32,
         .attn_output = QUANT_F16,
         .down = QUANT_BF16,
         .kv_type = CLLM_KV_F32,
         .traits = &parallel_and_centred,
         .biases = true},
        {.kind = "ternary",
         .config = {.n_embd = 256, .n_heads = 2, .n_kv_heads = 1, .key_length = 14, .value_length = 16, .n_ff = 64},
         .q = QUANT_MXFP4,
         .k = QUANT_NVFP4,
         .v = QUANT_TQ1_0,
         .gate = QUANT_TQ2_0,
         .up = QUANT_TQ2_0,
         .output = QUANT_TQ1_0,
         .attn_output = QUANT_MXFP4,
         .down = QUANT_NVFP4,
         .kv_type = CLLM_KV_F16},
        {.kind = "blocks",
         .config = {.n_embd = 32, .n_heads = 4, .n_kv_heads = 1, .key_length = 10, .value_length = 8, .n_ff = 160},
         .q = QUANT_Q4_0,
         .k = QUANT_Q4_1,
         .v = QUANT_Q5_0,
         .gate = QUANT_Q5_1,
         .up = QUANT_Q5_1,
         .output = QUANT_Q8_0,
         .attn_output = QUANT_IQ4_NL,
         .down = QUANT_Q5_0,
         .kv_type = CLLM_KV_F16,
         .traits = &normed_behind,
         .biases = true},
    };
    for (size_t i = 0; i < sizeof models / sizeof *models; i++) {
        small_model m = models[i];
        if (strcmp(m.kind, briefly ? "blocks" : kind) != 0) continue;
        found = true;
        m.config.n_layers = 1;
        m.config.n_vocab = 21;
        m.config.n_ctx_train = 512;
        m.config.norm_epsilon = 1e-5f;
        m.config.traits = m.traits ? m.traits : family_find("llama");
        m.config.activation = m.config.traits->activation;
        m.config.attention_softcap = m.config.logit_softcap = m.traits == &normed_behind ? 2 : 0;
        m.config.rope_dimension_count = m.config.key_length - 2;
        m.config.rope_dimension_count_windowed = m.config.rope_dimension_count;
        m.config.rope_freq_base = 10000;
        m.config.rope_freq_base_windowed = 1000;
        m.config.window = m.traits == &normed_behind ? 270 : 0; /* all layers have the window */
        m.config.rope_scaling_factor = 1;
        m.config.embedding_scale = m.config.residual_scale = m.config.logit_scale = 1;
        m.layer = (layer_config){.windowed = m.config.window > 0,
                                 .n_heads = m.config.n_heads,
                                 .n_kv_heads = m.config.n_kv_heads,
                                 .key_length = m.config.key_length,
                                 .value_length = m.config.value_length,
                                 .n_ff = m.config.n_ff,
                                 .rope_dimension_count =
                                     m.config.traits->rope == ROPE_NONE ? 0 : m.config.rope_dimension_count,
                                 .attention_scale = 1};
        m.config.layers = &m.layer;
        run_model(&m, briefly);
    }
    if (strcmp(kind, "embeddings") == 0) {
        found = true;
        run_embeddings();
    }
    if (!found) fprintf(stderr, "usage: run_kernels floats | blocks | k_quants | ternary | embeddings | briefly\n");
    return found ? 0 : 2;
}
