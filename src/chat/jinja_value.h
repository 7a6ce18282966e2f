/* The values of a template, which are those of Python, and what can be done with them. Before it: jinja.c, which walks
 * the syntax tree. The functions are in jinja_value.c, jinja_string.c (strings), jinja_filters.c and jinja_methods.c.
 *
 * Each byte of a string is trusted or not. Text of the template itself is trusted; text from messages, tools and other
 * variables is not. Strings that are cut, joined or changed keep this for each byte, so the final text still tells
 * which parts may become special tokens.
 *
 * Values never change once made, except namespaces, generators, loops, cyclers and joiners. They live in the arena of a
 * run. A function that cannot make its value fails the run (jinja_fail) and returns an undefined value. So callers need
 * not check after each call, but they must check before they use a member of the union, such as `string`. */
#ifndef CHAT_JINJA_VALUE_H
#define CHAT_JINJA_VALUE_H

#include "base/arena.h"
#include "base/json.h"
#include "cllm.h"

typedef enum jinja_kind {
    JINJA_ABSENT, /* an argument that was not given */
    JINJA_UNDEFINED,
    JINJA_NONE,
    JINJA_BOOL,
    JINJA_INTEGER,
    JINJA_BIG, /* an integer beyond 64 bits, as digits: it can only be printed and compared for equality */
    JINJA_FLOAT,
    JINJA_STRING,
    JINJA_LIST,
    JINJA_TUPLE,
    JINJA_RANGE,
    JINJA_VIEW,      /* the result of keys(), values() and items() of a dict */
    JINJA_GENERATOR, /* the result of filters like map and select: it can be iterated once */
    JINJA_DICT,
    JINJA_NAMESPACE,
    JINJA_LOOP, /* the variable `loop` */
    JINJA_CYCLER,
    JINJA_JOINER,
    JINJA_MACRO,
    JINJA_FUNCTION, /* a function or a bound method */
} jinja_kind;

typedef struct jinja_string {
    const char *bytes; /* UTF-8 */
    size_t length;
    const unsigned char *trust; /* [length] 1: trusted; NULL: `trusted` holds for all bytes */
    bool trusted;
    bool safe; /* made by the filter `safe`: other text that is joined to it is escaped for HTML */
} jinja_string;

typedef struct jinja_value {
    jinja_kind kind;
    union {
        bool boolean;
        int64_t integer;
        double number;
        const jinja_string *string; /* also of BIG */
        struct jinja_list *list;    /* LIST, TUPLE, RANGE, VIEW, GENERATOR */
        struct jinja_dict *dict;    /* also of NAMESPACE */
        struct jinja_loop *loop;
        struct jinja_cycle *cycle; /* CYCLER and JOINER */
        const struct jinja_macro *macro;
        const struct jinja_function *function;
        const struct jinja_missing *missing; /* UNDEFINED: the missing name, or NULL */
    };
} jinja_value;

typedef struct jinja_list {
    jinja_value *items; /* [count] */
    size_t count;
} jinja_list;

typedef struct jinja_pair {
    jinja_value key, value;
} jinja_pair;

typedef struct jinja_dict {
    jinja_pair *pairs; /* [count], in order of insertion */
    size_t count, capacity;
} jinja_dict;

typedef struct jinja_missing {
    const char *owner; /* the type that has no such attribute; NULL: a variable is missing */
    jinja_value name;
    bool unsafe; /* it is a method that the sandbox refuses, because it would change its value */
} jinja_missing;

typedef struct jinja_cycle {
    jinja_list items;
    size_t at;
} jinja_cycle;

typedef struct jinja_loop {
    jinja_list items;
    size_t at;
    uint32_t depth; /* of recursive loops, from 0 */
    jinja_value changed;
    const struct jinja_node *node; /* the `for` statement, for recursion */
    struct jinja_scope *scope;     /* its scope, for recursion */
} jinja_loop;

typedef struct jinja_run jinja_run;

/* The arguments of a call. */
typedef struct jinja_args {
    const jinja_value *items; /* [count] */
    size_t count;
    const jinja_pair *named; /* [n_named], with string keys */
    size_t n_named;
} jinja_args;

typedef jinja_value (*jinja_builtin)(jinja_run *r, jinja_value self, const jinja_value *args);

enum { JINJA_MOST_ARGS = 8 };

/* Filters, tests, methods and functions: name, names of the parameters, and implementation. The parameters are
 * separated by spaces; those that were not given are ABSENT. "*" means that args[0] is a tuple of all arguments, and
 * args[1] a dict of the named ones. */
typedef struct jinja_function {
    const char *name;
    const char *parameters;
    jinja_builtin call;
    jinja_value self; /* for a bound method */
} jinja_function;

/* ---------------------------------------------------------------------------------------------------- making them */

/* Zeroed memory of the run. Returns NULL, and fails the run, if the template's limit is reached or the system has no
 * memory. */
void *jinja_alloc(jinja_run *r, size_t count, size_t size);

/* End the run with this error, unless it has failed already. Returns an undefined value. */
jinja_value jinja_fail(jinja_run *r, cllm_status status, const char *format, ...) __attribute__((format(printf, 3, 4)));
bool jinja_failed(const jinja_run *r);
jinja_value jinja_too_large(jinja_run *r); /* fails: the result is an integer of more than 64 bits */

/* Count `n` steps of work. Returns false if that is too much: the run has failed. */
bool jinja_step(jinja_run *r, size_t n);
bool jinja_read(jinja_run *r, jinja_value v); /* the same for reading all of a string; for other values, no steps */

#define JINJA_VALUE_UNDEFINED ((jinja_value){.kind = JINJA_UNDEFINED})
#define JINJA_VALUE_NONE      ((jinja_value){.kind = JINJA_NONE})

static inline jinja_value jinja_bool(bool b) { return (jinja_value){.kind = JINJA_BOOL, .boolean = b}; }
static inline jinja_value jinja_integer(int64_t i) { return (jinja_value){.kind = JINJA_INTEGER, .integer = i}; }
static inline jinja_value jinja_float(double f) { return (jinja_value){.kind = JINJA_FLOAT, .number = f}; }

/* A string of these bytes, which are not copied. */
jinja_value jinja_text(jinja_run *r, const char *bytes, size_t length, bool trusted);
jinja_value jinja_trusted(jinja_run *r, const char *terminated);

/* Bytes from .. end - 1 of a string. */
jinja_value jinja_slice(jinja_run *r, const jinja_string *s, size_t from, size_t end);

jinja_value jinja_list_of(jinja_run *r, jinja_kind kind, size_t count); /* with room for `count` items, all undefined */
jinja_value jinja_dict_new(jinja_run *r, jinja_kind kind, size_t capacity);
void jinja_dict_set(jinja_run *r, jinja_dict *d, jinja_value key, jinja_value value);
const jinja_value *jinja_dict_find(jinja_run *r, const jinja_dict *d, jinja_value key); /* or NULL */
const jinja_value *jinja_dict_get(const jinja_dict *d, const char *name);               /* or NULL */
jinja_value jinja_missing_of(jinja_run *r, const char *owner, jinja_value name, bool unsafe);
jinja_value jinja_fail_missing(jinja_run *r, jinja_value undefined); /* fails with the name that is missing */

/* The value of a JSON value. Its strings are not copied. */
jinja_value jinja_from_json(jinja_run *r, const json_value *json, bool trusted);

/* ---------------------------------------------------------------------------------- strings, piece by piece */

typedef struct jinja_builder {
    jinja_run *run;
    char *bytes;
    unsigned char *trust;
    size_t length, capacity;
    bool has_trusted, has_untrusted;
    bool safe;
} jinja_builder;

void jinja_put(jinja_builder *b, const char *bytes, size_t length, bool trusted);
void jinja_put_text(jinja_builder *b, const char *trusted);
void jinja_put_slice(jinja_builder *b, const jinja_string *s, size_t from, size_t end);
void jinja_put_string(jinja_builder *b, const jinja_string *s);
void jinja_put_value(jinja_builder *b, jinja_value v); /* as Python's str() */
void jinja_put_repr(jinja_builder *b, jinja_value v);  /* as Python's repr() */
jinja_value jinja_built(jinja_builder *b);

bool jinja_byte_trusted(const jinja_string *s, size_t at);

/* ---------------------------------------------------------------------------------------------------------- asking */

static inline bool jinja_is_list(jinja_value v) { return v.kind >= JINJA_LIST && v.kind <= JINJA_GENERATOR; }
bool jinja_is_number(jinja_value v);                /* bool, integer or float */
double jinja_number(jinja_value v);                 /* of one of those */
bool jinja_fits(double number);                     /* true if it is an integer of 64 bits, once rounded towards zero */
bool jinja_spells(jinja_value v, const char *text); /* true if it is a string with this text */

/* An integer argument; `otherwise` if it is ABSENT or none. */
int64_t jinja_whole_or(jinja_run *r, jinja_value v, int64_t otherwise);

const char *jinja_type_name(jinja_value v); /* Python's: "str", "NoneType" ... */
bool jinja_truth(jinja_value v);
bool jinja_equal(jinja_run *r, jinja_value a, jinja_value b);

/* < 0, 0 or > 0. Fails if Python cannot compare the two; sign: the operator, for the message. */
int jinja_compare(jinja_run *r, jinja_value a, jinja_value b, const char *sign);
bool jinja_contains(jinja_run *r, jinja_value container, jinja_value item);
jinja_value jinja_length(jinja_run *r, jinja_value v);
size_t jinja_characters(const jinja_string *s);

/* True if `part` is at byte `at` of a string. It counts steps if many bytes are equal. */
bool jinja_is_at(jinja_run *r, const jinja_string *s, size_t at, const jinja_string *part);

/* The items of an iteration: characters of a string, keys of a dict. A generator is empty afterwards. */
jinja_list jinja_walk(jinja_run *r, jinja_value v);

jinja_value jinja_string_of(jinja_run *r, jinja_value v);                   /* str() */
jinja_value jinja_item(jinja_run *r, jinja_value v, jinja_value key);       /* v[key] */
jinja_value jinja_attribute(jinja_run *r, jinja_value v, jinja_value name); /* v.name */

/* v[from:to:step] */
jinja_value jinja_cut(jinja_run *r, jinja_value v, jinja_value from, jinja_value to, jinja_value step);

/* Escape <, &, >, ' and " for HTML. */
jinja_value jinja_escape(jinja_run *r, jinja_value v);

/* JSON, as Hugging Face's tojson writes it. */
jinja_value jinja_to_json(jinja_run *r, jinja_value v, const json_style *style, bool sort_keys);

/* ------------------------------------------------------------------------------------------------------- operators */

jinja_value jinja_add(jinja_run *r, jinja_value a, jinja_value b);

/* operator: one of - * / % ^ (Python's **) and | (Python's //). */
jinja_value jinja_calculate(jinja_run *r, char operator, jinja_value a, jinja_value b);
jinja_value jinja_negate(jinja_run *r, jinja_value v);
jinja_value jinja_format(jinja_run *r, const jinja_string *format, jinja_value values); /* format % values */

/* ----------------------------------------------------------------------------------------- what is built in */

/* The entry of `all`, [n], with this name, or NULL. */
const jinja_function *jinja_search(const jinja_function *all, size_t n, cllm_string name);

const jinja_function *jinja_find_filter(cllm_string name);
const jinja_function *jinja_find_test(cllm_string name);
const jinja_function *jinja_find_method(jinja_value self, cllm_string name); /* of strings, lists, dicts ... */
const jinja_function *jinja_find_global(cllm_string name);
jinja_value jinja_call_builtin(jinja_run *r, const jinja_function *f, jinja_value self, const jinja_args *args);

int64_t jinja_now(const jinja_run *r); /* seconds since 1970 */

#endif
