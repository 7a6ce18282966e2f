/* One choice of a request while the engine works on it: the engine's thread owns all of this.
 *
 *   scheduler.c: what may run? -> completion_wants: a span -> cllm_eval -> completion_take: an event of the request */
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
    text_buffer held; /* content that may become a stop string */
    id_list tokens;   /* the prompt and what was drawn: to begin again from, after its pages were given away */
    usage usage;
    uint32_t
        n_adopted; /* positions that the cache or another choice gave: the page that holds the last of them is copied when it is written */
    size_t n_scored;   /* tokens of the prompt that have their log probabilities */
    bool has_new_line; /* in what was drawn */
    bool is_in_indent; /* its last line has n_blanks spaces and tabs, and nothing else */
    uint32_t n_blanks;
    bool calls;           /* it has called a tool */
    bool begun;           /* some of it has been evaluated */
    bool told;            /* its finish */
    double started, read; /* when it began, and when its prompt was evaluated; 0: not yet */
};

/* Begin, in a sequence that may hold a beginning of the prompt already; else with what the cache has of it. The choice owns the sequence from
 * then on. false: it cannot begin, or has ended at once; the request has been told. */
bool completion_start(choice *c, cllm_sequence *sequence);

/* What is to be evaluated next, at most `most` tokens of a prompt. false: nothing. */
bool completion_wants(choice *c, size_t most, cllm_span *span);
size_t completion_n_left(const choice *c); /* tokens that are to be evaluated before the next one is drawn */

/* Take the result. false: it has ended, and the request has been told. */
bool completion_take(choice *c, const cllm_span *span);

/* May it begin with tokens that the cache holds? Not if it wants rows of them: embeddings, or scores of a prompt. */
bool completion_may_adopt(const choice *c);

/* Take over from the cache the longest beginning of its tokens that is there by now. */
void completion_adopt(choice *c);

/* Give its pages to others. Later it begins again from its tokens. */
bool completion_give_way(choice *c);

/* Tell the request that this choice cannot go on. */
void completion_fail(choice *c, const failure *f);
void completion_fail_with(choice *c, const cllm_error *err);

/* Give up what the engine has of it. */
void completion_stop(choice *c);
void completion_destroy(choice *c); /* also of one that never ran */

#endif
