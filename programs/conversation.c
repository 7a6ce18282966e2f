/* Implements conversation.h: asks questions, and keeps what was said. */
#include "conversation.h"

#include "interrupt.h"
#include "json_output.h"
#include "sampling.h"
#include "text_stream.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

int conversation_start(conversation *c) {
    const run *r = c->run;
    const cllm_tokenizer *tokenizer = cllm_model_tokenizer(r->model);
    cllm_error err;
    if (!tokenizer) return fail_without_tokenizer(r);
    const int status = make_chat(r->o, cllm_model_gguf(r->model), tokenizer, &c->chat);
    if (status != EXIT_SUCCESS) return status;
    if (cllm_transcript_create(tokenizer, &c->transcript, &err) != CLLM_OK) return fail_with(&err);
    c->messages = json_array();
    return c->messages ? EXIT_SUCCESS : fail("out of memory");
}

void conversation_end(conversation *c) {
    json_decref(c->messages);
    free(c->retries.ids);
    cllm_transcript_destroy(c->transcript);
    cllm_chat_destroy(c->chat);
}

/* ---------------------------------------------------------------------------------------------- messages */

static bool has_role(const json_t *message, const char *role) {
    const char *its = json_string_value(json_object_get(message, "role"));
    return its && strcmp(its, role) == 0;
}

static json_t *last_message(const conversation *c) {
    const size_t n = json_array_size(c->messages);
    return n > 0 ? json_array_get(c->messages, n - 1) : NULL;
}

static void drop_last(conversation *c) { json_array_remove(c->messages, json_array_size(c->messages) - 1); }

static json_t *make_message(const char *role, const char *text, size_t length) {
    json_t *message = json_object();
    json_put(&message, "role", json_string(role));
    json_put(&message, "content", json_text(text, length));
    return message;
}

size_t conversation_n_questions(const conversation *c) {
    size_t n = 0, i;
    json_t *message;
    json_array_foreach(c->messages, i, message) n += has_role(message, "user");
    return n;
}

/* Tokens of the transcript: the last rendered text, and what was drawn after it. */
static size_t count_tokens(const conversation *c) { return cllm_transcript_n_tokens(c->transcript); }

/* The last question, or NULL. */
static json_t *find_question(const conversation *c) {
    for (size_t i = json_array_size(c->messages); i-- > 0;)
        if (has_role(json_array_get(c->messages, i), "user")) return json_array_get(c->messages, i);
    return NULL;
}

const char *conversation_last_question(const conversation *c) {
    return json_string_value(json_object_get(find_question(c), "content"));
}

/* The model always sees the last question. */
static void bound_left_out(conversation *c) {
    const size_t n = conversation_n_questions(c);
    if (c->n_left_out >= n) c->n_left_out = n > 0 ? n - 1 : 0;
}

bool conversation_undo(conversation *c) {
    const json_t *question = find_question(c);
    if (!question) return false;
    for (bool found = false; !found; drop_last(c)) found = last_message(c) == question;
    c->retries.count--;
    bound_left_out(c);
    c->counted = false;
    return true;
}

void conversation_reset(conversation *c) {
    json_t *first = json_array_get(c->messages, 0);
    const bool keeps = has_role(first, "system");
    while (json_array_size(c->messages) > (keeps ? 1 : 0)) drop_last(c);
    c->retries.count = c->n_left_out = 0;
    c->counted = false;
}

int conversation_set_messages(conversation *c, json_t *messages) {
    json_decref(c->messages);
    c->messages = messages;
    c->retries.count = c->n_left_out = 0;
    c->counted = false;
    for (size_t i = 0; i < conversation_n_questions(c); i++)
        if (!id_list_add(&c->retries, 0)) return fail("out of memory");
    return EXIT_SUCCESS;
}

int conversation_set_system(conversation *c, const char *text, size_t length) {
    if (has_role(json_array_get(c->messages, 0), "system")) json_array_remove(c->messages, 0);
    c->counted = false;
    if (length == 0) return EXIT_SUCCESS;
    if (json_array_insert_new(c->messages, 0, make_message("system", text, length)) != 0) return fail("out of memory");
    return EXIT_SUCCESS;
}

/* The messages that the model sees: all except the oldest questions with their answers. A new reference, or NULL. */
static json_t *messages_in_view(const conversation *c) {
    json_t *view = json_array(), *message;
    size_t i, n_seen = 0;
    json_array_foreach(c->messages, i, message) {
        n_seen += has_role(message, "user");
        if (c->n_left_out == 0 || n_seen > c->n_left_out || (i == 0 && has_role(message, "system")))
            json_array_append(view, message);
    }
    return view;
}

/* Note which of the oldest turns are dropped now, in addition to the `n_before` earlier ones: how many, and the last of
 * their questions. */
static void note_left_out(const conversation *c, size_t n_before) {
    enum { MOST_BYTES = 40 };
    const json_t *question = NULL, *message;
    const size_t n = c->n_left_out - n_before;
    size_t i, n_seen = 0;
    json_array_foreach(c->messages, i, message) {
        if (has_role(message, "user") && ++n_seen == c->n_left_out) question = message;
    }
    const char *text = json_string_value(json_object_get(question, "content"));
    if (!text) text = "";
    size_t length = strcspn(text, "\n");
    const bool is_cut = length > MOST_BYTES || text[length];
    if (length > MOST_BYTES) length = MOST_BYTES;
    while (is_cut && length > 0 && (text[length] & 0xC0) == 0x80) length--; /* within a character */
    const char *more = is_cut ? "..." : "";
    if (n == 1)
        note(c->run->o, "context: full; the oldest turn is dropped: \"%.*s%s\"", (int)length, text, more);
    else
        note(c->run->o, "context: full; the oldest %zu turns are dropped, up to \"%.*s%s\"", n, (int)length, text,
             more);
}

/* ------------------------------------------------------------------------------------------------- prompt */

/* Render the conversation that the model sees. asks: end with the beginning of an answer. parts: out, owned. */
static int render_messages(const conversation *c, bool asks, cllm_part **parts, size_t *n_parts) {
    const options *o = c->run->o;
    json_t *object = json_object();
    cllm_error err;
    *parts = NULL;
    json_put(&object, "messages", messages_in_view(c));
    json_put(&object, "add_generation_prompt", json_boolean(asks));
    char *text = object ? json_dumps(object, 0) : NULL;
    json_decref(object);
    if (!text) return fail("out of memory");
    const char *kwargs = o->chat_template_kwargs ? o->chat_template_kwargs : "{}";
    const cllm_string objects[] = {{text, strlen(text)}, {kwargs, strlen(kwargs)}};
    const cllm_status status =
        cllm_chat_render(c->chat, objects, 2, c->reasoning == REASONING_OFF ? CLLM_RENDER_NO_REASONING : 0,
                         (int64_t)time(NULL), parts, n_parts, &err);
    free(text);
    return status == CLLM_OK ? EXIT_SUCCESS : fail_with(&err);
}

/* Put the rendered conversation into the transcript. parts: out, owned, for cllm_answer_create. */
static int render(conversation *c, cllm_part **parts, size_t *n_parts) {
    cllm_error err;
    c->counted = false;
    const int status = render_messages(c, true, parts, n_parts);
    if (status != EXIT_SUCCESS) return status;
    if (*n_parts == 0) return fail("the chat template prints nothing");
    return cllm_transcript_set(c->transcript, *parts, *n_parts, &err) == CLLM_OK ? EXIT_SUCCESS : fail_with(&err);
}

size_t conversation_count_tokens(conversation *c) {
    cllm_part *parts = NULL;
    int32_t *tokens = NULL;
    size_t n_parts, count = 0;
    cllm_error err;
    if (c->counted) return count_tokens(c);
    if (json_array_size(c->messages) == 0 || render_messages(c, false, &parts, &n_parts) != EXIT_SUCCESS) return 0;
    if (cllm_tokenizer_encode_parts(cllm_model_tokenizer(c->run->model), parts, n_parts, CLLM_ENCODE_ADD_SPECIAL,
                                    &tokens, &count, &err) != CLLM_OK)
        fail_with(&err);
    cllm_free(tokens);
    cllm_free(parts);
    return count;
}

/* Put the conversation without its oldest `n` turns into the transcript. fits: out, true if more than `room` positions
 * of the context are left. */
static int render_without(conversation *c, size_t n, size_t room, cllm_part **parts, size_t *n_parts, bool *fits) {
    c->n_left_out = n;
    cllm_free(*parts);
    const int status = render(c, parts, n_parts);
    *fits = status == EXIT_SUCCESS && count_tokens(c) + room < cllm_engine_plan(c->run->engine)->n_ctx;
    return status;
}

const char *conversation_room_advice(const conversation *c) {
    const size_t n_seen = conversation_n_questions(c) - c->n_left_out;
    if (c->once) return "--ctx makes it larger";
    if (n_seen < 2) return "use less text, or a larger --ctx";
    if (c->shifts) return "/undo or /reset makes room, --ctx makes it larger";
    return "/undo or /reset makes room, --ctx makes it larger, --context shift drops the oldest turns";
}

static int fail_full(const conversation *c) {
    return fail("context: the conversation needs more than %zu tokens, and the context holds %" PRIu32 "; %s",
                count_tokens(c), cllm_engine_plan(c->run->engine)->n_ctx, conversation_room_advice(c));
}

/* Find how many of the oldest turns must be dropped, at least one more than now, to make room. Returns an exit
 * status. */
static int shift_before_answer(conversation *c, size_t room, cllm_part **parts, size_t *n_parts) {
    const size_t n_before = c->n_left_out;
    size_t low = n_before + 1, high = conversation_n_questions(c) - 1; /* a binary search between these */
    bool fits;
    int status = render_without(c, high, room, parts, n_parts, &fits);
    if (status == EXIT_SUCCESS && !fits) status = render_without(c, high, room = 0, parts, n_parts, &fits);
    if (status == EXIT_SUCCESS && !fits) return fail_full(c);
    while (status == EXIT_SUCCESS && low < high) {
        const size_t middle = low + (high - low) / 2;
        if (interrupted()) return EXIT_INTERRUPTED;
        status = render_without(c, middle, room, parts, n_parts, &fits);
        if (fits)
            high = middle;
        else
            low = middle + 1;
    }
    if (status == EXIT_SUCCESS && !fits) status = render_without(c, high, room, parts, n_parts, &fits);
    if (status == EXIT_SUCCESS) note_left_out(c, n_before);
    return status;
}

/* Render the conversation. If the context has no room for an answer, and turns may be dropped, drop the oldest. */
static int render_what_fits(conversation *c, cllm_part **parts, size_t *n_parts) {
    const size_t n_before = c->n_left_out;
    const bool shifts = c->shifts && conversation_n_questions(c) > n_before + 1;
    const size_t room = shifts ? cllm_engine_plan(c->run->engine)->n_ctx / 8 : 0;
    bool fits;
    int status = render_without(c, n_before, room, parts, n_parts, &fits);
    if (status == EXIT_SUCCESS && !fits) status = shifts ? shift_before_answer(c, room, parts, n_parts) : fail_full(c);
    if (status != EXIT_SUCCESS) c->n_left_out = n_before;
    return status;
}

/* ------------------------------------------------------------------------------------------------- answer */

/* The state of one answer while it is written. */
typedef struct answering {
    conversation *c;
    cllm_generation *generation;
    cllm_answer *answer;
    cllm_sampler *sampler;
    text_buffer content, reasoning; /* so far */
    id_list drawn;                  /* tokens, without an end token */
    size_t n_given;                 /* how many of them are in the transcript */
    uint64_t n_reasoning;           /* tokens of reasoning */
    cllm_preamble preamble;         /* what may come before the grammar */
    bool reads;                     /* a text must be evaluated before tokens are drawn one by one */
    bool reasoning_ended;           /* by end_reasoning */
    cllm_end end;
} answering;

/* Pass on what the parser found, and keep it. */
static int take_deltas(answering *a, cllm_string text, bool ended) {
    const cllm_delta *deltas;
    size_t n_deltas;
    cllm_error err;
    if (cllm_answer_take(a->answer, text, ended, &deltas, &n_deltas, &err) != CLLM_OK) return fail_with(&err);
    for (size_t i = 0; i < n_deltas; i++) {
        const cllm_delta *d = &deltas[i];
        const bool reasoning = d->kind == CLLM_DELTA_REASONING;
        if (!text_buffer_add(reasoning ? &a->reasoning : &a->content, d->text.data, d->text.length))
            return fail("out of memory");
        if (reasoning && a->c->reasoning != REASONING_SHOWN) {
            if (a->content.length == 0) draw_work(a->c->run->o, "thinking..."); /* else a text is on the line */
        } else if (d->text.length > 0) {
            erase_bar();
            a->c->sink(a->c->sink_user, reasoning, d->text.data, d->text.length);
        }
    }
    return EXIT_SUCCESS;
}

static int keep_drawn(answering *a, const int32_t *tokens, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (!id_list_add(&a->drawn, tokens[i])) return fail("out of memory");
    return EXIT_SUCCESS;
}

/* Append the tokens drawn since the last call to the transcript. */
static int give_to_transcript(answering *a) {
    cllm_error err;
    const cllm_status status =
        cllm_transcript_append(a->c->transcript, a->drawn.ids + a->n_given, a->drawn.count - a->n_given, &err);
    a->n_given = a->drawn.count;
    return status == CLLM_OK ? EXIT_SUCCESS : fail_with(&err);
}

/* Start a generation that continues the transcript and the drawn tokens. stage: the text of the progress bar; "": none,
 * because the answer's text is on the line. */
static int start_generation(answering *a, const char *stage) {
    const conversation *c = a->c;
    cllm_error err;
    const cllm_generation_options wanted = {
        .sampler = a->sampler,
        .n_most = c->n_most > 0 ? c->n_most - a->drawn.count : 0,
        .spell_control = true,
        .draft_lookup = strcmp(c->run->o->draft, "lookup") == 0,
        .grammar = c->grammar,
        .preamble = a->reasoning_ended ? (cllm_preamble){.is_open = false} : a->preamble,
    };
    cllm_generation_destroy(a->generation);
    a->generation = NULL;
    a->end = CLLM_END_NONE;
    a->reads = true;
    run_stage(c->run, "%s", stage);
    if (a->drawn.count > a->n_given && give_to_transcript(a) != EXIT_SUCCESS) return EXIT_FAILURE;
    const int32_t *tokens = cllm_transcript_tokens(c->transcript);
    const size_t count = count_tokens(c);
    cllm_sequence_reuse(c->run->sequence, tokens, count);
    if (cllm_generation_create(c->run->sequence, tokens, count, &wanted, &a->generation, &err) != CLLM_OK)
        return fail_with(&err);
    return EXIT_SUCCESS;
}

/* End the line of the answer on a terminal, before a message. */
static void end_line(void) {
    if (!erase_bar() && isatty(STDERR_FILENO)) fputc('\n', stderr);
}

/* Evaluate the next tokens and take the result. */
static int take_step(answering *a, cllm_span *span) {
    conversation *c = a->c;
    cllm_event event;
    cllm_error err;
    const double start = now();
    cllm_status status = cllm_eval(c->run->engine, span, 1, &err);
    if (status == CLLM_OK || status == CLLM_ERR_CANCELLED)
        status = cllm_generation_take(a->generation, span, &event, &err);
    const bool reads = a->reads;
    a->reads = false;
    if (reads) run_stage(c->run, "%s", "");
    if (status != CLLM_OK && status != CLLM_ERR_CANCELLED && !reads) end_line();
    if (status != CLLM_OK) return fail_with(&err);
    pace *p = reads ? &c->evaluated : &c->generated;
    const size_t n_timed = reads ? span->count : event.n_tokens;
    p->seconds += now() - start;
    p->n_timed += n_timed;
    if (reads) p->n_tokens += n_timed;
    const size_t n_kept = event.n_tokens - (event.end == CLLM_END_TOKEN);
    c->generated.n_tokens += n_kept;
    a->end = event.end;
    int result = keep_drawn(a, event.tokens, n_kept);
    c->n_unfinished = event.is_unfinished ? a->drawn.count : 0;
    if (result == EXIT_SUCCESS) result = take_deltas(a, event.text, false);
    if (a->content.length == 0) a->n_reasoning += n_kept;
    return result == EXIT_SUCCESS ? flush_output() : result;
}

/* The reasoning is long enough: end it as the model would, so that the answer begins. */
static int end_reasoning(answering *a) {
    const cllm_string closing = cllm_chat_reasoning_end(a->c->chat);
    const cllm_part part = {true, closing};
    a->reasoning_ended = true;
    int32_t *tokens;
    size_t count;
    cllm_error err;
    a->n_reasoning = 0;
    if (cllm_tokenizer_encode_parts(cllm_model_tokenizer(a->c->run->model), &part, 1, CLLM_ENCODE_GOES_ON, &tokens,
                                    &count, &err) != CLLM_OK)
        return fail_with(&err);
    const uint32_t n_ctx = cllm_engine_plan(a->c->run->engine)->n_ctx;
    const bool fits = count_tokens(a->c) + (a->drawn.count - a->n_given) + count < n_ctx;
    int status = fits ? keep_drawn(a, tokens, count) : EXIT_SUCCESS;
    cllm_free(tokens);
    if (!fits) return EXIT_SUCCESS; /* the context is full within the reasoning */
    if (status == EXIT_SUCCESS) status = take_deltas(a, closing, false);
    if (status == EXIT_SUCCESS && a->c->n_most > 0 && a->drawn.count >= a->c->n_most) {
        a->end = CLLM_END_LENGTH;
        return status;
    }
    return status == EXIT_SUCCESS ? start_generation(a, "") : status;
}

/* The context is full within an answer: drop the oldest turn and continue. */
static int shift(answering *a) {
    cllm_part *parts = NULL;
    size_t n_parts;
    end_line();
    a->c->n_left_out++;
    note_left_out(a->c, a->c->n_left_out - 1);
    const int status = render(a->c, &parts, &n_parts);
    cllm_free(parts);
    a->n_given = 0;
    return status == EXIT_SUCCESS ? start_generation(a, "reading") : status;
}

static int write_answer(answering *a) {
    conversation *c = a->c;
    const bool can_end_reasoning = cllm_chat_reasoning_end(c->chat).length > 0;
    const uint64_t most = c->reasoning == REASONING_OFF ? 0 : c->reasoning_most; /* some templates cannot turn it off */
    int status = EXIT_SUCCESS;
    cllm_span span;
    while (status == EXIT_SUCCESS && cllm_generation_wants(a->generation, SIZE_MAX, &span)) {
        status = take_step(a, &span);
        if (status == EXIT_SUCCESS && interrupted()) status = EXIT_INTERRUPTED;
        if (status != EXIT_SUCCESS || cllm_answer_has_ended(a->answer))
            break; /* the model wrote the end of its turn as plain text */
        if (c->n_most > 0 && a->drawn.count >= c->n_most && a->end == CLLM_END_CONTEXT_FULL) a->end = CLLM_END_LENGTH;
        const bool reasons = a->reasoning.length > 0 && a->content.length == 0 && !a->reasoning_ended;
        if (a->end == CLLM_END_CONTEXT_FULL && c->shifts && !c->grammar &&
            conversation_n_questions(c) > c->n_left_out + 1)
            status = shift(a);
        else if (a->end == CLLM_END_NONE && reasons && can_end_reasoning && a->n_reasoning >= most)
            status = end_reasoning(a);
        if (a->end != CLLM_END_NONE) break;
    }
    erase_bar();
    return status;
}

/* Each question and each retry has a seed of its own, which does not depend on answers that were undone. The first
 * answer uses the seed itself, so it is the same as that of generate, or of a server, for the same text. */
static uint64_t seed_of_answer(const conversation *c) {
    const uint64_t n_retries = (uint64_t)c->retries.ids[c->retries.count - 1];
    uint64_t x = c->sampling.seed + 0x9E3779B97F4A7C15u * (c->retries.count - 1) + (n_retries << 32);
    if (c->retries.count == 1 && n_retries == 0) return x;
    x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9u; /* splitmix64 */
    x = (x ^ x >> 27) * 0x94D049BB133111EBu;
    return x ^ x >> 31;
}

/* Add the answer to the messages. If it was stopped within a character, the incomplete character is dropped. */
static int keep_answer(answering *a) {
    if (a->end != CLLM_END_TOKEN) text_buffer_end(&a->content);
    json_t *message = make_message("assistant", a->content.bytes ? a->content.bytes : "", a->content.length);
    if (a->reasoning.length > 0)
        json_put(&message, "reasoning_content", json_text(a->reasoning.bytes, a->reasoning.length));
    if (json_array_append_new(a->c->messages, message) != 0) return fail("out of memory");
    a->c->counted = true;
    return give_to_transcript(a);
}

/* Answer the last message. */
static int answer_question(conversation *c) {
    answering a = {.c = c};
    cllm_part *parts = NULL;
    size_t n_parts = 0;
    cllm_error err;
    cllm_status made = CLLM_OK;
    int status = render_what_fits(c, &parts, &n_parts);
    if (status == EXIT_SUCCESS) {
        cllm_sampler_options sampling = sampling_for(c->run, &c->sampling);
        sampling.seed = seed_of_answer(c);
        made = cllm_answer_create(c->chat, parts, n_parts, (cllm_string){"[]", 2}, &a.answer, &err);
        a.preamble = cllm_chat_preamble(c->chat, parts, n_parts);
        if (made == CLLM_OK)
            made = cllm_sampler_create(cllm_model_get_info(c->run->model)->n_vocab, &sampling, &a.sampler, &err);
        status = made == CLLM_OK ? start_generation(&a, "reading") : fail_with(&err);
    }
    if (status == EXIT_SUCCESS) status = write_answer(&a);
    if (status == EXIT_SUCCESS || (status == EXIT_INTERRUPTED && a.drawn.count > 0)) {
        const int ended = take_deltas(&a, (cllm_string){"", 0}, true), kept = keep_answer(&a);
        if (ended != EXIT_SUCCESS || kept != EXIT_SUCCESS) status = EXIT_FAILURE;
    }
    c->end = status == EXIT_SUCCESS ? a.end : CLLM_END_NONE;
    c->only_reasoned =
        status == EXIT_SUCCESS && c->reasoning != REASONING_SHOWN && a.reasoning.length > 0 && a.content.length == 0;
    c->answered = has_role(last_message(c), "assistant");
    cllm_generation_destroy(a.generation);
    cllm_sampler_destroy(a.sampler);
    cllm_answer_destroy(a.answer);
    cllm_free(parts);
    free(a.content.bytes);
    free(a.reasoning.bytes);
    free(a.drawn.ids);
    return status;
}

/* Ask a question that had n_retries answers before. message: owned. */
static int ask(conversation *c, json_t *message, int32_t n_retries) {
    const size_t n_left_out = c->n_left_out;
    c->answered = false;
    if (!id_list_add(&c->retries, n_retries)) {
        json_decref(message);
        return fail("out of memory");
    }
    int status = json_array_append_new(c->messages, message) == 0 ? answer_question(c) : fail("out of memory");
    if (c->answered) return status;
    if (find_question(c) == message) drop_last(c);
    c->retries.count--;
    c->n_left_out = n_left_out;
    return status;
}

int conversation_ask(conversation *c, const char *text, size_t length) {
    return ask(c, make_message("user", text, length), 0);
}

/* Ask a message instead of the last question. If there is no answer, nothing changes. message: owned. */
static int replace_question(conversation *c, json_t *message, int32_t n_retries) {
    json_t *before = json_copy(c->messages);
    const size_t n_left_out = c->n_left_out;
    const int32_t n_before = c->retries.ids[c->retries.count - 1];
    if (!before) {
        json_decref(message);
        return fail("out of memory");
    }
    conversation_undo(c);
    const int status = ask(c, message, n_retries);
    if (c->answered) {
        json_decref(before);
        return status;
    }
    json_decref(c->messages);
    c->messages = before;
    c->n_left_out = n_left_out;
    c->retries.ids[c->retries.count++] = n_before; /* there is room */
    return status;
}

int conversation_ask_instead(conversation *c, const char *text, size_t length) {
    return replace_question(c, make_message("user", text, length), 0);
}

int conversation_retry(conversation *c) {
    json_t *question = find_question(c);
    return question ? replace_question(c, json_incref(question), c->retries.ids[c->retries.count - 1] + 1)
                    : EXIT_SUCCESS;
}
