/* Implements tiny_model.h. */
#include "support/tiny_model.h"

#include "base/half.h"
#include "support/check.h"
#include "support/random_blocks.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

tiny_model tiny_model_default(void) {
    return (tiny_model){.n_layers = 2,
                        .n_embd = 64,
                        .n_heads = 4,
                        .n_kv_heads = 2,
                        .key_length = 16,
                        .value_length = 16,
                        .n_ff = 96,
                        .n_vocab = 50,
                        .n_ctx = 64,
                        .type = QUANT_F32,
                        .seed = 1};
}

void tiny_model_metadata(gguf_builder *g, const tiny_model *m) {
    builder_string(g, "general.architecture", "llama");
    builder_string(g, "general.name", "tiny");
    builder_u32(g, "llama.block_count", m->n_layers);
    builder_u32(g, "llama.context_length", m->n_ctx);
    builder_u32(g, "llama.embedding_length", m->n_embd);
    builder_u32(g, "llama.feed_forward_length", m->n_ff);
    builder_u32(g, "llama.attention.head_count", m->n_heads);
    builder_u32(g, "llama.attention.head_count_kv", m->n_kv_heads);
    builder_u32(g, "llama.attention.key_length", m->key_length);
    builder_u32(g, "llama.attention.value_length", m->value_length);
    builder_f32(g, "llama.attention.layer_norm_rms_epsilon", 1e-5f);
    if (m->window > 0) builder_u32(g, "llama.attention.sliding_window", m->window);
}

/* For these types one block is random weights with a magnitude near 0.2; blocks of other types have any magnitude. */
static int is_moderate(quant_type type) {
    return type == QUANT_F32 || type == QUANT_F16 || type == QUANT_Q4_0 || type == QUANT_Q8_0;
}

static void random_block(quant_type type, unsigned char *block, uint64_t *state) {
    const quant_layout *layout = quant_type_layout(type);
    if (type == QUANT_F32) {
        float value = random_float(state) * 0.4f;
        memcpy(block, &value, sizeof value);
    } else if (type == QUANT_F16) {
        uint16_t value = f16_from_f32(random_float(state) * 0.4f);
        memcpy(block, &value, sizeof value);
    } else if (!is_moderate(type)) {
        random_blocks(type, block, 1, state);
    } else { /* a scale, then integers */
        uint16_t scale = f16_from_f32(type == QUANT_Q4_0 ? 0.04f : 0.003f);
        memcpy(block, &scale, sizeof scale);
        for (uint32_t i = 2; i < layout->block_bytes; i++) block[i] = (unsigned char)random_u64(state);
    }
}

static void put_matrix(gguf_builder *g, const char *name, quant_type type, uint64_t rows, uint64_t columns,
                       uint64_t *state) {
    const quant_layout *layout = quant_type_layout(type);
    const uint64_t shape[] = {columns, rows};
    const size_t n_bytes = (size_t)quant_bytes(type, rows * columns);
    unsigned char *bytes = malloc(n_bytes);
    assert_non_null(bytes);
    for (size_t at = 0; at < n_bytes; at += layout->block_bytes) random_block(type, bytes + at, state);
    builder_tensor(g, name, (uint32_t)type, 2, shape, bytes, n_bytes);
    free(bytes);
}

static void put_vector(gguf_builder *g, const char *name, uint64_t n, float mean, uint64_t *state) {
    float *values = malloc((size_t)n * sizeof *values);
    assert_non_null(values);
    for (uint64_t i = 0; i < n; i++) values[i] = mean + 0.1f * random_float(state);
    builder_tensor(g, name, QUANT_F32, 1, &n, values, (size_t)n * sizeof *values);
    free(values);
}

void tiny_model_tensors(gguf_builder *g, const tiny_model *m) {
    uint64_t state = m->seed;
    char name[64];
    const uint64_t queries = (uint64_t)m->n_heads * m->key_length, keys = (uint64_t)m->n_kv_heads * m->key_length;
    const uint64_t values = (uint64_t)m->n_kv_heads * m->value_length;
    /* the type of the matrices that decide how sharp attention is, and so how large its errors are */
    const quant_type sharpness = is_moderate(m->type) ? m->type : QUANT_F32;
    const uint64_t attended = (uint64_t)m->n_heads * m->value_length;
    put_matrix(g, "token_embd.weight", m->type, m->n_vocab, m->n_embd, &state);
    put_vector(g, "output_norm.weight", m->n_embd, 1, &state);
    if (!m->tied) put_matrix(g, "output.weight", m->type, m->n_vocab, m->n_embd, &state);
    for (uint32_t i = 0; i < m->n_layers; i++) {
#define NAME(suffix) (snprintf(name, sizeof name, "blk.%u." suffix, i), name)
        put_vector(g, NAME("attn_norm.weight"), m->n_embd, 1, &state);
        put_matrix(g, NAME("attn_q.weight"), sharpness, queries, m->n_embd, &state);
        put_matrix(g, NAME("attn_k.weight"), sharpness, keys, m->n_embd, &state);
        put_matrix(g, NAME("attn_v.weight"), m->type, values, m->n_embd, &state);
        put_matrix(g, NAME("attn_output.weight"), m->type, m->n_embd, attended, &state);
        if (m->biases) {
            put_vector(g, NAME("attn_q.bias"), queries, 0, &state);
            put_vector(g, NAME("attn_k.bias"), keys, 0, &state);
            put_vector(g, NAME("attn_v.bias"), values, 0, &state);
            put_vector(g, NAME("attn_output.bias"), m->n_embd, 0, &state);
        }
        put_vector(g, NAME("ffn_norm.weight"), m->n_embd, 1, &state);
        put_matrix(g, NAME("ffn_gate.weight"), m->type, m->n_ff, m->n_embd, &state);
        put_matrix(g, NAME("ffn_up.weight"), m->type, m->n_ff, m->n_embd, &state);
        put_matrix(g, NAME("ffn_down.weight"), m->type, m->n_embd, m->n_ff, &state);
#undef NAME
    }
}

const char *tiny_model_write(const char *name, const tiny_model *m) {
    gguf_builder g;
    builder_init(&g);
    tiny_model_metadata(&g, m);
    tiny_model_tensors(&g, m);
    return builder_write(&g, name);
}
