/* The forward pass on a GPU: the last layers of the model, its final norm and its output matrix, for a batch of spans
 * of sequences. If it has all layers, it begins with the tokens; otherwise with the result of the CPU's layers. Before
 * it: cllm_eval, or forward_cpu. After it: the sampler. docs/08-gpu.md explains how the kernels are written and
 * used. */
#ifndef GPU_FORWARD_GPU_H
#define GPU_FORWARD_GPU_H

#include "gpu/driver.h"
#include "model/span.h"
#include "model/weights.h"

/* A device and its driver. */
typedef struct gpu {
    const gpu_driver *driver; /* NULL: none */
    gpu_device *device;
    gpu_properties properties;
} gpu;

/* Open the device with this number. name: a driver's, or "auto": the first driver that finds a GPU. Errors: DEVICE,
 * with the reason. */
cllm_status gpu_open(const char *name, uint32_t index, gpu *out, cllm_error *err);
void gpu_close(gpu *g); /* leaves it empty; it may be empty already */

/* The first trait of the model that the GPU's kernels do not support, in words; NULL: they support all of it. */
const char *forward_gpu_lacks(const model_config *config, const model_weights *weights);

#define GPU_MOST_BATCH 2048 /* more tokens at once are not faster, and their groups could be too many for a launch */

typedef struct gpu_settings {
    uint32_t n_layers;    /* the model's last layers, 1 or more */
    kv_size size;         /* n_batch: rows of a batch, at most GPU_MOST_BATCH; n_sequences: spans */
    uint32_t n_logits;    /* rows of logits computed at once */
    cllm_kv_type kv_type; /* F16 or F32 */
    bool exact;           /* only kernels whose sums have one order for any batch */
} gpu_settings;

/* Bytes of device memory; a sum that overflows is UINT64_MAX. */
typedef struct gpu_needs {
    uint64_t weights, kv_cache, scratch;
    uint64_t largest; /* of one buffer */
} gpu_needs;

/* Bytes of host memory that forward_gpu_create allocates for a batch; UINT64_MAX on overflow. */
uint64_t forward_gpu_host_bytes(const model_config *config, const kv_size *size);

gpu_needs forward_gpu_needs(const model_config *config, const model_weights *weights, const gpu_settings *settings);

typedef struct forward_gpu forward_gpu;

/* Copy the weights to the device, or let it read them in place, and compile the program. progress: called with the
 * bytes of weights that are done, and the bytes of all weights; may be NULL. All pointers stay borrowed. out: owned.
 * The matrices must not be interleaved. Errors: DEVICE, MEMORY, CANCELLED. */
cllm_status forward_gpu_create(const gpu *g, const model_config *config, const model_weights *weights,
                               const gpu_settings *settings, cllm_progress progress, void *user, forward_gpu **out,
                               cllm_error *err);
void forward_gpu_destroy(forward_gpu *f);

/* Run spans, in the order of their rows, 1..n_batch rows in total; first_row is ignored. The spans' tables have pages
 * for all rows, and are borrowed until this returns. tokens: [rows]. x: [rows][n_embd] from the layers before; NULL:
 * there are none. In the last layer only the keys and values are computed for rows that are not kept (model/span.h).
 * keep_going is called before each layer; it may be NULL. Errors: DEVICE, CANCELLED. */
cllm_status forward_gpu_layers(forward_gpu *f, const forward_span *spans, uint32_t n_spans, const int32_t *tokens,
                               const float *x, bool (*keep_going)(void *user, uint32_t layer), void *user,
                               cllm_error *err);

/* Results of the last batch's kept rows, from first_row on. This function and the next two wait for the device. Errors:
 * DEVICE. logits: out, [n_rows][n_vocab], computed n_logits rows at a time. */
cllm_status forward_gpu_output(forward_gpu *f, uint32_t first_row, uint32_t n_rows, float *logits, cllm_error *err);

/* tokens: out, [n_rows], the likeliest token after each row, the lowest id if several are equal; -1 if a logit is NaN,
 * or if the largest is infinite. Only these numbers are copied from the device. */
cllm_status forward_gpu_next(forward_gpu *f, uint32_t first_row, uint32_t n_rows, int32_t *tokens, cllm_error *err);

/* out: [n_rows][n_embd], the rows after the model's last norm. */
cllm_status forward_gpu_embedding(forward_gpu *f, uint32_t first_row, uint32_t n_rows, float *out, cllm_error *err);

/* Copy whole pages before a sequence writes to shared ones. Errors: DEVICE. */
cllm_status forward_gpu_copy(forward_gpu *f, const kv_copies *copies, cllm_error *err);

/* Bytes of one page of a pool (model/kv_pages.h), for all layers on the GPU that use this pool; 0: none does. */
uint64_t forward_gpu_page_bytes(const forward_gpu *f, uint32_t pool);

/* bytes: [forward_gpu_page_bytes]: for each layer its keys and its values, in the kernels' order. When a page is read,
 * only the first n_positions are copied; the others are zeros. Errors: DEVICE. */
cllm_status forward_gpu_read_page(forward_gpu *f, uint32_t pool, uint32_t page, uint32_t n_positions, void *bytes,
                                  cllm_error *err);
cllm_status forward_gpu_write_page(forward_gpu *f, uint32_t pool, uint32_t page, const void *bytes, cllm_error *err);

/* beyond: out, true if a key or value of the first `end` positions is infinite in float16. Positions that a sliding
 * window has dropped are not looked at. Errors: MEMORY, DEVICE. */
cllm_status forward_gpu_beyond_f16(const forward_gpu *f, const kv_table *table, uint32_t end, bool *beyond,
                                   cllm_error *err);

/* The work of the device since the engine was created. */
typedef struct gpu_counters {
    uint64_t launches;
    uint64_t bytes; /* that the launches read and wrote: vectors, keys, values, and matrices each time they are read */
} gpu_counters;

gpu_counters forward_gpu_counters(const forward_gpu *f);

/* From now on measure each launch: run it again, `repetitions` times in a row, and report its time in seconds (0
 * repetitions: report it with a time of 0). The results of the pass are then invalid. The first report is of the kernel
 * "copy", which this function runs: it copies device memory. on_launch NULL: stop measuring. Errors: DEVICE. */
typedef void (*gpu_on_launch)(void *user, const char *kernel, double seconds, uint64_t bytes);
cllm_status forward_gpu_measure(forward_gpu *f, uint32_t repetitions, gpu_on_launch on_launch, void *user,
                                cllm_error *err);

#endif
