/* Finds out why a logit is not a finite number: it checks all weights. Its caller, cllm_sequence_diagnose, has found
 * out if keys or values are too large for float16. It is only called after a failure, so it may be slow. */
#include "engine/engine.h"

#include "base/error.h"

#include <math.h>

static bool all_finite(const cllm_tensor *tensor) {
    enum { STEP = 4096 }; /* elements: whole blocks of any type */
    const quant_layout *layout = quant_type_layout((uint32_t)tensor->type);
    if (!layout || !layout->computable) return true;
    float x[STEP];
    const uint64_t n_elements = tensor->n_bytes / layout->block_bytes * layout->block_elements;
    const unsigned char *blocks = tensor->data;
    for (uint64_t done = 0; done < n_elements; done += STEP) {
        const size_t n = n_elements - done < STEP ? (size_t)(n_elements - done) : STEP;
        dequantize_scalar[tensor->type](blocks, x, n);
        for (size_t i = 0; i < n; i++)
            if (!isfinite(x[i])) return false;
        blocks += n / layout->block_elements * layout->block_bytes;
    }
    return true;
}

static cllm_status check_tensors(const cllm_gguf *gguf, const model_config *config, const char *whose,
                                 cllm_error *err) {
    for (size_t i = 0; i < cllm_gguf_n_tensors(gguf); i++) {
        const cllm_tensor *tensor = cllm_gguf_tensor(gguf, i);
        if (!is_unused_tensor(config, tensor) && !all_finite(tensor))
            return error_set_at(
                err, CLLM_ERR_FORMAT, tensor->name, CLLM_NO_OFFSET,
                "tensor '%s' of the %s holds a number that is not finite: the file is probably damaged; "
                "get it again",
                tensor->name, whose);
    }
    return CLLM_OK;
}

cllm_status diagnose_logits(const cllm_model *model, bool beyond_f16, cllm_error *err) {
    cllm_status status = check_tensors(model->gguf, &model->config, "model", err);
    for (size_t i = 0; status == CLLM_OK && i < model->n_adapters; i++)
        status = check_tensors(model->adapters[i], &model->config, "adapter", err);
    if (status != CLLM_OK) return status;
    if (beyond_f16)
        return error_set_at(
            err, CLLM_ERR_UNSUPPORTED, "kv_type", CLLM_NO_OFFSET,
            "a logit is not a finite number: this model's keys or values are beyond the range of float16, "
            "in which they are stored; store them as f32, or on the CPU as q8_0");
    return error_set(
        err, CLLM_ERR_UNSUPPORTED,
        "a logit is not a finite number, though every weight is, and no key or value is beyond float16 storage: the "
        "model computes numbers beyond the range of float32");
}
