/* Operations on values, as in Python: equality, items, attributes and operators. Before it: jinja.c and the built-in
 * functions. */
#include "base/checked.h"
#include "base/error.h"
#include "base/utf8.h"
#include "chat/jinja_run.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* --------------------------------------------------------------------------------------- memory and failing */

enum { PIECE_BYTES = 64 * 1024, ALIGNMENT = 16 };

void *jinja_alloc(jinja_run *r, size_t count, size_t size) {
    uint64_t n;
    const bool sane = checked_mul(count, size, &n) && checked_round_up(n, ALIGNMENT, &n) && n <= JINJA_MOST_BYTES;
    if (!sane || n > JINJA_MOST_BYTES - r->n_bytes) {
        jinja_fail(r, CLLM_ERR_UNSUPPORTED, "the template makes more than %d MiB of values", JINJA_MOST_BYTES >> 20);
        return NULL;
    }
    if (!r->free || n > (size_t)(r->end - r->free)) {
        const size_t piece = n > PIECE_BYTES ? n : PIECE_BYTES;
        r->free = arena_alloc(&r->arena, piece, 1);
        r->end = r->free ? r->free + piece : NULL;
        if (!r->free) {
            jinja_fail(r, CLLM_ERR_MEMORY, "no memory for the values of the template");
            return NULL;
        }
    }
    void *block = r->free;
    r->free += n;
    r->n_bytes += n;
    return block;
}

jinja_place jinja_place_of(const char *source, uint32_t at) {
    jinja_place place = {1, 1};
    for (uint32_t i = 0; i < at; i++) {
        if (source[i] == '\n')
            place = (jinja_place){place.line + 1, 1};
        else
            place.column += ((unsigned char)source[i] & 0xC0) != 0x80;
    }
    return place;
}

jinja_value jinja_fail(jinja_run *r, cllm_status status, const char *format, ...) {
    if (r->status != CLLM_OK) return JINJA_VALUE_UNDEFINED;
    char message[400];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    const jinja_place place = jinja_place_of(r->source, r->at);
    r->status = error_set_at(r->err, status, "", r->at, "chat template, line %u, column %u: %s", place.line,
                             place.column, message);
    return JINJA_VALUE_UNDEFINED;
}

bool jinja_failed(const jinja_run *r) { return r->status != CLLM_OK; }

jinja_value jinja_too_large(jinja_run *r) {
    return jinja_fail(r, CLLM_ERR_UNSUPPORTED, "the result is an integer of more than 64 bits");
}

bool jinja_step(jinja_run *r, size_t n) {
    r->n_steps += n;
    if (r->n_steps <= JINJA_MOST_STEPS) return r->status == CLLM_OK;
    jinja_fail(r, CLLM_ERR_UNSUPPORTED, "the template takes more than %d steps", JINJA_MOST_STEPS);
    return false;
}

bool jinja_read(jinja_run *r, jinja_value v) {
    return jinja_step(r, v.kind == JINJA_STRING ? v.string->length / JINJA_STEP_BYTES : 0);
}

int64_t jinja_now(const jinja_run *r) { return r->now; }

jinja_value jinja_missing_of(jinja_run *r, const char *owner, jinja_value name, bool unsafe) {
    jinja_missing *missing = jinja_alloc(r, 1, sizeof *missing);
    if (missing) *missing = (jinja_missing){owner, name, unsafe};
    return (jinja_value){.kind = JINJA_UNDEFINED, .missing = missing};
}

jinja_value jinja_fail_missing(jinja_run *r, jinja_value undefined) {
    const jinja_missing *m = undefined.missing;
    if (!m) return jinja_fail(r, CLLM_ERR_ARGUMENT, "a value is undefined");
    jinja_builder b = {.run = r};
    const bool is_name = m->name.kind == JINJA_STRING;
    if (is_name)
        jinja_put_string(&b, m->name.string);
    else
        jinja_put_repr(&b, m->name);
    const int n = b.length < 100 ? (int)b.length : 100;
    const char *name = b.length ? b.bytes : "";
    if (m->unsafe)
        return jinja_fail(r, CLLM_ERR_ARGUMENT, "access to attribute '%.*s' of '%s' object is unsafe.", n, name,
                          m->owner);
    if (!m->owner) return jinja_fail(r, CLLM_ERR_ARGUMENT, "'%.*s' is undefined", n, name);
    const char *object = strcmp(m->owner, "NoneType") == 0 ? "" : " object";
    const char *owner = *object ? m->owner : "None";
    if (!is_name) return jinja_fail(r, CLLM_ERR_ARGUMENT, "%s%s has no element %.*s", owner, object, n, name);
    return jinja_fail(r, CLLM_ERR_ARGUMENT, "'%s%s' has no attribute '%.*s'", owner, object, n, name);
}

/* ------------------------------------------------------------------------------------------ lists and dicts */

jinja_value jinja_list_of(jinja_run *r, jinja_kind kind, size_t count) {
    jinja_list *list = jinja_alloc(r, 1, sizeof *list);
    jinja_value *items = jinja_alloc(r, count, sizeof *items);
    if (!list || !items) return JINJA_VALUE_UNDEFINED;
    for (size_t i = 0; i < count; i++) items[i] = JINJA_VALUE_UNDEFINED;
    *list = (jinja_list){items, count};
    return (jinja_value){.kind = kind, .list = list};
}

jinja_value jinja_dict_new(jinja_run *r, jinja_kind kind, size_t capacity) {
    jinja_dict *dict = jinja_alloc(r, 1, sizeof *dict);
    jinja_pair *pairs = jinja_alloc(r, capacity, sizeof *pairs);
    if (!dict || !pairs) return JINJA_VALUE_UNDEFINED;
    *dict = (jinja_dict){.pairs = pairs, .capacity = capacity};
    return (jinja_value){.kind = kind, .dict = dict};
}

static jinja_value *find(jinja_run *r, const jinja_dict *d, jinja_value key) {
    for (size_t i = 0; i < d->count; i++)
        if (jinja_equal(r, d->pairs[i].key, key)) return &d->pairs[i].value;
    return NULL;
}

const jinja_value *jinja_dict_find(jinja_run *r, const jinja_dict *d, jinja_value key) {
    return jinja_step(r, 1 + d->count / 16) ? find(r, d, key) : NULL;
}

const jinja_value *jinja_dict_get(const jinja_dict *d, const char *name) {
    for (size_t i = 0; i < d->count; i++)
        if (jinja_spells(d->pairs[i].key, name)) return &d->pairs[i].value;
    return NULL;
}

void jinja_dict_set(jinja_run *r, jinja_dict *d, jinja_value key, jinja_value value) {
    if (key.kind == JINJA_LIST || key.kind == JINJA_DICT) {
        jinja_fail(r, CLLM_ERR_ARGUMENT, "unhashable type: '%s'", jinja_type_name(key));
        return;
    }
    jinja_value *old = jinja_step(r, 1 + d->count / 16) ? find(r, d, key) : NULL;
    if (old) {
        *old = value;
        return;
    }
    if (d->count == d->capacity) {
        const size_t capacity = 2 * d->capacity + 4;
        jinja_pair *pairs = jinja_alloc(r, capacity, sizeof *pairs);
        if (!pairs) return;
        if (d->count > 0) memcpy(pairs, d->pairs, d->count * sizeof *pairs);
        d->pairs = pairs;
        d->capacity = capacity;
    }
    d->pairs[d->count++] = (jinja_pair){key, value};
}

/* The byte offset of the character `index`; s->length if there are fewer. A vocabulary may spell a special token with
 * bytes that are not UTF-8; then those that cannot begin a character belong to the one before. */
static size_t byte_of(const jinja_string *s, size_t index) {
    size_t at = 0;
    for (; at < s->length; at++)
        if (((unsigned char)s->bytes[at] & 0xC0) != 0x80 && index-- == 0) break;
    return at;
}

jinja_list jinja_walk(jinja_run *r, jinja_value v) {
    jinja_list all = {NULL, 0};
    if (jinja_is_list(v)) {
        all = *v.list;
        if (v.kind == JINJA_GENERATOR) v.list->count = 0;
    } else if (v.kind == JINJA_DICT) {
        all.items = jinja_alloc(r, v.dict->count, sizeof *all.items);
        for (size_t i = 0; all.items && i < v.dict->count; i++) all.items[all.count++] = v.dict->pairs[i].key;
    } else if (v.kind == JINJA_STRING) {
        const jinja_string *s = v.string;
        all.items = jinja_alloc(r, jinja_characters(s), sizeof *all.items);
        for (size_t i = byte_of(s, 0), end; all.items && i < s->length && !jinja_failed(r); i = end) {
            for (end = i + 1; end < s->length && ((unsigned char)s->bytes[end] & 0xC0) == 0x80;) end++;
            all.items[all.count++] = jinja_slice(r, s, i, end);
        }
    } else if (v.kind == JINJA_LOOP) {
        all = v.loop->items;
    } else if (v.kind != JINJA_UNDEFINED) {
        jinja_fail(r, CLLM_ERR_ARGUMENT, "'%s' object is not iterable", jinja_type_name(v));
    } else if (v.missing && v.missing->unsafe) {
        jinja_fail_missing(r, v);
    }
    jinja_step(r, all.count);
    return all;
}

/* ---------------------------------------------------------------------------------------------------------- asking */

bool jinja_is_number(jinja_value v) { return v.kind == JINJA_BOOL || v.kind == JINJA_INTEGER || v.kind == JINJA_FLOAT; }

double jinja_number(jinja_value v) {
    return v.kind == JINJA_FLOAT ? v.number : v.kind == JINJA_BOOL ? (double)v.boolean : (double)v.integer;
}

bool jinja_fits(double number) { return number >= -0x1p63 && number < 0x1p63; }

static bool is_whole(jinja_value v) { return v.kind == JINJA_BOOL || v.kind == JINJA_INTEGER; }
static int64_t whole(jinja_value v) { return v.kind == JINJA_BOOL ? v.boolean : v.integer; }

int64_t jinja_whole_or(jinja_run *r, jinja_value v, int64_t otherwise) {
    if (v.kind == JINJA_ABSENT || v.kind == JINJA_NONE) return otherwise;
    if (is_whole(v)) return whole(v);
    jinja_fail(r, CLLM_ERR_ARGUMENT, "an integer was expected, not %s", jinja_type_name(v));
    return otherwise;
}

const char *jinja_type_name(jinja_value v) {
    static const char *const names[] = {
        [JINJA_ABSENT] = "Undefined",    [JINJA_UNDEFINED] = "Undefined", [JINJA_NONE] = "NoneType",
        [JINJA_BOOL] = "bool",           [JINJA_INTEGER] = "int",         [JINJA_BIG] = "int",
        [JINJA_FLOAT] = "float",         [JINJA_STRING] = "str",          [JINJA_LIST] = "list",
        [JINJA_TUPLE] = "tuple",         [JINJA_RANGE] = "range",         [JINJA_VIEW] = "dict_items",
        [JINJA_GENERATOR] = "generator", [JINJA_DICT] = "dict",           [JINJA_NAMESPACE] = "Namespace",
        [JINJA_LOOP] = "LoopContext",    [JINJA_CYCLER] = "Cycler",       [JINJA_JOINER] = "Joiner",
        [JINJA_MACRO] = "Macro",         [JINJA_FUNCTION] = "function",
    };
    return names[v.kind];
}

bool jinja_truth(jinja_value v) {
    switch (v.kind) {
    case JINJA_ABSENT:
    case JINJA_UNDEFINED:
    case JINJA_NONE: return false;
    case JINJA_BOOL: return v.boolean;
    case JINJA_INTEGER: return v.integer != 0;
    case JINJA_FLOAT: return v.number != 0;
    case JINJA_STRING: return v.string->length > 0;
    case JINJA_LIST:
    case JINJA_TUPLE:
    case JINJA_RANGE:
    case JINJA_VIEW: return v.list->count > 0;
    case JINJA_DICT: return v.dict->count > 0;
    default: return true;
    }
}

enum { FAST_STEP_BYTES = 1024 }; /* bytes that memcmp compares in one step */

static bool same_text(jinja_run *r, const jinja_string *a, const jinja_string *b) {
    return a->length == b->length && jinja_step(r, a->length / FAST_STEP_BYTES) &&
           memcmp(a->bytes, b->bytes, a->length) == 0;
}

static bool same_items(jinja_run *r, const jinja_list *a, const jinja_list *b) {
    if (a->count != b->count || !jinja_step(r, a->count)) return false;
    for (size_t i = 0; i < a->count; i++)
        if (!jinja_equal(r, a->items[i], b->items[i])) return false;
    return true;
}

static bool same_pairs(jinja_run *r, const jinja_dict *a, const jinja_dict *b) {
    if (a->count != b->count) return false;
    for (size_t i = 0; i < a->count; i++) {
        const jinja_value *other = jinja_dict_find(r, b, a->pairs[i].key);
        if (!other || !jinja_equal(r, a->pairs[i].value, *other)) return false;
    }
    return true;
}

static bool same_within(jinja_run *r, jinja_value a, jinja_value b) {
    if (++r->depth > JINJA_MOST_DEPTH) {
        jinja_fail(r, CLLM_ERR_UNSUPPORTED, "values are nested too deep to be compared");
        return false;
    }
    const bool same = jinja_is_list(a) ? same_items(r, a.list, b.list) : same_pairs(r, a.dict, b.dict);
    r->depth--;
    return same;
}

bool jinja_equal(jinja_run *r, jinja_value a, jinja_value b) {
    if (is_whole(a) && is_whole(b)) return whole(a) == whole(b);
    if (jinja_is_number(a) && jinja_is_number(b)) return jinja_number(a) == jinja_number(b);
    if (a.kind != b.kind) return false;
    switch (a.kind) {
    case JINJA_ABSENT:
    case JINJA_UNDEFINED:
    case JINJA_NONE: return true;
    case JINJA_BIG:
    case JINJA_STRING: return same_text(r, a.string, b.string);
    case JINJA_LIST:
    case JINJA_TUPLE:
    case JINJA_RANGE:
    case JINJA_DICT: return same_within(r, a, b);
    default: return a.list == b.list; /* the same object */
    }
}

static int compare_items(jinja_run *r, const jinja_list *a, const jinja_list *b, const char *sign) {
    for (size_t i = 0; i < a->count && i < b->count && jinja_step(r, 1); i++)
        if (!jinja_equal(r, a->items[i], b->items[i])) return jinja_compare(r, a->items[i], b->items[i], sign);
    return a->count < b->count ? -1 : a->count > b->count;
}

int jinja_compare(jinja_run *r, jinja_value a, jinja_value b, const char *sign) {
    if (is_whole(a) && is_whole(b)) return whole(a) < whole(b) ? -1 : whole(a) > whole(b);
    if (jinja_is_number(a) && jinja_is_number(b)) {
        const double x = jinja_number(a), y = jinja_number(b);
        return x < y ? -1 : x > y;
    }
    if (a.kind == JINJA_STRING && b.kind == JINJA_STRING) {
        const size_t n = a.string->length < b.string->length ? a.string->length : b.string->length;
        const int order = jinja_step(r, n / FAST_STEP_BYTES) ? memcmp(a.string->bytes, b.string->bytes, n) : 0;
        return order ? order : a.string->length < b.string->length ? -1 : a.string->length > b.string->length;
    }
    if (a.kind == b.kind && (a.kind == JINJA_LIST || a.kind == JINJA_TUPLE)) {
        int order = 0;
        if (++r->depth > JINJA_MOST_DEPTH)
            jinja_fail(r, CLLM_ERR_UNSUPPORTED, "values are nested too deep to be compared");
        else
            order = compare_items(r, a.list, b.list, sign);
        r->depth--;
        return order;
    }
    if (a.kind == JINJA_UNDEFINED || b.kind == JINJA_UNDEFINED)
        jinja_fail_missing(r, a.kind == JINJA_UNDEFINED ? a : b);
    else
        jinja_fail(r, CLLM_ERR_ARGUMENT, "'%s' not supported between instances of '%s' and '%s'", sign,
                   jinja_type_name(a), jinja_type_name(b));
    return 0;
}

static bool has_text(jinja_run *r, const jinja_string *s, const jinja_string *part) {
    if (!jinja_step(r, 1 + s->length / JINJA_STEP_BYTES)) return false;
    for (size_t i = 0; i + part->length <= s->length && !jinja_failed(r); i++)
        if (jinja_is_at(r, s, i, part)) return true;
    return false;
}

bool jinja_contains(jinja_run *r, jinja_value container, jinja_value item) {
    if (container.kind == JINJA_STRING) {
        if (item.kind == JINJA_STRING) return has_text(r, container.string, item.string);
        if (item.kind == JINJA_UNDEFINED)
            jinja_fail_missing(r, item);
        else
            jinja_fail(r, CLLM_ERR_ARGUMENT, "'in <string>' requires string as left operand, not %s",
                       jinja_type_name(item));
        return false;
    }
    if (container.kind == JINJA_DICT) return jinja_dict_find(r, container.dict, item);
    if (container.kind != JINJA_UNDEFINED && !jinja_is_list(container)) {
        jinja_fail(r, CLLM_ERR_ARGUMENT, "argument of type '%s' is not iterable", jinja_type_name(container));
        return false;
    }
    const jinja_list all = jinja_walk(r, container);
    for (size_t i = 0; i < all.count; i++)
        if (jinja_equal(r, all.items[i], item)) return true;
    return false;
}

jinja_value jinja_length(jinja_run *r, jinja_value v) {
    if (v.kind == JINJA_STRING) return jinja_integer((int64_t)jinja_characters(v.string));
    if (jinja_is_list(v) && v.kind != JINJA_GENERATOR) return jinja_integer((int64_t)v.list->count);
    if (v.kind == JINJA_DICT) return jinja_integer((int64_t)v.dict->count);
    if (v.kind == JINJA_LOOP) return jinja_integer((int64_t)v.loop->items.count);
    if (v.kind == JINJA_UNDEFINED) return jinja_integer(0);
    return jinja_fail(r, CLLM_ERR_ARGUMENT, "object of type '%s' has no len()", jinja_type_name(v));
}

/* ---------------------------------------------------------------------------------------- items, attributes */

static size_t count_items(jinja_value v) { return v.kind == JINJA_STRING ? jinja_characters(v.string) : v.list->count; }

static bool has_order(jinja_value v) {
    return v.kind == JINJA_STRING || v.kind == JINJA_LIST || v.kind == JINJA_TUPLE || v.kind == JINJA_RANGE;
}

static jinja_value item_at(jinja_run *r, jinja_value v, size_t index) {
    if (v.kind != JINJA_STRING) return v.list->items[index];
    const size_t at = byte_of(v.string, index);
    return jinja_slice(r, v.string, at, byte_of(v.string, index + 1));
}

static jinja_value method_of(jinja_run *r, jinja_value v, jinja_value name) {
    const cllm_string text = {name.string->bytes, name.string->length};
    const jinja_function *method = jinja_find_method(v, text);
    if (!method) return (jinja_value){.kind = JINJA_ABSENT};
    if (!method->call) return jinja_missing_of(r, jinja_type_name(v), name, true);
    jinja_function *bound = jinja_alloc(r, 1, sizeof *bound);
    if (!bound) return JINJA_VALUE_UNDEFINED;
    *bound = *method;
    bound->self = v;
    return (jinja_value){.kind = JINJA_FUNCTION, .function = bound};
}

static jinja_value loop_attribute(const jinja_loop *l, const jinja_string *name) {
    const struct {
        const char *name;
        jinja_value value;
    } all[] = {
        {"index", jinja_integer((int64_t)l->at + 1)},
        {"index0", jinja_integer((int64_t)l->at)},
        {"revindex", jinja_integer((int64_t)(l->items.count - l->at))},
        {"revindex0", jinja_integer((int64_t)(l->items.count - l->at) - 1)},
        {"first", jinja_bool(l->at == 0)},
        {"last", jinja_bool(l->at + 1 == l->items.count)},
        {"length", jinja_integer((int64_t)l->items.count)},
        {"depth", jinja_integer((int64_t)l->depth + 1)},
        {"depth0", jinja_integer((int64_t)l->depth)},
        {"previtem", l->at > 0 ? l->items.items[l->at - 1] : JINJA_VALUE_UNDEFINED},
        {"nextitem", l->at + 1 < l->items.count ? l->items.items[l->at + 1] : JINJA_VALUE_UNDEFINED},
    };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (strlen(all[i].name) == name->length && memcmp(all[i].name, name->bytes, name->length) == 0)
            return all[i].value;
    return (jinja_value){.kind = JINJA_ABSENT};
}

jinja_value jinja_item(jinja_run *r, jinja_value v, jinja_value key) {
    if (v.kind == JINJA_UNDEFINED) return jinja_fail_missing(r, v);
    if (v.kind == JINJA_DICT) {
        const jinja_value *value = jinja_dict_find(r, v.dict, key);
        if (value) return *value;
    } else if (has_order(v) && is_whole(key)) {
        if (!jinja_read(r, v)) return JINJA_VALUE_UNDEFINED;
        const int64_t count = (int64_t)count_items(v), index = whole(key) < 0 ? whole(key) + count : whole(key);
        if (index >= 0 && index < count) return item_at(r, v, (size_t)index);
    }
    if (key.kind == JINJA_STRING) {
        const jinja_value method = method_of(r, v, key);
        if (method.kind != JINJA_ABSENT) return method;
    }
    return jinja_missing_of(r, jinja_type_name(v), key, false);
}

jinja_value jinja_attribute(jinja_run *r, jinja_value v, jinja_value name) {
    if (v.kind == JINJA_UNDEFINED) return jinja_fail_missing(r, v);
    jinja_value found = method_of(r, v, name);
    if (found.kind != JINJA_ABSENT) return found;
    if (v.kind == JINJA_LOOP) found = loop_attribute(v.loop, name.string);
    if (v.kind == JINJA_CYCLER && jinja_spells(name, "current"))
        found = v.cycle->items.items[v.cycle->at % v.cycle->items.count];
    if (v.kind == JINJA_TUPLE && v.list->count == 2 && jinja_spells(name, "grouper")) found = v.list->items[0];
    if (v.kind == JINJA_TUPLE && v.list->count == 2 && jinja_spells(name, "list")) found = v.list->items[1];
    if (found.kind != JINJA_ABSENT) return found;
    if (v.kind == JINJA_DICT || v.kind == JINJA_NAMESPACE) {
        const jinja_value *value = jinja_dict_find(r, v.dict, name);
        if (value) return *value;
    }
    return jinja_missing_of(r, jinja_type_name(v), name, false);
}

/* Where a slice of `count` items begins or ends (is_end). v: the bound as written, which may be negative or missing. */
static int64_t bound(jinja_run *r, jinja_value v, int64_t count, int64_t step, bool is_end) {
    if (v.kind == JINJA_ABSENT || v.kind == JINJA_NONE) {
        if (is_end) return step > 0 ? count : -1;
        return step > 0 ? 0 : count - 1;
    }
    if (!is_whole(v)) {
        jinja_fail(r, CLLM_ERR_ARGUMENT, "slice indices must be integers or None or have an __index__ method");
        return 0;
    }
    int64_t at = whole(v);
    if (at < 0) at = at < -count ? -1 : at + count;
    if (at < 0) return step > 0 ? 0 : -1;
    if (at >= count) return step > 0 ? count : count - 1;
    return at;
}

jinja_value jinja_cut(jinja_run *r, jinja_value v, jinja_value from, jinja_value to, jinja_value step) {
    if (v.kind == JINJA_UNDEFINED) return jinja_fail_missing(r, v);
    if (v.kind == JINJA_DICT) return jinja_fail(r, CLLM_ERR_ARGUMENT, "unhashable type: 'slice'");
    if (!has_order(v)) return jinja_fail(r, CLLM_ERR_ARGUMENT, "'%s' object is not subscriptable", jinja_type_name(v));
    if (!jinja_read(r, v)) return JINJA_VALUE_UNDEFINED;
    const bool has_step = step.kind != JINJA_ABSENT && step.kind != JINJA_NONE;
    if (has_step && (!is_whole(step) || whole(step) == 0))
        return jinja_fail(r, CLLM_ERR_ARGUMENT,
                          is_whole(step) ? "slice step cannot be zero" : "slice indices must be integers");
    const int64_t by = has_step ? whole(step) : 1, count = (int64_t)count_items(v);
    const int64_t at = bound(r, from, count, by, false), end = bound(r, to, count, by, true);
    if (jinja_failed(r)) return JINJA_VALUE_UNDEFINED;
    if (v.kind == JINJA_STRING && by == 1)
        return jinja_slice(r, v.string, byte_of(v.string, (size_t)at),
                           byte_of(v.string, (size_t)(at < end ? end : at)));
    const uint64_t stride = by > 0 ? (uint64_t)by : -(uint64_t)by; /* -INT64_MIN does not fit an int64_t */
    const int64_t distance = by > 0 ? end - at : at - end,
                  length = distance > 0 ? (int64_t)((uint64_t)(distance - 1) / stride) + 1 : 0;
    if (!jinja_step(r, (size_t)length)) return JINJA_VALUE_UNDEFINED;
    const jinja_list all = v.kind == JINJA_STRING ? jinja_walk(r, v) : *v.list;
    jinja_value part = jinja_list_of(r, v.kind == JINJA_STRING ? JINJA_LIST : v.kind, (size_t)length);
    if (jinja_failed(r) || all.count < (size_t)count) return JINJA_VALUE_UNDEFINED;
    for (int64_t i = 0; i < length; i++) part.list->items[i] = all.items[at + i * by];
    if (v.kind != JINJA_STRING) return part;
    jinja_builder b = {.run = r};
    for (int64_t i = 0; i < length; i++) jinja_put_string(&b, part.list->items[i].string);
    return jinja_built(&b);
}

/* ------------------------------------------------------------------------------------------------------- operators */

static jinja_value wrong_types(jinja_run *r, const char *sign, jinja_value a, jinja_value b) {
    if (a.kind == JINJA_UNDEFINED || b.kind == JINJA_UNDEFINED)
        return jinja_fail_missing(r, a.kind == JINJA_UNDEFINED ? a : b);
    if (a.kind == JINJA_BIG || b.kind == JINJA_BIG)
        return jinja_fail(r, CLLM_ERR_UNSUPPORTED, "arithmetic on integers of more than 64 bits is not supported");
    return jinja_fail(r, CLLM_ERR_ARGUMENT, "unsupported operand type(s) for %s: '%s' and '%s'", sign,
                      jinja_type_name(a), jinja_type_name(b));
}

static jinja_value repeat_items(jinja_run *r, jinja_value v, size_t times) {
    const size_t count = v.list->count;
    if (count > 0 && times > SIZE_MAX / count) return jinja_too_large(r);
    jinja_value all = jinja_step(r, count * times) ? jinja_list_of(r, v.kind, count * times) : JINJA_VALUE_UNDEFINED;
    for (size_t i = 0; jinja_is_list(all) && i < count * times; i++) all.list->items[i] = v.list->items[i % count];
    return all;
}

static jinja_value repeat(jinja_run *r, jinja_value v, int64_t times) {
    if (times < 0) times = 0;
    if (v.kind != JINJA_STRING) return repeat_items(r, v, (size_t)times);
    jinja_builder b = {.run = r, .safe = v.string->safe};
    for (int64_t i = 0; v.string->length > 0 && i < times && jinja_step(r, 1); i++) jinja_put_string(&b, v.string);
    return jinja_built(&b);
}

static jinja_value join_items(jinja_run *r, jinja_value a, jinja_value b) {
    jinja_value all = jinja_list_of(r, a.kind, a.list->count + b.list->count);
    if (!jinja_is_list(all) || !jinja_step(r, all.list->count)) return JINJA_VALUE_UNDEFINED;
    for (size_t i = 0; i < all.list->count; i++)
        all.list->items[i] = i < a.list->count ? a.list->items[i] : b.list->items[i - a.list->count];
    return all;
}

jinja_value jinja_add(jinja_run *r, jinja_value a, jinja_value b) {
    int64_t sum;
    if (is_whole(a) && is_whole(b))
        return __builtin_add_overflow(whole(a), whole(b), &sum) ? jinja_too_large(r) : jinja_integer(sum);
    if (jinja_is_number(a) && jinja_is_number(b)) return jinja_float(jinja_number(a) + jinja_number(b));
    if (a.kind == JINJA_STRING && b.kind == JINJA_STRING) {
        const bool safe = a.string->safe || b.string->safe;
        if (safe) a = jinja_escape(r, a);
        if (safe) b = jinja_escape(r, b);
        jinja_builder text = {.run = r, .safe = safe};
        if (jinja_failed(r)) return JINJA_VALUE_UNDEFINED;
        jinja_put_string(&text, a.string);
        jinja_put_string(&text, b.string);
        return jinja_built(&text);
    }
    if (a.kind == b.kind && (a.kind == JINJA_LIST || a.kind == JINJA_TUPLE)) return join_items(r, a, b);
    if (b.kind != JINJA_UNDEFINED && (a.kind == JINJA_STRING || a.kind == JINJA_LIST || a.kind == JINJA_TUPLE))
        return jinja_fail(r, CLLM_ERR_ARGUMENT, "can only concatenate %s (not \"%s\") to %s", jinja_type_name(a),
                          jinja_type_name(b), jinja_type_name(a));
    return wrong_types(r, "+", a, b);
}

static jinja_value power(jinja_run *r, jinja_value a, jinja_value b) {
    if (!is_whole(a) || !is_whole(b) || whole(b) < 0) {
        const double x = jinja_number(a), y = jinja_number(b), result = pow(x, y);
        if (isfinite(x) && isfinite(y) && !isfinite(result))
            return jinja_fail(r, CLLM_ERR_ARGUMENT, "the result of ** is not a finite number");
        return jinja_float(result);
    }
    int64_t result = 1, base = whole(a);
    for (int64_t n = whole(b); n > 0; n /= 2) {
        if (n % 2 == 1 && __builtin_mul_overflow(result, base, &result)) return jinja_too_large(r);
        if (n > 1 && __builtin_mul_overflow(base, base, &base)) return jinja_too_large(r);
    }
    return jinja_integer(result);
}

/* Division as in Python: the quotient is rounded down, and the remainder has the divisor's sign. */
static jinja_value divide_whole(jinja_run *r, int64_t a, int64_t b, bool remainder) {
    if (b == 0) return jinja_fail(r, CLLM_ERR_ARGUMENT, "integer division or modulo by zero");
    if (b == -1) return remainder ? jinja_integer(0) : a == INT64_MIN ? jinja_too_large(r) : jinja_integer(-a);
    const bool down = a % b != 0 && (a < 0) != (b < 0);
    return jinja_integer(remainder ? a % b + (down ? b : 0) : a / b - down);
}

static jinja_value divide(jinja_run *r, char operator, jinja_value a, jinja_value b) {
    const double x = jinja_number(a), y = jinja_number(b);
    if (operator!= '/' && is_whole(a) && is_whole(b)) return divide_whole(r, whole(a), whole(b), operator== '%');
    if (y == 0) return jinja_fail(r, CLLM_ERR_ARGUMENT, "division by zero");
    if (operator== '/') return jinja_float(x / y);
    double rest = fmod(x, y), quotient = (x - rest) / y; /* truncated */
    if (rest != 0 && (rest < 0) != (y < 0)) {
        rest += y;
        quotient -= 1;
    }
    if (operator== '%') return jinja_float(rest == 0 ? copysign(0, y) : rest);
    return jinja_float(quotient == 0 ? copysign(0, x / y) : round(quotient));
}

jinja_value jinja_calculate(jinja_run *r, char operator, jinja_value a, jinja_value b) {
    int64_t result;
    const char *sign = operator== '^' ? "** or pow()" : operator== '|' ? "//" : (const char[]){operator, 0 };
    if (operator== '%' && a.kind == JINJA_STRING) return jinja_format(r, a.string, b);
    if (operator== '*' && is_whole(b) && (a.kind == JINJA_STRING || a.kind == JINJA_LIST || a.kind == JINJA_TUPLE))
        return repeat(r, a, whole(b));
    if (operator== '*' && is_whole(a) && (b.kind == JINJA_STRING || b.kind == JINJA_LIST || b.kind == JINJA_TUPLE))
        return repeat(r, b, whole(a));
    if (!jinja_is_number(a) || !jinja_is_number(b)) return wrong_types(r, sign, a, b);
    if (operator== '^') return power(r, a, b);
    if (operator!= '-' && operator!= '*') return divide(r, operator, a, b);
    if (!is_whole(a) || !is_whole(b))
        return jinja_float(operator== '-' ? jinja_number(a) - jinja_number(b) : jinja_number(a) * jinja_number(b));
    const bool wraps = operator== '-' ? __builtin_sub_overflow(whole(a), whole(b), &result)
                                      : __builtin_mul_overflow(whole(a), whole(b), &result);
    return wraps ? jinja_too_large(r) : jinja_integer(result);
}

jinja_value jinja_negate(jinja_run *r, jinja_value v) {
    if (v.kind == JINJA_UNDEFINED) return jinja_fail_missing(r, v);
    if (!jinja_is_number(v))
        return jinja_fail(r, CLLM_ERR_ARGUMENT, "bad operand type for unary -: '%s'", jinja_type_name(v));
    if (v.kind == JINJA_FLOAT) return jinja_float(-v.number);
    return whole(v) == INT64_MIN ? jinja_too_large(r) : jinja_integer(-whole(v));
}

/* -------------------------------------------------------------------------------------- printf-like formats */

typedef struct conversion {
    char flags[8];
    int width, precision; /* -1: none */
    char type;
} conversion;

/* Read what follows '%' and a name in parentheses: flags, width, precision and letter. Returns false if it is
 * invalid. */
static bool read_conversion(const jinja_string *s, size_t *at, conversion *c) {
    size_t n = 0;
    *c = (conversion){.width = -1, .precision = -1};
    while (*at < s->length && char_is_one_of(s->bytes[*at], "#0- +") && n + 1 < sizeof c->flags)
        c->flags[n++] = s->bytes[(*at)++];
    for (int *to = &c->width;; to = &c->precision) {
        while (*at < s->length && s->bytes[*at] >= '0' && s->bytes[*at] <= '9') {
            *to = (*to < 0 ? 0 : *to * 10) + (s->bytes[(*at)++] - '0');
            if (*to > 1000) return false;
        }
        if (to == &c->precision || *at >= s->length || s->bytes[*at] != '.') break;
        c->precision = 0;
        ++*at;
    }
    if (*at >= s->length) return false;
    c->type = s->bytes[(*at)++];
    return true;
}

static void put_padded(jinja_builder *b, const conversion *c, const jinja_string *s) {
    const size_t n = jinja_characters(s), width = c->width > 0 ? (size_t)c->width : 0;
    const bool left = strchr(c->flags, '-');
    for (size_t i = n; !left && i < width; i++) jinja_put_text(b, " ");
    jinja_put_string(b, s);
    for (size_t i = n; left && i < width; i++) jinja_put_text(b, " ");
}

static void put_converted(jinja_builder *b, const conversion *c, jinja_value v) {
    jinja_run *r = b->run;
    char format[32], text[1400]; /* a sign, 309 digits, a point and 1,000 decimals at most */
    if (c->type == 's' || c->type == 'r') {
        jinja_builder inner = {.run = r};
        if (c->type == 'r')
            jinja_put_repr(&inner, v);
        else
            jinja_put_value(&inner, v);
        jinja_value s = jinja_built(&inner);
        if (c->precision >= 0) s = jinja_cut(r, s, JINJA_VALUE_NONE, jinja_integer(c->precision), JINJA_VALUE_NONE);
        if (s.kind == JINJA_STRING) put_padded(b, c, s.string);
        return;
    }
    if (!jinja_is_number(v)) {
        jinja_fail(r, CLLM_ERR_ARGUMENT, "%%%c format: a real number is required, not %s", c->type, jinja_type_name(v));
        return;
    }
    const bool is_float = char_is_one_of(c->type, "eEfFgG");
    if (!is_float && !char_is_one_of(c->type, "diuxXo")) {
        jinja_fail(r, CLLM_ERR_ARGUMENT, "unsupported format character '%c'", c->type);
        return;
    }
    const bool is_hex = !is_float && char_is_one_of(c->type, "xXo");
    if (is_hex && v.kind == JINJA_FLOAT) {
        jinja_fail(r, CLLM_ERR_ARGUMENT, "%%%c format: an integer is required, not float", c->type);
        return;
    }
    if (is_hex && whole(v) < 0) { /* C prints these without a sign */
        jinja_fail(r, CLLM_ERR_UNSUPPORTED, "%%%c format: a negative integer is not supported", c->type);
        return;
    }
    snprintf(format, sizeof format, "%%%s*.*%s%c", c->flags, is_float ? "" : "ll", c->type == 'u' ? 'd' : c->type);
    const int width = c->width < 0 ? 0 : c->width;
    if (is_float) {
        snprintf(text, sizeof text, format, width, c->precision, jinja_number(v));
        for (char *at = text; *at; at++)
            if (*at == ',') *at = '.'; /* some locales print a comma */
    } else if (v.kind != JINJA_FLOAT || jinja_fits(v.number)) {
        const int64_t integer = v.kind == JINJA_FLOAT ? (int64_t)v.number : whole(v);
        snprintf(text, sizeof text, format, width, c->precision, (long long)integer);
    } else {
        jinja_too_large(r);
        return;
    }
    jinja_put_text(b, text);
}

jinja_value jinja_format(jinja_run *r, const jinja_string *format, jinja_value values) {
    jinja_builder b = {.run = r, .safe = format->safe};
    const bool is_tuple = values.kind == JINJA_TUPLE;
    const size_t count = is_tuple ? values.list->count : 1;
    size_t used = 0, plain = 0;
    for (size_t i = 0; i < format->length && !jinja_failed(r);) {
        if (format->bytes[i] != '%') {
            i++;
            continue;
        }
        jinja_put_slice(&b, format, plain, i++);
        conversion c;
        jinja_value v = values;
        bool named = false;
        if (i < format->length && format->bytes[i] == '(') {
            const char *end = memchr(format->bytes + i, ')', format->length - i);
            if (!end || values.kind != JINJA_DICT)
                return jinja_fail(r, CLLM_ERR_ARGUMENT, end ? "format requires a mapping" : "incomplete format key");
            const size_t close = (size_t)(end - format->bytes);
            const jinja_value *found = jinja_dict_find(r, values.dict, jinja_slice(r, format, i + 1, close));
            if (!found) return jinja_fail(r, CLLM_ERR_ARGUMENT, "a key of the format is missing");
            v = *found;
            named = true;
            i = close + 1;
        }
        if (!read_conversion(format, &i, &c)) return jinja_fail(r, CLLM_ERR_ARGUMENT, "incomplete format");
        plain = i;
        if (c.type == '%') {
            jinja_put_text(&b, "%");
            continue;
        }
        if (!named && used >= count) return jinja_fail(r, CLLM_ERR_ARGUMENT, "not enough arguments for format string");
        if (!named && is_tuple) v = values.list->items[used];
        if (!named) used++;
        put_converted(&b, &c, v);
    }
    jinja_put_slice(&b, format, plain, format->length);
    if (used < count && values.kind != JINJA_DICT && values.kind != JINJA_LIST)
        return jinja_fail(r, CLLM_ERR_ARGUMENT, "not all arguments converted during string formatting");
    return jinja_built(&b);
}
