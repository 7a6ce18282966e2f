/* Tests how answers of models are read: small answers of our own in every form (answer_cases.jsonl), answers that
 * published templates rendered, and broken answers. The result must be the same however a text is split into
 * pieces. */
#include "support/check.h"

#include "base/arena.h"
#include "base/json.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_CALLS = 64 };

typedef struct buffer {
    char *bytes; /* owned */
    size_t length, capacity;
} buffer;

static void put(buffer *b, const char *bytes, size_t length) {
    if (b->length + length + 1 > b->capacity) {
        b->capacity = 2 * (b->length + length) + 64;
        b->bytes = realloc(b->bytes, b->capacity);
        assert_non_null(b->bytes);
    }
    if (length > 0) memcpy(b->bytes + b->length, bytes, length);
    b->length += length;
    b->bytes[b->length] = '\0';
}

/* What all deltas of an answer add up to. */
typedef struct parsed {
    buffer reasoning, content, names[MOST_CALLS], ids[MOST_CALLS], arguments[MOST_CALLS];
    size_t n_calls;
} parsed;

static void free_parsed(parsed *p) {
    free(p->reasoning.bytes);
    free(p->content.bytes);
    for (size_t i = 0; i < p->n_calls; i++) {
        free(p->names[i].bytes);
        free(p->ids[i].bytes);
        free(p->arguments[i].bytes);
    }
}

static void take(cllm_answer *answer, parsed *p, const char *text, size_t length, bool ended) {
    const cllm_delta *deltas;
    size_t n;
    cllm_error err;
    assert_ok(cllm_answer_take(answer, (cllm_string){text, length}, ended, &deltas, &n, &err), &err);
    for (size_t i = 0; i < n; i++) {
        const cllm_delta *d = &deltas[i];
        if (d->kind == CLLM_DELTA_REASONING) put(&p->reasoning, d->text.data, d->text.length);
        if (d->kind == CLLM_DELTA_CONTENT) put(&p->content, d->text.data, d->text.length);
        if (d->kind == CLLM_DELTA_CALL && p->n_calls < MOST_CALLS) {
            assert_int_equal(d->call, p->n_calls);
            put(&p->names[p->n_calls], d->text.data, d->text.length);
            put(&p->ids[p->n_calls], d->id.data, d->id.length);
            put(&p->arguments[p->n_calls++], "", 0);
        }
        if (d->kind == CLLM_DELTA_ARGUMENTS && d->call < MOST_CALLS)
            put(&p->arguments[d->call], d->text.data, d->text.length);
    }
}

/* A text that is read as an answer, and the prompt before it. */
typedef struct question {
    const cllm_chat *chat;
    const cllm_part *prompt; /* one part, or NULL */
    cllm_string tools, text;
} question;

static cllm_answer *begin(const question *q) {
    cllm_answer *answer;
    cllm_error err;
    assert_ok(cllm_answer_create(q->chat, q->prompt, q->prompt != NULL, q->tools, &answer, &err), &err);
    return answer;
}

/* step: bytes of a piece; 0: drawn by `draw`. first: bytes of the first piece. */
static parsed parse(const question *q, size_t first, size_t step, uint64_t *draw) {
    cllm_answer *answer = begin(q);
    parsed p = {0};
    for (size_t at = 0, n = first; at < q->text.length || n == 0;
         at += n, n = step ? step : 1 + random_u64(draw) % 20) {
        if (n > q->text.length - at) n = q->text.length - at;
        char *piece = malloc(n + 1); /* a copy, so that a sanitizer sees a read beyond it */
        assert_non_null(piece);
        memcpy(piece, q->text.data + at, n);
        take(answer, &p, piece, n, false);
        free(piece);
    }
    take(answer, &p, "", 0, true);
    cllm_answer_destroy(answer);
    return p;
}

static bool same(const buffer *a, const buffer *b) {
    return a->length == b->length && (a->length == 0 || memcmp(a->bytes, b->bytes, a->length) == 0);
}

static bool same_parsed(const parsed *a, const parsed *b) {
    bool equal = same(&a->reasoning, &b->reasoning) && same(&a->content, &b->content) && a->n_calls == b->n_calls;
    for (size_t i = 0; equal && i < a->n_calls; i++)
        equal = same(&a->names[i], &b->names[i]) && same(&a->ids[i], &b->ids[i]) &&
                same(&a->arguments[i], &b->arguments[i]);
    return equal;
}

static void print_parsed(const char *what, const parsed *p) {
    print_message("# %s: reasoning [%s] content [%s]\n", what, p->reasoning.bytes ? p->reasoning.bytes : "",
                  p->content.bytes ? p->content.bytes : "");
    for (size_t i = 0; i < p->n_calls; i++)
        print_message("#   call %s [%s] (%s)\n", p->names[i].bytes, p->arguments[i].bytes, p->ids[i].bytes);
}

/* Reads the whole text in one piece that is marked as the last. Then reads it in two pieces, cut anywhere, and byte by
 * byte. The results must be the same. */
static parsed parse_every_way(const question *q) {
    cllm_answer *answer = begin(q);
    parsed whole = {0};
    take(answer, &whole, q->text.data, q->text.length, true);
    cllm_answer_destroy(answer);
    for (size_t cut = 0; cut <= q->text.length + 1; cut++) {
        parsed p = cut > q->text.length ? parse(q, 1, 1, NULL) : parse(q, cut, q->text.length + 1, NULL);
        if (!same_parsed(&whole, &p)) {
            print_message("# %.*s\n", (int)q->text.length, q->text.data);
            print_parsed("whole", &whole);
            print_parsed("cut", &p);
            fail_msg("cut at byte %zu it gives something else", cut);
        }
        free_parsed(&p);
    }
    return whole;
}

static cllm_chat *make_chat(const char *source, size_t length) {
    const cllm_chat_options options = {.source = {source, length}};
    cllm_chat *chat;
    cllm_error err;
    assert_ok(cllm_chat_create(&options, &chat, &err), &err);
    return chat;
}

static json_value read_json(const char *text, size_t length, arena *a) {
    json_value v;
    cllm_error err;
    assert_ok(json_read(text, length, a, &v, &err), &err);
    return v;
}

static void put_to_buffer(void *user, const char *bytes, size_t length) { put(user, bytes, length); }

static buffer json_text(const json_value *v) {
    buffer b = {0};
    json_writer w = {.put = put_to_buffer, .user = &b};
    json_write(&w, v);
    return b;
}

/* ---------------------------------------------------------------------------------------------------- our own cases */

static bool is_text(const buffer *b, const json_value *want) {
    if (!want || want->kind != JSON_STRING) return b->length == 0;
    return b->length == want->string.length && (b->length == 0 || memcmp(b->bytes, want->string.data, b->length) == 0);
}

static bool is_expected(const parsed *p, const json_value *c) {
    const json_value *calls = json_find(c, "calls");
    bool right = is_text(&p->reasoning, json_find(c, "reasoning")) && is_text(&p->content, json_find(c, "content")) &&
                 p->n_calls == calls->count;
    for (uint32_t i = 0; right && i < calls->count; i++)
        right = is_text(&p->names[i], json_find(&calls->items[i], "name")) &&
                is_text(&p->arguments[i], json_find(&calls->items[i], "arguments")) &&
                is_text(&p->ids[i], json_find(&calls->items[i], "id"));
    return right;
}

typedef struct case_file {
    arena arena;
    char *text; /* owned */
    struct {
        cllm_string name;
        cllm_chat *chat;
    } chats[64];
    size_t n_chats;
    json_value cases[512];
    size_t n_cases;
} case_file;

static void read_cases(case_file *f) {
    size_t length;
    f->text = (char *)read_file("tests/answer_cases.jsonl", &length);
    for (char *line = f->text, *end; line < f->text + length; line = end + 1) {
        end = memchr(line, '\n', (size_t)(f->text + length - line));
        assert_non_null(end);
        const json_value c = read_json(line, (size_t)(end - line), &f->arena);
        const json_value *template = json_find(&c, "template");
        assert_true(f->n_chats < 64 && f->n_cases < 512);
        if (template) {
            f->chats[f->n_chats].name = json_find(&c, "name")->string;
            f->chats[f->n_chats++].chat = make_chat(template->string.data, template->string.length);
        } else {
            f->cases[f->n_cases++] = c;
        }
    }
}

static void free_cases(case_file *f) {
    for (size_t i = 0; i < f->n_chats; i++) cllm_chat_destroy(f->chats[i].chat);
    arena_free(&f->arena);
    free(f->text);
}

static const cllm_chat *chat_of(const case_file *f, const json_value *c) {
    const cllm_string name = json_find(c, "like")->string;
    for (size_t i = 0; i < f->n_chats; i++)
        if (name.length == f->chats[i].name.length && memcmp(name.data, f->chats[i].name.data, name.length) == 0)
            return f->chats[i].chat;
    fail_msg("no template %.*s", (int)name.length, name.data);
    return NULL;
}

static void answers_are_read_in_every_form(void **state) {
    (void)state;
    case_file f = {.n_chats = 0};
    size_t n_wrong = 0;
    read_cases(&f);
    for (size_t i = 0; i < f.n_cases; i++) {
        const json_value *c = &f.cases[i], *tools = json_find(c, "tools"), *prompt = json_find(c, "prompt");
        buffer list = {0};
        if (tools) list = json_text(tools);
        const cllm_part part = {true, prompt ? prompt->string : (cllm_string){"", 0}};
        const question q = {
            chat_of(&f, c), prompt ? &part : NULL, {list.bytes, list.length}, json_find(c, "answer")->string};
        parsed p = parse_every_way(&q);
        if (!is_expected(&p, c)) {
            buffer text = json_text(c);
            print_message("# %s\n", text.bytes);
            print_parsed("got", &p);
            free(text.bytes);
            n_wrong++;
        }
        free_parsed(&p);
        free(list.bytes);
    }
    assert_true(f.n_cases > 70);
    assert_int_equal(n_wrong, 0);
    free_cases(&f);
}

/* ---------------------------------------------------------------------------------------------- published templates */

#define TOOLS                                                                                                       \
    "[{\"type\": \"function\", \"function\": {\"name\": \"get_weather\", \"description\": \"d\", \"parameters\": "  \
    "{\"type\": \"object\", \"properties\": {\"city\": {\"type\": \"string\", \"description\": \"c\"}, \"zip\": "   \
    "{\"type\": \"string\", \"description\": \"z\"}, \"days\": {\"type\": \"integer\", \"description\": \"n\"}, "   \
    "\"sure\": {\"type\": \"boolean\", \"description\": \"s\"}, \"more\": {\"type\": \"object\", \"description\": " \
    "\"m\"}}, \"required\": [\"city\"]}}}, {\"type\": \"function\", \"function\": {\"name\": \"look_up\", "         \
    "\"description\": \"d\", \"parameters\": {\"type\": \"object\", \"properties\": {\"query\": {\"type\": "        \
    "\"string\", \"description\": \"q\"}}, \"required\": [\"query\"]}}}]"
#define FIRST "{\"city\": \"Paris\", \"days\": 3}"
#define HARD                                                                                                   \
    "{\"zip\": \"02134\", \"more\": {\"a\": [1, 2.5, \"x\"], \"b\": {\"c\": \"d\"}}, \"days\": -4, \"city\": " \
    "\"Z\\u00fcrich \\u2603 <b>&</b> \\\"q\\\"\\n  end\"}"
#define SECOND "{\"query\": \"a < b {x} [y]\"}"

/* Conversations: the last message's reasoning, content, and names and arguments of calls. */
static const struct conversation {
    const char *reasoning, *content, *calls[4];
} conversations[] = {
    {NULL, "Hello, world!\\nIt is <b>.", {NULL}},
    {"I see,\\nyes.", "Hello, world!", {NULL}},
    {NULL, "", {"get_weather", FIRST}},
    {NULL, "I will look.", {"look_up", SECOND}},
    {"I must look.", "", {"look_up", SECOND}},
    {"I must look.", "So I do.", {"get_weather", FIRST}},
    {NULL, "", {"get_weather", HARD}},
    {NULL, "", {"get_weather", FIRST, "look_up", SECOND}},
};

static buffer render(const cllm_chat *chat, const char *message, bool prompt) {
    char text[8192];
    buffer out = {0};
    cllm_part *parts;
    size_t n;
    snprintf(text, sizeof text,
             "{\"messages\": [{\"role\": \"user\", \"content\": \"QUESTION\"}%s], \"tools\": " TOOLS
             ", \"bos_token\": \"\", \"eos_token\": \"\", \"add_generation_prompt\": %s}",
             message, prompt ? "true" : "false");
    const cllm_string object = {text, strlen(text)};
    if (cllm_chat_render(chat, &object, 1, CLLM_RENDER_AS_IS, 1767323045, &parts, &n, NULL) != CLLM_OK) return out;
    for (size_t i = 0; i < n; i++) put(&out, parts[i].text.data, parts[i].text.length);
    cllm_free(parts);
    return out;
}

static void write_message(const struct conversation *c, bool quoted, char *text, size_t size) {
    char calls[4096] = "";
    for (int i = 0; i < 4 && c->calls[i]; i += 2) {
        buffer arguments = {0};
        if (quoted) {
            json_writer w = {.put = put_to_buffer, .user = &arguments};
            put(&arguments, "\"", 1);
            json_put_escaped(&w, c->calls[i + 1], strlen(c->calls[i + 1]));
            put(&arguments, "\"", 1);
        } else {
            put(&arguments, c->calls[i + 1], strlen(c->calls[i + 1]));
        }
        snprintf(
            calls + strlen(calls), sizeof calls - strlen(calls),
            "%s{\"id\": \"call0000%d\", \"type\": \"function\", \"function\": {\"name\": \"%s\", \"arguments\": %s}}",
            i ? ", " : "", i, c->calls[i], arguments.bytes);
        free(arguments.bytes);
    }
    snprintf(text, size, ", {\"role\": \"assistant\", \"content\": \"%s\"%s%s%s%s%s%s}", c->content,
             c->reasoning ? ", \"reasoning_content\": \"" : "", c->reasoning ? c->reasoning : "",
             c->reasoning ? "\"" : "", *calls ? ", \"tool_calls\": [" : "", calls, *calls ? "]" : "");
}

static bool same_json(const json_value *a, const json_value *b) {
    if (a->kind != b->kind || (a->kind >= JSON_ARRAY && a->count != b->count)) return false;
    if (a->kind == JSON_OBJECT)
        for (uint32_t i = 0; i < a->count; i++) {
            char name[64];
            snprintf(name, sizeof name, "%.*s", (int)a->members[i].name.length, a->members[i].name.data);
            const json_value *other = json_find(b, name);
            if (!other || !same_json(&a->members[i].value, other)) return false;
        }
    if (a->kind == JSON_ARRAY)
        for (uint32_t i = 0; i < a->count; i++)
            if (!same_json(&a->items[i], &b->items[i])) return false;
    if (a->kind >= JSON_ARRAY) return true;
    buffer x = json_text(a), y = json_text(b);
    const bool equal = same(&x, &y);
    free(x.bytes);
    free(y.bytes);
    return equal;
}

static char *unescaped(const char *text, arena *a) {
    char quoted[256];
    snprintf(quoted, sizeof quoted, "\"%s\"", text);
    const cllm_string s = read_json(quoted, strlen(quoted), a).string;
    char *copy = arena_string(a, s.data, s.length);
    assert_non_null(copy);
    return copy;
}

/* True if the answer that was read is the one that was rendered. Parts that the template leaves out do not count. */
static bool comes_back(const struct conversation *c, const char *answer, const parsed *p, arena *a) {
    const char *reasoning = c->reasoning ? unescaped(c->reasoning, a) : "", *content = unescaped(c->content, a);
    if (!strstr(answer, reasoning)) reasoning = "";
    if (!strstr(answer, content)) content = "";
    if (!*reasoning && *content &&
        strstr(answer, "<|channel|>analysis")) { /* text before a call counts as reasoning here */
        reasoning = content;
        content = "";
    }
    if (strcmp(p->reasoning.bytes ? p->reasoning.bytes : "", reasoning) != 0) return false;
    if (strcmp(p->content.bytes ? p->content.bytes : "", content) != 0) return false;
    size_t n = 0;
    for (; n < 2 && c->calls[2 * n] && strstr(answer, c->calls[2 * n]); n++) {
        if (n >= p->n_calls || strcmp(p->names[n].bytes, c->calls[2 * n]) != 0) return false;
        json_value got;
        const json_value want = read_json(c->calls[2 * n + 1], strlen(c->calls[2 * n + 1]), a);
        if (json_read(p->arguments[n].bytes, p->arguments[n].length, a, &got, NULL) != CLLM_OK ||
            !same_json(&want, &got))
            return false;
    }
    return p->n_calls == n;
}

/* The length of the common beginning. If that is not the whole prompt, it is shortened so that it ends with one of the
 * characters > ] : and newline, with which marks end. */
static size_t common_prefix(const buffer *prompt, const buffer *text) {
    size_t n = 0;
    while (n < prompt->length && n < text->length && prompt->bytes[n] == text->bytes[n]) n++;
    while (n < prompt->length && n > 0 && !strchr(">]\n:", prompt->bytes[n - 1])) n--;
    return n;
}

typedef void (*use_answer)(const question *q, const struct conversation *c, const char *name, void *user);

/* Calls `use` for each conversation with each template of the shared folder that can render it. Returns how many calls
 * were made. */
static size_t each_rendered(use_answer use, void *user) {
    const char *path = shared_file("templates");
    DIR *folder = path ? opendir(path) : NULL;
    size_t n = 0;
    if (!folder) return 0;
    for (struct dirent *entry; (entry = readdir(folder));) {
        char name[512];
        const char *ending = strrchr(entry->d_name, '.');
        if (!ending || strcmp(ending, ".jinja") != 0) continue;
        snprintf(name, sizeof name, "templates/%s", entry->d_name);
        size_t length;
        char *source = (char *)read_file(shared_file(name), &length);
        cllm_chat *chat = make_chat(source, length);
        buffer prompt = render(chat, "", true);
        for (size_t i = 0; i < sizeof conversations / sizeof *conversations; i++) {
            const struct conversation *c = &conversations[i];
            char message[8192];
            write_message(c, false, message, sizeof message);
            buffer text = render(chat, message, false);
            const bool poor = !text.bytes || strstr(text.bytes, "{'") || strstr(text.bytes, "{\\\"");
            if (poor && c->calls[0]) { /* arguments as text */
                free(text.bytes);
                write_message(c, true, message, sizeof message);
                text = render(chat, message, false);
            }
            if (text.bytes && prompt.bytes && strstr(text.bytes, "QUESTION")) {
                const size_t from = common_prefix(&prompt, &text);
                const cllm_part part = {true, {text.bytes, from}};
                const question q = {chat, &part, {TOOLS, sizeof TOOLS - 1}, {text.bytes + from, text.length - from}};
                use(&q, c, entry->d_name, user);
                n++;
            }
            free(text.bytes);
        }
        free(prompt.bytes);
        cllm_chat_destroy(chat);
        free(source);
    }
    closedir(folder);
    return n;
}

static void check_answer(const question *q, const struct conversation *c, const char *name, void *user) {
    arena a = {0};
    parsed p = parse_every_way(q);
    if (!comes_back(c, q->text.data, &p, &a)) {
        print_message("# %s: %.*s\n", name, (int)q->text.length, q->text.data);
        print_parsed("got", &p);
        ++*(size_t *)user;
    }
    free_parsed(&p);
    arena_free(&a);
}

static void rendered_conversations_come_back(void **state) {
    (void)state;
    size_t n_wrong = 0;
    const size_t n = each_rendered(check_answer, &n_wrong);
    if (n == 0) skip();
    print_message("# %zu conversations\n", n);
    assert_int_equal(n_wrong, 0);
}

/* --------------------------------------------------------------------------------------------------- broken answers */

typedef struct pool {
    uint64_t draw;
    size_t n, each;
} pool;

/* A copy of the text with up to four random changes: a part is left out or doubled, a mark is put in, or bytes are
 * replaced. */
static buffer mutate(cllm_string text, uint64_t *draw) {
    static const char *const marks[] = {"<tool_call>",
                                        "</tool_call>",
                                        "<think>",
                                        "</think>",
                                        "{\"name\": \"f\"",
                                        "<|im_end|>",
                                        "\"",
                                        "}",
                                        "]",
                                        "[",
                                        ",",
                                        "\n",
                                        "<|message|>",
                                        "<",
                                        "\xC3",
                                        "\xF0\x9F",
                                        "\\",
                                        "'"};
    buffer b = {0};
    put(&b, text.data, text.length);
    for (size_t k = 1 + random_u64(draw) % 4; k-- > 0;) {
        buffer next = {0};
        const size_t at = random_u64(draw) % (b.length + 1), left = b.length - at,
                     n = left > 0 ? random_u64(draw) % (left < 40 ? left : 40) : 0;
        put(&next, b.bytes, at);
        switch (random_u64(draw) % 4) {
        case 0: break; /* leave it out */
        case 1:
            put(&next, b.bytes + at, n);
            put(&next, b.bytes + at, n);
            break;
        case 2: {
            const char *mark = marks[random_u64(draw) % (sizeof marks / sizeof *marks)];
            put(&next, mark, strlen(mark));
            put(&next, b.bytes + at, n);
            break;
        }
        default:
            for (size_t i = 0; i < n % 8; i++) {
                const char byte = (char)random_u64(draw);
                put(&next, &byte, 1);
            }
        }
        put(&next, b.bytes + at + n, left - n);
        free(b.bytes);
        b = next;
    }
    return b;
}

static void check_broken(const question *q, const struct conversation *c, const char *name, void *user) {
    pool *all = user;
    (void)c;
    for (size_t i = 0; i < all->each; i++, all->n++) {
        buffer text = mutate(q->text, &all->draw);
        question broken = *q;
        broken.text = (cllm_string){text.bytes, text.length};
        if (i % 2) broken.tools.length = 0;
        parsed a = parse(&broken, text.length, 1, NULL), b = parse(&broken, 1, 0, &all->draw);
        if (!same_parsed(&a, &b)) {
            print_message("# %s: %s\n", name, text.bytes);
            print_parsed("whole", &a);
            print_parsed("cut", &b);
            fail_msg("pieces give something else than the whole");
        }
        free_parsed(&a);
        free_parsed(&b);
        free(text.bytes);
    }
}

static void broken_answers_are_content(void **state) {
    (void)state;
    pool all = {.draw = test_seed(), .each = 30};
    case_file f = {.n_chats = 0};
    read_cases(&f);
    if (each_rendered(check_broken, &all) == 0) print_message("# without published templates\n");
    while (all.n < 10000)
        for (size_t i = 0; i < f.n_cases; i++) {
            const json_value *c = &f.cases[i];
            const question q = {chat_of(&f, c), NULL, {TOOLS, sizeof TOOLS - 1}, json_find(c, "answer")->string};
            check_broken(&q, NULL, "a case", &all);
        }
    print_message("# %zu answers\n", all.n);
    free_cases(&f);
}

/* Calls as long as a book, in pieces of 8 bytes. If the time grew with the square of the length, the test would take
 * too long. */
static void long_calls_are_read_in_linear_time(void **state) {
    (void)state;
    case_file f = {.n_chats = 0};
    read_cases(&f);
    static const char *const like[] = {"{\"like\": \"hermes\"}", "{\"like\": \"functions\"}"},
                             *const opening[] = {"<tool_call>{\"name\": \"f\", \"arguments\": {\"a\": \"",
                                                 "<tool_call>\n<function=f>\n<parameter=a>\n"},
                             *const closing[] = {"\"}}</tool_call>", "\n</parameter>\n</function>\n</tool_call>"};
    for (int i = 0; i < 2; i++) {
        const json_value c = read_json(like[i], strlen(like[i]), &f.arena);
        buffer text = {0};
        put(&text, opening[i], strlen(opening[i]));
        const size_t n = test_sanitized() ? 10000 : 100000;
        for (size_t k = 0; k < n; k++) put(&text, "words  \\\\ ", 9);
        put(&text, closing[i], strlen(closing[i]));
        const question q = {chat_of(&f, &c), NULL, {"", 0}, {text.bytes, text.length}};
        parsed p = parse(&q, 8, 8, NULL);
        assert_int_equal(p.n_calls, 1);
        assert_true(p.arguments[0].length > 9 * n && p.content.length == 0);
        free_parsed(&p);
        free(text.bytes);
    }
    free_cases(&f);
}

/* Checks what one piece gives at once: texts and arguments, one after the other. */
static void check_piece(cllm_answer *answer, const char *piece, const char *want) {
    buffer got = {0};
    const cllm_delta *deltas;
    size_t n;
    cllm_error err;
    assert_ok(cllm_answer_take(answer, (cllm_string){piece, strlen(piece)}, false, &deltas, &n, &err), &err);
    put(&got, "", 0);
    for (size_t i = 0; i < n; i++) {
        static const char *const kinds[] = {"r:", "c:", "f:", "a:"};
        put(&got, kinds[deltas[i].kind], 2);
        put(&got, deltas[i].text.data, deltas[i].text.length);
    }
    assert_string_equal(got.bytes, want);
    free(got.bytes);
}

static void what_is_certain_comes_at_once(void **state) {
    (void)state;
    static const struct {
        const char *like, *pieces[16][2];
    } all[] = {
        {"{\"like\": \"hermes\"}",
         {{"Hello, wor", "c:Hello, wor"},
          {"ld. \n", "c:ld."},
          {"<tool", ""},
          {"s>", "c: \n<tools>"},
          {"<tool_call>{\"name\": \"f\", ", ""},
          {"\"arguments\": {", "f:fa:{"},
          {"\"a\": \"wor", "a:\"a\": \"wor"},
          {"ds\"}", "a:ds\"}"}}},
        {"{\"like\": \"think\"}", {{"I ", "r:I"}, {"see", "r: see"}, {"\n</think>", ""}, {"\n\nYes", "c:Yes"}}},
        {"{\"like\": \"typed\"}",
         {{"<calls>\n<invoke name=\"f\">\n<parameter name=\"a\" string=\"true\">", "f:fa:{\"a\": \""},
          {"many words come one by one", "a:many words come one by "},
          {"</parameter>\n<", ""},
          {"/invoke>", "a:one\"}"}}},
    };
    case_file f = {.n_chats = 0};
    read_cases(&f);
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        const json_value c = read_json(all[i].like, strlen(all[i].like), &f.arena);
        const question q = {chat_of(&f, &c), NULL, {"", 0}, {"", 0}};
        cllm_answer *answer = begin(&q);
        for (int k = 0; k < 16 && all[i].pieces[k][0]; k++)
            check_piece(answer, all[i].pieces[k][0], all[i].pieces[k][1]);
        cllm_answer_destroy(answer);
    }
    free_cases(&f);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_are_read_in_every_form),     cmocka_unit_test(rendered_conversations_come_back),
        cmocka_unit_test(broken_answers_are_content),         cmocka_unit_test(what_is_certain_comes_at_once),
        cmocka_unit_test(long_calls_are_read_in_linear_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
