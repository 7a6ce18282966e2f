/* Tests generations: the text that a request gets piece by piece, how it ends, and that drafts change nothing but
 * the speed. */
#include "support/check.h"
#include "support/solo.h"
#include "support/tiny_model.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static cllm_model *load(const char *path) {
    cllm_error err;
    cllm_model *model;
    assert_ok(cllm_model_load(path, NULL, &model, &err), &err);
    return model;
}

/* --------------------------------------------------------------------------------------------- running one */

enum { MOST_TOKENS = 512, MOST_BYTES = 8192 };

/* All events of a generation together. */
typedef struct outcome {
    int32_t tokens[MOST_TOKENS];
    size_t n_tokens, n_events;
    char text[MOST_BYTES];
    size_t length;
    cllm_end end;
    size_t stop_string;
    uint64_t n_drafted, n_accepted;
} outcome;

static void add_event(outcome *o, const cllm_event *event) {
    assert_true(o->n_tokens + event->n_tokens <= MOST_TOKENS && o->length + event->text.length < MOST_BYTES);
    memcpy(o->tokens + o->n_tokens, event->tokens, event->n_tokens * sizeof *event->tokens);
    memcpy(o->text + o->length, event->text.data, event->text.length);
    o->n_tokens += event->n_tokens;
    o->length += event->text.length;
    o->text[o->length] = '\0';
    o->end = event->end;
    o->stop_string = event->stop_string;
    o->n_drafted = event->n_drafted;
    o->n_accepted = event->n_accepted;
    o->n_events++;
}

/* Runs a generation to its end. most: how many tokens a call may evaluate. */
static outcome run(solo *s, const int32_t *prompt, size_t count, const cllm_generation_options *options, size_t most) {
    outcome o = {.end = CLLM_END_NONE};
    cllm_generation *g;
    cllm_error err;
    cllm_span span;
    cllm_event event;
    assert_ok(cllm_generation_create(s->sequence, prompt, count, options, &g, &err), &err);
    while (cllm_generation_wants(g, most, &span)) {
        assert_int_equal(o.end, CLLM_END_NONE);
        assert_in_range(span.count, 1, most);
        assert_ok(cllm_eval(s->engine, &span, 1, &err), &err);
        assert_ok(cllm_generation_take(g, &span, &event, &err), &err);
        add_event(&o, &event);
    }
    assert_false(cllm_generation_wants(g, most, &span));
    if (o.n_tokens > 0) /* all drawn tokens except the last */
        assert_int_equal(solo_length(s), count + o.n_tokens - 1);
    cllm_generation_destroy(g);
    return o;
}

static outcome run_anew(solo *s, const int32_t *prompt, size_t count, const cllm_generation_options *options,
                        size_t most) {
    cllm_error err;
    assert_ok(solo_truncate(s, 0, &err), &err);
    return run(s, prompt, count, options, most);
}

static void assert_same_outcome(const outcome *got, const outcome *want, const char *what) {
    if (got->n_tokens != want->n_tokens ||
        memcmp(got->tokens, want->tokens, want->n_tokens * sizeof *want->tokens) != 0)
        fail_msg("%s: other tokens, %zu and not %zu", what, got->n_tokens, want->n_tokens);
    assert_string_equal(got->text, want->text);
    assert_int_equal(got->end, want->end);
}

/* ------------------------------------------------------------------------------------------------ the demo model */

typedef struct demo {
    cllm_model *model;
    solo *s;
    int32_t *prompt;
    size_t count;
} demo;

static demo open_demo(const char *prompt, uint32_t n_ctx) {
    demo d = {.model = load("models/demo.gguf")};
    const cllm_engine_options options = {.n_ctx = n_ctx};
    cllm_error err;
    assert_ok(solo_create(d.model, &options, &d.s, &err), &err);
    assert_ok(cllm_tokenizer_encode(cllm_model_tokenizer(d.model), prompt, strlen(prompt), CLLM_ENCODE_ADD_SPECIAL,
                                    &d.prompt, &d.count, &err),
              &err);
    return d;
}

static void close_demo(demo *d) {
    cllm_free(d->prompt);
    solo_destroy(d->s);
    cllm_model_destroy(d->model);
}

/* Compares a generation with the plain loop that it replaces. */
static void tokens_and_text_are_those_of_a_plain_loop(void **state) {
    (void)state;
    demo d = open_demo("The answer is", 512);
    const cllm_tokenizer *tokenizer = cllm_model_tokenizer(d.model);
    for (int temperature = 0; temperature < 3; temperature++) {
        const cllm_sampler_options sampling = {.temperature = (float)temperature * 0.7f, .top_p = 1, .seed = 5};
        cllm_sampler *a, *b;
        cllm_error err;
        assert_ok(cllm_sampler_create((uint32_t)d.s->n_vocab, &sampling, &a, &err), &err);
        assert_ok(cllm_sampler_create((uint32_t)d.s->n_vocab, &sampling, &b, &err), &err);
        outcome want = {.end = CLLM_END_TOKEN};
        const float *logits;
        assert_ok(solo_truncate(d.s, 0, &err), &err);
        assert_ok(solo_eval(d.s, d.prompt, d.count, &logits, &err), &err);
        int32_t previous = d.prompt[d.count - 1];
        for (int32_t token; want.n_tokens < 300; previous = token) {
            assert_ok(cllm_sampler_sample(a, logits, NULL, &token, &err), &err);
            cllm_sampler_accept(a, token);
            want.tokens[want.n_tokens++] = token;
            if (cllm_tokenizer_is_eog(tokenizer, token)) break;
            const cllm_string bytes = cllm_tokenizer_decode(tokenizer, previous, token);
            memcpy(want.text + want.length, bytes.data, bytes.length);
            want.length += bytes.length;
            assert_ok(solo_eval(d.s, &token, 1, &logits, &err), &err);
        }
        if (want.n_tokens == 300) want.end = CLLM_END_LENGTH;
        const cllm_generation_options options = {.sampler = temperature ? b : NULL, .n_most = 300};
        for (size_t most = 1; most < 20; most += 4) {
            if (most > 1 && temperature) break; /* a sampler would continue its random numbers */
            const outcome got = run_anew(d.s, d.prompt, d.count, &options, most);
            assert_same_outcome(&got, &want, "a plain loop");
            assert_int_equal(got.n_events, want.n_tokens + (d.count + most - 1) / most - 1);
        }
        cllm_sampler_destroy(a);
        cllm_sampler_destroy(b);
    }
    close_demo(&d);
}

static void a_text_ends_where_it_should(void **state) {
    (void)state;
    demo d = open_demo("The answer is", 60);
    const size_t room = 60 - d.count;
    static const int32_t none;
    cllm_generation_options options = {.n_most = 10};
    outcome all = run_anew(d.s, d.prompt, d.count, &options, SIZE_MAX);
    assert_int_equal(all.end, CLLM_END_LENGTH);
    assert_int_equal(all.n_tokens, 10);

    options = (cllm_generation_options){.end_tokens = &none};
    all = run_anew(d.s, d.prompt, d.count, &options, SIZE_MAX);
    assert_int_equal(all.end, CLLM_END_CONTEXT_FULL);
    assert_int_equal(all.n_tokens, room);
    options.n_most = room; /* both at once */
    outcome got = run_anew(d.s, d.prompt, d.count, &options, SIZE_MAX);
    assert_int_equal(got.end, CLLM_END_LENGTH);

    size_t first = 0; /* the first place where the seventh token occurs */
    while (all.tokens[first] != all.tokens[6]) first++;
    const int32_t ends[] = {-5, all.tokens[6]};
    options = (cllm_generation_options){.end_tokens = ends, .n_end_tokens = 2};
    got = run_anew(d.s, d.prompt, d.count, &options, SIZE_MAX);
    assert_int_equal(got.end, CLLM_END_TOKEN);
    assert_int_equal(got.n_tokens, first + 1);
    assert_int_equal(got.tokens[first], all.tokens[6]);
    assert_memory_equal(got.text, all.text, got.length); /* without the text of the end token */
    close_demo(&d);
}

/* Up to four random pieces of the text are stop strings; they may overlap. The text must end before the one that is
 * complete first, with nothing missing and nothing twice. */
static void stop_strings_end_the_text_before_them(void **state) {
    (void)state;
    demo d = open_demo("The answer is", 512);
    cllm_generation_options options = {.n_most = 60};
    const outcome all = run_anew(d.s, d.prompt, d.count, &options, SIZE_MAX);
    uint64_t random = test_seed();
    for (int round = 0; round < 60; round++) {
        cllm_string strings[4];
        size_t best = SIZE_MAX, best_end = SIZE_MAX;
        options.n_stop_strings = 1 + random_u64(&random) % 4;
        options.stop_strings = strings;
        for (size_t i = 0; i < options.n_stop_strings; i++) {
            const size_t at = random_u64(&random) % (all.length - 20), n = 1 + random_u64(&random) % 19;
            strings[i] = (cllm_string){all.text + at, n};
            size_t begin = 0;
            while (memcmp(all.text + begin, all.text + at, n) != 0) begin++;
            const size_t end = begin + n;
            if (end < best_end ||
                (end == best_end && begin < best)) { /* the stop string that is complete first; of those, the longest */
                best = begin;
                best_end = end;
            }
        }
        const outcome got = run_anew(d.s, d.prompt, d.count, &options, SIZE_MAX);
        assert_int_equal(got.end, CLLM_END_STOP_STRING);
        assert_int_equal(got.length, best);
        assert_memory_equal(got.text, all.text, best);
        assert_memory_equal(strings[got.stop_string].data, all.text + best, strings[got.stop_string].length);
    }
    /* text that might begin a stop string is held back, and given at the end */
    const cllm_string nearly = {"a friendly shoemaker named Anna who lives", 41};
    options.stop_strings = &nearly;
    options.n_stop_strings = 1;
    const outcome got = run_anew(d.s, d.prompt, d.count, &options, SIZE_MAX);
    assert_same_outcome(&got, &all, "a stop string that does not come");
    const cllm_string empty = {"", 0};
    options.stop_strings = &empty;
    cllm_generation *g;
    cllm_error err;
    assert_ok(solo_truncate(d.s, 0, &err), &err);
    assert_error(cllm_generation_create(d.s->sequence, d.prompt, d.count, &options, &g, &err), &err, CLLM_ERR_ARGUMENT,
                 "stop string 0 is empty");
    close_demo(&d);
}

/* ------------------------------------------------------------------------------------------------ characters */

/* Masks force the model to say this text. */
typedef struct script {
    const int32_t *tokens; /* [count] */
    size_t n_prompt, count;
} script;

static void allow_script(void *user, const int32_t *tokens, size_t count, uint32_t *mask) {
    const script *s = user;
    (void)tokens;
    const int32_t token = s->tokens[(count - s->n_prompt) % s->count];
    mask[token / 32] |= 1u << token % 32;
}

/* The characters of the text come byte by byte. Each event gives whole characters, and at the end nothing is
 * missing. */
static void events_give_whole_characters(void **state) {
    (void)state;
    demo d = open_demo("The answer is", 512);
    const cllm_tokenizer *tokenizer = cllm_model_tokenizer(d.model);
    static const char said[] = "na\xC3\xAFve \xE2\x82\xAC\xF0\x9F\x98\x80 \xF0\x9F"; /* it ends with half a character */
    int32_t *tokens;
    cllm_error err;
    script s = {.n_prompt = d.count};
    assert_ok(cllm_tokenizer_encode(tokenizer, said, strlen(said), 0, &tokens, &s.count, &err), &err);
    s.tokens = tokens;
    const cllm_generation_options options = {.n_most = s.count, .fill_mask = allow_script, .fill_mask_user = &s};
    cllm_generation *g;
    cllm_span span;
    cllm_event event = {.end = CLLM_END_NONE};
    char text[64];
    size_t length = 0;
    assert_ok(solo_truncate(d.s, 0, &err), &err);
    assert_ok(cllm_generation_create(d.s->sequence, d.prompt, d.count, &options, &g, &err), &err);
    while (cllm_generation_wants(g, SIZE_MAX, &span)) {
        cllm_generation_prepare(g);
        assert_ok(cllm_eval(d.s->engine, &span, 1, &err), &err);
        assert_ok(cllm_generation_take(g, &span, &event, &err), &err);
        memcpy(text + length, event.text.data, event.text.length);
        length += event.text.length;
        if (event.end == CLLM_END_NONE) assert_true(length == 0 || (text[length - 1] & 0xC0) != 0xC0);
        size_t n_due = 0, n_follow = 0; /* bytes that the first bytes of characters ask for, and bytes that follow */
        for (size_t i = 0; event.end == CLLM_END_NONE && i < length; i++) {
            const unsigned char b = (unsigned char)text[i];
            n_due += b >= 0xF0 ? 3 : b >= 0xE0 ? 2 : b >= 0xC0;
            n_follow += b >= 0x80 && b < 0xC0;
        }
        assert_int_equal(n_due, n_follow);
    }
    const size_t space = text[0] == ' '; /* SentencePiece puts a space before a text */
    assert_int_equal(length - space, strlen(said));
    assert_memory_equal(text + space, said, strlen(said));
    cllm_generation_destroy(g);
    cllm_free(tokens);
    close_demo(&d);
}

static void allow_nothing(void *user, const int32_t *tokens, size_t count, uint32_t *mask) {
    (void)user, (void)tokens, (void)count, (void)mask;
}

static bool stop_soon(void *user, uint64_t done, uint64_t total) {
    (void)done, (void)total;
    return --*(int *)user > 0;
}

static void what_cannot_be_is_refused(void **state) {
    (void)state;
    demo d = open_demo("The answer is", 20);
    cllm_error err;
    cllm_generation *g;
    cllm_span span;
    cllm_event event;
    int32_t tokens[21] = {1, 2, 3};
    assert_error(cllm_generation_create(d.s->sequence, tokens, 21, NULL, &g, &err), &err, CLLM_ERR_CONTEXT_FULL,
                 "a prompt of 21 tokens");
    assert_error(cllm_generation_create(d.s->sequence, tokens, 0, NULL, &g, &err), &err, CLLM_ERR_ARGUMENT,
                 "beginning");
    const int32_t beyond = (int32_t)d.s->n_vocab;
    assert_error(cllm_generation_create(d.s->sequence, &beyond, 1, NULL, &g, &err), &err, CLLM_ERR_ARGUMENT,
                 "vocabulary");
    const float *logits;
    assert_ok(solo_eval(d.s, tokens, 2, &logits, &err), &err);
    assert_error(cllm_generation_create(d.s->sequence, tokens, 2, NULL, &g, &err), &err, CLLM_ERR_ARGUMENT,
                 "the 2 tokens of the sequence");
    tokens[1] = 7;
    assert_error(cllm_generation_create(d.s->sequence, tokens, 3, NULL, &g, &err), &err, CLLM_ERR_ARGUMENT, "2 tokens");
    cllm_generation_options options = {.draft_sequence = d.s->sequence};
    tokens[1] = 2;
    assert_error(cllm_generation_create(d.s->sequence, tokens, 3, &options, &g, &err), &err, CLLM_ERR_ARGUMENT,
                 "another engine");
    options = (cllm_generation_options){.logprobs = true, .n_logprobs = (uint32_t)d.s->n_vocab + 1};
    assert_error(cllm_generation_create(d.s->sequence, tokens, 3, &options, &g, &err), &err, CLLM_ERR_ARGUMENT,
                 "tokens");

    cllm_sampler *other;
    assert_ok(cllm_sampler_create((uint32_t)d.s->n_vocab + 1, NULL, &other, &err), &err);
    options = (cllm_generation_options){.sampler = other};
    assert_error(cllm_generation_create(d.s->sequence, tokens, 3, &options, &g, &err), &err, CLLM_ERR_ARGUMENT,
                 "the sampler is for");
    cllm_sampler_destroy(other);

    /* a call that evaluated nothing gives nothing; the same span is still wanted */
    assert_ok(cllm_generation_create(d.s->sequence, tokens, 3, NULL, &g, &err), &err);
    assert_true(cllm_generation_wants(g, 9, &span));
    cllm_span refused[] = {span, {.sequence = NULL, .tokens = tokens, .count = 1}};
    assert_error(cllm_eval(d.s->engine, refused, 2, &err), &err, CLLM_ERR_ARGUMENT, "sequence");
    assert_int_equal(refused[0].status, CLLM_OK);
    assert_error(cllm_generation_take(g, &refused[0], &event, &err), &err, CLLM_ERR_ARGUMENT, "not evaluated");
    assert_true(cllm_generation_wants(g, 9, &span));
    assert_int_equal(span.count, 1);
    assert_int_equal(cllm_generation_end(g), CLLM_END_NONE);
    cllm_generation_destroy(g);
    const int32_t longer[6] = {1, 2, 3};
    assert_ok(cllm_generation_create(d.s->sequence, longer, 6, NULL, &g, &err), &err);
    assert_true(cllm_generation_wants(g, 2, &refused[0])); /* a piece of the prompt */
    assert_error(cllm_eval(d.s->engine, refused, 2, &err), &err, CLLM_ERR_ARGUMENT, "sequence");
    assert_error(cllm_generation_take(g, &refused[0], &event, &err), &err, CLLM_ERR_ARGUMENT, "not evaluated");
    cllm_generation_destroy(g);

    /* and a span that was never asked for, or was taken already, gives nothing */
    assert_ok(cllm_generation_create(d.s->sequence, tokens, 3, NULL, &g, &err), &err);
    const cllm_span nothing = {.next = 0};
    assert_error(cllm_generation_take(g, &nothing, &event, &err), &err, CLLM_ERR_ARGUMENT, "not evaluated");
    assert_true(cllm_generation_wants(g, 9, &span));
    assert_int_equal(span.next, -1);
    assert_error(cllm_generation_take(g, &span, &event, &err), &err, CLLM_ERR_ARGUMENT, "not evaluated");
    assert_true(cllm_generation_wants(g, 9, &span));
    assert_ok(cllm_eval(d.s->engine, &span, 1, &err), &err);
    assert_ok(cllm_generation_take(g, &span, &event, &err), &err);
    assert_int_equal(event.n_tokens, 1);
    assert_error(cllm_generation_take(g, &span, &event, &err), &err, CLLM_ERR_ARGUMENT, "not evaluated");
    cllm_generation_destroy(g);
    assert_ok(solo_truncate(d.s, 2, &err), &err);

    /* a prompt that fills the context ends the generation */
    const int32_t full[20] = {1, 2, 3};
    assert_ok(cllm_generation_create(d.s->sequence, full, 20, NULL, &g, &err), &err);
    assert_false(cllm_generation_wants(g, 9, &span));
    assert_int_equal(cllm_generation_end(g), CLLM_END_CONTEXT_FULL);
    cllm_generation_destroy(g);

    options = (cllm_generation_options){.fill_mask = allow_nothing};
    assert_ok(cllm_generation_create(d.s->sequence, tokens, 3, &options, &g, &err), &err);
    assert_true(cllm_generation_wants(g, 9, &span));
    assert_ok(cllm_eval(d.s->engine, &span, 1, &err), &err);
    assert_error(cllm_generation_take(g, &span, &event, &err), &err, CLLM_ERR_ARGUMENT, "allows no token");
    cllm_generation_destroy(g);

    /* a call that is cancelled ends the generation; what was drawn before stays */
    int patience = 60;
    assert_ok(solo_truncate(d.s, 0, &err), &err);
    cllm_engine_set_progress(d.s->engine, stop_soon, &patience);
    assert_ok(cllm_generation_create(d.s->sequence, tokens, 3, NULL, &g, &err), &err);
    outcome o = {.end = CLLM_END_NONE};
    while (cllm_generation_wants(g, 1, &span)) {
        cllm_eval(d.s->engine, &span, 1, &err);
        assert_ok(cllm_generation_take(g, &span, &event, &err), &err);
        add_event(&o, &event);
    }
    assert_int_equal(o.end, CLLM_END_CANCELLED);
    assert_int_equal(cllm_generation_end(g), CLLM_END_CANCELLED);
    cllm_generation_destroy(g);
    close_demo(&d);
}

static void log_probabilities_are_those_of_the_logits(void **state) {
    (void)state;
    enum { N = 5 };
    demo d = open_demo("The answer is", 200);
    cllm_error err;
    const cllm_sampler_options sampling = {.temperature = 1.5f, .top_p = 1, .seed = 3};
    cllm_sampler *sampler;
    assert_ok(cllm_sampler_create((uint32_t)d.s->n_vocab, &sampling, &sampler, &err), &err);
    const cllm_generation_options options = {.sampler = sampler, .n_most = 30, .logprobs = true, .n_logprobs = N};
    cllm_generation *g;
    cllm_span span;
    cllm_event event;
    assert_ok(cllm_generation_create(d.s->sequence, d.prompt, d.count, &options, &g, &err), &err);
    while (cllm_generation_wants(g, SIZE_MAX, &span)) {
        assert_ok(cllm_eval(d.s->engine, &span, 1, &err), &err);
        double sum = 0;
        for (size_t i = 0; i < d.s->n_vocab; i++) sum += exp((double)span.rows[i]);
        assert_ok(cllm_generation_take(g, &span, &event, &err), &err);
        assert_int_equal(event.n_tokens, 1);
        assert_int_equal(event.logprobs[0].token, event.tokens[0]);
        for (size_t i = 0; i <= N; i++) {
            const double want = (double)span.rows[event.logprobs[i].token] - log(sum);
            assert_true(fabs((double)event.logprobs[i].logprob - want) < 1e-4);
            if (i > 1) assert_true(event.logprobs[i].logprob <= event.logprobs[i - 1].logprob);
        }
        size_t n_likelier = 0;
        for (size_t i = 0; i < d.s->n_vocab; i++) n_likelier += span.rows[i] > span.rows[event.logprobs[N].token];
        assert_int_equal(n_likelier, N - 1);
    }
    cllm_generation_destroy(g);
    cllm_sampler_destroy(sampler);
    close_demo(&d);
}

/* ---------------------------------------------------------------------------------------------------- drafts */

enum { N_PROMPTS = 200, N_PROMPTS_DRAWN = 20 };

typedef struct drafted {
    cllm_model *model, *small;
    solo *s;
    cllm_engine *small_engine;
} drafted;

/* At one temperature: without drafts, with drafts from the text, from the small model, and from both. */
static void check_drafts(const drafted *d, const int32_t *prompt, size_t count, float temperature, uint64_t seed) {
    outcome want = {.end = CLLM_END_NONE};
    for (int kind = 0; kind < 4; kind++) {
        const cllm_sampler_options sampling = {.temperature = temperature, .top_p = 0.95f, .seed = seed};
        cllm_generation_options options = {
            .n_most = 100, .draft_lookup = kind & 1, .n_draft = 1 + (uint32_t)(seed % 12)};
        cllm_error err;
        if (kind & 2) assert_ok(cllm_sequence_create(d->small_engine, &options.draft_sequence, &err), &err);
        assert_ok(cllm_sampler_create((uint32_t)d->s->n_vocab, &sampling, &options.sampler, &err), &err);
        const outcome got = run_anew(d->s, prompt, count, &options, SIZE_MAX);
        cllm_sampler_destroy(options.sampler);
        cllm_sequence_destroy(options.draft_sequence);
        if (kind == 0) want = got;
        assert_same_outcome(&got, &want, kind == 1 ? "lookup" : kind == 2 ? "a draft model" : "both");
        assert_true(got.n_accepted <= got.n_drafted && (kind > 0 || got.n_drafted == 0));
        if (kind == 2 && temperature == 0) assert_true(got.n_accepted > 0);
    }
}

static void drafts_leave_the_text_as_it_is(void **state) {
    (void)state;
    static const float temperatures[] = {0, 0.8f, 1.5f};
    const char *large = shared_file("models/stories260K-wide-Q8_0.gguf"),
               *small = shared_file("models/stories260K-wide-Q4_0.gguf");
    if (!large || !small) skip();
    drafted d = {.model = load(large), .small = load(small)};
    cllm_error err;
    assert_ok(solo_create(d.model, NULL, &d.s, &err), &err);
    assert_ok(cllm_engine_create(d.small, NULL, &d.small_engine, &err), &err);
    size_t chosen[N_PROMPTS];
    const size_t n = test_draw(N_PROMPTS, test_sanitized() ? N_PROMPTS_DRAWN / 10 : N_PROMPTS_DRAWN, chosen);
    for (size_t i = 0; i < n; i++) {
        int32_t prompt[40];
        uint64_t random = chosen[i] + 1;
        const size_t count = 1 + random_u64(&random) % 40;
        prompt[0] = 1;
        for (size_t k = 1; k < count; k++)
            prompt[k] = k > 8 && random_u64(&random) % 2 ? prompt[k - 8] : (int32_t)(random_u64(&random) % 512);
        for (size_t t = 0; t < 3; t++) check_drafts(&d, prompt, count, temperatures[t], chosen[i]);
    }
    solo_destroy(d.s);
    cllm_engine_destroy(d.small_engine);
    cllm_model_destroy(d.model);
    cllm_model_destroy(d.small);
}

/* There are two pages, and another sequence holds the second until the first is full (256 tokens). Before that, no
 * draft may need a page. */
static void a_text_goes_on_where_a_draft_has_no_room(void **state) {
    (void)state;
    enum { N_PROMPT = 250, N_MOST = 40 };
    int32_t prompt[N_PROMPT];
    for (int i = 0; i < N_PROMPT; i++) prompt[i] = 1 + i % 7;
    cllm_model *model = load("models/demo.gguf");
    const cllm_engine_options options = {.n_ctx = 400, .n_sequences = 2, .n_positions = 512};
    cllm_engine *engine;
    cllm_sequence *s[2];
    cllm_error err;
    assert_ok(cllm_engine_create(model, &options, &engine, &err), &err);
    for (int i = 0; i < 2; i++) assert_ok(cllm_sequence_create(engine, &s[i], &err), &err);
    cllm_span other = {.sequence = s[1], .tokens = prompt, .count = 1};
    assert_ok(cllm_eval(engine, &other, 1, &err), &err);
    solo *small; /* the same model, so all its drafts are accepted */
    assert_ok(solo_create(model, NULL, &small, &err), &err);
    const cllm_generation_options drafts = {.n_most = N_MOST, .draft_sequence = small->sequence};
    cllm_generation *g;
    cllm_span span;
    cllm_event event = {.end = CLLM_END_NONE};
    assert_ok(cllm_generation_create(s[0], prompt, N_PROMPT, &drafts, &g, &err), &err);
    size_t n_drawn = 0;
    while (cllm_generation_wants(g, SIZE_MAX, &span)) {
        if (cllm_sequence_length(s[0]) == 256) assert_ok(cllm_sequence_truncate(s[1], 0, &err), &err);
        assert_ok(cllm_eval(engine, &span, 1, &err), &err);
        assert_ok(cllm_generation_take(g, &span, &event, &err), &err);
        n_drawn += event.n_tokens;
    }
    assert_int_equal(n_drawn, N_MOST);
    assert_true(event.n_accepted > N_MOST / 2);
    cllm_generation_destroy(g);
    solo_destroy(small);
    cllm_engine_destroy(engine);
    cllm_model_destroy(model);
}

/* If logits are not finite, the error is reported, with and without a sampler. Then cllm_generation_wants asks for the
 * last token again. */
static void what_is_not_finite_is_taken_back(void **state) {
    (void)state;
    tiny_model m = tiny_model_default();
    const cllm_load_options in_memory = {.no_mmap = true};
    const int32_t prompt[3] = {1, 2, 3};
    cllm_model *model;
    cllm_error err;
    solo *s;
    assert_ok(cllm_model_load(tiny_model_write("nan.gguf", &m), &in_memory, &model, &err), &err);
    ((float *)(uintptr_t)cllm_gguf_find_tensor(cllm_model_gguf(model), "token_embd.weight")->data)[3 * m.n_embd] = NAN;
    for (int sampled = 0; sampled < 2; sampled++) {
        cllm_generation_options options = {.sampler = NULL};
        cllm_generation *g;
        cllm_span span;
        cllm_event event;
        assert_ok(solo_create(model, NULL, &s, &err), &err);
        if (sampled) assert_ok(cllm_sampler_create(m.n_vocab, NULL, &options.sampler, &err), &err);
        assert_ok(cllm_generation_create(s->sequence, prompt, 3, &options, &g, &err), &err);
        for (int i = 0; i < 2; i++) {
            assert_true(cllm_generation_wants(g, 9, &span));
            assert_int_equal(span.count, i == 0 ? 3 : 1);
            cllm_eval(s->engine, &span, 1, NULL);
            assert_error(cllm_generation_take(g, &span, &event, &err), &err, CLLM_ERR_FORMAT, "not finite");
            assert_string_equal(err.name, "token_embd.weight");
            assert_int_equal(solo_length(s), 2);
        }
        cllm_generation_destroy(g);
        cllm_sampler_destroy(options.sampler);
        solo_destroy(s);
    }
    cllm_model_destroy(model);
}

static bool never(void *user, uint64_t done, uint64_t total) {
    (void)done, (void)total;
    ++*(int *)user;
    return false;
}

/* If the small model fails once, it is not asked again, and the text stays the same. */
static void a_draft_that_fails_is_no_more_asked(void **state) {
    (void)state;
    demo d = open_demo("The answer is", 200);
    solo *small;
    cllm_error err;
    int n_asked = 0;
    const cllm_generation_options plain = {.n_most = 30};
    const outcome want = run_anew(d.s, d.prompt, d.count, &plain, SIZE_MAX);
    assert_ok(solo_create(d.model, NULL, &small, &err), &err);
    cllm_engine_set_progress(small->engine, never, &n_asked);
    const cllm_generation_options options = {.n_most = 30, .draft_sequence = small->sequence};
    const outcome got = run_anew(d.s, d.prompt, d.count, &options, SIZE_MAX);
    assert_same_outcome(&got, &want, "a draft that fails");
    assert_int_equal(n_asked, 1);
    solo_destroy(small);
    close_demo(&d);
}

static void a_draft_model_has_the_same_vocabulary(void **state) {
    (void)state;
    demo d = open_demo("The answer is", 200);
    tiny_model m = tiny_model_default();
    cllm_model *other = load(tiny_model_write("other.gguf", &m));
    solo *s;
    cllm_error err;
    cllm_generation *g;
    assert_ok(solo_create(other, NULL, &s, &err), &err);
    const cllm_generation_options options = {.draft_sequence = s->sequence};
    assert_error(cllm_generation_create(d.s->sequence, d.prompt, d.count, &options, &g, &err), &err, CLLM_ERR_ARGUMENT,
                 "the draft model has a vocabulary of 50 tokens");
    solo_destroy(s);
    cllm_model_destroy(other);
    close_demo(&d);
}

/* -------------------------------------------------------------------------------------------------- grammars */

typedef struct by_hand {
    cllm_grammar *grammar;
    size_t n_prompt;
} by_hand;

/* Fills the mask of the grammar with a new matcher, which reads all tokens again. */
static void allow_by_hand(void *user, const int32_t *tokens, size_t count, uint32_t *mask) {
    const by_hand *b = user;
    cllm_matcher *matcher;
    cllm_error err;
    assert_ok(cllm_matcher_create(b->grammar, &matcher, &err), &err);
    for (size_t i = b->n_prompt; i < count; i++) assert_ok(cllm_matcher_take(matcher, tokens[i], &err), &err);
    assert_ok(cllm_matcher_fill_mask(matcher, mask, &err), &err);
    cllm_matcher_destroy(matcher);
}

static cllm_grammar *schema_of(const demo *d, const char *text, cllm_token_index **index) {
    cllm_grammar *grammar;
    cllm_error err;
    assert_ok(cllm_token_index_create(cllm_model_tokenizer(d->model), index, &err), &err);
    assert_ok(
        cllm_grammar_create(*index, CLLM_GRAMMAR_JSON_SCHEMA_CLOSED, (cllm_string){text, strlen(text)}, &grammar, &err),
        &err);
    return grammar;
}

static const char person[] =
    "{\"type\": \"object\", \"properties\": {\"name of the person\": {\"type\": \"string\", \"maxLength\": 12}, "
    "\"age of the person\": {\"type\": \"integer\", \"minimum\": 0, \"maximum\": 150}}, \"required\": "
    "[\"name of the person\", \"age of the person\"], \"additionalProperties\": false}";

/* A grammar's drafts, which are always tried, do not change the text either. */
static void a_grammar_is_that_of_a_mask_made_by_hand(void **state) {
    (void)state;
    demo d = open_demo("Tell me of a person:", 512);
    cllm_token_index *index;
    cllm_grammar *grammar = schema_of(&d, person, &index);
    uint64_t n_accepted = 0;
    for (uint64_t seed = 1; seed <= 8; seed++) {
        const cllm_sampler_options sampling = {.temperature = 0.3f * (float)(seed - 1), .top_p = 1, .seed = seed};
        by_hand b = {grammar, d.count};
        cllm_sampler *sampler;
        cllm_error err;
        assert_ok(cllm_sampler_create((uint32_t)d.s->n_vocab, &sampling, &sampler, &err), &err);
        const cllm_generation_options masked = {
            .sampler = sampler, .n_most = 300, .fill_mask = allow_by_hand, .fill_mask_user = &b};
        outcome want = run_anew(d.s, d.prompt, d.count, &masked, 64);
        cllm_sampler_destroy(sampler);
        assert_ok(cllm_sampler_create((uint32_t)d.s->n_vocab, &sampling, &sampler, &err), &err);
        const cllm_generation_options own = {.sampler = sampler, .n_most = 300, .grammar = grammar};
        const outcome got = run_anew(d.s, d.prompt, d.count, &own, 64);
        cllm_sampler_destroy(sampler);
        if (want.end == CLLM_END_TOKEN)
            want.n_tokens--, want.end = CLLM_END_GRAMMAR; /* nothing else is allowed there */
        assert_same_outcome(&got, &want, "a grammar");
        n_accepted += got.n_accepted;
    }
    printf("# %llu tokens by drafts\n", (unsigned long long)n_accepted);
    assert_true(n_accepted > 8);
    cllm_grammar_destroy(grammar);
    cllm_token_index_destroy(index);
    close_demo(&d);
}

/* Within a draft no mask can be made, because the text may go on in too many ways there. The error stays this one when
 * the mask was prepared before; it is not made again by a matcher that has gone on already. */
static void a_mask_that_cannot_be_made_within_a_draft_is_an_error(void **state) {
    enum { N_WORDS = 15, N_WAYS = 21000 }; /* 60 of the 64 bytes for which drafts look ahead, then a longer token */
    (void)state;
    demo d = open_demo("Tell me", 512);
    char *text = malloc(8 * N_WAYS), *at = text;
    cllm_token_index *index;
    cllm_grammar *grammar;
    cllm_generation *g;
    cllm_span span;
    cllm_event event = {.n_tokens = 0};
    cllm_error err;
    at += sprintf(at, "root ::= \"");
    for (int i = 0; i < N_WORDS; i++) at += sprintf(at, " the");
    at += sprintf(at, " flowers\" (");
    for (int i = 0; i < N_WAYS; i++) at += sprintf(at, "%s[a]*", i > 0 ? "|" : "");
    strcpy(at, ")");
    assert_ok(cllm_token_index_create(cllm_model_tokenizer(d.model), &index, &err), &err);
    assert_ok(cllm_grammar_create(index, CLLM_GRAMMAR_GBNF, (cllm_string){text, strlen(text)}, &grammar, &err), &err);
    const cllm_generation_options options = {.n_most = 300, .n_draft = 40, .grammar = grammar};
    for (int prepares = 0; prepares < 2; prepares++) {
        cllm_status status = CLLM_OK;
        assert_ok(solo_truncate(d.s, 0, &err), &err);
        assert_ok(cllm_generation_create(d.s->sequence, d.prompt, d.count, &options, &g, &err), &err);
        while (status == CLLM_OK && cllm_generation_wants(g, SIZE_MAX, &span)) {
            assert_ok(cllm_eval(d.s->engine, &span, 1, &err), &err);
            if (prepares) cllm_generation_prepare(g);
            status = cllm_generation_take(g, &span, &event, &err);
        }
        assert_int_equal(status, CLLM_ERR_UNSUPPORTED);
        assert_non_null(strstr(err.message, "too many ways"));
        assert_true(event.n_tokens > 2); /* of the last draft */
        cllm_generation_destroy(g);
    }
    cllm_grammar_destroy(grammar);
    cllm_token_index_destroy(index);
    free(text);
    close_demo(&d);
}

/* The preamble may say anything up to its end; then come white space and the grammar. */
static void a_grammar_begins_after_the_reasoning(void **state) {
    (void)state;
    demo d = open_demo("Once upon a time", 1024);
    cllm_token_index *index;
    cllm_grammar *grammar =
        schema_of(&d, "{\"type\": \"array\", \"items\": {\"type\": \"null\"}, \"maxItems\": 2}", &index);
    size_t n_opened = 0, n_at_once = 0, n_cut = 0;
    for (uint64_t seed = 1; seed <= 40; seed++) {
        const cllm_sampler_options sampling = {.temperature = 1.2f, .top_p = 1, .seed = seed};
        const bool is_open = seed % 2 == 0;
        cllm_sampler *sampler;
        cllm_error err;
        assert_ok(cllm_sampler_create((uint32_t)d.s->n_vocab, &sampling, &sampler, &err), &err);
        const cllm_generation_options options = {
            .sampler = sampler,
            .n_most = 300,
            .grammar = grammar,
            .preamble = {.opens = {"(", 1}, .closes = {".", 1}, .is_open = is_open}};
        const outcome got = run_anew(d.s, d.prompt, d.count, &options, 64);
        cllm_sampler_destroy(sampler);
        const char *closed = strchr(got.text, '.');
        const bool begins = is_open || got.text[0] == '(';
        if (begins && !closed) {
            n_cut++;
            assert_int_equal(got.end, CLLM_END_LENGTH);
            continue;
        }
        n_opened += begins;
        n_at_once += !begins;
        const char *rest = begins ? closed + 1 : got.text;
        while (begins && *rest && *rest != '[') rest++; /* the rest of the closing token, and white space */
        bool empty = true;
        for (const char *at = rest; *at; at++) empty &= strchr("[] \t\r\nnul,", *at) != NULL;
        if (got.end == CLLM_END_GRAMMAR && (!empty || *rest != '[' || got.text[got.length - 1] != ']'))
            fail_msg("'%s' is no answer", got.text);
    }
    printf("# %zu reasoned, %zu did not, %zu did not come to an end\n", n_opened, n_at_once, n_cut);
    assert_true(n_opened > 10 && n_at_once > 0);
    cllm_grammar_destroy(grammar);
    cllm_token_index_destroy(index);
    close_demo(&d);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tokens_and_text_are_those_of_a_plain_loop),
        cmocka_unit_test(a_text_ends_where_it_should),
        cmocka_unit_test(stop_strings_end_the_text_before_them),
        cmocka_unit_test(events_give_whole_characters),
        cmocka_unit_test(what_cannot_be_is_refused),
        cmocka_unit_test(log_probabilities_are_those_of_the_logits),
        cmocka_unit_test(drafts_leave_the_text_as_it_is),
        cmocka_unit_test(a_text_goes_on_where_a_draft_has_no_room),
        cmocka_unit_test(what_is_not_finite_is_taken_back),
        cmocka_unit_test(a_draft_that_fails_is_no_more_asked),
        cmocka_unit_test(a_draft_model_has_the_same_vocabulary),
        cmocka_unit_test(a_grammar_is_that_of_a_mask_made_by_hand),
        cmocka_unit_test(a_mask_that_cannot_be_made_within_a_draft_is_an_error),
        cmocka_unit_test(a_grammar_begins_after_the_reasoning),
    };
    return cmocka_run_group_tests_name("generation", tests, NULL, NULL);
}
