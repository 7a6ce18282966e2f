/* Saves a sequence to a file, and loads it. Before it: a sequence in one engine. After it: the same sequence in this or
 * another engine. All numbers are little-endian, as on the machines that are supported:
 *
 *   saved_header     what the file is, and which engine can read it
 *   tokens           int32 [n_tokens]
 *   pages            for the CPU's layers, then for the GPU's layers: the pages of KV_FULL in the order of positions,
 *                    then the pages of KV_WINDOWED that the last token sees, as far as the sequence still has them.
 *                    After the last token, a page has zeros
 *   state            one slot (state_store.h), the state after the first state_length tokens, if the model has
 *                    recurrent layers and there are tokens
 *   checksum         uint64 of all bytes before it
 *
 * An engine reads a file only if it would compute the same keys and values. Therefore it compares the header with its
 * own, field by field. */
#include "base/error.h"
#include "base/hash.h"
#include "engine/states.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char magic[8] = "CLLMSEQ";

enum { FORMAT_VERSION = 2, SAMPLED_BYTES = 4096 /* of each tensor */ };

typedef struct saved_header {
    char magic[8];
    uint32_t version;
    uint32_t kv_type;
    uint64_t model;        /* hash of its metadata, its tensors and their first bytes, its adapters and their scales */
    uint64_t rope_factors; /* hash of RoPE's factors */
    char cpu_isa[16];
    char device[16];
    char device_name[128];
    uint32_t n_cpu_layers;
    uint32_t exact;
    uint32_t n_tokens;
    uint32_t first_windowed; /* first windowed page in the file */
    uint32_t state_length;   /* at most n_tokens; later tokens are replayed */
    uint32_t reserved;
} saved_header;

/* ------------------------------------------------------------------------------------------------- hashing */

static uint64_t hash_text(uint64_t hash, const char *text, size_t length) {
    return hash_bytes(hash_bytes(hash, &length, sizeof length), text, length);
}

static uint64_t hash_value(uint64_t hash, const cllm_value *value) {
    hash = hash_bytes(hash, &value->type, sizeof value->type);
    if (value->type == CLLM_STRING) return hash_text(hash, value->string.data, value->string.length);
    if (value->type == CLLM_BOOL) return hash_bytes(hash, &value->b, sizeof value->b);
    if (value->type != CLLM_ARRAY) return hash_bytes(hash, &value->u, sizeof value->u); /* a double has the same size */
    cllm_array rest = value->array;
    cllm_value element;
    hash = hash_bytes(hash, &rest.count, sizeof rest.count);
    while (cllm_array_next(&rest, &element)) hash = hash_value(hash, &element);
    return hash;
}

static uint64_t hash_gguf(uint64_t hash, const cllm_gguf *gguf) {
    for (size_t i = 0; i < cllm_gguf_n_metadata(gguf); i++) {
        const cllm_metadata *m = cllm_gguf_metadata(gguf, i);
        hash = hash_value(hash_text(hash, m->key, strlen(m->key)), &m->value);
    }
    for (size_t i = 0; i < cllm_gguf_n_tensors(gguf); i++) {
        const cllm_tensor *t = cllm_gguf_tensor(gguf, i);
        hash = hash_text(hash, t->name, strlen(t->name));
        hash = hash_bytes(hash, &t->type, sizeof t->type);
        hash = hash_bytes(hash, t->shape, sizeof t->shape);
        hash = hash_bytes(hash, t->data, t->n_bytes < SAMPLED_BYTES ? (size_t)t->n_bytes : SAMPLED_BYTES);
    }
    return hash;
}

static uint64_t hash_model(const cllm_model *model) {
    uint64_t hash = hash_gguf(1, model->gguf);
    for (size_t i = 0; i < model->n_adapters; i++) {
        hash = hash_gguf(hash, model->adapters[i]);
        hash = hash_bytes(hash, &model->adapter_scales[i], sizeof *model->adapter_scales);
    }
    return hash;
}

/* --------------------------------------------------------------------------------------------------- header */

/* The first windowed page that the last token sees. This page is needed, because a text may continue by evaluating its
 * last token again. */
static uint32_t first_seen(const cllm_engine *e, uint32_t n_tokens) {
    return n_tokens > 0 ? kv_first_seen(e->pages.window, e->pages.chunked, n_tokens - 1) / KV_CHUNK : 0;
}

static saved_header header_of(const cllm_sequence *s) {
    const cllm_engine *e = s->engine;
    saved_header h = {.version = FORMAT_VERSION,
                      .kv_type = (uint32_t)e->kv_type,
                      .model = hash_model(e->model),
                      .n_cpu_layers = e->n_cpu_layers,
                      .exact = on_gpu(e) && e->exact, /* on the CPU every sequence is exact */
                      .n_tokens = s->length,
                      .first_windowed = s->table.of[KV_WINDOWED].first};
    if (has_states(e) && s->length > 0) h.state_length = s->states[states_find(s, s->length)].length;
    const uint32_t seen = first_seen(e, s->length);
    if (h.first_windowed < seen) h.first_windowed = seen;
    const float *factors = weights_rope_factors(&e->model->weights, &e->model->config, e->plan.n_ctx);
    if (factors) h.rope_factors = hash_bytes(1, factors, e->model->config.rope_dimension_count / 2 * sizeof *factors);
    memcpy(h.magic, magic, sizeof magic);
    snprintf(h.cpu_isa, sizeof h.cpu_isa, "%s", e->n_cpu_layers > 0 ? e->kernels->name : "");
    snprintf(h.device, sizeof h.device, "%s", cllm_engine_device(e));
    snprintf(h.device_name, sizeof h.device_name, "%s", cllm_engine_device_name(e));
    return h;
}

/* True if a name in the header is terminated. */
static bool is_text(const char *field, size_t size) { return memchr(field, '\0', size); }

static cllm_status differs(const char *what, cllm_error *err) {
    return error_set(err, CLLM_ERR_UNSUPPORTED, "the sequence was saved with %s", what);
}

/* Compare the header with `own`, the one that this engine would write. */
static cllm_status check_header(const saved_header *h, const saved_header *own, cllm_error *err) {
    if (memcmp(h->magic, magic, sizeof magic) != 0)
        return error_set(err, CLLM_ERR_FORMAT, "this is not a saved sequence");
    if (h->version != FORMAT_VERSION)
        return error_set(err, CLLM_ERR_UNSUPPORTED,
                         "the file has version %u of the format; only version %u can be read", h->version,
                         FORMAT_VERSION);
    if (!is_text(h->cpu_isa, sizeof h->cpu_isa) || !is_text(h->device, sizeof h->device) ||
        !is_text(h->device_name, sizeof h->device_name))
        return error_set(err, CLLM_ERR_FORMAT, "the file is damaged: a name has no end");
    char what[400];
    if (h->model != own->model) return differs("another model, or other metadata or adapters of it", err);
    if (h->kv_type != own->kv_type) return differs("another type of keys and values", err);
    if (h->rope_factors != own->rope_factors)
        return differs("other factors of RoPE, because the context is longer or shorter", err);
    if (h->n_cpu_layers != own->n_cpu_layers) return differs("another number of layers on a GPU", err);
    if (strcmp(h->cpu_isa, own->cpu_isa) != 0) {
        snprintf(what, sizeof what, "the kernel path %s, and this is %s", h->cpu_isa, own->cpu_isa);
        return differs(what, err);
    }
    if (strcmp(h->device, own->device) != 0 || strcmp(h->device_name, own->device_name) != 0) {
        snprintf(what, sizeof what, "the device %s %.100s, and this is %s %.100s", h->device, h->device_name,
                 own->device, own->device_name);
        return differs(what, err);
    }
    return h->exact == own->exact ? CLLM_OK
                                  : differs(h->exact ? "an engine that is exact, and this one is not"
                                                     : "an engine that is not exact, and this one is",
                                            err);
}

/* ---------------------------------------------------------------------------------------------------- pages */

static cllm_status damaged(const char *how, cllm_error *err) {
    return error_set(err, CLLM_ERR_FORMAT, "the file is damaged: %s", how);
}

/* A file that is written or read from its beginning to its end. */
typedef struct stream {
    FILE *file;
    uint64_t checksum;
    void *page; /* [largest_part] work space */
} stream;

static bool write_bytes(stream *s, const void *bytes, size_t n) {
    s->checksum = hash_bytes(s->checksum, bytes, n);
    return fwrite(bytes, 1, n, s->file) == n;
}

static bool read_bytes(stream *s, void *bytes, size_t n) {
    if (fread(bytes, 1, n, s->file) != n) return false;
    s->checksum = hash_bytes(s->checksum, bytes, n);
    return true;
}

/* Bytes of a page's part on the CPU or on the GPU. */
static size_t part_bytes(const cllm_engine *e, bool of_gpu, uint32_t pool) {
    if (of_gpu) return on_gpu(e) ? (size_t)forward_gpu_page_bytes(e->offload.forward, pool) : 0;
    return (size_t)e->store.pools[pool].page_bytes;
}

static size_t largest_part(const cllm_engine *e) {
    size_t most = 1;
    for (uint32_t i = 0; i < 2 * KV_POOLS; i++)
        if (part_bytes(e, i / KV_POOLS, i % KV_POOLS) > most) most = part_bytes(e, i / KV_POOLS, i % KV_POOLS);
    return most;
}

/* The first page of a pool that a file has. The last one is kv_chunks(n_tokens) - 1. */
static uint32_t first_page(uint32_t pool, const saved_header *h) { return pool == KV_WINDOWED ? h->first_windowed : 0; }

/* Write a part of a page, with zeros after the last token. */
static cllm_status write_part(const cllm_sequence *s, bool of_gpu, uint32_t pool, uint32_t chunk, stream *to,
                              cllm_error *err) {
    const cllm_engine *e = s->engine;
    const uint32_t page = s->table.of[pool].pages[chunk], left = s->length - chunk * KV_CHUNK;
    const uint32_t n_positions = left < KV_CHUNK ? left : KV_CHUNK;
    const size_t n_bytes = part_bytes(e, of_gpu, pool);
    cllm_status status = CLLM_OK;
    if (of_gpu) {
        status = forward_gpu_read_page(e->offload.forward, pool, page, n_positions, to->page, err);
    } else {
        memcpy(to->page, kv_store_page(&e->store, pool, page), n_bytes);
        kv_store_blank(&e->store, pool, to->page, n_positions);
    }
    if (status != CLLM_OK) return status;
    return write_bytes(to, to->page, n_bytes) ? CLLM_OK : CLLM_ERR_IO;
}

static cllm_status read_part(const cllm_sequence *s, bool of_gpu, uint32_t pool, uint32_t chunk, stream *from,
                             cllm_error *err) {
    const cllm_engine *e = s->engine;
    const uint32_t page = s->table.of[pool].pages[chunk];
    void *bytes = of_gpu ? from->page : kv_store_page(&e->store, pool, page);
    if (!read_bytes(from, bytes, part_bytes(e, of_gpu, pool))) return damaged("it cannot be read to its end", err);
    return of_gpu ? forward_gpu_write_page(e->offload.forward, pool, page, bytes, err) : CLLM_OK;
}

typedef cllm_status (*move_part)(const cllm_sequence *s, bool of_gpu, uint32_t pool, uint32_t chunk, stream *file,
                                 cllm_error *err);

/* Write or read all pages, in the order of the file. */
static cllm_status move_pages(const cllm_sequence *s, const saved_header *h, move_part move, stream *file,
                              cllm_error *err) {
    cllm_status status = CLLM_OK;
    for (uint32_t i = 0; i < 2 * KV_POOLS; i++) {
        const bool of_gpu = i / KV_POOLS;
        const uint32_t pool = i % KV_POOLS;
        if (part_bytes(s->engine, of_gpu, pool) == 0) continue;
        for (uint32_t k = first_page(pool, h); status == CLLM_OK && k < kv_chunks(h->n_tokens); k++)
            status = move(s, of_gpu, pool, k, file, err);
    }
    return status;
}

/* Bytes of the state in a file. */
static uint64_t state_bytes(const cllm_engine *e, const saved_header *h) {
    return h->n_tokens > 0 ? e->states.slot_floats * sizeof(float) : 0;
}

/* Bytes of the whole file. */
static uint64_t file_bytes(const cllm_engine *e, const saved_header *h) {
    uint64_t sum = sizeof *h + (uint64_t)h->n_tokens * sizeof(int32_t) + sizeof(uint64_t);
    for (uint32_t i = 0; i < 2 * KV_POOLS; i++)
        sum += (uint64_t)(kv_chunks(h->n_tokens) - first_page(i % KV_POOLS, h)) *
               part_bytes(e, i / KV_POOLS, i % KV_POOLS);
    return sum + state_bytes(e, h);
}

/* --------------------------------------------------------------------------------------------------- saving */

static cllm_status fail_io(const char *path, cllm_error *err) {
    return error_set(err, CLLM_ERR_IO, "%s: %s", path, strerror(errno ? errno : EIO));
}

/* Errors: IO, with the reason in errno and no message; those of the GPU. */
static cllm_status write_all(const cllm_sequence *s, stream *to, cllm_error *err) {
    const saved_header h = header_of(s);
    if (!write_bytes(to, &h, sizeof h) || !write_bytes(to, s->tokens, s->length * sizeof *s->tokens))
        return CLLM_ERR_IO;
    cllm_status status = move_pages(s, &h, write_part, to, err);
    if (status != CLLM_OK) return status;
    if (state_bytes(s->engine, &h) > 0 && !write_bytes(to, states_newest(s), state_bytes(s->engine, &h)))
        return CLLM_ERR_IO;
    const bool written = fwrite(&to->checksum, sizeof to->checksum, 1, to->file) == 1 && fflush(to->file) == 0 &&
                         fsync(fileno(to->file)) == 0;
    return written ? CLLM_OK : CLLM_ERR_IO;
}

static cllm_status write_file(const cllm_sequence *s, const char *partial, const char *path, cllm_error *err) {
    struct stat info;
    if (stat(path, &info) == 0 && !S_ISREG(info.st_mode)) /* rename would replace it */
        return error_set(err, CLLM_ERR_IO, "%s: this is not a regular file", path);
    stream to = {.page = malloc(largest_part(s->engine))};
    if (!to.page) return error_set(err, CLLM_ERR_MEMORY, "%s: no memory for a page", path);
    errno = 0;
    to.file = fopen(partial, "wb");
    if (!to.file) {
        free(to.page);
        return fail_io(partial, err);
    }
    cllm_status status = write_all(s, &to, err);
    const int reason = errno;
    const bool closed = fclose(to.file) == 0;
    if (status != CLLM_OK)
        errno = reason;
    else if (!closed)
        status = CLLM_ERR_IO;
    if (status == CLLM_OK && rename(partial, path) != 0) status = CLLM_ERR_IO;
    if (status == CLLM_ERR_IO) fail_io(path, err);
    if (status != CLLM_OK) unlink(partial);
    free(to.page);
    return status;
}

cllm_status cllm_sequence_save(const cllm_sequence *sequence, const char *path, cllm_error *err) {
    static const char suffix[] = ".partial";
    char *partial = malloc(strlen(path) + sizeof suffix);
    if (!partial) return error_set(err, CLLM_ERR_MEMORY, "%s: no memory for a path", path);
    sprintf(partial, "%s%s", path, suffix);
    cllm_status status = write_file(sequence, partial, path, err);
    free(partial);
    return status;
}

/* -------------------------------------------------------------------------------------------------- loading */

static cllm_status check_size(const cllm_engine *e, const saved_header *h, FILE *file, cllm_error *err) {
    struct stat info;
    if (fstat(fileno(file), &info) != 0 || info.st_size < 0) return damaged("its size is not known", err);
    if (h->first_windowed < first_seen(e, h->n_tokens) ||
        h->first_windowed > kv_first_seen(e->pages.window, e->pages.chunked, h->n_tokens) / KV_CHUNK)
        return damaged("its sliding windows begin at other positions", err);
    if (h->state_length > h->n_tokens) return damaged("its state covers more tokens than it has", err);
    const uint64_t want = file_bytes(e, h), got = (uint64_t)info.st_size;
    if (got != want)
        return error_set(err, CLLM_ERR_FORMAT, "the file is damaged: it has %llu bytes, but should have %llu",
                         (unsigned long long)got, (unsigned long long)want);
    return CLLM_OK;
}

/* Take pages for all tokens, with windowed parts for those in the file. */
static cllm_status take_pages(cllm_sequence *s, const saved_header *h, cllm_error *err) {
    cllm_engine *e = s->engine;
    const uint32_t n_tokens = h->n_tokens;
    if (n_tokens > e->plan.n_ctx)
        return error_set(err, CLLM_ERR_CONTEXT_FULL, "the %u tokens do not fit into a context of %u", n_tokens,
                         e->plan.n_ctx);
    if (kv_chunks(n_tokens) > prefix_cache_room(&e->cache))
        return error_set(err, CLLM_ERR_MEMORY, "%u tokens need %u free pages", n_tokens, kv_chunks(n_tokens));
    for (uint32_t begin = 0, end; begin < n_tokens; begin = end) {
        end = n_tokens - begin < KV_CHUNK ? n_tokens : begin + KV_CHUNK;
        kv_table_drop(&s->table, &e->pages, end < n_tokens ? end : n_tokens - 1);
        prefix_cache_make_room(&e->cache, 1);
        kv_table_grow(&s->table, &e->pages, begin, end);
    }
    kv_table_drop_chunks(&s->table, &e->pages, h->first_windowed); /* the file has none of them */
    return CLLM_OK;
}

static cllm_status read_sequence(cllm_sequence *s, stream *from, cllm_error *err) {
    cllm_engine *e = s->engine;
    const saved_header own = header_of(s);
    saved_header h;
    uint64_t checksum;
    if (!read_bytes(from, &h, sizeof h)) return damaged("it ends within its header", err);
    cllm_status status = check_header(&h, &own, err);
    if (status == CLLM_OK) status = check_size(e, &h, from->file, err);
    if (status == CLLM_OK) status = take_pages(s, &h, err);
    if (status != CLLM_OK) return status;
    if (!read_bytes(from, s->tokens, h.n_tokens * sizeof *s->tokens))
        return damaged("it cannot be read to its end", err);
    status = move_pages(s, &h, read_part, from, err);
    if (status != CLLM_OK) return status;
    if (state_bytes(e, &h) > 0 && !read_bytes(from, states_give(s, h.state_length), state_bytes(e, &h)))
        return damaged("it cannot be read to its end", err);
    const uint64_t sum = from->checksum;
    if (fread(&checksum, sizeof checksum, 1, from->file) != 1 || checksum != sum)
        return damaged("its checksum is wrong", err);
    if (check_tokens(e->model, s->tokens, h.n_tokens, NULL) != CLLM_OK)
        return damaged("a token is not in the vocabulary", err);
    s->length = s->reached = h.n_tokens;
    prefix_cache_learn(&e->cache, &s->table, s->tokens, 0, s->length);
    return CLLM_OK;
}

cllm_status cllm_sequence_load(cllm_engine *engine, const char *path, cllm_sequence **out, cllm_error *err) {
    *out = NULL;
    cllm_sequence *s = NULL;
    errno = 0;
    stream from = {.file = fopen(path, "rb"), .page = malloc(largest_part(engine))};
    if (!from.file) {
        free(from.page);
        return fail_io(path, err);
    }
    cllm_status status =
        from.page ? cllm_sequence_create(engine, &s, err) : error_set(err, CLLM_ERR_MEMORY, "no memory for a page");
    if (status == CLLM_OK) status = read_sequence(s, &from, err);
    fclose(from.file);
    free(from.page);
    if (status == CLLM_OK) {
        *out = s;
        return CLLM_OK;
    }
    error_prefix(err, path);
    cllm_sequence_destroy(s);
    return status;
}
