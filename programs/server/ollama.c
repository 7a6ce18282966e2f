/* ollama's endpoints for texts: chat, generate, embed. Messages are turned into OpenAI's, for ask.h. Each answer is a
 * JSON object; a stream has one on each line. */
#include "server/ollama.h"

#include "server/ask.h"
#include "server/dialects.h"
#include "server/infill.h"
#include "server/write.h"

#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

json_t *ollama_failure(const failure *f) {
    json_t *body = json_object();
    json_put(&body, "error", json_text(f->message, strlen(f->message)));
    return body;
}

double ollama_now(void) {
    struct timespec time;
    clock_gettime(CLOCK_REALTIME, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

json_t *ollama_time(double seconds) {
    char date[32], text[48];
    struct tm parts;
    const time_t whole = (time_t)floor(seconds); /* a file may be older than 1970 */
    if (!gmtime_r(&whole, &parts) || strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%S", &parts) == 0)
        return json_string("1970-01-01T00:00:00Z");
    snprintf(text, sizeof text, "%s.%06uZ", date, (unsigned)((seconds - (double)whole) * 1e6) % 1000000);
    return json_string(text);
}

/* --------------------------------------------------------------------------------------------- answers */

/* State of an answer: when the request came, when its model was ready, and how many of its tool calls a stream has
 * begun and sent. */
typedef struct ollama_state {
    double begun, loaded;
    bool is_chat, gives_context;
    size_t n_begun, n_sent;
} ollama_state;

static json_t *begin_answer(const served_model *m) {
    json_t *o = json_object();
    json_put(&o, "model", json_text(m->name, strlen(m->name)));
    json_put(&o, "created_at", ollama_time(ollama_now()));
    return o;
}

static json_t *text_of(const text_buffer *text) { return json_text(text->bytes ? text->bytes : "", text->length); }

/* calls: an array, which is taken, or NULL. */
static void put_text(json_t **o, bool is_chat, const text_buffer *content, const text_buffer *thinking, json_t *calls) {
    json_t *message = is_chat ? json_object() : *o;
    if (is_chat) json_put(&message, "role", json_string("assistant"));
    json_put(&message, is_chat ? "content" : "response", text_of(content));
    if (thinking->length > 0) json_put(&message, "thinking", text_of(thinking));
    if (json_array_size(calls) > 0)
        json_put(&message, "tool_calls", calls);
    else
        json_decref(calls);
    if (is_chat)
        json_put(o, "message", message);
    else
        *o = message;
}

/* A call whose arguments are complete; NULL: the text ended before that. */
static json_t *call_of(const called *c, size_t index) {
    const char *text = c->arguments.bytes ? c->arguments.bytes : "{}";
    const size_t length = c->arguments.bytes ? c->arguments.length : 2;
    json_t *arguments = json_loadb(text, length, JSON_ALLOW_NUL, NULL);
    if (!arguments) arguments = json_loadb(text, length, JSON_ALLOW_NUL | JSON_DECODE_INT_AS_REAL, NULL);
    if (!json_is_object(arguments)) {
        json_decref(arguments);
        return NULL;
    }
    return json_pack("{s:s, s:{s:I, s:o, s:o}}", "id", c->id, "function", "index", (json_int_t)index, "name",
                     json_text(c->name, strlen(c->name)), "arguments", arguments);
}

/* Add the calls up to the index `end` that are not sent yet. */
static void add_calls(const outcome *a, size_t *n_sent, size_t end, json_t **calls) {
    for (; *n_sent < end; (*n_sent)++) {
        json_t *call = call_of(&a->calls[*n_sent], *n_sent);
        if (call) json_add(calls, call);
    }
}

static json_int_t nanoseconds(double seconds) { return seconds > 1e-9 ? (json_int_t)(seconds * 1e9) : 1; }

/* The last object of an answer: why it ended, and how long it took. Clients divide by the durations, so none is 0. */
static void put_end(const request *r, json_t **o) {
    const ollama_state *s = r->state;
    const outcome *a = &r->outcomes[0];
    json_put(o, "done", json_true());
    json_put(o, "done_reason", json_string(strcmp(finish_reason(a->finish), "length") == 0 ? "length" : "stop"));
    if (s->gives_context) {
        json_t *context = json_array();
        for (size_t i = 0; i < r->prompts[0].count; i++) json_add(&context, json_integer(r->prompts[0].tokens[i]));
        for (size_t i = 0; i < a->tokens.count; i++) json_add(&context, json_integer(a->tokens.ids[i]));
        json_put(o, "context", context);
    }
    json_put(o, "total_duration", json_integer(nanoseconds(now() - s->begun)));
    json_put(o, "load_duration", json_integer(nanoseconds(s->loaded - s->begun)));
    json_put(o, "prompt_eval_count", json_integer((json_int_t)a->usage.n_prompt));
    json_put(o, "prompt_eval_duration", json_integer(nanoseconds(a->usage.prompt_ms / 1000)));
    json_put(o, "eval_count", json_integer((json_int_t)a->usage.n_drawn));
    json_put(o, "eval_duration", json_integer(nanoseconds(a->usage.drawn_ms / 1000)));
}

static void write_line(text_buffer *out, json_t *o) {
    write_json(out, o);
    text_buffer_add(out, "\n", 1);
}

/* The token before the last n tokens of an answer. */
static int32_t token_before(const request *r, size_t n) {
    const id_list *drawn = &r->outcomes[0].tokens;
    const prompt *p = &r->prompts[0];
    return drawn->count > n ? drawn->ids[drawn->count - n - 1] : p->tokens[p->count - 1];
}

static void write_step(request *r, const event *e, text_buffer *out) {
    ollama_state *s = r->state;
    const outcome *a = &r->outcomes[0];
    text_buffer content = {0}, thinking = {0};
    json_t *calls = json_array();
    for (size_t i = 0; i < e->n_pieces; i++) {
        const piece *p = &e->pieces[i];
        /* any other piece means that the calls so far are complete */
        if (p->kind != CLLM_DELTA_ARGUMENTS) add_calls(a, &s->n_sent, s->n_begun, &calls);
        if (p->kind == CLLM_DELTA_CALL) s->n_begun++;
        if (p->kind == CLLM_DELTA_CONTENT) text_buffer_add(&content, p->text, p->length);
        if (p->kind == CLLM_DELTA_REASONING) text_buffer_add(&thinking, p->text, p->length);
    }
    if (e->finish != FINISH_NONE) add_calls(a, &s->n_sent, a->n_calls, &calls);
    if (content.length > 0 || thinking.length > 0 || json_array_size(calls) > 0 || e->logprobs) {
        json_t *o = begin_answer(r->model);
        put_text(&o, s->is_chat, &content, &thinking, calls);
        if (e->logprobs)
            json_put(&o, "logprobs",
                     openai_logprobs(r, 0, e->tokens, e->logprobs, e->n_tokens, token_before(r, e->n_tokens)));
        json_put(&o, "done", json_false());
        write_line(out, o);
    } else {
        json_decref(calls);
    }
    free(content.bytes);
    free(thinking.bytes);
}

static void write_end(request *r, text_buffer *out) {
    const ollama_state *s = r->state;
    json_t *o = begin_answer(r->model);
    put_text(&o, s->is_chat, &(text_buffer){0}, &(text_buffer){0}, NULL);
    put_end(r, &o);
    write_line(out, o);
}

void ollama_write_failure(request *r, const failure *f, text_buffer *out) {
    (void)r;
    write_line(out, ollama_failure(f));
}

/* Write a line without text, because clients give up after a long silence. */
static void write_wait(request *r, text_buffer *out) {
    const ollama_state *s = r->state;
    json_t *o = begin_answer(r->model);
    put_text(&o, s->is_chat, &(text_buffer){0}, &(text_buffer){0}, NULL);
    json_put(&o, "done", json_false());
    write_line(out, o);
}

static json_t *whole_answer(request *r) {
    const ollama_state *s = r->state;
    const outcome *a = &r->outcomes[0];
    json_t *o = begin_answer(r->model), *calls = json_array();
    size_t n_sent = 0;
    add_calls(a, &n_sent, a->n_calls, &calls);
    put_text(&o, s->is_chat, &a->content, &a->reasoning, calls);
    if (r->wants_logprobs)
        json_put(&o, "logprobs",
                 openai_logprobs(r, 0, a->tokens.ids, a->logprobs, a->tokens.count, token_before(r, a->tokens.count)));
    put_end(r, &o);
    return o;
}

static const answer_form text_form = {.stream_type = "application/x-ndjson",
                                      .step = write_step,
                                      .end = write_end,
                                      .fail = ollama_write_failure,
                                      .wait = write_wait,
                                      .whole = whole_answer};

/* --------------------------------------------------------------------------------------------- requests */

/* "json", or a schema; an empty text means neither. */
static bool take_format(request *r, const json_t *body, failure *f) {
    const json_t *format = field_find(body, "format");
    const char *word = json_string_value(format);
    if (!format || (word && !*word)) return true;
    if (word && strcmp(word, "json") == 0) return ask_object(r, "format", f);
    if (!json_is_object(format)) return refuse(f, 400, "format", "format: must be \"json\" or a JSON schema");
    return ask_schema(r, "format", format, f);
}

/* The context has the size that the server was started with; a request can only limit itself to less. */
static bool take_limit(request *r, const json_t *options_of, failure *f) {
    int64_t n_ctx = 0;
    if (!field_whole(options_of, "num_ctx", INT32_MIN, INT64_MAX, &n_ctx, f)) return false;
    if (n_ctx > 0 && n_ctx < r->model->n_ctx) r->n_limit = (uint32_t)n_ctx;
    return true;
}

static bool take_common(request *r, const json_t *body, failure *f) {
    const json_t *options_of = NULL;
    int64_t n_most = -1, n_top = 0;
    bool logprobs = false;
    r->streams = true;
    if (!field_object(body, "options", &options_of, f) || !field_bool(body, "stream", &r->streams, f) ||
        !field_bool(body, "logprobs", &logprobs, f) || !field_whole(body, "top_logprobs", 0, 20, &n_top, f) ||
        !take_limit(r, options_of, f) || !field_whole(options_of, "num_predict", INT32_MIN, INT64_MAX, &n_most, f) ||
        !ask_sampling(r, options_of, f) || !ask_stops(r, "stop", field_find(options_of, "stop"), f))
        return false;
    if (n_most >= 0) r->n_most = (uint64_t)n_most; /* -1 and -2: until the end */
    r->wants_logprobs = logprobs;
    r->n_logprobs = logprobs ? (uint32_t)n_top : 0;
    return take_format(r, body, f);
}

/* think: true, false, or how much. kwargs: variables of the template; some are added. */
static bool take_think(request *r, const json_t *body, chat_request *chat, json_t *kwargs, failure *f) {
    const json_t *think = field_find(body, "think");
    const char *level = json_string_value(think);
    capabilities can;
    if (!think) return true;
    if (level) {
        static const char *const levels[] = {"low", "medium", "high", "max"};
        bool known = false;
        for (size_t i = 0; i < sizeof levels / sizeof *levels; i++) known |= strcmp(level, levels[i]) == 0;
        if (!known) return refuse(f, 400, "think", "think: must be true, false, low, medium, high or max");
        chat->reasoning_effort = strcmp(level, "max") == 0 ? "high" : level; /* the most that templates know */
    } else if (!json_is_boolean(think)) {
        return refuse(f, 400, "think", "think: must be true, false, low, medium, high or max");
    }
    chat->no_reasoning = json_is_false(think);
    if (chat->no_reasoning) return true;
    if (!ollama_can(r->model, &can, f)) return false;
    if (!can.thinking) return refuse(f, 400, "think", "\"%.100s\" does not support thinking", r->model->name);
    return (json_object_set_new(kwargs, "enable_thinking", json_true()) == 0 &&
            json_object_set_new(kwargs, "thinking", json_true()) == 0) ||
           refuse_memory(f);
}

/* Refuse images, except in the result of a tool, where a text mentions them (ask.h). */
static bool take_images(json_t *message, size_t index, failure *f) {
    const json_t *images = field_find(message, "images");
    const char *role = json_string_value(json_object_get(message, "role"));
    char name[48];
    snprintf(name, sizeof name, "messages[%zu].images", index);
    if (images && !json_is_array(images)) return refuse(f, 400, name, "%s: must be an array", name);
    const size_t n_images = json_array_size(images);
    json_object_del(message, "images");
    if (n_images == 0) return true;
    if (!role || strcmp(role, "tool") != 0) return refuse(f, 400, name, "%s: this model reads only text", name);
    json_t *content = json_object_get(message, "content");
    json_t *parts = json_pack("[{s:s, s:o}, {s:s}]", "type", "text", "text",
                              json_is_string(content) ? json_incref(content) : json_string(""), "type", "image_url");
    return json_object_set_new(message, "content", parts) == 0 || refuse_memory(f);
}

/* Turn {function: {name, arguments}} into {id, type, function}. first: number of the message's first call. */
static bool convert_calls(json_t *calls, size_t first, size_t index, failure *f) {
    json_t *call;
    size_t i;
    json_array_foreach(calls, i, call) {
        char id[32], name[96];
        json_t *function = json_object_get(call, "function");
        snprintf(name, sizeof name, "messages[%zu].tool_calls[%zu].function", index, i);
        if (!json_is_object(function) || !json_is_string(json_object_get(function, "name")))
            return refuse(f, 400, name, "%s: must be an object with a name", name);
        json_object_del(function, "index");
        if (!field_find(function, "arguments")) json_object_set_new(function, "arguments", json_object());
        snprintf(id, sizeof id, "call%05zu", first + i); /* nine letters and digits, which all templates accept */
        if (!json_is_string(json_object_get(call, "id"))) json_object_set_new(call, "id", json_string(id));
        json_object_set_new(call, "type", json_string("function"));
    }
    return true;
}

/* A tool's result names its call by id, or by the tool's name: then it belongs to the first call of this name without a
 * result. If it names neither, it belongs to the first call without a result. calls: of the last message that called
 * tools; the call that was found is removed. */
static void name_result(json_t *message, json_t *calls) {
    const char *tool = json_string_value(field_find(message, "tool_name"));
    if (!tool) tool = json_string_value(field_find(message, "name"));
    json_t *call;
    size_t i;
    if (tool) json_object_set_new(message, "name", json_string(tool));
    json_object_del(message, "tool_name");
    tool = json_string_value(field_find(message, "name"));
    const char *id = json_string_value(field_find(message, "tool_call_id"));
    json_array_foreach(calls, i, call) {
        const char *its = json_string_value(json_object_get(call, "id"));
        const char *called_tool = json_string_value(json_object_get(json_object_get(call, "function"), "name"));
        if (id ? !its || strcmp(its, id) != 0 : tool && called_tool && strcmp(tool, called_tool) != 0) continue;
        if (!id) json_object_set_new(message, "tool_call_id", json_string(its));
        if (!tool && called_tool) json_object_set_new(message, "name", json_string(called_tool));
        json_array_remove(calls, i);
        return;
    }
}

/* The messages in OpenAI's form: owned. NULL: f says why. */
static json_t *convert_messages(const json_t *messages, failure *f) {
    json_t *list = json_deep_copy(messages), *message, *unanswered = json_array();
    size_t i, n_calls = 0;
    bool good = (list && unanswered) || refuse_memory(f);
    json_array_foreach(list, i, message) {
        json_t *role = json_object_get(message, "role"), *calls = json_object_get(message, "tool_calls");
        json_t *thinking = json_object_get(message, "thinking");
        if (!json_is_object(message)) continue; /* ask.h refuses it */
        if (json_is_string(role)) {
            char lower[16] = "";
            for (size_t k = 0; k + 1 < sizeof lower && json_string_value(role)[k]; k++)
                lower[k] = (char)tolower((unsigned char)json_string_value(role)[k]);
            if (json_string_length(role) < sizeof lower) json_string_set(role, lower);
        }
        if (json_is_string(thinking)) json_object_set(message, "reasoning_content", thinking);
        json_object_del(message, "thinking");
        good = good && take_images(message, i, f);
        if (json_array_size(calls) > 0) {
            good = good && convert_calls(calls, n_calls, i, f);
            n_calls += json_array_size(calls);
            json_decref(unanswered);
            unanswered = json_copy(calls);
        } else {
            json_object_del(message, "tool_calls");
            if (!field_find(message, "content")) json_object_set_new(message, "content", json_string(""));
        }
        const char *its = json_string_value(json_object_get(message, "role"));
        if (its && strcmp(its, "tool") == 0) name_result(message, unanswered);
    }
    json_decref(unanswered);
    if (!good) {
        json_decref(list);
        return NULL;
    }
    return list;
}

static bool make_state(request *r, exchange *x, bool is_chat, bool gives_context, failure *f) {
    ollama_state *s = calloc(1, sizeof *s);
    if (!s) return refuse_memory(f);
    *s = (ollama_state){.begun = x->begun, .loaded = r->received, .is_chat = is_chat, .gives_context = gives_context};
    r->state = s;
    return true;
}

/* ------------------------------------------------------------------------------------------------- chat */

static bool take_chat(exchange *x, request *r, const json_t *body, failure *f) {
    chat_request chat = {0};
    capabilities can;
    json_t *kwargs = json_object(), *messages = NULL;
    if (!kwargs) return refuse_memory(f);
    bool good =
        field_array(body, "tools", &chat.tools, f) && take_common(r, body, f) && take_think(r, body, &chat, kwargs, f);
    if (good && json_array_size(chat.tools) > 0)
        good = ollama_can(r->model, &can, f) &&
               (can.tools || refuse(f, 400, "tools", "\"%.100s\" does not support tools", r->model->name));
    if (good) messages = convert_messages(json_object_get(body, "messages"), f);
    chat.messages = messages;
    chat.kwargs = kwargs;
    good = good && messages && ask_chat(r, &chat, f) && ask_end(r, f) && make_state(r, x, true, false, f);
    json_decref(messages);
    json_decref(kwargs);
    return good;
}

/* --------------------------------------------------------------------------------------------- generate */

/* Put the tokens of an earlier answer's context before those of the prompt. */
static bool put_context(request *r, const json_t *context, failure *f) {
    const cllm_tokenizer *t = cllm_model_tokenizer(r->model->run.model);
    const size_t n_before = json_array_size(context);
    prompt *p = &r->prompts[0];
    const json_t *item;
    size_t i, skip = p->count > 0 && n_before > 0 && p->tokens[0] == cllm_tokenizer_bos(t);
    int32_t *tokens = malloc((n_before + p->count + 1) * sizeof *tokens);
    if (!tokens) return refuse_memory(f);
    json_array_foreach(context, i, item) {
        const json_int_t id = json_integer_value(item);
        if (!json_is_integer(item) || id < 0 || id >= cllm_tokenizer_n_vocab(t)) {
            free(tokens);
            return refuse(f, 400, "context", "context: must be tokens of this model");
        }
        tokens[i] = (int32_t)id;
    }
    memcpy(tokens + n_before, p->tokens + skip, (p->count - skip) * sizeof *tokens);
    cllm_free(p->tokens);
    p->tokens = tokens;
    p->count += n_before - skip;
    return true;
}

/* A prompt with a gap, which the answer fills. Nothing in the texts becomes a special token. */
static bool ask_gap(request *r, const char *before, const char *after, failure *f) {
    const gap wanted = {.prefix = {before, strlen(before)}, .suffix = {after, strlen(after)}};
    if (ask_infill(r, &wanted, f)) return true;
    return f->status != 501 || refuse(f, 400, "suffix", "\"%.100s\" does not support insert", r->model->name);
}

/* The prompt as a user message, after a system message if there is one. */
static bool ask_prompt(request *r, const json_t *body, const char *system, const char *text, failure *f) {
    chat_request chat = {0};
    json_t *kwargs = json_object(), *messages = json_array();
    if (system && *system) json_add(&messages, json_pack("{s:s, s:s}", "role", "system", "content", system));
    json_add(&messages, json_pack("{s:s, s:s}", "role", "user", "content", text));
    bool good = (kwargs && messages) || refuse_memory(f);
    good = good && take_think(r, body, &chat, kwargs, f);
    chat.messages = messages;
    chat.kwargs = kwargs;
    good = good && ask_chat(r, &chat, f);
    json_decref(messages);
    json_decref(kwargs);
    return good;
}

static bool take_generate(exchange *x, request *r, const json_t *body, failure *f) {
    const char *text = "", *suffix = NULL, *system = NULL, *template = NULL;
    const json_t *images = NULL, *context = NULL;
    bool raw = false;
    if (!field_string(body, "prompt", &text, f) || !field_string(body, "suffix", &suffix, f) ||
        !field_string(body, "system", &system, f) || !field_string(body, "template", &template, f) ||
        !field_array(body, "images", &images, f) || !field_array(body, "context", &context, f) ||
        !field_bool(body, "raw", &raw, f))
        return false;
    if (json_array_size(images) > 0) return refuse(f, 400, "images", "images: this model reads only text");
    if (raw && ((template && *template) || (system && *system) || json_array_size(context) > 0))
        return refuse(f, 400, "raw", "raw mode does not support template, system, or context");
    if (template && *template)
        note(&r->model->o, "%s: /api/generate: the request's template is ignored; the model's own is used",
             r->model->name);
    const bool fills = suffix && *suffix, is_text = raw || fills || !r->model->chat;
    if (is_text) r->kind = REQUEST_TEXT;
    if (!take_common(r, body, f)) return false;
    if (!(fills     ? ask_gap(r, text, suffix, f)
          : is_text ? ask_text(r, text, strlen(text), f)
                    : ask_prompt(r, body, system, text, f)))
        return false;
    return (json_array_size(context) == 0 || put_context(r, context, f)) && ask_end(r, f) &&
           make_state(r, x, false, !raw, f);
}

/* --------------------------------------------------------------------------- how long the model stays loaded */

/* Parse 5m, 1h30m, -1, 300ms: numbers with units, as in Go; a number without a unit is in seconds. */
static bool read_duration(const char *text, double *seconds) {
    static const struct {
        const char *name;
        double seconds;
    } units[] = {{"ns", 1e-9}, {"us", 1e-6}, {"µs", 1e-6}, {"ms", 1e-3}, {"s", 1}, {"m", 60}, {"h", 3600}};
    const bool negative = *text == '-';
    double sum = 0;
    if (*text == '-' || *text == '+') text++;
    if (!*text) return false;
    while (*text) {
        char *end;
        if (!isdigit((unsigned char)*text) && *text != '.') return false;
        const double number = strtod(text, &end);
        if (end == text) return false;
        size_t i = 0;
        while (i < sizeof units / sizeof *units && strncmp(end, units[i].name, strlen(units[i].name)) != 0) i++;
        if (i == sizeof units / sizeof *units && *end) return false;
        sum += number * (*end ? units[i].seconds : 1);
        text = *end ? end + strlen(units[i].name) : end;
    }
    *seconds = negative ? -sum : sum;
    return isfinite(sum);
}

static bool take_keep_alive(const json_t *body, bool *given, double *seconds, failure *f) {
    const json_t *value = field_find(body, "keep_alive");
    *given = value;
    if (!value) return true;
    if (json_is_number(value)) *seconds = json_number_value(value);
    if (json_is_number(value) || (json_is_string(value) && read_duration(json_string_value(value), seconds)))
        return true;
    return refuse(f, 400, "keep_alive", "keep_alive: must be seconds, or a duration such as \"5m\"");
}

/* --------------------------------------------------------------------------------------------- handlers */

served_model *ollama_find(const json_t *body, failure *f) {
    const char *name = NULL;
    if (!field_string(body, "name", &name, f) || !field_string(body, "model", &name, f)) return NULL;
    served_model *m = model_find(name, f);
    if (!m && f->code) refuse(f, 404, "model", "model '%.100s' not found", name ? name : "");
    return m;
}

/* A request without a text loads the model, or unloads it if keep_alive is 0. */
static void load_or_unload(exchange *x, served_model *m, bool is_chat, bool keeps, double seconds) {
    failure f = {0};
    const bool unloads = keeps && seconds == 0;
    if (unloads) {
        if (!model_unload(m->name, &f)) model_keep(m, 0); /* it is in use: unload it as soon as it is not */
    } else if (!model_load_now(m->name, &f)) {
        return answer_failure(x, &f);
    } else if (keeps) {
        model_keep(m, seconds);
    }
    json_t *o = begin_answer(m);
    put_text(&o, is_chat, &(text_buffer){0}, &(text_buffer){0}, NULL);
    json_put(&o, "done", json_true());
    json_put(&o, "done_reason", json_string(unloads ? "unload" : "load"));
    answer_json(x, 200, o);
}

/* True if a field is absent, or an empty text or list. */
static bool has_nothing(const json_t *body, const char *field) {
    const json_t *value = field_find(body, field);
    return !value || (json_is_string(value) && json_string_length(value) == 0) ||
           (json_is_array(value) && json_array_size(value) == 0);
}

typedef bool (*take_body)(exchange *x, request *r, const json_t *body, failure *f);

static void answer_body(exchange *x, request_kind kind, const answer_form *form, take_body take) {
    failure f = {0};
    bool keeps = false;
    double seconds = 0;
    request *r = NULL;
    json_t *body = exchange_json(x, &f);
    served_model *m = body && take_keep_alive(body, &keeps, &seconds, &f) ? ollama_find(body, &f) : NULL;
    const bool is_chat = take == take_chat;
    const bool is_empty = kind == REQUEST_CHAT && has_nothing(body, is_chat ? "messages" : "prompt");
    if (m && is_empty) {
        json_decref(body);
        return load_or_unload(x, m, is_chat, keeps, seconds);
    }
    const bool good = m && (r = ask_begin(m->name, kind, "", &f)) && take(x, r, body, &f);
    json_decref(body);
    if (r && keeps) model_keep(m, seconds);
    if (good) {
        r->form = form;
        return answer_request(x, r);
    }
    request_release(r);
    answer_failure(x, &f);
}

void ollama_chat(exchange *x) { answer_body(x, REQUEST_CHAT, &text_form, take_chat); }
void ollama_generate(exchange *x) { answer_body(x, REQUEST_CHAT, &text_form, take_generate); }

/* ----------------------------------------------------------------------------------------------- embed */

static json_t *embed_whole(request *r) {
    const ollama_state *s = r->state;
    json_t *o = json_object(), *list = json_array();
    for (size_t i = 0; i < r->n_choices; i++)
        json_add(&list, json_vector(r->outcomes[i].embedding, r->outcomes[i].n_floats));
    json_put(&o, "model", json_text(r->model->name, strlen(r->model->name)));
    json_put(&o, "embeddings", list);
    json_put(&o, "total_duration", json_integer(nanoseconds(now() - s->begun)));
    json_put(&o, "load_duration", json_integer(nanoseconds(s->loaded - s->begun)));
    json_put(&o, "prompt_eval_count", json_integer((json_int_t)request_usage(r).n_prompt));
    return o;
}

static json_t *embedding_whole(request *r) {
    json_t *o = json_object();
    json_put(&o, "embedding", json_vector(r->outcomes[0].embedding, r->outcomes[0].n_floats));
    return o;
}

static const answer_form embed_form = {.whole = embed_whole}, embedding_form = {.whole = embedding_whole};

/* Cut the last prompt to what a request can have. */
static void cut_prompt(request *r) {
    const size_t most = r->n_limit > 0 ? r->n_limit : r->model->n_ctx;
    prompt *p = &r->prompts[r->n_prompts - 1];
    p->count = cut_tokens(cllm_model_tokenizer(r->model->run.model), p->tokens, p->count, most);
}

static bool add_input(request *r, const char *name, const json_t *text, bool cuts, failure *f) {
    if (!json_is_string(text)) return refuse(f, 400, name, "%s: must be a text or a list of texts", name);
    if (!ask_one_vector(r, f)) return false;
    if (!ask_text(r, json_string_value(text), json_string_length(text), f)) return false;
    if (cuts) cut_prompt(r);
    return true;
}

static bool take_embed(exchange *x, request *r, const json_t *body, failure *f) {
    const json_t *options_of = NULL, *texts = field_find(body, "input"), *text;
    int64_t n_dims = 0;
    bool cuts = true;
    size_t i;
    if (!field_object(body, "options", &options_of, f) || !take_limit(r, options_of, f) ||
        !field_bool(body, "truncate", &cuts, f) || !field_whole(body, "dimensions", 0, INT32_MAX, &n_dims, f))
        return false;
    r->n_dims = (uint32_t)n_dims;
    if (json_array_size(texts) > MOST_EMBEDDINGS)
        return refuse(f, 400, "input", "input: at most %d texts in one request", MOST_EMBEDDINGS);
    if (!json_is_array(texts) && !add_input(r, "input", texts, cuts, f)) return false;
    json_array_foreach(texts, i, text) if (!add_input(r, "input", text, cuts, f)) return false;
    return ask_end(r, f) && make_state(r, x, false, false, f);
}

static bool take_embeddings(exchange *x, request *r, const json_t *body, failure *f) {
    const json_t *options_of = NULL;
    if (!field_object(body, "options", &options_of, f) || !take_limit(r, options_of, f)) return false;
    return add_input(r, "prompt", json_object_get(body, "prompt"), true, f) && ask_end(r, f) &&
           make_state(r, x, false, false, f);
}

/* A request without texts gives no vectors, but loads the model. */
static bool answer_empty(exchange *x, const char *field) {
    failure f = {0};
    json_t *body = exchange_json(x, &f);
    const bool is_old = strcmp(field, "prompt") == 0, empty = body && has_nothing(body, field);
    bool keeps = false;
    double seconds = 0;
    if (empty) {
        served_model *m = take_keep_alive(body, &keeps, &seconds, &f) ? ollama_find(body, &f) : NULL;
        const bool loaded = m && model_load_now(m->name, &f);
        if (loaded && keeps) model_keep(m, seconds);
        if (!loaded)
            answer_failure(x, &f);
        else if (is_old)
            answer_json(x, 200, json_pack("{s:[]}", "embedding"));
        else
            answer_json(x, 200, json_pack("{s:o, s:[]}", "model", json_text(m->name, strlen(m->name)), "embeddings"));
    }
    json_decref(body);
    return empty;
}

void ollama_embed(exchange *x) {
    if (!answer_empty(x, "input")) answer_body(x, REQUEST_EMBED, &embed_form, take_embed);
}

void ollama_embeddings(exchange *x) {
    if (!answer_empty(x, "prompt")) answer_body(x, REQUEST_EMBED, &embedding_form, take_embeddings);
}
