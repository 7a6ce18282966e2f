/* Tests how messages are brought into the form that a template accepts, the templates of families, and transcripts,
 * which keep the ids of what was evaluated. */
#include "support/check.h"

#include "cllm.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static cllm_chat *chat_of(const char *source) {
    const cllm_chat_options options = {.source = {source, strlen(source)}};
    cllm_chat *chat;
    cllm_error err;
    assert_ok(cllm_chat_create(&options, &chat, &err), &err);
    return chat;
}

/* The text that comes of a conversation, terminated; owned. NULL: it was refused, and err says why. */
static char *render(const cllm_chat *chat, const char *object, int flags, cllm_error *err) {
    const cllm_string text = {object, strlen(object)};
    cllm_part *parts;
    size_t n_parts, length = 0;
    if (cllm_chat_render(chat, &text, 1, flags, 0, &parts, &n_parts, err) != CLLM_OK) return NULL;
    for (size_t i = 0; i < n_parts; i++) length += parts[i].text.length;
    char *joined = malloc(length + 1), *at = joined;
    for (size_t i = 0; i < n_parts; at += parts[i++].text.length) memcpy(at, parts[i].text.data, parts[i].text.length);
    *at = '\0';
    cllm_free(parts);
    return joined;
}

/* ------------------------------------------------------------------------------------------------- messages */

#define EACH(body)  "{% for m in messages %}" body "{% endfor %}"
#define PLAIN       "({{ m.role }}:{{ m.content }})"
#define CALLS       "{% for c in m.tool_calls or [] %}[{{ c.id }} {{ c.function.arguments | tojson }}]{% endfor %}"
#define ALTERNATING "{% if loop.index0 and m.role == loop.previtem.role %}{{ raise_exception('twice') }}{% endif %}"
#define FIRST_ONLY  "{% if loop.index0 and m.role == 'system' %}{{ raise_exception('late') }}{% endif %}"

static const struct {
    const char *about, *source, *messages, *text; /* NULL: refused */
} cases[] = {
    {"what a template takes is left alone", EACH(PLAIN), "{\"role\": \"tool\", \"content\": \"x\"}", "(tool:x)"},
    {"parts are one text", EACH(PLAIN),
     "{\"role\": \"user\", \"content\": [{\"type\": \"text\", \"text\": \"a\"}, {\"type\": \"text\", \"text\": "
     "\"b\"}]}",
     "(user:a\nb)"},
    {"a text is a part", EACH("{% for p in m.content %}<{{ p.text }}>{% endfor %}"),
     "{\"role\": \"user\", \"content\": \"a\"}", "<a>"},
    {"system messages come first, as one", EACH(FIRST_ONLY PLAIN),
     "{\"role\": \"system\", \"content\": \"a\"}, {\"role\": \"user\", \"content\": \"b\"}, "
     "{\"role\": \"developer\", \"content\": \"c\"}, {\"role\": \"system\", \"content\": \"d\"}",
     "(system:a\n\nc\n\nd)(user:b)"},
    {"neighbours are one message", EACH(ALTERNATING PLAIN),
     "{\"role\": \"user\", \"content\": \"a\"}, {\"role\": \"user\", \"content\": \"b\"}, "
     "{\"role\": \"assistant\", \"content\": \"c\"}, {\"role\": \"assistant\", \"content\": \"d\"}",
     "(user:a\n\nb)(assistant:c\n\nd)"},
    {"the first user says what the system is to say",
     "{% if messages[0].role == 'system' %}{{ raise_exception('no system') }}{% endif %}" EACH(ALTERNATING PLAIN),
     "{\"role\": \"system\", \"content\": \"a\"}, {\"role\": \"user\", \"content\": \"b\"}", "(user:a\n\nb)"},
    {"what is joined gets the form too",
     EACH(
         "{% if not loop.first and m.role == messages[loop.index0 - 1].role %}{{ raise_exception('twice') }}{% endif %}"
         "{% for p in m.content %}<{{ p.text }}>{% endfor %}"),
     "{\"role\": \"user\", \"content\": \"a\"}, {\"role\": \"user\", \"content\": \"b\"}", "<a\n\nb>"},
    {"ids of nine letters and digits",
     EACH("{% for c in m.tool_calls or [] %}{% if c.id | length != 9 %}{{ raise_exception('id') }}{% endif %}"
          "{{ c.function.name }}{% endfor %}{% if m.tool_call_id is defined %}={{ m.tool_call_id | length }}{% endif "
          "%}"),
     "{\"role\": \"assistant\", \"tool_calls\": [{\"id\": \"call_abc_1\", \"function\": {\"name\": \"f\", "
     "\"arguments\": {}}}]}, "
     "{\"role\": \"tool\", \"tool_call_id\": \"call_abc_1\", \"content\": \"\"}",
     "f=9"},
    {"arguments are an object where the template prints them", EACH(CALLS),
     "{\"role\": \"assistant\", \"content\": null, \"tool_calls\": [{\"id\": \"i\", \"function\": {\"name\": \"f\", "
     "\"arguments\": \"{\\\"a\\\": 1}\"}}]}",
     "[i {\"a\": 1}]"},
    {"arguments are text where the template joins them to text",
     EACH("{% for c in m.tool_calls or [] %}{{ 'f' + c.function.arguments }}{% endfor %}"),
     "{\"role\": \"assistant\", \"tool_calls\": [{\"id\": \"i\", \"function\": {\"name\": \"f\", \"arguments\": "
     "{\"a\": [1, 2.0]}}}]}",
     "f{\"a\": [1, 2.0]}"},
    {"arguments that are no JSON are kept", EACH(CALLS),
     "{\"role\": \"assistant\", \"tool_calls\": [{\"id\": \"i\", \"function\": {\"name\": \"f\", \"arguments\": "
     "\"{oops\"}}]}",
     "[i {\"arguments\": \"{oops\"}]"},
    {"content that is null where the template joins it", EACH("{{ m.role + m.content }}"),
     "{\"role\": \"assistant\", \"content\": null}", "assistant"},
    {"an image in a tool's result is told", EACH(PLAIN),
     "{\"role\": \"tool\", \"content\": [{\"type\": \"image_url\", \"image_url\": {\"url\": \"data:\"}}]}",
     "(tool:(an image that this model cannot see))"},
    {"an image of a user is refused", EACH(PLAIN),
     "{\"role\": \"user\", \"content\": [{\"type\": \"image_url\", \"image_url\": {\"url\": \"data:\"}}]}", NULL},
    {"reasoning has two names", EACH("{{ m.reasoning_content }}"),
     "{\"role\": \"assistant\", \"content\": \"\", \"reasoning\": \"r\"}", "r"},
    {"what nothing helps", "{{ raise_exception('never') }}", "{\"role\": \"user\", \"content\": \"a\"}", NULL},
    {"no object", EACH(PLAIN), "1", NULL},
};

static void messages_get_the_form_that_a_template_takes(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char object[2048];
        cllm_error err;
        cllm_chat *chat = chat_of(cases[i].source);
        snprintf(object, sizeof object, "{\"messages\": [%s]}", cases[i].messages);
        char *text = render(chat, object, 0, &err);
        if (text ? !cases[i].text || strcmp(text, cases[i].text) != 0 : cases[i].text != NULL)
            fail_msg("%s: '%s', not '%s'", cases[i].about, text ? text : err.message,
                     cases[i].text ? cases[i].text : "an error");
        free(text);
        cllm_chat_destroy(chat);
    }
}

static void a_text_can_go_on_with_the_last_message(void **state) {
    (void)state;
    cllm_error err;
    cllm_chat *chat =
        chat_of(EACH("<{{ m.role }}>{{ m.content | trim }}</>") "{% if add_generation_prompt %}<go>{% endif %}");
    char *text = render(
        chat,
        "{\"messages\": [{\"role\": \"user\", \"content\": \"a\"}, {\"role\": \"assistant\", \"content\": \"b \"}], "
        "\"continue_final_message\": true, \"add_generation_prompt\": true}",
        CLLM_RENDER_AS_IS, &err);
    assert_string_equal(text, "<user>a</><assistant>b ");
    free(text);
    assert_null(render(chat, "{\"messages\": [], \"continue_final_message\": true}", 0, &err));
    assert_int_equal(err.status, CLLM_ERR_ARGUMENT);
    cllm_chat_destroy(chat);
    chat = chat_of("nothing of it");
    assert_null(render(chat, "{\"messages\": [{\"content\": \"a\"}], \"continue_final_message\": true}", 0, &err));
    assert_int_equal(err.status, CLLM_ERR_ARGUMENT);
    cllm_chat_destroy(chat);
}

static void reasoning_is_turned_off_by_the_templates_own_variable(void **state) {
    static const char *const sources[][2] = {
        {"{{ 'no' if enable_thinking is defined and not enable_thinking else 'yes' }}", "no"},
        {"{{ 'no' if thinking is false else 'yes' }}", "no"},
        {"{% if reasoning_effort == 'none' %}no{% else %}yes{% endif %}", "no"},
        {"{% if reasoning_effort not in ['high', 'low', 'no_think'] %}{{ raise_exception('x') }}{% endif %}{{ "
         "reasoning_effort }}",
         "no_think"},
        {"{{ reasoning_effort }}", "low"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof sources / sizeof *sources; i++) {
        cllm_error err;
        cllm_chat *chat = chat_of(sources[i][0]);
        char *text = render(chat, "{}", CLLM_RENDER_NO_REASONING, &err);
        assert_non_null(text);
        assert_string_equal(text, sources[i][1]);
        free(text);
        cllm_chat_destroy(chat);
    }
}

/* ------------------------------------------------------------------------------------------------ vocabularies */

typedef struct vocabulary {
    cllm_gguf *gguf;
    cllm_tokenizer *tokenizer;
} vocabulary;

static bool open_vocabulary(const char *name, vocabulary *v) {
    cllm_error err;
    if (!shared_file(name)) return false;
    assert_ok(cllm_gguf_open(shared_file(name), NULL, &v->gguf, &err), &err);
    assert_ok(cllm_tokenizer_create(v->gguf, &v->tokenizer, &err), &err);
    return true;
}

static void close_vocabulary(vocabulary *v) {
    cllm_tokenizer_destroy(v->tokenizer);
    cllm_gguf_close(v->gguf);
}

static void a_file_without_a_template_gets_its_familys(void **state) {
    static const char *const files[][2] = {{"vocab/ggml-vocab-qwen2.gguf", "ChatML"},
                                           {"vocab/ggml-vocab-llama-bpe.gguf", "Llama 3"},
                                           {"vocab/ggml-vocab-command-r.gguf", "Command R"},
                                           {"vocab/ggml-vocab-phi-3.gguf", "Phi-3"},
                                           {"vocab/ggml-vocab-gpt-2.gguf", NULL}};
    size_t n = 0;
    (void)state;
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        vocabulary v;
        cllm_chat *chat;
        cllm_error err;
        if (!open_vocabulary(files[i][0], &v)) continue;
        const cllm_chat_options options = {.gguf = v.gguf, .tokenizer = v.tokenizer};
        const bool own = cllm_gguf_find(v.gguf, "tokenizer.chat_template");
        const cllm_status status = cllm_chat_create(&options, &chat, &err);
        if (files[i][1] && !own) {
            assert_ok(status, &err);
            if (!strstr(cllm_chat_note(chat), files[i][1])) fail_msg("%s: '%s'", files[i][0], cllm_chat_note(chat));
        } else if (!own) {
            assert_int_equal(status, CLLM_ERR_UNSUPPORTED);
        }
        cllm_chat_destroy(chat);
        close_vocabulary(&v);
        n++;
    }
    if (n == 0) skip();
}

static void every_familys_template_renders(void **state) {
    static const char *const names[] = {"chatml", "command-r", "deepseek", "gemma",   "gemma4",
                                        "glm4",   "granite",   "llama3",   "mistral", "phi3"};
    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const cllm_chat_options options = {.name = names[i]};
        cllm_chat *chat;
        cllm_error err;
        assert_ok(cllm_chat_create(&options, &chat, &err), &err);
        char *text =
            render(chat,
                   "{\"bos_token\": \"<s>\", \"eos_token\": \"</s>\", \"add_generation_prompt\": true, \"messages\": "
                   "[{\"role\": \"system\", \"content\": \"one\"}, {\"role\": \"user\", \"content\": \"two\"}, "
                   "{\"role\": \"assistant\", \"content\": \"three\"}, {\"role\": \"user\", \"content\": \"four\"}]}",
                   0, &err);
        assert_non_null(text);
        const char *at = text, *const said[] = {"one", "two", "three", "four"};
        for (size_t k = 0; k < 4; k++) {
            at = strstr(at, said[k]);
            assert_non_null(at);
        }
        free(text);
        cllm_chat_destroy(chat);
    }
}

/* ------------------------------------------------------------------------------------------------- transcripts */

static void set(cllm_transcript *t, const cllm_part *parts, size_t n) {
    cllm_error err;
    assert_ok(cllm_transcript_set(t, parts, n, &err), &err);
}

/* Checks that the ids of a transcript are those of `first`, encoded in one piece, then those that were generated, and
 * then those of `second`, encoded as its continuation. */
static void assert_ids(const cllm_tokenizer *tokenizer, const cllm_transcript *t, const int32_t *generated,
                       size_t n_generated, const cllm_part *first, size_t n_first, const cllm_part *second,
                       size_t n_second) {
    const int32_t *ids = cllm_transcript_tokens(t);
    int32_t *encoded;
    size_t count, n = 0;
    cllm_error err;
    assert_ok(cllm_tokenizer_encode_parts(tokenizer, first, n_first, CLLM_ENCODE_ADD_SPECIAL, &encoded, &count, &err),
              &err);
    assert_true(count <= cllm_transcript_n_tokens(t));
    assert_memory_equal(ids, encoded, count * sizeof *ids);
    n = count;
    cllm_free(encoded);
    assert_true(n + n_generated <= cllm_transcript_n_tokens(t));
    assert_memory_equal(ids + n, generated, n_generated * sizeof *ids);
    n += n_generated;
    assert_ok(cllm_tokenizer_encode_parts(tokenizer, second, n_second, CLLM_ENCODE_GOES_ON, &encoded, &count, &err),
              &err);
    assert_int_equal(n + count, cllm_transcript_n_tokens(t));
    assert_memory_equal(ids + n, encoded, count * sizeof *ids);
    cllm_free(encoded);
}

#define PART(trust, words)                    \
    {                                         \
        (trust), { words, sizeof(words) - 1 } \
    }

static void a_transcript_keeps_ids(void **state) {
    static const char *const files[] = {"vocab/ggml-vocab-llama-bpe.gguf", "vocab/ggml-vocab-llama-spm.gguf",
                                        "vocab/ggml-vocab-qwen2.gguf"};
    size_t n_files = 0;
    (void)state;
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        vocabulary v;
        cllm_error err;
        cllm_transcript *t;
        if (!open_vocabulary(files[i], &v)) continue;
        n_files++;
        assert_ok(cllm_transcript_create(v.tokenizer, &t, &err), &err);
        const int32_t eos = cllm_tokenizer_eos(v.tokenizer);
        const cllm_string end = cllm_tokenizer_piece(v.tokenizer, eos);
        /* letter by letter: a model might draw this, but no encoder would */
        int32_t *drawn = malloc(5 * sizeof *drawn);
        for (size_t k = 0; k < 5; k++) {
            int32_t *one;
            size_t count;
            const cllm_part letter = {false, {&"Hello"[k], 1}};
            assert_ok(cllm_tokenizer_encode_parts(v.tokenizer, &letter, 1, CLLM_ENCODE_GOES_ON, &one, &count, &err),
                      &err);
            assert_int_equal(count, 1);
            drawn[k] = one[0];
            cllm_free(one);
        }
        const cllm_part prompt[] = {PART(true, "user: "), PART(false, "Hi"), PART(true, " bot:")};
        set(t, prompt, 3);
        assert_ids(v.tokenizer, t, NULL, 0, prompt, 3, NULL, 0);
        assert_ok(cllm_transcript_append(t, drawn, 5, &err), &err);
        /* the answer stays as it was drawn, and the next question follows */
        const cllm_part next[] = {PART(true, "user: "), PART(false, "Hi"),      PART(true, " bot:"),
                                  PART(false, "Hello"), PART(true, "\nuser: "), PART(false, "Bye")};
        const cllm_part rest[] = {PART(true, "\nuser: "), PART(false, "Bye")};
        set(t, next, 6);
        assert_ids(v.tokenizer, t, drawn, 5, prompt, 3, rest, 2);
        /* another question replaces this one: nothing of the old one is left */
        const cllm_part other[] = {PART(true, "user: "), PART(false, "Hi"),      PART(true, " bot:"),
                                   PART(false, "Hello"), PART(true, "\nuser: "), PART(false, "Bygone")};
        const cllm_part other_rest[] = {PART(true, "\nuser: "), PART(false, "Bygone")};
        set(t, other, 6);
        assert_ids(v.tokenizer, t, drawn, 5, prompt, 3, other_rest, 2);
        /* the template has cut the answer, and a special token follows: the remaining part of the answer is kept */
        const cllm_part cut[] = {
            PART(true, "user: "), PART(false, "Hi"), PART(true, " bot:"), PART(false, "Hel"), {true, end}};
        const cllm_part cut_rest[] = {{true, end}};
        set(t, cut, 5);
        assert_ids(v.tokenizer, t, drawn, 3, prompt, 3, cut_rest, 1);
        /* plain text follows instead: the whole answer is encoded anew */
        set(t, prompt, 3);
        assert_ok(cllm_transcript_append(t, drawn, 5, &err), &err);
        const cllm_part plain[] = {PART(true, "user: "), PART(false, "Hi"), PART(true, " bot:"), PART(false, "Help")};
        const cllm_part plain_rest[] = {PART(false, "Help")};
        set(t, plain, 4);
        assert_ids(v.tokenizer, t, NULL, 0, prompt, 3, plain_rest, 1);
        /* in the prompt the template writes the role, later a message does. It is not a special token, so the text is
         * the same */
        const cllm_part role[] = {PART(true, "user: "),   PART(false, "Hi"), PART(true, " "),
                                  PART(false, "bot"),     PART(true, ":"),   PART(false, "Hello"),
                                  PART(true, "\nuser: "), PART(false, "Bye")};
        set(t, prompt, 3);
        assert_ok(cllm_transcript_append(t, drawn, 5, &err), &err);
        set(t, role, 8);
        assert_ids(v.tokenizer, t, drawn, 5, prompt, 3, rest, 2);
        /* drawn letters that spell a special token are text: the template's special token does not match them */
        int32_t *letters;
        size_t n_letters;
        const cllm_part spelled[] = {{false, end}};
        assert_ok(cllm_tokenizer_encode_parts(v.tokenizer, spelled, 1, CLLM_ENCODE_GOES_ON, &letters, &n_letters, &err),
                  &err);
        set(t, prompt, 3);
        assert_ok(cllm_transcript_append(t, letters, n_letters, &err), &err);
        const cllm_part ended[] = {PART(true, "user: "), PART(false, "Hi"), PART(true, " bot:"), {true, end}};
        set(t, ended, 4);
        assert_int_equal(cllm_transcript_tokens(t)[cllm_transcript_n_tokens(t) - 1], eos);
        cllm_free(letters);
        /* and the other way round: if a user writes it there, it is not a special token */
        const cllm_part copied[] = {PART(true, "user: "), PART(false, "Hi"), PART(true, " bot:"), {false, end}};
        set(t, copied, 4);
        for (size_t k = 1; k < cllm_transcript_n_tokens(t); k++)
            assert_int_not_equal(cllm_transcript_tokens(t)[k], eos);
        set(t, NULL, 0);
        assert_int_equal(cllm_transcript_n_tokens(t), cllm_tokenizer_adds_bos(v.tokenizer));
        cllm_transcript *fresh;
        assert_ok(cllm_transcript_create(v.tokenizer, &fresh, &err), &err);
        set(t, prompt, 3); /* after an empty list of parts, the next text is like the first */
        set(fresh, prompt, 3);
        assert_int_equal(cllm_transcript_n_tokens(t), cllm_transcript_n_tokens(fresh));
        assert_memory_equal(cllm_transcript_tokens(t), cllm_transcript_tokens(fresh),
                            cllm_transcript_n_tokens(t) * sizeof(int32_t));
        cllm_transcript_destroy(fresh);
        free(drawn);
        cllm_transcript_destroy(t);
        close_vocabulary(&v);
    }
    if (n_files == 0) skip();
}

/* A token that adds no text may be the first one. UBSan reports a memcpy of 0 bytes to NULL. */
static void a_transcript_begins_with_a_token_without_text(void **state) {
    const int32_t space = 29871; /* it is left out at the beginning of a text */
    vocabulary v;
    cllm_error err;
    cllm_transcript *t;
    (void)state;
    if (!open_vocabulary("vocab/ggml-vocab-llama-spm.gguf", &v)) {
        skip();
        return;
    }
    assert_int_equal(cllm_tokenizer_decode(v.tokenizer, -1, space).length, 0);
    assert_ok(cllm_transcript_create(v.tokenizer, &t, &err), &err);
    assert_ok(cllm_transcript_append(t, &space, 1, &err), &err);
    assert_int_equal(cllm_transcript_n_tokens(t), 1);
    assert_int_equal(cllm_transcript_tokens(t)[0], space);
    cllm_transcript_destroy(t);
    close_vocabulary(&v);
}

static void begin_tokens_are_never_doubled(void **state) {
    vocabulary v;
    (void)state;
    if (!open_vocabulary("vocab/ggml-vocab-llama-spm.gguf", &v)) {
        skip();
        return;
    }
    const cllm_part texts[][2] = {{PART(true, "<s>"), PART(false, "Hi")},
                                  {PART(true, ""), PART(false, "Hi")},
                                  {PART(false, "<s>"), PART(false, "Hi")}};
    for (size_t i = 0; i < 3; i++) {
        int32_t *ids;
        size_t count, n_begin = 0;
        cllm_error err;
        assert_ok(cllm_tokenizer_encode_parts(v.tokenizer, texts[i], 2, CLLM_ENCODE_ADD_SPECIAL, &ids, &count, &err),
                  &err);
        for (size_t k = 0; k < count; k++) n_begin += ids[k] == cllm_tokenizer_bos(v.tokenizer);
        assert_int_equal(n_begin, 1);
        assert_int_equal(ids[0], cllm_tokenizer_bos(v.tokenizer));
        cllm_free(ids);
    }
    close_vocabulary(&v);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(messages_get_the_form_that_a_template_takes),
        cmocka_unit_test(a_text_can_go_on_with_the_last_message),
        cmocka_unit_test(reasoning_is_turned_off_by_the_templates_own_variable),
        cmocka_unit_test(a_file_without_a_template_gets_its_familys),
        cmocka_unit_test(every_familys_template_renders),
        cmocka_unit_test(a_transcript_keeps_ids),
        cmocka_unit_test(a_transcript_begins_with_a_token_without_text),
        cmocka_unit_test(begin_tokens_are_never_doubled),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
