/* A conversation with a model: its messages, and which of them are evaluated. It is used by the terminal chat (chat.c)
 * and uses the library.
 *
 *   messages -> cllm_chat_render -> cllm_transcript: ids, old ones are kept -> a generation -> cllm_answer: text to
 *   print, which becomes the next message */
#ifndef CONVERSATION_H
#define CONVERSATION_H

#include "program.h"

#include <jansson.h>

typedef enum reasoning_use { REASONING_SHOWN, REASONING_HIDDEN, REASONING_OFF } reasoning_use;

/* Takes an answer while it is written: more of its reasoning, or of its content. */
typedef void (*answer_sink)(void *user, bool reasoning, const char *bytes, size_t length);

typedef struct conversation {
    run *run;
    cllm_chat *chat;
    cllm_transcript *transcript;
    json_t *messages; /* as in OpenAI's API; a system message comes first */

    /* settings */
    reasoning_use reasoning;
    uint64_t reasoning_most;       /* most tokens of reasoning; UINT64_MAX: any number */
    uint64_t n_most;               /* tokens of an answer; 0: as many as the context holds */
    bool shifts;                   /* if the context is full, drop the oldest turns */
    bool once;                     /* answer one question and end */
    cllm_sampler_options sampling; /* its lists are borrowed */
    cllm_grammar *grammar;         /* grammar of the answers, borrowed; or NULL */

    answer_sink sink;
    void *sink_user;
    id_list retries;   /* for each question: how many answers it had before */
    size_t n_left_out; /* number of the oldest questions that the model no longer sees (nor their answers) */
    bool counted;      /* the transcript has all messages */

    /* the last answer */
    bool answered;         /* it was kept */
    cllm_end end;          /* NONE: there is none, or it was interrupted */
    bool only_reasoned;    /* it has reasoning only: nothing was printed as content */
    uint64_t n_unfinished; /* if its grammar is not complete: how many tokens it has so far; otherwise 0 */

    /* totals */
    pace evaluated, generated;
} conversation;

/* c: all zero except `run`, a started model, and the settings. Returns an exit status, after saying why, as do all
 * functions here that return an int. */
int conversation_start(conversation *c);
void conversation_end(conversation *c);

/* Ask a question and get the answer. An interrupted answer is kept; a question without any answer is removed. */
int conversation_ask(conversation *c, const char *text, size_t length);

/* Ask instead of the last question, or ask the last question again. If there is no answer, nothing changes. */
int conversation_ask_instead(conversation *c, const char *text, size_t length);
int conversation_retry(conversation *c);

bool conversation_undo(conversation *c);  /* remove the last question and everything after it; false: there is none */
void conversation_reset(conversation *c); /* remove everything except the system message */
int conversation_set_system(conversation *c, const char *text, size_t length); /* "": none */

const char *conversation_last_question(const conversation *c); /* or NULL */
/* Count the tokens that the model sees; 0 if there are none, or the conversation cannot be rendered. */
size_t conversation_count_tokens(conversation *c);
size_t conversation_n_questions(const conversation *c);

/* Advice for the user: how to make room in a full context. */
const char *conversation_room_advice(const conversation *c);

int conversation_set_messages(conversation *c, json_t *messages); /* replace the conversation; messages: owned */

/* Save as JSON, or as Markdown if the name ends in .md. flag: what stands before the file's name in messages. */
int conversation_save(const conversation *c, const char *flag, const char *path);
int conversation_load(conversation *c, const char *path);

#endif
