/* cllm_answer: takes what a model writes, piece by piece, and splits it into reasoning, content and tool calls. Before
 * it: the text of the tokens drawn, and answer_format. After it: what the user sees, and the calls that a client runs.
 *
 * Text is passed on as soon as it is certain. Three things are held back: the beginning of a possible mark, white space
 * that may belong to the mark after it, and a call until its name is known and its arguments begin. A stretch is a run
 * of text of one kind, reasoning or content. */
#include "chat/answer.h"

#include "base/error.h"
#include "base/utf8.h"
#include "chat/chat.h"

#include <stdlib.h>
#include <string.h>

typedef enum answer_state {
    IN_REASONING,
    IN_CONTENT,
    IN_HEADER,  /* in a message's header */
    IN_CALL,    /* in a call, or a possible one, at call_at */
    AFTER_CALL, /* where other calls may follow */
    AT_END,
} answer_state;

typedef enum mark_kind {
    MARK_CALL,
    MARK_REASONING_CLOSE,
    MARK_CONTENT_CLOSE,
    MARK_MESSAGE_END,
    MARK_TURN_END
} mark_kind;

typedef struct text_mark {
    mark_kind kind;
    cllm_string text;
    size_t piece; /* for CALL: index in format->open */
} text_mark;

enum { MOST_MARKS = 32, MOST_DROPPED = 50 };

typedef struct held_delta {
    cllm_delta_kind kind;
    size_t call, id, id_length, text, text_length; /* offsets in `out` */
} held_delta;

struct cllm_answer {
    const answer_format *format;
    arena arena;
    answer_tools tools;
    text_mark marks[MOST_MARKS]; /* [n_marks], in the order in which to try them */
    size_t n_marks;
    bool begins_mark[256]; /* by first byte: may a mark begin with it? */

    answer_text held; /* the newest text; from `at` on it is not passed on yet */
    size_t at;
    size_t unsaid; /* number of bytes at the beginning of `held` that come from the prompt */
    bool ended;
    answer_state state;

    /* for reasoning and content */
    size_t scan;       /* no mark begins before this */
    size_t solid;      /* from here to `scan` there is only white space */
    size_t no_call_at; /* a call was tried here, without success */
    size_t no_header_at;
    bool fresh;       /* nothing of this stretch was passed on yet */
    bool follows;     /* the stretch follows reasoning or a call */
    bool drops_space; /* white space at the beginning of the stretch is dropped */
    bool bare_tried;
    bool may_call;    /* this message may hold calls */
    cllm_string lead; /* white space that the template puts at the beginning of this stretch */

    /* for calls */
    answer_state call_from; /* the state to return to if it is not a call */
    size_t call_at, call_piece, next_read;
    bool call_listed, announced;
    size_t n_calls, given; /* given: how many bytes of the call's arguments were passed on */
    size_t n_dropped;      /* how often something in reasoning looked like a call, but was not one */
    answer_text written;

    answer_text out;
    held_delta *held_deltas; /* [n_deltas] */
    cllm_delta *deltas;      /* [n_deltas] */
    size_t n_deltas, capacity;
    bool failed;
};

/* --------------------------------------------------------------------------------------------------- deltas */

static void give(cllm_answer *a, cllm_delta_kind kind, cllm_string id, cllm_string text) {
    const size_t call = a->n_calls - (kind == CLLM_DELTA_ARGUMENTS);
    held_delta *last = a->n_deltas > 0 ? &a->held_deltas[a->n_deltas - 1] : NULL;
    if (text.length == 0) return;
    if (last && last->kind == kind && kind != CLLM_DELTA_CALL) {
        last->text_length += text.length;
        answer_put(&a->out, text.data, text.length);
        return;
    }
    if (a->n_deltas == a->capacity) {
        const size_t capacity = a->capacity ? 2 * a->capacity : 16;
        held_delta *held = realloc(a->held_deltas, capacity * sizeof *held);
        if (held) a->held_deltas = held;
        cllm_delta *deltas = held ? realloc(a->deltas, capacity * sizeof *deltas) : NULL;
        if (deltas) a->deltas = deltas;
        a->failed |= !deltas;
        if (!deltas) return;
        a->capacity = capacity;
    }
    a->held_deltas[a->n_deltas++] = (held_delta){kind,      kind < CLLM_DELTA_CALL ? 0 : call, a->out.length,
                                                 id.length, a->out.length + id.length,         text.length};
    answer_put(&a->out, id.data, id.length);
    answer_put(&a->out, text.data, text.length);
}

/* Pass on the text of the stretch up to `end`. */
static void give_text(cllm_answer *a, size_t end) {
    size_t from = a->at < a->unsaid ? a->unsaid : a->at;
    if (end <= a->at) return;
    if (from < end)
        give(a, a->state == IN_REASONING ? CLLM_DELTA_REASONING : CLLM_DELTA_CONTENT, (cllm_string){"", 0},
             (cllm_string){a->held.bytes + from, end - from});
    a->at = end;
    a->fresh = false;
}

/* ----------------------------------------------------------------------------------------------------- text */

static bool is_space(char c) { return char_is_one_of(c, " \t\r\n"); }

static text_reader reader_at(const cllm_answer *a, size_t at) {
    return (text_reader){.text = a->held.bytes, .length = a->held.length, .at = at, .ended = a->ended};
}

static void begin_stretch(cllm_answer *a, answer_state state, cllm_string lead, bool follows) {
    a->state = state;
    a->fresh = true;
    a->follows = follows;
    a->drops_space = false;
    a->lead = lead;
    a->scan = a->solid = a->at;
}

/* End a stretch: pass on its white space up to `end`, except `space`, which the template puts there. If the template
 * trims such texts, pass on none of it. */
static void end_stretch(cllm_answer *a, size_t end, cllm_string space, bool before_call) {
    const bool trims = a->state == IN_REASONING ? a->format->trims_reasoning : a->format->trims;
    size_t keep = end;
    if (trims || (a->fresh && (a->follows || before_call))) keep = a->at;
    while (keep > a->at && space.length > 0 && a->held.bytes[keep - 1] == space.data[space.length - 1]) {
        keep--;
        space.length--;
    }
    give_text(a, keep);
    a->at = end;
}

/* Look for a mark at an offset. YES or PARTIAL: *mark is the first one that is there, or may be there. */
static reading match_mark(const cllm_answer *a, size_t at, const text_mark **mark, size_t *end) {
    const bool in_reasoning = a->state == IN_REASONING, in_messages = a->format->in_messages;
    for (size_t i = 0; i < a->n_marks; i++) {
        *mark = &a->marks[i];
        switch ((*mark)->kind) {
        case MARK_CALL:
            if (at == a->no_call_at || (in_reasoning && a->n_dropped > MOST_DROPPED) ||
                (in_messages && (in_reasoning || !a->may_call)))
                continue;
            break;
        case MARK_REASONING_CLOSE:
            if (!in_reasoning) continue;
            break;
        case MARK_MESSAGE_END:
            if (at == a->no_header_at && (*mark)->piece) continue;
            break;
        default: break;
        }
        text_reader r = reader_at(a, at);
        const reading read = reader_match(&r, (*mark)->text);
        *end = r.at;
        if (read != READ_NO) return read;
    }
    return READ_NO;
}

static void try_call(cllm_answer *a, size_t at, size_t piece, bool listed) {
    a->call_from = a->state;
    a->state = IN_CALL;
    a->call_at = at;
    a->call_piece = piece;
    a->call_listed = listed;
    a->next_read = 0;
    a->announced = false;
    a->given = 0;
}

/* At the beginning of a stretch, skip what opens it. Returns false if more text is needed to decide. Returns false and
 * sets *again to true if something was skipped, or if a call begins here. */
static bool skip_opening(cllm_answer *a, bool *again) {
    const answer_format *o = a->format;
    const bool in_content = a->state == IN_CONTENT;
    bool closes_turn = false;
    for (size_t i = 0; i < o->turn_end.count; i++)
        closes_turn |=
            o->turn_end.items[i].length == o->reasoning_close.text.length &&
            memcmp(o->turn_end.items[i].data, o->reasoning_close.text.data, o->reasoning_close.text.length) == 0;
    size_t at = a->at > a->solid ? a->at : a->solid; /* after white space that was seen before */
    while (at < a->held.length && is_space(a->held.bytes[at])) at++;
    a->solid = at;
    *again = false;
    if (at == a->held.length) return a->ended;
    const answer_mark role = {.text = o->role, .before = {"", 0}, .after = o->begins};
    const answer_mark *const marks[] = {&o->content_open, &o->reasoning_open, &o->reasoning_close, &role};
    for (int i = 0; i < 4 && !o->in_messages; i++) {
        const answer_mark *mark = marks[i];
        if (mark->text.length == 0 || (!in_content && i == 2) || (i == 2 && (closes_turn || a->follows))) continue;
        text_reader r = reader_at(a, at);
        const reading read = reader_match(&r, mark->text);
        if (read == READ_PARTIAL) return false;
        if (read == READ_NO) continue;
        a->at = r.at;
        begin_stretch(a, i == 0 ? IN_CONTENT : i == 1 ? IN_REASONING : a->state, mark->after, a->follows);
        *again = true;
        return false;
    }
    if (in_content && o->bare && !a->bare_tried && a->n_calls == 0) {
        a->bare_tried = true;
        const char first = a->held.bytes[at];
        if (first == (o->form == CALLS_PYTHON ? '[' : '{') || (first == '[' && o->form == CALLS_JSON)) {
            try_call(a, at, o->open.count, false);
            *again = true;
            return false;
        }
    }
    const bool trims = in_content ? o->trims : o->trims_reasoning;
    size_t dropped = 0;
    while (dropped < a->lead.length && a->at < at && a->held.bytes[a->at] == a->lead.data[dropped]) a->at++, dropped++;
    if (trims || a->drops_space) a->at = at;
    a->lead.length = 0;
    return true;
}

static cllm_string space_of(const cllm_answer *a) {
    return a->state == IN_REASONING ? a->format->reasoning_close.before : a->format->ends;
}

/* Handle what follows reasoning or a message. */
static void go_on(cllm_answer *a, cllm_string lead) {
    begin_stretch(a, a->format->in_messages ? IN_HEADER : IN_CONTENT, lead, true);
}

static bool read_text(cllm_answer *a) {
    bool again = false;
    if (a->fresh && !skip_opening(a, &again)) return again;
    const text_mark *mark = NULL;
    size_t end = 0;
    reading read = READ_NO;
    if (a->scan < a->at) a->scan = a->at;
    if (a->solid < a->at || a->fresh) a->solid = a->at;
    size_t at = a->scan;
    for (; at < a->held.length; at++) {
        if (a->begins_mark[(unsigned char)a->held.bytes[at]]) {
            read = match_mark(a, at, &mark, &end);
            if (read != READ_NO) break;
        }
        if (!is_space(a->held.bytes[at])) a->solid = at + 1;
    }
    a->scan = at;
    give_text(a, a->solid);
    if (read == READ_PARTIAL) return false;
    if (read == READ_NO) {
        if (!a->ended) return false;
        end_stretch(a, at, space_of(a), false);
        a->state = AT_END;
        return true;
    }
    switch (mark->kind) {
    case MARK_CALL: try_call(a, at, mark->piece, false); return true;
    case MARK_REASONING_CLOSE:
        end_stretch(a, at, a->format->reasoning_close.before, false);
        a->at = end;
        go_on(a, a->format->reasoning_close.after);
        return true;
    case MARK_CONTENT_CLOSE:
        end_stretch(a, at, a->format->content_close.before, false);
        a->at = end;
        go_on(a, a->format->content_close.after);
        return true;
    case MARK_MESSAGE_END:
        end_stretch(a, at, (cllm_string){"", 0}, false);
        /* <|start|> and <|channel|> begin the next header */
        a->at = mark->piece ? at : end;
        go_on(a, (cllm_string){"", 0});
        return true;
    case MARK_TURN_END:
        end_stretch(a, at, space_of(a), false);
        a->state = AT_END;
        return true;
    }
    return false;
}

static bool read_message_header(cllm_answer *a) {
    const answer_format *o = a->format;
    text_reader r = reader_at(a, a->at);
    message_header header;
    if (o->form == CALLS_MESSAGES && a->no_call_at != a->at) {
        try_call(a, a->at, 0, false);
        return true;
    }
    const reading read = answer_read_header(&r, &header);
    if (read == READ_PARTIAL) return false;
    if (read == READ_YES)
        a->at = r.at;
    else
        a->no_header_at = r.at;
    const cllm_string to = header.recipient;
    const bool to_self = to.length == 4 && memcmp(to.data, "self", 4) == 0,
               to_user = to.length == 4 && memcmp(to.data, "user", 4) == 0;
    a->may_call = read == READ_YES && to.length > 0 && !to_self && !to_user;
    begin_stretch(a, read == READ_YES && (header.is_analysis || to_self) ? IN_REASONING : IN_CONTENT,
                  (cllm_string){"", 0}, read == READ_YES && a->follows);
    return true;
}

/* ---------------------------------------------------------------------------------------------------- calls */

/* Read the marks that may follow a call. YES: r->at is after one. */
static reading skip_closing(const cllm_answer *a, text_reader *r, bool *in_list) {
    reading best = READ_NO;
    reader_skip_space(r);
    if (*in_list && reader_match_char(r, ']') == READ_YES) {
        *in_list = false;
        return READ_YES;
    }
    for (size_t i = 0; i < a->format->close.count; i++) {
        const reading read = reader_match(r, a->format->close.items[i]);
        if (read == READ_YES) return read;
        if (read > best) best = read;
    }
    return best;
}

/* A call inside reasoning counts only if another call, or the end of the turn, comes right after it. */
static reading ends_reasoning(const cllm_answer *a, const call_reading *call) {
    text_reader r = reader_at(a, call->end);
    bool in_list = call->in_list;
    reading read = READ_YES;
    while (read == READ_YES) read = skip_closing(a, &r, &in_list);
    if (read == READ_PARTIAL) return read;
    if (r.at == r.length) return a->ended ? READ_YES : READ_PARTIAL;
    if (in_list && r.text[r.at] == ',') return READ_YES;
    for (size_t i = 0; i < a->n_marks; i++) {
        if (a->marks[i].kind == MARK_REASONING_CLOSE) continue;
        text_reader ahead = r;
        const reading found = reader_match(&ahead, a->marks[i].text);
        if (found > read) read = found;
    }
    return read;
}

/* It was not a call: its text belongs to the text before it. */
static bool drop_call(cllm_answer *a) {
    a->state = a->call_from;
    a->no_call_at = a->call_at;
    if (a->state == AFTER_CALL) {
        begin_stretch(a, IN_CONTENT, (cllm_string){"", 0}, true);
        a->no_call_at = a->call_at;
    }
    return true;
}

static bool read_call(cllm_answer *a) {
    const size_t length = a->held.length - a->call_at;
    call_reading call;
    if (!a->ended && length < a->next_read) return false;
    a->next_read = length + length / 64 + 1;
    text_reader r = reader_at(a, a->call_at);
    answer_read_call(a->format, &a->tools, &r, a->call_piece, a->call_listed, &a->written, &call);
    reading state = call.state;
    if (a->call_from == IN_REASONING && !a->announced) {
        if (state == READ_YES) state = ends_reasoning(a, &call);
        if (state == READ_PARTIAL) return false;
        if (state == READ_NO) a->n_dropped += call.begun;
        if (state == READ_NO) return drop_call(a);
    }
    if (call.begun && !a->announced) {
        if (a->call_from == IN_REASONING || a->call_from == IN_CONTENT) {
            a->state = a->call_from;
            end_stretch(a, a->call_at,
                        a->state == IN_REASONING ? a->format->reasoning_close.before : a->format->call_space, true);
            a->state = IN_CALL;
        }
        a->at = a->call_at;
        a->announced = true;
        give(a, CLLM_DELTA_CALL, call.id, call.name);
        a->n_calls++;
    }
    if (!a->announced) return state == READ_PARTIAL ? false : drop_call(a);
    if (call.arguments.length > a->given) {
        give(a, CLLM_DELTA_ARGUMENTS, (cllm_string){"", 0},
             (cllm_string){call.arguments.data + a->given, call.arguments.length - a->given});
        a->given = call.arguments.length;
    }
    if (state == READ_PARTIAL) return false;
    a->at = call.end;
    if (state == READ_YES) {
        a->state = AFTER_CALL;
        a->call_listed = call.in_list;
        return true;
    }
    if (a->ended) { /* either the call is broken, or the answer ended in the middle of it */
        r = reader_at(a, a->call_at);
        r.ended = false;
        answer_read_call(a->format, &a->tools, &r, a->call_piece, a->call_listed, &a->written, &call);
        if (call.state == READ_PARTIAL) a->at = a->held.length;
    }
    begin_stretch(a, IN_CONTENT, (cllm_string){"", 0}, true);
    a->drops_space = true; /* more white space may come: the reader of the call has skipped only what was there */
    return true;
}

static bool follow_call(cllm_answer *a) {
    const answer_format *o = a->format;
    text_reader r = reader_at(a, a->at);
    const reading closing = skip_closing(a, &r, &a->call_listed);
    a->at = r.at;
    if (closing == READ_YES) return true;
    if (r.at == r.length) {
        if (a->ended) a->state = AT_END;
        return a->ended;
    }
    if (closing == READ_PARTIAL) return false;
    if (a->call_listed && r.text[r.at] == ',') {
        try_call(a, r.at + 1, o->open.count, true);
        return true;
    }
    reading best = READ_NO;
    for (size_t i = 0; i < a->n_marks; i++) {
        const mark_kind kind = a->marks[i].kind;
        text_reader ahead = r;
        const reading read = kind == MARK_REASONING_CLOSE ? READ_NO : reader_match(&ahead, a->marks[i].text);
        if (read > best) best = read;
        if (read != READ_YES) continue;
        if (kind == MARK_CALL) {
            try_call(a, r.at, a->marks[i].piece, false);
        } else if (kind == MARK_TURN_END) {
            a->state = AT_END;
        } else {
            a->at = kind == MARK_MESSAGE_END && a->marks[i].piece ? r.at : ahead.at;
            go_on(a, (cllm_string){"", 0});
        }
        return true;
    }
    if (best == READ_PARTIAL) return false;
    if (o->form == CALLS_JSON && o->open.count > 0 && r.text[r.at] == '{') { /* the next call within the same marks */
        try_call(a, r.at, o->open.count, false);
        return true;
    }
    begin_stretch(a, IN_CONTENT, (cllm_string){"", 0}, true);
    return true;
}

/* ----------------------------------------------------------------------------------------------- the answer */

static void add_mark(cllm_answer *a, mark_kind kind, cllm_string text, size_t piece) {
    if (text.length == 0 || a->n_marks == MOST_MARKS) return;
    a->marks[a->n_marks++] = (text_mark){kind, text, piece};
    a->begins_mark[(unsigned char)*text.data] = true;
}

static void add_marks(cllm_answer *a) {
    static const char *const message_ends[] = {"<|end|>", "<|eom|>", "<|call|>", "<|start|>", "<|channel|>"};
    static const char *const turn_ends[] = {"<|return|>", "<|eot|>"};
    const answer_format *o = a->format;
    for (size_t i = 0; i < o->open.count; i++) { /* a piece that is a plain word is a mark only if it comes first */
        const cllm_string piece = o->open.items[i];
        if (i == 0 || memchr(piece.data, '<', piece.length) || memchr(piece.data, '[', piece.length))
            add_mark(a, MARK_CALL, piece, i);
    }
    for (size_t i = 0; o->in_messages && i < 5; i++)
        add_mark(a, MARK_MESSAGE_END, (cllm_string){message_ends[i], strlen(message_ends[i])}, i > 2);
    for (size_t i = 0; o->in_messages && i < 2; i++)
        add_mark(a, MARK_TURN_END, (cllm_string){turn_ends[i], strlen(turn_ends[i])}, 0);
    if (!o->in_messages) add_mark(a, MARK_REASONING_CLOSE, o->reasoning_close.text, 0);
    if (!o->in_messages) add_mark(a, MARK_CONTENT_CLOSE, o->content_close.text, 0);
    for (size_t i = 0; i < o->turn_end.count; i++) add_mark(a, MARK_TURN_END, o->turn_end.items[i], 0);
}

enum { PROMPT_TAIL = 128 };

/* The last PROMPT_TAIL bytes of the text that the template wrote. If these bytes contain the mark of the answer's role,
 * the result begins with the last such mark. tail: [PROMPT_TAIL], room for the text. */
static cllm_string end_of_prompt(const answer_format *o, const cllm_part *prompt, size_t n_parts, char *tail) {
    size_t n = 0;
    for (size_t i = n_parts; prompt && i-- > 0 && n < PROMPT_TAIL;)
        for (size_t k = prompt[i].text.length; prompt[i].trusted && k-- > 0 && n < PROMPT_TAIL;)
            tail[PROMPT_TAIL - ++n] = prompt[i].text.data[k];
    const char *written = tail + PROMPT_TAIL - n;
    size_t from = 0;
    for (size_t i = 0; o->role.length > 0 && i + o->role.length <= n; i++)
        if (memcmp(written + i, o->role.data, o->role.length) == 0) from = i;
    return (cllm_string){written + from, n - from};
}

cllm_preamble answer_reasoning(const answer_format *o, const cllm_part *prompt, size_t n_parts) {
    char tail[PROMPT_TAIL];
    return (cllm_preamble){.opens = o->reasoning_open.text,
                           .closes = o->reasoning_close.text,
                           .is_open = answer_opens_reasoning(o, end_of_prompt(o, prompt, n_parts, tail))};
}

cllm_preamble cllm_chat_preamble(const cllm_chat *chat, const cllm_part *prompt, size_t n_parts) {
    const answer_format *o = &chat->format;
    if (o->content_open.text.length > 0) return (cllm_preamble){.closes = o->content_open.text, .is_open = true};
    return answer_reasoning(o, prompt, n_parts);
}

bool answer_prompt_opens_call(const answer_format *o, const cllm_part *prompt, size_t n_parts) {
    char tail[PROMPT_TAIL];
    if (!o->prompt_opens || !prompt) return o->prompt_opens;
    const cllm_string mark = o->open.items[o->open.count - 1];
    cllm_string written = end_of_prompt(o, prompt, n_parts, tail);
    while (written.length > 0 && is_space(written.data[written.length - 1])) written.length--;
    return written.length >= mark.length &&
           memcmp(written.data + written.length - mark.length, mark.data, mark.length) == 0;
}

/* Set the state in which the answer begins. The template's text at the end of the prompt shows it. */
static void begin_answer(cllm_answer *a, const cllm_part *prompt, size_t n_parts) {
    const answer_format *o = a->format;
    char tail[PROMPT_TAIL];
    bool opens = o->opens_reasoning, spaced = opens;
    const cllm_string written = end_of_prompt(o, prompt, n_parts, tail);
    if (prompt) {
        opens = answer_opens_reasoning(o, written);
        spaced = written.length > 0 && is_space(tail[PROMPT_TAIL - 1]);
    }
    if (answer_prompt_opens_call(o, prompt, n_parts)) {
        const cllm_string mark = o->open.items[o->open.count - 1];
        answer_put(&a->held, mark.data, mark.length);
        a->unsaid = a->held.length;
    }
    begin_stretch(a,
                  o->in_messages ? IN_HEADER
                  : opens        ? IN_REASONING
                                 : IN_CONTENT,
                  opens && !spaced ? o->reasoning_open.after
                  : opens          ? (cllm_string){"", 0}
                                   : o->begins,
                  false);
}

cllm_status cllm_answer_create(const cllm_chat *chat, const cllm_part *prompt, size_t n_parts, cllm_string tools,
                               cllm_answer **out, cllm_error *err) {
    *out = NULL;
    cllm_answer *a = calloc(1, sizeof *a);
    if (!a) return error_set(err, CLLM_ERR_MEMORY, "no memory for an answer");
    a->format = &chat->format;
    a->no_call_at = a->no_header_at = SIZE_MAX;
    cllm_status status = CLLM_OK;
    if (tools.length > 0) status = json_read(tools.data, tools.length, &a->arena, &a->tools.list, err);
    if (status == CLLM_OK && tools.length > 0 && a->tools.list.kind != JSON_ARRAY && a->tools.list.kind != JSON_NULL)
        status = error_set(err, CLLM_ERR_FORMAT, "tools must be an array, not %s", json_kind_name(a->tools.list.kind));
    a->tools.given = a->tools.list.kind == JSON_ARRAY;
    if (status == CLLM_OK) {
        add_marks(a);
        begin_answer(a, prompt, n_parts);
        *out = a;
    } else {
        cllm_answer_destroy(a);
    }
    return status;
}

void cllm_answer_destroy(cllm_answer *a) {
    if (!a) return;
    arena_free(&a->arena);
    answer_text_free(&a->held);
    answer_text_free(&a->written);
    answer_text_free(&a->out);
    free(a->held_deltas);
    free(a->deltas);
    free(a);
}

/* Drop the text that was passed on, if it is most of what is held. */
static void shrink(cllm_answer *a) {
    const size_t n = a->at;
    if (n < a->held.length / 2 || n == 0 || a->unsaid > n) return;
    memmove(a->held.bytes, a->held.bytes + n, a->held.length - n);
    a->held.length -= n;
    a->at = 0;
    a->unsaid = 0;
    a->scan = a->scan > n ? a->scan - n : 0;
    a->solid = a->solid > n ? a->solid - n : 0;
    a->call_at = a->call_at > n ? a->call_at - n : 0;
    if (a->no_header_at != SIZE_MAX) a->no_header_at = a->no_header_at >= n ? a->no_header_at - n : SIZE_MAX;
    if (a->no_call_at != SIZE_MAX) a->no_call_at = a->no_call_at >= n ? a->no_call_at - n : SIZE_MAX;
}

static bool step(cllm_answer *a) {
    switch (a->state) {
    case IN_REASONING:
    case IN_CONTENT: return read_text(a);
    case IN_HEADER: return read_message_header(a);
    case IN_CALL: return read_call(a);
    case AFTER_CALL: return follow_call(a);
    case AT_END: a->at = a->held.length; return false;
    }
    return false;
}

cllm_status cllm_answer_take(cllm_answer *a, cllm_string text, bool ended, const cllm_delta **deltas, size_t *n_deltas,
                             cllm_error *err) {
    *deltas = NULL;
    *n_deltas = a->n_deltas = a->out.length = 0;
    if (a->state != AT_END) {
        shrink(a);
        answer_put(&a->held, text.data, text.length);
        a->ended |= ended;
        while (step(a) && !a->failed) {}
    }
    if (a->failed || a->held.failed || a->written.failed || a->out.failed)
        return error_set(err, CLLM_ERR_MEMORY, "no memory for an answer");
    for (size_t i = 0; i < a->n_deltas; i++) {
        const held_delta *d = &a->held_deltas[i];
        a->deltas[i] = (cllm_delta){.kind = d->kind,
                                    .call = d->call,
                                    .id = {a->out.bytes + d->id, d->id_length},
                                    .text = {a->out.bytes + d->text, d->text_length}};
    }
    *deltas = a->deltas;
    *n_deltas = a->n_deltas;
    return CLLM_OK;
}

bool cllm_answer_has_ended(const cllm_answer *a) { return a->state == AT_END; }
