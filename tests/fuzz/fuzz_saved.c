/* Any file as a saved sequence: one that is loaded continues and can be saved again; one that is refused leaves the
 * engine as it was. Run by `make fuzz`.
 *
 * Input: a byte of settings, then the file itself, or a list of changes to a valid file. Each change is an offset (2
 * bytes, little-endian), a count (a byte), and that many bytes. */
#include "model_file.h"

#include "base/hash.h"

#include <stdio.h>
#include <unistd.h>

enum {
    KV_TYPE = 3,     /* type of keys and values; 3: F16, and a model with recurrent layers */
    LENGTH = 12,     /* which of `lengths` the valid file has */
    CACHE = 16,      /* the engine has a prefix cache */
    WHOLE = 32,      /* the input is the file */
    RESIZE = 64,     /* the file gets the length that its header says: zeros are added, or it is cut */
    RIGHT_SUM = 128, /* the file gets the right checksum */

    N_CTX = 700,
    MOST_BYTES = 1 << 17,
    FIXED_BYTES = 216, /* of the header */
    N_TOKENS_AT = 200, /* offset in the header; the first windowed page follows it; see saved_sequence.c */
    FIRST_WINDOWED_AT = 204,
    RECURRENT = 3,               /* as a kv type it means a model with recurrent layers */
    N_CHANNELS = N_EMBD + 2 * 4, /* of the convolution: the inputs, and two parts of 4, the size of a state */
};

static const uint32_t lengths[] = {1, 256, 300, 600};

typedef struct saved_file {
    unsigned char bytes[MOST_BYTES];
    size_t size;
} saved_file;

static cllm_model models[2];          /* one with windows, one with recurrent layers */
static char path[64], path_again[64]; /* the file that is loaded, and one that is saved */

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n_bytes);

static void remove_files(void) {
    unlink(path);
    unlink(path_again);
}

static void name_files(void) { /* a folder where writing is cheap */
    const char *folder = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
    snprintf(path, sizeof path, "%s/fuzz-saved-%ld", folder, (long)getpid());
    snprintf(path_again, sizeof path_again, "%s/fuzz-saved-%ld-again", folder, (long)getpid());
    atexit(remove_files);
}

static void read_whole(const char *from, saved_file *f) {
    FILE *in = fopen(from, "rb");
    require(in);
    f->size = fread(f->bytes, 1, sizeof f->bytes, in);
    require(f->size < sizeof f->bytes);
    fclose(in);
}

static void write_whole(const saved_file *f) {
    FILE *out = fopen(path, "wb");
    require(out && fwrite(f->bytes, 1, f->size, out) == f->size && fclose(out) == 0);
}

/* The tensors of a layer, */
typedef struct tensor_shape {
    const char *name;
    unsigned n_columns, n_rows;
} tensor_shape;

static const tensor_shape attention[] = {{"attn_norm.weight", N_EMBD, 1},        {"attn_q.weight", N_EMBD, N_EMBD},
                                         {"attn_k.weight", N_EMBD, 4},           {"attn_v.weight", N_EMBD, 4},
                                         {"attn_output.weight", N_EMBD, N_EMBD}, {"ffn_gate.weight", N_EMBD, N_FF},
                                         {"ffn_up.weight", N_EMBD, N_FF},        {"ffn_down.weight", N_FF, N_EMBD}};
static const tensor_shape norm[] = {{"ffn_norm.weight", N_EMBD, 1}};
/* and of a layer that has a state of two heads beside its attention. */
static const tensor_shape recurrence[] = {{"ffn_norm", N_EMBD, 1},
                                          {"ssm_in.weight", N_EMBD, N_EMBD + N_CHANNELS + 2},
                                          {"ssm_conv1d.weight", 3, N_CHANNELS},
                                          {"ssm_conv1d.bias", N_CHANNELS, 1},
                                          {"ssm_dt.bias", 2, 1},
                                          {"ssm_a", 1, 2},
                                          {"ssm_d", 1, 2},
                                          {"ssm_out.weight", N_EMBD, N_EMBD}};

static void put_layer(int layer, const tensor_shape *tensors, size_t n) {
    for (size_t i = 0; i < n; i++) {
        char name[64];
        snprintf(name, sizeof name, "blk.%d.%s", layer, tensors[i].name);
        put_tensor(name, tensors[i].n_columns, tensors[i].n_rows, 1);
    }
}

/* Two layers: the first has windows, or both have states. */
static void make_model(bool recurrent) {
    begin_file(recurrent ? "falcon-h1" : "llama", 2, N_CTX);
    if (recurrent) {
        put_u32(".ssm.conv_kernel", 3);
        put_u32(".ssm.state_size", 4);
        put_u32(".ssm.group_count", 1);
        put_u32(".ssm.time_step_rank", 2);
        put_u32(".ssm.inner_size", N_EMBD);
    } else {
        put_u32(".attention.sliding_window", 40);
        put_u32(".attention.sliding_window_pattern", 2);
    }
    put_tensor("token_embd.weight", N_EMBD, N_VOCAB, 1);
    put_tensor("output_norm.weight", N_EMBD, 1, 1);
    put_tensor("output.weight", N_EMBD, N_VOCAB, 1);
    for (int layer = 0; layer < 2; layer++) {
        put_layer(layer, attention, sizeof attention / sizeof *attention);
        if (recurrent)
            put_layer(layer, recurrence, sizeof recurrence / sizeof *recurrence);
        else
            put_layer(layer, norm, sizeof norm / sizeof *norm);
    }
    end_file();
    read_model(&models[recurrent]);
}

static cllm_engine *make_engine(uint8_t settings) {
    static const cllm_kv_type types[] = {CLLM_KV_F16, CLLM_KV_F32, CLLM_KV_Q8_0, CLLM_KV_F16};
    const cllm_engine_options options = {.n_ctx = N_CTX,
                                         .n_batch = 64,
                                         .n_threads = 1,
                                         .cpu_isa = "scalar",
                                         .kv_type = types[settings & KV_TYPE],
                                         .n_sequences = 2,
                                         .n_positions = 2 * N_CTX,
                                         .cache_bytes = settings & CACHE ? 1 << 20 : 0};
    cllm_engine *engine;
    cllm_error err;
    require(cllm_engine_create(&models[(settings & KV_TYPE) == RECURRENT], &options, &engine, &err) == CLLM_OK);
    return engine;
}

/* ------------------------------------------------------------------------------------------------------- the file */

static uint32_t number_at(const saved_file *f, size_t offset) {
    uint32_t number;
    memcpy(&number, f->bytes + offset, sizeof number);
    return number;
}

/* The checksum covers everything except itself; it stands at the end. The parts of pages are whole words, so they are
 * summed in one piece. */
static uint64_t checksum_of(const saved_file *f) {
    const size_t left = f->size - FIXED_BYTES - sizeof(uint64_t);
    const uint64_t n = number_at(f, N_TOKENS_AT) * (uint64_t)sizeof(int32_t);
    const size_t n_tokens = n < left ? (size_t)n : left;
    uint64_t sum = hash_bytes(0, f->bytes, FIXED_BYTES);
    sum = hash_bytes(sum, f->bytes + FIXED_BYTES, n_tokens);
    return hash_bytes(sum, f->bytes + FIXED_BYTES + n_tokens, left - n_tokens);
}

static bool has_header(const saved_file *f) { return f->size >= FIXED_BYTES + sizeof(uint64_t); }

/* n_before: how many tokens the file had. The pages still follow the tokens. */
static void resize(saved_file *f, uint32_t n_before, const cllm_engine *engine) {
    const uint64_t n = number_at(f, N_TOKENS_AT), first = number_at(f, FIRST_WINDOWED_AT);
    const uint64_t n_pages = (n + KV_CHUNK - 1) / KV_CHUNK;
    const size_t end_before = FIXED_BYTES + n_before * sizeof(int32_t);
    if (first > n_pages || end_before > f->size) return;
    const uint64_t end = FIXED_BYTES + n * sizeof(int32_t);
    const uint64_t size = end + n_pages * engine->store.pools[KV_FULL].page_bytes +
                          (n_pages - first) * engine->store.pools[KV_WINDOWED].page_bytes +
                          (n > 0 ? engine->states.slot_floats * sizeof(float) : 0) + sizeof(uint64_t);
    if (size > sizeof f->bytes) return;
    const size_t behind = f->size - end_before, room = (size_t)(size - end);
    memmove(f->bytes + end, f->bytes + end_before, behind < room ? behind : room);
    if (n > n_before) memset(f->bytes + end_before, 0, (size_t)end - end_before);
    if (behind < room) memset(f->bytes + end + behind, 0, room - behind);
    f->size = (size_t)size;
}

/* What an engine of these settings saves; made once. */
static const saved_file *valid_file(uint8_t settings) {
    static saved_file made[4][4];
    const unsigned type = settings & KV_TYPE, which = (settings & LENGTH) / 4;
    saved_file *f = &made[type][which];
    if (f->size > 0) return f;
    int32_t tokens[600];
    for (int32_t i = 0; i < 600; i++) tokens[i] = i * i % N_VOCAB;
    cllm_engine *engine = make_engine((uint8_t)type);
    cllm_span span = {.tokens = tokens, .count = lengths[which], .want = CLLM_WANT_NOTHING};
    cllm_error err;
    require(cllm_sequence_create(engine, &span.sequence, &err) == CLLM_OK);
    require(cllm_eval(engine, &span, 1, &err) == CLLM_OK);
    require(cllm_sequence_save(span.sequence, path_again, &err) == CLLM_OK);
    read_whole(path_again, f);

    /* this target knows the format: its checksum must be the one in the file */
    uint64_t sum;
    memcpy(&sum, f->bytes + f->size - sizeof sum, sizeof sum);
    saved_file *same = malloc(sizeof *same);
    require(same);
    *same = *f;
    resize(same, lengths[which], engine);
    require(number_at(f, N_TOKENS_AT) == lengths[which] && same->size == f->size && checksum_of(f) == sum);
    free(same);
    cllm_engine_destroy(engine);
    return f;
}

static void make_file(saved_file *f, const uint8_t *bytes, size_t n_bytes, uint8_t settings,
                      const cllm_engine *engine) {
    if (settings & WHOLE) {
        f->size = n_bytes < sizeof f->bytes ? n_bytes : sizeof f->bytes;
        memcpy(f->bytes, bytes, f->size);
    } else {
        *f = *valid_file(settings);
        while (n_bytes > 3) {
            const size_t at = (bytes[0] + 256u * bytes[1]) % f->size;
            size_t n = bytes[2] < n_bytes - 3 ? bytes[2] : n_bytes - 3;
            if (n > f->size - at) n = f->size - at;
            memcpy(f->bytes + at, bytes + 3, n);
            bytes += 3 + n;
            n_bytes -= 3 + n;
        }
    }
    if (has_header(f) && settings & RESIZE)
        resize(f, settings & WHOLE ? number_at(f, N_TOKENS_AT) : lengths[(settings & LENGTH) / 4], engine);
    if (!has_header(f) || !(settings & RIGHT_SUM)) return;
    const uint64_t sum = checksum_of(f);
    memcpy(f->bytes + f->size - sizeof sum, &sum, sizeof sum);
}

/* ------------------------------------------------------------------------------------------------------ the check */

static void check_refusal(cllm_engine *engine, const cllm_sequence *sequence, const cllm_error *err) {
    require(!sequence && err->status != CLLM_OK && err->message[0]);
    for (const char *c = err->message; *c; c += cllm_safe_length(c, strlen(c)))
        require(cllm_safe_length(c, strlen(c)) > 0); /* its message cannot control a terminal */
    require(cllm_engine_stats(engine).pages_held == 0 && cllm_engine_stats(engine).pages_cached == 0);
    cllm_error second;
    cllm_sequence *all[2];
    for (int i = 0; i < 2; i++) require(cllm_sequence_create(engine, &all[i], &second) == CLLM_OK);
}

/* A sequence that is saved and loaded once more is the same: one more token has the same logits, to the bit. */
static void check_loaded(cllm_engine *engine, cllm_sequence *sequence) {
    const uint32_t n = cllm_sequence_length(sequence);
    const int32_t *tokens = cllm_sequence_tokens(sequence), next = 1;
    cllm_sequence *second;
    cllm_error err;
    require(n <= N_CTX);
    require(kv_table_reaches(&sequence->table, &engine->pages, n)); /* all that the next token looks back at is there */
    for (uint32_t i = 0; i < n; i++) require(tokens[i] >= 0 && tokens[i] < N_VOCAB);
    require(cllm_sequence_save(sequence, path_again, &err) == CLLM_OK);
    require(cllm_sequence_load(engine, path_again, &second, &err) == CLLM_OK);
    require(cllm_sequence_length(second) == n && memcmp(cllm_sequence_tokens(second), tokens, n * sizeof next) == 0);
    if (n < N_CTX) {
        cllm_span spans[2] = {{.sequence = sequence, .tokens = &next, .count = 1, .want = CLLM_WANT_LAST},
                              {.sequence = second, .tokens = &next, .count = 1, .want = CLLM_WANT_LAST}};
        require(cllm_eval(engine, spans, 2, &err) == CLLM_OK);
        require(memcmp(spans[0].rows, spans[1].rows, N_VOCAB * sizeof(float)) == 0);
    }
    for (uint32_t length = n; length > 0; length /= 2) {
        const cllm_status status = cllm_sequence_truncate(sequence, length - 1, &err);
        require(status == CLLM_OK || status == CLLM_ERR_UNSUPPORTED);
    }
    require(cllm_sequence_truncate(second, 0, &err) == CLLM_OK);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n_bytes) {
    static saved_file f;
    if (!models[0].gguf) {
        name_files();
        make_model(false);
        make_model(true);
    }
    if (n_bytes == 0) return 0;
    cllm_engine *engine = make_engine(bytes[0]);
    cllm_sequence *sequence;
    cllm_error err = {0};
    make_file(&f, bytes + 1, n_bytes - 1, bytes[0], engine);
    write_whole(&f);
    if (cllm_sequence_load(engine, path, &sequence, &err) == CLLM_OK)
        check_loaded(engine, sequence);
    else
        check_refusal(engine, sequence, &err);
    cllm_engine_destroy(engine);
    return 0;
}
