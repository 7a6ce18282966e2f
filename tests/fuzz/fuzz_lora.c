/* Any bytes as a LoRA adapter of a small model with experts and fused tensors: an adapter that is accepted is
 * computed with. Run by `make fuzz`. tests/support/make_lora.py wrote the seed corpus, and parts of it were spoiled. */
#include "model_file.h"

#include "model/lora.h"

enum { N_EXPERTS = 2 };

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n_bytes);

static void put_model(void) {
    begin_file("llama", 1, 8);
    put_u32(".expert_count", N_EXPERTS);
    put_u32(".expert_used_count", 1);
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
    end_file();
}

/* ----------------------------------------------------------------------------------------------------- the check */

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
    read_model(&model);
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
