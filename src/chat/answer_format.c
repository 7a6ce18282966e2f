/* Finds out the format of a model's answers. Before it: the chat's template. After it: answer.c, which reads answers.
 *
 * It renders conversations whose words it knows, and looks at the text around these words. If a template never writes
 * calls, the marks that its source mentions tell their form. */
#include "chat/answer_format.h"

#include "base/error.h"
#include "base/utf8.h"
#include "chat/chat.h"

#include <stdio.h>
#include <string.h>

/* The texts of the known conversations. */
#define USER      "question-of-the-user"
#define REASON    "thoughts-before"
#define CONTENT   "words-to-the-user"
#define NAME      ANSWER_NAME
#define NAME_2    "second_tool"
#define KEY       ANSWER_KEY
#define VALUE     "alpha-value"
#define KEY_2     "beta_key"
#define VALUE_2   "17171"
#define ID        "call00001"
#define ID_2      "call00002"
#define ARGUMENTS "{\"" KEY "\": \"" VALUE "\", \"" KEY_2 "\": " VALUE_2 "}"
#define QUOTED    "\"{\\\"" KEY "\\\": \\\"" VALUE "\\\", \\\"" KEY_2 "\\\": " VALUE_2 "}\""
#define CALL(id, name, arguments) \
    "{\"id\": \"" id "\", \"type\": \"function\", \"function\": {\"name\": \"" name "\", \"arguments\": " arguments "}}"
#define TOOL(name)                                                                                                  \
    "{\"type\": \"function\", \"function\": {\"name\": \"" name "\", \"description\": \"d\", \"parameters\": "      \
    "{\"type\": \"object\", \"properties\": {\"" KEY "\": {\"type\": \"string\", \"description\": \"d\"}, \"" KEY_2 \
    "\": {\"type\": \"integer\", \"description\": \"d\"}}, \"required\": [\"" KEY "\"]}}}"
#define TOOLS     "[" TOOL(NAME) ", " TOOL(NAME_2) "]"
#define REASONING "\"reasoning_content\": \"" REASON "\", \"reasoning\": \"" REASON "\", \"thinking\": \"" REASON "\""

static const char space_characters[] = " \t\r\n";
static const size_t nowhere = SIZE_MAX;

/* ------------------------------------------------------------------------------------------- pieces of text */

static cllm_string text_of(const char *terminated) { return (cllm_string){terminated, strlen(terminated)}; }

static cllm_string cut(cllm_string s, size_t from, size_t end) { return (cllm_string){s.data + from, end - from}; }
static cllm_string rest(cllm_string s, size_t from) { return cut(s, from, s.length); }

static size_t find(cllm_string s, size_t from, cllm_string part) {
    for (size_t i = from; part.length > 0 && i + part.length <= s.length; i++)
        if (memcmp(s.data + i, part.data, part.length) == 0) return i;
    return nowhere;
}

static size_t find_last(cllm_string s, cllm_string part) {
    for (size_t i = s.length; part.length > 0 && i-- > 0;)
        if (i + part.length <= s.length && memcmp(s.data + i, part.data, part.length) == 0) return i;
    return nowhere;
}

static bool holds(cllm_string s, const char *part) { return find(s, 0, text_of(part)) != nowhere; }

static bool begins_with(cllm_string s, cllm_string part) {
    return s.length >= part.length && (part.length == 0 || memcmp(s.data, part.data, part.length) == 0);
}

static bool ends_with(cllm_string s, cllm_string part) {
    return s.length >= part.length && begins_with(rest(s, s.length - part.length), part);
}

static bool equal(cllm_string a, cllm_string b) { return a.length == b.length && begins_with(a, b); }

static cllm_string space_before(cllm_string s) {
    size_t n = 0;
    while (n < s.length && char_is_one_of(s.data[n], space_characters)) n++;
    return cut(s, 0, n);
}

static cllm_string space_behind(cllm_string s) {
    size_t n = s.length;
    while (n > 0 && char_is_one_of(s.data[n - 1], space_characters)) n--;
    return rest(s, n);
}

static cllm_string trimmed(cllm_string s) {
    s = rest(s, space_before(s).length);
    return cut(s, 0, s.length - space_behind(s).length);
}

static answer_mark mark_of(cllm_string s) {
    answer_mark mark = {.text = trimmed(s), .before = space_before(s), .after = {"", 0}};
    if (mark.text.length > 0) mark.after = space_behind(s);
    return mark;
}

/* True if a mark begins or ends at `at`: a text may be cut there. */
static bool is_border(cllm_string s, size_t at) {
    return at == 0 || at == s.length || char_is_one_of(s.data[at - 1], ">]\n") || char_is_one_of(s.data[at], "<[\n");
}

static size_t common_prefix(cllm_string a, cllm_string b) {
    size_t n = 0;
    while (n < a.length && n < b.length && a.data[n] == b.data[n]) n++;
    while (n > 0 && n < b.length && !is_border(a, n)) n--;
    return n;
}

static size_t common_suffix(cllm_string a, cllm_string b) {
    size_t n = 0;
    while (n < a.length && n < b.length && a.data[a.length - 1 - n] == b.data[b.length - 1 - n]) n++;
    while (n > 0 && !char_is_one_of(a.data[a.length - n], "<[\n")) n--;
    return n;
}

/* The mark at the beginning of a text, such as "<think>", or "". */
static cllm_string first_mark(cllm_string s) {
    s = trimmed(s);
    if (s.length == 0 || !char_is_one_of(*s.data, "<[")) return (cllm_string){"", 0};
    for (size_t i = 1; i < s.length; i++) {
        if (s.data[i] == '\n') return cut(s, 0, i);
        if (s.data[i] == (*s.data == '<' ? '>' : ']')) return cut(s, 0, i + 1);
    }
    return s;
}

/* The mark at the end of a text. If words follow the mark, they are part of the result. */
static cllm_string last_mark(cllm_string s) {
    s = trimmed(s);
    for (size_t i = s.length; i-- > 0;)
        if (s.data[i] == '<' || s.data[i] == '\n' || (s.data[i] == '[' && s.data[s.length - 1] == ']'))
            return trimmed(rest(s, i));
    return s;
}

/* Cut a text at line ends and between marks. */
static answer_pieces pieces_of(cllm_string s) {
    answer_pieces pieces = {.count = 0};
    for (size_t from = 0, i = 1; i <= s.length && pieces.count < ANSWER_MOST_PIECES; i++) {
        const bool ends = i == s.length || s.data[i] == '\n' || (s.data[i - 1] == '>' && s.data[i] == '<');
        if (!ends) continue;
        const cllm_string piece = trimmed(cut(s, from, i));
        if (piece.length > 0) pieces.items[pieces.count++] = piece;
        from = i;
    }
    return pieces;
}

static void add_piece(answer_pieces *pieces, cllm_string piece) {
    for (size_t i = 0; i < pieces->count; i++)
        if (equal(pieces->items[i], piece)) return;
    if (piece.length > 0 && pieces->count < ANSWER_MOST_PIECES) pieces->items[pieces->count++] = piece;
}

/* ------------------------------------------------------------------------------------------------ rendering */

typedef struct finder {
    cllm_chat *chat;
    answer_format *format;
    cllm_string source;
    cllm_string prompt; /* the text after the user's words, of a conversation that ends with the generation prompt */
    cllm_string answer; /* the same of one that ends with an answer */
    cllm_status status;
    bool gave_up; /* the template exceeds a limit: it is not rendered again */
} finder;

enum { MOST_TEXT = 1 << 16 }; /* longest answer that is examined */

/* Render one conversation. out: the text after the user's words, in the chat's arena. Returns false if the template
 * refuses it. */
static bool render_text(finder *f, const char *conversation, cllm_string *out) {
    arena a = {0};
    json_value variables;
    cllm_part *parts = NULL;
    size_t n_parts = 0, length = 0;
    char *all = NULL;
    cllm_status status = json_read(conversation, strlen(conversation), &a, &variables, NULL);
    if (status == CLLM_OK) status = chat_render(f->chat, &variables, 1, 1767323045, &a, &parts, &n_parts, NULL);
    for (size_t i = 0; status == CLLM_OK && i < n_parts; i++) length += parts[i].text.length;
    if (status == CLLM_OK && !(all = arena_alloc(&a, length + 1, 1))) status = CLLM_ERR_MEMORY;
    length = 0;
    for (size_t i = 0; status == CLLM_OK && i < n_parts; length += parts[i++].text.length)
        memcpy(all + length, parts[i].text.data, parts[i].text.length);
    const cllm_string whole = {all, length};
    const size_t at = status == CLLM_OK ? find_last(whole, text_of(USER)) : nowhere;
    bool found = at != nowhere && length - at < MOST_TEXT;
    if (found) {
        const cllm_string after = rest(whole, at + sizeof USER - 1);
        *out = (cllm_string){arena_string(&f->chat->arena, after.data, after.length), after.length};
        if (!out->data) status = CLLM_ERR_MEMORY;
        found = out->data != NULL;
    }
    if (status == CLLM_ERR_MEMORY) f->status = status;
    f->gave_up |= status == CLLM_ERR_UNSUPPORTED;
    arena_free(&a);
    return found;
}

/* The rendered text after the user's words; "" if the template refuses the messages. */
static cllm_string render(finder *f, const char *messages, bool prompt) {
    static const char *const tools[] = {"\"tools\": " TOOLS ", \"functions\": \"[]\"", "\"tools\": null"};
    const json_value *own = &f->chat->variables;
    char text[4096];
    for (int i = 0; i < 2 && f->status == CLLM_OK && !f->gave_up; i++) {
        cllm_string out;
        snprintf(text, sizeof text,
                 "{%s%s\"messages\": [{\"role\": \"user\", \"content\": \"" USER
                 "\"}%s], %s, \"add_generation_prompt\": %s}",
                 json_find(own, "bos_token") ? "" : "\"bos_token\": \"\", ",
                 json_find(own, "eos_token") ? "" : "\"eos_token\": \"\", ", messages, tools[i],
                 prompt ? "true" : "false");
        if (render_text(f, text, &out)) return out;
    }
    return (cllm_string){"", 0};
}

/* Render an answer with calls. Their arguments have the form that the template expects. */
static cllm_string render_calls(finder *f, const char *content, const char *more) {
    static const char *const calls[] = {CALL(ID, NAME, ARGUMENTS) ", " CALL(ID_2, NAME_2, ARGUMENTS),
                                        CALL(ID, NAME, QUOTED) ", " CALL(ID_2, NAME_2, QUOTED),
                                        CALL(ID, NAME, ARGUMENTS), CALL(ID, NAME, QUOTED)};
    cllm_string poor = {"", 0};
    char message[2048];
    for (int i = 0; i < 4; i++) {
        snprintf(message, sizeof message, ", {\"role\": \"assistant\", \"content\": %s%s, \"tool_calls\": [%s]}",
                 content, more, calls[i]);
        const cllm_string text = render(f, message, false);
        if (!holds(text, NAME) || !holds(text, KEY)) continue;
        if (!holds(text, "{'" KEY) && !holds(text, "\\\"" KEY)) return text;
        if (poor.length == 0) poor = text;
    }
    return poor;
}

/* ----------------------------------------------------------------------------------------------------- text */

static bool find_reasoning_rendered(finder *f) {
    static const char *const messages[] = {
        ", {\"role\": \"assistant\", \"content\": \"" CONTENT "\", " REASONING "}",
        ", {\"role\": \"assistant\", \"content\": [{\"type\": \"thinking\", \"thinking\": \"" REASON
        "\"}, {\"type\": \"text\", \"text\": \"" CONTENT "\"}]}"};
    for (int i = 0; i < 3; i++) {
        const cllm_string text = i < 2 ? render(f, messages[i], false) : render_calls(f, "\"\"", ", " REASONING);
        const size_t at = find(text, 0, text_of(REASON));
        if (at == nowhere) continue;
        const cllm_string before = cut(text, 0, at), after = rest(text, at + sizeof REASON - 1);
        const size_t content = find(after, 0, text_of(CONTENT));
        cllm_string open = last_mark(before), close = first_mark(after);
        if (open.length == 0 || close.length == 0) continue;
        /* <|open|>think<|sep|> ... <|close|>think<|sep|> */
        const cllm_string tail = rest(trimmed(after), close.length);
        size_t word = 0;
        while (word < tail.length && tail.data[word] >= 'a' && tail.data[word] <= 'z') word++;
        const cllm_string wider = cut(trimmed(before), 0, trimmed(before).length - open.length);
        if (word > 0 && word < tail.length && tail.data[word] == '<' && ends_with(wider, cut(tail, 0, word))) {
            const cllm_string opener = last_mark(cut(wider, 0, wider.length - word));
            open = (cllm_string){opener.data, opener.length + word + open.length};
            close.length += word + first_mark(rest(tail, word)).length;
        }
        const size_t close_at = (size_t)(close.data - after.data);
        if (content < close_at + close.length) continue; /* the content is within a mark */
        f->format->reasoning_open = (answer_mark){open, {"", 0}, space_behind(before)};
        f->format->reasoning_close =
            (answer_mark){close, cut(after, 0, close_at), space_before(rest(after, close_at + close.length))};
        if (content != nowhere) f->format->content_open = mark_of(cut(after, close_at + close.length, content));
        return true;
    }
    return false;
}

static void find_reasoning(finder *f) {
    static const char *const pairs[][2] = {{"<think>", "</think>"},
                                           {"[THINK]", "[/THINK]"},
                                           {"<|START_THINKING|>", "<|END_THINKING|>"},
                                           {"<|inner_prefix|>", "<|inner_suffix|>"},
                                           {"<seed:think>", "</seed:think>"}};
    if (find_reasoning_rendered(f)) return;
    f->format->trims_reasoning = true;
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++)
        if (holds(f->source, pairs[i][1])) {
            f->format->reasoning_open = mark_of(text_of(pairs[i][0]));
            f->format->reasoning_close = mark_of(text_of(pairs[i][1]));
            f->format->reasoning_close.after = text_of("\n\n");
            return;
        }
}

bool answer_opens_reasoning(const answer_format *o, cllm_string prompt) {
    const size_t open = find_last(prompt, o->reasoning_open.text), close = find_last(prompt, o->reasoning_close.text);
    return open != nowhere && (close == nowhere || close < open);
}

static void find_content(finder *f) {
    answer_format *o = f->format;
    const cllm_string user = render(f, "", false);
    f->prompt = render(f, "", true);
    f->answer = render(f, ", {\"role\": \"assistant\", \"content\": \"" CONTENT "\"}", false);
    const cllm_string spaced = render(f, ", {\"role\": \"assistant\", \"content\": \"  " CONTENT "  \"}", false),
                      next = render(f,
                                    ", {\"role\": \"assistant\", \"content\": \"" CONTENT
                                    "\"}, {\"role\": \"user\", \"content\": \"again\"}",
                                    false);
    find_reasoning(f);
    o->opens_reasoning = answer_opens_reasoning(o, f->prompt);
    if (begins_with(f->prompt, user)) {
        o->role = trimmed(rest(f->prompt, user.length));
        const size_t open = find(o->role, 0, o->reasoning_open.text), close = find(o->role, 0, o->reasoning_close.text),
                     think = open < close ? open : close;
        if (think != nowhere) o->role = trimmed(cut(o->role, 0, think));
        if (!holds(o->role, "<") && !holds(o->role, "[")) o->role = (cllm_string){"", 0};
    }
    const size_t at = find(f->answer, 0, text_of(CONTENT)), next_at = find(next, 0, text_of(CONTENT));
    if (at != nowhere) {
        cllm_string open = rest(cut(f->answer, 0, at), common_prefix(cut(f->answer, 0, at), f->prompt));
        const size_t think = find_last(open, o->reasoning_close.text);
        if (think != nowhere)
            open = rest(open, think + o->reasoning_close.text.length);
        else if (trimmed(open).length == 0)
            o->begins = open;
        if (trimmed(open).length > 0) o->content_open = mark_of(open);
        f->answer = rest(f->answer, at + sizeof CONTENT - 1);
    }
    if (holds(spaced, CONTENT)) o->trims = !holds(spaced, "  " CONTENT) && !holds(spaced, CONTENT "  ");
    o->trims_reasoning |= o->trims;
    if (next_at == nowhere || trimmed(f->answer).length > 0) return;
    const cllm_string after = rest(next, next_at + sizeof CONTENT - 1);
    add_piece(&o->turn_end, first_mark(after));
    o->ends = space_before(after);
}

/* Find the marks that end the answer. They come after the end mark of content, if find_lead has found one. */
static void find_turn_end(finder *f) {
    answer_format *o = f->format;
    cllm_string end = rest(f->answer, 0);
    if (o->content_close.text.length > 0)
        end = rest(end, find(end, 0, o->content_close.text) + o->content_close.text.length);
    add_piece(&o->turn_end, first_mark(end));
    if (trimmed(end).length > 0 || end.length > 0) o->ends = space_before(f->answer);
    if (o->form == CALLS_BRACES) add_piece(&o->turn_end, text_of("<|tool_response>"));
    const json_value *eos = json_find(&f->chat->variables, "eos_token");
    if (eos && eos->kind == JSON_STRING) add_piece(&o->turn_end, eos->string);
}

/* ---------------------------------------------------------------------------------------------------- calls */

/* The end of the object that begins at `at`. */
static size_t end_of_object(cllm_string s, size_t at) {
    for (size_t depth = 0; at < s.length; at++) {
        if (s.data[at] == '{') depth++;
        if (s.data[at] == '}' && --depth == 0) return at + 1;
    }
    return s.length;
}

/* Read the form of a call from the end of its name on. Returns the end of its arguments, or `nowhere` if the form is
 * unknown. */
static size_t read_arguments(answer_format *o, cllm_string x, size_t name_end, size_t key) {
    const size_t value = find(x, key, text_of(VALUE)), key_2 = find(x, key, text_of(KEY_2)),
                 value_2 = key_2 == nowhere ? nowhere : find(x, key_2, text_of(VALUE_2));
    if (value == nowhere || value_2 == nowhere || value > key_2) return nowhere;
    const cllm_string before = cut(x, name_end, key), between = cut(x, value + sizeof VALUE - 1, key_2),
                      to_value = cut(x, key + sizeof KEY - 1, value),
                      to_value_2 = cut(x, key_2 + sizeof KEY_2 - 1, value_2);
    const size_t end = value_2 + sizeof VALUE_2 - 1;
    if (ends_with(before, text_of("{\""))) {
        const cllm_string open = cut(before, 0, before.length - 2);
        const size_t id = find(open, 0, text_of(ID));
        o->form = CALLS_NAME_JSON;
        o->name_end = trimmed(open);
        if (o->id_is_name && begins_with(open, text_of(":0"))) o->name_end = trimmed(rest(open, 2));
        if (id != nowhere) {
            o->id_begin = trimmed(cut(open, 0, id));
            o->name_end = trimmed(rest(open, id + sizeof ID - 1));
        }
        return end_of_object(x, key - 2);
    }
    if (ends_with(before, text_of("(")) && begins_with(to_value, text_of("="))) {
        o->form = CALLS_PYTHON;
        const size_t bracket = find(x, end, text_of(")"));
        return bracket == nowhere ? nowhere : bracket + 1;
    }
    if (ends_with(before, text_of("{"))) {
        o->form = CALLS_BRACES;
        return end_of_object(x, key - 1);
    }
    const size_t tag = find(between, 0, text_of(KEY));
    if (tag != nowhere && tag > 1 && between.data[tag - 1] == '/') { /* <key>value</key> */
        o->form = CALLS_TAGS;
        o->key_open = cut(between, 0, tag - 1);
        if (!ends_with(before, o->key_open)) return nowhere;
        o->name_end = trimmed(cut(before, 0, before.length - o->key_open.length));
        const size_t closed = find(x, end, text_of(KEY_2 ">"));
        return closed == nowhere ? nowhere : closed + sizeof KEY_2;
    }
    size_t n = 0;
    while (n < before.length && n < between.length &&
           before.data[before.length - 1 - n] == between.data[between.length - 1 - n])
        n++;
    while (n > 0 && before.data[before.length - n] != '<') n--;
    for (size_t i = n; i-- > 1;) /* if there are several marks, keep only the last one */
        if (before.data[before.length - i - 1] == '>' && before.data[before.length - i] == '<') n = i;
    if (n == 0) return nowhere;
    o->form = CALLS_KEYS;
    o->key_open = rest(before, before.length - n);
    o->name_end = trimmed(cut(before, 0, before.length - n));
    o->value_close = mark_of(cut(between, 0, between.length - n));
    o->key_close = mark_of(to_value);
    if (o->value_close.text.length == 0) return nowhere;
    if (!equal(to_value, to_value_2)) { /* string="true"> ... string="false"> */
        size_t first = 0, last = 0;
        while (first < to_value.length && first < to_value_2.length && to_value.data[first] == to_value_2.data[first])
            first++;
        while (first > 0 && to_value.data[first - 1] != '"') first--;
        last = to_value.length;
        while (last > first && to_value.data[last - 1] != '"') last--;
        if (last <= first + 1) return nowhere;
        o->type_close = rest(to_value, last - 1);
        o->is_string = cut(to_value, first, last - 1);
        const size_t quote = find(to_value_2, first, text_of("\""));
        o->not_string = quote == nowhere ? (cllm_string){"", 0} : cut(to_value_2, first, quote);
        o->key_close = (answer_mark){cut(to_value, 0, first), {"", 0}, {"", 0}};
    }
    const cllm_string after = rest(x, end);
    const size_t closed = find(after, 0, o->value_close.text);
    return closed == nowhere ? nowhere : end + closed + o->value_close.text.length;
}

/* The text that opens calls: from the end of the content or header to the first name. */
static cllm_string find_lead(finder *f, cllm_string x, size_t name) {
    answer_format *o = f->format;
    const size_t content = find(cut(x, 0, name), 0, text_of(CONTENT));
    if (content != nowhere) {
        const cllm_string after = cut(x, content + sizeof CONTENT - 1, name);
        const size_t closed = common_prefix(after, f->answer);
        if (trimmed(cut(after, 0, closed)).length == 0) {
            o->call_space = space_before(after);
            return after;
        }
        o->content_close = mark_of(cut(after, 0, closed));
        return rest(after, closed);
    }
    cllm_string lead = rest(cut(x, 0, name), common_prefix(cut(x, 0, name), f->prompt));
    const size_t think = find_last(lead, o->reasoning_close.text);
    if (think != nowhere) lead = rest(lead, think + o->reasoning_close.text.length);
    return lead;
}

/* Cut off the beginning of the JSON: `<tool_call>{"name": "` becomes `<tool_call>`. */
static cllm_string before_object(answer_format *o, cllm_string lead) {
    size_t at = find_last(lead, text_of("{"));
    if (at == nowhere) return lead;
    o->name_is_key = equal(trimmed(rest(lead, at)), text_of("{\""));
    for (size_t outer; ends_with(trimmed(cut(lead, 0, at)), text_of(":")); at = outer)
        if ((outer = find_last(cut(lead, 0, at), text_of("{"))) == nowhere) break;
    lead = trimmed(cut(lead, 0, at));
    o->in_list = ends_with(lead, text_of("["));
    return o->in_list ? cut(lead, 0, lead.length - 1) : lead;
}

/* Distinguish the marks around each call from those around all calls. between: the text between two calls. */
static void find_repeated(answer_format *o, cllm_string between) {
    o->n_outer = o->open.count;
    while (!o->in_list && o->n_outer > 0 && find(between, 0, o->open.items[o->n_outer - 1]) != nowhere) o->n_outer--;
    for (size_t at = 0; !o->in_list && o->n_inner < o->close.count; o->n_inner++) {
        at = find(between, at, o->close.items[o->n_inner]);
        if (at == nowhere) break;
    }
}

static bool find_calls_in(finder *f, cllm_string x) {
    answer_format *o = f->format;
    const size_t key = find(x, 0, text_of(KEY));
    if (key == nowhere) return false;
    const size_t name = find_last(cut(x, 0, key), text_of(NAME));
    if (name == nowhere) return false;
    cllm_string lead = find_lead(f, x, name);
    const size_t id = find(lead, 0, text_of(ID)),
                 header = o->in_messages ? find_last(lead, text_of("<|message|>")) : nowhere;
    if (header != nowhere) lead = rest(lead, header + 11);
    const cllm_string shape = trimmed(lead);
    size_t end = nowhere;
    if (shape.length > 1 && ends_with(shape, text_of("\"")) &&
        char_is_one_of(
            trimmed(cut(shape, 0, shape.length - 1)).data[trimmed(cut(shape, 0, shape.length - 1)).length - 1], ":{")) {
        o->form = CALLS_JSON;
        const size_t id_at = find(x, 0, text_of(ID));
        o->id_is_last = id_at != nowhere && id_at > key;
        const cllm_string open = before_object(o, lead);
        const size_t begin = find(x, (size_t)(open.data + open.length - x.data), text_of("{"));
        end = end_of_object(x, begin);
        if (begin < end) o->call_object = cut(x, begin, end);
        lead = open;
    } else {
        if (id != nowhere) {
            o->id_end = trimmed(rest(lead, id + sizeof ID - 1));
            lead = cut(lead, 0, id);
        }
        if (ends_with(lead, text_of("functions."))) {
            o->id_is_name = true;
            lead = cut(lead, 0, lead.length - 10);
        }
        end = read_arguments(o, x, name + sizeof NAME - 1, key);
        o->in_list = o->form == CALLS_PYTHON && ends_with(lead, text_of("["));
        if (o->in_list) lead = cut(lead, 0, lead.length - 1);
    }
    if (end == nowhere) return false;
    o->open = pieces_of(lead);
    o->bare = o->open.count == 0;
    o->prompt_opens = o->open.count > 0 && ends_with(trimmed(f->prompt), o->open.items[o->open.count - 1]);
    const size_t second = find(x, end, text_of(NAME_2));
    const cllm_string between = second == nowhere ? x : cut(x, end, second);
    if (second != nowhere) {
        const answer_format first = *o;
        answer_format again = first;
        const size_t key_2 = find(x, second, text_of(KEY)),
                     name_2 = key_2 == nowhere ? second : second + find_last(cut(x, second, key_2), text_of(NAME_2));
        if (o->form == CALLS_JSON)
            end = end_of_object(x, find_last(cut(x, 0, second), text_of("{")));
        else if (key_2 != nowhere)
            end = read_arguments(&again, x, name_2 + sizeof NAME_2 - 1, key_2);
        /* index="1" and index="2": only the beginning is equal */
        if (o->form == CALLS_KEYS && !equal(again.name_end, o->name_end)) {
            size_t n = 0;
            while (n < again.name_end.length && n < o->name_end.length && again.name_end.data[n] == o->name_end.data[n])
                n++;
            o->name_end_rest = rest(o->name_end, n);
            while (o->name_end_rest.length > 0 && char_is_one_of(*o->name_end_rest.data, "0123456789"))
                o->name_end_rest = rest(o->name_end_rest, 1);
            o->name_end.length = n;
            o->name_end_varies = true;
        }
        if (end == nowhere) {
            find_repeated(o, between);
            return true;
        }
    }
    cllm_string after = rest(x, end);
    const size_t content = find(after, 0, text_of(CONTENT));
    const size_t turn = content != nowhere ? content : after.length - common_suffix(after, f->answer);
    if (content == nowhere) add_piece(&o->turn_end, first_mark(rest(after, turn)));
    after = cut(after, 0, turn);
    while ((o->form == CALLS_JSON || o->form == CALLS_PYTHON) && after.length > 0 &&
           char_is_one_of(*trimmed(after).data, "]}"))
        after = rest(trimmed(after), 1);
    o->close = pieces_of(after);
    find_repeated(o, between);
    return true;
}

/* Assume a form of calls, for a template that never writes them: the first row whose `mentioned` is in the template's
 * source; the last row fits any. */
static void assume_calls(finder *f) {
    static const struct known {
        const char *mentioned;
        call_form form;
        const char *open, *close, *name_end;
        bool id_is_name;
    } all[] = {
        {"<|tool_call_argument_begin|>", CALLS_NAME_JSON, "<|tool_calls_section_begin|>\n<|tool_call_begin|>",
         "<|tool_call_end|>\n<|tool_calls_section_end|>", "<|tool_call_argument_begin|>", true},
        {"<｜tool▁calls▁begin｜>", CALLS_NAME_JSON,
         "<｜tool▁calls▁begin｜>\n<｜tool▁call▁begin｜>function<｜tool▁sep｜>",
         "```\n<｜tool▁call▁end｜>\n<｜tool▁calls▁end｜>", "```json", false},
        {"<|tool_list_start|>", CALLS_PYTHON, "<|tool_call_start|>", "<|tool_call_end|>", "", false},
        {"List of tools: [", CALLS_PYTHON, "<|tool_call_start|>", "<|tool_call_end|>", "", false},
        {"[func_name1(", CALLS_PYTHON, "", "", "", false},
        {"functools", CALLS_JSON, "functools", "", "", false},
        {"<|tool_call|>", CALLS_JSON, "<|tool_call|>", "", "", false},
        {"[TOOL_CALLS]", CALLS_JSON, "[TOOL_CALLS]", "", "", false},
        {"<TOOLCALL>", CALLS_JSON, "<TOOLCALL>", "</TOOLCALL>", "", false},
        {"<|python_tag|>", CALLS_JSON, "<|python_tag|>", "", "", false},
        {"", CALLS_JSON, "<tool_call>", "</tool_call>", "", false},
    };
    const struct known *row = all;
    while (!holds(f->source, row->mentioned) && *row->mentioned) row++;
    f->format->form = row->form;
    f->format->open = pieces_of(text_of(row->open));
    f->format->close = pieces_of(text_of(row->close));
    f->format->name_end = text_of(row->name_end);
    f->format->call_space = text_of("\n");
    f->format->id_is_name = row->id_is_name;
    f->format->assumed = true;
    f->format->in_list = row->form == CALLS_PYTHON;
    if (f->format->open.count > 1) { /* the first piece and the last one are around all calls */
        f->format->n_outer = 1;
        f->format->n_inner = f->format->close.count - 1;
    } else if (!f->format->in_list) {
        f->format->n_inner = f->format->close.count;
    } else {
        f->format->n_outer = f->format->open.count;
    }
    f->format->bare = !*row->open || strcmp(row->open, "<|python_tag|>") == 0;
}

static void find_calls(finder *f) {
    answer_format *o = f->format;
    static const char *const contents[] = {"\"" CONTENT "\"", "\"\"", "null"};
    const answer_format before = *o;
    for (int i = 0; i < 3; i++) {
        const cllm_string text = render_calls(f, contents[i], "");
        if (i == 0 && find(text, 0, text_of(CONTENT)) > find(text, 0, text_of(NAME))) continue;
        if (find_calls_in(f, text)) return;
        *o = before;
    }
    assume_calls(f);
}

cllm_status answer_format_find(cllm_chat *chat, cllm_error *err) {
    finder f = {.chat = chat, .format = &chat->format, .source = {chat->tree.source, chat->tree.length}};
    answer_format *o = f.format;
    o->in_messages = holds(f.source, "<|message|>") && holds(f.source, "<|start|>");
    find_content(&f);
    if (o->in_messages && holds(f.source, "<|channel|>"))
        o->form = CALLS_MESSAGES;
    else
        find_calls(&f);
    if (o->prompt_opens && o->content_open.text.length > 0) {
        /* the ">>>" of the prompt belongs to the ">>>all" of the content */
        const cllm_string open = o->open.items[o->open.count - 1], tail = o->content_open.text;
        char *joined = arena_alloc(&chat->arena, open.length + tail.length + 1, 1);
        if (!joined) f.status = CLLM_ERR_MEMORY;
        if (joined) {
            memcpy(joined, open.data, open.length);
            memcpy(joined + open.length, tail.data, tail.length);
            o->content_open.text = (cllm_string){joined, open.length + tail.length};
        }
    }
    find_turn_end(&f);
    o->has_cdata = holds(f.source, "<![CDATA[");
    return f.status == CLLM_OK ? CLLM_OK : error_set(err, f.status, "no memory for a chat template");
}
