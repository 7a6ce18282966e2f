/* OpenAI's API: https://platform.openai.com/docs/api-reference, with the extra fields of llama-server, vLLM and their
 * clients. */
#include "server/ask.h"
#include "server/dialects.h"
#include "server/infill.h"
#include "server/write.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

/* ---------------------------------------------------------------------------------------------- failures */

static const char *type_of(int status) {
    switch (status) {
    case 401: return "authentication_error";
    case 403: return "permission_error";
    case 404: return "not_found_error";
    case 501: return "not_supported_error";
    case 503: return "unavailable_error";
    default: return status < 500 ? "invalid_request_error" : "server_error";
    }
}

json_t *openai_failure(const failure *f) {
    json_t *error = json_object();
    json_put(&error, "message", json_text(f->message, strlen(f->message)));
    json_put(&error, "type", json_string(type_of(f->status)));
    json_put(&error, "param", *f->field ? json_text(f->field, strlen(f->field)) : json_null());
    json_put(&error, "code", f->code ? json_string(f->code) : json_null());
    if (f->n_prompt > 0) {
        json_put(&error, "n_prompt_tokens", json_integer((json_int_t)f->n_prompt));
        json_put(&error, "n_ctx", json_integer((json_int_t)f->n_ctx));
    }
    json_t *body = json_object();
    json_put(&body, "error", error);
    return body;
}

static void write_failure(request *r, const failure *f, text_buffer *out) {
    (void)r;
    write_event(out, NULL, openai_failure(f));
    write_text(out, "data: [DONE]\n\n");
}

/* ----------------------------------------------------------------------------------------------- parts */

static json_t *describe_usage(const request *r) {
    const usage u = request_usage(r);
    return json_pack("{s:I, s:I, s:I, s:{s:I}}", "prompt_tokens", (json_int_t)u.n_prompt, "completion_tokens",
                     (json_int_t)u.n_drawn, "total_tokens", (json_int_t)(u.n_prompt + u.n_drawn),
                     "prompt_tokens_details", "cached_tokens", (json_int_t)u.n_cached);
}

json_t *llama_timings(usage u) {
    const double n_prompt = (double)(u.n_prompt - u.n_cached), n_drawn = (double)u.n_drawn;
    json_t *t = json_object();
    json_put(&t, "cache_n", json_integer((json_int_t)u.n_cached));
    json_put(&t, "prompt_n", json_integer((json_int_t)(u.n_prompt - u.n_cached)));
    json_put(&t, "prompt_ms", json_number(u.prompt_ms));
    json_put(&t, "prompt_per_token_ms", json_number(n_prompt > 0 ? u.prompt_ms / n_prompt : 0));
    json_put(&t, "prompt_per_second", json_number(u.prompt_ms > 0 ? n_prompt / u.prompt_ms * 1000 : 0));
    json_put(&t, "predicted_n", json_integer((json_int_t)u.n_drawn));
    json_put(&t, "predicted_ms", json_number(u.drawn_ms));
    json_put(&t, "predicted_per_token_ms", json_number(n_drawn > 0 ? u.drawn_ms / n_drawn : 0));
    json_put(&t, "predicted_per_second", json_number(u.drawn_ms > 0 ? n_drawn / u.drawn_ms * 1000 : 0));
    if (u.n_drafted > 0) {
        json_put(&t, "draft_n", json_integer((json_int_t)u.n_drafted));
        json_put(&t, "draft_n_accepted", json_integer((json_int_t)u.n_accepted));
    }
    return t;
}

json_t *llama_progress(usage u) {
    return json_pack("{s:I, s:I, s:I, s:f}", "total", (json_int_t)u.n_prompt, "cache", (json_int_t)u.n_cached,
                     "processed", (json_int_t)u.n_read, "time_ms", u.prompt_ms);
}

static json_t *bytes_of(cllm_string text) {
    json_t *list = json_array();
    for (size_t i = 0; i < text.length; i++) json_add(&list, json_integer((unsigned char)text.data[i]));
    return list;
}

static json_t *one_logprob(const request *r, int32_t previous, cllm_logprob l) {
    const cllm_string text = token_text(r, previous, l.token);
    json_t *o = json_object();
    json_put(&o, "token", json_text(text.data, text.length));
    json_put(&o, "logprob", json_number((double)l.logprob > -9999 ? (double)l.logprob : -9999)); /* JSON has no -inf */
    json_put(&o, "bytes", bytes_of(text));
    return o;
}

/* [{token, logprob, bytes, top_logprobs}, ...]; previous: the token before the first. */
json_t *openai_logprobs(const request *r, size_t index, const int32_t *tokens, const cllm_logprob *logprobs, size_t n,
                        int32_t previous) {
    const size_t row = 1 + r->n_logprobs;
    json_t *list = json_array();
    (void)index;
    for (size_t i = 0; logprobs && i < n; i++) {
        json_t *one = one_logprob(r, previous, logprobs[i * row]), *top = json_array();
        for (size_t k = 1; k < row; k++) json_add(&top, one_logprob(r, previous, logprobs[i * row + k]));
        json_put(&one, "top_logprobs", top);
        json_add(&list, one);
        previous = tokens[i];
    }
    return list;
}

static json_t *begin_object(const request *r, const char *object) {
    json_t *o = json_object();
    json_put(&o, "id", json_string(r->id));
    json_put(&o, "object", json_string(object));
    json_put(&o, "created", json_integer(r->created));
    json_put(&o, "model", json_text(r->model->name, strlen(r->model->name)));
    json_put(&o, "system_fingerprint", json_string("mini-cllm " CLLM_VERSION));
    return o;
}

/* Fields that OpenAI does not have: the seed and the timings. */
static void put_extras(const request *r, json_t **o, usage u) {
    json_put(o, "seed", json_integer((json_int_t)r->sampling.seed));
    json_put(o, "timings", llama_timings(u));
}

/* -------------------------------------------------------------------------------------- chat completions */

/* State of a stream: what has been sent. */
typedef struct stream_state {
    bool wants_usage, wants_timings;
    struct {
        bool begun;
        size_t offset; /* of a completion's next token in the text, for its log probabilities */
    } choices[];       /* [n_choices] */
} stream_state;

static json_t *chunk(const request *r, size_t index, json_t *delta, const char *reason, const char *object) {
    json_t *o = begin_object(r, object), *c = json_object(), *list = json_array();
    json_put(&c, "index", json_integer((json_int_t)index));
    json_put(&c, "delta", delta);
    json_put(&c, "finish_reason", reason ? json_string(reason) : json_null());
    json_put(&c, "logprobs", json_null());
    json_add(&list, c);
    json_put(&o, "choices", list);
    return o;
}

static json_t *chat_chunk(const request *r, size_t index, json_t *delta, const char *reason) {
    return chunk(r, index, delta, reason, "chat.completion.chunk");
}

static json_t *delta_of(const piece *p) {
    json_t *delta = json_object();
    switch (p->kind) {
    case CLLM_DELTA_CONTENT: json_put(&delta, "content", json_text(p->text, p->length)); return delta;
    case CLLM_DELTA_REASONING:
        json_put(&delta, "reasoning_content", json_text(p->text, p->length));
        json_put(&delta, "reasoning", json_text(p->text, p->length));
        return delta;
    case CLLM_DELTA_CALL:
    case CLLM_DELTA_ARGUMENTS: break;
    }
    json_t *call = json_object(), *function = json_object(), *list = json_array();
    json_put(&call, "index", json_integer((json_int_t)p->call));
    if (p->kind == CLLM_DELTA_CALL) { /* sent once, with its id and name */
        json_put(&call, "id", json_string(p->id));
        json_put(&call, "type", json_string("function"));
        json_put(&function, "name", json_text(p->text, p->length));
        json_put(&function, "arguments", json_string(""));
    } else {
        json_put(&function, "arguments", json_text(p->text, p->length));
    }
    json_put(&call, "function", function);
    json_add(&list, call);
    json_put(&delta, "tool_calls", list);
    return delta;
}

static int32_t last_of_prompt(const request *r, size_t index) {
    const prompt *p = &r->prompts[index / r->n_each];
    return p->tokens[p->count - 1];
}

/* The log probabilities of a step are sent with its first chunk. */
static void put_chunk_logprobs(const request *r, const event *e, json_t *o) {
    const id_list *tokens = &r->outcomes[e->choice].tokens;
    const size_t n_before = tokens->count - e->n_tokens;
    json_t *choice_of = json_array_get(json_object_get(o, "choices"), 0), *logprobs = json_object();
    json_put(&logprobs, "content",
             openai_logprobs(r, e->choice, e->tokens, e->logprobs, e->n_tokens,
                             n_before > 0 ? tokens->ids[n_before - 1] : last_of_prompt(r, e->choice)));
    json_put(&logprobs, "refusal", json_null());
    json_object_set_new(choice_of, "logprobs", logprobs);
}

static void chat_step(request *r, const event *e, text_buffer *out) {
    stream_state *s = r->state;
    if (!s->choices[e->choice].begun) {
        s->choices[e->choice].begun = true;
        write_event(out, NULL,
                    chat_chunk(r, e->choice, json_pack("{s:s, s:s}", "role", "assistant", "content", ""), NULL));
    }
    bool told = !e->logprobs;
    for (size_t i = 0; i < e->n_pieces; i++) {
        json_t *o = chat_chunk(r, e->choice, delta_of(&e->pieces[i]), NULL);
        if (!told) put_chunk_logprobs(r, e, o);
        told = true;
        if (s->wants_timings) json_put(&o, "timings", llama_timings(e->usage));
        write_event(out, NULL, o);
    }
    if (r->shows_progress && e->n_tokens == 0 && e->finish == FINISH_NONE) {
        json_t *o = chat_chunk(r, e->choice, json_object(), NULL);
        json_put(&o, "prompt_progress", llama_progress(e->usage));
        write_event(out, NULL, o);
    }
    if (e->finish == FINISH_NONE) return;
    json_t *o = chat_chunk(r, e->choice, json_object(), finish_reason(e->finish));
    if (!told) put_chunk_logprobs(r, e, o);
    put_extras(r, &o, e->usage);
    write_event(out, NULL, o);
}

static void write_end(request *r, text_buffer *out, const char *object) {
    const stream_state *s = r->state;
    if (s->wants_usage) {
        json_t *o = begin_object(r, object);
        json_put(&o, "choices", json_array());
        json_put(&o, "usage", describe_usage(r));
        put_extras(r, &o, request_usage(r));
        write_event(out, NULL, o);
    }
    write_text(out, "data: [DONE]\n\n");
}

static void chat_end(request *r, text_buffer *out) { write_end(r, out, "chat.completion.chunk"); }

void openai_wait(request *r, text_buffer *out) {
    (void)r;
    write_text(out, ": waiting\n\n");
}

static json_t *calls_of(const outcome *a) {
    json_t *list = json_array();
    for (size_t i = 0; i < a->n_calls; i++) {
        const called *c = &a->calls[i];
        json_add(&list, json_pack("{s:s, s:s, s:{s:o, s:o}}", "id", c->id, "type", "function", "function", "name",
                                  json_text(c->name, strlen(c->name)), "arguments",
                                  json_text(c->arguments.bytes ? c->arguments.bytes : "", c->arguments.length)));
    }
    return list;
}

static json_t *message_of(const outcome *a) {
    json_t *message = json_object();
    const bool silent = a->content.length == 0 && a->n_calls > 0;
    json_put(&message, "role", json_string("assistant"));
    json_put(&message, "content",
             silent ? json_null() : json_text(a->content.bytes ? a->content.bytes : "", a->content.length));
    if (a->reasoning.length > 0) {
        json_put(&message, "reasoning_content", json_text(a->reasoning.bytes, a->reasoning.length));
        json_put(&message, "reasoning", json_text(a->reasoning.bytes, a->reasoning.length));
    }
    if (a->n_calls > 0) json_put(&message, "tool_calls", calls_of(a));
    json_put(&message, "refusal", json_null());
    return message;
}

static json_t *chat_whole(request *r) {
    json_t *o = begin_object(r, "chat.completion"), *list = json_array();
    for (size_t i = 0; i < r->n_choices; i++) {
        const outcome *a = &r->outcomes[i];
        json_t *c = json_object(), *logprobs = json_null();
        if (r->wants_logprobs) {
            logprobs = json_object();
            json_put(&logprobs, "content",
                     openai_logprobs(r, i, a->tokens.ids, a->logprobs, a->tokens.count, last_of_prompt(r, i)));
            json_put(&logprobs, "refusal", json_null());
        }
        json_put(&c, "index", json_integer((json_int_t)i));
        json_put(&c, "message", message_of(a));
        json_put(&c, "logprobs", logprobs);
        json_put(&c, "finish_reason", json_string(finish_reason(a->finish)));
        json_add(&list, c);
    }
    json_put(&o, "choices", list);
    json_put(&o, "usage", describe_usage(r));
    put_extras(r, &o, request_usage(r));
    return o;
}

static const answer_form chat_form = {.stream_type = "text/event-stream",
                                      .step = chat_step,
                                      .end = chat_end,
                                      .fail = write_failure,
                                      .wait = openai_wait,
                                      .whole = chat_whole};

static bool take_stream(request *r, const json_t *body, failure *f) {
    const json_t *o = NULL;
    bool wants_usage = false, wants_timings = false;
    if (!field_bool(body, "stream", &r->streams, f) || !field_object(body, "stream_options", &o, f) ||
        (o && !field_bool(o, "include_usage", &wants_usage, f)) ||
        !field_bool(body, "timings_per_token", &wants_timings, f))
        return false;
    stream_state *s = calloc(1, sizeof *s + r->n_choices * sizeof *s->choices);
    if (!s) return refuse_memory(f);
    s->wants_usage = wants_usage;
    s->wants_timings = wants_timings;
    r->state = s;
    return true;
}

static bool take_limits(request *r, const json_t *body, failure *f) {
    static const char *const names[] = {"max_tokens", "max_completion_tokens", "n_predict"};
    int64_t most = -1, n = 1;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (!field_whole(body, names[i], -1, INT64_MAX, &most, f)) return false;
    if (most >= 0) r->n_most = (uint64_t)most;
    if (!field_whole(body, "n", 1, MOST_CHOICES, &n, f)) return false;
    r->n_each = (uint32_t)n;
    return true;
}

static bool take_chat(request *r, const json_t *body, failure *f) {
    chat_request chat = {.messages = json_object_get(body, "messages"), .tool_choice = field_find(body, "tool_choice")};
    bool logprobs = false, parallel = true;
    int64_t n_top = 0;
    if (!field_array(body, "tools", &chat.tools, f) || !field_object(body, "chat_template_kwargs", &chat.kwargs, f) ||
        !field_string(body, "reasoning_effort", &chat.reasoning_effort, f) ||
        !field_bool(body, "continue_final_message", &chat.continues, f) ||
        !field_bool(body, "parallel_tool_calls", &parallel, f) || !field_bool(body, "logprobs", &logprobs, f) ||
        !field_whole(body, "top_logprobs", 0, 20, &n_top, f) || !take_limits(r, body, f) || !ask_sampling(r, body, f) ||
        !ask_stops(r, "stop", field_find(body, "stop"), f) || !ask_form(r, body, f))
        return false;
    chat.calls_one = !parallel;
    r->wants_logprobs = logprobs || n_top > 0;
    r->n_logprobs = (uint32_t)n_top;
    return ask_chat(r, &chat, f) && ask_end(r, f) && take_stream(r, body, f);
}

void answer_with(exchange *x, request_kind kind, const char *id_prefix, const answer_form *form,
                 bool (*take)(request *r, const json_t *body, failure *f)) {
    failure f = {0};
    const char *model = NULL;
    request *r = NULL;
    json_t *body = exchange_json(x, &f);
    const bool good = body && field_string(body, "model", &model, &f) && (r = ask_begin(model, kind, id_prefix, &f)) &&
                      take(r, body, &f);
    json_decref(body);
    if (good) {
        r->form = form;
        return answer_request(x, r);
    }
    request_release(r);
    answer_failure(x, &f);
}

void openai_chat(exchange *x) { answer_with(x, REQUEST_CHAT, "chatcmpl-", &chat_form, take_chat); }

/* ------------------------------------------------------------------------------------------- completions */

static bool add_prompt(request *r, const json_t *value, const char *name, failure *f) {
    int32_t *tokens;
    const size_t count = json_array_size(value);
    if (json_is_string(value)) return ask_text(r, json_string_value(value), json_string_length(value), f);
    if (!model_token_ids(r->model, value, name, &tokens, f)) return false;
    return request_add_prompt(r, tokens, count) || refuse_memory(f);
}

/* A text, token ids, or a list of either. */
static bool add_prompts(request *r, const json_t *value, const char *name, failure *f) {
    const json_t *first = json_array_get(value, 0), *item;
    size_t i;
    if (!json_is_string(value) && !json_is_array(value))
        return refuse(f, 400, name, "%s: must be a text, token ids, or a list of these", name);
    if (json_is_string(value) || json_is_integer(first)) return add_prompt(r, value, name, f);
    const size_t most = r->kind == REQUEST_EMBED ? MOST_EMBEDDINGS : MOST_CHOICES;
    if (json_array_size(value) == 0) return refuse(f, 400, name, "%s: must have at least one text", name);
    if (json_array_size(value) > most) return refuse(f, 400, name, "%s: at most %zu in one request", name, most);
    json_array_foreach(value, i, item) {
        if (!json_is_string(item) && !json_is_array(item))
            return refuse(f, 400, name, "%s[%zu]: must be a text or token ids", name, i);
        if (!add_prompt(r, item, name, f)) return false;
    }
    return true;
}

/* Add tokens after `previous` to the lists tokens, token_logprobs, top_logprobs and text_offset. first_is_null: the
 * first token has no probabilities. */
static void add_legacy_logprobs(const request *r, json_t *lists[4], size_t *offset, const int32_t *tokens,
                                const cllm_logprob *logprobs, size_t n, int32_t previous, bool first_is_null) {
    const size_t row = 1 + r->n_logprobs;
    for (size_t i = 0; i < n; i++) {
        const cllm_string text = token_text(r, previous, tokens[i]);
        const bool none = first_is_null && i == 0;
        json_t *top = none ? json_null() : json_object();
        for (size_t k = 1; !none && k < row; k++) {
            const cllm_string other = token_text(r, previous, logprobs[i * row + k].token);
            json_t *key = json_text(other.data, other.length);
            if (key)
                json_object_set_new(top, json_string_value(key), json_number((double)logprobs[i * row + k].logprob));
            json_decref(key);
        }
        json_add(&lists[0], json_text(text.data, text.length));
        json_add(&lists[1], none ? json_null() : json_number((double)logprobs[i * row].logprob));
        json_add(&lists[2], top);
        json_add(&lists[3], json_integer((json_int_t)*offset));
        if (!cllm_tokenizer_is_control(cllm_model_tokenizer(r->model->run.model), tokens[i])) *offset += text.length;
        previous = tokens[i];
    }
}

static json_t *legacy_logprobs(const request *r, json_t *lists[4]) {
    (void)r;
    return json_pack("{s:o, s:o, s:o, s:o}", "tokens", lists[0], "token_logprobs", lists[1], "top_logprobs", lists[2],
                     "text_offset", lists[3]);
}

static void add_prompt_text(const request *r, const prompt *p, text_buffer *text) {
    for (size_t i = 0; i < p->count; i++) {
        if (cllm_tokenizer_is_control(cllm_model_tokenizer(r->model->run.model), p->tokens[i])) continue;
        const cllm_string piece_of = token_text(r, i > 0 ? p->tokens[i - 1] : -1, p->tokens[i]);
        text_buffer_add(text, piece_of.data, piece_of.length);
    }
}

static bool echoes(const request *r) { return json_is_true(json_object_get(r->details, "echo")); }

/* Add the log probabilities of a prompt that is echoed. */
static void add_prompt_logprobs(const request *r, const prompt *p, json_t *lists[4], size_t *offset) {
    if (p->logprobs || p->count == 1) add_legacy_logprobs(r, lists, offset, p->tokens, p->logprobs, p->count, -1, true);
}

static json_t *completion_choice(const request *r, size_t i) {
    const outcome *a = &r->outcomes[i];
    const prompt *p = &r->prompts[i / r->n_each];
    text_buffer text = {0};
    json_t *c = json_object(), *logprobs = json_null();
    if (echoes(r)) add_prompt_text(r, p, &text);
    text_buffer_add(&text, a->content.bytes ? a->content.bytes : "", a->content.length);
    if (r->wants_logprobs) {
        json_t *lists[4] = {json_array(), json_array(), json_array(), json_array()};
        size_t offset = 0;
        if (echoes(r)) add_prompt_logprobs(r, p, lists, &offset);
        if (a->logprobs)
            add_legacy_logprobs(r, lists, &offset, a->tokens.ids, a->logprobs, a->tokens.count, p->tokens[p->count - 1],
                                false);
        logprobs = legacy_logprobs(r, lists);
    }
    json_put(&c, "text", json_text(text.bytes ? text.bytes : "", text.length));
    json_put(&c, "index", json_integer((json_int_t)i));
    json_put(&c, "logprobs", logprobs);
    json_put(&c, "finish_reason", json_string(finish_reason(a->finish)));
    free(text.bytes);
    return c;
}

static json_t *completion_whole(request *r) {
    json_t *o = begin_object(r, "text_completion"), *list = json_array();
    for (size_t i = 0; i < r->n_choices; i++) json_add(&list, completion_choice(r, i));
    json_put(&o, "choices", list);
    json_put(&o, "usage", describe_usage(r));
    put_extras(r, &o, request_usage(r));
    return o;
}

static void completion_step(request *r, const event *e, text_buffer *out) {
    stream_state *s = r->state;
    text_buffer text = {0};
    const prompt *p = &r->prompts[e->choice / r->n_each];
    const bool begins = !s->choices[e->choice].begun && (e->n_tokens > 0 || e->finish != FINISH_NONE);
    const bool echoes_now = begins && echoes(r);
    if (echoes_now) add_prompt_text(r, p, &text);
    if (begins) s->choices[e->choice].begun = true;
    for (size_t i = 0; i < e->n_pieces; i++) text_buffer_add(&text, e->pieces[i].text, e->pieces[i].length);
    const bool progress = r->shows_progress && e->n_tokens == 0 && e->finish == FINISH_NONE;
    if (text.length == 0 && e->finish == FINISH_NONE && !e->logprobs && !progress) return free(text.bytes);
    json_t *o = begin_object(r, "text_completion"), *c = json_object(), *list = json_array(), *logprobs = json_null();
    if (e->logprobs || (echoes_now && r->wants_logprobs)) {
        json_t *lists[4] = {json_array(), json_array(), json_array(), json_array()};
        const id_list *tokens = &r->outcomes[e->choice].tokens;
        const size_t n_before = tokens->count - e->n_tokens;
        size_t *offset = &s->choices[e->choice].offset;
        if (echoes_now) add_prompt_logprobs(r, p, lists, offset);
        add_legacy_logprobs(r, lists, offset, e->tokens, e->logprobs, e->n_tokens,
                            n_before > 0 ? tokens->ids[n_before - 1] : p->tokens[p->count - 1], false);
        logprobs = legacy_logprobs(r, lists);
    }
    const char *reason = finish_reason(e->finish);
    json_put(&c, "text", json_text(text.bytes ? text.bytes : "", text.length));
    json_put(&c, "index", json_integer((json_int_t)e->choice));
    json_put(&c, "logprobs", logprobs);
    json_put(&c, "finish_reason", reason ? json_string(reason) : json_null());
    json_add(&list, c);
    json_put(&o, "choices", list);
    if (progress) json_put(&o, "prompt_progress", llama_progress(e->usage));
    if (s->wants_timings && !reason) json_put(&o, "timings", llama_timings(e->usage));
    if (reason) put_extras(r, &o, e->usage);
    write_event(out, NULL, o);
    free(text.bytes);
}

static void completion_end(request *r, text_buffer *out) { write_end(r, out, "text_completion"); }

static const answer_form completion_form = {.stream_type = "text/event-stream",
                                            .step = completion_step,
                                            .end = completion_end,
                                            .fail = write_failure,
                                            .wait = openai_wait,
                                            .whole = completion_whole};

/* Each prompt is the text before a gap, and the suffix is the text after it. The model fills the gap. */
static bool add_gaps(request *r, const json_t *prompts, cllm_string suffix, failure *f) {
    const size_t n = json_is_array(prompts) ? json_array_size(prompts) : 1;
    if (echoes(r)) return refuse(f, 400, "suffix", "suffix: cannot be used together with echo");
    for (size_t i = 0; i < n; i++) {
        const json_t *text = json_is_array(prompts) ? json_array_get(prompts, i) : prompts;
        if (!json_is_string(text) || i >= MOST_CHOICES)
            return refuse(f, 400, "prompt", "prompt: must be a text, or a list of at most %d, if there is a suffix",
                          MOST_CHOICES);
        const gap wanted = {.prefix = {json_string_value(text), json_string_length(text)}, .suffix = suffix};
        if (!ask_infill(r, &wanted, f)) return false;
    }
    return true;
}

static bool take_completion(request *r, const json_t *body, failure *f) {
    int64_t n_top = -1;
    bool echo = false;
    const char *suffix = "";
    const json_t *given = field_find(body, "prompt");
    if (!field_whole(body, "logprobs", 0, 20, &n_top, f) || !field_bool(body, "echo", &echo, f) ||
        !field_string(body, "suffix", &suffix, f) || !take_limits(r, body, f) || !ask_sampling(r, body, f) ||
        !ask_stops(r, "stop", field_find(body, "stop"), f) || !ask_form(r, body, f))
        return false;
    r->wants_logprobs = n_top >= 0;
    r->n_logprobs = n_top > 0 ? (uint32_t)n_top : 0;
    r->scores_prompt = echo && r->wants_logprobs;
    r->details = json_pack("{s:b}", "echo", echo);
    if (!r->details) return refuse_memory(f);
    if (!given) return refuse(f, 400, "prompt", "prompt is missing");
    const bool added =
        *suffix ? add_gaps(r, given, (cllm_string){suffix, json_string_length(json_object_get(body, "suffix"))}, f)
                : add_prompts(r, given, "prompt", f);
    return added && ask_end(r, f) && take_stream(r, body, f);
}

void openai_completions(exchange *x) { answer_with(x, REQUEST_TEXT, "cmpl-", &completion_form, take_completion); }

/* ------------------------------------------------------------------------------------------- embeddings */

static json_t *base64_of(const void *bytes, size_t length) {
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const unsigned char *at = bytes;
    char *text = malloc((length + 2) / 3 * 4 + 1), *to = text;
    if (!text) return NULL;
    for (size_t i = 0; i < length; i += 3) {
        const unsigned word =
            (unsigned)at[i] << 16 | (i + 1 < length ? (unsigned)at[i + 1] << 8 : 0) | (i + 2 < length ? at[i + 2] : 0);
        for (size_t k = 0; k < 4; k++) *to++ = i + k > length ? '=' : digits[word >> (18 - 6 * k) & 63];
    }
    *to = '\0';
    json_t *value = json_string(text);
    free(text);
    return value;
}

static json_t *embedding_of(const request *r, const outcome *a) {
    if (json_is_true(json_object_get(r->details, "base64")))
        return base64_of(a->embedding, a->n_floats * sizeof *a->embedding);
    return json_vector(a->embedding, a->n_floats);
}

static json_t *embeddings_whole(request *r) {
    json_t *list = json_array(), *o = json_object();
    for (size_t i = 0; i < r->n_choices; i++) {
        json_t *one = json_object();
        json_put(&one, "object", json_string("embedding"));
        json_put(&one, "index", json_integer((json_int_t)i));
        json_put(&one, "embedding", embedding_of(r, &r->outcomes[i]));
        json_add(&list, one);
    }
    const usage u = request_usage(r);
    json_put(&o, "object", json_string("list"));
    json_put(&o, "data", list);
    json_put(&o, "model", json_text(r->model->name, strlen(r->model->name)));
    json_put(&o, "usage",
             json_pack("{s:I, s:I}", "prompt_tokens", (json_int_t)u.n_prompt, "total_tokens", (json_int_t)u.n_prompt));
    return o;
}

static const answer_form embeddings_form = {.whole = embeddings_whole};

static bool take_embeddings(request *r, const json_t *body, failure *f) {
    const char *format = "float";
    const json_t *given = field_find(body, "input");
    const uint32_t n_embd = cllm_engine_n_embd_out(r->model->run.engine);
    int64_t n_dims = n_embd;
    if (!ask_one_vector(r, f)) return false;
    if (!field_string(body, "encoding_format", &format, f) ||
        !field_whole(body, "dimensions", 1, INT32_MAX, &n_dims, f))
        return false;
    if (strcmp(format, "float") != 0 && strcmp(format, "base64") != 0)
        return refuse(f, 400, "encoding_format", "encoding_format: '%.40s' is not float or base64", format);
    if (n_dims > n_embd)
        return refuse(f, 400, "dimensions", "dimensions: this model's vectors have only %u numbers", n_embd);
    r->n_dims = (uint32_t)n_dims;
    r->details = json_pack("{s:b}", "base64", strcmp(format, "base64") == 0);
    if (!r->details) return refuse_memory(f);
    if (!given) return refuse(f, 400, "input", "input is missing");
    return add_prompts(r, given, "input", f) && ask_end(r, f);
}

void openai_embeddings(exchange *x) { answer_with(x, REQUEST_EMBED, "embd-", &embeddings_form, take_embeddings); }

/* ----------------------------------------------------------------------------------------------- models */

/* Add the fields that only Anthropic's clients read. */
static void put_anthropic_names(json_t **o, const served_model *m) {
    char date[32];
    struct tm parts;
    const time_t created = (time_t)m->created;
    if (!gmtime_r(&created, &parts) || strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%SZ", &parts) == 0)
        snprintf(date, sizeof date, "1970-01-01T00:00:00Z"); /* a time too large to print; no file has one */
    json_put(o, "type", json_string("model"));
    json_put(o, "display_name", json_text(m->name, strlen(m->name)));
    json_put(o, "created_at", json_string(date));
}

json_t *describe_model(served_model *m) {
    json_t *o = json_object(), *meta = json_object();
    const bool ready = model_hold(m);
    json_put(&o, "id", json_text(m->name, strlen(m->name)));
    json_put(&o, "object", json_string("model"));
    json_put(&o, "created", json_integer(m->created));
    json_put(&o, "owned_by", json_string("mini-cllm"));
    put_anthropic_names(&o, m);
    json_t *aliases = json_array();
    for (size_t i = 0; i < m->o.alias.count; i++)
        json_add(&aliases, json_text(m->o.alias.items[i], strlen(m->o.alias.items[i])));
    json_put(&o, "aliases", aliases);
    const uint32_t n_ctx = model_n_ctx(m);
    if (n_ctx > 0) {
        json_put(&o, "max_model_len", json_integer(n_ctx));
        json_put(&o, "context_length", json_integer(n_ctx));
        json_put(&o, "max_input_tokens", json_integer(n_ctx));
    }
    if (!ready) {
        json_decref(meta);
        return o;
    }
    const cllm_model_info *info = cllm_model_get_info(m->run.model);
    json_put(&o, "architecture", json_text(info->architecture, strlen(info->architecture)));
    json_put(&meta, "n_ctx", json_integer(m->n_ctx));
    json_put(&meta, "n_ctx_train", json_integer(info->n_ctx_train));
    json_put(&meta, "n_vocab", json_integer(info->n_vocab));
    json_put(&meta, "n_embd", json_integer(info->n_embd));
    json_put(&meta, "n_params", json_integer((json_int_t)info->n_parameters));
    json_put(&meta, "size", json_integer((json_int_t)cllm_gguf_n_bytes(cllm_model_gguf(m->run.model))));
    json_put(&o, "meta", meta);
    model_let_go(m);
    return o;
}

/* In the form that Codex CLI reads: https://github.com/openai/codex, models_manager. */
static json_t *describe_for_codex(served_model *m) {
    return json_pack("{s:o, s:o, s:o, s:I}", "slug", json_text(m->name, strlen(m->name)), "name",
                     json_text(m->name, strlen(m->name)), "model", json_text(m->name, strlen(m->name)),
                     "context_window", (json_int_t)model_n_ctx(m));
}

void openai_models(exchange *x) {
    json_t *list = json_array(), *codex = json_array(), *o = json_object();
    for (size_t i = 0; i < models_count(); i++) {
        json_add(&list, describe_model(model_at(i)));
        json_add(&codex, describe_for_codex(model_at(i)));
    }
    json_put(&o, "object", json_string("list"));
    json_put(&o, "data", list);
    json_put(&o, "models", codex);
    json_put(&o, "has_more", json_false()); /* so that Anthropic's clients ask for no second page */
    answer_json(x, 200, o);
}

void openai_model(exchange *x) {
    for (size_t i = 0; i < models_count(); i++)
        if (strcmp(model_at(i)->name, x->rest) == 0) return answer_json(x, 200, describe_model(model_at(i)));
    failure f = {0};
    served_model *m = model_acquire(x->rest, &f);
    if (!m) return answer_failure(x, &f);
    answer_json(x, 200, describe_model(m));
    model_release(m);
}
