/* The state of one rendering: memory, limits, and its error. */
#ifndef CHAT_JINJA_RUN_H
#define CHAT_JINJA_RUN_H

#include "chat/jinja_value.h"

/* Limits, because a template comes from a file and is not trusted. */
enum {
    JINJA_MOST_BYTES = 256 << 20, /* of memory */
    JINJA_MOST_STEPS = 20000000,  /* one for each node evaluated, item iterated, and JINJA_STEP_BYTES read */
    JINJA_STEP_BYTES = 64,        /* bytes of a string that can be read in one step */
    JINJA_MOST_DEPTH = 600,       /* nodes that are active at once */
    JINJA_MOST_RANGE = 100000,    /* items of range(), as in Jinja's sandbox */
};

struct jinja_run {
    arena arena;
    unsigned char *free, *end; /* of the newest chunk of memory */
    size_t n_bytes;
    uint64_t n_steps;
    uint32_t depth;
    int64_t now;
    const char *source; /* of the template */
    uint32_t at;        /* the current position in the source, for messages */
    jinja_value block;  /* the text of the {% filter %} or {% set %} block that is being filtered */
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
