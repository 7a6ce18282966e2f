/* The scanner that cuts a text into words by the rules of a pre-tokenizer. Before it: tokenizer.c, which takes special
 * tokens out of the text. After it: tokenizer_bpe.c, which merges the bytes of each word.
 *
 * It finds the same matches as a backtracking matcher of the regular expressions in pretokenizer.h, but faster. A rule
 * reads as far as it can, and remembers on the way where else it could end, so it never goes back. If a rule may fail
 * after reading far, the scanner remembers how far, so no character is read more than a few times. */
#include "text/pretokenizer.h"

#include "base/utf8.h"

typedef struct character {
    uint32_t code_point;
    uint32_t classes; /* 0: the end of the text */
    uint32_t length;  /* bytes */
} character;

/* The state of one stage on one piece. */
typedef struct scanner {
    const char *text;
    size_t end;
    size_t failed_until; /* the rule that set it (RUN_TO_END, RUN_OF_THREES or LINES) has no match before this offset */
    size_t counted_at;   /* for RUN_OF_THREES and BEFORE_THREES: where the last counted run of the set begins, */
    size_t counted;      /* and its number of characters; 0: no run was counted */
} scanner;

#define NO_MATCH SIZE_MAX /* otherwise the end of a match */

/* ------------------------------------------------------------------------------------------ characters */

static uint32_t classes_of(uint32_t code_point) {
    uint32_t classes = unicode_classes(code_point);
    if (code_point == ' ') classes |= CHAR_SPACE;
    if (code_point == '\r' || code_point == '\n') classes |= CHAR_NEWLINE;
    return classes;
}

static character char_at(const scanner *s, size_t at) {
    if (at >= s->end) return (character){0};
    size_t length = utf8_length(s->text + at, s->end - at);
    uint32_t code_point = length ? utf8_decode(s->text + at, length) : 0xFFFD;
    return (character){code_point, classes_of(code_point), length ? (uint32_t)length : 1};
}

static bool is_in(character c, const char_set *set) {
    if (c.length == 0 || (c.classes & set->none)) return false;
    if (c.classes & set->any) return true;
    for (const char_range *r = set->ranges; r && r->last && r->first <= c.code_point; r++)
        if (c.code_point <= r->last) return true;
    return false;
}

static bool is_empty(const char_set *set) { return set->any == 0 && !set->ranges; }

/* ------------------------------------------------------------------------------------------ rules */

/* Move *at to where a rule's body must begin: after the prefix. In a second attempt the body begins at *at, without a
 * prefix. Returns false if this attempt is not possible. */
static bool skip_prefix(const scanner *s, const split_rule *r, bool with_prefix, size_t *at) {
    if (!with_prefix) return !r->needs_prefix;
    if (is_empty(&r->prefix)) return false;
    character c = char_at(s, *at);
    *at += c.length;
    return is_in(c, &r->prefix);
}

/* Read up to `most` (0: any number of) characters of a set, and move *at past them. Returns their number. */
static size_t read_run(const scanner *s, const char_set *set, size_t most, size_t *at) {
    size_t count = 0;
    for (character c; (most == 0 || count < most) && is_in(c = char_at(s, *at), set); count++) *at += c.length;
    return count;
}

static size_t match_run(const scanner *s, const split_rule *r, size_t start) {
    for (int attempt = 0; attempt < 2; attempt++) {
        size_t at = start;
        if (!skip_prefix(s, r, attempt == 0, &at)) continue;
        size_t count = read_run(s, &r->body, r->most, &at);
        if (count == 0 || count < r->least) continue;
        if (!is_empty(&r->tail)) read_run(s, &r->tail, r->most_of_tail, &at);
        return at;
    }
    return NO_MATCH;
}

static size_t match_run_to_end(scanner *s, const split_rule *r, size_t at) {
    if (at < s->failed_until || read_run(s, &r->body, 0, &at) == 0) return NO_MATCH;
    if (at == s->end) return at;
    s->failed_until = at;
    return NO_MATCH;
}

/* The length of the run of a set's characters that begins here. */
static size_t count_run(const scanner *s, const char_set *set, size_t at) {
    return s->counted > 0 && s->counted_at == at ? s->counted : read_run(s, set, 0, &at);
}

static size_t match_threes(scanner *s, const split_rule *r, size_t at) {
    if (at < s->failed_until) return NO_MATCH;
    size_t count = count_run(s, &r->body, at);
    if (count == 0) return NO_MATCH;
    if (r->needs_boundary && s->counted == 0) {
        const char_set word = {.any =
                                   CHAR_UPPER | CHAR_LOWER | CHAR_CASELESS | CHAR_MARK | CHAR_DIGIT | CHAR_CONNECTOR};
        size_t end = at;
        read_run(s, &r->body, 0, &end);
        if (is_in(char_at(s, end), &word)) {
            s->failed_until = end;
            return NO_MATCH;
        }
    }
    size_t taken = read_run(s, &r->body, count % 3 ? count % 3 : 3, &at);
    s->counted = count - taken;
    s->counted_at = at;
    return at;
}

static size_t match_before_threes(scanner *s, const split_rule *r, size_t at) {
    size_t count = count_run(s, &r->body, at);
    s->counted = count > 0 ? count - 1 : 0;
    s->counted_at = at + char_at(s, at).length;
    return count > 0 && count % 3 == 0 ? at : NO_MATCH;
}

/* The last space before other text is left for that text. */
static size_t match_spaces_before_space(const scanner *s, const split_rule *r, size_t at) {
    size_t count = 0, last = at;
    for (character c; (r->most == 0 || count < r->most) && is_in(c = char_at(s, at), &r->body); count++) {
        last = at;
        at += c.length;
    }
    character next = char_at(s, at);
    if (next.length != 0 && !(next.classes & CHAR_WHITE)) {
        if (count == 0) return NO_MATCH;
        at = last;
        count--;
    }
    return count > 0 && count >= r->least ? at : NO_MATCH;
}

/* All white space up to the last line end in it. */
static size_t match_lines(scanner *s, size_t at) {
    size_t end = NO_MATCH;
    if (at < s->failed_until) return NO_MATCH;
    for (character c; (c = char_at(s, at)).classes & CHAR_WHITE;) {
        at += c.length;
        if (c.classes & CHAR_NEWLINE) end = at;
    }
    if (end == NO_MATCH) s->failed_until = at;
    return end;
}

/* If case is ignored, ſ (U+017F) is an s too, by Unicode's simple case folding. */
static uint32_t small_letter(const scanner *s, size_t at, bool any_case, size_t *next) {
    character c = char_at(s, at);
    *next = at + c.length;
    if (any_case && c.code_point == 0x17F) return 's';
    return any_case && c.code_point >= 'A' && c.code_point <= 'Z' ? c.code_point + ('a' - 'A') : c.code_point;
}

static size_t match_contraction(const scanner *s, bool any_case, size_t at) {
    if (at >= s->end || s->text[at] != '\'') return NO_MATCH;
    size_t after_first, after_second;
    uint32_t first = small_letter(s, at + 1, any_case, &after_first);
    if (first == 's' || first == 't' || first == 'm' || first == 'd') return after_first;
    uint32_t second = small_letter(s, after_first, any_case, &after_second);
    bool two = (first == 'r' && second == 'e') || (first == 'v' && second == 'e') || (first == 'l' && second == 'l');
    return two ? after_second : NO_MATCH;
}

/* [upper]*[lower]+. Some characters are in both sets. If no `lower` follows the longest run of `upper`, the run ends
 * after its last character that is in both. */
static size_t match_upper_then_lower(const scanner *s, const split_rule *r, size_t at) {
    size_t end = NO_MATCH; /* after the last character of the run that is in `lower` */
    for (character c; is_in(c = char_at(s, at), &r->body);) {
        at += c.length;
        if (is_in(c, &r->lower)) end = at;
    }
    return read_run(s, &r->lower, 0, &at) ? at : end;
}

static size_t match_upper_then_any_lower(const scanner *s, const split_rule *r, size_t at) {
    if (read_run(s, &r->body, 0, &at) == 0) return NO_MATCH;
    read_run(s, &r->lower, 0, &at);
    return at;
}

static size_t match_cased_word(const scanner *s, const split_rule *r, size_t start) {
    for (int attempt = 0; attempt < 4; attempt++) {
        size_t at = start;
        if (!skip_prefix(s, r, attempt % 2 == 0, &at)) continue;
        size_t end = attempt < 2 ? match_upper_then_lower(s, r, at) : match_upper_then_any_lower(s, r, at);
        if (end == NO_MATCH) continue;
        size_t contracted = r->ends_contracted ? match_contraction(s, true, end) : NO_MATCH;
        return contracted != NO_MATCH ? contracted : end;
    }
    return NO_MATCH;
}

static size_t match_phrase(const scanner *s, const split_rule *r, size_t start) {
    const char_set letters = {.any = CHAR_UPPER | CHAR_LOWER | CHAR_CASELESS};
    const char_set marked = {.any = CHAR_UPPER | CHAR_LOWER | CHAR_CASELESS | CHAR_MARK};
    for (int attempt = 0; attempt < 2; attempt++) {
        size_t at = start;
        if (!skip_prefix(s, r, attempt == 0, &at) || !is_in(char_at(s, at), &letters)) continue;
        do read_run(s, &marked, 0, &at);
        while ((char_at(s, at).classes & CHAR_SPACE) && is_in(char_at(s, at + 1), &letters) && at++);
        return at;
    }
    return NO_MATCH;
}

static size_t match_rule(scanner *s, const split_rule *r, size_t at) {
    switch (r->kind) {
    case RUN: return match_run(s, r, at);
    case RUN_TO_END: return match_run_to_end(s, r, at);
    case RUN_OF_THREES: return match_threes(s, r, at);
    case BEFORE_THREES: return match_before_threes(s, r, at);
    case SPACES_BEFORE_SPACE: return match_spaces_before_space(s, r, at);
    case LINES: return match_lines(s, at);
    case CONTRACTION: return match_contraction(s, r->any_case, at);
    case CASED_WORD: return match_cased_word(s, r, at);
    case PHRASE: return match_phrase(s, r, at);
    case RULES_END: break;
    }
    return NO_MATCH;
}

/* ------------------------------------------------------------------------------------------ stages */

typedef struct words {
    const char *text;
    pretokenizer_on_word on_word;
    void *user;
} words;

/* Cut text[begin, end) by stages[0], and its pieces by the later stages. */
static cllm_status split_piece(const words *w, const split_rule *const *stages, size_t begin, size_t end) {
    if (begin == end) return CLLM_OK;
    if (!*stages) return w->on_word(w->user, w->text + begin, end - begin);
    scanner s = {.text = w->text, .end = end};
    cllm_status status = CLLM_OK;
    for (size_t at = begin; at < end && status == CLLM_OK;) {
        size_t match = NO_MATCH;
        for (const split_rule *r = *stages; match == NO_MATCH && r->kind != RULES_END; r++)
            match = match_rule(&s, r, at);
        if (match == NO_MATCH) {
            at += char_at(&s, at).length;
            continue;
        }
        status = split_piece(w, stages + 1, begin, at);
        if (status == CLLM_OK) status = split_piece(w, stages + 1, at, match);
        begin = match;
        at = match > at ? match : at + char_at(&s, at).length;
    }
    return status == CLLM_OK ? split_piece(w, stages + 1, begin, end) : status;
}

cllm_status pretokenizer_split(const pretokenizer *p, const char *text, size_t length, pretokenizer_on_word on_word,
                               void *user) {
    return split_piece(&(words){text, on_word, user}, p->stages, 0, length);
}
