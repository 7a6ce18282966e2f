/* Implements ask.h. */
#include "server/ask.h"

#include "server/write.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

/* ------------------------------------------------------------------------------------------------- begin */

static uint64_t fresh_number(void) {
    uint64_t number = 0;
    if (getentropy(&number, sizeof number) != 0) number = (uint64_t)(now() * 1e9);
    return number;
}

static uint64_t new_seed(void) { return fresh_number() >> 11; } /* JavaScript clients read numbers with 53 bits */

request *ask_begin(const char *model, request_kind kind, const char *id_prefix, failure *f) {
    served_model *m = model_acquire(model, f);
    if (!m) return NULL;
    const bool is_wrong = kind != REQUEST_EMBED && cllm_model_get_info(m->run.model)->is_encoder;
    request *r = is_wrong ? NULL : request_create(kind);
    if (!r) {
        model_release(m);
        if (is_wrong)
            refuse(f, 400, "model", "model: this model cannot write text; it makes vectors of texts at /v1/embeddings");
        else
            refuse_memory(f);
        return NULL;
    }
    r->model = m;
    r->sampling = m->sampling;
    if (r->sampling.seed == UINT64_MAX) r->sampling.seed = new_seed();
    if (m->o.n_tokens != UINT64_MAX) r->n_most = m->o.n_tokens;
    snprintf(r->id, sizeof r->id, "%s%016llx", id_prefix, (unsigned long long)fresh_number());
    return r;
}

/* ---------------------------------------------------------------------------------------------- sampling */

static bool take_count(const json_t *fields, const char *name, int64_t least, uint32_t *value, failure *f) {
    int64_t number = INT64_MIN;
    if (!field_whole(fields, name, least, INT32_MAX, &number, f)) return false;
    if (number != INT64_MIN) *value = number < 0 ? UINT32_MAX : (uint32_t)number;
    return true;
}

/* Add a bias to a token, or to each token of a text (then `token` does not count). text: a string, or NULL. */
static bool add_bias(request *r, const json_t *text, int64_t token, double bias, failure *f) {
    const uint32_t n_vocab = cllm_model_get_info(r->model->run.model)->n_vocab;
    int32_t *tokens = NULL;
    size_t count = 1;
    if (text && !model_encode(r->model, json_string_value(text), json_string_length(text),
                              CLLM_ENCODE_GOES_ON | CLLM_ENCODE_PARSE_SPECIAL, &tokens, &count, f))
        return false;
    bool good = text || (token >= 0 && token < n_vocab);
    if (!good) refuse(f, 400, "logit_bias", "logit_bias: the vocabulary has no token %lld", (long long)token);
    cllm_logit_bias *more = good ? realloc(r->bias, (r->sampling.n_logit_bias + count + 1) * sizeof *more) : NULL;
    if (more) r->bias = more;
    if (good && !more) good = refuse_memory(f);
    for (size_t i = 0; good && i < count; i++)
        r->bias[r->sampling.n_logit_bias++] = (cllm_logit_bias){text ? tokens[i] : (int32_t)token, (float)bias};
    cllm_free(tokens);
    return good;
}

static bool take_bias_pair(request *r, const json_t *pair, failure *f) {
    const json_t *what = json_array_get(pair, 0), *bias = json_array_get(pair, 1);
    const bool is_pair = json_array_size(pair) == 2 && (json_is_integer(what) || json_is_string(what)) &&
                         (json_is_number(bias) || json_is_false(bias));
    if (!is_pair) return refuse(f, 400, "logit_bias", "logit_bias: must be pairs of a token (or a text) and a number");
    return add_bias(r, json_is_string(what) ? what : NULL, json_integer_value(what),
                    json_is_false(bias) ? -(double)INFINITY : json_number_value(bias), f);
}

/* The request's own list, which begins with the server's entries. */
static bool own_bias(request *r, failure *f) {
    if (r->bias) return true;
    r->bias = calloc(r->sampling.n_logit_bias + 1, sizeof *r->bias);
    if (!r->bias) return refuse_memory(f);
    if (r->sampling.n_logit_bias > 0)
        memcpy(r->bias, r->sampling.logit_bias, r->sampling.n_logit_bias * sizeof *r->bias);
    return true;
}

/* {"15043": -1, ...} or [[15043, -1], ["text", false], ...] */
static bool take_bias(request *r, const json_t *value, failure *f) {
    const char *key;
    json_t *item;
    size_t i;
    if (!value) return true;
    if (!own_bias(r, f)) return false;
    bool good = json_is_object(value) || json_is_array(value);
    if (!good) return refuse(f, 400, "logit_bias", "logit_bias: must be an object or an array");
    json_object_foreach((json_t *)value, key, item) {
        char *end;
        const long long token = strtoll(key, &end, 10);
        if (good && (*end || !*key || !json_is_number(item)))
            good = refuse(f, 400, "logit_bias", "logit_bias: '%.60s' is not a token id with a number", key);
        if (good) good = add_bias(r, NULL, token, json_number_value(item), f);
    }
    json_array_foreach(value, i, item) {
        if (good) good = take_bias_pair(r, item, f);
    }
    r->sampling.logit_bias = r->bias;
    return good;
}

/* With ignore_eos, forbid all tokens that end a text. */
static bool ban_ends(request *r, failure *f) {
    const cllm_tokenizer *t = cllm_model_tokenizer(r->model->run.model);
    const int32_t n_vocab = (int32_t)cllm_model_get_info(r->model->run.model)->n_vocab;
    bool good = own_bias(r, f);
    for (int32_t token = 0; good && token < n_vocab; token++)
        if (cllm_tokenizer_is_eog(t, token)) good = add_bias(r, NULL, token, -(double)INFINITY, f);
    r->sampling.logit_bias = r->bias;
    return good;
}

static bool take_breakers(request *r, const json_t *fields, failure *f) {
    const json_t *list = NULL, *item;
    size_t i;
    if (!field_array(fields, "dry_sequence_breakers", &list, f)) return false;
    if (!list) return true;
    r->breakers = calloc(json_array_size(list) + 1, sizeof *r->breakers);
    if (!r->breakers) return refuse_memory(f);
    r->sampling.dry_breakers = r->breakers;
    r->sampling.n_dry_breakers = 0;
    json_array_foreach(list, i, item) {
        if (!json_is_string(item) || json_string_length(item) == 0)
            return refuse(f, 400, "dry_sequence_breakers", "dry_sequence_breakers: must be strings");
        const size_t length = json_string_length(item);
        char *text = malloc(length);
        if (!text) return refuse_memory(f);
        memcpy(text, json_string_value(item), length);
        r->breakers[r->sampling.n_dry_breakers++] = (cllm_string){text, length};
    }
    return true;
}

/* ["top_k", "temperature"], or a string with a letter for each, as in llama-server. */
static bool take_samplers(request *r, const json_t *fields, failure *f) {
    const json_t *list = field_find(fields, "samplers"), *item;
    static const char letters[] = "edsyptkmxia";
    static const char *const named[] = {"penalties", "dry",   "top_n_sigma", "typ_p",  "top_p",     "temperature",
                                        "top_k",     "min_p", "xtc",         "infill", "adaptive_p"};
    unsigned seen = 0;
    size_t i, n = 0;
    if (!list) return true;
    if (json_is_string(list)) {
        for (const char *at = json_string_value(list); *at; at++) {
            const char *letter = strchr(letters, *at);
            const cllm_sampler_step step =
                letter ? cllm_sampler_step_named(named[letter - letters], strlen(named[letter - letters]))
                       : CLLM_STEP_END;
            if (step == CLLM_STEP_END || seen >> step & 1)
                return refuse(f, 400, "samplers", "samplers: '%c' is not a sampler, or is given twice", *at);
            seen |= 1u << step;
            r->steps[n++] = step;
        }
    } else if (!json_is_array(list)) {
        return refuse(f, 400, "samplers", "samplers: must be a list of names");
    }
    json_array_foreach(list, i, item) {
        const char *name = json_string_value(item);
        const cllm_sampler_step step = name ? cllm_sampler_step_named(name, strlen(name)) : CLLM_STEP_END;
        if (step == CLLM_STEP_END)
            return refuse(f, 400, "samplers", "samplers: '%.60s' is not a sampler", name ? name : "");
        if (seen >> step & 1) return refuse(f, 400, "samplers", "samplers: '%.60s' comes twice", name);
        seen |= 1u << step;
        r->steps[n++] = step;
    }
    r->sampling.steps = r->steps;
    r->sampling.n_steps = n;
    return true;
}

/* A negative seed, such as -1, asks for a fresh one. Without a seed the request keeps that of ask_begin. */
static bool take_seed(request *r, const json_t *fields, failure *f) {
    int64_t seed = -1;
    if (!field_whole(fields, "seed", INT64_MIN, INT64_MAX, &seed, f)) return false;
    if (field_find(fields, "seed")) r->sampling.seed = seed < 0 ? new_seed() : (uint64_t)seed;
    return true;
}

bool ask_sampling(request *r, const json_t *fields, failure *f) {
    cllm_sampler_options *s = &r->sampling;
    const double large = 1e6;
    if (!field_float(fields, "temperature", 0, large, &s->temperature, f) ||
        !field_float(fields, "top_p", 0, 1, &s->top_p, f) || !take_count(fields, "top_k", -1, &s->top_k, f) ||
        !field_float(fields, "min_p", 0, 1, &s->min_p, f) ||
        !field_float(fields, "typical_p", 0, 1, &s->typical_p, f) ||
        !field_float(fields, "top_n_sigma", -1, large, &s->top_n_sigma, f) ||
        !field_float(fields, "xtc_probability", 0, 1, &s->xtc_probability, f) ||
        !field_float(fields, "xtc_threshold", 0, 1, &s->xtc_threshold, f) ||
        !field_float(fields, "dynatemp_range", 0, large, &s->dynatemp_range, f) ||
        !field_float(fields, "dynatemp_exponent", 0, large, &s->dynatemp_exponent, f) ||
        !take_count(fields, "repeat_last_n", -1, &s->penalty_last_n, f) ||
        !field_float(fields, "repeat_penalty", 0, large, &s->repeat_penalty, f) ||
        !field_float(fields, "repetition_penalty", 0, large, &s->repeat_penalty, f) ||
        !field_float(fields, "frequency_penalty", -large, large, &s->frequency_penalty, f) ||
        !field_float(fields, "presence_penalty", -large, large, &s->presence_penalty, f) ||
        !field_float(fields, "dry_multiplier", 0, large, &s->dry_multiplier, f) ||
        !field_float(fields, "dry_base", 0, large, &s->dry_base, f) ||
        !take_count(fields, "dry_allowed_length", 0, &s->dry_allowed_length, f) ||
        !take_count(fields, "dry_penalty_last_n", -1, &s->dry_penalty_last_n, f) ||
        !take_count(fields, "mirostat", 0, &s->mirostat, f) ||
        !field_float(fields, "mirostat_tau", 0, large, &s->mirostat_tau, f) ||
        !field_float(fields, "mirostat_eta", 0, large, &s->mirostat_eta, f) ||
        !field_float(fields, "adaptive_target", -1, 1, &s->adaptive_target, f) ||
        !field_float(fields, "adaptive_decay", 0, 0.99, &s->adaptive_decay, f))
        return false;
    if (s->top_k == UINT32_MAX) s->top_k = 0; /* vLLM's -1: off */
    if (s->mirostat > 2) return refuse(f, 400, "mirostat", "mirostat: must be 0, 1 or 2");
    int64_t most_ms = 0;
    if (!take_seed(r, fields, f) || !take_bias(r, field_find(fields, "logit_bias"), f) ||
        !take_breakers(r, fields, f) || !take_samplers(r, fields, f) ||
        !field_bool(fields, "ignore_eos", &r->ignores_end, f) ||
        !field_bool(fields, "cache_prompt", &r->uses_cache, f) ||
        !field_bool(fields, "return_progress", &r->shows_progress, f) ||
        !field_whole(fields, "priority", INT32_MIN, INT32_MAX, &r->priority, f) ||
        !field_whole(fields, "t_max_predict_ms", -1, INT32_MAX, &most_ms, f))
        return false;
    r->most_ms = most_ms > 0 ? (uint64_t)most_ms : 0;
    const uint32_t n_ctx = r->model->n_ctx; /* a text cannot be longer, and a sampler allocates this many tokens */
    if (s->penalty_last_n > n_ctx) s->penalty_last_n = n_ctx;
    if (s->dry_penalty_last_n > n_ctx) s->dry_penalty_last_n = n_ctx;
    return true;
}

bool ask_stops(request *r, const char *name, const json_t *stops, failure *f) {
    const json_t *item;
    size_t i;
    if (!stops || json_is_null(stops)) return true;
    if (!json_is_string(stops) && !json_is_array(stops))
        return refuse(f, 400, name, "%s: must be a string or a list of strings", name);
    if (json_array_size(stops) > MOST_STOPS)
        return refuse(f, 400, name, "%s: must have at most %d strings", name, MOST_STOPS);
    if (json_is_string(stops) && json_string_length(stops) > 0 &&
        !request_add_stop(r, json_string_value(stops), json_string_length(stops)))
        return refuse_memory(f);
    json_array_foreach(stops, i, item) {
        if (!json_is_string(item)) return refuse(f, 400, name, "%s[%zu]: must be a string", name, i);
        if (json_string_length(item) > 0 && !request_add_stop(r, json_string_value(item), json_string_length(item)))
            return refuse_memory(f);
    }
    return true;
}

/* ------------------------------------------------------------------------------------------------- form */

bool ask_grammar(request *r, const char *field, cllm_grammar_kind kind, const char *text, failure *f) {
    cllm_error err;
    if (r->grammar) return refuse(f, 400, field, "%s: another field gives the form of the text already", field);
    cllm_token_index *index = model_index(r->model);
    if (!index) return refuse_memory(f);
    if (cllm_grammar_create(index, kind, (cllm_string){text, strlen(text)}, &r->grammar, &err) == CLLM_OK) return true;
    r->grammar = NULL;
    return refuse(f, 400, field, "%s: %s", field, err.message);
}

bool ask_schema(request *r, const char *field, const json_t *schema, failure *f) {
    if (!json_is_object(schema) && !json_is_boolean(schema))
        return refuse(f, 400, field, "%s: must be a JSON schema", field);
    char *text = json_spelled(schema);
    if (!text) return refuse_memory(f);
    const bool good = ask_grammar(r, field, CLLM_GRAMMAR_JSON_SCHEMA_CLOSED_IN_ORDER, text, f);
    free(text);
    return good;
}

bool ask_object(request *r, const char *field, failure *f) {
    return ask_grammar(r, field, CLLM_GRAMMAR_JSON_SCHEMA_CLOSED, "{\"type\":\"object\"}", f);
}

/* text, json_object, json_schema (with the schema in its own object, or beside the type), grammar */
static bool take_response_format(request *r, const json_t *format, failure *f) {
    static const char name[] = "response_format";
    const char *type = NULL, *text = NULL;
    bool strict = false;
    if (!json_is_object(format)) return refuse(f, 400, name, "response_format: must be an object");
    if (!field_string(format, "type", &type, f)) return false;
    const json_t *inner = field_find(format, "json_schema"), *schema = field_find(inner ? inner : format, "schema");
    if (!type && schema) type = "json_schema";
    if (!type) return refuse(f, 400, "response_format.type", "response_format.type is missing");
    if (strcmp(type, "text") == 0) return true;
    if (strcmp(type, "json_object") == 0)
        return schema ? ask_schema(r, "response_format.schema", schema, f) : ask_object(r, name, f);
    if (strcmp(type, "json_schema") == 0) {
        if (inner && !field_bool(inner, "strict", &strict, f)) return false;
        if (!schema)
            return refuse(f, 400, "response_format.json_schema.schema",
                          "response_format.json_schema.schema is missing");
        return ask_schema(r, "response_format.json_schema.schema", schema, f);
    }
    if (strcmp(type, "grammar") == 0) {
        if (!field_string(format, "grammar", &text, f)) return false;
        if (!text) return refuse(f, 400, "response_format.grammar", "response_format.grammar is missing");
        return ask_grammar(r, "response_format.grammar", CLLM_GRAMMAR_GBNF, text, f);
    }
    return refuse(f, 400, "response_format.type",
                  "response_format.type: '%.60s' is not text, json_object, json_schema or grammar", type);
}

static bool ask_choice(request *r, const char *field, const json_t *list, failure *f) {
    text_buffer lines = {0};
    const json_t *item;
    size_t i;
    bool good = json_is_array(list) || refuse(f, 400, field, "%s: must be a list of strings", field);
    json_array_foreach(list, i, item) {
        if (good && (!json_is_string(item) || strcspn(json_string_value(item), "\n") != json_string_length(item)))
            good = refuse(f, 400, field, "%s[%zu]: must be a string of one line", field, i);
        if (good) write_text(&lines, "%s\n", json_string_value(item));
    }
    text_buffer_add(&lines, "", 1);
    if (good) good = lines.bytes ? ask_grammar(r, field, CLLM_GRAMMAR_CHOICE, lines.bytes, f) : refuse_memory(f);
    free(lines.bytes);
    return good;
}

/* A grammar in a field that may be absent. */
static bool take_grammar(request *r, const json_t *fields, const char *name, cllm_grammar_kind kind, failure *f) {
    const char *text = NULL;
    return field_string(fields, name, &text, f) && (!text || ask_grammar(r, name, kind, text, f));
}

/* vLLM's fields. names: those of the schema, the regular expression, the choice and the grammar. */
static bool take_structured(request *r, const json_t *fields, const char *const names[4], failure *f) {
    const json_t *schema = field_find(fields, names[0]), *words = field_find(fields, names[2]);
    const bool is_text = json_is_string(schema);
    return (is_text ? take_grammar(r, fields, names[0], CLLM_GRAMMAR_JSON_SCHEMA_CLOSED_IN_ORDER, f)
                    : !schema || ask_schema(r, names[0], schema, f)) &&
           take_grammar(r, fields, names[1], CLLM_GRAMMAR_REGEX, f) && (!words || ask_choice(r, names[2], words, f)) &&
           take_grammar(r, fields, names[3], CLLM_GRAMMAR_GBNF, f);
}

bool ask_form(request *r, const json_t *fields, failure *f) {
    static const char *const structured[4] = {"json", "regex", "choice", "grammar"};
    static const char *const guided[4] = {"guided_json", "guided_regex", "guided_choice", "guided_grammar"};
    const json_t *format = field_find(fields, "response_format"), *schema = field_find(fields, "json_schema"),
                 *inner = NULL;
    const char *grammar = NULL;
    if (format && !take_response_format(r, format, f)) return false;
    if (schema && !ask_schema(r, "json_schema", schema, f)) return false;
    if (!field_string(fields, "grammar", &grammar, f)) return false;
    if (grammar && *grammar && !ask_grammar(r, "grammar", CLLM_GRAMMAR_GBNF, grammar, f)) return false;
    if (!field_object(fields, "structured_outputs", &inner, f)) return false;
    return (!inner || take_structured(r, inner, structured, f)) && take_structured(r, fields, guided, f);
}

/* ------------------------------------------------------------------------------------------------- text */

bool ask_text(request *r, const char *text, size_t length, failure *f) {
    const cllm_tokenizer *t = cllm_model_tokenizer(r->model->run.model);
    int32_t *tokens;
    size_t count;
    /* in a text to continue, special tokens are recognized, because the client applies its own template; a text to
     * embed may come from anybody, so nothing in it is special */
    const int parses = r->kind == REQUEST_EMBED ? 0 : CLLM_ENCODE_PARSE_SPECIAL;
    if (!model_encode(r->model, text, length, CLLM_ENCODE_ADD_SPECIAL | parses, &tokens, &count, f)) return false;
    if (cllm_tokenizer_adds_eos(t) && count > 0 && r->kind == REQUEST_TEXT) count--;
    if (count == 0 && cllm_tokenizer_bos(t) >= 0 && r->kind != REQUEST_EMBED) tokens[count++] = cllm_tokenizer_bos(t);
    return request_add_prompt(r, tokens, count) || refuse_memory(f);
}

bool ask_one_vector(const request *r, failure *f) {
    if (cllm_engine_pooling(r->model->run.engine) != CLLM_POOLING_NONE) return true;
    return refuse(f, 400, NULL, "the server runs with --pooling none, one vector for each token: use POST /embedding");
}

/* ------------------------------------------------------------------------------------------------- chat */

/* The client's variables. `messages` and `tools` are left out, because they are fields of the request. bos_token and
 * the like are left out, because a client's text in them would count as the template's own. */
static json_t *client_variables(const json_t *kwargs) {
    static const char *const reserved[] = {"bos_token", "eos_token",  "unk_token", "sep_token", "pad_token",
                                           "cls_token", "mask_token", "messages",  "tools"};
    json_t *copy = kwargs ? json_copy((json_t *)kwargs) : json_object();
    for (size_t i = 0; copy && i < sizeof reserved / sizeof *reserved; i++) json_object_del(copy, reserved[i]);
    return copy;
}

static bool check_messages(const json_t *messages, failure *f) {
    const json_t *message;
    size_t i;
    if (!json_is_array(messages)) return refuse(f, 400, "messages", "messages: must be an array");
    if (json_array_size(messages) == 0) return refuse(f, 400, "messages", "messages: must have at least one message");
    json_array_foreach(messages, i, message) {
        char name[64];
        snprintf(name, sizeof name, "messages[%zu]", i);
        if (!json_is_object(message)) return refuse(f, 400, name, "%s: must be an object", name);
        snprintf(name, sizeof name, "messages[%zu].role", i);
        const char *role = json_string_value(json_object_get(message, "role"));
        if (!role) return refuse(f, 400, name, "%s: must be a string", name);
        const json_t *content = field_find(message, "content");
        const bool may_lack = strcmp(role, "assistant") == 0 || strcmp(role, "tool") == 0;
        snprintf(name, sizeof name, "messages[%zu].content", i);
        if (content ? !json_is_string(content) && !json_is_array(content) : !may_lack)
            return refuse(f, 400, name, "%s: must be a string or an array of parts", name);
    }
    return true;
}

static bool check_tools(const json_t *tools, failure *f) {
    const json_t *tool;
    size_t i;
    json_array_foreach(tools, i, tool) {
        char name[64];
        const json_t *function = json_object_get(tool, "function"), *schema = field_find(function, "parameters");
        snprintf(name, sizeof name, "tools[%zu].function.name", i);
        if (!json_is_string(json_object_get(function, "name")))
            return refuse(f, 400, name, "%s: must be a string", name);
        snprintf(name, sizeof name, "tools[%zu].function.parameters", i);
        if (schema && !json_is_object(schema)) return refuse(f, 400, name, "%s: must be a JSON schema", name);
    }
    return true;
}

/* An image in a tool's result becomes a text that mentions it, because no template accepts it there. */
static json_t *without_images(json_t *messages) {
    json_t *message, *part;
    size_t i, j;
    json_array_foreach(messages, i, message) {
        const char *role = json_string_value(json_object_get(message, "role"));
        json_t *content = json_object_get(message, "content");
        if (!role || strcmp(role, "tool") != 0 || !json_is_array(content)) continue;
        json_array_foreach(content, j, part) {
            const char *type = json_string_value(json_object_get(part, "type"));
            const bool is_text = !type || strcmp(type, "text") == 0 || strcmp(type, "input_text") == 0 ||
                                 strcmp(type, "output_text") == 0;
            if (!is_text)
                json_array_set_new(
                    content, j,
                    json_pack("{s:s, s:s}", "type", "text", "text", "[an image, which this model cannot see]"));
        }
    }
    return messages;
}

static bool wants_no_reasoning(const chat_request *chat) {
    return chat->no_reasoning || (chat->reasoning_effort && strcmp(chat->reasoning_effort, "none") == 0);
}

bool render_chat(const served_model *m, const chat_request *chat, cllm_part **parts, size_t *n_parts, failure *f) {
    cllm_error err;
    if (!m->chat) return refuse(f, 400, NULL, "%s", m->chat_error);
    if (!check_messages(chat->messages, f) || !check_tools(chat->tools, f)) return false;
    json_t *object = json_object(), *kwargs = client_variables(chat->kwargs), *message;
    size_t i;
    json_t *messages = without_images(json_deep_copy(chat->messages));
    json_array_foreach(messages, i, message) { /* the reasoning may have either name */
        json_t *reasoning = json_object_get(message, "reasoning");
        if (json_is_string(reasoning) && !json_object_get(message, "reasoning_content"))
            json_object_set(message, "reasoning_content", reasoning);
    }
    json_put(&object, "messages", messages);
    json_put(&object, "add_generation_prompt", json_boolean(!chat->continues));
    if (chat->continues) json_put(&object, "continue_final_message", json_true());
    if (json_array_size(chat->tools) > 0) json_put(&object, "tools", json_deep_copy(chat->tools));
    if (kwargs && chat->reasoning_effort && strcmp(chat->reasoning_effort, "none") != 0 &&
        !json_object_get(kwargs, "reasoning_effort"))
        json_object_set_new(kwargs, "reasoning_effort", json_string(chat->reasoning_effort));
    char *text = object ? json_spelled(object) : NULL, *more = kwargs ? json_spelled(kwargs) : NULL;
    json_decref(object);
    json_decref(kwargs);
    const char *own = m->o.chat_template_kwargs ? m->o.chat_template_kwargs : "{}";
    const bool off = wants_no_reasoning(chat);
    bool good = (text && more) || refuse_memory(f);
    if (good) {
        const cllm_string objects[] = {{own, strlen(own)}, {text, strlen(text)}, {more, strlen(more)}};
        const cllm_status status = cllm_chat_render(m->chat, objects, 3, off ? CLLM_RENDER_NO_REASONING : 0,
                                                    (int64_t)time(NULL), parts, n_parts, &err);
        good = status == CLLM_OK ||
               refuse(f, status == CLLM_ERR_MEMORY ? 500 : 400, "messages", "messages: %s", err.message);
    }
    free(text);
    free(more);
    if (good && *n_parts == 0) good = refuse(f, 400, "messages", "messages: the chat template prints nothing for them");
    return good;
}

/* Read OpenAI's tool_choice: none, auto, required, or a function, {type: function, function: {name}}.
 * responses.c and anthropic.c turn their tool_choice into this form. Returns false after filling f. */
static bool read_tool_choice(const chat_request *chat, cllm_call_options *calls, bool *none, failure *f) {
    const json_t *choice_of = chat->tool_choice;
    const char *word = json_string_value(choice_of);
    const json_t *function = json_object_get(choice_of, "function"), *tool;
    const char *name = json_string_value(json_object_get(function ? function : choice_of, "name"));
    size_t i;
    if (!choice_of || (word && strcmp(word, "auto") == 0)) return true;
    *none = word && strcmp(word, "none") == 0;
    if (*none) return true;
    calls->must_call = true;
    if (word && (strcmp(word, "required") == 0 || strcmp(word, "any") == 0)) return true;
    if (!name)
        return refuse(f, 400, "tool_choice", "tool_choice: must be none, auto, required, or a function with a name");
    calls->name = (cllm_string){name, strlen(name)};
    json_array_foreach(chat->tools, i, tool) {
        const char *its = json_string_value(json_object_get(json_object_get(tool, "function"), "name"));
        if (its && strcmp(its, name) == 0) return true;
    }
    return refuse(f, 400, "tool_choice", "tool_choice: there is no tool '%.100s'", name);
}

static bool has_strict_tool(const json_t *tools) {
    const json_t *tool;
    size_t i;
    json_array_foreach(
        tools, i, tool) if (json_is_true(json_object_get(json_object_get(tool, "function"), "strict"))) return true;
    return false;
}

/* Enforce the form of calls if the answer must call, or if a tool is strict. Schemas of other tools are enforced as far
 * as possible. */
static bool ask_calls(request *r, const chat_request *chat, cllm_call_options *calls, failure *f) {
    cllm_error err;
    char *structure = NULL;
    if (!calls->must_call && !has_strict_tool(chat->tools)) return true;
    if (r->grammar) {
        if (!calls->must_call) return true; /* the requested form of the text comes first */
        return refuse(f, 400, "tool_choice",
                      "tool_choice: an answer that must call tools cannot also have a response_format or grammar");
    }
    calls->tools = (cllm_string){r->tools, strlen(r->tools)};
    calls->one_call = chat->calls_one;
    cllm_status status =
        cllm_chat_call_structure(r->model->chat, calls, r->parts, r->n_parts, &structure, &r->preamble, &err);
    if (status != CLLM_OK) return refuse(f, 400, "tools", "tools: %s", err.message);
    const bool made = ask_grammar(r, "tools", CLLM_GRAMMAR_STRUCTURE, structure, f);
    cllm_free(structure);
    return made;
}

bool chat_takes_tools(const cllm_chat *chat) {
    static const char text[] = "{\"messages\": [{\"role\": \"user\", \"content\": \"?\"}], \"add_generation_prompt\": "
                               "true, \"tools\": [{\"type\": \"function\", "
                               "\"function\": {\"name\": \"probe_of_tools\", \"description\": \"?\", \"parameters\": "
                               "{\"type\": \"object\", \"properties\": {}}}}]}";
    const cllm_string object = {text, sizeof text - 1};
    cllm_part *parts;
    size_t n_parts;
    bool found = false;
    if (cllm_chat_render(chat, &object, 1, 0, 0, &parts, &n_parts, NULL) != CLLM_OK) return false;
    for (size_t i = 0; i < n_parts && !found; i++) {
        char *part = strndup(parts[i].text.data, parts[i].text.length);
        found = part && strstr(part, "probe_of_tools");
        free(part);
    }
    cllm_free(parts);
    return found;
}

/* Warn about a template that does not show the tools: a model that does not see its tools seldom calls them well. */
static void note_unseen_tools(served_model *m) {
    if (atomic_exchange(&m->told_of_tools, true) || chat_takes_tools(m->chat)) return;
    note(&m->o,
         "%s: a request has tools, but the chat template does not show them to the model; choose another with "
         "--chat-template",
         m->name);
}

bool ask_chat(request *r, const chat_request *chat, failure *f) {
    cllm_error err;
    cllm_call_options calls = {.must_call = false};
    bool none = false;
    int32_t *tokens;
    size_t count;
    if (!read_tool_choice(chat, &calls, &none, f)) return false;
    if (!render_chat(r->model, chat, &r->parts, &r->n_parts, f)) return false;
    if (cllm_tokenizer_encode_parts(cllm_model_tokenizer(r->model->run.model), r->parts, r->n_parts,
                                    CLLM_ENCODE_ADD_SPECIAL, &tokens, &count, &err) != CLLM_OK)
        return refuse(f, 400, "messages", "messages: %s", err.message);
    if (!request_add_prompt(r, tokens, count)) return refuse_memory(f);
    r->preamble = cllm_chat_preamble(r->model->chat, r->parts, r->n_parts);
    if (wants_no_reasoning(chat) && !r->preamble.is_open) r->preamble = (cllm_preamble){0};
    r->one_call = chat->calls_one;
    const bool has_tools = json_array_size(chat->tools) > 0 && !none;
    r->tools = has_tools ? json_spelled(chat->tools) : strdup("[]");
    if (!r->tools) return refuse_memory(f);
    if (!has_tools && calls.must_call) return refuse(f, 400, "tool_choice", "tool_choice: there are no tools to call");
    if (has_tools) note_unseen_tools(r->model);
    return !has_tools || ask_calls(r, chat, &calls, f);
}

/* -------------------------------------------------------------------------------------------------- end */

bool ask_end(request *r, failure *f) {
    const uint32_t n_ctx = r->n_limit > 0 && r->n_limit < r->model->n_ctx ? r->n_limit : r->model->n_ctx;
    r->no_text = r->n_most == 0 && r->kind != REQUEST_EMBED;
    if (r->ignores_end && !ban_ends(r, f)) return false;
    for (size_t i = 0; i < r->n_prompts; i++) {
        if (r->prompts[i].count == 0 && r->kind == REQUEST_EMBED)
            return refuse(f, 400, "input", "input: text %zu has no tokens", i + 1);
        if (r->prompts[i].count == 0)
            return refuse(f, 400, NULL, "the prompt is empty, and the model has no token to begin a text with");
        /* leave room for one drawn token */
        if (r->prompts[i].count + (r->kind != REQUEST_EMBED && !r->no_text) > n_ctx)
            return refuse_length(f, r->prompts[i].count, n_ctx, model_may_grow(r->model, n_ctx));
    }
    if (r->n_prompts == 0) return refuse(f, 400, NULL, "there is no prompt");
    const size_t most = r->kind == REQUEST_EMBED ? MOST_EMBEDDINGS : MOST_CHOICES;
    if (r->n_prompts * r->n_each > most)
        return refuse(f, 400, r->kind == REQUEST_EMBED ? "input" : "n",
                      "%zu texts are too many; a request can have %zu", r->n_prompts * r->n_each, most);
    return request_complete(r) || refuse_memory(f);
}

const char *finish_reason(finish reason) {
    switch (reason) {
    case FINISH_NONE:
    case FINISH_FAILED: return NULL;
    case FINISH_STOP:
    case FINISH_STOP_STRING: return "stop";
    case FINISH_LENGTH:
    case FINISH_CONTEXT: return "length";
    case FINISH_CALLS: return "tool_calls";
    }
    return NULL;
}

cllm_string token_text(const request *r, int32_t previous, int32_t token) {
    return cllm_tokenizer_decode(cllm_model_tokenizer(r->model->run.model), previous, token);
}
