/* JSON (RFC 8259): text to values, and values to text. Objects keep the order of their members. Integers keep all
 * digits. Floats are written as Python writes them: with the fewest digits that give the same number. */
#ifndef BASE_JSON_H
#define BASE_JSON_H

#include "base/arena.h"
#include "cllm.h"

typedef enum json_kind {
    JSON_NULL,
    JSON_BOOL,
    JSON_INTEGER,
    JSON_FLOAT,
    JSON_STRING,
    JSON_ARRAY,
    JSON_OBJECT
} json_kind;

typedef struct json_value {
    json_kind kind;
    uint32_t count; /* of items or members */
    union {
        bool boolean;
        double number;                     /* FLOAT; infinite if the number in the text is too large */
        cllm_string string;                /* STRING: UTF-8. INTEGER: digits, perhaps after "-"; never "-0" or "01" */
        const struct json_value *items;    /* ARRAY: [count] */
        const struct json_member *members; /* OBJECT: [count], each name once */
    };
} json_value;

typedef struct json_member {
    cllm_string name;
    json_value value;
} json_member;

enum { JSON_MOST_DEPTH = 500, JSON_MOST_DIGITS = 4300 };

/* Read a text that is one value. If members have the same name, the last value counts, at the place of the first one.
 * Values and strings are in the arena. Errors, with line and column (in characters) in the message and err->offset:
 * FORMAT (not JSON, not UTF-8, half of a surrogate pair, an integer of more than JSON_MOST_DIGITS); UNSUPPORTED (arrays
 * and objects are nested deeper than JSON_MOST_DEPTH); MEMORY. */
cllm_status json_read(const char *text, size_t length, arena *a, json_value *out, cllm_error *err);

/* The value of an object's member; NULL if there is none, or `object` is a value of a different kind. */
const json_value *json_find(const json_value *object, const char *name);

/* The name of a kind, for messages: "an object", "a string" ... */
const char *json_kind_name(json_kind kind);

/* How to format a text. {0}: on one line, with ", " and ": ", like Python's json.dumps(value, ensure_ascii=False). */
typedef struct json_style {
    const char *indent;         /* NULL: one line; else the indentation of each level, which may be "" */
    const char *item_separator; /* NULL: ", ", or "," with an indent */
    const char *name_separator; /* NULL: ": " */
    bool ascii;                 /* escape DEL, and characters that are not ASCII */
} json_style;

/* A text that is written piece by piece. `put` takes the bytes. */
typedef struct json_writer {
    json_style style;
    void (*put)(void *user, const char *bytes, size_t length);
    void *user;
    uint32_t depth;
    bool filled; /* the open array or object has an item */
} json_writer;

void json_begin(json_writer *w, char bracket); /* '[' or '{' */
void json_end(json_writer *w, char bracket);   /* ']' or '}' */
void json_next(json_writer *w);                /* call it before each item of an array and each member's name, */
void json_after_name(json_writer *w);          /* and this one after each name */

/* Write a piece of a string, escaped. The caller writes the quotes before the first piece and after the last one. A
 * piece must consist of whole characters. */
void json_put_escaped(const json_writer *w, const char *bytes, size_t length);

void json_write(json_writer *w, const json_value *value);

enum { JSON_NUMBER_BYTES = 32 };

/* A float as Python writes it: "1.0", "1e-05", "Infinity", "NaN". Returns its length. */
size_t json_format_float(double number, char text[JSON_NUMBER_BYTES]);

enum { JSON_FEW_BYTES = 700 };

/* Read a number in decimal, independent of the locale. NaN: no memory; this cannot happen up to JSON_FEW_BYTES. */
double json_parse_float(const char *digits, size_t length);

#endif
