/* JSON Schema (draft 4 to 2020-12) as a network. The steps:
 *
 *   schema.c         the document: finds what references refer to, and the path of a part for messages, and keeps the
 *                    list of rules to be made. There is a rule for each set of demands (schemas that must hold or
 *                    fail). So each set is compiled once, and recursion is a call
 *   schema_shapes.c  turns a set of demands into shapes: `allOf`, `anyOf`, `oneOf`, `not` and `if` are resolved, and
 *                    each shape is a list of plain facts
 *   schema_rules.c   turns a shape into a part of the network: strings, numbers, arrays and objects
 *   json_rules.c     has the parts that all schemas share: white space, any value, texts in quotes */
#ifndef SAMPLING_SCHEMA_H
#define SAMPLING_SCHEMA_H

#include "base/json.h"
#include "sampling/characters.h"
#include "sampling/grammar.h"

enum {
    TYPE_NULL = 1,
    TYPE_BOOLEAN = 2,
    TYPE_INTEGER = 4,
    TYPE_FRACTION = 8, /* a number that is not an integer */
    TYPE_NUMBER = TYPE_INTEGER | TYPE_FRACTION,
    TYPE_STRING = 16,
    TYPE_ARRAY = 32,
    TYPE_OBJECT = 64,
    ALL_TYPES = 127,
};

/* A condition on a value. */
typedef enum demand_kind {
    DEMAND_SCHEMA,   /* the value fulfils the schema `value` */
    DEMAND_VALUE,    /* equal to `value` */
    DEMAND_KEYWORD,  /* `keyword` of the schema `value` fails; `fails` is true */
    DEMAND_TYPES,    /* one of `types` */
    DEMAND_MEMBER,   /* an object with the member `name` */
    DEMAND_PROPERTY, /* the same, and its value fulfils the schema `value`; if `fails`, it does not */
} demand_kind;

typedef struct demand {
    demand_kind kind;
    bool fails; /* the opposite */
    uint32_t types;
    const json_value *value;
    const json_member *keyword;
    cllm_string name;
} demand;

/* A condition of a shape. It applies to values of one type. */
typedef enum fact_kind {
    FACT_VALUES, /* it is a scalar of the array `value`; with is_single, `value` itself */
    FACT_LEAST,  /* it is `value` or more; with is_excluded, more */
    FACT_MOST,   /* it is `value` or less; with is_excluded, less */
    FACT_MULTIPLE,
    FACT_PATTERN,  /* `name`: a regular expression that matches somewhere */
    FACT_FORMAT,   /* `name` */
    FACT_ARRAY,    /* schemas of items: the array `value` for the first ones, `other` for the others; NULL: any items */
    FACT_ITEMS,    /* exactly the items of the array `value` */
    FACT_CONTAINS, /* at least one item fulfils the schema `value` */
    FACT_UNIQUE,
    FACT_OBJECT,   /* the properties, patternProperties and additionalProperties of the schema `value` */
    FACT_MEMBERS,  /* exactly the members of the object `value` */
    FACT_MEMBER,   /* the member `name` exists; fails: it does not */
    FACT_PROPERTY, /* if `name` exists, its value fulfils the schema `value` */
    FACT_NAMES,    /* names fulfil the schema `value` */
    FACT_IMPLIES,  /* if the member `name` exists, so does `second` */
} fact_kind;

typedef struct fact {
    fact_kind kind;
    bool fails; /* the opposite; but for ARRAY, CONTAINS and PROPERTY, the values must fail the schema */
    bool is_excluded, is_single;
    const json_value *value, *other;
    cllm_string name, second;
    const struct fact *next;
} fact;

/* A choice that is not resolved yet. */
typedef enum choice_kind {
    CHOICE_ANY_OF,     /* one or more schemas of the array `value` hold */
    CHOICE_ONE_OF,     /* exactly one of them holds */
    CHOICE_FAILING,    /* one or more of them fail */
    CHOICE_NOT_ONE_OF, /* none of them holds, or more than one */
    CHOICE_IF,         /* `if` of the schema `value`, with `then` and `else`; fails: the opposite */
    CHOICE_VALUES,     /* a scalar, an array or an object of the array `value` */
    CHOICE_NOT,        /* some keyword of the schema `value` fails */
    CHOICE_NAMES,      /* one of the names of the array `value` is missing */
    CHOICE_PROPERTIES, /* one of the properties of the object `value` is invalid */
    CHOICE_DEPENDS,    /* the member with the name of `keyword` is missing, or the schema in `keyword` holds */
    CHOICE_NO_DEPENDS, /* one of the dependencies of the object `value` fails */
} choice_kind;

typedef struct choice {
    choice_kind kind;
    bool fails;
    const json_value *value;
    const json_member *keyword;
    const struct choice *next;
} choice;

/* A set of values described by plain facts: one of `types`, and conditions for each type. Copied by value; lists are
 * shared. */
typedef struct shape {
    uint32_t types;
    uint32_t least_length, most_length, least_items, most_items, least_members, most_members;
    const fact *facts;
    const choice *choices;
    const struct seen *seen; /* schemas that it includes */
    bool is_combined;        /* by `allOf`, `not` and so on: then an object may need properties that no fact mentions */
} shape;

/* A set of texts: those that some automata accept and others do not. */
typedef struct language {
    char_automaton parts[CHARACTERS_MOST_PARTS];
    uint32_t n, wanted; /* bit i of `wanted`: part i must accept, else it must not */
    /* Most characters of a text, if they must be counted while they are read, because a part that limits them would
     * need too many states; else 0. */
    uint32_t most;
} language;

/* An entry of the cache: what was made for a text. */
typedef struct memo_entry {
    cllm_string key;
    uint32_t number;
    char_automaton *automaton;
    struct memo_entry *next;
} memo_entry;

typedef struct schema_rule {
    demand *demands; /* [n] */
    uint32_t n, rule;
} schema_rule;

/* The rules of JSON that all parts of a schema share. Each is made when it is first needed; before that it is
 * NO_NODE. */
typedef struct json_rules {
    network *n;
    bool is_closed; /* see schema_form */
    uint32_t space, character, string, number, integer, value, array, object;
} json_rules;

typedef enum schema_draft { DRAFT_4 = 4, DRAFT_6 = 6, DRAFT_7 = 7, DRAFT_2019 = 8, DRAFT_2020 = 9 } schema_draft;

typedef struct schema_compiler {
    network *n;
    arena *a;
    cllm_status status;
    cllm_error *err;
    json_value root;
    const json_value *at; /* the schema being compiled, for messages */
    schema_draft draft;
    bool draft_is_said; /* by $schema; else keywords of all drafts count */
    schema_form form;
    json_rules rules;
    schema_rule *made; /* [n_made], the first n_done of them are in the network; owned */
    uint32_t n_made, n_done, made_capacity;
    uint32_t *table; /* of `made`, by their hash; owned */
    uint32_t table_size;
    memo_entry **memo;                    /* [MEMO_BUCKETS] */
    const struct identifier *identifiers; /* names of parts, for references */
    const struct base *bases;             /* [n_bases] names to which references are relative, sorted by reference */
    uint32_t n_bases;
    bool has_identifiers;
    char_maker *maker; /* of automata */
    uint32_t n_steps;  /* calls of expand so far, a measure of work */
    uint32_t n_open;   /* choices that are being resolved, one within the other */
} schema_compiler;

enum {
    SCHEMA_MOST_STEPS = 50000,
    SCHEMA_MOST_SHAPES = 2000,
    SCHEMA_MOST_OPEN = 400,
    SCHEMA_MOST_NAMES = 10000,
    MEMO_BUCKETS = 1024
};

/* ---- schema.c */

/* Build from a schema that has been read, like schema_build. Several schemas may share the maker. */
cllm_status schema_add(network *n, const json_value *schema, schema_form form, char_maker *m, cllm_error *err);

/* Record an error, if it is the first one, with the path of `at`, a part of the document. Returns false. */
bool schema_fails(schema_compiler *c, cllm_status status, const json_value *at, const char *message);
bool schema_no_memory(schema_compiler *c); /* schema_add adds the message */

/* The rule for values that fulfil all demands. It may still have to be written. */
uint32_t schema_rule_for(schema_compiler *c, const demand *demands, size_t n);

/* Follow a reference; NULL after an error. at: the value of $ref. */
const json_value *schema_resolve(schema_compiler *c, const json_value *at);

/* If a schema is only a reference, returns the schema to which it leads; else the schema itself. NULL after an
 * error. */
const json_value *schema_target(schema_compiler *c, const json_value *schema);

const json_value *schema_find(const json_value *object, cllm_string name);
bool schema_same_text(cllm_string a, cllm_string b);

/* The cache's entry for a text. kind: a letter for each use of the cache. A new entry has the number NO_NODE. NULL: no
 * memory, which is recorded. */
memo_entry *schema_remember(schema_compiler *c, char kind, const char *bytes, size_t length);

/* ---- schema_shapes.c */

typedef struct shapes {
    const shape *items; /* [n] */
    uint32_t n;
} shapes;

/* Find all shapes that fulfil the demands. Shapes that no value can have are left out, if that is easy to see. Returns
 * false after an error, which is recorded. */
bool schema_expand(schema_compiler *c, const demand *demands, size_t n, shapes *out);

/* Collect the demands on the value of a member. demands: out, [SCHEMA_MOST_DEMANDS]. Returns false if no value is
 * allowed there, or after an error, which is recorded. */
enum { SCHEMA_MOST_DEMANDS = 200 };
bool schema_member_demands(schema_compiler *c, const shape *s, cllm_string name, demand *demands, uint32_t *n);

/* The value of additionalProperties, or of unevaluatedProperties if that means the same; or NULL. */
const json_value *schema_additional(const schema_compiler *c, const json_value *schema);

bool schema_is_true(const json_value *schema);  /* it is the literal true, or an object without members */
bool schema_is_false(const json_value *schema); /* it is the literal false */

/* True if a scalar has one of the shape's types, is in all its lists of values, and is not excluded. but: the list from
 * which it was taken, which need not be searched; or NULL. After an error, which is recorded, the answer may be wrong;
 * so may schema_equal's. */
bool schema_lists(schema_compiler *c, const shape *s, const json_value *v, const fact *but);

/* True if two values of the document are equal; numbers are compared by value. */
bool schema_equal(schema_compiler *c, const json_value *a, const json_value *b);

/* ---- schema_rules.c */

/* Write a shape into the network: each of its values leads from `from` to `to`. */
bool schema_write(schema_compiler *c, const shape *s, uint32_t from, uint32_t to);

/* The automaton of a pattern, or of a format that is enforced. at: where it is in the document. NULL after an error,
 * which is recorded. */
const char_automaton *schema_pattern(schema_compiler *c, const json_value *at, cllm_string text, bool is_format);

/* ---- json_rules.c */

uint32_t json_space(json_rules *r);

/* Add the white space that may come before `:` or `,`. Returns the node after it, or `from` if there is none. */
uint32_t json_before_separator(json_rules *r, uint32_t from);

uint32_t json_character(json_rules *r); /* one character of a string, in any spelling */
uint32_t json_string(json_rules *r);
uint32_t json_number(json_rules *r);
uint32_t json_integer(json_rules *r);
uint32_t json_any(json_rules *r);
uint32_t json_array(json_rules *r);
uint32_t json_object(json_rules *r);

/* Lead from `from` to `to` by one of these texts, without quotes. The texts are sorted in place. Returns false if
 * memory runs out. */
bool json_add_texts(network *n, cllm_string *texts, size_t count, characters_spelling spelling, uint32_t from,
                    uint32_t to);

/* ---- formats.c */

/* The regular expression of a format, or NULL if it cannot be enforced. known: out, true if JSON Schema has a format
 * with this name. */
const char *format_pattern(cllm_string name, bool *known);

#endif
