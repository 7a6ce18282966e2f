/* llama-server's completions and infill: https://github.com/ggml-org/llama.cpp/tree/master/tools/server. */
#include "server/llama.h"

#include "server/ask.h"
#include "server/infill.h"
#include "server/write.h"

#include <stdlib.h>
#include <string.h>

enum { MOST_PROBABILITIES = 200 };

/* ---------------------------------------------------------------------------------------------- failures */

static const char *type_of(const failure *f) {
    if (f->n_prompt > 0) return "exceed_context_size_error";
    switch (f->status) {
    case 401: return "authentication_error";
    case 403: return "permission_error";
    case 404: return "not_found_error";
    case 501: return "not_supported_error";
    case 503: return "unavailable_error";
    default: return f->status < 500 ? "invalid_request_error" : "server_error";
    }
}

json_t *llama_failure(const failure *f) {
    json_t *error = json_object(), *body = json_object();
    json_put(&error, "code", json_integer(f->status));
    json_put(&error, "message", json_text(f->message, strlen(f->message)));
    json_put(&error, "type", json_string(type_of(f)));
    if (f->n_prompt > 0) {
        json_put(&error, "n_prompt_tokens", json_integer((json_int_t)f->n_prompt));
        json_put(&error, "n_ctx", json_integer((json_int_t)f->n_ctx));
    }
    json_put(&body, "error", error);
    return body;
}

static void write_failure(request *r, const failure *f, text_buffer *out) {
    (void)r;
    write_event(out, NULL, llama_failure(f));
}

/* ----------------------------------------------------------------------------------------------- prompts */

static bool add_ids(const request *r, const json_t *item, id_list *to, const char *name, failure *f) {
    const int flags = CLLM_ENCODE_PARSE_SPECIAL | (to->count == 0 ? CLLM_ENCODE_ADD_SPECIAL : CLLM_ENCODE_GOES_ON);
    const json_int_t id = json_integer_value(item);
    int32_t *tokens;
    size_t count;
    if (json_is_integer(item) && id >= 0 && id < cllm_model_get_info(r->model->run.model)->n_vocab)
        return id_list_add(to, (int32_t)id) || refuse_memory(f);
    if (!json_is_string(item)) return refuse(f, 400, name, "%s: must be texts and token ids of the vocabulary", name);
    if (!model_encode(r->model, json_string_value(item), json_string_length(item), flags, &tokens, &count, f))
        return false;
    /* a text to continue must not end with EOS */
    if (to->count == 0 && cllm_tokenizer_adds_eos(cllm_model_tokenizer(r->model->run.model)) && count > 0 &&
        r->kind == REQUEST_TEXT)
        count--;
    bool added = true;
    for (size_t i = 0; added && i < count; i++) added = id_list_add(to, tokens[i]);
    cllm_free(tokens);
    return added || refuse_memory(f);
}

/* value: a text, a list of texts and ids, or {"prompt_string": either} */
static bool add_prompt(request *r, const char *name, const json_t *value, failure *f) {
    id_list tokens = {0};
    const json_t *item;
    size_t i;
    if (json_is_object(value)) {
        if (json_array_size(json_object_get(value, "multimodal_data")) > 0)
            return refuse(f, 501, name, "%s.multimodal_data: models read only text", name);
        value = json_object_get(value, "prompt_string");
    }
    bool good = json_is_array(value) || add_ids(r, value, &tokens, name, f);
    json_array_foreach(value, i, item) {
        if (good) good = add_ids(r, item, &tokens, name, f);
    }
    const int32_t bos = cllm_tokenizer_bos(cllm_model_tokenizer(r->model->run.model));
    if (good && tokens.count == 0 && bos >= 0) good = id_list_add(&tokens, bos) || refuse_memory(f);
    if (good) return request_add_prompt(r, tokens.ids, tokens.count) || refuse_memory(f);
    free(tokens.ids);
    return false;
}

bool llama_prompts(request *r, const char *name, const json_t *value, failure *f) {
    const json_t *item;
    size_t i, n_numbers = 0, n_lists = 0;
    if (!json_is_string(value) && !json_is_array(value) && !json_is_object(value))
        return refuse(f, 400, name, "%s: must be a text, token ids, or a list of these", name);
    json_array_foreach(value, i, item) {
        n_numbers += json_is_integer(item);
        n_lists += json_is_array(item) || json_is_object(item);
    }
    if (!json_is_array(value) || (n_numbers > 0 && n_lists == 0)) return add_prompt(r, name, value, f);
    if (json_array_size(value) > MOST_CHOICES)
        return refuse(f, 400, name, "%s: at most %d in one request", name, MOST_CHOICES);
    json_array_foreach(value, i, item) {
        if (!add_prompt(r, name, item, f)) return false;
    }
    return true;
}

json_t *llama_text(const served_model *m, const int32_t *tokens, size_t count) {
    text_buffer text = {0};
    for (size_t i = 0; i < count; i++) {
        const cllm_string piece_of =
            cllm_tokenizer_decode(cllm_model_tokenizer(m->run.model), i > 0 ? tokens[i - 1] : -1, tokens[i]);
        text_buffer_add(&text, piece_of.data, piece_of.length);
    }
    json_t *value = json_text(text.bytes ? text.bytes : "", text.length);
    free(text.bytes);
    return value;
}

/* ---------------------------------------------------------------------------------------------- settings */

static json_t *names_of_steps(const cllm_sampler_options *s) {
    json_t *list = json_array();
    for (cllm_sampler_step step = CLLM_STEP_PENALTIES; !s->steps && step <= CLLM_STEP_XTC; step++)
        json_add(&list, json_string(cllm_sampler_step_name(step)));
    for (size_t i = 0; s->steps && i < s->n_steps; i++)
        json_add(&list, json_string(cllm_sampler_step_name(s->steps[i])));
    return list;
}

static json_t *breakers_of(const cllm_sampler_options *s) {
    if (!s->dry_breakers) return json_pack("[s, s, s, s]", "\n", ":", "\"", "*");
    json_t *list = json_array();
    for (size_t i = 0; i < s->n_dry_breakers; i++)
        json_add(&list, json_text(s->dry_breakers[i].data, s->dry_breakers[i].length));
    return list;
}

static json_t *whole_or_minus_one(uint64_t value, uint64_t none) {
    return json_integer(value == none ? -1 : (json_int_t)value);
}

static void put_sampling(json_t **o, const cllm_sampler_options *s) {
    const struct {
        const char *name;
        float value;
    } numbers[] = {
        {"temperature", s->temperature},
        {"dynatemp_range", s->dynatemp_range},
        {"dynatemp_exponent", s->dynatemp_exponent},
        {"top_p", s->top_p},
        {"min_p", s->min_p},
        {"top_n_sigma", s->top_n_sigma},
        {"xtc_probability", s->xtc_probability},
        {"xtc_threshold", s->xtc_threshold},
        {"typical_p", s->typical_p},
        {"repeat_penalty", s->repeat_penalty},
        {"presence_penalty", s->presence_penalty},
        {"frequency_penalty", s->frequency_penalty},
        {"dry_multiplier", s->dry_multiplier},
        {"dry_base", s->dry_base},
        {"mirostat_tau", s->mirostat_tau},
        {"mirostat_eta", s->mirostat_eta},
        {"adaptive_target", s->adaptive_target},
        {"adaptive_decay", s->adaptive_decay},
    };
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        json_put(o, numbers[i].name, json_float(numbers[i].value));
    json_put(o, "top_k", json_integer(s->top_k));
    json_put(o, "repeat_last_n", whole_or_minus_one(s->penalty_last_n, UINT32_MAX));
    json_put(o, "dry_allowed_length", json_integer(s->dry_allowed_length));
    json_put(o, "dry_penalty_last_n", whole_or_minus_one(s->dry_penalty_last_n, UINT32_MAX));
    json_put(o, "dry_sequence_breakers", breakers_of(s));
    json_put(o, "mirostat", json_integer(s->mirostat));
    json_put(o, "samplers", names_of_steps(s));
}

/* The seed is that of the first choice; 4294967295 means a fresh one, as in llama-server. */
json_t *llama_settings(const served_model *m, const request *r) {
    const uint64_t n_most = r ? r->n_most : m->o.n_tokens;
    json_t *o = json_object(), *stops = json_array(), *bias = json_array();
    const cllm_sampler_options *s = r ? &r->sampling : &m->sampling;
    json_put(&o, "seed", json_integer(s->seed == UINT64_MAX ? (json_int_t)UINT32_MAX : (json_int_t)s->seed));
    put_sampling(&o, s);
    for (size_t i = 0; r && i < r->n_stops; i++) json_add(&stops, json_text(r->stops[i].data, r->stops[i].length));
    for (size_t i = 0; i < s->n_logit_bias; i++) /* JSON has no -inf: it becomes null */
        json_add(&bias, json_pack("{s:i, s:o}", "token", (int)s->logit_bias[i].token, "bias",
                                  json_float(s->logit_bias[i].bias)));
    json_put(&o, "stop", stops);
    json_put(&o, "logit_bias", bias);
    json_put(&o, "n_predict", whole_or_minus_one(n_most, UINT64_MAX));
    json_put(&o, "max_tokens", whole_or_minus_one(n_most, UINT64_MAX));
    json_put(&o, "n_keep", json_integer(0));
    json_put(&o, "n_discard", json_integer(0));
    json_put(&o, "min_keep", json_integer(0));
    json_put(&o, "n_indent", json_integer(r ? r->n_indent : 0));
    json_put(&o, "t_max_predict_ms", json_integer(r ? (json_int_t)r->most_ms : 0));
    json_put(&o, "ignore_eos", json_boolean(r && r->ignores_end));
    json_put(&o, "stream", json_boolean(!r || r->streams));
    json_put(&o, "n_probs", json_integer(r && r->wants_logprobs ? (json_int_t)r->n_logprobs : 0));
    json_put(&o, "post_sampling_probs", json_false());
    json_put(&o, "cache_prompt", json_boolean(!r || r->uses_cache));
    json_put(&o, "has_grammar", json_boolean(r && r->grammar));
    json_put(&o, "lora", json_array());
    return o;
}

/* ------------------------------------------------------------------------------------------- completions */

typedef struct state {
    bool wants_timings, wants_tokens, is_list; /* is_list: more than one prompt, or several texts for each */
} state;

static json_t *ids_of(const int32_t *tokens, size_t count) {
    json_t *list = json_array();
    for (size_t i = 0; i < count; i++) json_add(&list, json_integer(tokens[i]));
    return list;
}

/* As in OpenAI's API, with the tokens' ids. */
static json_t *probabilities(const request *r, size_t choice_of, const int32_t *tokens, const cllm_logprob *logprobs,
                             size_t n, int32_t previous) {
    json_t *list = openai_logprobs(r, choice_of, tokens, logprobs, n, previous), *one, *other;
    const size_t row = 1 + r->n_logprobs;
    size_t i, k;
    json_array_foreach(list, i, one) {
        json_object_set_new(one, "id", json_integer(tokens[i]));
        json_array_foreach(json_object_get(one, "top_logprobs"), k, other)
            json_object_set_new(other, "id", json_integer(logprobs[i * row + k + 1].token));
    }
    return list;
}

static void put_counts(json_t **o, size_t index, const usage *u) {
    json_put(o, "index", json_integer((json_int_t)index));
    json_put(o, "id_slot", json_integer(u->slot));
    json_put(o, "tokens_predicted", json_integer((json_int_t)u->n_drawn));
    json_put(o, "tokens_evaluated", json_integer((json_int_t)u->n_prompt));
}

static const char *stop_type_of(finish reason) {
    switch (reason) {
    case FINISH_STOP:
    case FINISH_CALLS: return "eos";
    case FINISH_STOP_STRING: return "word";
    case FINISH_LENGTH:
    case FINISH_CONTEXT: return "limit";
    case FINISH_NONE:
    case FINISH_FAILED: break;
    }
    return "none";
}

/* Select the fields of the answer that the client wants: "a/b" is the field b of the field a, and keeps that name. */
static json_t *only_wanted(const request *r, json_t *whole) {
    const json_t *wanted = field_find(r->details, "response_fields"), *path;
    size_t i;
    if (json_array_size(wanted) == 0) return whole;
    json_t *o = json_object();
    json_array_foreach(wanted, i, path) {
        const json_t *at = whole;
        const char *name = json_string_value(path);
        for (size_t n; at && name; name = name[n] ? name + n + 1 : NULL) {
            char key[128];
            n = strcspn(name, "/");
            snprintf(key, sizeof key, "%.*s", (int)n, name);
            at = json_object_get(at, key);
        }
        if (at) json_put(&o, json_string_value(path), json_incref((json_t *)at));
    }
    json_decref(whole);
    return o;
}

/* The complete object of a choice; in a stream the last event, whose text was sent before. */
static json_t *whole_of(const request *r, size_t i) {
    const outcome *a = &r->outcomes[i];
    const prompt *p = &r->prompts[i / r->n_each];
    const state *s = r->state;
    const char *text = a->content.bytes && !r->streams ? a->content.bytes : "";
    json_t *o = json_object();
    put_counts(&o, i, &a->usage);
    json_put(&o, "content", json_text(text, r->streams ? 0 : a->content.length));
    json_put(&o, "tokens", s->wants_tokens && !r->streams ? ids_of(a->tokens.ids, a->tokens.count) : json_array());
    json_put(&o, "stop", json_true());
    json_put(&o, "model", json_text(r->model->name, strlen(r->model->name)));
    json_put(&o, "generation_settings", llama_settings(r->model, r));
    json_put(&o, "prompt", llama_text(r->model, p->tokens, p->count));
    json_put(&o, "has_new_line",
             json_boolean(a->content.length > 0 && memchr(a->content.bytes, '\n', a->content.length)));
    json_put(&o, "truncated", json_boolean(a->finish == FINISH_CONTEXT));
    json_put(&o, "stop_type", json_string(stop_type_of(a->finish)));
    const bool has_word = a->finish == FINISH_STOP_STRING && a->stop_string < r->n_stops;
    const cllm_string word = has_word ? r->stops[a->stop_string] : (cllm_string){"", 0};
    json_put(&o, "stopping_word", json_text(word.data, word.length));
    /* the tokens in the slot now */
    json_put(&o, "tokens_cached",
             json_integer((json_int_t)(p->count + (a->tokens.count > 0 ? a->tokens.count - 1 : 0))));
    json_put(&o, "timings", llama_timings(a->usage));
    if (a->logprobs && !r->streams)
        json_put(&o, "completion_probabilities",
                 probabilities(r, i, a->tokens.ids, a->logprobs, a->tokens.count, p->tokens[p->count - 1]));
    return only_wanted(r, o);
}

static json_t *answer_whole(request *r) {
    const state *s = r->state;
    if (!s->is_list) return whole_of(r, 0);
    json_t *list = json_array();
    for (size_t i = 0; i < r->n_choices; i++) json_add(&list, whole_of(r, i));
    return list;
}

static json_t *step_of(const request *r, const event *e) {
    const id_list *tokens = &r->outcomes[e->choice].tokens;
    const prompt *p = &r->prompts[e->choice / r->n_each];
    const size_t n_before = tokens->count - e->n_tokens;
    const state *s = r->state;
    text_buffer text = {0};
    json_t *o = json_object();
    for (size_t i = 0; i < e->n_pieces; i++) text_buffer_add(&text, e->pieces[i].text, e->pieces[i].length);
    put_counts(&o, e->choice, &e->usage);
    json_put(&o, "content", json_text(text.bytes ? text.bytes : "", text.length));
    json_put(&o, "tokens", ids_of(e->tokens, e->n_tokens));
    json_put(&o, "stop", json_false());
    if (s->wants_timings) json_put(&o, "timings", llama_timings(e->usage));
    if (e->logprobs)
        json_put(&o, "completion_probabilities",
                 probabilities(r, e->choice, e->tokens, e->logprobs, e->n_tokens,
                               n_before > 0 ? tokens->ids[n_before - 1] : p->tokens[p->count - 1]));
    free(text.bytes);
    return o;
}

static void answer_step(request *r, const event *e, text_buffer *out) {
    const bool reads = r->outcomes[e->choice].tokens.count == e->n_tokens; /* this step read the prompt */
    if (r->shows_progress && reads) {
        json_t *o = step_of(r, &(event){.choice = e->choice, .usage = e->usage});
        json_put(&o, "prompt_progress", llama_progress(e->usage));
        write_event(out, NULL, o);
    }
    if (e->n_pieces > 0 || e->n_tokens > 0) write_event(out, NULL, step_of(r, e));
    if (e->finish != FINISH_NONE) write_event(out, NULL, whole_of(r, e->choice));
}

static const answer_form completion_form = {.stream_type = "text/event-stream",
                                            .step = answer_step,
                                            .fail = write_failure,
                                            .wait = openai_wait,
                                            .whole = answer_whole};

static bool take_limits(request *r, const json_t *body, failure *f) {
    static const char *const limits[] = {"max_tokens", "n_predict"}, *const counts[] = {"n", "n_cmpl"};
    int64_t most = -1, n = 1, n_indent = 0, wanted_slot = -1;
    for (size_t i = 0; i < 2; i++)
        if (!field_whole(body, limits[i], -2, INT64_MAX, &most, f) ||
            !field_whole(body, counts[i], 1, MOST_CHOICES, &n, f))
            return false;
    if (!field_whole(body, "n_indent", 0, INT32_MAX, &n_indent, f) ||
        !field_whole(body, "id_slot", -1, INT32_MAX, &wanted_slot, f))
        return false;
    if (most >= 0) r->n_most = (uint64_t)most;
    r->n_each = (uint32_t)n;
    r->n_indent = (uint32_t)n_indent;
    /* every slot number is valid, because llama.vim relies on that */
    r->slot = wanted_slot < 0 ? -1 : (int32_t)(wanted_slot % r->model->n_slots);
    return true;
}

/* A field that would change the answer but is not supported is refused, not ignored. */
static bool refuse_unsupported(const json_t *body, failure *f) {
    bool post_sampling = false;
    const json_t *lora = NULL;
    if (!field_bool(body, "post_sampling_probs", &post_sampling, f) || !field_array(body, "lora", &lora, f))
        return false;
    if (post_sampling)
        return refuse(f, 501, "post_sampling_probs",
                      "post_sampling_probs: not supported; probabilities are those before sampling");
    return json_array_size(lora) == 0 ||
           refuse(f, 501, "lora", "lora: adapters cannot be chosen by a request; give --lora when the server starts");
}

static bool take_fields(request *r, const json_t *body, failure *f) {
    state *s = calloc(1, sizeof *s);
    int64_t n_probs = 0;
    const json_t *wanted = NULL, *path;
    size_t i;
    r->state = s;
    if (!s) return refuse_memory(f);
    if (!refuse_unsupported(body, f) || !take_limits(r, body, f) || !ask_sampling(r, body, f) ||
        !ask_stops(r, "stop", field_find(body, "stop"), f) || !ask_form(r, body, f) ||
        !field_bool(body, "stream", &r->streams, f) || !field_bool(body, "return_tokens", &s->wants_tokens, f) ||
        !field_bool(body, "timings_per_token", &s->wants_timings, f) ||
        !field_whole(body, "n_probs", 0, MOST_PROBABILITIES, &n_probs, f) ||
        !field_array(body, "response_fields", &wanted, f))
        return false;
    json_array_foreach(wanted, i, path) {
        if (!json_is_string(path))
            return refuse(f, 400, "response_fields", "response_fields[%zu]: must be a string", i);
    }
    r->wants_logprobs = n_probs > 0;
    r->n_logprobs = (uint32_t)n_probs;
    r->details = wanted ? json_pack("{s:O}", "response_fields", wanted) : json_object();
    return r->details || refuse_memory(f);
}

static bool take_completion(request *r, const json_t *body, failure *f) {
    const json_t *given = field_find(body, "prompt");
    if (!take_fields(r, body, f)) return false;
    if (!given) return refuse(f, 400, "prompt", "prompt is missing");
    if (!llama_prompts(r, "prompt", given, f) || !ask_end(r, f)) return false;
    ((state *)r->state)->is_list = r->n_choices > 1;
    return true;
}

void llama_completion(exchange *x) { answer_with(x, REQUEST_TEXT, "cmpl-", &completion_form, take_completion); }

/* ------------------------------------------------------------------------------------------------ infill */

static bool take_text(const json_t *body, const char *name, bool required, cllm_string *text, failure *f) {
    const json_t *value = field_find(body, name);
    if (!value && required) return refuse(f, 400, name, "%s is missing", name);
    if (value && !json_is_string(value)) return refuse(f, 400, name, "%s: must be a string", name);
    *text = value ? (cllm_string){json_string_value(value), json_string_length(value)} : (cllm_string){"", 0};
    return true;
}

static bool take_infill(request *r, const json_t *body, failure *f) {
    gap wanted = {.in_repository = true};
    if (!take_fields(r, body, f) || !take_text(body, "input_prefix", true, &wanted.prefix, f) ||
        !take_text(body, "input_suffix", true, &wanted.suffix, f) ||
        !take_text(body, "prompt", false, &wanted.middle, f) || !field_array(body, "input_extra", &wanted.extra, f) ||
        !ask_infill(r, &wanted, f) || !ask_end(r, f))
        return false;
    ((state *)r->state)->is_list = r->n_choices > 1;
    return true;
}

void llama_infill(exchange *x) { answer_with(x, REQUEST_TEXT, "infill-", &completion_form, take_infill); }
