/* Parses a template into a syntax tree. Before it: jinja_lexer, which gives tokens. After it: jinja.c, which walks the
 * tree. Sources: "Template Designer Documentation" of Jinja 3.1, and its grammar. */
#ifndef CHAT_JINJA_PARSER_H
#define CHAT_JINJA_PARSER_H

#include "base/arena.h"
#include "chat/jinja_value.h"

typedef enum jinja_node_kind {
    /* expressions */
    NODE_CONSTANT,  /* value */
    NODE_NAME,      /* value: the name */
    NODE_LIST,      /* a: items */
    NODE_TUPLE,     /* a: items */
    NODE_DICT,      /* a: items, each a NODE_PAIR */
    NODE_PAIR,      /* the key a and its value b */
    NODE_ATTRIBUTE, /* a.value */
    NODE_ITEM,      /* a[b] */
    NODE_SLICE,     /* a[b:c:d]; b, c and d may be NULL */
    NODE_CALL,      /* a(b), b: arguments */
    NODE_FILTER,    /* a | function(b); a NULL: the text of the block */
    NODE_TEST,      /* a is function(b) */
    NODE_CONDITION, /* b if a else c, which may be NULL */
    NODE_AND,
    NODE_OR,
    NODE_NOT,
    NODE_NEGATE,
    NODE_PLUS,     /* +a, which is a number */
    NODE_BINARY,   /* a sign b */
    NODE_CONCAT,   /* a: items, joined as strings */
    NODE_COMPARE,  /* a, then b: NODE_OPERANDs with a sign each */
    NODE_OPERAND,  /* a; sign: '=', '!', '<', '>', 'l' (<=), 'g' (>=), 'i' (in), 'n' (not in) */
    NODE_ARGUMENT, /* a; value: its name, or ABSENT; sign '*' or '^' (**): the items of a are arguments */

    /* statements */
    NODE_TEXT,      /* value */
    NODE_PRINT,     /* a */
    NODE_IF,        /* if a: b else c */
    NODE_FOR,       /* for a in b if d: c else e; sign 'r': recursive */
    NODE_SET,       /* a = b */
    NODE_CAPTURE,   /* a = the text of c, through the filters b (or NULL) */
    NODE_WITH,      /* c in a scope of its own, after the NODE_SETs a */
    NODE_MACRO,     /* value: name; a: parameters, c: body; sign: JINJA_VARARGS, JINJA_KWARGS */
    NODE_CALL_BODY, /* call a; its `caller` is a macro with the parameters b and the body c */
    NODE_FILTERED,  /* the text of c, through the filters b */
    NODE_SCOPE,     /* c in a scope of its own */
    NODE_BREAK,
    NODE_CONTINUE,
} jinja_node_kind;

typedef struct jinja_node jinja_node;
struct jinja_node {
    jinja_node_kind kind;
    uint32_t at; /* byte of the source */
    char sign;
    jinja_value value;
    const jinja_function *function; /* for FILTER and TEST; NULL: there is none with this name (value) */
    jinja_node *a, *b, *c, *d, *e;
    jinja_node *next; /* of a list */
};

enum { JINJA_MOST_NESTING = 200 };

enum { JINJA_VARARGS = 1, JINJA_KWARGS = 2 }; /* extra arguments that a macro reads */

/* A parsed template: its source, [length], and its tree, in the arena. */
typedef struct jinja_tree {
    const char *source;
    uint32_t length;
    jinja_node *body;
} jinja_tree;

/* Errors, with line and column: FORMAT (syntax), UNSUPPORTED (include, extends and import; nesting deeper than
 * JINJA_MOST_NESTING; {% autoescape true %}), MEMORY. Without a place: FORMAT (not UTF-8), UNSUPPORTED (too long). */
cllm_status jinja_parse(const char *source, size_t length, arena *a, jinja_tree *out, cllm_error *err);

#endif
