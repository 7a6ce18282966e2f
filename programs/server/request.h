/* One request: what a client asked for, what becomes of it, and how it is told.
 *
 *   HTTP body -> a dialect (openai.c ...) makes a request -> scheduler.c evaluates its choices -> events -> request_take_events
 *   gathers them in outcomes, and the dialect's form writes them
 *
 * Three threads meet here. A worker makes the request; after scheduler_submit what is wanted does not change. The engine's thread
 * owns what is marked so, and adds events. The thread of the connection takes the events, and owns the outcomes. */
#ifndef SERVER_REQUEST_H
#define SERVER_REQUEST_H

#include "program.h"
#include "server/failure.h"
#include "text_stream.h"

#include <pthread.h>
#include <stdatomic.h>

typedef struct exchange exchange;         /* http.h */
typedef struct served_model served_model; /* models.h */
typedef struct request request;
typedef struct choice choice;

/* ----------------------------------------------------------------------------------------------- events */

typedef enum finish {
    FINISH_NONE,        /* it goes on */
    FINISH_STOP,        /* the model ended its text, or the grammar is fulfilled */
    FINISH_STOP_STRING, /* the text came to one of the stop strings */
    FINISH_LENGTH,      /* the most tokens that were wanted */
    FINISH_CONTEXT,     /* the context is full */
    FINISH_CALLS,       /* tools are called */
    FINISH_FAILED,
} finish;

/* More of an answer. */
typedef struct piece {
    cllm_delta_kind kind;
    size_t call; /* of CALL and ARGUMENTS */
    char *id;    /* of CALL, or NULL: owned */
    char *text;  /* owned */
    size_t length;
} piece;

typedef struct usage {
    size_t n_prompt, n_cached, n_drawn; /* tokens: of the prompt, of those from the cache, and drawn */
    size_t n_read;                      /* of the prompt so far */
    size_t n_reasoning;                 /* of those drawn, before the reasoning ended */
    double prompt_ms, drawn_ms;
    size_t n_drafted, n_accepted;
    uint32_t slot; /* that it ran in */
} usage;

/* What one step brought to a choice. */
typedef struct event {
    struct event *next;
    size_t choice;
    piece *pieces; /* [n_pieces]: owned */
    size_t n_pieces;
    int32_t *tokens; /* [n_tokens] drawn: owned */
    size_t n_tokens;
    cllm_logprob *logprobs; /* [n_tokens][1 + n_logprobs], or NULL: owned */
    float *embedding;       /* [n_floats], or NULL: owned */
    size_t n_floats;
    finish finish;
    size_t stop_string; /* of FINISH_STOP_STRING */
    usage usage;
    failure *failure; /* of FINISH_FAILED; NULL: there was no memory for it. Owned */
} event;

/* --------------------------------------------------------------------------------------------- outcomes */

typedef struct called {
    char *id, *name;
    text_buffer arguments;
} called;

/* All of a choice so far. */
typedef struct outcome {
    text_buffer content, reasoning;
    called *calls; /* [n_calls] */
    size_t n_calls;
    id_list tokens;
    cllm_logprob *logprobs; /* [tokens.count][1 + n_logprobs], or NULL */
    float *embedding;
    size_t n_floats;
    finish finish;
    size_t stop_string;
    usage usage;
} outcome;

/* ---------------------------------------------------------------------------------------------- request */

typedef struct prompt {
    int32_t *tokens; /* [count]: cllm_free */
    size_t count;
    cllm_logprob *
        logprobs; /* [count][1 + n_logprobs] of each token after those before it (the first: none); or NULL. The engine's, until
                               its choice has ended */
} prompt;

typedef enum request_kind {
    REQUEST_TEXT,  /* goes on from a prompt */
    REQUEST_CHAT,  /* the same, and is read as an answer: reasoning, content and tool calls */
    REQUEST_EMBED, /* a vector for each prompt */
} request_kind;

/* How an API writes an answer. Called in the connection's thread. */
typedef struct answer_form {
    const char *stream_type;                     /* of the content: text/event-stream or application/x-ndjson */
    void (*begin)(request *r, text_buffer *out); /* a stream; or NULL */
    void (*step)(request *r, const event *e, text_buffer *out); /* of a stream, after it was gathered */
    void (*end)(request *r, text_buffer *out);                  /* of a stream, when all choices have ended; or NULL */
    void (*fail)(request *r, const failure *f, text_buffer *out); /* of a stream that has begun */
    void (*wait)(request *r, text_buffer *out);                   /* of a stream, in a silence; or NULL */
    json_t *(*whole)(request *r);                                 /* where it is not a stream; may set r->whole_type */
} answer_form;

enum {
    MOST_CHOICES = 128,
    MOST_EMBEDDINGS = 2048,
    MOST_STOPS = 64,
    MOST_UNTAKEN = 4 << 20, /* bytes of events that a stream's client does not read */
};

struct request {
    /* what is wanted */
    served_model *model; /* held */
    request_kind kind;
    bool streams;
    prompt *prompts; /* [n_prompts]: owned */
    size_t n_prompts;
    uint32_t n_each; /* choices for each prompt */
    cllm_sampler_options sampling;
    cllm_logit_bias *bias; /* owned */
    cllm_sampler_step steps[CLLM_N_STEPS];
    cllm_string *breakers; /* [sampling.n_dry_breakers]: owned, with their texts */
    bool seeded;           /* the client gave the seed */
    uint64_t n_most;       /* tokens of a choice; UINT64_MAX: as many as the context holds */
    bool no_text;          /* with n_most 0: the prompt is evaluated, and that is all */
    uint32_t n_limit;      /* positions that it may use; 0: the context's */
    uint64_t most_ms;      /* of drawing, once there is a new line; 0: any */
    uint32_t n_indent;     /* of a text: it ends at a line that begins with fewer spaces and tabs */
    int32_t slot;          /* that its first choice is to run in; -1: any */
    char **stops;          /* [n_stops]: owned */
    size_t n_stops;
    bool ignores_end;
    bool wants_logprobs;
    uint32_t n_logprobs;
    bool scores_prompt;     /* prompt.logprobs are wanted */
    bool uses_cache;        /* of prefixes */
    bool shows_progress;    /* events while the prompt is read, too */
    bool one_call;          /* ends after the first tool call */
    int64_t priority;       /* lower goes first */
    cllm_grammar *grammar;  /* owned; or NULL */
    cllm_preamble preamble; /* before the grammar */
    cllm_part *parts;       /* of a chat's prompt: owned */
    size_t n_parts;
    char *tools; /* JSON, of a chat: owned */

    /* how it is told */
    const answer_form *form;
    void *state;     /* the form's own: released with free */
    json_t *details; /* the form's own */
    char id[40];
    int64_t created; /* seconds since 1970 */
    double received; /* now(), as the rest of the program has it */

    choice *choices;           /* [n_choices]: the engine's */
    outcome *outcomes;         /* [n_choices]: the connection's */
    size_t n_choices, n_ended; /* n_ended: the connection's */
    size_t n_queued;           /* choices that the scheduler has put into its queue so far: its own */
    failure failure;           /* the connection's */

    /* between the threads */
    pthread_mutex_t lock;
    int n_holders;
    size_t n_told;      /* choices that have ended */
    exchange *exchange; /* who waits for it, or NULL: the client is gone */
    event *first, **last;
    size_t n_untaken; /* bytes of these */
    atomic_bool cancelled;
};

request *request_create(request_kind kind); /* NULL: out of memory */
void request_hold(request *r);
void request_release(request *r); /* NULL is allowed */

bool request_add_prompt(request *r, int32_t *tokens, size_t count); /* takes the tokens; false: no memory */
bool request_add_stop(request *r, const char *text, size_t length);

/* Make the choices, when all else is set. false: no memory. */
bool request_complete(request *r);

/* Add an event, which is owned from then on, and wake who waits. */
void request_add_event(request *r, event *e);
event *event_create(size_t choice);
bool event_add_piece(event *e, cllm_delta_kind kind, size_t call, cllm_string id, cllm_string text);
void event_fail(event *e, const failure *f);
void event_destroy(event *e);

/* Take the events that have come, gather them, and let the form write them to out (NULL: nothing is written). Returns true when the
 * request has ended, by failure or not. */
bool request_take_events(request *r, text_buffer *out);

usage request_usage(const request *r); /* of all choices; a prompt counts once */

#endif
