/* The interpreter: walks the syntax tree. Before it: jinja_parser. After it: the text, in trusted and other parts.
 *
 * Names are looked up in scopes. A macro, a loop and every other tag with a body, except `if`, have a scope of their
 * own inside the one around them: they can read outer variables, but not set them. */
#include "chat/jinja.h"

#include "base/error.h"
#include "chat/jinja_run.h"

#include <string.h>

typedef struct variable {
    jinja_value name, value;
} variable;

typedef struct jinja_scope {
    struct jinja_scope *outer;
    variable *variables; /* [count] */
    uint32_t count, capacity;
} jinja_scope;

typedef struct jinja_macro {
    const jinja_node *node, *parameters, *body;
    jinja_scope *scope; /* where it was defined */
    jinja_value name;
} jinja_macro;

typedef enum flow { FLOW_ON, FLOW_BREAK, FLOW_CONTINUE } flow;

static jinja_value eval(jinja_run *r, const jinja_node *node);
static flow exec(jinja_run *r, const jinja_node *list);

/* --------------------------------------------------------------------------------------------------- scopes */

static bool same_name(jinja_value a, jinja_value b) {
    return a.string->length == b.string->length && memcmp(a.string->bytes, b.string->bytes, a.string->length) == 0;
}

static jinja_value *find(jinja_run *r, const jinja_scope *scope, jinja_value name) {
    if (!jinja_step(r, (scope->count + name.string->length) / 16)) return NULL;
    for (uint32_t i = 0; i < scope->count; i++)
        if (same_name(scope->variables[i].name, name)) return &scope->variables[i].value;
    return NULL;
}

static void set(jinja_run *r, jinja_value name, jinja_value value) {
    jinja_scope *scope = r->scope;
    jinja_value *old = find(r, scope, name);
    if (jinja_failed(r)) return;
    if (old) {
        *old = value;
        return;
    }
    if (scope->count == scope->capacity) {
        const uint32_t capacity = 2 * scope->capacity + 4;
        variable *more = jinja_alloc(r, capacity, sizeof *more);
        if (!more) return;
        if (scope->count > 0) memcpy(more, scope->variables, scope->count * sizeof *more);
        scope->variables = more;
        scope->capacity = capacity;
    }
    scope->variables[scope->count++] = (variable){name, value};
}

static jinja_value look_up(jinja_run *r, jinja_value name) {
    for (const jinja_scope *scope = r->scope; scope; scope = scope->outer) {
        const jinja_value *value = find(r, scope, name);
        if (value) return *value;
    }
    const jinja_function *global = jinja_find_global((cllm_string){name.string->bytes, name.string->length});
    if (global) return (jinja_value){.kind = JINJA_FUNCTION, .function = global};
    return jinja_missing_of(r, NULL, name, false);
}

static bool enter(jinja_run *r) {
    if (++r->depth <= JINJA_MOST_DEPTH) return jinja_step(r, 1);
    jinja_fail(r, CLLM_ERR_UNSUPPORTED, "the template nests, or calls itself, more than %d deep", JINJA_MOST_DEPTH);
    return false;
}

/* Run statements in a new scope. */
static flow exec_in(jinja_run *r, jinja_scope *scope, const jinja_node *body) {
    jinja_scope *before = r->scope;
    r->scope = scope;
    const flow next = exec(r, body);
    r->scope = before;
    return next;
}

/* Run statements and return the text that they write. */
static jinja_value capture(jinja_run *r, jinja_scope *scope, const jinja_node *body) {
    jinja_builder text = {.run = r}, *before = r->out;
    r->out = &text;
    exec_in(r, scope, body);
    r->out = before;
    return jinja_built(&text);
}

/* ---------------------------------------------------------------------------------------------------- calls */

static size_t count_arguments(const jinja_node *list) {
    size_t n = 0;
    for (; list; list = list->next) n++;
    return n;
}

/* Evaluate the arguments of a call. The items of *list and **dict become arguments too. */
static jinja_args eval_arguments(jinja_run *r, const jinja_node *list) {
    const size_t n = count_arguments(list);
    jinja_value positional = jinja_list_of(r, JINJA_LIST, n), named = jinja_dict_new(r, JINJA_DICT, n);
    jinja_args none = {.count = 0};
    if (jinja_failed(r)) return none;
    positional.list->count = 0;
    for (; list && !jinja_failed(r); list = list->next) {
        const jinja_value value = eval(r, list->a);
        if (list->sign == '*') {
            const jinja_value all = {.kind = JINJA_LIST, .list = &(jinja_list){NULL, 0}};
            *all.list = jinja_walk(r, value);
            positional = jinja_add(r, positional, all);
            if (jinja_failed(r)) return none;
            jinja_value room = jinja_list_of(r, JINJA_LIST, positional.list->count + n);
            if (jinja_failed(r)) return none;
            memcpy(room.list->items, positional.list->items, positional.list->count * sizeof(jinja_value));
            room.list->count = positional.list->count;
            positional = room;
        } else if (list->sign == '^') {
            if (value.kind != JINJA_DICT) jinja_fail(r, CLLM_ERR_ARGUMENT, "argument after ** must be a mapping");
            for (size_t i = 0; !jinja_failed(r) && i < value.dict->count; i++)
                jinja_dict_set(r, named.dict, value.dict->pairs[i].key, value.dict->pairs[i].value);
        } else if (list->value.kind == JINJA_STRING) {
            jinja_dict_set(r, named.dict, list->value, value);
        } else {
            positional.list->items[positional.list->count++] = value;
        }
    }
    if (jinja_failed(r)) return none;
    return (jinja_args){positional.list->items, positional.list->count, named.dict->pairs, named.dict->count};
}

static const jinja_value *named_argument(const jinja_args *args, jinja_value name) {
    for (size_t i = 0; i < args->n_named; i++)
        if (args->named[i].key.kind == JINJA_STRING && same_name(args->named[i].key, name))
            return &args->named[i].value;
    return NULL;
}

static bool has_parameter(const jinja_macro *macro, jinja_value name) {
    const jinja_node *p = macro->parameters;
    while (p && !same_name(p->value, name)) p = p->next;
    return p;
}

static void refuse_argument(jinja_run *r, const jinja_macro *macro, const char *what, jinja_value name) {
    const jinja_string *m = macro->name.string, *n = name.string;
    jinja_fail(r, CLLM_ERR_ARGUMENT, "macro '%.*s' takes no %s%s%.*s%s", (int)(m->length < 60 ? m->length : 60),
               m->bytes, what, n ? " '" : "", n ? (int)(n->length < 60 ? n->length : 60) : 0, n ? n->bytes : "",
               n ? "'" : "");
}

/* Set a variable that the interpreter names. */
static void set_named(jinja_run *r, const char *name, jinja_value value) {
    const jinja_value text = jinja_trusted(r, name);
    if (!jinja_failed(r)) set(r, text, value);
}

/* Set the variables `varargs` and `kwargs` to the extra arguments, if the macro reads them. */
static void set_rest(jinja_run *r, const jinja_macro *macro, const jinja_args *args, size_t n_parameters) {
    const size_t n = args->count > n_parameters ? args->count - n_parameters : 0;
    jinja_value rest = jinja_list_of(r, JINJA_TUPLE, n), named = jinja_dict_new(r, JINJA_DICT, args->n_named);
    if (jinja_failed(r)) return;
    for (size_t i = 0; i < n; i++) rest.list->items[i] = args->items[n_parameters + i];
    for (size_t i = 0; i < args->n_named; i++)
        if (args->named[i].key.kind == JINJA_STRING && !has_parameter(macro, args->named[i].key))
            jinja_dict_set(r, named.dict, args->named[i].key, args->named[i].value);
    if (macro->node->sign & JINJA_VARARGS)
        set_named(r, "varargs", rest);
    else if (n > 0)
        refuse_argument(r, macro, "more arguments", (jinja_value){.string = NULL});
    if (macro->node->sign & JINJA_KWARGS)
        set_named(r, "kwargs", named);
    else if (named.dict->count > 0)
        refuse_argument(r, macro, "keyword argument", named.dict->pairs[0].key);
}

static jinja_value call_macro(jinja_run *r, const jinja_macro *macro, const jinja_args *args, jinja_value caller) {
    jinja_scope *scope = jinja_alloc(r, 1, sizeof *scope), *before = r->scope;
    if (!scope) return JINJA_VALUE_UNDEFINED;
    scope->outer = macro->scope;
    r->scope = scope;
    size_t n = 0;
    for (const jinja_node *p = macro->parameters; p && !jinja_failed(r); p = p->next, n++) {
        const jinja_value *named = named_argument(args, p->value);
        jinja_value value;
        if (n < args->count)
            value = args->items[n];
        else if (named)
            value = *named;
        else
            value = p->b ? eval(r, p->b) : jinja_missing_of(r, NULL, p->value, false);
        set(r, p->value, value);
    }
    set_rest(r, macro, args, n);
    if (caller.kind != JINJA_ABSENT) set_named(r, "caller", caller);
    r->scope = before;
    return capture(r, scope, macro->body);
}

static jinja_value make_macro(jinja_run *r, const jinja_node *node, jinja_value name, const jinja_node *parameters) {
    jinja_macro *macro = jinja_alloc(r, 1, sizeof *macro);
    if (!macro) return JINJA_VALUE_UNDEFINED;
    *macro = (jinja_macro){.node = node, .parameters = parameters, .body = node->c, .scope = r->scope, .name = name};
    return (jinja_value){.kind = JINJA_MACRO, .macro = macro};
}

static flow exec_for(jinja_run *r, const jinja_node *node, jinja_value items, uint32_t depth);

/* loop(items): a recursive loop calls itself. */
static jinja_value call_loop(jinja_run *r, jinja_loop *loop, const jinja_args *args) {
    if (loop->node->sign != 'r' || args->count != 1)
        return jinja_fail(r, CLLM_ERR_ARGUMENT,
                          "only a recursive loop can be called, with the items of the next level");
    jinja_builder text = {.run = r}, *before = r->out;
    jinja_scope *scope = r->scope;
    r->out = &text;
    r->scope = loop->scope;
    exec_for(r, loop->node, args->items[0], loop->depth + 1);
    r->scope = scope;
    r->out = before;
    return jinja_built(&text);
}

static jinja_value call(jinja_run *r, jinja_value function, const jinja_args *args, jinja_value caller) {
    jinja_value result = JINJA_VALUE_UNDEFINED;
    if (jinja_failed(r) || !enter(r)) return result;
    if (function.kind == JINJA_MACRO)
        result = call_macro(r, function.macro, args, caller);
    else if (function.kind == JINJA_FUNCTION)
        result = jinja_read(r, function.function->self)
                     ? jinja_call_builtin(r, function.function, function.function->self, args)
                     : result;
    else if (function.kind == JINJA_LOOP)
        result = call_loop(r, function.loop, args);
    else if (function.kind == JINJA_JOINER)
        result = function.cycle->at++ == 0 ? jinja_trusted(r, "") : function.cycle->items.items[0];
    else if (function.kind == JINJA_UNDEFINED)
        jinja_fail_missing(r, function);
    else
        jinja_fail(r, CLLM_ERR_ARGUMENT, "'%s' object is not callable", jinja_type_name(function));
    r->depth--;
    return result;
}

/* ---------------------------------------------------------------------------------------------- expressions */

static jinja_value eval_items(jinja_run *r, const jinja_node *node) {
    jinja_value v = jinja_list_of(r, node->kind == NODE_TUPLE ? JINJA_TUPLE : JINJA_LIST, count_arguments(node->a));
    size_t n = 0;
    for (const jinja_node *item = node->a; item && !jinja_failed(r); item = item->next)
        v.list->items[n++] = eval(r, item);
    return v;
}

static jinja_value eval_dict(jinja_run *r, const jinja_node *node) {
    jinja_value v = jinja_dict_new(r, JINJA_DICT, count_arguments(node->a));
    for (const jinja_node *pair = node->a; pair && !jinja_failed(r); pair = pair->next) {
        const jinja_value key = eval(r, pair->a);
        jinja_dict_set(r, v.dict, key, eval(r, pair->b));
    }
    return v;
}

static jinja_value eval_concat(jinja_run *r, const jinja_node *node) {
    jinja_value items = eval_items(r, node);
    jinja_builder text = {.run = r};
    if (jinja_failed(r)) return JINJA_VALUE_UNDEFINED;
    for (size_t i = 0; i < items.list->count; i++) jinja_put_value(&text, items.list->items[i]);
    return jinja_built(&text);
}

static bool holds(jinja_run *r, char sign, jinja_value a, jinja_value b) {
    switch (sign) {
    case '=': return jinja_equal(r, a, b);
    case '!': return !jinja_equal(r, a, b);
    case '<': return jinja_compare(r, a, b, "<") < 0;
    case '>': return jinja_compare(r, a, b, ">") > 0;
    case 'l': return jinja_compare(r, a, b, "<=") <= 0;
    case 'g': return jinja_compare(r, a, b, ">=") >= 0;
    case 'i': return jinja_contains(r, b, a);
    default: return !jinja_contains(r, b, a);
    }
}

static jinja_value eval_compare(jinja_run *r, const jinja_node *node) {
    jinja_value left = eval(r, node->a);
    for (const jinja_node *operand = node->b; operand; operand = operand->next) {
        const jinja_value right = eval(r, operand->a);
        r->at = operand->at;
        if (jinja_failed(r) || !holds(r, operand->sign, left, right)) return jinja_bool(false);
        left = right;
    }
    return jinja_bool(true);
}

static jinja_value unknown(jinja_run *r, const jinja_node *node, const char *kind) {
    const jinja_string *name = node->value.string;
    return jinja_fail(r, CLLM_ERR_UNSUPPORTED, "No %s named '%.*s'.", kind,
                      (int)(name->length < 60 ? name->length : 60), name->bytes);
}

static jinja_value eval_filter(jinja_run *r, const jinja_node *node) {
    const jinja_value input = node->a ? eval(r, node->a) : r->block;
    const jinja_args args = eval_arguments(r, node->b);
    r->at = node->at;
    if (!node->function) return unknown(r, node, "filter");
    return !jinja_read(r, input) ? input : jinja_call_builtin(r, node->function, input, &args);
}

static jinja_value eval_test(jinja_run *r, const jinja_node *node) {
    const jinja_value input = eval(r, node->a);
    const jinja_args args = eval_arguments(r, node->b);
    r->at = node->at;
    if (!node->function) return unknown(r, node, "test");
    return jinja_failed(r) ? input : jinja_call_builtin(r, node->function, input, &args);
}

static jinja_value eval_call(jinja_run *r, const jinja_node *node, jinja_value caller) {
    const jinja_value function = eval(r, node->a);
    const jinja_args args = eval_arguments(r, node->b);
    r->at = node->at;
    return call(r, function, &args, caller);
}

static jinja_value eval_slice(jinja_run *r, const jinja_node *node) {
    const jinja_value absent = {.kind = JINJA_ABSENT}, of = eval(r, node->a);
    const jinja_value from = node->b ? eval(r, node->b) : absent, to = node->c ? eval(r, node->c) : absent;
    const jinja_value step = node->d ? eval(r, node->d) : absent;
    r->at = node->at;
    return jinja_failed(r) ? of : jinja_cut(r, of, from, to, step);
}

static jinja_value eval_binary(jinja_run *r, const jinja_node *node) {
    const jinja_value a = eval(r, node->a), b = eval(r, node->b);
    r->at = node->at;
    if (jinja_failed(r)) return a;
    return node->sign == '+' ? jinja_add(r, a, b) : jinja_calculate(r, node->sign, a, b);
}

static jinja_value eval_item(jinja_run *r, const jinja_node *node) {
    const jinja_value of = eval(r, node->a), key = eval(r, node->b);
    r->at = node->at;
    return jinja_failed(r) ? of : jinja_item(r, of, key);
}

static jinja_value eval_attribute(jinja_run *r, const jinja_node *node) {
    const jinja_value of = eval(r, node->a);
    r->at = node->at;
    return jinja_failed(r) ? of : jinja_attribute(r, of, node->value);
}

static jinja_value eval_signed(jinja_run *r, const jinja_node *node) {
    const jinja_value v = eval(r, node->a);
    r->at = node->at;
    if (jinja_failed(r) || node->kind == NODE_NEGATE) return jinja_failed(r) ? v : jinja_negate(r, v);
    return jinja_negate(r, jinja_negate(r, v));
}

static jinja_value eval_kind(jinja_run *r, const jinja_node *node) {
    jinja_value v;
    switch (node->kind) {
    case NODE_CONSTANT: return node->value;
    case NODE_NAME: return look_up(r, node->value);
    case NODE_LIST:
    case NODE_TUPLE: return eval_items(r, node);
    case NODE_DICT: return eval_dict(r, node);
    case NODE_ATTRIBUTE: return eval_attribute(r, node);
    case NODE_ITEM: return eval_item(r, node);
    case NODE_SLICE: return eval_slice(r, node);
    case NODE_CALL: return eval_call(r, node, (jinja_value){.kind = JINJA_ABSENT});
    case NODE_FILTER: return eval_filter(r, node);
    case NODE_TEST: return eval_test(r, node);
    case NODE_CONDITION:
        if (jinja_truth(eval(r, node->a))) return eval(r, node->b);
        return node->c ? eval(r, node->c) : JINJA_VALUE_UNDEFINED;
    case NODE_AND: v = eval(r, node->a); return jinja_truth(v) ? eval(r, node->b) : v;
    case NODE_OR: v = eval(r, node->a); return jinja_truth(v) ? v : eval(r, node->b);
    case NODE_NOT: return jinja_bool(!jinja_truth(eval(r, node->a)));
    case NODE_NEGATE:
    case NODE_PLUS: return eval_signed(r, node);
    case NODE_BINARY: return eval_binary(r, node);
    case NODE_CONCAT: return eval_concat(r, node);
    case NODE_COMPARE: return eval_compare(r, node);
    default: return JINJA_VALUE_UNDEFINED;
    }
}

static jinja_value eval(jinja_run *r, const jinja_node *node) {
    if (jinja_failed(r)) return JINJA_VALUE_UNDEFINED;
    r->at = node->at;
    const jinja_value v = enter(r) ? eval_kind(r, node) : JINJA_VALUE_UNDEFINED;
    r->depth--;
    return v;
}

/* ----------------------------------------------------------------------------------------------- statements */

static void assign(jinja_run *r, const jinja_node *target, jinja_value value) {
    if (jinja_failed(r)) return;
    if (target->kind == NODE_NAME) {
        set(r, target->value, value);
    } else if (target->kind == NODE_ATTRIBUTE) {
        const jinja_value space = look_up(r, target->a->value);
        if (space.kind == JINJA_NAMESPACE)
            jinja_dict_set(r, space.dict, target->value, value);
        else
            jinja_fail(r, CLLM_ERR_ARGUMENT, "cannot assign attribute on non-namespace object");
    } else {
        const jinja_list items = jinja_walk(r, value);
        const size_t n = count_arguments(target->a);
        size_t i = 0;
        if (jinja_failed(r)) return;
        if (items.count != n) {
            jinja_fail(r, CLLM_ERR_ARGUMENT,
                       items.count < n ? "not enough values to unpack (expected %zu, got %zu)"
                                       : "too many values to unpack (expected %zu, got %zu)",
                       n, items.count);
            return;
        }
        for (const jinja_node *part = target->a; part; part = part->next) assign(r, part, items.items[i++]);
    }
}

/* The items for which the loop's condition, {% for .. if .. %}, is true. */
static jinja_list choose_items(jinja_run *r, const jinja_node *node, jinja_list all) {
    if (!node->d) return all;
    jinja_value chosen = jinja_list_of(r, JINJA_LIST, all.count);
    size_t n = 0;
    for (size_t i = 0; i < all.count && !jinja_failed(r); i++) {
        jinja_scope scope = {.outer = r->scope}, *before = r->scope;
        r->scope = &scope;
        assign(r, node->a, all.items[i]);
        if (jinja_truth(eval(r, node->d)) && !jinja_failed(r)) chosen.list->items[n++] = all.items[i];
        r->scope = before;
    }
    return (jinja_list){jinja_failed(r) ? NULL : chosen.list->items, n};
}

/* break and continue in the body are for this loop. Those in its else are for an outer one, so they are returned. */
static flow exec_for(jinja_run *r, const jinja_node *node, jinja_value items, uint32_t depth) {
    const jinja_list all = jinja_walk(r, items);
    jinja_loop *loop = jinja_alloc(r, 1, sizeof *loop);
    if (jinja_failed(r)) return FLOW_ON;
    *loop = (jinja_loop){.items = choose_items(r, node, all),
                         .depth = depth,
                         .changed = {.kind = JINJA_ABSENT},
                         .node = node,
                         .scope = r->scope};
    const jinja_value name = jinja_trusted(r, "loop");
    for (; loop->at < loop->items.count && !jinja_failed(r); loop->at++) {
        jinja_scope *scope = jinja_alloc(r, 1, sizeof *scope), *before = r->scope;
        if (!scope) return FLOW_ON;
        scope->outer = before;
        r->scope = scope;
        set(r, name, (jinja_value){.kind = JINJA_LOOP, .loop = loop});
        assign(r, node->a, loop->items.items[loop->at]);
        const flow next = exec(r, node->c);
        r->scope = before;
        if (next == FLOW_BREAK) break;
    }
    return loop->items.count == 0 ? exec(r, node->e) : FLOW_ON;
}

/* Pass text through the filters of a block. */
static jinja_value filtered(jinja_run *r, const jinja_node *filters, jinja_value text) {
    const jinja_value before = r->block;
    r->block = text;
    const jinja_value result = filters ? eval(r, filters) : text;
    r->block = before;
    return result;
}

static flow exec_if(jinja_run *r, const jinja_node *node) {
    while (!jinja_truth(eval(r, node->a))) {
        if (jinja_failed(r) || !node->c) return FLOW_ON;
        if (node->c->kind != NODE_IF || node->c->next) return exec(r, node->c);
        node = node->c;
    }
    return exec(r, node->b);
}

static flow exec_scope(jinja_run *r, const jinja_node *node) {
    jinja_scope *scope = jinja_alloc(r, 1, sizeof *scope);
    if (!scope) return FLOW_ON;
    scope->outer = r->scope;
    for (const jinja_node *item = node->a; item; item = item->next) { /* for a `with` */
        const jinja_value value = eval(r, item->b);
        jinja_scope *before = r->scope;
        r->scope = scope;
        assign(r, item->a, value);
        r->scope = before;
    }
    return exec_in(r, scope, node->c);
}

static jinja_value capture_scope(jinja_run *r, const jinja_node *body) {
    jinja_scope *scope = jinja_alloc(r, 1, sizeof *scope);
    if (!scope) return JINJA_VALUE_UNDEFINED;
    scope->outer = r->scope;
    return capture(r, scope, body);
}

static flow exec_one(jinja_run *r, const jinja_node *node) {
    switch (node->kind) {
    case NODE_TEXT: jinja_put_string(r->out, node->value.string); break;
    case NODE_PRINT: {
        const jinja_value v = eval(r, node->a);
        if (v.kind == JINJA_UNDEFINED && v.missing && v.missing->unsafe) jinja_fail_missing(r, v);
        if (!jinja_failed(r)) jinja_put_value(r->out, v);
        break;
    }
    case NODE_IF: return exec_if(r, node);
    case NODE_FOR: return exec_for(r, node, eval(r, node->b), 0);
    case NODE_SET: assign(r, node->a, eval(r, node->b)); break;
    case NODE_CAPTURE: assign(r, node->a, filtered(r, node->b, capture_scope(r, node->c))); break;
    case NODE_WITH:
    case NODE_SCOPE: return exec_scope(r, node);
    case NODE_MACRO: set(r, node->value, make_macro(r, node, node->value, node->a)); break;
    case NODE_CALL_BODY:
        jinja_put_value(r->out, eval_call(r, node->a, make_macro(r, node, node->value, node->b)));
        break;
    case NODE_FILTERED: jinja_put_value(r->out, filtered(r, node->b, capture_scope(r, node->c))); break;
    case NODE_BREAK: return FLOW_BREAK;
    case NODE_CONTINUE: return FLOW_CONTINUE;
    default: break;
    }
    return FLOW_ON;
}

static flow exec(jinja_run *r, const jinja_node *list) {
    flow next = FLOW_ON;
    if (!jinja_failed(r) && enter(r))
        for (; list && next == FLOW_ON && jinja_step(r, 1); list = list->next) {
            r->at = list->at;
            next = exec_one(r, list);
        }
    r->depth--;
    return next;
}

/* ------------------------------------------------------------------------------------------------ rendering */

static bool is_among(cllm_string name, const char *const *names, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (strlen(names[i]) == name.length && memcmp(names[i], name.data, name.length) == 0) return true;
    return false;
}

static cllm_status cut_parts(const jinja_builder *text, arena *a, cllm_part **parts, size_t *n_parts, cllm_error *err) {
    size_t n = 0;
    for (size_t i = 0; i < text->length; i++) n += i == 0 || text->trust[i] != text->trust[i - 1];
    char *bytes = arena_string(a, text->length ? text->bytes : "", text->length);
    cllm_part *all = arena_alloc(a, n, sizeof *all);
    if (!bytes || !all) return error_set(err, CLLM_ERR_MEMORY, "no memory for the text of a template");
    *n_parts = 0;
    for (size_t i = 0; i < text->length; i++) {
        if (i == 0 || text->trust[i] != text->trust[i - 1])
            all[(*n_parts)++] = (cllm_part){text->trust[i], {bytes + i, 0}};
        all[*n_parts - 1].text.length++;
    }
    *parts = all;
    return CLLM_OK;
}

cllm_status jinja_render(const jinja_tree *tree, const json_value *variables, const char *const *trusted,
                         size_t n_trusted, int64_t now, arena *a, cllm_part **parts, size_t *n_parts, cllm_error *err) {
    jinja_scope scope = {.outer = NULL};
    jinja_builder text = {.capacity = 0};
    jinja_run r = {.now = now, .source = tree->source, .scope = &scope, .out = &text, .err = err};
    text.run = &r;
    *parts = NULL;
    *n_parts = 0;
    if (variables->kind != JSON_OBJECT)
        return error_set(err, CLLM_ERR_ARGUMENT, "a template's variables must be an object, not %s",
                         json_kind_name(variables->kind));
    for (uint32_t i = 0; i < variables->count; i++) {
        const json_member *m = &variables->members[i];
        const bool is_trusted = is_among(m->name, trusted, n_trusted);
        const jinja_value name = jinja_text(&r, m->name.data, m->name.length, true);
        const jinja_value value = jinja_from_json(&r, &m->value, is_trusted);
        if (!jinja_failed(&r)) set(&r, name, value);
    }
    exec(&r, tree->body);
    cllm_status status = r.status;
    if (status == CLLM_OK) status = cut_parts(&text, a, parts, n_parts, err);
    arena_free(&r.arena);
    return status;
}
