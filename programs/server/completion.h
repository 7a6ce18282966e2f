/* One choice of a request while the engine works on it. Everything here belongs to the engine's thread.
 *
 *   scheduler.c chooses what runs -> completion_wants: a span -> cllm_eval -> completion_take: an event */
#ifndef SERVER_COMPLETION_H
#define SERVER_COMPLETION_H

#include "server/request.h"

struct choice {
    request *request;
    size_t index; /* in the request */
    prompt *prompt;
    choice *next; /* in the queue */
    double queued;

    /* while it runs */
    cllm_sequence *sequence;
    cllm_sampler *sampler;
    cllm_generation *generation;
    cllm_answer *answer;
    text_buffer held; /* content held back, because it may become a stop string */
    id_list tokens;   /* the prompt and the drawn tokens: to start again after its pages were given away */
    usage usage;
    uint32_t n_adopted; /* positions from the cache or another choice; their last page is copied before it is written */
    size_t n_scored;    /* tokens of the prompt whose log probabilities are known */
    bool has_new_line;  /* a newline was drawn */
    bool is_in_indent;  /* its last line has only n_blanks spaces and tabs so far */
    uint32_t n_blanks;
    bool calls;           /* it has called a tool */
    bool begun;           /* a part of it has been evaluated */
    bool told;            /* the request knows that it ended */
    double started, read; /* when it started, and when its prompt was evaluated; 0: not yet */
};

/* Start in a sequence that may hold a beginning of the prompt already; otherwise use what the cache has of it. From now
 * on the choice owns the sequence. false: it cannot start, or has ended at once; the request knows. */
bool completion_start(choice *c, cllm_sequence *sequence);

/* Ask what to evaluate next, at most `most` tokens of a prompt (a text to embed is evaluated at once; a prompt that is
 * scored has its own limit). false: nothing. */
bool completion_wants(choice *c, size_t most, cllm_span *span);
size_t completion_n_left(const choice *c); /* tokens to evaluate before the next one is drawn */

/* Take the result. false: the choice has ended, and the request knows. */
bool completion_take(choice *c, const cllm_span *span);

/* True if it may begin with cached tokens. False if it needs their rows, for embeddings or scores of the prompt. */
bool completion_may_adopt(const choice *c);

/* Take the longest beginning of its tokens that is in the cache now. */
void completion_adopt(choice *c);

/* Give its pages to other choices. It will start again from its tokens later. false: its sequence cannot be emptied. */
bool completion_give_way(choice *c);

/* Tell the request that this choice failed. */
void completion_fail(choice *c, const failure *f);
void completion_fail_with(choice *c, const cllm_error *err);

/* Release what it holds in the engine. */
void completion_stop(choice *c);
void completion_destroy(choice *c); /* works even if it never ran */

#endif
