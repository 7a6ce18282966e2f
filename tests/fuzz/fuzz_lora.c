/* Any bytes as a LoRA adapter of a small model with experts and fused tensors: what is bound is computed with. Run by
 * `make fuzz`; the seed corpus was written by tests/support/make_lora.py, and parts of it spoiled. */
#include "engine/engine.h"
#include "gguf/gguf.h"
#include "model/lora.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n_bytes);

static void require(bool holds) {
    if (!holds) abort();
}

/* --------------------------------------------------------------------------------------------------- the model's file */

enum { TYPE_UINT32 = 4, TYPE_FLOAT32 = 6, TYPE_STRING = 8, N_EMBD = 8, N_VOCAB = 5, N_EXPERTS = 2, ALIGNMENT = 32 };

static unsigned char file[1 << 14];
static size_t file_size, data_size;
static unsigned char n_keys, n_tensors;

static void put(const void *bytes, size_t n) {
    require(n <= sizeof file - file_size);
    memcpy(file + file_size, bytes, n);
    file_size += n;
}

static void put_number(uint64_t value, unsigned n_bytes) {
    for (unsigned i = 0; i < n_bytes; i++) put(&(unsigned char){(unsigned char)(value >> (8 * i))}, 1);
}

static void put_text(const char *text) {
    put_number(strlen(text), 8);
    put(text, strlen(text));
}

static void put_key(const char *key, unsigned type) {
    put_text(key);
    put_number(type, 4);
    n_keys++;
}

static void put_u32(const char *key, uint32_t value) {
    put_key(key, TYPE_UINT32);
    put_number(value, 4);
}

/* F32 */
static void put_tensor(const char *name, unsigned n_columns, unsigned n_rows, unsigned count) {
    put_text(name);
    put_number(3, 4);
    put_number(n_columns, 8);
    put_number(n_rows, 8);
    put_number(count, 8);
    put_number(0, 4);
    put_number(data_size, 8);
    const size_t n_bytes = (size_t)n_columns * n_rows * count * 4;
    data_size += (n_bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    n_tensors++;
}

static void put_model(void) {
    const float epsilon = 1e-5f;
    put("GGUF", 4);
    put_number(3, 4);
    put_number(0, 8); /* the counts are overwritten below */
    put_number(0, 8);
    put_key("general.architecture", TYPE_STRING);
    put_text("llama");
    put_u32("llama.block_count", 1);
    put_u32("llama.context_length", 8);
    put_u32("llama.embedding_length", N_EMBD);
    put_u32("llama.feed_forward_length", 8);
    put_u32("llama.attention.head_count", 2);
    put_u32("llama.attention.head_count_kv", 1);
    put_u32("llama.expert_count", N_EXPERTS);
    put_u32("llama.expert_used_count", 1);
    put_key("llama.attention.layer_norm_rms_epsilon", TYPE_FLOAT32);
    put(&epsilon, 4);
    put_tensor("token_embd.weight", N_EMBD, N_VOCAB, 1);
    put_tensor("output_norm.weight", N_EMBD, 1, 1);
    put_tensor("output.weight", N_EMBD, N_VOCAB, 1);
    put_tensor("blk.0.attn_norm.weight", N_EMBD, 1, 1);
    put_tensor("blk.0.attn_qkv.weight", N_EMBD, N_EMBD + 4 + 4, 1);
    put_tensor("blk.0.attn_output.weight", N_EMBD, N_EMBD, 1);
    put_tensor("blk.0.ffn_norm.weight", N_EMBD, 1, 1);
    put_tensor("blk.0.ffn_gate_inp.weight", N_EMBD, N_EXPERTS, 1);
    put_tensor("blk.0.ffn_gate_exps.weight", N_EMBD, 8, N_EXPERTS);
    put_tensor("blk.0.ffn_up_exps.weight", N_EMBD, 8, N_EXPERTS);
    put_tensor("blk.0.ffn_down_exps.weight", 8, N_EMBD, N_EXPERTS);
    file[8] = n_tensors;
    file[16] = n_keys;
    file_size = (file_size + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    for (size_t i = 0; i < data_size / 4; i++) {
        const float value = (float)(i * 7 % 5) / 8 - 0.25f;
        put(&value, 4);
    }
}

/* ------------------------------------------------------------------------------------------------------------ the check */

/* Two tokens at once and one more, by the scalar kernels and by the best. */
static void run(const cllm_model *model) {
    static const char *const isas[] = {"scalar", NULL};
    for (size_t i = 0; i < 2; i++) {
        const cllm_engine_options options = {.n_threads = 1, .n_batch = 2, .cpu_isa = isas[i]};
        const int32_t tokens[] = {1, 4, 2};
        cllm_engine *engine;
        cllm_span span = {.tokens = tokens, .count = 3, .want = CLLM_WANT_LAST};
        cllm_error err;
        require(cllm_engine_create(model, &options, &engine, &err) == CLLM_OK);
        require(cllm_sequence_create(engine, &span.sequence, &err) == CLLM_OK);
        require(cllm_eval(engine, &span, 1, &err) == CLLM_OK);
        cllm_engine_destroy(engine);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n_bytes) {
    cllm_gguf *adapter;
    cllm_model model = {0};
    cllm_error err;
    if (file_size == 0) put_model();
    if (gguf_open_memory(bytes, n_bytes, &adapter, &err) != CLLM_OK) return 0;
    require(gguf_open_memory(file, file_size, &model.gguf, &err) == CLLM_OK);
    require(config_read(model.gguf, &model.config, &err) == CLLM_OK);
    require(weights_bind(model.gguf, &model.config, &model.arena, &model.weights, &err) == CLLM_OK);
    const cllm_status status = lora_bind(adapter, 0.5f, model.gguf, &model.arena, &model.config, &model.weights, &err);
    if (status == CLLM_OK)
        run(&model);
    else
        require(err.message[0]);
    cllm_gguf_close(adapter);
    cllm_gguf_close(model.gguf);
    arena_free(&model.arena);
    return 0;
}
