/* A sequence in a file, to go on from it another day. All is little-endian, as the machines are:
 *
 *   saved_header     what the file is, and what an engine must be to read it
 *   tokens           int32 [n_tokens]
 *   pages            of the CPU's layers, then of a GPU's: those of the first pool in the order of the positions, then the windowed ones
 *                    that the last token still sees. Behind the last token a page is zeros.
 *   checksum         uint64 of all bytes before it
 *
 * A file is read only where each byte of its pages means the same: the header is compared field by field. */
#include "base/error.h"
#include "engine/engine.h"
#include "gguf/gguf.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char magic[8] = "CLLMSEQ";

enum { FORMAT_VERSION = 1, SAMPLED_BYTES = 4096 /* of each tensor */ };

typedef struct saved_header {
    char magic[8];
    uint32_t version;
    uint32_t kv_type;
    uint64_t model;        /* hash of its metadata, its tensors and their first bytes, its adapters and their scales */
    uint64_t rope_factors; /* hash of those that divide the frequencies */
    char cpu_isa[16];
    char device[16];
    char device_name[128];
    uint32_t n_cpu_layers;
    uint32_t exact;
    uint32_t n_tokens;
    uint32_t first_windowed; /* page that is in the file */
} saved_header;

/* ------------------------------------------------------------------------------------------------- hashing */

/* Each word that differs gives another sum, whatever else comes: every step can be undone. */
static uint64_t hash_bytes(uint64_t hash, const void *bytes, size_t n) {
    const unsigned char *at = bytes;
    for (; n > 0; at += 8) {
        uint64_t word = 0;
        const size_t taken = n < 8 ? n : 8;
        memcpy(&word, at, taken);
        hash = (hash ^ word) * 0x9E3779B97F4A7C15;
        hash ^= hash >> 32;
        n -= taken;
    }
    return hash;
}

static uint64_t hash_text(uint64_t hash, const char *text, size_t length) {
    return hash_bytes(hash_bytes(hash, &length, sizeof length), text, length);
}

static uint64_t hash_value(uint64_t hash, const cllm_value *value) {
    hash = hash_bytes(hash, &value->type, sizeof value->type);
    if (value->type == CLLM_STRING) return hash_text(hash, value->string.data, value->string.length);
    if (value->type == CLLM_BOOL) return hash_bytes(hash, &value->b, sizeof value->b);
    if (value->type != CLLM_ARRAY) return hash_bytes(hash, &value->u, sizeof value->u); /* a double is as long */
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

/* The first windowed page that the last token looks back at: to go on from a text it is evaluated anew. */
static uint32_t first_seen(const cllm_engine *e, uint32_t n_tokens) {
    return n_tokens > 0 ? kv_first_seen(e->pages.window, n_tokens - 1) / KV_CHUNK : 0;
}

static saved_header header_of(const cllm_sequence *s) {
    const cllm_engine *e = s->engine;
    saved_header h = {.version = FORMAT_VERSION,
                      .kv_type = (uint32_t)e->kv_type,
                      .model = hash_model(e->model),
                      .n_cpu_layers = e->n_cpu_layers,
                      .exact = e->exact,
                      .n_tokens = s->length,
                      .first_windowed = s->table.of[KV_WINDOWED].first};
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

/* What a file says, in words that end. */
static bool is_text(const char *field, size_t size) { return memchr(field, '\0', size); }

static cllm_status differs(const char *what, cllm_error *err) {
    return error_set(err, CLLM_ERR_UNSUPPORTED, "the sequence was saved with %s", what);
}

/* own: of an engine that is to read it. */
static cllm_status check_header(const saved_header *h, const saved_header *own, cllm_error *err) {
    if (memcmp(h->magic, magic, sizeof magic) != 0)
        return error_set(err, CLLM_ERR_FORMAT, "this is no file of a saved sequence");
    if (h->version != FORMAT_VERSION)
        return error_set(err, CLLM_ERR_UNSUPPORTED, "the file is of version %u of the format; this is version %u",
                         h->version, FORMAT_VERSION);
    if (!is_text(h->cpu_isa, sizeof h->cpu_isa) || !is_text(h->device, sizeof h->device) ||
        !is_text(h->device_name, sizeof h->device_name))
        return error_set(err, CLLM_ERR_FORMAT, "the file is damaged: a name has no end");
    char what[400];
    if (h->model != own->model) return differs("another model, or other metadata or adapters of it", err);
    if (h->kv_type != own->kv_type) return differs("another type of keys and values", err);
    if (h->rope_factors != own->rope_factors)
        return differs("other factors of RoPE, which a longer or shorter context has", err);
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
    return h->exact == own->exact ? CLLM_OK : differs("another choice of `exact`", err);
}

/* ---------------------------------------------------------------------------------------------------- pages */

/* A file that is written or read from its beginning to its end. */
typedef struct stream {
    FILE *file;
    uint64_t checksum;
    void *page; /* room for the largest */
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

static uint64_t largest_page(const cllm_engine *e) {
    uint64_t most = 1;
    for (uint32_t pool = 0; pool < KV_POOLS; pool++)
        if (e->store.pools[pool].page_bytes > most) most = e->store.pools[pool].page_bytes;
    return most;
}

/* The pages of a pool that are in a file: first .. kv_chunks(n_tokens) - 1. */
static uint32_t first_page(uint32_t pool, const saved_header *h) { return pool == KV_WINDOWED ? h->first_windowed : 0; }

static bool write_pages(const cllm_sequence *s, const saved_header *h, stream *to) {
    const kv_store *store = &s->engine->store;
    for (uint32_t pool = 0; pool < KV_POOLS; pool++) {
        const size_t n_bytes = (size_t)store->pools[pool].page_bytes;
        for (uint32_t i = first_page(pool, h); n_bytes > 0 && i < kv_chunks(s->length); i++) {
            memcpy(to->page, kv_store_page(store, pool, s->table.of[pool].pages[i]), n_bytes);
            if (s->length < (i + 1) * KV_CHUNK) kv_store_blank(store, pool, to->page, s->length % KV_CHUNK);
            if (!write_bytes(to, to->page, n_bytes)) return false;
        }
    }
    return true;
}

static bool read_pages(cllm_sequence *s, const saved_header *h, stream *from) {
    const kv_store *store = &s->engine->store;
    for (uint32_t pool = 0; pool < KV_POOLS; pool++) {
        const size_t n_bytes = (size_t)store->pools[pool].page_bytes;
        for (uint32_t i = first_page(pool, h); n_bytes > 0 && i < kv_chunks(h->n_tokens); i++)
            if (!read_bytes(from, kv_store_page(store, pool, s->table.of[pool].pages[i]), n_bytes)) return false;
    }
    return true;
}

/* Bytes of a whole file. */
static uint64_t file_bytes(const cllm_engine *e, const saved_header *h) {
    uint64_t sum = sizeof *h + (uint64_t)h->n_tokens * sizeof(int32_t) + sizeof(uint64_t);
    for (uint32_t pool = 0; pool < KV_POOLS; pool++)
        sum += (uint64_t)(kv_chunks(h->n_tokens) - first_page(pool, h)) * e->store.pools[pool].page_bytes;
    return sum;
}

/* --------------------------------------------------------------------------------------------------- saving */

static cllm_status fail_io(const char *path, cllm_error *err) {
    return error_set(err, CLLM_ERR_IO, "%s: %s", path, strerror(errno ? errno : EIO));
}

static bool write_all(const cllm_sequence *s, stream *to) {
    const saved_header h = header_of(s);
    return write_bytes(to, &h, sizeof h) && write_bytes(to, s->tokens, s->length * sizeof *s->tokens) &&
           write_pages(s, &h, to) && fwrite(&to->checksum, sizeof to->checksum, 1, to->file) == 1 &&
           fflush(to->file) == 0 && fsync(fileno(to->file)) == 0;
}

static cllm_status write_file(const cllm_sequence *s, const char *partial, const char *path, cllm_error *err) {
    struct stat info;
    if (stat(path, &info) == 0 && !S_ISREG(info.st_mode)) /* which the rename would take away */
        return error_set(err, CLLM_ERR_IO, "%s: this is not a regular file", path);
    stream to = {.page = malloc((size_t)largest_page(s->engine))};
    if (!to.page) return error_set(err, CLLM_ERR_MEMORY, "%s: no memory for a page", path);
    errno = 0;
    to.file = fopen(partial, "wb");
    if (!to.file) {
        free(to.page);
        return fail_io(partial, err);
    }
    bool written = write_all(s, &to);
    const int reason = errno;
    written = fclose(to.file) == 0 && written;
    if (reason) errno = reason;
    written = written && rename(partial, path) == 0;
    cllm_status status = written ? CLLM_OK : fail_io(path, err);
    if (!written) unlink(partial);
    free(to.page);
    return status;
}

cllm_status cllm_sequence_save(const cllm_sequence *sequence, const char *path, cllm_error *err) {
    static const char suffix[] = ".partial";
    char *partial = malloc(strlen(path) + sizeof suffix);
    if (!partial) return error_set(err, CLLM_ERR_MEMORY, "%s: no memory for a path", path);
    sprintf(partial, "%s%s", path, suffix);
    cllm_status status = on_gpu(sequence->engine)
                             ? error_set(err, CLLM_ERR_UNSUPPORTED, "sequences on a GPU cannot be saved yet")
                             : write_file(sequence, partial, path, err);
    free(partial);
    return status;
}

/* -------------------------------------------------------------------------------------------------- loading */

static cllm_status damaged(const char *how, cllm_error *err) {
    return error_set(err, CLLM_ERR_FORMAT, "the file is damaged: %s", how);
}

static cllm_status check_size(const cllm_engine *e, const saved_header *h, FILE *file, cllm_error *err) {
    struct stat info;
    if (fstat(fileno(file), &info) != 0 || info.st_size < 0) return damaged("its size is not known", err);
    if (h->first_windowed < first_seen(e, h->n_tokens) ||
        h->first_windowed > kv_first_seen(e->pages.window, h->n_tokens) / KV_CHUNK)
        return damaged("its windows begin elsewhere", err);
    const uint64_t want = file_bytes(e, h), got = (uint64_t)info.st_size;
    if (got != want)
        return error_set(err, CLLM_ERR_FORMAT, "the file is damaged: it has %llu bytes, and %llu belong there",
                         (unsigned long long)got, (unsigned long long)want);
    return CLLM_OK;
}

/* Take pages for all tokens, with windowed parts for those that are in the file. */
static cllm_status take_pages(cllm_sequence *s, const saved_header *h, cllm_error *err) {
    cllm_engine *e = s->engine;
    const uint32_t n_tokens = h->n_tokens;
    if (n_tokens > e->plan.n_ctx)
        return error_set(err, CLLM_ERR_CONTEXT_FULL, "the %u tokens do not fit into a context of %u", n_tokens,
                         e->plan.n_ctx);
    if (kv_chunks(n_tokens) > prefix_cache_room(&e->cache))
        return error_set(err, CLLM_ERR_MEMORY, "%u tokens need %u pages that no sequence holds", n_tokens,
                         kv_chunks(n_tokens));
    for (uint32_t begin = 0, end; begin < n_tokens; begin = end) {
        end = n_tokens - begin < KV_CHUNK ? n_tokens : begin + KV_CHUNK;
        kv_table_drop(&s->table, &e->pages, end < n_tokens ? end : n_tokens - 1);
        prefix_cache_make_room(&e->cache, 1);
        kv_table_grow(&s->table, &e->pages, begin, end);
    }
    if (s->table.of[KV_WINDOWED].first < h->first_windowed) kv_table_drop(&s->table, &e->pages, n_tokens);
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
    if (!read_bytes(from, s->tokens, h.n_tokens * sizeof *s->tokens) || !read_pages(s, &h, from))
        return damaged("it cannot be read to its end", err);
    const uint64_t sum = from->checksum;
    if (fread(&checksum, sizeof checksum, 1, from->file) != 1 || checksum != sum)
        return damaged("its checksum is another", err);
    for (uint32_t i = 0; i < h.n_tokens; i++)
        if (s->tokens[i] < 0 || (uint32_t)s->tokens[i] >= e->model->config.n_vocab)
            return damaged("a token is not in the vocabulary", err);
    s->length = s->reached = h.n_tokens;
    prefix_cache_learn(&e->cache, &s->table, s->tokens, 0, s->length);
    return CLLM_OK;
}

cllm_status cllm_sequence_load(cllm_engine *engine, const char *path, cllm_sequence **out, cllm_error *err) {
    *out = NULL;
    cllm_sequence *s = NULL;
    if (on_gpu(engine)) return error_set(err, CLLM_ERR_UNSUPPORTED, "sequences on a GPU cannot be loaded yet");
    errno = 0;
    stream from = {.file = fopen(path, "rb")};
    if (!from.file) return fail_io(path, err);
    cllm_status status = cllm_sequence_create(engine, &s, err);
    if (status == CLLM_OK) status = read_sequence(s, &from, err);
    fclose(from.file);
    if (status == CLLM_OK) {
        *out = s;
        return CLLM_OK;
    }
    error_prefix(err, path);
    cllm_sequence_destroy(s);
    return status;
}
