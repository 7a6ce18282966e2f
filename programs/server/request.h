/* One request: what a client asked for, the result, and how it is written.
 *
 *   HTTP body -> a dialect (openai.c ...) makes a request -> scheduler.c evaluates its choices -> events ->
 *   request_take_events gathers them in outcomes, and the dialect's form writes them
 *
 * Three threads meet here. A worker makes the request; after scheduler_submit the wanted fields do not change. The
 * engine's thread owns the fields marked so, and adds events. The connection's thread takes the events and owns the
 * outcomes. */
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
    FINISH_NONE,        /* not finished */
    FINISH_STOP,        /* the model ended its text, or the grammar allows nothing more */
    FINISH_STOP_STRING, /* the text reached one of the stop strings */
    FINISH_LENGTH,      /* the limit on tokens was reached */
    FINISH_CONTEXT,     /* the context is full */
    FINISH_CALLS,       /* it calls tools */
    FINISH_FAILED,
} finish;

/* A new part of an answer. */
typedef struct piece {
    cllm_delta_kind kind;
    size_t call; /* for CALL and ARGUMENTS */
    char *id;    /* for CALL, or NULL: owned */
    char *text;  /* owned */
    size_t length;
} piece;

typedef struct usage {
    size_t n_prompt, n_cached, n_drawn; /* tokens: of the prompt, how many of them came from the cache, and drawn */
    size_t n_read;                      /* tokens of the prompt read so far */
    size_t n_reasoning;                 /* tokens drawn before the reasoning ended */
    double prompt_ms, drawn_ms;
    size_t n_drafted, n_accepted;
    uint32_t slot; /* the slot that it ran in */
} usage;

/* What one step brought for a choice. */
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
    size_t stop_string; /* for FINISH_STOP_STRING */
    usage usage;
    failure *failure; /* for FINISH_FAILED; NULL: there was no memory for it. Owned */
} event;

/* --------------------------------------------------------------------------------------------- outcomes */

typedef struct called {
    char *id, *name;
    text_buffer arguments;
} called;

/* Everything of a choice so far. */
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
    /* [count][1 + n_logprobs] of each token, given those before it (the first has none); or NULL. The engine's thread
     * writes them before a choice of the prompt has drawn a token or ended. */
    cllm_logprob *logprobs;
} prompt;

typedef enum request_kind {
    REQUEST_TEXT,  /* continue a prompt */
    REQUEST_CHAT,  /* the same, and parse it as an answer: reasoning, content and tool calls */
    REQUEST_EMBED, /* one vector for each prompt */
} request_kind;

/* How an API writes an answer. Called in the connection's thread. */
typedef struct answer_form {
    const char *stream_type; /* content type of a stream: text/event-stream or application/x-ndjson */
    void (*begin)(request *r, text_buffer *out);                /* begin a stream; or NULL */
    void (*step)(request *r, const event *e, text_buffer *out); /* write an event of a stream, after it was gathered */
    void (*end)(request *r, text_buffer *out);                  /* end a stream, when all choices have ended; or NULL */
    void (*fail)(request *r, const failure *f, text_buffer *out); /* end a stream with a failure */
    void (*wait)(request *r, text_buffer *out);                   /* a sign of life in a silent stream; or NULL */
    json_t *(*whole)(request *r);                                 /* the answer that is not a stream */
} answer_form;

enum {
    MOST_CHOICES = 128,
    MOST_EMBEDDINGS = 2048,
    MOST_STOPS = 64,
    MOST_UNTAKEN = 4 << 20, /* most bytes of events that a stream's client has not read */
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
    uint64_t n_most;       /* tokens of a choice; UINT64_MAX: as many as the context holds */
    bool no_text;          /* with n_most 0: only evaluate the prompt */
    uint32_t n_limit;      /* most positions that it may use; 0: the context's */
    uint64_t most_ms;      /* end after this time of drawing, once there is a newline; 0: no limit */
    uint32_t n_indent;     /* the text ends at a line that begins with fewer spaces and tabs than this */
    int32_t slot;          /* slot for its first choice; -1: any */
    uint32_t n_dims;       /* keep this many numbers of a vector, and scale them to length 1 again; 0: all */
    cllm_string *stops;    /* [n_stops]: owned, with their texts */
    size_t n_stops;
    bool ignores_end;
    bool wants_logprobs;
    uint32_t n_logprobs;
    bool scores_prompt;     /* compute prompt.logprobs */
    bool uses_cache;        /* use the prefix cache */
    bool shows_progress;    /* send events while the prompt is read, too */
    bool one_call;          /* end after the first tool call */
    int64_t priority;       /* lower values go first */
    cllm_grammar *grammar;  /* owned; or NULL */
    cllm_preamble preamble; /* reasoning before the grammar */
    cllm_part *parts;       /* of a chat's prompt: owned */
    size_t n_parts;
    char *tools; /* for a chat, JSON: owned */

    /* how the answer is written */
    const answer_form *form;
    void *state;     /* private to the form: released with free */
    json_t *details; /* private to the form */
    char id[40];
    int64_t created; /* seconds since 1970 */
    double received; /* on the clock of now() */

    choice *choices;           /* [n_choices]: belong to the engine's thread */
    outcome *outcomes;         /* [n_choices]: belong to the connection's thread */
    size_t n_choices, n_ended; /* n_ended: belongs to the connection's thread */
    size_t n_queued;           /* choices that the scheduler has put into its queue; belongs to the scheduler */
    failure failure;           /* belongs to the connection's thread */

    /* shared by the threads */
    pthread_mutex_t lock;
    int n_holders;
    size_t n_told;      /* choices that have ended */
    exchange *exchange; /* the exchange that waits for it; NULL: the client is gone */
    event *first, **last;
    size_t n_untaken; /* bytes of these events */
    atomic_bool cancelled;
};

request *request_create(request_kind kind); /* NULL: out of memory */
void request_hold(request *r);
void request_release(request *r); /* NULL is allowed */

bool request_add_prompt(request *r, int32_t *tokens, size_t count); /* takes the tokens; false: no memory */
bool request_add_stop(request *r, const char *text, size_t length); /* length: at least 1 */

/* Make the choices, after all other fields are set. false: no memory. */
bool request_complete(request *r);

/* Add an event, which is owned from now on, and wake the connection. */
void request_add_event(request *r, event *e);
event *event_create(size_t choice);
bool event_add_piece(event *e, cllm_delta_kind kind, size_t call, cllm_string id, cllm_string text);
void event_fail(event *e, const failure *f);
void event_destroy(event *e);

/* Take the new events, gather them, and let the form write them to out (NULL: write nothing). Returns true if the
 * request has ended, by failure or not. */
bool request_take_events(request *r, text_buffer *out);

usage request_usage(const request *r); /* of all choices; a prompt counts once */

#endif
