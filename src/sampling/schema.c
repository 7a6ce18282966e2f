/* Compiles a JSON Schema: reads the document, resolves its references, and keeps the list of rules to be made. schema.h
 * has an overview. Before it: grammar.c, or structure.c. After it: schema_shapes.c. */
#include "sampling/schema.h"
#include "sampling/grammar.h"

#include "base/error.h"
#include "base/hash.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The absolute name of a part of the document, such as "https://example.com/a#anchor". */
typedef struct identifier {
    cllm_string name;
    const json_value *part;
    const struct identifier *next;
} identifier;

/* The name to which a reference in the document is relative. */
typedef struct base {
    const json_value *part; /* the value of $ref */
    cllm_string name;
} base;

enum { MOST_PATH = 200 };

/* -------------------------------------------------------------------------------------------------------- errors */

/* Append to `text`, of `length` bytes, the path from `value` to a part. Returns false if the part is not in `value`. */
static bool find_path(const json_value *value, const json_value *part, char *text, size_t length) {
    if (value == part) return true;
    const bool is_object = value->kind == JSON_OBJECT;
    for (uint32_t i = 0; (is_object || value->kind == JSON_ARRAY) && i < value->count; i++) {
        const json_value *child = is_object ? &value->members[i].value : &value->items[i];
        size_t longer = length;
        char digits[16];
        cllm_string name = {digits, 0};
        if (is_object)
            name = value->members[i].name;
        else
            name.length = (size_t)snprintf(digits, sizeof digits, "%u", i);
        if (longer < MOST_PATH) text[longer++] = '/';
        for (size_t k = 0; k < name.length && longer + 2 < MOST_PATH; k++) {
            const char c = name.data[k];
            if (c == '~' || c == '/') text[longer++] = '~';
            text[longer++] = c == '~' ? '0' : c == '/' ? '1' : (unsigned char)c < ' ' ? '?' : c;
        }
        text[longer] = '\0';
        if (find_path(child, part, text, longer)) return true;
    }
    return false;
}

bool schema_fails(schema_compiler *c, cllm_status status, const json_value *at, const char *message) {
    char path[MOST_PATH + 2] = "#";
    if (c->status != CLLM_OK) return false;
    c->status = status;
    if (!c->err) return false; /* it was only a trial */
    if (!find_path(&c->root, at, path, 1)) strcpy(path, "#");
    if (at->kind == JSON_STRING && at->string.length < 80)
        error_set(c->err, status, "schema, %s: %s: '%.*s'", path, message, (int)at->string.length, at->string.data);
    else
        error_set(c->err, status, "schema, %s: %s", path, message);
    return false;
}

bool schema_no_memory(schema_compiler *c) {
    if (c->status == CLLM_OK) c->status = CLLM_ERR_MEMORY;
    return false;
}

/* ---------------------------------------------------------------------------------------------------- references */

static cllm_string part_of(cllm_string s, size_t from, size_t until) {
    return (cllm_string){s.data + from, until - from};
}

static size_t index_of(cllm_string s, char c) {
    const char *found = s.length > 0 ? memchr(s.data, c, s.length) : NULL;
    return found ? (size_t)(found - s.data) : s.length;
}

/* The length of a scheme such as "https:", or 0. */
static size_t scheme_length(cllm_string s) {
    const size_t colon = index_of(s, ':');
    return colon < s.length && colon > 0 && colon < index_of(s, '/') && colon < index_of(s, '#') ? colon + 1 : 0;
}

static cllm_string join(schema_compiler *c, cllm_string a, cllm_string b) {
    char *text = arena_alloc(c->a, a.length + b.length + 1, 1);
    if (!text) {
        schema_no_memory(c);
        return (cllm_string){"", 0};
    }
    if (a.length > 0) memcpy(text, a.data, a.length);
    if (b.length > 0) memcpy(text + a.length, b.data, b.length);
    return (cllm_string){text, a.length + b.length};
}

/* Make a reference absolute (RFC 3986, 5.2), without its fragment. Of the dots in paths, only ./ and ../ at the
 * beginning of the reference are removed. */
static cllm_string make_absolute(schema_compiler *c, cllm_string base_name, cllm_string reference) {
    const size_t scheme = scheme_length(base_name);
    reference.length = index_of(reference, '#');
    if (reference.length == 0) return base_name;
    if (scheme_length(reference) > 0 || base_name.length == 0) return reference;
    size_t path = scheme; /* where the path of the base begins */
    if (base_name.length >= scheme + 2 && memcmp(base_name.data + scheme, "//", 2) == 0) {
        const cllm_string rest = part_of(base_name, scheme + 2, base_name.length);
        path = scheme + 2 + index_of(rest, '/');
    }
    if (reference.length >= 2 && memcmp(reference.data, "//", 2) == 0)
        return join(c, part_of(base_name, 0, scheme), reference);
    if (reference.data[0] == '/') return join(c, part_of(base_name, 0, path), reference);
    size_t folder = base_name.length; /* up to the last slash of the path */
    while (folder > path && base_name.data[folder - 1] != '/') folder--;
    for (;;) {
        if (reference.length >= 2 && memcmp(reference.data, "./", 2) == 0) {
            reference = part_of(reference, 2, reference.length);
        } else if (reference.length >= 3 && memcmp(reference.data, "../", 3) == 0) {
            reference = part_of(reference, 3, reference.length);
            if (folder > path + 1) folder--;
            while (folder > path + 1 && base_name.data[folder - 1] != '/') folder--;
        } else {
            break;
        }
    }
    cllm_string front = part_of(base_name, 0, folder);
    if (folder == path && path > scheme) front = join(c, front, (cllm_string){"/", 1});
    return join(c, front, reference);
}

static bool add_identifier(schema_compiler *c, cllm_string name, const json_value *part) {
    identifier *added = arena_alloc(c->a, 1, sizeof *added);
    if (!added) return schema_no_memory(c);
    *added = (identifier){name, part, c->identifiers};
    c->identifiers = added;
    return true;
}

/* True if this keyword contains schemas. is_map: out, true if they are the members of its value; else the value is a
 * schema or a list of them. */
static bool holds_schemas(cllm_string name, bool *is_map) {
    static const char *const maps[] = {"properties", "patternProperties", "definitions",
                                       "$defs",      "dependencies",      "dependentSchemas"};
    static const char *const others[] = {"items",
                                         "prefixItems",
                                         "additionalItems",
                                         "contains",
                                         "unevaluatedItems",
                                         "additionalProperties",
                                         "propertyNames",
                                         "unevaluatedProperties",
                                         "allOf",
                                         "anyOf",
                                         "oneOf",
                                         "not",
                                         "if",
                                         "then",
                                         "else"};
    *is_map = false;
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        if (schema_same_text(name, (cllm_string){others[i], strlen(others[i])})) return true;
    *is_map = true;
    for (size_t i = 0; i < sizeof maps / sizeof *maps; i++)
        if (schema_same_text(name, (cllm_string){maps[i], strlen(maps[i])})) return true;
    return false;
}

/* A walk through the document. The first walk counts the references, the second one records them and the names of
 * parts. */
typedef struct identifying {
    schema_compiler *c;
    base *bases; /* NULL in the counting walk */
    uint32_t n;  /* references so far */
} identifying;

static bool identify(identifying *w, const json_value *part, cllm_string base_name);

static bool identify_all(identifying *w, const json_value *value, bool is_map, cllm_string base_name) {
    if (value->kind == JSON_ARRAY || (value->kind == JSON_OBJECT && is_map)) {
        for (uint32_t i = 0; i < value->count; i++)
            if (!identify(w, value->kind == JSON_ARRAY ? &value->items[i] : &value->members[i].value, base_name))
                return false;
        return true;
    }
    return identify(w, value, base_name);
}

static bool identify(identifying *w, const json_value *part, cllm_string base_name) {
    schema_compiler *c = w->c;
    if (part->kind != JSON_OBJECT) return true;
    const json_value *reference = json_find(part, "$ref"), *id = json_find(part, c->draft == DRAFT_4 ? "id" : "$id");
    const json_value *anchors[] = {json_find(part, "$anchor"), json_find(part, "$dynamicAnchor")};
    if (reference && c->draft <= DRAFT_7 && c->draft_is_said) id = NULL;
    if (id && id->kind == JSON_STRING) {
        const size_t fragment = index_of(id->string, '#');
        base_name = make_absolute(c, base_name, id->string);
        c->has_identifiers = true;
        if (w->bases && fragment > 0 && !add_identifier(c, base_name, part)) return false;
        if (w->bases && fragment + 1 < id->string.length &&
            !add_identifier(c, join(c, base_name, part_of(id->string, fragment, id->string.length)), part))
            return false;
    }
    for (int i = 0; i < 2; i++) {
        if (!anchors[i] || anchors[i]->kind != JSON_STRING || c->draft < DRAFT_2019) continue;
        c->has_identifiers = true;
        if (w->bases &&
            !add_identifier(c, join(c, join(c, base_name, (cllm_string){"#", 1}), anchors[i]->string), part))
            return false;
    }
    if (reference) {
        if (w->bases) w->bases[w->n] = (base){reference, base_name};
        w->n++;
    }
    for (uint32_t i = 0; i < part->count; i++) {
        bool is_map;
        if (holds_schemas(part->members[i].name, &is_map) &&
            !identify_all(w, &part->members[i].value, is_map, base_name))
            return false;
    }
    return c->status == CLLM_OK;
}

static int by_part(const void *a, const void *b) {
    const base *one = a, *other = b;
    return one->part < other->part ? -1 : one->part > other->part;
}

static bool find_identifiers(schema_compiler *c) {
    identifying w = {.c = c};
    if (!identify(&w, &c->root, (cllm_string){"", 0})) return false;
    if (!c->has_identifiers) return true;
    base *bases = arena_alloc(c->a, w.n + 1, sizeof *bases);
    if (!bases) return schema_no_memory(c);
    w.bases = bases;
    w.n = 0;
    if (!identify(&w, &c->root, (cllm_string){"", 0})) return false;
    qsort(bases, w.n, sizeof *bases, by_part);
    c->bases = bases;
    c->n_bases = w.n;
    return true;
}

static int hex_value(char c) {
    return c >= '0' && c <= '9' ? c - '0' : (c | 0x20) >= 'a' && (c | 0x20) <= 'f' ? (c | 0x20) - 'a' + 10 : -1;
}

/* Follow a percent-encoded JSON pointer (RFC 6901). NULL: it leads nowhere. */
static const json_value *follow_pointer(schema_compiler *c, const json_value *from, cllm_string pointer) {
    char *name = arena_alloc(c->a, pointer.length + 1, 1);
    if (!name) schema_no_memory(c);
    for (size_t at = 0; name && from && at < pointer.length;) {
        size_t n = 0;
        for (at++; at < pointer.length && pointer.data[at] != '/'; at++) {
            char byte = pointer.data[at];
            if (byte == '%' && at + 2 < pointer.length && hex_value(pointer.data[at + 1]) >= 0 &&
                hex_value(pointer.data[at + 2]) >= 0) {
                byte = (char)(hex_value(pointer.data[at + 1]) * 16 + hex_value(pointer.data[at + 2]));
                at += 2;
            }
            if (n > 0 && name[n - 1] == '~' && (byte == '0' || byte == '1'))
                name[n - 1] = byte == '0' ? '\1' : '/'; /* \1: a decoded tilde, which begins no escape */
            else
                name[n++] = byte;
        }
        for (size_t i = 0; i < n; i++)
            if (name[i] == '\1') name[i] = '~';
        if (from->kind == JSON_OBJECT) {
            from = schema_find(from, (cllm_string){name, n});
        } else {
            uint32_t index = 0;
            bool is_index = from->kind == JSON_ARRAY && n > 0 && n < 9;
            for (size_t i = 0; is_index && i < n; i++) {
                is_index = name[i] >= '0' && name[i] <= '9';
                index = index * 10 + (uint32_t)(name[i] - '0');
            }
            from = is_index && index < from->count ? &from->items[index] : NULL;
        }
    }
    return name ? from : NULL;
}

static const json_value *find_identified(const schema_compiler *c, cllm_string name) {
    for (const identifier *i = c->identifiers; i; i = i->next)
        if (schema_same_text(i->name, name)) return i->part;
    return NULL;
}

const json_value *schema_resolve(schema_compiler *c, const json_value *at) {
    if (at->kind != JSON_STRING) {
        schema_fails(c, CLLM_ERR_FORMAT, at, "this must be a reference");
        return NULL;
    }
    const base key = {.part = at};
    const base *own = c->n_bases > 0 ? bsearch(&key, c->bases, c->n_bases, sizeof *own, by_part) : NULL;
    const cllm_string base_name = own ? own->name : (cllm_string){"", 0};
    const size_t fragment_at = index_of(at->string, '#');
    const cllm_string fragment = fragment_at < at->string.length
                                     ? part_of(at->string, fragment_at + 1, at->string.length)
                                     : (cllm_string){"", 0};
    const cllm_string name = make_absolute(c, base_name, at->string);
    const json_value *target = name.length == 0 ? &c->root : find_identified(c, name);
    if (!target && own && schema_same_text(name, base_name)) target = &c->root;
    if (target && fragment.length > 0 && fragment.data[0] == '/')
        target = follow_pointer(c, target, fragment);
    else if (target && fragment.length > 0)
        target = find_identified(c, join(c, join(c, name, (cllm_string){"#", 1}), fragment));
    if (!target && c->status == CLLM_OK)
        schema_fails(c, CLLM_ERR_UNSUPPORTED, at, "this refers to something that is not in the document");
    return target;
}

const json_value *schema_target(schema_compiler *c, const json_value *schema) {
    for (int n_steps = 0; n_steps < 100; n_steps++) {
        const json_value *reference = schema->kind == JSON_OBJECT ? json_find(schema, "$ref") : NULL;
        if (!reference || (schema->count > 1 && !(c->draft_is_said && c->draft <= DRAFT_7))) return schema;
        const json_value *target = schema_resolve(c, reference);
        if (!target) return NULL;
        schema = target;
    }
    schema_fails(c, CLLM_ERR_UNSUPPORTED, json_find(schema, "$ref"), "this reference leads back to itself");
    return NULL;
}

/* ----------------------------------------------------------------------------------------------------------- memo */

memo_entry *schema_remember(schema_compiler *c, char kind, const char *bytes, size_t length) {
    memo_entry **bucket = &c->memo[hash_bytes((uint64_t)(uint8_t)kind, bytes, length) % MEMO_BUCKETS];
    for (memo_entry *m = *bucket; m; m = m->next)
        if (m->key.data[0] == kind &&
            schema_same_text((cllm_string){m->key.data + 1, m->key.length - 1}, (cllm_string){bytes, length}))
            return m;
    memo_entry *m = arena_alloc(c->a, 1, sizeof *m);
    char *key = arena_alloc(c->a, length + 1, 1);
    if (!m || !key) {
        schema_no_memory(c);
        return NULL;
    }
    key[0] = kind;
    if (length > 0) memcpy(key + 1, bytes, length);
    *m = (memo_entry){.key = {key, length + 1}, .number = NO_NODE, .next = *bucket};
    return *bucket = m;
}

/* ---------------------------------------------------------------------------------------------------------- rules */

static int by_demand(const void *a, const void *b) {
    const demand *one = a, *other = b;
    if (one->value != other->value) return one->value < other->value ? -1 : 1;
    return one->fails - other->fails;
}

static uint64_t hash_demands(const demand *demands, size_t n) {
    uint64_t hash = 5;
    for (size_t i = 0; i < n; i++) {
        const uint64_t key =
            (uint64_t)(uintptr_t)demands[i].value * 4 + demands[i].fails * 2u + (demands[i].kind == DEMAND_VALUE);
        hash = hash_bytes(hash, &key, sizeof key);
    }
    return hash;
}

static bool same_demands(const demand *a, const demand *b, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (a[i].value != b[i].value || a[i].fails != b[i].fails || a[i].kind != b[i].kind) return false;
    return true;
}

static bool grow_table(schema_compiler *c) {
    const uint32_t capacity = c->made_capacity > 0 ? 2 * c->made_capacity : 64;
    schema_rule *made = realloc(c->made, capacity * sizeof *made);
    if (!made) return schema_no_memory(c);
    c->made = made;
    c->made_capacity = capacity;
    uint32_t *table = realloc(c->table, 2 * (size_t)capacity * sizeof *table);
    if (!table) return schema_no_memory(c);
    c->table = table;
    c->table_size = 2 * capacity;
    for (uint32_t i = 0; i < c->table_size; i++) table[i] = NO_NODE;
    for (uint32_t i = 0; i < c->n_made; i++) {
        uint32_t at = (uint32_t)(hash_demands(made[i].demands, made[i].n) % c->table_size);
        while (table[at] != NO_NODE) at = (at + 1) % c->table_size;
        table[at] = i;
    }
    return true;
}

uint32_t schema_rule_for(schema_compiler *c, const demand *demands, size_t n) {
    demand few[16], *sorted = n <= 16 ? few : malloc(n * sizeof *sorted);
    uint32_t count = 0, rule = 0;
    if (!sorted) {
        schema_no_memory(c);
        return 0;
    }
    for (size_t i = 0; i < n; i++) {
        demand d = demands[i];
        if (d.kind == DEMAND_SCHEMA) d.value = schema_target(c, d.value);
        if (!d.value) goto done; /* an error, which is recorded */
        if (d.kind != DEMAND_SCHEMA || d.fails || !schema_is_true(d.value)) sorted[count++] = d;
    }
    if (count == 0) {
        rule = json_any(&c->rules);
        goto done;
    }
    qsort(sorted, count, sizeof *sorted, by_demand);
    uint32_t unique = 0;
    for (uint32_t i = 0; i < count; i++)
        if (unique == 0 || by_demand(&sorted[unique - 1], &sorted[i]) != 0 || sorted[unique - 1].kind != sorted[i].kind)
            sorted[unique++] = sorted[i];
    count = unique;
    if (c->n_made == c->made_capacity && !grow_table(c)) goto done;
    uint32_t at = (uint32_t)(hash_demands(sorted, count) % c->table_size);
    for (; c->table[at] != NO_NODE; at = (at + 1) % c->table_size) {
        const schema_rule *made = &c->made[c->table[at]];
        if (made->n != count || !same_demands(made->demands, sorted, count)) continue;
        rule = made->rule;
        goto done;
    }
    demand *kept = arena_alloc(c->a, count, sizeof *kept);
    if (!kept) {
        schema_no_memory(c);
        goto done;
    }
    memcpy(kept, sorted, count * sizeof *kept);
    rule = network_add_rule(c->n, "a value of the schema");
    c->table[at] = c->n_made;
    c->made[c->n_made++] = (schema_rule){kept, count, rule};
done:
    if (sorted != few) free(sorted);
    return rule;
}

/* Read $schema, with or without the parts before and after the draft's name. */
static bool read_draft(schema_compiler *c) {
    static const struct {
        const char *name;
        schema_draft draft;
    } drafts[] = {
        {"json-schema.org/draft-04/schema", DRAFT_4},         {"json-schema.org/draft-06/schema", DRAFT_6},
        {"json-schema.org/draft-07/schema", DRAFT_7},         {"json-schema.org/draft/2019-09/schema", DRAFT_2019},
        {"json-schema.org/draft/2020-12/schema", DRAFT_2020}, {"json-schema.org/schema", DRAFT_2020}};
    const json_value *said = json_find(&c->root, "$schema");
    c->draft = DRAFT_2020;
    if (!said) return true;
    cllm_string name = said->kind == JSON_STRING ? said->string : (cllm_string){"", 0};
    const size_t scheme = scheme_length(name);
    if (scheme > 0 && name.length >= scheme + 2) name = part_of(name, scheme + 2, name.length);
    name.length = index_of(name, '#');
    for (size_t i = 0; i < sizeof drafts / sizeof *drafts; i++) {
        if (!schema_same_text(name, (cllm_string){drafts[i].name, strlen(drafts[i].name)})) continue;
        c->draft = drafts[i].draft;
        c->draft_is_said = true;
        return true;
    }
    return schema_fails(c, CLLM_ERR_UNSUPPORTED, said,
                        "an unknown dialect; drafts 4, 6, 7, 2019-09 and 2020-12 are known");
}

cllm_status schema_add(network *n, const json_value *schema, schema_form form, char_maker *m, cllm_error *err) {
    schema_compiler c = {
        .n = n,
        .a = m->a,
        .err = err,
        .root = *schema,
        .form = form,
        .rules = {n, form.is_closed, NO_NODE, NO_NODE, NO_NODE, NO_NODE, NO_NODE, NO_NODE, NO_NODE, NO_NODE},
        .maker = m,
        .memo = arena_alloc(m->a, MEMO_BUCKETS, sizeof *c.memo)};
    if (!c.memo) return error_set(err, CLLM_ERR_MEMORY, "no memory for a schema");
    const uint32_t root = network_add_rule(n, "root");
    c.at = &c.root;
    if (!read_draft(&c) || !find_identifiers(&c)) goto done;
    const uint32_t value = schema_rule_for(&c, &(demand){.kind = DEMAND_SCHEMA, .value = &c.root}, 1);
    if (!n->failed) network_add_call(n, n->rules[root].begin, value, n->rules[root].end);
    while (c.n_done < c.n_made && c.status == CLLM_OK && !n->failed) {
        const schema_rule made = c.made[c.n_done++];
        c.at = made.demands[0].value;
        shapes s;
        if (!schema_expand(&c, made.demands, made.n, &s)) break;
        for (uint32_t i = 0; i < s.n && !n->failed; i++)
            if (!schema_write(&c, &s.items[i], n->rules[made.rule].begin, n->rules[made.rule].end)) break;
    }
done:
    free(c.made);
    free(c.table);
    return c.status == CLLM_ERR_MEMORY ? error_set(err, c.status, "no memory for a schema") : c.status;
}

enum { MOST_MOVES = 1 << 26 }; /* less than a second */

cllm_status schema_build(network *n, cllm_string text, schema_form form, arena *a, cllm_error *err) {
    json_value schema;
    char_maker maker = {a, MOST_MOVES};
    const cllm_status status = json_read(text.data, text.length, a, &schema, err);
    return status == CLLM_OK ? schema_add(n, &schema, form, &maker, err) : status;
}
