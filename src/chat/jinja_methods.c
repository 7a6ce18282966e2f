/* The methods of strings, lists, dicts, loops and cyclers. Before it: jinja_value.c, which looks up `value.name`.
 *
 * Methods that would change a list or a dict are in the tables without a function: the sandbox refuses them. */
#include "base/utf8.h"
#include "chat/jinja_case.h"
#include "chat/jinja_run.h"

#include <string.h>

#define METHOD jinja_run *r, jinja_value self, const jinja_value *args

static bool given(jinja_value v) { return v.kind != JINJA_ABSENT && v.kind != JINJA_NONE; }

static const jinja_string *text_argument(jinja_run *r, jinja_value v) {
    static const jinja_string empty = {.bytes = ""};
    if (v.kind == JINJA_STRING) return v.string;
    jinja_fail(r, CLLM_ERR_ARGUMENT, "a str was expected, not %s", jinja_type_name(v));
    return &empty;
}

/* The character at a byte offset. n: out, its length in bytes. */
static uint32_t character_at(const jinja_string *s, size_t at, size_t *n) {
    *n = utf8_length(s->bytes + at, s->length - at);
    if (*n == 0) *n = 1;
    return utf8_decode(s->bytes + at, *n);
}

/* ---------------------------------------------------------------------------------------------------- strip */

static bool is_stripped(const jinja_string *s, size_t at, size_t n, const jinja_string *characters) {
    if (!characters) return jinja_is_space(utf8_decode(s->bytes + at, n));
    for (size_t i = 0, m; i < characters->length; i += m) {
        character_at(characters, i, &m);
        if (m == n && memcmp(characters->bytes + i, s->bytes + at, n) == 0) return true;
    }
    return false;
}

static jinja_value strip(jinja_run *r, jinja_value self, jinja_value characters, bool left, bool right) {
    const jinja_string *s = self.string, *which = given(characters) ? text_argument(r, characters) : NULL;
    size_t from = 0, end = s->length, n;
    const size_t n_steps = which ? which->length / 8 : 0; /* for each character of s */
    for (; left && from < end && jinja_step(r, n_steps); from += n) {
        character_at(s, from, &n);
        if (!is_stripped(s, from, n, which)) break;
    }
    while (right && end > from && jinja_step(r, n_steps)) {
        size_t last = end - 1;
        while (last > from && ((unsigned char)s->bytes[last] & 0xC0) == 0x80) last--;
        if (!is_stripped(s, last, end - last, which)) break;
        end = last;
    }
    return jinja_slice(r, s, from, end);
}

static jinja_value method_strip(METHOD) { return strip(r, self, args[0], true, true); }
static jinja_value method_lstrip(METHOD) { return strip(r, self, args[0], true, false); }
static jinja_value method_rstrip(METHOD) { return strip(r, self, args[0], false, true); }

static jinja_value method_removeprefix(METHOD) {
    const jinja_string *part = text_argument(r, args[0]);
    return jinja_is_at(r, self.string, 0, part) ? jinja_slice(r, self.string, part->length, self.string->length) : self;
}

static bool ends_with(jinja_run *r, const jinja_string *s, const jinja_string *part) {
    return s->length >= part->length && jinja_is_at(r, s, s->length - part->length, part);
}

static jinja_value method_removesuffix(METHOD) {
    const jinja_string *part = text_argument(r, args[0]);
    return ends_with(r, self.string, part) ? jinja_slice(r, self.string, 0, self.string->length - part->length) : self;
}

/* ---------------------------------------------------------------------------------------------------- split */

static void push(jinja_run *r, jinja_value list, jinja_value item) {
    if (jinja_failed(r)) return;
    jinja_list *l = list.list;
    if ((l->count & (l->count - 1)) == 0) { /* it is full: the capacity is a power of two */
        jinja_value *items = jinja_alloc(r, l->count ? 2 * l->count : 1, sizeof *items);
        if (!items) return;
        if (l->count > 0) memcpy(items, l->items, l->count * sizeof *items);
        l->items = items;
    }
    l->items[l->count++] = item;
}

static jinja_value split_words(jinja_run *r, const jinja_string *s, int64_t most) {
    jinja_value list = jinja_list_of(r, JINJA_LIST, 0);
    for (size_t at = 0, n; at < s->length && jinja_step(r, 1);) {
        if (jinja_is_space(character_at(s, at, &n))) {
            at += n;
            continue;
        }
        size_t end = at;
        const bool is_rest = most >= 0 && (int64_t)list.list->count == most;
        while (end < s->length && (is_rest || !jinja_is_space(character_at(s, end, &n)))) end += is_rest ? 1 : n;
        push(r, list, jinja_slice(r, s, at, end));
        at = end;
    }
    return list;
}

static jinja_value method_split(METHOD) {
    const jinja_string *s = self.string;
    const int64_t most = jinja_whole_or(r, args[1], -1);
    if (!given(args[0])) return split_words(r, s, most);
    const jinja_string *by = text_argument(r, args[0]);
    if (by->length == 0) return jinja_fail(r, CLLM_ERR_ARGUMENT, "empty separator");
    jinja_value list = jinja_list_of(r, JINJA_LIST, 0);
    size_t from = 0;
    for (size_t at = 0; at + by->length <= s->length && !jinja_failed(r);) {
        if (!jinja_is_at(r, s, at, by) || (most >= 0 && (int64_t)list.list->count >= most)) {
            at++;
            continue;
        }
        push(r, list, jinja_slice(r, s, from, at));
        at = from = at + by->length;
    }
    if (!jinja_failed(r)) push(r, list, jinja_slice(r, s, from, s->length));
    return list;
}

static jinja_value reversed(jinja_run *r, jinja_value list) {
    for (size_t i = 0; !jinja_failed(r) && i < list.list->count / 2; i++) {
        const jinja_value item = list.list->items[i];
        list.list->items[i] = list.list->items[list.list->count - 1 - i];
        list.list->items[list.list->count - 1 - i] = item;
    }
    return list;
}

static jinja_value method_rsplit(METHOD) {
    const jinja_string *s = self.string;
    const int64_t most = jinja_whole_or(r, args[1], -1);
    if (most < 0) return method_split(r, self, args);
    jinja_value list = jinja_list_of(r, JINJA_LIST, 0);
    const jinja_string *by = given(args[0]) ? text_argument(r, args[0]) : NULL;
    if (jinja_failed(r)) return list;
    if (by && by->length == 0) return jinja_fail(r, CLLM_ERR_ARGUMENT, "empty separator");
    size_t end = s->length;
    for (size_t at = s->length; by && at-- > 0 && (int64_t)list.list->count < most && !jinja_failed(r);)
        if (at + by->length <= end && jinja_is_at(r, s, at, by)) {
            push(r, list, jinja_slice(r, s, at + by->length, end));
            end = at;
        }
    while (!by && !jinja_failed(r)) { /* the separator is white space */
        const jinja_value all = jinja_slice(r, s, 0, end);
        const jinja_value rest = jinja_failed(r) ? all : strip(r, all, JINJA_VALUE_NONE, false, true);
        if (jinja_failed(r) || rest.string->length == 0) return reversed(r, list);
        size_t from = end = rest.string->length, n;
        if ((int64_t)list.list->count == most) break;
        for (size_t last = end; from == last && last > 0;) {
            for (last--; last > 0 && ((unsigned char)s->bytes[last] & 0xC0) == 0x80;) last--;
            if (!jinja_is_space(character_at(s, last, &n))) from = last;
        }
        if (from == end) from = 0; /* bytes that are not UTF-8 */
        push(r, list, jinja_slice(r, s, from, end));
        end = from;
    }
    push(r, list, jinja_slice(r, s, 0, end));
    return reversed(r, list);
}

static jinja_value method_splitlines(METHOD) {
    const jinja_string *s = self.string;
    const bool keeps = given(args[0]) && jinja_truth(args[0]);
    jinja_value list = jinja_list_of(r, JINJA_LIST, 0);
    size_t from = 0, n;
    for (size_t at = 0; at < s->length && !jinja_failed(r); at += n) {
        const uint32_t c = character_at(s, at, &n);
        const bool is_end =
            (c >= '\n' && c <= '\r') || (c >= 0x1C && c <= 0x1E) || c == 0x85 || c == 0x2028 || c == 0x2029;
        if (!is_end) continue;
        const size_t end = at;
        if (c == '\r' && at + 1 < s->length && s->bytes[at + 1] == '\n') n = 2;
        push(r, list, jinja_slice(r, s, from, keeps ? at + n : end));
        from = at + n;
    }
    if (from < s->length && !jinja_failed(r)) push(r, list, jinja_slice(r, s, from, s->length));
    return list;
}

/* Three parts: the text before the first or last separator, the separator, and the text after it. */
static jinja_value partition(jinja_run *r, jinja_value self, jinja_value separator, bool last) {
    const jinja_string *s = self.string, *by = text_argument(r, separator);
    if (by->length == 0) return jinja_fail(r, CLLM_ERR_ARGUMENT, "empty separator");
    jinja_value parts = jinja_list_of(r, JINJA_TUPLE, 3);
    size_t found = SIZE_MAX;
    for (size_t at = 0; at + by->length <= s->length; at++) {
        if (!jinja_is_at(r, s, at, by)) continue;
        found = at;
        if (!last) break;
    }
    if (jinja_failed(r)) return parts;
    const bool none = found == SIZE_MAX;
    const size_t cut = none ? (last ? 0 : s->length) : found, after = none ? cut : cut + by->length;
    parts.list->items[0] = jinja_slice(r, s, 0, cut);
    parts.list->items[1] = jinja_slice(r, s, cut, after);
    parts.list->items[2] = jinja_slice(r, s, after, s->length);
    return parts;
}

static jinja_value method_partition(METHOD) { return partition(r, self, args[0], false); }
static jinja_value method_rpartition(METHOD) { return partition(r, self, args[0], true); }

/* --------------------------------------------------------------------------------------- finding, replacing */

/* The part of a string from character range[0] to range[1]. Both may be missing, or negative, as in a slice. If the
 * range begins after its own end, or after the end of the string, the result is ABSENT: not even "" is found there. */
static jinja_value between(jinja_run *r, jinja_value self, const jinja_value *range) {
    if (!given(range[0]) && !given(range[1])) return self;
    const jinja_value part = jinja_cut(r, self, range[0], range[1], JINJA_VALUE_NONE);
    if (jinja_failed(r)) return part;
    const int64_t count = (int64_t)jinja_characters(self.string);
    int64_t from = jinja_whole_or(r, range[0], 0), end = jinja_whole_or(r, range[1], count);
    if (from < 0) from += count;
    if (end < 0) end = end < -count ? 0 : end + count;
    return from > (end < count ? end : count) && from > 0 ? (jinja_value){.kind = JINJA_ABSENT} : part;
}

static jinja_value find(jinja_run *r, jinja_value self, const jinja_value *args, bool last) {
    const jinja_string *part = text_argument(r, args[0]);
    const jinja_value within = between(r, self, args + 1);
    if (jinja_failed(r)) return within;
    if (within.kind == JINJA_ABSENT) return jinja_integer(-1);
    const jinja_string *s = within.string;
    size_t found = SIZE_MAX;
    for (size_t at = 0; at + part->length <= s->length; at++) {
        if (!jinja_is_at(r, s, at, part)) continue;
        found = at;
        if (!last) break;
    }
    if (found == SIZE_MAX) return jinja_integer(-1);
    const jinja_string before = {.bytes = self.string->bytes,
                                 .length = (size_t)(s->bytes - self.string->bytes) + found};
    return jinja_integer((int64_t)jinja_characters(&before));
}

static jinja_value method_find(METHOD) { return find(r, self, args, false); }
static jinja_value method_rfind(METHOD) { return find(r, self, args, true); }

static jinja_value found_or_fail(jinja_run *r, jinja_value index) {
    return index.kind == JINJA_INTEGER && index.integer < 0 ? jinja_fail(r, CLLM_ERR_ARGUMENT, "substring not found")
                                                            : index;
}

static jinja_value method_index(METHOD) { return found_or_fail(r, find(r, self, args, false)); }
static jinja_value method_rindex(METHOD) { return found_or_fail(r, find(r, self, args, true)); }

static jinja_value method_count(METHOD) {
    const jinja_string *part = text_argument(r, args[0]);
    const jinja_value within = between(r, self, args + 1);
    if (jinja_failed(r)) return within;
    if (within.kind == JINJA_ABSENT) return jinja_integer(0);
    int64_t n = 0;
    if (part->length == 0) return jinja_integer((int64_t)jinja_characters(within.string) + 1);
    for (size_t at = 0; at + part->length <= within.string->length;) {
        const bool is = jinja_is_at(r, within.string, at, part);
        n += is;
        at += is ? part->length : 1;
    }
    return jinja_integer(n);
}

/* True if the string begins (or ends) with args[0], a string or a tuple of strings. */
static jinja_value begins_or_ends(jinja_run *r, jinja_value self, const jinja_value *args, bool at_end) {
    const jinja_value within = between(r, self, args + 1);
    const jinja_list one = {(jinja_value[]){args[0]}, 1}, all = args[0].kind == JINJA_TUPLE ? *args[0].list : one;
    bool is = false;
    for (size_t i = 0; i < all.count && !is && !jinja_failed(r); i++) {
        const jinja_string *part = text_argument(r, all.items[i]);
        if (!jinja_failed(r) && within.kind == JINJA_STRING)
            is = at_end ? ends_with(r, within.string, part) : jinja_is_at(r, within.string, 0, part);
    }
    return jinja_bool(is);
}

static jinja_value method_startswith(METHOD) { return begins_or_ends(r, self, args, false); }
static jinja_value method_endswith(METHOD) { return begins_or_ends(r, self, args, true); }

static jinja_value method_replace(METHOD) {
    const jinja_string *s = self.string, *old = text_argument(r, args[0]), *new = text_argument(r, args[1]);
    const int64_t most = jinja_whole_or(r, args[2], -1);
    jinja_builder b = {.run = r, .safe = s->safe};
    int64_t done = 0;
    for (size_t at = 0, n; at <= s->length && !jinja_failed(r);) {
        const bool is = (most < 0 || done < most) && jinja_is_at(r, s, at, old);
        if (is && (old->length > 0 || at == 0 || ((unsigned char)s->bytes[at - (at == s->length)] & 0xC0) != 0x80 ||
                   at == s->length)) {
            jinja_put_string(&b, new);
            at += old->length;
            done++;
            if (old->length > 0) continue;
        }
        if (at == s->length) break;
        character_at(s, at, &n);
        jinja_put_slice(&b, s, at, at + n);
        at += n;
    }
    return jinja_built(&b);
}

static jinja_value method_join(METHOD) {
    const jinja_list all = jinja_walk(r, args[0]);
    jinja_builder b = {.run = r, .safe = self.string->safe};
    for (size_t i = 0; i < all.count && !jinja_failed(r); i++) {
        if (i > 0) jinja_put_string(&b, self.string);
        if (all.items[i].kind != JINJA_STRING)
            return jinja_fail(r, CLLM_ERR_ARGUMENT, "sequence item %zu: expected str instance, %s found", i,
                              jinja_type_name(all.items[i]));
        jinja_put_string(&b, all.items[i].string);
    }
    return jinja_built(&b);
}

/* ------------------------------------------------------------------------------------- case, tests, padding */

static jinja_value method_lower(METHOD) { return (void)args, jinja_change_case(r, self.string, JINJA_LOWER); }
static jinja_value method_upper(METHOD) { return (void)args, jinja_change_case(r, self.string, JINJA_UPPER); }
static jinja_value method_capitalize(METHOD) { return (void)args, jinja_change_case(r, self.string, JINJA_CAPITALIZE); }
static jinja_value method_title(METHOD) { return (void)args, jinja_change_case(r, self.string, JINJA_TITLE); }
static jinja_value method_swapcase(METHOD) { return (void)args, jinja_change_case(r, self.string, JINJA_SWAP); }

static jinja_value all_are(jinja_value self, bool (*is)(uint32_t)) {
    const jinja_string *s = self.string;
    for (size_t i = 0, n; i < s->length; i += n)
        if (!is(character_at(s, i, &n))) return jinja_bool(false);
    return jinja_bool(s->length > 0);
}

static bool is_alnum(uint32_t c) { return jinja_is_alpha(c) || jinja_is_digit(c); }
static bool is_ascii(uint32_t c) { return c < 0x80; }

static jinja_value method_isalpha(METHOD) { return (void)r, (void)args, all_are(self, jinja_is_alpha); }
static jinja_value method_isdigit(METHOD) { return (void)r, (void)args, all_are(self, jinja_is_digit); }
static jinja_value method_isalnum(METHOD) { return (void)r, (void)args, all_are(self, is_alnum); }
static jinja_value method_isspace(METHOD) { return (void)r, (void)args, all_are(self, jinja_is_space); }
static jinja_value method_islower(METHOD) { return (void)r, (void)args, jinja_bool(jinja_has_case(self, JINJA_LOWER)); }
static jinja_value method_isupper(METHOD) { return (void)r, (void)args, jinja_bool(jinja_has_case(self, JINJA_UPPER)); }

static jinja_value method_isascii(METHOD) {
    (void)r, (void)args;
    return jinja_bool(self.string->length == 0 || all_are(self, is_ascii).boolean);
}

static jinja_value method_istitle(METHOD) {
    (void)args;
    const jinja_value titled = jinja_change_case(r, self.string, JINJA_TITLE);
    bool has_letter = false;
    for (size_t i = 0, n; i < self.string->length; i += n)
        has_letter |= jinja_is_alpha(character_at(self.string, i, &n));
    return jinja_bool(has_letter && !jinja_failed(r) && jinja_equal(r, titled, self));
}

/* Fill a string up to a width. side: where the text goes, 'l' (left), 'r' (right) or 'c' (centre). */
static jinja_value pad(jinja_run *r, jinja_value self, const jinja_value *args, char side) {
    const int64_t width = jinja_whole_or(r, args[0], 0), n = (int64_t)jinja_characters(self.string),
                  missing = width > n ? width - n : 0;
    const jinja_value fill = given(args[1]) ? args[1] : jinja_trusted(r, " ");
    const jinja_string *with = text_argument(r, fill);
    if (!jinja_failed(r) && jinja_characters(with) != 1)
        return jinja_fail(r, CLLM_ERR_ARGUMENT, "The fill character must be exactly one character long");
    if (missing == 0 || jinja_failed(r)) return self;
    const int64_t left = side == 'l' ? 0 : side == 'r' ? missing : missing / 2 + (missing & width & 1);
    jinja_builder b = {.run = r, .safe = self.string->safe};
    for (int64_t i = 0; i < left && jinja_step(r, 1); i++) jinja_put_string(&b, with);
    jinja_put_string(&b, self.string);
    for (int64_t i = left; i < missing && jinja_step(r, 1); i++) jinja_put_string(&b, with);
    return jinja_built(&b);
}

static jinja_value method_ljust(METHOD) { return pad(r, self, args, 'l'); }
static jinja_value method_rjust(METHOD) { return pad(r, self, args, 'r'); }
static jinja_value method_center(METHOD) { return pad(r, self, args, 'c'); }

static jinja_value method_zfill(METHOD) {
    const jinja_value with[2] = {args[0], jinja_trusted(r, "0")};
    const bool has_sign = self.string->length > 0 && char_is_one_of(self.string->bytes[0], "+-");
    if (!has_sign || jinja_failed(r)) return pad(r, self, with, 'r');
    const int64_t width = jinja_whole_or(r, args[0], 0);
    const jinja_value less[2] = {jinja_integer(width > 0 ? width - 1 : 0), with[1]};
    const jinja_value sign = jinja_slice(r, self.string, 0, 1),
                      digits = jinja_slice(r, self.string, 1, self.string->length);
    return jinja_failed(r) ? digits : jinja_add(r, sign, pad(r, digits, less, 'r'));
}

/* str.format with "{}", "{0}", "{name}" and "{{". A format after ":" is not supported. */
static jinja_value method_format(METHOD) {
    const jinja_string *s = self.string;
    const jinja_list *values = args[0].list;
    jinja_builder b = {.run = r, .safe = s->safe};
    size_t next = 0;
    for (size_t i = 0; i < s->length && !jinja_failed(r); i++) {
        const char c = s->bytes[i];
        if ((c == '{' || c == '}') && i + 1 < s->length && s->bytes[i + 1] == c) {
            jinja_put_slice(&b, s, i, i + 1);
            i++;
            continue;
        }
        if (c != '{') {
            if (c == '}') return jinja_fail(r, CLLM_ERR_ARGUMENT, "Single '}' encountered in format string");
            jinja_put_slice(&b, s, i, i + 1);
            continue;
        }
        const char *close = memchr(s->bytes + i, '}', s->length - i);
        if (!close) return jinja_fail(r, CLLM_ERR_ARGUMENT, "Single '{' encountered in format string");
        const size_t end = (size_t)(close - s->bytes);
        const jinja_value name = jinja_slice(r, s, i + 1, end);
        size_t index = next;
        bool digits = end > i + 1;
        for (size_t k = i + 1; k < end; k++) digits = digits && s->bytes[k] >= '0' && s->bytes[k] <= '9' && k < i + 6;
        if (digits) index = 0;
        for (size_t k = i + 1; digits && k < end; k++) index = index * 10 + (size_t)(s->bytes[k] - '0');
        const jinja_value *named =
            end > i + 1 && !digits && !jinja_failed(r) ? jinja_dict_find(r, args[1].dict, name) : NULL;
        if (end == i + 1) next++;
        if (named)
            jinja_put_value(&b, *named);
        else if ((digits || end == i + 1) && index < values->count)
            jinja_put_value(&b, values->items[index]);
        else
            return jinja_fail(r, CLLM_ERR_ARGUMENT, "format: there is no value for '{%.*s}', or it asks for a format",
                              (int)(end - i - 1 < 60 ? end - i - 1 : 60), s->bytes + i + 1);
        i = end;
    }
    return jinja_built(&b);
}

/* ---------------------------------------------------------------------------------------------------- dicts */

static jinja_value method_get(METHOD) {
    const jinja_value *value = jinja_dict_find(r, self.dict, args[0]);
    return value ? *value : args[1].kind == JINJA_ABSENT ? JINJA_VALUE_NONE : args[1];
}

static jinja_value view(jinja_run *r, const jinja_dict *d, bool keys, bool values) {
    jinja_value v = jinja_list_of(r, JINJA_VIEW, d->count);
    for (size_t i = 0; i < d->count && !jinja_failed(r); i++) {
        if (!keys || !values) {
            v.list->items[i] = keys ? d->pairs[i].key : d->pairs[i].value;
            continue;
        }
        const jinja_value pair = jinja_list_of(r, JINJA_TUPLE, 2);
        if (jinja_failed(r)) break;
        pair.list->items[0] = d->pairs[i].key;
        pair.list->items[1] = d->pairs[i].value;
        v.list->items[i] = pair;
    }
    return v;
}

static jinja_value method_items(METHOD) { return (void)args, view(r, self.dict, true, true); }
static jinja_value method_keys(METHOD) { return (void)args, view(r, self.dict, true, false); }
static jinja_value method_values(METHOD) { return (void)args, view(r, self.dict, false, true); }
static jinja_value method_copy(METHOD) { return (void)r, (void)args, self; }

/* ------------------------------------------------------------------------------------ lists, loops, cyclers */

static jinja_value method_list_count(METHOD) {
    int64_t n = 0;
    for (size_t i = 0; i < self.list->count && jinja_step(r, 1); i++) n += jinja_equal(r, self.list->items[i], args[0]);
    return jinja_integer(n);
}

static jinja_value method_list_index(METHOD) {
    for (size_t i = 0; i < self.list->count && jinja_step(r, 1); i++)
        if (jinja_equal(r, self.list->items[i], args[0])) return jinja_integer((int64_t)i);
    return jinja_fail(r, CLLM_ERR_ARGUMENT, "the value is not in list");
}

static jinja_value method_cycle(METHOD) {
    const jinja_list *all = args[0].list;
    if (all->count == 0) return jinja_fail(r, CLLM_ERR_ARGUMENT, "no items for cycling given");
    return all->items[self.loop->at % all->count];
}

static jinja_value method_changed(METHOD) {
    const bool same = self.loop->changed.kind != JINJA_ABSENT && jinja_equal(r, self.loop->changed, args[0]);
    self.loop->changed = args[0];
    return jinja_bool(!same);
}

static jinja_value method_next(METHOD) {
    (void)r, (void)args;
    return self.cycle->items.items[self.cycle->at++ % self.cycle->items.count];
}

static jinja_value method_reset(METHOD) {
    (void)r, (void)args;
    self.cycle->at = 0;
    return JINJA_VALUE_NONE;
}

/* ----------------------------------------------------------------------------------------------- the tables */

static const jinja_function string_methods[] = {
    {"capitalize", "", method_capitalize, {0}},
    {"casefold", "", method_lower, {0}},
    {"center", "width fillchar", method_center, {0}},
    {"count", "sub start end", method_count, {0}},
    {"endswith", "suffix start end", method_endswith, {0}},
    {"find", "sub start end", method_find, {0}},
    {"format", "*", method_format, {0}},
    {"index", "sub start end", method_index, {0}},
    {"isalnum", "", method_isalnum, {0}},
    {"isalpha", "", method_isalpha, {0}},
    {"isascii", "", method_isascii, {0}},
    {"isdecimal", "", method_isdigit, {0}},
    {"isdigit", "", method_isdigit, {0}},
    {"islower", "", method_islower, {0}},
    {"isnumeric", "", method_isdigit, {0}},
    {"isspace", "", method_isspace, {0}},
    {"istitle", "", method_istitle, {0}},
    {"isupper", "", method_isupper, {0}},
    {"join", "iterable", method_join, {0}},
    {"ljust", "width fillchar", method_ljust, {0}},
    {"lower", "", method_lower, {0}},
    {"lstrip", "chars", method_lstrip, {0}},
    {"partition", "sep", method_partition, {0}},
    {"removeprefix", "prefix", method_removeprefix, {0}},
    {"removesuffix", "suffix", method_removesuffix, {0}},
    {"replace", "old new count", method_replace, {0}},
    {"rfind", "sub start end", method_rfind, {0}},
    {"rindex", "sub start end", method_rindex, {0}},
    {"rjust", "width fillchar", method_rjust, {0}},
    {"rpartition", "sep", method_rpartition, {0}},
    {"rsplit", "sep maxsplit", method_rsplit, {0}},
    {"rstrip", "chars", method_rstrip, {0}},
    {"split", "sep maxsplit", method_split, {0}},
    {"splitlines", "keepends", method_splitlines, {0}},
    {"startswith", "prefix start end", method_startswith, {0}},
    {"strip", "chars", method_strip, {0}},
    {"swapcase", "", method_swapcase, {0}},
    {"title", "", method_title, {0}},
    {"upper", "", method_upper, {0}},
    {"zfill", "width", method_zfill, {0}},
};

static const jinja_function dict_methods[] = {
    {"clear", "", NULL, {0}},           {"copy", "", method_copy, {0}}, {"get", "key default", method_get, {0}},
    {"items", "", method_items, {0}},   {"keys", "", method_keys, {0}}, {"pop", "", NULL, {0}},
    {"popitem", "", NULL, {0}},         {"setdefault", "", NULL, {0}},  {"update", "", NULL, {0}},
    {"values", "", method_values, {0}},
};

static const jinja_function list_methods[] = {
    {"append", "", NULL, {0}},      {"clear", "", NULL, {0}},
    {"copy", "", method_copy, {0}}, {"count", "value", method_list_count, {0}},
    {"extend", "", NULL, {0}},      {"index", "value", method_list_index, {0}},
    {"insert", "", NULL, {0}},      {"pop", "", NULL, {0}},
    {"remove", "", NULL, {0}},      {"reverse", "", NULL, {0}},
    {"sort", "", NULL, {0}},
};

static const jinja_function tuple_methods[] = {
    {"count", "value", method_list_count, {0}},
    {"index", "value", method_list_index, {0}},
};

static const jinja_function loop_methods[] = {
    {"changed", "*", method_changed, {0}},
    {"cycle", "*", method_cycle, {0}},
};

static const jinja_function cycler_methods[] = {
    {"next", "", method_next, {0}},
    {"reset", "", method_reset, {0}},
};

const jinja_function *jinja_find_method(jinja_value self, cllm_string name) {
    const jinja_function *all = NULL;
    size_t n = 0;
#define OF(methods) (all = methods, n = sizeof methods / sizeof *methods)
    switch (self.kind) {
    case JINJA_STRING: OF(string_methods); break;
    case JINJA_DICT: OF(dict_methods); break;
    case JINJA_LIST: OF(list_methods); break;
    case JINJA_TUPLE:
    case JINJA_RANGE: OF(tuple_methods); break;
    case JINJA_LOOP: OF(loop_methods); break;
    case JINJA_CYCLER: OF(cycler_methods); break;
    default: break;
    }
#undef OF
    return jinja_search(all, n, name);
}
