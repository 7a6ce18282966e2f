/* A conversation with a model: its messages, and what of them is evaluated. Between the terminal (chat.c) and the library.
 *
 *   messages -> cllm_chat_render -> cllm_transcript: ids, the old ones kept -> a generation -> cllm_answer: what is printed, and kept as
 *   the next message */
#ifndef CONVERSATION_H
#define CONVERSATION_H

#include "program.h"

#include <jansson.h>

typedef enum reasoning_use { REASONING_SHOWN, REASONING_HIDDEN, REASONING_OFF } reasoning_use;

/* Where an answer goes while it is written: more of its reasoning, or of its content. */
typedef void (*answer_sink)(void *user, bool reasoning, const char *bytes, size_t length);

typedef struct conversation {
    run *run;
    cllm_chat *chat;
    cllm_transcript *transcript;
    json_t *messages; /* as in OpenAI's API; a system message comes first */

    /* settings */
    reasoning_use reasoning;
    uint64_t reasoning_most;       /* tokens; UINT64_MAX: any */
    uint64_t n_most;               /* tokens of an answer; 0: as many as the context holds */
    bool shifts;                   /* a full context drops its oldest turns */
    bool once;                     /* one question, and then the end */
    cllm_sampler_options sampling; /* its lists are borrowed */
    cllm_grammar *grammar;         /* that answers keep to, borrowed; or NULL */

    answer_sink sink;
    void *sink_user;
    id_list retries;   /* of each question: how many answers it had before */
    size_t n_left_out; /* of the oldest questions, which with their answers the model does not see any more */
    bool counted;      /* the transcript has all messages */

    /* of the last answer */
    bool answered;         /* it was kept */
    cllm_end end;          /* NONE: there is none, or it was interrupted */
    bool only_reasoned;    /* and nothing of it was printed */
    uint64_t n_unfinished; /* tokens that it has, if the grammar wanted more; else 0 */

    /* what was done, in all */
    pace evaluated, generated;
} conversation;

/* c: zero, but for `run`, a model that is started, and the settings. Returns an exit status, after saying why, as all of these do. */
int conversation_start(conversation *c);
void conversation_end(conversation *c);

/* Say this to the model, and have its answer. An answer that is interrupted is kept; a question that has none of it goes. */
int conversation_ask(conversation *c, const char *text, size_t length);

/* The same in the place of the last question, or once more: if no answer comes, all is as it was. */
int conversation_ask_instead(conversation *c, const char *text, size_t length);
int conversation_retry(conversation *c);

bool conversation_undo(conversation *c);  /* forget the last question and all after it; false: there is none */
void conversation_reset(conversation *c); /* forget all but the system message */
int conversation_set_system(conversation *c, const char *text, size_t length); /* "": none */

const char *conversation_last_question(const conversation *c); /* or NULL */
size_t conversation_count_tokens(conversation *c); /* of what the model sees; 0 also where it cannot be rendered */
size_t conversation_n_questions(const conversation *c);
const char *conversation_room_advice(const conversation *c); /* what makes room in a full context */

int conversation_set_messages(conversation *c, json_t *messages); /* another conversation; messages: owned */

/* As JSON, or as Markdown if the name ends in .md. */
int conversation_save(const conversation *c, const char *path);
int conversation_load(conversation *c, const char *path);

#endif
