/* What the commands share: messages, input, a model that is loaded and ready to run, and what is told about it. */
#ifndef PROGRAM_H
#define PROGRAM_H

#include "options.h"

#include <stdio.h>

/* --------------------------------------------------------------------------------------------- messages */

#define EXIT_USAGE 2

/* Print "mini-cllm: ..." on stderr and return EXIT_FAILURE or EXIT_USAGE. */
int fail(const char *format, ...) __attribute__((format(printf, 1, 2)));
int usage_error(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Let what fail says in this thread from now on be here, too; NULL: no more. The text is cut to its size. */
void fail_into(char *text, size_t size);

/* fail for an error of the library; one that a signal to stop brought about is silent and gives EXIT_INTERRUPTED. */
int fail_with(const cllm_error *err);
const char *remedy_of(const cllm_error *err); /* the option that helps, to follow the message, or "" */

/* fail for a file that was not opened, by errno; silent too where a signal to stop ended the wait for a pipe's other end. */
int fail_to_open(const char *path);

typedef struct date_text {
    char text[32];
} date_text;
date_text date_now(void); /* 2026-01-31T12:00:00Z */

/* A remark on stderr, unless the user wants quiet. With --log-format json it is a line of JSON. */
void note(const options *o, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Note that an encoded text begins with two BOS tokens: the one that the model adds, and the text's own. */
void note_doubled_bos(const options *o, const cllm_tokenizer *tokenizer, const int32_t *tokens, size_t count);

/* cllm_tokenizer_note, with the option that helps, if there is something to note of the model's tokenizer. */
void note_tokenizer(const options *o, const cllm_tokenizer *tokenizer);

/* Hand on what stdout has buffered. Returns an exit status, after saying why; a signal to stop while a pipe is full is silent. */
int flush_output(void);

/* "what [####    ] 37% rest" on one line of stderr, over and over, where someone watches; the last one erases it. */
void draw_bar(const options *o, const char *what, int percent, const char *rest, bool last);

typedef struct size_text {
    char text[24];
} size_text;
size_text format_bytes(uint64_t n_bytes); /* "1.5 MiB" */

void print_plan(FILE *out, const cllm_memory_plan *plan); /* one line of a memory plan, without its newline */

/* ------------------------------------------------------------------------------------------------ input */

typedef struct input {
    char *data; /* owned: release with free */
    size_t length;
} input;

/* The whole file, or all of standard input if path is "-". Returns an exit status, after saying why; in is empty then. */
int read_input(const char *path, input *in);

typedef struct id_list {
    int32_t *ids; /* owned: release with free */
    size_t count, capacity;
} id_list;

bool id_list_add(id_list *list, int32_t id); /* false: no memory */

/* Append the ids in a text, separated by spaces, newlines or commas. what: names the text in the message.
 * Returns an exit status, after saying why. */
int id_list_parse(id_list *list, const char *what, const char *text, size_t length);

/* Are they all in a vocabulary of n_vocab? Returns an exit status, after saying which is not. */
int id_list_check(const id_list *list, uint32_t n_vocab);

/* ----------------------------------------------------------------------------------------------- models */

/* Open a file for its metadata and tokenizer alone: the model, or another, as the options override it. Returns an exit
 * status, after saying why. */
int open_gguf(const options *o, const char *path, cllm_gguf **gguf);
void close_gguf(cllm_gguf *gguf);

/* Is --chat-template-kwargs an object, if it is given? Returns an exit status, after saying that it is not. */
int check_kwargs(const options *o);

/* The chat template that the options want: the model's (gguf, tokenizer: may be NULL), one by its name, or a file. Returns an exit status, after
 * saying why. */
int make_chat(const options *o, const cllm_gguf *gguf, const cllm_tokenizer *tokenizer, cllm_chat **chat);

/* Is this metadata that chat, template and serve read, beside the model and its tokenizer? */
bool read_by_chat(const char *key);

/* Note which overrides, or options that stand for one, nothing has read by now. reader: what was made of the file. */
void remark_unread(const options *o, const cllm_gguf *gguf, const char *reader);

cllm_pooling pooling_of(const char *name); /* of --pooling */

/* A sequence takes the engine's positions in pages of so many. */
enum { PAGE = 256 };
static inline uint32_t pages_of(size_t length) { return (uint32_t)((length + PAGE - 1) / PAGE); }

/* A model at work, as the options want it. */
typedef struct run {
    const options *o;
    cllm_model *model;
    cllm_engine *engine;
    cllm_sequence *sequence; /* its first */
    uint32_t n_sequences;    /* that it is to have; 0: one */
    uint32_t n_positions;    /* of them together; 0: as many as each may have by itself */
    uint64_t cache_bytes;    /* of the prefix cache */
    cllm_pooling pooling;
    bool raw_embeddings; /* they are not scaled to length 1 */
    double load_seconds;
    char stage[80];     /* what is evaluated, for the progress bar; "": draw none */
    double stage_start; /* when it became other than "" */
    int drawn_percent;  /* of the bar as it stands there; -1: no bar */
} run;

int run_load(run *r, const options *o); /* the model; returns an exit status, after saying why */
int run_start(run *r, uint64_t n_ctx);  /* its engine and sequence; n_ctx 0: the model's own */
void run_stop(run *r);                  /* takes both away again */
void run_close(run *r);                 /* one that was never loaded, or not started, is allowed */

/* Evaluate tokens after those of the sequence. span: out, with what is wanted of them. */
cllm_status run_eval(run *r, const int32_t *tokens, size_t count, cllm_want want, cllm_span *span, cllm_error *err);

/* Name what is evaluated next, for a progress bar on a terminal; "" ends it. */
void run_stage(run *r, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The same bar for work that is no evaluation, drawn when this is called. */
void run_progress(run *r, const char *what, uint64_t done, uint64_t total);

int run_check_writes(const run *r);                                  /* fails if a loaded model writes no text */
int fail_without_tokenizer(const run *r);                            /* why a loaded model has none */
int run_check_fits(const run *r, const char *what, size_t n_tokens); /* in the context? else an exit status */

double now(void); /* seconds of a clock that only goes forward */

/* A number of tokens, and the time that the forward passes of `n_timed` of them took. */
typedef struct pace {
    size_t n_tokens, n_timed;
    double seconds;
    size_t n_drafted, n_accepted; /* of them */
} pace;

/* The line at the end: what was evaluated at once, then what was generated token by token (n_tokens 0: nothing). */
void run_summary(const run *r, pace evaluated, pace generated);

#endif
