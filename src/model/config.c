/* Reads a model's configuration (config.h) from its metadata. config_recurrent.c reads the sizes of recurrent layers.
 * Keys are <architecture>.<suffix>; their names and defaults are those of the GGUF specification (docs/gguf.md of
 * ggml). */
#include "model/config_keys.h"

#include "base/error.h"

#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#define MAX_LAYERS      65536u
#define MAX_HEAD_LENGTH 65536u
#define MAX_EXPERTS     4096u
#define MAX_SCORES      65536u

static void add_note(model_config *config, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Notes are joined by semicolons. */
static void add_note(model_config *config, const char *format, ...) {
    size_t length = strlen(config->note);
    va_list arguments;
    if (length > 0) length += (size_t)snprintf(config->note + length, sizeof config->note - length, "; ");
    va_start(arguments, format);
    if (length < sizeof config->note) vsnprintf(config->note + length, sizeof config->note - length, format, arguments);
    va_end(arguments);
}

static cllm_status read_architecture(const cllm_gguf *gguf, model_config *config, cllm_error *err) {
    cllm_string name = {0};
    cllm_status status = gguf_get_string(gguf, "general.architecture", GGUF_REQUIRED, &name, err);
    if (status != CLLM_OK) return status;
    if (name.length == 0 || name.length >= sizeof config->architecture || memchr(name.data, 0, name.length))
        return error_set_at(err, CLLM_ERR_FORMAT, "general.architecture", CLLM_NO_OFFSET,
                            "general.architecture: '%.*s' is not a name of 1 to %zu characters",
                            (int)(name.length < 80 ? name.length : 80), name.data, sizeof config->architecture - 1);
    memcpy(config->architecture, name.data, name.length);
    return CLLM_OK;
}

/* The embedding table has a row for each token. A file without tensors has only the list of tokens. */
static void read_vocabulary_size(const cllm_gguf *gguf, model_config *config) {
    const cllm_tensor *embedding = cllm_gguf_find_tensor(gguf, "token_embd.weight");
    cllm_array tokens = {0};
    if (embedding && embedding->shape[1] <= INT32_MAX)
        config->n_vocab = (uint32_t)embedding->shape[1];
    else if (gguf_get_array(gguf, "tokenizer.ggml.tokens", GGUF_OPTIONAL, CLLM_STRING, &tokens, NULL) == CLLM_OK &&
             tokens.count <= INT32_MAX)
        config->n_vocab = (uint32_t)tokens.count;
}

/* The window is read with the sizes, because the size of a windowed layer's cache depends on it. */
static cllm_status read_windows(const cllm_gguf *gguf, model_config *config, cllm_error *err) {
    const model_traits *traits = config->traits;
    const bool windowed =
        traits->window_period > 0 && (traits->window_layers == 0 || config->n_layers == traits->window_layers);
    config->window = windowed ? traits->window : 0;
    config->window_chunked = traits->window_chunked;
    cllm_status status = get_u32(gguf, config, "attention.sliding_window", GGUF_OPTIONAL, &config->window, err);
    if (status != CLLM_OK) return status;
    if (!windowed) {
        if (config->window > 0 && config->window < config->n_ctx_train)
            add_note(config,
                     "%.40s.attention.sliding_window: the window of %" PRIu32 " is not applied, because no layer of "
                     "this architecture is known to have one",
                     config->architecture, config->window);
        config->window = 0;
        return CLLM_OK;
    }
    if (config->window > INT32_MAX)
        return bad_value(err, config, "attention.sliding_window", "%u is more than %d", config->window, INT32_MAX);
    return CLLM_OK;
}

/* Which layers are windowed: the file has an array that says so, or all are, except the last of each period (the first,
 * if full_layer_first is set). The file may set the period. */
static cllm_status read_window_pattern(const cllm_gguf *gguf, model_config *config, cllm_error *err) {
    static const char suffix[] = "attention.sliding_window_pattern";
    cllm_array pattern = {0};
    uint32_t period = config->traits->window_period, windowed;
    cllm_status status = CLLM_OK;
    if (config->window == 0) return CLLM_OK;
    const bool is_array = is_of_each_layer(gguf, config, suffix);
    if (is_array)
        status = get_array_of_layers(gguf, config, suffix, &pattern, err);
    else
        status = gguf_get_u32(gguf, key_of(config, suffix).text, GGUF_OPTIONAL, &period, err);
    for (uint32_t i = 0; status == CLLM_OK && i < config->n_layers; i++) {
        windowed = period == 0 || (config->traits->full_layer_first ? i : i + 1) % period != 0;
        if (is_array) status = next_number(config, suffix, i, &pattern, &windowed, err);
        config->layers[i].windowed = windowed;
    }
    return status;
}

/* The last blocks of some files only draft the next tokens (multi-token prediction, DeepSeek-AI 2024). They are not
 * used. */
static cllm_status leave_drafts_out(const cllm_gguf *gguf, model_config *config, cllm_error *err) {
    uint32_t n = 0;
    cllm_status status = get_u32(gguf, config, "nextn_predict_layers", GGUF_OPTIONAL, &n, err);
    if (status != CLLM_OK || n == 0) return status;
    if (n >= config->n_layers)
        return bad_value(err, config, "nextn_predict_layers", "%u is not less than block_count, which is %u", n,
                         config->n_layers);
    config->n_layers = config->n_blocks - n;
    add_note(config, "%.40s.nextn_predict_layers: the last %" PRIu32 " of the blocks, which draft, are not used",
             config->architecture, n);
    return CLLM_OK;
}

/* Set each layer's mixer, and whether it has a network. Numbers of heads and feed_forward_length are read already. */
static cllm_status read_mixers(const cllm_gguf *gguf, model_config *config, cllm_error *err) {
    static const char suffix[] = "attention.recurrent_layers";
    const model_traits *traits = config->traits;
    const mixer_plan plan = traits ? traits->mixers : MIXERS_ATTEND;
    const bool told = plan == MIXERS_BY_PERIOD && is_of_each_layer(gguf, config, suffix);
    cllm_array rest;
    uint32_t period = 4;
    cllm_status status = CLLM_OK;
    if (told) status = get_array_of_layers(gguf, config, suffix, &rest, err);
    if (status == CLLM_OK && plan == MIXERS_BY_PERIOD && !told)
        status = get_u32(gguf, config, "full_attention_interval", GGUF_OPTIONAL, &period, err);
    if (status == CLLM_OK && period == 0)
        return bad_value(err, config, "full_attention_interval", "0 is not 1 or more");
    for (uint32_t i = 0; status == CLLM_OK && i < config->n_layers; i++) {
        layer_config *l = &config->layers[i];
        uint32_t recurrent = 0;
        switch (plan) {
        case MIXERS_ATTEND:
        case MIXERS_BESIDE: break;
        case MIXERS_BY_KV_HEADS: recurrent = l->n_kv_heads == 0; break;
        case MIXERS_BY_PERIOD: recurrent = (i + 1) % period != 0; break;
        case MIXERS_RECURRENT: recurrent = 1; break;
        }
        if (told) status = next_number(config, suffix, i, &rest, &recurrent, err);
        l->mixer = plan == MIXERS_BESIDE ? MIXER_BOTH : recurrent ? MIXER_RECURRENT : MIXER_ATTENTION;
        l->network = !traits || traits->dense || traits->experts ? NETWORK_DENSE : NETWORK_NONE;
        if (!traits || !traits->one_part_layers) continue;
        l->network = recurrent && l->n_ff > 0 ? NETWORK_DENSE : NETWORK_NONE;
        if (l->network != NETWORK_NONE) l->mixer = MIXER_NONE;
    }
    return status;
}

static cllm_status check_heads(const model_config *config, const layer_config *l, cllm_error *err) {
    if (l->n_heads == 0 || l->n_heads > INT32_MAX)
        return bad_value(err, config, "attention.head_count", "%u is not between 1 and %d", l->n_heads, INT32_MAX);
    if (l->n_kv_heads == 0 || l->n_heads % l->n_kv_heads != 0)
        return bad_value(err, config, "attention.head_count_kv", "%u does not divide the %u query heads", l->n_kv_heads,
                         l->n_heads);
    if (l->key_length == 0 && config->n_embd % l->n_heads != 0)
        return bad_value(err, config, "attention.head_count", "%u does not divide the embedding length %u", l->n_heads,
                         config->n_embd);
    return CLLM_OK;
}

static cllm_status check_lengths(const model_config *config, const layer_config *l, cllm_error *err) {
    const bool is_dense = !config->traits || config->traits->dense;
    if (l->network != NETWORK_NONE && is_dense && (l->n_ff == 0 || l->n_ff > INT32_MAX))
        return bad_value(err, config, "feed_forward_length", "%u is not between 1 and %d", l->n_ff, INT32_MAX);
    if (!layer_attends(l)) return CLLM_OK;
    if (l->key_length > MAX_HEAD_LENGTH || l->value_length > MAX_HEAD_LENGTH || l->value_length == 0)
        return bad_value(err, config, "attention.value_length", "keys of %u and values of %u elements are not possible",
                         l->key_length, l->value_length);
    if ((uint64_t)l->n_heads * l->key_length > INT32_MAX || (uint64_t)l->n_heads * l->value_length > INT32_MAX)
        return bad_value(err, config, "attention.head_count", "%u heads of %u elements are not possible", l->n_heads,
                         l->key_length);
    if (config->traits && config->traits->query_gate && l->key_length != l->value_length)
        return bad_value(err, config, "attention.value_length",
                         "%u is not attention.key_length, %u; the gates of this architecture need both to be equal",
                         l->value_length, l->key_length);
    return CLLM_OK;
}

/* The last layers may have no keys and values of their own. Then they use those of an earlier layer: the last one that
 * has its own and is of the same kind, windowed or not. The last layer with its own must be unwindowed, and the layer
 * before it windowed. */
static cllm_status read_shared_keys(const cllm_gguf *gguf, model_config *config, cllm_error *err) {
    static const char suffix[] = "attention.shared_kv_layers";
    uint32_t n = 0;
    cllm_status status = get_u32(gguf, config, suffix, GGUF_OPTIONAL, &n, err);
    if (status != CLLM_OK || n == 0) return status;
    if (config->n_layers < 2 || n > config->n_layers - 2)
        return bad_value(err, config, suffix, "%u of %u layers would leave less than two with keys and values", n,
                         config->n_layers);
    for (uint32_t i = config->n_layers - n; i < config->n_layers; i++) {
        layer_config *l = &config->layers[i];
        l->kv_layer = config->n_layers - n - (l->windowed ? 2 : 1);
        const layer_config *from = &config->layers[l->kv_layer];
        if (from->windowed != l->windowed || from->n_kv_heads != l->n_kv_heads || from->key_length != l->key_length ||
            from->value_length != l->value_length)
            return bad_value(err, config, suffix, "layer %u cannot share the keys and values of layer %u", i,
                             l->kv_layer);
    }
    return CLLM_OK;
}

/* A key for windowed layers. Without it they have the same number as the others. field: as for get_each. */
static cllm_status get_windowed(const cllm_gguf *gguf, const model_config *config, const char *suffix, size_t field,
                                cllm_error *err) {
    uint32_t number = 0;
    cllm_status status = get_u32(gguf, config, suffix, GGUF_OPTIONAL, &number, err);
    for (uint32_t i = 0; status == CLLM_OK && number > 0 && i < config->n_layers; i++)
        if (config->layers[i].windowed) memcpy((char *)&config->layers[i] + field, &number, sizeof number);
    return status;
}
#define GET_WINDOWED(suffix, field) get_windowed(gguf, config, suffix, offsetof(layer_config, field), err)

/* The sizes of each layer. */
static cllm_status read_layers(const cllm_gguf *gguf, model_config *config, cllm_error *err) {
    layer_config *const layers = config->layers, *const end = layers + config->n_layers;
    const bool needs_network = !config->traits || config->traits->dense || !config->traits->experts;
    cllm_status status = GET_EACH("attention.head_count", GGUF_REQUIRED, n_heads);
    for (layer_config *l = layers; l < end; l++) {
        l->n_kv_heads = l->n_heads;
        l->bidirectional = config->traits && config->traits->bidirectional;
    }
    if (status == CLLM_OK) status = GET_EACH("attention.head_count_kv", GGUF_OPTIONAL, n_kv_heads);
    if (status == CLLM_OK)
        status = GET_EACH("feed_forward_length", needs_network ? GGUF_REQUIRED : GGUF_OPTIONAL, n_ff);
    if (status == CLLM_OK) status = read_mixers(gguf, config, err);
    if (status == CLLM_OK) status = GET_EACH("attention.key_length", GGUF_OPTIONAL, key_length);
    if (status == CLLM_OK) status = GET_WINDOWED("attention.key_length_swa", key_length);
    for (layer_config *l = layers; status == CLLM_OK && l < end; l++) {
        if (!layer_attends(l)) continue;
        status = check_heads(config, l, err);
        if (status != CLLM_OK) return status;
        if (l->key_length == 0) l->key_length = config->n_embd / l->n_heads;
        l->value_length = config->n_embd % l->n_heads == 0 ? config->n_embd / l->n_heads : l->key_length;
    }
    if (status == CLLM_OK) status = GET_EACH("attention.value_length", GGUF_OPTIONAL, value_length);
    if (status == CLLM_OK) status = GET_WINDOWED("attention.value_length_swa", value_length);
    for (layer_config *l = layers; status == CLLM_OK && l < end; l++) status = check_lengths(config, l, err);
    return status;
}

/* Which layers have an indexer, and the sizes of all indexers. They are read with the other sizes, because the
 * pages hold an indexer's keys. */
static cllm_status read_indexer(const cllm_gguf *gguf, model_config *config, cllm_error *err) {
    const model_traits *traits = config->traits;
    uint32_t key_length = 0, top_k = 0;
    const struct {
        const char *suffix;
        uint32_t *out, most;
    } keys[] = {
        {"attention.indexer.head_count", &config->n_index_heads, MAX_HEAD_LENGTH},
        {"attention.indexer.key_length", &key_length, MAX_HEAD_LENGTH},
        {"attention.indexer.top_k", &top_k, INT32_MAX},
    };
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        cllm_status status = get_u32(gguf, config, keys[i].suffix, GGUF_REQUIRED, keys[i].out, err);
        if (status != CLLM_OK) return status;
        if (*keys[i].out == 0 || *keys[i].out > keys[i].most)
            return bad_value(err, config, keys[i].suffix, "%u is not between 1 and %u", *keys[i].out, keys[i].most);
    }
    if ((uint64_t)config->n_index_heads * key_length > INT32_MAX)
        return bad_value(err, config, keys[0].suffix, "%u heads of %u elements are not possible", config->n_index_heads,
                         key_length);
    const bool some_share = traits->index_shared_from > 0 && config->n_ctx_train >= traits->index_shared_from;
    for (uint32_t i = 0; i < config->n_layers; i++)
        config->layers[i].index_key_length = !some_share || i < 2 || i % 4 == 2; /* for now 1 if it has one */
    cllm_status status = GET_EACH("attention.indexer.types", GGUF_OPTIONAL, index_key_length);
    for (layer_config *l = config->layers; status == CLLM_OK && l < config->layers + config->n_layers; l++) {
        l->top_k = top_k;
        l->index_key_length = l->index_key_length ? key_length : 0;
    }
    if (status == CLLM_OK && config->layers->index_key_length == 0)
        return bad_value(err, config, "attention.indexer.types", "layer 0 has no indexer, and none is before it");
    return status;
}

static void raise(uint32_t *most, uint32_t n) {
    if (n > *most) *most = n;
}

static void find_largest(model_config *config) {
    config->n_heads = config->n_kv_heads = config->key_length = config->value_length = config->n_ff = 0;
    for (const layer_config *l = config->layers; l < config->layers + config->n_layers; l++) {
        raise(&config->n_heads, l->n_heads);
        raise(&config->n_kv_heads, l->n_kv_heads);
        raise(&config->key_length, l->key_length);
        raise(&config->value_length, l->value_length);
        raise(&config->n_ff, l->n_ff);
    }
}

cllm_status config_read_sizes(const cllm_gguf *gguf, arena *a, model_config *config, cllm_error *err) {
    *config = (model_config){0};
    cllm_status status = read_architecture(gguf, config, err);
    if (status != CLLM_OK) return status;
    config->traits = family_find(config->architecture);

    const struct {
        const char *suffix;
        uint32_t *out;
    } required[] = {{"block_count", &config->n_layers},
                    {"embedding_length", &config->n_embd},
                    {"context_length", &config->n_ctx_train}};
    for (size_t i = 0; i < sizeof required / sizeof *required; i++) {
        status = get_u32(gguf, config, required[i].suffix, GGUF_REQUIRED, required[i].out, err);
        if (status != CLLM_OK) return status;
        if (*required[i].out == 0 || *required[i].out > INT32_MAX)
            return bad_value(err, config, required[i].suffix, "%u is not between 1 and %d", *required[i].out,
                             INT32_MAX);
        if (i == 0) config->n_blocks = config->n_layers; /* the other keys may be arrays with a number for each block */
    }
    if (config->n_layers > MAX_LAYERS)
        return bad_value(err, config, "block_count", "%u layers are more than the %u that are possible",
                         config->n_layers, MAX_LAYERS);

    status = leave_drafts_out(gguf, config, err);
    if (status != CLLM_OK) return status;
    config->n_ctx_open = config->n_ctx_train;
    config->layers = arena_alloc(a, config->n_layers, sizeof *config->layers);
    if (!config->layers)
        return error_set(err, CLLM_ERR_MEMORY, "no memory for a description of %u layers", config->n_layers);
    for (uint32_t i = 0; i < config->n_layers; i++) config->layers[i].kv_layer = i;
    if (config->traits) status = read_windows(gguf, config, err);
    if (status == CLLM_OK && config->traits) status = read_window_pattern(gguf, config, err);
    if (status == CLLM_OK) status = read_layers(gguf, config, err);
    if (status == CLLM_OK && config->traits && config->traits->shares_keys)
        status = read_shared_keys(gguf, config, err);
    if (status == CLLM_OK && config->traits && config->traits->indexer) status = read_indexer(gguf, config, err);
    find_largest(config);
    read_vocabulary_size(gguf, config);
    return status;
}

static cllm_status parse_rope_scaling(const char *key, cllm_string type, rope_scaling *out, cllm_error *err) {
    static const char *const names[] = {"none", "linear", "yarn", "longrope"}; /* in the order of enum rope_scaling */
    for (uint32_t i = 0; i < sizeof names / sizeof *names; i++)
        if (gguf_is_text(type, names[i])) {
            *out = (rope_scaling)i;
            return CLLM_OK;
        }
    return error_set_at(err, CLLM_ERR_UNSUPPORTED, key, CLLM_NO_OFFSET,
                        "%s: '%.*s' is not supported; supported: none, linear, yarn, longrope", key,
                        (int)(type.length < 80 ? type.length : 80), type.data);
}

static cllm_status read_rope_scaling(const cllm_gguf *gguf, model_config *config, cllm_error *err) {
    const model_traits *traits = config->traits;
    config->rope_scaling_factor = 1.0f;
    config->rope_attention_factor = 1.0f;
    config->rope_original_context = config->n_ctx_train;
    config->yarn_beta_fast = 32;
    config->yarn_beta_slow = 1;
    config->yarn_kept = 1;

    /* an older key, rope.scale_linear, stands for type linear and its factor */
    const char *const unsaid = traits->yarn_unless_said ? "yarn" : "linear";
    cllm_string type = {unsaid, strlen(unsaid)};
    const config_key type_key = key_of(config, "rope.scaling.type");
    const optional_key factors[] = {
        {"rope.scale_linear", &config->rope_scaling_factor, NULL},
        {"rope.scaling.factor", &config->rope_scaling_factor, NULL},
    };
    const optional_key keys[] = {
        {"rope.scaling.attn_factor", &config->rope_attention_factor, NULL},
        {"rope.scaling.original_context_length", NULL, &config->rope_original_context},
        {"rope.scaling.yarn_beta_fast", &config->yarn_beta_fast, NULL},
        {"rope.scaling.yarn_beta_slow", &config->yarn_beta_slow, NULL},
        {"rope.scaling.yarn_ext_factor", &config->yarn_kept, NULL},
        {"rope.scaling.yarn_attn_factor", &config->yarn_magnitude, NULL},
    };
    cllm_status status = gguf_get_string(gguf, type_key.text, GGUF_OPTIONAL, &type, err);
    if (status == CLLM_OK) status = parse_rope_scaling(type_key.text, type, &config->rope_scaling, err);
    const bool by_factor = config->rope_scaling == ROPE_SCALING_LINEAR || config->rope_scaling == ROPE_SCALING_YARN;
    if (status == CLLM_OK && by_factor) status = READ_OPTIONAL(factors);
    if (status == CLLM_OK) status = READ_OPTIONAL(keys);
    if (status == CLLM_OK && traits->yarn_log_multiplier_unit > 0) {
        status =
            get_f32(gguf, config, "rope.scaling.yarn_log_multiplier", GGUF_OPTIONAL, &config->yarn_log_multiplier, err);
        config->yarn_log_multiplier /= traits->yarn_log_multiplier_unit;
    }
    if (status != CLLM_OK) return status;

    if (config->rope_scaling_factor == 0) config->rope_scaling_factor = 1.0f; /* files write 0 for "none" */
    if (config->rope_scaling_factor < 0)
        return bad_value(err, config, "rope.scaling.factor", "%g is negative", (double)config->rope_scaling_factor);
    if (config->rope_original_context == 0)
        return bad_value(err, config, "rope.scaling.original_context_length", "0 is not 1 or more");
    if (cllm_gguf_find_tensor(gguf, "rope_factors_long.weight") && config->rope_original_context < config->n_ctx_train)
        config->n_ctx_open = config->rope_original_context;
    if (config->yarn_kept < 0) config->yarn_kept = 1; /* files write -1 for "unset" */
    if (config->yarn_kept > 1)
        return bad_value(err, config, "rope.scaling.yarn_ext_factor", "%g is more than 1", (double)config->yarn_kept);
    if (config->yarn_magnitude < 0)
        return bad_value(err, config, "rope.scaling.yarn_attn_factor", "%g is negative",
                         (double)config->yarn_magnitude);
    if (!(config->yarn_beta_fast > 0 && config->yarn_beta_slow > 0))
        return bad_value(err, config, "rope.scaling.yarn_beta_slow", "YaRN's betas %g and %g are not positive",
                         (double)config->yarn_beta_fast, (double)config->yarn_beta_slow);
    return CLLM_OK;
}

static uint32_t rotated_elements(const model_config *config, const layer_config *l) {
    return l->windowed ? config->rope_dimension_count_windowed : config->rope_dimension_count;
}

static cllm_status check_rotated(const model_config *config, const layer_config *l, cllm_error *err) {
    const uint32_t n = rotated_elements(config, l), most = query_length(config, l);
    if (n % 2 == 0 && n <= most) return CLLM_OK;
    return bad_value(err, config, l->windowed ? "rope.dimension_count_swa" : "rope.dimension_count",
                     "%u is not an even number up to the head's %u elements", n, most);
}

/* A file may set a window and have no layer that uses it. */
static bool has_windowed_layer(const model_config *config) {
    for (const layer_config *l = config->layers; l < config->layers + config->n_layers; l++)
        if (layer_attends(l) && l->windowed) return true;
    return false;
}

static cllm_status read_rope(const cllm_gguf *gguf, model_config *config, cllm_error *err) {
    const model_traits *traits = config->traits;
    if (traits->rope == ROPE_NONE || (traits->rope_layers > 0 && config->n_layers != traits->rope_layers))
        return CLLM_OK;
    config->rope_dimension_count = config->key_length;
    config->rope_freq_base = 10000.0f;
    const optional_key keys[] = {{"rope.dimension_count", NULL, &config->rope_dimension_count},
                                 {"rope.freq_base", &config->rope_freq_base, NULL}};
    cllm_status status = READ_OPTIONAL(keys);
    if (status != CLLM_OK) return status;
    config->rope_freq_base_windowed =
        traits->windowed_freq_base > 0 ? traits->windowed_freq_base : config->rope_freq_base;
    status = get_f32(gguf, config, "rope.freq_base_swa", GGUF_OPTIONAL, &config->rope_freq_base_windowed, err);
    if (status != CLLM_OK) return status;
    const bool full_base_fits = config->rope_freq_base > 1;
    if (!full_base_fits || !(config->rope_freq_base_windowed > 1))
        return bad_value(err, config, full_base_fits ? "rope.freq_base_swa" : "rope.freq_base",
                         "%g is not greater than 1",
                         (double)(full_base_fits ? config->rope_freq_base_windowed : config->rope_freq_base));
    config->rope_dimension_count_windowed = config->rope_dimension_count;
    if (traits->full_rope_halved) config->rope_dimension_count /= 2;
    /* Without a windowed layer nothing would check this number. */
    if (has_windowed_layer(config))
        status = get_u32(gguf, config, "rope.dimension_count_swa", GGUF_OPTIONAL,
                         &config->rope_dimension_count_windowed, err);
    for (uint32_t i = 0; status == CLLM_OK && i < config->n_layers; i++)
        if (layer_attends(&config->layers[i])) status = check_rotated(config, &config->layers[i], err);
    if (status != CLLM_OK) return status;
    if (traits->rope_key) { /* granite's switch for no RoPE at all */
        bool rotated = true;
        status = gguf_get_bool(gguf, key_of(config, "rope.scaling.finetuned").text, GGUF_OPTIONAL, &rotated, err);
        if (!rotated) config->rope_dimension_count = config->rope_dimension_count_windowed = 0;
        if (status != CLLM_OK) return status;
    }
    return read_rope_scaling(gguf, config, err);
}

static bool layer_has(const cllm_gguf *gguf, uint32_t layer, const char *stem) {
    char name[64];
    snprintf(name, sizeof name, "blk.%" PRIu32 ".%s.weight", layer, stem);
    return cllm_gguf_find_tensor(gguf, name) != NULL;
}

/* True if the first layer that attends has such a tensor. */
static bool first_attends_with(const cllm_gguf *gguf, const model_config *config, const char *stem) {
    uint32_t i = 0;
    while (i + 1 < config->n_layers && !layer_attends(&config->layers[i])) i++;
    return layer_has(gguf, i, stem);
}

/* Read the lengths of latent attention before compression. In a file that has attention.key_length_mla, the number
 * under attention.key_length is the length in the cache; likewise for values. */
static cllm_status read_latent(const cllm_gguf *gguf, model_config *config, cllm_error *err) {
    if (!config->traits->latent_attention) return CLLM_OK;
    config->kv_b_is_whole =
        (config->traits->tensors & TENSOR_BIT(attn_kv_b)) != 0 || first_attends_with(gguf, config, "attn_kv_b");
    config->latent_key_length = config->key_length; /* if the file has no keys with _mla */
    config->latent_value_length = config->value_length;
    const gguf_need need = config->kv_b_is_whole ? GGUF_OPTIONAL : GGUF_REQUIRED;
    const struct {
        const char *suffix;
        uint32_t *out;
    } required[] = {
        {"attention.kv_lora_rank", &config->kv_rank},
        {"attention.key_length_mla", &config->latent_key_length},
        {"attention.value_length_mla", &config->latent_value_length},
    };
    for (size_t i = 0; i < sizeof required / sizeof *required; i++) {
        cllm_status status =
            get_u32(gguf, config, required[i].suffix, i > 0 ? need : GGUF_REQUIRED, required[i].out, err);
        if (status != CLLM_OK) return status;
        if (*required[i].out == 0 || *required[i].out > MAX_HEAD_LENGTH)
            return bad_value(err, config, required[i].suffix, "%u is not between 1 and %u", *required[i].out,
                             MAX_HEAD_LENGTH);
    }
    if ((uint64_t)config->n_heads * config->latent_key_length > INT32_MAX ||
        (uint64_t)config->n_heads * config->latent_value_length > INT32_MAX)
        return bad_value(err, config, "attention.head_count", "%u heads of %u elements are not possible",
                         config->n_heads, config->latent_key_length);
    cllm_status status = get_u32(gguf, config, "attention.q_lora_rank", GGUF_OPTIONAL, &config->q_rank, err);
    /* Some files of models without compressed queries, like DeepSeek-V2-Lite, have a rank that is not used. */
    if (first_attends_with(gguf, config, "attn_q")) config->q_rank = 0;
    if (status == CLLM_OK && config->q_rank > INT32_MAX)
        return bad_value(err, config, "attention.q_lora_rank", "%u is more than %d", config->q_rank, INT32_MAX);
    return status;
}

static cllm_status check_latent(const cllm_gguf *gguf, model_config *config, cllm_error *err) {
    if (config->kv_rank == 0) return CLLM_OK;
    uint32_t *const shared = &config->latent_shared_length;
    *shared = config->rope_dimension_count;
    if (config->traits->rope == ROPE_NONE) { /* then the key only says how long the shared part is */
        cllm_status status = get_u32(gguf, config, "rope.dimension_count", GGUF_REQUIRED, shared, err);
        if (status != CLLM_OK) return status;
    }
    if (*shared == 0) return bad_value(err, config, "rope.dimension_count", "0 is not 1 or more");
    if (*shared >= config->latent_key_length)
        return bad_value(err, config, "attention.key_length_mla",
                         "%u is not more than rope.dimension_count, %u, the part that all heads share",
                         config->latent_key_length, *shared);
    if (config->n_index_heads > 0 && config->q_rank == 0)
        return bad_value(err, config, "attention.q_lora_rank",
                         "0 is not 1 or more: the indexer reads compressed queries");
    if (config->n_index_heads > 0 && config->rope_dimension_count > config->layers->index_key_length)
        return bad_value(err, config, "attention.indexer.key_length",
                         "%u is less than rope.dimension_count, %u, the part that is rotated",
                         config->layers->index_key_length, config->rope_dimension_count);
    const uint32_t key_length = config->kv_rank + *shared;
    const bool says_values = cllm_gguf_find(gguf, key_of(config, "attention.value_length").text);
    for (layer_config *l = config->layers; l < config->layers + config->n_layers; l++) {
        if (!layer_attends(l)) continue;
        if (config->kv_b_is_whole) {
            l->n_kv_heads = 1;
            l->key_length = key_length;
        }
        if (config->kv_b_is_whole || !says_values) l->value_length = config->kv_rank;
        if (l->n_kv_heads != 1 || l->key_length != key_length || l->value_length != config->kv_rank)
            return bad_value(err, config, "attention.kv_lora_rank",
                             "%u does not agree with %u heads of keys and values, of %u and %u elements",
                             config->kv_rank, l->n_kv_heads, l->key_length, l->value_length);
    }
    find_largest(config);
    return CLLM_OK;
}

/* The factor of scores if the file does not say. */
static float usual_attention_scale(const model_config *config, const layer_config *l) {
    if (config->traits->attention_scale > 0) return config->traits->attention_scale;
    const uint32_t layers_by_embd = config->traits->layers_scaled_by_embd;
    const bool by_embd = layers_by_embd > 0 && layers_by_embd == config->n_layers;
    return 1.0f / sqrtf(by_embd ? (float)(config->n_embd / l->n_heads) : (float)query_length(config, l));
}

static cllm_status read_attention_scale(const cllm_gguf *gguf, model_config *config, cllm_error *err) {
    float said = 0, factor = 1;
    if (config->traits->scales) {
        cllm_status status = get_f32(gguf, config, "attention.scale", GGUF_OPTIONAL, &said, err);
        if (status != CLLM_OK) return status;
    }
    /* latent attention rotates only a part of each key, but YaRN's magnitude applies to all of it */
    if (config->kv_rank > 0 && config->rope_scaling == ROPE_SCALING_YARN) {
        const float multiplier = config->yarn_log_multiplier > 0 ? config->yarn_log_multiplier : 1;
        const float m = config->rope_attention_factor * (1 + 0.1f * multiplier * logf(config->rope_scaling_factor));
        factor = m * m;
    }
    for (layer_config *l = config->layers; l < config->layers + config->n_layers; l++)
        l->attention_scale = (said != 0 ? said : usual_attention_scale(config, l)) * factor;
    return CLLM_OK;
}

static cllm_status read_scales(const cllm_gguf *gguf, model_config *config, cllm_error *err) {
    const model_traits *traits = config->traits;
    const bool alibi = traits->alibi_layers == 0 || traits->alibi_layers == config->n_layers;
    config->alibi_max_bias = alibi ? traits->alibi_max_bias : 0;
    config->value_scale = 1;
    config->attention_softcap = traits->attention_softcap;
    config->logit_softcap = traits->logit_softcap;
    config->embedding_scale = traits->embedding_scale_sqrt ? sqrtf((float)config->n_embd) : 1;
    config->residual_scale = config->logit_scale = 1;
    if (traits->embedding_scale > 0) config->embedding_scale = traits->embedding_scale;
    if (traits->depth_scale > 0) config->residual_scale = traits->depth_scale / sqrtf((float)config->n_layers);
    if (traits->base_embd > 0) config->logit_scale = (float)traits->base_embd / (float)config->n_embd;
    if (traits->logit_scale_divides) config->logit_scale = 1 / config->logit_scale; /* a divisor, as in files */
    const optional_key common[] = {
        {"attn_logit_softcapping", &config->attention_softcap, NULL},
        {"final_logit_softcapping", &config->logit_softcap, NULL},
        {"logit_scale", &config->logit_scale, NULL},
        {"attention.clamp_kqv", &config->projection_limit, NULL},
    };
    const optional_key alibi_key[] = {{"attention.max_alibi_bias", &config->alibi_max_bias, NULL}};
    const optional_key scales[] = {
        {"embedding_scale", &config->embedding_scale, NULL},
        {"residual_scale", &config->residual_scale, NULL},
    };
    cllm_status status = READ_OPTIONAL(common);
    if (status == CLLM_OK && traits->scales) status = READ_OPTIONAL(scales);
    if (status != CLLM_OK) return status;
    if (traits->alibi_key) status = READ_OPTIONAL(alibi_key);
    if (status == CLLM_OK && traits->value_scale_key)
        status = get_f32(gguf, config, "attention.value_scale", GGUF_OPTIONAL, &config->value_scale, err);
    if (status != CLLM_OK) return status;
    if (!(config->alibi_max_bias >= 0 && config->alibi_max_bias <= 1000))
        return bad_value(err, config, "attention.max_alibi_bias", "%g is not between 0 and 1000",
                         (double)config->alibi_max_bias);
    if (!(config->projection_limit >= 0))
        return bad_value(err, config, "attention.clamp_kqv", "%g is negative", (double)config->projection_limit);
    if (config->logit_scale == 0) return bad_value(err, config, "logit_scale", "0 would make all logits the same");
    if (traits->logit_scale_divides) config->logit_scale = 1 / config->logit_scale;
    status = read_attention_scale(gguf, config, err);
    if (status != CLLM_OK) return status;
    config->attention_temperature = traits->temperature_scale;
    config->attention_temperature_length = traits->temperature_length;
    if (!traits->attention_temperature) return CLLM_OK;
    config->attention_temperature_length = config->rope_original_context;
    const optional_key temperature[] = {
        {"attention.temperature_scale", &config->attention_temperature, NULL},
        {"attention.temperature_length", NULL, &config->attention_temperature_length},
    };
    status = READ_OPTIONAL(temperature);
    if (status == CLLM_OK && config->attention_temperature_length == 0)
        return bad_value(err, config, "attention.temperature_length", "0 is not 1 or more");
    return status;
}

static cllm_status read_experts(const cllm_gguf *gguf, model_config *config, cllm_error *err) {
    const model_traits *traits = config->traits;
    const bool always = traits->experts && !traits->dense;
    cllm_status status =
        get_u32(gguf, config, "expert_count", always ? GGUF_REQUIRED : GGUF_OPTIONAL, &config->n_experts, err);
    if (status != CLLM_OK || config->n_experts == 0) {
        if (status == CLLM_OK && always) return bad_value(err, config, "expert_count", "0 is not 1 or more");
        return status;
    }
    if (!traits->experts)
        return error_set_at(err, CLLM_ERR_UNSUPPORTED, key_of(config, "expert_count").text, CLLM_NO_OFFSET,
                            "%s.expert_count: %u, but experts are not supported for this architecture",
                            config->architecture, config->n_experts);
    status = get_u32(gguf, config, "expert_used_count", GGUF_REQUIRED, &config->n_experts_used, err);
    if (status != CLLM_OK) return status;
    if (config->n_experts > MAX_EXPERTS)
        return bad_value(err, config, "expert_count", "%u is more than %u", config->n_experts, MAX_EXPERTS);
    if (config->n_experts_used == 0 || config->n_experts_used > config->n_experts)
        return bad_value(err, config, "expert_used_count", "%u is not between 1 and the %u that there are",
                         config->n_experts_used, config->n_experts);

    uint32_t n_shared = traits->n_shared_experts, gating = traits->gating ? traits->gating : GATING_SOFTMAX;
    config->n_ff_expert = config->n_ff;
    config->expert_weights_normalised = traits->expert_weights_normalised;
    config->expert_weights_scale = 1;
    config->n_expert_groups = config->n_expert_groups_used = 1;
    const optional_key keys[] = {
        {"expert_feed_forward_length", NULL, &config->n_ff_expert},
        {"expert_shared_feed_forward_length", NULL, &config->n_ff_shared},
    };
    const optional_key more[] = {
        {"leading_dense_block_count", NULL, &config->n_dense_layers},
        {"expert_shared_count", NULL, &n_shared},
        {"expert_weights_scale", &config->expert_weights_scale, NULL},
        {"expert_gating_func", NULL, &gating},
        {"expert_group_count", NULL, &config->n_expert_groups},
        {"expert_group_used_count", NULL, &config->n_expert_groups_used},
    };
    const optional_key period[] = {{"moe_every_n_layers", NULL, &config->expert_period}};
    status = READ_OPTIONAL(keys);
    if (status == CLLM_OK && traits->expert_period_key) status = READ_OPTIONAL(period);
    if (status == CLLM_OK && traits->expert_keys) {
        status = READ_OPTIONAL(more);
        if (status == CLLM_OK)
            status = gguf_get_bool(gguf, key_of(config, "expert_weights_norm").text, GGUF_OPTIONAL,
                                   &config->expert_weights_normalised, err);
    }
    config->expert_step = 1;
    if (status == CLLM_OK && traits->expert_step_key)
        status = get_u32(gguf, config, "interleave_moe_layer_step", GGUF_OPTIONAL, &config->expert_step, err);
    if (status != CLLM_OK) return status;
    if (config->expert_step != 1 && !traits->dense)
        return bad_value(err, config, "interleave_moe_layer_step",
                         "%u is not 1: dense layers are not supported for this architecture", config->expert_step);
    if (config->n_dense_layers > 0 && !traits->dense)
        return bad_value(err, config, "leading_dense_block_count",
                         "%u is not 0: dense layers are not supported for this architecture", config->n_dense_layers);
    if (config->n_ff_expert == 0 || config->n_ff_expert > INT32_MAX)
        return bad_value(err, config, "expert_feed_forward_length", "%u is not between 1 and %d", config->n_ff_expert,
                         INT32_MAX);
    if ((uint64_t)n_shared * config->n_ff_expert > INT32_MAX || config->n_ff_shared > INT32_MAX)
        return bad_value(err, config, "expert_shared_count", "%u shared experts of %u elements are not possible",
                         n_shared, config->n_ff_expert);
    if (config->expert_weights_scale == 0) config->expert_weights_scale = 1; /* files write 0 for "none" */
    if (n_shared > 0 && config->n_ff_shared == 0) config->n_ff_shared = n_shared * config->n_ff_expert;
    if (!traits->shared) config->n_ff_shared = 0;
    if (gating < GATING_SOFTMAX || gating > GATING_SOFTMAX_OF_CHOSEN)
        return bad_value(err, config, "expert_gating_func", "%u is not known: softmax is 1, sigmoid is 2", gating);
    config->expert_gating = (expert_gating)gating;
    if (config->n_expert_groups == 0 || config->n_experts % config->n_expert_groups != 0)
        return bad_value(err, config, "expert_group_count", "%u groups do not divide the %u experts",
                         config->n_expert_groups, config->n_experts);
    if (config->n_expert_groups_used == 0 || config->n_expert_groups_used > config->n_expert_groups ||
        config->n_experts / config->n_expert_groups * config->n_expert_groups_used < config->n_experts_used)
        return bad_value(err, config, "expert_group_used_count",
                         "%u of %u groups cannot hold the %u experts of a token", config->n_expert_groups_used,
                         config->n_expert_groups, config->n_experts_used);
    return CLLM_OK;
}

static cllm_status refuse_architecture(const model_config *config, cllm_error *err) {
    return error_set_at(err, CLLM_ERR_UNSUPPORTED, "general.architecture", CLLM_NO_OFFSET,
                        "architecture '%s' is not supported; docs/09-families.md lists the %zu that are",
                        config->architecture, family_count());
}

static cllm_status read_per_layer(const cllm_gguf *gguf, model_config *config, cllm_error *err) {
    static const char suffix[] = "embedding_length_per_layer_input";
    if (!config->traits->per_layer) return CLLM_OK;
    cllm_status status = get_u32(gguf, config, suffix, GGUF_OPTIONAL, &config->n_embd_per_layer, err);
    if (status == CLLM_OK && (uint64_t)config->n_embd_per_layer * config->n_layers > INT32_MAX)
        return bad_value(err, config, suffix, "%u elements for each of %u layers are not possible",
                         config->n_embd_per_layer, config->n_layers);
    return status;
}

static cllm_status read_streams(const cllm_gguf *gguf, model_config *config, cllm_error *err) {
    uint32_t active = 0;
    const optional_key keys[] = {{"altup.num_inputs", NULL, &config->n_streams}, {"altup.active_idx", NULL, &active}};
    if (config->traits->n_streams == 0) return CLLM_OK;
    config->n_streams = config->traits->n_streams;
    cllm_status status = READ_OPTIONAL(keys);
    if (status != CLLM_OK) return status;
    if (config->n_streams < 2 || config->n_streams > MOST_STREAMS)
        return bad_value(err, config, "altup.num_inputs", "%u is not between 2 and %d", config->n_streams,
                         MOST_STREAMS);
    if (active != 0) return bad_value(err, config, "altup.active_idx", "%u is not 0", active);
    return CLLM_OK;
}

static cllm_status read_pooling(const cllm_gguf *gguf, model_config *config, cllm_error *err) {
    static const cllm_pooling kinds[] = {CLLM_POOLING_NONE, CLLM_POOLING_MEAN, CLLM_POOLING_CLS, CLLM_POOLING_LAST,
                                         CLLM_POOLING_RANK}; /* as files number them */
    uint32_t number = 3;
    cllm_status status = get_u32(gguf, config, "pooling_type", GGUF_OPTIONAL, &number, err);
    if (status != CLLM_OK) return status;
    if (number >= sizeof kinds / sizeof *kinds)
        return bad_value(err, config, "pooling_type",
                         "%u is not known: none is 0, mean 1, the first row 2, the last 3, rank 4", number);
    config->pooling = kinds[number];
    return CLLM_OK;
}

/* The dense layers that change an embedding after the pooling. */
static cllm_status read_dense(const cllm_gguf *gguf, model_config *config, cllm_error *err) {
    static const struct {
        const char *tensor, *in, *out;
    } layers[] = {{"dense_2.weight", "dense_2_feat_in", "dense_2_feat_out"},
                  {"dense_3.weight", "dense_3_feat_in", "dense_3_feat_out"}};
    config->n_embd_out = config->n_embd;
    for (size_t i = 0; config->traits->dense_after_pooling && i < sizeof layers / sizeof *layers; i++) {
        uint32_t in = 0, out = 0;
        if (!cllm_gguf_find_tensor(gguf, layers[i].tensor)) continue;
        cllm_status status = get_u32(gguf, config, layers[i].in, GGUF_REQUIRED, &in, err);
        if (status == CLLM_OK) status = get_u32(gguf, config, layers[i].out, GGUF_REQUIRED, &out, err);
        if (status != CLLM_OK) return status;
        if (in != config->n_embd_out)
            return bad_value(err, config, layers[i].in, "%u is not %u, the length of the vectors that this layer gets",
                             in, config->n_embd_out);
        if (out == 0 || out > INT32_MAX)
            return bad_value(err, config, layers[i].out, "%u is not between 1 and %d", out, INT32_MAX);
        config->dense_lengths[i] = config->n_embd_out = out;
    }
    return CLLM_OK;
}

/* There is a score for each label, or one score without labels. */
static cllm_status read_classifier(const cllm_gguf *gguf, model_config *config, cllm_error *err) {
    const classifier_kind kind = config->traits->classifier;
    const config_key key = key_of(config, "classifier.output_labels");
    const bool whole = cllm_gguf_find_tensor(gguf, "cls.output.weight");
    if (kind != CLASSIFIER_NONE && (whole || (kind == CLASSIFIER_TANH && cllm_gguf_find_tensor(gguf, "cls.weight")))) {
        cllm_array labels = {.count = 1};
        cllm_status status = gguf_get_array(gguf, key.text, GGUF_OPTIONAL, CLLM_STRING, &labels, err);
        if (status != CLLM_OK) return status;
        if (labels.count == 0 || labels.count > MAX_SCORES)
            return bad_value(err, config, "classifier.output_labels", "%" PRIu64 " labels are not between 1 and %u",
                             labels.count, MAX_SCORES);
        config->n_scores = (uint32_t)labels.count;
    }
    if (config->pooling == CLLM_POOLING_RANK && config->n_scores == 0)
        return bad_value(err, config, "pooling_type",
                         "4 (rank) needs a classifier, but the file has no cls.output.weight");
    return CLLM_OK;
}

static cllm_status read_activation(const cllm_gguf *gguf, model_config *config, cllm_error *err) {
    static const struct {
        const char *name;
        activation activation;
    } known[] = {{"gelu", GEGLU_ERF}, {"geglu", GEGLU_ERF}, {"silu", SWIGLU}, {"swish", SWIGLU}, {"swiglu", SWIGLU}};
    const config_key key = key_of(config, "hidden_activation");
    cllm_string name = {0};
    config->activation = config->traits->activation;
    if (!config->traits->activation_key) return CLLM_OK;
    cllm_status status = gguf_get_string(gguf, key.text, GGUF_OPTIONAL, &name, err);
    if (status != CLLM_OK || !name.data) return status;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (gguf_is_text(name, known[i].name)) {
            config->activation = known[i].activation;
            return CLLM_OK;
        }
    return error_set_at(err, CLLM_ERR_UNSUPPORTED, key.text, CLLM_NO_OFFSET,
                        "%s: '%.*s' is not supported; supported: gelu, silu", key.text,
                        (int)(name.length < 80 ? name.length : 80), name.data);
}

/* Refuse files whose tokens see later tokens, unless the family is bidirectional. */
static cllm_status refuse_other_kinds(const cllm_gguf *gguf, const model_config *config, cllm_error *err) {
    const config_key key = key_of(config, "attention.causal");
    bool causal = true;
    if (config->traits->bidirectional) return CLLM_OK;
    cllm_status status = gguf_get_bool(gguf, key.text, GGUF_OPTIONAL, &causal, err);
    if (status != CLLM_OK || causal) return status;
    return error_set_at(err, CLLM_ERR_UNSUPPORTED, key.text, CLLM_NO_OFFSET,
                        "%s: false is not supported: the tokens of this architecture do not see later tokens",
                        key.text);
}

/* An array with a number for each layer, or one number for all. field: offset in layer_config. */
static cllm_status get_each_f32(const cllm_gguf *gguf, model_config *config, const char *key, gguf_need need,
                                size_t field, cllm_error *err) {
    const cllm_value *value = cllm_gguf_find(gguf, key);
    const bool is_array = value && value->type == CLLM_ARRAY;
    cllm_array rest = {0};
    cllm_value element;
    float one = 0;
    cllm_status status =
        is_array ? gguf_get_array(gguf, key, need, CLLM_FLOAT32, &rest, err) : gguf_get_f32(gguf, key, need, &one, err);
    if (status == CLLM_OK && is_array && rest.count != config->n_blocks)
        return error_set_at(err, CLLM_ERR_FORMAT, key, CLLM_NO_OFFSET, "%s: %" PRIu64 " values for %" PRIu32 " layers",
                            key, rest.count, config->n_blocks);
    for (uint32_t i = 0; status == CLLM_OK && i < config->n_layers; i++) {
        if (is_array && cllm_array_next(&rest, &element)) one = (float)element.f;
        if (!isfinite(one))
            return error_set_at(err, CLLM_ERR_FORMAT, key, CLLM_NO_OFFSET, "%s: %g of layer %" PRIu32 " is not finite",
                                key, (double)one, i);
        memcpy((char *)&config->layers[i] + field, &one, sizeof one);
    }
    return status;
}

/* log(1 + e^x). In double, because it is computed once for each layer; recurrent.c has one in float for each token. */
static float softplus(float x) { return x > 30 ? x : (float)log1p(exp((double)x)); }

/* These keys have no prefix. */
static cllm_status read_xielu(const cllm_gguf *gguf, model_config *config, cllm_error *err) {
    static const char *const keys[ACTIVATION_NUMBERS] = {"xielu.alpha_p", "xielu.alpha_n", "xielu.beta", "xielu.eps"};
    cllm_status status = CLLM_OK;
    for (size_t i = 0; status == CLLM_OK && i < ACTIVATION_NUMBERS; i++)
        status = get_each_f32(gguf, config, keys[i], GGUF_REQUIRED,
                              offsetof(layer_config, activation_numbers) + i * sizeof(float), err);
    for (layer_config *l = config->layers; status == CLLM_OK && l < config->layers + config->n_layers; l++) {
        float *const numbers = l->activation_numbers[0];
        numbers[0] = softplus(numbers[0]);
        numbers[1] = numbers[2] + softplus(numbers[1]);
    }
    return status;
}

/* Limits of activation_numbers[0] and [1]. A limit of 0 means no limit. */
static cllm_status read_limits(const cllm_gguf *gguf, model_config *config, cllm_error *err) {
    static const char *const suffixes[] = {"swiglu_clamp_shexp", "swiglu_clamp_exp"};
    for (size_t i = 0; i < 2; i++) {
        cllm_status status = get_each_f32(
            gguf, config, key_of(config, suffixes[i]).text, GGUF_OPTIONAL,
            offsetof(layer_config, activation_numbers) + i * sizeof(config->layers->activation_numbers[0]), err);
        if (status != CLLM_OK) return status;
        for (layer_config *l = config->layers; l < config->layers + config->n_layers; l++) {
            float *const limit = l->activation_numbers[i];
            if (*limit < 0) return bad_value(err, config, suffixes[i], "%g is negative", (double)*limit);
            if (*limit == 0) *limit = INFINITY;
        }
    }
    return CLLM_OK;
}

static cllm_status read_activation_numbers(const cllm_gguf *gguf, model_config *config, cllm_error *err) {
    if (config->traits->activation == XIELU) return read_xielu(gguf, config, err);
    return config->traits->activation == LIMITED_SWIGLU ? read_limits(gguf, config, err) : CLLM_OK;
}

/* True if the file has a router or experts for this layer. Experts without a router count too, so that the missing
 * router is an error. */
static bool has_mixture(const cllm_gguf *gguf, uint32_t layer) {
    return layer_has(gguf, layer, "ffn_gate_inp") || layer_has(gguf, layer, "ffn_down_exps");
}

/* If no key says what form a layer has, optional norms in the file do. */
static layer_form form_of(const cllm_gguf *gguf, const model_traits *traits, uint32_t layer) {
    const layer_form form = traits->form;
    if (traits->optional & TENSOR_BIT(ffn_norm) && layer_has(gguf, layer, "ffn_norm")) return FORM_SERIAL;
    if (form != FORM_PARALLEL || !(traits->optional & TENSOR_BIT(attn_norm_2))) return form;
    return layer_has(gguf, layer, "attn_norm_2") ? FORM_PARALLEL_APART : form;
}

static cllm_status read_forms(const cllm_gguf *gguf, model_config *config, cllm_error *err) {
    const config_key key = key_of(config, "use_parallel_residual");
    bool apart = false;
    cllm_status status =
        config->traits->parallel_key ? gguf_get_bool(gguf, key.text, GGUF_REQUIRED, &apart, err) : CLLM_OK;
    for (uint32_t i = 0; i < config->n_layers; i++)
        config->layers[i].form = apart ? FORM_PARALLEL_APART : form_of(gguf, config->traits, i);
    return status;
}

/* If attn_v is optional and missing, the keys are the values too. Then both must have the same length. */
static cllm_status read_values(const cllm_gguf *gguf, model_config *config, cllm_error *err) {
    for (uint32_t i = 0; i < config->n_layers && config->traits->optional & TENSOR_BIT(attn_v); i++) {
        layer_config *l = &config->layers[i];
        l->values_are_keys =
            layer_attends(l) && l->kv_layer == i && !layer_has(gguf, i, "attn_v") && !layer_has(gguf, i, "attn_qkv");
        if (!l->values_are_keys || l->key_length == l->value_length) continue;
        char name[64];
        snprintf(name, sizeof name, "blk.%" PRIu32 ".attn_v.weight", i);
        return error_set_at(err, CLLM_ERR_FORMAT, name, CLLM_NO_OFFSET,
                            "%s: missing, and keys of %" PRIu32 " elements cannot be the values of %" PRIu32, name,
                            l->key_length, l->value_length);
    }
    return CLLM_OK;
}

/* Which layers rotate and which are mixtures. */
static void finish_layers(const cllm_gguf *gguf, model_config *config) {
    const float twentieth = 1.6448535f; /* a twentieth of a normal distribution is above mean + this * deviation */
    const model_traits *traits = config->traits;
    for (uint32_t i = 0; i < config->n_layers; i++) {
        layer_config *l = &config->layers[i];
        const bool passed_over = traits->no_rope_period > 0 && (i + 1) % traits->no_rope_period == 0;
        const bool first = traits->rope_in_dense_layers && i < config->n_dense_layers;
        const bool rotates = !traits->rope_in_windows_only || config->window == 0 || l->windowed || first;
        l->rope_dimension_count = rotates && !passed_over ? rotated_elements(config, l) : 0;
        l->gate_deviations = i < traits->sparse_layers ? twentieth : 0;
        const bool by_period = config->expert_period == 0 || i % config->expert_period == 1;
        const bool by_step = config->expert_step > 0 && (i + 1) % config->expert_step == 0;
        if (l->network != NETWORK_NONE && config->n_experts > 0 && i >= config->n_dense_layers && by_step &&
            by_period && (!traits->experts_by_tensors || has_mixture(gguf, i)))
            l->network = traits->experts & TENSOR_BIT(ffn_up) ? NETWORK_BOTH : NETWORK_EXPERTS;
    }
}

cllm_status config_read(const cllm_gguf *gguf, arena *a, model_config *config, cllm_error *err) {
    *config = (model_config){0};
    cllm_status status = read_architecture(gguf, config, err);
    if (status != CLLM_OK) return status;
    if (!family_find(config->architecture)) return refuse_architecture(config, err);
    status = config_read_sizes(gguf, a, config, err);
    if (status == CLLM_OK) status = refuse_other_kinds(gguf, config, err);
    if (status != CLLM_OK) return status;

    static const char rms_epsilon[] = "attention.layer_norm_rms_epsilon";
    config->norm = config->traits->norm;
    if (config->traits->rms_norm_by_key && cllm_gguf_find(gguf, key_of(config, rms_epsilon).text))
        config->norm = NORM_RMS;
    const char *epsilon = config->norm == NORM_RMS ? rms_epsilon : "attention.layer_norm_epsilon";
    status = get_f32(gguf, config, epsilon, GGUF_REQUIRED, &config->norm_epsilon, err);
    if (status != CLLM_OK) return status;
    if (!(config->norm_epsilon >= 0))
        return bad_value(err, config, epsilon, "%g is negative", (double)config->norm_epsilon);

    status = read_forms(gguf, config, err);
    if (status == CLLM_OK) status = read_values(gguf, config, err);
    if (status == CLLM_OK) status = read_recurrent(gguf, config, err);
    if (status == CLLM_OK) status = read_latent(gguf, config, err);
    if (status == CLLM_OK) status = read_rope(gguf, config, err);
    if (status == CLLM_OK) status = check_latent(gguf, config, err);
    if (status == CLLM_OK) status = read_scales(gguf, config, err);
    if (status == CLLM_OK) status = read_experts(gguf, config, err);
    if (status == CLLM_OK) status = read_streams(gguf, config, err);
    if (status == CLLM_OK) status = read_per_layer(gguf, config, err);
    if (status == CLLM_OK) status = read_activation(gguf, config, err);
    if (status == CLLM_OK) status = read_pooling(gguf, config, err);
    if (status == CLLM_OK) status = read_activation_numbers(gguf, config, err);
    if (status == CLLM_OK) status = read_dense(gguf, config, err);
    if (status == CLLM_OK) status = read_classifier(gguf, config, err);
    if (status == CLLM_OK) finish_layers(gguf, config);
    return status;
}
