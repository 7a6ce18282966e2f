/* One rendering of a template: its memory, what it may spend, and how it went. */
#ifndef CHAT_JINJA_RUN_H
#define CHAT_JINJA_RUN_H

#include "chat/jinja_value.h"

/* A template may come from anyone. */
enum {
    JINJA_MOST_BYTES = 256 << 20, /* of memory, */
    JINJA_MOST_STEPS = 20000000,  /* nodes evaluated and items walked, */
    JINJA_MOST_DEPTH = 600,       /* and nodes that are at work at once */
    JINJA_MOST_RANGE = 100000,    /* items of range(), as Jinja's sandbox has it */
};

struct jinja_run {
    arena arena;
    unsigned char *free, *end; /* of the last piece of it */
    size_t n_bytes;
    uint64_t n_steps;
    uint32_t depth;
    int64_t now;
    const char *source; /* of the template, and */
    uint32_t at;        /* the place in it that is at work, for messages */
    jinja_value block;  /* the text of the {% filter %} or {% set %} block that filters begin with */
    struct jinja_scope *scope;
    struct jinja_builder *out;
    cllm_error *err;
    cllm_status status;
};

/* "line 3, column 5" of a byte of a source. */
typedef struct jinja_place {
    uint32_t line, column;
} jinja_place;
jinja_place jinja_place_of(const char *source, uint32_t at);

#endif
