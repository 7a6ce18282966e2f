/* Turns demands into shapes. Keywords become facts. Where schemas leave a choice, each alternative is tried. An
 * alternative that no value fulfils is dropped as soon as that is known, so only a few of the many combinations are
 * left. Before it: schema.c. After it: schema_rules.c. */
#include "sampling/numbers.h"
#include "sampling/schema.h"

#include "base/error.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* A list of the demands that are not processed yet. */
typedef struct pending {
    demand d;
    const struct pending *next;
} pending;

/* A list of the schemas that a shape includes already. */
typedef struct seen {
    const json_value *schema;
    bool fails;
    const struct seen *next;
} seen;

/* One call of schema_expand. */
typedef struct expansion {
    schema_compiler *c;
    shape *found; /* [n_found], owned */
    uint32_t n_found, capacity;
    bool any_will_do; /* one shape is enough */
    uint32_t depth;   /* how many levels of members are checked */
} expansion;

enum { MOST_DEPTH = 3, MOST_TRIAL_STEPS = 3000 };

static bool is_alive(schema_compiler *c, const demand *demands, size_t n, const shape *base, uint32_t depth);

/* -------------------------------------------------------------------------------------------------------- values */

bool schema_same_text(cllm_string a, cllm_string b) {
    return a.length == b.length && (a.length == 0 || memcmp(a.data, b.data, a.length) == 0);
}

static bool is_text(cllm_string a, const char *text) { return schema_same_text(a, (cllm_string){text, strlen(text)}); }

const json_value *schema_find(const json_value *object, cllm_string name) {
    if (object->kind != JSON_OBJECT) return NULL;
    for (uint32_t i = 0; i < object->count; i++)
        if (schema_same_text(object->members[i].name, name)) return &object->members[i].value;
    return NULL;
}

static bool is_number(const json_value *v) { return v->kind == JSON_INTEGER || v->kind == JSON_FLOAT; }
static bool is_composite(const json_value *v) { return v->kind == JSON_ARRAY || v->kind == JSON_OBJECT; }

/* The value of a number as a float. NaN: no memory, which is recorded. */
static double number_of(schema_compiler *c, const json_value *v) {
    const double number = v->kind == JSON_FLOAT ? v->number : json_parse_float(v->string.data, v->string.length);
    if (isnan(number)) schema_no_memory(c);
    return number;
}

static bool same_numbers(schema_compiler *c, const json_value *a, const json_value *b) {
    arena scratch = {0};
    decimal one, other;
    cllm_status status = decimal_from_json(a, &scratch, &one, NULL);
    if (status == CLLM_OK) status = decimal_from_json(b, &scratch, &other, NULL);
    if (status == CLLM_ERR_MEMORY) schema_no_memory(c);
    const bool same = status == CLLM_OK && decimal_compare(&one, &other) == 0;
    arena_free(&scratch);
    return same;
}

bool schema_equal(schema_compiler *c, const json_value *a, const json_value *b) {
    if (is_number(a) && is_number(b)) return same_numbers(c, a, b);
    if (a->kind != b->kind) return false;
    switch (a->kind) {
    case JSON_BOOL: return a->boolean == b->boolean;
    case JSON_STRING: return schema_same_text(a->string, b->string);
    case JSON_ARRAY:
        if (a->count != b->count) return false;
        for (uint32_t i = 0; i < a->count; i++)
            if (!schema_equal(c, &a->items[i], &b->items[i])) return false;
        return true;
    case JSON_OBJECT:
        if (a->count != b->count) return false;
        for (uint32_t i = 0; i < a->count; i++) {
            const json_value *other = schema_find(b, a->members[i].name);
            if (!other || !schema_equal(c, &a->members[i].value, other)) return false;
        }
        return true;
    default: return true;
    }
}

static uint32_t type_of(const json_value *v) {
    switch (v->kind) {
    case JSON_NULL: return TYPE_NULL;
    case JSON_BOOL: return TYPE_BOOLEAN;
    case JSON_INTEGER: return TYPE_INTEGER;
    case JSON_FLOAT: return v->number == trunc(v->number) ? TYPE_INTEGER : TYPE_FRACTION;
    case JSON_STRING: return TYPE_STRING;
    case JSON_ARRAY: return TYPE_ARRAY;
    default: return TYPE_OBJECT;
    }
}

/* ---------------------------------------------------------------------------------------------------- small steps */

static bool push(schema_compiler *c, const pending **todo, demand d) {
    pending *p = arena_alloc(c->a, 1, sizeof *p);
    if (!p) return schema_no_memory(c);
    *p = (pending){d, *todo};
    *todo = p;
    return true;
}

static bool push_schema(schema_compiler *c, const pending **todo, const json_value *schema, bool fails) {
    return push(c, todo, (demand){.kind = DEMAND_SCHEMA, .value = schema, .fails = fails});
}

static bool add_fact(schema_compiler *c, shape *s, fact f) {
    fact *added = arena_alloc(c->a, 1, sizeof *added);
    if (!added) return schema_no_memory(c);
    *added = f;
    added->next = s->facts;
    s->facts = added;
    return true;
}

static bool add_choice(schema_compiler *c, shape *s, choice_kind kind, bool fails, const json_value *value,
                       const json_member *keyword) {
    choice *added = arena_alloc(c->a, 1, sizeof *added);
    if (!added) return schema_no_memory(c);
    *added = (choice){.kind = kind, .fails = fails, .value = value, .keyword = keyword, .next = s->choices};
    s->choices = added;
    return true;
}

static bool malformed(schema_compiler *c, const json_value *at, const char *what) {
    return schema_fails(c, CLLM_ERR_FORMAT, at, what);
}

/* Read a number of items, characters or members. */
static bool read_count(schema_compiler *c, const json_value *v, uint32_t *count) {
    const double number = is_number(v) ? number_of(c, v) : -1;
    if (isnan(number)) return false;
    if (number < 0 || number != trunc(number)) return malformed(c, v, "this must be a whole number from 0 on");
    *count = number < 4e9 ? (uint32_t)number : UINT32_MAX - 1;
    return true;
}

static uint32_t least_of(uint32_t a, uint32_t b) { return a < b ? a : b; }
static uint32_t most_of(uint32_t a, uint32_t b) { return a > b ? a : b; }

/* ----------------------------------------------------------------------------------------------------- keywords */

/* The keywords that say something about values. */
typedef enum keyword {
    KEY_REF,
    KEY_TYPE,
    KEY_ENUM,
    KEY_CONST,
    KEY_MINIMUM,
    KEY_MAXIMUM,
    KEY_EXCLUSIVE_MINIMUM,
    KEY_EXCLUSIVE_MAXIMUM,
    KEY_MULTIPLE_OF,
    KEY_MIN_LENGTH,
    KEY_MAX_LENGTH,
    KEY_PATTERN,
    KEY_FORMAT,
    KEY_MIN_ITEMS,
    KEY_MAX_ITEMS,
    KEY_ITEMS,
    KEY_PREFIX_ITEMS,
    KEY_ADDITIONAL_ITEMS,
    KEY_CONTAINS,
    KEY_MIN_CONTAINS,
    KEY_MAX_CONTAINS,
    KEY_UNIQUE_ITEMS,
    KEY_UNEVALUATED_ITEMS,
    KEY_MIN_PROPERTIES,
    KEY_MAX_PROPERTIES,
    KEY_REQUIRED,
    KEY_PROPERTIES,
    KEY_PATTERN_PROPERTIES,
    KEY_ADDITIONAL_PROPERTIES,
    KEY_PROPERTY_NAMES,
    KEY_UNEVALUATED_PROPERTIES,
    KEY_DEPENDENCIES,
    KEY_DEPENDENT_REQUIRED,
    KEY_DEPENDENT_SCHEMAS,
    KEY_ALL_OF,
    KEY_ANY_OF,
    KEY_ONE_OF,
    KEY_NOT,
    KEY_IF,
    KEY_THEN,
    KEY_ELSE,
    KEY_DYNAMIC_REF,
    N_KEYWORDS
} keyword;

static const struct {
    const char *name;
    int from, until; /* the drafts that have it */
} keywords[N_KEYWORDS] = {
    [KEY_REF] = {"$ref", DRAFT_4, DRAFT_2020},
    [KEY_TYPE] = {"type", DRAFT_4, DRAFT_2020},
    [KEY_ENUM] = {"enum", DRAFT_4, DRAFT_2020},
    [KEY_CONST] = {"const", DRAFT_6, DRAFT_2020},
    [KEY_MINIMUM] = {"minimum", DRAFT_4, DRAFT_2020},
    [KEY_MAXIMUM] = {"maximum", DRAFT_4, DRAFT_2020},
    [KEY_EXCLUSIVE_MINIMUM] = {"exclusiveMinimum", DRAFT_4, DRAFT_2020},
    [KEY_EXCLUSIVE_MAXIMUM] = {"exclusiveMaximum", DRAFT_4, DRAFT_2020},
    [KEY_MULTIPLE_OF] = {"multipleOf", DRAFT_4, DRAFT_2020},
    [KEY_MIN_LENGTH] = {"minLength", DRAFT_4, DRAFT_2020},
    [KEY_MAX_LENGTH] = {"maxLength", DRAFT_4, DRAFT_2020},
    [KEY_PATTERN] = {"pattern", DRAFT_4, DRAFT_2020},
    [KEY_FORMAT] = {"format", DRAFT_4, DRAFT_2020},
    [KEY_MIN_ITEMS] = {"minItems", DRAFT_4, DRAFT_2020},
    [KEY_MAX_ITEMS] = {"maxItems", DRAFT_4, DRAFT_2020},
    [KEY_ITEMS] = {"items", DRAFT_4, DRAFT_2020},
    [KEY_PREFIX_ITEMS] = {"prefixItems", DRAFT_2020, DRAFT_2020},
    [KEY_ADDITIONAL_ITEMS] = {"additionalItems", DRAFT_4, DRAFT_2019},
    [KEY_CONTAINS] = {"contains", DRAFT_6, DRAFT_2020},
    [KEY_MIN_CONTAINS] = {"minContains", DRAFT_2019, DRAFT_2020},
    [KEY_MAX_CONTAINS] = {"maxContains", DRAFT_2019, DRAFT_2020},
    [KEY_UNIQUE_ITEMS] = {"uniqueItems", DRAFT_4, DRAFT_2020},
    [KEY_UNEVALUATED_ITEMS] = {"unevaluatedItems", DRAFT_2019, DRAFT_2020},
    [KEY_MIN_PROPERTIES] = {"minProperties", DRAFT_4, DRAFT_2020},
    [KEY_MAX_PROPERTIES] = {"maxProperties", DRAFT_4, DRAFT_2020},
    [KEY_REQUIRED] = {"required", DRAFT_4, DRAFT_2020},
    [KEY_PROPERTIES] = {"properties", DRAFT_4, DRAFT_2020},
    [KEY_PATTERN_PROPERTIES] = {"patternProperties", DRAFT_4, DRAFT_2020},
    [KEY_ADDITIONAL_PROPERTIES] = {"additionalProperties", DRAFT_4, DRAFT_2020},
    [KEY_PROPERTY_NAMES] = {"propertyNames", DRAFT_6, DRAFT_2020},
    [KEY_UNEVALUATED_PROPERTIES] = {"unevaluatedProperties", DRAFT_2019, DRAFT_2020},
    [KEY_DEPENDENCIES] = {"dependencies", DRAFT_4, DRAFT_2020},
    [KEY_DEPENDENT_REQUIRED] = {"dependentRequired", DRAFT_2019, DRAFT_2020},
    [KEY_DEPENDENT_SCHEMAS] = {"dependentSchemas", DRAFT_2019, DRAFT_2020},
    [KEY_ALL_OF] = {"allOf", DRAFT_4, DRAFT_2020},
    [KEY_ANY_OF] = {"anyOf", DRAFT_4, DRAFT_2020},
    [KEY_ONE_OF] = {"oneOf", DRAFT_4, DRAFT_2020},
    [KEY_NOT] = {"not", DRAFT_4, DRAFT_2020},
    [KEY_IF] = {"if", DRAFT_7, DRAFT_2020},
    [KEY_THEN] = {"then", DRAFT_7, DRAFT_2020},
    [KEY_ELSE] = {"else", DRAFT_7, DRAFT_2020},
    [KEY_DYNAMIC_REF] = {"$dynamicRef", DRAFT_2019, DRAFT_2020},
};

static keyword keyword_of(const schema_compiler *c, cllm_string name) {
    for (int i = 0; i < N_KEYWORDS; i++)
        if (is_text(name, keywords[i].name))
            return !c->draft_is_said || ((int)c->draft >= keywords[i].from && (int)c->draft <= keywords[i].until)
                       ? (keyword)i
                       : N_KEYWORDS;
    return is_text(name, "$recursiveRef") && c->draft == DRAFT_2019 ? KEY_DYNAMIC_REF : N_KEYWORDS;
}

static bool is_schema(schema_compiler *c, const json_value *v) {
    return v->kind == JSON_OBJECT || v->kind == JSON_BOOL ||
           malformed(c, v, "this must be a schema: an object, true or false");
}

/* A non-empty array of schemas. */
static bool is_schema_list(schema_compiler *c, const json_value *v) {
    if (v->kind != JSON_ARRAY || v->count == 0) return malformed(c, v, "this must be an array of schemas");
    for (uint32_t i = 0; i < v->count; i++)
        if (!is_schema(c, &v->items[i])) return false;
    return true;
}

static bool is_name_list(schema_compiler *c, const json_value *v) {
    bool is_list = v->kind == JSON_ARRAY;
    for (uint32_t i = 0; is_list && i < v->count; i++) is_list = v->items[i].kind == JSON_STRING;
    return is_list || malformed(c, v, "this must be an array of names");
}

/* Check the value of multipleOf. */
static bool is_unit(schema_compiler *c, const json_value *v) {
    const bool is_above_zero = v->kind == JSON_FLOAT     ? v->number > 0
                               : v->kind == JSON_INTEGER ? v->string.data[0] >= '1' && v->string.data[0] <= '9'
                                                         : false;
    return is_above_zero || malformed(c, v, "this must be a number above 0");
}

static bool is_object(schema_compiler *c, const json_value *v) {
    return v->kind == JSON_OBJECT || malformed(c, v, "this must be an object");
}

bool schema_is_true(const json_value *schema) {
    return schema->kind == JSON_BOOL ? schema->boolean : schema->kind == JSON_OBJECT && schema->count == 0;
}

bool schema_is_false(const json_value *schema) { return schema->kind == JSON_BOOL && !schema->boolean; }

static bool read_types(schema_compiler *c, const json_value *v, uint32_t *types) {
    static const struct {
        const char *name;
        uint32_t type;
    } names[] = {{"null", TYPE_NULL},     {"boolean", TYPE_BOOLEAN}, {"integer", TYPE_INTEGER}, {"number", TYPE_NUMBER},
                 {"string", TYPE_STRING}, {"array", TYPE_ARRAY},     {"object", TYPE_OBJECT}};
    const uint32_t n = v->kind == JSON_ARRAY ? v->count : 1;
    *types = 0;
    for (uint32_t i = 0; i < n; i++) {
        const json_value *item = v->kind == JSON_ARRAY ? &v->items[i] : v;
        uint32_t found = 0;
        for (size_t k = 0; k < sizeof names / sizeof *names; k++)
            if (item->kind == JSON_STRING && is_text(item->string, names[k].name)) found = names[k].type;
        if (found == 0)
            return malformed(c, item,
                             "this is not one of the types null, boolean, integer, number, string, array and object");
        *types |= found;
    }
    return true;
}

/* Add the bound of a keyword. In draft 4 another keyword says whether the bound is excluded. */
static bool add_bound(schema_compiler *c, shape *s, const json_value *schema, keyword key, const json_value *v,
                      bool fails) {
    const bool is_least = key == KEY_MINIMUM || key == KEY_EXCLUSIVE_MINIMUM;
    bool is_excluded = key == KEY_EXCLUSIVE_MINIMUM || key == KEY_EXCLUSIVE_MAXIMUM;
    const json_value *flag = json_find(schema, is_least ? "exclusiveMinimum" : "exclusiveMaximum");
    if (is_excluded && v->kind == JSON_BOOL) return true; /* draft 4: it is the flag */
    if (!is_excluded && flag && flag->kind == JSON_BOOL) is_excluded = flag->boolean;
    if (!is_number(v)) return malformed(c, v, "this must be a number");
    return add_fact(
        c, s,
        (fact){.kind = is_least != fails ? FACT_LEAST : FACT_MOST, .value = v, .is_excluded = is_excluded != fails});
}

static bool has_any(const json_value *schema, const char *const *names) {
    for (; *names; names++)
        if (json_find(schema, *names)) return true;
    return false;
}

/* The value of unevaluatedProperties or unevaluatedItems (`name`), if it means the same as additionalProperties or
 * items, because no other schema can evaluate properties or items too; else NULL. */
static const json_value *unevaluated_of(const schema_compiler *c, const json_value *schema, const char *name) {
    static const char *const others[] = {"allOf", "anyOf",       "oneOf",    "not",
                                         "if",    "then",        "else",     "dependentSchemas",
                                         "$ref",  "$dynamicRef", "contains", NULL};
    return c->draft >= DRAFT_2019 && !has_any(schema, others) ? json_find(schema, name) : NULL;
}

const json_value *schema_additional(const schema_compiler *c, const json_value *schema) {
    const json_value *additional = json_find(schema, "additionalProperties");
    return additional ? additional : unevaluated_of(c, schema, "unevaluatedProperties");
}

/* Check that `key`, whose value is v, can be enforced. evaluates_all: another keyword leaves nothing for it. */
static bool check_unevaluated(schema_compiler *c, const json_value *schema, keyword key, const json_value *v,
                              bool evaluates_all) {
    if (!is_schema(c, v)) return false;
    if (schema_is_true(v) || evaluates_all || unevaluated_of(c, schema, keywords[key].name)) return true;
    return schema_fails(c, CLLM_ERR_UNSUPPORTED, v, "this cannot be enforced together with other schemas");
}

/* True if the schema says something about all items: `items` with a schema, or `additionalItems` after a list. */
static bool evaluates_all_items(const json_value *schema) {
    const json_value *items = json_find(schema, "items");
    return items && (items->kind != JSON_ARRAY || json_find(schema, "additionalItems"));
}

/* Add what the schema says about items: a FACT_ARRAY. */
static bool add_items(schema_compiler *c, shape *s, const json_value *schema) {
    const json_value *items = json_find(schema, "items"), *prefix = json_find(schema, "prefixItems"), *rest = items;
    if (c->draft < DRAFT_2020) prefix = NULL;
    if (prefix && !is_schema_list(c, prefix)) return false;
    if (!prefix && items && items->kind == JSON_ARRAY) { /* the form before 2020-12 */
        prefix = items;
        for (uint32_t i = 0; i < items->count; i++)
            if (!is_schema(c, &items->items[i])) return false;
        rest = json_find(schema, "additionalItems");
    }
    if (!rest) rest = unevaluated_of(c, schema, "unevaluatedItems");
    if (rest && !is_schema(c, rest)) return false;
    return add_fact(c, s, (fact){.kind = FACT_ARRAY, .value = prefix, .other = rest});
}

static bool add_properties(schema_compiler *c, shape *s, const json_value *schema) {
    const json_value *properties = json_find(schema, "properties"), *patterns = json_find(schema, "patternProperties");
    const json_value *additional = json_find(schema, "additionalProperties");
    if (additional && !is_schema(c, additional)) return false;
    for (int i = 0; i < 2; i++) {
        const json_value *of = i == 0 ? properties : patterns;
        if (of && !is_object(c, of)) return false;
        for (uint32_t k = 0; of && k < of->count; k++)
            if (!is_schema(c, &of->members[k].value)) return false;
    }
    return add_fact(c, s, (fact){.kind = FACT_OBJECT, .value = schema});
}

static bool add_dependencies(schema_compiler *c, shape *s, const json_value *v) {
    if (!is_object(c, v)) return false;
    for (uint32_t i = 0; i < v->count; i++) {
        const json_member *m = &v->members[i];
        if (m->value.kind != JSON_ARRAY) {
            if (!is_schema(c, &m->value)) return false;
            if (!schema_is_true(&m->value) && !add_choice(c, s, CHOICE_DEPENDS, false, v, m)) return false;
            continue;
        }
        if (!is_name_list(c, &m->value)) return false;
        for (uint32_t k = 0; k < m->value.count; k++)
            if (!add_fact(
                    c, s,
                    (fact){.kind = FACT_IMPLIES, .value = v, .name = m->name, .second = m->value.items[k].string}))
                return false;
    }
    return true;
}

static bool add_format(schema_compiler *c, shape *s, const json_value *v, bool fails) {
    bool known;
    if (v->kind != JSON_STRING) return malformed(c, v, "this must be the name of a format");
    if (!format_pattern(v->string, &known)) {
        if (known) return schema_fails(c, CLLM_ERR_UNSUPPORTED, v, "this format cannot be enforced");
        if (!fails) return true; /* an unknown name is only an annotation */
        s->types = 0;
        return true;
    }
    return add_fact(c, s, (fact){.kind = FACT_FORMAT, .fails = fails, .value = v, .name = v->string});
}

static bool cannot_fail(schema_compiler *c, const json_value *v) {
    return schema_fails(c, CLLM_ERR_UNSUPPORTED, v,
                        "the opposite of this cannot be enforced (not, oneOf and if ask for it)");
}

/* True for keywords that only change the meaning of another one. */
static bool is_relative(keyword key) {
    return key == KEY_THEN || key == KEY_ELSE || key == KEY_MIN_CONTAINS || key == KEY_MAX_CONTAINS;
}

/* Add a bound on the number of characters, items or members. fails: the number must violate it, so it becomes a bound
 * on the other side. */
static bool add_count(schema_compiler *c, shape *s, keyword key, const json_value *v, bool fails) {
    const bool is_length = key == KEY_MIN_LENGTH || key == KEY_MAX_LENGTH,
               is_items = key == KEY_MIN_ITEMS || key == KEY_MAX_ITEMS;
    const bool is_least = key == KEY_MIN_LENGTH || key == KEY_MIN_ITEMS || key == KEY_MIN_PROPERTIES;
    uint32_t *least = is_length ? &s->least_length : is_items ? &s->least_items : &s->least_members;
    uint32_t *most = is_length ? &s->most_length : is_items ? &s->most_items : &s->most_members, count = 0;
    if (!read_count(c, v, &count)) return false;
    if (fails) s->types &= is_least && count == 0 ? 0 : is_length ? TYPE_STRING : is_items ? TYPE_ARRAY : TYPE_OBJECT;
    if (is_least != fails)
        *least = most_of(*least, count + fails);
    else
        *most = least_of(*most, count - (fails && count > 0));
    return true;
}

/* True for keywords with which an object must stay open: if it were closed, it could lack a property that another
 * schema asks for. */
static bool combines(keyword key) {
    return key == KEY_ALL_OF || key == KEY_ONE_OF || key == KEY_NOT || key == KEY_IF || key == KEY_DEPENDENT_SCHEMAS ||
           key == KEY_DEPENDENCIES || key == KEY_UNEVALUATED_PROPERTIES || key == KEY_MIN_PROPERTIES;
}

/* Add a keyword that must hold. */
static bool add_keyword(schema_compiler *c, shape *s, const pending **todo, const json_value *schema,
                        const json_member *m, keyword key) {
    const json_value *v = &m->value;
    uint32_t count = 0, types;
    switch (key) {
    case KEY_REF: {
        const json_value *target = schema_resolve(c, v);
        return target && push_schema(c, todo, target, false);
    }
    case KEY_TYPE:
        if (!read_types(c, v, &types)) return false;
        s->types &= types;
        return true;
    case KEY_ENUM:
        if (v->kind != JSON_ARRAY) return malformed(c, v, "this must be an array of values");
        for (uint32_t i = 0; i < v->count; i++)
            if (is_composite(&v->items[i])) return add_choice(c, s, CHOICE_VALUES, false, v, NULL);
        types = 0;
        for (uint32_t i = 0; i < v->count; i++) types |= type_of(&v->items[i]);
        s->types &= types;
        return add_fact(c, s, (fact){.kind = FACT_VALUES, .value = v});
    case KEY_CONST: return push(c, todo, (demand){.kind = DEMAND_VALUE, .value = v});
    case KEY_MINIMUM:
    case KEY_MAXIMUM:
    case KEY_EXCLUSIVE_MINIMUM:
    case KEY_EXCLUSIVE_MAXIMUM: return add_bound(c, s, schema, key, v, false);
    case KEY_MULTIPLE_OF: return is_unit(c, v) && add_fact(c, s, (fact){.kind = FACT_MULTIPLE, .value = v});
    case KEY_MIN_LENGTH:
    case KEY_MAX_LENGTH:
    case KEY_MIN_ITEMS:
    case KEY_MAX_ITEMS:
    case KEY_MIN_PROPERTIES:
    case KEY_MAX_PROPERTIES: return add_count(c, s, key, v, false);
    case KEY_PATTERN:
        if (v->kind != JSON_STRING) return malformed(c, v, "this must be a regular expression");
        return add_fact(c, s, (fact){.kind = FACT_PATTERN, .value = v, .name = v->string});
    case KEY_FORMAT: return add_format(c, s, v, false);
    case KEY_PREFIX_ITEMS:
        return json_find(schema, "items") ? true : add_items(c, s, schema); /* items handles it, if it exists */
    case KEY_ITEMS: return add_items(c, s, schema);
    case KEY_UNEVALUATED_ITEMS:
        if (!check_unevaluated(c, schema, key, v, evaluates_all_items(schema))) return false;
        return json_find(schema, "items") || (c->draft >= DRAFT_2020 && json_find(schema, "prefixItems")) ||
                       schema_is_true(v)
                   ? true
                   : add_items(c, s, schema);
    case KEY_CONTAINS: {
        const json_value *least = c->draft >= DRAFT_2019 ? json_find(schema, "minContains") : NULL;
        const json_value *most = c->draft >= DRAFT_2019 ? json_find(schema, "maxContains") : NULL;
        count = 1;
        if (!is_schema(c, v) || (least && !read_count(c, least, &count))) return false;
        if (most || count > 1)
            return schema_fails(c, CLLM_ERR_UNSUPPORTED, most ? most : least, "this cannot be enforced");
        return count == 0 || add_fact(c, s, (fact){.kind = FACT_CONTAINS, .value = v});
    }
    case KEY_UNIQUE_ITEMS:
        if (v->kind != JSON_BOOL) return malformed(c, v, "this must be true or false");
        return !v->boolean || add_fact(c, s, (fact){.kind = FACT_UNIQUE, .value = v});
    case KEY_REQUIRED:
        if (!is_name_list(c, v)) return false;
        for (uint32_t i = 0; i < v->count; i++)
            if (!add_fact(c, s, (fact){.kind = FACT_MEMBER, .value = v, .name = v->items[i].string})) return false;
        return true;
    case KEY_PROPERTIES: return add_properties(c, s, schema);
    case KEY_PATTERN_PROPERTIES: return json_find(schema, "properties") ? true : add_properties(c, s, schema);
    case KEY_ADDITIONAL_PROPERTIES:
        return json_find(schema, "properties") || json_find(schema, "patternProperties") || schema_is_true(v)
                   ? true
                   : add_properties(c, s, schema);
    case KEY_UNEVALUATED_PROPERTIES:
        if (!check_unevaluated(c, schema, key, v, json_find(schema, "additionalProperties"))) return false;
        return json_find(schema, "properties") || json_find(schema, "patternProperties") ||
                       json_find(schema, "additionalProperties") || schema_is_true(v)
                   ? true
                   : add_properties(c, s, schema);
    case KEY_PROPERTY_NAMES:
        return is_schema(c, v) && (schema_is_true(v) || add_fact(c, s, (fact){.kind = FACT_NAMES, .value = v}));
    case KEY_DEPENDENCIES:
    case KEY_DEPENDENT_REQUIRED:
    case KEY_DEPENDENT_SCHEMAS: return add_dependencies(c, s, v);
    case KEY_ALL_OF:
        if (!is_schema_list(c, v)) return false;
        for (uint32_t i = v->count; i-- > 0;)
            if (!push_schema(c, todo, &v->items[i], false)) return false;
        return true;
    case KEY_ANY_OF: return is_schema_list(c, v) && add_choice(c, s, CHOICE_ANY_OF, false, v, NULL);
    case KEY_ONE_OF: return is_schema_list(c, v) && add_choice(c, s, CHOICE_ONE_OF, false, v, NULL);
    case KEY_NOT: return is_schema(c, v) && push_schema(c, todo, v, true);
    case KEY_IF:
        if (!is_schema(c, v)) return false;
        return json_find(schema, "then") || json_find(schema, "else") ? add_choice(c, s, CHOICE_IF, false, schema, NULL)
                                                                      : true;
    case KEY_DYNAMIC_REF:
        return schema_fails(c, CLLM_ERR_UNSUPPORTED, v,
                            "references that depend on how they are reached ($dynamicRef) are not supported");
    default: return true;
    }
}

static bool restrict_to(shape *s, uint32_t types) {
    s->types &= types;
    return true;
}

/* Add a keyword that must fail. */
static bool add_failing(schema_compiler *c, shape *s, const pending **todo, const json_value *schema,
                        const json_member *m, keyword key) {
    const json_value *v = &m->value;
    uint32_t types;
    switch (key) {
    case KEY_REF: {
        const json_value *target = schema_resolve(c, v);
        return target && push_schema(c, todo, target, true);
    }
    case KEY_TYPE: return read_types(c, v, &types) && restrict_to(s, ~types);
    case KEY_ENUM:
        if (v->kind != JSON_ARRAY) return malformed(c, v, "this must be an array of values");
        for (uint32_t i = 0; i < v->count; i++)
            if (!push(c, todo, (demand){.kind = DEMAND_VALUE, .value = &v->items[i], .fails = true})) return false;
        return true;
    case KEY_CONST: return push(c, todo, (demand){.kind = DEMAND_VALUE, .value = v, .fails = true});
    case KEY_MINIMUM:
    case KEY_MAXIMUM:
    case KEY_EXCLUSIVE_MINIMUM:
    case KEY_EXCLUSIVE_MAXIMUM:
        return restrict_to(s, v->kind == JSON_BOOL ? 0 : TYPE_NUMBER) && add_bound(c, s, schema, key, v, true);
    case KEY_MULTIPLE_OF:
        return is_unit(c, v) && restrict_to(s, TYPE_NUMBER) &&
               add_fact(c, s, (fact){.kind = FACT_MULTIPLE, .value = v, .fails = true});
    case KEY_MIN_LENGTH:
    case KEY_MAX_LENGTH:
    case KEY_MIN_ITEMS:
    case KEY_MAX_ITEMS:
    case KEY_MIN_PROPERTIES:
    case KEY_MAX_PROPERTIES: return add_count(c, s, key, v, true);
    case KEY_PATTERN:
        if (v->kind != JSON_STRING) return malformed(c, v, "this must be a regular expression");
        return restrict_to(s, TYPE_STRING) &&
               add_fact(c, s, (fact){.kind = FACT_PATTERN, .value = v, .name = v->string, .fails = true});
    case KEY_FORMAT: return restrict_to(s, TYPE_STRING) && add_format(c, s, v, true);
    case KEY_ITEMS: /* some item fails */
        if (v->kind == JSON_ARRAY || json_find(schema, "prefixItems")) return cannot_fail(c, v);
        return is_schema(c, v) && restrict_to(s, TYPE_ARRAY) &&
               add_fact(c, s, (fact){.kind = FACT_CONTAINS, .value = v, .fails = true});
    case KEY_CONTAINS: /* all items fail */
        if (json_find(schema, "minContains") || json_find(schema, "maxContains")) return cannot_fail(c, v);
        return is_schema(c, v) && restrict_to(s, TYPE_ARRAY) &&
               add_fact(c, s, (fact){.kind = FACT_ARRAY, .other = v, .fails = true});
    case KEY_UNIQUE_ITEMS:
        if (v->kind == JSON_BOOL && v->boolean) return cannot_fail(c, v);
        return restrict_to(s, 0);
    case KEY_REQUIRED:
        return is_name_list(c, v) && restrict_to(s, TYPE_OBJECT) && add_choice(c, s, CHOICE_NAMES, false, v, NULL);
    case KEY_PROPERTIES:
        return is_object(c, v) && restrict_to(s, TYPE_OBJECT) && add_choice(c, s, CHOICE_PROPERTIES, false, v, NULL);
    case KEY_DEPENDENCIES:
    case KEY_DEPENDENT_REQUIRED:
    case KEY_DEPENDENT_SCHEMAS:
        return is_object(c, v) && restrict_to(s, TYPE_OBJECT) && add_choice(c, s, CHOICE_NO_DEPENDS, false, v, NULL);
    case KEY_ALL_OF: return is_schema_list(c, v) && add_choice(c, s, CHOICE_FAILING, false, v, NULL);
    case KEY_ANY_OF:
        if (!is_schema_list(c, v)) return false;
        for (uint32_t i = 0; i < v->count; i++)
            if (!push_schema(c, todo, &v->items[i], true)) return false;
        return true;
    case KEY_ONE_OF: return is_schema_list(c, v) && add_choice(c, s, CHOICE_NOT_ONE_OF, false, v, NULL);
    case KEY_NOT: return is_schema(c, v) && push_schema(c, todo, v, false);
    case KEY_IF:
        if (!json_find(schema, "then") && !json_find(schema, "else")) return restrict_to(s, 0);
        return is_schema(c, v) && add_choice(c, s, CHOICE_IF, true, schema, NULL);
    case KEY_DYNAMIC_REF:
        return schema_fails(c, CLLM_ERR_UNSUPPORTED, v,
                            "references that depend on how they are reached ($dynamicRef) are not supported");
    default: /* a keyword that allows all values cannot fail */
        if (schema_is_true(v) || (key == KEY_PATTERN_PROPERTIES && v->kind == JSON_OBJECT && v->count == 0))
            return restrict_to(s, 0);
        return cannot_fail(c, v);
    }
}

/* The keyword of a schema at an index; N_KEYWORDS if it is unknown or has no effect. Up to draft 7, keywords beside
 * $ref have no effect. */
static keyword keyword_at(const schema_compiler *c, const json_value *schema, uint32_t i) {
    const keyword key = keyword_of(c, schema->members[i].name);
    if (c->draft <= DRAFT_7 && key != KEY_REF && json_find(schema, "$ref")) return N_KEYWORDS;
    return key;
}

static bool add_schema(schema_compiler *c, shape *s, const pending **todo, const json_value *schema, bool fails) {
    if (!is_schema(c, schema)) return false;
    if (schema->kind == JSON_BOOL) return schema->boolean != fails || restrict_to(s, 0);
    for (const seen *at = s->seen; at; at = at->next)
        if (at->schema == schema && at->fails == fails) return true;
    seen *entry = arena_alloc(c->a, 1, sizeof *entry);
    if (!entry) return schema_no_memory(c);
    *entry = (seen){schema, fails, s->seen};
    s->seen = entry;
    if (!fails) {
        for (uint32_t i = 0; i < schema->count; i++) {
            const keyword key = keyword_at(c, schema, i);
            s->is_combined |= combines(key);
            if (key != N_KEYWORDS && !add_keyword(c, s, todo, schema, &schema->members[i], key)) return false;
        }
        return true;
    }
    uint32_t n = 0, only = 0;
    for (uint32_t i = 0; i < schema->count; i++) {
        const keyword key = keyword_at(c, schema, i);
        if (key == N_KEYWORDS || is_relative(key)) continue;
        n++;
        only = i;
    }
    if (n == 0) return restrict_to(s, 0);
    if (n > 1) return add_choice(c, s, CHOICE_NOT, false, schema, NULL);
    return push(c, todo,
                (demand){.kind = DEMAND_KEYWORD, .value = schema, .keyword = &schema->members[only], .fails = true});
}

/* Restrict a shape to a value, or to all others. */
static bool add_value(schema_compiler *c, shape *s, const json_value *v, bool fails) {
    if (fails && is_composite(v)) {
        if (!(s->types & type_of(v))) return true;
        return schema_fails(c, CLLM_ERR_UNSUPPORTED, v,
                            "the opposite of an array or an object cannot be enforced (not, oneOf and if ask for it)");
    }
    if (!fails) s->types &= type_of(v);
    switch (v->kind) {
    case JSON_NULL:
        if (fails) s->types &= ~(uint32_t)TYPE_NULL;
        return true;
    case JSON_ARRAY:
        s->least_items = most_of(s->least_items, v->count);
        s->most_items = least_of(s->most_items, v->count);
        return add_fact(c, s, (fact){.kind = FACT_ITEMS, .value = v});
    case JSON_OBJECT:
        for (uint32_t i = 0; i < v->count; i++)
            if (!add_fact(c, s, (fact){.kind = FACT_MEMBER, .value = v, .name = v->members[i].name})) return false;
        return add_fact(c, s, (fact){.kind = FACT_MEMBERS, .value = v});
    default: return add_fact(c, s, (fact){.kind = FACT_VALUES, .is_single = true, .value = v, .fails = fails});
    }
}

static bool add_demand(schema_compiler *c, shape *s, const pending **todo, const demand *d) {
    switch (d->kind) {
    case DEMAND_SCHEMA: return add_schema(c, s, todo, d->value, d->fails);
    case DEMAND_VALUE: return add_value(c, s, d->value, d->fails);
    case DEMAND_KEYWORD:
        s->is_combined = true;
        return add_failing(c, s, todo, d->value, d->keyword, keyword_of(c, d->keyword->name));
    case DEMAND_TYPES: return restrict_to(s, d->types);
    case DEMAND_MEMBER:
        return (d->fails || restrict_to(s, TYPE_OBJECT)) &&
               add_fact(c, s, (fact){.kind = FACT_MEMBER, .fails = d->fails, .value = d->value, .name = d->name});
    case DEMAND_PROPERTY:
        return restrict_to(s, TYPE_OBJECT) &&
               add_fact(c, s, (fact){.kind = FACT_MEMBER, .value = d->value, .name = d->name}) &&
               add_fact(c, s, (fact){.kind = FACT_PROPERTY, .fails = d->fails, .value = d->value, .name = d->name});
    default: return true;
    }
}

/* ------------------------------------------------------------------------------------------------ contradictions */

bool schema_lists(schema_compiler *c, const shape *s, const json_value *v, const fact *but) {
    if (is_composite(v) || !(s->types & type_of(v))) return false;
    for (const fact *f = s->facts; f; f = f->next) {
        if (f->kind != FACT_VALUES || f == but) continue;
        bool found = f->is_single && schema_equal(c, f->value, v);
        for (uint32_t i = 0; !f->is_single && !found && i < f->value->count; i++)
            found = schema_equal(c, &f->value->items[i], v);
        if (found == f->fails) return false;
    }
    return true;
}

/* True if all required members can exist. A member is checked only if several facts say something about it; a single
 * fact is left to the network. */
static bool members_can_be(schema_compiler *c, const shape *s, uint32_t depth) {
    uint32_t n_facts = 0, n_sources = 0;
    for (const fact *f = s->facts; f; f = f->next) {
        n_facts++;
        n_sources += f->kind == FACT_OBJECT || f->kind == FACT_MEMBERS || f->kind == FACT_PROPERTY ||
                     (f->kind == FACT_MEMBER && f->fails);
    }
    for (const fact *f = s->facts; f && n_sources > 1; f = f->next) {
        demand demands[SCHEMA_MOST_DEMANDS];
        uint32_t n;
        if (f->kind != FACT_MEMBER || f->fails) continue;
        c->n_steps += n_facts / 256; /* counts this as work */
        for (const fact *other = s->facts; other; other = other->next)
            if (other->kind == FACT_MEMBER && other->fails && schema_same_text(other->name, f->name)) return false;
        if (!schema_member_demands(c, s, f->name, demands, &n)) return false;
        if (depth > 0 && n > 1 && !is_alive(c, demands, n, NULL, depth - 1)) return false;
    }
    return true;
}

/* Drop the types for which the facts contradict each other. depth: how many levels of members are checked. */
static void drop_dead_types(schema_compiler *c, shape *s, uint32_t depth) {
    const fact *least = NULL, *most = NULL, *values = NULL;
    if (s->least_length > s->most_length) s->types &= ~(uint32_t)TYPE_STRING;
    if (s->least_items > s->most_items) s->types &= ~(uint32_t)TYPE_ARRAY;
    if (s->least_members > s->most_members) s->types &= ~(uint32_t)TYPE_OBJECT;
    for (const fact *f = s->facts; f; f = f->next) {
        if (f->kind == FACT_LEAST && (!least || number_of(c, f->value) > number_of(c, least->value))) least = f;
        if (f->kind == FACT_MOST && (!most || number_of(c, f->value) < number_of(c, most->value))) most = f;
        if (f->kind == FACT_VALUES && !f->fails && (!values || f->is_single)) values = f;
    }
    if (least && most) {
        const double low = number_of(c, least->value), high = number_of(c, most->value);
        if (low > high) s->types &= ~(uint32_t)TYPE_NUMBER;
    }
    if (values) { /* keep only types that still have a value */
        uint32_t types = 0;
        if (values->is_single) types = schema_lists(c, s, values->value, values) ? type_of(values->value) : 0;
        for (uint32_t i = 0; !values->is_single && i < values->value->count; i++)
            if (schema_lists(c, s, &values->value->items[i], values)) types |= type_of(&values->value->items[i]);
        s->types &= types;
    }
    if (s->types & TYPE_OBJECT && !members_can_be(c, s, depth)) s->types &= ~(uint32_t)TYPE_OBJECT;
}

bool schema_member_demands(schema_compiler *c, const shape *s, cllm_string name, demand *demands, uint32_t *n) {
    *n = 0;
    for (const fact *f = s->facts; f; f = f->next) {
        if (*n + 8 > SCHEMA_MOST_DEMANDS)
            return schema_fails(c, CLLM_ERR_UNSUPPORTED, f->value, "too many schemas at once");
        if (f->kind == FACT_MEMBER && f->fails && schema_same_text(f->name, name)) return false;
        if (f->kind == FACT_PROPERTY && schema_same_text(f->name, name))
            demands[(*n)++] = (demand){.kind = DEMAND_SCHEMA, .value = f->value, .fails = f->fails};
        if (f->kind == FACT_MEMBERS) {
            const json_value *member = schema_find(f->value, name);
            if (!member) return false;
            demands[(*n)++] = (demand){.kind = DEMAND_VALUE, .value = member};
        }
        if (f->kind != FACT_OBJECT) continue;
        const json_value *properties = json_find(f->value, "properties"),
                         *patterns = json_find(f->value, "patternProperties");
        const json_value *own = properties ? schema_find(properties, name) : NULL;
        bool is_declared = own;
        if (own) demands[(*n)++] = (demand){.kind = DEMAND_SCHEMA, .value = own};
        for (uint32_t i = 0; patterns && i < patterns->count; i++) {
            const char_automaton *pattern =
                schema_pattern(c, &patterns->members[i].value, patterns->members[i].name, false);
            if (!pattern) return false;
            if (*n + 8 > SCHEMA_MOST_DEMANDS)
                return schema_fails(c, CLLM_ERR_UNSUPPORTED, f->value, "too many schemas at once");
            if (!characters_label(pattern, name)) continue;
            is_declared = true;
            demands[(*n)++] = (demand){.kind = DEMAND_SCHEMA, .value = &patterns->members[i].value};
        }
        const json_value *additional = is_declared ? NULL : schema_additional(c, f->value);
        if (additional) demands[(*n)++] = (demand){.kind = DEMAND_SCHEMA, .value = additional};
    }
    for (uint32_t i = 0; i < *n; i++)
        if (demands[i].kind == DEMAND_SCHEMA &&
            (demands[i].fails ? schema_is_true(demands[i].value) : schema_is_false(demands[i].value)))
            return false;
    return true;
}

/* ------------------------------------------------------------------------------------------------------- choices */

static bool expand(expansion *e, shape s, const pending *todo);

static bool too_many_ways(schema_compiler *c) {
    return schema_fails(c, CLLM_ERR_UNSUPPORTED, c->at, "its schemas can be combined in too many ways");
}

/* Expand a shape with more demands. */
static bool go_on(expansion *e, const shape *s, const demand *demands, size_t n) {
    const pending *todo = NULL;
    for (size_t i = n; i-- > 0;)
        if (!push(e->c, &todo, demands[i])) return false;
    return expand(e, *s, todo);
}

static demand holds(const json_value *schema) { return (demand){.kind = DEMAND_SCHEMA, .value = schema}; }
static demand fails(const json_value *schema) {
    return (demand){.kind = DEMAND_SCHEMA, .value = schema, .fails = true};
}

/* The list of values that a schema allows (enum, const), or NULL. single: room for the list of a const. */
static const json_value *list_of(const json_value *schema, json_value *single) {
    const json_value *list = json_find(schema, "enum"), *one = json_find(schema, "const");
    *single = (json_value){.kind = JSON_ARRAY, .count = 1, .items = one};
    return one ? single : list && list->kind == JSON_ARRAY ? list : NULL;
}

static bool requires(const json_value *schema, cllm_string name) {
    const json_value *required = json_find(schema, "required");
    for (uint32_t i = 0; required && required->kind == JSON_ARRAY && i < required->count; i++)
        if (required->items[i].kind == JSON_STRING && schema_same_text(required->items[i].string, name)) return true;
    return false;
}

/* True if no value fulfils both schemas, as far as that is easy to see: by their lists of values, or by those of a
 * member that both require. */
static bool exclude(schema_compiler *c, const json_value *a, const json_value *b, uint32_t depth) {
    json_value one, other;
    a = schema_target(c, a);
    b = schema_target(c, b);
    if (!a || !b || a->kind != JSON_OBJECT || b->kind != JSON_OBJECT) return false;
    const json_value *values = list_of(a, &one), *others = list_of(b, &other);
    bool common = !values || !others;
    for (uint32_t i = 0; !common && i < values->count; i++)
        for (uint32_t k = 0; !common && k < others->count; k++)
            common = schema_equal(c, &values->items[i], &others->items[k]);
    if (!common) return true;
    const json_value *members = json_find(a, "properties"), *same = json_find(b, "properties");
    if (depth == 0 || !members || !same || members->kind != JSON_OBJECT || !json_find(a, "type") ||
        !json_find(b, "type"))
        return false;
    for (uint32_t i = 0; i < members->count; i++) {
        const cllm_string name = members->members[i].name;
        const json_value *its = schema_find(same, name);
        if (its && requires(a, name) && requires(b, name) && exclude(c, &members->members[i].value, its, depth - 1)) {
            uint32_t types = 0, other_types = 0;
            return read_types(c, json_find(a, "type"), &types) && read_types(c, json_find(b, "type"), &other_types) &&
                   (types & other_types & ~(uint32_t)TYPE_OBJECT) == 0;
        }
    }
    return false;
}

/* Exactly one of the schemas holds: each in turn holds, and those that could hold at the same time fail. */
static bool expand_one_of(expansion *e, const shape *s, const json_value *list) {
    demand *demands = arena_alloc(e->c->a, list->count, sizeof *demands);
    if (!demands) return schema_no_memory(e->c);
    for (uint32_t i = 0; i < list->count; i++) {
        size_t n = 0;
        demands[n++] = holds(&list->items[i]);
        if (!is_alive(e->c, demands, 1, s, e->depth)) continue;
        for (uint32_t k = 0; k < list->count; k++) {
            const demand both[] = {holds(&list->items[i]), holds(&list->items[k])};
            if (k != i && !exclude(e->c, &list->items[i], &list->items[k], 2) && is_alive(e->c, both, 2, s, e->depth))
                demands[n++] = fails(&list->items[k]);
        }
        if (!go_on(e, s, demands, n)) return false;
        if (e->any_will_do && e->n_found > 0) return true;
    }
    return true;
}

/* None of the schemas holds, or two of them do. */
static bool expand_not_one_of(expansion *e, const shape *s, const json_value *list) {
    demand *demands = arena_alloc(e->c->a, list->count, sizeof *demands);
    if (!demands) return schema_no_memory(e->c);
    for (uint32_t i = 0; i < list->count; i++) demands[i] = fails(&list->items[i]);
    if (!go_on(e, s, demands, list->count)) return false;
    for (uint32_t i = 0; i < list->count; i++)
        for (uint32_t k = i + 1; k < list->count; k++)
            if (!go_on(e, s, (demand[]){holds(&list->items[i]), holds(&list->items[k])}, 2)) return false;
    return true;
}

static bool expand_if(expansion *e, const shape *s, const choice *made) {
    const json_value *condition = json_find(made->value, "if"), *then = json_find(made->value, "then"),
                     *otherwise = json_find(made->value, "else");
    demand demands[2] = {holds(condition)};
    size_t n = 1;
    if (then) demands[n++] = made->fails ? fails(then) : holds(then);
    if ((then || !made->fails) && !go_on(e, s, demands, n)) return false;
    demands[0] = fails(condition);
    n = 1;
    if (otherwise) demands[n++] = made->fails ? fails(otherwise) : holds(otherwise);
    return (!otherwise && made->fails) || go_on(e, s, demands, n);
}

static bool expand_values(expansion *e, const shape *s, const json_value *list) {
    shape scalars = *s;
    if (!add_fact(e->c, &scalars, (fact){.kind = FACT_VALUES, .value = list}) || !expand(e, scalars, NULL))
        return false;
    for (uint32_t i = 0; i < list->count; i++)
        if (is_composite(&list->items[i]) && !go_on(e, s, &(demand){.kind = DEMAND_VALUE, .value = &list->items[i]}, 1))
            return false;
    return true;
}

/* One of the dependencies fails: its name exists, but not what it asks for. */
static bool expand_no_dependency(expansion *e, const shape *s, const json_value *list) {
    for (uint32_t i = 0; i < list->count; i++) {
        const json_member *m = &list->members[i];
        demand demands[2] = {{.kind = DEMAND_MEMBER, .name = m->name, .value = list}, fails(&m->value)};
        if (m->value.kind != JSON_ARRAY && !go_on(e, s, demands, 2)) return false;
        for (uint32_t k = 0; m->value.kind == JSON_ARRAY && k < m->value.count; k++) {
            if (m->value.items[k].kind != JSON_STRING) continue;
            demands[1] =
                (demand){.kind = DEMAND_MEMBER, .fails = true, .name = m->value.items[k].string, .value = list};
            if (!go_on(e, s, demands, 2)) return false;
        }
    }
    return true;
}

/* Try all alternatives of a choice. s: the shape without it. */
static bool expand_choice(expansion *e, const shape *s, const choice *made) {
    const json_value *list = made->value;
    demand demands[2];
    switch (made->kind) {
    case CHOICE_ONE_OF: return expand_one_of(e, s, list);
    case CHOICE_NOT_ONE_OF: return expand_not_one_of(e, s, list);
    case CHOICE_IF: return expand_if(e, s, made);
    case CHOICE_VALUES: return expand_values(e, s, list);
    case CHOICE_NO_DEPENDS: return expand_no_dependency(e, s, list);
    case CHOICE_DEPENDS: {
        demands[0] = (demand){.kind = DEMAND_MEMBER, .fails = true, .name = made->keyword->name, .value = list};
        if (!go_on(e, s, demands, 1)) return false;
        demands[0].fails = false;
        demands[1] = holds(&made->keyword->value);
        return go_on(e, s, demands, 2);
    }
    default: break;
    }
    for (uint32_t i = 0; i < list->count; i++) {
        switch (made->kind) {
        case CHOICE_ANY_OF: demands[0] = holds(&list->items[i]); break;
        case CHOICE_FAILING: demands[0] = fails(&list->items[i]); break;
        case CHOICE_NAMES:
            demands[0] = (demand){.kind = DEMAND_MEMBER, .fails = true, .name = list->items[i].string, .value = list};
            break;
        case CHOICE_PROPERTIES:
            demands[0] = (demand){.kind = DEMAND_PROPERTY,
                                  .fails = true,
                                  .name = list->members[i].name,
                                  .value = &list->members[i].value};
            break;
        default: { /* CHOICE_NOT */
            const keyword key = keyword_at(e->c, list, i);
            if (key == N_KEYWORDS || is_relative(key)) continue;
            demands[0] = (demand){.kind = DEMAND_KEYWORD, .fails = true, .value = list, .keyword = &list->members[i]};
        }
        }
        if (!go_on(e, s, demands, 1)) return false;
        if (e->any_will_do && e->n_found > 0) return true;
    }
    return true;
}

static bool keep(expansion *e, const shape *s) {
    schema_compiler *c = e->c;
    if (e->n_found == SCHEMA_MOST_SHAPES) return too_many_ways(c);
    if (e->n_found == e->capacity) {
        const uint32_t larger = e->capacity > 0 ? 2 * e->capacity : 4;
        shape *grown = realloc(e->found, larger * sizeof *grown);
        if (!grown) return schema_no_memory(c);
        e->found = grown;
        e->capacity = larger;
    }
    e->found[e->n_found++] = *s;
    return true;
}

/* Process the demands of a shape, and then its choices. Shapes that are done are added to e->found. */
static bool expand(expansion *e, shape s, const pending *todo) {
    schema_compiler *c = e->c;
    if (++c->n_steps > SCHEMA_MOST_STEPS || c->n_open == SCHEMA_MOST_OPEN) return too_many_ways(c);
    while (todo) {
        const pending *now = todo;
        todo = todo->next;
        if (!add_demand(c, &s, &todo, &now->d)) return false;
        if (s.types == 0) return true;
    }
    drop_dead_types(c, &s, e->depth);
    if (c->status != CLLM_OK) return false;
    if (s.types == 0) return true;
    if (!s.choices) return keep(e, &s);
    const choice *made = s.choices;
    s.choices = made->next;
    c->n_open++;
    const bool done = expand_choice(e, &s, made);
    c->n_open--;
    return done;
}

static const shape any_shape = {
    .types = ALL_TYPES, .most_length = UINT32_MAX, .most_items = UINT32_MAX, .most_members = UINT32_MAX};

bool schema_expand(schema_compiler *c, const demand *demands, size_t n, shapes *out) {
    expansion e = {.c = c, .depth = MOST_DEPTH};
    const bool done = go_on(&e, &any_shape, demands, n);
    shape *items = done ? arena_alloc(c->a, e.n_found, sizeof *items) : NULL;
    if (done && !items) schema_no_memory(c);
    if (items && e.n_found > 0) memcpy(items, e.found, e.n_found * sizeof *items);
    *out = (shapes){items, items ? e.n_found : 0};
    free(e.found);
    return items;
}

/* True if a value may fulfil all demands, or if that is not known. base: facts that hold too, or NULL; its choices are
 * ignored. */
static bool is_alive(schema_compiler *c, const demand *demands, size_t n, const shape *base, uint32_t depth) {
    expansion e = {.c = c, .any_will_do = true, .depth = depth};
    shape s = base ? *base : any_shape;
    cllm_error *err = c->err;
    const uint32_t n_steps = c->n_steps, begun = most_of(n_steps, SCHEMA_MOST_STEPS - MOST_TRIAL_STEPS);
    s.choices = NULL;
    c->err = NULL;
    c->n_steps = begun;
    const bool known = go_on(&e, &s, demands, n);
    free(e.found);
    c->err = err;
    c->n_steps = n_steps + (c->n_steps - begun); /* checks count as work: many long ones are too much */
    if (!known && c->status != CLLM_ERR_MEMORY) c->status = CLLM_OK;
    return !known || e.n_found > 0;
}
