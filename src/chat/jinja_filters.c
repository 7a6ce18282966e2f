/* Filters, tests and global functions, as in Jinja 3.1. Before it: jinja.c, which evaluates the arguments. Each
 * function gets its arguments in the order of the names in its table row. The file begins with the filters for strings;
 * after them come those for numbers, those for lists, and the rest. */
#include "base/utf8.h"
#include "chat/jinja_case.h"
#include "chat/jinja_run.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define ARGUMENTS jinja_run *r, jinja_value self, const jinja_value *args

static const jinja_value absent = {.kind = JINJA_ABSENT};

static bool given(jinja_value v) { return v.kind != JINJA_ABSENT; }
static bool truth(jinja_value v) { return given(v) && jinja_truth(v); }

static jinja_value or_text(jinja_run *r, jinja_value v, const char *otherwise) {
    return given(v) && v.kind != JINJA_NONE ? jinja_string_of(r, v) : jinja_trusted(r, otherwise);
}

static jinja_value generator(jinja_run *r, size_t room) {
    jinja_value v = jinja_list_of(r, JINJA_GENERATOR, room);
    if (!jinja_failed(r)) v.list->count = 0;
    return v;
}

/* Follow a path from an item to a value inside it. The path is the argument `attribute` of a filter, such as "a.b.0";
 * digits are an index. otherwise: the result if something on the path is missing; it may be ABSENT. */
static jinja_value follow(jinja_run *r, jinja_value item, jinja_value path, jinja_value otherwise) {
    if (path.kind == JINJA_INTEGER) return jinja_item(r, item, path);
    if (path.kind != JINJA_STRING) return item;
    const jinja_string *s = path.string;
    jinja_read(r, path);
    for (size_t from = 0, end; from <= s->length && !jinja_failed(r); from = end + 1) {
        for (end = from; end < s->length && s->bytes[end] != '.'; end++) {}
        bool digits = end > from;
        int64_t index = 0;
        for (size_t i = from; i < end && digits; i++) {
            digits = s->bytes[i] >= '0' && s->bytes[i] <= '9' && i < from + 9;
            index = index * 10 + (s->bytes[i] - '0');
        }
        item = jinja_item(r, item, digits ? jinja_integer(index) : jinja_slice(r, s, from, end));
        if (item.kind == JINJA_UNDEFINED && given(otherwise)) return otherwise;
    }
    return item;
}

static jinja_value apply(jinja_run *r, const jinja_function *f, jinja_value v, const jinja_value *args, size_t n) {
    const jinja_args all = {.items = args, .count = n};
    return jinja_call_builtin(r, f, v, &all);
}

/* -------------------------------------------------------------------------------------- filters for strings */

static jinja_value change(jinja_run *r, jinja_value v, jinja_case_rule rule) {
    const jinja_value text = jinja_string_of(r, v);
    return jinja_failed(r) ? text : jinja_change_case(r, text.string, rule);
}

static jinja_value filter_lower(ARGUMENTS) { return (void)args, change(r, self, JINJA_LOWER); }
static jinja_value filter_upper(ARGUMENTS) { return (void)args, change(r, self, JINJA_UPPER); }
static jinja_value filter_capitalize(ARGUMENTS) { return (void)args, change(r, self, JINJA_CAPITALIZE); }
static jinja_value filter_title(ARGUMENTS) { return (void)args, change(r, self, JINJA_TITLE_WORDS); }
static jinja_value filter_string(ARGUMENTS) { return (void)args, jinja_string_of(r, self); }

static jinja_value call_method(jinja_run *r, const char *name, jinja_value v, const jinja_value *args, size_t n) {
    const jinja_value text = jinja_string_of(r, v);
    const jinja_function *method = jinja_find_method(text, (cllm_string){name, strlen(name)});
    return jinja_failed(r) || !method ? text : apply(r, method, text, args, n);
}

static jinja_value filter_trim(ARGUMENTS) { return call_method(r, "strip", self, args, given(args[0])); }
static jinja_value filter_replace(ARGUMENTS) { return call_method(r, "replace", self, args, given(args[2]) ? 3 : 2); }

static jinja_value filter_center(ARGUMENTS) {
    const jinja_value width = jinja_integer(jinja_whole_or(r, args[0], 80));
    return call_method(r, "center", self, &width, 1);
}

static jinja_value filter_escape(ARGUMENTS) { return (void)args, jinja_escape(r, self); }

static jinja_value filter_safe(ARGUMENTS) {
    (void)args;
    const jinja_value text = jinja_string_of(r, self);
    if (jinja_failed(r)) return text;
    jinja_builder b = {.run = r, .safe = true};
    jinja_put_string(&b, text.string);
    return jinja_built(&b);
}

static jinja_value filter_forceescape(ARGUMENTS) {
    const jinja_value text = jinja_string_of(r, self);
    jinja_builder b = {.run = r};
    if (jinja_failed(r)) return text;
    jinja_put_string(&b, text.string);
    return filter_escape(r, jinja_built(&b), args);
}

static jinja_value filter_indent(ARGUMENTS) {
    if (self.kind != JINJA_STRING)
        return jinja_fail(r, CLLM_ERR_ARGUMENT, "unsupported operand type(s) for +=: '%s' and 'str'",
                          jinja_type_name(self));
    const bool first = truth(args[1]), blank = truth(args[2]);
    jinja_value by = args[0];
    if (by.kind != JINJA_STRING) {
        const int64_t width = jinja_whole_or(r, args[0], 4);
        by = jinja_calculate(r, '*', jinja_trusted(r, " "), jinja_integer(width));
    }
    const jinja_value whole = jinja_add(r, self, jinja_trusted(r, "\n")); /* so that the last line may be empty */
    const jinja_value lines = call_method(r, "splitlines", whole, NULL, 0);
    jinja_builder b = {.run = r};
    for (size_t i = 0; !jinja_failed(r) && i < lines.list->count; i++) {
        const jinja_string *line = lines.list->items[i].string;
        const jinja_string *before = i > 0 ? lines.list->items[i - 1].string : NULL;
        if (before) jinja_put(&b, "\n", 1, jinja_byte_trusted(before, before->length)); /* trusted as it was */
        if (i == 0 ? first : blank || line->length > 0) jinja_put_string(&b, by.string);
        jinja_put_string(&b, line);
    }
    return jinja_built(&b);
}

/* True if n <= length + leeway, where n >= 0. */
static bool is_within(int64_t n, int64_t length, int64_t leeway) {
    return n <= length || (length >= 0 && n - length <= leeway);
}

static jinja_value filter_truncate(ARGUMENTS) {
    const int64_t length = jinja_whole_or(r, args[0], 255), leeway = jinja_whole_or(r, args[3], 5);
    if (self.kind != JINJA_STRING) {
        const jinja_value n = jinja_length(r, self);
        if (jinja_failed(r) || is_within(n.integer, length, leeway)) return self;
    }
    const jinja_value text = jinja_string_of(r, self), end = or_text(r, args[2], "...");
    if (jinja_failed(r)) return text;
    const int64_t n = (int64_t)jinja_characters(text.string), n_end = (int64_t)jinja_characters(end.string);
    if (is_within(n, length, leeway)) return text;
    jinja_value cut =
        jinja_cut(r, text, JINJA_VALUE_NONE, jinja_integer(length > n_end ? length - n_end : 0), JINJA_VALUE_NONE);
    if (jinja_failed(r)) return text;
    size_t last = cut.string->length;
    while (!truth(args[1]) && last > 0 && cut.string->bytes[last - 1] != ' ') last--;
    if (!truth(args[1]) && last > 0) cut = jinja_slice(r, cut.string, 0, last - 1);
    return jinja_add(r, cut, end);
}

static jinja_value filter_wordcount(ARGUMENTS) {
    (void)args;
    const jinja_value text = jinja_string_of(r, self);
    int64_t n = 0;
    bool within = false;
    for (size_t i = 0, length; !jinja_failed(r) && i < text.string->length; i += length) {
        length = utf8_length(text.string->bytes + i, text.string->length - i);
        if (length == 0) length = 1;
        const uint32_t c = utf8_decode(text.string->bytes + i, length);
        const bool is_word = c == '_' || jinja_is_alpha(c) || jinja_is_digit(c);
        n += is_word && !within;
        within = is_word;
    }
    return jinja_integer(n);
}

static jinja_value filter_format(ARGUMENTS) {
    const jinja_value text = jinja_string_of(r, self);
    if (jinja_failed(r)) return text;
    return jinja_format(r, text.string, args[1].dict->count > 0 ? args[1] : args[0]);
}

/* Write a string in URL encoding. in_query: as in a form's query, so a space is "+", and "/" is encoded too. */
static void put_encoded(jinja_builder *b, const jinja_string *s, bool in_query) {
    for (size_t i = 0; i < s->length; i++) {
        const unsigned char c = (unsigned char)s->bytes[i];
        const bool plain = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                           char_is_one_of((char)c, in_query ? "_.-~" : "_.-~/");
        char text[8];
        snprintf(text, sizeof text, plain ? "%c" : in_query && c == ' ' ? "+" : "%%%02X", c);
        jinja_put(b, text, strlen(text), jinja_byte_trusted(s, i));
    }
}

static jinja_value filter_urlencode(ARGUMENTS) {
    (void)args;
    jinja_builder b = {.run = r};
    if (self.kind == JINJA_DICT) {
        for (size_t i = 0; i < self.dict->count && !jinja_failed(r); i++) {
            const jinja_value key = jinja_string_of(r, self.dict->pairs[i].key),
                              value = jinja_string_of(r, self.dict->pairs[i].value);
            if (jinja_failed(r)) break;
            if (i > 0) jinja_put_text(&b, "&");
            put_encoded(&b, key.string, true);
            jinja_put_text(&b, "=");
            put_encoded(&b, value.string, true);
        }
        return jinja_built(&b);
    }
    const jinja_value text = jinja_string_of(r, self);
    if (!jinja_failed(r)) put_encoded(&b, text.string, false);
    return jinja_built(&b);
}

static jinja_value filter_striptags(ARGUMENTS) {
    (void)args;
    const jinja_value text = jinja_string_of(r, self);
    jinja_builder b = {.run = r};
    if (jinja_failed(r)) return text;
    bool within = false;
    for (size_t i = 0; i < text.string->length; i++) {
        const char c = text.string->bytes[i];
        if (c == '<') within = true;
        if (!within) jinja_put_slice(&b, text.string, i, i + 1);
        if (c == '>') within = false;
    }
    const jinja_value words = call_method(r, "split", jinja_built(&b), NULL, 0);
    return jinja_failed(r) ? words : call_method(r, "join", jinja_trusted(r, " "), &words, 1);
}

/* -------------------------------------------------------------------------------------- filters for numbers */

static jinja_value filter_abs(ARGUMENTS) {
    (void)args;
    if (self.kind == JINJA_BIG && self.string->bytes[0] == '-') {
        jinja_value digits = jinja_slice(r, self.string, 1, self.string->length);
        if (digits.kind == JINJA_STRING) digits.kind = JINJA_BIG;
        return digits;
    }
    if (self.kind == JINJA_BIG) return self;
    if (!jinja_is_number(self))
        return jinja_fail(r, CLLM_ERR_ARGUMENT, "bad operand type for abs(): '%s'", jinja_type_name(self));
    if (self.kind == JINJA_BOOL) return jinja_integer(self.boolean);
    if (self.kind == JINJA_FLOAT) return jinja_float(fabs(self.number));
    return self.integer < 0 ? jinja_negate(r, self) : self;
}

/* A text without the white space of ASCII around it. */
static cllm_string without_space(const jinja_string *s) {
    size_t from = 0, end = s->length;
    while (from < end && char_is_one_of(s->bytes[from], " \t\n\r\f\v")) from++;
    while (end > from && char_is_one_of(s->bytes[end - 1], " \t\n\r\f\v")) end--;
    return (cllm_string){s->bytes + from, end - from};
}

static int digit_of(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    const char letter = c | 32;
    return letter >= 'a' && letter <= 'z' ? letter - 'a' + 10 : 99;
}

/* Read an integer as Python's int() does, if its digits are ASCII: with a prefix like 0x that fits the base, and single
 * "_" between digits. Returns false if it is not one. base: 2 to 36, or 0, which means that the prefix tells it. fits:
 * out, false if the integer has more than 64 bits. */
static bool read_integer(cllm_string s, int64_t base, int64_t *integer, bool *fits) {
    size_t i = s.length > 0 && char_is_one_of(s.data[0], "+-");
    const bool minus = i > 0 && s.data[0] == '-';
    const bool has_zero = i + 1 < s.length && s.data[i] == '0';
    const char letter = has_zero ? s.data[i + 1] | 32 : 0;
    const int64_t of_prefix = letter == 'b' ? 2 : letter == 'o' ? 8 : letter == 'x' ? 16 : 0;
    bool after_digit = of_prefix > 0 && (base == 0 || base == of_prefix);
    *integer = 0;
    *fits = true;
    if (after_digit) i += 2;
    const bool only_zeros = base == 0 && !after_digit && has_zero; /* Python refuses "010" without a base */
    if (base == 0) base = after_digit ? of_prefix : 10;
    if (base < 2 || base > 36 || i == s.length) return false;
    for (; i < s.length; i++) {
        const bool is_line = s.data[i] == '_';
        const int64_t digit = is_line ? 0 : digit_of(s.data[i]);
        if ((is_line && !after_digit) || digit >= base || (only_zeros && digit > 0)) return false;
        after_digit = !is_line;
        if (is_line) continue;
        *fits = *fits && !__builtin_mul_overflow(*integer, base, integer) &&
                !__builtin_add_overflow(*integer, minus ? -digit : digit, integer);
    }
    return after_digit;
}

/* Read a number as Python's float() does. Returns false if it is not one. */
static bool read_float(cllm_string s, double *number) {
    static const char digits[] = "0123456789";
    static const struct {
        const char *name;
        double value;
    } names[] = {{"inf", INFINITY}, {"infinity", INFINITY}, {"nan", NAN}};
    char text[JSON_FEW_BYTES + 1], *at = text;
    size_t n = 0;
    if (s.length > JSON_FEW_BYTES) return false;
    for (size_t i = 0; i < s.length; i++) {
        const bool skip = s.data[i] == '_' && i > 0 && i + 1 < s.length && digit_of(s.data[i - 1]) < 10 &&
                          digit_of(s.data[i + 1]) < 10;
        if (!skip) text[n++] = s.data[i] >= 'A' && s.data[i] <= 'Z' ? (char)(s.data[i] | 32) : s.data[i];
    }
    text[n] = 0;
    at += char_is_one_of(*at, "+-");
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(at, names[i].name) == 0 && strlen(text) == n) {
            *number = *text == '-' ? -names[i].value : names[i].value;
            return true;
        }
    const size_t before = strspn(at, digits), after = at[before] == '.' ? strspn(at + before + 1, digits) : 0;
    if (before + after == 0) return false;
    at += before + (at[before] == '.') + after;
    if (*at == 'e') {
        at += 1 + char_is_one_of(at[1], "+-");
        if (strspn(at, digits) == 0) return false;
        at += strspn(at, digits);
    }
    *number = json_parse_float(text, n);
    return at == text + n;
}

static jinja_value filter_int(ARGUMENTS) {
    const jinja_value otherwise = given(args[0]) ? args[0] : jinja_integer(0);
    const int64_t base = jinja_whole_or(r, args[1], 10);
    double number = 0;
    if (self.kind == JINJA_UNDEFINED) return jinja_fail_missing(r, self);
    if (self.kind == JINJA_INTEGER || self.kind == JINJA_BIG) return self;
    if (self.kind == JINJA_BOOL) return jinja_integer(self.boolean);
    if (self.kind == JINJA_FLOAT) {
        number = self.number;
    } else {
        int64_t integer;
        bool fits;
        if (self.kind != JINJA_STRING) return otherwise;
        if (read_integer(without_space(self.string), base, &integer, &fits))
            return fits ? jinja_integer(integer) : jinja_too_large(r);
        if (!read_float(without_space(self.string), &number)) return otherwise;
    }
    if (!isfinite(number)) return otherwise;
    return jinja_fits(number) ? jinja_integer((int64_t)number) : jinja_too_large(r);
}

static jinja_value filter_float(ARGUMENTS) {
    double number = 0;
    if (self.kind == JINJA_UNDEFINED) return jinja_fail_missing(r, self);
    if (jinja_is_number(self)) return jinja_float(jinja_number(self));
    if ((self.kind == JINJA_STRING && read_float(without_space(self.string), &number)) ||
        (self.kind == JINJA_BIG && read_float(without_space(self.string), &number) && isfinite(number)))
        return jinja_float(number);
    return given(args[0]) ? args[0] : jinja_float(0);
}

/* Round an integer to a multiple of 10^digits, where digits > 0. A half goes to the even multiple. */
static jinja_value round_whole(jinja_run *r, int64_t n, int64_t digits) {
    uint64_t unit = 10, rounded = n < 0 ? -(uint64_t)n : (uint64_t)n;
    if (digits > 19) return jinja_integer(0); /* n is less than half of 10^20 */
    for (int64_t i = 1; i < digits; i++) unit *= 10;
    const uint64_t rest = rounded % unit;
    const bool is_odd = rounded / unit % 2;
    rounded -= rest;
    if (rest > unit / 2 || (rest == unit / 2 && is_odd)) rounded += unit;
    if (rounded > INT64_MAX) return jinja_too_large(r);
    return jinja_integer(n < 0 ? -(int64_t)rounded : (int64_t)rounded);
}

static jinja_value filter_round(ARGUMENTS) {
    const int64_t precision = jinja_whole_or(r, args[0], 0);
    if (!jinja_is_number(self))
        return jinja_fail(r, CLLM_ERR_ARGUMENT, "type %s doesn't define __round__ method", jinja_type_name(self));
    const double x = jinja_number(self);
    const bool is_common = !given(args[1]) || jinja_spells(args[1], "common");
    if (is_common && self.kind != JINJA_FLOAT) {
        const int64_t n = jinja_whole_or(r, self, 0);
        return precision >= 0 ? jinja_integer(n) : round_whole(r, n, precision < -20 ? 20 : -precision);
    }
    if (precision > 300 || !isfinite(x)) return jinja_float(x);
    if (precision < -308) return jinja_float(0 * x);
    if (!is_common) {
        const double factor = pow(10, (double)precision);
        if (jinja_spells(args[1], "ceil")) return jinja_float(ceil(x * factor) / factor);
        if (jinja_spells(args[1], "floor")) return jinja_float(floor(x * factor) / factor);
        return jinja_fail(r, CLLM_ERR_ARGUMENT, "method must be common, ceil or floor");
    }
    if (precision <= 0) {
        const double factor = pow(10, (double)-precision);
        return jinja_float(rint(x / factor) * factor);
    }
    char text[JSON_FEW_BYTES + 1]; /* rounded by printing: Python rounds the exact decimal value too */
    snprintf(text, sizeof text, "%.*f", (int)precision, x);
    for (char *c = text; *c; c++)
        if (*c == ',') *c = '.'; /* some locales print a comma */
    return jinja_float(json_parse_float(text, strlen(text)));
}

/* ---------------------------------------------------------------------------------------- filters for lists */

static jinja_value filter_length(ARGUMENTS) { return (void)args, jinja_length(r, self); }

static jinja_value filter_list(ARGUMENTS) {
    (void)args;
    const jinja_list all = jinja_walk(r, self);
    jinja_value v = jinja_list_of(r, JINJA_LIST, all.count);
    if (!jinja_failed(r) && all.count > 0) memcpy(v.list->items, all.items, all.count * sizeof *all.items);
    return v;
}

static jinja_value filter_first(ARGUMENTS) {
    (void)args;
    const jinja_list all = jinja_walk(r, self);
    return all.count > 0 ? all.items[0] : JINJA_VALUE_UNDEFINED;
}

static jinja_value filter_last(ARGUMENTS) {
    (void)args;
    const jinja_list all = jinja_walk(r, self);
    return all.count > 0 ? all.items[all.count - 1] : JINJA_VALUE_UNDEFINED;
}

static jinja_value filter_reverse(ARGUMENTS) {
    (void)args;
    if (self.kind == JINJA_STRING) return jinja_cut(r, self, JINJA_VALUE_NONE, JINJA_VALUE_NONE, jinja_integer(-1));
    const jinja_list all = jinja_walk(r, self);
    jinja_value v = generator(r, all.count);
    for (size_t i = all.count; !jinja_failed(r) && i-- > 0;) v.list->items[v.list->count++] = all.items[i];
    return v;
}

static jinja_value filter_join(ARGUMENTS) {
    const jinja_value between = or_text(r, args[0], "");
    const jinja_list all = jinja_walk(r, self);
    jinja_builder b = {.run = r};
    for (size_t i = 0; i < all.count && !jinja_failed(r); i++) {
        if (i > 0) jinja_put_string(&b, between.string);
        jinja_put_value(&b, follow(r, all.items[i], args[1], absent));
    }
    return jinja_built(&b);
}

static jinja_value filter_sum(ARGUMENTS) {
    const jinja_list all = jinja_walk(r, self);
    jinja_value sum = given(args[1]) ? args[1] : jinja_integer(0);
    for (size_t i = 0; i < all.count && !jinja_failed(r); i++)
        sum = jinja_add(r, sum, follow(r, all.items[i], args[0], absent));
    return sum;
}

/* The value by which an item is sorted. otherwise: as for follow. */
static jinja_value order_key(jinja_run *r, jinja_value item, jinja_value attribute, jinja_value otherwise,
                             bool case_sensitive) {
    const jinja_value key = follow(r, item, attribute, otherwise);
    return key.kind == JINJA_STRING && !case_sensitive ? jinja_change_case(r, key.string, JINJA_LOWER) : key;
}

/* Sort pairs by their keys: a merge sort from the bottom up, so that equal keys keep their order. */
static void sort_pairs(jinja_run *r, jinja_pair *pairs, size_t n, bool reverse) {
    jinja_pair *other = jinja_alloc(r, n, sizeof *other);
    for (size_t width = 1; other && width < n && !jinja_failed(r); width *= 2)
        for (size_t from = 0; from < n; from += 2 * width) {
            const size_t middle = from + width < n ? from + width : n, end = middle + width < n ? middle + width : n;
            size_t a = from, b = middle;
            for (size_t i = from; i < end && jinja_step(r, 1); i++) {
                int order = a < middle && b < end ? jinja_compare(r, pairs[b].key, pairs[a].key, "<") : 0;
                if (reverse) order = -order;
                other[i] = a < middle && (b >= end || order >= 0) ? pairs[a++] : pairs[b++];
            }
            if (!jinja_failed(r)) memcpy(pairs + from, other + from, (end - from) * sizeof *pairs);
        }
}

static jinja_pair *keyed(jinja_run *r, jinja_list all, jinja_value attribute, bool case_sensitive) {
    jinja_pair *pairs = jinja_alloc(r, all.count, sizeof *pairs);
    for (size_t i = 0; pairs && i < all.count && !jinja_failed(r); i++)
        pairs[i] = (jinja_pair){order_key(r, all.items[i], attribute, absent, case_sensitive), all.items[i]};
    return pairs;
}

static jinja_value filter_sort(ARGUMENTS) {
    const jinja_list all = jinja_walk(r, self);
    jinja_pair *pairs = keyed(r, all, args[2], truth(args[1]));
    jinja_value v = jinja_list_of(r, JINJA_LIST, all.count);
    if (jinja_failed(r)) return v;
    sort_pairs(r, pairs, all.count, truth(args[0]));
    for (size_t i = 0; i < all.count; i++) v.list->items[i] = pairs[i].value;
    return v;
}

static jinja_value filter_dictsort(ARGUMENTS) {
    if (self.kind != JINJA_DICT)
        return jinja_fail(r, CLLM_ERR_ARGUMENT, "'%s' object has no attribute 'items'", jinja_type_name(self));
    const jinja_dict *d = self.dict;
    const bool by_value = jinja_spells(args[1], "value");
    jinja_pair *pairs = jinja_alloc(r, d->count, sizeof *pairs);
    jinja_value v = jinja_list_of(r, JINJA_LIST, d->count);
    for (size_t i = 0; !jinja_failed(r) && i < d->count; i++) {
        const jinja_value pair = jinja_list_of(r, JINJA_TUPLE, 2);
        if (jinja_failed(r)) return v;
        pair.list->items[0] = d->pairs[i].key;
        pair.list->items[1] = d->pairs[i].value;
        const jinja_value key = by_value ? d->pairs[i].value : d->pairs[i].key;
        pairs[i] = (jinja_pair){order_key(r, key, absent, absent, truth(args[0])), pair};
    }
    if (jinja_failed(r)) return v;
    sort_pairs(r, pairs, d->count, truth(args[2]));
    for (size_t i = 0; i < d->count; i++) v.list->items[i] = pairs[i].value;
    return v;
}

static jinja_value extreme(jinja_run *r, jinja_value self, const jinja_value *args, int sign) {
    const jinja_list all = jinja_walk(r, self);
    const jinja_pair *pairs = keyed(r, all, args[1], truth(args[0]));
    size_t best = 0;
    if (all.count == 0 || jinja_failed(r)) return JINJA_VALUE_UNDEFINED;
    for (size_t i = 1; i < all.count; i++)
        if (sign * jinja_compare(r, pairs[i].key, pairs[best].key, sign > 0 ? ">" : "<") > 0) best = i;
    return pairs[best].value;
}

static jinja_value filter_max(ARGUMENTS) { return extreme(r, self, args, 1); }
static jinja_value filter_min(ARGUMENTS) { return extreme(r, self, args, -1); }

static jinja_value filter_unique(ARGUMENTS) {
    const jinja_list all = jinja_walk(r, self);
    const jinja_pair *pairs = keyed(r, all, args[1], truth(args[0]));
    jinja_value v = generator(r, all.count);
    for (size_t i = 0; i < all.count && !jinja_failed(r); i++) {
        bool known = false;
        if (pairs[i].key.kind == JINJA_LIST || pairs[i].key.kind == JINJA_DICT)
            return jinja_fail(r, CLLM_ERR_ARGUMENT, "unhashable type: '%s'", jinja_type_name(pairs[i].key));
        for (size_t k = 0; k < i && !known && jinja_step(r, 1); k++) known = jinja_equal(r, pairs[k].key, pairs[i].key);
        if (!known) v.list->items[v.list->count++] = pairs[i].value;
    }
    return v;
}

static jinja_value filter_groupby(ARGUMENTS) {
    const jinja_list all = jinja_walk(r, self);
    jinja_pair *pairs = jinja_alloc(r, all.count, sizeof *pairs);
    jinja_value groups = jinja_list_of(r, JINJA_LIST, all.count);
    for (size_t i = 0; !jinja_failed(r) && i < all.count; i++)
        pairs[i] = (jinja_pair){order_key(r, all.items[i], args[0], args[1], truth(args[2])), all.items[i]};
    if (jinja_failed(r)) return groups;
    sort_pairs(r, pairs, all.count, false);
    groups.list->count = 0;
    for (size_t from = 0, end; from < all.count && !jinja_failed(r); from = end) {
        for (end = from + 1; end < all.count && jinja_equal(r, pairs[from].key, pairs[end].key); end++) {}
        jinja_value group = jinja_list_of(r, JINJA_TUPLE, 2), items = jinja_list_of(r, JINJA_LIST, end - from);
        if (jinja_failed(r)) break;
        for (size_t i = from; i < end; i++) items.list->items[i - from] = pairs[i].value;
        group.list->items[0] = follow(r, pairs[from].value, args[0], args[1]);
        group.list->items[1] = items;
        groups.list->items[groups.list->count++] = group;
    }
    return groups;
}

/* Rows of `linecount` items. The last row is filled up with `fill_with`, if it is given. */
static jinja_value filter_batch(ARGUMENTS) {
    const jinja_list all = jinja_walk(r, self);
    const int64_t width = jinja_whole_or(r, args[0], 0);
    if (width <= 0) return jinja_fail(r, CLLM_ERR_ARGUMENT, "batch needs a count of 1 or more");
    jinja_value v = generator(r, all.count);
    for (size_t from = 0; from < all.count && !jinja_failed(r); from += (size_t)width) {
        const size_t n = all.count - from < (size_t)width ? all.count - from : (size_t)width;
        const bool fills = given(args[1]) && args[1].kind != JINJA_NONE && jinja_step(r, (size_t)width);
        jinja_value row = jinja_list_of(r, JINJA_LIST, fills ? (size_t)width : n);
        if (jinja_failed(r)) break;
        for (size_t i = 0; i < row.list->count; i++) row.list->items[i] = i < n ? all.items[from + i] : args[1];
        v.list->items[v.list->count++] = row;
    }
    return v;
}

/* `slices` columns, whose lengths differ by 1 at most. `fill_with`, if it is given, is added to the shorter ones; if
 * all are equally long, it is added to each, as in Jinja. */
static jinja_value filter_slice(ARGUMENTS) {
    const jinja_list all = jinja_walk(r, self);
    const int64_t count = jinja_whole_or(r, args[0], 0);
    if (count <= 0 || count > JINJA_MOST_RANGE)
        return jinja_fail(r, CLLM_ERR_ARGUMENT, "slice needs a count from 1 to 100000");
    const size_t n = (size_t)count, each = all.count / n, more = all.count % n;
    jinja_value v = generator(r, n);
    for (size_t i = 0, from = 0; i < n && !jinja_failed(r); i++) {
        const size_t length = each + (i < more);
        const bool fills = given(args[1]) && args[1].kind != JINJA_NONE && i >= more;
        jinja_value column = jinja_list_of(r, JINJA_LIST, length + fills);
        if (jinja_failed(r)) break;
        for (size_t k = 0; k < length; k++) column.list->items[k] = all.items[from + k];
        if (fills) column.list->items[length] = args[1];
        from += length;
        v.list->items[v.list->count++] = column;
    }
    return v;
}

/* The filter or test whose name is the first argument of `map`, `select` and similar filters. */
static const jinja_function *named_function(jinja_run *r, jinja_value name, bool is_test) {
    if (name.kind != JINJA_STRING) {
        jinja_fail(r, CLLM_ERR_ARGUMENT, "the name of a %s was expected", is_test ? "test" : "filter");
        return NULL;
    }
    const cllm_string text = {name.string->bytes, name.string->length};
    const jinja_function *f = is_test ? jinja_find_test(text) : jinja_find_filter(text);
    if (!f)
        jinja_fail(r, CLLM_ERR_UNSUPPORTED, "No %s named '%.*s'.", is_test ? "test" : "filter",
                   (int)(text.length < 60 ? text.length : 60), text.data);
    return f;
}

/* The items for `map`, `select` and similar filters. A value that counts as false has none: it is not iterated. */
static jinja_list walk_if_any(jinja_run *r, jinja_value v) {
    return jinja_truth(v) ? jinja_walk(r, v) : (jinja_list){NULL, 0};
}

static jinja_value choose(jinja_run *r, jinja_value self, const jinja_value *args, bool by_attribute, bool keep) {
    const jinja_list all = walk_if_any(r, self), *given_args = args[0].list;
    const size_t first = by_attribute;
    if (given_args->count < first) return jinja_fail(r, CLLM_ERR_ARGUMENT, "Missing parameter for attribute name");
    const jinja_function *test = given_args->count > first ? named_function(r, given_args->items[first], true) : NULL;
    jinja_value v = generator(r, all.count);
    for (size_t i = 0; i < all.count && !jinja_failed(r); i++) {
        jinja_value item = all.items[i];
        if (by_attribute) item = follow(r, item, given_args->items[0], absent);
        if (test) item = apply(r, test, item, given_args->items + first + 1, given_args->count - first - 1);
        if (jinja_truth(item) == keep) v.list->items[v.list->count++] = all.items[i];
    }
    return v;
}

static jinja_value filter_select(ARGUMENTS) { return choose(r, self, args, false, true); }
static jinja_value filter_reject(ARGUMENTS) { return choose(r, self, args, false, false); }
static jinja_value filter_selectattr(ARGUMENTS) { return choose(r, self, args, true, true); }
static jinja_value filter_rejectattr(ARGUMENTS) { return choose(r, self, args, true, false); }

static jinja_value filter_map(ARGUMENTS) {
    const jinja_list all = walk_if_any(r, self), *given_args = args[0].list;
    const jinja_value *attribute = jinja_dict_get(args[1].dict, "attribute"),
                      *otherwise = jinja_dict_get(args[1].dict, "default");
    const jinja_function *f = NULL;
    if (given_args->count == 0 && !attribute) return jinja_fail(r, CLLM_ERR_ARGUMENT, "map requires a filter argument");
    if (given_args->count > 0) f = named_function(r, given_args->items[0], false);
    jinja_value v = generator(r, all.count);
    const size_t n_own = given_args->count > 0; /* the filter's name */
    const jinja_args rest = {given_args->items + n_own, given_args->count - n_own, args[1].dict->pairs,
                             args[1].dict->count};
    for (size_t i = 0; i < all.count && jinja_read(r, all.items[i]); i++)
        v.list->items[v.list->count++] = f ? jinja_call_builtin(r, f, all.items[i], &rest)
                                           : follow(r, all.items[i], *attribute, otherwise ? *otherwise : absent);
    return v;
}

static jinja_value filter_items(ARGUMENTS) {
    if (self.kind == JINJA_UNDEFINED) return generator(r, 0);
    const jinja_function *items = self.kind == JINJA_DICT ? jinja_find_method(self, (cllm_string){"items", 5}) : NULL;
    return items ? items->call(r, self, args)
                 : jinja_fail(r, CLLM_ERR_ARGUMENT, "Can only get item pairs from a mapping.");
}

/* -------------------------------------------------------------------------------------------- other filters */

static jinja_value filter_default(ARGUMENTS) {
    const bool missing = self.kind == JINJA_UNDEFINED || (truth(args[1]) && !jinja_truth(self));
    if (!missing) return self;
    return given(args[0]) ? args[0] : jinja_trusted(r, "");
}

static jinja_value filter_attr(ARGUMENTS) {
    const jinja_value name = jinja_string_of(r, args[0]);
    if (jinja_failed(r) || self.kind == JINJA_UNDEFINED) return jinja_failed(r) ? name : jinja_fail_missing(r, self);
    const jinja_function *method = jinja_find_method(self, (cllm_string){name.string->bytes, name.string->length});
    return method ? jinja_attribute(r, self, name) : jinja_missing_of(r, jinja_type_name(self), name, false);
}

static const char *terminated(jinja_run *r, jinja_value v) {
    char *copy = v.kind == JINJA_STRING ? jinja_alloc(r, v.string->length + 1, 1) : NULL;
    if (copy) memcpy(copy, v.string->bytes, v.string->length);
    return copy;
}

static jinja_value filter_tojson(ARGUMENTS) {
    json_style style = {.ascii = truth(args[0])};
    const jinja_value indent = args[1], separators = args[2];
    if (indent.kind == JINJA_STRING) {
        style.indent = terminated(r, indent);
    } else if (given(indent) && indent.kind != JINJA_NONE) {
        const int64_t n = jinja_whole_or(r, indent, 0);
        style.indent = terminated(r, jinja_calculate(r, '*', jinja_trusted(r, " "), jinja_integer(n < 200 ? n : 200)));
    }
    if (given(separators) && jinja_is_list(separators) && separators.list->count == 2) {
        style.item_separator = terminated(r, separators.list->items[0]);
        style.name_separator = terminated(r, separators.list->items[1]);
    }
    return jinja_failed(r) ? self : jinja_to_json(r, self, &style, truth(args[3]));
}

static const jinja_function filters[] = {
    {"abs", "", filter_abs, {0}},
    {"attr", "name", filter_attr, {0}},
    {"batch", "linecount fill_with", filter_batch, {0}},
    {"capitalize", "", filter_capitalize, {0}},
    {"center", "width", filter_center, {0}},
    {"count", "", filter_length, {0}},
    {"d", "default_value boolean", filter_default, {0}},
    {"default", "default_value boolean", filter_default, {0}},
    {"dictsort", "case_sensitive by reverse", filter_dictsort, {0}},
    {"e", "", filter_escape, {0}},
    {"escape", "", filter_escape, {0}},
    {"first", "", filter_first, {0}},
    {"float", "default", filter_float, {0}},
    {"forceescape", "", filter_forceescape, {0}},
    {"format", "*", filter_format, {0}},
    {"groupby", "attribute default case_sensitive", filter_groupby, {0}},
    {"indent", "width first blank", filter_indent, {0}},
    {"int", "default base", filter_int, {0}},
    {"items", "", filter_items, {0}},
    {"join", "d attribute", filter_join, {0}},
    {"last", "", filter_last, {0}},
    {"length", "", filter_length, {0}},
    {"list", "", filter_list, {0}},
    {"lower", "", filter_lower, {0}},
    {"map", "*", filter_map, {0}},
    {"max", "case_sensitive attribute", filter_max, {0}},
    {"min", "case_sensitive attribute", filter_min, {0}},
    {"reject", "*", filter_reject, {0}},
    {"rejectattr", "*", filter_rejectattr, {0}},
    {"replace", "old new count", filter_replace, {0}},
    {"reverse", "", filter_reverse, {0}},
    {"round", "precision method", filter_round, {0}},
    {"safe", "", filter_safe, {0}},
    {"select", "*", filter_select, {0}},
    {"selectattr", "*", filter_selectattr, {0}},
    {"slice", "slices fill_with", filter_slice, {0}},
    {"sort", "reverse case_sensitive attribute", filter_sort, {0}},
    {"string", "", filter_string, {0}},
    {"striptags", "", filter_striptags, {0}},
    {"sum", "attribute start", filter_sum, {0}},
    {"title", "", filter_title, {0}},
    {"tojson", "ensure_ascii indent separators sort_keys", filter_tojson, {0}},
    {"trim", "chars", filter_trim, {0}},
    {"truncate", "length killwords end leeway", filter_truncate, {0}},
    {"unique", "case_sensitive attribute", filter_unique, {0}},
    {"upper", "", filter_upper, {0}},
    {"urlencode", "", filter_urlencode, {0}},
    {"wordcount", "", filter_wordcount, {0}},
};

/* ---------------------------------------------------------------------------------------------------- tests */

#define TEST(name, condition)                   \
    static jinja_value test_##name(ARGUMENTS) { \
        (void)r, (void)args;                    \
        return jinja_bool(condition);           \
    }

TEST(defined, self.kind != JINJA_UNDEFINED)
TEST(undefined, self.kind == JINJA_UNDEFINED)
TEST(none, self.kind == JINJA_NONE)
TEST(boolean, self.kind == JINJA_BOOL)
TEST(true, self.kind == JINJA_BOOL && self.boolean)
TEST(false, self.kind == JINJA_BOOL && !self.boolean)
TEST(integer, self.kind == JINJA_INTEGER || self.kind == JINJA_BIG)
TEST(float, self.kind == JINJA_FLOAT)
TEST(number, jinja_is_number(self) || self.kind == JINJA_BIG)
TEST(string, self.kind == JINJA_STRING)
TEST(mapping, self.kind == JINJA_DICT)
TEST(iterable, self.kind == JINJA_STRING || self.kind == JINJA_DICT || self.kind == JINJA_LOOP ||
                   self.kind == JINJA_UNDEFINED || jinja_is_list(self))
TEST(sequence, self.kind == JINJA_STRING || self.kind == JINJA_DICT || self.kind == JINJA_UNDEFINED ||
                   (self.kind >= JINJA_LIST && self.kind <= JINJA_RANGE))
TEST(callable, self.kind >= JINJA_LOOP || self.kind == JINJA_UNDEFINED)
TEST(lower, jinja_read(r, self) && jinja_has_case(jinja_string_of(r, self), JINJA_LOWER))
TEST(upper, jinja_read(r, self) && jinja_has_case(jinja_string_of(r, self), JINJA_UPPER))
TEST(escaped, self.kind == JINJA_STRING && self.string->safe)
TEST(eq, jinja_equal(r, self, args[0]))
TEST(ne, !jinja_equal(r, self, args[0]))
TEST(lt, jinja_compare(r, self, args[0], "<") < 0)
TEST(le, jinja_compare(r, self, args[0], "<=") <= 0)
TEST(gt, jinja_compare(r, self, args[0], ">") > 0)
TEST(ge, jinja_compare(r, self, args[0], ">=") >= 0)
TEST(in, jinja_contains(r, args[0], self))
TEST(sameas,
     self.kind == args[0].kind && (self.kind == JINJA_NONE || self.kind == JINJA_BOOL ? jinja_equal(r, self, args[0])
                                   : self.kind == JINJA_INTEGER                       ? self.integer == args[0].integer
                                                                                      : self.list == args[0].list))
TEST(filter, self.kind == JINJA_STRING && jinja_find_filter((cllm_string){self.string->bytes, self.string->length}))
TEST(test, self.kind == JINJA_STRING && jinja_find_test((cllm_string){self.string->bytes, self.string->length}))

/* True if self % n is `rest`. */
static jinja_value divides(jinja_run *r, jinja_value self, jinja_value n, int64_t rest) {
    const jinja_value modulo = jinja_calculate(r, '%', self, n);
    return jinja_failed(r) ? modulo : jinja_bool(jinja_equal(r, modulo, jinja_integer(rest)));
}

static jinja_value test_divisibleby(ARGUMENTS) { return divides(r, self, args[0], 0); }
static jinja_value test_even(ARGUMENTS) { return (void)args, divides(r, self, jinja_integer(2), 0); }
static jinja_value test_odd(ARGUMENTS) { return (void)args, divides(r, self, jinja_integer(2), 1); }

static const jinja_function tests[] = {
    {"!=", "other", test_ne, {0}},
    {"<", "other", test_lt, {0}},
    {"<=", "other", test_le, {0}},
    {"==", "other", test_eq, {0}},
    {">", "other", test_gt, {0}},
    {">=", "other", test_ge, {0}},
    {"boolean", "", test_boolean, {0}},
    {"callable", "", test_callable, {0}},
    {"defined", "", test_defined, {0}},
    {"divisibleby", "num", test_divisibleby, {0}},
    {"eq", "other", test_eq, {0}},
    {"equalto", "other", test_eq, {0}},
    {"escaped", "", test_escaped, {0}},
    {"even", "", test_even, {0}},
    {"false", "", test_false, {0}},
    {"filter", "", test_filter, {0}},
    {"float", "", test_float, {0}},
    {"ge", "other", test_ge, {0}},
    {"greaterthan", "other", test_gt, {0}},
    {"gt", "other", test_gt, {0}},
    {"in", "seq", test_in, {0}},
    {"integer", "", test_integer, {0}},
    {"iterable", "", test_iterable, {0}},
    {"le", "other", test_le, {0}},
    {"lessthan", "other", test_lt, {0}},
    {"lower", "", test_lower, {0}},
    {"lt", "other", test_lt, {0}},
    {"mapping", "", test_mapping, {0}},
    {"ne", "other", test_ne, {0}},
    {"none", "", test_none, {0}},
    {"number", "", test_number, {0}},
    {"odd", "", test_odd, {0}},
    {"sameas", "other", test_sameas, {0}},
    {"sequence", "", test_sequence, {0}},
    {"string", "", test_string, {0}},
    {"test", "", test_test, {0}},
    {"true", "", test_true, {0}},
    {"undefined", "", test_undefined, {0}},
    {"upper", "", test_upper, {0}},
};

/* ----------------------------------------------------------------------------------------- global functions */

static jinja_value global_range(ARGUMENTS) {
    (void)self;
    const bool one = !given(args[1]);
    const int64_t start = one ? 0 : jinja_whole_or(r, args[0], 0), stop = jinja_whole_or(r, args[one ? 0 : 1], 0),
                  step = jinja_whole_or(r, args[2], 1);
    if (step == 0) return jinja_fail(r, CLLM_ERR_ARGUMENT, "range() arg 3 must not be zero");
    const bool empty = step > 0 ? start >= stop : start <= stop;
    const uint64_t span = step > 0 ? (uint64_t)stop - (uint64_t)start : (uint64_t)start - (uint64_t)stop;
    const uint64_t stride = step > 0 ? (uint64_t)step : -(uint64_t)step, count = empty ? 0 : (span - 1) / stride + 1;
    if (count > JINJA_MOST_RANGE)
        return jinja_fail(r, CLLM_ERR_UNSUPPORTED,
                          "Range too big. The sandbox blocks ranges larger than MAX_RANGE (%d).", JINJA_MOST_RANGE);
    jinja_value v = jinja_list_of(r, JINJA_RANGE, (size_t)count);
    for (uint64_t i = 0; !jinja_failed(r) && i < count; i++)
        v.list->items[i] = jinja_integer((int64_t)((uint64_t)start + i * (uint64_t)step));
    return v;
}

/* dict(...) and namespace(...): the members of a mapping or a list of pairs, then the named arguments. */
static jinja_value make_mapping(jinja_run *r, const jinja_value *args, jinja_kind kind) {
    jinja_value v = jinja_dict_new(r, kind, args[1].dict->count);
    const jinja_list *first = args[0].list;
    if (jinja_failed(r)) return v;
    if (first->count > 0 && first->items[0].kind == JINJA_DICT) {
        const jinja_dict *d = first->items[0].dict;
        for (size_t i = 0; i < d->count; i++) jinja_dict_set(r, v.dict, d->pairs[i].key, d->pairs[i].value);
    } else if (first->count > 0) {
        const jinja_list pairs = jinja_walk(r, first->items[0]);
        for (size_t i = 0; i < pairs.count && !jinja_failed(r); i++) {
            const jinja_list pair = jinja_walk(r, pairs.items[i]);
            if (pair.count == 2)
                jinja_dict_set(r, v.dict, pair.items[0], pair.items[1]);
            else
                jinja_fail(r, CLLM_ERR_ARGUMENT,
                           "dictionary update sequence element #%zu has length %zu; 2 is required", i, pair.count);
        }
    }
    for (size_t i = 0; i < args[1].dict->count; i++)
        jinja_dict_set(r, v.dict, args[1].dict->pairs[i].key, args[1].dict->pairs[i].value);
    return v;
}

static jinja_value global_dict(ARGUMENTS) { return (void)self, make_mapping(r, args, JINJA_DICT); }
static jinja_value global_namespace(ARGUMENTS) { return (void)self, make_mapping(r, args, JINJA_NAMESPACE); }

static jinja_value make_cycle(jinja_run *r, jinja_kind kind, jinja_list items) {
    struct jinja_cycle *cycle = jinja_alloc(r, 1, sizeof *cycle);
    if (!cycle) return JINJA_VALUE_UNDEFINED;
    *cycle = (struct jinja_cycle){.items = items};
    return (jinja_value){.kind = kind, .cycle = cycle};
}

static jinja_value global_cycler(ARGUMENTS) {
    (void)self;
    if (args[0].list->count == 0) return jinja_fail(r, CLLM_ERR_ARGUMENT, "at least one item has to be provided");
    return make_cycle(r, JINJA_CYCLER, *args[0].list);
}

static jinja_value global_joiner(ARGUMENTS) {
    (void)self;
    jinja_value items = jinja_list_of(r, JINJA_LIST, 1);
    if (jinja_failed(r)) return items;
    items.list->items[0] = or_text(r, args[0], ", ");
    return make_cycle(r, JINJA_JOINER, *items.list);
}

static jinja_value global_raise_exception(ARGUMENTS) {
    (void)self;
    const jinja_value message = given(args[0]) ? jinja_string_of(r, args[0]) : jinja_trusted(r, "");
    if (jinja_failed(r)) return message;
    return jinja_fail(r, CLLM_ERR_ARGUMENT, "%.*s", (int)(message.string->length < 390 ? message.string->length : 390),
                      message.string->bytes);
}

static jinja_value global_strftime_now(ARGUMENTS) {
    (void)self;
    const jinja_value format = or_text(r, args[0], "");
    const char *pattern = terminated(r, format);
    const time_t now = (time_t)jinja_now(r);
    struct tm local;
    char text[1024];
    if (!pattern) return format;
    if (!localtime_r(&now, &local)) return jinja_fail(r, CLLM_ERR_ARGUMENT, "there is no such time");
    const size_t n = strftime(text, sizeof text, pattern, &local);
    jinja_builder b = {.run = r};
    jinja_put(&b, text, n, format.string->trust ? false : format.string->trusted);
    return jinja_built(&b);
}

static const jinja_function globals[] = {
    {"cycler", "*", global_cycler, {0}},
    {"dict", "*", global_dict, {0}},
    {"joiner", "sep", global_joiner, {0}},
    {"namespace", "*", global_namespace, {0}},
    {"raise_exception", "message", global_raise_exception, {0}},
    {"range", "start stop step", global_range, {0}},
    {"strftime_now", "format", global_strftime_now, {0}},
};

/* -------------------------------------------------------------------------------------------- find and call */

const jinja_function *jinja_search(const jinja_function *all, size_t n, cllm_string name) {
    for (size_t i = 0; i < n; i++)
        if (strlen(all[i].name) == name.length && memcmp(all[i].name, name.data, name.length) == 0) return &all[i];
    return NULL;
}

const jinja_function *jinja_find_filter(cllm_string name) {
    return jinja_search(filters, sizeof filters / sizeof *filters, name);
}
const jinja_function *jinja_find_test(cllm_string name) {
    return jinja_search(tests, sizeof tests / sizeof *tests, name);
}
const jinja_function *jinja_find_global(cllm_string name) {
    return jinja_search(globals, sizeof globals / sizeof *globals, name);
}

/* The index of the parameter with this name, or -1. */
static int parameter_of(const char *parameters, const jinja_string *name) {
    int index = 0;
    for (const char *at = parameters; *at; index++) {
        const size_t n = strcspn(at, " ");
        if (n == name->length && memcmp(at, name->bytes, n) == 0) return index;
        at += n + (at[n] == ' ');
    }
    return -1;
}

static int count_parameters(const char *parameters) {
    int n = *parameters != 0;
    for (; *parameters; parameters++) n += *parameters == ' ';
    return n;
}

/* Call a function that takes all arguments: a tuple, and a dict of the named ones. */
static jinja_value call_with_all(jinja_run *r, const jinja_function *f, jinja_value self, const jinja_args *args) {
    jinja_value all[2] = {jinja_list_of(r, JINJA_TUPLE, args->count), jinja_dict_new(r, JINJA_DICT, args->n_named)};
    if (jinja_failed(r)) return JINJA_VALUE_UNDEFINED;
    if (args->count > 0) memcpy(all[0].list->items, args->items, args->count * sizeof *args->items);
    for (size_t i = 0; i < args->n_named; i++) jinja_dict_set(r, all[1].dict, args->named[i].key, args->named[i].value);
    return f->call(r, self, all);
}

jinja_value jinja_call_builtin(jinja_run *r, const jinja_function *f, jinja_value self, const jinja_args *args) {
    if (!jinja_step(r, 1)) return JINJA_VALUE_UNDEFINED;
    if (strcmp(f->parameters, "*") == 0) return call_with_all(r, f, self, args);
    const int n = count_parameters(f->parameters);
    jinja_value bound[JINJA_MOST_ARGS] = {{0}};
    if (args->count > (size_t)n)
        return jinja_fail(r, CLLM_ERR_ARGUMENT, "%s() takes %d arguments but %zu were given", f->name, n, args->count);
    for (size_t i = 0; i < args->count; i++) bound[i] = args->items[i];
    for (size_t i = 0; i < args->n_named; i++) {
        const jinja_value name = args->named[i].key;
        const int at = name.kind == JINJA_STRING ? parameter_of(f->parameters, name.string) : -1;
        if (at < 0) return jinja_fail(r, CLLM_ERR_ARGUMENT, "%s() got an unexpected keyword argument", f->name);
        bound[at] = args->named[i].value;
    }
    return f->call(r, self, bound);
}
